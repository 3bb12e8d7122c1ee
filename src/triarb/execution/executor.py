"""Executor: carries out a plan, and knows at every moment what is proven and what is not."""

from abc import abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

import attrs

from triarb.clock import Clock
from triarb.exceptions import TradingRefused
from triarb.execution.ids import client_id
from triarb.execution.proof import contradiction
from triarb.execution.steps import Finish, next_step
from triarb.gateways.gateway import Trading
from triarb.ledger import Ledger
from triarb.model import (
    Answered,
    EngineEvent,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Filled,
    Intended,
    LegDone,
    LegResult,
    Market,
    NotFound,
    Order,
    OrderState,
    Outcome,
    Plan,
    RateView,
    Refused,
    Submission,
    SubmissionStatus,
)
from triarb.money import ZERO, arithmetic

LOOK_UPS: Final = 5
LOOK_UP_SECONDS: Final = 0.2


@attrs.frozen
class ExecutionContext:
    """What an executor may use, and nothing else.

    Attributes:
        gateway: where orders go.
        rates: the whole market as it stood when the plan was made.
        ledger: every intent is appended, and durable, before its order is sent.
        clock: the only clock.
        gate: asked right before each order is sent, with no wait in between; a refusal means that it is not sent.
        emit: tells the observers.
        epoch: the engine's, for client ids.
        number: the execution's.
    """

    gateway: Trading
    rates: RateView
    ledger: Ledger
    clock: Clock
    gate: Callable[[Order], Refused | None]
    emit: Callable[[EngineEvent], None]
    epoch: str
    number: int


class Executor(Protocol):
    """Carries out a plan.

    Every order has a durable intent before it is sent, and is sent at most once. It never raises for what the market
    or the exchange does: the execution says what happened. `triarb.testing.check_executor` tests an implementation.
    """

    __slots__ = ()

    @abstractmethod
    async def execute(self, plan: Plan, context: ExecutionContext, /) -> Execution:
        """Carry out `plan` as far as it goes.

        Raises:
            LedgerError: an intent could not be made durable; nothing was sent after that.
            TradingRefused: the gateway does not trade there at all; nothing was sent.
        """
        ...


class SequentialExecutor(Executor):
    """Leg after leg, each a bounded limit order at the plan's price, sized from what the leg before really brought.

    A leg that falls short ends the execution with its residue on record. An order whose outcome cannot be proven by
    its answer or by looking it up ends it as STUCK.
    """

    __slots__ = ()

    async def execute(self, plan: Plan, context: ExecutionContext, /) -> Execution:
        """Carry out `plan`, one leg at a time."""
        started_ns = context.clock.now_ns()
        await context.ledger.append(ExecutionStarted(started_ns, context.number, plan))
        results: list[LegResult] = []
        refusal: TradingRefused | None = None
        while not isinstance(step := next_step(plan, results), Finish):
            leg = plan.legs[step.leg]
            order = Order(
                client_id(context.epoch, context.number, step.leg + 1),
                leg.market.symbol,
                leg.side,
                step.amount,
                leg.limit_price,
                leg.time_in_force,
            )
            sent_ns = context.clock.now_ns()
            await context.ledger.append(Intended(sent_ns, context.number, step.leg + 1, order))
            closed = context.gate(order)
            if closed is not None:
                await _answered(context, order, SubmissionStatus.REJECTED, str(closed))
                step = Finish(Outcome.SHORT if results else Outcome.NOTHING, closed)
                break
            try:
                submission = await _submit(order, context)
            except TradingRefused as error:
                refusal = error
                submission = Submission(SubmissionStatus.REJECTED, reason=str(error))
            state = await _prove(order, leg.market, submission, context)
            fills = state.fills if state is not None else ()
            for fill in fills:
                await context.ledger.append(Filled(context.clock.now_ns(), context.number, fill))
            result = LegResult(order, fills, sent_ns, context.clock.now_ns(), submission.reason)
            results.append(result)
            context.emit(LegDone(result.done_ns, context.number, step.leg + 1, result))
            if state is None and submission.status is not SubmissionStatus.REJECTED:
                step = Finish(
                    Outcome.STUCK,
                    Refused(
                        "leg.unproven",
                        f"what became of {order.client_id} on {order.symbol} is not proven: "
                        f"{submission.reason or 'it was accepted, and then not told of'}",
                        {"client_id": order.client_id, "symbol": order.symbol},
                    ),
                )
                break
        execution = _execution(plan, results, step, started_ns, context)
        await context.ledger.append(ExecutionEnded(execution.ended_ns, execution))
        if refusal is not None:
            raise refusal
        return execution


async def _submit(order: Order, context: ExecutionContext) -> Submission:
    try:
        answer: object = await context.gateway.submit(order)
    except TradingRefused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a gateway raises proves nothing about the order
        return Submission(
            SubmissionStatus.UNKNOWN, reason=f"the gateway raised {type(error).__name__}"
        )
    if isinstance(answer, Submission) and isinstance(answer.status, SubmissionStatus):
        return answer
    return Submission(
        SubmissionStatus.UNKNOWN, reason=f"the gateway answered a {type(answer).__name__}"
    )


async def _prove(
    order: Order, market: Market, submission: Submission, context: ExecutionContext
) -> OrderState | None:
    """The final state of `order` with all its fills; None where it was rejected, or is not proven."""
    await _answered(context, order, submission.status, submission.reason)
    if submission.status is SubmissionStatus.REJECTED:
        return None
    state = None
    if submission.state is not None:
        state = await _believed(submission.state, order, market, context)
    for attempt in range(LOOK_UPS + 1):
        if state is not None and state.is_complete:
            return state
        if attempt:
            await context.clock.sleep(LOOK_UP_SECONDS)
        cancels = attempt == LOOK_UPS and state is not None and not state.is_final
        ask = context.gateway.cancel if cancels else context.gateway.look_up
        try:
            answer = await ask(order.client_id, order.symbol)
        except Exception as error:  # noqa: BLE001 - nor does whatever a look-up raises
            await _answered(context, order, SubmissionStatus.UNKNOWN, str(error))
            continue
        # "Not found" proves nothing: the order may still arrive, or the read may lag.
        if not isinstance(answer, NotFound):
            state = await _believed(answer, order, market, context)
    return state if state is not None and state.is_complete else None


async def _believed(
    state: OrderState, order: Order, market: Market, context: ExecutionContext
) -> OrderState | None:
    """`state` where nothing stands against it; else None, with the contradiction in the journal."""
    against = contradiction(state, order, market)
    if against is None:
        return state
    await _answered(context, order, SubmissionStatus.UNKNOWN, against)
    return None


async def _answered(
    context: ExecutionContext, order: Order, status: SubmissionStatus, reason: str
) -> None:
    now_ns = context.clock.now_ns()
    await context.ledger.append(Answered(now_ns, context.number, order.client_id, status, reason))


def _execution(
    plan: Plan,
    results: list[LegResult],
    end: Finish,
    started_ns: int,
    context: ExecutionContext,
) -> Execution:
    changes = {plan.start: ZERO}
    fees: dict[str, Decimal] = {}
    with arithmetic():
        for fill in (fill for result in results for fill in result.fills):
            for asset, change in fill.changes().items():
                changes[asset] = changes.get(asset, ZERO) + change
            for asset, fee in fill.fees.items():
                fees[asset] = fees.get(asset, ZERO) + fee
    return Execution(
        context.number,
        plan,
        tuple(results),
        end.outcome,
        changes,
        fees,
        started_ns,
        context.clock.now_ns(),
        end.reason,
    )
