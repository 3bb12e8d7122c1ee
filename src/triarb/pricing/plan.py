"""The three numbers of a plan: its result at its limits, its loss if it is stranded, and what is at stake."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from triarb.model import Opportunity, Plan, PlannedLeg, RateView, Side, gross_rate
from triarb.money import BPS, ONE, ZERO, arithmetic, to_decimal
from triarb.pricing.legs import allowed, step_of, unit_given, unit_received

DEFAULT_GAP_BPS: Final = Decimal(100)
"""How much worse than quoted a stranded asset is assumed to be turned back."""


def make_plan(
    opportunity: Opportunity,
    legs: Sequence[PlannedLeg],
    gap_bps: Decimal = DEFAULT_GAP_BPS,
    *,
    gap: Decimal | None = None,
    binding: str = "",
) -> Plan:
    """`legs` with their three numbers, for whoever chose the sizes.

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
            tuple(legs),
            expected_result=legs[-1].received - legs[0].given,
            worst_result=worst_case(legs)[-1] - legs[0].worst_given,
            stranded_losses=stranded_losses(opportunity.rates, start, legs, gap_bps),
            gap_bps=gap_bps,
            decided_ns=opportunity.confirmed_ns,
            gap=gap,
            binding=binding,
        )


def worst_case(legs: Sequence[PlannedLeg]) -> tuple[Decimal, ...]:
    """By leg: what it brings if every leg up to it fills at its limit price, paid for by what the one before brings.

    A leg then trades as many steps of its planned amount as are paid for, and nothing where its market does not take
    so few: there the execution ends, and what was held counts as lost.
    """
    brought = [legs[0].worst_received]
    with arithmetic():
        for leg in legs[1:]:
            pays = Fraction(brought[-1]) / Fraction(unit_given(leg.side, leg.limit_price, leg.fee))
            steps = Decimal(pays // Fraction(step_of(leg.market)))
            amount = min(leg.amount, steps * step_of(leg.market))
            if allowed(leg.market, leg.limit_price, amount) is not None:
                amount = ZERO
            brought.append(amount * unit_received(leg.side, leg.limit_price, leg.fee))
    return tuple(brought)


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

    What the leg brought in the worst case is turned back into `start` at the quotes of `rates`, each conversion
    `gap_bps` worse and after its fee, by the better of one trade and two. An asset with no such way back is lost whole.
    """
    losses = []
    for leg, brought in zip(legs[:-1], worst_case(legs), strict=False):
        back = unwind_ratio(rates, leg.received_asset, start, gap_bps)
        with arithmetic():
            held = to_decimal(back * Fraction(brought))
            losses.append(max(ZERO, legs[0].worst_given - held))
    return tuple(losses)


def unwind_ratio(rates: RateView, held: str, start: str, gap_bps: Decimal) -> Fraction:
    """Units of `start` for one unit of `held` by at most two trades, each `gap_bps` worse than quoted; 0 if there is no way."""
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
    ratio = gross_rate(side, quote.price_for(side)) * fee.kept(side) * kept
    return market.received(side), ratio


def _joining(rates: RateView, one: str, other: str) -> list[str]:
    fewer = min(rates.by_asset.get(one, ()), rates.by_asset.get(other, ()), key=len)
    pair = {one, other}
    return [s for s in fewer if {rates.markets[s].base, rates.markets[s].quote} == pair]
