"""ccxt's unified dictionaries as our nouns: the one place that knows their keys. ccxt itself is not needed here."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from triarb.clock import NS_PER_MS
from triarb.model import Market, Quote
from triarb.money import from_float, parse_decimal

TICK_SIZE = 4
"""ccxt's `precisionMode` in which precisions are steps; 102 of its 104 exchanges use it."""


def exact(value: Any) -> Decimal | None:
    """A number out of a ccxt dictionary, None where there is none.

    Raises:
        ValueError: not a finite number.
    """
    if value is None or value == "":
        return None
    return from_float(value) if isinstance(value, float) else parse_decimal(value)


def market_from_ccxt(raw: Mapping[str, Any], *, precision_mode: int = TICK_SIZE) -> Market:
    """A spot market. Where the exchange counts precision in digits rather than steps, no step is told.

    Raises:
        ValueError: a limit that is no number, or a base that is its own quote.
    """
    limits = raw.get("limits") or {}

    def limit(kind: str, end: str) -> Decimal | None:
        number = exact((limits.get(kind) or {}).get(end))
        return number if number and number > 0 else None

    def step(kind: str) -> Decimal | None:
        number = exact((raw.get("precision") or {}).get(kind))
        return number if number and number > 0 and precision_mode == TICK_SIZE else None

    if raw["base"] == raw["quote"]:
        raise ValueError(f"{raw['symbol']}: base and quote are both {raw['base']}")
    return Market(
        raw["symbol"],
        raw["base"],
        raw["quote"],
        exchange_id=str(raw.get("id") or ""),
        active=raw.get("active") is not False,
        price_tick=step("price"),
        amount_step=step("amount"),
        min_amount=limit("amount", "min"),
        max_amount=limit("amount", "max"),
        min_notional=limit("cost", "min"),
        max_notional=limit("cost", "max"),
        min_price=limit("price", "min"),
        max_price=limit("price", "max"),
        taker=exact(raw.get("taker")),
    )


def quote_from_ccxt(symbol: str, ticker: Mapping[str, Any], *, received_ns: int) -> Quote:
    """A ticker's best bid and ask; a number that makes no sense is a side that is not there."""

    def side(key: str) -> Decimal | None:
        try:
            number = exact(ticker.get(key))
        except ValueError:
            return None
        return number if number is not None and number >= 0 else None

    moment = ticker.get("timestamp")
    return Quote(
        symbol,
        side("bid"),
        side("ask"),
        side("bidVolume"),
        side("askVolume"),
        received_ns,
        int(moment) * NS_PER_MS if isinstance(moment, int | float) else None,
    )
