"""Which chain calls which: the order a packet meets them, which are never reached and which rules never asked."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from ruleflow.ruleset.condition import Condition, Never, Undecided
from ruleflow.ruleset.effect import Back, Stop
from ruleflow.ruleset.ir import Chain, Goto, Jump, Opaque, Rule, RuleRef, Table

PATH: tuple[tuple[str, str], ...] = (
    ("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("nat", "PREROUTING"),
    ("mangle", "INPUT"), ("filter", "INPUT"), ("security", "INPUT"), ("nat", "INPUT"),
    ("mangle", "FORWARD"), ("filter", "FORWARD"), ("security", "FORWARD"),
    ("raw", "OUTPUT"), ("mangle", "OUTPUT"), ("nat", "OUTPUT"), ("filter", "OUTPUT"), ("security", "OUTPUT"),
    ("mangle", "POSTROUTING"), ("nat", "POSTROUTING"),
)  # fmt: skip
"""Tables and hooks in the order a packet meets them, those for this host before those passing through
(hook priorities of <linux/netfilter_ipv4.h>: raw -300, mangle -150, nat -100, filter 0, security 50, nat 100)."""

HOOKS = frozenset(hook for _, hook in PATH)


class Calls(msgspec.Struct):
    """The call graph of one table: ``callers`` by chain, and the hooks each chain is reached from."""

    table: Table
    callers: dict[str, list[RuleRef]]
    hooks: dict[str, frozenset[str]]


def calls(table: Table) -> Calls:
    """Who jumps to whom in a table, rules that are never asked left out of ``hooks`` but not of ``callers``."""
    callers: dict[str, list[RuleRef]] = defaultdict(list)
    for chain in table:
        for index, rule in enumerate(chain.rules, 1):
            called = callee(rule)
            if called is not None:
                callers[called].append(RuleRef(table.name, chain.name, index, rule.line))
    return Calls(table, dict(callers), _hooks(table))


def callee(rule: Rule) -> str | None:
    """The chain that a rule jumps or goes to."""
    return rule.target.chain if isinstance(rule.target, Jump | Goto) else None


def _hooks(table: Table) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for chain in table:
        if chain.policy is not None:
            waiting = [chain.name]
            while waiting:
                name = waiting.pop()
                if chain.name in found[name] or name not in table:
                    continue
                found[name].add(chain.name)
                waiting += _called(table[name])
    return {name: frozenset(hooks) for name, hooks in found.items()}


def _called(chain: Chain) -> Iterator[str]:
    for rule in chain.rules:
        called = callee(rule)
        if called is not None:
            yield called
        if unconditional(rule) and (decides(rule) or isinstance(rule.target, Goto)):
            return


def unconditional(rule: Rule) -> bool:
    """Whether every packet meets the rule: it has no matches, or only comments."""
    return all(not isinstance(match, Opaque) and match.name == "comment" for match in rule.matches)


def decides(rule: Rule) -> bool:
    """Whether no later rule of the chain sees the packets of this one: a verdict, or back to the caller."""
    target = rule.target
    if target is None or isinstance(target, Jump | Goto | Opaque):
        return isinstance(target, Goto)
    return isinstance(target.effects().then, Stop | Back)


def sends_back(rule: Rule) -> bool:
    """Whether the rule is a RETURN."""
    target = rule.target
    return not isinstance(target, Jump | Goto | Opaque | None) and isinstance(target.effects().then, Back)


def always_decides(table: Table, name: str, depth: int = 0) -> bool:
    """Whether a chain gives every packet a verdict, as far as is simply seen: it ends in one, and sends none back.

    A RETURN or goto inside of a chain that it jumps to does no harm: what comes back from there goes on here.
    """
    if name not in table or depth > 8:
        return False
    for rule in table[name].rules:
        if isinstance(rule.target, Jump | Goto):
            decided = (unconditional(rule) or isinstance(rule.target, Goto)) and always_decides(
                table, rule.target.chain, depth + 1
            )
            if isinstance(rule.target, Goto) and not decided:
                return False  # what the other chain leaves undecided goes to the caller, not on here
            if decided and unconditional(rule):
                return True
            continue
        then = None if rule.target is None else rule.target.effects().then
        if isinstance(then, Back):
            return False
        if unconditional(rule) and isinstance(then, Stop):
            return True
    return False


def never_asked(table: Table, chain: Chain) -> dict[int, str]:
    """Rules (by index from 1) that no packet reaches, as far as is simply seen, each with the reason."""
    found: dict[int, str] = {}
    taker: tuple[int, Rule] | None = None
    seen: dict[tuple[object, ...], tuple[int, Rule]] = {}
    for index, rule in enumerate(chain.rules, 1):
        if taker is not None:
            found[index] = f"never reached: {_place(*taker)} takes everything"
            continue
        if rule.matches and (same := seen.get(_key(rule))) is not None:
            found[index] = f"never decides anything: {_place(*same)} takes these packets first"
        if unconditional(rule) and (decides(rule) or _calls_decider(table, rule)):
            taker = index, rule
        elif decides(rule) and _lasting(rule):
            seen.setdefault(_key(rule), (index, rule))
    return found


def _calls_decider(table: Table, rule: Rule) -> bool:
    return isinstance(rule.target, Jump) and always_decides(table, rule.target.chain)


def _key(rule: Rule) -> tuple[object, ...]:
    return tuple(match for match in rule.matches if isinstance(match, Opaque) or match.name != "comment")


def _place(index: int, rule: Rule) -> str:
    return f"line {rule.line}" if rule.line is not None else f"rule {index}"


_STEADY = frozenset(
    {"", "tcp", "udp", "multiport", "icmp", "icmp6", "iprange", "addrtype", "conntrack", "state", "comment"}
)
"""Matches that give one packet the same answer at every rule of a chain: no memory, no mark that may change between."""


def _lasting(rule: Rule) -> bool:
    return all(
        not isinstance(m, Opaque) and m.name in _STEADY and _sure(m.conditions()) for m in rule.matches
    )


def _sure(conditions: tuple[Condition, ...]) -> bool:
    return not any(isinstance(condition, Undecided | Never) for condition in conditions)
