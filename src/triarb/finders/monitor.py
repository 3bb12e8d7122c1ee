"""CycleMonitor: after every tick a proof that nothing can profit, or the list of all that can."""

import enum
import math
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Protocol

from triarb.exceptions import UsageError
from triarb.finders.criteria import Criteria, from_smallest
from triarb.finders.potentials import MARGIN, TOLERANCE, Potentials
from triarb.finders.through import search_through
from triarb.market.certificate import Certificate
from triarb.market.rates import RateTable
from triarb.model import Cycle, Quote, Withdrawn


class Verdict(enum.StrEnum):
    """What is certain after a tick; each is exact."""

    PROVED_NONE = "proved_none"
    """No cycle of any length is above the threshold."""
    NONE_UP_TO_N = "none_up_to_n"
    """None of those asked for is."""
    LISTED = "listed"
    """Some are, and `CycleMonitor.cycles` lists them all."""


class CycleMonitor(Protocol):
    """Keeps the answer of a `CycleFinder` while the market changes.

    It is sync and pure, like a finder: the same changes give the same answers. `triarb.testing.check_monitor` tests an
    implementation.
    """

    __slots__ = ()

    @abstractmethod
    def update(self, change: Quote | Withdrawn, /) -> Verdict:
        """Take in what became of one market. A symbol that it does not know changes nothing."""
        ...

    @abstractmethod
    def cycles(self) -> Sequence[Cycle]:
        """What a fresh search would find now, in the order of `CycleFinder.find`."""
        ...

    @abstractmethod
    def certificate(self) -> Certificate | None:
        """The proof as it stands, which `triarb.market.verify` checks; None where it has none."""
        ...


