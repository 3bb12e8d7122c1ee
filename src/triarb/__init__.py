"""triarb finds, judges, executes and measures triangular and multi-leg arbitrage on a spot crypto exchange.

The path, one direction, each stage's output the next stage's only input:

    MarketData ─ Quote ─▶ RateTable ─ float64 ─▶ CycleFinder ─ Cycle (nominated) ─▶ [books read again] ─▶ confirm ─ Opportunity ─▶
    RiskPolicy ─ Approved | Refused ─▶ Sizer ─ Plan | Refused ─▶ Executor ─ Execution ─▶ Ledger ─ Portfolio ─▶ (risk, sizing)
                                                                                              └──▶ Report

A cycle is a nomination; an opportunity exists only where fresh books, fees, steps and minimums confirm it. What is refused is a
value with a stable code, and is counted. Names are resolved when they are first used, so that `import triarb` is light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from triarb.clock import Clock, ManualClock, SystemClock
    from triarb.engine import Engine
    from triarb.exceptions import (
        GatewayError,
        GatewayUnavailable,
        LedgerError,
        MalformedAnswer,
        PolicyViolation,
        SourceError,
        TradingRefused,
        TriarbError,
        UsageError,
    )
    from triarb.execution import ExecutionContext, Executor, SequentialExecutor
    from triarb.finders import BoundedCycleFinder, CycleFinder, NetworkxCycleFinder
    from triarb.gateways.ccxt import CcxtGateway, Credentials
    from triarb.gateways.gateway import ExchangeGateway, MarketData, Trading
    from triarb.gateways.paper import PaperGateway
    from triarb.gateways.replay import ReplayGateway
    from triarb.ledger import Ledger, SqlLedger
    from triarb.market import FeeSchedule, RateTable, RateView, Snapshot
    from triarb.market.generator import GeneratedExchange
    from triarb.market.graph import market_graph
    from triarb.market.tape import Tape
    from triarb.model import (
        Approved,
        Balance,
        Cycle,
        Execution,
        Fee,
        Fill,
        Leg,
        Market,
        Opportunity,
        Order,
        OrderBook,
        OrderState,
        Outcome,
        Plan,
        PlannedLeg,
        Portfolio,
        Quote,
        Refused,
        Side,
        Submission,
        Withdrawn,
    )
    from triarb.money import Money
    from triarb.pipeline import decide, nominate
    from triarb.pricing import confirm, make_plan, most_profitable, profit_at
    from triarb.report import Report
    from triarb.risk import AllOf, RiskLimits, RiskPolicy
    from triarb.scanning import ScanResult, scan
    from triarb.sizing import FixedSizer, Sizer, TopOfBookSizer

_HOMES = {
    "clock": ("Clock", "ManualClock", "SystemClock"),
    "engine": ("Engine",),
    "exceptions": (
        "GatewayError",
        "GatewayUnavailable",
        "LedgerError",
        "MalformedAnswer",
        "PolicyViolation",
        "SourceError",
        "TradingRefused",
        "TriarbError",
        "UsageError",
    ),
    "execution": ("ExecutionContext", "Executor", "SequentialExecutor"),
    "finders": ("BoundedCycleFinder", "CycleFinder", "NetworkxCycleFinder"),
    "gateways.ccxt": ("CcxtGateway", "Credentials"),
    "gateways.gateway": ("ExchangeGateway", "MarketData", "Trading"),
    "gateways.paper": ("PaperGateway",),
    "gateways.replay": ("ReplayGateway",),
    "ledger": ("Ledger", "SqlLedger"),
    "market": ("FeeSchedule", "RateTable", "RateView", "Snapshot"),
    "market.generator": ("GeneratedExchange",),
    "market.graph": ("market_graph",),
    "market.tape": ("Tape",),
    "model": (
        "Approved",
        "Balance",
        "Cycle",
        "Execution",
        "Fee",
        "Fill",
        "Leg",
        "Market",
        "Opportunity",
        "Order",
        "OrderBook",
        "OrderState",
        "Outcome",
        "Plan",
        "PlannedLeg",
        "Portfolio",
        "Quote",
        "Refused",
        "Side",
        "Submission",
        "Withdrawn",
    ),
    "money": ("Money",),
    "pipeline": ("decide", "nominate"),
    "pricing": ("confirm", "make_plan", "most_profitable", "profit_at"),
    "report": ("Report",),
    "risk": ("AllOf", "RiskLimits", "RiskPolicy"),
    "scanning": ("ScanResult", "scan"),
    "sizing": ("FixedSizer", "Sizer", "TopOfBookSizer"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'triarb' has no attribute {name!r}")
    value = getattr(import_module(f"triarb.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
