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
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from decimal import Decimal
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
from triarb.gateways.gateway import DEFAULT_DEPTH
from triarb.model import BalancesSet, Order, Outcome, RateView
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
class Times:
    """Milliseconds at the median, of triarb or of the shortest program that does the same.

    Attributes:
        cycles: from a cycle's start until its end is durable.
        legs: from before an intent is written until it is known what became of the order.
    """

    cycles: list[float] = attrs.field(factory=list)
    legs: list[float] = attrs.field(factory=list)


@attrs.frozen
class Costs:
    """What cycles took.

    Attributes:
        calls: ccxt's `create_order` alone.
        commits: the transaction of an intent alone.
    """

    triarb: Times = attrs.field(factory=Times)
    bare: Times = attrs.field(factory=Times)
    calls: list[float] = attrs.field(factory=list)
    commits: list[float] = attrs.field(factory=list)

    @property
    def added_to_a_cycle(self) -> float:
        """What triarb adds at the median, in milliseconds."""
        return _more(self.triarb.cycles, self.bare.cycles)

    @property
    def added_to_a_leg(self) -> float:
        """What triarb adds at the median until it is known what became of it, in milliseconds."""
        return _more(self.triarb.legs, self.bare.legs)


def _more(ours: Sequence[float], bare: Sequence[float]) -> float:
    return statistics.median(a - b for a, b in zip(ours, bare, strict=True))


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
    """The shortest program that keeps a journal: it commits an intent, calls ccxt, and commits what came of it.

    The rows are those of a triarb's ledger, by `sqlite3` alone, in the same transactions; between two legs it reads the same
    books.
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

    async def cycle(
        self, plan: Plan, number: int, reads: Mapping[int, Sequence[str]], costs: Costs
    ) -> None:
        """Trade it, and note how long that took."""
        transactions = iter(self.transactions())
        began = time.perf_counter()
        self._commit(next(transactions))
        for leg, planned in enumerate(plan.legs):
            await asyncio.gather(*(self._book(symbol) for symbol in reads.get(leg, ())))
            commit = self._commit(next(transactions))
            call = await bare_order(self.binance, planned, f"bare{number}l{leg}")
            costs.calls.append(call)
            costs.commits.append(commit)
            costs.bare.legs.append(commit + call)
            self._commit(next(transactions))
        costs.bare.cycles.append((time.perf_counter() - began) * 1000)

    def transactions(self) -> list[list[Any]]:
        """The rows of the last execution, each with its postings, as a ledger commits them."""
        query = "SELECT * FROM journal ORDER BY seq DESC LIMIT 100"
        rows = list(self.source.execute(query))[::-1]
        kinds = [row[2] for row in rows]
        began = len(kinds) - kinds[::-1].index("ExecutionStarted") - 1
        together: list[list[Any]] = []
        for kind, row in zip(kinds[began:], rows[began:], strict=True):
            if kind in ("ExecutionStarted", "Intended", "Answered"):
                together.append([])
            lines = self.source.execute("SELECT * FROM postings WHERE seq = ?", row[:1])
            together[-1].append((row, list(lines)))
        return together

    async def _book(self, symbol: str) -> None:
        await self.binance.fetch_order_book(symbol, DEFAULT_DEPTH)

    def _commit(self, entries: Sequence[tuple[Any, list[Any]]]) -> float:
        began = time.perf_counter()
        self.target.execute("BEGIN")
        for row, lines in entries:
            self.target.execute("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", row)
            if lines:
                self.target.executemany("INSERT INTO postings VALUES (?, ?, ?, ?)", lines)
        self.target.execute("COMMIT")
        return (time.perf_counter() - began) * 1000

    def close(self) -> None:
        """Close both."""
        self.source.close()
        self.target.close()


def gateway_to(port: int) -> CcxtGateway:
    """triarb's gateway to the exchange."""
    sessions = functools.partial(LoopbackSession, port)
    return CcxtGateway("binance", credentials=CREDENTIALS, session_factory=sessions)


async def costs(port: int, folder: Path, cycles: int) -> Costs:
    """Each cycle by triarb, and then by ccxt and `sqlite3` alone."""
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
                reads: dict[int, list[str]] = {}
                orders: set[str] = set()

                async def order_book(
                    symbol: str, reads: dict[int, list[str]] = reads, orders: set[str] = orders
                ) -> OrderBook:
                    reads.setdefault(len(orders), []).append(symbol)
                    return await gateway.order_book(symbol)

                context = ExecutionContext(
                    gateway,
                    order_book,
                    view,
                    ledger,
                    gateway.clock,
                    lambda order, _purpose, orders=orders: orders.add(order.client_id),  # type: ignore[misc]
                    lambda _event: None,
                    "cost",
                    number,
                )
                fresh = attrs.evolve(plan, decided_ns=gateway.clock.now_ns())
                began = time.perf_counter()
                done = await executor.execute(fresh, context)
                result.triarb.cycles.append((time.perf_counter() - began) * 1000)
                result.triarb.legs.extend((leg.done_ns - leg.sent_ns) / 1e6 for leg in done.legs)
                if done.outcome is not Outcome.COMPLETED:
                    raise RuntimeError(f"cycle {number} of the benchmark ended {done.outcome}")
                await bare.cycle(plan, number, reads, result)
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
    title = "Legs and cycles of three on the loopback exchange, ms at the median"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("ms", justify="right")
    for what, times in (
        ("a leg by triarb, from its intent until its outcome is known", told.triarb.legs),
        ("ccxt's create_order alone", told.calls),
        ("the intent's commit by sqlite3 alone", told.commits),
    ):
        table.add_row(what, f"{statistics.median(times):.2f}")
    table.add_row("so triarb adds to a leg", f"{told.added_to_a_leg:.2f}")
    for what, times in (
        ("a cycle by triarb, all of it durable, books read in between", told.triarb.cycles),
        ("the same calls by ccxt, and the same commits by sqlite3 alone", told.bare.cycles),
    ):
        table.add_row(what, f"{statistics.median(times):.2f}")
    table.add_row("so triarb adds to a cycle", f"{told.added_to_a_cycle:.2f}")
    for who, first in firsts.items():
        table.add_row(f"first order after {IDLE_SECONDS:g} s of nothing: {who}", f"{first:.1f}")
    console.print(table)
    added = told.added_to_a_leg
    kept = "kept" if added <= BAR_MS else "short"
    console.print(f"{kept}: triarb adds {added:.2f} ms to a leg, at most {BAR_MS} ms promised")
    first = firsts["triarb"]
    kept = "kept" if first <= BAR_FIRST_MS else "short"
    console.print(f"{kept}: the first order after idling takes {first:.1f} ms")
