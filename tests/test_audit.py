"""The audit log: everything is in it, nothing can be changed in it unseen, and it can neither block nor break trading."""

import asyncio
import errno
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from triarb import (
    AuditError,
    AuditLog,
    Engine,
    ReplayGateway,
    RiskLimits,
    SqlLedger,
    Tape,
    UsageError,
)
from triarb.cli import main
from triarb.ledger.codec import decode
from triarb.ledger.storage import Entry
from triarb.model import Halted, LedgerEvent
from triarb.operations import audit as audit_module
from triarb.operations.audit_files import AuditFiles
from triarb.operations.audit_lines import (
    audit_folder,
    files_in,
    last_entries,
    parse,
    render,
    verify,
)
from triarb.operations.status import last_refusals
from triarb.testing.market import planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")


async def trade(ledger_path, audit, *, risk=LIMITS, observers=()):
    """One run of an engine over a planted triangle, with `audit` open around it; the report."""
    gateway = ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
    async with gateway, audit, SqlLedger(ledger_path, tap=audit) as ledger:
        engine = Engine(
            gateway, risk=risk, ledger=ledger, start=["USDT"], observers=[audit, *observers]
        )
        return await engine.run()


def lines(folder) -> list[bytes]:
    """All lines of a log, whole ones or not."""
    return [
        line for path in files_in(folder) for line in path.read_bytes().splitlines(keepends=True)
    ]


def entries(folder):
    """All entries of a log."""
    return [parse(line) for line in lines(folder)]


def ledger_events(folder) -> list[LedgerEvent]:
    """The events of the ledger that a log holds."""
    bodies = [json.loads(entry.payload) for entry in entries(folder)]
    return [decode(json.dumps(b["event"])) for b in bodies if isinstance(b.get("ledger"), int)]


async def journal(path) -> list[LedgerEvent]:
    """The events that a ledger holds."""
    async with SqlLedger(path, read_only=True) as ledger:
        return list(ledger.events())


def write(folder, count, *, file_bytes=2**20, keep_bytes=None) -> AuditFiles:
    """A log of `count` lines after the one that opens it."""
    files = AuditFiles(folder, file_bytes, keep_bytes)
    files.open(1, {})
    for number in range(count):
        files.append([(number, "test", f'{{"number":{number}}}')])
    files.close()
    return files


async def test_a_run_is_in_it_from_decision_to_result(tmp_path):
    """Each decision in its order, each event of the ledger exactly as it stands there, and a chain that holds."""
    path = tmp_path / "run.sqlite"
    report = await trade(path, AuditLog(audit_folder(path)))
    assert report.outcomes == {"completed": 1}
    found = entries(audit_folder(path))
    kinds = [entry.kind for entry in found]
    assert kinds[0] == "opened"
    decisions = ["Nominated", "Confirmed", "Approved", "Planned"]
    assert [kind for kind in kinds if kind in decisions] == decisions
    assert {"Intended", "Answered", "Filled", "Proven", "ExecutionEnded", "RunEnded"} <= set(kinds)
    assert ledger_events(audit_folder(path)) == await journal(path)
    planned = json.loads(found[kinds.index("Planned")].payload)
    assert planned["at_stake"] == "100"
    assert [leg["symbol"] for leg in planned["legs"]] == ["BTC/USDT", "ETH/BTC", "ETH/USDT"]
    checked = verify(audit_folder(path))
    assert (checked.broken, checked.notes, checked.last) == (None, (), len(found))
    assert checked.digest == found[-1].digest
    assert audit_folder(path).stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in files_in(audit_folder(path)))


