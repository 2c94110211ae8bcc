"""What is linted: one rule set with its text, and what else is known: the other family, the host, its files."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ruleflow.analysis.chains import Calls, calls
from ruleflow.analysis.findings import EXACT, Code, Edit, Finding, Mark
from ruleflow.analysis.lint.reached import Reached
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Chain, Opaque, Rule, RuleRef, Ruleset, Table


class Case(msgspec.Struct, frozen=True, dict=True):
    """``lines`` are the text ``rules`` were read from (empty: no text); ``others`` further rule sets of the same host."""

    rules: Ruleset
    source: str = ""
    lines: tuple[str, ...] = ()
    document: Document | None = None
    others: tuple[Ruleset, ...] = ()
    host: Host | None = None
    native: tuple[tuple[str, str], ...] = ()
    """Rules of nftables itself in iptables' chains, as chain and text."""
    legacy: tuple[Ruleset, ...] = ()
    """Rules in the other backend."""
    most: int = 5_000_000
    """How many diagrams may be made; rules that nobody can decide may want more than any machine has (`TooManyError`)."""

    @functools.cached_property
    def side(self) -> Side:
        """The rule set's diagrams."""
        space = Space([self.rules])
        space.diagrams.most = self.most
        return Side(space, self.rules)

    def reached(self, table: str) -> Reached:
        """Which rules of a table are met, remembered."""
        known: dict[str, Reached] = self.__dict__.setdefault("_reached", {})
        if table not in known:
            known[table] = Reached(self.side, self.rules[table])
        return known[table]

    def calls(self, table: str) -> Calls:
        """Which chains of a table call which, remembered."""
        known: dict[str, Calls] = self.__dict__.setdefault("_calls", {})
        if table not in known:
            known[table] = calls(self.rules[table])
        return known[table]

    # -- places ---------------------------------------------------------------------------------------------

    def each(self) -> Iterator[tuple[RuleRef, Rule]]:
        """Every rule with its place."""
        return self.rules.rules()

    def mark(self, ref: RuleRef, label: str = "", words: str = "") -> Mark:
        """The line of a rule; with ``words`` only that part of it, where the line has it."""
        text = self.text_of(ref.line)
        if ref.line is None or not text:
            return Mark(label=label, ref=ref)
        at = text.find(words) if words else -1
        if at >= 0:
            return Mark(ref.line, at + 1, len(words), label, ref)
        start = len(text) - len(text.lstrip())
        return Mark(ref.line, start + 1, len(text.strip()), label, ref)

    def chain_mark(self, table: Table, chain: Chain, label: str = "") -> Mark:
        """The line that declares a chain."""
        text = self.text_of(chain.line)
        return Mark(chain.line or 0, 1, len(text), label, RuleRef(table.name, chain.name, 0, chain.line))

    def text_of(self, line: int | None) -> str:
        """A line of the text, counted from 1."""
        return self.lines[line - 1] if line is not None and 0 < line <= len(self.lines) else ""

    def ref(self, table: str, chain: str, index: int) -> RuleRef:
        """The place of a rule, ``index`` from 0."""
        return RuleRef(table, chain, index + 1, self.rules[table][chain].rules[index].line)

    def named(self, ref: RuleRef) -> str:
        """A rule in a sentence: by its line, else by its place."""
        return f"line {ref.line}" if ref.line is not None else f"{ref.table} {ref.chain} {ref.index}"

    # -- findings -------------------------------------------------------------------------------------------

    def finding(
        self,
        code: Code,
        ref: RuleRef,
        message: str,
        label: str = "",
        *,
        others: Sequence[Mark] = (),
        notes: Sequence[str] = (),
        help: str = "",  # noqa: A002 - the word the reader sees
        strength: str = EXACT,
        removable: bool = False,
        severity: str | None = None,
        words: str = "",
    ) -> Finding:
        """A finding about a rule."""
        rule: Any = self.rules.rule(ref) if ref.index else None
        if ref.index:
            primary, text = self.mark(ref, label, words), str(rule)
        else:
            primary = self.chain_mark(self.rules[ref.table], self.rules[ref.table][ref.chain], label)
            text = f":{ref.chain}"
        edit = (
            Edit(ref.line)
            if removable and ref.line is not None and self.text_of(ref.line).lstrip().startswith(("-A", "["))
            else None
        )
        return Finding(
            code=code.code, severity=severity or code.severity, message=message, strength=strength, primary=primary,
            others=tuple(others), notes=tuple(notes), help=help, text=text, edit=edit,
        )  # fmt: skip

    def assumed(self, table: str) -> str:
        """How sure sets make a finding in a table: targets that nobody knows may change what later rules read."""
        known: dict[str, str] = self.__dict__.setdefault("_assumed", {})
        if table not in known:
            unknown = next(
                (
                    rule.target
                    for chain in self.rules[table]
                    for rule in chain.rules
                    if isinstance(rule.target, Opaque)
                ),
                None,
            )
            sure = unknown is None
            known[table] = EXACT if sure else f"under assumption that {unknown} leaves packets as they are"
        return known[table]
