"""triarb report: what the runs of a ledger came to."""

import asyncio
from pathlib import Path

from triarb.cli.output import print_report
from triarb.cli.scan import Flag
from triarb.exceptions import UsageError
from triarb.ledger import SqlLedger, default_path
from triarb.report import Report


def report(ledger: str | None = None, /, *, json: Flag = False) -> str:
    """Report what all runs of a ledger came to.

    Parameters
    ----------
    ledger
        A ledger file; by default the one in the user's data folder that was used last.
    json
        Print one JSON object.
    """
    path = Path(ledger) if ledger is not None else _latest()
    return print_report(asyncio.run(_read(path)), title=f"ledger {path}", as_json=json)


async def _read(path: Path) -> Report:
    async with SqlLedger(path, read_only=True) as opened:
        return Report.of(opened.events())


def _latest() -> Path:
    folder = default_path("any", "paper").parent
    ledgers = sorted(folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
    if not ledgers:
        raise UsageError(
            f"there is no ledger in {folder}", hint="triarb paper makes one, or name a file"
        )
    return ledgers[-1]
