"""Executor: carries out a plan, and knows at every moment what is proven and what is not."""

from abc import abstractmethod
from typing import Protocol

from triarb.execution.context import ExecutionContext as ExecutionContext, Settings
from triarb.execution.sequence import LegAfterLeg
from triarb.execution.unwinding import Unwinding
from triarb.model import Execution, ExecutionStarted, Plan


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
    """Leg after leg, each a bounded limit order at the plan's price, sized from what the legs before really brought.

    Before each leg but the first the books are read again. Where the plan no longer leads to its end, or a leg fell short,
    what is held is turned back into the start asset by the best route, within a budget for the loss. A leg that leaves
    unspent what pays for more, as its plan foresaw (`PlannedLeg.resend`), is sent once more for it. An order whose
    outcome cannot be proven ends the execution as STUCK.

    Args:
        unwinding: which way it goes back, and within what budget.
        leg_seconds: how long the outcome of an order is looked for until it counts as stuck.
        cycle_seconds: after this long no further order is sent.
        send_seconds: how old what an order was decided on may be when it leaves: the plan for the first, the books that
            were read again for the others.

    Raises:
        UsageError: a number of seconds that makes no sense.
    """

    def __init__(
        self,
        *,
        unwinding: Unwinding | None = None,
        leg_seconds: float = 15.0,
        cycle_seconds: float = 60.0,
        send_seconds: float = 1.0,
    ) -> None:
        self.settings = Settings(
            unwinding or Unwinding(), leg_seconds, cycle_seconds, send_seconds=send_seconds
        )

    async def execute(self, plan: Plan, context: ExecutionContext, /) -> Execution:
        """Carry out `plan`, one leg at a time."""
        started_ns = context.clock.now_ns()
        await context.ledger.append(ExecutionStarted(started_ns, context.number, plan))
        return await LegAfterLeg(plan, context, self.settings, started_ns).run()


def settings_of(executor: Executor) -> Settings:
    """How far a `SequentialExecutor` may go; for another kind, as far as one does by default."""
    return executor.settings if isinstance(executor, SequentialExecutor) else Settings()
