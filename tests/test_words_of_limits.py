"""What a person reads of limits: of one that makes no sense its name, its value and the mend; of a refusal why, exactly."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.model import Approved, FeeCheck, Health, Opportunity, Portfolio, Refused, Results, Side
from triarb.money import Money
from triarb.pricing import Valuation, unwind_ratio
from triarb.risk import (
    AllOf,
    CircuitBreaker,
    Cooldown,
    Denied,
    MaxConsecutiveLosses,
    MaxCyclesPerMinute,
    MaxEdge,
    MaxExposure,
    MaxFeeDrift,
    MaxLegs,
    MaxNotional,
    MaxPerAsset,
    MaxRejectRate,
    MaxResidue,
    MaxSlippage,
    MinEdge,
    MinStrandedEdge,
    RemainingLossBudget,
    RiskLimits,
    TradingHours,
    beyond_slippage,
)
from triarb.risk.marks import Marks
from triarb.testing.risk import NOW_NS, example_opportunities

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]  # buys BTC/USDT, sells BTC/ETH, buys USDT/ETH
FOUR = EXAMPLES["four legs"]
D = Decimal


def limits(**more: object) -> RiskLimits:
    """Limits that make sense but for what is given."""
    told = {"min_edge_bps": 5, "max_notional": "100 USDT", "max_daily_loss": "20 USDT"}
    return RiskLimits(**{**told, **more})


def ask(policy, portfolio=None, opportunity: Opportunity = TRIANGLE, now_ns: int = NOW_NS):
    return policy.review(opportunity, portfolio or Portfolio(), now_ns)


WRONG = {
    "max_per_asset is one text": (
        lambda: MaxPerAsset("1 ETH"),
        "'1 ETH' is one text, not amounts (write ['1 ETH'])",
    ),
    "two limits": (
        lambda: MaxPerAsset(["1 ETH", "2 BTC", "3 ETH"]),
        "ETH has two limits (one amount for each asset)",
    ),
    "a percentage": (lambda: MaxRejectRate(101), "percent is 101 (0 to 100, such as 10)"),
    "a slippage of limits": (
        lambda: limits(max_slippage_bps=-1),
        "max_slippage_bps is -1 (0 or more)",
    ),
    "few in limits": (
        lambda: limits(max_cycles_per_minute=51),
        "max_cycles_per_minute is 51 (the ledger tells of the last 50 executions)",
    ),
    "hours of limits that are a number": (
        lambda: limits(hours=8),
        "8 are no hours of a day (such as 08:00-20:00, in UTC)",
    ),
    "names that are a number": (
        lambda: limits(deny=5),
        "5 is one int, not names (write [5])",
    ),
    "amounts that are a number": (
        lambda: limits(max_per_asset=5),
        "5 is one int, not amounts (write [5])",
    ),
    "a percentage of limits": (
        lambda: limits(loss_budget_percent=-1),
        "loss_budget_percent is -1 (0 to 100, such as 10)",
    ),
    "a share of nothing": (
        lambda: RemainingLossBudget("1 USDT", "1 USDT", 0),
        "percent is 0 (it must be above zero, and no float)",
    ),
    "names": (lambda: Denied("ETH"), "'ETH' is one text, not names (write ['ETH'])"),
    "a name": (lambda: Denied([5]), '5 is no name (such as "BTC" or "ETH/BTC")'),
    "whole": (
        lambda: MaxConsecutiveLosses(0),
        "losses is 0 (a whole number above zero)",
    ),
    "few": (
        lambda: MaxCyclesPerMinute(51),
        "cycles is 51 (the ledger tells of the last 50 executions)",
    ),
    "a cooldown": (
        lambda: Cooldown(cycle_seconds=-1),
        "cycle_seconds is -1 (a whole number, 0 for none)",
    ),
    "no cooldown": (
        Cooldown,
        "a cooldown of nothing (cycle_seconds, market_seconds, or both)",
    ),
    "hours": (
        lambda: TradingHours("8-20"),
        "'8-20' are no hours of a day (such as 08:00-20:00, in UTC)",
    ),
    "hours from midnight to midnight before": (
        lambda: TradingHours("24:00-00:00"),
        "'24:00-00:00' are no hours of a day (such as 08:00-20:00, in UTC)",
    ),
    "hours that are a number": (
        lambda: TradingHours([8]),
        "8 are no hours of a day (such as 08:00-20:00, in UTC)",
    ),
    "no hours": (
        lambda: TradingHours([]),
        "no hours would allow nothing (such as 08:00-20:00, in UTC)",
    ),
    "hours past the day": (
        lambda: TradingHours("08:00-24:30"),
        "'08:00-24:30' go past the end of a day (24:00 is its end)",
    ),
    "a gap": (lambda: MinStrandedEdge(-1, gap_bps="10000.5"), "gap_bps is 10000.5 (0 to 10000)"),
    "a slippage": (lambda: MaxSlippage(-2), "bps is -2 (0 or more)"),
    "no policy": (AllOf, "no policy at all would approve everything (name at least one)"),
    "a breaker's count": (
        lambda: CircuitBreaker(failures=51),
        "failures is 51 (a whole number from 1 to 50, or None)",
    ),
    "a breaker's time": (
        lambda: CircuitBreaker(recovery_seconds=1_000_000_001),
        "recovery_seconds is 1000000001 (a whole number from 1 to 1000000000, or None)",
    ),
    "half of a pair": (
        lambda: CircuitBreaker(slow=3),
        "slow is 3, max_leg_ms is None (give both or none)",
    ),
    "a blind breaker": (
        lambda: CircuitBreaker(failures=None, losses=None, drifts=None),
        "a breaker that looks at nothing never opens (give one count)",
    ),
    "a loss for an edge": (
        lambda: limits(min_edge_bps=-1),
        "min_edge_bps is -1 (a cycle that loses is no opportunity)",
    ),
    "edges that cross": (
        lambda: limits(min_edge_bps=600),
        "min_edge_bps 600 is above max_edge_bps 500 (nothing could pass)",
    ),
    "a least of no budget": (
        lambda: limits(min_notional="5 USDT"),
        (
            "min_notional is 5 USDT, and no loss_budget_percent is given "
            "(it is the least that a loss budget may leave)"
        ),
    ),
    "two currencies": (
        lambda: limits(max_exposure="5 EUR"),
        (
            "max_notional is in USDT, max_exposure in EUR "
            "(a cycle starts in one asset: give all limits in it, or a valuation)"
        ),
    ),
    "proxies in one text": (
        lambda: Marks(proxies="USD = USDT, haircut 1 %"),
        (
            "'USD = USDT, haircut 1 %' is one text, not a list of proxies "
            "(write ['USD = USDT, haircut 1 %'])"
        ),
    ),
    "two proxies": (
        lambda: Marks(proxies=["USD = USDT, haircut 1 %", "USD = USDC, haircut 2 %"]),
        (
            "USD = USDT, haircut 1 % is not the only proxy of it "
            "(one asset stands for each currency)"
        ),
    ),
    "a bound of no cycle": (
        lambda: Marks().hold(Money.parse("1 USDT"), None, NOW_NS).bound(D(1)),
        "a bound is of a cycle, and none is told (hold it for one)",
    ),
    "zero money": (
        lambda: limits(max_drawdown="0 USDT"),
        "max_drawdown is 0 USDT (it must be above zero, and no float)",
    ),
}


@pytest.mark.parametrize(("make", "words"), WRONG.values(), ids=WRONG.keys())
def test_a_limit_that_makes_no_sense_is_named_with_its_value_and_the_mend(make, words) -> None:
    """One sentence: what is wrong, as it was given, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (MinEdge, "min_edge_bps"),
        (MaxEdge, "max_edge_bps"),
        (MaxFeeDrift, "max_fee_drift_bps"),
        (MaxSlippage, "bps"),
        (MaxRejectRate, "percent"),
        *(
            (lambda much, name=name: limits(**{name: much}), name)
            for name in (
                "min_edge_bps",
                "max_edge_bps",
                "max_fee_drift_bps",
                "min_stranded_edge_bps",
                "max_slippage_bps",
                "max_reject_percent",
                "loss_budget_percent",
            )
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else getattr(one, "__name__", "limits"),
)
def test_what_is_no_number_is_named_by_its_limit(make, name) -> None:
    """The name that it has where it was written, and the value."""
    with pytest.raises(UsageError) as caught:
        make("much")
    assert caught.value.message == f"{name}: 'much' is not a number"
    unit = "percent" if name.endswith("percent") else "bps"
    assert caught.value.hint == f"give {unit}, such as 7.5"


