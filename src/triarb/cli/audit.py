"""triarb audit: whether an audit log is as it was written, and what it says last."""

from pathlib import Path

from cyclopts import App

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import console, print_json, printable, table
from triarb.cli.scan import Flag
from triarb.exceptions import UsageError
from triarb.operations.audit_lines import (
    audit_folder,
    iso_or_number,
    last_entries,
    render,
    verify as check,
)

audit = App(name="audit", help_format="plaintext")
_HEADINGS = ("line", "time", "kind", "what")


@audit.command
def verify(path: Path | None = None, /, *, json: Flag = False) -> str:
    """Check every line of an audit log against the one before it. Exit code 1 where one is not as it was written.

    Parameters
    ----------
    path
        A ledger, or the folder of an audit log; by default that of the configuration's ledger, or of the one used last.
    json
        Print one JSON object.
    """
    folder = _folder(path)
    found = check(folder)
    if json:
        said = {"digest": found.digest, "broken": found.broken, "notes": list(found.notes)}
        lines = {"files": found.files, "first": found.first, "last": found.last}
        print_json({"log": str(folder), **lines, **said})
        return "failed" if found.broken else ""
    out = console()
    for note in found.notes:
        out.print(printable(note), markup=False, highlight=False)
    if found.broken:
        text = f"broken: {found.broken}"
    else:
        files = f"{found.files} file{'s' * (found.files != 1)}"
        text = f"lines {found.first} to {found.last} in {files} are as they were written; the last digest is {found.digest}"
    out.print(printable(text), markup=False, highlight=False, soft_wrap=True)
    return "failed" if found.broken else ""


@audit.command
def show(path: Path | None = None, /, *, last: int = 20, json: Flag = False) -> None:
    """Show the last lines of an audit log.

    Parameters
    ----------
    path
        A ledger, or the folder of an audit log; by default that of the configuration's ledger, or of the one used last.
    last
        How many.
    json
        Print them as they are, one JSON object a line.
    """
    if last < 1:
        raise UsageError(f"--last is {last}", hint="say how many lines, at least 1")
    entries = last_entries(_folder(path), last)
    if json:
        for entry in entries:
            print(render(entry).decode(), end="")  # noqa: T201
        return
    rows = [(str(e.seq), iso_or_number(e.at_ns), e.kind, e.payload) for e in entries]
    console().print(table(_HEADINGS, rows, right=(0,)))


def _folder(path: Path | None) -> Path:
    told = ledger_file(None, reads=True) if path is None else path
    return told if told.is_dir() else audit_folder(told)
