"""Timing: how far the exchange's clock is from the one that requests are signed by, asked again and again."""

import statistics
from collections.abc import Sequence
from typing import Final

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt.limiter import Limiter
from triarb.gateways.ccxt.line import Line
from triarb.model import Refused

QUESTIONS: Final = 5
"""How often the exchange's time is asked for; the median counts."""

MAX_OFFSET_MS: Final = 1000
"""How far the clocks may be apart: Binance takes nothing from further ahead."""

MAX_HALF_TRIP_MS: Final = 500
"""Half of how long an answer takes is how inexact the offset is; beyond this it says nothing."""

RENEWED_SECONDS: Final = 300
"""How often it is measured while trading; twice as old it counts as unknown."""

RETRY_SECONDS: Final = 10
"""How soon it is measured again where the exchange did not say."""


@attrs.frozen
class Offset:
    """How far ahead an exchange's clock is, in milliseconds.

    Attributes:
        ms: the median.
        half_trip_ms: how inexact that is: half of how long an answer took.
    """

    ms: float
    half_trip_ms: float

    @classmethod
    def of(cls, asked: Sequence[tuple[float, float]]) -> "Offset":
        """What offsets and round trips come to."""
        trip = statistics.median(trip for _, trip in asked)
        return cls(statistics.median(offset for offset, _ in asked), trip / 2)

    @property
    def worst_ms(self) -> float:
        """How far apart the clocks may be."""
        return abs(self.ms) + self.half_trip_ms

    @property
    def tells(self) -> bool:
        """Whether the answers came soon enough to tell anything."""
        return self.half_trip_ms <= MAX_HALF_TRIP_MS

    @property
    def trusted(self) -> bool:
        """Whether orders may be signed by this clock."""
        return self.tells and self.worst_ms <= MAX_OFFSET_MS

    def __str__(self) -> str:
        return f"{self.ms:+.0f} ms, exact to {self.half_trip_ms:.0f} ms"


async def measured(line: Line, clock: Clock, limiter: Limiter | None = None) -> Offset | None:
    """How far ahead the exchange's clock is of that by which `line` signs; None if it has no time to ask for.

    Args:
        line: where it is asked.
        clock: tells how long an answer takes.
        limiter: is asked for each question's room as for a read that can wait, before its time runs.

    Raises:
        GatewayError: it did not say.
    """
    if line.instance.has.get("fetchTime") is not True:
        return None
    asked = []
    for _ in range(QUESTIONS):
        if limiter is not None:
            await limiter.admit(0.0, urgent=False)
        signed_ms, sent_ns = line.instance.milliseconds(), clock.now_ns()
        told = await line.ask("its time", "fetch_time")
        middle_ms = (signed_ms + line.instance.milliseconds()) / 2
        trip_ms = (clock.now_ns() - sent_ns) / NS_PER_MS
        try:
            asked.append((int(told) - middle_ms, trip_ms))
        except (TypeError, ValueError) as error:
            raise line.malformed("its time", error) from None
    return Offset.of(asked)


@attrs.define
class Timing:
    """Whether the clock that an account's requests are signed by is known to be right.

    Attributes:
        line: the account's, so that what is measured is what orders meet.
        clock: tells when it is time to measure again.
        limiter: lets what is more urgent go first.
    """

    line: Line
    clock: Clock
    limiter: Limiter | None
    _offset: Offset | None = None
    _at_ns: int = 0
    _due_ns: int = 0

    @property
    def told(self) -> bool:
        """Whether the exchange tells its time at all."""
        return self.line.instance.has.get("fetchTime") is True

    async def renew(self) -> None:
        """Measure, if it is time. What cannot be measured now is unknown, and is measured again soon."""
        if not self.told or self.clock.now_ns() < self._due_ns:
            return
        try:
            self._offset = await measured(self.line, self.clock, self.limiter)
        except GatewayError:
            self._offset = None
        self._at_ns = self.clock.now_ns()
        seconds = RETRY_SECONDS if self._offset is None else RENEWED_SECONDS
        self._due_ns = self._at_ns + seconds * NS_PER_SECOND

    def doubt(self) -> None:
        """Forget it: something was refused for its time stamp."""
        self._offset, self._due_ns = None, 0

    def refused(self) -> Refused | None:
        """Why no cycle may begin: ``gateway.clock``; None where the clock is known to be right, or nobody tells."""
        if not self.told:
            return None
        name, offset = self.line.instance.id, self._offset
        old_ns = self.clock.now_ns() - self._at_ns
        if offset is None or old_ns > 2 * RENEWED_SECONDS * NS_PER_SECOND:
            sentence = f"how far this machine's clock is from that of {name} is not known now"
            return Refused("gateway.clock", sentence)
        if offset.trusted:
            return None
        numbers = {"offset_ms": round(offset.ms), "half_trip_ms": round(offset.half_trip_ms)}
        sentence = f"the clock of {name} is ahead of this machine's by {offset}"
        return Refused("gateway.clock", sentence, numbers)
