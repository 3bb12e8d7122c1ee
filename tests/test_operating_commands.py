"""run, recover, resolve, flow, status: what they print, do and exit with, on a loopback exchange with real ccxt."""

import asyncio
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from triarb import CcxtGateway, Engine, RiskLimits, SqlLedger
from triarb.cli import main
from triarb.ledger import default_path, writer_of
from triarb.market import RateTable
from triarb.model import BalancesSet, EpochStarted, ExecutionStarted, Intended, Order, Side
from triarb.money import plain
from triarb.testing.execution import _plan
from triarb.testing.faults import DropAfter, Endpoint, FaultRule
from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
LOST = Order("triaaaan1l1a0", "BTC/USDT", Side.BUY, D(1), D("100.00"))
PROCESS = Path(__file__).parent / "trading_process.py"
RUN = ("run", "binance", "--cycles", 1, "--interval", "0.01", "--min-edge-bps", 1)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files, and the keys of the loopback exchange."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIARB_API_KEY", "loopback-key")
    monkeypatch.setenv("TRIARB_SECRET_KEY", "loopback-secret")


@pytest.fixture
def binance(monkeypatch):
    """What `binance` and its sandbox are in a test."""
    with in_background(SNAPSHOT, balances={"USDT": "1000"}) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        yield exchange


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def write(*events, path=None):
    """A ledger of the sandbox with these events."""
    path = path or default_path("binance", "sandbox")

    async def append():
        async with SqlLedger(path) as ledger:
            for event in events:
                await ledger.append(event)

    asyncio.run(append())
    return path


def cut_off():
    """A ledger whose engine died after its first intent; the exchange never had the order."""
    return write(
        EpochStarted(0, "aaaa", "binance", "sandbox"),
        BalancesSet(0, {"USDT": D(1000)}, "opening"),
        ExecutionStarted(0, 1, PLAN),
        Intended(0, 1, 1, LOST),
    )


# run


def test_run_trades_in_the_sandbox_with_the_keys_of_the_environment(capsys, binance):
    """A whole cycle on real ccxt, reported as sandbox, on the sandbox's ledger, and with what is claimed alone."""
    code, out, _ = run(capsys, *RUN, "--claim", "60 USDT", "--json")
    report = json.loads(out)
    assert (code, report["mode"], report["outcomes"]) == (0, "sandbox", {"completed": 1})
    assert len(binance.posts()) == 3
    status = json.loads(run(capsys, "status", "--json")[1])
    assert (status["claim"], status["beyond"]) == ({"USDT": "60"}, {"USDT": "940"})
    assert D(status["balances"]["USDT"]) > 60
    assert default_path("binance", "sandbox").exists()


def test_run_takes_its_options_from_where_paper_does(capsys, binance):
    """Both commands have one set of options, of which one that is wrong is one clear error."""
    for command in ("run", "paper"):
        code, _, err = run(capsys, command, "binance", "--claim", "many")
        assert (code, err.count("\n")) == (2, 1)
        assert "--claim=many: it is not a number" in err


ACCOUNT = """
claim = ["60 USDT"]
foreign_prefixes = []
watch_seconds = 7
freeze = true
"""


@pytest.mark.once
def test_what_of_the_account_is_the_engines_is_a_setting_of_every_command(
    capsys, binance, monkeypatch
):
    """E6, B6: claim, others' orders, the watch and the freeze of triarb.toml reach the engine of each command alike."""
    Path("triarb.toml").write_text(ACCOUNT)
    told, made = [], Engine.__init__

    def noting(self, *arguments, **options):
        told.append(
            {
                name: options[name]
                for name in ("claim", "foreign_prefixes", "watch_seconds", "freeze")
            }
        )
        made(self, *arguments, **options)

    monkeypatch.setattr(Engine, "__init__", noting)
    assert run(capsys, "paper", "binance", *RUN[2:])[0] == 0
    assert run(capsys, *RUN)[0] == 0
    assert run(capsys, "recover", "binance")[0] == 0
    assert run(capsys, "sweep", "binance")[0] == 0
    said = {"claim": {"USDT": D(60)}, "foreign_prefixes": (), "watch_seconds": 7.0, "freeze": True}
    assert told == [said] * 4
    assert json.loads(run(capsys, "status", "--json")[1])["claim"] == {"USDT": "60"}
    code, _, err = run(capsys, *RUN, "--claim", "61 USDT")
    assert (code, "the claim is 61 USDT" in err) == (2, True)
    shown = json.loads(run(capsys, "config", "show", "--json")[1])["settings"]
    assert (shown["foreign_prefixes"]["value"], shown["claim"]["value"]) == ("nobody's", "60 USDT")


