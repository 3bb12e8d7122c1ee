"""What an exchange lists: its spot markets, and how deep a book it tells of them."""

from typing import Any

from triarb.gateways.ccxt.line import NONSENSE
from triarb.market.unified import market_from_ccxt
from triarb.model import Market

# The depths that an exchange takes, or counts in; all others take any number.
_DEPTHS = {
    "binance": (5, 10, 20, 50, 100, 500, 1000, 5000),
    "binanceus": (5, 10, 20, 50, 100, 500, 1000, 5000),
    "bitfinex": (1, 25, 100),
    "htx": (5, 10, 20, 150),
    "kucoin": (20, 100),
}


def depth_offered(exchange: str, depth: int) -> int:
    """The least depth that can be asked for and shows `depth` levels; else the most there is."""
    depths = _DEPTHS.get(exchange, (depth,))
    return next((offered for offered in depths if offered >= depth), depths[-1])


def spot_markets(exchange: Any) -> tuple[dict[str, Market], dict[str, str]]:
    """The spot markets of a loaded instance, and why the others of them make no sense."""
    markets, malformed = {}, {}
    for symbol, raw in exchange.markets.items():
        if not raw.get("spot"):
            continue
        try:
            market = market_from_ccxt(raw, precision_mode=exchange.precisionMode)
        except NONSENSE as error:
            malformed[symbol] = str(error)
        else:
            markets[symbol] = market
    return markets, malformed
