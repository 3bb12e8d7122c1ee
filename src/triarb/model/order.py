"""What is sent to an exchange, what comes back, and what an execution came to."""

import enum
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model.cycle import Plan, PlannedLeg, Refused, TimeInForce
from triarb.model.market import Side, gross_rate
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
            sign = 1 if self.side == Side.BUY else -1
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
        return self.is_final and _amount(self.fills) == self.filled


@attrs.frozen
class Listed:
    """An order of the account, whoever sent it.

    Attributes:
        client_id: as whoever sent it named it; empty where they did not.
    """

    client_id: str
    symbol: str


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
        """What it brought or cost in the start asset, less `taken`; what it left in other assets beyond that at nothing."""
        with arithmetic():
            return self.changes.get(self.plan.start, ZERO) - self.taken

    @property
    def taken(self) -> Decimal:
        """What it took of other assets, such as a fee token, less what it left in others, in the start asset; never below 0.

        A fee that a token pays leaves whole what a leg brings: where the next leg cannot spend all of that, the rest of
        it is not lost.
        """
        took, left = self._others()
        if took <= left:
            return ZERO
        return Decimal(f"{-(-(took - left) * 10**18 // 1)}E-18")  # rounded up

    @property
    def left(self) -> Decimal:
        """What it left in other assets beyond what it took of them, in the start asset: nobody has sold it yet."""
        took, left = self._others()
        if left <= took:
            return ZERO
        return Decimal(f"{(left - took) * 10**18 // 1}E-18")  # rounded down

    def _others(self) -> tuple[Fraction, Fraction]:
        """What it took of assets beside the start asset, and what it left in them, in the start asset."""
        if not self.residues:
            return Fraction(0), Fraction(0)
        worth = self.worth()
        given = self.plan.legs[0].given_asset  # of a sweep, it was left at nothing
        took = {a: -change for a, change in self.residues.items() if change < 0 and a != given}
        left = {asset: change for asset, change in self.residues.items() if change > 0}
        brought = sum((Fraction(n) * worth.get(asset, 0) for asset, n in left.items()), Fraction(0))
        return self._cost_of(took, worth), brought

    @property
    def fee_cost(self) -> Decimal:
        """Its fees in the start asset, by `worth`, rounded up at 18 decimals.

        An asset that has no worth here counts as the full fee of the trades that were charged in it.
        """
        return Decimal(f"{-(-self._cost_of(self.fees, self.worth()) * 10**18 // 1)}E-18")

    def _cost_of(self, amounts: Mapping[str, Decimal], worth: Mapping[str, Fraction]) -> Fraction:
        total = Fraction(0)
        for asset, amount in amounts.items():
            if asset in worth:
                total += Fraction(amount) * worth[asset]
            else:
                total += self._full_fees(asset, worth)
        return total

    def _full_fees(self, asset: str, worth: Mapping[str, Fraction]) -> Fraction:
        """What the trades charged in `asset` would have paid without it, in the start asset."""
        rates = {leg.market.symbol: leg.fee.worst.rate for leg in self.plan.legs}
        total = Fraction(0)
        for fill in (fill for leg in self.legs for fill in leg.fills if asset in fill.fees):
            notional = Fraction(fill.amount) * Fraction(fill.price) * worth.get(fill.quote, 0)
            total += notional * Fraction(rates.get(fill.symbol, ZERO))
        return total

    def worth(self) -> dict[str, Fraction]:
        """A unit of each asset of the cycle, and of a fee token that has a price, in the start asset.

        By the gross prices of the legs after it; a leg that did not fill counts with its limit price. A fee token is
        worth what it costs to buy.
        """
        worth = {self.plan.start: Fraction(1)}
        for number, leg in reversed(list(enumerate(self.plan.legs))):
            fills = self._fills_of(number, leg)
            rate = gross_rate(leg.side, leg.limit_price)
            if fills:
                notional = sum(Fraction(fill.amount) * Fraction(fill.price) for fill in fills)
                price = notional / Fraction(_amount(fills))
                rate = 1 / price if leg.side == Side.BUY else price
            worth.setdefault(leg.given_asset, worth.get(leg.received_asset, Fraction(0)) * rate)
        for leg in self.plan.legs:
            token = leg.fee.token
            if token is not None and token.ask is not None:
                quote = worth.get(leg.market.quote, Fraction(0))
                worth.setdefault(token.asset, Fraction(token.ask) * quote)
        return worth

    def _fills_of(self, number: int, leg: PlannedLeg) -> tuple[Fill, ...]:
        """The fills of a leg of the plan; none where it was not traded, or something else in its place."""
        if number >= len(self.legs) or self.legs[number].order.symbol != leg.market.symbol:
            return ()
        return self.legs[number].fills

    @property
    def residues(self) -> dict[str, Decimal]:
        """What it left in, or took from, other assets."""
        return {a: d for a, d in self.changes.items() if d and a != self.plan.start}
