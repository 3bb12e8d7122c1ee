"""The executor: an intent before every order, one order an intent, and a proven or visibly stuck end."""

from decimal import Decimal

import attrs
import pytest
from hypothesis import given, strategies as st

from triarb.clock import ManualClock
from triarb.exceptions import GatewayUnavailable, TradingRefused, UsageError
from triarb.execution import ExecutionContext, SequentialExecutor
from triarb.execution.ids import MAX_LENGTH, check_epoch, client_id, new_epoch
from triarb.execution.steps import Finish, Trade, next_step, received
from triarb.ledger import SqlLedger
from triarb.market import RateTable
from triarb.model import (
    Answered,
    BalancesSet,
    ExecutionEnded,
    Fill,
    Intended,
    LegDone,
    LegResult,
    NotFound,
    Order,
    OrderState,
    OrderStatus,
    Outcome,
    Proven,
    Refused,
    Side,
    Submission,
    SubmissionStatus,
)
from triarb.testing.execution import _plan, check_executor
from triarb.testing.market import planted_triangle

ACCEPTED, REJECTED, UNKNOWN = SubmissionStatus


def the_plan():
    snapshot = planted_triangle()
    return _plan(RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes))


def fill(leg, amount, *, fee_rate="0.001", trade_id="1", cid="c"):
    """A fill of `amount` at the leg's limit, its fee from what it brings."""
    gross = amount if leg.side is Side.BUY else amount * leg.limit_price
    fees = {leg.received_asset: gross * Decimal(fee_rate)}
    market = leg.market
    return Fill(
        trade_id,
        cid,
        market.symbol,
        market.base,
        market.quote,
        leg.side,
        leg.limit_price,
        amount,
        fees,
    )


def result(leg, ordered, *fills, reason=""):
    order = Order("c", leg.market.symbol, leg.side, Decimal(ordered), leg.limit_price)
    return LegResult(order, fills, 0, 0, reason)


class Scripted:
    """A trading side that answers from a script: one submission, then look-ups in turn."""

    def __init__(self, submissions, look_ups=()):
        self.submissions = list(submissions)
        self.look_ups = list(look_ups)
        self.sent, self.canceled = [], []
        self.order_expiry_ns = None

    async def submit(self, order, /):
        self.sent.append(order)
        answer = self.submissions.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(order) if callable(answer) else answer

    async def look_up(self, cid, symbol, /):
        answer = self.look_ups.pop(0) if self.look_ups else NotFound(cid, symbol)
        if isinstance(answer, Exception):
            raise answer
        return answer(self.sent[-1]) if callable(answer) else answer

    async def cancel(self, cid, symbol, /):
        self.canceled.append((cid, symbol))
        return NotFound(cid, symbol)  # proves nothing

    async def order_book(self, symbol, /):
        raise GatewayUnavailable("no book", code="x")


async def run(gateway, *, gate=lambda _order, _purpose: None, plan=None, **settings):
    """Execute `plan` over `gateway`; the execution, the ledger's events, and those emitted."""
    plan, emitted = plan or the_plan(), []
    async with SqlLedger("sqlite://") as ledger:
        await ledger.append(BalancesSet(0, {"USDT": Decimal(1000)}, "opening"))
        view = RateTable((), planted_triangle().fees()).view()
        context = ExecutionContext(
            gateway,
            gateway.order_book,
            view,
            ledger,
            ManualClock(),
            gate,
            emitted.append,
            "abcd",
            1,
        )
        try:
            execution = await SequentialExecutor(**settings).execute(plan, context)
        finally:
            events = gateway.events = list(ledger.events())
    return execution, events, emitted


def filled(status=OrderStatus.FILLED, part=1, better=1):
    """Accepts an order and fills `part` of it at its limit, or `better` times that."""

    def answer(order):
        legs = {leg.market.symbol: leg for leg in the_plan().legs}
        amount = (order.amount * Decimal(part)).quantize(Decimal("0.00001"))
        cid = order.client_id
        leg = attrs.evolve(legs[order.symbol], limit_price=order.price * Decimal(better))
        fills = (fill(leg, amount, trade_id=cid, cid=cid),) if amount else ()
        state = OrderState(order.client_id, order.symbol, status, order.amount, amount, fills)
        return Submission(ACCEPTED, state)

    return answer


