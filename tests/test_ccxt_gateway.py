"""CcxtGateway: real ccxt, driven against the loopback exchange."""

import asyncio
import copy
import json
import logging
import pickle
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from types import MappingProxyType, SimpleNamespace
from typing import Any

import aiohttp
import attrs
import ccxt as ccxt_sync
import ccxt.async_support as ccxt
import certifi
import pytest
import yarl
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock
from triarb.exceptions import (
    GatewayError,
    GatewayUnavailable,
    MalformedAnswer,
    SourceError,
    TradingRefused,
    TriarbError,
    UsageError,
)
from triarb.gateways.ccxt import CcxtGateway, Credentials, published_taker_fee
from triarb.gateways.ccxt.connecting import Connector
from triarb.gateways.ccxt.credentials import without_signature
from triarb.gateways.ccxt.failures import explain
from triarb.gateways.ccxt.instances import trading_instance
from triarb.gateways.ccxt.orders import FINDS_BY_CLIENT_ID, proves_rejection
from triarb.gateways.ccxt.sandboxes import enter_sandbox
from triarb.gateways.ccxt.sessions import MAX_ANSWER_BYTES, StraightSession
from triarb.gateways.ccxt.wire import Wire
from triarb.market.fees import FeeSchedule
from triarb.market.unified import (
    balances_from_ccxt,
    fills_from_ccxt,
    order_state_from_ccxt,
    quote_from_ccxt,
)
from triarb.model import (
    Balance,
    FeeSide,
    FeeToken,
    Level,
    Market,
    NotFound,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Provenance,
    Quote,
    Side,
    Submission,
    SubmissionStatus,
    TimeInForce,
    Withdrawn,
)
from triarb.testing.faults import (
    Answer,
    DropAfter,
    DropBefore,
    Fault,
    FaultRule,
    Hang,
    Truncate,
)
from triarb.testing.loopback import LoopbackExchange, LoopbackSession
from triarb.testing.loopback.messages import symbol_info

D = Decimal
ETH = Market(
    "ETH/USDT",
    "ETH",
    "USDT",
    exchange_id="ETHUSDT",
    price_tick=D("0.01"),
    amount_step=D("0.0001"),
    min_amount=D("0.001"),
    min_notional=D(5),
)
BTC = Market("BTC/USDT", "BTC", "USDT", "BTCUSDT", True, D("0.01"), D("0.00001"))  # noqa: FBT003
CANARY = Credentials("CANARYKEY0123456789", "CANARYSECRET0123456789", "CANARYPASSWORD")
LEAKING = f"{CANARY.key} signature=abc {CANARY.secret}"
ACCEPTED, REJECTED, UNKNOWN = SubmissionStatus


def shown(*asks: tuple[str, str], symbol: str = "ETH/USDT", bid: str = "1999") -> OrderBook:
    """A book with one bid of two units."""
    levels = tuple(Level(D(price), D(amount)) for price, amount in asks)
    return OrderBook(symbol, (Level(D(bid), D(2)),), levels)


def buy(client_id: str = "tri1", amount: str = "0.5", price: str | None = "2000") -> Order:
    """An order to buy ETH at once."""
    return Order(client_id, "ETH/USDT", Side.BUY, D(amount), None if price is None else D(price))


@pytest.fixture
async def exchange() -> AsyncIterator[LoopbackExchange]:
    """A loopback exchange with one book, whose account has the canary credentials."""
    async with LoopbackExchange(
        [ETH, BTC],
        fees=FeeSchedule.flat("10"),
        balances={"USDT": "10000", "ETH": "1"},
        credentials=CANARY,
    ) as running:
        running.set_book(shown(("2000", "1"), ("2001.5", "2")))
        yield running


def gateway_to(exchange: LoopbackExchange, **changes: Any) -> CcxtGateway:
    """A gateway to its sandbox, which is polled without waits and gives up early."""
    given_ = {
        "credentials": CANARY,
        "session_factory": exchange.session_factory,
        "poll_seconds": 0.01,
        "timeout_ms": 2000,
    }
    return CcxtGateway("binance", **(given_ | changes))


@pytest.fixture
async def gateway(exchange: LoopbackExchange) -> AsyncIterator[CcxtGateway]:
    """An open gateway to the loopback exchange as a sandbox."""
    async with gateway_to(exchange) as opened:
        yield opened


def writes(exchange: LoopbackExchange) -> int:
    """How many requests it received that could change something."""
    return sum(received.method != "GET" for received in exchange.requests)


def without_numbers(state: OrderState | NotFound) -> Any:
    """A state whose fills have the same trade id, and no zero fees: what the wire and the engine share."""
    assert isinstance(state, OrderState)
    fills = tuple(
        attrs.evolve(f, trade_id="", fees={a: c for a, c in f.fees.items() if c}, time_ns=0)
        for f in state.fills
    )
    return attrs.evolve(state, fills=fills)


# Looking


async def test_it_looks_without_credentials(exchange: LoopbackExchange) -> None:
    """Read-only, it reads production's markets, quotes, books and the published fee, and sends nothing else."""
    async with gateway_to(exchange, credentials=None) as gateway:
        assert (gateway.mode, gateway.exchange) == ("read-only", "binance")
        assert list(await gateway.markets()) == [ETH, BTC]
        fee = (await gateway.fees()).fee("ETH/USDT")
        assert fee is not None
        assert (fee.rate, fee.provenance) == (D("0.001"), Provenance.SCHEDULE)
        assert ccxt.__version__ in fee.note
        book = await gateway.order_book("ETH/USDT", 1)
        assert (book.bids, book.asks) == ((Level(D(1999), D(2)),), (Level(D(2000), D(1)),))
    assert {received.host for received in exchange.requests} == {"api.binance.com"}
    assert writes(exchange) == 0


