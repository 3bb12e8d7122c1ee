"""CcxtGateway: a real exchange, through ccxt."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock, SystemClock
from triarb.exceptions import TradingRefused, UsageError
from triarb.gateways.ccxt import instances
from triarb.gateways.ccxt.account import Account
from triarb.gateways.ccxt.armed import Armed, production_guard, unarmed
from triarb.gateways.ccxt.credentials import Credentials
from triarb.gateways.ccxt.fees import told_fees
from triarb.gateways.ccxt.instances import SessionFactory
from triarb.gateways.ccxt.limiter import Limiter, use_limiter
from triarb.gateways.ccxt.line import NONSENSE, Line
from triarb.gateways.ccxt.markets import depth_offered, spot_markets
from triarb.gateways.ccxt.orders import check_look_up, expiry_ns
from triarb.gateways.ccxt.quotes import poll, quotes_method
from triarb.gateways.ccxt.sandboxes import enter_sandbox, in_sandbox
from triarb.gateways.ccxt.wire import Guard, watch
from triarb.gateways.gateway import DEFAULT_DEPTH, Budgeted, ExchangeGateway, Listing
from triarb.market.books import parse_book
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
    Withdrawn,
)

MARKETS_SECONDS: Final = 60
"""How old what is known of the markets' steps and limits may be when it is asked for."""


