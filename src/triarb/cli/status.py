"""triarb status: where a ledger stands."""

import asyncio
from pathlib import Path

from rich.table import Table
from rich.text import Text

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import console, print_json, printable
from triarb.cli.scan import Flag
from triarb.clock import SystemClock
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger import SqlLedger, writer_of
from triarb.operations.status import Status


def status(ledger: str | None = None, /, *, json: Flag = False) -> str:
    """Say where a ledger stands, and what would happen if the plug were pulled now. It reads only.

    Parameters
    ----------
    ledger
        A ledger file; by default the one in the user's data folder that was used last.
    json
        Print one JSON object.
    """
    path = ledger_file(ledger)
    found = asyncio.run(_read(path))
    if json:
        print_json(found.to_dict())
        return found.state
    made = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        title=Text(printable(f"ledger {path}")),
        title_justify="left",
    )
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in found.lines():
        made.add_row(Text(name), Text(printable(text)))
    console().print(made, highlight=False)
    return found.state


async def _read(path: Path) -> Status:
    async with SqlLedger(path, read_only=True) as opened:
        return Status.of(
            opened.events(),
            opened.portfolio(),
            opened.unfinished(),
            ledger=path,
            now_ns=SystemClock().now_ns(),
            process=writer_of(path),
            latch=HaltLatch(halt_file(opened.path or path)).reason,
        )
