"""What is left for us of a book that does not know of our orders.

The market goes on showing what we have taken in a simulation. A level that we took from has only its rest for us for as
long as the market shows the same amount at that price. It is new, and whole, once the amount there differs, or once a book
was shown that the price is missing from. A book tells nothing of prices beyond its last level, so that those keep their state.
"""

from decimal import Decimal

import attrs

from triarb.model import Level, OrderBook, Side
from triarb.money import ZERO, arithmetic


@attrs.frozen
class _Taken:
    shown: Decimal
    amount: Decimal


class ShownBook:
    """One market's book as it was last shown, less what we took of it."""

    def __init__(self) -> None:
        self._book: OrderBook | None = None
        self._taken: dict[Side, dict[Decimal, _Taken]] = {side: {} for side in Side}

    def show(self, book: OrderBook) -> None:
        """Take in what the market shows now."""
        self._book = book
        for side, taken in self._taken.items():
            if taken:
                self._taken[side] = _still_taken(taken, book.against(side), side)

    def hide(self) -> None:
        """The market shows no book until the next `show`. What we took is remembered."""
        self._book = None

    def left(self) -> OrderBook | None:
        """The book as it stands for us; None if none is shown."""
        if self._book is None:
            return None
        return attrs.evolve(self._book, bids=self.against(Side.SELL), asks=self.against(Side.BUY))

    def against(self, side: Side) -> tuple[Level, ...]:
        """The levels that a trade of `side` can take, best first, as far as they are left for us."""
        levels = self._book.against(side) if self._book else ()
        taken = self._taken[side]
        if not taken:
            return levels
        with arithmetic():
            rest = []
            for level in levels:
                used = taken.get(level.price)
                amount = level.amount - used.amount if used else level.amount
                if amount or not used:
                    rest.append(Level(level.price, amount))
            return tuple(rest)

    def best(self, side: Side) -> Decimal | None:
        """The best price shown to a trade of `side`, whatever we took there; None if that side is empty."""
        levels = self._book.against(side) if self._book else ()
        return levels[0].price if levels else None

    def take(self, side: Side, price: Decimal, amount: Decimal) -> None:
        """Use up `amount` of the level that a trade of `side` meets at `price`."""
        levels = self._book.against(side) if self._book else ()
        shown = next(level.amount for level in levels if level.price == price)
        with arithmetic():
            before = self._taken[side].get(price, _Taken(shown, ZERO))
            self._taken[side][price] = _Taken(shown, before.amount + amount)


def _still_taken(
    taken: dict[Decimal, _Taken], levels: tuple[Level, ...], side: Side
) -> dict[Decimal, _Taken]:
    shown = {level.price: level.amount for level in levels}

    def holds(price: Decimal, what: _Taken) -> bool:
        if price in shown:
            return shown[price] == what.shown
        return bool(levels) and reaches(side, price, levels[-1].price)

    return {price: what for price, what in taken.items() if holds(price, what)}


def reaches(side: Side, limit: Decimal, price: Decimal) -> bool:
    """Whether a trade of `side` with that limit may have `price`."""
    return price <= limit if side == Side.BUY else price >= limit
