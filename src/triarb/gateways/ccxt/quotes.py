"""All quotes of an exchange, asked for again and again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, cast

from triarb.clock import Clock
from triarb.exceptions import GatewayUnavailable, MalformedAnswer, SourceError
from triarb.gateways.ccxt.line import Line
from triarb.market.unified import quote_from_ccxt
from triarb.model import Quote, Withdrawn

ATTEMPTS: Final = 4
"""How often quotes are asked for before a failure is raised; each wait is twice the last."""


def quotes_method(exchange: Any) -> str:
    """The method of ccxt's that shows all markets in one request.

    Raises:
        SourceError: `source.no_quotes`: there is none.
    """
    for key, method in (("fetchBidsAsks", "fetch_bids_asks"), ("fetchTickers", "fetch_tickers")):
        if exchange.has.get(key) is True:
            return method
    raise SourceError(
        f"{exchange.id} does not show all its markets in one request",
        code="source.no_quotes",
        hint="its order books can be read one by one",
    )


async def poll(
    line: Line,
    method: str,
    symbols: Collection[str],
    *,
    clock: Clock,
    seconds: float,
    before: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
    """First every symbol, then what differs from the last answer; a symbol that is missing from it is Withdrawn.

    A batch an answer, empty where nothing differs. `before` is awaited before each question.

    Raises:
        GatewayError: the failure of the last of `ATTEMPTS` questions in a row; a long ban at once.
    """
    shown: dict[str, Quote | Withdrawn] = {}
    while True:
        if before is not None:
            await before()
        tickers = await _tickers(line, method, symbols, clock, seconds)
        now_ns = clock.now_ns()
        batch: list[Quote | Withdrawn] = []
        for symbol in symbols:
            change: Quote | Withdrawn = Withdrawn(symbol, now_ns)
            if symbol in tickers:
                change = quote_from_ccxt(symbol, tickers[symbol], received_ns=now_ns)
            if symbol not in shown or _prices(change) != _prices(shown[symbol]):
                batch.append(change)
                shown[symbol] = change
        yield batch  # also an empty one: whoever listens looks at the clock and at what stands still
        await clock.sleep(seconds)


async def _tickers(
    line: Line, method: str, symbols: Collection[str], clock: Clock, seconds: float
) -> Mapping[str, Any]:
    attempt = 1
    while True:
        try:
            answer = await line.ask("its quotes", method)
            if any(symbol in answer for symbol in symbols):
                return cast("Mapping[str, Any]", answer)
            raise line.malformed("its quotes", "none of its markets is among them")
        except (GatewayUnavailable, MalformedAnswer) as error:
            if attempt == ATTEMPTS or error.code == "gateway.banned":
                raise
        await clock.sleep(seconds * 2**attempt)
        attempt += 1


def _prices(change: Quote | Withdrawn) -> tuple[Any, ...]:
    """What makes one answer differ from the next."""
    if isinstance(change, Withdrawn):
        return ()
    return change.bid, change.ask, change.bid_size, change.ask_size
