"""triarb paper: the whole engine on live prices with simulated orders."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from triarb.cli.output import error_console, print_report, printable
from triarb.cli.running import run_engine
from triarb.cli.scan import Flag
from triarb.operations import Oversight, Parts, TradingConfig
from triarb.operations.parts import why_paper


def paper(
    exchange: str | None = None,
    /,
    *,
    config: Path | None = None,
    balance: Annotated[list[str] | None, Parameter(negative=())] = None,
    seconds: float | None = None,
    cycles: int | None = None,
    max_legs: str | None = None,
    min_edge_bps: str | None = None,
    max_notional: str | None = None,
    max_daily_loss: str | None = None,
    fee_bps: str | None = None,
    latency_ms: str | None = None,
    interval: str | None = None,
    ledger: Path | None = None,
    json: Flag = False,
) -> str:
    """Trade on paper: live prices of an exchange, simulated orders, a real ledger. Needs a network, no keys.

    It runs until --seconds or --cycles are over, or until it is interrupted; then it reports. What is not said here is
    what `triarb config show` says: of the environment, of .env in this folder, and of a configuration file.

    Parameters
    ----------
    exchange
        An exchange's id, such as binance.
    config
        A TOML file; by default triarb.toml in this folder, if there is one.
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
        The most that a cycle may spend; its currency is the start asset, if no other is told.
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
    options = {
        "exchange": exchange,
        "balance": balance,
        "max_legs": max_legs,
        "min_edge_bps": min_edge_bps,
        "max_notional": max_notional,
        "max_daily_loss": max_daily_loss,
        "fee_bps": fee_bps,
        "latency_ms": latency_ms,
        "interval": interval,
        "ledger": ledger,
    }
    told = TradingConfig.load(config, options=options)
    parts = Parts.of(told, "paper")
    if told.origins["sandbox"].name:  # somebody asked for a sandbox, or for none
        for note in why_paper(told):
            error_console().print(printable(note), markup=False, highlight=False)
    done = run_engine(
        parts.gateway,
        title=f"paper trading on {told.exchange}",
        watched=not json,
        seconds=seconds,
        cycles=cycles,
        risk=parts.risk,
        finder=parts.finder,
        ledger_path=parts.ledger,
        start=parts.start,
        watch=Oversight.of(told, parts.ledger.resolve(), "paper"),
    )
    return print_report(done, title=f"ledger {parts.ledger}", as_json=json)