EDGES = {
    "no edge at all": lambda: limits(min_edge_bps=0),
    "no more than max_edge_bps": lambda: limits(min_edge_bps=500),
    "a breaker": lambda: CircuitBreaker(failures=50, recovery_seconds=1_000_000_000),
    "no gap": lambda: MinStrandedEdge(-1, gap_bps=0),
    "a gap of all": lambda: MinStrandedEdge(-1, gap_bps=10_000),
    "as many cycles as are told of": lambda: MaxCyclesPerMinute(50),
    "all orders": lambda: MaxRejectRate(100),
    "no slippage": lambda: MaxSlippage(0),
}


@pytest.mark.parametrize("make", EDGES.values(), ids=EDGES.keys())
def test_the_very_edge_of_what_makes_sense_is_allowed(make) -> None:
    """The largest and the least value that a limit may have."""
    assert make() is not None


# Refusals


@pytest.mark.parametrize(
    ("hours", "second", "open_"),
    [
        ("08:00-20:00", 8 * 3600, True),
        ("08:00-20:00", 8 * 3600 - 1, False),
        ("08:00-20:00", 20 * 3600 - 1, True),
        ("08:00-20:00", 20 * 3600, False),
        ("22:00-06:00", 22 * 3600, True),
        ("22:00-06:00", 22 * 3600 - 1, False),
        ("22:00-06:00", 0, True),
        ("22:00-06:00", 6 * 3600 - 1, True),
        ("22:00-06:00", 6 * 3600, False),
        ("24:00-06:00", 0, True),
        ("24:00-06:00", 86_399, False),
        ("00:00-24:00", 86_399, True),
    ],
)
def test_hours_begin_and_end_at_their_minute(hours, second, open_) -> None:
    """risk.hours: the first minute is within and the last is not, over midnight too."""
    day_ns = 19_000 * 86_400 * NS_PER_SECOND
    answer = ask(TradingHours(hours), now_ns=day_ns + second * NS_PER_SECOND)
    assert isinstance(answer, Approved) is open_


