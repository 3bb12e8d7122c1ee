"""sweep: what executions left in other assets comes back, through intents, and what no market takes stays and is said."""

import asyncio
import json
from decimal import Decimal

import pytest

from triarb import CcxtGateway, Engine, ReplayGateway, RiskLimits, SqlLedger, Tape
from triarb.cli import main
from triarb.ledger import default_path
from triarb.market import RateTable
from triarb.model import (
    BalancesSet,
    EpochStarted,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Outcome,
    Refused,
)
from triarb.report import Report
from triarb.risk import CircuitBreaker
from triarb.testing.execution import _plan
from triarb.testing.faults import DropAfter, Endpoint, FaultRule
from triarb.testing.loopback import in_background
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
LIMITS = RiskLimits(min_edge_bps=1, max_notional="100 USDT", max_daily_loss="20 USDT")


def history(mode="sandbox", exchange="binance", **left):
    """A ledger after an execution that ended short and left so much."""
    changes = {"USDT": D(-10), **{asset: D(amount) for asset, amount in left.items()}}
    short = Execution(1, PLAN, (), Outcome.SHORT, changes, {}, START_NS, START_NS)
    held = {"USDT": D(900), **{asset: D(amount) for asset, amount in left.items()}}
    return (
        EpochStarted(START_NS, "aaaa", exchange, mode),
        BalancesSet(START_NS, held, "opening"),
        ExecutionStarted(START_NS, 1, PLAN),
        ExecutionEnded(START_NS, short),
    )


async def appended(ledger, events):
    """`ledger` after `events`."""
    for event in events:
        await ledger.append(event)


@pytest.fixture
async def engine():
    """An engine over a replay, whose last execution left 2 ETH."""
    gateway = ReplayGateway(Tape.of(SNAPSHOT, []), balances={"USDT": "900", "ETH": "2"})
    async with gateway, SqlLedger("sqlite://") as ledger:
        await appended(ledger, history("replay", "generated", ETH="2"))
        async with Engine(gateway, risk=LIMITS, ledger=ledger) as opened:
            yield opened


async def test_a_plan_alone_sends_nothing(engine):
    """Without consent the way is shown, with its orders, on books that were just read."""
    before = len(list(engine.ledger.events()))
    found = await engine.sweep("USDT")
    [route] = found.routes
    assert (route.give, route.get, found.executions) == ("ETH", "USDT", ())
    assert "2 ETH brings" in str(found)
    assert len(list(engine.ledger.events())) == before


async def test_a_sweep_is_an_execution_of_its_own(engine):
    """It has its intents and fills, ends completed, brings what it brings, and takes the left-over off the record."""
    found = await engine.sweep("USDT", carry_out=True)
    [done] = found.executions
    portfolio = engine.ledger.portfolio()
    assert (done.number, done.outcome) == (2, Outcome.COMPLETED)
    assert done.result == done.changes["USDT"] == found.routes[0].brought
    assert portfolio.balances == {"USDT": 900 + done.result}
    assert (dict(portfolio.residues), dict(portfolio.reserved)) == ({}, {})
    held = {a: b.total for a, b in (await engine.gateway.balances()).items()}
    assert dict(portfolio.balances) == held
    assert [type(e).__name__ for e in engine.ledger.events()][-6:-1] == [
        "ExecutionStarted", "Intended", "Answered", "Filled", "Proven",
    ]  # fmt: skip
    assert "execution 2: completed" in str(found)
    assert (await engine.sweep("USDT")).routes == ()
    assert str(await engine.sweep("USDT")) == "nothing is left in other assets"


async def test_a_sweep_counts_neither_as_a_good_cycle_nor_as_a_bad_one(engine):
    """It ends no row of losses and closes no breaker, whatever it brings; its result is the day's."""
    await engine.sweep("USDT", carry_out=True)
    portfolio = engine.ledger.portfolio()
    assert portfolio.health.consecutive_losses == 1
    breaker = CircuitBreaker(failures=1, recovery_seconds=1)
    now_ns = engine.clock.now_ns()
    assert "open" in str(breaker.stands(portfolio, now_ns).state)
    assert sum(portfolio.realised.values()) == portfolio.recent[-1].result - 10
    assert Report.of(engine.ledger.events()).residues == {}


