"""The loopback exchange: real ccxt takes it for Binance, and its answers are the matching engine's to the last digit."""

import hmac
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import ccxt.async_support as ccxt
import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock
from triarb.exceptions import TradingRefused, UsageError
from triarb.gateways.ccxt import Credentials
from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot
from triarb.market.unified import market_from_ccxt, order_state_from_ccxt
from triarb.model import (
    Fill,
    Level,
    Market,
    Order,
    OrderBook,
    OrderState,
    Quote,
    Refused,
    Side,
    TimeInForce,
)
from triarb.money import plain
from triarb.testing import strategies as nouns
from triarb.testing.faults import (
    Answer,
    DropAfter,
    DropBefore,
    Fault,
    FaultRule,
    Hang,
    Truncate,
)
from triarb.testing.loopback import LoopbackExchange, LoopbackSession, loopback
from triarb.testing.loopback.api import SpotApi
from triarb.testing.loopback.messages import ApiError, refusal, symbol_info
from triarb.testing.loopback.signing import check_signed

D = Decimal

ETH = Market(
    "ETH/USDT",
    "ETH",
    "USDT",
    exchange_id="ETHUSDT",
    price_tick=D("0.01"),
    amount_step=D("0.0001"),
    min_amount=D("0.001"),
    max_amount=D(9000),
    min_notional=D(5),
    max_notional=D(1_000_000),
    min_price=D("0.01"),
    max_price=D(100_000),
)
BTC = Market("BTC/USDT", "BTC", "USDT", price_tick=D("0.01"), amount_step=D("0.00001"))
SHUT = Market("OLD/USDT", "OLD", "USDT", active=False)
MARKETS = (ETH, BTC, SHUT)
FEES = FeeSchedule.flat("10")


def book(*asks: tuple[str, str], bids: tuple[tuple[str, str], ...] = ()) -> OrderBook:
    """A book of ETH/USDT."""
    sides = [tuple(Level(D(p), D(a)) for p, a in side) for side in (bids, asks)]
    return OrderBook("ETH/USDT", sides[0], sides[1])


BOOK = book(("2000", "1"), ("2001.5", "2"), bids=(("1999", "2"), ("1998.5", "1")))


@pytest.fixture
async def exchange() -> AsyncIterator[LoopbackExchange]:
    """A running exchange that shows one book, with money on the account."""
    async with LoopbackExchange(
        MARKETS, fees=FEES, balances={"USDT": "10000", "ETH": "1"}
    ) as running:
        running.set_book(BOOK)
        yield running


@pytest.fixture
async def binance(exchange: LoopbackExchange) -> AsyncIterator[Any]:
    """The real ccxt binance, connected to it, with numbers as the wire's text."""
    async with exchange.client(number=str) as client:
        await client.load_markets()
        yield client


def said(client: Any) -> tuple[int, str]:
    """The code and the message of the last answer."""
    answer = json.loads(client.last_http_response)
    return answer["code"], answer["msg"]


async def raw_order(client: Any, **changes: Any) -> Any:
    """Send an order with ccxt's implicit method, so that nothing of it is checked before it is sent."""
    params = {
        "symbol": "ETHUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "IOC",
        "quantity": "0.5",
        "price": "2000",
        "newClientOrderId": "tri1",
    }
    kept = {k: v for k, v in (params | changes).items() if v is not None}
    return await client.private_post_order(kept)


# What anyone may ask


async def test_markets_are_read_back_as_they_are(binance: Any) -> None:
    """Real ccxt reads the same steps and limits from exchangeInfo that the markets have, and which are open."""
    read = {s: market_from_ccxt(raw) for s, raw in binance.markets.items()}
    assert read["ETH/USDT"] == ETH
    assert read["OLD/USDT"].active is False
    assert read["BTC/USDT"].exchange_id == "BTCUSDT"


