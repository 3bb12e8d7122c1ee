"""Limits in money: each in its own currency, valued over declared markets on the worse side, or refused."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from triarb.exceptions import UsageError
from triarb.model import Approved, Opportunity, Portfolio, Refused, Results
from triarb.money import Money, Proxy
from triarb.pricing import Valuation
from triarb.risk import (
    Marks,
    MaxCycleLoss,
    MaxDailyLoss,
    MaxDrawdown,
    MaxExposure,
    MaxNotional,
    MaxResidue,
    RemainingLossBudget,
    RiskLimits,
    RiskPolicy,
)
from triarb.risk.marks import floor
from triarb.testing.risk import NOW_NS, example_opportunities

EXAMPLES = example_opportunities()
TRIANGLE = EXAMPLES["a triangle of 100 bps"]  # its markets: BTC/USDT, BTC/ETH, USDT/ETH
OF_BTC = EXAMPLES["a triangle of BTC"]
DAY = "2020-09-13"
DECLARED = Valuation(["BTC/USDT", "USDT/ETH"], min_depth="1 USDT", max_age_ms=10_000)
MARKS = Marks(DECLARED, ["USD = USDT, haircut 1 %"])


def ask(policy: RiskPolicy, portfolio: Portfolio, opportunity: Opportunity = TRIANGLE):
    return policy.review(opportunity, portfolio, NOW_NS)


def sells(asset: str, currency: str, opportunity: Opportunity = TRIANGLE) -> Fraction:
    """Units of `currency` for one of `asset`, as the declared markets value it."""
    value = DECLARED.value(
        Money(Decimal(1), asset), currency, opportunity.rates, NOW_NS, opportunity.books
    )
    assert not isinstance(value, Refused)
    return value.ratio


def near(number: Decimal, exact: Fraction) -> bool:
    """Whether `number` is `exact`, rounded down at 18 decimals."""
    return 0 <= exact - Fraction(number) < Fraction(1, 10**18)


# Proxies


def test_a_proxy_reads_back_as_it_is_told() -> None:
    """Currency, asset and haircut, however it is spaced; a limit is less by the haircut, exactly."""
    proxy = Proxy.parse(" usd=USDT ,  Haircut 0.5% ")
    assert (proxy.currency, proxy.asset, proxy.haircut_percent) == ("usd", "USDT", Decimal("0.5"))
    assert Proxy.parse(str(proxy)) == Proxy.parse(proxy) == proxy
    assert proxy.limit(Money.parse("100 usd")) == Money.parse("99.5 USDT")
    assert Proxy.parse("USD = USDC, haircut 0 %").limit(Money.parse("7 USD")) == Money.parse(
        "7 USDC"
    )


@pytest.mark.parametrize(
    "text",
    [
        "USD = USDT",
        "USD = USDT, 1 %",
        "USD = USDT, haircut 1",
        "USD = USDT, haircut -1 %",
        "USD = USDT, haircut 100 %",
        "USD = USDT, haircut 1.2.3 %",
        "USD = USD, haircut 1 %",
        "USDT",
        None,
    ],
)
def test_a_proxy_of_nonsense_is_refused(text) -> None:
    """Without a haircut, with one that takes all, or for itself: an error that shows how to write it."""
    with pytest.raises(UsageError, match="haircut 1 %"):
        Proxy.parse(text)


@pytest.mark.parametrize(
    "proxies",
    [
        "USD = USDT, haircut 1 %",
        ["USD = USDT, haircut 1 %", "USD = USDC, haircut 1 %"],
        ["USD = USDT, haircut 1 %", "USDT = USDC, haircut 1 %"],
    ],
)
def test_proxies_are_one_for_each_currency(proxies) -> None:
    """One text, two of one currency and a chain of them are refused."""
    with pytest.raises(UsageError):
        Marks(proxies=proxies)


# What a limit is in the start asset


def test_a_limit_in_a_proxied_currency_needs_no_market() -> None:
    """100 USD are 99 USDT where that was declared, and nothing where it was not."""
    assert ask(MaxNotional("100 USD", Marks(proxies=MARKS.proxies)), Portfolio()) == Approved(
        TRIANGLE, max_amount=Decimal(99)
    )
    refusal = ask(MaxNotional("100 USD"), Portfolio())
    assert refusal.code == "risk.currency"


@pytest.mark.parametrize(
    "policy", [MaxNotional, MaxCycleLoss, MaxDailyLoss, MaxDrawdown, MaxExposure]
)
def test_a_limit_in_another_asset_is_what_it_buys(policy) -> None:
    """100 USD for a cycle of BTC: as many BTC as 99 USDT buy at the ask, which is less than they would sell for."""
    answer = ask(policy("100 USD", MARKS), Portfolio(), OF_BTC)
    bound = answer.max_loss if answer.max_amount is None else answer.max_amount
    assert near(bound, 99 * sells("USDT", "BTC", OF_BTC))
    assert Fraction(bound) * sells("BTC", "USDT", OF_BTC) < 99


def test_a_limit_that_cannot_be_valued_now_refuses() -> None:
    """E18: risk.unvalued, with why and the proxy in use: no market leads there, too old a price, too thin a book."""
    stale = Valuation(["BTC/USDT"], min_depth="1 USDT", max_age_ms=10)
    thin = Valuation(["BTC/USDT"], min_depth="1000000 USDT", max_age_ms=10_000)
    none = Valuation(["EUR/USDT"], min_depth="1 USDT", max_age_ms=10_000)
    for valuation, why in (
        (stale, "value.stale"),
        (thin, "value.too_thin"),
        (none, "value.no_reference"),
    ):
        marks = Marks(valuation, MARKS.proxies)
        refusal = ask(MaxNotional("100 USD", marks), Portfolio(), OF_BTC)
        assert isinstance(refusal, Refused)
        assert (refusal.code, refusal.numbers["why"]) == ("risk.unvalued", why)
        assert "USD = USDT, haircut 1 %" in refusal.sentence


def test_the_proxy_is_shown_wherever_it_is_used() -> None:
    """Each refusal of a limit in USD says what stood for it, and with which haircut."""
    lost = Portfolio(
        reserved={"USDT": Decimal(150)},
        residues={"USDT": Decimal(150)},
        realised={(DAY, "USDT"): Decimal(-150)},
    )
    for policy in (MaxDailyLoss, MaxExposure, MaxResidue, MaxDrawdown):
        refusal = ask(policy("100 USD", MARKS), lost)
        assert isinstance(refusal, Refused)
        shown = "100 USD (99 USDT: USD = USDT, haircut 1 %)"
        assert refusal.numbers["limit"] == shown
        assert shown in refusal.sentence


# What was gained and lost in several assets


def test_losses_of_all_assets_add_up_at_the_worse_side() -> None:
    """A loss in BTC costs what buying it takes, a gain in ETH brings what selling it does."""
    mixed = Portfolio(
        realised={
            (DAY, "BTC"): Decimal(-7),
            (DAY, "ETH"): Decimal(2),
            (DAY, "USDT"): Decimal(-1),
        }
    )
    left = ask(MaxDailyLoss("100 USDT", MARKS), mixed).max_loss
    lost = 1 + 7 / sells("USDT", "BTC") - 2 * sells("ETH", "USDT")
    assert near(left, 100 - lost)
    at_the_other_side = 1 + 7 * sells("BTC", "USDT") - 2 / sells("USDT", "ETH")
    assert lost > at_the_other_side


def test_a_gain_without_a_value_is_nothing_and_a_loss_without_one_refuses() -> None:
    """What nobody can value now may not make room for losses, and must not hide one."""
    policy = MaxDailyLoss("100 USDT", MARKS)
    won = Portfolio(realised={(DAY, "XRP"): Decimal(10**9), (DAY, "USDT"): Decimal(-40)})
    assert ask(policy, won).max_loss == 60
    lost = Portfolio(realised={(DAY, "XRP"): Decimal(-1)})
    assert ask(policy, lost).code == "risk.unvalued"


def test_reserved_funds_count_at_their_cost() -> None:
    """What an open cycle of BTC has out is as much USDT as buying it takes, in every limit on losses and exposure."""
    out = Portfolio(reserved={"BTC": Decimal(7)})
    cost = 7 / sells("USDT", "BTC")
    assert near(ask(MaxDailyLoss("100 USDT", MARKS), out).max_loss, 100 - cost)
    assert near(ask(MaxDrawdown("100 USDT", MARKS), out).max_loss, 100 - cost)
    assert near(ask(MaxExposure("100 USDT", MARKS), out).max_amount, 100 - cost)


def test_residues_count_what_buying_them_takes() -> None:
    """7 ETH held and 1 BTC owed, each at its cost."""
    left = Portfolio(residues={"ETH": Decimal(7), "BTC": Decimal(-1)})
    cost = 7 / sells("USDT", "ETH") + 1 / sells("USDT", "BTC")
    refusal = ask(MaxResidue("1 USDT", MARKS), left)
    assert refusal.code == "risk.residue"
    assert near(-refusal.numbers["residue"], -cost)


@pytest.mark.parametrize("policy", [MaxDailyLoss, MaxDrawdown, MaxExposure])
def test_a_limit_in_another_asset_that_is_used_up_refuses(policy) -> None:
    """What is out reaches 100 USD: a cycle of BTC is refused for that, not for what it would be bound to."""
    out = Portfolio(reserved={"USDT": Decimal(99)})
    refusal = ask(policy("100 USD", MARKS), out, OF_BTC)
    assert isinstance(refusal, Refused)
    assert refusal.numbers["limit"] == "100 USD (99 USDT: USD = USDT, haircut 1 %)"
    almost = ask(policy("100 USD", MARKS), Portfolio(reserved={"USDT": Decimal("98.5")}), OF_BTC)
    bound = almost.max_loss if almost.max_amount is None else almost.max_amount
    assert near(bound, sells("USDT", "BTC", OF_BTC) / 2)


def test_drawdowns_of_two_start_assets_add_up() -> None:
    """Both fell, and both count; below the limit the rest of it is what a cycle may lose, be it less than one."""
    fallen = Portfolio(
        results=Results(
            since_peak={("BTC", "BTC"): Decimal(-4), ("USDT", "USDT"): Decimal(-15)},
        )
    )
    cost = 4 / sells("USDT", "BTC") + 15
    assert near(ask(MaxDrawdown("100 USDT", MARKS), fallen).max_loss, 100 - cost)
    just = MaxDrawdown(Money(floor(cost) + Decimal("0.5"), "USDT"), MARKS)
    assert Decimal("0.49") < ask(just, fallen).max_loss <= Decimal("0.5")


def test_a_market_is_valued_by_the_depth_of_its_book() -> None:
    """E18: 120 at the best price are less than the least depth of 200; the level behind it fills that, and its price counts."""
    best, next_ = OF_BTC.books["BTC/USDT"].asks[:2]
    assert (best.amount, next_.amount, next_.price) == (120, 120, Decimal("0.994731"))
    deep = Valuation(["BTC/USDT"], min_depth="200 USDT", max_age_ms=10_000)
    answer = ask(MaxNotional("100 USDT", Marks(deep)), Portfolio(), OF_BTC)
    assert near(answer.max_amount, 100 / Fraction("0.994731"))


def test_the_least_of_a_budget_is_surely_worth_it() -> None:
    """A minimum of 10 USD is more than 10 USDT, as the haircut may be needed, and rounded up."""
    policy = RemainingLossBudget("100 USD", "300 USDT", 10, "10 USD", MARKS)
    refusal = ask(policy, Portfolio(), OF_BTC)
    assert isinstance(refusal, Refused)
    assert near(-refusal.numbers["minimum"], -Fraction(1000, 99) / sells("BTC", "USDT", OF_BTC))
    assert ask(policy, Portfolio()).code == "risk.loss_budget"
    assert ask(RemainingLossBudget("102 USD", "300 USDT", 10, "9.99 USD", MARKS), Portfolio())


@given(
    st.dictionaries(
        st.sampled_from(["USDT", "BTC", "ETH"]), st.integers(-50, 50).map(Decimal), min_size=1
    )
)
def test_what_is_marked_can_be_had(changes) -> None:
    """Whatever was gained and lost, its worth is no more than its gains sell for less what its losses cost to buy."""
    held = MARKS.hold(Money.parse("1 USDT"), TRIANGLE, NOW_NS)
    worth = held.worth(changes, Portfolio())
    assert not isinstance(worth, Refused)
    exact = sum(
        change
        if asset == "USDT"
        else change * sells(asset, "USDT")
        if change > 0
        else change / sells("USDT", asset)
        for asset, amount in changes.items()
        if (change := Fraction(amount)) or True
    )
    assert near(worth, Fraction(exact))
    cost = held.cost(changes)
    assert not isinstance(cost, Refused)
    assert Fraction(cost) >= abs(exact)


# RiskLimits in several currencies


def test_risk_limits_in_several_currencies() -> None:
    """Any currency that the declared markets and proxies reach; without them, an error when the limits are made."""
    limits = RiskLimits(
        min_edge_bps=5,
        max_notional="100 USD",
        max_daily_loss="20 USDT",
        max_residue="7 BTC",
        valuation=DECLARED,
        proxies=["USD = USDT, haircut 1 %"],
    )
    answer = ask(limits, Portfolio())
    assert (answer.max_amount, answer.max_loss) == (99, 20)
    usd = {"min_edge_bps": 5, "max_notional": "100 USD", "max_daily_loss": "20 USDT"}
    with pytest.raises(UsageError, match="USD"):
        RiskLimits(**usd)
    same = RiskLimits(**usd, proxies=["USD = USDT, haircut 1 %"])
    assert ask(same, Portfolio()).max_amount == 99


def test_every_limit_of_money_in_a_settings_file_is_valued() -> None:
    """Proxies and markets serve each limit, not the obliged ones alone: 10 USD are 9.9 USDT, and 9.95 USDT are too much."""
    usd = {
        "min_edge_bps": 5,
        "max_notional": "100 USD",
        "max_daily_loss": "100 USD",
        "proxies": ["USD = USDT, haircut 1 %"],
    }
    assert ask(RiskLimits(**usd, max_cycle_loss="10 USD"), Portfolio()).max_loss == Decimal("9.9")
    most = Decimal("9.95")
    for name, portfolio in (
        ("exposure", Portfolio(reserved={"USDT": most})),
        ("residue", Portfolio(residues={"USDT": most})),
        ("drawdown", Portfolio(results=Results(since_peak={("USDT", "USDT"): -most}))),
    ):
        refusal = ask(RiskLimits(**usd, **{f"max_{name}": "10 USD"}), portfolio)
        assert isinstance(refusal, Refused)
        assert refusal.code == f"risk.{name}"
        assert refusal.numbers["limit"] == "10 USD (9.9 USDT: USD = USDT, haircut 1 %)"
