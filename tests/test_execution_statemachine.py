"""The whole engine against an exchange where anything goes wrong at any moment: the invariants of the law book, after each step.

What outlives a process is the exchange (a matching engine behind `FaultyGateway`, in virtual time), what is durable, and
what a person does. A process is an engine; each of its calls of ledger and gateway is a numbered point, at which it can be
killed, the market can move, a person can halt it, and so on. `nox -s soak` runs the same with random seeds.
"""

import asyncio
import itertools
import os
import sys
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from operator import itemgetter

import attrs
import pytest
from hypothesis import HealthCheck, seed, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from triarb import Engine, PaperGateway, RiskLimits, SqlLedger
from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock, utc_day
from triarb.exceptions import GatewayError, GatewayUnavailable, LedgerError
from triarb.execution import SequentialExecutor, Unwinding
from triarb.execution.resolving import flow, resolve
from triarb.execution.unwinding import stranded
from triarb.ledger import Ledger, codec
from triarb.ledger.accounts import Accounts
from triarb.market import FeeSchedule
from triarb.model import (
    BalancesSet,
    ExecutionEnded,
    ExecutionStarted,
    FeeSide,
    Filled,
    Halted,
    Intended,
    Level,
    Market,
    NotFound,
    OrderBook,
    OrderOutcome,
    Outcome,
    Proven,
    Purpose,
    Quote,
    Side,
)
from triarb.money import arithmetic, round_down
from triarb.pricing.legs import allowed, unit_given
from triarb.testing.faults import (
    Alter,
    Answer,
    Ban,
    DropAfter,
    DropBefore,
    Duplicate,
    Endpoint,
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

D, ZERO = Decimal, Decimal(0)
pytestmark = pytest.mark.once

decode = lru_cache(4096)(codec.decode)
START_NS = 1_700_000_000 * NS_PER_SECOND
BASE = {  # bid, ask; USDT > BTC > ETH > USDT earns about 1 % before fees
    "BTC/USDT": ("99.90", "100.00"),
    "ETH/BTC": ("0.04990", "0.05000"),
    "ETH/USDT": ("5.05", "5.06"),
    "BNB/ETH": ("0.4990", "0.5000"),
    "BNB/USDT": ("2.51", "2.54"),
}
LEAST = {"USDT": 5, "BTC": "0.001", "ETH": "0.01"}
MARKETS = {
    symbol: Market(
        symbol,
        *symbol.split("/"),
        price_tick=D("0.00001"),
        amount_step=D("0.0001"),
        min_amount=D("0.0001"),
        min_notional=D(LEAST[symbol.split("/")[1]]),
    )
    for symbol in BASE
}
ASSETS = ("USDT", "BTC", "ETH", "BNB")
OPENING = {"USDT": D(1000), "BTC": D(2), "ETH": D(7)}  # more than the cycle brings of BTC and ETH
LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="10 USDT")
SETTINGS = SequentialExecutor().settings
TIMEOUT_MS = 1000
POST_NS = 1_000 * NS_PER_MS
"""How long after its decision leg 1 may leave (I11)."""
T_MAX_NS = 150 * NS_PER_SECOND
"""How long an execution may take while its process lives (I9)."""
COUNTS = Counter()


# The world that outlives a process


class Stage:
    """A market that shows what it is told to."""

    exchange = "stage"

    def __init__(self):
        self.clock = ManualClock(START_NS)
        self.shown = {symbol: (D(bid), D(ask), D(50)) for symbol, (bid, ask) in BASE.items()}
        self.broken = {}
        self.read_ns = {}
        self.moves = 0

    async def markets(self):
        return list(MARKETS.values())

    def move(self, symbol, bps, size):
        """Show a price this much from the first one, with so much of it."""
        with arithmetic():
            by = 1 + D(bps) / 10_000
            bid, ask = (round_down(D(price) * by, D("0.00001")) for price in BASE[symbol])
        self.shown[symbol] = bid, ask, D(size)
        self.moves += 1

    def breaks(self, symbol, how):
        """Show a book that is none: silent, stale, crossed or empty; or mend it."""
        self.broken[symbol] = how
        self.moves += 1

    async def quotes(self):
        while True:
            batch = []
            for symbol, (low, high, size) in self.shown.items():
                crossed = self.broken.get(symbol) == "crossed"
                bid, ask = (high, low) if crossed else (low, high)
                now_ns = self.clock.now_ns()
                batch.append(Quote(symbol, bid, ask, size, size, now_ns, now_ns))
            yield batch

    async def order_book(self, symbol, depth=20, /):
        how, now_ns = self.broken.get(symbol), self.clock.now_ns()
        if how == "silent":
            raise GatewayUnavailable(f"no book of {symbol}", code="gateway.unavailable")
        bid, ask, size = self.shown[symbol]
        if how == "crossed":
            bid, ask = ask, bid
        if how == "stale":
            now_ns -= 5 * NS_PER_SECOND
        self.read_ns[symbol] = now_ns
        if how == "empty":
            return OrderBook(symbol, (), (), now_ns)
        worse = D("0.999"), D("1.001")
        with arithmetic():
            bids = Level(bid, size), Level(round_down(bid * worse[0], D("0.00001")), size)
            asks = Level(ask, size), Level(round_down(ask * worse[1], D("0.00001")), size)
        return OrderBook(symbol, bids, asks, now_ns)