def looked_up(status=OrderStatus.FILLED, part=1):
    """The same as the answer to a look-up."""
    return lambda order: filled(status, part)(order).state


async def test_a_gateway_may_say_sides_and_statuses_as_plain_words():
    """One of somebody's own that says "buy" and "filled" is understood, and books what one does that says `Side.BUY`."""

    def in_plain_words(answer):
        def told(order):
            state = answer(order).state
            fills = tuple(attrs.evolve(fill, side=str(fill.side)) for fill in state.fills)
            return Submission(ACCEPTED, attrs.evolve(state, status=str(state.status), fills=fills))

        return told

    answer = filled()
    named, _, _ = await run(Scripted([answer] * 3))
    plain, _, _ = await run(Scripted([in_plain_words(answer)] * 3))
    assert named.outcome is plain.outcome is Outcome.COMPLETED
    assert named.changes == plain.changes


async def test_sequential_executor_conforms():
    """The default executor passes the check that authors of executors run."""
    await check_executor(SequentialExecutor)


class Wrong(SequentialExecutor):
    """Breaks one promise, told by its name."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    async def execute(self, plan, context, /):
        match self.how:
            case "plan instead of fills":
                for number, leg in enumerate(plan.legs, 1):
                    cid = client_id(context.epoch, context.number, number)
                    order = Order(cid, leg.market.symbol, leg.side, leg.amount, leg.limit_price)
                    await context.ledger.append(Intended(0, 1, number, order))
                    await context.gateway.submit(order)
            case "no intent":
                leg = plan.legs[0]
                order = Order("x", leg.market.symbol, leg.side, leg.amount, leg.limit_price)
                await context.gateway.submit(order)
            case "gate":
                context = attrs.evolve(context, gate=lambda _order, _purpose: None)
            case "twice":
                submit = context.gateway.submit

                async def again(order):
                    await submit(order)
                    return await submit(order)

                context.gateway.submit = again
            case "off step":
                legs = tuple(
                    attrs.evolve(leg, amount=leg.amount + Decimal("0.000001")) for leg in plan.legs
                )
                plan = attrs.evolve(plan, legs=legs)
        execution = await super().execute(plan, context)
        if self.how == "wrong changes":
            return attrs.evolve(execution, changes={})
        return execution


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("plan instead of fills", "sent twice"),
        ("no intent", "without an intent"),
        ("gate", "when the gate is closed"),
        ("twice", "sent twice"),
        ("off step", "off the step"),
        ("wrong changes", "where the exchange has"),
    ],
)
async def test_check_executor_catches(how, said):
    """An executor that breaks a promise fails the check with a sentence that says which."""
    with pytest.raises(AssertionError, match=said):
        await check_executor(lambda: Wrong(how))


async def test_intent_is_journalled_before_each_order():
    """I1: for every order sent, its intent stands in the journal before its answer, with the same numbers."""
    gateway = Scripted([filled(), filled(), filled()])
    execution, events, _ = await run(gateway)
    orders = [e for e in events if isinstance(e, Intended | Answered)]
    assert [type(e) for e in orders] == [Intended, Answered] * 3
    assert [e.order for e in orders if isinstance(e, Intended)] == gateway.sent
    assert execution.outcome is Outcome.COMPLETED
    assert isinstance(events[-1], ExecutionEnded)


async def test_next_leg_is_sized_from_fills_after_fees():
    """B1: leg 2 spends what leg 1 brought after its fee, floored to the step, not what the plan says."""
    gateway = Scripted([filled(OrderStatus.EXPIRED, "0.5"), filled(), filled()])
    execution, _, _ = await run(gateway)
    first, second, _ = gateway.sent
    got = (first.amount / 2).quantize(Decimal("0.00001")) * Decimal("0.999")
    assert second.amount == (got / Decimal("0.05")).quantize(
        Decimal("0.0001"), rounding="ROUND_FLOOR"
    )
    assert execution.outcome is Outcome.COMPLETED  # a smaller first leg strands nothing


async def test_rejected_first_leg_is_nothing():
    """A rejected leg 1 ends with no asset changed and the exchange's reason."""
    execution, events, _ = await run(Scripted([Submission(REJECTED, reason="-2010")]))
    assert execution.outcome is Outcome.NOTHING
    assert not any(execution.changes.values())
    assert "-2010" in execution.reason.sentence
    assert [e.reason for e in events if isinstance(e, Answered)] == ["-2010"]
    assert [e.evidence for e in events if isinstance(e, Proven)] == ["-2010"]


