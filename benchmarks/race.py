"""Races: contenders that answer one question in turns, and the median of each."""

import statistics
import time
from collections.abc import Callable, Sequence

import attrs

ROUNDS = 9
LONG_SECONDS = 1.0
LONG_ROUNDS = 3
BATCH_SECONDS = 0.001
BATCHES = 9


@attrs.frozen
class Contender:
    """One answer to a question.

    Attributes:
        seconds: answers once or more, and says how long one answer took.
        note: where it answers another question than the others.
    """

    name: str
    seconds: Callable[[], float]
    note: str = ""


@attrs.frozen
class Result:
    """What came of a contender."""

    name: str
    seconds: float
    runs: int
    note: str


def timed(work: Callable[[], object]) -> float:
    """How long one call takes of the processor, so that neighbours on the machine hardly count."""
    began = time.process_time()
    work()
    return time.process_time() - began


def in_process(name: str, work: Callable[[], object], note: str = "") -> Contender:
    """A contender that is a function here.

    One run of what takes less than a millisecond is the median of some batches, so that neither what ran before it nor
    a neighbour on the machine counts.
    """
    once = timed(work)
    if once < 100 * BATCH_SECONDS:
        once = min(timed(work) for _ in range(3))
    calls = max(1, round(BATCH_SECONDS / once))
    batches = 1 if calls == 1 else BATCHES

    def batch() -> None:
        for _ in range(calls):
            work()

    def seconds() -> float:
        return statistics.median(timed(batch) for _ in range(batches)) / calls

    return Contender(name, seconds, note)


def race(contenders: Sequence[Contender], *, rounds: int = ROUNDS) -> list[Result]:
    """All in turns, round after round; those that take long sit the later rounds out."""
    times: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders:
            own = times[contender.name]
            if number < LONG_ROUNDS or statistics.median(own) < LONG_SECONDS:
                own.append(contender.seconds())
    return [
        Result(c.name, statistics.median(times[c.name]), len(times[c.name]), c.note)
        for c in contenders
    ]


def shown(seconds: float) -> str:
    """In the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:,.2f} {unit}"
    return f"{seconds * 1e6:,.1f} us"
