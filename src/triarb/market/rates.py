"""RateTable: the one door from Decimal quotes to the float64 rates that finders search.

One directed edge a pair of assets: where two markets join a pair, each direction has the market of the better rate
net of fee, ties by symbol, compared exactly. The floats only nominate; `leg` gives back the exact quote.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from types import MappingProxyType

from triarb.market.fees import FeeSchedule
from triarb.model import (
    Cycle,
    Fee,
    Leg,
    Market,
    Quote,
    RateView,
    Side,
    Withdrawn,
)


def kept(fee: Fee, side: Side) -> float:
    """The part of the gross rate that a trade of `side` keeps after `fee`, as a float (`Fee.kept` is exact)."""
    rate = float(fee.rate)
    return 1.0 / (1.0 + rate) if fee.on_given(side) else 1.0 - rate


class RateTable:
    """The directed rates of an exchange, net of the lowest fee that could apply, as they stand after the last update.

    Edges are sorted by tail, then head; those of asset ``i`` are ``range(offsets[i], offsets[i + 1])``.

    Attributes:
        assets: names, sorted; an asset's number is its place here.
        tails: by edge, the number of the asset given.
        heads: by edge, the number of the asset received.
        offsets: one more than there are assets.
        pending: by symbol, the last word on markets of the table that is not taken in yet.
    """

    def __init__(
        self, markets: Iterable[Market], fees: FeeSchedule, quotes: Iterable[Quote] = ()
    ) -> None:
        self._markets = {market.symbol: market for market in markets}
        self._fees: dict[str, Fee] = {}
        self._lowest: dict[str, Fee] = {}
        self._quotes: dict[str, Quote] = {}
        self._refused: dict[str, str] = {}
        self.pending: dict[str, Quote | Withdrawn] = {}
        for symbol, market in self._markets.items():
            fee = fees.fee(symbol)
            if fee is not None:
                self._fees[symbol] = fee
                self._lowest[symbol] = fee.lowest
            self._refused[symbol] = "market.no_quote" if market.active else "market.inactive"

        self.assets: Sequence[str] = sorted(
            {asset for m in self._markets.values() for asset in (m.base, m.quote)}
        )
        number = {asset: i for i, asset in enumerate(self.assets)}
        offers: dict[tuple[int, int], list[tuple[str, Side]]] = {}
        for symbol in sorted(self._markets):
            market = self._markets[symbol]
            for side in Side:
                pair = (number[market.given(side)], number[market.received(side)])
                offers.setdefault(pair, []).append((symbol, side))
        pairs = sorted(offers)
        self.tails = array("q", (tail for tail, _ in pairs))
        self.heads = array("q", (head for _, head in pairs))
        self._rates = array("d", bytes(8 * len(pairs)))
        self.offsets = array("q", bytes(8 * (len(self.assets) + 1)))
        for tail in self.tails:
            self.offsets[tail + 1] += 1
        for i in range(len(self.assets)):
            self.offsets[i + 1] += self.offsets[i]
        self._offers = [offers[pair] for pair in pairs]
        self._chosen: list[tuple[str, Side] | None] = [None] * len(pairs)
        self._edges: dict[str, list[int]] = {symbol: [] for symbol in self._markets}
        for edge, offered in enumerate(self._offers):
            for symbol, _ in offered:
                self._edges[symbol].append(edge)
        by_asset: dict[str, list[str]] = {asset: [] for asset in self.assets}
        for symbol, market in self._markets.items():
            by_asset[market.base].append(symbol)
            by_asset[market.quote].append(symbol)
        self._by_asset = {asset: tuple(symbols) for asset, symbols in by_asset.items()}
        for quote in quotes:
            self.update(quote)

    def update(self, change: Quote | Withdrawn) -> None:
        """Take in what became of one market. A symbol that is not in the table changes nothing.

        It is remembered, and taken in when the table is next read: what nobody reads costs next to nothing.
        """
        if change.symbol in self._markets:
            self.pending[change.symbol] = change

    @property
    def rates(self) -> "array[float]":
        """By edge, float64, units received for one unit given after the fee; 0.0 where no market is usable."""
        self._take_in()
        return self._rates

    def _take_in(self) -> None:
        for symbol, change in self.pending.items():
            quote = change if isinstance(change, Quote) else None
            code = self._refusal(self._markets[symbol], quote)
            if quote is not None and code is None:
                self._quotes[symbol] = quote
                self._refused.pop(symbol, None)
            else:
                self._quotes.pop(symbol, None)
                self._refused[symbol] = code or "market.no_quote"
            for edge in self._edges[symbol]:
                self._choose(edge)
        self.pending.clear()

    def _refusal(self, market: Market, quote: Quote | None) -> str | None:
        if not market.active:
            return "market.inactive"
        if quote is None:
            return "market.no_quote"
        fault = quote.fault()
        if fault is None and market.symbol not in self._fees:
            return "market.no_fee"
        return fault

    def _choose(self, edge: int) -> None:
        best: tuple[str, Side] | None = None
        best_ratio: Fraction | None = None
        usable = [offer for offer in self._offers[edge] if offer[0] in self._quotes]
        if len(usable) == 1:
            best = usable[0]
        else:
            for symbol, side in usable:  # sorted by symbol, so that the first of equals stays
                ratio = self._leg(symbol, side).net_ratio
                if best_ratio is None or ratio > best_ratio:
                    best, best_ratio = (symbol, side), ratio
        self._chosen[edge] = best
        self._rates[edge] = 0.0 if best is None else self._float(*best)

    def _float(self, symbol: str, side: Side) -> float:
        price, part = float(self._quotes[symbol].price_for(side)), kept(self._lowest[symbol], side)
        return price * part if side == Side.SELL else part / price

    def _leg(self, symbol: str, side: Side) -> Leg:
        price = self._quotes[symbol].price_for(side)
        return Leg(self._markets[symbol], side, price, self._lowest[symbol])

    def leg(self, edge: int) -> Leg:
        """The exact leg of an edge whose rate is not zero.

        Raises:
            LookupError: the edge has no usable market now.
        """
        self._take_in()
        chosen = self._chosen[edge]
        if chosen is None:
            raise LookupError(f"edge {edge} has no usable market now")
        return self._leg(*chosen)

    def cycle(self, edges: Iterable[int]) -> Cycle:
        """The cycle over `edges`, given in order, begun in its asset of the smallest name."""
        cycle = Cycle(tuple(self.leg(edge) for edge in edges))
        return cycle.starting_from(cycle.assets[0])

    def edges(self, symbol: str) -> Sequence[int]:
        """The two edges that a market's quote bears on; none for a symbol that is not in the table."""
        return self._edges.get(symbol, ())

    def view(self) -> RateView:
        """All usable markets as they stand now, frozen."""
        self._take_in()
        return RateView(
            MappingProxyType(self._markets),
            MappingProxyType(dict(self._quotes)),
            MappingProxyType(self._fees),
            MappingProxyType(self._by_asset),
        )

    @property
    def usable(self) -> Sequence[str]:
        """The symbols of the markets that can be traded on now, sorted."""
        self._take_in()
        return sorted(self._quotes)

    @property
    def refused(self) -> dict[str, int]:
        """How many markets cannot, each counted once under the first code that holds."""
        self._take_in()
        return dict(sorted(Counter(self._refused.values()).items()))

    def provenances(self) -> dict[str, int]:
        """How many usable markets have their fee from where."""
        self._take_in()
        return FeeSchedule(self._fees).provenances(self._quotes)
