"""Entry: an order that a matching engine took, now and as it stood before."""

from decimal import Decimal

import attrs

from triarb.model import Fee, Fill, Market, Order, OrderState, OrderStatus
from triarb.money import ZERO, arithmetic
from triarb.simulation.accounts import reserve


@attrs.define
class Entry:
    """An order that was taken, and what became of it so far."""

    order: Order
    market: Market
    fee: Fee
    exchange_id: str
    placed_ns: int
    canceled_ns: int | None = None
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    fills: tuple[Fill, ...] = ()

    @property
    def name(self) -> tuple[str, str]:
        """What it is looked up by."""
        return self.order.client_id, self.order.symbol

    @property
    def rest(self) -> Decimal:
        """What was not filled yet."""
        with arithmetic():
            return self.order.amount - self.filled

    @property
    def limit(self) -> Decimal:
        """Its limit price; zero for a market order, which never rests."""
        return self.order.price or ZERO

    def reserved(self) -> Decimal:
        """What its rest needs at its limit price."""
        return reserve(self.order.side, self.limit, self.rest, self.fee)

    def after(self, as_of_ns: int) -> tuple[Fill, ...]:
        """The fills that were not there yet then."""
        return tuple(f for f in self.fills if max(f.time_ns, self.placed_ns) > as_of_ns)

    def at(self, as_of_ns: int) -> "Entry | None":
        """It as it stood then; None if it was not there yet."""
        if self.placed_ns > as_of_ns:
            return None
        later = self.after(as_of_ns)
        canceled_later = self.canceled_ns is not None and self.canceled_ns > as_of_ns
        status = OrderStatus.OPEN if later or canceled_later else self.status
        with arithmetic():
            filled = self.filled - sum((fill.amount for fill in later), ZERO)
        fills = self.fills[: len(self.fills) - len(later)]
        return attrs.evolve(self, status=status, filled=filled, fills=fills)

    def state(self) -> OrderState:
        """What the exchange says of it."""
        return OrderState(
            self.order.client_id,
            self.order.symbol,
            self.status,
            self.order.amount,
            self.filled,
            self.fills,
            self.exchange_id,
        )
