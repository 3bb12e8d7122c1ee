"""The last word: whoever sends an order is asked once more, right before its first byte leaves.

Between `Trading.submit` and the wire a gateway may wait: for its limiter, for a signature, for what else it awaits. What was
checked before the call may no longer hold then. So the sender leaves a check behind, and a gateway that can tell the
moment asks it there::

    with last_word(check):
        answer = await gateway.submit(order)

    refused = withheld()  # within the gateway, with nothing awaited before the first byte
    if refused is not None:
        return Submission(SubmissionStatus.REJECTED, reason=str(refused))

A gateway that never asks is no worse than before: a halt waits for what it has under way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from triarb.model import Refused

LastWord = Callable[[], Refused | None]
"""Says why the order must not leave after all; None where it may."""

_left_behind: ContextVar[LastWord | None] = ContextVar("last_word", default=None)


@contextmanager
def last_word(check: LastWord) -> Iterator[None]:
    """Leave `check` behind for the gateway that is given an order inside."""
    token = _left_behind.set(check)
    try:
        yield
    finally:
        _left_behind.reset(token)


def withheld() -> Refused | None:
    """Why the order that is being sent here must not leave; None where it may, or where nobody left a check behind."""
    check = _left_behind.get()
    return None if check is None else check()
