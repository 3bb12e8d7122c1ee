"""The market as the engine sees it: fees and rates, brought up to date batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import GatewayError
from triarb.gateways.gateway import ExchangeGateway, Refreshable
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import (
    Cycle,
    Execution,
    Fee,
    Market,
    OrderBook,
    OrderOutcome,
    Provenance,
    Quote,
    Refused,
    Withdrawn,
)

MARKETS_NS: Final = 3600 * NS_PER_SECOND
"""How old the markets may become until they are read again."""


@attrs.define
class Feed:
    """A gateway's quotes, taken into a rate table.

    Attributes:
        fees: what was known of fees before any market was nominated; the rates are net of them.
        rates: as they stand after the last batch.
    """

    fees: FeeSchedule
    rates: RateTable
    _gateway: ExchangeGateway
    _batches: AsyncIterator[Sequence[Quote | Withdrawn]]
    _asked: dict[str, Fee | None] = attrs.field(factory=dict)
    _read_ns: int = attrs.field(init=False)
    _doubted: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._read_ns = self._gateway.clock.now_ns()

    @classmethod
    async def open(cls, gateway: ExchangeGateway) -> "Feed":
        """Read the fees and the markets, and begin to listen."""
        fees = await gateway.fees()
        rates = RateTable(await gateway.markets(), fees)
        return cls(fees, rates, gateway, gateway.quotes())

    async def fees_of(self, symbols: Iterable[str]) -> FeeSchedule:
        """The fees of nominated markets: a published one, or one with a token, is asked for by name once.

        Raises:
            GatewayError: the exchange did not say.
        """
        wanted = list(symbols)
        vague = [symbol for symbol in wanted if self._is_vague(symbol)]
        if vague:
            told = await self._gateway.fees(vague)
            self._asked.update((symbol, told.fee(symbol)) for symbol in vague)
        known = {symbol: self._asked.get(symbol) or self.fees.fee(symbol) for symbol in wanted}
        return FeeSchedule({symbol: fee for symbol, fee in known.items() if fee is not None})

    async def books_of(self, cycle: Cycle) -> Mapping[str, OrderBook] | Refused:
        """The books of its markets, read now."""
        symbols = [leg.market.symbol for leg in cycle.legs]
        try:
            books = await asyncio.gather(*(self._gateway.order_book(symbol) for symbol in symbols))
        except GatewayError as error:
            return Refused("book.unavailable", str(error), {"cycle": cycle.id})
        return dict(zip(symbols, books, strict=True))

    def _is_vague(self, symbol: str) -> bool:
        if symbol in self._asked:
            return False
        fee = self.fees.fee(symbol)
        if fee is None or fee.provenance is Provenance.SCHEDULE:
            return True
        return fee.provenance is Provenance.ACCOUNT and fee.token is not None

    async def reread(self) -> Mapping[str, Market]:
        """The markets as the exchange lists them now, by symbol; what is not listed any more is inactive.

        The rates have them from now on. Where the exchange does not say, they stay as they were.
        """
        self._read_ns, self._doubted = self._gateway.clock.now_ns(), False
        known = self.rates.view()
        try:
            if isinstance(self._gateway, Refreshable):
                await self._gateway.refresh()
            listed = {market.symbol: market for market in await self._gateway.markets()}
        except GatewayError:
            return known.markets
        gone = {s: attrs.evolve(m, active=False) for s, m in known.markets.items()}
        markets = {**gone, **listed}
        if markets != dict(known.markets):
            self.rates = RateTable(markets.values(), self.fees, self.rates.view().quotes.values())
        return markets

    def heed(self, execution: Execution) -> None:
        """Doubt the markets where an order of `execution` was rejected: the next batch finds them read again."""
        orders = (*execution.legs, *execution.further)
        self._doubted |= any(result.outcome is OrderOutcome.REJECTED for result in orders)

    async def advance(self, stop: asyncio.Event) -> int | None:
        """Wait for the next batch and take it in.

        Returns:
            How many changes it held; None when there are no more, or `stop` was set first.
        """
        batch = asyncio.ensure_future(anext(self._batches, None))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({batch, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not batch.done():
                batch.cancel()
                await asyncio.gather(batch, return_exceptions=True)
        changes = None if batch.cancelled() else batch.result()
        if changes is None:
            return None
        if self._doubted or self._gateway.clock.now_ns() >= self._read_ns + MARKETS_NS:
            await self.reread()
        for change in changes:
            self.rates.update(change)
        return len(changes)
