"""All legs of a plan at once, out of inventory; then what is out of balance is brought back."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from triarb.execution.course import Course, Sent
from triarb.execution.rebalancing import imbalance, next_turn
from triarb.execution.steps import Finish, fell_short
from triarb.execution.unwinding import Stranded
from triarb.model import OrderBook, Outcome, Plan, PlannedLeg, Purpose, RateView, Refused
from triarb.money import ZERO, arithmetic


def given(plan: Plan) -> dict[str, Decimal]:
    """By asset, the most that the legs of `plan` give."""
    most: dict[str, Decimal] = {}
    with arithmetic():
        for leg in plan.legs:
            asset = leg.given_asset
            most[asset] = most.get(asset, ZERO) + max(leg.given, leg.worst_given)
    return most


class AtOnce(Course):
    """The course of a `ParallelExecutor`."""

    async def _end(self) -> Finish:
        why = None
        if not self._sent:
            await self._send_all()
            if self._stop is not None and self._stop.outcome is not Outcome.STUCK:
                why, self._stop = self._stop.reason, None  # what went out is brought back
        end = self._stop or self._came_to(why)
        return await self._back(end) if end.outcome is Outcome.SHORT else end

    async def _send_all(self) -> None:
        """Intend every leg, then send all; none, where one of them would not be let through."""
        ready = [
            self._ready(leg, leg.amount, number, Purpose.OPEN)
            for number, leg in enumerate(self._plan.legs, 1)
        ]
        await self._record.intend(*(one.intended for one in ready))
        why = None
        for one in ready:
            order, purpose = one.intended.order, one.intended.purpose
            why = why or self._context.withheld(order, purpose, one.until_ns)
        if why is not None:
            self._ends_short(why)
        sent = await asyncio.gather(
            *(self._carry_out(one, why) for one in ready), return_exceptions=True
        )
        self._sent += [one for one in sent if isinstance(one, Sent)]
        for error in sent:
            if isinstance(error, BaseException):
                raise error

    def _came_to(self, why: Refused | None) -> Finish:
        """How it stands once every leg is proven."""
        legs = self._legs
        if not any(result.filled for result in legs):
            return Finish(Outcome.NOTHING, why or self._short())
        short = self._short()
        return Finish(Outcome.COMPLETED) if short is None else Finish(Outcome.SHORT, why or short)

    def _short(self) -> Refused | None:
        """The first leg that did not fill whole; None where all did."""
        for number, (leg, result) in enumerate(zip(self._plan.legs, self._legs, strict=False), 1):
            if result.filled < leg.amount:
                return fell_short(leg, number, result)
        return None

    def _off_plan(self) -> Stranded:
        return imbalance(self._plan, self._fills).positions(self._plan.start)

    def _turn(self, books: Mapping[str, OrderBook], view: RateView) -> PlannedLeg | Refused:
        now = imbalance(self._plan, self._fills)
        return next_turn(self._plan, now, books, view, self._settings.unwinding)
