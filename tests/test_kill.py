"""SIGKILL: real processes with real ccxt are killed at any moment, and what they leave behind is always recovered.

`TRIARB_KILLS` says how many die (20), `TRIARB_SEED` how: `nox -s soak` kills 1,000 with a seed of their own.
"""

import asyncio
import contextlib
import os
import random
import runpy
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from triarb.ledger import SqlLedger
from triarb.model import (
    EpochStarted,
    ExecutionEnded,
    Filled,
    Intended,
    Level,
    OrderBook,
    OrderOutcome,
    Proven,
)
from triarb.testing.faults import (
    DropAfter,
    DropBefore,
    Endpoint,
    FaultRule,
    FaultScript,
    Hang,
    Late,
    Partial,
    Truncate,
)
from triarb.testing.loopback import in_background
from triarb.testing.market import planted_triangle

pytestmark = pytest.mark.once


TRADER = Path(__file__).with_name("trading_process.py")
FastClock = runpy.run_path(str(TRADER))["FastClock"]
KILLS = int(os.environ.get("TRIARB_KILLS", "20"))
SEED = int(os.environ.get("TRIARB_SEED", "1"))
A_LEDGER = 100
"""How many die over one ledger: every start reads all of it back."""

BY_ITSELF = (0, 2)
"""How those end that nobody killed: traded, or stuck; or without an answer from the exchange."""

PATIENCE_SECONDS = 1.5
"""Who did not come to the place where it is to die by then dies where it is."""

SMALL_TROUBLE = FaultScript(  # seconds of the fast clock
    [
        FaultRule("any", Late(0.05), times=None, chance=0.3),
        FaultRule("submit", Late(0.3), times=None, chance=0.2),
        FaultRule("submit", Partial("0.4"), times=None, chance=0.15),
        FaultRule("submit", DropAfter(), times=None, chance=0.05),
        FaultRule("look_up", DropBefore(), times=None, chance=0.1),
    ],
    seed=SEED,
)
PRICES = {  # bid, ask; ETH/USDT is also shown where the cycle earns nothing
    "BTC/USDT": ("99.90", "100.00"),
    "ETH/BTC": ("0.04990", "0.05000"),
    "ETH/USDT": ("5.05", "5.06"),
}
GONE = ("4.97", "4.98")


@attrs.define
class Kill:
    """How one process is to die.

    Attributes:
        on: the kind of request at whose arrival it dies; None is at any moment.
        nth: which of them.
        fault: what becomes of that request.
        after_seconds: how long after the arrival, or after its birth.
        pid: whom it is about.
    """

    on: Endpoint | None
    nth: int = 1
    fault: object = None
    after_seconds: float = 0.0
    pid: int | None = None
    arrived: int = 0


def drawn(dice):
    """A way to die: at orders most of all, before, while and after the exchange acts; while looking up and recovering."""
    soon = dice.choice((0.0, dice.uniform(0, 0.02)))
    place = dice.randrange(10)
    if place < 2:
        return Kill(None, after_seconds=dice.uniform(0, 0.6))
    if place < 7:
        late = Late(
            dice.uniform(0.2, 2.9)
        )  # acts when its sender is dead, perhaps during the recovery
        faults = (None, None, DropBefore(), DropAfter(), late, late, Truncate(), Hang(acts=False))
        fault = dice.choice((*faults, Hang()))
        return Kill(Endpoint.SUBMIT, dice.randint(1, 6), fault, soon)
    reads = (Endpoint.LOOK_UP, Endpoint.BALANCES, Endpoint.BOOK, Endpoint.TRADES)
    fault = dice.choice((None, Late(0.1), Hang()))
    return Kill(dice.choice(reads), dice.randint(1, 3), fault, soon)


