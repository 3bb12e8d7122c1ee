"""check_executor: what every Executor must keep, for the authors of one."""

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

import attrs

from triarb.clock import NS_PER_MS
from triarb.exceptions import GatewayUnavailable
from triarb.execution import ExecutionContext, Executor
from triarb.gateways.replay import ReplayGateway
from triarb.ledger import SqlLedger
from triarb.market.rates import RateTable
from triarb.market.tape import Tape
from triarb.model import (
    BalancesSet,
    Intended,
    NotFound,
    Opportunity,
    Order,
    OrderBook,
    OrderState,
    Outcome,
    Plan,
    Purpose,
    Quote,
    Refused,
    Side,
    Submission,
    SubmissionStatus,
    Withdrawn,
)
from triarb.money import ZERO, arithmetic, round_down
from triarb.pricing import confirm, make_plan, most_profitable
from triarb.testing.market import START_NS, planted_triangle

OPENING = {"USDT": "1000", "BTC": "5", "ETH": "70"}
"""Enough of every asset for executors that spend what they hold before it comes."""


async def check_executor(make: Callable[[], Executor]) -> None:
    """Run executors from `make` over a market where all goes well, and over some where a leg fails.

    Raises:
        AssertionError: it sent an order without a durable intent, twice, off step, past a closed gate or beyond its
            limit, or does not say which orders open (spend what the execution did not bring) and which close; or its execution or the ledger differs from what the exchange holds.
    """
    for name, scenario in SCENARIOS.items():
        await _run(name, scenario, make())


@attrs.frozen
class _Scenario:
    """How the market goes on, and how the execution must end.

    Attributes:
        outcomes: one of them; an executor may unwind or not, and prove more or less.
        closed: whether the gate lets no order pass that opens.
        lost: the number of the order whose answer is lost.
        arrives: whether that order arrives all the same.
        silent: whether no look-up is answered.
    """

    changes: tuple[Quote | Withdrawn, ...]
    outcomes: tuple[Outcome, ...]
    closed: bool = False
    lost: int | None = None
    arrives: bool = True
    silent: bool = False


def _at(ms: int, symbol: str, bid: str, ask: str, size: str) -> Quote:
    return Quote(
        symbol,
        Decimal(bid),
        Decimal(ask),
        Decimal(size),
        Decimal(size),
        START_NS + ms * NS_PER_MS,
    )


_LATER = _at(60_000, "ETH/USDT", "5.00", "5.06", "50")
_LOST = Submission(SubmissionStatus.UNKNOWN, reason="the answer was lost")
_FELL_SHORT = (Outcome.SHORT, Outcome.UNWOUND)
_DONE, _STUCK, _NOTHING = (Outcome.COMPLETED,), (Outcome.STUCK,), (Outcome.NOTHING,)

SCENARIOS = {
    "every leg fills": _Scenario((_LATER,), _DONE),
    "leg 1 is gone": _Scenario(
        (_at(1, "BTC/USDT", "101", "102", "3"), _LATER), (*_NOTHING, *_FELL_SHORT)
    ),
    "leg 2 is gone after leg 1": _Scenario(
        (_at(15, "ETH/BTC", "0.06", "0.07", "40"), _LATER), (*_DONE, *_FELL_SHORT)
    ),
    "leg 2 is gone": _Scenario((_at(1, "ETH/BTC", "0.06", "0.07", "40"), _LATER), _FELL_SHORT),
    "leg 3 fills in part": _Scenario((_at(1, "ETH/USDT", "5.05", "5.06", "2"),), _FELL_SHORT),
    "the gate is closed": _Scenario((_LATER,), _NOTHING, closed=True),
    "the gate closes between legs": _Scenario((_LATER,), (*_DONE, *_FELL_SHORT)),
    "an answer is lost": _Scenario((_LATER,), (*_DONE, *_STUCK), lost=2),
    "an order is lost": _Scenario((_LATER,), (*_FELL_SHORT, *_STUCK), lost=2, arrives=False),
    "an answer is lost and nothing more is told": _Scenario((_LATER,), _STUCK, lost=2, silent=True),
}


