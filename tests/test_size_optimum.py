"""The size of most profit, against every whole-step size that there is."""

from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.market import FeeSchedule, RateTable, Snapshot
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
    RateView,
    Refused,
    Side,
)
from triarb.pricing import Bounds, Priced, Sized, at_top, most_profitable_depth
from triarb.pricing.depth import BUDGET
from triarb.testing.opportunities import cycles_with_books

SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"

Books = dict[str, OrderBook]
NO_RATES = RateView({}, {}, {}, {})


def best_size(
    cycle: Cycle, books: Books, max_amount: Decimal | None = None, budget: int = BUDGET
) -> Sized | Refused:
    """The size of most profit at the tops of `books`."""
    tops = at_top(Opportunity(cycle, cycle, books, NO_RATES, 0))
    return most_profitable_depth(tops, Bounds(max_amount=max_amount), budget)


def spent_and_brought(leg: Leg, amount: Fraction) -> tuple[Fraction, Fraction]:
    """What a trade of `amount` spends and brings, by the words of `FeeSide`; shares no code with the package."""
    cost = amount * Fraction(leg.price)
    rate = Fraction(leg.fee.rate)
    spent, brought = (cost, amount) if leg.side is Side.BUY else (amount, cost)
    if leg.fee.charged_in is FeeSide.RECEIVED:
        return spent, brought * (1 - rate)
    if leg.fee.charged_in is FeeSide.GIVEN or leg.side is Side.BUY:
        return spent * (1 + rate), brought
    return spent, brought * (1 - rate)


def allowed_amounts(leg: Leg, shown: Decimal) -> list[Fraction]:
    """Every amount that the market takes and the top of its book shows, tried one step at a time."""
    market, price = leg.market, Fraction(leg.price)
    amounts, amount = [], Fraction(market.amount_step)
    while amount <= Fraction(shown):
        if (
            (market.min_amount is None or amount >= Fraction(market.min_amount))
            and (market.max_amount is None or amount <= Fraction(market.max_amount))
            and (market.min_notional is None or amount * price >= Fraction(market.min_notional))
            and (market.max_notional is None or amount * price <= Fraction(market.max_notional))
        ):
            amounts.append(amount)
        amount += Fraction(market.amount_step)
    return amounts


def most_of_all_sizes(cycle: Cycle, books: Books, max_amount: Decimal | None) -> Fraction | None:
    """The profit of the best of all sizes; None where no size keeps every market's limits."""
    amounts = [
        allowed_amounts(leg, books[leg.market.symbol].against(leg.side)[0].amount)
        for leg in cycle.legs
    ]

    @cache
    def most_brought(number: int, budget: Fraction) -> Fraction | None:
        """The most that the last leg can bring if leg `number` and those after it start with `budget`."""
        best = None
        for amount in amounts[number]:
            spent, brought = spent_and_brought(cycle.legs[number], amount)
            if spent > budget:
                continue
            end = brought if number + 1 == len(amounts) else most_brought(number + 1, brought)
            if end is not None and (best is None or end > best):
                best = end
        return best

    profits = []
    for amount in amounts[0]:
        spent, brought = spent_and_brought(cycle.legs[0], amount)
        end = most_brought(1, brought)
        if end is not None and (max_amount is None or spent <= Fraction(max_amount)):
            profits.append(end - spent)
    return max(profits, default=None)


def check_is_a_size(priced: Priced, cycle: Cycle, books: Books, max_amount: Decimal | None) -> None:
    """`priced` is a size that the markets and the tops of the books let `cycle` have."""
    assert [(leg.market, leg.side, leg.fee) for leg in priced.legs] == [
        (leg.market, leg.side, leg.fee) for leg in cycle.legs
    ]
    held = None if max_amount is None else Fraction(max_amount)
    for planned, leg in zip(priced.legs, cycle.legs, strict=True):
        amount = Fraction(planned.amount)
        assert amount in allowed_amounts(leg, books[leg.market.symbol].against(leg.side)[0].amount)
        assert planned.limit_price == leg.price
        spent, brought = spent_and_brought(leg, amount)
        assert Fraction(planned.given) == Fraction(planned.worst_given) == spent
        assert Fraction(planned.received) == Fraction(planned.worst_received) == brought
        assert held is None or spent <= held
        held = brought
    assert priced.profit == priced.legs[-1].received - priced.legs[0].given


