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

from triarb.model import Leg, OrderBook, Refused, gross_rate
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
        rate: units received for one unit given at its price, after the fee.
    """

    first: int
    last: int
    least: int
    rate: Fraction
    given_base: Decimal
    given_step: Decimal
    received_base: Decimal
    received_step: Decimal


def rungs(leg: Leg, book: OrderBook, least_rate: Fraction) -> tuple[list[Rung], str] | Refused:
    """The rungs of `leg`, and what comes after the last: ``edge``, ``depth of ...`` or ``maximum of ...``.

    Levels whose rate is below `least_rate` are left out, and so are those that are no price of the market's ticks.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    market, side, fee = leg.market, leg.side, leg.fee
    step = step_of(market)
    found: list[Rung] = []
    held = spent = brought = ZERO
    end = f"depth of {market.symbol}"
    with arithmetic():
        for level in book.against(side):
            rate = gross_rate(side, level.price) * fee.kept(side)
            if rate < least_rate:
                end = "edge"
                break
            given, received = (
                unit_given(side, level.price, fee),
                unit_received(side, level.price, fee),
            )
            least, most = least_amount(market, level.price), most_amount(market, level.price)
            shown = held + level.amount
            last = int((shown if most is None else min(shown, most)) // step)
            first = max(int(held // step) + 1, int(least // step))
            if first <= last and off_tick(market, level.price) is None:
                found.append(
                    Rung(
                        first,
                        last,
                        int(least // step),
                        rate,
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
    if not levels:
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
        self.received_digits = received_digits
        self.firsts = [rung.first for rung in found]
        self.lasts = [rung.last for rung in found]
        self.leasts = [rung.least for rung in found]
        self.rates = [rung.rate for rung in found]
        self.given_bases = [_whole(rung.given_base, given_digits) for rung in found]
        self.locks = [_whole(rung.given_step, given_digits) for rung in found]
        self.received_bases = [_whole(rung.received_base, received_digits) for rung in found]
        self.brings = [_whole(rung.received_step, received_digits) for rung in found]
        rows = range(len(found))
        self._entries = [self.firsts[i] * self.locks[i] for i in rows]
        self._exits = [self.received_bases[i] + self.lasts[i] * self.brings[i] for i in rows]

    def rung(self, steps: int | Fraction) -> int:
        """The number of the rung that `steps` stand on."""
        return bisect_left(self.lasts, steps)

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

    # The same without rounding to steps: at least as much for a budget, at most as much for what is wanted.

    def paid_by(self, budget: Fraction) -> tuple[Fraction, int] | None:
        """The largest fraction of steps that `budget` pays for, and its rung."""
        row = bisect_right(self._entries, budget) - 1
        return (min(budget / self.locks[row], Fraction(self.lasts[row])), row) if row >= 0 else None

    def bringing(self, wanted: Fraction | int) -> tuple[Fraction, int]:
        """The smallest fraction of steps that brings `wanted`, which is no more than all bring; and its rung."""
        row = bisect_left(self._exits, wanted)
        steps = Fraction(wanted - self.received_bases[row]) / self.brings[row]
        return max(steps, Fraction(self.firsts[row])), row


def digits_of(values: Sequence[Decimal]) -> int:
    """How many decimals write all of `values`."""
    return max(0, *(-int(value.as_tuple().exponent) for value in values))


def _whole(value: Decimal, digits: int) -> int:
    with arithmetic():
        return int(value.scaleb(digits))
