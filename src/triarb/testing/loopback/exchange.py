"""LoopbackExchange: the server, its log of requests, and what can go wrong on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import attrs
from aiohttp import web

from triarb.clock import NS_PER_SECOND, Clock, SystemClock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import Credentials
from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot
from triarb.model import Fill, Market, OrderBook
from triarb.money import parse_decimal
from triarb.simulation import MatchingEngine
from triarb.testing.faults import (
    Answer,
    DropAfter,
    DropBefore,
    Endpoint,
    FaultRule,
    FaultScript,
    Hang,
    Lag,
    Request,
    Truncate,
)
from triarb.testing.faults.run import FaultRun
from triarb.testing.loopback import replies
from triarb.testing.loopback.api import SpotApi
from triarb.testing.loopback.connecting import connect
from triarb.testing.loopback.endpoints import ENDPOINTS, Served
from triarb.testing.loopback.messages import ApiError
from triarb.testing.loopback.session import LoopbackSession
from triarb.testing.loopback.signing import check_signed, parameters

CREDENTIALS = Credentials("loopback-key", "loopback-secret")
"""What a loopback exchange takes unless it is told others."""

NO_FAULTS = FaultScript()


@attrs.frozen
class Received(Request):
    """A request that reached the exchange; it arrived when its head had been read, before its body.

    Attributes:
        params: of its query and its body, the signature left out.
        host: the host that it was meant for.
    """

    method: str = ""
    path: str = ""
    params: Mapping[str, str] = attrs.field(factory=dict)
    host: str = ""


Hook = Callable[[Received], None]
"""Is called with a request that arrived, before the exchange acts."""


class LoopbackExchange:
    """A Binance of one account on 127.0.0.1, for as long as it is entered.

    Args:
        source: its markets; a snapshot also gives their first books, of one level a side, and fees.
        fees: what orders are charged; None takes what the markets or the snapshot state. A market without a fee refuses
            orders.
        balances: what the account holds at first, as text or Decimals.
        credentials: the account's.
        clock: the exchange's time.
        faults: what goes wrong.

    Attributes:
        requests: all that was received, the oldest first.
        on_arrival: called with each request before the exchange acts, in the thread that serves. What one raises drops
            that request, which then has not acted, and is raised again when the exchange is left.
        credentials: the account's.
        clock: the exchange's time.

    Raises:
        UsageError: a balance that is no amount, two markets with the same id, or a fault about a market that there is
            none of.
    """

    def __init__(
        self,
        source: Snapshot | Iterable[Market],
        *,
        fees: FeeSchedule | None = None,
        balances: Mapping[str, str | Decimal] | None = None,
        credentials: Credentials = CREDENTIALS,
        clock: Clock | None = None,
        faults: FaultScript = NO_FAULTS,
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
        self.on_arrival: list[Hook] = []
        self._run = FaultRun(faults, self.engine)
        self._raised: list[Exception] = []
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()

    @property
    def engine(self) -> MatchingEngine:
        """Where orders act: its balances, books and fills."""
        return self._api.engine

    @property
    def rights(self) -> dict[str, bool]:
        """What the key may do beyond, or short of, reading and spot trading from one address, in Binance's words."""
        return self._api.rights

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

        binance = ccxt.binance({"enableRateLimit": False, **settings})
        self.connect(binance)
        for name in ("apiKey", "secret"):
            setattr(binance, name, settings.get(name, getattr(binance, name)))
        try:
            yield binance
        finally:
            await binance.close()

    def connect(self, instance: Any) -> None:
        """Lead a ccxt binance that a bot made, synchronous or asynchronous, to this exchange and its account.

        Its keys are replaced, so that real ones go nowhere, only spot markets are loaded, and its time is this
        exchange's. What it sends to any other host is refused. Connect an asynchronous one inside its event loop; its own
        `close` then closes the connection.

        Raises:
            UsageError: it is another exchange, or this one is not entered.
        """
        connect(instance, self.port, self.credentials, self.clock, self.session_factory)

    def inject(self, *rules: FaultRule) -> None:
        """Let more go wrong from here on; the rules count their requests from here.

        Raises:
            UsageError: a rule changes a market that there is none of.
        """
        self._run.add(rules)

    def posts(self) -> Counter[str]:
        """How many orders were received under each client id, whether or not they were taken."""
        return Counter(r.client_id for r in self.requests if r.on is Endpoint.SUBMIT)

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
        if self._raised and exc is None:
            raise self._raised.pop(0)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        arrived_ns = self.clock.now_ns()
        query, body = request.raw_path.partition("?")[2], await request.text()
        served = ENDPOINTS.get((request.method, request.path))
        received = self._take_down(request, served, query + "&" + body, arrived_ns)
        try:
            for hook in self.on_arrival:
                hook(received)
        except Exception as error:  # noqa: BLE001 - raised again where the exchange is left
            self._raised.append(error)
            return replies.dropped(request)
        banned = self._run.banned(arrived_ns)
        if banned is not None:
            return replies.banned(*banned)
        if received.first(DropBefore):
            return replies.dropped(request)
        instead, hang = received.first(Answer), received.first(Hang)
        if instead is not None and not instead.acts:
            return replies.instead(instead)
        if received.late_ns and not await self._wait(received.late_ns / NS_PER_SECOND):
            return replies.dropped(request)
        answer = (
            None if hang and not hang.acts else self._answer(request, served, query, body, received)
        )
        if hang is not None or answer is None:
            await self._closing.wait()
            return replies.dropped(request)
        if received.first(DropAfter):
            return replies.dropped(request)
        if instead is not None:
            return replies.instead(instead)
        return await replies.half(request, answer) if received.first(Truncate) else answer

    async def _wait(self, seconds: float) -> bool:
        """Wait, unless the exchange is left meanwhile; whether it was not."""
        late, closing = self.clock.sleep(seconds), self._closing.wait()
        waits = [asyncio.ensure_future(late), asyncio.ensure_future(closing)]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for rest in pending:
            rest.cancel()
        return not self._closing.is_set()

    def _answer(
        self, request: web.Request, served: Served | None, query: str, body: str, received: Received
    ) -> web.Response:
        if served is None:
            return replies.page(404, replies.NOT_FOUND)
        now_ns = self.clock.now_ns() + self._run.skew_ns
        lag = received.first(Lag)
        self._api.as_of_ns = None if lag is None else now_ns - round(lag.seconds * NS_PER_SECOND)
        try:
            params = parameters(query, body)
            if served.signed:
                key = request.headers.get("X-MBX-APIKEY", "")
                check_signed(key, query + body, params, self.credentials, now_ns)
            return replies.answer(
                200, replies.distorted(served.act(self._api, params, now_ns), received)
            )
        except ApiError as error:
            return replies.error(error.status, error.code, error.message)

    def _take_down(
        self, request: web.Request, served: Served | None, sent: str, arrived_ns: int
    ) -> Received:
        params = {name: value for name, value in parse_qsl(sent) if name != "signature"}
        on = served.on if served else Endpoint.OTHER
        arrived = self._run.arrive(on, *self._api.about(params), arrived_ns)
        received = Received(
            arrived.number,
            arrived.on,
            arrived.client_id,
            arrived.symbol,
            arrived.time_ns,
            arrived.faults,
            request.method,
            request.path,
            params,
            request.host,
        )
        self.requests.append(received)
        return received


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


def _amounts(balances: Mapping[str, str | Decimal]) -> dict[str, Decimal]:
    try:
        return {asset: parse_decimal(amount) for asset, amount in balances.items()}
    except ValueError as error:
        raise UsageError(f"a balance: {error}", hint='write amounts as text, "1000"') from None
