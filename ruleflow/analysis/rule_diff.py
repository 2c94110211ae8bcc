"""What was edited in the text of a rule set: rules added, removed, moved, merged, policies, chains.

Chains are matched by name, then by what is in them; rules by a normal form in which spelling does not count
(counters, order of options, ``-m state`` for ``-m conntrack``), inside a chain by a longest common subsequence.
"""

from collections.abc import Hashable, Iterator

from ruleflow.analysis.changes import Edit
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.side import Side
from ruleflow.ruleset.align import align
from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, Derived, In, Undecided
from ruleflow.ruleset.ir import Chain, Goto, Jump, Rule, RuleRef, Ruleset, Table

_MERGE_LIMIT = 40
"""Edited rules in one chain up to which it is tried whether some of them are one of the others."""


def normal(rule: Rule) -> Hashable:
    """What a rule asks and does, without how it is spelled and without comments; equal for rules that are the same."""
    asked: list[Hashable] = []
    for match in rule.matches:
        conditions = match.conditions()
        if not conditions and match.name not in ("comment", "tcp", "udp", ""):
            asked.append(str(match))
        asked += [_plain(condition) for condition in conditions]
    target = rule.target
    if target is None or isinstance(target, Jump | Goto):
        return frozenset(asked), target
    return frozenset(asked), str(target)


def _plain(condition: Condition) -> Hashable:
    match condition:
        case In():
            return condition.field, condition.values, condition.negated
        case AnyOf() | AllOf():
            parts = frozenset(_plain(part) for part in condition.conditions)
            return type(condition), parts, condition.negated
        case Derived():
            return condition.fact, condition.arguments, condition.negated
        case Undecided():
            return condition.text, condition.negated
    return condition


