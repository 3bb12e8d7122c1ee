"""The steps and limits that a market's orders must keep, as an exchange checks them before anything else."""

from decimal import Decimal
from typing import Any

from triarb.model import Market, Order, Refused
from triarb.money import arithmetic, parse_decimal, plain


def check_order(order: Order, market: Market, reference_price: Decimal | None) -> Refused | None:
    """Why `market` would not take `order`; None if it would. A limit that the market does not tell is not checked.

    Args:
        order: what is sent.
        market: the market of `order.symbol`.
        reference_price: what a market order's notional is judged at: the best price of the side that it takes, or None
            where that side is empty. A limit order's notional is judged at its own price.

    Returns:
        The first that holds of `order.market_inactive`, `order.bad_number`, `order.amount_step`, `order.min_amount`,
        `order.max_amount`, `order.price_tick`, `order.price_range`, `order.no_market_price`, `order.min_notional` and
        `order.max_notional`.
    """
    with arithmetic():
        return (
            _check_numbers(order, market)
            or _check_amount(order.amount, market)
            or _check_price(order.price, market)
            or _check_notional(order, market, reference_price)
        )


def _check_numbers(order: Order, market: Market) -> Refused | None:
    if not market.active:
        return Refused("order.market_inactive", f"{market.symbol} is not open for trading")
    numbers = {"amount": order.amount}
    if order.price is not None:
        numbers["price"] = order.price
    for name, number in numbers.items():
        fault = _fault(number)
        if fault:
            sentence = f"{market.symbol}: the {name} {fault}"
            return Refused("order.bad_number", sentence, {name: str(number)})
    return None


def _check_amount(amount: Decimal, market: Market) -> Refused | None:
    if market.amount_step and amount % market.amount_step:
        return _off("amount", amount, market.amount_step, "order.amount_step", market)
    return _low("amount", amount, market.min_amount, "order.min_amount", market) or _high(
        "amount", amount, market.max_amount, "order.max_amount", market
    )


def _check_price(price: Decimal | None, market: Market) -> Refused | None:
    if price is None:
        return None
    if market.price_tick and price % market.price_tick:
        return _off("price", price, market.price_tick, "order.price_tick", market)
    return _low("price", price, market.min_price, "order.price_range", market) or _high(
        "price", price, market.max_price, "order.price_range", market
    )


def _check_notional(
    order: Order, market: Market, reference_price: Decimal | None
) -> Refused | None:
    price = reference_price if order.price is None else order.price
    if price is None:
        sentence = f"{market.symbol} shows no price that a market {order.side} could have"
        return Refused("order.no_market_price", sentence, {"amount": order.amount})
    notional = order.amount * price
    return _low("notional", notional, market.min_notional, "order.min_notional", market) or _high(
        "notional", notional, market.max_notional, "order.max_notional", market
    )


def _fault(value: Any) -> str | None:
    if not isinstance(value, Decimal):
        return f"is the {type(value).__name__} {value!r}, not a Decimal"
    try:
        parse_decimal(value)
    except ValueError as error:
        return str(error)
    return None if value > 0 else f"is {value}, not above zero"


def _off(name: str, value: Decimal, step: Decimal, code: str, market: Market) -> Refused:
    sentence = f"{market.symbol}: the {name} {plain(value)} is not a multiple of {plain(step)}"
    return Refused(code, sentence, {name: value, "step": step})


def _low(
    name: str, value: Decimal, limit: Decimal | None, code: str, market: Market
) -> Refused | None:
    if limit is None or value >= limit:
        return None
    sentence = f"{market.symbol}: the {name} {plain(value)} is below the least, {plain(limit)}"
    return Refused(code, sentence, {name: value, "limit": limit})


def _high(
    name: str, value: Decimal, limit: Decimal | None, code: str, market: Market
) -> Refused | None:
    if limit is None or value <= limit:
        return None
    sentence = f"{market.symbol}: the {name} {plain(value)} is above the most, {plain(limit)}"
    return Refused(code, sentence, {name: value, "limit": limit})
