"""The halt latch: set by anyone, read right before each order, lifted by hand only."""

import json
import os
import signal
import subprocess
import sys
import threading

import attrs
import pytest

from triarb.cli import main
from triarb.clock import NS_PER_SECOND
from triarb.engine import Engine
from triarb.exceptions import LedgerError, UsageError
from triarb.execution import halt
from triarb.execution.halt import HaltLatch, halt_file
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import SqlLedger
from triarb.market.tape import Tape
from triarb.model import Answered, Halted, Intended, Outcome, Resumed
from triarb.risk import RiskLimits
from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.sqlite.halt"


@pytest.fixture
def ledger_file(tmp_path):
    return tmp_path / "mine.sqlite"


def engine_on(ledger, gateway, max_daily_loss="100 USDT", **parts):
    return Engine(
        gateway,
        risk=RiskLimits(min_edge_bps=0, max_notional="100 USDT", max_daily_loss=max_daily_loss),
        ledger=ledger,
        start=["USDT"],
        **parts,
    )


def replay(changes=()):
    return ReplayGateway(Tape.of(planted_triangle(), changes), balances={"USDT": "1000"})


def test_a_latch_holds_over_processes_until_it_is_lifted(file):
    """E9: whoever looks at the file afterwards finds the first reason, until it is lifted."""
    latch = HaltLatch(file)
    assert latch.reason is None
    latch.set("first")
    latch.set("second")
    assert latch.reason == HaltLatch(file).reason == "first"
    latch.lift()
    latch.lift()
    assert latch.reason is HaltLatch(file).reason is None


@pytest.mark.parametrize("content", ["", "by\nhand", "\udcff"])
def test_any_file_halts(file, content):
    """E9: that the file is there is enough, whatever is in it."""
    file.write_bytes(content.encode(errors="surrogateescape"))
    assert HaltLatch(file).reason


def test_what_cannot_be_looked_at_halts(tmp_path):
    """E10: an error of the check is a halt, not a licence."""
    folder = tmp_path / "mine.sqlite.halt"
    folder.mkdir()
    assert "cannot be read" in HaltLatch(folder).reason
    (tmp_path / "no folder").write_text("")
    assert "cannot be looked at" in HaltLatch(tmp_path / "no folder" / "x.halt").reason


def test_a_halt_that_cannot_be_written_holds_in_memory(tmp_path):
    """E3: where its file cannot be made, the process is halted nevertheless, and is told so."""
    latch = HaltLatch(tmp_path / "nowhere" / "x.halt")
    with pytest.raises(LedgerError, match="not durable") as caught:
        latch.set("now")
    mend = "it holds until this process ends; make that file by hand before another one starts"
    assert (caught.value.code, caught.value.hint) == ("halt.file", mend)
    assert latch.reason == "now"


def test_a_halt_that_cannot_be_lifted_stays(tmp_path):
    """E10: a file that does not go leaves the latch set."""
    folder = tmp_path / "x.halt"
    folder.mkdir()
    latch = HaltLatch(folder)
    with pytest.raises(LedgerError, match="stays") as caught:
        latch.lift()
    assert (caught.value.code, caught.value.hint) == ("halt.file", "remove that file by hand")
    assert latch.reason


def test_a_latch_in_memory_needs_no_file(file):
    """Set, moved to a file, and lifted; an empty reason is one too."""
    latch = HaltLatch()
    latch.set("")
    assert latch.reason == "no reason was given"
    latch.keep_in(file)
    assert HaltLatch(file).reason == latch.reason
    assert file.stat().st_mode & 0o777 == 0o600  # for nobody else to read
    latch.lift()
    assert not file.exists()


@pytest.mark.once
async def test_a_file_made_by_others_stops_an_engine_and_is_journalled(ledger_file):
    """I8: an engine finds a halt file that it did not make, sends nothing, says why, and writes it down."""
    async with (
        replay() as gateway,
        SqlLedger(ledger_file) as ledger,
        engine_on(ledger, gateway) as engine,
    ):
        halt_file(ledger.path).write_text("watchdog")
        report = await engine.run()
        assert (report.state, report.halted, report.executions) == ("halted", "watchdog", ())
        assert [e.reason for e in ledger.events() if isinstance(e, Halted)] == ["watchdog"]
        await engine.resume("Ada")
        assert not halt_file(ledger.path).exists()
        assert (await engine.run()).state != "halted"


