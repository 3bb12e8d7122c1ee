"""What is left of the limits, and what was refused last: told by a ledger and its configuration, as an engine would find it."""

import asyncio
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from triarb import SqlLedger
from triarb.cli import main
from triarb.clock import NS_PER_SECOND, SystemClock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import CcxtGateway
from triarb.ledger.accounts import Accounts
from triarb.model import (
    BalancesSet,
    EpochStarted,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    LimitSet,
    Market,
    Outcome,
    Plan,
    PlannedLeg,
    Side,
)
from triarb.money import Money
from triarb.operations import TradingConfig
from triarb.operations.attendance import ack_file, acknowledge
from triarb.operations.audit_lines import audit_folder
from triarb.operations.headroom import headroom, headroom_or_why
from triarb.operations.limits import add_pending, limits_file
from triarb.operations.status import last_refusals
from triarb.risk import Marks
from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle
from triarb.testing.risk import NOW_NS, example_opportunities

D = Decimal
FEE = example_opportunities()["a triangle of 100 bps"].cycle.legs[0].fee
MARKET = Market("BTC/USDT", "BTC", "USDT")
LEG = PlannedLeg(MARKET, Side.BUY, D(1), D(1), FEE, D(1), D(1), D(1), D(1))
PLAN = Plan("BTC>USDT", "USDT", (LEG,), D(1), D(-1), (), D(100), 0)
ALL = {
    "max_drawdown": Money(D(40), "USDT"),
    "max_exposure": Money(D(150), "USDT"),
    "max_residue": Money(D(5), "USDT"),
    "max_consecutive_losses": 3,
    "max_cycles_per_minute": 4,
}


def ran(number, at_ns=NOW_NS, **changes):
    """The events of an execution that changed so much."""
    changed = {asset: D(change) for asset, change in changes.items()}
    execution = Execution(number, PLAN, (), Outcome.SHORT, changed, {}, at_ns, at_ns)
    return ExecutionStarted(at_ns, number, PLAN), ExecutionEnded(at_ns, execution)


def portfolio(*events):
    accounts = Accounts()
    for event in events:
        accounts.apply(event)
    return accounts.state.portfolio


def left(config, held, file=Path("none.sqlite")):
    """By name, what is left and why nothing is."""
    return {one.name: (one.left, one.why) for one in headroom(config, held, file, NOW_NS)}


def test_a_new_ledger_has_all_of_its_limits():
    """Nothing lost, nothing out, nobody hurried: what is left is the limit; those that are not set are not named."""
    assert left(TradingConfig(), portfolio()) == {
        "max_daily_loss": ("20 USDT", ""),
        "circuit breaker": ("all", ""),
    }
    told = left(TradingConfig(**ALL), portfolio())
    assert {name: amount for name, (amount, _) in told.items()} == {
        "max_daily_loss": "20 USDT",
        "max_drawdown": "40 USDT",
        "max_exposure": "150 USDT",
        "max_residue": "5 USDT",
        "max_consecutive_losses": "3",
        "max_cycles_per_minute": "4",
        "circuit breaker": "all",
    }


def test_what_was_lost_and_what_is_out_is_no_longer_left():
    """7 USDT lost and 1 USDT in an execution that runs: both count against the day, as a new cycle would find it."""
    held = portfolio(*ran(1, USDT="-7"), ExecutionStarted(NOW_NS, 2, PLAN))
    told = left(TradingConfig(**{**ALL, "max_drawdown": Money(D(8), "USDT")}), held)
    assert {name: amount for name, (amount, _) in told.items()} == {
        "max_daily_loss": "12 USDT",
        "max_drawdown": "0 USDT",
        "max_exposure": "149 USDT",
        "max_residue": "5 USDT",
        "max_consecutive_losses": "2",
        "max_cycles_per_minute": "2",
        "circuit breaker": "all",
    }
    assert "below their highest" in told["max_drawdown"][1]


def test_a_limit_that_is_reached_says_why_nothing_is_left():
    """Three losses in a row, a day's limit gone, a breaker that opened: each with the sentence of its refusal."""
    losses = [event for number in (1, 2, 3) for event in ran(number, USDT="-7")]
    config = TradingConfig(**{**ALL, "max_cycles_per_minute": 3}, breaker_losses=3)
    told = left(config, portfolio(*losses))
    assert told["max_daily_loss"][0] == "0 USDT"
    assert "21 USDT lost by the executions that ended today" in told["max_daily_loss"][1]
    assert told["max_consecutive_losses"] == (
        "0",
        "3 losses in a row: nothing until a person resumes",
    )
    assert told["max_cycles_per_minute"] == ("0", "3 began within a minute")
    assert told["circuit breaker"][0] == "nothing"
    assert "in a row lost; open until" in told["circuit breaker"][1]
    later = headroom(config, portfolio(*losses), Path("x"), NOW_NS + 301 * NS_PER_SECOND)
    assert [one.left for one in later if one.name == "circuit breaker"] == ["one cycle at a time"]
    waits = TradingConfig(breaker_losses=3)
    told = left(waits, portfolio(*ran(1, USDT="-1", ETH="-2")))
    assert told["max_daily_loss"][0] == "not known"
    assert "says nothing about ETH" in told["max_daily_loss"][1]


def test_a_market_to_value_by_is_not_at_hand():
    """A residue in another asset needs a market; none is read, and so it is said to be unknown rather than nothing."""
    config = TradingConfig(**ALL, references=("ETH/USDT",))
    amount, why = left(config, portfolio(*ran(1, USDT="-1", ETH="2")))["max_residue"]
    assert amount == "not known"
    assert "none is read" in why
    held = Marks().hold(Money(D(1), "USDT"), None, NOW_NS)
    with pytest.raises(UsageError, match="none is told"):
        held.bound(D(1))


