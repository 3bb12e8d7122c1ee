"""The three numbers of a plan: its result at its limits, its loss if it is stranded, and what is at stake."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

import attrs

from triarb.model import (
    DEFAULT_GAP_BPS,
    Opportunity,
    Plan,
    PlannedLeg,
    RateView,
    Side,
    TimeInForce,
    gross_rate,
)
from triarb.money import BPS, ONE, ZERO, arithmetic, round_down
from triarb.pricing.legs import allowed, least_amount, step_of, unit_given, unit_received
from triarb.pricing.resend import with_resends
from triarb.pricing.routes import RouteSearch

UNWIND_LEGS: Final = 2
"""The most trades by which a stranded asset is taken to be turned back; with more it could only bring more."""

_PLACES: Final = Decimal("1e-18")
"""To which decimals what comes back is rounded down."""


def make_plan(
    opportunity: Opportunity,
    legs: Sequence[PlannedLeg],
    gap_bps: Decimal = DEFAULT_GAP_BPS,
    *,
    gap: Decimal | None = None,
    binding: str = "",
) -> Plan:
    """`legs` with their three numbers, `times_in_force` and `with_resends`, for whoever chose the sizes.

    Args:
        opportunity: what the legs are of.
        legs: with their amounts and limits.
        gap_bps: the adverse move that the stranded losses assume.
        gap: `Plan.gap`, of a sizer that looked for the best size.
        binding: `Plan.binding`, the same.
    """
    start = opportunity.cycle.start
    with arithmetic():
        return Plan(
            opportunity.cycle.id,
            start,
            with_resends(times_in_force(legs), opportunity.books),
            expected_result=legs[-1].received - legs[0].given,
            worst_result=worst_case(legs)[-1] - legs[0].worst_given,
            stranded_losses=stranded_losses(opportunity.rates, start, legs, gap_bps),
            gap_bps=gap_bps,
            decided_ns=opportunity.confirmed_ns,
            gap=gap,
            binding=binding,
        )


def times_in_force(legs: Sequence[PlannedLeg]) -> tuple[PlannedLeg, ...]:
    """`legs`, those fill-or-kill of which half a fill would bring too little for the minimums of the legs after them.

    A leg that fills in part and is then too small to go on with strands what it brought; one that fills whole or not at
    all leaves what there was before it. Where half a fill is enough, part of the cycle is worth more than none of it.
    What arrives is traded in whole steps, so that a fill must also reach up to them. The last leg has nothing after it:
    whatever it fills is won. A leg that is not ``IOC`` stays as it is.
    """
    decided = [legs[-1]]
    least = Fraction(least_amount(legs[-1].market, legs[-1].limit_price))
    for leg, after in zip(legs[-2::-1], legs[:0:-1], strict=True):
        needed = least * Fraction(unit_given(after.side, after.limit_price, after.fee.worst))
        step = Fraction(step_of(leg.market))
        fill = needed / Fraction(unit_received(leg.side, leg.limit_price, leg.fee.worst))
        fill = math.ceil(fill / step) * step
        risky = 2 * fill > Fraction(leg.amount) and leg.time_in_force == TimeInForce.IOC
        decided.append(attrs.evolve(leg, time_in_force=TimeInForce.FOK) if risky else leg)
        least = max(fill, Fraction(least_amount(leg.market, leg.limit_price)))
    return tuple(decided[::-1])


@attrs.frozen
class LeftOver:
    """What stays of what a leg brought once the next one is filled: it counts nothing in a plan's results.

    Attributes:
        asset: what it is of.
        rounding: what does not pay for one more step of the next leg at its limit price, or for which nothing is to be had.
        limit: what the next leg was sized to spend at its limit price and does not spend at the better prices of its book.
        worst: what stays if every leg fills at its limit price.
    """

    asset: str
    rounding: Decimal
    limit: Decimal
    worst: Decimal

    @property
    def expected(self) -> Decimal:
        """What stays at the books' prices."""
        with arithmetic():
            return self.rounding + self.limit


def left_over(legs: Sequence[PlannedLeg]) -> tuple[LeftOver, ...]:
    """By leg but the last: what stays of what it brings.

    An order cannot spend what its limit price does not let it count on, so each price better than the limit leaves
    something in a middle asset: of a buy in its quote asset. Sells spend what they are sized by.

    Exchanges that take buys by quote amount would spend all of it, but only as market orders, without a price bound:
    an unbounded order is never worth a left-over, and triarb sends none. What a second order at the limit would win is
    in `PlannedLeg.resend`.
    """
    amounts = _worst_amounts(legs)
    found = []
    with arithmetic():
        for i, (leg, after) in enumerate(pairwise(legs)):
            brought = amounts[i] * unit_received(leg.side, leg.limit_price, leg.fee.worst)
            spent = amounts[i + 1] * unit_given(after.side, after.limit_price, after.fee.worst)
            found.append(
                LeftOver(
                    leg.received_asset,
                    leg.received - after.worst_given,
                    after.worst_given - after.given,
                    brought - spent,
                )
            )
    return tuple(found)


