"""RF6: what works, but is written as nobody should any more."""

from collections.abc import Iterator

from ruleflow.analysis.findings import EXACT, Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.ruleset.ir import RuleRef

OLD_STATE = Code(
    "RF601", "-m state is obsolete", "info", "The match was replaced by -m conntrack --ctstate in 2006.",
    "It still works because iptables translates it; each new kernel may end that.",
    "-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT", "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
)  # fmt: skip
COUNTS = Code(
    "RF602", "a rule without a target", "info", "It counts packets and does nothing else.",
    "Meant so for accounting; else a -j was forgotten.", "-A INPUT -p tcp -m tcp --dport 22", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
)  # fmt: skip
CODES = (OLD_STATE, COUNTS)


def check(case: Case) -> Iterator[Finding]:
    """All findings of this family; -m state once for a rule set, however many rules have it."""
    old: list[RuleRef] = []
    for ref, rule in case.each():
        if any(match.name == "state" for match in rule.matches):
            old.append(ref)
        if rule.target is None and not any(
            match.name in ("recent", "set", "nfacct", "quota", "rateest") for match in rule.matches
        ):
            yield case.finding(
                COUNTS,
                ref,
                COUNTS.name,
                "only counts",
                notes=("proof: exact",),
                help="add -j, or leave it if it is for accounting",
            )
    if old:
        times = f", in {len(old)} rules" if len(old) > 1 else ""
        yield case.finding(
            OLD_STATE, old[0], f"{OLD_STATE.name}{times}", "the first", words="-m state", strength=EXACT,
            notes=("proof: exact; by the rules' text",), help="write -m conntrack --ctstate",
        )  # fmt: skip