def test_the_tightest_of_what_was_set_counts(tmp_path):
    """What waits beside the ledger counts, and what is unset does not; a file that makes no sense is told, not skipped."""
    ledger = tmp_path / "mine.sqlite"
    held = portfolio(LimitSet(0, "max_daily_loss", "9 USDT", "Ada", loosens=False))
    assert left(TradingConfig(), held, ledger)["max_daily_loss"] == ("9 USDT", "")
    add_pending(limits_file(ledger), LimitSet(0, "max_daily_loss", "8 USDT", "Ada", loosens=False))
    assert left(TradingConfig(), held, ledger)["max_daily_loss"] == ("8 USDT", "")
    limits_file(ledger).write_text("nonsense\n")
    found, note = headroom_or_why(TradingConfig, held, ledger, NOW_NS)
    assert found == []
    assert note.startswith("not known: ")


def test_the_time_until_somebody_must_look_again_is_told(tmp_path):
    """Nobody yet, just now, and too long ago; nothing where nobody must."""
    ledger = tmp_path / "mine.sqlite"
    config = TradingConfig(ack_hours=D(12))
    assert left(config, portfolio(), ledger)["ack_hours"][0] == "0 hours"
    acknowledge(ledger, "Ada")
    assert left(config, portfolio(), ledger)["ack_hours"] == ("12 hours", "")
    long_ago = SystemClock().now_ns() // NS_PER_SECOND - 13 * 3600
    os.utime(ack_file(ledger), (long_ago, long_ago))
    amount, why = left(config, portfolio(), ledger)["ack_hours"]
    assert (amount, "triarb ack" in why) == ("0 hours", True)
    ahead = SystemClock().now_ns() // NS_PER_SECOND + 3600
    os.utime(ack_file(ledger), (ahead, ahead))
    amount, why = left(config, portfolio(), ledger)["ack_hours"]
    assert (amount, "future" in why) == ("0 hours", True)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    """A paper ledger of a few seconds' refusals, in a folder with its configuration."""
    monkeypatch.chdir(tmp_path)
    Path("triarb.toml").write_text(
        'exchange = "binance"\nledger = "mine.sqlite"\nmin_edge_bps = 300\ninterval_seconds = 0.01\n'
    )
    with in_background(planted_triangle()) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        assert main(["paper", "--seconds", "0.1", "--json"]) == 0
    return tmp_path / "mine.sqlite"


def status(capsys, *arguments):
    capsys.readouterr()
    code = main(["status", "mine.sqlite", *arguments])
    return code, capsys.readouterr().out


def test_status_tells_limits_and_the_last_refusals(capsys, ledger):
    """By its own configuration without a note; for programs the same; and each refusal with its own sentence."""
    code, out = status(capsys)
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert "limit max_daily_loss 20 USDT, left 20 USDT" in lines
    assert any("risk.min_edge: an edge of" in line for line in lines if "last refused" in line)
    data = json.loads(status(capsys, "--json")[1])
    assert [one["name"] for one in data["limits"]] == ["max_daily_loss", "circuit breaker"]
    assert (data["limits_note"], data["last_refusals"][0]["code"]) == (None, "risk.min_edge")
    assert len(data["last_refusals"]) == len(last_refusals(ledger)) == 1
    log = audit_folder(ledger)
    for file in log.iterdir():
        file.write_text("nonsense\n")
    assert json.loads(status(capsys, "--json")[1])["last_refusals"] == []


def test_status_answers_whatever_the_configuration_says(capsys, ledger):
    """Another configuration than the engine's is noted; one that is wrong leaves the rest of the answer as it is."""
    Path("triarb.toml").write_text("max_daily_loss = 5\n")
    data = json.loads(status(capsys, "--json")[1])
    assert data["limits"][0]["left"] == "5 USDT"
    assert "the last engine ran on another one" in data["limits_note"]
    Path("triarb.toml").write_text("max_daily_los = 5\n")
    code, out = status(capsys)
    assert code == 0
    assert "did you mean max_daily_loss?" in " ".join(out.split())
    assert "if unplugged now" in out
    data = json.loads(status(capsys, "--json", "--config", "nowhere.toml")[1])
    assert (data["limits"], data["state"]) == ([], "done")
    assert data["limits_note"].startswith("not known: nowhere.toml")


def test_a_halt_outlives_the_plug(capsys, ledger):
    """What would happen if the plug were pulled says that a halt stays, and a resume takes that back."""
    assert main(["halt", "mine.sqlite", "--reason", "drill"]) == 0
    code, out = status(capsys, "--json")
    data = json.loads(out)
    assert (code, data["halted"]) == (3, "drill")
    assert data["unplugged"][1:] == [
        "it stays halted: the next start begins no cycle until triarb resume"
    ]
    assert main(["resume", "mine.sqlite", "--by", "Ada"]) == 0
    assert len(json.loads(status(capsys, "--json")[1])["unplugged"]) == 1


def test_a_ledger_without_an_engine_has_limits_too(capsys, tmp_path, monkeypatch):
    """One that no command began has no word on what it ran on."""
    monkeypatch.chdir(tmp_path)

    async def write():
        async with SqlLedger(tmp_path / "mine.sqlite") as opened:
            await opened.append(EpochStarted(0, "aaaa", "binance", "sandbox"))
            await opened.append(BalancesSet(0, {"USDT": D(1000)}, "opening"))

    asyncio.run(write())
    data = json.loads(status(capsys, "--json")[1])
    assert (data["limits"][0]["left"], data["limits_note"]) == ("20 USDT", None)
