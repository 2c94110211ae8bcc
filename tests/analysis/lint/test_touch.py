"""The index of a chain's rules, against asking each rule: for packets exactly, for boxes never a rule too few."""

import random

import pytest

from ruleflow.analysis.lint.touch import Touch, bits, numbers
from ruleflow.netfilter.asked import Asked
from ruleflow.netfilter.intervals import Interval, common, joined

TOP = 40
LEVELS = (2, 5, 9)


def some_intervals(chance: random.Random) -> tuple[Interval, ...]:
    """Up to three disjoint intervals; now and then none, as of conditions that exclude each other."""
    lows = [chance.randrange(TOP) for _ in range(chance.choice((0, 1, 1, 1, 2, 3)))]
    return joined((low, min(low + chance.randrange(12), TOP)) for low in lows)


def some_rules(chance: random.Random, number: int) -> list[Asked]:
    share = chance.choice((0.2, 0.6, 1.0))
    return [
        Asked(tuple((level, some_intervals(chance)) for level in reversed(LEVELS) if chance.random() < share))
        for _ in range(number)
    ]


def has(intervals: tuple[Interval, ...], value: int) -> bool:
    return any(low <= value <= high for low, high in intervals)


@pytest.mark.parametrize("seed", range(60))
def test_rules_are_found_as_if_each_was_asked(seed: int) -> None:
    chance = random.Random(seed)
    rules = some_rules(chance, chance.choice((0, 1, 7, 60, 300)))
    touch = Touch(rules)
    for _ in range(60):
        point = {level: chance.randrange(TOP + 1) for level in LEVELS}
        met = [n for n, one in enumerate(rules) if all(has(tuple(i), point[level]) for level, i in one.tests)]
        assert list(touch.at(point)) == met
        box = some_rules(chance, 1)[0].tests
        touched = {
            n for n, one in enumerate(rules)
            if all(common(intervals, dict(box).get(level, ((0, TOP),))) for level, intervals in one.tests)
        }  # fmt: skip
        if all(intervals for _, intervals in box):
            assert touched <= set(numbers(touch.box(box)))


def test_bits_and_numbers_are_each_other_s_inverse() -> None:
    for chosen in ([], [0], [3, 64, 65, 1000], list(range(0, 900, 7))):
        assert numbers(bits(chosen)) == chosen
