"""Proving: carries out what the leg state machine says for an order that may have been sent, until it comes to an end."""

from collections.abc import Awaitable, Callable, Collection

from triarb.clock import NS_PER_SECOND, Clock
from triarb.exceptions import TradingRefused
from triarb.execution.claims import as_it_was
from triarb.execution.machine import LegState, instruction, on
from triarb.execution.messages import BalancesRead, CancelAsked, Do, Event, Failed, Tick, WaitUntil
from triarb.gateways.gateway import Trading
from triarb.ledger import Ledger
from triarb.model import (
    Fill,
    Filled,
    Market,
    NotFound,
    OrderState,
    Proven,
)


async def prove(state: LegState, gateway: Trading, ledger: Ledger, clock: Clock) -> LegState:
    """`state` at its end, by look-ups, cancels and waiting alone: it sends nothing.

    Raises:
        TradingRefused: the gateway does not answer for this account at all.
    """
    order = state.order
    while state.end is None:
        event: Event
        match instruction(state, clock.now_ns()):
            case WaitUntil(at_ns):
                await clock.sleep(max(0, at_ns - clock.now_ns()) / NS_PER_SECOND)
                event = Tick()
            case Do.CANCEL:
                await _asked(lambda: gateway.cancel(order.client_id, order.symbol))
                event = CancelAsked()
            case Do.READ_BALANCES:
                event = await _balances(state.market, gateway, ledger)
            case _:
                event = await _asked(lambda: gateway.look_up(order.client_id, order.symbol))
        state = on(state, event, clock.now_ns())
    return state


def learned(
    state: LegState, number: int, now_ns: int, known: Collection[Fill] = ()
) -> tuple[Filled | Proven, ...]:
    """What is to be journalled of an order: its fills, and then, if it is proven, what became of it.

    Args:
        state: at its end.
        number: the execution's.
        now_ns: the time now.
        known: those of its fills that are on record already.
    """
    on_record = {fill.trade_id for fill in known}
    fills = [Filled(now_ns, number, f) for f in state.fills if f.trade_id not in on_record]
    if state.outcome is None:
        return tuple(fills)
    cid = state.order.client_id
    return (*fills, Proven(now_ns, number, cid, state.outcome, state.reason))


async def _asked(ask: Callable[[], Awaitable[OrderState | NotFound]]) -> Event:
    """The answer, where it is one; a failure otherwise."""
    try:
        answer: object = await ask()
    except TradingRefused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a look-up raises proves nothing
        return Failed(str(error) or type(error).__name__)
    if isinstance(answer, OrderState | NotFound):
        return answer
    return Failed(f"the gateway answered a {type(answer).__name__}")


async def _balances(market: Market, gateway: Trading, ledger: Ledger) -> Event:
    """Whether as much of the market's two assets is free as the ledger says, and was beyond it before."""
    try:
        told = await gateway.balances()
        pair = (market.base, market.quote)
        return BalancesRead(as_it_was(ledger.portfolio(), told, pair))
    except TradingRefused:
        raise
    except Exception as error:  # noqa: BLE001 - unread balances prove nothing
        return Failed(str(error) or type(error).__name__)
