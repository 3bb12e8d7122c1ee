"""The machine's clock against the exchange's: measured before, while and after it matters, and no cycle begins on a doubt."""

from decimal import Decimal

import pytest

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.engine import Engine
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.ccxt.timing import RENEWED_SECONDS, RETRY_SECONDS, Offset
from triarb.ledger import SqlLedger
from triarb.model import Declined, Order, Outcome, Side
from triarb.risk import RiskLimits
from triarb.testing.faults import Answer, Endpoint, FaultRule, Skew
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
ROUND_THE_CLOCK = 5
"""How many questions one measurement is."""


@pytest.fixture
async def exchange():
    """A loopback exchange whose time stands still unless somebody waits."""
    clock = ManualClock(START_NS)
    async with LoopbackExchange(
        planted_triangle(), balances={"USDT": "1000"}, clock=clock
    ) as running:
        yield running


def gateway_to(exchange, **settings):
    return CcxtGateway(
        "binance",
        credentials=exchange.credentials,
        session_factory=exchange.session_factory,
        clock=exchange.clock,
        **settings,
    )


def asked_for_time(exchange):
    return sum(request.on is Endpoint.TIME for request in exchange.requests)


async def traded(gateway, told, *, steps=1):
    """What an engine carries out in so many steps, and the codes of what it declined."""
    async with SqlLedger("sqlite://") as ledger:
        parts = {"risk": LIMITS, "ledger": ledger, "start": ["USDT"], "observers": [told.append]}
        async with Engine(gateway, **parts) as engine:
            done = [await engine.step() for _ in range(steps)]
    declined = [event.refused.code for event in told if isinstance(event, Declined)]
    return [execution for execution in done if execution is not None], declined


@pytest.mark.parametrize("seconds", [-5, -1.1, 1.1, 5])
async def test_no_cycle_begins_while_the_clocks_are_apart(exchange, seconds):
    """D7: it is measured on entering, before anything is sent, and a clock that is a second off sends no order."""
    exchange.inject(FaultRule(Endpoint.TIME, Skew(seconds)))
    async with gateway_to(exchange) as gateway:
        assert asked_for_time(exchange) == ROUND_THE_CLOCK
        refused = gateway.room_for(3)
        assert (refused.code, refused.numbers["offset_ms"]) == ("gateway.clock", seconds * 1000)
        executions, declined = [], []
        if (
            0 < seconds < 3
        ):  # what is later, or far too early, Binance answers nothing that is signed
            executions, declined = await traded(gateway, [])
        assert not executions
        assert set(declined) <= {"gateway.clock"}
    assert not exchange.posts()


async def test_a_clock_that_is_right_trades(exchange):
    """D7: half a second is no reason, and five questions were asked of the exchange, not more."""
    exchange.inject(FaultRule(Endpoint.TIME, Skew(0.5)))
    async with gateway_to(exchange) as gateway:
        [execution], _ = await traded(gateway, [])
    assert execution.outcome is Outcome.COMPLETED
    assert asked_for_time(exchange) == ROUND_THE_CLOCK


async def test_a_clock_that_drifts_is_noticed_while_trading(exchange):
    """D7: it is measured again every few minutes, at the next question for quotes."""
    async with gateway_to(exchange, poll_seconds=RENEWED_SECONDS / 2) as gateway:
        quotes = gateway.quotes()
        await anext(quotes)
        exchange.inject(FaultRule("any", Skew(2)))
        await anext(quotes)
        assert gateway.room_for(3) is None, "it is not time yet"
        await anext(quotes)
        assert gateway.room_for(3).code == "gateway.clock"
        await quotes.aclose()


async def test_a_measurement_that_is_old_counts_for_nothing(exchange):
    """D7: whoever listens to no quotes, or slept, does not begin on what was true long ago."""
    async with gateway_to(exchange) as gateway:
        exchange.clock.advance_to(START_NS + 2 * RENEWED_SECONDS * NS_PER_SECOND)
        assert gateway.room_for(3) is None
        exchange.clock.advance_to(exchange.clock.now_ns() + NS_PER_SECOND)
        assert "is not known" in gateway.room_for(3).sentence
        async for _ in gateway.quotes():
            break
        assert gateway.room_for(3) is None


async def test_an_order_refused_for_its_time_has_it_measured_again(exchange):
    """D7: a rejection with -1021 forgets what was measured; no cycle begins before it is known again."""
    exchange.inject(FaultRule("submit", Answer(400, -1021)))
    async with gateway_to(exchange) as gateway:
        refused = Order("tri1", "BTC/USDT", Side.BUY, Decimal("0.001"), Decimal(50000))
        await gateway.submit(refused)
        assert gateway.room_for(3).code == "gateway.clock"
        [execution], declined = await traded(gateway, [])
        assert (execution.outcome, declined) == (Outcome.COMPLETED, [])
    assert asked_for_time(exchange) == 2 * ROUND_THE_CLOCK


async def test_what_is_not_said_is_not_known(exchange):
    """D7: no cycle begins while the exchange does not tell its time; it is asked again soon, and then one does."""
    lost = FaultRule(Endpoint.TIME, Answer(502, body="<html>"), times=1)
    odd = FaultRule(Endpoint.TIME, Answer(200, body='{"serverTime": "soon"}'), nth=2)
    exchange.inject(lost, odd)
    async with gateway_to(exchange, poll_seconds=RETRY_SECONDS) as gateway:
        executions, declined = await traded(gateway, [], steps=3)
    assert [execution.outcome for execution in executions[:1]] == [Outcome.COMPLETED]
    assert declined
    assert set(declined) == {"gateway.clock"}


async def test_a_cycle_under_way_goes_on(exchange):
    """D7: what becomes doubtful in mid-cycle keeps no leg from being sent; only the next cycle waits."""
    async with gateway_to(exchange) as gateway:
        exchange.on_arrival.append(
            lambda request: request.on == "submit" and gateway._account.timing.doubt()
        )
        [execution], _ = await traded(gateway, [])
        assert (execution.outcome, len(execution.legs)) == (Outcome.COMPLETED, 3)
        assert gateway.room_for(3).code == "gateway.clock"


async def test_an_exchange_without_a_time_is_not_held_up(exchange):
    """D7: where nobody tells the time, nothing waits for it."""
    async with gateway_to(exchange) as gateway:
        gateway.lines[1].instance.has["fetchTime"] = False
        gateway._account.timing.doubt()
        assert gateway.room_for(3) is None
        await gateway._account.timing.renew()
    assert asked_for_time(exchange) == ROUND_THE_CLOCK


async def test_a_read_only_gateway_asks_for_no_time(exchange):
    """D7: whoever sends no order needs no clock."""
    looking = CcxtGateway("binance", session_factory=exchange.session_factory, clock=exchange.clock)
    async with looking:
        await anext(looking.quotes())
        assert looking.room_for(3) is None
    assert asked_for_time(exchange) == 0


def test_an_answer_that_takes_long_tells_nothing():
    """D7: an offset of zero that is exact to more than half a second is not trusted."""
    assert Offset(0, 500).trusted
    assert not Offset(0, 501).trusted
    assert Offset(600, 400).trusted
    assert not Offset(-600, 401).trusted
