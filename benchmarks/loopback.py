"""`python -m benchmarks.loopback`: serves a loopback exchange of which the port is printed, until its input ends.

In a process of its own, so that what it does costs whoever asks it no more than the wait.
"""

import sys
from decimal import Decimal

import attrs

from triarb import OrderBook
from triarb.testing.loopback import LoopbackExchange, Received, in_background
from triarb.testing.market import planted_triangle

BALANCES = {"USDT": "1000000", "BTC": "10000", "ETH": "100000"}


def refilled(exchange: LoopbackExchange) -> None:
    """Show fresh liquidity before each request: a level is new once its amount differs."""
    books = [OrderBook.from_quote(quote) for quote in planted_triangle().quotes]
    shown = 0

    def show(_: Received) -> None:
        nonlocal shown
        shown += 1
        for book in books:
            sides = {
                side: tuple(
                    attrs.evolve(level, amount=level.amount + Decimal(shown % 7))
                    for level in getattr(book, side)
                )
                for side in ("bids", "asks")
            }
            exchange.set_book(attrs.evolve(book, **sides))

    exchange.on_arrival.append(show)


def main() -> None:
    """Serve."""
    with in_background(planted_triangle(), balances=BALANCES) as exchange:
        refilled(exchange)
        sys.stdout.write(f"{exchange.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
