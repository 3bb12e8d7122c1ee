"""Pricing: confirmed by exact arithmetic of its own, refused by numbers, walked level by level."""

import decimal
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import assume, event, given, settings, strategies as st

from triarb.exceptions import PolicyViolation
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
    PlannedLeg,
    Provenance,
    RateView,
    Refused,
    Side,
)
from triarb.money import to_decimal
from triarb.pricing import (
    Bounds,
    Priced,
    Sized,
    confirm,
    most_profitable,
    most_profitable_depth,
    profit_at,
)
from triarb.pricing.legs import allowed, least_amount, most_amount, planned
from triarb.testing.opportunities import CONFIRMED_NS, cycles_with_books, opportunities, view_of

Books = dict[str, OrderBook]

NO_RATES = RateView({}, {}, {}, {})
TEN_BPS = Fee(Decimal("0.001"), Provenance.OVERRIDE)


def best_size(cycle: Cycle, books: Books, max_amount: Decimal | None = None) -> Sized | Refused:
    """The size of most profit at the tops of `books`."""
    return most_profitable(Opportunity(cycle, cycle, books, NO_RATES, 0), max_amount)


def exact_unit(leg: Leg, price: Decimal) -> tuple[Fraction, Fraction]:
    """What one base unit at `price` spends and brings, by the words of `FeeSide`; shares no code with the package."""
    cost, rate = Fraction(price), Fraction(leg.fee.rate)
    spent, brought = (cost, Fraction(1)) if leg.side is Side.BUY else (Fraction(1), cost)
    on_top = leg.fee.charged_in is FeeSide.GIVEN or (
        leg.fee.charged_in is FeeSide.QUOTE and leg.side is Side.BUY
    )
    return (spent * (1 + rate), brought) if on_top else (spent, brought * (1 - rate))


def exact_rate(cycle: Cycle, books: Books) -> Fraction:
    """What one unit of the start asset comes to at the top of `books`."""
    product = Fraction(1)
    for leg in cycle.legs:
        spent, brought = exact_unit(leg, books[leg.market.symbol].against(leg.side)[0].price)
        product *= brought / spent
    return product


def schedule_of(cycle: Cycle) -> FeeSchedule:
    """The fees of its legs."""
    return FeeSchedule({leg.market.symbol: leg.fee for leg in cycle.legs})


def nominated_at(cycle: Cycle, factor: str) -> Cycle:
    """The same cycle at prices and fees of the past, which nothing may depend on."""
    with decimal.localcontext(prec=80):
        return Cycle(
            tuple(
                attrs.evolve(leg, price=leg.price * Decimal(factor), fee=TEN_BPS)
                for leg in cycle.legs
            )
        )


ANY_EDGE = Bounds(min_edge_bps=Decimal(-10_000))


@pytest.mark.once
@settings(max_examples=200, deadline=None)
@given(cycles_with_books(), st.sampled_from(["0.5", "1", "1.02"]))
def test_confirmed_is_what_some_size_earns(
    cycle_and_books: tuple[Cycle, Books], factor: str
) -> None:
    """An opportunity has its books' prices, its exact rate, and a size that earns; what nominated it decides nothing."""
    cycle, books = cycle_and_books
    nominated = nominated_at(cycle, factor)
    view = view_of(cycle, books)
    answer = confirm(nominated, books, schedule_of(cycle), view, CONFIRMED_NS)
    whole = Opportunity(cycle, nominated, books, view, CONFIRMED_NS)
    size = most_profitable_depth(whole, ANY_EDGE)  # which test_depth compares with all sizes
    event(answer.code if isinstance(answer, Refused) else "confirmed")
    if isinstance(answer, Refused):
        assert isinstance(size, Refused)
        assert answer.code == ("cycle.unprofitable" if exact_rate(cycle, books) <= 1 else size.code)
        return
    assert answer == whole
    assert answer.cycle.net_ratio == exact_rate(cycle, books) > 1
    assert isinstance(size, Priced)
    assert size.profit > 0