class Venue:
    """What the exchange does beside serving: it refills its books, looks into the ledger, and kills."""

    def __init__(self, exchange, ledger, dice):
        self.exchange, self.ledger, self.dice = exchange, ledger, dice
        self.kill = None
        self.lock = threading.Lock()
        self.shown = 0
        exchange.on_arrival.append(self.arrived)

    def arrived(self, request):
        if request.on in (Endpoint.QUOTES, Endpoint.BOOK):
            self.refill(gone=request.on is Endpoint.BOOK and self.dice.random() < 0.1)
        if request.on is Endpoint.SUBMIT:
            assert self.is_durable(request.client_id), f"I1: {request.client_id}"
        with self.lock:
            kill = self.kill
            if kill is None or kill.on is not request.on:
                return
            kill.arrived += 1
            if kill.arrived == kill.nth:
                self.die(kill)

    def die(self, kill):
        if not kill.after_seconds:
            os.kill(kill.pid, signal.SIGKILL)
            return
        asyncio.get_running_loop().call_later(kill.after_seconds, self.strike, kill)

    def strike(self, kill):
        """Kill it, unless it has ended by itself: its id may be somebody else's by now."""
        with self.lock:
            if self.kill is kill:
                os.kill(kill.pid, signal.SIGKILL)

    def refill(self, *, gone):
        """Show fresh liquidity: a level is new once its amount differs."""
        self.shown += 1
        size = Decimal(50) + Decimal(self.shown % 7)
        for symbol, prices in PRICES.items():
            quoted = GONE if gone and symbol == "ETH/USDT" else prices
            bid, ask = ((Level(Decimal(price), size),) for price in quoted)
            self.exchange.set_book(OrderBook(symbol, bid, ask, self.exchange.clock.now_ns()))

    def is_durable(self, client_id):
        """Whether another connection sees the intent of an order that is just arriving."""
        query = "SELECT payload FROM journal WHERE kind = 'Intended' ORDER BY seq DESC LIMIT 1"
        with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as reader:
            return f'"{client_id}"' in reader.execute(query).fetchone()[0]


