"""HaltLatch: no new exposure from the moment it is set, in this process and the next, until a person lifts it."""

import os
from pathlib import Path
from typing import Final

from triarb.exceptions import LedgerError

_LONGEST: Final = 1000


def halt_file(ledger: Path) -> Path:
    """Where the latch of the ledger in file `ledger` is: beside it, as ``<name>.halt``."""
    return ledger.with_name(f"{ledger.name}.halt")


class HaltLatch:
    """Set by a method, by a signal, or by whoever makes its file; asked right before each order, with no wait between.

    That the file is there halts, whatever is in it: `triarb halt`, an operator's ``touch`` or a watchdog need neither the
    engine's consent nor a database that works. What cannot be read halts too.

    Args:
        file: None keeps it in memory only.
    """

    __slots__ = ("_file", "_reason")

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why it is set; None where it is not."""
        if self._reason is not None:
            return self._reason
        return None if self._file is None else _read(self._file)

    def set(self, reason: str) -> None:
        """Set it: at once in memory, then durably in its file. The first reason stays.

        Raises:
            LedgerError: the file could not be written (``halt.file``). It is set nevertheless, until this process ends.
        """
        if self._reason is None:
            self._reason = reason.strip() or "no reason was given"
        if self._file is None:
            return
        try:
            _write(self._file, self._reason)
        except OSError as error:
            raise LedgerError(
                f"the halt ({reason}) is not durable: {self._file} cannot be written: {error.strerror}",
                code="halt.file",
                hint="it holds until this process ends; make that file by hand before another one starts",
            ) from error

    def keep_in(self, file: Path) -> None:
        """Have it in `file` from now on, what was set before included.

        Raises:
            LedgerError: as `set`.
        """
        self._file = file
        if self._reason is not None:
            self.set(self._reason)

    def lift(self) -> None:
        """Unset it, by a person's will, and remove the file.

        Raises:
            LedgerError: the file could not be removed (``halt.file``); it is still set.
        """
        if self._file is not None:
            try:
                self._file.unlink(missing_ok=True)
                _sync(self._file.parent)
            except OSError as error:
                raise LedgerError(
                    f"the halt stays: {self._file} cannot be removed: {error.strerror}",
                    code="halt.file",
                    hint="remove that file by hand",
                ) from error
        self._reason = None


def _read(file: Path) -> str | None:
    try:
        os.stat(file)  # noqa: PTH116 - a third of the time of Path.exists, which also hides errors
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{file} cannot be looked at: {error.strerror}"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")[:_LONGEST]
    except FileNotFoundError:  # lifted between the two
        return None
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}"
    return " ".join(text.split()) or f"{file} is there"


def _write(file: Path, reason: str) -> None:
    """Make `file` durably, or leave it as it is if it is there."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        os.write(handle, f"{reason}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync(file.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
