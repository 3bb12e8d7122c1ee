"""How an engine begins: its ledger, its epoch, and balances that ledger and exchange agree on."""

from triarb.clock import Clock
from triarb.execution.halt import HaltLatch
from triarb.gateways.gateway import ExchangeGateway, Restorable
from triarb.ledger import Ledger, SqlLedger, default_path
from triarb.model import BalancesSet, EpochStarted, Portfolio, Refused, Resumed
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


async def settle(ledger: Ledger, gateway: ExchangeGateway, clock: Clock, epoch: str) -> None:
    """Begin an epoch, and make ledger and exchange agree on the balances."""
    now_ns = clock.now_ns()
    await ledger.append(EpochStarted(now_ns, epoch))
    held = ledger.portfolio().balances
    if held and isinstance(gateway, Restorable):
        gateway.restore(held)
    told = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
    with arithmetic():
        changes = {
            asset: change
            for asset in {*held, *told}
            if (change := told.get(asset, ZERO) - held.get(asset, ZERO))
        }
    if changes:
        reason = "found at start" if held else "opening"
        await ledger.append(BalancesSet(now_ns, dict(sorted(changes.items())), reason))


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
