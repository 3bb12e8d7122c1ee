"""The database below a ledger: opened and locked, written and read. Sync, and for one thread: it has one connection."""

import contextlib
import fcntl
import hashlib
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from triarb.exceptions import LedgerError
from triarb.ledger.accounts import Posting
from triarb.ledger.failures import RESTORE, cannot_open, failures
from triarb.ledger.place import Place
from triarb.ledger.schema import bring_to_head
from triarb.ledger.tables import journal, postings
from triarb.money import arithmetic, plain

_PAGE: Final = 1000


BEGINNING: Final = "0" * 64
"""What stands for the digest before the first event."""


@attrs.frozen
class Entry:
    """One event as it is stored; `seq` counts from 1 without a gap, `digest` chains it to the one before it."""

    seq: int
    at_ns: int
    kind: str
    payload: str
    digest: str

    @classmethod
    def after(cls, previous: str, seq: int, at_ns: int, kind: str, payload: str) -> "Entry":
        """The entry that follows the one whose digest is `previous`."""
        return cls(seq, at_ns, kind, payload, chained(previous, seq, at_ns, kind, payload))

    def follows(self, previous: str) -> bool:
        """Whether it is as it was written, after the entry whose digest is `previous`."""
        return self.digest == chained(previous, self.seq, self.at_ns, self.kind, self.payload)


def chained(previous: str, seq: int, at_ns: int, kind: str, payload: str) -> str:
    """SHA-256 over all that an entry says and the digest before it, in hexadecimal digits."""
    text = f"{previous}\n{seq}\n{at_ns}\n{kind}\n{payload}"
    return hashlib.sha256(text.encode()).hexdigest()