def worst_case(legs: Sequence[PlannedLeg]) -> tuple[Decimal, ...]:
    """By leg: what it brings if every leg up to it fills at its limit price, paid for by what the one before brings.

    A leg then trades as many steps of its planned amount as are paid for, and nothing where its market does not take
    so few: there the execution ends, and what was held counts as lost.
    """
    with arithmetic():
        return tuple(
            amount * unit_received(leg.side, leg.limit_price, leg.fee.worst)
            for leg, amount in zip(legs, _worst_amounts(legs), strict=True)
        )


def _worst_amounts(legs: Sequence[PlannedLeg]) -> list[Decimal]:
    amounts = [legs[0].amount]
    with arithmetic():
        for before, leg in pairwise(legs):
            brought = amounts[-1] * unit_received(before.side, before.limit_price, before.fee.worst)
            pays = Fraction(brought) / Fraction(
                unit_given(leg.side, leg.limit_price, leg.fee.worst)
            )
            steps = Decimal(pays // Fraction(step_of(leg.market)))
            amount = min(leg.amount, steps * step_of(leg.market))
            if allowed(leg.market, leg.limit_price, amount) is not None:
                amount = ZERO
            amounts.append(amount)
    return amounts


def margin_ratio(legs: Sequence[PlannedLeg]) -> Fraction:
    """What the last unit of a size comes to: the product of the legs' rates at their limit prices, after fees."""
    product = Fraction(1)
    for leg in legs:
        product *= gross_rate(leg.side, leg.limit_price) * leg.fee.kept(leg.side)
    return product


def stranded_losses(
    rates: RateView, start: str, legs: Sequence[PlannedLeg], gap_bps: Decimal
) -> tuple[Decimal, ...]:
    """By leg but the last: the start asset lost if the cycle stops there, all earlier residues at nothing.

    What the leg brought in the worst case is turned back into `start` by the route of at most `UNWIND_LEGS` trades over
    the quotes of `rates` that brings most, every price `gap_bps` worse: in whole steps, within minimums and maximums,
    after fees. What is not sold so counts as lost. The sizes of the quotes are not asked for: the gap stands for what
    deeper levels cost.
    """
    search = RouteSearch(rates, {}, start, UNWIND_LEGS, ignore_sizes=True, gap_bps=gap_bps)
    losses = []
    for leg, brought in zip(legs[:-1], worst_case(legs), strict=False):
        back = search.find(leg.received_asset, brought)
        with arithmetic():
            losses.append(max(ZERO, legs[0].worst_given - round_down(back, _PLACES)))
    return tuple(losses)


def unwind_ratio(rates: RateView, held: str, start: str, gap_bps: Decimal) -> Fraction:
    """Units of `start` for one unit of `held` by at most two trades, each `gap_bps` worse than quoted; 0 if there is no way.

    Without steps, minimums and ticks: no route of `stranded_losses` brings more.
    """
    if held == start:
        return Fraction(1)
    with arithmetic():
        kept = Fraction(max(ZERO, ONE - gap_bps / BPS))
    best = Fraction(0)
    for symbol in rates.by_asset.get(held, ()):
        first = _trade(rates, symbol, held, kept)
        if first is None:
            continue
        received, ratio = first
        if received == start:
            best = max(best, ratio)
            continue
        for second_symbol in _joining(rates, received, start):
            second = _trade(rates, second_symbol, received, kept)
            if second is not None:
                best = max(best, ratio * second[1])
    return best


def _trade(rates: RateView, symbol: str, given: str, kept: Fraction) -> tuple[str, Fraction] | None:
    market, quote, fee = rates.markets[symbol], rates.quotes.get(symbol), rates.fees.get(symbol)
    if quote is None or fee is None:
        return None
    side = Side.SELL if market.base == given else Side.BUY
    ratio = gross_rate(side, quote.price_for(side)) * fee.worst.kept(side) * kept
    return market.received(side), ratio


def _joining(rates: RateView, one: str, other: str) -> list[str]:
    fewer = min(rates.by_asset.get(one, ()), rates.by_asset.get(other, ()), key=len)
    pair = {one, other}
    return [s for s in fewer if {rates.markets[s].base, rates.markets[s].quote} == pair]
