"""The nouns: what each can say of itself, by hand and by law."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st

import triarb.model
from triarb.exceptions import UsageError
from triarb.model import (
    Approved,
    Balance,
    Cycle,
    Execution,
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
    OrderState,
    OrderStatus,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    Quote,
    RateView,
    Refused,
    Side,
    TimeInForce,
    gross_rate,
)
from triarb.testing.strategies import NAMES, fees, quotes

D = Decimal
XRP_USDT = Market("XRP/USDT", "XRP", "USDT")
NO_FEE = Fee(D(0), Provenance.OVERRIDE)
TEN_BPS = D("0.001")

sides = st.sampled_from(Side)
prices = st.decimals("0.000001", "1000000", places=6)


@st.composite
def cycles(draw: st.DrawFn) -> Cycle:
    """Cycles of two to six legs, each leg either way round, with fees of every kind."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6, unique=True))
    legs = []
    for given_asset, received in zip(names, names[1:] + names[:1], strict=True):
        side = draw(sides)
        pair = (received, given_asset) if side is Side.BUY else (given_asset, received)
        legs.append(Leg(Market("/".join(pair), *pair), side, draw(prices), draw(fees())))
    return Cycle(tuple(legs))


def test_nouns_are_frozen():
    """No noun can be changed after it is made; each is compared by value."""
    nouns = [
        noun for noun in vars(triarb.model).values() if isinstance(noun, type) and attrs.has(noun)
    ]
    assert len(nouns) > 40
    for noun in nouns:
        assert noun.__setattr__ is not object.__setattr__, noun
        assert attrs.fields(noun) == () or noun.__eq__ is not object.__eq__, noun
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        NO_FEE.rate = D(1)
    assert Fee(D("0.10"), Provenance.FILE) == Fee(D("0.1"), Provenance.FILE)


def test_a_market_says_what_a_trade_gives_and_brings():
    """A buy gives quote for base, a sell base for quote."""
    assert (XRP_USDT.given(Side.BUY), XRP_USDT.received(Side.BUY)) == ("USDT", "XRP")
    assert (XRP_USDT.given(Side.SELL), XRP_USDT.received(Side.SELL)) == ("XRP", "USDT")


@pytest.mark.parametrize(
    ("charged_in", "buy", "sell"),
    [
        (FeeSide.RECEIVED, False, False),
        (FeeSide.GIVEN, True, True),
        (FeeSide.QUOTE, True, False),
    ],
)
def test_a_fee_is_on_top_or_taken_off(charged_in: FeeSide, *, buy: bool, sell: bool):
    """Where it is taken: in the quote asset it is on top of a buy, and from what a sell brings; also where told as plain words."""
    fee = Fee(TEN_BPS, Provenance.MARKET, charged_in)
    plain = attrs.evolve(fee, charged_in=str(charged_in))
    assert (fee.on_given(Side.BUY), fee.on_given(Side.SELL)) == (buy, sell)
    assert (plain.on_given("buy"), plain.on_given("sell")) == (buy, sell)  # type: ignore[arg-type]
    on_top, off = Fraction(1000, 1001), Fraction(999, 1000)
    assert fee.kept(Side.BUY) == (on_top if buy else off)
    assert fee.kept(Side.SELL) == (on_top if sell else off)


@given(fees(), sides)
def test_a_fee_keeps_less_and_a_rebate_more(fee: Fee, side: Side):
    """What is kept is on the other side of one from the rate, and one where there is no fee."""
    kept = fee.kept(side)
    assert (kept < 1) == (fee.rate > 0)
    assert (kept > 1) == (fee.rate < 0)
    assert kept > 0


@given(prices)
def test_gross_rates_of_both_sides_undo_each_other(price: Decimal):
    """Buying and selling at one price is a rate of exactly one, which no float would be."""
    assert gross_rate(Side.BUY, price) * gross_rate(Side.SELL, price) == 1


