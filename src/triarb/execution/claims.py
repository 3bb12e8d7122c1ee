"""Claims: what of an account is the engine's. The ledger says; everything else on it is somebody else's, and left alone.

A ledger opens with what is free on the account, or with at most what is claimed. From then on it changes by fills and by a
person's word alone (`triarb.execution.resolving.flow`): what comes to the account beyond it is never adopted, and what is
missing of it halts.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final, Self

import attrs

from triarb.clock import Clock
from triarb.exceptions import GatewayError, LedgerError, UsageError
from triarb.execution.ids import PREFIX
from triarb.gateways.gateway import ExchangeGateway, Listing, Trading
from triarb.ledger import Ledger
from triarb.model import (
    Balance,
    BalancesSet,
    Claimed,
    Compared,
    EngineEvent,
    Halted,
    LedgerEvent,
    Listed,
    Portfolio,
    Unfinished,
)
from triarb.money import ZERO, arithmetic, parse_decimal, plain

LAG_READS: Final = 3
"""How often balances are read that are not what the ledger says: they may lag behind fills, and so show what is spent."""

LAG_SECONDS: Final = 1.0

MARKETS: Final = 20
"""Of how many markets, those traded last, the orders of other engines are asked for at a start."""

_OURS: Final = re.compile(rf"{PREFIX}([0-9a-z]{{4,12}})n([0-9]+)l([0-9]+)a([0-9]+)")
_NOT_FREE: Final = Balance(ZERO)

Emit = Callable[[EngineEvent], None]


@attrs.frozen
class Claim:
    """What an engine owns of an account, and whose orders on it are no surprise.

    Attributes:
        amounts: the most that a new ledger opens with, by asset, and nothing of others; None takes all that is free.
        foreign_prefixes: how the client ids of others' orders begin; an open order of any other id halts. None leaves all
            orders alone that are not those of another triarb.
    """

    amounts: Mapping[str, Decimal] | None = None
    foreign_prefixes: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        amounts: Mapping[str, str | Decimal] | None,
        foreign_prefixes: Collection[str] | None = None,
    ) -> Self:
        """The claim that a person states.

        Raises:
            UsageError: an amount that is none, or a prefix that says nothing.
        """
        if isinstance(foreign_prefixes, str):
            raise UsageError(
                f"foreign_prefixes is the text {foreign_prefixes!r}",
                hint=f"write foreign_prefixes=[{foreign_prefixes!r}]",
            )
        prefixes = None if foreign_prefixes is None else tuple(foreign_prefixes)
        if any(not prefix.strip() for prefix in prefixes or ()):
            raise UsageError("a foreign prefix is empty", hint="say how their client ids begin")
        if amounts is None:
            return cls(None, prefixes)
        return cls({asset: _amount(asset, amount) for asset, amount in amounts.items()}, prefixes)

    def opening(self, free: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What a new ledger opens with, where so much is free."""
        claimed = free if self.amounts is None else self.amounts
        taken = {asset: min(free.get(asset, ZERO), amount) for asset, amount in claimed.items()}
        return {asset: amount for asset, amount in sorted(taken.items()) if amount > 0}


EVERYTHING: Final = Claim()
"""All that is free."""


def _amount(asset: str, amount: str | Decimal) -> Decimal:
    try:
        number = parse_decimal(amount)
    except ValueError as error:
        raise UsageError(
            f"the claim on {asset}: {error}", hint='give it as text, such as "500"'
        ) from None
    if number <= 0:
        raise UsageError(f"the claim on {asset} is {amount}", hint="claim an amount above zero")
    return number


