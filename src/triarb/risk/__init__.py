"""Risk: who may say no, and within which bounds. There is no default policy."""

from triarb.risk.limits import RiskLimits as RiskLimits
from triarb.risk.policies import (
    Allowed as Allowed,
    Denied as Denied,
    MaxAge as MaxAge,
    MaxDailyLoss as MaxDailyLoss,
    MaxEdge as MaxEdge,
    MaxFeeDrift as MaxFeeDrift,
    MaxLegs as MaxLegs,
    MaxNotional as MaxNotional,
    MaxSkew as MaxSkew,
    MinEdge as MinEdge,
)
from triarb.risk.policy import AllOf as AllOf, RiskPolicy as RiskPolicy
