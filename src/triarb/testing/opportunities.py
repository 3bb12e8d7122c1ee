"""Hypothesis strategies for what a risk policy and a sizer see: cycles with books, opportunities, approvals, portfolios.

Amounts are few and steps coarse, so that rounding, minimums and maximums decide as often as prices do. Hypothesis comes
with ``pip install triarb[testing]``.
"""

from collections.abc import Mapping
from decimal import Decimal

import attrs
from hypothesis import reject, strategies as st

from triarb.clock import NS_PER_MS, utc_day
from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import (
    Approved,
    Cycle,
    Leg,
    Level,
    Market,
    Opportunity,
    OrderBook,
    Portfolio,
    RateView,
    Side,
)
from triarb.money import BPS, ZERO, arithmetic, round_down, round_up
from triarb.pricing import confirm
from triarb.testing.strategies import NAMES, fees

_WORTHS = st.sampled_from(["0.125", "0.5", "1", "2", "16"]).map(Decimal)
_PARTS = st.sampled_from(["0", "0.3", "0.5"]).map(Decimal)
_SIDES = st.sampled_from(Side)
_FEES = fees()
_BETTER_BPS = st.integers(-30, 500) | st.integers(-100, 3000)
_TICKS = st.sampled_from(["none", "fine", "price"])
_DEEPER_LEVELS = st.tuples(st.integers(1, 40), st.integers(1, 12))  # bps worse, halves of the top
_DEEPER = st.lists(_DEEPER_LEVELS, min_size=1, max_size=2) | st.lists(_DEEPER_LEVELS, max_size=2)
_SPREADS_BPS = st.integers(0, 50)
_AGES_MS = st.integers(0, 1000)


@attrs.frozen
class _Grain:
    """How finely a market is divided: strategies for its step, and what it shows, takes at least and at most, in worth."""

    step: st.SearchStrategy[str]
    told: st.SearchStrategy[bool]
    shown: st.SearchStrategy[tuple[int, Decimal]]
    least: st.SearchStrategy[tuple[int, Decimal] | None]
    most: st.SearchStrategy[tuple[int, Decimal] | None]

    @classmethod
    def of(
        cls, steps: list[str], shown: tuple[int, int], most: tuple[int, int], *, told: bool
    ) -> "_Grain":
        def counts(least: int, most: int) -> st.SearchStrategy[tuple[int, Decimal]]:
            return st.tuples(st.integers(least, most), _PARTS)

        return cls(
            st.sampled_from(steps),
            st.just(value=True) if told else st.sampled_from([*[True] * 6, False]),
            counts(*shown),
            st.one_of(*[st.none()] * 8, counts(1, 2)),
            st.one_of(*[st.none()] * 8, counts(*most)),
        )


_COARSE = _Grain.of(["0.25", "0.3", "0.5", "0.75", "1", "1.5"], (3, 9), (3, 9), told=True)
_FINE = _Grain.of(["0.01", "0.05", "0.25"], (5, 90), (10, 90), told=False)

CONFIRMED_NS = 1_600_000_000_000_000_000
"""When the opportunities are confirmed, on 2020-09-13; their books are at most a second older."""


@st.composite
def legs_with_books(
    draw: st.DrawFn, given: str, received: str, worths: Mapping[str, Decimal], *, coarse: bool
) -> tuple[Leg, OrderBook]:
    """A leg that trades `given` for `received` at the top of its book, which has one to three levels a side.

    Args:
        draw: given by Hypothesis.
        given: the asset that it spends.
        received: the asset that it brings.
        worths: what a unit of each is worth; the price is a little better than that for the leg.
        coarse: at most some dozen steps stand at the top; else up to thousands, or the market tells no step.
    """
    grain = _COARSE if coarse else _FINE
    side = draw(_SIDES)
    base, quote = (received, given) if side == Side.BUY else (given, received)
    worse = 1 if side == Side.BUY else -1  # which way prices become worse for the leg
    with arithmetic():
        price = worths[base] / worths[quote] * (BPS - worse * draw(_BETTER_BPS)) / BPS
        tick = {"none": None, "fine": Decimal("1E-12"), "price": price}[draw(_TICKS)]
        unit = 1 / worths[base]  # as much of it as one unit of worth
        step = unit * Decimal(draw(grain.step))
        shown = unit * sum(draw(grain.shown))
        market = Market(
            f"{base}/{quote}:{side}",  # two legs may join one pair
            base,
            quote,
            price_tick=tick,
            amount_step=step if draw(grain.told) else None,
            min_amount=_times(unit, draw(grain.least)),
            max_amount=_times(unit, draw(grain.most)),
            min_notional=_times(unit * price, draw(grain.least)),
            max_notional=_times(unit * price, draw(grain.most)),
        )
        levels = [Level(price, shown)]
        for gap_bps, halves in draw(_DEEPER):
            rounding = round_up if side == Side.BUY else round_down
            beyond = rounding(levels[-1].price + worse * price * gap_bps / BPS, tick)
            if beyond > 0:
                levels.append(Level(beyond, shown * halves / 2))
        other = (Level(price * (1 - worse * draw(_SPREADS_BPS) / BPS), shown),)
    bids, asks = (other, tuple(levels)) if side == Side.BUY else (tuple(levels), other)
    received_ns = CONFIRMED_NS - draw(_AGES_MS) * NS_PER_MS
    return Leg(market, side, price, draw(_FEES)), OrderBook(market.symbol, bids, asks, received_ns)


