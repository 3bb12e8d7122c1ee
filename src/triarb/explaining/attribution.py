"""Where a size loses: fees, depth, whole steps and limits, leg by leg, in sums that come out exactly."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import attrs

from triarb.explaining.constraints import shown
from triarb.model import Cycle, Leg, OrderBook, PlannedLeg
from triarb.money import arithmetic


@attrs.frozen
class Losses:
    """Where a leg, or all of them, lose against the same amount at the legs' prices, without fees and without rounding.

    All in the start asset, each asset on the way at what it comes to there over the legs ahead, before fees; exact.

    Attributes:
        fee: what the exchange takes.
        depth: what is filled at worse prices than the leg's.
        step: what whole steps leave over, and what arrives but is not traded.
        limit: what an order locks at its limit price and, filled at better ones, does not spend.
    """

    fee: Fraction = Fraction(0)
    depth: Fraction = Fraction(0)
    step: Fraction = Fraction(0)
    limit: Fraction = Fraction(0)

    @property
    def total(self) -> Fraction:
        """All of them."""
        return self.fee + self.depth + self.step + self.limit

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(
            self.fee + other.fee,
            self.depth + other.depth,
            self.step + other.step,
            self.limit + other.limit,
        )


@attrs.frozen
class LegSize:
    """One leg at the size explained.

    Attributes:
        planned: its amount, limit price, and what it gives and brings.
        arrived: what the leg before brought; what it spends, for leg 1.
        levels: how many levels of the book it takes; None without a book.
        shown: base units that the book shows at its limit price or better; None without a book.
        fee: what the exchange takes, in `fee_asset`.
        step_left: what whole steps leave over of what arrived, and what could not be traded.
        limit_left: what its order locks but does not spend, since it fills at better prices than its limit.
        losses: the same in the start asset.
    """

    planned: PlannedLeg
    arrived: Decimal
    levels: int | None
    shown: Decimal | None
    fee: Fraction
    fee_asset: str
    step_left: Decimal
    limit_left: Decimal
    losses: Losses


def attributed(
    cycle: Cycle, books: Mapping[str, OrderBook] | None, planned: Sequence[PlannedLeg]
) -> list[LegSize]:
    """Each leg of `planned` taken apart, against the same amounts at the prices of `cycle`.

    Each asset on the way is worth what it brings over the legs ahead at those prices, before fees, so that what one leg
    loses is not counted again at the next: a leg's losses are what arrived less what it brought, both at their worth,
    and those of all legs are the gross result less the result.
    """
    ahead = [Fraction(1)]  # what a unit brings over the legs ahead, before fees
    for leg in reversed(cycle.legs):
        ahead.append(ahead[-1] * leg.gross_ratio)
    ahead.reverse()
    sizes = []
    arrived = planned[0].given
    for number, (leg, plan) in enumerate(zip(cycle.legs, planned, strict=True)):
        given, received, rate = (
            Fraction(plan.given),
            Fraction(plan.received),
            Fraction(leg.fee.rate),
        )
        on_given = leg.fee.on_given(leg.side)
        gross_given = given / (1 + rate) if on_given else given
        gross_received = received if on_given else received / (1 - rate)
        fee = given - gross_given if on_given else gross_received - received
        with arithmetic():
            locked = min(arrived, plan.worst_given)
            step_left, limit_left = arrived - locked, locked - plan.given
        worth_given, worth_received = ahead[number], ahead[number + 1]
        losses = Losses(
            fee * (worth_given if on_given else worth_received),
            gross_given * worth_given - gross_received * worth_received,
            Fraction(step_left) * worth_given,
            Fraction(limit_left) * worth_given,
        )
        levels, total = _depth(leg, books, plan)
        asset = leg.given if on_given else leg.received
        sizes.append(
            LegSize(plan, arrived, levels, total, fee, asset, step_left, limit_left, losses)
        )
        arrived = plan.received
    return sizes


def _depth(
    leg: Leg, books: Mapping[str, OrderBook] | None, plan: PlannedLeg
) -> tuple[int | None, Decimal | None]:
    """How many levels the leg takes, and what the book shows at its limit; nothing without a book."""
    if books is None:
        return None, None
    taken, left = 0, plan.amount
    with arithmetic():
        for level in books[leg.market.symbol].against(leg.side):
            if left <= 0:
                break
            taken, left = taken + 1, left - level.amount
    return taken, shown(leg, books, plan.limit_price)
