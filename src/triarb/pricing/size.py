"""What a size earns: exact, in whole steps of every market."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from triarb.model import Cycle, Opportunity, OrderBook, PlannedLeg, Refused
from triarb.money import arithmetic, plain
from triarb.pricing.legs import affordable, planned


@attrs.frozen
class Priced:
    """A size of a cycle, leg by leg.

    Each leg spends at most what the leg before it brings.
    """

    legs: tuple[PlannedLeg, ...]

    @property
    def amount(self) -> Decimal:
        """What leg 1 spends, in the start asset."""
        return self.legs[0].given

    @property
    def profit(self) -> Decimal:
        """What the last leg brings minus what leg 1 spends; what rounding leaves in middle assets counts nothing."""
        with arithmetic():
            return self.legs[-1].received - self.legs[0].given


def profit_at(opportunity: Opportunity, amount: Decimal) -> Priced | Refused:
    """What a start with at most `amount` of the start asset comes to through the whole depth of its books.

    Each leg trades the largest multiple of its step that the leg before it pays for at the limit price it then needs:
    an exchange locks that much, and `SequentialExecutor` sizes by it.

    Refused: ``cycle.no_depth``, ``cycle.below_minimum``, ``cycle.above_maximum``, ``market.off_tick``.
    """
    return size_at(opportunity.cycle, opportunity.books, amount)


def size_at(cycle: Cycle, books: Mapping[str, OrderBook], amount: Decimal) -> Priced | Refused:
    """`profit_at` for a cycle that need not earn anything, through `books`."""
    legs: list[PlannedLeg] = []
    budget = amount
    for leg in cycle.legs:
        levels = books[leg.market.symbol].against(leg.side)
        wanted = affordable(leg, levels, budget)
        if wanted is None:
            return Refused(
                "cycle.no_depth",
                f"{leg.market.symbol} does not show enough for {plain(budget)} {leg.given}",
                {"symbol": leg.market.symbol, "budget": budget},
            )
        result = planned(leg, levels, wanted)
        if isinstance(result, Refused):
            return result
        legs.append(result)
        budget = result.received
    return Priced(tuple(legs))
