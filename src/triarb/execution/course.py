"""The course of one execution: leg after leg on the plan, then back by unwinding, each order proven before the next."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.exceptions import TradingRefused
from triarb.execution.context import ExecutionContext, Settings
from triarb.execution.ids import client_id
from triarb.execution.machine import LegState, begin, on
from triarb.execution.messages import Sending, Withheld
from triarb.execution.proving import prove, record, submitted
from triarb.execution.steps import Finish, next_step
from triarb.execution.unwinding import (
    DUST,
    Stranded,
    fresh_view,
    next_trade,
    off_course,
    stranded,
    without,
    worth_reading,
)
from triarb.model import (
    Answered,
    Execution,
    ExecutionEnded,
    Fill,
    Intended,
    LegDone,
    LegResult,
    Order,
    OrderBook,
    OrderOutcome,
    Outcome,
    Plan,
    PlannedLeg,
    Purpose,
    RateView,
    Refused,
    Submission,
    SubmissionStatus,
)
from triarb.money import ZERO, arithmetic

ATTEMPTS: Final = 2
"""How often a market may refuse an order, or lose it, until nothing more is tried on it."""

_ENDS: Final = frozenset({"unwind.done", *DUST})
_NOT_TAKEN: Final = (OrderOutcome.REJECTED, OrderOutcome.NEVER)


class Course:
    """One execution under way. A thin shell: what next is decided by `steps`, `unwinding` and `machine`.

    Args:
        plan: what is carried out.
        context: what it may use.
        settings: how long it may take, and how far it may go.
        started_ns: when it started.
        legs: what the plan's legs did so far, in order: each proven.
        further: what the orders beyond them did.
    """

    def __init__(
        self,
        plan: Plan,
        context: ExecutionContext,
        settings: Settings,
        started_ns: int,
        *,
        legs: Sequence[LegResult] = (),
        further: Sequence[LegResult] = (),
    ) -> None:
        self._plan = plan
        self._context = context
        self._settings = settings
        self._started_ns = started_ns
        self._legs = list(legs)
        self._further = list(further)
        self._deadline_ns = context.clock.now_ns() + round(settings.cycle_seconds * NS_PER_SECOND)
        self._stop: Finish | None = None
        self._refusal: TradingRefused | None = None

    async def run(self) -> Execution:
        """Go on to the end.

        Raises:
            LedgerError: something could not be made durable; nothing was sent after that.
            TradingRefused: the gateway does not trade at all; the execution has ended.
        """
        end = await self._on_plan()
        if end.outcome is Outcome.SHORT:
            end = await self._back(end)
        execution = await self.finish(end)
        if self._refusal is not None:
            raise self._refusal
        return execution

    async def finish(self, end: Finish) -> Execution:
        """End here."""
        execution = self._execution(end)
        await self._context.ledger.append(ExecutionEnded(execution.ended_ns, execution))
        return execution

    # On the plan

    async def _on_plan(self) -> Finish:
        while self._stop is None:
            now = self._stranded()
            done = len(self._legs)
            ahead = self._plan.legs[done] if done < len(self._plan.legs) else None
            held = now.held(ahead.given_asset) if done and ahead else None
            step = next_step(self._plan, self._legs, held)
            if isinstance(step, Finish):
                return step
            leg = self._plan.legs[step.leg]
            if step.leg:
                refused = self._late() or await self._off_course(step.leg, step.amount, now)
                if refused is not None:
                    return Finish(Outcome.SHORT, refused)
            purpose = Purpose.CLOSE if step.leg else Purpose.OPEN
            self._legs.append(await self._send(leg, step.amount, step.leg + 1, 0, purpose))
        return self._stop

    async def _off_course(self, number: int, amount: Decimal, now: Stranded) -> Refused | None:
        books, view = await self._market(now, widely=False)
        policy = self._settings.unwinding
        return off_course(self._plan, number, amount, now, books=books, view=view, policy=policy)

    # Off the plan

    async def _back(self, end: Finish) -> Finish:
        """Turn what is stranded back, trade by trade, as far as budget, time and the gate allow."""
        policy = self._settings.unwinding
        if self._refused_by():  # perhaps its balances lag behind our fills
            await self._context.clock.sleep(self._settings.retry_seconds)
        while self._stop is None:
            now = self._stranded()
            if len(self._further) >= policy.max_orders or self._late() is not None:
                return end
            books, view = await self._market(now, widely=True)
            trade = next_trade(self._plan, now, books, without(view, self._given_up()), policy)
            if isinstance(trade, PlannedLeg):
                number = len(self._plan.legs) + len(self._further) + 1
                result = await self._send(trade, trade.amount, number, 0, Purpose.UNWIND)
                self._further.append(result)
                if result.filled:
                    continue
            elif trade.code == "unwind.hold":
                return Finish(end.outcome, end.reason)
            elif trade.code in _ENDS and view.markets.keys() <= books.keys():
                turned = any(result.filled for result in self._further)
                return Finish(Outcome.UNWOUND if turned else end.outcome, end.reason)
            await self._context.clock.sleep(self._settings.retry_seconds)
        return self._stop

    def _refused_by(self) -> list[str]:
        """The markets that took no order of this execution, each as often as it took none."""
        orders = (*self._legs, *self._further)
        return [result.order.symbol for result in orders if result.outcome in _NOT_TAKEN]

    def _given_up(self) -> set[str]:
        """The markets that nothing more is tried on."""
        return {s for s, times in Counter(self._refused_by()).items() if times >= ATTEMPTS}

    # Reading

    def _stranded(self) -> Stranded:
        return stranded(self._plan.start, self._fills())

    def _fills(self) -> list[Fill]:
        return [fill for result in (*self._legs, *self._further) for fill in result.fills]

    async def _market(
        self, now: Stranded, *, widely: bool
    ) -> tuple[dict[str, OrderBook], RateView]:
        """The books that tell the ways back, as far as they can be read now, and their markets."""
        rates = self._context.rates
        symbols = worth_reading(self._plan, rates, now, widely=widely)
        answers = await asyncio.gather(*map(self._book, symbols))
        books = {s: b for s, b in zip(symbols, answers, strict=True) if b is not None}
        return books, fresh_view(self._plan, rates, symbols)

    async def _book(self, symbol: str) -> OrderBook | None:
        try:
            book: object = await self._context.order_book(symbol)
        except Exception:  # noqa: BLE001 - a book that cannot be read is none, whatever the reason
            return None
        return book if isinstance(book, OrderBook) and book.symbol == symbol else None

    def _late(self) -> Refused | None:
        if self._context.clock.now_ns() < self._deadline_ns:
            return None
        return Refused(
            "cycle.late",
            f"it has taken {self._settings.cycle_seconds} s",
            {"seconds": self._settings.cycle_seconds},
        )

    # Sending

    async def _send(
        self, leg: PlannedLeg, amount: Decimal, number: int, attempt: int, purpose: Purpose
    ) -> LegResult:
        """Intend an order, send it once, and prove what became of it."""
        context = self._context
        gateway, ledger, clock = context.gateway, context.ledger, context.clock
        order = Order(
            client_id(context.epoch, context.number, number, attempt),
            leg.market.symbol,
            leg.side,
            amount,
            leg.limit_price,
            leg.time_in_force,
        )
        sent_ns = clock.now_ns()
        await ledger.append(Intended(sent_ns, context.number, number, order, attempt, purpose))
        state = begin(order, leg.market, self._settings.rules(gateway))
        closed = self._gate(order, purpose)
        if closed is None:
            state = on(state, Sending(), clock.now_ns())
            state = await self._sent(state)
        else:
            state = on(state, Withheld(str(closed)), clock.now_ns())
            self._stop = Finish(Outcome.SHORT if self._legs else Outcome.NOTHING, closed)
        await record(state, context.number, ledger, clock)
        if state.outcome is None:
            self._stop = Finish(Outcome.STUCK, unproven(state))
        result = LegResult(
            order, state.fills, sent_ns, clock.now_ns(), state.why_not, state.outcome
        )
        context.emit(LegDone(result.done_ns, context.number, number, result))
        return result

    def _gate(self, order: Order, purpose: Purpose) -> Refused | None:
        """The last word before the order's first byte; whoever was suspended since the decision does not open on it."""
        age_ns = self._context.clock.now_ns() - self._plan.decided_ns
        if purpose is Purpose.OPEN and age_ns > self._settings.decision_seconds * NS_PER_SECOND:
            age_ms = age_ns // NS_PER_MS
            return Refused("leg.late", f"it was decided {age_ms} ms ago", {"age_ms": age_ms})
        try:
            return self._context.gate(order, purpose)
        except Exception as error:  # noqa: BLE001 - a check that breaks lets nothing pass
            return Refused("gate.broken", f"the gate raised {type(error).__name__}: {error}")

    async def _sent(self, state: LegState) -> LegState:
        context = self._context
        try:
            answer = await submitted(state, context.gateway)
        except TradingRefused as error:
            self._refusal = error
            answer = Submission(SubmissionStatus.REJECTED, reason=str(error))
            self._stop = Finish(
                Outcome.SHORT if self._legs else Outcome.NOTHING,
                Refused("leg.refused", str(error)),
            )
        now_ns, cid = context.clock.now_ns(), state.order.client_id
        state = on(state, answer, now_ns)
        await context.ledger.append(
            Answered(now_ns, context.number, cid, answer.status, answer.reason)
        )
        return await prove(state, context.gateway, context.ledger, context.clock)

    # Ending

    def _execution(self, end: Finish) -> Execution:
        changes = {self._plan.start: ZERO}
        fees: dict[str, Decimal] = {}
        with arithmetic():
            for fill in self._fills():
                for asset, change in fill.changes().items():
                    changes[asset] = changes.get(asset, ZERO) + change
                for asset, fee in fill.fees.items():
                    fees[asset] = fees.get(asset, ZERO) + fee
        return Execution(
            self._context.number,
            self._plan,
            tuple(self._legs),
            end.outcome,
            changes,
            fees,
            self._started_ns,
            self._context.clock.now_ns(),
            end.reason,
            tuple(self._further),
        )


def unproven(state: LegState) -> Refused:
    """Why an execution is stuck."""
    order = state.order
    return Refused(
        "leg.unproven",
        f"what became of {order.client_id} on {order.symbol} is not proven: {state.reason}",
        {"client_id": order.client_id, "symbol": order.symbol},
    )
