"""What a run is made of, and what it counts."""

import math
from collections import Counter
from collections.abc import Sequence

import attrs

from triarb.exceptions import UsageError
from triarb.gateways.gateway import ExchangeGateway
from triarb.model import Cycle, RunEnded


def check_end(seconds: float | None, cycles: int | None) -> None:
    """Whether a run of so much can begin and end.

    Raises:
        UsageError: not above zero, or no number.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise UsageError(f"seconds is {seconds}", hint="give how long to run, above zero")
    if cycles is not None and cycles < 1:
        raise UsageError(f"cycles is {cycles}", hint="give how many executions to run, at least 1")


@attrs.define
class Tally:
    """The counts of a run.

    Attributes:
        counts: `batches`, `quotes`, `nominated`, `confirmed`, `approved` and `planned`.
        refused: how many nominations went no further, by code.
    """

    counts: Counter[str] = attrs.field(factory=Counter)
    refused: Counter[str] = attrs.field(factory=Counter)
    _seen: set[str] = attrs.field(factory=set)

    def nominated(self, cycles: Sequence[Cycle]) -> None:
        """Count nominations, and the different cycles among them."""
        self.counts["nominated"] += len(cycles)
        self._seen.update(cycle.id for cycle in cycles)

    def ended(self, began_ns: int, now_ns: int, gateway: ExchangeGateway) -> RunEnded:
        """The end of a run, for the ledger."""
        counts = {**self.counts, "cycles": len(self._seen)}
        return RunEnded(
            now_ns, began_ns, gateway.exchange, gateway.mode, counts, dict(self.refused)
        )
