"""The seam to the books: Ledger, and SqlLedger, which keeps them in a SQL database."""

import asyncio
import os
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from triarb.exceptions import LedgerError
from triarb.ledger.accounts import State
from triarb.ledger.journal import Journal, Tap
from triarb.ledger.place import Place
from triarb.model import Configured, Examined, LedgerEvent, Portfolio, Unfinished

BUSY_TIMEOUT_MS: Final = 1000
"""How long a write waits for another program's lock before it fails."""


class Ledger(Protocol):
    """Remembers every event, and knows what is held because of them.

    `triarb.testing.ledger.check_ledger` tests an implementation.
    """

    __slots__ = ()

    @abstractmethod
    async def append(self, *events: LedgerEvent) -> None:
        """Make `events` durable together, in this order, then let them count; all, or none. Durable when it returns.

        A fill whose symbol and trade id were seen before changes nothing. Whoever cancels the wait does not cancel
        the write.

        Raises:
            LedgerError: one contradicts the events before it, or cannot be written; the portfolio is as it was.
        """
        ...

    @abstractmethod
    def portfolio(self) -> Portfolio:
        """What all events so far come to; frozen, so that later events make another."""
        ...

    @abstractmethod
    def unfinished(self) -> tuple[Unfinished, ...]:
        """The executions that run, were cut off or are stuck, oldest first, with all that is known of their orders."""
        ...


class SqlLedger(Ledger):
    """A ledger in a SQL database: a journal of events, and the postings of those that moved balances.

    An async context manager. One at a time is open for writing, which a lock beside the file sees to; on entry the
    journal is read back, and the portfolio is what it was when the ledger was closed, or when its process died.
    Each event carries a digest over itself and all before it, so that none can be changed unseen.

    Args:
        place: the file, made with its folders where there is none; or a SQLAlchemy URL. ``"sqlite://"`` is in
            memory, and gone when it is closed.
        read_only: for reports: takes no lock, writes nothing, and knows what was there when it was opened.
        busy_timeout_ms: how long a write waits for another program's lock before it fails.
        tap: told every event, such as an `AuditLog`.

    Raises:
        UsageError: `place` makes no sense.
        LedgerError: on entry: it is in use, no ledger, damaged, of a newer triarb, or its place cannot be written to.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        read_only: bool = False,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        tap: Tap | None = None,
    ) -> None:
        self._place = Place.parse(place)
        self._tap = tap
        self._read_only = read_only
        self._busy_timeout_ms = busy_timeout_ms
        self._thread: ThreadPoolExecutor | None = None
        self._journal: Journal | None = None

    def __repr__(self) -> str:
        return f"<SqlLedger {self._place}>"

    @property
    def path(self) -> Path | None:
        """The file; None in memory and on a server."""
        return self._place.path

    @property
    def url(self) -> str:
        """The SQLAlchemy URL, its password hidden."""
        return self._place.url.render_as_string(hide_password=True)

    @property
    def epoch(self) -> str | None:
        """The epoch of the engine that came last; None before the first."""
        epochs = list(self._state().portfolio.epochs)
        return epochs[-1] if epochs else None

    @property
    def configured(self) -> Configured | None:
        """What the engine that came last ran on; None where that is not known."""
        return self._state().configured

    @property
    def examined(self) -> Examined | None:
        """The last examination that it remembers."""
        return self._state().examined

    async def durability(self) -> tuple[str, str]:
        """How its database writes: SQLite's words for ``synchronous`` and ``journal_mode``; empty on a server.

        Raises:
            LedgerError: it is not open.
        """
        asking = self._running().submit(self._opened().durability)
        return await asyncio.wrap_future(asking)

    def next_number(self) -> int:
        """The number of the next execution: one more than have started."""
        return self._state().portfolio.started + 1

    def portfolio(self) -> Portfolio:
        """What all events so far come to; once closed, what they came to.

        Raises:
            LedgerError: it was never open.
        """
        return self._state().portfolio

    def unfinished(self) -> tuple[Unfinished, ...]:
        """The executions without a proven end, oldest first.

        Raises:
            LedgerError: it was never open.
        """
        return tuple(self._state().unfinished.values())

    async def append(self, *events: LedgerEvent) -> None:
        """Commit `events` and their postings to disk in one transaction, then let them count; all, or none."""
        writing = self._running().submit(self._opened().append, *events)
        await asyncio.shield(asyncio.wrap_future(writing))

    async def check(self) -> None:
        """See that it can be written to, durably, without writing anything.

        Raises:
            LedgerError: it cannot, or it is open for reading only.
        """
        checking = self._running().submit(self._opened().check)
        await asyncio.shield(asyncio.wrap_future(checking))

    def events(self) -> Iterator[LedgerEvent]:
        """The whole journal in order. It blocks while it reads: for reports, and for recovery at a start.

        Raises:
            LedgerError: it is not open, or an event cannot be read.
        """
        last = 0
        while page := self._running().submit(self._opened().page, last).result():
            for last, event in page:  # noqa: B007
                yield event

    async def __aenter__(self) -> Self:
        """Open it and read the journal back."""
        if self._thread is not None:
            raise LedgerError(
                f"the ledger {self._place} is open already",
                code="ledger.in_use",
                hint="enter it once and pass it on",
            )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="triarb-ledger")
        self._journal = None
        try:
            await asyncio.shield(asyncio.wrap_future(self._thread.submit(self._open)))
        except BaseException:
            await self._shut()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Let what is being written finish, then close."""
        await self._shut()

    async def _shut(self) -> None:
        thread, self._thread = self._running(), None
        closing = thread.submit(self._close)  # waits its turn after all writes
        thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closing))

    def _open(self) -> None:
        self._journal = Journal.open(
            self._place,
            read_only=self._read_only,
            busy_timeout_ms=self._busy_timeout_ms,
            tap=self._tap,
        )

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _running(self) -> ThreadPoolExecutor:
        """The one thread that touches the database; it does what it is asked for in order."""
        if self._thread is None:
            raise self._not_open()
        return self._thread

    def _opened(self) -> Journal:
        if self._journal is None:
            raise self._not_open()
        return self._journal

    def _state(self) -> State:
        return self._opened().accounts.state

    def _not_open(self) -> LedgerError:
        return LedgerError(
            f"the ledger {self._place} is not open",
            code="ledger.closed",
            hint="use it inside `async with`",
        )
