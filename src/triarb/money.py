"""Numbers that are money: parsed from their text, never through a float, rounded by named rules.

Inputs are bounded (at most 30 significant digits, exponents within 10**±30) and the arithmetic context keeps 120
digits, so that every product and sum triarb forms is exact; only divisions round, each by a rule that is named.
"""

import decimal
import re
from contextlib import AbstractContextManager
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, Self, TypeGuard

import attrs

from triarb.exceptions import UsageError

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
BPS: Final = Decimal(10_000)
MAX_DIGITS: Final = 30
MAX_EXPONENT: Final = 30

_TRAPS = [
    decimal.InvalidOperation,
    decimal.DivisionByZero,
    decimal.Overflow,
    decimal.FloatOperation,
]
_CONTEXT = decimal.Context(prec=120, rounding=ROUND_HALF_EVEN, Emin=-9999, Emax=9999, traps=_TRAPS)
_MONEY = re.compile(r"\s*(\S+)\s+([A-Za-z0-9.$_-]+)\s*")


def arithmetic() -> AbstractContextManager[decimal.Context]:
    """The context that all of triarb's Decimal arithmetic runs in; the caller's own is left as it was."""
    return decimal.localcontext(_CONTEXT)


def parse_decimal(value: str | int | Decimal) -> Decimal:
    """`value` as an exact, finite Decimal.

    Raises:
        ValueError: a float (its text is already lost), not a number, not finite, or beyond the bounds of this module.
    """
    told = str(value) if isinstance(value, Decimal) else repr(value)
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{told} is a {type(value).__name__}, not an exact number")  # noqa: TRY004
    try:
        number = Decimal(value)
    except decimal.InvalidOperation:
        raise ValueError(f"{told} is not a number") from None
    if not number.is_finite():
        raise ValueError(f"{told} is not finite")
    significant = bytes(number.as_tuple().digits).rstrip(b"\0")
    if significant and (len(significant) > MAX_DIGITS or abs(number.adjusted()) > MAX_EXPONENT):
        raise ValueError(f"{told} has more digits than money can have")
    return number


def is_exact(value: object) -> TypeGuard[Decimal]:
    """Whether it is a finite Decimal: what somebody else's code gives for money is nothing else, or no money."""
    return isinstance(value, Decimal) and value.is_finite()


def from_float(value: float) -> Decimal:
    """The shortest decimal that reads back as `value`: the wire's own text for numbers of up to 15 digits.

    For data that a library has already made a float (ccxt's order books) and settings typed as one.

    Raises:
        ValueError: not finite.
    """
    return parse_decimal(repr(value))


def parse_bps(value: str | float | Decimal, name: str, unit: str = "bps") -> Decimal:
    """A setting in bps, or in another `unit`, as a person types it: ``5``, ``"7.5"``, and also ``7.5``, read as its shortest text.

    Raises:
        UsageError: not a finite number; names the setting.
    """
    try:
        return from_float(value) if isinstance(value, float) else parse_decimal(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}", hint=f"give {unit}, such as 7.5") from None


def as_gap(value: str | float | Decimal) -> Decimal:
    """An adverse move in bps, as a person types it.

    Raises:
        UsageError: below zero, or more than all.
    """
    gap_bps = parse_bps(value, "gap_bps")
    if not 0 <= gap_bps <= BPS:
        raise UsageError(f"gap_bps is {plain(gap_bps)}", hint="0 to 10000, which is all of it")
    return gap_bps


