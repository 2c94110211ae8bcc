"""Sets of whole numbers as disjoint closed intervals in rising order."""

from collections.abc import Iterable, Sequence

Interval = tuple[int, int]


def joined(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """The union of intervals: disjoint, rising, neighbours made one."""
    out: list[Interval] = []
    for low, high in sorted(intervals):
        if out and low <= out[-1][1] + 1:
            out[-1] = out[-1][0], max(out[-1][1], high)
        else:
            out.append((low, high))
    return tuple(out)


def outside(intervals: Sequence[Interval], top: int) -> tuple[Interval, ...]:
    """The numbers from 0 to ``top`` that are in none of the intervals (disjoint, rising)."""
    out, position = [], 0
    for low, high in intervals:
        if low > position:
            out.append((position, low - 1))
        position = high + 1
    if position <= top:
        out.append((position, top))
    return tuple(out)


def common(one: Sequence[Interval], two: Sequence[Interval]) -> tuple[Interval, ...]:
    """The numbers in both unions of intervals (disjoint, rising)."""
    out, i, j = [], 0, 0
    while i < len(one) and j < len(two):
        low, high = max(one[i][0], two[j][0]), min(one[i][1], two[j][1])
        if low <= high:
            out.append((low, high))
        if one[i][1] <= two[j][1]:
            i += 1
        else:
            j += 1
    return tuple(out)
