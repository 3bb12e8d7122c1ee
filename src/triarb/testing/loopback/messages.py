"""Binance's words: error codes, and the shapes of its answers. Sources: errors.md, rest-api.md and filters.md of its spot API."""

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs

from triarb.clock import NS_PER_MS
from triarb.model import (
    Balance,
    Fee,
    Fill,
    Level,
    Market,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Refused,
)
from triarb.money import ZERO, arithmetic, plain, to_decimal

ASSET_PRECISION = 8
"""How many decimals Binance counts an asset in, and so the finest step there is."""


class ApiError(Exception):
    """A refusal, as Binance says it."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


_REFUSALS = {
    "order.unknown_market": (-1121, "Invalid symbol."),
    "order.market_inactive": (-1013, "Market is closed."),
    "order.amount_step": (-1013, "Filter failure: LOT_SIZE"),
    "order.min_amount": (-1013, "Filter failure: LOT_SIZE"),
    "order.max_amount": (-1013, "Filter failure: LOT_SIZE"),
    "order.price_tick": (-1013, "Filter failure: PRICE_FILTER"),
    "order.price_range": (-1013, "Filter failure: PRICE_FILTER"),
    "order.min_notional": (-1013, "Filter failure: NOTIONAL"),
    "order.max_notional": (-1013, "Filter failure: NOTIONAL"),
    "order.bad_number": (-1013, "Invalid quantity."),
    "order.no_market_price": (-1112, "No orders on book for symbol."),
    "order.insufficient_balance": (-2010, "Account has insufficient balance for requested action."),
    "order.duplicate_id": (-2010, "Duplicate order sent."),
    "order.no_fee": (-2010, "This symbol is not permitted for this account."),
}


def refusal(refused: Refused) -> ApiError:
    """How Binance says what the matching engine says."""
    return ApiError(*_REFUSALS[refused.code])


@attrs.frozen
class Placed:
    """An order that was taken.

    Attributes:
        number: the exchange's of it.
    """

    order: Order
    number: str
    time_ns: int


def precision(step: Decimal | None) -> int:
    """How many decimals a number with that step can have."""
    exponent = step.normalize().as_tuple().exponent if step else 0
    return max(ASSET_PRECISION, -exponent if isinstance(exponent, int) else 0)


def symbol_info(id_: str, market: Market) -> dict[str, Any]:
    """A market as `exchangeInfo` tells it; zero is a limit that there is none of."""
    finest = Decimal(1).scaleb(-ASSET_PRECISION)
    return {
        "symbol": id_,
        "status": "TRADING" if market.active else "BREAK",
        "baseAsset": market.base,
        "baseAssetPrecision": precision(market.amount_step),
        "quoteAsset": market.quote,
        "quotePrecision": precision(market.price_tick),
        "quoteAssetPrecision": precision(market.price_tick),
        "orderTypes": ["LIMIT", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": _limit(market.min_price),
                "maxPrice": _limit(market.max_price),
                "tickSize": plain(market.price_tick or finest),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": _limit(market.min_amount),
                "maxQty": _limit(market.max_amount),
                "stepSize": plain(market.amount_step or finest),
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": _limit(market.min_notional),
                "applyMinToMarket": True,
                "maxNotional": _limit(market.max_notional),
                "applyMaxToMarket": True,
                "avgPriceMins": 0,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def _limit(number: Decimal | None) -> str:
    return plain(number or ZERO)


def book_ticker(id_: str, book: OrderBook | None) -> dict[str, Any]:
    """The best of each side; zeros where there is none."""
    best = {"bid": book.bids[:1] if book else (), "ask": book.asks[:1] if book else ()}
    result = {"symbol": id_}
    for side, levels in best.items():
        level = levels[0] if levels else Level(ZERO, ZERO)
        result[f"{side}Price"], result[f"{side}Qty"] = plain(level.price), plain(level.amount)
    return result


def day_ticker(id_: str, book: OrderBook | None, now_ns: int) -> dict[str, Any]:
    """The best of each side, among the figures of a day on which nobody traded."""
    figures = "priceChange priceChangePercent weightedAvgPrice prevClosePrice lastPrice lastQty "
    figures += "openPrice highPrice lowPrice volume quoteVolume"
    nothing = dict.fromkeys(figures.split(), "0")
    now = now_ns // NS_PER_MS
    times = {"openTime": now - 86_400_000, "closeTime": now, "firstId": -1, "lastId": -1}
    return nothing | book_ticker(id_, book) | times | {"count": 0}


def depth(book: OrderBook | None, limit: int, update_id: int) -> dict[str, Any]:
    """A book, at most `limit` levels a side."""

    def side(levels: Iterable[Level]) -> list[list[str]]:
        return [[plain(level.price), plain(level.amount)] for level in levels]

    bids, asks = (book.bids[:limit], book.asks[:limit]) if book else ((), ())
    return {"lastUpdateId": update_id, "bids": side(bids), "asks": side(asks)}


def balance(asset: str, held: Balance | None) -> dict[str, str]:
    """One balance of the account."""
    free, locked = (held.free, held.locked) if held else (ZERO, ZERO)
    return {"asset": asset, "free": plain(free), "locked": plain(locked)}


def commission(id_: str, fee: Fee) -> dict[str, Any]:
    """What the account pays on one market."""
    none = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0")
    token = fee.token
    rate = plain(fee.rate)
    discount = {
        "enabledForAccount": token is not None,
        "enabledForSymbol": token is not None,
        "discountAsset": "BNB" if token is None else token.asset,
        "discount": "0",
    }
    if token is not None:
        charged = Fraction(token.rate) / Fraction(fee.rate) if fee.rate else Fraction(1)
        discount["discount"] = plain(to_decimal(charged))
    return {
        "symbol": id_,
        "standardCommission": none | {"maker": rate, "taker": rate},
        "specialCommission": none,
        "taxCommission": none,
        "discount": discount,
    }


def order_answer(id_: str, placed: Placed, state: OrderState) -> dict[str, Any]:
    """An order, as every answer about one tells it."""
    order = placed.order
    moment = placed.time_ns // NS_PER_MS
    status = {OrderStatus.OPEN: "PARTIALLY_FILLED" if state.filled else "NEW"}
    with arithmetic():
        cost = sum((fill.price * fill.amount for fill in state.fills), ZERO)
    return {
        "symbol": id_,
        "orderId": int(state.exchange_id),
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": plain(order.price or ZERO),
        "origQty": plain(order.amount),
        "executedQty": plain(state.filled),
        "origQuoteOrderQty": "0",
        "cummulativeQuoteQty": plain(cost),
        "status": status.get(state.status, state.status.upper()),
        "timeInForce": str(order.time_in_force),
        "type": "MARKET" if order.price is None else "LIMIT",
        "side": order.side.upper(),
        "workingTime": moment,
        "selfTradePreventionMode": "NONE",
    }


def fill_answer(fill: Fill, number: int) -> dict[str, Any]:
    """A trade, as the answer to a new order tells it."""
    ((asset, fee),) = fill.fees.items()
    return {
        "price": plain(fill.price),
        "qty": plain(fill.amount),
        "commission": plain(fee),
        "commissionAsset": asset,
        "tradeId": number,
    }


def trade_answer(id_: str, state: OrderState, fill: Fill, number: int) -> dict[str, Any]:
    """A trade, as `myTrades` tells it."""
    told = fill_answer(fill, number)
    with arithmetic():
        cost = fill.price * fill.amount
    return {
        "symbol": id_,
        "id": told.pop("tradeId"),
        "orderId": int(state.exchange_id),
        "orderListId": -1,
        **told,
        "quoteQty": plain(cost),
        "time": fill.time_ns // NS_PER_MS,
        "isBuyer": fill.side == "buy",
        "isMaker": False,
        "isBestMatch": True,
    }
