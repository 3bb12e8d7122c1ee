"""triarb demo: the whole engine on a generated exchange; no network, no keys, no files."""

from typing import Final

from triarb.cli.output import print_report
from triarb.cli.running import run_engine
from triarb.cli.scan import Flag
from triarb.finders import BoundedCycleFinder
from triarb.gateways.replay import ReplayGateway
from triarb.market.generator import GeneratedExchange
from triarb.market.tape import Tape
from triarb.risk import RiskLimits

DISLOCATIONS_PER_MINUTE: Final = 600
"""Some fifty times what Binance showed, so that seconds are enough to see something."""


def demo(
    *,
    seconds: float = 10.0,
    markets: int = 400,
    seed: int = 7,
    fee_bps: str = "2",
    latency_ms: float = 20.0,
    fast: Flag = False,
    json: Flag = False,
) -> str:
    """Run the whole engine on a generated exchange and report honestly what it came to.

    Prices are generated, with more of them out of line, and lower fees, than on a real exchange, so that there is
    something to see. On a real one the honest answer is usually "none".

    Parameters
    ----------
    seconds
        How long the exchange runs.
    markets
        How many markets it has, 100 to 100000.
    seed
        Which of all such exchanges.
    fee_bps
        The taker fee of every market.
    latency_ms
        How long an order takes to arrive, and a book to be read.
    fast
        Do not wait for real time to pass.
    json
        Print one JSON object.
    """
    made = GeneratedExchange(
        markets,
        seed=seed,
        dislocations_per_minute=DISLOCATIONS_PER_MINUTE,
        taker_fee_bps=fee_bps,
    )
    tape = Tape.of(made.snapshot(), made.ticks(seconds))
    gateway = ReplayGateway(
        tape,
        balances={"USDT": "1000"},
        latency_ms=latency_ms,
        book_latency_ms=latency_ms,
        pace=None if fast or json else 1.0,
    )
    report = run_engine(
        gateway,
        title=f"{made.source}, fee {fee_bps} bps",
        watched=not json,
        risk=RiskLimits(min_edge_bps=1, max_notional="50 USDT", max_daily_loss="500 USDT"),
        finder=BoundedCycleFinder(start=("USDT",), compiled=False),  # to begin at once
        start=("USDT",),
    )
    return print_report(report, title=made.source, as_json=json)