def plain(value: Decimal) -> str:
    """`value` without an exponent and without trailing zeros: ``0.0000001``, ``63100``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def round_down(value: Decimal, step: Decimal | None) -> Decimal:
    """The largest multiple of `step` that is at most `value`; no step, no rounding. For amounts and buy prices."""
    return _to_step(value, step, ROUND_FLOOR)


def round_up(value: Decimal, step: Decimal | None) -> Decimal:
    """The smallest multiple of `step` that is at least `value`; no step, no rounding. For sell prices and minimums."""
    return _to_step(value, step, ROUND_CEILING)


def _to_step(value: Decimal, step: Decimal | None, rounding: str) -> Decimal:
    if not step:
        return value
    with arithmetic():
        whole, rest = divmod(value, step)  # truncates towards zero
        if rest and rounding == ROUND_CEILING and value > 0:
            whole += 1
        elif rest and rounding == ROUND_FLOOR and value < 0:
            whole -= 1
        return whole * step


def to_decimal(ratio: Fraction, places: int = 18) -> Decimal:
    """`ratio` rounded half to even at `places` decimals, for showing; comparisons use the fraction itself."""
    return Decimal(f"{round(ratio * 10**places)}E-{places}")


def edge_bps(ratio: Fraction) -> Decimal:
    """A rate above (or below) one, in bps: ``(ratio - 1) * 10000``."""
    return to_decimal((ratio - 1) * 10_000)


@attrs.frozen(order=False)
class Money:
    """An amount and the asset it is counted in.

    >>> str(Money.parse("50 USDT"))
    '50 USDT'
    """

    amount: Decimal
    currency: str

    @classmethod
    def parse(cls, text: "str | Money") -> Self:
        """``"50 USDT"`` as Money.

        Raises:
            UsageError: not a number, a space and an asset; or a negative or non-finite number.
        """
        if isinstance(text, Money):
            return cls(text.amount, text.currency)
        match = _MONEY.fullmatch(str(text))
        if match is None:
            raise UsageError(
                f"{text!r} is not an amount of money",
                hint='write it as "50 USDT", with its currency',
            )
        try:
            amount = parse_decimal(match[1])
        except ValueError as error:
            raise UsageError(f"in {text!r}, {error}", hint='write it as "50 USDT"') from None
        if amount < 0:
            raise UsageError(f"{text!r} is negative", hint="limits are positive amounts")
        return cls(amount, match[2])

    def __str__(self) -> str:
        return f"{plain(self.amount)} {self.currency}"


def as_money(value: str | Money) -> Money:
    """`Money.parse`, as a converter of settings."""
    return Money.parse(value)


_PROXY = re.compile(
    r"\s*([A-Za-z0-9.$_-]+)\s*=\s*([A-Za-z0-9.$_-]+)\s*,\s*haircut\s+([0-9.]+)\s*%\s*",
    re.IGNORECASE,
)


@attrs.frozen
class Proxy:
    """An asset that stands for a currency which nothing trades here, and by how much less it is taken for.

    >>> str(Proxy.parse("USD = USDT, haircut 1 %"))
    'USD = USDT, haircut 1 %'

    Attributes:
        haircut_percent: what is taken off: 0, and up to less than 100.
    """

    currency: str
    asset: str
    haircut_percent: Decimal

    @classmethod
    def parse(cls, text: "str | Proxy") -> Self:
        """``"USD = USDT, haircut 1 %"`` as a Proxy. A haircut of none is said as ``0 %``.

        Raises:
            UsageError: it is not of that form; the haircut takes all; or something stands for itself.
        """
        if isinstance(text, Proxy):
            return cls(text.currency, text.asset, text.haircut_percent)
        hint = 'write it as "USD = USDT, haircut 1 %"'
        match = _PROXY.fullmatch(str(text))
        if match is None:
            raise UsageError(f"{text!r} declares no proxy", hint=hint)
        try:
            haircut = parse_decimal(match[3])
        except ValueError as error:
            raise UsageError(f"in {text!r}, {error}", hint=hint) from None
        if haircut >= 100 or match[1] == match[2]:
            raise UsageError(f"{text!r} declares nothing of worth", hint=hint)
        return cls(match[1], match[2], haircut)

    def limit(self, money: Money) -> Money:
        """What a limit of `money` is in the asset: less by the haircut."""
        with arithmetic():
            return Money(money.amount * (100 - self.haircut_percent) / 100, self.asset)

    def __str__(self) -> str:
        return f"{self.currency} = {self.asset}, haircut {plain(self.haircut_percent)} %"
