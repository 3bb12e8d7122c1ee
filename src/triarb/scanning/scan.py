"""scan(): one source, one answer, for notebooks and the command."""

import difflib
import os
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Final, Literal

import attrs

from triarb.clock import NS_PER_SECOND, iso
from triarb.exceptions import UsageError
from triarb.explaining import Explanation, explain as explained
from triarb.finders import BoundedCycleFinder
from triarb.finders.potentials import holds_at_fee_bps, prove
from triarb.market.certificate import Certificate, verify
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.market.snapshot import Snapshot
from triarb.model import Cycle, Market, OrderBook, RateView, Refused
from triarb.money import ZERO, Money, parse_bps
from triarb.pipeline import nominate
from triarb.pricing import confirm, most_profitable
from triarb.scanning.result import ScannedCycle, ScanResult
from triarb.scanning.source import load
from triarb.scanning.worth import Worth

IMPLAUSIBLE_BPS: Final = 500
STALE_NS: Final = 60 * NS_PER_SECOND


def scan(
    source: "str | os.PathLike[str] | Snapshot",
    *,
    min_legs: int = 3,
    max_legs: int = 3,
    start: str | Collection[str] = (),
    only: str | Collection[str] = (),
    ignore: str | Collection[str] = (),
    fee_bps: str | float | Decimal | None = None,
    min_edge_bps: str | float | Decimal = 0,
    top: int = 20,
    sort: Literal["rate", "profit"] = "rate",
    value_in: str | None = None,
    references: str | Collection[str] = (),
    min_depth: str | Money | Iterable[str | Money] = (),
    explain: bool = False,
) -> ScanResult:
    """Find the cycles of a snapshot, a snapshot file or a live exchange, and judge which can be traded.

    It is sync, also inside a running event loop.

    Args:
        source: a `Snapshot`, a path, or an exchange's id.
        min_legs: 2 to 8.
        max_legs: `min_legs` to 8.
        start: assets; only cycles through one of them, judged as begun there.
        only: assets and symbols; a market counts if it is named, or both its assets are.
        ignore: assets and symbols; a market does not count if it or one of its assets is named.
        fee_bps: one fee for every market; else each market's own, else the file's, else a published one.
        min_edge_bps: nominated are cycles strictly above it; -10000 or less is no threshold.
        top: how many cycles to list; all are counted.
        sort: ``"rate"``, or ``"profit"``, which needs exactly one start asset, or `value_in`; what has no worth is last.
        value_in: the asset to value profits in, over `references`; see `triarb.Valuation`. No reference, no worth.
        references: the symbols of the markets to value by.
        min_depth: what a reference must show on the side taken, such as ``"500 USDT"``, an amount for each asset.
        explain: take each listed cycle apart: `triarb.explain`.

    Raises:
        UsageError: an argument makes no sense, or names an asset or market that is not there.
        SourceError: there is no such file or exchange, or it cannot be read.
        GatewayError: the exchange did not answer.
    """
    starts, kept, dropped = _names(start), _names(only), _names(ignore)
    edge = parse_bps(min_edge_bps, "min_edge_bps")
    fee = None if fee_bps is None else parse_bps(fee_bps, "fee_bps")
    override = None if fee is None else FeeSchedule.flat(fee)
    if sort not in ("rate", "profit"):
        raise UsageError(f"sort is {sort!r}", hint='"rate" or "profit"')
    if sort == "profit" and len(starts) != 1 and value_in is None:
        raise UsageError(
            "sorting by profit needs exactly one start asset, or an asset to value profits in",
            hint="add --start USDT, or --value-in USDT",
        )
    if value_in is None and references:
        raise UsageError("references value nothing without value_in", hint="add --value-in USDT")
    if top < 0:
        raise UsageError(f"top is {top}", hint="how many cycles to list")
    finder = BoundedCycleFinder(
        min_legs=min_legs,
        max_legs=max_legs,
        min_edge_bps=edge,
        start=starts,
        compiled=False,  # one search takes less time than loading a compiler
    )

    began = time.perf_counter()
    loaded = load(source, override)
    snapshot, fees = loaded.snapshot, loaded.fees
    valued = [] if value_in is None else [value_in]
    _check_names(snapshot.markets, starts=(*starts, *valued), others=(*kept, *dropped))
    worth = None if value_in is None else Worth.of(value_in, references, min_depth, snapshot)
    markets = [market for market in snapshot.markets if _wanted(market, kept, dropped)]
    rates = RateTable(markets, fees, snapshot.quotes)
    ready = time.perf_counter()
    view = rates.view()
    cycles = nominate(rates, finder)
    judge = _Judge(snapshot, fees, view, starts)
    judged = [judge(cycle) for cycle in cycles]
    done = time.perf_counter()
    certificate, smallest_fee_bps = _proof(rates, view)

    if worth is not None:
        judged = [worth.valued(scanned) for scanned in judged]
    if sort == "profit":
        judged.sort(key=partial(_profit, valued=worth is not None), reverse=True)  # equals by rate
    listed = judged[:top]
    if explain:
        listed = [attrs.evolve(scanned, explanation=judge.explain(scanned)) for scanned in listed]
    executable = sum(scanned.executable is True for scanned in judged)
    unknown = any(scanned.executable is None for scanned in judged)
    refused = {**rates.refused, **{code: n for code, n in loaded.refused.items() if n}}
    return ScanResult(
        exchange=snapshot.exchange,
        source=_in_words(source, snapshot),
        timestamp=iso(snapshot.timestamp_ns),
        fees=rates.provenances(),
        fee_bps=fee,
        markets=len(view.quotes),
        assets=len({a for s in view.quotes for a in (view.markets[s].base, view.markets[s].quote)}),
        min_legs=min_legs,
        max_legs=max_legs,
        min_edge_bps=edge,
        start=starts,
        count=len(judged),
        executable=None if unknown and not executable else executable,
        certificate=certificate,
        holds_at_fee_bps=smallest_fee_bps,
        cycles=tuple(listed),
        refused=refused,
        load_ms=(ready - began) * 1000,
        search_ms=(done - ready) * 1000,
        fee_notes=_notes(view),
        value_in=value_in,
        unvalued=Counter(s.value.code for s in judged if isinstance(s.value, Refused)),
    )


