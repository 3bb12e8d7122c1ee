"""The market as the engine sees it: fees and rates, brought up to date batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import attrs

from triarb.clock import NS_PER_SECOND
from triarb.engine.lag import Lag
from triarb.exceptions import GatewayError
from triarb.gateways.gateway import ExchangeGateway
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

RULES_SECONDS: Final = 600
"""How often an exchange is asked whether the steps and limits of its markets are the same."""

DOUBT_SECONDS: Final = 60
"""How soon it is asked after it rejected an order."""


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
    _markets: tuple[Market, ...]
    _due_ns: int
    _asked: dict[str, Fee | None] = attrs.field(factory=dict)

    @classmethod
    async def open(cls, gateway: ExchangeGateway) -> "Feed":
        """Read the fees and the markets, and begin to listen."""
        fees = await gateway.fees()
        markets = tuple(await gateway.markets())
        due_ns = gateway.clock.now_ns() + RULES_SECONDS * NS_PER_SECOND
        return cls(fees, RateTable(markets, fees), gateway, gateway.quotes(), markets, due_ns)

    async def _renew(self) -> bool:
        """Begin anew where the markets' steps, limits or list are others by now; the exchange is asked from time to time.

        What cannot be read now is read a little later: until then the old ones count.
        """
        now_ns = self._gateway.clock.now_ns()
        if now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + RULES_SECONDS * NS_PER_SECOND
        try:
            markets = tuple(await self._gateway.markets())
            if markets == self._markets:
                return False
            fees = await self._gateway.fees()
        except GatewayError:
            self._due_ns = now_ns + DOUBT_SECONDS * NS_PER_SECOND
            return False
        self.fees, self.rates, self._markets = fees, RateTable(markets, fees), markets
        self._batches = self._gateway.quotes()
        self._asked.clear()
        return True

    async def reread(self) -> Mapping[str, Market]:
        """The markets now, by symbol, for an execution of which an order was rejected; others begin with the next batch.

        Raises:
            GatewayError: the exchange did not say.
        """
        markets = tuple(await self._gateway.markets())
        if markets != self._markets:
            self._due_ns = self._gateway.clock.now_ns()
        return {market.symbol: market for market in markets}

    def learn(self, execution: Execution) -> None:
        """Ask sooner where one of its orders was rejected: the rules may be others."""
        sent = (*execution.legs, *execution.further)
        if any(result.outcome is OrderOutcome.REJECTED for result in sent):
            soon_ns = self._gateway.clock.now_ns() + DOUBT_SECONDS * NS_PER_SECOND
            self._due_ns = min(self._due_ns, soon_ns)

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
        """The books of its markets, read now.

        Refused: ``book.unavailable``, or ``engine.blocked`` where an answer may have waited for the event loop.
        """
        symbols = [leg.market.symbol for leg in cycle.legs]
        try:
            with Lag(self._gateway.clock) as lag:
                read = (self._gateway.order_book(symbol) for symbol in symbols)
                books = await asyncio.gather(*read)
        except GatewayError as error:
            return Refused("book.unavailable", str(error), {"cycle": cycle.id})
        return lag.refused() or dict(zip(symbols, books, strict=True))

    def _is_vague(self, symbol: str) -> bool:
        if symbol in self._asked:
            return False
        fee = self.fees.fee(symbol)
        if fee is None or fee.provenance == Provenance.SCHEDULE:
            return True
        return fee.provenance == Provenance.ACCOUNT and fee.token is not None

    async def advance(self, stop: asyncio.Event) -> int | None:
        """Wait for the next batch and take it in; where the markets' rules are others by now, begin anew with them.

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
        if await self._renew():
            return await self.advance(stop)
        for change in changes:
            self.rates.update(change)
        return len(changes)
