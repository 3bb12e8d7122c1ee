"""The ledger: its arithmetic, its text, its database, and what becomes of all three when things fail."""

import asyncio
import contextlib
import decimal
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import typing
from collections import defaultdict
from decimal import Decimal

import attrs
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings, strategies as st

from triarb.exceptions import LedgerError, UsageError
from triarb.ledger import Ledger, SqlLedger, accounts, default_path, schema
from triarb.ledger.accounts import RECENT, Accounts
from triarb.ledger.codec import KINDS, decode, encode
from triarb.ledger.storage import BEGINNING, Entry
from triarb.ledger.tables import alembic_version, metadata
from triarb.market.fee_check import check_fees
from triarb.model import (
    Answered,
    BalancesSet,
    Claimed,
    Compared,
    Configured,
    EpochStarted,
    Examined,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fee,
    FeeSide,
    Fill,
    Filled,
    Granted,
    Halted,
    Health,
    Intended,
    LedgerEvent,
    LegResult,
    LimitSet,
    Market,
    Order,
    OrderOutcome,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Proven,
    Provenance,
    Refused,
    Resumed,
    RunEnded,
    Side,
    SubmissionStatus,
    TimeInForce,
)
from triarb.money import arithmetic
from triarb.testing.ledger import check_ledger

DAY_NS = 86_400_000_000_000
HEAD = schema.revisions()[-1]
MEMORY = "sqlite://"

# -- events of every kind -------------------------------------------------------------------------------------------

