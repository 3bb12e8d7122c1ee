"""What can be asked of an exchange to find out whether trading there would work, without trading there."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from triarb.gateways.ccxt.armed import TEST_ORDERS
from triarb.gateways.ccxt.line import Line
from triarb.gateways.ccxt.orders import MAX_CLIENT_ID
from triarb.gateways.ccxt.sandboxes import in_sandbox
from triarb.model import Market, Order
from triarb.money import plain

TESTED: Final = ((4, 5, 89), (4, 5, 90))
"""The oldest and the newest ccxt that triarb was tested with."""

REQUIRED: Final = (
    "calculate_rate_limiter_cost",
    "cancel_order",
    "create_order",
    "feature_value",
    "fetch",
    "fetch_balance",
    "fetch_order",
    "fetch_order_book",
    "load_markets",
    "milliseconds",
    "on_rest_response",
    "set_sandbox_mode",
    "throttle",
)
"""The methods of ccxt's that triarb calls, or takes the place of."""


@attrs.frozen
class Rights:
    """What an API key may do; None is not told.

    Attributes:
        withdraw: move money away.
        trade: send spot orders.
        one_address: be used from addresses that its owner named only.
    """

    withdraw: bool | None = None
    trade: bool | None = None
    one_address: bool | None = None


def ccxt_version() -> tuple[str, tuple[int, ...]]:
    """Which ccxt is installed, as text and as numbers."""
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    text = str(ccxt.__version__)
    return text, tuple(int(part) for part in text.split(".") if part.isdigit())


def missing_methods(kind: Any) -> list[str]:
    """Those of `REQUIRED` that an exchange's class lacks."""
    return [name for name in REQUIRED if not callable(getattr(kind, name, None))]


async def key_rights(line: Line) -> Rights | None:
    """What the exchange says that the key may do; None where it does not tell (as all testnets).

    Raises:
        GatewayError: it did not answer, or the key is wrong.
    """
    exchange = line.instance
    if exchange.id != "binance" or in_sandbox(exchange):
        return None
    told = await line.ask("the rights of its key", "sapi_get_account_apirestrictions")
    if not isinstance(told, Mapping):
        raise line.malformed("the rights of its key", "they are no object")
    return Rights(
        _flag(told, "enableWithdrawals"),
        _flag(told, "enableSpotAndMarginTrading"),
        _flag(told, "ipRestrict"),
    )


def _flag(told: Mapping[str, Any], name: str) -> bool | None:
    value = told.get(name)
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


async def try_order(line: Line, market: Market, order: Order) -> bool:
    """Let the exchange validate an order that it does not take; False where it has no way to.

    The request names its path itself, and the gateway's guard lets an unarmed key write to that path alone: nothing
    that ccxt could make of it is an order.

    Raises:
        GatewayError: it would not take it; the message says why.
    """
    exchange = line.instance
    if exchange.id not in TEST_ORDERS or order.price is None:
        return False
    request = {
        "symbol": exchange.market(market.symbol)["id"],
        "side": str(order.side).upper(),
        "type": "LIMIT",
        "timeInForce": str(order.time_in_force),
        "quantity": plain(order.amount),
        "price": plain(order.price),
        "newClientOrderId": order.client_id[:MAX_CLIENT_ID],
    }
    await line.ask("a test order", "private_post_order_test", request)
    return True


def steps_told(markets: Mapping[str, Market]) -> Iterator[str]:
    """The active markets whose steps and minimums are all told."""
    for symbol, market in markets.items():
        told = (market.price_tick, market.amount_step, market.min_notional or market.min_amount)
        if market.active and all(part is not None for part in told):
            yield symbol
