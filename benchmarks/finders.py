"""How long it takes to find the best cycle, from rates ready: triarb against rivals on the same rates."""

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table

from benchmarks.race import ROUNDS, Contender, Result, in_process, race, shown, timed
from benchmarks.rivals import (
    CppSearch,
    OctoBot,
    best_by_join,
    best_by_networkx,
    compiled_bounded_search,
    networkx_graph,
    networkx_negative_cycle,
    octobot,
    rustworkx_negative_cycle,
)
from triarb import BoundedCycleFinder, Cycle, FeeSchedule, GeneratedExchange, RateTable, Snapshot
from triarb.finders.arrangement import graph, triangles
from triarb.finders.compiled import is_installed, machine
from triarb.finders.criteria import LOOSENED
from triarb.finders.kernel import join, search

RECORDED = Path(__file__).parents[2] / "shared" / "data" / "snapshots" / "binance_2019-08-22.json"
MOST_MARKETS_LISTED = {3: 2_000, 5: 700}
"""By legs, beyond how many markets nobody waits for the rivals that list every cycle."""


@attrs.frozen
class Exchange:
    """One exchange at one moment, at no fee, where there is most to find."""

    name: str
    snapshot: Snapshot
    rates: RateTable

    @classmethod
    def of(cls, name: str, snapshot: Snapshot) -> "Exchange":
        return cls(
            name, snapshot, RateTable(snapshot.markets, FeeSchedule.flat(0), snapshot.quotes)
        )

    def fresh(self) -> RateTable:
        """A table that nothing is known of."""
        return RateTable(self.snapshot.markets, FeeSchedule.flat(0), self.snapshot.quotes)


@attrs.frozen
class Bar:
    """What triarb promises of one question: its time against a rival's, which is at least or at most so many times it."""

    rival: str
    times: float
    at_least: bool = True
    own: str = "triarb"

    def verdict(self, question: str, results: Sequence[Result]) -> str:
        """PASS or short, with the numbers."""
        seconds = {result.name: result.seconds for result in results}
        own, rival = seconds.get(self.own), seconds.get(self.rival)
        if own is None or rival is None:
            return f"not run: {question}: {self.rival} against {self.own}"
        ratio = rival / own if self.at_least else own / rival
        passed = ratio >= self.times if self.at_least else ratio <= self.times
        slower, faster = (self.rival, self.own) if self.at_least else (self.own, self.rival)
        times = f"{ratio:,.0f}" if ratio > 100 else f"{ratio:.2f}"
        wanted = f"{'at least' if self.at_least else 'at most'} {self.times:,}"
        said = f"{slower} takes {times} times as long as {faster} (wanted: {wanted})"
        return f"{'PASS' if passed else 'short'}: {question}: {said}"


ALONE = "triarb, search alone"
BARS = {
    (3, False): [Bar("OctoBot", 1_000)],
    (5, False): [Bar("OctoBot", 3_000)],
    (3, True): [Bar("C++", 1.5, at_least=False), Bar("C++", 1.5, at_least=False, own=ALONE)],
    (5, True): [Bar("C++", 1.5, at_least=False), Bar("C++", 1.5, at_least=False, own=ALONE)],
}
"""By legs, and whether from one start: what is promised."""


def exchanges(console: Console, *, quick: bool) -> Iterator[Exchange]:
    """The recorded exchange where it is there, and generated ones."""
    if quick:
        yield Exchange.of("generated, 100 markets", GeneratedExchange(100, seed=1).snapshot())
        return
    if RECORDED.exists():
        yield Exchange.of("binance 2019-08-22, 546 markets", Snapshot.load(RECORDED))
    else:
        console.print(f"Without the recorded exchange: there is no {RECORDED}")
    for markets in (1_500, 10_000):
        made = GeneratedExchange(markets, seed=1, dislocations_per_minute=2_000).snapshot()
        yield Exchange.of(f"generated, {markets:,} markets", made)


