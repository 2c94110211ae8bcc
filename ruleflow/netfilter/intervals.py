"""Sets of whole numbers as disjoint closed intervals in rising order."""

from collections.abc import Iterable, Iterator, Sequence

Interval = tuple[int, int]

_ENUMERATE = 4096
"""How many intervals a mask with gaps may fall into before it becomes a free variable."""


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


def masked_intervals(value: int, mask: int, top: int) -> tuple[Interval, ...] | None:
    """The numbers up to ``top`` (all ones) that have ``value`` under ``mask``; None where they are too scattered."""
    mask &= top
    if value & ~mask:
        return ()
    rest = top & ~mask
    if rest & (rest + 1) == 0:  # a prefix
        return ((value, value | rest),)
    low_bits = (mask & -mask) - 1 if mask else top
    gaps = [bit for bit in _bits_of(top & ~mask) if bit > low_bits]
    if 1 << len(gaps) > _ENUMERATE:
        return None
    starts = [value]
    for bit in gaps:
        starts += [start | bit for start in starts]
    return joined((start, start | low_bits) for start in starts)


def _bits_of(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit
