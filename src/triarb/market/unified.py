"""ccxt's unified dictionaries as our nouns: the one place that knows their keys. ccxt itself is not needed here."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from triarb.clock import NS_PER_MS
from triarb.model import Balance, Fill, Market, OrderState, OrderStatus, Quote, Side
from triarb.money import ZERO, arithmetic, from_float, parse_decimal

TICK_SIZE = 4
"""ccxt's `precisionMode` in which precisions are steps; 102 of its 104 exchanges use it."""

_STATUSES = {
    "open": OrderStatus.OPEN,
    "canceling": OrderStatus.OPEN,
    "closed": OrderStatus.FILLED,
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


def exact(value: Any) -> Decimal | None:
    """A number out of a ccxt dictionary, None where there is none.

    Raises:
        ValueError: not a finite number.
    """
    if value is None or value == "":
        return None
    return from_float(value) if isinstance(value, float) else parse_decimal(value)


def market_from_ccxt(raw: Mapping[str, Any], *, precision_mode: int = TICK_SIZE) -> Market:
    """A spot market. Where the exchange counts precision in digits rather than steps, no step is told.

    Nor is a taker fee told: what ccxt says there is mostly its own table's, a new customer's, and not this market's word.

    Raises:
        ValueError: a limit that is no number, no base or quote, or a base that is its own quote.
    """
    limits = raw.get("limits") or {}

    def limit(kind: str, end: str) -> Decimal | None:
        number = exact((limits.get(kind) or {}).get(end))
        return number if number and number > 0 else None

    def step(kind: str) -> Decimal | None:
        number = exact((raw.get("precision") or {}).get(kind))
        return number if number and number > 0 and precision_mode == TICK_SIZE else None

    if not raw["base"] or not raw["quote"]:
        raise ValueError(f"{raw['symbol']}: base is {raw['base']}, quote is {raw['quote']}")
    if raw["base"] == raw["quote"]:
        raise ValueError(f"{raw['symbol']}: base and quote are both {raw['base']}")
    return Market(
        raw["symbol"],
        raw["base"],
        raw["quote"],
        exchange_id=str(raw.get("id") or ""),
        active=raw.get("active") is not False,
        price_tick=step("price"),
        amount_step=step("amount"),
        min_amount=limit("amount", "min"),
        max_amount=limit("amount", "max"),
        min_notional=limit("cost", "min"),
        max_notional=limit("cost", "max"),
        min_price=limit("price", "min"),
        max_price=limit("price", "max"),
    )


def quote_from_ccxt(symbol: str, ticker: Mapping[str, Any], *, received_ns: int) -> Quote:
    """A ticker's best bid and ask; a number that makes no sense is one that is not there."""

    def told(key: str) -> Decimal | None:
        try:
            number = exact(ticker.get(key))
        except ValueError:
            return None
        return number if number is not None and number >= 0 else None

    moment = told("timestamp")
    return Quote(
        symbol,
        told("bid"),
        told("ask"),
        told("bidVolume"),
        told("askVolume"),
        received_ns,
        int(moment) * NS_PER_MS if moment else None,
    )


def balances_from_ccxt(raw: Mapping[str, Any]) -> dict[str, Balance]:
    """What an account holds, by asset; assets that it holds nothing of are left out.

    Raises:
        ValueError: there was no answer in it, a number that is missing where its asset has a total, or that is none.
    """
    if not isinstance(raw.get("info"), Mapping | list) or not raw["info"]:
        raise ValueError("it is no list of balances")
    result = {}
    for asset, told in (raw.get("total") or {}).items():
        if not exact(told):
            continue
        free, locked = (exact((raw.get(part) or {}).get(asset)) for part in ("free", "used"))
        if free is None or locked is None:
            raise ValueError(f"{asset}: {told} in all, but {free} free and {locked} in use")
        result[asset] = Balance(free, locked)
    return result


def order_state_from_ccxt(raw: Any, *, client_id: str, market: Market) -> OrderState:
    """What an exchange says of the order that we know as `client_id`.

    Raises:
        ValueError: it is not an answer about that order, or one without an id, a status or its amounts.
    """
    if not isinstance(raw, Mapping):
        raise ValueError(f"an order is not a {type(raw).__name__}")  # noqa: TRY004
    told = {key: raw.get(key) for key in ("id", "status", "amount", "filled")}
    missing = [key for key, value in told.items() if value is None]
    if missing:
        raise ValueError(f"it tells no {', '.join(missing)} of the order")
    if raw.get("clientOrderId") != client_id or raw.get("symbol") != market.symbol:
        raise ValueError(f"it is about {raw.get('clientOrderId')} on {raw.get('symbol')}")
    info = raw.get("info")
    if isinstance(info, Mapping) and "origQty" in info and info.get("executedQty") is None:
        raise ValueError("it tells no executedQty")  # of which ccxt makes a zero
    amount, filled = exact(told["amount"]), exact(told["filled"])
    if amount is None or filled is None or amount <= 0 or filled < 0:
        raise ValueError(f"{filled} filled of {amount} cannot be")
    status = _STATUSES.get(str(told["status"]), OrderStatus.UNKNOWN)
    if status == OrderStatus.FILLED and not filled:
        raise ValueError("it is closed, and nothing of it is filled, nor was it canceled")
    if status == OrderStatus.FILLED and filled < amount:  # "closed" is any order that is over
        status = OrderStatus.EXPIRED
    return OrderState(
        client_id,
        market.symbol,
        status,
        amount,
        filled,
        fills_from_ccxt(raw.get("trades") or (), raw, client_id=client_id, market=market),
        str(told["id"]),
    )


def fills_from_ccxt(
    trades: Iterable[Mapping[str, Any]],
    order: Mapping[str, Any],
    *,
    client_id: str,
    market: Market,
) -> tuple[Fill, ...]:
    """The trades of one order, each once. A trade whose fee is not told yet is not a fill yet.

    Raises:
        ValueError: a trade without an id, or whose price or amount is no positive number.
    """
    fills: dict[str, Fill] = {}
    for trade in trades:
        fees = _fees(trade)
        if fees is None:
            continue
        price, amount = exact(trade.get("price")), exact(trade.get("amount"))
        if trade.get("id") is None or not price or not amount or price < 0 or amount < 0:
            raise ValueError(f"trade {trade.get('id')}: {amount} at {price} cannot be")
        moment = trade.get("timestamp") or order.get("timestamp") or 0
        fills[str(trade["id"])] = Fill(
            str(trade["id"]),
            client_id,
            market.symbol,
            market.base,
            market.quote,
            Side(order["side"]),
            price,
            amount,
            fees,
            int(moment) * NS_PER_MS,
        )
    return tuple(fills.values())


def _fees(trade: Mapping[str, Any]) -> dict[str, Decimal] | None:
    """What a trade was charged, summed by asset; None where it does not say."""
    told = trade.get("fees") or [trade.get("fee") or {}]
    result: dict[str, Decimal] = {}
    for fee in told:
        cost, asset = exact(fee.get("cost")), fee.get("currency")
        if cost is None or (cost and not asset):
            return None
        if cost:
            with arithmetic():
                result[asset] = result.get(asset, ZERO) + cost
    return result
