"""The rate table: the one door from exact quotes to the floats that finders search."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import event, given, settings, strategies as st

from triarb.market import FeeSchedule, RateTable
from triarb.model import (
    Fee,
    FeeSide,
    Leg,
    Market,
    Provenance,
    Quote,
    RateView,
    Side,
    Withdrawn,
    gross_rate,
)
from triarb.testing.strategies import exchanges, quotes, rate_tables

D = Decimal
Exchange = tuple[list[Market], FeeSchedule, list[Quote]]

NO_FEE = FeeSchedule.flat(0)
AB, BA = Market("A/B", "A", "B"), Market("B/A", "B", "A")


def legs_of(table: RateTable) -> list[Leg | None]:
    """By edge its leg, None where there is none."""
    return [table.leg(edge) if rate else None for edge, rate in enumerate(table.rates)]


def state(table: RateTable) -> dict[str, Any]:
    """All that can be asked of a table."""
    return {
        "assets": list(table.assets),
        "tails": list(table.tails),
        "heads": list(table.heads),
        "offsets": list(table.offsets),
        "rates": list(table.rates),
        "legs": legs_of(table),
        "usable": list(table.usable),
        "refused": table.refused,
        "provenances": table.provenances(),
        "view": table.view(),
    }


@st.composite
def updates(draw: st.DrawFn) -> tuple[Exchange, list[Quote | Withdrawn]]:
    """An exchange, and what became of its markets afterwards, and of markets that it has not."""
    exchange = draw(exchanges(max_assets=4, max_markets=6))
    market = st.sampled_from([*exchange[0], Market("not/there", "not", "there")])
    change = market.flatmap(lambda m: quotes(m) | st.just(Withdrawn(m.symbol, 1)))
    return exchange, draw(st.lists(change, max_size=12))


@pytest.mark.once
@given(updates())
@settings(max_examples=60)
def test_any_updates_end_like_a_fresh_table(
    updated: tuple[Exchange, list[Quote | Withdrawn]],
):
    """Whatever came before, a table is what the last word on each market makes it."""
    (markets, fees, first), changes = updated
    table = RateTable(markets, fees, first)
    last: dict[str, Quote | Withdrawn] = {quote.symbol: quote for quote in first}
    for change in changes:
        table.update(change)
        last[change.symbol] = change
    event(f"{len(changes) // 4 * 4} or more changes")
    quoted = [change for change in last.values() if isinstance(change, Quote)]
    assert state(table) == state(RateTable(markets, fees, quoted))


@pytest.mark.once
@given(rate_tables())
@settings(max_examples=60)
def test_edges_are_the_directed_pairs_in_order(table: RateTable):
    """Sorted by tail and head, each pair once in each direction; offsets bound the edges of each asset."""
    pairs = list(zip(table.tails, table.heads, strict=True))
    assert pairs == sorted(set(pairs))
    assert {(head, tail) for tail, head in pairs} == set(pairs)
    assert list(table.assets) == sorted(set(table.assets))
    assert len(table.offsets) == len(table.assets) + 1
    assert len(table.rates) == len(pairs)
    for asset in range(len(table.assets)):
        edges = range(table.offsets[asset], table.offsets[asset + 1])
        assert [tail for tail in table.tails if tail == asset] == [table.tails[e] for e in edges]


@pytest.mark.once
@given(exchanges(max_assets=3, max_markets=10))
@settings(max_examples=80)
def test_each_direction_has_the_best_rate_net_of_fee(exchange: Exchange):
    """Exactly the best of all usable markets of the pair, the smallest symbol of equals; zero where none is usable."""
    markets, fees, quoted = exchange
    table = RateTable(*exchange)
    offers: dict[tuple[str, str], list[tuple[Fraction, str, Side]]] = {}
    by_symbol = {quote.symbol: quote for quote in quoted}
    for market in markets:
        quote, fee = by_symbol[market.symbol], fees.fee(market.symbol)
        if market.active and fee is not None and quote.fault() is None:
            for side in Side:
                net = gross_rate(side, quote.price_for(side)) * fee.kept(side)
                pair = (market.given(side), market.received(side))
                offers.setdefault(pair, []).append((-net, market.symbol, side))
    for edge, rate in enumerate(table.rates):
        pair = (table.assets[table.tails[edge]], table.assets[table.heads[edge]])
        offered = offers.pop(pair, [])
        event(f"{len(offered)} markets to choose from")
        if not offered:
            assert rate == 0.0
            with pytest.raises(LookupError, match=f"edge {edge} "):
                table.leg(edge)
            continue
        best, symbol, side = min(offered)
        leg = table.leg(edge)
        assert (leg.market.symbol, leg.side, leg.net_ratio) == (symbol, side, -best)
        assert (leg.given, leg.received) == pair
        assert leg.price == by_symbol[symbol].price_for(side)
        assert leg.fee == fees.fee(symbol)
    assert not offers


@pytest.mark.once
@given(rate_tables(max_assets=4, max_markets=8))
@settings(max_examples=60)
def test_a_float_rate_is_the_exact_one_to_twelve_digits(table: RateTable):
    """The floats only nominate, but no further off than finders allow for."""
    for edge, rate in enumerate(table.rates):
        if rate:
            exact = table.leg(edge).net_ratio
            assert abs(Fraction(rate) - exact) <= exact / 10**12


digits = st.integers(1, 10**30 - 1)


@given(digits, st.integers(-30, 0), st.integers(-999, 999), st.sampled_from(FeeSide))
def test_a_float_rate_is_as_close_at_the_bounds_of_prices_and_fees(
    price_digits: int, exponent: int, fee_permille_tenths: int, charged_in: FeeSide
):
    """Prices of 30 digits from 10**-30 to 10**30, fees up to 10 % either way, taken in any asset."""
    price = D(f"{price_digits}E{exponent}")
    fee = Fee(D(f"{fee_permille_tenths}E-4"), Provenance.OVERRIDE, charged_in)
    table = RateTable([AB], FeeSchedule(otherwise=fee), [Quote("A/B", price, price)])
    for edge, rate in enumerate(table.rates):
        exact = table.leg(edge).net_ratio
        assert abs(Fraction(rate) - exact) <= exact / 10**12


def test_the_better_market_is_found_where_floats_see_no_difference():
    """Two markets whose rates differ in the 25th digit: the better one, not the first by symbol, is chosen."""
    other = Market("A/B-2", "A", "B")
    better = D("1.000000000000000000000001")
    table = RateTable([AB, other], NO_FEE, [Quote("A/B", D(1), D(2)), Quote("A/B-2", better, D(2))])
    sells = table.leg(0)
    assert float(better) == 1.0
    assert (sells.side, sells.market.symbol, sells.price) == (Side.SELL, "A/B-2", better)
    buys = table.leg(1)
    assert (buys.side, buys.market.symbol) == (Side.BUY, "A/B")


def test_a_pair_listed_both_ways_round_is_one_pair():
    """B/A bought is A/B sold: each direction has the better of the two markets net of its fee."""
    fees = FeeSchedule({"B/A": Fee(D("0.01"), Provenance.MARKET)}, NO_FEE.otherwise)
    table = RateTable(
        [AB, BA], fees, [Quote("A/B", D("0.1"), D("0.102")), Quote("B/A", D("9.7"), D("9.9"))]
    )
    # A to B: sell A/B 0.1, or buy B/A 0.99 / 9.9 = 0.1: equals, by symbol. B to A: buy A/B 1 / 0.102, or sell B/A 9.603.
    assert [leg.market.symbol for leg in legs_of(table)] == ["A/B", "A/B"]
    table.update(Quote("B/A", D("9.95"), D("9.9"), received_ns=1))  # crossed, and so out
    assert table.refused == {"market.crossed": 1}
    table.update(
        Quote("B/A", D("9.9"), D("9.9"), received_ns=1)
    )  # locked, and so in: 9.801 < 9.8039
    assert [leg.market.symbol for leg in legs_of(table)] == ["A/B", "A/B"]
    table.update(Quote("B/A", D("9.89"), D("9.89"), received_ns=1))  # 0.99 / 9.89 > 0.1
    assert [(leg.market.symbol, leg.side) for leg in legs_of(table)] == [
        ("B/A", Side.BUY),
        ("A/B", Side.BUY),
    ]


@pytest.mark.parametrize(
    ("quote", "code"),
    [
        (None, "market.no_quote"),
        (Withdrawn("A/B"), "market.no_quote"),
        (Quote("A/B", None, D(1)), "market.one_sided"),
        (Quote("A/B", D(1), D(0)), "market.one_sided"),
        (Quote("A/B", D(2), D(1)), "market.crossed"),
        (Quote("A/B", D(1), D(2)), "market.no_fee"),
    ],
)
def test_a_market_is_refused_under_the_first_code_that_holds(
    quote: Quote | Withdrawn | None, code: str
):
    """Inactive goes before everything, a missing fee after everything; each market counts once."""
    for active, fees, expected in (
        (True, FeeSchedule(), code),
        (True, NO_FEE, None if code == "market.no_fee" else code),
        (False, FeeSchedule(), "market.inactive"),
        (False, NO_FEE, "market.inactive"),
    ):
        table = RateTable([attrs.evolve(AB, active=active)], fees)
        if quote is not None:
            table.update(quote)
        assert table.refused == ({} if expected is None else {expected: 1})
        assert list(table.usable) == ([] if expected else ["A/B"])
        assert table.provenances() == ({} if expected else {"override": 1})


@pytest.mark.once
@given(rate_tables())
@settings(max_examples=60)
def test_every_market_is_usable_or_refused(table: RateTable):
    """Never both and never neither; the view holds the usable ones."""
    view = table.view()
    assert list(table.usable) == sorted(view.quotes)
    assert len(view.quotes) + sum(table.refused.values()) == len(view.markets)
    assert list(table.refused) == sorted(table.refused)
    assert sum(table.provenances().values()) == len(view.quotes)
    assert table.provenances() == Counter(view.fees[s].provenance.value for s in view.quotes)
    for asset in table.assets:
        assert set(view.by_asset[asset]) == {
            symbol for symbol, m in view.markets.items() if asset in {m.base, m.quote}
        }


def test_a_view_stays_as_it_was():
    """What comes in later changes the table, not what was seen of it."""
    table = RateTable([AB], NO_FEE, [Quote("A/B", D(1), D(2))])
    view = table.view()
    table.update(Quote("A/B", D(3), D(4)))
    assert view == RateView(
        {"A/B": AB}, {"A/B": Quote("A/B", D(1), D(2))}, {"A/B": NO_FEE.otherwise}, view.by_asset
    )
    table.update(Withdrawn("A/B"))
    assert list(view.quotes) == ["A/B"]
    assert table.view().quotes == {}
    assert list(table.rates) == [0.0, 0.0]


def test_a_cycle_is_made_of_edges_wherever_they_begin():
    """Edges in order, from any of them: the cycle begins in its smallest asset, with the quotes as they came."""
    markets = [AB, Market("B/C", "B", "C"), Market("A/C", "A", "C")]
    price = D("0.1000000000000000000000000001")
    table = RateTable(markets, NO_FEE, [Quote(m.symbol, price, price) for m in markets])
    edge = {
        (table.assets[tail], table.assets[head]): number
        for number, (tail, head) in enumerate(zip(table.tails, table.heads, strict=True))
    }
    for path in ("BCA", "CAB", "ABC"):
        pairs = zip(path, path[1:] + path[0], strict=True)
        cycle = table.cycle([edge[pair] for pair in pairs])
        assert (cycle.start, cycle.id) == ("A", "A>B>C")
        assert [leg.price for leg in cycle.legs] == [price] * 3
        assert [leg.side for leg in cycle.legs] == [Side.SELL, Side.SELL, Side.BUY]


def test_an_empty_table_is_a_table():
    """No markets: no assets, no edges, nothing usable, nothing refused."""
    table = RateTable([], FeeSchedule())
    assert state(table) == {
        "assets": [],
        "tails": [],
        "heads": [],
        "offsets": [0],
        "rates": [],
        "legs": [],
        "usable": [],
        "refused": {},
        "provenances": {},
        "view": RateView({}, {}, {}, {}),
    }
