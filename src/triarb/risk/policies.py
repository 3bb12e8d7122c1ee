"""The single policies, each one idea with its refusal code and numbers."""

from collections.abc import Collection
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.clock import NS_PER_MS, utc_day
from triarb.exceptions import UsageError
from triarb.model import Approved, FeeCheck, Leg, Opportunity, Portfolio, Refused
from triarb.money import BPS, ZERO, Money, arithmetic, as_money, parse_bps, plain
from triarb.risk.policy import RiskPolicy


def as_min_edge(value: str | float | Decimal) -> Decimal:
    """A least edge in bps, as a person types it."""
    return parse_bps(value, "min_edge_bps")


def as_max_edge(value: str | float | Decimal) -> Decimal:
    """A largest edge in bps, as a person types it."""
    return parse_bps(value, "max_edge_bps")


def as_fee_drift(value: str | float | Decimal) -> Decimal:
    """A largest drift of fees in bps, as a person types it."""
    return parse_bps(value, "max_fee_drift_bps")


def as_names(value: Collection[str]) -> frozenset[str]:
    """Assets and symbols.

    Raises:
        UsageError: one text, which would be taken for its letters.
    """
    if isinstance(value, str):
        raise UsageError(f"{value!r} is one text, not names", hint=f"write [{value!r}]")
    return frozenset(value)


