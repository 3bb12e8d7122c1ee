"""Scans of six recorded exchanges, against the table that came with the recordings."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from triarb import Snapshot, scan

SNAPSHOTS = Path(__file__).parents[2] / "shared/data/snapshots"

pytestmark = pytest.mark.skipif(
    not SNAPSHOTS.is_dir(), reason=f"the recorded snapshots are missing: {SNAPSHOTS}"
)


@dataclass(frozen=True)
class Recorded:
    """A line of the table: what a scan for triangles must find."""

    file: str
    usable: int
    assets: int
    triangles: int
    above_one: tuple[int, int, int]  # at 0, 5 and 10 bps a leg
    best: str
    best_gross: str
    refused: dict[str, int]
    sizes: bool = False

    @property
    def path(self) -> Path:
        """Where it is."""
        return SNAPSHOTS / f"{self.file}.json"


TABLE = [
    Recorded(
        "binance_2019-08-22",
        546,
        167,
        1666,
        (3, 0, 0),
        "PAX>TUSD>USDT",
        "1.000099760",
        {"market.inactive": 49},
        sizes=True,
    ),
    Recorded(
        "okex_2020-03-27",
        371,
        146,
        726,
        (23, 5, 4),
        "BTC>WXT>OKB",
        "1.008826867",
        {},
        sizes=True,
    ),
    Recorded("kucoin_2019-02-21", 394, 182, 530, (5, 1, 0), "BTC>NEO>XRP", "1.001952545", {}),
    Recorded("bitfinex_2019-11-01", 423, 161, 766, (13, 1, 1), "KAN>USD>UST", "1.006094883", {}),
    Recorded(
        "gate_2017-11-23",
        127,
        65,
        158,
        (8, 6, 2),
        "INK>QTUM>USDT",
        "1.013552128",
        {"market.crossed": 1, "market.one_sided": 2},
    ),
    Recorded(
        "stex_2019-03-18",
        363,
        289,
        166,
        (2, 2, 2),
        "LTC>ZEUS>USDT",
        "404159.491536993",
        {"market.one_sided": 36},
    ),
]

each_recording = pytest.mark.parametrize("recorded", TABLE, ids=lambda recorded: recorded.file)


@each_recording
@pytest.mark.parametrize(("place", "fee_bps"), [(0, 0), (1, 5), (2, 10)])
def test_triangles_above_one_are_as_many_as_the_table_says(
    recorded: Recorded, place: int, fee_bps: int
):
    """Count, best cycle and its gross rate at three fees; the same fee on all legs does not change which is best."""
    told = scan(recorded.path, fee_bps=fee_bps, max_legs=3).to_dict()
    assert told["count"] == recorded.above_one[place]
    assert (told["markets"], told["assets"]) == (recorded.usable, recorded.assets)
    assert told["refused"] == recorded.refused
    assert told["fees"] == {"override": recorded.usable}
    assert told["fee_bps"] == fee_bps
    assert len(told["cycles"]) == min(told["count"], 20)
    if told["count"]:
        best = told["cycles"][0]
        assert best["id"] == recorded.best
        assert f"{float(best['gross_rate']):.9f}" == recorded.best_gross
        assert [c["net_rate"] for c in told["cycles"]] == sorted(
            (c["net_rate"] for c in told["cycles"]), key=float, reverse=True
        )


@each_recording
def test_without_a_threshold_every_triangle_counts(recorded: Recorded):
    """At -100000 bps all directed triangles are nominated, and exactly as many of them are above one as before."""
    result = scan(recorded.path, fee_bps=0, max_legs=3, min_edge_bps=-100_000, top=10_000)
    assert result.count == recorded.triangles
    assert len({scanned.cycle.id for scanned in result.cycles}) == recorded.triangles
    above = [scanned for scanned in result.cycles if scanned.cycle.net_ratio > 1]
    assert len(above) == recorded.above_one[0]
    assert all(
        scanned.executable is False and scanned.reason.code == "cycle.unprofitable"
        for scanned in result.cycles[len(above) :]
    )


@each_recording
def test_executable_is_told_where_sizes_are_known(recorded: Recorded):
    """Without sizes at the top of the book no cycle is called executable, nor called not executable."""
    result = scan(recorded.path, fee_bps=0)
    if recorded.sizes:
        assert all(scanned.executable is not None for scanned in result.cycles)
        assert result.executable is not None
    else:
        assert all(scanned.executable is None for scanned in result.cycles)
        assert all(scanned.amount is None and scanned.profit is None for scanned in result.cycles)
        assert result.executable is None
        assert "none is confirmed" in result.verdict()


def test_binance_has_one_triangle_that_can_be_traded_without_a_fee():
    """Of three only PAX>TUSD>USDT has a size in whole steps, from TUSD or from USDT but not from PAX."""
    path = SNAPSHOTS / "binance_2019-08-22.json"
    result = scan(path, fee_bps=0)
    assert result.executable == 1
    assert {c.cycle.id: c.executable for c in result.cycles} == {
        "PAX>TUSD>USDT": True,
        "BTC>LRC>ETH": False,
        "BTC>ZRX>ETH": False,
    }
    assert result.cycles[0].cycle.start in {"TUSD", "USDT"}
    for start, executable in (("PAX", False), ("TUSD", True), ("USDT", True)):
        (scanned,) = (
            c for c in scan(path, fee_bps=0, start=start).cycles if c.cycle.id == "PAX>TUSD>USDT"
        )
        assert scanned.executable is executable
        assert scanned.cycle.start == (start if executable else "PAX")
        assert (scanned.reason is None) is executable


def test_binance_at_its_own_fees_has_none_and_says_so():
    """At the 0.1 % that the file states the honest answer is none, in words as in numbers."""
    result = scan(SNAPSHOTS / "binance_2019-08-22.json")
    assert (result.count, result.executable, result.cycles) == (0, 0, ())
    assert result.fees == {"file": 546}
    assert result.fee_bps is None
    assert result.verdict() == (
        "None: no cycle of 3 legs earns more than 0 bps after fees at these prices."
    )
    assert result.verdict() in str(result)
    assert "49 market.inactive" in result.headline()


def test_binance_is_proved_to_hold_at_its_own_fees_and_from_which_on():
    """At 10 bps no cycle of any length can profit; the smallest such fee is told to four decimals, and holds."""
    path = SNAPSHOTS / "binance_2019-08-22.json"
    result = scan(path)
    assert result.to_dict()["certificate"] == {"holds": True, "holds_at_fee_bps": 1.0417}
    assert "No cycle of any length can profit at these fees (proved)." in str(result)
    for fee_bps, holds in ((0, False), ("1.0416", False), ("1.0417", True)):
        told = scan(path, fee_bps=fee_bps, max_legs=4).to_dict()
        assert told["certificate"] == {"holds": holds, "holds_at_fee_bps": 1.0417}


def test_the_proof_is_of_the_markets_that_were_asked_for():
    """Without the assets of the best cycle it holds at a smaller fee."""
    told = scan(SNAPSHOTS / "binance_2019-08-22.json", fee_bps=0, ignore=["PAX", "TUSD"])
    assert told.holds_at_fee_bps < 1.04
    assert told.certificate is None
    assert "From a fee of " in told.proof()


def test_bitfinex_shows_sums_of_levels_which_confirm_nothing():
    """Sizes that are sums over 25 levels leave it open whether a cycle can be traded."""
    result = scan(SNAPSHOTS / "bitfinex_2019-11-01.json", fee_bps=0)
    assert result.executable is None
    assert {scanned.reason.code for scanned in result.cycles} == {"size.aggregate"}


def test_okex_quotes_of_their_own_age_are_marked():
    """Quotes a minute older than the snapshot mark their cycles as stale, and no others are marked so."""
    path = SNAPSHOTS / "okex_2020-03-27.json"
    snapshot = Snapshot.load(path)
    stale = {
        quote.symbol
        for quote in snapshot.quotes
        if snapshot.timestamp_ns - quote.exchange_ns > 60_000_000_000
    }
    assert stale
    for scanned in scan(path, fee_bps=0, min_edge_bps=-100, top=1000).cycles:
        symbols = {leg.market.symbol for leg in scanned.cycle.legs}
        assert ("stale" in scanned.flags) == bool(stale & symbols)


def test_stex_junk_is_marked_as_implausible():
    """Rates of hundreds of thousands are shown, but marked as what nobody should believe."""
    result = scan(SNAPSHOTS / "stex_2019-03-18.json")
    assert [scanned.flags for scanned in result.cycles] == [("implausible",)] * 2


@each_recording
def test_a_snapshot_scans_like_its_file(recorded: Recorded):
    """The file, the snapshot in memory, and the snapshot saved and loaded again give one answer."""
    snapshot = Snapshot.load(recorded.path)
    timings = {"load_ms": 0.0, "search_ms": 0.0, "source": ""}
    assert {**scan(snapshot, fee_bps=5).to_dict(), **timings} == {
        **scan(recorded.path, fee_bps=5).to_dict(),
        **timings,
    }
