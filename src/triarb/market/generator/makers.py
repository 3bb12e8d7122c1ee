"""Makers: the quotes of all markets, always round one set of fair values.

Every asset has a fair value, a random walk in the time of its trades. A market's bid is below, and its ask above, the
ratio of the fair values of its two assets, so that round any cycle, however long, the rates multiply to less than one: the
fair values are a potential. When a value moves, those of its markets that would no longer bracket the fair price are
quoted anew first, round the old value and the new one; so this holds after every single quote, not only between instants.
A dislocated market is the exception, on one side.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

import attrs
import numpy as np

from triarb.market.generator.shape import Floats, Shape
from triarb.model import Quote, Side

DELAY_NS = 5_000_000
"""How much earlier than we received it the exchange says that a quote was so."""
GUARD = 1e-9
"""How far inside its quotes a fair price stays, as a fraction; the floats are exact to 1e-15."""

_MAX_STEP = 2e-4  # the standard deviation of one relative move, at most
_MIN_HALF_SPREAD = 1e-6
_SPREAD_NOISE, _SIZE_NOISE = 0.2, 0.5  # from quote to quote, of the logarithm
_BLOCK = 4096

Leg = tuple[int, Side]
"""A market's number and what a taker does there."""


@attrs.frozen(eq=False)
class Shift:
    """What a dislocation does: the quote of `market` follows the other two legs of its triangle.

    Attributes:
        side: what a taker does in `market`.
        others: the other legs of the triangle.
        edge: what the product of all three exceeds one by at least, as a fraction.
    """

    market: int
    side: Side
    others: tuple[Leg, ...]
    edge: float


