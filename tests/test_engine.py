"""The engine: one path from quotes to a settled execution, and a clean end however it ends."""

import asyncio
import gc
import threading
import weakref
from decimal import Decimal

import attrs
import pytest

from triarb.clock import NS_PER_MS, SystemClock
from triarb.engine import Engine
from triarb.exceptions import GatewayUnavailable, LedgerError, PolicyViolation, UsageError
from triarb.execution import SequentialExecutor
from triarb.finders import BoundedCycleFinder
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import SqlLedger
from triarb.market import FeeSchedule
from triarb.market.tape import Tape
from triarb.model import (
    Approved,
    BalancesSet,
    Compared,
    Confirmed,
    Declined,
    EpochStarted,
    Executed,
    Fee,
    Halted,
    Intended,
    LegDone,
    Nominated,
    Opportunity,
    OrderOutcome,
    Outcome,
    Planned,
    Provenance,
    Quote,
    Refused,
    Reviewed,
    RunEnded,
    Submission,
    SubmissionStatus,
)
from triarb.risk import RiskLimits
from triarb.testing.market import START_NS, planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")


def quote(ms, symbol="ETH/USDT", bid="5.05", ask="5.06", size="50"):
    numbers = (Decimal(bid), Decimal(ask), Decimal(size), Decimal(size))
    return Quote(symbol, *numbers, START_NS + ms * NS_PER_MS)


def replay(*changes, balances=None, latency_ms=10):
    """The planted triangle, and then `changes`."""
    tape = Tape.of(planted_triangle(), changes)
    return ReplayGateway(tape, balances=balances or {"USDT": "1000"}, latency_ms=latency_ms)


async def run(gateway, ledger=None, *, cycles=1, observers=(), **parts):
    """Run an engine with an in-memory ledger; the report and the ledger's events."""
    async with gateway, SqlLedger("sqlite://") as own:
        ledger = ledger or own
        parts = {"risk": LIMITS, "epoch": "abcd", **parts}
        engine = Engine(gateway, ledger=ledger, observers=observers, **parts)
        report = await engine.run(cycles=cycles)
        return report, list(ledger.events()), engine


async def test_planted_triangle_is_found_executed_and_settled():
    """The whole path: the planted triangle trades within its bounds, and the ledger holds what the exchange holds."""
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
        report = await engine.run(cycles=1)
        held = {a: b.total for a, b in (await gateway.balances()).items()}
        assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held
    (execution,) = report.executions
    assert execution.outcome is Outcome.COMPLETED
    assert execution.plan.cycle_id == "BTC>ETH>USDT"
    assert execution.plan.at_stake <= 100
    assert execution.result == execution.plan.expected_result > 0
    assert report.net == {"USDT": execution.result}
    assert report.gross["USDT"] == report.net["USDT"] + report.fee_cost["USDT"]
    assert report.state == "done"


async def test_the_same_tape_gives_the_same_journal():
    """I12: two runs over one tape with one epoch write byte-identical events."""
    changes = [quote(40 * i, bid=f"5.0{i}", ask="5.10") for i in range(1, 9)]
    journals = [(await run(replay(*changes), cycles=3))[1] for _ in range(2)]
    assert journals[0] == journals[1]
    assert any(isinstance(event, Intended) for event in journals[0])


async def test_nothing_profitable_says_none_and_why():
    """Without an edge after fees nothing is nominated, nothing trades, and the report is honest about it."""
    flat = quote(5, bid="4.99", ask="5.00")
    report, _, _ = await run(
        replay(flat, quote(50, bid="4.98", ask="5.00")), cycles=None, finder=None
    )
    later = await run(
        replay(flat),
        risk=RiskLimits(
            min_edge_bps=400, max_edge_bps=500, max_notional="100 USDT", max_daily_loss="20 USDT"
        ),
        cycles=None,
    )
    assert later[0].refused == {"risk.min_edge": 1}
    assert later[0].executions == ()
    assert report.counts["batches"] == 3


async def test_missed_by_latency_is_counted():
    """A price that is gone when the order arrives is an execution of nothing, counted as missed."""
    report, _, _ = await run(replay(quote(2, "BTC/USDT", "109", "110"), latency_ms=20))
    assert report.outcomes == {Outcome.NOTHING: 1}
    assert report.missed == 1
    assert report.net == {"USDT": Decimal(0)}


