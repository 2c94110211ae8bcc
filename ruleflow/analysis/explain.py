"""A rule set told in sentences: chain by chain in the order a packet meets them, and why each rule is there."""

from collections.abc import Iterator

import msgspec

import ruleflow
from ruleflow.analysis import chains, idioms, sentences
from ruleflow.analysis.chains import PATH, Calls
from ruleflow.analysis.explanation import ChainSaid, Claim, Explained, Explanation, Phrase, RuleSaid, Summary
from ruleflow.analysis.short import in_short
from ruleflow.analysis.spans import Spans
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Chain, Rule, RuleRef, Ruleset, Table

SCHEMA = "ruleflow.explain/1"


def explain(document: Document, *, spans: bool = False) -> Explanation:
    """All rule sets of ``document`` in sentences.

    ``spans``: each phrase says where in the source it stands (this costs time on large dumps).
    """
    whole = any(rules_line.lstrip().startswith("*") for rules_line in document.text.split("\n"))
    source = Spans(document.text) if spans else None
    return Explanation(
        SCHEMA,
        ruleflow.__version__,
        tuple(
            explain_ruleset(rules, document.source, spans=source, whole=whole) for rules in document.rulesets
        ),
        tuple(str(notice) for notice in (*document.warnings, *document.errors)),
    )


def explain_ruleset(
    rules: Ruleset, source: str = "<rules>", *, spans: Spans | None = None, whole: bool = True
) -> Explained:
    """One rule set in sentences. ``whole`` is false for loose commands, whose chains and policies are not all known."""
    known = idioms.recognise(rules)
    teller = _Teller(rules, known, spans, whole=whole)
    told = tuple(teller.chains())
    return Explained(
        source,
        rules.family,
        _counts(rules),
        (*in_short(rules), *_made_by(known.made)) if whole else (),
        told,
        tuple(teller.notes()) if whole else (),
    )


def _made_by(made: tuple[str, ...]) -> tuple[Summary, ...]:
    return (Summary("Seems made by", made),) if made else ()


def _counts(rules: Ruleset) -> str:
    tables = len(rules.tables)
    chain_count = sum(len(table.chains) for table in rules)
    count = sum(len(chain.rules) for table in rules for chain in table)
    return f"{_several(tables, 'table')}, {_several(chain_count, 'chain')}, {_several(count, 'rule')}"


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


class _Teller:
    """Tells the chains of one rule set."""

    def __init__(self, rules: Ruleset, known: idioms.Recognised, spans: Spans | None, *, whole: bool) -> None:
        self.rules, self.spans, self.whole = rules, spans, whole
        self.calls: dict[str, Calls] = {table.name: chains.calls(table) for table in rules}
        self.why: dict[tuple[str, str, int], Claim] = {}
        for claim in known.claims:
            for ref in claim.about:
                self.why.setdefault((ref.table, ref.chain, ref.index), claim)
        self.owners = known.owners
        self.told: set[tuple[str, str]] = set()

    def chains(self) -> Iterator[ChainSaid]:
        """Every chain that has something to say, called chains behind the one that calls them first."""
        for name, hook in PATH:
            if name in self.rules and hook in self.rules[name] and self._speaks(self.rules[name][hook]):
                yield from self._from(self.rules[name], hook)
        for table in self.rules:
            for left in table:
                if (table.name, left.name) not in self.told and left.rules:
                    yield from self._from(table, left.name)

    def _speaks(self, chain: Chain) -> bool:
        return bool(chain.rules) or (self.whole and chain.policy == "DROP")

    def _from(self, table: Table, name: str) -> Iterator[ChainSaid]:
        """A chain and those it calls, each once, depth first (a stack of its own: dumps may nest deep)."""
        waiting = [name]
        while waiting:
            name = waiting.pop()
            if name not in table or (table.name, name) in self.told:
                continue
            self.told.add((table.name, name))
            yield self._chain(table, table[name])
            called = [chains.callee(rule) for rule in table[name].rules]
            waiting += [chain for chain in reversed(called) if chain is not None]

    # -- one chain --------------------------------------------------------------------------------------

    def _chain(self, table: Table, chain: Chain) -> ChainSaid:
        calls = self.calls[table.name]
        unasked = chains.never_asked(table, chain)
        callers = tuple(calls.callers.get(chain.name, ()))
        hooks = calls.hooks.get(chain.name, frozenset())
        said = tuple(
            self._rule(table, chain, hooks, index, rule, unasked.get(index, ""))
            for index, rule in enumerate(chain.rules, 1)
        )
        return ChainSaid(
            table.name, chain.name, _about(table, chain, calls), said, self._rest(table, chain),
            self.why.get((table.name, chain.name, 0)), chain.policy, chain.line, callers,
            self.owners.get((table.name, chain.name), ""),
        )  # fmt: skip

    def _rule(
        self, table: Table, chain: Chain, hooks: frozenset[str], index: int, rule: Rule, note: str
    ) -> RuleSaid:
        ref = RuleRef(table.name, chain.name, index, rule.line)
        who, who_pieces = sentences.who(rule)
        does, does_pieces = sentences.does(rule, table.name, hooks, chain.policy)
        return RuleSaid(
            ref, who, does, self._phrases(rule, who_pieces), self._phrases(rule, does_pieces), sentences.comments(rule),
            rule.counters, chains.callee(rule), note, self.why.get((table.name, chain.name, index)),
        )  # fmt: skip

    def _phrases(self, rule: Rule, pieces: tuple[sentences.Piece, ...]) -> tuple[Phrase, ...]:
        return self.spans.phrases(rule, pieces) if self.spans is not None else ()

    def _rest(self, table: Table, chain: Chain) -> str:
        """What happens to what no rule decides, where that can happen."""
        if chain.policy is None or not self.whole or chains.always_decides(table, chain.name):
            return ""
        if chain.policy == "DROP":
            return "drop"
        return (
            sentences.accepts(table.name, frozenset({chain.name}))
            if table.name in ("filter", "security")
            else ""
        )

    # -- what is true of the whole ----------------------------------------------------------------------

    def notes(self) -> Iterator[str]:
        """Chains that do nothing: no rules, no callers, or callers that are never asked themselves."""
        for table in self.rules:
            hooks = self.calls[table.name].hooks
            callers = self.calls[table.name].callers
            mine = [chain for chain in table if chain.policy is None and chain.name not in hooks]
            unused = [chain.name for chain in mine if chain.name not in callers]
            unreached = [chain.name for chain in mine if chain.name in callers]
            if unused:
                yield f"{table.name}: nothing jumps to {_listed(unused)}, so no packet meets {_pronoun(unused)}"
            if unreached:
                yield (
                    f"{table.name}: no packet reaches {_listed(unreached)}: what jumps there is itself never asked"
                )
        silent = [
            f"{t} {c}" for t, c in PATH if t in self.rules and c in self.rules[t] and self._silent(t, c)
        ]
        if silent:
            yield f"without rules, so everything passes: {', '.join(silent)}"

    def _silent(self, table: str, chain: str) -> bool:
        return not self._speaks(self.rules[table][chain])


