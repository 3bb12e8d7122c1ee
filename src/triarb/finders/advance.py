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
    pairs, worths, mode = ints[PAIRS], ints[WORTH], ints[MODE]
    near, near_tight = floats[NEAR], floats[NEAR_TIGHT]
    over = floats[OVER_MARGIN]
    loose, far = floats[LOOSE_ROOM] * over, floats[FAR_ROOM] * over
    tick = first
    while tick < end:
        market = int(ticks[3 * tick])
        bid, ask = ticks[3 * tick + 1], ticks[3 * tick + 2]
        tick += 1
        if market < 0:
            search(ints, floats, -market - 1)
            two_legs(ints, floats, (-market - 1) >> 1)
            if ints[FULL] > 0:
                break
            continue
        sells, buys = 0.0, 0.0
        if LEAST_PRICE < bid <= ask < MOST_PRICE:
            sells = bid * floats[RATES + 4 * market]
            buys = floats[RATES + 4 * market + 1] / ask
        pair = market
        if market >= pairs:  # the better of all markets of the pair, by direction
            floats[RATES + 4 * market + 2] = sells
            floats[RATES + 4 * market + 3] = buys
            pair = ints[RECORDS + 4 * market]
            sells, buys = 0.0, 0.0
            other = market
            while True:
                way = ints[RECORDS + 4 * other + 1]
                sells = max(sells, floats[RATES + 4 * other + 2 + way])
                buys = max(buys, floats[RATES + 4 * other + 3 - way])
                other = ints[RECORDS + 4 * other + 3]
                if other == market:
                    break
        record, rates = RECORDS + 4 * pair, RATES + 4 * pair
        worth, quote_worth = floats[worths + ints[record]], floats[worths + ints[record + 1]]
        there, back = sells * quote_worth, buys * worth
        state = ints[record + 2]
        if state == 0:
            if there * near <= worth and back * near <= quote_worth and market < pairs:
                floats[rates + 2] = sells
                floats[rates + 3] = buys
                continue
        elif (
            state == TIGHT
            and there * near_tight <= worth
            and back * near_tight <= quote_worth
            and (there * far > worth or back * far > quote_worth)
            and market < pairs
        ):
            floats[rates + 2] = sells
            floats[rates + 3] = buys
            continue

        # What stands out now, and which held edges are to be tried again.
        edge = 2 * pair
        rises, rises_back = sells >= floats[rates + 2], buys >= floats[rates + 3]
        count = 0
        floats[rates + 2] = sells
        floats[rates + 3] = buys
        if state & TIGHT:
            if there * far <= worth and back * far <= quote_worth:
                mark(ints, pair)
        elif there * loose > worth or back * loose > quote_worth:
            mark(ints, pair)
        if there * over > worth and not state & ASIDE:
            hold(ints, edge)
            ints[ints[TODO] + count] = edge
            count += 1
        if back * over > quote_worth and not state & ASIDE_BACK:
            hold(ints, edge + 1)
            ints[ints[TODO] + count] = edge + 1
            count += 1
        if ints[HELD] > 0 and not (rises and rises_back):
            if not rises:
                count = blocked_by(ints, edge, count)
            if not rises_back:
                count = blocked_by(ints, edge + 1, count)
            count = blocked_by(ints, 2 * pairs, count)
        changes = ints[record + 2] & (ASIDE | ASIDE_BACK)
        for i in range(count):
            changes += release(ints, floats, ints[ints[TODO] + i])
        if changes > 0 or count > 0:
            weigh(ints, floats)
            near, near_tight = floats[NEAR], floats[NEAR_TIGHT]

        # The cycles through the two edges.
        before = ints[CHANGES]
        if mode & SEARCHES and (ints[HELD] > 0 or ints[record + 2] & LINKED):
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
        if (
            ints[UNSURE] > 0
            or ints[FULL] > 0
            or (mode & STOPS_AT_CHANGES and ints[CHANGES] > before)
        ):
            break
    ints[STOPPED] = tick
    ints[CODE] = tell(ints, floats)
    return ints[CODE]