async def test_quotes_are_what_changed(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """The first batch holds every market; the next only what differs; a market that is missing is Withdrawn."""
    feed = gateway.quotes()
    first = await anext(feed)
    assert [quote.symbol for quote in first] == ["ETH/USDT", "BTC/USDT"]
    assert isinstance(first[0], Quote)
    assert (first[0].bid, first[0].ask_size) == (D(1999), D(1))
    assert first[0].received_ns <= gateway.clock.now_ns()
    exchange.set_book(shown(("50000", "1"), symbol="BTC/USDT", bid="49999"))
    assert [change.symbol for change in await anext(feed)] == ["BTC/USDT"]
    only_btc = (
        '[{"symbol":"BTCUSDT","bidPrice":"49999","bidQty":"2","askPrice":"50000","askQty":"1"}]'
    )
    exchange.inject(FaultRule("quotes", Answer(body=only_btc)))
    (gone,) = await anext(feed)
    assert isinstance(gone, Withdrawn)
    assert gone.symbol == "ETH/USDT"
    assert [change.symbol for change in await anext(feed)] == ["ETH/USDT"]


@pytest.mark.parametrize(
    ("status", "body", "raised", "code"),
    [
        (502, "<html>", GatewayUnavailable, "gateway.unavailable"),
        (200, "[]", MalformedAnswer, "gateway.malformed"),
        (200, '{"nothing":', MalformedAnswer, "gateway.malformed"),
    ],
)
async def test_polls_are_repeated_then_raised(
    exchange: LoopbackExchange, status: int, body: str, raised: type[TriarbError], code: str
) -> None:
    """D4, D5: three failed polls in a row are overcome, with growing waits on the clock; four are raised."""
    clock = ManualClock(NS_PER_SECOND)
    async with gateway_to(exchange, clock=clock, credentials=None) as gateway:
        exchange.inject(FaultRule("quotes", Answer(status, body=body), times=3))
        assert len(await anext(gateway.quotes())) == 2
        assert clock.now_ns() == NS_PER_SECOND + (20 + 40 + 80) * NS_PER_MS
        exchange.inject(FaultRule("quotes", Answer(status, body=body), times=4))
        with pytest.raises(raised) as caught:
            await anext(gateway.quotes())
        assert caught.value.code == code


async def test_a_limit_is_kept_to(exchange: LoopbackExchange) -> None:
    """D1: told to slow down, it asks nothing at all until the wait is over, and then goes on by itself."""
    clock = ManualClock(NS_PER_SECOND)
    async with gateway_to(exchange, clock=clock, credentials=None) as gateway:
        exchange.inject(FaultRule("quotes", Answer(429, -1003)))
        asked, began_ns = len(exchange.requests), clock.now_ns()
        assert len(await anext(gateway.quotes())) == 2
        assert len(exchange.requests) == asked + 2
        assert clock.now_ns() - began_ns >= 60 * NS_PER_SECOND


async def test_books_are_checked(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """Impossible levels, and what is not JSON, are no book; an unknown market is named; the depth asked for is one that Binance counts in."""
    await gateway.order_book("ETH/USDT", 6)
    assert exchange.requests[-1].params["limit"] == "10"
    await gateway.order_book("ETH/USDT", 9999)
    assert exchange.requests[-1].params["limit"] == "5000"
    for body in ('{"bids":[["1","-1"]],"asks":[]}', '{"bids":[["0","1"]],"asks":[]}', "7"):
        exchange.inject(FaultRule("book", Answer(body=body)))
        with pytest.raises(MalformedAnswer, match="ETH/USDT"):
            await gateway.order_book("ETH/USDT")
    with pytest.raises(UsageError, match="no spot market 'ETH/EUR'"):
        await gateway.order_book("ETH/EUR")


async def test_books_come_with_their_time(gateway: CcxtGateway) -> None:
    """Where an exchange tells the time of its book, it is kept beside ours."""
    data = gateway._reader().instance

    async def fetch_order_book(symbol: str, limit: int) -> dict[str, Any]:
        return {"bids": [], "asks": [["1.5", "2"]], "timestamp": 1234}

    data.fetch_order_book = fetch_order_book
    book = await gateway.order_book("ETH/USDT")
    assert book.exchange_ns == 1234 * NS_PER_MS


async def test_only_spot_markets_are_given(exchange: LoopbackExchange) -> None:
    """Whatever else an instance has loaded is not ours to trade."""
    async with exchange.client() as ready:
        await ready.load_markets()
        ready.markets["ETH/USDT:USDT"] = ready.markets["ETH/USDT"] | {"spot": False}
        async with CcxtGateway(ready) as gateway:
            assert [market.symbol for market in await gateway.markets()] == ["ETH/USDT", "BTC/USDT"]


async def test_nonsense_markets_are_left_out_by_name() -> None:
    """A market whose base is its quote is not given, and `malformed` says why; the others are."""
    markets = [ETH, Market("XX/XX", "XX", "XX")]
    async with (
        LoopbackExchange(markets, fees=FeeSchedule.flat(0)) as exchange,
        gateway_to(exchange, credentials=None) as gateway,
    ):
        assert [market.symbol for market in await gateway.markets()] == ["ETH/USDT"]
        assert list(gateway.malformed) == ["XX/XX"]
        assert "XX" in gateway.malformed["XX/XX"]
        with pytest.raises(UsageError, match=gateway.malformed["XX/XX"]):
            await gateway.order_book("XX/XX")


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", '{"symbols":[]}'])
async def test_an_exchange_without_markets_is_none(exchange: LoopbackExchange, body: str) -> None:
    """An answer in which there is no spot market is not an exchange to trade on."""
    exchange.inject(FaultRule("markets", Answer(body=body)))
    with pytest.raises(MalformedAnswer, match="binance, its markets"):
        await gateway_to(exchange).__aenter__()


def test_an_exchange_without_one_request_for_all_says_so() -> None:
    """Where all markets cannot be asked for at once, quotes are refused rather than faked one by one."""
    gateway = CcxtGateway("paymium")
    gateway._data = type("Line", (), {"instance": ccxt.paymium()})()  # type: ignore[assignment]
    with pytest.raises(SourceError) as caught:
        gateway.quotes()
    assert caught.value.code == "source.no_quotes"


# Opening


@pytest.mark.parametrize("name", ["binanze", "base", "__class__", "Exchange", "", 7, "exchanges"])
def test_unknown_exchanges_are_named(name: Any) -> None:
    """Only ids that ccxt lists are looked up in it, whatever else it has under that name."""
    if isinstance(name, int):
        with pytest.raises(UsageError, match="no asynchronous exchange"):
            CcxtGateway(name)
        return
    with pytest.raises(SourceError, match="not an exchange") as caught:
        CcxtGateway(name)
    assert caught.value.code == "source.unknown_exchange"
    if name == "binanze":
        assert "binance" in caught.value.hint


@pytest.mark.parametrize(
    "settings", [{"poll_seconds": 0}, {"recv_window_ms": 60_001}, {"timeout_ms": float("nan")}]
)
def test_settings_are_checked(settings: dict[str, Any]) -> None:
    """A wait, a window or a timeout that makes no sense is refused by its name."""
    with pytest.raises(UsageError, match=next(iter(settings))):
        CcxtGateway("binance", **settings)


async def test_without_a_network_there_is_one_clear_error() -> None:
    """When nothing answers, entering says which exchange and what to do, and closes what it opened."""
    closed = []

    class NoNetwork:
        headers = MappingProxyType({})

        def get(self, *_: Any, **__: Any) -> Any:
            raise aiohttp.ClientConnectionError

        async def close(self) -> None:
            closed.append(self)

    gateway = CcxtGateway("binance", session_factory=NoNetwork)
    with pytest.raises(GatewayUnavailable, match="binance, its markets") as caught:
        await gateway.__aenter__()
    assert "network" in caught.value.hint
    assert caught.value.__context__ is None
    assert len(closed) == 1


async def test_it_cannot_reach_another_exchange(exchange: LoopbackExchange) -> None:
    """A loopback session lets nobody out: the refusal comes through as it is."""
    with pytest.raises(TradingRefused, match=r"api\.kraken\.com"):
        await CcxtGateway("kraken", session_factory=exchange.session_factory).__aenter__()


async def test_a_script_can_be_led_to_the_loopback_exchange(
    exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that is made without a session factory takes the default, which a test can set."""
    defaults = CcxtGateway.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "session_factory", exchange.session_factory)
    async with CcxtGateway("binance") as gateway:
        assert len(await gateway.markets()) == 2


async def test_what_is_not_open_says_so(exchange: LoopbackExchange) -> None:
    """Every use before entry, after exit, and a second entry are errors that name the mend."""
    gateway = gateway_to(exchange)
    async with gateway:
        with pytest.raises(UsageError, match="open already"):
            await gateway.__aenter__()
    for use in (gateway.markets, gateway.balances, gateway.fees):
        with pytest.raises(UsageError, match="not open") as caught:
            await use()
        assert caught.value.code == "gateway.not_entered"
        assert "async with" in caught.value.hint
    with pytest.raises(UsageError, match="not open"):
        gateway.quotes()
    async with gateway:
        assert len(await gateway.markets()) == 2


async def test_without_a_factory_ccxt_makes_its_own_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default session is ccxt's, and is closed with the gateway."""
    gateway = CcxtGateway("binance")
    data = gateway._connector.data()
    data.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}

    async def load_markets(*_: object) -> None:
        data.open()
        data.set_markets([data.parse_market(symbol_info("ETHUSDT", ETH))])

    data.load_markets = load_markets
    monkeypatch.setattr(Connector, "data", lambda _: data)
    async with gateway:
        session = data.session
        assert isinstance(session._session, aiohttp.ClientSession)
        assert await gateway.markets() == (ETH,)
    assert session.closed


def test_import_is_light() -> None:
    """Neither triarb.gateways nor its ccxt package imports ccxt or aiohttp before they are used."""
    code = (
        "import sys, triarb.gateways.ccxt as c; assert not {'ccxt', 'aiohttp'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# A ready instance


async def test_a_ready_instance_gives_the_data_and_stays_open(exchange: LoopbackExchange) -> None:
    """Its numbers may be floats; it is not changed and not closed, and orders go through another instance."""
    async with exchange.client(timeout=4321) as ready:
        ready.options["maxRetriesOnFailure"] = 3
        ready.set_sandbox_mode(True)
        async with CcxtGateway(
            ready, credentials=CANARY, session_factory=exchange.session_factory
        ) as gateway:
            assert list(await gateway.markets()) == [ETH, BTC]
            trader = gateway._own().line.instance
            assert trader is not ready
            assert trader.timeout == 4321
            assert "maxRetriesOnFailure" not in trader.options
            assert (await gateway.submit(buy())).status is ACCEPTED
            (quote, _) = await anext(gateway.quotes())
            assert isinstance(quote, Quote)
            assert quote.ask_size == D("0.5")
        assert await ready.fetch_time()
        assert ready.number is float


async def test_a_ready_instance_must_fit(exchange: LoopbackExchange) -> None:
    """A synchronous instance, or production's data beside a sandbox's credentials, is refused."""
    with pytest.raises(UsageError, match="no asynchronous exchange"):
        CcxtGateway(ccxt_sync.binance())
    async with exchange.client() as ready:
        with pytest.raises(UsageError, match="not both of the sandbox"):
            CcxtGateway(ready, credentials=CANARY)


# Where it goes


class Misled(LoopbackSession):
    """Its orders and its questions about them come to another server first, as whoever is in between could arrange it."""

    def __init__(self, exchange: LoopbackExchange, server: TestServer) -> None:
        super().__init__(exchange.port)
        self._server = server

    def request(self, method: str, url: Any, **kwargs: Any) -> Any:
        """Send a request as aiohttp does, redirects and all."""
        meant = yarl.URL(url)
        if not meant.path.endswith("/order"):
            return super().request(method, url, **kwargs)
        return self._session.request(method, self._server.make_url(meant.path_qs), **kwargs)


async def test_no_redirect_is_followed(exchange: LoopbackExchange) -> None:
    """D11: an order that is told to go elsewhere does not, and is UNKNOWN; a look-up fails, and finds nothing."""
    told = []

    async def elsewhere(request: web.Request) -> web.Response:
        told.append(request.method)
        there = f"http://127.0.0.1:{exchange.port}{request.path_qs}"
        return web.Response(status=307, headers={"Location": there}, text="moved")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", elsewhere)
    async with TestServer(app) as server:
        misled = gateway_to(exchange, session_factory=lambda: Misled(exchange, server))
        async with misled as gateway:
            asked = len(exchange.requests)
            assert (await gateway.submit(buy())).status is UNKNOWN
            with pytest.raises(GatewayError):
                await gateway.look_up("tri1", "ETH/USDT")
    assert told == ["POST", "GET"]
    assert len(exchange.requests) == asked


async def test_no_redirect_is_followed_through_a_socks_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D11: the session that ccxt makes for such a proxy follows none either."""
    given_: list[dict[str, Any]] = []
    session = SimpleNamespace(post=lambda **kwargs: given_.append(kwargs))
    monkeypatch.setattr(ccxt.binance, "get_socks_proxy_session", lambda _self, _proxy: session)
    trader = trading_instance(
        ccxt.binance, CANARY, timeout_ms=1, recv_window_ms=1, like=None, clock=ManualClock()
    )
    trader.get_socks_proxy_session("socks5://127.0.0.1:1").post(data=b"")
    assert given_ == [{"data": b"", "allow_redirects": False}]


@pytest.mark.parametrize("packed", [False, True])
async def test_an_endless_answer_is_not_read(exchange: LoopbackExchange, *, packed: bool) -> None:
    """D11: of an answer without an end no more is read than fits, packed or not; of an order it is no word."""
    piece, sent = b" " * 2**20, Counter[str]()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        if packed:
            answer.enable_compression(web.ContentCoding.deflate)
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(piece)
                sent[request.method] += 1
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", endless)
    async with TestServer(app) as server:
        misled = gateway_to(exchange, session_factory=lambda: Misled(exchange, server))
        async with misled as gateway:
            submitted = await gateway.submit(buy())
            assert (submitted.status, submitted.state) == (UNKNOWN, None)
            assert "is larger than" in submitted.reason
            with pytest.raises(GatewayUnavailable) as caught:
                await gateway.look_up("tri1", "ETH/USDT")
    assert caught.value.code == "gateway.too_large"
    assert sent.keys() == {"POST", "GET"}
    most = MAX_ANSWER_BYTES // len(piece)
    assert all(most / 2 < pieces < 2 * most for pieces in sent.values()), sent


@pytest.mark.parametrize(
    ("charset", "read"), [("latin-1", "é"), ("utf-8", "\ufffd"), ("no-such", "\ufffd")]
)
async def test_answers_are_read_in_their_charset(charset: str, read: str) -> None:
    """As aiohttp reads them; one whose charset nobody knows is UTF-8."""

    async def odd(_request: web.Request) -> web.Response:
        return web.Response(body=b"\xe9", headers={"Content-Type": f"text/html; charset={charset}"})

    app = web.Application()
    app.router.add_get("/", odd)
    async with (
        TestServer(app) as server,
        aiohttp.ClientSession() as session,
        StraightSession(session).get(server.make_url("/")) as answer,
    ):
        assert await answer.text(errors="replace") == read
        assert answer.status == 200


async def test_whoever_trades_checks_certificates(exchange: LoopbackExchange) -> None:
    """D11: also beside a ready instance that does not, whose file of authorities it takes over."""
    async with exchange.client(verify=False, cafile=certifi.where()) as ready:
        ready.set_sandbox_mode(True)
        trader = CcxtGateway(ready, credentials=CANARY)._connector.trader()
        trader.open()
        try:
            assert (ready.verify, trader.verify) == (False, True)
            assert trader.cafile == ready.cafile
            checked = trader.ssl_context
            assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
            assert trader.session.connector._ssl is checked
        finally:
            await trader.close()


# What may be done


async def test_read_only_sends_nothing(exchange: LoopbackExchange) -> None:
    """I16: without credentials everything about an account is refused, and nothing is sent."""
    async with gateway_to(exchange, credentials=None) as gateway:
        asked = len(exchange.requests)
        for use in (
            gateway.balances(),
            gateway.submit(buy()),
            gateway.look_up("tri1", "ETH/USDT"),
            gateway.cancel("tri1", "ETH/USDT"),
        ):
            with pytest.raises(TradingRefused) as caught:
                await use
            assert caught.value.code == "gateway.read_only"
        assert len(exchange.requests) == asked


async def test_production_is_read_but_not_traded(exchange: LoopbackExchange) -> None:
    """With production's credentials the account is read; orders and cancels are refused without a request."""
    async with gateway_to(exchange, sandbox=False) as gateway:
        assert gateway.mode == "live"
        assert (await gateway.balances())["USDT"] == Balance(D(10_000))
        assert isinstance(await gateway.look_up("tri1", "ETH/USDT"), NotFound)
        for use in (gateway.submit(buy()), gateway.cancel("tri1", "ETH/USDT")):
            with pytest.raises(TradingRefused) as caught:
                await use
            assert caught.value.code == "gateway.production"
    assert {received.host for received in exchange.requests} == {"api.binance.com"}
    assert writes(exchange) == 0


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("binanceus", "gateway.foreign_sandbox"),
        ("bequant", "gateway.foreign_sandbox"),
        ("blockchaincom", "gateway.foreign_sandbox"),
        ("kraken", "gateway.no_sandbox"),
        ("weex", "gateway.no_sandbox"),
        ("gate", "gateway.no_look_up"),
        ("bitso", "gateway.no_look_up"),
    ],
)
def test_sandboxes_that_are_none(name: str, code: str) -> None:
    """Another company's sandbox, none at all, production's own hosts, or one where an order can be lost: all refused."""
    keys = attrs.evolve(CANARY, password="CANARY" if name == "weex" else None)
    with pytest.raises(TradingRefused) as caught:
        CcxtGateway(name, credentials=keys)
    assert caught.value.code == code


@pytest.mark.parametrize("name", sorted(FINDS_BY_CLIENT_ID))
def test_sandboxes_that_are_their_own(name: str) -> None:
    """Where triarb trades, the sandbox is the exchange's own."""
    assert CcxtGateway(name, credentials=CANARY).mode == "sandbox"


def test_orders_leave_for_no_other_host() -> None:
    """In a sandbox, what may change something passes only to a host of the sandbox, or with the header that makes it one."""
    guard = enter_sandbox(ccxt.binance())
    guard("https://testnet.binance.vision/api/v3/order", {})
    with pytest.raises(TradingRefused, match=r"api\.binance\.com"):
        guard("https://api.binance.com/api/v3/order", {})
    guard = enter_sandbox(ccxt.okx())
    guard("https://www.okx.com/api/v5/trade/order", {"x-simulated-trading": "1"})
    with pytest.raises(TradingRefused, match=r"www\.okx\.com"):
        guard("https://www.okx.com/api/v5/trade/order", {})
    guard = enter_sandbox(ccxt.alpaca())  # shares a host for data with production
    with pytest.raises(TradingRefused):
        guard("https://data.alpaca.markets/v2/orders", {})


async def test_an_instance_that_left_the_sandbox_sends_nothing(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """Should ccxt forget the sandbox, the order is stopped here, and that is proof enough that there is none."""
    gateway._own().line.instance.set_sandbox_mode(False)
    submission = await gateway.submit(buy())
    assert submission.status is REJECTED
    assert "leave the sandbox" in submission.reason
    assert writes(exchange) == 0


@pytest.mark.parametrize(
    ("name", "credentials", "missing"),
    [
        ("okx", Credentials("key", "secret"), "password"),
        ("binance", Credentials("key", ""), "secret"),
        ("hyperliquid", CANARY, "walletAddress"),
    ],
)
def test_credentials_must_suffice(name: str, credentials: Credentials, missing: str) -> None:
    """What an exchange needs and the credentials lack is named."""
    with pytest.raises(UsageError, match=missing) as caught:
        CcxtGateway(name, credentials=credentials)
    assert caught.value.code == "gateway.credentials"


# Orders


async def test_a_fill_is_the_engines(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """A filled order is accepted with the engine's own fills, and the balances are the same to the last digit."""
    submission = await gateway.submit(buy(amount="1.2345", price="2001.5"))
    assert submission.status is ACCEPTED
    assert submission.state is not None
    assert submission.state.is_complete
    engines = exchange.engine.look_up("tri1", "ETH/USDT")
    assert without_numbers(submission.state) == without_numbers(engines)
    assert len(submission.state.fills) == 2
    assert await gateway.balances() == exchange.engine.balances
    found = await gateway.look_up("tri1", "ETH/USDT")
    assert found == submission.state


async def test_the_order_is_sent_as_it_is(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """B7: one POST, with our own numbers and id as text, a short window, and no word more."""
    await gateway.submit(buy(amount="0.5000", price="1234.50"))
    sent = exchange.requests[-1]
    assert sent.host == "testnet.binance.vision"
    assert {k: v for k, v in sent.params.items() if k != "timestamp"} == {
        "symbol": "ETHUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": "0.5",
        "price": "1234.5",
        "newClientOrderId": "tri1",
        "newOrderRespType": "FULL",
        "recvWindow": "3000",
    }
    assert writes(exchange) == 1


async def test_a_partial_fill_is_final(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """What an IOC order did not find is expired; what it filled counts."""
    submission = await gateway.submit(buy(amount="1.5"))
    assert submission.state is not None
    assert (submission.state.status, submission.state.filled) == (OrderStatus.EXPIRED, D(1))
    assert submission.state.is_complete


async def test_fok_and_market_orders(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """FOK fills whole or not at all; a market order is sent without a price and without a word of time."""
    submission = await gateway.submit(attrs.evolve(buy(amount="5"), time_in_force=TimeInForce.FOK))
    assert submission.state is not None
    assert submission.state.filled == 0
    submission = await gateway.submit(buy("tri2", price=None))
    assert submission.state is not None
    assert submission.state.filled == D("0.5")
    assert not {"price", "timeInForce", "quoteOrderQty"} & exchange.requests[-1].params.keys()


async def test_orders_rest_and_are_canceled(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """A GTC order is open, fills in part by a later book, and a cancel answers its final state with all fills."""
    rest = attrs.evolve(buy(price="1990"), time_in_force=TimeInForce.GTC)
    submission = await gateway.submit(rest)
    assert submission.state is not None
    assert submission.state.status is OrderStatus.OPEN
    assert (await gateway.balances())["USDT"].locked == D(995)
    exchange.set_book(shown(("1990", "0.2"), bid="1980"))
    canceled = await gateway.cancel("tri1", "ETH/USDT")
    assert isinstance(canceled, OrderState)
    assert (canceled.status, canceled.filled) == (OrderStatus.CANCELED, D("0.2"))
    assert canceled.is_complete


async def test_what_is_unknown_is_not_found(gateway: CcxtGateway) -> None:
    """An id that the exchange does not know is NotFound, also after a cancel; an unknown market is an error."""
    assert await gateway.look_up("none", "ETH/USDT") == NotFound("none", "ETH/USDT")
    assert await gateway.cancel("none", "ETH/USDT") == NotFound("none", "ETH/USDT")
    with pytest.raises(UsageError):
        await gateway.look_up("none", "ETH/EUR")


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (attrs.evolve(buy(), symbol="ETH/EUR"), "order.unknown_market"),
        (buy(amount="0.00015"), "order.amount_step"),
        (buy(amount="0.00001"), "order.amount_step"),
        (buy(price="2000.005"), "order.price_tick"),
        (buy(price="0.001"), "order.price_tick"),
        (buy(amount="-1"), "order.bad_number"),
        (buy(amount="0"), "order.bad_number"),
        (buy(price="NaN"), "order.bad_number"),
        (buy(amount="Infinity"), "order.bad_number"),
        (buy(client_id=""), "order.client_id"),
        (buy(client_id="x" * 37), "order.client_id"),
        (attrs.evolve(buy(price=None), time_in_force=TimeInForce.FOK), "order.time_in_force"),
        (buy(amount="0.00015", price=None), "order.amount_step"),
    ],
)
async def test_what_cannot_be_sent_exactly_is_not_sent(
    exchange: LoopbackExchange, gateway: CcxtGateway, order: Order, code: str
) -> None:
    """B9: numbers that ccxt would round, that are none, and ids that do not fit are rejected here, without a POST."""
    submission = await gateway.submit(order)
    assert submission.status is REJECTED
    assert submission.reason.startswith(code)
    assert writes(exchange) == 0


async def test_what_the_venue_cannot_do_is_not_sent(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """Where ccxt knows no IOC, or takes a market buy's amount for its cost, the order is rejected here."""
    trader = gateway._own().line.instance
    btc = attrs.evolve(buy(), symbol="BTC/USDT")
    del trader.markets["BTC/USDT"]
    assert (await gateway.submit(btc)).reason.startswith("order.unknown_market")
    trader.options["createOrder"]["createMarketBuyOrderRequiresPrice"] = False
    submission = await gateway.submit(buy(price=None))
    assert submission.reason.startswith("order.market_buy")
    trader.features["spot"]["createOrder"]["timeInForce"] = {"IOC": False}
    submission = await gateway.submit(buy())
    assert submission.reason.startswith("order.time_in_force")
    assert writes(exchange) == 0


async def test_what_ccxt_refuses_itself_was_not_sent(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """When ccxt raises before anything left, that is proof: rejected, not unknown."""
    gateway._own().line.instance.markets["ETH/USDT"]["info"]["orderTypes"] = []
    submission = await gateway.submit(buy())
    assert (submission.status, writes(exchange)) == (REJECTED, 0)


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (buy(amount="0.002"), "-1013 Filter failure: NOTIONAL"),
        (buy(amount="0.0001"), "-1013 Filter failure: LOT_SIZE"),
        (buy(amount="7"), "-2010 Account has insufficient balance"),
        (attrs.evolve(buy(price=None), symbol="BTC/USDT"), "-1112 No orders on book"),
    ],
)
async def test_rejections_carry_the_venues_code(
    exchange: LoopbackExchange, gateway: CcxtGateway, order: Order, code: str
) -> None:
    """A structured refusal with HTTP 4xx is a rejection, and nothing has changed."""
    submission = await gateway.submit(order)
    assert submission.status is REJECTED
    assert submission.reason.startswith(code)
    assert exchange.engine.balances["USDT"] == Balance(D(10_000))


def answer(code: int, message: str = "no") -> str:
    """An error as Binance says it."""
    return json.dumps({"code": code, "msg": message})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, answer(-1013), REJECTED),
        (400, answer(-1021), REJECTED),
        (400, answer(-1130), REJECTED),
        (401, answer(-2015), REJECTED),
        (429, answer(-1003), REJECTED),
        (418, answer(-1003), REJECTED),
        (400, answer(-1003), UNKNOWN),
        (429, answer(-1015), REJECTED),
        (400, answer(-2010, "Duplicate order sent."), UNKNOWN),
        (400, answer(-1000), UNKNOWN),
        (400, answer(-1006), UNKNOWN),
        (400, answer(-1007), UNKNOWN),
        (400, answer(-1131), UNKNOWN),
        (400, answer(-9999), UNKNOWN),
        (500, answer(-1013), UNKNOWN),
        (503, answer(-1008), UNKNOWN),
        (200, answer(-1013), UNKNOWN),
        (400, "-1013", UNKNOWN),
        (400, "", UNKNOWN),
        (403, "<html>WAF</html>", UNKNOWN),
        (404, "<html>", UNKNOWN),
        (451, "{}", UNKNOWN),
        (502, "<html>", UNKNOWN),
        (200, "", UNKNOWN),
        (200, "null", UNKNOWN),
        (200, "[]", UNKNOWN),
        (200, "{}", UNKNOWN),
        (200, '{"orderId": 1', UNKNOWN),
        (200, '{"code":1,"msg":"System is under maintenance."}', UNKNOWN),
    ],
)
async def test_only_what_is_proven_is_a_rejection(
    exchange: LoopbackExchange, gateway: CcxtGateway, status: int, body: str, expected: Any
) -> None:
    """By the code of a structured 4xx answer alone; all else proves nothing, and is one POST all the same."""
    exchange.inject(FaultRule("submit", Answer(status, body=body, acts=True)))
    submission = await gateway.submit(buy())
    assert (submission.status, submission.state) == (expected, None)
    assert submission.reason
    assert writes(exchange) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"orderId": None},
        {"clientOrderId": "other"},
        {"symbol": "BTCUSDT"},
        {"side": "SELL"},
        {"origQty": "0.4"},
        {"origQty": None},
        {"executedQty": "-1"},
        {"price": "2000.01"},
        {"timeInForce": "GTC"},
        {"status": None},
        {"status": "PENDING_NEW"},
    ],
)
async def test_an_answer_about_another_order_proves_nothing(
    exchange: LoopbackExchange, gateway: CcxtGateway, change: dict[str, Any]
) -> None:
    """A4, A9: acceptance needs our id, market, side, amount, price and time in force, an order number and a known status."""
    good = {
        "symbol": "ETHUSDT",
        "orderId": 7,
        "clientOrderId": "tri1",
        "transactTime": 1,
        "price": "2000",
        "origQty": "0.5",
        "executedQty": "0",
        "cummulativeQuoteQty": "0",
        "status": "EXPIRED",
        "timeInForce": "IOC",
        "type": "LIMIT",
        "side": "BUY",
        "fills": [],
    }
    exchange.inject(FaultRule("submit", Answer(body=json.dumps(good))))
    assert (await gateway.submit(buy())).status is ACCEPTED
    kept = {key: value for key, value in (good | change).items() if value is not None}
    exchange.inject(FaultRule("submit", Answer(body=json.dumps(kept))))
    assert (await gateway.submit(buy())).status is UNKNOWN