class Points:
    """Counts the points that a process passes, and lets happen at them what is due."""

    def __init__(self, due=()):
        self.count = 0
        self.due = list(due)
        self.frozen = asyncio.Event()
        self.quiet = False

    async def at(self, world, *, only_death=False):
        """A point. Of one between the gate and the wire only a kill can make use."""
        if self.frozen.is_set():  # what ran beside that which was killed
            await asyncio.Event().wait()
        if self.quiet:
            return
        self.count += 1
        while self.due and self.due[0][0] <= self.count:
            if only_death and self.due[0][1][0] != "crash":
                return
            _, (name, *arguments) = self.due.pop(0)
            if name == "crash":
                COUNTS["crashes"] += 1
                self.frozen.set()
                await asyncio.Event().wait()
            self.quiet = True
            try:
                await getattr(world, f"_{name}")(*arguments)
            finally:
                self.quiet = False


class Lines(Ledger):
    """A ledger in memory, whose every event is read back from its text."""

    def __init__(self, lines):
        self.lines, self.accounts = lines, Accounts()
        for line in lines:
            self.accounts.apply(decode(line))

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def append(self, *events):
        self.accounts.apply(*events)
        self.lines += map(codec.encode, events)

    def portfolio(self):
        return self.accounts.state.portfolio

    def unfinished(self):
        return tuple(self.accounts.state.unfinished.values())


class Watched:
    """A ledger whose appends are points, can fail, and are seen once they are durable."""

    broken = False

    async def append(self, *events):
        await self.points.at(self.world)
        if self.broken:
            raise LedgerError("somebody else has continued it", code="ledger.moved")
        failing = self.world.failing.pop(0) if self.world.failing else ""
        if failing == "before":
            raise LedgerError("the disk is full", code="ledger.full")
        await super().append(*events)
        for event in events:
            self.world.durable(event)
        if failing == "after":  # nobody knows that it was written
            self.broken = True
            raise LedgerError("the disk fails", code="ledger.disk")
        await self.points.at(self.world)


class InMemory(Watched, Lines):
    """A watched ledger in memory."""

    def __init__(self, world):
        self.world, self.points = world, world.points
        super().__init__(world.lines)


class OnDisk(Watched, SqlLedger):
    """A watched ledger in a file."""

    def __init__(self, world):
        self.world, self.points = world, world.points
        super().__init__(world.place)

    @property
    def accounts(self):
        return self._opened().accounts


class Line:
    """One process' way to the exchange: every call is two points."""

    exchange, mode = "stage", "sandbox"

    def __init__(self, world):
        self.world, self.points, self.venue = world, world.points, world.venue
        self.clock = world.clock
        self.order_expiry_ns = world.venue.order_expiry_ns if world.expiring else None
        self.room_for = world.venue.room_for

    async def _call(self, work, *, only_death=False):
        await self.points.at(self.world, only_death=only_death)
        answer = await work()
        await self.points.at(self.world)
        return answer

    async def markets(self):
        return await self._call(self.venue.markets)

    async def fees(self, symbols=None, /):
        return await self._call(lambda: self.venue.fees(symbols))

    async def balances(self):
        return await self._call(self.venue.balances)

    async def order_book(self, symbol, depth=20, /):
        return await self._call(lambda: self.venue.order_book(symbol, depth))

    async def open_orders(self):
        return await self._call(self.venue.open_orders)

    async def orders_since(self, symbol, since_ns, /):
        return await self._call(lambda: self.venue.orders_since(symbol, since_ns))

    async def look_up(self, client_id, symbol, /):
        return await self._call(lambda: self.venue.look_up(client_id, symbol))

    async def cancel(self, client_id, symbol, /):
        return await self._call(lambda: self.venue.cancel(client_id, symbol))

    async def submit(self, order, /):
        return await self._call(lambda: self.venue.submit(order), only_death=True)

    async def quotes(self):
        async for batch in self.venue.quotes():
            yield batch


