"""Interruptions at every await: a halt, a clock that jumps, a cancellation, a signal. No order leaves that must not, none is lost."""

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal

import aiohttp
import attrs
import pytest

from triarb.clock import NS_PER_MS, NS_PER_SECOND, ManualClock, SystemClock
from triarb.engine import Engine
from triarb.engine.lag import MAX_LAG_MS, Lag
from triarb.execution import SequentialExecutor
from triarb.gateways.ccxt import CcxtGateway
from triarb.gateways.last_word import last_word, withheld
from triarb.gateways.paper import PaperGateway
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import Ledger, SqlLedger
from triarb.ledger.accounts import Accounts
from triarb.market.tape import Tape
from triarb.model import (
    Approved,
    Declined,
    Intended,
    OrderBook,
    Outcome,
    Proven,
    Quote,
    Refused,
)
from triarb.risk import AllOf, RiskLimits, RiskPolicy
from triarb.sizing import DepthSizer
from triarb.testing.faults import Endpoint
from triarb.testing.loopback import LoopbackExchange, in_background
from triarb.testing.market import START_NS, planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
D = Decimal


class Quick(Ledger):
    """A ledger that waits for nothing, so that nothing but the exchange takes time."""

    def __init__(self):
        self.accounts, self.events = Accounts(), []
        self.before = lambda *_events: None

    async def append(self, *events):
        self.before(*events)
        self.accounts.apply(*events)
        self.events += events

    def portfolio(self):
        return self.accounts.state.portfolio

    def unfinished(self):
        return tuple(self.accounts.state.unfinished.values())


class Steps:
    """Awaits `work`, and calls `act` when it waits for the `at`-th time."""

    def __init__(self, work, at, act):
        self.work, self.at, self.act, self.count = work, at, act, 0

    def __await__(self):
        running = self.work.__await__()
        go_on, given = running.send, None
        while True:
            try:
                waits_for = go_on(given)
            except StopIteration as end:
                return end.value
            self.count += 1
            if self.count == self.at:
                self.act()
            go_on, given = running.send, None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - handed on to the work, whatever it is
                go_on, given = running.throw, error


class Stepped(SequentialExecutor):
    """Is interrupted when it waits for the `at`-th time."""

    def __init__(self, at, act):
        super().__init__()
        self.at, self.act, self.passed = at, act, False

    async def execute(self, plan, context, /):
        steps = Steps(super().execute(plan, context), self.at, self.act)
        execution = await steps
        self.passed = steps.count < self.at
        return execution


def replay(*changes):
    later = Quote("ETH/USDT", D("5.05"), D("5.06"), D(50), D(50), START_NS + 60_000 * NS_PER_MS)
    tape = Tape.of(planted_triangle(), [*changes, later])
    return ReplayGateway(tape, balances={"USDT": "1000"}, latency_ms=10)


def deep():
    """The planted triangle with enough at every price for a hundred cycles."""
    shown = planted_triangle()
    quotes = [attrs.evolve(q, bid_size=D(5000), ask_size=D(5000)) for q in shown.quotes]
    return attrs.evolve(shown, quotes=tuple(quotes))


# A halt


async def halted_at(gateway, at, told):
    """An engine that is halted when its executor waits for the `at`-th time; whether it had come to its end before."""
    tasks, elsewhere = [], contextvars.copy_context()

    async def halt():
        await engine.halt("now")
        told.append("acknowledged")

    def start():
        tasks.append(asyncio.get_running_loop().create_task(halt(), context=elsewhere))

    executor = Stepped(at, start)
    ledger = Quick()
    engine = Engine(
        gateway, risk=LIMITS, ledger=ledger, executor=executor, start=["USDT"], epoch=f"e{at:04}"
    )
    report = await engine.run(cycles=1)
    await asyncio.gather(*tasks)
    [execution] = report.executions
    assert execution.outcome in (Outcome.NOTHING, Outcome.COMPLETED)
    assert ledger.portfolio().open == ()
    return executor.passed


def opened_after(told):
    """Whether an order that opens came in after the halt was acknowledged."""
    after = told[told.index("acknowledged") :] if "acknowledged" in told else []
    return [cid for cid in after if cid.endswith("l1a0")]


