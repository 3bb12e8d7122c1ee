"""What bounds the size of a cycle, each bound brought back to what leg 1 would spend, so that they compare."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

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
            ``max_amount`` or ``max_loss`` of the risk policies; ``edge``, ``limit`` of a market, or ``minimum`` of no
            one's, where a sizer says so (`triarb.pricing.Sized.binding`).
        symbol: the market, if it is one's.
        bound: the bound itself, in its own asset; None where it is no amount, or is not known here.
        at_start: what leg 1 spends where this is reached, in the start asset; at the legs' prices, after fees, before
            rounding; None as above.
    """

    kind: str
    symbol: str | None
    bound: Money | None = None
    at_start: Fraction | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a record; numbers are exact text."""
        return {
            "kind": self.kind,
            "symbol": self.symbol,
            "bound": None if self.bound is None else exact(self.bound.amount),
            "asset": None if self.bound is None else self.bound.currency,
            "at_start": None if self.at_start is None else exact(self.at_start),
        }

    def in_words(self, start: str) -> str:
        """With what it comes to in `start`."""
        which = f"the {self.kind} of {self.symbol}" if self.symbol else f"the {self.kind}"
        if self.bound is None or self.at_start is None:
            return f"{which}{_WHY.get(self.kind, '')}"
        same = self.symbol is None and self.bound.currency == start
        return f"{which}, {self.bound}" + ("" if same else f": {near(self.at_start)} {start}")


_WHY: Final = {
    "edge": ": the next units would earn less than they must",
    "limit": ": a worse limit price there leaves over more than the next units earn",
    "minimum": ": the markets take no less",
}


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
    buy = leg.side == Side.BUY
    with arithmetic():
        return sum(
            (
                level.amount
                for level in book.against(leg.side)
                if (level.price <= limit if buy else level.price >= limit)
            ),
            ZERO,
        )


def named(told: str, ceilings: Iterable[Constraint]) -> Constraint:
    """The one of `ceilings` that a sizer told of (`Plan.binding`), or as much of it as it told."""
    kind, _, symbol = told.partition(" of ")
    same = (one for one in ceilings if (one.kind, one.symbol or "") == (kind, symbol))
    return next(same, Constraint(kind, symbol or None))


def binding(
    ceilings: Iterable[Constraint], cycle: Cycle, chosen: Sequence[PlannedLeg] | None
) -> Constraint | None:
    """The tightest of `ceilings`; None where the size `chosen` could grow by a step of every leg and still keep it.

    For sizes of which nobody told what binds them.
    """
    known = [(one.at_start, one) for one in ceilings if one.at_start is not None]
    if not known:
        return None
    at_start, tightest = min(known, key=lambda pair: pair[0])
    if chosen is None:
        return tightest
    steps = sum(Fraction(step_of(leg.market)) * unit for leg, unit in _each_unit(cycle))
    return tightest if at_start - Fraction(chosen[0].given) < steps else None


def _each_unit(cycle: Cycle) -> Iterator[tuple[Leg, Fraction]]:
    """Each leg with what leg 1 must spend for one base unit of it, if nothing is rounded."""
    arrives = Fraction(1)  # units of what the leg gives, for one of the start asset
    for leg in cycle.legs:
        yield leg, Fraction(unit_given(leg.side, leg.price, leg.fee)) / arrives
        arrives *= leg.net_ratio
