"""Which request means what."""

from collections.abc import Callable
from typing import Any

import attrs

from triarb.testing.faults import Endpoint
from triarb.testing.loopback.api import Params, SpotApi


@attrs.frozen
class Served:
    """An endpoint as it is served.

    Attributes:
        act: what answers it, given the api, the parameters and the time.
        signed: whether it takes a key and a signature.
        on: what a fault script calls it.
    """

    act: Callable[[SpotApi, Params, int], Any]
    signed: bool = False
    on: Endpoint = Endpoint.OTHER


ENDPOINTS = {
    ("GET", "/api/v3/ping"): Served(SpotApi.ping),
    ("GET", "/api/v3/time"): Served(SpotApi.time, on=Endpoint.TIME),
    ("GET", "/api/v3/exchangeInfo"): Served(SpotApi.exchange_info, on=Endpoint.MARKETS),
    ("GET", "/api/v3/ticker/24hr"): Served(SpotApi.day_ticker, on=Endpoint.QUOTES),
    ("GET", "/api/v3/ticker/bookTicker"): Served(SpotApi.book_ticker, on=Endpoint.QUOTES),
    ("GET", "/api/v3/depth"): Served(SpotApi.depth, on=Endpoint.BOOK),
    ("GET", "/api/v3/account"): Served(SpotApi.account, signed=True, on=Endpoint.BALANCES),
    ("GET", "/sapi/v1/account/apiRestrictions"): Served(SpotApi.restrictions, signed=True),
    ("GET", "/sapi/v1/asset/tradeFee"): Served(SpotApi.trade_fees, signed=True, on=Endpoint.FEES),
    ("GET", "/api/v3/account/commission"): Served(
        SpotApi.commission, signed=True, on=Endpoint.FEES
    ),
    ("POST", "/api/v3/order"): Served(SpotApi.new_order, signed=True, on=Endpoint.SUBMIT),
    ("POST", "/api/v3/order/test"): Served(SpotApi.try_order, signed=True),
    ("GET", "/api/v3/order"): Served(SpotApi.query_order, signed=True, on=Endpoint.LOOK_UP),
    ("DELETE", "/api/v3/order"): Served(SpotApi.cancel_order, signed=True, on=Endpoint.CANCEL),
    ("GET", "/api/v3/openOrders"): Served(
        SpotApi.open_orders, signed=True, on=Endpoint.OPEN_ORDERS
    ),
    ("GET", "/api/v3/allOrders"): Served(SpotApi.all_orders, signed=True, on=Endpoint.ORDERS),
    ("GET", "/api/v3/myTrades"): Served(SpotApi.my_trades, signed=True, on=Endpoint.TRADES),
}
