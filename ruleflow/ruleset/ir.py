"""A rule set as values: tables of chains of rules, frozen, ordered, and printed as iptables-save prints them.

Order is meaning, so tuples. Counters, lines and comments take no part in equality: two rules are the same
when they print the same.
"""

import functools
from collections.abc import Iterable, Iterator

import msgspec

from ruleflow.ruleset.compiled import printer
from ruleflow.ruleset.condition import Condition, Decision, Facts, Undecided, decide
from ruleflow.ruleset.effect import CONTINUE, Effects, Fork
from ruleflow.ruleset.extension import Match, Target
from ruleflow.ruleset.matches.header import Header

BUILTIN_CHAINS: dict[str, tuple[str, ...]] = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""The chains that hooks call, by table, in the order iptables-save prints them (iptables(8), TABLES)."""


class Counters(msgspec.Struct, frozen=True, gc=False):
    """How many packets and bytes a rule or policy has seen."""

    packets: int
    bytes: int

    def __str__(self) -> str:
        return f"[{self.packets}:{self.bytes}]"


ZERO = Counters(0, 0)


class Opaque(msgspec.Struct, frozen=True, gc=False):
    """What the tables do not know, word for word: a match (or a whole rule) as ``-m name …``, or a target.

    ``text`` is kept as it stood; ``name`` is the extension's, where there is one.
    """

    text: str
    name: str = ""

    def __str__(self) -> str:
        return self.text

    def conditions(self) -> tuple[Condition, ...]:
        """One condition that nobody can decide."""
        return (Undecided(self.text, memory=True),)

    def decide(self, facts: Facts) -> Decision:
        """Always unknown."""
        return decide(self.conditions(), facts)

    def effects(self) -> Effects:
        """As a target: anything may happen."""
        return Effects((), Fork(f"what {self.text} does is not known", (CONTINUE,)))


class Jump(msgspec.Struct, frozen=True, gc=False):
    """``-j CHAIN``: the chain is asked; where it does not decide, the next rule is."""

    chain: str

    def __str__(self) -> str:
        return f"-j {self.chain}"


class Goto(msgspec.Struct, frozen=True, gc=False):
    """``-g CHAIN``: the chain is asked; where it does not decide, the caller's caller goes on."""

    chain: str

    def __str__(self) -> str:
        return f"-g {self.chain}"


class Rule(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One rule. ``target`` is None where it only counts; ``line`` counts from 1 in the text it was read from."""

    chain: str
    matches: tuple[Match | Opaque, ...] = ()
    target: Target | Jump | Goto | Opaque | None = None
    counters: Counters | None = None
    line: int | None = None
    comments: tuple[str, ...] = ()
    """Comment lines that stood above it."""

    def __str__(self) -> str:
        parts = [str(part) for part in (*self.matches, self.target) if part is not None]
        head = f"-A {chain_word(self.chain)}"
        return " ".join([head, *parts]) if parts else head

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return self.chain == other.chain and self.target == other.target and self.matches == other.matches

    def __ne__(self, other: object) -> bool:
        return not self == other  # a Struct with eq=False would compare identities here

    def __hash__(self) -> int:
        return hash((self.chain, self.matches, self.target))

    def conditions(self) -> tuple[Condition, ...]:
        """What all its matches ask, in order."""
        return tuple(condition for match in self.matches for condition in match.conditions())

    def decide(self, facts: Facts) -> Decision:
        """Whether a packet meets the rule: Yes, No with the first failing condition, or Unknown."""
        return decide(self.conditions(), facts)


class RuleRef(msgspec.Struct, frozen=True, order=True):
    """Where a rule stands: ``index`` counts from 1 in its chain, as iptables does."""

    table: str
    chain: str
    index: int
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.table} {self.chain} {self.index}"
        return f"{place} (line {self.line})" if self.line is not None else place


class Chain(msgspec.Struct, frozen=True, dict=True):
    """A chain: ``policy`` is ACCEPT or DROP for one that a hook calls, None for a user's chain."""

    name: str
    policy: str | None = None
    rules: tuple[Rule, ...] = ()
    counters: Counters | None = ZERO
    line: int | None = None
    comments: tuple[str, ...] = ()

    def __str__(self) -> str:
        counters = self.counters or ZERO
        return f":{self.name} {self.policy or '-'} [{counters.packets}:{counters.bytes}]"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chain):
            return NotImplemented
        return (self.name, self.policy, self.rules) == (other.name, other.policy, other.rules)

    def __hash__(self) -> int:
        return hash((self.name, self.policy, self.rules))