def contenders(
    exchange: Exchange,
    max_legs: int,
    start: tuple[str, ...],
    program: Path | None,
    bot: OctoBot | None,
) -> list[Contender]:
    """Triarb first, and who else answers the question. What can be compared is compared before anything is timed."""
    rates = exchange.rates
    fast = BoundedCycleFinder(max_legs=max_legs, start=start)
    plain = BoundedCycleFinder(max_legs=max_legs, start=start, compiled=False)
    best = fast.best(rates)
    product = 1.0 if best is None else float(best.net_ratio)
    _agree("triarb as Python", product, _product(plain.best(rates)))
    count = len(fast.find(rates))

    entered = [
        in_process("triarb", functools.partial(fast.best, rates)),
        in_process("triarb, as Python", functools.partial(plain.best, rates)),
        Contender("triarb, new table", _first_searches(exchange, fast), "lays the pairs out"),
        in_process("triarb, all", functools.partial(fast.find, rates), f"all {count} cycles"),
    ]
    if fast.compiled:
        alone = search_alone(fast, rates)
        entered.insert(1, in_process(ALONE, alone, "the compiled call, floats only"))
    if program is not None:
        for only_best in (True, False):
            cpp = CppSearch(
                program,
                rates,
                max_legs=max_legs,
                start=start,
                bar=fast.criteria.nominating,
                only_best=only_best,
            )
            _agree("C++", product, max(1.0, cpp.best))
            name, note = ("C++", "") if only_best else ("C++, all", f"all {cpp.count} cycles")
            entered.append(Contender(name, cpp.seconds, note))
    if start:
        return entered
    if max_legs == 3:
        _agree("plain Python join", product, best_by_join(rates))
        entered.append(in_process("plain Python join", functools.partial(best_by_join, rates)))
    if len(exchange.snapshot.markets) <= MOST_MARKETS_LISTED[max_legs]:
        graph = networkx_graph(rates)
        listing = functools.partial(best_by_networkx, graph, max_legs)
        _agree("networkx", product, listing())
        entered.append(in_process("networkx simple_cycles", listing))
        if bot is not None:
            entered.append(bot.contender(exchange.snapshot, max_legs))
        any_cycle = functools.partial(networkx_negative_cycle, graph)
        entered.append(in_process("networkx negative cycle", any_cycle, "any, of any length"))
    if (negative := rustworkx_negative_cycle(rates)) is not None:
        entered.append(in_process("rustworkx negative cycle", negative, "any, of any length"))
    return entered


def _product(best: Cycle | None) -> float:
    return 1.0 if best is None else float(best.net_ratio)


def _agree(who: str, ours: float, theirs: float) -> None:
    if abs(ours - theirs) > 1e-9 * ours:
        raise RuntimeError(f"triarb's best product is {ours!r}, that of {who} {theirs!r}")


def _first_searches(exchange: Exchange, finder: BoundedCycleFinder) -> Any:
    """Times the first search of a table that was just made."""

    def seconds() -> float:
        table = exchange.fresh()
        return timed(functools.partial(finder.best, table))

    return seconds


def search_alone(finder: BoundedCycleFinder, rates: RateTable) -> Callable[[], object]:
    """The compiled call by which `finder` searches for the best, everything else at hand."""
    runner, criteria = machine(compiled=True), finder.criteria
    table, last = runner.array(rates.rates), (criteria.nominating, 1 - LOOSENED)
    if criteria.max_legs == 3:
        listed = triangles(rates, criteria.start, runner)
        return functools.partial(runner.kernel(join), table, *listed, *last)
    pairs = graph(rates, criteria.start, runner, without_dead_ends=True)
    return functools.partial(runner.kernel(search), table, *pairs, 3, criteria.max_legs, *last)


