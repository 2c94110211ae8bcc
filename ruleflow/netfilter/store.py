"""Interval decision diagrams as nodes in lists, equal ones once: making them, and reading what is there."""

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from ruleflow.errors import RuleflowError
from ruleflow.netfilter.intervals import Interval
from ruleflow.netfilter.merge import EVERYTHING, LEAF_LEVEL, NOTHING

Box = tuple[tuple[int, tuple[Interval, ...]], ...]
"""A product of sets: for each level that matters, its intervals."""


class TooManyError(RuleflowError):
    """More diagrams would be needed than somebody wants to wait for."""


class Store:
    """A store of diagrams. ``tops`` gives each level's greatest number (all fields begin at 0)."""

    def __init__(self) -> None:
        self.tops: dict[int, int] = {}
        self.most = sys.maxsize
        """How many diagrams there may be; one more raises `TooManyError`."""
        self.level: list[int] = [LEAF_LEVEL, LEAF_LEVEL]
        self.ends: list[tuple[int, ...]] = [(), ()]
        """The last number of each interval of a diagram; the last one is the level's top."""
        self.kids: list[tuple[int, ...]] = [(), ()]
        self.values: dict[int, Hashable] = {NOTHING: False, EVERYTHING: True}
        self._leaves: dict[Hashable, int] = {}
        self._known: dict[tuple[int, tuple[int, ...], tuple[int, ...]], int] = {}

    # -- making ---------------------------------------------------------------------------------------------

    def leaf(self, value: Hashable) -> int:
        """The leaf with this value. ``False`` and ``True`` are `NOTHING` and `EVERYTHING`."""
        if value is False or value is True:
            return int(value)
        found = self._leaves.get(value)
        if found is None:
            found = self._leaves[value] = self._add(LEAF_LEVEL, (), ())
            self.values[found] = value
        return found

    def _add(self, level: int, ends: tuple[int, ...], kids: tuple[int, ...]) -> int:
        if len(self.level) >= self.most:
            raise TooManyError(
                f"there are more than {self.most:,} classes of packets",
                help="ask for single packets: ruleflow walk",
            )
        self.level.append(level)
        self.ends.append(ends)
        self.kids.append(kids)
        return len(self.level) - 1

    def make(self, level: int, ends: Sequence[int], kids: Sequence[int]) -> int:
        """The diagram that asks ``level``; neighbours are different already and below the level."""
        if len(kids) == 1:
            return kids[0]
        key = (level, tuple(ends), tuple(kids))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._add(*key)
        return found

    def test(
        self, level: int, intervals: Sequence[Interval], inside: int = EVERYTHING, outside: int = NOTHING
    ) -> int:
        """``inside`` where the level's number is in ``intervals`` (disjoint, rising), else ``outside``.

        Both must ask lower levels only.
        """
        top = self.tops[level]
        ends: list[int] = []
        kids: list[int] = []
        position = 0
        for low, high in intervals:
            if low > position:
                ends.append(low - 1)
                kids.append(outside)
            if kids and kids[-1] == inside:
                ends[-1] = high
            else:
                ends.append(high)
                kids.append(inside)
            position = high + 1
        if position <= top:
            ends.append(top)
            kids.append(outside)
        if inside == outside:
            return inside
        return self.make(level, ends, kids)

    def cube(self, tests: Iterable[tuple[int, Sequence[Interval]]], inside: int = EVERYTHING) -> int:
        """``inside`` where every test holds, else `NOTHING`; one test for a level, in any order."""
        for level, intervals in sorted(tests, reverse=True):
            inside = self.test(level, intervals, inside)
        return inside

    def rejoin(self, level: int, ends: Sequence[int], kids: Sequence[int]) -> int:
        """Like `make`, but neighbours may be equal."""
        new_ends: list[int] = []
        new_kids: list[int] = []
        for end, kid in zip(ends, kids, strict=True):
            if new_kids and new_kids[-1] == kid:
                new_ends[-1] = end
            else:
                new_ends.append(end)
                new_kids.append(kid)
        return self.make(level, new_ends, new_kids)

    # -- reading --------------------------------------------------------------------------------------------

    def parts(self, a: int) -> Iterator[tuple[Interval, int]]:
        """The intervals that ``a`` tells apart at its own level, each with its child."""
        low = 0
        for end, kid in zip(self.ends[a], self.kids[a], strict=True):
            yield (low, end), kid
            low = end + 1

    def child(self, a: int, value: int) -> int:
        """The child of ``a`` for a number of its own level."""
        for end, kid in zip(self.ends[a], self.kids[a], strict=True):
            if value <= end:
                return kid
        raise ValueError(f"{value} is beyond the level's top")

    def at(self, a: int, packet: Mapping[int, int]) -> Hashable:
        """The value of the leaf that a packet, numbers by level, ends in. Raises KeyError for a level not given."""
        while self.level[a] != LEAF_LEVEL:
            a = self.child(a, packet[self.level[a]])
        return self.values[a]

    def leaves(self, a: int) -> frozenset[int]:
        """The leaves that ``a`` can end in."""
        return frozenset(node for node in self._below(a) if self.level[node] == LEAF_LEVEL)

    def is_larger(self, a: int, size: int) -> bool:
        """Whether ``a`` has more than ``size`` diagrams in it."""
        seen, stack = {a}, [a]
        while stack and len(seen) <= size:
            for kid in self.kids[stack.pop()]:
                if kid not in seen:
                    seen.add(kid)
                    stack.append(kid)
        return len(seen) > size

    def support(self, a: int) -> frozenset[int]:
        """The levels that ``a`` depends on."""
        return frozenset(self.level[node] for node in self._below(a)) - {LEAF_LEVEL}

    def _below(self, a: int) -> set[int]:
        seen, stack = {a}, [a]
        while stack:
            for kid in self.kids[stack.pop()]:
                if kid not in seen:
                    seen.add(kid)
                    stack.append(kid)
        return seen

    def product(self, a: int) -> dict[int, tuple[Interval, ...]] | None:
        """The set ``a`` as one box, intervals by level; None where it is more than one, or none."""
        box: dict[int, tuple[Interval, ...]] = {}
        while a > EVERYTHING:
            kids = set(self.kids[a]) - {NOTHING}
            if len(kids) != 1:
                return None
            box[self.level[a]] = tuple(part for part, kid in self.parts(a) if kid)
            a = kids.pop()
        return box if a == EVERYTHING else None

    def boxes(self, a: int) -> Iterator[Box]:
        """The set ``a`` as disjoint boxes; one for each way to the leaf `EVERYTHING`."""

        def walk(a: int, above: Box) -> Iterator[Box]:
            if a == NOTHING:
                return
            if self.level[a] == LEAF_LEVEL:
                yield above
                return
            by_kid: dict[int, list[Interval]] = {}
            for part, kid in self.parts(a):
                by_kid.setdefault(kid, []).append(part)
            for kid, intervals in by_kid.items():
                yield from walk(kid, (*above, (self.level[a], tuple(intervals))))

        return walk(a, ())