async def test_rejected_second_leg_is_short_with_its_residue():
    """A rejected leg 2 ends SHORT, what leg 1 brought is a residue, and no third order is sent."""
    gateway = Scripted([filled(), Submission(REJECTED, reason="-1013")])
    execution, _, _ = await run(gateway)
    assert execution.outcome is Outcome.SHORT
    assert execution.residues["BTC"] > 0
    assert len(gateway.sent) == 2


async def test_dust_below_the_next_minimum_is_short():
    """B4: what is too little for the next market is a residue, and no order below a minimum is sent."""
    gateway = Scripted([filled(OrderStatus.EXPIRED, "0.00001")])
    execution, _, _ = await run(gateway)
    assert execution.outcome is Outcome.SHORT
    assert execution.reason.code == "cycle.below_minimum"


async def test_unknown_answer_is_proven_by_a_look_up():
    """A1: an answer that proves nothing is looked up, and the fills found count."""
    gateway = Scripted(
        [Submission(UNKNOWN, reason="timeout"), filled(), filled()],
        [NotFound("c", "s"), GatewayUnavailable("no answer", code="x"), looked_up()],
    )
    execution, _, _ = await run(gateway)
    assert execution.outcome is Outcome.COMPLETED
    assert len(gateway.sent) == 3


async def test_unproven_order_is_stuck_and_never_sent_again():
    """A1, A3: not found proves nothing: the execution is STUCK, says which order, and nothing more is sent."""
    gateway = Scripted([filled(), Submission(UNKNOWN, reason="timeout")])
    execution, _, _ = await run(gateway)
    assert execution.outcome is Outcome.STUCK
    assert execution.reason.code == "leg.unproven"
    assert gateway.sent[-1].client_id in execution.reason.sentence
    assert len(gateway.sent) == 2


def with_rest():
    """The plan, whose leg 2 says that a second order of it would win something."""
    plan = the_plan()
    leg = attrs.evolve(plan.legs[1], resend=Decimal(1), resend_gain=Decimal(1))
    return attrs.evolve(plan, legs=(plan.legs[0], leg, plan.legs[2]))


CHEAP = filled(better="0.99")  # so that leg 2 leaves a hundredth of its BTC


async def test_a_rest_is_sent_once_and_sized_by_what_is_left():
    """I2, I10: leg 2 is sent once more, IOC, for what the fills left of BTC, and leg 3 sells what both brought."""
    gateway = Scripted([filled(), CHEAP, CHEAP, filled()])
    execution, events, _ = await run(gateway, plan=with_rest())
    first, leg, rest, last = gateway.sent
    left = first.amount * Decimal("0.999") - leg.amount * leg.price * Decimal("0.99")
    assert rest.amount == (left / leg.price).quantize(Decimal("0.0001"), rounding="ROUND_FLOOR")
    assert (rest.client_id[-4:], rest.price, rest.time_in_force) == ("l2a1", leg.price, "IOC")
    brought = (leg.amount + rest.amount) * Decimal("0.999")
    assert last.amount == brought.quantize(Decimal("0.0001"), rounding="ROUND_FLOOR")
    assert (execution.outcome, len(execution.legs), len(execution.further)) == (
        Outcome.COMPLETED,
        3,
        1,
    )
    assert [(e.leg, e.attempt, str(e.purpose)) for e in events if isinstance(e, Intended)] == [
        (1, 0, "open"),
        (2, 0, "close"),
        (2, 1, "close"),
        (3, 0, "close"),
    ]


