"""What a generated exchange is made of: its assets and markets, and how wide, deep and busy each market is.

The figures are those of Binance in January 2024 (1,148 markets of 385 assets): the share of markets per quote asset,
the percentiles of half-spreads and of sizes at the best bid, activity as a power law with the hubs far ahead. Names of
hubs are real tickers with made-up prices, since a reader knows what a BTC/USDT market is; other assets are C001, C002...
Floats describe the invention; what becomes a price or an amount is an integer of ticks or steps.
"""

import math
from collections.abc import Sequence
from decimal import Decimal

import attrs
import numpy as np
from numpy.typing import NDArray

from triarb.model import Market

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NUMERAIRE = "USDT"
"""The asset that all fair values are counted in; its own never moves."""

_SECONDS_A_YEAR = 365 * 86_400
_SPOKE_VOLATILITY = 1.0
_SPOKE_ACTIVITY, _SPOKE_DECAY = 8.0, 0.8
_MARKET_DECAY = 1.1


@attrs.frozen
class _Hub:
    """An asset that others are priced in.

    Attributes:
        dollars: its fair value at the beginning.
        share: of all markets, how many are quoted in it, in per cent; they sum to 100.
        min_notional: the least value of an order in its markets, in itself: 5 to 6 dollars.
        activity: how much is going on in it, beside the others.
        volatility: of its value in a year, as a fraction.
    """

    name: str
    dollars: float
    share: int
    min_notional: Decimal
    activity: float
    volatility: float


_HUBS = (  # where two of them trade against each other, the earlier one is the quote asset
    _Hub("TRY", 0.0301, 13, Decimal(200), 5, 0.1),
    _Hub("BRL", 0.2031, 2, Decimal(30), 2, 0.1),
    _Hub("USDT", 1.0, 32, Decimal(5), 100, 0.0),
    _Hub("DAI", 0.9996, 1, Decimal(5), 1, 0.005),
    _Hub("USDC", 1.0001, 3, Decimal(5), 6, 0.005),
    _Hub("TUSD", 0.9991, 4, Decimal(5), 4, 0.005),
    _Hub("FDUSD", 1.0003, 4, Decimal(5), 10, 0.005),
    _Hub("EUR", 1.0893, 3, Decimal(5), 3, 0.08),
    _Hub("BTC", 60000.0, 25, Decimal("0.0001"), 60, 0.5),
    _Hub("ETH", 3000.0, 7, Decimal("0.002"), 30, 0.6),
    _Hub("BNB", 500.0, 6, Decimal("0.01"), 12, 0.6),
)

# Values at the percentiles 5, 25, 50, 75 and 95, between two ends; by standard normal deviate.
_DEVIATES = (-3.0, -1.645, -0.674, 0.0, 0.674, 1.645, 3.0)
_HALF_SPREADS_BPS = (0.4, 1.1, 4.0, 8.4, 17.0, 43.0, 120.0)
_DOLLARS_AT_BEST = (5.0, 8.0, 93.0, 263.0, 1068.0, 10893.0, 200_000.0)


@attrs.frozen(eq=False)
class Shape:
    """An exchange before anything happens on it; arrays are by asset or by market.

    Attributes:
        assets: names; the hubs first, then the others, the most popular first.
        values: by asset, its fair value in USDT.
        volatility: by asset, the standard deviation of its relative move in one second.
        base: by market, the number of its base asset.
        quote: by market, the number of its quote asset.
        moved: by market, the number of the asset whose value its trades move: the base, unless that is USDT.
        activity: by market, its part of all that happens; sums to one.
        half_spread: by market, the usual distance of bid and ask from the fair price, as a fraction of it.
        dollars_at_best: by market, the usual worth of the size at its best bid or ask.
        price_exponent: by market, its price tick as a power of ten.
        amount_exponent: by market, its amount step as a power of ten.
    """

    assets: Sequence[str]
    values: Floats
    volatility: Floats
    markets: tuple[Market, ...]
    base: Integers
    quote: Integers
    moved: Integers
    activity: Floats
    half_spread: Floats
    dollars_at_best: Floats
    price_exponent: Integers
    amount_exponent: Integers


