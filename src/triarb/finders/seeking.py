"""The search of the monitor's kernel for cycles through one edge (see `triarb.finders.advance`)."""

# ruff: noqa: PLR0912, PLR0915 -- functions of numbers, as a compiler wants them

from triarb.finders.layout import (
    ADJACENT,
    ASIDE,
    CHOSEN,
    CURSOR,
    END,
    FEW,
    FIRST,
    FLOATS_ARE_OFF,
    GAIN_OF_FEW,
    HELD,
    HELD_EDGE,
    LEFT,
    MAX_LEGS,
    MAX_LEGS_EVER,
    MOST_GAIN,
    PAID,
    PAIR_OF,
    PATH,
    PRODUCTS,
    RATES,
    RECORDS,
    RIGHT,
    SLOTS,
    SOUGHT,
    TIGHT_COUNT,
    TIGHT_ROOM,
    WAY,
    WORTH,
    Floats,
    Ints,
)

RIGHTWARD, LEFTWARD, OVER_HELD = 0, 1, 2
"""How a path goes on: from its left end by an edge, to its right end by one, or from either by one that is held."""


def slot_of(ints: Ints, u: int, v: int) -> int:
    """Where the pair of two vertices stands, or would stand, among the slots."""
    low, high = min(u, v), max(u, v)
    slot = (low * 73_856_093 + high * 19_349_663) & (ints[SLOTS] - 1)
    while True:
        pair = ints[ints[PAIR_OF] + slot] - 1
        if pair < 0:
            return slot
        record = RECORDS + 4 * pair
        if (
            min(ints[record], ints[record + 1]) == low
            and max(ints[record], ints[record + 1]) == high
        ):
            return slot
        slot = (slot + 1) & (ints[SLOTS] - 1)


def gain_of(ints: Ints, floats: Floats, besides: int, most: int) -> float:
    """By what factor the held edges but `besides` stand out together, or the `most` of them that do so most.

    A cycle that passes through no more of them gains no more.
    """
    gain, found = 1.0, 0
    for i in range(ints[HELD]):
        edge = ints[ints[HELD_EDGE] + i]
        if edge == besides:
            continue
        record, way = RECORDS + 4 * (edge >> 1), edge & 1
        out = floats[RATES + 4 * (edge >> 1) + 2 + way]
        out *= floats[ints[WORTH] + ints[record + 1 - way]]
        out /= floats[ints[WORTH] + ints[record + way]]
        out *= 1.0 + FLOATS_ARE_OFF
        if most > MAX_LEGS_EVER:
            gain *= max(1.0, out)
        elif found < most or out > floats[PRODUCTS + most - 1]:
            found = min(found + 1, most)
            place = found - 1
            while place > 0 and floats[PRODUCTS + place - 1] < out:
                floats[PRODUCTS + place] = floats[PRODUCTS + place - 1]
                place -= 1
            floats[PRODUCTS + place] = out
    for i in range(found):
        gain *= max(1.0, floats[PRODUCTS + i])
    return min(gain, MOST_GAIN)


def set_out(ints: Ints, floats: Floats, edge: int, bar: float) -> int:
    """Begin the search for cycles through `edge` above `bar`: gives depth 0, or -1 where what is held could not pay."""
    record, way = RECORDS + 4 * (edge >> 1), edge & 1
    root, start = ints[record + way], ints[record + 1 - way]
    rate = floats[RATES + 4 * (edge >> 1) + 2 + way]
    gain = floats[GAIN_OF_FEW]
    if ints[record + 2] & (ASIDE << way):
        gain = gain_of(ints, floats, edge, ints[MAX_LEGS] - 1)
    worths = ints[WORTH]
    if rate * floats[worths + start] * gain <= bar * floats[worths + root]:
        return -1
    floats[SOUGHT], floats[PAID] = bar, gain
    ints[LEFT], ints[RIGHT] = start, root
    floats[PRODUCTS] = rate
    ints[CURSOR] = -1
    ints[PATH] = edge
    return 0


