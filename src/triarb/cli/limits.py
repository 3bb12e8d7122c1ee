"""triarb limits: what holds, and how it is changed by hand."""

import asyncio
import getpass
import sys
from pathlib import Path
from typing import Final

from cyclopts import App

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import console, error_console, print_json, printable, table
from triarb.cli.scan import Flag
from triarb.clock import SystemClock
from triarb.exceptions import UsageError
from triarb.ledger import SqlLedger
from triarb.model import LimitSet
from triarb.operations import TradingConfig
from triarb.operations.changing import change_limit
from triarb.operations.limits import RAMP, SETTABLE, UNSET, limits_file, read_pending
from triarb.operations.settings import SETTINGS
from triarb.operations.showing import shown

limits = App(name="limits", help_format="plaintext")

HEADINGS: Final = ("limit", "configured", "set by hand")


@limits.command
def show(ledger: str | None = None, /, *, config: Path | None = None, json: Flag = False) -> None:
    """Show every limit as it is configured, and what was set by hand; both hold.

    Parameters
    ----------
    ledger
        A ledger file; by default the configuration's, or the one used last.
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    told, path = TradingConfig.load(config), ledger_file(ledger, config)
    by_hand = asyncio.run(_set(path))
    names = [name for name in (*SETTINGS, RAMP) if name in SETTABLE]
    rows = [
        (name, shown(getattr(told, name, None)), ", ".join(by_hand.get(name, ("-",))))
        for name in names
    ]
    if json:
        record = {
            name: {"configured": there, "set": list(by_hand.get(name, ()))}
            for name, there, _ in rows
        }
        print_json({"ledger": str(path), "limits": record})
        return
    out = console()
    out.print(printable(f"ledger {path}"), markup=False, highlight=False)
    out.print(table(HEADINGS, rows))


@limits.command(name="set")
def set_(
    name: str,
    value: str,
    ledger: str | None = None,
    /,
    *,
    by: str = "",
    config: Path | None = None,
    yes: Flag = False,
) -> None:
    """Set a limit by hand. Tightening acts at once, also on an engine that runs; loosening asks. Both are journalled.

    What is configured holds as well: nothing that is set here allows more than the configuration does.

    Parameters
    ----------
    name
        The limit, such as max_notional; ramp_notional raises the ramp of an account on production.
    value
        What it is to be, such as "20 USDT"; none takes back what was set.
    ledger
        A ledger file; by default the configuration's, or the one used last.
    by
        Who sets it; by default the user's name.
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    yes
        Consent to allowing more than before.
    """
    told, path = TradingConfig.load(config), ledger_file(ledger, config)
    who = by.strip() or getpass.getuser()
    try:
        event, before = _change(told, path, name, value, who, consent=yes)
    except UsageError as error:
        if error.code != "limits.consent" or not sys.stdin.isatty():
            raise
        prompt = f"{printable(error.message)}. Type {name} to go on: "
        if error_console().input(prompt, markup=False).strip() != name:
            raise
        event, before = _change(told, path, name, value, who, consent=True)
    word = "loosened" if event.loosens else "set"
    line = f"{word} {name} on {path}: {before or 'nothing set'} -> {event.value or UNSET}"
    console().print(printable(line), markup=False, highlight=False)


def _change(
    told: TradingConfig, path: Path, name: str, value: str, by: str, *, consent: bool
) -> tuple[LimitSet, str | None]:
    now_ns = SystemClock().now_ns()
    return asyncio.run(change_limit(path, told, name, value, by=by, now_ns=now_ns, consent=consent))


async def _set(path: Path) -> dict[str, tuple[str, ...]]:
    """By name, what was set by hand; what waits beside the ledger holds beside what it says."""
    async with SqlLedger(path, read_only=True) as ledger:
        found: dict[str, tuple[str, ...]] = {
            name: (value,) for name, value in ledger.portfolio().limits.items()
        }
    for event in read_pending(limits_file(path)):
        before = found.get(event.name, ())
        found[event.name] = tuple(dict.fromkeys((*before, event.value)))
    return found