@pytest.mark.parametrize(
    ("bid", "ask", "fault"),
    [
        ("1", "2", None),
        ("2", "2", None),
        ("2", "1", "market.crossed"),
        (None, "1", "market.one_sided"),
        ("1", None, "market.one_sided"),
        ("0", "1", "market.one_sided"),
        ("1", "0", "market.one_sided"),
        (None, None, "market.one_sided"),
        ("2", "1.9999999999999999999999999", "market.crossed"),
    ],
)
def test_a_quote_knows_its_fault(bid: str | None, ask: str | None, fault: str | None):
    """One-sided goes before crossed; locked is no fault. A book of the same says the same."""
    quote = Quote("XRP/USDT", bid and D(bid), ask and D(ask), D(1), D(1))
    assert quote.fault() == fault
    assert OrderBook.from_quote(quote).fault() == fault


@pytest.mark.parametrize(
    "junk", [D("NaN"), D("sNaN"), D("Infinity"), D(-1), 0.5, "0.7", 1], ids=repr
)
@pytest.mark.parametrize("name", ["bid", "ask", "bid_size", "ask_size"])
def test_a_quote_of_junk_is_not_made(name: str, junk: Any):
    """What is no Decimal, not finite or negative is told by its market; no rate or verdict is ever made of it."""
    told = {"bid": D(1), "ask": D(2), name: junk}
    with pytest.raises(UsageError, match="the quote of XRP/USDT has a price or size of"):
        Quote("XRP/USDT", **told)


@pytest.mark.parametrize("junk", [D("NaN"), D("Infinity"), D(-1), 0.5, "0.7", 1], ids=repr)
@pytest.mark.parametrize("name", ["price_tick", "amount_step", "min_notional", "max_price"])
def test_a_market_of_junk_is_not_made(name: str, junk: Any):
    """B9: a step or limit that is no Decimal, not finite or negative is told by its name; no amount is ever rounded by it."""
    with pytest.raises(UsageError, match=f"{name} of XRP/USDT is ") as caught:
        Market("XRP/USDT", "XRP", "USDT", **{name: junk})
    assert 'Decimal("0.001")' in caught.value.hint


@pytest.mark.parametrize("junk", [D("NaN"), 0.001, "0.001", 0], ids=repr)
def test_a_markets_fee_is_a_number(junk: Any):
    """A taker fee that is no finite Decimal is none; a rebate is one."""
    with pytest.raises(UsageError, match="taker of XRP/USDT is "):
        Market("XRP/USDT", "XRP", "USDT", taker=junk)
    assert Market("XRP/USDT", "XRP", "USDT", taker=D("-0.0001")).taker == D("-0.0001")


@pytest.mark.parametrize(
    "junk", [D("NaN"), D("sNaN"), D("Infinity"), 0.5, "0.7", 1, None], ids=repr
)
def test_a_balance_of_junk_is_not_made(junk: Any):
    """B9: what is no finite Decimal is no balance: neither an opening nor a comparison is ever made of it."""
    for told in ((junk,), (D(1), junk)):
        with pytest.raises(UsageError, match="a balance of "):
            Balance(*told)


def test_a_quote_has_the_takers_price():
    """A buy pays the ask, a sell gets the bid; a side that is not there has none."""
    quote = Quote("XRP/USDT", D("0.5"), D("0.6"))
    assert quote.price_for(Side.BUY) == D("0.6")
    assert quote.price_for(Side.SELL) == D("0.5")
    for side in Side:
        with pytest.raises(LookupError, match=f"XRP/USDT has no price for a {side}"):
            Quote("XRP/USDT", None, D(0)).price_for(side)


@given(quotes(XRP_USDT))
def test_a_quote_with_sizes_is_a_book_and_back(quote: Quote):
    """A book of one level a side holds all that a quote with sizes does; a side without price or size is empty."""
    book = OrderBook.from_quote(attrs.evolve(quote, received_ns=7, exchange_ns=5))
    told = attrs.evolve(
        quote,
        bid=quote.bid if quote.bid and quote.bid_size is not None else None,
        ask=quote.ask if quote.ask and quote.ask_size is not None else None,
        bid_size=quote.bid_size if quote.bid else None,
        ask_size=quote.ask_size if quote.ask else None,
        received_ns=7,
        exchange_ns=5,
    )
    assert book.quote() == told
    assert book.top() == book


