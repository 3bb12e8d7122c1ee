"""The nouns: frozen, compared by value, and free of any behaviour that needs a clock or a network.

`market` is what an exchange shows, `cycle` leads from a nomination to a plan, `order` is what is sent and what came
of it, `account` is what we hold and how we came to hold it, `operation` what an operator did and decided, `event` what
observers are told.
"""

from triarb.model.account import (
    RECENT as RECENT,
    Answered as Answered,
    Balance as Balance,
    BalancesSet as BalancesSet,
    Claimed as Claimed,
    Compared as Compared,
    EpochStarted as EpochStarted,
    ExecutionEnded as ExecutionEnded,
    ExecutionStarted as ExecutionStarted,
    FeeCheck as FeeCheck,
    Filled as Filled,
    Halted as Halted,
    Health as Health,
    Intended as Intended,
    Intent as Intent,
    LedgerEvent as LedgerEvent,
    Portfolio as Portfolio,
    Proven as Proven,
    Resumed as Resumed,
    RunEnded as RunEnded,
    Unfinished as Unfinished,
)
from triarb.model.cycle import (
    DEFAULT_GAP_BPS as DEFAULT_GAP_BPS,
    Approved as Approved,
    Cycle as Cycle,
    Leg as Leg,
    Opportunity as Opportunity,
    Plan as Plan,
    PlannedLeg as PlannedLeg,
    RateView as RateView,
    Refused as Refused,
    TimeInForce as TimeInForce,
)
from triarb.model.event import (
    Confirmed as Confirmed,
    Declined as Declined,
    EngineEvent as EngineEvent,
    Executed as Executed,
    LegDone as LegDone,
    Nominated as Nominated,
    Planned as Planned,
    Reviewed as Reviewed,
)
from triarb.model.market import (
    Fee as Fee,
    FeeSide as FeeSide,
    FeeToken as FeeToken,
    Level as Level,
    Market as Market,
    OrderBook as OrderBook,
    Provenance as Provenance,
    Quote as Quote,
    Side as Side,
    Withdrawn as Withdrawn,
    gross_rate as gross_rate,
)
from triarb.model.operation import (
    Configured as Configured,
    Examined as Examined,
    Granted as Granted,
    LimitSet as LimitSet,
)
from triarb.model.order import (
    Execution as Execution,
    Fill as Fill,
    LegResult as LegResult,
    Listed as Listed,
    NotFound as NotFound,
    Order as Order,
    OrderOutcome as OrderOutcome,
    OrderState as OrderState,
    OrderStatus as OrderStatus,
    Outcome as Outcome,
    Purpose as Purpose,
    Submission as Submission,
    SubmissionStatus as SubmissionStatus,
)
from triarb.model.results import Results as Results