async def test_what_is_declined_says_why(tmp_path):
    """With its code, its sentence and its numbers; and what nobody nominates leaves no line."""
    path = tmp_path / "run.sqlite"
    risk = RiskLimits(min_edge_bps=400, max_notional="100 USDT", max_daily_loss="20 USDT")
    await trade(path, AuditLog(audit_folder(path)), risk=risk)
    (declined,) = [e for e in entries(audit_folder(path)) if e.kind == "Declined"]
    said = json.loads(declined.payload)
    assert (said["cycle"], said["code"]) == ("BTC>ETH>USDT", "risk.min_edge")
    assert said["numbers"]["min_edge_bps"] == "400"
    assert "edge" in said["sentence"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A log of three files, as bytes by name."""
    folder = tmp_path_factory.mktemp("sound")
    write(folder, 30, file_bytes=2_000)
    assert len(files_in(folder)) >= 3
    assert verify(folder).broken is None
    return {path.name: path.read_bytes() for path in files_in(folder)}


def put(folder: Path, log) -> Path:
    """Write `log` into a folder that is emptied first."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, content in log.items():
        (folder / name).write_bytes(content)
    return folder


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_changed_byte_is_found(sound, tmp_path_factory, data):
    """Whichever byte of whichever line it is, the check names that file and that line, or the one after it."""
    name = data.draw(st.sampled_from(sorted(sound)))
    content = bytearray(sound[name])
    at = data.draw(st.integers(0, len(content) - 2))
    content[at] ^= data.draw(st.integers(1, 255))
    line = bytes(sound[name][:at]).count(b"\n") + 1
    folder = put(tmp_path_factory.getbasetemp() / "changed", {**sound, name: bytes(content)})
    broken = verify(folder).broken
    assert broken is not None
    assert broken.startswith(f"{folder / name}, line {line}: ")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_lines_taken_out_doubled_or_swapped_are_found(sound, tmp_path_factory, data):
    """All but the last: what is missing at the end cannot be seen from the log alone."""
    name = data.draw(st.sampled_from(sorted(sound)))
    rows = sound[name].splitlines(keepends=True)
    ends = 1 + (name == max(sound))
    at = data.draw(st.integers(0, len(rows) - ends))
    how = data.draw(st.sampled_from(["out", "doubled", "swapped"]))
    if how == "out":
        changed = rows[:at] + rows[at + 1 :]
    elif how == "doubled":
        changed = [*rows[: at + 1], *rows[at:]]
    else:
        other = data.draw(st.integers(0, len(rows) - 1).filter(lambda n: n != at))
        changed = list(rows)
        changed[at], changed[other] = rows[other], rows[at]
    folder = put(tmp_path_factory.getbasetemp() / "moved", {**sound, name: b"".join(changed)})
    assert verify(folder).broken is not None


def test_a_missing_file_is_found(sound, tmp_path):
    """The first or one of the middle; the log knows what it removed itself, and only that."""
    first, middle, *_ = sorted(sound)
    for name in (first, middle):
        log = {other: content for other, content in sound.items() if other != name}
        assert "missing" in verify(put(tmp_path / "log", log)).broken


def test_a_changed_line_with_a_digest_that_fits_breaks_the_next(tmp_path):
    """Who changes a line and its digest must change every line after it: the digest that somebody noted is then gone."""
    folder = tmp_path / "log"
    write(folder, 5)
    noted = verify(folder).digest
    rows = lines(folder)
    entry = parse(rows[2])
    forged = audit_module.Entry.after(
        parse(rows[1]).digest, entry.seq, entry.at_ns, entry.kind, '{"number":9}'
    )
    files_in(folder)[0].write_bytes(b"".join([*rows[:2], render(forged), *rows[3:]]))
    assert ", line 4: " in verify(folder).broken
    files_in(folder)[0].write_bytes(b"".join([*rows[:2], render(forged)]))
    assert verify(folder).broken is None
    assert noted not in {e.digest for e in entries(folder)}


def test_files_follow_one_another_and_the_oldest_go(tmp_path):
    """E15: the chain goes on from file to file; what is removed to keep the log small is said in it, and then not missed."""
    folder = tmp_path / "log"
    write(folder, 200, file_bytes=1_500, keep_bytes=6_000)
    names = [path.name for path in files_in(folder)]
    assert names == sorted(names)
    assert len(names) >= 3
    assert sum(path.stat().st_size for path in files_in(folder)) < 6_000 + 2 * 1_500
    found = verify(folder)
    assert found.broken is None
    assert found.first > 1
    assert "removed" in found.notes[0]
    assert [e.seq for e in entries(folder)] == list(range(found.first, found.last + 1))
    assert [json.loads(e.payload)["number"] for e in last_entries(folder, 200) if e.kind == "test"][
        -1
    ] == 199


@pytest.mark.parametrize("torn", [b'{"seq":', b"\0" * 40, b"x"])
def test_a_line_that_was_never_whole_is_cut_off(tmp_path, torn):
    """A process that died while it wrote leaves part of a line: the next one cuts it off, says so, and goes on."""
    folder = tmp_path / "log"
    write(folder, 3)
    with files_in(folder)[-1].open("ab") as file:
        file.write(torn)
    assert "not whole" in verify(folder).notes[0]
    write(folder, 1)
    assert verify(folder).broken is None
    opened = [json.loads(e.payload) for e in entries(folder) if e.kind == "opened"]
    assert [body["cut_bytes"] for body in opened] == [0, len(torn)]


def test_a_file_without_a_whole_line_is_begun_again(tmp_path):
    """It was begun when the process died: the log goes on after the file before it."""
    folder = tmp_path / "log"
    write(folder, 3)
    (folder / "000000000005.jsonl").write_bytes(b'{"seq":5')
    write(folder, 1)
    found = verify(folder)
    assert (found.broken, found.last, found.files) == (None, 6, 1)


async def test_what_a_killed_process_left_out_is_written_at_the_next_start(tmp_path):
    """The ledger is ahead of the log, by hand or by a kill; each event is then there once, in the ledger's order."""
    path = tmp_path / "run.sqlite"
    async with SqlLedger(path) as ledger:
        await ledger.append(Halted(1, "before there was a log"))
    async with AuditLog(audit_folder(path)) as log, SqlLedger(path, tap=log) as ledger:
        await ledger.append(Halted(2, "seen"))
    async with SqlLedger(path) as ledger:
        await ledger.append(Halted(3, "nobody listened"))
    for _ in range(2):
        async with AuditLog(audit_folder(path)) as log, SqlLedger(path, tap=log) as ledger:
            pass
    assert ledger_events(audit_folder(path)) == await journal(path)
    path.unlink()
    async with AuditLog(audit_folder(path)) as log, SqlLedger(path, tap=log) as ledger:
        await ledger.append(Halted(4, "another ledger"))
    async with AuditLog(audit_folder(path)) as log, SqlLedger(path, tap=log) as ledger:
        pass
    assert [e.at_ns for e in ledger_events(audit_folder(path))] == [1, 2, 3, 4]
    assert verify(audit_folder(path)).broken is None


async def test_one_process_at_a_time(tmp_path):
    """Two writers would tear the chain: the second is refused, until the first is done."""
    async with AuditLog(tmp_path / "log"):
        with pytest.raises(AuditError) as caught:
            await AuditLog(tmp_path / "log").__aenter__()
        assert caught.value.code == "audit.in_use"
    async with AuditLog(tmp_path / "log"):
        pass


async def test_a_log_that_was_changed_is_not_continued(tmp_path):
    """Nothing is hidden behind new lines: a person moves it away first."""
    folder = tmp_path / "log"
    write(folder, 3)
    file = files_in(folder)[0]
    file.write_bytes(file.read_bytes().replace(b'"number":1', b'"number":7'))
    with pytest.raises(AuditError) as caught:
        await AuditLog(folder).__aenter__()
    assert caught.value.code == "audit.broken"
    assert "line 3" in caught.value.message
    (tmp_path / "file").touch()
    with pytest.raises(AuditError) as caught:
        await AuditLog(tmp_path / "file").__aenter__()
    assert caught.value.code == "audit.place"


def test_sizes_must_make_sense(tmp_path):
    """A log that may keep less than one file is refused."""
    with pytest.raises(UsageError, match="keep_bytes"):
        AuditLog(tmp_path, keep_bytes=10)


async def test_a_full_disk_is_told_once_and_costs_nothing(tmp_path, monkeypatch, caplog):
    """While it is full trading goes on; it is warned of once and told once; when there is room again all is written."""
    monkeypatch.setattr(audit_module, "RETRY_SECONDS", 0.01)
    path, told, full = tmp_path / "run.sqlite", [], threading.Event()
    real = os.write

    def write_some(handle, data):
        if not full.is_set() or threading.current_thread().name != "triarb-audit":
            return real(handle, data)
        if data.startswith(b'{"seq"'):
            return real(handle, data[:40])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write_some)
    log = AuditLog(audit_folder(path), on_failure=told.append)
    gateway = ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
    async with log:
        full.set()
        log.record("test", {"text": "x" * 100})
        async with gateway, SqlLedger(path, tap=log) as ledger:
            report = await Engine(
                gateway, risk=LIMITS, ledger=ledger, start=["USDT"], observers=[log]
            ).run()
        assert log.failures > 0
        full.clear()
    assert report.outcomes == {"completed": 1}
    assert told == ["No space left on device"]
    assert len([r for r in caplog.records if r.name == "triarb.audit"]) == 1
    assert log.lost == 0
    assert verify(audit_folder(path)).broken is None
    assert [e.kind for e in entries(audit_folder(path))][:2] == ["opened", "test"]
    assert ledger_events(audit_folder(path)) == await journal(path)


