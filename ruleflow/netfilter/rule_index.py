"""Which rules of a chain a packet may meet: per field, the set of rules as the bits of one number.

For each field that the rules ask about, the index knows for every value the rules that the value does not
rule out (Lakshman and Stiliadis, "High-speed policy-based packet forwarding", 1998). Their intersection has
every rule that may match, in order, and a few numbers are all it takes to find it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ruleflow.ruleset.condition import Condition, In, Intervals, Masked, No, Unknown, decide_one

if TYPE_CHECKING:
    from ruleflow.netfilter.state import State

RANGED = frozenset({"source", "destination", "source_port", "destination_port"})
"""Fields with many values, found by bisection; the others are few and remembered one by one."""
INDEXED = RANGED | {"protocol", "in_interface", "out_interface", "state", "mark", "icmp_type", "tcp_flags"}
_PORT = {"source_port": 0xFFFF, "destination_port": 0xFFFF}
FULL = {
    width: {"source": (1 << bits) - 1, "destination": (1 << bits) - 1} | _PORT
    for width, bits in ((4, 32), (6, 128))
}
"""The greatest value of each such field, by family."""


class Index:
    """The index over the conditions of a chain's rules."""

    __slots__ = ("_all", "_fields", "_residual", "conditions")

    def __init__(self, conditions: Sequence[tuple[Condition, ...]], family: int) -> None:
        self.conditions, full = conditions, FULL[family]
        self._all = (1 << len(conditions)) - 1
        asked: dict[str, dict[int, In]] = {}
        self._residual: list[tuple[Condition, ...]] = []
        for at, of_rule in enumerate(conditions):
            left = []
            for condition in of_rule:
                if _is_indexed(condition, full) and at not in asked.setdefault(condition.field.name, {}):  # type: ignore[union-attr]
                    asked[condition.field.name][at] = condition  # type: ignore[assignment, union-attr]
                else:
                    left.append(condition)
            self._residual.append(tuple(left))
        self._fields: list[tuple[str, _Lookup]] = [
            (name, _Ranges(of, self._all, full[name]) if name in RANGED else _Few(of, self._all))
            for name, of in asked.items()
        ]

    def candidates(self, state: "State") -> tuple[int, bool]:
        """The rules that may match, as bits, and whether a field they ask about is not known.

        Where it is, a rule's indexed conditions must be asked again: the index could not decide them.
        """
        found, blind = self._all, False
        for name, lookup in self._fields:
            value = getattr(state, name)
            if value is None:
                if not state.absent(lookup.field):
                    blind = True
                    continue
                found &= lookup.base
            elif name in _MAYBE_ABSENT and state.absent(lookup.field):
                found &= lookup.base
            else:
                found &= lookup.bits(value)
            if not found:
                return 0, False
        return found, blind

    def left_to_ask(self, rule: int, *, blind: bool) -> tuple[Condition, ...]:
        """The conditions of a candidate that the index has not decided."""
        return self.conditions[rule] if blind else self._residual[rule]


_MAYBE_ABSENT = frozenset({"source_port", "destination_port", "icmp_type", "tcp_flags"})


def _is_indexed(condition: Condition, full: dict[str, int]) -> bool:
    if not isinstance(condition, In) or condition.field.name not in INDEXED:
        return False
    if condition.field.name not in RANGED:
        return True
    values = condition.values
    if isinstance(values, Masked):
        return _interval(values, full[condition.field.name]) is not None
    return isinstance(values, Intervals)


def _interval(values: Masked, full: int) -> tuple[int, int] | None:
    """A mask whose zeros stand together at the end, as an interval; a value outside its mask is no number."""
    zeros = ~values.mask & full
    if zeros & (zeros + 1) or values.value & ~values.mask:
        return None
    return values.value, values.value | zeros


class _Lookup:
    __slots__ = ("base", "field")

    def __init__(self, conditions: dict[int, In], everything: int) -> None:
        self.field = next(iter(conditions.values())).field
        self.base = everything & ~sum(1 << rule for rule in conditions)

    def bits(self, value: int | str) -> int:
        raise NotImplementedError


class _Few(_Lookup):
    """A field with few values: each is looked at once."""

    __slots__ = ("_conditions", "_known")

    def __init__(self, conditions: dict[int, In], everything: int) -> None:
        super().__init__(conditions, everything)
        self._conditions = conditions
        self._known: dict[int | str, int] = {}

    def bits(self, value: int | str) -> int:
        found = self._known.get(value)
        if found is None:
            found = self.base
            for rule, condition in self._conditions.items():
                if (value in condition.values) != condition.negated:  # type: ignore[operator]
                    found |= 1 << rule
            if len(self._known) > 4096:
                self._known.clear()
            self._known[value] = found
        return found


class _Ranges(_Lookup):
    """A field with many values: the line of numbers cut where the set of rules changes."""

    __slots__ = ("_sets", "_starts")

    def __init__(self, conditions: dict[int, In], everything: int, full: int) -> None:
        super().__init__(conditions, everything)
        flips: dict[int, int] = {0: 0}
        for rule, condition in conditions.items():
            for low, high in pairs_of(condition, full) or ():
                flips[low] = flips.get(low, 0) ^ 1 << rule
                flips[high + 1] = flips.get(high + 1, 0) ^ 1 << rule
        self._starts = sorted(flips)
        self._sets: list[int] = []
        current = self.base
        for start in self._starts:
            current ^= flips[start]
            self._sets.append(current)

    def bits(self, value: int | str) -> int:
        return self._sets[bisect_right(self._starts, value) - 1]


def pairs_of(condition: In, full: int) -> list[tuple[int, int]] | None:
    """The values that meet a condition, as disjoint intervals; None where they are none."""
    values = condition.values
    if isinstance(values, Intervals):
        pairs = [pair for pair in values.pairs if pair[0] <= pair[1]]
    else:
        found = _interval(values, full) if isinstance(values, Masked) else None
        if found is None:
            return None
        pairs = [found]
    if not condition.negated:
        return pairs
    gaps, at = [], 0
    for low, high in pairs:
        if low > at:
            gaps.append((at, low - 1))
        at = high + 1
    return [*gaps, (at, full)] if at <= full else gaps


def holds(conditions: Sequence[Condition], state: "State") -> Unknown | bool:
    """Whether all conditions hold, without the reason why not: for those who only want to know."""
    unknown: Unknown | None = None
    for condition in conditions:
        decision = decide_one(condition, state)
        if isinstance(decision, No):
            return False
        if isinstance(decision, Unknown):
            unknown = (
                decision
                if unknown is None
                else Unknown((*unknown.conditions, *decision.conditions), f"{unknown.why}; {decision.why}")
            )
    return True if unknown is None else unknown
