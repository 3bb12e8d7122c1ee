"""Hypothesis strategies for assets, markets, quotes, fees and whole exchanges.

Prices fit each other up to a percent, so that cycles come out on both sides of one; and there is everything that a
real exchange has: markets that join the same pair twice or the other way round, inactive, one-sided, locked and
crossed ones, steps or none, fees of every kind or none. Hypothesis comes with ``pip install triarb[testing]``.
"""

from collections.abc import Sequence
from decimal import Context, Decimal

import attrs
from hypothesis import strategies as st

from triarb.market.fees import FeeSchedule
from triarb.market.rates import RateTable
from triarb.model import Fee, FeeSide, Market, Provenance, Quote
from triarb.money import BPS, arithmetic, round_down, round_up
from triarb.testing.faults import (
    Alter,
    Answer,
    Ban,
    DropAfter,
    DropBefore,
    Duplicate,
    Fault,
    FaultRule,
    FaultScript,
    Fees,
    Filters,
    Flow,
    Hang,
    Lag,
    Late,
    Partial,
    Skew,
    Truncate,
)
from triarb.testing.faults.script import endpoints_of

NAMES = ("USDT", "BTC", "ETH", "EUR", "A", "A1", "A1B", "1INCH", "B", "ZRX")
"""Some are the beginning of others, so that the order of ids is not that of their assets."""

_SIX_DIGITS = Context(prec=6)
_STEPS = st.none() | st.sampled_from([Decimal("0.000001"), Decimal("0.001"), Decimal(1)])


def assets(min_size: int = 2, max_size: int = 6) -> st.SearchStrategy[list[str]]:
    """Lists of distinct asset names, at most ten."""
    return st.lists(st.sampled_from(NAMES), min_size=min_size, max_size=max_size, unique=True)


def values() -> st.SearchStrategy[Decimal]:
    """What one unit of an asset is worth: often a power of two, so that products come out exactly one."""
    simple = st.sampled_from(["0.125", "0.5", "1", "1", "2", "16", "1024"]).map(Decimal)
    return simple | st.decimals("0.01", "6000", places=2)


def fees() -> st.SearchStrategy[Fee]:
    """Fees from a rebate of 3 bps to 30 bps, charged in any of the three ways."""
    return st.builds(
        lambda bps, side: Fee(bps / BPS, Provenance.OVERRIDE, side),
        st.sampled_from([0, 0, 1, 5, 10, 30, -3]).map(Decimal),
        st.sampled_from(FeeSide),
    )


def fee_schedules(symbols: Sequence[str]) -> st.SearchStrategy[FeeSchedule]:
    """One fee for all, fees of their own for up to three of `symbols`, and now and then none for the others."""
    own = st.dictionaries(st.sampled_from(symbols), fees(), max_size=3)
    return st.builds(FeeSchedule, own, st.one_of(fees(), fees(), fees(), st.none()))


@st.composite
def markets(draw: st.DrawFn, base: str, quote: str, symbol: str = "") -> Market:
    """Markets of one pair, with or without steps and minimums, one in ten inactive."""
    return Market(
        symbol or f"{base}/{quote}",
        base,
        quote,
        active=draw(st.integers(0, 9)) != 9,
        price_tick=draw(st.none() | st.sampled_from([Decimal("1E-10"), Decimal("1E-8")])),
        amount_step=draw(_STEPS),
        min_amount=draw(_STEPS),
        min_notional=draw(st.none() | st.sampled_from([Decimal("0.0001"), Decimal(10)])),
    )


@st.composite
def quotes(
    draw: st.DrawFn, market: Market, fair: Decimal = Decimal(1), *, sound: bool = False
) -> Quote:
    """Quotes of `market` within about a percent of `fair`, at its ticks; one in five locked.

    Args:
        draw: given by Hypothesis.
        market: whose quote it is.
        fair: the price that they lie about, which its ticks must be fine enough for.
        sound: leave out those that are one-sided, crossed or empty, which otherwise are one in five.
    """
    off_bps = draw(st.integers(-80, 80))
    half_bps = draw(st.sampled_from([0, 1, 3, 8, 20]))
    with arithmetic():
        bid = round_down(fair * (BPS + off_bps - half_bps) / BPS, market.price_tick)
        ask = round_up(fair * (BPS + off_bps + half_bps) / BPS, market.price_tick)
    if half_bps == 0:
        ask = bid
    sizes = st.none() | st.decimals("0.001", "1000", places=3)
    quote = Quote(market.symbol, bid, ask, draw(sizes), draw(sizes))
    fault = "" if sound else draw(st.sampled_from([*[""] * 12, "bid", "ask", "crossed"]))
    if fault == "bid":
        return attrs.evolve(quote, bid=None)
    if fault == "ask":
        return attrs.evolve(quote, ask=Decimal(0))
    if fault == "crossed":
        return attrs.evolve(quote, bid=2 * ask)
    return quote


