"""What triarb adds to an order: executor, journal and ledger, over ccxt's bare call and the bare durable commits."""

import argparse
import asyncio
import contextlib
import functools
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from triarb import (
    BoundedCycleFinder,
    CcxtGateway,
    ExecutionContext,
    OrderBook,
    Plan,
    PlannedLeg,
    RateTable,
    SequentialExecutor,
    SqlLedger,
    SystemClock,
)
from triarb.gateways.ccxt import Credentials
from triarb.model import BalancesSet, Order, RateView
from triarb.money import plain
from triarb.pricing import confirm, make_plan, most_profitable
from triarb.testing.loopback import LoopbackSession
from triarb.testing.loopback.connecting import connect
from triarb.testing.market import planted_triangle

CYCLES = 60
IDLE_ROUNDS = 5
IDLE_SECONDS = 2.0
BAR_MS = 0.5
BAR_FIRST_MS = 50.0
CREDENTIALS = Credentials("loopback-key", "loopback-secret")


@attrs.frozen
class BareLeg:
    """Milliseconds that a bare leg took, and its call to ccxt alone."""

    whole: float
    call: float


@attrs.frozen
class Costs:
    """Milliseconds of each leg, by who traded it.

    Attributes:
        legs: from before the intent is written until what became of the order is durable.
        bare: the same rows committed and ccxt called, by the shortest program that does.
        between: from one leg's end to the next leg's intent: the books are read again.
    """

    legs: list[float] = attrs.field(factory=list)
    bare: list[BareLeg] = attrs.field(factory=list)
    between: list[float] = attrs.field(factory=list)

    @property
    def added(self) -> float:
        """What triarb adds at the median, in milliseconds."""
        return statistics.median(self.legs) - statistics.median(leg.whole for leg in self.bare)


def plan_of_triangle() -> tuple[Plan, RateView]:
    """The plan of the planted triangle at its best size within 100 USDT."""
    snapshot = planted_triangle()
    fees = snapshot.fees()
    rates = RateTable(snapshot.markets, fees, snapshot.quotes)
    cycle = BoundedCycleFinder(start=["USDT"]).find(rates)[0].starting_from("USDT")
    books = {quote.symbol: OrderBook.from_quote(quote) for quote in snapshot.quotes}
    opportunity = confirm(cycle, books, fees, rates.view(), snapshot.quotes[0].received_ns)
    return make_plan(opportunity, most_profitable(opportunity, Decimal(100)).legs), rates.view()


@contextlib.contextmanager
def exchange() -> Iterator[int]:
    """A loopback exchange in a process of its own; its port."""
    command = [sys.executable, "-m", "benchmarks.loopback"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield int(process.stdout.readline())  # type: ignore[union-attr]
        process.communicate()


@contextlib.asynccontextmanager
async def bare_ccxt(port: int, **settings: Any) -> AsyncIterator[Any]:
    """ccxt's binance as it comes, led to the exchange."""
    import ccxt.async_support as ccxt  # noqa: PLC0415 - slow to import

    binance = ccxt.binance(settings)
    sessions = functools.partial(LoopbackSession, port)
    connect(binance, port, CREDENTIALS, SystemClock(), sessions)
    await binance.load_markets()
    try:
        yield binance
    finally:
        await binance.close()


async def bare_order(binance: Any, leg: PlannedLeg, name: str) -> float:
    """How long ccxt alone takes for the order of a leg."""
    params = {"clientOrderId": name, "timeInForce": "IOC"}
    numbers = plain(leg.amount), plain(leg.limit_price)
    began = time.perf_counter()
    await binance.create_order(leg.market.symbol, "limit", str(leg.side), *numbers, params)
    return (time.perf_counter() - began) * 1000


class Bare:
    """What the shortest program does that keeps a journal: it commits an intent, calls ccxt, and commits what came of it.

    The rows are those of a triarb's ledger, by `sqlite3` alone.
    """

    def __init__(self, binance: Any, ledger: Path, place: Path) -> None:
        self.binance = binance
        self.source = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
        self.target = sqlite3.connect(place, isolation_level=None)
        self.target.execute("PRAGMA journal_mode = WAL")
        self.target.execute("PRAGMA synchronous = FULL")
        for (statement,) in self.source.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name IN ('journal', 'postings')"
        ):
            self.target.execute(statement)

    async def leg(self, leg: PlannedLeg, name: str, rows: Sequence[Any]) -> "BareLeg":
        """How long its call and its commits take."""
        intent, *outcome = [(row, self._postings(row)) for row in rows]
        began = time.perf_counter()
        self._commit([intent])
        call = await bare_order(self.binance, leg, name)
        self._commit(outcome)
        whole = (time.perf_counter() - began) * 1000
        return BareLeg(whole, call)

    def legs(self) -> list[list[Any]]:
        """By leg, the rows of the last execution, from its intent until its proof."""
        query = "SELECT * FROM journal ORDER BY seq DESC LIMIT 100"
        rows = list(self.source.execute(query))[::-1]
        kinds = [row[2] for row in rows]
        began = len(kinds) - kinds[::-1].index("ExecutionStarted")
        starts = [n for n in range(began, len(rows)) if kinds[n] == "Intended"]
        return [rows[start : kinds.index("Proven", start) + 1] for start in starts]

    def _postings(self, row: Sequence[Any]) -> list[Any]:
        return list(self.source.execute("SELECT * FROM postings WHERE seq = ?", row[:1]))

    def _commit(self, entries: Sequence[tuple[Any, list[Any]]]) -> None:
        self.target.execute("BEGIN")
        for row, lines in entries:
            self.target.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", row)
            if lines:
                self.target.executemany("INSERT INTO postings VALUES (?, ?, ?, ?)", lines)
        self.target.execute("COMMIT")

    def close(self) -> None:
        """Close both."""
        self.source.close()
        self.target.close()


