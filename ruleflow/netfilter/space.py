"""Sets of packets: what chains, tables and whole paths do with all packets at once.

A `Space` has the levels and names of one or two rule sets (both sides of a diff), a `side.Side` the diagrams of
one of them. A diagram of outcomes says for every packet what happens to it; it is exact, but that what cannot
be decided is a free variable. It must agree with `walk` on every packet: the tests see to it.
"""

from collections.abc import Iterable, Sequence

from ruleflow.netfilter.asked import Asked
from ruleflow.netfilter.encode import Encoder
from ruleflow.netfilter.idd import Diagrams
from ruleflow.netfilter.outcome import Outcomes
from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, In, Names
from ruleflow.ruleset.effect import Effects
from ruleflow.ruleset.extension import Match, Target
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule, Ruleset

Conditions = tuple[Condition, ...]


class Space:
    """The packets of one family as the ``rulesets`` can tell them apart; ``names`` are further interfaces'."""

    def __init__(
        self, rulesets: Sequence[Ruleset], names: Iterable[str] = (), outcomes: type[Outcomes] = Outcomes
    ) -> None:
        self.family = rulesets[0].family if rulesets else 4
        self.diagrams = Diagrams()
        self._conditions: dict[tuple[object, ...], Conditions] = {}
        self._asking: dict[Match | Opaque, Conditions] = {}
        self._effects: dict[int, Effects] = {}
        self._asked: dict[tuple[object, ...], Asked] = {}
        self.actions: dict[int, int] = {}
        """What targets do with every packet, by their identity."""
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
        self.outcomes = outcomes(self.encoder)

    def _look_at(self, ruleset: Ruleset) -> None:
        for table in ruleset.tables:
            for chain in table.chains:
                for rule in chain.rules:
                    self.conditions(rule)
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
        matches = rule.matches
        found = self._conditions.get(matches)
        if found is None:
            found = self._conditions[matches] = tuple(
                condition for match in matches for condition in self._asks(match)
            )
        return found

    def _asks(self, match: Match | Opaque) -> Conditions:
        """What a match asks; it is looked at, and remembered."""
        found = self._asking.get(match)
        if found is None:
            found = self._asking[match] = match.conditions()
            self._gather(found)
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

    def asked(self, rule: Rule) -> Asked:
        """What a rule asks, taken apart; remembered."""
        found = self._asked.get(rule.matches)
        if found is None:
            found = self._asked[rule.matches] = self.encoder.asked(self._conditions[rule.matches])
        return found

    def all_asked(self) -> tuple[Asked, ...]:
        """What the rules looked at so far ask, taken apart."""
        return tuple(self._asked.values())
