"""The journal: events on disk, and the accounts that they come to. Sync; `SqlLedger` runs it in a thread."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, Self

from triarb.exceptions import LedgerError
from triarb.ledger.accounts import Accounts
from triarb.ledger.codec import decode, encode
from triarb.ledger.place import Place
from triarb.ledger.storage import BEGINNING, Entry, Storage, cannot_read, open_storage
from triarb.model import LedgerEvent

_log = logging.getLogger("triarb.ledger")


class Tap(Protocol):
    """Told every event of a ledger in order, on the ledger's own thread. What it raises is logged, and nothing else."""

    __slots__ = ()

    @abstractmethod
    def read_back(self, entry: Entry, /) -> None:
        """One that was there when the ledger was opened. Nothing trades yet, so it may wait."""
        ...

    @abstractmethod
    def appended(self, entry: Entry, /) -> None:
        """One that has just become durable, and counts. It must not wait: an order may be waiting for it."""
        ...


class Journal:
    """Writes events before it lets them count.

    Attributes:
        accounts: what all events so far come to; never ahead of what is on disk.
    """

    __slots__ = ("_digest", "_last_seq", "_read_only", "_storage", "_tap", "accounts")

    def __init__(self, storage: Storage, *, read_only: bool, tap: Tap | None = None) -> None:
        self._storage = storage
        self._read_only = read_only
        self._tap = tap
        self._last_seq = 0
        self._digest = BEGINNING
        self.accounts = Accounts()

    @classmethod
    def open(
        cls, place: Place, *, read_only: bool, busy_timeout_ms: int, tap: Tap | None = None
    ) -> Self:
        """Open the database at `place` and read it back.

        Raises:
            LedgerError: as `open_storage`; or its events make no sense, or not what its postings say.
        """
        storage = open_storage(place, read_only=read_only, busy_timeout_ms=busy_timeout_ms)
        journal = cls(storage, read_only=read_only, tap=tap)
        try:
            journal._read_back()
        except BaseException:
            storage.close()
            raise
        return journal

    def _read_back(self) -> None:
        while page := self._storage.page(self._last_seq):
            for entry in page:
                if not entry.follows(self._digest):
                    wrong = f"event {entry.seq} is not as it was written"
                    raise cannot_read(self._storage.place, wrong)
                event = self._decoded(entry)
                try:
                    self.accounts.apply(event)
                except LedgerError as error:
                    raise cannot_read(self._storage.place, f"event {entry.seq}: {error}") from error
                self._digest = entry.digest
                self._tell(entry, live=False)
            self._last_seq = page[-1].seq
        if self._storage.held() != self.accounts.state.portfolio.balances:
            raise cannot_read(self._storage.place, "its events and its postings disagree")

    def page(self, after: int) -> Sequence[tuple[int, LedgerEvent]]:
        """Some events that follow number `after`, with their numbers; none is the end.

        Raises:
            LedgerError: one is missing or makes no sense.
        """
        return [(entry.seq, self._decoded(entry)) for entry in self._storage.page(after)]

    def _decoded(self, entry: Entry) -> LedgerEvent:
        try:
            return decode(entry.payload)
        except LedgerError as error:
            raise cannot_read(self._storage.place, f"event {entry.seq}: {error}") from error

    def append(self, *events: LedgerEvent) -> None:
        """Commit `events` and their postings in one transaction, then let them count.

        Raises:
            LedgerError: it is open for reading only, or one contradicts those before it or cannot be written; the
                accounts are as they were.
        """
        if self._read_only:
            raise LedgerError(
                f"the ledger {self._storage.place} is open for reading only",
                code="ledger.read_only",
            )
        entries, digest = [], self._digest
        for seq, event in enumerate(events, self._last_seq + 1):
            kind, payload = type(event).__name__, encode(event)
            entry = Entry.after(digest, seq, event.at_ns, kind, payload)
            entries.append(entry)
            digest = entry.digest
        step = self.accounts.step(*events)
        self._storage.write(entries, step.postings)
        self._last_seq, self._digest = self._last_seq + len(entries), digest
        self.accounts.take(step)
        for entry in entries:
            self._tell(entry, live=True)

    def check(self) -> None:
        """Make the database write to its disk and wait for it, changing nothing.

        Raises:
            LedgerError: it cannot.
        """
        self._storage.check()

    def _tell(self, entry: Entry, *, live: bool) -> None:
        if self._tap is None:
            return
        try:
            (self._tap.appended if live else self._tap.read_back)(entry)
        except Exception:  # noqa: BLE001 - what listens must not reach what trades
            _log.exception("what listens to the ledger %s failed", self._storage.place)

    def durability(self) -> tuple[str, str]:
        """As `Storage.durability`."""
        return self._storage.durability()

    def close(self) -> None:
        """Close the database and give its lock back."""
        self._storage.close()
