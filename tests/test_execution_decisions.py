"""What execution decides by pure functions: which books it reads, which markets it counts on, what a leg can be."""

from decimal import Decimal

import attrs
import pytest

from triarb.exceptions import UsageError
from triarb.execution.ids import check_epoch
from triarb.execution.steps import Finish, affordable, next_step, received
from triarb.execution.unwinding import (
    Unwinding,
    fresh_view,
    next_trade,
    off_course,
    stranded,
    worth_reading,
)
from triarb.market import FeeSchedule, RateTable
from triarb.model import (
    Fee,
    FeeSide,
    Fill,
    LegResult,
    Level,
    Market,
    Order,
    OrderBook,
    OrderOutcome,
    Outcome,
    Provenance,
    Quote,
    Side,
    TimeInForce,
)
from triarb.testing.execution import _plan
from triarb.testing.market import START_NS, planted_triangle

D = Decimal
SNAPSHOT = planted_triangle()
PLAN = _plan(RateTable(SNAPSHOT.markets, SNAPSHOT.fees(), SNAPSHOT.quotes))
BUY_BTC, BUY_ETH, SELL_ETH = PLAN.legs
ON_PLAN = ("BTC/USDT", "ETH/BTC", "ETH/USDT")


def wide(*more, fees=None, **changes):
    """The planted markets and these, each quoted at 1 to 1.01 with `changes` of their own."""
    markets = [Market(symbol, *symbol.split("/")) for symbol in more]
    markets = [attrs.evolve(m, **changes.get(m.base, {})) for m in markets]
    quotes = [Quote(m.symbol, D(1), D("1.01"), D(50), D(50), START_NS) for m in markets]
    schedule = FeeSchedule.flat("10") if fees is None else fees
    return RateTable([*SNAPSHOT.markets, *markets], schedule, [*SNAPSHOT.quotes, *quotes]).view()


def holding(asset, amount="1", cost="100"):
    """Stranded with so much of an asset that was bought for USDT."""
    price = D(cost) / D(amount)
    symbol = f"{asset}/USDT"
    return stranded("USDT", [Fill("1", "c", symbol, asset, "USDT", Side.BUY, price, D(amount), {})])


def book(symbol, bid="0", ask="0", size="50"):
    sides = [(Level(D(price), D(size)),) if D(price) else () for price in (bid, ask)]
    return OrderBook(symbol, *sides, START_NS)


def done(leg, *fills, outcome=OrderOutcome.FILLED, reason=""):
    """What a leg did: pairs of price and amount, without fees."""
    order = Order("c", leg.market.symbol, leg.side, leg.amount, leg.limit_price)
    market = leg.market
    made = [
        Fill(str(n), "c", market.symbol, market.base, market.quote, leg.side, D(p), D(a), {})
        for n, (p, a) in enumerate(fills)
    ]
    return LegResult(order, tuple(made), 1, 2, reason, outcome)


# Which books are read


def test_the_plans_books_and_the_direct_ways_are_read():
    """A7: beside the plan's markets those are read that join what is held with the start, if they are open."""
    rates = wide("SOL/USDT", "SOL/BTC", "ADA/USDT", "ADA/SOL", ADA={"active": False})
    assert worth_reading(PLAN, rates, stranded("USDT", []), widely=False) == ON_PLAN
    now = holding("SOL")
    assert worth_reading(PLAN, rates, now, widely=False) == (*ON_PLAN, "SOL/USDT")
    assert worth_reading(PLAN, rates, holding("ADA"), widely=False) == ON_PLAN
    assert worth_reading(PLAN, rates, holding("NEW"), widely=False) == ON_PLAN


def test_widely_the_markets_of_the_best_way_are_read_too():
    """A7: the way that was best when it was planned is read, however small the books were, of two trades at most."""
    rates = wide("SOL/ADA", "ADA/USDT")
    assert worth_reading(PLAN, rates, holding("SOL"), widely=False) == ON_PLAN
    read = worth_reading(PLAN, rates, holding("SOL", "1000"), widely=True)
    assert set(read) == {*ON_PLAN, "SOL/ADA", "ADA/USDT"}
    far = wide("SOL/ADA", "ADA/XRP", "XRP/USDT")
    assert worth_reading(PLAN, far, holding("SOL"), widely=True) == ON_PLAN


# Which markets and fees count