@pytest.mark.once
@given(cycles_with_books(), st.data())
def test_a_higher_fee_is_a_lower_edge(
    cycle_and_books: tuple[Cycle, Books], data: st.DataObject
) -> None:
    """Raising any one fee lowers the edge, and makes no opportunity of what was none."""
    cycle, books = cycle_and_books
    place = data.draw(st.integers(0, len(cycle.legs) - 1))
    leg = cycle.legs[place]
    raised = attrs.evolve(leg.fee, rate=leg.fee.rate + Decimal("0.0001"))
    dearer = Cycle((*cycle.legs[:place], attrs.evolve(leg, fee=raised), *cycle.legs[place + 1 :]))
    assert dearer.net_ratio < cycle.net_ratio
    before, after = (
        confirm(cycle, books, schedule_of(one), NO_RATES, CONFIRMED_NS) for one in (cycle, dearer)
    )
    if isinstance(after, Opportunity):
        assert isinstance(before, Opportunity)
        assert after.cycle.edge_bps < before.cycle.edge_bps
        sizes = (most_profitable_depth(one, ANY_EDGE) for one in (before, after))
        more, less = (size.profit for size in sizes)
        assert less <= more


# A triangle by hand: 100 USDT buy 1 BTC, 1 BTC buys 10 ETH, 10 ETH sell for 101 USDT, before fees.


def market(symbol: str, **limits: str) -> Market:
    base, quote = symbol.split("/")
    return Market(symbol, base, quote, **{name: Decimal(value) for name, value in limits.items()})


def side_of(*levels: tuple[str, str]) -> tuple[Level, ...]:
    return tuple(Level(Decimal(price), Decimal(amount)) for price, amount in levels)


BTC, ETH_BTC, ETH = "BTC/USDT", "ETH/BTC", "ETH/USDT"


def example(fee_bps: str = "0", **changes: object) -> tuple[Cycle, Books, FeeSchedule]:
    """The triangle; `changes` are limits by market (``btc``, ``ethbtc``, ``eth``) or books (``btc_book``, ...)."""
    limits = {"amount_step": "0.01", "price_tick": "0.01"}
    markets = {
        BTC: market(BTC, **{**limits, **changes.get("btc", {})}),
        ETH_BTC: market(ETH_BTC, **{**limits, **changes.get("ethbtc", {})}),
        ETH: market(ETH, **{**limits, **changes.get("eth", {})}),
    }
    fees = FeeSchedule.flat(fee_bps)
    fee = fees.fee(BTC)
    cycle = Cycle(
        (
            Leg(markets[BTC], Side.BUY, Decimal(99), fee),
            Leg(markets[ETH_BTC], Side.BUY, Decimal("0.1"), fee),
            Leg(markets[ETH], Side.SELL, Decimal("10.2"), fee),
        )
    )
    books = {
        BTC: OrderBook(BTC, side_of(("99", "5")), changes.get("btc_asks", side_of(("100", "5")))),
        ETH_BTC: OrderBook(
            ETH_BTC, side_of(("0.09", "50")), changes.get("ethbtc_asks", side_of(("0.1", "50")))
        ),
        ETH: OrderBook(
            ETH, changes.get("eth_bids", side_of(("10.1", "50"))), side_of(("10.2", "50"))
        ),
    }
    return cycle, books, fees


def confirmed(**changes: object) -> Opportunity:
    cycle, books, fees = example(**changes)
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert isinstance(answer, Opportunity)
    return answer


def test_the_triangle_by_hand() -> None:
    """5 BTC for 500 USDT, 50 ETH, 505 USDT: the whole top of the books, and 5 USDT more."""
    opportunity = confirmed()
    size = most_profitable(opportunity)
    assert isinstance(size, Priced)
    assert [(leg.amount, leg.given, leg.received) for leg in size.legs] == [
        (5, 500, 5),
        (50, 5, 50),
        (50, 50, 505),
    ]
    assert (size.amount, size.profit) == (500, 5)
    assert opportunity.cycle.edge_bps == 100
    assert opportunity.nominated.legs[0].price == 99


def test_the_triangle_by_hand_with_fees() -> None:
    """At 10 bps a leg 5 BTC become 4.995, of which 49.95 ETH are bought; 49.90 ETH are left to sell for 503.49 USDT."""
    size = most_profitable(confirmed(fee_bps="10"))
    assert isinstance(size, Priced)
    assert [leg.amount for leg in size.legs] == [5, Decimal("49.95"), Decimal("49.90")]
    assert size.legs[2].received == Decimal("49.90") * Decimal("10.1") * Decimal("0.999")
    assert size.profit == Decimal("3.48601")


