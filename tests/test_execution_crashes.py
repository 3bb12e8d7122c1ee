"""A process that dies at any point of a cycle: recovery ends it in a known state, whatever the point, and wherever it dies itself.

Every append to the ledger and every call of the exchange is a numbered point, once before it takes effect and once after.
A crash freezes the process there for good: nothing of it runs again, no `finally` either. The next process has what is
durable and the exchange as it is, and nothing else.
"""

import asyncio
from collections import Counter
from decimal import Decimal
from functools import cache
from itertools import pairwise

import pytest

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock
from triarb.exceptions import GatewayUnavailable
from triarb.execution import ExecutionContext, ParallelExecutor, SequentialExecutor, recover
from triarb.ledger import Ledger, codec
from triarb.ledger.accounts import Accounts
from triarb.ledger.codec import encode
from triarb.market import FeeSchedule, RateTable
from triarb.model import (
    BalancesSet,
    ExecutionEnded,
    Filled,
    Intended,
    Level,
    Market,
    NotFound,
    OrderBook,
    OrderOutcome,
    Outcome,
    Proven,
    Quote,
    Refused,
    Submission,
    SubmissionStatus,
)
from triarb.pricing import confirm, make_plan, most_profitable, profit_at
from triarb.simulation import MatchingEngine

pytestmark = pytest.mark.once


D = Decimal
decode = cache(codec.decode)  # the same few lines thousands of times
START_NS = 1_700_000_000 * NS_PER_SECOND
EXPIRY_NS = 2 * NS_PER_SECOND
SETTINGS = SequentialExecutor().settings
PATHS = {
    3: ("USDT", "BTC", "ETH", "USDT"),
    4: ("USDT", "BTC", "ETH", "BNB", "USDT"),
}
PRICES = {  # bid, ask; both paths earn about 1 % before fees
    ("BTC", "USDT"): ("99.90", "100.00"),
    ("ETH", "BTC"): ("0.04990", "0.05000"),
    ("ETH", "USDT"): ("5.05", "5.06"),
    ("BNB", "ETH"): ("0.4990", "0.5000"),
    ("BNB", "USDT"): ("2.53", "2.54"),
}
MARKETS = [
    Market(
        f"{base}/{quote}",
        base,
        quote,
        price_tick=D("0.00001"),
        amount_step=D("0.0001"),
        min_amount=D("0.0001"),
        min_notional=D({"USDT": 5, "BTC": "0.001", "ETH": "0.01"}[quote]),
    )
    for base, quote in PRICES
]
FEES = FeeSchedule.flat("10")


class Points:
    """Counts the points that a process passes, and freezes it at one of them."""

    def __init__(self, stop_at=None):
        self.names = []
        self.stop_at = stop_at
        self.frozen = asyncio.Event()

    async def at(self, name):
        self.names.append(name)
        if self.stop_at is not None and len(self.names) >= self.stop_at:
            self.frozen.set()
            await asyncio.Event().wait()


class Exchange:
    """What outlives every process: one account at a matching engine, and all that was ever posted there."""

    def __init__(self, *, size="50", late_ns=None, levels=None, held=None):
        self.clock = ManualClock(START_NS)
        self.engine = MatchingEngine(MARKETS, FEES, balances=held or {"USDT": D(1000)})
        self.posted = []
        self.late_ns = late_ns
        self.on_the_way = []
        self.clock.on_advance.append(self.deliver)
        for (base, quote), (bid, ask) in PRICES.items():
            sides = [(Level(D(price), D(size)),) for price in (bid, ask)]
            self.engine.set_book(OrderBook(f"{base}/{quote}", *sides, START_NS))
        for book in (levels or {}).values():
            self.engine.set_book(book)

    def deliver(self, now_ns):
        for due_ns, order in [late for late in self.on_the_way if late[0] <= now_ns]:
            self.on_the_way.remove((due_ns, order))
            self.engine.submit(order, now_ns)

    def held(self):
        return {asset: balance.total for asset, balance in self.engine.balances.items()}


class Books(Ledger):
    """A ledger whose events outlive the process; every one is read back from its text."""

    def __init__(self, lines, points):
        self.lines, self.points, self.accounts = lines, points, Accounts()
        for line in lines:
            self.accounts.apply(decode(line))

    async def append(self, *events):
        names = ", ".join(type(event).__name__ for event in events)
        await self.points.at(f"before {names}")
        lines = [encode(event) for event in events]
        self.accounts.apply(*events)
        self.lines += lines
        await self.points.at(f"after {names}")

    def portfolio(self):
        return self.accounts.state.portfolio

    def unfinished(self):
        return tuple(self.accounts.state.unfinished.values())


