"""Observers: told everything, able to neither block nor break trading."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from triarb.model import EngineEvent

Observer = Callable[[EngineEvent], Awaitable[None] | None]
"""A function or coroutine function of one event; match on its type."""

CAPACITY: Final = 10_000
CLOSING_SECONDS: Final = 2.0
"""How long observers get, in real time, for what is queued when an engine closes."""

_log = logging.getLogger("triarb.observers")


class Observers:
    """Hands each event to each observer in order, from a task of its own.

    A plain function runs in a thread, so that a slow one holds up nothing. What an observer raises is logged once a
    kind, and it is told the next event all the same. An observer that lags `CAPACITY` events behind loses the oldest;
    `lost` counts them.
    """

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self._queues = [(observer, asyncio.Queue[EngineEvent](CAPACITY)) for observer in observers]
        self._tasks: list[asyncio.Task[None]] = []
        self._warned: set[tuple[int, type[BaseException]]] = set()
        self.lost = 0

    def start(self) -> None:
        """Begin to hand out events; needs a running loop."""
        self._tasks = [
            asyncio.create_task(self._serve(observer, queue)) for observer, queue in self._queues
        ]

    def emit(self, event: EngineEvent) -> None:
        """Queue `event` for every observer. Never waits, never raises."""
        for _, queue in self._queues:
            if queue.full():
                queue.get_nowait()
                queue.task_done()
                self.lost += 1
            queue.put_nowait(event)

    async def close(self) -> None:
        """Give the observers `CLOSING_SECONDS` for what is queued, then stop telling them."""
        if self._tasks:
            drained = asyncio.gather(*(queue.join() for _, queue in self._queues))
            await asyncio.wait([drained], timeout=CLOSING_SECONDS)
            drained.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(drained, *self._tasks, return_exceptions=True)
        self._tasks = []

    async def _serve(self, observer: Observer, queue: asyncio.Queue[EngineEvent]) -> None:
        is_async = inspect.iscoroutinefunction(observer) or inspect.iscoroutinefunction(
            getattr(observer, "__call__", None)  # noqa: B004 - an object whose __call__ is async
        )
        while True:
            event = await queue.get()
            try:
                answer: Any = (
                    observer(event) if is_async else await asyncio.to_thread(observer, event)
                )
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:  # noqa: BLE001 - whatever an observer does must not reach trading
                self._warn(observer, error)
            finally:
                queue.task_done()

    def _warn(self, observer: Observer, error: Exception) -> None:
        key = (id(observer), type(error))
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("observer %r raised %s: %s", observer, type(error).__name__, error)