async def _run(name: str, scenario: _Scenario, executor: Executor) -> None:
    snapshot = planted_triangle()
    replay = ReplayGateway(Tape.of(snapshot, scenario.changes), balances=OPENING, latency_ms=10)
    async with replay, SqlLedger("sqlite://") as ledger:
        rates = RateTable(snapshot.markets, snapshot.fees(), snapshot.quotes)
        plan = _plan(rates)
        held = {asset: balance.total for asset, balance in (await replay.balances()).items()}
        await ledger.append(BalancesSet(START_NS, held, "opening"))
        gateway = _Watched(replay, ledger, scenario)
        closes = name == "the gate closes between legs"

        def gate(_order: Order, purpose: Purpose) -> Refused | None:
            closed = scenario.closed or (closes and gateway.sent)
            return Refused("gate.closed", "no") if closed and purpose is Purpose.OPEN else None

        context = ExecutionContext(
            gateway,
            replay.order_book,
            rates.view(),
            ledger,
            replay.clock,
            gate,
            lambda _event: None,
            "check",
            1,
        )
        execution = await executor.execute(plan, context)
        _demand(not gateway.broken, name, "; ".join(gateway.broken))
        _demand(execution.outcome in scenario.outcomes, name, f"it ended {execution.outcome}")
        _demand(not (scenario.closed and gateway.sent), name, "it sent an order past the gate")
        if execution.outcome is Outcome.STUCK:
            _demand(ledger.portfolio().stuck == (1,), name, "the ledger does not show it stuck")
            return
        if execution.outcome is Outcome.COMPLETED:
            for leg, result in zip(plan.legs, execution.legs, strict=True):
                state = await replay.look_up(result.order.client_id, result.order.symbol)
                filled = state.filled if isinstance(state, OrderState) else ZERO
                whole = filled >= min(leg.amount, result.order.amount)
                _demand(whole, name, f"it ended completed, with {filled} of {leg.market.symbol}")
        _demand(not ledger.unfinished(), name, "the ledger does not show that it ended")
        now = {asset: balance.total for asset, balance in (await replay.balances()).items()}
        with arithmetic():
            changes = {
                asset: change
                for asset in {*held, *now}
                if (change := now.get(asset, Decimal(0)) - held.get(asset, Decimal(0)))
            }
        told = {asset: change for asset, change in execution.changes.items() if change}
        _demand(told == changes, name, f"it says {told} where the exchange has {changes}")
        kept = {a: b for a, b in ledger.portfolio().balances.items() if b}
        _demand(kept == now, name, f"the ledger holds {kept} where the exchange has {now}")
        _demand(not any(ledger.portfolio().reserved.values()), name, "it left a reservation")


def _plan(rates: RateTable) -> Plan:
    view = rates.view()
    edges = {
        (rates.leg(e).given, rates.leg(e).received): e for e, rate in enumerate(rates.rates) if rate
    }
    path = ("USDT", "BTC", "ETH", "USDT")
    cycle = rates.cycle(edges[pair] for pair in pairwise(path))
    books = {symbol: OrderBook.from_quote(quote) for symbol, quote in view.quotes.items()}
    fees = planted_triangle().fees()
    opportunity = confirm(cycle.starting_from("USDT"), books, fees, view, START_NS)
    priced = (
        most_profitable(opportunity, Decimal(100))
        if isinstance(opportunity, Opportunity)
        else opportunity
    )
    if isinstance(priced, Refused) or isinstance(opportunity, Refused):
        raise AssertionError(f"the planted triangle is refused: {priced}")  # noqa: TRY004
    return make_plan(opportunity, priced.legs)


class _Watched:
    """The trading side of a gateway that watches what is sent, and answers some orders otherwise."""

    def __init__(self, gateway: ReplayGateway, ledger: SqlLedger, scenario: _Scenario) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._scenario = scenario
        self.sent: list[Order] = []
        self.broken: list[str] = []
        self.fees = gateway.fees
        self.balances = gateway.balances
        self.order_expiry_ns = gateway.order_expiry_ns

    async def submit(self, order: Order, /) -> Submission:
        intended = [e for e in self._ledger.events() if isinstance(e, Intended)]
        intents = [e.order for e in intended]
        market = next(m for m in await self._gateway.markets() if m.symbol == order.symbol)
        if order not in intents:
            self.broken.append(f"{order.client_id} was sent without an intent")
        if order.client_id in [sent.client_id for sent in self.sent]:
            self.broken.append(f"{order.client_id} was sent twice")
        if round_down(order.amount, market.amount_step) != order.amount:
            self.broken.append(f"{order.amount} is off the step of {order.symbol}")
        if order.price is None:
            self.broken.append("it sent an order without a limit price")
        purposes = [e.purpose for e in intended if e.order == order]
        brought = await self._brought(market.given(order.side))
        if purposes == [Purpose.OPEN if brought >= _spent(order) else Purpose.CLOSE]:
            self.broken.append(f"{order.client_id} does not say whether it opens or closes")
        self.sent.append(order)
        lost = self._scenario.lost == len(self.sent)
        if lost and not self._scenario.arrives:
            return _LOST
        answer = await self._gateway.submit(order)
        return _LOST if lost else answer

    async def _brought(self, asset: str) -> Decimal:
        """How much of `asset` the orders so far really brought, net of what they spent."""
        states = [await self._gateway.look_up(o.client_id, o.symbol) for o in self.sent]
        fills = [fill for s in states if isinstance(s, OrderState) for fill in s.fills]
        with arithmetic():
            return sum((fill.changes().get(asset, ZERO) for fill in fills), ZERO)

    async def look_up(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        if self._scenario.silent:
            raise GatewayUnavailable("no answer", code="gateway.unavailable")
        return await self._gateway.look_up(client_id, symbol)

    async def cancel(self, client_id: str, symbol: str, /) -> OrderState | NotFound:
        return await self._gateway.cancel(client_id, symbol)


def _spent(order: Order) -> Decimal:
    """What `order` spends at most, fees aside."""
    if order.side == Side.SELL or order.price is None:
        return order.amount
    with arithmetic():
        return order.amount * order.price


def _demand(holds: bool, name: str, sentence: str) -> None:  # noqa: FBT001
    if not holds:
        raise AssertionError(f"when {name}: {sentence}")