class Gateway:
    """One process' way to the exchange."""

    exchange, mode, order_expiry_ns = "simulated", "sandbox", EXPIRY_NS

    def __init__(self, exchange, points, ledger):
        self.venue, self.points, self.ledger = exchange, points, ledger
        self.clock = exchange.clock

    async def _call(self, name, act):
        await self.points.at(f"before {name}")
        await self.clock.sleep(0.01)
        answer = act()
        await self.points.at(f"after {name}")
        return answer

    async def markets(self):
        return await self._call("markets", lambda: MARKETS)

    async def fees(self, symbols=None, /):
        return await self._call("fees", lambda: FEES)

    async def balances(self):
        return await self._call("balances", lambda: self.venue.engine.balances)

    async def order_book(self, symbol, depth=20, /):
        return await self._call("order_book", lambda: self.venue.engine.book(symbol))

    async def look_up(self, client_id, symbol, /):
        return await self._call("look_up", lambda: self.venue.engine.look_up(client_id, symbol))

    async def cancel(self, client_id, symbol, /):
        now_ns = self.clock.now_ns()
        return await self._call(
            "cancel", lambda: self.venue.engine.cancel(client_id, symbol, now_ns)
        )

    async def submit(self, order, /):
        intents = [decode(line) for line in self.ledger.lines]  # what is durable at this moment
        assert order in [e.order for e in intents if isinstance(e, Intended)], "I1"
        venue = self.venue
        if venue.late_ns is not None:  # it is on the wire, whatever becomes of the process
            venue.posted.append(order)
            venue.on_the_way.append((self.clock.now_ns() + venue.late_ns, order))
            await self.points.at("sent")
            return Submission(SubmissionStatus.UNKNOWN, reason="no answer")

        def act():
            venue.posted.append(order)
            state = venue.engine.submit(order, self.clock.now_ns())
            if isinstance(state, Refused):
                return Submission(SubmissionStatus.REJECTED, reason=str(state))
            return Submission(SubmissionStatus.ACCEPTED, state)

        return await self._call("submit", act)


def plan_of(legs, levels=None):
    """The plan of the cycle of so many legs, for 100 USDT."""
    quotes = [
        Quote(f"{base}/{quote}", D(bid), D(ask), D(50), D(50), START_NS)
        for (base, quote), (bid, ask) in PRICES.items()
    ]
    rates = RateTable(MARKETS, FEES, quotes)
    edges = {
        (rates.leg(e).given, rates.leg(e).received): e for e, rate in enumerate(rates.rates) if rate
    }
    cycle = rates.cycle(edges[pair] for pair in pairwise(PATHS[legs])).starting_from("USDT")
    books = {quote.symbol: OrderBook.from_quote(quote) for quote in quotes} | (levels or {})
    opportunity = confirm(cycle, books, FEES, rates.view(), START_NS)
    sized = profit_at(opportunity, D(100)) if levels else most_profitable(opportunity, D(100))
    return make_plan(opportunity, sized.legs), rates.view()


PLANS = {legs: plan_of(legs) for legs in PATHS}
DEEPER = {  # of ETH/BTC, what is better than the limit leaves BTC over
    "ETH/BTC": OrderBook(
        "ETH/BTC",
        (Level(D("0.04970"), D(50)),),
        (Level(D("0.04980"), D(10)), Level(D("0.05000"), D(40))),
        START_NS,
    )
}
PLANS["rest"] = plan_of(3, DEEPER)
PLANS["at once"] = PLANS[3]
HELD = {"at once": {"USDT": D(1000), "BTC": D(3), "ETH": D(50)}}
EXECUTORS = {
    "at once": ParallelExecutor(max_given={"USDT": "200", "BTC": "2", "ETH": "40"}),
}


def exchange_of(cycle):
    """An exchange that shows what the cycle was planned on."""
    return Exchange(levels=DEEPER if cycle == "rest" else None, held=HELD.get(cycle))


async def live(work, points):
    """Run a process to its end, or until it freezes; whether it came to its end."""
    task = asyncio.ensure_future(work)
    frozen = asyncio.ensure_future(points.frozen.wait())
    await asyncio.wait({task, frozen}, return_when=asyncio.FIRST_COMPLETED)
    frozen.cancel()
    if task.done():
        task.result()
        return True
    FROZEN.append(task)
    return False


FROZEN = []


@pytest.fixture(autouse=True)
async def thaw():
    """Clear frozen processes away, after all is checked."""
    yield
    for task in FROZEN:
        task.cancel()
    await asyncio.gather(*FROZEN, return_exceptions=True)
    FROZEN.clear()


