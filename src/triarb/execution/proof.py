"""Whether what a gateway says of an order can be true: only then is it counted."""

from collections.abc import Iterable, Iterator
from typing import Final

from triarb.model import Fill, Market, Order, OrderState, OrderStatus, Side
from triarb.money import ZERO, arithmetic, is_exact

_STATUSES: Final = tuple(OrderStatus)


def contradiction(state: object, order: Order, market: Market) -> str | None:
    """What in `state` cannot be true of `order`; None where nothing stands against it."""
    if not isinstance(state, OrderState):
        return f"the gateway answered a {type(state).__name__}"
    if (state.client_id, state.symbol) != (order.client_id, order.symbol):
        return f"it is the state of {state.client_id} on {state.symbol}"
    if state.status not in _STATUSES:
        return f"its status is {state.status!r}"
    if not is_exact(state.amount) or state.amount != order.amount:
        return f"its amount is {state.amount}, not {order.amount}"
    if not is_exact(state.filled) or not 0 <= state.filled <= order.amount:
        return f"{state.filled} of {order.amount} are said to be filled"
    if state.status == OrderStatus.FILLED and not state.filled:
        return "it is said to be filled, with nothing"
    try:
        return next(_false_fills(state.fills, order, market), None) or _too_much(state, order)
    except (AttributeError, TypeError, ValueError, ArithmeticError) as error:
        return f"its fills make no sense ({type(error).__name__})"


def _too_much(state: OrderState, order: Order) -> str | None:
    """What is wrong with all its fills together; of an order that is open they may be ahead of what it says is filled."""
    with arithmetic():
        total = sum((fill.amount for fill in state.fills), ZERO)
    most = state.filled if state.is_final else order.amount
    return f"its fills come to {total}, beyond {most}" if total > most else None


def _false_fills(fills: Iterable[Fill], order: Order, market: Market) -> Iterator[str]:
    seen = set()
    for fill in fills:
        name = f"fill {fill.trade_id}"
        if fill.trade_id in seen:
            yield f"{name} is there twice"
        seen.add(fill.trade_id)
        told = (fill.client_id, fill.symbol, fill.side, fill.base, fill.quote)
        if told != (order.client_id, order.symbol, order.side, market.base, market.quote):
            yield f"{name} is of another order"
        if not all(map(is_exact, (fill.amount, fill.price, *fill.fees.values()))):
            yield f"{name} has a number that is no Decimal"
        if fill.amount <= 0 or fill.price <= 0:
            yield f"{name} is {fill.amount} at {fill.price}"
        if not _is_text(fill.trade_id) or not _is_whole(fill.time_ns):
            yield f"{name} at {fill.time_ns!r} has an id or a time that is none"
        if not all(map(_is_text, fill.fees)) or "" in fill.fees:
            yield f"{name} was charged in something that is no asset"
        with arithmetic():
            traded = {market.base: fill.amount, market.quote: fill.amount * fill.price}
        for asset, fee in fill.fees.items():
            if abs(fee) > traded.get(asset, abs(fee)):
                yield f"{name} was charged {fee} {asset}, and traded {traded[asset]}"
        worse = order.price is not None and (
            fill.price > order.price if order.side == Side.BUY else fill.price < order.price
        )
        if worse:
            yield f"{name} is at {fill.price}, beyond the limit of {order.price}"


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return type(value) is int
