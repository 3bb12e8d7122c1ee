"""The leg state machine: total, ending, and never surer than what it was told."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.execution.machine import begin, found, instruction, on
from triarb.execution.messages import (
    BalancesRead,
    CancelAsked,
    Do,
    Done,
    Failed,
    Rules,
    Sending,
    Stuck,
    Tick,
    WaitUntil,
    Withheld,
)
from triarb.model import (
    Fill,
    Market,
    NotFound,
    Order,
    OrderOutcome,
    OrderState,
    OrderStatus,
    Side,
    Submission,
    SubmissionStatus,
    TimeInForce,
)

D = Decimal
MARKET = Market("BTC/USDT", "BTC", "USDT")
ORDER = Order("cid", "BTC/USDT", Side.BUY, D(10), D(100), TimeInForce.IOC)
EXPIRY_NS = 3 * NS_PER_SECOND
RULES = Rules(EXPIRY_NS)
UNKNOWN = Submission(SubmissionStatus.UNKNOWN, reason="timeout")
NOT_FOUND = NotFound("cid", "BTC/USDT")


def fill(number, amount=1, **changes):
    base = Fill(
        str(number), "cid", "BTC/USDT", "BTC", "USDT", Side.BUY, D(100), D(amount), {"BTC": D(0)}
    )
    return attrs.evolve(base, **changes)


def told(status=OrderStatus.FILLED, filled=10, fills=None):
    fills = tuple(fill(n) for n in range(filled)) if fills is None else fills
    return OrderState("cid", "BTC/USDT", status, D(10), D(filled), tuple(fills))


def accepted(state):
    return Submission(SubmissionStatus.ACCEPTED, state)


FILLS = st.lists(st.sampled_from([fill(n) for n in range(10)]), max_size=6)
STATES = st.builds(
    told,
    st.sampled_from(OrderStatus),
    st.integers(0, 12),
    st.one_of(st.none(), FILLS),
)
EVENTS = st.one_of(
    st.just(Sending()),
    st.just(Withheld("closed")),
    st.just(UNKNOWN),
    st.just(Submission(SubmissionStatus.REJECTED, reason="-2010")),
    st.builds(accepted, STATES),
    STATES,
    st.just(NOT_FOUND),
    st.just(Failed("no answer")),
    st.just(CancelAsked()),
    st.builds(BalancesRead, st.booleans()),
    st.just(Tick()),
)
ANSWERS = st.one_of(STATES, st.just(NOT_FOUND), st.just(Failed("no answer")))


@pytest.mark.once
@given(st.lists(st.tuples(EVENTS, st.integers(0, 4 * NS_PER_SECOND)), max_size=30))
@settings(max_examples=500)
def test_every_state_answers_every_event(steps):
    """The machine is total: whatever it is told whenever, it says what to do, and an end never changes."""
    state, now_ns, end, sent = begin(ORDER, MARKET, RULES), 0, None, False
    for event, passed_ns in steps:
        now_ns += passed_ns
        state = on(state, event, now_ns)
        said = instruction(state, now_ns)
        assert isinstance(said, Do | WaitUntil | Done | Stuck)
        sent = sent or isinstance(event, Sending | Submission)
        assert not (sent and said is Do.SUBMIT), "I2"
        assert end is None or state.end == end
        end = state.end
        if isinstance(said, WaitUntil):
            assert said.at_ns > now_ns
        assert len({f.trade_id for f in state.fills}) == len(state.fills)


@pytest.mark.once
@given(st.data(), st.sampled_from([EXPIRY_NS, 0, None]))
@settings(max_examples=300)
def test_it_ends_by_its_deadline_whatever_is_answered(data, expiry_ns):
    """I9, I2, A2: driven by its own instructions it submits once, ends within its deadline, and says never only after it."""
    rules = Rules(expiry_ns)
    state, now_ns, asked, submits = begin(ORDER, MARKET, rules), 0, 0, 0
    while state.end is None:
        asked += 1
        assert asked < 200
        said = instruction(state, now_ns)
        match said:
            case Do.SUBMIT:
                submits += 1
                state = on(state, Sending(), now_ns)
                now_ns += data.draw(st.integers(0, NS_PER_SECOND))
                event = data.draw(
                    st.sampled_from([UNKNOWN, accepted(told(OrderStatus.OPEN, 0)), accepted(None)])
                )
            case WaitUntil(at_ns):
                now_ns, event = at_ns, Tick()
            case Do.READ_BALANCES:
                event = data.draw(
                    st.sampled_from([BalancesRead(unchanged=True), BalancesRead(unchanged=False)])
                )
            case Do.CANCEL:
                event = CancelAsked()
            case _:
                now_ns += data.draw(st.integers(0, NS_PER_SECOND))
                event = data.draw(ANSWERS)
        state = on(state, event, now_ns)
    assert submits == 1
    assert now_ns <= NS_PER_SECOND * 3 + rules.deadline_ns
    if state.outcome is OrderOutcome.NEVER:
        assert expiry_ns is not None
        assert now_ns >= expiry_ns + rules.margin_ns
        assert not state.fills
        assert not state.seen
    if state.outcome in (OrderOutcome.FILLED, OrderOutcome.PARTIAL):
        assert state.filled == state.final.filled


@given(st.permutations(range(10)), st.lists(st.integers(0, 9), max_size=10), st.data())
def test_shuffled_and_repeated_fills_give_the_same(order, repeated, data):
    """I12, A10: in whatever order and however often fills are told, the end is the same."""
    numbers = [*order, *repeated]
    state = on(begin(ORDER, MARKET, RULES), Sending(), 0)
    at = 0
    while at < len(numbers):
        part = data.draw(st.integers(1, 4))
        chunk = dict.fromkeys(numbers[at : at + part])
        some = told(OrderStatus.OPEN, len(chunk), [fill(n) for n in chunk])
        state = on(state, some, 0)
        at += part
    state = on(state, told(OrderStatus.FILLED, 10, ()), 0)
    assert state.outcome is OrderOutcome.FILLED
    assert state.fills == tuple(fill(n) for n in range(10))


def test_a_fill_that_is_told_in_two_ways_proves_nothing():
    """A10: two fills of one trade id that differ make the order unknown; a time that differs alone does not."""
    state = on(begin(ORDER, MARKET, RULES), Sending(), 0)
    state = on(state, told(OrderStatus.OPEN, 1), 0)
    same = on(state, told(OrderStatus.OPEN, 1, [fill(0, time_ns=7)]), 0)
    assert same.end is None
    other = on(state, told(OrderStatus.OPEN, 1, [fill(0, price=D(99))]), 0)
    assert isinstance(other.end, Stuck)


@pytest.mark.parametrize(
    ("status", "filled", "outcome"),
    [
        (OrderStatus.FILLED, 10, OrderOutcome.FILLED),
        (OrderStatus.EXPIRED, 10, OrderOutcome.FILLED),
        (OrderStatus.EXPIRED, 4, OrderOutcome.PARTIAL),
        (OrderStatus.CANCELED, 4, OrderOutcome.PARTIAL),
        (OrderStatus.REJECTED, 4, OrderOutcome.PARTIAL),
        (OrderStatus.EXPIRED, 0, OrderOutcome.EXPIRED),
        (OrderStatus.CANCELED, 0, OrderOutcome.CANCELED),
        (OrderStatus.REJECTED, 0, OrderOutcome.REJECTED),
    ],
)
def test_the_outcome_is_decided_by_what_filled(status, filled, outcome):
    """A5, A13: filled amounts decide, and the status only says that no more can come."""
    state = on(begin(ORDER, MARKET, RULES), accepted(told(status, filled)), 0)
    assert state.outcome is outcome


def drive(state, answer, now_ns=0):
    """Follow the instructions, every look-up answered by `answer(now_ns)`; the state at its end, the time, the cancels."""
    cancels = 0
    while state.end is None:
        match instruction(state, now_ns):
            case WaitUntil(at_ns):
                now_ns, event = at_ns, Tick()
            case Do.READ_BALANCES:
                event = BalancesRead(unchanged=True)
            case Do.CANCEL:
                cancels, event = cancels + 1, CancelAsked()
            case _:
                event = answer(now_ns)
        state = on(state, event, now_ns)
    return state, now_ns, cancels


def sent(answer=UNKNOWN, rules=RULES):
    return on(on(begin(ORDER, MARKET, rules), Sending(), 0), answer, 0)


def test_absence_is_believed_only_after_expiry_and_margin():
    """A2: not found proves nothing until the request cannot arrive any more, and then only several times over a margin."""
    state, now_ns, _ = drive(sent(), lambda _now: NOT_FOUND)
    assert state.outcome is OrderOutcome.NEVER
    assert EXPIRY_NS + RULES.margin_ns <= now_ns <= EXPIRY_NS + RULES.margin_ns + NS_PER_SECOND * 2
    assert state.absent >= RULES.not_founds


def test_an_order_that_is_found_late_counts():
    """A2: an order that is not found again and again, and then is, has what it filled."""
    late_ns = EXPIRY_NS + RULES.margin_ns - NS_PER_MS
    state, _, _ = drive(sent(), lambda now: told() if now >= late_ns else NOT_FOUND)
    assert state.outcome is OrderOutcome.FILLED


def test_without_an_expiry_absence_is_never_believed():
    """A2: on an exchange that takes a request however late, an order that is not found is stuck."""
    state, now_ns, _ = drive(sent(rules=Rules(None)), lambda _now: NOT_FOUND)
    assert isinstance(state.end, Stuck)
    assert now_ns >= RULES.deadline_ns


def test_an_order_that_was_once_there_is_never_absent():
    """A2: after the exchange has shown an order, not finding it says only that what is read lags."""
    state, _, _ = drive(sent(accepted(told(OrderStatus.OPEN, 0))), lambda _now: NOT_FOUND)
    assert isinstance(state.end, Stuck)
    assert "not found" in state.reason


def test_changed_balances_forbid_absence():
    """A2, B6: an order that is not found while its assets' balances changed is not proven absent."""
    state = sent()
    now_ns = EXPIRY_NS
    for _ in range(4):
        state = on(state, NOT_FOUND, now_ns)
        now_ns += NS_PER_SECOND
    assert instruction(state, now_ns) is Do.READ_BALANCES
    state = on(state, BalancesRead(unchanged=False), now_ns)
    assert state.end is None
    assert instruction(state, now_ns) is Do.LOOK_UP