def _profit(scanned: ScannedCycle, *, valued: bool) -> tuple[bool, Decimal]:
    """What to sort by: those that have a profit, and a worth where that is asked for, before all others."""
    profit = scanned.worth if valued else scanned.profit
    return profit is not None, profit or ZERO


def _notes(view: RateView) -> dict[str, int]:
    """Usable markets by the note of their fee."""
    notes = Counter(view.fees[symbol].note for symbol in view.quotes)
    return {note: n for note, n in notes.most_common() if note}


def _proof(rates: RateTable, view: RateView) -> tuple[Certificate | None, float]:
    """A certificate of `rates`, if there is one, and the smallest fee for all its markets at which there is."""
    certificate = prove(rates)
    if certificate is not None and verify(certificate, rates) is not None:
        certificate = None  # claimed is only what was verified
    markets = [view.markets[symbol] for symbol in view.quotes]
    gross = RateTable(markets, FeeSchedule.flat(0), view.quotes.values())
    return certificate, holds_at_fee_bps(gross)


class _Judge:
    """Says of a nominated cycle whether, from where, and with how much it can be traded."""

    def __init__(
        self, snapshot: Snapshot, fees: FeeSchedule, view: RateView, starts: Sequence[str]
    ) -> None:
        self._aggregate = snapshot.volumes == "aggregate"
        self._now_ns = snapshot.timestamp_ns
        self._fees = fees
        self._view = view
        self._starts = frozenset(starts)
        self._books: dict[str, OrderBook] = {}

    def __call__(self, cycle: Cycle) -> ScannedCycle:
        flags = self._flags(cycle)
        if cycle.net_ratio <= 1:
            loss = Refused("cycle.unprofitable", "it earns nothing after fees")
            return ScannedCycle(cycle, executable=False, reason=loss, flags=flags)
        unknown = self._unknown_sizes(cycle)
        if unknown is not None:
            return ScannedCycle(cycle, executable=None, reason=unknown, flags=flags)
        best: ScannedCycle | None = None
        best_return = Fraction(0)
        reason: Refused | None = None
        books = self._books_of(cycle)
        for asset in cycle.assets if not self._starts else sorted(self._starts & {*cycle.assets}):
            answer = confirm(
                cycle.starting_from(asset), books, self._fees, self._view, self._now_ns
            )
            size = answer if isinstance(answer, Refused) else most_profitable(answer)
            if isinstance(size, Refused):
                reason = size if reason is None else reason
                continue
            earned = Fraction(size.profit) / Fraction(size.amount)
            if earned > best_return or (
                best is not None and earned == best_return and asset < best.cycle.start
            ):
                best_return = earned
                best = ScannedCycle(
                    cycle.starting_from(asset),
                    executable=True,
                    reason=None,
                    amount=size.amount,
                    profit=size.profit,
                    flags=flags,
                )
        return best or ScannedCycle(cycle, executable=False, reason=reason, flags=flags)

    def explain(self, scanned: ScannedCycle) -> Explanation:
        """Where every unit of it goes, begun where it was judged from."""
        if self._unknown_sizes(scanned.cycle) is not None:
            return attrs.evolve(explained(scanned.cycle), refused=scanned.reason)
        books = self._books_of(scanned.cycle)
        return explained(scanned.cycle, books=books, rates=self._view, now_ns=self._now_ns)

    def _books_of(self, cycle: Cycle) -> dict[str, OrderBook]:
        for leg in cycle.legs:
            symbol = leg.market.symbol
            if symbol not in self._books:
                self._books[symbol] = OrderBook.from_quote(self._view.quotes[symbol])
        return {leg.market.symbol: self._books[leg.market.symbol] for leg in cycle.legs}

    def _unknown_sizes(self, cycle: Cycle) -> Refused | None:
        if self._aggregate:
            return Refused("size.aggregate", "the sizes told are sums over several levels")
        for leg in cycle.legs:
            quote = self._view.quotes[leg.market.symbol]
            if quote.bid_size is None or quote.ask_size is None:
                return Refused("size.unknown", f"{leg.market.symbol} tells no sizes")
        return None

    def _flags(self, cycle: Cycle) -> tuple[str, ...]:
        quotes = [self._view.quotes[leg.market.symbol] for leg in cycle.legs]
        flags = {
            "implausible": (cycle.net_ratio - 1) * 10_000 > IMPLAUSIBLE_BPS,
            "stale": any(
                quote.exchange_ns is not None and self._now_ns - quote.exchange_ns > STALE_NS
                for quote in quotes
            ),
            "locked": any(quote.bid == quote.ask for quote in quotes),
        }
        return tuple(name for name, holds in flags.items() if holds)


def _in_words(source: "str | os.PathLike[str] | Snapshot", snapshot: Snapshot) -> str:
    if snapshot.generated or isinstance(source, Snapshot):
        return snapshot.source[:200] or "a snapshot"
    return str(source)[:200]


def _names(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def _wanted(market: Market, only: Sequence[str], ignore: Sequence[str]) -> bool:
    if {market.symbol, market.base, market.quote} & {*ignore}:
        return False
    return not only or market.symbol in only or {market.base, market.quote} <= {*only}


def _check_names(
    markets: Sequence[Market], *, starts: Sequence[str], others: Sequence[str]
) -> None:
    assets = {asset for market in markets for asset in (market.base, market.quote)}
    symbols = {market.symbol for market in markets}
    for name, known, what in [
        *((name, assets, "asset") for name in starts),
        *((name, assets | symbols, "asset or market") for name in others),
    ]:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or [
                n for n in known if n.upper() == name.upper()
            ]
            raise UsageError(
                f"there is no {what} {name!r} here",
                code="usage.unknown_asset",
                hint=f"did you mean {near[0]}?" if near else "names are those of the exchange",
            )
