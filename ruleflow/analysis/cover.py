"""A set of packets as few boxes: for people wide ones that may overlap, for programs exact and disjoint ones.

A box may be widened over packets of which the same may be said (``allowed``): packets that a rule now lets in
and that were let in before anyway need not be cut out of "tcp to port 8443 is let in".
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from math import log2

import msgspec

from ruleflow.analysis.wording import effort, is_prefix
from ruleflow.netfilter.encode import (
    BIT_BASE,
    DPORT,
    DST,
    FREE_BASE,
    IN,
    OUT,
    PROTO,
    SPORT,
    SRC,
    STATE,
)
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Box, Diagrams
from ruleflow.netfilter.intervals import Interval, joined, outside

_READ_LAST = (PROTO, DPORT, DST, SRC, OUT, IN, SPORT)
"""Levels that a person wants to read: widened last, in the reverse of this order."""


_LOOKED_AT, _TRIED = 300, 4
"""Boxes of which the largest are looked for, and how many of these are widened to see which becomes largest."""


_LONG = 64
"""Parts of a set of values up to which a wider box is worth its longer list."""


class Cover(msgspec.Struct, frozen=True):
    """``boxes`` that together have all packets but those of ``left`` further boxes (0: all are there)."""

    boxes: tuple[Box, ...]
    left: int = 0


def exact(diagrams: Diagrams, where: int, limit: int) -> Cover:
    """Disjoint boxes of the set, neighbours joined, at most ``limit``; ``left`` counts what is beyond (up to a bound)."""
    boxes: list[Box] = []
    left = 0
    for box in diagrams.boxes(where):
        if len(boxes) < limit:
            boxes.append(box)
        elif left < limit:
            left += 1
        else:
            break
    return Cover(tuple(boxes), left)


def wide(diagrams: Diagrams, where: int, allowed: int, limit: int) -> Cover:
    """At most ``limit`` boxes that cover ``where`` and keep inside ``allowed``, each as wide as it can be.

    ``allowed`` must contain ``where``. Free variables and what a person reads last are widened first.
    """
    boxes: list[Box] = []
    rest = where
    shadows = diagrams.shadows(allowed)
    while rest != NOTHING and len(boxes) < limit:
        box = max(
            (_widened(diagrams, seed, allowed, shadows) for seed in _seeds(diagrams, rest)),
            key=lambda one: _size(diagrams, one),
        )
        boxes.append(box)
        rest = diagrams.without(rest, diagrams.cube(box))
    return Cover(tuple(boxes), _count(diagrams, rest, 999))


def _count(diagrams: Diagrams, where: int, most: int) -> int:
    return sum(1 for _ in zip(range(most), diagrams.boxes(where), strict=False))


def _seeds(diagrams: Diagrams, where: int) -> list[Box]:
    """Of the first boxes of a set some of the largest."""
    first = [box for _, box in zip(range(_LOOKED_AT), diagrams.boxes(where), strict=False)]
    return sorted(first, key=lambda box: _size(diagrams, box), reverse=True)[:_TRIED]


def _size(diagrams: Diagrams, box: Box) -> float:
    """How large a part of all packets a box is, as a logarithm."""
    return sum(
        log2(sum(high - low + 1 for low, high in intervals)) - log2(diagrams.tops[level] + 1)
        for level, intervals in box
    )


def _widened(diagrams: Diagrams, box: Box, allowed: int, shadows: Mapping[int, tuple[Interval, ...]]) -> Box:
    """``shadows`` are the numbers that ``allowed`` packets have at each level: wider than that no box becomes."""
    tests = dict(box)
    for level in sorted(tests, key=_when):
        if tests[level] == shadows.get(level):
            continue
        beyond = _beyond(diagrams, allowed, tests, level)
        if not beyond:
            del tests[level]
            continue
        most = outside(beyond, diagrams.tops[level])
        tests[level] = _nicer(level, tests[level], most, diagrams.tops[level])
    return tuple(sorted(tests.items()))


def _beyond(
    diagrams: Diagrams, allowed: int, tests: dict[int, tuple[Interval, ...]], level: int
) -> tuple[Interval, ...]:
    """The numbers at ``level`` of packets that meet the tests of all other levels and are not ``allowed``."""
    levels, escaping = diagrams.level, {NOTHING: True, EVERYTHING: False}
    known: dict[int, tuple[Interval, ...]] = {}

    def met(node: int) -> Iterable[int]:
        wanted = tests.get(levels[node])
        kids = diagrams.kids[node]
        return set(kids) if wanted is None else _met(diagrams.ends[node], kids, wanted)

    def escapes(node: int) -> bool:
        found = escaping.get(node)
        if found is None:
            found = escaping[node] = any(escapes(kid) for kid in met(node))
        return found

    def walk(node: int) -> tuple[Interval, ...]:
        if levels[node] > level:
            return ((0, diagrams.tops[level]),) if escapes(node) else ()
        found = known.get(node)
        if found is None:
            if levels[node] == level:
                parts = (part for part, kid in diagrams.parts(node) if escapes(kid))
            else:
                parts = (part for kid in met(node) for part in walk(kid))
            found = known[node] = joined(parts)
        return found

    return walk(allowed)


def _met(ends: Sequence[int], kids: Sequence[int], wanted: Iterable[Interval]) -> set[int]:
    """The children for numbers in the intervals."""
    found: set[int] = set()
    for low, high in wanted:
        first = bisect_left(ends, low)
        found.update(kids[first : bisect_left(ends, high, first) + 1])
    return found


def _nicer(
    level: int, least: tuple[Interval, ...], most: tuple[Interval, ...], top: int
) -> tuple[Interval, ...]:
    """What may be in, unless that takes very long to say and what must be in does not.

    Of addresses, ranges that are no prefixes are hard to read: they must not make the list longer.
    """
    if level in (SRC, DST):
        said = min((most, outside(most, top)), key=effort)
        if not all(is_prefix(*one) for one in said):
            return most if effort(said) <= min(effort(least), effort(outside(least, top))) else least
    longest = max(_LONG, min(len(least), len(outside(least, top))))
    return most if min(len(most), len(outside(most, top))) <= longest else least


def _when(level: int) -> tuple[int, int]:
    if level >= FREE_BASE:
        return 0, -level
    if level >= BIT_BASE:
        return 1, level
    if level in _READ_LAST:
        return 4, -_READ_LAST.index(level)
    return (3 if level == STATE else 2), level
