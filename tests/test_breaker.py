"""The circuit breaker: what opens it, what it waits for, what closes it; all of it from the ledger and the time."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.ledger import SqlLedger
from triarb.model import (
    Approved,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fill,
    LegResult,
    Market,
    Order,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Refused,
    Resumed,
    Side,
)
from triarb.risk import BreakerState, CircuitBreaker
from triarb.testing.risk import NOW_NS, example_opportunities

TRIANGLE = example_opportunities()["a triangle of 100 bps"]
FEE = TRIANGLE.cycle.legs[0].fee
ONE = Decimal(1)
LEG = PlannedLeg(Market("BTC/USDT", "BTC", "USDT"), Side.BUY, ONE, ONE, FEE, ONE, ONE, ONE, ONE)
PLAN = Plan("BTC>USDT", "USDT", (LEG,), ONE, Decimal("-0.5"), (), Decimal(100), 0)
SWEEP = attrs.evolve(PLAN, legs=(attrs.evolve(LEG, side=Side.SELL),))  # of BTC, into its start
WAIT_NS = 300 * NS_PER_SECOND

KINDS = {
    "good": {},
    "failed": {"outcome": Outcome.SHORT, "result": "0"},
    "lost": {"result": "-0.1"},
    "slow": {"latency_ms": 2000},
    "rejected": {"outcome": Outcome.NOTHING, "reason": "no", "result": "0"},
    "drifted": {"result": "-0.6"},
    "nothing": {"outcome": Outcome.NOTHING, "result": "0", "filled": "0"},
}


def ran(
    number,
    second,
    outcome=Outcome.COMPLETED,
    result="0.1",
    latency_ms=50,
    reason="",
    filled="1",
) -> Execution:
    ended_ns = NOW_NS + round(second * NS_PER_SECOND)
    order = Order("id", "BTC/USDT", Side.BUY, ONE, ONE)
    fill = Fill("1", "id", "BTC/USDT", "BTC", "USDT", Side.BUY, ONE, Decimal(filled), {})
    fills = () if reason or filled == "0" else (fill,)
    leg = LegResult(order, fills, ended_ns - latency_ms * NS_PER_MS, ended_ns, reason)
    changes = {"USDT": Decimal(result)}
    return Execution(number, PLAN, (leg,), outcome, changes, {}, ended_ns, ended_ns)


def told(*history) -> Portfolio:
    """A portfolio of executions by (kind, second)."""
    return Portfolio(
        recent=tuple(ran(n, second, **KINDS[kind]) for n, (kind, second) in enumerate(history, 1))
    )


def stands(breaker: CircuitBreaker, portfolio: Portfolio, second: float) -> str:
    return str(breaker.stands(portfolio, NOW_NS + round(second * NS_PER_SECOND)).state)


ONLY = {"failures": None, "losses": None, "drifts": None}


@pytest.mark.parametrize(
    ("limits", "kind", "words"),
    [
        ({"failures": 3}, "failed", "3 in a row did not complete"),
        ({"losses": 3}, "lost", "3 in a row lost"),
        ({"slow": 3, "max_leg_ms": 1999}, "slow", "3 in a row were slow"),
        ({"rejects": 3}, "rejected", "3 in a row had an order that was not taken"),
        ({"drifts": 3}, "drifted", "3 in a row brought less than their plans"),
    ],
)
def test_each_kind_of_row_opens_it(limits, kind, words) -> None:
    """Three in a row of the one kind that is counted open it, two do not; a good one in between ends the row."""
    breaker = CircuitBreaker(**{**ONLY, **limits})
    assert stands(breaker, told(*[(kind, n) for n in range(2)]), 9) == "closed"
    opened = told(*[(kind, n) for n in range(3)])
    refusal = breaker.review(TRIANGLE, opened, NOW_NS + 9 * NS_PER_SECOND)
    assert isinstance(refusal, Refused)
    assert refusal.code == "risk.breaker"
    assert words in refusal.sentence
    assert dict(refusal.numbers) == {
        "state": "open",
        "why": words,
        "until": "2020-09-13T12:31:42+00:00",
    }
    between = told((kind, 0), (kind, 1), ("good", 2), (kind, 3), (kind, 4))
    assert stands(breaker, between, 9) == "closed"
    other = "failed" if kind != "failed" else "slow"
    assert stands(breaker, told(*[(other, n) for n in range(9)]), 9) == "closed"


def test_what_traded_nothing_says_nothing() -> None:
    """It neither adds to a row of losses or failures, nor ends it, nor closes a breaker that is half open."""
    breaker = CircuitBreaker(failures=2, losses=None)
    row = told(("failed", 0), ("nothing", 1), ("failed", 2))
    assert stands(breaker, row, 9) == "open"
    tried = told(("failed", 0), ("failed", 1), ("nothing", 400))
    assert stands(breaker, tried, 401) == "half_open"


def test_it_waits_then_tries_then_closes() -> None:
    """Open for the recovery time, to the nanosecond; then half open; a good one closes it and every count begins anew."""
    breaker = CircuitBreaker(failures=2)
    row = [("failed", 0), ("failed", 1)]
    assert stands(breaker, told(*row), 1) == "open"
    until_ns = NOW_NS + NS_PER_SECOND + WAIT_NS
    assert breaker.stands(told(*row), until_ns - 1).state is BreakerState.OPEN
    stand = breaker.stands(told(*row), until_ns)
    assert stand.state is BreakerState.HALF_OPEN
    assert (stand.opened_ns, stand.until_ns) == (NOW_NS + NS_PER_SECOND, until_ns)
    assert breaker.review(TRIANGLE, told(*row), until_ns) == Approved(TRIANGLE)
    row.append(("good", 302))
    assert stands(breaker, told(*row), 303) == "closed"
    row.append(("failed", 304))
    assert stands(breaker, told(*row), 305) == "closed"
    row.append(("failed", 306))
    assert stands(breaker, told(*row), 307) == "open"


def test_a_bad_try_opens_it_again() -> None:
    """One bad execution is enough when it is half open, of any kind that is counted, and the wait begins anew."""
    breaker = CircuitBreaker(failures=2, losses=2)
    row = [("failed", 0), ("failed", 1), ("lost", 302)]
    assert stands(breaker, told(*row), 601) == "open"
    assert stands(breaker, told(*row), 602) == "half_open"
    assert "one tried after it lost" in breaker.stands(told(*row), NOW_NS + 10**12).why
    row.append(("good", 603))
    assert stands(breaker, told(*row), 604) == "closed"


def test_a_good_one_that_was_under_way_does_not_close_it() -> None:
    """Only one that began after the wait shows how things go now; a bad one that was under way makes it wait longer."""
    breaker = CircuitBreaker(failures=2)
    row = [("failed", 0), ("failed", 1), ("good", 200)]
    assert stands(breaker, told(*row), 201) == "open"
    row.append(("failed", 250))
    assert stands(breaker, told(*row), 302) == "open"


def test_one_at_a_time_when_half_open() -> None:
    """While the one that is tried runs, nothing else passes."""
    breaker = CircuitBreaker(failures=2)
    running = attrs.evolve(told(("failed", 0), ("failed", 1)), open=(3,))
    refusal = breaker.review(TRIANGLE, running, NOW_NS + NS_PER_SECOND + WAIT_NS)
    assert isinstance(refusal, Refused)
    assert (refusal.numbers["state"], refusal.numbers["until"]) == (
        "half_open",
        "execution 3 has shown how it goes",
    )
    assert refusal.sentence.startswith("the circuit breaker is half open: 2 in a row did not")
    assert isinstance(breaker.review(TRIANGLE, attrs.evolve(told(), open=(1,)), NOW_NS), Approved)


def test_without_a_recovery_time_it_waits_for_a_person() -> None:
    """However long ago it opened; a person who resumes closes it, and what was before does not count again."""
    breaker = CircuitBreaker(failures=2, recovery_seconds=None)
    opened = told(("failed", 0), ("failed", 1))
    assert stands(breaker, opened, 10**9) == "open"
    assert breaker.review(TRIANGLE, opened, NOW_NS).sentence == (
        "the circuit breaker is open: 2 in a row did not complete; nothing until a person resumes"
    )
    assert stands(breaker, attrs.evolve(opened, looked_at=2), 2) == "closed"
    assert stands(breaker, attrs.evolve(opened, looked_at=1), 2) == "closed"


def test_a_drift_needs_a_first_leg_that_filled_whole() -> None:
    """Less than the plan at its limits is no drift where less was traded."""
    breaker = CircuitBreaker(**{**ONLY, "drifts": 1})
    assert stands(breaker, told(("drifted", 0)), 1) == "open"
    half = Portfolio(recent=(ran(1, 0, result="-0.6", filled="0.5"),))
    assert stands(breaker, half, 1) == "closed"


@pytest.mark.parametrize(
    ("limits", "execution", "state"),
    [
        ({"slow": 1, "max_leg_ms": 2000}, ran(1, 0, latency_ms=2000), "closed"),
        ({"slow": 1, "max_leg_ms": 1999}, ran(1, 0, latency_ms=2000), "open"),
        ({"drifts": 1}, ran(1, 0, result="-0.5"), "closed"),
        ({"drifts": 1}, ran(1, 0, result="-0.50001"), "open"),
        ({"losses": 1}, ran(1, 0, result="0"), "closed"),
        ({"losses": 1}, ran(1, 0, result="-0.00001"), "open"),
    ],
    ids=["as slow as it may", "slower", "the worst of its plan", "worse", "no loss", "a loss"],
)
def test_what_is_just_not_bad_is_good(limits, execution, state) -> None:
    """At the bound itself nothing is counted: a leg that took the most, a result that is the plan's worst, one of nothing."""
    breaker = CircuitBreaker(**{**ONLY, **limits})
    assert stands(breaker, Portfolio(recent=(execution,)), 1) == state