ASSETS = st.sampled_from(["USDT", "BTC", "ETH", "BNB", "币安"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
TIMES = st.integers(0, 2**62)
MONEY = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=8) | (
    st.sampled_from(["0", "0.00", "-0", "1E+20", "1E-20", "123456789012345678901234567890"]).map(
        Decimal
    )
)
AMOUNTS = st.decimals("0.00000001", "100000", places=8)
CHANGES = st.dictionaries(ASSETS, MONEY, max_size=3)
MARKETS = st.builds(
    lambda base, quote, limits: Market(f"{base}/{quote}", base, quote, **limits),
    ASSETS,
    ASSETS,
    st.fixed_dictionaries(
        {"active": st.booleans(), "exchange_id": TEXTS},
        optional={"price_tick": AMOUNTS, "min_notional": AMOUNTS, "taker": MONEY},
    ),
)
SIDES, LIFETIMES = st.sampled_from(Side), st.sampled_from(TimeInForce)
FEES = st.builds(Fee, MONEY, st.sampled_from(Provenance), st.sampled_from(FeeSide), TEXTS)
PLANNED_LEGS = st.builds(
    PlannedLeg,
    MARKETS,
    SIDES,
    AMOUNTS,
    AMOUNTS,
    FEES,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    AMOUNTS,
    LIFETIMES,
)
PLANS = st.builds(
    Plan,
    cycle_id=TEXTS,
    start=ASSETS,
    legs=st.lists(PLANNED_LEGS, min_size=1, max_size=3).map(tuple),
    expected_result=MONEY,
    worst_result=MONEY,
    stranded_losses=st.lists(MONEY, max_size=2).map(tuple),
    gap_bps=MONEY,
    decided_ns=TIMES,
)
ORDERS = st.builds(Order, TEXTS, TEXTS, SIDES, AMOUNTS, st.none() | AMOUNTS, LIFETIMES)
FILLS = st.builds(
    lambda trade_id, base, quote, **rest: Fill(
        trade_id, "id", f"{base}/{quote}", base, quote, **rest
    ),
    st.integers(0, 30).map(str),
    st.sampled_from(["BTC", "ETH"]),
    st.sampled_from(["USDT", "EUR"]),
    side=SIDES,
    price=AMOUNTS,
    amount=AMOUNTS,
    fees=CHANGES,
    time_ns=TIMES,
)
NUMBERS = st.dictionaries(
    TEXTS,
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS | MONEY,
    max_size=3,
)  # fmt: skip
REFUSALS = st.builds(Refused, TEXTS, TEXTS, NUMBERS)
LEG_RESULTS = st.builds(
    LegResult, ORDERS, st.lists(FILLS, max_size=2).map(tuple), TIMES, TIMES, TEXTS
)
EXECUTIONS = st.builds(
    Execution,
    number=st.integers(1, 9),
    plan=PLANS,
    legs=st.lists(LEG_RESULTS, max_size=2).map(tuple),
    outcome=st.sampled_from(Outcome),
    changes=CHANGES,
    fees=CHANGES,
    started_ns=TIMES,
    ended_ns=TIMES,
    reason=st.none() | REFUSALS,
)
COUNTS = st.dictionaries(TEXTS, st.integers(0, 2**70), max_size=3)
NUMBER = st.integers(1, 9)
BY_KIND: dict[type, st.SearchStrategy[LedgerEvent]] = {
    EpochStarted: st.builds(EpochStarted, TIMES, TEXTS, TEXTS, TEXTS),
    Claimed: st.builds(Claimed, TIMES, CHANGES),
    Compared: st.builds(Compared, TIMES, CHANGES),
    BalancesSet: st.builds(BalancesSet, TIMES, CHANGES, TEXTS),
    ExecutionStarted: st.builds(ExecutionStarted, TIMES, NUMBER, PLANS),
    Intended: st.builds(Intended, TIMES, NUMBER, st.integers(1, 3), ORDERS),
    Answered: st.builds(
        Answered, TIMES, NUMBER, TEXTS, st.sampled_from(SubmissionStatus), TEXTS
    ),
    Proven: st.builds(
        Proven, TIMES, NUMBER, TEXTS, st.sampled_from(OrderOutcome), TEXTS, st.booleans()
    ),
    Filled: st.builds(Filled, TIMES, NUMBER, FILLS),
    ExecutionEnded: st.builds(ExecutionEnded, TIMES, EXECUTIONS),
    Halted: st.builds(Halted, TIMES, TEXTS),
    Resumed: st.builds(Resumed, TIMES, TEXTS),
    RunEnded: st.builds(RunEnded, TIMES, TIMES, TEXTS, TEXTS, COUNTS, COUNTS),
    Configured: st.builds(Configured, TIMES, TEXTS, TEXTS, TEXTS, TEXTS),
    Examined: st.builds(Examined, TIMES, TEXTS, TEXTS, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    Granted: st.builds(Granted, TIMES, TEXTS, TEXTS, TEXTS, TIMES, TEXTS),
    LimitSet: st.builds(LimitSet, TIMES, TEXTS, TEXTS, TEXTS, st.booleans()),
}  # fmt: skip
EVENTS = st.one_of(*BY_KIND.values())


@st.composite
def journals(draw: st.DrawFn, max_size: int = 12) -> list[LedgerEvent]:
    """Events in an order that can happen: numbers count up, only what runs ends, and each id is intended and proven once."""
    events: list[LedgerEvent] = []
    started, running = 0, []
    intended: set[str] = set()
    open_: list[tuple[int, str]] = []
    for _ in range(draw(st.integers(0, max_size))):
        event = draw(EVENTS)
        if isinstance(event, ExecutionStarted):
            started += 1
            running.append(started)
            event = attrs.evolve(event, number=started)
        elif isinstance(event, ExecutionEnded):
            if not running:
                continue
            number = draw(st.sampled_from(running))
            event = attrs.evolve(event, execution=attrs.evolve(event.execution, number=number))
            if event.execution.outcome is not Outcome.STUCK:
                running.remove(number)
                open_ = [order for order in open_ if order[0] != number]
        elif isinstance(event, Intended):
            if event.order.client_id in intended:
                continue
            intended.add(event.order.client_id)
            if event.number in running:
                open_.append((event.number, event.order.client_id))
        elif isinstance(event, Proven):
            if not open_:
                continue
            number, client_id = open_.pop(draw(st.integers(0, len(open_) - 1)))
            event = attrs.evolve(event, number=number, client_id=client_id)
        events.append(event)
    return events


def deposit(amount="1", asset="USDT", at_ns=0):
    return BalancesSet(at_ns, {asset: Decimal(amount)}, "deposit")


def plan(start="USDT", given="100", worst_given="101"):
    market = Market(f"BTC/{start}", "BTC", start)
    leg = PlannedLeg(
        market,
        Side.BUY,
        Decimal(1),
        Decimal(101),
        Fee(Decimal("0.001"), Provenance.ACCOUNT),
        Decimal(given),
        Decimal("0.999"),
        Decimal(worst_given),
        Decimal("0.999"),
    )
    return Plan("BTC>USDT", start, (leg,), Decimal(1), Decimal(0), (), Decimal(50), 0)


def fill(trade_id="1", amount="1", price="100", side=Side.BUY, fees=None, symbol="BTC/USDT"):
    base, quote = symbol.split("/")
    fees = {} if fees is None else fees
    return Fill(trade_id, "id", symbol, base, quote, side, Decimal(price), Decimal(amount), fees)


def ended(number=1, outcome=Outcome.COMPLETED, ended_ns=0, latency_ms=5, **changes):
    order = Order("id", "BTC/USDT", Side.BUY, Decimal(1), Decimal(101))
    legs = (LegResult(order, (), 0, latency_ms * 1_000_000),)
    result = {asset: Decimal(change) for asset, change in changes.items()}
    return ExecutionEnded(
        ended_ns, Execution(number, plan(), legs, outcome, result, {}, 0, ended_ns)
    )


def applied(*events):
    books = Accounts()
    for event in events:
        books.apply(event)
    return books.state.portfolio


# -- the text of an event -------------------------------------------------------------------------------------------


def test_the_strategies_know_every_kind_of_event():
    """Whoever adds a kind of event has it tested here too."""
    assert set(BY_KIND) == set(typing.get_args(LedgerEvent)) == set(KINDS.values())


@pytest.mark.once
@settings(max_examples=80)
@given(EVENTS)
def test_an_event_reads_back_as_it_was(event):
    """Nothing is lost or rounded between an event and its text, exponents of Decimals included."""
    text = encode(event)
    assert decode(text) == event
    assert repr(decode(text)) == repr(event)
    assert encode(decode(text)) == text


@pytest.mark.parametrize(
    "event",
    [
        BalancesSet(0, {"USDT": 0.1}, "a float"),
        BalancesSet(0, {"USDT": Decimal("NaN")}, "no number"),
        BalancesSet(0, {"USDT": Decimal("Infinity")}, "not finite"),
        BalancesSet(0, {1: Decimal(1)}, "a key that is no text"),
        BalancesSet(0.5, {}, "a time that is no whole number"),
        Halted(0, None),
        Intended(0, 1, 1, Order("id", "BTC/USDT", "sideways", Decimal(1), None)),
        Intended(0, 1, 1, Order("id", "BTC/USDT", Side.BUY, Decimal(1), 0.5)),
        Filled(0, 1, None),
        Refused("not", "an event"),
        None,
    ],
    ids=repr,
)
def test_what_would_not_read_back_is_not_written(event):
    """A value of the wrong type is refused before it can spoil the journal."""
    with pytest.raises(LedgerError) as caught:
        encode(event)
    assert caught.value.code == "ledger.event"


@pytest.mark.parametrize("value", [float("nan"), (1, 2), {"decimal": "1"}, {"a": 1}, object()])
def test_a_refusal_holds_text_and_numbers_only(value):
    """What else a plug-in puts into a refusal's numbers is refused, not written as something else."""
    execution = attrs.evolve(ended().execution, reason=Refused("risk.x", "no", {"value": value}))
    with pytest.raises(LedgerError, match="ExecutionEnded"):
        encode(ExecutionEnded(0, execution))


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("", "ledger.corrupt", "no event"),
        ("[]", "ledger.corrupt", "no event"),
        ("3", "ledger.corrupt", "no event"),
        ('{"at_ns":0}', "ledger.corrupt", "no event"),
        ('{"kind":"Melted","at_ns":0}', "ledger.unknown_kind", "'Melted'"),
        ('{"kind":["Halted"],"at_ns":0}', "ledger.unknown_kind", "'Halted'"),
        ('{"kind":"Halted","at_ns":0}', "ledger.corrupt", "reason"),
        ('{"kind":"Halted","at_ns":"0","reason":""}', "ledger.corrupt", "at_ns"),
        ('{"kind":"Halted","at_ns":0,"reason":"","more":1}', "ledger.corrupt", "more"),
        ('{"kind":"BalancesSet","at_ns":0,"changes":{"A":1},"reason":""}', "ledger.corrupt", "'A'"),
        ('{"kind":"BalancesSet","at_ns":0,"changes":{"A":"x"},"reason":""}', "ledger.corrupt", "A"),
    ],
)
def test_text_that_is_no_event_says_what_is_wrong(text, code, what):
    """A damaged journal is told by the field that is wrong; a newer triarb's by its kind."""
    with pytest.raises(LedgerError) as caught:
        decode(text)
    assert caught.value.code == code
    assert what in str(caught.value)


