"""How an engine begins: its ledger, its epoch, the recovery of what was cut off, and balances that agree."""

from collections.abc import Callable

from triarb.clock import Clock
from triarb.execution import Recovery, recover
from triarb.execution.context import Settings
from triarb.execution.halt import HaltLatch
from triarb.execution.keeping import Unwritten
from triarb.execution.sending import Outgoing
from triarb.gateways.gateway import ExchangeGateway, Restorable
from triarb.ledger import Ledger, SqlLedger, default_path
from triarb.model import EngineEvent, EpochStarted, Order, Portfolio, Purpose, Refused, Resumed


def own_ledger(gateway: ExchangeGateway) -> SqlLedger:
    """The ledger of this exchange and mode in the user's data folder; a replay's is in memory."""
    if gateway.mode == "replay":
        return SqlLedger("sqlite://")
    return SqlLedger(default_path(gateway.exchange, gateway.mode))


async def lift(ledger: Ledger, latch: HaltLatch, by: str, now_ns: int) -> None:
    """End a halt by the will of `by`, a person; the latch last, so that what fails half-way is still halted."""
    await ledger.append(Resumed(now_ns, by))
    latch.lift()


async def settle(
    ledger: Ledger,
    gateway: ExchangeGateway,
    clock: Clock,
    epoch: str,
    *,
    gate: Callable[[Order, Purpose], Refused | None],
    emit: Callable[[EngineEvent], None],
    settings: Settings,
    outgoing: Outgoing,
    unwritten: Unwritten,
) -> Recovery:
    """Begin an epoch, recover what an earlier one left, and make ledger and exchange agree on the balances."""
    await ledger.append(EpochStarted(clock.now_ns(), epoch))
    held = ledger.portfolio().balances
    if held and isinstance(gateway, Restorable):
        gateway.restore(held)
    return await recover(
        ledger,
        gateway,
        clock,
        epoch=epoch,
        gate=gate,
        emit=emit,
        settings=settings,
        outgoing=outgoing,
        unwritten=unwritten,
    )


def unsettled(portfolio: Portfolio) -> Refused | None:
    """Why nothing may be traded on this ledger until a person looked: executions without a proven end; None if none."""
    if portfolio.stuck:
        numbers = ", ".join(map(str, portfolio.stuck))
        return Refused(
            "engine.stuck", f"execution {numbers} is stuck: an order of it is not proven"
        )
    if portfolio.open:
        numbers = ", ".join(map(str, portfolio.open))
        return Refused("engine.unfinished", f"execution {numbers} was cut off and never ended")
    return None
