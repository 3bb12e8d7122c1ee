"""The sizers: plans that keep every bound, refusals by their numbers, and the check for everyone's own."""

import decimal
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import assume, event, given, settings, strategies as st

from triarb.exceptions import UsageError
from triarb.model import Approved, Plan, Portfolio, Refused
from triarb.money import Money, edge_bps, to_decimal
from triarb.pipeline import breaches, size
from triarb.pricing import (
    Priced,
    make_plan,
    margin_ratio,
    most_profitable,
    most_profitable_depth,
    profit_at,
)
from triarb.sizing import DepthSizer, FixedSizer, Sizer, TopOfBookSizer
from triarb.testing.opportunities import approvals, opportunities, portfolios
from triarb.testing.risk import example_opportunities
from triarb.testing.sizing import check_sizer

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]
RICH = Portfolio({"USDT": Decimal(100_000)})


def numbers_of(answer: Plan | Refused, code: str) -> dict[str, object]:
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert answer.sentence
    return dict(answer.numbers)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Approved, Portfolio]:
    """Any opportunity within any bounds, and any balance."""
    opportunity = draw(opportunities())
    return draw(approvals(opportunity)), draw(portfolios(opportunity.cycle.start))


GAPS = st.sampled_from(["0", "100", "700", "10000"]).map(Decimal)


@pytest.mark.once
@settings(max_examples=150)
@given(questions(), GAPS)
def test_a_top_of_book_plan_keeps_every_bound(
    question: tuple[Approved, Portfolio], gap_bps: Decimal
) -> None:
    """Whatever is approved and held, the plan breaks nothing; what the bounds let be best is what it takes."""
    approved, portfolio = question
    plan = size(approved, TopOfBookSizer(gap_bps), portfolio)  # raises at a breach
    event(plan.code if isinstance(plan, Refused) else "a plan")
    if isinstance(plan, Refused):
        return
    assert list(breaches(plan, approved, portfolio)) == []
    free = portfolio.free(plan.start)
    room = free if approved.max_amount is None else min(free, approved.max_amount)
    best = most_profitable(approved.opportunity, room)
    assert isinstance(best, Priced)
    assert plan.at_stake <= room
    assert 0 < plan.expected_result <= best.profit
    whole = make_plan(approved.opportunity, best.legs, max(gap_bps, approved.gap_bps))
    if approved.max_loss is None or whole.max_loss <= approved.max_loss:
        assert (plan.legs, plan.gap) == (whole.legs, 0)
    else:
        assert plan.max_loss <= approved.max_loss
        assert plan.binding == "max_loss"


@pytest.mark.once
@settings(max_examples=150)
@given(questions(), st.integers(3, 10) | st.integers(11, 18), GAPS)
def test_a_fixed_plan_keeps_every_bound(
    question: tuple[Approved, Portfolio], tenths: int, gap_bps: Decimal
) -> None:
    """Whatever is approved and held, the plan breaks nothing, and stakes no more than the amount."""
    approved, portfolio = question
    start = approved.opportunity.cycle.start
    best = most_profitable_depth(approved.opportunity)
    assume(isinstance(best, Priced))
    amount = to_decimal(Fraction(best.amount) * tenths / 10, 6)
    plan = size(approved, FixedSizer(Money(amount, start), gap_bps), portfolio)
    event(plan.code if isinstance(plan, Refused) else "a plan")
    if isinstance(plan, Refused):
        return
    assert list(breaches(plan, approved, portfolio)) == []
    through = profit_at(approved.opportunity, amount)
    assert isinstance(through, Priced)
    assert plan == make_plan(approved.opportunity, through.legs, max(gap_bps, approved.gap_bps))
    assert plan.at_stake <= amount


def test_the_size_of_most_profit() -> None:
    """The last book shows 120 USDT: of them 119.915 are bought, where rounding eats so little that no other size earns more."""
    plan = TopOfBookSizer().size(Approved(TRIANGLE), RICH)
    assert isinstance(plan, Plan)
    amounts = [str(leg.amount) for leg in plan.legs]
    assert amounts == ["118.671", "118.611", "119.915"]
    assert plan.at_stake == Decimal("118.671")
    received = Decimal("119.915") * Decimal("0.9995")
    assert plan.expected_result == plan.worst_result == received - plan.at_stake
    bounded = TopOfBookSizer().size(Approved(TRIANGLE, max_amount=Decimal("33.3339")), RICH)
    assert isinstance(bounded, Plan)
    assert Decimal("33.3") < bounded.at_stake <= Decimal("33.3339")


