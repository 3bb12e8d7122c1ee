"""Sessions: what ccxt sends through, so that no answer leads elsewhere, and none fills the memory."""

from types import TracebackType
from typing import Any, Final

from triarb.exceptions import GatewayUnavailable

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""The largest answer that is read, as it is once unpacked; lists of all markets are below a quarter of that."""

_METHODS: Final = frozenset({"delete", "get", "patch", "post", "put"})


class StraightSession:
    """A session that follows no redirect, and reads no more of an answer than `MAX_ANSWER_BYTES`.

    An answer that points elsewhere is an answer, and proves nothing: aiohttp would send an order once more to wherever a 307
    points, past every check of where it may go. One that is too large proves nothing either.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if name not in _METHODS:
            return found
        return lambda *args, **kwargs: _Bounded(found(*args, **kwargs, allow_redirects=False))


class _Bounded:
    """What a session's method gives: an answer to enter, or to await."""

    def __init__(self, request: Any) -> None:
        self._request = request

    async def __aenter__(self) -> "_Answer":
        return _Answer(await self._request.__aenter__())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        await self._request.__aexit__(exc_type, exc, traceback)


class _Answer:
    """An answer whose text is bounded; all else is the session's own."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
        """Its text, read piece by piece.

        Raises:
            GatewayUnavailable: ``gateway.too_large``; the rest is not read, and the connection is closed.
        """
        if self._response.content.at_eof():  # the session has read it, and keeps it
            kept: str = await self._response.text(encoding, errors)
            return kept
        body = bytearray()
        try:
            async for piece in self._response.content.iter_any():
                body += piece
                self._check(len(body))
        except BaseException:
            self._response.close()
            raise
        try:
            return body.decode(encoding or self._response.charset or "utf-8", errors)
        except LookupError:  # a charset that nobody knows
            return body.decode("utf-8", errors)

    def _check(self, size: int) -> None:
        if size <= MAX_ANSWER_BYTES:
            return
        raise GatewayUnavailable(
            f"an answer of {self._response.url.host} is larger than {MAX_ANSWER_BYTES} bytes",
            code="gateway.too_large",
            hint="it proves nothing; find out what answers there",
        )
