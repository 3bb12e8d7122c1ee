"""How an explanation writes its numbers: exactly for programs, shortly for people."""

from decimal import Decimal
from fractions import Fraction

from triarb.money import plain, to_decimal


def exact(number: Decimal | Fraction) -> str:
    """`number` so that ``Fraction(text)`` reads it back equal: a decimal where it ends, else ``numerator/denominator``.

    >>> exact(Fraction(1, 8)), exact(Fraction(2, 3))
    ('0.125', '2/3')
    """
    ratio = Fraction(number)
    rest, places = ratio.denominator, 0
    while rest % 10 == 0:
        rest, places = rest // 10, places + 1
    for factor in (2, 5):
        while rest % factor == 0:
            rest, places = rest // factor, places + 1
    if rest != 1:
        return str(ratio)
    return plain(Decimal(f"{ratio * 10**places}E-{places}"))


def near(number: Decimal | Fraction) -> str:
    """`number` at 12 decimals, after a ``~`` where that is not all of it."""
    ratio = Fraction(number)
    rounded = to_decimal(ratio, 12)
    return plain(rounded) if rounded == ratio else f"~{plain(rounded)}"
