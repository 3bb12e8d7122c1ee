"""Rebalancing: how inventory that legs sent at once left out of balance is brought back, within a budget for the loss. Pure.

An asset that the cycle should have left as it was is long where it came and was not spent, short where it was spent and did
not come. What is short is bought back first, with what is long, and only where that does not do with the start asset;
then what is long is turned into the start asset. All is valued at the plan's own limit prices, so that a trade loses
just what its price is worse than those, fees included, and the loss that is left once all is back is the real one.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.execution.unwinding import (
    Position,
    Stranded,
    Unwinding,
    Way,
    first_lasting,
    fresh_view,
    route_of,
)
from triarb.model import Fill, OrderBook, Plan, PlannedLeg, RateView, Refused, Side, gross_rate
from triarb.money import ZERO, arithmetic, plain, to_decimal
from triarb.pricing import Route

_UP: Final = Context(prec=30, rounding=ROUND_CEILING)


@attrs.frozen
class Imbalance:
    """What an execution did to the assets, as far as its plan gives them a worth.

    Attributes:
        changes: by asset, the start included.
        worth: a unit of each, in the start asset.
    """

    changes: Mapping[str, Decimal]
    worth: Mapping[str, Fraction]

    @property
    def loss(self) -> Fraction:
        """What it comes to so far, in the start asset, with what is out of balance at its worth; below zero a profit."""
        changes = self.changes.items()
        return -sum((Fraction(change) * self.worth[asset] for asset, change in changes), Fraction())

    def long(self, start: str) -> list[str]:
        """The assets of which there is more than before, the dearest first."""
        return self._beside(start, 1)

    def short(self, start: str) -> list[str]:
        """The assets of which there is less than before, the dearest first."""
        return self._beside(start, -1)

    def _beside(self, start: str, sign: int) -> list[str]:
        found = {
            asset: -sign * Fraction(change) * self.worth[asset]
            for asset, change in self.changes.items()
            if asset != start and sign * change > 0
        }
        return sorted(found, key=lambda asset: (found[asset], asset))

    def positions(self, start: str) -> Stranded:
        """What is out of balance, either way, for whoever looks for the markets to trade it on."""
        return Stranded(
            tuple(
                Position(asset, abs(self.changes[asset]), Fraction(0))
                for asset in (*self.short(start), *self.long(start))
            ),
            self.loss,
        )


def imbalance(plan: Plan, fills: Iterable[Fill]) -> Imbalance:
    """What `fills`, in the order of their orders, came to.

    An asset on the way between two others of the plan is worth what was first given for it. Fees in assets that are
    neither count nothing here; they are on the execution's record.
    """
    worth = {plan.start: Fraction(1)}
    for leg in reversed(plan.legs):
        rate = gross_rate(leg.side, leg.limit_price)
        worth.setdefault(leg.given_asset, worth[leg.received_asset] * rate)
    changes: dict[str, Decimal] = {}
    for fill in fills:
        moved = fill.changes()
        pair = (fill.quote, fill.base) if fill.side == Side.BUY else (fill.base, fill.quote)
        given, received = pair
        if received not in worth and moved[received] > 0:
            worth[received] = Fraction(-moved[given]) * worth[given] / Fraction(moved[received])
        with arithmetic():
            for asset, change in moved.items():
                changes[asset] = changes.get(asset, ZERO) + change
    return Imbalance({a: change for a, change in changes.items() if a in worth}, worth)


def next_turn(
    plan: Plan,
    now: Imbalance,
    books: Mapping[str, OrderBook],
    view: RateView,
    policy: Unwinding,
) -> PlannedLeg | Refused:
    """The next trade that brings inventory back: the first of the way that costs least, if that is within the budget.

    Refused: ``unwind.hold``, ``unwind.budget``, ``unwind.done``; else why the dearest asset has no way.
    """
    if policy.way is Way.HOLD:
        return Refused("unwind.hold", "what is out of balance is held, as the policy says")
    if policy.way is Way.FORWARD:
        view = fresh_view(plan, view, [leg.market.symbol for leg in plan.legs])
    refusals: list[Refused] = []

    def find(give: str, amount: Decimal, get: str) -> Route | Refused:
        position = Position(give, amount, Fraction(0))
        return route_of(view, position, get, policy.max_legs, books=books)

    for ways in _ways(plan, now, find):
        routes = [way for way in ways if isinstance(way, Route)]
        best = min(routes, key=lambda way: _cost(now, way) / _size(now, way), default=None)
        if best is None:
            refusals += [way for way in ways if isinstance(way, Refused)]
        elif now.loss + _cost(now, best) <= Fraction(policy.budget(plan)):
            return best.legs[0]
        else:
            refusals.append(_beyond(plan, best, now.loss + _cost(now, best), policy))
    return first_lasting(refusals)


_Find = Callable[[str, Decimal, str], Route | Refused]


def _ways(plan: Plan, now: Imbalance, find: _Find) -> Iterable[list[Route | Refused]]:
    """For each asset out of balance, the ways to mend it: shorts first, and what is out of balance itself before the start."""
    with arithmetic():  # no more of the start than was reserved and came in
        spendable = plan.at_stake + now.changes.get(plan.start, ZERO)
    long = now.long(plan.start)
    for short in now.short(plan.start):
        yield [_covered(now, asset, now.changes[asset], short, find) for asset in long]
        yield [_covered(now, plan.start, spendable, short, find)]
    for asset in long:
        yield [find(asset, now.changes[asset], plan.start)]


def _covered(
    now: Imbalance, give: str, available: Decimal, short: str, find: _Find
) -> Route | Refused:
    """The route that buys what is short with as much of `give` as that takes, as far as it is `available`."""
    missing = -Fraction(now.changes[short])
    wanted = missing * now.worth[short] / now.worth[give]
    route: Route | Refused = Refused("route.below_minimum", f"there is no {give} to spend")
    for _ in range(2):  # the second time with what the first one showed of prices
        spent = min(available, _UP.divide(Decimal(wanted.numerator), Decimal(wanted.denominator)))
        found = find(give, spent, short) if spent > 0 else route
        if isinstance(found, Refused):
            return found if isinstance(route, Refused) else route
        route = found
        if Fraction(route.brought) >= missing or spent == available:
            break
        wanted = Fraction(spent) * missing / Fraction(route.brought)
    return route


def _cost(now: Imbalance, way: Route) -> Fraction:
    """What a way loses against what both ends are worth."""
    spent = Fraction(way.legs[0].given) * now.worth[way.give]
    return spent - Fraction(way.brought) * now.worth[way.get]


def _size(now: Imbalance, way: Route) -> Fraction:
    return Fraction(way.brought) * now.worth[way.get]


def _beyond(plan: Plan, way: Route, loss: Fraction, policy: Unwinding) -> Refused:
    budget, loss_now = policy.budget(plan), to_decimal(loss)
    return Refused(
        "unwind.budget",
        f"turning {plain(way.amount)} {way.give} into {way.get} now would make the loss "
        f"{plain(loss_now)} {plan.start}, beyond {plain(budget)}",
        {"asset": way.give, "loss": loss_now, "budget": budget},
    )
