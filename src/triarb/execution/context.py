"""What an executor may use, and how it is set."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs

from triarb.clock import NS_PER_MS, NS_PER_SECOND, Clock
from triarb.exceptions import UsageError
from triarb.execution.keeping import Unwritten
from triarb.execution.messages import Rules
from triarb.execution.sending import Outgoing, submitted
from triarb.execution.unwinding import Unwinding
from triarb.gateways.gateway import Trading
from triarb.gateways.last_word import last_word
from triarb.ledger import Ledger
from triarb.model import (
    EngineEvent,
    Market,
    Order,
    OrderBook,
    Purpose,
    RateView,
    Refused,
    Submission,
    SubmissionStatus,
)


@attrs.frozen
class ExecutionContext:
    """What an executor may use, and nothing else. Orders go through `send` alone.

    Attributes:
        gateway: where orders go, are looked up and canceled.
        order_book: reads one market's book now.
        rates: the whole market as it stood when the plan was made.
        ledger: every intent is appended, and durable, before its order is sent.
        clock: the only clock.
        gate: asked by `send`; a refusal means that the order is not sent. It is told whether the order opens or closes
            what is at risk.
        emit: tells the observers.
        epoch: the engine's, for client ids.
        number: the execution's.
        outgoing: what `send` has under way, so that a halt can wait for it.
        unwritten: where events go that the ledger does not take.
        markets: reads the markets again, by symbol; None where they stay as `rates` has them.
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
    outgoing: Outgoing = attrs.field(factory=Outgoing)
    unwritten: Unwritten = attrs.field(factory=Unwritten)
    markets: Callable[[], Awaitable[Mapping[str, Market]]] | None = None

    async def send(self, order: Order, purpose: Purpose, until_ns: int) -> Submission | Refused:
        """Send an order whose intent is durable, once, if the gate lets it pass and it is not late.

        Both are asked with no wait before the gateway is given the order, and once more right before its first byte
        leaves, where the gateway can tell that moment (`triarb.gateways.last_word`).

        Args:
            order: what to send.
            purpose: what it does to what is at risk.
            until_ns: by when it must leave: what it was decided on is too old from then on.

        Returns:
            What its answer proves; or why it was not sent, and never will be (``leg.late``, ``gate.broken``, or what the
            gate says).

        Raises:
            TradingRefused: the gateway does not trade there at all; nothing was sent.
        """
        found: list[Refused] = []

        def refused() -> Refused | None:
            why = self.withheld(order, purpose, until_ns)
            if why is not None:
                found.append(why)
            return why

        if refused() is None:
            with self.outgoing.passing(order, purpose), last_word(refused):
                answer = await submitted(order, self.gateway)
            if not found or answer.status != SubmissionStatus.REJECTED:
                return answer
        return found[0]

    def withheld(self, order: Order, purpose: Purpose, until_ns: int) -> Refused | None:
        """Why `send` would not send the order now; None where it would."""
        return self._late(order, until_ns) or self._shut(order, purpose)

    def _shut(self, order: Order, purpose: Purpose) -> Refused | None:
        try:
            return self.gate(order, purpose)
        except Exception as error:  # noqa: BLE001 - a check that breaks lets nothing pass
            return Refused("gate.broken", f"the gate raised {type(error).__name__}: {error}")

    def _late(self, order: Order, until_ns: int) -> Refused | None:
        late_ns = self.clock.now_ns() - until_ns
        if late_ns < 0:
            return None
        late_ms = late_ns // NS_PER_MS
        return Refused(
            "leg.late",
            f"{order.client_id} on {order.symbol} was to leave {late_ms} ms ago; what it was decided on is too old",
            {"symbol": order.symbol, "late_ms": late_ms},
        )


_LONGEST_SECONDS: Final = 86_400 * 365
"""A year: far beyond any use, and within what nanoseconds are counted in."""


def _seconds(_: object, attribute: "attrs.Attribute[float]", value: object) -> None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if not 0 < number <= _LONGEST_SECONDS:
        raise UsageError(f"{attribute.name} is {value!r}", hint="give seconds, above zero")


def _unwinding(_: object, attribute: "attrs.Attribute[Unwinding]", value: object) -> None:
    if not isinstance(value, Unwinding):
        hint = 'give an Unwinding, such as Unwinding("cheapest")'
        raise UsageError(f"{attribute.name} is {value!r}", hint=hint)


@attrs.frozen
class Settings:
    """How long an execution may take, and how far it may go.

    Attributes:
        unwinding: what becomes of what it is stranded with.
        leg_seconds: how long the outcome of an order is looked for until it counts as stuck.
        cycle_seconds: after this long no further order is sent.
        send_seconds: how old what an order was decided on may be when it leaves: the plan for the first, the books that
            were read again for the others.
        retry_seconds: the wait before the books are read again where there was no way back, or an order found nothing.
    """

    unwinding: Unwinding = attrs.field(factory=Unwinding, validator=_unwinding)
    leg_seconds: float = attrs.field(default=15.0, validator=_seconds)
    cycle_seconds: float = attrs.field(default=60.0, validator=_seconds)
    retry_seconds: float = attrs.field(default=1.0, validator=_seconds)
    send_seconds: float = attrs.field(default=1.0, validator=_seconds)

    def rules(self, gateway: Trading) -> Rules:
        """How an order of `gateway` is looked for."""
        return Rules(gateway.order_expiry_ns, deadline_ns=round(self.leg_seconds * NS_PER_SECOND))

    def leaves_by(self, decided_ns: int) -> int:
        """Until when an order may leave that was decided on at `decided_ns`."""
        return decided_ns + round(self.send_seconds * NS_PER_SECOND)