@pytest.mark.parametrize(
    ("leg_2", "what"),
    [
        (filled(), "nothing is left"),
        (filled(OrderStatus.EXPIRED, "0.5", better="0.99"), "its book has no more"),
    ],
)
async def test_no_rest_is_sent_where_it_could_win_nothing(leg_2, what):
    """A5: a leg that left less than its market takes, or filled in part, is not sent once more."""
    gateway = Scripted([filled(), leg_2, filled()])
    execution, _, _ = await run(gateway, plan=with_rest())
    assert execution.further == (), what
    assert [order.client_id[-2:] for order in gateway.sent] == ["a0"] * 3


@pytest.mark.parametrize(
    "rest",
    [Submission(REJECTED, reason="-2010"), filled(OrderStatus.EXPIRED, 0)],
    ids=["rejected", "expired"],
)
async def test_a_rest_that_fails_changes_nothing(rest):
    """A7: a second order that is rejected or finds nothing leaves the cycle as it would have been without it."""
    gateway = Scripted([filled(), CHEAP, rest, filled()])
    execution, _, _ = await run(gateway, plan=with_rest())
    without, _, _ = await run(Scripted([filled(), CHEAP, filled()]))
    assert execution.outcome is without.outcome is Outcome.COMPLETED
    assert execution.changes == without.changes
    assert [order.amount for order in gateway.sent[::3]] == [
        leg.order.amount for leg in without.legs[::2]
    ]


async def test_a_rest_that_cannot_be_proven_is_stuck():
    """A1: the second order of a leg is an order like any other: not proven is stuck, and no third leg is sent."""
    gateway = Scripted([filled(), CHEAP, Submission(UNKNOWN, reason="timeout")])
    execution, _, _ = await run(gateway, plan=with_rest())
    assert execution.outcome is Outcome.STUCK
    assert gateway.sent[-1].client_id in execution.reason.sentence
    assert len(gateway.sent) == 3


async def test_whatever_a_gateway_raises_proves_nothing():
    """An exception out of a gateway's submit is UNKNOWN, never a rejection."""
    gateway = Scripted([KeyError("nonsense")], [looked_up()])
    gateway.submissions += [filled(), filled()]
    execution, events, _ = await run(gateway)
    assert execution.outcome is Outcome.COMPLETED
    assert next(e.status for e in events if isinstance(e, Answered)) is UNKNOWN


async def test_open_order_is_canceled_and_then_proven():
    """A6: an order still open after the look-ups is canceled, and what the cancel's look-up says counts."""
    still_open = looked_up(OrderStatus.OPEN, 0)
    gateway = Scripted(
        [filled(OrderStatus.OPEN, 0), filled(), filled()],
        [still_open] * 4 + [looked_up(OrderStatus.CANCELED, "0.5")],
    )
    execution, _, _ = await run(gateway)
    assert gateway.canceled == [(gateway.sent[0].client_id, gateway.sent[0].symbol)]
    assert execution.legs[0].filled == (gateway.sent[0].amount / 2).quantize(Decimal("0.00001"))


async def test_fills_that_lag_behind_are_waited_for():
    """A12: an order that is filled without its fills is looked up until they are there."""

    def bare(order):
        state = filled()(order).state
        return Submission(ACCEPTED, attrs.evolve(state, fills=()))

    execution, _, _ = await run(Scripted([bare, filled(), filled()], [looked_up()]))
    assert execution.outcome is Outcome.COMPLETED


async def test_gate_that_closes_between_legs_stops_the_next_order():
    """E9: a refusal of the gate means that the order is not sent; what is held is a residue with the reason."""
    gateway = Scripted([filled(), filled(), filled()])
    execution, _, _ = await run(
        gateway,
        gate=lambda _order, _purpose: Refused("engine.halted", "no") if gateway.sent else None,
    )
    assert len(gateway.sent) == 1
    assert (execution.outcome, execution.reason.code) == (Outcome.SHORT, "engine.halted")
    assert execution.legs[1].reason == "engine.halted: no"