def shape_of(markets: int, rng: np.random.Generator) -> Shape:
    """Draw an exchange of so many markets."""
    base, quote, spokes = _pairs(markets, rng)
    width = max(3, len(str(spokes)))
    assets = [hub.name for hub in _HUBS] + [f"C{i:0{width}d}" for i in range(1, spokes + 1)]
    values = np.append([hub.dollars for hub in _HUBS], rng.lognormal(0.0, 1.6, spokes))
    yearly = np.append([hub.volatility for hub in _HUBS], np.full(spokes, _SPOKE_VOLATILITY))

    popularity = np.log(_asset_activity(spokes))
    score = popularity[base] + popularity[quote] + rng.normal(0.0, 0.3, markets)
    activity = (_ranks(-score) + 1.0) ** -_MARKET_DECAY
    half_spread = _spread_over(_HALF_SPREADS_BPS, -score + rng.normal(0.0, 1.0, markets), rng)
    half_spread = half_spread / 10_000
    dollars_at_best = _spread_over(_DOLLARS_AT_BEST, score + rng.normal(0.0, 2.0, markets), rng)

    # A tick is at most 0.4 half-spreads, so that rounding to it hardly widens a market; a step is worth at most 50
    # cents; neither is above one.
    tick = np.log10(0.4 * half_spread * values[base] / values[quote])
    price_exponent = np.minimum(0, np.floor(tick)).astype(np.int64)
    amount_exponent = np.minimum(0, np.floor(np.log10(0.5 / values[base]))).astype(np.int64)
    return Shape(
        assets,
        values,
        yearly / math.sqrt(_SECONDS_A_YEAR),
        tuple(
            _market(assets[b], _HUBS[q], int(tick), int(step))
            for b, q, tick, step in zip(base, quote, price_exponent, amount_exponent, strict=True)
        ),
        base,
        quote,
        np.where(base == assets.index(NUMERAIRE), quote, base),
        activity / activity.sum(),
        half_spread,
        dollars_at_best,
        price_exponent,
        amount_exponent,
    )


def _market(base: str, quote: _Hub, price_exponent: int, amount_exponent: int) -> Market:
    step = Decimal(f"1E{amount_exponent}")
    return Market(
        f"{base}/{quote.name}",
        base,
        quote.name,
        exchange_id=f"{base}{quote.name}",
        price_tick=Decimal(f"1E{price_exponent}"),
        amount_step=step,
        min_amount=step,
        min_notional=quote.min_notional,
    )


def _pairs(markets: int, rng: np.random.Generator) -> tuple[Integers, Integers, int]:
    """Base and quote asset of each market by number, and how many assets are not hubs.

    A hub's markets are those with the busiest other hubs, at most half of them, then those with other assets, popular
    ones more likely. Every other asset has its market against USDT.
    """
    counts = _shares_of(markets)
    bases: list[Integers] = []
    for number, count in enumerate(counts):
        later = sorted(range(number + 1, len(_HUBS)), key=lambda i: -_HUBS[i].activity)
        bases.append(np.array(later[: count // 2], dtype=np.int64))
    numeraire = [hub.name for hub in _HUBS].index(NUMERAIRE)
    spokes = counts[numeraire] - len(bases[numeraire])
    popularity = np.log(_asset_activity(spokes)[len(_HUBS) :])
    for number, count in enumerate(counts):
        keys = popularity + rng.gumbel(
            size=spokes
        )  # the largest are a weighted draw without return
        drawn = np.argsort(-keys, kind="stable")[: count - len(bases[number])]
        bases[number] = np.append(bases[number], np.sort(drawn) + len(_HUBS))
    quote = np.repeat(np.arange(len(_HUBS)), counts)
    return np.concatenate(bases), quote, spokes


def _shares_of(markets: int) -> list[int]:
    """How many markets each hub quotes; what rounding down leaves goes to the largest remainders."""
    counts = [markets * hub.share // 100 for hub in _HUBS]
    by_remainder = sorted(range(len(_HUBS)), key=lambda i: -(markets * _HUBS[i].share % 100))
    for i in by_remainder[: markets - sum(counts)]:
        counts[i] += 1
    return counts


def _asset_activity(spokes: int) -> Floats:
    falling = _SPOKE_ACTIVITY * np.arange(1.0, spokes + 1) ** -_SPOKE_DECAY
    return np.append([hub.activity for hub in _HUBS], falling)


def _ranks(keys: Floats) -> Integers:
    """The place of each key among all, the smallest at 0."""
    return np.argsort(np.argsort(keys, kind="stable"), kind="stable")


def _spread_over(values: Sequence[float], keys: Floats, rng: np.random.Generator) -> Floats:
    """A draw from the distribution with `values` at its percentiles, the smallest where the key is smallest."""
    deviates = np.sort(rng.standard_normal(len(keys)))[_ranks(keys)]
    drawn: Floats = np.exp(np.interp(deviates, _DEVIATES, np.log(values)))
    return drawn