@pytest.mark.once
@given(nouns.markets("AAA", "USDT"))
def test_every_market_is_read_back_by_ccxt(market: Market) -> None:
    """Whatever steps, limits and state a market has, ccxt's parser finds them in symbol_info; 1e-8 is the finest step."""
    client = ccxt.binance({"number": str})
    client.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    read = market_from_ccxt(client.parse_market(symbol_info("AAAUSDT", market)))
    assert read.amount_step == (market.amount_step or D("1e-8"))
    assert read.price_tick == (market.price_tick or D("1e-8"))
    for name in ("base", "quote", "active", "min_amount", "max_amount", "min_notional"):
        assert getattr(read, name) == getattr(market, name)


async def test_quotes_and_books_are_the_engines(exchange: LoopbackExchange, binance: Any) -> None:
    """Tickers and depth show the engine's book; what an order took is gone from them."""
    first = (await binance.fetch_bids_asks())["ETH/USDT"]
    assert (first["bid"], first["bidVolume"], first["ask"], first["askVolume"]) == (
        "1999",
        "2",
        "2000",
        "1",
    )
    await raw_order(binance, quantity="1")
    ticker = (await binance.fetch_tickers(["ETH/USDT"]))["ETH/USDT"]
    assert (ticker["ask"], ticker["askVolume"]) == ("2001.5", "2")
    one = await binance.fetch_ticker("ETH/USDT")
    assert one["ask"] == "2001.5"
    depth = await binance.fetch_order_book("ETH/USDT", 1)
    assert (depth["bids"], depth["asks"]) == ([[1999.0, 2.0]], [[2001.5, 2.0]])
    empty = await binance.fetch_order_book("BTC/USDT")
    assert (empty["bids"], empty["asks"]) == ([], [])