def test_a_fixed_amount_goes_through_the_whole_depth() -> None:
    """300 USDT take three levels of the first book; the most that any of them may cost is within the 300."""
    plan = FixedSizer("300 USDT").size(Approved(TRIANGLE), RICH)
    assert isinstance(plan, Plan)
    assert [leg.limit_price for leg in plan.legs] == [
        Decimal("1.0004"),
        Decimal("0.9996"),
        TRIANGLE.books[plan.legs[2].market.symbol].asks[2].price,
    ]
    assert plan.legs[0].given < plan.legs[0].worst_given == plan.at_stake <= 300
    assert plan.worst_result < plan.expected_result


# Refused, by the numbers


def test_refused_in_another_currency() -> None:
    """size.currency: an amount of EUR starts no cycle of USDT."""
    answer = FixedSizer("50 EUR").size(Approved(TRIANGLE), RICH)
    assert numbers_of(answer, "size.currency") == {"amount": "50 EUR", "start": "USDT"}


@pytest.mark.parametrize("held", [None, "0", "-3"])
def test_refused_without_a_balance(held: str | None) -> None:
    """size.balance: nothing is free, nothing at all or less than nothing."""
    balances = {} if held is None else {"USDT": Decimal(held)}
    answer = TopOfBookSizer().size(Approved(TRIANGLE), Portfolio(balances))
    assert numbers_of(answer, "size.balance")["bound"] == Decimal(held or 0)


def test_refused_by_the_balance_or_the_bound() -> None:
    """size.balance and size.bound: 50 USDT against 49.99 free after what is reserved, and against a bound of 49.99."""
    sizer = FixedSizer("50 USDT")
    room = Decimal("49.99")
    numbers = {"at_stake": 50, "room": room, "start": "USDT"}
    reserved = Portfolio({"USDT": Decimal(60)}, reserved={"USDT": Decimal("10.01")})
    answer = sizer.size(Approved(TRIANGLE), reserved)
    assert numbers_of(answer, "size.balance") == numbers
    answer = sizer.size(Approved(TRIANGLE, max_amount=room), RICH)
    assert numbers_of(answer, "size.bound") == numbers
    exactly = sizer.size(
        Approved(TRIANGLE, max_amount=Decimal(50)), Portfolio({"USDT": Decimal(50)})
    )
    assert isinstance(exactly, Plan)


def test_refused_below_the_least_that_the_markets_take() -> None:
    """With 4.99 USDT no market of 5 at least can be traded: told as what they would have to be more than."""
    answer = TopOfBookSizer().size(Approved(TRIANGLE), Portfolio({"USDT": Decimal("4.99")}))
    told = {
        "cycle": "BTC>ETH>USDT",
        "start": "USDT",
        "binding": "balance",
        "bound": Decimal("4.99"),
    }
    assert numbers_of(answer, "size.balance") == told
    assert numbers_of(FixedSizer("4.99 USDT").size(Approved(TRIANGLE), RICH), "cycle.below_minimum")


def test_refused_by_the_edge_at_the_margin() -> None:
    """size.edge: at the third level 300 USDT earn about 86 bps with their last unit, less than 90; 100 USDT earn 99.8."""
    approved = Approved(TRIANGLE, min_edge_bps=Decimal(90))
    plan = FixedSizer("300 USDT").size(Approved(TRIANGLE), RICH)
    assert isinstance(plan, Plan)
    numbers = numbers_of(FixedSizer("300 USDT").size(approved, RICH), "size.edge")
    assert numbers["result"] == plan.expected_result
    assert numbers["margin_bps"] == edge_bps(margin_ratio(plan.legs))
    assert 85 < numbers["margin_bps"] < 90
    assert isinstance(FixedSizer("100 USDT").size(approved, RICH), Plan)
    none = TopOfBookSizer().size(Approved(TRIANGLE, min_edge_bps=Decimal(100)), RICH)
    assert numbers_of(none, "size.edge")["net_rate"] == TRIANGLE.cycle.net_rate


def test_refused_where_rounding_eats_the_profit() -> None:
    """size.edge: at the margin 1 bps is above none, but the steps of three legs leave 5 USDT with less than they were."""
    slight = EXAMPLES["a triangle of 1 bps"]
    numbers = numbers_of(FixedSizer("5.02 USDT").size(Approved(slight), RICH), "size.edge")
    assert numbers["margin_bps"] == slight.cycle.edge_bps > 0
    assert numbers["result"] < 0