def test_a_book_has_the_levels_that_a_taker_takes():
    """Asks for a buy, bids for a sell; its top is its best level of each side."""
    bids = (Level(D("0.5"), D(1)), Level(D("0.4"), D(2)))
    asks = (Level(D("0.6"), D(3)), Level(D("0.7"), D(4)))
    book = OrderBook("XRP/USDT", bids, asks, 9, 8)
    assert book.against(Side.BUY) == asks
    assert book.against(Side.SELL) == bids
    assert book.top() == OrderBook("XRP/USDT", bids[:1], asks[:1], 9, 8)
    assert book.quote() == Quote("XRP/USDT", D("0.5"), D("0.6"), D(1), D(3), 9, 8)
    assert OrderBook("XRP/USDT", (), asks).fault() == "market.one_sided"
    assert OrderBook("XRP/USDT", asks, bids).fault() == "market.crossed"


@pytest.mark.once
@given(cycles())
def test_a_cycle_is_the_same_wherever_it_begins(cycle: Cycle):
    """Id, assets and rates are those of every rotation; each rotation begins where it was told to."""
    assert cycle.assets[0] == min(cycle.assets)
    assert cycle.id == ">".join(cycle.assets)
    for asset in cycle.assets:
        turned = cycle.starting_from(asset)
        assert turned.start == asset == turned.legs[0].given == turned.legs[-1].received
        assert (turned.id, turned.assets) == (cycle.id, cycle.assets)
        assert turned.net_ratio == cycle.net_ratio
        assert turned.gross_ratio == cycle.gross_ratio
        assert turned.starting_from(cycle.start) == cycle
    with pytest.raises(ValueError, match="nothing"):
        cycle.starting_from("nothing")


@pytest.mark.once
@given(cycles())
def test_a_cycles_rates_are_the_products_of_its_legs(cycle: Cycle):
    """Exactly; what is shown of them is rounded at 18 decimals and no sooner."""
    gross, net = Fraction(1), Fraction(1)
    for leg in cycle.legs:
        gross *= leg.gross_ratio
        net *= leg.gross_ratio * leg.fee.kept(leg.side)
        assert leg.net_ratio == leg.gross_ratio * leg.fee.kept(leg.side)
        assert {leg.given, leg.received} == {leg.market.base, leg.market.quote}
    assert (cycle.gross_ratio, cycle.net_ratio) == (gross, net)
    half = Fraction(1, 2 * 10**18)
    assert abs(Fraction(cycle.gross_rate) - gross) <= half
    assert abs(Fraction(cycle.net_rate) - net) <= half
    assert abs(Fraction(cycle.edge_bps) - (net - 1) * 10_000) <= half


def test_a_fill_changes_balances_by_what_was_exchanged_and_charged():
    """A buy of 2 at 3 with a fee in each asset, and a sell with a fee in a third."""
    fill = Fill("1", "c", "A/B", "A", "B", Side.BUY, D(3), D(2), {"A": D("0.1"), "B": D("0.2")})
    assert fill.changes() == {"A": D("1.9"), "B": D("-6.2")}
    sell = attrs.evolve(fill, side=Side.SELL, fees={"BNB": D("0.01")})
    assert sell.changes() == {"A": D(-2), "B": D(6), "BNB": D("-0.01")}


@pytest.mark.parametrize("status", OrderStatus)
def test_an_order_is_complete_when_all_that_filled_is_known(status: OrderStatus):
    """Final is what is neither open nor unknown; complete is final with a fill for every filled unit."""
    fill = Fill("1", "c", "A/B", "A", "B", Side.BUY, D(3), D(2), {})
    final = status not in {OrderStatus.OPEN, OrderStatus.UNKNOWN}
    whole = OrderState("c", "A/B", status, D(5), D(2), (fill,))
    lagging = OrderState("c", "A/B", status, D(5), D(3), (fill,))
    nothing = OrderState("c", "A/B", status, D(5), D(0))
    assert whole.is_final is lagging.is_final is final
    assert whole.is_complete is nothing.is_complete is final
    assert lagging.is_complete is False


