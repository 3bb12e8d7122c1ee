"""What goes wrong at an exchange and on the way to it, as data: for the loopback exchange and for `FaultyGateway`.

A script is rules; each says which requests it is about and what goes wrong with them::

    FaultScript([
        FaultRule("submit", DropAfter(), nth=2),
        FaultRule("look_up", Lag(3600), times=3),
        FaultRule("submit", Filters(amount_step="0.01"), nth=3),
    ])

It prints as the code that makes it, compares, and is kept as JSON, so that one that found a bug becomes a test.
"""

from triarb.testing.faults.kinds import (
    Alter as Alter,
    Answer as Answer,
    Ban as Ban,
    DropAfter as DropAfter,
    DropBefore as DropBefore,
    Duplicate as Duplicate,
    Fault as Fault,
    Fees as Fees,
    Filters as Filters,
    Flow as Flow,
    Hang as Hang,
    Lag as Lag,
    Late as Late,
    Partial as Partial,
    Skew as Skew,
    Truncate as Truncate,
)
from triarb.testing.faults.run import Request as Request
from triarb.testing.faults.script import (
    Endpoint as Endpoint,
    FaultRule as FaultRule,
    FaultScript as FaultScript,
)
