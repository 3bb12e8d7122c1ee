"""FeeCheck: each fill's fee against what its plan counted on, and the policy that it feeds."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, strategies as st

from triarb.exceptions import UsageError
from triarb.market.charges import charge, predicted
from triarb.market.fee_check import charged_by, check_fees, check_fill
from triarb.model import (
    Approved,
    Execution,
    Fee,
    FeeCheck,
    FeeSide,
    Fill,
    Health,
    LegResult,
    Market,
    Order,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    Refused,
    Side,
)
from triarb.risk import AllOf, MaxFeeDrift, RiskLimits
from triarb.testing.risk import NOW_NS, check_risk_policy, example_opportunities
from triarb.testing.strategies import fees

D = Decimal
TEN_BPS = Fee(D("0.001"), Provenance.ACCOUNT)
TRIANGLE = example_opportunities()["a triangle of 100 bps"]


def fill(side=Side.BUY, price="100", amount="1", trade_id="1", symbol="BTC/USDT", **charged):
    base, quote = symbol.split("/")
    paid = {asset: D(size) for asset, size in charged.items()}
    return Fill(trade_id, "c", symbol, base, quote, side, D(price), D(amount), paid)


def execution(number, *fills, fee=TEN_BPS):
    """One leg a symbol, whose plan counted on `fee`."""
    legs, results = [], []
    for symbol in dict.fromkeys(one.symbol for one in fills):
        market = Market(symbol, *symbol.split("/"))
        amounts = dict.fromkeys(("given", "received", "worst_given", "worst_received"), D(1))
        legs.append(PlannedLeg(market, Side.BUY, D(1), D(100), fee, **amounts))
        own = tuple(one for one in fills if one.symbol == symbol)
        results.append(LegResult(Order("c", symbol, Side.BUY, D(1), D(100)), own, 0, 1))
    plan = Plan("x", "USDT", tuple(legs), D(1), D(0), (), D(50), 0)
    return Execution(number, plan, tuple(results), Outcome.COMPLETED, {}, {}, 0, 1)


prices = st.decimals("0.0001", "100000", places=4)
amounts = st.decimals("0.0001", "1000", places=4)


@given(fees(), st.sampled_from(Side), prices, amounts)
def test_what_is_charged_as_predicted_drifts_by_nothing(fee, side, price, amount):
    """Whatever the fee and its asset, the simulation's own charge is no drift, and not unexpected."""
    bare = fill(side, price, amount)
    asset, size = predicted(bare, fee)
    assert (asset, size) == charge(bare, fee)
    check = check_fill(attrs.evolve(bare, fees={asset: size}), fee)
    assert (check.drift, check.unexpected) == (0, ())
    assert check.charged == Fraction(price) * Fraction(amount) * Fraction(fee.rate)


@given(fees(), st.sampled_from(Side), st.integers(-50, 50))
def test_drift_is_what_was_charged_beyond_the_prediction(fee, side, bps):
    """Exactly, in whichever asset, and below zero where less was charged."""
    bare = fill(side)
    asset, size = predicted(bare, fee)
    more = size + (D(100) if asset == "USDT" else D(1)) * bps / 10_000
    charged = charged_by(execution(1, attrs.evolve(bare, fees={asset: more}), fee=fee))
    ((_, check),) = check_fees([charged]).items()
    assert check.drift_bps == check.last_drift_bps == bps
    assert check.charged_bps == fee.rate * 10_000 + bps


def test_the_rounding_of_an_exchange_is_no_drift():
    """A fee that is rounded at its eighth decimal is as predicted; a little more is not."""
    small = fill(price="2000", amount="0.00012345", ETH="0.00000012", symbol="ETH/USDT")
    assert check_fill(small, TEN_BPS).drift == 0
    more = attrs.evolve(small, fees={"ETH": D("0.00000015")})
    assert check_fill(more, TEN_BPS).drift > 0


def test_the_asset_that_was_not_expected():
    """The other side of the trade counts by its price, another asset by none; both are told."""
    given_ = check_fill(fill(USDT="0.1"), TEN_BPS)
    assert (given_.charged, given_.drift, given_.unexpected) == (Fraction(1, 10), 0, ("USDT",))
    token = check_fill(fill(BNB="0.1"), TEN_BPS)
    assert (token.charged, token.drift, token.unexpected) == (None, 0, ("BNB",))
    nothing = check_fill(fill(), TEN_BPS)
    assert (nothing.charged, nothing.drift) == (0, Fraction(-1, 10))
    in_quote = attrs.evolve(TEN_BPS, charged_in=FeeSide.QUOTE)
    assert check_fill(fill(USDT="0.1"), in_quote).unexpected == ()


def test_a_token_and_its_fallback():
    """Counted on, it is expected at its bid, and the full fee is a drift; not counted on, both are as expected."""
    plain = TEN_BPS.payable_in("BNB", D("0.00075"))
    counted = plain.with_token_at(D(5), D(6)).counting_on_token()
    paid, full = fill(BNB="0.015"), fill(BTC="0.001")
    both = fill(BNB="0.0075", BTC="0.0005")
    assert check_fill(paid, counted).drift == 0
    assert check_fill(full, counted).drift == Fraction(25, 1000)
    assert check_fill(both, counted).drift == Fraction(125, 10_000)
    assert check_fill(full, plain).drift == 0
    assert check_fill(paid, plain).charged is None
    assert check_fill(paid, plain.with_token_at(D(5), D(6))).drift == Fraction(-25, 1000)
    for one in (paid, full, both):
        assert check_fill(one, counted).unexpected == check_fill(one, plain).unexpected == ()


