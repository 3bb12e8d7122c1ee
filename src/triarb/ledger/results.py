"""The arithmetic of `Results`: what each ended execution adds to them."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeVar

from triarb.clock import NS_PER_SECOND, utc_day
from triarb.model import Execution, Results
from triarb.money import ZERO

KEPT_NS: Final = 2 * 86_400 * NS_PER_SECOND
"""How far back results are kept: twice as far as any limit looks."""

NO_RESULTS: Final = Results(*[MappingProxyType[Any, Any]({})] * 5)
"""Those of a new ledger."""

_Key = TypeVar("_Key")


def booked(results: Results, execution: Execution) -> Results:
    """`results` with `execution`, which has ended.

    Time does not run back in the running totals: one that ended before the last one did counts as ended with it.
    """
    start, changes, ended_ns = execution.plan.start, execution.changes, execution.ended_ns
    ended, started = utc_day(ended_ns), utc_day(execution.started_ns)
    first_ns = max(0, ended_ns - KEPT_NS)
    orders = (*execution.legs, *execution.further)
    names = (execution.plan.cycle_id, *(result.order.symbol for result in orders))
    return Results(
        residues=_on(ended, results.residues, execution.residues, first_ns),
        begun=_on(started, results.begun, changes, first_ns),
        totals=_totals(results.totals, changes, ended_ns, first_ns),
        since_peak=_since_peak(results.since_peak, start, changes),
        last_ended=MappingProxyType({**results.last_ended, **dict.fromkeys(names, ended_ns)}),
    )


def summed(
    amounts: Mapping[_Key, Decimal], changes: Mapping[_Key, Decimal]
) -> Mapping[_Key, Decimal]:
    """The sums, without those that are zero, so that the order of events leaves no trace."""
    result = dict(amounts)
    for key, change in changes.items():
        result[key] = result.get(key, ZERO) + change
    return MappingProxyType({key: amount for key, amount in result.items() if amount})


def _on(
    day: str,
    amounts: Mapping[tuple[str, str], Decimal],
    changes: Mapping[str, Decimal],
    first_ns: int,
) -> Mapping[tuple[str, str], Decimal]:
    first = utc_day(first_ns)
    kept = {key: amount for key, amount in amounts.items() if key[0] >= first}
    return summed(kept, {(day, asset): change for asset, change in changes.items()})


def _totals(
    totals: Mapping[str, tuple[tuple[int, Decimal], ...]],
    changes: Mapping[str, Decimal],
    ended_ns: int,
    first_ns: int,
) -> Mapping[str, tuple[tuple[int, Decimal], ...]]:
    """With one more total of each asset in `changes`; of those before `first_ns` the last is what later ones count from."""
    result = dict(totals)
    for asset, change in changes.items():
        if not change:
            continue
        before = result.get(asset, ())
        last_ns, last = before[-1] if before else (ended_ns, ZERO)
        old = 0
        while old + 1 < len(before) and before[old + 1][0] < first_ns:
            old += 1
        result[asset] = (*before[old:], (max(last_ns, ended_ns), last + change))
    return MappingProxyType(result)


def _since_peak(
    since: Mapping[tuple[str, str], Decimal], start: str, changes: Mapping[str, Decimal]
) -> Mapping[tuple[str, str], Decimal]:
    """With `changes`; without all that is of `start` where its results stand at their highest now."""
    after = summed(since, {(start, asset): change for asset, change in changes.items()})
    if after.get((start, start), ZERO) < 0:
        return after
    return MappingProxyType({key: amount for key, amount in after.items() if key[0] != start})
