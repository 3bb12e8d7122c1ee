"""What a fill is charged, to the last digit: one rule for the simulation, and for checking what an exchange really took."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Final

from triarb.model import Fee, FeeToken, Fill, Quote, Side
from triarb.money import ONE, arithmetic

TOKEN_STEP: Final = Decimal("1e-8")
"""What amounts of a fee token are rounded up to."""


def charge(fill: Fill, fee: Fee) -> tuple[str, Decimal]:
    """The asset and the exact size of the fee of `fill`, whatever fees it has, without a token; a rebate is negative."""
    with arithmetic():
        rate = fee.rate if fee.token is None else fee.token.full_rate
        cost = fill.amount * fill.price
        buys = fill.side == Side.BUY
        in_quote = fee.on_given(fill.side) is buys
        return (fill.quote, cost * rate) if in_quote else (fill.base, fill.amount * rate)


def token_charge(fill: Fill, token: FeeToken, bid: Decimal | None) -> Decimal | None:
    """How much of `token` the fee of `fill` is, where a unit of it brings `bid` in the quote asset.

    Rounded up to `TOKEN_STEP`; exact where the token is one of the assets traded. None where it has no price.
    """
    with arithmetic():
        if fill.base == token.asset:
            return fill.amount * token.rate
        cost = fill.amount * fill.price * token.rate
        if fill.quote == token.asset:
            return cost
        if not bid:
            return None
        steps = Fraction(cost) / Fraction(bid) / Fraction(TOKEN_STEP)
        return Decimal(-(-steps.numerator // steps.denominator)) * TOKEN_STEP


def token_prices(
    asset: str, quote: str, quote_of: Callable[[str], Quote | None]
) -> tuple[Decimal, Decimal] | None:
    """What a unit of `asset` brings and costs in `quote`, on the one market that joins them; None where none tells.

    Where `asset` is the quote asset of that market, rounded against us at 18 decimals.

    Args:
        asset: the token.
        quote: what its prices are in.
        quote_of: the quote of a symbol, if it has one.
    """
    if asset == quote:
        return ONE, ONE
    told = quote_of(f"{asset}/{quote}")
    if told is not None and told.bid and told.ask:
        return told.bid, told.ask
    told = quote_of(f"{quote}/{asset}")
    if told is None or not told.bid or not told.ask:
        return None
    bid, ask = 1 / Fraction(told.ask), 1 / Fraction(told.bid)
    return Decimal(f"{bid * 10**18 // 1}E-18"), Decimal(f"{-(-ask * 10**18 // 1)}E-18")


def predicted(fill: Fill, fee: Fee) -> tuple[str, Decimal]:
    """The asset and the size of the fee that `fee` counts on for `fill`."""
    if fee.token is not None and fee.token.counted:
        size = token_charge(fill, fee.token, fee.token.bid)
        if size is not None:
            return fee.token.asset, size
    return charge(fill, fee)
