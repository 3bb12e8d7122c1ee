"""The size of most profit through whole books, against every whole-step size that there is."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.market import FeeSchedule
from triarb.model import (
    Cycle,
    Fee,
    FeeSide,
    Leg,
    Level,
    Market,
    Opportunity,
    OrderBook,
    Provenance,
    Refused,
    Side,
)
from triarb.money import ONE
from triarb.pricing import confirm, make_plan, most_profitable
from triarb.pricing.depth import Sized, most_profitable_depth
from triarb.pricing.legs import planned
from triarb.pricing.sizes import Bounds
from triarb.pricing.walk import unrounded, walk
from triarb.testing.opportunities import view_of
from triarb.testing.strategies import fees

Books = dict[str, OrderBook]
NAMES = ("USDT", "BTC", "ETH", "EUR")
AMOUNTS = st.sampled_from(["0.3", "0.5", "1", "1.2", "2", "2.25"]).map(Decimal)
STEPS = {
    2: st.sampled_from(["0.07", "0.1", "0.15", "0.25", "0.5"]).map(Decimal),
    3: st.sampled_from(["0.2", "0.25", "0.3", "0.5"]).map(Decimal),
    4: st.sampled_from(["0.3", "0.45", "0.5", "0.6"]).map(Decimal),
}
LEASTS = st.sampled_from([None] * 12 + [Decimal(text) for text in ("0.5", "0.9", "1.1", "1.5")])
MOSTS = st.sampled_from([None] * 12 + [Decimal(text) for text in ("1.3", "2", "3.1")])
TICKS = st.sampled_from([None] * 20 + [Decimal("0.002")])


@st.composite
def opportunities(draw: st.DrawFn) -> Opportunity:
    """Cycles of two to four legs over books of one to four levels and at most some twenty steps a side."""
    length = draw(st.integers(2, 4))
    levels_most = {2: 4, 3: 3, 4: 2}[length]
    names = NAMES[:length]
    legs, books = [], {}
    for gives, receives in zip(names, [*names[1:], names[0]], strict=True):
        side = draw(st.sampled_from(Side))
        base, quote = (receives, gives) if side is Side.BUY else (gives, receives)
        worse = 1 if side is Side.BUY else -1
        price = 1 - worse * Decimal(draw(st.integers(-20, 700))) / 10_000
        levels = []
        for _ in range(draw(st.integers(1, levels_most))):
            levels.append(Level(price, draw(AMOUNTS)))
            price += worse * Decimal(draw(st.integers(1, 250))) / 10_000
        market = Market(
            f"{base}/{quote}:{side}",
            base,
            quote,
            price_tick=draw(TICKS),
            amount_step=draw(STEPS[length]),
            min_amount=draw(LEASTS),
            max_amount=draw(MOSTS),
            min_notional=draw(LEASTS),
            max_notional=draw(MOSTS),
        )
        far = (Level(Decimal("0.5") if side is Side.BUY else Decimal(2), Decimal(1)),)
        bids, asks = (far, tuple(levels)) if side is Side.BUY else (tuple(levels), far)
        books[market.symbol] = OrderBook(market.symbol, bids, asks)
        legs.append(Leg(market, side, levels[0].price, draw(fees())))
    cycle = Cycle(tuple(legs))
    return Opportunity(cycle, cycle, books, view_of(cycle, books), 0)


def bounds() -> st.SearchStrategy[Bounds]:
    """Bounds of every kind but the one on losses."""
    room = st.sampled_from([None] * 6 + [Decimal(text) for text in ("0.4", "1.1", "2", "2.9")])
    edges = st.sampled_from(["0", "0", "0", "1", "40", "-60"]).map(Decimal)
    return st.builds(Bounds, room, room, st.none(), edges)


@attrs.frozen
class Amount:
    """An amount of a leg, by the words of the contracts alone; shares no code with the package."""

    amount: Fraction
    lock: Fraction
    spent: Fraction
    brought: Fraction
    rate: Fraction


def at(leg: Leg, price: Fraction, amount: Fraction) -> tuple[Fraction, Fraction]:
    """What `amount` at `price` spends and brings, by the words of `FeeSide`."""
    cost, rate = amount * price, Fraction(leg.fee.rate)
    spent, brought = (cost, amount) if leg.side is Side.BUY else (amount, cost)
    if leg.fee.charged_in is FeeSide.GIVEN or (
        leg.fee.charged_in is FeeSide.QUOTE and leg.side is Side.BUY
    ):
        return spent * (1 + rate), brought
    return spent, brought * (1 - rate)


def amounts(leg: Leg, levels: tuple[Level, ...]) -> list[Amount]:
    """Every amount of a leg that its market takes, tried one step at a time."""
    market = leg.market
    step, found = Fraction(market.amount_step), []
    amount = step
    while amount <= sum(Fraction(level.amount) for level in levels):
        left, spent, brought, price = amount, Fraction(0), Fraction(0), Fraction(0)
        for level in levels:
            part = min(left, Fraction(level.amount))
            if part:
                price = Fraction(level.price)
                one, other = at(leg, price, part)
                spent, brought, left = spent + one, brought + other, left - part
        if (
            (market.price_tick is None or price % Fraction(market.price_tick) == 0)
            and (market.min_amount is None or amount >= Fraction(market.min_amount))
            and (market.max_amount is None or amount <= Fraction(market.max_amount))
            and (market.min_notional is None or amount * price >= Fraction(market.min_notional))
            and (market.max_notional is None or amount * price <= Fraction(market.max_notional))
        ):
            lock, worst = at(leg, price, amount)
            found.append(Amount(amount, lock, spent, brought, worst / lock))
        amount += step
    return found


def every_size(opportunity: Opportunity, bounds: Bounds) -> Iterator[tuple[Amount, ...]]:
    """All sizes within `bounds`, its bound on losses apart."""
    legs = opportunity.cycle.legs
    all_amounts = [
        amounts(leg, opportunity.books[leg.market.symbol].against(leg.side)) for leg in legs
    ]
    rooms = [Fraction(room) for room in (bounds.balance, bounds.max_amount) if room is not None]

    def longer(size: tuple[Amount, ...], rate: Fraction) -> Iterator[tuple[Amount, ...]]:
        if len(size) == len(legs):
            if rate >= 1 + Fraction(bounds.min_edge_bps) / 10_000:
                yield size
            return
        for amount in all_amounts[len(size)]:
            paid = [*rooms] if not size else [size[-1].brought]
            if all(amount.lock <= room for room in paid):
                yield from longer((*size, amount), rate * amount.rate)

    return longer((), Fraction(1))


def profit_of(size: tuple[Amount, ...]) -> Fraction:
    return size[-1].brought - size[0].spent


@pytest.mark.once
@settings(max_examples=250, deadline=None)
@given(opportunities(), bounds())
def test_no_other_size_earns_more(opportunity: Opportunity, bounds: Bounds) -> None:
    """The answer is a size within all bounds that earns most, of equals spends least, and says that it is proved."""
    sizes = {tuple(leg.amount for leg in size): size for size in every_size(opportunity, bounds)}
    most = max(map(profit_of, sizes.values()), default=None)
    answer = most_profitable_depth(opportunity, bounds)
    if isinstance(answer, Refused):
        event(answer.code)
        assert most is None or most <= 0
        if answer.code == "cycle.no_profit_after_rounding":
            assert most is not None
        return
    event(f"bound by {answer.binding.split(' ')[0]}")
    size = sizes[tuple(Fraction(leg.amount) for leg in answer.legs)]
    for leg, amount in zip(answer.legs, size, strict=True):
        assert Fraction(leg.given) == amount.spent
        assert Fraction(leg.received) == amount.brought
        assert Fraction(leg.worst_given) == amount.lock
    assert Fraction(answer.profit) == most
    assert answer.profit > 0
    assert Fraction(answer.amount) == min(
        size[0].spent for size in sizes.values() if profit_of(size) == most
    )
    assert answer.gap == 0
    assert Fraction(answer.profit) <= unrounded(opportunity.cycle, opportunity.books)[1]


@pytest.mark.once
@settings(max_examples=250, deadline=None)
@given(opportunities())
def test_confirmed_is_where_some_size_profits(opportunity: Opportunity) -> None:
    """A cycle is confirmed if, and only if, one of all sizes through all levels earns something, whatever its last units do."""
    fees = FeeSchedule({leg.market.symbol: leg.fee for leg in opportunity.cycle.legs})
    answer = confirm(opportunity.cycle, opportunity.books, fees, opportunity.rates, 0)
    sizes = [*every_size(opportunity, Bounds(min_edge_bps=Decimal(-10_000)))]
    earns = any(profit_of(size) > 0 for size in sizes)
    top = isinstance(most_profitable(opportunity), Sized)
    event(f"{'confirmed' if earns else 'refused'}, {'also' if top else 'not'} at the tops")
    assert isinstance(answer, Opportunity) is earns
    assert earns or not top


@pytest.mark.once
@settings(max_examples=120, deadline=None)
@given(opportunities(), bounds(), st.integers(0, 3))
def test_a_search_cut_short_certifies_its_gap(
    opportunity: Opportunity, bounds: Bounds, budget: int
) -> None:
    """However small the budget, no size earns more than the answer and its gap."""
    answer = most_profitable_depth(opportunity, bounds, budget)
    best = most_profitable_depth(opportunity, bounds)
    if isinstance(best, Refused):
        assert isinstance(answer, Refused)
    elif isinstance(answer, Sized):
        event("short of the best" if answer.profit < best.profit else "the best")
        assert answer.profit <= best.profit <= answer.profit + answer.gap
    else:
        event("none found")
        assert answer.code == "cycle.no_profit_after_rounding"


@pytest.mark.once
@settings(max_examples=150, deadline=None)
@given(
    opportunities(),
    bounds(),
    st.sampled_from(["0", "0.01", "0.1", "0.3", "1"]).map(Decimal),
    st.sampled_from([0, 100, 900]),
)
def test_a_bound_on_losses_is_kept_and_its_cost_certified(
    opportunity: Opportunity, bounds: Bounds, max_loss: Decimal, gap_bps: int
) -> None:
    """The plan cannot lose more, and no size that cannot either earns more than the answer and its gap."""
    bounds = attrs.evolve(bounds, max_loss=max_loss, gap_bps=Decimal(gap_bps))
    answer = most_profitable_depth(opportunity, bounds)
    profit = Fraction(0)
    if isinstance(answer, Sized):
        event(f"bound by {answer.binding.split(' ')[0]}")
        assert make_plan(opportunity, answer.legs, bounds.gap_bps).max_loss <= max_loss
        profit = Fraction(answer.profit) + Fraction(answer.gap)
    else:
        event(answer.code)
        if answer.code == "size.max_loss":
            return
    for size in every_size(opportunity, bounds):
        if profit_of(size) > profit:
            assert loss_of(opportunity, size, bounds.gap_bps) > max_loss


def loss_of(opportunity: Opportunity, size: tuple[Amount, ...], gap_bps: Decimal) -> Decimal:
    """What a size may lose, by the plan that is made of it."""
    legs = [
        planned(
            leg,
            opportunity.books[leg.market.symbol].against(leg.side),
            Decimal(amount.amount.numerator) / Decimal(amount.amount.denominator),
        )
        for leg, amount in zip(opportunity.cycle.legs, size, strict=True)
    ]
    return make_plan(opportunity, legs, gap_bps).max_loss


def sides(opportunity: Opportunity) -> list[tuple[Leg, tuple[Level, ...]]]:
    return [
        (leg, opportunity.books[leg.market.symbol].against(leg.side))
        for leg in opportunity.cycle.legs
    ]


def with_book(opportunity: Opportunity, leg: Leg, levels: tuple[Level, ...]) -> Opportunity:
    """`opportunity` with other levels where `leg` trades."""
    book = opportunity.books[leg.market.symbol]
    changed = attrs.evolve(book, **{"asks" if leg.side is Side.BUY else "bids": levels})
    return attrs.evolve(opportunity, books={**opportunity.books, book.symbol: changed})


def most(opportunity: Opportunity, bounds: Bounds) -> Decimal:
    answer = most_profitable_depth(opportunity, bounds)
    return Decimal(0) if isinstance(answer, Refused) else answer.profit


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(opportunities(), bounds(), st.data())
def test_a_deeper_book_never_earns_less(
    opportunity: Opportunity, bounds: Bounds, data: st.DataObject
) -> None:
    """One more level behind the last one, or none: what could be traded before still can."""
    leg, levels = data.draw(st.sampled_from(sides(opportunity)))
    worse = levels[-1].price * (Decimal("1.003") if leg.side is Side.BUY else Decimal("0.997"))
    deeper = with_book(opportunity, leg, (*levels, Level(worse, data.draw(AMOUNTS))))
    less, more = most(opportunity, bounds), most(deeper, bounds)
    event("earns more" if more > less else "earns the same")
    assert more >= less
    assert unrounded(deeper.cycle, deeper.books) >= unrounded(opportunity.cycle, opportunity.books)


@pytest.mark.once
@settings(max_examples=100, deadline=None)
@given(opportunities(), bounds(), st.data())
def test_a_higher_fee_never_earns_more(
    opportunity: Opportunity, bounds: Bounds, data: st.DataObject
) -> None:
    """What pays at the higher fee pays at the lower one, and more."""
    legs = list(opportunity.cycle.legs)
    number = data.draw(st.integers(0, len(legs) - 1))
    fee = legs[number].fee
    higher = attrs.evolve(fee, rate=fee.rate + Decimal(data.draw(st.integers(1, 40))) / 10_000)
    legs[number] = attrs.evolve(legs[number], fee=higher)
    dearer = attrs.evolve(opportunity, cycle=Cycle(tuple(legs)))
    more, less = most(opportunity, bounds), most(dearer, bounds)
    event("earns less" if more > less else "earns the same")
    assert more >= less
    assert (
        unrounded(dearer.cycle, dearer.books)[1]
        <= unrounded(opportunity.cycle, opportunity.books)[1]
    )


def brings(opportunity: Opportunity, amount: Fraction) -> Fraction | None:
    """What `amount` of the start asset comes to, leg by leg through the levels; None where a book ends."""
    for leg, levels in sides(opportunity):
        left, brought = amount, Fraction(0)
        for level in levels:
            spent, received = at(leg, Fraction(level.price), Fraction(level.amount))
            part = min(left, spent)
            left, brought = left - part, brought + part * received / spent
        if left:
            return None
        amount = brought
    return amount


@pytest.mark.once
@settings(max_examples=60, deadline=None)
@given(opportunities(), st.sampled_from(["0", "50", "-20"]).map(Decimal))
def test_the_walk_is_the_profit_before_rounding(
    opportunity: Opportunity, min_edge_bps: Decimal
) -> None:
    """Rates fall; up to every end of a segment it comes to what the legs say one by one; no amount of a grid beats it."""
    legs = tuple(
        attrs.evolve(leg, market=attrs.evolve(leg.market, max_amount=None, max_notional=None))
        for leg in opportunity.cycle.legs
    )
    cycle = Cycle(legs)
    segments = list(walk(cycle, opportunity.books))
    rates = [segment.rate for segment in segments]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == cycle.net_ratio
    spent = brought = Fraction(0)
    for segment in segments:
        spent, brought = spent + segment.given, brought + segment.given * segment.rate
        assert brings(opportunity, spent) == brought
        assert segment.ends
    assert brings(opportunity, spent * Fraction(1_000_001, 1_000_000)) is None
    at_best, profit = unrounded(cycle, opportunity.books)
    event("profitable" if profit else "not profitable")
    for count in range(1, 60):
        there = brings(opportunity, spent * count / 59)
        assert there is not None
        assert there - spent * count / 59 <= profit
    assert (brings(opportunity, at_best) or 0) - at_best == profit
    floor = 1 + max(Fraction(0), Fraction(min_edge_bps) / 10_000)
    assert unrounded(cycle, opportunity.books, min_edge_bps=min_edge_bps)[0] == sum(
        segment.given for segment in segments if segment.rate >= floor
    )
    half = at_best / 2
    room = Decimal(half.numerator) / Decimal(half.denominator)
    assert unrounded(cycle, opportunity.books, room)[0] == min(Fraction(room), at_best)


# By hand


def planted(
    *,
    btc: str = "100:1 101:6",
    eth: str = "0.1:50",
    sold: str = "10.5:50",
    limits: dict[str, dict[str, Decimal]] | None = None,
) -> Opportunity:
    """USDT, BTC, ETH and back without fees: levels as ``price:amount``, by leg."""
    legs, books = [], {}
    for symbol, side, text in (
        ("BTC/USDT", Side.BUY, btc),
        ("ETH/BTC", Side.BUY, eth),
        ("ETH/USDT", Side.SELL, sold),
    ):
        base, quote = symbol.split("/")
        levels = tuple(
            Level(*(Decimal(part) for part in level.split(":"))) for level in text.split()
        )
        market = Market(
            symbol,
            base,
            quote,
            **{"amount_step": Decimal("0.01"), **(limits or {}).get(symbol, {})},
        )
        legs.append(
            Leg(
                market,
                side,
                levels[0].price if levels else ONE,
                Fee(Decimal(0), Provenance.OVERRIDE),
            )
        )
        books[symbol] = OrderBook(symbol, levels, levels)
    cycle = Cycle(tuple(legs))
    return Opportunity(cycle, cycle, books, view_of(cycle, {}), 0)


def answered(opportunity: Opportunity, **bounds: Decimal) -> tuple[str, str, str]:
    """Amount, profit and binding constraint."""
    answer = most_profitable_depth(opportunity, Bounds(**bounds))
    assert isinstance(answer, Sized), answer
    assert answer.gap == 0
    return str(answer.amount.normalize()), str(answer.profit.normalize()), answer.binding


def test_the_walk_by_hand() -> None:
    """100 USDT come back as 105, 404 more at 10.5 / 10.1, and 101 more at 10.2 / 10.1, with which two books end."""
    opportunity = planted(eth="0.1:60", sold="10.5:50 10.2:10")
    assert [(s.given, s.rate, s.ends) for s in walk(opportunity.cycle, opportunity.books)] == [
        (100, Fraction(105, 100), ("BTC/USDT",)),
        (404, Fraction(105, 101), ("ETH/USDT",)),
        (101, Fraction(102, 101), ("ETH/BTC", "ETH/USDT")),
    ]
    assert unrounded(opportunity.cycle, opportunity.books) == (605, 22)


def test_a_limit_price_costs_what_the_book_gave_better() -> None:
    """Beyond 50 ETH all of them must be paid for at 0.102: what 500 USDT bring at the first level is more."""
    opportunity = planted(btc="100:10", eth="0.1:50 0.102:5", sold="10.5:60")
    assert answered(opportunity) == ("5E+2", "25", "limit of ETH/BTC")
    assert unrounded(opportunity.cycle, opportunity.books)[1] > 26


@pytest.mark.parametrize(
    ("market", "bounds", "expected"),
    [
        ({}, {}, ("504", "21", "depth of ETH/USDT")),
        ({"btc": "100:1 101:2"}, {}, ("302", "13", "depth of BTC/USDT")),
        ({"btc": "100:1 101:2 106:4"}, {}, ("302", "13", "edge")),
        ({"btc": "100:1 101:2"}, {"min_edge_bps": "450"}, ("1E+2", "5", "edge")),
        ({}, {"balance": "50", "max_amount": "60"}, ("5E+1", "2.5", "balance")),
        ({}, {"balance": "70", "max_amount": "60"}, ("6E+1", "3", "max_amount")),
        ({}, {"max_loss": "3"}, ("3", "0.15", "max_loss")),
        (
            {"limits": {"ETH/BTC": {"max_amount": Decimal(7)}}},
            {},
            ("7E+1", "3.5", "maximum of ETH/BTC"),
        ),
        (
            {"limits": {"ETH/USDT": {"max_notional": Decimal(200)}}},
            {},
            ("190.9", "8.6", "maximum of ETH/USDT"),
        ),
        (
            {"btc": "100:1 107:5", "limits": {"ETH/BTC": {"min_amount": Decimal("10.01")}}},
            {"min_edge_bps": "-500"},
            ("101.07", "4.98", "minimum"),
        ),
        (
            {"btc": "100:1 107:5"},
            {"min_edge_bps": "-500"},
            ("1E+2", "5", "edge"),
        ),
    ],
)
def test_the_binding_constraint_is_named(
    market: dict[str, Any], bounds: dict[str, str], expected: tuple[str, str, str]
) -> None:
    """Five of one triangle's 5 percent, and what keeps it from more."""
    told = {name: Decimal(value) for name, value in bounds.items()}
    assert answered(planted(**market), **told) == expected


