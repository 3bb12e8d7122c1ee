"""The size of most absolute net profit over all levels of all legs' books jointly, in whole steps.

A size is an amount for every leg, in whole steps that its market takes, such that each leg's amount at its limit price is
paid for by what the leg before it brings. How the best is found, and why it is the best:

1. *One number tells a size.* What a leg brings, and what it must have, rise with its amount. So among all sizes with the
   same amount of the last leg there is one with the least amount of every leg: it spends the least, its limits are the
   best, and if any of them keeps the bounds on what leg 1 spends and on the edge at the margin, it does. Whether it does
   falls with the amount of the last leg: `Sizes.largest` is the largest that does.
2. *The bounds make a box.* No leg needs more than it has in that largest size, and every size within those amounts keeps
   the bounds. In the box, an amount of any one leg (the pivot: the leg whose step is worth most) tells the best size with
   it: as little as possible before it, as much as possible after it.
3. *A line above it.* Between two amounts of the pivot at which some leg comes to a new level, what a size earns is a
   sawtooth below a straight line: that of its legs without rounding. There are as many such stretches as levels, and
   one where the books have one. The stretches are tried from the highest line down, each from its high end, and only as
   far as its line is no lower than the best that was found.
4. *What is left is a certificate.* If the budget ends the search, no size earns more than the highest line that is left.

Of sizes that earn the same, the one that spends least is taken. A question about the tops of the books is the same
question on books cut to one level (`at_top`).
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from triarb.model import Cycle, Opportunity, PlannedLeg, Refused
from triarb.money import BPS, ZERO, arithmetic, plain, to_decimal
from triarb.pricing.legs import planned, step_of
from triarb.pricing.plan import make_plan
from triarb.pricing.size import Priced
from triarb.pricing.sizes import Bounds, Sizes, Stretch, ladders_of, ways_back

BUDGET: Final = 100_000
"""How many sizes are tried before the best so far must do: about a tenth of a second.

Only an edge of less than about a thousandth of a bps can need so many.
"""

_SHRINKS: Final = 8
"""How often a size whose loss is above its bound is made smaller."""


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
_ANY_EDGE: Final = Bounds(min_edge_bps=-BPS)


def most_profitable(opportunity: Opportunity, max_amount: Decimal | None = None) -> Sized | Refused:
    """The size of most profit at the tops of the books, leg 1 spending at most `max_amount` of the start asset.

    It is `most_profitable_depth` of `at_top`, and refuses the same.
    """
    return most_profitable_depth(at_top(opportunity), Bounds(max_amount=max_amount))


def at_top(opportunity: Opportunity) -> Opportunity:
    """`opportunity` as if its books had one level a side."""
    books = {
        symbol: book if len(book.bids) <= 1 >= len(book.asks) else book.top()
        for symbol, book in opportunity.books.items()
    }
    return attrs.evolve(opportunity, books=books)


def unprofitable(opportunity: Opportunity) -> Refused | None:
    """Why no size earns anything through the whole depth of the books, whatever its last units earn; None where one does.

    Refused: as by `most_profitable_depth`; also where its budget ended the search.
    """
    answer = ladders_of(opportunity.cycle, opportunity.books, _ANY_EDGE.least_rate)
    if isinstance(answer, Refused):
        return answer
    sizes = Sizes.of(answer, _ANY_EDGE)
    largest, stop = sizes.largest()
    if not largest:
        return _no_size(opportunity.cycle, _ANY_EDGE, stop)
    if sizes.profit(sizes.least(len(answer) - 1, largest)) > 0:  # the largest, as a rule
        return None
    found = _search(sizes, largest, BUDGET, any_profit=True)
    return _no_profit(opportunity.cycle, sizes, found) if found.steps is None else None


def most_profitable_depth(
    opportunity: Opportunity, bounds: Bounds = _NO_BOUNDS, budget: int = BUDGET
) -> Sized | Refused:
    """The size of most profit through the whole depth of the books, within `bounds`.

    Exact, unless the search is longer than `budget`, or `max_loss` is what binds it: a loss rises and falls with every
    rounding. Of the sizes with the same pivot amount only the one that earns most is tried against it, by a loss that
    is never above the exact one (`Sizes.loss`); where the exact one of the best is, smaller sizes are tried until it is
    not. All of that is in the `gap`.

    Refused: ``cycle.unprofitable``, ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``,
    ``cycle.no_profit_after_rounding``, ``market.off_tick``, ``size.edge``, ``size.balance``, ``size.bound``,
    ``size.max_loss``.
    """
    backs = ways_back(opportunity, bounds.gap_bps) if bounds.max_loss is not None else ()
    sized = _sized(opportunity, bounds, budget, backs)
    if bounds.max_loss is None or isinstance(sized, Refused):
        return sized
    smaller, best = sized, sized
    for tried in range(_SHRINKS):
        plan = make_plan(opportunity, smaller.legs, bounds.gap_bps)
        with arithmetic():
            loss, at_stake = plan.max_loss, plan.at_stake
            if loss <= bounds.max_loss:
                gap = best.profit + best.gap - smaller.profit
                return attrs.evolve(smaller, gap=gap, binding="max_loss") if tried else sized
        if bounds.max_loss <= 0:
            break
        # The loss is all but linear in the size: go to where it meets the bound, and then a little less.
        less = Fraction(at_stake) * Fraction(bounds.max_loss) / Fraction(loss)
        room = to_decimal(less * Fraction(99 if tried else 100, 100))
        answer = _sized(opportunity, attrs.evolve(bounds, max_amount=room), budget, backs)
        if isinstance(answer, Refused):
            break
        smaller = answer
    return _no_size(opportunity.cycle, bounds, "max_loss")


def _sized(
    opportunity: Opportunity, bounds: Bounds, budget: int, backs: Sequence[Fraction]
) -> Sized | Refused:
    """`most_profitable_depth`, with `Sizes.loss` for the loss."""
    cycle, books = opportunity.cycle, opportunity.books
    ladders = ladders_of(cycle, books, bounds.least_rate)
    if isinstance(ladders, Refused):
        return ladders
    sizes = Sizes.of(ladders, bounds, backs)
    largest, stop = sizes.largest()
    if not largest:
        return _no_size(cycle, bounds, stop)
    found = _search(sizes, largest, budget)
    if found.steps is None:
        return (
            _no_size(cycle, bounds, "max_loss")
            if found.too_risky
            else _no_profit(cycle, sizes, found)
        )
    legs: list[PlannedLeg] = []
    for leg, steps in zip(cycle.legs, found.steps, strict=True):
        with arithmetic():
            amount = steps * step_of(leg.market)
        result = planned(leg, books[leg.market.symbol].against(leg.side), amount)
        if isinstance(result, Refused):
            return result
        legs.append(result)
    symbols = [leg.market.symbol for leg in cycle.legs]
    binding = _binding(sizes, found, found.steps, stop, symbols)
    return Sized(tuple(legs), _in_start(sizes, found.gap), binding)


def _in_start(sizes: Sizes, money: int) -> Decimal:
    with arithmetic():
        return Decimal(money).scaleb(-sizes.digits) if money else ZERO


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


def _no_profit(cycle: Cycle, sizes: Sizes, found: "_Found") -> Refused:
    gap = _in_start(sizes, found.gap)
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
        most: the steps of every leg in the largest size.
        stretches: what there was to be searched, the fewest steps first.
        steps: of every leg; None where no size was found.
        profit: of that size.
        spent: by that size.
        risky: the most that a size would have earned that was passed over because of its loss.
        untried: the most that a size could earn that the budget left untried.
    """

    most: Sequence[int]
    stretches: Sequence[Stretch]
    steps: list[int] | None = None
    profit: int = 0
    spent: int = 0
    risky: int = 0
    untried: int = 0

    @property
    def too_risky(self) -> bool:
        """Whether a size was passed over because its loss is above its bound, though it earns more."""
        return self.risky > self.profit

    @property
    def gap(self) -> int:
        """How much more there could be."""
        return max(0, self.untried - self.profit, self.risky - self.profit)


