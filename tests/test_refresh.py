"""Markets whose steps and limits change in the middle of a cycle."""

from contextlib import asynccontextmanager
from decimal import Decimal

import attrs
import pytest

from triarb import CcxtGateway, Engine, PaperGateway, RiskLimits, SqlLedger
from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.gateways.ccxt.gateway import MARKETS_SECONDS
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


async def traded(engine):
    """The execution of a cycle of an engine that has run for a while, so that what its gateway read is old."""
    await engine.scan_once()
    engine.clock.advance_to(engine.clock.now_ns() + MARKETS_SECONDS * NS_PER_SECOND)
    [execution] = (await engine.run(cycles=1)).executions
    return execution


@pytest.mark.once
@pytest.mark.parametrize("account", [in_memory, on_the_wire])
async def test_what_is_stranded_comes_back_by_the_steps_that_hold_now(account):
    """B8, B11: the leg of the old step is rejected, the markets are read again, and only what is below the new step stays."""
    async with account(*COARSE) as (gateway, truth), SqlLedger("sqlite://") as ledger:
        async with Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"]) as engine:
            execution = await traded(engine)
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
        async with Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"]) as engine:
            await traded(engine)
            await engine.scan_once()
        assert {m.amount_step for m in engine._market.rates.view().markets.values()} == {D("0.1")}


async def test_markets_that_cannot_be_read_stay_as_they_were(caplog):
    """B8, D10: a failed reading is no change, and is logged; what is stranded comes back as far as it can."""
    lost = FaultRule("markets", DropBefore(), nth=2, times=None)
    async with in_memory(*COARSE, lost) as (gateway, _), SqlLedger("sqlite://") as ledger:
        async with Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"]) as engine:
            execution = await traded(engine)
        assert execution.outcome is Outcome.SHORT
        assert ledger.portfolio().residues == {"BTC": D("0.999")}
    assert "markets were not read again" in caplog.text
