"""Re-sending the rest: what a second order for the money that a leg left unspent is expected to win.

A leg that fills at better prices than its limit leaves over what its order locked and did not spend
(`triarb.pricing.left_over`). At its limit price that may pay for further steps, if the book shows more of them and they
are no less than the market's minimum. It puts nothing new at stake: the money was spent by leg 1, and what is left over
counts nothing.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model import OrderBook, PlannedLeg, Side, TimeInForce
from triarb.money import ZERO, arithmetic
from triarb.pricing.legs import allowed, most_amount, step_of, unit_given, unit_received


def with_resends(
    legs: Sequence[PlannedLeg], books: Mapping[str, OrderBook]
) -> tuple[PlannedLeg, ...]:
    """`legs`, each with what a second order of it would trade and win on unchanged `books`; nothing without them.

    Leg 1 has no second order: what it leaves is the start asset itself.
    """
    if any(leg.market.symbol not in books for leg in legs):
        return tuple(attrs.evolve(leg, resend=ZERO, resend_gain=ZERO) for leg in legs)
    with arithmetic():
        once, _ = _brought(legs, books, 0)
        found = [attrs.evolve(legs[0], resend=ZERO, resend_gain=ZERO)]
        for number, leg in enumerate(legs[1:], 1):
            twice, amount = _brought(legs, books, number)
            gain = twice - once
            told = (amount, gain) if gain > 0 else (ZERO, ZERO)
            found.append(attrs.evolve(leg, resend=told[0], resend_gain=told[1]))
    return tuple(found)


def _brought(
    legs: Sequence[PlannedLeg], books: Mapping[str, OrderBook], twice: int
) -> tuple[Decimal, Decimal]:
    """What the last leg brings if leg number `twice` is sent a second time, and what that second order trades.

    Every leg is sized as the executor does it: from what the one before it brought.
    """
    second, arrived = ZERO, legs[0].received
    for number, leg in enumerate(legs[1:], 1):
        amount = _affordable(leg, arrived)
        if leg.time_in_force == TimeInForce.FOK:
            amount = min(amount, leg.amount)
        spent, brought, left = _filled(leg, books, amount, ZERO)
        if number == twice:
            second = min(_affordable(leg, arrived - spent), left)
            second -= second % step_of(leg.market)
            if allowed(leg.market, leg.limit_price, second) is not None:
                second = ZERO
            brought += _filled(leg, books, second, amount)[1]
        arrived = brought
    return arrived, second


def _affordable(leg: PlannedLeg, budget: Decimal) -> Decimal:
    """The largest order that `budget` pays for at the limit price and that the market takes; 0 where it takes none."""
    unit = Fraction(unit_given(leg.side, leg.limit_price, leg.fee.worst))
    step = step_of(leg.market)
    amount = Decimal(Fraction(budget) / unit // Fraction(step)) * step
    most = most_amount(leg.market, leg.limit_price)
    amount = amount if most is None else min(amount, most)
    return amount if allowed(leg.market, leg.limit_price, amount) is None else ZERO


def _filled(
    leg: PlannedLeg, books: Mapping[str, OrderBook], amount: Decimal, before: Decimal
) -> tuple[Decimal, Decimal, Decimal]:
    """What `amount` spends and brings, down to the limit price, once `before` is gone from the book; what is then left."""
    spent = brought = rest = ZERO
    for level in books[leg.market.symbol].against(leg.side):
        beyond = (
            level.price > leg.limit_price if leg.side == Side.BUY else level.price < leg.limit_price
        )
        if beyond:
            break
        gone = min(before, level.amount)
        part = min(amount, level.amount - gone)
        spent += part * unit_given(leg.side, level.price, leg.fee)
        brought += part * unit_received(leg.side, level.price, leg.fee)
        before, amount, rest = before - gone, amount - part, rest + level.amount - gone - part
    return spent, brought, rest