def test_refused_by_the_loss_if_stranded() -> None:
    """size.max_loss: 50 USDT stranded in BTC or ETH 1 % lower cost about half a USDT, more than 0.4."""
    approved = Approved(TRIANGLE, max_loss=Decimal("0.4"))
    plan = FixedSizer("50 USDT").size(Approved(TRIANGLE), RICH)
    assert isinstance(plan, Plan)
    numbers = numbers_of(FixedSizer("50 USDT").size(approved, RICH), "size.max_loss")
    assert numbers == {"amount": 50, "loss": plan.max_loss, "max_loss": Decimal("0.4")}
    assert Decimal("0.4") < plan.max_loss < Decimal("0.7")
    unmoved = attrs.evolve(approved, gap_bps=Decimal(0))
    assert isinstance(FixedSizer("50 USDT", gap_bps=0).size(unmoved, RICH), Plan)
    assert FixedSizer("50 USDT", gap_bps=0).size(approved, RICH).code == "size.max_loss"
    exactly = Approved(TRIANGLE, max_loss=plan.max_loss)
    assert FixedSizer("50 USDT").size(exactly, RICH) == plan


def test_the_size_shrinks_to_the_loss_that_is_allowed() -> None:
    """A loss of at most 0.4 USDT lets about as much be spent as loses that, not a fraction of it."""
    plan = TopOfBookSizer().size(Approved(TRIANGLE, max_loss=Decimal("0.4")), RICH)
    assert isinstance(plan, Plan)
    assert Decimal("0.39") < plan.max_loss <= Decimal("0.4")


@pytest.mark.parametrize("max_loss", ["0.01", "0", "-1"])
def test_refused_where_no_size_keeps_the_loss(max_loss: str) -> None:
    """size.max_loss: what may be lost is less than the least size loses; the loss is told, not the market's minimum."""
    approved = Approved(TRIANGLE, max_loss=Decimal(max_loss))
    answer = TopOfBookSizer().size(approved, RICH)
    assert numbers_of(answer, "size.max_loss")["bound"] == Decimal(max_loss)


def test_refused_where_nothing_can_be_lost_and_less_is_wanted() -> None:
    """size.max_loss: a bound below zero is kept by no plan, not even by one that loses nothing."""
    worth_more = {
        symbol: attrs.evolve(quote, bid=quote.bid * 2, ask=quote.bid * 2)
        for symbol, quote in TRIANGLE.rates.quotes.items()
        if symbol == "BTC/USDT"
    }
    quotes = {**TRIANGLE.rates.quotes, **worth_more}
    opportunity = attrs.evolve(TRIANGLE, rates=attrs.evolve(TRIANGLE.rates, quotes=quotes))
    plan = TopOfBookSizer(gap_bps=0).size(Approved(opportunity), RICH)
    assert isinstance(plan, Plan)
    assert plan.max_loss == 0
    answer = TopOfBookSizer(gap_bps=0).size(Approved(opportunity, max_loss=Decimal(-1)), RICH)
    assert numbers_of(answer, "size.max_loss")["bound"] == -1


@pytest.mark.parametrize("max_loss", ["0", "1"])
def test_refused_where_only_fractions_of_an_order_would_come_back(max_loss: str) -> None:
    """size.max_loss: nothing would be lost but for the minimums on the way back, which no stranded amount reaches."""
    prices = {"BTC/USDT": Decimal(3), "BTC/ETH": Decimal(1), "USDT/ETH": Decimal("0.3")}
    worth_more = {
        symbol: attrs.evolve(quote, bid=prices[symbol], ask=prices[symbol])
        for symbol, quote in TRIANGLE.rates.quotes.items()
    }
    markets = {
        symbol: attrs.evolve(market, min_notional=Decimal(10**9))
        for symbol, market in TRIANGLE.rates.markets.items()
    }
    rates = attrs.evolve(TRIANGLE.rates, quotes=worth_more)
    approved = Approved(attrs.evolve(TRIANGLE, rates=rates), max_loss=Decimal(max_loss))
    plan = DepthSizer(gap_bps=0).size(attrs.evolve(approved, gap_bps=Decimal(0)), RICH)
    assert isinstance(plan, Plan)
    assert plan.max_loss == 0
    whole = attrs.evolve(TRIANGLE, rates=attrs.evolve(rates, markets=markets))
    answer = DepthSizer(gap_bps=0).size(
        attrs.evolve(approved, opportunity=whole, gap_bps=Decimal(0)), RICH
    )
    assert numbers_of(answer, "size.max_loss")["bound"] == Decimal(max_loss)


