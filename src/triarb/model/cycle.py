"""From a nomination to a plan: Cycle, Opportunity, Approved or Refused, Plan."""

import enum
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import attrs

from triarb.model.market import Fee, Market, OrderBook, Quote, Side, gross_rate
from triarb.money import ZERO, plain, to_decimal


@attrs.frozen
class Leg:
    """One trade of a cycle at a top-of-book price."""

    market: Market
    side: Side
    price: Decimal
    fee: Fee

    @property
    def given(self) -> str:
        """The asset that it spends."""
        return self.market.given(self.side)

    @property
    def received(self) -> str:
        """The asset that it brings."""
        return self.market.received(self.side)

    @property
    def gross_ratio(self) -> Fraction:
        """Units received for one unit given, before fees; exact."""
        return gross_rate(self.side, self.price)

    @property
    def net_ratio(self) -> Fraction:
        """Units received for one unit given, after the fee; exact."""
        return self.gross_ratio * self.fee.kept(self.side)


@attrs.frozen
class Cycle:
    """A directed closed path of legs over distinct assets, nominated by its top-of-book product.

    It begins in the asset that its first leg gives; `id` and `assets` name it the same wherever it begins.
    """

    legs: tuple[Leg, ...]

    @property
    def start(self) -> str:
        """The asset that it begins and ends in."""
        return self.legs[0].given

    @property
    def assets(self) -> tuple[str, ...]:
        """Its assets in order, from the one whose name is smallest."""
        names = [leg.given for leg in self.legs]
        first = names.index(min(names))
        return (*names[first:], *names[:first])

    @property
    def id(self) -> str:
        """Its assets joined by ``>``: the same for every rotation."""
        return ">".join(self.assets)

    def starting_from(self, asset: str) -> "Cycle":
        """The same cycle, begun in `asset`.

        Raises:
            ValueError: it does not pass through `asset`.
        """
        first = [leg.given for leg in self.legs].index(asset)
        return Cycle((*self.legs[first:], *self.legs[:first]))

    @property
    def gross_ratio(self) -> Fraction:
        """The product of its rates before fees; exact."""
        product = Fraction(1)
        for leg in self.legs:
            product *= leg.gross_ratio
        return product

    @property
    def net_ratio(self) -> Fraction:
        """The product of its rates after fees; exact."""
        product = Fraction(1)
        for leg in self.legs:
            product *= leg.net_ratio
        return product

    @property
    def gross_rate(self) -> Decimal:
        """`gross_ratio`, rounded for showing."""
        return to_decimal(self.gross_ratio)

    @property
    def net_rate(self) -> Decimal:
        """`net_ratio`, rounded for showing."""
        return to_decimal(self.net_ratio)

    @property
    def edge_bps(self) -> Decimal:
        """Net rate minus one in bps, rounded for showing."""
        return to_decimal((self.net_ratio - 1) * 10_000)


@attrs.frozen
class RateView:
    """All markets, their usable quotes and their fees as they stood at one moment; nothing in it changes.

    Attributes:
        markets: by symbol, all of them.
        quotes: by symbol; each has both sides and is not crossed.
        fees: by symbol, as far as they are known.
        by_asset: the symbols of the markets that trade an asset, usable now or not.
    """

    markets: Mapping[str, Market]
    quotes: Mapping[str, Quote]
    fees: Mapping[str, Fee]
    by_asset: Mapping[str, tuple[str, ...]]


@attrs.frozen
class Opportunity:
    """A cycle that fresh books, fees, steps and minimums confirmed.

    It does not choose a size: what a size earns is a function of `triarb.pricing` over it, and a `Sizer` chooses.

    Attributes:
        cycle: begun in its start asset, its prices those of `books`.
        nominated: the same cycle at the prices that nominated it.
        books: what it was confirmed on, by symbol.
        rates: the whole market at that moment, for unwinding and valuation.
    """

    cycle: Cycle
    nominated: Cycle
    books: Mapping[str, OrderBook]
    rates: RateView
    confirmed_ns: int

    @property
    def age_ns(self) -> int:
        """How old its oldest book was when it was confirmed."""
        return self.confirmed_ns - min(book.received_ns for book in self.books.values())

    @property
    def skew_ns(self) -> int:
        """How far apart its oldest and its newest book were received."""
        received = [book.received_ns for book in self.books.values()]
        return max(received) - min(received)


DEFAULT_GAP_BPS: Final = Decimal(100)
"""How much worse than quoted a stranded asset is assumed to be turned back, unless a policy says otherwise."""


