"""The policy over what fills were charged, against what their plans counted on."""

from decimal import Decimal

import attrs

from triarb.model import Approved, FeeCheck, Leg, Opportunity, Portfolio, Refused
from triarb.money import BPS, arithmetic
from triarb.risk.policy import RiskPolicy
from triarb.risk.settings import as_fee_drift


@attrs.frozen
class MaxFeeDrift(RiskPolicy):
    """Fills may be charged at most `bps` more than their plans said. Refuses ``risk.fee_drift`` and ``risk.fee_asset``.

    By the last execution that traded on each market of the cycle. Once the fee that is counted on now says what was
    charged, nothing is refused any more; else until a person looked and resumed (`Engine.resume`).
    """

    bps: Decimal = attrs.field(converter=as_fee_drift)

    def review(
        self, opportunity: Opportunity, portfolio: Portfolio, _now_ns: int, /
    ) -> Approved | Refused:
        """From the ledger's fills, so that a restart forgets nothing."""
        for leg in opportunity.cycle.legs:
            check = portfolio.health.fees.get(leg.market.symbol)
            if check is not None:
                refusal = self._refusal(leg, check)
                if refusal is not None:
                    return refusal
        return Approved(opportunity)

    def _refusal(self, leg: Leg, check: FeeCheck) -> Refused | None:
        symbol, token = leg.market.symbol, leg.fee.token
        unknown = [a for a in check.last_unexpected if token is None or a != token.asset]
        if unknown:
            return Refused(
                "risk.fee_asset",
                f"{symbol} charged a fee in {' and '.join(unknown)}, which no plan counted on",
                {"symbol": symbol, "assets": ", ".join(unknown)},
            )
        charged_bps = check.last_charged_bps
        if charged_bps is None:
            return None
        with arithmetic():
            rate = token.rate if token is not None and token.counted else leg.fee.rate
            drift_bps = min(check.last_drift_bps, charged_bps - rate * BPS)
        if drift_bps <= self.bps:
            return None
        return Refused(
            "risk.fee_drift",
            f"{symbol} charged {charged_bps:.4f} bps, {drift_bps:.4f} bps more than was counted on",
            {
                "symbol": symbol,
                "charged_bps": charged_bps,
                "drift_bps": drift_bps,
                "max_fee_drift_bps": self.bps,
            },
        )
