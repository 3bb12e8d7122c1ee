"""What must not be broken off, whoever cancels the wait for it, and what must not wait for ever."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def to_the_end(
    work: Coroutine[Any, Any, _Result], cancelled: Callable[[], None]
) -> tuple[_Result, bool]:
    """What `work` comes to, and whether somebody wanted to cancel it; `cancelled` is called when somebody does."""
    task = asyncio.ensure_future(work)
    wanted = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            wanted = True
            cancelled()
    return task.result(), wanted


@contextmanager
def alarm(seconds: float, ring: Callable[[], None]) -> Iterator[None]:
    """Call `ring` once `seconds` of real time have passed, unless what is inside is over by then."""
    timer = asyncio.get_running_loop().call_later(max(seconds, 0.0), ring)
    try:
        yield
    finally:
        timer.cancel()
