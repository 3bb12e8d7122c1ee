"""Headroom: the limits that remember, and what is left of each, by a ledger alone.

What a limit says of one cycle (its edge, its books, its size) is told by the refusals of an engine. These are the others:
what was lost, what is out, how often, and who looked. They are asked as an engine asks them, without a market: what would
have to be valued by one is said not to be known.
"""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Protocol

import attrs

from triarb.clock import iso
from triarb.exceptions import TriarbError
from triarb.model import Configured, Portfolio, Refused
from triarb.money import Money, arithmetic, plain
from triarb.operations.attendance import AHEAD_NS, HOUR_NS, ack_file
from triarb.operations.config import TradingConfig
from triarb.operations.digest import digest
from triarb.operations.limits import LimitsInForce, parse
from triarb.risk import BreakerState
from triarb.risk.marks import Held, Marks
from triarb.risk.policies.amounts import MaxExposure, MaxResidue
from triarb.risk.policies.losses import MaxDailyLoss, MaxDrawdown
from triarb.risk.policies.pace import MaxCyclesPerMinute

UNKNOWN: Final = "not known"


@attrs.frozen
class Headroom:
    """One limit.

    Attributes:
        name: the setting.
        limit: as it is told.
        left: what is left of it; ``"not known"`` where no market is at hand to value something by.
        why: why nothing, or nothing known, is left; empty where something is.
    """

    name: str
    limit: str
    left: str
    why: str = ""

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        return f"{self.limit}, left {self.left}{why}"


_Ask = Callable[[TradingConfig, Any, Portfolio, int], tuple[Decimal, Headroom]]


class _Leaving(Protocol):
    """A limit in money that can say what is left of it."""

    def left(self, held: Held, portfolio: Portfolio, now_ns: int, /) -> Decimal | Refused: ...


def headroom(
    config: TradingConfig, portfolio: Portfolio, ledger: Path, now_ns: int
) -> list[Headroom]:
    """What is left of the limits of `config`, and of those set by hand on the ledger in file `ledger`.

    Raises:
        LedgerError: limits that were set by hand cannot be read.
        UsageError: one of them makes no sense beside the configuration.
    """
    by_hand = LimitsInForce(config, ledger).told(portfolio)
    found = []
    for name, ask in _ASKED.items():
        values = [getattr(config, name)]
        values += [parse(config, name, value) for set_, value in by_hand if set_ == name and value]
        told = [ask(config, value, portfolio, now_ns) for value in values if value is not None]
        found += [min(told, key=itemgetter(0))[1]] if told else []
    return [*found, _breaker(config, portfolio, now_ns), *_attended(config, ledger)]


def headroom_or_why(
    load: Callable[[], TradingConfig],
    portfolio: Portfolio,
    ledger: Path,
    now_ns: int,
    *,
    ran: Configured | None = None,
) -> tuple[list[Headroom], str]:
    """The same, and what a person must know of it: why it cannot be told, or that an engine ran on other settings.

    Who asks where a ledger stands needs an answer, whatever the configuration. `ran` is what the last engine ran on.
    """
    try:
        config = load()
        found = headroom(config, portfolio, ledger, now_ns)
    except TriarbError as error:
        return [], f"not known: {' '.join(str(error).split())}"
    if ran is None or digest(config, ran.mode) == ran.configuration:
        return found, ""
    return found, "of the configuration here; the last engine ran on another one, or with options"


def _money(name: str, make: Callable[[TradingConfig, Money, Marks], _Leaving]) -> _Ask:
    """How a limit in money is asked; what is not known is least of all."""

    def ask(
        config: TradingConfig, limit: Money, portfolio: Portfolio, now_ns: int
    ) -> tuple[Decimal, Headroom]:
        marks = config.limits().marks
        held = marks.hold(limit, None, now_ns)
        left = make(config, limit, marks).left(held, portfolio, now_ns)
        if not isinstance(left, Refused):
            return left, Headroom(name, held.shown, f"{plain(left)} {held.currency}")
        if left.code in ("risk.currency", "risk.unvalued"):
            return Decimal(-1), Headroom(name, held.shown, UNKNOWN, left.sentence)
        return Decimal(0), Headroom(name, held.shown, f"0 {held.currency}", left.sentence)

    return ask


def _in_a_row(
    _config: TradingConfig, limit: int, portfolio: Portfolio, _now_ns: int
) -> tuple[Decimal, Headroom]:
    row = portfolio.health.consecutive_losses
    left = max(0, limit - row)
    why = "" if left else f"{row} losses in a row: nothing until a person resumes"
    return Decimal(left), Headroom("max_consecutive_losses", str(limit), str(left), why)


def _pace(
    _config: TradingConfig, limit: int, portfolio: Portfolio, now_ns: int
) -> tuple[Decimal, Headroom]:
    begun = MaxCyclesPerMinute(limit).begun(portfolio, now_ns)
    left = max(0, limit - begun)
    why = "" if left else f"{begun} began within a minute"
    return Decimal(left), Headroom("max_cycles_per_minute", str(limit), str(left), why)


_ASKED: Final[dict[str, _Ask]] = {
    "max_daily_loss": _money(
        "max_daily_loss",
        lambda config, limit, marks: MaxDailyLoss(limit, marks, config.rolling_24_hours),
    ),
    "max_drawdown": _money("max_drawdown", lambda _, limit, marks: MaxDrawdown(limit, marks)),
    "max_exposure": _money("max_exposure", lambda _, limit, marks: MaxExposure(limit, marks)),
    "max_residue": _money("max_residue", lambda _, limit, marks: MaxResidue(limit, marks)),
    "max_consecutive_losses": _in_a_row,
    "max_cycles_per_minute": _pace,
}


def _breaker(config: TradingConfig, portfolio: Portfolio, now_ns: int) -> Headroom:
    stands = config.breaker().stands(portfolio, now_ns)
    state = str(stands.state).replace("_", " ")
    if stands.state is BreakerState.CLOSED:
        return Headroom("circuit breaker", state, "all")
    until = "a person resumes" if stands.until_ns is None else iso(stands.until_ns)
    tries = stands.state is BreakerState.HALF_OPEN
    left = "one cycle at a time" if tries else "nothing"
    return Headroom("circuit breaker", state, left, f"{stands.why}; open until {until}")


def _attended(config: TradingConfig, ledger: Path) -> Iterator[Headroom]:
    """By the machine's own clock, by which files have their times."""
    if config.ack_hours is None:
        return
    limit = f"{plain(config.ack_hours)} hours"
    try:
        at_ns = ack_file(ledger).stat().st_mtime_ns
    except OSError:
        yield Headroom("ack_hours", limit, "0 hours", "nobody has acknowledged: triarb ack")
        return
    now_ns = time.time_ns()
    if at_ns > now_ns + AHEAD_NS:
        yield Headroom("ack_hours", limit, "0 hours", f"its time is in the future, {iso(at_ns)}")
        return
    with arithmetic():
        left = config.ack_hours - Decimal(round((now_ns - at_ns) * 10 / HOUR_NS)) / 10
    why = "" if left > 0 else "nobody has acknowledged since: triarb ack"
    yield Headroom("ack_hours", limit, f"{plain(max(left, Decimal(0)))} hours", why)
