"""Tracker: the arrays that the monitor's kernel works on, and its calls (see `triarb.finders.advance`)."""

import functools
import math
from array import array
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

import attrs

from triarb.finders import advance as kernel, layout, listing, seeking, worths
from triarb.finders.compiled import choose, compile_kernel, machine
from triarb.finders.layout import CYCLE_SIZE, ENTRY_SIZE, MARGIN, RATES, RECORDS, UNCERTAIN

_PARTS = (
    *(kernel.blocked_by, kernel.weigh, kernel.tell, kernel.take_in, kernel.best_of),
    *(listing.set_state, listing.judge, listing.remove, listing.forget, listing.recheck),
    *(listing.add, listing.search, listing.two_legs),
    *(seeking.slot_of, seeking.gain_of, seeking.set_out, seeking.following),
    *(worths.link, worths.unlink, worths.hold, worths.let_go, worths.mark, worths.move),
    *(worths.rise, worths.pop, worths.release),
)
_ONES = (layout.WORTH, layout.MOVE, layout.DRIFT)
_CYCLES, _ENTRIES = 512, 4096
_TIGHT_SHARE, _LEAST_ROOM, _MOST_ROOM = 0.1, 1e-6, 0.01


@attrs.frozen
class Arc:
    """A market as the kernel knows it.

    Attributes:
        base: the number of its base asset.
        quote: the number of its quote asset, another one.
        kept_of_sale: what the fee leaves of what a sale brings.
        kept_of_purchase: the same of a purchase.
    """

    base: int
    quote: int
    kept_of_sale: float
    kept_of_purchase: float


