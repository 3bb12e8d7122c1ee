"""Halts raced against orders: by a scheduler that decides what runs next, ten thousand times, and against a loopback exchange."""

import asyncio
import contextvars
import heapq
import random
import time
from collections import Counter
from decimal import Decimal

import attrs
import pytest

from triarb.clock import NS_PER_SECOND, Clock
from triarb.engine import Engine
from triarb.exceptions import GatewayUnavailable
from triarb.execution import ParallelExecutor, SequentialExecutor
from triarb.execution.course import ATTEMPTS
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.last_word import withheld
from triarb.ledger import Ledger
from triarb.ledger.accounts import Accounts
from triarb.market import RateTable
from triarb.model import (
    ExecutionEnded,
    ExecutionStarted,
    Intended,
    OrderBook,
    OrderOutcome,
    OrderState,
    Outcome,
    Proven,
    Purpose,
    Refused,
    Submission,
    SubmissionStatus,
)
from triarb.risk import RiskLimits
from triarb.simulation import MatchingEngine
from triarb.testing.execution import _plan
from triarb.testing.faults import Endpoint
from triarb.testing.loopback import in_background
from triarb.testing.market import START_NS, planted_triangle

INTERLEAVINGS = 10_000
SHOWN = planted_triangle()
BOOKS = {quote.symbol: OrderBook.from_quote(quote) for quote in SHOWN.quotes}
PLAN = _plan(RateTable(SHOWN.markets, SHOWN.fees(), SHOWN.quotes))
FATES = [""] * 14 + ["lost before", "lost after"]
ASKED, ACKNOWLEDGED = "asked", "acknowledged"
ABSENT = (OrderOutcome.REJECTED, OrderOutcome.NEVER)
BROUGHT_BACK = (Outcome.NOTHING, Outcome.COMPLETED, Outcome.UNWOUND)
LIMITS = RiskLimits(min_edge_bps=0, max_notional="100 USDT", max_daily_loss="100 USDT")
HELD = {"USDT": Decimal(1000), "BTC": Decimal(5), "ETH": Decimal(70)}
MOST = {"USDT": "200", "BTC": "2", "ETH": "40"}

halting = contextvars.ContextVar("halting", default=False)
"""Whether what runs here is a halt, and not what it races against."""


# The scheduler


class Scheduler(asyncio.AbstractEventLoop):
    """An event loop in virtual time where a seed decides which of all that is ready runs next.

    asyncio itself runs what is ready in the order in which it became so. What happens outside may come in any order, so
    that whatever really can happen is among what happens here. Time passes when nothing is ready.

    Args:
        seed: what all choices follow from.
        haste: how likely a halt is to go on, when it could and something else could, too.

    Attributes:
        trace: which of the callbacks ran, each by when it became ready; it says where there was a choice what was chosen.
    """

    def __init__(self, seed, haste):
        self._random, self._haste = random.Random(seed), haste
        self._ready, self._timers = [], []
        self._now = 0.0
        self._count = 0
        self.trace = []
        self.errors = []

    def run(self, main):
        """What `main` comes to."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._next()
            while self._ready:
                self._next()
        finally:
            asyncio._set_running_loop(None)
        assert self.errors == []
        return task.result()

    def _next(self):
        while not self._ready:
            self._now, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self._ready.append((self._number(), handle))
        number, handle = self._ready.pop(self._choose())
        if not handle.cancelled():
            self.trace.append(number)
            handle._run()

    def _choose(self):
        """Which of what is ready: a halt, or not; then any of those."""
        if len(self._ready) == 1:
            return 0
        halts = [i for i, (_, one) in enumerate(self._ready) if one._context.get(halting)]
        if not halts or len(halts) == len(self._ready):
            return self._random.randrange(len(self._ready))
        if self._random.random() < self._haste:
            return self._random.choice(halts)
        return self._random.choice([i for i in range(len(self._ready)) if i not in halts])

    def _number(self):
        self._count += 1
        return self._count

    # What asyncio asks of a loop

    def call_soon(self, callback, *args, context=None):
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append((self._number(), handle))
        return handle

    def call_later(self, delay, callback, *args, context=None):
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when, callback, *args, context=None):
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, self._number(), handle))
        return handle

    def _timer_handle_cancelled(self, handle):
        pass

    def time(self):
        return self._now

    def get_debug(self):
        return False

    def create_future(self):
        return asyncio.Future(loop=self)

    def create_task(self, coro, *, name=None, context=None):
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_exception_handler(self, context):
        self.errors.append(context)


class LoopClock(Clock):
    """The running loop's time."""

    def now_ns(self):
        return START_NS + round(asyncio.get_running_loop().time() * NS_PER_SECOND)

    async def sleep(self, seconds, /):
        await asyncio.sleep(seconds)


