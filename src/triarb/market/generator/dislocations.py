"""Dislocations: triangles that are made to multiply to more than one for a while, and when.

Sizes and durations are those that were published of Binance over 24 hours in March 2024: a profit before fees of 19 bps
in the mean and 11 in the median, 0.44 s long in the mean, 57 ms in the median, 73 s at most; log-normal here.
"""

import heapq
import math
from collections.abc import Iterator
from decimal import Decimal

import attrs
import numpy as np

from triarb.clock import NS_PER_SECOND
from triarb.market.generator.makers import Leg, Shift
from triarb.market.generator.shape import Shape
from triarb.model import Side

_MEDIAN_SECONDS, _SPREAD_OF_SECONDS = 0.057, 2.02
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 73.0
_MEDIAN_EDGE_BPS, _SPREAD_OF_EDGE = 11.0, 1.045
_LEAST_EDGE_BPS, _MOST_EDGE_BPS = 0.2, 300.0


@attrs.frozen
class Dislocation:
    """A triangle that was made to multiply to more than one.

    Attributes:
        cycle_id: its assets in order, joined by ``>``, from the one whose name is smallest; as `Cycle.id`.
        symbol: the market whose quote is shifted; other cycles through it may be above one as well.
        side: what a taker does there.
        from_ns: from the quotes of this instant on it holds...
        until_ns: ...and from those of this one on no longer.
        edge_bps: what the product of its rates exceeds one by at least, before fees, at the end of every instant in
            between; rounding to the tick, and other makers who narrow their quotes, add to it.
    """

    cycle_id: str
    symbol: str
    side: Side
    from_ns: int
    until_ns: int
    edge_bps: Decimal


def plant(
    shape: Shape, rng: np.random.Generator, per_minute: float, start_ns: int
) -> Iterator[tuple[Dislocation, Shift]]:
    """Dislocations by the time they begin, for ever; none where none a minute are asked for.

    Busy markets have more of them. The triangle is the one of the tightest other legs, so that it is usually the best
    cycle through the shifted market. A dislocation is left out if one that still lasts has its market in its triangle, or
    the reverse, for then neither could keep its size.
    """
    if not per_minute:
        return
    third_assets = _Triangles(shape)
    chances = np.cumsum(shape.activity)
    now_ns = start_ns
    lasting: list[tuple[Dislocation, Shift]] = []
    while True:
        now_ns += 1 + int(rng.exponential(60 / per_minute) * NS_PER_SECOND)
        seconds = rng.lognormal(math.log(_MEDIAN_SECONDS), _SPREAD_OF_SECONDS)
        edge_bps = rng.lognormal(math.log(_MEDIAN_EDGE_BPS), _SPREAD_OF_EDGE)
        market = int(np.searchsorted(chances, rng.random() * chances[-1], side="right"))
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        lasting = [each for each in lasting if each[0].until_ns > now_ns]
        others = third_assets.tightest(market, side)
        if not others or any(_meet(market, others, shift) for _, shift in lasting):
            continue
        centibps = round(100 * min(max(edge_bps, _LEAST_EDGE_BPS), _MOST_EDGE_BPS))
        seconds = min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)
        told = Dislocation(
            third_assets.cycle_id((market, side), *others),
            shape.markets[market].symbol,
            side,
            now_ns,
            now_ns + int(seconds * NS_PER_SECOND),
            Decimal(f"{centibps}E-2"),
        )
        planted = (told, Shift(market, side, others, centibps / 1_000_000))
        lasting.append(planted)
        yield planted


def turns(
    planted: Iterator[tuple[Dislocation, Shift]],
) -> Iterator[tuple[int, Shift]]:
    """When a dislocation begins or ends, in order of time: each of them comes twice."""
    ends: list[tuple[int, int, Shift]] = []
    for number, (told, shift) in enumerate(planted):
        while ends and ends[0][0] <= told.from_ns:
            until_ns, _, ended = heapq.heappop(ends)
            yield until_ns, ended
        yield told.from_ns, shift
        heapq.heappush(ends, (told.until_ns, number, shift))


def _meet(market: int, others: tuple[Leg, ...], shift: Shift) -> bool:
    legs = {leg for leg, _ in others}
    return market == shift.market or shift.market in legs or market in {m for m, _ in shift.others}


class _Triangles:
    """Which triangles lead through a market."""

    def __init__(self, shape: Shape) -> None:
        self._assets = shape.assets
        self._half_spread = shape.half_spread.tolist()
        self._pairs = list(zip(shape.base.tolist(), shape.quote.tolist(), strict=True))
        self._legs: dict[int, dict[int, Leg]] = {}  # by asset given, by asset received
        for market, (base, quote) in enumerate(self._pairs):
            self._legs.setdefault(base, {})[quote] = (market, Side.SELL)
            self._legs.setdefault(quote, {})[base] = (market, Side.BUY)

    def tightest(self, market: int, side: Side) -> tuple[Leg, ...]:
        """The other two legs of the triangle whose other markets are tightest; empty if it is in none."""
        given, received = self._ends(market, side)
        thirds = self._legs[given].keys() & self._legs[received].keys()
        routes = [(self._legs[received][third], self._legs[third][given]) for third in thirds]
        return min(routes, key=self._width, default=())

    def _width(self, route: tuple[Leg, ...]) -> tuple[float, tuple[Leg, ...]]:
        return sum(self._half_spread[market] for market, _ in route), route

    def _ends(self, market: int, side: Side) -> tuple[int, int]:
        base, quote = self._pairs[market]
        return (quote, base) if side == Side.BUY else (base, quote)

    def cycle_id(self, *legs: Leg) -> str:
        """The name of the cycle over `legs`."""
        names = [self._assets[self._ends(*leg)[0]] for leg in legs]
        first = names.index(min(names))
        return ">".join((*names[first:], *names[:first]))
