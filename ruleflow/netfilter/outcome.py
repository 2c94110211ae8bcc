"""What rules do to packets, as leaves of diagrams: a verdict, the changes so far, and what else was noticed.

`Outcomes.then` puts two diagrams of outcomes one behind the other: the second is asked where the first does not
decide, and sees the packet as the first left it. It is associative, so chains are folded pairwise.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from ruleflow.netfilter.alter import UNCHANGED, Alter, Lens, compose
from ruleflow.netfilter.encode import Encoder
from ruleflow.netfilter.idd import LEAF_LEVEL, NOTHING
from ruleflow.netfilter.sweep import swept

NEXT, BACK = "next", "back"


class Outcome(msgspec.Struct, frozen=True):
    """``then`` is `NEXT`, `BACK` (to the calling chain) or a verdict: ACCEPT, DROP, ``REJECT with …``, QUEUE.

    ``alter`` is what changed, ``tags`` what else happened, as kind (log, copy, note, unknown) and words.
    """

    then: str
    alter: Alter = UNCHANGED
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether the next rule is asked."""
        return self.then == NEXT


PLAIN = Outcome(NEXT)

_RUN = 8
"""How many parts that ask the same level are worth a pass over all its numbers."""
_GROUP = 8
"""The most parts that are folded at once."""


def _stirred(part: int) -> bool:
    """Whether a group ends behind this part: so for one part in four, by its number alone."""
    return (part * 0x9E3779B1 >> 13) & 3 == 0


class Tree(msgspec.Struct, frozen=True):
    """Rules folded into ``part``: one with its ``number``, or several ``children`` in order."""

    part: int
    number: int | None = None
    children: tuple["Tree", ...] = ()

    def numbers(self) -> Iterator[int]:
        """The rules in it, in order."""
        if self.number is not None:
            yield self.number
        for child in self.children:
            yield from child.numbers()


