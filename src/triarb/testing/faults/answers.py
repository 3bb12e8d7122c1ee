"""What a fault on the wire comes to at a gateway, as `triarb.gateways.ccxt` reads it."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from triarb.exceptions import GatewayError, GatewayUnavailable, MalformedAnswer
from triarb.gateways.ccxt.orders import proves_rejection
from triarb.gateways.ccxt.wire import Wire
from triarb.model import OrderState, OrderStatus, Submission, SubmissionStatus
from triarb.testing.faults.kinds import Alter, Answer, Duplicate
from triarb.testing.faults.run import Request

_STATUSES = {
    "NEW": OrderStatus.OPEN,
    "PARTIALLY_FILLED": OrderStatus.OPEN,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
_WHOSE = {"orderId", "clientOrderId", "symbol"}
_AS_SENT = {"side", "price", "timeInForce", "origQty"}

EXPIRED = Answer(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def unknown(why: str) -> Submission:
    """Nothing is proven."""
    return Submission(SubmissionStatus.UNKNOWN, reason=why)


def judged(fault: Answer) -> Submission:
    """What such an answer to an order proves."""
    wire = Wire(once=True, writes=1, status=fault.status, body=fault.text)
    if proves_rejection("binance", ValueError(), wire):
        return Submission(SubmissionStatus.REJECTED, reason=_words(fault))
    return unknown(_words(fault))


def failure(fault: Answer, what: str) -> GatewayError:
    """What such an answer to a question raises."""
    code = Wire(status=fault.status, body=fault.text).code()
    text, status = f"{what}: {_words(fault)}", fault.status
    if code in ("-1002", "-1022", "-2014", "-2015"):
        return GatewayError(text, code="gateway.credentials")
    if code == "-1021":
        return GatewayError(text, code="gateway.clock")
    if status in (418, 429) or code in ("-1003", "-1015"):
        return GatewayUnavailable(text, code="gateway.rate_limited")
    if code in ("-2011", "-2013"):
        return GatewayError(text, code="gateway.no_such_order")
    if status == 200 and code is None:
        return MalformedAnswer(text, code="gateway.malformed")
    if code is None or status >= 500 or code in ("-1000", "-1001", "-1006", "-1007", "-1008"):
        return GatewayUnavailable(text, code="gateway.unavailable")
    return GatewayError(text, code="gateway.refused")


def silence(what: str) -> GatewayUnavailable:
    """What a question without an answer raises."""
    return GatewayUnavailable(f"{what}: no answer", code="gateway.unavailable")


def distorted(submission: Submission, request: Request) -> Submission:
    """What an answer to an order proves that its faults have changed."""
    state, alter = submission.state, request.first(Alter)
    if state is None:
        return submission
    if request.first(Duplicate):
        state = attrs.evolve(state, fills=state.fills[::-1])
    return (
        attrs.evolve(submission, state=state)
        if alter is None
        else _altered_submission(state, alter)
    )


def _altered_submission(state: OrderState, alter: Alter) -> Submission:
    other = sorted(alter.fields.keys() & (_WHOSE | _AS_SENT))
    if other:
        return unknown(f"it is about another {', '.join(other)}")
    changed = _altered(state, alter.fields)
    if changed.status == OrderStatus.UNKNOWN:
        return unknown(f"its status is {alter.fields['status']}")
    return Submission(SubmissionStatus.ACCEPTED, changed)


def altered_state(state: OrderState, alter: Alter) -> OrderState:
    """What the answer to a look-up says that says something else.

    Raises:
        MalformedAnswer: it is about another order.
    """
    other = sorted(alter.fields.keys() & (_WHOSE - {"orderId"}))
    if other:
        why = f"the order {state.client_id}: it is about another {', '.join(other)}"
        raise MalformedAnswer(why, code="gateway.malformed")
    return _altered(state, alter.fields)


def _altered(state: OrderState, fields: Mapping[str, str]) -> OrderState:
    amount = Decimal(fields.get("origQty", state.amount))
    filled = Decimal(fields.get("executedQty", state.filled))
    status = state.status
    if "status" in fields:
        status = _STATUSES.get(fields["status"], OrderStatus.UNKNOWN)
    if status == OrderStatus.FILLED and filled < amount:
        status = OrderStatus.EXPIRED
    return attrs.evolve(state, amount=amount, filled=filled, status=status)


def _words(fault: Answer) -> str:
    if fault.code is not None:
        return f"{fault.code} {fault.message} (HTTP {fault.status})"
    return f"HTTP {fault.status}, {fault.body[:80]!r}"
