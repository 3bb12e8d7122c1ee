"""The monitor's worths: moved so that no edge stands out but those held aside (see `triarb.finders.advance`).

Also the lists that hang on edges: each entry is an edge's part in a chain, which is a cycle that the kernel keeps, or the
cycle in the way of a held edge.
"""

# ruff: noqa: PLR0912, PLR0915 -- functions of numbers, as a compiler wants them

import math

from triarb.finders.layout import (
    ADJACENT,
    ASIDE,
    BY_EDGE,
    CHAIN,
    DRIFT,
    ENTRIES_LEFT,
    ENTRY,
    ENTRY_SIZE,
    FEW,
    FIRST,
    FREE_ENTRY,
    HEAP,
    HEAP_PLACE,
    HELD,
    HELD_EDGE,
    HELD_PLACE,
    LEAST_WORTH,
    LINKED,
    LIST,
    LOOSE_ROOM,
    MAX_DRIFT,
    MOST_WORTH,
    MOVE,
    MOVED,
    OVER_MARGIN,
    PAIRS,
    PATH,
    PLACE,
    RATES,
    RECORDS,
    THRESHOLD,
    TIGHT,
    TIGHT_COUNT,
    TIGHT_ROOM,
    WORTH,
    Floats,
    Ints,
)
from triarb.finders.seeking import following, set_out


def link(ints: Ints, edge: int, owner: int, following: int) -> int:
    """A new entry in the list of `edge`, and in a chain before `following`; there must be one left."""
    entry = ints[FREE_ENTRY]
    at = ints[ENTRY] + ENTRY_SIZE * entry
    ints[FREE_ENTRY] = ints[at + 4]
    ints[ENTRIES_LEFT] -= 1
    first = ints[ints[LIST] + edge]
    ints[at] = edge
    ints[at + 1] = owner
    ints[at + 2] = first
    ints[at + 3] = 0
    ints[at + 4] = following
    if first:
        ints[ints[ENTRY] + ENTRY_SIZE * first + 3] = entry
    ints[ints[LIST] + edge] = entry
    if edge < 2 * ints[PAIRS]:
        ints[RECORDS + 4 * (edge >> 1) + 2] |= LINKED
    return entry


def unlink(ints: Ints, entry: int) -> None:
    """Take a chain of entries out of their edges' lists."""
    while entry:
        at = ints[ENTRY] + ENTRY_SIZE * entry
        after, before, following = ints[at + 2], ints[at + 3], ints[at + 4]
        if before:
            ints[ints[ENTRY] + ENTRY_SIZE * before + 2] = after
        else:
            ints[ints[LIST] + ints[at]] = after
        if after:
            ints[ints[ENTRY] + ENTRY_SIZE * after + 3] = before
        ints[at + 4] = ints[FREE_ENTRY]
        ints[FREE_ENTRY] = entry
        ints[ENTRIES_LEFT] += 1
        entry = following


def hold(ints: Ints, edge: int) -> None:
    """Set an edge aside that is not."""
    ints[RECORDS + 4 * (edge >> 1) + 2] |= ASIDE << (edge & 1)
    ints[ints[HELD_EDGE] + ints[HELD]] = edge
    ints[ints[HELD_PLACE] + edge] = ints[HELD]
    ints[HELD] += 1


def let_go(ints: Ints, edge: int) -> None:
    """Take an edge in that is aside."""
    ints[RECORDS + 4 * (edge >> 1) + 2] &= ~(ASIDE << (edge & 1))
    ints[HELD] -= 1
    last = ints[ints[HELD_EDGE] + ints[HELD]]
    place = ints[ints[HELD_PLACE] + edge]
    ints[ints[HELD_EDGE] + place] = last
    ints[ints[HELD_PLACE] + last] = place


def mark(ints: Ints, pair: int) -> None:
    """Make a pair tight, or no longer: the tight ones stand first among the edges of a vertex."""
    record = RECORDS + 4 * pair
    tight = ints[record + 2] & TIGHT
    ints[record + 2] ^= TIGHT
    for edge in range(2 * pair, 2 * pair + 2):
        vertex = ints[record + (edge & 1)]
        count = ints[TIGHT_COUNT] + vertex
        if tight:
            ints[count] -= 1
        there = ints[ints[FIRST] + vertex] + ints[count]
        if not tight:
            ints[count] += 1
        here = ints[ints[PLACE] + edge]
        other = ints[ints[ADJACENT] + there]
        ints[ints[ADJACENT] + there] = edge
        ints[ints[ADJACENT] + here] = other
        ints[ints[PLACE] + edge] = there
        ints[ints[PLACE] + other] = here