@pytest.mark.parametrize(
    ("limits", "kind", "words"),
    [
        ({"slow": 1, "max_leg_ms": 1000}, "slow", "one tried after it was slow"),
        ({"drifts": 1}, "drifted", "one tried after it brought less than its plan"),
    ],
)
def test_one_that_was_tried_is_told_as_one(limits, kind, words) -> None:
    """Of the execution that opened it again a person reads in the singular what was wrong with it."""
    breaker = CircuitBreaker(**{**ONLY, **limits})
    assert breaker.stands(told((kind, 0), (kind, 400)), NOW_NS + 401 * NS_PER_SECOND).why == words


def test_one_that_begins_as_the_wait_ends_is_a_try() -> None:
    """Half open begins at `until_ns`, and so does what may close it; a nanosecond before is still under way from before."""
    breaker = CircuitBreaker(failures=2)
    row = told(("failed", 0), ("failed", 1)).recent
    good = ran(3, 301)
    assert stands(breaker, Portfolio(recent=(*row, good)), 302) == "closed"
    early = attrs.evolve(good, started_ns=good.started_ns - 1)
    assert stands(breaker, Portfolio(recent=(*row, early)), 302) == "half_open"


def test_what_a_person_looked_at_hides_nothing_that_came_after() -> None:
    """Executions before the resume and sweeps are left out, and the row goes on behind them."""
    breaker = CircuitBreaker(failures=2)
    row = told(*[("failed", second) for second in range(4)])
    assert stands(breaker, attrs.evolve(row, looked_at=2), 5) == "open"
    first, second, *_ = row.recent
    swept = attrs.evolve(ran(9, 1, **KINDS["failed"]), plan=SWEEP)
    assert stands(breaker, Portfolio(recent=(first, swept)), 5) == "closed"
    assert stands(breaker, Portfolio(recent=(first, swept, second)), 5) == "open"