# -- the arithmetic -------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(FILLS, max_size=8), st.randoms(use_true_random=False))
def test_fills_count_once_in_any_order(fills, chance):
    """I12, A10: shuffled and duplicated fills give the balances of each trade once, exactly."""
    once = {(f.symbol, f.trade_id): f for f in fills}
    order = [*once.values(), *once.values()]
    chance.shuffle(order)
    expected = defaultdict(Decimal)
    with arithmetic():
        for one in once.values():
            for asset, change in one.changes().items():
                expected[asset] += change
    balances = applied(*(Filled(0, 1, f) for f in order)).balances
    assert balances == {asset: total for asset, total in expected.items() if total}


@pytest.mark.once
@given(st.lists(EVENTS, max_size=6))
def test_events_together_come_to_what_they_come_to_one_by_one(events):
    """Appended at once: the same accounts as one after the other, or, where one is refused, those from before."""
    together, one_by_one = Accounts(), Accounts()
    try:
        for event in events:
            one_by_one.apply(event)
    except LedgerError:
        with pytest.raises(LedgerError):
            together.apply(*events)
        one_by_one = Accounts()
    else:
        together.apply(*events)
    assert (together.state, together._trades) == (one_by_one.state, one_by_one._trades)


@pytest.mark.once
@given(EVENTS)
def test_every_event_balances(event):
    """Postings of each asset sum to zero, and those of `trading` are what the event did to the balances."""
    books = Accounts()
    with contextlib.suppress(LedgerError):  # an end without its start
        books.apply(attrs.evolve(event, number=1) if isinstance(event, ExecutionStarted) else event)
        step = Accounts().step(event)
        total, trading = defaultdict(Decimal), {}
        with arithmetic():
            for line in step.postings[0]:
                assert line.amount
                total[line.asset] += line.amount
                if line.account == "trading":
                    trading[line.asset] = line.amount
        assert not any(total.values())
        assert trading == step.state.portfolio.balances
        places = [(line.account, line.asset) for line in step.postings[0]]
        assert len(places) == len(set(places))


@settings(max_examples=30)
@given(journals(8))
def test_read_back_the_accounts_are_the_same(events):
    """Events that went through their text come to the same portfolio."""
    assert applied(*events) == applied(*(decode(encode(event)) for event in events))


def test_fees_in_any_asset_are_booked():
    """E18: a fee lowers what the trade brought, or another asset altogether; the postings say whose it is."""
    bought = fill(fees={"BTC": Decimal("0.001"), "BNB": Decimal("0.5")})
    step = Accounts().step(Filled(0, 1, bought))
    assert step.state.portfolio.balances == {
        "BTC": Decimal("0.999"),
        "USDT": Decimal(-100),
        "BNB": Decimal("-0.5"),
    }
    assert {(p.account, p.asset): p.amount for p in step.postings[0]} == {
        ("trading", "BTC"): Decimal("0.999"),
        ("market", "BTC"): Decimal(-1),
        ("fees", "BTC"): Decimal("0.001"),
        ("trading", "USDT"): Decimal(-100),
        ("market", "USDT"): Decimal(100),
        ("trading", "BNB"): Decimal("-0.5"),
        ("fees", "BNB"): Decimal("0.5"),
    }


def test_the_callers_decimal_context_changes_nothing():
    """Sums are exact whatever precision the caller has set."""
    with decimal.localcontext(prec=3):
        balances = applied(deposit("1000000"), deposit("0.00000001")).balances
    assert balances == {"USDT": Decimal("1000000.00000001")}


def test_what_cannot_be_booked_exactly_is_refused():
    """Digits that no sum could keep, and days that no calendar has, change nothing and are an error."""
    books = Accounts()
    books.apply(deposit("1E+100"))
    books.apply(ExecutionStarted(0, 1, plan()))
    before = books.state
    for event in (deposit("1E-100"), deposit("1E+99999"), ended(ended_ns=10**30)):
        with pytest.raises(LedgerError) as caught:
            books.apply(event)
        assert caught.value.code == "ledger.inexact"
    assert books.state is before


def test_an_execution_reserves_what_its_first_leg_may_spend_and_releases_it_once():
    """The larger of expected and worst spending is reserved from the start to the end, in each start asset apart."""
    books = Accounts()
    books.apply(deposit("1000"))
    books.apply(ExecutionStarted(0, 1, plan()))
    books.apply(ExecutionStarted(0, 2, plan(given="50", worst_given="49")))
    books.apply(ExecutionStarted(0, 3, plan("EUR", "7", "7")))
    running = books.state.portfolio
    assert running.open == (1, 2, 3)
    assert running.started == 3
    assert running.reserved == {"USDT": Decimal(151), "EUR": Decimal(7)}
    assert running.free("USDT") == Decimal(849)
    books.apply(ended(2))
    assert books.state.portfolio.open == (1, 3)
    assert books.state.portfolio.reserved == {"USDT": Decimal(101), "EUR": Decimal(7)}
    with pytest.raises(LedgerError, match="2 cannot end") as caught:
        books.apply(ended(2))
    assert caught.value.code == "ledger.contradiction"
    assert books.state.portfolio.reserved == {"USDT": Decimal(101), "EUR": Decimal(7)}


def test_a_client_id_is_intended_once():
    """I2: an id that its execution has used is refused, so that no order can be sent under it again."""
    books = Accounts()
    books.apply(ExecutionStarted(0, 1, plan()))
    intended = Intended(0, 1, 1, Order("id", "BTC/USDT", Side.BUY, Decimal(1), Decimal(2)))
    books.apply(intended)
    with pytest.raises(LedgerError, match="intended already") as caught:
        books.apply(intended)
    assert caught.value.code == "ledger.contradiction"


@pytest.mark.parametrize("number", [0, 1, 3])
def test_execution_numbers_count_from_one(number):
    """A number that was used or skipped is refused, for client ids derive from it."""
    books = Accounts()
    books.apply(ExecutionStarted(0, 1, plan()))
    with pytest.raises(LedgerError) as caught:
        books.apply(ExecutionStarted(0, number, plan()))
    assert caught.value.code == "ledger.contradiction"
    assert books.state.portfolio.open == (1,)