class RuleDiff:
    """The edits between two rule sets of one family. ``sides`` allow to see that rules were merged."""

    def __init__(self, before: Ruleset, after: Ruleset, sides: tuple[Side, Side] | None = None) -> None:
        self.before, self.after, self.sides = before, after, sides

    def edits(self) -> tuple[Edit, ...]:
        """All edits, table by table."""
        names = dict.fromkeys(table.name for ruleset in (self.before, self.after) for table in ruleset.tables)
        found: list[Edit] = []
        for name in names:
            found += self._table(
                name, *(r[name] if name in r else Table(name) for r in (self.before, self.after))
            )
        return tuple(found)

    def _table(self, name: str, one: Table, two: Table) -> Iterator[Edit]:
        renamed = _renamed(one, two)
        for chain in one.chains:
            other = two.by_name.get(renamed.get(chain.name, chain.name))
            if other is None:
                if chain.rules or chain.policy is None:
                    yield from self._alone(name, chain, added=False)
                elif chain.policy != "ACCEPT":
                    yield Edit("policy", name, chain.name, (chain.policy,), ("ACCEPT",))
                continue
            if other.name != chain.name:
                yield Edit("chain renamed", name, other.name, (chain.name,), (other.name,))
            if (other.policy or "ACCEPT") != (chain.policy or "ACCEPT"):
                yield Edit("policy", name, chain.name, (chain.policy or "-",), (other.policy or "-",))
            yield from self._rules(name, chain, other, renamed)
        known = {renamed.get(chain.name, chain.name) for chain in one.chains}
        for chain in two.chains:
            if chain.name not in known and (chain.rules or chain.policy is None):
                yield from self._alone(name, chain, added=True)
            elif chain.name not in known and chain.policy not in (None, "ACCEPT"):
                yield Edit("policy", name, chain.name, ("ACCEPT",), (chain.policy or "-",))

    def _alone(self, table: str, chain: Chain, *, added: bool) -> Iterator[Edit]:
        if chain.policy is None:
            yield Edit("chain added" if added else "chain removed", table, chain.name)
        elif chain.policy != "ACCEPT":
            policy = ((), (chain.policy,)) if added else ((chain.policy,), ())
            yield Edit("policy", table, chain.name, *policy)
        for index, rule in enumerate(chain.rules, 1):
            yield _single(table, chain.name, rule, RuleRef(table, chain.name, index, rule.line), added=added)

    def _rules(self, table: str, one: Chain, two: Chain, renamed: dict[str, str]) -> Iterator[Edit]:
        if one.rules == two.rules:
            return
        pairs = align(one.rules, two.rules) if not renamed else []
        left = sorted(set(range(len(one.rules))) - {i for i, _ in pairs})
        right = sorted(set(range(len(two.rules))) - {j for _, j in pairs})
        places = _gaps(pairs, left, right)
        keys = {("<", i): (places["<", i], _called(normal(one.rules[i]), renamed)) for i in left}
        keys |= {(">", j): (places[">", j], normal(two.rules[j])) for j in right}
        inner = align([keys["<", i] for i in left], [keys[">", j] for j in right])
        same = [(left[a], right[b]) for a, b in inner]
        yield from self._spelled(table, one, two, same)
        left = [i for i in left if i not in {a for a, _ in same}]
        right = [j for j in right if j not in {b for _, b in same}]
        yield from self._left_over(table, one, two, left, right)

    def _spelled(self, table: str, one: Chain, two: Chain, same: list[tuple[int, int]]) -> Iterator[Edit]:
        """Rules that only look different: where it is their comment, that is an edit."""
        for i, j in same:
            if _comments(one.rules[i]) != _comments(two.rules[j]):
                yield _pair("changed", table, one, two, i, j, "its comment alone")

    def _left_over(
        self, table: str, one: Chain, two: Chain, left: list[int], right: list[int]
    ) -> Iterator[Edit]:
        moved = _moves(one, two, left, right)
        for i, j in moved:
            yield _pair("moved", table, one, two, i, j, f"from {i + 1} to {j + 1}")
        left = [i for i in left if i not in {a for a, _ in moved}]
        right = [j for j in right if j not in {b for _, b in moved}]
        for lefts, rights in self._merged(table, one, two, left, right):
            before = [_ref(table, one, i) for i in lefts]
            after = [_ref(table, two, j) for j in rights]
            yield Edit(
                "merged", table, two.name, tuple(str(one.rules[i]) for i in lefts),
                tuple(str(two.rules[j]) for j in rights), tuple(before), tuple(after), "the same packets together",
            )  # fmt: skip
            left = [i for i in left if i not in lefts]
            right = [j for j in right if j not in rights]
        for i in left:
            yield _single(table, one.name, one.rules[i], _ref(table, one, i), added=False)
        for j in right:
            yield _single(table, two.name, two.rules[j], _ref(table, two, j), added=True)

    def _merged(
        self, table: str, one: Chain, two: Chain, left: list[int], right: list[int]
    ) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Several rules that became one with the same packets, or one that became several."""
        if self.sides is None or not left or not right or len(left) + len(right) > _MERGE_LIMIT:
            return
        sets = [
            {n: side.where(table, chain.name, n) for n in numbers}
            for side, chain, numbers in zip(self.sides, (one, two), (left, right), strict=True)
        ]
        for j in right:
            parts = self._parts_of(
                sets[1][j], [(i, sets[0][i]) for i in left if one.rules[i].target == two.rules[j].target]
            )
            if len(parts) > 1:
                yield parts, (j,)
                left = [i for i in left if i not in parts]
        for i in left:
            parts = self._parts_of(
                sets[0][i], [(j, sets[1][j]) for j in right if two.rules[j].target == one.rules[i].target]
            )
            if len(parts) > 1:
                yield (i,), parts

    def _parts_of(self, whole: int, candidates: list[tuple[int, int]]) -> tuple[int, ...]:
        assert self.sides is not None
        diagrams = self.sides[0].diagrams
        inside = [
            (n, part)
            for n, part in candidates
            if part != NOTHING and diagrams.without(part, whole) == NOTHING
        ]
        union = NOTHING
        for _, part in inside:
            union = diagrams.either(union, part)
        return tuple(n for n, _ in inside) if union == whole else ()


def _gaps(pairs: list[tuple[int, int]], left: list[int], right: list[int]) -> dict[tuple[str, int], int]:
    """Between which aligned rules each of the others stands: only there may two of them be the same rule."""
    found: dict[tuple[str, int], int] = {}
    for mark, numbers, anchors in (("<", left, [i for i, _ in pairs]), (">", right, [j for _, j in pairs])):
        at = 0
        for number in numbers:
            while at < len(anchors) and anchors[at] < number:
                at += 1
            found[mark, number] = at
    return found


def _called(key: Hashable, renamed: dict[str, str]) -> Hashable:
    if not renamed or not isinstance(key, tuple) or not isinstance(key[1], Jump | Goto):
        return key
    target = key[1]
    return key[0], type(target)(renamed.get(target.chain, target.chain))


def _moves(one: Chain, two: Chain, left: list[int], right: list[int]) -> list[tuple[int, int]]:
    waiting: dict[Hashable, list[int]] = {}
    for j in right:
        waiting.setdefault(normal(two.rules[j]), []).append(j)
    moved = []
    for i in left:
        found = waiting.get(normal(one.rules[i]))
        if found:
            moved.append((i, found.pop(0)))
    return moved


def _renamed(one: Table, two: Table) -> dict[str, str]:
    """User chains that are only on one side each and have the same rules: the old name and the new."""
    gone = [chain for chain in one.chains if chain.policy is None and chain.name not in two and chain.rules]
    come = [chain for chain in two.chains if chain.policy is None and chain.name not in one and chain.rules]
    found: dict[str, str] = {}
    for chain in gone:
        bodies = tuple(map(normal, chain.rules))
        same = [
            other
            for other in come
            if tuple(map(normal, other.rules)) == bodies and other.name not in found.values()
        ]
        if same:
            found[chain.name] = same[0].name
    return found


def _comments(rule: Rule) -> tuple[str, ...]:
    return tuple(str(match) for match in rule.matches if match.name == "comment")


def _ref(table: str, chain: Chain, index: int) -> RuleRef:
    return RuleRef(table, chain.name, index + 1, chain.rules[index].line)


def _pair(kind: str, table: str, one: Chain, two: Chain, i: int, j: int, why: str) -> Edit:
    return Edit(
        kind, table, two.name, (str(one.rules[i]),), (str(two.rules[j]),), (_ref(table, one, i),),
        (_ref(table, two, j),), why,
    )  # fmt: skip


def _single(table: str, chain: str, rule: Rule, ref: RuleRef, *, added: bool) -> Edit:
    if added:
        return Edit("added", table, chain, (), (str(rule),), (), (ref,))
    return Edit("removed", table, chain, (str(rule),), (), (ref,), ())
