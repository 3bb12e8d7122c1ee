"""The walk through the books by marginal rate: what every further unit of a cycle earns, before any rounding.

Without steps, minimums and limit prices, leg ``i`` turns ``x`` of what it gives into ``f_i(x)`` of what it receives. It
takes the best level first, so ``f_i`` rises ever more slowly: it is concave, increasing, and straight within a level.
Such functions composed are such a function: ``f(g(x))`` bends down wherever ``f`` or ``g`` does. So what a cycle brings
for ``x`` of its start asset is concave, its slope at ``x`` is the product of the rates of the levels that the legs stand
in, and it is straight between the points at which some leg comes to the end of a level. The profit, that minus ``x``, is
concave too: it is largest where the slope falls to one, and walking on while the slope is at least ``1 + e`` takes every
unit that earns ``e``, and no other.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model import Cycle, Leg, OrderBook, gross_rate
from triarb.money import BPS, ZERO
from triarb.pricing.legs import most_amount, unit_given


@attrs.frozen
class Segment:
    """A part of the walk in which every unit earns the same.

    Attributes:
        given: how much of the start asset it takes, exact.
        rate: what comes back for each unit of it after all fees, exact.
        ends: the symbols of the markets that come to the end of a level, or of what they take, with it.
    """

    given: Fraction
    rate: Fraction
    ends: tuple[str, ...]


def walk(cycle: Cycle, books: Mapping[str, OrderBook]) -> Iterator[Segment]:
    """The segments of `cycle` through the whole depth of `books`, their rates never rising, until one of them ends.

    Maximums of the markets end it too; minimums and steps are for `triarb.pricing.depth`.
    """
    symbols = [leg.market.symbol for leg in cycle.legs]
    # By leg, the best level last: what is left of it to give, and what one unit of that brings.
    left = [_levels(leg, books[leg.market.symbol]) for leg in cycle.legs]
    while all(left):
        rate = Fraction(1)
        passed = []  # by leg: what it gives for one unit of the start asset
        for levels in left:
            passed.append(rate)
            rate *= levels[-1][1]
        given = min(levels[-1][0] / part for levels, part in zip(left, passed, strict=True))
        ends = []
        for levels, part, symbol in zip(left, passed, symbols, strict=True):
            capacity, level_rate = levels.pop()
            if capacity > given * part:
                levels.append((capacity - given * part, level_rate))
            else:
                ends.append(symbol)
        yield Segment(given, rate, tuple(ends))


def unrounded(
    cycle: Cycle,
    books: Mapping[str, OrderBook],
    max_amount: Decimal | None = None,
    min_edge_bps: Decimal = ZERO,
) -> tuple[Fraction, Fraction]:
    """What the size of most profit spends of the start asset and what it earns if nothing is rounded, both exact.

    Args:
        cycle: the cycle.
        books: the books of its markets.
        max_amount: the most that it may spend.
        min_edge_bps: what the last unit must earn; below zero, units that lose are not taken either.
    """
    least = max(Fraction(1), 1 + Fraction(min_edge_bps) / Fraction(BPS))
    spent = profit = Fraction(0)
    for segment in walk(cycle, books):
        given = segment.given
        if max_amount is not None:
            given = min(given, Fraction(max_amount) - spent)
        if segment.rate < least or given <= 0:
            break
        spent += given
        profit += given * (segment.rate - 1)
    return spent, profit


def _levels(leg: Leg, book: OrderBook) -> list[tuple[Fraction, Fraction]]:
    """What `leg` can give at each level and what it receives for one unit of that, the best level last."""
    levels = book.against(leg.side)
    mosts = [most_amount(leg.market, level.price) for level in levels]
    # A maximum notional is another amount at another price: the largest of them bounds them all.
    most = max((Fraction(most) for most in mosts if most is not None), default=None)
    held, found = Fraction(0), []
    for level in levels:
        amount = Fraction(level.amount)
        if most is not None:
            amount = min(amount, most - held)
        if amount <= 0:
            break
        rate = gross_rate(leg.side, level.price) * leg.fee.kept(leg.side)
        found.append((amount * Fraction(unit_given(leg.side, level.price, leg.fee)), rate))
        held += amount
    return found[::-1]
