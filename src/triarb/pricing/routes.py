"""best_route: how to turn an exact amount of one asset into most of another, by a few trades over the same graph."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.exceptions import UsageError
from triarb.model import Leg, Level, Market, OrderBook, PlannedLeg, RateView, Refused, Side
from triarb.money import (
    BPS,
    ONE,
    ZERO,
    arithmetic,
    as_gap,
    parse_decimal,
    plain,
    round_down,
    round_up,
)
from triarb.pricing.legs import (
    allowed,
    least_amount,
    most_amount,
    off_tick,
    planned,
    step_of,
    unit_given,
    unit_received,
)

MAX_LEGS: Final = 8
"""The most trades that a route may be asked for."""

_UP: Final = Context(prec=30, rounding=ROUND_CEILING, Emin=-9999, Emax=9999)
"""For bounds: what it rounds is never less than the exact number."""

_ANY: Final = Decimal("1E+60")
"""More than any amount of money."""


@attrs.frozen
class Route:
    """A conversion, trade by trade; each spends at most what the one before it brings.

    Attributes:
        give: the asset to be converted.
        get: the asset wanted.
        amount: how much of `give` there is.
        legs: the trades, in order, over distinct assets.
        left: by asset, what is not spent: what whole steps, maximums and the books leave over.
        unsized: the symbols of its markets whose price was taken for any amount, because sizes were to be ignored.
    """

    give: str
    get: str
    amount: Decimal
    legs: tuple[PlannedLeg, ...]
    left: Mapping[str, Decimal]
    unsized: tuple[str, ...] = ()

    @property
    def brought(self) -> Decimal:
        """How much of `get` the last trade brings, fees taken off."""
        return self.legs[-1].received

    def __str__(self) -> str:
        trades = ", ".join(
            f"{leg.side} {plain(leg.amount)} {leg.market.symbol} at {plain(leg.limit_price)}"
            for leg in self.legs
        )
        left = ", ".join(f"{plain(amount)} {asset}" for asset, amount in self.left.items())
        unsized = ", ".join(self.unsized)
        return (
            f"{trades}: {plain(self.amount)} {self.give} brings {plain(self.brought)} {self.get}"
            + (f", left over {left}" if left else "")
            + (f"; sizes ignored on {unsized}" if unsized else "")
        )


def best_route(
    rates: RateView,
    give: str,
    get: str,
    amount: str | int | Decimal,
    *,
    books: Mapping[str, OrderBook] | None = None,
    max_legs: int = 3,
    ignore_sizes: bool = False,
    gap_bps: Decimal = ZERO,
) -> Route | Refused:
    """The route over distinct assets that brings most of `get` for at most `amount` of `give`; exact.

    Every trade is the largest that its market takes and that what arrives pays for at the limit price it then needs: in
    whole steps, within minimums and maximums, through the levels that are shown, its full fee included. More never brings
    less later on, so that no other amounts can bring more over the same markets. Where the markets take less than there
    is, the earlier trades are made as small as the later ones let them, so that the rest is left over in `give`, and
    the route tells. Of routes that bring the same, that of fewest trades, then by symbols.

    A route is not looked into where even the best prices of what lies ahead, without any rounding, could not bring as
    much as the best route so far.

    Args:
        rates: all markets, with their quotes and fees.
        give: the asset to be converted.
        get: the asset wanted.
        amount: how much of `give` there is.
        books: by symbol; a market that has one trades through its levels, any other at the shown size of its quote.
        max_legs: the most trades, 1 to 8.
        ignore_sizes: take a quote for any amount (books are still what they show); the route tells of which markets.
        gap_bps: how much worse than shown every price is taken to be, rounded against us to the market's ticks.

    Refused: ``route.none`` where no path of markets leads there; else why the path of best prices cannot be taken:
    ``route.below_minimum``, ``route.no_depth``, ``market.off_tick``.

    Raises:
        UsageError: `amount` is no number above zero, `max_legs` or `gap_bps` is out of range, or both assets are the
            same.
    """
    try:
        budget = parse_decimal(amount)
    except ValueError as error:
        raise UsageError(f"amount: {error}", hint="give an exact number, as text") from None
    if budget <= 0:
        raise UsageError(f"amount is {plain(budget)}", hint="it must be above zero")
    if max_legs not in range(1, MAX_LEGS + 1):
        raise UsageError(f"max_legs is {max_legs!r}", hint=f"a whole number, 1 to {MAX_LEGS}")
    if give == get:
        raise UsageError(f"{give} is to be turned into {get}", hint="name two assets")
    search = RouteSearch(
        rates, books or {}, get, int(max_legs), ignore_sizes=ignore_sizes, gap_bps=as_gap(gap_bps)
    )
    if not search.find(give, budget):
        return search.refusal or Refused(
            "route.none",
            f"no {max_legs} trades or fewer lead from {give} to {get}",
            {"give": give, "get": get, "max_legs": max_legs},
        )
    legs = search.trimmed()
    return Route(
        give,
        get,
        budget,
        legs,
        _left_over(budget, legs),
        tuple(leg.market.symbol for leg in legs if leg.market.symbol in search.unsized),
    )


def _left_over(budget: Decimal, legs: tuple[PlannedLeg, ...]) -> dict[str, Decimal]:
    left = {}
    arrived = budget
    with arithmetic():
        for leg in legs:
            if arrived != leg.given:
                left[leg.given_asset] = arrived - leg.given
            arrived = leg.received
    return left


@attrs.frozen
class _Offer:
    """One way to trade one market.

    Attributes:
        leg: at the best price that is shown.
        levels: best first; none where no size is told.
        ratio: at least what one unit given brings, at any amount.
    """

    leg: Leg
    levels: tuple[Level, ...]
    ratio: Decimal


_Path = tuple[tuple[_Offer, PlannedLeg], ...]


class RouteSearch:
    """The walk over all paths to one asset that could still be the best, for any number of conversions into it.

    Attributes:
        best: the trades of the best route that was found last.
        refusal: why the first path of that search, the one of best prices, could not be taken.
        unsized: the symbols of markets whose sizes are ignored.
    """

    def __init__(
        self,
        rates: RateView,
        books: Mapping[str, OrderBook],
        get: str,
        max_legs: int,
        *,
        ignore_sizes: bool,
        gap_bps: Decimal,
    ) -> None:
        self.best: _Path = ()
        self.refusal: Refused | None = None
        self.unsized: set[str] = set()
        self._rates, self._books, self._get = rates, books, get
        self._ignore_sizes = ignore_sizes
        with arithmetic():
            self._kept = ONE - gap_bps / BPS
        self._offers: dict[tuple[str, Side], _Offer | None] = {}
        self._reach = self._bounds(max_legs)

    def _clear(self) -> None:
        self.best, self.refusal = (), None

    def find(self, give: str, budget: Decimal) -> Decimal:
        """The most that `budget` of `give` can bring; 0 where no route can be taken."""
        self._clear()
        if budget > 0:
            self._extend(give, budget, (), frozenset((give,)))
        return ZERO if not self.best else self.best[-1][1].received

    def _bounds(self, max_legs: int) -> list[dict[str, Decimal]]:
        """By number of trades left: at least what one unit of each asset brings of the wanted one, rounding apart."""
        reach = [{self._get: ONE}]
        for _ in range(max_legs - 1):
            before, now = reach[-1], dict(reach[-1])
            for asset, value in before.items():
                for offer in self._into(asset):
                    bound = _UP.multiply(offer.ratio, value)
                    given = offer.leg.given
                    if given != self._get and bound > now.get(given, ZERO):
                        now[given] = bound
            reach.append(now)
        return reach

    def _extend(self, held: str, budget: Decimal, path: _Path, seen: frozenset[str]) -> None:
        """Try every way on from `held`, of which there are `budget`, the most promising first."""
        reach = self._reach[len(self._reach) - 1 - len(path)]
        ways = [
            (_UP.multiply(offer.ratio, reach[offer.leg.received]), offer)
            for offer in self._out_of(held)
            if offer.leg.received in reach and offer.leg.received not in seen
        ]
        ways.sort(key=lambda way: (-way[0], way[1].leg.market.symbol))
        for bound, offer in ways:
            if self.best and _UP.multiply(budget, bound) < self.best[-1][1].received:
                return
            trade = _largest(offer, budget)
            if isinstance(trade, Refused):
                self.refusal = self.refusal or trade
                continue
            longer, received = (*path, (offer, trade)), trade.received_asset
            if received != self._get:
                self._extend(received, trade.received, longer, seen | {received})
            elif not self.best or _rank(longer) < _rank(self.best):
                self.best = longer

    def trimmed(self) -> tuple[PlannedLeg, ...]:
        """The trades of the best route, each but the last as small as the one after it lets it be."""
        trades: list[PlannedLeg] = []
        for offer, trade in reversed(self.best):
            needed = Fraction(trades[-1].worst_given) if trades else Fraction(trade.received)
            trades.append(_smallest(offer, trade, needed))
        return tuple(reversed(trades))

    def _out_of(self, asset: str) -> list[_Offer]:
        markets = ((s, self._rates.markets[s]) for s in self._rates.by_asset.get(asset, ()))
        sides = ((s, Side.SELL if market.base == asset else Side.BUY) for s, market in markets)
        return [offer for s, side in sides if (offer := self._offer(s, side)) is not None]

    def _into(self, asset: str) -> list[_Offer]:
        markets = ((s, self._rates.markets[s]) for s in self._rates.by_asset.get(asset, ()))
        sides = ((s, Side.BUY if market.base == asset else Side.SELL) for s, market in markets)
        return [offer for s, side in sides if (offer := self._offer(s, side)) is not None]

    def _offer(self, symbol: str, side: Side) -> _Offer | None:
        key = (symbol, side)
        if key not in self._offers:
            self._offers[key] = self._made(symbol, side)
        return self._offers[key]

    def _made(self, symbol: str, side: Side) -> _Offer | None:
        market, fee = self._rates.markets[symbol], self._rates.fees.get(symbol)
        book, quote = self._books.get(symbol), self._rates.quotes.get(symbol)
        if fee is None or abs(fee.worst.rate) >= 1 or not market.active:
            return None
        fee = fee.worst
        if book is not None:
            levels = () if book.fault() else book.against(side)
        elif quote is None:
            return None
        elif self._ignore_sizes:
            self.unsized.add(symbol)
            levels = (Level(quote.price_for(side), _ANY),)
        else:  # of a size that is not told no level is known
            levels = OrderBook.from_quote(quote).against(side) or (
                Level(quote.price_for(side), ZERO),
            )
        if self._kept < 1:
            worse = (Level(self._worse(market, side, one.price), one.amount) for one in levels)
            levels = tuple(level for level in worse if level.price > 0)
        if not levels:
            return None
        price = levels[0].price
        ratio = _UP.divide(unit_received(side, price, fee), unit_given(side, price, fee))
        return _Offer(Leg(market, side, price, fee), levels, ratio)

    def _worse(self, market: Market, side: Side, price: Decimal) -> Decimal:
        """`price` after the gap, at least; 0 where nobody would trade."""
        if self._kept <= 0:
            return ZERO
        if side == Side.BUY:
            return round_up(_UP.divide(price, self._kept), market.price_tick)
        with arithmetic():
            return round_down(price * self._kept, market.price_tick)


def _rank(path: _Path) -> tuple[Decimal, int, tuple[str, ...]]:
    return -path[-1][1].received, len(path), tuple(leg.market.symbol for _, leg in path)


def _largest(offer: _Offer, budget: Decimal) -> PlannedLeg | Refused:
    """The largest trade of `offer` that `budget` pays for at its limit price and that its market takes."""
    leg, market, step = offer.leg, offer.leg.market, step_of(offer.leg.market)
    held = largest = first = ZERO  # `held` by the levels before
    with arithmetic():
        for level in offer.levels:
            pays = Fraction(budget) / Fraction(unit_given(leg.side, level.price, leg.fee))
            if pays <= Fraction(held):
                break
            most = most_amount(market, level.price)
            ends = [pays, Fraction(held + level.amount)]
            high = min(ends if most is None else [*ends, Fraction(most)])
            amount = Decimal(high // Fraction(step)) * step
            first = first or amount
            # Up to `held` the limit is a better price, which has its own minimum and maximum.
            if amount > held and allowed(market, level.price, amount) is None:
                largest = amount
            held += level.amount
    if largest:
        return planned(leg, offer.levels, largest)
    if not held:
        return Refused(
            "route.no_depth",
            f"{market.symbol} shows no size to {leg.side}",
            {"symbol": market.symbol},
        )
    least = least_amount(market, leg.price)
    return off_tick(market, leg.price) or Refused(
        "route.below_minimum",
        f"{market.symbol} takes at least {plain(least)} {market.base}, not the {plain(first)} "
        f"that {plain(budget)} {leg.given} come to",
        {"symbol": market.symbol, "amount": first, "least": least, "budget": budget},
    )


def _smallest(offer: _Offer, trade: PlannedLeg, needed: Fraction) -> PlannedLeg:
    """The smallest trade of `offer` that brings `needed`; `trade` brings that much."""
    leg, market, step = offer.leg, offer.leg.market, Fraction(step_of(offer.leg.market))
    held = brought = Fraction(0)  # by the levels before
    for level in offer.levels:
        unit = Fraction(unit_received(leg.side, level.price, leg.fee))
        enough = max(held + (needed - brought) / unit, Fraction(least_amount(market, level.price)))
        steps = max(-(-enough // step), held // step + 1)  # beyond `held`, or the limit were better
        held, brought = held + Fraction(level.amount), brought + unit * Fraction(level.amount)
        with arithmetic():
            amount = Decimal(steps) * step_of(market)
        if Fraction(amount) > held or amount >= trade.amount:
            continue
        smaller = planned(leg, offer.levels, amount)
        if not isinstance(smaller, Refused):
            return smaller
    return trade
