"""What we hold, and the events that say how we came to hold it."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.exceptions import UsageError
from triarb.model.cycle import Plan
from triarb.model.operation import Configured, Examined, Granted, LimitSet
from triarb.model.order import (
    Execution,
    Fill,
    Order,
    OrderOutcome,
    Purpose,
    SubmissionStatus,
)
from triarb.model.results import Results
from triarb.money import ZERO, arithmetic, is_exact, to_decimal

RECENT: Final = 50
"""How many executions `Portfolio.recent` keeps, and its health is judged by."""


@attrs.frozen
class Balance:
    """An asset on the account: free to spend, and locked in open orders.

    Raises:
        UsageError: an amount that is no finite Decimal.
    """

    free: Decimal
    locked: Decimal = ZERO

    def __attrs_post_init__(self) -> None:
        if not is_exact(self.free) or not is_exact(self.locked):
            raise UsageError(
                f"a balance of {self.free!r} free and {self.locked!r} locked",
                hint='give finite Decimals, such as Decimal("0.05")',
            )

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        with arithmetic():
            return self.free + self.locked


@attrs.frozen
class FeeCheck:
    """What the last fills of one market were charged, against what their plans counted on.

    In bps of what the fills traded, each fill by its size; a fee token by the price that its plan had of it.

    Attributes:
        fills: how many.
        charged_bps: what they were charged; None where none of it has a price.
        drift_bps: how much more that is than their plans said; below zero, how much less.
        assets: what they were charged in.
        unexpected: how many were charged in an asset that their plan does not name.
        last_charged_bps: what those of the last execution were charged; None where none of it has a price.
        last_drift_bps: how much more that is than its plan said.
        last_unexpected: the assets that they were charged in and that its plan does not name.
    """

    fills: int
    charged_bps: Decimal | None
    drift_bps: Decimal
    assets: tuple[str, ...] = ()
    unexpected: int = 0
    last_charged_bps: Decimal | None = None
    last_drift_bps: Decimal = ZERO
    last_unexpected: tuple[str, ...] = ()


@attrs.frozen
class Health:
    """How the last executions went.

    Attributes:
        executions: how many of them these figures are of.
        consecutive_losses: executions in a row, the last one included, that lost in their start asset; since a person
            last resumed.
        leg_latency_ms: the median time from sending a leg to knowing its outcome; None before the first leg.
        short_rate: the fraction of them that a leg ended early.
        fees: by symbol, what their fills were charged against what was expected; since a person last resumed.
    """

    executions: int = 0
    consecutive_losses: int = 0
    leg_latency_ms: float | None = None
    short_rate: float = 0.0
    fees: Mapping[str, FeeCheck] = attrs.field(factory=dict)

    @property
    def fee_drift_bps(self) -> Decimal | None:
        """How much more was charged than expected, over all fills; None before the first."""
        fills = sum(check.fills for check in self.fees.values())
        if not fills:
            return None
        drifts = (Fraction(check.drift_bps) * check.fills for check in self.fees.values())
        return to_decimal(sum(drifts, Fraction(0)) / fills)


@attrs.frozen
class Portfolio:
    """What the ledger knows, frozen: the only view of it that plug-ins get.

    Attributes:
        balances: what the ledger holds, by asset.
        reserved: what running executions may still spend, by asset.
        residues: what rounding and failures left in middle assets, by asset.
        started: how many executions were ever started; their numbers count from 1.
        open: the numbers of the executions that run.
        stuck: the numbers of those that ended unproven.
        realised: the result by UTC day and asset of the ended executions, residues apart.
        recent: the last executions, the newest last.
        halted: why no new exposure may be taken; None where it may.
        exchange: whose account it is of; empty before the first start.
        mode: what orders there are: paper, replay, sandbox or live.
        epochs: when each engine that used it began, by epoch.
        claim: the most that it opened with, by asset; None where it took all that was free.
        beyond: what was free on the account beyond `balances` when they were last compared: somebody else's.
        results: what ended executions changed, by day and moment, for limits on losses and for pauses.
        looked_at: how many executions had started when a person last resumed; 0 where nobody has.
        limits: what limits were set to by hand, by setting; they hold beside the configuration's.
    """

    balances: Mapping[str, Decimal] = attrs.field(factory=dict)
    reserved: Mapping[str, Decimal] = attrs.field(factory=dict)
    residues: Mapping[str, Decimal] = attrs.field(factory=dict)
    started: int = 0
    open: tuple[int, ...] = ()
    stuck: tuple[int, ...] = ()
    realised: Mapping[tuple[str, str], Decimal] = attrs.field(factory=dict)
    recent: tuple[Execution, ...] = ()
    health: Health = attrs.field(factory=Health)
    halted: str | None = None
    exchange: str = ""
    mode: str = ""
    epochs: Mapping[str, int] = attrs.field(factory=dict)
    claim: Mapping[str, Decimal] | None = None
    beyond: Mapping[str, Decimal] = attrs.field(factory=dict)
    results: Results = attrs.field(factory=Results)
    looked_at: int = 0
    limits: Mapping[str, str] = attrs.field(factory=dict)

    def free(self, asset: str) -> Decimal:
        """What may be spent of `asset`: the balance less what is reserved."""
        with arithmetic():
            return self.balances.get(asset, ZERO) - self.reserved.get(asset, ZERO)


@attrs.frozen
class EpochStarted:
    """An engine began to use this ledger; client ids of its orders derive from `epoch`.

    Attributes:
        exchange: where it trades.
        mode: what its orders are there.
    """

    at_ns: int
    epoch: str
    exchange: str = ""
    mode: str = ""


@attrs.frozen
class Claimed:
    """This ledger opens with at most so much of these assets, and with nothing of others."""

    at_ns: int
    amounts: Mapping[str, Decimal]


@attrs.frozen
class Compared:
    """What is free on the account beyond what the ledger holds, where that is not what it was: it is somebody else's."""

    at_ns: int
    beyond: Mapping[str, Decimal]


