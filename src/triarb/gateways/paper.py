"""PaperGateway: anyone's market data, simulated orders. Nothing private ever reaches the source.

An order acts after the stated latency, on the book that the source shows by then. What our orders took stays taken for us for
as long as the market goes on showing it (`triarb.simulation.books`), so that paper trading does not live on one level for ever.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from decimal import Decimal
from types import TracebackType
from typing import Self

from triarb.clock import NS_PER_MS, Clock
from triarb.exceptions import GatewayError, UsageError
from triarb.gateways.gateway import (
    DEFAULT_DEPTH,
    ExchangeGateway,
    Listing,
    MarketData,
    Restorable,
)
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Balance,
    Listed,
    Market,
    NotFound,
    Order,
    OrderBook,
    OrderState,
    OrderStatus,
    Quote,
    Refused,
    Submission,
    SubmissionStatus,
    Withdrawn,
)
from triarb.money import ZERO, parse_decimal
from triarb.simulation import MatchingEngine


class PaperGateway(ExchangeGateway, Restorable, Listing):
    """A simulated account on a real (or recorded, or invented) market.

    Entering it enters the source, if that can be entered, and reads its markets and fees once; without `async with`, the first
    call that needs them does. An order whose book cannot be read finds nothing to trade with: a limit order expires
    unfilled (or rests, if it is GTC), a market order is rejected with `order.no_market_price`. A `submit` that is
    canceled during its latency has not acted and never will.

    Args:
        source: where markets, quotes and books come from; only its public side is used, and its `fees` if none are given.
        balances: what the account opens with, by asset, as text or Decimals.
        fees: what orders are charged; None takes the source's own word. It is read once.
        latency_ms: how long an order takes to reach the exchange.

    Raises:
        UsageError: a balance or a latency that makes no sense; on entry, if neither we nor the source know the fees.
    """

    def __init__(
        self,
        source: MarketData,
        *,
        balances: Mapping[str, str | Decimal],
        fees: FeeSchedule | None = None,
        latency_ms: float = 50,
    ) -> None:
        if not (math.isfinite(latency_ms) and latency_ms >= 0):
            raise UsageError(
                f"a latency of {latency_ms} ms cannot be", hint="give milliseconds, such as 50"
            )
        self._source = source
        self._opening = {asset: _balance(asset, amount) for asset, amount in balances.items()}
        self._fees = fees
        self._latency_ms = latency_ms
        self._depth = DEFAULT_DEPTH
        self._matching: MatchingEngine | None = None
        self._starting = asyncio.Lock()
        self._entered = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Enter the source; read its markets and fees."""
        async with AsyncExitStack() as stack:
            if isinstance(self._source, AbstractAsyncContextManager):
                await stack.enter_async_context(self._source)
            await self._engine()
            self._entered = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Leave the source."""
        await self._entered.aclose()

    @property
    def engine(self) -> MatchingEngine:
        """The simulated account: what orders did to it, and what may be changed in a test.

        Raises:
            UsageError: it is neither entered nor used yet.
        """
        if self._matching is None:
            raise UsageError(
                "the paper gateway is not open",
                code="gateway.not_entered",
                hint="use it as `async with PaperGateway(...) as gateway:`",
            )
        return self._matching

    @property
    def clock(self) -> Clock:
        """The source's clock."""
        return self._source.clock

    @property
    def exchange(self) -> str:
        """The source's id."""
        return self._source.exchange

    @property
    def mode(self) -> str:
        """``"paper"``."""
        return "paper"

    @property
    def order_expiry_ns(self) -> int:
        """The latency: an order that has not acted by then never will."""
        return round(self._latency_ms * NS_PER_MS)

    async def markets(self) -> Sequence[Market]:
        """The source's markets, by whose rules simulated orders are taken from now on."""
        markets = await self._source.markets()
        if self._matching is not None:
            known = self._matching.markets
            for market in markets:
                if known.get(market.symbol, market) != market:
                    self._matching.set_market(market)
        return markets

    def quotes(self) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
        """The source's quotes, as they are: they do not know of our orders."""
        return self._source.quotes()

    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:
        """The source's book now, less what our simulated orders took of it.

        Raises:
            GatewayError: the source did not say.
        """
        engine = await self._engine()
        self._depth = max(self._depth, depth)  # so that orders act on no less than was shown
        book = await self._source.order_book(symbol, depth)
        engine.set_book(book)
        return engine.book(symbol) or book

    async def fees(self, symbols: Collection[str] | None = None, /) -> FeeSchedule:  # noqa: ARG002
        """What simulated orders are charged, for all markets, whatever `symbols` are asked for.

        Raises:
            UsageError: neither we nor the source know.
        """
        if self._fees is None:
            ask = getattr(self._source, "fees", None)
            if ask is None:
                raise UsageError(
                    f"the fees of {self.exchange} are not known",
                    code="fees.unknown",
                    hint='pass fees, such as fees=FeeSchedule.flat("10") for 10 bps',
                )
            self._fees = await ask()
        return self._fees

    async def balances(self) -> Mapping[str, Balance]:
        """What the simulated account holds."""
        return (await self._engine()).balances

    async def open_orders(self) -> Sequence[Listed]:
        """The simulated orders that rest."""
        return (await self._engine()).listed(only_open=True)

    async def orders_since(self, symbol: str, since_ns: int, /) -> Sequence[Listed]:
        """The simulated orders of one market."""
        return (await self._engine()).listed(symbol, since_ns)

    def restore(self, balances: Mapping[str, Decimal], /) -> None:
        """Hold exactly `balances` from now on, as a ledger that goes on from an earlier run does.

        Raises:
            UsageError: a balance below zero, or orders are open.
        """
        for asset, amount in balances.items():
            _require_balance(asset, amount)
        if self._matching is None:
            self._opening = dict(balances)
            return
        if self._matching.open_orders():
            raise UsageError("balances cannot be replaced under open orders", hint="cancel them")
        for asset in sorted(self._matching.balances.keys() | balances.keys()):
            self._matching.set_balance(asset, balances.get(asset, ZERO))

    async def submit(self, order: Order, /) -> Submission:
        """Let `order` act after the latency, on the book that the source shows then."""
        engine = await self._engine()
        await self.clock.sleep(self._latency_ms / 1000)
        for symbol in (order.symbol, *engine.token_markets(order.symbol)):
            await self._refresh(engine, symbol)
        state = engine.submit(order, self.clock.now_ns())
        if isinstance(state, Refused):
            return Submission(SubmissionStatus.REJECTED, reason=str(state))
        return Submission(SubmissionStatus.ACCEPTED, state)

    async def look_up(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """The order as it stands; for an open one the book is read first, since that may fill it."""
        engine = await self._engine()
        state = engine.look_up(client_id, symbol)
        if isinstance(state, OrderState) and state.status == OrderStatus.OPEN:
            await self._refresh(engine, symbol)
            state = engine.look_up(client_id, symbol)
        return state

    async def cancel(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """Cancel the order if it is open still; it then is as it is answered."""
        return (await self._engine()).cancel(client_id, symbol, self.clock.now_ns())

    async def _engine(self) -> MatchingEngine:
        async with self._starting:
            if self._matching is None:
                fees = await self.fees()
                markets = await self._source.markets()
                self._matching = MatchingEngine(markets, fees, balances=self._opening)
            return self._matching

    async def _refresh(self, engine: MatchingEngine, symbol: str) -> None:
        if symbol in engine.markets:
            try:
                engine.set_book(await self._source.order_book(symbol, self._depth))
            except GatewayError:
                engine.withdraw_book(symbol)


def _balance(asset: str, amount: str | Decimal) -> Decimal:
    try:
        number = parse_decimal(amount)
    except ValueError as error:
        raise UsageError(
            f"the balance of {asset}: {error}", hint='give it as text, such as "1000"'
        ) from None
    _require_balance(asset, number)
    return number


def _require_balance(asset: str, amount: Decimal) -> None:
    if amount < 0:
        raise UsageError(f"the balance of {asset} is {amount}, below zero", hint="correct it")
