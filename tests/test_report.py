"""The report: the sum of runs, from the ledger's events alone."""

from decimal import Decimal

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.market import RateTable
from triarb.model import (
    Execution,
    ExecutionEnded,
    Fill,
    Halted,
    LegResult,
    Order,
    Outcome,
    Resumed,
    RunEnded,
    Side,
)
from triarb.report import Report
from triarb.testing.execution import _plan
from triarb.testing.market import planted_triangle


def execution(legs=3, outcome=Outcome.COMPLETED, fee="0.001"):
    """The planted plan with its first `legs` legs filled whole at their limits."""
    snapshot = planted_triangle()
    plan = _plan(RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes))
    results, changes, fees = [], {}, {}
    for leg in plan.legs[:legs]:
        gross = leg.amount if leg.side is Side.BUY else leg.amount * leg.limit_price
        charged = {leg.received_asset: gross * Decimal(fee)}
        market = leg.market
        fill = Fill(
            market.symbol, "c", market.symbol, market.base, market.quote, leg.side, leg.limit_price,
            leg.amount, charged,
        )  # fmt: skip
        results.append(
            LegResult(
                Order("c", market.symbol, leg.side, leg.amount, leg.limit_price), (fill,), 0, 1
            )
        )
        for asset, change in fill.changes().items():
            changes[asset] = changes.get(asset, Decimal(0)) + change
        for asset, amount in charged.items():
            fees[asset] = fees.get(asset, Decimal(0)) + amount
    return Execution(1, plan, tuple(results), outcome, changes, fees, 0, 1)


def run_ended(seconds=2, **refused):
    counts = {"batches": 3, "quotes": 9, "nominated": 4, "cycles": 1, "confirmed": 2}
    return RunEnded(seconds * NS_PER_SECOND, 0, "generated", "replay", counts, refused)


def test_fees_are_turned_at_the_prices_of_the_legs_after_them():
    """A fee of leg 1 costs what it would have become by the end of the cycle, at gross prices."""
    done = execution()
    first, second, last = (leg.fills[0] for leg in done.legs)
    expected = (
        first.fees["BTC"] / Decimal("0.05") * Decimal("5.05")
        + second.fees["ETH"] * Decimal("5.05")
        + last.fees["USDT"]
    )
    assert abs(done.fee_cost - expected) < Decimal("1e-15")


def test_a_leg_that_did_not_fill_counts_with_its_limit():
    """The fee of a stranded asset is valued at what the plan wanted for it."""
    done = execution(1, Outcome.SHORT)
    expected = done.fees["BTC"] / Decimal("0.05") * Decimal("5.05")
    assert abs(done.fee_cost - expected) < Decimal("1e-15")


def test_a_fee_outside_the_cycle_has_no_price_here():
    """A fee in a token that the cycle does not touch is listed in its own asset, and not guessed at."""
    done = attrs.evolve(execution(), fees={"BNB": Decimal(1)})
    report = Report.of([ExecutionEnded(1, done), run_ended()])
    assert done.fee_cost == 0
    assert report.fees == {"BNB": Decimal(1)}


def test_where_fees_are_known_from_is_told():
    """Each leg carried out counts, and the line of what fees cost names the sources."""
    report = Report.of([ExecutionEnded(1, execution()), run_ended()])
    assert report.fees_from == {"file": 3}
    assert dict(report.lines())["fees cost"].endswith("USDT, by file")
    assert report.to_dict()["fees_from"] == {"file": 3}
    assert set(report.to_dict()["fee_drift_bps"].values()) == {"0"}
    assert "fees not as told" not in dict(report.lines())


def test_fees_that_were_not_as_told_are_said():
    """Each market of which more or less was charged than its plan said, with what it was charged in."""
    report = Report.of([ExecutionEnded(1, execution(fee="0.0015")), run_ended()])
    assert dict(report.lines())["fees not as told"] == (
        "BTC/USDT +5.0000 bps in BTC, ETH/BTC +5.0000 bps in ETH, ETH/USDT +5.0000 bps in USDT"
    )


def test_gross_is_net_plus_what_fees_cost():
    """The three figures of a report add up by their definition."""
    report = Report.of([ExecutionEnded(1, execution()), run_ended()])
    assert report.gross["USDT"] == report.net["USDT"] + report.fee_cost["USDT"]
    assert report.net["USDT"] == execution().result
    assert set(report.residues) == set(execution().residues)


def test_runs_add_up():
    """Counts, refusals and seconds of several runs are summed; the first start is kept."""
    report = Report.of(
        [run_ended(2, **{"cycle.unprofitable": 3}), run_ended(3, **{"risk.stale": 1})]
    )
    assert report.counts["quotes"] == 18
    assert report.refused == {"cycle.unprofitable": 3, "risk.stale": 1}
    assert report.seconds == 5
    assert report.to_dict()["ghosts"] == 3


def test_state_tells_halted_and_stuck():
    """Stuck comes before halted, and a lifted halt is none."""
    assert Report.of([Halted(0, "why"), run_ended()]).state == "halted"
    assert Report.of([Halted(0, "why"), Resumed(1, "me"), run_ended()]).state == "done"
    stuck = ExecutionEnded(1, execution(1, Outcome.STUCK))
    assert Report.of([Halted(0, "why"), stuck]).state == "stuck"


def test_an_empty_ledger_reports_nothing():
    """A report of no events says so, and invents no figures."""
    report = Report.of([])
    assert report.to_dict()["executed"] == 0
    assert "none" in str(report)
    assert report.net == {}


def test_text_and_json_tell_the_same():
    """What a person reads holds the numbers that a program reads."""
    report = Report.of(
        [ExecutionEnded(1, execution(2, Outcome.SHORT)), Halted(0, "by hand"), run_ended()]
    )
    text, data = str(report), report.to_dict()
    assert data["net"]["USDT"] in text
    assert data["residue_worth"]["USDT"][:8] in text
    assert data["outcomes"] == {"short": 1}
    assert data["missed"] == 1
    assert "by hand" in text
    assert "not sold" in text
