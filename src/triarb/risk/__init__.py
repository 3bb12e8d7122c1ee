"""Risk: who may say no, and within which bounds. There is no default policy."""

from triarb.risk.breaker import (
    Breaker as Breaker,
    BreakerState as BreakerState,
    CircuitBreaker as CircuitBreaker,
)
from triarb.risk.limits import RiskLimits as RiskLimits
from triarb.risk.marks import Held as Held, Marks as Marks
from triarb.risk.policies import (
    Allowed as Allowed,
    Cooldown as Cooldown,
    Denied as Denied,
    MaxAge as MaxAge,
    MaxConsecutiveLosses as MaxConsecutiveLosses,
    MaxCycleLoss as MaxCycleLoss,
    MaxCyclesPerMinute as MaxCyclesPerMinute,
    MaxDailyLoss as MaxDailyLoss,
    MaxDrawdown as MaxDrawdown,
    MaxEdge as MaxEdge,
    MaxExposure as MaxExposure,
    MaxFeeDrift as MaxFeeDrift,
    MaxLatency as MaxLatency,
    MaxLegs as MaxLegs,
    MaxNotional as MaxNotional,
    MaxPerAsset as MaxPerAsset,
    MaxRejectRate as MaxRejectRate,
    MaxResidue as MaxResidue,
    MaxSkew as MaxSkew,
    MaxSlippage as MaxSlippage,
    MinEdge as MinEdge,
    MinStrandedEdge as MinStrandedEdge,
    RemainingLossBudget as RemainingLossBudget,
    TradingHours as TradingHours,
    beyond_slippage as beyond_slippage,
)
from triarb.risk.policy import (
    AllOf as AllOf,
    FirstRefusal as FirstRefusal,
    RiskPolicy as RiskPolicy,
)
