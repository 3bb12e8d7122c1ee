"""BoundedCycleFinder: the default search, whose work grows with what is profitable."""

import functools
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal

from triarb.finders.arrangement import graph, has_rate, triangles
from triarb.finders.compiled import choose, machine
from triarb.finders.criteria import LOOSENED, Criteria
from triarb.finders.finder import CycleFinder
from triarb.finders.kernel import join, search
from triarb.finders.monitor import CertifiedCycleMonitor
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import Cycle


class BoundedCycleFinder(CycleFinder):
    """Finds exactly the cycles above the threshold, by a search that is cut off where nothing better can come.

    For three legs alone, the triangles of a table are listed once, and each search passes over the list.

    Attributes:
        criteria: what it was asked for.
        compiled: whether its kernels are compiled.
    """

    __slots__ = ("compiled", "criteria")

    def __init__(
        self,
        *,
        min_legs: int = 3,
        max_legs: int = 3,
        min_edge_bps: str | float | Decimal = 0,
        start: Collection[str] = (),
        compiled: bool | None = None,
    ) -> None:
        """Say what to look for. Where kernels are compiled, this waits for it, so that no search does.

        Args:
            min_legs: the fewest legs, at least 2; two legs need two different markets.
            max_legs: the most legs, at most 8.
            min_edge_bps: the exact net rate must be strictly above one plus this; -10000 or less is no threshold.
            start: assets of which a cycle must have at least one; empty for all cycles. One that is not traded
                finds nothing.
            compiled: search by compiled kernels, with the same answers; None is yes where numba is there (``pip install
                triarb[fast]``). Loading numba takes about a second of a process's life.

        Raises:
            UsageError: legs out of range; a number that is none; below 0 bps with more than 5 legs; `start` a text;
                `compiled` and numba is not there.
        """
        self.criteria = Criteria(
            min_legs=min_legs, max_legs=max_legs, min_edge_bps=min_edge_bps, start=start
        )
        self.compiled = choose(compiled)
        if self.compiled:
            warm()

    def find(self, rates: RateTable, /) -> list[Cycle]:
        """The cycles above the threshold, the best exact rate first, ties by id."""
        return self.criteria.decide(rates, self._nominated(rates, keep=0.0))

    def best(self, rates: RateTable, /) -> Cycle | None:
        """The first of what `find` gives, or None where it gives none; quicker where there are many."""
        there_and_back = self.criteria.min_legs == 2  # on one market it would pass for the best
        keep = 0.0 if there_and_back else 1 - LOOSENED
        found = self.criteria.decide(rates, self._nominated(rates, keep=keep))
        return found[0] if found else None

    def _nominated(self, rates: RateTable, *, keep: float) -> Iterator[tuple[float, Sequence[int]]]:
        """Products above the bar and their edges, in order; with `keep` (see `search`) only those of the best."""
        criteria = self.criteria
        runner = machine(compiled=self.compiled)
        table = runner.array(rates.rates)
        legs = (criteria.min_legs, criteria.max_legs)
        found: tuple[list[float], list[int], list[int]]
        if legs == (3, 3):
            layout = triangles(rates, criteria.start, runner)
            found = runner.kernel(join)(table, *layout, criteria.nominating, keep)
        else:
            layout = graph(rates, criteria.start, runner, without_dead_ends=legs[0] > 2)
            found = runner.kernel(search)(table, *layout, *legs, criteria.nominating, keep)
        products, ends, edges = found
        steps = tuple(edges)  # slices of which burden the garbage collector less than lists
        nominated = zip(products, map(steps.__getitem__, map(slice, (0, *ends), ends)), strict=True)
        if not keep or not products:
            return nominated
        least = max(products) * keep
        return (entry for entry in nominated if entry[0] >= least)

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
            compiled=self.compiled,
        )


@functools.cache
def warm() -> None:
    """Compile the kernels of the search, or read what is kept of them."""
    runner = machine(compiled=True)
    nothing = RateTable((), FeeSchedule.flat(0))
    table = runner.array(nothing.rates)
    pairs = graph(nothing, frozenset(), runner, without_dead_ends=True)
    listed = triangles(nothing, frozenset(), runner)
    runner.kernel(has_rate)(table, runner.numbers([]))
    runner.kernel(search)(table, *pairs, 3, 3, 1.0, 0.0)
    runner.kernel(join)(table, *listed, 1.0, 0.0)
