"""The path as pure calls: what honest parts agree on, and every broken part refused by name before any order."""

import decimal
from collections.abc import Callable
from decimal import Decimal

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.exceptions import PolicyViolation
from triarb.finders import BoundedCycleFinder
from triarb.market import FeeSchedule, RateTable
from triarb.model import (
    Approved,
    Fee,
    FeeSide,
    Market,
    Opportunity,
    OrderBook,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    Refused,
    Side,
    TimeInForce,
)
from triarb.money import Money
from triarb.pipeline import breaches, decide, nominate, review, size
from triarb.pricing import confirm, make_plan
from triarb.pricing.legs import unit_given, unit_received
from triarb.risk import AllOf, FirstRefusal, MaxNotional, MinEdge, RiskLimits, RiskPolicy
from triarb.sizing import FixedSizer, Sizer, TopOfBookSizer
from triarb.testing.market import planted_triangle
from triarb.testing.opportunities import CONFIRMED_NS, opportunities, portfolios
from triarb.testing.risk import NOW_NS, example_opportunities

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]
RICH = Portfolio({"USDT": Decimal(100_000)})
LIMITS = RiskLimits(min_edge_bps=5, max_notional="60 USDT", max_daily_loss="20 USDT")
APPROVED = Approved(TRIANGLE, Decimal(60), Decimal(20), Decimal(5))


class Policy(RiskPolicy):
    """A policy that answers what a function does."""

    def __init__(self, answer: Callable[[Opportunity], object]) -> None:
        self.answer = answer

    def review(self, opportunity, portfolio, now_ns, /):
        return self.answer(opportunity)


class Spoiled(Sizer):
    """A sizer that answers what a function makes of an honest plan."""

    def __init__(self, spoil: Callable[[Plan], object]) -> None:
        self.spoil = spoil

    def size(self, approved, portfolio, /):
        return self.spoil(FixedSizer("50 USDT").size(approved, RICH))


def test_a_decision_is_what_risk_and_sizing_agree_on() -> None:
    """Risk bounds, the sizer plans within, and the plan comes out as it was made."""
    plan = decide(TRIANGLE, LIMITS, TopOfBookSizer(), RICH, NOW_NS)
    assert isinstance(plan, Plan)
    assert plan == TopOfBookSizer().size(APPROVED, RICH)
    assert review(TRIANGLE, LIMITS, RICH, NOW_NS) == APPROVED
    assert plan == size(APPROVED, TopOfBookSizer(), RICH)
    assert 59 < plan.at_stake <= 60
    assert plan.decided_ns == NOW_NS
    assert decide(TRIANGLE, LIMITS, Spoiled(lambda plan: plan), RICH, NOW_NS) is not None


def test_a_refusal_ends_the_path() -> None:
    """What risk refuses is not sized, and either refusal is the answer as it was given."""
    no = Refused("mine.no", "no")

    def never(_: object) -> object:
        raise AssertionError("a refused opportunity was sized")

    assert decide(TRIANGLE, Policy(lambda _: no), Spoiled(never), RICH, NOW_NS) is no
    assert decide(TRIANGLE, LIMITS, Spoiled(lambda _: no), RICH, NOW_NS) is no


def test_nominations_are_the_finders() -> None:
    """`nominate` asks the finder, and gives what it finds."""

    class Finder:
        def find(self, rates, /):
            return [TRIANGLE.cycle] if isinstance(rates, RateTable) else []

    assert nominate(RateTable((), FeeSchedule()), Finder()) == [TRIANGLE.cycle]


@st.composite
def limits_of(draw: st.DrawFn, start: str) -> RiskPolicy:
    """The package's own policies, tight and loose."""
    return AllOf(
        RiskLimits(
            min_edge_bps=draw(st.sampled_from([0, 5, 40])),
            max_notional=Money(draw(st.sampled_from([1, 8, 30, 10**6]).map(Decimal)), start),
            max_daily_loss=Money(draw(st.sampled_from([1, 10, 10**6]).map(Decimal)), start),
            max_edge_bps=10**6,
        ),
        MinEdge(draw(st.sampled_from([0, 10]))),
    )