# What is raced


class Race:
    """What one race is like: everything follows from its seed."""

    def __init__(self, seed, *, parallel):
        self.seed, self.parallel = seed, parallel
        self.choose = random.Random(seed).choice
        self.freeze = seed % 4 == 0
        self.asks = self.choose([True, True, False])  # whether the gateway asks for a last word
        self.haste = self.choose([0.5, 0.2, 0.1, 0.05, 0.03, 0.02])
        self.halts = self.choose([1, 1, 2])
        self.cycles = self.choose([1, 1, 1, 1, 2])

    def __repr__(self):
        return f"race {self.kind} of seed {self.seed}"

    @property
    def kind(self):
        """What two races must share for their interleavings to be compared."""
        return self.parallel, self.freeze, self.asks, self.halts, self.cycles


class Journal(Ledger):
    """A ledger in memory.

    Attributes:
        began: an execution has been started on it.
        purposes: what an order does, by client id.
    """

    def __init__(self):
        self.accounts, self.events, self.purposes = Accounts(), [], {}
        self.began = asyncio.Event()

    async def append(self, *events):
        self.accounts.apply(*events)
        self.events += events
        for event in events:
            if isinstance(event, ExecutionStarted):
                self.began.set()
            if isinstance(event, Intended):
                self.purposes[event.order.client_id] = event.purpose

    def portfolio(self):
        return self.accounts.state.portfolio

    def unfinished(self):
        return tuple(self.accounts.state.unfinished.values())


class World(Journal):
    """A ledger and an exchange in memory. Each call waits at several points, and at each anything else may run.

    Attributes:
        told: in their order, the client ids of what left, and when a halt was asked for and acknowledged.
        acknowledged_at: after how many steps the first halt was acknowledged.
    """

    exchange, mode, order_expiry_ns = "generated", "replay", 0

    def __init__(self, race):
        super().__init__()
        self.race, self.clock = race, LoopClock()
        self.told, self.acknowledged_at = [], 0
        self.engine = MatchingEngine(SHOWN.markets, SHOWN.fees(), balances=HELD)

    async def points(self, most):
        for _ in range(self.race.choose(range(most + 1))):
            await asyncio.sleep(0)

    async def append(self, *events):
        await self.points(2)
        await super().append(*events)
        await self.points(1)

    # the exchange

    async def markets(self):
        return SHOWN.markets

    async def fees(self, _symbols=None, /):
        return SHOWN.fees()

    async def quotes(self):
        yield SHOWN.quotes
        while True:
            yield []

    async def order_book(self, symbol, _depth=20, /):
        await self.points(1)
        return BOOKS[symbol]

    async def balances(self):
        await asyncio.sleep(0)
        return self.engine.balances

    async def submit(self, order, /):
        fate = self.race.choose(FATES)
        await self.points(3)
        refused = withheld() if self.race.asks else None
        if refused is not None:
            return Submission(SubmissionStatus.REJECTED, reason=str(refused))
        self.told.append(order.client_id)
        await self.points(2)
        if fate == "lost before":
            raise GatewayUnavailable("reset", code="gateway.unavailable")
        self.engine.set_book(BOOKS[order.symbol])
        state = self.engine.submit(order, self.clock.now_ns())
        await self.points(2)
        if fate == "lost after":
            raise GatewayUnavailable("reset", code="gateway.unavailable")
        if isinstance(state, Refused):
            return Submission(SubmissionStatus.REJECTED, reason=str(state))
        return Submission(SubmissionStatus.ACCEPTED, state)

    async def look_up(self, client_id, symbol, /):
        await asyncio.sleep(0)
        return self.engine.look_up(client_id, symbol)

    async def cancel(self, client_id, symbol, /):
        return self.engine.cancel(client_id, symbol, self.clock.now_ns())


# The race


class Decided:
    """Decides on one plan whatever the market shows, as fresh as can be; what really decides waits no less, and takes longer."""

    def __init__(self, world):
        self.world = world

    def nominated(self):
        return [PLAN.cycle_id]

    async def decide(self, _cycle):
        await self.world.points(2)
        return attrs.evolve(PLAN, decided_ns=self.world.clock.now_ns())

    def declined(self, _cycle, refused):
        assert refused.code == "engine.halted"