def move(ints: Ints, floats: Floats, vertex: int, worth: float) -> None:
    """Give a vertex another worth; and once it has moved far, look which of its pairs are tight now."""
    was = floats[ints[WORTH] + vertex]
    floats[ints[WORTH] + vertex] = worth
    first, end = ints[ints[FIRST] + vertex], ints[ints[FIRST] + vertex + 1]
    drift = floats[ints[DRIFT] + vertex] * (was / worth if was > worth else worth / was)
    floats[ints[DRIFT] + vertex] = drift
    if end - first > FEW and drift <= floats[MAX_DRIFT]:
        return
    floats[ints[DRIFT] + vertex] = 1.0
    loose = floats[LOOSE_ROOM] * floats[OVER_MARGIN]
    place = first
    while place < end:
        edge = ints[ints[ADJACENT] + place]
        record = RECORDS + 4 * (edge >> 1)
        rate = RATES + 4 * (edge >> 1) + 2
        other = floats[ints[WORTH] + ints[record + 1 - (edge & 1)]]
        there = floats[rate + (edge & 1)] * other * loose
        back = floats[rate + 1 - (edge & 1)] * worth * loose
        is_tight = there > worth or back > other
        if is_tight != (ints[record + 2] & TIGHT == TIGHT):
            mark(ints, edge >> 1)
            if not is_tight:  # then another has come to this place
                place -= 1
        place += 1


def rise(ints: Ints, floats: Floats, place: int) -> None:
    """Bring what is at `place` of the heap up to where it belongs."""
    heap, heap_place, moves = ints[HEAP], ints[HEAP_PLACE], ints[MOVE]
    vertex = ints[heap + place]
    key = floats[moves + vertex]
    while place > 0:
        parent = (place - 1) >> 1
        other = ints[heap + parent]
        if floats[moves + other] >= key:
            break
        ints[heap + place] = other
        ints[heap_place + other] = place + 1
        place = parent
    ints[heap + place] = vertex
    ints[heap_place + vertex] = place + 1


def pop(ints: Ints, floats: Floats, size: int) -> int:
    """Take the vertex of the largest move out of a heap of `size`; it is settled then."""
    heap, heap_place, moves = ints[HEAP], ints[HEAP_PLACE], ints[MOVE]
    top = ints[heap]
    ints[heap_place + top] = -1
    size -= 1
    if size == 0:
        return top
    vertex = ints[heap + size]
    key = floats[moves + vertex]
    place = 0
    child = 1
    while child < size:
        if child + 1 < size and (
            floats[moves + ints[heap + child + 1]] > floats[moves + ints[heap + child]]
        ):
            child += 1
        other = ints[heap + child]
        if floats[moves + other] <= key:
            break
        ints[heap + place] = other
        ints[heap_place + other] = place + 1
        place = child
        child = 2 * place + 1
    ints[heap + place] = vertex
    ints[heap_place + vertex] = place + 1
    return top


