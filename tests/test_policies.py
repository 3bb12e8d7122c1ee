"""The policies over slippage, amounts, pace, service and rows of losses: each refusal by its numbers, each bound by its worth."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.model import (
    Approved,
    Execution,
    FeeSide,
    Fill,
    Health,
    LegResult,
    Level,
    Opportunity,
    Order,
    OrderOutcome,
    Outcome,
    Plan,
    Portfolio,
    Refused,
    Results,
    Side,
)
from triarb.pricing import make_plan, most_profitable_depth
from triarb.pricing.sizes import Bounds
from triarb.risk import (
    Allowed,
    Cooldown,
    Denied,
    MaxAge,
    MaxConsecutiveLosses,
    MaxCycleLoss,
    MaxCyclesPerMinute,
    MaxDailyLoss,
    MaxDrawdown,
    MaxEdge,
    MaxExposure,
    MaxLatency,
    MaxLegs,
    MaxNotional,
    MaxPerAsset,
    MaxRejectRate,
    MaxResidue,
    MaxSkew,
    MaxSlippage,
    MinEdge,
    MinStrandedEdge,
    RemainingLossBudget,
    RiskLimits,
    RiskPolicy,
    TradingHours,
    beyond_slippage,
)
from triarb.testing.opportunities import CONFIRMED_NS, opportunities
from triarb.testing.risk import NOW_NS, example_opportunities

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]  # buys BTC/USDT, sells BTC/ETH, buys USDT/ETH
EMPTY = Portfolio()
MINUTE_NS = 60 * NS_PER_SECOND


def ask(policy: RiskPolicy, portfolio: Portfolio = EMPTY, opportunity: Opportunity = TRIANGLE):
    return policy.review(opportunity, portfolio, NOW_NS)


def refused(answer: Approved | Refused, code: str) -> dict[str, object]:
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert answer.sentence
    return dict(answer.numbers)


def nominated_at(*prices: str) -> Opportunity:
    """The triangle, its legs nominated at other prices than its books'."""
    legs = tuple(
        attrs.evolve(leg, price=Decimal(price))
        for leg, price in zip(TRIANGLE.cycle.legs, prices, strict=True)
    )
    return attrs.evolve(TRIANGLE, nominated=attrs.evolve(TRIANGLE.cycle, legs=legs))


def execution(
    number=1, ended_ns=NOW_NS, latency_ms=50, result="1", reason="", outcome=Outcome.COMPLETED
) -> Execution:
    plan = Plan("BTC>ETH>USDT", "USDT", (), Decimal(1), Decimal(0), (), Decimal(50), 0)
    order = Order("id", "BTC/USDT", Side.BUY, Decimal(1), Decimal(101))
    fill = Fill("1", "id", "BTC/USDT", "BTC", "USDT", Side.BUY, Decimal(1), Decimal(1), {})
    sent_ns = ended_ns - latency_ms * NS_PER_MS
    leg = LegResult(order, () if reason else (fill,), sent_ns, ended_ns, reason)
    changes = {"USDT": Decimal(result)}
    return Execution(number, plan, (leg,), outcome, changes, {}, sent_ns, ended_ns)


def after(*executions: Execution, **shown) -> Portfolio:
    return Portfolio(recent=executions, **shown)


# Prices


def test_slippage_is_of_the_price_that_nominated_it() -> None:
    """risk.slippage: a buy at 1 that was nominated at 0.99 slipped by 101.01 bps; the same the other way is no slippage."""
    now = [leg.price for leg in TRIANGLE.cycle.legs]
    assert [leg.side for leg in TRIANGLE.cycle.legs] == ["buy", "sell", "buy"]
    slipped = nominated_at("0.99", str(now[1]), str(now[2]))
    numbers = refused(ask(MaxSlippage(101), opportunity=slipped), "risk.slippage")
    assert numbers["symbol"] == "BTC/USDT"
    assert round(numbers["slippage_bps"], 2) == Decimal("101.01")
    assert isinstance(ask(MaxSlippage("101.02"), opportunity=slipped), Approved)
    sold = nominated_at(str(now[0]), "1.01", str(now[2]))
    assert refused(ask(MaxSlippage(99), opportunity=sold), "risk.slippage")["symbol"] == "BTC/ETH"
    better = nominated_at("1.5", "0.5", "1.5")
    assert isinstance(ask(MaxSlippage(0), opportunity=better), Approved)


