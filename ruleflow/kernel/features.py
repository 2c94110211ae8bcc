"""Which features of rules decided about a packet.

A feature decided where a rule with it matched, where its condition was the first of a rule to fail, or where the packet was
translated as the connection's first packet was by a rule with it. Of a packet itself: its way, and what it is in its conversation.
"""

import re
from collections.abc import Iterator

from ruleflow.netfilter.steps import ChainStep, NatStep, RuleStep, Walk
from ruleflow.ruleset.ir import Goto, Jump, Rule, Ruleset

CONDITIONS = {
    "address": r"^(! )?-[sd] ", "interface": r"^(! )?-[io] ", "protocol": r"^(! )?-p ", "ports": r"--[sd]port ",
    "multiport": r"-m multiport", "iprange": r"-m iprange", "addrtype": r"-m addrtype", "ctstate": r"--ctstate",
    "ctorigdst": r"--ctorigdst ", "ctorigdstport": r"--ctorigdstport", "ctorigsrc, ctreplsrc, ctrepldst": r"--ct(origsrc|repl)",
    "ctdir": r"--ctdir", "ctstatus": r"--ctstatus", "mark": r"-m mark", "connmark": r"-m connmark", "ttl or hl": r"-m (ttl|hl)",
    "dscp": r"-m dscp", "tos": r"-m tos", "length": r"-m length", "tcp flags": r"--tcp-flags|--syn", "icmp type": r"-m icmp6?",
    "owner": r"-m owner", "negation": r"(^| )! ",
}  # fmt: skip
TARGETS = {
    "RETURN": r"RETURN", "MARK": r"MARK", "CONNMARK set": r"CONNMARK --set", "CONNMARK save": r"CONNMARK --save",
    "CONNMARK restore": r"CONNMARK --restore", "TTL or HL": r"(TTL|HL) ", "DSCP": r"DSCP", "TOS": r"TOS",
    "NOTRACK or CT": r"NOTRACK|CT ", "DNAT": r"DNAT", "DNAT to a range": r"DNAT .*\d-|DNAT .*[0-9a-f]-[0-9a-f]",
    "DNAT with shifted ports": r"DNAT .*/\d+", "random ports": r".*--random", "SNAT": r"SNAT", "MASQUERADE": r"MASQUERADE",
    "REDIRECT": r"REDIRECT", "NETMAP": r"NETMAP", "REJECT": r"REJECT", "tcp-reset": r"REJECT .*tcp-reset", "ACCEPT": r"ACCEPT",
    "DROP": r"DROP",
}  # fmt: skip
TABLES = ("raw", "mangle", "nat", "filter", "security")
CHAINS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
OTHERS = (
    "jump", "goto", "user chain's end", "policy DROP", "packet in", "packet out", "packet through",
    "packet first", "packet again", "packet reply", "packet error",
)  # fmt: skip
ALL = (*CONDITIONS, *TARGETS, *(f"table {name}" for name in TABLES), *OTHERS)
"""Every feature that is counted."""


class RuleFeatures:
    """The features of a rule set's rules, found once for each rule."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.rules = {(ref.table, ref.chain, ref.index): rule for ref, rule in ruleset.rules()}
        self._known: dict[
            tuple[str, str, int], tuple[list[tuple[tuple[object, ...], frozenset[str]]], frozenset[str]]
        ] = {}

    def decided(self, walk: Walk) -> Iterator[str]:
        """The features that decided in a walk."""
        for step in walk.steps:
            if isinstance(step, RuleStep):
                yield f"table {step.ref.table}"
                yield from self._of_step(step)
            elif isinstance(step, ChainStep) and step.event in ("end", "policy"):
                if step.event == "end":
                    yield "user chain's end"
                elif step.verdict == "DROP":
                    yield "policy DROP"

    def of_rule(self, place: tuple[str, str, int]) -> frozenset[str]:
        """All features of a rule's target."""
        return self._of(place)[1]

    def _of_step(self, step: RuleStep) -> Iterator[str]:
        matches, target = self._of((step.ref.table, step.ref.chain, step.ref.index))
        if step.answer == "no":
            for conditions, names in matches:
                if any(step.condition is one for one in conditions):
                    yield from names
                    return
            return
        for _, names in matches:
            yield from names
        yield from target

    def _of(
        self, place: tuple[str, str, int]
    ) -> tuple[list[tuple[tuple[object, ...], frozenset[str]]], frozenset[str]]:
        found = self._known.get(place)
        if found is None:
            found = self._known[place] = _features(self.rules[place])
        return found


def _features(rule: Rule) -> tuple[list[tuple[tuple[object, ...], frozenset[str]]], frozenset[str]]:
    every = list(rule.conditions())
    matches: list[tuple[tuple[object, ...], frozenset[str]]] = []
    for match in rule.matches:
        own = tuple(every[: len(match.conditions())])
        del every[: len(own)]
        words = str(match)
        matches.append(
            (own, frozenset(name for name, pattern in CONDITIONS.items() if re.search(pattern, words)))
        )
    return matches, frozenset(_target_features(rule))


def _target_features(rule: Rule) -> Iterator[str]:
    if isinstance(rule.target, Jump):
        yield "jump"
    elif isinstance(rule.target, Goto):
        yield "goto"
    elif rule.target is not None:
        words = str(rule.target).removeprefix("-j ")
        yield from (name for name, pattern in TARGETS.items() if re.match(pattern, words))


def is_translated(walk: Walk) -> bool:
    """Whether the packet was translated without a rule being asked."""
    return any(isinstance(step, NatStep) and step.changes for step in walk.steps)