def check_account(portfolio: Portfolio, gateway: ExchangeGateway, claim: Claim) -> None:
    """Whether a ledger is of that account, and was opened with that claim.

    Raises:
        LedgerError: `ledger.other_account`.
        UsageError: `claim.changed`.
    """
    here, there = (portfolio.exchange, portfolio.mode), (gateway.exchange, gateway.mode)
    if portfolio.exchange and here != there:
        raise LedgerError(
            f"the ledger is of {' '.join(here)}, and the gateway goes to {' '.join(there)}",
            code="ledger.other_account",
            hint="name another ledger; each account has one of its own",
        )
    if claim.amounts is not None and is_open(portfolio) and claim.amounts != portfolio.claim:
        told = "everything" if portfolio.claim is None else _amounts(portfolio.claim)
        raise UsageError(
            f"the claim is {_amounts(claim.amounts)}, and the ledger was opened with {told}",
            code="claim.changed",
            hint="triarb flow books what is to be added or taken away; or begin a new ledger",
        )


def is_open(portfolio: Portfolio) -> bool:
    """Whether a ledger has taken what it opens with."""
    return bool(portfolio.balances or portfolio.started)


# Balances


@attrs.frozen
class Comparison:
    """What is free on an account against what its ledger holds.

    Attributes:
        drift: how much more, or, below zero, less is free than when they were last compared, fills apart.
        missing: what is not there of what the ledger holds.
        beyond: what is there beyond it; of an uncertain asset, what was known before.
    """

    drift: Mapping[str, Decimal]
    missing: Mapping[str, Decimal]
    beyond: Mapping[str, Decimal]


def compare(
    portfolio: Portfolio, told: Mapping[str, Balance], uncertain: Collection[str] = ()
) -> Comparison:
    """What `told` comes to against `portfolio`. What is locked is in somebody else's orders. Pure.

    Args:
        portfolio: the ledger's.
        told: the account's balances.
        uncertain: assets of orders that are not proven, of which nothing can be said.
    """
    held, known = portfolio.balances, portfolio.beyond
    drift, missing, beyond = {}, {}, {}
    with arithmetic():
        for asset in sorted({*told, *held, *known}):
            before = known.get(asset, ZERO)
            more = told.get(asset, _NOT_FREE).free - held.get(asset, ZERO)
            drift[asset] = more - before
            if asset in uncertain:
                beyond[asset] = before
            elif more < 0:
                missing[asset] = -more
            else:
                beyond[asset] = more
    return Comparison(_some(drift), missing, _some(beyond))


def as_it_was(portfolio: Portfolio, told: Mapping[str, Balance], assets: Iterable[str]) -> bool:
    """Whether as much of `assets` is free as the ledger holds and was known to be beyond it."""
    drift = compare(portfolio, told).drift
    return not any(asset in drift for asset in assets)


async def reconcile(
    ledger: Ledger,
    gateway: Trading,
    clock: Clock,
    claim: Claim,
    *,
    emit: Emit,
    uncertain: Collection[str] = (),
) -> Comparison:
    """Open a new ledger with what is there; of one that is open, note what is beyond it, and halt where it is short.

    Raises:
        GatewayError: the balances could not be read.
        LedgerError: something could not be made durable.
    """
    told = await gateway.balances()
    if not is_open(ledger.portfolio()):
        return await _opened(ledger, clock, claim, told)
    compared = compare(ledger.portfolio(), told, uncertain)
    for _ in range(LAG_READS - 1):
        if not compared.drift and not compared.missing:
            break
        await clock.sleep(LAG_SECONDS)
        compared = compare(ledger.portfolio(), await gateway.balances(), uncertain)
    if compared.beyond != ledger.portfolio().beyond:
        await ledger.append(Compared(clock.now_ns(), compared.beyond))
    if compared.missing:
        reason = f"the exchange holds {_amounts(compared.missing)} less than the ledger"
        await halt(ledger, clock, reason, emit)
    return compared