async def test_observers_are_told_the_path_in_order():
    """Every stage of one execution is told, in the order of the path, and the run's end last."""
    told = []
    await run(replay(quote(100)), observers=[told.append])
    kinds = [type(event) for event in told]
    assert kinds == [
        Nominated,
        Confirmed,
        Reviewed,
        Planned,
        LegDone,
        LegDone,
        LegDone,
        Executed,
        RunEnded,
    ]


async def test_an_observer_can_neither_break_nor_block(monkeypatch):
    """E19: an observer that raises, and one that never returns, change nothing of what is traded."""
    monkeypatch.setattr("triarb.engine.observers.CLOSING_SECONDS", 0.01)
    stuck = asyncio.Event()

    async def hangs(_event):
        await stuck.wait()

    def raises(_event):
        raise RuntimeError("observer")

    report, _, _ = await run(replay(quote(100)), observers=[raises, hangs])
    assert report.outcomes == {Outcome.COMPLETED: 1}


async def test_a_lagging_observer_loses_the_oldest(monkeypatch):
    """E15: an observer too far behind loses events rather than memory; how many is counted."""
    monkeypatch.setattr("triarb.engine.observers.CAPACITY", 2)
    monkeypatch.setattr("triarb.engine.observers.CLOSING_SECONDS", 0.0)
    hold, told = threading.Event(), []

    def lags(event):
        hold.wait()
        told.append(event)

    report, _, engine = await run(replay(quote(100)), observers=[lags])
    assert report.outcomes == {Outcome.COMPLETED: 1}
    assert engine._observers.lost >= 6  # of nine: one was taken at most, and two wait
    hold.set()


async def test_scan_once_confirms_and_trades_nothing():
    """scan_once answers with opportunities and refusals, and sends no order."""
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        async with Engine(gateway, risk=LIMITS, ledger=ledger) as engine:
            (answer,) = await engine.scan_once()
            assert isinstance(answer, Opportunity)
            assert await engine.step() is not None
            assert await engine.scan_once() == []  # the tape is over
            assert await engine.step() is None
        kinds = {type(event) for event in ledger.events()}
    assert Intended in kinds


async def test_halt_closes_the_gate_and_survives_a_restart():
    """I8: after halt no order is sent, also not by the next engine on this ledger, until a person resumes."""
    async with SqlLedger("sqlite://") as ledger:
        first = replay(quote(100))
        async with first, Engine(first, risk=LIMITS, ledger=ledger) as engine:
            await engine.halt("by hand")
            report = await engine.run()
            assert (report.state, report.halted, report.executions) == ("halted", "by hand", ())
        second = replay(quote(100))
        async with second, Engine(second, risk=LIMITS, ledger=ledger) as engine:
            assert (await engine.run()).state == "halted"
            await engine.resume("the owner")
            assert (await engine.run(cycles=1)).outcomes == {Outcome.COMPLETED: 1}
        assert [type(e) for e in ledger.events()].count(Intended) == 3


def halting(gateway, engine):
    """`gateway`, on which the engine is halted as soon as an order was sent."""
    submit = gateway.submit

    async def and_halt(order):
        answer = await submit(order)
        await engine[0].halt("stop")
        return answer

    gateway.submit = and_halt
    return gateway


async def test_halt_between_legs_lets_what_closes_through():
    """I8, E9: a halt while a cycle runs strands nothing: the orders that close it pass, and none that opens one does."""
    engine = []
    gateway = halting(replay(quote(100), quote(200)), engine)
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine.append(Engine(gateway, risk=LIMITS, ledger=ledger))
        report = await engine[0].run()
        intents = [event for event in ledger.events() if isinstance(event, Intended)]
    assert report.state == "halted"
    assert report.outcomes == {Outcome.COMPLETED: 1}
    assert [str(intent.purpose) for intent in intents] == ["open", "close", "close"]


async def test_a_freezing_halt_lets_nothing_through():
    """I8: an engine that freezes on a halt sends no order after it, and what is stranded stays on record."""
    engine = []
    gateway = halting(replay(quote(100)), engine)
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine.append(Engine(gateway, risk=LIMITS, ledger=ledger, freeze=True))
        report = await engine[0].run()
    assert report.state == "halted"
    assert report.outcomes == {Outcome.SHORT: 1}
    assert report.executions[0].reason.code == "engine.halted"
    assert report.residues["BTC"] > 0


