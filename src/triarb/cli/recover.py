"""triarb recover: what an engine does at its start, alone."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from triarb.cli.ledgers import account_of
from triarb.cli.output import print_json, say
from triarb.cli.scan import Flag
from triarb.engine import Engine
from triarb.execution import Recovery
from triarb.ledger import SqlLedger
from triarb.model import Portfolio
from triarb.operations import Parts
from triarb.operations.status import state_of

_WAYS_OUT = "triarb recover looks again; triarb resolve takes a person's word"


def recover(*targets: str, config: Path | None = None, json: Flag = False) -> str:
    """Prove what became of every order of a ledger, end what was cut off, and compare the balances. Begins no cycle.

    It is what every start does first, so that it need not be run by itself; it may be run as often as one likes. It
    sends orders only to bring back what a cycle that was cut off holds.

    Parameters
    ----------
    targets
        Ledger files, or ids of exchanges for the ledgers of their sandboxes; by default the ledger that was used
        last.
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
    json
        Print one JSON object.
    """
    done = []
    for path, parts in [account_of(target, config) for target in targets or (None,)]:
        recovery, portfolio = asyncio.run(_recovered(path, parts))
        done.append((path, recovery, portfolio))
        if not json:
            _print(path, recovery, portfolio)
    if json:
        print_json({"ledgers": [_record(*one) for one in done]})
    states = {state_of(portfolio) for _, _, portfolio in done}
    return next((state for state in ("stuck", "halted") if state in states), "done")


async def _recovered(path: Path, parts: Parts) -> tuple[Recovery, Portfolio]:
    async with AsyncExitStack() as opened:
        ledger = await opened.enter_async_context(SqlLedger(path))  # first: it may be in use
        await opened.enter_async_context(parts.gateway)
        engine = Engine(parts.gateway, risk=parts.risk, ledger=ledger, **parts.options)
        await opened.enter_async_context(engine)
        return engine.recovery or Recovery(), ledger.portfolio()


def _print(path: Path, recovery: Recovery, portfolio: Portfolio) -> None:
    lines = [f"ledger {path}", *str(recovery).splitlines()]
    if portfolio.stuck:
        lines.append(f"stuck: execution {', '.join(map(str, portfolio.stuck))}; {_WAYS_OUT}")
    if portfolio.halted is not None:
        lines.append(f"halted: {portfolio.halted}")
    for line in lines:
        say(line)


def _record(path: Path, recovery: Recovery, portfolio: Portfolio) -> dict[str, Any]:
    return {
        "ledger": str(path),
        "exchange": portfolio.exchange,
        "mode": portfolio.mode,
        "state": state_of(portfolio),
        **recovery.to_dict(),
        "stuck": list(portfolio.stuck),
        "halted": portfolio.halted,
    }