MAX_AMOUNTS = st.none() | st.none() | st.decimals("0.01", "60", places=2)


@pytest.mark.once
@settings(max_examples=400)
@given(cycles_with_books(), MAX_AMOUNTS)
def test_no_other_size_earns_more(
    cycle_and_books: tuple[Cycle, Books], max_amount: Decimal | None
) -> None:
    """The size of most profit is one that the markets allow, and earns what the best of all sizes earns."""
    cycle, books = cycle_and_books
    most = most_of_all_sizes(cycle, books, max_amount)
    answer = best_size(cycle, books, max_amount)
    event(answer.code if isinstance(answer, Refused) else f"{len(cycle.legs)} legs")
    if isinstance(answer, Priced):
        check_is_a_size(answer, cycle, books, max_amount)
        assert Fraction(answer.profit) == most
        assert answer.profit > 0
    elif answer.code == "cycle.no_profit_after_rounding":
        assert most is not None
        assert most <= 0
    elif answer.code == "cycle.unprofitable":
        assert most is None or most <= 0
        assert cycle.net_ratio <= 1
    else:
        assert answer.code in (
            "cycle.below_minimum",
            "cycle.above_maximum",
            "cycle.no_depth",
            "size.bound",
        )
        assert most is None


FREE = Fee(Decimal(0), Provenance.OVERRIDE)


def leg_of(symbol: str, side: Side, price: str, step: str, **limits: Decimal) -> Leg:
    """A leg without a fee."""
    base, quote = symbol.split("/")
    market = Market(symbol, base, quote, amount_step=Decimal(step), **limits)
    return Leg(market, side, Decimal(price), FREE)


def book_of(leg: Leg, amount: str) -> OrderBook:
    """A book that shows `amount` at the price of `leg`, on both sides."""
    level = (Level(leg.price, Decimal(amount)),)
    return OrderBook(leg.market.symbol, level, level)


def triangle(sizes: tuple[str, str, str], steps: tuple[str, str, str]) -> tuple[Cycle, Books]:
    """USDT, BTC, ETH and back at an edge of 100 bps."""
    legs = (
        leg_of("BTC/USDT", Side.BUY, "100", steps[0]),
        leg_of("ETH/BTC", Side.BUY, "0.1", steps[1]),
        leg_of("ETH/USDT", Side.SELL, "10.1", steps[2]),
    )
    books = {leg.market.symbol: book_of(leg, size) for leg, size in zip(legs, sizes, strict=True)}
    return Cycle(legs), books


@pytest.mark.parametrize("small", [0, 1, 2])
def test_a_book_that_shows_little_is_found_among_books_that_show_much(small: int) -> None:
    """Sizes that some leg has no use for are not tried one by one: ten billion of them change nothing."""
    sizes = ["100000000"] * 3
    sizes[small] = "0.5" if small == 0 else "5"
    cycle, books = triangle((sizes[0], sizes[1], sizes[2]), ("0.01", "0.01", "0.01"))
    answer = best_size(cycle, books)
    assert isinstance(answer, Priced)
    assert (answer.amount, answer.profit) == (Decimal(50), Decimal("0.5"))


def test_a_minimum_in_the_middle_above_what_the_last_leg_takes() -> None:
    """Where the last leg takes less than a middle minimum brings, the least size is the best: 9 of 10 ETH are sold."""
    cycle, books = triangle(("100", "100", "9"), ("0.01", "1", "1"))
    middle = attrs.evolve(cycle.legs[1].market, min_amount=Decimal(10))
    dear = attrs.evolve(cycle.legs[2], price=Decimal(12))
    cycle = Cycle((cycle.legs[0], attrs.evolve(cycle.legs[1], market=middle), dear))
    books["ETH/USDT"] = book_of(dear, "9")
    answer = best_size(cycle, books)
    assert isinstance(answer, Priced)
    assert [leg.amount for leg in answer.legs] == [1, 10, 9]
    assert answer.profit == 8


