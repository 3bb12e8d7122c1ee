"""The arrays of the monitor's kernel: what holds of them after any ticks, how large they are, and that they grow."""

import itertools
from array import array

import pytest

from triarb.exceptions import UsageError
from triarb.finders import (
    BoundedCycleFinder,
    CertifiedCycleMonitor,
    compiled as seam,
    layout,
    tracker,
)
from triarb.finders.compiled import is_installed
from triarb.finders.layout import RATES, RECORDS, TIGHT
from triarb.finders.tracker import Arc, Tracker
from triarb.market import FeeSchedule, RateTable, verify
from triarb.market.generator import GeneratedExchange
from triarb.model import Withdrawn

KERNELS = [False, True] if is_installed() else [False]


def made(markets: int, ticks: int, *, per_minute: float = 1000, max_legs: int = 4):
    """Trackers of one exchange, plain and compiled, its ticks, and those that it begins with."""
    exchange = GeneratedExchange(markets, seed=5, dislocations_per_minute=per_minute)
    snapshot = exchange.snapshot()
    assets = sorted({asset for m in snapshot.markets for asset in (m.base, m.quote)})
    number = {asset: i for i, asset in enumerate(assets)}
    arcs = [Arc(number[m.base], number[m.quote], 0.9998, 0.9998) for m in snapshot.markets]
    trackers = [
        Tracker(
            len(assets),
            arcs,
            min_legs=3,
            max_legs=max_legs,
            threshold=1.0,
            is_exact=False,
            compiled=c,
        )
        for c in KERNELS
    ]
    place = dict(zip((m.symbol for m in snapshot.markets), trackers[0].numbers, strict=True))

    def rows(quotes) -> array:
        return array(
            "d", (x for q in quotes for x in (place[q.symbol], float(q.bid), float(q.ask)))
        )

    begun, replayed = rows(snapshot.quotes), rows(itertools.islice(exchange.ticks(), ticks))
    for each in trackers:
        each.begin(begun)
    return trackers, replayed


def rooms(kept: Tracker) -> dict[int, float]:
    """By edge, by what factor it is from standing out."""
    floats, worths = kept.floats, kept.worths()
    return {
        2 * pair + way: worths[ends[way]]
        / (rate * worths[ends[1 - way]] * floats[layout.OVER_MARGIN])
        for pair, ends in enumerate(kept.ends)
        for way in (0, 1)
        if (rate := floats[RATES + 4 * pair + 2 + way])
    }


