"""check_clock: what every Clock must keep, for the authors of one."""

import asyncio
from collections.abc import Callable

from triarb.clock import Clock


async def check_clock(make: Callable[[], Clock]) -> None:
    """Read and sleep on a clock from `make`, for about 20 ms of its own time.

    Raises:
        AssertionError: it does not tell whole nanoseconds, goes backwards, wakes early, or lets no other task run.
    """
    clock = make()
    before: object = clock.now_ns()
    if not isinstance(before, int) or isinstance(before, bool):
        raise AssertionError(f"now_ns() is {before!r}, not a whole number of nanoseconds")  # noqa: TRY004
    ran = asyncio.Event()
    for seconds in (0.0, 0.001, 0.02):
        ran.clear()
        asyncio.get_running_loop().call_soon(ran.set)
        asked = clock.now_ns()
        await clock.sleep(seconds)
        woken = clock.now_ns()
        if woken < asked:
            raise AssertionError(f"it went back by {asked - woken} ns")
        if woken - asked < round(seconds * 1_000_000_000 * 0.9):  # timers may be a little coarse
            raise AssertionError(f"a sleep of {seconds} s ended after {woken - asked} ns")
        if not ran.is_set():
            raise AssertionError(f"a sleep of {seconds} s let no other task run")
