"""Certificate: a proof that no cycle can profit, and the check of it, which knows nothing of how it was made.

A potential is a log price that an asset is given. Where no rate beats what the potentials of its two assets allow, the
rates along a cycle cannot either, for around a cycle the potentials cancel.
"""

import math
import sys
from collections.abc import Mapping
from fractions import Fraction

import attrs

from triarb.market.rates import RateTable
from triarb.model import Fee, Quote, Side, gross_rate

ROUNDING = 1e-12
"""More than the floats of `verify` are off on one edge: prices are within 10**±30, so that logs are exact to 1e-13."""


MAX_TOLERANCE = 1e-9
"""The most that `verify` lets floats hide on one edge: eight legs of it are less than a ten-thousandth of a bp."""


@attrs.frozen
class Certificate:
    """Potentials under which no rate stands out, save those of the edges held aside.

    With p the potentials, s the slack and e the tolerance, every edge from u to v that is not held has
    ``log(net rate) <= p[v] - p[u] + s + e``. The sum around a cycle of k legs without a held edge is at most
    ``k * (s + e)``, and its net rate thus at most ``exp(k * (s + e))``:

    - with no slack, no such cycle of any length k beats 1 by more than ``exp(k * e) - 1``;
    - with a slack of ``threshold / n``, none of up to n legs beats ``exp(threshold)`` by more than that, relative to it.

    A cycle passes through a held edge once at most, so that what all held edges together stand out by is the most that
    they can add to the sum of any cycle. Where they stand out by no more than the threshold, and there is no slack, no
    cycle of any length beats it.

    So every cycle (of up to `max_legs` legs) that beats the threshold passes through a held edge; none held, or none of weight, and none
    does.
    A market's two directions are no cycle, though where a rebate makes them pay, one of them is held.

    Attributes:
        potentials: by asset, a log price in a unit of no matter.
        slack: what each edge may be above its potentials, as a log rate.
        threshold: ``log(1 + min edge)``, at least 0.
        max_legs: how long the cycles may be that it speaks of; None is any length.
        tolerance: what floats may hide, by edge, as a log rate.
        held: edges that may stand out, as (asset given, asset received).
        outstanding: by how much they do, all together, at most, as a log rate; infinite where nothing is said of it.
    """

    potentials: Mapping[str, float]
    slack: float = 0.0
    threshold: float = 0.0
    max_legs: int | None = None
    tolerance: float = 1e-11
    held: frozenset[tuple[str, str]] = frozenset()
    outstanding: float = math.inf

    @property
    def proves_none(self) -> bool:
        """Whether it says that no cycle that it speaks of beats the threshold."""
        return not self.held or (not self.slack and self.outstanding <= self.threshold)

    def __str__(self) -> str:
        legs = "any length" if self.max_legs is None else f"up to {self.max_legs} legs"
        bps = math.expm1(self.threshold) * 10_000
        if self.proves_none:
            return f"no cycle of {legs} has an edge above {bps:g} bps"
        edges = "1 edge" if len(self.held) == 1 else f"{len(self.held)} edges"
        return f"every cycle of {legs} with an edge above {bps:g} bps passes through {edges} held aside"


def verify(certificate: Certificate, rates: RateTable) -> str | None:
    """Whether `certificate` holds at the quotes and fees that `rates` has now: one pass over the usable markets.

    It takes every market's two directions from their exact prices and lowest fees, the worse of two parallel markets as well
    as the better, and shares no code with the making of certificates.

    Returns:
        None: it holds, and what `Certificate` says of cycles is proved, the floats of this check included in the
        tolerance. Else a sentence that names the first edge to break it, or what it is missing.
    """
    fault = _fault(certificate)
    if fault is not None:
        return fault
    view = rates.view()
    outstanding: dict[tuple[str, str], float] = {}
    for symbol, quote in view.quotes.items():
        market, fee = view.markets[symbol], view.fees[symbol]
        for side in Side:
            given, received = market.given(side), market.received(side)
            rate = _net_rate(quote, side, fee)
            if rate <= 0:  # at a fee of 100 % nothing returns
                continue
            is_held = (given, received) in certificate.held
            if is_held and math.isinf(certificate.outstanding):
                continue
            for asset in (given, received):
                if asset not in certificate.potentials:
                    return f"{asset} of {symbol} has no potential"
            allowed = certificate.potentials[received] - certificate.potentials[given]
            over = math.log(rate) - (allowed + certificate.slack)
            if is_held:
                most = outstanding.get((given, received), 0.0)
                outstanding[given, received] = max(most, over)
            elif over > certificate.tolerance - ROUNDING:
                return (
                    f"the edge from {given} to {received} ({side} {symbol}) has a log rate {over:.3g} "
                    f"above what its potentials allow"
                )
    together = math.fsum(outstanding.values())
    if together > certificate.outstanding + len(outstanding) * (certificate.tolerance - ROUNDING):
        return f"the edges held aside stand out by {together:.3g} together"
    return None


def _fault(certificate: Certificate) -> str | None:
    """What it says that no rates could make true."""
    slack, threshold = certificate.slack, certificate.threshold
    numbers: tuple[object, ...] = (
        slack,
        threshold,
        certificate.tolerance,
        *certificate.potentials.values(),
    )
    if not all(
        isinstance(number, int | float) and abs(number) <= sys.float_info.max for number in numbers
    ):
        return "a number of the certificate is not finite"
    if certificate.tolerance > MAX_TOLERANCE:
        return f"a tolerance of {certificate.tolerance:g} an edge hides more than floats do"
    if certificate.max_legs is not None and certificate.max_legs < 2:
        return f"it speaks of cycles of up to {certificate.max_legs} legs, and there are none"
    if math.isnan(certificate.outstanding) or certificate.outstanding < 0:
        return f"held edges that stand out by {certificate.outstanding} together do not"
    if threshold < 0:
        return f"a threshold of {threshold:g} is below 0, where nothing is proved"
    if slack > 0 and (certificate.max_legs is None or slack * certificate.max_legs > threshold):
        legs = "any number of" if certificate.max_legs is None else certificate.max_legs
        return f"a slack of {slack:g} for {legs} legs is above the threshold of {threshold:g}"
    return None


def _net_rate(quote: Quote, side: Side, fee: Fee) -> Fraction:
    return gross_rate(side, quote.price_for(side)) * fee.lowest.kept(side)
