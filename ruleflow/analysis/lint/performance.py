"""RF5: what costs every packet, or may fill a disk."""

from collections.abc import Iterator

from ruleflow.analysis.chains import calls
from ruleflow.analysis.findings import HINT, Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.sets import ESTABLISHED, cube, verdict
from ruleflow.errors import visible
from ruleflow.netfilter.encode import STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.ruleset.ir import Chain, Rule, Table
from ruleflow.ruleset.matches.header import Header

LATE = Code(
    "RF502", "known connections are let by late", "warning",
    "The rule that accepts packets of known connections stands behind many others; each of their packets is compared "
    "with all of these.",
    "Nearly all packets belong to known connections: the rule pays for itself only at the top.",
    "-A INPUT -s 192.0.2.1/32 -j DROP\n# … 40 more …\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -s 192.0.2.1/32 -j DROP",
)  # fmt: skip
MISSING = Code(
    "RF501", "no rule for known connections", "info",
    "A long chain of a hook has rules for new connections, and none that accepts known ones at once.",
    "Every packet of every connection is compared with the whole list.",
    "-A FORWARD -s 192.0.2.1/32 -j ACCEPT\n# … 40 more …", "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
)  # fmt: skip
UNLIMITED = Code(
    "RF503", "LOG without a limit", "warning", "Every packet that meets the rule writes a line, however many come.",
    "Anybody can fill the log, and the disk, by sending packets.",
    '-A INPUT -j LOG --log-prefix "dropped "', '-A INPUT -m limit --limit 10/min -j LOG --log-prefix "dropped "',
)  # fmt: skip
LIST = Code(
    "RF504", "a list that would be one rule with a set", "info",
    "Many rules in a row are alike but for one address.",
    "A set is looked up once (ipset, hash:net); a list is gone through rule by rule.",
    "-A INPUT -s 192.0.2.1/32 -j DROP\n-A INPUT -s 192.0.2.2/32 -j DROP\n# …",
    "-A INPUT -m set --match-set blocked src -j DROP",
)  # fmt: skip
CODES = (LATE, MISSING, UNLIMITED, LIST)

_LATE, _LONG, _ALIKE = 10, 40, 40
_RATES = frozenset({"limit", "hashlimit", "recent", "statistic"})


def check(case: Case) -> Iterator[Finding]:
    """All findings of this family."""
    if "filter" in case.rules:
        table = case.rules["filter"]
        for hook in ("INPUT", "FORWARD"):
            if hook in table:
                yield from _known(case, table[hook])
    for table in case.rules:
        limited = _limited(table)
        for chain in table:
            yield from _logs(case, table, chain, limited)
            yield from _lists(case, table, chain)


def _known(case: Case, chain: Chain) -> Iterator[Finding]:
    diagrams, reached = case.side.diagrams, case.reached("filter")
    known = diagrams.both(
        reached.entered.get((chain.name, chain.name), NOTHING), cube(case, state=ESTABLISHED)
    )
    for index, rule in enumerate(chain.rules):
        if verdict(rule) != "ACCEPT" or not _all_known(case, rule):
            continue
        asked = sum(diagrams.meets(reached.asks(chain.name, n), known) for n in range(index))
        if asked > _LATE and (chain.name, index) in reached.hit:
            yield case.finding(
                LATE, case.ref("filter", chain.name, index), f"{LATE.name}: behind {index} rules", "asked after all of them",
                others=[case.mark(case.ref("filter", chain.name, 0), "the first rule that each packet is compared with")],
                notes=("proof: exact",), help="move it up; what drops known connections on purpose must stay above it",
            )  # fmt: skip
        return
    if len(chain.rules) > _LONG and "state" in case.side.space.used:
        yield case.finding(
            MISSING, case.ref("filter", chain.name, 0), f"no rule of {chain.name} lets known connections by at once", "the first of the list",
            strength=HINT, help=f"put first: -A {chain.name} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        )  # fmt: skip


def _all_known(case: Case, rule: Rule) -> bool:
    """Whether the rule asks for packets of known connections and for nothing else."""
    asked = case.side.space.asked(rule)
    states = [intervals for level, intervals in asked.tests if level == STATE]
    return (
        bool(states)
        and len(asked.tests) == 1
        and not asked.others
        and any(low <= ESTABLISHED <= high for low, high in states[0])
    )


def _limited(table: Table) -> frozenset[str]:
    """Chains to which every call has a limit."""
    found = set()
    for name, sites in calls(table).callers.items():
        if sites and all(_has_rate(table[ref.chain].rules[ref.index - 1]) for ref in sites):
            found.add(name)
    return frozenset(found)


def _has_rate(rule: Rule) -> bool:
    return any(match.name in _RATES for match in rule.matches)


def _logs(case: Case, table: Table, chain: Chain, limited: frozenset[str]) -> Iterator[Finding]:
    if chain.name in limited:
        return
    rate = False
    for index, rule in enumerate(chain.rules):
        rate = rate or (_has_rate(rule) and verdict(rule) in ("RETURN", "DROP"))
        if (
            verdict(rule) == "LOG"
            and not _has_rate(rule)
            and not rate
            and (chain.name, index) in case.reached(table.name).hit
        ):
            yield case.finding(
                UNLIMITED, case.ref(table.name, chain.name, index), UNLIMITED.name, "a line for every packet", strength=HINT,
                help="put -m limit --limit 10/min before -j LOG (or into the rule that calls the chain)",
            )  # fmt: skip


def _lists(case: Case, table: Table, chain: Chain) -> Iterator[Finding]:
    start, previous = 0, None
    for index, rule in enumerate((*chain.rules, None)):
        alike = _but_address(rule) if rule is not None else None
        if alike is None or alike != previous:
            if previous is not None and index - start >= _ALIKE:
                yield _list(case, table, chain, start, index)
            start, previous = index, alike


def _list(case: Case, table: Table, chain: Chain, start: int, end: int) -> Finding:
    last = case.ref(table.name, chain.name, end - 1)
    return case.finding(
        LIST, case.ref(table.name, chain.name, start), f"{end - start} rules of {visible(chain.name)} differ in one address only",
        "from here", others=[case.mark(last, "to here")], strength=HINT, notes=("proof: exact; by the rules' text",),
        help="put the addresses into an ipset, and ask for it in one rule",
    )  # fmt: skip


def _but_address(rule: Rule) -> object:
    """The rule without its source (or, where it has none, its destination); None where it has neither."""
    head = next((match for match in rule.matches if isinstance(match, Header)), None)
    if head is None or (head.source is None and head.destination is None):
        return None
    side = "source" if head.source is not None else "destination"
    rest = tuple((row.attr, str(getattr(head, row.attr))) for row in Header.rows() if row.attr != side)
    return (
        side,
        rest,
        tuple(match for match in rule.matches if match is not head and match.name != "comment"),
        rule.target,
    )
