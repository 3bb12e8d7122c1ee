"""What an engine is given, checked before anything of it is used: a wrong part would fail between two legs."""

from collections.abc import Collection, Sequence
from typing import Final

from triarb.exceptions import UsageError

_PARTS: Final = {  # what each must be able to do, and what gives one
    "gateway": ("order_book", 'CcxtGateway("binance")'),
    "risk": ("review", "RiskLimits(...)"),
    "finder": ("find", "BoundedCycleFinder()"),
    "sizer": ("size", "DepthSizer()"),
    "executor": ("execute", "SequentialExecutor()"),
    "ledger": ("append", 'SqlLedger("mine.sqlite")'),
    "clock": ("now_ns", "SystemClock()"),
}
_REQUIRED: Final = ("gateway", "risk")


def check_parts(
    parts: Sequence[object],
    start: object,
    observers: object,
    interval_seconds: object,
    *,
    freeze: object,
) -> None:
    """See that every part, in the order of an engine's own, can do what it is for.

    Raises:
        UsageError: one cannot; names it, and what gives one.
    """
    for (name, (can, example)), part in zip(_PARTS.items(), parts, strict=True):
        if part is None and name not in _REQUIRED:
            continue
        if isinstance(part, type | str) or not callable(getattr(part, can, None)):
            raise UsageError(f"{name} is {part!r}, which cannot {can}", hint=f"such as {example}")
    if isinstance(start, str):
        raise UsageError(f"start is the text {start!r}", hint=f"write start=[{start!r}]")
    if not isinstance(start, Collection) or not all(isinstance(a, str) and a for a in start):
        raise UsageError(f"start is {start!r}", hint='give assets, such as ["USDT"]')
    if not isinstance(observers, Collection) or not all(map(callable, observers)):
        raise UsageError(f"observers are {observers!r}", hint="give a list of functions")
    number = interval_seconds if isinstance(interval_seconds, int | float) else -1
    if not 0 <= number < float("inf"):
        raise UsageError(f"interval_seconds is {interval_seconds!r}", hint="seconds, 0 or more")
    if not isinstance(freeze, bool):
        raise UsageError(f"freeze is {freeze!r}", hint="True or False")
