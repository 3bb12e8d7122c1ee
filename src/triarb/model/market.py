"""What an exchange shows: markets, quotes, books, and what it takes for a trade."""

import enum
from decimal import Decimal
from fractions import Fraction
from typing import Final

import attrs

from triarb.exceptions import UsageError
from triarb.money import is_exact


class Side(enum.StrEnum):
    """Which way a trade goes, seen from the base asset.

    It is compared by ``==``, as every word that a gateway of one's own may give as plain text.
    """

    BUY = "buy"
    SELL = "sell"


class FeeSide(enum.StrEnum):
    """The asset in which an exchange takes its fee for a trade."""

    RECEIVED = "received"
    """From what the trade brings (Binance, without its fee token)."""
    GIVEN = "given"
    """On top of what the trade costs."""
    QUOTE = "quote"
    """In the quote asset: on top of a buy, from what a sell brings."""


class Provenance(enum.StrEnum):
    """Where a fee rate comes from, the most certain last."""

    SCHEDULE = "schedule"
    """A published fee table: what a new customer usually pays."""
    FILE = "file"
    """The one taker fee that a snapshot file states for all its markets."""
    MARKET = "market"
    """The exchange's own word on this market."""
    ACCOUNT = "account"
    """The exchange's own word on this account."""
    OVERRIDE = "override"
    """What the user said."""
    FILL = "fill"
    """What a fill was really charged."""


@attrs.frozen
class FeeToken:
    """An exchange's own token, in which it charges less for as long as enough of it is held, and silently not after that.

    Attributes:
        asset: such as ``BNB``.
        rate: the fraction of the trade that is charged in it.
        full_rate: the fraction that is taken as if there were no token, where too little of it is held.
        bid: what one unit brings in the market's quote asset, by which it is charged; None where no market tells.
        ask: what one unit costs there.
        counted: whether the fee counts on it, rather than on the full rate.
    """

    asset: str
    rate: Decimal
    full_rate: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    counted: bool = False


@attrs.frozen
class Fee:
    """What one market takes from a taker.

    Attributes:
        rate: the fraction of the trade that it counts with, such as ``Decimal("0.001")`` for 10 bps; a rebate is negative.
        charged_in: the asset that it is taken in.
        provenance: where the rate comes from.
        note: the provenance in words, where one word is not enough.
        token: the token that the account pays fees in, if it does.
    """

    rate: Decimal
    provenance: Provenance
    charged_in: FeeSide = FeeSide.RECEIVED
    note: str = ""
    token: FeeToken | None = None

    def on_given(self, side: Side) -> bool:
        """Whether a trade of `side` pays it on top of what it gives, rather than from what it receives."""
        if self.charged_in == FeeSide.QUOTE:
            return side == Side.BUY
        return self.charged_in == FeeSide.GIVEN

    def kept(self, side: Side) -> Fraction:
        """The part of the gross rate that a trade of `side` keeps after this fee."""
        rate = Fraction(self.rate)
        return 1 / (1 + rate) if self.on_given(side) else 1 - rate

    @property
    def lowest(self) -> "Fee":
        """The lowest that could apply: with the token, whatever is held. For nominations."""
        if self.token is None:
            return self
        return attrs.evolve(self, rate=min(self.rate, self.token.rate))

    @property
    def worst(self) -> "Fee":
        """The highest that could apply: as if the token ran out."""
        if self.token is None or self.rate >= self.token.full_rate:
            return self
        return attrs.evolve(self, rate=self.token.full_rate)

    def payable_in(self, asset: str, rate: Decimal) -> "Fee":
        """The same where `rate` is charged in `asset`; it is not counted on."""
        return attrs.evolve(self, token=FeeToken(asset, rate, self.rate))

    def with_token_at(self, bid: Decimal, ask: Decimal) -> "Fee":
        """The same with its token at these prices in the market's quote asset; it is not counted on."""
        token = self.token and attrs.evolve(self.token, bid=bid, ask=ask)
        return attrs.evolve(self, token=token)

    def counting_on_token(self) -> "Fee":
        """The same at what its token costs, where that has a price: charged at the bid, and bought at the ask."""
        token = self.token
        if token is None or not token.bid or not token.ask:
            return self
        cost = Fraction(token.rate) * Fraction(token.ask) / Fraction(token.bid)
        rate = Decimal(f"{-(-cost * 10**18 // 1)}E-18")  # rounded up
        return attrs.evolve(self, rate=rate, token=attrs.evolve(token, counted=True))


_STEPS_AND_LIMITS: Final = (
    "price_tick",
    "amount_step",
    "min_amount",
    "max_amount",
    "min_notional",
    "max_notional",
    "min_price",
    "max_price",
)


