"""The course of one execution, whatever the order of its legs: sending, reading, turning back, ending.

A thin shell: what next is decided by `steps`, `unwinding`, `rebalancing` and `machine`.
"""

import asyncio
import logging
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import TradingRefused
from triarb.execution.context import ExecutionContext, Settings
from triarb.execution.ids import client_id
from triarb.execution.keeping import Record
from triarb.execution.machine import LegState, begin, on
from triarb.execution.messages import Sending, Withheld
from triarb.execution.proving import learned, prove
from triarb.execution.steps import Finish
from triarb.execution.unwinding import DUST, Stranded, fresh_view, without, worth_reading
from triarb.market.books import is_sound
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

_log = logging.getLogger("triarb.execution")

ATTEMPTS: Final = 2
"""How often a market may refuse an order, or lose it, until nothing more is tried on it."""

_ENDS: Final = frozenset({"unwind.done", *DUST})
_NOT_TAKEN: Final = (OrderOutcome.REJECTED, OrderOutcome.NEVER)


@attrs.frozen
class Sent:
    """One order of an execution, and what it did.

    Attributes:
        leg: the plan's leg, counted from 1; unwinding counts on from the last.
        attempt: 0, or which sending of the leg's rest it is.
    """

    leg: int
    attempt: int
    result: LegResult


@attrs.frozen
class Ready:
    """An order that may be sent once its intent is durable."""

    intended: Intended
    state: LegState
    until_ns: int


