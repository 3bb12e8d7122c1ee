"""triarb halt: no new exposure, from now on."""

from pathlib import Path

from triarb.cli.ledgers import all_ledgers
from triarb.cli.output import console
from triarb.exceptions import LedgerError, UsageError
from triarb.execution.halt import HaltLatch, halt_file


def halt(*ledgers: Path, reason: str = "triarb halt") -> None:
    """Stop all trading on ledgers: no new exposure from now on, until `triarb resume`.

    It needs neither the engine's consent nor a ledger that can be read: it makes a file beside the ledger, which the
    engine looks at right before each order.

    Parameters
    ----------
    ledgers
        Ledger files; by default all in the user's data folder.
    reason
        What reports and refusals say.
    """
    files = list(ledgers) or all_ledgers()
    for ledger in files:
        if not ledger.parent.is_dir():
            raise UsageError(f"there is no folder {ledger.parent}", hint="name a ledger's file")
    failed: list[LedgerError] = []
    for ledger in files:  # each, whatever becomes of the others
        latch = HaltLatch(halt_file(ledger.resolve()))
        try:
            latch.set(reason)
        except LedgerError as error:
            failed.append(error)
        else:
            console().print(f"halted {ledger}: {latch.reason}", markup=False, highlight=False)
    if failed:
        raise failed[0]
    for ledger in files:
        if not ledger.is_file():
            raise UsageError(
                f"there is no ledger {ledger}; one that is begun there is halted, and no other",
                hint="name the ledger's file, as triarb status shows it",
            )
