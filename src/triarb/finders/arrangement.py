"""Arrangements: the pairs of assets of a rate table that are worth searching, laid out as the kernels want them.

They depend on which pairs have a rate, not on the rates. So they are made once a table, and again only where a pair
comes to life that had no rate when they were made.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

from triarb.finders.compiled import Machine, flags, integers
from triarb.market.rates import RateTable


class Graph(NamedTuple):
    """The second and following arguments of `kernel.search`, in its order."""

    roots: int
    first: Sequence[int]
    other: Sequence[int]
    there: Sequence[int]
    back: Sequence[int]


class Triangles(NamedTuple):
    """The second and following arguments of `kernel.join`, in its order."""

    first: Sequence[int]
    second: Sequence[int]
    third: Sequence[int]


class _Kept(NamedTuple):
    """An arrangement, and the edges that were left out of it because their pairs had no rate."""

    layout: Graph | Triangles
    left_out: Sequence[int]


_KEPT: WeakKeyDictionary[RateTable, dict[object, _Kept]] = WeakKeyDictionary()


def graph(
    rates: RateTable, start: frozenset[str], machine: Machine, *, without_dead_ends: bool
) -> Graph | Triangles:
    """The pairs of `rates` as a graph, as kept for it.

    Args:
        rates: the table.
        start: assets of which a cycle must have one; empty for no such wish.
        machine: what runs the kernels that take it.
        without_dead_ends: leave out the assets that, now or once others have gone, have one neighbour only. No cycle
            of three legs or more passes through them.
    """
    return _arranged(rates, start, machine, without_dead_ends, triangles_alone=False)


def triangles(rates: RateTable, start: frozenset[str], machine: Machine) -> Graph | Triangles:
    """All triangles of `rates`, both ways round, that pass through a start asset, as kept for it."""
    return _arranged(rates, start, machine, without_dead_ends=True, triangles_alone=True)


def _arranged(
    rates: RateTable,
    start: frozenset[str],
    machine: Machine,
    without_dead_ends: bool,  # noqa: FBT001
    *,
    triangles_alone: bool,
) -> Graph | Triangles:
    of_table = _KEPT.get(rates)
    if of_table is None:
        of_table = _KEPT[rates] = {}
    key = (start, machine, without_dead_ends, triangles_alone)
    kept = of_table.get(key)
    table = machine.array(rates.rates)
    if kept is None or machine.kernel(has_rate)(table, kept.left_out):
        assets = rates.assets
        places = [(name, bisect_left(assets, name)) for name in sorted(start)]
        found = machine.kernel(lay_out)(
            table,
            machine.array(rates.tails),
            machine.array(rates.heads),
            machine.array(rates.offsets),
            machine.numbers([at for name, at in places if assets[at : at + 1] == [name]]),
            not start,
            without_dead_ends,
            kept is None,
            machine.numbers([]) if kept is None else kept.left_out,
        )
        layout: Graph | Triangles = Graph(*found[:-1])
        if triangles_alone:
            layout = Triangles(*machine.kernel(list_triangles)(*layout))
        kept = of_table[key] = _Kept(layout, found[-1])
    return kept.layout


def has_rate(table: Sequence[float], edges: Sequence[int]) -> bool:
    """Whether one of `edges` has a rate in `table`."""
    for edge in edges:  # noqa: SIM110 - a kernel
        if table[edge] > 0.0:
            return True
    return False


def lay_out(  # noqa: PLR0912, PLR0915, PLR0917 -- one function, as a compiler wants it
    table: Sequence[float],
    tails: Sequence[int],
    heads: Sequence[int],
    offsets: Sequence[int],
    start: Sequence[int],
    all_are_roots: bool,  # noqa: FBT001
    without_dead_ends: bool,  # noqa: FBT001
    is_first: bool,  # noqa: FBT001
    left_out: Sequence[int],
) -> tuple[int, Sequence[int], Sequence[int], Sequence[int], Sequence[int], Sequence[int]]:
    """A `Graph` of the pairs that have a rate in a direction, or had one, and the edges that are left out of it.

    Its vertices are the assets renumbered: the start assets first, and then the hubs. Hubs are searched first and then
    taken out, whereupon most of an exchange falls apart.

    Args:
        table: see `RateTable.rates`, like the next three. For each edge there is one back.
        tails: by edge.
        heads: by edge.
        offsets: by asset.
        start: assets.
        all_are_roots: whether every vertex is a root; else the start assets are.
        without_dead_ends: see `graph`.
        is_first: whether nothing is known of earlier.
        left_out: the edges left out earlier.
    """
    assets, count = len(offsets) - 1, len(heads)
    at = integers(assets + 1)
    for v in range(assets):
        at[v] = offsets[v]
    reverse = integers(
        count
    )  # edges sorted by head, then tail, are those back of edges sorted by tail, then head
    for edge in range(count):
        reverse[at[heads[edge]]] = edge
        at[heads[edge]] += 1

    lives = flags(count)
    for edge in range(count):
        lives[edge] = not is_first
    for edge in left_out:
        lives[edge] = False
    degree = integers(assets)
    dead = count
    for edge in range(count):
        if lives[edge] or table[edge] > 0.0 or table[reverse[edge]] > 0.0:
            lives[edge] = True
            degree[tails[edge]] += 1
            dead -= 1
    leaves_out = integers(dead)
    for edge in range(count - 1, -1, -1):
        if not lives[edge]:
            dead -= 1
            leaves_out[dead] = edge

    if without_dead_ends:
        ends = integers(assets)
        waiting = 0
        for v in range(assets):
            if degree[v] == 1:
                ends[waiting] = v
                waiting += 1
        while waiting > 0:
            waiting -= 1
            v = ends[waiting]
            for edge in range(offsets[v], offsets[v + 1]):
                if lives[edge]:
                    w = heads[edge]
                    lives[edge] = lives[reverse[edge]] = False
                    degree[v] -= 1
                    degree[w] -= 1
                    if degree[w] == 1:
                        ends[waiting] = w
                        waiting += 1

    is_start = flags(assets)
    for v in start:
        is_start[v] = True
    order, rank = integers(assets), integers(assets)
    roots = vertices = 0
    for turn in range(2):  # the start assets, then the others; each by falling degree
        by_degree = integers(assets + 1)
        for v in range(assets):
            if is_start[v] == (turn == 0):
                by_degree[degree[v]] += 1
        for edges in range(assets, 0, -1):
            entries = by_degree[edges]
            by_degree[edges] = vertices
            vertices += entries
        for v in range(assets):
            if is_start[v] == (turn == 0) and degree[v] > 0:
                rank[v] = by_degree[degree[v]]
                order[rank[v]] = v
                by_degree[degree[v]] += 1
        if turn == 0 or all_are_roots:
            roots = vertices

    first = integers(vertices + 1)
    for v in range(vertices):
        first[v + 1] = first[v] + degree[order[v]]
        at[v] = first[v]
    other, there, back = integers(count), integers(count), integers(count)
    for w in range(vertices - 1, -1, -1):
        for edge in range(offsets[order[w]], offsets[order[w] + 1]):
            if lives[edge]:
                v = rank[heads[edge]]
                other[at[v]] = w
                there[at[v]] = reverse[edge]
                back[at[v]] = edge
                at[v] += 1
    return roots, first, other, there, back, leaves_out


def list_triangles(
    roots: int,
    first: Sequence[int],
    other: Sequence[int],
    there: Sequence[int],
    back: Sequence[int],
) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """The `Triangles` of a `Graph` that pass through a root, each both ways round."""
    vertices = len(first) - 1
    edges: list[int] = []
    place_to = integers(vertices)  # one more than the place of the edge there, 0 for none
    for v in range(vertices):
        # The lowest stand last. From each vertex only those below it are looked at, which are few also for a hub.
        last_of_v = first[v + 1] - 1
        i = last_of_v
        while i >= first[v] and other[i] < v:
            place_to[other[i]] = i + 1
            i -= 1
        i = last_of_v
        while i >= first[v] and other[i] < v:
            u = other[i]
            j = first[u + 1] - 1
            while j >= first[u] and other[j] < u:
                if place_to[other[j]] > 0 and other[j] < roots:
                    k = place_to[other[j]] - 1
                    for edge in (there[i], there[j], back[k], there[k], back[j], back[i]):
                        edges.append(edge)  # noqa: PERF402 - a kernel
                j -= 1
            i -= 1
        i = last_of_v
        while i >= first[v] and other[i] < v:
            place_to[other[i]] = 0
            i -= 1
    found = len(edges) // 3
    ones, twos, threes = integers(found), integers(found), integers(found)
    for i in range(found):
        ones[i] = edges[3 * i]
        twos[i] = edges[3 * i + 1]
        threes[i] = edges[3 * i + 2]
    return ones, twos, threes
