"""What happened to a packet's fields on the way, and a diagram seen through it.

An `Alter` says, for each level that was changed, what stands there now as a function of the packet as it came:
a constant, a shift, bits made of other bits, or one of several values that nobody can foretell (then a
free variable says which). `Lens.through` gives the diagram of a later test over the packet as it came: the
pre-image, exactly.
"""

from collections.abc import Iterable

import msgspec

from ruleflow.netfilter.encode import FREE_BASE, Encoder, Free
from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING
from ruleflow.netfilter.intervals import Interval, common, joined


class Is(msgspec.Struct, frozen=True):
    """The field is now ``value``."""

    value: int


class Plus(msgspec.Struct, frozen=True):
    """The field grew by ``by`` (which may be negative); only used where that stays in its range."""

    by: int


class Bits(msgspec.Struct, frozen=True):
    """A small field is now ``(field & ~clear) ^ xor``."""

    clear: int
    xor: int


class Grow(msgspec.Struct, frozen=True):
    """A small field grew by ``by``, not beyond 0 and its top."""

    by: int


class Xor(msgspec.Struct, frozen=True):
    """A bit is now the exclusive or of bits as they came (their levels), and of ``flip``."""

    levels: tuple[int, ...]
    flip: bool = False


class OneOf(msgspec.Struct, frozen=True):
    """The field is now one of ``low`` to ``high``; which one, ``why`` says that nobody knows."""

    why: str
    low: int
    high: int


class Same(msgspec.Struct, frozen=True):
    """The field is what another field (its level) was as the packet came."""

    level: int


class Mapped(msgspec.Struct, frozen=True):
    """The field is now ``base`` plus its old rest modulo ``size`` (NETMAP), for old values from ``low`` to ``high``."""

    base: int
    size: int
    low: int
    high: int


New = Is | Plus | Bits | Grow | Xor | OneOf | Same | Mapped


