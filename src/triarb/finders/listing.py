"""The cycles that the monitor's kernel keeps, and the search for them (see `triarb.finders.advance`)."""

from triarb.finders.layout import (
    ABOVE,
    BAR,
    BELOW,
    CERTAIN,
    CHANGES,
    CYCLE,
    CYCLE_SIZE,
    CYCLES_LEFT,
    ENTRIES_LEFT,
    ENTRY,
    ENTRY_SIZE,
    FREE_CYCLE,
    FULL,
    IS_EXACT,
    IS_START,
    LIST,
    LISTED,
    MIN_LEGS,
    MODE,
    MOST_CHANGES,
    OPEN,
    PATH,
    PRODUCT,
    PRODUCTS,
    RATES,
    RECORDS,
    STARTS,
    SURE,
    THRESHOLD,
    UNSURE,
    Floats,
    Ints,
)
from triarb.finders.seeking import following, set_out
from triarb.finders.worths import link, unlink


def set_state(ints: Ints, cycle: int, state: int) -> None:
    """Say what is known of a cycle, and count it."""
    at = ints[CYCLE] + CYCLE_SIZE * cycle
    was = ints[at]
    if was in (SURE, ABOVE):
        ints[LISTED] -= 1
    if state in (SURE, ABOVE):
        ints[LISTED] += 1
    if was == OPEN:
        ints[UNSURE] -= 1
    if state == OPEN:
        ints[UNSURE] += 1
    ints[at] = state
    ints[CHANGES] = (ints[CHANGES] + 1) & MOST_CHANGES


def judge(ints: Ints, floats: Floats, cycle: int, product: float) -> None:
    """Say what floats can of a cycle: what they cannot decide is open, where exactness is asked for."""
    floats[ints[PRODUCT] + cycle] = product
    if ints[MODE] & IS_EXACT:
        is_sure = product > floats[CERTAIN] and ints[ints[CYCLE] + CYCLE_SIZE * cycle + 2] > 2
        set_state(ints, cycle, SURE if is_sure else OPEN)
    else:
        set_state(ints, cycle, SURE if product > floats[THRESHOLD] else BELOW)


def remove(ints: Ints, cycle: int) -> None:
    """Forget a cycle."""
    set_state(ints, cycle, 0)
    at = ints[CYCLE] + CYCLE_SIZE * cycle
    unlink(ints, ints[at + 1])
    ints[at + 1] = ints[FREE_CYCLE]
    ints[FREE_CYCLE] = cycle
    ints[CYCLES_LEFT] += 1


def forget(ints: Ints, edge: int) -> None:
    """Forget all cycles through an edge."""
    entry = ints[ints[LIST] + edge]
    while entry:
        at = ints[ENTRY] + ENTRY_SIZE * entry
        owner = ints[at + 1]
        entry = ints[at + 2]
        if owner < 0:
            remove(ints, -owner)


def recheck(ints: Ints, floats: Floats, edge: int) -> None:
    """Take in that the rate of an edge fell: what its cycles come to now, and whether they are kept."""
    entry = ints[ints[LIST] + edge]
    while entry:
        at = ints[ENTRY] + ENTRY_SIZE * entry
        owner = ints[at + 1]
        entry = ints[at + 2]
        if owner >= 0:
            continue
        product = 1.0
        leg = ints[ints[CYCLE] - CYCLE_SIZE * owner + 1]
        while leg:
            at = ints[ENTRY] + ENTRY_SIZE * leg
            product *= floats[RATES + 4 * (ints[at] >> 1) + 2 + (ints[at] & 1)]
            leg = ints[at + 4]
        if product > floats[BAR]:
            judge(ints, floats, -owner, product)
        else:
            remove(ints, -owner)


def add(ints: Ints, floats: Floats, legs: int, product: float) -> None:
    """Keep the cycle of the first `legs` edges of the path, if it has a start asset; or say that there is no room."""
    starts = ints[STARTS] == 0
    for i in range(legs):
        edge = ints[PATH + i]
        starts = starts or ints[ints[IS_START] + ints[RECORDS + 4 * (edge >> 1) + (edge & 1)]] == 1
    if not starts:
        return
    if ints[CYCLES_LEFT] == 0 or ints[ENTRIES_LEFT] < legs:
        ints[FULL] = 1
        return
    cycle = ints[FREE_CYCLE]
    at = ints[CYCLE] + CYCLE_SIZE * cycle
    ints[FREE_CYCLE] = ints[at + 1]
    ints[CYCLES_LEFT] -= 1
    chain = 0
    for i in range(legs - 1, -1, -1):
        chain = link(ints, ints[PATH + i], -cycle, chain)
    ints[at + 1] = chain
    ints[at + 2] = legs
    judge(ints, floats, cycle, product)


def search(ints: Ints, floats: Floats, edge: int) -> None:
    """Keep just the cycles through `edge`, of three legs or more, whose floats multiply to more than the bar."""
    forget(ints, edge)
    depth = set_out(ints, floats, edge, floats[BAR])
    while depth >= 0:
        depth = following(ints, floats, edge, depth)
        if depth >= 0 and depth + 2 >= ints[MIN_LEGS]:
            add(ints, floats, depth + 2, floats[PRODUCTS + depth + 1])


def two_legs(ints: Ints, floats: Floats, pair: int) -> None:
    """Keep there and back on two markets of one pair just if it is above the bar; floats do not always tell which two."""
    edge, first = 2 * pair, ints[RECORDS + 4 * pair + 3]
    if first == 0 or ints[MIN_LEGS] > 2:
        return
    entry = ints[ints[LIST] + edge]
    while entry:
        at = ints[ENTRY] + ENTRY_SIZE * entry
        owner = ints[at + 1]
        entry = ints[at + 2]
        if owner < 0 and ints[ints[CYCLE] - CYCLE_SIZE * owner + 2] == 2:
            remove(ints, -owner)
    there, back = floats[RATES + 4 * pair + 2], floats[RATES + 4 * pair + 3]
    if there * back <= floats[BAR]:
        return
    if not ints[MODE] & IS_EXACT:
        sells, buys, market = -1, -1, first
        while True:
            way = ints[RECORDS + 4 * market + 1]
            if sells < 0 and floats[RATES + 4 * market + 2 + way] == there:
                sells = market
            if buys < 0 and floats[RATES + 4 * market + 3 - way] == back:
                buys = market
            market = ints[RECORDS + 4 * market + 3]
            if market == first:
                break
        if sells == buys:
            return
    ints[PATH], ints[PATH + 1] = edge, edge + 1
    add(ints, floats, 2, there * back)