class FailingLedger(SqlLedger):
    """Fails from the second answer on, until it is mended."""

    answers, mended = 0, False

    async def append(self, *events):
        self.answers += isinstance(events[0], Answered)
        if self.answers >= 2 and not self.mended:
            raise LedgerError("the disk is full", code="ledger.write")
        await super().append(*events)


async def test_an_engine_whose_ledger_failed_in_a_cycle_begins_no_other():
    """E1, E3: what the failure left unfinished blocks the engine until a recovery, though its ledger writes again."""
    later = [
        attrs.evolve(
            quote, received_ns=quote.received_ns + NS_PER_SECOND, ask_size=quote.bid_size + 1
        )
        for quote in planted_triangle().quotes
    ]
    async with (
        replay(later) as gateway,
        FailingLedger("sqlite://") as ledger,
        engine_on(ledger, gateway, "1000 USDT") as engine,
    ):
        with pytest.raises(LedgerError, match="full"):
            await engine.run(cycles=1)
        assert ledger.portfolio().open == (1,)
        ledger.mended = True
        with pytest.raises(UsageError, match="execution 1 was cut off"):
            await engine.resume("a person")
        report = await engine.run(cycles=1)
        assert report.unfinished == (1,)
        assert ledger.portfolio().started == 1


class HaltingLedger(SqlLedger):
    """Halts its engine while it writes the intent of a leg."""

    engine, leg = None, 0

    async def append(self, *events):
        await super().append(*events)
        if any(isinstance(event, Intended) and event.leg == self.leg for event in events):
            await self.engine.halt("at the last moment")


@pytest.mark.parametrize(
    ("leg", "freeze", "sent", "outcome"),
    [
        (1, False, 0, Outcome.NOTHING),
        (2, False, 3, Outcome.COMPLETED),
        (2, True, 1, Outcome.SHORT),
    ],
)
async def test_a_halt_while_an_intent_is_written_stops_its_order(leg, freeze, sent, outcome):
    """E9, I8: no order that opens passes a halt that came after all was decided; under a freeze none passes at all."""
    async with replay() as gateway, HaltingLedger("sqlite://") as ledger:
        ledger.engine, ledger.leg = engine_on(ledger, gateway, freeze=freeze), leg
        report = await ledger.engine.run(cycles=1)
        answered = [event for event in ledger.events() if isinstance(event, Answered)]
        assert len(answered) == sent
        assert [e.outcome for e in ledger.portfolio().recent] == [outcome]
        assert report.state == "halted"


async def test_a_halt_is_durable_although_the_ledger_fails(ledger_file, monkeypatch):
    """E9: with a dead database a halt still holds, for this engine and the next."""
    async with (
        replay() as gateway,
        SqlLedger(ledger_file) as ledger,
        engine_on(ledger, gateway) as engine,
    ):

        async def dead(event):
            raise LedgerError("the disk is gone", code="ledger.disk")

        monkeypatch.setattr(ledger, "append", dead)
        with pytest.raises(LedgerError, match="the disk is gone"):
            await engine.halt("stop")
        assert (await engine.scan_once()) is not None
        assert (await engine.step()) is None
    assert HaltLatch(halt_file(ledger_file)).reason == "stop"


