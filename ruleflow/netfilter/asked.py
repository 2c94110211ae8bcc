"""What a rule asks, taken apart: intervals for each level, and conditions that are no such thing."""

from collections.abc import Mapping, Sequence

import msgspec

from ruleflow.netfilter.intervals import Interval, common
from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, Undecided


class Asked(msgspec.Struct, frozen=True):
    """Conditions ready to be built: intervals by level, the last level first; then the others."""

    tests: tuple[tuple[int, Sequence[Interval]], ...]
    others: tuple[Condition, ...] = ()
    remembers: bool = False

    def misses(self, shadows: Mapping[int, Sequence[Interval]]) -> bool:
        """Whether no packet whose numbers are in ``shadows`` can meet them: a quick look, not the last word."""
        for level, intervals in self.tests:
            shadow = shadows.get(level)
            if shadow is not None and not _touch(intervals, shadow):
                return True
        return False

    def within(self, shadows: Mapping[int, Sequence[Interval]]) -> "Asked | None":
        """What is left to ask of packets whose numbers are in ``shadows``; None where none can meet it."""
        left = []
        for test in self.tests:
            shadow = shadows.get(test[0])
            if shadow is None:
                left.append(test)
                continue
            both = common(test[1], shadow)
            if not both:
                return None
            if both != tuple(shadow):
                left.append(test)
        return self if len(left) == len(self.tests) else Asked(tuple(left), self.others, self.remembers)


def _touch(one: Sequence[Interval], two: Sequence[Interval]) -> bool:
    if len(one) == 1 and len(two) == 1:
        return one[0][0] <= two[0][1] and two[0][0] <= one[0][1]
    return bool(common(one, two))


def remembers(condition: Condition) -> bool:
    """Whether the answer may differ for two packets that are the same."""
    if isinstance(condition, AllOf | AnyOf):
        return any(map(remembers, condition.conditions))
    return isinstance(condition, Undecided) and condition.memory
