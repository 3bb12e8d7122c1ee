"""What an executor may use, and how it is set."""

import math
from collections.abc import Awaitable, Callable

import attrs

from triarb.clock import NS_PER_SECOND, Clock
from triarb.exceptions import UsageError
from triarb.execution.messages import Rules
from triarb.execution.unwinding import Unwinding
from triarb.gateways.gateway import Trading
from triarb.ledger import Ledger
from triarb.model import EngineEvent, Order, OrderBook, Purpose, RateView, Refused


@attrs.frozen
class ExecutionContext:
    """What an executor may use, and nothing else.

    Attributes:
        gateway: where orders go.
        order_book: reads one market's book now.
        rates: the whole market as it stood when the plan was made.
        ledger: every intent is appended, and durable, before its order is sent.
        clock: the only clock.
        gate: asked right before each order is sent, with no wait in between; a refusal means that it is not sent. It is
            told whether the order opens or closes what is at risk.
        emit: tells the observers.
        epoch: the engine's, for client ids.
        number: the execution's.
    """

    gateway: Trading
    order_book: Callable[[str], Awaitable[OrderBook]]
    rates: RateView
    ledger: Ledger
    clock: Clock
    gate: Callable[[Order, Purpose], Refused | None]
    emit: Callable[[EngineEvent], None]
    epoch: str
    number: int


def _seconds(_: object, attribute: "attrs.Attribute[float]", value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"{attribute.name} is {value}", hint="give seconds, above zero")


@attrs.frozen
class Settings:
    """How long an execution may take, and how far it may go.

    Attributes:
        unwinding: what becomes of what it is stranded with.
        decision_seconds: how old a plan may be when its first order is sent.
        leg_seconds: how long the outcome of an order is looked for until it counts as stuck.
        cycle_seconds: after this long no further order is sent.
        retry_seconds: the wait before the books are read again where there was no way back, or an order found nothing.
    """

    unwinding: Unwinding = attrs.field(factory=Unwinding)
    decision_seconds: float = attrs.field(default=1.0, validator=_seconds, kw_only=True)
    leg_seconds: float = attrs.field(default=15.0, validator=_seconds)
    cycle_seconds: float = attrs.field(default=60.0, validator=_seconds)
    retry_seconds: float = attrs.field(default=1.0, validator=_seconds)

    def rules(self, gateway: Trading) -> Rules:
        """How an order of `gateway` is looked for."""
        return Rules(gateway.order_expiry_ns, deadline_ns=round(self.leg_seconds * NS_PER_SECOND))
