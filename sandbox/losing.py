"""An engine that trades cycles which lose: a sandbox seldom has others. It refuses to be one anywhere else.

All else is the engine that `triarb run` has: its feed, its nominations, its books, its limits but for the least edge, its
gate, its executor, its ledger.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import attrs

from triarb.engine import Engine
from triarb.engine.judging import Judge
from triarb.exceptions import TradingRefused
from triarb.execution import SequentialExecutor
from triarb.execution.unwinding import Unwinding, Way
from triarb.finders import BoundedCycleFinder
from triarb.gateways.gateway import ExchangeGateway
from triarb.market.fees import FeeSchedule
from triarb.model import (
    Approved,
    Cycle,
    Opportunity,
    OrderBook,
    Plan,
    Portfolio,
    RateView,
    Refused,
)
from triarb.operations import TradingConfig
from triarb.operations.ramp import smallest
from triarb.pricing import make_plan
from triarb.pricing.confirm import at_books
from triarb.pricing.size import size_at
from triarb.risk import FirstRefusal, RiskPolicy
from triarb.risk.policies import MinEdge

LEAST_EDGE_BPS: Final = -500
"""What loses more than this is not traded even with play money: such books are hardly real."""


@attrs.frozen
class LosingJudge(Judge):
    """Takes a cycle whatever it earns, as small as its markets let it be."""

    def priced(
        self,
        cycle: Cycle,
        books: Mapping[str, OrderBook],
        fees: FeeSchedule,
        rates: RateView,
        now_ns: int,
    ) -> Opportunity | Refused:
        """On fresh books, without asking whether it earns anything."""
        return at_books(cycle, books, fees, rates, now_ns)

    def sized(self, approved: Approved, portfolio: Portfolio) -> Plan | Refused:
        """The smallest size and a quarter more, within the bounds of the approval and what is free."""
        cycle, books = approved.opportunity.cycle, approved.opportunity.books
        least = smallest(cycle)
        if least is None:
            return Refused("sandbox.no_minimum", f"no market of {cycle.id} tells a minimum")
        priced = size_at(cycle, books, least)
        if isinstance(priced, Refused):
            return priced
        plan = make_plan(approved.opportunity, priced.legs, approved.gap_bps)
        rooms = {
            "size.balance": (plan.at_stake, portfolio.free(cycle.start)),
            "size.bound": (plan.at_stake, approved.max_amount),
            "size.max_loss": (plan.max_loss, approved.max_loss),
        }
        for code, (wanted, room) in rooms.items():
            if room is not None and wanted > room:
                sentence = f"the smallest {cycle.id} needs {wanted} {cycle.start} of {room}"
                return Refused(code, sentence)
        return plan


class LosingEngine(Engine):
    """An `Engine` over a sandbox, with a `LosingJudge`, that goes on to the end of each cycle.

    Raises:
        TradingRefused: ``sandbox.only``: the gateway is none of a sandbox.
    """

    def __init__(self, gateway: ExchangeGateway, config: TradingConfig, **parts: Any) -> None:
        if gateway.mode != "sandbox":
            raise TradingRefused(
                f"cycles that lose are traded in a sandbox, and this gateway is {gateway.mode}",
                code="sandbox.only",
                hint="give it the keys of the exchange's own sandbox",
            )
        super().__init__(
            gateway,
            risk=losing_limits(config),
            finder=BoundedCycleFinder(
                max_legs=3, min_edge_bps=LEAST_EDGE_BPS, start=(config.start,)
            ),
            executor=SequentialExecutor(unwinding=Unwinding(Way.FORWARD)),
            start=(config.start,),
            **parts,
        )

    def _judge(self) -> Judge:
        return LosingJudge(*attrs.astuple(super()._judge(), recurse=False))


def losing_limits(config: TradingConfig) -> RiskPolicy:
    """The limits of `config` without the least edge, and a circuit breaker that losses do not open."""
    kept = [p for p in config.limits().policies().policies if not isinstance(p, MinEdge)]
    breaker = attrs.evolve(config.breaker(), losses=None)
    return FirstRefusal(MinEdge(Decimal(LEAST_EDGE_BPS)), *kept, breaker)