def test_slippage_is_told_before_any_leg() -> None:
    """The same judgement of one leg at a price, for whoever is about to send it: exact at the limit."""
    one, worse = Decimal(1), Decimal("1.001")
    assert beyond_slippage("A/B", Side.BUY, one, worse, Decimal(10)) is None
    told = beyond_slippage("A/B", Side.BUY, one, worse, Decimal("9.999"))
    assert told is not None
    assert told.numbers["slippage_bps"] == 10
    assert beyond_slippage("A/B", Side.SELL, one, worse, Decimal(0)) is None
    assert beyond_slippage("A/B", Side.SELL, one, Decimal("0.999"), Decimal(10)) is None
    assert beyond_slippage("A/B", Side.SELL, one, Decimal("0.998"), Decimal(10)) is not None


@pytest.mark.parametrize(
    ("fee_in", "bids", "bound"),
    [
        (FeeSide.RECEIVED, 1200, Fraction("480.024")),
        (FeeSide.GIVEN, 1200, Fraction("480.024") * Fraction("1.0005")),
        (FeeSide.RECEIVED, 120, 120 * 2 / Fraction("0.9995")),
    ],
    ids=["the first leg", "the first leg and its fee", "the second leg"],
)
def test_what_the_levels_near_enough_take_is_the_bound(fee_in, bids, bound) -> None:
    """Within 1 bps of 2 are 120 at 2 and 120 at 2.0002 to buy, within 1 bps of 1.004 those at 1.004 to sell to."""
    two = EXAMPLES["two legs"]
    fee = attrs.evolve(two.cycle.legs[0].fee, charged_in=fee_in)
    legs = [attrs.evolve(leg, fee=fee) for leg in two.cycle.legs]
    legs[0] = attrs.evolve(legs[0], price=Decimal(2))
    cycle = attrs.evolve(two.cycle, legs=tuple(legs))
    levels = (("2", 120), ("2.0002", 120), ("2.0003", 9000)), (("1.004", bids), ("1.0038", 9000))
    asked, bidden = (tuple(Level(Decimal(p), Decimal(a)) for p, a in side) for side in levels)
    buy, sell = (two.books[leg.market.symbol] for leg in legs)
    books = {
        buy.symbol: attrs.evolve(buy, asks=asked),
        sell.symbol: attrs.evolve(sell, bids=bidden),
    }
    slipping = attrs.evolve(two, cycle=cycle, nominated=cycle, books=books)
    answer = ask(MaxSlippage(1), opportunity=slipping)
    assert 0 <= bound - Fraction(answer.max_amount) < Fraction(1, 10**18)


def test_what_the_last_leg_takes_is_told_in_the_start_asset() -> None:
    """USDT buy half as many BTC, sold for as many ETH, less 5 bps each: 120 at 0.988631 take so many, the next is too far."""
    first, second, third = TRIANGLE.cycle.legs
    first = attrs.evolve(first, price=Decimal(2))
    cycle = attrs.evolve(TRIANGLE.cycle, legs=(first, second, third))
    buy, sell, last = (TRIANGLE.books[leg.market.symbol] for leg in cycle.legs)
    assert last.asks[0] == Level(Decimal("0.988631"), Decimal(120))
    books = {
        buy.symbol: attrs.evolve(buy, asks=(Level(Decimal(2), Decimal(9000)),)),
        sell.symbol: attrs.evolve(sell, bids=(Level(Decimal(1), Decimal(9000)),)),
        last.symbol: last,
    }
    deep = attrs.evolve(TRIANGLE, cycle=cycle, nominated=cycle, books=books)
    bound = 120 * Fraction("0.988631") / (Fraction("0.9995") / 2 * Fraction("0.9995"))
    answer = ask(MaxSlippage(1), opportunity=deep)
    assert 0 <= bound - Fraction(answer.max_amount) < Fraction(1, 10**18)


