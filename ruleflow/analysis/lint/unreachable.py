"""RF2: rules that never match, chains and policies that nothing reaches. All from sets, so for every packet."""

from collections.abc import Iterator

from ruleflow.analysis.findings import Code, Finding, Mark
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.correctness import misses_nat
from ruleflow.analysis.lint.cover import Taker, takers
from ruleflow.errors import visible
from ruleflow.netfilter.encode import STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.ruleset.ir import Rule, RuleRef, Table

NEVER = Code(
    "RF201", "this rule can never match", "warning",
    "No packet meets the rule when it is asked: earlier rules, alone or together, take every packet that it asks for, "
    "or no packet of the kind comes to its chain.",
    "It looks as if it did something. A drop below an accept of the same packets blocks nobody.",
    "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP",
    "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
)  # fmt: skip
UNCALLED = Code(
    "RF203", "nothing reaches this chain", "info",
    "No rule that some packet meets calls the chain.",
    "Its rules do nothing, however right they look. Chains that a program keeps ready (Docker, ufw) are often so.",
    ":OLD - [0:0]\n-A OLD -s 192.0.2.0/24 -j DROP",
    ":OLD - [0:0]\n-A INPUT -j OLD\n-A OLD -s 192.0.2.0/24 -j DROP",
)  # fmt: skip
POLICY = Code(
    "RF204", "the policy is never reached", "info",
    "The rules of a built-in chain decide every packet, so its policy decides none.",
    "Changing the policy changes nothing: who sets it to DROP may believe to have closed something.",
    ":INPUT DROP [0:0]\n-A INPUT -j ACCEPT",
    ":INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
)  # fmt: skip
CODES = (NEVER, UNCALLED, POLICY)

_SHOWN = 8
"""Taking rules that are shown; the rest are counted."""


def check(case: Case) -> Iterator[Finding]:
    """All findings of this family but those about redundancy."""
    for table in case.rules:
        yield from _chains(case, table)
        yield from _policies(case, table)
        yield from _rules(case, table)


def _rules(case: Case, table: Table) -> Iterator[Finding]:
    reached = case.reached(table.name)
    entered = {chain for _, chain in reached.entered}
    for chain in table:
        if chain.name not in entered:
            continue
        for index, rule in enumerate(chain.rules):
            if (chain.name, index) not in reached.hit and not _said_elsewhere(case, table, rule, index):
                yield _never(case, table, rule, case.ref(table.name, chain.name, index))


def _said_elsewhere(case: Case, table: Table, rule: Rule, index: int) -> bool:
    """Rules that ask for a connection as their table never sees it: RF103 and RF104 say it better."""
    if all(level != STATE for level, _ in case.side.space.asked(rule).tests):
        return False
    return table.name == "raw" or (table.name == "nat" and misses_nat(case, index, rule.chain))


def _never(case: Case, table: Table, rule: Rule, ref: RuleRef) -> Finding:
    reached = case.reached(table.name)
    where = reached.asks(ref.chain, ref.index - 1)
    strength = case.assumed(table.name)
    would = _would(rule)
    if where == NOTHING:
        return case.finding(
            NEVER, ref, NEVER.name, "asks for what no packet can be", strength=strength, removable=True,
            notes=("proof: exact; its conditions exclude each other",), help="write it as two rules, or correct it",
        )  # fmt: skip
    found = takers(case, table, ref)
    others = [Mark(*_at(case, taker), _label(taker), taker.ref) for taker in found[:_SHOWN]]
    proof = (
        f"proof: {strength}; {_by(case, found)}"
        if found
        else f"proof: {strength}; no packet like this comes to {visible(ref.chain)}"
    )
    return case.finding(
        NEVER, ref, NEVER.name, f"would {would}, but gets none", others=others, strength=strength,
        removable=True, notes=(proof,), help=_advice(case, rule, ref, found),
    )  # fmt: skip


def _at(case: Case, taker: Taker) -> tuple[int, int, int]:
    mark = case.mark(taker.ref)
    return mark.line, mark.column, mark.width


def _label(taker: Taker) -> str:
    if taker.calls:
        return (
            "sends no such packet on"
            if taker.misses
            else f"asks {visible(taker.calls)}, which takes {'all' if taker.alone else 'some'} of them first"
        )
    return "takes all of these packets first" if taker.alone else "takes some of them first"


def _by(case: Case, found: list[Taker]) -> str:
    lines = [case.named(taker.ref) for taker in found if not taker.misses]
    if not lines:
        lines = [case.named(taker.ref) for taker in found]
        return f"what {_and(lines)} {'send' if len(lines) > 1 else 'sends'} to its chain is of another kind"
    if len(lines) == 1:
        return f"{lines[0]} alone covers it"
    return f"{_and(lines)} together cover it"


def _and(words: list[str]) -> str:
    if len(words) > _SHOWN:
        return f"{', '.join(words[:_SHOWN])} and {len(words) - _SHOWN} more"
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _would(rule: Rule) -> str:
    words = {
        "ACCEPT": "let in or through",
        "DROP": "drop",
        "REJECT": "refuse",
        "RETURN": "go back to the caller",
    }
    target = rule.target
    if target is None:
        return "count"
    name = str(target).split()[1]
    return words.get(name, f"do {visible(' '.join(str(target).split()[:2]))}")


def _advice(case: Case, rule: Rule, ref: RuleRef, found: list[Taker]) -> str:
    if not found or any(taker.misses for taker in found):
        return "take it out, or let its packets come to the chain"
    first = min((taker.ref for taker in found), key=lambda one: one.index)
    same = first.chain == ref.chain and case.rules.rule(first).target == rule.target
    if same:
        return f"take it out: what it asks for gets the same from {case.named(first)}"
    return f"to let it decide, move it above {case.named(first)}; or take it out"


def _chains(case: Case, table: Table) -> Iterator[Finding]:
    reached = case.reached(table.name)
    entered = {chain for _, chain in reached.entered}
    callers = case.calls(table.name).callers
    for chain in table:
        if chain.policy is not None or chain.name in entered:
            continue
        sites = callers.get(chain.name, [])
        others = [case.mark(ref, "calls it, but no packet gets here so") for ref in sites[:_SHOWN]]
        why = "no rule calls it" if not sites else "no packet meets a rule that calls it"
        yield case.finding(
            UNCALLED, RuleRef(table.name, chain.name, 0, chain.line), f"nothing reaches the chain {visible(chain.name)}", why,
            others=others, notes=(f"proof: {case.assumed(table.name)}; {why}",), strength=case.assumed(table.name),
            help=f"take it out, or call it with -j {visible(chain.name)}" if chain.rules else "it is empty: take it out",
        )  # fmt: skip


def _policies(case: Case, table: Table) -> Iterator[Finding]:
    reached = case.reached(table.name)
    for chain in table:
        if chain.policy is None or not chain.rules or reached.asks_policy(chain.name):
            continue
        yield case.finding(
            POLICY, RuleRef(table.name, chain.name, 0, chain.line),
            f"the policy {chain.policy} of {table.name} {visible(chain.name)} is never reached",
            "decides nothing", notes=(f"proof: {case.assumed(table.name)}; its rules decide every packet",),
            strength=case.assumed(table.name),
        )  # fmt: skip