def test_fills_are_summed_by_market_and_by_their_size():
    """Drift is weighted by what was traded, the last execution's is told apart, and other markets' fills do not mix."""
    first = execution(1, fill(BTC="0.001"), fill(symbol="ETH/USDT", ETH="0.002"))
    last = execution(2, fill(amount="3", BTC="0.0045", trade_id="2"), fill(BNB="1", trade_id="3"))
    found = check_fees(map(charged_by, [first, last]))
    assert found == {
        "BTC/USDT": FeeCheck(3, D("13.75"), D("3.75"), ("BNB", "BTC"), 1, D(15), D(5), ("BNB",)),
        "ETH/USDT": FeeCheck(1, D(20), D(10), ("ETH",), 0, D(20), D(10)),
    }
    assert Health(fees=found).fee_drift_bps == D("5.3125")
    assert Health().fee_drift_bps is None
    assert check_fees([]) == {}


def test_a_trade_that_no_leg_of_the_plan_is_for_is_not_judged():
    """What was traded to get out of a stranded asset has no prediction."""
    done = execution(1, fill(BTC="0.001"))
    away = LegResult(
        Order("d", "BTC/EUR", Side.SELL, D(1), D(1)), (fill(symbol="BTC/EUR", EUR="9"),), 0, 1
    )
    assert set(charged_by(attrs.evolve(done, legs=(*done.legs, away)))) == {"BTC/USDT"}


# The policy


def ask(check, policy=None, opportunity=TRIANGLE):
    symbol = opportunity.cycle.legs[1].market.symbol
    portfolio = Portfolio(health=Health(fees={symbol: check}))
    return (policy or MaxFeeDrift(1)).review(opportunity, portfolio, NOW_NS)


def drifted(charged_bps, drift_bps, *unexpected):
    return FeeCheck(
        1, D(0), D(0), last_charged_bps=charged_bps and D(charged_bps),
        last_drift_bps=D(drift_bps), last_unexpected=unexpected,
    )  # fmt: skip


def test_a_drift_beyond_the_bound_refuses():
    """B3: risk.fee_drift with the market and its numbers; at the bound, and below the prediction, it passes."""
    refused = ask(drifted("7.5", "2.5"))
    assert isinstance(refused, Refused)
    assert refused.code == "risk.fee_drift"
    assert dict(refused.numbers) == {
        "symbol": TRIANGLE.cycle.legs[1].market.symbol,
        "charged_bps": D("7.5"),
        "drift_bps": D("2.5"),
        "max_fee_drift_bps": 1,
    }
    for passes in (drifted("6", "1"), drifted("0", "-5"), drifted(None, 0), drifted("9", "0")):
        assert ask(passes) == Approved(TRIANGLE)
    elsewhere = Portfolio(health=Health(fees={"no/where": drifted("50", "45")}))
    assert MaxFeeDrift(1).review(TRIANGLE, elsewhere, NOW_NS) == Approved(TRIANGLE)


def test_a_fee_that_now_says_what_was_charged_passes():
    """Once the prediction is mended nothing is held against it; the examples count on 5 bps."""
    legs = tuple(attrs.evolve(leg, fee=TEN_BPS) for leg in TRIANGLE.cycle.legs)
    mended = attrs.evolve(TRIANGLE, cycle=attrs.evolve(TRIANGLE.cycle, legs=legs))
    assert isinstance(ask(drifted("10", "5")), Refused)
    assert ask(drifted("10", "5"), opportunity=mended) == Approved(mended)


def test_a_counted_token_is_held_to_its_own_rate():
    """What a fallback charged is more than a fee that still counts on the token says, and not more than the full one."""
    token = TEN_BPS.payable_in("BNB", D("0.00075")).with_token_at(D(5), D(6))
    for fee, passes in ((token.counting_on_token(), False), (token, True)):
        legs = tuple(attrs.evolve(leg, fee=fee) for leg in TRIANGLE.cycle.legs)
        opportunity = attrs.evolve(TRIANGLE, cycle=attrs.evolve(TRIANGLE.cycle, legs=legs))
        answer = ask(drifted("10", "2.5"), opportunity=opportunity)
        assert isinstance(answer, Approved) is passes


def test_an_asset_that_no_plan_counted_on_refuses():
    """risk.fee_asset, until the fee names the token, or a person resumed."""
    refused = ask(drifted(None, 0, "BNB"))
    assert isinstance(refused, Refused)
    assert refused.code == "risk.fee_asset"
    assert refused.numbers["assets"] == "BNB"
    fee = TEN_BPS.payable_in("BNB", D("0.00075"))
    legs = tuple(attrs.evolve(leg, fee=fee) for leg in TRIANGLE.cycle.legs)
    told = attrs.evolve(TRIANGLE, cycle=attrs.evolve(TRIANGLE.cycle, legs=legs))
    assert ask(drifted(None, 0, "BNB"), opportunity=told) == Approved(told)


def test_the_usual_limits_hold_fees_to_their_word():
    """RiskLimits has it, at 1 bps unless told; no bound below zero, and none of nothing."""
    limits = RiskLimits(min_edge_bps=5, max_notional="1 USDT", max_daily_loss="1 USDT")
    assert MaxFeeDrift(1) in limits.policies().policies
    with pytest.raises(UsageError):
        RiskLimits(
            min_edge_bps=5, max_notional="1 USDT", max_daily_loss="1 USDT", max_fee_drift_bps=0
        )
    with pytest.raises(UsageError):
        MaxFeeDrift("much")


def test_the_policy_keeps_the_contract():
    """By the conformance check that everyone's own policies run."""
    check_risk_policy(MaxFeeDrift(1))
    check_risk_policy(AllOf(MaxFeeDrift("0.5")))
