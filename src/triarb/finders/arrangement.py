"""Arrangements: the pairs of assets of a rate table that are worth searching, laid out as the kernels want them.

They depend on which pairs have a rate, not on the rates. So they are made once a table, and again only where a pair
comes to life that had no rate when they were made.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from triarb.finders.compiled import Machine
from triarb.market.rates import RateTable


class Graph(NamedTuple):
    """The second and following arguments of `kernel.search`, in its order."""

    roots: int
    out_first: list[int]
    out_head: list[int]
    out_edge: list[int]
    in_first: list[int]
    in_tail: list[int]
    in_edge: list[int]


class Triangles(NamedTuple):
    """The second and following arguments of `kernel.join`, in its order; each begins in its smallest asset."""

    first: list[int]
    second: list[int]
    third: list[int]


class Kept(NamedTuple):
    """An arrangement, and the edges that were left out of it because they had no rate."""

    layout: tuple[Any, ...]
    left_out: Sequence[int]


Arrange = Callable[[RateTable, Sequence[int], frozenset[str]], Graph | Triangles]

_KEPT: WeakKeyDictionary[RateTable, dict[object, Kept]] = WeakKeyDictionary()


def arranged(
    rates: RateTable, arrange: Arrange, start: frozenset[str], machine: Machine
) -> tuple[Any, ...]:
    """What `arrange` makes of `rates`, as kept for it.

    Args:
        rates: the table.
        arrange: one of the functions below.
        start: assets of which a cycle must have one; empty for no such wish.
        machine: what runs the kernels that take it.
    """
    of_table = _KEPT.get(rates)
    if of_table is None:
        of_table = _KEPT[rates] = {}
    key = (arrange, start, machine)
    kept = of_table.get(key)
    if kept is None or machine.kernel(has_rate)(machine.table(rates.rates), kept.left_out):
        before = range(len(rates.rates)) if kept is None else kept.left_out
        left_out = [int(edge) for edge in before if rates.rates[edge] == 0.0]
        live = sorted(set(range(len(rates.rates))).difference(left_out))
        layout = tuple(
            part if isinstance(part, int) else machine.numbers(part)
            for part in arrange(rates, live, start)
        )
        kept = of_table[key] = Kept(layout, machine.numbers(left_out))
    return kept.layout


def has_rate(table: Sequence[float], edges: Sequence[int]) -> bool:
    """Whether one of `edges` has a rate in `table`."""
    for edge in edges:  # noqa: SIM110 - a kernel
        if table[edge] > 0.0:
            return True
    return False


def graph(rates: RateTable, live: Sequence[int], start: frozenset[str]) -> Graph:
    """The edges `live`, their vertices renumbered: the start assets first, and then the hubs.

    Hubs are searched first and then taken out, whereupon most of an exchange falls apart.
    """
    tails, heads, assets = rates.tails, rates.heads, rates.assets
    degree = [0] * len(assets)
    for edge in live:
        degree[tails[edge]] += 1
        degree[heads[edge]] += 1
    order = sorted(
        (v for v, edges in enumerate(degree) if edges),
        key=lambda v: (assets[v] not in start, -degree[v], v),
    )
    rank = [0] * len(assets)
    for place, v in enumerate(order):
        rank[v] = place
    count = len(order)

    tail = {edge: rank[tails[edge]] for edge in live}
    head = {edge: rank[heads[edge]] for edge in live}
    forward = sorted(live, key=lambda edge: tail[edge] * count - head[edge])
    backward = sorted(live, key=lambda edge: head[edge] * count - tail[edge])
    return Graph(
        roots=sum(assets[v] in start for v in order) if start else count,
        out_first=_firsts(tail.values(), count),
        out_head=[head[edge] for edge in forward],
        out_edge=forward,
        in_first=_firsts(head.values(), count),
        in_tail=[tail[edge] for edge in backward],
        in_edge=backward,
    )


def graph_without_dead_ends(rates: RateTable, live: Sequence[int], start: frozenset[str]) -> Graph:
    """As `graph`, without the assets that, now or once others have gone, have one neighbour only.

    No cycle of three legs or more passes through such an asset.
    """
    tails, heads = rates.tails, rates.heads
    neighbours: dict[int, set[int]] = {}
    for edge in live:
        tail, head = tails[edge], heads[edge]
        neighbours.setdefault(tail, set()).add(head)
        neighbours.setdefault(head, set()).add(tail)
    loose = [v for v, others in neighbours.items() if len(others) == 1]
    while loose:
        for other in neighbours.pop(v := loose.pop()):
            others = neighbours[other]
            others.remove(v)
            if len(others) == 1:
                loose.append(other)
    inner = [edge for edge in live if tails[edge] in neighbours and heads[edge] in neighbours]
    return graph(rates, inner, start)


def triangles(rates: RateTable, live: Sequence[int], start: frozenset[str]) -> Triangles:
    """All triangles of the edges `live`, both ways round, that pass through a start asset."""
    tails, heads, assets = rates.tails, rates.heads, rates.assets
    edge_of = {(tails[edge], heads[edge]): edge for edge in live}
    after: list[set[int]] = [set() for _ in assets]
    before: list[set[int]] = [set() for _ in assets]
    for tail, head in edge_of:
        after[tail].add(head)
        before[head].add(tail)
    wanted = [not start or asset in start for asset in assets]
    found = Triangles([], [], [])
    for a in range(len(assets)):
        closing = {c for c in before[a] if c > a}
        for b in after[a]:
            if b < a:
                continue
            for c in closing & after[b]:
                if wanted[a] or wanted[b] or wanted[c]:
                    found.first.append(edge_of[a, b])
                    found.second.append(edge_of[b, c])
                    found.third.append(edge_of[c, a])
    return found


def _firsts(ends: Collection[int], count: int) -> list[int]:
    """Where the edges of each vertex begin among edges sorted by vertex, and after the last where they end."""
    entries = [0] * count
    for v in ends:
        entries[v] += 1
    return [0, *accumulate(entries)]
