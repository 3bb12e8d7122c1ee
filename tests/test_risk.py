"""The risk policies: each refusal by its numbers, composition that only tightens, and the check for everyone's own."""

import itertools
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest
from hypothesis import event, given, strategies as st

from triarb.clock import utc_day
from triarb.exceptions import PolicyViolation, UsageError
from triarb.market import FeeSchedule
from triarb.model import Approved, Opportunity, Portfolio, Refused, Results
from triarb.pricing import confirm
from triarb.risk import (
    AllOf,
    Allowed,
    CircuitBreaker,
    Denied,
    FirstRefusal,
    Marks,
    MaxAge,
    MaxConsecutiveLosses,
    MaxDailyLoss,
    MaxDrawdown,
    MaxEdge,
    MaxLegs,
    MaxNotional,
    MaxResidue,
    MaxSkew,
    MinEdge,
    MinStrandedEdge,
    RemainingLossBudget,
    RiskLimits,
    RiskPolicy,
)
from triarb.testing.risk import NOW_NS, check_risk_policy, example_opportunities

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]
DAY = utc_day(NOW_NS)
EMPTY = Portfolio()


def ask(policy: RiskPolicy, opportunity: Opportunity = TRIANGLE, portfolio: Portfolio = EMPTY):
    return policy.review(opportunity, portfolio, NOW_NS)


def numbers_of(answer: Approved | Refused, code: str) -> dict[str, object]:
    assert isinstance(answer, Refused)
    assert answer.code == code
    assert answer.sentence
    return dict(answer.numbers)


def lost(amount: str, reserved: str = "0", day: str = DAY) -> Portfolio:
    """A portfolio that lost `amount` USDT on a day, with `reserved` USDT still out."""
    return Portfolio(
        reserved={"USDT": Decimal(reserved)}, realised={(day, "USDT"): -Decimal(amount)}
    )


def test_the_examples_are_what_confirm_confirms() -> None:
    """Each example of the conformance checks is an opportunity by the package's own judgement."""
    for opportunity in EXAMPLES.values():
        fees = FeeSchedule({leg.market.symbol: leg.fee for leg in opportunity.cycle.legs})
        rates = opportunity.rates
        assert confirm(opportunity.cycle, opportunity.books, fees, rates, NOW_NS) == opportunity


# The single policies, by their numbers


def test_min_edge() -> None:
    """risk.min_edge: 99.83 bps are below 99.9; the bound goes with the approval, to hold at the margin."""
    edge = TRIANGLE.cycle.edge_bps
    numbers = numbers_of(ask(MinEdge("99.9")), "risk.min_edge")
    assert numbers == {"edge_bps": edge, "min_edge_bps": Decimal("99.9")}
    assert ask(MinEdge(99)) == Approved(TRIANGLE, min_edge_bps=Decimal(99))


def test_max_edge() -> None:
    """risk.implausible_edge: 99.83 bps are above 99.8."""
    edge = TRIANGLE.cycle.edge_bps
    numbers = numbers_of(ask(MaxEdge(99.8)), "risk.implausible_edge")
    assert numbers == {"edge_bps": edge, "max_edge_bps": Decimal("99.8")}
    assert ask(MaxEdge("99.9")) == Approved(TRIANGLE)


def test_edges_are_compared_exactly() -> None:
    """An edge that is the limit to the last digit passes both ways; a hair more or less does not."""
    ratio = (TRIANGLE.cycle.net_ratio - 1) * 10_000
    below = Decimal(ratio.numerator) / Decimal(ratio.denominator)  # to 28 digits
    above = below.next_plus()
    assert Fraction(below) != ratio
    below, above = sorted([below, above if Fraction(below) < ratio else below.next_minus()])
    assert Fraction(below) < ratio < Fraction(above)
    assert isinstance(ask(MinEdge(below)), Approved)
    assert isinstance(ask(MinEdge(above)), Refused)
    assert isinstance(ask(MaxEdge(above)), Approved)
    assert isinstance(ask(MaxEdge(below)), Refused)


def test_an_edge_that_is_the_limit_passes() -> None:
    """0.9995 twice at 1.004 are 29.96251 bps to the last digit: no less than is asked, and no more than is believed."""
    two = EXAMPLES["two legs"]
    assert isinstance(ask(MinEdge("29.96251"), two), Approved)
    assert isinstance(ask(MaxEdge("29.96251"), two), Approved)
    assert isinstance(ask(MinEdge("29.962511"), two), Refused)
    assert isinstance(ask(MaxEdge("29.962509"), two), Refused)


