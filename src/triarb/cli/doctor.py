"""triarb doctor: whether a configuration could trade, found out without trading."""

import asyncio
import os
from pathlib import Path
from typing import Final

import attrs

from triarb.cli.output import console, error_console, print_json, printable, table
from triarb.cli.scan import Flag
from triarb.clock import SystemClock
from triarb.ledger import SqlLedger
from triarb.operations import TradingConfig
from triarb.operations.arming import live_ledger, look, missing
from triarb.operations.doctor import Examination, examine

HEADINGS: Final = ("check", "verdict", "saw", "mend")


def doctor(*, config: Path | None = None, json: Flag = False) -> str:
    """Examine what a configuration needs to trade where it says, without trading; exit code 1 where something failed.

    It asks the exchange, lets it validate an order that it does not take, and writes its finding into the ledger. With
    live = true it also says what production still needs.

    Parameters
    ----------
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    told = TradingConfig.load(config)
    with error_console().status(f"examining {printable(told.exchange)}"):
        found = asyncio.run(examine(told))
    lacking = asyncio.run(_lacking(told)) if told.live else ()
    if json:
        print_json(
            {
                "exchange": told.exchange,
                "mode": found.mode,
                "passed": not found.failed,
                "checks": [attrs.asdict(check) for check in found.checks],
                **({"arming": list(lacking)} if told.live else {}),
            }
        )
    else:
        _print(told, found, lacking)
    return "failed" if found.failed else "done"


def _print(told: TradingConfig, found: Examination, lacking: tuple[str, ...]) -> None:
    out = console()
    rows = [(c.name, str(c.verdict), c.saw, c.mend) for c in found.checks]
    out.print(table(HEADINGS, rows))
    failed = ", ".join(found.failed)
    line = f"{told.exchange}, {found.mode}: " + (f"failed: {failed}" if failed else "passed")
    out.print(printable(line), markup=False, highlight=False)
    for sentence in lacking:
        out.print(printable(f"production needs: {sentence}"), markup=False, highlight=False)


async def _lacking(told: TradingConfig) -> tuple[str, ...]:
    """What arming would still miss, apart from the name that is typed then."""
    async with SqlLedger(live_ledger(told)) as ledger:
        facts = await look(
            told, ledger, typed=None, environ=os.environ, now_ns=SystemClock().now_ns()
        )
    return tuple(r.sentence for r in missing(facts) if r.code != "arming.confirmation")
