"""triarb config: what holds and why, a file to begin with, and its schema."""

from pathlib import Path

from cyclopts import App

from triarb.cli.output import console, print_json, printable, table
from triarb.cli.scan import Flag
from triarb.exceptions import TradingRefused
from triarb.operations import TradingConfig
from triarb.operations.config import FILE
from triarb.operations.parts import choose_mode
from triarb.operations.showing import HEADINGS, exposed, not_read, record, rows
from triarb.operations.writing import schema as schema_of_file, write_example

config = App(name="config", help_format="plaintext")


@config.command
def show(*, config: Path | None = None, json: Flag = False) -> None:
    """Show what holds, and where each value comes from. Keys are masked.

    Parameters
    ----------
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    loaded = TradingConfig.load(config)
    mode, notes = _mode(loaded)
    lines = [*notes, *exposed(loaded)]
    if json:
        print_json(record(loaded, mode, lines))
        return
    out = console()
    out.print(table(HEADINGS, rows(loaded)))
    if loaded.ignored:
        lines.append(not_read(loaded))
    for line in lines:
        out.print(printable(line), markup=False, highlight=False)


@config.command
def init(file: Path = Path(FILE), /) -> None:
    """Write a file with every setting, explained and commented out; never over one that exists.

    Parameters
    ----------
    file
        Where to.
    """
    write_example(file)
    console().print(printable(f"wrote {file}"), markup=False, highlight=False)


@config.command
def schema() -> None:
    """Print the JSON Schema of the file, by which an editor checks and completes it."""
    print_json(schema_of_file())


def _mode(loaded: TradingConfig) -> tuple[str, tuple[str, ...]]:
    try:
        return choose_mode(loaded)
    except TradingRefused as refusal:
        return "refused", (f"refused: {refusal}",)
