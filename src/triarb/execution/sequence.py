"""Leg after leg on the plan, each proven before the next; then back by unwinding."""

from collections.abc import Mapping
from decimal import Decimal

import attrs

from triarb.execution.course import Course
from triarb.execution.steps import Finish, next_step, rest
from triarb.execution.unwinding import Stranded, next_trade, off_course, stranded
from triarb.model import (
    LegResult,
    OrderBook,
    Outcome,
    PlannedLeg,
    Purpose,
    RateView,
    Refused,
    TimeInForce,
)


class LegAfterLeg(Course):
    """The course of a `SequentialExecutor`."""

    async def _end(self) -> Finish:
        end = await self._on_plan()
        return await self._back(end) if end.outcome is Outcome.SHORT else end

    async def _on_plan(self) -> Finish:
        while self._stop is None:
            now, legs = self._off_plan(), self._legs
            done = len(legs)
            ahead = self._plan.legs[done] if done < len(self._plan.legs) else None
            held = now.held(ahead.given_asset) if done and ahead else None
            step = next_step(self._plan, legs, held)
            if isinstance(step, Finish):
                return step
            leg, number = self._plan.legs[step.leg], step.leg + 1
            if step.leg:
                refused = self._late() or await self._off_course(step.leg, step.amount, now)
                if refused is not None:
                    return Finish(Outcome.SHORT, refused)
            purpose = Purpose.CLOSE if step.leg else Purpose.OPEN
            result = await self._trade(leg, step.amount, number, purpose)
            await self._send_rest(leg, number, result, purpose)
        return self._stop

    async def _send_rest(
        self, leg: PlannedLeg, number: int, result: LegResult, purpose: Purpose
    ) -> None:
        """Send a leg once more for what it left unspent, where the plan said that it would win something."""
        held = self._off_plan().held(leg.given_asset)
        amount = rest(leg, result, held)
        if amount and self._stop is None and self._late() is None:
            once_more = attrs.evolve(leg, time_in_force=TimeInForce.IOC)
            await self._trade(once_more, amount, number, purpose, attempt=1)

    async def _off_course(self, number: int, amount: Decimal, now: Stranded) -> Refused | None:
        books, view = await self._market(now, widely=False)
        policy = self._settings.unwinding
        return off_course(self._plan, number, amount, now, books=books, view=view, policy=policy)

    def _off_plan(self) -> Stranded:
        return stranded(self._plan.start, self._fills)

    def _turn(self, books: Mapping[str, OrderBook], view: RateView) -> PlannedLeg | Refused:
        return next_trade(self._plan, self._off_plan(), books, view, self._settings.unwinding)
