"""The fee at which a cycle earns nothing."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from triarb.model import Cycle
from triarb.money import BPS, ONE, ZERO, arithmetic

PLACES: Final = Decimal("0.0001")
"""To which it is rounded: it is a root, and no decimal is exact."""

_ROOT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN, Emin=-9999, Emax=9999)


def break_even_fee_bps(cycle: Cycle) -> Decimal:
    """The fee a leg, from the received asset, at which `cycle` earns nothing: ``1 - gross ** (-1 / legs)``, in bps.

    Rounded to four decimals. Below zero is the rebate that a cycle which loses before fees would need.
    """
    gross = cycle.gross_ratio
    root = _ROOT.divide(Decimal(-1), Decimal(len(cycle.legs)))
    kept = _ROOT.power(_ROOT.divide(Decimal(gross.numerator), Decimal(gross.denominator)), root)
    with arithmetic():
        return ZERO + ((ONE - kept) * BPS).quantize(PLACES)  # no minus zero
