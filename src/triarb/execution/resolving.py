"""The ways out that a person has: saying what became of an order, and where money came from or went. Both journalled."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from triarb.exceptions import UsageError
from triarb.ledger import Ledger
from triarb.model import (
    BalancesSet,
    Fill,
    Filled,
    Intent,
    LedgerEvent,
    OrderOutcome,
    Proven,
    Side,
    Unfinished,
)
from triarb.money import ZERO, arithmetic, parse_decimal, plain


def resolution(
    unfinished: Sequence[Unfinished],
    client_id: str,
    now_ns: int,
    *,
    evidence: str,
    never: bool = False,
    filled: Decimal | None = None,
    price: Decimal | None = None,
    fees: Mapping[str, Decimal] | None = None,
) -> tuple[LedgerEvent, ...]:
    """The events of a person's word on an order that could not be proven. Pure.

    Its execution is brought to an end by the next recovery.

    Args:
        unfinished: the ledger's unfinished executions.
        client_id: the order's.
        now_ns: the time now.
        evidence: how the person knows, such as where it was looked up.
        never: the exchange never had it. Give this, or `filled`.
        filled: how many base units were filled in all, those on record included.
        price: the average price of the units that are not on record.
        fees: what was charged for those, by asset.

    Raises:
        UsageError: no such open order, or an answer that cannot be true of it.
    """
    execution, intent = _open(unfinished, client_id)
    order, number = intent.intended.order, execution.number
    if not _says_something(evidence):
        raise UsageError(f"{client_id}: there is no evidence", hint="say how you know")
    filled, price = _number("filled", filled), _number("price", price)
    if fees is not None:
        fees = {asset: _number(f"the fee in {asset}", fee) or ZERO for asset, fee in fees.items()}
    if never is (filled is not None):
        raise UsageError(
            f"{client_id}: it was filled, or it never was", hint="say one of never and filled"
        )
    with arithmetic():
        known = sum((fill.amount for fill in intent.fills), ZERO)
        amount = ZERO if filled is None else filled
        rest = amount - known
    if not 0 <= amount <= order.amount or rest < 0:
        raise UsageError(
            f"{client_id}: {plain(amount)} of {plain(order.amount)} filled cannot be, "
            f"{plain(known)} are on record",
            hint="give base units, those on record included",
        )
    events: list[LedgerEvent] = []
    if rest:
        if price is None or price <= 0 or fees is None:
            raise UsageError(
                f"{client_id}: {plain(rest)} are not on record, and their price and fees are not told",
                hint="give the average price, and the fees by asset; 0 of one where there were none",
            )
        limit = order.price
        worse = limit is not None and (price > limit if order.side == Side.BUY else price < limit)
        if worse:
            raise UsageError(
                f"{client_id}: it cannot have filled at {plain(price)}, beyond its limit",
                hint=f"its limit is {limit}; look at the price again",
            )
        base, quote = _pair(execution, order.symbol)
        trade_id = f"by-hand-{client_id}"
        fill = Fill(trade_id, client_id, order.symbol, base, quote, order.side, price, rest, fees)
        events.append(Filled(now_ns, number, fill))
    outcome = OrderOutcome.NEVER if never else OrderOutcome.EXPIRED
    if amount:
        outcome = OrderOutcome.FILLED if amount == order.amount else OrderOutcome.PARTIAL
    events.append(Proven(now_ns, number, client_id, outcome, evidence, by_hand=True))
    return tuple(events)


async def resolve(
    ledger: Ledger,
    client_id: str,
    now_ns: int,
    *,
    evidence: str,
    never: bool = False,
    filled: Decimal | None = None,
    price: Decimal | None = None,
    fees: Mapping[str, Decimal] | None = None,
) -> None:
    """Journal a person's word on an order; see `resolution`.

    Raises:
        UsageError: no such open order, or an answer that cannot be true of it.
        LedgerError: it could not be made durable.
    """
    events = resolution(
        ledger.unfinished(),
        client_id,
        now_ns,
        evidence=evidence,
        never=never,
        filled=filled,
        price=price,
        fees=fees,
    )
    await ledger.append(*events)


async def flow(ledger: Ledger, asset: str, amount: Decimal, now_ns: int, note: str) -> None:
    """Journal that `amount` of `asset` came from outside; below zero, that it went there.

    Raises:
        UsageError: nothing moved, more than the ledger holds, or there is no note.
        LedgerError: it could not be made durable.
    """
    number = _number("the amount", amount)
    if not number or not _says_something(asset) or not _says_something(note):
        raise UsageError(
            f"a flow of {amount} {asset}", hint="give an amount, and a note that says what it was"
        )
    amount = number
    held = ledger.portfolio().balances.get(asset, ZERO)
    if amount < 0 and held + amount < 0:
        raise UsageError(
            f"{plain(-amount)} {asset} cannot have left: the ledger holds {plain(held)}",
            hint="what is beyond the ledger is not booked; it moves freely",
        )
    await ledger.append(BalancesSet(now_ns, {asset: amount}, f"flow: {note}"))


def _says_something(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _number(name: str, value: Decimal | None) -> Decimal | None:
    try:
        return None if value is None else parse_decimal(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint='give it exactly, as Decimal("0.5")') from None


def _open(unfinished: Sequence[Unfinished], client_id: str) -> tuple[Unfinished, Intent]:
    open_ = {
        intent.intended.order.client_id: (execution, intent)
        for execution in unfinished
        for intent in execution.intents
        if intent.outcome is None
    }
    if client_id not in open_:
        known = ", ".join(open_) or "none"
        raise UsageError(f"{client_id} is no open order of this ledger", hint=f"open are: {known}")
    return open_[client_id]


def _pair(execution: Unfinished, symbol: str) -> tuple[str, str]:
    for leg in execution.plan.legs:
        if leg.market.symbol == symbol:
            return leg.market.base, leg.market.quote
    base, _, quote = symbol.partition("/")
    return base, quote
