"""Policies over what may be lost: in one cycle, in a day, since the best that results ever were, and in a row."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.clock import NS_PER_SECOND, utc_day
from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.money import ZERO, Money, arithmetic, as_money, plain
from triarb.risk.marks import Held, Marks, floor
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_optional_money, as_percent, positive, whole

DAY_NS = 86_400 * NS_PER_SECOND


@attrs.frozen
class MaxCycleLoss(RiskPolicy):
    """One cycle may lose at most `limit`, wherever it is stranded: a bound. Refuses as `MaxNotional`."""

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """A bound, not a refusal, where the limit can be held in the start asset."""
        held = self.marks.hold(self.limit, opportunity, now_ns)
        bound = held.bound(held.amount)
        return bound if isinstance(bound, Refused) else Approved(opportunity, max_loss=bound)


@attrs.frozen
class MaxDailyLoss(RiskPolicy):
    """No new cycle once `limit` is lost, and none that could lose more than what is left of it.

    Lost is the worst of three: what executions brought that ended on this UTC day, what those brought that started on
    it, and, if `rolling`, what those brought that ended in the last 24 hours. Left-overs count at what selling them
    brings by the declared markets, and as nothing where none is declared; what executions that run or are stuck may
    still spend counts as lost until they end. All of it is the ledger's, so that a restart forgets nothing.

    Refuses ``risk.daily_loss``; ``risk.currency`` where something was lost, or a cycle starts, in another asset and
    nothing is declared to value it by; and ``risk.unvalued`` where that does not hold now.
    """

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)
    rolling: bool = True

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Bounds the loss of a new cycle by what is left."""
        held = self.marks.hold(self.limit, opportunity, now_ns)
        left = self.left(held, portfolio, now_ns)
        bound = left if isinstance(left, Refused) else held.bound(left)
        return bound if isinstance(bound, Refused) else Approved(opportunity, max_loss=bound)

    def left(self, held: Held, portfolio: Portfolio, now_ns: int) -> Decimal | Refused:
        """What may still be lost, in what `held`, this limit, is counted in; above zero. Else why nothing may."""
        lost, window = ZERO, "that ended today"
        for name, changes in self._windows(portfolio, now_ns):
            worth = held.worth(changes, portfolio)
            if isinstance(worth, Refused):
                return worth
            if -worth > lost:
                lost, window = -worth, name
        reserved = held.cost(portfolio.reserved)
        if isinstance(reserved, Refused):
            return reserved
        with arithmetic():
            left = held.amount - lost - reserved
        if left > 0:
            return left
        return Refused(
            "risk.daily_loss",
            f"{plain(lost)} {held.currency} lost by the executions {window} "
            f"and {plain(reserved)} still out reach the limit of {held.shown}",
            {
                "lost": lost,
                "window": window,
                "reserved": reserved,
                "max_daily_loss": held.amount,
                "limit": held.shown,
                "day": utc_day(now_ns),
            },
        )

    def _windows(
        self, portfolio: Portfolio, now_ns: int
    ) -> Iterator[tuple[str, Mapping[str, Decimal]]]:
        day, results = utc_day(now_ns), portfolio.results
        yield "that ended today", _on(day, portfolio.realised, results.residues)
        yield "that started today", _on(day, results.begun)
        if self.rolling:
            yield "of the last 24 hours", results.since(now_ns - DAY_NS)


@attrs.frozen
class MaxDrawdown(RiskPolicy):
    """No new cycle once results stand `limit` below the highest that they ever stood, and none that could take them there.

    Results of each start asset count from their own highest point, left-overs since then as in `MaxDailyLoss`; so that
    the sum is never less than the drawdown of all together. A person who resumes starts it anew: nothing else does.
    Refuses ``risk.drawdown``, and as `MaxDailyLoss`.
    """

    limit: Money = attrs.field(converter=as_money)
    marks: Marks = attrs.field(factory=Marks)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """Bounds the loss of a new cycle by what is left."""
        held = self.marks.hold(self.limit, opportunity, now_ns)
        left = self.left(held, portfolio, now_ns)
        bound = left if isinstance(left, Refused) else held.bound(left)
        return bound if isinstance(bound, Refused) else Approved(opportunity, max_loss=bound)

    def left(self, held: Held, portfolio: Portfolio, _now_ns: int) -> Decimal | Refused:
        """What results may still fall by, as `MaxDailyLoss.left`."""
        fallen = ZERO
        for start in sorted({start for start, _ in portfolio.results.since_peak}):
            worth = held.worth(_on(start, portfolio.results.since_peak), portfolio)
            if isinstance(worth, Refused):
                return worth
            with arithmetic():
                fallen += max(ZERO, -worth)
        reserved = held.cost(portfolio.reserved)
        if isinstance(reserved, Refused):
            return reserved
        with arithmetic():
            left = held.amount - fallen - reserved
        if left > 0:
            return left
        return Refused(
            "risk.drawdown",
            f"results are {plain(fallen)} {held.currency} below their highest, and {plain(reserved)} still out "
            f"reach the limit of {held.shown}",
            {
                "drawdown": fallen,
                "reserved": reserved,
                "max_drawdown": held.amount,
                "limit": held.shown,
            },
        )


