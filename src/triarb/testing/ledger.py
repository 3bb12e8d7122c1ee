"""check_ledger: what any Ledger must hold to, by what it says after every kind of event."""

import asyncio
import contextlib
import decimal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import LedgerError
from triarb.ledger.ledger import Ledger
from triarb.model import (
    Answered,
    BalancesSet,
    Claimed,
    Compared,
    EpochStarted,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Fee,
    FeeCheck,
    Fill,
    Filled,
    Halted,
    Intended,
    LedgerEvent,
    LegResult,
    Market,
    Order,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Provenance,
    Results,
    Resumed,
    RunEnded,
    Side,
    SubmissionStatus,
)

_DAY_NS = 86_400_000_000_000


async def check_ledger(
    make: Callable[[], AbstractAsyncContextManager[Ledger]],
    reopen: Callable[[], AbstractAsyncContextManager[Ledger]] | None = None,
) -> None:
    """Append events of every kind to ledgers, and see that each portfolio is what they come to.

    Args:
        make: gives a new, empty ledger, as an async context manager.
        reopen: gives the ledger that `make` gave last once more, where it outlives its closing; it must know all.

    Raises:
        AssertionError: a portfolio differs; the message names what was appended and what is different.

    >>> import asyncio
    >>> from triarb.ledger import SqlLedger
    >>> asyncio.run(check_ledger(lambda: SqlLedger("sqlite://")))
    """
    for check in (
        _check_balances,
        _check_fills,
        _check_together,
        _check_execution,
        _check_stuck,
        _check_halt,
        _check_claim,
        _check_order_and_cancellation,
    ):
        async with make() as ledger:
            _same(ledger.portfolio(), Portfolio(), "a new ledger")
            await check(ledger)
            last = ledger.portfolio()
        if reopen is not None:
            async with reopen() as ledger:
                _same(ledger.portfolio(), last, "the ledger opened again")


async def _check_balances(ledger: Ledger) -> None:
    with decimal.localcontext(prec=6):  # whatever the caller's context, nothing may round
        await ledger.append(BalancesSet(0, {"USDT": Decimal("1000000.00000001")}, "opening"))
    before = ledger.portfolio()
    await ledger.append(BalancesSet(1, {"USDT": Decimal("0.1"), "BTC": Decimal(2)}, "deposit"))
    await ledger.append(BalancesSet(2, {"BTC": Decimal(-2)}, "withdrawal"))
    expected = Portfolio(balances={"USDT": Decimal("1000000.10000001")})
    _same(ledger.portfolio(), expected, "changes that were set")
    opened = Portfolio(balances={"USDT": Decimal("1000000.00000001")})
    _same(before, opened, "a portfolio that was taken before other events")


async def _check_fills(ledger: Ledger) -> None:
    first, second = _fill("1", Decimal("0.5")), _fill("2", Decimal("0.25"))
    other = attrs.evolve(first, symbol="BTC/EUR", quote="EUR")  # trade ids count by market
    for fill in (second, first, second):
        await ledger.append(Filled(0, 1, fill))
    await ledger.append(*(Filled(0, 1, fill) for fill in (first, other, other)))
    balances = {
        "BTC": Decimal("1.25"),
        "USDT": Decimal(-75),
        "EUR": Decimal(-50),
        "BNB": Decimal("-0.3"),
    }
    _same(ledger.portfolio(), Portfolio(balances=balances), "fills, some of them twice")


async def _check_together(ledger: Ledger) -> None:
    opening = BalancesSet(0, {"USDT": Decimal(500)}, "opening")
    await ledger.append(opening, ExecutionStarted(0, 1, _PLAN))
    after = Portfolio(
        balances={"USDT": Decimal(500)}, reserved={"USDT": Decimal(101)}, started=1, open=(1,)
    )
    _same(ledger.portfolio(), after, "two events together")
    too_soon = ExecutionStarted(0, 3, _PLAN)
    await _refused(ledger, opening, too_soon, what="the second of two events together")