def following(ints: Ints, floats: Floats, edge: int, depth: int) -> int:
    """Go on with a search at `depth`, until the next cycle.

    A path is extended at the end of fewer edges, until one edge closes it, as long as the held edges could pay for it:
    those that are not held cannot bring it above the bar. Where it has no held edge yet, one of its last two is.

    Returns:
        At what depth it found one, which is two less than the legs of the cycle, whose edges are the path then; or -1.
    """
    firsts, adjacent, tight, worths = ints[FIRST], ints[ADJACENT], ints[TIGHT_COUNT], ints[WORTH]
    last, bar, gain = ints[MAX_LEGS] - 2, floats[SOUGHT], floats[PAID]
    while depth >= 0:
        left, right = ints[LEFT + depth], ints[RIGHT + depth]
        product = floats[PRODUCTS + depth]
        if ints[CURSOR + depth] < 0:  # here for the first time
            outs = ints[firsts + left + 1] - ints[firsts + left]
            ins = ints[firsts + right + 1] - ints[firsts + right]
            if product * floats[worths + left] * gain <= (
                bar * floats[TIGHT_ROOM] * floats[worths + right]
            ):
                outs = ints[tight + left] if outs > FEW else outs
                ins = ints[tight + right] if ins > FEW else ins
            fewer = min(outs, ins)
            ints[WAY + depth] = LEFTWARD if ins < outs else RIGHTWARD
            ints[CURSOR + depth] = ints[firsts + (right if ins < outs else left)]
            ints[END + depth] = ints[CURSOR + depth] + fewer
            if depth == last - 1 and ints[HELD] < fewer:
                has_held = ints[RECORDS + 4 * (edge >> 1) + 2] & (ASIDE << (edge & 1))
                for i in range(depth):
                    chosen = ints[CHOSEN + i]
                    has_held += ints[RECORDS + 4 * (chosen >> 1) + 2] & (ASIDE << (chosen & 1))
                if has_held == 0:
                    ints[WAY + depth] = OVER_HELD
                    ints[CURSOR + depth], ints[END + depth] = 0, ints[HELD]
            if depth == last:
                ints[END + depth] = ints[CURSOR + depth]
            if depth > 0:
                pair = ints[ints[PAIR_OF] + slot_of(ints, left, right)] - 1
                if pair >= 0:
                    way = 0 if ints[RECORDS + 4 * pair] == left else 1
                    rate = floats[RATES + 4 * pair + 2 + way]
                    closing = 2 * pair + way
                    is_found = product * rate > bar
                    if ints[WAY + depth - 1] == OVER_HELD and ints[RIGHT + depth - 1] != right:
                        # Where both of the last two edges are held, it is found over the first of them.
                        is_found = is_found and not ints[RECORDS + 4 * pair + 2] & (ASIDE << way)
                    if is_found:
                        floats[PRODUCTS + depth + 1] = product * rate
                        count = 1
                        for i in range(depth):
                            if ints[RIGHT + i] == ints[RIGHT + i + 1]:
                                ints[PATH + count] = ints[CHOSEN + i]
                                count += 1
                        ints[PATH + count] = closing
                        count += 1
                        for i in range(depth - 1, -1, -1):
                            if ints[RIGHT + i] != ints[RIGHT + i + 1]:
                                ints[PATH + count] = ints[CHOSEN + i]
                                count += 1
                        return depth
        if ints[CURSOR + depth] >= ints[END + depth]:
            depth -= 1
            continue
        place = ints[CURSOR + depth]
        ints[CURSOR + depth] += 1
        way = ints[WAY + depth]
        chosen = 0
        if way == OVER_HELD:
            chosen = ints[ints[HELD_EDGE] + place]
            record = RECORDS + 4 * (chosen >> 1)
            if ints[record + (chosen & 1)] == left:
                way = RIGHTWARD
            elif ints[record + 1 - (chosen & 1)] == right:
                way = LEFTWARD
            else:
                continue
        else:
            chosen = ints[adjacent + place] ^ (1 if way == LEFTWARD else 0)
        record = RECORDS + 4 * (chosen >> 1)
        onward = product * floats[RATES + 4 * (chosen >> 1) + 2 + (chosen & 1)]
        if way == RIGHTWARD:
            vertex = ints[record + 1 - (chosen & 1)]
            left = vertex
        else:
            vertex = ints[record + (chosen & 1)]
            right = vertex
        if onward * floats[worths + left] * gain <= bar * floats[worths + right]:
            continue
        meets = False
        for i in range(depth + 1):
            meets = meets or ints[LEFT + i] == vertex or ints[RIGHT + i] == vertex
        if meets:
            continue
        ints[CHOSEN + depth] = chosen
        depth += 1
        ints[LEFT + depth], ints[RIGHT + depth] = left, right
        floats[PRODUCTS + depth] = onward
        ints[CURSOR + depth] = -1
    return -1