@attrs.frozen
class MinEdge(RiskPolicy):
    """The net edge must be at least `bps`, at the margin of whatever size is chosen. Refuses ``risk.min_edge``."""

    bps: Decimal = attrs.field(converter=as_min_edge)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Compares exactly, at the top of the books."""
        if _edge_bps(opportunity) < Fraction(self.bps):
            return Refused(
                "risk.min_edge",
                f"an edge of {opportunity.cycle.edge_bps:.4f} bps is below {plain(self.bps)} bps",
                {"edge_bps": opportunity.cycle.edge_bps, "min_edge_bps": self.bps},
            )
        return Approved(opportunity, min_edge_bps=self.bps)


@attrs.frozen
class MaxEdge(RiskPolicy):
    """An edge above `bps` is more likely bad data than a gift. Refuses ``risk.implausible_edge``."""

    bps: Decimal = attrs.field(converter=as_max_edge)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Compares exactly, at the top of the books."""
        if _edge_bps(opportunity) > Fraction(self.bps):
            return Refused(
                "risk.implausible_edge",
                f"an edge of {opportunity.cycle.edge_bps:.4f} bps is too good to be true",
                {"edge_bps": opportunity.cycle.edge_bps, "max_edge_bps": self.bps},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxNotional(RiskPolicy):
    """Leg 1 spends at most `limit`. Refuses ``risk.currency`` where the cycle starts in another asset."""

    limit: Money = attrs.field(converter=as_money)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """A bound, not a refusal, where the currency fits."""
        refusal = _other_currency(self.limit, opportunity)
        return refusal or Approved(opportunity, max_amount=self.limit.amount)


@attrs.frozen
class MaxLegs(RiskPolicy):
    """At most `legs` legs: each one more is one more chance to be stranded. Refuses ``risk.max_legs``."""

    legs: int

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Counts them."""
        count = len(opportunity.cycle.legs)
        if count > self.legs:
            return Refused(
                "risk.max_legs",
                f"{count} legs are more than {self.legs}",
                {"legs": count, "max_legs": self.legs},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxAge(RiskPolicy):
    """No book may be older than `ms` when it is judged. Refuses ``risk.stale``."""

    ms: int

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

    ms: int

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
class MaxDailyLoss(RiskPolicy):
    """No new cycle once `limit` is lost on a UTC day, and none that could lose more than what is left of it.

    What executions that run or are stuck may still spend counts as lost until they end.
    Refuses ``risk.daily_loss``, and ``risk.currency`` where the cycle starts in another asset.
    """

    limit: Money = attrs.field(converter=as_money)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """From the ledger's realised results and reservations, so that a restart forgets nothing."""
        refusal = _other_currency(self.limit, opportunity)
        if refusal is not None:
            return refusal
        day, currency = utc_day(now_ns), self.limit.currency
        reserved = portfolio.reserved.get(currency, ZERO)
        with arithmetic():
            lost = max(ZERO, -portfolio.realised.get((day, currency), ZERO))
            left = self.limit.amount - lost - reserved
        if left <= 0:
            return Refused(
                "risk.daily_loss",
                f"{plain(lost)} {currency} lost on {day} and {plain(reserved)} still out reach the limit of {self.limit}",
                {
                    "lost": lost,
                    "reserved": reserved,
                    "max_daily_loss": self.limit.amount,
                    "day": day,
                },
            )
        return Approved(opportunity, max_loss=left)


@attrs.frozen
class MaxFeeDrift(RiskPolicy):
    """Fills may be charged at most `bps` more than their plans said. Refuses ``risk.fee_drift`` and ``risk.fee_asset``.

    By the last execution that traded on each market of the cycle. Once the fee that is counted on now says what was
    charged, nothing is refused any more; else until a person looked and resumed (`Engine.resume`).
    """

    bps: Decimal = attrs.field(converter=as_fee_drift)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """From the ledger's fills, so that a restart forgets nothing."""
        for leg in opportunity.cycle.legs:
            check = portfolio.health.fees.get(leg.market.symbol)
            if check is not None:
                refusal = self._refusal(leg, check)
                if refusal is not None:
                    return refusal
        return Approved(opportunity)

    def _refusal(self, leg: Leg, check: FeeCheck) -> Refused | None:
        symbol, token = leg.market.symbol, leg.fee.token
        unknown = [a for a in check.last_unexpected if token is None or a != token.asset]
        if unknown:
            return Refused(
                "risk.fee_asset",
                f"{symbol} charged a fee in {' and '.join(unknown)}, which no plan counted on",
                {"symbol": symbol, "assets": ", ".join(unknown)},
            )
        charged_bps = check.last_charged_bps
        if charged_bps is None:
            return None
        with arithmetic():
            rate = token.rate if token is not None and token.counted else leg.fee.rate
            drift_bps = min(check.last_drift_bps, charged_bps - rate * BPS)
        if drift_bps <= self.bps:
            return None
        return Refused(
            "risk.fee_drift",
            f"{symbol} charged {charged_bps:.4f} bps, {drift_bps:.4f} bps more than was counted on",
            {
                "symbol": symbol,
                "charged_bps": charged_bps,
                "drift_bps": drift_bps,
                "max_fee_drift_bps": self.bps,
            },
        )


@attrs.frozen
class Allowed(RiskPolicy):
    """Every asset and market of a cycle must be named. Refuses ``risk.not_allowed``.

    `names` holds assets (``BTC``) and symbols (``ETH/BTC``): a market passes by its symbol, or by both its assets.
    """

    names: frozenset[str] = attrs.field(converter=as_names)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """By name."""
        for leg in opportunity.cycle.legs:
            market = leg.market
            if market.symbol not in self.names and not {market.base, market.quote} <= self.names:
                return Refused(
                    "risk.not_allowed", f"{market.symbol} is not allowed", {"symbol": market.symbol}
                )
        return Approved(opportunity)


@attrs.frozen
class Denied(RiskPolicy):
    """No asset and no market of a cycle may be one of `names`. Refuses ``risk.denied``."""

    names: frozenset[str] = attrs.field(converter=as_names)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """By name."""
        for leg in opportunity.cycle.legs:
            for name in (leg.market.symbol, leg.market.base, leg.market.quote):
                if name in self.names:
                    return Refused("risk.denied", f"{name} is denied", {"name": name})
        return Approved(opportunity)


def _edge_bps(opportunity: Opportunity) -> Fraction:
    return (opportunity.cycle.net_ratio - 1) * 10_000


def _other_currency(limit: Money, opportunity: Opportunity) -> Refused | None:
    if limit.currency == opportunity.cycle.start:
        return None
    return Refused(
        "risk.currency",
        f"a limit of {limit} says nothing about a cycle that starts in {opportunity.cycle.start}",
        {"limit": str(limit), "start": opportunity.cycle.start},
    )