async def test_ping_and_time(exchange: LoopbackExchange, binance: Any) -> None:
    """The exchange answers a ping, and its time is its clock's."""
    assert await binance.public_get_ping() == {}
    assert abs(await binance.fetch_time() - exchange.clock.now_ns() // NS_PER_MS) < 1000


async def test_a_snapshot_gives_markets_books_and_fees() -> None:
    """With a snapshot nothing else is needed: its quotes are the first books, its fee is charged."""
    quote = Quote("ETH/USDT", D(1999), D(2000), D(2), D(1))
    snapshot = Snapshot("binance", 0, (ETH,), (quote,), taker_fee=D("0.002"))
    async with loopback(snapshot, balances={"USDT": "2000"}) as (exchange, binance):
        await binance.create_order("ETH/USDT", "limit", "buy", 1, 2000)
        assert exchange.engine.balances["ETH"].free == D("0.998")


# Orders


async def test_a_fill_is_the_engines_to_the_last_digit(
    exchange: LoopbackExchange, binance: Any
) -> None:
    """An order over two levels comes back FULL, with both trades, and the balances are exact."""
    order = await binance.create_order("ETH/USDT", "limit", "buy", "1.5", "2001.5")
    assert (order["status"], order["filled"], order["cost"]) == ("closed", "1.5", "3000.75")
    assert [(t["price"], t["amount"], t["fee"]) for t in order["trades"]] == [
        ("2000", "1", {"cost": "0.001", "currency": "ETH"}),
        ("2001.5", "0.5", {"cost": "0.0005", "currency": "ETH"}),
    ]
    total = (await binance.fetch_balance())["total"]
    assert total == {"BTC": "0", "ETH": "2.4985", "OLD": "0", "USDT": "6999.25"}
    assert exchange.engine.totals() == {"ETH": D(1), "USDT": D(10000)}


async def test_a_partial_ioc_expires_with_what_it_filled(binance: Any) -> None:
    """An IOC order that the book cannot fill is EXPIRED, with executedQty above zero."""
    answer = await raw_order(binance, quantity="1.5")
    assert (answer["status"], answer["executedQty"], answer["origQty"]) == ("EXPIRED", "1", "1.5")
    answer = await raw_order(binance, timeInForce="FOK", quantity="3.5", price="2002")
    assert (answer["status"], answer["executedQty"], answer["fills"]) == ("EXPIRED", "0", [])


async def test_market_orders(binance: Any) -> None:
    """A market order takes what is there, and its price is told as zero."""
    order = await binance.create_order("ETH/USDT", "market", "sell", "0.5")
    assert (order["status"], order["filled"], order["info"]["price"]) == ("closed", "0.5", "0")


async def test_a_resting_order_lives_and_dies(exchange: LoopbackExchange, binance: Any) -> None:
    """A GTC order is open with its funds locked, is filled in part by a later book, and can be canceled once."""
    ours = {"clientOrderId": "rest"}
    order = await binance.create_order("ETH/USDT", "limit", "sell", "1", "2100", ours)
    assert order["status"] == "open"
    assert (await binance.fetch_balance())["ETH"] == {"free": "0", "used": "1", "total": "1"}
    assert [o["clientOrderId"] for o in await binance.fetch_open_orders("ETH/USDT")] == ["rest"]
    exchange.set_book(book(bids=(("2100", "0.4"),)))
    found = await binance.fetch_order(None, "ETH/USDT", ours)
    assert (found["info"]["status"], found["filled"]) == ("PARTIALLY_FILLED", "0.4")
    canceled = await binance.cancel_order(None, "ETH/USDT", ours)
    assert (canceled["status"], canceled["info"]["origClientOrderId"]) == ("canceled", "rest")
    with pytest.raises(ccxt.OrderNotFound):
        await binance.cancel_order(None, "ETH/USDT", ours)
    assert said(binance) == (-2011, "Unknown order sent.")
    assert await binance.private_get_openorders() == []


async def test_orders_and_trades_are_found(binance: Any) -> None:
    """An order is found by either id, its trades by it, by time and by number; an unknown one is -2013."""
    await raw_order(binance, quantity="1.5", price="2001.5", newClientOrderId="one")
    answer = await raw_order(binance, side="SELL", price="1999", newClientOrderId="two")
    by_number = await binance.fetch_order(str(answer["orderId"]), "ETH/USDT")
    assert by_number["clientOrderId"] == "two"
    trades = await binance.fetch_my_trades("ETH/USDT")
    assert [(t["id"], t["order"], t["side"]) for t in trades] == [
        ("1", "1", "buy"),
        ("2", "1", "buy"),
        ("3", "2", "sell"),
    ]
    assert [t["id"] for t in await binance.fetch_order_trades("2", "ETH/USDT")] == ["3"]
    assert [t["id"] for t in await binance.fetch_my_trades("ETH/USDT", limit=1)] == ["3"]
    assert await binance.fetch_my_trades("BTC/USDT") == []
    assert await binance.fetch_my_trades("ETH/USDT", since=2**50) == []
    with pytest.raises(ccxt.OrderNotFound):
        await binance.fetch_order(None, "ETH/USDT", {"clientOrderId": "none"})
    assert said(binance) == (-2013, "Order does not exist.")


async def test_an_id_can_be_used_again_once_its_order_is_over(binance: Any) -> None:
    """Binance takes an id again after the first order ended, and both can be told apart by number."""
    first = await raw_order(binance, quantity="0.1")
    second = await raw_order(binance, quantity="0.2")
    assert first["orderId"] != second["orderId"]
    assert (await binance.fetch_order(str(first["orderId"]), "ETH/USDT"))["amount"] == "0.1"
    ours = {"clientOrderId": "tri1"}
    assert (await binance.fetch_order(None, "ETH/USDT", ours))["amount"] == "0.2"


async def test_the_answer_is_as_long_as_asked(binance: Any) -> None:
    """ACK tells ids and time, RESULT the order, FULL its fills too."""
    acknowledged = await raw_order(binance, newOrderRespType="ACK")
    assert set(acknowledged) == {
        "symbol",
        "orderId",
        "orderListId",
        "clientOrderId",
        "transactTime",
    }
    assert "fills" not in await raw_order(binance, newOrderRespType="RESULT")


def test_an_order_without_an_id_is_given_one() -> None:
    """As on Binance, whoever sends no id gets one (ccxt always sends one)."""
    api = SpotApi([ETH], FEES, {"USDT": D(10_000)})
    told = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    answer = api.new_order(told | {"quantity": "1", "price": "10"}, 0)
    assert answer["clientOrderId"] == "loopback1"


async def test_a_trial_does_not_act(exchange: LoopbackExchange, binance: Any) -> None:
    """order/test answers nothing to a good order and a filter's word to a bad one; neither acts."""
    await binance.create_order("ETH/USDT", "limit", "buy", "0.5", "2000", {"test": True})
    with pytest.raises(ccxt.BadRequest):
        await binance.create_order("ETH/USDT", "limit", "buy", "0.001", "2000", {"test": True})
    assert exchange.engine.balances["USDT"].free == D(10000)


async def test_commission_is_the_schedules(exchange: LoopbackExchange, binance: Any) -> None:
    """account/commission tells what the engine charges."""
    told = await binance.private_get_account_commission({"symbol": "ETHUSDT"})
    assert D(told["standardCommission"]["taker"]) == D("0.001")


PREFIX = "Mandatory parameter"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"symbol": None}, -1102, PREFIX),
        ({"symbol": "NONE"}, -1121, "Invalid symbol."),
        ({"symbol": "OLDUSDT"}, -1013, "Market is closed."),
        ({"side": None}, -1102, PREFIX),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "STOP_LOSS"}, -1116, "Invalid orderType."),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"price": None}, -1102, PREFIX),
        ({"price": "-1"}, -1100, "Illegal characters found in parameter 'price'"),
        ({"quantity": "1e-3"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "0"}, -1013, "Invalid quantity."),
        ({"quantity": "0.123456789"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"newClientOrderId": "a b"}, -1100, "Illegal characters found"),
        ({"quantity": "0.00015"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.0001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "9001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"price": "2000.005"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "100001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.002"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "6"}, -2010, "Account has insufficient balance for requested action."),
        ({"icebergQty": "1"}, -1104, "Not all sent parameters were read; read '10' parameter(s)"),
        ({"type": "MARKET"}, -1106, "Parameter 'price' sent when not required."),
        (
            {"type": "MARKET", "price": None, "timeInForce": None, "symbol": "BTCUSDT"},
            -1112,
            "No orders on book for symbol.",
        ),
    ],
)
async def test_refusals_are_binances(
    exchange: LoopbackExchange, binance: Any, changes: dict[str, Any], code: int, message: str
) -> None:
    """What does not fit is refused with HTTP 400, Binance's code and its words, and nothing happens."""
    with pytest.raises(ccxt.BaseError):
        await raw_order(binance, **changes)
    answered, text = said(binance)
    assert answered == code
    assert text.startswith(message)
    assert exchange.engine.balances["USDT"].free == D(10000)


