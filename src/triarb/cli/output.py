"""What the commands print with."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from triarb.report import Report

PIPE_WIDTH: Final = 140
"""How wide tables are where no terminal tells."""


def console() -> Console:
    """The standard output."""
    return _sized(Console())


def error_console() -> Console:
    """The standard error; wide, so that an error stays one line."""
    return Console(stderr=True, soft_wrap=True)


def _sized(made: Console) -> Console:
    return made if made.is_terminal else Console(width=PIPE_WIDTH)


def print_json(data: Any) -> None:
    """One JSON object on the standard output."""
    print(json.dumps(data, indent=1))  # noqa: T201


def printable(text: str) -> str:
    """`text` with whatever could move a terminal's cursor, or begin a line, spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(line: str) -> None:
    """One line on the standard output, however long."""
    console().print(printable(line), markup=False, highlight=False, soft_wrap=True)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()
) -> Table:
    """A plain table; the columns numbered in `right` are numbers."""
    made = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        made.add_column(heading, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        made.add_row(
            *(Text(printable(cell)) for cell in row)
        )  # not markup: a name in square brackets is no style
    return made


def print_report(report: Report, *, title: str, as_json: bool) -> str:
    """Print a report; answers its state, which becomes the exit code."""
    if as_json:
        print_json(report.to_dict())
        return report.state
    made = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        title=Text(printable(title)),
        title_justify="left",
    )
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, text in report.lines():
        made.add_row(Text(name), Text(printable(text)))
    console().print(made, highlight=False)
    return report.state
