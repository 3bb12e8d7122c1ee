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

from triarb.model import DEFAULT_GAP_BPS, Cycle, Opportunity, OrderBook, Refused, gross_rate
from triarb.money import BPS, ZERO, arithmetic, plain, to_decimal
from triarb.pricing.ladder import Ladder, Rung, digits_of, rungs
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
        min_edge_bps: what the last unit must earn: the product of the legs' rates at their limit prices, after fees.
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
) -> tuple[list[Ladder], int] | Refused:
    """The ladders of all legs down to the levels that can still keep `least_rate`; the digits of the start asset."""
    top = Fraction(1)
    rates = []
    for leg in cycle.legs:
        levels = books[leg.market.symbol].against(leg.side)
        price = levels[0].price if levels else leg.price
        rates.append(gross_rate(leg.side, price) * leg.fee.kept(leg.side))
        top *= rates[-1]
    if top < least_rate:
        return Refused(
            "size.edge",
            f"{cycle.id} multiplies to {plain(to_decimal(top))} after fees, of at least "
            f"{plain(to_decimal(least_rate))}",
            {"cycle": cycle.id, "net_rate": to_decimal(top), "least": to_decimal(least_rate)},
        )
    legs: list[tuple[list[Rung], str]] = []
    for leg, rate in zip(cycle.legs, rates, strict=True):
        found = rungs(leg, books[leg.market.symbol], least_rate * rate / top)
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
    ], digits[0]


@attrs.frozen
class Sizes:
    """Which sizes there are within bounds, in steps. Money is in units of ``10 ** -digits`` of the start asset.

    Attributes:
        pivot: the leg that sizes are told by.
        room: what leg 1 may spend at most, and the name of that bound; None is no bound.
        backs: by leg, what one unit of what it brings is unwound to, in the start asset; empty where no loss is bound.
    """

    ladders: Sequence[Ladder]
    digits: int
    bounds: Bounds
    pivot: int
    room: tuple[int, str] | None
    backs: Sequence[Fraction]

    @classmethod
    def of(
        cls, opportunity: Opportunity, bounds: Bounds, ladders: Sequence[Ladder], digits: int
    ) -> "Sizes":
        """Those of `opportunity` within `bounds`, its legs on `ladders`."""
        worth = [Fraction(ladders[0].locks[0])]  # of one step of each leg, in the start asset
        for one, other in pairwise(ladders):
            worth.append(worth[-1] * other.locks[0] / one.brings[0])
        named = ((bounds.balance, "balance"), (bounds.max_amount, "max_amount"))
        rooms = [
            (Fraction(room) * 10**digits // 1, name) for room, name in named if room is not None
        ]
        cycle = opportunity.cycle
        backs = [
            unwind_ratio(opportunity.rates, leg.received, cycle.start, bounds.gap_bps)
            for leg in (cycle.legs if bounds.max_loss is not None else ())
        ]
        pivot = max(range(len(worth)), key=worth.__getitem__)
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

    def rows(self, amounts: Sequence[int]) -> list[int]:
        """The rung that each leg stands on."""
        return [ladder.rung(steps) for ladder, steps in zip(self.ladders, amounts, strict=True)]

    def rate(self, rows: Sequence[int]) -> Fraction:
        """What the last unit comes to with the legs on these rungs."""
        return math.prod(
            (ladder.rates[row] for ladder, row in zip(self.ladders, rows, strict=True)),
            start=Fraction(1),
        )

    def broken(self, steps: int) -> str:
        """The bound that every size with `steps` of the last leg breaks; empty where the least one keeps them all."""
        amounts = self.least(len(self.ladders) - 1, steps)
        missing = len(self.ladders) - len(amounts)
        if missing:
            return self.ladders[missing - 1].end
        locked = self.ladders[0].lock(amounts[0])
        rows = self.rows(amounts)
        if self.rate(rows) < self.bounds.least_rate:
            return "edge"
        if self.room is not None and locked > self.room[0]:
            return self.room[1]
        if self.bounds.max_loss is not None:
            # In the worst case a leg brings at most what is locked for leg 1 times the rates at the limits up to it.
            rates = (ladder.rates[row] for ladder, row in zip(self.ladders, rows, strict=True))
            passed = accumulate(rates, operator.mul)
            back = min(back * part for back, part in zip(self.backs, passed, strict=True))
            loss = max(Fraction(0), Fraction(locked, 10**self.digits) * (1 - back) - _ROUNDED)
            if loss > self.bounds.max_loss:
                return "max_loss"
        return ""

    def largest(self) -> tuple[int, str]:
        """The most steps of the last leg that keep all bounds, and what more would break; 0 where none keep them."""
        last = self.ladders[-1]
        low, high = last.firsts[0], last.lasts[-1]
        stop = self.broken(low)
        if stop:
            return 0, stop
        stop = self.broken(high)
        if not stop:
            return high, last.end
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
        ladders = self.ladders
        row = ladders[-1].rung(steps)
        needed = Fraction(steps)
        for i in range(len(ladders) - 1, 0, -1):
            needed, row = ladders[i - 1].bringing(needed * ladders[i].locks[row])
        cost = ladders[0].given_bases[row] + needed * ladders[0].locks[row]
        return (ladders[-1].received(steps) - cost) // 1

    def kinks(self, largest: int) -> list[int]:
        """The steps of the last leg, up to `largest`, after which `relaxed` may change its slope; `largest` is the last."""
        found = {largest}
        most = self.least(len(self.ladders) - 1, largest)
        for i, ladder in enumerate(self.ladders):
            for row in range(ladder.rung(most[i]) + 1):
                for end in (ladder.firsts[row], ladder.lasts[row]):
                    reached = self._reached(i, end, row)
                    if reached < largest:
                        found.add(reached)
        return sorted(found)

    def _reached(self, leg: int, steps: int, row: int) -> int:
        """The most steps of the last leg that need no more than `steps` of `leg`, without rounding."""
        needed = Fraction(steps)
        for i in range(leg + 1, len(self.ladders)):
            before, ladder = self.ladders[i - 1], self.ladders[i]
            paid = ladder.paid_by(before.received_bases[row] + needed * before.brings[row])
            if paid is None:
                return 0
            needed, row = paid
        return needed // 1

    def through(self, count: int, most: Sequence[int]) -> list[int]:
        """The steps of all legs with `count` of the pivot that earn most, the legs after it with at most `most`."""
        amounts = self.least(self.pivot, count)
        for i in range(self.pivot + 1, len(self.ladders)):
            brought = self.ladders[i - 1].received(amounts[-1])
            amounts.append(min(self.ladders[i].most_paid_by(brought), most[i]))
        return amounts

    def profit(self, amounts: Sequence[int]) -> int:
        """What a size earns at the prices of the books."""
        return self.ladders[-1].received(amounts[-1]) - self.ladders[0].given(amounts[0])

    def loss(self, amounts: Sequence[int]) -> Decimal:
        """`Plan.max_loss` of a size."""
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