@pytest.mark.once
async def test_no_order_that_opens_comes_in_after_a_halt_is_acknowledged():
    """I8, E9: a halt at every await from the plan to the end, on the wire with real ccxt: no POST of leg 1 after it returned."""
    async with LoopbackExchange(deep(), balances={"USDT": "1000"}) as exchange:
        told, nothing = [], 0
        exchange.on_arrival.append(
            lambda request: (
                told.append(request.client_id) if request.on is Endpoint.SUBMIT else None
            )
        )
        at, passed = 0, False
        while not passed:
            at += 1
            told.clear()
            gateway = CcxtGateway(
                "binance",
                credentials=exchange.credentials,
                session_factory=exchange.session_factory,
            )
            async with gateway:
                linger(gateway)
                passed = await halted_at(gateway, at, told)
            assert opened_after(told) == [], at
            nothing += not told or told == ["acknowledged"]
        assert at > 20
        assert 3 <= nothing < at - 1


async def test_no_order_that_opens_acts_after_a_halt_is_acknowledged_in_memory():
    """I8, E9: the same with a simulated exchange under a virtual clock."""
    at, passed, told = 0, False, []
    while not passed:
        at += 1
        told.clear()
        gateway = replay()
        async with gateway:
            submit = gateway.engine.submit

            def noted(order, now_ns, submit=submit):
                told.append(order.client_id)
                return submit(order, now_ns)

            gateway.engine.submit = noted
            passed = await halted_at(gateway, at, told)
        assert opened_after(told) == [], at
    assert at > 5


@pytest.fixture
async def wired():
    """A CcxtGateway to a loopback exchange, on one virtual clock."""
    clock = ManualClock(START_NS)
    async with LoopbackExchange(
        planted_triangle(), balances={"USDT": "1000"}, clock=clock
    ) as exchange:
        gateway = CcxtGateway(
            "binance",
            credentials=exchange.credentials,
            session_factory=exchange.session_factory,
            clock=clock,
        )
        async with gateway:
            yield gateway, exchange


def linger(gateway):
    """Let each request wait at the limiter, and connect anew."""
    instance = gateway._account.line.instance
    throttle = instance.throttle

    async def lingering(cost=None):
        for _ in range(3):
            await asyncio.sleep(0)
        await throttle(cost)
        session = instance.session._session._session  # behind ours and the loopback one
        await session.connector.close()
        session._connector = aiohttp.TCPConnector()

    instance.throttle = lingering


def once_signed(gateway, act):
    """Call `act` when ccxt has signed an order: after the gate and the limiter, and before it is sent."""
    instance = gateway._account.line.instance
    sign = instance.sign

    def and_act(path, api="public", method="GET", *more):
        signed = sign(path, api, method, *more)
        if method == "POST":
            act()
        return signed

    instance.sign = and_act


async def test_the_gate_is_asked_again_right_before_the_first_byte(wired, tmp_path):
    """E9: a halt by file, of which nobody is told, that comes after the gate and before the wire, stops the order."""
    gateway, exchange = wired
    ledger = Quick()
    engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
    file = tmp_path / "x.halt"
    engine._gate.latch.keep_in(file)
    once_signed(gateway, lambda: file.write_text("watchdog"))
    report = await engine.run(cycles=1)
    [execution] = report.executions
    assert (execution.outcome, execution.reason.code) == (Outcome.NOTHING, "engine.halted")
    assert (report.state, report.halted) == ("halted", "watchdog")
    assert exchange.posts() == {}
    assert [e.outcome.value for e in ledger.events if isinstance(e, Proven)] == ["rejected"]


async def test_who_halts_while_it_sends_does_not_wait_for_itself(wired):
    """E9: a gateway, or what it calls, may halt the engine that is sending through it."""
    gateway, _ = wired
    engine = Engine(gateway, risk=LIMITS, ledger=Quick(), start=["USDT"])
    submit = gateway.submit

    async def halting(order, /):
        await asyncio.wait_for(engine.halt("from within"), 5)
        return await submit(order)

    gateway.submit = halting
    [execution] = (await engine.run(cycles=1)).executions
    assert execution.reason.code == "engine.halted"


