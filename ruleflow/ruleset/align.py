"""Two sequences laid side by side: which items of one are the items of the other, in order (an LCS)."""

from bisect import bisect_left
from collections.abc import Hashable, Sequence

_FAR = 400
"""Edits after which the exact method gives way to one that anchors on items that stand once on both sides."""


def align(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Pairs of equal items, rising in both; as many as possible where few items differ.

    >>> align("abcd", "abxd")
    [(0, 0), (1, 1), (3, 3)]
    """
    start, end = 0, 0
    shorter = min(len(one), len(two))
    while start < shorter and one[start] == two[start]:
        start += 1
    while end < shorter - start and one[-1 - end] == two[-1 - end]:
        end += 1
    inner = _middle(one[start : len(one) - end], two[start : len(two) - end])
    return [
        *((n, n) for n in range(start)),
        *((i + start, j + start) for i, j in inner),
        *((len(one) - n, len(two) - n) for n in range(end, 0, -1)),
    ]


def _middle(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    if not one or not two:
        return []
    ways = _ways(one, two)
    return _back(ways, len(one), len(two)) if ways is not None else _anchored(one, two)


def _ways(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[dict[int, int]] | None:
    """Myers' greedy search (An O(ND) Difference Algorithm, 1986): the furthest points for each number of edits."""
    furthest = {1: 0}
    ways: list[dict[int, int]] = []
    for edits in range(min(len(one) + len(two), _FAR) + 1):
        ways.append(dict(furthest))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and furthest.get(k - 1, -1) < furthest.get(k + 1, -1))
            x = furthest[k + 1] if down else furthest[k - 1] + 1
            while x < len(one) and 0 <= x - k < len(two) and one[x] == two[x - k]:
                x += 1
            furthest[k] = x
            if x >= len(one) and x - k >= len(two):
                return ways
    return None


def _back(ways: list[dict[int, int]], x: int, y: int) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for edits in range(len(ways) - 1, -1, -1):
        furthest, k = ways[edits], x - y
        down = k == -edits or (k != edits and furthest.get(k - 1, -1) < furthest.get(k + 1, -1))
        before = k + 1 if down else k - 1
        old_x = furthest.get(before, 0)
        old_y = old_x - before
        while x > old_x and y > old_y and x > 0 and y > 0:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        if edits:
            x, y = old_x, old_y
    return pairs[::-1]


def _anchored(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    """The longest rising run of items that stand once on both sides, and between them the same again."""
    places = [(i, j) for i, j in _once(one, two)]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, j) in enumerate(places):
        at = bisect_left(tails, j)
        before.append(ends[at - 1] if at else -1)
        tails[at : at + 1] = [j]
        ends[at : at + 1] = [number]
    chain: list[tuple[int, int]] = []
    number = ends[-1] if ends else -1
    while number >= 0:
        chain.append(places[number])
        number = before[number]
    if not chain:
        return []
    pairs: list[tuple[int, int]] = []
    last_i = last_j = -1
    for i, j in [*chain[::-1], (len(one), len(two))]:
        inner = align(one[last_i + 1 : i], two[last_j + 1 : j])
        pairs += [(a + last_i + 1, b + last_j + 1) for a, b in inner]
        if i < len(one):
            pairs.append((i, j))
        last_i, last_j = i, j
    return pairs


def _once(one: Sequence[Hashable], two: Sequence[Hashable]) -> list[tuple[int, int]]:
    counts: dict[Hashable, list[int]] = {}
    for side, items in enumerate((one, two)):
        for place, item in enumerate(items):
            counts.setdefault(item, [0, 0, 0, 0])[side] += 1
            counts[item][2 + side] = place
    return sorted((c[2], c[3]) for c in counts.values() if c[0] == c[1] == 1)