def where_time_goes(exchange: Exchange, max_legs: int, start: tuple[str, ...]) -> Iterator[str]:
    """The parts of one search, and below what no Python caller of it can come."""
    finder = BoundedCycleFinder(max_legs=max_legs, start=start)
    best = finder.best(exchange.rates)
    if not finder.compiled:
        return
    runner = machine(compiled=True)
    none, zero = runner.numbers([]), runner.numbers([0])
    empty = (runner.array(exchange.rates.rates), 0, zero, none, none, none, 3, max_legs, 1.0, 0.0)
    edge = {(leg.market.symbol, leg.side): number for number, leg in _legs(exchange.rates)}
    legs = () if best is None else best.legs
    found = [(_product(best), [edge[leg.market.symbol, leg.side] for leg in legs])][: len(legs)]
    whole, inside, call, deciding = race(
        [
            in_process("whole", functools.partial(finder.best, exchange.rates)),
            in_process("search", search_alone(finder, exchange.rates)),
            in_process("call", functools.partial(runner.kernel(search), *empty)),
            in_process("decide", functools.partial(finder.criteria.decide, exchange.rates, found)),
        ]
    )
    searching = max(0.0, inside.seconds - call.seconds)
    rest = whole.seconds - inside.seconds - deciding.seconds
    yield (
        f"  of {shown(whole.seconds)}: an empty compiled search {shown(call.seconds)}, searching"
        f" {shown(searching)}, deciding exactly on the best and making it"
        f" {shown(deciding.seconds)}, the rest {shown(rest)};"
    )
    floor = call.seconds + deciding.seconds
    yield f"  below {shown(floor)} no search of this kind comes that is called from Python."


def _legs(rates: RateTable) -> Iterator[tuple[int, Any]]:
    for number, rate in enumerate(rates.rates):
        if rate > 0.0:
            yield number, rates.leg(number)


def bytes_a_market(exchange: Exchange) -> float:
    """What is laid out for both searches, without and with the triangles."""
    runner = machine(compiled=True)
    layouts: list[Any] = [
        graph(exchange.rates, frozenset(), runner, without_dead_ends=True),
        triangles(exchange.rates, frozenset(), runner),
    ]
    parts = [part for layout in layouts for part in layout if not isinstance(part, int)]
    return sum(part.nbytes for part in parts) / len(exchange.snapshot.markets)


def report(console: Console, options: argparse.Namespace) -> None:
    """Print the table, and whether triarb keeps its promises."""
    quick: bool = options.quick
    if not is_installed():
        console.print("Without numba: triarb's kernels run as Python.")
    verdicts: list[str] = []
    with compiled_bounded_search() as program, octobot(options.octobot) as bot:
        if program is None:
            console.print("Without C++: there is no g++ or c++.")
        if bot is None:
            console.print("Without OctoBot: no --octobot PYTHON was given.")
        for exchange in exchanges(console, quick=quick):
            for max_legs, start in ((3, ()), (5, ()), (3, ("USDT",)), (5, ("USDT",))):
                where = f"start {start[0]}" if start else "all starts"
                question = f"{exchange.name}: best cycle of up to {max_legs} legs, {where}"
                entered = contenders(exchange, max_legs, start, program, bot)
                results = race(entered, rounds=1 if quick else ROUNDS)
                console.print(_table(question, results))
                said = [bar.verdict(question, results) for bar in BARS[max_legs, bool(start)]]
                verdicts.extend(said)
                if any(verdict.startswith("short") for verdict in said):
                    verdicts.extend(where_time_goes(exchange, max_legs, start))
            verdicts.append(
                f"{exchange.name}: {bytes_a_market(exchange):,.0f} bytes a market laid out"
            )
    for said in verdicts:
        console.print(said, soft_wrap=True, highlight=False)


def _table(title: str, results: Sequence[Result]) -> Table:
    table = Table(title=title, title_justify="left", min_width=78)
    table.add_column("who", no_wrap=True)
    for name in ("median", "runs", "times triarb's"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("note")
    for result in results:
        ratio = result.seconds / results[0].seconds
        times = f"{ratio:,.2f}" if ratio < 100 else f"{ratio:,.0f}"
        table.add_row(result.name, shown(result.seconds), str(result.runs), times, result.note)
    return table
