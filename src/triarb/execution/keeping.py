"""Keeping: what is learned of an order that may have left is journalled, or, where the ledger fails, kept elsewhere.

Before an order leaves, a ledger that fails means no order. After it has left, what is learned of it is a fact: the write is
tried again for a while, and what the ledger does not take then is appended to a file beside it, a JSON line an event,
and written to the log. Nothing reads that file on its own. The exchange has the truth, and the next recovery asks it;
the file is for the person who wants to know what the engine knew.
"""

import asyncio
import logging
import os
from pathlib import Path
from typing import Final

from triarb.clock import Clock
from triarb.exceptions import LedgerError
from triarb.ledger import Ledger
from triarb.ledger.codec import encode
from triarb.model import LedgerEvent

WAITS_SECONDS: Final = (0.05, 0.2, 0.5)
"""How long a write that failed waits until it is tried again."""

UNWRITTEN: Final = "ledger.unwritten"

_LASTING: Final = frozenset(
    {"ledger.contradiction", "ledger.inexact", "ledger.event", "ledger.closed", "ledger.read_only"}
)
"""The failures that trying again cannot mend."""

_log = logging.getLogger("triarb.execution")


def unwritten_file(ledger: Path) -> Path:
    """Where events go that the ledger in file `ledger` does not take: beside it, ``<name>.unwritten.jsonl``."""
    return ledger.with_name(f"{ledger.name}.unwritten.jsonl")


class Unwritten:
    """Where events go that a ledger does not take.

    Args:
        file: it is only ever appended to; None writes them to the log alone.
    """

    __slots__ = ("_file",)

    def __init__(self, file: Path | None = None) -> None:
        self._file = file

    def __str__(self) -> str:
        return "the log" if self._file is None else str(self._file)

    def keep(self, event: LedgerEvent, error: LedgerError) -> None:
        """Keep `event`, which the ledger did not take because of `error`. Never raises."""
        try:
            line = encode(event)
        except LedgerError:
            line = repr(event)
        _log.critical("not in the ledger (%s): %s", error, line)
        if self._file is None:
            return
        try:
            _append(self._file, line)
        except OSError as failed:
            _log.critical("nor can %s be written to: %s", self._file, failed.strerror)


class Record:
    """Journals one execution. What is learned is written while the execution goes on; nothing is intended before it is durable.

    Attributes:
        failure: why the ledger does not take what is learned any more; None while it does.
    """

    __slots__ = ("_clock", "_learned", "_ledger", "_unwritten", "_writing", "failure")

    def __init__(self, ledger: Ledger, clock: Clock, unwritten: Unwritten) -> None:
        self._ledger = ledger
        self._clock = clock
        self._unwritten = unwritten
        self._learned: list[LedgerEvent] = []
        self._writing: asyncio.Task[None] | None = None
        self.failure: LedgerError | None = None

    async def intend(self, *events: LedgerEvent) -> None:
        """Journal what is about to be done, together, once all that was learned is durable.

        Raises:
            LedgerError: it is not durable, or what was learned is not; it must not be done.
        """
        await self.durable()
        await self._append(*events)

    def learn(self, *events: LedgerEvent) -> None:
        """Begin to journal what was learned, together, after what was learned before; where that fails, keep it."""
        self._learned += events
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write())

    async def settled(self) -> None:
        """Wait until all that was learned is durable, or kept elsewhere. Whoever cancels the wait does not cancel that."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def durable(self) -> None:
        """Wait until all that was learned is durable.

        Raises:
            LedgerError: it is kept elsewhere (``ledger.unwritten``).
        """
        await self.settled()
        if self.failure is not None:
            raise LedgerError(
                f"what orders did is not in the ledger: {self.failure.message}",
                code=UNWRITTEN,
                hint=f"it is kept in {self._unwritten}; mend the ledger, and the next start asks the exchange",
            ) from self.failure

    async def _write(self) -> None:
        while self._learned:
            events, self._learned = self._learned, []
            if self.failure is None:
                try:
                    await self._append(*events)
                except LedgerError as error:
                    self.failure = error
                except Exception as error:  # noqa: BLE001 - a ledger of somebody's own; what it was told is lost all the same
                    wrong = f"it raised {type(error).__name__}: {error}"
                    self.failure = LedgerError(wrong, code="ledger.broken")
            if self.failure is not None:
                for event in events:
                    self._unwritten.keep(event, self.failure)

    async def _append(self, *events: LedgerEvent) -> None:
        for wait_seconds in WAITS_SECONDS:
            try:
                return await self._ledger.append(*events)
            except LedgerError as error:
                if error.code in _LASTING:
                    raise
            await self._clock.sleep(wait_seconds)
        return await self._ledger.append(*events)


def _append(file: Path, line: str) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
