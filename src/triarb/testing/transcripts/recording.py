"""Recorder: notes what goes over the wire, at the session that ccxt sends through."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import aiohttp
import yarl

from triarb.clock import Clock, SystemClock, iso
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import Credentials
from triarb.gateways.ccxt.instances import SessionFactory
from triarb.testing.transcripts.sanitizing import Sanitizer, form
from triarb.testing.transcripts.transcript import (
    VERSION,
    Answer,
    Exchanged,
    Request,
    dumps,
    line_of,
)

_NS_PER_US: Final = 1000


class Recorder:
    """Writes a transcript; a context manager. Give its `session` to a gateway as `session_factory`.

    Args:
        path: a file that is not there yet; it is made for its owner's eyes only.
        exchange: ccxt's id.
        source: what is talked to, as `Transcript.source`.
        credentials: what must not be seen in it, whatever it is called there.
        sessions: makes the sessions that really send.
        clock: tells the times.

    Raises:
        UsageError: the file is there, or cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        exchange: str,
        source: str,
        credentials: Credentials | None = None,
        sessions: SessionFactory = aiohttp.ClientSession,
        clock: Clock | None = None,
    ) -> None:
        self._path, self._sessions = path, sessions
        self._head = {"triarb_transcript": VERSION, "exchange": exchange, "source": source}
        self._clock = SystemClock() if clock is None else clock
        keys = (credentials.key, credentials.secret, credentials.password) if credentials else ()
        self._sanitizer = Sanitizer(key for key in keys if key)
        self._file: TextIO | None = None
        self._began_ns = 0
        self._number = 0

    def __enter__(self) -> Self:
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise UsageError(
                f"no transcript can be written to {self._path}: {error.strerror}",
                hint="name a new file in a folder that is there",
            ) from error
        self._file = os.fdopen(handle, "w", encoding="utf-8")
        self._began_ns = self._clock.now_ns()
        versions = {name: importlib.metadata.version(name) for name in ("triarb", "ccxt")}
        self._write(dumps({**self._head, "began": iso(self._began_ns), **versions}))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def session(self) -> "RecordingSession":
        """A session whose requests are noted. Close it when done."""
        return RecordingSession(self._sessions(), self)

    def begin(self) -> tuple[int, int]:
        """The number and the time of a request that leaves now."""
        self._number += 1
        return self._number, self._clock.now_ns()

    def note(
        self,
        begun: tuple[int, int],
        sent: tuple[str, yarl.URL, Mapping[str, str], str],
        heard: tuple[int, Mapping[str, str], str] | None,
        failed: str = "",
    ) -> None:
        """Write a line.

        Args:
            begun: what `begin` said.
            sent: method, address, headers and body.
            heard: status, headers and body; None where nothing was.
            failed: why.
        """
        number, at_ns = begun
        method, url, headers, body = sent
        query, kind = form(url.raw_query_string), _kind(headers)
        hidden = [*query, *(form(body) if "x-www-form-urlencoded" in kind else ())]
        sanitizer = self._sanitizer.knowing(hidden, headers)
        request = Request(
            method,
            sanitizer.text(url.host or ""),
            sanitizer.text(url.path),
            sanitizer.pairs(query),
            sanitizer.headers(headers),
            sanitizer.body(body, kind),
        )
        answer = None
        if heard is not None:
            status, told, text = heard
            answer = Answer(status, sanitizer.headers(told), sanitizer.body(text, _kind(told)))
        since = (at_ns - self._began_ns, self._clock.now_ns() - at_ns)
        at_us, took_us = (ns // _NS_PER_US for ns in since)
        self._write(line_of(Exchanged(number, at_us, took_us, request, answer, failed)))

    def _write(self, line: str) -> None:
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()  # what a crash leaves is a transcript, too


class RecordingSession:
    """Stands in for the `aiohttp.ClientSession` that it sends through, and notes each request with its answer."""

    def __init__(self, session: Any, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def request(self, method: str, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A request to be sent by ``async with``, as of `aiohttp.ClientSession.request`."""
        return _Call(self._session, self._recorder, method, yarl.URL(url), kwargs)

    def get(self, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A GET."""
        return self.request("GET", url, **kwargs)

    def post(self, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A POST."""
        return self.request("POST", url, **kwargs)

    def put(self, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A PUT."""
        return self.request("PUT", url, **kwargs)

    def patch(self, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A PATCH."""
        return self.request("PATCH", url, **kwargs)

    def delete(self, url: str | yarl.URL, **kwargs: Any) -> "_Call":
        """A DELETE."""
        return self.request("DELETE", url, **kwargs)

    async def close(self) -> None:
        """Close the session that it sends through."""
        await self._session.close()


class _Call:
    """One request: sent, read and noted where its block is entered."""

    def __init__(
        self, session: Any, recorder: Recorder, method: str, url: yarl.URL, kwargs: dict[str, Any]
    ) -> None:
        self._made = session.request(method, url, **kwargs)
        self._recorder = recorder
        self._sent = (method, url, kwargs.get("headers") or {}, _text(kwargs.get("data")))

    async def __aenter__(self) -> Any:
        begun = self._recorder.begin()
        try:
            response = await self._made.__aenter__()
            try:
                text = await response.text(errors="replace")  # whoever reads it next gets the same
                self._recorder.note(begun, self._sent, (response.status, response.headers, text))
            except BaseException as error:
                await self._made.__aexit__(type(error), error, error.__traceback__)
                raise
        except BaseException as error:
            self._recorder.note(begun, self._sent, None, type(error).__name__)
            raise
        return response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._made.__aexit__(exc_type, exc, traceback)


def _kind(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type"), "")


def _text(data: Any) -> str:
    return data.decode(errors="replace") if isinstance(data, bytes) else str(data or "")
