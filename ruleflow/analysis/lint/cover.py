"""Which rules take the packets that a rule never gets: the fewest that are found, in their order."""

import msgspec

from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.touch import Tests, numbers
from ruleflow.analysis.lint.tree import Tree
from ruleflow.netfilter.idd import NOTHING
from ruleflow.ruleset.ir import Goto, Jump, RuleRef, Table

_MOST = 200


class Taker(msgspec.Struct, frozen=True):
    """A rule that takes packets first; ``misses``: it calls the chain, but with other packets only."""

    ref: RuleRef
    alone: bool = False
    calls: str = ""
    misses: bool = False


def takers(case: Case, table: Table, ref: RuleRef) -> list[Taker]:
    """The earlier rules of its chain that take all that the rule asks for; else the rules that call its chain."""
    reached = case.reached(table.name)
    tree = reached.tree(ref.chain)
    where = tree.asks(ref.index - 1)
    indexes = _covering(tree, where, tree.touch.box(_tests(case, table, ref)), ref.index - 1)
    if indexes is None:
        return _at_callers(case, table, ref, where)
    return _takers(case, table, ref.chain, indexes)


def _takers(case: Case, table: Table, chain: str, indexes: list[int]) -> list[Taker]:
    found = []
    for index in indexes:
        target = table[chain].rules[index].target
        called = target.chain if isinstance(target, Jump | Goto) else ""
        found.append(Taker(case.ref(table.name, chain, index), len(indexes) == 1, called))
    return found


def _at_callers(case: Case, table: Table, ref: RuleRef, where: int) -> list[Taker]:
    """For each rule that calls the chain: what takes the packets before it, or that it sends others only."""
    reached = case.reached(table.name)
    found: dict[RuleRef, Taker] = {}
    for site in case.calls(table.name).callers.get(ref.chain, []):
        if (site.chain, site.index - 1) not in reached.hit:
            continue
        tree = reached.tree(site.chain)
        wanted = reached.diagrams.both(where, tree.asks(site.index - 1))
        touching = tree.touch.box(_tests(case, table, ref)) & tree.touch.box(_tests(case, table, site))
        indexes = _covering(tree, wanted, touching, site.index - 1) if wanted != NOTHING else None
        for taker in (
            _takers(case, table, site.chain, indexes)
            if indexes
            else [Taker(site, calls=ref.chain, misses=True)]
        ):
            found[taker.ref] = taker
    return list(found.values())


def _tests(case: Case, table: Table, ref: RuleRef) -> Tests:
    return case.side.space.asked(table[ref.chain].rules[ref.index - 1]).tests


def _covering(tree: Tree, where: int, touching: int, end: int) -> list[int] | None:
    """Indexes of rules before ``end`` that together take ``where``; None where the chain's own rules do not."""
    if tree.rest(where, 0, end, touching) != NOTHING:
        return None
    found: list[int] = []
    rest = where
    candidates = numbers(touching & ((1 << end) - 1))
    for index in candidates:
        if tree.diagrams.without(where, tree.taken(index, index + 1)) == NOTHING:
            return [index]
    for index in candidates:
        left = tree.diagrams.without(rest, tree.taken(index, index + 1))
        if left != rest:
            found.append(index)
        rest = left
        if rest == NOTHING:
            break
    return _fewest(tree, where, found) if len(found) <= _MOST else found


def _fewest(tree: Tree, where: int, found: list[int]) -> list[int]:
    """Without those that the others make needless, tried from the one that takes least: the first ones stay."""
    kept = list(found)
    for index in reversed(found):
        rest = where
        for other in kept:
            if other != index:
                rest = tree.diagrams.without(rest, tree.taken(other, other + 1))
        if rest == NOTHING:
            kept.remove(index)
    return kept