async def _check_execution(ledger: Ledger) -> None:
    await ledger.append(EpochStarted(0, "epoch", "exchange", "paper"))
    await ledger.append(ExecutionStarted(0, 1, _PLAN))
    running = Portfolio(
        reserved={"USDT": Decimal(101)},
        started=1,
        open=(1,),
        exchange="exchange",
        mode="paper",
        epochs={"epoch": 0},
    )
    _same(ledger.portfolio(), running, "an execution that was started")
    await _refused(ledger, ExecutionStarted(0, 1, _PLAN), what="a number that is taken")
    await ledger.append(Intended(0, 1, 1, _ORDER))
    await ledger.append(Answered(0, 1, _ORDER.client_id, SubmissionStatus.ACCEPTED))
    _same(ledger.portfolio(), running, "an intent and its answer")
    lost = _execution(1, Outcome.SHORT, {"USDT": Decimal(-3), "BTC": Decimal("0.02")})
    await ledger.append(ExecutionEnded(_DAY_NS, lost))
    ended = ledger.portfolio()
    expected = Portfolio(
        residues={"BTC": Decimal("0.02")},
        started=1,
        realised={("1970-01-02", "USDT"): Decimal(-3)},
        recent=(lost,),
        health=ended.health,
        exchange="exchange",
        mode="paper",
        epochs={"epoch": 0},
        results=Results(
            residues={("1970-01-02", "BTC"): Decimal("0.02")},
            begun={("1970-01-01", "USDT"): Decimal(-3), ("1970-01-01", "BTC"): Decimal("0.02")},
            totals={
                "USDT": ((_DAY_NS, Decimal(-3)),),
                "BTC": ((_DAY_NS, Decimal("0.02")),),
            },
            since_peak={("USDT", "USDT"): Decimal(-3), ("USDT", "BTC"): Decimal("0.02")},
            last_ended={"BTC>USDT": _DAY_NS, "BTC/USDT": _DAY_NS},
        ),
    )
    _same(ended, expected, "an execution that ended short")
    health = (ended.health.executions, ended.health.consecutive_losses)
    latency_and_shorts = (ended.health.leg_latency_ms, ended.health.short_rate)
    fees = {"BTC/USDT": FeeCheck(1, None, Decimal(0), ("BNB",), 1, last_unexpected=("BNB",))}
    if (health, latency_and_shorts, ended.health.fees) != ((1, 1), (5, 1), fees):
        raise AssertionError(f"an execution that ended short: the health is {ended.health}")
    await _refused(ledger, ExecutionEnded(_DAY_NS, lost), what="an execution that has ended")
    await ledger.append(ExecutionStarted(_DAY_NS, 2, _PLAN))
    await ledger.append(ExecutionEnded(_DAY_NS, _execution(2, Outcome.NOTHING, {})))
    if ledger.portfolio().health.consecutive_losses != 1:
        raise AssertionError("an execution that traded nothing is no loss, and ends no row of them")
    await ledger.append(Resumed(_DAY_NS, "me"))
    seen = ledger.portfolio()
    if (seen.looked_at, seen.health.consecutive_losses, seen.results.since_peak) != (2, 0, {}):
        raise AssertionError(f"a person resumed, and rows of losses and peaks go on: {seen}")
    if seen.health.fees or seen.health.executions != 2:
        raise AssertionError("what fills were charged before a person resumed is in the health")


async def _check_stuck(ledger: Ledger) -> None:
    await ledger.append(ExecutionStarted(0, 1, _PLAN))
    stuck = _execution(1, Outcome.STUCK, {"USDT": Decimal(-50)})
    await ledger.append(ExecutionEnded(0, stuck))
    expected = Portfolio(reserved={"USDT": Decimal(101)}, started=1, stuck=(1,))
    _same(ledger.portfolio(), expected, "an execution that got stuck")
    settled = attrs.evolve(stuck, outcome=Outcome.SHORT)
    await ledger.append(ExecutionEnded(0, settled))
    after = ledger.portfolio()
    if after.stuck or after.reserved or after.recent != (settled,):
        raise AssertionError(f"a stuck execution that was settled: {after}")


