"""RF4: rules that get in each other's way: DNAT before INPUT, Docker's chains, two backends."""

from collections.abc import Iterator

from ruleflow.analysis.findings import HINT, Code, Finding, Mark
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.sets import NEW, cube, names_port, passed, verdict
from ruleflow.errors import visible
from ruleflow.netfilter.encode import DPORT, DST, IN, OUT, SRC, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.intervals import common
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import RuleRef
from ruleflow.ruleset.targets.nat import Dnat, Masquerade, Translation

BYPASS = Code(
    "RF401", "this rule does not close a published port", "warning",
    "The rule drops packets for this host to a port that a DNAT rule rewrites. Rewritten packets are passed on: "
    "FORWARD sees them, with their new address and port, and INPUT never does.",
    "Ports published by Docker bypass ufw and every rule of INPUT (moby issue 22054).",
    "*nat\n-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\n*filter\n"
    "-A INPUT -p tcp -m tcp --dport 8080 -j DROP",
    "*filter\n-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", 8.0,
)  # fmt: skip
TRANSLATED = Code(
    "RF402", "this rule names the published port, but the port is translated already", "warning",
    "FORWARD (and DOCKER-USER, which it calls) sees packets after DNAT: with the container's port, not the published one.",
    "The rule matches no packet to the published port: it neither closes nor opens it.",
    "-A DOCKER-USER -p tcp -m tcp --dport 8080 -j DROP",
    "-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 8080 --ctdir ORIGINAL -j DROP", 7.0,
)  # fmt: skip
NO_WAY = Code(
    "RF403", "what is rewritten is dropped in FORWARD", "warning",
    "A DNAT rule sends connections to another machine, and FORWARD lets none of them through.",
    "The published port looks dead from outside.",
    "*nat\n-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80\n*filter\n:FORWARD DROP [0:0]",
    "*filter\n-A FORWARD -d 10.0.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT",
)  # fmt: skip
WIDE_MASQUERADE = Code(
    "RF404", "MASQUERADE without an outgoing interface", "warning",
    "The rule gives every packet that leaves, by whatever interface, this host's address.",
    "Servers see this host as the client, also between its own networks; logs and source rules become useless.",
    "-A POSTROUTING -j MASQUERADE", "-A POSTROUTING -s 10.0.0.0/8 -o eth0 -j MASQUERADE",
)  # fmt: skip
WIPED = Code(
    "RF405", "a rule in a chain that a program rewrites", "warning",
    "The chain belongs to Docker or Kubernetes, by its name and place, and the rule is none of theirs.",
    "They flush and refill their chains when they start or a service changes: the rule is gone then.",
    "-A DOCKER -s 192.0.2.0/24 -j DROP", "-A DOCKER-USER -s 192.0.2.0/24 -j DROP",
)  # fmt: skip
BOTH = Code(
    "RF406", "rules in both backends", "warning",
    "iptables-legacy and iptables-nft both have rules on this host. A packet must pass both.",
    "Each tool shows one half only: what one accepts the other may drop, and nobody sees why.",
    "iptables-legacy -S  # rules\niptables-nft -S     # rules, too", "iptables-legacy -F  # after moving its rules",
)  # fmt: skip
NATIVE = Code(
    "RF407", "a rule of nft that iptables-save misprints", "error",
    "Somebody wrote a rule with nft into a table of iptables. iptables-save prints it as another, mostly wider rule, "
    "without a warning.",
    "`tcp dport {80, 443} accept` is shown as `-p tcp -j ACCEPT`, and a restore of the dump really accepts all tcp.",
    "nft add rule ip filter INPUT tcp dport '{80, 443}' accept", "nft add table ip mine  # a table of its own", 8.0,
)  # fmt: skip
CODES = (BYPASS, TRANSLATED, NO_WAY, WIDE_MASQUERADE, WIPED, BOTH, NATIVE)

_THEIRS = ("DOCKER", "KUBE-")
_YOURS = ("DOCKER-USER",)


def publications(case: Case) -> Iterator[tuple[RuleRef, int, Translation]]:
    """DNAT rules that packets from a wire reach: the rule, the packets that get it first, where they go."""
    reached = case.reached("nat")
    for hook, name in reached.entered:
        if hook != "PREROUTING":
            continue
        for index, rule in enumerate(case.rules["nat"][name].rules):
            if isinstance(rule.target, Dnat) and rule.target.to is not None and (name, index) in reached.hit:
                yield case.ref("nat", name, index), reached.asks(name, index), rule.target.to