async def test_a_gateway_that_refuses_to_trade_is_an_error():
    """A read-only or production gateway raises out of the executor, with the ledger closed cleanly."""
    refusal = TradingRefused("this gateway only reads", code="gateway.read_only")
    gateway = Scripted([refusal])
    with pytest.raises(TradingRefused, match="only reads"):
        await run(gateway)
    [*_, answered, proven, ended] = gateway.events
    assert (answered.reason, proven.outcome) == (str(refusal), "rejected")
    assert str(ended.execution.reason) == f"leg.refused: {refusal}"


async def test_observers_hear_of_every_leg():
    """A LegDone is emitted for each leg, in order, with what it did and when."""
    execution, _, emitted = await run(Scripted([filled(), filled(), filled()]))
    assert [event for event in emitted if isinstance(event, LegDone)] == [
        LegDone(leg.done_ns, 1, number, leg) for number, leg in enumerate(execution.legs, 1)
    ]


async def test_fees_are_summed_over_all_fills_of_an_asset():
    """B1: what was charged in an asset is the sum over the fills of a leg, however many."""

    def in_two(order):
        good = filled()(order)
        [one] = good.state.fills
        half = attrs.evolve(
            one, amount=one.amount / 2, fees={a: fee / 2 for a, fee in one.fees.items()}
        )
        fills = (half, attrs.evolve(half, trade_id="other"))
        return attrs.evolve(good, state=attrs.evolve(good.state, fills=fills))

    whole, _, _ = await run(Scripted([filled()] * 3))
    split, _, _ = await run(Scripted([in_two] * 3))
    assert split.fees == whole.fees
    assert all(fee > 0 for fee in whole.fees.values())


async def test_a_cycle_that_has_taken_too_long_sends_nothing_more():
    """I9: once its time is over, no further order leaves, and the reason says how long that was."""
    slow = [looked_up(OrderStatus.OPEN, 0)] * 4 + [looked_up(OrderStatus.CANCELED, "0.5")]
    gateway = Scripted([filled(OrderStatus.OPEN, 0)], slow)
    execution, _, _ = await run(gateway, cycle_seconds=0.5)
    assert len(gateway.sent) == 1
    assert execution.outcome is Outcome.SHORT
    assert execution.reason == Refused("cycle.late", "it has taken 0.5 s", {"seconds": 0.5})


@pytest.mark.once
@given(st.lists(st.integers(1, 100), min_size=1, max_size=4))
def test_received_is_the_sum_of_fills_less_fees_in_that_asset(parts):
    """What a leg brought does not depend on how it was split into fills."""
    leg = the_plan().legs[0]
    fills = [fill(leg, Decimal(part) / 1000, trade_id=str(i)) for i, part in enumerate(parts)]
    whole = fill(leg, Decimal(sum(parts)) / 1000)
    assert received(leg, result(leg, 1, *fills)) == received(leg, result(leg, 1, whole))


@given(st.integers(0, 1_000_000))
def test_next_leg_never_spends_more_than_was_received(units):
    """I10: whatever leg 1 brought, leg 2 is a multiple of its step, above its minimum, and within it."""
    plan = the_plan()
    amount = Decimal(units) / 100_000
    results = [result(plan.legs[0], "10", *((fill(plan.legs[0], amount),) if amount else ()))]
    step = next_step(plan, results)
    if isinstance(step, Trade):
        leg = plan.legs[1]
        assert step.amount % leg.market.amount_step == 0
        assert step.amount >= leg.market.min_amount
        assert step.amount * leg.limit_price <= received(plan.legs[0], results[0])
    else:
        assert step.outcome in (Outcome.NOTHING, Outcome.SHORT)


def test_last_leg_that_falls_short_is_short():
    """A last leg that fills in part leaves a residue, and the outcome says so."""
    plan = the_plan()
    results = [result(leg, leg.amount, fill(leg, leg.amount)) for leg in plan.legs[:2]]
    last = plan.legs[2]
    step = next_step(plan, [*results, result(last, last.amount, fill(last, last.amount / 2))])
    assert step == Finish(Outcome.SHORT, step.reason)
    assert step.reason.code == "leg.short"