class Lost(SequentialExecutor):
    """Sends through a gateway whose second answer is lost."""

    async def execute(self, plan, context, /):
        class Gateway:
            order_expiry_ns = None  # so that it can never be proven that the order did not arrive
            look_up = staticmethod(context.gateway.look_up)
            sent = 0

            async def submit(self, order):
                self.sent += 1
                if self.sent == 2:
                    return Submission(SubmissionStatus.UNKNOWN, reason="lost")
                return await context.gateway.submit(order)

        return await super().execute(plan, attrs.evolve(context, gateway=Gateway()))


class Lasting(ReplayGateway):
    """An exchange that takes an order however late it comes, so that waiting never proves that it did not."""

    order_expiry_ns = None


async def test_a_stuck_execution_stops_this_engine_and_the_next():
    """A8: STUCK is durable: the engine stops, the next one on this ledger does not trade, and cannot be resumed."""
    async with SqlLedger("sqlite://") as ledger:
        report, _, _ = await run(
            replay(quote(100), quote(60_000)), ledger, cycles=None, executor=Lost()
        )
        assert report.state == "stuck"
        gateway = Lasting(Tape.of(planted_triangle(), [quote(100)]), balances={"USDT": "1000"})
        async with gateway, Engine(gateway, risk=LIMITS, ledger=ledger) as engine:
            again = await engine.run()
            assert again.executions == ()
            assert engine.recovery.stuck.keys() == {"triabcdn1l2a0"}
            with pytest.raises(UsageError, match="stuck"):
                await engine.resume("me")


async def test_a_paper_ledger_resumes_its_own_balances():
    """A second engine on the ledger goes on with what the first left, not with what its gateway was opened with."""
    async with SqlLedger("sqlite://") as ledger:
        report, _, _ = await run(replay(quote(100)), ledger)
        gateway = replay(quote(100), balances={"USDT": "5"})
        async with gateway, Engine(gateway, risk=LIMITS, ledger=ledger):
            held = (await gateway.balances())["USDT"].total
        assert held == 1000 + report.net["USDT"]
        flows = [e for e in ledger.events() if isinstance(e, BalancesSet)]
        assert [e.reason for e in flows] == ["opening"]


async def test_what_is_there_beyond_the_ledger_at_a_start_is_not_adopted():
    """B6: what the exchange holds beyond the ledger is noted, and not traded with."""
    async with SqlLedger("sqlite://") as ledger:
        await ledger.append(EpochStarted(0, "aaaa"))
        await ledger.append(BalancesSet(0, {"USDT": Decimal(10)}, "opening"))
        gateway = replay(quote(100))
        gateway.restore = None  # a real account cannot be restored

        class Real:
            def __getattr__(self, name):
                if name == "restore":
                    raise AttributeError(name)
                return getattr(gateway, name)

        async with gateway, Engine(Real(), risk=LIMITS, ledger=ledger):
            pass
        [noted] = [e for e in ledger.events() if isinstance(e, Compared)]
        assert noted.beyond == {"USDT": Decimal(990)}
        assert ledger.portfolio().free("USDT") == 10


async def test_a_broken_policy_stops_the_engine_without_an_order():
    """E10: an exception in a risk check lets nothing pass, and the run is still on record."""

    class Broken:
        def review(self, opportunity, portfolio, now_ns):
            raise ZeroDivisionError

    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        with pytest.raises(PolicyViolation, match="ZeroDivisionError"):
            await Engine(gateway, risk=Broken(), ledger=ledger).run()
        kinds = [type(event) for event in ledger.events()]
    assert Intended not in kinds
    assert kinds[-1] is RunEnded


