"""What can be scanned: a snapshot, a snapshot file, or a live exchange by its id."""

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs

from triarb.market.fees import FeeSchedule
from triarb.market.snapshot import Snapshot
from triarb.model import Quote


@attrs.frozen
class Loaded:
    """A snapshot with what it takes to judge it.

    Attributes:
        fees: the user's word on fees; without it, what is known of them.
        refused: markets that made no sense before they became a market, by code.
    """

    snapshot: Snapshot
    fees: FeeSchedule
    refused: Counter[str] = attrs.field(factory=Counter)


def load(
    source: "str | os.PathLike[str] | Snapshot", override: FeeSchedule | None = None
) -> Loaded:
    """Read `source`: a Snapshot; a path, when it looks like one or a file is there; else an exchange's id.

    With `override`, the user's word on fees, nobody else is asked for them.

    Raises:
        SourceError: there is no such file or exchange, or it cannot be read.
        GatewayError: the exchange did not answer, or answered nonsense.
    """
    if isinstance(source, Snapshot):
        return _from_snapshot(source, override)
    if not isinstance(source, str) or _is_path(source):
        return _from_snapshot(Snapshot.load(Path(source)), override)
    return _in_a_thread_of_its_own(_fetch(source, override))


def _is_path(source: str) -> bool:
    path = Path(source)
    return path.suffix != "" or path.name != source or os.path.isfile(source)  # noqa: PTH113 - no OSError


def _from_snapshot(snapshot: Snapshot, override: FeeSchedule | None) -> Loaded:
    if override is not None:
        return Loaded(snapshot, override)
    fees = snapshot.fees()
    if fees.otherwise is None and any(market.taker is None for market in snapshot.markets):
        from triarb.gateways.ccxt import published_taker_fee  # noqa: PLC0415 - imports ccxt

        fees = attrs.evolve(fees, otherwise=published_taker_fee(snapshot.exchange))
    return Loaded(snapshot, fees)


async def _fetch(exchange: str, override: FeeSchedule | None) -> Loaded:
    from triarb.gateways.ccxt import CcxtGateway, default_ban_file  # noqa: PLC0415 - imports ccxt

    async with CcxtGateway(exchange, ban_file=default_ban_file(exchange)) as gateway:
        markets = await gateway.markets()
        fees = override or await gateway.fees()
        quotes = {}
        async for batch in gateway.quotes():
            quotes = {change.symbol: change for change in batch if isinstance(change, Quote)}
            break
        missing = [Quote(m.symbol, None, None) for m in markets if m.symbol not in quotes]
        snapshot = Snapshot(
            exchange,
            gateway.clock.now_ns(),
            tuple(markets),
            (*(quotes[m.symbol] for m in markets if m.symbol in quotes), *missing),
            source="ccxt",
        )
        return Loaded(snapshot, fees, Counter({"market.malformed": len(gateway.malformed)}))


def _in_a_thread_of_its_own(work: Coroutine[Any, Any, Loaded]) -> Loaded:
    """Run `work` to its end, also where this thread has a running event loop, as in a notebook."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result()
