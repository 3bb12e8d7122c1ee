"""Tape: what an exchange showed over time, for replay.

The file has one JSON object a line, and is compressed when its name ends in ``.gz``. The first line is a snapshot (see
`triarb.market.snapshot`) with the version of this format beside it, ``"tape": 1``. Each next line is a change: a quote
``{"symbol", "received_ns", "bid", "ask", "bidVolume", "askVolume", "exchange_ns"}``, of which sizes and `exchange_ns` may be
left out and a side that is not there is null; or ``{"symbol", "received_ns", "withdrawn": true}``. Lines are in order of
`received_ns`.
"""

import gzip
import io
import itertools
import json
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Self

import attrs

from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot, parse_json, read_number, refuse
from triarb.model import Market, Quote, Withdrawn
from triarb.money import plain

VERSION = 1

Change = Quote | Withdrawn
"""What became of one market at one moment."""

_SHAPE = 'a tape begins with a snapshot that has "tape": 1, all in one line'
_SIZES = (("bidVolume", "bid_size"), ("askVolume", "ask_size"))


@attrs.frozen
class Tape:
    """An exchange's markets, and what became of them.

    Attributes:
        snapshot: the exchange as the tape begins.
    """

    snapshot: Snapshot
    _changes: Callable[[], Iterator[Change]]

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A tape file: its first line is read now, the others as `batches` comes to them.

        Raises:
            SourceError: it is not there, or its first line is not that of a tape; names the place.
        """
        path = Path(path)
        with closing(_lines(path)) as lines:
            place, text = next(lines, (str(path), ""))
        if not text:
            refuse("source.invalid", f"{path} is empty", _SHAPE)
        data = _parsed(text, place)
        version = data.get("tape")
        if version != VERSION:
            told = "missing" if version is None else repr(version)
            refuse("source.version", f'{place}: "tape" is {told}, not {VERSION}', _SHAPE)
        snapshot = Snapshot.from_json(data, place)
        return cls(snapshot, lambda: _checked(_read(path), snapshot))

    @classmethod
    def of(cls, snapshot: Snapshot, changes: Iterable[Change]) -> Self:
        """A tape of what is in memory.

        Raises:
            SourceError: a change of a market that is not in the snapshot, or one that comes before the one before it.
        """
        kept = tuple(_checked(_numbered(changes), snapshot))
        return cls(snapshot, lambda: iter(kept))

    @staticmethod
    def write(path: str | Path, snapshot: Snapshot, changes: Iterable[Change]) -> int:
        """Write a tape file while `changes` come in; returns how many they were.

        Times of the snapshot are kept to the microsecond, those of changes to the nanosecond.

        Raises:
            SourceError: as of `of`; what came before is in the file by then.
            OSError: it cannot be written.
        """
        count = 0
        with _writing(Path(path)) as file:
            file.write(_line({"tape": VERSION, **snapshot.to_json()}))
            for change in _checked(_numbered(changes), snapshot):
                file.write(_line(_to_entry(change)))
                count += 1
        return count

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return self.snapshot.exchange

    @property
    def source(self) -> str:
        """Where the data come from, in words; begins with ``generated`` where no exchange ever showed them."""
        return self.snapshot.source

    @property
    def markets(self) -> tuple[Market, ...]:
        """All markets, inactive ones included."""
        return self.snapshot.markets

    def fees(self) -> FeeSchedule:
        """What the tape itself says of fees."""
        return self.snapshot.fees()

    def batches(self) -> Iterator[tuple[Change, ...]]:
        """First the snapshot's quotes, then what changed, one batch an instant; each call begins anew.

        An instant is given once the next one, or the end, is read, so that it is whole.

        Raises:
            SourceError: at the line that cannot be read or makes no sense, once it is come to; names file and line.
        """
        yield self.snapshot.quotes
        for _, batch in itertools.groupby(self._changes(), key=_received_ns):
            yield tuple(batch)


def _received_ns(change: Change) -> int:
    return change.received_ns


def _numbered(changes: Iterable[Change]) -> Iterator[tuple[str, Change]]:
    return ((f"change {count}", change) for count, change in enumerate(changes, 1))


def _checked(changes: Iterable[tuple[str, Change]], snapshot: Snapshot) -> Iterator[Change]:
    symbols = {market.symbol for market in snapshot.markets}
    last_ns = snapshot.timestamp_ns
    for place, change in changes:
        if change.symbol not in symbols:
            refuse(
                "source.invalid",
                f'{place}: "symbol" is {change.symbol!r}, which the snapshot does not have',
                "add that market to the snapshot that the tape begins with",
            )
        if change.received_ns < last_ns:
            refuse(
                "source.out_of_order",
                f'{place}: "received_ns" is {change.received_ns}, but {last_ns} came before it',
                "sort the changes by received_ns, none before the snapshot",
            )
        last_ns = change.received_ns
        yield change


def _reading(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.GzipFile(path, "rb"), encoding="utf-8", newline="\n")
    return path.open(encoding="utf-8", newline="\n")


def _writing(path: Path) -> IO[str]:
    if path.suffix == ".gz":  # without the time of its making, so that equal tapes are equal files
        packed = gzip.GzipFile(path, "wb", mtime=0)
        return io.TextIOWrapper(packed, encoding="utf-8", newline="\n")
    return path.open("w", encoding="utf-8", newline="\n")


def _lines(path: Path) -> Generator[tuple[str, str], None, None]:
    """Each line with its place in words."""
    count = 0
    try:
        with _reading(path) as file:
            for count, line in enumerate(file, 1):
                yield f"{path}, line {count}", line
    except FileNotFoundError:
        refuse("source.missing", f"there is no file {path}", "name a tape file that exists")
    except EOFError:
        refuse("source.truncated", f"{path} breaks off after line {count}", _TRUNCATED)
    except (OSError, UnicodeDecodeError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        refuse(
            "source.unreadable",
            f"{path} cannot be read after line {count}: {reason}",
            "name a tape file, compressed where its name ends in .gz",
        )


_TRUNCATED = "its recording was cut short: remove what is broken, or record again"


def _read(path: Path) -> Iterator[tuple[str, Change]]:
    with closing(_lines(path)) as lines:
        next(lines, None)  # the snapshot, read before
        for place, text in lines:
            yield place, _change(_parsed(text, place), place)


def _parsed(text: str, place: str) -> Mapping[str, Any]:
    try:
        data = parse_json(text)
    except ValueError as error:
        if not text.endswith("\n"):
            refuse("source.truncated", f"{place} breaks off: {text:.120}", _TRUNCATED)
        refuse(
            "source.not_json",
            f"{place} is not JSON: {error}: {text.strip():.120}",
            "correct the line",
        )
    if not isinstance(data, dict):
        refuse(
            "source.invalid", f"{place} is not an object: {text.strip():.120}", "correct the line"
        )
    return data


def _change(data: Mapping[str, Any], place: str) -> Change:
    symbol = data.get("symbol")
    if not isinstance(symbol, str):
        told = repr(symbol) if "symbol" in data else "missing"
        refuse("source.invalid", f'{place}: "symbol" is {told}', "name a market of the first line")
    received_ns = _moment(data, "received_ns", place)
    if received_ns is None:
        refuse("source.invalid", f'{place} has no "received_ns"', "add it, in nanoseconds")
    if data.get("withdrawn") is True:
        return Withdrawn(symbol, received_ns)
    for key in ("bid", "ask"):
        if key not in data:
            refuse("source.invalid", f'{place} has no "{key}"', "add it; null is a side not there")
    return Quote(
        symbol,
        read_number(data, "bid", place),
        read_number(data, "ask", place),
        read_number(data, "bidVolume", place),
        read_number(data, "askVolume", place),
        received_ns,
        _moment(data, "exchange_ns", place),
    )


def _moment(data: Mapping[str, Any], key: str, place: str) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        refuse(
            "source.invalid",
            f'{place}: "{key}" is {value!r}',
            "give whole nanoseconds since the epoch",
        )
    return value


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, separators=(",", ":")) + "\n"


def _to_entry(change: Change) -> dict[str, Any]:
    entry: dict[str, Any] = {"symbol": change.symbol, "received_ns": change.received_ns}
    if isinstance(change, Withdrawn):
        entry["withdrawn"] = True
        return entry
    entry["bid"], entry["ask"] = _text(change.bid), _text(change.ask)
    for key, name in _SIZES:
        size = getattr(change, name)
        if size is not None:
            entry[key] = plain(size)
    if change.exchange_ns is not None:
        entry["exchange_ns"] = change.exchange_ns
    return entry


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
