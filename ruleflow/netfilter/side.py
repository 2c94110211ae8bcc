"""One rule set's chains as diagrams: for every packet that enters a chain, what becomes of it there."""

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator

from ruleflow.errors import RuleflowError, visible
from ruleflow.netfilter.action import Actions
from ruleflow.netfilter.asked import Asked
from ruleflow.netfilter.encode import BITWISE, DPORT, DST, IN, LEVELS, OUT, PROTO, SPORT, SRC, STATE
from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING, Diagrams
from ruleflow.netfilter.outcome import BACK, NEXT, Outcome, Tree
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.effect import Rewrite, Untrack
from ruleflow.ruleset.ir import Chain, Goto, Jump, Rule, RuleRef, Ruleset

_LOOKED_AT = (DST, SRC, DPORT, OUT, IN, PROTO, SPORT, LEVELS["mac"])
"""The levels that tell most rules apart."""


class Region:
    """A set of packets to which the work is limited, with what each telling level can be in it."""

    def __init__(self, diagrams: Diagrams, where: int, changed: frozenset[int] = frozenset()) -> None:
        self.where = where
        product = diagrams.product(where)
        self.is_product = product is not None
        """Whether the packets are just those that have the shadows: then tests of those need not be asked."""
        self.shadows = product or {}
        if where != NOTHING and product is None:
            self.shadows = {
                level: shadow
                for level, shadow in diagrams.shadows(where).items()
                if level in _LOOKED_AT and shadow != ((0, diagrams.tops[level]),)
            }
        for level in changed & self.shadows.keys():
            del self.shadows[level]