class Course:
    """One execution under way.

    Args:
        plan: what is carried out.
        context: what it may use.
        settings: how long it may take, and how far it may go.
        started_ns: when it started.
        sent: its orders so far, in the order in which they were intended: each proven.
    """

    def __init__(
        self,
        plan: Plan,
        context: ExecutionContext,
        settings: Settings,
        started_ns: int,
        *,
        sent: Sequence[Sent] = (),
    ) -> None:
        self._plan = plan
        self._context = context
        self._settings = settings
        self._started_ns = started_ns
        self._sent = list(sent)
        self._record = Record(context.ledger, context.clock, context.unwritten)
        self._deadline_ns = context.clock.now_ns() + round(settings.cycle_seconds * NS_PER_SECOND)
        self._read_ns = plan.decided_ns
        self._stop: Finish | None = None
        self._refusal: TradingRefused | None = None
        self._rates = context.rates
        self._heeded = 0

    async def run(self) -> Execution:
        """Go on to the end.

        Raises:
            LedgerError: something could not be made durable; nothing was sent after that.
            TradingRefused: the gateway does not trade at all; the execution has ended.
        """
        try:
            execution = await self.finish(await self._end())
        except Exception:
            await self._record.settled()
            raise
        if self._refusal is not None:
            raise self._refusal
        return execution

    async def finish(self, end: Finish) -> Execution:
        """End here."""
        execution = self._execution(end)
        self._record.learn(ExecutionEnded(execution.ended_ns, execution))
        await self._record.durable()
        return execution

    @abstractmethod
    async def _end(self) -> Finish:
        """Carry out what is left, and say how it ended."""

    # Where it stands

    @property
    def _legs(self) -> tuple[LegResult, ...]:
        """What the plan's legs did, in their order."""
        legs = [one for one in self._sent if one.leg <= len(self._plan.legs) and not one.attempt]
        return tuple(one.result for one in sorted(legs, key=lambda one: one.leg))

    @property
    def _further(self) -> tuple[LegResult, ...]:
        """What the orders beyond them did, in their order."""
        last = len(self._plan.legs)
        return tuple(one.result for one in self._sent if one.leg > last or one.attempt)

    @property
    def _fills(self) -> list[Fill]:
        return [fill for one in self._sent for fill in one.result.fills]

    def _late(self) -> Refused | None:
        if self._context.clock.now_ns() < self._deadline_ns:
            return None
        return Refused(
            "cycle.late",
            f"it has taken {self._settings.cycle_seconds} s",
            {"seconds": self._settings.cycle_seconds},
        )

    # Reading

    async def _market(
        self, now: Stranded, *, widely: bool
    ) -> tuple[dict[str, OrderBook], RateView]:
        """The books that tell the ways back, as far as they can be read now, and their markets."""
        rates = self._rates
        symbols = worth_reading(self._plan, rates, now, widely=widely)
        answers = await asyncio.gather(*map(self._book, symbols))
        self._read_ns = self._context.clock.now_ns()
        books = {s: b for s, b in zip(symbols, answers, strict=True) if b is not None}
        return books, fresh_view(self._plan, rates, symbols)

    async def _book(self, symbol: str) -> OrderBook | None:
        try:
            book: object = await self._context.order_book(symbol)
        except Exception:  # noqa: BLE001 - a book that cannot be read is none, whatever the reason
            return None
        return book if is_sound(book, symbol) else None

    # Turning back

    async def _back(self, end: Finish) -> Finish:
        """Turn what is off the plan back, trade by trade, as far as budget, time and the gate allow."""
        policy = self._settings.unwinding
        if self._refused_by():  # perhaps its balances lag behind our fills
            await self._pause()
        while self._stop is None:
            turns = [one for one in self._sent if one.leg > len(self._plan.legs)]
            if len(turns) >= policy.max_orders or self._late() is not None:
                return end
            books, view = await self._market(self._off_plan(), widely=True)
            trade = self._turn(books, without(view, self._given_up()))
            if isinstance(trade, PlannedLeg):
                number = len(self._plan.legs) + len(turns) + 1
                if (await self._trade(trade, trade.amount, number, Purpose.UNWIND)).filled:
                    continue
            elif trade.code == "unwind.hold":
                return Finish(end.outcome, end.reason)
            elif trade.code in _ENDS and view.markets.keys() <= books.keys():
                turned = any(one.result.filled for one in turns)
                return Finish(Outcome.UNWOUND if turned else end.outcome, end.reason)
            await self._pause()
        return self._stop

    async def _pause(self) -> None:
        """Wait for a while; where another order was not taken, read the markets again meanwhile: they may have changed."""
        waiting = self._context.clock.sleep(self._settings.retry_seconds)
        refused = len(self._refused_by())
        if refused == self._heeded:
            await waiting
            return
        self._heeded = refused
        await asyncio.gather(waiting, self._reread())

    async def _reread(self) -> None:
        if self._context.markets is None:
            return
        try:
            markets = {**await self._context.markets()}
        except Exception as error:  # noqa: BLE001 - nothing may end a cycle that holds a coin
            name = type(error).__name__
            _log.warning("markets were not read again, their rules stay as they were: %s", name)
            return
        gone = {s: attrs.evolve(m, active=False) for s, m in self._rates.markets.items()}
        self._rates = attrs.evolve(self._rates, markets={**gone, **markets})

    @abstractmethod
    def _off_plan(self) -> Stranded:
        """What is to be turned back."""

    @abstractmethod
    def _turn(self, books: Mapping[str, OrderBook], view: RateView) -> PlannedLeg | Refused:
        """The next trade that turns some of it back, or why there is none."""

    def _refused_by(self) -> list[str]:
        """The markets that took no order of this execution, each as often as it took none; a leg's rest does not count."""
        orders = [one.result for one in self._sent if not one.attempt]
        return [result.order.symbol for result in orders if result.outcome in _NOT_TAKEN]

    def _given_up(self) -> set[str]:
        """The markets that nothing more is tried on."""
        return {s for s, times in Counter(self._refused_by()).items() if times >= ATTEMPTS}

    # Sending

    async def _trade(
        self, leg: PlannedLeg, amount: Decimal, number: int, purpose: Purpose, attempt: int = 0
    ) -> LegResult:
        """Intend an order, send it once, and prove what became of it."""
        ready = self._ready(leg, amount, number, purpose, attempt)
        await self._record.intend(ready.intended)
        sent = await self._carry_out(ready)
        self._sent.append(sent)
        return sent.result

    def _ready(
        self, leg: PlannedLeg, amount: Decimal, number: int, purpose: Purpose, attempt: int = 0
    ) -> Ready:
        context = self._context
        order = Order(
            client_id(context.epoch, context.number, number, attempt),
            leg.market.symbol,
            leg.side,
            amount,
            leg.limit_price,
            leg.time_in_force,
        )
        intended = Intended(context.clock.now_ns(), context.number, number, order, attempt, purpose)
        state = begin(order, leg.market, self._settings.rules(context.gateway))
        return Ready(intended, state, self._settings.leaves_by(self._read_ns))

    async def _carry_out(self, ready: Ready, withheld: Refused | None = None) -> Sent:
        """Send an order that is intended, unless it is `withheld`, and journal what became of it."""
        context, clock, intended = self._context, self._context.clock, ready.intended
        leaving = on(ready.state, Sending(), clock.now_ns())
        answer = withheld or await self._answer(ready)
        now_ns = clock.now_ns()
        said: tuple[Answered, ...] = ()
        if isinstance(answer, Refused):
            state = on(ready.state, Withheld(str(answer)), now_ns)
        else:
            state = on(leaving, answer, now_ns)
            cid = intended.order.client_id
            said = (Answered(now_ns, context.number, cid, answer.status, answer.reason),)
            if state.end is None:  # to prove it may take long
                self._record.learn(*said)
                state = await prove(state, context.gateway, context.ledger, clock)
                said = ()
        self._record.learn(*said, *learned(state, context.number, clock.now_ns()))
        if state.outcome is None:
            self._stop = Finish(Outcome.STUCK, unproven(state))
        result = LegResult(
            intended.order,
            state.fills,
            intended.at_ns,
            clock.now_ns(),
            state.why_not,
            state.outcome,
        )
        context.emit(LegDone(result.done_ns, context.number, intended.leg, result))
        return Sent(intended.leg, intended.attempt, result)

    async def _answer(self, ready: Ready) -> Submission | Refused:
        order, purpose = ready.intended.order, ready.intended.purpose
        try:
            answer = await self._context.send(order, purpose, ready.until_ns)
        except TradingRefused as error:
            self._refusal = error
            self._ends_short(Refused("leg.refused", str(error)))
            return Submission(SubmissionStatus.REJECTED, reason=str(error))
        if isinstance(answer, Refused) and answer.code != "leg.late":
            self._ends_short(answer)
        return answer

    def _ends_short(self, why: Refused) -> None:
        """Send nothing more; an order that could not be proven says more than this."""
        if self._stop is None or self._stop.outcome is not Outcome.STUCK:
            began = any(one.result.filled for one in self._sent)
            self._stop = Finish(Outcome.SHORT if began else Outcome.NOTHING, why)

    # Ending

    def _execution(self, end: Finish) -> Execution:
        changes = {self._plan.start: ZERO}
        fees: dict[str, Decimal] = {}
        with arithmetic():
            for fill in self._fills:
                for asset, change in fill.changes().items():
                    changes[asset] = changes.get(asset, ZERO) + change
                for asset, fee in fill.fees.items():
                    fees[asset] = fees.get(asset, ZERO) + fee
        return Execution(
            self._context.number,
            self._plan,
            self._legs,
            end.outcome,
            changes,
            fees,
            self._started_ns,
            self._context.clock.now_ns(),
            end.reason,
            self._further,
        )


def unproven(state: LegState) -> Refused:
    """Why an execution is stuck."""
    order = state.order
    return Refused(
        "leg.unproven",
        f"what became of {order.client_id} on {order.symbol} is not proven: {state.reason}",
        {"client_id": order.client_id, "symbol": order.symbol},
    )
