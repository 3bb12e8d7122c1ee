"""The certificate: what it says is so, its check finds every lie, and the known answers of recorded exchanges."""

import itertools
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from hypothesis import event, given, strategies as st

from triarb.finders.potentials import holds_at_fee_bps, prove
from triarb.market import Certificate, FeeSchedule, RateTable, Snapshot, verify
from triarb.model import Fee, Market, Provenance, Quote
from triarb.testing.market import planted_triangle
from triarb.testing.strategies import exchanges, rate_tables

SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"


def table(fee_bps, *prices) -> RateTable:
    """A table of markets, each told as its symbol (a number behind a colon), bid and ask."""
    markets = [Market(s, *s.partition(":")[0].split("/")) for s, _, _ in prices]
    quotes = [Quote(s, Decimal(bid), Decimal(ask)) for s, bid, ask in prices]
    return RateTable(markets, FeeSchedule.flat(fee_bps), quotes)


def planted(fee_bps) -> RateTable:
    """The planted triangle: 1.01 before fees."""
    snapshot = planted_triangle()
    return RateTable(snapshot.markets, FeeSchedule.flat(fee_bps), snapshot.quotes)


def closed_walks(rates: RateTable) -> list[tuple[int, Fraction]]:
    """Legs and exact net rate of every simple cycle of any length, there and back on one market among them."""
    ratio = {
        (rates.tails[edge], rates.heads[edge]): rates.leg(edge).net_ratio
        for edge, rate in enumerate(rates.rates)
        if rate
    }
    count = len(rates.assets)
    return [
        (legs, math.prod(ratio[pair] for pair in pairs))
        for legs in range(2, count + 1)
        for order in itertools.permutations(range(count), legs)
        if order[0] == min(order)
        for pairs in [list(itertools.pairwise((*order, order[0])))]
        if all(pair in ratio for pair in pairs)
    ]


@pytest.mark.once
@given(rate_tables(max_assets=5, max_markets=10))
def test_a_proof_is_made_exactly_where_nothing_profits(rates: RateTable):
    """There is a certificate just where no cycle's exact rate beats one, of any length; and it verifies."""
    best = max((ratio for _, ratio in closed_walks(rates)), default=Fraction(0))
    certificate = prove(rates)
    event(f"proved: {certificate is not None}, a tie: {best == 1}")
    assert (certificate is not None) == (best <= 1)
    if certificate is not None:
        assert verify(certificate, rates) is None
        assert (certificate.slack, certificate.max_legs, certificate.held) == (0, None, frozenset())


@pytest.mark.once
@given(exchanges(max_assets=5, max_markets=10, sound=True))
def test_the_smallest_fee_is_that_of_the_best_cycle_by_leg(exchange):
    """Against every cycle: one minus the inverse of the largest geometric mean rate, and never below zero."""
    markets, _, quotes = exchange
    gross = RateTable(markets, FeeSchedule.flat(0), quotes)
    best = max((float(ratio) ** (1 / legs) for legs, ratio in closed_walks(gross)), default=1.0)
    fee_bps = holds_at_fee_bps(gross)
    assert fee_bps == pytest.approx(max(0.0, (1 - 1 / best) * 10_000), abs=1e-7)
    if fee_bps < 1000:
        above = RateTable(markets, FeeSchedule.flat(Decimal(f"{fee_bps + 1e-6:.9f}")), quotes)
        assert prove(above) is not None
    if 1e-6 < fee_bps < 1000:
        below = RateTable(markets, FeeSchedule.flat(Decimal(f"{fee_bps - 1e-6:.9f}")), quotes)
        assert prove(below) is None


@pytest.mark.skipif(
    not SNAPSHOTS.is_dir(), reason=f"the recorded snapshots are missing: {SNAPSHOTS}"
)
@pytest.mark.parametrize(
    ("file", "fee_bps", "places"),
    [
        ("binance_2019-08-22", 1.0417, 4),
        ("kucoin_2019-02-21", 7.20, 2),
        ("bitfinex_2019-11-01", 20.2, 1),
        ("okex_2020-03-27", 31.5, 1),
    ],
)
def test_recorded_exchanges_hold_at_the_known_fees(file: str, fee_bps: float, places: int):
    """The fee is the known one; a hair above it there is a proof that verifies, a hair below there is none."""
    snapshot = Snapshot.load(SNAPSHOTS / f"{file}.json")

    def rates(fee) -> RateTable:
        return RateTable(snapshot.markets, FeeSchedule.flat(fee), snapshot.quotes)

    told = holds_at_fee_bps(rates(0))
    assert round(told, places) == fee_bps
    certificate = prove(rates(Decimal(f"{told + 1e-4:.6f}")))
    assert certificate is not None
    assert verify(certificate, rates(Decimal(f"{told + 1e-4:.6f}"))) is None
    assert verify(certificate, rates(Decimal(f"{told - 1e-4:.6f}"))) is not None
    assert prove(rates(Decimal(f"{told - 1e-4:.6f}"))) is None


def test_the_planted_triangle_needs_a_third_of_its_edge():
    """1.01 over three legs: 1 - 1.01 ** (-1 / 3) in bps, from the arithmetic of the fixture."""
    assert holds_at_fee_bps(planted(0)) == pytest.approx(33.1128, abs=1e-4)
    assert prove(planted(33)) is None
    assert prove(planted("33.2")) is not None


def test_ties_are_decided_to_the_last_digit():
    """What earns nothing is proved at no fee; what earns 1e-20 is not, though no float can tell the two."""
    locked = [("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", "6", "6")]
    assert prove(table(0, *locked)) is not None
    hair = [("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", "6.0000000000000000001", "7")]
    assert prove(table(0, *hair)) is None
    assert prove(table("0.001", *hair)) is not None


def test_two_markets_of_one_pair_make_a_cycle():
    """Bought on one and sold on the other, 1 % apart: half of that a leg."""
    rates = table(0, ("A/B", "1.00", "1.00"), ("A/B:2", "1.01", "1.02"))
    assert prove(rates) is None
    assert holds_at_fee_bps(rates) == pytest.approx((1 - 1.01**-0.5) * 10_000)


def test_a_rebate_for_there_and_back_leaves_nothing_proved():
    """A locked market with a rebate has no potentials, though its two directions are no cycle."""
    assert prove(table(-1, ("A/B", "2", "2"))) is None
    assert prove(table(-1, ("A/B", "2", "2.001"))) is not None


def test_without_rates_all_is_proved():
    """No market, a market without a quote, and one whose fee takes all: nothing can profit."""
    fee = FeeSchedule(otherwise=Fee(Decimal(1), Provenance.OVERRIDE))
    taken = RateTable([Market("A/B", "A", "B")], fee, [Quote("A/B", Decimal(2), Decimal(3))])
    for rates in (table(0), RateTable([Market("A/B", "A", "B")], fee), taken):
        certificate = prove(rates)
        assert certificate is not None
        assert verify(certificate, rates) is None
    assert holds_at_fee_bps(table(0)) == 0.0


@pytest.mark.once
@given(exchanges(max_assets=5, max_markets=10), st.data())
def test_what_is_verified_is_so(exchange, data):
    """Whatever a certificate says, once it verifies, all cycles it speaks of keep to it."""
    rates = RateTable(*exchange)
    made = prove(rates)
    potentials = made.potentials if made else dict.fromkeys(rates.assets, 0.0)
    moved = data.draw(st.dictionaries(st.sampled_from(rates.assets), st.floats(-0.02, 0.02)))
    threshold = data.draw(st.sampled_from([0.0, 0.001, 0.05]))
    max_legs = data.draw(st.sampled_from([2, 3, 5]))
    certificate = Certificate(
        {asset: value + moved.get(asset, 0.0) for asset, value in potentials.items()},
        slack=math.nextafter(threshold / max_legs, 0),
        threshold=threshold,
        max_legs=max_legs,
    )
    fault = verify(certificate, rates)
    event(f"verified: {fault is None}")
    if fault is None:
        for legs, ratio in closed_walks(rates):
            if legs <= max_legs:
                assert ratio <= math.exp(threshold + legs * certificate.tolerance)


