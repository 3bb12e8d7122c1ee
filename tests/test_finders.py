"""The finders: against an oracle that shares nothing with them, on real snapshots, and at their edges."""

import functools
import itertools
import random
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.exceptions import UsageError
from triarb.finders import BoundedCycleFinder, CycleFinder
from triarb.finders.reference import NetworkxCycleFinder
from triarb.market import FeeSchedule, RateTable, Snapshot
from triarb.model import Cycle, Fee, FeeSide, Market, Provenance, Quote, Side
from triarb.testing.strategies import NAMES, exchanges, rate_tables

SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"
NO_THRESHOLD = Decimal(-10_000)

MakeFinder = Callable[..., CycleFinder]
Exchange = tuple[list[Market], FeeSchedule, list[Quote]]
Answer = list[tuple[Fraction, str, tuple[str, ...]]]

PlainFinder = functools.partial(BoundedCycleFinder, compiled=False)
CompiledFinder = functools.partial(BoundedCycleFinder, compiled=True)

all_finders = pytest.mark.parametrize("make", [PlainFinder, CompiledFinder, NetworkxCycleFinder])


def oracle(
    exchange: Exchange, min_legs: int, max_legs: int, min_edge_bps: Decimal, start: Collection[str]
) -> Answer:
    """Exact rate, id and symbols of every cycle asked for, from the raw quotes, by trying every order of assets."""
    markets, fees, quotes = exchange
    quoted = {quote.symbol: quote for quote in quotes}
    better: dict[tuple[str, str], tuple[Fraction, str]] = {}
    for market in sorted(markets, key=lambda market: market.symbol):
        quote = quoted.get(market.symbol)
        fee = fees.by_symbol.get(market.symbol, fees.otherwise)
        if not market.active or quote is None or fee is None:
            continue
        if not quote.bid or not quote.ask or quote.bid > quote.ask:
            continue
        taken = Fraction(fee.rate)
        sold, bought = Fraction(quote.bid), 1 / Fraction(quote.ask)
        if fee.charged_in is FeeSide.GIVEN:
            sold, bought = sold / (1 + taken), bought / (1 + taken)
        elif fee.charged_in is FeeSide.QUOTE:
            sold, bought = sold * (1 - taken), bought / (1 + taken)
        else:
            sold, bought = sold * (1 - taken), bought * (1 - taken)
        for pair, rate in (
            ((market.base, market.quote), sold),
            ((market.quote, market.base), bought),
        ):
            if pair not in better or rate > better[pair][0]:
                better[pair] = (rate, market.symbol)
    answer = []
    for legs in range(min_legs, max_legs + 1):
        for names in itertools.permutations(sorted({name for name, _ in better}), legs):
            pairs = list(zip(names, names[1:] + names[:1], strict=True))
            if names[0] > min(names) or any(pair not in better for pair in pairs):
                continue
            rate = Fraction(1)
            for pair in pairs:
                rate *= better[pair][0]
            symbols = tuple(better[pair][1] for pair in pairs)
            if legs == 2 and symbols[0] == symbols[1]:
                continue
            if start and not any(name in start for name in names):
                continue
            if (rate - 1) * 10_000 > Fraction(min_edge_bps):
                answer.append((rate, ">".join(names), symbols))
    return sorted(answer, key=lambda entry: (-entry[0], entry[1]))


def told(cycles: Sequence[Cycle]) -> Answer:
    """The same of a finder's answer, whose cycles must begin in their smallest asset."""
    assert all(cycle.start == min(cycle.assets) for cycle in cycles)
    return [
        (cycle.net_ratio, cycle.id, tuple(leg.market.symbol for leg in cycle.legs))
        for cycle in cycles
    ]


def table(*quotes: tuple[str, str, str], fee_bps: str = "0") -> RateTable:
    """Rates of markets given as symbol, bid and ask; a symbol may end in ``:2`` to name a second market of a pair."""
    markets = [Market(symbol, *symbol.split(":")[0].split("/")) for symbol, _, _ in quotes]
    return RateTable(
        markets,
        FeeSchedule.flat(fee_bps),
        [Quote(symbol, Decimal(bid), Decimal(ask)) for symbol, bid, ask in quotes],
    )


