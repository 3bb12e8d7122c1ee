"""Limiter: what is sent stays within the exchange's allowance, and orders have room in it."""

from decimal import Decimal

import ccxt.async_support as ccxt
import pytest
from hypothesis import given, strategies as st

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.engine import Engine
from triarb.exceptions import GatewayUnavailable
from triarb.gateways.ccxt import CcxtGateway, Credentials
from triarb.gateways.ccxt.limiter import READERS_SHARE, SHARE, Limiter
from triarb.gateways.gateway import Budgeted
from triarb.ledger import SqlLedger
from triarb.model import Declined, Order, Side, SubmissionStatus
from triarb.risk import RiskLimits
from triarb.testing.loopback import LoopbackExchange
from triarb.testing.market import START_NS, planted_triangle

MINUTE_NS = 60 * NS_PER_SECOND
LIMIT = 1200  # Binance's 6,000 a minute in ccxt's units
KEYS = Credentials("key", "secret")


def limiter_at(clock, exchange="binance"):
    return Limiter(getattr(ccxt, exchange)(), clock)


@pytest.mark.once
@given(
    st.lists(
        st.tuples(st.floats(0.1, 300), st.booleans(), st.floats(0, 20)), min_size=1, max_size=60
    )
)
async def test_no_window_costs_more_than_the_share(requests):
    """I14: whoever asks for what and when, any 60 s cost at most the share of Binance's allowance."""
    clock = ManualClock()
    limiter = limiter_at(clock)
    sent = []
    for cost, urgent, pause in requests:
        await clock.sleep(pause)
        await limiter.admit(cost, urgent=urgent)
        sent.append((clock.now_ns(), cost))
    for end_ns, _ in sent:
        within = sum(cost for at_ns, cost in sent if end_ns - MINUTE_NS < at_ns <= end_ns)
        assert within <= SHARE * LIMIT * (1 + 1e-9)


async def test_orders_have_room_that_readers_left():
    """Readers wait at their share of the window, an order goes at once; what it was decided on does not age."""
    clock = ManualClock()
    limiter = limiter_at(clock)
    await limiter.admit(READERS_SHARE * LIMIT, urgent=False)
    await limiter.admit(1, urgent=True, writes=True)
    assert clock.now_ns() == 0
    await limiter.admit(1, urgent=False)
    assert clock.now_ns() == MINUTE_NS


async def test_a_full_window_refuses_orders_and_lets_reads_wait():
    """D1: with nothing left of the share an order is not sent late but not at all; a look-up waits."""
    clock = ManualClock()
    limiter = limiter_at(clock)
    await limiter.admit(SHARE * LIMIT, urgent=True)
    assert limiter.room_for(6).code == "gateway.no_room"
    with pytest.raises(GatewayUnavailable, match="nothing is sent before") as caught:
        await limiter.admit(1, urgent=True, writes=True)
    assert caught.value.code == "gateway.banned"
    await limiter.admit(1, urgent=True)
    assert clock.now_ns() == MINUTE_NS
    assert limiter.room_for(6) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, 9),
        ({"Retry-After": "soon"}, 60),
        ({}, 60),
    ],
)
async def test_a_ban_is_silence_until_its_end(headers, seconds):
    """D1, I14: after 429 nothing goes out until Retry-After, orders and unwinds included."""
    clock = ManualClock()
    limiter = limiter_at(clock)
    limiter.heard(429, headers)
    limiter.heard(200, {})
    assert limiter.room_for(1) is not None
    with pytest.raises(GatewayUnavailable):
        await limiter.admit(0.1, urgent=True, writes=True)
    await limiter.admit(0.1, urgent=True)
    assert clock.now_ns() == seconds * NS_PER_SECOND


async def test_a_long_ban_is_an_error_at_once():
    """D2: nobody waits three days for an answer, and nothing is sent."""
    limiter = limiter_at(ManualClock())
    limiter.heard(418, {"Retry-After": "259200"})
    with pytest.raises(GatewayUnavailable, match="1970-01-04") as caught:
        await limiter.admit(1, urgent=False)
    assert caught.value.code == "gateway.banned"