@pytest.fixture(scope="module")
def nursery():
    """A process that forks those that trade, so that none of them has to import ccxt anew."""
    alone = {"OPENBLAS_NUM_THREADS": "1"}  # it forks
    with subprocess.Popen(
        [sys.executable, TRADER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=os.environ | alone,
    ) as process:
        yield process
        process.stdin.close()
        process.wait(30)


def life(nursery, venue, kill, cycles=""):
    """Let a process trade until it is killed, or has traded so many cycles; how it ended."""
    exchange = venue.exchange
    if kill.fault is not None:
        exchange.inject(FaultRule(kill.on, kill.fault, nth=kill.nth))
    with venue.lock:
        venue.kill = kill
        nursery.stdin.write(f"{exchange.port} {venue.ledger} {exchange.clock.origin_ns} {cycles}\n")
        kill.pid = int(nursery.stdout.readline())
    latest = kill.after_seconds if kill.on is None else PATIENCE_SECONDS
    timer = threading.Timer(latest, venue.strike, [kill])
    timer.start()
    status = int(nursery.stdout.readline())
    with venue.lock:
        venue.kill = None
    timer.cancel()
    return status


def traded(fill):
    """What a fill says, but for its names."""
    return fill.price, fill.amount, sorted(fill.fees.items())


async def events_of(ledger):
    """All events, and what they come to."""
    async with SqlLedger(ledger, read_only=True) as books:
        return list(books.events()), books.portfolio()


@attrs.define
class Tally:
    """What came of the kills so far."""

    kills: int = 0
    orders: int = 0
    cycles: int = 0
    duplicates: int = 0
    orphans: int = 0
    unresolved: int = 0
    difference: Decimal = Decimal(0)
    last: Counter = attrs.field(factory=Counter)
    ends: Counter = attrs.field(factory=Counter)

    def __str__(self):
        return (
            f"{self.kills} kills, {self.orders} orders in {self.cycles} cycles: {self.duplicates} duplicates, "
            f"{self.orphans} orphans, {self.unresolved} unresolved, difference {self.difference.normalize():f}; with none in "
            f"{self.kills}, fewer than {3 / self.kills:.2%} of kills do harm (95 % confidence)"
        )

    @property
    def harm(self):
        """All that must be nothing."""
        return self.duplicates, self.orphans, self.unresolved, self.difference

    def count(self, venue, events, portfolio):
        """Compare what is durable with what the exchange has."""
        exchange = venue.exchange
        orders = {}
        for entry in exchange.engine._orders:  # all that it ever took
            orders.setdefault(entry.order.client_id, []).append(entry.state())
        posts = exchange.posts()
        self.duplicates += sum(n - 1 for n in posts.values())
        self.duplicates += sum(len(states) - 1 for states in orders.values())
        intents = {e.order.client_id: e.order for e in events if isinstance(e, Intended)}
        proven = {e.client_id: e.outcome for e in events if isinstance(e, Proven)}
        fills = [e.fill for e in events if isinstance(e, Filled)]
        self.orphans += len((orders.keys() | posts.keys()) - intents.keys())
        for cid in intents:
            never = proven.get(cid) in (OrderOutcome.NEVER, OrderOutcome.REJECTED)
            known = sorted(traded(f) for f in fills if f.client_id == cid)
            told = sorted(traded(f) for state in orders.get(cid, ()) for f in state.fills)
            self.unresolved += cid not in proven or never is (cid in orders) or known != told
        self.unresolved += len(portfolio.open) + len(portfolio.stuck)
        held = {asset: balance.total for asset, balance in exchange.engine.balances.items()}
        assets = held.keys() | portfolio.balances.keys()
        self.difference += sum(
            abs(held.get(a, Decimal(0)) - portfolio.balances.get(a, Decimal(0))) for a in assets
        )
        self.orders += len(orders)
        self.cycles += portfolio.started
        ends = [e.execution.outcome for e in events if isinstance(e, ExecutionEnded)]
        self.ends.update(map(str, ends))
        for before, event in pairwise(events):
            if isinstance(event, EpochStarted):
                self.last[type(before).__name__] += 1


async def test_whoever_is_killed_leaves_nothing_that_is_not_recovered(nursery, tmp_path, capsys):
    """E1, I1-I4, I6: after every SIGKILL no order is double, none unknown, none unproven, and nothing is missing."""
    dice, tally, began = random.Random(SEED), Tally(), time.monotonic()
    while tally.kills < KILLS:
        ledger = tmp_path / f"ledger-{tally.kills}.sqlite"
        clock = FastClock(time.time_ns() - FastClock.SPEED * time.monotonic_ns())
        with in_background(
            planted_triangle(), balances={"USDT": "100000"}, clock=clock, faults=SMALL_TROUBLE
        ) as exchange:
            venue = Venue(exchange, ledger, dice)
            until = min(KILLS, tally.kills + A_LEDGER)
            while tally.kills < until:
                status = life(nursery, venue, drawn(dice))
                assert status in (-signal.SIGKILL, *BY_ITSELF)
                tally.kills += status == -signal.SIGKILL
            for _ in range(5):  # what is told late is proven by the next
                assert life(nursery, venue, Kill(None, after_seconds=60), cycles=1) in BY_ITSELF
                events, portfolio = await events_of(ledger)
                if not portfolio.open and not portfolio.stuck:
                    break
            assert portfolio.halted is None
            assert not portfolio.reserved
            tally.count(venue, events, portfolio)
        with capsys.disabled():
            print(f"\n{tally} [seed {SEED}, {time.monotonic() - began:.0f} s]")  # noqa: T201
            print(f"last durable: {dict(tally.last)}; ended: {dict(tally.ends)}")  # noqa: T201
        assert tally.harm == (0, 0, 0, 0)
    assert tally.last["Intended"] + tally.last["Answered"] >= KILLS / 10  # some died at the worst
    assert tally.cycles >= KILLS / 2
