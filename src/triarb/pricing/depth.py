"""The size of most absolute net profit over all levels of all legs' books jointly, in whole steps.

A size is an amount for every leg, in whole steps that its market takes, such that each leg's amount at its limit price is
paid for by what the leg before it brings. How the best is found, and why it is the best:

1. *One number tells a size.* What a leg brings, and what it must have, rise with its amount. So among all sizes with the
   same amount of the last leg there is one with the least amount of every leg: it spends the least, its limits are the
   best, and if any of them keeps the bounds on what leg 1 spends and on the edge at the margin, it does. Whether it does
   falls with the amount of the last leg: `Sizes.largest` is the largest that does, found by bisection.
2. *The bounds make a box.* No leg needs more than it has in that largest size, and every size within those amounts keeps
   the bounds. In the box, an amount of any one leg (the pivot: the leg whose step is worth most) tells the best size with
   it: as little as possible before it, as much as possible after it.
3. *A line above it.* Without rounding, what the least size for an amount of the last leg earns is straight between the
   points at which some leg comes to a new level. So the ends of an interval between two of these bound all in it:
   intervals are halved, the most promising first, until few pivot amounts are left in one, and those are tried.
4. *What is left is a certificate.* If the budget ends the search, no size earns more than the best bound that is left.
"""

import heapq
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import attrs

from triarb.model import Cycle, Opportunity, PlannedLeg, Refused
from triarb.money import ZERO, arithmetic, plain
from triarb.pricing.legs import planned, step_of
from triarb.pricing.size import Priced
from triarb.pricing.sizes import Bounds, Sizes, ladders_of

BUDGET: Final = 20_000
"""How many sizes `most_profitable_depth` tries before it settles for the best so far: about a tenth of a second."""

LEAF: Final = 32
"""Intervals of no more pivot amounts than this are tried out rather than halved."""


@attrs.frozen
class Sized(Priced):
    """The size of most profit, as far as it was searched for, and what keeps it from being larger.

    Attributes:
        gap: an upper bound on how much more any size could earn, in the start asset; 0 where this is proved the best.
        binding: what a larger size would break: ``balance``, ``max_amount``, ``max_loss``, ``depth of ETH/BTC``,
            ``maximum of ETH/BTC``, or ``edge``, where its last units would earn less than the floor. Or why it would
            earn less: ``limit of ETH/BTC``, where a worse limit price there leaves over more than the next units earn,
            and ``minimum``, where the markets' minimums allow no smaller size.
    """

    gap: Decimal
    binding: str


_NO_BOUNDS: Final = Bounds()


def most_profitable_depth(
    opportunity: Opportunity, bounds: Bounds = _NO_BOUNDS, budget: int = BUDGET
) -> Sized | Refused:
    """The size of most profit through the whole depth of the books, within `bounds`.

    Exact, unless the search is longer than `budget`, or `max_loss` is what binds it: a loss rises and falls with every
    rounding, so of the sizes with the same pivot amount only the one that earns most is tried against it. Both are in
    the `gap`.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``cycle.no_profit_after_rounding``,
    ``market.off_tick``, ``size.edge``, ``size.balance``, ``size.bound``, ``size.max_loss``.
    """
    cycle, books = opportunity.cycle, opportunity.books
    answer = ladders_of(cycle, books, bounds.least_rate)
    if isinstance(answer, Refused):
        return answer
    sizes = Sizes.of(opportunity, bounds, *answer)
    largest, stop = sizes.largest()
    if not largest:
        return _no_size(cycle, bounds, stop)
    found = _search(sizes, largest, budget)
    with arithmetic():
        gap = Decimal(found.gap).scaleb(-sizes.digits) if found.gap else ZERO
    if found.steps is None:
        return _no_size(cycle, bounds, "max_loss") if found.too_risky else _no_profit(cycle, gap)
    legs: list[PlannedLeg] = []
    for leg, steps in zip(cycle.legs, found.steps, strict=True):
        with arithmetic():
            amount = steps * step_of(leg.market)
        result = planned(leg, books[leg.market.symbol].against(leg.side), amount)
        if isinstance(result, Refused):
            return result
        legs.append(result)
    symbols = [leg.market.symbol for leg in cycle.legs]
    return Sized(tuple(legs), gap, _binding(sizes, found, found.steps, stop, symbols))


