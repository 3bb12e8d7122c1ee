"""The search compiled and not: the same answers, of the rates as they stand, without a wait and without numba."""

import gc
import pickle
import subprocess
import sys
import weakref
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.exceptions import UsageError
from triarb.finders import BoundedCycleFinder, compiled
from triarb.finders.arrangement import graph, has_rate, lay_out, list_triangles, triangles
from triarb.finders.kernel import join, search
from triarb.finders.reference import NetworkxCycleFinder
from triarb.market import FeeSchedule, RateTable, Snapshot
from triarb.market.generator import GeneratedExchange
from triarb.model import Fee, Market, Provenance, Quote, Withdrawn
from triarb.testing.strategies import NAMES, exchanges

SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"
KERNELS = (search, join, has_rate, lay_out, list_triangles)
Exchange = tuple[list[Market], FeeSchedule, list[Quote]]

both_modes = pytest.mark.parametrize("is_compiled", [False, True], ids=["plain", "compiled"])


def triangle_table() -> RateTable:
    """Three markets, one cycle of which brings a quarter."""
    prices = {"A/B": "2", "B/C": "3", "A/C": "4.8"}
    return RateTable(
        [Market(symbol, *symbol.split("/")) for symbol in prices],
        FeeSchedule.flat(0),
        [Quote(symbol, Decimal(price), Decimal(price)) for symbol, price in prices.items()],
    )


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """What a finder may be asked of a table that changes."""
    max_legs = draw(st.integers(2, 5))
    return {
        "min_legs": draw(st.integers(2, max_legs)),
        "max_legs": max_legs,
        "min_edge_bps": draw(st.sampled_from([Decimal(-10_000), Decimal(-20), Decimal(0)])),
        "start": draw(st.lists(st.sampled_from(NAMES), max_size=2)),
    }


