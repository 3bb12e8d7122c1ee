"""Never unattended: alerts, pings and acknowledgements, which can neither block nor break trading, and never show where they go."""

import asyncio
import json
import logging
import os
import socket
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import attrs
import pytest

from triarb import (
    Attended,
    DeadMan,
    Engine,
    Oversight,
    ReplayGateway,
    RiskLimits,
    Secret,
    SqlLedger,
    Tape,
    TradingConfig,
    UsageError,
    Webhook,
)
from triarb.cli import main
from triarb.exceptions import LedgerError
from triarb.model import Approved, Declined, Executed, Halted, Nominated, Outcome, Refused, RunEnded
from triarb.operations import alerts, attendance
from triarb.operations.attendance import HOUR_NS, ack_file, acknowledge
from triarb.operations.audit_files import AuditFiles
from triarb.operations.audit_lines import audit_folder, last_entries
from triarb.testing import check_risk_policy
from triarb.testing.market import planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
NOW_NS = 1_800_000_000_000_000_000


class Watcher:
    """A web server on loopback: what it was asked, and how it answers (a status, or "hang", or "drip")."""

    def __init__(self) -> None:
        self.asked, self.answer, self.over = [], 200, threading.Event()
        watcher = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                watcher.asked.append((self.command, self.path, json.loads(body or b"null")))
                if watcher.answer == "hang":
                    watcher.over.wait(20)
                    return
                if watcher.answer == "drip":
                    while not watcher.over.wait(0.02):
                        self.wfile.write(b"H")
                    return
                self.send_response(watcher.answer)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            do_GET = do_POST = answer  # noqa: N815 - what the library looks for

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                """Whoever hung up is no error."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/CANARYTOKEN?key=CANARYTOKEN"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def watcher():
    """A watcher that answers 200."""
    opened = Watcher()
    yield opened
    opened.close()


async def until(true, seconds=5.0):
    """Wait until `true()`, and fail if it does not come to be."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - it happens on another thread
            await asyncio.sleep(0.005)


def gateway():
    """A planted triangle that can be traded once."""
    return ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})


def declined(code, **numbers):
    """A refusal with `code`."""
    return Declined(NOW_NS, None, Refused(code, f"{code}!", numbers))


@pytest.mark.once
async def test_a_halt_is_told(watcher):
    """At once, as JSON that says what, where and when; what ended the engine is told before it is closed."""
    about = {"exchange": "binance", "mode": "paper"}
    async with (
        Webhook(watcher.url, about=about) as webhook,
        gateway() as opened,
        SqlLedger("sqlite://") as ledger,
        Engine(opened, risk=LIMITS, ledger=ledger, observers=[webhook]) as engine,
    ):
        await engine.halt("prices look wrong")
    ((method, path, body),) = watcher.asked
    assert (method, path) == ("POST", "/CANARYTOKEN?key=CANARYTOKEN")
    assert body["alert"] == "halted"
    assert body["text"] == "triarb binance paper: halted: prices look wrong"
    assert (body["messages"], body["count"], body["mode"]) == (["prices look wrong"], 1, "paper")
    assert body["first"] == body["last"]
    assert (webhook.sent, webhook.failures) == (1, 0)


def test_what_is_told_and_what_is_not(watcher):
    """A stuck execution, limits on losses also where another policy refused first, and nobody attending; nothing else."""
    told = [
        kind
        for event in (
            declined("risk.daily_loss"),
            declined("risk.min_edge", also="risk.drawdown, risk.consecutive_losses"),
            declined("risk.unattended"),
            declined("risk.min_edge"),
            Nominated(NOW_NS, ()),
        )
        for kind, _ in alerts._alarming(event)
    ]
    assert told == ["loss_limit", "loss_limit", "unattended"]


async def test_a_stuck_execution_is_told(watcher):
    """By its number, from the event that says so."""
    events = []
    async with gateway() as opened, SqlLedger("sqlite://") as ledger:
        await Engine(opened, risk=LIMITS, ledger=ledger, observers=[events.append]).run()
    (done,) = [event for event in events if isinstance(event, Executed)]
    stuck = attrs.evolve(done, execution=attrs.evolve(done.execution, outcome=Outcome.STUCK))
    async with Webhook(watcher.url) as webhook:
        for event in events:
            webhook(event)
        webhook(stuck)
    ((_, _, body),) = watcher.asked
    assert body["alert"] == "stuck"
    assert "execution 1 of BTC>ETH>USDT" in body["text"]