class World:
    """An exchange, what is durable of the processes that traded there, the one that runs, and the person who minds it."""

    def __init__(self, place=None):
        self.place, self.lines = place, []
        self.loop = asyncio.new_event_loop()
        self.frozen, self.wrong = [], []
        self.points = Points()
        self.engine = self.ledger = None
        self.processes = 0
        self.halted_here = False  # whether a person halted the process that runs
        self.failing = []
        self.events, self.shadow = [], Accounts()
        self.intents, self.proven, self.by_hand = {}, {}, set()
        self.markets_shown = {symbol: [market] for symbol, market in MARKETS.items()}
        self.decided, self.untouched = {}, {}
        self.stage = Stage()
        self.clock = self.stage.clock

    def open(self, *, expiring, freeze, way, fee_bps, charged_in):
        """Let the exchange open."""
        self.expiring, self.freeze = expiring, freeze
        self.unwinding = Unwinding(way)
        flat = FeeSchedule.flat(fee_bps)
        fees = {s: attrs.evolve(flat.fee(s), charged_in=FeeSide(charged_in)) for s in MARKETS}
        paper = PaperGateway(
            self.stage,
            balances=OPENING,
            fees=attrs.evolve(flat, by_symbol=fees),
            latency_ms=10,
        )
        self.venue = FaultyGateway(
            paper, FaultScript(), timeout_ms=TIMEOUT_MS, recv_window_ms=4 * TIMEOUT_MS
        )
        self.do(self.venue.__aenter__())
        self.venue.on_arrival.append(self._arrived)

    # Processes

    def start(self, due=()):
        """Kill what runs, and start a process that recovers; whether it came through."""
        if self.ledger is not None:
            self.do(self.ledger.__aexit__(None, None, None))
        self.processes += 1
        self.engine, self.halted_here, self.failing = None, False, []
        self.points = Points(due)
        self.ledger = OnDisk(self) if self.place else InMemory(self)
        self.do(self.ledger.__aenter__())
        assert self.ledger.accounts.state == self.shadow.state, "I12: read back"
        engine = Engine(
            Line(self),
            risk=LIMITS,
            executor=SequentialExecutor(unwinding=self.unwinding),
            ledger=self.ledger,
            start=["USDT"],
            epoch=f"e{self.processes:05d}",
            freeze=self.freeze,
        )
        self.starting = engine
        before = len(self.events)
        asked, flows = len(self.venue.requests), len(self.venue.engine._flows)
        if not self.live(engine.__aenter__()):
            return False
        self.engine = engine
        COUNTS["recoveries"] += len(self.events) - before > 1
        read = [r for r in self.venue.requests[asked:] if r.on is Endpoint.BALANCES]
        old = any(r.first(Lag) for r in read) or len(self.venue.engine._flows) > flows
        self.check_recovered(engine.recovery, old=old)
        return True

    def do(self, work):
        """Do it, in virtual time; what takes long in real time hangs."""
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def live(self, work):
        """Let the process work until it is done, killed, or ends by an error that a process may end by."""
        points = self.points

        async def until_frozen():
            task = asyncio.ensure_future(work)
            frozen = asyncio.ensure_future(points.frozen.wait())
            await asyncio.wait({task, frozen}, return_when=asyncio.FIRST_COMPLETED)
            frozen.cancel()
            await asyncio.wait({frozen})
            if points.frozen.is_set():
                self.frozen += asyncio.all_tasks()  # asyncio itself would forget them
                return False
            task.result()
            return True

        try:
            alive = self.do(until_frozen())
        except (LedgerError, GatewayError) as error:
            COUNTS[f"ended by {error.code}"] += 1
            alive = False
        if not alive:
            self.engine = None
        return alive

    def close(self):
        """Clear all away."""

        async def thaw():
            for _ in range(100):  # one that does not heed it is told again
                for task in asyncio.all_tasks() - {asyncio.current_task()}:
                    task.cancel()
                await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1, "what was killed does not end"
            if self.ledger is not None:
                await self.ledger.__aexit__(None, None, None)

        self.loop.run_until_complete(thaw())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    # What happens at a point

    async def _move(self, symbol, bps, size):
        self.stage.move(symbol, bps, size)

    async def _breaks(self, symbol, how):
        self.stage.breaks(symbol, how)

    async def _halt(self):
        engine = self.engine or self.starting
        self.halted_here = True  # once it returns, whether or not it is durable
        try:
            await engine.halt("by a person")
        except LedgerError:
            COUNTS["halts that were not durable"] += 1

    async def _jump(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + seconds * NS_PER_SECOND)

    async def _flow(self, asset, amount):
        engine = self.venue.engine
        held = engine.balances.get(asset)
        free = held.free if held else ZERO
        engine.deposit(asset, max(D(amount), -free), self.clock.now_ns())

    async def _fail(self, when, times):
        self.failing = [when] * times

    # What is seen

    def _arrived(self, request):
        """Look at a request; what is wrong with it is told in `check`, for an engine catches all that a gateway raises."""
        try:
            self._look(request)
        except AssertionError as error:
            self.wrong.append(str(error))

    def _look(self, request):
        """I1, I2, I8, I11, as an order arrives."""
        for symbol, market in self.venue.engine.markets.items():
            if market not in self.markets_shown[symbol]:
                self.markets_shown[symbol].append(market)
        if request.on is not Endpoint.SUBMIT:
            return
        COUNTS["orders"] += 1
        cid = request.client_id
        assert cid in self.intents, f"I1: {cid} was sent without a durable intent"
        assert self.venue.posts()[cid] <= 1, f"I2: {cid} was sent twice"
        intent = self.intents[cid]
        assert cid not in self.proven, f"I2: {cid} was sent after it was proven"
        halted = self.halted_here or self.shadow.state.portfolio.halted is not None
        if halted:
            COUNTS["orders while halted"] += 1
            assert intent.purpose is not Purpose.OPEN, "I8: it opens after a halt"
            assert not self.freeze, "I8: it was to freeze"
        if intent.purpose is Purpose.OPEN:
            plan, now_ns = self.decided[intent.number], self.clock.now_ns()
            assert now_ns - plan.decided_ns <= POST_NS, "I11: it was decided long ago"
            read = [self.stage.read_ns[leg.market.symbol] for leg in plan.legs]
            assert now_ns - min(read) <= LIMITS.max_age_ms * NS_PER_MS + POST_NS, "I11: old books"
            assert max(read) - min(read) <= LIMITS.max_skew_ms * NS_PER_MS, "I11: skew"

    def durable(self, event):
        """I6, I7, I9, I10, I12, as an event becomes durable."""
        event = decode(codec.encode(event))
        state = self.shadow.state
        if isinstance(event, Intended):
            self._intended(event, state.unfinished[event.number])
        elif isinstance(event, ExecutionStarted):
            self._started(event, state.portfolio)
        elif isinstance(event, ExecutionEnded):
            self._ended(event.execution)
        elif isinstance(event, Proven):
            assert event.client_id not in self.proven, "I3: proven twice"
            self.proven[event.client_id] = event.outcome
            if event.by_hand:
                self.by_hand.add(event.client_id)
            COUNTS[f"order {event.outcome}"] += 1
        elif isinstance(event, Halted):
            COUNTS["halts"] += 1
        self.events.append(event)
        self.shadow.apply(event)

    def _started(self, event, portfolio):
        plan = event.plan
        assert not portfolio.open, "I6: one is open"
        assert not portfolio.stuck, "I6: one is stuck"
        assert plan.at_stake <= portfolio.free("USDT"), "I6: more than is free"
        with arithmetic():
            lost = -portfolio.realised.get((utc_day(event.at_ns), "USDT"), ZERO)
            assert max(lost, ZERO) + plan.max_loss <= LIMITS.max_daily_loss.amount, "I7: the day"
        self.decided[event.number] = plan
        self.untouched[event.number] = self._market_state()

    def _market_state(self):
        return self.stage.moves, self.venue.engine.fees, dict(self.venue.engine.markets)

    def _intended(self, event, execution):
        plan, order = execution.plan, event.order
        before = execution.intents
        self.intents[order.client_id] = event
        turns = [i for i in before if i.intended.purpose is Purpose.UNWIND]
        assert len(turns) < SETTINGS.unwinding.max_orders + (event.purpose is not Purpose.UNWIND)
        assert all(intent.outcome is not None for intent in before), "I10: one is not proven"
        if event.purpose is not Purpose.UNWIND:
            # one whose way back came to nothing may go on by its plan, where the books allow that again
            legs = [i for i in before if i.intended.purpose is not Purpose.UNWIND]
            last = legs[-1].intended.leg if legs else 0
            assert event.leg == last + (not event.attempt), "I10: out of turn"
            assert not legs or event.attempt or legs[-1].fills, "I10: nothing came before"
            leg = plan.legs[event.leg - 1]
            assert (order.symbol, order.side) == (leg.market.symbol, leg.side), "I10"
            assert order.price == leg.limit_price, "I10: not at the plan's price"
            assert allowed(leg.market, order.price, order.amount) is None, "I10: off its filters"
        markets = self.markets_shown[order.symbol]
        known = [allowed(market, order.price, order.amount) for market in markets]
        assert None in known, f"I10: off the market's filters: {known[-1]}"
        if event.purpose is Purpose.OPEN:
            assert order.amount == plan.legs[0].amount, "I10"
            return
        fills = [fill for intent in before for fill in intent.fills]
        leg = next((leg for leg in plan.legs if leg.market.symbol == order.symbol), None)
        fee = leg.fee if leg else self.venue.engine.fees.fee(order.symbol)
        base, quote = order.symbol.split("/")
        with arithmetic():
            changes = [fill.changes() for fill in fills]
            given = quote if order.side is Side.BUY else base
            held = sum((change.get(given, ZERO) for change in changes), ZERO)
            spends = order.amount * unit_given(order.side, order.price, fee)
        assert spends <= held, f"I10: it spends {spends} {given} of {held} that came"

    def _ended(self, execution):
        COUNTS[execution.outcome] += 1
        plan = execution.plan
        if execution.outcome is Outcome.STUCK:
            return
        if self.untouched.get(execution.number) != self._market_state():
            return
        fills = [f for result in (*execution.legs, *execution.further) for f in result.fills]
        if any(result.order.client_id in self.by_hand for result in execution.legs):
            return
        lost = stranded(plan.start, fills).lost
        COUNTS["ended on a market that stood still"] += 1
        assert lost <= Fraction(plan.max_loss), f"I7: {float(lost)} lost, {plan.max_loss} stated"

    # The person

    def person(self):
        """Say what became of orders that are stuck, tell of flows, and lift the halt, as far as that can be done now."""
        self.do(self._tell())

    async def _tell(self):
        self.points.quiet = True
        try:
            for asset, amount in self.drift().items():
                if amount < 0:
                    await flow(self.ledger, asset, amount, self.clock.now_ns(), "a withdrawal")
            if self.engine is not None and not self.shadow.state.unfinished:
                await self.engine.resume("a person")
                self.halted_here = False
        except LedgerError as error:
            COUNTS[f"a person met {error.code}"] += 1
        finally:
            self.points.quiet = False

    async def _resolve(self):
        """What a person reads off the exchange's own pages, once nothing is on its way any more."""
        for execution in self.ledger.unfinished():
            for intent in [i for i in execution.intents if i.outcome is None]:
                order = intent.intended.order
                state = self.venue.engine.look_up(order.client_id, order.symbol)
                told = {"never": True}
                if not isinstance(state, NotFound):
                    known = {fill.trade_id for fill in intent.fills}
                    rest = [fill for fill in state.fills if fill.trade_id not in known]
                    if len(rest) > 1:  # an average may not be exact
                        return
                    told = {"filled": state.filled}
                    if rest:
                        told |= {"price": rest[0].price, "fees": rest[0].fees}
                await resolve(
                    self.ledger,
                    order.client_id,
                    self.clock.now_ns(),
                    evidence="the web page",
                    **told,
                )

    def end(self):
        """I3, I9: once nothing goes wrong any more a start or two end all that was open, and the next one changes nothing."""
        run = self.venue._run()
        run._rules.clear()
        run.skew_ns = 0
        self.clock.advance_to(self.clock.now_ns() + 130 * NS_PER_SECOND)
        for symbol in BASE:
            self.stage.breaks(symbol, "")
        assert self.start(), "I3: it does not start"
        self.check()
        for times in range(4):
            if not self.shadow.state.unfinished and min(self.drift().values()) >= 0:
                break
            COUNTS["a person was needed"] += not times
            self.person()
            if self.shadow.state.unfinished and (times or not self.expiring):
                self.do(self._resolve())
            assert self.start(), "I3: it does not start"
            self.check()
        assert not self.shadow.state.unfinished, "I9: one never ends"
        before = len(self.events)
        assert self.start()
        self.check()
        again = [type(event).__name__ for event in self.events[before:]]
        assert again == ["EpochStarted"], f"I3: recovery is not idempotent: {again}"
        accounts = Accounts()
        for event in self.events:  # I12: each fill a second time changes nothing
            accounts.apply(event)
            if isinstance(event, Filled):
                accounts.apply(event)
        assert accounts.state == self.shadow.state, "I12"

    # Checks

    def check(self):
        """What holds at any time."""
        engine = self.venue.engine
        outside = self.outside()
        assert not self.wrong
        with arithmetic():
            expected = {a: OPENING.get(a, ZERO) + outside.get(a, ZERO) for a in ASSETS}
            totals = engine.totals()
            assert {a: totals.get(a, ZERO) for a in ASSETS} == expected, "I5: conserved"
            assert all(b.free >= 0 and b.locked >= 0 for b in engine.balances.values()), "I5"
        names = Counter(entry.order.client_id for entry in engine._orders)
        assert not names or max(names.values()) == 1, "I2: two orders of one id"
        for cid, outcome in self.proven.items():
            order = self.intents[cid].order
            state = engine.look_up(cid, order.symbol)
            absent = outcome in (OrderOutcome.NEVER, OrderOutcome.REJECTED)
            assert absent is isinstance(state, NotFound), f"I3: {cid} is said to be {outcome}"
        portfolio = self.shadow.state.portfolio
        reserved = {}
        for unfinished in self.shadow.state.unfinished.values():
            reserved["USDT"] = reserved.get("USDT", ZERO) + unfinished.plan.at_stake
        assert dict(portfolio.reserved) == reserved, "I6: reserved for what is not finished"
        if self.ledger is not None and not self.ledger.broken:
            assert self.ledger.accounts.state == self.shadow.state, "I12"
        if not self.shadow.state.unfinished:
            self.check_quiet()

    def check_quiet(self):
        """I3 and I4: what all that is proven came to is what the exchange has, exactly."""
        fills = {}
        for event in self.events:
            if isinstance(event, Filled):
                fills.setdefault(event.fill.client_id, {})[event.fill.trade_id] = event.fill
        for cid, intent in self.intents.items():
            assert cid in self.proven, f"I3: {cid} is an orphan"
            state = self.venue.engine.look_up(cid, intent.order.symbol)
            theirs = {} if isinstance(state, NotFound) else {f.trade_id: f for f in state.fills}
            if cid not in self.by_hand:
                assert fills.get(cid, {}) == theirs, f"I3: the fills of {cid}"
        booked, outside = self.booked(), self.outside()
        with arithmetic():
            held = self.venue.engine.balances
            for asset in ASSETS:
                ours = self.shadow.state.portfolio.balances.get(asset, ZERO)
                theirs = held[asset].total if asset in held else ZERO
                traded = theirs - OPENING.get(asset, ZERO) - outside.get(asset, ZERO)
                assert ours - booked.get(asset, ZERO) == traded, f"I4: {asset}"

    def check_recovered(self, recovery, *, old):
        """I3 and I4 once a start came through: nothing is open, and balances agree, or a person is called.

        A flow may be overlooked where the balances that were read are `old`, of before it, until the next start.
        """
        portfolio = self.shadow.state.portfolio
        assert not portfolio.open, "I3: one is open after recovery"
        assert set(recovery.stuck) <= {c for c in self.intents if c not in self.proven}, "I3"
        if not portfolio.stuck and portfolio.halted is None and not old:
            beyond = {asset: amount for asset, amount in self.drift().items() if amount}
            assert dict(portfolio.beyond) == beyond, f"I4: {beyond} is there beyond the ledger"

    def outside(self):
        """What came from outside to the exchange, beyond the opening."""
        total = {}
        with arithmetic():
            for _, asset, amount in self.venue.engine._flows:
                total[asset] = total.get(asset, ZERO) + amount
        return total

    def booked(self):
        """What the ledger says came from outside, opening included."""
        total = {}
        with arithmetic():
            for event in self.events:
                if isinstance(event, BalancesSet):
                    for asset, amount in event.changes.items():
                        total[asset] = total.get(asset, ZERO) + amount
        return total

    def drift(self):
        """What came from outside and is not booked, by asset."""
        booked, outside = self.booked(), self.outside()
        with arithmetic():
            return {
                a: OPENING.get(a, ZERO) + outside.get(a, ZERO) - booked.get(a, ZERO) for a in ASSETS
            }