async def test_a_duplicate_of_an_open_order_is_refused(binance: Any) -> None:
    """An id whose order is open is not taken again."""
    await raw_order(binance, timeInForce="GTC", price="1000")
    with pytest.raises(ccxt.InvalidOrder):
        await raw_order(binance)
    assert said(binance) == (-2010, "Duplicate order sent.")


def test_every_refusal_of_the_engine_has_its_words() -> None:
    """No code that the engine refuses with is left without a Binance code."""
    known = (
        "unknown_market market_inactive amount_step price_tick min_amount max_amount min_notional max_notional "
        "price_range bad_number no_market_price insufficient_balance duplicate_id no_fee"
    )
    for code in known.split():
        assert refusal(Refused(f"order.{code}", "")).code < 0


async def test_a_market_without_a_fee_is_not_permitted() -> None:
    """Fees have no default: an order on a market whose fee nobody states is refused."""
    async with loopback([ETH], balances={"USDT": "100"}) as (exchange, binance):
        exchange.set_book(BOOK)
        with pytest.raises(ccxt.InvalidOrder):
            await binance.create_order("ETH/USDT", "limit", "buy", 0.01, 2000)
        assert said(binance)[0] == -2010
        with pytest.raises(ccxt.BadSymbol):
            await binance.private_get_account_commission({"symbol": "ETHUSDT"})


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("public_get_depth", {"symbol": "ETHUSDT", "limit": "no"}, -1100),
        ("public_get_depth", {"symbol": "NONE"}, -1121),
        ("public_get_ticker_bookticker", {"symbols": "no"}, -1100),
        ("private_get_order", {"symbol": "ETHUSDT"}, -1102),
        ("private_get_account", {"recvWindow": 60001}, -1131),
    ],
)
async def test_other_requests_are_checked_too(
    binance: Any, path: str, params: dict[str, Any], code: int
) -> None:
    """Parameters that make no sense are refused on every endpoint."""
    with pytest.raises(ccxt.BaseError):
        await getattr(binance, path)(params)
    assert said(binance)[0] == code


