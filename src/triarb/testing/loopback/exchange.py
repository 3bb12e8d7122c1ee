"""LoopbackExchange: the server, its log of requests, and what can go wrong on the way."""

import asyncio
import enum
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import attrs
from aiohttp import web

from triarb.clock import NS_PER_MS, Clock, SystemClock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import Credentials
from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot
from triarb.model import Fill, Market, OrderBook
from triarb.money import parse_decimal
from triarb.simulation import MatchingEngine
from triarb.testing.loopback.api import Params, SpotApi
from triarb.testing.loopback.messages import ApiError
from triarb.testing.loopback.session import LoopbackSession
from triarb.testing.loopback.signing import check_signed, parameters

CREDENTIALS = Credentials("loopback-key", "loopback-secret")
"""What a loopback exchange takes unless it is told others."""


class FaultKind(enum.StrEnum):
    """What goes wrong with a request."""

    DROP_BEFORE = "drop_before"
    """The connection is reset before the exchange acts."""
    DROP_AFTER = "drop_after"
    """The exchange acts, then the connection is reset."""
    HANG = "hang"
    """The exchange acts, and no answer ever comes."""
    GARBAGE = "garbage"
    """The exchange acts, and answers something else."""
    INSTEAD = "instead"
    """The exchange answers something else, and does not act."""


@attrs.frozen
class Received:
    """A request that reached the exchange.

    Attributes:
        params: of its query and its body, the signature left out.
        host: the host that it was meant for.
    """

    method: str
    path: str
    params: Mapping[str, str]
    host: str
    time_ns: int


@attrs.frozen
class _Fault:
    method: str
    path: str
    kind: FaultKind
    status: int
    body: str


