"""A small market with a planted triangle, for tests and examples; its prices are made up and say so."""

from decimal import Decimal

from triarb.clock import NS_PER_SECOND
from triarb.market.snapshot import Snapshot
from triarb.model import Market, Quote

START_NS = 1_700_000_000 * NS_PER_SECOND


def planted_triangle() -> Snapshot:
    """Three markets of which USDT > BTC > ETH > USDT multiplies to 1.01 before fees, with sizes, steps and minimums.

    1 / 100 BTC for a USDT, 1 / 0.05 ETH for a BTC, 5.05 USDT for an ETH; the taker fee is 0.1 %.
    """

    def market(base: str, quote: str, tick: str, step: str, least: str) -> Market:
        return Market(
            f"{base}/{quote}",
            base,
            quote,
            exchange_id=base + quote,
            price_tick=Decimal(tick),
            amount_step=Decimal(step),
            min_amount=Decimal(step),
            max_amount=Decimal(9000),
            min_notional=Decimal(least),
        )

    def quote(symbol: str, bid: str, ask: str, size: str) -> Quote:
        return Quote(
            symbol, Decimal(bid), Decimal(ask), Decimal(size), Decimal(size), START_NS, START_NS
        )

    return Snapshot(
        "generated",
        START_NS,
        (
            market("BTC", "USDT", "0.01", "0.00001", "5"),
            market("ETH", "BTC", "0.00001", "0.0001", "0.0001"),
            market("ETH", "USDT", "0.01", "0.0001", "5"),
        ),
        (
            quote("BTC/USDT", "99.90", "100.00", "3"),
            quote("ETH/BTC", "0.04990", "0.05000", "40"),
            quote("ETH/USDT", "5.05", "5.06", "50"),
        ),
        taker_fee=Decimal("0.001"),
        source="generated: a planted triangle",
    )