def test_max_notional() -> None:
    """A bound in the start asset; risk.currency: in another asset it says nothing, so nothing passes."""
    assert ask(MaxNotional("50 USDT")) == Approved(TRIANGLE, max_amount=Decimal(50))
    numbers = numbers_of(ask(MaxNotional("50 EUR")), "risk.currency")
    assert numbers == {"limit": "50 EUR", "asset": "EUR", "currency": "USDT"}


def test_max_legs() -> None:
    """risk.max_legs: three legs are more than two."""
    assert numbers_of(ask(MaxLegs(2)), "risk.max_legs") == {"legs": 3, "max_legs": 2}
    assert ask(MaxLegs(3)) == Approved(TRIANGLE)


def test_max_age() -> None:
    """I11: risk.stale: a book of 50 ms ago is older than 49 ms."""
    assert numbers_of(ask(MaxAge(49)), "risk.stale") == {"age_ms": 50, "max_age_ms": 49}
    assert ask(MaxAge(50)) == Approved(TRIANGLE)
    later = MaxAge(50).review(TRIANGLE, EMPTY, NOW_NS + 1)
    assert isinstance(later, Refused)


def test_a_book_of_the_future_is_stale() -> None:
    """risk.stale: whatever its limit, a book that was received after now is not to be trusted."""
    future = EXAMPLES["a triangle on a book of the future"]
    answer = ask(MaxAge(10**9), future)
    assert numbers_of(answer, "risk.stale") == {"age_ms": -5, "max_age_ms": 10**9}
    assert answer.sentence == "a book of it is from 5 ms in the future"


def test_max_skew() -> None:
    """I11: risk.skew: books of 20 and 50 ms ago are 30 ms apart."""
    assert numbers_of(ask(MaxSkew(29)), "risk.skew") == {"skew_ms": 30, "max_skew_ms": 29}
    assert ask(MaxSkew(30)) == Approved(TRIANGLE)


def test_max_daily_loss() -> None:
    """risk.daily_loss: 20 of 20 lost; before that what is left bounds the loss of a plan. What was won adds nothing."""
    policy = MaxDailyLoss("20 USDT")
    assert numbers_of(ask(policy, portfolio=lost("20")), "risk.daily_loss") == {
        "lost": 20,
        "window": "that ended today",
        "reserved": 0,
        "max_daily_loss": 20,
        "limit": "20 USDT",
        "day": DAY,
    }
    for amount, left in (("19.99", "0.01"), ("7", "13"), ("0", "20"), ("-500", "20")):
        answer = ask(policy, portfolio=lost(amount))
        assert answer == Approved(TRIANGLE, max_loss=Decimal(left))


def test_max_daily_loss_counts_its_day_and_its_asset() -> None:
    """Yesterday's loss is not today's; one in another asset, and a limit in another, let nothing pass unless valued."""
    policy = MaxDailyLoss("20 USDT")
    assert ask(policy, portfolio=lost("20", day="2020-09-12")) == ask(policy)
    assert isinstance(policy.review(TRIANGLE, lost("20"), NOW_NS + 86_400 * 10**9), Approved)
    other = Portfolio(realised={(DAY, "BTC"): Decimal(-20)})
    numbers = numbers_of(ask(policy, portfolio=other), "risk.currency")
    assert numbers == {"limit": "20 USDT", "asset": "USDT", "currency": "BTC"}
    won = Portfolio(realised={(DAY, "BTC"): Decimal(20)})
    assert ask(policy, portfolio=won) == ask(policy)
    numbers = numbers_of(ask(MaxDailyLoss("20 BTC")), "risk.currency")
    assert numbers == {"limit": "20 BTC", "asset": "BTC", "currency": "USDT"}


def test_max_daily_loss_counts_what_is_still_out() -> None:
    """What running and stuck executions may still spend counts as lost until they end."""
    policy = MaxDailyLoss("20 USDT")
    answer = ask(policy, portfolio=lost("5", reserved="14"))
    assert answer == Approved(TRIANGLE, max_loss=Decimal(1))
    numbers = numbers_of(ask(policy, portfolio=lost("5", reserved="15")), "risk.daily_loss")
    assert (numbers["lost"], numbers["reserved"]) == (5, 15)
    numbers = numbers_of(ask(policy, portfolio=lost("0", reserved="20")), "risk.daily_loss")
    assert (numbers["lost"], numbers["window"]) == (0, "that ended today")


