"""What an engine tells its observers, beside the ledger's own `Halted` and `RunEnded`."""

import attrs

from triarb.model.account import Halted, RunEnded
from triarb.model.cycle import Approved, Cycle, Opportunity, Plan, Refused
from triarb.model.order import Execution, LegResult


@attrs.frozen
class Nominated:
    """The cycles that the rates nominate now, best first; empty when there are none."""

    at_ns: int
    cycles: tuple[Cycle, ...]


@attrs.frozen
class Confirmed:
    """Fresh books confirmed a nomination."""

    at_ns: int
    opportunity: Opportunity


@attrs.frozen
class Declined:
    """A nomination went no further, and why."""

    at_ns: int
    cycle: Cycle
    refused: Refused


@attrs.frozen
class Reviewed:
    """A risk policy approved an opportunity."""

    at_ns: int
    approved: Approved


@attrs.frozen
class Planned:
    """A plan is about to be carried out."""

    at_ns: int
    plan: Plan


@attrs.frozen
class LegDone:
    """A leg of a running execution came to its end."""

    at_ns: int
    number: int
    leg: int
    result: LegResult


@attrs.frozen
class Executed:
    """A plan was carried out, as far as it went."""

    at_ns: int
    execution: Execution


EngineEvent = (
    Nominated | Confirmed | Declined | Reviewed | Planned | LegDone | Executed | Halted | RunEnded
)
