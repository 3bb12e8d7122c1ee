"""Policies over when: how often, how soon again, and at which hours."""

import re
from collections.abc import Collection
from typing import Any, Final

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.model import Approved, Opportunity, Portfolio, Refused
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import few, one_or_several

DAY_MINUTES: Final = 24 * 60
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


def _not_negative(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{attribute.name} is {value!s}", hint="a whole number, 0 for none")


def _as_hours(value: Collection[str]) -> tuple[str, ...]:
    hours = one_or_several(value)
    for text in hours:
        if not isinstance(text, str) or not _HOURS.fullmatch(text) or _empty(*_minutes(text)):
            raise UsageError(f"{text!r} are no hours of a day", hint="such as 08:00-20:00, in UTC")
    if not hours:
        raise UsageError("no hours would allow nothing", hint="such as 08:00-20:00, in UTC")
    return hours


def _minutes(hours: str) -> tuple[int, int]:
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    if max(begin, end) > DAY_MINUTES:
        raise UsageError(f"{hours!r} go past the end of a day", hint="24:00 is its end")
    return begin, end


def _empty(begin: int, end: int) -> bool:
    """Whether no minute is within: 24:00 is where the next day begins."""
    return begin in (end, end + DAY_MINUTES)


@attrs.frozen
class MaxCyclesPerMinute(RiskPolicy):
    """At most `cycles` begin within any 60 seconds, those that traded nothing included. Refuses ``risk.pace``."""

    cycles: int = attrs.field(validator=few)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the ledger's count."""
        begun = self.begun(portfolio, now_ns)
        if begun >= self.cycles:
            return Refused(
                "risk.pace",
                f"{begun} cycles began within a minute, of at most {self.cycles}",
                {"cycles": begun, "max_cycles_per_minute": self.cycles},
            )
        return Approved(opportunity)

    def begun(self, portfolio: Portfolio, now_ns: int) -> int:
        """How many began within the minute; those that run count as begun now."""
        since_ns = now_ns - 60 * NS_PER_SECOND
        return len(portfolio.open) + sum(e.started_ns > since_ns for e in portfolio.recent)


@attrs.frozen
class Cooldown(RiskPolicy):
    """No cycle again so soon after it was tried, and none through a market so soon after an order went there.

    Refuses ``risk.cooldown``.

    Attributes:
        cycle_seconds: how long after an execution of the same cycle ended.
        market_seconds: how long after one ended that sent an order to one of its markets.
    """

    cycle_seconds: int = attrs.field(default=0, validator=_not_negative, kw_only=True)
    market_seconds: int = attrs.field(default=0, validator=_not_negative, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not self.cycle_seconds and not self.market_seconds:
            raise UsageError("a cooldown of nothing", hint="cycle_seconds, market_seconds, or both")

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the moments that the ledger keeps."""
        cycle = opportunity.cycle
        waits = {leg.market.symbol: self.market_seconds for leg in cycle.legs}
        waits[cycle.id] = self.cycle_seconds
        for name, seconds in waits.items():
            last_ns = portfolio.results.last_ended.get(name)
            if seconds and last_ns is not None and now_ns < last_ns + seconds * NS_PER_SECOND:
                ago = (now_ns - last_ns) / NS_PER_SECOND
                return Refused(
                    "risk.cooldown",
                    f"{name} was traded {ago:.0f} s ago, and rests for {seconds} s",
                    {"name": name, "ago_seconds": ago, "cooldown_seconds": seconds},
                )
        return Approved(opportunity)


@attrs.frozen
class TradingHours(RiskPolicy):
    """New cycles begin within these hours of the day only, UTC, such as ``["08:00-20:00"]``. Refuses ``risk.hours``.

    The end is not within. What ends before it begins goes over midnight: ``22:00-06:00``.
    """

    hours: tuple[str, ...] = attrs.field(converter=_as_hours)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the minute."""
        minute = now_ns // (60 * NS_PER_SECOND) % DAY_MINUTES
        for hours in self.hours:
            begin, end = _minutes(hours)
            within = begin <= minute < end if begin < end else minute >= begin or minute < end
            if within:
                return Approved(opportunity)
        now = f"{minute // 60:02}:{minute % 60:02}"
        return Refused(
            "risk.hours",
            f"{now} UTC is not within {', '.join(self.hours)}",
            {"now": now, "hours": ", ".join(self.hours)},
        )
