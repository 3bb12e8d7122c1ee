"""Order books out of raw pairs, checked: what a feed or a file gives is not a book until it passes here."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, TypeGuard

from triarb.model import Level, OrderBook
from triarb.money import from_float, is_exact, parse_decimal


def parse_book(
    symbol: str,
    bids: Iterable[Sequence[Any]],
    asks: Iterable[Sequence[Any]],
    *,
    received_ns: int,
    exchange_ns: int | None = None,
) -> OrderBook:
    """A book from pairs of price and amount, as text, Decimals or (from libraries that parse for us) floats.

    Levels of no amount are left out. A crossed book is a book: `OrderBook.fault` tells.

    Raises:
        ValueError: a number that is not finite or not positive, or sides that are not best first.
    """
    return OrderBook(
        symbol,
        _side(symbol, "bids", bids, falling=True),
        _side(symbol, "asks", asks, falling=False),
        received_ns,
        exchange_ns,
    )


def _side(
    symbol: str, name: str, pairs: Iterable[Sequence[Any]], *, falling: bool
) -> tuple[Level, ...]:
    levels = []
    for position, pair in enumerate(pairs):
        try:
            price, amount = (_number(value) for value in pair[:2])
        except (LookupError, TypeError, ValueError) as error:
            raise ValueError(f"{symbol} {name}[{position}]: {error}") from None
        if price <= 0 or amount < 0:
            raise ValueError(f"{symbol} {name}[{position}]: {price} x {amount} cannot be")
        if amount:
            levels.append(Level(price, amount))
    for better, worse in _out_of_order(levels, falling=falling):
        raise ValueError(f"{symbol} {name}: {better.price} stands before {worse.price}")
    return tuple(levels)


def _out_of_order(levels: Iterable[Level], *, falling: bool) -> Iterator[tuple[Level, Level]]:
    """The neighbours of which the first is no better than the second."""
    for better, worse in itertools.pairwise(levels):
        if better.price <= worse.price if falling else better.price >= worse.price:
            yield better, worse


def is_sound(book: object, symbol: str) -> TypeGuard[OrderBook]:
    """Whether it is a book of that market that `parse_book` could have made: one that a gateway made of its own need not be."""
    return (
        isinstance(book, OrderBook)
        and book.symbol == symbol
        and type(book.received_ns) is int
        and _is_side(book.bids, falling=True)
        and _is_side(book.asks, falling=False)
    )


def _is_side(side: object, *, falling: bool) -> bool:
    if not isinstance(side, tuple) or not all(map(_is_level, side)):
        return False
    return not any(_out_of_order(side, falling=falling))


def _is_level(level: object) -> bool:
    return isinstance(level, Level) and all(
        is_exact(number) and number > 0 for number in (level.price, level.amount)
    )


def _number(value: Any) -> Decimal:
    return from_float(value) if isinstance(value, float) else parse_decimal(value)
