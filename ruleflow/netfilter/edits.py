"""The packets that meet a rule that was changed, in one table at one hook: the only ones it may treat differently.

A superset, cheap to find: rules before a changed one are not asked whether they let a packet come so far.
"""

from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.side import Side
from ruleflow.ruleset.align import align
from ruleflow.ruleset.ir import Chain, Goto, Jump

Reached = dict[str, int]
"""For each chain the packets that, entering it, may meet a changed rule."""


class Edits:
    """What differs between two rule sets of one space, seen from the hooks."""

    def __init__(self, before: Side, after: Side) -> None:
        self.sides = before, after
        self.space, self.diagrams = before.space, before.diagrams
        self._matched: dict[tuple[str, str], tuple[frozenset[int], frozenset[int]]] = {}

    def at(self, table: str, hook: str) -> int:
        """The packets, as they stand at the hook, that the table may treat differently on the two sides."""
        chains = [self._chain(side, table, hook) for side in self.sides]
        if chains[0] is None and chains[1] is None:
            return NOTHING
        if _policy(chains[0]) != _policy(chains[1]):
            return EVERYTHING
        found = NOTHING
        for number, chain in enumerate(chains):
            if chain is not None:
                found = self.diagrams.either(found, self._entering(number, table, hook, {}))
        return found

    def _chain(self, side: Side, table: str, name: str) -> Chain | None:
        if table not in side.ruleset or name not in side.ruleset[table]:
            return None
        return side.ruleset[table][name]

    def _entering(self, number: int, table: str, name: str, known: Reached) -> int:
        """The packets that meet a changed rule of this side in a chain or behind it."""
        found = known.get(name)
        if found is not None:
            return found
        known[name] = NOTHING  # a loop of chains is found, and refused, where the chain is read
        side = self.sides[number]
        chain = self._chain(side, table, name)
        found = NOTHING
        kept = self._kept(table, name)[number]
        for index, rule in enumerate(chain.rules if chain is not None else ()):
            target = rule.target
            behind = EVERYTHING
            if index in kept:
                if not isinstance(target, Jump | Goto):
                    continue
                behind = self._entering(number, table, target.chain, known)
            if behind != NOTHING:
                found = self.diagrams.either(
                    found, self.diagrams.both(side.where(table, name, index), behind)
                )
        found = known[name] = self._loosened(number, table, found)
        return found

    def _kept(self, table: str, name: str) -> tuple[frozenset[int], frozenset[int]]:
        """The rules of a chain that stand on both sides, by index."""
        pair = self._matched.get((table, name))
        if pair is None:
            chains = [self._chain(side, table, name) for side in self.sides]
            rules = [chain.rules if chain is not None else () for chain in chains]
            if rules[0] == rules[1]:
                every = frozenset(range(len(rules[0])))
                pair = every, every
            else:
                pairs = align(*rules)
                pair = frozenset(i for i, _ in pairs), frozenset(j for _, j in pairs)
            self._matched[table, name] = pair
        return pair

    def _loosened(self, number: int, table: str, where: int) -> int:
        """Without what the table itself may have changed before a rule is asked: a mark, the connection's state."""
        if where in (NOTHING, EVERYTHING):
            return where
        for level in self.changes(number, table):
            where = self.diagrams.exists(where, level)
        return where

    def changes(self, number: int, table: str) -> frozenset[int]:
        """The levels that rules of a table change and that the table's later rules may read."""
        return self.sides[number].changes(table)

    def alters(self, table: str) -> bool:
        """Whether some rule of a table changes a packet, on the first side."""
        return bool(self.changes(0, table)) or table == "nat"


def _policy(chain: Chain | None) -> str:
    return (chain.policy if chain is not None else None) or "ACCEPT"
