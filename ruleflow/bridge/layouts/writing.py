"""Rules written one after the other, as a tool would call iptables; what stands there in the end is the rule set."""

from ruleflow.ruleset.ir import BUILTIN_CHAINS, SAVE_ORDER, Chain, Rule, Ruleset, Table
from ruleflow.ruleset.shape import reader


class Writing:
    """The rules of one family while they are written.

    A rule is given as iptables-save prints it, ``-A CHAIN …``, and is read by the reader that reads dumps: what a layout
    writes is checked like anybody's text.
    """

    def __init__(self, family: int) -> None:
        self.family = family
        self._tables: dict[str, dict[str, list[Rule]]] = {}
        self._known: dict[tuple[str, str], set[Rule]] = {}
        self._policies: dict[tuple[str, str], str] = {}

    def table(self, name: str) -> None:
        """The table is there, with the chains that hooks call."""
        self._tables.setdefault(name, {chain: [] for chain in BUILTIN_CHAINS[name]})

    def chain(self, table: str, name: str) -> None:
        """A chain of our own."""
        self._chains(table).setdefault(name, [])

    def policy(self, table: str, chain: str, policy: str) -> None:
        """What becomes of a packet that no rule of a built-in chain decides."""
        self.table(table)
        self._policies[table, chain] = policy

    def append(self, table: str, text: str) -> None:
        """At the end of its chain, unless the rule stands there already (``iptables -C … || iptables -A …``)."""
        rule, rules, known = self._place(table, text)
        if rule not in known:
            rules.append(rule)
            known.add(rule)

    def insert(self, table: str, text: str) -> None:
        """On top of its chain, unless the rule stands there already; ``text`` begins with ``-A`` all the same."""
        rule, rules, known = self._place(table, text)
        if rule not in known:
            rules.insert(0, rule)
            known.add(rule)

    def on_top(self, table: str, text: str) -> None:
        """On top of its chain, taken away first where it stands elsewhere."""
        rule, rules, known = self._place(table, text)
        if rule in known:
            rules.remove(rule)
        rules.insert(0, rule)
        known.add(rule)

    def ruleset(self) -> Ruleset:
        """What stands there now, tables and chains in the order iptables-save prints them."""
        return Ruleset(self.family, tuple(self._table(name) for name in SAVE_ORDER if name in self._tables))

    def _table(self, name: str) -> Table:
        chains = self._tables[name]
        builtin = BUILTIN_CHAINS[name]
        names = (*builtin, *sorted(set(chains) - set(builtin)))
        return Table(name, tuple(self._chain(name, chain, builtin) for chain in names))

    def _chain(self, table: str, name: str, builtin: tuple[str, ...]) -> Chain:
        policy = self._policies.get((table, name), "ACCEPT") if name in builtin else None
        return Chain(name, policy, tuple(self._tables[table][name]))

    def _chains(self, table: str) -> dict[str, list[Rule]]:
        self.table(table)
        return self._tables[table]

    def _place(self, table: str, text: str) -> tuple[Rule, list[Rule], set[Rule]]:
        rule = self._rule(text)
        return rule, self._chains(table)[rule.chain], self._known.setdefault((table, rule.chain), set())

    def _rule(self, text: str) -> Rule:
        lines = reader(self.family).read(text)
        rule = lines[0].rule
        assert len(lines) == 1
        assert rule is not None
        return rule