def test_steps_are_the_markets_now_and_fees_the_plans():
    """B8, B3: a step that changed under a plan counts, and the fee that was asked for by name."""
    fees = FeeSchedule.flat("25")
    rates = wide("SOL/USDT", fees=fees)
    finer = attrs.evolve(rates.markets["ETH/BTC"], amount_step=D("0.5"))
    rates = attrs.evolve(rates, markets={**rates.markets, "ETH/BTC": finer})
    view = fresh_view(PLAN, rates, ["ETH/BTC", "SOL/USDT", "NEW/USDT"])
    assert view.markets == {"ETH/BTC": finer, "SOL/USDT": rates.markets["SOL/USDT"]}
    assert view.fees == {"ETH/BTC": BUY_ETH.fee, "SOL/USDT": fees.fee("SOL/USDT")}
    assert view.by_asset == {
        "ETH": ("ETH/BTC",),
        "BTC": ("ETH/BTC",),
        "SOL": ("SOL/USDT",),
        "USDT": ("SOL/USDT",),
    }


def test_a_market_that_is_not_told_any_more_is_the_plans():
    """E1: without rates, as in a recovery, the plan's own markets and fees serve, and a market without a fee does not."""
    nothing = attrs.evolve(wide(), markets={}, fees={}, by_asset={})
    view = fresh_view(PLAN, nothing, ON_PLAN)
    assert view.markets == {leg.market.symbol: leg.market for leg in PLAN.legs}
    assert view.fees == {leg.market.symbol: leg.fee for leg in PLAN.legs}
    alone = wide("SOL/USDT")
    alone = attrs.evolve(alone, fees={})
    assert not fresh_view(PLAN, alone, ["SOL/USDT"]).markets


# Keeping to the plan


def judged(leg, amount, books, plan=PLAN, **policy):
    number = plan.legs.index(leg)
    known = {symbol: book(symbol, *prices) for symbol, prices in BOOKS.items()} | books
    view = fresh_view(plan, wide(), ON_PLAN)
    now = holding(leg.given_asset, "100", "100")
    return off_course(
        plan, number, D(amount), now, books=known, view=view, policy=Unwinding(**policy)
    )


BOOKS = {
    "BTC/USDT": ("99.90", "100.00"),
    "ETH/BTC": ("0.04990", "0.05000"),
    "ETH/USDT": ("5.05", "5.06"),
}


def test_a_price_at_the_limit_holds_and_one_beyond_does_not():
    """C10: a seller's limit is the least that it takes, a buyer's the most that it pays; the limit itself will do."""
    at, beyond = SELL_ETH.limit_price, SELL_ETH.limit_price - D("0.01")
    for price, code in ((at, None), (beyond, "leg.price_gone")):
        told = judged(SELL_ETH, "2", {"ETH/USDT": book("ETH/USDT", price, "9")}, way="forward")
        assert (told and told.code) == code
    at, beyond = BUY_ETH.limit_price, BUY_ETH.limit_price + D("0.00001")
    for price, code in ((at, None), (beyond, "leg.price_gone")):
        told = judged(BUY_ETH, "2", {"ETH/BTC": book("ETH/BTC", "0", price)}, way="forward")
        assert (told and told.code) == code


def test_a_whole_order_needs_its_whole_amount_and_no_more():
    """A5: a fill-or-kill leg is sent where just its amount is shown, and told what is missing where less is."""
    whole = attrs.evolve(SELL_ETH, time_in_force=TimeInForce.FOK)
    plan = attrs.evolve(PLAN, legs=(BUY_BTC, BUY_ETH, whole))
    shown = {"ETH/USDT": book("ETH/USDT", "5.05", "9", "2")}
    assert judged(whole, "2", shown, plan, way="forward") is None
    told = judged(whole, "2.1", shown, plan, way="forward")
    assert told.code == "leg.price_gone"
    assert told.numbers == {
        "symbol": "ETH/USDT",
        "shown": 2,
        "amount": D("2.1"),
        "limit": D("5.05"),
    }
    assert told.sentence == "ETH/USDT shows 2 of 2.1 within 5.05"


def test_a_better_way_is_named():
    """A7: where another trade brings more than the planned one, the refusal says which."""
    told = judged(BUY_ETH, "2", {"ETH/USDT": book("ETH/USDT", "4.99", "9")})
    assert told.code == "leg.better_way"
    assert told.numbers == {"symbol": "ETH/BTC", "instead": "BTC/USDT"}


# Turning back


