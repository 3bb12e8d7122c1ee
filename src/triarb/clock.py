"""Clock: what time it is, and how to wait.

Times are whole nanoseconds since the Unix epoch, UTC. The core never reads a clock: it is given `now_ns`.
"""

import asyncio
import sys
import time
from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

NS_PER_SECOND = 1_000_000_000
NS_PER_MS = 1_000_000

# CLOCK_MONOTONIC stands still on Linux while the machine sleeps (clock_gettime(2)).
_RUNNING: Final = time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC


class Clock(Protocol):
    """Tells the time and waits, so that whoever replays a tape also decides how long a wait takes."""

    __slots__ = ()

    @abstractmethod
    def now_ns(self) -> int:
        """The time now, in nanoseconds since the epoch, UTC."""
        ...

    @abstractmethod
    async def sleep(self, seconds: float, /) -> None:
        """Wait. Must let other tasks run at least once, also for zero seconds."""
        ...


class SystemClock(Clock):
    """The machine's clock, made monotone: wall time at its birth, plus what the machine's own clock has run since.

    A wall clock that is set back or forward while triarb runs cannot make a quote older or younger. On Linux the time
    that the machine slept counts, so that what was known before is old after it.
    """

    __slots__ = ("_offset_ns",)

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.clock_gettime_ns(_RUNNING)

    def now_ns(self) -> int:
        """Wall time at creation plus what has passed since."""
        return self._offset_ns + time.clock_gettime_ns(_RUNNING)

    async def sleep(self, seconds: float, /) -> None:
        """Sleep in real time."""
        await asyncio.sleep(seconds)


class ManualClock(Clock):
    """A clock that stands still until it is told otherwise; sleeping moves it, sleeps at one time by the longest of them.

    Attributes:
        on_advance: called with the new time after each move, for feeds whose data are due by then.
    """

    __slots__ = ("_now_ns", "on_advance")

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self.on_advance: list[Callable[[int], None]] = []

    def now_ns(self) -> int:
        """The time it was last moved to."""
        return self._now_ns

    async def sleep(self, seconds: float, /) -> None:
        """Let other tasks run, then move to `seconds` after the time of the call."""
        due_ns = self._now_ns + round(seconds * NS_PER_SECOND)
        await asyncio.sleep(0)
        self.advance_to(due_ns)

    def advance_to(self, now_ns: int) -> None:
        """Move to `now_ns`. A time that has passed already changes nothing."""
        if now_ns > self._now_ns:
            self._now_ns = now_ns
            for listener in self.on_advance:
                listener(now_ns)


def iso(ns: int) -> str:
    """`ns` as ISO 8601 in UTC, with microseconds where there are any."""
    moment = datetime.fromtimestamp(ns // NS_PER_SECOND, UTC)
    return moment.replace(microsecond=ns % NS_PER_SECOND // 1000).isoformat()


def parse_iso(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 time; one without a zone is UTC.

    Raises:
        ValueError: `text` is no such time.
    """
    moment = datetime.fromisoformat(text)
    try:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is before the year 1 or after the year 9999") from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1000


def utc_day(ns: int) -> str:
    """The UTC calendar day of `ns`, as ``2026-11-22``."""
    return iso(ns)[:10]