async def trade(exchange, lines, cycle, stop_at=None):
    """A process that carries out the plan, and dies at a point; the points that it passed."""
    points = Points(stop_at)
    ledger = Books(lines, points)
    gateway = Gateway(exchange, points, ledger)
    plan, view = PLANS[cycle]
    context = ExecutionContext(
        gateway,
        gateway.order_book,
        view,
        ledger,
        exchange.clock,
        lambda _order, _purpose: None,
        lambda _event: None,
        "first",
        1,
    )
    done = await live(EXECUTORS.get(cycle, SequentialExecutor()).execute(plan, context), points)
    return done, points.names


async def recovery(exchange, lines, epoch="second", stop_at=None):
    """A process that recovers, and dies at a point; the points that it passed."""
    points = Points(stop_at)
    ledger = Books(lines, points)
    gateway = Gateway(exchange, points, ledger)
    done = await live(recover(ledger, gateway, exchange.clock, epoch=epoch), points)
    return done, points.names


def opened(cycle=3):
    """A ledger that knows its opening balance."""
    return [encode(BalancesSet(START_NS, HELD.get(cycle, {"USDT": D(1000)}), "opening"))]


def check(exchange, lines, cycle, what):
    """I1, I2, I3, I4, I6, I9 and I12 of what is durable and what the exchange has; how the execution ended."""
    events = [decode(line) for line in lines]
    accounts = Books(lines, Points()).accounts.state  # I12: replayed from its text alone
    portfolio = accounts.portfolio
    intents = {e.order.client_id: e.order for e in events if isinstance(e, Intended)}
    posted = Counter(order.client_id for order in exchange.posted)
    assert posted.keys() <= intents.keys(), f"I1: {what}"
    assert set(posted.values()) <= {1}, f"I2: {what}"
    proven = {e.client_id: e.outcome for e in events if isinstance(e, Proven)}
    assert proven.keys() == intents.keys(), f"I3: {what}"
    fills = [e.fill for e in events if isinstance(e, Filled)]
    for cid, order in intents.items():
        state = exchange.engine.look_up(cid, order.symbol)
        absent = proven[cid] in (OrderOutcome.NEVER, OrderOutcome.REJECTED)
        assert absent is isinstance(state, NotFound), f"I3: {what}: {cid} {proven[cid]}"
        if not absent:
            own = {fill.trade_id: fill for fill in fills if fill.client_id == cid}
            assert own == {fill.trade_id: fill for fill in state.fills}, f"I3: {what}"
    assert dict(portfolio.balances) == exchange.held(), f"I4: {what}"
    assert not portfolio.reserved, f"I6: {what}"
    started = portfolio.started
    ends = [e.execution for e in events if isinstance(e, ExecutionEnded)]
    assert len(ends) == started, f"I9: {what}"
    assert not accounts.unfinished, f"I9: {what}"
    plan, _ = PLANS[cycle]
    most = len(plan.legs) + sum(bool(leg.resend) for leg in plan.legs)
    assert len(intents) <= most + SETTINGS.unwinding.max_orders, f"I9: {what}"
    assert portfolio.halted is None, what
    if not ends:
        return None
    [end] = ends
    assert end.outcome is not Outcome.STUCK, what
    assert end.ended_ns - START_NS < 120 * NS_PER_SECOND, f"I9: {what}"
    assert -end.result <= end.plan.max_loss, f"I7: {what}"  # the market did not move
    return end


async def test_a_cycle_that_is_not_cut_off_completes():
    """Without a crash both cycles complete, recovery finds nothing to do, and it passes through no write."""
    for legs in PATHS:
        exchange, lines = Exchange(), opened()
        done, names = await trade(exchange, lines, legs)
        assert done
        assert check(exchange, lines, legs, "no crash").outcome is Outcome.COMPLETED
        before = list(lines)
        _, again = await recovery(exchange, lines)
        assert lines == before
        assert not [name for name in again if "order_book" in name or "submit" in name]
        assert len(names) > 10 * legs


async def test_what_a_leg_leaves_is_sent_once_more():
    """A5, I2, I10: what leg 2 left buys more at its limit as attempt 1, leg 3 sells all of it, and a crash repeats neither."""
    exchange, lines = exchange_of("rest"), opened()
    await trade(exchange, lines, "rest")
    end = check(exchange, lines, "rest", "no crash")
    assert [order.client_id[-4:] for order in exchange.posted] == ["l1a0", "l2a0", "l2a1", "l3a0"]
    _, rest, last = exchange.posted[1:]
    assert rest.amount == end.plan.legs[1].resend
    assert rest.price == end.plan.legs[1].limit_price
    assert end.outcome is Outcome.COMPLETED
    assert [result.order for result in end.further] == [rest]
    assert last.amount > end.plan.legs[2].amount
    gain = end.result - end.plan.expected_result
    assert gain == end.plan.legs[1].resend_gain > 0