class Side:
    """One rule set's chains as diagrams of outcomes over the packet as it enters the chain."""

    def __init__(self, space: Space, ruleset: Ruleset) -> None:
        self.space, self.ruleset = space, ruleset
        self.diagrams, self.outcomes = space.diagrams, space.outcomes
        self._chains: dict[tuple[str, str, str, int], int] = {}
        self._trees: dict[tuple[str, str, str, int], Tree | None] = {}
        self._places: dict[tuple[str, str], tuple[object, ...]] = {}
        self._entered: list[tuple[str, str]] = []
        self._regions: dict[tuple[int, str], Region] = {}
        self._changes: dict[str, frozenset[int]] = {}
        self._callers: dict[str, Counter[str]] = {}
        self.alone: dict[int, tuple[tuple[RuleRef, int], ...] | None] = {}
        """Of groups of rules (by the identity of a `tree`'s part) what each rule decides, where they only decide."""

    def region(self, where: int, table: str = "") -> Region:
        """A set of packets as a region, remembered; what rules of ``table`` change does not limit it."""
        found = self._regions.get((where, table))
        if found is None:
            changed = self.changes(table) if table else frozenset()
            found = self._regions[where, table] = Region(self.diagrams, where, changed)
        return found

    def changes(self, table: str) -> frozenset[int]:
        """The levels that rules of a table change and that the table's later rules may read."""
        found = self._changes.get(table)
        if found is None:
            found = self._changes[table] = frozenset(self._changed(table))
        return found

    def _changed(self, table: str) -> Iterator[int]:
        encoder = self.space.encoder
        targets = {
            id(rule.target): rule.target
            for chain in (self.ruleset[table].chains if table in self.ruleset else ())
            for rule in chain.rules
        }
        for target in targets.values():
            if target is None or isinstance(target, Jump | Goto):
                continue
            for change in self.space.effects(target).changes:
                field = getattr(change, "field", getattr(change, "to", None))
                if isinstance(change, Untrack):
                    yield STATE
                elif field is not None and field.name in BITWISE:
                    yield from (encoder.bit(field, n) for n in range(field.bits or 0))
                elif field is not None:
                    yield LEVELS[field.name]

    def hook(self, table: str, chain: str, within: int = EVERYTHING) -> int:
        """What the built-in chain of a table decides, policy included: every leaf has a verdict.

        A table or chain that is not there accepts everything. Only right for the packets ``within``.
        """
        found = self.ruleset[table][chain] if table in self.ruleset and chain in self.ruleset[table] else None
        body = NOTHING if found is None else self.chain(table, chain, chain, within)
        policy = (found.policy if found else None) or "ACCEPT"
        return self.outcomes.renamed(body, BACK, policy, also=NEXT)

    def chain(self, table: str, name: str, hook: str, within: int = EVERYTHING) -> int:
        """What a chain's rules decide when it is reached from ``hook``; leaves are also `NEXT` and `BACK`."""
        key = (table, name, hook if table == "nat" else "", within)
        found = self._chains.get(key)
        if found is None:
            with self._inside(table, name), deep():
                found = self._chains[key] = self.outcomes.fold(
                    part for _, part in self._read(table, name, hook, within)
                )
        return found

    def tree(self, table: str, name: str, hook: str, within: int = EVERYTHING) -> Tree | None:
        """A chain folded as `chain` does it, with the groups of rules kept. Only right for the packets ``within``."""
        key = (table, name, hook if table == "nat" else "", within)
        if key not in self._trees:
            with self._inside(table, name), deep():
                self._trees[key] = self.outcomes.tree(self._read(table, name, hook, within))
        return self._trees[key]

    @contextlib.contextmanager
    def _inside(self, table: str, name: str) -> Iterator[None]:
        if (table, name) in self._entered:
            raise calls_itself(table, name)
        self._entered.append((table, name))
        try:
            yield
        finally:
            self._entered.pop()

    # -- rules ----------------------------------------------------------------------------------------------

    def where(self, table: str, name: str, index: int) -> int:
        """The set of packets that meet a rule (``index`` from 0)."""
        rule = self.ruleset[table][name].rules[index]
        return self.space.encoder.build(self.space.asked(rule), self._place(table, name, index))

    def rule(self, table: str, name: str, index: int, hook: str) -> int:
        """What a rule that calls no chain decides, `NOTHING` for packets that do not meet it or where it does nothing."""
        rule = self.ruleset[table][name].rules[index]
        return self._rule(rule, hook, self._place(table, name, index))

    def _rule(self, rule: Rule, hook: str, place: object) -> int:
        return self._decided(rule, self.space.asked(rule), hook, place, EVERYTHING)

    def _decided(self, rule: Rule, asked: Asked, hook: str, place: object, within: int) -> int:
        """What a rule decides that asks ``asked`` of packets ``within``."""
        action = self._action(rule, hook)
        if action == NOTHING:
            return NOTHING
        if action == DEPENDS:
            assert rule.target is not None
            assert not isinstance(rule.target, Jump | Goto)
            actions = Actions(self.outcomes, _side_of(hook), local=hook == "OUTPUT")
            return actions.diagram(self.space.effects(rule.target), self.space.encoder.build(asked, place))
        if self.diagrams.level[action] != LEAF_LEVEL:
            return self.diagrams.both(self.space.encoder.build(asked, place), action)
        if place is not None or not asked.others:
            return self.space.encoder.build(asked, place, action)
        known = self.space.parts.get((rule.matches, action, within))
        if known is None:
            known = self.space.encoder.build(asked, place, action)
            self.space.parts[rule.matches, action, within] = known
        return known

    def _place(self, table: str, name: str, index: int) -> object:
        found = self._places.get((table, name))
        if found is None:
            found = self._places[table, name] = tuple(self._named(table, self.ruleset[table][name]))
        return found[index]

    def _named(self, table: str, chain: Chain) -> Iterator[object]:
        """Names for rules that remember: chain, what the rule asks, and which one of those that ask the same it is."""
        seen: dict[tuple[str, ...], int] = {}
        for rule in chain.rules:
            if not self.space.asked(rule).remembers:
                yield None
                continue
            text = tuple(map(str, rule.matches))
            seen[text] = seen.get(text, 0) + 1
            yield table, chain.name, text, seen[text]

    def _read(self, table: str, name: str, hook: str, within: int) -> Iterator[tuple[int, int]]:
        """What each rule alone decides, in order, with its number from 0; where it does nothing is left out."""
        region = self.region(within, table)
        for index, rule in enumerate(self.ruleset[table][name].rules):
            asked = self.space.asked(rule)
            if region.shadows:
                left = asked.within(region.shadows)
                if left is None:
                    continue
                asked = left
            target = rule.target
            if isinstance(target, Jump | Goto):
                where = self.space.encoder.build(asked, self._place(table, name, index))
                if not region.is_product:
                    where = self.diagrams.both(within, where)
                if where != NOTHING:
                    inner = self._inner(table, target.chain, where, within)
                    yield index, self.diagrams.both(where, self._called(table, target, hook, inner))
            elif target is not None:
                part = self._decided(rule, asked, hook, self._place(table, name, index), within)
                yield index, part if region.is_product else self.diagrams.both(within, part)

    def _inner(self, table: str, name: str, where: int, within: int) -> int:
        """The packets that a chain needs to be read for: those of its call, where there is no other."""
        if within == EVERYTHING:
            return within
        callers = self._callers.get(table)
        if callers is None:
            rules = (rule for chain in self.ruleset[table].chains for rule in chain.rules)
            callers = Counter(rule.target.chain for rule in rules if isinstance(rule.target, Jump | Goto))
            self._callers[table] = callers
        return within if callers[name] > 1 else self.diagrams.both(within, where)

    def _action(self, rule: Rule, hook: str) -> int:
        """What a rule does with the packets that meet it; `DEPENDS` where that is not the same for all of them."""
        target = rule.target
        if target is None:
            return NOTHING
        assert not isinstance(target, Jump | Goto)
        found = self.space.actions.get(id(target))
        if found is None:
            effects = self.space.effects(target)
            if any(isinstance(change, Rewrite) for change in effects.changes):
                found = DEPENDS
            else:
                found = Actions(self.outcomes, _side_of(hook)).diagram(effects, EVERYTHING)
            self.space.actions[id(target)] = found
        return found

    def _called(self, table: str, target: Jump | Goto, hook: str, within: int) -> int:
        if target.chain not in self.ruleset[table]:
            return self.outcomes.leaf(Outcome(NEXT, tags=(missing(target.chain),)))
        body = self.chain(table, target.chain, hook, within)
        if isinstance(target, Goto):
            return self.outcomes.renamed(body, NEXT, BACK)
        return self.outcomes.renamed(body, BACK, NEXT)


def calls_itself(table: str, name: str) -> RuleflowError:
    """The error for a chain that is met within itself."""
    return RuleflowError(
        f"the chain {visible(name)} of the table {table} calls itself",
        help="iptables-restore refuses a loop of chains: take one of its jumps out",
    )


DEPENDS = -1


def missing(chain: str) -> tuple[str, str]:
    """The tag of packets sent to a chain that the dump does not have."""
    return "unknown", f"the chain {chain} is not in the dump"


def _side_of(hook: str) -> str:
    return "source" if hook in ("POSTROUTING", "INPUT") else "destination"


@contextlib.contextmanager
def deep() -> Iterator[None]:
    """Room for diagrams with thousands of free variables: each level of one is a call."""
    old = sys.getrecursionlimit()
    sys.setrecursionlimit(max(old, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(old)