async def halted(engine, world, number):
    """A halt that comes at any time after the first execution began."""
    halting.set(True)
    await world.began.wait()
    world.told.append(ASKED)
    await engine.halt(f"halt {number}")
    world.told.append(ACKNOWLEDGED)
    world.acknowledged_at = world.acknowledged_at or len(asyncio.get_running_loop().trace)


async def raced(world):
    """One engine, its orders and its halts, all at once; what is held in the end."""
    race = world.race
    executor = ParallelExecutor(max_given=MOST) if race.parallel else SequentialExecutor()
    parts = {"risk": LIMITS, "executor": executor, "start": ["USDT"], "freeze": race.freeze}
    engine = Engine(world, ledger=world, epoch=f"e{race.seed:06}", **parts)
    engine._judge = lambda: Decided(world)
    async with engine:
        halts = (halted(engine, world, number) for number in range(race.halts))
        await asyncio.gather(engine.run(cycles=race.cycles), *halts)
        assert (await engine.run()).state == "halted"


def check(world):
    """What must hold after any race."""
    race, told, purposes = world.race, world.told, world.purposes
    asked, after = _posts(told, ASKED), _posts(told, ACKNOWLEDGED)
    assert not [cid for cid in after if purposes[cid] is Purpose.OPEN], race
    if race.asks:  # then a halt holds from the moment on in which it is asked for
        assert not [cid for cid in asked if purposes[cid] is Purpose.OPEN], race
    if race.freeze:
        assert after == [], race
    posted = _posts(told)
    assert len(set(posted)) == len(posted), race

    intended = {e.order.client_id: e.order for e in world.events if isinstance(e, Intended)}
    proven = {e.client_id: e.outcome for e in world.events if isinstance(e, Proven)}
    assert intended.keys() == proven.keys() >= set(posted), race
    there = {cid for cid, order in intended.items() if _is_there(world, order)}
    assert there == {cid for cid, outcome in proven.items() if outcome not in ABSENT}, race
    now = world.portfolio()
    assert (now.open, now.stuck, now.reserved) == ((), (), {}), race
    held = {asset: balance.total for asset, balance in world.engine.balances.items()}
    assert {a: b for a, b in now.balances.items() if b} == {a: b for a, b in held.items() if b}
    assert now.halted in ("halt 0", "halt 1"), race

    ends = [e.execution for e in world.events if isinstance(e, ExecutionEnded)]
    if (
        not race.freeze
    ):  # what is under way comes to its end, or is brought back as long as there is a way
        for end in ends:
            assert end.outcome in BROUGHT_BACK or _no_way_left(end), race
    return {end.outcome for end in ends}


def _no_way_left(end):
    """Whether every market on which an order was lost lost as many as are tried."""
    orders = (*end.legs, *end.further)
    lost = Counter(one.order.symbol for one in orders if one.outcome is OrderOutcome.NEVER)
    return end.outcome is Outcome.SHORT and min(lost.values(), default=0) >= ATTEMPTS


def _posts(told, since=None):
    """The client ids of what left, all of it or since then."""
    some = told if since is None else told[told.index(since) :]
    return [one for one in some if one not in (ASKED, ACKNOWLEDGED)]


def _is_there(world, order):
    return isinstance(world.engine.look_up(order.client_id, order.symbol), OrderState)


def moment(world):
    """How many orders that open had left when a halt was asked for, and how many left until it was acknowledged."""
    told, purposes = world.told, world.purposes
    opening = {cid for cid in _posts(told) if purposes[cid] is Purpose.OPEN}
    before = opening - set(_posts(told, ASKED))
    return len(before), len(opening) - len(before)


@pytest.mark.once
@pytest.mark.parametrize("parallel", [False, True], ids=["leg after leg", "legs at once"])
def test_no_order_that_opens_leaves_after_a_halt_in_any_of_ten_thousand_interleavings(parallel):
    """I8, E9: whatever runs first, of 10,000 distinct orders: no first byte of an opening order after `halt` returned.

    Under a freeze no byte at all; without one, what was under way comes to its end. Every order is proven, none is
    posted twice, and the books agree.
    """
    distinct, outcomes, moments, seed = set(), Counter(), Counter(), 0
    while len(distinct) < INTERLEAVINGS // 2:
        race = Race(seed, parallel=parallel)
        scheduler = Scheduler(seed, race.haste)
        world = World(race)
        scheduler.run(raced(world))
        outcomes.update(check(world))
        moments[moment(world)] += 1
        distinct.add((race.kind, tuple(scheduler.trace[: world.acknowledged_at])))
        seed += 1
        assert seed < INTERLEAVINGS
    every = {Outcome.NOTHING, Outcome.COMPLETED, Outcome.SHORT}
    assert outcomes.keys() >= every | ({Outcome.UNWOUND} if parallel else set())
    legs = 3 if parallel else 1
    wanted = [(before, 0) for before in range(legs + 1)] + [(0, late + 1) for late in range(legs)]
    assert min(moments[one] for one in wanted) >= INTERLEAVINGS // 1000, moments


