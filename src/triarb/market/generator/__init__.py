"""A made-up exchange of any size, shaped like a real one, free of arbitrage unless it is asked for.

`exchange` is what is used; `shape` draws its assets and markets, `makers` quote them, `dislocations` are what is planted.
"""

from triarb.market.generator.dislocations import Dislocation as Dislocation
from triarb.market.generator.exchange import GeneratedExchange as GeneratedExchange
