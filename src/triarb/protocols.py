"""Every plug-in point on one page. Each is defined beside its default, where its contract is told.

`triarb.testing` has a conformance check for each, for the authors of plug-ins.
"""

from triarb.clock import Clock as Clock
from triarb.execution.executor import Executor as Executor, Selective as Selective
from triarb.finders.finder import CycleFinder as CycleFinder
from triarb.finders.monitor import CycleMonitor as CycleMonitor
from triarb.gateways.gateway import (
    Budgeted as Budgeted,
    ExchangeGateway as ExchangeGateway,
    Listing as Listing,
    MarketData as MarketData,
    Restorable as Restorable,
    Trading as Trading,
)
from triarb.ledger.journal import Tap as Tap
from triarb.ledger.ledger import Ledger as Ledger
from triarb.risk.policy import RiskPolicy as RiskPolicy
from triarb.sizing import Sizer as Sizer
