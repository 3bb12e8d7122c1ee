"""triarb halt: no new exposure, from now on."""

from pathlib import Path

from triarb.cli.ledgers import all_ledgers, configured_ledger
from triarb.cli.output import console, error_console, printable
from triarb.exceptions import ConfigError, LedgerError, UsageError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger.place import real


def halt(*ledgers: Path, reason: str = "triarb halt") -> None:
    """Stop all trading on ledgers: no new exposure from now on, until `triarb resume`.

    It needs neither the engine's consent nor a ledger that can be read: it makes a file beside the ledger, which the
    engine looks at right before each order.

    Parameters
    ----------
    ledgers
        Ledger files; by default all in the user's data folder, and the one that the configuration in this folder names.
    reason
        What reports and refusals say.
    """
    files = list(ledgers) or _all()
    for ledger in files:
        if not ledger.parent.is_dir():
            raise UsageError(f"there is no folder {ledger.parent}", hint="name a ledger's file")
    for ledger in files:
        latch = HaltLatch(halt_file(real(ledger)))
        latch.set(reason)
        line = f"halted {ledger}: {latch.reason}"
        console().print(printable(line), markup=False, highlight=False)
    missing = [str(ledger) for ledger in files if not ledger.is_file()]
    if missing:  # it holds all the same: an engine may have one that was moved away
        raise LedgerError(
            f"there is no ledger {', '.join(missing)}: no engine may be looking at its halt",
            code="ledger.missing",
            hint="triarb status LEDGER says whether one runs on it",
        )


def _all() -> list[Path]:
    """Every ledger that this user may mean; what cannot be read does not keep the others from being halted."""
    try:
        named = configured_ledger()
    except ConfigError as error:
        why = f"the configuration here cannot be read; a ledger that it names is not halted: {error.message}"
        error_console().print(printable(why), markup=False, highlight=False)
        named = None
    if named is None or not named.is_file():
        return all_ledgers()
    try:
        others = all_ledgers()
    except UsageError:
        return [named]
    return list({real(ledger): ledger for ledger in (*others, named)}.values())