def test_a_claim_tells_each_asset_once(capsys):
    """A number alone is the start asset, which must not be told beside it."""
    Path("triarb.toml").write_text('claim = [60, "5 USDT"]\nfreeze = "no"\nwatch_seconds = 0\n')
    code, _, err = run(capsys, "config", "show")
    assert (code, err.count("\n")) == (2, 4)
    for word in ("it tells USDT twice", "freeze=", "watch_seconds=0: it is out of range"):
        assert word in err


REFUSED = {
    "production asked for": ({"TRIARB_LIVE": "true", "TRIARB_SANDBOX": "false"}, "binance", 1, "arming.refused"),
    "no sandbox wanted": ({"TRIARB_SANDBOX": "false"}, "binance", 1, "gateway.production"),
    "no keys": ({"TRIARB_API_KEY": ""}, "binance", 2, "config.required"),
    "another company's sandbox": ({}, "binanceus", 1, "gateway.foreign_sandbox"),
    "no sandbox": ({}, "bitvavo", 1, "gateway.no_sandbox"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_run_refuses_whatever_is_no_sandbox(capsys, monkeypatch, binance, name):
    """Production is refused with its reason, whoever asks for it; nothing is sent."""
    variables, exchange, exit_code, error_code = REFUSED[name]
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    code, out, err = run(capsys, "run", exchange, "--json")
    assert (code, err) == (exit_code, "")
    assert json.loads(out)["error"]["code"] == error_code
    assert not binance.requests


# recover


@pytest.mark.once
def test_recover_proves_ends_and_says_so_and_a_second_one_finds_nothing(capsys, binance):
    """An order that never arrived is proven, its execution ended, nothing is sent, and it is all the same twice."""
    cut_off()
    code, out, _ = run(capsys, "recover")
    assert code == 0
    assert f"order {LOST.client_id}: never" in out
    assert "execution 1: ended nothing" in out
    assert not binance.posts()
    code, out, _ = run(capsys, "recover", "binance", "--json")
    [found] = json.loads(out)["ledgers"]
    assert (code, found["state"], found["proven"], found["ended"]) == (0, "done", {}, {})


def test_recover_brings_back_what_a_cycle_holds_and_begins_none(capsys, binance):
    """The rest of a cycle that was cut off after leg 1 is traded to its end; no other one begins."""
    binance.inject(FaultRule(Endpoint.SUBMIT, DropAfter(), nth=1))
    with pytest.raises(RuntimeError, match="power"):
        _die_after_leg_1(binance)
    assert len(binance.posts()) == 1
    status = json.loads(run(capsys, "status", "--json")[1])
    assert [e["number"] for e in status["open"]] == [1]
    assert "looked up and never sent again" in status["unplugged"][0]
    code, out, _ = run(capsys, "recover")
    assert code == 0
    assert "execution 1: ended completed" in out
    assert max(binance.posts().values()) == 1
    assert len(binance.posts()) == 3
    held = {a: b.total for a, b in binance.engine.balances.items()}
    status = json.loads(run(capsys, "status", "--json")[1])
    assert {a: D(n) for a, n in status["balances"].items()} == held


def _die_after_leg_1(exchange):
    """Let an engine's process end right after its first order was taken."""

    async def trade():
        gateway = CcxtGateway("binance", credentials=exchange.credentials)
        risk = RiskLimits(min_edge_bps=1, max_notional="100 USDT", max_daily_loss="20 USDT")
        submit = gateway.submit

        async def dying(order):
            await submit(order)
            raise _Gone

        gateway.submit = dying
        async with gateway, SqlLedger(default_path("binance", "sandbox")) as ledger:
            engine = Engine(gateway, risk=risk, ledger=ledger, start=["USDT"])
            await engine.run(cycles=1)

    try:
        asyncio.run(trade())
    except _Gone:
        raise RuntimeError("power") from None


class _Gone(BaseException):
    """The process is gone."""


@pytest.mark.once
def test_what_stays_stuck_is_exit_code_4_and_a_persons_word_ends_it(capsys, binance):
    """A8: stuck is told by recover, status and resume; resolve and the next recover end it."""
    path = cut_off()
    binance.engine.deposit(
        "BTC", D(1)
    )  # something else moved the asset: that it never arrived cannot be proven
    code, out, _ = run(capsys, "recover")
    assert code == 4
    assert f"order {LOST.client_id}: not proven" in out
    assert "stuck: execution 1; triarb recover looks again" in out
    code, out, _ = run(capsys, "status")
    assert code == 4
    assert f"{LOST.client_id} (buy 1 BTC/USDT at 100) is not proven" in " ".join(out.split())
    assert "stays stuck" in out
    code, _, err = run(capsys, "resume", path, "--by", "Ada")
    assert (code, "triarb resolve" in err) == (2, True)
    word = ("resolve", LOST.client_id, "--evidence", "their support says so")
    for wrong in ((), ("--filled", "x"), ("--filled", "2"), ("--never", "--filled", "1")):
        code, out, err = run(capsys, *word, *wrong)
        assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, _ = run(capsys, *word, "--never")
    assert (code, out) == (0, f"{LOST.client_id}: never; triarb recover ends its execution\n")
    code, out, _ = run(capsys, "recover")
    assert code == 0
    assert "execution 1: ended nothing" in out
    assert "BTC: 1 came to the exchange" in out
    assert run(capsys, "status")[0] == 0


def test_a_fill_that_a_person_tells_is_booked(capsys, binance):
    """Resolve --filled books the trade with its price and fee."""
    cut_off()
    code, _, err = run(capsys, "resolve", LOST.client_id, "--filled", "0.5", "--evidence", "seen")
    assert (code, "average price" in err) == (2, True)
    code, _, _ = run(
        capsys, "resolve", LOST.client_id, "--filled", "0.5", "--price", "100",
        "--fee", "0.0005 BTC", "--evidence", "seen",
    )  # fmt: skip
    assert code == 0
    balances = json.loads(run(capsys, "status", "--json")[1])["balances"]
    assert balances == {"USDT": "950", "BTC": "0.4995"}


@pytest.mark.once
def test_what_is_missing_is_exit_code_3_until_a_flow_explains_it(capsys, binance):
    """B6: a withdrawal that nobody told of halts; a flow with a note and a resume by name go on."""
    run(capsys, *RUN)
    binance.engine.deposit("USDT", D(-100))
    code, out, _ = run(capsys, "recover")
    assert code == 3
    assert "USDT: the exchange holds 100 less than the ledger" in out
    assert run(capsys, "status")[0] == 3
    code, out, _ = run(capsys, "flow", "-100 USDT", "--note", "to the bank")
    assert code == 0
    assert "it is halted still" in out
    path = default_path("binance", "sandbox")
    assert run(capsys, "resume", path, "--by", "Ada")[0] == 0
    assert run(capsys, "recover")[0] == 0


@pytest.mark.once
def test_a_deposit_is_the_owners_until_it_is_booked(capsys, binance):
    """B6: money that comes is told once and not traded with; a flow makes it the ledger's."""
    run(capsys, *RUN)
    before = D(json.loads(run(capsys, "status", "--json")[1])["balances"]["USDT"])
    binance.engine.deposit("USDT", D(100))
    assert "USDT: 100 came to the exchange" in run(capsys, "recover")[1]
    code, out, _ = run(capsys, "flow", "+100 USDT", "--note", "savings")
    assert (code, f"{plain(before + 100)} USDT are the ledger's now" in out) == (0, True)
    assert "nothing to recover" in run(capsys, "recover")[1]
    status = json.loads(run(capsys, "status", "--json")[1])
    assert status["beyond"] == {}


def test_recover_goes_on_with_a_paper_ledger(capsys, binance):
    """A ledger of paper trading is recovered on paper: nothing private is asked of the exchange."""
    run(capsys, "paper", "binance", "--cycles", 1, "--interval", "0.01", "--ledger", "p.sqlite")
    code, out, _ = run(capsys, "recover", "p.sqlite")
    assert (code, "nothing to recover" in out) == (0, True)
    assert not [r for r in binance.requests if r.path == "/api/v3/account"]


# What is wrong

WRONG = {
    "no ledger": (["recover", "none.sqlite"], 2, "usage.invalid"),
    "no ledger of an exchange": (["recover", "okx"], 2, "usage.invalid"),
    "no ledger at all": (["recover"], 2, "usage.invalid"),
    "no ledger to book in": (["flow", "+1 USDT", "--note", "x"], 2, "usage.invalid"),
    "no ledger to resolve in": (["resolve", "tri", "--never", "--evidence", "x"], 2, "usage.invalid"),
    "no ledger to look at": (["status", "none.sqlite"], 1, "ledger.missing"),
    "a flow without a sign": (["flow", "100 USDT", "--note", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "a flow of nothing": (["flow", "+0 USDT", "--note", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "a flow that says not of what": (["flow", "+5", "--note", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "a flow without a note": (["flow", "+5 USDT", "--note", " ", "--ledger", "FILE"], 2, "usage.invalid"),
    "more than is held": (["flow", "-5 USDT", "--note", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "no such order": (["resolve", "tri", "--never", "--evidence", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "a fee told twice": (["resolve", "t", "--filled", "1", "--fee", "1 A", "--fee", "2 A", "--evidence", "x", "--ledger", "FILE"], 2, "usage.invalid"),
    "a ledger of no account": (["recover", "FILE"], 2, "usage.invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_clear_line(capsys, tmp_path, name):
    """Each wrong call exits non-zero with one line; nothing is made or written."""
    arguments, exit_code, error_code = WRONG[name]
    if "FILE" in arguments:
        write(EpochStarted(0, "aaaa"), path=tmp_path / "empty.sqlite")
    arguments = [str(tmp_path / "empty.sqlite") if a == "FILE" else a for a in arguments]
    code, out, err = run(capsys, *arguments)
    assert (code, out, err.count("\n")) == (exit_code, "", 1)
    assert err.startswith("triarb: ")
    assert not Path("none.sqlite").exists()
    if arguments[0] in ("recover", "status"):
        told = json.loads(run(capsys, *arguments, "--json")[1])
        assert told["error"]["code"] == error_code


@pytest.mark.once
def test_what_writes_refuses_under_a_running_engine_and_status_tells_its_process(capsys, binance):
    """I15: recover, resolve and flow leave a ledger alone that is in use; status reads it and says by whom."""
    path = default_path("binance", "sandbox")
    write(EpochStarted(0, "aaaa", "binance", "sandbox"))
    command = [sys.executable, str(PROCESS), str(binance.port), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "trading\n"
        for words in (
            ["recover"],
            ["flow", "+1 USDT", "--note", "x"],
            ["resolve", "tri", "--never", "--evidence", "x"],
        ):
            code, _, err = run(capsys, *words)
            assert (code, f"process {process.pid} is using it" in err) == (1, True)
        assert f"running, process {process.pid}" in run(capsys, "status")[1]
    finally:
        process.kill()
        process.communicate()
    assert writer_of(path) is None
    assert writer_of(Path("none.sqlite")) is None
