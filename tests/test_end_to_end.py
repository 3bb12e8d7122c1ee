"""Real ccxt, a loopback exchange, the whole engine: found, executed, settled, and the same on paper."""

import asyncio
from decimal import Decimal

import attrs
import pytest

from triarb import (
    CcxtGateway,
    Engine,
    PaperGateway,
    ReplayGateway,
    RiskLimits,
    SqlLedger,
    Tape,
    scan,
)
from triarb.model import Fill, OrderOutcome, Outcome
from triarb.testing.faults import Answer, DropAfter, DropBefore, FaultRule
from triarb.testing.loopback import LoopbackExchange, in_background
from triarb.testing.market import START_NS, planted_triangle

LIMITS = RiskLimits(min_edge_bps=5, max_notional="100 USDT", max_daily_loss="20 USDT")
OPENING = {"USDT": "1000"}


async def traded(gateway):
    """One execution through `gateway`, what the ledger then holds, and what the exchange holds."""
    async with gateway, SqlLedger("sqlite://") as ledger:
        engine = Engine(gateway, risk=LIMITS, ledger=ledger, start=["USDT"], epoch="abcd")
        report = await engine.run(cycles=1)
        held = {asset: b.total for asset, b in (await gateway.balances()).items()}
        return report.executions[0], dict(ledger.portfolio().balances), held


def bare(execution):
    """An execution without the names and times that differ between exchanges."""

    def numbers(fill: Fill):
        return (fill.symbol, fill.side, fill.price, fill.amount, dict(fill.fees))

    return (
        execution.plan.legs,
        execution.outcome,
        {asset: change for asset, change in execution.changes.items() if change},
        [
            (leg.order.amount, leg.order.price, [numbers(f) for f in leg.fills])
            for leg in execution.legs
        ],
    )


@pytest.fixture
async def exchange():
    async with LoopbackExchange(planted_triangle(), balances=OPENING) as opened:
        yield opened


def sandbox(exchange, **settings):
    return CcxtGateway(
        "binance",
        **settings,
        credentials=exchange.credentials,
        session_factory=exchange.session_factory,
        poll_seconds=0.01,
    )


async def test_real_ccxt_finds_executes_and_settles(exchange):
    """Through real ccxt the planted triangle ends with ledger and exchange equal to the last digit."""
    execution, ledger, held = await traded(sandbox(exchange))
    assert execution.outcome is Outcome.COMPLETED
    assert execution.result > 0
    assert ledger == held == {a: b.total for a, b in exchange.engine.balances.items()}
    posts = [request for request in exchange.requests if request.method == "POST"]
    assert len(posts) == 3
    totals = {asset: amount for asset, amount in exchange.engine.totals().items() if amount}
    assert totals == {"USDT": Decimal(1000)}  # over all parties nothing came and nothing went


async def test_paper_on_the_same_market_executes_the_same(exchange):
    """Law 4: simulated orders on the loopback's data give the plan, fills and changes of the real ones."""
    real, _, _ = await traded(sandbox(exchange))
    async with LoopbackExchange(planted_triangle()) as again:
        source = CcxtGateway("binance", session_factory=again.session_factory, poll_seconds=0.01)
        paper, _, _ = await traded(
            PaperGateway(source, balances=OPENING, fees=planted_triangle().fees(), latency_ms=0)
        )
        assert not [request for request in again.requests if request.method != "GET"]
    assert [_numbers(leg) for leg in bare(paper)[0]] == [_numbers(leg) for leg in bare(real)[0]]
    assert bare(paper)[1:] == bare(real)[1:]


def _numbers(leg):
    return (leg.market.symbol, leg.side, leg.amount, leg.limit_price, leg.given, leg.received)


async def test_replay_of_the_same_tape_executes_the_same(exchange):
    """Law 4: a replayed tape of the same quotes gives the fills and changes of real ccxt."""
    real, _, _ = await traded(sandbox(exchange))
    later = attrs.evolve(planted_triangle().quotes[0], received_ns=START_NS + 10**9)
    tape = Tape.of(planted_triangle(), [later])
    replayed, _, _ = await traded(ReplayGateway(tape, balances=OPENING, latency_ms=0))
    assert bare(replayed)[1:] == bare(real)[1:]


async def test_a_third_of_the_depth_is_a_partial_fill_and_the_rest_comes_back(exchange):
    """A5, A7: where the last book shrinks under a cycle, the rest comes back another way; ledger and exchange agree."""
    gateway = sandbox(exchange)
    submit = CcxtGateway.submit

    async def thinning(self, order):
        answer = await submit(self, order)
        if order.symbol == "ETH/BTC":
            book = exchange.engine.book("ETH/USDT")
            thin = tuple(attrs.evolve(level, amount=Decimal(3)) for level in book.bids)
            exchange.set_book(attrs.evolve(book, bids=thin))
        return answer

    gateway.submit = thinning.__get__(gateway)
    execution, ledger, held = await traded(gateway)
    assert execution.outcome is Outcome.UNWOUND
    assert execution.legs[2].filled == 3
    assert [result.order.symbol for result in execution.further] == ["ETH/BTC", "BTC/USDT"]
    assert execution.residues.get("ETH", 0) * 5 < 5  # below what a market takes
    assert -execution.result < execution.plan.max_loss
    assert ledger == held


@pytest.mark.once
@pytest.mark.parametrize(
    "fault", [DropAfter(), Answer(body="<html>", acts=True), DropBefore()], ids=repr
)
async def test_an_order_with_a_lost_answer_is_proven(exchange, fault):
    """A1, A4: after a fault on leg 2's POST the order is found and gone on from, or proven absent; never sent twice."""
    exchange.inject(FaultRule("submit", fault, symbol="ETH/BTC"))
    execution, ledger, held = await traded(sandbox(exchange, recv_window_ms=100))
    assert set(exchange.posts().values()) == {1}
    assert ledger == held
    if fault == DropBefore():
        assert execution.legs[1].outcome is OrderOutcome.NEVER
        assert execution.outcome is Outcome.UNWOUND
        assert execution.result > 0  # forward was the best way back, under another id
    else:
        assert execution.outcome is Outcome.COMPLETED


async def test_live_scan_inside_a_running_loop(monkeypatch):
    """scan("binance") is sync also where an event loop runs, as in a notebook, and its answer shows as a table."""
    with in_background(planted_triangle()) as exchange:
        monkeypatch.setitem(
            CcxtGateway.__init__.__kwdefaults__, "session_factory", exchange.session_factory
        )
        result = scan("binance", fee_bps=7.5)
    assert (result.exchange, result.count, result.executable) == ("binance", 1, 1)
    assert "<table>" in result._repr_html_()
    assert result.records()[0]["id"] == "BTC>ETH>USDT"


def test_a_manual_clock_drives_the_whole_path():
    """Nothing on the path reads a wall clock: the replay's times are the tape's."""

    async def run():
        tape = Tape.of(planted_triangle(), [])
        return await traded(ReplayGateway(tape, balances=OPENING, latency_ms=10))

    execution, _, _ = asyncio.run(run())
    assert execution.started_ns == START_NS
    assert execution.ended_ns == START_NS + 30_000_000