@pytest.mark.parametrize(
    ("market", "bounds", "code", "said"),
    [
        ({"eth": "0.12:50"}, {}, "cycle.unprofitable", "multiplies to"),
        ({"btc": ""}, {}, "cycle.no_depth", "shows no size"),
        ({}, {"min_edge_bps": "501"}, "size.edge", "of at least 1.0501"),
        ({}, {"balance": "0.5"}, "size.balance", "costs no more than the 0.5 USDT that are free"),
        ({}, {"max_amount": "0.5"}, "size.bound", "costs no more than the bound of 0.5 USDT"),
        ({}, {"max_loss": "0.5"}, "size.max_loss", "was found to lose no more than 0.5 USDT"),
        ({}, {"max_loss": "-1"}, "size.max_loss", "was found to lose no more than -1 USDT"),
        (
            {"limits": {"ETH/BTC": {"min_amount": Decimal(40)}}, "btc": "100:2"},
            {},
            "cycle.below_minimum",
            "keeps the minimums of all its markets within the depth of BTC/USDT",
        ),
        (
            {"limits": {"ETH/BTC": {"min_amount": Decimal(70)}}},
            {},
            "cycle.below_minimum",
            "shows 50 at prices that earn, less than its minimum of 70 ETH",
        ),
        (
            {"limits": {"ETH/BTC": {"min_amount": Decimal(7), "max_amount": Decimal(6)}}},
            {},
            "cycle.above_maximum",
            "maximum below its minimum",
        ),
        (
            {"limits": {"BTC/USDT": {"min_amount": Decimal("1.01")}}, "btc": "100:1 104:5"},
            {"min_edge_bps": "300"},
            "cycle.below_minimum",
            "shows 1 at prices that earn",
        ),
        (
            {"limits": {"ETH/BTC": {"price_tick": Decimal("0.03")}}},
            {},
            "market.off_tick",
            "no price of its own ticks",
        ),
    ],
)
def test_why_there_is_no_size(
    market: dict[str, Any], bounds: dict[str, str], code: str, said: str
) -> None:
    """Each refusal has its code and says what is in the way."""
    told = {name: Decimal(value) for name, value in bounds.items()}
    answer = most_profitable_depth(planted(**market), Bounds(**told))
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert said in answer.sentence


