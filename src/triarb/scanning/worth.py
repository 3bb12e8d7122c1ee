"""What the profits of a scan are worth in one asset, by the markets that its user declares."""

from collections.abc import Collection, Iterable
from typing import Final

import attrs

from triarb.exceptions import UsageError
from triarb.market.snapshot import Snapshot
from triarb.model import RateView
from triarb.money import Money
from triarb.pricing import Valuation
from triarb.scanning.result import ScannedCycle

MAX_AGE_MS: Final = 60_000


@attrs.frozen
class Worth:
    """Values profits.

    Attributes:
        asset: what in.
    """

    asset: str
    _valuation: Valuation
    _rates: RateView
    _now_ns: int

    @classmethod
    def of(
        cls,
        asset: str,
        references: str | Collection[str],
        min_depth: str | Money | Iterable[str | Money],
        snapshot: Snapshot,
    ) -> "Worth":
        """By `references` among the markets of `snapshot`, whatever else of it is scanned.

        Raises:
            UsageError: one of them is not there, or there is no floor on what they must show.
        """
        names = (references,) if isinstance(references, str) else tuple(references)
        if names and not min_depth:
            raise UsageError(
                "references need a floor: one junk quote must not make a worth",
                hint=f'min_depth="500 {asset}", or --min-depth "500 {asset}"',
            )
        valuation = Valuation(names, min_depth=min_depth, max_age_ms=MAX_AGE_MS)
        markets = {m.symbol: m for m in snapshot.markets if m.symbol in names}
        for name in names:
            if name not in markets:
                raise UsageError(
                    f"there is no market {name!r} here",
                    code="usage.unknown_asset",
                    hint="references are symbols, such as BTC/USDT",
                )
        quotes = {q.symbol: q for q in snapshot.quotes if q.symbol in names}
        return cls(asset, valuation, RateView(markets, quotes, {}, {}), snapshot.timestamp_ns)

    def valued(self, scanned: ScannedCycle) -> ScannedCycle:
        """`scanned` with what its profit is worth, or why nobody can say."""
        if scanned.profit is None:
            return scanned
        profit = Money(scanned.profit, scanned.cycle.start)
        value = self._valuation.value(profit, self.asset, self._rates, self._now_ns)
        return attrs.evolve(scanned, value=value)
