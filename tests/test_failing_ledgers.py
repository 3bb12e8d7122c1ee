"""A ledger that fails: before an order it means no order; after one nothing that was learned is lost, and entry is halted."""

import asyncio
from collections import Counter
from decimal import Decimal

import pytest
import sqlalchemy as sa

from triarb.clock import NS_PER_MS
from triarb.engine import Engine
from triarb.exceptions import LedgerError, UsageError
from triarb.execution.halt import HaltLatch, halt_file
from triarb.execution.keeping import Record, Unwritten, unwritten_file
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import SqlLedger
from triarb.ledger.codec import decode, encode
from triarb.market.tape import Tape
from triarb.model import (
    Answered,
    ExecutionEnded,
    Filled,
    Halted,
    Intended,
    Outcome,
    Proven,
    Quote,
    RunEnded,
)
from triarb.risk import RiskLimits
from triarb.testing.market import START_NS, planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
D = Decimal
LEARNED = (Answered, Filled, Proven, ExecutionEnded)


def replay():
    later = Quote("ETH/USDT", D("5.05"), D("5.06"), D(50), D(50), START_NS + 60_000 * NS_PER_MS)
    return ReplayGateway(
        Tape.of(planted_triangle(), [later]), balances={"USDT": "1000"}, latency_ms=10
    )


class Failing(SqlLedger):
    """A ledger whose appends fail from the `first`-th of the execution's on, `times` times."""

    def __init__(self, place, first, times):
        super().__init__(place)
        self.first, self.left, self.count = first, times, 0
        self.tried = []

    async def append(self, *events):
        if isinstance(events[0], (Intended, *LEARNED)):
            if events not in self.tried:
                self.count += 1
                self.tried.append(events)
            if self.count >= self.first and self.left:
                self.left -= 1
                raise LedgerError("the disk is full", code="ledger.full")
        elif self.count >= self.first and self.left > 100:
            raise LedgerError("the disk is full", code="ledger.full")
        await super().append(*events)


async def trade(file, first, times):
    """A cycle with a failing ledger: the error, the ids of what was posted, and the events that it tried to write."""
    posted, error = [], None
    async with replay() as gateway, Failing(file, first, times) as ledger:
        submit = gateway.submit

        async def noted(order, /):
            posted.append(order.client_id)
            return await submit(order)

        gateway.submit = noted
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"], epoch="first")
        try:
            await engine.run(cycles=1)
        except LedgerError as raised:
            error = raised
        return error, posted, ledger, gateway


@pytest.mark.once
async def test_a_ledger_that_fails_for_good_at_any_append(tmp_path):
    """E3, I1: no order without its intent; what was learned after one is in the file beside the ledger; entry is halted."""
    first, error, kept = 0, True, Counter()
    while error:
        first += 1
        file = tmp_path / f"{first}.sqlite"
        error, posted, ledger, gateway = await trade(file, first, 10**9)
        if not error:
            break
        failed = [event for events in ledger.tried[first - 1 :] for event in events]
        lines = unwritten_file(file)
        written = (
            [decode(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        )
        learned = [event for event in failed if isinstance(event, LEARNED)]
        assert written[: len(learned)] == learned, first  # and what was learned after it
        assert not written or isinstance(written[-1], Proven | ExecutionEnded), first
        kept.update(type(event) for event in written)
        if learned:
            assert (error.code, str(lines) in error.hint) == ("ledger.unwritten", True)
            assert "not in the ledger" in HaltLatch(halt_file(file)).reason
            assert len([event for event in failed if isinstance(event, Intended)]) == 0
        else:
            assert error.code == "ledger.full"
            assert failed == [event for event in failed if isinstance(event, Intended)]
        async with SqlLedger(file) as mended:
            intents = [e.order.client_id for e in mended.events() if isinstance(e, Intended)]
            assert posted == intents[: len(posted)]
            again = Engine(gateway, risk=LIMITS, ledger=mended, start=["USDT"], epoch="second")
            gateway.restore = None  # the account is what it is
            async with gateway, _real(again):
                assert again.recovery.stuck == {}
            assert mended.unfinished() == ()
            held = {a: b.total for a, b in (await gateway.balances()).items()}
            assert {a: b for a, b in mended.portfolio().balances.items() if b} == held, first
    assert kept.keys() == set(LEARNED)
    assert first == 7  # an intent, and what came of it, the last time with the end, three times


def _real(engine):
    """The engine over an account that cannot be restored."""
    gateway = engine.gateway

    class Real:
        def __getattr__(self, name):
            if name == "restore":
                raise AttributeError(name)
            return getattr(gateway, name)

    engine.gateway = Real()
    return engine


@pytest.mark.once
async def test_a_ledger_that_fails_for_a_moment_at_any_append(tmp_path):
    """E3: a write that failed is tried again, and the cycle goes on as if nothing had been."""
    first, reached = 0, True
    while reached:
        first += 1
        error, posted, ledger, _ = await trade(tmp_path / f"{first}.sqlite", first, 2)
        assert (error, len(posted)) == (None, 3)
        assert ledger.portfolio().recent[-1].outcome is Outcome.COMPLETED
        assert not unwritten_file(ledger.path).exists()
        reached = not ledger.left
        tried = [encode(event) for events in ledger.tried for event in events]
        assert len(tried) == len(set(tried)) == 13
    assert first == 7


async def test_a_full_disk_in_the_middle_of_a_cycle(tmp_path):
    """E3: SQLite's own word that the disk is full, after an order: kept, halted, and proven by the next start."""
    file, posted = tmp_path / "full.sqlite", []
    async with replay() as gateway, SqlLedger(file) as ledger:
        submit = gateway.submit

        def fill():
            with ledger._journal._storage.engine.connect() as connection:
                pages = connection.execute(sa.text("PRAGMA page_count")).scalar()
                connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))

        async def filling(order, /):
            posted.append(order)
            ledger._running().submit(fill).result()
            return await submit(order)

        gateway.submit = filling
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"], epoch="first")
        with pytest.raises(LedgerError, match="the disk is full") as caught:
            await engine.run()
        gateway.submit = submit
    assert len(posted) < 3
    assert caught.value.code == "ledger.unwritten"
    lines = [decode(line) for line in unwritten_file(file).read_text().splitlines()]
    assert isinstance(lines[-1], Proven)
    assert "the disk is full" in HaltLatch(halt_file(file)).reason
    async with SqlLedger(file) as mended:
        again = Engine(gateway, risk=LIMITS, ledger=mended, start=["USDT"], epoch="second")
        async with gateway, _real(again):
            pass
        held = {a: b.total for a, b in (await gateway.balances()).items()}
        assert {a: b for a, b in mended.portfolio().balances.items() if b} == held