@pytest.mark.once
@settings(max_examples=150)
@given(opportunities(), st.data())
def test_the_packages_own_parts_never_break_their_contract(
    opportunity: Opportunity, data: st.DataObject
) -> None:
    """Whatever the market, limits and balances: a plan that breaks nothing, or a refusal, and never a violation."""
    start = opportunity.cycle.start
    risk = data.draw(limits_of(start))
    portfolio = data.draw(portfolios(start))
    amount = Money(data.draw(st.decimals("0.1", "40", places=1)), start)
    sizer = data.draw(st.sampled_from([TopOfBookSizer(), TopOfBookSizer(0), FixedSizer(amount)]))
    with decimal.localcontext(prec=6):
        answer = decide(opportunity, risk, sizer, portfolio, CONFIRMED_NS)
    event(answer.code if isinstance(answer, Refused) else "a plan")
    if isinstance(answer, Plan):
        approved = review(opportunity, risk, portfolio, CONFIRMED_NS)
        assert list(breaches(answer, approved, portfolio)) == []


# Broken policies

BROKEN_POLICIES = {
    "another": (lambda _: Approved(EXAMPLES["two legs"]), "the opportunity it was given"),
    "a copy": (lambda given: Approved(attrs.evolve(given)), "the opportunity it was given"),
    "nothing": (lambda _: None, "returned None"),
    "yes": (lambda _: True, "returned True"),
    "itself": (lambda given: given, "Policy.review returned Opportunity"),
    "raises": (lambda _: {}["limit"], "risk.review raised KeyError"),
    "a float": (lambda given: Approved(given, 50.0), "max_amount as 50.0"),
    "no end": (lambda given: Approved(given, None, Decimal("Infinity")), "max_loss as"),
    "not a number": (lambda given: Approved(given, Decimal("NaN")), "max_amount as"),
    "no edge": (lambda given: Approved(given, min_edge_bps=None), "min_edge_bps as None"),
    "an int": (lambda given: Approved(given, min_edge_bps=5), "min_edge_bps as 5"),
}


@pytest.mark.parametrize(("answer", "words"), BROKEN_POLICIES.values(), ids=BROKEN_POLICIES.keys())
def test_a_broken_policy_stops_everything(answer, words: str) -> None:
    """What is neither a refusal nor an approval of this opportunity within exact bounds is a violation, never a plan."""
    with pytest.raises(PolicyViolation, match=words) as violation:
        decide(TRIANGLE, Policy(answer), TopOfBookSizer(), RICH, NOW_NS)
    assert violation.value.code == "policy.violation"


def test_a_violation_is_passed_on_as_it_is() -> None:
    """A policy that finds another one broken is not wrapped in its own breach."""
    other = PolicyViolation("the other one did it")

    def raise_it(_: object) -> object:
        raise other

    with pytest.raises(PolicyViolation) as violation:
        decide(TRIANGLE, Policy(raise_it), TopOfBookSizer(), RICH, NOW_NS)
    assert violation.value is other
    within = AllOf(MaxNotional("60 USDT"), Policy(lambda _: Approved(EXAMPLES["two legs"])))
    with pytest.raises(PolicyViolation, match="another opportunity"):
        decide(TRIANGLE, within, TopOfBookSizer(), RICH, NOW_NS)
    for policy in (AllOf, FirstRefusal):
        with pytest.raises(PolicyViolation, match=r"Policy\.review answered None"):
            decide(TRIANGLE, policy(Policy(lambda _: None)), TopOfBookSizer(), RICH, NOW_NS)


# Broken sizers


def leg(plan: Plan, number: int, **changes: object) -> Plan:
    """`plan` with one leg changed and all numbers made anew, so that nothing but the change is wrong."""
    legs = list(plan.legs)
    one = attrs.evolve(legs[number - 1], **changes)
    with decimal.localcontext(prec=60):
        given, received = (
            one.amount * unit(one.side, one.limit_price, one.fee)
            for unit in (unit_given, unit_received)
        )
    told = {name: changes.get(name, given) for name in ("given", "worst_given")}
    told |= {name: changes.get(name, received) for name in ("received", "worst_received")}
    legs[number - 1] = attrs.evolve(one, **told)
    return make_plan(TRIANGLE, legs, plan.gap_bps)


def resending(plan: Plan, number: int, **changes: Decimal) -> Plan:
    """`plan` with another second order of one leg."""
    legs = list(plan.legs)
    legs[number - 1] = attrs.evolve(legs[number - 1], **changes)
    return attrs.evolve(plan, legs=tuple(legs))