@pytest.mark.parametrize("now", ["23:59", "00:00", "02:00", "20:00"])
def test_hours_that_are_over_are_told_all(now) -> None:
    """risk.hours: the time now, by UTC, and when it may be."""
    hours, minutes = map(int, now.split(":"))
    at_ns = (19_000 * 86_400 + hours * 3600 + minutes * 60) * NS_PER_SECOND
    answer = ask(TradingHours(["01:00-02:00", "12:00-13:00"]), now_ns=at_ns)
    assert answer == Refused(
        "risk.hours",
        f"{now} UTC is not within 01:00-02:00, 12:00-13:00",
        {"now": now, "hours": "01:00-02:00, 12:00-13:00"},
    )


def test_one_text_of_hours_is_one_span() -> None:
    """`hours="08:00-20:00"` is that span, not its letters."""
    assert limits(hours="08:00-20:00").hours == ("08:00-20:00",)


def test_slippage_is_told_with_its_prices() -> None:
    """risk.slippage: the market, both prices, how far apart, and how far they may be."""
    assert beyond_slippage("A/B", Side.BUY, D(1), D("1.002"), D("9.5")) == Refused(
        "risk.slippage",
        "A/B would buy at 1.002, nominated at 1: 20.0000 bps worse, of at most 9.5",
        {
            "symbol": "A/B",
            "nominated": D(1),
            "price": D("1.002"),
            "slippage_bps": D(20),
            "max_slippage_bps": D("9.5"),
        },
    )


def test_slippage_bounds_the_amount_by_the_levels_near_enough() -> None:
    """As much of the start asset as the level at the nominated price takes, leg by leg: the least of the three."""
    same = attrs.evolve(TRIANGLE, nominated=TRIANGLE.cycle)
    arrives, most = Fraction(1), []
    for leg in TRIANGLE.cycle.legs:
        level = TRIANGLE.books[leg.market.symbol].against(leg.side)[0]
        given = level.amount * level.price if str(leg.side) == "buy" else level.amount
        most.append(Fraction(given) / arrives)
        arrives *= leg.net_ratio
    answer = ask(MaxSlippage(0), opportunity=same)
    assert abs(Fraction(answer.max_amount) / min(most) - 1) < Fraction(2, 1000)  # but for a fee


