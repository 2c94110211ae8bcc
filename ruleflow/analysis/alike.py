"""Which chains look alike: of one shape, named alike and called from the same places, so that one box can stand for all.

The shape is found by refining classes, as automata are minimised: two chains stay together while their rules
have the same matches and targets and the chains they call are together; runs of alike rules count once.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule

FEWEST = 4
"""Fewer chains than this are drawn one by one."""
_ROUNDS = 8

Chains = Mapping[str, Sequence[Rule]]


def alike(chains: Chains, apart: frozenset[str] = frozenset(), *, coarse: bool = False) -> dict[str, str]:
    """For each chain of a table the first of those that look like it (itself where it stands alone).

    ``apart`` are chains that must stand alone; ``coarse`` lets names alone decide.
    """
    shapes = dict.fromkeys(chains, 0) if coarse else _shapes(chains)
    groups = {name: (shapes[name], stem(name)) if name not in apart else (name,) for name in chains}
    found = _classes(groups if coarse else _split_by_callers(chains, groups))
    members: dict[int, list[str]] = defaultdict(list)
    for name in chains:
        members[found[name]].append(name)
    fewest = 2 if coarse else FEWEST
    return {
        name: group[0] if len(group) >= fewest else name for group in members.values() for name in group
    }  # fmt: skip


def stem(name: str) -> str:
    """What look-alikes share of their names: all before the last word, or before the number at its end.

    >>> stem("KUBE-SVC-TCOU7JCQXEZGVUNU"), stem("zone12"), stem("INPUT")
    ('KUBE-SVC-', 'zone', 'INPUT')
    """
    cut = re.match(r"(.*[-_.:/])[^-_.:/]+$", name)
    if cut:
        return cut.group(1)
    return re.sub(r"\d+$", "", name) or name


def _shapes(chains: Chains) -> dict[str, int]:
    names: dict[object, int] = {}
    rules = {chain: [(_shape(rule, names), _callee(rule)) for rule in body] for chain, body in chains.items()}
    found = dict.fromkeys(chains, 0)
    for _ in range(_ROUNDS):
        bodies = {
            chain: _collapsed([(shape, found.get(to, -1)) for shape, to in body])
            for chain, body in rules.items()
        }
        finer = _classes({chain: (found[chain], body) for chain, body in bodies.items()})
        if len(set(finer.values())) == len(set(found.values())):
            return finer
        found = finer
    return found


def _collapsed(body: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(part for index, part in enumerate(body) if index == 0 or part != body[index - 1])


def _shape(rule: Rule, names: dict[object, int]) -> int:
    """A number for the kinds of a rule's matches and target; a comment is no part of the shape."""
    kinds = tuple(
        part.name or part.text if isinstance(part, Opaque) else type(part).__name__
        for part in (*rule.matches, rule.target)
        if part is not None and getattr(part, "name", "") not in ("comment", "statistic")
    )
    return names.setdefault(kinds, len(names))


def _callee(rule: Rule) -> str:
    return rule.target.chain if isinstance(rule.target, Jump | Goto) else ""


def _split_by_callers(chains: Chains, groups: Mapping[str, object]) -> dict[str, object]:
    callers: dict[str, set[str]] = defaultdict(set)
    for name, body in chains.items():
        for rule in body:
            callers[_callee(rule)].add(name)
    found = _classes(groups)
    for _ in range(_ROUNDS):
        finer = _classes({name: (found[name], frozenset(found[c] for c in callers[name])) for name in chains})
        if len(set(finer.values())) == len(set(found.values())):
            break
        found = finer
    return dict(found)


def _classes(keys: Mapping[str, object]) -> dict[str, int]:
    numbers: dict[object, int] = {}
    return {name: numbers.setdefault(key, len(numbers)) for name, key in keys.items()}
