"""The single policies, each one idea with its refusal code and numbers."""

from triarb.risk.policies.amounts import (
    MaxExposure as MaxExposure,
    MaxNotional as MaxNotional,
    MaxPerAsset as MaxPerAsset,
    MaxResidue as MaxResidue,
)
from triarb.risk.policies.edges import (
    MaxEdge as MaxEdge,
    MaxSlippage as MaxSlippage,
    MinEdge as MinEdge,
    MinStrandedEdge as MinStrandedEdge,
    beyond_slippage as beyond_slippage,
)
from triarb.risk.policies.fees import MaxFeeDrift as MaxFeeDrift
from triarb.risk.policies.freshness import (
    MaxAge as MaxAge,
    MaxLatency as MaxLatency,
    MaxRejectRate as MaxRejectRate,
    MaxSkew as MaxSkew,
)
from triarb.risk.policies.losses import (
    MaxConsecutiveLosses as MaxConsecutiveLosses,
    MaxCycleLoss as MaxCycleLoss,
    MaxDailyLoss as MaxDailyLoss,
    MaxDrawdown as MaxDrawdown,
    RemainingLossBudget as RemainingLossBudget,
)
from triarb.risk.policies.pace import (
    Cooldown as Cooldown,
    MaxCyclesPerMinute as MaxCyclesPerMinute,
    TradingHours as TradingHours,
)
from triarb.risk.policies.scope import (
    Allowed as Allowed,
    Denied as Denied,
    MaxLegs as MaxLegs,
)
