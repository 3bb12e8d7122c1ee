"""ReplayGateway: a tape of quotes and simulated orders, in the tape's own time.

Time is the tape's: it moves to the next batch when somebody asks for quotes, and by as much as somebody sleeps. Whatever is due
by then is at once what the books show, and is delivered with the next batch of quotes, the latest of each market.
The same tape, asked the same, gives the same answers, byte for byte.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Self

import attrs

from triarb.clock import NS_PER_SECOND, Clock, ManualClock, SystemClock
from triarb.exceptions import GatewayUnavailable, SourceError, UsageError
from triarb.gateways.gateway import DEFAULT_DEPTH, MarketData
from triarb.gateways.paper import PaperGateway
from triarb.market.fees import FeeSchedule
from triarb.market.tape import Tape
from triarb.model import Market, OrderBook, Quote, Withdrawn


class ReplayGateway(PaperGateway):
    """A recorded market with a simulated account; see `PaperGateway` for what its orders do.

    A book is one level a side: the quote as it stands. Since a tape tells every change, a book is received when it is asked
    for, as it would be from an exchange, however long ago the quote last changed; a market whose quote was withdrawn has
    none. `quotes` ends where the tape does; the clock can go on.

    Args:
        tape: what is played; its first batch holds every market, and sets the clock.
        balances: what the account opens with, by asset, as text or Decimals.
        fees: what orders are charged; None takes what the tape says.
        latency_ms: how long an order takes to reach the exchange, in the tape's time.
        book_latency_ms: how long it takes to read a book, which shows what stands when it arrives; without it no
            opportunity is ever gone by the time its books are read.
        pace: tape seconds to a second of real time, for people who watch; None plays as fast as it can.

    Raises:
        UsageError: a balance, a latency or a pace that makes no sense.
        SourceError: the tape cannot be read, or its sizes are sums over several levels, so that orders would fill as they
            never could.
    """

    def __init__(
        self,
        tape: Tape,
        *,
        balances: Mapping[str, str | Decimal],
        fees: FeeSchedule | None = None,
        latency_ms: float = 50,
        book_latency_ms: float = 0,
        pace: float | None = None,
    ) -> None:
        if not (math.isfinite(book_latency_ms) and book_latency_ms >= 0):
            raise UsageError(f"a book latency of {book_latency_ms} ms cannot be", hint="such as 20")
        if pace is not None and not (math.isfinite(pace) and pace > 0):
            raise UsageError(f"a pace of {pace} cannot be", hint="1.0 is real time, None no wait")
        if tape.snapshot.volumes == "aggregate":
            raise SourceError(
                f"the sizes on this tape of {tape.exchange} are sums over several levels",
                code="source.aggregate_volumes",
                hint="replay one that has the sizes of the best level",
            )
        market = _TapeMarket(tape, pace)
        super().__init__(market, balances=balances, fees=fees, latency_ms=latency_ms)
        market.on_change.append(self._shown)
        self._book_latency_ms = book_latency_ms

    @property
    def mode(self) -> str:
        """``"replay"``."""
        return "replay"

    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:
        """The quote as it stands once the latency has passed, less what our simulated orders took of it.

        Raises:
            GatewayUnavailable: the tape shows no quote of that market then.
        """
        if self._book_latency_ms:
            await self.clock.sleep(self._book_latency_ms / 1000)
        return await super().order_book(symbol, depth)

    def _shown(self, change: Quote | Withdrawn) -> None:
        """Let our resting orders, and what is left of a level, follow every quote, also those that nobody asked for."""
        if self._matching is not None and isinstance(change, Quote):
            self._matching.set_book(OrderBook.from_quote(change))


class _TapeClock(ManualClock):
    """Tape time; with a pace, it does not run ahead of real time."""

    __slots__ = ("_pace", "_started_ns", "_wall", "_wall_started_ns")

    def __init__(self, now_ns: int, pace: float | None) -> None:
        super().__init__(now_ns)
        self._pace = pace
        self._wall: Clock = SystemClock()
        self._started_ns = now_ns
        self._wall_started_ns = self._wall.now_ns()

    async def sleep(self, seconds: float, /) -> None:
        """Move forward by `seconds`."""
        await self.reach(self.now_ns() + round(seconds * NS_PER_SECOND))

    async def reach(self, now_ns: int) -> None:
        """Move to `now_ns`, not before its time has come, then let other tasks run."""
        if self._pace is not None:
            played_ns = round((now_ns - self._started_ns) / self._pace)
            early_ns = self._wall_started_ns + played_ns - self._wall.now_ns()
            if early_ns > 0:
                await self._wall.sleep(early_ns / NS_PER_SECOND)
        await asyncio.sleep(0)
        self.advance_to(now_ns)


class _TapeMarket(MarketData):
    """What a tape shows as its clock moves.

    Attributes:
        on_change: called with all that becomes due, in the order of the tape.
    """

    def __init__(self, tape: Tape, pace: float | None) -> None:
        self.on_change: list[Callable[[Quote | Withdrawn], None]] = []
        self._tape = tape
        self._latest: dict[str, Quote | Withdrawn] = {}  # as they stand now, by symbol
        self._undelivered: dict[str, Quote | Withdrawn] = {}
        self._batches: Iterator[Sequence[Quote | Withdrawn]] = tape.batches()
        self._next: Sequence[Quote | Withdrawn] | None = next(self._batches, None)
        self._clock = _TapeClock(self._next[0].received_ns if self._next else 0, pace)
        self._clock.on_advance.append(self._show)
        self._show(self._clock.now_ns())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._next, self._batches = None, iter(())  # lets go of the file that is being read

    @property
    def clock(self) -> _TapeClock:
        return self._clock

    @property
    def exchange(self) -> str:
        return self._tape.exchange

    async def markets(self) -> Sequence[Market]:
        return self._tape.markets

    async def fees(self, symbols: Collection[str] | None = None, /) -> FeeSchedule:  # noqa: ARG002
        return self._tape.fees()

    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:  # noqa: ARG002
        quote = self._latest.get(symbol)
        if not isinstance(quote, Quote):
            raise GatewayUnavailable(
                f"the tape shows no quote of {symbol} at this time", code="market.no_quote"
            )
        return attrs.evolve(OrderBook.from_quote(quote), received_ns=self._clock.now_ns())

    async def quotes(self) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
        due = self._latest  # the first batch holds every market
        while due:
            self._undelivered = {}
            yield list(due.values())
            while self._next and not self._undelivered:
                await self._clock.reach(self._next[0].received_ns)
            due = self._undelivered

    def _show(self, now_ns: int) -> None:
        """Take in all batches that are due at `now_ns`."""
        while self._next and self._next[0].received_ns <= now_ns:
            for change in self._next:
                self._latest[change.symbol] = change
                self._undelivered[change.symbol] = change
                for listener in self.on_change:
                    listener(change)
            self._next = next(self._batches, None)
