"""triarb status: where a ledger stands."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from rich.table import Table
from rich.text import Text

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import console, print_json, printable
from triarb.cli.scan import Flag
from triarb.clock import SystemClock
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger import SqlLedger, writer_of
from triarb.operations import TradingConfig
from triarb.operations.headroom import headroom_or_why
from triarb.operations.status import Status


def status(ledger: str | None = None, /, *, config: Path | None = None, json: Flag = False) -> str:
    """Say where a ledger stands, and what would happen if the plug were pulled now. It reads only.

    Parameters
    ----------
    ledger
        A ledger file; by default the configuration's, or the one used last.
    config
        A TOML file with the limits; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    path = ledger_file(ledger, config, reads=True)
    found = asyncio.run(_read(path, config))
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


async def _read(path: Path, config: Path | None) -> Status:
    async with SqlLedger(path, read_only=True) as opened:
        now_ns = SystemClock().now_ns()
        limits, note = headroom_or_why(
            _as(config, opened), opened.portfolio(), path, now_ns, ran=opened.configured
        )
        return Status.of(
            opened.events(),
            opened.portfolio(),
            opened.unfinished(),
            ledger=path,
            now_ns=now_ns,
            process=writer_of(path),
            latch=HaltLatch(halt_file(opened.path or path)).reason,
            limits=limits,
            note=note,
        )


def _as(config: Path | None, ledger: SqlLedger) -> Callable[[], TradingConfig]:
    """What loads the configuration for the exchange that the ledger is of."""
    exchange = ledger.portfolio().exchange or None
    return lambda: TradingConfig.load(config, options={"exchange": exchange})
