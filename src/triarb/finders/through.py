"""The search through one edge: what a tick may have brought, and no more.

Like `kernel`, one plain function over flat sequences of numbers. It works on rooms (see `Potentials.room`), which are at
least zero but for the few edges held aside; so nearly every way ends at its first steps.
"""

import math
from collections.abc import Sequence


def search_through(  # noqa: PLR0912, PLR0915, PLR0917 -- one function, as a compiler wants it
    edge: int,
    gain: float,
    slack: float,
    allowance: float,
    min_legs: int,
    max_legs: int,
    tails: Sequence[int],
    heads: Sequence[int],
    out_first: Sequence[int],
    in_first: Sequence[int],
    in_edge: Sequence[int],
    log_rate: Sequence[float],
    potential: Sequence[float],
    best: list[float],
    on_path: list[bool],
) -> tuple[list[int], list[int]]:
    """All simple cycles of `min_legs` to `max_legs` legs through `edge` whose log rate is above ``max_legs * slack``.

    The rooms along a cycle of k legs sum up to ``k * allowance`` minus its log rate. First the least room of any walk
    back to the tail of `edge` is computed for every vertex and number of legs, as far as `gain` could pay for it; then a
    depth-first search extends a path only where that walk would bring its sum below zero. A walk may meet itself or the
    path, hence the bound is never too high.

    Args:
        edge: the edge.
        gain: what all other edges of rooms below zero have together below zero, as a number above zero.
        slack: what the allowance is but for the margin of floats; at least zero.
        allowance: at most `slack`, by more than floats are off on one edge.
        min_legs: at least 2.
        max_legs: at least `min_legs`.
        tails: see `release`, like the next six.
        heads: by edge.
        out_first: by vertex.
        in_first: by vertex.
        in_edge: by place.
        log_rate: by edge.
        potential: by vertex.
        best: by number of legs and vertex, at ``[legs * vertices + v]`` for up to `max_legs` - 2, infinite; work
            space, left as it was.
        on_path: by vertex, False; work space, left as it was.

    Returns:
        By cycle its number of legs; and the edges of all cycles one after the other, each from `edge` on.
    """
    vertices = len(potential)
    lengths: list[int] = []
    edges: list[int] = []
    root, start = tails[edge], heads[edge]
    own = potential[start] - potential[root] + allowance - log_rate[edge]
    if not own < gain:
        return lengths, edges

    # The walks back to the root: of one leg, then from those that the last leg more made better. Two legs are spent
    # before the first of them is asked for.
    reached: list[int] = []
    improved = [root]
    for legs in range(1, max_legs - 1):
        level = legs * vertices
        for v in reached:
            best[level + v] = best[level - vertices + v]
        better: list[int] = []
        new: list[int] = []
        for w in improved:
            if w == start:
                continue
            rest = 0.0 if w == root else best[level - vertices + w]
            for place in range(in_first[w], in_first[w + 1]):
                e = in_edge[place]
                v = tails[e]
                walk = rest + potential[w] - potential[v] + allowance - log_rate[e]
                if v == root or walk >= best[level + v] or own + walk >= gain:
                    continue
                if best[level + v] == best[level - vertices + v]:
                    better.append(v)
                if math.isinf(best[level + v]):
                    new.append(v)
                best[level + v] = walk
        reached = reached + new
        improved = better

    # The search. `left` legs may follow those of the path at this depth.
    path = [start] * max_legs
    path_edge = [edge] * max_legs
    path_room = [own] * max_legs
    cursor = [out_first[start]] * max_legs
    depth = 0
    on_path[start] = True
    while depth >= 0:
        v = path[depth]
        left = max_legs - depth - 1
        e = cursor[depth]
        descends = False
        while e < out_first[v + 1] and not descends:
            w = heads[e]
            total = path_room[depth] + potential[w] - potential[v] + allowance - log_rate[e]
            if w == root:
                if depth + 2 >= min_legs and total < -(left - 1) * slack:
                    lengths.append(depth + 2)
                    edges.extend(path_edge[: depth + 1])
                    edges.append(e)
            elif left > 1 and not on_path[w] and total + best[(left - 1) * vertices + w] < 0.0:
                cursor[depth] = e + 1
                depth += 1
                path[depth] = w
                path_edge[depth] = e
                path_room[depth] = total
                cursor[depth] = out_first[w]
                on_path[w] = True
                descends = True
            e += 1
        if not descends:
            on_path[v] = False
            depth -= 1

    for v in reached:
        for legs in range(1, max_legs - 1):
            best[legs * vertices + v] = math.inf
    return lengths, edges
