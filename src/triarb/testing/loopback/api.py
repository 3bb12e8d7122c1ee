"""SpotApi: the matching engine behind Binance's spot endpoints. Sync and pure; `exchange` puts it on a port."""

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs

from triarb.clock import NS_PER_MS
from triarb.exceptions import UsageError
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Market,
    Order,
    OrderState,
    OrderStatus,
    Refused,
    Side,
    TimeInForce,
)
from triarb.money import plain
from triarb.simulation import MatchingEngine, check_order
from triarb.testing.loopback import messages
from triarb.testing.loopback.messages import ApiError, Placed
from triarb.testing.loopback.signing import mandatory

Params = Mapping[str, str]

_ALWAYS = {"timestamp", "recvWindow", "signature"}
_ORDER_PARAMS = _ALWAYS | {
    "symbol",
    "side",
    "type",
    "timeInForce",
    "quantity",
    "price",
    "newClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
}
_NUMBER = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_CLIENT_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"


class SpotApi:
    """One account's view of one exchange.

    Attributes:
        engine: where orders act.
        as_of_ns: when it was so that questions about the account are answered; None is now.
        rights: what the key may do, where that is not reading and spot trading from one address alone.
    """

    def __init__(
        self, markets: Iterable[Market], fees: FeeSchedule, balances: Mapping[str, Decimal]
    ) -> None:
        known = tuple(markets)
        self.engine = MatchingEngine(known, fees, balances=balances)
        self.as_of_ns: int | None = None
        self.rights: dict[str, bool] = {}
        self._symbols = {
            market.exchange_id or market.base + market.quote: market.symbol for market in known
        }
        if len(self._symbols) < len(known):
            raise UsageError("two markets have the same id", hint="give them an exchange_id each")
        self._ids = {symbol: id_ for id_, symbol in self._symbols.items()}
        self._placed: list[Placed] = []
        self._trade_numbers: dict[tuple[str, str], int] = {}
        self._update_ids = itertools.count(1)
        self._own_ids = itertools.count(1)

    def about(self, params: Params) -> tuple[str, str]:
        """The client id and the symbol that a request names, each empty where it names none."""
        symbol = self._symbols.get(params.get("symbol", ""), "")
        client_id = params.get("newClientOrderId") or params.get("origClientOrderId") or ""
        number = params.get("orderId")
        if number and not client_id:
            named = (p.order.client_id for p in self._placed if p.number == number)
            client_id = next(named, "")
        return client_id, symbol

    # What anyone may ask

    def ping(self, _params: Params, _now_ns: int) -> Any:
        """Nothing."""
        return {}

    def time(self, _params: Params, now_ns: int) -> Any:
        """The exchange's time."""
        return {"serverTime": now_ns // NS_PER_MS}

    def exchange_info(self, _params: Params, now_ns: int) -> Any:
        """All markets and their rules."""
        return {
            "timezone": "UTC",
            "serverTime": now_ns // NS_PER_MS,
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [
                messages.symbol_info(id_, self.engine.markets[symbol])
                for id_, symbol in self._symbols.items()
            ],
        }

    def book_ticker(self, params: Params, _now_ns: int) -> Any:
        """The best of each side, of one market, some or all."""
        return self._of_symbols(
            params, lambda id_, symbol: messages.book_ticker(id_, self.engine.book(symbol))
        )

    def day_ticker(self, params: Params, now_ns: int) -> Any:
        """The same among the figures of a day."""
        return self._of_symbols(
            params, lambda id_, symbol: messages.day_ticker(id_, self.engine.book(symbol), now_ns)
        )

    def depth(self, params: Params, _now_ns: int) -> Any:
        """The book of one market."""
        market = self._market(params)
        limit = params.get("limit", "100")
        if not limit.isdigit() or not int(limit):
            raise ApiError(-1100, "Illegal characters found in parameter 'limit'.")
        book = self.engine.book(market.symbol)
        return messages.depth(book, min(int(limit), 5000), next(self._update_ids))

    # What the account may ask

    def account(self, _params: Params, now_ns: int) -> Any:
        """All balances, those of zero included."""
        engine, as_of_ns = self.engine, self.as_of_ns
        held = engine.balances if as_of_ns is None else engine.balances_at(as_of_ns)
        listed = engine.markets.values()
        assets = {asset for m in listed for asset in (m.base, m.quote)} | set(held)
        return {
            "canTrade": True,
            "canWithdraw": False,
            "canDeposit": False,
            "updateTime": now_ns // NS_PER_MS,
            "accountType": "SPOT",
            "balances": [messages.balance(asset, held.get(asset)) for asset in sorted(assets)],
            "permissions": ["SPOT"],
        }

    def restrictions(self, _params: Params, now_ns: int) -> Any:
        """What the key may do; `rights` are merged in."""
        return {
            "ipRestrict": True,
            "createTime": now_ns // NS_PER_MS,
            "enableReading": True,
            "enableWithdrawals": False,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": True,
            "enablePortfolioMarginTrading": False,
        } | dict(self.rights)

    def trade_fees(self, _params: Params, _now_ns: int) -> Any:
        """What the account pays on all markets."""
        fees = {id_: self.engine.fees.fee(symbol) for id_, symbol in self._symbols.items()}
        return [
            {"symbol": id_, "makerCommission": plain(fee.rate), "takerCommission": plain(fee.rate)}
            for id_, fee in fees.items()
            if fee is not None
        ]

    def commission(self, params: Params, _now_ns: int) -> Any:
        """What the account pays on one market."""
        market = self._market(params)
        fee = self.engine.fees.fee(market.symbol)
        if fee is None:
            raise ApiError(-1121, "Invalid symbol.")
        return messages.commission(self._ids[market.symbol], fee)

    def new_order(self, params: Params, now_ns: int) -> Any:
        """Let an order act."""
        order = self._parse_order(params)
        state = self.engine.submit(order, now_ns)
        if isinstance(state, Refused):
            raise messages.refusal(state)
        placed = Placed(order, state.exchange_id, now_ns)
        self._placed.append(placed)
        answer = self._order(placed, state) | {"transactTime": now_ns // NS_PER_MS}
        kind = params.get("newOrderRespType", "FULL")
        if kind == "ACK":
            told = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
            return {name: answer[name] for name in told}
        if kind == "FULL":
            fills = [messages.fill_answer(f, self._trade_number(f)) for f in state.fills]
            return answer | {"fills": fills}
        return answer

    def try_order(self, params: Params, _now_ns: int) -> Any:
        """Whether an order would pass the filters; it does not act."""
        order = self._parse_order(params)
        book = self.engine.book(order.symbol)
        levels = book.against(order.side) if book else ()
        market = self._market(params)
        refused = check_order(order, market, levels[0].price if levels else None)
        if refused is not None:
            raise messages.refusal(refused)
        return {}

    def query_order(self, params: Params, _now_ns: int) -> Any:
        """One order as it stands."""
        placed, state = self._find(params, ApiError(-2013, "Order does not exist."))
        moment = placed.time_ns // NS_PER_MS
        return self._order(placed, state) | {
            "stopPrice": "0",
            "icebergQty": "0",
            "time": moment,
            "updateTime": moment,
            "isWorking": True,
        }

    def cancel_order(self, params: Params, now_ns: int) -> Any:
        """Take an open order back."""
        unknown = ApiError(-2011, "Unknown order sent.")
        placed, state = self._find(params, unknown)
        if state.status != OrderStatus.OPEN:
            raise unknown
        self.engine.cancel(placed.order.client_id, placed.order.symbol, now_ns)
        canceled = attrs.evolve(state, status=OrderStatus.CANCELED)
        return self._order(placed, canceled) | {
            "origClientOrderId": placed.order.client_id,
            "clientOrderId": params.get("newClientOrderId") or self._own_id(),
            "transactTime": now_ns // NS_PER_MS,
        }

    def open_orders(self, params: Params, now_ns: int) -> Any:
        """The orders that rest, of one market or of all."""
        symbol = self._market(params).symbol if "symbol" in params else None
        return [
            self.query_order({"symbol": self._ids[o.symbol], "orderId": state.exchange_id}, now_ns)
            for placed, state in self._known()
            for o in [placed.order]
            if state.status == OrderStatus.OPEN and symbol in (None, o.symbol)
        ]

    def all_orders(self, params: Params, now_ns: int) -> Any:
        """The orders of one market, the latest of them, in the order they were placed."""
        market = self._market(params)
        since, until = int(params.get("startTime", 0)), int(params.get("endTime", 2**63))
        told = [
            self.query_order({"symbol": params["symbol"], "orderId": placed.number}, now_ns)
            for placed, _ in self._known()
            if placed.order.symbol == market.symbol
            and since <= placed.time_ns // NS_PER_MS <= until
        ]
        return told[-int(params.get("limit", 500)) :]

    def my_trades(self, params: Params, _now_ns: int) -> Any:
        """The trades of one market, the latest of them, in the order they were made."""
        market = self._market(params)
        since, until = int(params.get("startTime", 0)), int(params.get("endTime", 2**63))
        trades = [
            messages.trade_answer(self._ids[market.symbol], state, f, self._trade_number(f))
            for _, state in self._known()
            if state.symbol == market.symbol
            and params.get("orderId", state.exchange_id) == state.exchange_id
            for f in state.fills
        ]
        trades = [trade for trade in trades if since <= trade["time"] <= until]
        return sorted(trades, key=lambda trade: trade["id"])[-int(params.get("limit", 500)) :]

    # How it is done

    def _of_symbols(self, params: Params, tell: Callable[[str, str], Any]) -> Any:
        if "symbol" in params:
            market = self._market(params)
            return tell(self._ids[market.symbol], market.symbol)
        wanted: Iterable[str] = self._symbols
        if "symbols" in params:
            try:
                wanted = json.loads(params["symbols"])
            except ValueError:
                raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.") from None
        return [tell(id_, self._market({"symbol": id_}).symbol) for id_ in wanted]

    def _market(self, params: Params) -> Market:
        if not params.get("symbol"):
            raise mandatory("symbol")
        if params["symbol"] not in self._symbols:
            raise ApiError(-1121, "Invalid symbol.")
        return self.engine.markets[self._symbols[params["symbol"]]]

    def _parse_order(self, params: Params) -> Order:
        read = len(_ORDER_PARAMS & params.keys())
        if read < len(params):
            message = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(params)}'."
            raise ApiError(-1104, message)
        market = self._market(params)
        side = _choice(params, "side", {"BUY": Side.BUY, "SELL": Side.SELL}, -1117, "Invalid side.")
        types = {"LIMIT": True, "MARKET": False}
        is_limit = _choice(params, "type", types, -1116, "Invalid orderType.")
        in_force, price = TimeInForce.IOC, None
        if is_limit:
            known = {str(t): t for t in TimeInForce}
            in_force = _choice(params, "timeInForce", known, -1115, "Invalid timeInForce.")
            price = _number(params, "price", messages.precision(market.price_tick))
        else:
            for name in ("price", "timeInForce"):
                if name in params:
                    raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
        amount = _number(params, "quantity", messages.precision(market.amount_step))
        client_id = params.get("newClientOrderId") or self._own_id()
        _match(_CLIENT_ID, "newClientOrderId", client_id)
        return Order(client_id, market.symbol, side, amount, price, in_force)

    def _find(self, params: Params, missing: ApiError) -> tuple[Placed, OrderState]:
        """The newest order that `params` name, and how it stands."""
        symbol = self._market(params).symbol
        if not params.get("orderId") and not params.get("origClientOrderId"):
            message = (
                "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
            raise ApiError(-1102, message)
        for placed in reversed(self._placed):
            order, number = placed.order, placed.number
            if (
                order.symbol == symbol
                and params.get("orderId", number) == number
                and params.get("origClientOrderId", order.client_id) == order.client_id
            ):
                state = self.engine.order(number, self.as_of_ns)
                if state is not None:
                    return placed, state
        raise missing

    def _known(self) -> Iterator[tuple[Placed, OrderState]]:
        """All orders and how they stand, the oldest first."""
        for placed in self._placed:
            state = self.engine.order(placed.number, self.as_of_ns)
            if state is not None:
                yield placed, state

    def _order(self, placed: Placed, state: OrderState) -> dict[str, Any]:
        return messages.order_answer(self._ids[placed.order.symbol], placed, state)

    def _trade_number(self, fill: Any) -> int:
        key = (fill.client_id, fill.trade_id)
        return self._trade_numbers.setdefault(key, len(self._trade_numbers) + 1)

    def _own_id(self) -> str:
        return f"loopback{next(self._own_ids)}"


def _choice(params: Params, name: str, known: Mapping[str, Any], code: int, message: str) -> Any:
    if not params.get(name):
        raise mandatory(name)
    if params[name] not in known:
        raise ApiError(code, message)
    return known[params[name]]


def _match(pattern: str, name: str, value: str) -> None:
    if re.fullmatch(pattern, value) is None:
        message = f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'."
        raise ApiError(-1100, message)


def _number(params: Params, name: str, decimals: int) -> Decimal:
    if not params.get(name):
        raise mandatory(name)
    _match(_NUMBER, name, params[name])
    number = Decimal(params[name])
    if len(params[name].partition(".")[2].rstrip("0")) > decimals:
        raise ApiError(-1111, f"Parameter '{name}' has too much precision.")
    if not number:
        raise ApiError(-1013, f"Invalid {name}.")
    return number