def two_legs(bought: str, sold: str, steps: tuple[str, str]) -> tuple[Cycle, Books]:
    """BTC bought at 100 USDT and sold at 110; `bought` and `sold` are what the two books show."""
    buy = leg_of("BTC/USDT", Side.BUY, "100", steps[0])
    sell = leg_of("BTC/USD", Side.SELL, "110", steps[1])
    sell = attrs.evolve(sell, market=attrs.evolve(sell.market, quote="USDT"))
    return Cycle((buy, sell)), {"BTC/USDT": book_of(buy, bought), "BTC/USD": book_of(sell, sold)}


def test_the_largest_size_is_not_always_the_best() -> None:
    """Of 21 BTC in steps of 7 only 20 can be sold in steps of 2, for 100 USDT more; 14 can be sold whole, for 140."""
    cycle, books = two_legs("21", "100", ("7", "2"))
    answer = best_size(cycle, books)
    assert isinstance(answer, Priced)
    assert ([leg.amount for leg in answer.legs], answer.profit) == ([14, 14], 140)


def test_of_sizes_that_earn_the_same_the_one_that_spends_least_is_taken() -> None:
    """10 BTC at 100 sold at 120 earn 200; of 16 only 15 can be sold in steps of 5, for 200 too, with 600 more at stake."""
    cycle, books = two_legs("16", "100", ("2", "5"))
    dear = attrs.evolve(cycle.legs[1], price=Decimal(120))
    books["BTC/USD"] = book_of(dear, "100")
    answer = best_size(Cycle((cycle.legs[0], dear)), books)
    assert isinstance(answer, Priced)
    assert (answer.legs[0].amount, answer.profit) == (10, 200)