class Table(msgspec.Struct, frozen=True, dict=True):
    """A table: chains in order; ``before`` and ``after`` are the comment lines around it."""

    name: str
    chains: tuple[Chain, ...] = ()
    before: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    line: int | None = None

    def __getitem__(self, chain: str) -> Chain:
        return self.by_name[chain]

    def __contains__(self, chain: object) -> bool:
        return chain in self.by_name

    def __iter__(self) -> Iterator[Chain]:
        return iter(self.chains)

    @functools.cached_property
    def by_name(self) -> dict[str, Chain]:
        """The chains by name."""
        return {chain.name: chain for chain in self.chains}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table):
            return NotImplemented
        return (self.name, self.chains) == (other.name, other.chains)

    def __hash__(self) -> int:
        return hash((self.name, self.chains))

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in table_lines(self))


class Ruleset(msgspec.Struct, frozen=True, dict=True):
    """The tables of one family (4 or 6) of one network namespace.

    >>> Ruleset(4, (Table("filter", (Chain("INPUT", "DROP"),)),))["filter"]["INPUT"].policy
    'DROP'
    """

    family: int = 4
    tables: tuple[Table, ...] = ()

    def __getitem__(self, table: str) -> Table:
        return self.by_name[table]

    def __contains__(self, table: object) -> bool:
        return table in self.by_name

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)

    @functools.cached_property
    def by_name(self) -> dict[str, Table]:
        """The tables by name."""
        return {table.name: table for table in self.tables}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ruleset):
            return NotImplemented
        return (self.family, self.tables) == (other.family, other.tables)

    def __hash__(self) -> int:
        return hash((self.family, self.tables))

    def __str__(self) -> str:
        return "".join(str(table) for table in self.tables)

    def rules(self) -> Iterator[tuple[RuleRef, Rule]]:
        """Every rule with its place, in order."""
        for table in self.tables:
            for chain in table.chains:
                for index, rule in enumerate(chain.rules, 1):
                    yield RuleRef(table.name, chain.name, index, rule.line), rule

    def rule(self, ref: RuleRef) -> Rule:
        """The rule at a place. Raises KeyError or IndexError where there is none."""
        return self[ref.table][ref.chain].rules[ref.index - 1]


def chain_word(name: str) -> str:
    """A chain's name as a word; iptables-save writes it as it is, a blank in it included."""
    return name


def table_lines(table: Table, *, counters: bool = True) -> Iterator[str]:
    """The lines iptables-save prints for a table, comment lines around it included."""
    yield from table.before
    yield f"*{table.name}"
    for chain in table.chains:
        yield from chain.comments
        yield str(chain) if counters else f":{chain.name} {chain.policy or '-'} [0:0]"
    texts: dict[int, str] = {}  # by identity: equal parts are one object, and the table keeps them alive
    for chain in table.chains:
        yield from _rule_lines(chain, texts, counters)
        if len(texts) > 65536:
            texts.clear()
    yield from table.inside
    yield "COMMIT"
    yield from table.after


def _rule_lines(chain: Chain, texts: dict[int, str], counters: bool) -> list[str]:
    """The lines of a chain's rules; ``texts`` remembers what parts print."""
    head = f"-A {chain_word(chain.name)}"
    header = printer(Header)
    lines: list[str] = []
    for rule in chain.rules:
        text = head
        for part in rule.matches:
            if type(part) is Header:  # hardly ever the same twice
                text += " " + header(part)
                continue
            shown = texts.get(id(part))
            if shown is None:
                shown = texts[id(part)] = " " + printer(type(part))(part)
            text += shown
        target = rule.target
        if type(target) is Jump:  # no two are one object
            text += f" -j {target.chain}"
        elif target is not None:
            shown = texts.get(id(target))
            if shown is None:
                shown = texts[id(target)] = " " + printer(type(target))(target)
            text += shown
        if rule.comments:
            lines.extend(rule.comments)
        lines.append(f"{rule.counters} {text}" if counters and rule.counters is not None else text)
    return lines


SAVE_ORDER = ("raw", "mangle", "filter", "nat", "security")
"""The tables in the order iptables-nft-save prints them."""


def canonical_lines(
    rulesets: Iterable[Ruleset], *, counters: bool = True, sort_tables: bool = False
) -> Iterator[str]:
    """The lines iptables-save prints for several rule sets, one after the other."""
    rank = {name: index for index, name in enumerate(SAVE_ORDER)}
    for ruleset in rulesets:
        tables = ruleset.tables
        if sort_tables:
            tables = tuple(sorted(tables, key=lambda table: rank.get(table.name, len(rank))))
        for table in tables:
            yield from table_lines(table, counters=counters)
