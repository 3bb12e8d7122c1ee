"""What a ledger knows of the orders of unfinished executions: recovery begins from here. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from triarb.exceptions import LedgerError
from triarb.model import Answered, Filled, Intended, Intent, Proven, Unfinished

_Running = Mapping[int, Unfinished]


def recorded(running: _Running, event: Intended | Answered | Filled | Proven) -> _Running:
    """`running` after `event`; the same where the execution that it is of does not run.

    Raises:
        LedgerError: a client id is intended a second time, or an order is proven that is not open
            (``ledger.contradiction``).
    """
    execution = running.get(event.number)
    if execution is None:
        return running
    if isinstance(event, Intended):
        if event.order.client_id in (i.intended.order.client_id for i in execution.intents):
            raise _contradiction(event.order.client_id, "is intended already")
        intents = (*execution.intents, Intent(event))
    else:
        cid = event.fill.client_id if isinstance(event, Filled) else event.client_id
        open_ = [
            i for i in execution.intents if i.intended.order.client_id == cid and not i.outcome
        ]
        if isinstance(event, Proven) and not open_:
            raise _contradiction(cid, f"is no open order of execution {event.number}")
        intents = tuple(_with(i, event) if i in open_ else i for i in execution.intents)
    return MappingProxyType({**running, event.number: attrs.evolve(execution, intents=intents)})


def _with(intent: Intent, event: Answered | Filled | Proven) -> Intent:
    match event:
        case Answered():
            return attrs.evolve(intent, answered=event)
        case Filled():
            return attrs.evolve(intent, fills=(*intent.fills, event.fill))
        case Proven():
            return attrs.evolve(intent, outcome=event.outcome, proven_ns=event.at_ns)


def _contradiction(client_id: str, wrong: str) -> LedgerError:
    return LedgerError(f"{client_id} {wrong}", code="ledger.contradiction")