def test_a_result_counts_on_the_day_that_it_ended():
    """Realised results add up by UTC day of the end and start asset; what is left in others adds up as residues."""
    portfolio = applied(
        *(ExecutionStarted(0, number, plan()) for number in (1, 2, 3)),
        ended(1, ended_ns=DAY_NS - 1, USDT="2", ETH="0.5"),
        ended(2, ended_ns=DAY_NS, USDT="-3", ETH="-0.25"),
        ended(3, ended_ns=DAY_NS + 5, USDT="1", BTC="1"),
    )
    assert portfolio.realised == {
        ("1970-01-01", "USDT"): Decimal(2),
        ("1970-01-02", "USDT"): Decimal(-2),
    }
    assert portfolio.residues == {"ETH": Decimal("0.25"), "BTC": Decimal(1)}
    assert portfolio.balances == {}
    assert portfolio.reserved == {}


def test_a_stuck_execution_is_set_aside_until_it_is_settled():
    """It keeps its reservation and counts nowhere; once it is known what it did, it ends and counts once."""
    start = [ExecutionStarted(0, 1, plan()), ended(outcome=Outcome.STUCK, USDT="-50")]
    portfolio = applied(*start)
    assert portfolio == Portfolio(reserved={"USDT": Decimal(101)}, started=1, stuck=(1,))
    assert applied(*start, start[-1]) == portfolio
    settled = applied(*start, ended(outcome=Outcome.SHORT, USDT="-50"))
    assert settled.stuck == settled.open == ()
    assert settled.reserved == {}
    assert settled.realised == {("1970-01-01", "USDT"): Decimal(-50)}


@pytest.mark.parametrize(
    ("results", "losses"),
    [
        ([], 0),
        ([("-1", Outcome.SHORT)], 1),
        ([("-1", Outcome.SHORT), ("-1", Outcome.COMPLETED)], 2),
        ([("-1", Outcome.SHORT), ("0", Outcome.NOTHING)], 1),
        ([("-1", Outcome.SHORT), ("0", Outcome.NOTHING), ("-1", Outcome.SHORT)], 2),
        ([("-1", Outcome.SHORT), ("0", Outcome.COMPLETED)], 0),
        ([("-1", Outcome.SHORT), ("1", Outcome.COMPLETED), ("-1", Outcome.SHORT)], 1),
    ],
)
def test_losses_in_a_row(results, losses):
    """A result below zero adds to the row and any other ends it, but for executions that traded nothing."""
    events = []
    for number, (result, outcome) in enumerate(results, 1):
        events += [
            ExecutionStarted(0, number, plan()),
            ended(number, outcome, USDT=result),
        ]
    assert applied(*events).health.consecutive_losses == losses


def test_health_is_of_the_last_executions_only():
    """Latency is the median over legs in milliseconds, shorts a fraction; all over the executions that are kept."""
    books = Accounts()
    for number in range(1, RECENT + 4):
        outcome = Outcome.SHORT if number % 2 else Outcome.COMPLETED
        books.apply(ExecutionStarted(0, number, plan()))
        books.apply(ended(number, outcome, latency_ms=number, USDT="-1"))
    portfolio = books.state.portfolio
    assert [e.number for e in portfolio.recent] == list(range(4, RECENT + 4))
    assert portfolio.health == Health(RECENT, RECENT, (4 + RECENT + 3) / 2, 0.5)
    without_legs = attrs.evolve(ended().execution, legs=())
    after = applied(ExecutionStarted(0, 1, plan()), ExecutionEnded(0, without_legs))
    assert after.health == Health(1, 0, None, 0.0)


def test_halt_and_epoch_are_remembered():
    """The last halt's reason stays until someone lifts it; the epoch is that of the last start."""
    books = Accounts()
    books.apply(EpochStarted(0, "first"))
    books.apply(Halted(0, "loss"))
    books.apply(EpochStarted(3, "second"))
    portfolio = books.state.portfolio
    assert (dict(portfolio.epochs), portfolio.halted) == ({"first": 0, "second": 3}, "loss")
    books.apply(Resumed(0, "me"))
    assert books.state.portfolio == Portfolio(epochs={"first": 0, "second": 3})


def test_nobody_changes_a_portfolio():
    """Its mappings refuse to be written to, and later events leave it as it was."""
    books = Accounts()
    books.apply(deposit())
    books.apply(ExecutionStarted(0, 1, plan()))
    before = books.state.portfolio
    for name in ("balances", "reserved", "residues", "realised"):
        with pytest.raises(TypeError):
            getattr(before, name)["USDT"] = Decimal(10**9)
    books.apply(deposit())
    books.apply(ended(USDT="1"))
    assert before == Portfolio(
        {"USDT": Decimal(1)}, reserved={"USDT": Decimal(101)}, started=1, open=(1,)
    )


# -- a ledger of one's own ------------------------------------------------------------------------------------------


async def test_the_default_ledger_holds_what_every_ledger_must(tmp_path):
    """In memory and in a file, and the file's knows everything when it is opened again."""
    await check_ledger(lambda: SqlLedger(MEMORY))
    made = []

    def make():
        made.append(tmp_path / f"{len(made)}.sqlite")
        return SqlLedger(made[-1])

    await check_ledger(make, lambda: SqlLedger(made[-1]))
    assert len(made) > 3


class Careless(Ledger):
    """A ledger that keeps accounts as it should, but for what a test makes it forget."""

    def __init__(self, **faults):
        self.books = Accounts()
        self.faults = faults

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def append(self, *events):
        if self.faults.get("cancelable"):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        before = self.books.state
        try:
            for event in events:
                self.take(event)
        except LedgerError:
            if not self.faults.get("halves"):
                self.books.state = before
            raise

    def take(self, event):
        skipped = type(event).__name__ == self.faults.get("forgets")
        if isinstance(event, Filled) and self.faults.get("counts_twice"):
            self.books._trades.clear()
        if isinstance(event, ExecutionEnded) and self.faults.get("ends_twice"):
            held = {event.execution.number: ("USDT", Decimal(101)), **self.books.state.reservations}
            self.books.state = attrs.evolve(self.books.state, reservations=held)
        if not skipped:
            self.books.apply(event)

    def unfinished(self):
        return tuple(self.books.state.unfinished.values())

    def portfolio(self):
        portfolio = self.books.state.portfolio
        return attrs.evolve(portfolio, **self.faults.get("shows", {}))