def refusal(answer: object, code: str) -> dict[str, object]:
    """The numbers of a refusal that is `code` and says so in words."""
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert answer.sentence
    return dict(answer.numbers)


def test_refused_without_a_book() -> None:
    """book.missing: the symbol."""
    cycle, books, fees = example()
    del books[ETH]
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "book.missing") == {"symbol": ETH}


@pytest.mark.parametrize(
    ("bids", "code"),
    [((), "market.one_sided"), (side_of(("100.01", "5")), "market.crossed")],
)
def test_refused_with_a_book_that_is_none(bids: tuple[Level, ...], code: str) -> None:
    """market.one_sided and market.crossed: the symbol; a locked book is none of them."""
    cycle, books, fees = example()
    books[BTC] = attrs.evolve(books[BTC], bids=bids)
    assert refusal(confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS), code) == {"symbol": BTC}
    books[BTC] = attrs.evolve(books[BTC], bids=books[BTC].asks)
    assert isinstance(confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS), Opportunity)


@pytest.mark.parametrize("rate", [None, "1", "-1", "2"])
def test_refused_without_a_fee(rate: str | None) -> None:
    """market.no_fee: the symbol, where the fee is unknown, and where it is no fraction of a trade."""
    cycle, books, fees = example()
    known = {symbol: fees.fee(symbol) for symbol in (BTC, ETH)}
    if rate is not None:
        known[ETH_BTC] = Fee(Decimal(rate), Provenance.ACCOUNT)
    answer = confirm(cycle, books, FeeSchedule(known), NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "market.no_fee") == {"symbol": ETH_BTC}


def test_refused_as_unprofitable() -> None:
    """cycle.unprofitable: the rate that nominated it, and the rate now; a rate of exactly one earns nothing."""
    cycle, books, fees = example(eth_bids=side_of(("10", "50")))
    numbers = refusal(confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS), "cycle.unprofitable")
    assert numbers == {"cycle": "BTC>ETH>USDT", "nominated": cycle.net_rate, "now": 1}
    assert round(cycle.net_rate, 6) == Decimal("1.030303")
    at_top = Cycle(
        tuple(
            attrs.evolve(leg, price=books[leg.market.symbol].against(leg.side)[0].price)
            for leg in cycle.legs
        )
    )
    assert refusal(best_size(at_top, books), "cycle.unprofitable") == {
        "cycle": "BTC>ETH>USDT",
        "net_rate": 1,
    }


@pytest.mark.parametrize(
    "limits", [{"price_tick": "0.3"}, {"min_price": "100.01"}, {"max_price": "99.99"}]
)
def test_refused_off_tick(limits: dict[str, str]) -> None:
    """market.off_tick: symbol and price, off the market's ticks, below its least price, above its largest."""
    cycle, books, fees = example(btc=limits)
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "market.off_tick") == {"symbol": BTC, "price": 100}
    opportunity = Opportunity(cycle, cycle, books, NO_RATES, CONFIRMED_NS)
    answer = profit_at(opportunity, Decimal(100))
    assert refusal(answer, "market.off_tick") == {"symbol": BTC, "price": 100}


def test_refused_without_depth() -> None:
    """cycle.no_depth: the symbol where the top shows a size of zero, and what should have been spent through all levels."""
    cycle, books, fees = example(eth_bids=side_of(("10.1", "0")))
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "cycle.no_depth") == {"symbol": ETH}
    answer = profit_at(confirmed(), Decimal("500.01"))
    assert refusal(answer, "cycle.no_depth") == {"symbol": BTC, "budget": Decimal("500.01")}
    answer = planned(cycle.legs[0], books[BTC].asks, Decimal("5.01"))
    assert refusal(answer, "cycle.no_depth") == {"symbol": BTC, "amount": Decimal("5.01")}
    empty = Opportunity(
        cycle, cycle, {**books, BTC: OrderBook(BTC, (), ())}, NO_RATES, CONFIRMED_NS
    )
    assert refusal(profit_at(empty, Decimal(1)), "cycle.no_depth")["symbol"] == BTC
    assert refusal(best_size(cycle, empty.books), "cycle.no_depth") == {"symbol": BTC}