# What can go wrong

LOST = [
    DropBefore(),
    DropAfter(),
    Hang(),
    Hang(acts=False),
    Truncate(),
    Late(0.3),
    Late(1.5),
    Late(3.5),
    *(
        Answer(status, code, acts=acts)
        for status, code in ((500, -1000), (503, -1001), (400, -1006))
        for acts in (True, False)
    ),
    *(Answer(200, body=body, acts=True) for body in ("", "[]", "null", '{"orderId": 1')),
    Answer(502, body="<html>", acts=True),
    Answer(403, body="<html>"),
    Answer(400, -2010, "Duplicate order sent."),
]
REFUSED = [
    *(Answer(400, code) for code in (-1013, -1015, -1021, -2010, -2015)),
    Answer(429, -1003, retry_after=3),
]
GARBLED = [
    Alter({field: value})
    for field, value in (
        ("clientOrderId", "other"),
        ("status", "PENDING_NEW"),
        ("status", "NEW"),
        ("status", "EXPIRED_IN_MATCH"),
        ("origQty", "999"),
        ("executedQty", "999"),
        ("symbol", "LTCBTC"),
    )
]
AT_THE_EXCHANGE = [
    *(
        Fees(bps, side, symbol)
        for bps, side in ((10, "quote"), (10, "given"), (40, "received"))
        for symbol in ("ETH/BTC", "ETH/USDT")
    ),
    *(
        Filters(symbol=symbol, **new)
        for symbol in ("ETH/BTC", "ETH/USDT")
        for new in ({"active": False}, {"amount_step": "0.1"}, {"min_notional": "20"})
    ),
    Flow("USDT", "30"),
    Flow("ETH", "-3"),
    Flow("BTC", "-5"),
    Ban(5),
    Ban(30, 418),
    Skew(0.8),
    Skew(-0.8),
    Skew(5),
    Duplicate(),
]
SILENT = [
    DropAfter(),
    Hang(),
    Truncate(),
    Late(0.3),
    Answer(500, -1000),
    Answer(200, body="null"),
    Answer(429, -1003, retry_after=2),
]
LAGS = [Lag(0.5), Lag(1.5)]
PARTS = [Partial(part) for part in ("0", "0.05", "0.5", "0.99")]
KINDS = [  # each as likely as the next
    ("submit", LOST),
    ("submit", REFUSED),
    ("submit", GARBLED),
    ("submit", PARTS),
    ("submit", AT_THE_EXCHANGE),
    ("look_up", [*SILENT, *LAGS, *GARBLED]),
    ("cancel", [DropBefore(), DropAfter(), Hang(), Late(1.5)]),
    ("trades", [*SILENT, *LAGS, Duplicate()]),
    ("balances", [*SILENT, *LAGS, Flow("USDT", "-20"), Ban(5)]),
    ("book", SILENT),
    ("any", SILENT),
]
OF_ORDERS = ("submit", "look_up", "cancel", "trades")


