"""How an engine begins: its ledger, its epoch, the recovery of what was cut off, and balances that agree."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from itertools import chain

import attrs

from triarb.clock import Clock
from triarb.execution import Recovery, recover
from triarb.execution.claims import Claim, check_account, is_open, look_around
from triarb.execution.context import Settings
from triarb.execution.halt import HaltLatch
from triarb.execution.keeping import Unwritten
from triarb.execution.sending import Outgoing
from triarb.gateways.gateway import ExchangeGateway, Restorable
from triarb.ledger import Ledger, SqlLedger, default_path
from triarb.model import EngineEvent, EpochStarted, Order, Portfolio, Purpose, Refused, Resumed
from triarb.money import ZERO, arithmetic


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
    claim: Claim,
    outgoing: Outgoing,
    unwritten: Unwritten,
) -> Recovery:
    """Begin an epoch, recover what an earlier one left, and make ledger and exchange agree on the balances.

    Before all that it looks at whose orders are there: those since the last epoch that the ledger does not know.

    Raises:
        LedgerError: `ledger.other_account`, or something could not be made durable.
        UsageError: `claim.changed`.
        GatewayError: orders or balances could not be read.
    """
    portfolio = ledger.portfolio()
    check_account(portfolio, gateway, claim)
    if is_open(portfolio) and isinstance(gateway, Restorable):
        gateway.restore(sums(portfolio.balances, portfolio.beyond))
    surprises = await look_around(ledger, gateway, clock, claim, emit=emit, past=True)
    await ledger.append(EpochStarted(clock.now_ns(), epoch, gateway.exchange, gateway.mode))
    recovery = await recover(
        ledger,
        gateway,
        clock,
        epoch=epoch,
        gate=gate,
        emit=emit,
        settings=settings,
        claim=claim,
        outgoing=outgoing,
        unwritten=unwritten,
    )
    return attrs.evolve(recovery, surprises=tuple(surprises))


def sums(*amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What they come to together, by asset."""
    with arithmetic():
        return {a: sum((some.get(a, ZERO) for some in amounts), ZERO) for a in {*chain(*amounts)}}


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
