"""The monitor: after any changes what a fresh search and every cycle there is say, and proofs that hold."""

import itertools
import math
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.exceptions import UsageError
from triarb.finders import BoundedCycleFinder, CertifiedCycleMonitor, Verdict
from triarb.finders.compiled import is_installed
from triarb.market import Certificate, FeeSchedule, RateTable, verify
from triarb.market.generator import GeneratedExchange
from triarb.model import Market, Quote, Withdrawn
from triarb.money import arithmetic
from triarb.testing.finders import check_monitor
from triarb.testing.strategies import NAMES, exchanges, quotes


def closed_walks(rates: RateTable) -> list[tuple[tuple[int, ...], Fraction]]:
    """Edges and exact net rate of every simple cycle of any length, there and back on one market among them."""
    edges = {
        (rates.tails[edge], rates.heads[edge]): edge for edge, r in enumerate(rates.rates) if r
    }
    ratio = {edge: rates.leg(edge).net_ratio for edge in edges.values()}
    count = len(rates.assets)
    return [
        (walk, math.prod(ratio[edge] for edge in walk))
        for legs in range(2, count + 1)
        for order in itertools.permutations(range(count), legs)
        if order[0] == min(order)
        for pairs in [list(itertools.pairwise((*order, order[0])))]
        if all(pair in edges for pair in pairs)
        for walk in [tuple(edges[pair] for pair in pairs)]
    ]


@st.composite
def changes(draw, markets: list[Market], quoted: list[Quote]) -> Quote | Withdrawn:
    """What may become of a market: a quote about as before, crossed, one-sided, the very same, or none."""
    market, quote = draw(st.sampled_from(list(zip(markets, quoted, strict=True))))
    kind = draw(st.sampled_from(["quote"] * 6 + ["same", "withdrawn", "unknown"]))
    if kind == "withdrawn":
        return Withdrawn(market.symbol)
    if kind == "unknown":
        return Withdrawn("not/there")
    if kind == "same":
        return quote
    with arithmetic():
        fair = (quote.bid or quote.ask or Decimal(1)).normalize()
    return draw(quotes(market, fair.quantize(Decimal("1E-9")) or Decimal(1)))


KERNELS = [False, True] if is_installed() else [False]
"""Plain and, where numba is, compiled."""


def monitors(rates: RateTable, **question) -> list[CertifiedCycleMonitor]:
    """One monitor of each kind, each on a table of its own with the quotes of `rates`."""
    view = rates.view()
    tables = [
        RateTable(view.markets.values(), FeeSchedule(view.fees), view.quotes.values())
        for _ in KERNELS
    ]
    return [
        CertifiedCycleMonitor(table, compiled=compiled, **question)
        for table, compiled in zip(tables, KERNELS, strict=True)
    ]


@pytest.mark.once
@settings(max_examples=120, deadline=None)
@given(st.data())
def test_after_any_changes_it_answers_as_a_fresh_search(data):
    """Cycles, verdict and proof after each of some changes, plain and compiled, against a search and every cycle."""
    markets, fees, quoted = data.draw(exchanges(min_assets=3, max_assets=5, max_markets=10))
    min_legs = data.draw(st.integers(2, 3))
    question = {
        "min_legs": min_legs,
        "max_legs": data.draw(st.integers(min_legs, 6)),
        "min_edge_bps": data.draw(st.sampled_from(["0", "0", "0", "0.5", "20"])),
        "start": data.draw(st.sampled_from([(), (), NAMES[:1], NAMES[1:4]])),
    }
    finder = BoundedCycleFinder(**question)
    fresh = RateTable(markets, fees, quoted)
    kept = monitors(fresh, **question)
    for change in [None, *data.draw(st.lists(changes(markets, quoted), max_size=12))]:
        if change is not None:
            fresh.update(change)
        for monitor in kept:
            verdict = monitor.verdict if change is None else monitor.update(change)
            agrees(monitor, verdict, finder, fresh)
        assert len({str(sorted(m.certificate().potentials.items())) for m in kept}) == 1
        event(verdict)