def ids(cycles: Sequence[Cycle]) -> list[str]:
    """The ids of `cycles`, in order."""
    return [cycle.id for cycle in cycles]


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """What a finder may be asked: 2 to 6 legs, thresholds on both sides of zero, no to several starts."""
    max_legs = draw(st.integers(2, 6))
    thresholds = ["0", "0", "0.25", "10", "60"]
    if max_legs <= 5:
        thresholds += ["-20000", "-10000", "-150", "-20", "-0.5"]
    return {
        "min_legs": draw(st.integers(2, max_legs)),
        "max_legs": max_legs,
        "min_edge_bps": Decimal(draw(st.sampled_from(thresholds))),
        "start": draw(st.lists(st.sampled_from([*NAMES, "NOT TRADED"]), max_size=3)),
    }


@pytest.mark.once
@settings(max_examples=200, deadline=None)
@given(exchanges(min_assets=3), questions())
def test_all_finders_give_what_the_oracle_gives(
    exchange: Exchange, question: dict[str, Any]
) -> None:
    """Ids, order, exact rates and markets are those of a brute force over the raw quotes, in exact fractions."""
    expected = oracle(exchange, **question)
    event(f"cycles found: {bool(expected)}")
    rates = RateTable(*exchange)
    for make in (PlainFinder, CompiledFinder, NetworkxCycleFinder):
        assert told(make(**question).find(rates)) == expected
    for make in (PlainFinder, CompiledFinder):
        best = make(**question).best(rates)
        assert told([] if best is None else [best]) == expected[:1]


@pytest.mark.once
def test_random_exchanges_hold_profits_and_every_kind_of_market() -> None:
    """The property above is not empty: a third and more of what it draws has a cycle above one, some of more than three legs.

    Parallel, reversed, inactive, one-sided, locked and crossed markets are all among it.
    """
    longest, seen = [], set()

    @settings(max_examples=100, derandomize=True, database=None, deadline=None)
    @given(exchanges(min_assets=3))
    def draw(exchange: Exchange) -> None:
        markets, _, quotes = exchange
        pairs = [(market.base, market.quote) for market in markets]
        seen.update(RateTable(*exchange).refused)
        seen.update("locked" for quote in quotes if quote.bid == quote.ask)
        seen.update("parallel" for pair in pairs if pairs.count(pair) > 1)
        seen.update("reversed" for base, quote in pairs if (quote, base) in pairs)
        cycles = oracle(exchange, 2, 6, Decimal(0), ())
        longest.append(max((len(symbols) for _, _, symbols in cycles), default=0))

    draw()
    assert 3 * sum(legs > 0 for legs in longest) >= len(longest) >= 50
    assert max(longest) > 3
    assert seen >= {"parallel", "reversed", "locked"}
    assert seen >= {"market.inactive", "market.one_sided", "market.crossed"}


@pytest.mark.once
@settings(max_examples=30, deadline=None)
@given(exchanges(min_assets=8, max_assets=10, max_markets=25), st.sets(st.sampled_from(NAMES)))
def test_the_bounds_cut_nothing_off_in_larger_exchanges(
    exchange: Exchange, start: set[str]
) -> None:
    """With up to ten assets and eight legs, where brute force is too slow, all searches still agree."""
    question = {"min_legs": 2, "max_legs": 8, "start": start}
    rates = RateTable(*exchange)
    expected = NetworkxCycleFinder(**question).find(rates)
    for make in (PlainFinder, CompiledFinder):
        assert make(**question).find(rates) == expected


def test_the_bounds_cut_nothing_off_in_a_complete_exchange() -> None:
    """Eight assets that all trade with each other hold thousands of profitable cycles, and all searches find them."""
    chance = random.Random(8)
    quotes = []
    for base, quote in itertools.combinations("ABCDEFGH", 2):
        bid = Decimal(chance.randrange(9_800, 10_200)) / 10_000
        quotes.append((f"{base}/{quote}", str(bid), str(bid + Decimal("0.005"))))
    rates = table(*quotes)
    found = NetworkxCycleFinder(max_legs=8).find(rates)
    assert len(found) > 2_000
    for make in (PlainFinder, CompiledFinder):
        assert make(max_legs=8).find(rates) == found
        assert make(max_legs=8).best(rates) == found[0]


def _snapshot(name: str) -> Snapshot:
    """A recorded snapshot; skips where the folder is missing."""
    if not SNAPSHOTS.is_dir():
        pytest.skip("../shared/data/snapshots (recorded exchange snapshots) is not there")
    return Snapshot.load(SNAPSHOTS / f"{name}.json")


