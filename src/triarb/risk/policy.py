"""RiskPolicy: whether an opportunity may be taken, and within which bounds.

There is no default policy: nothing trades that its owner did not allow.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from triarb.exceptions import PolicyViolation, UsageError
from triarb.model import DEFAULT_GAP_BPS, Approved, Opportunity, Portfolio, Refused


class RiskPolicy(Protocol):
    """Judges an opportunity against what is held and what happened so far.

    Called after an opportunity is confirmed and before it is sized. It must not keep state that orders depend on: the
    portfolio is its memory, and survives restarts. It sees frozen values only. An exception stops the engine, and no
    order is sent. `triarb.testing.check_risk_policy` tests an implementation.

    >>> from triarb import Approved, Refused
    >>> class OnlyTriangles:
    ...     def review(self, opportunity, portfolio, now_ns):
    ...         if len(opportunity.cycle.legs) != 3:
    ...             return Refused("mine.legs", "only triangles")
    ...         return Approved(opportunity)
    """

    __slots__ = ()

    @abstractmethod
    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """`opportunity` with bounds, or why not. Approve the opportunity that was given, unchanged."""
        ...


class AllOf(RiskPolicy):
    """Approves what every policy approves, within the intersection of their bounds.

    Every one is asked; a refusal is the first one's own, and names the codes of the others that refuse. One more policy
    can only tighten it.

    Raises:
        UsageError: there is no policy to approve anything.
    """

    __slots__ = ("policies",)

    def __init__(self, *policies: RiskPolicy) -> None:
        self.policies = _some(policies)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """The intersection of all approvals, or the first refusal.

        Raises:
            PolicyViolation: one approved another opportunity, or neither approved nor refused.
        """
        answers = [_ask(policy, opportunity, portfolio, now_ns) for policy in self.policies]
        refusals = [answer for answer in answers if isinstance(answer, Refused)]
        if not refusals:
            return _within_all(opportunity, [a for a in answers if isinstance(a, Approved)])
        first, *others = refusals
        if not others:
            return first
        also = ", ".join(dict.fromkeys(other.code for other in others))
        return Refused(
            first.code, f"{first.sentence} (also {also})", {**first.numbers, "also": also}
        )


class FirstRefusal(RiskPolicy):
    """As `AllOf`, but those after the first that refuses are not asked: put the cheapest first.

    Raises:
        UsageError: there is no policy to approve anything.
    """

    __slots__ = ("policies",)

    def __init__(self, *policies: RiskPolicy) -> None:
        self.policies = _some(policies)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """The first refusal, or the intersection of all approvals.

        Raises:
            PolicyViolation: one approved another opportunity, or neither approved nor refused.
        """
        approvals = []
        for policy in self.policies:
            answer = _ask(policy, opportunity, portfolio, now_ns)
            if isinstance(answer, Refused):
                return answer
            approvals.append(answer)
        return _within_all(opportunity, approvals)


def _some(policies: tuple[RiskPolicy, ...]) -> tuple[RiskPolicy, ...]:
    if not policies:
        raise UsageError("no policy at all would approve everything", hint="name at least one")
    return policies


def _ask(
    policy: RiskPolicy, opportunity: Opportunity, portfolio: Portfolio, now_ns: int
) -> Approved | Refused:
    answer: object = policy.review(opportunity, portfolio, now_ns)
    if not isinstance(answer, Approved | Refused):
        raise PolicyViolation(f"{type(policy).__name__}.review answered {answer!r}")
    if isinstance(answer, Approved) and answer.opportunity is not opportunity:
        raise PolicyViolation(f"{type(policy).__name__}.review approved another opportunity")
    return answer


def _within_all(opportunity: Opportunity, approvals: Sequence[Approved]) -> Approved:
    return Approved(
        opportunity,
        _least(a.max_amount for a in approvals),
        _least(a.max_loss for a in approvals),
        max((a.min_edge_bps for a in approvals), default=Decimal(0)),
        max((a.gap_bps for a in approvals), default=DEFAULT_GAP_BPS),
    )


def _least(bounds: Iterable[Decimal | None]) -> Decimal | None:
    return min((bound for bound in bounds if bound is not None), default=None)
