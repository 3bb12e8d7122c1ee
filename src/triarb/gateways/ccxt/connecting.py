"""Connecting: how the instances of ccxt's that a gateway asks are made, watched, limited and given a session."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs

from triarb.clock import Clock
from triarb.exceptions import UsageError
from triarb.gateways.ccxt import instances
from triarb.gateways.ccxt.armed import production_guard
from triarb.gateways.ccxt.bans import BanFile
from triarb.gateways.ccxt.credentials import Credentials
from triarb.gateways.ccxt.instances import SessionFactory
from triarb.gateways.ccxt.limiter import Limiter, use_limiter
from triarb.gateways.ccxt.sandboxes import enter_sandbox, in_sandbox
from triarb.gateways.ccxt.wire import Guard, watch


@attrs.define(kw_only=True)
class Connector:
    """Makes what a gateway asks.

    Attributes:
        asked: ccxt's id of the exchange, or an instance that somebody else made, which then gives the data.
        credentials: the account's; None where only data are read.
        sandbox: whether they are a sandbox's.
        session_factory: makes what each instance sends through; None leaves that to ccxt.
        recv_window_ms: how long a request is good for.
        timeout_ms: how long an answer is waited for.
        clock: tells the times.
        ban_file: where a ban is kept over a restart; None keeps it in this process.
        may_act: raises where production must not be sent an order.
        limiter: one for both instances, since the exchange counts addresses; None before one is made.
    """

    asked: Any = attrs.field(kw_only=False)
    credentials: Credentials | None
    sandbox: bool
    session_factory: SessionFactory | None
    recv_window_ms: int
    timeout_ms: int
    clock: Clock
    ban_file: Path | None
    may_act: Callable[[], None]
    limiter: Limiter | None = None

    def __attrs_post_init__(self) -> None:
        instances.check_between("recv_window_ms", self.recv_window_ms, 1, 60_000)
        instances.check_between("timeout_ms", self.timeout_ms, 1, 600_000)
        if self.ready is None:
            instances.exchange_class(self.asked)
        else:
            instances.check_ready(self.ready)

    @property
    def ready(self) -> Any:
        """The instance that somebody else made; None where there is none."""
        return None if isinstance(self.asked, str) else self.asked

    @property
    def exchange(self) -> str:
        """The id that ccxt has for it."""
        found: str = self.asked if self.ready is None else self.ready.id
        return found

    @property
    def kind(self) -> Any:
        """The class of ccxt that it is of.

        Raises:
            SourceError: `source.unknown_exchange`.
        """
        return type(self.ready) if self.ready is not None else instances.exchange_class(self.asked)

    def check_ready_sandbox(self) -> None:
        """Whether a ready instance is of where the credentials are of.

        Raises:
            UsageError: one of them is of the sandbox.
        """
        if self.ready is not None and in_sandbox(self.ready) is not self.sandbox:
            raise UsageError(
                f"the {self.exchange} instance and the credentials are not both of the sandbox",
                hint="call set_sandbox_mode(True) on the instance, or say sandbox=False",
            )

    def trader(self) -> Any:
        """An instance that acts for the account; None without credentials."""
        if self.credentials is None:
            return None
        trader = instances.trading_instance(
            self.kind,
            self.credentials,
            timeout_ms=self.timeout_ms,
            recv_window_ms=self.recv_window_ms,
            like=self.ready,
            clock=self.clock,
        )
        guard: Guard | None = production_guard(self.exchange, self.may_act)
        if self.sandbox:
            guard = enter_sandbox(trader)
        self._watch(trader, guard, urgent=True)
        return trader

    def data(self) -> Any:
        """An instance that only looks: the ready one, or one of our own."""
        if self.ready is not None:
            return self.ready
        data = instances.data_instance(self.kind, timeout_ms=self.timeout_ms)
        if self.credentials is not None and self.sandbox:
            enter_sandbox(data)
        self._watch(data, None, urgent=False)
        return data

    def connect(self, exchange: Any, stack: AsyncExitStack) -> Any:
        """Give an instance what it sends through; `stack` closes both. A ready one is left as it is."""
        if exchange is self.ready:
            return exchange
        if self.session_factory is not None:
            session = self.session_factory()
            stack.push_async_callback(session.close)
            instances.use_session(exchange, session)
        stack.push_async_callback(exchange.close)
        return exchange

    def _watch(self, exchange: Any, guard: Guard | None, *, urgent: bool) -> None:
        if self.limiter is None:
            bans = None if self.ban_file is None else BanFile(self.ban_file)
            self.limiter = Limiter(exchange, self.clock, bans)
        watch(exchange, guard, self.limiter.heard)
        use_limiter(exchange, self.limiter, urgent=urgent)