def _no_size(cycle: Cycle, bounds: Bounds, stop: str) -> Refused:
    """Why there is no size at all: `stop` is what even the smallest one breaks."""
    start = cycle.start
    codes = {
        "balance": ("size.balance", bounds.balance, "costs no more than the {} {} that are free"),
        "max_amount": ("size.bound", bounds.max_amount, "costs no more than the bound of {} {}"),
        "max_loss": ("size.max_loss", bounds.max_loss, "was found to lose no more than {} {}"),
        "edge": ("size.edge", bounds.min_edge_bps, "earns {} bps with its last units"),
    }
    numbers: dict[str, Any] = {"cycle": cycle.id, "start": start, "binding": stop}
    code, words = "cycle.below_minimum", f"keeps the minimums of all its markets within the {stop}"
    if stop in codes:
        code, bound, words = codes[stop]
        numbers["bound"], words = bound, words.format(plain(bound or ZERO), start)
    return Refused(
        code, f"no size of {cycle.id} from {start} that its markets take {words}", numbers
    )


def _no_profit(cycle: Cycle, gap: Decimal) -> Refused:
    numbers: dict[str, Any] = {"cycle": cycle.id, "start": cycle.start, "gap": gap}
    sentence = f"no size of {cycle.id} from {cycle.start} leaves a profit once every leg is rounded to its step"
    if gap:
        sentence = (
            f"no size of {cycle.id} was found that leaves a profit once every leg is rounded to its step; "
            f"none leaves more than {plain(gap)} {cycle.start}"
        )
    return Refused("cycle.no_profit_after_rounding", sentence, numbers)


@attrs.define
class _Found:
    """What a search came to.

    Attributes:
        steps: of every leg; None where no size was found.
        profit: of that size.
        gap: how much more there could be.
        too_risky: whether a size was passed over because its loss is above its bound, though it earns more.
        kinks: the ends of the intervals that were searched.
    """

    steps: list[int] | None = None
    profit: int = 0
    gap: int = 0
    too_risky: bool = False
    kinks: Sequence[int] = ()


def _search(sizes: Sizes, largest: int, budget: int) -> _Found:
    """The best of the sizes with at most `largest` steps of the last leg."""
    ladders, pivot, last = sizes.ladders, sizes.pivot, len(sizes.ladders) - 1
    most = sizes.least(last, largest)
    found = _Found(kinks=sizes.kinks(largest))
    risky = 0  # the most that a size passed over would have earned
    heap: list[tuple[int, int, int]] = []

    def push(low: int, high: int) -> None:
        low, high = ladders[-1].at_least(low), ladders[-1].at_most(high)
        if 0 < low <= high:
            bound = max(sizes.relaxed(low), sizes.relaxed(high))
            if bound > found.profit:
                heapq.heappush(heap, (-bound, low, high))

    push(1, found.kinks[0])
    for before, kink in pairwise(found.kinks):
        push(before + 1, kink)
    while heap and -heap[0][0] > found.profit and budget > 0:
        _, low, high = heapq.heappop(heap)
        first, end = (sizes.least(last, steps, pivot)[0] for steps in (low, high))
        if end - first > LEAF:
            middle = (low + high) // 2
            push(low, middle)
            push(middle + 1, high)
            continue
        count = end
        while count >= first:
            budget -= 1
            amounts = sizes.through(count, most)
            profit = sizes.profit(amounts)
            if profit > found.profit:
                if sizes.bounds.max_loss is None or sizes.loss(amounts) <= sizes.bounds.max_loss:
                    found.steps, found.profit = amounts, profit
                else:
                    risky = max(risky, profit)
            count = ladders[pivot].at_most(count - 1)
    open_bound = -heap[0][0] if heap else 0
    found.gap = max(0, open_bound - found.profit, risky - found.profit)
    found.too_risky = risky > found.profit
    return found


def _binding(
    sizes: Sizes,
    found: _Found,
    steps: Sequence[int],
    stop: str,
    symbols: Sequence[str],
) -> str:
    """The name of what keeps the size of `steps` from being larger (`Sized.binding`)."""
    if found.too_risky:
        return "max_loss"
    if sizes.relaxed(found.kinks[-1]) >= found.profit:
        return stop  # only rounding keeps it from the largest that there is
    leg, ladder = len(sizes.ladders) - 1, sizes.ladders[-1]
    if steps[sizes.pivot] == sizes.least(leg, ladder.at_least(1), sizes.pivot)[0]:
        return "minimum"
    now = sizes.rows(sizes.least(leg, steps[leg]))
    for kink in found.kinks[:-1]:
        above = ladder.at_least(kink + 1)
        after = sizes.rows(sizes.least(leg, above)) if above > steps[leg] else now
        if after != now:
            if sizes.rate(after) < 1:
                break
            return (
                f"limit of {next(s for s, a, b in zip(symbols, now, after, strict=True) if a != b)}"
            )
    return "edge"
