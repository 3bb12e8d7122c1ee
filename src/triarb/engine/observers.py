"""Observers: told everything, able to neither block nor break trading."""

import asyncio
import inspect
import logging
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Final

from triarb.model import EngineEvent

Observer = Callable[[EngineEvent], Awaitable[None] | None]
"""A function or coroutine function of one event; match on its type."""

CAPACITY: Final = 10_000
CLOSING_SECONDS: Final = 2.0
"""How long observers get, in real time, for what is queued when an engine closes."""

_log = logging.getLogger("triarb.observers")


class Observers:
    """Hands each event to each observer in order, from a thread of its own.

    A coroutine function runs in an event loop of that thread. Whatever an observer raises is logged once a kind, and it
    is told the next event all the same. One that lags `CAPACITY` events behind loses the oldest; `lost` counts them.
    One that never returns holds up nothing, not even the end of the process.
    """

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self._threads = [_Thread(observer) for observer in observers]
        self.lost = 0

    def start(self) -> None:
        """Begin to hand out events."""
        for thread in self._threads:
            thread.start()

    def emit(self, event: EngineEvent) -> None:
        """Queue `event` for every observer. Never waits, never raises."""
        for thread in self._threads:
            self.lost += thread.put(event)

    async def close(self) -> None:
        """Give the observers `CLOSING_SECONDS` for what is queued, then stop telling them."""
        running = [thread for thread in self._threads if thread.is_alive()]
        for thread in running:
            thread.put(None)
        for thread in running:
            await asyncio.to_thread(thread.join, CLOSING_SECONDS)
        self._threads = [_Thread(thread.observer) for thread in self._threads]


class _Thread(threading.Thread):
    """Tells one observer. A daemon, so that an observer that hangs cannot keep the process alive."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(name="triarb-observer", daemon=True)
        self.observer = observer
        self._events: queue.Queue[EngineEvent | None] = queue.Queue(CAPACITY)
        self._warned: set[type[BaseException]] = set()

    def put(self, event: EngineEvent | None) -> int:
        """Queue `event`, or the end; returns how many older ones that cost."""
        lost = 0
        while True:
            try:
                self._events.put_nowait(event)
            except queue.Full:
                try:
                    self._events.get_nowait()
                except queue.Empty:
                    continue
                lost += 1
            else:
                return lost

    def run(self) -> None:
        """Tell what is queued until the end comes."""
        with asyncio.Runner() as runner:
            while (event := self._events.get()) is not None:
                try:
                    answer = self.observer(event)
                    if inspect.isawaitable(answer):
                        runner.run(_wait_for(answer))
                except BaseException as error:  # noqa: BLE001 - whatever it does must not reach trading
                    self._warn(error)

    def _warn(self, error: BaseException) -> None:
        if type(error) not in self._warned:
            self._warned.add(type(error))
            kind = type(error).__name__
            _log.warning("observer %r raised %s: %s", self.observer, kind, error)


async def _wait_for(answer: Awaitable[None]) -> None:
    await answer