async def test_refusals_of_risk_size_and_start_are_counted_by_code():
    """Why did it not trade? Each refusal is counted under its code and told to observers."""
    told = []

    class Never:
        def review(self, opportunity, portfolio, now_ns):
            return Refused("mine.no", "no")

    class Tiny:
        def review(self, opportunity, portfolio, now_ns):
            return Approved(opportunity, max_amount=Decimal("0.01"))

    for parts, code in [
        ({"risk": Never()}, "mine.no"),
        ({"risk": Tiny()}, "size.bound"),
        ({"start": ("XRP",)}, None),
        ({"finder": BoundedCycleFinder(), "start": ("BTC",)}, "engine.no_start"),
    ]:
        report, _, _ = await run(replay(quote(5)), observers=[told.append], cycles=None, **parts)
        assert set(report.refused) == ({code} if code else set())
    assert {event.refused.code for event in told if isinstance(event, Declined)} == {
        "mine.no",
        "size.bound",
        "engine.no_start",
    }


async def test_a_book_that_cannot_be_read_is_a_refusal():
    """No fresh book, no opportunity: counted, and the engine goes on."""
    gateway = replay(quote(100))

    async def fails(symbol, depth=20, /):
        raise GatewayUnavailable(f"no book of {symbol}", code="gateway.unavailable")

    gateway.order_book = fails
    report, _, _ = await run(gateway, cycles=None)
    assert report.refused == {"book.unavailable": 2}


async def test_run_ends_by_time_by_count_and_by_word():
    """seconds, cycles, until and stop each end a run; an interval spaces its steps."""
    ticks = [quote(100 * i) for i in range(1, 50)]
    limits = attrs.evolve(LIMITS, max_notional="10 USDT")
    by_time = replay(*ticks)
    async with by_time, SqlLedger("sqlite://") as ledger:
        report = await Engine(by_time, risk=limits, ledger=ledger).run(seconds=1)
        assert 1 <= report.seconds < 1.5
    by_count = await run(replay(*ticks), cycles=2, risk=limits)
    assert len(by_count[0].executions) == 2
    gateway = replay(*ticks)
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=limits, ledger=ledger, interval_seconds=1)
        assert (await engine.run(until=lambda: True)).counts["cycles"] == 0
        spaced = await engine.run()
        assert spaced.counts["batches"] <= 7


async def test_stop_ends_a_run_that_waits_for_quotes():
    """stop() is heard also while no quote comes."""
    gateway = replay()
    waiting = asyncio.Event()

    async def never():
        waiting.set()
        await asyncio.Event().wait()
        yield []

    gateway.quotes = never
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger)
        task = asyncio.ensure_future(engine.run())
        await waiting.wait()
        engine.stop()
        assert (await task).state == "done"


async def test_a_stop_before_the_first_step_counts():
    """stop() that comes before run() is not lost."""
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger)
        engine.stop()
        assert (await engine.run()).executions == ()
        assert len((await engine.run(cycles=1)).executions) == 1


async def test_cancelling_a_run_finishes_the_cycle_under_way():
    """D13, E16: a cancelled engine does not leave a cycle between two legs."""
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger)
        submit, task = gateway.submit, None

        async def cancelling(order):
            task.cancel()
            await asyncio.sleep(0)
            return await submit(order)

        gateway.submit = cancelling
        task = asyncio.ensure_future(engine.run())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ledger.portfolio().recent[-1].outcome is Outcome.COMPLETED
        assert ledger.portfolio().open == ()


async def test_default_ledger_lies_in_the_data_folder():
    """Without a ledger, a paper engine keeps one a venue and mode in the user's data folder; a replay keeps none."""

    class Paper(ReplayGateway):
        mode = "paper"

    async with replay(quote(100)) as gateway:
        await Engine(gateway, risk=LIMITS).run(cycles=1)
    tape = Tape.of(planted_triangle(), [quote(100)])
    async with Paper(tape, balances={"USDT": "1000"}) as gateway:
        async with Engine(gateway, risk=LIMITS) as engine:
            assert engine.ledger.path.name == "generated-paper-main.sqlite"
            assert engine.ledger.path.exists()
        with pytest.raises(UsageError, match="not open"):
            _ = engine.ledger


async def test_misuse_is_told():
    """A start that is one text, and an epoch no id can be made of, are errors at once."""
    with pytest.raises(UsageError, match="start"):
        Engine(replay(), risk=LIMITS, start="USDT")
    with pytest.raises(UsageError, match="epoch"):
        Engine(replay(), risk=LIMITS, epoch="!")