class CcxtGateway(ExchangeGateway, Budgeted, Listing):
    """A spot exchange that ccxt knows.

    Without credentials it only reads, from production. With them it reads and trades in the exchange's own sandbox;
    with `sandbox=False` it reads production's account, and sends orders there only while it is `armed`. It is an async
    context manager: it loads the markets on entry, and closes what it opened on exit.

    Requests are counted by triarb's own limiter, in which orders and what proves them go first; a ready instance keeps
    its own. An order is sent once, with its own numbers as text. That it was rejected is said only where that is proven, and
    whatever is not proven is UNKNOWN; see `triarb.gateways.ccxt.orders`. Fills may lag behind what an order filled.

    Args:
        exchange: ccxt's id of it, or a ready instance out of `ccxt.async_support`, which then gives the data and is
            never closed. Orders always go through an instance of the gateway's own, with the settings of a ready
            one, but without its addresses, its rate limit and its retries.
        credentials: the account's.
        sandbox: whether they are a sandbox's.
        armed: the permission to send orders to production, which `triarb.operations.arming.arm` gives.
        session_factory: makes what each instance sends through; the gateway closes it. None leaves that to ccxt.
        poll_seconds: the wait between two questions for all quotes.
        recv_window_ms: how long after its time stamp the exchange may still take an order, where it knows such a limit.
        timeout_ms: how long an answer is waited for.
        clock: tells the times, those that requests are signed with included; None is the machine's.

    Attributes:
        malformed: the spot markets whose data make no sense, and why; they are left out of `markets`.

    Raises:
        SourceError: `source.unknown_exchange`.
        TradingRefused: `gateway.no_sandbox` or `gateway.foreign_sandbox`; `gateway.no_look_up` where an order whose
            answer is lost could not be found again.
        UsageError: an argument that makes no sense.
    """

    def __init__(
        self,
        exchange: Any,
        *,
        credentials: Credentials | None = None,
        sandbox: bool = True,
        armed: Armed | None = None,
        session_factory: SessionFactory | None = None,
        poll_seconds: float = 1.0,
        recv_window_ms: int = 3000,
        timeout_ms: int = 10_000,
        clock: Clock | None = None,
    ) -> None:
        instances.check_between("poll_seconds", poll_seconds, 0.01, 3600)
        instances.check_between("recv_window_ms", recv_window_ms, 1, 60_000)
        instances.check_between("timeout_ms", timeout_ms, 1, 600_000)
        self._ready = None if isinstance(exchange, str) else exchange
        if self._ready is not None:
            instances.check_ready(exchange)
        self._kind = instances.exchange_class(exchange) if self._ready is None else type(exchange)
        self._exchange: str = exchange if self._ready is None else exchange.id
        self._credentials = credentials
        self._sandbox = sandbox
        self._armed = armed
        self._session_factory = session_factory
        self._poll_seconds = poll_seconds
        self._recv_window_ms = recv_window_ms
        self._timeout_ms = timeout_ms
        self._clock = SystemClock() if clock is None else clock
        self._opened = AsyncExitStack()
        # one for both instances: the exchange counts addresses
        self._limiter: Limiter | None = None
        self._data: Line | None = None
        self._account: Account | None = None
        self._markets: dict[str, Market] = {}
        self._loaded_ns = 0
        self.malformed: dict[str, str] = {}
        if credentials is not None or armed is not None:
            self._check_trading()

    def __repr__(self) -> str:
        return f"CcxtGateway({self._exchange!r}, mode={self.mode!r})"

    @property
    def clock(self) -> Clock:
        """The clock that its times are told by."""
        return self._clock

    @property
    def exchange(self) -> str:
        """The id that ccxt has for the exchange."""
        return self._exchange

    @property
    def mode(self) -> str:
        """``"sandbox"``, ``"live"``, or, without credentials, ``"read-only"``."""
        if self._credentials is None:
            return "read-only"
        return "sandbox" if self._sandbox else "live"

    @property
    def order_expiry_ns(self) -> int | None:
        """The receive window, and how far a clock may be ahead, where the exchange knows such a window."""
        return expiry_ns(self._exchange, self._recv_window_ms)

    # Opening and closing

    def _check_trading(self) -> None:
        """Refuse what could never trade, before anything is opened."""
        if self._armed is not None:
            if self._sandbox or self._credentials is None:
                message, hint = "armed is for production with credentials", "say sandbox=False"
                raise UsageError(message, hint=hint)
            self._check_armed(grace=False)
        self._new_trader()
        if self._sandbox or self._armed is not None:
            check_look_up(self._exchange)
        if self._ready is not None and in_sandbox(self._ready) is not self._sandbox:
            raise UsageError(
                f"the {self._exchange} instance and the credentials are not both of the sandbox",
                hint="call set_sandbox_mode(True) on the instance, or say sandbox=False",
            )

    def _new_trader(self) -> Any:
        if self._credentials is None:
            return None
        trader = instances.trading_instance(
            self._kind,
            self._credentials,
            timeout_ms=self._timeout_ms,
            recv_window_ms=self._recv_window_ms,
            like=self._ready,
            clock=self._clock,
        )
        guard: Guard | None = production_guard(self._exchange, self._check_armed)
        if self._sandbox:
            guard = enter_sandbox(trader)
        self._watch(trader, guard, urgent=True)
        return trader

    def _new_data(self) -> Any:
        data = instances.data_instance(self._kind, timeout_ms=self._timeout_ms)
        if self.mode == "sandbox":
            enter_sandbox(data)
        self._watch(data, None, urgent=False)
        return data

    def _watch(self, exchange: Any, guard: Guard | None, *, urgent: bool) -> None:
        if self._limiter is None:
            self._limiter = Limiter(exchange, self._clock)
        watch(exchange, guard, self._limiter.heard)
        use_limiter(exchange, self._limiter, urgent=urgent)

    async def __aenter__(self) -> Self:
        """Connect and load the markets.

        Raises:
            GatewayUnavailable: no answer.
            MalformedAnswer: an answer without a spot market.
            UsageError: it is open already.
        """
        if self._data is not None:
            message = f"the gateway to {self._exchange} is open already"
            raise UsageError(message, code="gateway.entered")
        account = None
        async with AsyncExitStack() as stack:
            data = Line(self._ready or self._connected(self._new_data(), stack))
            trader = self._new_trader()
            if trader is not None:
                account = Account(Line(self._connected(trader, stack), self._credentials))
            await self._load(data, account)
            self._opened = stack.pop_all()
        self._data, self._account = data, account
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close all that was opened."""
        self._data = self._account = None
        await self._opened.aclose()

    def _connected(self, exchange: Any, stack: AsyncExitStack) -> Any:
        if self._session_factory is not None:
            session = self._session_factory()
            stack.push_async_callback(session.close)
            instances.use_session(exchange, session)
        stack.push_async_callback(exchange.close)
        return exchange

    async def _load(self, data: Line, account: Account | None, *, again: bool = False) -> None:
        await data.load_markets(again=again)
        if account is not None:
            await account.line.load_markets(again=again)
        markets, malformed = spot_markets(data.instance)
        if not markets and not malformed:
            raise data.malformed("its markets", "there is no spot market")
        self._markets, self.malformed = markets, malformed
        self._loaded_ns = self._clock.now_ns()

    # Looking

    async def markets(self) -> Sequence[Market]:
        """All spot markets, those in `malformed` left out, as they were no more than `MARKETS_SECONDS` ago.

        Their `taker` is None: what ccxt says there is its own table's, which `fees` gives as such.

        Raises:
            GatewayError: they had to be asked for again, and the exchange did not say.
        """
        data = self._reader()
        if self._clock.now_ns() - self._loaded_ns >= MARKETS_SECONDS * NS_PER_SECOND:
            await self._load(data, self._account, again=True)
        return tuple(self._markets.values())

    def quotes(self) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
        """All markets' best bids and asks, asked for in one request every `poll_seconds`.

        After the first batch only what differs from the last answer is given; a market that is missing from it is
        Withdrawn. A failed request is repeated after growing waits, `triarb.gateways.ccxt.quotes.ATTEMPTS` in all.

        Raises:
            SourceError: `source.no_quotes`: the exchange has no one request for all markets.
            GatewayError: the last attempt's failure, while it is iterated.
        """
        line, symbols = self._reader(), tuple(self._markets)
        method = quotes_method(line.instance)
        return poll(line, method, symbols, clock=self._clock, seconds=self._poll_seconds)

    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:
        """The book of one market now, at most `depth` levels a side.

        Raises:
            GatewayUnavailable: no answer.
            MalformedAnswer: an answer that is no book.
            UsageError: no such market.
        """
        line, what = self._reader(), f"the book of {symbol}"
        self._market(symbol)
        limit = depth_offered(self._exchange, depth)
        raw = await line.ask(what, "fetch_order_book", symbol, limit)
        received_ns = self._clock.now_ns()
        try:
            bids, asks, moment = raw["bids"][:depth], raw["asks"][:depth], raw.get("timestamp")
            exchange_ns = int(moment) * NS_PER_MS if moment else None
            return parse_book(symbol, bids, asks, received_ns=received_ns, exchange_ns=exchange_ns)
        except NONSENSE as error:
            raise line.malformed(what, error) from None

    # Acting

    async def fees(self, symbols: Collection[str] | None = None, /) -> FeeSchedule:
        """What the account pays, where the exchange tells it; else what ccxt's table says of a new customer.

        An exchange that tells of one market at a time (Binance) is asked for named markets only, at most
        `triarb.gateways.ccxt.fees.MAX_QUESTIONS` of them; asked for all, one of its markets tells whether the account
        pays in a token. A market whose fee nobody tells has none here.

        Raises:
            GatewayUnavailable: no answer.
            UsageError: no such market.
        """
        line, account = self.lines
        wanted = [self._market(s).symbol for s in (self._markets if symbols is None else symbols)]
        return await told_fees(line, account, wanted, all_of_them=symbols is None)

    async def balances(self) -> Mapping[str, Balance]:
        """All assets that are not zero.

        Raises:
            TradingRefused: `gateway.read_only`.
            GatewayError: the exchange did not say.
        """
        return await self._own().balances()

    async def open_orders(self) -> Sequence[Listed]:
        """The account's open orders on all markets, whoever sent them.

        Raises:
            TradingRefused: `gateway.read_only`.
            GatewayError: the exchange did not say; `gateway.unsupported` where ccxt cannot ask that of it.
        """
        return await self._own().open_orders()

    async def orders_since(self, symbol: str, since_ns: int, /) -> Sequence[Listed]:
        """The account's orders of one market that were placed since then; none of a market that is gone.

        Raises:
            GatewayError: as `open_orders`.
        """
        account = self._own()
        return await account.orders_since(symbol, since_ns) if symbol in self._markets else []

    async def submit(self, order: Order, /) -> Submission:
        """Send an order once. Never raises for what the wire or the exchange does: the answer says what is proven.

        Raises:
            TradingRefused: `gateway.read_only` or `gateway.production`; `arming.expired`.
        """
        return await self._own(acting=True).submit(order, self._markets.get(order.symbol))

    async def look_up(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """What the exchange knows of one of our orders now, with its fills as far as they can be read.

        Raises:
            TradingRefused: `gateway.read_only`.
            GatewayError: it did not say.
            UsageError: no such market.
        """
        return await self._own().look_up(client_id, self._market(symbol))

    async def cancel(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """Ask for it to be canceled, then look it up: the answer to a cancel proves nothing.

        Raises:
            TradingRefused: `gateway.read_only` or `gateway.production`.
            GatewayError: the exchange did not say.
            UsageError: no such market.
        """
        return await self._own(acting=True).cancel(client_id, self._market(symbol))

    def room_for(self, orders: int, /) -> Refused | None:
        """Why the exchange might not let `orders` more through now, by our own count and what it told us."""
        return None if self._limiter is None else self._limiter.room_for(orders)

    # What may be done

    def _reader(self) -> Line:
        if self._data is None:
            raise self._not_open()
        return self._data

    def _own(self, *, acting: bool = False) -> Account:
        if self._credentials is None:
            raise TradingRefused(
                f"the gateway to {self._exchange} has no credentials and only reads public data",
                code="gateway.read_only",
                hint="give it credentials, or wrap it in a PaperGateway",
            )
        if acting and not self._sandbox:
            self._check_armed()
        if self._account is None:
            raise self._not_open()
        return self._account

    def _check_armed(self, *, grace: bool = True) -> None:
        """Asked before each order, and again by the wire's guard before its bytes leave."""
        if self._armed is None or self._credentials is None:
            raise unarmed(self._exchange)
        self._armed.check(self._exchange, self._credentials, self._clock.now_ns(), grace=grace)

    @property
    def lines(self) -> tuple[Line, Line | None]:
        """The ways to its data and to its account, for examinations; the second is None without credentials.

        Raises:
            UsageError: it is not open.
        """
        return self._reader(), None if self._account is None else self._account.line

    def _not_open(self) -> UsageError:
        return UsageError(
            f"the gateway to {self._exchange} is not open",
            code="gateway.not_entered",
            hint="use it as `async with CcxtGateway(...) as gateway:`",
        )

    def _market(self, symbol: str) -> Market:
        market = self._markets.get(symbol)
        if market is None:
            raise UsageError(
                f"{self._exchange} has no spot market {symbol!r}",
                code="usage.unknown_market",
                hint=self.malformed.get(symbol, "symbols are written BASE/QUOTE"),
            )
        return market
