"""Sets of packets: what chains, tables and whole paths do with all packets at once.

A `Space` has the levels and names of one or two rule sets (both sides of a diff), a `Side` the diagrams of
one of them. A diagram of outcomes says for every packet what happens to it; it is exact, but that what cannot
be decided is a free variable. It must agree with `walk` on every packet: the tests see to it.
"""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence

from ruleflow.errors import RuleflowError, visible
from ruleflow.netfilter.action import Actions
from ruleflow.netfilter.encode import Encoder
from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING, Diagrams
from ruleflow.netfilter.outcome import BACK, NEXT, Outcome, Outcomes
from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, In, Names, Undecided
from ruleflow.ruleset.effect import Effects
from ruleflow.ruleset.extension import Target
from ruleflow.ruleset.ir import Chain, Goto, Jump, Opaque, Rule, Ruleset

Conditions = tuple[Condition, ...]


class Space:
    """The packets of one family as the ``rulesets`` can tell them apart; ``names`` are further interfaces'."""

    def __init__(self, rulesets: Sequence[Ruleset], names: Iterable[str] = ()) -> None:
        self.family = rulesets[0].family if rulesets else 4
        self.diagrams = Diagrams()
        self._conditions: dict[tuple[object, ...], Conditions] = {}
        self._effects: dict[int, Effects] = {}
        self.parts: dict[tuple[object, ...], int] = {}
        """The diagrams of rules, by their matches and what they do: equal rules are read once."""
        self.rulesets = tuple(rulesets)  # kept: effects are remembered by the identity of targets
        self.names: set[str] = set(names)
        self.used: set[str] = set()
        """The fields that some rule reads or changes."""
        for ruleset in rulesets:
            self._look_at(ruleset)
        self.asks_connections = any(name.startswith("ct_") for name in self.used)
        self.tracks = self.asks_connections or "state" in self.used or any("nat" in one for one in rulesets)
        self.encoder = Encoder(self.diagrams, self.family, self.names)
        self.encoder.uses_fragments = "fragment" in self.used
        self.encoder.uses_connections = self.asks_connections
        self.outcomes = Outcomes(self.encoder)

    def _look_at(self, ruleset: Ruleset) -> None:
        for table in ruleset.tables:
            for chain in table.chains:
                for rule in chain.rules:
                    if rule.matches not in self._conditions:
                        self._gather(self.conditions(rule))
                    if rule.target is not None and not isinstance(rule.target, Jump | Goto):
                        self._gather_changes(rule.target)

    def _gather_changes(self, target: Target | Opaque) -> None:
        if id(target) not in self._effects:
            for change in self.effects(target).changes:
                field = getattr(change, "field", getattr(change, "to", None))
                if field is not None:
                    self.used.add(field.name)

    def conditions(self, rule: Rule) -> Conditions:
        """What a rule asks of a packet, remembered."""
        found = self._conditions.get(rule.matches)
        if found is None:
            found = self._conditions[rule.matches] = rule.conditions()
        return found

    def effects(self, target: Target | Opaque) -> Effects:
        """What a target does, remembered."""
        found = self._effects.get(id(target))
        if found is None:
            found = self._effects[id(target)] = target.effects()
        return found

    def _gather(self, conditions: Iterable[Condition]) -> None:
        for condition in conditions:
            if type(condition) is In:
                self.used.add(condition.field.name)
                if type(condition.values) is Names:
                    self.names.update(condition.values.patterns)
            elif isinstance(condition, AllOf | AnyOf):
                self._gather(condition.conditions)

    def side(self, ruleset: Ruleset) -> "Side":
        """The diagrams of one of the rule sets."""
        return Side(self, ruleset)


