"""Sweeping: what executions left in other assets is turned back into one, where a market takes it."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import attrs

from triarb.engine.feed import Feed
from triarb.exceptions import GatewayError
from triarb.gateways.gateway import MarketData
from triarb.model import Execution, OrderBook, Plan, Portfolio, RateView, Refused
from triarb.money import ZERO, plain, round_down
from triarb.pricing import Route, best_route

MAX_LEGS: Final = 3
"""The most trades of a way back."""

_FINEST: Final = Decimal("1e-12")
"""Finer than any market's step: what is left beyond it can be no order."""


@attrs.frozen
class Sweep:
    """What turning left-overs back comes to.

    Attributes:
        to: the asset that they are turned into.
        routes: the way of each that a market takes, on books that were just read.
        stays: why the others stay as they are, by asset.
        executions: what was carried out; empty where it was only planned.
        refused: why nothing may be traded now; None where it may.
    """

    to: str
    routes: tuple[Route, ...] = ()
    stays: Mapping[str, Refused] = attrs.field(factory=dict)
    executions: tuple[Execution, ...] = ()
    refused: Refused | None = None

    def __str__(self) -> str:
        lines = [str(route) for route in self.routes]
        lines += [f"{asset} stays: {refused}" for asset, refused in self.stays.items()]
        lines += [
            f"execution {one.number}: {one.outcome}, it brought {plain(one.result)} {self.to}"
            for one in self.executions
        ]
        if self.refused is not None:
            lines.append(str(self.refused))
        return "\n".join(lines) or "nothing is left in other assets"

    def to_dict(self) -> dict[str, Any]:
        """For JSON: amounts as strings."""
        return {
            "to": self.to,
            "routes": [
                {
                    "asset": route.give,
                    "amount": plain(route.amount),
                    "brings": plain(route.brought),
                    "orders": [
                        {
                            "symbol": leg.market.symbol,
                            "side": str(leg.side),
                            "amount": plain(leg.amount),
                            "price": plain(leg.limit_price),
                        }
                        for leg in route.legs
                    ],
                    "left": {asset: plain(amount) for asset, amount in route.left.items()},
                }
                for route in self.routes
            ],
            "stays": {asset: refused.code for asset, refused in self.stays.items()},
            "executions": {
                str(one.number): {"outcome": str(one.outcome), "result": plain(one.result)}
                for one in self.executions
            },
            "refused": None if self.refused is None else self.refused.code,
        }


def left_overs(portfolio: Portfolio, to: str) -> dict[str, Decimal]:
    """What executions left in other assets than `to`, as far as it is there and nothing has it reserved."""
    amounts = {
        asset: round_down(min(amount, portfolio.free(asset)), _FINEST)
        for asset, amount in sorted(portfolio.residues.items())
        if asset != to
    }
    return {asset: amount for asset, amount in amounts.items() if amount > 0}


async def way_back(
    feed: Feed, gateway: MarketData, asset: str, amount: Decimal, to: str
) -> Route | Refused:
    """The route that brings most of `to` for `amount` of `asset` on books that are read now.

    Over the markets that join the two, and those of the route that is best by the quotes. Refused: as `best_route`, or
    ``fees.unavailable``.
    """
    view = feed.rates.view()
    direct = [s for s in view.by_asset.get(asset, ()) if _joins(view, s, asset, to)]
    likely = best_route(view, asset, to, amount, max_legs=MAX_LEGS, ignore_sizes=True)
    ahead = [leg.market.symbol for leg in likely.legs] if isinstance(likely, Route) else []
    symbols = list(dict.fromkeys([*direct, *ahead]))
    try:
        fees = await feed.fees_of(symbols)
    except GatewayError as error:
        return Refused("fees.unavailable", str(error), {"asset": asset})
    answers = await asyncio.gather(*(_book(gateway, symbol) for symbol in symbols))
    books = {s: book for s, book in zip(symbols, answers, strict=True) if book is not None}
    known = {s: fee for s in books if (fee := fees.fee(s)) is not None}
    markets = {s: view.markets[s] for s in known}
    by_asset: dict[str, tuple[str, ...]] = {}
    for symbol, market in markets.items():
        for joined in (market.base, market.quote):
            by_asset[joined] = (*by_asset.get(joined, ()), symbol)
    fresh = RateView(markets, {}, known, by_asset)
    return best_route(fresh, asset, to, amount, books=books, max_legs=MAX_LEGS)


def sweep_plan(route: Route, now_ns: int) -> Plan:
    """The plan of a route: what it gives counts as nothing, as it did when it was left."""
    legs = route.legs
    path = [route.give, *(leg.received_asset for leg in legs)]
    return Plan(
        f"sweep {'>'.join(path)}",
        route.get,
        legs,
        expected_result=route.brought,
        worst_result=legs[-1].worst_received,
        stranded_losses=tuple(ZERO for _ in legs[1:]),
        gap_bps=ZERO,
        decided_ns=now_ns,
    )


def _joins(view: RateView, symbol: str, one: str, other: str) -> bool:
    market = view.markets[symbol]
    return market.active and {market.base, market.quote} == {one, other}


async def _book(gateway: MarketData, symbol: str) -> OrderBook | None:
    try:
        return await gateway.order_book(symbol)
    except GatewayError:
        return None
