"""Potentials: log prices of the assets under which no rate stands out, or the edges to hold aside for that.

They are kept by relaxation, as Bellman and Ford's are: an edge that stands out moves an end of it, and what that breaks
in turn. Moves go the largest first, so that each asset moves once (Cotton and Maler, 2006, on difference constraints).
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate

from triarb.market.certificate import Certificate
from triarb.market.rates import RateTable

TOLERANCE = 1e-11
"""By edge, what floats may hide in a certificate; ten times what they do (see `triarb.market.certificate.ROUNDING`)."""

MARGIN = 1e-12
"""By edge, what floats are certainly exact to: under potentials that leave it, nothing is hidden."""


class Potentials:
    """The potentials of a rate table as it stood, kept as its rates change.

    Attributes:
        allowance: what each edge may be above its potentials; it may be raised.
        tails: as in `RateTable`, like the next two.
        heads: by edge.
        out_first: by asset.
        in_first: where the edges into an asset begin in `in_edge`.
        in_edge: edges sorted by head.
        log_rate: by edge; minus infinity where there is no rate.
        aside: by edge, whether it is held aside.
        potential: by asset.
    """

    __slots__ = (
        "allowance",
        "aside",
        "heads",
        "in_edge",
        "in_first",
        "log_rate",
        "out_first",
        "potential",
        "tails",
    )

    def __init__(self, rates: RateTable, allowance: float) -> None:
        """Take the rates in; every edge that stands out of a first guess at the prices is aside."""
        count = len(rates.assets)
        self.allowance = allowance
        self.tails, self.heads = list(rates.tails), list(rates.heads)
        self.out_first = list(rates.offsets)
        self.in_edge = sorted(range(len(self.heads)), key=self.heads.__getitem__)
        entering = [0] * count
        for head in self.heads:
            entering[head] += 1
        self.in_first = [0, *accumulate(entering)]
        self.log_rate = [math.log(rate) if rate > 0.0 else -math.inf for rate in rates.rates]
        self.aside = [False] * len(self.heads)
        self.potential = self._guess()
        for edge in range(len(self.heads)):
            self.aside[edge] = self.room(edge) < 0.0

    def _guess(self) -> list[float]:
        """Mid prices, from the assets of most markets on."""
        first = self.out_first
        potential = [math.nan] * (len(first) - 1)
        for root in sorted(range(len(potential)), key=lambda v: first[v] - first[v + 1]):
            if not math.isnan(potential[root]):
                continue
            potential[root] = 0.0
            reached = [root]
            for u in reached:
                entered = {self.tails[e]: e for e in self.in_edge[slice(*self.in_first[u : u + 2])]}
                for edge in range(first[u], first[u + 1]):
                    v = self.heads[edge]
                    there, back = self.log_rate[edge], self.log_rate[entered[v]]
                    if math.isnan(potential[v]) and not math.isinf(there + back):
                        potential[v] = potential[u] + (there - back) / 2
                        reached.append(v)
        return potential

    def room(self, edge: int) -> float:
        """How far `edge` is from standing out; below zero it does."""
        between = self.potential[self.heads[edge]] - self.potential[self.tails[edge]]
        return between + self.allowance - self.log_rate[edge]

    def release(self, edge: int) -> list[int]:
        """Take an edge that is held aside back in, and move potentials until no edge that is not aside stands out.

        An edge from u to v stands out where ``log_rate > potential[v] - potential[u] + allowance``. None does before, but
        for those aside, and none after. The end of fewer edges is moved: to the middle of the room that its edges leave
        it, else as little as it must, its neighbours with it.

        Returns:
            Nothing; or, where no potentials are fit, the edges of a cycle from `edge` on that stands out as a whole. It is
            the one that does so most, and potentials are moved so far that `edge` stands out by no more than it.
        """
        u, v = self.tails[edge], self.heads[edge]
        lacking = -self.room(edge)
        self.aside[edge] = False
        if lacking <= 0.0:
            return []
        forward = len(self._leaving(v)) <= len(self._leaving(u))
        first, last = (v, u) if forward else (u, v)
        low, high = self._free(first)
        if low <= high:
            if math.isinf(low) or math.isinf(high):
                self.potential[first] = low if math.isinf(high) else high
            else:
                self.potential[first] = (low + high) / 2
            return []

        self.aside[edge] = True
        move, by_edge = self._moves(first, last, lacking, forward=forward)
        short = move.get(last, 0.0)  # what even the best cycle of the edge gains
        for vertex, far in move.items():
            if far > short:
                self.potential[vertex] += far - short if forward else short - far
        if last not in move:
            self.aside[edge] = False
            return []
        cycle, vertex = [], last
        while vertex != first:
            cycle.append(by_edge[vertex])
            vertex = (self.tails if forward else self.heads)[by_edge[vertex]]
        return [edge, *(reversed(cycle) if forward else cycle)]

    def _leaving(self, vertex: int) -> Sequence[int]:
        return range(self.out_first[vertex], self.out_first[vertex + 1])

    def _entering(self, vertex: int) -> Sequence[int]:
        return self.in_edge[self.in_first[vertex] : self.in_first[vertex + 1]]

    def _free(self, vertex: int) -> tuple[float, float]:
        """The potentials of `vertex` alone, from and to, under which no edge of it stands out; from above to where none are."""
        ends = [
            self.potential[self.heads[e]] - self.log_rate[e]
            for e in self._in_use(self._leaving(vertex))
        ]
        begins = [
            self.potential[self.tails[e]] + self.log_rate[e]
            for e in self._in_use(self._entering(vertex))
        ]
        return (
            max(begins, default=-math.inf) - self.allowance,
            min(ends, default=math.inf) + self.allowance,
        )

    def _in_use(self, edges: Iterable[int]) -> Iterable[int]:
        return (edge for edge in edges if not self.aside[edge])

    def _moves(
        self, first: int, last: int, lacking: float, *, forward: bool
    ) -> tuple[dict[int, float], dict[int, int]]:
        """How far `first` and what depends on it must move, the largest first, and by which edges; until `last` would."""
        move, by_edge, settled = {first: lacking}, {first: -1}, set[int]()
        queue = [(-lacking, first)]
        while queue:
            _, vertex = heapq.heappop(queue)
            if vertex in settled:
                continue
            settled.add(vertex)
            if vertex == last:
                break
            ends = self.heads if forward else self.tails
            edges = self._leaving(vertex) if forward else self._entering(vertex)
            for edge in self._in_use(edges):
                far = move[vertex] - self.room(edge)
                if ends[edge] not in settled and far > move.get(ends[edge], 0.0):
                    move[ends[edge]], by_edge[ends[edge]] = far, edge
                    heapq.heappush(queue, (-far, ends[edge]))
        return move, by_edge


def prove(rates: RateTable) -> Certificate | None:
    """A certificate that no cycle of any length can profit, or None where there is none.

    What floats leave open is decided in fractions: it is exact, also where a cycle earns nothing to the last digit.
    There is no certificate where a cycle profits, nor where a rebate pays for going there and back on one market.
    """
    potentials = Potentials(rates, TOLERANCE / 2)
    for edge, aside in enumerate(potentials.aside):
        if aside and potentials.release(edge):
            return None
    if not _ties_earn_nothing(rates, potentials):
        return None
    return Certificate(
        dict(zip(rates.assets, potentials.potential, strict=True)), tolerance=TOLERANCE
    )


def _ties_earn_nothing(rates: RateTable, potentials: Potentials) -> bool:
    """Whether exact prices exist for the edges that are so near to standing out that a cycle of them might profit.

    Those of a cycle that profits have together less room than their allowances, hence each has.
    """
    room = len(rates.assets) * TOLERANCE
    near = [
        (rates.tails[edge], rates.heads[edge], rates.leg(edge).net_ratio)
        for edge in range(len(rates.rates))
        if potentials.room(edge) < room
    ]
    vertices = {tail for tail, _, _ in near}
    worth = dict.fromkeys(vertices | {head for _, head, _ in near}, Fraction(1))
    for _ in range(len(vertices) + 1):
        before = dict(worth)
        for tail, head, ratio in near:
            worth[head] = max(worth[head], worth[tail] * ratio)
        if worth == before:
            return True
    return False


def holds_at_fee_bps(gross: RateTable) -> float:
    """The smallest fee a leg, in bps of the received asset, at which no cycle of any length can profit; at least 0.

    It is ``1 - exp(-m)``, with m the largest mean of the log rates of a cycle. Potentials are sought with m as the
    allowance, from zero on: a cycle in their way has a larger mean, which is the next m, and at the last there is none.

    Args:
        gross: rates before any fee.
    """
    potentials = Potentials(gross, MARGIN)
    mean = 0.0
    for edge in _aside(potentials.aside):
        while cycle := potentials.release(edge):
            mean = math.fsum(potentials.log_rate[e] for e in cycle) / len(cycle)
            potentials.allowance = mean + MARGIN
    return -math.expm1(-mean) * 10_000


def _aside(aside: Iterable[bool]) -> list[int]:
    return [edge for edge, held in enumerate(aside) if held]
