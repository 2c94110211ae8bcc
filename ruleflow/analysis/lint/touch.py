"""Which rules of a chain a packet may meet, and which a box of packets may touch: rules as the bits of one number.

Only conditions that are intervals of a field count (`encode.Asked.tests`); what else a rule asks, whoever looks
must ask. As in `netfilter.rule_index`, but over the levels of diagrams, and for boxes too.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from ruleflow.netfilter.asked import Asked
from ruleflow.netfilter.intervals import Interval

Tests = Iterable[tuple[int, Sequence[Interval]]]

_FEW = 12
"""Rules of an interval that are kept one by one; more are kept as bits."""
_LONG = 32
"""Rules of a chain from which on those that a packet may meet are looked up one by one, where one field tells most apart."""
_ROOM = 1 << 28
"""How many bits a level may keep; beyond, every rule is said to touch."""


class Touch:
    """The index over what the rules of a chain ask. Bit n of each answer is the rule of index n.

    Where ``rough``, answers of `at` may have rules too many.
    """

    __slots__ = ("_levels", "_telling", "all", "asked", "rough")

    def __init__(self, asked: Sequence[Asked]) -> None:
        self.all = (1 << len(asked)) - 1
        """All rules."""
        self.asked = asked
        """What each rule asks."""
        tests: dict[int, list[tuple[int, int, int]]] = {}
        for index, one in enumerate(asked):
            for level, intervals in one.tests:
                of_level = tests.setdefault(level, [])
                of_level.extend((low, high, index) for low, high in intervals or ((-1, -1),))
        self._levels = {level: _Level(parts, self.all) for level, parts in tests.items()}
        self.rough = any(level.rough for level in self._levels.values())
        self._telling = self._find_telling() if len(asked) > _LONG else None

    def _find_telling(self) -> tuple[int, list[int]] | None:
        """The level that nearly all rules ask about, with those that do not."""
        level, lookup = min(
            self._levels.items(), key=lambda pair: pair[1].wild.bit_count(), default=(0, None)
        )
        if lookup is None or lookup.wild.bit_count() > _FEW:
            return None
        return level, numbers(lookup.wild)

    def at(self, point: Mapping[int, int]) -> Sequence[int]:
        """The rules whose tests a packet meets (its numbers by level; what is not given is 0), in order."""
        if self._telling is not None:
            level, others = self._telling
            active = self._levels[level].active(point.get(level, 0))
            if not isinstance(active, int):
                return [n for n in sorted((*others, *active)) if self._meets(n, point)]
        found = self.all
        for level, lookup in self._levels.items():
            found &= lookup.at(point.get(level, 0))
            if not found:
                break
        return numbers(found)

    def _meets(self, index: int, point: Mapping[int, int]) -> bool:
        for level, intervals in self.asked[index].tests:
            value = point.get(level, 0)
            for low, high in intervals:
                if low <= value <= high:
                    break
            else:
                return False
        return True

    def box(self, tests: Tests) -> int:
        """The rules whose tests some packet meets that meets ``tests``."""
        found = self.all
        for level, intervals in tests:
            lookup = self._levels.get(level)
            if lookup is not None:
                found &= lookup.box(intervals)
        return found


class _Level:
    """One level: where intervals of rules begin and end, and which rules have each stretch between."""

    __slots__ = ("_active", "_cuts", "_known", "_rules", "_starts", "rough", "wild")

    def __init__(self, parts: list[tuple[int, int, int]], whole: int) -> None:
        begun = sorted((low, index) for low, _, index in parts if low >= 0)
        self._starts = [low for low, _ in begun]
        self._rules = [index for _, index in begun]
        self._known: dict[int, int] = {}
        self.wild = whole & ~bits({index for _, _, index in parts})
        self.rough = False
        begins: dict[int, list[int]] = {0: []}
        ends: dict[int, list[int]] = {}
        for low, high, index in parts:
            if low >= 0:
                begins.setdefault(low, []).append(index)
                ends.setdefault(high + 1, []).append(index)
        self._cuts = sorted(begins.keys() | ends.keys())
        self._active = self._sweep(begins, ends, whole)

    def _sweep(
        self, begins: dict[int, list[int]], ends: dict[int, list[int]], whole: int
    ) -> list[int | tuple[int, ...]]:
        """The rules of each stretch, few as their indexes, many as bits."""
        found: list[int | tuple[int, ...]] = []
        active: dict[int, None] = {}
        mask, room = -1, _ROOM
        for cut in self._cuts:
            ended, began = ends.get(cut, ()), begins.get(cut, ())
            for index in ended:
                active.pop(index, None)
            active.update(dict.fromkeys(began))
            if len(active) <= _FEW:
                found.append(tuple(active))
                mask = -1
                continue
            if room < 0:
                self.rough = True
                found.append(whole & ~self.wild)
                continue
            mask = bits(active) if mask < 0 else (mask & ~bits(ended)) | bits(began)
            room -= whole.bit_length()
            found.append(mask)
        return found

    def active(self, value: int) -> int | tuple[int, ...]:
        """Rules that ask for the value."""
        return self._active[bisect_right(self._cuts, value) - 1]

    def at(self, value: int) -> int:
        """Rules that ask nothing of the level, and those that ask for the value."""
        place = bisect_right(self._cuts, value) - 1
        found = self._known.get(place)
        if found is None:
            active = self._active[place]
            found = self.wild | (active if isinstance(active, int) else bits(active))
            if len(self._cuts) < 256:
                self._known[place] = found
        return found

    def box(self, intervals: Sequence[Interval]) -> int:
        """Rules that ask nothing of the level, and those that ask for some of the intervals."""
        found = self.wild
        for low, high in intervals:
            found |= self.at(low)
            later = self._rules[bisect_right(self._starts, low) : bisect_right(self._starts, high)]
            if later:
                found |= bits(later)
        return found


def bits(numbers: Iterable[int]) -> int:
    """The number that has these bits."""
    chosen = tuple(numbers)
    if len(chosen) < 64:
        found = 0
        for number in chosen:
            found |= 1 << number
        return found
    room = bytearray(max(chosen) // 8 + 1)
    for number in chosen:
        room[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(room, "little")


def numbers(found: int) -> list[int]:
    """The bits of a number, rising."""
    out = []
    while found:
        low = found & -found
        out.append(low.bit_length() - 1)
        found ^= low
    return out
