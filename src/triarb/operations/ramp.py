"""What holds beside the limits on production: the ramp, and that new cycles begin only while it is armed."""

from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.clock import iso
from triarb.gateways.ccxt.armed import Armed
from triarb.model import Approved, Cycle, Opportunity, Portfolio, Refused
from triarb.operations.limits import RAMP
from triarb.risk import RiskPolicy
from triarb.risk.marks import floor

MARGIN: Final = Fraction(5, 4)
"""How far above the exchange's minimums a first cycle is: what rounding, fees and slipping prices may take of it."""


@attrs.frozen
class WhileArmed(RiskPolicy):
    """No new cycle after production's arming expired. Refuses ``arming.over``."""

    armed: Armed

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the clock; also where that went back to before it was armed."""
        if self.armed.since_ns <= now_ns < self.armed.until_ns:
            return Approved(opportunity)
        until = iso(self.armed.until_ns)
        return Refused(
            "arming.over", f"production was armed until {until}: arm it again", {"until": until}
        )


@attrs.frozen
class Ramp(RiskPolicy):
    """Leg 1 spends what the exchange's minimums ask for and a quarter more, until a person raises that.

    A bound. Raised (`triarb limits set ramp_notional`), the amount holds as one of `LimitsInForce`. Refuses
    ``ramp.no_minimum`` where no market of the cycle tells a minimum.
    """

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """By the journal."""
        if RAMP in portfolio.limits:
            return Approved(opportunity)
        least = smallest(opportunity.cycle)
        if least is not None:
            return Approved(opportunity, max_amount=least)
        return Refused(
            "ramp.no_minimum",
            f"no market of {opportunity.cycle.id} tells a minimum that a first cycle could be",
            {"cycle": opportunity.cycle.id},
        )


def smallest(cycle: Cycle) -> Decimal | None:
    """What leg 1 must spend for every leg to keep its minimums, and a quarter more; None where none is told."""
    needed: list[Fraction] = []
    arrives = Fraction(1)
    for leg in cycle.legs:
        market, price = leg.market, Fraction(leg.price)
        in_quote = [Fraction(market.min_notional)] if market.min_notional else []
        if market.min_amount:
            in_quote.append(Fraction(market.min_amount) * price)
        if market.amount_step:  # a step more, that rounding down does not go below
            in_quote = [least + Fraction(market.amount_step) * price for least in in_quote]
        for least in in_quote:
            given = least if leg.given == market.quote else least / price
            needed.append(given / arrives)
        arrives *= leg.net_ratio
    return floor(max(needed) * MARGIN) if needed else None
