"""A gateway of one's own that answers nonsense: whatever it says, an execution ends, and its ledger can be read back."""

from decimal import Decimal
from functools import partial
from random import Random

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb import ParallelExecutor, SequentialExecutor, SqlLedger, Unwinding
from triarb.clock import ManualClock
from triarb.exceptions import GatewayUnavailable
from triarb.execution import ExecutionContext
from triarb.market import RateTable
from triarb.model import (
    Balance,
    BalancesSet,
    ExecutionEnded,
    ExecutionStarted,
    Fill,
    Level,
    NotFound,
    OrderBook,
    OrderState,
    OrderStatus,
    Outcome,
    Proven,
    Submission,
    SubmissionStatus,
)
from triarb.testing.execution import _plan
from triarb.testing.market import planted_triangle

HELD = {"USDT": Decimal(1000), "BTC": Decimal(10), "ETH": Decimal(100)}
SNAPSHOT = planted_triangle()
BOOKS = {quote.symbol: OrderBook.from_quote(quote) for quote in SNAPSHOT.quotes}
EXECUTORS = (SequentialExecutor(), ParallelExecutor(max_given=HELD))
NAMES = ("one by one", "at once")
NONSENSE = (
    None,
    True,
    0,
    -1,
    10**40,
    0.5,
    float("nan"),
    *map(Decimal, ("NaN", "sNaN", "Infinity", "-1", "1", "1e50", "1e-50")),
    "",
    "x",
    "BUY",
    "filled",
    "ETH/USDT",
    b"x",
    [],
    ["x"],
    (),
    {},
    {"BTC": 1.5},
    {"BTC": Decimal("sNaN")},
    {None: Decimal(1)},
    object(),
)


def garbled(answer, random, often):
    """`answer` with parts of it, however deep, replaced by nonsense."""
    if attrs.has(type(answer)):
        names = [field.name for field in attrs.fields(type(answer))]
        parts = {name: garbled(getattr(answer, name), random, often) for name in names}
        wrong = {name: random.choice(NONSENSE) for name in names if random.random() < often}
        return attrs.evolve(answer, **parts | wrong)
    if isinstance(answer, tuple) and answer:
        if random.random() < often:
            return random.choice((answer * 2, answer[:-1], list(answer), iter(answer)))
        return tuple(garbled(part, random, often) for part in answer)
    return answer


class Babbling:
    """Fills orders in whole, in part or not at all, and garbles what it says of it."""

    def __init__(self, random, often, parts=(1, 1, Decimal("0.5"), 0)):
        self.random, self.often, self.parts = random, often, parts
        self.orders = {}
        self.order_expiry_ns = 4 * 10**9

    def say(self, answer):
        """`answer`, as it is said here."""
        chance = self.random.random()
        if chance < self.often / 3:
            raise self.random.choice([ValueError("x"), KeyError(1), RuntimeError()])
        if chance < self.often / 2:
            return self.random.choice(NONSENSE)
        return garbled(answer, self.random, self.often)

    async def submit(self, order, /):
        part = self.random.choice(self.parts)
        amount = (order.amount * part).quantize(Decimal("0.00001"))
        base, quote = order.symbol.split("/")
        cid = order.client_id
        fill = Fill(cid, cid, order.symbol, base, quote, order.side, order.price, amount, {})
        status = OrderStatus.FILLED if part == 1 else OrderStatus.EXPIRED
        fills = (fill,) if amount else ()
        state = OrderState(cid, order.symbol, status, order.amount, amount, fills)
        self.orders[cid] = state
        return self.say(Submission(SubmissionStatus.ACCEPTED, state))

    async def look_up(self, cid, symbol, /):
        return self.say(self.orders.get(cid) or NotFound(cid, symbol))

    cancel = look_up

    async def balances(self):
        return self.say({asset: Balance(amount, amount) for asset, amount in HELD.items()})

    async def order_book(self, symbol, /):
        return self.say(BOOKS[symbol])

    async def markets(self):
        return self.say({market.symbol: market for market in SNAPSHOT.markets})