async def test_what_cannot_be_kept_in_a_file_is_logged(tmp_path, caplog):
    """E3: where the file cannot be written to either, or there is none, the event is in the log; nothing is raised."""
    event = Halted(1, "x")
    error = LedgerError("the disk is gone", code="ledger.disk")
    for place in (None, tmp_path / "nowhere" / "x.jsonl"):
        Unwritten(place).keep(event, error)
    assert caplog.text.count(encode(event)) == 2
    assert "nor can" in caplog.text
    Unwritten(None).keep(Halted(1, 0.5), error)  # one that cannot be encoded
    assert "Halted(at_ns=1, reason=0.5)" in caplog.text


async def test_what_trying_again_cannot_mend_is_not_tried_again():
    """An event that contradicts those before it is refused at once."""
    tries = []

    class Refusing:
        async def append(self, *events):
            tries.append(events)
            raise LedgerError("no", code="ledger.contradiction")

    record = Record(Refusing(), None, Unwritten())
    with pytest.raises(LedgerError, match="no"):
        await record.intend(RunEnded(0, 0, "x", "paper", {}, {}))
    assert len(tries) == 1
    await asyncio.sleep(0)


async def test_a_ledger_that_raises_what_it_must_not_loses_nothing(tmp_path):
    """E3: whatever a ledger of somebody's own raises, all that was learned from then on is kept, and nothing is intended."""
    written, file = [], tmp_path / "x.jsonl"

    class Broken:
        async def append(self, *events):
            written.extend(events)
            if len(written) > 1:
                raise ZeroDivisionError("by its own mistake")

    record = Record(Broken(), None, Unwritten(file))
    events = [RunEnded(n, 0, "x", "paper", {}, {}) for n in range(4)]
    record.learn(events[0])
    await record.settled()
    record.learn(events[1])
    record.learn(events[2])
    with pytest.raises(LedgerError, match="ZeroDivisionError: by its own mistake") as caught:
        await record.durable()
    assert caught.value.code == "ledger.unwritten"
    record.learn(events[3])
    with pytest.raises(LedgerError, match="not in the ledger"):
        await record.intend(events[0])
    assert written == events[:3]  # together, and not again
    assert [decode(line) for line in file.read_text().splitlines()] == events[1:]


async def test_whoever_cancels_the_wait_does_not_cancel_the_writing():
    """E3: a record goes on writing what was learned, and whoever waits next sees it done."""
    written, may_write = [], asyncio.Event()

    class Slow:
        async def append(self, *events):
            await may_write.wait()
            written.extend(events)

    record = Record(Slow(), None, Unwritten())
    event = RunEnded(0, 0, "x", "paper", {}, {})
    record.learn(event)
    waiting = asyncio.ensure_future(record.durable())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_write.set()
    await record.durable()
    assert written == [event]


# A file that is gone


@pytest.mark.parametrize("leg", [1, 2, 3])
@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
async def test_a_ledger_whose_file_is_gone_takes_no_intent(tmp_path, leg, how):
    """E3, E5, I1: an intent in a file that no next start would find is none; no order follows, and the next start is halted."""
    file = tmp_path / "mine.sqlite"
    posted = []
    async with replay() as gateway, SqlLedger(file) as ledger:
        submit = gateway.submit

        async def then_gone(order, /):
            posted.append(order.client_id)
            answer = await submit(order)
            if len(posted) == leg:
                if how == "removed":
                    file.unlink()
                else:
                    file.rename(tmp_path / "backup.sqlite")
                if how == "replaced":
                    file.write_bytes((tmp_path / "backup.sqlite").read_bytes())
            return answer

        gateway.submit = then_gone
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"])
        with pytest.raises(LedgerError, match="moved or removed") as caught:
            await engine.run(cycles=3)
        assert caught.value.code == "ledger.unwritten"
        with pytest.raises(LedgerError) as caught:
            await ledger.check()
        assert caught.value.code == "ledger.gone"
    assert len(posted) == leg
    assert unwritten_file(file).exists()
    assert HaltLatch(halt_file(file)).reason is not None


@pytest.mark.parametrize("place", ["", None, 5, b"mine.sqlite"])
def test_a_ledger_without_a_name_is_refused(place):
    """E1: one that is in memory by a slip, such as an empty variable, would forget every intent with its process."""
    with pytest.raises(UsageError, match="address") as caught:
        SqlLedger(place)
    assert caught.value.code == "ledger.url"