class Side:
    """One rule set's chains as diagrams of outcomes over the packet as it enters the chain."""

    def __init__(self, space: Space, ruleset: Ruleset) -> None:
        self.space, self.ruleset = space, ruleset
        self.diagrams, self.outcomes = space.diagrams, space.outcomes
        self._chains: dict[tuple[str, str, str], int] = {}
        self._parts: dict[tuple[str, str, str], tuple[int, ...]] = {}
        self._entered: list[tuple[str, str]] = []

    def hook(self, table: str, chain: str) -> int:
        """What the built-in chain of a table decides, policy included: every leaf has a verdict.

        A table or chain that is not there accepts everything.
        """
        found = self.ruleset[table][chain] if table in self.ruleset and chain in self.ruleset[table] else None
        body = NOTHING if found is None else self.chain(table, chain, chain)
        policy = (found.policy if found else None) or "ACCEPT"
        return self.outcomes.renamed(body, BACK, policy, also=NEXT)

    def chain(self, table: str, name: str, hook: str) -> int:
        """What a chain's rules decide when it is reached from ``hook``; leaves are also `NEXT` and `BACK`."""
        key = (table, name, hook if table == "nat" else "")
        found = self._chains.get(key)
        if found is None:
            with self._inside(table, name), deep():
                parts = self._parts[key] = tuple(self._read(table, name, hook))
                found = self._chains[key] = self.outcomes.fold(parts)
        return found

    @contextlib.contextmanager
    def _inside(self, table: str, name: str) -> Iterator[None]:
        if (table, name) in self._entered:
            raise RuleflowError(
                f"the chain {visible(name)} of the table {table} calls itself",
                help="iptables-restore refuses a loop of chains: take one of its jumps out",
            )
        self._entered.append((table, name))
        try:
            yield
        finally:
            self._entered.pop()

    def parts(self, table: str, name: str, hook: str) -> tuple[int, ...]:
        """For each rule of a chain what it alone decides, `NOTHING` where it does nothing."""
        self.chain(table, name, hook)
        return self._parts[table, name, hook if table == "nat" else ""]

    def where(self, table: str, name: str, index: int) -> int:
        """The set of packets that meet a rule (``index`` from 0)."""
        chain = self.ruleset[table][name]
        conditions = self.space.conditions(chain.rules[index])
        return self.space.encoder.conditions(conditions, self._place(table, chain, index))

    def _place(self, table: str, chain: Chain, index: int) -> object:
        places = _Places(table, chain)
        for before, rule in enumerate(chain.rules[: index + 1]):
            place = places.of(before, self.space.conditions(rule))
        return place

    def _read(self, table: str, name: str, hook: str) -> Iterator[int]:
        chain = self.ruleset[table][name]
        places = _Places(table, chain)
        for index, rule in enumerate(chain.rules):
            action = self._action(table, rule, hook)
            known = self.space.parts.get((rule.matches, action))
            if known is not None:
                yield known
                continue
            conditions = self.space.conditions(rule)
            place = places.of(index, conditions)
            if action != UNKNOWN_PART and self.diagrams.level[action] == LEAF_LEVEL:
                part = self.space.encoder.conditions(conditions, place, action) if action else NOTHING
                if place is None:
                    self.space.parts[rule.matches, action] = part
                yield part
                continue
            yield self._done(rule, self.space.encoder.conditions(conditions, place), action, hook)

    def _done(self, rule: Rule, where: int, action: int, hook: str) -> int:
        if action != UNKNOWN_PART:
            return self.diagrams.both(where, action)
        assert rule.target is not None
        assert not isinstance(rule.target, Jump | Goto)
        actions = Actions(self.outcomes, _side_of(hook), local=hook == "OUTPUT")
        return actions.diagram(self.space.effects(rule.target), where)

    def _action(self, table: str, rule: Rule, hook: str) -> int:
        """What a rule does with the packets that meet it; `UNKNOWN_PART` where that depends on which they are."""
        target = rule.target
        match target:
            case None:
                return NOTHING
            case Jump(chain=name) | Goto(chain=name):
                return self._called(table, name, hook, goto=isinstance(target, Goto))
        effects = self.space.effects(target)
        if any(type(change).__name__ == "Rewrite" for change in effects.changes):
            return UNKNOWN_PART
        return Actions(self.outcomes, _side_of(hook)).diagram(effects, EVERYTHING)

    def _called(self, table: str, name: str, hook: str, *, goto: bool) -> int:
        if name not in self.ruleset[table]:
            return self.outcomes.leaf(Outcome(NEXT, tags=(("unknown", f"the chain {name} is not in the dump"),)))
        body = self.chain(table, name, hook)
        return self.outcomes.renamed(body, NEXT, BACK) if goto else self.outcomes.renamed(body, BACK, NEXT)


UNKNOWN_PART = -1


class _Places:
    """Names for rules that remember: chain, what the rule asks, and which one of those that ask the same it is."""

    def __init__(self, table: str, chain: Chain) -> None:
        self.table, self.chain = table, chain
        self._seen: dict[tuple[object, ...], int] = {}

    def of(self, index: int, conditions: Conditions) -> object:
        """The name of the rule at ``index`` from 0; None where nothing in it remembers."""
        if not any(_remembers(condition) for condition in conditions):
            return None
        text = tuple(map(str, self.chain.rules[index].matches))
        count = self._seen[text] = self._seen.get(text, 0) + 1
        return self.table, self.chain.name, text, count


def _remembers(condition: Condition) -> bool:
    if isinstance(condition, AllOf | AnyOf):
        return any(_remembers(part) for part in condition.conditions)
    return isinstance(condition, Undecided) and condition.memory


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