def check(case: Case) -> Iterator[Finding]:
    """All findings of this family."""
    if "nat" in case.rules and "PREROUTING" in case.rules["nat"]:
        published = list(publications(case))
        yield from _bypassed(case, published)
        yield from _translated(case, published)
        yield from _no_way(case, published)
    yield from _masquerades(case)
    yield from _wiped(case)
    yield from _backends(case)


def _bypassed(case: Case, published: list[tuple[RuleRef, int, Translation]]) -> Iterator[Finding]:
    if "filter" not in case.rules or not published:
        return
    reached, diagrams = case.reached("filter"), case.side.diagrams
    for hook, name in list(reached.entered):
        for index, rule in enumerate(case.rules["filter"][name].rules if hook == "INPUT" else ()):
            ports = names_port(case, rule)
            if (
                verdict(rule) not in ("DROP", "REJECT")
                or not ports
                or sum(b - a + 1 for a, b in ports) > 1024
            ):
                continue
            where = diagrams.both(reached.asks(name, index), reached.entered[hook, name])
            taken = [
                (ref, to)
                for ref, before, to in published
                if names_port(case, case.rules.rule(ref))
                and diagrams.meets(before, diagrams.both(where, cube(case, state=NEW)))
            ]
            if not taken:
                continue
            ref = taken[0][0]
            shown = ", ".join(_ports(pair) for pair in common(ports, names_port(case, case.rules.rule(ref))))
            yield case.finding(
                BYPASS, case.ref("filter", name, index), f"this rule does not close the published port {shown}",
                "is not asked by what was rewritten", others=[case.mark(one, f"sends it to {visible(str(target))} before") for one, target in taken],
                notes=("proof: exact; rewritten packets pass FORWARD, not INPUT",),
                help=f"-A {_place(case)} -p tcp -m conntrack --ctorigdstport {shown.split(',')[0]} --ctdir ORIGINAL -j DROP",
            )  # fmt: skip


def _place(case: Case) -> str:
    return "DOCKER-USER" if "DOCKER-USER" in case.rules["filter"] else "FORWARD"


def _ports(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}:{pair[1]}"


def _translated(case: Case, published: list[tuple[RuleRef, int, Translation]]) -> Iterator[Finding]:
    if "filter" not in case.rules or not published:
        return
    reached = case.reached("filter")
    for hook, name in list(reached.entered):
        if hook != "FORWARD" or name not in ("FORWARD", "DOCKER-USER"):
            continue
        for index, rule in enumerate(case.rules["filter"][name].rules):
            ports = names_port(case, rule)
            if (
                not ports
                or sum(b - a + 1 for a, b in ports) > 64
                or not verdict(rule)
                or not _only_published(case, published, ports)
            ):
                continue
            ref, to = _only_published(case, published, ports)[0]
            yield case.finding(
                TRANSLATED, case.ref("filter", name, index), TRANSLATED.name, f"sees port {to.port_low}, not {_ports(ports[0])}",
                others=[case.mark(ref, "translates it before")], notes=("proof: exact; no packet to the published port looks so here",),
                help=f"ask for the port as it came: -m conntrack --ctorigdstport {_ports(ports[0])} --ctdir ORIGINAL",
            )  # fmt: skip


def _only_published(
    case: Case, published: list[tuple[RuleRef, int, Translation]], ports: tuple[tuple[int, int], ...]
) -> list[tuple[RuleRef, Translation]]:
    """The publications of all these ports, none of which is also a port behind one."""
    behind = {to.port_low for _, _, to in published if to.port_low is not None}
    if any(low <= port <= high for port in behind for low, high in ports):
        return []
    return [
        (ref, to)
        for ref, _, to in published
        if to.port_low is not None and common(ports, names_port(case, case.rules.rule(ref))) == ports
    ]


