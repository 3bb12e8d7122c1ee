"""Numbers that a person may write for a setting: read exactly, or refused with what to write instead.

See `triarb.operations.values` for what a reader is.
"""

# ruff: noqa: FBT001 - every reader is told whether a file with types told the value

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from triarb.exceptions import UsageError
from triarb.money import BPS, arithmetic, parse_decimal, plain

Reader = Callable[[Any, bool], Any]
"""Reads a value; the second argument says that a file with types (TOML) told it."""

ANY_NUMBER: Final = "write a number, such as 5"
"""The mend where nothing nearer is known."""


def number(value: Any, typed: bool, /) -> Decimal:
    """A number, exactly as it is written.

    Raises:
        UsageError: not one; a text in TOML.
    """
    if isinstance(value, str):
        shown = value.strip()
        try:
            read = parse_decimal(shown)
        except ValueError:
            raise UsageError(
                "it is not a number", code="config.number", hint=_number_mend(shown)
            ) from None
        if typed:
            mend = f"write {shown} without quotes"
            raise UsageError("it is a text, not a number", code="config.type", hint=mend)
        return read
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise UsageError("it is not a number", code="config.type", hint=ANY_NUMBER)
    try:
        return parse_decimal(value)
    except ValueError:
        finite = isinstance(value, int) or value.is_finite()
        mend = "write fewer digits" if finite else ANY_NUMBER
        raise UsageError(
            "it is no number that money can be", code="config.number", hint=mend
        ) from None


def between(low: str, high: str, unit: str, *, whole: bool = False, above: bool = False) -> Reader:
    """The reader of numbers from `low` to `high`; `above` leaves `low` itself out."""
    least, most = Decimal(low), Decimal(high)

    def read(value: Any, typed: bool, /) -> Decimal | int:
        told = number(value, typed)
        if whole and told != told.to_integral_value():
            raise UsageError(
                "it is not a whole number", code="config.number", hint=f"write whole {unit}"
            )
        if not least <= told <= most or (above and told == least):
            bounds = f"{'more than ' if above else ''}{low} to {high} {unit}"
            sign = "it is negative" if told < 0 <= least else "it is out of range"
            raise UsageError(sign, code="config.range", hint=f"write {bounds}")
        return int(told) if whole else told

    return read


def bps(low: str, high: str, *, above: bool = False) -> Reader:
    """The reader of basis points; a fraction in their place is refused."""
    read = between(low, high, "bps", above=above)

    def read_bps(value: Any, typed: bool, /) -> Decimal:
        if isinstance(value, str) and (percent := _percent(value)) is not None:
            with arithmetic():
                mend = f"write {plain(percent * 100)}: it is counted in basis points"
            raise UsageError("it is not a number", code="config.number", hint=mend)
        told: Decimal = read(value, typed)
        if 0 < abs(told) < Decimal("0.1"):
            why = "so few basis points make no difference; it looks like a fraction"
            with arithmetic():
                mend = f"did you mean {plain(told * BPS)} bps ({plain(told * 100)} %)?"
            raise UsageError(why, code="config.percent", hint=mend)
        return told

    return read_bps


def fraction(high_bps: str, *, above: bool = False) -> Reader:
    """The reader of a fraction (0.005 is 0.5 %), as basis points; a percentage in its place is refused."""
    with arithmetic():
        most = Decimal(high_bps) / BPS

    def read(value: Any, typed: bool, /) -> Decimal:
        told = number(value, typed)
        if told < 0 or (above and told == 0):
            sign = "it is negative" if told < 0 else "it is zero"
            raise UsageError(
                sign, code="config.range", hint=f"write a fraction up to {plain(most)}"
            )
        with arithmetic():
            if told > most:
                smaller = told / 100
                meant = f"; did you mean {plain(smaller)}?" if smaller <= most else ""
                why = f"a fraction of {plain(told)} is {plain(told * 100)} %, above {plain(most * 100)} %"
                mend = f"write 0.005 for 0.5 %{meant}"
                raise UsageError(why, code="config.percent", hint=mend)
            return told * BPS

    return read


def _number_mend(shown: str) -> str:
    percent = _percent(shown)
    if percent is not None:
        with arithmetic():
            return f"write {plain(percent / 100)} for {shown}, where a fraction is meant"
    if shown.endswith("%"):
        return "write a number, such as 0.005"
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", shown):
        return f"write {shown.replace(',', '')}"
    if re.fullmatch(r"\d+,\d+", shown):
        return f"write {shown.replace(',', '.')}"
    if re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", shown):
        return f"write {shown.replace('.', '').replace(',', '.')}"
    return ANY_NUMBER


def _percent(shown: str) -> Decimal | None:
    """The number of a percentage; None where it is none."""
    if not shown.strip().endswith("%"):
        return None
    try:
        return parse_decimal(shown.strip().removesuffix("%").strip())
    except ValueError:
        return None
