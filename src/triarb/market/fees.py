"""FeeSchedule: what each market takes, and where that is known from. No market has a fee by default."""

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Self

import attrs

from triarb.exceptions import UsageError
from triarb.model import Fee, FeeSide, Market, Provenance
from triarb.money import BPS, arithmetic, parse_bps, parse_decimal


@attrs.frozen
class FeeSchedule:
    """The fee of each market.

    Attributes:
        by_symbol: what is known of single markets.
        otherwise: what holds for all others; None where nothing does, and then they cannot be traded.
    """

    by_symbol: Mapping[str, Fee] = attrs.field(factory=dict)
    otherwise: Fee | None = None

    @classmethod
    def flat(cls, fee_bps: str | float | Decimal, note: str = "") -> Self:
        """One fee that the user states, in bps of the received asset, for every market.

        Raises:
            UsageError: not a number, or outside -1000 to 1000 bps.
        """
        bps = parse_bps(fee_bps, "fee_bps")
        if abs(bps) > 1000:
            raise UsageError(f"a fee of {fee_bps} bps is beyond 10 %", hint="10 bps are 0.1 %")
        with arithmetic():
            return cls(otherwise=Fee(bps / BPS, Provenance.OVERRIDE, FeeSide.RECEIVED, note))

    @classmethod
    def stated(cls, markets: Iterable[Market], otherwise: Fee | None = None) -> Self:
        """The markets' own taker fees; `otherwise` for those that state none."""
        fees = {
            market.symbol: Fee(market.taker, Provenance.MARKET)
            for market in markets
            if market.taker is not None
        }
        return cls(fees, otherwise)

    def paid_in(self, asset: str, charged: str | Decimal) -> Self:
        """The same fees where the account pays them in `asset`, of which `charged` of each fee is taken.

        >>> FeeSchedule.flat(10).paid_in("BNB", "0.75").fee("BTC/USDT").token.rate
        Decimal('0.00075')

        Raises:
            UsageError: `charged` is no number from 0 to 1.
        """
        try:
            part = parse_decimal(charged)
        except ValueError as error:
            raise UsageError(f"charged: {error}", hint='"0.75" is 25 % off') from None
        if not 0 <= part <= 1:
            raise UsageError(f"charged is {charged}", hint='"0.75" is 25 % off')
        with arithmetic():
            own = {s: fee.payable_in(asset, fee.rate * part) for s, fee in self.by_symbol.items()}
            other = self.otherwise
            otherwise = other and other.payable_in(asset, other.rate * part)
        return attrs.evolve(self, by_symbol=own, otherwise=otherwise)

    def fee(self, symbol: str) -> Fee | None:
        """What `symbol` takes; None where that is unknown."""
        return self.by_symbol.get(symbol, self.otherwise)

    def provenances(self, symbols: Iterable[str]) -> dict[str, int]:
        """How many of `symbols` have their fee from where; those without one are not counted."""
        fees = (self.fee(symbol) for symbol in symbols)
        return dict(Counter(str(fee.provenance) for fee in fees if fee is not None))
