"""Unwinding: how what an execution is stranded with comes back to its start asset, within a budget for the loss. Pure.

Every position remembers what it cost in the start asset, from the fills alone. A way back is the best route over fresh
books, and only its first trade is made before the books are read again. What no market takes any more, because it is below
every minimum, stays as a residue.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.exceptions import UsageError
from triarb.model import Fill, OrderBook, Plan, PlannedLeg, RateView, Refused, Side, TimeInForce
from triarb.money import ONE, ZERO, arithmetic, parse_decimal, plain, round_down, to_decimal
from triarb.pricing import Route, best_route
from triarb.pricing.legs import unit_given
from triarb.pricing.routes import MAX_LEGS

DUST: Final = frozenset({"route.below_minimum", "route.none"})
"""Why a position can be no order: waiting does not mend it."""


_FINEST: Final = Decimal("1e-12")
"""Finer than any market's step: what a position has beyond it can be no order."""


class Way(enum.StrEnum):
    """Which way an execution that left its plan goes."""

    FORWARD = "forward"
    """Over the plan's remaining markets, at whatever price the budget allows."""
    CHEAPEST = "cheapest"
    """By the route that brings most: forward, back, or any other."""
    HOLD = "hold"
    """None: what is held stays as a residue, for a person to decide."""


def _way(value: object) -> Way:
    try:
        return Way(value)  # type: ignore[arg-type]
    except ValueError:
        raise UsageError(f"way is {value!r}", hint=f"it is one of {', '.join(Way)}") from None


def _factor(value: str | int | Decimal) -> Decimal:
    try:
        number = parse_decimal(value)
    except ValueError as error:
        raise UsageError(f"loss_factor: {error}", hint='give it as text, such as "1.5"') from None
    if number < 0:
        raise UsageError(f"loss_factor is {plain(number)}", hint="0 or more; 0 allows no loss")
    return number


def _from(least: int, most: int) -> Callable[[object, "attrs.Attribute[int]", int], None]:
    def check(_: object, attribute: "attrs.Attribute[int]", value: int) -> None:
        if type(value) is not int or not least <= value <= most:
            name = attribute.name
            raise UsageError(f"{name} is {value!r}", hint=f"a whole number, {least} to {most}")

    return check


@attrs.frozen
class Unwinding:
    """How far an executor may go to bring back what is stranded.

    Attributes:
        way: which way it goes.
        loss_factor: the budget as a multiple of the plan's stated largest loss (`Plan.max_loss`).
        max_orders: the most orders beyond the plan's own.
        max_legs: the most trades of a route.

    Raises:
        UsageError: another way, or a number that makes no sense.
    """

    way: Way = attrs.field(default=Way.CHEAPEST, converter=_way)
    loss_factor: Decimal = attrs.field(default=ONE, converter=_factor)
    max_orders: int = attrs.field(default=6, validator=_from(0, 100))
    max_legs: int = attrs.field(default=3, validator=_from(1, MAX_LEGS))

    def budget(self, plan: Plan) -> Decimal:
        """The most that may be lost with `plan`, in its start asset."""
        with arithmetic():
            return plan.max_loss * self.loss_factor


@attrs.frozen
class Position:
    """What an execution holds of an asset other than its start.

    Attributes:
        cost: what was paid for it, in the start asset; exact.
    """

    asset: str
    amount: Decimal
    cost: Fraction


@attrs.frozen
class Stranded:
    """Where an execution stands.

    Attributes:
        positions: what it holds, the dearest first.
        lost: what the money that came back is short of what was paid for it; below zero it is a profit.
    """

    positions: tuple[Position, ...]
    lost: Fraction

    def held(self, asset: str) -> Decimal:
        """How much of `asset` it holds."""
        return next((p.amount for p in self.positions if p.asset == asset), ZERO)