async def test_a_restart_keeps_it(tmp_path) -> None:
    """Open in one process, open in the next, by the same ledger; half open and closed by what came after, and by a person."""
    breaker = CircuitBreaker(failures=2)
    file = tmp_path / "ledger.sqlite"

    async def add(*events):
        async with SqlLedger(file) as ledger:
            for event_ in events:
                await ledger.append(event_)

    async def read():
        async with SqlLedger(file, read_only=True) as ledger:
            return ledger.portfolio()

    for number in (1, 2):
        failed = ran(number, number, **KINDS["failed"])
        await add(
            ExecutionStarted(failed.started_ns, number, PLAN),
            ExecutionEnded(failed.ended_ns, failed),
        )
    assert stands(breaker, await read(), 3) == "open"
    assert stands(breaker, await read(), 302) == "half_open"
    await add(Resumed(NOW_NS + 3 * NS_PER_SECOND, "me"))
    assert stands(breaker, await read(), 4) == "closed"
    failed = ran(3, 5, **KINDS["failed"])
    await add(ExecutionStarted(failed.started_ns, 3, PLAN), ExecutionEnded(failed.ended_ns, failed))
    assert stands(breaker, await read(), 6) == "closed"  # one since the person looked


HISTORIES = st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 200)), max_size=14)
LIMITS = st.fixed_dictionaries(
    {
        "failures": st.integers(1, 4),
        "losses": st.none() | st.integers(1, 4),
        "rejects": st.none() | st.integers(1, 4),
        "drifts": st.none() | st.integers(1, 4),
        "recovery_seconds": st.sampled_from([100, 300, None]),
    },
    optional={"slow": st.integers(1, 4)},
)


