"""CircuitBreaker: stops after a row of bad executions, tries one after a while, and goes on when that one is good."""

import enum
from collections.abc import Iterator
from typing import Final

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND, iso
from triarb.exceptions import UsageError
from triarb.model import RECENT, Approved, Execution, Opportunity, Outcome, Portfolio, Refused
from triarb.risk.policies.freshness import orders_of, was_rejected
from triarb.risk.policy import RiskPolicy

_KINDS: Final = {
    "failures": ("did not complete", "did not complete"),
    "losses": ("lost", "lost"),
    "slow": ("was slow", "were slow"),
    "rejects": ("had an order that was not taken", "had an order that was not taken"),
    "drifts": ("brought less than its plan", "brought less than their plans"),
}
"""What is counted, and how it is told of one execution and of several."""


class BreakerState(enum.StrEnum):
    """Whether a circuit breaker lets cycles through."""

    CLOSED = "closed"
    """It does."""
    OPEN = "open"
    """It does not."""
    HALF_OPEN = "half_open"
    """It lets one through, to see how that goes."""


@attrs.frozen
class Breaker:
    """Where a circuit breaker stands.

    Attributes:
        why: the row of executions that opened it; empty where it is closed.
        opened_ns: when it last opened; None where it is closed.
        until_ns: when it lets one through; None where it is closed or waits for a person.
    """

    state: BreakerState
    why: str = ""
    opened_ns: int | None = None
    until_ns: int | None = None


@attrs.frozen(kw_only=True)
class CircuitBreaker(RiskPolicy):
    """Opens after so many executions in a row that were bad in one way, and lets nothing through; then half, then whole.

    Open, it waits `recovery_seconds` and then lets one cycle through at a time. If that one completes, without a loss and
    bad in no way that is counted, it is closed and every count begins anew; if it is bad, it is open again. One that
    traded nothing, its order taken, says nothing. Closed, a good execution ends the row that it breaks.

    It keeps nothing: where it stands follows from the last executions in the ledger and the time, so that a restart
    neither closes it nor forgets a row. A person who resumes closes it. Refuses ``risk.breaker``.

    >>> from triarb import Portfolio
    >>> CircuitBreaker(failures=5, losses=3, recovery_seconds=300).stands(Portfolio(), 0).state
    <BreakerState.CLOSED: 'closed'>

    Attributes:
        failures: how many in a row that did not complete, though they traded; each of these None is not looked at.
        losses: how many in a row that lost in their start asset.
        slow: how many in a row with a leg that took longer than `max_leg_ms`.
        rejects: how many in a row with an order that the exchange did not take, or left unproven.
        drifts: how many in a row that brought less than their plan at its limit prices, though all of it filled: fees or
            balances are not what they are taken for.
        recovery_seconds: how long it stays open; None until a person resumes.
    """

    failures: int | None = 5
    losses: int | None = 5
    slow: int | None = None
    rejects: int | None = None
    drifts: int | None = 3
    max_leg_ms: int | None = None
    recovery_seconds: int | None = 300

    def __attrs_post_init__(self) -> None:
        for name in (*_KINDS, "max_leg_ms", "recovery_seconds"):
            value = getattr(self, name)
            most = RECENT if name in _KINDS else 10**9
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most
            ):
                raise UsageError(
                    f"{name} is {value!s}", hint=f"a whole number from 1 to {most}, or None"
                )
        if (self.slow is None) is not (self.max_leg_ms is None):
            raise UsageError(
                f"slow is {self.slow}, max_leg_ms is {self.max_leg_ms}", hint="give both or none"
            )
        if all(getattr(self, name) is None for name in _KINDS):
            raise UsageError("a breaker that looks at nothing never opens", hint="give one count")

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By where it stands; half open, it lets nothing through while something runs."""
        stands = self.stands(portfolio, now_ns)
        trying = stands.state is BreakerState.HALF_OPEN and bool(portfolio.open)
        if stands.state is not BreakerState.OPEN and not trying:
            return Approved(opportunity)
        until = "a person resumes" if stands.until_ns is None else iso(stands.until_ns)
        if trying:
            until = f"execution {portfolio.open[0]} has shown how it goes"
        return Refused(
            "risk.breaker",
            f"the circuit breaker is {stands.state.replace('_', ' ')}: {stands.why}; nothing until {until}",
            {"state": str(stands.state), "why": stands.why, "until": until},
        )

    def stands(self, portfolio: Portfolio, now_ns: int) -> Breaker:
        """Where it stands at `now_ns`, by the executions since a person last resumed."""
        counts = dict.fromkeys(_KINDS, 0)
        opened_ns: int | None = None
        why = ""
        for execution in portfolio.recent:
            if execution.number <= portfolio.looked_at or execution.plan.is_sweep:
                continue
            bad = dict(self._judged(execution))
            if opened_ns is not None:
                if any(bad.values()):
                    opened_ns = execution.ended_ns
                    why = f"one tried after it {_KINDS[_first(bad)][0]}"
                elif self._tried(execution, opened_ns):
                    opened_ns, counts = None, dict.fromkeys(_KINDS, 0)
                continue
            counts.update({kind: counts[kind] + 1 if is_bad else 0 for kind, is_bad in bad.items()})
            full = {kind: count >= getattr(self, kind) for kind, count in counts.items() if count}
            if any(full.values()):
                opened_ns = execution.ended_ns
                why = f"{counts[_first(full)]} in a row {_KINDS[_first(full)][1]}"
        if opened_ns is None:
            return Breaker(BreakerState.CLOSED)
        until_ns = self._until_ns(opened_ns)
        tries = until_ns is not None and now_ns >= until_ns
        state = BreakerState.HALF_OPEN if tries else BreakerState.OPEN
        return Breaker(state, why, opened_ns, until_ns)

    def _until_ns(self, opened_ns: int) -> int | None:
        if self.recovery_seconds is None:
            return None
        return opened_ns + self.recovery_seconds * NS_PER_SECOND

    def _tried(self, execution: Execution, opened_ns: int) -> bool:
        """Whether it was let through after the wait, and completed."""
        until_ns = self._until_ns(opened_ns)
        late = until_ns is not None and execution.started_ns >= until_ns
        return late and execution.outcome is Outcome.COMPLETED and bool(execution.legs)

    def _judged(self, execution: Execution) -> Iterator[tuple[str, bool]]:
        """In which ways that are counted it was bad, and in which not; nothing of those of which it says nothing."""
        traded = execution.outcome is not Outcome.NOTHING
        orders = orders_of(execution)
        if self.failures is not None and traded:
            yield "failures", execution.outcome is not Outcome.COMPLETED
        if self.losses is not None and traded:
            yield "losses", execution.result < 0
        if self.max_leg_ms is not None and orders:
            took_ns = max(leg.done_ns - leg.sent_ns for leg in orders)
            yield "slow", took_ns > self.max_leg_ms * NS_PER_MS
        if self.rejects is not None and orders:
            yield "rejects", any(map(was_rejected, orders))
        if self.drifts is not None and execution.outcome is Outcome.COMPLETED and execution.legs:
            yield "drifts", _drifted(execution)


def _first(kinds: dict[str, bool]) -> str:
    return next(kind for kind, holds in kinds.items() if holds)


def _drifted(execution: Execution) -> bool:
    """Whether it brought less than its plan at its limit prices, though its first leg filled whole."""
    plan, first = execution.plan, execution.legs[0]
    return first.filled == plan.legs[0].amount and execution.result < plan.worst_result
