"""One leg, exactly: what amount fills at which prices, what it spends, what it brings, and which amounts are allowed."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.model import Fee, Leg, Level, Market, PlannedLeg, Refused, Side, TimeInForce
from triarb.money import ONE, ZERO, arithmetic, plain, round_down, round_up

FINEST_STEP: Final = Decimal("1e-8")
"""The amount step of a market that tells none: the finest that spot exchanges use."""


def step_of(market: Market) -> Decimal:
    """The step that amounts of `market` are counted in."""
    return market.amount_step or FINEST_STEP


def least_amount(market: Market, price: Decimal) -> Decimal:
    """The smallest amount that `market` takes at `price`: one step, its minimum amount and its minimum notional."""
    with arithmetic():
        step = step_of(market)
        least = max(step, market.min_amount or step)
        if market.min_notional:
            by_notional = Fraction(market.min_notional) / Fraction(price) / Fraction(step)
            least = max(least, Decimal(-(-by_notional.numerator // by_notional.denominator)) * step)
        return round_up(least, step)


def most_amount(market: Market, price: Decimal) -> Decimal | None:
    """The largest amount that `market` takes at `price`; None where it tells no maximum."""
    with arithmetic():
        step = step_of(market)
        bounds = [] if market.max_amount is None else [market.max_amount]
        if market.max_notional is not None:
            by_notional = Fraction(market.max_notional) / Fraction(price) / Fraction(step)
            bounds.append(Decimal(by_notional.numerator // by_notional.denominator) * step)
        return round_down(min(bounds), step) if bounds else None


def unit_given(side: Side, price: Decimal, fee: Fee) -> Decimal:
    """What trading one base unit at `price` spends, a fee on top included."""
    with arithmetic():
        gross = price if side == Side.BUY else ONE
        return gross * (ONE + fee.rate) if fee.on_given(side) else gross


def unit_received(side: Side, price: Decimal, fee: Fee) -> Decimal:
    """What trading one base unit at `price` brings, a fee from it taken off."""
    with arithmetic():
        gross = ONE if side == Side.BUY else price
        return gross if fee.on_given(side) else gross * (ONE - fee.rate)


@attrs.frozen
class _Taken:
    """What an amount takes of a side of a book."""

    given: Decimal
    received: Decimal
    worst_price: Decimal


def take(leg: Leg, levels: Sequence[Level], amount: Decimal) -> _Taken | None:
    """Fill `amount` through `levels`, best first; None where they hold less."""
    with arithmetic():
        left, given, received = amount, ZERO, ZERO
        for level in levels:
            part = min(left, level.amount)
            given += part * unit_given(leg.side, level.price, leg.fee)
            received += part * unit_received(leg.side, level.price, leg.fee)
            left -= part
            if not left:
                return _Taken(given, received, level.price)
    return None


def affordable(leg: Leg, levels: Sequence[Level], budget: Decimal) -> Decimal | None:
    """The largest amount, a multiple of the step, whose order `budget` of the given asset pays for at its limit price.

    Its limit is the worst price that it needs of `levels`: what an exchange locks for it, and what it may spend.
    None where `budget` pays for more than they hold.
    """
    step = Fraction(step_of(leg.market))
    held = Fraction(0)  # by the levels before
    for level in levels:
        pays = Fraction(budget) / Fraction(unit_given(leg.side, level.price, leg.fee.worst))
        if pays <= held + Fraction(level.amount):
            with arithmetic():
                return Decimal(max(held, pays) // step) * step_of(leg.market)
        held += Fraction(level.amount)
    return None


def planned(
    leg: Leg,
    levels: Sequence[Level],
    amount: Decimal,
    time_in_force: TimeInForce = TimeInForce.IOC,
) -> PlannedLeg | Refused:
    """`amount` of `leg` through `levels` as a planned leg; its limit is the worst price that it needs.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    taken = take(leg, levels, amount)
    if taken is None:
        return Refused(
            "cycle.no_depth",
            f"{leg.market.symbol} does not show {plain(amount)} {leg.market.base}",
            {"symbol": leg.market.symbol, "amount": amount},
        )
    refusal = allowed(leg.market, taken.worst_price, amount)
    if refusal is not None:
        return refusal
    with arithmetic():
        return PlannedLeg(
            leg.market,
            leg.side,
            amount,
            taken.worst_price,
            leg.fee,
            given=taken.given,
            received=taken.received,
            worst_given=amount * unit_given(leg.side, taken.worst_price, leg.fee.worst),
            worst_received=amount * unit_received(leg.side, taken.worst_price, leg.fee.worst),
            time_in_force=time_in_force,
        )


def allowed(market: Market, price: Decimal, amount: Decimal) -> Refused | None:
    """Why `market` would not take an order of `amount` at `price`; None where it would.

    Refused: ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``, ``cycle.off_step``.
    """
    least, most = least_amount(market, price), most_amount(market, price)
    numbers = {"symbol": market.symbol, "amount": amount, "price": price}
    if amount < least:
        return Refused(
            "cycle.below_minimum",
            f"{market.symbol} takes at least {plain(least)} {market.base}, not {plain(amount)}",
            {**numbers, "least": least},
        )
    if most is not None and amount > most:
        return Refused(
            "cycle.above_maximum",
            f"{market.symbol} takes at most {plain(most)} {market.base}, not {plain(amount)}",
            {**numbers, "most": most},
        )
    if round_down(amount, step_of(market)) != amount:
        return Refused(
            "cycle.off_step",
            f"{plain(amount)} is not a multiple of {market.symbol}'s step",
            {**numbers, "step": step_of(market)},
        )
    return off_tick(market, price)


def off_tick(market: Market, price: Decimal) -> Refused | None:
    """Why no order of `market` can have `price`; None where one can."""
    outside = (market.min_price is not None and price < market.min_price) or (
        market.max_price is not None and price > market.max_price
    )
    if not outside and round_down(price, market.price_tick) == price:
        return None
    return Refused(
        "market.off_tick",
        f"{market.symbol} shows {plain(price)}, which is no price of its own ticks and range",
        {"symbol": market.symbol, "price": price},
    )
