"""The monitor's kernel: ticks in, a proof or a list of cycles kept, over two flat arrays.

Every asset has a worth, and an edge from u to v stands out where ``rate * worth[v] > worth[u]``, less a margin for floats.
None does but those held aside. So every cycle whose rates multiply to more than one passes through a held edge, once
through each at most, and by no more than all held edges together stand out. Worths are the exponentials of minus the
potentials of a certificate; products need no logarithm, and Python and compiled code round them alike.

Nearly every tick leaves its pair's two edges room, and then nothing else is looked at. Where pairs of little room (the tight ones)
are all that could matter, only those are looked at, however many edges a vertex has.
"""

# ruff: noqa: PLR0912, PLR0915 -- a function of numbers, as a compiler wants it

from collections.abc import Sequence

from triarb.finders.layout import (
    ASIDE,
    ASIDE_BACK,
    BAR,
    CHANGES,
    CODE,
    ENTRY,
    ENTRY_SIZE,
    FAR_ROOM,
    FULL,
    GAIN,
    GAIN_OF_FEW,
    HELD,
    LEAST_PRICE,
    LINKED,
    LIST,
    LISTED,
    LOOSE_ROOM,
    MAX_LEGS,
    MAX_LEGS_EVER,
    MODE,
    MOST_PRICE,
    NEAR,
    NEAR_TIGHT,
    NONE_UP_TO_N,
    OVER_MARGIN,
    PAIRS,
    PROVED_NONE,
    RATES,
    RECORDS,
    SEARCHES,
    SOME_LISTED,
    STOPPED,
    STOPS_AT_CHANGES,
    TIGHT,
    TODO,
    UNDECIDED,
    UNSURE,
    WORTH,
    Floats,
    Ints,
)
from triarb.finders.listing import recheck, search, two_legs
from triarb.finders.seeking import gain_of
from triarb.finders.worths import hold, mark, release


def blocked_by(ints: Ints, edge: int, count: int) -> int:
    """Append to what is to do, of which there are `count`, the held edges in whose way `edge` is."""
    entry = ints[ints[LIST] + edge]
    while entry:
        at = ints[ENTRY] + ENTRY_SIZE * entry
        if ints[at + 1] >= 0 and count < 2 * ints[PAIRS]:
            ints[ints[TODO] + count] = ints[at + 1]
            count += 1
        entry = ints[at + 2]
    return count


def weigh(ints: Ints, floats: Floats) -> None:
    """Take in that held edges, or by how much they stand out, have changed."""
    floats[GAIN] = gain_of(ints, floats, -1, MAX_LEGS_EVER + 1)
    gain = gain_of(ints, floats, -1, ints[MAX_LEGS] - 1)
    floats[GAIN_OF_FEW] = gain
    floats[NEAR_TIGHT] = max(floats[OVER_MARGIN], gain / floats[BAR])
    floats[NEAR] = max(floats[NEAR_TIGHT], floats[LOOSE_ROOM] * floats[OVER_MARGIN])


def tell(ints: Ints, floats: Floats) -> int:
    """What is certain now."""
    if ints[UNSURE] > 0 or ints[FULL] > 0:
        return UNDECIDED
    if ints[LISTED] > 0:
        return SOME_LISTED
    if ints[HELD] == 0 or floats[GAIN] <= floats[BAR]:
        return PROVED_NONE
    return NONE_UP_TO_N


