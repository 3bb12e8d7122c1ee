"""Limits that are set by hand: they hold beside the configuration's, in the ledger, and at once in a file beside it.

The journal says what was set (`LimitSet`, `Portfolio.limits`). While an engine has the ledger, a tightening goes into a
file, which `LimitsInForce` reads at each review and the engine's process journals; a loosening needs the ledger itself.
What is configured, what is journalled and what is in the file all hold: an intersection, so that losing any of them by
accident never allows more than the configuration does.
"""

import difflib
import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs

from triarb.clock import Clock
from triarb.exceptions import LedgerError, UsageError
from triarb.ledger import Ledger
from triarb.ledger.place import beside
from triarb.model import Approved, LimitSet, Opportunity, Portfolio, Refused
from triarb.money import Money
from triarb.operations.config import TradingConfig
from triarb.operations.settings import SETTINGS
from triarb.operations.showing import shown
from triarb.operations.values import Amount
from triarb.risk import FirstRefusal, RiskPolicy

RAMP: Final = "ramp_notional"
"""Beside the settings: how far the ramp of an armed account is raised."""

UNSET: Final = "none"
"""What is written to take back what was set."""

LOWER_IS_TIGHTER: Final = frozenset(
    {
        RAMP,
        "max_notional",
        "max_daily_loss",
        "max_edge_bps",
        "max_slippage_bps",
        "max_legs",
        "max_age_ms",
        "max_skew_ms",
        "max_fee_drift_bps",
        "max_exposure",
        "max_residue",
        "max_cycle_loss",
        "max_drawdown",
        "max_consecutive_losses",
        "max_cycles_per_minute",
        "max_latency_ms",
        "max_reject_percent",
        "loss_budget_percent",
    }
)
HIGHER_IS_TIGHTER: Final = frozenset(
    {
        "min_edge_bps",
        "min_stranded_edge_bps",
        "min_notional",
        "cycle_cooldown_seconds",
        "market_cooldown_seconds",
    }
)
OTHERS: Final = frozenset({"allow", "deny", "hours", "max_per_asset"})
SETTABLE: Final = LOWER_IS_TIGHTER | HIGHER_IS_TIGHTER | OTHERS
"""What can be set by hand."""

_log = logging.getLogger("triarb.limits")
POLL_SECONDS: Final = 1.0
"""How often the engine's process journals what came into the file."""


def limits_file(ledger: Path) -> Path:
    """Where limits of the ledger in file `ledger` wait to be journalled: beside it, as ``<name>.limits``."""
    return beside(ledger, ".limits")


def parse(config: TradingConfig, name: str, text: str) -> Any:
    """What `text` means for the limit `name`, as a configuration would read it.

    Raises:
        UsageError: no limit that can be set, or a value that it cannot have beside the others.
    """
    if name not in SETTABLE:
        raise UsageError(
            f"{name} is no limit that can be set by hand",
            code="limits.name",
            hint=_meant(name),
        )
    value = _read(name, text, config.start)
    with_limit(config, name, value)
    return value


def _read(name: str, text: str, start: str) -> Any:
    """What `text` says, on its own."""
    try:
        value = SETTINGS["max_notional" if name == RAMP else name].read(text, False)  # noqa: FBT003 - typed by hand
    except UsageError as error:
        told = f"{name}={text}: {error.message}"
        raise UsageError(told, code=error.code, hint=error.hint) from None
    if value == ():
        mend = f"write {UNSET} to take back what was set"
        raise UsageError(f"{name} would name nothing", code="limits.value", hint=mend)
    if isinstance(value, Amount):
        value = value.in_(start)
    elif name == "max_per_asset":
        value = tuple(amount.in_(start) for amount in value)
    return value


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name.lower().replace("-", "_"), SETTABLE, n=1)
    return f"did you mean {close[0]}?" if close else f"one of {', '.join(sorted(SETTABLE))}"


def with_limit(config: TradingConfig, name: str, value: Any) -> RiskPolicy:
    """The configuration's limits with one of them replaced.

    Raises:
        UsageError: they then contradict one another.
    """
    replaced = "max_notional" if name == RAMP else name
    return attrs.evolve(config, **{replaced: value}).limits()


def loosens(config: TradingConfig, name: str, value: str, before: str | None) -> bool:
    """Whether `value` in place of `before` (None: nothing was set) may allow more.

    What is set holds beside the configuration, so that a first value never does; but the ramp's first one does, since
    without one it is the exchange's minimum.
    """
    return _allows_more(name, value, before, config.start)


def _allows_more(name: str, value: str, before: str | None, start: str) -> bool:
    if before is None:
        return name == RAMP and value != UNSET
    if value == UNSET:
        return name != RAMP  # which is then at the minimum
    old, new = _read(name, before, start), _read(name, value, start)
    if isinstance(new, tuple):
        narrower = name == "allow" and bool(new) and set(new) <= set(old)
        wider = name == "deny" and set(new) >= set(old)
        return not (narrower or wider or new == old)
    if isinstance(new, Money):
        if new.currency != old.currency:
            return True
        old, new = old.amount, new.amount
    return bool(new > old if name in LOWER_IS_TIGHTER else new < old)


