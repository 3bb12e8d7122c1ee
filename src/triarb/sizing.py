"""Sizer: how much of an approved opportunity to take, as an exact plan."""

from abc import abstractmethod
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import attrs

from triarb.exceptions import UsageError
from triarb.model import DEFAULT_GAP_BPS, Approved, Opportunity, Plan, Portfolio, Refused
from triarb.money import Money, arithmetic, as_gap, as_money, edge_bps, plain
from triarb.pricing import (
    Bounds,
    Priced,
    at_top,
    make_plan,
    margin_ratio,
    most_profitable_depth,
    profit_at,
)
from triarb.pricing.depth import BUDGET


class Sizer(Protocol):
    """Chooses the amounts of an approved opportunity, within its bounds and what the portfolio has free.

    A plan must expect a profit in its start asset. Sync and pure. The pipeline checks what it returns and takes a breach for a broken contract.
    `triarb.testing.check_sizer` tests an implementation.
    """

    __slots__ = ()

    @abstractmethod
    def size(self, approved: Approved, portfolio: Portfolio, /) -> Plan | Refused:
        """A plan of every leg, or why there is none."""
        ...


@attrs.frozen
class FixedSizer(Sizer):
    """Always starts with the same amount, or not at all.

    Each leg trades what that amount comes to through the whole depth of its book (`triarb.pricing.profit_at`).
    Refuses ``size.currency``, ``size.balance``, ``size.bound``, ``size.edge``, ``size.max_loss`` and what pricing
    refuses.

    Attributes:
        amount: what leg 1 spends at most.
        gap_bps: the adverse move that a stranded loss assumes; the approval's own where that is wider.
    """

    amount: Money = attrs.field(converter=as_money)
    gap_bps: Decimal = attrs.field(default=DEFAULT_GAP_BPS, converter=as_gap)

    def size(self, approved: Approved, portfolio: Portfolio, /) -> Plan | Refused:
        """A plan that spends the amount, up to one step of leg 1."""
        start = approved.opportunity.cycle.start
        if self.amount.currency != start:
            return Refused(
                "size.currency",
                f"{self.amount} cannot start a cycle of {start}",
                {"amount": str(self.amount), "start": start},
            )
        priced = profit_at(approved.opportunity, self.amount.amount)
        if isinstance(priced, Refused):
            return priced
        plan = _within(approved, priced, max(self.gap_bps, approved.gap_bps))
        if isinstance(plan, Refused):
            return plan
        rooms = {"size.balance": portfolio.free(start), "size.bound": approved.max_amount}
        for code, room in rooms.items():
            if room is not None and plan.at_stake > room:
                return Refused(
                    code,
                    f"{plain(plan.at_stake)} {start} are more than the {plain(room)} that may be spent",
                    {"at_stake": plan.at_stake, "room": room, "start": start},
                )
        return plan


def _as_budget(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"budget is {value!r}", hint="how many sizes to try: 1 or more")
    return value


@attrs.frozen
class DepthSizer(Sizer):
    """The size of most profit through the whole depth of all books jointly, within the bounds and the free balance.

    It goes on until the last units of a round trip would earn less than the floor. The plan says which constraint
    stopped it (`Plan.binding`), and how much more another size could earn at most (`Plan.gap`): nothing, unless the
    search came to the end of its budget, or the bound on losses is what stopped it.
    Refuses ``size.balance``, ``size.bound``, ``size.edge``, ``size.max_loss`` and what
    `triarb.pricing.most_profitable_depth` refuses.

    Attributes:
        gap_bps: the adverse move that a stranded loss assumes; the approval's own where that is wider.
        budget: how many sizes it tries at most.
    """

    gap_bps: Decimal = attrs.field(default=DEFAULT_GAP_BPS, converter=as_gap)
    budget: int = attrs.field(default=BUDGET, converter=_as_budget)

    def size(self, approved: Approved, portfolio: Portfolio, /) -> Plan | Refused:
        """The plan of most profit that keeps every bound."""
        opportunity = self._seen(approved.opportunity)
        gap_bps = max(self.gap_bps, approved.gap_bps)
        bounds = Bounds(
            portfolio.free(opportunity.cycle.start),
            approved.max_amount,
            approved.max_loss,
            approved.min_edge_bps,
            gap_bps,
        )
        sized = most_profitable_depth(opportunity, bounds, self.budget)
        if isinstance(sized, Refused):
            return sized
        return make_plan(opportunity, sized.legs, gap_bps, gap=sized.gap, binding=sized.binding)

    def _seen(self, opportunity: Opportunity) -> Opportunity:
        """As much of the books as it looks at."""
        return opportunity


@attrs.frozen
class TopOfBookSizer(DepthSizer):
    """The size of most profit at the tops of the books: a `DepthSizer` that sees one level a side.

    For feeds whose deeper levels are not to be trusted. It refuses what `DepthSizer` refuses.
    """

    def _seen(self, opportunity: Opportunity) -> Opportunity:
        return at_top(opportunity)


def _within(approved: Approved, priced: Priced, gap_bps: Decimal) -> Plan | Refused:
    plan = make_plan(approved.opportunity, priced.legs, gap_bps)
    margin = margin_ratio(plan.legs)
    with arithmetic():
        max_loss = plan.max_loss
    if plan.expected_result <= 0 or margin < 1 + Fraction(approved.min_edge_bps) / 10_000:
        return Refused(
            "size.edge",
            f"{plain(priced.amount)} {plan.start} would earn {plain(plan.expected_result)}, "
            f"the last of them {edge_bps(margin):.4f} bps",
            {"result": plan.expected_result, "margin_bps": edge_bps(margin)},
        )
    if approved.max_loss is not None and max_loss > approved.max_loss:
        return Refused(
            "size.max_loss",
            f"{plain(max_loss)} {plan.start} could be lost, of at most {plain(approved.max_loss)}",
            {"amount": priced.amount, "loss": max_loss, "max_loss": approved.max_loss},
        )
    return plan