def test_an_open_order_is_canceled_and_then_looked_up():
    """A6: what a cancel is answered proves nothing; the look-up after it does, a fill that raced it included."""
    asked = []

    def answer(now):
        asked.append(now)
        return (
            told(OrderStatus.CANCELED, 3) if now >= 1500 * NS_PER_MS else told(OrderStatus.OPEN, 1)
        )

    state, _, cancels = drive(sent(), answer)
    assert cancels == 1
    assert state.outcome is OrderOutcome.PARTIAL
    assert state.filled == 3


def test_an_unknown_status_is_not_the_end():
    """A14: a status that nobody knows is not final: the order is looked up until it is, or is stuck."""
    state, _, cancels = drive(sent(), lambda _now: told(OrderStatus.UNKNOWN, 0))
    assert isinstance(state.end, Stuck)
    assert cancels == 3


def test_fills_that_lag_are_waited_for():
    """A12: an order that ended without its fills is asked for again until they add up."""
    late = 900 * NS_PER_MS
    state, now_ns, _ = drive(sent(), lambda now: told(fills=None if now >= late else ()))
    assert state.outcome is OrderOutcome.FILLED
    assert now_ns >= late


@pytest.mark.parametrize(
    "lie",
    [
        told(OrderStatus.FILLED, 12),
        told(OrderStatus.EXPIRED, 1, [fill(0, amount=3), fill(1, amount=3)]),
        attrs.evolve(told(), amount=D(9)),
        attrs.evolve(told(), amount=D("sNaN")),
        attrs.evolve(told(), client_id="other"),
        attrs.evolve(told(OrderStatus.EXPIRED, 0, ()), status="new"),
        attrs.evolve(told(OrderStatus.EXPIRED, 0, ()), status=None),
    ],
)
def test_what_cannot_be_true_is_not_counted(lie):
    """A9, A11, A14: more than was ordered or filled, another amount, order or status than there is: stuck, not done."""
    state, _, _ = drive(sent(accepted(lie)), lambda _now: lie)
    assert isinstance(state.end, Stuck)


