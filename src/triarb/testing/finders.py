"""What any CycleFinder and CycleMonitor must hold to, run on small markets against every cycle there is."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from triarb.finders.finder import CycleFinder
from triarb.finders.monitor import CycleMonitor, Verdict
from triarb.market.certificate import verify
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import Cycle, Market, Quote, Withdrawn
from triarb.money import arithmetic

_ASSETS = ("A", "A1", "B", "C", "D")  # as ids, A1>B comes before A>B
_QUESTIONS: tuple[dict[str, Any], ...] = (
    {"min_legs": 3, "max_legs": 3, "min_edge_bps": Decimal(0), "start": ()},
    {"min_legs": 2, "max_legs": 2, "min_edge_bps": Decimal(0), "start": ()},
    {"min_legs": 2, "max_legs": 5, "min_edge_bps": Decimal(0), "start": ()},
    {"min_legs": 4, "max_legs": 5, "min_edge_bps": Decimal("12.5"), "start": ()},
    {"min_legs": 3, "max_legs": 4, "min_edge_bps": Decimal(-40), "start": ()},
    {"min_legs": 2, "max_legs": 4, "min_edge_bps": Decimal(-10_000), "start": ()},
    {"min_legs": 3, "max_legs": 4, "min_edge_bps": Decimal(0), "start": ("C",)},
    {"min_legs": 2, "max_legs": 3, "min_edge_bps": Decimal(-10), "start": ("D", "A1")},
    {"min_legs": 3, "max_legs": 3, "min_edge_bps": Decimal(-10_000), "start": ("not traded",)},
)


def check_finder(make: Callable[..., CycleFinder]) -> None:
    """Run a finder on markets with ties, parallel and unusable markets, and compare it with every cycle there is.

    Args:
        make: called with the keywords `min_legs`, `max_legs` (2 to 5), `min_edge_bps` (a Decimal, -10000 for no
            threshold) and `start` (asset names, empty for all cycles); returns the finder that answers that.

    Raises:
        AssertionError: an answer differs; the message names market, question and what is different.

    >>> from triarb.finders import BoundedCycleFinder
    >>> check_finder(BoundedCycleFinder)
    """
    for question in _QUESTIONS:
        finder = make(**question)
        for name, rates, changes in _tables():
            where = f"{name}, {question}"
            _compare(finder.find(rates), _every_cycle(rates, **question), where)
            _compare(finder.find(rates), _every_cycle(rates, **question), f"{where}, asked again")
            for change in changes:
                rates.update(change)
            _compare(finder.find(rates), _every_cycle(rates, **question), f"{where}, after updates")


def check_monitor(make: Callable[..., CycleMonitor]) -> None:
    """Run a monitor through changes of markets with ties, and compare all that it says with every cycle there is.

    Args:
        make: called with a `RateTable` of its own and the keywords of `check_finder`, `min_edge_bps` at least 0;
            returns the monitor that answers that.

    Raises:
        AssertionError: cycles, verdict or certificate are not so; the message names market, question and what is wrong.

    >>> from triarb.finders import CertifiedCycleMonitor
    >>> check_monitor(CertifiedCycleMonitor)
    """
    for question in _QUESTIONS:
        if question["min_edge_bps"] < 0:
            continue
        for (name, own, changes), (_, rates, _) in zip(_tables(), _tables(), strict=True):
            where = f"{name}, {question}"
            monitor = make(own, **question)
            _compare(monitor.cycles(), _every_cycle(rates, **question), where)
            before = [quote for _, quote in sorted(rates.view().quotes.items())]
            for change in (*changes, Withdrawn("not/there"), *before):
                rates.update(change)
                verdict = monitor.update(change)
                _check_verdict(monitor, verdict, rates, question, f"{where}, after {change}")


def _check_verdict(
    monitor: CycleMonitor, verdict: Verdict, rates: RateTable, question: dict[str, Any], where: str
) -> None:
    expected = _every_cycle(rates, **question)
    _compare(monitor.cycles(), expected, where)
    if (verdict is Verdict.LISTED) != bool(expected):
        raise AssertionError(f"{where}: {verdict!r} with {len(expected)} cycles")
    if verdict is Verdict.PROVED_NONE:
        everything = {"min_legs": 2, "max_legs": len(rates.assets), "start": ()}
        above = _every_cycle(rates, **{**question, **everything})
        if above:
            raise AssertionError(f"{where}: proved that there is none, but there is {above[0].id}")
    certificate = monitor.certificate()
    fault = None if certificate is None else verify(certificate, rates)
    if fault is not None:
        raise AssertionError(f"{where}: the certificate does not hold: {fault}")


def _compare(found: Sequence[Cycle], expected: Sequence[Cycle], where: str) -> None:
    found_ids = [cycle.id for cycle in found]
    expected_ids = [cycle.id for cycle in expected]
    for fault, names in (
        ("found twice", {name for name in found_ids if found_ids.count(name) > 1}),
        ("missing", set(expected_ids) - set(found_ids)),
        ("found, but not asked for", set(found_ids) - set(expected_ids)),
    ):
        if names:
            raise AssertionError(f"{where}: {fault}: {', '.join(sorted(names))}")
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one.id != other.id:
            raise AssertionError(
                f"{where}: out of order: place {place} has {one.id}, not {other.id}"
            )
        if one.start != other.start:
            raise AssertionError(f"{where}: {one.id} begins in {one.start}, not {other.start}")
        if one != other:
            raise AssertionError(f"{where}: {one.id} has other legs than the rates: {one.legs}")


def _every_cycle(
    rates: RateTable, *, min_legs: int, max_legs: int, min_edge_bps: Decimal, start: Sequence[str]
) -> list[Cycle]:
    """All cycles by trying every order of the assets, decided exactly."""
    edges = {
        (tail, head): edge
        for edge, (tail, head) in enumerate(zip(rates.tails, rates.heads, strict=True))
        if rates.rates[edge]
    }
    threshold = 1 + Fraction(min_edge_bps) / 10_000
    found = []
    for legs in range(min_legs, max_legs + 1):
        for order in itertools.permutations(range(len(rates.assets)), legs):
            pairs = list(itertools.pairwise((*order, order[0])))
            if order[0] != min(order) or not all(pair in edges for pair in pairs):
                continue
            cycle = rates.cycle(edges[pair] for pair in pairs)
            if legs == 2 and cycle.legs[0].market == cycle.legs[1].market:
                continue
            if start and not set(start) & set(cycle.assets):
                continue
            if cycle.net_ratio > threshold:
                found.append(cycle)
    return sorted(found, key=lambda cycle: (-cycle.net_ratio, cycle.id))


def _tables() -> Iterator[tuple[str, RateTable, list[Quote | Withdrawn]]]:
    """Markets by name, each with changes to come."""
    yield "no market", RateTable((), FeeSchedule.flat(0)), []
    for seed, fee_bps in enumerate(("0", "0", "5", "-2")):
        yield f"market {seed}", *_random_table(random.Random(seed), fee_bps)  # noqa: S311
    yield "market of a hair's breadth", *_close_table()


def _random_table(chance: random.Random, fee_bps: str) -> tuple[RateTable, list[Quote | Withdrawn]]:
    """Every pair of assets once or twice, many at prices that fit exactly, some unusable."""
    values = {asset: 2 ** chance.randrange(4) for asset in _ASSETS}
    markets, quotes = [], []
    for base, quote in itertools.permutations(_ASSETS, 2):
        if base < quote or chance.random() < 0.3:
            market = Market(f"{base}/{quote}", base, quote, active=chance.random() < 0.9)
            markets.append(market)
            quotes.append(_random_quote(chance, market, values))
    changes: list[Quote | Withdrawn] = [
        _random_quote(chance, market, values) for market in chance.sample(markets, 3)
    ]
    changes.append(Withdrawn(chance.choice(markets).symbol))
    return RateTable(markets, FeeSchedule.flat(fee_bps), quotes), changes


def _random_quote(chance: random.Random, market: Market, values: dict[str, int]) -> Quote:
    off_bps = chance.choice((0, 0, chance.randrange(-60, 60)))
    spread_bps = chance.choice((0, 0, 4, 20, -6))  # locked, fair, wide, crossed
    with arithmetic():
        fair = Decimal(values[market.base]) / values[market.quote] / 10_000
        bid, ask = fair * (10_000 + off_bps), fair * (10_000 + off_bps + spread_bps)
    return Quote(market.symbol, None if chance.random() < 0.05 else bid, ask)


def _close_table() -> tuple[RateTable, list[Quote | Withdrawn]]:
    """Rates that floats cannot tell from one, nor from each other."""
    more, yet_more = Decimal("1.00000000000000000001"), Decimal("1.00000000000000000002")
    prices = {("A", "B"): more, ("A1", "B"): yet_more}
    for pair in (("A", "C"), ("A1", "C"), ("B", "C"), ("D", "C"), ("D", "B")):
        prices[pair] = Decimal(1)
    markets = [Market(f"{base}/{quote}", base, quote) for base, quote in prices]
    quotes = [
        Quote(market.symbol, price, price)
        for market, price in zip(markets, prices.values(), strict=True)
    ]
    changes: list[Quote | Withdrawn] = [Quote("A/B", yet_more, yet_more)]
    return RateTable(markets, FeeSchedule.flat(0), quotes), changes
