"""Recovery: at every start, before any trading, what is not proven is proven, and what is half done is brought to an end.

It looks orders up and never sends one again. An execution that was cut off between two legs is gone on with, or unwound,
as the executor would have. What cannot be proven is stuck. It may be run as often as one likes: where there is nothing to
learn it changes nothing, and where it is cut off itself the next one begins anew.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

import attrs

from triarb.clock import Clock
from triarb.exceptions import GatewayError
from triarb.execution.context import ExecutionContext, Settings
from triarb.execution.course import Course, unproven
from triarb.execution.machine import found
from triarb.execution.proving import prove, record
from triarb.execution.steps import Finish
from triarb.gateways.gateway import ExchangeGateway
from triarb.ledger import Ledger
from triarb.market.rates import RateTable
from triarb.model import (
    BalancesSet,
    EngineEvent,
    Execution,
    Halted,
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
from triarb.money import ZERO, arithmetic, plain

LAG_READS: Final = 3
"""How often balances are read that are not what the ledger says: they may lag behind fills, and so show what is spent."""

LAG_SECONDS: Final = 1.0


@attrs.frozen
class Recovery:
    """What a recovery found, and what it did.

    Attributes:
        proven: what became of the orders that had no proven end, by client id.
        stuck: why that is still not known, by client id.
        ended: the executions that it brought to an end.
        drift: what the exchange holds more (less, below zero) than the ledger, by asset; before it was booked.
    """

    proven: Mapping[str, OrderOutcome] = attrs.field(factory=dict)
    stuck: Mapping[str, str] = attrs.field(factory=dict)
    ended: tuple[Execution, ...] = ()
    drift: Mapping[str, Decimal] = attrs.field(factory=dict)

    @property
    def missing(self) -> dict[str, Decimal]:
        """What the exchange holds less than the ledger, by asset."""
        return {asset: -drift for asset, drift in self.drift.items() if drift < 0}

    def __str__(self) -> str:
        lines = [f"order {cid}: {outcome}" for cid, outcome in self.proven.items()]
        lines += [f"order {cid}: not proven, {why}" for cid, why in self.stuck.items()]
        lines += [f"execution {e.number}: ended {e.outcome}" for e in self.ended]
        for asset, drift in self.drift.items():
            word = "more" if drift > 0 else "less"
            lines.append(f"{asset}: the exchange holds {plain(abs(drift))} {word} than the ledger")
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
) -> Recovery:
    """Prove every order that is open in `ledger`, end every execution that can be, and compare the balances.

    What the exchange holds more than the ledger is booked as found. Where it holds less, beyond what orders that are not
    proven may explain, the ledger is halted: a person must say where it went (`triarb.execution.resolving.flow`).

    Args:
        ledger: where intents stand; no other engine may use it.
        gateway: an open gateway to the same account.
        clock: tells the time.
        epoch: what client ids of unwinding orders derive from; never used before on this account.
        gate: asked before each unwinding order.
        emit: tells the observers.
        settings: how long it may take, and how far unwinding may go.

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
        )
        one = _One(execution, context, settings or Settings())
        end = await one.recovered()
        proven.update(one.proven)
        stuck.update(one.stuck)
        uncertain.update(one.uncertain)
        if end is not None:
            ended.append(end)
            if end.outcome is Outcome.STUCK:
                last = (*end.legs, *end.further)[-1].order
                stuck.setdefault(last.client_id, end.reason.sentence if end.reason else "")
                uncertain |= {
                    a for leg in end.plan.legs for a in (leg.market.base, leg.market.quote)
                }
    drift = await _drift(ledger, gateway, clock)
    await _settle(ledger, clock, drift, uncertain, emit)
    return Recovery(proven, stuck, tuple(ended), drift)


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
        legs: list[LegResult] = []
        further: list[LegResult] = []
        why: Refused | None = None
        for intent in execution.intents:
            result, refused = await self._result(intent)
            why = why or refused
            on_plan = intent.intended.leg <= len(execution.plan.legs)
            (legs if on_plan else further).append(result)
        course = Course(
            execution.plan,
            self._context,
            self._settings,
            execution.started_ns,
            legs=legs,
            further=further,
        )
        if why is not None:
            return None if execution.stuck else await course.finish(Finish(Outcome.STUCK, why))
        if not legs:
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
        state = found(
            order,
            self._market(order),
            self._settings.rules(context.gateway),
            context.clock.now_ns(),
            answered=intent.answered.status if intent.answered else None,
            reason=reason,
            fills=intent.fills,
        )
        state = await prove(state, context.gateway, context.ledger, context.clock)
        await record(state, context.number, context.ledger, context.clock, known=intent.fills)
        done_ns = context.clock.now_ns()
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


async def _drift(ledger: Ledger, gateway: ExchangeGateway, clock: Clock) -> dict[str, Decimal]:
    """What the exchange holds beyond the ledger, by asset, where that is not zero."""
    drift: dict[str, Decimal] = {}
    for read in range(LAG_READS):
        if read:
            await clock.sleep(LAG_SECONDS)
        told = {asset: balance.total for asset, balance in (await gateway.balances()).items()}
        held = ledger.portfolio().balances
        with arithmetic():
            differences = {a: told.get(a, ZERO) - held.get(a, ZERO) for a in {*told, *held}}
        drift = {asset: more for asset, more in sorted(differences.items()) if more}
        if not drift or not held:  # nothing to compare with: an opening
            break
    return drift


async def _settle(
    ledger: Ledger,
    clock: Clock,
    drift: Mapping[str, Decimal],
    uncertain: set[str],
    emit: Callable[[EngineEvent], None],
) -> None:
    """Book what was found, and halt where something is missing."""
    portfolio = ledger.portfolio()
    found_more = {a: more for a, more in drift.items() if more > 0 and a not in uncertain}
    if found_more:
        reason = "found at start" if portfolio.balances else "opening"
        await ledger.append(BalancesSet(clock.now_ns(), found_more, reason))
    missing = {a: -more for a, more in drift.items() if more < 0 and a not in uncertain}
    if missing and portfolio.halted is None:
        amounts = ", ".join(f"{plain(amount)} {asset}" for asset, amount in missing.items())
        halted = Halted(clock.now_ns(), f"the exchange holds {amounts} less than the ledger")
        await ledger.append(halted)
        emit(halted)
