"""Markets whose steps and limits change while an engine runs."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import attrs
import pytest

from triarb import CcxtGateway, Engine, PaperGateway, RiskLimits, SqlLedger
from triarb.clock import ManualClock
from triarb.engine.feed import MARKETS_NS, Feed
from triarb.exceptions import GatewayUnavailable
from triarb.model import OrderBook, OrderOutcome, Outcome
from triarb.testing import FaultyGateway
from triarb.testing.faults import DropBefore, FaultRule, FaultScript, Filters
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
COARSE = [
    FaultRule("submit", Filters(amount_step="0.1", symbol=market.symbol), nth=2)
    for market in SNAPSHOT.markets
]
"""From the second order on every market takes tenths alone."""


class Stage:
    """A market that stands still."""

    exchange = "stage"

    def __init__(self):
        self.clock, self.listed = ManualClock(START_NS), list(SNAPSHOT.markets)

    async def markets(self):
        return self.listed

    async def fees(self, symbols=None, /):
        return SNAPSHOT.fees()

    async def quotes(self):
        while True:
            yield [attrs.evolve(q, received_ns=self.clock.now_ns()) for q in SNAPSHOT.quotes]

    async def order_book(self, symbol, depth=20, /):
        [quote] = [q for q in SNAPSHOT.quotes if q.symbol == symbol]
        return attrs.evolve(OrderBook.from_quote(quote), received_ns=self.clock.now_ns())


@asynccontextmanager
async def in_memory(*faults):
    """A paper account, and the truth behind it."""
    paper = PaperGateway(Stage(), balances={"USDT": "1000"}, fees=SNAPSHOT.fees(), latency_ms=0)
    async with FaultyGateway(paper, FaultScript(faults)) as gateway:
        yield gateway, gateway


@asynccontextmanager
async def on_the_wire(*faults):
    """Real ccxt and the loopback exchange."""
    clock, script = ManualClock(START_NS), FaultScript(faults)
    exchange = LoopbackExchange(SNAPSHOT, balances={"USDT": "1000"}, clock=clock, faults=script)
    async with (
        exchange,
        CcxtGateway(
            "binance",
            credentials=exchange.credentials,
            session_factory=exchange.session_factory,
            clock=clock,
        ) as gateway,
    ):
        yield gateway, exchange


@pytest.mark.parametrize("account", [in_memory, on_the_wire])
async def test_what_is_stranded_comes_back_by_the_steps_that_hold_now(account):
    """B8, B11: the leg of the old step is rejected, the markets are read again, and only what is below the new step stays."""
    async with account(*COARSE) as (gateway, truth), SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
        [execution] = (await engine.run(cycles=1)).executions
        assert execution.legs[1].outcome is OrderOutcome.REJECTED
        assert execution.outcome is Outcome.UNWOUND
        assert all(result.outcome is OrderOutcome.FILLED for result in execution.further)
        assert all(change < D("0.1") for change in execution.residues.values())
        assert execution.result > -1
        held = {a: b.total for a, b in truth.engine.balances.items() if b.total}
        assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held, "I4"


@pytest.mark.parametrize("account", [in_memory, on_the_wire])
async def test_the_next_cycle_is_planned_by_the_steps_that_hold_now(account):
    """B8: after a rejected order no plan is made any more by the old steps."""
    async with account(*COARSE) as (gateway, _), SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
        await engine.run(cycles=1)
        assert {m.amount_step for m in engine._market.rates.view().markets.values()} == {D("0.1")}


async def test_markets_that_cannot_be_read_stay_as_they_were():
    """B8, D10: a failed reading is no change, and what is stranded comes back as far as it can."""
    lost = FaultRule("markets", DropBefore(), nth=2, times=None)
    async with in_memory(*COARSE, lost) as (gateway, _), SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
        [execution] = (await engine.run(cycles=1)).executions
        assert execution.outcome is Outcome.SHORT
        assert ledger.portfolio().residues == {"BTC": D("0.999")}


async def test_markets_are_read_again_every_hour_and_one_that_is_gone_is_inactive():
    """B8, C7: no plan by markets that are older; one that is not listed any more is traded on no more."""
    stage = Stage()
    feed = await Feed.open(stage)
    await feed.advance(asyncio.Event())
    stage.listed = [attrs.evolve(m, min_notional=D(7)) for m in stage.listed[:2]]
    await feed.advance(asyncio.Event())
    assert dict(feed.rates.view().markets) == {m.symbol: m for m in SNAPSHOT.markets}
    stage.clock.advance_to(START_NS + MARKETS_NS)
    await feed.advance(asyncio.Event())
    view = feed.rates.view()
    assert [m.min_notional for m in view.markets.values() if m.active] == [7, 7]
    assert not view.markets["ETH/USDT"].active
    assert set(view.quotes) == {"BTC/USDT", "ETH/BTC"}


async def test_a_gateway_on_ccxt_keeps_its_markets_where_it_cannot_read_them():
    """B8, A1: a refresh that fails changes nothing; one that succeeds keeps what is not listed any more, inactive."""
    async with on_the_wire() as (gateway, exchange):
        before = await gateway.markets()
        exchange.inject(FaultRule("markets", DropBefore(), times=2))
        with pytest.raises(GatewayUnavailable):
            await gateway.refresh()
        assert await gateway.markets() == before
        del exchange._api._symbols["ETHBTC"]
        await gateway.refresh()
        after = {m.symbol: m for m in await gateway.markets()}
        assert after["ETH/BTC"].active is False
        assert after.keys() == {m.symbol for m in before}