@pytest.mark.parametrize(
    "faults",
    [
        {"forgets": "BalancesSet"},
        {"forgets": "Filled"},
        {"forgets": "ExecutionStarted"},
        {"forgets": "ExecutionEnded"},
        {"forgets": "Halted"},
        {"forgets": "Resumed"},
        {"counts_twice": True},
        {"ends_twice": True},
        {"cancelable": True},
        {"halves": True},
        {"shows": {"balances": {"USDT": Decimal(1)}}},
        {"shows": {"health": Health(1)}},
    ],
    ids=str,
)
async def test_the_check_finds_careless_ledgers(faults):
    """Each way to keep books wrongly is told by an AssertionError."""
    with pytest.raises(AssertionError):
        await check_ledger(lambda: Careless(**faults))
    await check_ledger(Careless)


async def test_the_check_finds_wrong_health(monkeypatch):
    """A ledger that tells latency or losses wrongly is found too."""
    monkeypatch.setattr(accounts, "health", lambda went, _: Health(len(went)))
    with pytest.raises(AssertionError, match="health"):
        await check_ledger(Careless)
    monkeypatch.setattr(
        accounts,
        "health",
        lambda went, _: Health(
            len(went), len(went), 5.0, 1.0, check_fees(one.charged for one in went)
        ),
    )
    with pytest.raises(AssertionError, match="is no loss"):
        await check_ledger(Careless)


async def test_the_check_finds_forgetful_ledgers():
    """A ledger that opens empty again is found where `reopen` is given."""
    with pytest.raises(AssertionError, match="opened again"):
        await check_ledger(Careless, Careless)


async def test_the_check_finds_a_stuck_execution_that_never_ends(monkeypatch):
    """A ledger that cannot settle what got stuck is found."""
    real = accounts._ended

    def never_settles(state, execution):
        after = real(state, execution)
        stuck = state.portfolio.stuck
        return attrs.evolve(
            after, portfolio=attrs.evolve(after.portfolio, stuck=stuck or after.portfolio.stuck)
        )

    monkeypatch.setattr(accounts, "_ended", never_settles)
    with pytest.raises(AssertionError, match="settled"):
        await check_ledger(Careless)


# -- on disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


async def write(path, *events, **options):
    async with SqlLedger(path, **options) as ledger:
        for event in events:
            await ledger.append(event)
        return ledger.portfolio()


async def fails_to_open(place, code, **options):
    """The message with which the ledger at `place` refuses to open."""
    with pytest.raises(LedgerError) as caught:
        async with SqlLedger(place, **options):
            pass
    assert caught.value.code == code
    assert caught.value.hint
    assert str(place) in caught.value.message
    return caught.value.message


def sql(path, *statements):
    """Run statements in a connection of our own, and give the rows of the last."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


@pytest.mark.once
@settings(max_examples=15)
@given(events=journals(8))
def test_a_ledger_that_is_opened_again_is_as_it_was(tmp_path_factory, events):
    """The journal gives the same events in order, and they come to the same portfolio, epoch and next number."""

    async def check(path):
        async with SqlLedger(path) as ledger:
            for event in events:
                await ledger.append(event)
            live = ledger.portfolio(), ledger.epoch, ledger.next_number()
            assert list(ledger.events()) == events
        async with SqlLedger(path) as ledger:
            assert (ledger.portfolio(), ledger.epoch, ledger.next_number()) == live
            assert list(ledger.events()) == events
        assert ledger.portfolio() == live[0]

    asyncio.run(check(tmp_path_factory.mktemp("again") / "ledger.sqlite"))


async def test_journal_and_postings_are_plain_tables(path):
    """Anybody can read them with SQL: events in order, and exact amounts without exponents, each in double entry."""
    bought = fill(amount="0.0000001", fees={"BNB": Decimal("1E-9")})
    await write(path, deposit("1E+3"), Filled(7, 1, bought), Filled(8, 1, bought), Halted(9, "x"))
    assert sql(path, "SELECT seq, at_ns, kind FROM journal ORDER BY seq") == [
        (1, 0, "BalancesSet"),
        (2, 7, "Filled"),
        (3, 8, "Filled"),
        (4, 9, "Halted"),
    ]
    assert sql(path, "SELECT * FROM postings ORDER BY seq, asset, account") == [
        (1, "trading", "USDT", "1000"),
        (1, "world", "USDT", "-1000"),
        (2, "fees", "BNB", "0.000000001"),
        (2, "trading", "BNB", "-0.000000001"),
        (2, "market", "BTC", "-0.0000001"),
        (2, "trading", "BTC", "0.0000001"),
        (2, "market", "USDT", "0.00001"),
        (2, "trading", "USDT", "-0.00001"),
    ]


async def test_what_append_returned_from_is_on_disk(path):
    """E2: another connection sees the event at once, through a log that is flushed at each commit."""
    async with SqlLedger(path) as ledger:
        await ledger.append(deposit())
        assert sql(path, "SELECT count(*) FROM journal") == [(1,)]
        assert sql(path, "PRAGMA journal_mode") == [("wal",)]
        assert await pragma(ledger, "synchronous") == 2
        assert await pragma(ledger, "foreign_keys") == 1
        assert await pragma(ledger, "busy_timeout") == 1000


async def pragma(ledger, text):
    """A pragma on the ledger's own connection, in its thread."""

    def run():
        with ledger._journal._storage.engine.connect() as connection:
            return connection.exec_driver_sql(f"PRAGMA {text}").scalar()

    return await asyncio.wrap_future(ledger._thread.submit(run))


