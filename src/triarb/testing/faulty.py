"""FaultyGateway: a simulated account whose exchange, and the way to it, go wrong as a script says."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND
from triarb.exceptions import GatewayError, GatewayUnavailable, MalformedAnswer
from triarb.gateways.ccxt.gateway import MARKETS_SECONDS
from triarb.gateways.gateway import (
    DEFAULT_DEPTH,
    Budgeted,
    ExchangeGateway,
    Listing,
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
    Quote,
    Refused,
    Submission,
    SubmissionStatus,
    Withdrawn,
)
from triarb.testing.faults import (
    Alter,
    DropAfter,
    DropBefore,
    Endpoint,
    FaultRule,
    Hang,
    Truncate,
)
from triarb.testing.faults.answers import (
    EXPIRED,
    altered_state,
    distorted,
    judged,
    unknown,
)
from triarb.testing.faulty_requests import FaultyRequests


class FaultyGateway(FaultyRequests, ExchangeGateway, Restorable, Budgeted, Listing):
    """A paper or replay account with a fault script, in the clock of its source: no socket, no real time.

    Each fault comes to what `CcxtGateway` makes of it on the wire: a lost answer is UNKNOWN, with the order there or not;
    an order that is late is not found and then is; a read that fails raises; whoever is told to slow down is silent
    until then. An order that is late acts at its time, on the book that is read when the gateway is next asked for
    anything. Nothing here sends a request again on its own, as aiohttp does with a read or a cancel, so that one drop is
    enough.

    Args:
        gateway: whose orders it are; enter this one instead of it.
        faults: what goes wrong; a fault about a market that there is none of is a UsageError when it is entered.
        timeout_ms: how long an answer is waited for.
        recv_window_ms: how long after it was sent the exchange may still take an order.

    Attributes:
        requests: all that was asked, the oldest first.
        on_arrival: called with each request before the exchange acts.
    """

    @property
    def order_expiry_ns(self) -> int:
        """The receive window, and what the gateway itself takes."""
        return self._recv_window_ms * NS_PER_MS + self._gateway.order_expiry_ns

    async def __aenter__(self) -> Self:
        """Enter the gateway."""
        await self._gateway.__aenter__()
        try:
            self._run()
        except BaseException:
            await self._gateway.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Leave the gateway."""
        await self._gateway.__aexit__(exc_type, exc, traceback)

    @property
    def exchange(self) -> str:
        """The source's id."""
        return self._gateway.exchange

    @property
    def mode(self) -> str:
        """``"paper"`` or ``"replay"``."""
        return self._gateway.mode

    def inject(self, *rules: FaultRule) -> None:
        """Let more go wrong from here on; the rules count their requests from here.

        Raises:
            UsageError: a rule changes a market that there is none of.
        """
        self._run().add(rules)

    def posts(self) -> Counter[str]:
        """How many orders were sent under each client id, whether or not they were taken."""
        return Counter(r.client_id for r in self.requests if r.on is Endpoint.SUBMIT)

    # Looking

    async def markets(self) -> Sequence[Market]:
        """The markets with the steps and limits that they had no longer than `MARKETS_SECONDS` ago, as on ccxt."""
        now_ns, kept = self.clock.now_ns(), self._listed
        if kept is None or now_ns - kept[0] >= MARKETS_SECONDS * NS_PER_SECOND:
            await self._read(await self._arrive(Endpoint.MARKETS), "the markets")
            kept = self._listed = (now_ns, tuple(self.engine.markets.values()))
        return kept[1]

    async def quotes(self) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
        """The source's quotes; each batch is one request, and one that fails ends them."""
        async for batch in self._gateway.quotes():
            await self._read(await self._arrive(Endpoint.QUOTES), "the quotes")
            yield batch

    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:
        """The gateway's book.

        Raises:
            GatewayError: the source did not say, or the answer went wrong.
        """
        request = await self._arrive(Endpoint.BOOK, symbol=symbol)
        await self._read(request, f"the book of {symbol}")
        return await self._gateway.order_book(symbol, depth)

    # Trading

    async def fees(self, symbols: Collection[str] | None = None, /) -> FeeSchedule:  # noqa: ARG002
        """What orders are charged by now.

        Raises:
            GatewayError: the answer went wrong.
        """
        await self._read(await self._arrive(Endpoint.FEES), "the fees")
        return self.engine.fees

    async def balances(self) -> Mapping[str, Balance]:
        """What the account holds, or held, if the answer lags.

        Raises:
            GatewayError: the answer went wrong.
        """
        request = await self._arrive(Endpoint.BALANCES)
        as_of_ns = await self._read(request, "the balances")
        if request.first(Alter):
            raise MalformedAnswer("the balances make no sense", code="gateway.malformed")
        return self.engine.balances if as_of_ns is None else self.engine.balances_at(as_of_ns)

    async def open_orders(self) -> Sequence[Listed]:
        """The orders that rest, or rested, if the answer lags.

        Raises:
            GatewayError: the answer went wrong.
        """
        as_of_ns = await self._read(await self._arrive(Endpoint.OPEN_ORDERS), "the open orders")
        return self.engine.listed(only_open=True, as_of_ns=as_of_ns)

    async def orders_since(self, symbol: str, since_ns: int, /) -> Sequence[Listed]:
        """The orders of one market.

        Raises:
            GatewayError: the answer went wrong.
        """
        request = await self._arrive(Endpoint.ORDERS, symbol=symbol)
        as_of_ns = await self._read(request, f"the orders on {symbol}")
        return self.engine.listed(symbol, since_ns, as_of_ns=as_of_ns)

    def restore(self, balances: Mapping[str, Decimal], /) -> None:
        """Hold exactly `balances` from now on."""
        self._gateway.restore(balances)

    async def submit(self, order: Order, /) -> Submission:
        """Send `order`, and tell what is proven of it."""
        try:
            request = await self._arrive(Endpoint.SUBMIT, order.client_id, order.symbol)
        except GatewayUnavailable as error:  # nothing was sent
            return Submission(SubmissionStatus.REJECTED, reason=str(error))
        if request.first(DropBefore):
            return unknown("no answer (dropped)")
        answer, hang = self._answer_to(request), request.first(Hang)
        if answer is not None and not answer.acts:
            return judged(answer)
        if hang is not None and not hang.acts:
            return await self._in_vain()
        expired = self._is_expired(request)
        if self._is_too_late(request):
            if not expired:
                self._send(request, lambda now_ns: self.engine.submit(order, now_ns))
            return await self._in_vain()
        await self._be_late(request)
        if expired:
            submission = judged(EXPIRED)
        else:
            submission = await self._gateway.submit(order)
        if hang is not None:
            return await self._in_vain()
        if request.first(DropAfter) or request.first(Truncate):
            return unknown("no answer (dropped)")
        if answer is not None:
            return judged(answer)
        return distorted(submission, request)

    def room_for(self, orders: int, /) -> Refused | None:
        """Why `orders` more might not be let through now."""
        return self._pace().room_for(orders)

    async def look_up(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """What is told of the order, with its fills as far as they can be read.

        Raises:
            GatewayError: the answer went wrong.
        """
        what = f"the order {client_id}"
        request = await self._arrive(Endpoint.LOOK_UP, client_id, symbol)
        try:
            as_of_ns = await self._read(request, what)
        except GatewayError as error:
            if error.code == "gateway.no_such_order":
                return NotFound(client_id, symbol)
            raise
        if as_of_ns is None:
            state = await self._gateway.look_up(client_id, symbol)
        else:
            state = self.engine.look_up(client_id, symbol, as_of_ns)
        if isinstance(state, NotFound):
            return state
        alter = request.first(Alter)
        if alter is not None:
            state = altered_state(state, alter)
        if not state.filled:
            return state
        return attrs.evolve(state, fills=await self._fills(client_id, symbol))

    async def cancel(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """Ask for it to be canceled, whatever comes of it, then look it up.

        Raises:
            GatewayError: the answer to the look-up went wrong.
        """
        try:
            request = await self._arrive(Endpoint.CANCEL, client_id, symbol)
        except GatewayUnavailable:  # nothing was sent
            return await self.look_up(client_id, symbol)
        answer, hang = self._answer_to(request), request.first(Hang)
        lost = (
            request.first(DropBefore) is not None
            or (answer is not None and not answer.acts)
            or (hang is not None and not hang.acts)
            or self._is_expired(request)
        )

        def act(now_ns: int) -> object:
            return None if lost else self.engine.cancel(client_id, symbol, now_ns)

        if self._is_too_late(request):
            self._send(request, act)
            await self._in_vain()
        else:
            await self._be_late(request)
            act(self.clock.now_ns())
            if hang is not None:
                await self._in_vain()
        return await self.look_up(client_id, symbol)
