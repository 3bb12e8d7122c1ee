"""The bounded search: numbers in, numbers out.

It is one plain function over flat sequences of numbers, so that a compiler of array code can take it as it stands.
"""

from collections.abc import Sequence


def search(  # noqa: PLR0912, PLR0915, PLR0917 -- one function, as a compiler wants it
    roots: int,
    out_first: Sequence[int],
    out_head: Sequence[int],
    out_rate: Sequence[float],
    in_first: Sequence[int],
    in_tail: Sequence[int],
    in_edge: Sequence[int],
    min_legs: int,
    max_legs: int,
    bar: float,
) -> tuple[list[float], list[int], list[int]]:
    """All simple cycles of `min_legs` to `max_legs` legs through the first `roots` vertices, product above `bar`.

    Each root in its turn begins a depth-first search and is then taken out of the graph, so that a cycle is found
    once, from the first root on it. Before its search, the best product of any walk back to the root is computed for
    every vertex and number of legs (Bellman and Ford's relaxation, of products). A path is extended only over edges
    after which that walk would bring it above the bar, the best of them first, so that the first failure ends the
    choice. A walk may meet itself or the path, hence the bound is never too low, and seldom much too high.

    Args:
        roots: how many vertices are roots, in the order of their numbers.
        out_first: edges of tail v are ``range(out_first[v], out_first[v + 1])``.
        out_head: by edge, its head; within a tail the highest first, so that those taken out stand last.
        out_rate: by edge, its rate, above zero.
        in_first: like `out_first`, for the edges into a vertex, by places in the two sequences that follow.
        in_tail: by place, the tail of an edge; within a head the highest first.
        in_edge: by place, the number of that edge.
        min_legs: at least 2.
        max_legs: at least `min_legs`.
        bar: at least zero.

    Returns:
        By cycle its product; by cycle its number of legs; and the edges of all cycles one after the other.
    """
    vertices = len(out_first) - 1
    all_edges = len(out_head)
    best = [0.0] * (max_legs * vertices)  # at [legs * vertices + v]: over at most so many legs
    closing_edge = [0] * vertices
    ranked_for = [-1] * (max_legs * vertices)  # at [left * vertices + v]: for which root
    ranked_edge = [0] * (max_legs * all_edges)
    ranked_worth = [0.0] * (max_legs * all_edges)
    on_path = [False] * vertices
    path = [0] * max_legs
    path_edge = [0] * max_legs
    path_product = [1.0] * max_legs
    cursor = [0] * max_legs
    products: list[float] = []
    lengths: list[int] = []
    edges: list[int] = []

    for root in range(roots):
        # The best walks back to the root: of one leg, then from those that the last leg more made better.
        reached: list[int] = []
        for place in range(in_first[root], in_first[root + 1]):
            v = in_tail[place]
            if v < root:
                break
            closing_edge[v] = in_edge[place]
            best[vertices + v] = out_rate[in_edge[place]]
            reached.append(v)
        improved = reached
        for legs in range(2, max_legs):
            level = legs * vertices
            for v in reached:
                best[level + v] = best[level - vertices + v]
            better: list[int] = []
            new: list[int] = []
            for w in improved:
                rest = best[level - vertices + w]
                for place in range(in_first[w], in_first[w + 1]):
                    v = in_tail[place]
                    if v <= root:
                        break
                    worth = out_rate[in_edge[place]] * rest
                    if worth > best[level + v]:
                        if best[level + v] == best[level - vertices + v]:
                            better.append(v)
                        if best[level + v] == 0.0:
                            new.append(v)
                        best[level + v] = worth
            reached = reached + new
            improved = better

        # The search. `left` legs may follow the one that is chosen at this depth.
        depth = 0
        path[0] = root
        cursor[0] = -1
        while depth >= 0:
            v = path[depth]
            product = path_product[depth]
            left = max_legs - depth - 1
            base = left * all_edges
            i = cursor[depth]
            if i < 0:
                i = out_first[v]
                if ranked_for[left * vertices + v] != root:
                    ranked_for[left * vertices + v] = root
                    ranking = []
                    for edge in range(out_first[v], out_first[v + 1]):
                        w = out_head[edge]
                        if w <= root:
                            break
                        ranking.append((out_rate[edge] * best[left * vertices + w], edge))
                    ranking.sort(reverse=True)
                    for worth, edge in ranking:
                        ranked_worth[base + i] = worth
                        ranked_edge[base + i] = edge
                        i += 1
                    if i < out_first[v + 1]:
                        ranked_worth[base + i] = 0.0
                    i = out_first[v]
            descends = False
            while i < out_first[v + 1] and product * ranked_worth[base + i] > bar:
                edge = ranked_edge[base + i]
                i += 1
                w = out_head[edge]
                if on_path[w]:
                    continue
                path_edge[depth] = edge
                onward = product * out_rate[edge]
                if depth + 2 >= min_legs:
                    whole = onward * best[vertices + w]
                    if whole > bar:
                        products.append(whole)
                        lengths.append(depth + 2)
                        edges.extend(path_edge[: depth + 1])
                        edges.append(closing_edge[w])
                if left > 1:
                    cursor[depth] = i
                    depth += 1
                    on_path[w] = True
                    path[depth] = w
                    path_product[depth] = onward
                    cursor[depth] = -1
                    descends = True
                    break
            if not descends:
                on_path[v] = False
                depth -= 1

        for v in reached:
            for legs in range(1, max_legs):
                best[legs * vertices + v] = 0.0
    return products, lengths, edges
