"""Interval decision diagrams: functions of a packet's fields, hash-consed, in plain Python.

A diagram is a whole number. It is a leaf, which has a value, or it asks one field (its *level*) and has a
child for each interval of the field's numbers. Levels come in a fixed order on every path, neighbouring
intervals have different children, and equal diagrams are the same number: two functions are equal exactly
where their numbers are. A set of packets is a diagram with the leaves `NOTHING` (0) and `EVERYTHING` (1).
Which order the levels have matters more than anything else for size and speed (`encode.LEVELS`).
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate

from ruleflow.netfilter.intervals import Interval, joined
from ruleflow.netfilter.merge import EVERYTHING, LEAF_LEVEL, MEMO_LIMIT, NOTHING, either, limited
from ruleflow.netfilter.store import Box, Store, TooManyError

__all__ = ["EVERYTHING", "LEAF_LEVEL", "NOTHING", "Box", "Diagrams", "TooManyError"]


class Diagrams(Store):
    """Diagrams put together, and asked about as sets of packets."""

    def __init__(self) -> None:
        super().__init__()
        self._memos: dict[Hashable, dict[int, int]] = {}
        self._merged: tuple[dict[int, int], ...] = {}, {}, {}
        self._disjoint: dict[int, bool] = {}
        store = self.level, self.ends, self.kids, self.make
        memo, other, third = self._merged
        self._both, self._outside = limited(*store, memo), limited(*store, other, outside=True)
        self._either = either(*store, third)

    # -- combining ------------------------------------------------------------------------------------------

    def memo(self, name: Hashable) -> dict[int, int]:
        """The results known so far of an operation; bounded by forgetting all."""
        memo = self._memos.get(name)
        if memo is None or len(memo) > MEMO_LIMIT:
            memo = self._memos[name] = {}
        return memo

    def forget(self) -> None:
        """Give back the room that remembered results take; the diagrams stay."""
        self._memos.clear()
        self._disjoint.clear()
        for memo in self._merged:
            memo.clear()

    def combine(self, a: int, b: int, short: Callable[[int, int], int | None], memo: dict[int, int]) -> int:
        """The function ``short(a, b)``, asked at the leaves; it may answer above them, else gives None."""
        level, all_ends, all_kids, make = self.level, self.ends, self.kids, self.make

        def walk(a: int, b: int) -> int:
            found = short(a, b)
            if found is not None:
                return found
            key = a << 32 | b
            found = memo.get(key)
            if found is not None:
                return found
            at = level[a]
            ends: list[int] = []
            kids: list[int] = []
            last = -1
            if at == level[b]:
                x_ends, y_ends, x_kids, y_kids = all_ends[a], all_ends[b], all_kids[a], all_kids[b]
                i = j = 0
                x, y = x_ends[0], y_ends[0]
                count_x, count_y = len(x_ends), len(y_ends)
                while True:
                    kid = walk(x_kids[i], y_kids[j])
                    end = min(y, x)
                    if kid == last:
                        ends[-1] = end
                    else:
                        ends.append(end)
                        kids.append(kid)
                        last = kid
                    if x == end:
                        i += 1
                        if i == count_x:
                            break
                        if y == end:
                            j += 1
                            y = y_ends[j]
                        x = x_ends[i]
                    else:
                        j += 1
                        if j == count_y:
                            break
                        y = y_ends[j]
            elif at < level[b]:
                for end, kid in zip(all_ends[a], all_kids[a], strict=True):
                    below = walk(kid, b)
                    if below == last:
                        ends[-1] = end
                    else:
                        ends.append(end)
                        kids.append(below)
                        last = below
            else:
                at = level[b]
                for end, kid in zip(all_ends[b], all_kids[b], strict=True):
                    below = walk(a, kid)
                    if below == last:
                        ends[-1] = end
                    else:
                        ends.append(end)
                        kids.append(below)
                        last = below
            found = memo[key] = make(at, ends, kids)
            return found

        return walk(a, b)

    def both(self, a: int, b: int) -> int:
        """The packets in both sets; or the leaves of ``b`` within the set ``a``."""
        if a == NOTHING or b == NOTHING:
            return NOTHING
        if a == EVERYTHING or a == b:
            return b
        return a if b == EVERYTHING else self._both(a, b)

    def either(self, a: int, b: int) -> int:
        """The packets in one set or the other; or, with other leaves, ``a`` where it is not `NOTHING`, else ``b``."""
        if a == NOTHING or a == b:
            return b
        if b == NOTHING or self.level[a] == LEAF_LEVEL:
            return a
        return self._either(a, b)

    def union(self, parts: Sequence[int]) -> int:
        """The packets in any of the sets, put together in pairs, which keeps the diagrams between small."""
        left = list(parts)
        while len(left) > 1:
            left = [
                self.either(left[n], left[n + 1]) if n + 1 < len(left) else left[n]
                for n in range(0, len(left), 2)
            ]
        return left[0] if left else NOTHING

    def without(self, a: int, b: int) -> int:
        """``a`` (a set or any diagram) outside the set ``b``."""
        if a == NOTHING or b == EVERYTHING or a == b:
            return NOTHING
        return a if b == NOTHING else self._outside(b, a)

    def complement(self, a: int) -> int:
        """All packets that are not in the set."""
        return self.without(EVERYTHING, a)

    def choose(self, condition: int, yes: int, no: int) -> int:
        """``yes`` inside the set ``condition``, ``no`` outside; all may ask any level."""
        if condition == EVERYTHING:
            return yes
        if condition == NOTHING or yes == no:
            return no
        at = self.level[condition]
        if (
            at < self.level[yes]
            and at < self.level[no]
            and all(kid <= EVERYTHING for kid in self.kids[condition])
        ):
            return self.make(at, self.ends[condition], [yes if kid else no for kid in self.kids[condition]])
        tagged = self._replace_leaf(condition, EVERYTHING, self.leaf(_YES))
        return self._graft(self._graft(tagged, NOTHING, no), self._leaves[_YES], yes)

    def _graft(self, a: int, leaf: int, b: int) -> int:
        """``a``, with ``b`` in the place of one of its leaves."""
        level = self.level

        def short(a: int, b: int) -> int | None:
            if a == leaf:
                return b
            return a if level[a] == LEAF_LEVEL else None

        return self.combine(a, b, short, self.memo(("graft", leaf)))

    def _replace_leaf(self, a: int, old: int, new: int) -> int:
        return self.map_leaves(a, lambda leaf: new if leaf == old else leaf, ("leaf", old, new))

    def map_leaves(self, a: int, change: Callable[[int], int], name: Hashable) -> int:
        """``a`` with each leaf changed; ``name`` tells this change from all others."""
        level, all_ends, all_kids, memo = self.level, self.ends, self.kids, self.memo(name)

        def walk(a: int) -> int:
            if level[a] == LEAF_LEVEL:
                return change(a)
            found = memo.get(a)
            if found is None:
                found = memo[a] = self.rejoin(level[a], all_ends[a], [walk(kid) for kid in all_kids[a]])
            return found

        return walk(a)

    def rebuild(self, level: int, ends: Sequence[int], kids: Sequence[int]) -> int:
        """Like `rejoin`, but the children may ask any level."""
        if all(self.level[kid] > level for kid in kids):
            return self.rejoin(level, ends, kids)
        built, low = NOTHING, 0
        by_kid: dict[int, list[Interval]] = {}
        for end, kid in zip(ends, kids, strict=True):
            by_kid.setdefault(kid, []).append((low, end))
            low = end + 1
        for kid, intervals in by_kid.items():
            built = self.choose(self.test(level, joined(intervals)), kid, built)
        return built

    # -- asking ---------------------------------------------------------------------------------------------

    def meets(self, a: int, b: int) -> bool:
        """Whether two sets (or diagrams: outside `NOTHING`) have a packet in common; stops at the first."""
        level, all_ends, all_kids, disjoint = self.level, self.ends, self.kids, self._disjoint
        if len(disjoint) > MEMO_LIMIT:
            disjoint.clear()

        def walk(a: int, b: int) -> bool:
            if a == NOTHING or b == NOTHING:
                return False
            at, bt = level[a], level[b]
            if at == LEAF_LEVEL or bt == LEAF_LEVEL or a == b:
                return True
            key = a << 32 | b
            if key in disjoint:
                return False
            found = False
            if at < bt:
                for kid in all_kids[a]:
                    if kid != NOTHING and walk(kid, b):
                        found = True
                        break
            elif bt < at:
                for kid in all_kids[b]:
                    if kid != NOTHING and walk(a, kid):
                        found = True
                        break
            else:
                found = merged(all_ends[a], all_kids[a], all_ends[b], all_kids[b])
            if not found:
                disjoint[key] = True
            return found

        def merged(
            x_ends: tuple[int, ...], x_kids: tuple[int, ...], y_ends: tuple[int, ...], y_kids: tuple[int, ...]
        ) -> bool:
            i = j = 0
            while i < len(x_ends) and j < len(y_ends):
                one, two = x_kids[i], y_kids[j]
                if one == NOTHING:
                    j = bisect_right(y_ends, x_ends[i], j)
                    i += 1
                elif two == NOTHING:
                    i = bisect_right(x_ends, y_ends[j], i)
                    j += 1
                elif walk(one, two):
                    return True
                else:
                    x, y = x_ends[i], y_ends[j]
                    i += x <= y
                    j += y <= x
            return False

        return walk(a, b)

    def restrict(self, a: int, level: int, value: int) -> int:
        """``a`` for the packets whose number at ``level`` is ``value``, as a function of the other fields."""
        memo, levels = self.memo(("restrict", level, value)), self.level

        def walk(a: int) -> int:
            if levels[a] > level:
                return a
            if levels[a] == level:
                return self.child(a, value)
            found = memo.get(a)
            if found is None:
                kids = [walk(kid) for kid in self.kids[a]]
                found = memo[a] = self.rejoin(levels[a], self.ends[a], kids)
            return found

        return walk(a)

    def exists(self, a: int, level: int) -> int:
        """The set of packets that are in ``a`` with some number at ``level``."""
        memo, levels = self.memo(("exists", level)), self.level

        def walk(a: int) -> int:
            if levels[a] > level:
                return a
            found = memo.get(a)
            if found is None:
                kids = self.kids[a]
                if levels[a] == level:
                    found = NOTHING
                    for kid in sorted(set(kids)):
                        found = self.either(found, kid)
                else:
                    found = self.rejoin(levels[a], self.ends[a], [walk(kid) for kid in kids])
                memo[a] = found
            return found

        return walk(a)

    def shadow(self, a: int, level: int) -> tuple[Interval, ...]:
        """The numbers at ``level`` that some packet of the set ``a`` has."""
        memo: dict[int, tuple[Interval, ...]] = {NOTHING: ()}

        def walk(a: int) -> tuple[Interval, ...]:
            found = memo.get(a)
            if found is None:
                if self.level[a] > level:
                    found = ((0, self.tops[level]),)
                elif self.level[a] == level:
                    found = joined(part for part, kid in self.parts(a) if kid != NOTHING)
                else:
                    found = joined(part for kid in set(self.kids[a]) for part in walk(kid))
                memo[a] = found
            return found

        return walk(a)

    def shadows(self, a: int) -> dict[int, tuple[Interval, ...]]:
        """`shadow` for every level that the set ``a`` depends on, in one pass."""
        nodes = [node for node in self._below(a) if self.level[node] != LEAF_LEVEL]
        levels = sorted({self.level[node] for node in nodes})
        place = {level: n for n, level in enumerate((*levels, LEAF_LEVEL))}
        parts: list[set[Interval]] = [set() for _ in levels]
        passed = [0] * (len(levels) + 1)
        """By how many ways a level is passed over: more there than at the level before."""
        for node in nodes:
            at = place[self.level[node]]
            parts[at].update(part for part, kid in self.parts(node) if kid != NOTHING)
            for below in {place[self.level[kid]] for kid in self.kids[node] if kid != NOTHING}:
                passed[at + 1] += 1
                passed[below] -= 1
        return {
            level: ((0, self.tops[level]),) if ways else joined(parts[n])
            for n, (level, ways) in enumerate(zip(levels, accumulate(passed), strict=False))
        }


class _Yes:
    """The mark of a place where `Diagrams.choose` puts its first choice."""


_YES = _Yes()
