"""Valuation: only declared markets count, at the side and depth that a trade would meet, or there is no value."""

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, strategies as st

from triarb import FeeSchedule, Market, Money, Quote, RateTable, Refused, Valuation, Value
from triarb.clock import NS_PER_MS
from triarb.exceptions import UsageError
from triarb.market.books import parse_book
from triarb.model import RateView, Side
from triarb.testing.strategies import NAMES, exchanges

D = Decimal
NOW_NS = 10_000 * NS_PER_MS


def quote(symbol: str, bid: str, ask: str, size: str = "10", age_ms: int = 100) -> Quote:
    """A quote of equal sizes, received `age_ms` ago."""
    return Quote(symbol, D(bid), D(ask), D(size), D(size), NOW_NS - age_ms * NS_PER_MS)


def view_of(*quotes: Quote, fee_bps: int = 10) -> RateView:
    """All markets open, whatever fee they take."""
    markets = [Market(q.symbol, *q.symbol.split("/")) for q in quotes]
    return RateTable(markets, FeeSchedule.flat(fee_bps), quotes).view()


BTC, ETH, EUR = (
    quote("BTC/USDT", "99.5", "100", age_ms=700),
    quote("ETH/BTC", "0.049", "0.05"),
    quote("EUR/USDT", "1.24", "1.25"),
)


def valuation(*references: str, **changes: object) -> Valuation:
    """With floors on every asset of these tests."""
    told = {"min_depth": ["5 USDT", "0.1 BTC"], "max_age_ms": 1000, **changes}
    return Valuation(references, **told)


def test_a_worth_worked_by_hand():
    """2 ETH at the bid of 0.049 are 0.098 BTC, at the bid of 99.5 9.751 USDT, at the ask of 1.25 7.8008 EUR."""
    marks = valuation("BTC/USDT", "ETH/BTC", "EUR/USDT")
    value = marks.value("2 ETH", "EUR", view_of(BTC, ETH, EUR), NOW_NS)
    assert isinstance(value, Value)
    assert (value.of, value.worth) == (Money(D(2), "ETH"), Money(D("7.8008"), "EUR"))
    assert value.ratio == Fraction("3.9004")
    assert [(step.symbol, step.side) for step in value.route] == [
        ("ETH/BTC", Side.SELL),
        ("BTC/USDT", Side.SELL),
        ("EUR/USDT", Side.BUY),
    ]
    assert value.as_of_ns == BTC.received_ns
    assert str(value) == (
        "2 ETH is worth 7.8008 EUR, over ETH/BTC at its bid of 0.049, over BTC/USDT at its bid of 99.5, "
        "over EUR/USDT at its ask of 1.25, as of 1970-01-01T00:00:09.300000+00:00"
    )


def test_a_worth_is_rounded_down():
    """2 USDT at an ask of 3 are 0.666...6 of it, never 7 at the end; the ratio stays exact."""
    value = valuation("X/USDT").value("2 USDT", "X", view_of(quote("X/USDT", "2", "3")), NOW_NS)
    assert isinstance(value, Value)
    assert value.worth.amount == D("0.666666666666666666")
    assert value.ratio == Fraction(1, 3)


def test_an_asset_is_worth_itself():
    """Without any market, as of the moment asked about."""
    value = valuation().value("3 BTC", "BTC", view_of(), NOW_NS)
    assert isinstance(value, Value)
    assert (str(value.worth), value.route, value.as_of_ns) == ("3 BTC", (), NOW_NS)


def code(answer: object) -> str:
    """The code of a refusal that has a sentence."""
    assert isinstance(answer, Refused)
    assert answer.sentence
    return answer.code


def test_no_reference_no_value():
    """A market that is not declared values nothing, nor does a route of too many, nor an asset that nobody trades."""
    view = view_of(BTC, ETH, EUR)
    assert code(valuation("BTC/USDT").value("1 ETH", "BTC", view, NOW_NS)) == "value.no_reference"
    marks = valuation("BTC/USDT", "ETH/BTC", "EUR/USDT", "GONE/USDT", max_legs=2)
    assert code(marks.value("1 ETH", "EUR", view, NOW_NS)) == "value.no_reference"
    assert code(marks.value("1 GONE", "USDT", view, NOW_NS)) == "value.no_reference"
    assert isinstance(marks.value("1 ETH", "USDT", view, NOW_NS), Value)


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        (quote("BTC/USDT", "99", "100", age_ms=1001), "value.stale"),
        (quote("BTC/USDT", "99", "100", age_ms=-1), "value.stale"),
        (quote("BTC/USDT", "99", "100", size="0.05"), "value.too_thin"),
        (quote("BTC/USDT", "0.2", "100", size="20"), "value.too_thin"),
        (attrs.evolve(BTC, bid_size=None, ask_size=None), "value.too_thin"),
        (attrs.evolve(BTC, bid=D(101)), "value.no_quote"),
        (attrs.evolve(BTC, bid=None), "value.no_quote"),
    ],
)
def test_a_price_that_does_not_hold_to_the_floors_is_none(told: Quote, refused: str):
    """Too old, from the future, too thin in either asset, crossed or one-sided."""
    assert code(valuation("BTC/USDT").value("1 BTC", "USDT", view_of(told), NOW_NS)) == refused


def test_each_floor_is_met_at_its_edge():
    """An age of exactly the most, and a depth of exactly the least, are enough."""
    marks = valuation("BTC/USDT", min_depth="9.9 USDT")
    value = marks.value(
        "1 BTC", "USDT", view_of(quote("BTC/USDT", "99", "100", "0.1", 1000)), NOW_NS
    )
    assert isinstance(value, Value)


