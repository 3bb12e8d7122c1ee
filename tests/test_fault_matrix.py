"""Each fault at each of submit, look-up and cancel: on the wire with real ccxt, and in memory, to the same outcome.

Law book: A1-A4, A6, A9, A11, A14, D1-D7; invariants I2 and I5.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest

from triarb.clock import NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.gateway import MarketData
from triarb.gateways.paper import PaperGateway
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Level,
    Market,
    NotFound,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Quote,
    Side,
    SubmissionStatus,
    TimeInForce,
)
from triarb.simulation import MatchingEngine
from triarb.testing.faults import (
    Alter,
    Answer,
    Ban,
    DropAfter,
    DropBefore,
    Duplicate,
    Endpoint,
    Fault,
    FaultRule,
    FaultScript,
    Fees,
    Filters,
    Flow,
    Hang,
    Lag,
    Late,
    Partial,
    Skew,
    Truncate,
)
from triarb.testing.faulty import FaultyGateway
from triarb.testing.loopback import LoopbackExchange

pytestmark = pytest.mark.once


D = Decimal
ETH = Market(
    "ETH/USDT",
    "ETH",
    "USDT",
    exchange_id="ETHUSDT",
    price_tick=D("0.01"),
    amount_step=D("0.0001"),
    min_amount=D("0.001"),
    min_notional=D(5),
)
BOOK = OrderBook("ETH/USDT", (Level(D(1999), D(2)),), (Level(D(2000), D(1)), Level(D(2001), D(1))))
BALANCES = {"USDT": "10000", "ETH": "1"}
FEES = FeeSchedule.flat("10")
NOTHING = FaultScript()
TIMEOUT_MS = 150
ACCEPTED, REJECTED, UNKNOWN = SubmissionStatus
OPEN, CANCELED = OrderStatus.OPEN, OrderStatus.CANCELED
NOT_FOUND, STATE = "not found", "state"
SILENCE, NONSENSE = "gateway.unavailable", "gateway.malformed"


class Still(MarketData):
    """A market that always shows one book, at a time that is told to it."""

    def __init__(self) -> None:
        self._clock = ManualClock(1_700_000_000 * NS_PER_SECOND)

    @property
    def clock(self) -> ManualClock:
        return self._clock

    @property
    def exchange(self) -> str:
        return "still"

    async def markets(self) -> Sequence[Market]:
        return [ETH]

    async def quotes(self) -> AsyncIterator[Sequence[Any]]:
        while True:
            yield [Quote("ETH/USDT", D(1999), D(2000), D(2), D(1))]

    async def order_book(self, symbol: str, depth: int = 20, /) -> OrderBook:
        return attrs.evolve(BOOK, received_ns=self._clock.now_ns())


@attrs.frozen
class World:
    """A gateway, and the truth behind it."""

    gateway: CcxtGateway | FaultyGateway
    behind: LoopbackExchange | FaultyGateway

    @property
    def engine(self) -> MatchingEngine:
        return self.behind.engine

    def goes_wrong(self, on: str, fault: Fault) -> None:
        """Let the next request of that kind go wrong, and what aiohttp sends again of it too."""
        again = isinstance(self.behind, LoopbackExchange) and on in ("look_up", "cancel")
        dropped = isinstance(fault, DropBefore | DropAfter)
        self.behind.inject(FaultRule(on, fault, times=2 if again and dropped else 1))

    async def wait(self, seconds: float) -> None:
        await self.gateway.clock.sleep(seconds)


def is_told_to_wait(fault: Fault) -> bool:
    """Whether a gateway keeps silent for a while after it, so that the wire is tested in virtual time too."""
    return isinstance(fault, Ban) or (isinstance(fault, Answer) and fault.status in (418, 429))


@asynccontextmanager
async def in_memory(
    faults: FaultScript = NOTHING, *, virtual: bool = True, **options: Any
) -> AsyncIterator[World]:
    """A paper account under a virtual clock."""
    paper = PaperGateway(Still(), balances=BALANCES, fees=FEES, latency_ms=0)
    async with FaultyGateway(paper, faults, timeout_ms=TIMEOUT_MS, **options) as gateway:
        yield World(gateway, gateway)


@asynccontextmanager
async def on_the_wire(
    faults: FaultScript = NOTHING, *, virtual: bool = False, **options: Any
) -> AsyncIterator[World]:
    """Real ccxt and the loopback exchange, in real time or, where nothing has to time out, in virtual time."""
    clock = ManualClock(1_700_000_000 * NS_PER_SECOND) if virtual else None
    async with LoopbackExchange(
        [ETH], fees=FEES, balances=BALANCES, faults=faults, clock=clock
    ) as exchange:
        exchange.set_book(BOOK)
        async with CcxtGateway(
            "binance",
            credentials=exchange.credentials,
            session_factory=exchange.session_factory,
            timeout_ms=TIMEOUT_MS,
            clock=clock,
            **options,
        ) as gateway:
            yield World(gateway, exchange)


WORLDS = [in_memory, on_the_wire]
both = pytest.mark.parametrize("world_of", WORLDS)


def buy(client_id: str = "tri1", price: str = "2000", tif: TimeInForce = TimeInForce.IOC) -> Order:
    """An order to buy half an ETH."""
    return Order(client_id, "ETH/USDT", Side.BUY, D("0.5"), D(price), tif)


def is_there(world: World) -> bool:
    """Whether the exchange has the order, whatever it says."""
    return isinstance(world.engine.look_up("tri1", "ETH/USDT"), OrderState)


def conserved(world: World) -> bool:
    """I5: nothing was made or lost."""
    return world.engine.totals() == {asset: D(amount) for asset, amount in BALANCES.items()}


# fault, what a submit says and whether the order is there, what a look-up comes to, and what a cancel comes to and the
# order then is
MATRIX: list[tuple[Fault, tuple[SubmissionStatus, bool], str, tuple[str, OrderStatus]]] = [
    (DropBefore(), (UNKNOWN, False), SILENCE, (STATE, OPEN)),
    (DropAfter(), (UNKNOWN, True), SILENCE, (STATE, CANCELED)),
    (Hang(), (UNKNOWN, True), SILENCE, (STATE, CANCELED)),
    (Hang(acts=False), (UNKNOWN, False), SILENCE, (STATE, OPEN)),
    (Truncate(), (UNKNOWN, True), SILENCE, (STATE, CANCELED)),
    (Late(0.01), (ACCEPTED, True), STATE, (STATE, CANCELED)),
    (Ban(9), (REJECTED, False), "gateway.rate_limited", (STATE, OPEN)),
    (Ban(9, 418), (REJECTED, False), "gateway.rate_limited", (STATE, OPEN)),
    (Skew(5), (REJECTED, False), "gateway.clock", ("gateway.clock", OPEN)),
    (Skew(-5), (REJECTED, False), "gateway.clock", ("gateway.clock", OPEN)),
    (Skew(1), (ACCEPTED, True), STATE, (STATE, CANCELED)),
    (Alter({"clientOrderId": "other"}), (UNKNOWN, True), NONSENSE, (STATE, CANCELED)),
    (Alter({"origQty": "2"}), (UNKNOWN, True), STATE, (STATE, CANCELED)),
    (Alter({"price": "2000.01"}), (UNKNOWN, True), STATE, (STATE, CANCELED)),
    (Alter({"status": "PENDING_NEW"}), (UNKNOWN, True), STATE, (STATE, CANCELED)),
    (Alter({"executedQty": "0.6"}), (ACCEPTED, True), STATE, (STATE, CANCELED)),
    (Flow("BTC", "3"), (ACCEPTED, True), STATE, (STATE, CANCELED)),
    (Fees(5, "quote"), (ACCEPTED, True), STATE, (STATE, CANCELED)),
    (Filters(active=False, symbol="ETH/USDT"), (REJECTED, False), STATE, (STATE, CANCELED)),
    (Filters(min_notional="5000"), (REJECTED, False), STATE, (STATE, CANCELED)),
    (Filters(amount_step="0.3"), (REJECTED, False), STATE, (STATE, CANCELED)),
]
for body in ("", "[]", "null", "{}", '{"orderId": 1', "<html>"):
    lost = Answer(body=body, acts=True)
    MATRIX.append((lost, (UNKNOWN, True), NONSENSE, (STATE, CANCELED)))
for status, code in ((500, -1000), (503, -1001), (400, -1006), (400, -1007), (503, -1008)):
    MATRIX.append((Answer(status, code), (UNKNOWN, False), SILENCE, (STATE, OPEN)))
    lost = Answer(status, code, acts=True)
    MATRIX.append((lost, (UNKNOWN, True), SILENCE, (STATE, CANCELED)))
for status in (403, 404, 408, 451, 502, 503):
    page = Answer(status, body="<html>")
    MATRIX.append((page, (UNKNOWN, False), SILENCE, (STATE, OPEN)))
for code, why in (
    (-1013, "gateway.refused"),
    (-1015, "gateway.rate_limited"),
    (-1021, "gateway.clock"),
    (-1022, "gateway.credentials"),
    (-1111, "gateway.refused"),
    (-1121, "gateway.refused"),
    (-2010, "gateway.refused"),
    (-2014, "gateway.credentials"),
    (-2015, "gateway.credentials"),
):
    MATRIX.append((Answer(400, code), (REJECTED, False), why, (STATE, OPEN)))
for status in (418, 429):
    limited = Answer(status, -1003, retry_after=1)
    MATRIX.append((limited, (REJECTED, False), "gateway.rate_limited", (STATE, OPEN)))
duplicate = Answer(400, -2010, "Duplicate order sent.")
MATRIX.append((duplicate, (UNKNOWN, False), "gateway.refused", (STATE, OPEN)))
MATRIX.append((Answer(400, -2013), (UNKNOWN, False), NOT_FOUND, (STATE, OPEN)))


@both
@pytest.mark.parametrize(("fault", "says", "there"), [(m[0], *m[1]) for m in MATRIX], ids=repr)
async def test_a_submit_says_what_is_proven(
    world_of: Any, fault: Fault, says: SubmissionStatus, *, there: bool
) -> None:
    """A1, A3, A4, A9, D1-D7, I2: rejected only by the whitelist, else UNKNOWN; one POST; a rejected order is not there."""
    async with world_of(virtual=is_told_to_wait(fault)) as world:
        world.goes_wrong("submit", fault)
        answer = await world.gateway.submit(buy())
        assert (answer.status, is_there(world)) == (says, there)
        assert (answer.status is REJECTED) <= (not is_there(world))
        assert (answer.state is None) is (says is not ACCEPTED)
        assert answer.reason or says is ACCEPTED
        assert world.behind.posts() == {"tri1": 1}
        assert isinstance(fault, Flow) or conserved(world)


async def come_to(question: Any) -> str:
    """What a look-up or a cancel came to, in one word."""
    try:
        answer = await question
    except GatewayError as error:
        return error.code
    return NOT_FOUND if isinstance(answer, NotFound) else STATE


@both
@pytest.mark.parametrize(("fault", "comes_to"), [(m[0], m[2]) for m in MATRIX], ids=repr)
async def test_a_look_up_tells_or_raises(world_of: Any, fault: Fault, comes_to: str) -> None:
    """A2, D1-D7: silence and nonsense are errors and never "not found", and the next look-up has the order."""
    async with world_of(virtual=is_told_to_wait(fault)) as world:
        assert (await world.gateway.submit(buy())).status is ACCEPTED
        world.goes_wrong("look_up", fault)
        assert await come_to(world.gateway.look_up("tri1", "ETH/USDT")) == comes_to
        if not isinstance(fault, Skew):
            state = await world.gateway.look_up("tri1", "ETH/USDT")
            assert isinstance(state, OrderState)
            assert state.is_complete
        assert world.behind.posts() == {"tri1": 1}


@both
@pytest.mark.parametrize(("fault", "comes_to", "then"), [(m[0], *m[3]) for m in MATRIX], ids=repr)
async def test_a_cancel_is_what_the_look_up_says(
    world_of: Any, fault: Fault, comes_to: str, then: OrderStatus
) -> None:
    """A6: whatever becomes of the cancel, what is answered is the order as it stands."""
    async with world_of(virtual=is_told_to_wait(fault)) as world:
        resting = buy(price="1000", tif=TimeInForce.GTC)
        assert (await world.gateway.submit(resting)).status is ACCEPTED
        world.goes_wrong("cancel", fault)
        assert await come_to(world.gateway.cancel("tri1", "ETH/USDT")) == comes_to
        if comes_to == STATE:
            answer = await world.gateway.look_up("tri1", "ETH/USDT")
            assert isinstance(answer, OrderState)
            assert answer.status is then
        truth = world.engine.look_up("tri1", "ETH/USDT")
        assert isinstance(truth, OrderState)
        assert truth.status is then
        assert isinstance(fault, Flow) or conserved(world)


@both
async def test_a_reset_cancel_that_is_sent_again(world_of: Any) -> None:
    """A6: aiohttp sends a DELETE again whose connection was reset, and "unknown order" then means canceled."""
    async with world_of() as world:
        await world.gateway.submit(buy(price="1000", tif=TimeInForce.GTC))
        world.behind.inject(FaultRule("cancel", DropAfter()))
        state = await world.gateway.cancel("tri1", "ETH/USDT")
        assert isinstance(state, OrderState)
        assert state.status is CANCELED


@both
async def test_a_late_order_is_not_found_and_then_is(world_of: Any) -> None:
    """A2: no answer, then "not found", and once its time has come the order is there and filled."""
    async with world_of() as world:
        world.goes_wrong("submit", Late(0.4))
        assert (await world.gateway.submit(buy())).status is UNKNOWN
        assert isinstance(await world.gateway.look_up("tri1", "ETH/USDT"), NotFound)
        await world.wait(0.4)
        state = await world.gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(state, OrderState)
        assert (state.status, state.filled) == (OrderStatus.FILLED, D("0.5"))
        assert world.behind.posts() == {"tri1": 1}
        assert conserved(world)


@both
async def test_past_its_window_a_late_order_never_is(world_of: Any) -> None:
    """A2: an order that arrives after its recvWindow is refused, so that "not found" is proof from there on."""
    async with world_of(recv_window_ms=200) as world:
        world.goes_wrong("submit", Late(0.3))
        assert (await world.gateway.submit(buy())).status is UNKNOWN
        await world.wait(0.4)
        assert isinstance(await world.gateway.look_up("tri1", "ETH/USDT"), NotFound)
        assert not is_there(world)


@both
async def test_a_late_cancel_cancels_later(world_of: Any) -> None:
    """A6: the answer to a cancel that is on its way is an open order; later it is canceled."""
    async with world_of() as world:
        await world.gateway.submit(buy(price="1000", tif=TimeInForce.GTC))
        world.goes_wrong("cancel", Late(0.4))
        state = await world.gateway.cancel("tri1", "ETH/USDT")
        assert isinstance(state, OrderState)
        assert state.status is OPEN
        await world.wait(0.4)
        state = await world.gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(state, OrderState)
        assert state.status is CANCELED
        assert conserved(world)


@both
async def test_reads_lag_by_count_and_by_time(world_of: Any) -> None:
    """A2, A12, B5: a replica tells neither the order, nor its trades, nor its balances, and then does."""
    faults = FaultScript(
        [
            FaultRule("look_up", Lag(3600), times=2),
            FaultRule("trades", Lag(3600)),
            FaultRule("balances", Lag(3600), nth=2),
        ]
    )
    async with world_of(faults) as world:
        await world.gateway.balances()
        await world.wait(0.002)
        await world.gateway.submit(buy())
        for _ in range(2):
            assert isinstance(await world.gateway.look_up("tri1", "ETH/USDT"), NotFound)
        half = await world.gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(half, OrderState)
        assert (half.filled, half.fills, half.is_complete) == (D("0.5"), (), False)
        whole = await world.gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(whole, OrderState)
        assert whole.is_complete
        before = {asset: held.total for asset, held in (await world.gateway.balances()).items()}
        assert before == {asset: D(amount) for asset, amount in BALANCES.items()}
        assert (await world.gateway.balances())["USDT"].total == D(9000)


@both
async def test_a_lag_of_some_milliseconds(world_of: Any) -> None:
    """A2: what is older than the lag is told, what is younger is not."""
    async with world_of() as world:
        await world.gateway.submit(buy())
        world.behind.inject(FaultRule("look_up", Lag(0.25), times=None))
        assert isinstance(await world.gateway.look_up("tri1", "ETH/USDT"), NotFound)
        await world.wait(0.3)
        assert isinstance(await world.gateway.look_up("tri1", "ETH/USDT"), OrderState)


@both
@pytest.mark.parametrize("fraction", ["0", "0.5001", "0.99"])
async def test_a_part_of_an_order_fills(world_of: Any, fraction: str) -> None:
    """A5: an IOC order expires with its part, in whole steps, and its fills and balances say the same."""
    async with world_of() as world:
        world.goes_wrong("submit", Partial(fraction))
        answer = await world.gateway.submit(buy())
        assert answer.state is not None
        filled = D("0.5") * D(fraction) // D("0.0001") * D("0.0001")
        assert (answer.state.status, answer.state.filled) == (OrderStatus.EXPIRED, filled)
        assert answer.state.is_complete
        assert conserved(world)


@both
async def test_the_fee_asset_changes(world_of: Any) -> None:
    """B2: the same order pays in ETH before, and in USDT from there on."""
    async with world_of() as world:
        world.behind.inject(FaultRule("submit", Fees("20", "quote"), nth=2))
        paid = []
        for number in (1, 2, 3):
            answer = await world.gateway.submit(attrs.evolve(buy(f"tri{number}"), amount=D("0.1")))
            assert answer.state is not None
            paid += [dict(fill.fees) for fill in answer.state.fills]
        assert paid == [{"ETH": D("0.0001")}, {"USDT": D("0.4")}, {"USDT": D("0.4")}]
        assert (await world.gateway.fees(["ETH/USDT"])).fee("ETH/USDT").rate == D("0.002")


@both
async def test_filters_change_between_plan_and_order(world_of: Any) -> None:
    """B8: the order of the old steps is refused, and who reads the markets again has the new ones."""
    async with world_of() as world:
        world.goes_wrong("submit", Filters(amount_step="0.3", min_notional="9"))
        answer = await world.gateway.submit(buy())
        assert answer.status is REJECTED
        assert "LOT_SIZE" in answer.reason or "order.amount_step" in answer.reason
        if isinstance(world.gateway, FaultyGateway):
            (market,) = await world.gateway.markets()
            assert (market.amount_step, market.min_notional) == (D("0.3"), D(9))


@both
async def test_external_flows(world_of: Any) -> None:
    """B6: a withdrawal takes no more than is free, and a deposit is there; both show in the balances."""
    faults = FaultScript(
        [
            FaultRule("balances", Flow("USDT", "-1000000")),
            FaultRule("balances", Flow("BTC", "0.25"), nth=2),
        ]
    )
    async with world_of(faults) as world:
        held = await world.gateway.balances()
        assert set(held) == {"ETH"}
        held = await world.gateway.balances()
        assert held["BTC"].free == D("0.25")
        answer = await world.gateway.submit(buy())
        assert answer.status is REJECTED
        assert world.engine.totals() == {"ETH": D(1), "BTC": D("0.25")}


@both
async def test_trades_twice_and_in_another_order(world_of: Any) -> None:
    """A10: fills that come twice and backwards count once, in the answer and in the look-up."""
    async with world_of() as world:
        world.behind.inject(FaultRule("submit", Duplicate()), FaultRule("trades", Duplicate()))
        answer = await world.gateway.submit(attrs.evolve(buy(price="2001"), amount=D("1.5")))
        state = await world.gateway.look_up("tri1", "ETH/USDT")
        assert answer.state is not None
        assert isinstance(state, OrderState)
        for told in (answer.state, state):
            assert told.is_complete
            assert sorted(fill.price for fill in told.fills) == [D(2000), D(2001)]


@both
async def test_a_ban_is_kept_to_and_ends(world_of: Any) -> None:
    """D1, D2: during a ban nothing is sent: an order is rejected, a question waits; then all is answered."""
    async with world_of(virtual=True) as world:
        world.goes_wrong("submit", Ban(7, 418))
        assert (await world.gateway.submit(buy())).status is REJECTED
        asked, began_ns = len(world.behind.requests), world.gateway.clock.now_ns()
        refused = await world.gateway.submit(buy("tri2"))
        assert (refused.status, len(world.behind.requests)) == (REJECTED, asked)
        assert world.gateway.room_for(1) is not None
        assert await come_to(world.gateway.balances()) == STATE
        assert world.gateway.clock.now_ns() - began_ns >= 7 * NS_PER_SECOND
        assert world.gateway.room_for(1) is None
        assert (await world.gateway.submit(buy("tri3"))).status is ACCEPTED
        assert world.behind.posts() == {"tri1": 1, "tri3": 1}


@both
async def test_a_long_ban_is_an_error_at_once(world_of: Any) -> None:
    """D2: nobody waits for days, and nothing is sent, not even a cancel."""
    async with world_of(virtual=True) as world:
        world.goes_wrong("submit", Ban(86_400, 418))
        assert (await world.gateway.submit(buy())).status is REJECTED
        asked = len(world.behind.requests)
        for question in (
            world.gateway.balances(),
            world.gateway.look_up("tri1", "ETH/USDT"),
            world.gateway.cancel("tri1", "ETH/USDT"),
        ):
            assert await come_to(question) == "gateway.banned"
        assert len(world.behind.requests) == asked


@both
@pytest.mark.parametrize(
    ("on", "ask"),
    [
        ("balances", lambda g: g.balances()),
        ("book", lambda g: g.order_book("ETH/USDT")),
    ],
)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Hang(), SILENCE),
        (Truncate(), SILENCE),
        (Answer(502, body="<html>"), SILENCE),
        (Answer(body="{"), NONSENSE),
        (Answer(body="null"), NONSENSE),
        (Answer(429, -1003), "gateway.rate_limited"),
    ],
    ids=repr,
)
async def test_other_reads_go_wrong_too(
    world_of: Any, on: str, ask: Any, fault: Fault, code: str
) -> None:
    """C10: balances and books that are not told are errors, and the next question is answered."""
    async with world_of(virtual=is_told_to_wait(fault)) as world:
        world.goes_wrong(on, fault)
        assert await come_to(ask(world.gateway)) == code
        assert await come_to(ask(world.gateway)) == STATE


@both
async def test_rules_pick_orders_by_count_id_and_market(world_of: Any) -> None:
    """Only the second order of an id like that, on a market like that, is hit, and only once."""
    faults = FaultScript(
        [
            FaultRule("submit", DropAfter(), nth=2, client_id="tri*b", symbol="ETH/*"),
            FaultRule("submit", DropAfter(), client_id="*c", symbol="BTC/*"),
        ]
    )
    async with world_of(faults) as world:
        said = [
            (await world.gateway.submit(attrs.evolve(buy(i), amount=D("0.1")))).status
            for i in ("tri1b", "tri1a", "tri2b", "tri3b", "tri1c")
        ]
        assert said == [ACCEPTED, ACCEPTED, UNKNOWN, ACCEPTED, ACCEPTED]
        hit = [r.client_id for r in world.behind.requests if r.faults]
        assert hit == ["tri2b"]


@both
async def test_arrivals_are_numbered_and_shown_before_the_exchange_acts(world_of: Any) -> None:
    """I1: a hook sees each request in its order, with its client id, while the exchange has not acted on it."""
    seen = []
    async with world_of() as world:

        def look(request: Any) -> None:
            if request.on is Endpoint.SUBMIT:
                seen.append((request.client_id, is_there(world)))

        world.behind.on_arrival.append(look)
        assert (await world.gateway.submit(buy())).status is ACCEPTED
        assert seen == [("tri1", False)]
        numbers = [request.number for request in world.behind.requests]
        assert numbers == list(range(1, len(numbers) + 1))
        times = [request.time_ns for request in world.behind.requests]
        assert times == sorted(times)