class CertifiedCycleMonitor(CycleMonitor):
    """Keeps potentials under which no rate stands out, and searches only through the edges that do.

    A tick changes two edges. While both have room, the proof stands. Where one has not, potentials are moved; where a
    cycle is in their way, the edge is held aside, and every cycle above the threshold passes through such an edge. The
    cycles that a tick can bring pass through its own two edges as well, and only those are searched, as far as what
    stands out could pay for the way. A held edge is tried again when a rate of the cycle that was in its way falls.

    Floats keep a margin, so that the potentials prove what they prove exactly; what is within it is held aside, searched
    and decided in fractions.

    Attributes:
        criteria: what it was asked for.
        rates: the table, which `update` keeps; nobody else may change it.
        verdict: what is certain now.
    """

    __slots__ = (
        "_best",
        "_blocked",
        "_found",
        "_found_through",
        "_held",
        "_listed",
        "_on_path",
        "_potentials",
        "_slack",
        "_threshold",
        "criteria",
        "rates",
    )

    def __init__(
        self,
        rates: RateTable,
        *,
        min_legs: int = 3,
        max_legs: int = 3,
        min_edge_bps: str | int | Decimal = Decimal(0),
        start: Collection[str] = (),
    ) -> None:
        """Say what to look for, in the words of `BoundedCycleFinder`, and prove or find it in `rates` as they stand.

        Raises:
            UsageError: as there; or a threshold below 0 bps, where there is no certificate, only search.
        """
        self.criteria = Criteria(
            min_legs=min_legs, max_legs=max_legs, min_edge_bps=min_edge_bps, start=start
        )
        if self.criteria.min_edge_bps < 0:
            raise UsageError(
                f"below 0 bps ({self.criteria.min_edge_bps}) nothing is proved",
                hint="ask for 0 bps or more, or search with BoundedCycleFinder",
            )
        self.rates = rates
        self._threshold = math.log1p(float(self.criteria.min_edge_bps) / 10_000)
        self._slack = self._threshold / max_legs
        if self._slack * max_legs > self._threshold:
            self._slack = math.nextafter(self._slack, 0.0)
        self._potentials = potentials = Potentials(rates, self._slack - MARGIN)
        self._held: dict[int, list[int]] = {}  # by edge, the cycle in the way of its release
        self._blocked: dict[int, set[int]] = {}  # by edge, the held ones in whose way it is
        self._found: dict[tuple[int, ...], float] = {}  # by edges, the float product
        self._found_through: dict[int, set[tuple[int, ...]]] = {}
        self._listed: Sequence[Cycle] | None = None
        self._best = [math.inf] * ((max_legs - 1) * len(rates.assets))
        self._on_path = [False] * len(rates.assets)
        for edge, aside in enumerate(list(potentials.aside)):
            if aside:
                self._release(edge)
        self._search(list(self._held))

    @property
    def verdict(self) -> Verdict:
        """What is certain now: with a threshold above zero, a proof speaks of up to `max_legs` legs."""
        if self._found:
            return Verdict.LISTED
        return Verdict.NONE_UP_TO_N if self._held or self._slack else Verdict.PROVED_NONE

    def update(self, change: Quote | Withdrawn, /) -> Verdict:
        """Take in what became of one market. A symbol that is not in the table changes nothing."""
        self.rates.update(change)
        edges = self.rates.edges(change.symbol)
        potentials = self._potentials
        aside, log_rate = potentials.aside, potentials.log_rate
        to_release: list[int] = []
        risen: list[int] = []
        for edge in edges:
            rate = self.rates.rates[edge]
            new = math.log(rate) if rate > 0.0 else -math.inf
            if new < log_rate[edge]:
                to_release.extend(self._blocked.get(edge, ()))
            else:  # or the same to a float
                risen.append(edge)
            log_rate[edge] = new
        for edge in edges:
            if not aside[edge] and potentials.room(edge) < 0.0:
                aside[edge] = True
                to_release.append(edge)
        for edge in dict.fromkeys(to_release):
            self._release(edge)
        known = self._drop(edges) if self._found else set()
        if self._held:
            self._search(risen)
            for cycle in known:  # with a rate that fell it may still be above
                self._nominate(cycle)
            if edges and self.criteria.min_legs == 2:
                self._nominate(edges)  # which of two markets is the better may be new
        return self.verdict

    def cycles(self) -> Sequence[Cycle]:
        """The cycles above the threshold, the best exact rate first, ties by id."""
        if self._listed is None:
            found = ((product, edges) for edges, product in self._found.items())
            self._listed = self.criteria.decide(self.rates, found)
        return self._listed

    def certificate(self) -> Certificate:
        """The potentials as they stand, with the edges held aside."""
        assets, tails, heads = self.rates.assets, self.rates.tails, self.rates.heads
        return Certificate(
            dict(zip(assets, self._potentials.potential, strict=True)),
            slack=self._slack,
            threshold=self._threshold,
            max_legs=self.criteria.max_legs if self._slack else None,
            tolerance=TOLERANCE,
            held=frozenset((assets[tails[e]], assets[heads[e]]) for e in self._held),
        )

    def _release(self, edge: int) -> None:
        """Take an edge back in that is aside, or hold it."""
        for other in self._held.pop(edge, ()):
            self._blocked[other].discard(edge)
        cycle = self._potentials.release(edge)
        if cycle:
            self._held[edge] = cycle
            for other in cycle:
                self._blocked.setdefault(other, set()).add(edge)

    def _drop(self, edges: Iterable[int]) -> set[tuple[int, ...]]:
        """Forget the cycles through `edges`, and tell which they were."""
        dropped: set[tuple[int, ...]] = set()
        for edge in edges:
            dropped |= self._found_through.pop(edge, set())
        for cycle in dropped:
            del self._found[cycle]
            self._listed = None
            for other in cycle:
                if other in self._found_through:
                    self._found_through[other].discard(cycle)
        return dropped

    def _search(self, edges: Iterable[int]) -> None:
        """Find the cycles through `edges`."""
        potentials, criteria = self._potentials, self.criteria
        outstanding = {edge: max(0.0, -potentials.room(edge)) for edge in self._held}
        gain = math.fsum(outstanding.values())
        for edge in edges:
            lengths, found = search_through(
                edge,
                gain - outstanding.get(edge, 0.0),
                self._slack,
                potentials.allowance,
                criteria.min_legs,
                criteria.max_legs,
                potentials.tails,
                potentials.heads,
                potentials.out_first,
                potentials.in_first,
                potentials.in_edge,
                potentials.log_rate,
                potentials.potential,
                self._best,
                self._on_path,
            )
            first = 0
            for length in lengths:
                self._nominate(found[first : first + length])
                first += length

    def _nominate(self, edges: Sequence[int]) -> None:
        """Take a cycle in, if it is new, is asked for, and its exact rate is above the threshold."""
        rates, start = self.rates, self.criteria.start
        if start and not any(rates.assets[rates.tails[edge]] in start for edge in edges):
            return
        cycle = tuple(from_smallest(edges))
        product = math.prod(rates.rates[edge] for edge in edges)
        if not product > self.criteria.nominating or cycle in self._found:
            return
        if self.criteria.decide(rates, [(product, cycle)]):
            self._found[cycle] = product
            self._listed = None
            for edge in cycle:
                self._found_through.setdefault(edge, set()).add(cycle)
