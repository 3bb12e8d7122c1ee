"""Transcript: the nouns of a recorded session, and its file."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from triarb.clock import parse_iso
from triarb.exceptions import SourceError

VERSION: Final = 1
"""Of the file, told in its first line."""

Pairs = tuple[tuple[str, str], ...]


class Number(str):
    """A number of JSON that is no integer, as it was written."""

    __slots__ = ()


@attrs.frozen
class Request:
    """What was sent.

    Attributes:
        query: its parameters, in their order.
        headers: all of them, with the values of those that say nothing about whose they are; else ``***``.
        body: ``{"form": [[name, value], ...]}``, ``{"json": ...}`` or ``{"text": ...}``; None where there was none.
    """

    method: str
    host: str
    path: str
    query: Pairs = ()
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def endpoint(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def params(self) -> dict[str, str]:
        """The parameters of query and form by name."""
        return dict([*self.query, *self.form])

    @property
    def form(self) -> Pairs:
        """The parameters of a form, in their order."""
        return tuple((name, value) for name, value in (self.body or {}).get("form", ()))


@attrs.frozen
class Answer:
    """What came back; headers and body as in `Request`."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None

    @property
    def told(self) -> Any:
        """The JSON of it; None where it is none."""
        return (self.body or {}).get("json")


@attrs.frozen
class Exchanged:
    """A request and what came of it.

    Attributes:
        number: from 1, in the order in which requests were sent.
        at_us: when it was sent, in microseconds since the recording began.
        took_us: how long it took until the answer was read, or had failed.
        answer: None where there was none.
        failed: the error's name then, such as ``ServerDisconnectedError``.
    """

    number: int
    at_us: int
    took_us: int
    request: Request
    answer: Answer | None = None
    failed: str = ""


@attrs.frozen
class Transcript:
    """A recorded session.

    Attributes:
        exchange: ccxt's id.
        source: what was talked to: ``sandbox``, ``production``, or ``loopback``, which is no exchange.
        began_ns: when it began, by the clock of whoever recorded it.
        exchanged: by number.
    """

    exchange: str
    source: str
    began_ns: int
    exchanged: Sequence[Exchanged]


def loads(text: str) -> Any:
    """JSON of which no number loses a digit.

    Raises:
        ValueError: it is none.
    """
    return json.loads(text, parse_float=Number)


def dumps(value: Any) -> str:
    """`loads`, undone; on one line."""
    match value:
        case Number():
            return str(value)
        case Mapping():
            return "{" + ",".join(f"{json.dumps(k)}:{dumps(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(map(dumps, value)) + "]"
        case _:
            return json.dumps(value)


def line_of(one: Exchanged) -> str:
    """An exchange as a line of the file."""
    told = {name: value for name, value in attrs.asdict(one).items() if value not in (None, "")}
    return dumps(told)


def read(path: str | os.PathLike[str]) -> Transcript:
    """The transcript in a file; a last line that was broken off is left out.

    Raises:
        SourceError: ``transcript.unreadable``: there is none, or of another version.
    """
    place = Path(path)
    try:
        first, *lines = place.read_text(encoding="utf-8").split("\n")
        head = loads(first)
        if head["triarb_transcript"] != VERSION:
            raise ValueError(f"it is of version {head['triarb_transcript']}, not {VERSION}")  # noqa: TRY301
        found = [_exchanged(loads(line)) for line in lines[:-1]]
        found.sort(key=lambda one: one.number)
        return Transcript(head["exchange"], head["source"], parse_iso(head["began"]), found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{place} is no transcript: {error}",
            code="transcript.unreadable",
            hint="record one with triarb.testing.transcripts.Recorder",
        ) from error


def _exchanged(told: dict[str, Any]) -> Exchanged:
    request, answer = told.pop("request"), told.pop("answer", None)
    pairs = tuple((name, value) for name, value in request.pop("query"))
    return Exchanged(
        **told,
        request=Request(**request, query=pairs),
        answer=None if answer is None else Answer(**answer),
    )
