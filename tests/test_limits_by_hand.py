"""Limits set by hand: they hold beside the configuration, at once, through restarts; more is allowed only by consent."""

import asyncio
import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st

from triarb import CcxtGateway, SqlLedger, TradingConfig
from triarb.cli import main
from triarb.clock import SystemClock
from triarb.exceptions import LedgerError, UsageError
from triarb.model import (
    Approved,
    BalancesSet,
    Cycle,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fee,
    Leg,
    LimitSet,
    Market,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    Refused,
    Side,
)
from triarb.money import Money
from triarb.operations import Parts
from triarb.operations.changing import change_limit
from triarb.operations.limits import (
    HIGHER_IS_TIGHTER,
    LOWER_IS_TIGHTER,
    RAMP,
    SETTABLE,
    LimitsInForce,
    add_pending,
    canonical,
    drain,
    keep_journalled,
    limits_file,
    loosens,
    parse,
    read_pending,
)
from triarb.operations.ramp import Ramp, smallest
from triarb.operations.settings import SETTINGS
from triarb.risk import RiskLimits
from triarb.testing import planted_triangle
from triarb.testing.loopback import in_background
from triarb.testing.risk import NOW_NS, check_risk_policy, example_opportunities

TRIANGLE = example_opportunities()["a triangle of 100 bps"]
D = Decimal
CONFIG = TradingConfig(exchange="binance", min_edge_bps=D(0), max_edge_bps=D(10_000), max_legs=8)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    """A folder without files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def ledger():
    """The file of a ledger."""
    async with SqlLedger("mine.sqlite") as opened:
        await opened.append(BalancesSet(0, {"USDT": D(1000)}, "opening"))
    return Path("mine.sqlite")


async def change(ledger, name, text, *, consent=False, config=CONFIG):
    """Set a limit."""
    return await change_limit(ledger, config, name, text, by="ada", now_ns=7, consent=consent)


async def journalled(ledger):
    """The limits that the journal knows, and the events that set them."""
    async with SqlLedger(ledger, read_only=True) as opened:
        events = [event for event in opened.events() if isinstance(event, LimitSet)]
        return dict(opened.portfolio().limits), events


async def test_tightening_is_journalled_and_loosening_wants_consent(ledger):
    """Down at once; up only with consent; both with who did it; taken back, it is gone."""
    await change(ledger, "max_notional", "50")
    with pytest.raises(UsageError) as caught:
        await change(ledger, "max_notional", "60 USDT")
    assert caught.value.code == "limits.consent"
    assert (await journalled(ledger))[0] == {"max_notional": "50 USDT"}
    event, before = await change(ledger, "max_notional", "60 USDT", consent=True)
    assert (event, before) == (LimitSet(7, "max_notional", "60 USDT", "ada", loosens=True), "50 USDT")  # fmt: skip
    with pytest.raises(UsageError):
        await change(ledger, "max_notional", "none")
    await change(ledger, "max_notional", "none", consent=True)
    limits, events = await journalled(ledger)
    assert limits == {}
    assert [(e.value, e.loosens) for e in events] == [("50 USDT", False), ("60 USDT", True), ("", True)]  # fmt: skip


async def test_a_ledger_in_use_takes_a_tightening_at_once(ledger):
    """While an engine has it, a tightening goes into the file and is in force; a loosening is refused; then it is journalled."""
    async with SqlLedger(ledger) as opened:
        policy = LimitsInForce(CONFIG, ledger)
        assert policy.told(opened.portfolio()) == []
        await change(ledger, "max_notional", "20")
        assert policy.told(opened.portfolio()) == [("max_notional", "20 USDT")]
        for text in ("30", "none"):
            with pytest.raises(LedgerError) as caught:
                await change(ledger, "max_notional", text, consent=True)
            assert caught.value.code == "ledger.in_use"
        assert opened.portfolio().limits == {}
        keeping = asyncio.ensure_future(keep_journalled(opened, limits_file(ledger), Hurried()))
        for _ in range(500):
            if not read_pending(limits_file(ledger)):
                break
            await asyncio.sleep(0.01)
        keeping.cancel()
        assert opened.portfolio().limits == {"max_notional": "20 USDT"}
        assert policy.told(opened.portfolio()) == [("max_notional", "20 USDT")]


async def test_a_limit_set_by_another_name_of_the_ledger_holds(ledger):
    """A tightening through a link reaches the engine that has the file, and one on the file an engine that has the link."""
    link = ledger.with_name("link.sqlite")
    os.symlink(ledger, link)  # noqa: PTH211 - in a coroutine
    async with SqlLedger(ledger) as opened:
        for mine, theirs in ((ledger, link), (link, ledger)):
            policy = LimitsInForce(CONFIG, mine)
            await change(theirs, "max_notional", "20")
            assert policy.told(opened.portfolio()) == [("max_notional", "20 USDT")]
            limits_file(ledger).unlink()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("max_notional", "-5", "max_notional=-5: it is negative (write an amount above zero)"),
     ("min_edge_bps", "0.5%", "min_edge_bps=0.5%: it is not a number (write 50: it is counted in basis points)"),
     ("max_notionl", "5", "max_notionl is no limit that can be set by hand (did you mean max_notional?)")],
)  # fmt: skip
async def test_what_cannot_be_set_is_named_with_its_mend(ledger, name, text, said):
    """E11: thing, value and what to write instead; and nothing is journalled."""
    with pytest.raises(UsageError) as caught:
        await change(ledger, name, text)
    assert f"{caught.value.message} ({caught.value.hint})" == said
    assert await journalled(ledger) == ({}, [])


@pytest.mark.parametrize("name", ["allow", "deny", "hours"])
async def test_a_list_of_nothing_is_no_limit(ledger, name):
    """What would name nothing is refused, and not journalled as something that nobody can read back."""
    with pytest.raises(UsageError, match="would name nothing"):
        await change(ledger, name, " ")
    assert await journalled(ledger) == ({}, [])


async def test_what_waits_can_only_tighten(ledger, caplog):
    """Of two who tighten at once the lower holds, whoever was first; and no line in the file raises a ramp or a limit."""
    file = limits_file(ledger)
    for name, value in (("max_notional", "20 USDT"), ("max_notional", "50 USDT"), (RAMP, "900 USDT"),
                        ("max_notional", ""), ("deny", "LUNA, FTT"), ("deny", "LUNA")):  # fmt: skip
        add_pending(file, LimitSet(1, name, value, "ada", loosens=False))
    async with SqlLedger(ledger) as opened:
        await drain(opened, file)
        assert opened.portfolio().limits == {"max_notional": "20 USDT", "deny": "LUNA, FTT"}
    assert len(caplog.records) == 4
    assert read_pending(file) == ()


async def test_what_waits_and_cannot_be_read_refuses(ledger):
    """A line of the file that is damaged is not dropped: until a person mends it, nothing is approved."""
    file = limits_file(ledger)
    for name, value in (("max_notionl", "5 USDT"), ("max_legs", "x")):
        add_pending(file, LimitSet(1, name, value, "ada", loosens=False))
    async with SqlLedger(ledger) as opened:
        policy = LimitsInForce(CONFIG, ledger)
        for _ in range(2):
            assert policy.review(TRIANGLE, opened.portfolio(), NOW_NS).code == "limits.unreadable"
            await drain(opened, file)


class Hurried(SystemClock):
    """Waits a hundredth as long."""

    async def sleep(self, seconds):
        """Wait."""
        await asyncio.sleep(seconds / 100)


async def test_what_waits_outlives_its_engine(ledger):
    """An engine that dies before it journalled a tightening leaves it in force; the next change journals it first."""
    async with SqlLedger(ledger):
        await change(ledger, "min_edge_bps", "30")
    assert LimitsInForce(CONFIG, ledger).told(Portfolio()) == [("min_edge_bps", "30")]
    await change(ledger, "max_legs", "3")
    limits, events = await journalled(ledger)
    assert limits == {"min_edge_bps": "30", "max_legs": "3"}
    assert [event.name for event in events] == ["min_edge_bps", "max_legs"]
    assert read_pending(limits_file(ledger)) == ()


@pytest.mark.parametrize("text", ["{", "[]\n", '{"name": "max_legs"}\n', '{"at_ns": "1", "name": "a", "value": "b", "by": "c", "loosens": false}\n', "\xff"])  # fmt: skip
async def test_a_file_that_makes_no_sense_stops_everything(ledger, text):
    """What may be a tightening and cannot be read is not taken for none."""
    limits_file(ledger).write_text(text, encoding="latin-1")
    policy = LimitsInForce(CONFIG, ledger)
    answer = policy.review(TRIANGLE, Portfolio(), NOW_NS)
    assert isinstance(answer, Refused)
    assert answer.code == "limits.unreadable"
    async with SqlLedger(ledger) as opened:
        with pytest.raises(LedgerError) as caught:
            await drain(opened, limits_file(ledger))
    assert caught.value.code == "limits.file"


async def test_bad_names_and_values(ledger):
    """A name that is no limit, a value that is none, and one that contradicts the others are refused with the mend."""
    for name, text, why in (
        ("max_notionl", "5", "no limit that can be set"),
        ("api_key", "5", "no limit that can be set"),
        ("max_legs", "many", "not a number"),
        ("max_edge_bps", "0.5 %", "not a number"),
        ("max_notional", "-5", "negative"),
        ("min_notional", "5", "no loss_budget_percent"),
    ):
        with pytest.raises(UsageError, match=why):
            await change(ledger, name, text)
    with pytest.raises(LedgerError) as caught:
        await change(Path("mistyped.sqlite"), "max_legs", "3")
    assert caught.value.code == "ledger.missing"
    assert [path.name for path in ledger.resolve().parent.glob("mistyped*")] == []


VALUES = {
    **dict.fromkeys(LOWER_IS_TIGHTER | HIGHER_IS_TIGHTER, ("1", "2")),
    "max_legs": ("3", "4"),
    "min_edge_bps": ("5", "6"),
    "max_slippage_bps": ("5", "6"),
    "max_edge_bps": ("5", "6"),
    "min_stranded_edge_bps": ("-6", "-5"),
}


@pytest.mark.parametrize("name", sorted(LOWER_IS_TIGHTER | HIGHER_IS_TIGHTER))
def test_which_way_is_looser(name):
    """Of every limit with an order: one way asks, the other does not, and a first value only of the ramp."""
    config = attrs.evolve(CONFIG, loss_budget_percent=D(10))
    low, high = VALUES[name]
    assert loosens(config, name, high, low) is (name in LOWER_IS_TIGHTER)
    assert loosens(config, name, low, high) is (name in HIGHER_IS_TIGHTER)
    assert not loosens(config, name, low, low)
    assert loosens(config, name, low, None) is (name == RAMP)
    assert loosens(config, name, "none", low) is (name != RAMP)


def test_lists_and_other_currencies_ask_where_they_could_allow_more():
    """Fewer allowed and more denied tighten; all else of a list, and another currency, asks."""
    valued = attrs.evolve(CONFIG, references=("BTC/USDT",), min_depth=(Money(D(1), "USDT"),))
    for name, value, before, asks in (
        ("allow", "BTC", "BTC, ETH", False), ("allow", "BTC, ETH", "BTC", True), ("deny", "BTC, ETH", "BTC", False),
        ("deny", "ETH", "BTC", True), ("hours", "08:00-20:00", "09:00-10:00", True), ("hours", "08:00-20:00", "08:00-20:00", False),
        ("max_notional", "1 BTC", "5 USDT", True), ("max_per_asset", "1 BTC", "2 BTC", True),
    ):  # fmt: skip
        assert loosens(valued, name, value, before) is asks


def test_every_limit_can_be_set():
    """All that are keywords of RiskLimits, but for what limits are counted by, and nothing else but the ramp."""
    keywords = {field.name for field in attrs.fields(RiskLimits)}
    assert SETTABLE - {RAMP} == keywords - {"rolling_24_hours", "valuation", "proxies"}
    assert SETTABLE - {RAMP} <= SETTINGS.keys()


def test_a_value_reads_back():
    """What the journal keeps of a value is what it was."""
    config = attrs.evolve(CONFIG, loss_budget_percent=D(10))
    texts = {**{name: pair[0] for name, pair in VALUES.items()}, "allow": "BTC ETH/BTC", "deny": "LUNA",
             "hours": "08:00-20:00 22:00-23:00", "max_per_asset": "2 ETH, 0.1 BTC"}  # fmt: skip
    assert texts.keys() == SETTABLE
    for name, text in texts.items():
        value = parse(config, name, text)
        assert parse(config, name, canonical(value)) == value


@given(st.data())
def test_nothing_that_is_set_allows_more_than_the_configuration(data):
    """Whatever was set: an opportunity that the configuration refuses stays refused, and bounds only get narrower."""
    name = data.draw(st.sampled_from(sorted(VALUES)))
    text = data.draw(st.sampled_from(VALUES[name]))
    config = attrs.evolve(CONFIG, loss_budget_percent=D(10))
    policy = LimitsInForce(config, None)
    plain = policy.review(TRIANGLE, Portfolio(), NOW_NS)
    bound = policy.review(TRIANGLE, Portfolio(limits={name: text}), NOW_NS)
    if isinstance(bound, Approved):
        assert isinstance(plain, Approved)
        for attribute in ("max_amount", "max_loss"):
            least, most = getattr(bound, attribute), getattr(plain, attribute)
            assert most is None or (least is not None and least <= most)
        assert bound.min_edge_bps >= plain.min_edge_bps


async def test_the_ramp_is_raised_by_hand_after_some_cycles(ledger):
    """Not before five cycles completed, and only with consent; back to the minimum at once."""
    with pytest.raises(UsageError) as caught:
        await change(ledger, RAMP, "20", consent=True)
    assert caught.value.code == "limits.ramp"
    await complete(ledger, 5)
    with pytest.raises(UsageError) as caught:
        await change(ledger, RAMP, "20")
    assert caught.value.code == "limits.consent"
    await change(ledger, RAMP, "20", consent=True)
    with pytest.raises(UsageError):
        await change(ledger, RAMP, "21")
    await change(ledger, RAMP, "10")
    event, _ = await change(ledger, RAMP, "none")
    assert not event.loosens
    assert (await journalled(ledger))[0] == {}


async def complete(ledger, cycles):
    """Let a ledger know of cycles that completed."""
    leg = PlannedLeg(
        Market("BTC/USDT", "BTC", "USDT"), Side.BUY, D(1), D(101), Fee(D("0.001"), Provenance.OVERRIDE),
        given=D(100), received=D(1), worst_given=D(101), worst_received=D(1),
    )  # fmt: skip
    plan = Plan("BTC>USDT", "USDT", (leg,), D(1), D(0), (), D(50), 0)
    async with SqlLedger(ledger) as opened:
        for number in range(1, cycles + 1):
            await opened.append(ExecutionStarted(1, number, plan))
            done = Execution(number, plan, (), Outcome.COMPLETED, {"USDT": D(1)}, {}, 0, 1)
            await opened.append(ExecutionEnded(1, done))


def test_the_policies_keep_their_contract():
    """Limits by hand, the ramp and arming are risk policies that hold to all that one must."""
    config = attrs.evolve(CONFIG, max_notional=Money(D(1000), "USDT"))
    check_risk_policy(LimitsInForce(config, None))
    check_risk_policy(Ramp())


def test_the_ramp_is_what_the_minimums_ask_for():
    """A quarter above the dearest minimum on the way; raised, it says nothing; without a minimum, nothing begins."""
    bound = Ramp().review(TRIANGLE, Portfolio(), NOW_NS)
    legs = TRIANGLE.cycle.legs
    markets = [leg.market for leg in legs]
    if any(market.min_notional or market.min_amount for market in markets):
        assert bound.max_amount == smallest(TRIANGLE.cycle)
    none = [attrs.evolve(leg, market=attrs.evolve(leg.market, min_notional=None, min_amount=None)) for leg in legs]  # fmt: skip
    cycle = attrs.evolve(TRIANGLE.cycle, legs=tuple(none))
    untold = attrs.evolve(TRIANGLE, cycle=cycle)
    assert Ramp().review(untold, Portfolio(), NOW_NS).code == "ramp.no_minimum"
    raised = Ramp().review(untold, Portfolio(limits={RAMP: "20 USDT"}), NOW_NS)
    assert raised == Approved(untold)


@given(
    st.lists(st.decimals("0.001", "1000", places=3), min_size=3, max_size=3),
    st.lists(st.none() | st.decimals("0.01", "100", places=2), min_size=3, max_size=3),
    st.lists(st.sampled_from(["0.0001", "0.01", "0.5"]), min_size=3, max_size=3),
)
def test_a_first_cycle_passes_every_minimum(prices, least, steps):
    """At its amount every leg, rounded down to its step at these prices, is still above what its market asks for."""
    if not any(least):
        return
    fee = Fee(D("0.001"), Provenance.OVERRIDE)
    markets = [("BTC", "USDT", Side.BUY), ("ETH", "BTC", Side.BUY), ("ETH", "USDT", Side.SELL)]
    legs = tuple(
        Leg(
            Market(f"{base}/{quote}", base, quote, min_notional=minimum, amount_step=D(step)),
            side, price, fee,
        )
        for (base, quote, side), price, minimum, step in zip(markets, prices, least, steps, strict=True)
    )  # fmt: skip
    amount = Fraction(smallest(Cycle(legs)))
    for leg in legs:
        traded = amount if leg.side is Side.SELL else amount / Fraction(leg.price)
        step = Fraction(leg.market.amount_step)
        rounded = traded // step * step
        assert leg.market.min_notional is None or rounded * Fraction(leg.price) >= leg.market.min_notional  # fmt: skip
        amount *= leg.net_ratio


@pytest.fixture
def exchange(monkeypatch):
    """What Binance's hosts are in a test."""
    with in_background(planted_triangle()) as opened:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", opened.session_factory
        )
        yield opened


