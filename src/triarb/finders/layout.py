"""Where things stand in the two flat arrays of the monitor's kernel; `triarb.finders.tracker` lays them out.

Edges, pairs, markets and vertices (assets) are numbers. Edge 2 p leads from the base of pair p to its quote, 2 p + 1 back. A
market alone on its pair has the pair's number, others have numbers of their own after all pairs.
"""

from collections.abc import MutableSequence

Ints = MutableSequence[int]
Floats = MutableSequence[float]

# In the integers: what is told, sizes, and free places...
CODE, STOPPED, CHANGES, HELD, LISTED, UNSURE, FULL, MODE = range(8)
PAIRS, VERTICES, MIN_LEGS, MAX_LEGS, STARTS = range(8, 13)
FREE_ENTRY, ENTRIES_LEFT, FREE_CYCLE, CYCLES_LEFT = range(13, 17)
# ...where each part begins: by vertex its edges, the tight ones first, and how many those are; by edge its place among them,
# its list of entries, its place among the held ones, and the chain of what is in its way; by slot of a table, a pair plus one...
FIRST, ADJACENT, TIGHT_COUNT, PLACE, LIST, HELD_EDGE, HELD_PLACE, CHAIN, TODO = range(17, 26)
BY_EDGE, HEAP, HEAP_PLACE, MOVED, IS_START, PAIR_OF, SLOTS = range(26, 33)
ENTRY, CYCLE = range(33, 35)
# ...the same of parts of the floats: by vertex its worth, its move, and how far it moved since its edges were looked at; by
# cycle its product...
WORTH, MOVE, DRIFT, PRODUCT = range(35, 39)
# ...the path that a search found, and how it is going on: what was chosen last, the two ends of the path then, and where...
PATH, CHOSEN, LEFT, RIGHT, CURSOR, END, WAY = range(40, 96, 8)
# ...and by pair or market four integers. Of a pair: base, quote, state, the first of its markets if it has several. Of a market
# that shares a pair: the pair, whether it is the other way round, 0, the next such market in a ring.
RECORDS = 96

# In the floats: by what factor the held edges stand out together, and as many of them as a cycle can have besides one; how far from standing out a tick must be to change nothing
# else, of a pair that is not tight and of one that is; and constants...
GAIN, GAIN_OF_FEW, NEAR, NEAR_TIGHT, OVER_MARGIN, BAR, THRESHOLD, CERTAIN = range(8)
TIGHT_ROOM, LOOSE_ROOM, FAR_ROOM, MAX_DRIFT = range(8, 12)
SOUGHT, PAID = range(12, 14)
PRODUCTS = 16
# ...and by pair or market four: what a sale and a purchase keep after the fee, and the rates of the two edges.
RATES = 32

# States of a pair, as bits.
TIGHT, ASIDE, ASIDE_BACK, LINKED = 1, 2, 4, 8

# Modes, as bits: cycles are searched for; what floats cannot decide is left open; it stops when what is listed changes.
SEARCHES, IS_EXACT, STOPS_AT_CHANGES = 1, 2, 4

# States of a cycle; 0 is none.
SURE, OPEN, ABOVE, BELOW = 1, 2, 3, 4

# Codes.
PROVED_NONE, NONE_UP_TO_N, SOME_LISTED, UNDECIDED = range(4)

ENTRY_SIZE = 5
"""Edge; owner, a held edge or minus a cycle; the entries after and before it in the list of its edge; the next in its chain."""

CYCLE_SIZE = 3
"""State, first entry, number of legs; of a free one the second is the next free one. Cycles are numbered from 1."""

MOST_CHANGES = (1 << 30) - 1
"""The count of changes begins anew after it; it only tells that there were some."""

FEW = 16
"""A vertex of at most so many edges is always looked at whole."""

MAX_LEGS_EVER = 8

LEAST_PRICE, MOST_PRICE = 1e-100, 1e100
LEAST_WORTH, MOST_WORTH = 1e-140, 1e140
MOST_GAIN = 1e100

MARGIN = 1e-12
"""By edge, relative: what floats are certainly exact to; a held edge is taken to stand out by twice that more."""
FLOATS_ARE_OFF = 2 * MARGIN

UNCERTAIN = 1e-11
"""Relative: how near to the threshold floats do not say whether a product of up to eight rates is above it."""
