"""Gate: what every order of an engine must pass. A halt shuts it, and waits for what had passed before."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import WeakSet

from triarb.exceptions import LedgerError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.execution.keeping import UNWRITTEN, Unwritten, unwritten_file
from triarb.execution.sending import Outgoing
from triarb.ledger import Ledger
from triarb.model import Order, Purpose, Refused


class Gate:
    """A halt lets nothing open; what closes passes, unless the halt is to freeze all.

    Args:
        freeze: whether a halt also forbids orders that bring back what a cycle under way is stranded with.

    Attributes:
        latch: what shuts it.
        ledger: whose orders pass here; None while its engine is not open.
        outgoing: the orders that passed it and are not answered yet.
        unwritten: where events go that the ledger does not take.
    """

    def __init__(self, *, freeze: bool) -> None:
        self.latch = HaltLatch()
        self.outgoing = Outgoing()
        self.unwritten = Unwritten()
        self._freeze = freeze
        self.ledger: Ledger | None = None

    def belongs_to(self, ledger: Ledger, file: Path | None) -> None:
        """Guard the orders of `ledger`, and keep in files beside `file` what needs no ledger.

        Raises:
            LedgerError: another engine of this process is open on it (``ledger.in_use``); or a halt from before could not
                be made durable (``halt.file``), which holds nevertheless.
        """
        if any(gate.ledger is ledger for gate in _GATES):
            raise LedgerError(
                f"another engine of this process is open on {ledger!r}",
                code="ledger.in_use",
                hint="one engine trades on a ledger: close that one first, or give this one a ledger of its own",
            )
        self.ledger = ledger
        _GATES.add(self)
        if file is not None:
            self.unwritten = Unwritten(unwritten_file(file))
            self.latch.keep_in(halt_file(file))

    def leave(self) -> None:
        """Let other engines have the ledger."""
        self.ledger = None

    @property
    def halted(self) -> str | None:
        """Why it is shut. The latch first: the ledger may still be writing it; an earlier engine's may be there only."""
        on_record = self.ledger.portfolio().halted if self.ledger is not None else None
        return self.latch.reason or on_record

    def ask(self, _order: Order, purpose: Purpose) -> Refused | None:
        """Why an order may not pass; None where it may."""
        halted = self.halted
        if halted is None or (purpose is not Purpose.OPEN and not self._freeze):
            return None
        return Refused("engine.halted", f"halted: {halted}")

    async def shut(self, reason: str) -> None:
        """Let nothing pass from now on that a halt forbids, and return once nothing of it is on its way any more.

        Raises:
            LedgerError: it is not durable (``halt.file``); it holds nevertheless.
        """
        self.latch.set(reason)  # first, so that no order passes while anything is waited for
        await self.outgoing.settled(lambda order, purpose: self.ask(order, purpose) is not None)

    @contextmanager
    def halting_if_unwritten(self) -> Iterator[None]:
        """Halt where the ledger does not take what orders did: the latch needs no ledger."""
        try:
            yield
        except LedgerError as error:
            if error.code == UNWRITTEN:
                with suppress(LedgerError):  # then it holds in memory; the first word counts
                    self.latch.set(error.message)
            raise


_GATES: Final[WeakSet[Gate]] = WeakSet()
"""Those of this process: a lock beside a file does not see its second engine. An engine that nobody has any more is none."""