def test_shrinking_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the loss does not follow the size, the sizer gives up after some tries, and refuses."""
    tries = []

    def stubborn(opportunity, legs, gap_bps):
        tries.append(legs[0].given)
        plan = make_plan(opportunity, legs, gap_bps)
        return attrs.evolve(plan, stranded_losses=(Decimal("1.05"),) * 2)

    monkeypatch.setattr("triarb.pricing.depth.make_plan", stubborn)
    answer = TopOfBookSizer().size(Approved(TRIANGLE, max_loss=Decimal(1)), RICH)
    assert numbers_of(answer, "size.max_loss")["binding"] == "max_loss"
    assert len(tries) == 8
    assert tries == sorted(tries, reverse=True)


# Settings


@pytest.mark.parametrize("gap_bps", [-1, "10001", "wide", float("nan")])
@pytest.mark.parametrize(
    "make", [TopOfBookSizer, lambda gap_bps: FixedSizer("1 USDT", gap_bps)], ids=["top", "fixed"]
)
def test_a_gap_that_makes_no_sense_is_refused(make, gap_bps) -> None:
    """An adverse move below zero, above all of it, or that is no number is an error when the sizer is made."""
    with pytest.raises(UsageError, match="gap_bps"):
        make(gap_bps)


def test_a_gap_is_read_as_it_is_typed() -> None:
    """Text, whole numbers and floats as people write them give the same exact gap."""
    assert TopOfBookSizer(7.5) == TopOfBookSizer("7.5") == TopOfBookSizer(Decimal("7.5"))
    assert TopOfBookSizer(10) == TopOfBookSizer("10")
    assert FixedSizer("50 USDT") == FixedSizer(Money(Decimal(50), "USDT"), "100")


@pytest.mark.parametrize(
    "sizer", [TopOfBookSizer(), FixedSizer("123.456 USDT")], ids=["top", "fixed"]
)
def test_the_callers_decimal_context_lets_nothing_more_be_spent(sizer: Sizer) -> None:
    """What is free is 119.5678 USDT to the last digit, whatever the context rounds to."""
    portfolio = Portfolio({"USDT": Decimal("123.4578")}, {"USDT": Decimal("3.8900")})
    approved = Approved(TRIANGLE)
    expected = sizer.size(approved, portfolio)
    with decimal.localcontext(prec=3, rounding=decimal.ROUND_UP):
        assert size(approved, sizer, portfolio) == expected
    if isinstance(expected, Plan):
        assert Fraction(expected.at_stake) <= Fraction("119.5678")
    else:
        assert expected.numbers["room"] == Decimal("119.5678")


# The check for everyone's own sizers


@pytest.mark.once
@pytest.mark.parametrize(
    "make",
    [
        TopOfBookSizer,
        lambda: TopOfBookSizer(0),
        lambda: FixedSizer("50 USDT"),
        lambda: FixedSizer("300 USDT", 500),
        lambda: FixedSizer("20 BTC"),
    ],
    ids=range(5),
)
def test_the_packages_own_sizers_pass_the_check(make) -> None:
    """Both sizers hold to what is asked of everybody's."""
    check_sizer(make)


class Wrong(Sizer):
    """A sizer that takes the best size and spoils something."""

    def __init__(self, spoil) -> None:
        self.spoil = spoil
        self.asked = 0

    def size(self, approved, portfolio, /):
        self.asked += 1
        plan = TopOfBookSizer().size(approved, portfolio)
        return plan if isinstance(plan, Refused) else self.spoil(self, approved, plan)


def _without_bounds(sizer, approved, plan):
    return TopOfBookSizer().size(Approved(approved.opportunity), RICH)


def _all_in(sizer, approved, plan):
    rich = Portfolio(dict.fromkeys(("USDT", "BTC", "EUR"), Decimal(10**6)))
    return TopOfBookSizer().size(attrs.evolve(approved, max_loss=None), rich)


def _careless(sizer, approved, plan):
    return attrs.evolve(plan, stranded_losses=tuple(loss / 2 for loss in plan.stranded_losses))


def _by_the_clock(sizer, approved, plan):
    return plan if sizer.asked % 7 else Refused("mine.pause", "every seventh is left out")


def _off_step(sizer, approved, plan):
    leg = plan.legs[0]
    finer = attrs.evolve(leg, amount=leg.amount - Decimal("0.0001"))
    return make_plan(approved.opportunity, (finer, *plan.legs[1:]))


WRONG = {
    "no bounds": (_without_bounds, "of at most"),
    "no balance": (_all_in, "free"),
    "half the loss": (_careless, "its stranded losses are not those of its legs"),
    "moody": (_by_the_clock, "asked again it says"),
    "off step": (_off_step, "is not a multiple of"),
    "nothing": (lambda *_: None, "returned None"),
    "raises": (lambda *_: 1 / 0, "ZeroDivisionError"),
    "no code": (lambda *_: Refused("", "no"), "no dotted code"),
    "never": (lambda *_: Refused("mine.no", "no"), "no plan in any of"),
}


@pytest.mark.once
@pytest.mark.parametrize(("spoil", "words"), WRONG.values(), ids=WRONG.keys())
def test_the_check_finds_what_is_wrong(spoil, words: str) -> None:
    """Each kind of wrong sizer fails, with a sentence that says what is wrong, and in which case."""
    with pytest.raises(AssertionError, match=words):
        check_sizer(lambda: Wrong(spoil))
