"""What exchanges publish on the asset that they take a taker's spot fee in, and on their fee tokens.

ccxt says of some exchanges in which asset a fee is taken (its `feeSide`), and that goes first. Of these it says nothing, and
then counts in the quote asset. Each entry has its source and the day it was looked up. A published page is no proof: until
fills confirm it (`triarb.market.fee_check`), a fee that rests on an entry is marked as unverified.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import attrs

from triarb.model import FeeSide


@attrs.frozen
class VenueToken:
    """An exchange's own token that an account may pay its fees in; where too little is held, the fee is taken without it.

    Attributes:
        asset: such as ``BNB``.
        charged: the fraction of the fee that is charged where it is paid so.
        source: who says so.
    """

    asset: str
    charged: Decimal
    source: str


@attrs.frozen
class VenueFees:
    """How one exchange takes a taker's fee on spot.

    Attributes:
        charged_in: the asset.
        source: the public document that says so.
        dated: the day on which it was looked up.
        token: its fee token, if a document tells of one.
        taker: what a new customer pays, as a fraction, where ccxt does not tell it.
    """

    charged_in: FeeSide
    source: str
    dated: str = "2026-11-22"
    token: VenueToken | None = None
    taker: Decimal | None = None

    @property
    def note(self) -> str:
        """The mark of a fee that rests on it."""
        return f"charged in the asset {self.charged_in}: unverified, by {self.source}, {self.dated}"


_OKX: Final = VenueFees(
    FeeSide.RECEIVED,
    "OKX's spot fee payment option: in the currency received, unless the account chose the one spent",
)
_COINBASE: Final = VenueFees(
    FeeSide.QUOTE,
    "docs.cdp.coinbase.com/prime/concepts/trading/trading-fees: always in the quote currency (Prime's)",
)

VENUE_FEES: Final[Mapping[str, VenueFees]] = MappingProxyType(
    {
        "binance": VenueFees(
            FeeSide.RECEIVED,
            "faqs/commission_faq.md of binance-spot-api-docs",
            token=VenueToken(
                "BNB", Decimal("0.75"), "the same: 25 % off the standard commission only"
            ),
        ),
        "okx": _OKX,
        "myokx": _OKX,
        "okxus": _OKX,
        "kucoin": VenueFees(
            FeeSide.QUOTE,
            "kucoin.com, About Pay Fees with KCS, 2023-02-01: the fees of BTC/USDT are settled in USDT",
            token=VenueToken(
                "KCS",
                Decimal("0.8422"),
                "the same: 20 % off, but KCS counts at its price less 5 %, which makes it 80 / 95; and "
                "nothing off where the fee is below 2.5, 5 or 7.5 bps (class A, B, C)",
            ),
        ),
        "mexc": VenueFees(
            FeeSide.QUOTE,
            "blog.mexc.com/calculation-of-spot-trading-fees: 5010 USDT for 5000 USDT of BTC at 0.2 %",
            token=VenueToken(
                "MX", Decimal("0.8"), "mexc.com/learn/article/17827791512780: 20 % off"
            ),
        ),
        "bitget": VenueFees(
            FeeSide.RECEIVED,
            "bitget.com/api-doc/spot/trade/Get-Fills: a buy of 0.0007 BTC is charged 0.0000007 BTC",
            token=VenueToken(
                "BGB", Decimal("0.8"), "bitget.com/support/articles/360060644351: 20 % off"
            ),
            taker=Decimal("0.001"),
        ),
        "kraken": VenueFees(
            FeeSide.GIVEN,
            "AddOrder's oflags: fciq is the default when buying, fcib when selling (other pages of Kraken's "
            "say received; given asks for more funds)",
        ),
        "coinbase": _COINBASE,
        "coinbaseexchange": _COINBASE,
        "upbit": VenueFees(
            FeeSide.QUOTE,
            "docs-e.upbit.com, orders: reserved_fee is locked on top of a bid, an ask's comes off its proceeds",
        ),
    }
)
"""By ccxt's id of the exchange."""

UNTOLD: Final = VenueFees(FeeSide.QUOTE, "nobody but ccxt's default", "no document looked up")
"""Of an exchange that neither ccxt nor `VENUE_FEES` tells of."""
