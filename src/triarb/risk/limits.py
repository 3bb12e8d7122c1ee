"""RiskLimits: the usual policies, composed, in the words of a settings file."""

import functools
from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import UsageError
from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.money import Money, Proxy, as_money, parse_bps
from triarb.pricing import Valuation
from triarb.risk.marks import Marks, as_proxies
from triarb.risk.policies import (
    Allowed,
    Cooldown,
    Denied,
    MaxAge,
    MaxConsecutiveLosses,
    MaxCycleLoss,
    MaxCyclesPerMinute,
    MaxDailyLoss,
    MaxDrawdown,
    MaxEdge,
    MaxExposure,
    MaxFeeDrift,
    MaxLatency,
    MaxLegs,
    MaxNotional,
    MaxPerAsset,
    MaxRejectRate,
    MaxResidue,
    MaxSkew,
    MaxSlippage,
    MinEdge,
    MinStrandedEdge,
    RemainingLossBudget,
    TradingHours,
)
from triarb.risk.policy import FirstRefusal, RiskPolicy
from triarb.risk.settings import (
    as_amounts,
    as_fee_drift,
    as_max_edge,
    as_min_edge,
    as_names,
    as_optional_money,
    as_percent,
    as_slippage,
    few,
    one_or_several,
    positive,
    whole,
)

_optional = attrs.validators.optional
_MONEY = (
    "max_notional",
    "max_daily_loss",
    "max_cycle_loss",
    "max_exposure",
    "max_residue",
    "max_drawdown",
    "min_notional",
)


_Bps = str | float | Decimal | None


def _as_stranded_edge(value: _Bps) -> Decimal | None:
    return None if value is None else parse_bps(value, "min_stranded_edge_bps")


def _as_slippage(value: _Bps) -> Decimal | None:
    return None if value is None else as_slippage(value, "max_slippage_bps")


def _as_rejects(value: _Bps) -> Decimal | None:
    return None if value is None else as_percent(value, "max_reject_percent")


def _as_budget(value: _Bps) -> Decimal | None:
    return None if value is None else as_percent(value, "loss_budget_percent")