@pytest.mark.once
def test_the_commands(capsys, exchange):
    """Paper journals what it runs on, `limits set` bounds the next run, and `limits show` says what holds."""
    Path("triarb.toml").write_text(
        'exchange = "binance"\nledger = "own.sqlite"\nmin_edge_bps = 5\nmax_exposure = "500 USDT"\n'
    )

    def run(*arguments):
        code = main(list(arguments))
        return code, *capsys.readouterr()

    async def known():
        async with SqlLedger("own.sqlite", read_only=True) as ledger:
            return ledger.configured, ledger.portfolio().recent[-1].plan.at_stake

    paper = ("paper", "--cycles", "1", "--seconds", "20", "--json")
    parts = Parts.of(TradingConfig.load())
    assert run(*paper)[0] == 0
    configured, at_stake = asyncio.run(known())
    assert configured == attrs.evolve(parts.configured, at_ns=configured.at_ns)
    assert (configured.mode, configured.account) == ("paper", "main")
    assert at_stake > 20
    code, out, err = run("limits", "set", "max_notional", "20", "own.sqlite", "--by", "ada")
    assert (code, out, err) == (0, "set max_notional on own.sqlite: nothing set -> 20 USDT\n", "")
    code, out, err = run("limits", "set", "max_notional", "30", "own.sqlite")
    assert (code, out) == (2, "")
    assert "which allows more (say --yes" in err
    assert run(*paper)[0] == 0
    assert asyncio.run(known())[1] <= 20
    code, out, _ = run("limits", "show", "own.sqlite")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[:3] == [
        "ledger own.sqlite",
        "limit configured set by hand",
        "max_notional 100 USDT 20 USDT",
    ]
    code, out, _ = run("limits", "show", "own.sqlite", "--json")
    assert json.loads(out)["limits"]["max_exposure"] == {"configured": "500 USDT", "set": []}
    code, out, _ = run("limits", "set", "max_notional", "30", "own.sqlite", "--yes")
    assert out == "loosened max_notional on own.sqlite: 20 USDT -> 30 USDT\n"