async def test_a_disk_that_hangs_does_not_hold_up_trading(tmp_path, monkeypatch):
    """An engine trades to its end meanwhile; what is too much for the queue is lost, counted, and said in the log."""
    monkeypatch.setattr(audit_module, "CAPACITY", 8)
    path, hangs, real = tmp_path / "run.sqlite", threading.Event(), AuditFiles.append

    def append(self, records):
        hangs.wait(20)
        real(self, records)

    log, told = AuditLog(audit_folder(path)), []
    log.on_failure = told.append
    async with log:
        monkeypatch.setattr(AuditFiles, "append", append)
        gateway = ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
        async with gateway, SqlLedger(path, tap=log) as ledger:
            async with asyncio.timeout(10):
                report = await Engine(
                    gateway, risk=LIMITS, ledger=ledger, start=["USDT"], observers=[log]
                ).run()
        assert report.outcomes == {"completed": 1}
        assert log.lost > 0
        assert "8 lines wait" in told[0]
        hangs.set()
        while not log._queue.empty():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        log.record("test", {})
    said = [json.loads(e.payload) for e in entries(audit_folder(path)) if e.kind == "lost"]
    assert sum(body["lines"] for body in said) == log.lost
    assert verify(audit_folder(path)).broken is None


async def test_a_ledger_opens_though_the_disk_hangs(tmp_path, monkeypatch):
    """It waits once for a log that does not take its history, not for each event; what is lost is counted."""
    monkeypatch.setattr(audit_module, "CAPACITY", 4)
    monkeypatch.setattr(audit_module, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(audit_module, "CLOSING_SECONDS", 0.05)
    path, hangs = tmp_path / "run.sqlite", threading.Event()
    async with SqlLedger(path) as ledger:
        for number in range(30):
            await ledger.append(Halted(number, "x"))
    log = AuditLog(audit_folder(path))
    async with log:
        monkeypatch.setattr(AuditFiles, "append", lambda *_: hangs.wait(20))
        log.record("test", {})
        while not log._queue.empty():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        async with asyncio.timeout(2), SqlLedger(path, tap=log) as ledger:
            assert ledger.portfolio().halted == "x"
        assert log.lost == 26
        hangs.set()


async def test_a_disk_that_never_answers_does_not_hold_up_the_end(tmp_path, monkeypatch):
    """Closing waits so long and no longer, and what was to be told of it may fail as well."""
    monkeypatch.setattr(audit_module, "CLOSING_SECONDS", 0.05)
    hangs = threading.Event()
    log = AuditLog(tmp_path / "log", on_failure=lambda why: 1 / 0)
    async with log:
        monkeypatch.setattr(AuditFiles, "append", lambda *_: hangs.wait(20))
        log.record("test", {})
    assert log.failures == 1
    hangs.set()
    log._thread.join(5)
    assert not log._thread.is_alive()


async def test_a_tap_that_fails_does_not_reach_trading(tmp_path, caplog):
    """What it raises is logged; the events count and are there."""

    class Broken(AuditLog):
        def appended(self, entry, /):
            raise ZeroDivisionError

    path = tmp_path / "run.sqlite"
    report = await trade(path, Broken(audit_folder(path)))
    assert report.outcomes == {"completed": 1}
    assert "ZeroDivisionError" in caplog.text
    assert len(await journal(path)) > 10


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_checks_and_shows(tmp_path, capsys):
    """`verify` says what it checked, or which line breaks, with exit code 1; `show` the last lines, as text or as they are."""
    ledger = tmp_path / "a.sqlite"
    folder = audit_folder(ledger)
    write(folder, 3)
    code, out, _ = run(capsys, "audit", "verify", ledger)
    assert code == 0
    assert out.startswith("lines 1 to 4 in 1 file are as they were written; the last digest is ")
    assert run(capsys, "audit", "verify", folder)[1] == out
    code, out, _ = run(capsys, "audit", "show", folder, "--last", 2, "--json")
    assert [json.loads(line)["payload"]["number"] for line in out.splitlines()] == [1, 2]
    code, out, _ = run(capsys, "audit", "show", folder, "--last", 2)
    assert [line.split()[0] for line in out.splitlines()] == ["line", "3", "4"]
    file = files_in(folder)[0]
    file.write_bytes(file.read_bytes().replace(b'"number":0', b'"number":7'))
    code, out, _ = run(capsys, "audit", "verify", folder)
    assert (code, f"{file}, line 2: " in out) == (1, True)
    code, out, _ = run(capsys, "audit", "verify", folder, "--json")
    said = json.loads(out)
    assert (code, said["last"]) == (1, 1)
    assert "line 2" in said["broken"]


@pytest.mark.parametrize(
    ("kind", "payload", "sound"),
    [("Declined", "{}", True), ("Declined", "[1]", True), ("Declined", '{"code":["x"]}', True),
     ("removed", '{"through":"x"}', False), ("removed", '{"through":null}', False), ("removed", "{}", False)],
)  # fmt: skip
@pytest.mark.parametrize("at_ns", [0, 10**30])
def test_a_line_that_somebody_made_upsets_no_command(tmp_path, capsys, kind, payload, sound, at_ns):
    """A chain that holds, with lines that no triarb writes: verify, show and status answer all the same."""
    folder = tmp_path / "a.sqlite.audit"
    write(folder, 3)
    [file] = folder.iterdir()
    last = json.loads(file.read_text().splitlines()[-1])
    forged = Entry.after(last["digest"], last["seq"] + 1, at_ns, kind, payload)
    file.write_bytes(file.read_bytes() + render(forged))
    assert run(capsys, "audit", "verify", folder)[0] == (0 if sound else 1)
    assert run(capsys, "audit", "show", folder, "--last", 1)[0] == 0
    assert last_refusals(tmp_path / "a.sqlite") == []


def test_a_log_is_found_by_every_name_of_its_ledger(tmp_path, capsys):
    """An engine that was given a link writes beside the file; verify of the link looks there as well."""
    write(tmp_path / "a.sqlite.audit", 3)
    (tmp_path / "link.sqlite").symlink_to(tmp_path / "a.sqlite")
    assert run(capsys, "audit", "verify", tmp_path / "link.sqlite")[0] == 0


def test_the_command_says_what_is_missing(tmp_path, capsys):
    """No log, no line to show, or a line that is none: one sentence each."""
    code, _, err = run(capsys, "audit", "verify", tmp_path / "none.sqlite")
    assert (code, "there is no audit log" in err) == (1, True)
    write(tmp_path / "log", 3)
    assert run(capsys, "audit", "show", tmp_path / "log", "--last", 0)[0] == 2
    files_in(tmp_path / "log")[0].write_bytes(b"nonsense\n")
    assert "audit verify" in run(capsys, "audit", "show", tmp_path / "log")[2]


@given(line=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_text_at_all_can_upset_the_check(line):
    """Whatever a file holds, a line is an entry or is not; nothing is raised."""
    entry = parse(line)
    assert entry is None


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000 + b"\n",
        b'{"seq":1,"at_ns":1,"kind":"a","payload":NaN,"digest":"x"}\n',
        b'{"seq":1,"seq":1,"at_ns":1,"kind":"a","payload":{},"digest":"x"}\n',
        b'{"seq":1, "at_ns":1,"kind":"a","payload":{},"digest":"x"}\n',
    ],
)
def test_only_one_text_says_an_entry(line):
    """Another spelling of the same is no line: a change that JSON does not see is seen."""
    assert parse(line) is None