async def _check_halt(ledger: Ledger) -> None:
    await ledger.append(Halted(0, "by hand"))
    _same(ledger.portfolio(), Portfolio(halted="by hand"), "a halt")
    await ledger.append(RunEnded(0, 0, "exchange", "paper", {"quotes": 1}, {}))
    _same(ledger.portfolio(), Portfolio(halted="by hand"), "a run that ended halted")
    await ledger.append(Resumed(0, "me"))
    _same(ledger.portfolio(), Portfolio(), "a halt that was lifted")


async def _check_claim(ledger: Ledger) -> None:
    await ledger.append(Claimed(0, {"USDT": Decimal(500)}))
    await ledger.append(Compared(1, {"USDT": Decimal(70), "BTC": Decimal(1)}))
    claim, beyond = {"USDT": Decimal(500)}, {"USDT": Decimal(70), "BTC": Decimal(1)}
    _same(ledger.portfolio(), Portfolio(claim=claim, beyond=beyond), "a claim and a comparison")
    await ledger.append(Compared(2, {"BTC": Decimal(2)}))
    later = Portfolio(claim=claim, beyond={"BTC": Decimal(2)})
    _same(ledger.portfolio(), later, "another comparison")


async def _check_order_and_cancellation(ledger: Ledger) -> None:
    appends: list[Awaitable[None]] = [
        ledger.append(BalancesSet(n, {"USDT": Decimal(1)}, "deposit")) for n in range(20)
    ]
    await asyncio.gather(*appends)
    _same(ledger.portfolio(), Portfolio(balances={"USDT": Decimal(20)}), "twenty events at once")
    task = asyncio.ensure_future(ledger.append(BalancesSet(20, {"USDT": Decimal(1)}, "deposit")))
    await asyncio.sleep(0)  # it has begun, and is canceled in the middle
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await ledger.append(BalancesSet(21, {"USDT": Decimal(1)}, "deposit"))
    expected = Portfolio(balances={"USDT": Decimal(22)})
    _same(ledger.portfolio(), expected, "an append whose wait was canceled, and another")


def _same(actual: Portfolio, expected: Portfolio, after: str) -> None:
    for field in attrs.fields(Portfolio):
        is_now, should_be = getattr(actual, field.name), getattr(expected, field.name)
        if is_now != should_be:
            raise AssertionError(f"{after}: {field.name} is {is_now}, not {should_be}")


async def _refused(ledger: Ledger, *events: LedgerEvent, what: str) -> None:
    before = ledger.portfolio()
    try:
        await ledger.append(*events)
    except LedgerError:
        _same(ledger.portfolio(), before, f"{what}, refused")
    else:
        raise AssertionError(f"{what}: {type(events[-1]).__name__} was taken, not refused")


def _fill(trade_id: str, amount: Decimal) -> Fill:
    return Fill(
        trade_id,
        _ORDER.client_id,
        "BTC/USDT",
        "BTC",
        "USDT",
        Side.BUY,
        Decimal(100),
        amount,
        {"BNB": Decimal("0.1")},
    )


def _execution(number: int, outcome: Outcome, changes: Mapping[str, Decimal]) -> Execution:
    legs = (LegResult(_ORDER, (_fill("1", Decimal(1)),), sent_ns=0, done_ns=5_000_000),)
    done: Any = () if outcome is Outcome.NOTHING else legs
    return Execution(number, _PLAN, done, outcome, changes, {}, 0, _DAY_NS)


_MARKET = Market("BTC/USDT", "BTC", "USDT")
_FEE = Fee(Decimal("0.001"), Provenance.OVERRIDE)
_ORDER = Order("epoch-1-1", "BTC/USDT", Side.BUY, Decimal(1), Decimal(101))
_PLAN = Plan(
    "BTC>USDT",
    "USDT",
    (
        PlannedLeg(
            _MARKET,
            Side.BUY,
            Decimal(1),
            Decimal(101),
            _FEE,
            given=Decimal(100),
            received=Decimal("0.999"),
            worst_given=Decimal(101),
            worst_received=Decimal("0.999"),
        ),
    ),
    expected_result=Decimal(1),
    worst_result=Decimal(0),
    stranded_losses=(),
    gap_bps=Decimal(50),
    decided_ns=0,
)