async def test_a_last_word_is_heard_inside_only():
    """Outside of `last_word` nothing is withheld, and inside whatever the check says is."""
    no = Refused("mine.no", "no")
    assert withheld() is None
    with last_word(lambda: no):
        assert withheld() is no
        with last_word(lambda: None):
            assert withheld() is None
        assert await asyncio.ensure_future(asyncio.sleep(0, withheld())) is no
    assert withheld() is None


# A clock that jumps


async def test_an_order_that_was_signed_long_ago_does_not_leave(wired):
    """D9, I11: a process that was suspended between the gate and the wire does not send what it had decided before."""
    gateway, exchange = wired
    once_signed(
        gateway, lambda: gateway.clock.advance_to(gateway.clock.now_ns() + 2 * NS_PER_SECOND)
    )
    report = await Engine(gateway, risk=LIMITS, ledger=Quick(), start=["USDT"]).run(cycles=1)
    [execution] = report.executions
    assert (execution.outcome, execution.reason.code) == (Outcome.NOTHING, "leg.short")
    assert "leg.late" in execution.reason.sentence
    assert exchange.posts() == {}


@pytest.mark.parametrize("leg", [1, 2, 3])
async def test_a_leg_decided_on_long_ago_is_decided_on_anew(leg):
    """D8, D9: where the clock jumps while an intent is written, leg 1 is let be, and a later one goes by fresh books."""
    gateway, ledger, sent = replay(), Quick(), []

    def jump(event, *_):
        if isinstance(event, Intended):
            sent.append(event)
            if len(sent) == leg:
                gateway.clock.advance_to(event.at_ns + 2 * NS_PER_SECOND)

    ledger.before = jump
    async with gateway:
        report = await Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"]).run(cycles=1)
        held = {a: b.total for a, b in (await gateway.balances()).items()}
    [execution] = report.executions
    late = execution.legs[leg - 1]
    assert (late.filled, "leg.late" in late.reason) == (0, True)
    assert execution.outcome is (Outcome.NOTHING if leg == 1 else Outcome.UNWOUND)
    assert len(execution.further) == (0 if leg == 1 else 4 - leg)  # forward, which still pays
    assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held


@pytest.mark.parametrize("blocked_in", ["a policy", "the sizer"])
async def test_what_was_decided_before_the_loop_was_blocked_is_not_sent(blocked_in):
    """D12: a part that lets nothing else run for two seconds makes what was confirmed before it too old to begin with."""
    gateway, ledger = replay(), Quick()

    def block():
        gateway.clock.advance_to(gateway.clock.now_ns() + 2 * NS_PER_SECOND)

    class Slow(RiskPolicy):
        def review(self, opportunity, portfolio, now_ns, /):
            block()
            return Approved(opportunity)

    class Sizing(DepthSizer):
        def size(self, approved, portfolio, /):
            block()
            return super().size(approved, portfolio)

    risk, sizer = (LIMITS, Sizing()) if blocked_in == "the sizer" else (AllOf(LIMITS, Slow()), None)
    async with gateway:
        engine = Engine(gateway, risk=risk, sizer=sizer, ledger=ledger, start=["USDT"])
        [execution] = (await engine.run(cycles=1)).executions
        held = {a: b.total for a, b in (await gateway.balances()).items() if b.total}
    assert (execution.outcome, held) == (Outcome.NOTHING, {"USDT": D(1000)})
    assert "leg.late" in execution.legs[0].reason


class Blocking(SystemClock):
    """A real clock to all who ask; it stands still until something keeps the loop for a while."""

    def __init__(self):
        super().__init__()
        self.at_ns = START_NS

    def now_ns(self):
        return self.at_ns

    async def sleep(self, seconds, /):
        await asyncio.sleep(0)
        self.at_ns += round(seconds * NS_PER_SECOND)


class Shown:
    """A market whose books come from a socket: while the first answer waits there, something blocks the loop."""

    exchange = "shown"

    def __init__(self, blocked_ms):
        self.clock, self.snapshot, self.blocked_ms = Blocking(), planted_triangle(), [blocked_ms]

    async def markets(self):
        return self.snapshot.markets

    async def fees(self, _symbols=None, /):
        return self.snapshot.fees()

    async def quotes(self):
        while True:
            yield self.snapshot.quotes

    async def order_book(self, symbol, _depth=20, /):
        await asyncio.sleep(0)  # the answer is on its way
        if self.blocked_ms:
            self.clock.at_ns += self.blocked_ms.pop() * NS_PER_MS
        [quote] = [quote for quote in self.snapshot.quotes if quote.symbol == symbol]
        return attrs.evolve(OrderBook.from_quote(quote), received_ns=self.clock.now_ns())