@pytest.mark.once
@both_modes
@settings(max_examples=60, deadline=None)
@given(
    exchange=exchanges(min_assets=3),
    asked=st.lists(questions(), min_size=1, max_size=3),
    data=st.data(),
)
def test_an_answer_is_of_the_rates_as_they_stand(
    *, is_compiled: bool, exchange: Exchange, asked: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever markets come, change, fail and return between searches, the answer is that of a fresh table."""
    markets, fees, quotes = exchange
    rates = RateTable(markets, fees)
    standing: dict[str, Quote] = {}
    finders = [BoundedCycleFinder(**question, compiled=is_compiled) for question in asked]
    found = 0
    for _ in range(4):
        for quote in data.draw(st.lists(st.sampled_from(quotes), max_size=6), label="changed"):
            if data.draw(st.booleans(), label="withdrawn"):
                rates.update(Withdrawn(quote.symbol))
                standing.pop(quote.symbol, None)
            else:
                moved = attrs.evolve(quote, ask=quote.ask and quote.ask * Decimal("1.001"))
                standing[quote.symbol] = data.draw(st.sampled_from([quote, moved]), label="quote")
                rates.update(standing[quote.symbol])
        fresh = RateTable(markets, fees, standing.values())
        for finder, question in zip(finders, asked, strict=True):
            expected = NetworkxCycleFinder(**question).find(fresh)
            assert finder.find(rates) == expected
            assert finder.best(rates) == next(iter(expected), None)
            found += len(expected)
    event(f"cycles found: {found > 0}")


@both_modes
@pytest.mark.parametrize("max_legs", [3, 4])
def test_a_market_that_comes_to_life_after_a_search_is_searched(
    *, is_compiled: bool, max_legs: int
) -> None:
    """Nothing is found while one of three markets has no quote; the cycle, once it has one."""
    whole = triangle_table()
    rates = RateTable(whole.view().markets.values(), FeeSchedule.flat(0))
    finder = BoundedCycleFinder(max_legs=max_legs, compiled=is_compiled)
    assert finder.find(rates) == []
    for quote in whole.view().quotes.values():
        assert finder.find(rates) == []
        assert finder.best(rates) is None
        rates.update(quote)
    assert finder.find(rates) == finder.find(whole) != []


@both_modes
def test_a_rebate_there_and_back_does_not_hide_the_best(*, is_compiled: bool) -> None:
    """Two legs on one market, which a rebate pays for, are no cycle, and keep no real one from being the best."""
    view = triangle_table().view()
    rebate, none = Fee(Decimal("-0.2"), Provenance.OVERRIDE), Fee(Decimal(0), Provenance.OVERRIDE)
    fees = FeeSchedule({"B/C": rebate}, none)
    rates = RateTable(view.markets.values(), fees, view.quotes.values())
    there, back = (rates.leg(edge).net_ratio for edge in rates.edges("B/C"))
    assert there * back == Fraction("1.44")
    rates.update(Quote("A/C", Decimal("5.8"), Decimal("5.8")))
    finder = BoundedCycleFinder(min_legs=2, compiled=is_compiled)
    best = finder.best(rates)
    assert best is not None
    assert [best] == finder.find(rates)[:1]
    assert len(best.legs) == 3
    assert best.net_ratio < Fraction("1.44")


@pytest.mark.once
@both_modes
@pytest.mark.parametrize("max_legs", [3, 4])
def test_a_search_keeps_no_table_alive(*, is_compiled: bool, max_legs: int) -> None:
    """What a finder keeps of a table goes with it, and a finder can be pickled after a search."""
    rates = triangle_table()
    finder = BoundedCycleFinder(max_legs=max_legs, compiled=is_compiled)
    found = finder.find(rates)
    copied = pickle.loads(pickle.dumps(finder))
    assert copied.find(rates) == found
    alive = weakref.ref(rates)
    del rates
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize(
    "name",
    ["binance_2019-08-22", "okex_2020-03-27", "kucoin_2019-02-21", "bitfinex_2019-11-01"],
)
@pytest.mark.parametrize("start", [(), ("USDT",), ("BTC", "ETH")])
def test_real_snapshots_compiled_and_not(name: str, start: tuple[str, ...]) -> None:
    """On recorded exchanges, up to six legs, both ways of searching find the same and agree on the best."""
    if not SNAPSHOTS.is_dir():
        pytest.skip("../shared/data/snapshots (recorded exchange snapshots) is not there")
    snapshot = Snapshot.load(SNAPSHOTS / f"{name}.json")
    rates = RateTable(snapshot.markets, FeeSchedule.flat(2), snapshot.quotes)
    for max_legs in range(3, 7):
        plain = BoundedCycleFinder(max_legs=max_legs, start=start, compiled=False)
        fast = BoundedCycleFinder(max_legs=max_legs, start=start, compiled=True)
        found = plain.find(rates)
        assert fast.find(rates) == found
        assert plain.best(rates) == fast.best(rates) == next(iter(found), None)


def test_a_generated_exchange_compiled_and_not() -> None:
    """With every cycle of four legs above a threshold below zero, thousands, both find the same in the same order."""
    snapshot = GeneratedExchange(300, seed=3).snapshot()
    rates = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
    question: dict[str, Any] = {"min_legs": 2, "max_legs": 4, "min_edge_bps": -30}
    found = BoundedCycleFinder(**question, compiled=False).find(rates)
    assert len(found) > 1_000
    assert found == BoundedCycleFinder(**question, compiled=True).find(rates)


def test_no_search_waits_for_a_compiler() -> None:
    """Once a compiled finder is made, no search of any kind compiles anything more."""
    finders = [
        BoundedCycleFinder(min_legs=least, max_legs=most, start=start, compiled=True)
        for least, most in ((2, 2), (2, 5), (3, 3), (3, 8))
        for start in ((), ("A",))
    ]
    kernels = [compiled.compile_kernel(kernel) for kernel in KERNELS]
    before = [list(kernel.signatures) for kernel in kernels]
    rates = triangle_table()
    for table in (rates, RateTable((), FeeSchedule.flat(0))):
        for finder in finders:
            finder.find(table)
            finder.best(table)
    assert [kernel.signatures for kernel in kernels] == before
    assert all(len(signatures) == 1 for signatures in before)


def test_what_is_laid_out_is_small() -> None:
    """The arrays of both searches take less than a kilobyte a market."""
    snapshot = GeneratedExchange(1_500, seed=1).snapshot()
    rates = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
    runner = compiled.machine(compiled=True)
    layouts: list[Any] = [
        graph(rates, frozenset(), runner, without_dead_ends=True),
        graph(rates, frozenset(), runner, without_dead_ends=False),
        triangles(rates, frozenset(), runner),
    ]
    for layout in layouts:
        size = sum(part.nbytes for part in layout if not isinstance(part, int))
        assert 0 < size < 1_000 * len(snapshot.markets)


@pytest.mark.parametrize(("asked", "chosen"), [(None, False), (False, False)])
def test_without_numba_it_searches_as_python(
    monkeypatch: pytest.MonkeyPatch, *, asked: bool | None, chosen: bool
) -> None:
    """Where numba is not installed nothing is compiled unless it is asked for, which is refused with what mends it."""
    monkeypatch.setattr(compiled, "is_installed", lambda: False)
    finder = BoundedCycleFinder(compiled=asked)
    assert finder.compiled is chosen
    assert [cycle.id for cycle in finder.find(triangle_table())] == ["A>B>C"]
    with pytest.raises(UsageError, match="numba, which is not installed") as refused:
        BoundedCycleFinder(compiled=True)
    assert "triarb[fast]" in str(refused.value.hint)


def test_a_process_without_numba() -> None:
    """Where numba cannot be imported at all, a scan, a search and the best of it work, and nothing looks for it."""
    program = """
import sys
sys.modules["numba"] = None
from triarb import BoundedCycleFinder, FeeSchedule, RateTable, Snapshot, scan
snapshot = Snapshot.load("docs/example.json")
rates = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
finder = BoundedCycleFinder(max_legs=4)
assert not finder.compiled
assert finder.best(rates) == finder.find(rates)[0]
print(len(finder.find(rates)), scan(snapshot, max_legs=4, fee_bps=0).count)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["22", "22"]


@pytest.mark.once
def test_a_scan_loads_no_compiler() -> None:
    """One search is sooner done than numba is loaded, so that a scan leaves it alone; a compiled finder loads it."""
    program = """
import sys
from triarb import BoundedCycleFinder, scan
scan("docs/example.json")
print("numba" in sys.modules)
BoundedCycleFinder(compiled=True)
print("numba" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]


def test_a_kernel_that_no_folder_can_keep_is_compiled_all_the_same() -> None:
    """A function that has no file cannot be kept on disk; it is compiled for this process."""
    namespace: dict[str, Any] = {}
    exec("def twice(x):\n    return 2 * x\n", namespace)
    assert compiled.compile_kernel(namespace["twice"])(21) == 42