def stranded(start: str, fills: Iterable[Fill]) -> Stranded:
    """What `fills`, in the order of their orders, came to.

    A trade takes from the cost of what it gives the part that it gives, and passes it on to what it brings. Fees in other
    assets than these two cost nothing here; they are on the execution's record.
    """
    amounts: dict[str, Decimal] = {}
    costs: dict[str, Fraction] = {}
    lost = Fraction(0)
    for fill in fills:
        changes = fill.changes()
        buys = fill.side == Side.BUY
        given, received = (fill.quote, fill.base) if buys else (fill.base, fill.quote)
        spent, brought = -changes[given], changes[received]
        if given == start:
            cost = Fraction(spent)
        else:
            held = amounts.get(given, ZERO)
            share = min(Fraction(1), Fraction(spent) / Fraction(held)) if held > 0 else Fraction(1)
            cost = costs.get(given, Fraction(0)) * share
            costs[given] = costs.get(given, Fraction(0)) - cost
        if received == start:
            lost += cost - Fraction(brought)
        else:
            costs[received] = costs.get(received, Fraction(0)) + cost
        with arithmetic():
            for asset, change in changes.items():
                amounts[asset] = amounts.get(asset, ZERO) + change
    positions = [
        Position(asset, amount, costs.get(asset, Fraction(0)))
        for asset, amount in amounts.items()
        if asset != start and amount > 0
    ]
    return Stranded(tuple(sorted(positions, key=lambda p: (-p.cost, p.asset))), lost)


def worth_reading(plan: Plan, rates: RateView, now: Stranded, *, widely: bool) -> tuple[str, ...]:
    """The markets whose books tell the ways back: the plan's, and those that join the start directly.

    Args:
        plan: what is carried out.
        rates: the whole market as it stood when it was planned.
        now: what it holds.
        widely: whether also to read the markets of the route that was best then.
    """
    symbols = dict.fromkeys(leg.market.symbol for leg in plan.legs)
    for position in now.positions:
        for symbol in rates.by_asset.get(position.asset, ()):
            market = rates.markets[symbol]
            if plan.start in (market.base, market.quote) and market.active:
                symbols[symbol] = None
        if widely:
            route = route_of(rates, position, plan.start, 2, ignore_sizes=True)
            if isinstance(route, Route):
                symbols.update((leg.market.symbol, None) for leg in route.legs)
    return tuple(symbols)


def route_of(
    rates: RateView,
    position: Position,
    start: str,
    max_legs: int,
    *,
    books: Mapping[str, OrderBook] | None = None,
    ignore_sizes: bool = False,
) -> Route | Refused:
    """The best way from `position` to `start`, as far as it can be an order at all."""
    amount = round_down(position.amount, _FINEST)
    if not amount:
        return Refused("route.below_minimum", f"{position.asset}: {position.amount} is nothing")
    return best_route(
        rates,
        position.asset,
        start,
        amount,
        books=books,
        max_legs=max_legs,
        ignore_sizes=ignore_sizes,
    )


def fresh_view(plan: Plan, rates: RateView, symbols: Iterable[str]) -> RateView:
    """`symbols` with their markets and fees and without quotes, so that only books count.

    A market's steps and limits are those of `rates` where it knows it, since they may have changed under a plan; its fee
    is the plan's, which was asked for by name.
    """
    legs = {leg.market.symbol: leg for leg in plan.legs}
    markets, fees = {}, {}
    by_asset: dict[str, tuple[str, ...]] = {}
    for symbol in symbols:
        leg = legs.get(symbol)
        market = rates.markets.get(symbol) or (leg.market if leg else None)
        fee = leg.fee if leg else rates.fees.get(symbol)
        if market is not None and fee is not None:
            markets[symbol], fees[symbol] = market, fee
            for asset in (market.base, market.quote):
                by_asset[asset] = (*by_asset.get(asset, ()), symbol)
    return RateView(markets, {}, fees, by_asset)


def without(view: RateView, symbols: Iterable[str]) -> RateView:
    """`view` without the markets `symbols`."""
    gone = set(symbols)
    by_asset = {
        asset: tuple(symbol for symbol in joined if symbol not in gone)
        for asset, joined in view.by_asset.items()
    }
    return attrs.evolve(view, by_asset=by_asset)


