"""FaultyRequests: how a request to a gateway with a fault script arrives, is answered, lags, is late, or fails."""

from collections.abc import Callable
from types import SimpleNamespace

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock
from triarb.exceptions import GatewayError
from triarb.gateways.ccxt.limiter import Limiter
from triarb.gateways.paper import PaperGateway
from triarb.model import (
    Fill,
    Market,
    OrderState,
    Submission,
)
from triarb.simulation import MatchingEngine
from triarb.testing.faults import (
    Answer,
    DropAfter,
    DropBefore,
    Duplicate,
    Endpoint,
    FaultScript,
    Hang,
    Lag,
    Request,
    Truncate,
)
from triarb.testing.faults.answers import (
    EXPIRED,
    failure,
    silence,
    unknown,
)
from triarb.testing.faults.run import FaultRun

_SIGNED = {
    Endpoint.LOOK_UP,
    Endpoint.OPEN_ORDERS,
    Endpoint.ORDERS,
    Endpoint.TRADES,
    Endpoint.BALANCES,
    Endpoint.FEES,
}
_EARLY_NS = NS_PER_SECOND
"""How far ahead of its own clock Binance takes a request."""


class FaultyRequests:
    """What is asked of a gateway goes through here.

    Args:
        gateway: whose orders it are.
        faults: what goes wrong.
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
        self._listed: tuple[int, tuple[Market, ...]] | None = None
        self._under_way: list[tuple[int, str, Callable[[int], object]]] = []
        self.requests: list[Request] = []
        self.on_arrival: list[Callable[[Request], None]] = []

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