@attrs.frozen
class Market:
    """One spot market and the steps and limits that its orders must keep; None is "not told", thus not checked.

    Attributes:
        symbol: unified name, ``BASE/QUOTE``.
        exchange_id: the exchange's own name for it.
        price_tick: every price is a multiple of it.
        amount_step: every amount (in base units) is a multiple of it.
        min_notional: the least price times amount, in quote units.
        taker: the exchange's own word on its taker fee here, as a fraction.

    Raises:
        UsageError: a step or a limit that is no Decimal, not finite, or below zero; a fee that is no finite Decimal.
    """

    symbol: str
    base: str
    quote: str
    exchange_id: str = ""
    active: bool = True
    price_tick: Decimal | None = None
    amount_step: Decimal | None = None
    min_amount: Decimal | None = None
    max_amount: Decimal | None = None
    min_notional: Decimal | None = None
    max_notional: Decimal | None = None
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    taker: Decimal | None = None

    def __attrs_post_init__(self) -> None:
        for name in _STEPS_AND_LIMITS:
            value = getattr(self, name)
            if value is not None and not _is_amount(value):
                raise self._senseless(name, value, "not negative")
        if self.taker is not None and not is_exact(self.taker):
            raise self._senseless("taker", self.taker, "a fraction")

    def _senseless(self, name: str, value: object, what: str) -> UsageError:
        hint = f'give a Decimal that is finite and {what}, such as Decimal("0.001"), or None'
        return UsageError(f"{name} of {self.symbol} is {value!r}", hint=hint)

    def given(self, side: Side) -> str:
        """The asset that a trade of `side` spends."""
        return self.quote if side == Side.BUY else self.base

    def received(self, side: Side) -> str:
        """The asset that a trade of `side` brings."""
        return self.base if side == Side.BUY else self.quote


def _fault(bid: Decimal | None, ask: Decimal | None) -> str | None:
    if not bid or not ask:
        return "market.one_sided"
    return "market.crossed" if bid > ask else None


def _is_amount(value: object) -> bool:
    return is_exact(value) and value >= 0


@attrs.frozen
class Quote:
    """Best bid and ask of a market at one moment; a side that is not there is None or zero, a size not told is None.

    Attributes:
        received_ns: when we received it; ages are judged by it.
        exchange_ns: when the exchange says it was so, if it says.

    Raises:
        UsageError: a price or a size that is no Decimal, not finite, or below zero.
    """

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    received_ns: int = 0
    exchange_ns: int | None = None

    def __attrs_post_init__(self) -> None:
        for value in (self.bid, self.ask, self.bid_size, self.ask_size):
            if value is not None and not _is_amount(value):
                raise UsageError(
                    f"the quote of {self.symbol} has a price or size of {value!r}",
                    hint='give a Decimal that is finite and not negative, such as Decimal("0.05"), or None',
                )

    def fault(self) -> str | None:
        """The refusal code of a quote that cannot be traded on; a locked one (bid = ask) can."""
        return _fault(self.bid, self.ask)

    def price_for(self, side: Side) -> Decimal:
        """What a taker of `side` pays or gets: the ask for a buy, the bid for a sell.

        Raises:
            LookupError: that side is not there.
        """
        price = self.ask if side == Side.BUY else self.bid
        if not price:
            raise LookupError(f"{self.symbol} has no price for a {side}")
        return price


@attrs.frozen
class Withdrawn:
    """The word that a market has no quote any more: halted, delisted, or its feed lost."""

    symbol: str
    received_ns: int = 0


@attrs.frozen
class Level:
    """One price of a book and the amount, in base units, that stands there."""

    price: Decimal
    amount: Decimal


@attrs.frozen
class OrderBook:
    """A market's book, each side best first. A fresh book of one level a side is a quote with sizes."""

    symbol: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    received_ns: int = 0
    exchange_ns: int | None = None

    @classmethod
    def from_quote(cls, quote: Quote) -> "OrderBook":
        """The book of what `quote` shows; a side without a price, or whose size is not told, is empty."""

        def side(price: Decimal | None, size: Decimal | None) -> tuple[Level, ...]:
            return (Level(price, size),) if price and size is not None else ()

        return cls(
            quote.symbol,
            side(quote.bid, quote.bid_size),
            side(quote.ask, quote.ask_size),
            quote.received_ns,
            quote.exchange_ns,
        )

    def quote(self) -> Quote:
        """The top of this book."""
        bid = self.bids[0] if self.bids else None
        ask = self.asks[0] if self.asks else None
        return Quote(
            self.symbol,
            bid.price if bid else None,
            ask.price if ask else None,
            bid.amount if bid else None,
            ask.amount if ask else None,
            self.received_ns,
            self.exchange_ns,
        )

    def against(self, side: Side) -> tuple[Level, ...]:
        """The levels that a trade of `side` takes: asks for a buy, bids for a sell."""
        return self.asks if side == Side.BUY else self.bids

    def top(self) -> "OrderBook":
        """This book with its best level of each side only."""
        return attrs.evolve(self, bids=self.bids[:1], asks=self.asks[:1])

    def fault(self) -> str | None:
        """The refusal code of a book that cannot be traded on."""
        return _fault(
            self.bids[0].price if self.bids else None, self.asks[0].price if self.asks else None
        )


def gross_rate(side: Side, price: Decimal) -> Fraction:
    """Units received for one unit given at `price`, before fees."""
    return 1 / Fraction(price) if side == Side.BUY else Fraction(price)
