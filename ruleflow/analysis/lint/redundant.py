"""RF2, second half: rules that packets meet and that change nothing: without them every packet would fare the same."""

from collections.abc import Iterator

from ruleflow.analysis.chains import callee
from ruleflow.analysis.findings import Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.needed import Needed
from ruleflow.errors import visible
from ruleflow.ruleset.ir import Table

USELESS = Code(
    "RF202", "this rule changes nothing", "info",
    "Packets meet the rule, but what comes behind it does the same to all of them. (Rules that never match count as "
    "taken out already. Where several rules are said to change nothing, each may be taken out alone; --fix proves "
    "which can go together.)",
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


def check(case: Case) -> Iterator[Finding]:
    """What changes nothing, in every table."""
    for table in case.rules:
        for name, index in Needed(case.reached(table.name)).useless:
            yield _finding(case, table, name, index)


def _finding(case: Case, table: Table, name: str, index: int) -> Finding:
    rule = table[name].rules[index]
    called = callee(rule)
    strength = case.assumed(table.name)
    note = f"proof: {strength}; {_why(table, name, index)}"
    if called is not None:
        empty = not table[called].rules
        return case.finding(
            IDLE_CALL, case.ref(table.name, name, index), IDLE_CALL.name,
            f"{visible(called)} is empty" if empty else f"{visible(called)} changes nothing for its packets",
            notes=(note,), strength=strength,
            help="take it out, unless a program or somebody will put rules there",
        )  # fmt: skip
    return case.finding(
        USELESS, case.ref(table.name, name, index), USELESS.name, "without it the same happens", notes=(note,),
        strength=strength, removable=True, help="take it out",
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