def _search(sizes: Sizes, largest: int, budget: int, *, any_profit: bool = False) -> _Found:
    """The best of the sizes with at most `largest` steps of the last leg; or any one that earns something."""
    most = sizes.least(len(sizes.ladders) - 1, largest)
    found = _Found(most, sizes.stretches(most))
    for stretch in sorted(found.stretches, key=lambda stretch: -stretch.most):
        if stretch.most < max(found.profit, 1) or (any_profit and found.steps):
            break
        if budget <= 0:
            found.untried = max(found.untried, stretch.most)
            break
        budget -= _try_out(sizes, stretch, found, budget, any_profit=any_profit)
    return found


def _try_out(
    sizes: Sizes,
    stretch: Stretch,
    found: _Found,
    budget: int,
    *,
    any_profit: bool,
) -> int:
    """Try the sizes of `stretch` that could be the best; how many were tried, at most `budget`."""
    before, after, tried = stretch.before, stretch.after, 0
    (paid, paying), (gained, gaining) = stretch.given, stretch.received
    low, high = stretch.within(max(found.profit, 1))
    falling = stretch.slope > 0
    count = high if falling else low
    while low <= count <= high:
        if tried == budget:
            found.untried = max(found.untried, stretch.bound(count))
            break
        tried += 1
        first = end = count  # spelt out rather than `through`: this is where the time goes
        for lock, base, brings, least in before:
            first = -((base - lock * first) // brings)
            if first < least:  # noqa: PLR1730
                first = least
        for base, brings, lock, limit in after:
            end = (base + brings * end) // lock
            if end > limit:  # noqa: PLR1730
                end = limit
        spent = paid + paying * first
        profit = gained + gaining * end - spent
        if profit > found.profit or (profit == found.profit > 0 and spent < found.spent):
            steps = sizes.through(count, found.most)
            max_loss = sizes.bounds.max_loss
            if max_loss is None or sizes.loss(steps) <= max_loss:
                found.steps, found.profit, found.spent = steps, profit, spent
                if any_profit:
                    break
                low, high = stretch.within(profit)
            else:
                found.risky = max(found.risky, profit)
        count += -1 if falling else 1
    return tried


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
    if sizes.relaxed(found.most[-1]) >= found.profit:
        return stop  # only rounding keeps it from the largest that there is
    last, count = len(sizes.ladders) - 1, steps[sizes.pivot]
    if count == found.stretches[0].low:
        return "minimum"
    now = sizes.rows(sizes.least(last, steps[last]))
    for stretch in found.stretches:
        if stretch.low > count:
            above = sizes.through(stretch.low, found.most)
            after = sizes.rows(sizes.least(last, above[last]))
            if after != now:
                if not sizes.earns(after, Fraction(1)):
                    break
                changed = next(s for s, a, b in zip(symbols, now, after, strict=True) if a != b)
                return f"limit of {changed}"
    return "edge"