@pytest.mark.parametrize("other", [NotFound("other", "BTC/USDT"), NotFound("cid", "ETH/USDT")])
def test_that_another_order_is_not_found_proves_nothing(other):
    """A2: absence counts of the order that was asked for alone, on its own market."""
    state, _, _ = drive(sent(), lambda _now: other)
    assert isinstance(state.end, Stuck)
    assert "another order" in state.reason


def test_two_ends_that_differ_prove_nothing():
    """A10: an order that is told to have ended twice, with different amounts, is unknown."""
    state = sent(accepted(told(OrderStatus.EXPIRED, 4, ())))
    assert isinstance(on(state, told(OrderStatus.EXPIRED, 5, ()), 1).end, Stuck)


def test_an_order_from_a_journal_is_never_submitted():
    """I2: what a crash left is looked up, first at once, and only a rejection on record is proof by itself."""
    now_ns = 5 * NS_PER_SECOND
    state = found(ORDER, MARKET, RULES, now_ns)
    assert instruction(state, now_ns) is Do.LOOK_UP
    rejected = found(ORDER, MARKET, RULES, now_ns, answered=SubmissionStatus.REJECTED)
    assert rejected.outcome is OrderOutcome.REJECTED
    state, ended_ns, _ = drive(state, lambda _now: NOT_FOUND, now_ns)
    assert state.outcome is OrderOutcome.NEVER
    assert ended_ns >= now_ns + EXPIRY_NS + RULES.margin_ns
    seen = found(ORDER, MARKET, RULES, now_ns, answered=SubmissionStatus.ACCEPTED)
    assert isinstance(drive(seen, lambda _now: NOT_FOUND, now_ns)[0].end, Stuck)
    filled = found(ORDER, MARKET, RULES, now_ns, fills=[fill(0)])
    assert isinstance(drive(filled, lambda _now: NOT_FOUND, now_ns)[0].end, Stuck)
