"""A table made ready for asking: chains whose rules are found by what a packet has, not one after the other."""

from typing import TYPE_CHECKING, Any

from ruleflow.netfilter.rule_index import Index
from ruleflow.ruleset.condition import Condition
from ruleflow.ruleset.effect import CONTINUE, Continue, Effects, Log, Note
from ruleflow.ruleset.ir import Chain, Goto, Jump, Rule, RuleRef, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTHING = Effects((), CONTINUE)


class Entry:
    """One rule with its conditions and effects at hand: what it asks, and what it does if they hold."""

    __slots__ = ("chain", "conditions", "effects", "goto", "index", "jump", "line", "rule")

    def __init__(self, rule: Rule, index: int) -> None:
        self.rule, self.chain, self.index, self.line = rule, rule.chain, index, rule.line
        self.conditions: tuple[Condition, ...] = rule.conditions()
        target = rule.target
        self.jump: str | None = target.chain if isinstance(target, Jump | Goto) else None
        self.goto = isinstance(target, Goto)
        self.effects: Effects = _NOTHING if target is None or self.jump else target.effects()  # type: ignore[union-attr]

    @property
    def is_idle(self) -> bool:
        """Whether nothing hangs on it: it counts, or reports, and the next rule is asked."""
        effects = self.effects
        return (
            self.jump is None
            and isinstance(effects.then, Continue)
            and all(isinstance(change, Log | Note) for change in effects.changes)
        )

    def ref(self, table: str) -> RuleRef:
        """Where the rule stands."""
        return RuleRef(table, self.chain, self.index, self.line)


class ChainProgram:
    """One chain: its rules as entries, and the index over them, each made when first asked for."""

    __slots__ = ("_entries", "_index", "chain", "family", "name", "policy")

    def __init__(self, chain: Chain, family: int) -> None:
        self.chain, self.name, self.policy, self.family = chain, chain.name, chain.policy, family
        self._entries: list[Entry] | None = None
        self._index: Index | None = None

    @property
    def entries(self) -> list[Entry]:
        """The rules in order."""
        if self._entries is None:
            self._entries = [Entry(rule, at) for at, rule in enumerate(self.chain.rules, 1)]
        return self._entries

    @property
    def index(self) -> Index:
        """Which rules a packet may meet, by the values it has."""
        if self._index is None:
            self._index = Index([entry.conditions for entry in self.entries], self.family)
        return self._index


class Program:
    """A table's chains by name."""

    def __init__(self, table: Table, family: int) -> None:
        self.table = table.name
        self.chains = {chain.name: ChainProgram(chain, family) for chain in table.chains}
        self._loops: dict[str, tuple[str, ...] | None] = {}

    @classmethod
    def of(cls, table: Table, family: int) -> "Program":
        """The program of a table, made once and kept with it."""
        kept: dict[str, Any] = table.__dict__
        found = kept.get("_program")
        if not isinstance(found, cls):
            found = kept["_program"] = cls(table, family)
        return found

    def loop(self, start: str) -> tuple[str, ...] | None:
        """Chains reached from ``start`` that call each other in a circle; such a table the kernel does not load."""
        if start not in self._loops:
            self._loops[start] = self._find_loop(start)
        return self._loops[start]

    def _find_loop(self, start: str) -> tuple[str, ...] | None:
        """A depth-first search that keeps the way it came (mark_source_chains, net/ipv4/netfilter/ip_tables.c)."""
        way: list[str] = []
        done: set[str] = set()
        waiting: list[tuple[str, Iterator[str]]] = [(start, self._called(start))]
        way.append(start)
        while waiting:
            _, callees = waiting[-1]
            callee = next(callees, None)
            if callee is None:
                waiting.pop()
                done.add(way.pop())
            elif callee in way:
                return (*way[way.index(callee) :], callee)
            elif callee not in done:
                waiting.append((callee, self._called(callee)))
                way.append(callee)
        return None

    def _called(self, name: str) -> "Iterator[str]":
        chain = self.chains.get(name)
        rules = chain.chain.rules if chain else ()
        return iter(dict.fromkeys(r.target.chain for r in rules if isinstance(r.target, Jump | Goto)))
