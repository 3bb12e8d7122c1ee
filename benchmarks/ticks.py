"""What a tick costs: the certificate kept by triarb, by C++, and the triangles of a market by C++.

`python -m benchmarks.ticks [--data FILE]`. Ticks of generated exchanges are replayed, calm and turbulent, from the same
beginning by each contender in turn; what is told is the median of rounds, in processor time. All must end with as many
triangles listed.
"""

import argparse
import itertools
import json
import operator
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
import numpy as np
from rich.console import Console
from rich.table import Table

from triarb import CertifiedCycleMonitor, FeeSchedule, GeneratedExchange, Quote, RateTable
from triarb.finders import layout
from triarb.finders.compiled import is_installed
from triarb.finders.episodes import Ticks, episodes
from triarb.finders.tracker import Arc, Tracker

ROUNDS, REPEATS = 5, 3
FEE_BPS = 10
SIZES = {1_500: 100_000, 10_000: 100_000, 100_000: 50_000}
"""Ticks by number of markets."""
TURBULENCE = (0, 13, 130)
"""Dislocations a minute, in which 12,000 ticks come: none, as many as Binance showed, ten times that."""
CPP = Path(__file__).parent / "cpp"


@attrs.frozen
class Stream:
    """The markets of an exchange, a tracker that has taken in how it begins, and its ticks."""

    arcs: list[Arc]
    tracker: Tracker
    begins: "array[float]"
    ticks: "array[float]"


def stream(markets: int, per_minute: float, ticks: int) -> Stream:
    """So many ticks of an exchange of so many markets, numbered as the kernel does."""
    exchange = GeneratedExchange(markets, seed=1, dislocations_per_minute=per_minute)
    snapshot = exchange.snapshot()
    assets = sorted({asset for m in snapshot.markets for asset in (m.base, m.quote)})
    number = {asset: i for i, asset in enumerate(assets)}
    kept = 1 - FEE_BPS / 10_000
    arcs = [Arc(number[m.base], number[m.quote], kept, kept) for m in snapshot.markets]
    tracker = Tracker(len(assets), arcs, min_legs=3, max_legs=3, threshold=1.0, is_exact=False)
    places = dict(zip((m.symbol for m in snapshot.markets), tracker.numbers, strict=True))

    def rows(quotes: Iterable[Quote]) -> "array[float]":
        return array(
            "d", (x for q in quotes for x in (places[q.symbol], float(q.bid), float(q.ask)))
        )

    begins, replayed = rows(snapshot.quotes), rows(itertools.islice(exchange.ticks(), ticks))
    tracker.grow(
        20_000, 80_000
    )  # for as many cycles as there may be, so that it need not while it is timed
    tracker.begin(begins)
    by_number = sorted(zip(tracker.numbers, arcs, strict=True), key=operator.itemgetter(0))
    return Stream([arc for _, arc in by_number], tracker, begins, replayed)


def by_kernel(given: Stream) -> Callable[[], tuple[float, int]]:
    """Replay through the kernel, from the same beginning each time: nanoseconds a tick, and what is listed then."""
    tracker = given.tracker
    seen, ticks = tracker.view(given.ticks), len(given.ticks) // 3
    ints, floats = tracker.ints[:], tracker.floats[:]

    def replay() -> tuple[float, int]:
        tracker.view(tracker.ints)[:], tracker.view(tracker.floats)[:] = ints, floats
        began = time.thread_time()
        tracker.run(seen, 0, ticks)
        return (time.thread_time() - began) / ticks * 1e9, tracker.ints[layout.LISTED]

    def median_of_replays() -> tuple[float, int]:
        told = [replay() for _ in range(REPEATS)]
        return statistics.median(ns for ns, _ in told), told[0][1]

    return median_of_replays


def by_program(program: Path, replayed: Path) -> Callable[[], tuple[float, int]]:
    """Replay through a program of `cpp`: the same."""

    def replay() -> tuple[float, int]:
        told = subprocess.run([program, replayed], check=True, capture_output=True, text=True)
        ns, listed = told.stdout.split()
        return float(ns), int(listed)

    return replay


def write(given: Stream, path: Path) -> None:
    """What the programs of `cpp` read."""
    bids, asks = np.zeros(len(given.arcs)), np.zeros(len(given.arcs))
    for number, bid, ask in np.frombuffer(given.begins).reshape(-1, 3):
        bids[int(number)], asks[int(number)] = bid, ask
    ticks = np.frombuffer(given.ticks).reshape(-1, 3)
    rows = np.zeros(len(ticks), np.dtype([("market", "i8"), ("bid", "f8"), ("ask", "f8")]))
    rows["market"], rows["bid"], rows["ask"] = ticks.T
    worths = np.array(given.tracker.worths())
    with path.open("wb") as file:
        file.writelines(
            part.tobytes()
            for part in (
                np.array([len(worths), len(given.arcs), len(ticks), 3, REPEATS], np.int64),
                np.array([given.tracker.floats[layout.TIGHT_ROOM], 1.0]),
                np.array([arc.base for arc in given.arcs], np.int32),
                np.array([arc.quote for arc in given.arcs], np.int32),
                np.array([arc.kept_of_sale for arc in given.arcs]),
                np.array([arc.kept_of_purchase for arc in given.arcs]),
                bids,
                asks,
                worths,
                rows,
            )
        )


