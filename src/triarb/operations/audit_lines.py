"""The lines of an audit log: JSON in a chain of digests, over files whose names sort. Checked and read here.

A file is named by the number of its first line, such as ``000000000001.jsonl``. Its first line says the digest of the line
before it, so that a file whose forerunners were removed can still be checked.
"""

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from triarb.clock import iso
from triarb.exceptions import AuditError
from triarb.ledger.place import beside
from triarb.ledger.storage import BEGINNING, Entry

SUFFIX: Final = ".jsonl"
OPENED: Final = "opened"
CONTINUED: Final = "continued"
REMOVED: Final = "removed"
_KEYS: Final = ["seq", "at_ns", "kind", "payload", "digest"]

Record = tuple[int, str, str]
"""When it was, its kind, and its payload as JSON text without spaces."""


def audit_folder(ledger: Path) -> Path:
    """Where the audit log of the ledger in file `ledger` is: beside it, as ``<name>.audit``."""
    return beside(ledger, ".audit")


def compact(payload: Any) -> str:
    """`payload` as JSON text, the only way in which a line may hold it.

    Raises:
        ValueError, TypeError: it has something that is not JSON's.
    """
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def render(entry: Entry) -> bytes:
    """The line that holds `entry`."""
    kind = compact(entry.kind)
    text = (
        f'{{"seq":{entry.seq},"at_ns":{entry.at_ns},"kind":{kind},'
        f'"payload":{entry.payload},"digest":"{entry.digest}"}}\n'
    )
    return text.encode()


def parse(line: bytes) -> Entry | None:
    """The entry that `line` holds; None where it is not, byte for byte, what `render` makes of one."""
    try:
        body = json.loads(line)
        if not isinstance(body, dict) or list(body) != _KEYS or not isinstance(body["kind"], str):
            return None
        payload = compact(body["payload"])
        entry = Entry(body["seq"], body["at_ns"], body["kind"], payload, body["digest"])
        return entry if render(entry) == line else None
    except (ValueError, RecursionError):
        return None


def files_in(folder: Path) -> list[Path]:
    """The files of the log, the oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


@attrs.frozen
class Position:
    """How far the log of a ledger's events has come: that ledger's first digest, and the last event's number."""

    first: str = ""
    seq: int = 0


def moved(position: Position, kind: str, payload: str) -> Position:
    """Where the log of the ledger stands after a line."""
    if not payload.startswith('{"ledger":'):
        return position
    body = json.loads(payload)
    if kind in (OPENED, CONTINUED) or not isinstance(body["ledger"], int):
        return position
    seq = body["ledger"]
    return Position(body["digest"] if seq == 1 else position.first, seq)


@attrs.define
class Check:
    """Takes lines one after the other, and says what is wrong with the first that is not as it was written.

    Attributes:
        expected: the number of the next line.
        line: how many of the file were taken.
        digest: that of the last one.
        position: how far the log of the ledger's events has come.
        removed_through: the last line that the log says it removed.
        is_first: whether none was taken yet.
    """

    expected: int
    line: int = 0
    digest: str = BEGINNING
    position: Position = attrs.field(factory=Position)
    removed_through: int = 0
    is_first: bool = True

    def begin_file(self, path: Path) -> str | None:
        """Go on with `path`; what is wrong with that, if anything is."""
        self.line = 0
        if int(path.stem) != self.expected:
            return f"it should begin with line {self.expected} of the log: lines are missing"
        return None

    def take(self, line: bytes) -> str | None:
        """Go on with `line`; what is wrong with it, if anything is."""
        self.line += 1
        entry = parse(line)
        if entry is None:
            return "it is no line that an audit log writes"
        body = json.loads(entry.payload)
        if self.line == 1:
            told = body.get("previous") if isinstance(body, dict) else None
            if entry.kind not in (OPENED, CONTINUED) or not isinstance(told, str):
                return "a file must begin by saying what it follows"
            if self.is_first:
                self.digest, self.position = told, _told_position(body)
        if entry.seq != self.expected:
            return f"it is number {entry.seq}, and {self.expected} should be here"
        if not entry.follows(self.digest) or (entry.seq == 1 and self.digest != BEGINNING):
            return "it is not as it was written, or the one before it is not"
        through = body.get("through") if entry.kind == REMOVED and isinstance(body, dict) else 0
        if not isinstance(through, int):
            return "it does not say through which line it removed"
        self.removed_through = max(self.removed_through, through)
        self.position = moved(self.position, entry.kind, entry.payload)
        self.digest = entry.digest
        self.is_first = False
        self.expected += 1
        return None


