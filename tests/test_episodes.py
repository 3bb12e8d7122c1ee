"""Episodes: against a fresh search after every tick, in chunks of any size, plain and compiled."""

import itertools
import math
from decimal import Decimal

import attrs
import numpy as np
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.exceptions import UsageError
from triarb.finders import BoundedCycleFinder
from triarb.finders.compiled import is_installed
from triarb.finders.episodes import Ticks, episodes
from triarb.market import FeeSchedule, RateTable
from triarb.market.generator import GeneratedExchange
from triarb.model import Market, Quote, Side, Withdrawn
from triarb.money import arithmetic

KERNELS = [False, True] if is_installed() else [False]


def ticks_of(markets: list[Market], quotes: list[Quote | Withdrawn]) -> Ticks:
    """The quotes as arrays."""
    place = {market.symbol: i for i, market in enumerate(markets)}

    def column(name: str) -> list[float]:
        values = (getattr(quote, name, None) for quote in quotes)
        return [math.nan if value is None else float(value) for value in values]

    return Ticks(
        market=[place[quote.symbol] for quote in quotes],
        bid=column("bid"),
        bid_size=column("bid_size"),
        ask=column("ask"),
        ask_size=column("ask_size"),
        time_ns=[quote.received_ns for quote in quotes],
    )


def chunks(ticks: Ticks, size: int) -> list[Ticks]:
    """The same ticks, so many at a time."""
    return [ticks.part(first, first + size) for first in range(0, len(ticks), size)]


def size_of(cycle, quotes: dict[str, Quote]) -> float:
    """What the tops of the books take of the first asset, one leg after the other."""
    most, rate = math.inf, 1.0
    for leg in cycle.legs:
        quote = quotes[leg.market.symbol]
        size = quote.ask_size if leg.side is Side.BUY else quote.bid_size
        if size is None:
            return math.nan
        room = float(size) * (float(quote.ask) if leg.side is Side.BUY else 1.0)
        most = min(most, room / rate)
        rate *= float(leg.net_ratio)
    return most


def by_fresh_searches(markets, fees, quotes, **question) -> list[dict]:
    """The slow answer: all cycles after every tick, and what came and went."""
    finder, table = BoundedCycleFinder(**question), RateTable(markets, fees)
    market_of = {market.symbol: market for market in markets}
    last: dict[str, Quote] = {}
    going: dict[str, dict] = {}
    ended = []
    for quote in quotes:
        table.update(quote)
        last[quote.symbol] = quote
        pair = {market_of[quote.symbol].base, market_of[quote.symbol].quote}
        found = {cycle.id: cycle for cycle in finder.find(table)}
        gone = going.keys() - found.keys()
        ended.extend({**going.pop(name), "end_ns": quote.received_ns} for name in gone)
        for name, cycle in found.items():
            each = going.setdefault(
                name,
                {"id": name, "start_ns": quote.received_ns, "end_ns": None, "ticks": 0, "best": 0},
            )
            if any({leg.given, leg.received} == pair for leg in cycle.legs):
                each["ticks"] += 1
            if cycle.net_ratio > each["best"]:
                path = " ".join(f"{leg.side} {leg.market.symbol}" for leg in cycle.legs)
                best = {"best": cycle.net_ratio, "best_ns": quote.received_ns}
                each.update(best, path=path, size=size_of(cycle, last), legs=len(cycle.legs))
    return [*ended, *going.values()]


def compare(told: list[dict], expected: list[dict]) -> None:
    """The same episodes, whatever their order within a tick."""

    def key(record):
        return record["id"], record["start_ns"]

    told, expected = sorted(told, key=key), sorted(expected, key=key)
    assert [key(record) for record in told] == [key(record) for record in expected]
    for one, other in zip(told, expected, strict=True):
        for name in ("end_ns", "ticks", "best_ns", "path", "legs"):
            assert one[name] == other[name], (name, one, other)
        assert one["best_edge_bps"] == pytest.approx(float(other["best"] - 1) * 10_000, abs=1e-8)
        assert one["size"] == pytest.approx(other["size"], nan_ok=True)


@pytest.mark.once
@pytest.mark.parametrize("compiled", KERNELS)
@pytest.mark.parametrize("chunk", [37, 5000])
def test_a_generated_exchange_has_the_episodes_of_fresh_searches(compiled, chunk):
    """A hundred markets with many dislocations: every episode as fresh searches tell it, in small and large chunks."""
    made = GeneratedExchange(100, seed=3, dislocations_per_minute=6000)
    snapshot = made.snapshot()
    fees = FeeSchedule.flat("0.7")
    quotes = [*snapshot.quotes, *itertools.islice(made.ticks(), 400)]
    question = {"max_legs": 4, "min_edge_bps": "1.3"}
    ticks = chunks(ticks_of(snapshot.markets, quotes), chunk)
    told = episodes(snapshot.markets, fees, ticks, compiled=compiled, **question).records()
    assert len(told) > 100
    compare(told, by_fresh_searches(snapshot.markets, fees, quotes, **question))


MARKETS = [
    Market(symbol, *symbol.partition(":")[0].split("/"))
    for symbol in ("A/B", "B/C", "A/C", "C/A:2", "A/B:2", "C/D", "A/D", "B/D")
]
VALUE = {"A": 7, "B": 3, "C": 11, "D": 2}