def agrees(
    monitor: CertifiedCycleMonitor, verdict: Verdict, finder: BoundedCycleFinder, rates: RateTable
) -> None:
    """All that a monitor says is so, exactly, and its proof is there wherever one is."""
    found = finder.find(rates)
    assert monitor.cycles() == found
    assert monitor.verdict == verdict
    assert (verdict is Verdict.LISTED) == bool(found)

    certificate = monitor.certificate()
    assert verify(certificate, rates) is None
    walks = closed_walks(rates)
    legs, threshold = finder.criteria.max_legs, finder.criteria.threshold
    assert not certificate.proves_none or not found
    if verdict is Verdict.PROVED_NONE:
        assert certificate.proves_none
        assert certificate.max_legs is None
        assert all(ratio <= threshold for _, ratio in walks if certificate.held)
        assert all(ratio <= 1 for _, ratio in walks if not certificate.held)
    names = rates.assets
    held = {
        edge
        for edge, pair in enumerate(zip(rates.tails, rates.heads, strict=True))
        if (names[pair[0]], names[pair[1]]) in certificate.held
    }
    for walk, ratio in walks:
        if len(walk) <= legs and ratio > threshold:
            assert held.intersection(walk)
    if all(math.log(ratio) < -1e-9 for _, ratio in walks):
        assert not held
        assert verdict is Verdict.PROVED_NONE
    if all(math.log(ratio) < len(walk) * certificate.slack - 1e-9 for walk, ratio in walks):
        assert certificate.proves_none


@pytest.mark.once
@pytest.mark.parametrize("compiled", KERNELS)
def test_a_generated_exchange_is_followed_tick_by_tick(compiled):
    """Hundreds of ticks of sixty markets with planted dislocations: every answer as a fresh search gives it."""
    made = GeneratedExchange(100, seed=3, dislocations_per_minute=6000, taker_fee_bps="0.5")
    snapshot = made.snapshot()
    finder = BoundedCycleFinder(min_legs=2, max_legs=4)
    fresh = RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes)
    table = RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes)
    monitor = CertifiedCycleMonitor(table, min_legs=2, max_legs=4, compiled=compiled)
    seen = set()
    for number, tick in enumerate(itertools.islice(made.ticks(600), 3000)):
        fresh.update(tick)
        seen.add(monitor.update(tick))
        if number % 10 == 0:
            assert monitor.cycles() == finder.find(fresh)
            assert verify(monitor.certificate(), fresh) is None
    assert seen == {Verdict.PROVED_NONE, Verdict.LISTED}


@pytest.mark.once
@pytest.mark.parametrize("compiled", KERNELS)
def test_the_conformance_check_passes(compiled):
    """The default holds to the contract of a monitor."""
    check_monitor(partial(CertifiedCycleMonitor, compiled=compiled))


class Liar(CertifiedCycleMonitor):
    """A monitor that says what its `lies` hold, else the truth."""

    lies: ClassVar[dict[str, object]] = {}

    def update(self, change):
        told = super().update(change)
        return self.lies.get("verdict", told)

    def cycles(self):
        return self.lies.get("cycles", super().cycles())

    def certificate(self):
        return self.lies.get("certificate", super().certificate())


@pytest.mark.parametrize(
    ("lies", "told"),
    [
        ({"cycles": []}, "missing"),
        ({"verdict": Verdict.LISTED}, "with 0 cycles"),
        ({"verdict": Verdict.PROVED_NONE}, "with [1-9]"),
        ({"certificate": Certificate({})}, "the certificate does not hold: "),
    ],
)
def test_the_conformance_check_tells_what_is_wrong(lies, told, monkeypatch):
    """Cycles left out, a wrong verdict, and a certificate that proves nothing are each told."""
    monkeypatch.setattr(Liar, "lies", lies)
    with pytest.raises(AssertionError, match=told):
        check_monitor(Liar)


