"""RF2, second half: rules that packets meet and that change nothing: without them every packet would fare the same."""

from collections.abc import Iterator

from ruleflow.analysis.chains import callee
from ruleflow.analysis.findings import Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.needed import Needed
from ruleflow.analysis.lint.touch import numbers
from ruleflow.analysis.lint.without import Without
from ruleflow.errors import visible
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.side import deep
from ruleflow.ruleset.ir import Chain, Goto, Rule, Table

USELESS = Code(
    "RF202", "this rule changes nothing", "info",
    "Packets meet the rule, but what comes behind it does the same to all of them. (Rules that never match count as "
    "taken out already; where one of them would match without this rule, that is said. Where several rules are said to "
    "change nothing, each may be taken out alone; --fix proves which can go together.)",
    "Every packet pays for it, and whoever changes the rules behind it is surprised that it matters then.",
    "-A INPUT -s 192.0.2.1/32 -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
)  # fmt: skip
IDLE_CALL = Code(
    "RF205", "this call changes nothing", "info",
    "The rule calls a chain in which no packet that it sends there fares differently: it is empty, only sends packets "
    "back, or does what would happen anyway.",
    "Nothing, where a program keeps the chain for rules to come (DOCKER-USER, ufw-user-input). Else it is left over.",
    "-A INPUT -j OLD\n-A INPUT -j DROP\n-A OLD -j RETURN",
    "-A INPUT -j DROP",
)  # fmt: skip
CODES = (USELESS, IDLE_CALL)


_TRIALS = 40
"""Rules of a table that are really taken out, to see whether others that never match would match then; beyond, it is said."""


class _Alone:
    """Whether rules of a table may go while those that never match stay, which may match then."""

    def __init__(self, case: Case, table: Table) -> None:
        self.side, self.table, self.tried = case.side, table, 0
        self.reached = case.reached(table.name)
        self.hit = self.reached.hit
        self.without = Without(case.side, table)
        self._idle: dict[str, bool] = {}
        self._idle_callers: dict[str, bool] = {}

    def may_go(self, name: str, index: int) -> bool:
        """Whether nothing changes for any packet, whatever else stays."""
        with deep():
            if not self._may_wake(name, index):
                return True
        self.tried += 1
        return self.tried <= _TRIALS and self.without.same([(name, index)])

    def _may_wake(self, name: str, index: int) -> bool:
        """Whether the rule's packets may come to one that never matches: behind it in its chain, or where that was called."""
        if self.table.name not in _ONLY_DECIDE:
            return True
        rule = self.table[name].rules[index]
        called = callee(rule)
        if called is not None and not isinstance(rule.target, Goto) and self._only_returns(called):
            return False
        left = self._behind(name, index)
        returned = _target(rule) == "RETURN" or self.table[name].policy is not None
        return left is None or (left != NOTHING and not returned and self._callers_have_idle(name))

    def _behind(self, name: str, index: int) -> int | None:
        """The rule's packets that the rules behind it leave; None where one that never matches may get some."""
        diagrams, tree = self.side.diagrams, self.reached.tree(name)
        left = tree.asks(index)
        touching = tree.touch.box(tree.touch.asked[index].tests) >> (index + 1)
        for number in (index + 1 + n for n in numbers(touching)):
            where = tree.asks(number)
            if not diagrams.meets(where, left):
                continue
            rule = self.table[name].rules[number]
            called = callee(rule)
            same = _target(rule) in _ENDS and rule.target == self.table[name].rules[index].target
            if ((name, number) not in self.hit and not same) or (
                called is not None and self._has_idle(called)
            ):
                return None
            if _target(rule) in _ENDS:
                left = diagrams.without(left, where)
        return left

    def _callers_have_idle(self, name: str) -> bool:
        """Whether a chain that leads to this one has a rule that never matches."""
        found = self._idle_callers.get(name)
        if found is None:
            found = self._idle_callers[name] = any(
                self._has_idle(chain.name) or self._callers_have_idle(chain.name)
                for chain in self.table
                if self._calls(chain, name)
            )
        return found

    def _only_returns(self, name: str) -> bool:
        """Whether whatever packets meet in a chain sends them back to where it was called."""
        return all(
            (name, n) not in self.hit
            or (_target(rule) in _PASSES if (called := callee(rule)) is None else self._only_returns(called))
            for n, rule in enumerate(self.table[name].rules)
        )

    def _calls(self, chain: Chain, name: str) -> bool:
        return any(callee(rule) == name for rule in chain.rules)

    def _has_idle(self, name: str) -> bool:
        """Whether a chain, or one that it calls, has a rule that never matches."""
        found = self._idle.get(name)
        if found is None:
            chain = self.table[name]
            self._idle[name] = False
            found = self._idle[name] = any(
                (name, n) not in self.hit or ((called := callee(rule)) is not None and self._has_idle(called))
                for n, rule in enumerate(chain.rules)
            )
        return found


_ONLY_DECIDE = frozenset({"filter", "security"})
"""Tables whose rules leave packets as they are."""
_ENDS = ("ACCEPT", "DROP", "REJECT")
_PASSES = ("RETURN", "LOG", "")


def _target(rule: Rule) -> str:
    """The name of a rule's target, "" where it has none or calls a chain."""
    return "" if rule.target is None or callee(rule) is not None else str(rule.target).split()[1]


def check(case: Case) -> Iterator[Finding]:
    """What changes nothing, in every table."""
    for table in case.rules:
        useless = Needed(case.reached(table.name)).useless
        alone = _Alone(case, table) if useless else None
        for name, index in useless:
            yield _finding(case, table, name, index, alone=alone is None or alone.may_go(name, index))


def _finding(case: Case, table: Table, name: str, index: int, *, alone: bool) -> Finding:
    rule = table[name].rules[index]
    called = callee(rule)
    strength = case.assumed(table.name)
    note = f"proof: {strength}; {_why(table, name, index)}"
    first = "" if alone else "take out the rules behind it that never match, which would match then; then "
    if called is not None:
        empty = not table[called].rules
        return case.finding(
            IDLE_CALL, case.ref(table.name, name, index), IDLE_CALL.name,
            f"{visible(called)} is empty" if empty else f"{visible(called)} changes nothing for its packets",
            notes=(note,), strength=strength,
            help=f"{first}take it out, unless a program or somebody will put rules there",
        )  # fmt: skip
    return case.finding(
        USELESS, case.ref(table.name, name, index), USELESS.name,
        "without it the same happens" + ("" if alone else ", once the rules that never match are gone"), notes=(note,),
        strength=strength, removable=alone, help=f"{first}take it out",
    )  # fmt: skip


def _why(table: Table, name: str, index: int) -> str:
    if index + 1 == len(table[name].rules):
        policy = table[name].policy
        return (
            f"what follows is the policy {policy}"
            if policy
            else "it is the last of its chain: its callers go on alike"
        )
    return "the rules behind it do the same to each of its packets"
