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
    Fill,
    Health,
    LegResult,
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
    Cooldown,
    MaxConsecutiveLosses,
    MaxCycleLoss,
    MaxCyclesPerMinute,
    MaxExposure,
    MaxLatency,
    MaxPerAsset,
    MaxRejectRate,
    MaxResidue,
    MaxSlippage,
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