def _no_way(case: Case, published: list[tuple[RuleRef, int, Translation]]) -> Iterator[Finding]:
    if "filter" not in case.rules or "FORWARD" not in case.rules["filter"]:
        return
    diagrams, top = case.side.diagrams, case.side.diagrams.tops[DST]
    for ref, before, to in published:
        if (
            to.low is None
            or to.high is None
            or (to.low >> 24 == 127 and top < 1 << 33)
            or _is_local(case, to.low)
        ):
            continue
        packets = before
        for level in (DST, OUT, STATE, *([DPORT] if to.port_low is not None else [])):
            packets = diagrams.exists(packets, level)
        tests = {"destination": [(to.low, to.high)], "state": NEW}
        if to.port_low is not None and to.port_high is not None:
            tests["port"] = [(to.port_low, to.port_high)]
        after = diagrams.both(packets, cube(case, **tests))  # type: ignore[arg-type]
        if passed(case, "filter", "FORWARD", after) == NOTHING:
            where = f"{address_text(to.low, case.rules.family)}{f' port {to.port_low}' if to.port_low is not None else ''}"
            yield case.finding(
                NO_WAY, ref, f"{NO_WAY.name}: nothing gets to {where}", "rewrites them",
                notes=(f"proof: {case.assumed('filter')}; FORWARD drops every new packet to {where}",), strength=case.assumed("filter"),
                help=f"-A FORWARD -d {address_text(to.low, case.rules.family)} -j ACCEPT, with the port and interfaces that are meant",
            )  # fmt: skip


def _is_local(case: Case, address: int) -> bool:
    host = case.host
    return host is not None and any(own.address == address for _, own in host.addresses(case.rules.family))


def _masquerades(case: Case) -> Iterator[Finding]:
    if "nat" not in case.rules:
        return
    limits = {OUT, SRC, DST, IN}
    for ref, rule in case.each():
        if ref.table != "nat" or not isinstance(rule.target, Masquerade):
            continue
        asked = case.side.space.asked(rule)
        if (
            not limits & {level for level, _ in asked.tests}
            and not asked.others
            and ref.chain == "POSTROUTING"
        ):
            yield case.finding(
                WIDE_MASQUERADE, ref, WIDE_MASQUERADE.name, "for everything that leaves, lo included", strength=HINT,
                help="name the interface (-o eth0), or the network that needs it (-s NETWORK)",
            )  # fmt: skip


def _wiped(case: Case) -> Iterator[Finding]:
    chains = {c.name for t in case.rules for c in t if c.name.startswith(_THEIRS) and c.name not in _YOURS}
    if not chains:
        return
    from ruleflow.analysis.idioms import recognise

    known = {
        (ref.table, ref.chain, ref.index)
        for claim in recognise(case.rules).claims
        if claim.owner
        for ref in claim.about
    }
    for ref, rule in case.each():
        if (
            ref.chain not in chains
            or (ref.table, ref.chain, ref.index) in known
            or verdict(rule) not in ("ACCEPT", "DROP", "REJECT", "LOG")
        ):
            continue
        if any(match.name == "comment" for match in rule.matches) and ref.chain.startswith("KUBE-"):
            continue
        who = "Docker" if ref.chain.startswith("DOCKER") else "Kubernetes"
        yield case.finding(
            WIPED, ref, f"this rule will be gone when {who} refills {visible(ref.chain)}", "is none of its own, by its shape",
            strength=HINT, help="put it into DOCKER-USER" if who == "Docker" else "put it into a chain of your own, called first",
        )  # fmt: skip


def _backends(case: Case) -> Iterator[Finding]:
    beside = [rule for rules in case.legacy for _, rule in rules.rules()]
    mine = [ref for ref, _ in case.each()]
    if beside and mine:
        yield case.finding(
            BOTH, mine[0], f"{BOTH.name}: {len(mine)} here, {len(beside)} in the other", "the first of these",
            notes=("proof: exact; both were saved on this host", f"in the other: {visible(str(beside[0]))}"),
            help="move all rules into one backend, then flush the other",
        )  # fmt: skip
    for chain, text in case.native:
        yield Finding(
            code=NATIVE.code, severity=NATIVE.severity, message=f"a rule of nft in {visible(chain)} is printed as something else",
            strength=HINT, primary=Mark(label=""), notes=(f"nft has: {visible(text)}",), text=text,
            help="do not restore this dump; move the rule to a table of its own",
        )  # fmt: skip