def amount(plan: Plan, number: int, amount: str) -> Plan:
    return leg(plan, number, amount=Decimal(amount))


def scaled(plan: Plan, factor: int) -> Plan:
    """Every amount and what comes of it times `factor`."""
    names = ("amount", "given", "received", "worst_given", "worst_received")
    return make_plan(
        TRIANGLE,
        [
            attrs.evolve(one, **{name: getattr(one, name) * factor for name in names})
            for one in plan.legs
        ],
    )


def other_fee(plan: Plan) -> Plan:
    return leg(plan, 1, fee=Fee(Decimal(0), Provenance.OVERRIDE))


def fee_elsewhere(plan: Plan) -> Plan:
    return leg(plan, 1, fee=attrs.evolve(plan.legs[0].fee, charged_in=FeeSide.GIVEN))


def other_market(plan: Plan) -> Plan:
    finer = attrs.evolve(plan.legs[0].market, amount_step=Decimal("0.0001"))
    return leg(plan, 1, market=finer)


def half_the_loss(plan: Plan) -> Plan:
    first, *others = plan.stranded_losses
    return attrs.evolve(plan, stranded_losses=(first / 2, *others))


def with_gap(plan: Plan, gap_bps: str) -> Plan:
    return make_plan(TRIANGLE, plan.legs, Decimal(gap_bps))


def all_legs(plan: Plan, change: Callable[[PlannedLeg], dict[str, object]]) -> Plan:
    return make_plan(TRIANGLE, [attrs.evolve(one, **change(one)) for one in plan.legs])