def test_a_market_without_a_floor_and_one_that_is_closed_value_nothing():
    """Declared, but nobody said how deep it must be; or not open any more, whatever book is shown."""
    view = view_of(quote("A/B", "1", "2"), BTC)
    assert code(valuation("A/B").value("1 A", "B", view, NOW_NS)) == "value.no_floor"
    closed = attrs.evolve(view.markets["BTC/USDT"], active=False)
    view = attrs.evolve(view, markets={**view.markets, "BTC/USDT": closed})
    book = parse_book("BTC/USDT", [["99", "9"]], [["100", "9"]], received_ns=NOW_NS)
    answer = valuation("BTC/USDT").value("1 BTC", "USDT", view, NOW_NS, {"BTC/USDT": book})
    assert code(answer) == "value.no_quote"


def test_a_junk_level_on_top_of_a_book_moves_nothing():
    """Somebody bids 1000 for a thousandth of a BTC: valued is by the price at which the least depth could be sold."""
    view = view_of(BTC)
    honest = [["99", "0.04"], ["98", "5"]]
    for bids in (honest, [["1000", "0.001"], *honest]):
        book = parse_book("BTC/USDT", bids, [["1001", "9"]], received_ns=NOW_NS)
        value = valuation("BTC/USDT").value("1 BTC", "USDT", view, NOW_NS, {"BTC/USDT": book})
        assert isinstance(value, Value)
        assert value.worth.amount == 98
    crossed = parse_book("BTC/USDT", honest, [["90", "9"]], received_ns=NOW_NS)
    answer = valuation("BTC/USDT").value("1 BTC", "USDT", view, NOW_NS, {"BTC/USDT": crossed})
    assert code(answer) == "value.no_quote"


def test_the_shortest_route_that_holds_is_taken_and_told():
    """Straight where that market holds to the floors; else around; where neither does, the reason of the first."""
    straight = quote("ETH/USDT", "5", "6")
    marks = valuation("BTC/USDT", "ETH/BTC", "ETH/USDT")
    value = marks.value("1 ETH", "USDT", view_of(BTC, ETH, straight), NOW_NS)
    assert isinstance(value, Value)
    assert [step.symbol for step in value.route] == ["ETH/USDT"]
    old = attrs.evolve(straight, received_ns=0)
    around = marks.value("1 ETH", "USDT", view_of(BTC, ETH, old), NOW_NS)
    assert isinstance(around, Value)
    assert [step.symbol for step in around.route] == ["ETH/BTC", "BTC/USDT"]
    thin = attrs.evolve(BTC, bid_size=D(0))
    assert code(marks.value("1 ETH", "USDT", view_of(thin, ETH, old), NOW_NS)) == "value.stale"


def test_equally_long_routes_go_by_the_order_of_declaration():
    """Of two ways of two markets, the one over the symbol that was declared first."""
    view = view_of(*(quote(symbol, "1", "1") for symbol in ("X/A", "A/Y", "X/B", "B/Y")))
    for first, second in (("A", "B"), ("B", "A")):
        symbols = [f"X/{first}", f"{first}/Y", f"X/{second}", f"{second}/Y"]
        value = Valuation(symbols, min_depth=["1 A", "1 B"], max_age_ms=1000).value(
            "1 X", "Y", view, NOW_NS
        )
        assert isinstance(value, Value)
        assert value.route[0].symbol == symbols[0]


@pytest.mark.once
@given(
    exchanges(), st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True), st.data()
)
def test_undeclared_markets_and_fees_move_no_value(exchange, pair, data):
    """Whatever the other markets show, or take, the answer is that of the declared markets alone."""
    markets, _, quotes = exchange
    symbols = [market.symbol for market in markets]
    declared = data.draw(st.lists(st.sampled_from(symbols), unique=True))
    marks = Valuation(declared, min_depth=[f"1 {name}" for name in NAMES], max_age_ms=10_000)
    whole = RateTable(markets, FeeSchedule.flat(10), quotes).view()
    alone = RateTable(
        [m for m in markets if m.symbol in declared],
        FeeSchedule.flat(0),
        [q for q in quotes if q.symbol in declared],
    ).view()
    amount = Money(D(5), pair[0])
    answers = [marks.value(amount, pair[1], view, NOW_NS) for view in (whole, alone)]
    assert answers[0] == answers[1]
    if isinstance(answers[0], Value):
        assert {step.symbol for step in answers[0].route} <= {*declared}


def test_settings_that_make_no_sense_raise():
    """One text for symbols, a floor of nothing or twice, an age of nothing, a negative amount."""
    with pytest.raises(UsageError, match="one text, not symbols"):
        Valuation("BTC/USDT", min_depth="1 USDT", max_age_ms=1)
    for floors in (["0 USDT"], ["1 USDT", "2 USDT"], "some"):
        with pytest.raises(UsageError):
            Valuation(["BTC/USDT"], min_depth=floors, max_age_ms=1)
    for changes in ({"max_age_ms": 0}, {"max_legs": 0}):
        with pytest.raises(UsageError, match=r"max_age_ms is"):
            valuation("BTC/USDT", **changes)
    with pytest.raises(UsageError, match="negative"):
        valuation("BTC/USDT").value(Money(D(-1), "BTC"), "USDT", view_of(BTC), NOW_NS)