# Keys, signatures and times


@pytest.mark.parametrize(
    ("settings_", "status", "code"),
    [
        ({"apiKey": "other"}, 401, -2015),
        ({"apiKey": ""}, 401, -2014),
        ({"secret": "other"}, 400, -1022),
    ],
)
async def test_who_is_not_known_is_refused(
    exchange: LoopbackExchange, settings_: dict[str, str], status: int, code: int
) -> None:
    """A key that is missing or unknown, or a signature of another secret, is not served."""
    async with exchange.client(**settings_) as client:
        client.check_required_credentials = lambda *_: True
        with pytest.raises(ccxt.AuthenticationError):
            await client.private_get_account()
        assert said(client)[0] == code


async def test_unsigned_requests_are_refused(exchange: LoopbackExchange) -> None:
    """Without a signature, with a parameter twice, or on another path there is an error, and never an answer."""
    session = exchange.session_factory()
    base, headers = "https://api.binance.com", {"X-MBX-APIKEY": exchange.credentials.key}
    async with session.get(f"{base}/api/v3/account", headers=headers) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, -1102)
    async with session.put(f"{base}/api/v3/ping?a=1&a=2") as answer:
        assert answer.status == 404
    async with session.get(f"{base}/api/v3/ping?a=1&a=2") as answer:
        assert (await answer.json())["code"] == -1101
    async with session.get(f"{base}/sapi/v1/asset/nothing") as answer:
        assert answer.status == 404
    await session.close()


@pytest.mark.parametrize(("name", "value"), [("recvWindow", "1.2345"), ("timestamp", "-1")])
def test_times_are_numbers(name: str, value: str) -> None:
    """A window or a time stamp that is no number of milliseconds is refused by its name."""
    keys = Credentials("key", "secret")
    params = {"timestamp": "0", "recvWindow": "5000"} | {name: value}
    sent = "&".join(f"{key}={text}" for key, text in params.items())
    signature = hmac.new(b"secret", sent.encode(), "sha256").hexdigest()
    params["signature"] = signature
    with pytest.raises(ApiError, match=f"Illegal characters found in parameter '{name}'"):
        check_signed("key", f"{sent}&signature={signature}", params, keys, 0)


@pytest.mark.parametrize(
    ("late_ms", "code"), [(-1000, -1021), (-999, None), (3000, None), (3001, -1021)]
)
async def test_the_window_of_a_request(late_ms: int, code: int | None) -> None:
    """A request passes from a second early to its recvWindow late, by the exchange's clock, to the millisecond."""
    clock = ManualClock(1_000_000 * NS_PER_SECOND)
    async with loopback(MARKETS, fees=FEES, clock=clock) as (_, client):
        sent = clock.now_ns() // NS_PER_MS - late_ms
        client.nonce = lambda: sent
        if code is None:
            await client.private_get_account({"recvWindow": 3000})
        else:
            with pytest.raises(ccxt.InvalidNonce):
                await client.private_get_account({"recvWindow": 3000})
            assert said(client)[0] == code


# What was received, and what goes wrong


