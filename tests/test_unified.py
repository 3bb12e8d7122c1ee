"""ccxt's dictionaries as our nouns: what is taken, what is not told, and what makes no sense."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from triarb.market.unified import (
    TICK_SIZE,
    balances_from_ccxt,
    exact,
    fills_from_ccxt,
    market_from_ccxt,
    order_state_from_ccxt,
    quote_from_ccxt,
)
from triarb.model import Balance, Fill, Market, OrderState, OrderStatus, Quote, Side

D = Decimal
MS = 1_767_614_399_000
AB = Market("A/B", "A", "B")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, None),
        ("", None),
        (0, "0"),
        (0.1, "0.1"),
        (1e-08, "0.00000001"),
        ("0.1000", "0.1"),
        (D("2.5"), "2.5"),
        (-3, "-3"),
    ],
)
def test_numbers_are_exact(value: Any, number: str | None):
    """Text as it is, a float as its shortest text; nothing told is None."""
    assert exact(value) == (None if number is None else D(number))


@pytest.mark.parametrize("value", ["junk", math.nan, math.inf, True, [], {}, "1e99"])
def test_numbers_that_make_no_sense_are_refused(value: Any):
    """Whoever asks decides what a number that is none means."""
    with pytest.raises(ValueError, match=r"\S"):
        exact(value)


RAW_MARKET: dict[str, Any] = {
    "symbol": "A/B",
    "id": "AB",
    "base": "A",
    "quote": "B",
    "active": True,
    "taker": 0.001,
    "precision": {"price": 0.01, "amount": 1e-05},
    "limits": {
        "amount": {"min": 0.001, "max": 9000.0},
        "price": {"min": 0.01, "max": 1000000.0},
        "cost": {"min": 5.0, "max": 9000000.0},
        "leverage": {"min": None, "max": None},
    },
}


def test_a_market_has_its_steps_and_limits():
    """Each from its place, exact."""
    assert market_from_ccxt(RAW_MARKET) == Market(
        "A/B",
        "A",
        "B",
        exchange_id="AB",
        price_tick=D("0.01"),
        amount_step=D("0.00001"),
        min_amount=D("0.001"),
        max_amount=D(9000),
        min_notional=D(5),
        max_notional=D(9000000),
        min_price=D("0.01"),
        max_price=D(1000000),
    )


@pytest.mark.parametrize(
    "limits",
    [
        None,
        {},
        {"amount": None, "price": {}, "cost": {"min": None}},
        {"amount": {"min": 0, "max": 0.0}, "cost": {"min": "", "max": -1}},
    ],
)
def test_limits_that_are_not_told_are_not_checked(limits: Any):
    """Missing, empty, zero or below zero: none of them is a limit."""
    raw = {"symbol": "A/B", "base": "A", "quote": "B", "limits": limits}
    assert market_from_ccxt(raw) == AB
    assert market_from_ccxt({**raw, "precision": {"price": 0, "amount": None}}) == AB


def test_digits_are_no_steps():
    """An exchange that counts precision in digits tells no steps: 8 is not a step of eight."""
    raw = {**RAW_MARKET, "precision": {"price": 8, "amount": 2}}
    assert market_from_ccxt(raw, precision_mode=TICK_SIZE).price_tick == 8
    for mode in (2, 3):
        market = market_from_ccxt(raw, precision_mode=mode)
        assert (market.price_tick, market.amount_step) == (None, None)


@pytest.mark.parametrize(("told", "active"), [(True, True), (None, True), (False, False)])
def test_only_the_word_inactive_makes_a_market_inactive(told: Any, active: Any):
    """Many exchanges do not say; ccxt tells that as None."""
    assert market_from_ccxt({**RAW_MARKET, "active": told}).active is active


def test_what_ccxt_says_of_fees_is_not_the_markets_word():
    """Its taker fee is a table's, so that none is taken over as the market's own."""
    assert market_from_ccxt({**RAW_MARKET, "taker": 0.001}).taker is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quote": "A"}, "A/B: base and quote are both A"),
        ({"base": None}, "A/B: base is None, quote is B"),
        ({"quote": ""}, "A/B: base is A, quote is "),
        ({"limits": {"amount": {"min": "junk"}}}, "'junk' is not a number"),
        ({"precision": {"price": math.nan}}, "nan"),
    ],
)
def test_a_market_that_makes_no_sense_is_refused(changes: dict[str, Any], says: str):
    """Names that are none, or a limit that is none."""
    with pytest.raises(ValueError, match=says):
        market_from_ccxt({**RAW_MARKET, **changes})


def test_a_ticker_is_a_quote():
    """Both sides with their sizes; its time from milliseconds."""
    ticker = {"bid": 0.1, "ask": "0.2", "bidVolume": 3, "askVolume": 4.5, "timestamp": MS}
    assert quote_from_ccxt("A/B", ticker, received_ns=7) == Quote(
        "A/B", D("0.1"), D("0.2"), D(3), D("4.5"), 7, MS * 1_000_000
    )


junk = st.sampled_from(
    [None, "", "junk", math.nan, math.inf, -1, "-0.5", True, [], {}, 1e300, 10**40, "1e31"]
)


@given(st.tuples(junk, junk, junk, junk, junk))
def test_a_side_that_makes_no_sense_is_not_there(told: tuple[Any, ...]):
    """Whatever a ticker says, a number that is none, or below zero, is None and no error."""
    keys = ("bid", "ask", "bidVolume", "askVolume", "timestamp")
    quote = quote_from_ccxt("A/B", dict(zip(keys, told, strict=True)), received_ns=7)
    assert quote == Quote("A/B", None, None, received_ns=7)
    assert quote_from_ccxt("A/B", {}, received_ns=7) == quote


def test_a_price_of_zero_is_kept_as_recorded():
    """Zero is what some exchanges say of an empty side; `Quote.fault` knows."""
    quote = quote_from_ccxt("A/B", {"bid": 0.0, "ask": 1, "bidVolume": 0}, received_ns=0)
    assert (quote.bid, quote.bid_size) == (0, 0)
    assert quote.fault() == "market.one_sided"


def test_balances_are_what_is_held():
    """Free and in use by asset; assets of which there is nothing are left out."""
    raw = {
        "free": {"A": 1.5, "B": 0.0, "C": "2"},
        "used": {"A": 0.5, "B": 0.0, "C": 0},
        "total": {"A": 2.0, "B": 0.0, "C": "2", "D": None},
        "info": {"the exchange's": "own words"},
    }
    assert balances_from_ccxt(raw) == {"A": Balance(D("1.5"), D("0.5")), "C": Balance(D(2), D(0))}
    assert balances_from_ccxt({"info": [{"A": "0"}]}) == {}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"total": {"A": 1.0}}, "A: 1.0 in all, but None free and None in use"),
        ({"total": {"A": 1}, "free": {"A": 1}, "used": {"A": None}}, "1 free and None in use"),
        ({"total": {"A": 1}, "free": {"A": "junk"}, "used": {"A": 0}}, "not a number"),
        ({"total": {"A": math.nan}}, "not finite"),
        ({"info": {}}, "no list of balances"),
        ({"info": "down for maintenance"}, "no list of balances"),
    ],
)
def test_balances_that_are_told_in_part_are_refused(raw: dict[str, Any], says: str):
    """No answer at all, a total without its parts, or a number that is none: no balance to trade on."""
    with pytest.raises(ValueError, match=says):
        balances_from_ccxt({"info": {"told": True}, **raw})


def trade(number: int | str, **changes: Any) -> dict[str, Any]:
    """A trade of an order as ccxt tells of it."""
    told = {
        "id": number,
        "price": 10.0,
        "amount": 0.5,
        "timestamp": MS,
        "fee": {"cost": 0.0005, "currency": "A"},
    }
    return {**told, **changes}


def order(**changes: Any) -> dict[str, Any]:
    """An order as ccxt tells of it."""
    told = {
        "id": 17,
        "clientOrderId": "mine",
        "symbol": "A/B",
        "side": "buy",
        "status": "closed",
        "amount": 1.0,
        "filled": 1.0,
        "timestamp": MS - 5,
        "trades": [trade(1), trade(2)],
    }
    return {**told, **changes}


def fill(trade_id: str, **changes: Any) -> Fill:
    """What `trade` comes to."""
    told: dict[str, Any] = {
        "price": D(10),
        "amount": D("0.5"),
        "fees": {"A": D("0.0005")},
        "time_ns": MS * 1_000_000,
        **changes,
    }
    return Fill(trade_id, "mine", "A/B", "A", "B", Side.BUY, **told)


def test_an_order_is_known_by_what_was_filled():
    """Status, amounts and trades, each in its place."""
    state = order_state_from_ccxt(order(), client_id="mine", market=AB)
    assert state == OrderState(
        "mine", "A/B", OrderStatus.FILLED, D(1), D(1), (fill("1"), fill("2")), "17"
    )
    assert state.is_complete


@pytest.mark.parametrize(
    ("told", "filled", "status"),
    [
        ("open", 0.5, OrderStatus.OPEN),
        ("canceling", 0.5, OrderStatus.OPEN),
        ("closed", 1.0, OrderStatus.FILLED),
        ("closed", 0.5, OrderStatus.EXPIRED),
        ("canceled", 0.5, OrderStatus.CANCELED),
        ("expired", 0, OrderStatus.EXPIRED),
        ("rejected", 0, OrderStatus.REJECTED),
        ("on its way", 0, OrderStatus.UNKNOWN),
        (5, 0, OrderStatus.UNKNOWN),
    ],
)
def test_a_status_counts_only_as_far_as_it_is_known(told: Any, filled: float, status: OrderStatus):
    """A closed order that did not fill whole is over, not filled; a word nobody knows proves nothing."""
    raw = order(status=told, filled=filled, trades=None)
    state = order_state_from_ccxt(raw, client_id="mine", market=AB)
    assert (state.status, state.filled, state.fills) == (status, D(str(filled)), ())


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (order(filled=0, trades=None), "nothing of it is filled"),
        (order(info={"origQty": "1"}, filled=0), "no executedQty"),
        (None, "a NoneType"),
        ([], "a list"),
        ("order", "a str"),
        ({}, "no id, status, amount, filled"),
        (order(filled=None), "no filled of the order"),
        (order(clientOrderId="another"), "about another on A/B"),
        (order(symbol="B/C"), "about mine on B/C"),
        (order(amount=0), "1.0 filled of 0 cannot be"),
        (order(filled=-1), "-1 filled of 1.0 cannot be"),
        (order(filled=""), "None filled"),
        (order(amount="much"), "not a number"),
    ],
)
def test_an_answer_about_no_such_order_is_refused(raw: Any, says: str):
    """Nothing is taken from an answer that is not about the very order that was asked for."""
    with pytest.raises(ValueError, match=says):
        order_state_from_ccxt(raw, client_id="mine", market=AB)


def fills(*trades: dict[str, Any], **changes: Any) -> tuple[Fill, ...]:
    """The fills of an order's trades."""
    return fills_from_ccxt(trades, order(**changes), client_id="mine", market=AB)