def programs(folder: Path) -> dict[str, Path]:
    """The C++ programs, compiled; none where there is no compiler."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        print("without C++: there is no g++ or clang++", file=sys.stderr)  # noqa: T201
        return {}
    compiled = {}
    for name in ("certificate", "triangle_index"):
        compiled[name] = folder / name
        source = CPP / f"{name}.cpp"
        options = ["-O3", "-march=native", "-std=c++17", "-o", compiled[name], source]
        subprocess.run([compiler, *options], check=True)
    return compiled


@attrs.frozen
class Row:
    """Nanoseconds a tick, by contender."""

    markets: int
    per_minute: float
    ns: dict[str, float]


def race(markets: int, per_minute: float, ticks: int, rivals: dict[str, Path], folder: Path) -> Row:
    """All contenders in turn, on one stream."""
    given = stream(markets, per_minute, ticks)
    path = folder / "replay"
    write(given, path)
    contenders = {"triarb": by_kernel(given)}
    contenders |= {name: by_program(program, path) for name, program in rivals.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        listed = set()
        for name, replay in contenders.items():
            ns, count = replay()
            times[name].append(ns)
            listed.add(count)
        if len(listed) > 1:
            raise AssertionError(f"{markets} markets: the contenders list {listed} triangles")
    return Row(markets, per_minute, {name: statistics.median(ns) for name, ns in times.items()})


def one_by_one() -> dict[str, float]:
    """Nanoseconds a tick through the public call, quote in hand; and of an empty compiled call with its arguments."""
    exchange = GeneratedExchange(1_500, seed=1)
    snapshot = exchange.snapshot()
    quotes = list(itertools.islice(exchange.ticks(), 300))

    def monitor(*, compiled: bool) -> CertifiedCycleMonitor:
        table = RateTable(snapshot.markets, FeeSchedule.flat(FEE_BPS), snapshot.quotes)
        return CertifiedCycleMonitor(table, compiled=compiled)

    def each(call: Callable[[Quote], object]) -> float:
        began = time.thread_time()
        for _ in range(20):
            for quote in quotes:
                call(quote)
        return (time.thread_time() - began) / (20 * len(quotes)) * 1e9

    contenders: dict[str, Callable[[Quote], object]] = {"plain": monitor(compiled=False).update}
    if is_installed():
        import numba  # noqa: PLC0415 - an extra

        empty = numba.njit(nogil=True)(lambda ints, floats, ticks, first, end: 0)  # noqa: ARG005
        ints, floats, ticks = np.zeros(9, np.int64), np.zeros(9), np.zeros(3)
        empty(ints, floats, ticks, 0, 1)
        contenders["compiled"] = monitor(compiled=True).update
        contenders["empty compiled call"] = lambda _: empty(ints, floats, ticks, 0, 1)
        contenders["nothing"] = lambda _: None
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            times[name].append(each(call))
    medians = {name: statistics.median(ns) for name, ns in times.items()}
    if "nothing" in medians:  # the call of a lambda is ours, not numba's
        medians["empty compiled call"] -= medians.pop("nothing")
    return medians


def batch() -> tuple[float, int]:
    """Nanoseconds a tick through `episodes`, and how many it told: 10,000 markets, turbulent."""
    exchange = GeneratedExchange(10_000, seed=1, dislocations_per_minute=TURBULENCE[-1])
    snapshot = exchange.snapshot()
    place = {market.symbol: i for i, market in enumerate(snapshot.markets)}
    quotes = [*snapshot.quotes, *itertools.islice(exchange.ticks(), 100_000)]
    ticks = Ticks(
        market=[place[quote.symbol] for quote in quotes],
        bid=[float(quote.bid) for quote in quotes],
        bid_size=[float(quote.bid_size) for quote in quotes],
        ask=[float(quote.ask) for quote in quotes],
        ask_size=[float(quote.ask_size) for quote in quotes],
        time_ns=[quote.received_ns for quote in quotes],
    )
    times = []
    told = 0
    for _ in range(ROUNDS):
        result = episodes(snapshot.markets, FeeSchedule.flat(FEE_BPS), ticks)
        began = time.thread_time()
        told = len(result.records())
        times.append((time.thread_time() - began) / len(ticks) * 1e9)
    return statistics.median(times), told


def report(console: Console, options: argparse.Namespace) -> list[Row]:
    """Print the tables."""
    if not is_installed():
        console.print("without numba: the kernel runs as plain Python")
    sizes = {1_500: 2_000} if options.quick else SIZES
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rivals = programs(folder)
        table = Table(
            *("markets", "dislocations a minute", "triarb"),
            *(name.replace("_", " ") for name in rivals),
            "triarb / each",
            title="ns a tick: the certificate, and rivals in C++",
        )
        for markets, ticks in sizes.items():
            for per_minute in TURBULENCE:
                row = race(markets, per_minute, ticks, rivals, folder)
                rows.append(row)
                ours = row.ns["triarb"]
                table.add_row(
                    *(f"{markets:,}", f"{per_minute:g}", f"{ours:.1f}"),
                    *(f"{row.ns[rival]:.1f}" for rival in rivals),
                    ", ".join(f"{ours / row.ns[rival]:.2f}" for rival in rivals),
                )
    console.print(table)
    table = Table("one tick through `update`", "ns", title="1,500 markets, calm")
    for contender, ns in one_by_one().items():
        table.add_row(contender, f"{ns:.0f}")
    console.print(table)
    if not options.quick:
        ns, count = batch()
        console.print(
            f"episodes(), 10,000 markets, {TURBULENCE[-1]} dislocations a minute: "
            f"{ns:.0f} ns a tick, {count} episodes"
        )
    return rows


def main() -> None:
    """Print the tables; `--data` also writes what `benchmarks.plot` takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, help="a JSON file to write")
    options = parser.parse_args()
    rows = report(Console(), options)
    if options.data:
        options.data.write_text(json.dumps([attrs.asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