def test_only_the_part_that_is_sold_counts_as_lost():
    """I7: where a book takes half of what is held, half of what it cost is weighed against what that brings."""
    now = holding("BTC", "2", "200")
    books = {"BTC/USDT": book("BTC/USDT", "99.90", "101", "1")}
    view = fresh_view(PLAN, wide(), ["BTC/USDT"])
    trade = next_trade(PLAN, now, books, view, Unwinding())
    assert (trade.market.symbol, trade.amount) == ("BTC/USDT", 1)


def test_what_is_finer_than_any_step_is_dust():
    """B4: a position below every step is no order, and says what it is."""
    now = holding("BTC", "1e-13", "1")
    told = next_trade(PLAN, now, {}, fresh_view(PLAN, wide(), ON_PLAN), Unwinding())
    assert str(told) == "route.below_minimum: BTC: 1E-13 is nothing"


# Legs


def test_a_leg_takes_no_more_than_its_market_does():
    """B11: what could be afforded beyond a market's largest order stays; its largest is rounded to its steps."""
    small = attrs.evolve(BUY_BTC.market, max_amount=D("0.123456789"))
    leg = attrs.evolve(BUY_BTC, market=small)
    assert affordable(leg, D(1000)) == D("0.12345")
    notional = attrs.evolve(BUY_BTC.market, max_amount=None, max_notional=D(50))
    leg = attrs.evolve(BUY_BTC, market=notional)
    assert affordable(leg, D(1000)) == D("0.5")
    assert (
        affordable(attrs.evolve(leg, market=attrs.evolve(notional, max_notional=None)), D(100)) == 1
    )


def test_a_seller_spends_the_base_and_a_fee_on_top_of_it():
    """B1: a leg whose fee is taken from what it gives can sell no more than is left after it."""
    fee = Fee(D("0.25"), Provenance.OVERRIDE, FeeSide.GIVEN, "a test")
    assert affordable(attrs.evolve(SELL_ETH, fee=fee), D(10)) == 8
    assert affordable(SELL_ETH, D("10.00019")) == D("10.0001")


def test_a_leg_that_filled_nothing_says_which_and_why():
    """A5: nothing of leg 1 is NOTHING, nothing of a later one SHORT; both name the leg, the amounts and the reason."""
    none = done(BUY_BTC, outcome=OrderOutcome.REJECTED, reason="-2010")
    end = next_step(PLAN, [none])
    assert isinstance(end, Finish)
    assert end.outcome is Outcome.NOTHING
    wanted = BUY_BTC.amount
    assert end.reason.numbers == {"leg": 1, "filled": 0, "amount": wanted}
    assert (
        str(end.reason)
        == f"leg.short: leg 1 filled 0 of {wanted.normalize():f} BTC on BTC/USDT: -2010"
    )
    whole = done(BUY_BTC, ("100", BUY_BTC.amount))
    end = next_step(PLAN, [whole, done(BUY_ETH, outcome=OrderOutcome.EXPIRED)])
    assert end.outcome is Outcome.SHORT
    assert end.reason.numbers["leg"] == 2
    assert end.reason.sentence.endswith("ETH on ETH/BTC")


def test_the_first_leg_may_fill_in_part_and_a_later_one_may_not():
    """A5: what leg 1 left was never spent, so that the cycle is complete; what a later one left is stranded."""
    part = done(BUY_BTC, ("100", BUY_BTC.amount / 2), outcome=OrderOutcome.PARTIAL)
    rest = [done(BUY_ETH, ("0.05", BUY_ETH.amount)), done(SELL_ETH, ("5.05", SELL_ETH.amount))]
    assert next_step(PLAN, [part, *rest]).outcome is Outcome.COMPLETED
    short = done(BUY_ETH, ("0.05", BUY_ETH.amount / 2), outcome=OrderOutcome.PARTIAL)
    end = next_step(PLAN, [done(BUY_BTC, ("100", BUY_BTC.amount)), short, rest[1]])
    assert end.outcome is Outcome.SHORT
    assert end.reason.numbers["leg"] == 2


def test_what_a_leg_brought_is_zero_without_fills():
    """B1: the sum over no fill is an exact zero."""
    assert received(BUY_BTC, done(BUY_BTC)) == 0
    assert isinstance(received(BUY_BTC, done(BUY_BTC)), Decimal)


def test_an_epoch_that_is_none_tells_what_is():
    """A15: an epoch that no id can be made of is refused with the form that will do."""
    with pytest.raises(UsageError) as caught:
        check_epoch("A")
    assert caught.value.hint == "use 4 to 12 small letters and digits"
