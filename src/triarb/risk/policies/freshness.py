"""Policies over time and service: how old books are, how slow legs are, how many orders are rejected."""

import statistics
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.model import (
    Approved,
    Execution,
    LegResult,
    Opportunity,
    OrderOutcome,
    Portfolio,
    Refused,
)
from triarb.money import plain
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_percent, whole


@attrs.frozen
class MaxAge(RiskPolicy):
    """No book may be older than `ms` when it is judged. Refuses ``risk.stale``."""

    ms: int = attrs.field(validator=whole)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the time we received the books. One from the future is as bad as an old one."""
        received = [book.received_ns for book in opportunity.books.values()]
        age_ms, lead_ms = ((now_ns - ns) / NS_PER_MS for ns in (min(received), max(received)))
        if lead_ms < 0:
            return Refused(
                "risk.stale",
                f"a book of it is from {-lead_ms:.0f} ms in the future",
                {"age_ms": lead_ms, "max_age_ms": self.ms},
            )
        if now_ns - min(received) > self.ms * NS_PER_MS:
            return Refused(
                "risk.stale",
                f"its books are up to {age_ms:.0f} ms old",
                {"age_ms": age_ms, "max_age_ms": self.ms},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxSkew(RiskPolicy):
    """Its books must have been received within `ms` of each other. Refuses ``risk.skew``."""

    ms: int = attrs.field(validator=whole)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """By the time we received the books."""
        if opportunity.skew_ns > self.ms * NS_PER_MS:
            return Refused(
                "risk.skew",
                f"its books are {opportunity.skew_ns / NS_PER_MS:.0f} ms apart",
                {"skew_ms": opportunity.skew_ns / NS_PER_MS, "max_skew_ms": self.ms},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxLatency(RiskPolicy):
    """No new cycle while legs take longer than `ms` in the median, from being sent to being proven. Refuses ``risk.latency``.

    Attributes:
        minutes: how long an execution counts: what was slow longer ago says nothing of now.
    """

    ms: int = attrs.field(validator=whole)
    minutes: int = attrs.field(default=10, validator=whole)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Over the legs of the last executions that the ledger tells of."""
        took_ns = [leg.done_ns - leg.sent_ns for leg in _legs(portfolio, self.minutes, now_ns)]
        if took_ns and statistics.median(took_ns) > self.ms * NS_PER_MS:
            latency_ms = statistics.median(took_ns) / NS_PER_MS
            return Refused(
                "risk.latency",
                f"legs took {latency_ms:.0f} ms of late, more than {self.ms} ms",
                {"latency_ms": latency_ms, "max_latency_ms": self.ms, "legs": len(took_ns)},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxRejectRate(RiskPolicy):
    """No new cycle while more than `percent` of the orders are not taken. Refuses ``risk.reject_rate``.

    Attributes:
        orders: fewer than so many say nothing.
        minutes: how long an execution counts.
    """

    percent: Decimal = attrs.field(converter=as_percent)
    orders: int = attrs.field(default=5, validator=whole)
    minutes: int = attrs.field(default=10, validator=whole)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Over the orders of the last executions that the ledger tells of."""
        legs = list(_legs(portfolio, self.minutes, now_ns))
        rejected = sum(map(was_rejected, legs))
        if len(legs) >= self.orders and Fraction(100 * rejected) > Fraction(self.percent) * len(
            legs
        ):
            return Refused(
                "risk.reject_rate",
                f"{rejected} of {len(legs)} orders were not taken of late, more than {plain(self.percent)} %",
                {"rejected": rejected, "orders": len(legs), "max_reject_percent": self.percent},
            )
        return Approved(opportunity)


def was_rejected(leg: LegResult) -> bool:
    """Whether the exchange did not take the order, or left unproven whether it did."""
    if leg.outcome is not None:
        return leg.outcome in (OrderOutcome.REJECTED, OrderOutcome.NEVER)
    return bool(leg.reason) and not leg.fills


def orders_of(execution: Execution) -> tuple[LegResult, ...]:
    """All that it sent: its plan's legs, and what it sent beyond them."""
    return (*execution.legs, *execution.further)


def _legs(portfolio: Portfolio, minutes: int, now_ns: int) -> Iterator[LegResult]:
    since_ns = now_ns - minutes * 60 * NS_PER_SECOND
    recent: list[Execution] = [e for e in portfolio.recent if e.ended_ns > since_ns]
    for execution in recent:
        yield from orders_of(execution)
