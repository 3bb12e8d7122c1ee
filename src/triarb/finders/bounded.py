"""BoundedCycleFinder: the default search, whose work grows with what is profitable."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import NamedTuple

from triarb.finders.criteria import Criteria
from triarb.finders.finder import CycleFinder
from triarb.finders.kernel import search
from triarb.finders.monitor import CertifiedCycleMonitor
from triarb.market.rates import RateTable
from triarb.model import Cycle


class BoundedCycleFinder(CycleFinder):
    """Finds exactly the cycles above the threshold, by a search that is cut off where nothing better can come.

    Hubs are searched first and then taken out, whereupon most of an exchange falls apart.

    Attributes:
        criteria: what it was asked for.
    """

    __slots__ = ("criteria",)

    def __init__(
        self,
        *,
        min_legs: int = 3,
        max_legs: int = 3,
        min_edge_bps: str | float | Decimal = 0,
        start: Collection[str] = (),
    ) -> None:
        """Say what to look for.

        Args:
            min_legs: the fewest legs, at least 2; two legs need two different markets.
            max_legs: the most legs, at most 8.
            min_edge_bps: the exact net rate must be strictly above one plus this; -10000 or less is no threshold.
            start: assets of which a cycle must have at least one; empty for all cycles. One that is not traded
                finds nothing.

        Raises:
            UsageError: legs out of range; a number that is none; below 0 bps with more than 5 legs; `start` a text.
        """
        self.criteria = Criteria(
            min_legs=min_legs, max_legs=max_legs, min_edge_bps=min_edge_bps, start=start
        )

    def find(self, rates: RateTable, /) -> list[Cycle]:
        """The cycles above the threshold, the best exact rate first, ties by id."""
        criteria = self.criteria
        numbers, graph = _arrange(rates, criteria)
        products, lengths, places = search(
            *graph, criteria.min_legs, criteria.max_legs, criteria.nominating
        )

        def nominated() -> Iterator[tuple[float, Sequence[int]]]:
            first = 0
            for product, length in zip(products, lengths, strict=True):
                yield product, [numbers[place] for place in places[first : first + length]]
                first += length

        return criteria.decide(rates, nominated())

    def monitor(self, rates: RateTable, /) -> CertifiedCycleMonitor:
        """What keeps this finder's answer in `rates` while they change, with a proof at every tick.

        Raises:
            UsageError: a threshold below 0 bps, where there is no certificate, only search.
        """
        criteria = self.criteria
        return CertifiedCycleMonitor(
            rates,
            min_legs=criteria.min_legs,
            max_legs=criteria.max_legs,
            min_edge_bps=criteria.min_edge_bps,
            start=criteria.start,
        )


class _Graph(NamedTuple):
    """The first arguments of `search`, in its order."""

    roots: int
    out_first: list[int]
    out_head: list[int]
    out_rate: list[float]
    in_first: list[int]
    in_tail: list[int]
    in_edge: list[int]


def _arrange(rates: RateTable, criteria: Criteria) -> tuple[list[int], _Graph]:
    """What is worth searching of `rates`, its vertices renumbered, the start assets and then the hubs first.

    Returns:
        By edge of the graph its number in `rates`; and the graph.
    """
    tails, heads, assets = rates.tails, rates.heads, rates.assets
    live = [edge for edge, rate in enumerate(rates.rates) if rate > 0.0]
    if criteria.min_legs > 2:
        live = _without_dead_ends(live, tails, heads)
    degree = Counter(tails[edge] for edge in live)
    degree.update(heads[edge] for edge in live)
    start = criteria.start
    order = sorted(degree, key=lambda v: (assets[v] not in start, -degree[v], v))
    rank = {v: place for place, v in enumerate(order)}
    count = len(order)

    tail = {edge: rank[tails[edge]] for edge in live}
    head = {edge: rank[heads[edge]] for edge in live}
    forward = sorted(live, key=lambda edge: tail[edge] * count - head[edge])
    backward = sorted(live, key=lambda edge: head[edge] * count - tail[edge])
    place = {edge: number for number, edge in enumerate(forward)}
    return forward, _Graph(
        roots=sum(assets[v] in start for v in order) if start else count,
        out_first=_firsts(tail.values(), count),
        out_head=[head[edge] for edge in forward],
        out_rate=[rates.rates[edge] for edge in forward],
        in_first=_firsts(head.values(), count),
        in_tail=[tail[edge] for edge in backward],
        in_edge=[place[edge] for edge in backward],
    )


def _without_dead_ends(live: list[int], tails: Sequence[int], heads: Sequence[int]) -> list[int]:
    """`live` without the edges of assets that, now or once others have gone, have one neighbour only.

    No cycle of three legs or more passes through such an asset.
    """
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
    return [edge for edge in live if tails[edge] in neighbours and heads[edge] in neighbours]


def _firsts(ends: Collection[int], count: int) -> list[int]:
    """Where the edges of each vertex begin among edges sorted by vertex, and after the last where they end."""
    at = Counter(ends)
    return [0, *accumulate(at[v] for v in range(count))]
