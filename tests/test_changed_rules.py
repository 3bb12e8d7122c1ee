"""Markets whose steps and limits change while an engine runs: what was rejected is found out, and the new ones count."""

from decimal import Decimal

import attrs
import pytest

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock
from triarb.engine import Engine
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.paper import PaperGateway
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import SqlLedger
from triarb.market.tape import Tape
from triarb.model import Order, OrderOutcome, Outcome, Quote, Side, SubmissionStatus
from triarb.risk import RiskLimits
from triarb.testing import FaultRule, FaultScript, FaultyGateway
from triarb.testing.faults import Answer, Endpoint, Filters
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
COARSE = D("0.0007")


def ticks(*seconds):
    """The planted triangle, and a change of one quote at each of these times."""
    return [
        Quote("ETH/USDT", D("5.05"), D("5.06") + n * D("0.01"), D(50), D(50), START_NS + s * NS_PER_SECOND)
        for n, s in enumerate(seconds)
    ]  # fmt: skip


async def traded(tape, *rules):
    """All that an engine carried out on a tape on which things go wrong, and how often it asked for the markets."""
    replay = ReplayGateway(tape, balances={"USDT": "1000"}, latency_ms=10)
    async with FaultyGateway(replay, FaultScript(rules)) as gateway, SqlLedger("sqlite://") as own:
        report = await Engine(gateway, risk=LIMITS, ledger=own, start=["USDT"]).run()
        asked = sum(request.on is Endpoint.MARKETS for request in gateway.requests)
        return report.executions, asked


async def test_a_rejection_has_the_rules_read_again_within_a_minute():
    """B8: until then the old step is rejected; from then on every order is in the new one, and the cycle completes."""
    tape = Tape.of(planted_triangle(), ticks(1, 30, 62, 63))
    change = FaultRule("submit", Filters(amount_step=str(COARSE)), nth=1)
    executions, asked = await traded(tape, change)
    begun = [execution.legs[0] for execution in executions]
    rejected = [leg for leg in begun if leg.outcome is OrderOutcome.REJECTED]
    assert [leg.order.amount % COARSE == 0 for leg in rejected] == [False] * 3
    assert executions[-1].outcome is Outcome.COMPLETED
    assert all(leg.order.amount % COARSE == 0 for leg in begun[len(rejected) :])
    _, without = await traded(Tape.of(planted_triangle(), []))
    assert asked == without + 1


async def test_rules_are_read_again_without_a_rejection_too():
    """B8: every ten minutes; what cannot be read then is read a minute later, and nothing stops for it."""
    tape = Tape.of(planted_triangle(), ticks(500, 601, 630, 662))
    lost = FaultRule("markets", Answer(502), nth=2)
    _, opened = await traded(Tape.of(planted_triangle(), []))
    _, asked = await traded(tape, attrs.evolve(lost, nth=opened + 1))
    assert asked == opened + 2


async def test_a_gateway_knows_markets_of_the_last_minute():
    """B8: for both of its instances, so that what it takes for exact is; what cannot be read leaves all as it was."""
    clock = ManualClock(START_NS)
    shown = planted_triangle()
    async with LoopbackExchange(shown, balances={"USDT": "1000"}, clock=clock) as exchange:
        gateway = CcxtGateway(
            "binance",
            credentials=exchange.credentials,
            session_factory=exchange.session_factory,
            clock=clock,
        )
        async with gateway:
            before = await gateway.markets()
            btc = exchange.engine.markets["BTC/USDT"]
            exchange.engine.set_market(attrs.evolve(btc, amount_step=D("0.1")))
            clock.advance_to(clock.now_ns() + 59_000 * NS_PER_MS)
            assert await gateway.markets() == before
            clock.advance_to(clock.now_ns() + 1_000 * NS_PER_MS)
            exchange.inject(FaultRule("markets", Answer(502, body="<html>")))
            with pytest.raises(GatewayError):
                await gateway.markets()
            again = {market.symbol: market for market in await gateway.markets()}
            assert again["BTC/USDT"].amount_step == D("0.1")
            assert again["ETH/BTC"] in before
            sent = [Order(f"tri{n}", "BTC/USDT", Side.BUY, D(n), D(100)) for n in ("0.15", "0.2")]
            answers = [
                await gateway.submit(attrs.evolve(o, client_id=f"tri{i}"))
                for i, o in enumerate(sent)
            ]
            assert [a.status for a in answers] == [
                SubmissionStatus.REJECTED,
                SubmissionStatus.ACCEPTED,
            ]
            assert exchange.posts() == {"tri1": 1}


async def test_paper_takes_orders_by_the_rules_that_it_showed_last():
    """B8: simulated orders are held to the steps that whoever sends them can know."""
    replay = ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
    async with PaperGateway(replay, balances={"USDT": "1000"}, latency_ms=0) as paper:
        markets = list(await paper.markets())
        coarse = attrs.evolve(markets[0], amount_step=D("0.1"))

        async def changed():
            return [coarse, *markets[1:], attrs.evolve(markets[0], symbol="NEW/USDT", base="NEW")]

        replay.markets = changed
        old = Order("a", "BTC/USDT", Side.BUY, D("0.15"), D(100))
        assert (await paper.submit(old)).status is SubmissionStatus.ACCEPTED
        assert (await paper.markets())[0] == coarse
        answer = await paper.submit(attrs.evolve(old, client_id="b"))
        assert answer.status is SubmissionStatus.REJECTED
        assert "NEW/USDT" not in paper.engine.markets
