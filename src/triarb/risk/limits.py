"""RiskLimits: the usual policies, composed, in the words of a settings file."""

from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import UsageError
from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.money import Money, as_money
from triarb.risk.policies import (
    Allowed,
    Denied,
    MaxAge,
    MaxDailyLoss,
    MaxEdge,
    MaxFeeDrift,
    MaxLegs,
    MaxNotional,
    MaxSkew,
    MinEdge,
    as_fee_drift,
    as_max_edge,
    as_min_edge,
    as_names,
)
from triarb.risk.policy import AllOf, RiskPolicy


def _positive(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    number = value.amount if isinstance(value, Money) else value
    if not isinstance(number, int | Decimal) or isinstance(number, bool) or number <= 0:
        raise UsageError(
            f"{attribute.name} is {value!s}", hint="it must be above zero, and no float"
        )


@attrs.frozen(kw_only=True)
class RiskLimits(RiskPolicy):
    """The limits that nobody should trade without, and those that have a sane default.

    >>> RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT").max_notional
    Money(amount=Decimal('100'), currency='USDT')

    Attributes:
        min_edge_bps: the least net edge of a cycle.
        max_notional: the most that leg 1 may spend; cycles that start in another asset are refused.
        max_daily_loss: the most that may be lost on a UTC day, what a new cycle could lose if it is stranded included.
        max_edge_bps: a larger edge is taken for bad data.
        max_legs: the most legs.
        max_age_ms: the oldest book.
        max_skew_ms: the furthest apart that the books of one cycle may have been received.
        max_fee_drift_bps: the most that fills may be charged beyond what their plans said.
        allow: assets and symbols; empty allows all.
        deny: assets and symbols.
    """

    min_edge_bps: Decimal = attrs.field(converter=as_min_edge)
    max_notional: Money = attrs.field(converter=as_money, validator=_positive)
    max_daily_loss: Money = attrs.field(converter=as_money, validator=_positive)
    max_edge_bps: Decimal = attrs.field(
        default=Decimal(500), converter=as_max_edge, validator=_positive
    )
    max_legs: int = attrs.field(default=5, validator=_positive)
    max_age_ms: int = attrs.field(default=2_000, validator=_positive)
    max_skew_ms: int = attrs.field(default=2_000, validator=_positive)
    max_fee_drift_bps: Decimal = attrs.field(
        default=Decimal(1), converter=as_fee_drift, validator=_positive
    )
    allow: frozenset[str] = attrs.field(default=frozenset(), converter=as_names)
    deny: frozenset[str] = attrs.field(default=frozenset(), converter=as_names)

    def __attrs_post_init__(self) -> None:
        if self.min_edge_bps < 0:
            raise UsageError(
                f"min_edge_bps is {self.min_edge_bps}", hint="a cycle that loses is no opportunity"
            )
        if self.min_edge_bps > self.max_edge_bps:
            raise UsageError(
                f"min_edge_bps {self.min_edge_bps} is above max_edge_bps {self.max_edge_bps}",
                hint="nothing could pass",
            )
        if self.max_notional.currency != self.max_daily_loss.currency:
            raise UsageError(
                f"max_notional is in {self.max_notional.currency}, "
                f"max_daily_loss in {self.max_daily_loss.currency}",
                hint="a cycle starts in one asset: with both limits in it, something could pass",
            )

    def policies(self) -> AllOf:
        """The same limits as single policies, cheapest first."""
        members: list[RiskPolicy] = [
            MaxLegs(self.max_legs),
            MinEdge(self.min_edge_bps),
            MaxEdge(self.max_edge_bps),
            MaxAge(self.max_age_ms),
            MaxSkew(self.max_skew_ms),
            Denied(self.deny),
            MaxFeeDrift(self.max_fee_drift_bps),
            MaxNotional(self.max_notional),
            MaxDailyLoss(self.max_daily_loss),
        ]
        if self.allow:
            members.append(Allowed(self.allow))
        return AllOf(*members)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """What `policies` say."""
        return self.policies().review(opportunity, portfolio, now_ns)
