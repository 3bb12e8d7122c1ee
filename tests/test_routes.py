"""best_route: against every route and every amount of small graphs, and its cases by hand."""

import itertools
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb import FeeSchedule, RateTable, Refused, Route, Snapshot, best_route
from triarb.exceptions import UsageError
from triarb.market.books import parse_book
from triarb.model import Fee, FeeSide, Leg, Market, OrderBook, Provenance, Quote, RateView, Side
from triarb.money import arithmetic
from triarb.pricing.legs import planned as size_leg
from triarb.pricing.plan import unwind_ratio
from triarb.testing.market import planted_triangle
from triarb.testing.opportunities import legs_with_books
from triarb.testing.strategies import NAMES

D = Decimal


@st.composite
def graphs(draw: st.DrawFn) -> tuple[RateView, dict[str, OrderBook], list[str]]:
    """Three to five assets and a handful of markets of coarse steps, with a book of one to three levels each."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=3, max_size=5, unique=True))
    worths = {name: draw(st.sampled_from([D("0.5"), D(1), D(2)])) for name in names}
    pairs = list(itertools.permutations(names, 2))
    legs, books = {}, {}
    for one, other in draw(st.lists(st.sampled_from(pairs), min_size=2, max_size=8)):
        leg, book = draw(legs_with_books(one, other, worths, coarse=True))
        legs[leg.market.symbol], books[leg.market.symbol] = leg, book
    schedule = FeeSchedule({symbol: leg.fee for symbol, leg in legs.items()})
    table = RateTable([leg.market for leg in legs.values()], schedule)
    for book in books.values():
        table.update(book.quote())
    return table.view(), books, names


def all_paths(view: RateView, give: str, get: str, max_legs: int) -> list[list[tuple[str, Side]]]:
    """Every path over distinct assets."""
    found, open_paths = [], [([], [give])]
    for _ in range(max_legs):
        longer = []
        for path, assets in open_paths:
            for symbol, market in view.markets.items():
                for side in Side:
                    received = market.received(side)
                    if market.given(side) == assets[-1] and received not in assets:
                        longer.append(([*path, (symbol, side)], [*assets, received]))
        found += [path for path, assets in longer if assets[-1] == get]
        open_paths = longer
    return found


def outcomes(
    market: Market, side: Side, fee: Fee, book: OrderBook, budget: Fraction
) -> set[Fraction]:
    """What each amount that the market takes and `budget` pays for brings, by the definitions alone."""
    brought = set()
    step = Fraction(market.amount_step or D("1E-8"))
    levels = book.against(side)
    for count in itertools.count(1):
        amount = left = step * count
        gross = Fraction(0)
        price = Fraction(0)
        for level in levels:
            if left > 0:
                part = min(left, Fraction(level.amount))
                gross, price, left = (
                    gross + part * Fraction(level.price),
                    Fraction(level.price),
                    left - part,
                )
        rate = Fraction(fee.rate)
        locked = amount * price if side is Side.BUY else amount
        locked *= 1 + rate if fee.on_given(side) else 1
        if left or locked > budget:
            return brought
        bounds = [
            market.min_amount is None or amount >= market.min_amount,
            market.max_amount is None or amount <= market.max_amount,
            market.min_notional is None or amount * price >= market.min_notional,
            market.max_notional is None or amount * price <= market.max_notional,
            not market.price_tick or price % Fraction(market.price_tick) == 0,
        ]
        if all(bounds):
            got = amount if side is Side.BUY else gross
            brought.add(got if fee.on_given(side) else got * (1 - rate))
    raise AssertionError


def by_brute_force(
    view: RateView,
    books: Mapping[str, OrderBook],
    give: str,
    get: str,
    amount: Decimal,
    max_legs: int,
) -> tuple[Fraction, tuple[str, ...]] | None:
    """The most that any path brings by any amounts, and the first of the paths that do."""
    best: tuple[Fraction, int, tuple[str, ...]] | None = None
    for path in all_paths(view, give, get, max_legs):
        held = {Fraction(amount)}
        for symbol, side in path:
            market, fee = view.markets[symbol], view.fees[symbol]
            held = {
                out for budget in held for out in outcomes(market, side, fee, books[symbol], budget)
            }
        if held:
            mine = (-max(held), len(path), tuple(symbol for symbol, _ in path))
            best = mine if best is None else min(best, mine)
    return best and (-best[0], best[2])


@pytest.mark.once
@settings(max_examples=250)
@given(graphs(), st.decimals("0.1", "7", places=1), st.integers(1, 4), st.booleans(), st.data())
def test_the_best_route_is_the_best_of_all_amounts_on_all_paths(
    graph, amount, max_legs, deep, data
):
    """Through books and at quotes: no other path and no other amounts bring more, and ties go by length and symbols."""
    view, books, names = graph
    give, get = data.draw(st.permutations(names))[:2]
    books = books if deep else {symbol: book.top() for symbol, book in books.items()}
    expected = by_brute_force(view, books, give, get, amount, max_legs)
    route = best_route(view, give, get, amount, books=books if deep else None, max_legs=max_legs)
    event("a route" if expected else "none")
    if isinstance(route, Refused):
        assert expected is None, route
        return
    assert expected is not None
    assert (route.brought, tuple(leg.market.symbol for leg in route.legs)) == expected
    assert_conserved(route)
    for one, other in itertools.pairwise(route.legs):
        leg = Leg(one.market, one.side, one.limit_price, one.fee)
        levels = books[one.market.symbol].against(one.side)
        for steps in range(1, int(one.amount / one.market.amount_step)):
            smaller = size_leg(leg, levels, steps * one.market.amount_step)
            assert isinstance(smaller, Refused) or smaller.received < other.worst_given


def assert_conserved(route: Route) -> None:
    """What arrives at each trade is spent there or told as left over."""
    arrived = route.amount
    with arithmetic():
        for leg in route.legs:
            assert leg.worst_given <= arrived
            assert leg.given + route.left.get(leg.given_asset, D(0)) == arrived
            arrived = leg.received
    assert all(left > 0 for left in route.left.values())
    assert [leg.given_asset for leg in route.legs] == [
        route.give, *(leg.received_asset for leg in route.legs[:-1])
    ]  # fmt: skip


def markets_of(*rows: tuple[str, str, str, str, str], fee_bps: str = "0") -> RateView:
    """A view of markets told as (symbol, bid, ask, size, step), all sizes alike."""
    markets, quotes = [], []
    for symbol, bid, ask, size, step in rows:
        base, quote = symbol.split("/")
        markets.append(Market(symbol, base, quote, amount_step=D(step)))
        told = D(size) if size else None
        quotes.append(Quote(symbol, D(bid), D(ask), told, told))
    return RateTable(markets, FeeSchedule.flat(fee_bps), quotes).view()


def test_a_conversion_worked_by_hand():
    """USDT to ETH over BTC: buy 1 BTC of 100.30 USDT at 100 less 1 %, buy 19 ETH for 0.95 of the 0.99 BTC.

    100.30 / 100 = 1.003 BTC, in steps of 0.1: 1.0 BTC for 100 USDT, 0.30 left. It brings 1.0 * 0.99 = 0.99 BTC, which
    pays for 19.8 ETH at 0.05, in steps of 1: 19 ETH for 0.95 BTC, 0.04 left. They bring 19 * 0.99 = 18.81 ETH. Straight,
    100.30 USDT pay for 17.9 ETH at 5.6: 17, which bring 16.83.
    """
    view = markets_of(
        ("BTC/USDT", "99", "100", "5", "0.1"),
        ("ETH/BTC", "0.04", "0.05", "50", "1"),
        ("ETH/USDT", "5", "5.6", "50", "1"),
        fee_bps="100",
    )
    route = best_route(view, "USDT", "ETH", "100.30")
    assert isinstance(route, Route)
    assert route.brought == D("18.81")
    assert route.left == {"USDT": D("0.30"), "BTC": D("0.04")}
    assert str(route) == (
        "buy 1 BTC/USDT at 100, buy 19 ETH/BTC at 0.05: 100.3 USDT brings 18.81 ETH, "
        "left over 0.3 USDT, 0.04 BTC"
    )
    straight = best_route(view, "USDT", "ETH", "100.30", max_legs=1)
    assert isinstance(straight, Route)
    assert straight.brought == D("16.83")


def test_what_a_later_market_does_not_take_is_left_at_the_beginning():
    """9 A would bring 18 B, of which C/B takes 4 at 2 each: 4 A are sold, and 5 A are left rather than 10 B."""
    view = markets_of(("A/B", "2", "2", "9", "1"), ("C/B", "2", "2", "4", "1"))
    route = best_route(view, "A", "C", 9)
    assert isinstance(route, Route)
    assert (route.brought, route.left) == (D(4), {"A": D(5)})


@pytest.mark.parametrize(
    ("bids", "taken", "sold"),
    [
        ([["10", "1"], ["9", "5"]], "19", 2),  # 10 + 9
        ([["10", "1"], ["9", "5"]], "20", 3),
        ([["10.5", "1"], ["10", "5"]], "3", 2),  # an order of 1 would have a limit off its tick
    ],
)
def test_an_earlier_trade_shrinks_through_the_levels_of_its_book(bids, taken, sold):
    """As little is sold as brings what the next market takes, at a limit that its own market can have."""
    view = markets_of(("A/B", "9", "11", "9", "1"), ("C/B", "1", "1", taken, "1"))
    market = attrs.evolve(view.markets["A/B"], price_tick=D(1))
    view = attrs.evolve(view, markets={**view.markets, "A/B": market})
    book = parse_book("A/B", bids, [["11", "1"]], received_ns=0)
    route = best_route(view, "A", "C", 6, books={"A/B": book})
    assert isinstance(route, Route)
    assert (route.legs[0].amount, route.left["A"]) == (sold, 6 - sold)


def test_a_long_way_is_not_given_up_for_what_lies_ahead_of_it():
    """A unit of X and of Y looks like nothing until Y is sold at 10: more than the 5 that A is sold at straight."""
    view = markets_of(
        ("A/B", "5", "5", "9", "1"),
        ("A/X", "1", "1", "9", "1"),
        ("X/Y", "1", "1", "9", "1"),
        ("Y/B", "10", "10", "9", "1"),
    )
    route = best_route(view, "A", "B", 9)
    assert isinstance(route, Route)
    assert route.brought == 90
    assert best_route(view, "A", "B", 9, max_legs=2).brought == 45


def test_a_book_is_walked_and_its_rest_is_left_over():
    """3 A sold into 1 at 10 and 1 at 9 bring 19, and 1 is left; at the quote alone only 1 is sold."""
    view = markets_of(("A/USD", "10", "11", "1", "0.5"))
    book = parse_book("A/USD", [["10", "1"], ["9", "1"]], [["11", "1"]], received_ns=0)
    deep = best_route(view, "A", "USD", 3, books={"A/USD": book})
    shallow = best_route(view, "A", "USD", 3)
    assert isinstance(deep, Route)
    assert isinstance(shallow, Route)
    assert (deep.brought, deep.left, deep.legs[0].limit_price) == (D(19), {"A": D(1)}, D(9))
    assert (shallow.brought, shallow.left) == (D(10), {"A": D(2)})


def test_sizes_are_ignored_only_if_asked_and_then_it_says_so():
    """A quote that tells no size has no depth; with sizes ignored it takes any amount, and the route names it."""
    view = markets_of(("A/USD", "10", "11", "", "1"), ("B/USD", "5", "5", "1", "1"))
    assert code(best_route(view, "A", "USD", 1000)) == "route.no_depth"
    route = best_route(view, "A", "B", 1000, ignore_sizes=True)
    assert isinstance(route, Route)
    assert (route.brought, route.unsized) == (D(2000), ("A/USD", "B/USD"))
    assert str(route).endswith("; sizes ignored on A/USD, B/USD")
    book = parse_book("B/USD", [["5", "3"]], [["5", "3"]], received_ns=0)
    half = best_route(view, "A", "B", 1000, ignore_sizes=True, books={"B/USD": book})
    assert isinstance(half, Route)
    assert (half.brought, half.unsized) == (D(3), ("A/USD",))


def test_of_equal_routes_the_shortest_then_the_first_by_name():
    """Two equal ways of two trades and one of one: the one; without it, the one whose symbols come first."""
    rows = [
        (f"{base}/{quote}", "1", "1", "9", "1") for base, quote in ["AX", "XB", "A0", "0B", "AB"]
    ]
    for shown in itertools.permutations(rows):
        route = best_route(markets_of(*shown), "A", "B", 5)
        assert isinstance(route, Route)
        assert [leg.market.symbol for leg in route.legs] == ["A/B"]
    for shown in itertools.permutations(rows[:4]):
        route = best_route(markets_of(*shown), "A", "B", 5)
        assert isinstance(route, Route)
        assert [leg.market.symbol for leg in route.legs] == ["A/0", "0/B"]


def test_a_minimum_that_a_worse_price_breaks_is_kept():
    """A sell whose rest goes at a price that brings its notional below the minimum stops before it.

    1 at 100 is 100 of a minimum of 80; 1.5 at a limit of 50 would be 75.
    """
    view = markets_of(("A/USD", "100", "101", "1", "0.5"))
    market = attrs.evolve(view.markets["A/USD"], min_notional=D(80))
    view = attrs.evolve(view, markets={"A/USD": market})
    book = parse_book("A/USD", [["100", "1"], ["50", "9"]], [["101", "1"]], received_ns=0)
    route = best_route(view, "A", "USD", "1.5", books={"A/USD": book})
    assert isinstance(route, Route)
    assert (route.legs[0].amount, route.left) == (D(1), {"A": D("0.5")})
    assert best_route(view, "A", "USD", 2, books={"A/USD": book}).legs[0].amount == 2


def code(answer: object) -> str:
    """The code of a refusal."""
    assert isinstance(answer, Refused)
    assert answer.sentence
    return answer.code


def test_what_leads_nowhere_is_refused_with_its_reason():
    """No path; too small for a step or a minimum; no size; a price off its tick; closed, crossed and unpriced markets."""
    view = markets_of(("A/USD", "10", "11", "5", "1"), ("B/C", "1", "2", "5", "1"))
    assert code(best_route(view, "A", "C", 1)) == "route.none"
    assert code(best_route(view, "A", "Z", 1)) == "route.none"
    refused = best_route(view, "A", "USD", "0.9")
    assert code(refused) == "route.below_minimum"
    assert refused.numbers == {"symbol": "A/USD", "amount": 0, "least": 1, "budget": D("0.9")}

    def changed(**changes: object) -> RateView:
        market = attrs.evolve(view.markets["A/USD"], **changes)
        return attrs.evolve(view, markets={**view.markets, "A/USD": market})

    assert code(best_route(changed(min_notional=D(60)), "A", "USD", 9)) == "route.below_minimum"
    assert code(best_route(changed(max_amount=D("0.5")), "A", "USD", 9)) == "route.below_minimum"
    assert code(best_route(changed(price_tick=D(3)), "A", "USD", 9)) == "market.off_tick"
    assert code(best_route(changed(active=False), "A", "USD", 9)) == "route.none"
    empty = parse_book("A/USD", [], [["11", "1"]], received_ns=0)
    assert code(best_route(view, "A", "USD", 9, books={"A/USD": empty})) == "route.none"
    no_fee = attrs.evolve(view, fees={})
    assert code(best_route(no_fee, "A", "USD", 9)) == "route.none"
    all_of_it = attrs.evolve(view, fees={"A/USD": Fee(D(1), Provenance.OVERRIDE)})
    assert code(best_route(all_of_it, "A", "USD", 9)) == "route.none"
    assert code(best_route(attrs.evolve(view, quotes={}), "A", "USD", 9)) == "route.none"


def test_arguments_that_make_no_sense_raise():
    """An amount that is no number above zero or a float, too few or too many trades, a gap in our favour, one asset into itself."""
    view = markets_of(("A/USD", "10", "11", "5", "1"))
    for amount in ["some", "NaN", 0, "-1", 0.5]:
        with pytest.raises(UsageError, match="amount"):
            best_route(view, "A", "USD", amount)
    for max_legs in (0, 9, "2", 1.5):
        with pytest.raises(UsageError, match="max_legs"):
            best_route(view, "A", "USD", 1, max_legs=max_legs)
    for gap_bps in (-1, 10_001, "NaN"):
        with pytest.raises(UsageError, match="gap_bps"):
            best_route(view, "A", "USD", 1, gap_bps=gap_bps)
    with pytest.raises(UsageError, match="A is to be turned into A"):
        best_route(view, "A", "A", 1)


def test_a_rebate_is_no_reason_to_prune():
    """A way that a rebate makes better than its price is found, whichever side the fee is taken on."""
    view = markets_of(
        ("A/USD", "10", "10", "9", "1"),
        ("A/X", "1", "1", "9", "1"),
        ("X/USD", "9.99", "9.99", "9", "1"),
    )
    for side in FeeSide:
        rebate = Fee(D("-0.01"), Provenance.OVERRIDE, side)
        rebated = attrs.evolve(view, fees={**view.fees, "A/X": rebate, "X/USD": rebate})
        route = best_route(rebated, "A", "USD", 5)
        assert isinstance(route, Route)
        assert len(route.legs) == (1 if side is FeeSide.GIVEN else 2)


@pytest.mark.parametrize("gap_bps", ["0", "100", "10000"])
def test_a_plan_is_stranded_no_better_than_a_conversion_without_steps(gap_bps: str):
    """The way back that stranded losses assume is the best of two trades at the quotes, worsened by the gap twice at most."""
    snapshot: Snapshot = planted_triangle()
    fine = [
        attrs.evolve(m, amount_step=D("1E-18"), min_amount=None, min_notional=None)
        for m in snapshot.markets
    ]
    view = RateTable(fine, snapshot.fees(), snapshot.quotes).view()
    route = best_route(view, "ETH", "USDT", 1, max_legs=2)
    assert isinstance(route, Route)
    back = unwind_ratio(view, "ETH", "USDT", D(gap_bps))
    assert back <= Fraction(route.brought) * (1 - Fraction(gap_bps) / 10_000) + Fraction(1, 10**15)
