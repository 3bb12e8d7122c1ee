"""The market as a networkx graph, for people: to draw, to export, to run any algorithm on."""

import math

import networkx as nx

from triarb.market.rates import RateTable


def market_graph(rates: RateTable) -> "nx.DiGraph[str]":
    """One node an asset, one directed edge a usable pair, as `rates` stand now.

    Edges carry `rate` (float, net of fee), `weight` (minus its natural logarithm, so that a cycle of negative weight
    multiplies to more than one), `symbol`, `side`, and `edge`, their number in `rates`.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(rates.assets)
    for edge, rate in enumerate(rates.rates):
        if rate > 0:
            leg = rates.leg(edge)
            graph.add_edge(
                leg.given,
                leg.received,
                rate=rate,
                weight=-math.log(rate),
                symbol=leg.market.symbol,
                side=str(leg.side),
                edge=edge,
            )
    return graph
