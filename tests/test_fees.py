"""Fee schedules: no market has a fee by default, and every fee knows where it is known from."""

import math
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from triarb.exceptions import UsageError
from triarb.market.fees import FeeSchedule
from triarb.model import Fee, FeeSide, Market, Provenance
from triarb.testing.strategies import fee_schedules, fees

SYMBOLS = ("A/B", "B/C", "C/A", "D/A")


def test_nothing_is_known_unless_told():
    """An empty schedule knows no fee of any market."""
    assert FeeSchedule().fee("A/B") is None
    assert FeeSchedule().provenances(SYMBOLS) == {}


@pytest.mark.parametrize(
    ("bps", "rate"),
    [
        (10, "0.001"),
        ("7.5", "0.00075"),
        (2.5, "0.00025"),
        (0, "0"),
        (Decimal("-2.5"), "-0.00025"),
        ("0.000000000000000001", "0.0000000000000000000001"),
        (1000, "0.1"),
        (-1000, "-0.1"),
    ],
)
def test_one_fee_for_all_is_the_users_word(bps: str | float | Decimal, rate: str):
    """Exactly a ten-thousandth of the bps, from what is received, for every market there is."""
    schedule = FeeSchedule.flat(bps, note="said so")
    fee = schedule.fee("any/thing")
    assert fee == Fee(Decimal(rate), Provenance.OVERRIDE, FeeSide.RECEIVED, "said so")
    assert schedule.provenances(SYMBOLS) == {"override": 4}


@given(st.integers(-(10**20), 10**20))
def test_a_fee_in_bps_is_divided_exactly(digits: int):
    """No digit that a person types is lost."""
    bps = Decimal(f"{digits}E-17")
    fee = FeeSchedule.flat(bps).fee("A/B")
    assert fee.rate == Decimal(f"{digits}E-21")


@pytest.mark.parametrize("bps", [1001, "-1000.0000001", "ten", math.nan, math.inf, None, True, ""])
def test_a_fee_that_makes_no_sense_is_refused(bps: object):
    """Not a number, or beyond 10 %, with a hint at what would do."""
    with pytest.raises(UsageError) as caught:
        FeeSchedule.flat(bps)
    assert caught.value.hint


@given(fees() | st.none())
def test_stated_fees_go_before_the_one_for_others(otherwise: Fee | None):
    """A market's own word, a rebate and a fee of zero too; where it states none, what holds otherwise."""
    markets = [
        Market("A/B", "A", "B", taker=Decimal("0.002")),
        Market("B/C", "B", "C", taker=Decimal(0)),
        Market("C/A", "C", "A", taker=Decimal("-0.0001")),
        Market("D/A", "D", "A"),
    ]
    schedule = FeeSchedule.stated(markets, otherwise)
    for market in markets[:3]:
        assert schedule.fee(market.symbol) == Fee(market.taker, Provenance.MARKET)
    assert schedule.fee("D/A") == otherwise
    assert schedule.fee("not/there") == otherwise


@given(fee_schedules(SYMBOLS), st.lists(st.sampled_from([*SYMBOLS, "E/F"])))
def test_provenances_count_the_markets_that_have_a_fee(schedule: FeeSchedule, symbols: list[str]):
    """By name of where it is from; markets without a fee are in none of the counts."""
    told = [fee for fee in map(schedule.fee, symbols) if fee is not None]
    assert schedule.provenances(symbols) == Counter(fee.provenance.value for fee in told)
    assert all(type(name) is str for name in schedule.provenances(symbols))