@st.composite
def exchanges(
    draw: st.DrawFn,
    *,
    min_assets: int = 2,
    max_assets: int = 6,
    max_markets: int = 14,
    sound: bool = False,
) -> tuple[list[Market], FeeSchedule, list[Quote]]:
    """The markets, fees and quotes of an exchange: the arguments of `RateTable`.

    Args:
        draw: given by Hypothesis.
        min_assets: at least two.
        max_assets: at most ten.
        max_markets: some pairs get two.
        sound: only quotes that can be traded on; inactive markets and markets without a fee stay.
    """
    names = draw(assets(min_assets, max_assets))
    value = {name: draw(values()) for name in names}
    pair = st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True)
    pairs = draw(st.lists(pair, min_size=min(len(names), max_markets), max_size=max_markets))
    listed: dict[str, Market] = {}
    quoted = []
    for base, quote in pairs:
        symbol = f"{base}/{quote}"
        if symbol in listed:
            symbol += ":2"
        if symbol not in listed:
            market = listed[symbol] = draw(markets(base, quote, symbol))
            fair = _SIX_DIGITS.divide(value[base], value[quote])
            quoted.append(draw(quotes(market, fair, sound=sound)))
    schedule = draw(fee_schedules(list(listed)))
    return list(listed.values()), schedule, quoted


def rate_tables(
    *, min_assets: int = 2, max_assets: int = 6, max_markets: int = 14, sound: bool = False
) -> st.SearchStrategy[RateTable]:
    """Rate tables of `exchanges`."""
    return exchanges(
        min_assets=min_assets, max_assets=max_assets, max_markets=max_markets, sound=sound
    ).map(lambda exchange: RateTable(*exchange))


def faults() -> st.SearchStrategy[Fault]:
    """Faults of every kind, with waits of up to 40 s and flows of a few units."""
    codes = [-1000, -1003, -1007, -1013, -1015, -1021, -2010, -2011, -2013, -2015]
    bodies = ["", "[]", "null", "{}", '{"orderId": 1', "<html>"]
    seconds = st.sampled_from([0, 0.1, 1.5, 3, 12, 40])
    return st.one_of(
        st.just(DropBefore()),
        st.just(DropAfter()),
        st.builds(Hang, st.booleans()),
        st.just(Truncate()),
        st.builds(
            Answer,
            st.sampled_from([200, 400, 403, 418, 429, 451, 500, 502, 503]),
            st.none() | st.sampled_from(codes),
            body=st.sampled_from(bodies),
            acts=st.booleans(),
        ),
        st.builds(Ban, st.integers(0, 30), st.sampled_from([418, 429])),
        st.builds(Late, seconds),
        st.builds(Lag, seconds),
        st.just(Duplicate()),
        st.builds(Alter, st.sampled_from([{"clientOrderId": "other"}, {"status": "PENDING_NEW"}])),
        st.builds(Partial, st.sampled_from(["0", "0.1", "0.5", "0.99"])),
        st.builds(Fees, st.sampled_from([0, 5, 10, -2]), st.sampled_from(FeeSide)),
        st.builds(Filters, min_notional=st.sampled_from(["1", "20"]), active=st.booleans()),
        st.builds(Flow, st.sampled_from(["USDT", "BTC", "ETH"]), st.integers(-50, 50)),
        st.builds(Skew, st.sampled_from([-2, -0.5, 0.5, 2, 5])),
    )


@st.composite
def fault_scripts(draw: st.DrawFn, max_rules: int = 6) -> FaultScript:
    """Fault scripts: each rule is for requests that can have its fault, and for the first few of them."""
    rules = []
    for fault in draw(st.lists(faults(), max_size=max_rules)):
        on = draw(st.sampled_from(endpoints_of(fault)))
        times = draw(st.none() | st.integers(1, 4))
        chance = draw(st.sampled_from([1, 0.5]))
        rules.append(FaultRule(on, fault, draw(st.integers(1, 4)), times, chance=chance))
    return FaultScript(rules, draw(st.integers(0, 9)))