async def test_halt_is_told_and_journalled():
    """A halt is an event for observers and for the ledger alike."""
    told = []
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        async with Engine(gateway, risk=LIMITS, ledger=ledger, observers=[told.append]) as engine:
            await engine.halt("why")
        assert any(isinstance(event, Halted) for event in ledger.events())
    assert [event.reason for event in told if isinstance(event, Halted)] == ["why"]


async def test_step_trades_nothing_while_an_execution_is_unproven():
    """Law 6: after STUCK, step() sends no order either; each nomination is declined with the reason."""
    gateway = replay(quote(100), quote(60_000), quote(60_100), quote(60_200))
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, executor=Lost())
        async with engine:
            assert (await engine.step()).outcome is Outcome.STUCK
            assert await engine.step() is None
            assert engine._tally.refused == {"engine.stuck": 1}
        assert ledger.portfolio().started == 1


class CutOff(BaseException):
    """The process ends here."""


async def test_an_execution_that_was_cut_off_is_brought_to_its_end():
    """E1: an execution whose process died between two legs is recovered at the next start, before anything is traded."""
    async with SqlLedger("sqlite://") as ledger:
        first = replay(quote(100))
        submit, sent = first.submit, []

        async def dying(order):
            sent.append(order)
            if len(sent) == 2:
                raise CutOff
            return await submit(order)

        first.submit = dying
        with pytest.raises(CutOff):
            await run(first, ledger)
        assert ledger.portfolio().open == (1,)
        gateway = replay(quote(100))
        async with gateway, Engine(gateway, risk=LIMITS, ledger=ledger, epoch="next") as engine:
            [ended] = engine.recovery.ended
            assert (ended.number, ended.outcome) == (1, Outcome.UNWOUND)
            assert engine.recovery.proven == {"triabcdn1l2a0": OrderOutcome.NEVER}
            assert (ledger.portfolio().open, ledger.portfolio().stuck) == ((), ())
            held = {a: b.total for a, b in (await gateway.balances()).items()}
            assert {a: b for a, b in ledger.portfolio().balances.items() if b} == held


async def test_a_halt_on_the_ledger_is_the_engines_whoever_wrote_it():
    """I8: a halt that something else wrote to the ledger closes this engine's gate too."""
    async with (
        SqlLedger("sqlite://") as ledger,
        replay(quote(100)) as gateway,
        Engine(gateway, risk=LIMITS, ledger=ledger) as engine,
    ):
        await ledger.append(Halted(0, "from elsewhere"))
        report = await engine.run()
    assert (report.state, report.halted, report.executions) == ("halted", "from elsewhere", ())


async def test_one_engine_at_a_time_is_open_on_a_ledger():
    """I15: of two that open at one moment, with one ledger, one books the balances, once; closed, it makes way."""
    async with SqlLedger("sqlite://") as ledger, replay(quote(100)) as gateway:
        first, second = (Engine(gateway, risk=LIMITS, ledger=ledger) for _ in range(2))
        opened = await asyncio.gather(
            first.__aenter__(), second.__aenter__(), return_exceptions=True
        )
        assert opened[0] is first
        assert isinstance(opened[1], LedgerError)
        assert opened[1].code == "ledger.in_use"
        held = dict(ledger.portfolio().balances)
        assert held == {a: b.free for a, b in (await gateway.balances()).items() if b.free}
        await first.__aexit__()
        async with second:
            assert ledger.portfolio().balances == held


async def test_an_engine_that_nobody_has_any_more_keeps_no_ledger():
    """I15: what was opened and then forgotten neither blocks its ledger nor holds it in memory."""

    async def forgotten(ledger):
        async with replay(quote(100)) as gateway:
            await Engine(gateway, risk=LIMITS, ledger=ledger).__aenter__()

    async with SqlLedger("sqlite://") as ledger:
        await forgotten(ledger)
        gc.collect()
        async with replay(quote(100)) as gateway, Engine(gateway, risk=LIMITS, ledger=ledger):
            pass
    kept = weakref.ref(ledger)
    del ledger
    gc.collect()
    assert kept() is None


async def test_a_halt_before_the_engine_is_open_holds():
    """halt() is heard also before the engine opened, and is written when it opens."""
    gateway = replay(quote(100))
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger)
        await engine.halt("early")
        assert (await engine.run()).executions == ()
        assert ledger.portfolio().halted == "early"


