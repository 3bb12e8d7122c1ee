"""Lag: whether something kept the event loop from going round while answers were waited for.

An answer that came while the loop was blocked waits in its socket, and looks as young as the moment at which it is read at
last.
"""

import asyncio
from types import TracebackType
from typing import Final, Self

import attrs

from triarb.clock import NS_PER_MS, Clock, SystemClock
from triarb.model import Refused

MAX_LAG_MS: Final = 1000
"""Beyond this, what was received meanwhile is not taken for young."""

_BEAT_SECONDS: Final = 0.05


@attrs.define
class Lag:
    """Notes how late its own timer comes, for as long as it is entered, where a real clock runs.

    A clock that is moved by those who sleep, as in a simulation, says nothing of the loop.

    Attributes:
        clock: tells the time.
        worst_ns: the longest that the loop did not go round.
    """

    clock: Clock
    worst_ns: int = 0
    _last_ns: int = 0
    _timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if isinstance(self.clock, SystemClock):
            self._last_ns = self.clock.now_ns()
            self._wind()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._note()

    def refused(self) -> Refused | None:
        """Why what was received meanwhile is not taken for young: ``engine.blocked``; None where it may be."""
        lag_ms = self.worst_ns // NS_PER_MS
        if lag_ms <= MAX_LAG_MS:
            return None
        sentence = f"the event loop was blocked for {lag_ms} ms while books were read"
        return Refused("engine.blocked", sentence, {"lag_ms": lag_ms})

    def _wind(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._note()
        self._wind()

    def _note(self) -> None:
        now_ns = self.clock.now_ns()
        self.worst_ns = max(self.worst_ns, now_ns - self._last_ns)
        self._last_ns = now_ns
