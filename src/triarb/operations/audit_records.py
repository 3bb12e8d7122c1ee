"""What an audit log says of an event: enough to answer why something was done or not, and small."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from triarb.model import (
    Confirmed,
    Declined,
    EngineEvent,
    Level,
    Nominated,
    OrderBook,
    Planned,
    PlannedLeg,
    Reviewed,
)
from triarb.money import plain

NOMINATED: Final = 20
"""How many of the cycles that are nominated at once are named, best first; all are counted."""


def decision(event: EngineEvent) -> tuple[str, dict[str, Any]] | None:
    """The kind of a decision and what is said of it; None for what is none, or what the ledger tells."""
    match event:
        case Nominated(_, cycles) if cycles:
            best = [[cycle.id, plain(cycle.edge_bps)] for cycle in cycles[:NOMINATED]]
            return "Nominated", {"cycles": len(cycles), "best": best}
        case Confirmed(_, opportunity):
            books = {symbol: _top(book) for symbol, book in opportunity.books.items()}
            cycle = opportunity.cycle
            return "Confirmed", {"cycle": cycle.id, "start": cycle.start, "books": books}
        case Declined(_, cycle, refused):
            why = {"code": refused.code, "sentence": refused.sentence}
            return "Declined", {"cycle": cycle.id, **why, "numbers": _numbers(refused.numbers)}
        case Reviewed(_, approved):
            cycle = approved.opportunity.cycle
            bounds = {
                "max_amount": _text(approved.max_amount),
                "max_loss": _text(approved.max_loss),
                "min_edge_bps": _text(approved.min_edge_bps),
            }
            return "Approved", {"cycle": cycle.id, "start": cycle.start, **bounds}
        case Planned(_, plan):
            numbers = {
                "at_stake": plain(plan.at_stake),
                "expected_result": plain(plan.expected_result),
                "worst_result": plain(plan.worst_result),
                "stranded_losses": [plain(loss) for loss in plan.stranded_losses],
            }
            legs = [_leg(leg) for leg in plan.legs]
            return "Planned", {"cycle": plan.cycle_id, "start": plan.start, **numbers, "legs": legs}
    return None


def _leg(leg: PlannedLeg) -> dict[str, str]:
    return {
        "symbol": leg.market.symbol,
        "side": str(leg.side),
        "amount": plain(leg.amount),
        "limit_price": plain(leg.limit_price),
    }


def _top(book: OrderBook) -> dict[str, Any]:
    return {"bid": _level(book.bids), "ask": _level(book.asks), "received_ns": book.received_ns}


def _level(side: tuple[Level, ...]) -> list[str] | None:
    return [plain(side[0].price), plain(side[0].amount)] if side else None


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _numbers(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _number(value) for name, value in numbers.items()}


def _number(value: Any) -> Any:
    """As JSON has it, where it does; else as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)
