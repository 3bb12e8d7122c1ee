"""triarb ack: a person looked."""

from pathlib import Path

from triarb.cli.ledgers import ledger_file
from triarb.cli.output import console, printable
from triarb.exceptions import UsageError
from triarb.operations.attendance import acknowledge


def ack(ledger: Path | None = None, /, *, by: str) -> None:
    """Acknowledge that you looked at a bot: where `ack_hours` is set, its cycles begin only so long after that.

    It makes a file beside the ledger new, also while an engine uses it.

    Parameters
    ----------
    ledger
        A ledger file; by default the configuration's, or the one used last.
    by
        Who looked.
    """
    if not by.strip():
        raise UsageError("--by is empty", hint="say who looked")
    file = ledger_file(None if ledger is None else str(ledger))
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}", hint="name a ledger's file")
    acknowledge(file, " ".join(by.split()))
    yet = (
        "" if file.is_file() else " (there is no ledger yet: it holds for one that is begun there)"
    )
    line = f"acknowledged {file}: {by.strip()}{yet}"
    console().print(printable(line), markup=False, highlight=False, soft_wrap=True)
