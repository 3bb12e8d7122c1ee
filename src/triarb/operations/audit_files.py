"""The files of an audit log, open for the one that writes to them."""

import fcntl
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from triarb.exceptions import AuditError
from triarb.ledger.storage import BEGINNING, Entry
from triarb.operations.audit_lines import (
    CONTINUED,
    OPENED,
    REMOVED,
    SUFFIX,
    Check,
    Position,
    Record,
    compact,
    files_in,
    lines_of,
    moved,
    render,
)


@attrs.define
class AuditFiles:
    """The files, open for one writer. Not for several threads.

    Attributes:
        folder: where they are; made, with its folders, for nobody else to look into.
        max_bytes: a file that has reached this size is followed by the next.
        keep_bytes: the oldest files are removed while all together are larger; None removes none.
        position: how far the log of the ledger's events has come.
        torn_bytes: what was cut from the end when it was opened: a line that was never whole.
    """

    folder: Path
    max_bytes: int
    keep_bytes: int | None = None
    position: Position = attrs.field(factory=Position)
    torn_bytes: int = 0
    _seq: int = 0
    _digest: str = BEGINNING
    _size: int = 0
    _handle: int | None = None
    _lock: int | None = None

    def open(self, at_ns: int, about: dict[str, Any]) -> None:
        """Take the folder, see where the log stands, and say in a line of it that it goes on.

        Raises:
            AuditError: somebody writes to it (``audit.in_use``), its last file is not as it was written
                (``audit.broken``), or it cannot be written to (``audit.place``).
        """
        try:
            for folder in reversed((self.folder, *self.folder.parents)):
                if not folder.exists():
                    folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AuditError(
                    f"another process writes to the audit log {self.folder}",
                    code="audit.in_use",
                    hint="end that one, or name another ledger",
                ) from None
            self._find_end()
            payload = self._header() | about | {"cut_bytes": self.torn_bytes}
            self.append([(at_ns, OPENED, compact(payload))])
        except OSError as error:
            self.close()
            raise AuditError(
                f"the audit log {self.folder} cannot be written to: {error.strerror or error}",
                code="audit.place",
                hint="make room or choose another place, or set audit = off",
            ) from error
        except AuditError:
            self.close()
            raise

    def append(self, records: Sequence[Record]) -> None:
        """Write `records` as the next lines; all of them or none. The disk may still have to be waited for (`sync`).

        Raises:
            OSError: they could not be written; what was of them is cut off again, now or before the next ones.
        """
        if self._handle is None or self._size >= self.max_bytes:
            self._begin_file()
        if not self._size and self._seq:
            at_ns = records[0][0]
            self._write([(at_ns, CONTINUED, compact(self._header()))])
            self._remove_old(at_ns)
        self._write(records)

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            OSError: the disk failed.
        """
        if self._handle is not None:
            os.fsync(self._handle)

    def close(self) -> None:
        """Close the file and give the folder back."""
        for handle in (self._handle, self._lock):
            if handle is not None:
                os.close(handle)
        self._handle = self._lock = None

    def _find_end(self) -> None:
        for path in reversed(files_in(self.folder)):
            whole = self._read_whole(path)
            if whole:
                self._size = whole
                self._handle = os.open(path, os.O_WRONLY | os.O_APPEND)
                os.ftruncate(self._handle, whole)
                return
            path.unlink()  # it was begun, and its first line was never whole

    def _read_whole(self, path: Path) -> int:
        """How much of `path` is whole lines; they are as they were written, and it stands after the last of them."""
        check = Check(int(path.stem))
        whole = 0
        for line in lines_of(path):
            if not line.endswith(b"\n"):
                self.torn_bytes += len(line)
                break
            wrong = check.take(line)
            if wrong:
                raise AuditError(
                    f"{path}, line {check.line}: {wrong}",
                    code="audit.broken",
                    hint="see triarb audit verify; move the folder away to begin a new log",
                )
            whole += len(line)
        if whole:
            self._seq, self._digest, self.position = (
                check.expected - 1,
                check.digest,
                check.position,
            )
        return whole

    def _header(self) -> dict[str, Any]:
        return {"previous": self._digest, "ledger": attrs.asdict(self.position)}

    def _begin_file(self) -> None:
        self.sync()
        path = self.folder / f"{self._seq + 1:012}{SUFFIX}"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._size = handle, 0
        if self._lock is not None:
            os.fsync(self._lock)

    def _remove_old(self, at_ns: int) -> None:
        if self.keep_bytes is None:
            return
        files = files_in(self.folder)
        total = sum(path.stat().st_size for path in files)
        for path, following in pairwise(files):
            if total <= self.keep_bytes:
                return
            total -= path.stat().st_size
            removed = {"file": path.name, "through": int(following.stem) - 1}
            self._write([(at_ns, REMOVED, compact(removed))])
            self.sync()
            path.unlink()

    def _write(self, records: Sequence[Record]) -> None:
        seq, digest, position = self._seq, self._digest, self.position
        lines = []
        for at_ns, kind, payload in records:
            seq += 1
            entry = Entry.after(digest, seq, at_ns, kind, payload)
            digest, position = entry.digest, moved(position, kind, payload)
            lines.append(render(entry))
        data = b"".join(lines)
        handle = -1 if self._handle is None else self._handle
        os.ftruncate(handle, self._size)  # what a write that failed may have left
        written = 0
        while written < len(data):
            written += os.write(handle, data[written:])
        self._size += len(data)
        self._seq, self._digest, self.position = seq, digest, position
