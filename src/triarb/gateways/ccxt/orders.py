"""What may be sent as an order, and what an answer to it proves: nothing, unless it is said here."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from triarb.clock import NS_PER_MS
from triarb.exceptions import TradingRefused
from triarb.gateways.ccxt.wire import Wire
from triarb.market.unified import exact, order_state_from_ccxt
from triarb.model import Market, Order, OrderState, OrderStatus, Side, TimeInForce
from triarb.money import parse_decimal, plain

MAX_CLIENT_ID: Final = 36
"""The longest client id that Binance takes; others take less."""

FINDS_BY_CLIENT_ID: Final = frozenset(
    {"binance", "bitget", "coinbaseexchange", "myokx", "okx", "okxus", "phemex", "woo"}
)
"""The exchanges with a sandbox whose orders ccxt 4.5.90 finds by our id (its `fetch_order` with `clientOrderId`).

Where it cannot, an order whose answer was lost could never be proven, so triarb sends none there.
"""

# Binance's codes that come with HTTP 4xx and say that no order is or will be: errors.md of its spot API.
_BINANCE_REJECTIONS = frozenset(
    {"-1013", "-1015", "-1021", "-1022", "-2010", "-2014", "-2015"}
    | {str(-code) for code in range(1100, 1131)}
)
_UNTELLING_STATUSES = frozenset({403, 404, 408, 409, 418, 429, 451})


EXPIRING: Final = frozenset({"binance"})
"""The exchanges that are known to take no order after its receive window has passed."""

CLOCK_AHEAD_MS: Final = 1000
"""How far ahead of its own clock Binance lets a request's time stamp be: the window then ends so much later."""


def expiry_ns(exchange: str, recv_window_ms: int) -> int | None:
    """How long after its time stamp a request may still be taken; None where that has no end.

    Binance looks at the window again right before the matching engine; other exchanges are not known to.
    """
    if exchange not in EXPIRING:
        return None
    return (recv_window_ms + CLOCK_AHEAD_MS) * NS_PER_MS


def check_look_up(name: str) -> None:
    """Whether an order on the exchange of that id, whose answer is lost, could be found again.

    Raises:
        TradingRefused: `gateway.no_look_up`.
    """
    if name not in FINDS_BY_CLIENT_ID:
        raise TradingRefused(
            f"ccxt cannot find an order on {name} by the id that we gave it",
            code="gateway.no_look_up",
            hint="an order whose answer is lost could not be proven; use paper trading instead",
        )


def cannot_be_sent(exchange: Any, market: Market | None, order: Order) -> str | None:
    """Why `order` cannot be sent as it is, exactly; None if it can."""
    if market is None or order.symbol not in exchange.markets:
        return f"order.unknown_market: {exchange.id} has no spot market {order.symbol}"
    if not 0 < len(order.client_id) <= MAX_CLIENT_ID or not order.client_id.isascii():
        return f"order.client_id: {order.client_id!r} is not 1 to {MAX_CLIENT_ID} ASCII characters"
    for name, number in (("amount", order.amount), ("price", order.price)):
        try:
            if number is not None and parse_decimal(number) <= 0:
                return f"order.bad_number: the {name} is {number}"
        except ValueError as error:
            return f"order.bad_number: the {name}: {error}"
    if order.price is None:
        return _market_order_cannot(exchange, order)
    supported = exchange.feature_value(order.symbol, "createOrder", "timeInForce") or {}
    if order.time_in_force != TimeInForce.GTC and not supported.get(order.time_in_force):
        return f"order.time_in_force: {exchange.id} has no {order.time_in_force} orders in ccxt"
    return _changed(exchange, order, "price", order.price) or _changed(
        exchange, order, "amount", order.amount
    )


