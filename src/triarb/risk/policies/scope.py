"""Policies over what is traded: how many legs, which assets and markets."""

import attrs

from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_names, whole


@attrs.frozen
class MaxLegs(RiskPolicy):
    """At most `legs` legs: each one more is one more chance to be stranded. Refuses ``risk.max_legs``."""

    legs: int = attrs.field(validator=whole)

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
