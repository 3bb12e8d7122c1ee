"""The seam to an exchange: MarketData to look, Trading to act, ExchangeGateway for both.

A gateway is an async context manager: it connects on entry and closes all it opened on exit.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from triarb.clock import Clock
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

DEFAULT_DEPTH = 20


class MarketData(Protocol):
    """What an exchange shows to anyone."""

    __slots__ = ()

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """The clock that its times are told by."""
        ...

    @property
    @abstractmethod
    def exchange(self) -> str:
        """The exchange's id, for reports and ledger names."""
        ...

    @abstractmethod
    async def markets(self) -> Sequence[Market]:
        """All spot markets, inactive ones included, with steps and limits that are no older than a minute or so."""
        ...

    @abstractmethod
    def quotes(self) -> AsyncIterator[Sequence[Quote | Withdrawn]]:
        """Batches of what changed, for as long as there is anything to come; the first holds every market.

        A later one may be empty: a word that nothing changed.
        """
        ...

    @abstractmethod
    async def order_book(self, symbol: str, depth: int = DEFAULT_DEPTH, /) -> OrderBook:
        """The book of one market now, at most `depth` levels a side.

        Raises:
            GatewayUnavailable: no answer.
            MalformedAnswer: an answer that is no book.
        """
        ...


class Trading(Protocol):
    """What an exchange does for one account."""

    __slots__ = ()

    @property
    @abstractmethod
    def order_expiry_ns(self) -> int | None:
        """How long after `submit` returned, or its process died, the order can still arrive at the exchange.

        Once that has passed, an order that is still not found never will be. None where the exchange takes a request
        however late it comes: what became of an order that is not found there can never be proven by waiting.
        """
        ...

    @abstractmethod
    async def fees(self, symbols: Collection[str] | None = None, /) -> FeeSchedule:
        """The fees of `symbols` (all, if None), with their provenance."""
        ...

    @abstractmethod
    async def balances(self) -> Mapping[str, Balance]:
        """All assets that are not zero."""
        ...

    @abstractmethod
    async def submit(self, order: Order, /) -> Submission:
        """Send an order once. Never raises for what the wire or the exchange does: the answer says what is proven."""
        ...

    @abstractmethod
    async def look_up(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """What the exchange knows of one of our orders now.

        Raises:
            GatewayError: it did not say.
        """
        ...

    @abstractmethod
    async def cancel(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        """Ask for it to be canceled, then look it up: the answer to a cancel proves nothing.

        Raises:
            GatewayError: the exchange did not say.
        """
        ...


class ExchangeGateway(MarketData, Trading, Protocol):
    """Market data and trading of one exchange."""

    __slots__ = ()

    @property
    @abstractmethod
    def mode(self) -> str:
        """What its orders are: ``"paper"``, ``"replay"``, ``"sandbox"``, ``"live"``, or ``"read-only"``."""
        ...

    @abstractmethod
    async def __aenter__(self) -> Self:
        """Connect."""
        ...

    @abstractmethod
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """Close all that was opened."""
        ...


@runtime_checkable
class Budgeted(Protocol):
    """A gateway whose exchange counts requests and orders, and bans those who send too many."""

    __slots__ = ()

    @abstractmethod
    def room_for(self, orders: int, /) -> Refused | None:
        """Why `orders` more, and what proves them, might not be let through now; None where they would be.

        Asked before the first leg of an execution, for all its legs and for turning them back.
        """
        ...


@runtime_checkable
class Listing(Protocol):
    """A gateway that can list the account's orders, whoever sent them: how one engine notices another.

    A GatewayError of the code ``gateway.unsupported`` says that this exchange cannot.
    """

    __slots__ = ()

    @abstractmethod
    async def open_orders(self) -> Sequence[Listed]:
        """The orders that are open now, on all markets.

        Raises:
            GatewayError: the exchange did not say.
        """
        ...

    @abstractmethod
    async def orders_since(self, symbol: str, since_ns: int, /) -> Sequence[Listed]:
        """The orders of one market that were placed since then, as far back as the exchange tells, ended ones included.

        Raises:
            GatewayError: the exchange did not say.
        """
        ...


@runtime_checkable
class Restorable(Protocol):
    """A simulated account that can go on from the balances of an earlier run."""

    __slots__ = ()

    @abstractmethod
    def restore(self, balances: Mapping[str, Decimal], /) -> None:
        """Hold exactly `balances` from now on."""
        ...