@pytest.mark.once
@pytest.mark.parametrize(
    ("name", "usable", "assets", "all_cycles", "above", "best", "best_rate"),
    [
        ("binance_2019-08-22", 546, 167, 1666, (3, 0, 0), "PAX>TUSD>USDT", "1.000099760"),
        ("okex_2020-03-27", 371, 146, 726, (23, 5, 4), "BTC>WXT>OKB", "1.008826867"),
        ("kucoin_2019-02-21", 394, 182, 530, (5, 1, 0), "BTC>NEO>XRP", "1.001952545"),
        ("bitfinex_2019-11-01", 423, 161, 766, (13, 1, 1), "KAN>USD>UST", "1.006094883"),
        ("gate_2017-11-23", 127, 65, 158, (8, 6, 2), "INK>QTUM>USDT", "1.013552128"),
        ("stex_2019-03-18", 363, 289, 166, (2, 2, 2), "LTC>ZEUS>USDT", "404159.491536993"),
    ],
)
def test_known_answers_of_recorded_snapshots(
    name: str,
    usable: int,
    assets: int,
    all_cycles: int,
    above: tuple[int, ...],
    best: str,
    best_rate: str,
) -> None:
    """Counts of 3-cycles, those above one at three fees, and the best one, are those on record; both finders agree."""
    snapshot = _snapshot(name)
    for fee_bps, count in zip((0, 5, 10), above, strict=True):
        rates = RateTable(snapshot.markets, FeeSchedule.flat(fee_bps), snapshot.quotes)
        found = BoundedCycleFinder().find(rates)
        assert len(found) == count
        if fee_bps == 0:
            everything = BoundedCycleFinder(min_edge_bps=NO_THRESHOLD).find(rates)
            assert (len(rates.usable), len(everything)) == (usable, all_cycles)
            assert len(rates.assets) >= assets
            assert (everything[0].id, str(round(everything[0].net_rate, 9))) == (best, best_rate)
            assert everything == NetworkxCycleFinder(min_edge_bps=NO_THRESHOLD).find(rates)
            assert everything[:count] == found


def test_longer_cycles_of_a_recorded_snapshot() -> None:
    """On a real exchange, through two start assets, cycles of 2 to 4 legs are those of the reference."""
    snapshot = _snapshot("gate_2017-11-23")
    rates = RateTable(snapshot.markets, FeeSchedule.flat(10), snapshot.quotes)
    question = {"min_legs": 2, "max_legs": 4, "min_edge_bps": Decimal(-50), "start": ["ETH", "BTC"]}
    found = BoundedCycleFinder(**question).find(rates)
    assert len(found) > 20
    assert all({"ETH", "BTC"} & set(cycle.assets) for cycle in found)
    assert found == NetworkxCycleFinder(**question).find(rates)


@all_finders
def test_the_threshold_is_strict_and_exact(make: MakeFinder) -> None:
    """A rate that equals the threshold is not above it, and one that no float can tell from it is."""
    balanced = table(("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", "6", "6"))
    assert make().find(balanced) == []
    rates = table(("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", "4.8", "4.8"))
    assert make().find(rates)[0].net_ratio == Fraction(5, 4)
    assert make(min_edge_bps=2500).find(rates) == []
    assert make(min_edge_bps="2500.00000000000000000001").find(rates) == []
    assert ids(make(min_edge_bps="2499.99999999999999999999").find(rates)) == ["A>B>C"]


@all_finders
def test_order_is_exact_where_floats_are_equal(make: MakeFinder) -> None:
    """The best exact rate is first even where floats are equal; exact ties go by id as text, where A1>B is before A>B."""
    rates = table(
        ("A/B", "1.01", "1.01"),
        ("A1/B", "1.01", "1.01"),
        ("Z/B", "1.01000000000000000000001", "1.02"),
        ("B/C", "1", "1"),
        ("A/C", "1", "1"),
        ("A1/C", "1", "1"),
        ("Z/C", "1", "1"),
    )
    assert ids(make().find(rates)) == ["B>C>Z", "A1>B>C", "A>B>C"]


@all_finders
def test_two_legs_need_two_markets(make: MakeFinder) -> None:
    """A pair is a cycle only over two markets that cross each other; a rebate on one locked market makes none."""
    crossing = table(("A/B", "1.02", "1.03"), ("A/B:2", "0.99", "1.00"))
    found = make(min_legs=2).find(crossing)
    assert ids(found) == ["A>B"]
    assert [(leg.market.symbol, leg.side) for leg in found[0].legs] == [
        ("A/B", Side.SELL),
        ("A/B:2", Side.BUY),
    ]
    assert make(min_legs=3).find(crossing) == []
    rebate = table(("A/B", "1", "1"), fee_bps="-10")
    assert make(min_legs=2, max_legs=2, min_edge_bps=NO_THRESHOLD).find(rebate) == []


