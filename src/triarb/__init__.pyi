# The public names, one home each; read by type checkers, and by `__init__.py` when a name is first used.

from .clock import (
    Clock as Clock,
    ManualClock as ManualClock,
    SystemClock as SystemClock,
)
from .engine import (
    Engine as Engine,
)
from .exceptions import (
    AuditError as AuditError,
    ConfigError as ConfigError,
    GatewayError as GatewayError,
    GatewayUnavailable as GatewayUnavailable,
    LedgerError as LedgerError,
    MalformedAnswer as MalformedAnswer,
    PolicyViolation as PolicyViolation,
    SecretError as SecretError,
    SourceError as SourceError,
    TradingRefused as TradingRefused,
    TriarbError as TriarbError,
    UsageError as UsageError,
)
from .execution import (
    ExecutionContext as ExecutionContext,
    Executor as Executor,
    ParallelExecutor as ParallelExecutor,
    Recovery as Recovery,
    SequentialExecutor as SequentialExecutor,
    Unwinding as Unwinding,
    recover as recover,
)
from .explaining import (
    Explanation as Explanation,
    explain as explain,
)
from .finders import (
    BoundedCycleFinder as BoundedCycleFinder,
    CertifiedCycleMonitor as CertifiedCycleMonitor,
    CycleFinder as CycleFinder,
    CycleMonitor as CycleMonitor,
    Verdict as Verdict,
)
from .finders.episodes import (
    Episode as Episode,
    Ticks as Ticks,
    episodes as episodes,
)
from .finders.reference import (
    NetworkxCycleFinder as NetworkxCycleFinder,
)
from .gateways.ccxt import (
    CcxtGateway as CcxtGateway,
    Credentials as Credentials,
)
from .gateways.gateway import (
    ExchangeGateway as ExchangeGateway,
    MarketData as MarketData,
    Trading as Trading,
)
from .gateways.paper import (
    PaperGateway as PaperGateway,
)
from .gateways.replay import (
    ReplayGateway as ReplayGateway,
)
from .ledger import (
    Ledger as Ledger,
    SqlLedger as SqlLedger,
)
from .market import (
    Certificate as Certificate,
    FeeSchedule as FeeSchedule,
    RateTable as RateTable,
    RateView as RateView,
    Snapshot as Snapshot,
    verify as verify,
)
from .market.generator import (
    GeneratedExchange as GeneratedExchange,
)
from .market.graph import (
    market_graph as market_graph,
)
from .market.tape import (
    Tape as Tape,
)
from .model import (
    Approved as Approved,
    Balance as Balance,
    Confirmed as Confirmed,
    Cycle as Cycle,
    Declined as Declined,
    Executed as Executed,
    Execution as Execution,
    Fee as Fee,
    Fill as Fill,
    Halted as Halted,
    Leg as Leg,
    LegDone as LegDone,
    Level as Level,
    Market as Market,
    Nominated as Nominated,
    Opportunity as Opportunity,
    Order as Order,
    OrderBook as OrderBook,
    OrderState as OrderState,
    Outcome as Outcome,
    Plan as Plan,
    Planned as Planned,
    PlannedLeg as PlannedLeg,
    Portfolio as Portfolio,
    Provenance as Provenance,
    Quote as Quote,
    Refused as Refused,
    Reviewed as Reviewed,
    RunEnded as RunEnded,
    Side as Side,
    Submission as Submission,
    TimeInForce as TimeInForce,
    Withdrawn as Withdrawn,
)
from .money import (
    Money as Money,
    Proxy as Proxy,
)
from .operations import (
    Attended as Attended,
    AuditLog as AuditLog,
    DeadMan as DeadMan,
    Oversight as Oversight,
    Parts as Parts,
    Secret as Secret,
    TradingConfig as TradingConfig,
    Webhook as Webhook,
)
from .pipeline import (
    decide as decide,
    nominate as nominate,
)
from .pricing import (
    Route as Route,
    Valuation as Valuation,
    Value as Value,
    best_route as best_route,
    confirm as confirm,
    make_plan as make_plan,
    most_profitable as most_profitable,
    most_profitable_depth as most_profitable_depth,
    profit_at as profit_at,
)
from .report import (
    Report as Report,
)
from .risk import (
    AllOf as AllOf,
    CircuitBreaker as CircuitBreaker,
    FirstRefusal as FirstRefusal,
    Marks as Marks,
    RemainingLossBudget as RemainingLossBudget,
    RiskLimits as RiskLimits,
    RiskPolicy as RiskPolicy,
)
from .scanning import (
    ScannedCycle as ScannedCycle,
    ScanResult as ScanResult,
    scan as scan,
)
from .sizing import (
    DepthSizer as DepthSizer,
    FixedSizer as FixedSizer,
    Sizer as Sizer,
    TopOfBookSizer as TopOfBookSizer,
)
