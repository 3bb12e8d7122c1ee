"""The three numbers of a plan: against every way back, by hand, and against what an executor does at the limits."""

import itertools
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.execution.steps import Finish, next_step, received
from triarb.market import FeeSchedule, RateTable
from triarb.market.charges import charge
from triarb.model import (
    Cycle,
    Fee,
    FeeSide,
    Fill,
    Leg,
    LegResult,
    Level,
    Market,
    Opportunity,
    Order,
    OrderBook,
    Outcome,
    Plan,
    PlannedLeg,
    Provenance,
    RateView,
    Side,
)
from triarb.money import to_decimal
from triarb.pricing import (
    Bounds,
    Priced,
    make_plan,
    margin_ratio,
    most_profitable_depth,
    profit_at,
    stranded_losses,
    unwind_ratio,
)
from triarb.pricing.legs import planned
from triarb.pricing.plan import worst_case
from triarb.testing.opportunities import opportunities
from triarb.testing.strategies import rate_tables

GAPS = st.sampled_from(["0", "10", "100", "2500", "10000"]).map(Decimal)


def trade(view: RateView, symbol: str, given: str, gap_bps: Decimal) -> tuple[str, Fraction] | None:
    """What one unit of `given` becomes on a market, told by its quote alone; shares no code with the package."""
    market, quote, fee = view.markets[symbol], view.quotes.get(symbol), view.fees.get(symbol)
    if quote is None or fee is None or given not in (market.base, market.quote):
        return None
    selling = given == market.base
    rate = Fraction(quote.bid) if selling else 1 / Fraction(quote.ask)
    part = Fraction(fee.rate)
    if fee.charged_in is FeeSide.GIVEN or (fee.charged_in is FeeSide.QUOTE and not selling):
        rate /= 1 + part
    else:
        rate *= 1 - part
    return (market.quote if selling else market.base), rate * (1 - Fraction(gap_bps) / 10_000)


def best_way_back(view: RateView, held: str, start: str, gap_bps: Decimal) -> Fraction:
    """The best of no trade, every single trade and every pair of trades."""
    best = Fraction(held == start)
    for symbols in (*itertools.product(view.markets), *itertools.product(view.markets, repeat=2)):
        asset, ratio = held, Fraction(1)
        for symbol in symbols:
            step = trade(view, symbol, asset, gap_bps)
            if step is None:
                break
            asset, ratio = step[0], ratio * step[1]
        else:
            if asset == start and ratio > best and held != start:
                best = ratio
    return best


@pytest.mark.once
@settings(max_examples=200)
@given(rate_tables(max_assets=5), GAPS, st.data())
def test_the_way_back_is_the_best_of_all(
    rates: RateTable, gap_bps: Decimal, data: st.DataObject
) -> None:
    """Of every way of one or two trades the best is taken, each worse by the gap; zero where there is none."""
    view = rates.view()
    held, start = (data.draw(st.sampled_from([*rates.assets, "NONE"])) for _ in range(2))
    ratio = unwind_ratio(view, held, start, gap_bps)
    event("a way" if ratio else "no way")
    assert ratio == best_way_back(view, held, start, gap_bps)


@pytest.mark.once
@given(rate_tables(max_assets=4, sound=True), st.data())
def test_a_wider_gap_never_brings_more_back(rates: RateTable, data: st.DataObject) -> None:
    """The ratio falls as the gap grows, to zero where it is all, and beyond."""
    view = rates.view()
    held, start = (data.draw(st.sampled_from(rates.assets)) for _ in range(2))
    gaps = [Decimal(gap) for gap in (0, 1, 50, 5000, 10_000, 10_001, 25_000, 1_000_000)]
    ratios = [unwind_ratio(view, held, start, gap) for gap in gaps]
    if held == start:
        assert set(ratios) == {1}
        return
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[4:] == [0] * 4
    assert len({ratio for ratio in ratios if ratio}) == (4 if ratios[0] else 0)


