"""The daily loss and the drawdown, from the ledger: over midnight, over restarts, with what is left marked at its worst."""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from triarb import Engine, ReplayGateway, SqlLedger, Tape
from triarb.clock import NS_PER_SECOND, utc_day
from triarb.ledger.accounts import Accounts
from triarb.model import (
    Approved,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Market,
    Outcome,
    Plan,
    PlannedLeg,
    Portfolio,
    Refused,
    Resumed,
    Side,
)
from triarb.pricing import Valuation
from triarb.risk import Marks, MaxDailyLoss, MaxDrawdown, RiskLimits
from triarb.testing.market import START_NS, planted_triangle
from triarb.testing.risk import NOW_NS, example_opportunities

TRIANGLE = example_opportunities()["a triangle of 100 bps"]
FEE = TRIANGLE.cycle.legs[0].fee
DAY_NS = 86_400 * NS_PER_SECOND
MIDNIGHT_NS = NOW_NS // DAY_NS * DAY_NS + DAY_NS
MARKS = Marks(Valuation(["BTC/USDT", "USDT/ETH"], min_depth="1 USDT", max_age_ms=10**12))
LIMIT = MaxDailyLoss("20 USDT")


def plan(start="USDT") -> Plan:
    one = Decimal(1)
    leg = PlannedLeg(
        Market(f"BTC/{start}", "BTC", start), Side.BUY, one, one, FEE, one, one, one, one
    )
    return Plan("BTC>USDT", start, (leg,), one, -one, (), Decimal(100), 0)


def ran(number: int, started_ns: int, ended_ns: int, start="USDT", **changes):
    """The events of an execution that changed so much."""
    changed = {asset: Decimal(change) for asset, change in changes.items()}
    execution = Execution(number, plan(start), (), Outcome.SHORT, changed, {}, started_ns, ended_ns)
    return (
        ExecutionStarted(started_ns, number, plan(start)),
        ExecutionEnded(ended_ns, execution),
    )


def books(*events) -> Portfolio:
    accounts = Accounts()
    for event in (event for pair in events for event in pair):
        accounts.apply(event)
    return accounts.state.portfolio


def left(policy, portfolio: Portfolio, now_ns: int) -> Decimal | str:
    """What may still be lost, or the window that reached the limit."""
    answer = policy.review(TRIANGLE, portfolio, now_ns)
    return answer.max_loss if isinstance(answer, Approved) else answer.numbers["window"]


def test_a_loss_after_midnight_of_a_cycle_before_counts_against_both_days() -> None:
    """E8: it ends the day on which it was realised, and the day on which its cycle started."""
    portfolio = books(ran(1, MIDNIGHT_NS - 5, MIDNIGHT_NS + 5, USDT="-20"))
    strict = MaxDailyLoss("20 USDT", rolling=False)
    assert left(strict, portfolio, MIDNIGHT_NS + 10) == "that ended today"
    assert left(strict, portfolio, MIDNIGHT_NS - 1) == "that started today"
    assert left(strict, portfolio, MIDNIGHT_NS + DAY_NS) == 20


def test_the_worst_of_three_windows_counts() -> None:
    """A gain that only one window sees makes no room in the others."""
    portfolio = books(
        ran(1, MIDNIGHT_NS - 9, MIDNIGHT_NS - 8, USDT="-12"),
        ran(2, MIDNIGHT_NS - 7, MIDNIGHT_NS + 1, USDT="9"),
        ran(3, MIDNIGHT_NS + 2, MIDNIGHT_NS + 3, USDT="-5"),
    )
    now_ns = MIDNIGHT_NS + 4
    assert left(LIMIT, portfolio, now_ns) == 12  # of 24 hours: -12 + 9 - 5
    assert left(MaxDailyLoss("20 USDT", rolling=False), portfolio, now_ns) == 15  # started: -5
    assert left(LIMIT, portfolio, MIDNIGHT_NS - 8 + DAY_NS) == 15
    assert left(LIMIT, portfolio, MIDNIGHT_NS + 1 + DAY_NS) == 15  # of 24 hours: -5