async def run(executor, gateway):
    """Carry out the plan of the planted triangle over `gateway`: the execution, and its ledger's events."""
    rates = RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes)
    async with SqlLedger("sqlite://") as ledger:
        await ledger.append(BalancesSet(0, HELD, "opening"))
        context = ExecutionContext(
            gateway,
            gateway.order_book,
            rates.view(),
            ledger,
            ManualClock(),
            lambda _order, _purpose: None,
            lambda _event: None,
            "abcd",
            1,
            markets=gateway.markets,
        )
        execution = await executor.execute(_plan(rates), context)
        return execution, list(ledger.events())


@pytest.mark.parametrize("executor", EXECUTORS, ids=NAMES)
@settings(max_examples=150, deadline=None)
@given(random=st.randoms(use_true_random=False), often=st.sampled_from((0.02, 0.1, 0.3)))
async def test_an_execution_ends_whatever_is_answered(executor, random, often):
    """A4, I9: nothing is raised; each order is proven or its execution stuck; the ledger reads back what it wrote."""
    gateway = Babbling(random, often)
    execution, events = await run(executor, gateway)
    assert isinstance(events[1], ExecutionStarted)
    assert events[-1] == ExecutionEnded(execution.ended_ns, execution)
    proven = {event.client_id for event in events if isinstance(event, Proven)}
    assert (proven == set(gateway.orders)) is (execution.outcome is not Outcome.STUCK)


class Late(Babbling):
    """Fills a part of every order; the first answer about each book is `first`."""

    def __init__(self, first):
        super().__init__(Random(2), 0, parts=(1, Decimal("0.5")))
        self.first, self.read = first, set()

    async def order_book(self, symbol, /):
        if symbol in self.read:
            return BOOKS[symbol]
        self.read.add(symbol)
        return self.first(BOOKS[symbol])


def unreadable(_book):
    """What a gateway raises that could not read it."""
    raise GatewayUnavailable("no answer", code="x")


def with_price(level, price):
    """The same amount at another price."""
    return attrs.evolve(level, price=Decimal(price))


WRONG = {
    "a level that is text": lambda _book: {"bids": ("x",)},
    "a price that is a float": lambda _book: {"asks": (Level(0.5, Decimal(1)),)},
    "an amount that is no number": lambda _book: {"asks": (Level(Decimal(1), Decimal("sNaN")),)},
    "no side": lambda _book: {"bids": None},
    "a side that can be read once": lambda book: {"bids": iter(book.bids)},
    "no time": lambda _book: {"received_ns": None},
    "another market": lambda _book: {"symbol": "ETH/EUR"},
    "an amount of zero": lambda _book: {"asks": (Level(Decimal(1), Decimal(0)),)},
    "the same bid twice": lambda book: {"bids": book.bids * 2},
    "a worse bid first": lambda book: {"bids": (with_price(book.bids[0], "1e-9"), *book.bids)},
    "a worse ask first": lambda book: {"asks": (with_price(book.asks[0], "1e9"), *book.asks)},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("executor", EXECUTORS, ids=NAMES)
async def test_a_book_that_makes_no_sense_is_none(executor, wrong):
    """B9, C2: a cycle under way goes on as if it could not have been read, and reads it again."""
    told, _ = await run(executor, Late(lambda book: attrs.evolve(book, **wrong(book))))
    silent, _ = await run(executor, Late(unreadable))
    assert told.further
    assert (told.outcome, told.changes, told.ended_ns) == (
        silent.outcome,
        silent.changes,
        silent.ended_ns,
    )


@pytest.mark.parametrize("kind", [SequentialExecutor, partial(ParallelExecutor, max_given=HELD)])
@pytest.mark.parametrize("most", [0, 2])
async def test_no_more_orders_than_the_policy_lets(kind, most):
    """I9: however often it fills in part, no more orders bring it back than `Unwinding.max_orders`."""
    executor = kind(unwinding=Unwinding(max_orders=most))
    execution, _ = await run(executor, Late(lambda book: book))
    assert len(execution.further) == most
    assert execution.outcome is Outcome.SHORT