@all_finders
def test_a_crossed_quote_is_a_fault_of_the_data(make: MakeFinder) -> None:
    """A bid above the ask of one market yields no cycle of any length, and leaves those around it alone."""
    crossed = table(("A/B", "1.5", "1.0"), ("A/C", "1", "1"), ("B/C", "1", "1"))
    assert make(min_legs=2, max_legs=4, min_edge_bps=NO_THRESHOLD).find(crossed) == []
    mended = table(("A/B", "1.0", "1.5"), ("A/C", "1", "1"), ("B/C", "1", "1"))
    assert len(make(min_edge_bps=NO_THRESHOLD).find(mended)) == 2


@all_finders
def test_start_keeps_cycles_through_any_of_its_assets(make: MakeFinder) -> None:
    """A start asset filters, it does not turn the cycle; one that is not traded finds nothing."""
    rates = table(
        ("A/B", "2", "2"),
        ("B/C", "3", "3"),
        ("A/C", "5", "5"),
        ("D/C", "1", "1"),
        ("D/B", "1", "1"),
    )
    found = make(start=["C"]).find(rates)
    assert ids(found) == ids(make().find(rates)) == ["B>C>D", "A>B>C"]
    assert ids(make(start=["A"]).find(rates)) == ["A>B>C"]
    assert ids(make(start={"A", "nothing"}).find(rates)) == ["A>B>C"]
    assert make(start=["nothing"]).find(rates) == []


@all_finders
def test_fees_that_leave_nothing_close_an_edge(make: MakeFinder) -> None:
    """A fee of all that a sale brings leaves no way through that market in that direction, threshold or none."""
    markets = [Market("A/B", "A", "B"), Market("A/C", "A", "C"), Market("B/C", "B", "C")]
    quotes = [Quote(market.symbol, Decimal(1), Decimal(1)) for market in markets]
    everything = Fee(Decimal(1), Provenance.OVERRIDE, FeeSide.QUOTE)
    rates = RateTable(
        markets, FeeSchedule({"A/B": everything}, Fee(Decimal(0), Provenance.OVERRIDE)), quotes
    )
    assert ids(make(min_edge_bps=NO_THRESHOLD).find(rates)) == ["A>C>B"]


@all_finders
def test_markets_without_cycles(make: MakeFinder) -> None:
    """No market, a star and a chain, whose dead ends fall one after the other, hold no cycle of three legs."""
    assert make().find(RateTable((), FeeSchedule.flat(0))) == []
    star = [(f"A{i}/Q", "1", "1") for i in range(5)]
    chain = [(f"B{i}/B{i + 1}", "1", "1") for i in range(20)]
    assert make(max_legs=5, min_edge_bps=NO_THRESHOLD).find(table(*star, *chain)) == []


@all_finders
@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"min_legs": 1}, "1 to 3 legs"),
        ({"min_legs": 4}, "4 to 3 legs"),
        ({"max_legs": 9}, "3 to 9 legs"),
        ({"max_legs": 6, "min_edge_bps": Decimal("-0.1")}, "at most 5 legs"),
        ({"min_edge_bps": float("nan")}, "min_edge_bps: 'nan' is not finite"),
        ({"min_edge_bps": "a little"}, "min_edge_bps: 'a little' is not a number"),
        ({"start": "USDT"}, "the text 'USDT'"),
        ({"max_legs": "3"}, "max_legs is '3'"),
        ({"max_legs": 3.5}, "max_legs is 3.5"),
        ({"start": [1]}, "start has 1"),
    ],
)
def test_questions_that_make_no_sense_are_refused(
    make: MakeFinder, question: dict[str, Any], said: str
) -> None:
    """Each is a UsageError that names the value, when the finder is made."""
    with pytest.raises(UsageError, match=said):
        make(**question)


@pytest.mark.once
@settings(max_examples=25, deadline=None)
@given(exchanges(sound=True))
def test_sound_exchanges_have_no_faulty_quote(exchange: Exchange) -> None:
    """With `sound`, every quote can be traded on and lies on its market's ticks."""
    for market, quote in zip(exchange[0], exchange[2], strict=True):
        assert quote.fault() is None
        if market.price_tick:
            assert quote.bid % market.price_tick == quote.ask % market.price_tick == 0


@settings(max_examples=20, deadline=None)
@given(rate_tables(min_assets=2, max_assets=3, max_markets=4))
def test_rate_tables_keep_to_their_bounds(rates: RateTable) -> None:
    """Tables are as small as asked for."""
    assert len(rates.assets) <= 3
    assert len(rates.view().markets) <= 4