def release(ints: Ints, floats: Floats, edge: int) -> int:
    """Take in an edge that stands out or is held aside, and move worths until no edge that is not aside stands out.

    The end of fewer edges is moved: to the middle of the room that its edges leave it, else as little as it must, its
    neighbours with it. Moves go the largest first, so that each vertex moves once (Cotton and Maler, 2006, on difference
    constraints). Where they come round to the other end of the edge, a cycle stands out; it is kept, the edge is held aside,
    and worths are moved so far that it stands out by little more than that cycle.

    Returns:
        Whether a worth has changed.
    """
    pair = edge >> 1
    record = RECORDS + 4 * pair
    is_aside = ints[record + 2] & (ASIDE << (edge & 1)) > 0
    if ints[ints[CHAIN] + edge]:
        unlink(ints, ints[ints[CHAIN] + edge])
        ints[ints[CHAIN] + edge] = 0
    worths, moves = ints[WORTH], ints[MOVE]
    u, v = ints[record + (edge & 1)], ints[record + 1 - (edge & 1)]
    over = floats[OVER_MARGIN]
    lacking = floats[RATES + 4 * pair + 2 + (edge & 1)] * floats[worths + v] * over
    lacking /= floats[worths + u]
    if lacking <= 1.0:
        if is_aside:
            let_go(ints, edge)
        return 0
    firsts, adjacent = ints[FIRST], ints[ADJACENT]
    forward = ints[firsts + v + 1] - ints[firsts + v] <= ints[firsts + u + 1] - ints[firsts + u]
    origin, last = (v, u) if forward else (u, v)

    # The room of one end alone.
    begin, end = ints[firsts + origin], ints[firsts + origin + 1]
    worth = floats[worths + origin]
    low, high = 0.0, math.inf
    if end - begin > FEW and lacking <= floats[TIGHT_ROOM]:
        end = begin + ints[ints[TIGHT_COUNT] + origin]
        low, high = worth / floats[TIGHT_ROOM], worth * floats[TIGHT_ROOM]
    for place in range(begin, end):
        out = ints[adjacent + place]
        at = RECORDS + 4 * (out >> 1)
        way = out & 1
        other = floats[worths + ints[at + 1 - way]]
        if out == edge or not ints[at + 2] & (ASIDE << way):
            low = max(low, floats[RATES + 4 * (out >> 1) + 2 + way] * other * over)
        rate = floats[RATES + 4 * (out >> 1) + 3 - way]
        if rate > 0.0 and (out ^ 1 == edge or not ints[at + 2] & (ASIDE << (1 - way))):
            high = min(high, other / (rate * over))
    if low <= high:
        if low == 0.0 or high == math.inf:
            middle = high if low == 0.0 else low
        else:
            middle = math.sqrt(low) * math.sqrt(high)
        if LEAST_WORTH < middle < MOST_WORTH:
            if is_aside:
                let_go(ints, edge)
            move(ints, floats, origin, middle)
            return 1
    if not is_aside:
        hold(ints, edge)

    # A cycle above the threshold in the way, if the search finds one: it is listed, and nothing is proved while it is.
    depth = set_out(ints, floats, edge, floats[THRESHOLD])
    depth = following(ints, floats, edge, depth)
    if depth >= 0:
        middle = low if forward else high
        if LEAST_WORTH < middle < MOST_WORTH:
            move(ints, floats, origin, middle)
        chain = 0
        for i in range(depth + 1, -1, -1):
            if ints[ENTRIES_LEFT] > 0:
                chain = link(ints, ints[PATH + i], edge, chain)
        ints[ints[CHAIN] + edge] = chain
        return 1

    # The neighbours with it.
    heap, heap_place, by_edge, moved = ints[HEAP], ints[HEAP_PLACE], ints[BY_EDGE], ints[MOVED]
    floats[moves + origin] = lacking
    ints[moved] = origin
    count = 1
    ints[heap] = origin
    ints[heap_place + origin] = 1
    size = 1
    meets = False
    while size > 0:
        x = pop(ints, floats, size)
        size -= 1
        if x == last:
            meets = True
            break
        shift = floats[moves + x]
        begin, end = ints[firsts + x], ints[firsts + x + 1]
        if end - begin > FEW and shift <= floats[TIGHT_ROOM]:
            end = begin + ints[ints[TIGHT_COUNT] + x]
        scale = shift * over / floats[worths + x] if forward else shift * over * floats[worths + x]
        for place in range(begin, end):
            out = ints[adjacent + place]
            at = RECORDS + 4 * (out >> 1)
            y = ints[at + 1 - (out & 1)]
            way = out & 1 if forward else 1 - (out & 1)
            far = floats[RATES + 4 * (out >> 1) + 2 + way] * scale
            if forward:
                far *= floats[worths + y]
            else:
                far /= floats[worths + y]
            if (
                far <= floats[moves + y]
                or ints[heap_place + y] < 0
                or ints[at + 2] & (ASIDE << way)
            ):
                continue
            if ints[heap_place + y] == 0:
                ints[moved + count] = y
                count += 1
                ints[heap + size] = y
                ints[heap_place + y] = size + 1
                size += 1
            floats[moves + y] = far
            ints[by_edge + y] = 2 * (out >> 1) + way
            rise(ints, floats, ints[heap_place + y] - 1)

    short = floats[moves + last]  # what the best cycle of the edge gains; one where there is none
    fits = True
    for i in range(count):
        x = ints[moved + i]
        shift = max(1.0, floats[moves + x] / short)
        worth = floats[worths + x] / shift if forward else floats[worths + x] * shift
        fits = fits and LEAST_WORTH < worth < MOST_WORTH
    for i in range(count):
        x = ints[moved + i]
        shift = floats[moves + x] / short
        floats[moves + x] = 1.0
        ints[heap_place + x] = 0
        if fits and shift > 1.0:
            floats[worths + x] = (
                floats[worths + x] / shift if forward else floats[worths + x] * shift
            )
            floats[ints[DRIFT] + x] *= shift
    for i in range(count if fits else 0):  # once all have their place
        move(ints, floats, ints[moved + i], floats[worths + ints[moved + i]])
    if fits and not meets:
        let_go(ints, edge)
        return 1

    # The cycle that is in the way; without room for it, the edge is tried again whenever a rate falls.
    legs = 1
    x = last
    while meets and x != origin:
        out = ints[by_edge + x]
        x = ints[RECORDS + 4 * (out >> 1) + (out & 1 if forward else 1 - (out & 1))]
        legs += 1
    chain = 0
    if meets and legs <= ints[ENTRIES_LEFT]:
        chain = link(ints, edge, edge, 0)
        x = last
        while x != origin:
            out = ints[by_edge + x]
            chain = link(ints, out, edge, chain)
            x = ints[RECORDS + 4 * (out >> 1) + (out & 1 if forward else 1 - (out & 1))]
    elif ints[ENTRIES_LEFT] > 0:
        chain = link(ints, 2 * ints[PAIRS], edge, 0)
    ints[ints[CHAIN] + edge] = chain
    return 1
