"""The bounded search: numbers in, numbers out.

It is one plain function over flat sequences of numbers, so that it can be compiled as it stands (see `compiled`).
"""

from collections.abc import Sequence

from triarb.finders.compiled import flags, floats, integers


def search(  # noqa: PLR0912, PLR0915, PLR0917 -- one function, as a compiler wants it
    table: Sequence[float],
    roots: int,
    first: Sequence[int],
    other: Sequence[int],
    there: Sequence[int],
    back: Sequence[int],
    min_legs: int,
    max_legs: int,
    bar: float,
    keep: float,
) -> tuple[list[float], list[int], list[int]]:
    """All simple cycles of `min_legs` to `max_legs` legs through the first `roots` vertices, product above `bar`.

    Each root in its turn begins a depth-first search and is then taken out of the graph, so that a cycle is found
    once, from the first root on it. Before its search, the best product of any walk back to the root is computed for
    every vertex and number of legs (Bellman and Ford's relaxation, of products). A path is extended only over edges
    after which that walk would bring it above the bar. A walk may meet itself or the path, hence the bound is never too
    low, and seldom much too high.

    Args:
        table: by edge, its rate; zero where there is none.
        roots: how many vertices are roots, in the order of their numbers.
        first: the places of vertex v, one for each vertex that it shares edges with, are ``range(first[v], first[v + 1])``.
        other: by place, that other vertex; within a vertex the highest first, so that those taken out stand last.
        there: by place, the number in `table` of the edge to the other.
        back: by place, the number of the edge from the other.
        min_legs: at least 2.
        max_legs: at least `min_legs`.
        bar: at least zero.
        keep: what part of a product found the bar rises to; 0 to find all, nearly 1 to find the best.

    Returns:
        By cycle its product; by cycle where its edges end in the last; and the edges of all, one cycle after the other.
    """
    vertices = len(first) - 1
    best = [floats(vertices) for _ in range(max_legs)]
    one = best[1]
    closing = integers(vertices)
    reached = integers(vertices)
    improved = integers(vertices)
    better = integers(vertices)
    on_path = flags(vertices)
    path = integers(max_legs)
    path_edge = integers(max_legs)
    path_product = floats(max_legs)
    path_product[0] = 1.0
    cursor = integers(max_legs)
    products: list[float] = []
    ends: list[int] = []
    edges: list[int] = []

    for root in range(roots):
        # The best walks back to the root: of one leg, then from those that the last leg more made better.
        count = 0
        for place in range(first[root], first[root + 1]):
            v = other[place]
            if v < root:
                break
            last = table[back[place]]
            if last > 0.0:
                closing[v] = back[place]
                one[v] = last
                reached[count] = improved[count] = v
                count += 1
        if count == 0:
            continue
        improving = count
        for legs in range(2, max_legs):
            level = best[legs]
            below = best[legs - 1]
            for i in range(count):
                level[reached[i]] = below[reached[i]]
            bettered = 0
            for i in range(improving):
                w = improved[i]
                rest = below[w]
                for place in range(first[w], first[w + 1]):
                    v = other[place]
                    if v <= root:
                        break
                    worth = table[back[place]] * rest
                    if worth > level[v]:
                        before = below[v]
                        if level[v] == before:
                            better[bettered] = v
                            bettered += 1
                            if before == 0.0:
                                reached[count] = v
                                count += 1
                        level[v] = worth
            improved, better = better, improved
            improving = bettered

        # The search. `left` legs may follow the one that is chosen at this depth.
        depth = 0
        path[0] = root
        cursor[0] = first[root]
        while depth >= 0:
            v = path[depth]
            product = path_product[depth]
            left = max_legs - depth - 1
            rest_of = best[left]
            place = cursor[depth]
            end = first[v + 1]
            descends = False
            while place < end and not descends:
                w = other[place]
                if w <= root:
                    break
                onward = product * table[there[place]]
                if onward * rest_of[w] > bar and not on_path[w]:
                    path_edge[depth] = there[place]
                    whole = onward * one[w]
                    if depth + 2 >= min_legs and whole > bar:
                        products.append(whole)
                        for i in range(depth + 1):
                            edges.append(path_edge[i])  # noqa: PERF401 - a kernel
                        edges.append(closing[w])
                        ends.append(len(edges))
                        bar = max(bar, whole * keep)
                    if left > 1:
                        cursor[depth] = place + 1
                        depth += 1
                        on_path[w] = True
                        path[depth] = w
                        path_product[depth] = onward
                        cursor[depth] = first[w]
                        descends = True
                place += 1
            if not descends:
                on_path[v] = False
                depth -= 1

        for i in range(count):
            for legs in range(1, max_legs):
                best[legs][reached[i]] = 0.0
    return products, ends, edges


def join(  # noqa: PLR0917 -- as a compiler wants it
    table: Sequence[float],
    first: Sequence[int],
    second: Sequence[int],
    third: Sequence[int],
    bar: float,
    keep: float,
) -> tuple[list[float], list[int], list[int]]:
    """The triangles whose product is above `bar`.

    Args:
        table: by edge, its rate; zero where there is none.
        first: by triangle, the number of an edge in `table`.
        second: by triangle, the edge that follows.
        third: by triangle, the edge back.
        bar: at least zero.
        keep: see `search`.

    Returns:
        As `search` does.
    """
    products: list[float] = []
    ends: list[int] = []
    edges: list[int] = []
    for i in range(len(first)):
        product = table[first[i]] * table[second[i]] * table[third[i]]
        if product > bar:
            products.append(product)
            edges.append(first[i])
            edges.append(second[i])
            edges.append(third[i])
            ends.append(len(edges))
            bar = max(bar, product * keep)
    return products, ends, edges
