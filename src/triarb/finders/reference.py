"""NetworkxCycleFinder: the reference, which lets networkx list every cycle and then asks which are above."""

import math
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

import networkx as nx

from triarb.finders.criteria import Criteria
from triarb.finders.finder import CycleFinder
from triarb.market.graph import market_graph
from triarb.market.rates import RateTable
from triarb.model import Cycle


class NetworkxCycleFinder(CycleFinder):
    """Finds what `BoundedCycleFinder` finds by a search that anyone can check; its work grows with all cycles there are.

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
        """Say what to look for, in the words of `BoundedCycleFinder`.

        Raises:
            UsageError: as there.
        """
        self.criteria = Criteria(
            min_legs=min_legs, max_legs=max_legs, min_edge_bps=min_edge_bps, start=start
        )

    def find(self, rates: RateTable, /) -> list[Cycle]:
        """The cycles above the threshold, the best exact rate first, ties by id."""
        return self.criteria.decide(rates, self._nominated(rates))

    def _nominated(self, rates: RateTable) -> Iterator[tuple[float, Sequence[int]]]:
        criteria = self.criteria
        bar = criteria.nominating
        graph = market_graph(rates)
        for names in nx.simple_cycles(graph, length_bound=criteria.max_legs):
            if len(names) < criteria.min_legs:
                continue
            if criteria.start and criteria.start.isdisjoint(names):
                continue
            steps = [graph.edges[pair] for pair in zip(names, [*names[1:], names[0]], strict=True)]
            product = math.prod(step["rate"] for step in steps)
            if product > bar:
                yield product, [step["edge"] for step in steps]
