"""Order books out of raw pairs: checked before anything trusts them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from triarb.market.books import parse_book
from triarb.model import Level, Side

positive = st.decimals("0.00000001", "1000000", places=8)
sizes = st.decimals("0", "1000000", places=8)


@st.composite
def sides(draw: st.DrawFn) -> list[tuple[Decimal, Decimal]]:
    """Levels of rising prices, some of them without an amount."""
    ladder = sorted(draw(st.lists(positive, unique=True, max_size=8)))
    return [(price, draw(sizes)) for price in ladder]


def shown(levels: list[tuple[Decimal, Decimal]]) -> tuple[Level, ...]:
    """Those that have an amount."""
    return tuple(Level(price, amount) for price, amount in levels if amount)


@given(sides(), sides(), st.sampled_from([str, Decimal, float]))
def test_what_is_best_first_is_a_book(
    bids: list[tuple[Decimal, Decimal]], asks: list[tuple[Decimal, Decimal]], kind: type
):
    """From text, Decimals or floats alike: every level with an amount, exactly, in its order; crossed ones as well."""
    falling = bids[::-1]
    book = parse_book(
        "A/B",
        [(kind(price), kind(amount)) for price, amount in falling],
        [[kind(price), kind(amount), "more"] for price, amount in asks],
        received_ns=9,
        exchange_ns=8,
    )
    assert (book.bids, book.asks) == (shown(falling), shown(asks))
    assert (book.symbol, book.received_ns, book.exchange_ns) == ("A/B", 9, 8)
    best_bid, best_ask = book.against(Side.SELL)[:1], book.against(Side.BUY)[:1]
    if best_bid and best_ask:
        assert (book.fault() == "market.crossed") == (best_bid[0].price > best_ask[0].price)
    else:
        assert book.fault() == "market.one_sided"


def test_a_float_is_read_as_its_shortest_text():
    """What a library parsed to 0.1 is 0.1, not what a float makes of it."""
    book = parse_book("A/B", [(0.1, 1e-08)], [(1e22, 5)], received_ns=0)
    assert book.bids == (Level(Decimal("0.1"), Decimal("0.00000001")),)
    assert book.asks == (Level(Decimal("1E+22"), Decimal(5)),)


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        (("0", "1"), "cannot be"),
        (("-1", "1"), "cannot be"),
        (("1", "-1"), "cannot be"),
        (("NaN", "1"), "not finite"),
        (("1", float("inf")), "not finite"),
        ((float("nan"), "1"), "not finite"),
        (("one", "1"), "not a number"),
        ((None, "1"), "not an exact number"),
        ((True, "1"), "not an exact number"),
        (("1e50", "1"), "more digits"),
        (("1",), "not enough"),
        ((), "not enough"),
        (None, "NoneType"),
        (5, "int"),
        ({"price": "1", "amount": "1"}, "slice"),
    ],
)
@pytest.mark.parametrize("side", ["bids", "asks"])
def test_a_level_that_cannot_be_names_its_place(pair: Any, says: str, side: str):
    """The error names the market, the side and the position, and says what is wrong."""
    told = {"bids": [], "asks": [], side: [("3", "1") if side == "bids" else ("0.5", "1"), pair]}
    with pytest.raises(ValueError, match=says) as caught:
        parse_book("A/B", told["bids"], told["asks"], received_ns=0)
    assert str(caught.value).startswith(f"A/B {side}[1]: ")


@pytest.mark.parametrize(
    ("side", "prices"), [("bids", "12"), ("bids", "22"), ("asks", "21"), ("asks", "22")]
)
def test_a_side_must_be_best_first(side: str, prices: str):
    """Bids fall and asks rise, and no price stands there twice; the error shows the two."""
    told = {"bids": [], "asks": [], side: [(price, "1") for price in prices]}
    with pytest.raises(ValueError, match=f"A/B {side}: {prices[0]} stands before {prices[1]}"):
        parse_book("A/B", told["bids"], told["asks"], received_ns=0)


def test_a_level_of_nothing_is_not_there():
    """An amount of zero takes its level out, wherever its price would stand."""
    book = parse_book("A/B", [("1", "0"), ("2", "3"), ("2", 0)], [("5", "0.0")], received_ns=0)
    assert book.bids == (Level(Decimal(2), Decimal(3)),)
    assert book.asks == ()
