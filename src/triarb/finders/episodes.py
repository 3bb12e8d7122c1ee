"""Episodes: how long cycles were profitable in recorded ticks, and how much they would have taken. For research.

Floats come in here and floats decide, unlike anywhere else: what floats cannot tell from the threshold (1e-13 of it) may be on
either side. Otherwise the answer is that of a fresh search after every tick.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from triarb.exceptions import UsageError
from triarb.finders import layout
from triarb.finders.criteria import TRUSTED, Criteria
from triarb.finders.layout import ENTRY_SIZE, RATES, RECORDS
from triarb.finders.tracker import Arc, Tracker
from triarb.market.fees import FeeSchedule
from triarb.market.rates import kept
from triarb.model import Market, Side

_ROWS = 1 << 18
"""How many ticks are taken in at once, so that memory does not grow with them."""


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"prices and sizes of ticks: {error}", hint="give numbers") from None


def _integers(values: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise UsageError(
            f"market and time_ns of ticks: an array of {array.dtype}", hint="give whole numbers"
        )
    return array.astype(np.int64, copy=False)


@attrs.frozen(eq=False, kw_only=True)
class Ticks:
    """Quotes in order of time, as arrays of one length; also columns of pandas or polars.

    Attributes:
        market: by tick, the place of its market among those given.
        bid: not a number, or 0, where there is none; like the next.
        ask: best ask.
        bid_size: in base units; not a number where it is not told, like the next.
        ask_size: in base units.
        time_ns: never falling.

    Raises:
        UsageError: an array that is not of numbers, a market or time that is no whole one, arrays of different
            lengths, or a time that falls.
    """

    market: NDArray[np.int64] = attrs.field(converter=_integers)
    bid: NDArray[np.float64] = attrs.field(converter=_floats)
    bid_size: NDArray[np.float64] = attrs.field(converter=_floats)
    ask: NDArray[np.float64] = attrs.field(converter=_floats)
    ask_size: NDArray[np.float64] = attrs.field(converter=_floats)
    time_ns: NDArray[np.int64] = attrs.field(converter=_integers)

    def __attrs_post_init__(self) -> None:
        shapes = {field.name: getattr(self, field.name).shape for field in attrs.fields(Ticks)}
        if len(set(shapes.values())) > 1 or len(self.market.shape) != 1:
            raise UsageError(f"ticks of shapes {shapes}", hint="give six arrays of one length")
        falls = np.flatnonzero(np.diff(self.time_ns) < 0)
        if len(falls):
            raise UsageError(
                f"the time of tick {falls[0] + 1} is before that of the one before",
                hint="sort the ticks by time",
            )

    def __len__(self) -> int:
        return len(self.market)

    def part(self, first: int, end: int) -> "Ticks":
        """The ticks from `first` to before `end`."""
        fields = attrs.fields(Ticks)
        return Ticks(**{field.name: getattr(self, field.name)[first:end] for field in fields})


@attrs.frozen
class Episode:
    """A time in which a cycle was above the threshold after every tick.

    Attributes:
        assets: its assets in order, from the one whose name is smallest.
        path: its legs as ``side symbol``, as they were at its best; from the same asset.
        start_ns: the time of the tick that brought it.
        end_ns: the time of the tick that ended it; None if it still held at the end.
        ticks: how many ticks bore on it, the first included.
        best_edge_bps: the largest net rate minus one, in bps.
        best_ns: when that was first so.
        size: what the tops of the books would have taken then, in the first asset; not a number where a size is not told.
    """

    assets: tuple[str, ...]
    path: tuple[str, ...]
    start_ns: int
    end_ns: int | None
    ticks: int
    best_edge_bps: float
    best_ns: int
    size: float

    @property
    def id(self) -> str:
        """As `Cycle.id`."""
        return ">".join(self.assets)

    def to_dict(self) -> dict[str, Any]:
        """One flat dictionary."""
        record = {"id": self.id, "legs": len(self.assets), "path": " ".join(self.path)}
        rest = attrs.asdict(self, filter=attrs.filters.exclude("assets", "path"))
        return {**record, **rest}


@attrs.define
class _Open:
    """An episode that goes on."""

    edges: tuple[int, ...]
    start_ns: int
    ticks: int = 0
    best: float = 0.0
    best_ns: int = 0
    best_at: int = -1
    """The number of the tick among those at hand; -1 once path and size are known."""
    path: tuple[str, ...] = ()
    size: float = np.nan


class Episodes:
    """The episodes of a stream of ticks, each told when it ends; those that still hold come last.

    It can be iterated once, and reads the ticks as it is: memory does not grow with them.
    """

    def __init__(self, episodes: Iterator[Episode]) -> None:
        self._episodes = episodes

    def __iter__(self) -> Iterator[Episode]:
        return self._episodes

    def records(self) -> list[dict[str, Any]]:
        """One flat dictionary an episode, for ``pandas.DataFrame(...)`` or ``polars.DataFrame(...)``."""
        return [episode.to_dict() for episode in self]


def episodes(
    markets: Sequence[Market],
    fees: FeeSchedule,
    ticks: Ticks | Iterable[Ticks],
    *,
    min_legs: int = 3,
    max_legs: int = 3,
    min_edge_bps: str | int | Decimal = 0,
    start: Collection[str] = (),
    compiled: bool | None = None,
) -> Episodes:
    """When which cycles were above the threshold, in ticks that were recorded or made up.

    A cycle's identity is its assets in order; where markets share a pair, each direction has the better one at the time.

    Args:
        markets: those that ticks name by their place; none has a quote before its first tick.
        fees: what they take; a market without a fee is left out.
        ticks: all of them, or chunks of them in order, which are read one after the other.
        min_legs: the fewest legs, at least 2; two legs need two different markets.
        max_legs: the most legs, at most 8.
        min_edge_bps: the net rate must be above one plus this; at least 0.
        start: assets of which a cycle must have one; empty for all cycles.
        compiled: whether to compile the work on a tick; None if numba is there.

    Raises:
        UsageError: as `CertifiedCycleMonitor`; while iterating, a market that is not there, or a chunk before the last.
    """
    criteria = Criteria(
        min_legs=min_legs, max_legs=max_legs, min_edge_bps=min_edge_bps, start=start
    )
    if criteria.min_edge_bps < 0:
        raise UsageError(
            f"below 0 bps ({criteria.min_edge_bps}) nearly every cycle counts",
            hint="ask for 0 bps or more",
        )
    recorder = _Recorder(markets, fees, criteria, compiled=compiled)
    return Episodes(recorder.run([ticks] if isinstance(ticks, Ticks) else ticks))


class _Recorder:
    """Follows the kernel from change to change."""

    def __init__(
        self,
        markets: Sequence[Market],
        fees: FeeSchedule,
        criteria: Criteria,
        *,
        compiled: bool | None,
    ) -> None:
        self._markets = markets
        self._assets = sorted(
            {asset for market in markets for asset in (market.base, market.quote)}
        )
        number = {asset: i for i, asset in enumerate(self._assets)}
        arcs: list[Arc] = []
        places: list[int] = []
        for place, market in enumerate(markets):
            fee = fees.fee(market.symbol)
            if market.active and fee is not None and market.base != market.quote:
                ends = number[market.base], number[market.quote]
                arcs.append(Arc(*ends, kept(fee.lowest, Side.SELL), kept(fee.lowest, Side.BUY)))
                places.append(place)
        start = criteria.start
        self._tracker = Tracker(
            len(number),
            arcs,
            min_legs=criteria.min_legs,
            max_legs=criteria.max_legs,
            threshold=float(criteria.threshold),
            start=[number[asset] for asset in start if asset in number] if start else None,
            is_exact=False,
            compiled=compiled,
        )
        self._number = np.full(len(markets), -1, np.int64)  # by place, that of the kernel
        self._number[places] = self._tracker.numbers
        self._place = dict(zip(self._tracker.numbers, places, strict=True))
        tails = [end for ends in self._tracker.ends for end in ends]
        self._tails = tails  # by edge, the asset given
        self._latest = np.full((len(markets), 4), np.nan)  # before the ticks at hand
        self._open: dict[tuple[int, ...], _Open] = {}
        self._through: dict[int, set[tuple[int, ...]]] = {}  # by pair, of those that are open
        self._begun = False

    def run(self, chunks: Iterable[Ticks]) -> Iterator[Episode]:
        last_ns = None
        for chunk in chunks:
            if len(chunk) and last_ns is not None and chunk.time_ns[0] < last_ns:
                raise UsageError("a chunk begins before the last one ended", hint="sort the ticks")
            wrong = (chunk.market < 0) | (chunk.market >= len(self._markets))
            if wrong.any():
                raise UsageError(
                    f"tick {np.argmax(wrong)} is of market {chunk.market[np.argmax(wrong)]}",
                    hint=f"markets are numbered from 0 to {len(self._markets) - 1}",
                )
            for first in range(0, len(chunk), _ROWS):
                yield from self._take_in(chunk.part(first, first + _ROWS))
            last_ns = chunk.time_ns[-1] if len(chunk) else last_ns
        for each in self._open.values():
            yield self._told(each, None)

    def _take_in(self, ticks: Ticks) -> Iterator[Episode]:
        """What ends in these few ticks."""
        keep = self._number[ticks.market] >= 0
        ticks = Ticks(**{f.name: getattr(ticks, f.name)[keep] for f in attrs.fields(Ticks)})
        numbers = self._number[ticks.market]
        rows = array("d", np.column_stack((numbers, ticks.bid, ticks.ask)).tobytes())
        by_market = _ByMarket(ticks)
        tracker = self._tracker
        if not self._begun:
            self._begun = True
            firsts = np.unique(ticks.market, return_index=True)[1]
            flat = np.column_stack((numbers, ticks.bid, ticks.ask))[firsts].ravel()
            tracker.suppose(array("d", flat.tobytes()))
            tracker.ints[layout.MODE] |= layout.SEARCHES | layout.STOPS_AT_CHANGES
        seen = tracker.view(rows)
        at = 0
        while at < len(ticks):
            before = tracker.ints[layout.CHANGES]
            tracker.run(seen, at, len(ticks))
            at = tracker.ints[layout.STOPPED]
            if tracker.ints[layout.CHANGES] != before:
                yield from self._changed(ticks, at - 1, by_market)
        for each in self._open.values():
            self._measure(each, by_market)
        self._latest[ticks.market] = by_market.values  # of several, the last stays

    def _changed(self, ticks: Ticks, at: int, by_market: "_ByMarket") -> Iterator[Episode]:
        """What the tick `at` changed of what is listed; all of it leads through its pair."""
        number, now_ns = int(self._number[ticks.market[at]]), int(ticks.time_ns[at])
        tracker = self._tracker
        pair = number
        if number >= len(tracker.ends):
            pair = tracker.ints[RECORDS + 4 * number]
        listed = self._listed(pair)
        for edges in sorted(self._through.get(pair, set()) - listed.keys()):
            ended = self._open.pop(edges)
            for edge in edges:
                self._through[edge >> 1].discard(edges)
            self._measure(ended, by_market)
            yield self._told(ended, now_ns)
        for edges, product in listed.items():
            each = self._open.get(edges)
            if each is None:
                each = self._open[edges] = _Open(edges, now_ns)
                for edge in edges:
                    self._through.setdefault(edge >> 1, set()).add(edges)
            each.ticks += 1
            if product > each.best * (1 + TRUSTED):
                each.best, each.best_ns, each.best_at = product, now_ns, at

    def _listed(self, pair: int) -> dict[tuple[int, ...], float]:
        """The cycles through a pair that are above the threshold now, and what they multiply to."""
        ints, floats = self._tracker.ints, self._tracker.floats
        found: dict[tuple[int, ...], float] = {}
        for edge in (2 * pair, 2 * pair + 1):
            entry = ints[ints[layout.LIST] + edge]
            while entry:
                at = ints[layout.ENTRY] + ENTRY_SIZE * entry
                entry = ints[at + 2]
                if ints[at + 1] < 0:
                    cycle = -ints[at + 1]
                    if ints[ints[layout.CYCLE] + layout.CYCLE_SIZE * cycle] == layout.SURE:
                        edges = self._from_smallest(self._tracker.edges(cycle))
                        found[edges] = floats[ints[layout.PRODUCT] + cycle]
        return found

    def _from_smallest(self, edges: list[int]) -> tuple[int, ...]:
        """`edges` begun at the asset of the smallest name."""
        given = [self._tails[edge] for edge in edges]
        first = given.index(min(given))
        return (*edges[first:], *edges[:first])

    def _measure(self, each: _Open, by_market: "_ByMarket") -> None:
        """Find out by which markets an episode was at its best, and with what size, while the ticks are at hand."""
        if each.best_at < 0:
            return
        product, size, path = 1.0, np.inf, []
        for edge in each.edges:
            rate, room, leg = max(
                (
                    self._offer(number, edge, each.best_at, by_market)
                    for number in self._offering(edge)
                ),
                key=lambda offer: offer[0],
            )
            path.append(leg)
            size = min(size, room / product) if room == room and size == size else np.nan  # noqa: PLR0124
            product *= rate
        each.path, each.size, each.best_at = tuple(path), float(size), -1

    def _offering(self, edge: int) -> list[int]:
        """The numbers of the markets of an edge's pair."""
        ints = self._tracker.ints
        first = ints[RECORDS + 4 * (edge >> 1) + 3]
        if not first:
            return [edge >> 1]
        numbers = [first]
        while (number := ints[RECORDS + 4 * numbers[-1] + 3]) != first:
            numbers.append(number)
        return numbers

    def _offer(
        self, number: int, edge: int, at: int, by_market: "_ByMarket"
    ) -> tuple[float, float, str]:
        """Rate, size in what is given, and name of a market's trade along an edge after tick `at`."""
        place = self._place[number]
        bid, bid_size, ask, ask_size = by_market.after(place, at, self._latest[place])
        market = self._markets[place]
        of_sale, of_purchase = self._tracker.floats[RATES + 4 * number : RATES + 4 * number + 2]
        if not 0.0 < bid <= ask:
            return 0.0, 0.0, ""
        if self._assets[self._tails[edge]] == market.base:
            return bid * of_sale, bid_size, f"{Side.SELL} {market.symbol}"
        return of_purchase / ask, ask_size * ask, f"{Side.BUY} {market.symbol}"

    def _told(self, each: _Open, end_ns: int | None) -> Episode:
        return Episode(
            tuple(self._assets[self._tails[edge]] for edge in each.edges),
            each.path,
            each.start_ns,
            end_ns,
            each.ticks,
            (each.best - 1) * 10_000,
            each.best_ns,
            each.size,
        )


class _ByMarket:
    """The ticks at hand, to look up what a market's last one was."""

    def __init__(self, ticks: Ticks) -> None:
        self.values = np.column_stack((ticks.bid, ticks.bid_size, ticks.ask, ticks.ask_size))
        self._order = np.argsort(ticks.market, kind="stable")
        self._sorted = ticks.market[self._order]

    def after(self, place: int, at: int, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bid, its size, ask and its size as they were after tick `at`."""
        first, end = np.searchsorted(self._sorted, (place, place + 1))
        found = np.searchsorted(self._order[first:end], at, side="right")
        return self.values[self._order[first + found - 1]] if found else otherwise
