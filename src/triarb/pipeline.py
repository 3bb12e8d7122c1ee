"""The path as pure calls: nominate from rates, decide on a confirmed opportunity. No clock, no I/O."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from triarb.exceptions import PolicyViolation
from triarb.finders.finder import CycleFinder
from triarb.market.rates import RateTable
from triarb.model import Approved, Cycle, Opportunity, Plan, PlannedLeg, Portfolio, Refused
from triarb.money import arithmetic, edge_bps, plain
from triarb.pricing.legs import allowed, unit_given, unit_received
from triarb.pricing.plan import margin_ratio, stranded_losses
from triarb.risk.policy import RiskPolicy
from triarb.sizing import Sizer


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
    if isinstance(approved, Refused) or (
        isinstance(approved, Approved) and approved.opportunity is opportunity
    ):
        return approved
    raise PolicyViolation(
        f"{type(risk).__name__}.review returned {approved!r:.200}",
        hint="return Approved(opportunity, ...) of the opportunity it was given, or Refused",
    )


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
    for breach in breaches(plan, approved, portfolio):
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
        return
    for number, leg in enumerate(plan.legs, 1):
        yield from (f"leg {number}: {sentence}" for sentence in _leg_breaches(leg))
    for number, (one, other) in enumerate(pairwise(plan.legs), 2):
        if other.given > one.received:
            yield f"leg {number} spends {plain(other.given)} of {plain(one.received)} received"
    if approved.max_amount is not None and plan.at_stake > approved.max_amount:
        yield f"it stakes {plain(plan.at_stake)} {plan.start} of at most {plain(approved.max_amount)}"
    if plan.at_stake > portfolio.free(plan.start):
        yield f"it stakes {plain(plan.at_stake)} {plan.start} of {plain(portfolio.free(plan.start))} free"
    with arithmetic():
        expected = plan.legs[-1].received - plan.legs[0].given
        worst = plan.legs[-1].worst_received - plan.legs[0].worst_given
    if (plan.expected_result, plan.worst_result) != (expected, worst):
        yield "its results are not those of its legs"
    losses = stranded_losses(opportunity.rates, plan.start, plan.legs, plan.gap_bps)
    if plan.gap_bps < 0 or plan.stranded_losses != losses:
        yield "its stranded losses are not those of its legs"
    if approved.max_loss is not None and plan.max_loss > approved.max_loss:
        yield f"it may lose {plain(plan.max_loss)} {plan.start} of at most {plain(approved.max_loss)}"
    margin = margin_ratio(plan.legs)
    if margin < 1 + Fraction(approved.min_edge_bps) / 10_000:
        yield f"its edge at the margin is {edge_bps(margin):.4f} bps of at least {approved.min_edge_bps}"


def _leg_breaches(leg: PlannedLeg) -> Iterator[str]:
    refusal = allowed(leg.market, leg.limit_price, leg.amount)
    if refusal is not None:
        yield refusal.sentence
    with arithmetic():
        worst_given = leg.amount * unit_given(leg.side, leg.limit_price, leg.fee)
        worst_received = leg.amount * unit_received(leg.side, leg.limit_price, leg.fee)
    if (leg.worst_given, leg.worst_received) != (worst_given, worst_received):
        yield "its worst case is not that of its amount and limit"
    if leg.given > worst_given or leg.received < worst_received:
        yield "it expects worse than its limit allows"