def off_course(
    plan: Plan,
    number: int,
    amount: Decimal,
    now: Stranded,
    *,
    books: Mapping[str, OrderBook],
    view: RateView,
    policy: Unwinding,
) -> Refused | None:
    """Why leg `number` of the plan, counted from 0, should not be sent on these books; None where it should.

    It should where its book shows something within its limit (all of it, if it fills whole or not at all), and where the
    best way to the start, for as much as that is, begins with it. Where a book of the legs ahead is missing it is sent all the same: its limit
    bounds it.

    Refused: ``leg.price_gone``, ``leg.better_way``, or why there is no way to the start at all.
    """
    leg = plan.legs[number]
    symbol = leg.market.symbol
    ahead = {leg.market.symbol for leg in plan.legs[number:]}
    if ahead - books.keys() or policy.way is Way.HOLD:
        return None
    levels = books[symbol].against(leg.side)
    with arithmetic():
        shown = sum((level.amount for level in levels if _within(leg, level.price)), ZERO)
    whole = leg.time_in_force == TimeInForce.FOK
    if not shown or (whole and shown < amount):
        return Refused(
            "leg.price_gone",
            f"{symbol} shows {plain(shown)} of {plain(amount)} within {plain(leg.limit_price)}",
            {"symbol": symbol, "shown": shown, "amount": amount, "limit": leg.limit_price},
        )
    if policy.way is Way.FORWARD:
        return None
    with arithmetic():  # more of it is not to be had here, and is turned back afterwards
        spends = min(amount, shown) * unit_given(leg.side, leg.limit_price, leg.fee)
        held = min(now.held(leg.given_asset), spends)
    position = Position(leg.given_asset, held, Fraction(0))
    route = route_of(view, position, plan.start, policy.max_legs, books=books)
    if isinstance(route, Refused):
        return route
    first = route.legs[0]
    if (first.market.symbol, first.side) == (symbol, leg.side):
        return None
    return Refused(
        "leg.better_way",
        f"{first.side} {first.market.symbol} now brings more {plan.start} than {leg.side} {symbol}",
        {"symbol": symbol, "instead": first.market.symbol},
    )


def _within(leg: PlannedLeg, price: Decimal) -> bool:
    return price <= leg.limit_price if leg.side == Side.BUY else price >= leg.limit_price


def next_trade(
    plan: Plan,
    now: Stranded,
    books: Mapping[str, OrderBook],
    view: RateView,
    policy: Unwinding,
) -> PlannedLeg | Refused:
    """The next trade towards the start: the first of the best route of the dearest position that has one in budget.

    Refused: ``unwind.hold``; ``unwind.budget``; else why the dearest position has no route.
    """
    if policy.way is Way.HOLD:
        return Refused("unwind.hold", "what is stranded is held, as the policy says")
    refusals: list[Refused] = []
    for position in now.positions:
        allowed = _forward(plan, view, position.asset) if policy.way is Way.FORWARD else view
        route = route_of(allowed, position, plan.start, policy.max_legs, books=books)
        if isinstance(route, Refused):
            refusals.append(route)
            continue
        first = route.legs[0]
        share = Fraction(first.given) / Fraction(position.amount)
        loss = now.lost + position.cost * share - Fraction(route.brought)
        if loss <= Fraction(policy.budget(plan)):
            return first
        refusals.append(_beyond(plan, position, loss, policy))
    return first_lasting(refusals)


def _beyond(plan: Plan, position: Position, loss: Fraction, policy: Unwinding) -> Refused:
    budget, loss_now = policy.budget(plan), to_decimal(loss)
    return Refused(
        "unwind.budget",
        f"turning {plain(position.amount)} {position.asset} back now would make the loss "
        f"{plain(loss_now)} {plan.start}, beyond {plain(budget)}",
        {"asset": position.asset, "loss": loss_now, "budget": budget},
    )


def first_lasting(refusals: Sequence[Refused]) -> Refused:
    """The reason that time can mend, if there is one."""
    lasting = [refused for refused in refusals if refused.code not in DUST]
    return (lasting or refusals or [Refused("unwind.done", "nothing is stranded")])[0]


def _forward(plan: Plan, view: RateView, asset: str) -> RateView:
    """`view` with the plan's markets from `asset` on alone."""
    given = [leg.given_asset for leg in plan.legs]
    ahead = plan.legs[given.index(asset) :] if asset in given else ()
    return fresh_view(plan, view, [leg.market.symbol for leg in ahead])