def planned(given_amount: int, worst_given: int) -> PlannedLeg:
    """A leg of which only what it spends matters."""
    return PlannedLeg(
        XRP_USDT,
        Side.BUY,
        D(2),
        D("0.6"),
        NO_FEE,
        given=D(given_amount),
        received=D(2),
        worst_given=D(worst_given),
        worst_received=D(2),
    )


def plan(worst_result: int, *stranded: int) -> Plan:
    """A plan of one leg with these endings."""
    losses = tuple(D(loss) for loss in stranded)
    return Plan(
        "A>B", "USDT", (planned(10, 11),), D("0.5"), D(worst_result), losses, D(100), decided_ns=0
    )


@pytest.mark.parametrize(
    ("worst_result", "stranded", "max_loss"),
    [(1, (0, 0), 0), (-3, (0, 2), 3), (-1, (2, 5), 5), (4, (), 0), (-4, (), 4)],
)
def test_a_plans_largest_loss_is_that_of_its_worst_ending(
    worst_result: int, stranded: tuple[int, ...], max_loss: int
):
    """Of all legs filled at their limits and of every stranding; never below zero."""
    assert plan(worst_result, *stranded).max_loss == max_loss


def test_a_plan_stakes_what_leg_one_may_spend():
    """At its limit price a buy spends more than expected, a sell with a fee on top the same."""
    assert plan(0).at_stake == 11
    assert attrs.evolve(plan(0), legs=(planned(12, 11),)).at_stake == 12
    assert str(plan(0)) == "buy 2 XRP/USDT at 0.6: 0.5 USDT expected"
    leg = plan(0).legs[0]
    assert (leg.given_asset, leg.received_asset) == ("USDT", "XRP")
    assert leg.time_in_force is TimeInForce.IOC


def test_an_execution_splits_result_from_residues():
    """What it did to the start asset is its result; the rest that is not nothing is residues."""
    order = Order("c", "XRP/USDT", Side.BUY, D(5), D("0.6"))
    fills = tuple(
        Fill(str(n), "c", "XRP/USDT", "XRP", "USDT", Side.BUY, D("0.6"), D(n), {}) for n in (1, 2)
    )
    result = LegResult(order, fills, sent_ns=1, done_ns=2)
    assert result.filled == 3
    assert LegResult(order, (), 1, 2).filled == 0
    execution = Execution(
        1,
        plan(0),
        (result,),
        Outcome.SHORT,
        {"USDT": D("-1.8"), "XRP": D(3), "BTC": D(0)},
        {},
        0,
        1,
        Refused("leg.short", "it fell short"),
    )
    assert execution.result == D("-1.8")
    assert execution.residues == {"XRP": D(3)}
    assert attrs.evolve(execution, changes={}).result == 0
    assert str(execution.reason) == "leg.short: it fell short"


def test_a_portfolio_frees_what_is_not_reserved():
    """Balance less reserved; nothing of an asset that it does not hold."""
    portfolio = Portfolio({"USDT": D(10)}, {"USDT": D(4), "BTC": D(1)})
    assert portfolio.free("USDT") == 6
    assert portfolio.free("BTC") == -1
    assert portfolio.free("ETH") == 0
    assert Portfolio().health.leg_latency_ms is None
    assert Balance(D(1), D(2)).total == 3


def test_an_opportunity_knows_the_ages_of_its_books():
    """Age is that of the oldest book, skew the time between the oldest and the newest."""
    leg = Leg(XRP_USDT, Side.BUY, D("0.6"), NO_FEE)
    books = {
        symbol: OrderBook(symbol, (), (), received_ns)
        for symbol, received_ns in (("a", 100), ("b", 70), ("c", 90))
    }
    view = RateView({}, {}, {}, {})
    opportunity = Opportunity(Cycle((leg,)), Cycle((leg,)), books, view, confirmed_ns=150)
    assert (opportunity.age_ns, opportunity.skew_ns) == (80, 30)
    approved = Approved(opportunity)
    assert (approved.max_amount, approved.max_loss, approved.min_edge_bps) == (None, None, 0)
