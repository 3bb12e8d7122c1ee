"""The rivals: each answers what the best cycle's product is, or says how its question differs."""

import functools
import importlib.util
import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networkx as nx

from benchmarks.race import Contender
from triarb import FeeSchedule, RateTable, Snapshot
from triarb.finders.arrangement import graph
from triarb.finders.compiled import machine
from triarb.market.graph import market_graph

SOURCE = Path(__file__).parent / "cpp" / "bounded.cpp"
CPP_ROUNDS = 201


def best_by_join(rates: RateTable) -> float:
    """The plain Python answer for three legs: join the neighbours of every edge's ends."""
    out: list[dict[int, float]] = [{} for _ in rates.assets]
    for edge, rate in enumerate(rates.rates):
        if rate > 0:
            out[rates.tails[edge]][rates.heads[edge]] = rate
    best = 1.0
    for a, from_a in enumerate(out):
        for b, ab in from_a.items():
            if b > a:
                for c, bc in out[b].items():
                    if c > a and a in out[c]:
                        best = max(best, ab * bc * out[c][a])
    return best


def best_by_networkx(graph: Any, max_legs: int) -> float:
    """Every cycle that networkx lists, multiplied; its graph stands ready."""
    best = 1.0
    for names in nx.simple_cycles(graph, length_bound=max_legs):
        if len(names) > 2:
            pairs = zip(names, [*names[1:], names[0]], strict=True)
            best = max(best, math.prod(graph.edges[pair]["rate"] for pair in pairs))
    return best


def networkx_graph(rates: RateTable) -> Any:
    """Its graph, with weights for its search of a negative cycle."""
    graph = market_graph(rates)
    for _, _, data in graph.edges(data=True):
        data["weight"] = -math.log(data["rate"])
    return graph


def networkx_negative_cycle(graph: Any) -> bool:
    """Whether there is one, of any length."""
    return bool(nx.negative_edge_cycle(graph))


def rustworkx_negative_cycle(rates: RateTable) -> Any:
    """A function that says whether there is one, of any length, or None where rustworkx is not installed."""
    if importlib.util.find_spec("rustworkx") is None:
        return None
    import rustworkx as rx  # noqa: PLC0415

    graph = rx.PyDiGraph()
    graph.add_nodes_from(rates.assets)
    graph.add_edges_from(
        [
            (rates.tails[edge], rates.heads[edge], -math.log(rate))
            for edge, rate in enumerate(rates.rates)
            if rate > 0
        ]
    )
    return functools.partial(rx.negative_edge_cycle, graph, float)


@contextmanager
def compiled_bounded_search() -> Iterator[Path | None]:
    """The C++ program, compiled; None where there is no compiler."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bounded"
        subprocess.run([compiler, "-O3", "-march=native", "-o", program, SOURCE], check=True)
        yield program


class CppSearch:
    """The C++ bounded search of one table, timed by itself.

    Attributes:
        best: the best product it found.
        count: how many cycles above the bar it came upon.
    """

    def __init__(
        self,
        program: Path,
        rates: RateTable,
        *,
        max_legs: int,
        start: Collection[str],
        bar: float,
        only_best: bool,
    ) -> None:
        layout: Any = graph(
            rates, frozenset(start), machine(compiled=False), without_dead_ends=True
        )
        vertices = len(layout.first) - 1
        rows = [
            f"{v} {layout.other[place]} {rates.rates[layout.there[place]]!r}"
            for v in range(vertices)
            for place in range(layout.first[v], layout.first[v + 1])
        ]
        head = f"{vertices} {len(rows)} {layout.roots} 3 {max_legs} {bar!r} {only_best:d}"
        self._program = program
        self._text = "\n".join([f"{head} {CPP_ROUNDS}", *rows])
        self.count, self.best = 0, 0.0
        self.seconds()

    def seconds(self) -> float:
        """The median of its rounds."""
        done = subprocess.run(
            [self._program], input=self._text, capture_output=True, text=True, check=True
        )
        microseconds, count, best = done.stdout.split()
        self.count, self.best = int(count), float(best)
        return float(microseconds) * 1e-6


@contextmanager
def octobot(python: Path | None) -> Iterator["OctoBot | None"]:
    """OctoBot's detector in its own environment; None where there is none."""
    if python is None:
        yield None
        return
    script = Path(__file__).with_name("octobot.py")
    with subprocess.Popen(
        [python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield OctoBot(process)
        process.stdin.close()  # type: ignore[union-attr]


class OctoBot:
    """OctoBot's detector, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def contender(self, snapshot: Snapshot, max_legs: int) -> Contender:
        """Its search of a snapshot, whose markets it knows by one price each."""
        usable = set(RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes).usable)
        prices = {
            quote.symbol: float((quote.bid + quote.ask) / 2)
            for quote in snapshot.quotes
            if quote.symbol in usable and quote.bid is not None and quote.ask is not None
        }
        asked = json.dumps({"prices": prices, "legs": max_legs}) + "\n"

        def seconds() -> float:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None:
                raise RuntimeError("OctoBot's process has no pipes")
            stdin.write(asked)
            stdin.flush()
            return float(json.loads(stdout.readline())["seconds"])

        return Contender("OctoBot", seconds, "bounded by us; one price a market")