BROKEN_SIZERS = {
    "nothing": (lambda plan: None, "returned None"),
    "legs": (lambda plan: plan.legs, "returned"),
    "raises": (lambda plan: plan.legs[7], "sizer.size raised IndexError"),
    "another cycle's": (
        lambda plan: FixedSizer("50 EUR").size(
            Approved(EXAMPLES["two legs"]), Portfolio({"EUR": Decimal(99)})
        ),
        "a plan of BTC>EUR from EUR for another opportunity",
    ),
    "another id": (lambda plan: attrs.evolve(plan, cycle_id="A>B>C"), "a plan of A>B>C"),
    "another start": (lambda plan: attrs.evolve(plan, start="BTC"), "from BTC for another"),
    "a leg less": (lambda plan: attrs.evolve(plan, legs=plan.legs[:2]), "not those of the opp"),
    "no leg": (lambda plan: attrs.evolve(plan, legs=()), "not those of the opp"),
    "other side": (
        lambda plan: attrs.evolve(
            plan, legs=(attrs.evolve(plan.legs[0], side=Side.SELL), *plan.legs[1:])
        ),
        "not those of the opp",
    ),
    "other order": (lambda plan: attrs.evolve(plan, legs=plan.legs[::-1]), "not those of the opp"),
    "other fee": (other_fee, "not those of the opp"),
    "fee elsewhere": (fee_elsewhere, "not those of the opp"),
    "other market": (other_market, "not those of the opp"),
    "off step": (lambda plan: amount(plan, 1, "50.0001"), "leg 1: 50.0001 is not a multiple"),
    "below the minimum": (lambda plan: amount(plan, 3, "4"), "leg 3: USDT/ETH takes at least"),
    "nothing of a leg": (lambda plan: amount(plan, 3, "0"), "leg 3: USDT/ETH takes at least"),
    "less than nothing": (lambda plan: amount(plan, 1, "-50"), "leg 1: BTC/USDT takes at least"),
    "off tick": (
        lambda plan: leg(plan, 1, limit_price=Decimal("1.0000001")),
        "leg 1: BTC/USDT shows 1.0000001, which is no price",
    ),
    "more than comes": (lambda plan: amount(plan, 2, "50.5"), "leg 2 spends 50.5 of 49.975"),
    "above the bound": (lambda plan: scaled(plan, 2), "it stakes 100 USDT of at most 60"),
    "above the balance": (lambda plan: scaled(plan, 3000), "USDT of 100000 free"),
    "too much to lose": (lambda plan: scaled(plan, 50), "USDT of at most 20"),
    "results": (
        lambda plan: attrs.evolve(plan, expected_result=plan.expected_result + 1),
        "its results are not those of its legs",
    ),
    "worst result": (
        lambda plan: attrs.evolve(plan, worst_result=plan.worst_result + 1),
        "its results are not those of its legs",
    ),
    "half the loss": (half_the_loss, "its stranded losses are not those of its legs"),
    "no loss": (
        lambda plan: attrs.evolve(plan, stranded_losses=()),
        "its stranded losses are not those of its legs",
    ),
    "a second order for nothing": (
        lambda plan: resending(plan, 2, resend=Decimal(1)),
        "leg 2 re-sends what its left-over does not pay for or win",
    ),
    "a second order that wins too much": (
        lambda plan: resending(plan, 3, resend_gain=Decimal(1)),
        "leg 3 re-sends what its left-over does not pay for or win",
    ),
    "a gap that helps": (lambda plan: with_gap(plan, "-500"), "its stranded losses are not"),
    "a gap beyond all": (lambda plan: with_gap(plan, "30000"), "its stranded losses are not"),
    "a worst case too good": (
        lambda plan: leg(plan, 1, worst_given=Decimal(1), given=Decimal(1)),
        "leg 1: its worst case is not that of its amount and limit",
    ),
    "a worst case that brings more": (
        lambda plan: leg(plan, 2, worst_received=Decimal(100), received=Decimal(100)),
        "leg 2: its worst case is not that of its amount and limit",
    ),
    "expects to spend nothing": (
        lambda plan: leg(plan, 2, given=Decimal(0)),
        "leg 2: it expects better than its book shows",
    ),
    "expects to get more": (
        lambda plan: leg(plan, 3, received=Decimal(99)),
        "leg 3: it expects better than its book shows",
    ),
    "expects to spend more": (
        lambda plan: leg(plan, 1, given=Decimal("50.5")),
        "leg 1: it expects worse than its limit allows",
    ),
    "expects to get less": (
        lambda plan: leg(plan, 3, received=Decimal(1)),
        "leg 3: it expects worse than its limit allows",
    ),
    "an edge too small": (
        lambda plan: leg(plan, 1, limit_price=Decimal("1.0098")),
        "its edge at the margin is .* bps of at least 5",
    ),
    "no profit": (lambda plan: amount(plan, 3, "40"), "USDT, no profit"),
    "a float": (
        lambda plan: attrs.evolve(plan, expected_result=float(plan.expected_result)),
        "it holds a number that is no finite Decimal",
    ),
    "not a number": (
        lambda plan: attrs.evolve(
            plan, legs=(attrs.evolve(plan.legs[0], amount=Decimal("NaN")), *plan.legs[1:])
        ),
        "it holds a number that is no finite Decimal",
    ),
    "no end": (
        lambda plan: attrs.evolve(plan, stranded_losses=(Decimal("Infinity"),) * 2),
        "it holds a number that is no finite Decimal",
    ),
    "no legs at all": (lambda plan: attrs.evolve(plan, legs=None), "the check of a plan raised"),
    "a limit of zero": (
        lambda plan: attrs.evolve(
            plan,
            legs=(plan.legs[0], plan.legs[1], attrs.evolve(plan.legs[2], limit_price=Decimal(0))),
        ),
        "the check of a plan raised",
    ),
}


@pytest.mark.parametrize(("spoil", "words"), BROKEN_SIZERS.values(), ids=BROKEN_SIZERS.keys())
def test_a_broken_sizer_stops_everything(spoil, words: str) -> None:
    """Whatever is wrong with a plan, it is a violation that says so, and no plan."""
    sizer = Spoiled(spoil)
    with pytest.raises(PolicyViolation) as violation:
        decide(TRIANGLE, LIMITS, sizer, RICH, NOW_NS)
    assert violation.value.code == "policy.violation"
    plan = sizer.size(APPROVED, RICH) if words != "sizer.size raised IndexError" else None
    try:
        told = list(breaches(plan, APPROVED, RICH)) if isinstance(plan, Plan) else []
    except (ArithmeticError, AttributeError, TypeError):
        told = []
    assert any(matches(words, sentence) for sentence in [violation.value.message, *told]), told


def matches(words: str, sentence: str) -> bool:
    """Whether `words` are in `sentence`, with ``.*`` for anything."""
    first, _, last = words.partition(".*")
    return first in sentence and last in sentence


