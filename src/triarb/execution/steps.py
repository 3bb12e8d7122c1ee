"""What next? The executor's decision as a pure function of the plan and what its legs really did."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model import LegResult, Outcome, Plan, PlannedLeg, Refused, TimeInForce
from triarb.money import ZERO, arithmetic, plain, round_down
from triarb.pricing.legs import allowed, most_amount, step_of, unit_given


@attrs.frozen
class Trade:
    """Trade `amount` base units of leg number `leg`, counted from 0."""

    leg: int
    amount: Decimal


@attrs.frozen
class Finish:
    """No further order: the execution ends so."""

    outcome: Outcome
    reason: Refused | None = None


def next_step(
    plan: Plan, results: Sequence[LegResult], held: Decimal | None = None
) -> Trade | Finish:
    """The next trade on the plan, or the end of it. Every leg in `results` is proven.

    A leg is sized from what the fills of the leg before it brought after fees, never from the plan. A leg that filled
    in part is gone on from with what it brought; what it left is a residue. A leg that was sent more than was planned,
    since the one before brought more, did all that was asked of it when it filled what was planned. Where nothing filled, or what came is below
    the next market's minimum, the execution ends there. A fill-or-kill leg trades no more than was planned, since for
    more the book may not be deep enough, and then none of it would fill.

    Args:
        plan: what is carried out.
        results: what its legs did so far, in order.
        held: what there is to spend for the next leg, where that is not just what the last order brought.
    """
    if not results:
        return Trade(0, plan.legs[0].amount)
    done = len(results)
    last = results[-1]
    if not last.filled:
        outcome = Outcome.NOTHING if done == 1 else Outcome.SHORT
        return Finish(outcome, fell_short(plan.legs[done - 1], done, last))
    if done == len(plan.legs):
        for number, (leg, result) in enumerate(zip(plan.legs, results, strict=True), 1):
            if number > 1 and result.filled < min(result.order.amount, leg.amount):
                return Finish(Outcome.SHORT, fell_short(leg, number, result))
        return Finish(Outcome.COMPLETED)
    leg = plan.legs[done]
    amount = affordable(leg, received(plan.legs[done - 1], last) if held is None else held)
    if leg.time_in_force == TimeInForce.FOK:
        amount = min(amount, leg.amount)
    refusal = allowed(leg.market, leg.limit_price, amount)
    if refusal is not None:
        return Finish(Outcome.SHORT, refusal)
    return Trade(done, amount)


def rest(leg: PlannedLeg, result: LegResult, held: Decimal) -> Decimal:
    """How much of `leg` to send once more for the `held` that is left of what it gives; 0 for nothing.

    Where the plan said that this would win something (`PlannedLeg.resend`) and the leg filled whole. Where it did not,
    its book shows no more within its limit. Sized, as any leg, from what the fills left.
    """
    if not leg.resend or result.filled != result.order.amount:
        return ZERO
    amount = affordable(leg, held)
    return ZERO if allowed(leg.market, leg.limit_price, amount) is not None else amount


def received(leg: PlannedLeg, result: LegResult) -> Decimal:
    """What a leg brought of the asset that the next one spends, fees in that asset taken off."""
    with arithmetic():
        return sum((fill.changes().get(leg.received_asset, ZERO) for fill in result.fills), ZERO)


def affordable(leg: PlannedLeg, budget: Decimal) -> Decimal:
    """The most base units, in whole steps, that `budget` pays for at the leg's limit price and that its market takes."""
    unit = Fraction(unit_given(leg.side, leg.limit_price, leg.fee.worst))
    step = step_of(leg.market)
    with arithmetic():
        amount = Decimal(Fraction(budget) / unit // Fraction(step)) * step
        most = most_amount(leg.market, leg.limit_price)
        return amount if most is None else round_down(min(amount, most), step)


def fell_short(leg: PlannedLeg, number: int, result: LegResult) -> Refused:
    """That a leg filled less than was wanted of it."""
    filled, wanted = plain(result.filled), plain(result.order.amount)
    why = f": {result.reason}" if result.reason else ""
    return Refused(
        "leg.short",
        f"leg {number} filled {filled} of {wanted} {leg.market.base} on {leg.market.symbol}{why}",
        {"leg": number, "filled": result.filled, "amount": result.order.amount},
    )