class LoopbackExchange:
    """A Binance of one account on 127.0.0.1, for as long as it is entered.

    Args:
        source: its markets; a snapshot also gives their first books, of one level a side, and fees.
        fees: what orders are charged; None takes what the markets or the snapshot state. A market without a fee refuses
            orders.
        balances: what the account holds at first, as text or Decimals.
        credentials: the account's.
        clock: the exchange's time.

    Attributes:
        requests: all that was received, the oldest first.
        credentials: the account's.
        clock: the exchange's time.

    Raises:
        UsageError: a balance that is no amount, or two markets with the same id.
    """

    def __init__(
        self,
        source: Snapshot | Iterable[Market],
        *,
        fees: FeeSchedule | None = None,
        balances: Mapping[str, str | Decimal] | None = None,
        credentials: Credentials = CREDENTIALS,
        clock: Clock | None = None,
    ) -> None:
        markets = source.markets if isinstance(source, Snapshot) else tuple(source)
        if fees is None:
            fees = source.fees() if isinstance(source, Snapshot) else FeeSchedule.stated(markets)
        self._api = SpotApi(markets, fees, _amounts(balances or {}))
        if isinstance(source, Snapshot):
            for quote in source.quotes:
                self.set_book(OrderBook.from_quote(quote))
        self.requests: list[Received] = []
        self.credentials = credentials
        self.clock: Clock = SystemClock() if clock is None else clock
        self._faults: list[_Fault] = []
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def engine(self) -> MatchingEngine:
        """Where orders act: its balances, books and fills."""
        return self._api.engine

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1.

        Raises:
            UsageError: it is not entered.
        """
        if self._runner is None:
            raise UsageError(
                "the loopback exchange is not open",
                code="loopback.not_entered",
                hint="use it as `async with LoopbackExchange(...) as exchange:`",
            )
        port: int = self._runner.addresses[0][1]
        return port

    def set_book(self, book: OrderBook) -> tuple[Fill, ...]:
        """Show a book; resting orders that it crosses fill."""
        return self.engine.set_book(book)

    def session_factory(self) -> LoopbackSession:
        """A session whose requests for Binance come here, and that sends no others. Close it when done."""
        return LoopbackSession(self.port)

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[Any]:
        """The real `ccxt.async_support.binance`, connected to this exchange, with its account and its time.

        Args:
            settings: more of ccxt's settings.
        """
        import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

        session = self.session_factory()
        spot = {
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
        }
        own = {
            "apiKey": self.credentials.key,
            "secret": self.credentials.secret,
            "session": session,
            "enableRateLimit": False,
            "ssl_context": True,
            "timeout_on_exit": 0,
            "options": spot,
        }
        binance = ccxt.binance({**own, **settings})
        binance.milliseconds = lambda: self.clock.now_ns() // NS_PER_MS
        try:
            yield binance
        finally:
            await binance.close()
            await session.close()

    def fault_next(
        self,
        method: str,
        path: str,
        kind: FaultKind | str,
        *,
        status: int = 200,
        body: str = "<html>",
        times: int = 1,
    ) -> None:
        """Let something go wrong with the next `times` requests of that method and path, such as ``/api/v3/order``.

        A client may send a GET or a DELETE whose connection was reset again on its own (aiohttp does), so that each
        such drop takes two.

        Args:
            method: of the request.
            path: of the request, without its query.
            kind: what goes wrong.
            status: of what is answered, for `GARBAGE` and `INSTEAD`.
            body: of what is answered, for `GARBAGE` and `INSTEAD`.
            times: how often.
        """
        self._faults += [_Fault(method, path, FaultKind(kind), status, body)] * times

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._closing.clear()
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        self._closing.set()  # lets go of requests that hang
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        query, body = request.raw_path.partition("?")[2], await request.text()
        self._log(request, query, body)
        fault = self._take_fault(request.method, request.path)
        if fault is None:
            return self._answer(request, query, body)
        if fault.kind not in (FaultKind.DROP_BEFORE, FaultKind.INSTEAD):
            self._answer(request, query, body)
        if fault.kind is FaultKind.HANG:
            await self._closing.wait()
        if fault.kind in (FaultKind.GARBAGE, FaultKind.INSTEAD):
            return _text(fault.status, fault.body)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _answer(self, request: web.Request, query: str, body: str) -> web.Response:
        endpoint = _ENDPOINTS.get((request.method, request.path))
        if endpoint is None:
            return _text(404, "<html><body><h2>404 Not found</h2></body></html>")
        act, signed = endpoint
        now_ns = self.clock.now_ns()
        try:
            params = parameters(query, body)
            if signed:
                key = request.headers.get("X-MBX-APIKEY", "")
                check_signed(key, query + body, params, self.credentials, now_ns)
            return _json(200, act(self._api, params, now_ns))
        except ApiError as error:
            return _json(error.status, {"code": error.code, "msg": error.message})

    def _log(self, request: web.Request, query: str, body: str) -> None:
        pairs = [*parse_qsl(query), *parse_qsl(body)]
        params = {name: value for name, value in pairs if name != "signature"}
        received = Received(request.method, request.path, params, request.host, self.clock.now_ns())
        self.requests.append(received)

    def _take_fault(self, method: str, path: str) -> _Fault | None:
        for fault in self._faults:
            if (fault.method, fault.path) == (method, path):
                self._faults.remove(fault)
                return fault
        return None


@asynccontextmanager
async def loopback(
    source: Snapshot | Iterable[Market], **settings: Any
) -> AsyncIterator[tuple[LoopbackExchange, Any]]:
    """A running loopback exchange and a real ccxt binance that is connected to it.

    Args:
        source: its markets, or a snapshot.
        settings: those of `LoopbackExchange`.
    """
    async with LoopbackExchange(source, **settings) as exchange, exchange.client() as binance:
        yield exchange, binance


Endpoint = Callable[[SpotApi, Params, int], Any]

_ENDPOINTS: dict[tuple[str, str], tuple[Endpoint, bool]] = {
    ("GET", "/api/v3/ping"): (SpotApi.ping, False),
    ("GET", "/api/v3/time"): (SpotApi.time, False),
    ("GET", "/api/v3/exchangeInfo"): (SpotApi.exchange_info, False),
    ("GET", "/api/v3/ticker/24hr"): (SpotApi.day_ticker, False),
    ("GET", "/api/v3/ticker/bookTicker"): (SpotApi.book_ticker, False),
    ("GET", "/api/v3/depth"): (SpotApi.depth, False),
    ("GET", "/api/v3/account"): (SpotApi.account, True),
    ("GET", "/api/v3/account/commission"): (SpotApi.commission, True),
    ("POST", "/api/v3/order"): (SpotApi.new_order, True),
    ("POST", "/api/v3/order/test"): (SpotApi.try_order, True),
    ("GET", "/api/v3/order"): (SpotApi.query_order, True),
    ("DELETE", "/api/v3/order"): (SpotApi.cancel_order, True),
    ("GET", "/api/v3/openOrders"): (SpotApi.open_orders, True),
    ("GET", "/api/v3/myTrades"): (SpotApi.my_trades, True),
}


def _amounts(balances: Mapping[str, str | Decimal]) -> dict[str, Decimal]:
    try:
        return {asset: parse_decimal(amount) for asset, amount in balances.items()}
    except ValueError as error:
        raise UsageError(f"a balance: {error}", hint='write amounts as text, "1000"') from None


def _text(status: int, body: str) -> web.Response:
    return web.Response(status=status, text=body, content_type="text/html")


def _json(status: int, answer: Any) -> web.Response:
    return web.Response(status=status, text=json.dumps(answer), content_type="application/json")