async def test_a_row_of_the_same_is_told_together(watcher):
    """The first at once; ten thousand more are one alert with their number, and the few that differ by their words."""
    async with Webhook(watcher.url, min_seconds=60) as webhook:
        webhook(declined("risk.daily_loss"))
        await until(lambda: webhook.sent == 1)
        for number in range(10_000):
            webhook.tell("loss_limit", f"loss {number}", NOW_NS + number)
        webhook(declined("risk.unattended"))
        await until(lambda: webhook.sent == 2)
        assert len(webhook._waiting["loss_limit"].messages) == alerts.MESSAGES
    kinds = [body["alert"] for _, _, body in watcher.asked]
    assert kinds == ["loss_limit", "unattended", "loss_limit"]
    last = watcher.asked[-1][2]
    assert (last["count"], len(last["messages"])) == (10_000, alerts.MESSAGES)
    assert last["text"].endswith("loss 0 (and 9999 more)")


async def test_the_rate_is_kept(watcher):
    """Between two alerts of a kind there are at least so many seconds."""
    async with Webhook(watcher.url, min_seconds=0.2) as webhook:
        began = time.monotonic()
        for _ in range(3):
            sent = webhook.sent
            webhook.tell("loss_limit", "x")
            await until(lambda sent=sent: webhook.sent > sent)
        assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("answer", [500, 302, 404])
async def test_what_is_not_taken_is_told_again(watcher, answer, monkeypatch, caplog):
    """With what came since; a redirect is not followed, since it would take the token with it. Logged once."""
    monkeypatch.setattr(alerts, "RETRY_SECONDS", 0.02)
    watcher.answer = answer
    async with Webhook(watcher.url, min_seconds=0) as webhook:
        webhook.tell("halted", "one")
        await until(lambda: webhook.failures >= 2)
        webhook.tell("halted", "two")
        watcher.answer = 200
        await until(lambda: webhook.sent >= 1 and not webhook._waiting)
    told = [message for _, _, body in watcher.asked for message in body["messages"]]
    assert {"one", "two"} <= set(told)
    assert all(path.startswith("/CANARYTOKEN") for _, path, _ in watcher.asked)
    assert len([r for r in caplog.records if r.name == "triarb.alerts"]) == 1


@pytest.mark.parametrize("answer", ["hang", "drip"])
async def test_a_server_that_hangs_holds_up_nothing(watcher, answer, monkeypatch):
    """An engine trades to its end within its usual time, with alerts and pings on their way; the end waits a bounded time."""
    monkeypatch.setattr(alerts, "CLOSING_SECONDS", 0.3)
    watcher.answer = answer
    async with gateway() as opened, SqlLedger("sqlite://") as ledger:
        await Engine(opened, risk=LIMITS, ledger=ledger).run()  # loads what a first run loads
    began = time.monotonic()
    async with gateway() as opened, SqlLedger("sqlite://") as ledger:
        webhook = Webhook(watcher.url, timeout_seconds=0.2)
        dead_man = DeadMan(watcher.url, check=ledger.check, every_seconds=0.01, timeout_seconds=0.2)
        async with webhook, dead_man:
            for number in range(100):
                webhook.tell("loss_limit", str(number))
            engine = Engine(opened, risk=LIMITS, ledger=ledger, observers=[webhook, dead_man])
            report = await engine.run()
            assert time.monotonic() - began < 3
            dead_man(Nominated(NOW_NS, ()))
            await until(lambda: dead_man.failures and webhook.failures)
    assert report.outcomes == {"completed": 1}
    assert time.monotonic() - began < 6
    assert webhook.sent == dead_man.pings == 0


