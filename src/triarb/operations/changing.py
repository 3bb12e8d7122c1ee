"""Changing a limit by hand: tightening acts at once, loosening needs consent and the ledger; both are journalled."""

from pathlib import Path
from typing import Final

from triarb.exceptions import LedgerError, UsageError
from triarb.ledger import SqlLedger
from triarb.model import LimitSet, Outcome, Portfolio
from triarb.operations.config import TradingConfig
from triarb.operations.limits import (
    RAMP,
    UNSET,
    add_pending,
    canonical,
    drain,
    limits_file,
    loosens,
    parse,
    read_pending,
)

RAMP_CYCLES: Final = 5
"""How many cycles must have completed on production before its ramp is raised."""


async def change_limit(
    ledger: Path,
    config: TradingConfig,
    name: str,
    text: str,
    *,
    by: str,
    now_ns: int,
    consent: bool,
) -> tuple[LimitSet, str | None]:
    """Set a limit of the ledger in file `ledger`; with what was set before.

    Args:
        ledger: the ledger's file.
        config: what the limit holds beside, and what tells its currency.
        name: the setting, or ``ramp_notional``.
        text: its value as a configuration would tell it; ``none`` takes back what was set.
        by: who does it.
        now_ns: when.
        consent: whether it may allow more than before.

    Raises:
        UsageError: a name or a value that makes no sense; ``limits.consent`` where it allows more, and there is none;
            ``limits.ramp`` where the ramp is raised too soon.
        LedgerError: there is no such ledger, or it is in use and more is to be allowed.
    """
    value = "" if text == UNSET else canonical(parse(config, name, text))
    file = limits_file(ledger)
    async with SqlLedger(ledger, read_only=True):
        pass  # it is one, and none is made of a name that was mistyped
    try:
        async with SqlLedger(ledger) as opened:
            await drain(opened, file)
            before = opened.portfolio().limits.get(name)
            event = LimitSet(now_ns, name, value, by, _loosens(config, name, value, before))
            _check(event, before, opened.portfolio(), consent=consent)
            await opened.append(event)
            return event, before
    except LedgerError as error:
        if error.code != "ledger.in_use":
            raise
        busy = error
    async with SqlLedger(ledger, read_only=True) as opened:
        before = opened.portfolio().limits.get(name)
    waiting = [event.value for event in read_pending(file) if event.name == name]
    before = waiting[-1] if waiting else before
    event = LimitSet(now_ns, name, value, by, _loosens(config, name, value, before))
    if event.loosens or not value:
        raise LedgerError(
            f"{name} is not changed: {busy.message}",
            code="ledger.in_use",
            hint="end that one first: on a ledger in use limits only tighten",
        )
    add_pending(file, event)
    return event, before


def _loosens(config: TradingConfig, name: str, value: str, before: str | None) -> bool:
    return loosens(config, name, value or UNSET, before or None)


def _check(event: LimitSet, before: str | None, portfolio: Portfolio, *, consent: bool) -> None:
    if not event.loosens:
        return
    if event.name == RAMP:
        done = sum(e.outcome is Outcome.COMPLETED for e in portfolio.recent)
        if done < RAMP_CYCLES:
            raise UsageError(
                f"of the last executions {done} completed; the ramp is raised after {RAMP_CYCLES}",
                code="limits.ramp",
                hint="let it go on at the exchange's minimum",
            )
    if not consent:
        raise UsageError(
            f"{event.name} would go from {before or 'the least'} to {event.value or UNSET}, which allows more",
            code="limits.consent",
            hint="say --yes if you mean it",
        )
