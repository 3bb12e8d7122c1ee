"""triarb sweep: turns back what executions left in other assets."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from triarb.cli.ledgers import account_of
from triarb.cli.output import print_json, say
from triarb.cli.scan import Flag
from triarb.engine import Engine, Sweep
from triarb.ledger import SqlLedger
from triarb.operations import Parts
from triarb.operations.status import state_of


def sweep(
    target: str | None = None,
    /,
    *,
    to: str | None = None,
    yes: Flag = False,
    config: Path | None = None,
    json: Flag = False,
) -> str:
    """Plan how what executions left in other assets comes back into one, on live books; with --yes, trade it.

    What is below every market's minimum stays on record, and is said.

    Parameters
    ----------
    target
        A ledger's file that no engine is using, or an exchange's id for the ledger of its sandbox; by default the
        configuration's, or the one used last.
    to
        The asset to turn it into; by default the one that cycles start in.
    yes
        Send the orders.
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    path, parts = account_of(target, config)
    swept, state = asyncio.run(_sweep(path, parts, to or parts.start[0], carry_out=yes))
    if json:
        print_json({"ledger": str(path), **swept.to_dict()})
        return state
    for line in (f"ledger {path}", *str(swept).splitlines()):
        say(line)
    if swept.routes and not yes:
        say("nothing was sent; --yes sends these orders, on books that are read again")
    return state


async def _sweep(path: Path, parts: Parts, to: str, *, carry_out: bool) -> tuple[Sweep, str]:
    async with AsyncExitStack() as opened:
        ledger = await opened.enter_async_context(SqlLedger(path))  # first: it may be in use
        await opened.enter_async_context(parts.gateway)
        engine = Engine(parts.gateway, risk=parts.risk, ledger=ledger, **parts.options)
        await opened.enter_async_context(engine)
        return await engine.sweep(to, carry_out=carry_out), state_of(ledger.portfolio())
