"""What a size earns, and which size earns most: exact, in whole steps of every market."""

import itertools
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from triarb.model import Cycle, Leg, Opportunity, OrderBook, PlannedLeg, Refused
from triarb.money import arithmetic, plain
from triarb.pricing.legs import (
    affordable,
    least_amount,
    most_amount,
    off_tick,
    planned,
    step_of,
    unit_given,
    unit_received,
)

BUDGET: Final = 100_000
"""How many sizes `most_profitable` looks at before it settles for the best so far: a tenth of a second.

Only an edge of less than about a thousandth of a bps can need so many.
"""


@attrs.frozen
class Priced:
    """A size of a cycle, leg by leg.

    Each leg spends at most what the leg before it brings.
    """

    legs: tuple[PlannedLeg, ...]

    @property
    def amount(self) -> Decimal:
        """What leg 1 spends, in the start asset."""
        return self.legs[0].given

    @property
    def profit(self) -> Decimal:
        """What the last leg brings minus what leg 1 spends; what rounding leaves in middle assets counts nothing."""
        with arithmetic():
            return self.legs[-1].received - self.legs[0].given


def profit_at(opportunity: Opportunity, amount: Decimal) -> Priced | Refused:
    """What a start with at most `amount` of the start asset comes to through the whole depth of its books.

    Each leg trades the largest multiple of its step that the leg before it pays for at the limit price it then needs:
    an exchange locks that much, and `SequentialExecutor` sizes by it.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    return size_at(opportunity.cycle, opportunity.books, amount)


def size_at(cycle: Cycle, books: Mapping[str, OrderBook], amount: Decimal) -> Priced | Refused:
    """`profit_at` for a cycle that need not earn anything, through `books`."""
    legs: list[PlannedLeg] = []
    budget = amount
    for leg in cycle.legs:
        levels = books[leg.market.symbol].against(leg.side)
        wanted = affordable(leg, levels, budget)
        if wanted is None:
            return Refused(
                "cycle.no_depth",
                f"{leg.market.symbol} does not show enough for {plain(budget)} {leg.given}",
                {"symbol": leg.market.symbol, "budget": budget},
            )
        result = planned(leg, levels, wanted)
        if isinstance(result, Refused):
            return result
        legs.append(result)
        budget = result.received
    return Priced(tuple(legs))


def most_profitable(
    opportunity: Opportunity, max_amount: Decimal | None = None
) -> Priced | Refused:
    """The size of most profit at the top of the books, leg 1 spending at most `max_amount` of the start asset.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``cycle.no_profit_after_rounding``,
    ``market.off_tick``.
    """
    return best_size(opportunity.cycle, opportunity.books, max_amount)


def best_size(
    cycle: Cycle, books: Mapping[str, OrderBook], max_amount: Decimal | None = None
) -> Priced | Refused:
    """`most_profitable` for a cycle whose prices are those of `books`.

    A leg of k steps needs ``ceil`` of a multiple of k from the leg before it and pays for ``floor`` of one after it,
    so the profit is a sawtooth under a straight line through zero. The legs' amounts are enumerated by the leg whose
    step is worth most, from the largest down, and the line tells where no smaller one can be better: exact. Left out
    are sizes so large that the legs after it cannot take more, and so small that the legs before it cannot spend less.
    """
    lattice = _Lattice.of(cycle, books, max_amount)
    if isinstance(lattice, Refused):
        return lattice
    best = lattice.best()
    if best is None:
        why = "leaves a profit once every leg is rounded to its step"
        return _no_size("cycle.no_profit_after_rounding", why, cycle, max_amount)
    legs = []
    for leg, steps in zip(cycle.legs, best, strict=True):
        with arithmetic():
            amount = steps * step_of(leg.market)
        result = planned(leg, books[leg.market.symbol].against(leg.side)[:1], amount)
        if isinstance(result, Refused):
            return result
        legs.append(result)
    return Priced(tuple(legs))


@attrs.frozen
class _Steps:
    """One leg at the top of its book, counted in steps of its market.

    Attributes:
        given: what one step spends.
        received: what one step brings.
        least: the fewest that its market takes.
        most: the most that its market takes and its book shows.
    """

    given: Fraction
    received: Fraction
    least: int
    most: int

    @classmethod
    def of(cls, leg: Leg, book: OrderBook) -> "_Steps | Refused":
        refusal = off_tick(leg.market, leg.price)
        if refusal is not None:
            return refusal
        step = Fraction(step_of(leg.market))
        levels = book.against(leg.side)
        shown = Fraction(levels[0].amount) if levels else Fraction(0)
        largest = most_amount(leg.market, leg.price)
        least = int(Fraction(least_amount(leg.market, leg.price)) / step)
        most = (shown if largest is None else min(shown, Fraction(largest))) // step
        if most < least:
            return _no_room(leg, shown, largest)
        return cls(
            step * Fraction(unit_given(leg.side, leg.price, leg.fee)),
            step * Fraction(unit_received(leg.side, leg.price, leg.fee)),
            least,
            most,
        )


@attrs.frozen
class _Lattice:
    """The whole-step amounts of a cycle at the top of its books, in whole numbers.

    Attributes:
        pays: by leg but the last, as a ratio: steps of the next leg that one step of this leg pays for.
        least: by leg, in steps.
        most: by leg, in steps.
        value_in: what one step of leg 1 spends, in some fraction of the start asset.
        value_out: what one step of the last leg brings, in the same fraction.
        slope: what one step of the pivot earns if nothing is rounded, in the same fraction.
        pivot: the leg that is enumerated.
        low: the fewest steps of it that can be best.
        high: the most.
    """

    pays: tuple[tuple[int, int], ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    value_in: int
    value_out: int
    slope: Fraction
    pivot: int
    low: int
    high: int

    @classmethod
    def of(
        cls, cycle: Cycle, books: Mapping[str, OrderBook], max_amount: Decimal | None
    ) -> "_Lattice | Refused":
        legs: list[_Steps] = []
        for leg in cycle.legs:
            steps = _Steps.of(leg, books[leg.market.symbol])
            if isinstance(steps, Refused):
                return steps
            legs.append(steps)
        value_in, value_out = legs[0].given, legs[-1].received
        ratios = [one.received / other.given for one, other in itertools.pairwise(legs)]
        values = [value_in]  # what a step of each leg is worth in the start asset
        for ratio in ratios:
            values.append(values[-1] / ratio)
        pivot = max(range(len(values)), key=values.__getitem__)
        slope = math.prod(ratios[pivot:]) * value_out - values[pivot]
        if slope <= 0:
            return _unprofitable(cycle)
        pays = tuple((ratio.numerator, ratio.denominator) for ratio in ratios)
        least, most = [steps.least for steps in legs], [steps.most for steps in legs]
        if max_amount is not None:
            most[0] = min(most[0], Fraction(max_amount) // value_in)
        bounds = _pivot_bounds(pays, least, most, pivot)
        if bounds is None:
            why = "keeps the minimums of all its markets"
            return _no_size("cycle.below_minimum", why, cycle, max_amount)
        scale = math.lcm(value_in.denominator, value_out.denominator)
        return cls(
            pays,
            tuple(least),
            tuple(most),
            int(value_in * scale),
            int(value_out * scale),
            slope * scale,
            pivot,
            *bounds,
        )

    def best(self) -> list[int] | None:
        """The steps of every leg at the size of most profit, of equals the one that spends least; None where none profits."""
        before = [(*self.pays[i], self.least[i]) for i in range(self.pivot - 1, -1, -1)]
        after = [(*self.pays[i - 1], self.most[i]) for i in range(self.pivot + 1, len(self.most))]
        best, best_profit, low = 0, 0, self.low
        for count in range(self.high, max(self.high - BUDGET, 0), -1):
            if count < low:
                break
            first = last = count  # spelt out rather than `through`: this is where the time goes
            for paid, paying, least in before:
                needed = -(-first * paying // paid)
                first = max(least, needed)
            for paid, paying, most in after:
                possible = last * paid // paying
                last = min(most, possible)
            profit = last * self.value_out - first * self.value_in
            if profit >= best_profit > 0 or profit > 0 == best_profit:
                best, best_profit = count, profit
                low = max(low, -(-profit // self.slope))
        return self.through(best) if best else None

    def through(self, count: int) -> list[int]:
        """The steps of every leg with `count` at the pivot: as few as possible before it, as many as possible after."""
        steps = [0] * len(self.least)
        steps[self.pivot] = count
        for i in range(self.pivot - 1, -1, -1):
            steps[i] = max(self.least[i], _ceil(steps[i + 1], self.pays[i]))
        for i in range(self.pivot + 1, len(steps)):
            steps[i] = min(self.most[i], _floor(steps[i - 1], self.pays[i - 1]))
        return steps


def _pivot_bounds(
    pays: Sequence[tuple[int, int]], least: Sequence[int], most: Sequence[int], pivot: int
) -> tuple[int, int] | None:
    """The fewest and the most steps of the pivot that can be best; None where none keep all of `least` and `most`."""
    # Legs before it: they pay for `high` at most, and for fewer than `spare` they spend no less.
    high, spare = most[0], least[0]
    possible = high >= least[0]
    for i in range(1, pivot + 1):
        high = min(most[i], _floor(high, pays[i - 1]))
        spare = max(least[i], _floor(spare, pays[i - 1]))
        possible = possible and high >= least[i]
    # Legs after it: they need `low` at least, and of more than `useful` they bring no more.
    low, useful = least[-1], most[-1]
    for i in range(len(pays) - 1, pivot - 1, -1):
        possible = possible and low <= most[i + 1]
        low = max(least[i], _ceil(low, pays[i]))
        useful = min(most[i], _ceil(useful, pays[i]))
    if not possible or high < low:
        return None
    high = min(high, max(low, useful))
    return max(low, min(high, spare)), high


def _floor(steps: int, pays: tuple[int, int]) -> int:
    """How many steps of the next leg they pay for."""
    return steps * pays[0] // pays[1]


def _ceil(steps: int, pays: tuple[int, int]) -> int:
    """How many steps of the leg before pay for them."""
    return -(-steps * pays[1] // pays[0])


def _no_size(code: str, why: str, cycle: Cycle, max_amount: Decimal | None) -> Refused:
    numbers: dict[str, Any] = {"cycle": cycle.id, "start": cycle.start}
    limit = ""
    if max_amount is not None:
        numbers["max_amount"] = max_amount
        limit = f" with at most {plain(max_amount)} {cycle.start}"
    return Refused(code, f"no size of {cycle.id} from {cycle.start}{limit} {why}", numbers)


def _no_room(leg: Leg, shown: Fraction, largest: Decimal | None) -> Refused:
    least = least_amount(leg.market, leg.price)
    if not shown:
        return Refused(
            "cycle.no_depth",
            f"{leg.market.symbol} shows no size to {leg.side}",
            {"symbol": leg.market.symbol},
        )
    if largest is not None and largest < least:
        return Refused(
            "cycle.above_maximum",
            f"{leg.market.symbol} has a maximum below its minimum",
            {"symbol": leg.market.symbol, "least": least, "most": largest},
        )
    return Refused(
        "cycle.below_minimum",
        f"{leg.market.symbol} shows less than its minimum of {plain(least)} {leg.market.base}",
        {"symbol": leg.market.symbol, "least": least},
    )


def _unprofitable(cycle: Cycle) -> Refused:
    return Refused(
        "cycle.unprofitable",
        f"{cycle.id} multiplies to {plain(cycle.net_rate)} after fees",
        {"cycle": cycle.id, "net_rate": cycle.net_rate},
    )