def test_the_conformance_check_wants_a_proof_to_be_one():
    """To say that none of any length is there, where there is a longer one than those asked for, is told."""

    class Bold(CertifiedCycleMonitor):
        def update(self, change):
            told = super().update(change)
            return Verdict.PROVED_NONE if told is Verdict.NONE_UP_TO_N else told

    with pytest.raises(AssertionError, match="proved that there is none, but there is "):
        check_monitor(Bold)


def triangle(fee_bps="0", **question) -> CertifiedCycleMonitor:
    """A > B > C > A at exactly one, both ways round, locked."""
    prices = {"A/B": "2", "B/C": "3", "A/C": "6"}
    markets = [Market(symbol, *symbol.split("/")) for symbol in prices]
    quoted = [Quote(symbol, Decimal(price), Decimal(price)) for symbol, price in prices.items()]
    return CertifiedCycleMonitor(RateTable(markets, FeeSchedule.flat(fee_bps), quoted), **question)


def at(symbol: str, bid: str, ask: str) -> Quote:
    return Quote(symbol, Decimal(bid), Decimal(ask))


def test_a_dead_cycle_does_not_block_the_proof():
    """Listed while it pays, none up to three legs while it only holds an edge, proved again once it is gone."""
    monitor = triangle("10")
    assert monitor.verdict is Verdict.PROVED_NONE
    assert monitor.update(at("A/C", "6.03", "6.04")) is Verdict.LISTED
    (cycle,) = monitor.cycles()
    assert cycle.id == "A>C>B"
    assert len(monitor.certificate().held) == 1
    assert monitor.update(at("B/C", "3.01", "3.02")) is Verdict.PROVED_NONE
    assert monitor.cycles() == []
    assert monitor.certificate().held == frozenset()
    assert monitor.update(Withdrawn("A/C")) is Verdict.PROVED_NONE
    assert monitor.update(at("A/C", "5.9", "5.91")) is Verdict.LISTED
    assert monitor.update(at("A/C", "7", "6.9")) is Verdict.PROVED_NONE  # crossed: it has no rate


def test_ties_are_exact():
    """What earns nothing is never listed; 1e-20 is; neither can be told by floats, so neither is proved."""
    monitor = triangle()
    assert monitor.verdict is Verdict.NONE_UP_TO_N
    assert monitor.update(at("A/C", "6.0000000000000000001", "6.1")) is Verdict.LISTED
    assert [cycle.id for cycle in monitor.cycles()] == ["A>C>B"]
    assert monitor.update(at("A/C", "6", "6.1")) is Verdict.NONE_UP_TO_N


def test_a_threshold_is_proved_while_all_that_stands_out_is_below():
    """30 bps over three legs stand out, but no cycle of any length beats 50 bps by them; the certificate says so."""
    monitor = triangle(min_edge_bps=50)
    assert monitor.update(at("A/C", "6.018", "6.02")) is Verdict.PROVED_NONE
    certificate = monitor.certificate()
    assert (certificate.max_legs, certificate.slack) == (None, 0)
    assert certificate.held
    assert certificate.threshold == math.log1p(0.005)
    assert certificate.outstanding == pytest.approx(math.log(6.018 / 6))
    assert str(certificate) == "no cycle of any length has an edge above 50 bps"
    assert verify(certificate, monitor.rates) is None
    assert monitor.update(at("A/C", "6.031", "6.04")) is Verdict.LISTED
    assert len(monitor.certificate().held) == 1
    assert monitor.certificate().max_legs == 3


def test_a_threshold_proves_up_to_the_asked_number_of_legs():
    """Two cycles of 30 bps stand out by 60 together: none of three legs beats 50, with a third of its log as slack."""
    prices = {"A/B": "2", "B/C": "3", "A/C": "6.018", "A/E": "2", "E/F": "3", "A/F": "6.018"}
    markets = [Market(symbol, *symbol.split("/")) for symbol in prices]
    quoted = [Quote(symbol, Decimal(price), Decimal(price)) for symbol, price in prices.items()]
    table = RateTable(markets, FeeSchedule.flat(0), quoted)
    monitor = CertifiedCycleMonitor(table, min_edge_bps=50)
    assert monitor.verdict is Verdict.NONE_UP_TO_N
    certificate = monitor.certificate()
    assert verify(certificate, table) is None
    assert certificate.max_legs == 3
    assert certificate.slack * 3 == pytest.approx(math.log1p(0.005))
    assert certificate.held == frozenset()


