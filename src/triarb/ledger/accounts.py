"""The ledger's arithmetic: what each event does to what we hold. Pure; live and read back, the same events give the same.

Nothing in a state ever changes: an event makes the next one, and whoever holds the old one keeps it as it was.
"""

import decimal
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import attrs

from triarb.clock import utc_day
from triarb.exceptions import LedgerError
from triarb.ledger.health import Went, health
from triarb.ledger.intents import recorded
from triarb.ledger.results import NO_RESULTS, booked, summed
from triarb.model import (
    RECENT as RECENT,
    Answered,
    BalancesSet,
    Claimed,
    Compared,
    Configured,
    EpochStarted,
    Examined,
    Execution,
    ExecutionEnded,
    ExecutionStarted,
    Filled,
    Halted,
    Intended,
    LedgerEvent,
    LimitSet,
    Outcome,
    Portfolio,
    Proven,
    Resumed,
    Unfinished,
)
from triarb.money import arithmetic

_NONE: Final[Mapping[Any, Any]] = MappingProxyType({})
_EMPTY: Final = Portfolio(
    balances=_NONE,
    reserved=_NONE,
    residues=_NONE,
    realised=_NONE,
    results=NO_RESULTS,
    limits=_NONE,
    epochs=_NONE,
    beyond=_NONE,
)


@attrs.frozen
class State:
    """Where the accounts stand after an event.

    Attributes:
        reservations: by the number of the open or stuck execution that has them, amounts by asset.
        unfinished: the open and stuck executions with their orders, by number.
        configured: what the engine that came last ran on, where that is known.
        examined: the last examination.
        went: how each of the portfolio's recent executions went.
    """

    portfolio: Portfolio = _EMPTY
    reservations: Mapping[int, Mapping[str, Decimal]] = _NONE
    unfinished: Mapping[int, Unfinished] = _NONE
    configured: Configured | None = None
    examined: Examined | None = None
    went: tuple[Went, ...] = ()


@attrs.frozen
class Posting:
    """One line of double entry; an event's amounts of each asset sum to zero over the accounts.

    Attributes:
        account: ``trading`` is what we hold; ``market``, ``fees`` and ``world`` are who it came from or went to.
    """

    account: str
    asset: str
    amount: Decimal


@attrs.frozen
class Step:
    """What events come to, before they are taken in.

    Attributes:
        state: after the last of them.
        postings: of each of them.
        trades: those that they tell of, each by symbol and trade id.
    """

    state: State
    postings: tuple[tuple[Posting, ...], ...]
    trades: frozenset[tuple[str, str]]


class Accounts:
    """Applies events one after the other.

    Attributes:
        state: where they stand.
    """

    __slots__ = ("_trades", "state")

    def __init__(self) -> None:
        self.state = State()
        self._trades: set[tuple[str, str]] = set()

    def step(self, *events: LedgerEvent) -> Step:
        """What `events` come to, one after the other; takes nothing in. A fill seen before comes to nothing.

        Raises:
            LedgerError: one contradicts those before it (``ledger.contradiction``), or its sums would round
                (``ledger.inexact``).
        """
        state = self.state
        postings: list[tuple[Posting, ...]] = []
        trades: set[tuple[str, str]] = set()
        for event in events:
            if isinstance(event, Filled):
                trade = event.fill.symbol, event.fill.trade_id
                if trade in self._trades or trade in trades:
                    postings.append(())
                    continue
                trades.add(trade)
            state, lines = _booked(state, event)
            postings.append(lines)
        return Step(state, tuple(postings), frozenset(trades))

    def take(self, step: Step) -> None:
        """Take in what `step` made of events."""
        self._trades |= step.trades
        self.state = step.state

    def apply(self, *events: LedgerEvent) -> None:
        """Take `events` in, or nothing of them.

        Raises:
            LedgerError: as `step`.
        """
        self.take(self.step(*events))


def _booked(state: State, event: LedgerEvent) -> tuple[State, tuple[Posting, ...]]:
    try:
        with arithmetic() as context:
            context.traps[decimal.Inexact] = True
            return _after(state, event), _postings(event)
    except (ArithmeticError, ValueError):
        raise LedgerError(
            f"a number of {event} is beyond what can be booked exactly", code="ledger.inexact"
        ) from None


def _after(state: State, event: LedgerEvent) -> State:
    portfolio = state.portfolio
    match event:
        case Filled():
            balances = summed(portfolio.balances, event.fill.changes())
            return attrs.evolve(
                state,
                portfolio=attrs.evolve(portfolio, balances=balances),
                unfinished=recorded(state.unfinished, event),
            )
        case Intended() | Answered() | Proven():
            return attrs.evolve(state, unfinished=recorded(state.unfinished, event))
        case BalancesSet():
            balances = summed(portfolio.balances, event.changes)
            return attrs.evolve(state, portfolio=attrs.evolve(portfolio, balances=balances))
        case ExecutionStarted():
            return _started(state, event)
        case ExecutionEnded():
            return _ended(state, event.execution)
        case Halted():
            return attrs.evolve(state, portfolio=attrs.evolve(portfolio, halted=event.reason))
        case Resumed():
            return attrs.evolve(state, portfolio=_looked_at(portfolio))
        case EpochStarted() | Claimed() | Compared():
            return attrs.evolve(state, portfolio=_told(portfolio, event))
        case Configured():
            return attrs.evolve(state, configured=event)
        case Examined():
            return attrs.evolve(state, examined=event)
        case LimitSet():
            return attrs.evolve(state, portfolio=_limited(portfolio, event))
        case _:
            return state


