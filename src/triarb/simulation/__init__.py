"""A simulated exchange for one account: what orders would have done to the books that a market really showed.

`matching` is the engine, behind paper trading, replays and the loopback exchange; `books`, `accounts` and `filters` are its
parts. All of it is pure and sync.
"""

from triarb.simulation.filters import check_order as check_order
from triarb.simulation.matching import MatchingEngine as MatchingEngine
