"""Judging: from the rates to nominations, fresh books, risk and a plan; each refusal is counted and told."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from triarb.clock import Clock
from triarb.engine.feed import Feed
from triarb.engine.tally import Tally
from triarb.exceptions import GatewayError
from triarb.execution import Executor, Selective
from triarb.execution.executor import settings_of
from triarb.finders.finder import CycleFinder
from triarb.gateways.gateway import Budgeted, ExchangeGateway
from triarb.ledger import Ledger
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Approved,
    Confirmed,
    Cycle,
    Declined,
    EngineEvent,
    Nominated,
    Opportunity,
    OrderBook,
    Plan,
    Planned,
    Portfolio,
    RateView,
    Refused,
    Reviewed,
)
from triarb.pipeline import nominate, review, size
from triarb.pricing import confirm, settle_tokens
from triarb.risk import RiskPolicy
from triarb.sizing import Sizer

LOOKED_AT: Final = 5
"""How many nominations, best first, have their books read in one step."""


@attrs.frozen
class Judge:
    """What decides about nominations, as it stands in one step.

    Attributes:
        market: the rates now, and where fees and books are asked for.
        start: assets that cycles may begin in, the preferred first; empty for whatever the ledger holds.
        tally: counts.
        emit: tells the observers.
    """

    market: Feed
    ledger: Ledger
    clock: Clock
    finder: CycleFinder
    risk: RiskPolicy
    sizer: Sizer
    start: tuple[str, ...]
    tally: Tally
    emit: Callable[[EngineEvent], None]

    def nominated(self) -> Sequence[Cycle]:
        """The best nominations that could start in something held; those that could not are declined."""
        cycles = nominate(self.market.rates, self.finder)
        self.tally.nominated(cycles)
        self.emit(Nominated(self.clock.now_ns(), tuple(cycles)))
        started = []
        for cycle in cycles:
            if self._starts(cycle):
                started.append(cycle)
            else:
                sentence = f"nothing is held that {cycle.id} could start in"
                self.declined(cycle, Refused("engine.no_start", sentence, {"cycle": cycle.id}))
        return started[:LOOKED_AT]

    def _starts(self, cycle: Cycle) -> list[str]:
        free = self.ledger.portfolio().free
        wanted = self.start or cycle.assets
        return [asset for asset in wanted if asset in cycle.assets and free(asset) > 0]

    async def confirm(self, cycle: Cycle) -> list[Opportunity] | Refused:
        """`cycle` on fresh books, from each of its start assets that confirms it; the first refusal if none does."""
        try:
            fees = await self.market.fees_of(leg.market.symbol for leg in cycle.legs)
        except GatewayError as error:
            return Refused("fees.unavailable", str(error), {"cycle": cycle.id})
        # last: nothing else is waited for on fresh books
        books = await self.market.books_of(cycle)
        if isinstance(books, Refused):
            return books
        view, now_ns, held = self.market.rates.view(), self.clock.now_ns(), self.ledger.portfolio()
        answers = [
            self.priced(begun, books, settle_tokens(begun, fees, view, held), view, now_ns)
            for begun in map(cycle.starting_from, self._starts(cycle))
        ]
        found = [answer for answer in answers if isinstance(answer, Opportunity)]
        self.tally.counts["confirmed"] += bool(found)
        for opportunity in found:
            self.emit(Confirmed(now_ns, opportunity))
        return found or next(answer for answer in answers if isinstance(answer, Refused))

    async def decide(self, cycle: Cycle) -> Plan | Refused:
        """Confirm, review, size: the plan of the first start asset that gets one, or the first refusal."""
        found = await self.confirm(cycle)
        if isinstance(found, Refused):
            return found
        refusals: list[Refused] = []
        for opportunity in found:
            portfolio, now_ns = self.ledger.portfolio(), self.clock.now_ns()
            approved = review(opportunity, self.risk, portfolio, now_ns)
            if isinstance(approved, Refused):
                refusals.append(approved)
                continue
            self.tally.counts["approved"] += 1
            self.emit(Reviewed(now_ns, approved))
            plan = self.sized(approved, portfolio)
            if isinstance(plan, Plan):
                self.tally.counts["planned"] += 1
                self.emit(Planned(now_ns, plan))
                return plan
            refusals.append(plan)
        return refusals[0]

    def priced(
        self,
        cycle: Cycle,
        books: Mapping[str, OrderBook],
        fees: FeeSchedule,
        rates: RateView,
        now_ns: int,
    ) -> Opportunity | Refused:
        """What `cycle` comes to on fresh books."""
        return confirm(cycle, books, fees, rates, now_ns)

    def sized(self, approved: Approved, portfolio: Portfolio) -> Plan | Refused:
        """How much of it to take."""
        return size(approved, self.sizer, portfolio)

    def declined(self, cycle: Cycle, refused: Refused) -> None:
        """Count and tell why a nomination went no further."""
        self.tally.refused[refused.code] += 1
        self.emit(Declined(self.clock.now_ns(), cycle, refused))


def no_room(
    plan: Plan, executor: Executor, gateway: ExchangeGateway, ledger: Ledger
) -> Refused | None:
    """Why the executor would not carry out `plan`, or the exchange might not take all its orders; None if they would."""
    if isinstance(executor, Selective):
        refused = executor.refuses(plan, ledger.portfolio())
        if refused is not None:
            return refused
    orders = len(plan.legs) + settings_of(executor).unwinding.max_orders
    orders += sum(bool(leg.resend) for leg in plan.legs)
    return gateway.room_for(orders) if isinstance(gateway, Budgeted) else None