def _market_order_cannot(exchange: Any, order: Order) -> str | None:
    if order.time_in_force == TimeInForce.FOK:
        return "order.time_in_force: a market order cannot be FOK"
    if order.side == Side.BUY and _has(exchange.options, "createMarketBuyOrderRequiresPrice"):
        return f"order.market_buy: {exchange.id} takes market buys by cost only; give a limit price"
    return _changed(exchange, order, "amount", order.amount)


def _has(options: Any, name: str) -> bool:
    """Whether an option of that name is set anywhere, whatever it says."""
    return isinstance(options, Mapping) and (
        name in options or any(_has(value, name) for value in options.values())
    )


def _changed(exchange: Any, order: Order, name: str, number: Decimal) -> str | None:
    """Whether ccxt would round a number of the order before it sends it."""
    to_precision = getattr(exchange, f"{name}_to_precision")
    code = {"amount": "order.amount_step", "price": "order.price_tick"}[name]
    try:
        sent = to_precision(order.symbol, plain(number))
    except Exception as error:  # noqa: BLE001 - it is ccxt's word that it cannot send this number
        return f"{code}: ccxt cannot send the {name} {plain(number)} ({type(error).__name__})"
    if Decimal(sent) != number:
        return f"{code}: ccxt would send the {name} {plain(number)} as {sent}"
    return None


def arguments(order: Order) -> tuple[Any, ...]:
    """What ccxt's `create_order` is called with: our own numbers as text."""
    params = {"clientOrderId": order.client_id}
    if order.price is None:  # with a price, ccxt would make a quantity of quote units of it
        return order.symbol, "market", str(order.side), plain(order.amount), None, params
    params["timeInForce"] = str(order.time_in_force)
    price = plain(order.price)
    return order.symbol, "limit", str(order.side), plain(order.amount), price, params


def accepted(raw: Any, order: Order, market: Market) -> OrderState:
    """The order as the exchange took it.

    Raises:
        ValueError: the answer is not about this order, changes one of its numbers, or has a status we do not know.
    """
    state = order_state_from_ccxt(raw, client_id=order.client_id, market=market)
    if raw.get("side") != order.side:
        raise ValueError(f"it is a {raw.get('side')}")
    if state.amount != order.amount:
        raise ValueError(f"its amount is {state.amount}")
    price, time_in_force = exact(raw.get("price")), raw.get("timeInForce")
    if order.price is not None and price is not None and price != order.price:
        raise ValueError(f"its price is {price}")
    if order.price is not None and time_in_force not in (None, order.time_in_force):
        raise ValueError(f"it is {time_in_force}")
    if state.status == OrderStatus.UNKNOWN:
        raise ValueError(f"its status is {raw.get('status')!r}")
    return state


def proves_rejection(exchange: str, error: Exception, wire: Wire) -> bool:
    """Whether it is certain that the exchange does not have the order and never will.

    Either nothing left, or the exchange refused it in a structured answer with HTTP 4xx: by a code that is known to
    mean that (Binance), or, where we know no codes, by a status and an error of ccxt's that leave no other reading.
    """
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    if not wire.writes:
        return True
    if wire.status is None or not 400 <= wire.status < 500 or not wire.told():
        return False
    if exchange == "binance":
        if wire.code() == "-1003":
            return wire.status in (418, 429)
        duplicate = "duplicate" in str(wire.told().get("msg")).lower()  # one with our id is open
        return wire.code() in _BINANCE_REJECTIONS and not duplicate
    clear = (
        ccxt.InsufficientFunds,
        ccxt.InvalidOrder,
        ccxt.BadRequest,
        ccxt.AuthenticationError,
    )
    ambiguous = (ccxt.DuplicateOrderId, ccxt.OrderNotFound, ccxt.OrderNotCached)
    return (
        wire.status not in _UNTELLING_STATUSES
        and isinstance(error, clear)
        and not isinstance(error, ambiguous)
    )


def is_about_time(error: Exception) -> bool:
    """Whether a request was refused for its time stamp, such as Binance's -1021."""
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    return isinstance(error, ccxt.InvalidNonce)