@st.composite
def rules(draw):
    """Something that goes wrong with one or a few of the next requests of a kind."""
    on, faults = draw(st.sampled_from(KINDS))
    orders = draw(st.sampled_from(("*", "*l1a0", "*l2a0", "*l3a0", "*l4a0")))
    return FaultRule(
        on,
        draw(st.sampled_from(faults)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 3)),
        orders if on in OF_ORDERS else "*",
    )


RULES = rules()
MOVES = st.tuples(
    st.sampled_from(sorted(BASE)),
    st.sampled_from([-150, -60, -5, 0, 30, 90]),
    st.sampled_from(["0.5", "3", "50"]),
)
BREAKS = st.tuples(
    st.sampled_from(sorted(BASE)), st.sampled_from(["", "silent", "stale", "crossed", "empty"])
)
FLOWS = st.tuples(st.sampled_from(ASSETS[:3]), st.sampled_from(["-900", "-2", "0.5", "40"]))
MEANWHILE = st.one_of(
    st.tuples(st.just("crash")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("crash")),
    st.tuples(st.just("halt")),
    st.tuples(st.just("jump"), st.sampled_from([1, 3, 70, 90_000])),
    st.sampled_from([("fail", "before", 1), ("fail", "before", 6), ("fail", "after", 1)]),
    MOVES.map(lambda move: ("move", *move)),
    BREAKS.map(lambda broken: ("breaks", *broken)),
    FLOWS.map(lambda flow: ("flow", *flow)),
)
POINTS = st.integers(1, 45)


