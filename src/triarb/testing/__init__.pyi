# What `triarb.testing` offers; read by type checkers, and by `__init__.py` when a name is first used.

from .clock import check_clock as check_clock
from .execution import check_executor as check_executor
from .faults import FaultRule as FaultRule, FaultScript as FaultScript
from .faulty import FaultyGateway as FaultyGateway
from .finders import check_finder as check_finder, check_monitor as check_monitor
from .gateways import (
    check_gateway as check_gateway,
    check_market_data as check_market_data,
)
from .ledger import check_ledger as check_ledger
from .market import planted_triangle as planted_triangle
from .risk import check_risk_policy as check_risk_policy
from .sizing import check_sizer as check_sizer
