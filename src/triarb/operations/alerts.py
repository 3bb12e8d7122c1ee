"""Webhook: tells people of what they must not learn too late, and can neither block nor break trading."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import attrs

from triarb.clock import iso
from triarb.exceptions import UsageError
from triarb.model import Declined, EngineEvent, Executed, Halted, Outcome
from triarb.operations.calling import address, call
from triarb.operations.secrets import Secret

CODES: Final = {
    "risk.daily_loss": "loss_limit",
    "risk.drawdown": "loss_limit",
    "risk.consecutive_losses": "loss_limit",
    "risk.unattended": "unattended",
    "engine.stuck": "stuck",
}
"""Which refusals are told, and as what."""

MESSAGES: Final = 5
"""How many different messages one alert holds; all are counted."""

RETRY_SECONDS: Final = 5.0
CLOSING_SECONDS: Final = 5.0
"""How long an alert that waits gets when an engine ends."""

CLOSING_RETRY_SECONDS: Final = 0.2
_LONGEST: Final = 500
_log = logging.getLogger("triarb.alerts")


@attrs.define
class _Alert:
    """What waits to be told of one kind."""

    first_ns: int
    last_ns: int
    count: int = 0
    messages: dict[str, None] = attrs.field(factory=dict)

    def add(self, other: "_Alert") -> None:
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.count += other.count
        for message in other.messages:
            if len(self.messages) < MESSAGES:
                self.messages[message] = None


class Webhook:
    """An observer that POSTs JSON to one address: for a halt, a stuck execution, a limit on losses, and nobody attending.

    The first of a kind is told at once. What follows within `min_seconds` is told together, once they are over, with how
    many there were: so that there are never more than a few alerts a minute, and never more than one of a kind waiting.
    What could not be told is tried again until it is. It works on a thread of its own; failures are counted and logged
    once, without the address, which is a secret. An async context manager: close it after the engine, so that what
    ended the engine is told.

    Args:
        url: the address, with its token.
        about: what every alert says as well, such as the exchange.
        min_seconds: the least time between two alerts of a kind.
        timeout_seconds: how long the server may take.

    Attributes:
        sent: how many alerts the server took.
        failures: how often it did not.

    Raises:
        UsageError: no address of a web server, or times that make no sense.
    """

    def __init__(
        self,
        url: Secret | str,
        *,
        about: Mapping[str, str] | None = None,
        min_seconds: float = 60.0,
        timeout_seconds: float = 5.0,
    ) -> None:
        if min_seconds < 0 or timeout_seconds <= 0:
            raise UsageError(
                f"min_seconds is {min_seconds}, timeout_seconds {timeout_seconds}",
                hint="give times above zero",
            )
        self.sent = 0
        self.failures = 0
        self._url = address(url, "the webhook")
        self._about = dict(about or {})
        self._min_seconds = min_seconds
        self._timeout_seconds = timeout_seconds
        self._waiting: dict[str, _Alert] = {}
        self._not_before: dict[str, float] = {}
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="triarb-webhook", daemon=True)

    def __call__(self, event: EngineEvent) -> None:
        """Tell of an event that people must know of."""
        for kind, message in _alarming(event):
            self.tell(kind, message, event.at_ns)

    def tell(self, kind: str, message: str, at_ns: int | None = None) -> None:
        """Tell `message`, as soon as the rate lets it. Never waits."""
        now_ns = time.time_ns() if at_ns is None else at_ns
        alert = _Alert(now_ns, now_ns, 1, {message[:_LONGEST]: None})
        with self._changed:
            self._wait_with(kind, alert)
            self._changed.notify()

    async def __aenter__(self) -> Self:
        """Begin to tell."""
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Tell what waits, for at most `CLOSING_SECONDS`, however short the time since the last alert."""
        with self._changed:
            self._deadline = time.monotonic() + CLOSING_SECONDS
            self._not_before.clear()
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, CLOSING_SECONDS)

    def _wait_with(self, kind: str, alert: _Alert) -> None:
        if kind in self._waiting:
            self._waiting[kind].add(alert)
        else:
            self._waiting[kind] = alert

    def _run(self) -> None:
        """Tell what is due, until the end."""
        while (due := self._next()) is not None:
            kind, alert = due
            why = call(self._url, self._body(kind, alert), self._timeout_seconds)
            with self._changed:
                if why is None:
                    self.sent += 1
                    pause = self._min_seconds
                else:
                    self.failures += 1
                    alert_since = self._waiting.pop(kind, None)
                    self._waiting[kind] = alert
                    if alert_since is not None:
                        alert.add(alert_since)
                    pause = RETRY_SECONDS
                if self._deadline is not None:
                    pause = 0.0 if why is None else CLOSING_RETRY_SECONDS
                self._not_before[kind] = time.monotonic() + pause
            if why is not None and self.failures == 1:
                _log.warning("the webhook did not take an alert (%s); it is tried again", why)

    def _next(self) -> tuple[str, _Alert] | None:
        """What is due now, waited for; None at the end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._deadline is not None and (not self._waiting or now >= self._deadline):
                    return None
                times = {kind: self._not_before.get(kind, 0.0) for kind in self._waiting}
                due = min(times, key=times.__getitem__, default=None)
                if due is not None and times[due] <= now:
                    return due, self._waiting.pop(due)
                self._changed.wait(None if due is None else times[due] - now)

    def _body(self, kind: str, alert: _Alert) -> dict[str, Any]:
        where = " ".join(self._about.values())
        first, *others = alert.messages
        more = f" (and {alert.count - 1} more)" if alert.count > 1 else ""
        return {
            "alert": kind,
            "text": f"triarb {where}: {kind}: {first}{more}".replace(" :", ":"),
            "messages": [first, *others],
            "count": alert.count,
            "first": iso(alert.first_ns),
            "last": iso(alert.last_ns),
            **self._about,
        }


def _alarming(event: EngineEvent) -> Iterator[tuple[str, str]]:
    match event:
        case Halted(_, reason):
            yield "halted", reason
        case Executed(_, execution) if execution.outcome is Outcome.STUCK:
            yield (
                "stuck",
                f"execution {execution.number} of {execution.plan.cycle_id} has no proven end",
            )
        case Declined(_, _, refused):
            also = str(refused.numbers.get("also", "")).split(", ")
            kinds = {CODES[code]: None for code in (refused.code, *also) if code in CODES}
            for kind in kinds:
                yield kind, refused.sentence