class Machine(RuleBasedStateMachine):
    """The rules of the law book."""

    def place(self):
        """The ledger's file; an empty one keeps it in memory."""
        return ""

    def __init__(self):
        super().__init__()
        self.world = World(self.place())

    @initialize(
        expiring=st.sampled_from([True, True, True, False]),
        freeze=st.sampled_from([False, False, True]),
        way=st.sampled_from(["cheapest", "cheapest", "forward", "hold"]),
        fee_bps=st.sampled_from(["10", "0", "25"]),
        charged_in=st.sampled_from(["received", "quote"]),
    )
    def begin(self, **settings):
        self.world.open(**settings)
        self.world.start()

    @rule(move=MOVES)
    def tick(self, move):
        self.world.stage.move(*move)

    @rule(broken=BREAKS)
    def book_fault(self, broken):
        self.world.stage.breaks(*broken)

    @rule(
        planted=st.sampled_from([True, True, True, False]),
        minded=st.sampled_from([True, True, False]),
        faults=st.lists(RULES, max_size=3),
        meanwhile=st.lists(st.tuples(POINTS, MEANWHILE), max_size=2),
    )
    def step(self, planted, minded, faults, meanwhile):
        """Let the engine step once, where the opportunity may be there, and a person saw to what was wrong."""
        world = self.world
        if planted:
            self.plant()
        if world.engine is None and not world.start():
            return
        if minded:
            world.person()
        world.venue.inject(*faults)
        count = world.points.count
        world.points.due = sorted(((count + k, what) for k, what in meanwhile), key=itemgetter(0))
        world.live(world.engine.step())

    def plant(self):
        """The opportunity is there (again)."""
        for symbol in BASE:
            self.world.stage.move(symbol, 0, "50")
            self.world.stage.breaks(symbol, "")

    @rule(
        faults=st.lists(RULES, max_size=2),
        meanwhile=st.lists(st.tuples(st.integers(1, 20), MEANWHILE), max_size=2),
    )
    def crash_and_recover(self, faults, meanwhile):
        """Kill what runs, and start a process whose recovery may be cut off itself."""
        self.world.venue.inject(*faults)
        self.world.start(sorted(meanwhile, key=itemgetter(0)))

    @rule(seconds=st.sampled_from([1, 5, 100, 86_400]))
    def wait(self, seconds):
        self.world.clock.advance_to(self.world.clock.now_ns() + seconds * NS_PER_SECOND)

    @rule(what=FLOWS)
    def external_flow(self, what):
        self.world.do(self.world._flow(*what))

    @precondition(lambda self: self.world.engine is not None)
    @rule(halts=st.sampled_from([False, False, True]))
    def person(self, halts):
        """Somebody halts it, or sees to what is wrong."""
        if halts:
            self.world.live(self.world._halt())
        else:
            self.world.person()

    @invariant()
    def holds(self):
        if hasattr(self.world, "venue"):
            self.world.check()

    def teardown(self):
        try:
            if hasattr(self.world, "venue") and sys.exc_info()[1] is None:
                self.world.end()
        finally:
            self.world.close()


