"""What bounds the size of a cycle, each bound brought back to what leg 1 would spend, so that they compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from triarb.explaining.numbers import exact, near
from triarb.model import Cycle, Leg, OrderBook, PlannedLeg, Side
from triarb.money import ZERO, Money, arithmetic
from triarb.pricing.legs import least_amount, most_amount, step_of, unit_given


@attrs.frozen
class Constraint:
    """One bound on the size of a cycle.

    Attributes:
        kind: ``depth``, ``maximum`` or ``minimum`` of a market; ``amount`` that was asked about, ``balance``,
            ``max_amount`` or ``max_loss`` of the risk policies.
        symbol: the market, if it is one's.
        bound: the bound itself, in its own asset.
        at_start: what leg 1 spends where this is reached, in the start asset; at the legs' prices, after fees, before
            rounding.
    """

    kind: str
    symbol: str | None
    bound: Money
    at_start: Fraction

    def to_dict(self) -> dict[str, Any]:
        """As a record; numbers are exact text."""
        return {
            "kind": self.kind,
            "symbol": self.symbol,
            "bound": exact(self.bound.amount),
            "asset": self.bound.currency,
            "at_start": exact(self.at_start),
        }

    def in_words(self, start: str) -> str:
        """With what it comes to in `start`."""
        which = f"the {self.kind} of {self.symbol}" if self.symbol else f"the {self.kind}"
        same = self.symbol is None and self.bound.currency == start
        return f"{which}, {self.bound}" + ("" if same else f": {near(self.at_start)} {start}")


def market_ceilings(
    cycle: Cycle,
    books: Mapping[str, OrderBook] | None,
    sized: Sequence[PlannedLeg] | None,
) -> Iterator[Constraint]:
    """By leg, what its book shows at its limit price (the top, where it has none yet) and what its market takes."""
    for number, (leg, at_start) in enumerate(_each_unit(cycle)):
        price = sized[number].limit_price if sized else leg.price
        bounds = {
            "depth": None if books is None else shown(leg, books, price),
            "maximum": most_amount(leg.market, price),
        }
        for kind, bound in bounds.items():
            if bound is not None:
                told = Money(bound, leg.market.base)
                yield Constraint(kind, leg.market.symbol, told, Fraction(bound) * at_start)


def market_floors(cycle: Cycle) -> Iterator[Constraint]:
    """By leg, the least that its market takes."""
    for leg, at_start in _each_unit(cycle):
        least = least_amount(leg.market, leg.price)
        told = Money(least, leg.market.base)
        yield Constraint("minimum", leg.market.symbol, told, Fraction(least) * at_start)


def shown(leg: Leg, books: Mapping[str, OrderBook], limit: Decimal) -> Decimal:
    """What the book of `leg` shows at no worse than `limit`."""
    book = books[leg.market.symbol]
    buy = leg.side is Side.BUY
    with arithmetic():
        return sum(
            (
                level.amount
                for level in book.against(leg.side)
                if (level.price <= limit if buy else level.price >= limit)
            ),
            ZERO,
        )


def binding(
    ceilings: Iterable[Constraint], cycle: Cycle, chosen: Sequence[PlannedLeg] | None
) -> Constraint | None:
    """The tightest of `ceilings`; None where the size `chosen` could grow by a step of every leg and still keep it.

    Without `chosen`, the size is the best one, which only the tightest keeps from being larger: an edge earns more on
    more, up to what whole steps leave over.
    """
    tightest = min(ceilings, key=lambda constraint: constraint.at_start, default=None)
    if tightest is None or chosen is None:
        return tightest
    steps = sum(Fraction(step_of(leg.market)) * at_start for leg, at_start in _each_unit(cycle))
    spare = tightest.at_start - Fraction(chosen[0].given)
    return tightest if spare < steps else None


def _each_unit(cycle: Cycle) -> Iterator[tuple[Leg, Fraction]]:
    """Each leg with what leg 1 must spend for one base unit of it, if nothing is rounded."""
    arrives = Fraction(1)  # units of what the leg gives, for one of the start asset
    for leg in cycle.legs:
        yield leg, Fraction(unit_given(leg.side, leg.price, leg.fee)) / arrives
        arrives *= leg.net_ratio