@pytest.mark.parametrize(
    ("fault", "is_there"),
    [
        (DropBefore(), False),
        (DropAfter(), True),
        (Hang(), True),
        (Hang(acts=False), False),
        (Truncate(), True),
    ],
)
async def test_a_lost_answer_is_unknown_and_can_be_looked_up(
    exchange: LoopbackExchange, fault: Fault, *, is_there: bool
) -> None:
    """Whether the order was taken does not show in what ccxt raises; a look-up tells."""
    async with gateway_to(exchange, timeout_ms=200) as gateway:
        exchange.inject(FaultRule("submit", fault))
        submission = await gateway.submit(buy())
        assert submission == Submission(UNKNOWN, reason=submission.reason)
        assert writes(exchange) == 1
        found = await gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(found, OrderState) is is_there
        if is_there:
            engines = exchange.engine.look_up("tri1", "ETH/USDT")
            assert without_numbers(found) == without_numbers(engines)


async def test_an_earlier_answer_says_nothing_of_the_order(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """What was refused before the order left, in the same call, does not make a lost order a rejected one."""
    trader = gateway._own().line.instance
    create_order = trader.create_order

    async def after_a_refusal(*args: Any) -> Any:
        with suppress(ccxt.BadRequest):
            await trader.private_get_order({"symbol": "ETHUSDT"})  # HTTP 400, -1102
        return await create_order(*args)

    trader.create_order = after_a_refusal
    exchange.inject(FaultRule("submit", DropAfter()))
    assert (await gateway.submit(buy())).status is UNKNOWN


async def test_ccxt_does_not_send_an_order_again(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """I2, A3: even if its options ask for retries, one submit is at most one POST."""
    gateway._own().line.instance.options["maxRetriesOnFailure"] = 3
    exchange.inject(FaultRule("submit", DropAfter()))
    submission = await gateway.submit(buy())
    assert submission.status is UNKNOWN
    assert "again" in submission.reason
    assert writes(exchange) == 1


async def test_a_canceled_task_is_not_an_answer(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """CancelledError passes through a submit: whoever cancels must look the order up."""
    exchange.inject(FaultRule("submit", Hang()))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await gateway.submit(buy())
    assert isinstance(await gateway.look_up("tri1", "ETH/USDT"), OrderState)


async def test_a_cancel_is_followed_by_a_look_up(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """A reset DELETE is sent again by aiohttp, and the second is "unknown order"; the look-up tells that it is canceled."""
    await gateway.submit(attrs.evolve(buy(price="1000"), time_in_force=TimeInForce.GTC))
    exchange.inject(FaultRule("cancel", DropAfter()))
    state = await gateway.cancel("tri1", "ETH/USDT")
    assert isinstance(state, OrderState)
    assert state.status is OrderStatus.CANCELED


async def test_fills_may_lag(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """Trades that cannot be read now leave the state as it is; a later look-up has them."""
    await gateway.submit(buy())
    for body in ("<html>", "[]", '[{"id":1,"orderId":1,"price":"0","qty":"1","isBuyer":true}]'):
        exchange.inject(FaultRule("trades", Answer(body=body)))
        state = await gateway.look_up("tri1", "ETH/USDT")
        assert isinstance(state, OrderState)
        assert (state.filled, state.fills, state.is_complete) == (D("0.5"), (), False)
    gateway._own().line.instance.has["fetchOrderTrades"] = False
    state = await gateway.look_up("tri1", "ETH/USDT")
    assert isinstance(state, OrderState)
    assert state.is_complete


async def test_a_fill_that_was_not_told_is_fetched(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """An accepted order whose fills do not add up to what it filled is completed from the account's trades."""
    gateway._own().line.instance.options["newOrderRespType"]["limit"] = "RESULT"
    submission = await gateway.submit(buy())
    assert submission.state is not None
    assert submission.state.is_complete


@pytest.mark.parametrize(
    ("on", "use"),
    [
        ("balances", lambda g: g.balances()),
        ("look_up", lambda g: g.look_up("tri1", "ETH/USDT")),
    ],
)
@pytest.mark.parametrize(
    ("status", "body", "raised", "code"),
    [
        (200, "{", MalformedAnswer, "gateway.malformed"),
        (200, "[]", MalformedAnswer, "gateway.malformed"),
        (401, answer(-2014), GatewayError, "gateway.credentials"),
        (401, answer(-2015), GatewayError, "gateway.credentials"),
        (400, answer(-1021), GatewayError, "gateway.clock"),
        (418, answer(-1003), GatewayUnavailable, "gateway.rate_limited"),
        (500, answer(-1000), GatewayUnavailable, "gateway.unavailable"),
        (400, answer(-1102), GatewayError, "gateway.refused"),
    ],
)
async def test_failed_reads_say_why(
    exchange: LoopbackExchange,
    gateway: CcxtGateway,
    on: str,
    use: Any,
    status: int,
    body: str,
    raised: type[TriarbError],
    code: str,
) -> None:
    """Each kind of failure has its code, also where ccxt's class says something else, and no context."""
    await gateway.balances()  # from here on ccxt takes -2015 for a ban
    exchange.inject(FaultRule(on, Answer(status, body=body)))
    with pytest.raises(raised) as caught:
        await use(gateway)
    assert caught.value.code == code
    assert "binance" in str(caught.value)


async def test_balances_leave_out_nothing_else(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """All that is not zero, free and locked, and no more; an impossible number is an error."""
    assert await gateway.balances() == {"USDT": Balance(D(10_000)), "ETH": Balance(D(1))}
    body = '{"balances":[{"asset":"ETH","free":"1e99","locked":"0"}]}'
    exchange.inject(FaultRule("balances", Answer(body=body)))
    with pytest.raises(MalformedAnswer, match="balances"):
        await gateway.balances()


async def test_balances_are_exact(exchange: LoopbackExchange, gateway: CcxtGateway) -> None:
    """B7, I4: an amount of more digits than a float has arrives with all of them."""
    exact = D("123456789012.12345678")
    exchange.engine.deposit("ETH", exact - 1, exchange.clock.now_ns())
    assert (await gateway.balances())["ETH"].total == exact


# Fees


async def test_named_markets_have_the_accounts_fee(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """Binance is asked for the commission of each named market: taker plus the dearer side, over all its parts."""
    fees = await gateway.fees(["ETH/USDT"])
    fee = fees.fee("ETH/USDT")
    assert fee is not None
    assert (fee.rate, fee.provenance, fee.charged_in) == (
        D("0.001"),
        Provenance.ACCOUNT,
        FeeSide.RECEIVED,
    )
    assert fees.fee("BTC/USDT") is None
    part = {"maker": "0.1", "taker": "0.002", "buyer": "0.0001", "seller": "0.0003"}
    enabled = {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB"}
    # The discount is off the standard commission only, and both ways to write it mean 25 % off.
    told = {"0.25": "0.006325", "0.75": "0.006325", None: "0.0069", "0": "0.0069"}
    for discount, paid in told.items():
        body = {
            "standardCommission": part,
            "specialCommission": part,
            "taxCommission": part,
            "discount": enabled | {"discount": discount},
        }
        exchange.inject(FaultRule("fees", Answer(body=json.dumps(body))))
        fee = (await gateway.fees(["ETH/USDT"])).fee("ETH/USDT")
        assert fee is not None
        assert (fee.rate, fee.note) == (D("0.0069"), "less where paid in BNB")
        assert fee.token == FeeToken("BNB", D(paid), D("0.0069"))
    for off in ({"enabledForAccount": False}, {"enabledForSymbol": False}, {"discountAsset": None}):
        body["discount"] = enabled | {"discount": "0.25"} | off
        exchange.inject(FaultRule("fees", Answer(body=json.dumps(body))))
        fee = (await gateway.fees(["ETH/USDT"])).fee("ETH/USDT")
        assert fee is not None
        assert fee.token is None


async def test_all_markets_are_nominated_as_if_the_token_paid(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """Asked for all, one market tells whether the account pays in a token; where it does not say, none is assumed."""
    part = {"maker": "0", "taker": "0.002", "buyer": "0", "seller": "0"}
    nothing = dict.fromkeys(part, "0")
    enabled = {"enabledForAccount": True, "enabledForSymbol": True, "discountAsset": "BNB"}
    for taker, discount, lowest in (("0.002", "0.25", "0.00075"), ("0", "0.25", "0.001")):
        body = {
            "standardCommission": part | {"taker": taker},
            "specialCommission": nothing,
            "taxCommission": nothing,
            "discount": enabled | {"discount": discount},
        }
        exchange.inject(FaultRule("fees", Answer(body=json.dumps(body))))
        fee = (await gateway.fees()).fee("ETH/USDT")
        assert fee is not None
        assert (fee.provenance, fee.rate, fee.lowest.rate) == ("schedule", D("0.001"), D(lowest))
    for answered in (answer(-1121), "{}", '{"standardCommission":{"taker":null}}'):
        status = 400 if "code" in answered else 200
        exchange.inject(FaultRule("fees", Answer(status=status, body=answered)))
        fee = (await gateway.fees()).fee("ETH/USDT")
        assert fee is not None
        assert fee.token is None
    exchange.inject(FaultRule("fees", Answer(status=502)))
    with pytest.raises(GatewayUnavailable):
        await gateway.fees()


async def test_fees_that_the_account_does_not_tell(
    exchange: LoopbackExchange, gateway: CcxtGateway
) -> None:
    """For all markets, after a refusal, or after nonsense, it is the schedule, and the note says why."""
    for symbols, body, why in (
        (None, "", "name at most 50"),
        (["ETH/USDT"], answer(-1121), "gateway.refused"),
        (["ETH/USDT"], "{}", "made no sense"),
        (["ETH/USDT"], '{"standardCommission":{"taker":null}}', "made no sense"),
    ):
        status = 400 if "code" in body else 200
        if body:
            exchange.inject(FaultRule("fees", Answer(status, body=body)))
        fee = (await gateway.fees(symbols)).fee("ETH/USDT")
        assert fee is not None
        assert (fee.provenance, why in fee.note) == (Provenance.SCHEDULE, True)
    assert (await gateway.fees([])).by_symbol == {}
    exchange.inject(FaultRule("fees", Answer(502)))
    with pytest.raises(GatewayUnavailable):
        await gateway.fees(["ETH/USDT"])


async def test_a_table_of_the_accounts_fees(gateway: CcxtGateway) -> None:
    """Where one request tells all, it is used, and what it does not tell comes from the schedule."""
    trader = gateway._own().line.instance
    trader.id = "somewhere"

    async def fetch_trading_fees() -> Any:
        return {"ETH/USDT": {"taker": "0.0007"}, "BTC/USDT": {"taker": None}}

    async def fetch_trading_fee(symbol: str) -> Any:
        return {"taker": 0.0008}

    trader.fetch_trading_fees, trader.fetch_trading_fee = fetch_trading_fees, fetch_trading_fee
    fees = await gateway.fees()
    told = [(f.rate, f.provenance) for f in fees.by_symbol.values()]
    assert sorted(told) == [(D("0.0007"), "account"), (D("0.001"), "schedule")]
    trader.has["fetchTradingFees"] = False
    (fee,) = (await gateway.fees(["ETH/USDT"])).by_symbol.values()
    assert (fee.rate, fee.provenance) == (D("0.0008"), "account")
    trader.has["fetchTradingFee"] = False
    (fee,) = (await gateway.fees(["ETH/USDT"])).by_symbol.values()
    assert "does not tell" in fee.note


def test_published_fees() -> None:
    """What ccxt's table says, as a schedule with its version; nothing for who is unknown, and no slips of it."""
    fee = published_taker_fee("binance")
    assert fee is not None
    assert (fee.rate, fee.provenance, fee.charged_in) == (
        D("0.001"),
        Provenance.SCHEDULE,
        FeeSide.RECEIVED,
    )
    assert fee.note == f"ccxt {ccxt.__version__}'s table"
    for name in ("nowhere", "base", "weex", "p2b"):
        assert published_taker_fee(name) is None


def test_a_published_rate_that_ccxt_does_not_tell() -> None:
    """Where ccxt's table has no rate and ours does, it is ours, with its day and its source."""
    fee = published_taker_fee("bitget")
    assert fee is not None
    assert (fee.rate, fee.provenance) == (D("0.001"), Provenance.SCHEDULE)
    assert "2026-11-22" in fee.note
    assert "bitget.com" in fee.note


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("okx", FeeSide.RECEIVED),
        ("kucoin", FeeSide.QUOTE),
        ("mexc", FeeSide.QUOTE),
        ("coinbase", FeeSide.QUOTE),
        ("kraken", FeeSide.GIVEN),
        ("upbit", FeeSide.QUOTE),
        ("bitstamp", FeeSide.QUOTE),
    ],
)
def test_whose_fee_asset_nobody_tells(name: str, side: FeeSide) -> None:
    """Where ccxt does not say what a fee is charged in, it is what a document says, or ccxt's default, and marked."""
    fee = published_taker_fee(name)
    assert fee is not None
    assert fee.charged_in is side
    assert "unverified" in fee.note


async def test_every_published_fee_is_a_fee() -> None:
    """Of all exchanges that ccxt knows, none makes the table fail, and no rate is beyond reason."""
    known = [published_taker_fee(name) for name in ccxt.exchanges]
    rates = [fee.rate for fee in known if fee is not None]
    assert len(rates) > 50
    assert all(abs(rate) < D("0.1") for rate in rates)


async def test_a_fee_that_is_no_number_is_none(gateway: CcxtGateway) -> None:
    """A market whose fee is nonsense or not told has none: fees have no default."""
    markets = gateway._reader().instance.markets
    markets["ETH/USDT"]["taker"], markets["BTC/USDT"]["taker"] = "much", None
    assert (await gateway.fees()).by_symbol == {}


async def test_a_market_that_half_a_reading_lost_has_no_fee(gateway: CcxtGateway) -> None:
    """Where markets could not be read again and ccxt has others by now, what it has lost has no fee, and nothing fails."""
    del gateway._reader().instance.markets["ETH/USDT"]
    assert list((await gateway.fees()).by_symbol) == ["BTC/USDT"]


# Secrets


def secret_in(text: str) -> bool:
    """Whether a canary, or anything signed, shows."""
    return "CANARY" in text or "signature=" in text.replace("signature=***", "")


def test_credentials_do_not_show() -> None:
    """Neither their repr nor a copy or a pickle gives them away."""
    assert repr(CANARY) == str(CANARY) == "Credentials(key=***, secret=***, password=***)"
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            give_away(CANARY)
    assert not secret_in(CANARY.mask(f"{CANARY.key} {CANARY.secret} {CANARY.password}"))
    assert Credentials("", "").mask("text") == "text"


@given(st.text(alphabet="abcdefABCDEF0123456789", min_size=8))
def test_signatures_are_masked(signature: str) -> None:
    """Whatever follows a word for a signature or a key is masked, in addresses and in JSON."""
    for text in (f"a?b=1&signature={signature}&c=2", f'{{"sign": "{signature}"}}'):
        assert signature not in without_signature(text)


@pytest.mark.parametrize("fault", [DropBefore(), Hang(), Answer(400, body=LEAKING, acts=True)])
@pytest.mark.parametrize("on", ["look_up", "submit"])
async def test_no_failure_shows_a_secret(
    exchange: LoopbackExchange, caplog: pytest.LogCaptureFixture, fault: Fault, on: str
) -> None:
    """No text, context or log of a failure holds a key, a secret or a signed address, also at DEBUG."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("triarb.gateways.ccxt.instance").setLevel(logging.DEBUG)
    async with gateway_to(exchange, timeout_ms=100) as gateway:
        exchange.inject(FaultRule(on, fault, times=2))
        texts = [repr(gateway), caplog.text]
        if on == "submit":
            texts.append((await gateway.submit(buy())).reason)
        else:
            with pytest.raises(GatewayError) as caught:
                await gateway.look_up("tri1", "ETH/USDT")
            assert caught.value.__context__ is None
            assert caught.value.__cause__ is None
            texts += [str(caught.value), repr(caught.value.args)]
        texts.append(caplog.text)
    assert not any(secret_in(text) for text in texts)


# What an answer proves, where we know no codes


def wire(status: int | None, body: str = "{}", writes_: int = 1) -> Wire:
    """What came over the wire."""
    return Wire(once=True, writes=writes_, status=status, body=body)


@pytest.mark.parametrize(
    ("status", "error", "proven"),
    [
        (400, ccxt.InsufficientFunds, True),
        (400, ccxt.InvalidOrder, True),
        (422, ccxt.BadSymbol, True),
        (401, ccxt.AuthenticationError, True),
        (400, ccxt.DuplicateOrderId, False),
        (400, ccxt.ExchangeError, False),
        (429, ccxt.InvalidOrder, False),
        (409, ccxt.BadRequest, False),
        (200, ccxt.InsufficientFunds, False),
        (500, ccxt.InsufficientFunds, False),
        (None, ccxt.InvalidOrder, False),
    ],
)
def test_other_venues_reject_by_status_and_class(
    status: int | None, error: type[Exception], *, proven: bool
) -> None:
    """A clear error of ccxt's counts only with a structured 4xx answer that leaves no other reading."""
    assert proves_rejection("okx", error(), wire(status, '{"code":"51008"}')) is proven
    assert proves_rejection("okx", error(), wire(status, "<html>")) is False
    assert proves_rejection("okx", error(), wire(status, writes_=0)) is True


def test_failures_without_a_status() -> None:
    """What ccxt raises without an answer is unavailable, unsupported or nonsense, by what it is."""
    for error, code in (
        (ccxt.ExchangeError(), "gateway.unavailable"),
        (ccxt.RequestTimeout(), "gateway.unavailable"),
        (ccxt.NotSupported(), "gateway.unsupported"),
        (ccxt.NullResponse(), "gateway.malformed"),
        (KeyError("x"), "gateway.malformed"),
        (ccxt.BadSymbol(), "gateway.refused"),
        (UsageError("ours", code="ours"), "ours"),
    ):
        failure = explain("okx", "its book", error, Wire(), None)
        assert (failure.code, "its book" in str(failure)) == (code, code != "ours")


def test_a_manual_clock_signs() -> None:
    """A clock of one's own tells the times that requests are signed with."""
    trader = trading_instance(
        ccxt.binance,
        CANARY,
        timeout_ms=1,
        recv_window_ms=1000,
        like=None,
        clock=ManualClock(5 * NS_PER_SECOND),
    )
    assert trader.nonce() == 5000
    assert trader.options["recvWindow"] == 1000
    htx = trading_instance(
        ccxt.htx, CANARY, timeout_ms=1, recv_window_ms=1, like=None, clock=ManualClock()
    )
    assert htx.options["fetchMarkets"]["types"]["spot"] is True
    assert htx.options["fetchMarkets"]["types"]["linear"] is False


# ccxt's dictionaries


def test_a_quote_that_makes_no_sense_has_no_side() -> None:
    """A price that is no number or below zero is a side that is not there."""
    quote = quote_from_ccxt("ETH/USDT", {"bid": "much", "ask": -1.0, "timestamp": 2}, received_ns=1)
    assert quote == Quote("ETH/USDT", None, None, None, None, 1, 2 * NS_PER_MS)


def trade(**changes: Any) -> dict[str, Any]:
    """A trade as ccxt tells it."""
    fee = {"cost": "0.1", "currency": "USDT"}
    told = {"id": "t", "order": "7", "price": "2000", "amount": "0.5", "fee": fee, "timestamp": 5}
    return told | changes


def test_fees_are_summed_by_asset() -> None:
    """A trade charged in two assets, one of them twice, has each once; a fee of zero is none."""
    several = [
        {"cost": "0.1", "currency": "BNB"},
        {"cost": "0.2", "currency": "BNB"},
        {"cost": 0.5, "currency": "USDT"},
        {"cost": "0", "currency": None},
    ]
    (fill,) = fills_from_ccxt(
        [trade(fees=several), trade(fees=several)], {"side": "buy"}, client_id="c", market=ETH
    )
    assert fill.fees == {"BNB": D("0.3"), "USDT": D("0.5")}
    assert fill.time_ns == 5 * NS_PER_MS


@pytest.mark.parametrize("fee", [None, {}, {"cost": None}, {"cost": "1", "currency": None}])
def test_a_trade_without_its_fee_is_no_fill_yet(fee: Any) -> None:
    """What a trade did to the balances is not known before its fee is."""
    trades = [trade(fee=fee, fees=[])]
    assert fills_from_ccxt(trades, {"side": "buy"}, client_id="c", market=ETH) == ()


@pytest.mark.parametrize("change", [{"id": None}, {"price": None}, {"amount": "-1"}])
def test_a_trade_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    """A trade without an id, a price or an amount is an error, not a fill."""
    with pytest.raises(ValueError, match="cannot be"):
        fills_from_ccxt([trade(**change)], {"side": "buy"}, client_id="c", market=ETH)


def test_states_of_orders() -> None:
    """Closed short of its amount is expired; a word we do not know is unknown; a list is no order."""
    told = {
        "id": 7,
        "clientOrderId": "c",
        "symbol": "ETH/USDT",
        "status": "closed",
        "amount": "2",
        "filled": "1",
    }
    assert order_state_from_ccxt(told, client_id="c", market=ETH).status is OrderStatus.EXPIRED
    told["status"] = "brewing"
    assert order_state_from_ccxt(told, client_id="c", market=ETH).status is OrderStatus.UNKNOWN
    for nonsense in ([], None, told | {"filled": ""}):
        with pytest.raises(ValueError):
            order_state_from_ccxt(nonsense, client_id="c", market=ETH)


def test_balances_must_add_up() -> None:
    """A total without its parts is an error, not a balance."""
    assert balances_from_ccxt({"info": [1], "total": {"A": 0.0, "B": None}}) == {}
    with pytest.raises(ValueError, match="A: 1 in all"):
        balances_from_ccxt({"info": [1], "total": {"A": "1"}, "free": {"A": "1"}})
