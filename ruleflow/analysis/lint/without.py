"""A table with some rules taken out: whether every packet still fares the same. The last word, and the dearest."""

from collections.abc import Iterable

import msgspec

from ruleflow.analysis.lint.entering import entering
from ruleflow.analysis.lint.tried import Key
from ruleflow.netfilter.side import Side, deep
from ruleflow.ruleset.ir import Chain, Ruleset, Table


class Without:
    """Compares a table of a side with itself without some rules, from every hook."""

    def __init__(self, side: Side, table: Table, base: Iterable[Key] = ()) -> None:
        self.side, self.table, self.base = side, table, frozenset(base)
        self._before: dict[str, int] | None = None

    def same(self, keys: Iterable[Key]) -> bool:
        """Whether taking out ``keys``, beside those of ``base``, changes nothing for any packet."""
        if self._before is None:
            self._before = self._fates(self.base)
        return self._fates(self.base | frozenset(keys)) == self._before

    def _fates(self, keys: frozenset[Key]) -> dict[str, int]:
        rules = without(self.side.ruleset, self.table.name, keys)
        side = Side(self.side.space, rules)
        with deep():
            return {
                chain.name: self.side.diagrams.both(
                    entering(self.side, self.table.name, chain.name), side.hook(self.table.name, chain.name)
                )
                for chain in self.table
                if chain.policy is not None
            }


def without(rules: Ruleset, table: str, keys: frozenset[Key]) -> Ruleset:
    """The rule set without some rules of a table."""
    kept = tuple(_table(each, keys) if each.name == table else each for each in rules.tables)
    return Ruleset(rules.family, kept)


def _table(table: Table, keys: frozenset[Key]) -> Table:
    return msgspec.structs.replace(table, chains=tuple(_chain(chain, keys) for chain in table.chains))


def _chain(chain: Chain, keys: frozenset[Key]) -> Chain:
    kept = tuple(rule for n, rule in enumerate(chain.rules) if (chain.name, n) not in keys)
    return chain if len(kept) == len(chain.rules) else msgspec.structs.replace(chain, rules=kept)
