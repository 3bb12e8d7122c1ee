"""How long a search for the best cycles takes, as ratios: medians of interleaved runs on the same rates."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

from triarb import (
    BoundedCycleFinder,
    FeeSchedule,
    GeneratedExchange,
    NetworkxCycleFinder,
    RateTable,
    Snapshot,
)

ROUNDS = 7
RECORDED = Path(__file__).parents[2] / "shared" / "data" / "snapshots" / "binance_2019-08-22.json"


@attrs.frozen
class Question:
    """One question, the part of triarb that answers it, and the rivals that answer the same."""

    text: str
    ours: Callable[[], object]
    rivals: dict[str, Callable[[], object]]


def triangles_by_join(rates: RateTable) -> int:
    """The plain Python answer for three legs: join the neighbours of every edge's ends; counts the profitable."""
    out: list[dict[int, float]] = [{} for _ in rates.assets]
    for edge, rate in enumerate(rates.rates):
        if rate > 0:
            out[rates.tails[edge]][rates.heads[edge]] = rate
    found = 0
    for a, from_a in enumerate(out):
        for b, ab in from_a.items():
            if b > a:
                for c, bc in out[b].items():
                    if c > a and a in out[c] and ab * bc * out[c][a] > 1.0:
                        found += 1
    return found


def questions() -> Iterator[Question]:
    """What is asked, over the recorded exchange where it is there, and over a generated one."""
    exchanges = [("generated, 1,500 markets", GeneratedExchange(1500, seed=1).snapshot())]
    if RECORDED.exists():
        exchanges.insert(0, ("binance 2019-08-22", Snapshot.load(RECORDED)))
    else:
        print(f"without the recorded exchange: there is no {RECORDED}", file=sys.stderr)  # noqa: T201
    for name, snapshot in exchanges:
        rates = RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
        yield Question(
            f"{name}: 3 legs, all starts",
            partial(BoundedCycleFinder(max_legs=3).find, rates),
            {
                "networkx simple_cycles": partial(NetworkxCycleFinder(max_legs=3).find, rates),
                "plain Python join": partial(triangles_by_join, rates),
            },
        )
        yield Question(
            f"{name}: 5 legs, all starts", partial(BoundedCycleFinder(max_legs=5).find, rates), {}
        )
        one_start = BoundedCycleFinder(max_legs=5, start=["USDT"])
        yield Question(f"{name}: 5 legs, start USDT", partial(one_start.find, rates), {})


def seconds(work: Callable[[], object]) -> float:
    """One timed call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the table."""
    table = Table("question", "triarb (ms)", "rival", "rival / triarb")
    for question in questions():
        contenders = {"": question.ours, **question.rivals}
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, work in contenders.items():
                times[name].append(seconds(work))
        ours = statistics.median(times[""])
        rivals = {name: statistics.median(times[name]) / ours for name in question.rivals}
        for name, ratio in (rivals or {"-": 0.0}).items():
            shown = f"{ratio:,.1f}" if ratio else "-"
            table.add_row(question.text, f"{ours * 1000:.2f}", name, shown)
    Console().print(table)


if __name__ == "__main__":
    main()
