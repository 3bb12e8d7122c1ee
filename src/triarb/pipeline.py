"""The path as pure calls: nominate from rates, decide on a confirmed opportunity. No clock, no I/O."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from triarb.exceptions import PolicyViolation
from triarb.finders.finder import CycleFinder
from triarb.market.rates import RateTable
from triarb.model import (
    Approved,
    Cycle,
    Opportunity,
    Plan,
    PlannedLeg,
    Portfolio,
    Refused,
    TimeInForce,
)
from triarb.money import BPS, ZERO, arithmetic, edge_bps, is_exact, plain
from triarb.pricing.legs import allowed, unit_given, unit_received
from triarb.pricing.plan import make_plan, margin_ratio
from triarb.risk.policy import RiskPolicy
from triarb.sizing import Sizer

BOUNDS: Final = ("max_amount", "max_loss", "min_edge_bps")
"""The bounds of an approval, by name."""


def nominate(rates: RateTable, finder: CycleFinder) -> Sequence[Cycle]:
    """The cycles that are worth reading the books of, best first."""
    return finder.find(rates)


def decide(
    opportunity: Opportunity, risk: RiskPolicy, sizer: Sizer, portfolio: Portfolio, now_ns: int
) -> Plan | Refused:
    """A plan that risk and sizing agree on, or why there is none: `review`, then `size`.

    Raises:
        PolicyViolation: a plug-in raised, or returned something that breaks its contract. No order may follow.
    """
    approved = review(opportunity, risk, portfolio, now_ns)
    return approved if isinstance(approved, Refused) else size(approved, sizer, portfolio)


def review(
    opportunity: Opportunity, risk: RiskPolicy, portfolio: Portfolio, now_ns: int
) -> Approved | Refused:
    """What `risk` says of `opportunity`.

    Raises:
        PolicyViolation: it raised, or returned neither a refusal nor an approval of this very opportunity.
    """
    approved = _call("risk.review", risk.review, opportunity, portfolio, now_ns)
    if isinstance(approved, Refused):
        return approved
    if not isinstance(approved, Approved) or approved.opportunity is not opportunity:
        raise PolicyViolation(
            f"{type(risk).__name__}.review returned {approved!r:.200}",
            hint="return Approved(opportunity, ...) of the opportunity it was given, or Refused",
        )
    for name in BOUNDS:
        bound = getattr(approved, name)
        missing = bound is None and name != "min_edge_bps"
        if not missing and not is_exact(bound):
            raise PolicyViolation(
                f"{type(risk).__name__}.review returned {name} as {bound!r:.200}",
                hint="a bound is a finite Decimal, and never a float",
            )
    if not is_exact(approved.gap_bps):
        raise PolicyViolation(
            f"{type(risk).__name__}.review returned gap_bps as {approved.gap_bps!r:.200}"
        )
    return approved


def size(approved: Approved, sizer: Sizer, portfolio: Portfolio) -> Plan | Refused:
    """What `sizer` makes of `approved`, checked against the bounds, the balances and the opportunity itself.

    Raises:
        PolicyViolation: it raised, or returned neither a refusal nor a plan that keeps all of these.
    """
    plan = _call("sizer.size", sizer.size, approved, portfolio)
    if isinstance(plan, Refused):
        return plan
    if not isinstance(plan, Plan):
        raise PolicyViolation(
            f"{type(sizer).__name__}.size returned {plan!r:.200}",
            hint="return a Plan (triarb.pricing.make_plan) or Refused",
        )
    breach = _call("the check of a plan", lambda: next(breaches(plan, approved, portfolio), None))
    if breach is not None:
        raise PolicyViolation(f"{type(sizer).__name__}.size: {breach}")
    return plan


def _call(name: str, plug_in: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return plug_in(*arguments)
    except PolicyViolation:
        raise
    except Exception as error:
        raise PolicyViolation(
            f"{name} raised {type(error).__name__}: {error}",
            hint="a check that fails lets nothing pass",
        ) from error


def breaches(plan: Plan, approved: Approved, portfolio: Portfolio) -> Iterator[str]:
    """What `plan` breaks: sentences, none where it keeps the opportunity, the markets, the bounds and the balance."""
    opportunity = approved.opportunity
    wanted = [(leg.market, leg.side, leg.fee) for leg in opportunity.cycle.legs]
    if (plan.cycle_id, plan.start) != (opportunity.cycle.id, opportunity.cycle.start):
        yield f"a plan of {plan.cycle_id} from {plan.start} for another opportunity"
    if [(leg.market, leg.side, leg.fee) for leg in plan.legs] != wanted:
        yield "its legs are not those of the opportunity"
    elif not all(is_exact(number) for number in _numbers(plan)):
        yield "it holds a number that is no finite Decimal"
    else:
        yield from _false_numbers(plan, opportunity)
        yield from _broken_bounds(plan, approved, portfolio)


def _false_numbers(plan: Plan, opportunity: Opportunity) -> Iterator[str]:
    for number, planned in enumerate(plan.legs, 1):
        if planned.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK):
            yield f"leg {number} is {planned.time_in_force!r:.40}: an order that rests is out of hand"
    shown = zip(plan.legs, opportunity.cycle.legs, strict=True)
    for number, (planned, leg) in enumerate(shown, 1):
        yield from (f"leg {number}: {fault}" for fault in _leg_breaches(planned, leg.price))
    for number, (one, other) in enumerate(pairwise(plan.legs), 2):
        if other.given > one.received:
            yield f"leg {number} spends {plain(other.given)} of {plain(one.received)} received"
    own = make_plan(opportunity, plan.legs, plan.gap_bps)
    for number, (planned, known) in enumerate(zip(plan.legs, own.legs, strict=True), 1):
        if planned.resend not in (ZERO, known.resend) or planned.resend_gain > known.resend_gain:
            yield f"leg {number} re-sends what its left-over does not pay for or win"
    if (plan.expected_result, plan.worst_result) != (own.expected_result, own.worst_result):
        yield "its results are not those of its legs"
    if not 0 <= plan.gap_bps <= BPS or plan.stranded_losses != own.stranded_losses:
        yield "its stranded losses are not those of its legs"


def _broken_bounds(plan: Plan, approved: Approved, portfolio: Portfolio) -> Iterator[str]:
    with arithmetic():
        free, max_loss = portfolio.free(plan.start), plan.max_loss
    if approved.max_amount is not None and plan.at_stake > approved.max_amount:
        yield f"it stakes {plain(plan.at_stake)} {plan.start} of at most {plain(approved.max_amount)}"
    if plan.at_stake > free:
        yield f"it stakes {plain(plan.at_stake)} {plan.start} of {plain(free)} free"
    if approved.max_loss is not None and max_loss > approved.max_loss:
        yield f"it may lose {plain(max_loss)} {plan.start} of at most {plain(approved.max_loss)}"
    if plan.gap_bps < approved.gap_bps:
        yield f"it assumes an adverse move of {plain(plan.gap_bps)} bps, less than {plain(approved.gap_bps)}"
    margin = margin_ratio(plan.legs)
    if margin < 1 + Fraction(approved.min_edge_bps) / 10_000:
        yield f"its edge at the margin is {edge_bps(margin):.4f} bps of at least {approved.min_edge_bps}"
    if plan.expected_result <= 0:
        yield f"it expects {plain(plan.expected_result)} {plan.start}, no profit"


def _numbers(plan: Plan) -> Iterator[Any]:
    yield from (plan.expected_result, plan.worst_result, plan.gap_bps, *plan.stranded_losses)
    yield ZERO if plan.gap is None else plan.gap
    for leg in plan.legs:
        yield from (leg.amount, leg.limit_price, leg.given, leg.received)
        yield from (leg.worst_given, leg.worst_received, leg.resend, leg.resend_gain)


def _leg_breaches(leg: PlannedLeg, top_price: Decimal) -> Iterator[str]:
    refusal = allowed(leg.market, leg.limit_price, leg.amount)
    if refusal is not None:
        yield refusal.sentence
    with arithmetic():
        fees = (leg.fee.worst, leg.fee)  # at the limit as if a fee token ran out
        given, received = (
            [
                leg.amount * unit(leg.side, price, fee)
                for price, fee in zip((leg.limit_price, top_price), fees, strict=True)
            ]
            for unit in (unit_given, unit_received)
        )
    if (leg.worst_given, leg.worst_received) != (given[0], received[0]):
        yield "its worst case is not that of its amount and limit"
    if leg.given > given[0] or leg.received < received[0]:
        yield "it expects worse than its limit allows"
    if leg.given < min(given) or leg.received > max(received):
        yield "it expects better than its book shows"