def test_any_24_hours_count_beside_the_day() -> None:
    """A loss of the evening holds after midnight too, until a day has passed; unless only the day was asked for."""
    portfolio = books(ran(1, MIDNIGHT_NS - 5, MIDNIGHT_NS - 4, USDT="-20"))
    assert left(LIMIT, portfolio, MIDNIGHT_NS) == "of the last 24 hours"
    assert left(LIMIT, portfolio, MIDNIGHT_NS - 5 + DAY_NS) == "of the last 24 hours"
    assert left(LIMIT, portfolio, MIDNIGHT_NS - 4 + DAY_NS) == 20
    assert left(MaxDailyLoss("20 USDT", rolling=False), portfolio, MIDNIGHT_NS) == 20


def test_what_is_left_counts_as_nothing_without_a_reference() -> None:
    """94 USDT spent and the ETH for them left is a loss of 94 USDT where nobody declared what ETH is worth."""
    stranded = books(ran(1, NOW_NS, NOW_NS, USDT="-94", ETH="94"))
    policy = MaxDailyLoss("200 USDT")
    assert left(policy, stranded, NOW_NS) == 106


def test_what_is_left_is_marked_at_its_worst_where_it_is_declared() -> None:
    """The same with a declared market: the loss is what selling the ETH at the bid would not bring back."""
    stranded = books(ran(1, NOW_NS, NOW_NS, USDT="-100", ETH="94"))
    marked = left(MaxDailyLoss("200 USDT", MARKS), stranded, NOW_NS)
    ask = TRIANGLE.books["USDT/ETH"].asks[0].price  # an ETH sells for 1 / ask USDT
    assert 100 < marked < 200
    assert abs(marked - (100 + 94 / ask)) < Decimal("0.001")


def test_selling_a_left_over_takes_back_no_more_than_it_counted() -> None:
    """Left-overs of yesterday that counted as nothing are sold today: a gain, and nothing is owed for them."""
    sold = books(
        ran(1, NOW_NS - DAY_NS, NOW_NS - DAY_NS, USDT="-10", ETH="10"),
        ran(2, NOW_NS, NOW_NS, USDT="9", ETH="-10"),
    )
    assert left(LIMIT, sold, NOW_NS) == 20
    marked = left(MaxDailyLoss("20 USDT", MARKS), sold, NOW_NS)
    assert 18 < marked < 20  # 10 ETH had been marked, and selling them brought a little less


def test_what_was_spent_of_another_asset_must_be_valued() -> None:
    """Fees in a token that came from no left-over are a loss, and of unknown size without a reference: nothing passes."""
    spent = books(ran(1, NOW_NS, NOW_NS, USDT="1", BNB="-0.5"))
    answer = LIMIT.review(TRIANGLE, spent, NOW_NS)
    assert isinstance(answer, Refused)
    assert (answer.code, answer.numbers["currency"]) == ("risk.currency", "BNB")
    in_eth = books(ran(1, NOW_NS, NOW_NS, USDT="-1", ETH="-0.5"))
    marked = left(MaxDailyLoss("20 USDT", MARKS), in_eth, NOW_NS)
    assert Decimal("18.4") < marked < Decimal("18.5")


def test_a_drawdown_is_from_the_highest_that_results_stood() -> None:
    """risk.drawdown: days do not matter, a gain before does not help; a person who resumes starts it anew."""
    events = [
        ran(1, NOW_NS, NOW_NS, USDT="50"),
        ran(2, NOW_NS + DAY_NS, NOW_NS + DAY_NS, USDT="-15"),
        ran(3, NOW_NS + 5 * DAY_NS, NOW_NS + 5 * DAY_NS, USDT="-15"),
    ]
    policy, later_ns = MaxDrawdown("30 USDT"), NOW_NS + 9 * DAY_NS
    assert policy.review(TRIANGLE, books(*events[:2]), later_ns).max_loss == 15
    answer = policy.review(TRIANGLE, books(*events), later_ns)
    assert isinstance(answer, Refused)
    assert answer.code == "risk.drawdown"
    assert dict(answer.numbers) == {
        "drawdown": 30,
        "reserved": 0,
        "max_drawdown": 30,
        "limit": "30 USDT",
    }
    resumed = books(*events, [Resumed(later_ns, "me")])
    assert policy.review(TRIANGLE, resumed, later_ns).max_loss == 30


