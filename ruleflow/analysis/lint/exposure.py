"""RF3: what is open that looks closed."""

from collections.abc import Iterator

from ruleflow.analysis.findings import HINT, Code, Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.interplay import publications
from ruleflow.analysis.lint.sets import NEW, cube, from_wire, names_port, passed, some_verdicts, verdict
from ruleflow.netfilter.encode import DPORT, DST, SRC, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.intervals import Interval, common, outside
from ruleflow.ruleset.ir import RuleRef
from ruleflow.ruleset.ports import service_name

OPEN = Code(
    "RF301", "this host lets everything in", "info", "No new connection from any interface is refused in INPUT.",
    "Every program that listens, also one that is installed next year, can be reached by everybody.",
    ":INPUT ACCEPT [0:0]", ":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", 4.0,
)  # fmt: skip
FAMILY = Code(
    "RF302", "a port is open in one family and closed in the other", "warning",
    "INPUT lets new tcp connections to a port in over IPv6 and not over IPv4, or the other way round.",
    "Whoever closed it in one has mostly forgotten the other; clients choose IPv6 by themselves.",
    "# IPv4: -A INPUT -p tcp --dport 3306 -j DROP\n# IPv6: -A INPUT -p tcp --dport 3306 -j ACCEPT",
    "# IPv6: -A INPUT -p tcp --dport 3306 -j DROP", 6.0,
)  # fmt: skip
LOOPBACK = Code(
    "RF303", "a port published for 127.0.0.1 can be reached by neighbours", "warning",
    "A DNAT rule for an address of 127.0.0.0/8 does not ask by which interface the packet comes, and nothing drops such "
    "packets in the raw table before.",
    "A machine on the same link that routes 127.0.0.1 over this host reaches what was meant for this host alone: the "
    "address is rewritten before the kernel would find it martian (moby issue 45610).",
    "-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 8082 -j DNAT --to-destination 172.17.0.2:80",
    "*raw\n-A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8082 -j DROP", 7.0,
)  # fmt: skip
SENSITIVE = Code(
    "RF304", "a service meant for few is open to everybody", "warning",
    "A rule lets everybody, by any interface but lo, to a port at which programs listen that know no password by default.",
    "Docker's API gives root to whoever reaches it; databases and caches give their data.",
    "-A INPUT -p tcp -m tcp --dport 2375 -j ACCEPT", "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 2375 -j ACCEPT", 8.0,
)  # fmt: skip
CODES = (OPEN, FAMILY, LOOPBACK, SENSITIVE)

_TOUCHY = {
    23: "telnet", 445: "SMB", 2375: "Docker's API", 2379: "etcd", 3306: "MySQL", 5432: "PostgreSQL", 5900: "VNC",
    6379: "Redis", 9200: "Elasticsearch", 10250: "the kubelet", 11211: "memcached", 27017: "MongoDB",
}  # fmt: skip


def check(case: Case) -> Iterator[Finding]:
    """All findings of this family."""
    if "filter" in case.rules and "INPUT" in case.rules["filter"]:
        yield from _everything(case)
        yield from _families(case)
        yield from _sensitive(case)
    yield from _loopback(case)


def _everything(case: Case) -> Iterator[Finding]:
    new = case.side.diagrams.both(
        from_wire(case), cube(case, state=NEW, out_interface=0, protocol=[(0, 5), (7, 255)], fragment=0)
    )
    tcp = case.side.diagrams.both(
        from_wire(case), cube(case, state=NEW, out_interface=0, protocol=6, fragment=0)
    )
    for some in (tcp, new):
        if some_verdicts(case, "filter", "INPUT", some) - {"ACCEPT"}:
            return
        if passed(case, "filter", "INPUT", some) != some:
            return
    chain = case.rules["filter"]["INPUT"]
    yield case.finding(
        OPEN, RuleRef("filter", "INPUT", 0, chain.line), OPEN.name, "refuses no new connection",
        notes=(f"proof: {case.assumed('filter')}",), strength=case.assumed("filter"),
        help="let in what is needed, then set the policy to DROP",
    )  # fmt: skip