@attrs.frozen
class MaxConsecutiveLosses(RiskPolicy):
    """No new cycle after `losses` in a row, until a person resumes. Refuses ``risk.consecutive_losses``.

    Attributes:
        pause_minutes: after so long one more cycle may be tried; None waits for a person.
    """

    losses: int = attrs.field(validator=whole)
    pause_minutes: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(whole)
    )

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the ledger's count. An execution that traded nothing neither adds to a row nor ends it."""
        row = portfolio.health.consecutive_losses
        if row < self.losses or self._rested(portfolio, now_ns):
            return Approved(opportunity)
        until = "a person resumes"
        if self.pause_minutes is not None:
            until = f"{self.pause_minutes} minutes after the last"
        return Refused(
            "risk.consecutive_losses",
            f"{row} losses in a row reach the limit of {self.losses}: nothing until {until}",
            {"losses": row, "max_consecutive_losses": self.losses},
        )

    def _rested(self, portfolio: Portfolio, now_ns: int) -> bool:
        """Whether the pause is over."""
        ends = [e.ended_ns for e in portfolio.recent if e.result < 0]
        if self.pause_minutes is None or not ends:
            return False
        return now_ns >= max(ends) + self.pause_minutes * 60 * NS_PER_SECOND


@attrs.frozen
class RemainingLossBudget(RiskPolicy):
    """Caps the size by what is left of the daily limit, and by the number of legs: the more of them, the less.

    Leg 1 spends at most `max_notional` divided by the legs, and at most `percent` of what may still be lost today by
    `max_daily_loss`. Below `minimum` it refuses; it never lifts a size. Refuses ``risk.loss_budget``, and as
    `MaxDailyLoss`.

    Attributes:
        max_daily_loss: as in `MaxDailyLoss`.
        max_notional: what a cycle of one leg might spend.
        percent: how much of what is left one cycle may spend.
        minimum: less is not worth it; None for any.
    """

    max_daily_loss: Money = attrs.field(converter=as_money)
    max_notional: Money = attrs.field(converter=as_money)
    percent: Decimal = attrs.field(default=Decimal(10), converter=as_percent, validator=positive)
    minimum: Money | None = attrs.field(default=None, converter=as_optional_money)
    marks: Marks = attrs.field(factory=Marks)
    rolling: bool = True

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """A bound on the amount, or that it is too little."""
        daily = self.marks.hold(self.max_daily_loss, opportunity, now_ns)
        policy = MaxDailyLoss(self.max_daily_loss, self.marks, self.rolling)
        left = policy.left(daily, portfolio, now_ns)
        notional = self.marks.hold(self.max_notional, opportunity, now_ns)
        if isinstance(left, Refused):
            return left
        bounds = []
        for held, share in (
            (daily, Fraction(left) * Fraction(self.percent) / 100),
            (notional, Fraction(notional.amount) / len(opportunity.cycle.legs)),
        ):
            bound = held.bound(floor(share))
            if isinstance(bound, Refused):
                return bound
            bounds.append(bound)
        return self._at_least(min(bounds), opportunity, now_ns)

    def _at_least(
        self, bound: Decimal, opportunity: Opportunity, now_ns: int
    ) -> Approved | Refused:
        start = opportunity.cycle.start
        least: Decimal | Refused = ZERO
        if self.minimum is not None:
            least = self.marks.hold(self.minimum, opportunity, now_ns).least()
        if isinstance(least, Refused):
            return least
        if bound <= 0 or bound < least:
            return Refused(
                "risk.loss_budget",
                f"the loss budget leaves {plain(bound)} {start} for a cycle, less than {plain(least)}",
                {"budget": bound, "minimum": least, "start": start},
            )
        return Approved(opportunity, max_amount=bound)


def _on(key: str, *sources: Mapping[tuple[str, str], Decimal]) -> dict[str, Decimal]:
    """What all sources say under `key`, by asset."""
    changes: dict[str, Decimal] = {}
    with arithmetic():
        for source in sources:
            for (name, asset), change in source.items():
                if name == key:
                    changes[asset] = changes.get(asset, ZERO) + change
    return changes