@pytest.mark.parametrize(("blocked_ms", "begins"), [(0, True), (1000, True), (1001, False)])
async def test_a_book_that_waited_for_a_blocked_loop_is_not_young(blocked_ms, begins):
    """D12: books look young by when they were read; no cycle begins on them if the loop stood still meanwhile."""
    told = []
    gateway = PaperGateway(Shown(blocked_ms), balances={"USDT": "1000"}, latency_ms=1)
    parts = {"risk": LIMITS, "ledger": Quick(), "start": ["USDT"], "observers": [told.append]}
    async with gateway, Engine(gateway, **parts) as engine:
        first = await engine.step()
        execution = first or await engine.step()
    assert (first is not None) is begins
    assert execution.outcome is Outcome.COMPLETED, "the next books were read in time"
    refused = [event.refused.code for event in told if isinstance(event, Declined)]
    assert refused == ([] if begins else ["engine.blocked"])


@pytest.mark.once
async def test_the_lag_of_a_real_loop_is_noticed():
    """D12: a part that sleeps without letting the loop go round makes its timer late, whoever else waited."""
    with Lag(SystemClock()) as lag:
        await asyncio.sleep(0)
        time.sleep((MAX_LAG_MS + 50) / 1000)  # noqa: ASYNC251 - that is what it is about
        await asyncio.sleep(0.1)
    assert lag.refused().code == "engine.blocked"
    with Lag(ManualClock()) as lag:
        lag.clock.advance_to(10 * NS_PER_SECOND)
    assert lag.refused() is None


# A cancellation


@pytest.mark.parametrize("within", ["the run", "the executor"])
async def test_a_run_cancelled_at_any_await_leaves_nothing_unproven(within):
    """D13: an engine cancelled at the n-th await, for every n: what it began is ended, and the books agree."""
    at, done, cancelled = 0, False, 0
    while not done:
        at += 1
        gateway, ledger, tasks = replay(), Quick(), []

        def cancel(tasks=tasks):
            asyncio.get_running_loop().call_soon(tasks[0].cancel)

        executor = Stepped(at if within == "the executor" else 10**9, cancel)
        async with gateway:
            parts = {"risk": LIMITS, "ledger": ledger, "executor": executor, "start": ["USDT"]}
            async with Engine(gateway, **parts) as engine:
                steps = Steps(engine.run(cycles=1), at if within == "the run" else 10**9, cancel)
                tasks.append(asyncio.ensure_future(_awaited(steps)))
                [ended] = await asyncio.gather(*tasks, return_exceptions=True)
                cancelled += isinstance(ended, asyncio.CancelledError)
                done = executor.passed if within == "the executor" else steps.count < at
            assert all_proven(ledger), at
            held = {a: b.total for a, b in (await gateway.balances()).items()}
            assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held, at
    assert {e.outcome for e in ledger.portfolio().recent} == {Outcome.COMPLETED}
    assert cancelled >= 3


async def _awaited(steps):
    return await steps


def all_proven(ledger):
    """Whether all that was intended is proven, and all that was started has ended."""
    intents = {e.order.client_id for e in ledger.events if isinstance(e, Intended)}
    proven = {e.client_id for e in ledger.events if isinstance(e, Proven)}
    now = ledger.portfolio()
    return intents == proven and not (now.open or now.stuck or now.reserved)


async def test_an_executor_cancelled_at_any_await_is_recovered_from():
    """D13, I3: who runs an executor without an engine and cancels it leaves nothing that the next start cannot prove."""
    at, passed = 0, False
    while not passed:
        at += 1
        gateway, ledger, tasks = replay(), Quick(), []
        async with gateway:
            executor = Stepped(
                at, lambda tasks=tasks: asyncio.get_running_loop().call_soon(tasks[0].cancel)
            )
            engine = Engine(gateway, risk=LIMITS, ledger=ledger, executor=executor, start=["USDT"])
            async with engine:
                executing = asyncio.ensure_future(_bare(engine))
                tasks.append(executing)
                passed = await asyncio.gather(executing, return_exceptions=True) == [True]
            async with Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"]) as engine:
                assert engine.recovery.stuck == {}
            assert (ledger.portfolio().open, ledger.portfolio().stuck) == ((), ()), at
            held = {a: b.total for a, b in (await gateway.balances()).items()}
            assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held, at


