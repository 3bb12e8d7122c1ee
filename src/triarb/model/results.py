"""Results: what ended executions came to, kept so that limits over a day, a window and since a peak can be held."""

import bisect
from collections.abc import Mapping
from decimal import Decimal

import attrs

from triarb.money import ZERO, arithmetic


@attrs.frozen
class Results:
    """What ended executions changed, residues included; of days long past it forgets what no limit asks for.

    Attributes:
        residues: by UTC day and asset, what those that ended on that day left in, or took from, other assets than
            their start.
        begun: by UTC day and asset, what those that started on that day changed.
        totals: by asset, when executions changed it, and what all together had changed it by then; the oldest first.
        since_peak: by start asset and asset, what executions from that start changed since their results stood highest,
            or since a person last resumed.
        last_ended: by cycle id and by symbol, when the last execution ended that tried it.
    """

    residues: Mapping[tuple[str, str], Decimal] = attrs.field(factory=dict)
    begun: Mapping[tuple[str, str], Decimal] = attrs.field(factory=dict)
    totals: Mapping[str, tuple[tuple[int, Decimal], ...]] = attrs.field(factory=dict)
    since_peak: Mapping[tuple[str, str], Decimal] = attrs.field(factory=dict)
    last_ended: Mapping[str, int] = attrs.field(factory=dict)

    def since(self, ns: int) -> dict[str, Decimal]:
        """What executions that ended after `ns` changed, by asset."""
        changes = {}
        with arithmetic():
            for asset, totals in self.totals.items():
                before = bisect.bisect_right(totals, ns, key=lambda at: at[0])
                change = totals[-1][1] - (totals[before - 1][1] if before else ZERO)
                if change:
                    changes[asset] = change
        return changes
