"""Which sizes a cycle has through the whole depth of its books within bounds, and what each comes to; all in integers.

`triarb.pricing.depth` says what they are for and why they hold.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Final

import attrs

from triarb.model import DEFAULT_GAP_BPS, Cycle, Opportunity, OrderBook, Refused
from triarb.money import BPS, ZERO, arithmetic, plain, to_decimal
from triarb.pricing.ladder import Ladder, Rung, digits_of, rungs
from triarb.pricing.legs import unit_given, unit_received
from triarb.pricing.plan import unwind_ratio

_ROUNDED: Final = Fraction(1, 10**18)
"""What a stranded loss may be rounded by (`triarb.pricing.plan.stranded_losses`)."""


@attrs.frozen
class Bounds:
    """What a size must keep.

    Attributes:
        balance: what is free of the start asset; None is no bound.
        max_amount: the most that leg 1 may spend at its limit price; None is no bound.
        max_loss: the most that may be lost if every leg fills at its limit, or if the cycle stops after a leg; None is
            no bound.
        min_edge_bps: what the last unit must earn: the product of the legs' rates at their limit prices, after fees. At
            -10000 it may earn anything.
        gap_bps: how much worse than quoted a stranded asset is turned back.
    """

    balance: Decimal | None = None
    max_amount: Decimal | None = None
    max_loss: Decimal | None = None
    min_edge_bps: Decimal = ZERO
    gap_bps: Decimal = DEFAULT_GAP_BPS

    @property
    def least_rate(self) -> Fraction:
        """What the last unit must come to."""
        return 1 + Fraction(self.min_edge_bps) / Fraction(BPS)


def ladders_of(
    cycle: Cycle, books: Mapping[str, OrderBook], least_rate: Fraction
) -> list[Ladder] | Refused:
    """The ladders of all legs, down to the levels that can still keep `least_rate` and earn anything."""
    gains, costs = 1, 1  # of all top rates, as a ratio
    for leg in cycle.legs:
        levels = books[leg.market.symbol].against(leg.side)
        price = levels[0].price if levels else leg.price
        one, other = unit_received(leg.side, price, leg.fee), unit_given(leg.side, price, leg.fee)
        (gain, part), (cost, parts) = one.as_integer_ratio(), other.as_integer_ratio()
        gains, costs = gains * gain * parts, costs * cost * part
    top = Fraction(gains, costs)
    if top <= 1 or top < least_rate:
        net_rate, least = to_decimal(top), to_decimal(least_rate)
        numbers = {"cycle": cycle.id, "net_rate": net_rate}
        sentence = f"{cycle.id} multiplies to {plain(net_rate)} after fees"
        if top <= 1:
            return Refused("cycle.unprofitable", sentence, numbers)
        sentence += f", of at least {plain(least)}"
        return Refused("size.edge", sentence, {**numbers, "least": least})
    legs: list[tuple[list[Rung], str]] = []
    for leg in cycle.legs:
        found = rungs(leg, books[leg.market.symbol], top, least_rate)
        if isinstance(found, Refused):
            return found
        legs.append(found)
    # One scale an asset: what a leg brings is compared with what the next one needs.
    digits = []
    for (before, _), (after, _) in zip([legs[-1], *legs[:-1]], legs, strict=True):
        brought = [v for rung in before for v in (rung.received_base, rung.received_step)]
        spent = [v for rung in after for v in (rung.given_base, rung.given_step)]
        digits.append(digits_of([*brought, *spent]))
    after_digits = [*digits[1:], digits[0]]
    return [
        Ladder(*leg, given, received)
        for leg, given, received in zip(legs, digits, after_digits, strict=True)
    ]


def ways_back(opportunity: Opportunity, gap_bps: Decimal) -> list[Fraction]:
    """By leg, what one unit of what it brings is turned back to, in the start asset, rounding apart."""
    cycle = opportunity.cycle
    return [
        unwind_ratio(opportunity.rates, leg.received, cycle.start, gap_bps) for leg in cycle.legs
    ]


@attrs.frozen
class Stretch:
    """Amounts of the pivot between which each leg stays on one rung, or at one amount.

    With ``count`` of the pivot no size earns more than ``(base + slope * count) / unit``.

    Attributes:
        low: the fewest steps of the pivot.
        high: the most.
        most: no size with any of them earns more.
        before: by leg from the one before the pivot to the first: what one step of the leg after it locks, the
            constant and the step of what it brings, the fewest steps.
        after: by leg from the one after the pivot to the last: the constant and the step of what the leg before it
            brings, what one step of it locks, the most steps.
        given: the constant and the step of what leg 1 spends.
        received: the constant and the step of what the last leg brings.
    """

    low: int
    high: int
    base: int
    slope: int
    unit: int
    most: int
    before: tuple[tuple[int, int, int, int], ...]
    after: tuple[tuple[int, int, int, int], ...]
    given: tuple[int, int]
    received: tuple[int, int]

    def bound(self, count: int) -> int:
        """No size with `count` of the pivot earns more."""
        return min(self.most, (self.base + self.slope * count) // self.unit)

    def within(self, profit: int) -> tuple[int, int]:
        """Only between these, if at all, a size can earn `profit`."""
        missing = profit * self.unit - self.base
        if self.slope > 0:
            return max(self.low, -(-missing // self.slope)), self.high
        if self.slope < 0:
            return self.low, min(self.high, missing // self.slope)
        return self.low, self.high if missing <= 0 else self.low - 1


@attrs.frozen
class Sizes:
    """Which sizes there are within bounds, in steps. Money is in units of ``10 ** -digits`` of the start asset.

    Attributes:
        pivot: the leg that sizes are told by.
        room: what leg 1 may spend at most, and the name of that bound; None is no bound.
        backs: `ways_back`; empty where no loss is bound.
    """

    ladders: Sequence[Ladder]
    digits: int
    bounds: Bounds
    pivot: int
    room: tuple[int, str] | None
    backs: Sequence[Fraction]

    @classmethod
    def of(
        cls, ladders: Sequence[Ladder], bounds: Bounds, backs: Sequence[Fraction] = ()
    ) -> "Sizes":
        """Those of a cycle whose legs are on `ladders`, within `bounds`; `backs` (`ways_back`) for one on losses."""
        digits = ladders[0].given_digits
        # The pivot is the leg whose step is worth most; worths are ratios of whole numbers.
        pivot, worth, most = 0, (ladders[0].locks[0], 1), (ladders[0].locks[0], 1)
        for number, (one, other) in enumerate(pairwise(ladders), 1):
            worth = (worth[0] * other.locks[0], worth[1] * one.brings[0])
            if worth[0] * most[1] > most[0] * worth[1]:
                pivot, most = number, worth
        named = ((bounds.balance, "balance"), (bounds.max_amount, "max_amount"))
        rooms = [
            (Fraction(room) * 10**digits // 1, name) for room, name in named if room is not None
        ]
        return cls(ladders, digits, bounds, pivot, min(rooms, default=None), backs)

    def least(self, leg: int, steps: int, down_to: int = 0) -> list[int]:
        """The least steps of the legs from `down_to` to `leg` with `steps` of `leg`; shorter where one has too few."""
        found = [steps]
        for i in range(leg, down_to, -1):
            steps = self.ladders[i - 1].least_bringing(self.ladders[i].lock(steps))
            if not steps:
                break
            found.append(steps)
        return found[::-1]

    def paid_by(self, leg: int, steps: int, up_to: int) -> int:
        """The most steps of the leg `up_to` that `steps` of `leg` pay for."""
        for i in range(leg, up_to):
            if steps:
                steps = self.ladders[i + 1].most_paid_by(self.ladders[i].received(steps))
        return steps

    def rows(self, amounts: Sequence[int]) -> list[int]:
        """The rung that each leg stands on."""
        return [ladder.rung(steps) for ladder, steps in zip(self.ladders, amounts, strict=True)]

    def earns(self, rows: Sequence[int], least_rate: Fraction) -> bool:
        """Whether the last unit comes to `least_rate` with the legs on these rungs."""
        legs = list(zip(self.ladders, rows, strict=True))
        brings = math.prod(ladder.brings[row] for ladder, row in legs)
        locks = math.prod(ladder.locks[row] for ladder, row in legs)
        return brings * least_rate.denominator >= locks * least_rate.numerator

    def broken(self, steps: int) -> str:
        """The bound that every size with `steps` of the last leg breaks; empty where the least one keeps them all."""
        amounts = self.least(len(self.ladders) - 1, steps)
        missing = len(self.ladders) - len(amounts)
        if missing:
            return self.ladders[missing - 1].end
        locked = self.ladders[0].lock(amounts[0])
        rows = self.rows(amounts)
        if not self.earns(rows, self.bounds.least_rate):
            return "edge"
        if self.room is not None and locked > self.room[0]:
            return self.room[1]
        if self.bounds.max_loss is not None:
            # In the worst case a leg brings at most what is locked for leg 1 times the rates at the limits up to it.
            rates = (ladder.rate(row) for ladder, row in zip(self.ladders, rows, strict=True))
            passed = accumulate(rates, operator.mul)
            back = min(back * part for back, part in zip(self.backs, passed, strict=True))
            loss = max(Fraction(0), Fraction(locked, 10**self.digits) * (1 - back) - _ROUNDED)
            if loss > self.bounds.max_loss:
                return "max_loss"
        return ""

    def largest(self) -> tuple[int, str]:
        """The most steps of the last leg that keep all bounds, and what more would break; 0 where none keep them."""
        last = self.ladders[-1]
        low, stop = last.firsts[0], ""
        first = self.ladders[0]
        steps = first.lasts[-1] if self.room is None else first.most_paid_by(self.room[0])
        high = self.paid_by(0, steps, len(self.ladders) - 1)
        if high:
            stop = self.broken(high)
        if not high or (stop and high == low):
            return 0, self.broken(low)
        if not stop:
            above = last.at_least(high + 1)
            return high, self.broken(above) if above else last.end
        if self.broken(low):
            return 0, self.broken(low)
        while True:
            middle = last.at_most((low + high) // 2)
            if middle <= low:
                middle = last.at_least(low + 1)
            if middle >= high:
                return low, stop
            why = self.broken(middle)
            if why:
                high, stop = middle, why
            else:
                low = middle

    def relaxed(self, steps: int) -> int:
        """A bound on the profit with `steps` of the last leg: what they bring minus what they cost without rounding."""
        row = self.ladders[-1].rung(steps)
        needed, parts = steps, 1
        for ladder, after in zip(self.ladders[-2::-1], self.ladders[:0:-1], strict=True):
            needed, parts, row = ladder.bringing(needed * after.locks[row], parts)
        first = self.ladders[0]
        cost = -(-(first.given_bases[row] * parts + needed * first.locks[row]) // parts)
        return self.ladders[-1].received(steps) - cost

    def through(self, count: int, most: Sequence[int]) -> list[int]:
        """The steps of all legs with `count` of the pivot that earn most, the legs after it with at most `most`."""
        amounts = self.least(self.pivot, count)
        for i in range(self.pivot + 1, len(self.ladders)):
            brought = self.ladders[i - 1].received(amounts[-1])
            amounts.append(min(self.ladders[i].most_paid_by(brought), most[i]))
        return amounts

    def stretches(self, most: Sequence[int]) -> list[Stretch]:
        """The amounts of the pivot that can be best, with at most `most` steps of every leg, the fewest first."""
        ladders, pivot, last = self.ladders, self.pivot, len(self.ladders) - 1
        low, high = self.least(last, ladders[-1].firsts[0], pivot)[0], most[pivot]
        starts = {low}
        for i, ladder in enumerate(ladders):
            for row in range(ladder.rung(most[i]) + 1):
                for end in (ladder.firsts[row], ladder.lasts[row]):
                    if i <= pivot:  # from here to `end` of it pays for no more of the pivot
                        starts.add(self.paid_by(i, end, pivot) + 1)
                    elif end <= most[i]:  # so many are needed for `end` of it
                        starts.add(self.least(i, end, pivot)[0])
        found = []
        ordered = sorted(start for start in starts if low <= start <= high)
        for start, end in zip(ordered, [*(start - 1 for start in ordered[1:]), high], strict=True):
            fewest, largest = ladders[pivot].at_least(start), ladders[pivot].at_most(end)
            if fewest <= largest:
                found.append(self._stretch(fewest, largest, most))
        return found

    def _stretch(self, low: int, high: int, most: Sequence[int]) -> Stretch:
        ladders, pivot = self.ladders, self.pivot
        least, largest = self.through(low, most), self.through(high, most)
        legs = list(zip(ladders, self.rows(largest), strict=True))
        before, after = [], []
        # Without rounding: steps of the legs down to the first, and up to the last, each a line in steps of the pivot.
        needs, slope, unit = 0, 1, 1
        for (ladder, row), (other, beyond) in zip(
            legs[:pivot][::-1], legs[1 : pivot + 1][::-1], strict=True
        ):
            lock, base, brings = other.locks[beyond], ladder.received_bases[row], ladder.brings[row]
            before.append((lock, base, brings, ladder.firsts[row]))
            needs, slope, unit = lock * needs - base * unit, lock * slope, unit * brings
        has, rise, part = 0, 1, 1
        for i in range(pivot + 1, len(legs)):
            (other, beyond), (ladder, row) = legs[i - 1], legs[i]
            base, brings, lock = (
                other.received_bases[beyond],
                other.brings[beyond],
                ladder.locks[row],
            )
            after.append((base, brings, lock, min(ladder.lasts[row], most[i])))
            has, rise, part = base * part + brings * has, brings * rise, part * lock
        given = (ladders[0].given_bases[legs[0][1]], ladders[0].locks[legs[0][1]])
        received = (ladders[-1].received_bases[legs[-1][1]], ladders[-1].brings[legs[-1][1]])
        cost = (given[0] * unit + given[1] * needs, given[1] * slope)
        income = (received[0] * part + received[1] * has, received[1] * rise)
        # The legs before that do not change cost the same for all, those after bring the same.
        if least[0] == largest[0]:
            cost = (unit * (given[0] + given[1] * least[0]), 0)
        if least[-1] == largest[-1]:
            income = (part * (received[0] + received[1] * least[-1]), 0)
        base, rising = (one * unit - other * part for one, other in zip(income, cost, strict=True))
        unit *= part
        ends = ((base + rising * count) // unit for count in (low, high))
        exact = ladders[-1].received(largest[-1]) - ladders[0].given(least[0])
        if self.bounds.max_loss is None:  # which may let pass what earns less
            if not income[1]:
                high = low
            elif not cost[1]:
                low = high
        return Stretch(
            low,
            high,
            base,
            rising,
            unit,
            min(exact, max(ends)),
            tuple(before),
            tuple(after),
            given,
            received,
        )

    def profit(self, amounts: Sequence[int]) -> int:
        """What a size earns at the prices of the books."""
        return self.ladders[-1].received(amounts[-1]) - self.ladders[0].given(amounts[0])

    def loss(self, amounts: Sequence[int]) -> Decimal:
        """At most `Plan.max_loss` of a size: that, were the way back not rounded to steps."""
        rows = self.rows(amounts)
        with arithmetic():
            locked = Decimal(self.ladders[0].lock(amounts[0])).scaleb(-self.digits)
            worst, brought = ZERO, 0
            for i, (ladder, row) in enumerate(zip(self.ladders, rows, strict=True)):
                steps = amounts[i] if i == 0 else min(amounts[i], brought // ladder.locks[row])
                brought = steps * ladder.brings[row] if steps >= ladder.leasts[row] else 0
                held = Fraction(brought, 10**ladder.received_digits) * self.backs[i]
                worst = max(worst, locked - to_decimal(held))
            result = Decimal(brought).scaleb(-self.digits) - locked
            return max(worst, -result)