def test_maximum_caps_the_next_leg():
    """More than a market takes is not ordered; the rest is a residue."""
    plan = the_plan()
    tight = attrs.evolve(
        plan.legs[1], market=attrs.evolve(plan.legs[1].market, max_amount=Decimal(1))
    )
    plan = attrs.evolve(plan, legs=(plan.legs[0], tight, plan.legs[2]))
    assert next_step(plan, [result(plan.legs[0], 1, fill(plan.legs[0], Decimal(1)))]) == Trade(
        1, Decimal(1)
    )


@given(st.integers(1, 10**9), st.integers(1, 8), st.integers(0, 9))
def test_client_ids_differ_and_fit_every_venue(number, leg, attempt):
    """A15: an id is letters and digits, short enough everywhere, and tells its execution, leg and attempt apart."""
    made = client_id("0" * 8, number, leg, attempt)
    assert len(made) <= MAX_LENGTH
    assert made.isalnum()
    assert made != client_id("0" * 8, number, leg, attempt + 1)
    assert made != client_id("0" * 8, number + 1, leg, attempt)


@pytest.mark.parametrize("epoch", ["", "ABC", "a b c", "x" * 13, "abc"])
def test_a_bad_epoch_is_refused(epoch):
    """An epoch that ids cannot be made of is one clear error."""
    with pytest.raises(UsageError, match="epoch"):
        check_epoch(epoch)


def test_a_new_epoch_is_fresh_and_fits():
    """Random epochs pass their own check and do not repeat."""
    made = {check_epoch(new_epoch()) for _ in range(20)}
    assert len(made) == 20


def altered(**changes):
    """An accepted answer whose state says something that cannot be."""

    def answer(order):
        good = filled()(order)
        return attrs.evolve(good, state=attrs.evolve(good.state, **changes))

    return answer


def misfilled(**changes):
    """An accepted answer whose only fill is altered."""

    def answer(order):
        good = filled()(order)
        told = attrs.evolve(good.state.fills[0], **changes)
        return attrs.evolve(good, state=attrs.evolve(good.state, fills=(told,)))

    return answer


D = Decimal
LIES = {
    "another order's state": altered(client_id="somebody"),
    "another market's state": altered(symbol="ETH/USDT"),
    "another amount": altered(amount=D(7)),
    "more than was ordered": altered(filled=D(9)),
    "filled with nothing": altered(filled=D(0), fills=()),
    "a float": altered(filled=0.5),
    "no fills at all": altered(fills=None),
    "a worse price than the limit": misfilled(price=D(200)),
    "a negative fill": misfilled(amount=D(-1)),
    "the wrong side": misfilled(side=Side.SELL),
    "another asset": misfilled(base="DOGE"),
    "a float fee": misfilled(fees={"BTC": 0.1}),
    "no state": lambda _order: "accepted",
    "nothing": lambda _order: None,
}


@pytest.mark.parametrize("name", LIES)
async def test_what_cannot_be_true_is_not_believed(name):
    """Law 6: an answer that contradicts its order proves nothing; where no look-up mends it, the execution is STUCK."""
    execution, _, _ = await run(Scripted([LIES[name]]))
    assert execution.outcome is Outcome.STUCK
    assert not any(execution.changes.values())
    mended, _, _ = await run(Scripted([LIES[name], filled(), filled()], [looked_up()]))
    assert mended.outcome is Outcome.COMPLETED


async def test_one_trade_id_for_two_fills_is_not_believed():
    """Fills are told apart by their trade ids: two of one id prove nothing."""

    def doubled(order):
        good = filled()(order)
        half = attrs.evolve(good.state.fills[0], amount=order.amount / 2)
        return attrs.evolve(good, state=attrs.evolve(good.state, fills=(half, half)))

    execution, _, _ = await run(Scripted([doubled]))
    assert execution.outcome is Outcome.STUCK


async def test_a_look_up_that_raises_anything_proves_nothing():
    """Whatever a look-up raises, the execution ends STUCK rather than open for ever."""
    unknown = Submission(UNKNOWN, reason="timeout")
    execution, _, _ = await run(Scripted([unknown], [ValueError("nonsense")] * 9))
    assert execution.outcome is Outcome.STUCK