def some_plan(opportunity: Opportunity, tenths: int, gap_bps: Decimal) -> Plan:
    """As many tenths of the size of most profit as the books hold, more than ten of them too."""
    priced = most_profitable_depth(opportunity, Bounds(min_edge_bps=Decimal(-10_000)))
    assert isinstance(priced, Priced)
    for count in range(tenths, 0, -3):
        through = profit_at(opportunity, to_decimal(Fraction(priced.amount) * count / 10, 8))
        if isinstance(through, Priced):
            priced = through
            break
    plan = make_plan(opportunity, priced.legs, gap_bps)
    deep = any(
        leg.given != leg.worst_given or leg.received != leg.worst_received for leg in plan.legs
    )
    event("beyond the top" if deep else "at the top")
    return plan


TENTHS = st.integers(0, 10) | st.integers(11, 24)


UP = Context(prec=30, rounding=ROUND_CEILING)


def to_tick(price: Decimal, tick: Decimal | None, *, up: bool) -> Decimal:
    """`price` on the next tick above, or below."""
    if tick is None:
        return price
    ticks = Fraction(price) / Fraction(tick)
    return Decimal(-(-ticks // 1) if up else ticks // 1) * tick


def sold(
    view: RateView, symbol: str, given: str, gap_bps: Decimal, held: Fraction
) -> tuple[str, Fraction] | None:
    """What the largest order of `held` on a market brings at its worsened price, tried step by step from the top."""
    market, quote, fee = view.markets[symbol], view.quotes.get(symbol), view.fees.get(symbol)
    kept = 1 - gap_bps / 10_000
    if quote is None or fee is None or given not in (market.base, market.quote) or kept <= 0:
        return None
    selling = given == market.base
    raw = quote.bid * kept if selling else UP.divide(quote.ask, kept)
    price = Fraction(to_tick(raw, market.price_tick, up=not selling))
    if not price or (kept == 1 and price != Fraction(raw)):
        return None  # nobody trades for nothing; and what is quoted off the ticks is no price
    spent, brought, part = (
        (Fraction(1), price, Fraction(fee.rate))
        if selling
        else (price, Fraction(1), Fraction(fee.rate))
    )
    if fee.charged_in is FeeSide.GIVEN or (fee.charged_in is FeeSide.QUOTE and not selling):
        spent *= 1 + part
    else:
        brought *= 1 - part
    step = Fraction(market.amount_step or Decimal("1e-8"))
    amount = held / spent // step * step
    for most in (market.max_amount, market.max_notional and Fraction(market.max_notional) / price):
        if most is not None:
            amount = min(amount, Fraction(most) // step * step)
    fits = (
        amount > 0
        and (market.min_amount is None or amount >= Fraction(market.min_amount))
        and (market.min_notional is None or amount * price >= Fraction(market.min_notional))
        and (market.min_price is None or price >= Fraction(market.min_price))
        and (market.max_price is None or price <= Fraction(market.max_price))
    )
    return (market.quote if selling else market.base, amount * brought) if fits else None


def most_back(
    view: RateView, held: str, start: str, gap_bps: Decimal, amount: Fraction
) -> Fraction:
    """The most that every single trade and every pair of trades brings in whole orders."""
    best = Fraction(0)
    for symbols in (
        *((symbol,) for symbol in view.markets),
        *itertools.product(view.markets, repeat=2),
    ):
        asset, left = held, amount
        for symbol in symbols:
            traded = sold(view, symbol, asset, gap_bps, left)
            if traded is None or asset == start:
                break
            asset, left = traded
        else:
            if asset == start:
                best = max(best, left)
    return best


@pytest.mark.once
@settings(max_examples=150, deadline=None)
@given(opportunities(), TENTHS, GAPS)
def test_stranded_losses_are_those_of_the_best_way_back(
    opportunity: Opportunity, tenths: int, gap_bps: Decimal
) -> None:
    """Each is what leg 1 spends minus the most that whole orders turn the worst case back into: never less than without steps."""
    plan = some_plan(opportunity, tenths, gap_bps)
    assert len(plan.stranded_losses) == len(plan.legs) - 1
    view, dust = opportunity.rates, Fraction(1, 10**18)
    for leg, brought, loss in zip(
        plan.legs, worst_case(plan.legs), plan.stranded_losses, strict=False
    ):
        held, asset = Fraction(brought), leg.received_asset
        back = most_back(view, asset, plan.start, gap_bps, held)
        expected = max(Fraction(0), Fraction(plan.legs[0].worst_given) - back)
        assert expected <= Fraction(loss) <= expected + dust
        linear = unwind_ratio(view, asset, plan.start, gap_bps) * held
        event(f"steps cost {'nothing' if linear == back else 'something' if back else 'all'}")
        assert back <= linear
        assert Fraction(loss) >= Fraction(plan.legs[0].worst_given) - linear
        assert 0 <= loss <= plan.at_stake
    lost = make_plan(opportunity, plan.legs, Decimal(10_000))
    assert set(lost.stranded_losses) == {plan.legs[0].worst_given}
    nowhere = attrs.evolve(opportunity, rates=RateView({}, {}, {}, {}))
    lost = make_plan(nowhere, plan.legs, gap_bps)
    assert set(lost.stranded_losses) == {plan.legs[0].worst_given}
    assert lost.max_loss == plan.legs[0].worst_given


def test_a_margin_is_the_product_of_the_limits() -> None:
    """101 bought at 100 and sold at 10.1 for ten of it, after fees of 10 bps on both: 1.01 * 0.999 ** 2."""
    legs, _ = two_legs("10.1")
    assert margin_ratio(legs) == Fraction(101, 100) * Fraction(999, 1000) ** 2


def test_what_is_stranded_below_a_minimum_is_lost_whole() -> None:
    """Where ETH/USDT takes 90 USDT at least, the 89.91 that are left buy nothing back."""
    legs, view = two_legs("9")
    markets = {
        symbol: attrs.evolve(market, min_notional=Decimal(90))
        for symbol, market in view.markets.items()
    }
    dear = attrs.evolve(view, markets=markets)
    assert stranded_losses(dear, "ETH", legs, Decimal(0)) == (10,)


# What an executor does with a plan, filled at its limits or from the books


def executed(plan: Plan, books: dict[str, OrderBook] | None) -> tuple[list[Decimal], Finish]:
    """What each leg brings to `next_step`, filled at its limit price or, if there are books, level by level."""
    results: list[LegResult] = []
    brought = []
    while not isinstance(step := next_step(plan, results), Finish):
        leg = plan.legs[step.leg]
        levels = (Level(leg.limit_price, step.amount),)
        if books is not None:
            shown = books[leg.market.symbol].against(leg.side)
            levels = shown[: [level.price for level in shown].index(leg.limit_price) + 1]
        fills, left = [], step.amount
        for level in levels:
            amount = min(left, level.amount)
            left -= amount
            if amount:
                fills.append(fill(leg, level.price, amount, str(len(fills))))
        order = Order("id", leg.market.symbol, leg.side, step.amount, leg.limit_price)
        results.append(LegResult(order, tuple(fills), 0, 0))
        brought.append(received(leg, results[-1]))
    return brought, step


def fill(leg: PlannedLeg, price: Decimal, amount: Decimal, trade_id: str) -> Fill:
    market = leg.market
    bare = Fill(
        trade_id,
        "id",
        market.symbol,
        market.base,
        market.quote,
        leg.side,
        price,
        amount,
        {},
    )
    return attrs.evolve(bare, fees=dict([charge(bare, leg.fee)]))


@pytest.mark.once
@settings(max_examples=100)
@given(opportunities(), TENTHS)
def test_no_execution_at_the_limits_is_worse_than_the_plan_says(
    opportunity: Opportunity, tenths: int
) -> None:
    """However far it gets with every fill at its limit, each leg brings at least what the stranded losses count on."""
    plan = some_plan(opportunity, tenths, Decimal(100))
    brought, end = executed(plan, None)
    event(end.outcome)
    told = worst_case(plan.legs)
    assert all(real >= worst for real, worst in zip(brought, told, strict=False))
    if len(brought) == len(plan.legs):
        assert brought[-1] - plan.legs[0].worst_given >= plan.worst_result
    else:  # the worst case ends where the executor ends, and counts what was held as lost
        assert set(told[len(brought) :]) == {0}
        assert plan.worst_result == -plan.legs[0].worst_given
    assert plan.max_loss >= -plan.worst_result


@pytest.mark.once
@settings(max_examples=100)
@given(opportunities(), TENTHS)
def test_an_execution_on_the_same_books_brings_what_the_plan_expects(
    opportunity: Opportunity, tenths: int
) -> None:
    """Where nothing moves, every leg brings what was planned, or one more step of it."""
    plan = some_plan(opportunity, tenths, Decimal(100))
    brought, end = executed(plan, dict(opportunity.books))
    assert [leg.received for leg in plan.legs] <= brought
    assert all(real >= leg.received for real, leg in zip(brought, plan.legs, strict=True))
    assert end.outcome in (Outcome.COMPLETED, Outcome.SHORT)
    assert brought[-1] - plan.legs[0].given >= plan.expected_result


# By hand


def two_legs(sold_at: str, *, least: str = "0.01") -> tuple[list[PlannedLeg], RateView]:
    """10 ETH for USDT through two levels, and as many BTC for that; fees of 10 bps on what is received."""
    fee = Fee(Decimal("0.001"), Provenance.OVERRIDE)
    eth = Market("ETH/USDT", "ETH", "USDT", amount_step=Decimal("0.01"))
    btc = Market("BTC/USDT", "BTC", "USDT", amount_step=Decimal("0.01"), min_amount=Decimal(least))
    sell = planned(
        Leg(eth, Side.SELL, Decimal("10.1"), fee),
        (Level(Decimal("10.1"), Decimal(5)), Level(Decimal(sold_at), Decimal(5))),
        Decimal(10),
    )
    buy = planned(
        Leg(btc, Side.BUY, Decimal(10), fee),
        (Level(Decimal(10), Decimal(50)),),
        (sell.received / 10).quantize(Decimal("0.01"), "ROUND_DOWN"),
    )
    quotes = [
        OrderBook(eth.symbol, (Level(Decimal(10), Decimal(9)),), (Level(Decimal(11), Decimal(9)),)),
        OrderBook(btc.symbol, (Level(Decimal(9), Decimal(9)),), (Level(Decimal(10), Decimal(9)),)),
    ]
    rates = RateTable([eth, btc], FeeSchedule(otherwise=fee), [book.quote() for book in quotes])
    return [sell, buy], rates.view()


def test_the_worst_case_pays_each_leg_with_the_one_before() -> None:
    """5 ETH at 10.1 and 5 at 9 bring 95.4045 USDT, but 89.91 at the limit of 9: that buys 8.99 BTC, not 9.54."""
    (sell, buy), _ = two_legs("9")
    assert (sell.received, sell.worst_received) == (Decimal("95.4045"), Decimal("89.91"))
    assert (buy.amount, buy.worst_received) == (Decimal("9.54"), Decimal("9.53046"))
    assert worst_case((sell, buy)) == (Decimal("89.91"), Decimal("8.98101"))


def test_a_leg_too_small_in_the_worst_case_brings_nothing() -> None:
    """Where 9 BTC is the least, 89.91 USDT buy none: the execution ends there, and all counts as lost."""
    (sell, buy), _ = two_legs("9", least="9")
    assert worst_case((sell, buy)) == (Decimal("89.91"), 0)
    cycle = Cycle(
        (
            Leg(sell.market, Side.SELL, Decimal("10.1"), sell.fee),
            Leg(buy.market, Side.BUY, Decimal(10), buy.fee),
        )
    )
    opportunity = Opportunity(cycle, cycle, {}, RateView({}, {}, {}, {}), 0)
    plan = make_plan(opportunity, (sell, buy))
    assert (plan.worst_result, plan.max_loss) == (-10, 10)


@pytest.mark.parametrize(
    ("gap_bps", "loss"),
    [("0", "1.83817"), ("100", "1.91809"), ("10000", "10")],
)
def test_a_stranded_loss_by_hand(gap_bps: str, loss: str) -> None:
    """Stranded with 89.91 USDT of 10 ETH: they pay for 8.17 of them at 11, for 8.09 at 11 / 0.99, less 10 bps."""
    legs, view = two_legs("9")
    assert stranded_losses(view, "ETH", legs, Decimal(gap_bps)) == (Decimal(loss),)
