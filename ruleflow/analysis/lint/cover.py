"""Which rules take the packets that a rule never gets: the fewest that are found, in their order."""

from collections.abc import Iterator

import msgspec

from ruleflow.analysis.chains import calls
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.reached import Reached, support
from ruleflow.analysis.lint.tree import Tree, split
from ruleflow.netfilter.idd import NOTHING, Diagrams
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
    where = tree.asks[ref.index - 1]
    indexes = _covering(reached, tree, where, ref.index - 1)
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
    for site in calls(table).callers.get(ref.chain, []):
        if (site.chain, site.index - 1) not in reached.hit:
            continue
        tree = reached.tree(site.chain)
        wanted = reached.diagrams.both(where, tree.asks[site.index - 1])
        indexes = _covering(reached, tree, wanted, site.index - 1) if wanted != NOTHING else None
        for taker in (
            _takers(case, table, site.chain, indexes)
            if indexes
            else [Taker(site, calls=ref.chain, misses=True)]
        ):
            found[taker.ref] = taker
    return list(found.values())


def _covering(reached: Reached, tree: Tree, where: int, end: int) -> list[int] | None:
    """Indexes of rules that together take ``where``; None where the chain's own rules do not."""
    diagrams = reached.diagrams
    single = _first_alone(diagrams, tree, where, end)
    if single is not None:
        return [single]
    found: list[int] = []
    rest = _taken(diagrams, tree, 0, len(tree), end, where, found)
    if rest != NOTHING:
        return None
    return _fewest(diagrams, tree, where, found) if len(found) <= _MOST else found


def _first_alone(diagrams: Diagrams, tree: Tree, where: int, end: int) -> int | None:
    """The first rule that alone takes all of ``where``."""
    for index in touching(diagrams, tree, 0, len(tree), end, where):
        if diagrams.without(where, support(diagrams, tree.does[index])) == NOTHING:
            return index
    return None


def touching(diagrams: Diagrams, tree: Tree, low: int, high: int, end: int, where: int) -> Iterator[int]:
    """Rules before ``end`` that take some packet of ``where``."""
    if low >= end or high <= low or (high <= end and not diagrams.meets(where, tree.asked(low, high))):
        return
    if high - low == 1:
        if tree.does[low] != NOTHING:
            yield low
        return
    middle = split(low, high)
    yield from touching(diagrams, tree, low, middle, end, where)
    yield from touching(diagrams, tree, middle, high, end, where)


def _taken(
    diagrams: Diagrams, tree: Tree, low: int, high: int, end: int, where: int, found: list[int]
) -> int:
    """What is left of ``where`` behind a stretch of the rules before ``end``; those that took some are put into ``found``."""
    if where == NOTHING or low >= end or high <= low or not diagrams.meets(where, tree.asked(low, high)):
        return where
    if high - low == 1:
        rest = diagrams.without(where, support(diagrams, tree.does[low]))
        if rest != where:
            found.append(low)
        return rest
    middle = split(low, high)
    left = _taken(diagrams, tree, low, middle, end, where, found)
    return _taken(diagrams, tree, middle, high, end, left, found)


def _fewest(diagrams: Diagrams, tree: Tree, where: int, found: list[int]) -> list[int]:
    """Without those that the others make needless, tried from the one that takes least: the first ones stay."""
    kept = list(found)
    for index in reversed(found):
        rest = where
        for other in kept:
            if other != index:
                rest = diagrams.without(rest, support(diagrams, tree.does[other]))
        if rest == NOTHING:
            kept.remove(index)
    return kept
