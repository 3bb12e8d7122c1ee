"""The cycles that the monitor's kernel keeps, and the search for them (see `triarb.finders.advance`)."""

# ruff: noqa: PLR0912, PLR0915 -- functions of numbers, as a compiler wants them

from triarb.finders.layout import (
    ABOVE,
    ADJACENT,
    ASIDE,
    BAR,
    BELOW,
    BEST,
    BETTER,
    CERTAIN,
    CHANGES,
    CLOSING,
    CURSOR,
    CYCLE,
    CYCLE_SIZE,
    CYCLES_LEFT,
    ENTRIES_LEFT,
    ENTRY,
    ENTRY_SIZE,
    FEW,
    FIRST,
    FLOATS_ARE_OFF,
    FREE_CYCLE,
    FULL,
    GAIN,
    HELD,
    HELD_EDGE,
    IMPROVED,
    IS_EXACT,
    IS_START,
    LIST,
    LISTED,
    MAX_LEGS,
    MIN_LEGS,
    MODE,
    MOST_GAIN,
    OPEN,
    PATH,
    PATH_PRODUCT,
    PRODUCT,
    RATES,
    REACHED,
    RECORDS,
    STARTS,
    SURE,
    THRESHOLD,
    TIGHT_COUNT,
    TIGHT_ROOM,
    UNSURE,
    VERTICES,
    WORTH,
    Floats,
    Ints,
)
from triarb.finders.worths import link, unlink


def set_state(ints: Ints, cycle: int, state: int) -> None:
    """Say what is known of a cycle, and count it."""
    at = ints[CYCLE] + CYCLE_SIZE * cycle
    for known, sign in ((ints[at], -1), (state, 1)):
        if known in (SURE, ABOVE):
            ints[LISTED] += sign
        elif known == OPEN:
            ints[UNSURE] += sign
    ints[at] = state
    ints[CHANGES] += 1


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


def gain_of(ints: Ints, floats: Floats, besides: int) -> float:
    """By what factor the held edges, but `besides`, together stand out; no cycle without that one gains more."""
    gain = 1.0
    for i in range(ints[HELD]):
        edge = ints[ints[HELD_EDGE] + i]
        if edge != besides:
            record, way = RECORDS + 4 * (edge >> 1), edge & 1
            out = floats[RATES + 4 * (edge >> 1) + 2 + way]
            out *= floats[ints[WORTH] + ints[record + 1 - way]]
            out /= floats[ints[WORTH] + ints[record + way]]
            gain *= max(1.0, out * (1.0 + FLOATS_ARE_OFF))
    return min(gain, MOST_GAIN)


def search(ints: Ints, floats: Floats, edge: int) -> None:
    """Keep just the cycles through `edge`, of three legs or more, whose floats multiply to more than the bar.

    First the best product of any walk back to the tail of `edge` is computed for every vertex and number of legs, as far
    as all that stands out could pay for it; then a depth-first search extends a path only where that walk would bring it
    above the bar. A walk may meet itself or the path, hence the bound is never too low.
    """
    forget(ints, edge)
    record, way = RECORDS + 4 * (edge >> 1), edge & 1
    root, start = ints[record + way], ints[record + 1 - way]
    rate = floats[RATES + 4 * (edge >> 1) + 2 + way]
    worths, bar, legs_left = ints[WORTH], floats[BAR], ints[MAX_LEGS] - 2
    gain = floats[GAIN]
    if ints[record + 2] & (ASIDE << way):
        gain = gain_of(ints, floats, edge)
    gain *= rate * floats[worths + start]  # that of all that can follow, in the worth of the root
    if legs_left < 1 or gain <= bar * floats[worths + root]:
        return
    gain /= bar
    only_tight = gain <= floats[TIGHT_ROOM] * floats[worths + root]
    firsts, adjacent, tight, best = ints[FIRST], ints[ADJACENT], ints[TIGHT_COUNT], ints[BEST]
    vertices = ints[VERTICES]
    closing, reached, improved, better = ints[CLOSING], ints[REACHED], ints[IMPROVED], ints[BETTER]

    # The walks back to the root: of one leg, then from those that the last leg more made better.
    ints[improved] = root
    reached_count, improved_count = 0, 1
    for legs in range(legs_left):
        level = best + legs * vertices
        before = level - vertices
        for i in range(reached_count if legs > 0 else 0):
            v = ints[reached + i]
            floats[level + v] = floats[before + v]
        better_count = 0
        for i in range(improved_count):
            w = ints[improved + i]
            if w == start:
                continue
            rest = floats[before + w] if legs > 0 else 1.0
            begin, end = ints[firsts + w], ints[firsts + w + 1]
            if only_tight and end - begin > FEW:
                end = begin + ints[tight + w]
            for place in range(begin, end):
                out = ints[adjacent + place]
                v = ints[RECORDS + 4 * (out >> 1) + 1 - (out & 1)]
                walk = floats[RATES + 4 * (out >> 1) + 3 - (out & 1)] * rest
                was = floats[level + v]
                if v == root or walk <= was or walk * gain <= floats[worths + v]:
                    continue
                if was == (floats[before + v] if legs > 0 else 0.0):
                    ints[better + better_count] = v
                    better_count += 1
                if was == 0.0:
                    ints[reached + reached_count] = v
                    reached_count += 1
                if legs == 0:
                    ints[closing + v] = out ^ 1
                floats[level + v] = walk
        improved, better = better, improved
        improved_count = better_count

    # The search; `left` legs may follow the one that is chosen at this depth.
    depth = 0
    ints[PATH] = edge
    floats[PATH_PRODUCT] = rate
    ints[CURSOR] = ints[firsts + start]
    while depth >= 0:
        into = ints[PATH + depth]
        v = ints[RECORDS + 4 * (into >> 1) + 1 - (into & 1)]
        left = legs_left - depth
        product = floats[PATH_PRODUCT + depth]
        place, end = ints[CURSOR + depth], ints[firsts + v + 1]
        if only_tight and end - ints[firsts + v] > FEW:
            end = ints[firsts + v] + ints[tight + v]
        descends = False
        while place < end and not descends:
            out = ints[adjacent + place]
            place += 1
            w = ints[RECORDS + 4 * (out >> 1) + 1 - (out & 1)]
            onward = product * floats[RATES + 4 * (out >> 1) + 2 + (out & 1)]
            if onward * floats[best + (left - 1) * vertices + w] <= bar:
                continue
            meets = False
            for i in range(depth + 1):
                on_path = ints[PATH + i]
                meets = meets or ints[RECORDS + 4 * (on_path >> 1) + 1 - (on_path & 1)] == w
            if meets:
                continue
            ints[PATH + depth + 1] = out
            whole = onward * floats[best + w]
            if whole > bar and depth + 3 >= ints[MIN_LEGS]:
                ints[PATH + depth + 2] = ints[closing + w]
                add(ints, floats, depth + 3, whole)
            if left > 1:
                ints[CURSOR + depth] = place
                depth += 1
                floats[PATH_PRODUCT + depth] = onward
                ints[CURSOR + depth] = ints[firsts + w]
                descends = True
        if not descends:
            depth -= 1

    for i in range(reached_count):
        v = ints[reached + i]
        for legs in range(legs_left):
            floats[best + legs * vertices + v] = 0.0


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
