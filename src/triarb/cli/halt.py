"""triarb halt: no new exposure, from now on."""

from pathlib import Path

from triarb.cli.ledgers import all_ledgers, configured_ledger
from triarb.cli.output import console, error_console, printable
from triarb.exceptions import ConfigError, LedgerError, TriarbError, UsageError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger.place import real


def halt(*ledgers: Path, reason: str = "triarb halt") -> None:
    """Stop all trading on ledgers: no new exposure from now on, until `triarb resume`.

    It needs neither the engine's consent nor a ledger that can be read: it makes a file beside the ledger, which the
    engine looks at right before each order.

    Parameters
    ----------
    ledgers
        Ledger files; by default all in the user's data folder, and the one that the configuration here names.
    reason
        What reports and refusals say.
    """
    files = list(ledgers) or _all()
    failed: list[TriarbError] = []
    for ledger in files:  # each, whatever becomes of the others
        latch = HaltLatch(halt_file(real(ledger)))
        if not ledger.parent.is_dir():
            no_folder = f"there is no folder {ledger.parent}"
            failed.append(UsageError(no_folder, hint="name a ledger's file"))
            continue
        try:
            latch.set(reason)
        except LedgerError as error:
            failed.append(error)
        else:
            line = f"halted {ledger}: {latch.reason}"
            console().print(printable(line), markup=False, highlight=False)
    if failed:
        raise min(failed, key=lambda error: isinstance(error, UsageError))
    for ledger in files:
        if not ledger.is_file():
            raise UsageError(
                f"there is no ledger {ledger}; one that is begun there is halted, and no other",
                hint="name the ledger's file, as triarb status shows it",
            )


def _all() -> list[Path]:
    """Every ledger that this user may mean; a configuration that cannot be read does not keep others from being halted."""
    try:
        named = configured_ledger()
    except ConfigError as error:
        why = f"a ledger that the configuration here names is not halted, since it cannot be read: {error.message}"
        error_console().print(printable(why), markup=False, highlight=False)
        named = None
    if named is None or not named.is_file():
        return all_ledgers()
    try:
        others = all_ledgers()
    except UsageError:
        return [named]
    return list({real(ledger): ledger for ledger in (*others, named)}.values())
