"""Recovery: at every start, before any trading, what is not proven is proven, and what is half done is brought to an end.

It looks orders up and never sends one again. An execution that was cut off between two legs is gone on with, or unwound,
as the executor would have. What cannot be proven is stuck. It may be run as often as one likes: where there is nothing to
learn it changes nothing, and where it is cut off itself the next one begins anew.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import attrs

from triarb.clock import Clock
from triarb.exceptions import GatewayError
from triarb.execution.at_once import AtOnce
from triarb.execution.claims import EVERYTHING, Claim, is_open, reconcile
from triarb.execution.context import ExecutionContext, Settings
from triarb.execution.course import Sent, unproven
from triarb.execution.keeping import Record, Unwritten
from triarb.execution.machine import found as found_in_journal
from triarb.execution.proving import learned, prove
from triarb.execution.sending import Outgoing
from triarb.execution.sequence import LegAfterLeg
from triarb.execution.steps import Finish
from triarb.gateways.gateway import ExchangeGateway
from triarb.ledger import Ledger
from triarb.market.rates import RateTable
from triarb.model import (
    EngineEvent,
    Execution,
    Intent,
    LegResult,
    Market,
    Order,
    OrderOutcome,
    Outcome,
    Purpose,
    RateView,
    Refused,
    Unfinished,
)
from triarb.money import plain


@attrs.frozen
class Recovery:
    """What a recovery found, and what it did.

    Attributes:
        proven: what became of the orders that had no proven end, by client id.
        stuck: why that is still not known, by client id.
        ended: the executions that it brought to an end.
        drift: how much more, or, below zero, less is free at the exchange than when it was last compared, fills apart, by
            asset; what a new ledger opens with.
        missing: what is not there of what the ledger holds, by asset; it halts.
        surprises: the orders that tell of somebody else who trades here as we do; they halt.
        opened: whether the ledger was new.
    """

    proven: Mapping[str, OrderOutcome] = attrs.field(factory=dict)
    stuck: Mapping[str, str] = attrs.field(factory=dict)
    ended: tuple[Execution, ...] = ()
    drift: Mapping[str, Decimal] = attrs.field(factory=dict)
    missing: Mapping[str, Decimal] = attrs.field(factory=dict)
    surprises: tuple[str, ...] = ()
    opened: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For JSON: amounts as strings."""
        return {
            "opened": self.opened,
            "proven": {cid: str(outcome) for cid, outcome in self.proven.items()},
            "unproven": dict(self.stuck),
            "ended": {str(one.number): str(one.outcome) for one in self.ended},
            "drift": {asset: plain(amount) for asset, amount in self.drift.items()},
            "missing": {asset: plain(amount) for asset, amount in self.missing.items()},
            "surprises": list(self.surprises),
        }

    def __str__(self) -> str:
        lines = [f"order {cid}: {outcome}" for cid, outcome in self.proven.items()]
        lines += [f"order {cid}: not proven, {why}" for cid, why in self.stuck.items()]
        lines += [f"execution {e.number}: ended {e.outcome}" for e in self.ended]
        for asset, amount in self.missing.items():
            lines.append(f"{asset}: the exchange holds {plain(amount)} less than the ledger")
        for asset, amount in self.drift.items():
            if self.opened:
                lines.append(f"{asset}: the ledger opens with {plain(amount)}")
            elif amount > 0 and asset not in self.missing:
                lines.append(
                    f"{asset}: {plain(amount)} came to the exchange; it is not the ledger's"
                )
        lines += self.surprises
        return "\n".join(lines) or "nothing to recover"