@st.composite
def quotes(draw) -> list[Quote | Withdrawn]:
    """Quotes of `MARKETS` about where they fit each other, some without a size, crossed, or withdrawn."""
    made = []
    for number in range(draw(st.integers(0, 25))):
        market = draw(st.sampled_from(MARKETS))
        off, width = draw(st.integers(-70, 70)), draw(st.sampled_from([1, 8, 20, -6]))
        with arithmetic():
            fair = Decimal(VALUE[market.base]) / VALUE[market.quote] / 10_000
            bid, ask = fair * (10_000 + off), fair * (10_000 + off + width)
        sizes = st.none() | st.decimals("0.1", "50", places=1)
        quote = Quote(market.symbol, bid, ask, draw(sizes), draw(sizes), number // 2)
        is_gone = draw(st.integers(0, 9)) == 9
        made.append(Withdrawn(market.symbol, number // 2) if is_gone else quote)
    return made


@pytest.mark.once
@settings(max_examples=60, deadline=None)
@given(quotes(), st.integers(2, 3), st.sampled_from([(), ("D",)]), st.integers(1, 30))
def test_any_ticks_have_the_episodes_of_fresh_searches(ticks, min_legs, start, chunk):
    """Markets that share a pair, that come late, cross and go: plain and compiled, in chunks, as fresh searches."""
    fees = FeeSchedule.flat("0.37")
    question = {"min_legs": min_legs, "max_legs": 4, "min_edge_bps": "0.9", "start": start}
    expected = by_fresh_searches(MARKETS, fees, ticks, **question)
    event(f"{min(len(expected), 3)} or more episodes")
    for compiled in KERNELS:
        parts = chunks(ticks_of(MARKETS, ticks), chunk)
        compare(episodes(MARKETS, fees, parts, compiled=compiled, **question).records(), expected)


def test_episodes_come_as_they_end():
    """An episode is told before the next chunk is read; the one that still holds at the end has no end."""

    def read():
        for bid in ("6.03", "6.00", "6.04"):
            made.append(bid)
            quoted = [("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", bid, "6.05")]
            yield ticks_of(
                list(MARKETS),
                [Quote(s, Decimal(b), Decimal(a), received_ns=len(made)) for s, b, a in quoted],
            )

    made: list[str] = []
    told = iter(episodes(MARKETS, FeeSchedule.flat(0), read(), compiled=False))
    first = next(told)
    assert len(made) == 2
    assert (first.id, first.start_ns, first.end_ns) == ("A>C>B", 1, 2)
    assert first.path == ("sell A/C", "buy B/C", "buy A/B")
    assert first.best_edge_bps == pytest.approx(50)
    assert [(each.start_ns, each.end_ns) for each in told] == [(3, None)]


def test_markets_that_cannot_be_traded_are_left_out():
    """Without a fee or inactive, a market's ticks are nothing."""
    markets = [*MARKETS[:2], attrs.evolve(MARKETS[2], active=False)]
    quoted = [("A/B", "2"), ("B/C", "3"), ("A/C", "7")]
    ticks = ticks_of(markets, [Quote(s, Decimal(p), Decimal(p)) for s, p in quoted])
    assert episodes(markets, FeeSchedule.flat(0), ticks, compiled=False).records() == []
    assert episodes(MARKETS, FeeSchedule(), ticks, compiled=False).records() == []


def some(**changed) -> Ticks:
    columns = {"market": [0, 1], "bid": [1, 2], "ask": [1, 2], "time_ns": [0, 1]}
    return Ticks(**{**columns, "bid_size": [1, 1], "ask_size": [1, 1], **changed})


def test_ticks_that_are_none_are_told():
    """Lengths that differ, times that fall within a chunk or between two, and a market that is not there."""
    with pytest.raises(UsageError, match="shapes"):
        some(bid=[1.0])
    with pytest.raises(UsageError, match="tick 1 is before"):
        some(time_ns=[1, 0])
    with pytest.raises(UsageError, match="before the last one"):
        episodes(MARKETS, FeeSchedule.flat(0), [some(), some()], compiled=False).records()
    with pytest.raises(UsageError, match="tick 1 is of market 8"):
        episodes(MARKETS, FeeSchedule.flat(0), some(market=[0, 8]), compiled=False).records()
    with pytest.raises(UsageError, match="below 0 bps"):
        episodes(MARKETS, FeeSchedule.flat(0), some(), min_edge_bps=-1)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"bid": ["x", 1]}, "could not convert"),
        ({"market": [0.5, 1]}, "an array of float64"),
        ({"time_ns": [math.nan, 1.0]}, "an array of float64"),
        ({"market": ["a", "b"]}, "give whole numbers"),
    ],
)
def test_columns_of_the_wrong_kind_are_told(change, fault):
    """A market that is half a number, a moment that is none, text: nothing is cut off to fit."""
    with pytest.raises(UsageError, match=fault):
        some(**change)


def test_nothing_is_an_answer():
    """No ticks, no episodes."""
    none = some(
        **{
            name: np.array([])
            for name in ("market", "bid", "ask", "time_ns", "bid_size", "ask_size")
        }
    )
    assert episodes(MARKETS, FeeSchedule.flat(0), none, compiled=False).records() == []
    assert list(episodes([], FeeSchedule.flat(0), [], compiled=False)) == []