def test_halt_and_resume_by_command(capsys, ledger_file, monkeypatch, tmp_path):
    """E9: the command halts a named ledger, or all there are, and resume lifts it and journals by whom."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert main(["halt"]) == 2
    assert "no ledger" in capsys.readouterr().err
    assert main(["halt", str(tmp_path / "nowhere" / "x.sqlite")]) == 2
    assert "no folder" in capsys.readouterr().err
    folder = tmp_path / "triarb" / "ledgers"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.sqlite").touch()
    assert main(["halt", "--reason", "all"]) == 0
    assert sorted(file.name for file in folder.glob("*.halt")) == ["a.sqlite.halt", "b.sqlite.halt"]
    assert main(["resume", str(ledger_file), "--by", "Ada"]) == 2
    (folder / "a.sqlite").unlink()
    capsys.readouterr()
    (folder / "c.sqlite.halt").mkdir()
    assert main(["halt", str(folder / "c.sqlite"), str(folder / "b.sqlite")]) == 2
    assert "b.sqlite: " in capsys.readouterr().out


def test_a_halt_of_no_ledger_says_so(capsys, tmp_path, monkeypatch):
    """E9: who mistypes a name is not told that trading has stopped; one that is begun there is halted nevertheless."""
    mistyped = tmp_path / "mien.sqlite"
    assert main(["halt", str(mistyped)]) == 2
    assert "there is no ledger" in capsys.readouterr().err
    assert HaltLatch(halt_file(mistyped)).reason == "triarb halt"
    (tmp_path / "mine.sqlite").touch()
    monkeypatch.setattr(halt, "_write", refuse_once(monkeypatch))
    assert main(["halt", str(mistyped), str(tmp_path / "mine.sqlite")]) == 1
    assert HaltLatch(halt_file(tmp_path / "mine.sqlite")).reason == "triarb halt"


def test_a_halt_of_all_takes_the_ledger_that_the_configuration_names(capsys, tmp_path, monkeypatch):
    """E9: with its bot's ledger elsewhere, `triarb halt` in the bot's folder halts that one too, or says that it cannot."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    toml, mine = tmp_path / "triarb.toml", tmp_path / "mine.sqlite"
    toml.write_text('ledger = "mine.sqlite"\n')
    assert main(["halt"]) == 2
    mine.touch()
    assert main(["halt"]) == 0
    halt_file(mine).unlink()
    folder = tmp_path / "data" / "triarb" / "ledgers"
    folder.mkdir(parents=True)
    (folder / "other.sqlite").touch()
    assert main(["halt"]) == 0
    assert (halt_file(mine).exists(), halt_file(folder / "other.sqlite").exists()) == (True, True)
    toml.write_text("ledgr = 1\n")
    capsys.readouterr()
    assert main(["halt"]) == 0
    out, err = capsys.readouterr()
    assert ("other.sqlite" in out, "is not halted" in err) == (True, True)


def test_one_name_that_is_wrong_keeps_no_other_from_being_halted(capsys, tmp_path):
    """E9: a ledger in a folder that is not there is told after the others are halted."""
    mine = tmp_path / "mine.sqlite"
    mine.touch()
    assert main(["halt", str(tmp_path / "no" / "x.sqlite"), str(mine)]) == 2
    assert HaltLatch(halt_file(mine)).reason == "triarb halt"
    assert "no folder" in capsys.readouterr().err


def refuse_once(monkeypatch):
    """A disk that takes no file the first time."""
    writes = halt._write

    def write(file, reason):
        monkeypatch.setattr(halt, "_write", writes)
        raise OSError(13, "Permission denied")

    return write


def test_a_signal_halts_a_command_that_trades(ledger_file, capsys, monkeypatch):
    """E9: SIGUSR1 to a process that trades ends its run halted, exit 3, and the next one does not begin."""
    with in_background(planted_triangle()) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        paper = [
            "paper",
            "binance",
            "--ledger",
            str(ledger_file),
            "--interval",
            "0.01",
            "--seconds",
            "60",
        ]
        paper.append("--json")
        heard = signal.getsignal(signal.SIGUSR1)
        timer = threading.Timer(0, signal_when_open, [ledger_file])
        timer.start()
        assert main([*paper, "--max-notional", "1 USDT"]) == 3  # too little to trade: it only looks
        timer.join()
        assert signal.getsignal(signal.SIGUSR1) == heard
        assert json.loads(capsys.readouterr().out)["halted"] == "signal SIGUSR1"
        assert main(paper) == 3


def signal_when_open(ledger_file):
    """Send SIGUSR1 to this process once a ledger is open: by then the engine listens, or will in no time."""
    while not ledger_file.with_name("mine.sqlite-wal").exists():
        pass
    while signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        pass
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.once
async def test_resume_by_command_needs_a_name_and_a_free_ledger(capsys, ledger_file):
    """A halt is lifted by a person who says who, and not under a running engine; without one, limits start anew."""
    async with SqlLedger(ledger_file) as ledger:
        HaltLatch(halt_file(ledger_file)).set("stop")
        result = command("resume", ledger_file, "--by", "Ada")
        assert (result.returncode, "is using it" in result.stderr) == (1, True)
        assert ledger.portfolio().halted is None
    assert command("resume", ledger_file, "--by", " ").returncode == 2
    result = command("resume", ledger_file, "--by", "Ada")
    assert (result.returncode, "halted for: stop" in result.stdout) == (0, True)
    assert "was not halted" in command("resume", ledger_file, "--by", "Ada").stdout
    async with SqlLedger(ledger_file) as ledger:
        assert [e.by for e in ledger.events() if isinstance(e, Resumed)] == ["Ada", "Ada"]


def command(*arguments):
    line = [sys.executable, "-m", "triarb", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
