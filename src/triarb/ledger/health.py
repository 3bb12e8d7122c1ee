"""How the last executions went. Each is looked at once, so that the thousandth costs no more than the first. Pure."""

import itertools
import statistics
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from triarb.clock import NS_PER_MS
from triarb.market.fee_check import Charged, charged_by, check_fees
from triarb.model import Execution, Health, Outcome

_SHORT: Final = (Outcome.SHORT, Outcome.UNWOUND)


@attrs.frozen
class Went:
    """What `Health` asks of one execution.

    Attributes:
        lost: whether it lost in its start asset; None of one that traded nothing, and of a sweep, which neither add to a
            row of losses nor end it.
        short: whether a leg ended it early.
        latencies_ns: from sending each leg to knowing its outcome.
        charged: what its fills were charged, by symbol.
    """

    number: int
    lost: bool | None
    short: bool
    latencies_ns: tuple[int, ...]
    charged: Mapping[str, Charged]

    @classmethod
    def of(cls, execution: Execution) -> "Went":
        """How it went."""
        counts = execution.outcome is not Outcome.NOTHING and not execution.plan.is_sweep
        return cls(
            execution.number,
            execution.result < 0 if counts else None,
            execution.outcome in _SHORT,
            tuple(leg.done_ns - leg.sent_ns for leg in execution.legs),
            charged_by(execution),
        )


def health(recent: Iterable[Went], looked_at: int) -> Health:
    """How `recent`, the newest last, went.

    Rows of losses, and what fills were charged, count of executions after number `looked_at` only: a person knows of those
    before.
    """
    everything = list(recent)
    new = [one for one in everything if one.number > looked_at]
    lost = [one.lost for one in reversed(new) if one.lost is not None]
    latencies_ns = [latency_ns for one in everything for latency_ns in one.latencies_ns]
    return Health(
        executions=len(everything),
        consecutive_losses=len(list(itertools.takewhile(bool, lost))),
        leg_latency_ms=statistics.median(latencies_ns) / NS_PER_MS if latencies_ns else None,
        short_rate=sum(one.short for one in everything) / len(everything),
        fees=check_fees(one.charged for one in new),
    )
