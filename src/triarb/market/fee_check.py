"""Whether fills were charged what their plans counted on. Pure: from executions alone, so that a restart forgets nothing."""

from collections.abc import Iterable, Mapping, Sequence
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


@attrs.frozen
class Charged:
    """What the fills of one execution on one market were charged; sums are in the market's quote asset.

    Attributes:
        fills: how many.
        notional: what those of them traded whose fee has a price.
        charged: what those were charged.
        drift: how much more that is than expected.
        assets: what they were charged in.
        unexpected: how many were charged in an asset that `Fee` does not name.
        unexpected_assets: those.
    """

    fills: int
    notional: Fraction
    charged: Fraction
    drift: Fraction
    assets: frozenset[str]
    unexpected: int
    unexpected_assets: frozenset[str]

    @classmethod
    def of(cls, found: Sequence[tuple[Fill, FillCheck]]) -> "Charged":
        """The sums of what was found of each fill."""
        checks = [check for _, check in found]
        priced = [(check, check.charged) for check in checks if check.charged is not None]
        return cls(
            len(checks),
            sum((check.notional for check, _ in priced), Fraction(0)),
            sum((cost for _, cost in priced), Fraction(0)),
            sum((check.drift for check, _ in priced), Fraction(0)),
            frozenset(asset for fill, _ in found for asset in fill.fees),
            sum(bool(check.unexpected) for check in checks),
            frozenset(asset for check in checks for asset in check.unexpected),
        )


def charged_by(execution: Execution) -> Mapping[str, Charged]:
    """By symbol, what the fills of an execution were charged against what its plan counted on."""
    fees = {leg.market.symbol: leg.fee for leg in execution.plan.legs}
    found: dict[str, list[tuple[Fill, FillCheck]]] = {}
    orders = (*execution.legs, *execution.further)
    for fill in (fill for order in orders for fill in order.fills):
        fee = fees.get(fill.symbol)
        if fee is not None:
            found.setdefault(fill.symbol, []).append((fill, check_fill(fill, fee)))
    return MappingProxyType({symbol: Charged.of(checks) for symbol, checks in found.items()})


def check_fees(executions: Iterable[Mapping[str, Charged]]) -> Mapping[str, FeeCheck]:
    """By symbol, what the fills of executions were charged; of each, the newest last, by `charged_by`."""
    by_symbol: dict[str, list[Charged]] = {}
    for execution in executions:
        for symbol, charged in execution.items():
            by_symbol.setdefault(symbol, []).append(charged)
    return MappingProxyType({symbol: _summed(charged) for symbol, charged in by_symbol.items()})


def _summed(everything: Sequence[Charged]) -> FeeCheck:
    last = everything[-1]
    charged_bps, drift_bps = _in_bps(everything)
    last_charged_bps, last_drift_bps = _in_bps([last])
    return FeeCheck(
        fills=sum(one.fills for one in everything),
        charged_bps=charged_bps,
        drift_bps=drift_bps,
        assets=tuple(sorted(frozenset().union(*(one.assets for one in everything)))),
        unexpected=sum(one.unexpected for one in everything),
        last_charged_bps=last_charged_bps,
        last_drift_bps=last_drift_bps,
        last_unexpected=tuple(sorted(last.unexpected_assets)),
    )


def _in_bps(everything: Iterable[Charged]) -> tuple[Decimal | None, Decimal]:
    """What was charged, and the drift, of all that has a price."""
    some = list(everything)
    notional = sum((one.notional for one in some), Fraction(0))
    if not notional:
        return None, ZERO
    charged = sum((one.charged for one in some), Fraction(0))
    drift = sum((one.drift for one in some), Fraction(0))
    return to_decimal(charged / notional * int(BPS)), to_decimal(drift / notional * int(BPS))