@pytest.mark.parametrize("cycle", PLANS)
async def test_every_crash_point(cycle):
    """E1, I1-I4, I6, I7, I9, I12: a crash at any point of a cycle is recovered from, and a second recovery changes nothing."""
    outcomes = Counter()
    _, names = await trade(exchange_of(cycle), opened(cycle), cycle)
    for k in range(1, len(names) + 1):
        exchange, lines = exchange_of(cycle), opened(cycle)
        done, passed = await trade(exchange, lines, cycle, stop_at=k)
        assert not done
        what = f"{cycle}, crash at {k} ({passed[k - 1]})"
        assert (await recovery(exchange, lines))[0]
        end = check(exchange, lines, cycle, what)
        outcomes[end and end.outcome] += 1
        before = list(lines)
        await recovery(exchange, lines, "third")
        assert lines == before, f"I3: {what}: a second recovery wrote"
    assert outcomes.keys() == {None, Outcome.NOTHING, Outcome.UNWOUND, Outcome.COMPLETED}


@pytest.mark.parametrize("cycle", PATHS)
async def test_every_pair_of_crash_points(cycle):
    """E1, I3: a crash at any point, then one at any point of the recovery from it, is recovered from by the next.

    A crash leaves nothing but what is durable and what the exchange has, so that points which leave the same are one.
    """
    _, names = await trade(exchange_of(cycle), opened(cycle), cycle)
    left = set()
    for k in range(1, len(names) + 1):
        exchange, lines = exchange_of(cycle), opened(cycle)
        await trade(exchange, lines, cycle, stop_at=k)
        if durable(exchange, lines) in left:
            continue
        left.add(durable(exchange, lines))
        j, done, again = 0, False, set()
        while not done:
            j += 1
            exchange, lines = exchange_of(cycle), opened(cycle)
            await trade(exchange, lines, cycle, stop_at=k)
            done, passed = await recovery(exchange, lines, stop_at=j)
            if durable(exchange, lines) in again:
                continue
            again.add(durable(exchange, lines))
            what = f"{cycle}, crash at {k} ({names[k - 1]}), then at {j} ({passed[-1]})"
            assert (await recovery(exchange, lines, "third"))[0]
            check(exchange, lines, cycle, what)
    assert len(left) > 3 * len(
        PLANS[cycle][0].legs
    )  # an intent, its order, its answer, its fill, its proof


def durable(exchange, lines):
    """What a crash leaves, but for the time."""
    return len(lines), len(exchange.posted)


@pytest.mark.parametrize("late_ms", [0, 500, 1999])
async def test_an_order_that_arrives_after_the_crash(late_ms):
    """A2: an order that was on the wire when its process died, and arrives as late as it can, is found and not sent again."""
    late_ns = late_ms * NS_PER_MS
    outcomes = Counter()
    for k in range(1, 60):
        exchange, lines = Exchange(late_ns=late_ns), opened()
        done, _ = await trade(exchange, lines, 3, stop_at=k)
        assert (await recovery(exchange, lines))[0]
        end = check(exchange, lines, 3, f"late by {late_ms} ms, crash at {k}")
        outcomes[end and end.outcome] += 1
        if done:
            break
    assert outcomes[Outcome.COMPLETED] > 0
    assert OrderOutcome.NEVER not in {leg.outcome for leg in end.legs}


async def test_what_is_not_told_stays_stuck_until_it_is():
    """A8, I3: while the exchange answers no look-up an execution is STUCK with its funds reserved; later it ends."""

    class Silent(Gateway):
        async def look_up(self, client_id, symbol, /):
            raise GatewayUnavailable("no answer", code="gateway.unavailable")

    exchange, lines = Exchange(), opened()
    _, names = await trade(Exchange(), opened(), 3)
    sent = [number for number, name in enumerate(names, 1) if name == "after submit"]
    await trade(exchange, lines, 3, stop_at=sent[1])
    for times in range(2):
        before = list(lines)
        ledger = Books(lines, Points())
        found = await recover(
            ledger, Silent(exchange, Points(), ledger), exchange.clock, epoch=f"silent{times}"
        )
        assert found.stuck.keys() == {"trifirstn1l2a0"}
        assert "not proven" in str(found)
        assert ledger.portfolio().stuck == (1,)
        assert ledger.portfolio().reserved
        if times:
            assert lines == before
    ledger = Books(lines, Points())
    gateway = Gateway(exchange, Points(), ledger)
    found = await recover(ledger, gateway, exchange.clock, epoch="third")
    assert found.proven == {"trifirstn1l2a0": OrderOutcome.FILLED}
    assert ledger.portfolio().stuck == ()
    assert found.ended[0].outcome is Outcome.COMPLETED
    assert dict(ledger.portfolio().balances) == exchange.held()
