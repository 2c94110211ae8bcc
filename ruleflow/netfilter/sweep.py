"""Many diagrams that ask the same level, put one behind the other in one pass over its numbers.

A list of networks to drop, a MAC address for each of a thousand sources: folding such rules in pairs looks at all
of them once for each doubling; here each interval is looked at once.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence

from ruleflow.netfilter.idd import LEAF_LEVEL, NOTHING, Diagrams

_OVERLAPS = 6
"""How many of the diagrams may be there at once, on average; more are better folded in pairs."""


def swept(diagrams: Diagrams, parts: Sequence[int], join: Callable[[tuple[int, ...]], int]) -> int | None:
    """The first of ``parts`` that is not `NOTHING` decides; all ask the same level, and no leaf of them goes on.

    ``join`` does the same for the diagrams below. None where the parts overlap too much for this to be quick.
    """
    level, all_ends, all_kids = diagrams.level, diagrams.ends, diagrams.kids
    changes: list[tuple[int, int, int]] = []
    for number, part in enumerate(parts):
        start = 0
        for end, kid in zip(all_ends[part], all_kids[part]):  # noqa: B905 - hot, and the same length by construction
            if kid or start:
                changes.append((start, number, kid))
            start = end + 1
    changes.sort()
    left = _OVERLAPS * len(changes)
    known: dict[tuple[int, ...], int] = {}
    there: dict[int, int] = {}
    order: list[int] = []
    ends: list[int] = []
    kids: list[int] = []
    at, count = 0, len(changes)
    if not count or changes[0][0]:
        changes.insert(0, (0, -1, NOTHING))
        count += 1
    while at < count:
        position = changes[at][0]
        while at < count and changes[at][0] == position:
            _, number, kid = changes[at]
            at += 1
            if kid == NOTHING:
                if there.pop(number, None) is not None:
                    del order[bisect_left(order, number)]
                continue
            if number not in there:
                insort(order, number)
            there[number] = kid
        left -= len(order)
        if left < 0:
            return None
        if not order:
            now = NOTHING
        elif len(order) == 1 or level[there[order[0]]] == LEAF_LEVEL:
            now = there[order[0]]
        else:
            key = _needed(level, there, order)
            now = known.get(key, -1)
            if now < 0:
                now = known[key] = join(key)
        if kids and kids[-1] == now:
            ends.pop()
        else:
            kids.append(now)
        ends.append(changes[at][0] - 1 if at < count else all_ends[parts[0]][-1])
    return diagrams.make(level[parts[0]], ends, kids)


def _needed(level: Sequence[int], there: dict[int, int], order: Sequence[int]) -> tuple[int, ...]:
    """The diagrams in order up to the first that decides for every packet."""
    found = []
    for number in order:
        kid = there[number]
        found.append(kid)
        if level[kid] == LEAF_LEVEL:
            break
    return tuple(found)