class Makers:
    """The quotes of an exchange as they stand.

    Attributes:
        values: by asset, its fair value now.
        shifts: the dislocations that hold now.
    """

    def __init__(self, shape: Shape, rng: np.random.Generator) -> None:
        self._shape = shape
        self._normals = _normals(rng)
        self.values: Floats = shape.values.copy()
        self.shifts: list[Shift] = []
        count = len(shape.markets)
        self._base, self._quote = shape.base.tolist(), shape.quote.tolist()
        self._moved = shape.moved.tolist()
        self._half_spread = shape.half_spread.tolist()
        self._dollars = shape.dollars_at_best.tolist()
        self._price_exponent = shape.price_exponent.tolist()
        self._amount_exponent = shape.amount_exponent.tolist()
        self._tick: list[float] = [10.0**exponent for exponent in self._price_exponent]
        self._step = [10.0**exponent for exponent in self._amount_exponent]
        # In ticks and steps; a fair price within low and high needs no new quote.
        self._bid, self._ask = [0] * count, [0] * count
        self._bid_size, self._ask_size = [0] * count, [0] * count
        self._low: Floats = np.zeros(count)
        self._high: Floats = np.zeros(count)
        ends = np.concatenate([shape.base, shape.quote])
        order = np.argsort(ends, kind="stable")
        splits = np.searchsorted(ends[order], np.arange(1, len(shape.assets)))
        self._of_asset = np.split(order % count, splits)
        for market in range(count):
            fair = self._fair(market)
            self._make(market, fair, fair)

    def steps(self, rate_per_second: float) -> list[float]:
        """By asset, the standard deviation of a relative move at a trade, so that a second's is the asset's own.

        Rare ones move by less than that: by at most 2 bps a trade.
        """
        shape = self._shape
        rates = rate_per_second * np.bincount(
            shape.moved, weights=shape.activity, minlength=len(shape.assets)
        )
        steps = np.full(len(shape.assets), _MAX_STEP)
        np.divide(shape.volatility, np.sqrt(rates), out=steps, where=rates > 0)
        clipped: list[float] = np.minimum(steps, _MAX_STEP).tolist()
        return clipped

    def trade(self, market: int, steps: list[float]) -> list[int]:
        """Move the value of the asset that is traded there, and quote the market anew.

        Returns the markets with a new quote, in the order in which they must be published. A dislocated one stands.
        """
        if any(shift.market == market for shift in self.shifts):
            return []
        asset = self._moved[market]
        old = float(self.values[asset])
        new = old * math.exp(steps[asset] * min(max(next(self._normals), -3.0), 3.0))
        around = self._of_asset[asset]
        self.values[asset] = new
        fair = self.values[self._shape.base[around]] / self.values[self._shape.quote[around]]
        behind = around[(fair < self._low[around]) | (fair > self._high[around])].tolist()
        changed = [each for each in behind if each != market]
        for each in changed:
            now = self._fair(each)
            before = now * old / new if self._base[each] == asset else now * new / old
            self._make(each, min(now, before), max(now, before))
        fair_here = self._fair(market)
        self._make(market, fair_here, fair_here)
        return [*changed, market]

    def dislocate(self, shift: Shift) -> None:
        """Let the quote of the shift's market follow the other legs of its triangle, once `follow` is called."""
        self.shifts.append(shift)
        self._low[shift.market], self._high[shift.market] = -math.inf, math.inf

    def restore(self, shift: Shift) -> list[int]:
        """End a dislocation; returns its market, which has a fair quote again."""
        self.shifts.remove(shift)
        fair = self._fair(shift.market)
        self._make(shift.market, fair, fair)
        return [shift.market]

    def follow(self) -> list[int]:
        """Quote dislocated markets anew where their triangle is below its edge; returns those."""
        changed = []
        for shift in self.shifts:
            others = math.prod(self._rate(*leg) for leg in shift.others)
            if others * self._rate(shift.market, shift.side) < 1 + shift.edge + GUARD / 2:
                self._follow(shift, (1 + shift.edge + GUARD) / others)
                changed.append(shift.market)
        return changed

    def _follow(self, shift: Shift, rate: float) -> None:
        market = shift.market
        tick, spread = self._tick[market], self._ask[market] - self._bid[market]
        if shift.side == Side.SELL:
            self._bid[market] = math.ceil(rate / tick)
            self._ask[market] = self._bid[market] + spread
        else:
            self._ask[market] = math.floor(1 / rate / tick)
            self._bid[market] = self._ask[market] - spread

    def _fair(self, market: int) -> float:
        return float(self.values[self._base[market]] / self.values[self._quote[market]])

    def _rate(self, market: int, side: Side) -> float:
        if side == Side.SELL:
            return self._bid[market] * self._tick[market]
        return 1 / (self._ask[market] * self._tick[market])

    def _make(self, market: int, low: float, high: float) -> None:
        """Quote `market` round the fair prices `low` to `high`, the bid rounded down, the ask up."""
        tick, normals = self._tick[market], self._normals
        half_spread = self._half_spread[market] * math.exp(_SPREAD_NOISE * next(normals))
        # Rounding adds half a tick to each side on average, which is taken off before.
        half_spread = max(half_spread - 0.5 * tick / low, _MIN_HALF_SPREAD)
        bid = math.floor(low * (1 - half_spread) / tick)
        ask = math.ceil(high * (1 + half_spread) / tick)
        self._bid[market], self._ask[market] = bid, ask
        self._low[market] = bid * tick * (1 + GUARD)
        self._high[market] = ask * tick * (1 - GUARD)
        steps = self._dollars[market] / float(self.values[self._base[market]]) / self._step[market]
        self._bid_size[market] = max(1, round(steps * math.exp(_SIZE_NOISE * next(normals))))
        self._ask_size[market] = max(1, round(steps * math.exp(_SIZE_NOISE * next(normals))))

    def quoted(self, market: int, now_ns: int) -> Quote:
        """The quote of a market as it stands, received at `now_ns`."""
        price, amount = self._price_exponent[market], self._amount_exponent[market]
        return Quote(
            self._shape.markets[market].symbol,
            Decimal(f"{self._bid[market]}E{price}"),
            Decimal(f"{self._ask[market]}E{price}"),
            Decimal(f"{self._bid_size[market]}E{amount}"),
            Decimal(f"{self._ask_size[market]}E{amount}"),
            now_ns,
            now_ns - DELAY_NS,
        )


def _normals(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.standard_normal(_BLOCK).tolist()