async def recover(
    ledger: Ledger,
    gateway: ExchangeGateway,
    clock: Clock,
    *,
    epoch: str,
    gate: Callable[[Order, Purpose], Refused | None] = lambda _order, _purpose: None,
    emit: Callable[[EngineEvent], None] = lambda _event: None,
    settings: Settings | None = None,
    claim: Claim = EVERYTHING,
    outgoing: Outgoing | None = None,
    unwritten: Unwritten | None = None,
) -> Recovery:
    """Prove every order that is open in `ledger`, end every execution that can be, and compare the balances.

    A new ledger opens with what is free at the exchange, or with what is claimed of it. Of one that is open, what the
    exchange holds more is told and left alone. Where it holds less, beyond what orders that are not proven may explain, the
    ledger is halted: a person must say where it went (`triarb.execution.resolving.flow`).

    Args:
        ledger: where intents stand; no other engine may use it.
        gateway: an open gateway to the same account.
        clock: tells the time.
        epoch: what client ids of unwinding orders derive from; never used before on this account.
        gate: asked before each unwinding order.
        emit: tells the observers.
        settings: how long it may take, and how far unwinding may go.
        claim: what a new ledger opens with.
        outgoing: what a halt waits for.
        unwritten: where events go that the ledger does not take; by default the log.

    Raises:
        GatewayError: the balances could not be read.
        LedgerError: something could not be made durable; the next recovery goes on from there.
        TradingRefused: the gateway does not answer for this account at all.
    """
    proven: dict[str, OrderOutcome] = {}
    stuck: dict[str, str] = {}
    ended: list[Execution] = []
    uncertain: set[str] = set()
    unfinished = ledger.unfinished()
    rates = await _rates(gateway) if unfinished else None
    for execution in unfinished:
        context = ExecutionContext(
            gateway,
            gateway.order_book,
            rates or _NO_RATES,
            ledger,
            clock,
            gate,
            emit,
            epoch,
            execution.number,
            outgoing or Outgoing(),
            unwritten or Unwritten(),
        )
        one = _One(execution, context, settings or Settings())
        end = await one.recovered()
        proven.update(one.proven)
        stuck.update(one.stuck)
        uncertain.update(one.uncertain)
        if end is not None:
            ended.append(end)
            if end.outcome is Outcome.STUCK:
                for result in (*end.legs, *end.further):
                    if result.outcome is None:
                        stuck.setdefault(result.order.client_id, result.reason)
                uncertain |= {
                    a for leg in end.plan.legs for a in (leg.market.base, leg.market.quote)
                }
    opens = not is_open(ledger.portfolio())
    found = await reconcile(ledger, gateway, clock, claim, emit=emit, uncertain=uncertain)
    return Recovery(proven, stuck, tuple(ended), found.drift, found.missing, opened=opens)


_NO_RATES: Final = RateView({}, {}, {}, {})


async def _rates(gateway: ExchangeGateway) -> RateView:
    """The markets and their fees, without quotes; none where the exchange does not say: then the plans' own serve."""
    try:
        return RateTable(await gateway.markets(), await gateway.fees()).view()
    except GatewayError:
        return _NO_RATES


class _One:
    """One execution that was cut off, or is stuck.

    Attributes:
        proven: what became of its open orders, by client id.
        stuck: why that is not known, by client id.
        uncertain: the assets of those.
    """

    def __init__(
        self, execution: Unfinished, context: ExecutionContext, settings: Settings
    ) -> None:
        self.proven: dict[str, OrderOutcome] = {}
        self.stuck: dict[str, str] = {}
        self.uncertain: set[str] = set()
        self._execution = execution
        self._context = context
        self._settings = settings

    async def recovered(self) -> Execution | None:
        """Bring it to its end; None where it stays stuck as it was."""
        execution = self._execution
        sent: list[Sent] = []
        why: Refused | None = None
        for intent in execution.intents:
            result, refused = await self._result(intent)
            why = why or refused
            sent.append(Sent(intent.intended.leg, intent.intended.attempt, result))
        kind = AtOnce if execution.reserved else LegAfterLeg
        course = kind(
            execution.plan, self._context, self._settings, execution.started_ns, sent=sent
        )
        if why is not None:
            return None if execution.stuck else await course.finish(Finish(Outcome.STUCK, why))
        if not sent:
            cut_off = Refused("cycle.cut_off", "it was cut off before its first order")
            return await course.finish(Finish(Outcome.NOTHING, cut_off))
        return await course.run()

    async def _result(self, intent: Intent) -> tuple[LegResult, Refused | None]:
        """What an order did, and why that is not proven, if it is not."""
        order, sent_ns = intent.intended.order, intent.intended.at_ns
        reason = intent.answered.reason if intent.answered else ""
        if intent.outcome is not None:
            done_ns = intent.proven_ns
            result = LegResult(order, intent.fills, sent_ns, done_ns, reason, intent.outcome)
            return result, None
        context = self._context
        state = found_in_journal(
            order,
            self._market(order),
            self._settings.rules(context.gateway),
            context.clock.now_ns(),
            answered=intent.answered.status if intent.answered else None,
            reason=reason,
            fills=intent.fills,
        )
        state = await prove(state, context.gateway, context.ledger, context.clock)
        record = Record(context.ledger, context.clock, context.unwritten)
        done_ns = context.clock.now_ns()
        record.learn(*learned(state, context.number, done_ns, known=intent.fills))
        await record.durable()
        result = LegResult(order, state.fills, sent_ns, done_ns, state.why_not, state.outcome)
        if state.outcome is not None:
            self.proven[order.client_id] = state.outcome
            return result, None
        self.stuck[order.client_id] = state.reason
        self.uncertain |= {state.market.base, state.market.quote}
        return result, unproven(state)

    def _market(self, order: Order) -> Market:
        """The market of an order: the plan's, or, of an unwinding order, the exchange's."""
        markets = {leg.market.symbol: leg.market for leg in self._execution.plan.legs}
        base, _, quote = order.symbol.partition("/")
        told = self._context.rates.markets.get(order.symbol)
        return markets.get(order.symbol) or told or Market(order.symbol, base, quote)
