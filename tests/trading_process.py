"""A process that trades on a loopback exchange until it is ended: PORT LEDGER [CYCLES]."""

import asyncio
import functools
import sys

from triarb import CcxtGateway, Engine, RiskLimits, SqlLedger
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback import LoopbackSession


async def trade(port: int, ledger: str, cycles: int | None) -> None:
    """Trade the cycles that the exchange offers."""
    gateway = CcxtGateway(
        "binance",
        credentials=Credentials("loopback-key", "loopback-secret"),
        session_factory=functools.partial(LoopbackSession, port),
        poll_seconds=0.01,
    )
    risk = RiskLimits(min_edge_bps=0, max_notional="100 USDT", max_daily_loss="1000 USDT")
    async with (
        gateway,
        SqlLedger(ledger) as opened,
        Engine(gateway, risk=risk, ledger=opened, start=["USDT"]) as engine,
    ):
        print("trading", flush=True)  # noqa: T201 - the parent reads it
        await engine.run(cycles=cycles)


if __name__ == "__main__":
    port, ledger, *cycles = sys.argv[1:]
    asyncio.run(trade(int(port), ledger, int(cycles[0]) if cycles else None))