SOAK = int(os.environ.get("TRIARB_EXAMPLES", "0"))
"""How many examples under random seeds; 0 runs those under fixed ones."""


def run(machine, number, examples):
    """Run a machine under the seed of that number, or as often as a soak asks for; what it met."""
    COUNTS.clear()
    run_state_machine_as_test(
        machine if SOAK else seed(number)(machine),
        settings=settings(
            max_examples=SOAK or examples,
            stateful_step_count=12,
            deadline=None,
            derandomize=False,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    met = ", ".join(f"{count} {name}" for name, count in sorted(COUNTS.items()))
    return f"no invariant broken in {SOAK or examples} examples: {met}"


def check_counts():
    """What every run must have met, or it proves little."""
    for outcome in Outcome:
        assert COUNTS[outcome], f"no execution ended {outcome}"
    for outcome in (OrderOutcome.PARTIAL, OrderOutcome.REJECTED, OrderOutcome.NEVER):
        assert COUNTS[f"order {outcome}"], f"no order ended {outcome}"
    assert COUNTS["crashes"] > 20


@pytest.mark.parametrize("number", range(1, 5))
def test_no_invariant_breaks(number, capsys):
    """I1-I12 hold after each step, whatever goes wrong when, and once nothing does any more all comes to an end."""
    told = run(type(f"Machine{number}", (Machine,), {}), number, 480)
    check_counts()
    if SOAK:
        with capsys.disabled():
            print(f"\n{told}")  # noqa: T201 - the summary of a soak


def test_no_invariant_breaks_on_disk(tmp_path, capsys):
    """E3, E4, I1-I12: the same with a ledger in a file and its latch beside it, read back at each start."""
    numbers = itertools.count()

    class OnItsDisk(Machine):
        def place(self):
            for file in tmp_path.iterdir():
                file.unlink()
            return tmp_path / f"ledger{next(numbers)}.sqlite"

    told = run(OnItsDisk, 5, 80)
    if SOAK:
        with capsys.disabled():
            print(f"\n{told}")  # noqa: T201 - the summary of a soak
