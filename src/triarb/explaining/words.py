"""What each policy says of an opportunity, one by one, also those behind a first refusal."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import PolicyViolation
from triarb.explaining.numbers import exact
from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.money import plain
from triarb.pipeline import review
from triarb.risk import AllOf, FirstRefusal, RiskLimits, RiskPolicy


@attrs.frozen
class Word:
    """One policy's answer.

    Attributes:
        policy: the name of its class.
        refused: why not; None where it approves. ``policy.violation`` where it broke its contract.
        max_amount: its bound on what leg 1 spends, if it has one.
        max_loss: its bound on the loss if stranded, if it has one.
        min_edge_bps: the least edge that it asks for at the margin.
    """

    policy: str
    refused: Refused | None
    max_amount: Decimal | None = None
    max_loss: Decimal | None = None
    min_edge_bps: Decimal = Decimal(0)

    def to_dict(self) -> dict[str, Any]:
        """As a record; numbers are exact text."""
        bounds = {name: getattr(self, name) for name in ("max_amount", "max_loss", "min_edge_bps")}
        return {
            "policy": self.policy,
            "approves": self.refused is None,
            "code": self.refused.code if self.refused else None,
            "sentence": self.refused.sentence if self.refused else None,
            **{name: None if bound is None else exact(bound) for name, bound in bounds.items()},
        }

    def __str__(self) -> str:
        if self.refused is not None:
            return f"{self.policy} refuses, {self.refused}"
        bounds = [
            *([] if self.max_amount is None else [f"at most {plain(self.max_amount)} spent"]),
            *(
                []
                if self.max_loss is None
                else [f"at most {plain(self.max_loss)} lost if stranded"]
            ),
            *(
                [f"at least {plain(self.min_edge_bps)} bps at the margin"]
                if self.min_edge_bps
                else []
            ),
        ]
        return f"{self.policy} approves" + "".join(f", {bound}" for bound in bounds)


def words(
    risk: RiskPolicy, opportunity: Opportunity, portfolio: Portfolio, now_ns: int
) -> tuple[Word, ...]:
    """What every single policy in `risk` says, in the order in which it asks them."""
    return tuple(
        _word(type(policy).__name__, ask(policy, opportunity, portfolio, now_ns))
        for policy in _singles(risk)
    )


def ask(
    risk: RiskPolicy, opportunity: Opportunity, portfolio: Portfolio, now_ns: int
) -> Approved | Refused:
    """What `risk` says; a broken contract is a refusal here, since nothing is traded."""
    try:
        return review(opportunity, risk, portfolio, now_ns)
    except PolicyViolation as violation:
        return Refused(violation.code, violation.message)


def _singles(risk: RiskPolicy) -> Iterator[RiskPolicy]:
    if isinstance(risk, RiskLimits):
        yield from _singles(risk.policies())
    elif isinstance(risk, AllOf | FirstRefusal):
        for policy in risk.policies:
            yield from _singles(policy)
    else:
        yield risk


def _word(name: str, answer: Approved | Refused) -> Word:
    if isinstance(answer, Refused):
        return Word(name, answer)
    return Word(name, None, answer.max_amount, answer.max_loss, answer.min_edge_bps)
