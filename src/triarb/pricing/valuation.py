"""Valuation: what an amount is worth in another asset, by declared markets only, so that one junk quote moves nothing."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.clock import NS_PER_MS, iso
from triarb.exceptions import UsageError
from triarb.model import Market, OrderBook, RateView, Refused, Side, gross_rate
from triarb.money import ZERO, Money, arithmetic, as_money, plain

PLACES: Final = 18
"""The decimals that a worth is rounded down to."""


@attrs.frozen
class ReferencePrice:
    """One declared market as a valuation went over it.

    Attributes:
        side: sell where its base is valued, at the bid; buy where its quote is, at the ask.
        price: the worst price that it takes to trade the least depth.
        received_ns: when its quote or book was received.
    """

    symbol: str
    side: Side
    price: Decimal
    received_ns: int

    def __str__(self) -> str:
        which = "ask" if self.side == Side.BUY else "bid"
        return f"{self.symbol} at its {which} of {plain(self.price)}"


@attrs.frozen
class Value:
    """What an amount is worth, and how that is known.

    Attributes:
        of: what was valued.
        worth: the same in the other asset, rounded down at 18 decimals.
        ratio: units of the other asset for one unit; exact.
        route: the declared markets that it was valued over; none where both assets are the same.
        as_of_ns: when the oldest price of the route was received; where there is none, the moment asked about.
    """

    of: Money
    worth: Money
    ratio: Fraction
    route: tuple[ReferencePrice, ...]
    as_of_ns: int

    def __str__(self) -> str:
        over = "".join(f", over {step}" for step in self.route)
        return f"{self.of} is worth {self.worth}{over}, as of {iso(self.as_of_ns)}"


def _as_symbols(value: Collection[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise UsageError(f"{value!r} is one text, not symbols", hint=f"write [{value!r}]")
    return tuple(dict.fromkeys(value))


def _as_floors(value: str | Money | Iterable[str | Money]) -> dict[str, Decimal]:
    told = [value] if isinstance(value, str | Money) else list(value)
    floors = {}
    for money in map(as_money, told):
        if money.amount <= 0 or money.currency in floors:
            raise UsageError(
                f"min_depth has {money}",
                hint="one amount above zero for each asset, such as 500 USDT",
            )
        floors[money.currency] = money.amount
    return floors


@attrs.frozen
class Valuation:
    """The markets by which things are valued, and what their prices must hold to for that.

    A worth is a mark: before fees and steps, at the side that a trade would take, and at the worst price that it takes
    there to trade the least depth, whatever amount is valued. What a conversion really brings is `best_route`'s answer.

    >>> Valuation(["BTC/USDT"], min_depth="5000 USDT", max_age_ms=60_000).min_depth
    {'USDT': Decimal('5000')}

    Attributes:
        references: the symbols of the declared markets; of equally long routes, one over earlier symbols comes first.
        min_depth: by asset, how much a market that trades it must show on the side taken; given as amounts of money.
        max_age_ms: how old its quote, or its book, may be.
        max_legs: the most markets of a route.
    """

    references: tuple[str, ...] = attrs.field(converter=_as_symbols)
    min_depth: Mapping[str, Decimal] = attrs.field(converter=_as_floors, kw_only=True)
    max_age_ms: int = attrs.field(kw_only=True)
    max_legs: int = attrs.field(default=3, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.max_age_ms <= 0 or self.max_legs < 1:
            raise UsageError(
                f"max_age_ms is {self.max_age_ms}, max_legs is {self.max_legs}",
                hint="both must be above zero",
            )

    def value(
        self,
        amount: str | Money,
        currency: str,
        rates: RateView,
        now_ns: int,
        books: Mapping[str, OrderBook] | None = None,
    ) -> Value | Refused:
        """What `amount` is worth in `currency` at `now_ns`, over the first route whose every market holds to the floors.

        Routes of fewest markets come first. A market that has a book among `books` is valued by its levels, any other
        by the best of its quote.

        Refused: ``value.no_reference`` where no route of declared markets leads there; else why the first of them does
        not hold: ``value.no_quote``, ``value.stale`` (also from the future), ``value.too_thin``, ``value.no_floor``
        (no least depth is declared for either asset of a market).

        Raises:
            UsageError: `amount` is not an amount of money, or negative.
        """
        of = as_money(amount)
        if of.amount < 0:
            raise UsageError(f"{of} is negative", hint="value what is held, not what is owed")
        refusal: Refused | None = None
        for route in self._routes(rates, of.currency, currency):
            prices = self._prices(route, rates, now_ns, books or {})
            if not isinstance(prices, Refused):
                return _valued(of, currency, prices, now_ns)
            refusal = refusal or prices
        return refusal or Refused(
            "value.no_reference",
            f"no route of declared markets leads from {of.currency} to {currency}",
            {"asset": of.currency, "currency": currency, "references": ", ".join(self.references)},
        )

    def _routes(
        self, rates: RateView, asset: str, currency: str
    ) -> Iterator[tuple[tuple[str, Side], ...]]:
        """All paths over distinct assets, the shortest first, then in the order of the declared symbols."""
        paths: list[tuple[tuple[tuple[str, Side], ...], tuple[str, ...]]] = [((), (asset,))]
        for _ in range(self.max_legs + 1):
            longer = []
            for path, assets in paths:
                if assets[-1] == currency:
                    yield path
                    continue
                for symbol in self.references:
                    market = rates.markets.get(symbol)
                    if market is None or assets[-1] not in (market.base, market.quote):
                        continue
                    side = Side.SELL if market.base == assets[-1] else Side.BUY
                    if market.received(side) not in assets:
                        longer.append(((*path, (symbol, side)), (*assets, market.received(side))))
            paths = longer

    def _prices(
        self,
        route: tuple[tuple[str, Side], ...],
        rates: RateView,
        now_ns: int,
        books: Mapping[str, OrderBook],
    ) -> tuple[ReferencePrice, ...] | Refused:
        prices = []
        for symbol, side in route:
            price = self._price(rates.markets[symbol], side, _shown(symbol, rates, books), now_ns)
            if isinstance(price, Refused):
                return price
            prices.append(price)
        return tuple(prices)

    def _price(
        self, market: Market, side: Side, book: OrderBook | None, now_ns: int
    ) -> ReferencePrice | Refused:
        symbol = market.symbol
        if book is None:
            return Refused(
                "value.no_quote", f"{symbol} has no price to value by", {"symbol": symbol}
            )
        age_ms = Fraction(now_ns - book.received_ns, NS_PER_MS)
        if not 0 <= age_ms <= self.max_age_ms:
            return Refused(
                "value.stale",
                f"the price of {symbol} is {float(age_ms):.0f} ms old",
                {"symbol": symbol, "age_ms": float(age_ms), "max_age_ms": self.max_age_ms},
            )
        floors = {a: self.min_depth[a] for a in (market.base, market.quote) if a in self.min_depth}
        if not floors:
            return Refused(
                "value.no_floor",
                f"no least depth is declared for {market.base} or {market.quote}",
                {"symbol": symbol},
            )
        shown = {market.base: ZERO, market.quote: ZERO}
        with arithmetic():
            for level in book.against(side):
                shown[market.base] += level.amount
                shown[market.quote] += level.amount * level.price
                if all(shown[asset] >= floor for asset, floor in floors.items()):
                    return ReferencePrice(symbol, side, level.price, book.received_ns)
        asset, floor = next((a, f) for a, f in floors.items() if shown[a] < f)
        return Refused(
            "value.too_thin",
            f"{symbol} shows {plain(shown[asset])} {asset} to {side}, of at least {plain(floor)}",
            {"symbol": symbol, "asset": asset, "shown": shown[asset], "min_depth": floor},
        )


def _shown(symbol: str, rates: RateView, books: Mapping[str, OrderBook]) -> OrderBook | None:
    """What an open market shows; None where that cannot be traded on."""
    book, quote = books.get(symbol), rates.quotes.get(symbol)
    if not rates.markets[symbol].active:
        return None
    if book is not None:
        return None if book.fault() else book
    return None if quote is None or quote.fault() else OrderBook.from_quote(quote)


def _valued(of: Money, currency: str, route: tuple[ReferencePrice, ...], now_ns: int) -> Value:
    ratio = Fraction(1)
    for step in route:
        ratio *= gross_rate(step.side, step.price)
    worth = Decimal(f"{Fraction(of.amount) * ratio * 10**PLACES // 1}E-{PLACES}")
    as_of_ns = min((step.received_ns for step in route), default=now_ns)
    return Value(of, Money(worth, currency), ratio, route, as_of_ns)