async def _opened(
    ledger: Ledger, clock: Clock, claim: Claim, told: Mapping[str, Balance]
) -> Comparison:
    free = {asset: balance.free for asset, balance in told.items() if balance.free > 0}
    opening, now_ns = claim.opening(free), clock.now_ns()
    with arithmetic():
        beyond = _some({asset: free[asset] - opening.get(asset, ZERO) for asset in sorted(free)})
    events: list[LedgerEvent] = []
    if beyond:
        events.append(Compared(now_ns, beyond))
    if claim.amounts is not None and ledger.portfolio().claim != claim.amounts:
        events.append(Claimed(now_ns, claim.amounts))
    if opening:
        events.append(BalancesSet(now_ns, opening, "opening"))
    await ledger.append(*events)
    return Comparison(opening, {}, beyond)


async def halt(ledger: Ledger, clock: Clock, reason: str, emit: Emit) -> None:
    """Halt the ledger, unless it is halted."""
    if ledger.portfolio().halted is None:
        halted = Halted(clock.now_ns(), reason)
        await ledger.append(halted)
        emit(halted)


def _some(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {asset: amount for asset, amount in amounts.items() if amount}


def _amounts(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{plain(amount)} {asset}" for asset, amount in amounts.items())


# Orders


def surprises(
    orders: Iterable[Listed],
    portfolio: Portfolio,
    unfinished: Iterable[Unfinished],
    foreign_prefixes: Collection[str] | None = None,
) -> list[str]:
    """What stands against going on beside `orders` of the account, one sentence for each order. Pure.

    Those are orders that a triarb named which this ledger does not know, and, where the owner states how the ids of others'
    orders begin, orders that do not begin so.
    """
    known = {
        execution.number: {intent.intended.order.client_id for intent in execution.intents}
        for execution in unfinished
    }
    found = []
    for order in orders:
        ours = _OURS.fullmatch(order.client_id)
        if ours is not None:
            epoch, number = ours[1], int(ours[2])
            is_known = epoch in portfolio.epochs and number <= portfolio.started
            if not is_known or order.client_id not in known.get(number, {order.client_id}):
                found.append(
                    f"the order {order.client_id} on {order.symbol} is of a triarb that this ledger does not know"
                )
        elif foreign_prefixes is not None and not order.client_id.startswith(
            tuple(foreign_prefixes)
        ):
            name = order.client_id or "without a client id"
            found.append(f"the order {name} on {order.symbol} is not as any that the owner stated")
    return found


async def look_around(
    ledger: Ledger, gateway: Trading, clock: Clock, claim: Claim, *, emit: Emit, past: bool = False
) -> list[str]:
    """Look at the orders of the account, whoever sent them, and halt where they tell of another engine.

    Args:
        ledger: what is known.
        gateway: lists them, if it can; one that cannot tells nothing.
        clock: tells the time.
        claim: whose orders are no surprise.
        emit: tells the observers.
        past: whether also to ask for those that were placed since the engine before this one began, on the markets
            traded last.

    Returns:
        What stands against going on.

    Raises:
        GatewayError: they could not be read.
        LedgerError: the halt could not be made durable.
    """
    if not isinstance(gateway, Listing):
        return []
    portfolio, unfinished = ledger.portfolio(), ledger.unfinished()
    try:
        found = surprises(
            await gateway.open_orders(), portfolio, unfinished, claim.foreign_prefixes
        )
        for symbol in _traded(portfolio, unfinished) if past else ():
            since_ns = max(portfolio.epochs.values(), default=0)
            found += surprises(await gateway.orders_since(symbol, since_ns), portfolio, unfinished)
    except GatewayError as error:
        if error.code != "gateway.unsupported":
            raise
        return []
    found = list(dict.fromkeys(found))
    if found:
        more = f", and {len(found) - 1} more like it" if len(found) > 1 else ""
        await halt(ledger, clock, f"somebody else trades here: {found[0]}{more}", emit)
    return found


def _traded(portfolio: Portfolio, unfinished: Iterable[Unfinished]) -> list[str]:
    """The markets traded last, the latest first."""
    symbols = [intent.intended.order.symbol for one in unfinished for intent in one.intents]
    for execution in reversed(portfolio.recent):
        symbols += [result.order.symbol for result in (*execution.legs, *execution.further)]
    return list(dict.fromkeys(symbols))[:MARKETS]