async def test_a_halted_engine_plans_and_sends_nothing(engine):
    """I8: a sweep is exposure that a person chose; a halt forbids it all the same."""
    await engine.halt("prices look wrong")
    found = await engine.sweep("USDT", carry_out=True)
    assert (found.refused.code, found.executions) == ("engine.halted", ())
    assert "halted: prices look wrong" in str(found)


async def test_what_no_market_takes_stays(engine):
    """B4: below every minimum, or without a way, it stays on record and is said with its code."""
    await engine.sweep("USDT", carry_out=True)
    await appended(
        engine.ledger,
        [
            BalancesSet(START_NS, {"ETH": D("0.00001"), "XYZ": D(1)}, "flow: x"),
            ExecutionStarted(START_NS, 3, PLAN),
            ExecutionEnded(
                START_NS,
                Execution(
                    3, PLAN, (), Outcome.SHORT,
                    {"ETH": D("0.00001"), "XYZ": D(1), "BTC": D(-1)}, {}, START_NS, START_NS,
                ),
            ),
        ],
    )  # fmt: skip
    found = await engine.sweep("USDT")
    assert {asset: one.code for asset, one in found.stays.items()} == {
        "ETH": "route.below_minimum",
        "XYZ": "route.none",
    }
    assert "ETH stays: route.below_minimum" in str(found)
    assert isinstance(found.stays["ETH"], Refused)


# The command


@pytest.fixture
def binance(monkeypatch, tmp_path):
    """What `binance` and its sandbox are in a test: they hold what the ledger holds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIARB_API_KEY", "loopback-key")
    monkeypatch.setenv("TRIARB_SECRET_KEY", "loopback-secret")

    async def write():
        async with SqlLedger(default_path("binance", "sandbox")) as ledger:
            await appended(ledger, history(ETH="2", BTC="0.00001"))

    asyncio.run(write())
    held = {"USDT": "900", "ETH": "2", "BTC": "0.00001"}
    with in_background(SNAPSHOT, balances=held) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        yield exchange


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command."""
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_shows_its_plan_and_trades_with_consent(capsys, binance):
    """Shown first, sent with --yes through real ccxt, each order once; what is too small stays and is said."""
    code, out, _ = run(capsys, "sweep")
    assert (code, binance.posts()) == (0, {})
    assert "sell 2 ETH/USDT" in out
    assert "BTC stays: route.below_minimum" in out
    assert "--yes sends these orders" in out
    code, out, _ = run(capsys, "sweep", "binance", "--yes", "--json")
    told = json.loads(out)
    assert (code, told["executions"]["2"]["outcome"]) == (0, "completed")
    assert list(binance.posts().values()) == [1]
    assert told["stays"] == {"BTC": "route.below_minimum"}
    assert [route["asset"] for route in told["routes"]] == ["ETH"]
    status = json.loads(run(capsys, "status", "--json")[1])
    held = {a: b.total for a, b in binance.engine.balances.items()}
    assert {a: D(n) for a, n in status["balances"].items()} == held


def test_a_lost_answer_of_a_sweep_is_looked_up(capsys, binance):
    """A1, A3: a sweep's order is proven like any other and never sent again."""
    binance.inject(FaultRule(Endpoint.SUBMIT, DropAfter()))
    code, out, _ = run(capsys, "sweep", "--yes")
    assert code == 0
    assert "execution 2: completed" in out
    assert list(binance.posts().values()) == [1]


def test_a_sweep_to_another_asset_and_a_halted_ledger(capsys, binance):
    """The asset can be named; a halted ledger is exit code 3, and nothing is sent."""
    code, out, _ = run(capsys, "sweep", "--to", "BTC", "--json")
    assert (code, json.loads(out)["to"]) == (0, "BTC")
    run(capsys, "halt", default_path("binance", "sandbox"))
    code, out, _ = run(capsys, "sweep", "--yes")
    assert code == 3
    assert "engine.halted" in out
    assert not binance.posts()