class Alter(msgspec.Struct, frozen=True):
    """All changes, by level, in rising order of levels."""

    changes: tuple[tuple[int, New], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def get(self, level: int) -> New | None:
        """What stands at a level now; None where it is as it came."""
        return next((new for at, new in self.changes if at == level), None)

    def only(self, levels: Iterable[int]) -> "Alter":
        """The changes of some levels."""
        wanted = frozenset(levels)
        return Alter(tuple((level, new) for level, new in self.changes if level in wanted))


UNCHANGED = Alter()


def altered(changes: dict[int, New]) -> Alter:
    """The changes as a value; what a change leaves as it was is none."""
    kept = {
        level: new
        for level, new in changes.items()
        if new != Plus(0) and new != Xor((level,)) and new != Grow(0) and new != Bits(0, 0)
    }
    return Alter(tuple(sorted(kept.items(), key=lambda pair: pair[0])))


def compose(first: Alter, then: Alter, top: int = 255) -> Alter:
    """Both changes, one after the other. ``top`` bounds what grows (ttl)."""
    if not first.changes or not then.changes:
        return first if first.changes else then
    result: dict[int, New] = dict(first.changes)
    for level, new in then.changes:
        result[level] = _after(dict(first.changes), level, new, top)
    return altered(result)


def _after(before: dict[int, New], level: int, new: New, top: int) -> New:
    if isinstance(new, Xor):
        return _xor(before, new)
    if isinstance(new, Same):
        return before.get(new.level, new)
    old = before.get(level)
    if old is None or isinstance(new, Is | OneOf):
        return new
    match old, new:
        case Is(value=value), Plus(by=by):
            return Is(value + by)
        case Is(value=value), Mapped(base=base, size=size):
            return Is(base + value % size)
        case Is(value=value), Grow(by=by):
            return Is(min(max(value + by, 0), top))
        case Is(value=value), Bits(clear=clear, xor=xor):
            return Is((value & ~clear) ^ xor)
        case Plus(by=one), Plus(by=two):
            return Plus(one + two)
        case Grow(by=one), Grow(by=two) if one * two >= 0:
            return Grow(one + two)
        case Bits(clear=c1, xor=x1), Bits(clear=c2, xor=x2):
            return Bits(c1 | c2, (x1 & ~c2) ^ x2)
    return OneOf(f"{old} then {new}", 0, top)


def _xor(before: dict[int, New], new: Xor) -> Xor:
    """An exclusive or over bits that were changed before."""
    levels: set[int] = set()
    flip = new.flip
    for level in new.levels:
        old = before.get(level, Xor((level,)))
        if isinstance(old, Xor):
            levels ^= set(old.levels)
            flip ^= old.flip
        elif isinstance(old, Is):
            flip ^= bool(old.value)
    return Xor(tuple(sorted(levels)), flip)


class Lens:
    """Diagrams seen through changes, for one encoder; results are remembered."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.diagrams = encoder.diagrams

    def through(self, a: int, alter: Alter) -> int:
        """The diagram that gives for a packet what ``a`` gives for the packet as altered."""
        if not alter.changes or self.diagrams.level[a] == LEAF_LEVEL:
            return a
        changes = dict(alter.changes)
        diagrams, memo = self.diagrams, self.diagrams.memo(("through", alter))
        last = LEAF_LEVEL - 1 if self.encoder.read & changes.keys() else max(changes)

        def walk(a: int) -> int:
            level = diagrams.level[a]
            if level > last:
                return a
            found = memo.get(a)
            if found is None:
                new = changes.get(level) if level < FREE_BASE else self._free_after(level, alter)
                kids = diagrams.kids[a]
                if isinstance(new, Is):
                    found = walk(diagrams.child(a, new.value))
                elif new is None:
                    found = diagrams.rebuild(level, diagrams.ends[a], [walk(kid) for kid in kids])
                else:
                    found = self._seen(level, new, diagrams.ends[a], [walk(kid) for kid in kids])
                memo[a] = found
            return found

        return walk(a)

    def _free_after(self, level: int, alter: Alter) -> New | None:
        """A free variable that reads a changed field: after the change it is another one, or its answer is known."""
        free = self.encoder.free[level]
        if free.reads.isdisjoint(at for at, _ in alter.changes):
            return None
        earlier = Alter(tuple(free.after))  # type: ignore[arg-type]
        after = compose(alter.only(free.reads), earlier)
        known = self.encoder.settled(free, after.changes)
        if known is not None:
            return Is(int(known))
        moved = msgspec.structs.replace(free, after=after.changes)
        return Xor((self.encoder.free_level(moved, self.diagrams.tops[level]),))

    def _seen(self, level: int, new: New, ends: tuple[int, ...], kids: list[int]) -> int:
        match new:
            case Xor():
                return self._by_bit(new, kids, ends)
            case Plus(by=by):
                return self._shifted(level, by, ends, kids)
            case Mapped():
                return self._folded(level, new, ends, kids)
            case OneOf():
                return self._one_of(level, new, ends, kids)
            case Same(level=other):
                return self.diagrams.rebuild(other, ends, kids)
            case Bits() | Grow():
                return self._mapped(level, new, ends, kids)
        raise TypeError(f"{new!r} is no change")

    def _by_bit(self, new: Xor, kids: list[int], ends: tuple[int, ...]) -> int:
        if len(ends) != 2 or ends[0] != 0:
            raise ValueError("a bit has the values 0 and 1")
        return self.diagrams.choose(self.odd(new), kids[1], kids[0])

    def odd(self, new: Xor) -> int:
        """The packets for which the bit is 1."""
        found = EVERYTHING if new.flip else NOTHING
        for level in new.levels:
            bit = self.diagrams.test(level, ((1, 1),))
            found = self.diagrams.choose(bit, self.diagrams.complement(found), found)
        return found

    def _shifted(self, level: int, by: int, ends: tuple[int, ...], kids: list[int]) -> int:
        """``new = old + by``: the intervals move down by ``by``; beyond the range nothing is asked."""
        top = self.diagrams.tops[level]
        moved: list[tuple[int, int]] = []
        for end, kid in zip(ends, kids, strict=True):
            if end - by >= 0:
                moved.append((min(end - by, top), kid))
            if end - by >= top:
                break
        if moved[-1][0] < top:
            moved[-1] = top, moved[-1][1]
        return self.diagrams.rebuild(level, [end for end, _ in moved], [kid for _, kid in moved])

    def _folded(self, level: int, new: Mapped, ends: tuple[int, ...], kids: list[int]) -> int:
        """NETMAP: each block of old values looks into the same block of new ones."""
        by_kid: dict[int, list[Interval]] = {}
        low = 0
        for end, kid in zip(ends, kids, strict=True):
            for first, last in common(((low, end),), ((new.base, new.base + new.size - 1),)):
                for start in range(new.low // new.size * new.size, new.high + 1, new.size):
                    by_kid.setdefault(kid, []).append((start + first - new.base, start + last - new.base))
            low = end + 1
        found = NOTHING
        for kid, intervals in by_kid.items():
            within = common(joined(intervals), ((0, self.diagrams.tops[level]),))
            found = self.diagrams.choose(self.diagrams.test(level, within), kid, found)
        return found

    def _one_of(self, level: int, new: OneOf, ends: tuple[int, ...], kids: list[int]) -> int:
        free = Free(new.why, None, ("one of", level, new.low, new.high))
        choice = self.encoder.free_level(free, new.high - new.low)
        found, low = NOTHING, 0
        for end, kid in zip(ends, kids, strict=True):
            part = common(((low, end),), ((new.low, new.high),))
            moved: list[Interval] = [(a - new.low, b - new.low) for a, b in part]
            if moved:
                found = self.diagrams.choose(self.diagrams.test(choice, moved), kid, found)
            low = end + 1
        return found

    def _mapped(self, level: int, new: Bits | Grow, ends: tuple[int, ...], kids: list[int]) -> int:
        """A small field: each of its values is looked at."""
        top = self.diagrams.tops[level]
        by_kid: dict[int, list[Interval]] = {}
        for value in range(top + 1):
            moved = (
                (value & ~new.clear) ^ new.xor if isinstance(new, Bits) else min(max(value + new.by, 0), top)
            )
            at = next(n for n, end in enumerate(ends) if moved <= end)
            by_kid.setdefault(kids[at], []).append((value, value))
        found = NOTHING
        for kid, intervals in by_kid.items():
            found = self.diagrams.choose(self.diagrams.test(level, joined(intervals)), kid, found)
        return found
