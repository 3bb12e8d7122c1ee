"""Criteria: what a finder is asked for, and the exact decision on what its floats nominated.

Both finders share it, so that they can differ in nothing but the search.
"""

import functools
import operator
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.exceptions import UsageError
from triarb.market.rates import RateTable
from triarb.model import Cycle, Leg
from triarb.money import parse_bps

MIN_LEGS = 2
MAX_LEGS = 8
MAX_LEGS_BELOW_ZERO = 5
"""Below 0 bps nearly every cycle counts, and of six legs there are too many."""

LOOSENED = 1e-9
"""How far below the threshold a finder's floats still nominate, relative to it."""

TRUSTED = 1e-12
"""How far apart two float products must be, relative to each other, for their order to be the exact one.

A float rate is the exact one after at most five roundings of 2**-53, some of them up to a hundredfold where the fee is
subtracted from one (for fees up to 99 %), and a product of eight rates adds seven more: together below 1e-13. Prices
are within 10**±30 (see `triarb.money`), so that no product of eight leaves the range of a float64.
"""


def _legs(min_legs: int, max_legs: int) -> None:
    for name, legs in (("min_legs", min_legs), ("max_legs", max_legs)):
        if not isinstance(legs, int):
            raise UsageError(
                f"{name} is {legs!r}", hint=f"a whole number, {MIN_LEGS} to {MAX_LEGS}"
            )
    if not MIN_LEGS <= min_legs <= max_legs <= MAX_LEGS:
        raise UsageError(
            f"a cycle cannot have {min_legs} to {max_legs} legs",
            hint=f"{MIN_LEGS} <= min_legs <= max_legs <= {MAX_LEGS}",
        )


def _bps(value: str | float | Decimal) -> Decimal:
    return parse_bps(value, "min_edge_bps")


def _names(value: Collection[str]) -> frozenset[str]:
    if isinstance(value, str):
        raise UsageError(f"start is the text {value!r}", hint=f"give a collection: [{value!r}]")
    for name in value:
        if not isinstance(name, str):
            raise UsageError(f"start has {name!r}", hint="give names of assets")
    return frozenset(value)


@attrs.frozen(kw_only=True)
class Criteria:
    """Which cycles are asked for.

    Attributes:
        min_legs: the fewest legs, at least 2.
        max_legs: the most legs, at most 8.
        min_edge_bps: the exact net rate must be strictly above one plus this; -10000 or less is no threshold.
        start: assets of which a cycle must have at least one; empty for no such wish.

    Raises:
        UsageError: legs out of range; a number that is none; below 0 bps with more than 5 legs; a text as `start`, or
            what is no name in it.
    """

    min_legs: int
    max_legs: int
    min_edge_bps: Decimal = attrs.field(converter=_bps)
    start: frozenset[str] = attrs.field(converter=_names)

    def __attrs_post_init__(self) -> None:
        _legs(self.min_legs, self.max_legs)
        if self.min_edge_bps < 0 and self.max_legs > MAX_LEGS_BELOW_ZERO:
            raise UsageError(
                f"below 0 bps ({self.min_edge_bps}) nearly all cycles of {self.max_legs} legs count",
                hint=f"ask for at most {MAX_LEGS_BELOW_ZERO} legs, or for 0 bps or more",
            )

    @functools.cached_property
    def threshold(self) -> Fraction:
        """What the exact net rate must exceed; never below zero, where it holds nothing back."""
        return max(Fraction(0), 1 + Fraction(self.min_edge_bps) / 10_000)

    @functools.cached_property
    def nominating(self) -> float:
        """What a float product must exceed to be nominated."""
        return float(self.threshold) * (1 - LOOSENED)

    @functools.cached_property
    def certain(self) -> float:
        """A float product above it is beyond any rounding (see `TRUSTED`): exactly above the threshold too."""
        return float(self.threshold) * (1 + LOOSENED)

    def decide(
        self, rates: RateTable, nominated: Iterable[tuple[float, Sequence[int]]]
    ) -> list[Cycle]:
        """The cycles of `nominated` that are above the threshold, the best exact rate first, ties by id.

        Args:
            rates: the table that they were found in.
            nominated: float products with the edges, in order, that they are products of; each cycle once.
        """
        legs = _Legs(rates)
        ratios: dict[int, tuple[int, int]] = {}

        def exact(edges: Sequence[int]) -> tuple[int, int]:
            over = under = 1
            for edge in edges:
                if edge not in ratios:
                    ratios[edge] = legs[edge].net_ratio.as_integer_ratio()
                over *= ratios[edge][0]
                under *= ratios[edge][1]
            return over, under

        def is_above(edges: Sequence[int]) -> bool:
            over, under = exact(edges)
            return over * self.threshold.denominator > under * self.threshold.numerator

        certain = self.certain
        chosen = []
        for product, edges in nominated:
            if len(edges) == 2 and legs[edges[0]].market == legs[edges[1]].market:
                continue  # there and back on one market is no cycle, even where a rebate pays for it
            if product > certain or is_above(edges):
                chosen.append((product, from_smallest(edges)))
        chosen.sort(key=operator.itemgetter(0), reverse=True)

        cycles = [Cycle(tuple(map(legs.__getitem__, edges))) for _, edges in chosen]
        for first, end in _near_ties([product for product, _ in chosen]):
            tied = [
                (-Fraction(*exact(edges)), cycle.id, cycle)
                for (_, edges), cycle in zip(chosen[first:end], cycles[first:end], strict=True)
            ]
            tied.sort(key=operator.itemgetter(0, 1))
            cycles[first:end] = [cycle for _, _, cycle in tied]
        return cycles


class _Legs(dict[int, Leg]):
    """The legs of edges, each made once."""

    def __init__(self, rates: RateTable) -> None:
        super().__init__()
        self.rates = rates

    def __missing__(self, edge: int) -> Leg:
        leg = self[edge] = self.rates.leg(edge)
        return leg


def from_smallest(edges: Sequence[int]) -> Sequence[int]:
    """`edges` of a cycle, begun at the asset of the smallest name: its edge is the first in a table."""
    first = edges.index(min(edges))
    return (*edges[first:], *edges[:first]) if first else edges


def _near_ties(products: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Where in `products`, which fall, runs of two and more begin and end that floats cannot order."""
    first = 0
    for place in range(1, len(products)):
        if products[place] < products[place - 1] * (1 - TRUSTED):
            if place - first > 1:
                yield first, place
            first = place
    if len(products) - first > 1:
        yield first, len(products)
