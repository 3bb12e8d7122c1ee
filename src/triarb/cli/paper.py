"""triarb paper: the whole engine on live prices with simulated orders."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from triarb.cli.output import parse_balances, print_report
from triarb.cli.running import run_engine
from triarb.cli.scan import Flag
from triarb.finders import BoundedCycleFinder
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.paper import PaperGateway
from triarb.ledger import default_path
from triarb.market.fees import FeeSchedule
from triarb.risk import RiskLimits


def paper(
    exchange: str,
    /,
    *,
    balance: Annotated[list[str] | None, Parameter(negative=())] = None,
    seconds: float | None = None,
    cycles: int | None = None,
    max_legs: int = 3,
    min_edge_bps: str = "0",
    max_notional: str = "100 USDT",
    max_daily_loss: str = "20 USDT",
    fee_bps: str | None = None,
    latency_ms: float = 50.0,
    interval: float = 1.0,
    ledger: Path | None = None,
    json: Flag = False,
) -> str:
    """Trade on paper: live prices of an exchange, simulated orders, a real ledger. Needs a network, no keys.

    It runs until --seconds or --cycles are over, or until it is interrupted; then it reports.

    Parameters
    ----------
    exchange
        An exchange's id, such as binance.
    balance
        What a new paper account opens with, such as "1000 USDT"; may be given several times. A ledger that exists
        goes on with its own.
    seconds
        How long to run.
    cycles
        How many executions to run.
    max_legs
        The most legs of a cycle.
    min_edge_bps
        The least net edge.
    max_notional
        The most that a cycle may spend; its currency is the start asset.
    max_daily_loss
        The most that may be lost on a UTC day.
    fee_bps
        One fee for every market; else what the exchange publishes.
    latency_ms
        How long an order takes to arrive.
    interval
        Seconds between two looks at the exchange.
    ledger
        A ledger file; by default the one of this exchange in the user's data folder.
    json
        Print one JSON object.
    """
    limits = RiskLimits(
        min_edge_bps=min_edge_bps,
        max_notional=max_notional,
        max_daily_loss=max_daily_loss,
        max_legs=max_legs,
    )
    fees = None if fee_bps is None else FeeSchedule.flat(fee_bps)
    start = limits.max_notional.currency
    source = CcxtGateway(exchange, poll_seconds=interval)
    gateway = PaperGateway(
        source,
        balances=parse_balances(balance or [f"1000 {start}"]),
        fees=fees,
        latency_ms=latency_ms,
    )
    path = ledger or default_path(exchange, gateway.mode)
    done = run_engine(
        gateway,
        title=f"paper trading on {exchange}",
        watched=not json,
        seconds=seconds,
        cycles=cycles,
        risk=limits,
        finder=BoundedCycleFinder(max_legs=max_legs, start=(start,)),
        ledger_path=path,
        start=(start,),
    )
    return print_report(done, title=f"ledger {path}", as_json=json)
