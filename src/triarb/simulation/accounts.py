"""Who holds what: our account with its locks, and the two that it deals with, the market and the taker of fees.

Each fill moves the same amounts out of one of them and into another, so that no asset is ever made or lost: the sum over
all three changes by deposits and withdrawals alone. The market's account starts at nothing and may go below it.
"""

from collections.abc import Mapping
from decimal import Decimal

from triarb.exceptions import UsageError
from triarb.model import Balance, Fee, Fill, Side
from triarb.money import ONE, ZERO, arithmetic, plain


def reserve(side: Side, price: Decimal, amount: Decimal, fee: Fee) -> Decimal:
    """What a trade must be able to spend of the asset it gives: its cost, and the full fee where that comes on top.

    A rebate is counted only once it is paid.
    """
    with arithmetic():
        given = price * amount if side == Side.BUY else amount
        rate = fee.worst.rate
        return given * (ONE + rate) if fee.on_given(side) and rate > 0 else given


class Accounts:
    """Balances of all parties, by asset. Ours are never below zero, neither free nor locked."""

    def __init__(self, balances: Mapping[str, Decimal] | None = None) -> None:
        self._free: dict[str, Decimal] = {}
        self._locked: dict[str, Decimal] = {}
        self._market: dict[str, Decimal] = {}
        self._fees: dict[str, Decimal] = {}
        for asset, amount in (balances or {}).items():
            self.deposit(asset, amount)

    def free(self, asset: str) -> Decimal:
        """What we can spend of `asset` now."""
        return self._free.get(asset, ZERO)

    def balances(self) -> dict[str, Balance]:
        """What we hold, by asset; those of which we hold nothing are left out."""
        with arithmetic():
            assets = sorted(self._free.keys() | self._locked.keys())
            held = {a: Balance(self.free(a), self._locked.get(a, ZERO)) for a in assets}
            return {asset: balance for asset, balance in held.items() if balance.total}

    def totals(self) -> dict[str, Decimal]:
        """The sum over all parties, by asset, where it is not zero: all that was deposited and not withdrawn."""
        result: dict[str, Decimal] = {}
        with arithmetic():
            for party in (self._free, self._locked, self._market, self._fees):
                for asset, amount in party.items():
                    result[asset] = result.get(asset, ZERO) + amount
        return {asset: amount for asset, amount in sorted(result.items()) if amount}

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Bring `amount` of `asset` in from outside, or take it out if it is negative.

        Raises:
            UsageError: not that much is free.
        """
        self._add(self._free, asset, amount)

    def set_total(self, asset: str, amount: Decimal) -> None:
        """Bring in or take out what makes free and locked together `amount`.

        Raises:
            UsageError: open orders have locked more than that.
        """
        with arithmetic():
            self.deposit(asset, amount - self.free(asset) - self._locked.get(asset, ZERO))

    def lock(self, asset: str, amount: Decimal) -> None:
        """Set `amount` of what is free aside for an open order; a negative one gives it back.

        Raises:
            UsageError: not that much is free, or not that much is locked.
        """
        with arithmetic():
            if amount >= 0:
                self._add(self._free, asset, -amount)
                self._add(self._locked, asset, amount)
            else:
                self._add(self._locked, asset, amount)
                self._add(self._free, asset, -amount)

    def settle(self, fill: Fill) -> None:
        """Exchange what `fill` exchanges with the market, out of what is free, and pay its fees.

        Raises:
            UsageError: not that much is free; then nothing has moved.
        """
        with arithmetic():
            changes = fill.changes()
            for asset, change in changes.items():
                self._require(self._free, asset, change)
            for asset, change in changes.items():
                fee = fill.fees.get(asset, ZERO)
                self._free[asset] = self.free(asset) + change
                self._fees[asset] = self._fees.get(asset, ZERO) + fee
                self._market[asset] = self._market.get(asset, ZERO) - change - fee

    def _add(self, held: dict[str, Decimal], asset: str, change: Decimal) -> None:
        with arithmetic():
            self._require(held, asset, change)
            held[asset] = held.get(asset, ZERO) + change

    def _require(self, held: dict[str, Decimal], asset: str, change: Decimal) -> None:
        has = held.get(asset, ZERO)
        if has + change < 0:
            what = "locked" if held is self._locked else "free"
            raise UsageError(
                f"{plain(-change)} {asset} cannot be taken from {plain(has)} {what}",
                code="account.insufficient",
            )