@attrs.frozen
class Approved:
    """An opportunity and the bounds that a risk policy lets it have.

    Attributes:
        max_amount: the most that leg 1 may spend, in the start asset; None is no bound.
        max_loss: the most that may be lost if it is stranded, in the start asset; None is no bound.
        min_edge_bps: the least edge, at the margin.
        gap_bps: the least adverse move that a stranded loss must assume, whoever sizes.
    """

    opportunity: Opportunity
    max_amount: Decimal | None = None
    max_loss: Decimal | None = None
    min_edge_bps: Decimal = Decimal(0)
    gap_bps: Decimal = DEFAULT_GAP_BPS


@attrs.frozen
class Refused:
    """Why not: a stable dotted code, the numbers behind it, and the sentence that says it.

    Attributes:
        code: such as ``market.crossed``, ``cycle.below_minimum``, ``risk.daily_loss``, ``size.balance``.
        numbers: what was compared, by name; text, numbers and Decimals only.
        sentence: the same for a person.
    """

    code: str
    sentence: str
    numbers: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"


class TimeInForce(enum.StrEnum):
    """How long an order stands."""

    IOC = "IOC"
    """Takes what is there at its price; the rest expires at once."""
    FOK = "FOK"
    """Fills whole at once or not at all."""
    GTC = "GTC"
    """Stands until it is filled or canceled."""


@attrs.frozen
class PlannedLeg:
    """One leg with its exact numbers.

    Attributes:
        amount: base units; a multiple of the market's step.
        limit_price: the worst price it may fill at; a multiple of the market's tick.
        given: what it spends if it fills whole at its expected prices, fee on top included.
        received: what it then brings, fee taken off.
        worst_given: what it spends if it fills whole at its limit price.
        worst_received: what it then brings.
        resend: base units that a second order at the same limit price is expected to trade, IOC, for what this one
            leaves unspent by filling better than its limit; 0 where the book shows no more there, the market takes no
            less, or it wins nothing. An executor may send it, as a second attempt, and sizes it from what is really
            left, as any leg.
        resend_gain: what the last leg would bring more for it, in the start asset; no result of a plan counts it.
    """

    market: Market
    side: Side
    amount: Decimal
    limit_price: Decimal
    fee: Fee
    given: Decimal
    received: Decimal
    worst_given: Decimal
    worst_received: Decimal
    time_in_force: TimeInForce = TimeInForce.IOC
    resend: Decimal = ZERO
    resend_gain: Decimal = ZERO

    @property
    def given_asset(self) -> str:
        """The asset that it spends."""
        return self.market.given(self.side)

    @property
    def received_asset(self) -> str:
        """The asset that it brings."""
        return self.market.received(self.side)


@attrs.frozen
class Plan:
    """Exact amounts, limit prices and risk of every leg; the only thing that an executor takes.

    Its three numbers are never one: `worst_result` if every leg fills at its limit, `stranded_losses` if it stops
    after a leg, and `at_stake`, which floats between legs whatever the order types.

    Attributes:
        cycle_id: the id of the cycle that it carries out.
        expected_result: what the last leg brings minus what the first spends at the books' prices, residues at nothing.
        worst_result: the same with every leg filled at its limit price.
        stranded_losses: by leg but the last: the loss if it stops there and what is held is turned back into the
            start asset over the market as it stood, `gap_bps` worse.
        gap_bps: the adverse move that `stranded_losses` assume.
        at_stake: what leg 1 spends at most.
        gap: an upper bound on how much more another size could have earned, in the start asset: 0 where this one is
            proved the best within its bounds, None where nobody looked for the best.
        binding: what kept the sizer from more, such as ``edge``, ``balance`` or ``depth of ETH/BTC``
            (`triarb.pricing.Sized`); empty where it does not say.
    """

    cycle_id: str
    start: str
    legs: tuple[PlannedLeg, ...]
    expected_result: Decimal
    worst_result: Decimal
    stranded_losses: tuple[Decimal, ...]
    gap_bps: Decimal
    decided_ns: int
    gap: Decimal | None = None
    binding: str = ""

    @property
    def at_stake(self) -> Decimal:
        """What leg 1 spends at most, in the asset that it spends: the start asset, but of a sweep."""
        return max(self.legs[0].given, self.legs[0].worst_given)

    @property
    def is_sweep(self) -> bool:
        """Whether it is no cycle, but turns back into the start asset what cycles left in another one."""
        return self.legs[0].given_asset != self.start

    @property
    def max_loss(self) -> Decimal:
        """The largest loss of all its endings, in the start asset; never below zero."""
        return max(Decimal(0), -self.worst_result, *self.stranded_losses)

    def __str__(self) -> str:
        legs = ", ".join(
            f"{leg.side} {plain(leg.amount)} {leg.market.symbol} at {plain(leg.limit_price)}"
            for leg in self.legs
        )
        return f"{legs}: {plain(self.expected_result)} {self.start} expected"