async def test_nobody_there_is_counted(monkeypatch):
    """A port that refuses is a failure like any other; the end is not waited for longer than it may take."""
    monkeypatch.setattr(alerts, "CLOSING_SECONDS", 0.3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        async with Webhook(url) as webhook:
            webhook.tell("halted", "x")
        assert webhook.failures >= 1


async def test_pings_come_only_while_the_engine_works(watcher):
    """With an event since the last one, and a ledger that takes a write; else none, and a halt is no work."""
    broken = []

    async def check():
        if broken:
            raise LedgerError("full", code="ledger.full")

    async with DeadMan(watcher.url, check=check, every_seconds=0.02) as dead_man:
        await until(lambda: dead_man.withheld >= 2)
        dead_man(Halted(NOW_NS, "x"))
        dead_man(RunEnded(NOW_NS, NOW_NS, "x", "paper", {}, {}))
        await until(lambda: dead_man.withheld >= 5)
        assert watcher.asked == []
        dead_man(Nominated(NOW_NS, ()))
        await until(lambda: dead_man.pings == 1)
        broken.append(1)
        withheld = dead_man.withheld
        dead_man(Nominated(NOW_NS, ()))
        await until(lambda: dead_man.withheld >= withheld + 2)
    assert [method for method, *_ in watcher.asked] == ["GET"]


async def test_no_ping_for_a_ledger_that_somebody_locks(watcher, tmp_path):
    """The check is a write that waits for the disk: what stops an event from being written stops the ping."""
    async with (
        SqlLedger(tmp_path / "a.sqlite", busy_timeout_ms=20) as ledger,
        DeadMan(watcher.url, check=ledger.check, every_seconds=0.02) as dead_man,
    ):
        dead_man(Nominated(NOW_NS, ()))
        await until(lambda: dead_man.pings == 1)
        other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        withheld = dead_man.withheld
        dead_man(Nominated(NOW_NS, ()))
        await until(lambda: dead_man.withheld > withheld + 1)
        assert dead_man.pings == 1
        other.execute("ROLLBACK")
        other.close()
        dead_man(Nominated(NOW_NS, ()))
        await until(lambda: dead_man.pings == 2)


async def test_checking_a_ledger_changes_nothing(tmp_path):
    """However often it is asked, the journal is as it was; a ledger that is only read refuses."""
    async with SqlLedger(tmp_path / "a.sqlite") as ledger:
        await ledger.append(Halted(1, "x"))
        for _ in range(20):
            await ledger.check()
        assert len(list(ledger.events())) == 1
        await ledger.append(Halted(2, "y"))
    async with SqlLedger(tmp_path / "a.sqlite", read_only=True) as ledger:
        with pytest.raises(LedgerError):
            await ledger.check()
    async with SqlLedger("sqlite://") as ledger:
        await ledger.check()


async def test_no_ping_where_the_loop_does_not_answer(watcher):
    """An engine whose loop hangs does not work, whatever it told before."""
    dead_man = DeadMan(watcher.url, every_seconds=0.02, timeout_seconds=0.05)
    async with dead_man:
        dead_man(Nominated(NOW_NS, ()))
        time.sleep(0.3)  # noqa: ASYNC251 - the loop hangs
        assert (watcher.asked, dead_man.withheld > 0) == ([], True)


@pytest.mark.parametrize(
    "url", ["", "ftp://x/CANARYTOKEN", "CANARYTOKEN", "https://", "http://[CANARYTOKEN"]
)
def test_no_address_is_refused_without_showing_it(url):
    """What is wrong is said, and not with what."""
    for make in (Webhook, DeadMan):
        with pytest.raises(UsageError) as caught:
            make(url)
        assert "CANARY" not in str(caught.value)
        assert caught.value.__context__ is None or "CANARY" not in repr(caught.value.__context__)


@pytest.mark.parametrize("times", [{"timeout_seconds": 0}, {"min_seconds": -1}])
def test_times_must_make_sense(times):
    """A timeout of nothing, and a rate below nothing, are refused."""
    with pytest.raises(UsageError):
        Webhook("https://x/", **times)
    with pytest.raises(UsageError):
        DeadMan("https://x/", every_seconds=0)


@pytest.fixture
def opportunity():
    """Something to review."""
    found = []
    asyncio.run(_opportunity(found))
    return found[0]


async def _opportunity(found):
    async with (
        gateway() as opened,
        SqlLedger("sqlite://") as ledger,
        Engine(opened, risk=LIMITS, ledger=ledger) as engine,
    ):
        found += await engine.scan_once()


def test_nobody_attending_lets_nothing_begin(tmp_path, opportunity):
    """Without the file, with one that is too old, from the future, or that cannot be looked at: refused, with the numbers."""
    ledger = tmp_path / "a.sqlite"
    policy = Attended(ack_file(ledger), 12, wall_ns=lambda: NOW_NS)

    def review(now_ns=NOW_NS):
        return policy.review(opportunity, None, now_ns)

    def touch(at_ns):
        os.utime(ack_file(ledger), ns=(at_ns, at_ns))

    missing = review()
    assert (missing.code, missing.numbers["hours"]) == ("risk.unattended", "never")
    acknowledge(ledger, "Ada")
    assert ack_file(ledger).read_text() == "Ada\n"
    for age_hours, code in (
        (0, None),
        (12, None),
        (12.01, "risk.unattended"),
        (-1, "risk.unattended"),
    ):
        touch(NOW_NS - int(age_hours * HOUR_NS))
        answer = review()
        assert (answer.code if isinstance(answer, Refused) else None) == code
    touch(NOW_NS - 13 * HOUR_NS)
    assert review().numbers == {"hours": 13.0, "max_hours": 12.0}
    touch(NOW_NS)
    assert isinstance(review(NOW_NS + HOUR_NS), Approved)
    assert isinstance(review(NOW_NS + 13 * HOUR_NS), Refused)
    beyond = Attended(tmp_path / ("x" * 300), 12, wall_ns=lambda: NOW_NS)
    assert "cannot be looked at" in beyond.review(opportunity, None, NOW_NS).sentence


def test_attendance_is_a_risk_policy(tmp_path):
    """It keeps what a policy promises."""
    acknowledge(tmp_path / "a.sqlite", "Ada")
    check_risk_policy(lambda: Attended(ack_file(tmp_path / "a.sqlite"), 10**5))


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_hours_must_make_sense(tmp_path, hours):
    """None, fewer and endless ones are refused."""
    with pytest.raises(UsageError):
        Attended(tmp_path / "a", hours)


def watched(tmp_path, **told):
    """A configuration with what watches over an engine, and its parts."""
    config = TradingConfig(exchange="binance", **told)
    return config, Oversight.of(config, tmp_path / "run.sqlite", "paper")


async def trade(tmp_path, watch, gateway=gateway):
    """A run of an engine with `watch` over it."""
    path = tmp_path / "run.sqlite"
    async with gateway() as opened, watch, SqlLedger(path, tap=watch.tap) as ledger:
        engine = Engine(
            opened,
            risk=watch.guarded(LIMITS),
            ledger=ledger,
            start=["USDT"],
            observers=watch.observers,
        )
        async with watch.over(engine, ledger):
            return await engine.run()


async def test_a_configuration_is_all_that_is_needed(tmp_path, watcher):
    """Without an acknowledgement nothing begins, and that is told; with one it trades, also after a restart."""
    url = Secret(watcher.url)
    told = {"ack_hours": 12, "webhook_url": url, "dead_man_url": url}
    _, watch = watched(tmp_path, **told)
    report = await trade(tmp_path, watch)
    assert dict(report.refused) == {"risk.unattended": 1}
    assert report.executions == ()
    assert [body["alert"] for _, _, body in watcher.asked] == ["unattended"]
    acknowledge(tmp_path / "run.sqlite", "Ada")
    for _ in range(2):
        report = await trade(tmp_path, watched(tmp_path, **told)[1])
        assert report.outcomes == {"completed": 1}
    written = last_entries(audit_folder(tmp_path / "run.sqlite"), 10**6)
    (*_, configuration) = [e for e in written if e.kind == "Configuration"]
    said = json.loads(configuration.payload)
    assert said["settings"]["ack_hours"]["value"] == "12"
    assert said["settings"]["webhook_url"]["value"] == "***"
    assert (len(said["digest"]), len(said["hash"])) == (16, 64)


async def test_what_is_off_is_not_there(tmp_path):
    """Nothing watches over an engine whose configuration asks for nothing."""
    _, watch = watched(tmp_path, audit="off")
    assert (watch.tap, watch.observers, watch.guarded(LIMITS)) == (None, (), LIMITS)
    assert (await trade(tmp_path, watch)).outcomes == {"completed": 1}
    assert not audit_folder(tmp_path / "run.sqlite").exists()


@pytest.mark.parametrize(("audit", "state"), [("required", "halted"), ("on", "done")])
async def test_an_audit_log_that_is_required_halts(tmp_path, watcher, monkeypatch, audit, state):
    """Where it cannot be written: with a halt that stays, and an alert; one that is not required only warns."""

    def fails(*_):
        raise OSError(28, "No space left on device")

    _, watch = watched(tmp_path, audit=audit, webhook_url=Secret(watcher.url))
    path = tmp_path / "run.sqlite"
    async with gateway() as opened, watch, SqlLedger(path, tap=watch.tap) as ledger:
        engine = Engine(opened, risk=LIMITS, ledger=ledger, observers=watch.observers)
        async with engine, watch.over(engine, ledger):
            monkeypatch.setattr(AuditFiles, "append", fails)
            watch.audit.record("test", {})
            await until(lambda: watch.audit.failures)
            await asyncio.sleep(0.05)
            report = await engine.run()
            assert (report.state == "halted") == (state == "halted")
            assert bool(report.executions) == (state == "done")
    assert (tmp_path / "run.sqlite.halt").exists() == (state == "halted")
    assert "audit" in [body["alert"] for _, _, body in watcher.asked]


async def all_of_it(path, watch):
    """An alert, a run and a ping, each on its way to where the watcher may do with it what it likes."""
    watch.webhook._timeout_seconds = watch.dead_man._timeout_seconds = 0.1
    watch.dead_man._every_seconds = 0.02
    async with gateway() as opened, watch, SqlLedger(path, tap=watch.tap) as ledger:
        engine = Engine(opened, risk=LIMITS, ledger=ledger, observers=watch.observers)
        async with engine, watch.over(engine, ledger):
            watch.webhook.tell("test", "x")
            await engine.run()
            watch.dead_man(Nominated(NOW_NS, ()))
            await until(lambda: watch.dead_man.pings + watch.dead_man.failures)


@pytest.mark.once
def test_no_token_shows_anywhere(tmp_path, watcher, caplog, capfd, monkeypatch):
    """I13: the addresses, which hold tokens, are in no log at DEBUG, no output, no file and no repr, whatever fails."""
    caplog.set_level(logging.DEBUG)
    for name in ("asyncio", "aiohttp", "aiohttp.client", "triarb"):
        caplog.set_level(logging.DEBUG, logger=name)
    monkeypatch.setattr(alerts, "CLOSING_SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)
    Path("triarb.toml").write_text(
        f'exchange = "binance"\nwebhook_url = "{watcher.url}"\ndead_man_url = "{watcher.url}"\n'
    )
    Path("triarb.toml").chmod(0o600)
    shown = []
    for answer in (200, 500, "hang"):
        watcher.answer = answer
        config = TradingConfig.load(environ={})
        watch = Oversight.of(config, tmp_path / "run.sqlite", "paper")
        shown += [repr(x) for x in (config, watch, watch.webhook, watch.dead_man)]
        asyncio.run(all_of_it(tmp_path / "run.sqlite", watch))
    assert main(["config", "show"]) == main(["config", "show", "--json"]) == 0
    assert watcher.asked
    files = [f for f in tmp_path.rglob("*") if f.is_file() and f.name != "triarb.toml"]
    assert any(f.suffix == ".jsonl" for f in files)
    shown += [f.read_bytes().decode("latin-1") for f in files]
    shown += [caplog.text, *capfd.readouterr()]
    assert not [text for text in shown if "CANARYTOKEN" in text]


def test_the_command_acknowledges(tmp_path, capsys):
    """`triarb ack` makes the file, says where no ledger is yet, needs a name, and a folder that is there."""
    ledger = tmp_path / "a.sqlite"
    assert main(["ack", str(ledger), "--by", "Ada"]) == 0
    early = "(there is no ledger yet: it holds for one that is begun there)"
    assert capsys.readouterr().out == f"acknowledged {ledger}: Ada {early}\n"
    ledger.touch()
    assert main(["ack", str(ledger), "--by", "Ada"]) == 0
    assert capsys.readouterr().out == f"acknowledged {ledger}: Ada\n"
    assert ack_file(ledger).read_text() == "Ada\n"
    assert main(["ack", str(ledger), "--by", " "]) == 2
    assert main(["ack", str(tmp_path / "no" / "a.sqlite"), "--by", "Ada"]) == 2
    ack_file(ledger).unlink()
    ack_file(ledger).mkdir()
    (ack_file(ledger) / "x").touch()
    assert main(["ack", str(ledger), "--by", "Ada"]) == 1
    assert "make that file" in capsys.readouterr().err


def test_a_dead_man_who_never_began_knows_nothing():
    """Before it is entered there is no loop to ask."""
    assert DeadMan("https://x/")._writable() is False
    assert attendance.CLOSING_SECONDS > 0