def _told_position(body: dict[str, Any]) -> Position:
    told = body.get("ledger")
    if isinstance(told, dict) and isinstance(told.get("seq"), int):
        return Position(str(told.get("first", "")), told["seq"])
    return Position()


@attrs.frozen
class Verdict:
    """What `verify` found.

    Attributes:
        files: how many were read.
        first: the number of the first line that is there.
        last: the number of the last one that is as it was written.
        digest: that one's digest, which stands for all before it: whoever notes it elsewhere can tell later whether
            the log still has it.
        broken: the first thing that is wrong: file, line, and what; None where nothing is.
        notes: what is not wrong, and worth knowing.
    """

    files: int
    first: int
    last: int
    digest: str
    broken: str | None = None
    notes: tuple[str, ...] = ()


def verify(folder: Path) -> Verdict:
    """Check every line of the log in `folder` against the one before it, from the first that is there.

    A line that was changed, added, taken out or moved is found. What is not found: lines that are missing at the end,
    and a log that somebody wrote anew from some line on. For both compare a digest that was noted elsewhere.

    Raises:
        AuditError: there is no log (``audit.missing``), or it cannot be read (``audit.unreadable``).
    """
    files = _known_files(folder)
    first = int(files[0].stem)
    check = Check(first)
    broken, notes = None, []
    for path in files:
        wrong = check.begin_file(path)
        for line in _readable(path):
            if not wrong and not line.endswith(b"\n") and path == files[-1]:
                notes.append(
                    f"{path.name} ends in a line that is not whole: it is being written, or was cut off"
                )
                break
            wrong = wrong or check.take(line)
            if wrong:
                break
        if wrong:
            broken = f"{path}, line {max(check.line, 1)}: {wrong}"
            break
    missing = first > 1 and check.removed_through < first - 1
    if broken is None and missing:
        broken = f"{files[0]}, line 1: lines 1 to {first - 1} are missing, and the log does not say that it removed them"
    elif first > 1 and not missing:
        notes.append(
            f"lines 1 to {first - 1} were removed to keep the log small, as it says itself"
        )
    return Verdict(len(files), first, check.expected - 1, check.digest, broken, tuple(notes))


def iso_or_number(at_ns: int) -> str:
    """The time of a line that was not checked: a number where somebody wrote what is no time."""
    try:
        return iso(at_ns)
    except (OverflowError, OSError, TypeError, ValueError):
        return str(at_ns)


def last_entries(folder: Path, count: int) -> list[Entry]:
    """The last `count` entries of the log in `folder`, oldest first; they are not checked against one another.

    Raises:
        AuditError: as `verify`; or one is no line of an audit log (``audit.broken``).
    """
    found: list[Entry] = []
    for path in reversed(_known_files(folder)):
        tail = deque((line for line in _readable(path) if line.endswith(b"\n")), count - len(found))
        entries = [parse(line) for line in tail]
        if None in entries:
            raise AuditError(
                f"{path} has a line that no audit log writes",
                code="audit.broken",
                hint="triarb audit verify says which",
            )
        found = [entry for entry in entries if entry is not None] + found
        if len(found) >= count:
            break
    return found


def _known_files(folder: Path) -> list[Path]:
    files = files_in(folder)
    if not files:
        raise AuditError(
            f"there is no audit log in {folder}",
            code="audit.missing",
            hint="name the folder of one, or the ledger that it belongs to",
        )
    return files


def _readable(path: Path) -> Iterator[bytes]:
    try:
        yield from lines_of(path)
    except OSError as error:
        raise AuditError(
            f"{path} cannot be read: {error.strerror or error}",
            code="audit.unreadable",
            hint="read it as the user that writes it",
        ) from error


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, their ends included."""
    with path.open("rb") as file:
        yield from file