@st.composite
def tightened(draw: st.DrawFn) -> tuple[CircuitBreaker, CircuitBreaker]:
    """A breaker, and one of which some counts are smaller or counted at all, and the wait is longer."""
    loose = draw(LIMITS)
    tight = dict(loose)
    for name, count in loose.items():
        if name == "recovery_seconds":
            longer = [None] if count is None else [count, 2 * count, None]
            tight[name] = draw(st.sampled_from(longer))
        else:
            tight[name] = draw(
                st.integers(1, count or 4) if count else st.none() | st.integers(1, 4)
            )
    made = []
    for limits in (loose, tight):
        slow = {"max_leg_ms": 1000} if limits.get("slow") else {"slow": None}
        made.append(CircuitBreaker(**{**limits, **slow}))
    return made[0], made[1]


@pytest.mark.once
@settings(max_examples=300)
@given(tightened(), HISTORIES, st.integers(0, 700))
def test_a_tighter_breaker_lets_no_more_through(breakers, history, later) -> None:
    """Whatever happened: where the looser one refuses, the tighter one does too."""
    loose, tight = breakers
    second, rows = 0, []
    for kind, pause in history:
        second += pause
        rows.append((kind, second))
    portfolio = told(*rows)
    one, other = stands(loose, portfolio, second + later), stands(tight, portfolio, second + later)
    event(f"{one} to {other}")
    assert other == "open" or one != "open"


@pytest.mark.parametrize(
    "limits",
    [
        {"failures": 0},
        {"failures": 51},
        {"losses": True},
        {"rejects": "5"},
        {"slow": 3},
        {"max_leg_ms": 100},
        {"recovery_seconds": 0},
        ONLY,
    ],
    ids=str,
)
def test_a_breaker_of_nonsense_is_refused_when_it_is_made(limits) -> None:
    """One that never opens, one that counts more than is told of, half of a pair, and what is no number."""
    with pytest.raises(UsageError):
        CircuitBreaker(**limits)