def test_refused_below_a_minimum_that_the_book_does_not_show() -> None:
    """cycle.below_minimum: symbol and minimum. 501 USDT at 100 are 5.01 BTC, in whole steps, and 5 are shown."""
    cycle, books, fees = example(btc={"min_notional": "500.5"})
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "cycle.below_minimum") == {
        "symbol": BTC,
        "shown": 5,
        "least": Decimal("5.01"),
    }


def test_refused_below_a_minimum_that_another_leg_does_not_pay_for() -> None:
    """cycle.below_minimum: the cycle. 51 ETH need 5.1 BTC, and 5 are shown; or more than the amount that is let."""
    cycle, books, fees = example(eth={"min_amount": "50.01"}, eth_bids=side_of(("10.1", "60")))
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    named = {"cycle": "BTC>ETH>USDT", "start": "USDT"}
    within = {"binding": "depth of ETH/BTC"}
    assert refusal(answer, "cycle.below_minimum") == {**named, **within}
    opportunity = confirmed(eth={"min_amount": "20"})
    answer = most_profitable(opportunity, Decimal("199.99"))
    limit = {"binding": "max_amount", "bound": Decimal("199.99")}
    assert refusal(answer, "size.bound") == {**named, **limit}
    assert "199.99 USDT" in str(answer)
    assert isinstance(most_profitable(opportunity, Decimal(200)), Priced)
    answer = profit_at(opportunity, Decimal("199.99"))
    assert refusal(answer, "cycle.below_minimum") == {
        "symbol": ETH,
        "amount": Decimal("19.9"),
        "price": Decimal("10.1"),
        "least": 20,
    }


def test_refused_above_a_maximum() -> None:
    """cycle.above_maximum: where it is below the minimum; and by a given amount that comes to more than a market takes."""
    cycle, books, fees = example(btc={"max_amount": "2", "min_amount": "2.5"})
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    assert refusal(answer, "cycle.above_maximum") == {
        "symbol": BTC,
        "least": Decimal("2.5"),
        "most": 2,
    }
    opportunity = confirmed(eth={"max_notional": "101"})
    answer = profit_at(opportunity, Decimal(150))
    assert refusal(answer, "cycle.above_maximum") == {
        "symbol": ETH,
        "amount": 15,
        "price": Decimal("10.1"),
        "most": 10,
    }
    size = most_profitable(opportunity)
    assert isinstance(size, Priced)
    assert (size.amount, size.profit) == (100, 1)


def test_refused_without_a_profit_after_rounding() -> None:
    """cycle.no_profit_after_rounding: 4.5 BTC pay for 45 ETH, of which steps of 30 let 30 be sold, for 303 USDT of 450."""
    steps = {"btc": {"amount_step": "4.5"}, "eth": {"amount_step": "30"}}
    cycle, books, fees = example(**steps)
    answer = confirm(cycle, books, fees, NO_RATES, CONFIRMED_NS)
    named = {"cycle": "BTC>ETH>USDT", "start": "USDT", "gap": 0}
    assert refusal(answer, "cycle.no_profit_after_rounding") == named
    shown = {"btc_asks": ("100", "9"), "ethbtc_asks": ("0.1", "90"), "eth_bids": ("10.1", "90")}
    opportunity = confirmed(**steps, **{name: side_of(level) for name, level in shown.items()})
    size = most_profitable(opportunity)
    assert isinstance(size, Priced)
    assert (size.amount, size.profit) == (900, 9)
    answer = most_profitable(opportunity, Decimal(899))
    assert refusal(answer, "cycle.no_profit_after_rounding") == named