@attrs.frozen(kw_only=True)
class RiskLimits(RiskPolicy):
    """The limits that nobody should trade without, those that have a sane default, and all others that one can set.

    >>> RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT").max_notional
    Money(amount=Decimal('100'), currency='USDT')

    Limits in money may be in any currency: with `valuation`, of whatever its declared markets can value, and with
    `proxies` of a currency that nothing trades. Without, they hold for cycles that start in their own asset only.

    Attributes:
        min_edge_bps: the least net edge of a cycle.
        max_notional: the most that leg 1 may spend.
        max_daily_loss: the most that may be lost on a UTC day, and in any 24 hours, what a new cycle could lose if it is
            stranded included.
        max_edge_bps: a larger edge is taken for bad data.
        max_legs: the most legs.
        max_age_ms: the oldest book.
        max_skew_ms: the furthest apart that the books of one cycle may have been received.
        max_fee_drift_bps: the most that fills may be charged beyond what their plans said.
        min_stranded_edge_bps: the least edge that being stranded may leave, such as -150.
        max_slippage_bps: the most that a price may be worse than the one that nominated the cycle.
        max_per_asset: the most of single assets that a cycle may hold, such as ``["2 ETH", "0.1 BTC"]``.
        max_exposure: the most that all cycles may have out at a time.
        max_residue: the most that left-overs of executions may amount to.
        max_cycle_loss: the most that one cycle may lose, wherever it is stranded.
        max_drawdown: the furthest that results may fall below their highest.
        max_consecutive_losses: so many in a row, and a person must look.
        max_cycles_per_minute: the most that may begin within a minute.
        cycle_cooldown_seconds: how long the same cycle rests after it was tried.
        market_cooldown_seconds: how long a market rests after an order went there.
        max_latency_ms: the longest that legs may take in the median of the last ten minutes.
        max_reject_percent: the most of the orders of the last ten minutes that may not be taken.
        loss_budget_percent: the most of what may still be lost today that leg 1 may spend; it then also spends at most
            `max_notional` divided by the legs.
        min_notional: less than so much is refused where `loss_budget_percent` leaves no more; it never lifts a size.
        hours: the hours of the day in which cycles may begin, UTC, such as ``["08:00-20:00"]``; empty is all day.
        allow: assets and symbols; empty allows all.
        deny: assets and symbols.
        rolling_24_hours: whether the daily loss also counts any 24 hours, beside the calendar day.
        valuation: the declared markets that limits in money are valued by.
        proxies: such as ``["USD = USDT, haircut 1 %"]``.
    """

    min_edge_bps: Decimal = attrs.field(converter=as_min_edge)
    max_notional: Money = attrs.field(converter=as_money, validator=positive)
    max_daily_loss: Money = attrs.field(converter=as_money, validator=positive)
    max_edge_bps: Decimal = attrs.field(
        default=Decimal(500), converter=as_max_edge, validator=positive
    )
    max_legs: int = attrs.field(default=5, validator=whole)
    max_age_ms: int = attrs.field(default=2_000, validator=whole)
    max_skew_ms: int = attrs.field(default=2_000, validator=whole)
    max_fee_drift_bps: Decimal = attrs.field(
        default=Decimal(1), converter=as_fee_drift, validator=positive
    )
    min_stranded_edge_bps: Decimal | None = attrs.field(default=None, converter=_as_stranded_edge)
    max_slippage_bps: Decimal | None = attrs.field(default=None, converter=_as_slippage)
    max_per_asset: tuple[Money, ...] = attrs.field(default=(), converter=as_amounts)
    max_exposure: Money | None = attrs.field(
        default=None, converter=as_optional_money, validator=_optional(positive)
    )
    max_residue: Money | None = attrs.field(
        default=None, converter=as_optional_money, validator=_optional(positive)
    )
    max_cycle_loss: Money | None = attrs.field(
        default=None, converter=as_optional_money, validator=_optional(positive)
    )
    max_drawdown: Money | None = attrs.field(
        default=None, converter=as_optional_money, validator=_optional(positive)
    )
    max_consecutive_losses: int | None = attrs.field(default=None, validator=_optional(whole))
    max_cycles_per_minute: int | None = attrs.field(default=None, validator=_optional(few))
    cycle_cooldown_seconds: int | None = attrs.field(default=None, validator=_optional(whole))
    market_cooldown_seconds: int | None = attrs.field(default=None, validator=_optional(whole))
    max_latency_ms: int | None = attrs.field(default=None, validator=_optional(whole))
    max_reject_percent: Decimal | None = attrs.field(default=None, converter=_as_rejects)
    loss_budget_percent: Decimal | None = attrs.field(
        default=None, converter=_as_budget, validator=_optional(positive)
    )
    min_notional: Money | None = attrs.field(
        default=None, converter=as_optional_money, validator=_optional(positive)
    )
    hours: tuple[str, ...] = attrs.field(default=(), converter=one_or_several)
    allow: frozenset[str] = attrs.field(default=frozenset(), converter=as_names)
    deny: frozenset[str] = attrs.field(default=frozenset(), converter=as_names)
    rolling_24_hours: bool = True
    valuation: Valuation | None = None
    proxies: tuple[Proxy, ...] = attrs.field(default=(), converter=as_proxies)

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
        if self.min_notional is not None and self.loss_budget_percent is None:
            raise UsageError(
                f"min_notional is {self.min_notional}, and no loss_budget_percent is given",
                hint="it is the least that a loss budget may leave",
            )
        self._check_currencies()
        self.policies()  # whose own checks name what is wrong, now and not at the first cycle

    def _check_currencies(self) -> None:
        marks = self.marks
        told = {name: getattr(self, name) for name in _MONEY if getattr(self, name) is not None}
        counted = {name: marks.settled(limit).currency for name, limit in told.items()}
        others = [name for name in told if counted[name] != counted["max_notional"]]
        if others and self.valuation is None:
            raise UsageError(
                f"max_notional is in {self.max_notional.currency}, "
                f"{others[0]} in {told[others[0]].currency}",
                hint="a cycle starts in one asset: give all limits in it, or a valuation",
            )

    @property
    def marks(self) -> Marks:
        """What its limits in money are valued by."""
        return Marks(self.valuation, self.proxies)

    def policies(self) -> FirstRefusal:
        """The same limits as single policies, cheapest first."""
        return self._composed

    @functools.cached_property
    def _composed(self) -> FirstRefusal:
        marks = self.marks
        members: list[RiskPolicy | None] = [
            TradingHours(self.hours) if self.hours else None,
            MaxLegs(self.max_legs),
            MinEdge(self.min_edge_bps),
            MaxEdge(self.max_edge_bps),
            MaxAge(self.max_age_ms),
            MaxSkew(self.max_skew_ms),
            Denied(self.deny),
            Allowed(self.allow) if self.allow else None,
            MaxFeeDrift(self.max_fee_drift_bps),
            _given(MaxCyclesPerMinute, self.max_cycles_per_minute),
            self._cooldown(),
            _given(MaxConsecutiveLosses, self.max_consecutive_losses),
            _given(MaxLatency, self.max_latency_ms),
            _given(MaxRejectRate, self.max_reject_percent),
            _given(MaxSlippage, self.max_slippage_bps),
            _given(MinStrandedEdge, self.min_stranded_edge_bps),
            MaxPerAsset(self.max_per_asset) if self.max_per_asset else None,
            MaxNotional(self.max_notional, marks),
            MaxDailyLoss(self.max_daily_loss, marks, self.rolling_24_hours),
            _given(MaxCycleLoss, self.max_cycle_loss, marks),
            _given(MaxExposure, self.max_exposure, marks),
            _given(MaxResidue, self.max_residue, marks),
            _given(MaxDrawdown, self.max_drawdown, marks),
            self._budget(marks),
        ]
        return FirstRefusal(*(member for member in members if member is not None))

    def _cooldown(self) -> Cooldown | None:
        cycle, market = self.cycle_cooldown_seconds, self.market_cooldown_seconds
        if cycle is None and market is None:
            return None
        return Cooldown(cycle_seconds=cycle or 0, market_seconds=market or 0)

    def _budget(self, marks: Marks) -> RemainingLossBudget | None:
        if self.loss_budget_percent is None:
            return None
        return RemainingLossBudget(
            self.max_daily_loss,
            self.max_notional,
            self.loss_budget_percent,
            self.min_notional,
            marks,
            self.rolling_24_hours,
        )

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """What `policies` say."""
        return self._composed.review(opportunity, portfolio, now_ns)


def _given(policy: Any, limit: Any, *more: Any) -> RiskPolicy | None:
    made: RiskPolicy | None = None if limit is None else policy(limit, *more)
    return made
