"""Which fees of a cycle count on the exchange's token: those that what is held of it surely pays for."""

from fractions import Fraction

import attrs

from triarb.market.charges import token_prices
from triarb.market.fees import FeeSchedule
from triarb.model import Cycle, Fee, Portfolio, RateView, Side


def settle_tokens(
    cycle: Cycle, fees: FeeSchedule, rates: RateView, portfolio: Portfolio
) -> FeeSchedule:
    """`fees` of the markets of `cycle`, their tokens at the prices of `rates`, and counted on where that is safe.

    It is where the token is none of the cycle's own assets, every leg that is charged in it has its price in the quote
    asset on one market, and what is free of it pays for all of them if leg 1 spends all that is free of the start asset.
    A fee that comes on top of what a leg gives is never counted so: an exchange may ask for all of it before it trades.
    All else stays at its full rate. Either way a plan's worst case has every leg pay its full rate: `Fee.worst`.
    """
    priced: dict[str, Fee] = {}
    on_top: set[str] = set()
    needed: dict[str, Fraction] = {}
    unsafe: set[str] = set(cycle.assets)
    spends = Fraction(portfolio.free(cycle.start))
    for leg in cycle.legs:
        symbol, fee = leg.market.symbol, fees.fee(leg.market.symbol)
        brings = spends * leg.gross_ratio
        if fee is not None and fee.token is not None:
            asset = fee.token.asset
            prices = token_prices(asset, leg.market.quote, rates.quotes.get)
            if prices is None:
                unsafe.add(asset)
            else:
                priced[symbol] = fee.with_token_at(*prices)
                cost = spends if leg.side == Side.BUY else brings
                due = cost * Fraction(fee.token.rate) / Fraction(prices[0])
                needed[asset] = needed.get(asset, Fraction(0)) + due
                if fee.on_given(leg.side):
                    on_top.add(symbol)
        spends = brings
    safe = {
        asset
        for asset, amount in needed.items()
        if asset not in unsafe and amount <= Fraction(portfolio.free(asset))
    }
    own = dict(fees.by_symbol)
    for symbol, fee in priced.items():
        token = fee.token
        counts = token is not None and token.asset in safe and symbol not in on_top
        own[symbol] = fee.counting_on_token() if counts else fee
    return attrs.evolve(fees, by_symbol=own)