def test_max_daily_loss_adds_up_what_one_asset_lost() -> None:
    """As the start of some cycles and as what others took from the middle: 5 and 3 of 20 leave 12."""
    portfolio = attrs.evolve(
        lost("5"), results=Results(residues={(DAY, "USDT"): Decimal(-3), (DAY, "XRP"): Decimal(0)})
    )
    assert ask(MaxDailyLoss("20 USDT"), portfolio=portfolio).max_loss == 12


def test_what_is_nothing_needs_no_value() -> None:
    """An asset of which nothing changed, is out or is left refuses nothing, though nobody can value it; nor does a gain."""
    none = Portfolio(
        reserved={"XRP": Decimal(0)},
        residues={"XRP": Decimal(0)},
        realised={(DAY, "XRP"): Decimal(0), (DAY, "BTC"): Decimal("0.5")},
    )
    assert ask(MaxDailyLoss("20 USDT"), portfolio=none).max_loss == 20
    assert isinstance(ask(MaxResidue("20 USDT"), portfolio=none), Approved)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["USDT", "BTC", "ETH"], None),
        (["BTC/USDT", "BTC/ETH", "USDT/ETH"], None),
        (["USDT", "BTC", "BTC/ETH", "USDT/ETH"], None),
        (["USDT", "BTC"], "BTC/ETH"),
        (["USDT", "BTC", "BTC/ETH"], "USDT/ETH"),
        ([], "BTC/USDT"),
    ],
)
def test_allowed(names: list[str], missing: str | None) -> None:
    """risk.not_allowed: a market passes by its symbol, or by both its assets, and every market must."""
    answer = ask(Allowed(names))
    if missing is None:
        assert answer == Approved(TRIANGLE)
    else:
        assert numbers_of(answer, "risk.not_allowed") == {"symbol": missing}


@pytest.mark.parametrize("name", ["ETH", "USDT", "BTC/USDT"])
def test_denied(name: str) -> None:
    """risk.denied: one name is enough, of an asset or a symbol; others, and parts of names, deny nothing."""
    assert numbers_of(ask(Denied(["XRP", name])), "risk.denied") == {"name": name}
    assert ask(Denied(["XRP", "USD", "ETH/XRP"])) == Approved(TRIANGLE)


NONSENSE = {
    "one text to deny": lambda: Denied("ETH"),
    "one text to allow": lambda: Allowed("ETH"),
    "no number": lambda: MinEdge("five"),
    "not a number": lambda: MaxEdge("NaN"),
    "no currency": lambda: MaxNotional("50"),
    "below zero": lambda: MaxDailyLoss("-1 USDT"),
}


