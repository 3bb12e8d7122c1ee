"""One leg through the whole depth of its book, in whole steps and whole numbers: what the search by size runs on.

A leg of ``k`` steps takes the levels of its book, best first; its limit is the worst price that it needs. It is paid for
at that limit (`Ladder.lock`), since an exchange locks that much and the executor sizes by it; it spends and brings what
the levels say. All three rise with ``k``. Between two levels each is a straight line, so a ladder is a list of lines.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model import Leg, OrderBook, Refused
from triarb.money import ZERO, arithmetic, plain
from triarb.pricing.legs import (
    least_amount,
    most_amount,
    off_tick,
    step_of,
    unit_given,
    unit_received,
)


@attrs.frozen
class Rung:
    """The amounts of a leg whose limit is one level's price.

    With ``k`` steps it spends ``given_base + k * given_step`` and brings ``received_base + k * received_step``.

    Attributes:
        first: the fewest steps that need this level and that the market takes at its price.
        last: the most.
        least: the fewest that the market takes at its price, whether or not they need this level.
    """

    first: int
    last: int
    least: int
    given_base: Decimal
    given_step: Decimal
    received_base: Decimal
    received_step: Decimal


def rungs(
    leg: Leg, book: OrderBook, top: Fraction, least_rate: Fraction
) -> tuple[list[Rung], str] | Refused:
    """The rungs of `leg`, and what comes after the last: ``edge``, ``depth of ...`` or ``maximum of ...``.

    Left out are levels that are no price of the market's ticks, and those with which the cycle could not keep
    `least_rate` or earn anything, were all other legs at the tops of their books.

    Args:
        leg: one of a cycle's.
        book: of its market.
        top: what all top prices of the cycle multiply to, after fees.
        least_rate: what the last unit must come to.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    market, side, fee = leg.market, leg.side, leg.fee
    step = step_of(market)
    found: list[Rung] = []
    held = spent = brought = ZERO
    others = Fraction(0)  # what all other legs multiply to
    end = f"depth of {market.symbol}"
    with arithmetic():
        for level in book.against(side):
            given = unit_given(side, level.price, fee)
            received = unit_received(side, level.price, fee)
            if held:
                others = others or top * Fraction(spent) / Fraction(brought)
                if Fraction(received) * others < least_rate * Fraction(given) or Fraction(
                    brought
                ) * others <= Fraction(spent):
                    end = "edge"
                    break
            least, most = least_amount(market, level.price), most_amount(market, level.price)
            shown = held + level.amount
            last = int((shown if most is None else min(shown, most)) // step)
            fewest = int(least // step)
            first = max(int(held // step) + 1, fewest)
            if first <= last and off_tick(market, level.price) is None:
                found.append(
                    Rung(
                        first,
                        last,
                        fewest,
                        spent - held * given,
                        step * given,
                        brought - held * received,
                        step * received,
                    )
                )
            spent += level.amount * given
            brought += level.amount * received
            held = shown
        if not found:
            return _no_rung(leg, book, held)
        if found[-1].last < held // step:
            end = f"maximum of {market.symbol}"
    return found, end


def _no_rung(leg: Leg, book: OrderBook, shown: Decimal) -> Refused:
    market, levels = leg.market, book.against(leg.side)
    if not shown:
        return Refused(
            "cycle.no_depth",
            f"{market.symbol} shows no size to {leg.side}",
            {"symbol": market.symbol},
        )
    price = levels[0].price
    refusal = off_tick(market, price)
    if refusal is not None:
        return refusal
    least, most = least_amount(market, price), most_amount(market, price)
    if most is not None and most < least:
        return Refused(
            "cycle.above_maximum",
            f"{market.symbol} has a maximum below its minimum",
            {"symbol": market.symbol, "least": least, "most": most},
        )
    return Refused(
        "cycle.below_minimum",
        f"{market.symbol} shows {plain(shown)} at prices that earn, less than its minimum of "
        f"{plain(least)} {market.base}",
        {"symbol": market.symbol, "shown": shown, "least": least},
    )


class Ladder:
    """The rungs of a leg with all money in whole numbers: units of ``10 ** -digits`` of the asset.

    Amounts are steps, and those that the market does not take are never answered; 0 means that there is none.

    Args:
        found: the rungs, best first.
        end: what comes after the last.
        given_digits: of what it gives.
        received_digits: of what it receives.
    """

    def __init__(
        self, found: Sequence[Rung], end: str, given_digits: int, received_digits: int
    ) -> None:
        self.end = end
        self.given_digits, self.received_digits = given_digits, received_digits
        self.firsts = [rung.first for rung in found]
        self.lasts = [rung.last for rung in found]
        self.leasts = [rung.least for rung in found]
        with arithmetic():
            self.given_bases = [int(rung.given_base.scaleb(given_digits)) for rung in found]
            self.locks = [int(rung.given_step.scaleb(given_digits)) for rung in found]
            self.received_bases = [
                int(rung.received_base.scaleb(received_digits)) for rung in found
            ]
            self.brings = [int(rung.received_step.scaleb(received_digits)) for rung in found]
        self._entries = [first * lock for first, lock in zip(self.firsts, self.locks, strict=True)]
        self._exits = [
            base + last * brings
            for base, last, brings in zip(self.received_bases, self.lasts, self.brings, strict=True)
        ]

    def rung(self, steps: int) -> int:
        """The number of the rung that `steps` stand on."""
        return bisect_left(self.lasts, steps)

    def rate(self, row: int) -> Fraction:
        """Units received for one unit given at the price of a rung, after the fee."""
        brings = self.brings[row] * 10**self.given_digits
        return Fraction(brings, self.locks[row] * 10**self.received_digits)

    def at_most(self, steps: int) -> int:
        """The largest amount that is no more than `steps`."""
        row = bisect_right(self.firsts, steps) - 1
        return min(steps, self.lasts[row]) if row >= 0 else 0

    def at_least(self, steps: int) -> int:
        """The smallest amount that is no less than `steps`."""
        row = bisect_left(self.lasts, steps)
        return max(steps, self.firsts[row]) if row < len(self.lasts) else 0

    def lock(self, steps: int) -> int:
        """What must be there to pay for `steps`: all of it at its limit price."""
        return steps * self.locks[bisect_left(self.lasts, steps)]

    def given(self, steps: int) -> int:
        """What `steps` spend at the prices of the book."""
        row = bisect_left(self.lasts, steps)
        return self.given_bases[row] + steps * self.locks[row]

    def received(self, steps: int) -> int:
        """What `steps` bring at the prices of the book."""
        row = bisect_left(self.lasts, steps)
        return self.received_bases[row] + steps * self.brings[row]

    def most_paid_by(self, budget: int) -> int:
        """The largest amount that `budget` pays for."""
        row = bisect_right(self._entries, budget) - 1
        return min(budget // self.locks[row], self.lasts[row]) if row >= 0 else 0

    def least_bringing(self, wanted: int) -> int:
        """The smallest amount that brings `wanted`."""
        row = bisect_left(self._exits, wanted)
        if row == len(self._exits):
            return 0
        return max(-((self.received_bases[row] - wanted) // self.brings[row]), self.firsts[row])

    def bringing(self, wanted: int, parts: int) -> tuple[int, int, int]:
        """At most the steps that bring ``wanted / parts`` without rounding, as a numerator and a denominator; their rung."""
        row = bisect_left(self._exits, -(-wanted // parts))
        steps, whole = wanted - self.received_bases[row] * parts, self.brings[row] * parts
        return max(steps, self.firsts[row] * whole), whole, row


def digits_of(values: Sequence[Decimal]) -> int:
    """How many decimals write all of `values`."""
    return max(0, *(-int(value.as_tuple().exponent) for value in values))