def test_the_same_seed_is_the_same_race():
    """What a race found can be looked at again: its seed tells all, to the last step."""

    def trace(seed):
        race = Race(seed, parallel=True)
        scheduler, world = Scheduler(seed, race.haste), World(race)
        scheduler.run(raced(world))
        return scheduler.trace, world.told, world.events

    assert trace(7) == trace(7)
    assert trace(7)[0] != trace(8)[0]


# Against an exchange, on the wire


def deep():
    """The planted triangle with enough at every price for hundreds of cycles."""
    quotes = [attrs.evolve(q, bid_size=Decimal(5000), ask_size=Decimal(5000)) for q in SHOWN.quotes]
    return attrs.evolve(SHOWN, quotes=tuple(quotes))


class Disk(Journal):
    """Takes a moment to write, as a disk does."""

    async def append(self, *events):
        await super().append(*events)
        await asyncio.sleep(0.001)


class Arrivals:
    """When each order came in at an exchange that serves from a thread of its own, by client id."""

    def __init__(self, exchange):
        self.exchange, self.times = exchange, {}
        self.loop, self.one = asyncio.get_running_loop(), asyncio.Event()
        exchange.on_arrival.append(self.note)

    def note(self, request):
        if request.on is Endpoint.SUBMIT:
            self.times[request.client_id] = time.monotonic_ns()
            self.loop.call_soon_threadsafe(self.one.set)


@pytest.fixture
async def arrivals():
    """A loopback exchange, and what comes in there."""
    held = {asset: str(100 * amount) for asset, amount in HELD.items()}
    with in_background(deep(), balances=held) as exchange:
        yield Arrivals(exchange)


async def halted_on_the_wire(arrivals, number, *, parallel):
    """One execution with real ccxt, halted at a random moment: its ledger, and when the halt was acknowledged.

    Either after it began, before or around its first order, or after that has come in.
    """
    exchange = arrivals.exchange
    keys = {"credentials": exchange.credentials, "session_factory": exchange.session_factory}
    executor = ParallelExecutor(max_given=MOST) if parallel else SequentialExecutor()
    parts = {"risk": LIMITS, "executor": executor, "start": ["USDT"], "epoch": f"e{number:04}"}
    moment, ledger = random.Random(number), Disk()
    arrivals.one.clear()
    async with (
        CcxtGateway("binance", **keys) as gateway,
        Engine(gateway, ledger=ledger, **parts) as engine,
    ):
        run = asyncio.ensure_future(engine.run(cycles=1))
        await ledger.began.wait()
        if number % 2:
            await arrivals.one.wait()
        await asyncio.sleep(moment.choice([0, 0.003, 0.01]) * moment.random())
        await engine.halt("now")
        acknowledged_ns = time.monotonic_ns()
        await run
    return ledger, acknowledged_ns


@pytest.mark.once
@pytest.mark.parametrize("parallel", [False, True], ids=["leg after leg", "legs at once"])
async def test_no_order_that_opens_arrives_after_a_halt_is_acknowledged(arrivals, parallel):
    """I8, E9: halts at 24 random moments, real ccxt: by the exchange's own times no POST that opens comes in after one."""
    times, withheld_all, went_on = arrivals.times, 0, 0
    for number in range(24):
        ledger, acknowledged_ns = await halted_on_the_wire(arrivals, number, parallel=parallel)
        late = {cid for cid in ledger.purposes if times.get(cid, 0) > acknowledged_ns}
        assert [cid for cid in late if ledger.purposes[cid] is Purpose.OPEN] == []
        assert ledger.portfolio().halted == "now"
        [ended] = [e.execution for e in ledger.events if isinstance(e, ExecutionEnded)]
        assert ended.outcome in (Outcome.NOTHING, Outcome.COMPLETED, Outcome.UNWOUND)
        proven = {e.client_id: e.outcome for e in ledger.events if isinstance(e, Proven)}
        posted = ledger.purposes.keys() & times.keys()
        assert proven.keys() == ledger.purposes.keys()
        assert {cid for cid, outcome in proven.items() if outcome not in ABSENT} == posted
        withheld_all, went_on = withheld_all + (not posted), went_on + bool(late)
    assert withheld_all >= 2
    assert went_on >= 2 or parallel
    assert max(arrivals.exchange.posts().values()) == 1
