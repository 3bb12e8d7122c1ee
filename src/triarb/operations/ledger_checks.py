"""What the doctor finds out about a ledger: that it is ours alone, durable, has room, and lets an engine trade."""

import shutil
from pathlib import Path
from typing import Final

import attrs

from triarb.clock import NS_PER_MS, SystemClock
from triarb.exceptions import LedgerError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.ledger import SqlLedger
from triarb.model import Examined
from triarb.operations.checks import Check, Verdict, failed, ok, warning

LEAST_FREE_BYTES: Final = 100 * 2**20
"""With less the journal may soon not be written."""

FEW_FREE_BYTES: Final = 2**30


async def examine_ledger(path: Path, record: Examined) -> list[Check]:
    """Open the ledger in a file, as an engine would, and try it by journalling `record`, with what failed here added."""
    clock = SystemClock()
    checks: list[Check] = []
    try:
        async with SqlLedger(path) as ledger:
            checks += [ok("one engine", f"{path} is free"), judge_disk(path), _halt(path, ledger)]
            durable = judge_durability(*await ledger.durability())
            wrong = [c.name for c in (*checks, durable) if c.verdict is Verdict.FAILED]
            began_ns = clock.now_ns()
            await ledger.append(attrs.evolve(record, failed=(*record.failed, *wrong)))
            took_ms = (clock.now_ns() - began_ns) / NS_PER_MS
    except LedgerError as error:
        name = "one engine" if error.code == "ledger.in_use" else "ledger"
        return [*checks, failed(name, error.message, error.hint)]
    return [*checks, attrs.evolve(durable, saw=f"{durable.saw}, a write took {took_ms:.1f} ms")]


def judge_durability(synchronous: str, journal: str) -> Check:
    """What a database's own words, empty on a server, say of whether a commit outlives a power loss."""
    saw = f"synchronous {synchronous}, journal {journal}" if synchronous else "a server's"
    if synchronous in {"FULL", "EXTRA", ""} and journal in {"WAL", ""}:
        return ok("durable", saw)
    return failed("durable", saw, "keep the ledger on an ordinary local disk")


def judge_disk(path: Path) -> Check:
    """Whether there is room for a journal that grows."""
    free = shutil.disk_usage(path.parent).free
    saw = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        return failed("disk", saw, "make room: an order that cannot be journalled is not sent")
    if free < FEW_FREE_BYTES:
        return warning("disk", saw, "make room")
    return ok("disk", saw)


def _halt(path: Path, ledger: SqlLedger) -> Check:
    portfolio = ledger.portfolio()
    reason = HaltLatch(halt_file(path)).reason or portfolio.halted
    if reason is not None:
        return warning("halt", f"halted: {reason}", "triarb resume, once you know why")
    waiting = (*portfolio.stuck, *portfolio.open)
    if waiting:
        numbers = ", ".join(map(str, waiting))
        return warning("halt", f"execution {numbers} has no proven end", "see to it first")
    return ok("halt", "not halted, nothing unproven")