class Outcomes:
    """Diagrams whose leaves are outcomes; the leaf `NOTHING` is "nothing happened, go on"."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.diagrams = encoder.diagrams
        self.lens = Lens(encoder)
        self._then: dict[int, int] = {}
        self._open: dict[int, bool] = {}
        self._some_go_on = False

    def leaf(self, outcome: Outcome) -> int:
        """The diagram that gives every packet this outcome."""
        if outcome == PLAIN:
            return NOTHING
        self._some_go_on |= outcome.then == NEXT
        return self.diagrams.leaf(outcome)

    def value(self, leaf: int) -> Outcome:
        """The outcome at a leaf."""
        if leaf == NOTHING:
            return PLAIN
        value = self.diagrams.values[leaf]
        if not isinstance(value, Outcome):
            raise TypeError(f"{value!r} is no outcome")
        return value

    def renamed(self, a: int, old: str, new: str, *, also: str = "") -> int:
        """``a`` with outcomes that say ``old`` (or ``also``) saying ``new``."""

        def change(leaf: int) -> int:
            outcome = self.value(leaf)
            return (
                self.leaf(msgspec.structs.replace(outcome, then=new)) if outcome.then in (old, also) else leaf
            )

        return self.diagrams.map_leaves(a, change, ("renamed", old, also, new))

    def fold(self, parts: Iterable[int]) -> int:
        """All parts one behind the other, put together in small groups, which keeps the diagrams between small.

        Where a group ends depends on the parts alone, so two chains that differ in one rule share the rest.
        """
        rest = [part for part in parts if part != NOTHING]
        if len(rest) >= _RUN:
            rest = self._runs(rest)
        tree = self.tree(enumerate(rest))
        return NOTHING if tree is None else tree.part

    def _runs(self, parts: Sequence[int]) -> list[int]:
        """The same with parts that stand together and ask the same level first made one."""
        level = self.diagrams.level
        found: list[int] = []
        for at, group in itertools.groupby(parts, lambda part: -1 if self.is_open(part) else level[part]):
            run = list(group)
            one = (
                swept(self.diagrams, run, self._together)
                if len(run) >= _RUN and 0 <= at < LEAF_LEVEL
                else None
            )
            found += run if one is None else [one]
        return found

    def _together(self, parts: tuple[int, ...]) -> int:
        """Parts of which none goes on, the first first."""
        return self._group(self._runs(parts) if len(parts) >= _RUN else list(parts))

    def tree(self, parts: Iterable[tuple[int, int]]) -> "Tree | None":
        """Rules (number and what each decides) folded, with the groups kept; None where none does anything."""
        rest = [Tree(part, number) for number, part in parts if part != NOTHING]
        while len(rest) > 1:
            groups: list[Tree] = []
            start = 0
            for n, one in enumerate(rest, 1):
                if n - start > 1 and (_stirred(one.part) or n - start >= _GROUP or n == len(rest)):
                    groups.append(
                        Tree(self._group([each.part for each in rest[start:n]]), None, tuple(rest[start:n]))
                    )
                    start = n
            rest = groups + rest[start:]
        return rest[0] if rest else None

    def _group(self, parts: list[int]) -> int:
        while len(parts) > 1:
            parts = [
                self.then(*parts[n : n + 2]) if n + 1 < len(parts) else parts[n]
                for n in range(0, len(parts), 2)
            ]
        return parts[0]

    def then(self, a: int, b: int) -> int:
        """``a``, and where it goes on, ``b``."""
        if b == NOTHING:
            return a
        key = a << 32 | b
        found = self._then.get(key)
        if found is None:
            found = self._then[key] = self._sequence(a, b)
        return found

    def _sequence(self, a: int, b: int) -> int:
        if not self.is_open(a):
            return self.diagrams.either(a, b)
        open_leaves = [
            leaf for leaf in self.diagrams.leaves(a) if leaf != NOTHING and self.value(leaf).goes_on
        ]
        shut = self._without_leaves(a, frozenset(open_leaves))
        done = self.diagrams.either(shut, b)
        behind = {leaf: self._behind(self.value(leaf), b) for leaf in open_leaves}
        return self.distribute(a, behind, done)

    def is_open(self, a: int) -> bool:
        """Whether ``a`` has outcomes that go on although something happened."""
        if not self._some_go_on:
            return False
        known, level, kids = self._open, self.diagrams.level, self.diagrams.kids
        known[NOTHING] = False

        def walk(a: int) -> bool:
            found = known.get(a)
            if found is None:
                found = self.value(a).goes_on if level[a] == LEAF_LEVEL else any(walk(kid) for kid in kids[a])
                known[a] = found
            return found

        return walk(a)

    def _behind(self, outcome: Outcome, b: int) -> int:
        """What ``b`` gives for packets that had ``outcome`` already."""
        return self.prefixed(outcome, self.lens.through(b, outcome.alter))

    def prefixed(self, outcome: Outcome, b: int) -> int:
        """``b``, with the changes and tags of ``outcome`` before its own."""
        if not outcome.alter and not outcome.tags:
            return b
        return self.diagrams.map_leaves(
            b, lambda leaf: self._joined(outcome, self.value(leaf)), ("prefixed", outcome.alter, outcome.tags)
        )

    def _joined(self, first: Outcome, last: Outcome) -> int:
        tags = first.tags + tuple(tag for tag in last.tags if tag not in first.tags)
        return self.leaf(Outcome(last.then, compose(first.alter, last.alter), tags))

    def _without_leaves(self, a: int, leaves: frozenset[int]) -> int:
        return self.diagrams.map_leaves(
            a, lambda leaf: self._shut if leaf in leaves else leaf, ("shut", leaves)
        )

    @property
    def _shut(self) -> int:
        return self.diagrams.leaf(_SHUT)

    def distribute(self, a: int, behind: dict[int, int], rest: int) -> int:
        """``rest``, but where ``a`` ends in one of the leaves ``behind``, what stands there for that leaf."""
        parts = self.chosen(a, sorted(behind), behind)
        shut, level = self._shut, self.diagrams.level

        def short(a: int, b: int) -> int | None:
            if a == shut:
                return b
            return a if level[a] == LEAF_LEVEL else None

        return self.diagrams.combine(rest, parts, short, self.diagrams.memo("replaced"))

    def chosen(self, a: int, leaves: list[int], behind: dict[int, int]) -> int:
        """The diagrams ``behind`` each where ``a`` has that leaf, else `NOTHING`.

        One half of the leaves after the other, so that many leaves do not mean many looks at all of ``a``.
        """
        if NOTHING in leaves and len(leaves) > 1:  # the leaf that also stands for "none of these": on its own
            plain = self.chosen(a, [NOTHING], behind)
            return self.diagrams.either(
                plain, self.chosen(a, [leaf for leaf in leaves if leaf != NOTHING], behind)
            )
        if not leaves:
            return NOTHING
        if len(leaves) == 1:
            where = self.indicator(a, frozenset(leaves))
            return self.diagrams.both(where, behind[leaves[0]])
        middle = len(leaves) // 2
        halves = (leaves[:middle], leaves[middle:])
        parts = [self.chosen(self._kept(a, frozenset(half)), half, behind) for half in halves]
        return self.diagrams.either(*parts)

    def _kept(self, a: int, leaves: frozenset[int]) -> int:
        return self.diagrams.map_leaves(a, lambda leaf: leaf if leaf in leaves else NOTHING, ("kept", leaves))

    def indicator(self, a: int, leaves: frozenset[int]) -> int:
        """The set of packets for which ``a`` ends in one of the leaves."""
        return self.diagrams.map_leaves(a, lambda leaf: int(leaf in leaves), ("is", leaves))

    def plain(self, a: int, change: Callable[[Outcome], Outcome]) -> int:
        """``a`` with each outcome made plainer; ``change`` is known by its name."""
        return self.diagrams.map_leaves(
            a, lambda leaf: self.leaf(change(self.value(leaf))), ("plain", change)
        )

    def where(self, a: int, verdicts: Iterable[str]) -> int:
        """The set of packets whose outcome in ``a`` is one of the verdicts."""
        wanted = frozenset(verdicts)
        leaves = frozenset(leaf for leaf in self.diagrams.leaves(a) if self.value(leaf).then in wanted)
        return self.indicator(a, leaves)


class Verdicts(Outcomes):
    """Outcomes for those who ask only what passes: refused is dropped, and what else happened is left out."""

    def leaf(self, outcome: Outcome) -> int:
        """The diagram that gives every packet this outcome, as far as it matters."""
        then = outcome.then if outcome.then in (NEXT, BACK, "ACCEPT") else "DROP"
        return super().leaf(Outcome(then, outcome.alter))


class _Shut(msgspec.Struct, frozen=True):
    """The mark of a place where what comes behind is put in later."""


_SHUT = _Shut()
