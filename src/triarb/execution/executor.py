"""Executor: carries out a plan, and knows at every moment what is proven and what is not."""

from abc import abstractmethod
from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol, runtime_checkable

from triarb.exceptions import UsageError
from triarb.execution.at_once import AtOnce, given
from triarb.execution.context import ExecutionContext as ExecutionContext, Settings
from triarb.execution.sequence import LegAfterLeg
from triarb.execution.steps import Finish
from triarb.execution.unwinding import Unwinding
from triarb.model import Execution, ExecutionStarted, Outcome, Plan, Portfolio, Refused
from triarb.money import ZERO, parse_decimal, plain


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


@runtime_checkable
class Selective(Protocol):
    """An executor that does not carry out every plan."""

    __slots__ = ()

    @abstractmethod
    def refuses(self, plan: Plan, portfolio: Portfolio, /) -> Refused | None:
        """Why it would not carry out `plan` now; None where it would. Asked by an engine before it starts one."""
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
            Unwinding() if unwinding is None else unwinding,
            leg_seconds,
            cycle_seconds,
            send_seconds=send_seconds,
        )

    async def execute(self, plan: Plan, context: ExecutionContext, /) -> Execution:
        """Carry out `plan`, one leg at a time."""
        started_ns = context.clock.now_ns()
        await context.ledger.append(ExecutionStarted(started_ns, context.number, plan))
        return await LegAfterLeg(plan, context, self.settings, started_ns).run()


class ParallelExecutor(Executor, Selective):
    """All legs at once, for an account that holds enough of every asset that the cycle gives.

    No leg waits for another, so that prices have less time to move; what a leg brings restores what another gave. Every
    leg is a bounded limit order of the plan's own amount, and every intent is durable before the first order leaves. What
    each leg may give is reserved, and never more than stated here. Where some legs fell short, inventory is out of
    balance: it is brought back by the best ways over fresh books, within a budget for the loss (`Unwinding`). An order
    whose outcome cannot be proven ends the execution as STUCK.

    Args:
        max_given: by asset, the most that one plan may give of it; a plan that gives another asset is refused.
        unwinding: how inventory is brought back, and within what budget.
        leg_seconds: how long the outcome of an order is looked for until it counts as stuck.
        cycle_seconds: after this long no further order is sent.
        send_seconds: how old the plan may be when its orders leave.

    Raises:
        UsageError: an amount or a number of seconds that makes no sense.
    """

    def __init__(
        self,
        *,
        max_given: Mapping[str, str | Decimal],
        unwinding: Unwinding | None = None,
        leg_seconds: float = 15.0,
        cycle_seconds: float = 60.0,
        send_seconds: float = 1.0,
    ) -> None:
        if not isinstance(max_given, Mapping):
            raise UsageError(f"max_given is {max_given!r}", hint='such as {"USDT": "150"}')
        self.max_given = {asset: _amount(asset, amount) for asset, amount in max_given.items()}
        self.settings = Settings(
            Unwinding() if unwinding is None else unwinding,
            leg_seconds,
            cycle_seconds,
            send_seconds=send_seconds,
        )

    def refuses(self, plan: Plan, portfolio: Portfolio, /) -> Refused | None:
        """Why `plan` is not carried out: it gives more of an asset than may be given, or than is free.

        Refused: ``parallel.exposure``, ``parallel.balance``.
        """
        for asset, amount in given(plan).items():
            most, free = self.max_given.get(asset, ZERO), portfolio.free(asset)
            numbers = {"asset": asset, "amount": amount}
            if amount > most:
                return Refused(
                    "parallel.exposure",
                    f"it gives {plain(amount)} {asset}, and at most {plain(most)} may be given",
                    {**numbers, "most": most},
                )
            if amount > free:
                return Refused(
                    "parallel.balance",
                    f"it gives {plain(amount)} {asset}, and {plain(free)} is free",
                    {**numbers, "free": free},
                )
        return None

    async def execute(self, plan: Plan, context: ExecutionContext, /) -> Execution:
        """Carry out `plan`, all legs at once; nothing of it, where it `refuses`."""
        started_ns = context.clock.now_ns()
        refused = self.refuses(plan, context.ledger.portfolio())
        reserved = {} if refused else given(plan)
        await context.ledger.append(ExecutionStarted(started_ns, context.number, plan, reserved))
        course = AtOnce(plan, context, self.settings, started_ns)
        if refused is not None:
            return await course.finish(Finish(Outcome.NOTHING, refused))
        return await course.run()


def _amount(asset: str, amount: str | Decimal) -> Decimal:
    try:
        number = parse_decimal(amount)
    except ValueError as error:
        raise UsageError(f"max_given of {asset}: {error}", hint='give text, such as "5"') from None
    if number < 0:
        raise UsageError(f"max_given of {asset} is {plain(number)}", hint="give 0 or more")
    return number


def settings_of(executor: Executor) -> Settings:
    """How far an executor of triarb's may go; for another kind, as far as one does by default."""
    if isinstance(executor, SequentialExecutor | ParallelExecutor):
        return executor.settings
    return Settings()
