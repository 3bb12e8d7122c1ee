"""What is sent to an exchange, what comes back, and what an execution came to."""

import enum
from collections.abc import Iterable, Mapping
from decimal import Decimal

import attrs

from triarb.model.cycle import Plan, Refused, TimeInForce
from triarb.model.market import Side
from triarb.money import ZERO, arithmetic


@attrs.frozen
class Order:
    """An order as it is sent: the exact amount and price, and the id that we know it by.

    Attributes:
        client_id: our id; with it an order can be looked up whatever happened to the answer.
        amount: base units.
        price: the limit price; None is a market order.
    """

    client_id: str
    symbol: str
    side: Side
    amount: Decimal
    price: Decimal | None
    time_in_force: TimeInForce = TimeInForce.IOC


class OrderStatus(enum.StrEnum):
    """Where an order stands. What counts is what was filled; the status only tells whether more can come."""

    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@attrs.frozen
class Fill:
    """One trade of an order.

    Attributes:
        trade_id: the exchange's id of it; a fill seen twice counts once.
        amount: base units.
        fees: what was charged, by asset.
    """

    trade_id: str
    client_id: str
    symbol: str
    base: str
    quote: str
    side: Side
    price: Decimal
    amount: Decimal
    fees: Mapping[str, Decimal]
    time_ns: int = 0

    def changes(self) -> dict[str, Decimal]:
        """What it does to the balances, by asset: base and quote exchanged, fees taken."""
        with arithmetic():
            sign = 1 if self.side is Side.BUY else -1
            result = {self.base: sign * self.amount, self.quote: -sign * self.amount * self.price}
            for asset, fee in self.fees.items():
                result[asset] = result.get(asset, ZERO) - fee
            return result


def _amount(fills: Iterable[Fill]) -> Decimal:
    with arithmetic():
        return sum((fill.amount for fill in fills), ZERO)


@attrs.frozen
class OrderState:
    """What the exchange says of an order.

    Attributes:
        filled: base units filled so far.
        fills: the trades known so far; their amounts may lag behind `filled`.
    """

    client_id: str
    symbol: str
    status: OrderStatus
    amount: Decimal
    filled: Decimal
    fills: tuple[Fill, ...] = ()
    exchange_id: str = ""

    @property
    def is_final(self) -> bool:
        """Whether nothing more can come."""
        return self.status not in (OrderStatus.OPEN, OrderStatus.UNKNOWN)

    @property
    def is_complete(self) -> bool:
        """Whether it is final and every filled unit has its fill."""
        return (
            self.is_final and sum((fill.amount for fill in self.fills), Decimal(0)) == self.filled
        )


class SubmissionStatus(enum.StrEnum):
    """What the answer to a submitted order proves."""

    ACCEPTED = "accepted"
    """The exchange has it, and said so in an answer that makes sense."""
    REJECTED = "rejected"
    """The exchange does not have it and never will, by its own structured word."""
    UNKNOWN = "unknown"
    """Nothing is proven: it must be looked up."""


@attrs.frozen
class Submission:
    """What came back when an order was submitted.

    Attributes:
        state: the order as the exchange sees it; only when accepted.
        reason: why it was rejected, or why nothing is proven.
    """

    status: SubmissionStatus
    state: OrderState | None = None
    reason: str = ""


@attrs.frozen
class NotFound:
    """The exchange's word that it knows no order of that id now. It proves nothing about later."""

    client_id: str
    symbol: str


class OrderOutcome(enum.StrEnum):
    """What became of an order, proven; decided by what filled, never by a status word."""

    FILLED = "filled"
    """All of it."""
    PARTIAL = "partial"
    """A part of it, and no more can come."""
    EXPIRED = "expired"
    """Nothing: it found no price within its limit."""
    CANCELED = "canceled"
    """Nothing: it was taken back."""
    REJECTED = "rejected"
    """Nothing: the exchange did not take it, by its own structured word, or it was never sent."""
    NEVER = "never"
    """Nothing: it never arrived, and no longer can."""


class Purpose(enum.StrEnum):
    """What an order does to what is at risk: a halt forbids the first kind, never the others unless it freezes all."""

    OPEN = "open"
    """It spends the start asset: leg 1."""
    CLOSE = "close"
    """It goes on with what the execution brought so far, as planned."""
    UNWIND = "unwind"
    """It turns what the execution is stranded with towards the start asset, off the plan."""


class Outcome(enum.StrEnum):
    """How an execution ended."""

    COMPLETED = "completed"
    """Every leg filled; whatever rounding left is in the residues."""
    UNWOUND = "unwound"
    """A leg fell short, and what it stranded was turned back into the start asset, but for what no market takes."""
    SHORT = "short"
    """A leg fell short, so that middle assets are left in the residues."""
    NOTHING = "nothing"
    """No leg filled: no asset changed hands."""
    STUCK = "stuck"
    """An order whose outcome could not be proven; a person must look."""


@attrs.frozen
class LegResult:
    """What one order of an execution really did.

    Attributes:
        outcome: what became of it; None where that is not proven.
    """

    order: Order
    fills: tuple[Fill, ...]
    sent_ns: int
    done_ns: int
    reason: str = ""
    outcome: OrderOutcome | None = None

    @property
    def filled(self) -> Decimal:
        """Base units filled."""
        return _amount(self.fills)


@attrs.frozen
class Execution:
    """What really happened to a plan.

    Attributes:
        number: counts the executions of a ledger from 1.
        legs: the plan's legs, as far as an order was intended for them, in their order.
        changes: what it did to the balances, by asset, fees included.
        fees: what was charged, by asset.
        reason: why it ended before its last leg, if it did.
        further: the orders beyond the plan's legs, in their order: rests sent again, and unwinding.
    """

    number: int
    plan: Plan
    legs: tuple[LegResult, ...]
    outcome: Outcome
    changes: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    started_ns: int
    ended_ns: int
    reason: Refused | None = None
    further: tuple[LegResult, ...] = ()

    @property
    def result(self) -> Decimal:
        """What it brought or cost in the start asset; residues at nothing."""
        return self.changes.get(self.plan.start, ZERO)

    @property
    def residues(self) -> dict[str, Decimal]:
        """What it left in, or took from, other assets."""
        return {a: d for a, d in self.changes.items() if d and a != self.plan.start}