@pytest.mark.once
def test_a_killed_process_loses_nothing_and_holds_no_lock(path):
    """What was appended before a SIGKILL is there, and the ledger opens at once."""
    script = (
        "import asyncio, os, signal, sys\n"
        "from decimal import Decimal\n"
        "from triarb.ledger import SqlLedger\n"
        "from triarb.model import BalancesSet\n"
        "async def main():\n"
        "    async with SqlLedger(sys.argv[1]) as ledger:\n"
        "        assert 'alembic' not in sys.modules\n"
        "        for n in range(5):\n"
        "            await ledger.append(BalancesSet(n, {'USDT': Decimal(1)}, 'deposit'))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    died = subprocess.run([sys.executable, "-c", script, path], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert asyncio.run(write(path)).balances == {"USDT": Decimal(5)}


async def test_long_journals_are_read_whole(path):
    """Journals of more than a page are read back and listed in order."""
    events = [Resumed(n, "") for n in range(2300)]
    await write(path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        rows = [(n, e.at_ns, "Resumed", encode(e)) for n, e in enumerate(events, 1)]
        connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, '')", rows)
    chain(path)
    async with SqlLedger(path) as ledger:
        assert list(ledger.events()) == events
        await ledger.append(Halted(0, "after them all"))
        assert sql(path, "SELECT max(seq) FROM journal") == [(2301,)]


async def test_folders_are_made_for_the_owner_alone(tmp_path):
    """Folders on the way to the file are made when it is opened, and nobody else may look into them."""
    path = tmp_path / "one" / "two" / "ledger.sqlite"
    ledger = SqlLedger(path)
    assert not path.parent.exists()
    async with ledger:
        assert ledger.path == path
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_places_may_be_paths_or_urls(path, monkeypatch):
    """A path, its text, a relative path and a SQLAlchemy URL name the same file; memory has none."""
    monkeypatch.chdir(path.parent)
    await write(path, deposit())
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    for place in (
        str(path),
        path.name,
        f"sqlite:///{path}",
        f"sqlite+pysqlite:///{path.name}",
        link,
    ):
        async with SqlLedger(place) as ledger:
            assert ledger.portfolio().balances == {"USDT": Decimal(1)}
            assert ledger.path == path
            assert str(path) in ledger.url
            assert str(path) in repr(ledger)
            assert await fails_to_open(path, "ledger.in_use")
    for place in (MEMORY, "sqlite:///:memory:", ":memory:"):
        async with SqlLedger(place) as ledger:
            assert ledger.path is None
            await ledger.append(deposit())
            assert list(ledger.events()) == [deposit()]
            assert ledger.url.startswith("sqlite://")


@pytest.mark.parametrize("place", ["sqlite:///file:x.sqlite?uri=true", "://", "no url://secret@"])
def test_places_that_make_no_sense_are_refused(place):
    """What is neither a path nor a URL is a usage error, and the text of a URL, which may hold a secret, not shown."""
    with pytest.raises(UsageError) as caught:
        SqlLedger(place)
    assert caught.value.code == "ledger.url"
    assert "secret" not in str(caught.value)


async def test_servers_are_named_without_their_password():
    """A server's URL shows no password, neither on the ledger nor in the error of a missing driver."""
    ledger = SqlLedger("mysql+nosuchdriver://me:secret@localhost/ledger")
    assert "secret" not in ledger.url + repr(ledger)
    for url, code in (("mysql+nosuchdriver", "ledger.database"), ("oracle", "ledger.driver")):
        with pytest.raises(LedgerError) as caught:
            await SqlLedger(f"{url}://me:secret@localhost/ledger").__aenter__()
        assert caught.value.code == code
        assert "secret" not in str(caught.value)
        assert "localhost" in str(caught.value)


def test_default_path_is_one_file_an_account(tmp_path):
    """Exchange, mode and account make the name, in the user's data folder; nothing is made yet."""
    folder = tmp_path / "data" / "triarb" / "ledgers"
    assert default_path("binance", "paper") == folder / "binance-paper-main.sqlite"
    assert default_path("kraken", "live", "sub_1") == folder / "kraken-live-sub_1.sqlite"
    assert not folder.exists()


@pytest.mark.parametrize("part", ["", "..", "a/b", "a\\b", "a b", "a\n", "\0", "é", "a.b", "~"])
def test_default_path_takes_no_tricks(part):
    """No part can lead out of the folder, or name anything but a plain file."""
    for parts in ((part, "paper"), ("binance", part), ("binance", "paper", part)):
        with pytest.raises(UsageError) as caught:
            default_path(*parts)
        assert caught.value.code == "ledger.name"


# -- one writer, many readers ---------------------------------------------------------------------------------------


async def test_one_ledger_has_one_writer(path):
    """A second one is told which process has it, and may open it when the first has closed or failed."""
    async with SqlLedger(path) as ledger:
        assert f"process {os.getpid()} " in await fails_to_open(path, "ledger.in_use")
        await ledger.append(deposit())
        with pytest.raises(LedgerError, match="open already") as caught:
            await ledger.__aenter__()
        assert caught.value.code == "ledger.in_use"
        await ledger.append(deposit())
    async with ledger:  # the same object, entered again
        assert ledger.portfolio().balances == {"USDT": Decimal(2)}


async def test_a_reader_takes_no_lock_and_writes_nothing(path):
    """A report can be made beside a running engine; it shows what was there, and cannot append."""
    async with SqlLedger(path) as ledger:
        await ledger.append(deposit())
        async with SqlLedger(path, read_only=True) as reader:
            await ledger.append(deposit())
            assert reader.portfolio().balances == {"USDT": Decimal(1)}
            with pytest.raises(LedgerError, match="reading only") as caught:
                await reader.append(deposit())
            assert caught.value.code == "ledger.read_only"
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
    async with SqlLedger(path, read_only=True) as reader:
        assert list(reader.events()) == [deposit(), deposit()]
        now = {file.name: file.read_bytes() for file in path.parent.iterdir() if file.is_file()}
        assert now == before


async def test_a_reader_makes_no_ledger(path):
    """Where there is none, or only the beginning of one, a reader says so and leaves it at that."""
    await fails_to_open(path.parent / "folder" / "x.sqlite", "ledger.missing", read_only=True)
    assert list(path.parent.iterdir()) == []
    sql(path, "CREATE TABLE alembic_version (version_num TEXT)")
    before = path.read_bytes()
    assert "schema is empty" in await fails_to_open(path, "ledger.older", read_only=True)
    assert path.read_bytes() == before


async def test_a_ledger_that_is_not_open_says_so(path):
    """Before it is entered it knows nothing; once it is closed, it only knows its last portfolio."""
    ledger = SqlLedger(path)
    for use in (
        ledger.portfolio,
        ledger.next_number,
        lambda: ledger.epoch,
        lambda: [*ledger.events()],
    ):
        with pytest.raises(LedgerError, match="not open") as caught:
            use()
        assert caught.value.code == "ledger.closed"
    async with ledger:
        await ledger.append(deposit())
    assert ledger.portfolio().balances == {"USDT": Decimal(1)}
    with pytest.raises(LedgerError, match="not open"):
        await ledger.append(deposit())
    with pytest.raises(LedgerError, match="not open"):
        list(ledger.events())


# -- what a file can be ---------------------------------------------------------------------------------------------


async def test_files_that_are_no_ledger_are_left_alone(path):
    """A folder, a text, an empty file and another program's database are told apart, and not changed."""
    folder = path.parent / "folder"
    folder.mkdir()
    assert "is a folder" in await fails_to_open(folder, "ledger.place")
    path.write_text("no database " * 1000)
    assert "no SQLite database" in await fails_to_open(path, "ledger.corrupt")
    assert path.read_text() == "no database " * 1000
    path.write_bytes(b"")
    assert "empty" in await fails_to_open(path, "ledger.corrupt")
    path.unlink()
    sql(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    assert "another program" in await fails_to_open(path, "ledger.foreign")
    assert path.read_bytes() == before


async def test_places_that_cannot_be_written_to_are_named(path):
    """Below a file there is no folder, and in /proc there can be none."""
    path.write_text("a file")
    await fails_to_open(path / "ledger.sqlite", "ledger.place")
    await fails_to_open("/proc/ledger.sqlite", "ledger.place")


async def test_a_write_protected_file_is_named(path, monkeypatch):
    """SQLite's own refusal to write is told with the mend."""
    await write(path)
    sql(path, "PRAGMA journal_mode = DELETE")

    def protected(connection, *_):
        connection.execute("PRAGMA query_only = ON")

    sa.event.listen(sa.Engine, "connect", protected)
    try:
        async with SqlLedger(path) as ledger:
            with pytest.raises(LedgerError, match="write-protected") as caught:
                await ledger.append(deposit())
    finally:
        sa.event.remove(sa.Engine, "connect", protected)
    assert caught.value.code == "ledger.place"


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
async def test_a_truncated_ledger_is_damaged(path, part):
    """E5: a file that lost its end does not open, in either way."""
    await write(path, *(deposit() for _ in range(50)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    for read_only in (False, True):
        assert "damaged" in await fails_to_open(path, "ledger.corrupt", read_only=read_only)


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM journal WHERE seq = 2", "after number 0 is missing"),
        ("DELETE FROM postings WHERE seq = 1", "postings disagree"),
        ("UPDATE journal SET payload = replace(payload, '\"5\"', '\"50\"')", "postings disagree"),
        ("UPDATE journal SET payload = 'x' WHERE seq = 2", "event 2"),
        ("UPDATE journal SET payload = replace(payload, 'Halted', 'Melted')", "'Melted'"),
        ("UPDATE journal SET payload = '{}' WHERE seq = 3", "event 3"),
        (
            "UPDATE journal SET payload = replace(payload, '\"number\":1', '\"number\":9')",
            "event 4: execution 9 cannot start",
        ),
    ],
)
async def test_a_journal_that_contradicts_itself_is_damaged(path, statement, what):
    """A gap, a changed amount, an unreadable event and an impossible one are found, even where the chain holds (E5)."""
    await write(path, deposit("5"), Halted(0, ""), Halted(0, ""), ExecutionStarted(0, 1, plan()))
    sql(path, statement)
    chain(path)
    assert what in await fails_to_open(path, "ledger.corrupt")
    assert what in await fails_to_open(path, "ledger.corrupt", read_only=True)


def chain(path):
    """Make the digests fit whatever the journal says now."""
    digests = [BEGINNING]
    for row in sql(path, "SELECT seq, at_ns, kind, payload FROM journal ORDER BY seq"):
        digests.append(Entry.after(digests[-1], *row).digest)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        rows = [(digest, seq) for seq, digest in enumerate(digests)]
        connection.executemany("UPDATE journal SET digest = ? WHERE seq = ?", rows)


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("UPDATE journal SET payload = replace(payload, 'by hand', 'by mind') WHERE seq = 2", 2),
        ("UPDATE journal SET at_ns = at_ns + 1 WHERE seq = 1", 1),
        ("UPDATE journal SET kind = 'Resumed' WHERE seq = 2", 2),
        ("UPDATE journal SET digest = replace(digest, 'a', 'b') WHERE seq = 3", 3),
    ],
)
async def test_an_event_that_was_changed_after_it_was_written_is_found(path, statement, event):
    """Each digest is over the event and all before it, so that no change goes unseen (E5)."""
    await write(path, deposit("5"), Halted(0, "by hand"), deposit("7"))
    sql(path, statement)
    what = f"event {event} is not as it was written"
    assert what in await fails_to_open(path, "ledger.corrupt")
    assert what in await fails_to_open(path, "ledger.corrupt", read_only=True)