def test_drawdowns_of_several_start_assets_add_up() -> None:
    """A gain in one start asset does not hide what was lost in another; without a value of it, nothing passes."""
    portfolio = books(
        ran(1, NOW_NS, NOW_NS, USDT="50"), ran(2, NOW_NS, NOW_NS, start="BTC", BTC="-4")
    )
    assert MaxDrawdown("30 USDT").review(TRIANGLE, portfolio, NOW_NS).code == "risk.currency"
    marked = MaxDrawdown("30 USDT", MARKS).review(TRIANGLE, portfolio, NOW_NS).max_loss
    assert abs(marked - 26) < Decimal("0.01")


LOSING = """
import asyncio, os, signal, sys
from decimal import Decimal
from pathlib import Path
from triarb import SqlLedger
from triarb.model import BalancesSet
sys.path.insert(0, {tests!r})
from test_daily_loss import ran

async def main():
    async with SqlLedger({ledger!r}) as ledger:
        await ledger.append(BalancesSet({at_ns}, {{"USDT": Decimal(1020)}}, "opening"))
        for event in ran(1, {at_ns}, {at_ns}, USDT="-20"):
            await ledger.append(event)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def traded(ledger_file, start_ns: int, risk: RiskLimits):
    """What a new engine does on that ledger at a market that has a triangle, at that time."""
    market = planted_triangle()
    quotes = tuple(
        attrs.evolve(quote, exchange_ns=start_ns, received_ns=start_ns) for quote in market.quotes
    )
    tape = Tape.of(attrs.evolve(market, timestamp_ns=start_ns, quotes=quotes), [])
    async with (
        ReplayGateway(tape, balances={"USDT": "1000"}) as gateway,
        SqlLedger(ledger_file) as ledger,
    ):
        return await Engine(gateway, risk=risk, ledger=ledger, start=["USDT"]).run()


@pytest.mark.once
@pytest.mark.parametrize("rolling", [True, False])
async def test_a_process_killed_after_its_loss_stays_refused(tmp_path, rolling) -> None:
    """E8: the limit is reached, the process dies at once: the engine that comes next refuses until the day rolls.

    And where any 24 hours count, until these have passed too.
    """
    file = tmp_path / "ledger.sqlite"
    lost_ns = START_NS // DAY_NS * DAY_NS + DAY_NS // 2
    script = LOSING.format(
        tests=os.fspath(Path(__file__).parent),
        ledger=os.fspath(file),
        at_ns=lost_ns,
    )
    died = subprocess.run([sys.executable, "-c", script], check=False)  # noqa: ASYNC221
    assert died.returncode == -signal.SIGKILL
    risk = RiskLimits(
        min_edge_bps=5,
        max_notional="100 USDT",
        max_daily_loss="20 USDT",
        rolling_24_hours=rolling,
    )
    for seconds in (1, 6 * 3600):
        report = await traded(file, lost_ns + seconds * NS_PER_SECOND, risk)
        assert (report.executions, report.refused) == ((), {"risk.daily_loss": 1})
    next_day_ns = lost_ns + 13 * 3600 * NS_PER_SECOND
    assert utc_day(next_day_ns) != utc_day(lost_ns)
    report = await traded(file, next_day_ns, risk)
    assert len(report.executions) == (0 if rolling else 1)
    report = await traded(file, lost_ns + DAY_NS, risk)
    assert len(report.executions) == 1