async def test_orders_are_counted_and_the_exchange_is_believed():
    """D3: our own count or the exchange's, whichever is more, must leave room for all legs and unwinds."""
    clock = ManualClock()
    limiter = limiter_at(clock)
    for _ in range(84):
        await limiter.admit(0.2, urgent=True, writes=True)
    assert limiter.room_for(6) is None
    assert limiter.room_for(7).numbers["sent"] == 84
    await clock.sleep(10)
    assert limiter.room_for(7) is None
    limiter.heard(200, {"X-MBX-ORDER-COUNT-10S": "88"})
    assert limiter.room_for(3).numbers["sent"] == 88
    await clock.sleep(10)
    assert limiter.room_for(3) is None
    limiter.heard(200, {"X-MBX-ORDER-COUNT-1D": "179999"})
    assert limiter.room_for(2).numbers["seconds"] == 86_400


async def test_exchanges_without_known_counts_are_held_to_ccxts_limit():
    """Elsewhere ccxt's own limit is the allowance, in windows of at least a second."""
    clock = ManualClock()
    limiter = limiter_at(clock, "okx")  # one in 110 ms
    for _ in range(8):
        await limiter.admit(1, urgent=True)
    assert clock.now_ns() == 0
    assert limiter.room_for(6) is None  # a second later there is room again
    await limiter.admit(1, urgent=True)
    assert clock.now_ns() == NS_PER_SECOND


async def test_both_instances_share_a_limiter_and_orders_do_not_wait():
    """The account's orders go at once after idling, count with the readers' requests, and are refused when banned."""
    clock = ManualClock(NS_PER_SECOND)
    async with (
        LoopbackExchange(
            planted_triangle(), balances={"USDT": "1000"}, credentials=KEYS, clock=clock
        ) as exchange,
        CcxtGateway(
            "binance", credentials=KEYS, session_factory=exchange.session_factory, clock=clock
        ) as gateway,
    ):
        assert isinstance(gateway, Budgeted)
        used = gateway._connector.limiter._used
        assert used > 0
        began_ns = clock.now_ns()
        await gateway.order_book("BTC/USDT")
        order = Order("tri1", "BTC/USDT", Side.BUY, Decimal("0.001"), Decimal(60000))
        await gateway.submit(order)
        assert gateway._connector.limiter._used > used + 1
        assert clock.now_ns() == began_ns
        assert gateway.room_for(6) is None
        gateway._connector.limiter.heard(418, {"Retry-After": "259200"})
        asked = len(exchange.requests)
        answer = await gateway.submit(order)
        assert answer.status is SubmissionStatus.REJECTED
        with pytest.raises(GatewayUnavailable):
            await gateway.look_up("tri1", "BTC/USDT")
        assert len(exchange.requests) == asked


async def test_no_cycle_begins_without_room_for_all_of_it():
    """D3: an engine whose exchange has no room for all legs and unwinds trades nothing, and says why."""
    told, clock = [], ManualClock(START_NS)
    async with (
        LoopbackExchange(
            planted_triangle(), balances={"USDT": "1000"}, credentials=KEYS, clock=clock
        ) as exchange,
        CcxtGateway(
            "binance", credentials=KEYS, session_factory=exchange.session_factory, clock=clock
        ) as gateway,
        SqlLedger("sqlite://") as ledger,
    ):
        gateway._connector.limiter.heard(200, {"X-MBX-ORDER-COUNT-10S": "85"})
        risk = RiskLimits(min_edge_bps=0, max_notional="100 USDT", max_daily_loss="100 USDT")
        parts = {"risk": risk, "ledger": ledger, "start": ["USDT"], "observers": [told.append]}
        async with Engine(gateway, **parts) as engine:
            assert await engine.step() is None
        assert not [request for request in exchange.requests if request.method == "POST"]
    assert [e.refused.code for e in told if isinstance(e, Declined)] == ["gateway.no_room"]
