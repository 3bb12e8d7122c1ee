"""Processes that trade on a loopback exchange until they are ended.

PORT LEDGER [CYCLES] is one of them. Without arguments it is a nursery: having traded a cycle itself, so that all is
imported, it forks one for each line ``PORT LEDGER ORIGIN_NS [CYCLES]`` on its input, tells its id, and then how it ended.
"""

import asyncio
import functools
import os
import sys
import time
import traceback

from triarb import CcxtGateway, Engine, RiskLimits, SqlLedger
from triarb.clock import Clock, SystemClock
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback import LoopbackSession, in_background
from triarb.testing.market import planted_triangle


class FastClock(Clock):
    """Ten seconds a second, the same in every process of this machine that is told one origin."""

    SPEED = 10

    def __init__(self, origin_ns):
        self.origin_ns = origin_ns

    def now_ns(self):
        return self.origin_ns + time.monotonic_ns() * self.SPEED

    async def sleep(self, seconds, /):
        await asyncio.sleep(seconds / self.SPEED)


async def trade(port, ledger, cycles, clock, tell=None):
    """Trade the cycles that the exchange offers; the report of the run. It tells when the engine is open."""
    gateway = CcxtGateway(
        "binance",
        credentials=Credentials("loopback-key", "loopback-secret"),
        session_factory=functools.partial(LoopbackSession, port),
        poll_seconds=0.01,
        timeout_ms=1000,
        clock=clock,
    )
    risk = RiskLimits(min_edge_bps=0, max_notional="100 USDT", max_daily_loss="10000 USDT")
    async with (
        gateway,
        SqlLedger(ledger) as opened,
        Engine(gateway, risk=risk, ledger=opened, start=["USDT"]) as engine,
    ):
        if tell is not None:
            tell("trading")
        return await engine.run(cycles=cycles)


def bear(port, ledger, origin_ns, *cycles):
    """Fork a process that trades; its id."""
    child = os.fork()
    if not child:
        status = 1
        try:
            os.dup2(2, 1)
            report = asyncio.run(
                trade(
                    int(port), ledger, int(cycles[0]) if cycles else None, FastClock(int(origin_ns))
                )
            )
            print(report.state, report.unfinished, file=sys.stderr)  # noqa: T201
            status = 0
        except GatewayError:  # a fault that outlasted its patience: the next one goes on
            status = 2
        except Exception:  # noqa: BLE001 - told, and then it ends
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def nurse():
    """Bear a process for each line; it is not let go of before the next, so that its id stays its own."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        asyncio.run(trade(exchange.port, "sqlite://", 1, SystemClock()))
    child = None
    for line in sys.stdin:
        if child is not None:
            os.waitpid(child, 0)
        child = bear(*line.split())
        print(child, flush=True)  # noqa: T201 - the parent reads it
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        print(ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status, flush=True)  # noqa: T201


if __name__ == "__main__":
    if len(sys.argv) == 1:
        nurse()
    else:
        place, book, *number = sys.argv[1:]
        say = functools.partial(print, flush=True)  # the parent reads it
        cycles = int(number[0]) if number else None
        asyncio.run(trade(int(place), book, cycles, SystemClock(), say))
