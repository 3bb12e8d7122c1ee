"""Policies over prices: the edge if all goes well, the edge if it is stranded, and how far prices have slipped."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.exceptions import UsageError
from triarb.model import (
    DEFAULT_GAP_BPS,
    Approved,
    Cycle,
    Opportunity,
    OrderBook,
    Portfolio,
    Refused,
    Side,
)
from triarb.money import BPS, plain, to_decimal
from triarb.pricing import unwind_ratio
from triarb.pricing.legs import unit_given
from triarb.risk.marks import floor
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_bps, as_max_edge, as_min_edge, as_slippage


@attrs.frozen
class MinEdge(RiskPolicy):
    """The net edge must be at least `bps`, at the margin of whatever size is chosen. Refuses ``risk.min_edge``."""

    bps: Decimal = attrs.field(converter=as_min_edge)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Compares exactly, at the top of the books."""
        if _edge_bps(opportunity) < Fraction(self.bps):
            return Refused(
                "risk.min_edge",
                f"an edge of {opportunity.cycle.edge_bps:.4f} bps is below {plain(self.bps)} bps",
                {"edge_bps": opportunity.cycle.edge_bps, "min_edge_bps": self.bps},
            )
        return Approved(opportunity, min_edge_bps=self.bps)


@attrs.frozen
class MinStrandedEdge(RiskPolicy):
    """Stranded after any leg, what is left must be at most so much less: an edge of at least `bps`, such as -150.

    At the top of the books and before rounding; a size that goes deeper loses more, which limits in money see.
    Refuses ``risk.stranded_edge``.

    Attributes:
        bps: the least edge of all that it could be left with, turned back into the start asset.
        gap_bps: the adverse move that is assumed; whoever sizes must assume it too.
    """

    bps: Decimal = attrs.field(converter=as_bps)
    gap_bps: Decimal = attrs.field(default=DEFAULT_GAP_BPS, converter=as_bps)

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.gap_bps <= BPS:
            raise UsageError(f"gap_bps is {plain(self.gap_bps)}", hint="0 to 10000")

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """As `triarb.pricing.stranded_losses`, of an amount that needs no rounding."""
        cycle, held = opportunity.cycle, Fraction(1)
        for number, leg in enumerate(cycle.legs[:-1], 1):
            held *= leg.net_ratio
            back = unwind_ratio(opportunity.rates, leg.received, cycle.start, self.gap_bps)
            edge = (held * back - 1) * 10_000
            if edge < Fraction(self.bps):
                shown = to_decimal(edge)
                return Refused(
                    "risk.stranded_edge",
                    f"stranded after leg {number} its edge is {shown:.4f} bps, below {plain(self.bps)} bps",
                    {"leg": number, "edge_bps": shown, "min_stranded_edge_bps": self.bps},
                )
        return Approved(opportunity, gap_bps=self.gap_bps)


@attrs.frozen
class MaxEdge(RiskPolicy):
    """An edge above `bps` is more likely bad data than a gift. Refuses ``risk.implausible_edge``."""

    bps: Decimal = attrs.field(converter=as_max_edge)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Compares exactly, at the top of the books."""
        if _edge_bps(opportunity) > Fraction(self.bps):
            return Refused(
                "risk.implausible_edge",
                f"an edge of {opportunity.cycle.edge_bps:.4f} bps is too good to be true",
                {"edge_bps": opportunity.cycle.edge_bps, "max_edge_bps": self.bps},
            )
        return Approved(opportunity)


@attrs.frozen
class MaxSlippage(RiskPolicy):
    """No leg may trade more than `bps` worse than at the price that nominated it. Refuses ``risk.slippage``.

    Where the best price of its book has slipped further, it refuses; else it bounds the amount, so that no leg takes a
    level of its book that is further away. Before each leg, ask `beyond_slippage`.
    """

    bps: Decimal = attrs.field(converter=as_slippage)

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """Compares exactly, market by market."""
        nominated = {leg.market.symbol: leg.price for leg in opportunity.nominated.legs}
        for leg in opportunity.cycle.legs:
            symbol = leg.market.symbol
            refusal = beyond_slippage(symbol, leg.side, nominated[symbol], leg.price, self.bps)
            if refusal is not None:
                return refusal
        bound = min(self._most(opportunity.cycle, nominated, opportunity.books))
        return Approved(opportunity, max_amount=floor(bound))

    def _most(
        self, cycle: Cycle, nominated: dict[str, Decimal], books: Mapping[str, OrderBook]
    ) -> list[Fraction]:
        """By leg, how much of the start asset brings no more to it than the levels near enough take."""
        most, arrives = [], Fraction(1)
        for leg in cycle.legs:
            symbol = leg.market.symbol
            near = Fraction(0)
            for level in books[symbol].against(leg.side):
                if _slipped(leg.side, nominated[symbol], level.price) > Fraction(self.bps):
                    break
                unit = unit_given(leg.side, level.price, leg.fee)
                near += Fraction(level.amount) * Fraction(unit)
            most.append(near / arrives)
            arrives *= leg.net_ratio
        return most


def beyond_slippage(
    symbol: str, side: Side, nominated: Decimal, price: Decimal, max_bps: Decimal
) -> Refused | None:
    """Why a leg may not trade at `price`: it is more than `max_bps` worse than `nominated`; None where it may.

    For the start of a cycle and before every leg of it. A price that became better has not slipped.

    Args:
        symbol: the leg's market.
        side: whether it buys or sells.
        nominated: the price that it was counted on at.
        price: the one that it would trade at now.
        max_bps: the most that it may be worse, in bps of the nominated price.
    """
    slipped = _slipped(side, nominated, price)
    if slipped <= Fraction(max_bps):
        return None
    return Refused(
        "risk.slippage",
        f"{symbol} would {side} at {plain(price)}, nominated at {plain(nominated)}: "
        f"{to_decimal(slipped):.4f} bps worse, of at most {plain(max_bps)}",
        {
            "symbol": symbol,
            "nominated": nominated,
            "price": price,
            "slippage_bps": to_decimal(slipped),
            "max_slippage_bps": max_bps,
        },
    )


def _slipped(side: Side, nominated: Decimal, price: Decimal) -> Fraction:
    """How much worse `price` is for `side`, in bps of `nominated`; below zero where it is better."""
    change = (Fraction(price) / Fraction(nominated) - 1) * 10_000
    return change if side == Side.BUY else -change


def _edge_bps(opportunity: Opportunity) -> Fraction:
    return (opportunity.cycle.net_ratio - 1) * 10_000