def gateway_to(port: int) -> CcxtGateway:
    """triarb's gateway to the exchange."""
    sessions = functools.partial(LoopbackSession, port)
    return CcxtGateway("binance", credentials=CREDENTIALS, session_factory=sessions)


async def costs(port: int, folder: Path, cycles: int) -> Costs:
    """Each leg by triarb, and by ccxt and `sqlite3` alone, in turns."""
    plan, view = plan_of_triangle()
    result, executor = Costs(), SequentialExecutor()
    async with (
        bare_ccxt(port, enableRateLimit=False) as binance,
        gateway_to(port) as gateway,
        SqlLedger(folder / "ledger.sqlite") as ledger,
    ):
        held = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
        await ledger.append(BalancesSet(gateway.clock.now_ns(), held, "opening"))
        bare = Bare(binance, folder / "ledger.sqlite", folder / "bare.sqlite")
        with contextlib.closing(bare):
            for number in range(1, cycles + 1):
                context = ExecutionContext(
                    gateway,
                    gateway.order_book,
                    view,
                    ledger,
                    gateway.clock,
                    lambda _order, _purpose: None,
                    lambda _event: None,
                    "cost",
                    number,
                )
                fresh = attrs.evolve(plan, decided_ns=gateway.clock.now_ns())
                done = (await executor.execute(fresh, context)).legs
                result.legs.extend((leg.done_ns - leg.sent_ns) / 1e6 for leg in done)
                ends = pairwise(done)
                result.between.extend((b.sent_ns - a.done_ns) / 1e6 for a, b in ends)
                for leg, (planned, rows) in enumerate(zip(plan.legs, bare.legs(), strict=True)):
                    name = f"bare{number}l{leg}"
                    result.bare.append(await bare.leg(planned, name, rows))
    return result


async def first_orders(port: int, rounds: int, seconds: float) -> dict[str, float]:
    """How long the first order takes after three books and a pause, in milliseconds at the median, by who sends it."""
    plan, _ = plan_of_triangle()
    leg = plan.legs[0]
    times: dict[str, list[float]] = {"triarb": [], "ccxt, its throttler on": []}
    async with (
        bare_ccxt(port, enableRateLimit=True) as binance,
        gateway_to(port) as gateway,
    ):
        for number in range(rounds):
            for planned in plan.legs:  # ccxt pays these debts while it is used only
                await gateway.order_book(planned.market.symbol)
                await binance.fetch_order_book(planned.market.symbol, 20)
            await asyncio.sleep(seconds)
            what = leg.market.symbol, leg.side, leg.amount, leg.limit_price
            order = Order(f"idle{number}", *what)
            began = time.perf_counter()
            await gateway.submit(order)
            times["triarb"].append((time.perf_counter() - began) * 1000)
            name = f"idleccxt{number}"
            times["ccxt, its throttler on"].append(await bare_order(binance, leg, name))
    return {who: statistics.median(taken) for who, taken in times.items()}


def report(console: Console, options: argparse.Namespace) -> None:
    """Print both tables, and whether triarb keeps its promises."""
    quick: bool = options.quick
    with exchange() as port, tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(costs(port, Path(folder), 2 if quick else CYCLES))
        firsts = asyncio.run(
            first_orders(port, *((1, 0.1) if quick else (IDLE_ROUNDS, IDLE_SECONDS)))
        )
    table = Table(title="A leg on the loopback exchange, ms at the median", title_justify="left")
    table.add_column("what")
    table.add_column("ms", justify="right")
    table.add_row(
        "triarb: intent, order, answer, fills, proof", f"{statistics.median(told.legs):.2f}"
    )
    calls = statistics.median(leg.call for leg in told.bare)
    commits = statistics.median(leg.whole - leg.call for leg in told.bare)
    table.add_row("ccxt's create_order alone", f"{calls:.2f}")
    table.add_row("the same rows, committed by sqlite3 alone", f"{commits:.2f}")
    table.add_row("so triarb adds", f"{told.added:.2f}")
    table.add_row(
        "beside it, the books read again before a leg", f"{statistics.median(told.between):.2f}"
    )
    for who, first in firsts.items():
        table.add_row(f"first order after {IDLE_SECONDS:g} s of nothing: {who}", f"{first:.1f}")
    console.print(table)
    kept = "kept" if told.added <= BAR_MS else "short"
    console.print(f"{kept}: triarb adds {told.added:.2f} ms to a leg, at most {BAR_MS} ms promised")
    first = firsts["triarb"]
    kept = "kept" if first <= BAR_FIRST_MS else "short"
    console.print(f"{kept}: the first order after idling takes {first:.1f} ms")
