"""AuditLog: every decision, order, fill and halt, in lines that cannot be changed unseen."""

import asyncio
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

from triarb.clock import Clock, SystemClock
from triarb.exceptions import UsageError
from triarb.ledger.journal import Tap
from triarb.ledger.storage import Entry
from triarb.model import EngineEvent
from triarb.operations.audit_files import AuditFiles
from triarb.operations.audit_lines import Position, Record, compact
from triarb.operations.audit_records import decision

FILE_BYTES: Final = 16 * 2**20
CAPACITY: Final = 10_000
"""How many lines wait for a disk that does not take them; what comes after them is lost, and counted."""

SYNC_SECONDS: Final = 1.0
"""The most that a power loss takes: lines are written at once, and waited for on the disk this often."""

RETRY_SECONDS: Final = 1.0
CLOSING_SECONDS: Final = 5.0
"""How long a disk gets for what waits when the log closes."""

PATIENCE_SECONDS: Final = 30.0
"""How long a ledger that is being opened waits for a disk that does not take its events; once, not for each of them."""

_BATCH: Final = 500
_log = logging.getLogger("triarb.audit")


class AuditLog(Tap):
    """An audit log in a folder of its own: give it to an engine as an observer, and to its ledger as `tap`.

    As an observer it writes decisions: what was nominated, confirmed, declined and why, approved and planned. As a tap it
    writes every event of the ledger with its number: intents, answers, fills, results, halts, who resumed. What a ledger
    came to hold while no audit log listened, such as the end of a process that was killed, is written when it is opened
    next. `record` takes whatever else should be in it.

    It writes on a thread of its own, so that it can neither block nor break trading. What orders depend on is the ledger's
    journal, which is durable before an order leaves; the audit log comes after it, and a power loss may take its last
    `SYNC_SECONDS`. Where it cannot be written it warns once, counts, and tries again; `on_failure` may halt then. An async
    context manager: open it before the ledger, and close it after.

    Args:
        folder: one log; see `audit_folder` for the one of a ledger. Made where there is none.
        file_bytes: about how large a file gets before the next is begun.
        keep_bytes: the oldest files are removed while all are larger than this, which the log then says; None keeps all.
        clock: the times of what is recorded by `record`.
        on_failure: told why, once, when something could not be written; on the log's own thread.

    Attributes:
        failures: how often writing failed.
        lost: how many lines are not in it because too many waited; the log says so itself once it can.

    Raises:
        UsageError: a size that makes no sense.
        AuditError: on entry: its folder is in use or cannot be written to, or its last file is not as it was written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = FILE_BYTES,
        keep_bytes: int | None = None,
        clock: Clock | None = None,
        on_failure: Callable[[str], object] | None = None,
    ) -> None:
        if file_bytes < 1 or (keep_bytes is not None and keep_bytes < file_bytes):
            raise UsageError(
                f"file_bytes is {file_bytes}, keep_bytes {keep_bytes}",
                hint="keep at least one file",
            )
        self.on_failure = on_failure
        self.failures = 0
        self.lost = 0
        self._files = AuditFiles(folder, file_bytes, keep_bytes)
        self._clock = clock or SystemClock()
        self._queue: queue.Queue[Record | None] = queue.Queue(CAPACITY)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="triarb-audit", daemon=True)
        self._counting = threading.Lock()
        self._failing = False
        self._said_lost = 0
        self._position = Position()

    def __repr__(self) -> str:
        return f"<AuditLog {self.folder}>"

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._files.folder

    def __call__(self, event: EngineEvent) -> None:
        """Write a decision; what the ledger tells is left to it."""
        told = decision(event)
        if told is not None:
            kind, payload = told
            self._put((event.at_ns, kind, compact(payload)))

    def record(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Write something else, such as a configuration. Never waits.

        Raises:
            ValueError, TypeError: `payload` is not JSON's.
        """
        self._put((self._clock.now_ns(), kind, compact(dict(payload))))

    def read_back(self, entry: Entry, /) -> None:
        """Write an event of a ledger that is being opened, unless the log has it already."""
        if entry.seq == 1 and entry.digest != self._position.first:  # another ledger
            self._position = Position()
        if entry.seq > self._position.seq:
            self._put(self._of_ledger(entry), patience=0 if self._failing else PATIENCE_SECONDS)

    def appended(self, entry: Entry, /) -> None:
        """Write an event that has just become durable. Never waits."""
        self._put(self._of_ledger(entry))

    def _of_ledger(self, entry: Entry) -> Record:
        first = entry.digest if entry.seq == 1 else self._position.first
        self._position = Position(first, entry.seq)
        payload = f'{{"ledger":{entry.seq},"digest":"{entry.digest}","event":{entry.payload}}}'
        return entry.at_ns, entry.kind, payload

    def _put(self, record: Record, patience: float = 0.0) -> None:
        try:
            self._queue.put(record, block=patience > 0, timeout=patience or None)
        except queue.Full:
            self._failed(f"{CAPACITY} lines wait to be written", lost=1)

    async def __aenter__(self) -> Self:
        """Open the files and begin to write."""
        about = {"triarb": version("triarb"), "process": os.getpid()}
        await asyncio.to_thread(self._files.open, self._clock.now_ns(), about)
        self._position = self._files.position
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Write what waits, and close; a disk that does not answer is not waited for."""
        self._ending.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        await asyncio.to_thread(self._thread.join, CLOSING_SECONDS)
        if self._thread.is_alive():
            self._failed("the disk does not answer", lost=self._queue.qsize())

    def _run(self) -> None:
        """Write what is queued, until the end."""
        waiting: list[Record] = []
        synced, written = time.monotonic(), False
        while waiting or not self._queue.empty() or not self._ending.is_set():
            waiting = waiting or self._take()
            try:
                if waiting:
                    self._write(waiting)
                    waiting, written = [], True
                if written and time.monotonic() - synced >= SYNC_SECONDS:
                    self._files.sync()
                    synced, written = time.monotonic(), False
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it must not end it
                why = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
                hopeless = self._ending.is_set() or not isinstance(error, OSError)
                self._failed(why, lost=len(waiting) if hopeless else 0)
                waiting = [] if hopeless else waiting
                self._ending.wait(RETRY_SECONDS)
        with contextlib.suppress(OSError):
            self._files.sync()
        self._files.close()

    def _take(self) -> list[Record]:
        """What is queued, at most a batch of it; it waits for the first as long as nothing needs to be synced."""
        taken: list[Record] = []
        with contextlib.suppress(queue.Empty):
            first = self._queue.get(timeout=SYNC_SECONDS)
            while first is not None:
                taken.append(first)
                if len(taken) == _BATCH:
                    break
                first = self._queue.get_nowait()
        return taken

    def _write(self, records: list[Record]) -> None:
        lost = self.lost - self._said_lost
        gap = [(self._clock.now_ns(), "lost", compact({"lines": lost}))] if lost else []
        self._files.append([*gap, *records])
        self._said_lost += lost
        self._failing = False

    def _failed(self, why: str, lost: int = 0) -> None:
        """Count it; say so, and tell who wants to know, where it has only begun."""
        with self._counting:
            self.failures += 1
            self.lost += lost
            begun, self._failing = not self._failing, True
        if not begun:
            return
        _log.warning("the audit log %s cannot be written: %s", self.folder, why)
        if self.on_failure is not None:
            try:
                self.on_failure(why)
            except Exception:  # noqa: BLE001 - it must not end the thread
                _log.exception("what was to be told that the audit log fails failed as well")
