"""I18: tightening any limit never lets one more order through, whatever the opportunity, the portfolio and the other limits."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND, utc_day
from triarb.model import (
    Approved,
    Execution,
    FeeCheck,
    Fill,
    Health,
    LegResult,
    Opportunity,
    Order,
    Outcome,
    Plan,
    Portfolio,
    Refused,
    Results,
    Side,
)
from triarb.money import Money
from triarb.pricing import Valuation
from triarb.risk import (
    Allowed,
    Cooldown,
    Denied,
    Marks,
    MaxAge,
    MaxConsecutiveLosses,
    MaxCycleLoss,
    MaxCyclesPerMinute,
    MaxDailyLoss,
    MaxDrawdown,
    MaxEdge,
    MaxExposure,
    MaxFeeDrift,
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
)
from triarb.testing.opportunities import CONFIRMED_NS, opportunities

DAY = utc_day(CONFIRMED_NS)
MINUTE_NS = 60 * NS_PER_SECOND


def wider(one: Approved | Refused, other: Approved | Refused) -> bool:
    """Whether `other` allows anything that `one` does not."""
    if isinstance(other, Refused):
        return False
    if isinstance(one, Refused):
        return True
    grows = any(
        bound is not None and (new is None or new > bound)
        for bound, new in ((one.max_amount, other.max_amount), (one.max_loss, other.max_loss))
    )
    return grows or other.min_edge_bps < one.min_edge_bps or other.gap_bps < one.gap_bps


# What is held, and what happened


AMOUNTS = st.sampled_from([-30, -9, -1, 1, 9, 30]).map(Decimal)


@st.composite
def executions(draw: st.DrawFn, opportunity: Opportunity, number: int) -> Execution:
    plan = Plan(
        draw(st.sampled_from([opportunity.cycle.id, "OTHER"])),
        opportunity.cycle.start,
        (),
        Decimal(1),
        Decimal(0),
        (),
        Decimal(100),
        0,
    )
    ended_ns = CONFIRMED_NS - draw(st.sampled_from([0, 30, 90, 700])) * NS_PER_SECOND
    sent_ns = ended_ns - draw(st.sampled_from([20, 200, 2000])) * NS_PER_MS
    reason = draw(st.sampled_from(["", "no"]))
    order = Order("id", "A/B", Side.BUY, Decimal(1), Decimal(1))
    fill = Fill("1", "id", "A/B", "A", "B", Side.BUY, Decimal(1), Decimal(1), {})
    leg = LegResult(order, () if reason else (fill,), sent_ns, ended_ns, reason)
    changes = {opportunity.cycle.start: draw(AMOUNTS)}
    return Execution(number, plan, (leg,), Outcome.COMPLETED, changes, {}, sent_ns, ended_ns)


@st.composite
def portfolios(draw: st.DrawFn, opportunity: Opportunity) -> Portfolio:
    """Losses, residues, reservations and executions, in the assets of the opportunity and another."""
    cycle = opportunity.cycle
    assets = st.sampled_from([cycle.start, cycle.start, *cycle.assets, "OTHER"])

    def keyed(key: str) -> st.SearchStrategy[dict[tuple[str, str], Decimal]]:
        changes = st.just({}) | st.dictionaries(assets, AMOUNTS, max_size=2)
        return changes.map(lambda by: {(key, asset): change for asset, change in by.items()})

    names = [cycle.id, *(leg.market.symbol for leg in cycle.legs)]
    times = st.integers(0, 40).map(lambda ago: CONFIRMED_NS - ago * NS_PER_SECOND)
    results = Results(
        draw(keyed(DAY)),
        draw(keyed(DAY)),
        {asset: ((CONFIRMED_NS, change),) for (_, asset), change in draw(keyed("")).items()},
        draw(keyed(cycle.start)),
        draw(st.dictionaries(st.sampled_from(names), times, max_size=2)),
    )
    count = draw(st.integers(0, 6))
    drifts = st.integers(0, 12).map(Decimal)
    checks = drifts.map(lambda bps: FeeCheck(1, bps, bps, last_charged_bps=bps, last_drift_bps=bps))
    fees = draw(st.just({}) | st.dictionaries(st.sampled_from(names[1:]), checks, max_size=2))
    return Portfolio(
        reserved=draw(st.just({}) | st.dictionaries(assets, AMOUNTS.map(abs), max_size=1)),
        residues=draw(st.just({}) | st.dictionaries(assets, AMOUNTS, max_size=2)),
        realised=draw(keyed(DAY)),
        recent=tuple(draw(executions(opportunity, number + 1)) for number in range(count)),
        health=Health(count, draw(st.integers(0, count)), fees=fees),
        results=results,
    )


# Limits, and the same made tighter


@st.composite
def marks(draw: st.DrawFn, opportunity: Opportunity) -> Marks:
    """Nothing declared, or all markets, of floors that some do not hold to; and a proxy for the start asset."""
    symbols = sorted(opportunity.rates.markets)
    floors = [f"0.001 {asset}" for asset in sorted(opportunity.cycle.assets)]
    declared = Valuation(symbols, min_depth=floors, max_age_ms=10_000)
    proxy = f"USD = {opportunity.cycle.start}, haircut 2 %"
    return Marks(draw(st.sampled_from([None, declared, declared])), [proxy])


def currencies(opportunity: Opportunity) -> st.SearchStrategy[str]:
    return st.sampled_from([*[opportunity.cycle.start] * 4, "USD", opportunity.cycle.assets[0]])


def falling(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """A limit, and one that is at most as large."""
    return st.tuples(numbers, numbers).map(lambda pair: (max(pair), min(pair)))


def rising(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    return falling(numbers).map(lambda pair: pair[::-1])


COUNTS = st.integers(1, 8)
EDGES = st.integers(-3000, 3000).map(Decimal)
SUMS = (st.integers(1, 60) | st.integers(60, 600)).map(Decimal)


def amounts(currency: str) -> st.SearchStrategy[tuple[Money, Money]]:
    return falling(SUMS).map(lambda pair: (Money(pair[0], currency), Money(pair[1], currency)))


Pair = tuple[RiskPolicy, RiskPolicy]


def numbered(
    make: Callable[[Any], RiskPolicy], pairs: st.SearchStrategy[tuple[Any, Any]]
) -> Callable[[st.DataObject, Opportunity], Pair]:
    def pair(data: st.DataObject, _opportunity: Opportunity) -> Pair:
        loose, tight = data.draw(pairs)
        return make(loose), make(tight)

    return pair


def in_money(make: Callable[..., RiskPolicy]) -> Callable[[st.DataObject, Opportunity], Pair]:
    def pair(data: st.DataObject, opportunity: Opportunity) -> Pair:
        loose, tight = data.draw(amounts(data.draw(currencies(opportunity))))
        marked = data.draw(marks(opportunity))
        return make(loose, marked), make(tight, marked)

    return pair


def per_asset(data: st.DataObject, opportunity: Opportunity) -> Pair:
    asset, other = data.draw(st.permutations(opportunity.cycle.assets))[:2]
    loose, tight = data.draw(amounts(asset))
    more = data.draw(amounts(other))
    fewer = data.draw(st.booleans())  # one more limit is tighter too
    return MaxPerAsset([loose] if fewer else [loose, more[0]]), MaxPerAsset([tight, more[1]])


def budget(data: st.DataObject, opportunity: Opportunity) -> Pair:
    currency = data.draw(currencies(opportunity))
    losses, notionals = (data.draw(amounts(currency)) for _ in range(2))
    percents = data.draw(falling(st.integers(1, 100)))
    least = [Money(money.amount / 60, currency) for money in data.draw(amounts(currency))]
    marked = data.draw(marks(opportunity))
    loose, tight = (
        RemainingLossBudget(losses[n], notionals[n], percents[n], least[1 - n], marked)
        for n in range(2)
    )
    return loose, tight


def names(data: st.DataObject, opportunity: Opportunity, *, allowing: bool) -> Pair:
    symbols = [leg.market.symbol for leg in opportunity.cycle.legs]
    known = [*opportunity.cycle.assets, *symbols, "OTHER"]
    some = data.draw(st.frozensets(st.sampled_from(known)) | st.just(frozenset(known)))
    fewer = data.draw(st.frozensets(st.sampled_from(sorted(some)))) if some else some
    return (Allowed(some), Allowed(fewer)) if allowing else (Denied(fewer), Denied(some))


def hours(data: st.DataObject, _opportunity: Opportunity) -> Pair:
    times = sorted(data.draw(st.sets(st.integers(0, 1440), min_size=4, max_size=4)))
    written = [f"{minute // 60:02}:{minute % 60:02}" for minute in times]
    first, second, third, fourth = written
    return TradingHours([f"{first}-{fourth}"]), TradingHours([f"{second}-{third}"])


def daily_loss(data: st.DataObject, opportunity: Opportunity) -> Pair:
    loose, tight = in_money(MaxDailyLoss)(data, opportunity)
    assert isinstance(loose, MaxDailyLoss)
    return MaxDailyLoss(loose.limit, loose.marks, rolling=data.draw(st.booleans())), tight


def stranded(data: st.DataObject, _opportunity: Opportunity) -> Pair:
    edges, gaps = data.draw(rising(EDGES)), data.draw(rising(st.integers(0, 300)))
    return MinStrandedEdge(edges[0], gaps[0]), MinStrandedEdge(edges[1], gaps[1])


POLICIES: dict[str, Callable[[st.DataObject, Opportunity], Pair]] = {
    "MinEdge": numbered(MinEdge, rising(EDGES)),
    "MinStrandedEdge": stranded,
    "MaxEdge": numbered(MaxEdge, falling(EDGES)),
    "MaxSlippage": numbered(MaxSlippage, falling(st.integers(0, 300))),
    "MaxLegs": numbered(MaxLegs, falling(COUNTS)),
    "MaxAge": numbered(MaxAge, falling(st.integers(1, 1200))),
    "MaxSkew": numbered(MaxSkew, falling(st.integers(1, 1200))),
    "MaxLatency": numbered(MaxLatency, falling(st.sampled_from([10, 20, 200, 1000, 3000]))),
    "MaxRejectRate": numbered(MaxRejectRate, falling(st.integers(0, 100))),
    "MaxConsecutiveLosses": numbered(MaxConsecutiveLosses, falling(COUNTS)),
    "a longer pause": numbered(
        lambda minutes: MaxConsecutiveLosses(1, minutes), rising(st.integers(1, 15))
    ),
    "MaxCyclesPerMinute": numbered(MaxCyclesPerMinute, falling(COUNTS)),
    "Cooldown of cycles": numbered(
        lambda seconds: Cooldown(cycle_seconds=seconds), rising(st.integers(1, 60))
    ),
    "Cooldown of markets": numbered(
        lambda seconds: Cooldown(market_seconds=seconds), rising(st.integers(1, 60))
    ),
    "MaxFeeDrift": numbered(MaxFeeDrift, falling(st.integers(1, 12))),
    "TradingHours": hours,
    "Allowed": lambda data, opportunity: names(data, opportunity, allowing=True),
    "Denied": lambda data, opportunity: names(data, opportunity, allowing=False),
    "MaxNotional": in_money(MaxNotional),
    "MaxPerAsset": per_asset,
    "MaxExposure": in_money(MaxExposure),
    "MaxResidue": in_money(MaxResidue),
    "MaxCycleLoss": in_money(MaxCycleLoss),
    "MaxDailyLoss": daily_loss,
    "MaxDrawdown": in_money(MaxDrawdown),
    "RemainingLossBudget": budget,
}


@pytest.mark.once
@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES.keys())
@settings(max_examples=25)
@given(st.data())
def test_a_tighter_policy_never_lets_one_more_through(make, data: st.DataObject) -> None:
    """I18: made tighter, it turns no refusal into an approval and widens no bound; so that no plan fits that did not before."""
    opportunity = data.draw(opportunities())
    portfolio = data.draw(portfolios(opportunity))
    loose, tight = make(data, opportunity)
    now_ns = CONFIRMED_NS + data.draw(st.integers(0, 500)) * NS_PER_MS
    before = loose.review(opportunity, portfolio, now_ns)
    after = tight.review(opportunity, portfolio, now_ns)
    kinds = " to ".join(type(answer).__name__ for answer in (before, after))
    event(f"{kinds}{', another answer' if before != after else ''}")
    assert not wider(before, after)


@st.composite
def limits(draw: st.DrawFn, opportunity: Opportunity) -> tuple[dict[str, Any], dict[str, Any]]:
    """Limits of every kind, and the same with one of them tightened, or set where it was not."""
    start, assets = opportunity.cycle.start, sorted(opportunity.cycle.assets)
    symbols = [leg.market.symbol for leg in opportunity.cycle.legs]
    some = st.frozensets(st.sampled_from([*assets, *symbols]), min_size=1)
    marked = draw(marks(opportunity))

    def money() -> st.SearchStrategy[tuple[Money, Money]]:
        one = start if marked.valuation is None else draw(currencies(opportunity))
        return amounts(one)

    required = {
        "min_edge_bps": rising(st.just(Decimal(0)) | st.integers(0, 50).map(Decimal)),
        "max_notional": money(),
        "max_daily_loss": money(),
        "max_edge_bps": falling(st.just(Decimal(90_000)) | st.integers(900, 5000).map(Decimal)),
        "max_legs": falling(st.just(6) | st.integers(2, 6)),
        "max_age_ms": falling(st.just(2000) | st.integers(500, 2000)),
        "max_skew_ms": falling(st.just(2000) | st.integers(500, 2000)),
        "max_fee_drift_bps": falling(st.just(100) | st.integers(1, 12)),
        "rolling_24_hours": st.sampled_from([(False, False), (False, True), (True, True)]),
    }
    optional = {
        "min_stranded_edge_bps": rising(EDGES),
        "max_slippage_bps": falling(st.integers(0, 300)),
        "max_per_asset": amounts(assets[0]).map(lambda pair: ([pair[0]], [pair[1]])),
        "max_exposure": money(),
        "max_residue": money(),
        "max_cycle_loss": money(),
        "max_drawdown": money(),
        "max_consecutive_losses": falling(COUNTS),
        "max_cycles_per_minute": falling(COUNTS),
        "cycle_cooldown_seconds": rising(st.integers(1, 60)),
        "market_cooldown_seconds": rising(st.integers(1, 60)),
        "max_latency_ms": falling(st.sampled_from([20, 200, 3000])),
        "max_reject_percent": falling(st.integers(0, 100)),
        "loss_budget_percent": falling(st.integers(1, 100)),
        "hours": st.just(("00:00-24:00", "12:00-13:00")),
        "allow": some.map(lambda names: (frozenset([*assets, *symbols]), names)),
        "deny": some.map(lambda names: (frozenset(), names)),
    }
    given_ = {name: draw(pair) for name, pair in required.items()}
    chosen = draw(st.sets(st.sampled_from(sorted(optional)), max_size=2))
    given_ |= {name: draw(optional[name]) for name in sorted(chosen)}
    loose = {name: pair[0] for name, pair in given_.items()}
    loose |= {"valuation": marked.valuation, "proxies": marked.proxies}
    name = draw(st.sampled_from(sorted([*required, *optional])))
    tight = dict(loose)
    tight[name] = given_[name][1] if name in given_ else draw(optional[name])[1]
    if tight["min_edge_bps"] > tight["max_edge_bps"]:
        tight = loose
    return loose, tight


@pytest.mark.once
@settings(max_examples=80)
@given(st.data())
def test_a_tighter_limit_never_lets_one_more_through(data: st.DataObject) -> None:
    """I18: RiskLimits with any one limit made tighter, or set where it was not, allows nothing that it did not before."""
    opportunity = data.draw(opportunities())
    portfolio = data.draw(st.just(Portfolio()) | portfolios(opportunity))
    loose, tight = data.draw(limits(opportunity))
    now_ns = CONFIRMED_NS + data.draw(st.integers(0, 500)) * NS_PER_MS
    before = RiskLimits(**loose).review(opportunity, portfolio, now_ns)
    after = RiskLimits(**tight).review(opportunity, portfolio, now_ns)
    kinds = " to ".join(type(answer).__name__ for answer in (before, after))
    event(f"{kinds}{', another answer' if before != after else ''}")
    assert not wider(before, after)