@attrs.frozen
class BalancesSet:
    """The ledger came to hold more or less by something else than a fill: its opening, a deposit, a withdrawal."""

    at_ns: int
    changes: Mapping[str, Decimal]
    reason: str


@attrs.frozen
class ExecutionStarted:
    """A plan is about to be carried out, and what it may spend is reserved.

    Attributes:
        reserved: by asset, where its legs are sent at once; empty where they are sent one after the other, and the first
            one's notional (`Plan.at_stake`) is reserved.
    """

    at_ns: int
    number: int
    plan: Plan
    reserved: Mapping[str, Decimal] = attrs.field(factory=dict)


@attrs.frozen
class Intended:
    """An order is about to be sent. Durable before its first byte leaves.

    Attributes:
        leg: the plan's leg, counted from 1; unwinding counts on from the last.
        attempt: 0, or which sending of the leg's rest it is.
    """

    at_ns: int
    number: int
    leg: int
    order: Order
    attempt: int = 0
    purpose: Purpose = Purpose.OPEN


@attrs.frozen
class Answered:
    """What the answer to an order, or to a look-up of it, proved."""

    at_ns: int
    number: int
    client_id: str
    status: SubmissionStatus
    reason: str = ""


@attrs.frozen
class Filled:
    """A fill of one of our orders."""

    at_ns: int
    number: int
    fill: Fill


@attrs.frozen
class Proven:
    """What became of an order; its fills are on record already, and no more can come.

    Attributes:
        evidence: what proves it.
        by_hand: whether a person says so.
    """

    at_ns: int
    number: int
    client_id: str
    outcome: OrderOutcome
    evidence: str = ""
    by_hand: bool = False


@attrs.frozen
class ExecutionEnded:
    """A plan was carried out, as far as it went."""

    at_ns: int
    execution: Execution


@attrs.frozen
class Halted:
    """No new exposure from here on."""

    at_ns: int
    reason: str


@attrs.frozen
class Resumed:
    """A person lifted the halt."""

    at_ns: int
    by: str


@attrs.frozen
class RunEnded:
    """An engine's run came to an end.

    Attributes:
        exchange: its id, "generated" in it where no real exchange showed these prices.
        counts: how many batches, quotes, nominations, confirmations, approvals and plans there were.
        refused: how many refusals, by code.
    """

    at_ns: int
    started_ns: int
    exchange: str
    mode: str
    counts: Mapping[str, int]
    refused: Mapping[str, int]


LedgerEvent = (
    EpochStarted
    | Claimed
    | Compared
    | BalancesSet
    | ExecutionStarted
    | Intended
    | Answered
    | Filled
    | Proven
    | ExecutionEnded
    | Halted
    | Resumed
    | RunEnded
    | Configured
    | Examined
    | Granted
    | LimitSet
)


@attrs.frozen
class Intent:
    """One order of an unfinished execution, and all that the ledger knows of it.

    Attributes:
        intended: as it was intended.
        answered: what the answer to it proved; None where no answer is on record.
        fills: those on record.
        outcome: what became of it; None where that is not proven.
    """

    intended: Intended
    answered: Answered | None = None
    fills: tuple[Fill, ...] = ()
    outcome: OrderOutcome | None = None
    proven_ns: int = 0


@attrs.frozen
class Unfinished:
    """An execution that runs, was cut off, or is stuck.

    Attributes:
        intents: its orders, in the order in which they were intended.
        stuck: whether it ended so.
        reserved: as it was started (`ExecutionStarted.reserved`).
    """

    number: int
    plan: Plan
    started_ns: int
    intents: tuple[Intent, ...] = ()
    stuck: bool = False
    reserved: Mapping[str, Decimal] = attrs.field(factory=dict)