async def test_a_run_ends_in_time_though_the_feed_is_silent():
    """Seconds bound a run on a real clock also while no quote comes."""
    gateway = replay()

    async def silent():
        await asyncio.Event().wait()
        yield []

    gateway.quotes = silent
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, clock=SystemClock())
        assert (await engine.run(seconds=0.05)).state == "done"


@pytest.mark.parametrize(
    "end", [{"seconds": 0}, {"seconds": float("nan")}, {"cycles": 0}, {"cycles": -1}]
)
async def test_a_run_that_could_not_end_is_refused(end):
    """A run of no time or of no executions is a wrong use, said so."""
    with pytest.raises(UsageError):
        await Engine(replay(quote(100)), risk=LIMITS).run(**end)


async def test_what_the_account_pays_decides_not_the_published_fee():
    """Law 5: a published fee nominates; before a trade the exchange is asked by name what the account pays."""
    gateway = replay(quote(100))
    asked = []

    async def fees(symbols=None, /):
        if symbols is None:
            return FeeSchedule(otherwise=Fee(Decimal("0.001"), Provenance.SCHEDULE))
        asked.extend(symbols)
        return FeeSchedule(otherwise=Fee(Decimal("0.006"), Provenance.ACCOUNT))

    gateway.fees = fees
    report, _, _ = await run(gateway, cycles=None)
    assert sorted(asked) == ["BTC/USDT", "ETH/BTC", "ETH/USDT"]  # each once
    assert report.refused == {"cycle.unprofitable": 2}
    assert report.executions == ()


async def test_observers_that_never_return_or_raise_anything_hold_up_nothing(monkeypatch):
    """E19: a plain observer that hangs, and ones that raise SystemExit or block their loop, leave trading alone."""
    monkeypatch.setattr("triarb.engine.observers.CLOSING_SECONDS", 0.01)
    hold = threading.Event()

    def hangs(_event):
        hold.wait()

    def exits(_event):
        raise SystemExit

    async def blocks(_event):
        hold.wait()

    report, _, _ = await run(replay(quote(100)), observers=[hangs, exits, blocks])
    hold.set()
    assert report.outcomes == {Outcome.COMPLETED: 1}


async def test_fees_are_asked_before_the_books_are_read():
    """C10: the last thing that is waited for before a decision is the books, so that no question makes them old."""
    gateway = replay(quote(100))
    order_book, told = gateway.order_book, []

    async def fees(symbols=None, /):
        told.append("schedule" if symbols is None else "fees")
        return FeeSchedule(otherwise=Fee(Decimal("0.001"), Provenance.SCHEDULE))

    async def book(symbol, depth=20, /):
        told.append("book")
        return await order_book(symbol, depth)

    gateway.fees, gateway.order_book = fees, book
    await run(gateway)
    asked = told[told.index("fees") :]
    assert asked[:4] == ["fees", "book", "book", "book"]
    assert set(asked[4:]) == {"book"}  # read again before each further leg


@pytest.mark.parametrize(
    "wrong",
    [
        {"risk": None},
        {"risk": RiskLimits},
        {"finder": 5},
        {"sizer": 5},
        {"executor": SequentialExecutor},
        {"ledger": "mine.sqlite"},
        {"clock": 5},
        {"start": 5},
        {"start": [""]},
        {"observers": [5]},
        {"interval_seconds": -1},
        {"interval_seconds": float("nan")},
        {"interval_seconds": "1"},
        {"freeze": "no"},
    ],
    ids=repr,
)
def test_a_part_that_cannot_do_its_work_is_refused_at_once(wrong):
    """E10: not only once a cycle is under way; one error says which part, and what gives one."""
    [name] = wrong
    parts = {"gateway": replayed(), "risk": LIMITS, **wrong}
    with pytest.raises(UsageError, match=name) as caught:
        Engine(parts.pop("gateway"), **parts)
    assert caught.value.hint
    with pytest.raises(UsageError, match="gateway"):
        Engine("binance", risk=LIMITS)


def replayed():
    """An account on a tape of one moment."""
    return ReplayGateway(Tape.of(planted_triangle(), []), balances={"USDT": "1000"})
