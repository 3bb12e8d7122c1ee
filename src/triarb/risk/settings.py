"""Limits as people type them: converters and checks that name what is wrong."""

from collections.abc import Collection, Iterable
from decimal import Decimal
from typing import Any

import attrs

from triarb.exceptions import UsageError
from triarb.model import RECENT
from triarb.money import Money, as_money, parse_bps


def as_min_edge(value: str | float | Decimal) -> Decimal:
    """A least edge in bps, as a person types it."""
    return parse_bps(value, "min_edge_bps")


def as_max_edge(value: str | float | Decimal) -> Decimal:
    """A largest edge in bps, as a person types it."""
    return parse_bps(value, "max_edge_bps")


def as_fee_drift(value: str | float | Decimal) -> Decimal:
    """A largest drift of fees in bps, as a person types it."""
    return parse_bps(value, "max_fee_drift_bps")


def as_slippage(value: str | float | Decimal, name: str = "bps") -> Decimal:
    """How much worse a price may be in bps, as a person types it.

    Raises:
        UsageError: no number, or below zero; names the setting.
    """
    bps = parse_bps(value, name)
    if bps < 0:
        raise UsageError(f"{name} is {value}", hint="0 or more")
    return bps


def as_bps(value: str | float | Decimal) -> Decimal:
    """A number of bps, as a person types it."""
    return parse_bps(value, "bps")


def as_percent(value: str | float | Decimal, name: str = "percent") -> Decimal:
    """A number of percent, as a person types it.

    Raises:
        UsageError: no number, or not from 0 to 100; names the setting.
    """
    percent = parse_bps(value, name, "percent")
    if not 0 <= percent <= 100:
        raise UsageError(f"{name} is {value}", hint="0 to 100, such as 10")
    return percent


def as_names(value: Collection[str]) -> frozenset[str]:
    """Assets and symbols.

    Raises:
        UsageError: one text, which would be taken for its letters; or what is no name.
    """
    names = frozenset(_several(value, "names"))
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"{name!r} is no name", hint='such as "BTC" or "ETH/BTC"')
    return names


def as_amounts(value: Iterable[str | Money]) -> tuple[Money, ...]:
    """Amounts of money, at most one of each asset.

    Raises:
        UsageError: one text; no amount of money; or two of one asset.
    """
    amounts = tuple(map(as_money, _several(value, "amounts")))
    assets = [amount.currency for amount in amounts]
    twice = {asset for asset in assets if assets.count(asset) > 1}
    if twice:
        raise UsageError(f"{min(twice)} has two limits", hint="one amount for each asset")
    return amounts


def one_or_several(value: str | Iterable[str]) -> tuple[Any, ...]:
    """One text as it is, or several."""
    return (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)


def _several(value: object, what: str) -> Iterable[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        kind = "text" if isinstance(value, str) else type(value).__name__
        raise UsageError(f"{value!r} is one {kind}, not {what}", hint=f"write [{value!r}]")
    return value


def as_optional_money(value: str | Money | None) -> Money | None:
    """An amount of money, or none."""
    return None if value is None else as_money(value)


def positive(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """See that a limit is a number above zero.

    Raises:
        UsageError: it is not; the message names it.
    """
    number = value.amount if isinstance(value, Money) else value
    if not isinstance(number, int | Decimal) or isinstance(number, bool) or number <= 0:
        raise UsageError(
            f"{attribute.name} is {value!s}", hint="it must be above zero, and no float"
        )


def whole(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """See that a limit is a whole number above zero.

    Raises:
        UsageError: it is not; the message names it.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise UsageError(f"{attribute.name} is {value!s}", hint="a whole number above zero")


def few(_instance: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """See that a limit is a whole number above zero, and no more than a ledger can count.

    Raises:
        UsageError: it is not; the message names it.
    """
    whole(_instance, attribute, value)
    if value > RECENT:
        raise UsageError(
            f"{attribute.name} is {value}", hint=f"the ledger tells of the last {RECENT} executions"
        )