class LimitsInForce(RiskPolicy):
    """The configuration's limits and breaker, and every limit that was set by hand: all of them hold.

    Refuses ``limits.unreadable`` where the file beside the ledger, or what the ledger says, makes no sense.

    Args:
        config: the configuration.
        ledger: the ledger's file; None where it has none.
    """

    __slots__ = ("_base", "_config", "_file", "_made", "_read", "_seen")

    def __init__(self, config: TradingConfig, ledger: Path | None) -> None:
        self._config = config
        self._base = FirstRefusal(config.limits(), config.breaker())
        self._file = None if ledger is None else limits_file(ledger)
        self._seen: tuple[int, ...] | None = None
        self._read: tuple[LimitSet, ...] = ()
        self._made: dict[tuple[str, str], RiskPolicy] = {}

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """What all of them say."""
        try:
            members = [self._policy(name, value) for name, value in self.told(portfolio)]
        except (LedgerError, UsageError) as error:
            return Refused("limits.unreadable", f"limits set by hand cannot be read: {error}")
        return FirstRefusal(self._base, *members).review(opportunity, portfolio, now_ns)

    def told(self, portfolio: Portfolio) -> list[tuple[str, str]]:
        """Every limit that was set by hand and its value; what the file adds holds beside what is journalled.

        Raises:
            LedgerError: the file cannot be read.
        """
        pending = [(event.name, event.value) for event in self._pending()]
        return list(dict.fromkeys([*portfolio.limits.items(), *pending]))

    def _policy(self, name: str, value: str) -> RiskPolicy:
        key = (name, value)
        if key not in self._made:
            self._made[key] = with_limit(self._config, name, parse(self._config, name, value))
        return self._made[key]

    def _pending(self) -> tuple[LimitSet, ...]:
        """What the file holds, read again when it changed."""
        if self._file is None:
            return ()
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise _unreadable(self._file, error) from error
        seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        if seen != self._seen:
            self._read = read_pending(self._file)
            self._seen = seen
        return self._read


def read_pending(file: Path) -> tuple[LimitSet, ...]:
    """The limits in a file, the oldest first; none where there is no file.

    Raises:
        LedgerError: ``limits.file``.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return tuple(_decode(json.loads(line)) for line in lines)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(file, error) from error


def add_pending(file: Path, event: LimitSet) -> None:
    """Add a tightening to a file, durably when it returns.

    Raises:
        LedgerError: ``limits.file``; nothing holds that was not there before.
    """
    line = json.dumps(attrs.asdict(event)) + "\n"
    with _locked(file) as handle:
        os.lseek(handle, 0, os.SEEK_END)
        os.write(handle, line.encode())
        os.fsync(handle)


async def drain(ledger: Ledger, file: Path) -> tuple[LimitSet, ...]:
    """Journal what waits in a file, and empty it. Only a tightening can wait: what allows more is left out, and warned of.

    Raises:
        LedgerError: ``limits.file``, or the journal's own; what waits still holds.
    """
    if not read_pending(file):
        return ()
    with _locked(file) as handle:
        pending = read_pending(file)
        for event in pending:
            before = ledger.portfolio().limits.get(event.name) or None
            if _loosens_unasked(event, before):
                _log.warning(
                    "%s of %s is not set: it allows more than %s", event.value, event.name, before
                )
            else:
                await ledger.append(event)
        os.ftruncate(handle, 0)
        os.fsync(handle)
    return pending


def _loosens_unasked(event: LimitSet, before: str | None) -> bool:
    """Whether nobody consented to it: somebody else set less meanwhile, or it was written there by hand."""
    if event.name not in SETTABLE:  # which `LimitsInForce` refuses, as what cannot be read
        return False
    try:
        return _allows_more(event.name, event.value or UNSET, before, "")
    except UsageError:
        return False


async def keep_journalled(ledger: Ledger, file: Path, clock: Clock) -> None:
    """Journal what comes into a file, again and again, until cancelled.

    Raises:
        LedgerError: as `drain`.
    """
    while True:
        await clock.sleep(POLL_SECONDS)
        await drain(ledger, file)


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unreadable(file, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    except OSError as error:
        raise _unreadable(file, error) from error
    finally:
        os.close(handle)


def _decode(told: Any) -> LimitSet:
    event = LimitSet(**told)
    kinds = {"at_ns": int, "loosens": bool}
    if any(
        type(getattr(event, field.name)) is not kinds.get(field.name, str)
        for field in attrs.fields(LimitSet)
    ):
        raise ValueError(f"{told} is no limit")
    return event


def _unreadable(file: Path, error: Exception) -> LedgerError:
    return LedgerError(
        f"{file} cannot be used: {error}", code="limits.file", hint="mend it, or remove it by hand"
    )


def canonical(value: Any) -> str:
    """A limit as the journal keeps it: what `parse` reads back."""
    if isinstance(value, Decimal | int | Money | tuple):
        return shown(value)
    raise UsageError(f"{value!r} is no limit")
