"""What a transcript of Binance says of its markets, account and books, so that a loopback exchange can be set up likewise."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from triarb.exceptions import UsageError
from triarb.market.fees import FeeSchedule
from triarb.model import Fee, Level, Market, OrderBook, Provenance, Side
from triarb.money import ZERO, arithmetic, parse_decimal
from triarb.testing.transcripts.transcript import Exchanged, Transcript

NOT_TOLD = Fee(ZERO, Provenance.OVERRIDE, note="the transcript tells none")


def told(transcript: Transcript, path: str) -> list[Exchanged]:
    """What was asked of that path and answered well."""
    return [
        one
        for one in transcript.exchanged
        if one.request.endpoint == f"GET {path}" and one.answer and one.answer.status == 200
    ]


def markets(transcript: Transcript) -> tuple[Market, ...]:
    """The markets as they were first told.

    Raises:
        UsageError: they never were.
    """
    answers = told(transcript, "/api/v3/exchangeInfo")
    if not answers:
        raise UsageError(
            "the transcript does not say which markets there are",
            code="transcript.no_markets",
            hint="record from the beginning of a session, where it asks for exchangeInfo",
        )
    return tuple(_market(raw) for raw in _json(answers[0])["symbols"])


def _market(raw: Mapping[str, Any]) -> Market:
    by_kind = {one["filterType"]: one for one in raw["filters"]}
    notional = by_kind.get("NOTIONAL") or by_kind.get("MIN_NOTIONAL") or {}

    def number(where: Mapping[str, Any], name: str) -> Decimal | None:
        return parse_decimal(where[name]) or None if name in where else None

    price, size = by_kind.get("PRICE_FILTER", {}), by_kind.get("LOT_SIZE", {})
    return Market(
        f"{raw['baseAsset']}/{raw['quoteAsset']}",
        raw["baseAsset"],
        raw["quoteAsset"],
        exchange_id=raw["symbol"],
        active=raw["status"] == "TRADING",
        price_tick=number(price, "tickSize"),
        amount_step=number(size, "stepSize"),
        min_amount=number(size, "minQty"),
        max_amount=number(size, "maxQty"),
        min_notional=number(notional, "minNotional"),
        max_notional=number(notional, "maxNotional"),
        min_price=number(price, "minPrice"),
        max_price=number(price, "maxPrice"),
    )


def balances(transcript: Transcript) -> dict[str, Decimal]:
    """What the account had free when it was first asked; nothing where it never was."""
    answers = told(transcript, "/api/v3/account")
    rows = _json(answers[0])["balances"] if answers else ()
    return {row["asset"]: free for row in rows if (free := parse_decimal(row["free"]))}


def fees(transcript: Transcript, listed: Iterable[Market]) -> FeeSchedule:
    """What the account pays where that was told; elsewhere nothing, since what is compared is shapes."""
    symbols = {market.exchange_id: market.symbol for market in listed}
    rates: dict[str, str] = {}
    for one in told(transcript, "/sapi/v1/asset/tradeFee"):
        rates |= {row["symbol"]: row["takerCommission"] for row in _json(one)}
    for one in told(transcript, "/api/v3/account/commission"):
        rates[_json(one)["symbol"]] = _json(one)["standardCommission"]["taker"]
    return FeeSchedule(
        {
            symbols[id_]: Fee(parse_decimal(rate), Provenance.ACCOUNT)
            for id_, rate in rates.items()
            if id_ in symbols
        },
        NOT_TOLD,
    )


def shown(one: Exchanged, symbols: Mapping[str, str]) -> list[OrderBook]:
    """The books that an answer tells of: whole ones, the best of many, or what an order met when it filled.

    Args:
        one: what was recorded.
        symbols: of the markets, by the exchange's ids.
    """
    if one.answer is None or one.answer.status != 200:
        return []
    body, path = _json(one), one.request.path
    id_ = one.request.params.get("symbol", "")
    if path == "/api/v3/depth" and id_ in symbols:
        return [OrderBook(symbols[id_], _levels(body["bids"]), _levels(body["asks"]))]
    if path in ("/api/v3/ticker/bookTicker", "/api/v3/ticker/24hr"):
        rows = body if isinstance(body, list) else [body]
        return [_top(row, symbols[row["symbol"]]) for row in rows if row["symbol"] in symbols]
    if one.request.endpoint == "POST /api/v3/order" and id_ in symbols:
        return _met(body, symbols[id_])
    return []


def _levels(rows: Iterable[Iterable[str]]) -> tuple[Level, ...]:
    return tuple(Level(parse_decimal(price), parse_decimal(amount)) for price, amount in rows)


def _top(row: Mapping[str, str], symbol: str) -> OrderBook:
    def side(name: str) -> tuple[Level, ...]:
        price = parse_decimal(row[f"{name}Price"])
        return (Level(price, parse_decimal(row[f"{name}Qty"])),) if price else ()

    return OrderBook(symbol, side("bid"), side("ask"))


def _met(body: Mapping[str, Any], symbol: str) -> list[OrderBook]:
    """The book that gives an order the very fills that it was answered with.

    Before it comes one of other amounts: what was taken of a level is back only once its amount changes.
    """
    by_price: dict[Decimal, Decimal] = {}
    with arithmetic():
        for fill in body.get("fills", ()):
            price = parse_decimal(fill["price"])
            by_price[price] = by_price.get(price, ZERO) + parse_decimal(fill["qty"])
        prices = sorted(by_price, reverse=body.get("side") == str(Side.SELL).upper())
        whole = tuple(Level(price, by_price[price]) for price in prices)
        twice = tuple(Level(price, 2 * by_price[price]) for price in prices)
    if body.get("side") == str(Side.SELL).upper():
        return [OrderBook(symbol, levels, ()) for levels in (twice, whole)]
    return [OrderBook(symbol, (), levels) for levels in (twice, whole)]


def _json(one: Exchanged) -> Any:
    return one.answer.told if one.answer else None
