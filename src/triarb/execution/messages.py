"""What the leg state machine goes by: its rules, the events that it is told, and the instructions that it gives."""

import enum

import attrs

from triarb.clock import NS_PER_MS
from triarb.model import NotFound, OrderOutcome, OrderState, Submission


@attrs.frozen
class Rules:
    """How an order is looked for.

    Attributes:
        expiry_ns: how long a request can still arrive (`Trading.order_expiry_ns`); None for ever.
        deadline_ns: how long after its answer an order is looked for until it counts as stuck.
        margin_ns: over how long after the expiry it must not be found, since what is read may lag.
        not_founds: how many look-ups in a row must not find it in that time.
        look_up_ns: the wait before the first look-up; each further wait is twice as long.
        longest_ns: the longest wait.
        patience_ns: how long an order may be open before it is canceled.
    """

    expiry_ns: int | None
    deadline_ns: int = 15_000 * NS_PER_MS
    margin_ns: int = 2_000 * NS_PER_MS
    not_founds: int = 3
    look_up_ns: int = 100 * NS_PER_MS
    longest_ns: int = 800 * NS_PER_MS
    patience_ns: int = 1_000 * NS_PER_MS


# Events, beside Submission, OrderState and NotFound


@attrs.frozen
class Sending:
    """The order is about to leave."""


@attrs.frozen
class Withheld:
    """The order was not sent, and will not be."""

    reason: str


@attrs.frozen
class Failed:
    """A question was not answered, or with nonsense: proves nothing."""

    reason: str


@attrs.frozen
class CancelAsked:
    """A cancel was asked for, whatever was answered: that proves nothing."""


@attrs.frozen
class BalancesRead:
    """What the balances of the order's two assets say.

    Attributes:
        unchanged: whether they are what the ledger says, without the order.
    """

    unchanged: bool


@attrs.frozen
class Tick:
    """Time has passed."""


Event = (
    Sending
    | Withheld
    | Submission
    | OrderState
    | NotFound
    | Failed
    | CancelAsked
    | BalancesRead
    | Tick
)


# Instructions


class Do(enum.Enum):
    """What to do now."""

    SUBMIT = "submit"
    LOOK_UP = "look up"
    CANCEL = "cancel"
    READ_BALANCES = "read balances"


@attrs.frozen
class WaitUntil:
    """Nothing to do before then."""

    at_ns: int


@attrs.frozen
class Done:
    """It is proven what became of the order; no more can come."""

    outcome: OrderOutcome
    evidence: str


@attrs.frozen
class Stuck:
    """It could not be proven what became of the order."""

    reason: str


Instruction = Do | WaitUntil | Done | Stuck