def take_in(ints: Ints, floats: Floats, pair: int, sells: float, buys: float) -> bool:
    """Take in new rates of the two edges of a pair: repair the proof, and list.

    Returns:
        Whether it must stop.
    """
    record, rates, edge = RECORDS + 4 * pair, RATES + 4 * pair, 2 * pair
    state = ints[record + 2]
    worth = floats[ints[WORTH] + ints[record]]
    quote_worth = floats[ints[WORTH] + ints[record + 1]]
    there, back, over = sells * quote_worth, buys * worth, floats[OVER_MARGIN]
    rises, rises_back = sells >= floats[rates + 2], buys >= floats[rates + 3]
    floats[rates + 2] = sells
    floats[rates + 3] = buys
    if state & TIGHT:
        far = floats[FAR_ROOM] * over
        if there * far <= worth and back * far <= quote_worth:
            mark(ints, pair)
    else:
        loose = floats[LOOSE_ROOM] * over
        if there * loose > worth or back * loose > quote_worth:
            mark(ints, pair)

    # What stands out now, and which held edges are to be tried again.
    count = 0
    if there * over > worth and not state & ASIDE:
        ints[ints[TODO]] = edge
        count = 1
    if back * over > quote_worth and not state & ASIDE_BACK:
        if count > 0:
            hold(ints, edge + 1)  # until the other one is in
        ints[ints[TODO] + count] = edge + 1
        count += 1
    if ints[HELD] > 0 and not (rises and rises_back):
        if not rises:
            count = blocked_by(ints, edge, count)
        if not rises_back:
            count = blocked_by(ints, edge + 1, count)
        count = blocked_by(ints, 2 * ints[PAIRS], count)
    changes = count > 0 or ints[record + 2] & (ASIDE | ASIDE_BACK) > 0
    for i in range(count):
        release(ints, floats, ints[ints[TODO] + i])
    if changes and (ints[HELD] > 0 or floats[GAIN] > 1.0):
        weigh(ints, floats)

    # The cycles through the two edges.
    if ints[HELD] == 0 and not ints[record + 2] & LINKED:
        return False
    before = ints[CHANGES]
    if ints[MODE] & SEARCHES:
        if rises:
            search(ints, floats, edge)
        else:
            recheck(ints, floats, edge)
        if rises_back:
            search(ints, floats, edge + 1)
        else:
            recheck(ints, floats, edge + 1)
        two_legs(ints, floats, pair)
    if ints[ints[LIST] + edge] == 0 and ints[ints[LIST] + edge + 1] == 0:
        ints[record + 2] &= ~LINKED
    is_open = ints[UNSURE] > 0 or ints[FULL] > 0
    return is_open or (ints[MODE] & STOPS_AT_CHANGES > 0 and ints[CHANGES] != before)


def best_of(ints: Ints, floats: Floats, market: int) -> tuple[float, float]:
    """The better rates, by direction, of the pair that `market` shares with others."""
    sells, buys = 0.0, 0.0
    other = market
    while True:
        way = ints[RECORDS + 4 * other + 1]
        sells = max(sells, floats[RATES + 4 * other + 2 + way])
        buys = max(buys, floats[RATES + 4 * other + 3 - way])
        other = ints[RECORDS + 4 * other + 3]
        if other == market:
            break
    return sells, buys


def advance(ints: Ints, floats: Floats, ticks: Sequence[float], first: int, end: int) -> int:
    """Take in the ticks from `first` to before `end`, or until it must stop.

    It stops after a tick that left a cycle open or found no room for one, and, if it is to, after one that changed what is
    listed. Where it stopped stands in ``ints[STOPPED]``.

    Args:
        ints: see `triarb.finders.layout`.
        floats: likewise.
        ticks: three for each tick, the number of a market, its bid and its ask, or zeros. Or, to search anew through an
            edge, minus the edge minus one.
        first: the number of a tick.
        end: likewise.

    Returns:
        The code of what is certain now.
    """
    pairs, worths = ints[PAIRS], ints[WORTH]
    near, near_tight = floats[NEAR], floats[NEAR_TIGHT]
    far = floats[FAR_ROOM] * floats[OVER_MARGIN]
    tick = first
    stops = False
    while tick < end and not stops:
        market = int(ticks[3 * tick])
        bid, ask = ticks[3 * tick + 1], ticks[3 * tick + 2]
        tick += 1
        if market < 0:
            search(ints, floats, -market - 1)
            two_legs(ints, floats, (-market - 1) >> 1)
            stops = ints[FULL] > 0
            continue
        sells, buys = 0.0, 0.0
        if LEAST_PRICE < bid <= ask < MOST_PRICE:
            sells = bid * floats[RATES + 4 * market]
            buys = floats[RATES + 4 * market + 1] / ask
        if market < pairs:
            record, rates = RECORDS + 4 * market, RATES + 4 * market
            worth, quote_worth = floats[worths + ints[record]], floats[worths + ints[record + 1]]
            there, back = sells * quote_worth, buys * worth
            state = ints[record + 2]
            if state <= TIGHT:
                bound = near if state == 0 else near_tight
                has_room = there * bound <= worth and back * bound <= quote_worth
                if has_room and (state == 0 or there * far > worth or back * far > quote_worth):
                    floats[rates + 2] = sells
                    floats[rates + 3] = buys
                    continue
            stops = take_in(ints, floats, market, sells, buys)
        else:
            floats[RATES + 4 * market + 2] = sells
            floats[RATES + 4 * market + 3] = buys
            sells, buys = best_of(ints, floats, market)
            stops = take_in(ints, floats, ints[RECORDS + 4 * market], sells, buys)
        near, near_tight = floats[NEAR], floats[NEAR_TIGHT]
    ints[STOPPED] = tick
    ints[CODE] = tell(ints, floats)
    return ints[CODE]
