"""What a size earns, and which size earns most: exact, in whole steps of every market."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

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

BUDGET: Final = 200_000
"""How many sizes `most_profitable` looks at before it settles for the best so far."""


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

    Each leg trades the largest multiple of its step that the leg before it pays for.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    legs: list[PlannedLeg] = []
    budget = amount
    for leg in opportunity.cycle.legs:
        levels = opportunity.books[leg.market.symbol].against(leg.side)
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
    step is worth most, from the largest down, and the line tells where no smaller one can be better: exact.
    """
    lattice = _Lattice.of(cycle, books, max_amount)
    if isinstance(lattice, Refused):
        return lattice
    best, best_profit = None, Fraction(0)
    floor = lattice.low
    for count in range(lattice.high, max(lattice.high - BUDGET, 0), -1):
        if count < floor:
            break
        steps = lattice.through(count)
        profit = lattice.profit(steps)
        if profit > best_profit:
            best, best_profit = steps, profit
            floor = max(floor, profit // lattice.slope)
    if best is None:
        return Refused(
            "cycle.no_profit_after_rounding",
            f"no size of {cycle.id} leaves a profit once every leg is rounded to its step",
            {"cycle": cycle.id, "start": cycle.start},
        )
    legs = []
    for leg, whole in zip(cycle.legs, best, strict=True):
        levels = books[leg.market.symbol].against(leg.side)[:1]
        result = planned(leg, levels, whole * step_of(leg.market))
        if isinstance(result, Refused):
            return result
        legs.append(result)
    return Priced(tuple(legs))


@attrs.frozen
class _Lattice:
    """The whole-step amounts of a cycle at the top of its books.

    Attributes:
        pays: by leg but the last: steps of the next leg that one step of this leg pays for.
        least: by leg, in steps.
        most: by leg, in steps.
        value_in: what one step of leg 1 spends, in the start asset.
        value_out: what one step of the last leg brings.
        pivot: the leg that is enumerated.
        low: the fewest steps of it.
        high: the most steps of it.
        slope: what one step of it earns if nothing is rounded.
    """

    pays: tuple[Fraction, ...]
    least: tuple[int, ...]
    most: tuple[int, ...]
    value_in: Fraction
    value_out: Fraction
    pivot: int
    low: int
    high: int
    slope: Fraction

    @classmethod
    def of(
        cls, cycle: Cycle, books: Mapping[str, OrderBook], max_amount: Decimal | None
    ) -> "_Lattice | Refused":
        given: list[Fraction] = []
        received: list[Fraction] = []
        least: list[int] = []
        most: list[int] = []
        for leg in cycle.legs:
            levels = books[leg.market.symbol].against(leg.side)
            refusal = off_tick(leg.market, leg.price)
            if refusal is not None:
                return refusal
            step = Fraction(step_of(leg.market))
            given.append(step * Fraction(unit_given(leg.side, leg.price, leg.fee)))
            received.append(step * Fraction(unit_received(leg.side, leg.price, leg.fee)))
            largest = most_amount(leg.market, leg.price)
            shown = Fraction(levels[0].amount) if levels else Fraction(0)
            least.append(int(Fraction(least_amount(leg.market, leg.price)) / step))
            most.append(min(shown, shown if largest is None else Fraction(largest)) // step)
            if most[-1] < least[-1]:
                return _no_room(leg, shown, largest)
        if max_amount is not None:
            most[0] = min(most[0], Fraction(max_amount) // given[0])
        pays = tuple(r / g for r, g in zip(received, given[1:], strict=False))
        values = [given[0]]  # what a step of each leg is worth in the start asset
        for rate in pays:
            values.append(values[-1] / rate)
        pivot = max(range(len(values)), key=values.__getitem__)
        per_pivot_step = Fraction(1)
        for rate in pays[pivot:]:
            per_pivot_step *= rate
        slope = per_pivot_step * received[-1] - values[pivot]
        if slope <= 0:
            return _unprofitable(cycle)
        high = most[0]
        reachable = high >= least[0]
        for i in range(1, pivot + 1):
            high = min(most[i], high * pays[i - 1].numerator // pays[i - 1].denominator)
            reachable = reachable and high >= least[i]
        low = least[-1]
        for i in range(len(pays) - 1, pivot - 1, -1):
            reachable = reachable and low <= most[i + 1]
            low = max(least[i], _ceil(low, pays[i]))
        if not reachable or high < low:
            return Refused(
                "cycle.below_minimum",
                f"no size of {cycle.id} from {cycle.start} keeps the minimums of all its markets",
                {"cycle": cycle.id, "start": cycle.start},
            )
        return cls(pays, tuple(least), tuple(most), given[0], received[-1], pivot, low, high, slope)

    def through(self, count: int) -> list[int]:
        """The steps of every leg with `count` at the pivot: as few as possible before it, as many as possible after."""
        steps = [0] * len(self.least)
        steps[self.pivot] = count
        for i in range(self.pivot - 1, -1, -1):
            steps[i] = max(self.least[i], _ceil(steps[i + 1], self.pays[i]))
        for i in range(self.pivot + 1, len(steps)):
            rate = self.pays[i - 1]
            steps[i] = min(self.most[i], steps[i - 1] * rate.numerator // rate.denominator)
        return steps

    def profit(self, steps: Sequence[int]) -> Fraction:
        """What the last leg brings minus what the first spends."""
        return steps[-1] * self.value_out - steps[0] * self.value_in


def _ceil(steps: int, rate: Fraction) -> int:
    """How many steps pay for `steps` of the next leg."""
    return -(-steps * rate.denominator // rate.numerator)


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
