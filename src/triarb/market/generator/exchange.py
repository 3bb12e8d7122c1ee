"""GeneratedExchange: its beginning as a snapshot, what happens on it as quotes over time, and what was planted in it."""

import heapq
import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import takewhile
from operator import itemgetter

import numpy as np

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.market.generator.dislocations import Dislocation, plant, turns
from triarb.market.generator.makers import Makers, Shift
from triarb.market.generator.shape import shape_of
from triarb.market.snapshot import Snapshot
from triarb.model import Quote
from triarb.money import BPS, arithmetic, parse_bps

MIN_MARKETS, MAX_MARKETS = 100, 100_000
MAX_DISLOCATIONS_PER_MINUTE = 6000
START_NS = 1_704_067_200 * NS_PER_SECOND
"""When a generated exchange begins unless told: midnight UTC of 1 January 2024."""

_BLOCK = 4096
_STREAM_SHAPE, _STREAM_QUOTES, _STREAM_TRADES, _STREAM_DISLOCATIONS = range(4)


class GeneratedExchange:
    """An exchange that never was: the same arguments give the same markets, quotes and dislocations (with one numpy).

    Whatever comes from it says so: the exchange is ``generated``, and the snapshot's source begins with that word.

    Args:
        markets: how many, 100 to 100,000.
        seed: which of all such exchanges.
        dislocations_per_minute: how many triangles go out of line, on average, less those few that would disturb one
            another. Binance showed 13 in its median minute. Most are smaller than three fees.
        taker_fee_bps: what the exchange says that it takes of a trade.
        start_ns: when it begins.

    Raises:
        UsageError: a number outside its bounds.
    """

    def __init__(
        self,
        markets: int = 500,
        *,
        seed: int = 0,
        dislocations_per_minute: float = 0.0,
        taker_fee_bps: str | float | Decimal = 10,
        start_ns: int = START_NS,
    ) -> None:
        if not MIN_MARKETS <= markets <= MAX_MARKETS:
            raise UsageError(
                f"an exchange of {markets} markets cannot be generated",
                hint=f"ask for {MIN_MARKETS} to {MAX_MARKETS}",
            )
        if seed < 0:
            raise UsageError(f"the seed is {seed}", hint="seeds are 0, 1, 2, ...")
        if not 0 <= dislocations_per_minute <= MAX_DISLOCATIONS_PER_MINUTE:
            raise UsageError(
                f"{dislocations_per_minute} dislocations a minute cannot be planted",
                hint=f"give 0 for none, 13 for as many as Binance showed, at most "
                f"{MAX_DISLOCATIONS_PER_MINUTE}",
            )
        with arithmetic():
            self._taker_fee = parse_bps(taker_fee_bps, "taker_fee_bps") / BPS
        self._seed = seed
        self._per_minute = dislocations_per_minute
        self._start_ns = start_ns
        self._shape = shape_of(markets, self._rng(_STREAM_SHAPE))
        self.source = f"generated: seed {seed}, {markets} markets"
        if dislocations_per_minute:
            self.source += f", {dislocations_per_minute:g} dislocations a minute"

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self._seed, stream]))

    def snapshot(self) -> Snapshot:
        """The exchange as it begins: nothing is out of line yet."""
        makers = Makers(self._shape, self._rng(_STREAM_QUOTES))
        return Snapshot(
            "generated",
            self._start_ns,
            self._shape.markets,
            tuple(makers.quoted(m, self._start_ns) for m in range(len(self._shape.markets))),
            self._taker_fee,
            source=self.source,
        )

    def ticks(
        self, seconds: float | None = None, *, rate_per_second: float = 200.0
    ) -> Iterator[Quote]:
        """What changes after `snapshot`, in order of time; each call begins anew.

        Args:
            seconds: for how long; None is for ever.
            rate_per_second: how many trades, on average, each with a new quote of its market; the quotes of markets
                that must follow, at the same instant, and those of dislocations come on top.

        Raises:
            UsageError: a number that is not positive.
        """
        if not 0 < rate_per_second < math.inf:
            raise UsageError(f"a rate of {rate_per_second} a second", hint="give a positive number")
        return self._ticks(self._end_ns(seconds), rate_per_second)

    def _ticks(self, end_ns: float, rate_per_second: float) -> Iterator[Quote]:
        makers = Makers(self._shape, self._rng(_STREAM_QUOTES))
        steps = makers.steps(rate_per_second)
        events: Iterator[tuple[int, int | Shift]] = heapq.merge(
            self._trades(rate_per_second), turns(self._planted()), key=itemgetter(0)
        )
        for now_ns, event in takewhile(lambda event: event[0] <= end_ns, events):
            changed: list[int] = []
            if not isinstance(event, Shift):
                changed = makers.trade(event, steps)
            elif event in makers.shifts:
                changed = makers.restore(event)
            else:
                makers.dislocate(event)
            for market in (*changed, *makers.follow()):
                yield makers.quoted(market, now_ns)

    def planted(self, seconds: float) -> list[Dislocation]:
        """The dislocations that begin in the first so many seconds of `ticks`, whatever its rate.

        Raises:
            UsageError: a number that is not positive.
        """
        end_ns = self._end_ns(seconds)
        told = (dislocation for dislocation, _ in self._planted())
        return list(takewhile(lambda dislocation: dislocation.from_ns <= end_ns, told))

    def _planted(self) -> Iterator[tuple[Dislocation, Shift]]:
        return plant(self._shape, self._rng(_STREAM_DISLOCATIONS), self._per_minute, self._start_ns)

    def _trades(self, rate_per_second: float) -> Iterator[tuple[int, int]]:
        """When and in which market, for ever."""
        rng = self._rng(_STREAM_TRADES)
        chances = np.cumsum(self._shape.activity)
        now_ns = self._start_ns
        while True:
            gaps = rng.exponential(NS_PER_SECOND / rate_per_second, _BLOCK).astype(np.int64) + 1
            markets = np.searchsorted(chances, rng.random(_BLOCK) * chances[-1], side="right")
            for gap, market in zip(gaps.tolist(), markets.tolist(), strict=True):
                now_ns += gap
                yield now_ns, market

    def _end_ns(self, seconds: float | None) -> float:
        if seconds is None:
            return math.inf
        if not 0 < seconds < math.inf:
            raise UsageError(
                f"{seconds} seconds cannot be generated", hint="give a positive number"
            )
        return self._start_ns + round(seconds * NS_PER_SECOND)
