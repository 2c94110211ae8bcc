"""One rule set, or two laid over each other, as chains of marked rules: what was added, what was removed."""

from collections.abc import Iterator
from difflib import SequenceMatcher

import msgspec

from ruleflow.ruleset.ir import Chain, Rule, RuleRef, Ruleset


class Entry(msgspec.Struct, frozen=True):
    """A rule, its place, and ``added``, ``removed`` or nothing."""

    rule: Rule
    ref: RuleRef
    mark: str = ""


class Merged(msgspec.Struct, frozen=True):
    """A chain of one or both rule sets; ``was`` is the policy before, where it changed."""

    table: str
    name: str
    policy: str | None
    entries: tuple[Entry, ...] = ()
    mark: str = ""
    was: str | None = None
    line: int | None = None


Tables = dict[str, dict[str, Merged]]


def alone(rules: Ruleset) -> Tables:
    """The chains of one rule set, nothing marked."""
    return {table.name: {chain.name: _whole(table.name, chain, "") for chain in table} for table in rules}


def laid_over(before: Ruleset, after: Ruleset) -> Tables:
    """The chains of both: those only in ``after`` are added, those only in ``before`` removed, and so their rules."""
    names = [table.name for table in after]
    names += [table.name for table in before if table.name not in after]
    return {name: _table(name, before, after) for name in names}


def _table(name: str, before: Ruleset, after: Ruleset) -> dict[str, Merged]:
    old = before[name].by_name if name in before else {}
    new = after[name].by_name if name in after else {}
    found = {
        chain.name: _both(name, old[chain.name], chain) if chain.name in old else _whole(name, chain, "added")
        for chain in new.values()
    }
    found |= {chain.name: _whole(name, chain, "removed") for chain in old.values() if chain.name not in new}
    return found


def _whole(table: str, chain: Chain, mark: str) -> Merged:
    return Merged(
        table, chain.name, chain.policy, tuple(_entries(table, chain, mark)), mark, None, chain.line
    )


def _entries(table: str, chain: Chain, mark: str) -> Iterator[Entry]:
    for index, rule in enumerate(chain.rules, 1):
        yield Entry(rule, RuleRef(table, chain.name, index, rule.line), mark)


def _both(table: str, old: Chain, new: Chain) -> Merged:
    gone, come = list(_entries(table, old, "removed")), list(_entries(table, new, "added"))
    same = list(_entries(table, new, ""))
    entries: list[Entry] = []
    matcher = SequenceMatcher(
        None, [str(e.rule) for e in gone], [str(e.rule) for e in come], autojunk=len(gone) > 2000
    )
    for tag, a, b, c, d in matcher.get_opcodes():
        entries += same[c:d] if tag == "equal" else (*gone[a:b], *come[c:d])
    was = old.policy if old.policy != new.policy else None
    return Merged(table, new.name, new.policy, tuple(entries), "", was, new.line)
