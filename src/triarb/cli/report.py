"""triarb report: what the runs of a ledger came to."""

import asyncio
from pathlib import Path

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import print_report
from triarb.cli.scan import Flag
from triarb.ledger import SqlLedger
from triarb.report import Report


def report(ledger: str | None = None, /, *, json: Flag = False) -> str:
    """Report what all runs of a ledger came to.

    Parameters
    ----------
    ledger
        A ledger file; by default the configuration's, or the one used last.
    json
        Print one JSON object.
    """
    path = ledger_file(ledger, reads=True)
    return print_report(asyncio.run(_read(path)), title=f"ledger {path}", as_json=json)


async def _read(path: Path) -> Report:
    async with SqlLedger(path, read_only=True) as opened:
        return Report.of(opened.events())
