"""OctoBot-Triangular-Arbitrage, in an environment of its own: a line of JSON in, a line of JSON out.

In: {"prices": {symbol: price}, "legs": number}. Out: {"seconds": processor time of its search alone, "legs": of what it
found}. Its search lists every cycle of any length, which no exchange lets it finish; here it is bounded to those legs.
"""

import functools
import json
import sys
import time

from triangular_arbitrage import detector

every_cycle = detector.nx.simple_cycles

for line in sys.stdin:
    asked = json.loads(line)
    tickers = [
        detector.ShortTicker(detector.get_symbol_from_key(symbol), price)
        for symbol, price in asked["prices"].items()
    ]
    detector.nx.simple_cycles = functools.partial(every_cycle, length_bound=asked["legs"])
    began = time.process_time()
    cycle, _ = detector.get_best_opportunity(tickers, asked["legs"])
    seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "legs": len(cycle or ())}), flush=True)  # noqa: T201
