"""Whether fills were charged what their plans counted on. Pure: from executions alone, so that a restart forgets nothing."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final

import attrs

from triarb.market.charges import charge, predicted
from triarb.model import Execution, Fee, FeeCheck, Fill
from triarb.money import BPS, ZERO, to_decimal

UNIT: Final = Decimal("1e-8")
"""By less than this, in the asset charged, a fee may differ for the exchange's own rounding."""


@attrs.frozen
class FillCheck:
    """One fill's fee against what was expected, in the quote asset of its market.

    Attributes:
        notional: what the fill traded.
        charged: what it was charged, as far as that has a price; None where nothing of it has.
        drift: how much more that is than expected, the exchange's rounding aside.
        unexpected: the assets that it was charged in and that `Fee` does not name.
    """

    notional: Fraction
    charged: Fraction | None
    drift: Fraction
    unexpected: tuple[str, ...]


def check_fill(fill: Fill, fee: Fee) -> FillCheck:
    """What `fill` was charged against what `fee` expected.

    A fee in a token that has no price, where the plan did not count on it, is as expected: it is never more than the
    full fee, and the plan counted on that one.
    """
    asset, size = predicted(fill, fee)
    worth = {fill.base: Fraction(fill.price), fill.quote: Fraction(1)}
    known = {asset}
    if fee.token is not None:
        known.add(fee.token.asset)
        known.add(charge(fill, fee)[0])  # where the token runs out
        if fee.token.bid is not None:
            worth.setdefault(fee.token.asset, Fraction(fee.token.bid))
    expected = Fraction(size) * worth[asset]
    priced = {name: Fraction(cost) for name, cost in fill.fees.items() if name in worth}
    unexpected = tuple(sorted({name for name, cost in fill.fees.items() if cost} - known))
    notional = Fraction(fill.amount) * Fraction(fill.price)
    if fill.fees and not priced:
        return FillCheck(notional, None, Fraction(0), unexpected)
    charged = sum((cost * worth[name] for name, cost in priced.items()), Fraction(0))
    rounding = sum((Fraction(UNIT) * worth[name] for name in priced), Fraction(0))
    drift = charged - expected
    return FillCheck(
        notional, charged, drift if abs(drift) >= rounding else Fraction(0), unexpected
    )


def check_fees(executions: Iterable[Execution]) -> Mapping[str, FeeCheck]:
    """By symbol, what the fills of `executions`, the newest last, were charged against what their plans counted on."""
    by_symbol: dict[str, list[list[tuple[Fill, FillCheck]]]] = {}
    for execution in executions:
        fees = {leg.market.symbol: leg.fee for leg in execution.plan.legs}
        own: dict[str, list[tuple[Fill, FillCheck]]] = {}
        orders = (*execution.legs, *execution.further)
        for fill in (fill for order in orders for fill in order.fills):
            fee = fees.get(fill.symbol)
            if fee is not None:
                own.setdefault(fill.symbol, []).append((fill, check_fill(fill, fee)))
        for symbol, found in own.items():
            by_symbol.setdefault(symbol, []).append(found)
    return MappingProxyType({symbol: _summed(found) for symbol, found in by_symbol.items()})


def _summed(by_execution: list[list[tuple[Fill, FillCheck]]]) -> FeeCheck:
    everything = [found for executed in by_execution for found in executed]
    checks = [check for _, check in everything]
    last = [check for _, check in by_execution[-1]]
    charged_bps, drift_bps = _in_bps(checks)
    last_charged_bps, last_drift_bps = _in_bps(last)
    return FeeCheck(
        fills=len(checks),
        charged_bps=charged_bps,
        drift_bps=drift_bps,
        assets=tuple(sorted({asset for fill, _ in everything for asset in fill.fees})),
        unexpected=sum(bool(check.unexpected) for check in checks),
        last_charged_bps=last_charged_bps,
        last_drift_bps=last_drift_bps,
        last_unexpected=tuple(sorted({asset for check in last for asset in check.unexpected})),
    )


def _in_bps(checks: list[FillCheck]) -> tuple[Decimal | None, Decimal]:
    """What was charged, and the drift, of all that has a price."""
    priced = [(check, check.charged) for check in checks if check.charged is not None]
    notional = sum((check.notional for check, _ in priced), Fraction(0))
    if not notional:
        return None, ZERO
    charged = sum((cost for _, cost in priced), Fraction(0))
    drift = sum((check.drift for check, _ in priced), Fraction(0))
    return to_decimal(charged / notional * int(BPS)), to_decimal(drift / notional * int(BPS))
