"""The leg state machine: what became of one order, and what to do next to find out. Pure: it is told events and times.

`on` takes an event in, `instruction` says what to do. Whoever carries instructions out tells `Sending` right before the
order's first byte leaves; from then on no instruction is ever `Submit` again. An order found in a journal after a crash
begins there, by `found`. The machine is total: every state has an answer to every event, and it ends by its deadline.

What counts is proven: a rejection by the gateway's word, an end with all its fills, or that the order never arrived. Absence
is believed only once no request can arrive any more (`Trading.order_expiry_ns`), by several look-ups in a row over a margin
after that, and by balances that did not change. Everything else is unknown, and then the order is stuck.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import attrs

from triarb.execution.messages import (
    BalancesRead,
    CancelAsked,
    Do,
    Done,
    Event,
    Failed,
    Instruction,
    Rules,
    Sending,
    Stuck,
    Tick,
    WaitUntil,
    Withheld,
)
from triarb.execution.proof import contradiction
from triarb.model import (
    Fill,
    Market,
    NotFound,
    Order,
    OrderOutcome,
    OrderState,
    OrderStatus,
    Submission,
    SubmissionStatus,
)
from triarb.money import ZERO, arithmetic

CANCELS: Final = 3
"""How often an order that goes on being open is canceled."""


@attrs.frozen
class LegState:
    """An order on its way, and all that was learned of it.

    Attributes:
        fills: those believed, each once, by trade id.
        trouble: the last thing that stood in the way of a proof.
        end: what became of it; None while that is open.
        sent: whether it may have left.
        answered: whether its answer came, whatever that was.
        seen: whether the exchange has ever said that it has it.
        final: the exchange's word on how it ended.
        told: the most base units that were said to be filled.
        gone_ns: a time by which it had left, if it ever did.
        open_ns: since when it is known to be open.
        absent: how many look-ups in a row did not find it once it could not arrive any more.
        absent_ns: when the first of those was.
        absent_until_ns: when the last was.
        cancels: how often it was canceled.
        look_ups: how often it was asked for.
        next_ns: when to ask next.
    """

    order: Order
    market: Market
    rules: Rules
    fills: tuple[Fill, ...] = ()
    trouble: str = ""
    end: Done | Stuck | None = None
    sent: bool = False
    answered: bool = False
    seen: bool = False
    final: OrderState | None = None
    told: Decimal = ZERO
    gone_ns: int | None = None
    open_ns: int | None = None
    absent: int = 0
    absent_ns: int = 0
    absent_until_ns: int = 0
    cancels: int = 0
    look_ups: int = 0
    next_ns: int = 0

    @property
    def filled(self) -> Decimal:
        """Base units of the fills that are known."""
        with arithmetic():
            return sum((fill.amount for fill in self.fills), ZERO)

    @property
    def outcome(self) -> OrderOutcome | None:
        """What became of it, proven; None where it is not."""
        return self.end.outcome if isinstance(self.end, Done) else None

    @property
    def reason(self) -> str:
        """What was said last: its evidence at a proven end, else what stands in the way of one."""
        match self.end:
            case Done():
                return self.end.evidence
            case Stuck():
                return self.end.reason
            case None:
                return self.trouble

    @property
    def why_not(self) -> str:
        """Why the exchange had nothing of it, or why that is not known; empty where it had it."""
        absent = (OrderOutcome.REJECTED, OrderOutcome.NEVER, None)
        return self.reason if self.outcome in absent else ""

    @property
    def deadline_ns(self) -> int | None:
        """When it counts as stuck; None before it was sent."""
        return None if self.gone_ns is None else self.gone_ns + self.rules.deadline_ns


def begin(order: Order, market: Market, rules: Rules) -> LegState:
    """The state of an order that is durably intended, and not yet sent."""
    return LegState(order, market, rules)


def found(
    order: Order,
    market: Market,
    rules: Rules,
    now_ns: int,
    *,
    answered: SubmissionStatus | None = None,
    reason: str = "",
    fills: Iterable[Fill] = (),
) -> LegState:
    """The state of an order whose intent a journal shows, and of which nobody knows whether it was sent.

    Whoever sent it is gone by now, so that it has left by now if it ever did.

    Args:
        order: what was intended.
        market: its market.
        rules: how to look for it.
        now_ns: the time now.
        answered: what the answer proved, if one is on record.
        reason: what was said with it.
        fills: those on record.
    """
    state = LegState(order, market, rules, sent=True, gone_ns=now_ns, next_ns=now_ns)
    state = _with_fills(state, fills)
    if answered is not None:
        state = on(state, Submission(answered, reason=reason), now_ns)
    return attrs.evolve(state, next_ns=now_ns)


def instruction(state: LegState, now_ns: int) -> Instruction:
    """What to do now."""
    if state.end is not None:
        return state.end
    if not state.sent:
        return Do.SUBMIT
    if _wants_cancel(state, now_ns):
        return Do.CANCEL
    if now_ns < state.next_ns:
        return WaitUntil(state.next_ns)
    return Do.READ_BALANCES if _is_absent(state) else Do.LOOK_UP


def on(state: LegState, event: Event, now_ns: int) -> LegState:
    """`state` after `event`. What comes after the end changes nothing."""
    if state.end is not None:
        return state
    match event:
        case Sending() if not state.sent:
            state = attrs.evolve(state, sent=True, gone_ns=now_ns, next_ns=now_ns)
        case Withheld() if not state.sent:
            state = _done(state, OrderOutcome.REJECTED, event.reason)
        case Submission() if not state.answered:
            state = _answered(state, event, now_ns)
        case OrderState():
            state = _looked(_told(state, event, now_ns), now_ns)
        case NotFound():
            state = _looked(_not_found(state, event, now_ns), now_ns)
        case Failed():
            state = _looked(attrs.evolve(state, trouble=event.reason), now_ns)
        case CancelAsked():
            state = attrs.evolve(state, cancels=state.cancels + 1, next_ns=now_ns)
        case BalancesRead():
            state = _balances(state, unchanged=event.unchanged)
        case Sending() | Withheld() | Submission() | Tick():
            pass
    return _overdue(state, now_ns)


def _answered(state: LegState, answer: Submission, now_ns: int) -> LegState:
    state = attrs.evolve(
        state,
        sent=True,
        answered=True,
        gone_ns=now_ns,
        next_ns=now_ns + state.rules.look_up_ns,
    )
    if answer.reason:
        state = attrs.evolve(state, trouble=answer.reason)
    if answer.status == SubmissionStatus.REJECTED and not state.seen and not state.fills:
        return _done(state, OrderOutcome.REJECTED, answer.reason)
    if answer.status == SubmissionStatus.ACCEPTED:
        state = attrs.evolve(state, seen=True)
        if answer.state is not None:
            state = _told(state, answer.state, now_ns)
    return state


def _told(state: LegState, told: OrderState, now_ns: int) -> LegState:
    """Take in what an exchange says of the order, unless it cannot be true."""
    against = contradiction(told, state.order, state.market)
    if against is not None:
        return attrs.evolve(state, trouble=against)
    state = _with_fills(attrs.evolve(state, seen=True, absent=0), told.fills)
    if state.end is not None:
        return state
    final = state.final
    if told.is_final and final is not None and told.filled != final.filled:
        return _stuck(state, f"it is told to have ended with {final.filled} and {told.filled}")
    final = final or (told if told.is_final else None)
    most = max(state.told, told.filled, state.filled)
    state = attrs.evolve(state, final=final, told=most)
    if final is None:
        return attrs.evolve(state, open_ns=now_ns if state.open_ns is None else state.open_ns)
    if most > final.filled:
        return _stuck(state, f"it ended with {final.filled}, and {most} are told to be filled")
    if state.filled == final.filled:
        return _done(state, _outcome(final), f"its {final.status} state and all its fills")
    return attrs.evolve(state, trouble=f"fills of {state.filled} are told, of {final.filled}")


def _outcome(final: OrderState) -> OrderOutcome:
    if final.filled:
        whole = final.filled == final.amount
        return OrderOutcome.FILLED if whole else OrderOutcome.PARTIAL
    match final.status:
        case OrderStatus.REJECTED:
            return OrderOutcome.REJECTED
        case OrderStatus.CANCELED:
            return OrderOutcome.CANCELED
        case _:
            return OrderOutcome.EXPIRED


def _with_fills(state: LegState, fills: Iterable[Fill]) -> LegState:
    """Each trade once, in an order of their own, so that it does not matter how and how often they were told."""
    known = {fill.trade_id: fill for fill in state.fills}
    for fill in fills:
        before = known.setdefault(fill.trade_id, fill)
        if attrs.evolve(before, time_ns=0) != attrs.evolve(fill, time_ns=0):
            return _stuck(state, f"its fill {fill.trade_id} is told in two ways")
    with arithmetic():
        total = sum((fill.amount for fill in known.values()), ZERO)
    if (
        total > state.order.amount
    ):  # what was believed before stays on record alone: a person can add to it
        return _stuck(state, f"its fills come to {total} of {state.order.amount}")
    return attrs.evolve(state, fills=tuple(known[trade_id] for trade_id in sorted(known)))


def _not_found(state: LegState, told: NotFound, now_ns: int) -> LegState:
    """Count it, if nothing can arrive any more. Of an order that was seen once it says only that what is read lags."""
    if (told.client_id, told.symbol) != (state.order.client_id, state.order.symbol):
        other = f"not found is {told.client_id} on {told.symbol}, which is another order"
        return attrs.evolve(state, trouble=other)
    state = attrs.evolve(state, trouble="it is not found")
    expiry_ns, gone_ns = state.rules.expiry_ns, state.gone_ns
    if state.seen or state.fills or expiry_ns is None or gone_ns is None:
        return state
    if now_ns < gone_ns + expiry_ns:
        return state
    first_ns = now_ns if not state.absent else state.absent_ns
    return attrs.evolve(state, absent=state.absent + 1, absent_ns=first_ns, absent_until_ns=now_ns)


def _is_absent(state: LegState) -> bool:
    enough = state.absent >= state.rules.not_founds
    return enough and state.absent_until_ns >= state.absent_ns + state.rules.margin_ns


def _balances(state: LegState, *, unchanged: bool) -> LegState:
    if not _is_absent(state):
        return state
    if not unchanged:
        changed = "it is not found, but the balances of its assets have changed"
        return attrs.evolve(state, absent=0, trouble=changed)
    return _done(
        state,
        OrderOutcome.NEVER,
        f"not found {state.absent} times after it could have arrived, balances unchanged",
    )


def _wants_cancel(state: LegState, now_ns: int) -> bool:
    """Whether it has been open for too long; each further cancel waits as long again."""
    if state.open_ns is None or state.final is not None or state.cancels == CANCELS:
        return False
    return now_ns >= state.open_ns + state.rules.patience_ns * (state.cancels + 1)


def _looked(state: LegState, now_ns: int) -> LegState:
    wait_ns = min(state.rules.look_up_ns << min(state.look_ups, 30), state.rules.longest_ns)
    return attrs.evolve(state, look_ups=state.look_ups + 1, next_ns=now_ns + wait_ns)


def _overdue(state: LegState, now_ns: int) -> LegState:
    deadline_ns = state.deadline_ns
    if state.end is not None or deadline_ns is None or now_ns < deadline_ns:
        return state
    return _stuck(state, state.trouble or "nothing was told of it")


def _done(state: LegState, outcome: OrderOutcome, evidence: str) -> LegState:
    return attrs.evolve(state, end=Done(outcome, evidence))


def _stuck(state: LegState, reason: str) -> LegState:
    return attrs.evolve(state, end=Stuck(reason))