def test_the_honest_plan_breaks_nothing() -> None:
    """What all broken plans are made from is itself a plan that is taken."""
    plan = decide(TRIANGLE, LIMITS, Spoiled(lambda plan: plan), RICH, NOW_NS)
    assert isinstance(plan, Plan)
    assert list(breaches(plan, APPROVED, RICH)) == []
    assert list(breaches(scaled(plan, 1), APPROVED, RICH)) == []
    assert list(breaches(leg(plan, 1), APPROVED, RICH)) == []


def test_a_plan_may_be_more_patient_than_the_book() -> None:
    """A limit better than the book is no breach: it is not filled at anything worse."""
    plan = Spoiled(lambda plan: plan).size(APPROVED, RICH)
    patient = leg(plan, 3, limit_price=Decimal("0.98"))
    assert list(breaches(patient, APPROVED, RICH)) == []


def test_what_is_reserved_is_not_free() -> None:
    """A balance counts without what running executions may still spend."""
    plan = Spoiled(lambda plan: plan).size(APPROVED, RICH)
    held = Portfolio({"USDT": Decimal(70)}, reserved={"USDT": Decimal("20.01")})
    assert list(breaches(plan, APPROVED, held)) == ["it stakes 50 USDT of 49.99 free"]


def test_markets_are_compared_by_value() -> None:
    """A plan whose markets were read again, and are the same, is as good."""
    plan = Spoiled(lambda plan: plan).size(APPROVED, RICH)
    again = Market(**attrs.asdict(plan.legs[0].market))
    same = attrs.evolve(plan, legs=(attrs.evolve(plan.legs[0], market=again), *plan.legs[1:]))
    assert list(breaches(same, APPROVED, RICH)) == []


def regapped(gap_bps: str) -> Callable[[Plan], Plan]:
    """The same legs with their losses at another gap."""
    return lambda plan: make_plan(TRIANGLE, plan.legs, Decimal(gap_bps))


def test_a_sizer_cannot_assume_a_smaller_gap_than_the_approval() -> None:
    """The adverse move behind a loss bound is the risk side's: a sizer that assumes less breaks its contract."""
    with pytest.raises(PolicyViolation, match="adverse move of 99 bps, less than 100"):
        size(APPROVED, Spoiled(regapped("99")), RICH)
    assert isinstance(size(APPROVED, Spoiled(regapped("150")), RICH), Plan)
    lenient = attrs.evolve(APPROVED, gap_bps=Decimal(99))
    assert isinstance(size(lenient, Spoiled(regapped("99")), RICH), Plan)


@pytest.mark.parametrize("word", [TimeInForce.GTC, "IOC?", None])
def test_an_order_that_could_rest_is_a_breach(word) -> None:
    """A leg that may stand in the book is out of the executor's hand, so that no plan may hold one."""

    def resting(plan: Plan) -> Plan:
        legs = (attrs.evolve(plan.legs[0], time_in_force=word), *plan.legs[1:])
        return attrs.evolve(plan, legs=legs)

    with pytest.raises(PolicyViolation, match="leg 1 is"):
        size(APPROVED, Spoiled(resting), RICH)


def test_the_widest_gap_of_all_policies_holds() -> None:
    """AllOf keeps the widest adverse move that a member asks for."""
    wide = Policy(lambda opportunity: Approved(opportunity, gap_bps=Decimal(300)))
    answer = AllOf(MinEdge(5), wide).review(TRIANGLE, RICH, NOW_NS)
    assert isinstance(answer, Approved)
    assert answer.gap_bps == 300


def test_plug_ins_cannot_change_what_they_see() -> None:
    """Law 2: the books and the market that an opportunity carries are read-only; a policy that writes is refused."""

    def forge(opportunity: Opportunity) -> Approved:
        opportunity.books["BTC/USDT"] = None
        return Approved(opportunity)

    snapshot = planted_triangle()
    rates = RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes)
    (cycle,) = nominate(rates, BoundedCycleFinder())
    books = {quote.symbol: OrderBook.from_quote(quote) for quote in snapshot.quotes}
    view = rates.view()
    found = confirm(cycle.starting_from("USDT"), books, snapshot.fees(), view, NOW_NS)
    assert isinstance(found, Opportunity)
    with pytest.raises(PolicyViolation, match="does not support item assignment"):
        review(found, Policy(forge), RICH, NOW_NS)
    for told in (view.markets, view.quotes, view.fees, view.by_asset):
        with pytest.raises(TypeError):
            told["BTC/USDT"] = None