@pytest.mark.once
@settings(max_examples=60)
@given(opportunities(), st.integers(0, 60))
def test_no_size_within_its_bound_slips_further(opportunity: Opportunity, bps: int) -> None:
    """Whatever the best size of the whole depth within the bound of MaxSlippage, each of its limits is near enough."""
    same = attrs.evolve(opportunity, nominated=opportunity.cycle)
    answer = MaxSlippage(bps).review(same, EMPTY, CONFIRMED_NS)
    assert isinstance(answer, Approved)
    bounds = Bounds(Decimal(10**6), answer.max_amount, None, Decimal(0), Decimal(100))
    sized = most_profitable_depth(same, bounds)
    if isinstance(sized, Refused):
        return
    for planned, leg in zip(sized.legs, same.cycle.legs, strict=True):
        worse = Fraction(planned.limit_price) / Fraction(leg.price) - 1
        assert (worse if leg.side is Side.BUY else -worse) * 10_000 <= bps


def test_an_edge_if_it_is_stranded() -> None:
    """risk.stranded_edge: the better of two ways back, 1 % worse than quoted and after fees, loses some 101 bps after leg 1."""
    numbers = refused(ask(MinStrandedEdge(-101)), "risk.stranded_edge")
    assert numbers["leg"] == 1
    assert round(numbers["edge_bps"], 2) == Decimal("-101.15")
    assert ask(MinStrandedEdge(-102)) == Approved(TRIANGLE)
    wide = ask(MinStrandedEdge(-220, gap_bps=200))
    assert wide == Approved(TRIANGLE, gap_bps=Decimal(200))
    assert isinstance(ask(MinStrandedEdge(-200, gap_bps=200)), Refused)


def test_the_edge_if_it_is_stranded_is_exact() -> None:
    """risk.stranded_edge: 0.9995 BTC that sell at 1.004, less 5 bps and 1 %, are 70.3371151 bps short: that much may be."""
    two = EXAMPLES["two legs"]
    assert isinstance(ask(MinStrandedEdge("-70.3371151"), opportunity=two), Approved)
    assert isinstance(ask(MinStrandedEdge("-70.337115"), opportunity=two), Refused)


