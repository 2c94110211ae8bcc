"""Two diagrams looked at side by side: one within a set or outside of it, one or else the other.

Rules ask about little of a field, and what is left of the packets is often in thousands of parts. So stretches of
one diagram over which the other says nothing (or everything) are taken over as they are, not interval by interval.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence

LEAF_LEVEL = 1 << 30
NOTHING, EVERYTHING = 0, 1
MEMO_LIMIT = 400_000
"""Results remembered of an operation; beyond it all are forgotten."""
Rows = Sequence[tuple[int, ...]]
Make = Callable[[int, Sequence[int], Sequence[int]], int]


def limited(
    level: Sequence[int],
    all_ends: Rows,
    all_kids: Rows,
    make: Make,
    memo: dict[int, int],
    *,
    outside: bool = False,
) -> Callable[[int, int], int]:
    """A function: the leaves of ``b`` within the set ``a``, or ``outside`` of it.

    It may be called where ``a`` and ``b`` differ, ``a`` is neither `NOTHING` nor `EVERYTHING`, ``b`` is not `NOTHING`,
    and, without ``outside``, not `EVERYTHING`.
    """
    none, every = (EVERYTHING, NOTHING) if outside else (NOTHING, EVERYTHING)
    plain = -1 if outside else EVERYTHING

    def walk(a: int, b: int) -> int:
        key = a << 32 | b
        found = memo.get(key)
        if found is not None:
            return found
        at, bt = level[a], level[b]
        ends: list[int] = []
        kids: list[int] = []
        last = -1
        if at == bt:
            x_ends, y_ends, x_kids, y_kids = all_ends[a], all_ends[b], all_kids[a], all_kids[b]
            i = j = 0
            top = x_ends[-1]
            while True:
                one = x_kids[i]
                if one == none:
                    kid, end = NOTHING, x_ends[i]
                    if y_ends[j] < end:
                        j = bisect_left(y_ends, end, j)
                elif one == every:
                    end = x_ends[i]
                    if y_ends[j] < end:
                        k = bisect_left(y_ends, end, j)
                        if y_kids[j] == last:
                            ends.pop()
                            kids.pop()
                        ends += y_ends[j:k]
                        kids += y_kids[j:k]
                        last, j = y_kids[k - 1], k
                    kid = y_kids[j]
                else:
                    two = y_kids[j]
                    if two == NOTHING:
                        kid, end = NOTHING, y_ends[j]
                        if x_ends[i] < end:
                            i = bisect_left(x_ends, end, i)
                    else:
                        end = min(x_ends[i], y_ends[j])
                        if one == two:
                            kid = NOTHING if outside else one
                        else:
                            kid = one if two == plain else walk(one, two)
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
                if end == top:
                    break
                if x_ends[i] == end:
                    i += 1
                if y_ends[j] == end:
                    j += 1
        elif at < bt:
            same = NOTHING if outside else b
            for end, one in zip(all_ends[a], all_kids[a]):  # noqa: B905 - hot, and the same length by construction
                kid = NOTHING if one == none else b if one == every else same if one == b else walk(one, b)
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
        else:
            at = bt
            same = NOTHING if outside else a
            for end, two in zip(all_ends[b], all_kids[b]):  # noqa: B905 - as above
                kid = NOTHING if two == NOTHING else same if two == a else a if two == plain else walk(a, two)
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
        if len(memo) > MEMO_LIMIT:
            memo.clear()
        found = memo[key] = make(at, ends, kids)
        return found

    return walk


def either(
    level: Sequence[int], all_ends: Rows, all_kids: Rows, make: Make, memo: dict[int, int]
) -> Callable[[int, int], int]:
    """A function: ``a`` where it is not `NOTHING`, else ``b``; these differ, neither is `NOTHING`, ``a`` is no leaf."""

    def walk(a: int, b: int) -> int:
        key = a << 32 | b
        found = memo.get(key)
        if found is not None:
            return found
        at, bt = level[a], level[b]
        ends: list[int] = []
        kids: list[int] = []
        last = -1
        if at == bt:
            x_ends, y_ends, x_kids, y_kids = all_ends[a], all_ends[b], all_kids[a], all_kids[b]
            i = j = 0
            top = x_ends[-1]
            while True:
                one = x_kids[i]
                if one == NOTHING:
                    end = x_ends[i]
                    if y_ends[j] < end:
                        k = bisect_left(y_ends, end, j)
                        if y_kids[j] == last:
                            ends.pop()
                            kids.pop()
                        ends += y_ends[j:k]
                        kids += y_kids[j:k]
                        last, j = y_kids[k - 1], k
                    kid = y_kids[j]
                else:
                    two = y_kids[j]
                    if two == NOTHING:
                        end = y_ends[j]
                        if x_ends[i] < end:
                            k = bisect_left(x_ends, end, i)
                            if one == last:
                                ends.pop()
                                kids.pop()
                            ends += x_ends[i:k]
                            kids += x_kids[i:k]
                            last, i = x_kids[k - 1], k
                        kid = x_kids[i]
                    elif level[one] == LEAF_LEVEL:
                        kid, end = one, x_ends[i]
                        if y_ends[j] < end:
                            j = bisect_left(y_ends, end, j)
                    else:
                        kid = one if one == two else walk(one, two)
                        end = min(x_ends[i], y_ends[j])
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
                if end == top:
                    break
                if x_ends[i] == end:
                    i += 1
                if y_ends[j] == end:
                    j += 1
        elif at < bt:
            for end, one in zip(all_ends[a], all_kids[a]):  # noqa: B905 - hot, and the same length by construction
                kid = b if one in (NOTHING, b) else one if level[one] == LEAF_LEVEL else walk(one, b)
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
        else:
            at = bt
            for end, two in zip(all_ends[b], all_kids[b]):  # noqa: B905 - as above
                kid = a if two in (NOTHING, a) else walk(a, two)
                if kid == last:
                    ends[-1] = end
                else:
                    ends.append(end)
                    kids.append(kid)
                    last = kid
        if len(memo) > MEMO_LIMIT:
            memo.clear()
        found = memo[key] = make(at, ends, kids)
        return found

    return walk