def test_a_broken_edge_is_named_and_can_be_held_aside():
    """The check names the edge, its market and side; held aside it is not asked, and the words say so."""
    certificate = prove(planted(50))
    assert certificate is not None
    assert str(certificate) == "no cycle of any length has an edge above 0 bps"
    moved = attrs.evolve(
        certificate, potentials={**certificate.potentials, "ETH": certificate.potentials["ETH"] - 1}
    )
    fault = verify(moved, planted(50))
    assert fault is not None
    assert fault.startswith("the edge from BTC to ETH (buy ETH/BTC) has a log rate 0.99")
    held = attrs.evolve(moved, held=frozenset({("BTC", "ETH"), ("USDT", "ETH")}))
    assert verify(held, planted(50)) is None
    assert str(held) == (
        "every cycle of any length with an edge above 0 bps passes through 2 edges held aside"
    )
    assert "1 edge held" in str(attrs.evolve(held, held=frozenset({("BTC", "ETH")})))


def test_both_of_two_parallel_markets_are_checked():
    """The proof of one market says nothing of a better one beside it."""
    one = table(10, ("A/B", "1.00", "1.01"))
    certificate = prove(one)
    assert certificate is not None
    assert verify(certificate, one) is None
    fault = verify(certificate, table(10, ("A/B", "1.00", "1.01"), ("A/B:2", "1.03", "1.04")))
    assert fault is not None
    assert "(sell A/B:2)" in fault


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"potentials": {"A": math.nan, "B": 0.0}}, "not finite"),
        ({"slack": math.inf}, "not finite"),
        ({"potentials": {"A": "0", "B": 0.0}}, "not finite"),
        ({"potentials": {"A": 10**400, "B": 0.0}}, "not finite"),
        ({"potentials": {"A": -5.0, "B": 0.0}, "tolerance": 9.0}, "a tolerance of 9"),
        ({"max_legs": 0}, "up to 0 legs"),
        ({"potentials": {"A": 0.0}}, "B of A/B has no potential"),
        ({"threshold": -0.1}, "below 0"),
        ({"slack": 0.1, "threshold": 1.0}, "any number of legs"),
        ({"slack": 0.1, "threshold": 0.2, "max_legs": 3}, "for 3 legs is above the threshold"),
    ],
)
def test_a_certificate_that_no_rates_could_make_true_is_refused(change, fault):
    """Numbers that are none, a threshold, slack, tolerance or length that proves nothing, an asset left out."""
    rates = table(10, ("A/B", "1", "1"))
    certificate = Certificate({"A": 0.0, "B": 0.0})
    assert verify(certificate, rates) is None
    told = verify(attrs.evolve(certificate, **change), rates)
    assert told is not None
    assert fault in told


def test_slack_speaks_of_cycles_up_to_its_length():
    """Rates up to 0.4 % above their potentials pass with that slack, and the words tell length and threshold."""
    rates = table(0, ("A/B", "1.004", "1.004"), ("B/C", "1", "1"), ("A/C", "1.001", "1.001"))
    flat = Certificate({"A": 0.0, "B": 0.0, "C": 0.0})
    assert verify(flat, rates) is not None
    slack = attrs.evolve(flat, slack=0.004, threshold=0.013, max_legs=3)
    assert verify(slack, rates) is None
    assert str(slack) == "no cycle of up to 3 legs has an edge above 130.849 bps"


def test_what_held_edges_stand_out_by_is_checked():
    """A sum that covers them proves the threshold for any length; one that does not, or that is none, is refused."""
    rates = table(0, ("A/B", "2", "2"), ("B/C", "3", "3"), ("A/C", "6.018", "6.02"))
    flat = {"A": -math.log(6), "B": -math.log(3), "C": 0.0}
    held = frozenset({("A", "C")})
    certificate = Certificate(flat, threshold=0.005, held=held, outstanding=math.log(1.003))
    assert verify(certificate, rates) is None
    assert certificate.proves_none
    assert str(certificate) == "no cycle of any length has an edge above 50.1252 bps"
    assert not attrs.evolve(certificate, threshold=0.001).proves_none
    assert not attrs.evolve(certificate, outstanding=math.inf).proves_none
    fault = verify(attrs.evolve(certificate, outstanding=0.002), rates)
    assert fault == "the edges held aside stand out by 0.003 together"
    for none in (math.nan, -0.1):
        assert "together" in (verify(attrs.evolve(certificate, outstanding=none), rates) or "")