@pytest.mark.once
def test_plain_and_compiled_are_the_same_to_the_last_bit():
    """After thousands of turbulent ticks both arrays of both kernels are equal, cycles and work space included."""
    trackers, ticks = made(300, 4000)
    for each in trackers:
        each.run(each.view(ticks), 0, len(ticks) // 3)
        assert each.ints == trackers[0].ints
        assert each.floats == trackers[0].floats


@pytest.mark.once
def test_no_edge_stands_out_but_those_held_and_little_room_is_known():
    """Every few ticks: rooms, which pairs are tight, their places first among an asset's edges, and the lists."""
    (kept, *_), ticks = made(300, 3000)
    ints, seen = kept.ints, kept.view(ticks)
    listed = 0
    for first in range(0, len(ticks) // 3, 50):
        kept.run(seen, first, first + 50)
        held = set(kept.held())
        least = kept.floats[layout.TIGHT_ROOM]
        tight = {pair for pair in range(len(kept.ends)) if ints[RECORDS + 4 * pair + 2] & TIGHT}
        for edge, room in rooms(kept).items():
            assert room > 1 - 1e-13 or edge in held
            assert room > least * (1 - 1e-12) or edge >> 1 in tight
        for asset in range(ints[layout.VERTICES]):
            begin = ints[ints[layout.FIRST] + asset]
            end = ints[ints[layout.FIRST] + asset + 1]
            edges = ints[ints[layout.ADJACENT] :][begin:end]
            count = ints[ints[layout.TIGHT_COUNT] + asset]
            assert [edge >> 1 in tight for edge in edges] == [i < count for i in range(len(edges))]
        cycles = list(kept.cycles(layout.SURE, layout.BELOW))
        assert ints[layout.LISTED] == len(list(kept.cycles(layout.SURE)))
        assert ints[layout.UNSURE] == 0
        listed += len(cycles)
        entries = sum(len(kept.edges(cycle)) for cycle in cycles)
        assert entries <= 4096 - ints[layout.ENTRIES_LEFT]
    assert listed > 100


@pytest.mark.once
@pytest.mark.parametrize("markets", [1500, 5000])
def test_a_market_takes_less_than_a_kilobyte(markets: int):
    """Both arrays of eight legs, with the room for cycles that they begin with."""
    (kept, *_), _ = made(markets, 0, max_legs=8)
    size = len(kept.ints) * kept.ints.itemsize + len(kept.floats) * kept.floats.itemsize
    assert size < 1000 * markets


@pytest.mark.once
@pytest.mark.parametrize("compiled", KERNELS)
def test_room_is_made_for_cycles(compiled: bool, monkeypatch: pytest.MonkeyPatch):  # noqa: FBT001
    """Begun with room for one cycle of few legs, all are listed all the same, and the proof comes back."""
    monkeypatch.setattr(tracker, "_CYCLES", 2)
    monkeypatch.setattr(tracker, "_ENTRIES", 6)
    exchange = GeneratedExchange(100, seed=3, dislocations_per_minute=6000)
    snapshot = exchange.snapshot()
    fees = FeeSchedule.flat("0.5")
    fresh = RateTable(snapshot.markets, fees, snapshot.quotes)
    finder = BoundedCycleFinder(max_legs=4)
    monitor = CertifiedCycleMonitor(
        RateTable(snapshot.markets, fees, snapshot.quotes), max_legs=4, compiled=compiled
    )
    most = 0
    for tick in itertools.islice(exchange.ticks(), 600):
        fresh.update(tick)
        monitor.update(tick)
        assert monitor.cycles() == finder.find(fresh)
        most = max(most, len(monitor.cycles()))
    assert most > 10
    assert verify(monitor.certificate(), fresh) is None
    for market in snapshot.markets:
        monitor.update(Withdrawn(market.symbol))
    assert monitor.certificate().held == frozenset()


@pytest.mark.once
def test_making_room_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch):
    """Thousands of ticks in one call, begun with hardly any room: as with room from the beginning."""
    (roomy, *_), ticks = made(300, 4000)
    roomy.run(roomy.view(ticks), 0, len(ticks) // 3)
    monkeypatch.setattr(tracker, "_CYCLES", 2)
    monkeypatch.setattr(tracker, "_ENTRIES", 200)
    (tiny, *_), _ = made(300, 0)
    size = len(tiny.ints)
    tiny.run(tiny.view(ticks), 0, len(ticks) // 3)
    assert len(tiny.ints) > size
    assert tiny.ints[layout.STOPPED] == roomy.ints[layout.STOPPED] == len(ticks) // 3
    assert tiny.worths() == roomy.worths()

    def cycles(kept: Tracker) -> list[list[int]]:
        return sorted(sorted(kept.edges(cycle)) for cycle in kept.cycles(layout.SURE))

    assert cycles(tiny) == cycles(roomy)


def test_what_cannot_be_compiled_is_told(monkeypatch: pytest.MonkeyPatch):
    """Asked to compile where numba is not: an error with the way out; not asked, it runs plain."""
    monkeypatch.setattr(seam, "is_installed", lambda: False)
    table = RateTable([], FeeSchedule.flat(0))
    with pytest.raises(UsageError, match="numba"):
        CertifiedCycleMonitor(table, compiled=True)
    assert CertifiedCycleMonitor(table).cycles() == []