async def _bare(engine):
    """Carry out the first plan without the engine's protection."""
    plans = []
    execute = engine._execute
    engine._execute = lambda plan: asyncio.sleep(0, plans.append(plan))
    await engine.step()
    engine._execute = execute
    await engine.executor.execute(plans[0], engine._context())
    return True


# A signal


@pytest.mark.once
@pytest.mark.parametrize("leg", [1, 2, 3])
def test_a_signal_lets_the_cycle_under_way_come_to_its_end(tmp_path, leg):
    """E16: a process that is told to end while an order of leg 1, 2 or 3 is on the wire ends that cycle, then itself."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        ended = trading(exchange, tmp_path, leg, [signal.SIGTERM, signal.SIGINT][leg % 2])
        assert (ended.returncode, ended.stdout) == (0, "completed done 0\n"), ended.stderr
        assert len(exchange.posts()) == 3


@pytest.mark.once
@pytest.mark.parametrize("leg", [1, 2, 3])
async def test_a_second_signal_ends_at_once_and_is_recovered_from(tmp_path, leg):
    """E16, I2, I3: the second signal ends the process in the middle of a cycle; the next start proves and ends it."""
    with in_background(planted_triangle(), balances={"USDT": "1000"}) as exchange:
        ended = await asyncio.to_thread(
            trading, exchange, tmp_path, leg, signal.SIGTERM, signal.SIGTERM
        )
        assert ended.returncode == -signal.SIGTERM
        assert len(exchange.posts()) == leg
        exchange.on_arrival.clear()
        again = await asyncio.to_thread(run_trader, exchange, tmp_path, 1)
        assert (again.returncode, again.stdout) == (0, "done 0\n"), again.stderr
        assert max(exchange.posts().values()) == 1
        held = {a: b.total for a, b in exchange.engine.balances.items() if b.total}
        async with SqlLedger(tmp_path / "ledger.sqlite") as ledger:
            assert ledger.portfolio().balances == held
            assert (ledger.portfolio().started, ledger.unfinished()) == (1, ())


TRADER = """
import functools, sys
from pathlib import Path
from triarb import CcxtGateway, Engine, RiskLimits
from triarb.cli.running import run_engine
from triarb.gateways.ccxt import Credentials
from triarb.testing.loopback import LoopbackSession

port, folder, cycles = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
stop = Engine.stop

def stopping(engine):
    stop(engine)
    (folder / "stopping").touch()

Engine.stop = stopping
gateway = CcxtGateway(
    "binance",
    credentials=Credentials("loopback-key", "loopback-secret"),
    session_factory=functools.partial(LoopbackSession, port),
    poll_seconds=0.01,
)
risk = RiskLimits(min_edge_bps=0 if cycles > 1 else 499, max_notional="50 USDT", max_daily_loss="100 USDT")
report = run_engine(
    gateway,
    title="",
    watched=False,
    ledger_path=folder / "ledger.sqlite",
    seconds=None if cycles > 1 else 0.01,
    cycles=cycles,
    risk=risk,
    start=["USDT"],
)
print(*report.outcomes, report.state, len(report.unfinished))
"""


def run_trader(exchange, folder, cycles, started=None):
    """A process that trades until it is told to stop; where it is to trade one cycle, it only recovers."""
    line = [sys.executable, "-c", TRADER, str(exchange.port), str(folder), str(cycles)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if started is not None:
        started.append(process)
    stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(line, process.returncode, stdout, stderr)


def trading(exchange, folder, leg, *numbers):
    """A process that is sent `numbers`, each once it has heard the one before, while its order number `leg` is held up."""
    started = []

    def interrupt(request):
        if request.on is not Endpoint.SUBMIT or len(exchange.posts()) != leg:
            return
        for told, number in enumerate(numbers):
            while told and not (folder / "stopping").exists():
                time.sleep(0.001)
            os.kill(started[0].pid, number)
        if len(numbers) > 1:
            started[0].wait(30)

    exchange.on_arrival.append(interrupt)
    return run_trader(exchange, folder, 100, started)