@pytest.mark.parametrize("opportunity", [TRIANGLE, FOUR], ids=["three legs", "four legs"])
def test_the_edge_if_stranded_looks_after_every_leg_but_the_last(opportunity) -> None:
    """risk.stranded_edge: the worst of all; at it nothing is refused, and above it the first leg that is worse is named."""
    cycle, held, edges = opportunity.cycle, Fraction(1), []
    for leg in cycle.legs[:-1]:
        held *= leg.net_ratio
        back = unwind_ratio(opportunity.rates, leg.received, cycle.start, D(100))
        edges.append((held * back - 1) * 10_000)
    worst = min(edges)
    below = D(worst.numerator // worst.denominator)
    assert isinstance(ask(MinStrandedEdge(below), opportunity=opportunity), Approved)
    answer = ask(MinStrandedEdge(below + 1), opportunity=opportunity)
    first = next(n for n, edge in enumerate(edges, 1) if edge < below + 1)
    assert (answer.code, answer.numbers["leg"]) == ("risk.stranded_edge", first)
    assert answer.numbers["min_stranded_edge_bps"] == below + 1
    assert answer.sentence.startswith(f"stranded after leg {first} its edge is ")


def test_losses_in_a_row_say_until_when() -> None:
    """risk.consecutive_losses: a person, or so many minutes."""
    row = Portfolio(health=Health(2, 2))
    words = "2 losses in a row reach the limit of 2: nothing until "
    assert ask(MaxConsecutiveLosses(2), row).sentence == words + "a person resumes"
    paused = ask(MaxConsecutiveLosses(2, pause_minutes=5), row)
    assert paused.sentence == words + "5 minutes after the last"


def test_a_fee_that_drifts_is_told_in_numbers() -> None:
    """risk.fee_drift: what was charged, and how much more than was counted on; at the limit it passes."""
    leg = TRIANGLE.cycle.legs[0]
    rate_bps = leg.fee.rate * 10_000
    check = FeeCheck(1, rate_bps + 3, D(3), last_charged_bps=rate_bps + 3, last_drift_bps=D(3))
    portfolio = Portfolio(health=Health(fees={leg.market.symbol: check}))
    assert isinstance(ask(MaxFeeDrift(3), portfolio), Approved)
    assert ask(MaxFeeDrift("2.5"), portfolio) == Refused(
        "risk.fee_drift",
        f"BTC/USDT charged {rate_bps + 3:.4f} bps, 3.0000 bps more than was counted on",
        {
            "symbol": "BTC/USDT",
            "charged_bps": rate_bps + 3,
            "drift_bps": D(3),
            "max_fee_drift_bps": D("2.5"),
        },
    )
    strange = attrs.evolve(check, last_unexpected=("BNB", "XRP"))
    portfolio = Portfolio(health=Health(fees={leg.market.symbol: strange}))
    assert ask(MaxFeeDrift(3), portfolio) == Refused(
        "risk.fee_asset",
        "BTC/USDT charged a fee in BNB and XRP, which no plan counted on",
        {"symbol": "BTC/USDT", "assets": "BNB, XRP"},
    )


def test_exposure_and_residues_to_the_last_unit() -> None:
    """risk.exposure, risk.residue: half a unit below the limit is left; a residue tells what may still be left over."""
    out = Portfolio(reserved={"USDT": D("99.5")})
    assert ask(MaxExposure("100 USDT"), out).max_amount == D("0.5")
    policy, held = MaxResidue("10 USDT"), Portfolio(residues={"USDT": D("9.5")})
    assert policy.left(policy.marks.hold(policy.limit, TRIANGLE, NOW_NS), held, NOW_NS) == D("0.5")


def test_a_limit_that_nothing_values_names_the_asset() -> None:
    """risk.currency: the limit, and the asset that it says nothing about: the one that is not its own."""
    refusal = ask(MaxNotional("100 EUR"))
    assert refusal == Refused(
        "risk.currency",
        "a limit of 100 EUR says nothing about USDT: no market is declared to value it by",
        {"limit": "100 EUR", "asset": "EUR", "currency": "USDT"},
    )
    spent = Portfolio(reserved={"BTC": D(1)})
    refusal = ask(MaxExposure("100 USDT"), spent)
    assert "says nothing about BTC" in refusal.sentence
    least = ask(RemainingLossBudget("100 USDT", "90 USDT", 10, "5 EUR"))
    assert "a limit of 5 EUR says nothing about USDT" in least.sentence


def test_a_budget_of_a_day_that_is_lost_leaves_nothing() -> None:
    """risk.loss_budget: what is at the minimum passes, what is below does not, and a limit that is used up refuses first."""
    policy = RemainingLossBudget("100 USDT", "90 USDT", 10, "10 USDT")
    assert ask(policy).max_amount == 10
    more = attrs.evolve(policy, minimum="10.5 USDT")
    assert ask(more) == Refused(
        "risk.loss_budget",
        "the loss budget leaves 10 USDT for a cycle, less than 10.5",
        {"budget": D(10), "minimum": D("10.5"), "start": "USDT"},
    )
    small = RemainingLossBudget("1 USDT", "90 USDT", 10)
    assert ask(small).max_amount == D("0.1")


def test_a_budget_looks_at_the_window_that_it_was_given() -> None:
    """A loss of yesterday counts in a rolling budget and in no other, as in `MaxDailyLoss`; marks are the policy's."""
    ended_ns = NOW_NS - 20 * 3600 * NS_PER_SECOND
    lost = Portfolio(
        results=Results(totals={"USDT": ((ended_ns - 1, D(0)), (ended_ns, D(-50)))}),
    )
    rolling = RemainingLossBudget("100 USDT", "9000 USDT", 10)
    assert ask(rolling, lost).max_amount == 5
    assert ask(attrs.evolve(rolling, rolling=False), lost).max_amount == 10
    told = limits(loss_budget_percent=10, rolling_24_hours=False, max_notional="9000 USDT")
    assert ask(told, lost).max_amount == 2
    assert ask(attrs.evolve(told, rolling_24_hours=True), lost).code == "risk.daily_loss"


def test_a_cooldown_of_one_kind_is_of_that_kind_alone() -> None:
    """Limits with a cooldown of cycles set none for markets, and the other way round."""
    symbol = TRIANGLE.cycle.legs[0].market.symbol
    just_now_ns = NOW_NS - NS_PER_SECOND // 2
    through_market = Portfolio(results=Results(last_ended={symbol: just_now_ns}))
    same_cycle = Portfolio(results=Results(last_ended={TRIANGLE.cycle.id: just_now_ns}))
    of_cycle, of_market = limits(cycle_cooldown_seconds=9), limits(market_cooldown_seconds=9)
    assert isinstance(ask(of_cycle, through_market), Approved)
    assert ask(of_cycle, same_cycle).code == "risk.cooldown"
    assert isinstance(ask(of_market, same_cycle), Approved)
    assert ask(of_market, through_market).code == "risk.cooldown"


def test_all_of_names_what_else_refuses() -> None:
    """The first refusal is told, and the codes of the others once each."""
    answer = ask(AllOf(MaxLegs(2), MinEdge(300), MinEdge(400), MaxEdge(1)))
    assert answer.code == "risk.max_legs"
    assert "risk.min_edge, risk.implausible_edge" in f"{answer.sentence} {answer.numbers}"


def test_a_limit_needs_a_market_that_is_read() -> None:
    """risk.unvalued: held against no market, a limit in another asset says which asset it cannot value."""
    marks = Marks(Valuation(["BTC/USDT"], min_depth="1 USDT", max_age_ms=1000))
    policy = MaxExposure("100 USDT", marks)
    left = policy.left(
        policy.marks.hold(policy.limit, None, NOW_NS), Portfolio(reserved={"BTC": D(1)}), NOW_NS
    )
    assert left == Refused(
        "risk.unvalued",
        "a limit of 100 USDT needs a market to value USDT by, and none is read",
        {"limit": "100 USDT", "asset": "USDT", "currency": "BTC"},
    )
