"""CycleMonitor: after every tick a proof that nothing can profit, or the list of all that can."""

import enum
import math
from abc import abstractmethod
from array import array
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Protocol

from triarb.exceptions import UsageError
from triarb.finders import layout
from triarb.finders.criteria import Criteria
from triarb.finders.layout import UNDECIDED
from triarb.finders.potentials import MARGIN, TOLERANCE, Potentials
from triarb.finders.tracker import Arc, Tracker
from triarb.market.certificate import Certificate
from triarb.market.rates import RateTable, kept
from triarb.model import Cycle, Quote, Side, Withdrawn


class Verdict(enum.StrEnum):
    """What is certain after a tick; each is exact."""

    PROVED_NONE = "proved_none"
    """No cycle of any length is above the threshold."""
    NONE_UP_TO_N = "none_up_to_n"
    """None of those asked for is, but of longer ones nothing is said."""
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


_VERDICTS = (Verdict.PROVED_NONE, Verdict.NONE_UP_TO_N, Verdict.LISTED)
"""By code of the kernel."""


class CertifiedCycleMonitor(CycleMonitor):
    """Keeps potentials under which no rate stands out, and searches only through the edges that do.

    A tick changes two edges. While both have room, the proof stands. Where one has not, potentials are moved; where a
    cycle is in their way, the edge is held aside, and every cycle that earns anything passes through such an edge. The
    cycles that a tick can bring pass through its own two edges as well, and only those are searched, as far as what
    stands out could pay for the way. A held edge is tried again when a rate of the cycle that was in its way falls.

    Floats keep a margin, so that the potentials prove what they prove exactly; cycles within it are decided in fractions.
    The same functions run compiled or as plain Python, with the same answers.

    Attributes:
        criteria: what it was asked for.
        rates: the table, which `update` keeps; nobody else may change it.
    """

    __slots__ = (
        "_changes",
        "_edges",
        "_floats",
        "_ints",
        "_kernel",
        "_listed",
        "_numbers",
        "_pending",
        "_tick",
        "_tick_seen",
        "_tracker",
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
        compiled: bool | None = None,
    ) -> None:
        """Say what to look for, in the words of `BoundedCycleFinder`, and prove or find it in `rates` as they stand.

        Args:
            rates: the table.
            min_legs: as there, like the next three.
            max_legs: as there.
            min_edge_bps: as there, at least 0.
            start: as there.
            compiled: whether to compile the work on a tick; None if numba is there.

        Raises:
            UsageError: as there; or a threshold below 0 bps, where there is no certificate, only search; or `compiled`,
                and numba is not there.
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
        self._pending = rates.pending
        view = rates.view()
        number = {asset: i for i, asset in enumerate(rates.assets)}
        markets = [
            market
            for symbol, market in sorted(view.markets.items())
            if market.active and symbol in view.fees and market.base != market.quote
        ]
        self._tracker = Tracker(
            len(number),
            [
                Arc(
                    number[market.base],
                    number[market.quote],
                    kept(fee, Side.SELL),
                    kept(fee, Side.BUY),
                )
                for market in markets
                for fee in [view.fees[market.symbol].lowest]
            ],
            min_legs=min_legs,
            max_legs=max_legs,
            threshold=float(self.criteria.threshold),
            start=[number[asset] for asset in start if asset in number] if start else None,
            compiled=compiled,
        )
        symbols = (market.symbol for market in markets)
        self._numbers = dict(zip(symbols, self._tracker.numbers, strict=True))
        ends = zip(rates.tails, rates.heads, strict=True)
        edge_of = {pair: edge for edge, pair in enumerate(ends)}
        self._edges = [
            edge_of[pair]
            for base, quote in self._tracker.ends
            for pair in ((base, quote), (quote, base))
        ]  # by edge of the tracker, that of the table
        self._listed: Sequence[Cycle] = ()
        self._changes = -1  # what `_listed` is of
        self._tick = array("d", (0.0, 0.0, 0.0))
        self._tick_seen = self._tracker.view(self._tick)  # by the kernel, on the same memory
        ticks = array("d")
        for symbol, quote in view.quotes.items():
            if symbol in self._numbers:
                bid, ask = quote.price_for(Side.SELL), quote.price_for(Side.BUY)
                ticks.extend((self._numbers[symbol], float(bid), float(ask)))
        self._tracker.begin(ticks)
        self._decide()
        self._bind()

    @property
    def verdict(self) -> Verdict:
        """What is certain now."""
        return _VERDICTS[self._tracker.ints[layout.CODE]]

    def update(self, change: Quote | Withdrawn, /) -> Verdict:
        """Take in what became of one market. A symbol that is not in the table changes nothing."""
        symbol = change.symbol
        try:
            number = self._numbers[symbol]
        except KeyError:  # never usable, or not in the table
            self.rates.update(change)
            return self.verdict
        self._pending[symbol] = change
        try:
            bid, ask = float(change.bid), float(change.ask)  # type: ignore[union-attr, arg-type]
        except (AttributeError, TypeError):  # withdrawn, or a side that is not there
            bid = ask = 0.0
        if not 0.0 < bid < ask and (not isinstance(change, Quote) or change.fault() is not None):
            bid = ask = 0.0
        tick = self._tick
        tick[0] = number
        tick[1] = bid
        tick[2] = ask
        code: int = self._kernel(self._ints, self._floats, self._tick_seen, 0, 1)
        if code == UNDECIDED:
            if self._tracker.ints[layout.FULL]:
                self._tracker.run(self._tick_seen, 0, 1)
                self._bind()
            code = self._decide()
        return _VERDICTS[code]

    def cycles(self) -> Sequence[Cycle]:
        """The cycles above the threshold, the best exact rate first, ties by id."""
        changes = self._tracker.ints[layout.CHANGES]
        if self._changes != changes:
            found = [
                self._nominated(cycle) for cycle in self._tracker.cycles(layout.SURE, layout.ABOVE)
            ]
            self._listed = self.criteria.decide(self.rates, found)
            self._changes = changes
        return self._listed

    def certificate(self) -> Certificate:
        """The proof as it stands, with the edges held aside.

        With a threshold above zero, where those stand out by more than that, it is made anew for up to `max_legs` legs.
        """
        tracker, assets = self._tracker, self.rates.assets
        threshold = math.log1p(float(self.criteria.min_edge_bps) / 10_000)
        is_proved = self.verdict is Verdict.PROVED_NONE
        if threshold > 0.0 and not is_proved:
            return self._bounded_certificate(threshold)
        return Certificate(
            dict(zip(assets, (-math.log(worth) for worth in tracker.worths()), strict=True)),
            threshold=threshold,
            tolerance=TOLERANCE,
            held=frozenset(
                (assets[ends[edge & 1]], assets[ends[1 - (edge & 1)]])
                for edge in tracker.held()
                for ends in [tracker.ends[edge >> 1]]
            ),
            outstanding=math.log(tracker.floats[layout.GAIN]) if is_proved else math.inf,
        )

    def _bounded_certificate(self, threshold: float) -> Certificate:
        max_legs = self.criteria.max_legs
        slack = threshold / max_legs
        if slack * max_legs > threshold:
            slack = math.nextafter(slack, 0.0)
        potentials = Potentials(self.rates, slack - MARGIN)
        stands_out = [edge for edge, aside in enumerate(potentials.aside) if aside]
        held = [edge for edge in stands_out if potentials.release(edge)]
        assets, tails, heads = self.rates.assets, self.rates.tails, self.rates.heads
        return Certificate(
            dict(zip(assets, potentials.potential, strict=True)),
            slack=slack,
            threshold=threshold,
            max_legs=max_legs,
            tolerance=TOLERANCE,
            held=frozenset((assets[tails[edge]], assets[heads[edge]]) for edge in held),
        )

    def _bind(self) -> None:
        """Have the kernel and its arrays at hand: what `update` spends is mostly in reaching them."""
        advance = self._tracker.advance
        self._kernel = advance.func
        self._ints, self._floats = advance.args

    def _nominated(self, cycle: int) -> tuple[float, list[int]]:
        """The product of a cycle's rates and its edges in the table."""
        of_table = [self._edges[edge] for edge in self._tracker.edges(cycle)]
        return math.prod(self.rates.rates[edge] for edge in of_table), of_table

    def _decide(self) -> int:
        """Decide the cycles that floats cannot, exactly; gives the code then."""
        tracker = self._tracker
        for cycle in list(tracker.cycles(layout.OPEN)):
            is_above = self.criteria.decide(self.rates, [self._nominated(cycle)])
            tracker.settle(cycle, layout.ABOVE if is_above else layout.BELOW)
        return tracker.ints[layout.CODE]
