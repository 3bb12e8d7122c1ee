"""The generated exchange: its shape, that it is free of arbitrage, and that what is planted in it is there."""

import itertools
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction

import attrs
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from triarb.clock import NS_PER_SECOND
from triarb.exceptions import UsageError
from triarb.market import Snapshot
from triarb.market.generator import Dislocation, GeneratedExchange
from triarb.market.generator.makers import Makers
from triarb.market.generator.shape import shape_of
from triarb.model import Market, Quote, Side, gross_rate

seeds = st.integers(0, 2**32)
sizes = st.integers(100, 400)


def rates(markets: Iterable[Market], quotes: Mapping[str, Quote]) -> dict[str, dict[str, Fraction]]:
    """Exact gross rates by asset given and asset received."""
    result: dict[str, dict[str, Fraction]] = {}
    for market in markets:
        for side in Side:
            rate = gross_rate(side, quotes[market.symbol].price_for(side))
            result.setdefault(market.given(side), {})[market.received(side)] = rate
    return result


def rate_round(assets: list[str], of: Mapping[str, Mapping[str, Fraction]]) -> Fraction:
    """The exact product of the rates round the triangle of `assets`."""
    a, b, c = assets
    return of[a][b] * of[b][c] * of[c][a]


def triangles(of: Mapping[str, Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The exact product of every directed triangle by its id."""
    return {
        f"{a}>{b}>{c}": of[a][b] * of[b][c] * of[c][a]
        for a in of
        for b in of[a]
        if a < b
        for c in of[b]
        if a < c and a in of[c]
    }


def best_closed_walk(of: Mapping[str, Mapping[str, Fraction]]) -> float:
    """The largest logarithm of a product over closed walks of any length, or of one that shows that there is no bound."""
    number = {asset: i for i, asset in enumerate(of)}
    best = np.full((len(of), len(of)), -np.inf)
    for given_asset, received in of.items():
        for asset, rate in received.items():
            best[number[given_asset], number[asset]] = np.log(float(rate))
    for i in range(len(of)):  # Floyd and Warshall
        best = np.maximum(best, best[:, i, None] + best[None, i, :])
    return float(best.diagonal().max())


def instants(quotes: Iterable[Quote]) -> Iterable[tuple[int, list[Quote]]]:
    """Quotes by the instant at which they were received."""
    for now_ns, batch in itertools.groupby(quotes, key=lambda quote: quote.received_ns):
        yield now_ns, list(batch)


@given(markets=st.integers(100, 3000), seed=seeds)
@settings(max_examples=25, deadline=None)
def test_every_exchange_is_hub_and_spoke(markets, seed):
    """Of any size it has so many distinct markets, and every asset that is no hub trades against USDT."""
    snapshot = GeneratedExchange(markets, seed=seed).snapshot()
    assert len({market.symbol for market in snapshot.markets}) == markets
    pairs = {frozenset((market.base, market.quote)) for market in snapshot.markets}
    assert len(pairs) == markets
    quoting = {market.quote for market in snapshot.markets}
    assets = {market.base for market in snapshot.markets} | quoting
    assert all(frozenset((asset, "USDT")) in pairs for asset in assets - quoting)
    assert all(frozenset((hub, "USDT")) in pairs for hub in quoting - {"USDT"})


@pytest.mark.once
@given(markets=sizes, seed=seeds)
@settings(max_examples=25, deadline=None)
def test_quotes_keep_ticks_and_steps(markets, seed):
    """Every quote, at first and later, is usable, on its market's tick and step, and worth an order."""
    exchange = GeneratedExchange(markets, seed=seed, dislocations_per_minute=60)
    snapshot = exchange.snapshot()
    by_symbol = {market.symbol: market for market in snapshot.markets}
    for quote in (*snapshot.quotes, *exchange.ticks(1)):
        market = by_symbol[quote.symbol]
        assert quote.fault() is None
        assert quote.bid < quote.ask
        assert quote.bid % market.price_tick == quote.ask % market.price_tick == 0
        assert quote.bid_size % market.amount_step == quote.ask_size % market.amount_step == 0
        assert min(quote.bid_size, quote.ask_size) >= market.min_amount
        assert market.amount_step * quote.bid <= market.min_notional


def test_it_says_that_it_is_generated():
    """Exchange id and source tell that no real exchange ever showed this, in a saved file as well."""
    snapshot = GeneratedExchange(500, seed=7).snapshot()
    assert snapshot.exchange == "generated"
    assert snapshot.source == "generated: seed 7, 500 markets"
    assert snapshot.generated
    planted = GeneratedExchange(100, dislocations_per_minute=13).snapshot()
    assert planted.source == "generated: seed 0, 100 markets, 13 dislocations a minute"


def test_its_snapshot_survives_a_file(tmp_path):
    """The snapshot is one like any other: saved and loaded it is equal."""
    snapshot = GeneratedExchange(200, seed=1, taker_fee_bps="7.5").snapshot()
    assert snapshot.taker_fee == Decimal("0.00075")
    snapshot.save(tmp_path / "generated.json")
    assert Snapshot.load(tmp_path / "generated.json") == snapshot


def test_the_same_seed_gives_the_same_exchange():
    """Markets, quotes, ticks and dislocations depend on the arguments alone; another seed gives others."""

    def all_of(seed: int) -> tuple[Snapshot, list[Quote], list[Dislocation]]:
        exchange = GeneratedExchange(150, seed=seed, dislocations_per_minute=600)
        return exchange.snapshot(), list(exchange.ticks(3)), exchange.planted(3)

    assert all_of(3) == all_of(3)
    for one, other in zip(all_of(3), all_of(4), strict=True):
        assert one != other


def test_each_call_of_ticks_begins_anew():
    """Two iterators of one exchange do not disturb each other, and a shorter one is the beginning of a longer one."""
    exchange = GeneratedExchange(120, dislocations_per_minute=600)
    first, second = exchange.ticks(), exchange.ticks(2)
    shorter = [quote for pair in zip(second, first, strict=False) for quote in pair]
    assert shorter[::2] == shorter[1::2]
    assert shorter[-1].received_ns <= exchange.snapshot().timestamp_ns + 2 * NS_PER_SECOND


def test_ticks_come_in_order_of_time_at_the_rate_asked_for():
    """Times rise from the snapshot's, the exchange's own before ours, and trades are as many as asked for."""
    exchange = GeneratedExchange(300, seed=2, start_ns=5 * NS_PER_SECOND)
    assert exchange.snapshot().timestamp_ns == 5 * NS_PER_SECOND
    ticks = list(exchange.ticks(10, rate_per_second=500))
    times = [tick.received_ns for tick in ticks]
    assert 5 * NS_PER_SECOND < times[0] <= times[-1] <= 15 * NS_PER_SECOND
    assert times == sorted(times)
    assert all(tick.exchange_ns < tick.received_ns for tick in ticks)
    assert 4500 < len(set(times)) < 5500


@pytest.mark.once
@given(markets=sizes, seed=seeds, rate=st.sampled_from([1.0, 50.0, 5000.0]))
@settings(max_examples=15, deadline=None)
def test_every_single_quote_leaves_a_potential(markets, seed, rate):
    """Exactly, in fractions: after each quote there are fair values that all markets' bids and asks lie round.

    With bid * value(quote) <= value(base) <= ask * value(quote) everywhere, the rates round any cycle multiply to at
    most one. The values are those before a trade until its last quote, and those after it from then on.
    """
    rng = np.random.default_rng(seed)
    shape = shape_of(markets, rng)
    makers = Makers(shape, rng)
    steps = makers.steps(rate)
    shown = [makers.quoted(market, 0) for market in range(markets)]

    def assert_potential(values: list[float], those: Iterable[int]) -> None:
        exact = [Fraction(value) for value in values]
        for market in those:
            base, quote = exact[shape.base[market]], exact[shape.quote[market]]
            bid, ask = Fraction(shown[market].bid), Fraction(shown[market].ask)
            assert bid * quote < base < ask * quote

    assert_potential(makers.values.tolist(), range(markets))
    for market in rng.choice(markets, 40, p=shape.activity).tolist():
        before = makers.values.tolist()
        changed = makers.trade(market, steps)
        assert changed[-1] == market
        assert len(set(changed)) == len(changed)
        for each in changed[:-1]:
            shown[each] = makers.quoted(each, 0)
            assert_potential(before, [each])
        shown[market] = makers.quoted(market, 0)
        assert_potential(makers.values.tolist(), range(markets))


@pytest.mark.once
@given(markets=st.integers(100, 150), seed=seeds)
@settings(max_examples=10, deadline=None)
def test_no_cycle_is_above_one_unless_planted(markets, seed):
    """Seen from outside: after each quote of the stream no closed walk of any length multiplies to one or more."""
    exchange = GeneratedExchange(markets, seed=seed)
    snapshot = exchange.snapshot()
    quotes = {quote.symbol: quote for quote in snapshot.quotes}
    assert best_closed_walk(rates(snapshot.markets, quotes)) < 0
    assert exchange.planted(3600) == []
    for quote in itertools.islice(exchange.ticks(rate_per_second=1000), 60):
        quotes[quote.symbol] = quote
        of = rates(snapshot.markets, quotes)
        assert best_closed_walk(of) < 0
    assert max(triangles(of).values()) < 1


@pytest.mark.once
@given(markets=sizes, seed=seeds)
@settings(max_examples=15, deadline=None)
def test_planted_triangles_hold_their_edge_while_they_last(markets, seed):
    """At the end of every instant from its first to before its last, the exact product is at least what was planted.

    When none holds, all are below one. No market is quoted twice at an instant.
    """
    exchange = GeneratedExchange(markets, seed=seed, dislocations_per_minute=300)
    snapshot = exchange.snapshot()
    planted = exchange.planted(2)
    by_pair = {frozenset((market.base, market.quote)): market for market in snapshot.markets}
    quotes = {quote.symbol: quote for quote in snapshot.quotes}

    def product(told: Dislocation) -> Fraction:
        assets = told.cycle_id.split(">")
        legs = [
            by_pair[frozenset(pair)] for pair in zip(assets, assets[1:] + assets[:1], strict=True)
        ]
        return rate_round(assets, rates(legs, quotes))

    begun = set()
    for now_ns, batch in instants(exchange.ticks(2, rate_per_second=300)):
        assert len({quote.symbol for quote in batch}) == len(batch)
        quotes.update((quote.symbol, quote) for quote in batch)
        holding = [told for told in planted if told.from_ns <= now_ns < told.until_ns]
        begun.update(holding)
        for told in holding:
            assert product(told) >= 1 + Fraction(told.edge_bps) / 10_000
        if not holding:
            assert all(product(told) < 1 for told in planted)
    assert begun == set(planted)


@pytest.mark.once
def test_whatever_is_above_one_was_planted():
    """Every triangle above one leads through a dislocated market; without those there is no cycle above one at all."""
    exchange = GeneratedExchange(120, seed=5, dislocations_per_minute=300)
    snapshot = exchange.snapshot()
    planted = exchange.planted(20)
    quotes = {quote.symbol: quote for quote in snapshot.quotes}
    markets = {market.symbol: market for market in snapshot.markets}
    seen = Counter[bool]()
    for number, (now_ns, batch) in enumerate(instants(exchange.ticks(20, rate_per_second=20))):
        quotes.update((quote.symbol, quote) for quote in batch)
        holding = [told for told in planted if told.from_ns <= now_ns < told.until_ns]
        found = {
            cycle_id
            for cycle_id, product in triangles(rates(snapshot.markets, quotes)).items()
            if product > 1
        }
        assert found >= {told.cycle_id for told in holding}  # nothing planted stays hidden
        steps = [(markets[told.symbol], told.side) for told in holding]
        shifted = {(market.given(side), market.received(side)) for market, side in steps}
        for cycle_id in found:
            assets = cycle_id.split(">")
            assert shifted & set(zip(assets, assets[1:] + assets[:1], strict=True))
        seen[bool(found)] += 1
        if number % 10 == 0:
            others = [m for m in snapshot.markets if m.symbol not in {t.symbol for t in holding}]
            assert best_closed_walk(rates(others, quotes)) < 0
    assert min(seen[True], seen[False]) > 50


def test_planted_cycles_are_named_like_any_cycle():
    """A planted id is three assets from the smallest name, and leads through its market on its side."""
    exchange = GeneratedExchange(400, seed=9, dislocations_per_minute=600)
    markets = {market.symbol: market for market in exchange.snapshot().markets}
    planted = exchange.planted(60)
    for told in planted:
        assets = told.cycle_id.split(">")
        assert len(set(assets)) == 3
        assert assets[0] == min(assets)
        market = markets[told.symbol]
        legs = set(zip(assets, assets[1:] + assets[:1], strict=True))
        assert (market.given(told.side), market.received(told.side)) in legs
    assert {told.side for told in planted} == set(Side)
    assert [told.from_ns for told in planted] == sorted(told.from_ns for told in planted)


@pytest.mark.once
def test_dislocations_are_as_published():
    """Over hours, sizes, durations and their number are near the published ones."""
    exchange = GeneratedExchange(1148, seed=1, dislocations_per_minute=13)
    planted = exchange.planted(10 * 3600)
    assert len(planted) == pytest.approx(13 * 600, rel=0.1)
    edges = [float(told.edge_bps) for told in planted]
    assert statistics.median(edges) == pytest.approx(11, rel=0.1)
    assert statistics.mean(edges) == pytest.approx(19, rel=0.15)
    lasts = [(told.until_ns - told.from_ns) / NS_PER_SECOND for told in planted]
    assert statistics.median(lasts) == pytest.approx(0.057, rel=0.1)
    assert statistics.mean(lasts) == pytest.approx(0.44, rel=0.3)
    assert 20 < max(lasts) <= 73


def test_the_shape_is_that_of_a_real_exchange():
    """1,148 markets have about Binance's shares, spreads, sizes and triangles of January 2024.

    Measured with this seed: half-spreads 1.1, 3.7, 8.1, 17.6, 44.8 bps; bid sizes 10, 92, 315, 1165, 11505 dollars;
    3,452 triangles, median product 0.9980; 370 assets.
    """
    exchange = GeneratedExchange(1148)
    snapshot = exchange.snapshot()
    quoted = Counter(market.quote for market in snapshot.markets)
    shares = {"USDT": 32, "BTC": 25, "TRY": 13, "ETH": 7, "BNB": 6, "FDUSD": 4, "TUSD": 4, "EUR": 3}
    for hub, share in shares.items():
        assert 100 * quoted[hub] / 1148 == pytest.approx(share, abs=0.2)
    assets = {asset for market in snapshot.markets for asset in (market.base, market.quote)}
    assert len(assets) == pytest.approx(385, rel=0.1)

    last = {quote.symbol: quote for quote in exchange.ticks(30)}  # the shape stays as time goes on
    later = attrs.evolve(snapshot, quotes=tuple(last.get(q.symbol, q) for q in snapshot.quotes))
    dollar = {"USDT": 1.0} | {
        market.base: float(quote.bid)
        for market, quote in zip(snapshot.markets, snapshot.quotes, strict=True)
        if market.quote == "USDT"
    }
    dollar |= {
        market.quote: 1 / float(quote.bid)
        for market, quote in zip(snapshot.markets, snapshot.quotes, strict=True)
        if market.base == "USDT"
    }
    percentiles = (5, 25, 50, 75, 95)
    for moment in (snapshot, later):
        half_spreads = [
            10_000 * float((quote.ask - quote.bid) / (quote.ask + quote.bid))
            for quote in moment.quotes
        ]
        assert np.percentile(half_spreads, percentiles) == pytest.approx(
            [1.1, 4.0, 8.4, 17, 43], rel=0.3
        )
        worth = [
            float(quote.bid_size) * dollar[market.base]
            for market, quote in zip(moment.markets, moment.quotes, strict=True)
        ]
        assert np.percentile(worth, percentiles) == pytest.approx(
            [8, 93, 263, 1068, 10893], rel=0.4
        )
        products = triangles(rates(moment.markets, {q.symbol: q for q in moment.quotes}))
        assert len(products) == pytest.approx(3964, rel=0.4)  # Binance in 2021
        assert 0.9946 <= float(statistics.median(products.values())) <= 0.9982


def test_activity_is_a_power_law_with_the_hubs_ahead():
    """The busiest market is one between hubs, the 20 busiest have half of all ticks, and most others hardly any."""
    exchange = GeneratedExchange(1148, seed=3)
    hubs = {market.quote for market in exchange.snapshot().markets}
    ticks = Counter(tick.symbol for tick in itertools.islice(exchange.ticks(), 20_000))
    busiest = ticks.most_common(20)
    assert 8000 < sum(count for _, count in busiest) < 14_000
    assert set(busiest[0][0].split("/")) <= hubs
    assert statistics.median([*ticks.values(), *[0] * (1148 - len(ticks))]) < 6


def test_a_busier_feed_does_not_make_prices_wilder():
    """Bitcoin's yearly volatility of 50 % makes 7 bps a minute at any rate, since each of more trades moves it less."""
    shape = shape_of(100, np.random.default_rng(4))
    btc = shape.assets.index("BTC")
    for rate in (20, 400):
        rng = np.random.default_rng(4)
        makers = Makers(shape, rng)
        steps = makers.steps(rate)
        values = [makers.values[btc]]
        for market in rng.choice(100, 60 * rate, p=shape.activity).tolist():
            makers.trade(market, steps)
            values.append(makers.values[btc])
        moved = float(np.sqrt(np.square(np.diff(np.log(values))).sum()))
        assert moved == pytest.approx(0.5 * (60 / (365 * 86_400)) ** 0.5, rel=0.15)


def test_limits_are_plausible():
    """The least order is worth 5 to 10 dollars in every market, and a step far less."""
    exchange = GeneratedExchange(600, seed=8)
    snapshot = exchange.snapshot()
    asks = {q.symbol: q.ask for q in snapshot.quotes}
    for market in snapshot.markets:
        to_usdt = asks.get(f"{market.quote}/USDT", 1)
        if f"USDT/{market.quote}" in asks:
            to_usdt = 1 / asks[f"USDT/{market.quote}"]
        assert Decimal("4.9") <= market.min_notional * to_usdt <= Decimal(10)
        assert market.min_amount == market.amount_step
        assert market.exchange_id == market.symbol.replace("/", "")
        assert market.taker is None


@pytest.mark.once
def test_a_hundred_thousand_markets():
    """The largest exchange is made whole, and its ticks begin."""
    exchange = GeneratedExchange(100_000)
    assert len({quote.symbol for quote in exchange.snapshot().quotes}) == 100_000
    assert len(list(itertools.islice(exchange.ticks(), 100))) == 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"markets": 99}, "99"),
        ({"markets": 100_001}, "100001"),
        ({"seed": -1}, "-1"),
        ({"dislocations_per_minute": -1.0}, "-1.0"),
        ({"dislocations_per_minute": float("nan")}, "nan"),
        ({"dislocations_per_minute": 6001}, "6001"),
        ({"taker_fee_bps": "much"}, "much"),
        ({"taker_fee_bps": "low"}, "low"),
    ],
)
def test_senseless_exchanges_are_refused(arguments, named):
    """What cannot be generated is a usage error that names the value."""
    with pytest.raises(UsageError, match=named) as raised:
        GeneratedExchange(**arguments)
    assert raised.value.hint


def test_senseless_times_are_refused_at_the_call():
    """A duration or a rate that is not positive is refused before the first tick is asked for."""
    exchange = GeneratedExchange(100)
    for seconds in (0, -1.0, float("inf"), float("nan")):
        with pytest.raises(UsageError, match=f"{seconds} seconds"):
            exchange.ticks(seconds)
        with pytest.raises(UsageError, match=f"{seconds} seconds"):
            exchange.planted(seconds)
    for rate in (0, -5.0, float("inf")):
        with pytest.raises(UsageError, match=f"rate of {rate}"):
            exchange.ticks(1, rate_per_second=rate)