BROKEN = {
    "no leg": lambda legs: (),
    "one leg": lambda legs: legs[:1],
    "open": lambda legs: legs[:2],
    "out of order": lambda legs: (legs[0], legs[2], legs[1]),
    "twice around": lambda legs: legs * 2,
    "there and back": lambda legs: (legs[0], attrs.evolve(legs[0], side=Side.SELL)),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_cycle_is_a_broken_contract(broken) -> None:
    """Legs that are no closed path over distinct assets and markets are nothing to confirm: a finder is broken."""
    cycle, books, fees = example()
    with pytest.raises(PolicyViolation, match="no cycle"):
        confirm(Cycle(broken(cycle.legs)), books, fees, NO_RATES, CONFIRMED_NS)


# Through the whole depth


def naive_walk(leg: Leg, levels: tuple[Level, ...], amount: Fraction) -> tuple[Fraction, ...]:
    """What `amount` spends and brings level by level, and its worst price."""
    spent = brought = Fraction(0)
    price = levels[0].price
    for level in levels:
        part = min(amount, Fraction(level.amount))
        if part > 0:
            units = exact_unit(leg, level.price)
            spent, brought = spent + part * units[0], brought + part * units[1]
            amount -= part
            price = level.price
    assert amount == 0
    return spent, brought, price


def naive_amount(leg: Leg, levels: tuple[Level, ...], budget: Fraction) -> Fraction | None:
    """The largest whole-step amount that `budget` covers at its worst price, one step more at a time."""
    held = sum(Fraction(level.amount) for level in levels)
    if budget > held * exact_unit(leg, levels[-1].price)[0]:
        return None
    step = Fraction(leg.market.amount_step)
    amount = Fraction(0)
    while amount + step <= held:
        more = amount + step
        price = naive_walk(leg, levels, more)[2]
        if more * exact_unit(leg, price)[0] > budget:
            break
        amount = more
    return amount


@pytest.mark.once
@settings(max_examples=300)
@given(cycles_with_books(), st.integers(1, 9) | st.integers(10, 16))
def test_a_given_amount_goes_through_the_books_like_a_naive_walk(
    cycle_and_books: tuple[Cycle, Books], tenths: int
) -> None:
    """Each leg fills what its budget covers at its limit, at the levels' prices, and never more than they hold."""
    cycle, books = cycle_and_books
    first = cycle.legs[0]
    top = books[first.market.symbol].against(first.side)[0]
    amount = to_decimal(exact_unit(first, top.price)[0] * Fraction(top.amount) * tenths / 10, 6)
    answer = profit_at(Opportunity(cycle, cycle, books, NO_RATES, CONFIRMED_NS), amount)
    event(answer.code if isinstance(answer, Refused) else f"{len(cycle.legs)} legs")
    budget = Fraction(amount)
    for place, leg in enumerate(cycle.legs):
        levels = books[leg.market.symbol].against(leg.side)
        wanted = naive_amount(leg, levels, budget)
        if wanted is None:
            assert refusal(answer, "cycle.no_depth")["symbol"] == leg.market.symbol
            return
        spent, brought, price = naive_walk(leg, levels, wanted)
        if not takes(leg.market, Fraction(price), wanted):
            assert isinstance(answer, Refused)
            assert answer.code in ("cycle.below_minimum", "cycle.above_maximum", "market.off_tick")
            return
        if isinstance(answer, Priced):
            taken = answer.legs[place]
            unit = exact_unit(leg, price)
            assert Fraction(taken.amount) == wanted <= sum(level.amount for level in levels)
            assert taken.limit_price == price
            assert (Fraction(taken.given), Fraction(taken.received)) == (spent, brought)
            worst = wanted * unit[0], wanted * unit[1]
            assert (Fraction(taken.worst_given), Fraction(taken.worst_received)) == worst
            assert spent <= worst[0] <= budget
        budget = brought
    assert isinstance(answer, Priced)
    assert Fraction(answer.profit) == budget - Fraction(answer.amount)


def takes(market: Market, price: Fraction, amount: Fraction) -> bool:
    """Whether the market's limits let an order be, spelt out."""
    notional = amount * price
    bounds = [
        (market.min_amount, amount),
        (amount, market.max_amount),
        (market.min_notional, notional),
        (notional, market.max_notional),
        (market.min_price, price),
        (price, market.max_price),
    ]
    in_bounds = all(
        least is None or most is None or Fraction(least) <= Fraction(most) for least, most in bounds
    )
    steps = amount / Fraction(market.amount_step)
    ticks = price / Fraction(market.price_tick) if market.price_tick else Fraction(1)
    return in_bounds and amount > 0 and steps.denominator == 1 and ticks.denominator == 1


def test_a_limit_order_is_paid_for_at_its_limit() -> None:
    """Where 105 USDT meet 1 BTC at 100 and more at 110, they buy 1 BTC: 1.04 would lock 114.40. 110 still buy but 1."""
    opportunity = confirmed(btc_asks=side_of(("100", "1"), ("110", "5")))
    for amount in ("105", "110"):
        size = profit_at(opportunity, Decimal(amount))
        assert isinstance(size, Priced)
        assert (size.legs[0].amount, size.legs[0].limit_price) == (1, 100)
    size = profit_at(opportunity, Decimal("111.1"))
    assert isinstance(size, Priced)
    assert size.legs[0].amount == Decimal("1.01")
    assert size.legs[0].given == Decimal("101.1")
    assert size.legs[0].worst_given == Decimal("111.1")


@pytest.mark.parametrize("amount", ["0", "-1"])
def test_nothing_comes_of_nothing(amount: str) -> None:
    """An amount of zero, or below, is below every minimum, and no room for any size."""
    refusal(profit_at(confirmed(), Decimal(amount)), "cycle.below_minimum")
    refusal(most_profitable(confirmed(), Decimal(amount)), "size.bound")


# One leg


@st.composite
def limited_markets(draw: st.DrawFn) -> tuple[Market, Decimal]:
    """A market with any limits, and a price."""
    limit = st.none() | st.decimals("0.1", "40", places=1)
    steps = st.sampled_from(["0.3", "0.5", "1", "2.5"]).map(Decimal)
    ticks = st.none() | st.sampled_from(["0.1", "0.4"]).map(Decimal)
    made = Market(
        "A/B",
        "A",
        "B",
        price_tick=draw(ticks),
        amount_step=draw(steps),
        **{
            name: draw(limit)
            for name in ("min_amount", "max_amount", "min_notional", "max_notional", "min_price")
        },
        max_price=draw(limit),
    )
    return made, draw(st.decimals("0.1", "9", places=1))


@pytest.mark.once
@given(limited_markets(), st.decimals("0.1", "30", places=1))
def test_what_a_market_takes_is_what_its_limits_say(
    market_and_price: tuple[Market, Decimal], amount: Decimal
) -> None:
    """`allowed` agrees with the limits spelt out; `least_amount` and `most_amount` are the ends of what it takes."""
    made, price = market_and_price
    takes_it = takes(made, Fraction(price), Fraction(amount))
    assert (allowed(made, price, amount) is None) == takes_it
    free = attrs.evolve(made, price_tick=None, min_price=None, max_price=None)
    least, most = least_amount(free, price), most_amount(free, price)
    multiples = [Fraction(free.amount_step) * count for count in range(1, 1400)]
    taken = [one for one in multiples if takes(free, Fraction(price), one)]
    event("no amount" if not taken else "unbounded" if most is None else "bounded")
    if taken:
        assert Fraction(least) == taken[0]
        assert most is None or Fraction(most) == taken[-1]
    else:
        assert most is not None
        assert most < least


def test_refused_off_step() -> None:
    """cycle.off_step: symbol, amount, price and step; where a market tells no step it is 1e-8."""
    made = market(BTC, amount_step="0.01")
    numbers = refusal(allowed(made, Decimal(100), Decimal("0.015")), "cycle.off_step")
    assert numbers == {
        "symbol": BTC,
        "amount": Decimal("0.015"),
        "price": 100,
        "step": Decimal("0.01"),
    }
    untold = attrs.evolve(made, amount_step=None)
    assert allowed(untold, Decimal(100), Decimal("0.00000001")) is None
    answer = allowed(untold, Decimal(100), Decimal("1.000000001"))
    assert refusal(answer, "cycle.off_step")["step"] == Decimal("1E-8")


@pytest.mark.once
@settings(max_examples=30)
@given(opportunities())
def test_the_callers_decimal_context_changes_nothing(opportunity: Opportunity) -> None:
    """With three digits and rounding up around it, the answer is the same to the last digit."""
    expected = most_profitable(opportunity)
    assume(isinstance(expected, Priced))
    amount = expected.amount
    through = profit_at(opportunity, amount)
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        size = most_profitable(opportunity)
        assert size == expected
        assert str(size.profit) == str(expected.profit)
        assert profit_at(opportunity, amount) == through


def test_a_planned_leg_carries_its_time_in_force() -> None:
    """A leg is an immediate-or-cancel order unless it is said otherwise."""
    cycle, books, _ = example()
    leg = planned(cycle.legs[0], books[BTC].asks, Decimal(1))
    assert isinstance(leg, PlannedLeg)
    assert leg.time_in_force == "IOC"
