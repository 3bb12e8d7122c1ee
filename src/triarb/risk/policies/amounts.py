"""Policies over how much: of one cycle, of one asset, of all that is out, and of what failures left."""

from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.money import Money, arithmetic, as_money, plain
from triarb.risk.marks import Held, Marks, floor
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_amounts


@attrs.frozen
class MaxNotional(RiskPolicy):
    """Leg 1 spends at most `limit`: a bound.

    Refuses ``risk.currency`` where the cycle starts in another asset and nothing is declared to value it by, and
    ``risk.unvalued`` where that does not hold now.
    """

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """A bound, not a refusal, where the limit can be held in the start asset."""
        held = self.marks.hold(self.limit, opportunity, now_ns)
        bound = held.bound(held.amount)
        return bound if isinstance(bound, Refused) else Approved(opportunity, max_amount=bound)


@attrs.frozen
class MaxPerAsset(RiskPolicy):
    """At most so much of an asset may be held in the middle of a cycle, such as ``["2 ETH", "0.1 BTC"]``: a bound.

    Each amount is in the asset that it limits, so that nothing has to be valued; assets without one are not limited.
    Counted is the most that can arrive: at the best prices of the books, before rounding.
    """

    limits: tuple[Money, ...] = attrs.field(converter=as_amounts)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """The bound on leg 1 that keeps every one of them."""
        limits = {limit.currency: Fraction(limit.amount) for limit in self.limits}
        bounds, arrives = [], Fraction(1)
        for leg in opportunity.cycle.legs:
            if leg.given in limits:
                bounds.append(floor(limits[leg.given] / arrives))
            arrives *= leg.net_ratio
        return Approved(opportunity, max_amount=min(bounds, default=None))


@attrs.frozen
class MaxExposure(RiskPolicy):
    """All that cycles have out at a time, a new one included, is at most `limit`.

    What running and stuck executions may still spend is out until they end. Refuses ``risk.exposure``, and as
    `MaxNotional`.
    """

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Bounds a new cycle by what is left."""
        held = self.marks.hold(self.limit, opportunity, now_ns)
        left = self.left(held, portfolio, now_ns)
        bound = left if isinstance(left, Refused) else held.bound(left)
        return bound if isinstance(bound, Refused) else Approved(opportunity, max_amount=bound)

    def left(self, held: Held, portfolio: Portfolio, _now_ns: int) -> Decimal | Refused:
        """What a new cycle may have out, in what `held`, this limit, is counted in; above zero. Else why nothing may."""
        out = held.cost(portfolio.reserved)
        if isinstance(out, Refused):
            return out
        with arithmetic():
            left = held.amount - out
        if left > 0:
            return left
        return Refused(
            "risk.exposure",
            f"{plain(out)} {held.currency} are out and reach the limit of {held.shown}",
            {"out": out, "max_exposure": held.amount, "limit": held.shown},
        )


@attrs.frozen
class MaxResidue(RiskPolicy):
    """No new cycle while what executions left in middle assets, or owe there, would cost more than `limit`.

    Refuses ``risk.residue``, and as `MaxNotional`: also one residue that cannot be valued.
    """

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Each at what it takes to buy it, which is never less than what selling it brings."""
        left = self.left(self.marks.hold(self.limit, opportunity, now_ns), portfolio, now_ns)
        return left if isinstance(left, Refused) else Approved(opportunity)

    def left(self, held: Held, portfolio: Portfolio, _now_ns: int) -> Decimal | Refused:
        """What may still be left over, in what `held`, this limit, is counted in. Else why nothing may."""
        residue = held.cost(portfolio.residues)
        if isinstance(residue, Refused):
            return residue
        if residue <= held.amount:
            with arithmetic():
                return held.amount - residue
        return Refused(
            "risk.residue",
            f"residues of {plain(residue)} {held.currency} are above the limit of {held.shown}",
            {"residue": residue, "max_residue": held.amount, "limit": held.shown},
        )
