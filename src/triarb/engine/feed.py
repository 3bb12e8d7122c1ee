"""The market as the engine sees it: fees and rates, brought up to date batch by batch."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import attrs

from triarb.gateways.gateway import ExchangeGateway
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import Quote, Withdrawn


@attrs.define
class Feed:
    """A gateway's quotes, taken into a rate table.

    Attributes:
        fees: the account's fees, read once.
        rates: as they stand after the last batch.
    """

    fees: FeeSchedule
    rates: RateTable
    _batches: AsyncIterator[Sequence[Quote | Withdrawn]]

    @classmethod
    async def open(cls, gateway: ExchangeGateway) -> "Feed":
        """Read the fees and the markets, and begin to listen."""
        fees = await gateway.fees()
        return cls(fees, RateTable(await gateway.markets(), fees), gateway.quotes())

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
        for change in changes:
            self.rates.update(change)
        return len(changes)