@pytest.mark.once
@settings(max_examples=40)
@given(opportunities())
def test_the_stranded_edge_is_that_of_a_plan_before_rounding(opportunity: Opportunity) -> None:
    """A plan is never better off stranded than the edge says: rounding and depth only take away."""
    sized = most_profitable_depth(
        opportunity, Bounds(Decimal(10**6), None, None, Decimal(0), Decimal(100))
    )
    if isinstance(sized, Refused):
        return
    plan = make_plan(opportunity, sized.legs)
    spent = Fraction(plan.legs[0].worst_given)
    least = min(-Fraction(loss) / spent * 10_000 for loss in plan.stranded_losses)
    bps = Decimal(least.numerator // least.denominator)
    assert isinstance(MinStrandedEdge(bps).review(opportunity, EMPTY, CONFIRMED_NS), Approved)


# Amounts


def test_an_asset_in_the_middle_bounds_the_first_leg() -> None:
    """At most 2 ETH: as many USDT as bring no more than that at the books' best prices; the tightest of all holds."""
    first, second = TRIANGLE.cycle.legs[:2]
    answer = ask(MaxPerAsset(["2 ETH"]))
    exact = 2 / (first.net_ratio * second.net_ratio)
    assert 0 <= exact - Fraction(answer.max_amount) < Fraction(1, 10**17)
    assert ask(MaxPerAsset(["2 ETH", "1 USDT", "5 XRP"])) == Approved(
        TRIANGLE, max_amount=Decimal(1)
    )
    assert ask(MaxPerAsset(["5 XRP"])) == Approved(TRIANGLE)


def test_exposure_counts_what_is_out() -> None:
    """risk.exposure: what is reserved counts whole, and bounds what a new cycle may spend."""
    policy = MaxExposure("100 USDT")
    assert ask(policy) == Approved(TRIANGLE, max_amount=Decimal(100))
    out = Portfolio(reserved={"USDT": Decimal(70)})
    assert ask(policy, out) == Approved(TRIANGLE, max_amount=Decimal(30))
    numbers = refused(ask(policy, Portfolio(reserved={"USDT": Decimal(100)})), "risk.exposure")
    assert numbers == {"out": 100, "max_exposure": 100, "limit": "100 USDT"}
    other = Portfolio(reserved={"BTC": Decimal(1)})
    assert refused(ask(policy, other), "risk.currency")["asset"] == "USDT"


def test_residues_count_at_their_cost() -> None:
    """risk.residue: in the limit's own asset as they are; another asset's, held or owed, must be valued."""
    policy = MaxResidue("10 USDT")
    assert ask(policy, Portfolio(residues={"USDT": Decimal(10)})) == Approved(TRIANGLE)
    numbers = refused(ask(policy, Portfolio(residues={"USDT": Decimal(11)})), "risk.residue")
    assert numbers == {"residue": 11, "max_residue": 10, "limit": "10 USDT"}
    for amount in (1, -1):
        refused(ask(policy, Portfolio(residues={"ETH": Decimal(amount)})), "risk.currency")


def test_a_cycle_may_lose_so_much() -> None:
    """A bound on the loss wherever it is stranded."""
    assert ask(MaxCycleLoss("3 USDT")) == Approved(TRIANGLE, max_loss=Decimal(3))
    refused(ask(MaxCycleLoss("3 EUR")), "risk.currency")


def test_the_loss_budget_shrinks_with_legs_and_losses() -> None:
    """A third of the notional for three legs, a tenth of what may still be lost; too little is refused, never lifted."""
    policy = RemainingLossBudget("200 USDT", "90 USDT", minimum="10 USDT")
    assert ask(policy).max_amount == Decimal(20)
    assert ask(policy, opportunity=EXAMPLES["four legs"]).max_amount == Decimal(20)
    roomy = RemainingLossBudget("2000 USDT", "90 USDT")
    assert ask(roomy).max_amount == Decimal(30)
    assert ask(roomy, opportunity=EXAMPLES["four legs"]).max_amount == Decimal("22.5")
    lost = Portfolio(realised={("2020-09-13", "USDT"): Decimal(-101)})
    numbers = refused(ask(policy, lost), "risk.loss_budget")
    assert numbers == {"budget": Decimal("9.9"), "minimum": 10, "start": "USDT"}
    gone = Portfolio(realised={("2020-09-13", "USDT"): Decimal(-200)})
    refused(ask(policy, gone), "risk.daily_loss")
    refused(ask(policy, opportunity=EXAMPLES["two legs"]), "risk.currency")


def test_a_budget_of_less_than_can_be_counted_is_none() -> None:
    """risk.loss_budget: a tenth of the last digit is nothing, which is no bound to trade within; 18 decimals are counted."""
    least = "0.000000000000000001 USDT"
    numbers = refused(ask(RemainingLossBudget(least, "90 USDT")), "risk.loss_budget")
    assert numbers == {"budget": 0, "minimum": 0, "start": "USDT"}
    assert ask(RemainingLossBudget(least, "90 USDT", 100)).max_amount == Decimal("1E-18")


@pytest.mark.parametrize(("rolling", "amount"), [(True, 5), (False, 10)])
def test_the_budget_of_risk_limits_counts_the_hours_that_they_do(rolling, amount) -> None:
    """50 of 100 were lost yesterday, 20 hours ago: a tenth of what is left is 5 where any 24 hours count, else 10."""
    ago_ns = NOW_NS - 20 * 60 * MINUTE_NS
    totals = {"USDT": ((ago_ns - 1, Decimal(0)), (ago_ns, Decimal(-50)))}
    limits = RiskLimits(
        min_edge_bps=5,
        max_notional="9000 USDT",
        max_daily_loss="100 USDT",
        loss_budget_percent=10,
        rolling_24_hours=rolling,
    )
    assert ask(limits, Portfolio(results=Results(totals=totals))).max_amount == amount


# Pace


def test_cycles_a_minute() -> None:
    """risk.pace: those that began within 60 seconds count, those that run included; an older one does not."""
    policy = MaxCyclesPerMinute(2)
    inside = execution(ended_ns=NOW_NS - MINUTE_NS + 51 * NS_PER_MS)
    outside = execution(ended_ns=NOW_NS - MINUTE_NS + 50 * NS_PER_MS)
    numbers = refused(ask(policy, after(inside, inside)), "risk.pace")
    assert numbers == {"cycles": 2, "max_cycles_per_minute": 2}
    assert ask(policy, after(inside, outside)) == Approved(TRIANGLE)
    refused(ask(policy, after(inside, open=(9,))), "risk.pace")


def test_a_cooldown_is_of_cycle_and_market() -> None:
    """risk.cooldown: by the time since an execution of it ended; what has passed, and what is not asked for, is over."""
    ago = NOW_NS - 10 * NS_PER_SECOND
    tried = Portfolio(results=Results(last_ended={TRIANGLE.cycle.id: ago}))
    traded = Portfolio(results=Results(last_ended={"BTC/ETH": ago, "XRP/EUR": NOW_NS}))
    numbers = refused(ask(Cooldown(cycle_seconds=11), tried), "risk.cooldown")
    assert numbers == {"name": "BTC>ETH>USDT", "ago_seconds": 10, "cooldown_seconds": 11}
    numbers = refused(ask(Cooldown(market_seconds=11), traded), "risk.cooldown")
    assert numbers["name"] == "BTC/ETH"
    for policy, portfolio in (
        (Cooldown(cycle_seconds=10), tried),
        (Cooldown(market_seconds=10), traded),
        (Cooldown(market_seconds=11), tried),
        (Cooldown(cycle_seconds=11), traded),
    ):
        assert ask(policy, portfolio) == Approved(TRIANGLE)


@pytest.mark.parametrize(
    ("hours", "open_"),
    [
        ("12:00-13:00", True),
        ("12:26-12:27", True),
        ("12:27-13:00", False),
        ("00:00-12:26", False),
        ("22:00-06:00", False),
        ("12:00-06:00", True),
        ("22:00-12:27", True),
        ("00:00-24:00", True),
        (["01:00-02:00", "12:00-13:00"], True),
    ],
)
def test_trading_hours(hours, open_) -> None:
    """risk.hours: at 12:26 UTC; the end is out, and hours may go over midnight."""
    answer = ask(TradingHours(hours))
    if open_:
        assert answer == Approved(TRIANGLE)
    else:
        assert refused(answer, "risk.hours")["now"] == "12:26"


# Service


def test_slow_legs() -> None:
    """risk.latency: the median of the last ten minutes; what was slow longer ago says nothing."""
    policy = MaxLatency(100)
    slow = [execution(latency_ms=ms) for ms in (10, 150, 101)]
    numbers = refused(ask(policy, after(*slow)), "risk.latency")
    assert numbers == {"latency_ms": 101, "max_latency_ms": 100, "legs": 3}
    assert ask(policy, after(execution(latency_ms=100))) == Approved(TRIANGLE)
    assert ask(policy) == Approved(TRIANGLE)
    long_ago = execution(latency_ms=900, ended_ns=NOW_NS - 10 * MINUTE_NS)
    assert ask(policy, after(long_ago)) == Approved(TRIANGLE)
    assert isinstance(ask(MaxLatency(100, minutes=11), after(long_ago)), Refused)


def test_rejected_orders() -> None:
    """risk.reject_rate: two of five are more than a third; fewer orders than five say nothing."""
    orders = [execution(reason="no" if number < 2 else "") for number in range(5)]
    numbers = refused(ask(MaxRejectRate(33), after(*orders)), "risk.reject_rate")
    assert numbers == {"rejected": 2, "orders": 5, "max_reject_percent": 33}
    assert ask(MaxRejectRate(40), after(*orders)) == Approved(TRIANGLE)
    assert ask(MaxRejectRate(33), after(*orders[:4])) == Approved(TRIANGLE)


def test_what_an_order_came_to_decides_whether_it_was_rejected() -> None:
    """What is proven counts before any reason; and what was sent beyond the plan's legs counts with them."""
    expired = attrs.evolve(
        execution().legs[0], fills=(), reason="late", outcome=OrderOutcome.EXPIRED
    )
    never = attrs.evolve(expired, outcome=OrderOutcome.NEVER)
    told = attrs.evolve(execution(), legs=(expired,) * 3, further=(never,) * 2)
    assert refused(ask(MaxRejectRate(39), after(told)), "risk.reject_rate")["rejected"] == 2
    assert ask(MaxRejectRate(40), after(told)) == Approved(TRIANGLE)
    slow = attrs.evolve(told, legs=(), further=execution(latency_ms=500).legs)
    assert isinstance(ask(MaxLatency(400), after(slow)), Refused)


@pytest.mark.parametrize(
    ("outcome", "reason", "traded", "rejected"),
    [
        (None, "no", False, True),
        (None, "no", True, False),
        (None, "", False, False),
        (OrderOutcome.REJECTED, "", False, True),
        (OrderOutcome.NEVER, "", False, True),
        (OrderOutcome.EXPIRED, "late", False, False),
    ],
)
def test_an_order_that_was_not_taken(outcome, reason, traded, rejected) -> None:
    """By what was proven of it; where nothing was, by its reason, unless it traded: an order that ran out was taken."""
    leg = execution().legs[0]
    fills = leg.fills if traded else ()
    leg = attrs.evolve(leg, outcome=outcome, reason=reason, fills=fills)
    row = after(attrs.evolve(execution(), legs=(leg,)))
    assert isinstance(ask(MaxRejectRate(0, orders=1), row), Refused) is rejected


def test_a_pause_is_counted_from_the_last_that_lost() -> None:
    """Neither what won nothing nor what won since makes it longer."""
    lost, even, won = (
        execution(ended_ns=NOW_NS + minutes * MINUTE_NS, result=result)
        for minutes, result in enumerate(("-1", "0", "0.5"))
    )
    policy, row = (
        MaxConsecutiveLosses(2, pause_minutes=5),
        after(lost, even, won, health=Health(2, 2)),
    )
    assert policy.review(TRIANGLE, row, NOW_NS + 5 * MINUTE_NS) == Approved(TRIANGLE)
    assert isinstance(policy.review(TRIANGLE, row, NOW_NS + 5 * MINUTE_NS - 1), Refused)


def test_losses_in_a_row() -> None:
    """risk.consecutive_losses: by the ledger's count; after a pause, where one is given, one more may be tried."""
    lost = execution(result="-1")
    row = after(lost, lost, health=Health(2, 2))
    numbers = refused(ask(MaxConsecutiveLosses(2), row), "risk.consecutive_losses")
    assert numbers == {"losses": 2, "max_consecutive_losses": 2}
    assert ask(MaxConsecutiveLosses(3), row) == Approved(TRIANGLE)
    paused = MaxConsecutiveLosses(2, pause_minutes=5)
    assert isinstance(ask(paused, row), Refused)
    early = paused.review(TRIANGLE, row, NOW_NS + 5 * MINUTE_NS - 1)
    assert isinstance(early, Refused)
    assert paused.review(TRIANGLE, row, NOW_NS + 5 * MINUTE_NS) == Approved(TRIANGLE)


ROW = after(execution(result="-1"), health=Health(2, 2))
LATE = Portfolio(results=Results(last_ended={"BTC/ETH": NOW_NS - 90 * NS_PER_SECOND}))
OUT = Portfolio(reserved={"USDT": Decimal("70.50")}, residues={"USDT": Decimal("-10.5")})
FALLEN = attrs.evolve(
    OUT,
    realised={("2020-09-13", "USDT"): Decimal("-9.5")},
    results=Results(since_peak={("USDT", "USDT"): Decimal("-29.5")}),
)
REFUSALS = [
    (MinEdge("99.9"), EMPTY, "an edge of 99.8325 bps is below 99.9 bps"),
    (MaxEdge("99.8"), EMPTY, "an edge of 99.8325 bps is too good to be true"),
    (
        MinStrandedEdge("-50.50"),
        EMPTY,
        "stranded after leg 1 its edge is -101.1542 bps, below -50.5 bps",
    ),
    (MaxLegs(2), EMPTY, "3 legs are more than 2"),
    (Allowed(["USDT", "BTC"]), EMPTY, "BTC/ETH is not allowed"),
    (Denied(["ETH"]), EMPTY, "ETH is denied"),
    (MaxAge(49), EMPTY, "its books are up to 50 ms old"),
    (MaxSkew(29), EMPTY, "its books are 30 ms apart"),
    (
        MaxLatency(100),
        after(execution(latency_ms=150)),
        "legs took 150 ms of late, more than 100 ms",
    ),
    (
        MaxRejectRate("33.50", orders=2),
        after(execution(), execution(reason="no")),
        "1 of 2 orders were not taken of late, more than 33.5 %",
    ),
    (MaxCyclesPerMinute(1), after(execution()), "1 cycles began within a minute, of at most 1"),
    (Cooldown(market_seconds=300), LATE, "BTC/ETH was traded 90 s ago, and rests for 300 s"),
    (TradingHours("20:01-06:00"), EMPTY, "12:26 UTC is not within 20:01-06:00"),
    (
        MaxConsecutiveLosses(2, pause_minutes=5),
        ROW,
        "2 losses in a row reach the limit of 2: nothing until 5 minutes after the last",
    ),
    (MaxExposure("70 USDT"), OUT, "70.5 USDT are out and reach the limit of 70 USDT"),
    (MaxResidue("10 USDT"), OUT, "residues of 10.5 USDT are above the limit of 10 USDT"),
    (
        MaxDailyLoss("80 USDT"),
        FALLEN,
        (
            "9.5 USDT lost by the executions that ended today "
            "and 70.5 still out reach the limit of 80 USDT"
        ),
    ),
    (
        MaxDrawdown("100 USDT"),
        FALLEN,
        "results are 29.5 USDT below their highest, and 70.5 still out reach the limit of 100 USDT",
    ),
    (
        MaxNotional("5 EUR"),
        EMPTY,
        "a limit of 5 EUR says nothing about USDT: no market is declared to value it by",
    ),
]


@pytest.mark.parametrize(
    ("policy", "portfolio", "sentence"),
    REFUSALS,
    ids=[type(policy).__name__ for policy, *_ in REFUSALS],
)
def test_a_refusal_says_in_a_sentence_what_is_and_what_may_be(policy, portfolio, sentence) -> None:
    """A person reads what stands against which limit, in plain numbers and their unit."""
    answer = ask(policy, portfolio)
    assert isinstance(answer, Refused)
    assert answer.sentence == sentence


NONSENSE = {
    "a slippage below zero": lambda: MaxSlippage(-1),
    "a gap of more than all": lambda: MinStrandedEdge(-1, gap_bps=10_001),
    "two limits of one asset": lambda: MaxPerAsset(["1 ETH", "2 ETH"]),
    "one text for amounts": lambda: MaxPerAsset("1 ETH"),
    "no cycle a minute": lambda: MaxCyclesPerMinute(0),
    "more cycles than are told of": lambda: MaxCyclesPerMinute(51),
    "a cooldown of nothing": Cooldown,
    "a cooldown below zero": lambda: Cooldown(cycle_seconds=-1),
    "a cooldown of true": lambda: Cooldown(market_seconds=True),
    "no hours": lambda: TradingHours([]),
    "hours of nothing": lambda: TradingHours("08:00-08:00"),
    "hours past the day": lambda: TradingHours("08:00-24:30"),
    "hours as people say them": lambda: TradingHours("8-20"),
    "a latency of text": lambda: MaxLatency("100"),
    "no orders": lambda: MaxRejectRate(10, orders=0),
    "more than all": lambda: MaxRejectRate(101),
    "no losses": lambda: MaxConsecutiveLosses(0),
    "a pause of nothing": lambda: MaxConsecutiveLosses(1, pause_minutes=0),
    "a share of nothing": lambda: RemainingLossBudget("1 USDT", "1 USDT", 0),
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_policy_of_nonsense_is_refused_when_it_is_made(make) -> None:
    """Said at once, not when it should have held."""
    with pytest.raises(UsageError):
        make()


def test_risk_limits_compose_every_policy() -> None:
    """Each keyword adds its policy, and refuses what that policy refuses."""
    roomy = {"min_edge_bps": 5, "max_notional": "100 USDT", "max_daily_loss": "200 USDT"}
    eth = Portfolio(residues={"USDT": Decimal(6)})
    fallen = Portfolio(results=Results(since_peak={("USDT", "USDT"): Decimal(-6)}))
    lost = after(execution(result="-1"), health=Health(1, 1))
    slow = after(execution(latency_ms=2000))
    rejected = after(*[execution(reason="no")] * 5)
    just = Portfolio(results=Results(last_ended={"BTC>ETH>USDT": NOW_NS, "BTC/ETH": NOW_NS}))
    for limits, portfolio, code in (
        ({"min_stranded_edge_bps": -10}, EMPTY, "risk.stranded_edge"),
        ({"max_exposure": "5 USDT"}, Portfolio(reserved={"USDT": Decimal(6)}), "risk.exposure"),
        ({"max_residue": "5 USDT"}, eth, "risk.residue"),
        ({"max_drawdown": "5 USDT"}, fallen, "risk.drawdown"),
        ({"max_consecutive_losses": 1}, lost, "risk.consecutive_losses"),
        ({"max_cycles_per_minute": 1}, slow, "risk.pace"),
        ({"cycle_cooldown_seconds": 9}, just, "risk.cooldown"),
        ({"market_cooldown_seconds": 9}, just, "risk.cooldown"),
        ({"max_latency_ms": 100}, slow, "risk.latency"),
        ({"max_reject_percent": 50}, rejected, "risk.reject_rate"),
        ({"loss_budget_percent": 1, "min_notional": "5 USDT"}, EMPTY, "risk.loss_budget"),
        ({"hours": ["01:00-02:00"]}, EMPTY, "risk.hours"),
    ):
        assert isinstance(ask(RiskLimits(**roomy), portfolio), Approved), code
        refused(ask(RiskLimits(**roomy, **limits), portfolio), code)
    slipped = nominated_at("0.9", "1", "1")
    limits = RiskLimits(**roomy, max_slippage_bps=200)
    refused(ask(limits, opportunity=slipped), "risk.slippage")
    answer = ask(RiskLimits(**roomy, max_per_asset=["7 USDT"], max_cycle_loss="3 USDT"))
    assert (answer.max_amount, answer.max_loss) == (7, 3)


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"min_notional": "5 USDT"}, "loss_budget_percent"),
        ({"max_exposure": "5 EUR"}, "max_exposure in EUR"),
        ({"max_drawdown": "0 USDT"}, "max_drawdown"),
        ({"max_consecutive_losses": 0}, "max_consecutive_losses"),
        ({"max_cycles_per_minute": 1000}, "1000"),
        ({"max_reject_percent": 101}, "percent"),
        ({"loss_budget_percent": 0}, "loss_budget_percent"),
        ({"max_slippage_bps": "much"}, "bps"),
        ({"hours": ["8-20"]}, "8-20"),
        ({"max_per_asset": "1 ETH"}, "one text"),
        ({"deny": [5]}, "5 is no name"),
        ({"allow": [" "]}, "is no name"),
        ({"proxies": "USD = USDT, haircut 1 %"}, "one text"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, word) -> None:
    """What would let everything pass, or nothing, or is no number, is an error that names it, when the limits are made."""
    with pytest.raises(UsageError, match=word):
        RiskLimits(
            **{"min_edge_bps": 5, "max_notional": "100 USDT", "max_daily_loss": "20 USDT", **limits}
        )
