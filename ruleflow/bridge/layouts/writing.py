"""Rules written one after the other, as a tool would call iptables; what stands there in the end is the rule set."""

from collections.abc import Iterator

from ruleflow.ruleset.ir import BUILTIN_CHAINS, SAVE_ORDER, Chain, Rule, Ruleset, Table


class Writing:
    """The rules of one family while they are written, each as iptables-save prints it: ``-A CHAIN …``.

    `ruleset` reads them with the reader of dumps, so what a layout writes is checked like anybody's text; who gives the text
    to the real restore (`chains`) has it checked there.
    """

    def __init__(self, family: int) -> None:
        self.family = family
        self._tables: dict[str, dict[str, list[str]]] = {}
        self._known: dict[tuple[str, str], set[str]] = {}
        self._policies: dict[tuple[str, str], str] = {}

    def table(self, name: str) -> None:
        """The table is there, with the chains that hooks call."""
        if name not in self._tables:
            self._tables[name] = {chain: [] for chain in BUILTIN_CHAINS[name]}

    def chain(self, table: str, name: str) -> None:
        """A chain of our own."""
        self._chains(table).setdefault(name, [])

    def policy(self, table: str, chain: str, policy: str) -> None:
        """What becomes of a packet that no rule of a built-in chain decides."""
        self.table(table)
        self._policies[table, chain] = policy

    def append(self, table: str, text: str) -> None:
        """At the end of its chain, unless the rule stands there already (``iptables -C … || iptables -A …``)."""
        rules, known = self._place(table, text)
        if text not in known:
            rules.append(text)
            known.add(text)

    def insert(self, table: str, text: str) -> None:
        """On top of its chain, unless the rule stands there already; ``text`` begins with ``-A`` all the same."""
        rules, known = self._place(table, text)
        if text not in known:
            rules.insert(0, text)
            known.add(text)

    def on_top(self, table: str, text: str) -> None:
        """On top of its chain, taken away first where it stands elsewhere."""
        rules, known = self._place(table, text)
        if text in known:
            rules.remove(text)
        rules.insert(0, text)
        known.add(text)

    def chains(self) -> Iterator[tuple[str, str, str | None, tuple[str, ...]]]:
        """What stands there now: table, chain, policy (None for a chain of our own) and rules, in iptables-save's order."""
        for table in (name for name in SAVE_ORDER if name in self._tables):
            chains, builtin = self._tables[table], BUILTIN_CHAINS[table]
            for name in (*builtin, *sorted(set(chains) - set(builtin))):
                policy = self._policies.get((table, name), "ACCEPT") if name in builtin else None
                yield table, name, policy, tuple(chains[name])

    def ruleset(self) -> Ruleset:
        """The same as a rule set."""
        tables: dict[str, list[Chain]] = {}
        for table, name, policy, rules in self.chains():
            chain = Chain(name, policy, tuple(self._rule(text) for text in rules))
            tables.setdefault(table, []).append(chain)
        return Ruleset(self.family, tuple(Table(name, tuple(chains)) for name, chains in tables.items()))

    def _chains(self, table: str) -> dict[str, list[str]]:
        self.table(table)
        return self._tables[table]

    def _place(self, table: str, text: str) -> tuple[list[str], set[str]]:
        chain = text.split(" ", 2)[1]
        return self._chains(table)[chain], self._known.setdefault((table, chain), set())

    def _rule(self, text: str) -> Rule:
        from ruleflow.ruleset.shape import reader

        (line,) = reader(self.family).read(text)
        assert line.rule is not None
        return line.rule
