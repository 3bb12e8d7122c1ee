"""What cycles alone do not ask of an exchange: orders that rest, expire, are too small or too dear, and none at all."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any, Final

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import TriarbError
from triarb.gateways.ccxt import CcxtGateway
from triarb.model import Market, Order, TimeInForce
from triarb.money import arithmetic, round_down, round_up
from triarb.operations.doctor import smallest_order

FAR: Final = Decimal("0.9")
"""The part of the best price at which an order is not expected to fill."""


async def ask(gateway: CcxtGateway, start: str) -> list[str]:
    """Ask them, one after another; what came of each. No order is left open."""
    market = await _traded(gateway, start)
    if market is None:
        return [f"nothing is bought with {start}: nothing was asked beside the cycles"]
    book = await gateway.order_book(market.symbol, 5)
    with arithmetic():
        price = round_down(book.asks[0].price * FAR, market.price_tick)
    order = smallest_order(market, price)
    if order is None:
        return [f"{market.symbol} tells no minimum: nothing was asked beside the cycles"]
    began_ns = gateway.clock.now_ns()
    free = (await gateway.balances())[start].free
    with arithmetic():
        dear = round_up(free * 2 / price, market.amount_step)

    def named(name: str, in_force: TimeInForce, amount: Decimal = order.amount) -> Order:
        client_id = f"sandbox{name}{began_ns // NS_PER_SECOND}"
        return attrs.evolve(order, client_id=client_id, amount=amount, time_in_force=in_force)

    rests = named("rests", TimeInForce.GTC)
    steps: dict[str, Callable[[], Awaitable[Any]]] = {
        "an order that is not there": lambda: gateway.look_up("sandboxnever", market.symbol),
        "taking back what is not there": lambda: gateway.cancel("sandboxnever", market.symbol),
        "whole or not at all": lambda: gateway.submit(named("fok", TimeInForce.FOK)),
        "what is there at once": lambda: gateway.submit(named("ioc", TimeInForce.IOC)),
        "too little": lambda: gateway.submit(
            named("little", TimeInForce.IOC, market.amount_step or order.amount)
        ),
        "too dear": lambda: gateway.submit(named("dear", TimeInForce.IOC, dear)),
        "one that rests": lambda: gateway.submit(rests),
        "the same again": lambda: gateway.submit(rests),
        "how it stands": lambda: gateway.look_up(rests.client_id, market.symbol),
        "open orders": gateway.open_orders,
        "taking it back": lambda: gateway.cancel(rests.client_id, market.symbol),
        "orders since": lambda: gateway.orders_since(
            market.symbol, began_ns - 3600 * NS_PER_SECOND
        ),
    }
    told = []
    for name, step in steps.items():
        try:
            answer = str(await step())
        except TriarbError as error:
            answer = str(error)
        told.append(f"{name}: {answer:.160}")
    return told


async def _traded(gateway: CcxtGateway, start: str) -> Market | None:
    """A market on which something is bought with the start asset, and is offered now."""
    for market in await gateway.markets():
        if market.active and market.quote == start and market.min_notional:
            book = await gateway.order_book(market.symbol, 5)
            if book.asks:
                return market
    return None
