"""The market as a graph for people: the same edges as the table, with names on them."""

import math
from decimal import Decimal
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings

from triarb.market import FeeSchedule, RateTable
from triarb.market.graph import market_graph
from triarb.model import Market, Quote, Withdrawn
from triarb.testing.strategies import rate_tables


@pytest.mark.once
@given(rate_tables())
@settings(max_examples=60)
def test_the_graph_is_the_table(table: RateTable):
    """Every asset is a node, every usable pair an edge, with the table's own rate, market and side."""
    graph = market_graph(table)
    assert list(graph.nodes) == list(table.assets)
    assert sorted(data["edge"] for _, _, data in graph.edges(data=True)) == [
        edge for edge, rate in enumerate(table.rates) if rate > 0
    ]
    for given_asset, received, data in graph.edges(data=True):
        leg = table.leg(data["edge"])
        assert (leg.given, leg.received) == (given_asset, received)
        assert data["rate"] == table.rates[data["edge"]]
        assert data["weight"] == -math.log(data["rate"])
        assert (data["symbol"], data["side"]) == (leg.market.symbol, leg.side.value)


def test_a_profitable_cycle_has_a_negative_weight():
    """1 / 10 x 0.1 x 101 = 1.01: networkx finds the negative cycle, and none once a market is withdrawn."""
    quoted = [("A/USD", "9.9", "10"), ("A/B", "0.1", "0.101"), ("B/USD", "101", "102")]
    markets = [Market(symbol, *symbol.split("/")) for symbol, _, _ in quoted]
    quotes = [Quote(symbol, Decimal(bid), Decimal(ask)) for symbol, bid, ask in quoted]
    table = RateTable(markets, FeeSchedule.flat(0), quotes)
    graph = market_graph(table)
    cycle = nx.find_negative_cycle(graph, "USD")
    total = sum(graph[one][other]["weight"] for one, other in pairwise(cycle))
    assert math.exp(-total) == pytest.approx(1.01, rel=1e-12)
    table.update(Withdrawn("A/B"))
    assert not nx.negative_edge_cycle(market_graph(table))
    assert set(market_graph(table)) == {"A", "B", "USD"}
