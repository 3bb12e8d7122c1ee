"""Sending: what passed the gate and is not answered yet, so that a halt can wait for it; and an answer that proves nothing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

from triarb.exceptions import TradingRefused
from triarb.gateways.gateway import Trading
from triarb.model import Order, Purpose, Submission, SubmissionStatus


@attrs.frozen(eq=False)
class _Passing:
    order: Order
    purpose: Purpose
    answered: asyncio.Event = attrs.field(factory=asyncio.Event)


_within: ContextVar[_Passing | None] = ContextVar("within", default=None)
"""The submission that whatever runs here is a part of."""


class Outgoing:
    """The orders that passed the gate and whose submission is under way. One for all executions of an engine."""

    __slots__ = ("_passing",)

    def __init__(self) -> None:
        self._passing: list[_Passing] = []

    @contextmanager
    def passing(self, order: Order, purpose: Purpose) -> Iterator[None]:
        """`order` is under way for as long as this is open."""
        one = _Passing(order, purpose)
        self._passing.append(one)
        token = _within.set(one)
        try:
            yield
        finally:
            _within.reset(token)
            self._passing.remove(one)
            one.answered.set()

    async def settled(self, forbidden: Callable[[Order, Purpose], bool]) -> None:
        """Wait until every order that is under way and that is `forbidden` now has been answered, or has failed.

        As long as its gateway waits for an answer. Where it is asked from within a submission, as by a gateway that halts
        before it sends, that one is left out: it would wait for itself.
        """
        waits = [
            one.answered.wait()
            for one in self._passing
            if one is not _within.get() and forbidden(one.order, one.purpose)
        ]
        await asyncio.gather(*waits)


async def submitted(order: Order, gateway: Trading) -> Submission:
    """Give the gateway the order, once. Whatever it raises proves nothing about it.

    Raises:
        TradingRefused: the gateway does not trade there at all; nothing was sent.
    """
    try:
        answer: object = await gateway.submit(order)
    except TradingRefused:
        raise
    except Exception as error:  # noqa: BLE001 - nor is it known what it did before
        return _unknown(f"the gateway raised {type(error).__name__}")
    if isinstance(answer, Submission) and isinstance(answer.status, SubmissionStatus):
        reason: object = answer.reason
        return answer if isinstance(reason, str) else _unknown("it gives a reason that is no text")
    return _unknown(f"the gateway answered a {type(answer).__name__}")


def _unknown(reason: str) -> Submission:
    return Submission(SubmissionStatus.UNKNOWN, reason=reason)
