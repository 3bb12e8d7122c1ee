"""triarb resume: lifts a halt, by hand."""

import asyncio
from pathlib import Path

from triarb.cli.output import console
from triarb.clock import SystemClock
from triarb.engine.opening import lift, unsettled
from triarb.exceptions import UsageError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger import SqlLedger


def resume(ledger: Path, /, *, by: str) -> None:
    """Lift the halt of a ledger, and let rows of losses, drawdowns and drifts count anew. It is journalled who did.

    Parameters
    ----------
    ledger
        A ledger file that no engine is using.
    by
        Who lifts it.
    """
    if not by.strip():
        raise UsageError("--by is empty", hint="say who lifts the halt")
    if not ledger.exists():
        raise UsageError(f"there is no ledger {ledger}", hint="name a ledger's file")
    reason = asyncio.run(_resume(ledger, by.strip()))
    line = (
        f"{ledger} was not halted; what limits wait for a person to see counts as seen"
        if reason is None
        else f"resumed {ledger}, halted for: {reason}"
    )
    console().print(line, markup=False, highlight=False)


async def _resume(path: Path, by: str) -> str | None:
    async with SqlLedger(path) as ledger:
        latch = HaltLatch(halt_file(ledger.path or path))
        portfolio = ledger.portfolio()
        reason = latch.reason or portfolio.halted
        unproven = unsettled(portfolio)
        if unproven is not None:
            raise UsageError(
                unproven.sentence,
                hint="triarb recover looks for it again, triarb resolve takes a person's word",
            )
        await lift(ledger, latch, by, SystemClock().now_ns())  # also what a policy waits for
        return reason