def _times(unit: Decimal, count: tuple[int, Decimal] | None) -> Decimal | None:
    return None if count is None else unit * sum(count)


@st.composite
def cycles_with_books(
    draw: st.DrawFn, *, min_legs: int = 2, max_legs: int = 5, coarse: bool = True
) -> tuple[Cycle, dict[str, OrderBook]]:
    """Cycles priced at the top of their books; more earn than lose before rounding, and about half do after it.

    Args:
        draw: given by Hypothesis.
        min_legs: at least two.
        max_legs: at most ten.
        coarse: few and coarse steps, for comparison with every size that there is.
    """
    length = draw(st.integers(min_legs, max_legs))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=length, max_size=length, unique=True))
    worths = {name: draw(_WORTHS) for name in names}
    legs, books = [], {}
    for given, received in zip(names, [*names[1:], names[0]], strict=True):
        leg, book = draw(legs_with_books(given, received, worths, coarse=coarse))
        legs.append(leg)
        books[leg.market.symbol] = book
    return Cycle(tuple(legs)), books


def view_of(
    cycle: Cycle, books: Mapping[str, OrderBook], *others: tuple[Leg, OrderBook]
) -> RateView:
    """The rates of a market that has those of `cycle` and `others`, and nothing else."""
    legs = {leg.market.symbol: leg for leg in (*cycle.legs, *(leg for leg, _ in others))}
    schedule = FeeSchedule({symbol: leg.fee for symbol, leg in legs.items()})
    table = RateTable([leg.market for leg in legs.values()], schedule)
    for book in (*(book for _, book in others), *books.values()):
        table.update(book.quote())
    return table.view()


@st.composite
def opportunities(draw: st.DrawFn, *, min_legs: int = 2, max_legs: int = 5) -> Opportunity:
    """What `confirm` confirms: cycles of which some size earns, with a few more markets to turn back over."""
    cycle, books = draw(cycles_with_books(min_legs=min_legs, max_legs=max_legs, coarse=False))
    worths = dict.fromkeys(cycle.assets, Decimal(1))
    others = []
    for _ in range(draw(st.integers(0, 2))):
        given = draw(st.sampled_from(cycle.assets))
        received = draw(st.sampled_from([asset for asset in cycle.assets if asset != given]))
        others.append(draw(legs_with_books(given, received, worths, coarse=False)))
    schedule = FeeSchedule({leg.market.symbol: leg.fee for leg in cycle.legs})
    answer = confirm(cycle, books, schedule, view_of(cycle, books, *others), CONFIRMED_NS)
    if not isinstance(answer, Opportunity):
        reject()
    return answer


def portfolios(start: str) -> st.SearchStrategy[Portfolio]:
    """Some `start` free, or none, or less than is reserved; and what was won or lost of it on the day of the opportunities."""
    amounts = st.just(Decimal(10**6)) | st.decimals("0", "500", places=2)

    def portfolio(held: Decimal, reserved: Decimal, realised: Decimal) -> Portfolio:
        return Portfolio(
            {start: held},
            {start: reserved} if reserved else {},
            realised={(utc_day(CONFIRMED_NS), start): realised},
        )

    reserved = st.just(ZERO) | st.decimals("0", "50", places=2)
    return st.builds(portfolio, amounts, reserved, st.decimals("-60", "60", places=2))


def approvals(opportunity: Opportunity) -> st.SearchStrategy[Approved]:
    """`opportunity` within bounds of every kind, or none."""
    edges = st.sampled_from(["0", "0", "1", "25", "200"]).map(Decimal)
    amounts = st.none() | st.none() | st.decimals("0", "500", places=3)
    losses = st.none() | st.none() | st.decimals("0", "40", places=4)
    return st.builds(Approved, st.just(opportunity), amounts, losses, edges)