@pytest.mark.parametrize("edge_bps", ["0.7", "1", "3", "13", "77"])
def test_slack_never_proves_more_than_the_threshold(edge_bps):
    """However a threshold divides by its legs, the slack of all legs is not above it, or `verify` would say so."""
    for legs in range(2, 9):
        monitor = triangle(min_legs=2, max_legs=legs, min_edge_bps=edge_bps, compiled=False)
        monitor.update(at("A/C", "6.1", "6.1"))
        certificate = monitor.certificate()
        assert certificate.slack > 0
        assert verify(certificate, monitor.rates) is None


def test_below_zero_there_is_only_search():
    """A threshold below 0 bps is refused, with the way out."""
    with pytest.raises(UsageError, match="nothing is proved") as caught:
        triangle(min_edge_bps=-1)
    assert "BoundedCycleFinder" in caught.value.hint


def test_a_rebate_makes_no_cycle_of_one_market():
    """There and back on a locked market pays with a rebate; it is held aside, and never listed."""
    monitor = CertifiedCycleMonitor(
        RateTable([Market("A/B", "A", "B")], FeeSchedule.flat(-1), [at("A/B", "2", "2")]),
        min_legs=2,
    )
    assert monitor.verdict is Verdict.NONE_UP_TO_N
    assert len(monitor.certificate().held) == 1
    assert monitor.update(at("A/B", "2", "2.001")) is Verdict.PROVED_NONE


def test_two_rates_that_fall_can_make_a_cycle_of_two_markets():
    """With a rebate: there and back on one market is none; when another becomes the better one way, it is."""
    markets = [Market("A/B", "A", "B"), Market("A/B:2", "A", "B")]
    quoted = [at("A/B", "2", "2"), at("A/B:2", "1.9999", "2.001")]
    monitor = CertifiedCycleMonitor(
        RateTable(markets, FeeSchedule.flat(-10), quoted), min_legs=2, max_legs=2
    )
    assert monitor.verdict is Verdict.NONE_UP_TO_N
    assert monitor.update(at("A/B", "1.999", "2.0002")) is Verdict.LISTED
    (cycle,) = monitor.cycles()
    assert {leg.market.symbol for leg in cycle.legs} == {"A/B", "A/B:2"}


@pytest.mark.parametrize("compiled", KERNELS)
def test_assets_of_any_worth_are_followed(compiled):
    """Seven markets in a row at 10**30, which floats of worths cannot span: cycles are found, and the proof verifies."""
    names = "ABCDEFGH"
    markets = [Market(f"{a}/{b}", a, b) for a, b in itertools.pairwise(names)]
    markets += [Market("A/X", "A", "X"), Market("X/B", "X", "B")]
    quoted = [at(market.symbol, "1E30", "1.1E30") for market in markets[:7]]
    quoted += [at("A/X", "1E15", "1E15"), at("X/B", "1.2E15", "1.3E15")]
    fees = FeeSchedule.flat(0)
    fresh = RateTable(markets, fees, quoted)
    monitor = CertifiedCycleMonitor(RateTable(markets, fees), compiled=compiled)
    for quote in (*quoted, at("X/B", "0.9E15", "1.3E15")):
        fresh.update(quote)
        verdict = monitor.update(quote)
        assert verify(monitor.certificate(), monitor.rates) is None
        if quote == quoted[-1]:
            assert verdict is Verdict.LISTED
            assert [cycle.id for cycle in monitor.cycles()] == ["A>X>B"]
    assert verdict in (Verdict.PROVED_NONE, Verdict.NONE_UP_TO_N)
    assert monitor.cycles() == BoundedCycleFinder().find(fresh) == []