def test_a_search_cut_short_by_hand() -> None:
    """With awkward steps the first size that is tried is not the best; its gap reaches at least to that."""
    steps = {"BTC/USDT": "0.013", "ETH/BTC": "0.17", "ETH/USDT": "0.11"}
    limits = {symbol: {"amount_step": Decimal(step)} for symbol, step in steps.items()}
    opportunity = planted(btc="100:20", eth="0.1:20", sold="10.05:20", limits=limits)
    best = most_profitable_depth(opportunity)
    cut = most_profitable_depth(opportunity, budget=2)
    assert isinstance(best, Sized)
    assert isinstance(cut, Sized)
    assert best.gap == 0
    assert cut.profit < best.profit <= cut.profit + cut.gap
    assert cut.profit + cut.gap <= 1  # half a percent of 200 USDT


def test_a_size_that_may_lose_too_much_is_passed_over() -> None:
    """At 10.1 for all of 40 ETH, 3.5 BTC come back of 4, not 4.2; at 10.9 for 19.27 of them nothing can go wrong."""
    opportunity = planted(
        btc="100:20",
        sold="10.9:20 10.1:20",
        limits={"BTC/USDT": {"amount_step": Decimal("0.7")}},
    )
    cycle = opportunity.cycle.starting_from("BTC")
    rates = view_of(cycle, opportunity.books)
    opportunity = attrs.evolve(opportunity, cycle=cycle, rates=rates)
    best = most_profitable_depth(opportunity)
    careful = most_profitable_depth(
        opportunity, Bounds(max_loss=Decimal("0.3"), gap_bps=Decimal(0))
    )
    assert isinstance(best, Sized)
    assert isinstance(careful, Sized)
    assert (best.amount, best.profit, best.gap) == (4, Decimal("0.2"), 0)
    assert (careful.amount, careful.profit) == (Decimal("1.927"), Decimal("0.173"))
    assert (careful.gap, careful.binding) == (Decimal("0.027"), "max_loss")
    assert make_plan(opportunity, best.legs).worst_result == Decimal("-0.5")


def test_a_search_without_a_budget_says_what_it_does_not_know() -> None:
    """Nothing was tried, and no more than what the books hold could be earned."""
    answer = most_profitable_depth(planted(), budget=0)
    assert isinstance(answer, Refused)
    assert answer.code == "cycle.no_profit_after_rounding"
    assert answer.numbers["gap"] == 21
    assert "none leaves more than 21 USDT" in answer.sentence
