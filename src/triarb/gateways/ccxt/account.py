"""Account: what an exchange does for one account, each order sent once."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import attrs

from triarb.clock import NS_PER_MS
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt import orders
from triarb.gateways.ccxt.failures import said
from triarb.gateways.ccxt.line import NONSENSE, Line
from triarb.gateways.ccxt.timing import Timing
from triarb.gateways.ccxt.wire import Wire, through
from triarb.market.unified import balances_from_ccxt, fills_from_ccxt, order_state_from_ccxt
from triarb.model import (
    Balance,
    Listed,
    Market,
    NotFound,
    Order,
    OrderState,
    Submission,
    SubmissionStatus,
)
from triarb.money import ZERO, arithmetic


@attrs.frozen
class Account:
    """An account, through a watched trading instance whose markets are loaded.

    Attributes:
        line: the way to it.
        timing: forgets how far the clocks are apart where an order is refused for its time stamp.
    """

    line: Line
    timing: Timing

    async def balances(self) -> dict[str, Balance]:
        """What it holds, by asset."""
        raw = await self.line.ask("its balances", "fetch_balance")
        try:
            return balances_from_ccxt(raw)
        except NONSENSE as error:
            raise self.line.malformed("its balances", error) from None

    async def open_orders(self) -> list[Listed]:
        """The orders that are open now, on all markets."""
        # ccxt refuses to ask Binance for all at once unless told that its greater weight is meant.
        self.line.instance.options["warnOnFetchOpenOrdersWithoutSymbol"] = False
        return await self._listed("its open orders", "fetchOpenOrders", "fetch_open_orders")

    async def orders_since(self, symbol: str, since_ns: int) -> list[Listed]:
        """The orders of one market that were placed since then."""
        since_ms = since_ns // NS_PER_MS
        return await self._listed(
            f"its orders on {symbol}", "fetchOrders", "fetch_orders", symbol, since_ms
        )

    async def _listed(self, what: str, ability: str, method: str, *args: Any) -> list[Listed]:
        if self.line.instance.has.get(ability) is not True:
            message = f"{self.line.instance.id} cannot list {what.removeprefix('its ')}"
            raise GatewayError(message, code="gateway.unsupported")
        raw = await self.line.ask(what, method, *args)
        try:
            return [Listed(str(one.get("clientOrderId") or ""), one["symbol"]) for one in raw]
        except NONSENSE as error:
            raise self.line.malformed(what, error) from None

    async def submit(self, order: Order, market: Market | None) -> Submission:
        """Send `order` once, if it can be sent exactly as it is."""
        instance = self.line.instance
        refusal = orders.cannot_be_sent(instance, market, order)
        if market is None or refusal is not None:
            return Submission(SubmissionStatus.REJECTED, reason=refusal or "")
        wire = Wire(once=True)
        try:
            raw = await through(wire, instance.create_order(*orders.arguments(order)))
            state = orders.accepted(raw, order, market)
        except Exception as error:  # noqa: BLE001 - whatever happened, the order may be there
            rejected = orders.proves_rejection(instance.id, error, wire)
            if orders.is_about_time(error):
                self.timing.doubt()
            status = SubmissionStatus.REJECTED if rejected else SubmissionStatus.UNKNOWN
            return Submission(status, reason=said(error, wire, self.line.credentials))
        return Submission(SubmissionStatus.ACCEPTED, await self._with_fills(state, raw, market))

    async def look_up(self, client_id: str, market: Market) -> OrderState | NotFound:
        """What the exchange says of an order, with its fills as far as they can be read."""
        what, ours = f"the order {client_id}", {"clientOrderId": client_id}
        try:
            raw = await self.line.ask(what, "fetch_order", None, market.symbol, ours)
        except GatewayError as error:
            if error.code == "gateway.no_such_order":
                return NotFound(client_id, market.symbol)
            raise
        try:
            state = order_state_from_ccxt(raw, client_id=client_id, market=market)
        except NONSENSE as error:
            raise self.line.malformed(what, error) from None
        return await self._with_fills(state, raw, market)

    async def cancel(self, client_id: str, market: Market) -> OrderState | NotFound:
        """Ask for an order to be canceled, whatever comes of it, then look it up."""
        what, ours = f"to cancel {client_id}", {"clientOrderId": client_id}
        with suppress(GatewayError):  # aiohttp repeats a DELETE: "not found" may be our own doing
            await self.line.ask(what, "cancel_order", None, market.symbol, ours)
        return await self.look_up(client_id, market)

    async def _with_fills(
        self, state: OrderState, raw: Mapping[str, Any], market: Market
    ) -> OrderState:
        """`state` with all its trades; as it was, if the answer holds them or they cannot be read now."""
        with arithmetic():
            if sum((fill.amount for fill in state.fills), ZERO) == state.filled:
                return state
        what, id_ = f"the trades of {state.client_id}", state.exchange_id
        with suppress(GatewayError, *NONSENSE):
            if self.line.instance.has.get("fetchOrderTrades") is True:
                trades = await self.line.ask(what, "fetch_order_trades", id_, market.symbol)
            else:
                trades = await self.line.ask(what, "fetch_my_trades", market.symbol)
            own = [trade for trade in trades if trade.get("order") == id_]
            fills = fills_from_ccxt(own, raw, client_id=state.client_id, market=market)
            return attrs.evolve(state, fills=fills)
        return state