async def test_requests_are_logged_without_signatures(
    exchange: LoopbackExchange, binance: Any
) -> None:
    """The log tells method, path, parameters and the host that was meant, but no signature."""
    binance.set_sandbox_mode(True)
    await raw_order(binance)
    last = exchange.requests[-1]
    assert (last.method, last.path, last.host) == (
        "POST",
        "/api/v3/order",
        "testnet.binance.vision",
    )
    assert last.params["quantity"] == "0.5"
    assert "signature" not in last.params


@pytest.mark.parametrize(
    ("fault", "raised", "taken"),
    [
        (DropBefore(), ccxt.ExchangeNotAvailable, False),
        (DropAfter(), ccxt.ExchangeNotAvailable, True),
        (Hang(), ccxt.RequestTimeout, True),
        (Hang(acts=False), ccxt.RequestTimeout, False),
        (Truncate(), ccxt.ExchangeError, True),
    ],
)
async def test_faults_on_the_way(
    exchange: LoopbackExchange, binance: Any, fault: Fault, raised: type[Exception], *, taken: bool
) -> None:
    """The client raises the same whether the order was taken or not; the engine knows, and the next request goes well."""
    exchange.inject(FaultRule("submit", fault))
    binance.timeout = 200
    with pytest.raises(raised):
        await raw_order(binance)
    assert bool(exchange.engine.fills("tri1")) is taken
    assert [r.method for r in exchange.requests].count("POST") == 1
    await raw_order(binance)


async def test_false_answers(exchange: LoopbackExchange, binance: Any) -> None:
    """Another answer replaces that of an order that acted, or that of one that did not."""
    exchange.inject(
        FaultRule("submit", Answer(body="[]", acts=True)),
        FaultRule("submit", Answer(502, body="<html>"), nth=2, times=2),
    )
    await raw_order(binance, newClientOrderId="one")
    assert exchange.engine.fills("one")
    for _ in range(2):
        with pytest.raises(ccxt.ExchangeNotAvailable):
            await raw_order(binance, newClientOrderId="two")
    assert not exchange.engine.fills("two")


# Nothing leaves


async def test_a_session_goes_nowhere_else(exchange: LoopbackExchange) -> None:
    """Every host but Binance's spot hosts is refused before a name is looked up, and so are WebSockets."""
    session = exchange.session_factory()
    for host in ("example.com", "fapi.binance.com", "api.binance.us", "127.0.0.1"):
        with pytest.raises(TradingRefused, match=host) as caught:
            session.delete(f"https://{host}/api/v3/ping")
        assert caught.value.code == "loopback.foreign_host"
    with pytest.raises(TradingRefused, match="WebSocket"):
        session.ws_connect("wss://stream.binance.com/ws")
    assert not list(session.cookie_jar)
    await session.close()
    assert session.closed
    assert exchange.requests == []


async def test_no_proxy_and_no_redirect() -> None:
    """Neither a proxy in a client's settings nor a redirect leads out of the machine."""
    async with LoopbackExchange(MARKETS, fees=FEES) as exchange:
        exchange.inject(FaultRule("other", Answer(302, body="elsewhere")))
        session = exchange.session_factory()
        url = "https://api.binance.com/api/v3/ping"
        async with session.get(url, proxy="http://proxy.example", allow_redirects=True) as answer:
            assert answer.status == 302
        await session.close()


async def test_ccxt_cannot_leave_either(exchange: LoopbackExchange) -> None:
    """Another exchange on the same session gets nowhere: the refusal comes through ccxt as it is."""
    session = exchange.session_factory()
    kraken = ccxt.kraken({"session": session, "timeout_on_exit": 0})
    with pytest.raises(TradingRefused, match=r"api\.kraken\.com"):
        await kraken.load_markets()
    await kraken.close()
    await session.close()


# Misuse


