"""Oversight: what a configuration asks for to watch over an engine, put together."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import attrs

from triarb.engine import Engine
from triarb.engine.observers import Observer
from triarb.exceptions import LedgerError
from triarb.ledger import SqlLedger
from triarb.operations.alerts import Webhook
from triarb.operations.attendance import Attended, DeadMan, ack_file
from triarb.operations.audit import AuditLog
from triarb.operations.audit_lines import audit_folder, compact
from triarb.operations.config import TradingConfig
from triarb.operations.digest import digest
from triarb.operations.settings import SETTINGS
from triarb.operations.showing import rows
from triarb.risk import FirstRefusal, RiskPolicy

MB: Final = 10**6
_log = logging.getLogger("triarb.oversight")


@attrs.define
class Oversight:
    """The audit log, the webhook, the dead man's switch and the acknowledgement that a configuration asks for.

    An async context manager: open it before the ledger, give `tap` to the ledger, `observers` and `guarded(risk)` to
    the engine, and run the engine within `over`.

    Attributes:
        config: the configuration.
        mode: where the engine trades.
        audit: the audit log beside the ledger; None where it is off.
        webhook: None where no address is told.
        dead_man: None where no address is told.
        attended: None where no acknowledgement is asked for.
    """

    config: TradingConfig
    mode: str
    audit: AuditLog | None
    webhook: Webhook | None
    dead_man: DeadMan | None
    attended: Attended | None
    _opened: AsyncExitStack = attrs.field(factory=AsyncExitStack)
    _halting: list[asyncio.Task[None]] = attrs.field(factory=list)

    @classmethod
    def of(cls, config: TradingConfig, ledger: Path, mode: str) -> Self:
        """What `config` asks for, for an engine on the ledger in file `ledger`.

        Raises:
            SecretError: an address cannot be had, or not safely.
            UsageError: one is no address of a web server.
        """
        about = {"exchange": config.exchange, "mode": mode, "ledger": ledger.name}
        keep = config.audit_keep_mb * MB or None
        webhook, dead_man = config.address("webhook_url"), config.address("dead_man_url")
        every = float(config.dead_man_seconds)
        hours = config.ack_hours
        return cls(
            config,
            mode,
            None if config.audit == "off" else AuditLog(audit_folder(ledger), keep_bytes=keep),
            None if webhook is None else Webhook(webhook, about=about),
            None if dead_man is None else DeadMan(dead_man, every_seconds=every),
            None if hours is None else Attended(ack_file(ledger), float(hours)),
        )

    @property
    def tap(self) -> AuditLog | None:
        """What is told every event of the ledger."""
        return self.audit

    @property
    def observers(self) -> tuple[Observer, ...]:
        """What is told every event of the engine."""
        told = (self.audit, self.webhook, self.dead_man)
        return tuple(observer for observer in told if observer is not None)

    def guarded(self, risk: RiskPolicy) -> RiskPolicy:
        """`risk`, once somebody attends, if somebody must."""
        return risk if self.attended is None else FirstRefusal(self.attended, risk)

    async def __aenter__(self) -> Self:
        """Open the audit log, and write the configuration into it; begin to tell."""
        if self.webhook is not None:
            await self._opened.enter_async_context(self.webhook)
        if self.audit is not None:
            try:
                await self._opened.enter_async_context(self.audit)
            except BaseException:
                await self._opened.aclose()
                raise
            self.audit.record("Configuration", configuration(self.config, self.mode))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them; what waits is still written and told."""
        await self._opened.aclose()
        await asyncio.gather(*self._halting)

    @asynccontextmanager
    async def over(self, engine: Engine, ledger: SqlLedger) -> AsyncIterator[None]:
        """Watch over `engine` meanwhile: pings, and what becomes of it where the audit log cannot be written."""
        loop = asyncio.get_running_loop()

        def audit_fails(why: str) -> None:
            if self.webhook is not None:
                self.webhook.tell("audit", f"the audit log cannot be written: {why}")
            if self.config.audit == "required":
                loop.call_soon_threadsafe(self._halt, engine, why)

        if self.audit is not None:
            self.audit.on_failure = audit_fails
            if self.audit.failures:
                audit_fails("it failed before the engine began")
        async with AsyncExitStack() as stack:
            if self.dead_man is not None:
                self.dead_man.check = ledger.check
                await stack.enter_async_context(self.dead_man)
            yield

    def _halt(self, engine: Engine, why: str) -> None:
        async def halt() -> None:
            try:
                await engine.halt(f"the audit log, which is required, cannot be written: {why}")
            except LedgerError as error:  # it holds, but not beyond this process
                _log.warning("%s", error)

        self._halting.append(asyncio.ensure_future(halt()))


def configuration(config: TradingConfig, mode: str) -> dict[str, Any]:
    """What `config` says, where each value comes from, and two digests; no secret is in any of it.

    ``digest`` is of strategy, risk and markets (`triarb.operations.digest`); ``hash`` is the SHA-256 of all settings that
    are no secrets.
    """
    told = rows(config)
    values = {name: value for name, value, _ in told if not SETTINGS[name].is_secret}
    settings = {name: {"value": value, "from": origin} for name, value, origin in told}
    whole = hashlib.sha256(compact(values).encode()).hexdigest()
    return {"digest": digest(config, mode), "hash": whole, "settings": settings}
