"""Engine: five injected parts and a loop."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext, suppress
from decimal import Decimal
from typing import Self

import attrs

from triarb.clock import NS_PER_SECOND, Clock, SystemClock
from triarb.engine.checking import check_parts
from triarb.engine.feed import Feed
from triarb.engine.finishing import alarm, to_the_end
from triarb.engine.gate import Gate
from triarb.engine.judging import Judge, no_room
from triarb.engine.observers import Observer, Observers
from triarb.engine.opening import lift, own_ledger, settle, unsettled
from triarb.engine.sweeping import Sweep, left_overs, sweep_plan, way_back
from triarb.engine.tally import Tally, check_end
from triarb.engine.watching import Watch
from triarb.exceptions import LedgerError, UsageError
from triarb.execution import ExecutionContext, Executor, Recovery, SequentialExecutor
from triarb.execution.claims import Claim
from triarb.execution.executor import settings_of
from triarb.execution.ids import check_epoch, new_epoch
from triarb.finders import BoundedCycleFinder
from triarb.finders.finder import CycleFinder
from triarb.gateways.gateway import ExchangeGateway
from triarb.ledger import Ledger, SqlLedger
from triarb.model import (
    Executed,
    Execution,
    ExecutionEnded,
    Halted,
    LedgerEvent,
    Opportunity,
    Plan,
    Refused,
)
from triarb.report import Report
from triarb.risk import RiskPolicy
from triarb.sizing import DepthSizer, Sizer


class Engine:
    """Runs the path: quotes, nominations, fresh books, risk, sizing, execution, ledger.

    Use it as an async context manager, or let `run` open and close it. The gateway is yours: open it first.

    Args:
        gateway: market data and trading; an async context manager that is already entered.
        risk: who may say no. There is no default.
        finder: what nominates; by default all profitable triangles through the start assets.
        sizer: how much; by default the size of most profit through the whole depth of the books.
        executor: by default leg after leg.
        ledger: by default the one of this exchange and mode in the user's data folder; a replay's is in memory.
        clock: by default the gateway's.
        start: assets that cycles may begin in, the preferred first; by default whatever the ledger holds.
        observers: told every event (see `triarb.model.event`); can neither block nor break trading.
        interval_seconds: the least time between two steps; 0 acts on every batch of quotes.
        epoch: what client ids derive from; random unless given. Never give one twice to one exchange account.
        freeze: whether a halt also forbids orders that bring back what a cycle under way is stranded with.
        claim: the most of each asset that a new ledger opens with, such as ``{"USDT": "500"}``, and nothing of others; the
            rest of the account is somebody else's. None takes all that is free.
        foreign_prefixes: how the client ids of others' open orders begin; any other one halts. None leaves all alone that
            are not of another triarb.
        watch_seconds: how often balances and open orders are looked at between executions.

    Attributes:
        recovery: what was found and done when it was opened; None before.
    """

    def __init__(
        self,
        gateway: ExchangeGateway,
        *,
        risk: RiskPolicy,
        finder: CycleFinder | None = None,
        sizer: Sizer | None = None,
        executor: Executor | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        start: Collection[str] = (),
        observers: Collection[Observer] = (),
        interval_seconds: float = 0.0,
        epoch: str | None = None,
        freeze: bool = False,
        claim: Mapping[str, str | Decimal] | None = None,
        foreign_prefixes: Collection[str] | None = None,
        watch_seconds: float = 60.0,
    ) -> None:
        parts = (gateway, risk, finder, sizer, executor, ledger, clock)
        check_parts(parts, start, observers, interval_seconds, freeze=freeze)
        self.gateway = gateway
        self.risk = risk
        self.finder: CycleFinder = finder or BoundedCycleFinder(start=start)
        self.sizer: Sizer = sizer or DepthSizer()
        self.executor: Executor = executor or SequentialExecutor()
        self.clock: Clock = clock or gateway.clock
        self.start = tuple(start)
        self.recovery: Recovery | None = None
        self._ledger = ledger
        self._owned: SqlLedger | None = None
        self._opened = False
        self._observers = Observers(tuple(observers))
        self._interval_seconds = interval_seconds
        self._epoch = check_epoch(epoch) if epoch is not None else new_epoch()
        self._feed: Feed | None = None
        self._stop = asyncio.Event()
        self._ended = False
        self._gate = Gate(freeze=freeze)
        self._tally = Tally()
        self._watch = Watch(Claim.of(claim, foreign_prefixes), watch_seconds)

    async def __aenter__(self) -> Self:
        if self._ledger is None:
            self._ledger = self._owned = await own_ledger(self.gateway).__aenter__()
        try:
            path = self._ledger.path if isinstance(self._ledger, SqlLedger) else None
            self._gate.belongs_to(self._ledger, path)
            with self._gate.halting_if_unwritten():
                self.recovery = await settle(
                    self._ledger,
                    self.gateway,
                    self.clock,
                    self._epoch,
                    settings=settings_of(self.executor),
                    gate=self._gate.ask,
                    emit=self._observers.emit,
                    claim=self._watch.claim,
                    outgoing=self._gate.outgoing,
                    unwritten=self._gate.unwritten,
                )
            self._watch.looked(self.clock.now_ns())
            await self._journal_halt()  # one from before it was open
        except BaseException:
            await self.__aexit__()
            raise
        self._observers.start()
        self._opened = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._opened = False
        await self._observers.close()
        self._gate.leave()
        if self._owned is not None:
            await self._owned.__aexit__(None, None, None)
            self._ledger = self._owned = None

    @property
    def ledger(self) -> Ledger:
        """The ledger in use.

        Raises:
            UsageError: the engine is not open.
        """
        if self._ledger is None:
            raise UsageError("the engine is not open", hint="use `async with engine:` or `run`")
        return self._ledger

    async def halt(self, reason: str) -> None:
        """Take no new exposure until `resume`, this run or any later one on this ledger.

        Acts at once. When it returns it is durable (an engine that is not open yet writes it when it opens), and no order
        that it forbids is on its way any more: one that had passed the gate before has been answered, or has failed.

        Raises:
            LedgerError: it could not be made durable in the latch's file or in the ledger; it holds nevertheless.
        """
        await self._gate.shut(reason)
        if self._opened:
            await self._journal_halt()

    async def resume(self, by: str) -> None:
        """Lift a halt, by hand: say who.

        Raises:
            UsageError: an execution has no proven end; a person must look at it first.
        """
        unproven = unsettled(self.ledger.portfolio())
        if unproven is not None:
            raise UsageError(unproven.sentence, hint="settle its order at the exchange first")
        await lift(self.ledger, self._gate.latch, by, self.clock.now_ns())

    async def sweep(self, to: str, *, carry_out: bool = False) -> Sweep:
        """Plan how what executions left in other assets comes back into `to`, one execution each; trade it if asked to.

        Each is planned on books that are read for it, also when it is carried out. Nothing is traded where no cycle could
        be begun.

        Raises:
            LedgerError: the ledger failed; no order was sent after that.
            GatewayError: the exchange did not answer, or refuses to trade.
        """
        found = Sweep(to)
        if self._feed is None and not await self._advance():
            return found
        for asset, amount in left_overs(self.ledger.portfolio(), to).items():
            route = await way_back(self._market, self.gateway, asset, amount, to)
            blocked = self._blocked() if carry_out else None
            if isinstance(route, Refused):
                found = attrs.evolve(found, stays={**found.stays, asset: route})
                continue
            found = attrs.evolve(found, routes=(*found.routes, route), refused=blocked)
            if carry_out and blocked is None:
                plan = sweep_plan(route, self.clock.now_ns())
                done = await self._execute(plan, SequentialExecutor())
                found = attrs.evolve(found, executions=(*found.executions, done))
        return found

    def stop(self) -> None:
        """End `run` after the execution that is under way, if one is; before `run`, it ends at once."""
        self._stop.set()

    async def scan_once(self) -> list[Opportunity | Refused]:
        """Take the next quotes and say what becomes of the best nominations on fresh books; trades nothing.

        Empty at the end of the feed, and where nothing is nominated.
        """
        if not await self._advance():
            return []
        judge = self._judge()
        answers: list[Opportunity | Refused] = []
        for cycle in judge.nominated():
            found = await judge.confirm(cycle)
            if isinstance(found, Refused):
                judge.declined(cycle, found)
                answers.append(found)
            else:
                answers.extend(found)
        return answers

    async def step(self) -> Execution | None:
        """Take the next quotes, and carry out the first of the best nominations that gets a plan, if one does.

        Carries out nothing after a halt, and while an execution on this ledger has no proven end.
        """
        await self._watch.look(self.ledger, self.gateway, self.clock, emit=self._observers.emit)
        if not await self._advance():
            return None
        judge = self._judge()
        for cycle in judge.nominated():
            plan = self._blocked() or await judge.decide(cycle)
            if isinstance(plan, Refused):
                judge.declined(cycle, plan)
            elif (full := no_room(plan, self.executor, self.gateway, self.ledger)) is not None:
                judge.declined(cycle, full)
            else:
                return await self._execute(plan)
        return None

    async def run(
        self,
        *,
        seconds: float | None = None,
        cycles: int | None = None,
        until: Callable[[], bool] | None = None,
    ) -> Report:
        """Step until the feed ends, `seconds` of the clock or `cycles` executions are over, or `until()` says so.

        Also ends after `stop`, at a halt, and where an execution is stuck; the report's `state` tells.

        Raises:
            PolicyViolation: a plug-in broke its contract; no order was sent for it.
            LedgerError: the ledger failed; no order was sent after that.
            GatewayError: the exchange did not answer, or refuses to trade.
        """
        if not self._opened:
            async with self:
                return await self.run(seconds=seconds, cycles=cycles, until=until)
        check_end(seconds, cycles)
        began_ns = self.clock.now_ns()
        self._tally = Tally()
        done: list[LedgerEvent] = []
        failed = False
        try:
            while not self._over(began_ns, seconds, cycles, until, len(done)):
                execution = await self._within(seconds, began_ns)
                if execution is not None:
                    done.append(ExecutionEnded(execution.ended_ns, execution))
                if self._ended:
                    break
                if self._interval_seconds:
                    await self.clock.sleep(self._interval_seconds)
        except LedgerError:
            failed = True
            raise
        finally:
            self._stop.clear()  # only now: a stop that came before the first step counts
            after_all = suppress(LedgerError) if failed else nullcontext()  # its first word counts
            with after_all:
                await self._journal_halt()  # one that came by the latch's file
            ended = self._tally.ended(began_ns, self.clock.now_ns(), self.gateway)
            self._observers.emit(ended)
            with after_all:
                await self.ledger.append(ended)
        portfolio = self.ledger.portfolio()
        halted = self._gate.halted
        halt = [Halted(ended.at_ns, halted)] if halted is not None else []
        report = Report.of([*done, *halt, ended])
        return attrs.evolve(report, unfinished=(*portfolio.stuck, *portfolio.open))

    def _over(
        self,
        began_ns: int,
        seconds: float | None,
        cycles: int | None,
        until: Callable[[], bool] | None,
        executed: int,
    ) -> bool:
        late = seconds is not None and self.clock.now_ns() - began_ns >= seconds * NS_PER_SECOND
        enough = cycles is not None and executed >= cycles
        ended = late or enough or self._blocked() is not None or self._stop.is_set()
        return ended or (until is not None and until())

    async def _within(self, seconds: float | None, began_ns: int) -> Execution | None:
        """One step; where a real clock runs, silence of the feed does not outlast the run."""
        if seconds is None or not isinstance(self.clock, SystemClock):
            return await self.step()
        left = seconds - (self.clock.now_ns() - began_ns) / NS_PER_SECOND
        with alarm(left, self._stop.set):
            return await self.step()

    async def _advance(self) -> bool:
        """Wait for the next quotes and take them in; False when there are no more, or the engine is to stop."""
        if self._feed is None:
            self._feed = await Feed.open(self.gateway)
        changes = await self._feed.advance(self._stop)
        if changes is None:
            self._ended = True
            return False
        self._tally.counts["batches"] += 1
        self._tally.counts["quotes"] += changes
        return True

    async def _execute(self, plan: Plan, executor: Executor | None = None) -> Execution:
        # A cancelled engine does not leave a cycle between two legs.
        work = (executor or self.executor).execute(plan, self._context())
        with self._gate.halting_if_unwritten():
            execution, cancelled = await to_the_end(work, self.stop)
        self._market.learn(execution)
        self._observers.emit(Executed(execution.ended_ns, execution))
        if cancelled:
            raise asyncio.CancelledError
        return execution

    def _context(self) -> ExecutionContext:
        return ExecutionContext(
            gateway=self.gateway,
            order_book=self.gateway.order_book,
            rates=self._market.rates.view(),
            ledger=self.ledger,
            clock=self.clock,
            gate=self._gate.ask,
            emit=self._observers.emit,
            epoch=self._epoch,
            number=self.ledger.portfolio().started + 1,
            outgoing=self._gate.outgoing,
            unwritten=self._gate.unwritten,
            markets=self._market.reread,
        )

    async def _journal_halt(self) -> None:
        """Write a halt that the ledger does not know yet."""
        reason = self._gate.latch.reason
        if reason is not None and self.ledger.portfolio().halted is None:
            event = Halted(self.clock.now_ns(), reason)
            await self.ledger.append(event)
            self._observers.emit(event)

    def _blocked(self) -> Refused | None:
        """Why no cycle may be begun now; None if one may."""
        halted = self._gate.halted
        if halted is not None:
            return Refused("engine.halted", f"halted: {halted}")
        return unsettled(self.ledger.portfolio())

    def _judge(self) -> Judge:
        return Judge(
            self._market,
            self.ledger,
            self.clock,
            self.finder,
            self.risk,
            self.sizer,
            self.start,
            self._tally,
            self._observers.emit,
        )

    @property
    def _market(self) -> Feed:
        if self._feed is None:
            raise UsageError("there are no rates yet", hint="step first")
        return self._feed
