"""Sets of values of a field that has a level for each of its bits, as rules ask for marks."""

from collections.abc import Iterator, Sequence

from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams
from ruleflow.ruleset.condition import AnyBit, Intervals, Masked


def by_bits(diagrams: Diagrams, levels: Sequence[int], values: object) -> int:
    """The packets whose field is one of ``values``; ``levels`` are those of its bits, the lowest first."""
    match values:
        case Masked(value=value, mask=mask):
            if value & ~mask:
                return NOTHING
            return diagrams.cube((level, ((value >> n & 1,) * 2,)) for n, level in _chosen(levels, mask))
        case AnyBit(mask=mask):
            return diagrams.complement(
                diagrams.cube((level, ((0, 0),)) for _, level in _chosen(levels, mask))
            )
        case Intervals(pairs=pairs):
            return diagrams.union([_between(diagrams, levels, low, high) for low, high in pairs])
    return NOTHING


def _chosen(levels: Sequence[int], mask: int) -> Iterator[tuple[int, int]]:
    return ((n, level) for n, level in enumerate(levels) if mask >> n & 1)


def _between(diagrams: Diagrams, levels: Sequence[int], low: int, high: int) -> int:
    """``low <= field <= high``."""
    return diagrams.both(_at_least(diagrams, levels, low), _at_most(diagrams, levels, high))


def _at_least(diagrams: Diagrams, levels: Sequence[int], bound: int) -> int:
    found = EVERYTHING
    for number, level in enumerate(levels):  # of two bits the higher decides
        is_set = diagrams.test(level, ((1, 1),))
        found = diagrams.both(is_set, found) if bound >> number & 1 else diagrams.either(is_set, found)
    return found


def _at_most(diagrams: Diagrams, levels: Sequence[int], bound: int) -> int:
    found = EVERYTHING
    for number, level in enumerate(levels):
        is_clear = diagrams.test(level, ((0, 0),))
        found = diagrams.either(is_clear, found) if bound >> number & 1 else diagrams.both(is_clear, found)
    return found