@pytest.mark.parametrize("make", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_policy_of_nonsense_is_refused_when_it_is_made(make) -> None:
    """A text for names, no number, no currency, a negative limit: said at once, not when it should have held."""
    with pytest.raises(UsageError):
        make()


# Composition


class Bounds(RiskPolicy):
    """Approves within given bounds."""

    def __init__(self, max_amount=None, max_loss=None, min_edge_bps="0") -> None:
        self.bounds = (max_amount, max_loss, Decimal(min_edge_bps))

    def review(self, opportunity, portfolio, now_ns, /):
        return Approved(opportunity, *self.bounds)


class No(RiskPolicy):
    """Refuses."""

    def review(self, opportunity, portfolio, now_ns, /):
        return Refused("mine.no", "no")


def wider(one: Approved | Refused, other: Approved | Refused) -> bool:
    """Whether `other` allows anything that `one` does not."""
    if isinstance(other, Refused):
        return False
    if isinstance(one, Refused):
        return True
    grows = any(
        bound is not None and (new is None or new > bound)
        for bound, new in ((one.max_amount, other.max_amount), (one.max_loss, other.max_loss))
    )
    return grows or other.min_edge_bps < one.min_edge_bps


LIMITS = st.none() | st.integers(0, 9).map(Decimal)
MEMBERS = st.lists(
    st.one_of(
        st.builds(Bounds, LIMITS, LIMITS, st.sampled_from(["0", "1", "30"])),
        st.builds(Bounds, LIMITS, LIMITS, st.sampled_from(["0", "1", "30"])),
        st.builds(No) | st.builds(MaxLegs, st.integers(2, 5)),
        st.builds(MaxDailyLoss, st.sampled_from(["3 USDT", "8 USDT"])),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("composition", [AllOf, FirstRefusal])
def test_a_composition_of_nobody_is_refused(composition) -> None:
    """A composition without a member would approve everything, so that there is none."""
    with pytest.raises(UsageError, match="no policy"):
        composition()


@given(MEMBERS, st.sampled_from(sorted(EXAMPLES)), st.sampled_from(["0", "2", "5"]))
def test_all_of_is_no_laxer_than_any_member(members, name: str, loss: str) -> None:
    """It approves only what all approve, in bounds that are somebody's own; one more member can only tighten it."""
    opportunity, portfolio = EXAMPLES[name], lost(loss)
    answer = ask(AllOf(*members), opportunity, portfolio)
    answers = [ask(member, opportunity, portfolio) for member in members]
    event("approved" if isinstance(answer, Approved) else "refused")
    assert isinstance(answer, Refused) == any(isinstance(one, Refused) for one in answers)
    assert not any(wider(one, answer) for one in answers)
    first = ask(FirstRefusal(*members), opportunity, portfolio)
    assert not wider(first, answer)
    assert not wider(answer, first)
    for count in range(1, len(members)):
        fewer = ask(AllOf(*members[:count]), opportunity, portfolio)
        assert not wider(fewer, answer)
    if isinstance(answer, Approved):
        assert answer.opportunity is opportunity
        for bound in ("max_amount", "max_loss", "min_edge_bps"):
            told = {getattr(one, bound) for one in (*answers, Approved(opportunity))}
            assert getattr(answer, bound) in told


@given(MEMBERS, st.data())
def test_the_order_of_members_decides_nothing_but_the_words(members, data: st.DataObject) -> None:
    """Whatever the order, the same is approved within the same bounds; only which refusal is told may differ."""
    shuffled = data.draw(st.permutations(members))
    one, other = ask(AllOf(*members)), ask(AllOf(*shuffled))
    if isinstance(one, Approved):
        assert one == other
    else:
        assert isinstance(other, Refused)


def test_the_first_refusal_is_the_answer() -> None:
    """The first member that refuses is told; FirstRefusal asks none after it, AllOf asks all, and names who else refuses."""

    class Broken(RiskPolicy):
        def review(self, opportunity, portfolio, now_ns, /):
            raise RuntimeError("asked for nothing")

    assert ask(FirstRefusal(Bounds(), MaxLegs(2), No(), Broken())) == ask(MaxLegs(2))
    answer = ask(AllOf(Bounds(), MaxLegs(2), No(), Bounds(), No()))
    numbers = {"legs": 3, "max_legs": 2, "also": "mine.no"}
    assert numbers_of(answer, "risk.max_legs") == numbers
    assert answer.sentence == "3 legs are more than 2 (also mine.no)"
    assert ask(AllOf(Bounds(), MaxLegs(2))) == ask(MaxLegs(2))
    with pytest.raises(RuntimeError):
        ask(AllOf(MaxLegs(2), Broken()))


def test_a_member_that_approves_another_opportunity_breaks_all() -> None:
    """AllOf does not pass off an approval of something else as one of this."""

    class Elsewhere(RiskPolicy):
        def review(self, opportunity, portfolio, now_ns, /):
            return Approved(EXAMPLES["two legs"])

    with pytest.raises(PolicyViolation, match="Elsewhere"):
        ask(AllOf(Bounds(), Elsewhere()))
    with pytest.raises(PolicyViolation, match="Elsewhere"):
        ask(FirstRefusal(Bounds(), Elsewhere()))


@pytest.mark.parametrize("composition", [AllOf, FirstRefusal])
def test_a_member_that_does_not_answer_is_named(composition) -> None:
    """Neither approved nor refused: whose review it was, and what it said."""

    class Silent(RiskPolicy):
        def review(self, opportunity, portfolio, now_ns, /):
            return None

    with pytest.raises(PolicyViolation, match=r"^Silent\.review answered None"):
        ask(composition(Bounds(), Silent()))


@pytest.mark.parametrize("composition", [AllOf, FirstRefusal])
def test_the_widest_gap_of_all_members_is_assumed(composition) -> None:
    """Who sizes assumes the adverse move of the most careful, and the usual one where nobody told any."""
    wide, wider = (MinStrandedEdge(-1000, gap_bps=gap) for gap in (150, 200))
    assert ask(composition(wide, wider, Bounds())).gap_bps == 200
    assert ask(composition(Bounds(), Bounds())).gap_bps == 100


# RiskLimits


def test_risk_limits_are_its_policies() -> None:
    """Each limit is one policy; `allow` is one only where it names something."""
    limits = RiskLimits(
        min_edge_bps=5,
        max_notional="100 USDT",
        max_daily_loss="20 USDT",
        max_edge_bps=500,
        allow=["USDT", "BTC", "ETH"],
        deny=["XRP"],
    )
    answer = ask(limits, portfolio=lost("4"))
    assert answer == Approved(TRIANGLE, Decimal(100), Decimal(16), Decimal(5))
    assert answer == ask(limits.policies(), portfolio=lost("4"))
    kinds = [type(policy) for policy in limits.policies().policies]
    assert len(kinds) == len(set(kinds)) == 10
    assert Allowed in kinds
    assert Allowed not in [
        type(policy) for policy in attrs.evolve(limits, allow=()).policies().policies
    ]


GOOD = {"min_edge_bps": 5, "max_notional": "100 USDT", "max_daily_loss": "20 USDT"}


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"min_edge_bps": -1}, "min_edge_bps"),
        ({"min_edge_bps": 600}, "above max_edge_bps"),
        ({"min_edge_bps": "much"}, "min_edge_bps"),
        ({"max_edge_bps": 0}, "max_edge_bps"),
        ({"max_notional": "0 USDT"}, "max_notional"),
        ({"max_notional": "100"}, "not an amount"),
        ({"max_daily_loss": "0 USDT"}, "max_daily_loss"),
        ({"max_daily_loss": "20 EUR"}, "EUR"),
        ({"max_legs": 0}, "max_legs"),
        ({"max_legs": 2.5}, "max_legs"),
        ({"max_legs": True}, "max_legs"),
        ({"max_legs": "5"}, "max_legs"),
        ({"max_age_ms": -1}, "max_age_ms"),
        ({"max_skew_ms": 0}, "max_skew_ms"),
        ({"allow": "USDT"}, "one text"),
        ({"deny": "USDT"}, "one text"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict, word: str) -> None:
    """A limit that would let everything pass, or nothing, or that is no number, is an error that names it."""
    with pytest.raises(UsageError, match=word):
        RiskLimits(**{**GOOD, **limits})


def test_there_are_no_default_limits_of_money() -> None:
    """Edge, notional and daily loss must be said."""
    for name in GOOD:
        with pytest.raises(TypeError):
            RiskLimits(**{key: value for key, value in GOOD.items() if key != name})


# The check for everyone's own policies


OWN = [
    RiskLimits(**GOOD),
    RiskLimits(**GOOD, max_age_ms=10**7, max_skew_ms=10**6, max_edge_bps=1000),
    MinEdge(5),
    MaxEdge(500),
    MaxNotional("100 USDT"),
    MaxDailyLoss("20 USDT"),
    MaxDailyLoss("20 EUR"),
    MaxLegs(3),
    MaxAge(1000),
    MaxSkew(1000),
    Allowed(["USDT", "BTC", "ETH"]),
    Denied(["XRP"]),
    AllOf(MinEdge(5), MaxDailyLoss("20 USDT")),
    FirstRefusal(MinEdge(5), MaxDailyLoss("20 USDT")),
    RiskLimits(
        **GOOD,
        max_edge_bps=1000,
        min_stranded_edge_bps=-200,
        max_slippage_bps=50,
        max_per_asset=["2 ETH"],
        max_exposure="500 USDT",
        max_residue="5 USDT",
        max_cycle_loss="3 USDT",
        max_drawdown="100 USDT",
        max_consecutive_losses=3,
        max_cycles_per_minute=10,
        cycle_cooldown_seconds=5,
        market_cooldown_seconds=1,
        max_latency_ms=500,
        max_reject_percent=20,
        loss_budget_percent=10,
        min_notional="1 USDT",
        hours=["00:00-24:00"],
    ),
    CircuitBreaker(),
    MaxDrawdown("20 USDT"),
    RemainingLossBudget("20 USDT", "100 USDT"),
    MaxConsecutiveLosses(3),
    MaxNotional("100 USD", Marks(proxies=["USD = USDT, haircut 1 %"])),
    lambda: AllOf(No()),
    No,
]


@pytest.mark.parametrize("policy", OWN, ids=range(len(OWN)))
def test_the_packages_own_policies_pass_the_check(policy) -> None:
    """Each single policy, RiskLimits and AllOf hold to what is asked of everybody's; a factory is taken as well."""
    check_risk_policy(policy)


def policy_of(review) -> type[RiskPolicy]:
    """A policy whose review is a function, which may keep things in `self`."""
    return type("Wrong", (RiskPolicy,), {"__slots__": ("memory",), "review": review})


def _raises(self, opportunity, portfolio, now_ns, /):
    return Approved(opportunity, max_amount=portfolio.balances["DOGE"])


def _of_another(self, opportunity, portfolio, now_ns, /):
    return Approved(attrs.evolve(opportunity))


def _counts(self, opportunity, portfolio, now_ns, /):
    self.memory = getattr(self, "memory", 0) + 1
    return Refused("mine.often", "too often") if self.memory > 7 else Approved(opportunity)


def _remembers(self, opportunity, portfolio, now_ns, /):
    self.memory = getattr(self, "memory", opportunity.cycle.edge_bps)
    return Approved(opportunity, max_amount=self.memory)


def _doubles_up(self, opportunity, portfolio, now_ns, /):
    behind = -sum(portfolio.realised.values())
    return Approved(opportunity, max_amount=10 + 2 * max(behind, Decimal(0)))


def _forgives(self, opportunity, portfolio, now_ns, /):
    if 5 < -sum(portfolio.realised.values()) < 50:
        return Refused("mine.loss", "too much was lost")
    return Approved(opportunity)


def _forgets_its_bound(self, opportunity, portfolio, now_ns, /):
    late = portfolio.health.consecutive_losses > 4
    return Approved(opportunity, max_loss=None if late else Decimal(4))


def _lowers_its_edge(self, opportunity, portfolio, now_ns, /):
    return Approved(opportunity, min_edge_bps=Decimal(10 - portfolio.health.consecutive_losses))


def _pays_back(self, opportunity, portfolio, now_ns, /):
    portfolio.realised.clear()
    return Approved(opportunity)


WRONG = {
    "raises": (_raises, "KeyError"),
    "approves another": (_of_another, "of the opportunity it was given"),
    "says nothing": (lambda *_: None, "returned None"),
    "says yes": (lambda *_: True, "returned True"),
    "a float": (lambda _, given, *__: Approved(given, max_amount=100.0), "max_amount as 100.0"),
    "not a number": (lambda _, given, *__: Approved(given, max_loss=Decimal("NaN")), "max_loss"),
    "no edge": (lambda _, given, *__: Approved(given, min_edge_bps=None), "min_edge_bps as None"),
    "no code": (lambda *_: Refused("no", "no"), "no dotted code"),
    "no sentence": (lambda *_: Refused("mine.no", " "), "without a sentence"),
    "odd numbers": (lambda *_: Refused("mine.no", "no", {"why": None}), "neither text nor numbers"),
    "counts": (_counts, "asked again it says"),
    "remembers": (_remembers, "asked again it says approved with max_amount"),
    "doubles up": (_doubles_up, "max_amount grows from 10"),
    "forgives": (_forgives, "it approves what it refused with mine.loss"),
    "forgets its bound": (_forgets_its_bound, "max_loss grows from 4 to None"),
    "lowers its edge": (_lowers_its_edge, "min_edge_bps falls from 10 to 9"),
    "pays back": (_pays_back, "AttributeError"),
}


@pytest.mark.parametrize(("review", "words"), WRONG.values(), ids=WRONG.keys())
def test_the_check_finds_what_is_wrong(review, words: str) -> None:
    """Each kind of wrong policy fails, with a sentence that names the opportunity and what is wrong."""
    with pytest.raises(AssertionError, match=words) as failure:
        check_risk_policy(policy_of(review))
    assert str(failure.value).startswith(tuple(EXAMPLES))


def test_the_examples_differ_in_what_policies_judge() -> None:
    """Between them the examples have other starts, legs, edges, ages and skews, so that every policy meets both answers."""
    for policy in (
        MinEdge(5),
        MaxEdge(500),
        MaxNotional("100 USDT"),
        MaxDailyLoss("20 USDT"),
        MaxLegs(3),
        MaxAge(1000),
        MaxSkew(1000),
        Allowed(["USDT", "BTC", "ETH"]),
        Denied(["XRP"]),
    ):
        kinds = {type(ask(policy, opportunity)) for opportunity in EXAMPLES.values()}
        assert kinds == {Approved, Refused}
    assert all(one is not other for one, other in itertools.combinations(EXAMPLES.values(), 2))