def _open_ports(case: Case) -> tuple[Interval, ...]:
    """The tcp ports of this host to which some source may connect, by some interface but lo."""
    diagrams = case.side.diagrams
    found = passed(
        case,
        "filter",
        "INPUT",
        diagrams.both(from_wire(case), cube(case, state=NEW, protocol=6, fragment=0, tcp_flags=2)),
    )
    for level in sorted(diagrams.support(found)):
        if level != DPORT:
            found = diagrams.exists(found, level)
    return diagrams.shadow(found, DPORT) if found != NOTHING else ()


def _families(case: Case) -> Iterator[Finding]:
    """Only said once, of the family that is more open."""
    other = next(
        (Case(one) for one in case.others if one.family != case.rules.family and "filter" in one), None
    )
    if other is None:
        return
    mine, theirs = _open_ports(case), _open_ports(other)
    more = common(mine, outside(theirs, 65535))
    if not more or not theirs or mine == ((0, 65535),):
        return
    chain = case.rules["filter"]["INPUT"]
    ports = ", ".join(_said(pair) for pair in more[:6]) + (
        f" and {len(more) - 6} more ranges" if len(more) > 6 else ""
    )
    yield case.finding(
        FAMILY, RuleRef("filter", "INPUT", 0, chain.line),
        f"open over IPv{case.rules.family} and closed over IPv{other.rules.family}: tcp {ports}", "lets them in",
        notes=("proof: exact; for the source and interface that each family is most open to",),
        help=f"close it here, or open it over IPv{other.rules.family}, too",
    )  # fmt: skip


def _said(pair: Interval) -> str:
    if pair[0] != pair[1]:
        return f"{pair[0]} to {pair[1]}"
    name = service_name(pair[0])
    return f"{pair[0]} ({name})" if name else str(pair[0])


def _loopback(case: Case) -> Iterator[Finding]:
    if case.rules.family != 4 or "nat" not in case.rules:
        return
    diagrams = case.side.diagrams
    for ref, where, _ in publications(case):
        if not _names_loopback(case, where):
            continue
        home = diagrams.both(where, from_wire(case))
        if home == NOTHING:
            continue
        stateless = diagrams.exists(home, STATE)
        if "raw" in case.rules and passed(case, "raw", "PREROUTING", stateless) == NOTHING:
            continue
        yield case.finding(
            LOOPBACK, ref, LOOPBACK.name, "also for packets that come by a wire", words="",
            notes=("proof: exact; no rule of raw PREROUTING drops them",),
            help="*raw: -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport PORT -j DROP (Docker 28 and later does so)",
        )  # fmt: skip


def _names_loopback(case: Case, where: int) -> bool:
    shadow = case.side.diagrams.shadow(where, DST)
    return bool(shadow) and all(low >= 0x7F000000 and high <= 0x7FFFFFFF for low, high in shadow)


def _sensitive(case: Case) -> Iterator[Finding]:
    reached = case.reached("filter")
    for hook, name in reached.entered:
        if hook != "INPUT":
            continue
        for index, rule in enumerate(case.rules["filter"][name].rules):
            ports = names_port(case, rule)
            touchy = [p for p in _TOUCHY if any(low <= p <= high for low, high in ports)]
            if (
                not touchy
                or verdict(rule) != "ACCEPT"
                or sum(high - low for low, high in ports) > 1000
                or (name, index) not in reached.hit
            ):
                continue
            where = reached.asks(name, index)
            if case.side.diagrams.shadow(where, SRC) != ((0, case.side.diagrams.tops[SRC]),) or not _any_wire(
                case, where, touchy[0]
            ):
                continue
            yield case.finding(
                SENSITIVE, case.ref("filter", name, index), f"port {touchy[0]} ({_TOUCHY[touchy[0]]}) is open to everybody",
                "asks for no source and no interface", strength=HINT, help="ask for a source: -s NETWORK",
            )  # fmt: skip


def _any_wire(case: Case, where: int, port: int) -> bool:
    """Whether the rule lets a new connection in from any interface that the rules do not name."""
    syn = cube(case, state=NEW, protocol=6, port=port, fragment=0, tcp_flags=2, in_interface=1)
    return bool(case.side.diagrams.meets(where, syn))
