"""FaultyGateway: a simulated account whose exchange, and the way to it, go wrong as a script says."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from decimal import Decimal
from types import SimpleNamespace, TracebackType
from typing import Self

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock
from triarb.exceptions import GatewayError, GatewayUnavailable, MalformedAnswer
from triarb.gateways.ccxt.limiter import Limiter
from triarb.gateways.gateway import DEFAULT_DEPTH, Budgeted, ExchangeGateway, Restorable
from triarb.gateways.paper import PaperGateway
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Balance,
    Fill,
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
from triarb.simulation import MatchingEngine
from triarb.testing.faults import (
    Alter,
    Answer,
    DropAfter,
    DropBefore,
    Duplicate,
    Endpoint,
    FaultRule,
    FaultScript,
    Hang,
    Lag,
    Request,
    Truncate,
)
from triarb.testing.faults.answers import (
    EXPIRED,
    altered_state,
    distorted,
    failure,
    judged,
    silence,
    unknown,
)
from triarb.testing.faults.run import FaultRun

_SIGNED = {Endpoint.LOOK_UP, Endpoint.TRADES, Endpoint.BALANCES, Endpoint.FEES}
_EARLY_NS = NS_PER_SECOND
"""How far ahead of its own clock Binance takes a request."""


class FaultyGateway(ExchangeGateway, Restorable, Budgeted):
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

    def __init__(
        self,
        gateway: PaperGateway,
        faults: FaultScript,
        *,
        timeout_ms: int = 10_000,
        recv_window_ms: int = 3000,
    ) -> None:
        self._gateway = gateway
        self._script = faults
        self._timeout_ms = timeout_ms
        self._recv_window_ms = recv_window_ms
        self._running: FaultRun | None = None
        self._limiter: Limiter | None = None
        self._under_way: list[tuple[int, str, Callable[[int], object]]] = []
        self.requests: list[Request] = []
        self.on_arrival: list[Callable[[Request], None]] = []

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
    def engine(self) -> MatchingEngine:
        """Where orders act: the truth that the gateway's answers may hide.

        Raises:
            UsageError: the gateway is not open.
        """
        return self._gateway.engine

    @property
    def clock(self) -> Clock:
        """The source's clock."""
        return self._gateway.clock

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
        """The markets with the steps and limits that they have by now."""
        await self._read(await self._arrive(Endpoint.MARKETS), "the markets")
        return tuple(self.engine.markets.values())

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

    # How it is done

    def _run(self) -> FaultRun:
        if self._running is None:
            self._running = FaultRun(self._script, self.engine)
        return self._running

    async def _arrive(self, on: Endpoint, client_id: str = "", symbol: str = "") -> Request:
        """Let what was under way arrive first, then this request."""
        if self._running is None:
            await self._gateway.balances()  # which opens a gateway that was not entered
        writes = on in (Endpoint.SUBMIT, Endpoint.CANCEL)
        await self._pace().admit(0, urgent=True, writes=writes)
        for entry in sorted(self._under_way, key=lambda entry: entry[0]):
            due_ns, symbol_of, act = entry
            if due_ns <= self.clock.now_ns():
                self._under_way.remove(entry)
                try:
                    await self._gateway.order_book(symbol_of)
                except GatewayError:
                    self.engine.withdraw_book(symbol_of)
                act(due_ns)
        request = self._run().arrive(on, client_id, symbol, self.clock.now_ns())
        self.requests.append(request)
        for hook in self.on_arrival:
            hook(request)
        return request

    async def _read(self, request: Request, what: str) -> int | None:
        """Let a question get its answer.

        Returns:
            As of when it is answered; None is now.

        Raises:
            GatewayError: what came instead.
        """
        answer, lag = self._answer_to(request), request.first(Lag)
        if request.first(Hang) or self._is_too_late(request):
            await self._in_vain()
            raise silence(what)
        if request.first(DropBefore) or request.first(DropAfter):
            raise silence(what)
        if answer is not None:
            raise failure(answer, what)
        await self._be_late(request)
        if request.on in _SIGNED and self._is_expired(request):
            raise failure(EXPIRED, what)
        if request.first(Truncate):
            raise silence(what)
        if lag is None:
            return None
        return self.clock.now_ns() - round(lag.seconds * NS_PER_SECOND)

    async def _fills(self, client_id: str, symbol: str) -> tuple[Fill, ...]:
        """The trades of an order, as far as they can be read."""
        try:
            request = await self._arrive(Endpoint.TRADES, client_id, symbol)
            as_of_ns = await self._read(request, f"the trades of {client_id}")
        except GatewayError:
            return ()
        state = self.engine.look_up(client_id, symbol, as_of_ns)
        fills = state.fills if isinstance(state, OrderState) else ()
        return fills[::-1] if request.first(Duplicate) else fills

    def _answer_to(self, request: Request) -> Answer | None:
        """What is answered instead; whoever is told to slow down keeps to it, as `CcxtGateway` does."""
        banned = self._run().banned(request.time_ns)
        answer = request.first(Answer)
        if banned is not None:
            answer = Answer(banned[0], -1003, "banned", retry_after=banned[1])
        if answer is not None and not request.first(DropBefore):
            wait = {} if answer.retry_after is None else {"Retry-After": str(answer.retry_after)}
            self._pace().heard(answer.status, wait)
        return answer

    def _pace(self) -> Limiter:
        if self._limiter is None:
            unlimited = SimpleNamespace(id="binance", rollingWindowSize=0, rateLimit=0)
            self._limiter = Limiter(unlimited, self.clock)
        return self._limiter

    def _send(self, request: Request, act: Callable[[int], object]) -> None:
        self._under_way.append((request.time_ns + request.late_ns, request.symbol, act))

    def _is_too_late(self, request: Request) -> bool:
        return request.late_ns >= self._timeout_ms * NS_PER_MS

    def _is_expired(self, request: Request) -> bool:
        age_ns = self._run().skew_ns + request.late_ns
        return age_ns > self._recv_window_ms * NS_PER_MS or age_ns <= -_EARLY_NS

    async def _be_late(self, request: Request) -> None:
        if request.late_ns:
            await self.clock.sleep(request.late_ns / NS_PER_SECOND)

    async def _in_vain(self) -> Submission:
        """Wait for an answer that does not come."""
        await self.clock.sleep(self._timeout_ms / 1000)
        return unknown(f"no answer within {self._timeout_ms} ms")
