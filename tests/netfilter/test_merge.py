"""Diagrams merged, swept, looked at from the side: against what single points say, and always in the one form there is."""

import itertools
import random
from collections.abc import Sequence

import pytest

from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING, Diagrams
from ruleflow.netfilter.sweep import swept

LEVELS = 4


class Chance:
    """Random diagrams over four small levels."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.diagrams = Diagrams()
        self.diagrams.tops.update({level: self.random.choice((1, 3, 15)) for level in range(LEVELS)})
        self.outcomes = [self.diagrams.leaf("x"), self.diagrams.leaf("y")]

    def diagram(self, leaves: Sequence[int], level: int = 0) -> int:
        if level == LEVELS or self.random.random() < 0.15:
            return self.random.choice(leaves)
        top = self.diagrams.tops[level]
        cuts = sorted({*self.random.choices(range(top + 1), k=self.random.randint(1, 5)), top})
        return self.diagrams.rejoin(level, cuts, [self.diagram(leaves, level + 1) for _ in cuts])

    def points(self) -> list[dict[int, int]]:
        return [
            {level: self.random.randint(0, self.diagrams.tops[level]) for level in range(LEVELS)}
            for _ in range(60)
        ]

    def leaf(self, node: int, point: dict[int, int]) -> int:
        while self.diagrams.level[node] != LEAF_LEVEL:
            node = self.diagrams.child(node, point[self.diagrams.level[node]])
        return node

    def check_form(self, root: int) -> None:
        """Neighbours differ, ends rise to the level's top, children ask later levels."""
        diagrams, waiting = self.diagrams, [root]
        while waiting:
            node = waiting.pop()
            level, ends, kids = diagrams.level[node], diagrams.ends[node], diagrams.kids[node]
            if level == LEAF_LEVEL:
                continue
            assert len(kids) == len(ends) > 1
            assert all(one != two for one, two in itertools.pairwise(kids))
            assert list(ends) == sorted(set(ends))
            assert ends[-1] == diagrams.tops[level]
            assert all(diagrams.level[kid] > level for kid in kids)
            waiting += kids


@pytest.mark.parametrize("seed", range(60))
def test_merging_says_what_points_say(seed: int) -> None:
    chance = Chance(seed)
    diagrams = chance.diagrams
    points = chance.points()
    sets = [chance.diagram((NOTHING, EVERYTHING)) for _ in range(4)]
    others = [chance.diagram((NOTHING, NOTHING, *chance.outcomes)) for _ in range(4)]
    for a in sets:
        for b in (*sets, *others):
            both, without = diagrams.both(a, b), diagrams.without(b, a)
            chance.check_form(both)
            chance.check_form(without)
            for point in points:
                inside, there = chance.leaf(a, point), chance.leaf(b, point)
                assert chance.leaf(both, point) == (there if inside else NOTHING)
                assert chance.leaf(without, point) == (NOTHING if inside else there)
    for a in others:
        for b in others:
            either = diagrams.either(a, b)
            chance.check_form(either)
            for point in points:
                assert chance.leaf(either, point) == (chance.leaf(a, point) or chance.leaf(b, point))


@pytest.mark.parametrize("seed", range(40))
def test_a_sweep_is_a_fold(seed: int) -> None:
    chance = Chance(seed)
    diagrams = chance.diagrams

    def folded(parts: Sequence[int]) -> int:
        found = NOTHING
        for part in parts:
            found = diagrams.either(found, part)
        return found

    parts = [chance.diagram((NOTHING, NOTHING, NOTHING, *chance.outcomes)) for _ in range(12)]
    parts = [part for part in parts if diagrams.level[part] == 0]
    found = swept(diagrams, parts, folded) if parts else None
    assert found in (None, folded(parts))


def test_a_sweep_leaves_what_overlaps_too_much() -> None:
    diagrams = Diagrams()
    diagrams.tops.update({0: 999, 1: 1})
    inner = diagrams.test(1, ((1, 1),))
    wide = [diagrams.test(0, ((n, 999),), inner) for n in range(1, 40)]
    narrow = [diagrams.test(0, ((n * 20, n * 20 + 4),), inner) for n in range(1, 40)]
    assert swept(diagrams, wide, lambda kids: kids[0]) is None
    assert swept(diagrams, narrow, lambda kids: kids[0]) == diagrams.union(narrow)


@pytest.mark.parametrize("seed", range(40))
def test_shadows_are_found_in_one_pass(seed: int) -> None:
    chance = Chance(seed)
    where = chance.diagram((NOTHING, NOTHING, EVERYTHING))
    diagrams = chance.diagrams
    assert diagrams.shadows(where) == {
        level: diagrams.shadow(where, level) for level in diagrams.support(where)
    }


def test_a_product_is_known_as_one() -> None:
    diagrams = Diagrams()
    diagrams.tops.update({0: 9, 1: 9})
    box = {0: ((1, 2), (5, 5)), 1: ((3, 9),)}
    assert diagrams.product(diagrams.cube(box.items())) == box
    assert diagrams.product(EVERYTHING) == {}
    assert diagrams.product(NOTHING) is None
    corner = diagrams.either(diagrams.test(0, ((1, 1),)), diagrams.test(1, ((1, 1),)))
    assert diagrams.product(corner) is None
