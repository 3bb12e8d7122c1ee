"""Never unattended: no new cycle without a person's acknowledgement, and a sign of life that an outside watcher can miss."""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Self

import attrs

from triarb.clock import NS_PER_SECOND, iso
from triarb.exceptions import LedgerError, UsageError
from triarb.ledger.place import beside
from triarb.model import Approved, EngineEvent, Halted, Opportunity, Portfolio, Refused, RunEnded
from triarb.operations.calling import address, call
from triarb.operations.secrets import Secret
from triarb.risk import RiskPolicy

HOUR_NS: Final = 3600 * NS_PER_SECOND
AHEAD_NS: Final = 60 * NS_PER_SECOND
"""How far ahead of our clock an acknowledgement may be; one from further on says nothing."""

CLOSING_SECONDS: Final = 1.0
_log = logging.getLogger("triarb.attendance")


def ack_file(ledger: Path) -> Path:
    """Where the acknowledgement for the ledger in file `ledger` is: beside it, as ``<name>.ack``."""
    return beside(ledger, ".ack")


def acknowledge(ledger: Path, by: str) -> None:
    """Note that a person looked, now: make `ack_file`, or make it new.

    Raises:
        LedgerError: it could not be written (``ack.file``).
    """
    file = ack_file(ledger)
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(f"{by}\n", encoding="utf-8")
        part.replace(file)
    except OSError as error:
        raise LedgerError(
            f"{file} cannot be written: {error.strerror or error}",
            code="ack.file",
            hint="make that file as the user that trades",
        ) from error


@attrs.frozen
class Attended(RiskPolicy):
    """No new cycle unless a person acknowledged within the last `hours`. Refuses ``risk.unattended``.

    An acknowledgement is that `file` was made or touched: by `triarb ack`, by ``touch``, from any machine that reaches
    it. It needs no engine, and survives a restart, so that a supervisor that restarts a bot cannot keep it trading alone.
    What is under way ends as it would have. A file that is not there, cannot be looked at, or is from the future refuses.

    Attributes:
        file: see `ack_file`.
        hours: above zero.
        wall_ns: the machine's own clock, by which files have their times; the later of it and of the engine's counts.
    """

    file: Path
    hours: float
    wall_ns: Callable[[], int] = attrs.field(default=time.time_ns, kw_only=True, repr=False)

    def __attrs_post_init__(self) -> None:
        if not 0 < self.hours < 10**6:
            raise UsageError(f"hours is {self.hours}", hint="give a number above zero, such as 12")

    def review(
        self, opportunity: Opportunity, _portfolio: Portfolio, now_ns: int, /
    ) -> Approved | Refused:
        """By the time of the file."""
        latest_ns = max(self.wall_ns(), now_ns)
        try:
            at_ns = os.stat(self.file).st_mtime_ns  # noqa: PTH116 - a third of the time of Path.stat
        except FileNotFoundError:
            return self._refused("nobody has acknowledged yet", None)
        except OSError as error:
            return self._refused(f"{self.file} cannot be looked at: {error.strerror}", None)
        if at_ns > latest_ns + AHEAD_NS:
            return self._refused(f"the acknowledgement is from the future, {iso(at_ns)}", None)
        hours = max(0, latest_ns - at_ns) / HOUR_NS
        if hours <= self.hours:
            return Approved(opportunity)
        return self._refused(f"nobody has acknowledged for {hours:.1f} hours", hours)

    def _refused(self, why: str, hours: float | None) -> Refused:
        return Refused(
            "risk.unattended",
            f"{why}, and somebody must every {self.hours:g} hours (triarb ack)",
            {
                "hours": "never" if hours is None else round(hours, 3),
                "max_hours": float(self.hours),
            },
        )


class DeadMan:
    """An observer that GETs an address every `every_seconds`, as long as the engine really works.

    The watcher behind the address, on another machine, notices when that stops: a process that died, a machine that lost
    its network, a feed that went silent, a full disk. A ping is sent only if the engine told anything since the last
    one, and if the ledger could be written to just now; else it is withheld. It works on a thread of its own; failures
    are counted and logged once, without the address, which is a secret. An async context manager.

    Args:
        url: the address, with its token.
        check: raises where the ledger cannot be written to: its `SqlLedger.check`; awaited in the engine's loop.
        every_seconds: how often.
        timeout_seconds: how long server and check may take.

    Attributes:
        check: as given, or given later; without one the ledger is not looked at.
        pings: how many the server took.
        withheld: how many were not sent, because nothing happened or the ledger could not be written to.
        failures: how many the server did not take.

    Raises:
        UsageError: no address of a web server, or times that make no sense.
    """

    def __init__(
        self,
        url: Secret | str,
        *,
        check: Callable[[], Awaitable[None]] | None = None,
        every_seconds: float = 60.0,
        timeout_seconds: float = 10.0,
    ) -> None:
        if every_seconds <= 0 or timeout_seconds <= 0:
            raise UsageError(
                f"every_seconds is {every_seconds}, timeout_seconds {timeout_seconds}",
                hint="give times above zero",
            )
        self.pings = 0
        self.withheld = 0
        self.failures = 0
        self._url = address(url, "the dead man's switch")
        self.check = check
        self._every_seconds = every_seconds
        self._timeout_seconds = timeout_seconds
        self._worked = False
        self._ending = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="triarb-dead-man", daemon=True)

    def __call__(self, event: EngineEvent) -> None:
        """Take note that the engine works; its end is no work."""
        if not isinstance(event, Halted | RunEnded):
            self._worked = True

    async def __aenter__(self) -> Self:
        """Begin to ping."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop; a server that hangs is not waited for."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join, CLOSING_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(self._every_seconds):
            worked, self._worked = self._worked, False
            if not worked or not self._writable():
                self.withheld += 1
                continue
            why = call(self._url, None, self._timeout_seconds)
            if why is None:
                self.pings += 1
                continue
            self.failures += 1
            if self.failures == 1:
                _log.warning("the dead man's switch did not take a ping (%s)", why)

    def _writable(self) -> bool:
        """Whether the ledger can be written to, and the engine's loop runs."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return False
        checking = asyncio.run_coroutine_threadsafe(self._checked(), loop)
        try:
            return checking.result(self._timeout_seconds)
        except TimeoutError:
            checking.cancel()
            return False

    async def _checked(self) -> bool:
        try:
            if self.check is not None:
                await self.check()
        except Exception as error:  # noqa: BLE001 - whatever it is, it cannot be written to
            _log.warning("no ping: the ledger cannot be written to: %s", error)
            return False
        return True
