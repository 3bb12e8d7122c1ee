"""An engine run for a person: watched live, ended cleanly by Ctrl-C."""

import asyncio
import functools
import signal
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from typing import Any, Final

from triarb.cli.live import LiveView
from triarb.clock import SystemClock
from triarb.engine import Engine
from triarb.engine.observers import Observer
from triarb.execution.halt import HaltLatch, halt_file
from triarb.gateways.gateway import ExchangeGateway
from triarb.ledger import SqlLedger
from triarb.operations import Oversight, Parts
from triarb.operations.limits import keep_journalled, limits_file
from triarb.report import Report

IN_MEMORY: Final = "sqlite://"


def run_engine(
    gateway: ExchangeGateway,
    *,
    title: str,
    watched: bool,
    seconds: float | None = None,
    cycles: int | None = None,
    ledger_path: Path | None = None,
    watch: Oversight | None = None,
    begun: Parts | None = None,
    **parts: Any,
) -> Report:
    """Run an engine of `parts` over `gateway` to its end and report; without a path its ledger is in memory.

    What `watch` holds watches over it.

    The first SIGINT or SIGTERM lets an execution under way finish; the second ends the process at once. SIGUSR1 halts,
    where the ledger is a file. What `begun` is made of is journalled first, and limits that are set while it runs as they come.
    """
    view = LiveView(title) if watched else None

    async def run() -> Report:
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(gateway)
            observers: tuple[Observer, ...] = (view,) if view else ()
            if watch is not None:
                await opened.enter_async_context(watch)
                observers += watch.observers
                parts["risk"] = watch.guarded(parts["risk"])
            tap = watch.tap if watch else None
            ledger = await opened.enter_async_context(SqlLedger(ledger_path or IN_MEMORY, tap=tap))
            if begun is not None:
                await begun.begin(ledger, gateway.clock.now_ns())
            engine = Engine(gateway, ledger=ledger, observers=observers, **parts)
            if watch is not None:
                await opened.enter_async_context(watch.over(engine, ledger))
            loop = asyncio.get_running_loop()

            def stop() -> None:
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.remove_signal_handler(number)
                engine.stop()

            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop)
            if ledger.path is not None:
                latch = HaltLatch(halt_file(ledger.path))
                loop.add_signal_handler(signal.SIGUSR1, latch.set, "signal SIGUSR1")
                journalling = asyncio.create_task(
                    keep_journalled(ledger, limits_file(ledger.path), SystemClock())
                )
                journalling.add_done_callback(functools.partial(_halt_if_failed, latch))
                opened.callback(journalling.cancel)
            with view or nullcontext():
                return await engine.run(seconds=seconds, cycles=cycles)

    return asyncio.run(run())


def _halt_if_failed(latch: HaltLatch, journalling: asyncio.Task[None]) -> None:
    """Limits that cannot be journalled may be lost: nothing new until a person looked."""
    if not journalling.cancelled() and (error := journalling.exception()) is not None:
        latch.set(f"limits set by hand cannot be journalled: {error}")
