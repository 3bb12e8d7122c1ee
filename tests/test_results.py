"""What limits are held against: results by day, by moment and since a peak, as the ledger adds them up."""

from decimal import Decimal

import attrs
from hypothesis import given, strategies as st

from triarb.clock import NS_PER_SECOND, utc_day
from triarb.ledger.results import KEPT_NS, NO_RESULTS, booked
from triarb.model import Execution, LegResult, Order, Outcome, Plan, Results, Side

DAY_NS = 86_400 * NS_PER_SECOND
NOON_NS = 1_600_000_000 * NS_PER_SECOND // DAY_NS * DAY_NS + DAY_NS // 2
PLAN = Plan("BTC>ETH>USDT", "USDT", (), Decimal(1), Decimal(0), (), Decimal(50), 0)


def ended(started_ns, ended_ns, start="USDT", symbols=("BTC/USDT",), **changes) -> Execution:
    legs = tuple(
        LegResult(Order("id", symbol, Side.BUY, Decimal(1), Decimal(1)), (), started_ns, ended_ns)
        for symbol in symbols
    )
    return Execution(
        1,
        attrs.evolve(PLAN, start=start),
        legs,
        Outcome.SHORT,
        {asset: Decimal(change) for asset, change in changes.items()},
        {},
        started_ns,
        ended_ns,
    )


def after(*executions: Execution) -> Results:
    results = NO_RESULTS
    for execution in executions:
        results = booked(results, execution)
    return results


def test_a_cycle_over_midnight_counts_on_both_days() -> None:
    """What it changed stands under the day that it started, what it left under the day that it ended."""
    midnight_ns = NOON_NS + DAY_NS // 2
    results = after(ended(midnight_ns - 1, midnight_ns + 1, USDT="-30", ETH="5"))
    before, day = utc_day(midnight_ns - 1), utc_day(midnight_ns)
    assert results.begun == {(before, "USDT"): -30, (before, "ETH"): 5}
    assert results.residues == {(day, "ETH"): 5}


def test_a_window_ends_where_it_is_asked_to() -> None:
    """What ended at the moment asked for is out, what ended a nanosecond later is in; assets of no change are left out."""
    results = after(
        ended(0, NOON_NS, USDT="-1", ETH="1"),
        ended(0, NOON_NS + 1, USDT="-2"),
        ended(0, NOON_NS + 1, USDT="-4"),
        ended(0, NOON_NS + 9, USDT="8", ETH="-1"),
    )
    assert results.since(NOON_NS - 1) == {"USDT": 1}
    assert results.since(NOON_NS) == {"USDT": 2, "ETH": -1}
    assert results.since(NOON_NS + 1) == {"USDT": 8, "ETH": -1}
    assert results.since(NOON_NS + 9) == {}
    assert NO_RESULTS.since(0) == {}


MOMENTS = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["USDT", "ETH"]), st.integers(-3, 3)),
    max_size=12,
)


@given(MOMENTS, st.integers(0, 24))
def test_a_window_of_a_day_is_the_sum_of_its_executions(moments, hours) -> None:
    """Whatever was forgotten of days past, the last 24 hours and more are the plain sum of what ended in them."""
    hour_ns = DAY_NS // 24
    executions = [
        ended(NOON_NS, NOON_NS + hour * hour_ns, **{asset: change})
        for hour, asset, change in sorted(moments)
    ]
    newest_ns = max((e.ended_ns for e in executions), default=NOON_NS)
    since_ns = newest_ns - DAY_NS - hours * hour_ns
    expected: dict[str, Decimal] = {}
    for execution in executions:
        for asset, change in execution.changes.items():
            if execution.ended_ns > since_ns:
                expected[asset] = expected.get(asset, Decimal(0)) + change
    assert after(*executions).since(since_ns) == {a: c for a, c in expected.items() if c}


def test_what_no_limit_looks_at_is_forgotten() -> None:
    """Days and moments long past go; the last total before them stays, so that sums hold."""
    results = after(
        *(ended(NOON_NS, NOON_NS + n, USDT="-1", ETH="1") for n in range(5)),
        ended(NOON_NS + 2 * KEPT_NS, NOON_NS + 2 * KEPT_NS, USDT="-1", ETH="1"),
    )
    day = utc_day(NOON_NS + 2 * KEPT_NS)
    assert {key[0] for key in (*results.residues, *results.begun)} == {day}
    assert results.totals["USDT"] == ((NOON_NS + 4, -5), (NOON_NS + 2 * KEPT_NS, -6))


def test_time_does_not_run_back_in_the_totals() -> None:
    """An execution that says it ended before the one booked before it counts no earlier than that one."""
    results = after(ended(0, NOON_NS, USDT="-1"), ended(0, NOON_NS - DAY_NS, USDT="-2"))
    assert results.since(NOON_NS - 1) == {"USDT": -3}


def test_a_peak_is_of_one_start_asset() -> None:
    """Changes count from where the results of their start asset stood highest; a new high of one leaves the other."""
    results = after(
        ended(0, NOON_NS, USDT="5", ETH="1"),
        ended(0, NOON_NS, USDT="-3", ETH="2", BNB="-1"),
        ended(0, NOON_NS, start="BTC", BTC="-7"),
        ended(0, NOON_NS, USDT="2"),
    )
    assert results.since_peak == {
        ("USDT", "USDT"): -1,
        ("USDT", "ETH"): 2,
        ("USDT", "BNB"): -1,
        ("BTC", "BTC"): -7,
    }
    higher = booked(results, ended(0, NOON_NS, USDT="1"))
    assert higher.since_peak == {("BTC", "BTC"): -7}


def test_the_last_end_is_kept_by_cycle_and_by_market() -> None:
    """Whatever came of it, a try of a cycle marks it and the markets that its orders went to."""
    results = after(
        ended(0, NOON_NS, symbols=("BTC/USDT", "ETH/BTC")), ended(0, NOON_NS + 5, symbols=())
    )
    assert results.last_ended == {
        "BTC>ETH>USDT": NOON_NS + 5,
        "BTC/USDT": NOON_NS,
        "ETH/BTC": NOON_NS,
    }