async def test_a_ledger_from_before_the_chain_is_chained(path):
    """Upgrading chains the events that are there, so that a later change of them is found."""
    held = await write(path, deposit("5"), Halted(0, "by hand"))
    digests = sql(path, "SELECT digest FROM journal")
    sql(path, "ALTER TABLE journal DROP COLUMN digest")
    sql(path, "UPDATE alembic_version SET version_num = '0001'")
    assert await write(path) == held
    assert sql(path, "SELECT digest FROM journal") == digests
    assert backups(path) == ["ledger.sqlite.0001-1.backup"]


# -- schemas --------------------------------------------------------------------------------------------------------


def schema_of(path):
    return sorted(sql(path, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@pytest.fixture
def migrations(tmp_path, monkeypatch):
    """The migrations, and one more that a test writes."""
    folder = tmp_path / "100%" / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))

    def add(upgrade):
        monkeypatch.setattr(schema, "MIGRATIONS", folder)
        (folder / "versions" / "9000_more.py").write_text(
            f"from alembic import op\nrevision, down_revision = '9000', '{HEAD}'\n"
            f"def upgrade():\n    {upgrade}\n"
        )

    return add


def backups(path):
    return sorted(file.name for file in path.parent.glob("*.backup"))


async def test_a_new_ledger_has_the_schema_that_the_migrations_lead_to(path):
    """Made at once or migrated from nothing, the tables are the same, and those that the code knows."""
    await write(path)
    older = path.with_name("older.sqlite")
    with contextlib.closing(sqlite3.connect(older)) as connection, connection:
        connection.execute(
            str(
                sa.schema.CreateTable(alembic_version).compile(dialect=sa.dialects.sqlite.dialect())
            )
        )
    await write(older, deposit())
    assert [name for name, _ in schema_of(path)] == [name for name, _ in schema_of(older)]
    assert sql(path, "SELECT * FROM alembic_version") == [(schema.revisions()[-1],)]
    assert sql(older, "SELECT * FROM alembic_version") == [(schema.revisions()[-1],)]
    for file in (path, older):
        engine = sa.create_engine(f"sqlite:///{file}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()
    assert backups(path) == ["older.sqlite.empty-1.backup"]


async def test_an_older_ledger_is_backed_up_and_upgraded(path, migrations):
    """E5: what it held stays, and the copy beside it is what it was; the next upgrade makes a copy of its own."""
    held = await write(path, deposit("5"), Halted(0, "by hand"))
    old_schema = schema_of(path)
    path.with_name(f"ledger.sqlite.{HEAD}-1.backup").write_text("an earlier one")
    migrations("op.execute('CREATE TABLE notes (text TEXT)')")
    assert HEAD in await fails_to_open(path, "ledger.older", read_only=True)
    assert await write(path) == held
    assert sql(path, "SELECT * FROM alembic_version") == [("9000",)]
    assert schema_of(path) != old_schema
    assert backups(path) == [f"ledger.sqlite.{HEAD}-{n}.backup" for n in (1, 2)]
    copy = path.with_name(f"ledger.sqlite.{HEAD}-2.backup")
    assert schema_of(copy) == old_schema
    assert sql(copy, "SELECT count(*) FROM journal") == [(2,)]
    assert await write(path, deposit()) != held
    assert len(backups(path)) == 2


async def test_an_upgrade_that_fails_changes_nothing(path, migrations):
    """All of it happens or none, and a ledger that could not be upgraded holds no lock."""
    await write(path, deposit())
    before = schema_of(path)
    migrations("op.execute('CREATE TABLE notes (text TEXT)'); op.execute('nonsense')")
    assert "nonsense" in await fails_to_open(path, "ledger.database")
    assert schema_of(path) == before
    assert sql(path, "SELECT * FROM alembic_version") == [(HEAD,)]
    migrations("op.execute('CREATE TABLE notes (text TEXT)')")
    assert (await write(path)).balances == {"USDT": Decimal(1)}


async def test_a_newer_ledger_is_left_alone(path):
    """E5: a schema that this triarb does not know is not touched, not even read."""
    await write(path, deposit())
    sql(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    for read_only in (False, True):
        assert "9999" in await fails_to_open(path, "ledger.newer", read_only=read_only)
    assert path.read_bytes() == before


# -- writes that fail -----------------------------------------------------------------------------------------------


async def test_a_locked_database_fails_the_append_in_bounded_time(path):
    """Another program's lock fails the append, nothing counts, and the next one goes through when it is gone."""
    async with SqlLedger(path, busy_timeout_ms=20) as ledger:
        await ledger.append(deposit())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            before = ledger.portfolio()
            with pytest.raises(LedgerError, match="locked") as caught:
                await ledger.append(deposit())
            assert caught.value.code == "ledger.locked"
            assert str(path) in str(caught.value)
            assert ledger.portfolio() is before
            other.execute("ROLLBACK")
        await ledger.append(deposit())
        assert ledger.portfolio().balances == {"USDT": Decimal(2)}
    assert (await write(path)).balances == {"USDT": Decimal(2)}


async def test_a_locked_database_does_not_open(path):
    """The lock of a program that knows nothing of ours is met when it is opened, and told."""
    await write(path)
    sql(path, "PRAGMA journal_mode = DELETE")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        await fails_to_open(path, "ledger.locked", busy_timeout_ms=20)
    await write(path)


async def test_a_full_disk_fails_the_append(path):
    """Nothing of the event is kept, smaller ones may still fit, and all that was told durable is there."""
    async with SqlLedger(path) as ledger:
        pages = await pragma(ledger, "page_count")
        await pragma(ledger, f"max_page_count = {pages + 2}")
        before = ledger.portfolio()
        with pytest.raises(LedgerError, match="disk is full") as caught:
            await ledger.append(BalancesSet(0, {"USDT": Decimal(1)}, "x" * 100_000))
        assert caught.value.code == "ledger.full"
        assert ledger.portfolio() is before
        await ledger.append(deposit("3"))
    assert await write(path) == Portfolio(balances={"USDT": Decimal(3)})


async def test_a_journal_that_somebody_else_continued_takes_nothing_more(path):
    """Whoever writes past the lock is noticed at the next append, and from then on nothing is taken."""
    async with SqlLedger(path) as ledger:
        await ledger.append(deposit())
        sql(path, f"INSERT INTO journal VALUES (2, 0, 'Resumed', '{encode(Resumed(0, 'x'))}', '')")
        for _ in range(2):
            with pytest.raises(LedgerError, match="somebody else") as caught:
                await ledger.append(deposit())
            assert caught.value.code == "ledger.moved"
        assert ledger.portfolio().balances == {"USDT": Decimal(1)}


@pytest.mark.parametrize(
    "event",
    [
        deposit(asset="\ud800"),
        deposit(at_ns=2**63),
        BalancesSet(0, {"USDT": 0.5}, "a float"),
        ExecutionStarted(0, 2, plan()),
        ended(),
        deposit("1E-200"),
    ],
    ids=["no_text", "no_time", "a_float", "a_number_too_high", "no_start", "too_many_digits"],
)
async def test_an_event_that_cannot_be_kept_leaves_no_trace(path, event):
    """What the database or the arithmetic cannot hold is an error; journal and portfolio are as they were."""
    async with SqlLedger(path) as ledger:
        await ledger.append(deposit("1E+20"))
        before = ledger.portfolio()
        with pytest.raises(LedgerError):
            await ledger.append(event)
        assert ledger.portfolio() is before
        assert len(list(ledger.events())) == 1
        await ledger.append(deposit())
    await write(path)


async def test_cancelling_the_wait_does_not_cancel_the_write(path):
    """Wherever the task is canceled, the events that were on their way are written, and they count, whole."""
    async with SqlLedger(path) as ledger:
        gate = asyncio.Event()

        async def appends(amount):
            await gate.wait()
            await ledger.append(deposit(amount))

        tasks = [asyncio.create_task(appends(str(10**n))) for n in range(6)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(r, asyncio.CancelledError) for r in results] == [True, False] * 3
        await ledger.append(deposit("0.5"))
        assert ledger.portfolio().balances == {"USDT": Decimal("111111.5")}
    assert (await write(path)).balances == {"USDT": Decimal("111111.5")}


async def test_leaving_waits_for_what_is_being_written(path):
    """Events that were asked for and not waited for are on disk when the ledger is closed, the last included."""
    async with SqlLedger(path) as ledger:
        tasks = [asyncio.create_task(ledger.append(deposit())) for _ in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert (await write(path)).balances == {"USDT": Decimal(20)}


async def test_a_canceled_opening_leaves_nothing_open(path):
    """Whoever gives up waiting for it to open holds no lock, so that the next one can."""
    ledger = SqlLedger(path)
    task = asyncio.create_task(ledger.__aenter__())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await write(path, deposit())
    async with ledger:
        assert ledger.portfolio().balances == {"USDT": Decimal(1)}