def test_misuse_is_named() -> None:
    """A port before entry, two markets of one id, and a balance that is no amount are errors that say so."""
    with pytest.raises(UsageError, match="not open"):
        _ = LoopbackExchange(MARKETS, fees=FEES).port
    twins = (Market("A/BC", "A", "BC"), Market("AB/C", "AB", "C"))
    with pytest.raises(UsageError, match="same id"):
        LoopbackExchange(twins, fees=FEES)
    with pytest.raises(UsageError, match="balance"):
        LoopbackExchange(MARKETS, fees=FEES, balances={"USDT": "many"})


async def test_leaving_twice_is_harmless() -> None:
    """An exchange that was left can be entered again, on a port of its own."""
    exchange = LoopbackExchange(MARKETS, fees=FEES)
    await exchange.__aexit__(None, None, None)
    for _ in range(2):
        async with exchange:
            assert exchange.port > 0


def test_its_credentials_do_not_show() -> None:
    """The credentials of a loopback exchange are as closed as any."""
    own = Credentials("my-key", "my-secret")
    exchange = LoopbackExchange(MARKETS, fees=FEES, credentials=own)
    assert "my-" not in repr(exchange.credentials)


# What ccxt reads is what the engine did

_prices = st.integers(1900, 2100).map(D)
_amounts = st.integers(1, 30_000).map(lambda n: D(n).scaleb(-4))


@st.composite
def _orders(draw: st.DrawFn) -> Order:
    in_force = draw(st.sampled_from(TimeInForce))
    side = draw(st.sampled_from(Side))
    number = draw(st.integers(0, 5))
    return Order(f"id{number}", "ETH/USDT", side, draw(_amounts), draw(_prices), in_force)


@pytest.mark.once
@settings(max_examples=60)
@given(
    st.lists(_orders(), max_size=8),
    st.lists(st.tuples(_prices, _amounts), max_size=4, unique_by=lambda level: level[0]),
)
def test_ccxt_reads_what_the_engine_did(orders: list[Order], levels: list[tuple[D, D]]) -> None:
    """Through Binance's words and ccxt's parser, every order's amounts, fills and fees are the engine's exactly."""
    api = SpotApi([ETH], FEES, {"USDT": D(20_000), "ETH": D(5)})
    client = ccxt.binance({"number": str})
    client.options |= {"crossMarginPairsData": [], "isolatedMarginPairsData": []}
    market = client.parse_market(symbol_info("ETHUSDT", ETH))
    client.set_markets([market])
    low = sorted((Level(p, a) for p, a in levels if p < 2000), key=lambda at: -at.price)
    high = sorted((Level(p, a) for p, a in levels if p >= 2000), key=lambda at: at.price)
    api.engine.set_book(OrderBook("ETH/USDT", tuple(low), tuple(high)))
    for order in orders:
        params = {
            "symbol": "ETHUSDT",
            "side": order.side.upper(),
            "type": "LIMIT",
            "timeInForce": str(order.time_in_force),
            "quantity": plain(order.amount),
            "price": plain(order.price or D(0)),
            "newClientOrderId": order.client_id,
        }
        try:
            raw = client.parse_order(api.new_order(params, 10**18), client.market("ETH/USDT"))
        except ApiError as error:
            assert error.code in (-1013, -2010)  # noqa: PT017 - any other is a bug
            continue
        read = order_state_from_ccxt(raw, client_id=order.client_id, market=ETH)
        done = api.engine.look_up(order.client_id, "ETH/USDT")
        assert isinstance(done, OrderState)
        assert (read.status, read.amount, read.filled) == (done.status, done.amount, done.filled)
        assert [_essence(f) for f in read.fills] == [_essence(f) for f in done.fills]
    assert api.engine.totals() == {"ETH": D(5), "USDT": D(20_000)}


def _essence(fill: Fill) -> tuple[Any, ...]:
    """A fill without the exchange's number for it."""
    fees = {asset: fee for asset, fee in fill.fees.items() if fee}
    return fill.client_id, fill.side, fill.price, fill.amount, fees, fill.base, fill.quote


def test_session_is_a_stand_in() -> None:
    """A session can only be made where a loop runs, as with aiohttp's own."""
    with pytest.raises(RuntimeError):
        LoopbackSession(1)
