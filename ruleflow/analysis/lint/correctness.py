"""RF1: rules that cannot do what they say."""

from collections.abc import Iterator

from ruleflow.analysis.findings import HINT, Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.sets import ESTABLISHED, NEW, cube, from_wire, passed, some_verdicts
from ruleflow.errors import visible
from ruleflow.netfilter.chains import Program
from ruleflow.netfilter.encode import OUT, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.ruleset.ir import RuleRef, Table

LOOP = Code(
    "RF101", "chains that call each other in a circle", "error", "A chain leads back to itself by jumps or gotos.",
    "The kernel refuses the whole table (ELOOP).", "-A A -j B\n-A B -j A", "-A A -j B\n-A B -j RETURN",
)  # fmt: skip
NEVER_NEW = Code(
    "RF103", "a nat rule for packets that nat never sees", "warning",
    "The nat table is asked once for each connection, by its first packet. The rule asks for packets of a known, invalid "
    "or untracked connection.",
    "It never matches. Replies and later packets are translated by conntrack, without any rule.",
    "-A POSTROUTING -m conntrack --ctstate ESTABLISHED -o eth0 -j MASQUERADE", "-A POSTROUTING -o eth0 -j MASQUERADE",
)  # fmt: skip
STATELESS = Code(
    "RF104", "a raw rule that asks for the connection", "warning",
    "The raw table is asked before conntrack has looked at the packet: there is no state, mark or tuple yet.",
    "The rule never matches, but for packets that come in again by lo.",
    "*raw\n-A PREROUTING -m conntrack --ctstate INVALID -j DROP", "*mangle\n-A PREROUTING -m conntrack --ctstate INVALID -j DROP",
)  # fmt: skip
NO_REPLIES = Code(
    "RF105", "replies are dropped", "warning",
    "This host (or what it forwards for) may open connections, but no packet of a known connection is let back in.",
    "Nothing works from here: DNS, updates, time. It looks as if the network were down.",
    ":INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
)  # fmt: skip
COUNTED = Code(
    "RF106", "its counters say otherwise", "warning",
    "A rule that can never match, by the rules before it, has counted packets.",
    "The rules were changed after the counters, or the text is put together from several: do not trust it as what runs. "
    "If neither, ruleflow's model is wrong, and we want to know.",
    "-A INPUT -j DROP\n[17:1020] -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "",
)  # fmt: skip
CODES = (LOOP, NEVER_NEW, STATELESS, NO_REPLIES, COUNTED)


def loops(case: Case) -> dict[str, tuple[str, ...]]:
    """The tables with a circle of chains, each with the circle: nothing else can be said of them."""
    found = {}
    for table in case.rules:
        program = Program.of(table, case.rules.family)
        circle = next((loop for chain in table if (loop := program.loop(chain.name)) is not None), None)
        if circle is not None:
            found[table.name] = circle
    return found


def check_loops(case: Case) -> Iterator[Finding]:
    """One finding for each table with a circle."""
    for name, circle in loops(case).items():
        chain = case.rules[name][circle[0]]
        yield case.finding(
            LOOP, RuleRef(name, chain.name, 0, chain.line), f"chains of {name} call each other in a circle",
            visible(" > ".join(circle)), help="take one of the jumps out", notes=("proof: exact; the kernel refuses such a table",),
        )  # fmt: skip


def check(case: Case) -> Iterator[Finding]:
    """All but circles."""
    for table in case.rules:
        yield from _unseen(case, table)
    if "filter" in case.rules:
        yield from _replies(case, "INPUT", "OUTPUT")
        yield from _replies(case, "FORWARD", "FORWARD")


def _unseen(case: Case, table: Table) -> Iterator[Finding]:
    """Rules that never match: for the table's sake, or although they counted."""
    reached = case.reached(table.name)
    for chain in table:
        for index, rule in enumerate(chain.rules):
            if (chain.name, index) in reached.hit:
                continue
            ref = case.ref(table.name, chain.name, index)
            asks_state = any(level == STATE for level, _ in case.side.space.asked(rule).tests)
            if asks_state and table.name == "nat" and misses_nat(case, index, chain.name):
                yield case.finding(NEVER_NEW, ref, NEVER_NEW.name, "never asked by such a packet", removable=True,
                                   notes=("proof: exact; nat sees the first packet of a connection only",), help="leave the state out")  # fmt: skip
            elif asks_state and table.name == "raw":
                yield case.finding(STATELESS, ref, STATELESS.name, "no connection is known yet",
                                   notes=("proof: exact; raw comes before conntrack",), help="put it into the mangle or filter table")  # fmt: skip
            if rule.counters is not None and rule.counters.packets:
                yield case.finding(
                    COUNTED, ref, f"{COUNTED.name}: {rule.counters.packets} packets, though it can never match", "counted packets",
                    strength=HINT, help="save the rules again; if it stays so, please report it with the dump",
                )  # fmt: skip


def misses_nat(case: Case, index: int, chain: str) -> bool:
    """Whether a rule of nat asks for nothing that begins a connection."""
    reached, diagrams = case.reached("nat"), case.side.diagrams
    first = diagrams.either(cube(case, state=NEW), cube(case, state=3))
    return not diagrams.meets(reached.asks(chain, index), first)


def _replies(case: Case, hook: str, out: str) -> Iterator[Finding]:
    """Whether connections may begin but no packet of a known one comes back."""
    table, diagrams = case.rules["filter"], case.side.diagrams
    if hook not in table or table[hook].policy == "ACCEPT" or "state" not in case.side.space.used:
        return
    wire = from_wire(case)
    known = diagrams.both(wire, cube(case, state=ESTABLISHED, protocol=6))
    lo = diagrams.test(OUT, (case.side.space.encoder.atoms.range("lo"),))
    new = diagrams.without(cube(case, state=NEW, protocol=6), lo)
    if "ACCEPT" in some_verdicts(case, "filter", hook, known):
        return
    if passed(case, "filter", hook, known) == NOTHING and passed(case, "filter", out, new) != NOTHING:
        chain = table[hook]
        who = "this host" if hook == "INPUT" else "who is let through"
        yield case.finding(
            NO_REPLIES, RuleRef("filter", hook, 0, chain.line), f"replies to connections of {who} are dropped in {hook}",
            "drops every tcp packet of a known connection", notes=("proof: exact",),
            help=f"put first: -A {hook} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        )  # fmt: skip