@attrs.frozen
class _Insert:
    """A statement that is compiled once: doing so for every event would take longer than all else but the disk."""

    text: str
    names: tuple[str, ...]

    @classmethod
    def into(cls, table: sa.Table, engine: sa.Engine) -> "_Insert":
        compiled = table.insert().compile(engine)
        return cls(str(compiled), tuple(compiled.positiontup or ()))

    def run(self, connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert `rows`; by position where the driver counts, else by name."""
        given: list[Any] = [
            tuple(row[n] for n in self.names) if self.names else row for row in rows
        ]
        if given:
            connection.exec_driver_sql(self.text, given if len(given) > 1 else given[0])


@attrs.frozen
class Storage:
    """An open database at the newest schema, the connection that writes to it, and the lock on its file.

    Attributes:
        file: which file it is, by device and inode; None in memory and on a server.
    """

    place: Place
    engine: sa.Engine
    lock: int | None
    file: tuple[int, int] | None
    _writer: sa.Connection
    _to_journal: _Insert
    _to_postings: _Insert

    def write(self, entries: Sequence[Entry], lines: Sequence[Iterable[Posting]]) -> None:
        """Commit entries and the postings of each in one transaction; durable when it returns.

        Raises:
            LedgerError: nothing was written, as far as the database says.
        """
        rows = [
            {
                "seq": entry.seq,
                "account": line.account,
                "asset": line.asset,
                "amount": plain(line.amount),
            }
            for entry, its in zip(entries, lines, strict=True)
            for line in its
        ]
        with failures(self.place, "write to"):
            self._still_there()
        with failures(self.place, "write to"), self._writer.begin():
            self._to_journal.run(self._writer, map(attrs.asdict, entries))
            self._to_postings.run(self._writer, rows)

    def _still_there(self) -> None:
        """See that its file is where the next start looks for it: a write to one that was removed is lost with its process."""
        if self.file is not None and _which(self.place) != self.file:
            raise LedgerError(
                f"cannot write to the ledger {self.place}: its file was moved or removed meanwhile",
                code="ledger.gone",
                hint="put it back before anything starts on a new one",
            )

    def check(self) -> None:
        """Write the head of the database as it is, and wait for the disk: what would stop a write stops this.

        Raises:
            LedgerError: it cannot be written to.
        """
        with failures(self.place, "write to"):
            self._still_there()
        with failures(self.place, "write to"), self.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")
            else:
                connection.execute(sa.select(sa.literal(1)))

    def page(self, after: int) -> Sequence[Entry]:
        """The next entries after number `after`, at most a thousand.

        Raises:
            LedgerError: it cannot be read, or one is missing.
        """
        query = sa.select(journal).where(journal.c.seq > after).order_by(journal.c.seq).limit(_PAGE)
        with failures(self.place, "read"), self.engine.connect() as connection:
            entries = [Entry(*row) for row in connection.execute(query)]
        if entries and entries[-1].seq != after + len(entries):
            raise cannot_read(self.place, f"an event after number {after} is missing")
        return entries

    def held(self) -> dict[str, Decimal]:
        """What the postings of the account `trading` come to, by asset.

        Raises:
            LedgerError: it cannot be read.
        """
        trading = postings.c.account == "trading"
        query = sa.select(postings.c.asset, postings.c.amount).where(trading)
        total: defaultdict[str, Decimal] = defaultdict(Decimal)
        with (
            failures(self.place, "read"),
            self.engine.connect() as connection,
            arithmetic(),
        ):
            for asset, amount in connection.execute(query):
                total[asset] += Decimal(amount)
        return {asset: amount for asset, amount in total.items() if amount}

    def durability(self) -> tuple[str, str]:
        """What its connection says of ``synchronous`` and ``journal_mode``, in SQLite's words; empty on a server.

        Raises:
            LedgerError: it cannot be read.
        """
        if self.engine.dialect.name != "sqlite":
            return "", ""
        with failures(self.place, "read"), self.engine.connect() as connection:
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return ("OFF", "NORMAL", "FULL", "EXTRA")[int(level)], str(mode).upper()

    def close(self) -> None:
        """Close the database and give the lock back.

        The lock's file stays: deleting it could delete the one that somebody else has just locked.
        """
        self._writer.close()
        self.engine.dispose()
        if self.lock is not None:
            os.close(self.lock)


def cannot_read(place: Place, wrong: str) -> LedgerError:
    """The error of a ledger whose content contradicts itself."""
    return LedgerError(
        f"cannot read the ledger {place}: {wrong}", code="ledger.corrupt", hint=RESTORE
    )


def open_storage(place: Place, *, read_only: bool, busy_timeout_ms: int) -> Storage:
    """Open `place`, making it or bringing it to the newest schema unless it is only read.

    Raises:
        LedgerError: it is in use, no ledger, damaged, of a newer triarb, or its place cannot be written to.
    """
    with contextlib.ExitStack() as undo, failures(place, "open"):
        lock = None
        if place.path:
            _check_place(place, place.path, read_only=read_only)
            if not read_only:
                name = place.path.with_name(f"{place.path.name}.lock")
                lock = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
                undo.callback(os.close, lock)
                _take(lock, place)
            if place.path.exists() and not place.path.stat().st_size:
                raise cannot_open(
                    place,
                    "the file is empty: what it held is lost",
                    code="ledger.corrupt",
                    hint=RESTORE,
                )
        engine = _make_engine(place, read_only=read_only, busy_timeout_ms=busy_timeout_ms)
        undo.callback(engine.dispose)
        bring_to_head(engine, place, read_only=read_only)
        if place.path and not read_only:
            with engine.connect() as connection:  # only now, for it changes the file
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        writer = engine.connect()
        undo.pop_all()
        inserts = _Insert.into(journal, engine), _Insert.into(postings, engine)
        return Storage(place, engine, lock, _which(place), writer, *inserts)


def _which(place: Place) -> tuple[int, int] | None:
    """Which file is at `place` now; None where there is none."""
    if place.path is None:
        return None
    try:
        found = os.stat(place.path)  # noqa: PTH116 - before every write: a third of the time of Path.stat
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _check_place(place: Place, path: Path, *, read_only: bool) -> None:
    """See that a file can be there, and make its folders, for nobody else to look into, unless it is only read."""
    if path.is_dir():
        raise cannot_open(
            place, "it is a folder", code="ledger.place", hint="name a file in it instead"
        )
    if read_only and not path.exists():
        raise cannot_open(
            place, "there is none", code="ledger.missing", hint="a first run makes one"
        )
    if not read_only:
        for folder in reversed(path.parents):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)


def _take(lock: int, place: Place) -> None:
    """Hold the lock until its file is closed, or until the process ends, however it ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise cannot_open(
            place,
            f"process {os.read(lock, 20).decode()} is using it",
            code="ledger.in_use",
            hint="end that one, or open this with read_only=True",
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, b"%d" % os.getpid())


def writer_of(path: Path) -> int | None:
    """The process that has the ledger in file `path` open for writing; None where none has."""
    try:
        lock = os.open(path.resolve().with_name(f"{path.resolve().name}.lock"), os.O_RDONLY)
    except OSError:  # nobody ever wrote, or nobody whose lock we may see
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back at once
    except BlockingIOError:
        return int(os.read(lock, 20) or 0)
    else:
        return None
    finally:
        os.close(lock)


def _make_engine(place: Place, *, read_only: bool, busy_timeout_ms: int) -> sa.Engine:
    if place.url.get_backend_name() != "sqlite":
        return sa.create_engine(place.url, hide_parameters=True)
    options: dict[str, Any] = {}
    if place.path and read_only:
        # Without a -wal file nobody is writing, and "immutable" then leaves no files of ours beside it.
        idle = not place.path.with_name(f"{place.path.name}-wal").exists()
        name = f"{place.path.as_uri()}?{'immutable=1' if idle else 'mode=ro'}"
        options["creator"] = lambda: sqlite3.connect(name, uri=True)
    engine = sa.create_engine(place.url, poolclass=StaticPool, hide_parameters=True, **options)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")

    return engine
