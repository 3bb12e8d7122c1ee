"""From a nomination to an opportunity: the same cycle on fresh books, with fees, steps and minimums."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from triarb.exceptions import PolicyViolation
from triarb.market.fees import FeeSchedule
from triarb.model import Cycle, Opportunity, OrderBook, RateView, Refused
from triarb.pricing.depth import unprofitable


def confirm(
    cycle: Cycle,
    books: Mapping[str, OrderBook],
    fees: FeeSchedule,
    rates: RateView,
    now_ns: int,
) -> Opportunity | Refused:
    """An opportunity where `books` show a size of `cycle` that profits from its start asset; else why not.

    The prices that nominated the cycle are not used: every leg is priced anew, and some size through the whole depth of
    the books must leave more of the start asset than it spends once every leg is rounded to its step, within all
    minimums and maximums, whatever its last units earn. Which size to trade is for a `Sizer`.

    Refused: ``book.missing``, ``market.one_sided``, ``market.crossed``, ``market.no_fee``, ``cycle.unprofitable``
    (with the rate that nominated it and the rate now), and what `triarb.pricing.most_profitable_depth` refuses.

    Raises:
        PolicyViolation: its legs are no closed path over distinct assets and markets: a finder broke its contract.
    """
    opportunity = at_books(cycle, books, fees, rates, now_ns)
    if isinstance(opportunity, Refused):
        return opportunity
    now = opportunity.cycle
    if now.net_ratio <= 1:
        return Refused(
            "cycle.unprofitable",
            f"{cycle.id} was nominated at {cycle.net_rate:.9f} and stands at {now.net_rate:.9f}",
            {"cycle": cycle.id, "nominated": cycle.net_rate, "now": now.net_rate},
        )
    return unprofitable(opportunity) or opportunity


def at_books(
    cycle: Cycle,
    books: Mapping[str, OrderBook],
    fees: FeeSchedule,
    rates: RateView,
    now_ns: int,
) -> Opportunity | Refused:
    """`cycle` at the prices of `books` and these fees, whatever it earns; `confirm` says whether it earns anything.

    Refused: ``book.missing``, ``market.one_sided``, ``market.crossed``, ``market.no_fee``.

    Raises:
        PolicyViolation: as `confirm`.
    """
    _check_path(cycle)
    fresh = []
    for leg in cycle.legs:
        symbol = leg.market.symbol
        book = books.get(symbol)
        if book is None:
            return Refused("book.missing", f"there is no book of {symbol}", {"symbol": symbol})
        fault = book.fault()
        if fault is not None:
            return Refused(fault, f"the book of {symbol} cannot be traded on", {"symbol": symbol})
        fee = fees.fee(symbol)
        if fee is None or abs(fee.rate) >= 1:
            why = "is unknown" if fee is None else f"of {fee.rate} is no fraction of a trade"
            return Refused("market.no_fee", f"the fee of {symbol} {why}", {"symbol": symbol})
        fresh.append(attrs.evolve(leg, price=book.against(leg.side)[0].price, fee=fee))
    now = Cycle(tuple(fresh))
    taken = {leg.market.symbol: books[leg.market.symbol] for leg in now.legs}
    return Opportunity(now, cycle, MappingProxyType(taken), rates, now_ns)


def _check_path(cycle: Cycle) -> None:
    given, received = [leg.given for leg in cycle.legs], [leg.received for leg in cycle.legs]
    symbols = [leg.market.symbol for leg in cycle.legs]
    closed = received == [*given[1:], *given[:1]]
    if (
        not closed
        or len(given) < 2
        or any(len({*names}) < len(names) for names in (given, symbols))
    ):
        path = ", ".join(
            f"{one} to {other} on {symbol}"
            for one, other, symbol in zip(given, received, symbols, strict=True)
        )
        raise PolicyViolation(f"a finder nominated what is no cycle: {path or 'no leg'}")