class Tracker:
    """The state of the kernel for some markets, none of which has a quote yet, and its calls.

    Attributes:
        numbers: by market as given, the number that ticks name it by.
        ends: by pair, its base and its quote.
        ints: see `triarb.finders.layout`.
        floats: likewise.
        advance: the kernel on both: takes ticks (see `view`), the first, and the one to end before; gives a code.
            It is another one once the arrays have grown.
    """

    __slots__ = ("_is_compiled", "advance", "ends", "floats", "ints", "numbers")

    def __init__(
        self,
        vertices: int,
        markets: Sequence[Arc],
        *,
        min_legs: int,
        max_legs: int,
        threshold: float,
        start: Collection[int] | None = None,
        is_exact: bool = True,
        compiled: bool | None = None,
    ) -> None:
        """Lay it out.

        Args:
            vertices: how many assets.
            markets: all of them.
            min_legs: at least 2.
            max_legs: at most 8.
            threshold: what the product of the rates of a cycle must exceed, at least 1.
            start: assets of which a cycle must have one; None for all cycles.
            is_exact: whether cycles that floats cannot judge are left open, or judged by floats.
            compiled: whether to compile the kernel; None if numba is there.

        Raises:
            UsageError: it is to be compiled, and numba is not there.
        """
        self._is_compiled = choose(compiled)
        self.numbers, self.ends = _number(vertices, markets)
        pairs = len(self.ends)
        records = max([pairs, *(number + 1 for number in self.numbers)])
        self.ints = ints = array("i", bytes(4 * (RECORDS + 4 * records)))
        self.floats = floats = array("d", bytes(8 * (RATES + 4 * records)))
        for part, size in _int_sizes(pairs, vertices):
            ints[part] = len(ints)
            ints.frombytes(bytes(4 * size))
        for part, size in (
            (layout.WORTH, vertices),
            (layout.MOVE, vertices),
            (layout.DRIFT, vertices),
            (layout.PRODUCT, 0),
        ):
            ints[part] = len(floats)
            floats.extend([1.0 if part in _ONES else 0.0] * size)
        ints[layout.PAIRS], ints[layout.VERTICES] = pairs, vertices
        ints[layout.SLOTS] = _slots(pairs)
        ints[layout.MIN_LEGS], ints[layout.MAX_LEGS] = min_legs, max_legs
        ints[layout.MODE] = layout.IS_EXACT if is_exact else 0
        ints[layout.STARTS] = start is not None
        for vertex in start or ():
            ints[ints[layout.IS_START] + vertex] = 1
        floats[layout.OVER_MARGIN] = 1 + MARGIN
        floats[layout.THRESHOLD] = threshold
        floats[layout.BAR] = threshold * (1 - UNCERTAIN)
        floats[layout.CERTAIN] = threshold * (1 + UNCERTAIN)
        self._connect()
        self._describe(markets)
        self.grow(_CYCLES, _ENTRIES)

    def view(self, numbers: "array[int] | array[float]") -> Any:
        """`numbers` as the kernel takes them, on the same memory."""
        return machine(compiled=self._is_compiled).array(numbers)

    def begin(self, ticks: "array[float]") -> None:
        """Take in the first ticks, at most one a market, and only then look for cycles."""
        self.suppose(ticks)
        self.run(self.view(ticks), 0, len(ticks) // 3)
        self.ints[layout.MODE] |= layout.SEARCHES
        searches = array("d", (x for edge in self.held() for x in (-edge - 1.0, 0.0, 0.0)))
        if searches:
            self.run(self.view(searches), 0, len(searches) // 3)

    def suppose(self, ticks: "array[float]") -> None:
        """Begin with worths that fit these ticks, at most one a market, without taking them in."""
        mids: dict[int, float] = {}
        for at in range(0, len(ticks), 3):
            number, bid, ask = int(ticks[at]), ticks[at + 1], ticks[at + 2]
            if layout.LEAST_PRICE < bid <= ask < layout.MOST_PRICE:
                mid = math.sqrt(bid) * math.sqrt(ask)
                if number >= len(self.ends):
                    record = RECORDS + 4 * number
                    number, mid = self.ints[record], 1 / mid if self.ints[record + 1] else mid
                mids[number] = mid
        self._spread(mids)
        self._look_within(self._least_rooms(ticks))
        kernel.weigh(self.ints, self.floats)

    def run(self, ticks: Any, first: int, end: int) -> int:
        """`advance`, with more room where it is needed; where it stopped stands in ``ints[STOPPED]``."""
        code: int = self.ints[layout.CODE]
        if not self.ints[layout.FULL]:
            code = self.advance(ticks, first, end)
        while self.ints[layout.FULL]:
            again = self.ints[layout.STOPPED] - 1
            self.ints[layout.FULL] = 0
            self.grow(
                len(self.floats) - self.ints[layout.PRODUCT],
                (self.ints[layout.CYCLE] - self.ints[layout.ENTRY]) // ENTRY_SIZE,
            )
            code = self.advance(ticks, again, end)
        return code

    def cycles(self, *states: int) -> Iterator[int]:
        """The numbers of the cycles that are in one of `states`."""
        ints, at = self.ints, self.ints[layout.CYCLE]
        for cycle in range(1, (len(ints) - at) // CYCLE_SIZE):
            if ints[at + CYCLE_SIZE * cycle] in states:
                yield cycle

    def edges(self, cycle: int) -> list[int]:
        """The edges of a cycle, in order."""
        ints, edges = self.ints, []
        entry = ints[ints[layout.CYCLE] + CYCLE_SIZE * cycle + 1]
        while entry:
            edges.append(ints[ints[layout.ENTRY] + ENTRY_SIZE * entry])
            entry = ints[ints[layout.ENTRY] + ENTRY_SIZE * entry + 4]
        return edges

    def settle(self, cycle: int, state: int) -> int:
        """Say of an open cycle that it is above the threshold, or below; gives the code then."""
        listing.set_state(self.ints, cycle, state)
        self.ints[layout.CODE] = kernel.tell(self.ints, self.floats)
        return self.ints[layout.CODE]

    def worths(self) -> Sequence[float]:
        """By vertex."""
        at = self.ints[layout.WORTH]
        return self.floats[at : at + self.ints[layout.VERTICES]]

    def held(self) -> list[int]:
        """The edges that are held aside."""
        at = self.ints[layout.HELD_EDGE]
        return sorted(self.ints[at : at + self.ints[layout.HELD]])

    def grow(self, cycles: int, entries: int) -> None:
        """Make room for so many more cycles and entries, and bind the kernel to the arrays then."""
        ints, at = self.ints, self.ints[layout.CYCLE]
        had_cycles = len(self.floats) - ints[layout.PRODUCT]
        had_entries = (at - ints[layout.ENTRY]) // ENTRY_SIZE
        self.ints = ints = (
            ints[:at]
            + array("i", bytes(4 * ENTRY_SIZE * entries))
            + ints[at:]
            + array("i", bytes(4 * CYCLE_SIZE * cycles))
        )
        self.floats = self.floats + array("d", bytes(8 * cycles))
        ints[layout.CYCLE] += ENTRY_SIZE * entries
        for entry in range(max(1, had_entries), had_entries + entries):  # 0 is none
            ints[ints[layout.ENTRY] + ENTRY_SIZE * entry + 4] = ints[layout.FREE_ENTRY]
            ints[layout.FREE_ENTRY] = entry
            ints[layout.ENTRIES_LEFT] += 1
        for cycle in range(max(1, had_cycles), had_cycles + cycles):
            ints[ints[layout.CYCLE] + CYCLE_SIZE * cycle + 1] = ints[layout.FREE_CYCLE]
            ints[layout.FREE_CYCLE] = cycle
            ints[layout.CYCLES_LEFT] += 1
        function = compile_kernel(kernel.advance, *_PARTS) if self._is_compiled else kernel.advance
        self.advance = functools.partial(function, self.view(ints), self.view(self.floats))
        self.advance(self.view(array("d", [0.0])), 0, 0)  # compiles, where it has not yet

    def _connect(self) -> None:
        """Write by vertex its edges."""
        ints = self.ints
        leaving: list[list[int]] = [[] for _ in range(ints[layout.VERTICES])]
        for pair, (base, quote) in enumerate(self.ends):
            leaving[base].append(2 * pair)
            leaving[quote].append(2 * pair + 1)
        for vertex, first in enumerate(accumulate(map(len, leaving), initial=0)):
            ints[ints[layout.FIRST] + vertex] = first
        for place, edge in enumerate(edge for edges in leaving for edge in edges):
            ints[ints[layout.ADJACENT] + place] = edge
            ints[ints[layout.PLACE] + edge] = place

    def _describe(self, markets: Sequence[Arc]) -> None:
        """Write the records of pairs and markets."""
        ints, floats = self.ints, self.floats
        for pair, (base, quote) in enumerate(self.ends):
            slot = ints[layout.PAIR_OF] + seeking.slot_of(ints, base, quote)
            ints[slot] = pair + 1
            ints[RECORDS + 4 * pair], ints[RECORDS + 4 * pair + 1] = base, quote
        shared: dict[frozenset[int], list[int]] = {}
        for number, market in zip(self.numbers, markets, strict=True):
            floats[RATES + 4 * number] = market.kept_of_sale
            floats[RATES + 4 * number + 1] = market.kept_of_purchase
            if number >= len(self.ends):
                shared.setdefault(frozenset((market.base, market.quote)), []).append(number)
                ints[RECORDS + 4 * number + 1] = market.base  # until its pair is known
        for pair, ends in enumerate(self.ends):
            ring = shared.get(frozenset(ends), [])
            for number, following in zip(ring, ring[1:] + ring[:1], strict=True):
                record = RECORDS + 4 * number
                ints[RECORDS + 4 * pair + 3] = ring[0]
                ints[record : record + 4] = array(
                    "i", (pair, ints[record + 1] != ends[0], 0, following)
                )

    def _spread(self, mids: dict[int, float]) -> None:
        """Give assets worths over the mid prices of pairs."""
        ints, floats = self.ints, self.floats
        firsts = ints[ints[layout.FIRST] : ints[layout.FIRST] + ints[layout.VERTICES] + 1]
        reached_all: set[int] = set()
        for root in sorted(range(len(firsts) - 1), key=lambda v: firsts[v] - firsts[v + 1]):
            reached = [] if root in reached_all else [root]
            reached_all.add(root)
            for u in reached:
                for place in range(firsts[u], firsts[u + 1]):
                    pair = ints[ints[layout.ADJACENT] + place] >> 1
                    base, quote = self.ends[pair]
                    v = base + quote - u
                    if pair in mids and v not in reached_all:
                        ratio = mids[pair] if u == quote else 1 / mids[pair]
                        worth = floats[ints[layout.WORTH] + u] * ratio
                        worth = min(max(worth, layout.LEAST_WORTH), layout.MOST_WORTH)
                        floats[ints[layout.WORTH] + v] = worth
                        reached_all.add(v)
                        reached.append(v)

    def _least_rooms(self, ticks: "array[float]") -> list[float]:
        """How far the more outstanding edge of each market is from standing out, as a log rate."""
        rooms = []
        for at in range(0, len(ticks), 3):
            number, bid, ask = int(ticks[at]), ticks[at + 1], ticks[at + 2]
            if number < len(self.ends) and layout.LEAST_PRICE < bid <= ask < layout.MOST_PRICE:
                base, quote = (self.floats[self.ints[layout.WORTH] + v] for v in self.ends[number])
                kept_of_sale, kept_of_purchase = self.floats[RATES + 4 * number :][:2]
                most = max(bid * kept_of_sale * quote / base, kept_of_purchase / ask * base / quote)
                rooms.append(-math.log(most) if most > 0.0 else math.inf)
        return rooms

    def _look_within(self, rooms: list[float]) -> None:
        """Say what is tight: the pairs of least room, so that they are few."""
        floats = self.floats
        room = sorted(rooms)[int(_TIGHT_SHARE * len(rooms))] if rooms else 0.0
        room = min(max(room, _LEAST_ROOM), _MOST_ROOM)
        floats[layout.TIGHT_ROOM] = math.exp(room)
        floats[layout.LOOSE_ROOM] = math.exp(2 * room)
        floats[layout.FAR_ROOM] = math.exp(4 * room)
        floats[layout.MAX_DRIFT] = math.exp(room / 2)


def _number(vertices: int, markets: Sequence[Arc]) -> tuple[list[int], list[tuple[int, int]]]:
    """The number of each market, and the ends of each pair: those of one hub one after the other."""
    of_pair: dict[frozenset[int], list[int]] = {}
    for place, market in enumerate(markets):
        of_pair.setdefault(frozenset((market.base, market.quote)), []).append(place)
    degree = [0] * vertices
    for ends in of_pair:
        for vertex in ends:
            degree[vertex] += 1
    order = sorted(of_pair, key=lambda ends: sorted((-degree[v], v) for v in ends))
    numbers = [0] * len(markets)
    sharing = len(order)
    ends_of = []
    for pair, ends in enumerate(order):
        first = markets[of_pair[ends][0]]
        ends_of.append((first.base, first.quote))
        for place in of_pair[ends]:
            if len(of_pair[ends]) == 1:
                numbers[place] = pair
            else:
                numbers[place] = sharing
                sharing += 1
    return numbers, ends_of


def _int_sizes(pairs: int, vertices: int) -> Iterator[tuple[int, int]]:
    """The parts of the integers and their sizes, in order."""
    yield layout.FIRST, vertices + 1
    yield layout.LIST, 2 * pairs + 1  # the last is of no edge
    for part in ("ADJACENT", "PLACE", "HELD_EDGE", "HELD_PLACE", "CHAIN"):
        yield getattr(layout, part), 2 * pairs
    yield layout.TODO, 2 * pairs + 2
    for part in ("TIGHT_COUNT", "BY_EDGE", "HEAP", "HEAP_PLACE", "MOVED", "IS_START"):
        yield getattr(layout, part), vertices
    yield layout.PAIR_OF, _slots(pairs)
    yield layout.ENTRY, 0
    yield layout.CYCLE, 0


def _slots(pairs: int) -> int:
    """How many slots: a power of two, half of them free."""
    return 1 << (2 * pairs + 1).bit_length()