def test_a_trade_told_twice_is_one_fill():
    """By its id, whether that is told as a number or as text."""
    assert fills(trade(1), trade("1"), trade("x")) == (fill("1"), fill("x"))


def test_a_trade_whose_fee_is_not_told_is_no_fill_yet():
    """It would book too much; it is asked for again."""
    silent = [
        trade(1, fee=None),
        trade(2, fee={"cost": None, "currency": "A"}),
        trade(3, fee={"cost": 0.1, "currency": None}),
        trade(4, fees=[{"cost": 0.1, "currency": "A"}, {"currency": "B"}]),
    ]
    assert fills(*silent, trade(5)) == (fill("5"),)


def test_fees_are_summed_by_asset():
    """Exactly, rebates included; a fee of nothing is none, whatever asset it is not taken in."""
    told = [
        {"cost": 0.1, "currency": "A"},
        {"cost": 0.2, "currency": "A"},
        {"cost": -0.05, "currency": "B"},
        {"cost": 0.0, "currency": None},
    ]
    assert fills(trade(1, fees=told)) == (fill("1", fees={"A": D("0.3"), "B": D("-0.05")}),)
    assert fills(trade(1, fee={"cost": 0.0, "currency": None})) == (fill("1", fees={}),)


def test_a_trade_without_a_time_has_its_orders():
    """Or none at all, which is the beginning of time."""
    assert fills(trade(1, timestamp=None)) == (fill("1", time_ns=(MS - 5) * 1_000_000),)
    assert fills(trade(1, timestamp=None), timestamp=None) == (fill("1", time_ns=0),)


@pytest.mark.parametrize(
    "changes",
    [{"id": None}, {"price": 0}, {"price": None}, {"amount": -1.0}, {"amount": ""}, {"price": -2}],
)
def test_a_trade_that_cannot_be_is_refused(changes: dict[str, Any]):
    """Without an id it cannot be told from another; a price or an amount of nothing is no trade."""
    with pytest.raises(ValueError, match="cannot be"):
        fills(trade(1, **changes))
