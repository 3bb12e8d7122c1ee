"""What limit prices leave over, and which legs fill whole or not at all: by hand, and on a simulated exchange."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb import DepthSizer
from triarb.execution.steps import Finish, next_step
from triarb.market import FeeSchedule
from triarb.model import (
    Approved,
    Cycle,
    Fee,
    Leg,
    LegResult,
    Level,
    Market,
    Opportunity,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    RateView,
    Refused,
    Side,
    TimeInForce,
)
from triarb.money import arithmetic, to_decimal
from triarb.pricing import left_over, make_plan, profit_at, times_in_force, with_resends
from triarb.pricing.legs import least_amount, planned, step_of, unit_given, unit_received
from triarb.simulation import MatchingEngine
from triarb.testing.opportunities import opportunities

RICH = Decimal(10_000_000)
WITHOUT_REBATES = opportunities().filter(
    lambda opportunity: all(leg.fee.rate >= 0 for leg in opportunity.cycle.legs)
)
"""What a rebate will bring cannot pay for the order that it is for: the simulated exchange refuses such an order."""


def deep_plan(opportunity: Opportunity) -> Plan:
    plan = DepthSizer().size(
        Approved(opportunity), Portfolio(balances={opportunity.cycle.start: RICH})
    )
    assert isinstance(plan, Plan)
    return plan


def executed(
    plan: Plan, books: Sequence[OrderBook], start: Decimal
) -> tuple[list[LegResult], Finish, MatchingEngine]:
    """What `next_step` makes of `plan` on a simulated exchange that shows `books`."""
    exchange = MatchingEngine(
        [leg.market for leg in plan.legs],
        FeeSchedule({leg.market.symbol: leg.fee for leg in plan.legs}),
        balances={plan.start: start},
    )
    for book in books:
        exchange.set_book(book)
    results: list[LegResult] = []
    while not isinstance(step := next_step(plan, results), Finish):
        leg = plan.legs[step.leg]
        order = Order(
            str(step.leg),
            leg.market.symbol,
            leg.side,
            step.amount,
            leg.limit_price,
            leg.time_in_force,
        )
        state = exchange.submit(order, 0)
        assert isinstance(state, OrderState), state
        results.append(LegResult(order, state.fills, 0, 0))
    return results, step, exchange


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(WITHOUT_REBATES)
def test_what_stays_on_unchanged_books_is_what_the_plan_says(opportunity: Opportunity) -> None:
    """Every leg fills, whatever its time in force; where the executor trades what was planned, the residues are the left-overs."""
    plan = deep_plan(opportunity)
    results, end, exchange = executed(plan, list(opportunity.books.values()), plan.at_stake)
    for leg, result in zip(plan.legs, results, strict=True):
        assert result.filled >= leg.amount
    as_planned = [result.filled for result in results] == [leg.amount for leg in plan.legs]
    event("as planned" if as_planned else "one more step than planned")
    assert end.outcome in (Outcome.COMPLETED, Outcome.SHORT)
    left = left_over(plan.legs)
    assert all(part.rounding >= 0 and part.limit >= 0 and part.worst >= 0 for part in left)
    if as_planned:
        held = {asset: balance.total for asset, balance in exchange.balances.items()}
        for part in left:
            assert held.get(part.asset, 0) == part.expected


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(WITHOUT_REBATES, st.integers(0, 4), st.integers(1, 9))
def test_a_fill_or_kill_leg_never_fills_in_part(
    opportunity: Opportunity, number: int, tenths: int
) -> None:
    """However thin a book has become, such a leg fills whole or leaves what there was before it."""
    plan = deep_plan(opportunity)
    legs = [attrs.evolve(leg, time_in_force=TimeInForce.FOK) for leg in plan.legs]
    plan = attrs.evolve(plan, legs=tuple(legs))
    thin = legs[number % len(legs)]
    books = dict(opportunity.books)
    book = books[thin.market.symbol]
    with arithmetic():
        levels = tuple(
            Level(level.price, level.amount * tenths / 10) for level in book.against(thin.side)
        )
    side = "asks" if thin.side is Side.BUY else "bids"
    books[thin.market.symbol] = attrs.evolve(book, **{side: levels})
    results, end, _ = executed(plan, list(books.values()), plan.at_stake)
    event(end.outcome)
    for result in results:
        assert result.filled in (0, result.order.amount)
    if len(results) < len(legs):
        assert end.outcome is (Outcome.SHORT if len(results) > 1 else Outcome.NOTHING)


def brought_with(
    plan: Plan, opportunity: Opportunity, twice: int
) -> tuple[Decimal, Decimal, Decimal]:
    """What a simulated exchange holds of the start asset if leg `twice` is sent again for what it left; and what that traded."""
    exchange = MatchingEngine(
        [leg.market for leg in plan.legs],
        FeeSchedule({leg.market.symbol: leg.fee for leg in plan.legs}),
        balances={plan.start: plan.at_stake},
    )
    for book in opportunity.books.values():
        exchange.set_book(book)
    results: list[LegResult] = []
    wanted = traded = Decimal(0)
    while not isinstance(step := next_step(plan, results), Finish):
        leg, fills = plan.legs[step.leg], ()
        amounts = [step.amount, leg.resend] if step.leg == twice else [step.amount]
        for attempt, amount in enumerate(amounts):
            in_force = leg.time_in_force if attempt == 0 else TimeInForce.IOC
            order = Order(
                f"{step.leg}.{attempt}",
                leg.market.symbol,
                leg.side,
                amount,
                leg.limit_price,
                in_force,
            )
            state = exchange.submit(order, 0)
            assert isinstance(state, OrderState), state
            if attempt:
                wanted, traded = amount, state.filled
            fills = (*fills, *state.fills)
        results.append(LegResult(attrs.evolve(order, amount=step.amount), fills, 0, 0))
    balance = exchange.balances.get(plan.start)
    return (balance.total if balance else Decimal(0)), wanted, traded


@pytest.mark.once
@settings(max_examples=150, deadline=None)
@given(WITHOUT_REBATES, st.integers(5, 30))
def test_a_second_order_wins_what_the_plan_says(opportunity: Opportunity, tenths: int) -> None:
    """On unchanged books it is taken, fills whole, and brings just that much more; without it nothing changes."""
    best = deep_plan(opportunity)
    larger = profit_at(opportunity, to_decimal(Fraction(best.legs[0].worst_given) * tenths / 10, 8))
    plan = best if isinstance(larger, Refused) else make_plan(opportunity, larger.legs)
    once, _, _ = brought_with(plan, opportunity, -1)
    assert (plan.legs[0].resend, plan.legs[0].resend_gain) == (0, 0)
    event("a second order" if any(leg.resend for leg in plan.legs) else "none")
    for number, leg in enumerate(plan.legs):
        assert (leg.resend > 0) == (leg.resend_gain > 0)
        if leg.resend:
            then, wanted, traded = brought_with(plan, opportunity, number)
            assert wanted == traded == leg.resend
            assert then - once == leg.resend_gain


def whole_steps(leg: PlannedLeg, amount: Fraction) -> Fraction:
    """The most that `amount` comes to in whole steps of the market."""
    step = Fraction(step_of(leg.market))
    return amount // step * step


def goes_on(legs: Sequence[PlannedLeg], filled: Fraction) -> bool:
    """Whether a fill of `filled` of the first of `legs` at its limit is enough for the minimums of all the others."""
    first = legs[0]
    held = whole_steps(first, filled) * Fraction(
        unit_received(first.side, first.limit_price, first.fee)
    )
    for leg in legs[1:]:
        amount = whole_steps(leg, held / Fraction(unit_given(leg.side, leg.limit_price, leg.fee)))
        if amount < Fraction(least_amount(leg.market, leg.limit_price)):
            return False
        held = amount * Fraction(unit_received(leg.side, leg.limit_price, leg.fee))
    return True


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(opportunities(), st.integers(1, 30))
def test_legs_are_fill_or_kill_where_half_a_fill_cannot_go_on(
    opportunity: Opportunity, parts: int
) -> None:
    """Every leg but the last, which takes whatever there is; at sizes down to the smallest that there is."""
    plan = deep_plan(opportunity)
    room = to_decimal(Fraction(plan.at_stake) / parts, 8)
    smaller = DepthSizer().size(
        Approved(opportunity, max_amount=room), Portfolio(balances={plan.start: RICH})
    )
    plan = smaller if isinstance(smaller, Plan) else plan
    for number, leg in enumerate(plan.legs):
        enough = goes_on(plan.legs[number:], Fraction(leg.amount) / 2)
        expected = TimeInForce.IOC if enough else TimeInForce.FOK
        event(f"{expected}, {'last' if leg is plan.legs[-1] else 'before'}")
        assert leg.time_in_force is expected or leg is plan.legs[-1]
    assert plan.legs[-1].time_in_force is TimeInForce.IOC


def test_a_leg_that_somebody_decided_on_stays_as_it_is() -> None:
    """Only an IOC leg becomes fill-or-kill."""
    legs = three_legs(least="20")
    assert [leg.time_in_force for leg in times_in_force(legs)] == ["FOK", "IOC", "IOC"]
    standing = attrs.evolve(legs[0], time_in_force=TimeInForce.GTC)
    assert times_in_force((standing, *legs[1:]))[0] is standing


def test_half_a_fill_must_reach_the_next_steps_too() -> None:
    """Half of 2 A would pay for half a B, which is more than the minimum of 0.3 but no whole step: all or nothing."""
    fee, one, step = Fee(Decimal(0), Provenance.OVERRIDE), Decimal(1), Decimal("0.1")
    sides = [
        (Market("A/S", "A", "S", amount_step=step), Side.BUY, one, Decimal(2)),
        (Market("B/A", "B", "A", amount_step=one), Side.BUY, Decimal(2), one),
        (Market("B/S", "B", "S", min_amount=Decimal("0.3")), Side.SELL, one, one),
    ]
    legs = []
    for market, side, price, amount in sides:
        leg = planned(Leg(market, side, price, fee), [Level(price, amount)], amount)
        assert isinstance(leg, PlannedLeg)
        legs.append(leg)
    assert [leg.time_in_force for leg in times_in_force(legs)] == ["FOK", "FOK", "IOC"]


# By hand

FREE = Fee(Decimal(0), Provenance.OVERRIDE)


def three_legs(*, least: str = "0.01") -> tuple[PlannedLeg, ...]:
    """2 BTC at 100 and 1 at 101, for 3 BTC 30 of 31 ETH at 0.09 and 0.1, and those sold at 12."""
    found = []
    for symbol, side, levels, amount in (
        ("BTC/USDT", Side.BUY, [("100", "2"), ("101", "9")], "3"),
        ("ETH/BTC", Side.BUY, [("0.09", "10"), ("0.099", "50")], "30"),
        ("ETH/USDT", Side.SELL, [("12", "50")], "30"),
    ):
        base, quote = symbol.split("/")
        market = Market(symbol, base, quote, amount_step=Decimal(1))
        if symbol == "ETH/BTC":
            market = attrs.evolve(market, min_amount=Decimal(least))
        shown = [Level(Decimal(price), Decimal(size)) for price, size in levels]
        leg = planned(Leg(market, side, shown[0].price, FREE), shown, Decimal(amount))
        assert isinstance(leg, PlannedLeg)
        found.append(leg)
    return tuple(found)


def test_what_stays_by_hand() -> None:
    """30 ETH lock 2.97 BTC of 3, so that 0.03 are left by rounding; 10 of them cost 0.009 less each: 0.09 more are left."""
    first, second = left_over(three_legs())
    assert (first.asset, first.rounding, first.limit) == ("BTC", Decimal("0.03"), Decimal("0.09"))
    assert (first.expected, first.worst) == (Decimal("0.12"), Decimal("0.03"))
    assert (second.asset, second.expected, second.worst) == ("ETH", 0, 0)


def resent(*, sold: str = "50", least: str = "0.01", shown: str = "50") -> tuple[Decimal, Decimal]:
    """What `three_legs` re-send in leg 2 where ETH/BTC shows so much at 0.099 and takes so little, and what that wins."""
    legs = three_legs(least=least)
    cycle = Cycle(tuple(Leg(leg.market, leg.side, leg.limit_price, FREE) for leg in legs))
    books = {}
    rows = [["100:9"], ["0.09:10", f"0.099:{shown}"], [f"12:{sold}"]]
    for leg, levels in zip(legs, rows, strict=True):
        side = tuple(Level(*map(Decimal, level.split(":"))) for level in levels)
        books[leg.market.symbol] = OrderBook(leg.market.symbol, side, side)
    plan = make_plan(Opportunity(cycle, cycle, books, RateView({}, {}, {}, {}), 0), legs)
    assert [leg.resend for leg in (plan.legs[0], plan.legs[2])] == [0, 0]
    return plan.legs[1].resend, plan.legs[1].resend_gain


def test_a_second_order_by_hand() -> None:
    """Of 3 BTC 0.12 are left: 1 ETH more at 0.099, sold at 12, if the books show it and the market takes so few."""
    assert resent() == (1, 12)
    assert resent(sold="30") == (0, 0)  # nobody would buy it
    assert resent(shown="20") == (0, 0)  # all of them are taken already
    assert resent(least="2") == (0, 0)  # and 1 is below the minimum


def test_without_books_there_is_no_second_order() -> None:
    """What they show is not known."""
    assert [leg.resend for leg in with_resends(three_legs(), {})] == [0, 0, 0]


def test_what_the_worst_case_cannot_go_on_with_stays_whole() -> None:
    """Sold at the worse of two prices, 2 ETH bring less than 1 BTC costs: all of it stays."""
    eth = Market("ETH/USDT", "ETH", "USDT", amount_step=Decimal(1))
    btc = Market("BTC/USDT", "BTC", "USDT", amount_step=Decimal(1))
    levels = [Level(Decimal(60), Decimal(1)), Level(Decimal(49), Decimal(1))]
    sell = planned(Leg(eth, Side.SELL, Decimal(60), FREE), levels, Decimal(2))
    buy = planned(
        Leg(btc, Side.BUY, Decimal(100), FREE), [Level(Decimal(100), Decimal(1))], Decimal(1)
    )
    assert isinstance(sell, PlannedLeg)
    assert isinstance(buy, PlannedLeg)
    [part] = left_over((sell, buy))
    assert (part.rounding, part.limit, part.worst) == (9, 0, 98)


@pytest.mark.parametrize(("shown", "outcome"), [("50", Outcome.COMPLETED), ("29", Outcome.SHORT)])
def test_a_fill_or_kill_leg_trades_no_more_than_planned(shown: str, outcome: Outcome) -> None:
    """Leg 1 brings enough for 31 ETH; 30 were planned, and 30 are asked for, since 31 may not be there."""
    legs = three_legs()
    cycle = Cycle(tuple(Leg(leg.market, leg.side, leg.limit_price, FREE) for leg in legs))
    opportunity = Opportunity(cycle, cycle, {}, RateView({}, {}, {}, {}), 0)
    plan = make_plan(opportunity, legs)
    whole = attrs.evolve(plan.legs[1], time_in_force=TimeInForce.FOK)
    plan = attrs.evolve(plan, legs=(plan.legs[0], whole, plan.legs[2]))
    books = []
    for leg, price, size in zip(plan.legs, ("100", "0.09", "12"), ("9", shown, "50"), strict=True):
        level = (Level(Decimal(price), Decimal(size)),)
        other = (Level(Decimal(price) * (2 if leg.side is Side.SELL else Decimal("0.5")), RICH),)
        bids, asks = (other, level) if leg.side is Side.BUY else (level, other)
        books.append(OrderBook(leg.market.symbol, bids, asks))
    results, end, exchange = executed(plan, books, plan.at_stake)
    assert end.outcome is outcome
    assert results[1].order.amount == 30
    state = exchange.look_up("1", "ETH/BTC")
    assert isinstance(state, OrderState)
    filled = OrderStatus.FILLED if outcome is Outcome.COMPLETED else OrderStatus.EXPIRED
    assert (state.status, state.filled) == (filled, 30 if outcome is Outcome.COMPLETED else 0)
