"""Wire: what one call to ccxt really sent and got back. Its exceptions do not tell.

`ExchangeNotAvailable` is raised for a reset before an order was taken and for one after it, and `InvalidOrder` before
anything was sent. So the instance that trades is watched at the two methods through which every request of ccxt goes.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import attrs

from triarb.exceptions import TradingRefused
from triarb.gateways.last_word import withheld

T = TypeVar("T")
Guard = Callable[[str, Mapping[str, str]], None]
"""Is given the URL and the headers of a request that may change something; raises if it must not leave."""

Hearer = Callable[[int, Mapping[str, str]], None]


@attrs.define
class Wire:
    """One call.

    Attributes:
        once: whether a second request other than GET is refused: the exchange may have taken the first.
        writes: how many requests other than GET it began.
        status: the HTTP status of its last answer; None if none came, or if the instance is not watched.
        body: the text of that answer.
        is_text: whether ccxt could not decode that answer as JSON; it then reads nothing out of it, without a word.
    """

    once: bool = False
    writes: int = 0
    status: int | None = None
    body: str = ""
    is_text: bool = False

    def told(self) -> dict[str, Any]:
        """The answer as a JSON object; empty if it is none."""
        try:
            answer = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return answer if isinstance(answer, dict) else {}

    def code(self) -> str | None:
        """The exchange's structured word, such as ``"-2010"``."""
        code = self.told().get("code")
        return None if code is None or isinstance(code, dict | list) else str(code)


_current: ContextVar[Wire | None] = ContextVar("wire", default=None)


async def through(wire: Wire, call: Awaitable[T]) -> T:
    """Await `call`, which `wire` takes down."""
    token = _current.set(wire)
    try:
        return await call
    finally:
        _current.reset(token)


def watch(exchange: Any, guard: Guard | None, hear: Hearer) -> None:
    """Take down what `exchange` sends and gets; ask `guard` before anything that may change something leaves.

    Whoever sends it is asked for a last word too (`triarb.gateways.last_word`). `hear` is given the status and the headers of every answer.
    """
    fetch, on_rest_response = exchange.fetch, exchange.on_rest_response

    async def watched_fetch(
        url: str, method: str = "GET", headers: dict[str, str] | None = None, body: Any = None
    ) -> Any:
        wire = _current.get() or Wire()
        # an earlier answer says nothing of this request
        wire.status, wire.body, wire.is_text = None, "", False
        if method != "GET":
            if guard is not None:
                guard(url, {**(headers or {}), **exchange.headers})
            if wire.once and wire.writes:
                raise TradingRefused(
                    f"{exchange.id}: ccxt was about to send an order again",
                    code="gateway.repeated",
                    hint="the first one may have been taken",
                )
            refused = withheld()  # nothing is awaited from here to ccxt's own request
            if refused is not None:
                raise TradingRefused(refused.sentence, code=refused.code)
            wire.writes += 1
        answer = await fetch(url, method, headers, body)
        wire.is_text = not isinstance(answer, dict | list)
        return answer

    def watched_response(
        status: int, reason: str, url: str, method: str, headers: Mapping[str, str], *args: Any
    ) -> Any:
        hear(status, headers)
        text = on_rest_response(status, reason, url, method, headers, *args)
        wire = _current.get() or Wire()
        wire.status, wire.body = status, text
        return text

    exchange.fetch, exchange.on_rest_response = watched_fetch, watched_response
