"""The ledgers that commands work on."""

from pathlib import Path

from triarb.exceptions import UsageError
from triarb.ledger import default_path


def all_ledgers() -> list[Path]:
    """The ledgers in the user's data folder, the one used last at the end.

    Raises:
        UsageError: there is none.
    """
    folder = default_path("any", "paper").parent
    ledgers = sorted(folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime)
    if not ledgers:
        raise UsageError(
            f"there is no ledger in {folder}", hint="triarb paper makes one, or name a file"
        )
    return ledgers


def ledger_file(ledger: str | None) -> Path:
    """The file that was named, or else the ledger that was used last.

    Raises:
        UsageError: none was named, and there is none.
    """
    return Path(ledger) if ledger is not None else all_ledgers()[-1]