def _pronoun(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


_ABOUT = {
    ("raw", "PREROUTING"): "all that arrives, before connections are looked up",
    ("raw", "OUTPUT"): "all that this host sends, before connections are looked up",
    ("mangle", "PREROUTING"): "all that arrives, before it is routed",
    (
        "nat",
        "PREROUTING",
    ): "the first packet of each connection that arrives; its destination may change here",
    ("nat", "INPUT"): "the first packet of each connection to this host; its source may change here",
    ("nat", "OUTPUT"): "the first packet of each connection from this host; its destination may change here",
    ("nat", "POSTROUTING"): "the first packet of each connection about to leave; its source may change here",
    ("mangle", "POSTROUTING"): "all that is about to leave",
}
_BY_HOOK = {
    "PREROUTING": "all that arrives",
    "INPUT": "packets for this host",
    "FORWARD": "packets passing through this host",
    "OUTPUT": "packets that this host sends",
    "POSTROUTING": "all that is about to leave",
}


def _about(table: Table, chain: Chain, calls: Calls) -> str:
    """What meets the chain: for one that a hook calls the packets, for another its callers."""
    if chain.policy is not None or chain.name in _BY_HOOK:
        return _ABOUT.get((table.name, chain.name), _BY_HOOK.get(chain.name, ""))
    callers = calls.callers.get(chain.name, [])
    about = f"used by {_listed([_caller(ref) for ref in callers], 4)}" if callers else "nothing jumps here"
    if callers and chain.name not in calls.hooks:
        about += ", none of which is ever asked"
    return f"{about}; {_empty(chain)}" if _empty(chain) else about


def _caller(ref: RuleRef) -> str:
    return f"{ref.chain} {ref.index}"


def _empty(chain: Chain) -> str:
    if not chain.rules:
        return "it has no rules and decides nothing"
    first = chain.rules[0]
    if len(chain.rules) == 1 and chains.unconditional(first) and chains.sends_back(first):
        return "it decides nothing"
    return ""


def narrowed(
    explanation: Explanation, *, table: str | None = None, chain: str | None = None, depth: int | None = None
) -> Explanation:
    """Only the chains of ``table`` and those that ``chain`` names, with what they call down to ``depth`` calls.

    Raises `RuleflowError` where there is no such table or chain that has something to say.
    """
    if table is None and chain is None and depth is None:
        return explanation
    tables = {said.table: None for told in explanation.rulesets for said in told.chains}
    if table is not None and table not in tables:
        raise _nothing_of(f"table {table!r}", list(tables))
    names = {
        said.name: None
        for told in explanation.rulesets
        for said in told.chains
        if table in (None, said.table)
    }
    if chain is not None and chain not in names:
        raise _nothing_of(f"chain {chain!r}", list(names))
    return msgspec.structs.replace(
        explanation,
        rulesets=tuple(_narrowed(told, table, chain, depth) for told in explanation.rulesets),
        host=(),
    )


def _nothing_of(what: str, names: list[str]) -> RuleflowError:
    return RuleflowError(
        f"there is no {what} with rules", help=f"there are: {_listed(names, 24)}" if names else None
    )


def _narrowed(told: Explained, table: str | None, chain: str | None, depth: int | None) -> Explained:
    mine = [said for said in told.chains if table in (None, said.table)]
    first = (
        [said for said in mine if said.name == chain] if chain else [said for said in mine if _is_root(said)]
    )
    kept = {(said.table, said.name) for said in first}
    by_name = {(said.table, said.name): said for said in mine}
    edge = list(kept)
    level = 0
    while edge and (depth is None or level < depth):
        called = {(t, rule.calls) for t, c in edge for rule in by_name[t, c].rules if rule.calls}
        edge = [key for key in called if key in by_name and key not in kept]
        kept.update(edge)
        level += 1
    return msgspec.structs.replace(
        told, short=(), notes=(), chains=tuple(said for said in mine if (said.table, said.name) in kept)
    )


def _is_root(said: ChainSaid) -> bool:
    return said.policy is not None or not said.callers