def _told(portfolio: Portfolio, event: EpochStarted | Claimed | Compared) -> Portfolio:
    match event:
        case EpochStarted():
            return attrs.evolve(
                portfolio,
                epochs=MappingProxyType({**portfolio.epochs, event.epoch: event.at_ns}),
                exchange=event.exchange or portfolio.exchange,
                mode=event.mode or portfolio.mode,
            )
        case Claimed():
            return attrs.evolve(portfolio, claim=MappingProxyType({**event.amounts}))
        case Compared():
            return attrs.evolve(portfolio, beyond=summed(_NONE, event.beyond))


def _started(state: State, event: ExecutionStarted) -> State:
    portfolio = state.portfolio
    if event.number != portfolio.started + 1:
        raise LedgerError(
            f"execution {event.number} cannot start: {portfolio.started} have started so far",
            code="ledger.contradiction",
            hint="numbers count from 1",
        )
    for asset, amount in event.reserved.items():
        if not 0 <= amount <= portfolio.free(asset):
            raise LedgerError(
                f"execution {event.number} cannot reserve {amount} {asset}: {portfolio.free(asset)} is free",
                code="ledger.contradiction",
            )
    held = event.reserved or {event.plan.legs[0].given_asset: event.plan.at_stake}
    reservations = MappingProxyType({**state.reservations, event.number: held})
    portfolio = attrs.evolve(
        portfolio,
        started=event.number,
        open=(*portfolio.open, event.number),
        reserved=_reserved(reservations),
    )
    begun = Unfinished(event.number, event.plan, event.at_ns, reserved=event.reserved)
    unfinished = MappingProxyType({**state.unfinished, event.number: begun})
    return attrs.evolve(
        state, portfolio=portfolio, reservations=reservations, unfinished=unfinished
    )


def _ended(state: State, execution: Execution) -> State:
    """Book what it brought on the day that it ended, and release what it held.

    One that is stuck keeps its reservation and is not booked: what its order may still spend must not be spent twice.
    Once it is known what became of the order, it ends a second time, and then it counts.
    """
    portfolio, number = state.portfolio, execution.number
    if number not in state.reservations:
        raise LedgerError(
            f"execution {number} cannot end: it is not running", code="ledger.contradiction"
        )
    still_open = tuple(other for other in portfolio.open if other != number)
    stuck = tuple(other for other in portfolio.stuck if other != number)
    if execution.outcome is Outcome.STUCK:
        portfolio = attrs.evolve(portfolio, open=still_open, stuck=(*stuck, number))
        unfinished = MappingProxyType(
            {n: attrs.evolve(u, stuck=u.stuck or n == number) for n, u in state.unfinished.items()}
        )
        return attrs.evolve(state, portfolio=portfolio, unfinished=unfinished)
    reservations = MappingProxyType({n: h for n, h in state.reservations.items() if n != number})
    day = utc_day(execution.ended_ns)
    recent = (*portfolio.recent, execution)[-RECENT:]
    went = (*state.went, Went.of(execution))[-RECENT:]
    portfolio = attrs.evolve(
        portfolio,
        open=still_open,
        stuck=stuck,
        reserved=_reserved(reservations),
        realised=summed(portfolio.realised, {(day, execution.plan.start): execution.result}),
        residues=summed(portfolio.residues, execution.residues),
        results=booked(portfolio.results, execution),
        recent=recent,
        health=health(went, portfolio.looked_at),
    )
    unfinished = MappingProxyType({n: u for n, u in state.unfinished.items() if n != number})
    return attrs.evolve(
        state, portfolio=portfolio, reservations=reservations, unfinished=unfinished, went=went
    )


def _looked_at(portfolio: Portfolio) -> Portfolio:
    """A person has seen what happened so far: rows of losses, peaks and fees count from here on."""
    return attrs.evolve(
        portfolio,
        halted=None,
        looked_at=portfolio.started,
        results=attrs.evolve(portfolio.results, since_peak=_NONE),
        health=attrs.evolve(portfolio.health, consecutive_losses=0, fees=_NONE),
    )


def _limited(portfolio: Portfolio, event: LimitSet) -> Portfolio:
    limits = {name: value for name, value in portfolio.limits.items() if name != event.name}
    if event.value:
        limits[event.name] = event.value
    return attrs.evolve(portfolio, limits=MappingProxyType(limits))


def _postings(event: LedgerEvent) -> tuple[Posting, ...]:
    match event:
        case Filled():
            fill = event.fill
            traded = attrs.evolve(fill, fees={}).changes()
            return _balanced(("market", traded), ("fees", _negated(fill.fees)))
        case BalancesSet():
            return _balanced(("world", event.changes))
        case _:
            return ()


def _balanced(*sources: tuple[str, Mapping[str, Decimal]]) -> tuple[Posting, ...]:
    """What each source brought us, and what that took from the source."""
    trading: Mapping[str, Decimal] = _NONE
    others = []
    for account, changes in sources:
        trading = summed(trading, changes)
        others += [Posting(account, a, -change) for a, change in changes.items() if change]
    return (*(Posting("trading", a, change) for a, change in trading.items()), *others)


def _negated(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {asset: -amount for asset, amount in amounts.items()}


def _reserved(reservations: Mapping[int, Mapping[str, Decimal]]) -> Mapping[str, Decimal]:
    total: Mapping[str, Decimal] = _NONE
    for held in reservations.values():
        total = summed(total, held)
    return total