@settings(max_examples=60)
@given(
    st.integers(1, 60).map(lambda tenths: Decimal(tenths) / 10),
    st.integers(1, 60).map(lambda tenths: Decimal(tenths) / 10),
    st.integers(1, 300),
    st.integers(10_001, 10_400),
)
def test_no_other_size_earns_more_among_hundreds(
    bought: Decimal, sold: Decimal, shown: int, price: int
) -> None:
    """With steps that hardly ever fit, and edges from nothing to 4 %, the best of hundreds of sizes is found."""
    cycle, books = two_legs(str(shown), str(shown), (str(bought), str(sold)))
    dear = attrs.evolve(cycle.legs[1], price=Decimal(price) / 100)
    books["BTC/USD"] = book_of(dear, str(shown))
    cycle = Cycle((cycle.legs[0], dear))
    answer = best_size(cycle, books)
    event(answer.code if isinstance(answer, Refused) else "a size")
    profits = [Fraction(0)]
    for count in range(1, int(shown / bought) + 1):
        amount = bought * count
        profits.append(Fraction(amount // sold * sold * dear.price) - Fraction(amount * 100))
    profit = answer.profit if isinstance(answer, Priced) else 0
    assert Fraction(profit) == max(profits)


def limited(cycle: Cycle, place: int, **limits: str) -> Cycle:
    """`cycle` with other limits of one of its markets."""
    legs = list(cycle.legs)
    told = {name: Decimal(value) for name, value in limits.items()}
    legs[place] = attrs.evolve(legs[place], market=attrs.evolve(legs[place].market, **told))
    return Cycle(tuple(legs))


MINIMUMS = {
    "of the first leg, above the amount that is let": (
        limited(triangle(("9", "90", "90"), ("0.01", "0.01", "1"))[0], 0, min_notional="50"),
        ("9", "90", "90"),
        Decimal(40),
        ("size.bound", "max_amount"),
    ),
    "of a middle leg, above what the first book shows": (
        limited(triangle(("0.2", "90", "90"), ("0.01", "0.01", "1"))[0], 1, min_amount="5"),
        ("0.2", "90", "90"),
        None,
        ("cycle.below_minimum", "depth of BTC/USDT"),
    ),
    "of the last leg, above what the middle book shows": (
        limited(triangle(("9", "5", "90"), ("0.5", "0.01", "0.01"))[0], 2, min_amount="7"),
        ("9", "5", "90"),
        None,
        ("cycle.below_minimum", "depth of ETH/BTC"),
    ),
}


@pytest.mark.parametrize(
    ("cycle", "sizes", "most", "expected"), MINIMUMS.values(), ids=MINIMUMS.keys()
)
def test_a_minimum_that_cannot_be_met(
    cycle: Cycle, sizes: tuple[str, str, str], most: Decimal | None, expected: tuple[str, str]
) -> None:
    """A minimum that some other leg cannot pay for, or take, is refused with what is in its way."""
    books = {
        leg.market.symbol: book_of(leg, size) for leg, size in zip(cycle.legs, sizes, strict=True)
    }
    answer = best_size(cycle, books, most)
    assert isinstance(answer, Refused)
    assert (answer.code, answer.numbers["binding"]) == expected


@pytest.mark.parametrize("coarse", [0, 1, 2])
def test_the_leg_with_the_coarsest_step_leads_the_search(coarse: int) -> None:
    """One coarse step and two that hardly matter: a handful of sizes is looked at, not millions."""
    steps = ["0.0000001"] * 3
    steps[coarse] = "0.7"
    cycle, books = triangle(("5", "50", "50"), (steps[0], steps[1], steps[2]))
    answer = best_size(cycle, books, budget=5)
    assert isinstance(answer, Priced)
    assert answer.profit > Decimal("4.8")


def test_no_more_is_spent_than_the_last_book_takes() -> None:
    """1 BTC would buy 10 ETH, of which 5 can be sold: half of it earns the same."""
    cycle, books = triangle(("1", "10", "10"), ("0.5", "5", "5"))
    books["ETH/USDT"] = book_of(cycle.legs[2], "5")
    answer = best_size(cycle, books)
    assert isinstance(answer, Priced)
    assert answer.profit == Decimal("0.5")
    assert answer.amount == 50


def test_a_search_cut_short_still_gives_a_size() -> None:
    """Where the budget ends the search, the answer is the best of the largest sizes, and a size like any other."""
    legs = (
        leg_of("BTC/USDT", Side.BUY, "100", "0.013"),
        leg_of("ETH/BTC", Side.BUY, "0.1", "0.17"),
        leg_of("ETH/USDT", Side.SELL, "10.05", "0.11"),
    )
    cycle = Cycle(legs)
    books = {leg.market.symbol: book_of(leg, "20") for leg in legs}
    best = best_size(cycle, books)
    cut = best_size(cycle, books, budget=1)
    assert isinstance(best, Priced)
    assert isinstance(cut, Priced)
    check_is_a_size(cut, cycle, books, None)
    assert (best.profit, cut.profit) == (Decimal("0.735"), Decimal("0.09"))
    none = best_size(cycle, books, budget=0)
    assert isinstance(none, Refused)
    assert none.code == "cycle.no_profit_after_rounding"


def test_what_is_known_of_a_real_exchange() -> None:
    """The one cycle of that day above one with a size: from two of its three assets, steps eat what it earns from PAX."""
    path = SNAPSHOTS / "binance_2019-08-22.json"
    if not path.exists():
        pytest.skip(f"there is no {path}: the recorded snapshots are not part of the project")
    snapshot = Snapshot.load(path)
    rates = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
    edges = {
        (rates.assets[tail], rates.assets[head]): edge
        for edge, (tail, head) in enumerate(zip(rates.tails, rates.heads, strict=True))
    }
    assets = ["PAX", "TUSD", "USDT"]
    pairs = zip(assets, [*assets[1:], assets[0]], strict=True)
    cycle = rates.cycle(edges[pair] for pair in pairs)
    books = {quote.symbol: OrderBook.from_quote(quote) for quote in snapshot.quotes}
    earning = {
        asset
        for asset in assets
        if isinstance(best_size(cycle.starting_from(asset), books, budget=5000), Priced)
    }
    assert earning == {"TUSD", "USDT"}
