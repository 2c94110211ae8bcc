"""Random rule sets for the lab: small worlds in which rules and packets meet often.

A rule set is text, as iptables-restore reads it; each rule's features are known by its place, so that one can
count which features decided.
"""

import random
import re
from collections.abc import Iterator

import msgspec

FEATURES = (
    "user chain", "goto", "return", "negation", "multiport", "iprange", "addrtype", "conntrack", "ctorigdst", "mark",
    "CONNMARK", "ttl", "dscp", "NOTRACK", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "REJECT",
)  # fmt: skip
"""What is counted; each decides at least one pair in fifty."""

INTERFACES = ("eth0", "eth1", "eth2")
PORTS = (22, 53, 80, 443, 1024, 8080, 8081, 40000)
TTLS = (1, 2, 3, 32, 64, 65)
DSCPS = (0, 10, 26, 46)
MARKS = (0, 1, 2, 0x10, 0x11)


class Universe(msgspec.Struct, frozen=True):
    """The addresses of one family: networks by interface, single hosts in them, the router's own."""

    family: int
    networks: tuple[str, ...]
    hosts: tuple[tuple[str, ...], ...]
    own: tuple[str, ...]
    elsewhere: tuple[str, ...]

    @property
    def everyone(self) -> tuple[str, ...]:
        """Every address that a packet may carry."""
        return (*(host for hosts in self.hosts for host in hosts), *self.own, *self.elsewhere)


V4 = Universe(
    4,
    ("192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8"),
    (("192.0.2.7", "192.0.2.8", "192.0.2.200"), ("198.51.100.7", "198.51.100.9"), ("10.0.0.7", "10.1.2.3", "10.200.0.1")),
    ("192.0.2.1", "198.51.100.1", "10.0.0.1"),
    ("203.0.113.9", "172.16.0.5"),
)
V6 = Universe(
    6,
    ("2001:db8::/64", "2001:db8:1::/64", "fd00::/64"),
    (("2001:db8::7", "2001:db8::8", "2001:db8::200"), ("2001:db8:1::7", "2001:db8:1::9"), ("fd00::7", "fd00::1234")),
    ("2001:db8::1", "2001:db8:1::1", "fd00::1"),
    ("2001:db8:77::9", "2001:db8:99::5"),
)
UNIVERSES = {4: V4, 6: V6}

_TABLES = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
}


class Made(msgspec.Struct, frozen=True):
    """A random rule set: its text, and the features of each rule by table, chain and number."""

    family: int
    text: str
    features: dict[tuple[str, str, int], frozenset[str]]


def make_rules(dice: random.Random, family: int) -> Made:
    """A rule set drawn with ``dice``."""
    return _Maker(dice, UNIVERSES[family]).make()


class _Maker:
    def __init__(self, dice: random.Random, universe: Universe) -> None:
        self.dice, self.universe, self.family = dice, universe, universe.family
        self.features: dict[tuple[str, str, int], frozenset[str]] = {}
        self.protocol = ""
        self.icmp = "icmp" if self.family == 4 else "ipv6-icmp"

    def make(self) -> Made:
        lines: list[str] = []
        for table, hooks in _TABLES.items():
            if table != "filter" and self.dice.random() < 0.15:
                continue
            lines += self.table(table, hooks)
        return Made(self.family, "".join(f"{line}\n" for line in lines), self.features)

    def table(self, table: str, hooks: tuple[str, ...]) -> Iterator[str]:
        users = tuple(f"{letter}{table[0]}" for letter in "abc"[: self.dice.randint(1, 3)])
        yield f"*{table}"
        for hook in hooks:
            policy = "DROP" if table == "filter" and self.dice.random() < 0.25 else "ACCEPT"
            yield f":{hook} {policy} [0:0]"
        for user in users:
            yield f":{user} - [0:0]"
        for hook in hooks:
            yield from self.chain(table, hook, {hook}, users)
        for at, user in enumerate(users):
            reached = set(hooks) if table != "nat" else self.nat_side(at, hooks)
            yield from self.chain(table, user, reached, users[at + 1 :])
        yield "COMMIT"

    def nat_side(self, at: int, hooks: tuple[str, ...]) -> set[str]:
        """A user's chain of the nat table is called from one side only: targets differ by hook."""
        del hooks
        return {"PREROUTING", "OUTPUT"} if at % 2 == 0 else {"INPUT", "POSTROUTING"}

    def chain(self, table: str, chain: str, hooks: set[str], users: tuple[str, ...]) -> Iterator[str]:
        if table == "nat":
            users = tuple(user for user in users if self.nat_side("abc".index(user[0]), ()) >= hooks)
        count = self.dice.randint(1, 5 if chain.isupper() else 4)
        number = 0
        for _ in range(count):
            made = self.rule(table, hooks, users)
            number += 1
            words, used = made
            self.features[table, chain, number] = used | ({"user chain"} if not chain.isupper() else frozenset())
            yield f"-A {chain} {words}"

    def rule(self, table: str, hooks: set[str], users: tuple[str, ...]) -> tuple[str, frozenset[str]]:
        used: set[str] = set()
        protocol, need = self.dice.choice(("", "", "tcp", "udp", self.icmp)), ""
        target = self.target(table, hooks, users, used)
        if "--to-ports" in target or re.search(r"--to-(?:source|destination) \S*(?:\]:|\d:)\d", target) or "tcp-reset" in target:
            protocol = "tcp" if "tcp-reset" in target else self.dice.choice(("tcp", "udp"))
        matches = [] if not protocol else [f"-p {protocol}"]
        for _ in range(self.dice.choice((0, 1, 1, 1, 2))):
            matches.append(self.match(table, hooks, protocol, used))
        del need
        return " ".join(word for word in (*dict.fromkeys(self.sorted(matches)), target) if word), frozenset(used)

    def sorted(self, matches: list[str]) -> list[str]:
        """At most one of each kind: iptables takes an option once."""
        kinds: dict[str, str] = {}
        for words in matches:
            key = re.sub(r"! ", "", words)
            kinds.setdefault(" ".join(key.split()[: 2 if key.startswith("-m") else 1]), words)
        return list(kinds.values())

    # -- matches ----------------------------------------------------------------------------------------------

    def match(self, table: str, hooks: set[str], protocol: str, used: set[str]) -> str:
        self.protocol = protocol
        choices = ["source", "destination", "in", "out", "iprange", "addrtype", "mark", "ttl", "dscp"]
        if protocol in ("tcp", "udp"):
            choices += ["dport", "dport", "multiport", "multiport"]
        if protocol == self.icmp:
            choices += ["icmp", "icmp"]
        if table != "raw":
            choices += ["ctstate", "ctstate", "ctorig", "ctorig", "ctdir", "connmark"]
        words: str = getattr(self, f"match_{self.dice.choice(choices)}")(hooks, used)
        return words

    def bang(self, used: set[str], often: float = 0.25) -> str:
        if self.dice.random() < often:
            used.add("negation")
            return "! "
        return ""

    def address(self) -> str:
        if self.dice.random() < 0.5:
            return self.dice.choice(self.universe.networks)
        return self.dice.choice(self.universe.everyone)

    def match_source(self, _hooks: set[str], used: set[str]) -> str:
        return f"{self.bang(used)}-s {self.address()}"

    def match_destination(self, _hooks: set[str], used: set[str]) -> str:
        return f"{self.bang(used)}-d {self.address()}"

    def match_in(self, hooks: set[str], used: set[str]) -> str:
        if hooks & {"OUTPUT", "POSTROUTING"}:
            return self.match_source(hooks, used)
        return f"{self.bang(used)}-i {self.dice.choice((*INTERFACES, 'eth+', 'lo'))}"

    def match_out(self, hooks: set[str], used: set[str]) -> str:
        if hooks & {"PREROUTING", "INPUT"}:
            return self.match_destination(hooks, used)
        return f"{self.bang(used)}-o {self.dice.choice((*INTERFACES, 'eth+', 'lo'))}"

    def match_iprange(self, _hooks: set[str], used: set[str]) -> str:
        used.add("iprange")
        side = self.dice.choice(("src", "dst"))
        low, high = sorted((self.dice.choice(self.universe.everyone), self.dice.choice(self.universe.everyone)), key=_number)
        return f"-m iprange {self.bang(used)}--{side}-range {low}-{high}"

    def match_addrtype(self, hooks: set[str], used: set[str]) -> str:
        used.add("addrtype")
        side = self.dice.choice(("src", "dst", "dst"))
        kinds = ("LOCAL", "LOCAL", "UNICAST", "BROADCAST", "LOCAL,UNICAST", "MULTICAST") if self.family == 4 else ("LOCAL", "LOCAL", "UNICAST", "UNREACHABLE")
        limit = ""
        if self.dice.random() < 0.2 and not hooks & {"FORWARD", "POSTROUTING", "OUTPUT"}:
            limit = " --limit-iface-in"
        return f"-m addrtype {self.bang(used)}--{side}-type {self.dice.choice(kinds)}{limit}"

    def match_mark(self, _hooks: set[str], used: set[str]) -> str:
        used.add("mark")
        mask = self.dice.choice(("", "/0x1", "/0xff"))
        return f"-m mark {self.bang(used)}--mark 0x{self.dice.choice(MARKS[:3] if not mask else (0, 1)):x}{mask}"

    def match_connmark(self, _hooks: set[str], used: set[str]) -> str:
        used.add("CONNMARK")
        return f"-m connmark {self.bang(used)}--mark 0x{self.dice.choice(MARKS[:3]):x}"

    def match_ttl(self, _hooks: set[str], used: set[str]) -> str:
        used.add("ttl")
        how = self.dice.choice(("eq", "lt", "gt"))
        match, prefix = ("ttl", "ttl") if self.family == 4 else ("hl", "hl")
        bang = self.bang(used) if how == "eq" else ""
        return f"-m {match} {bang}--{prefix}-{how} {self.dice.choice((1, 2, 31, 63, 64))}"

    def match_dscp(self, _hooks: set[str], used: set[str]) -> str:
        used.add("dscp")
        return f"-m dscp {self.bang(used)}--dscp 0x{self.dice.choice(DSCPS):02x}"

    def match_dport(self, _hooks: set[str], used: set[str]) -> str:
        side = self.dice.choice(("--dport", "--dport", "--sport"))
        low, high = sorted((self.dice.choice(PORTS), self.dice.choice(PORTS)))
        return f"-m {self.protocol} {self.bang(used)}{side} {low if self.dice.random() < 0.5 else f'{low}:{high}'}"

    def match_multiport(self, _hooks: set[str], used: set[str]) -> str:
        used.add("multiport")
        ports = sorted(self.dice.sample(PORTS, self.dice.randint(1, 4)))
        text = ",".join(map(str, ports))
        if len(ports) > 2 and self.dice.random() < 0.4:
            text = f"{ports[0]}:{ports[1]},{text.split(',', 2)[2]}"
        return f"-m multiport {self.bang(used)}--{self.dice.choice(('dports', 'sports', 'ports'))} {text}"

    def match_icmp(self, _hooks: set[str], used: set[str]) -> str:
        kinds = ("echo-request", "echo-reply", "8", "3/3", "destination-unreachable") if self.family == 4 else ("echo-request", "echo-reply", "1", "1/4")
        name, option = ("icmp", "--icmp-type") if self.family == 4 else ("icmp6", "--icmpv6-type")
        return f"-m {name} {self.bang(used)}{option} {self.dice.choice(kinds)}"

    def match_ctstate(self, _hooks: set[str], used: set[str]) -> str:
        used.add("conntrack")
        states = ("NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "DNAT", "SNAT", "NEW,INVALID", "INVALID,UNTRACKED")
        return f"-m conntrack {self.bang(used)}--ctstate {self.dice.choice(states)}"

    def match_ctorig(self, _hooks: set[str], used: set[str]) -> str:
        used |= {"conntrack", "ctorigdst"}
        if self.dice.random() < 0.3:
            return f"-m conntrack {self.bang(used)}--ctorigdstport {self.dice.choice(PORTS)}"
        side = self.dice.choice(("ctorigdst", "ctorigdst", "ctorigsrc", "ctrepldst", "ctreplsrc"))
        return f"-m conntrack {self.bang(used)}--{side} {self.address()}"

    def match_ctdir(self, _hooks: set[str], used: set[str]) -> str:
        used.add("conntrack")
        return f"-m conntrack --ctdir {self.dice.choice(('ORIGINAL', 'REPLY'))}"

    # -- targets ----------------------------------------------------------------------------------------------

    def target(self, table: str, hooks: set[str], users: tuple[str, ...], used: set[str]) -> str:
        if users and self.dice.random() < 0.35:
            if self.dice.random() < 0.35:
                used.add("goto")
                return f"-g {self.dice.choice(users)}"
            used.add("user chain")
            return f"-j {self.dice.choice(users)}"
        if self.dice.random() < 0.1:
            used.add("return")
            return "-j RETURN"
        words: str = getattr(self, f"target_{table}")(hooks, used)
        return words

    def target_raw(self, _hooks: set[str], used: set[str]) -> str:
        choice = self.dice.random()
        if choice < 0.35:
            used.add("NOTRACK")
            return self.dice.choice(("-j NOTRACK", "-j CT --notrack"))
        return "-j DROP" if choice < 0.45 else self.dice.choice(("-j ACCEPT", "", self.set_mark(used)))

    def set_mark(self, used: set[str]) -> str:
        used.add("mark")
        mark = self.dice.choice(MARKS)
        return self.dice.choice((f"-j MARK --set-mark 0x{mark:x}", f"-j MARK --or-mark 0x{mark:x}", f"-j MARK --xor-mark 0x{mark:x}", f"-j MARK --and-mark 0x{mark:x}"))

    def target_mangle(self, _hooks: set[str], used: set[str]) -> str:
        kind = self.dice.choice(("mark", "mark", "connmark", "connmark", "ttl", "dscp", "drop", "accept"))
        if kind == "mark":
            return self.set_mark(used)
        if kind == "connmark":
            used.add("CONNMARK")
            mark = self.dice.choice(MARKS)
            return self.dice.choice((f"-j CONNMARK --set-mark 0x{mark:x}", "-j CONNMARK --save-mark", "-j CONNMARK --restore-mark", f"-j CONNMARK --set-xmark 0x{mark:x}/0xf"))
        if kind == "ttl":
            used.add("ttl")
            name, option = ("TTL", "ttl") if self.family == 4 else ("HL", "hl")
            return f"-j {name} --{option}-{self.dice.choice(('set 32', 'inc 1', 'dec 1', 'set 2'))}"
        if kind == "dscp":
            used.add("dscp")
            return f"-j DSCP --set-dscp 0x{self.dice.choice(DSCPS):02x}"
        return "-j DROP" if kind == "drop" and self.dice.random() < 0.5 else "-j ACCEPT"

    def target_filter(self, _hooks: set[str], used: set[str]) -> str:
        kind = self.dice.choice(("ACCEPT", "ACCEPT", "DROP", "REJECT", ""))
        if kind == "REJECT":
            used.add("REJECT")
            kinds = _REJECTS[self.family]
            return f"-j REJECT --reject-with {self.dice.choice(kinds)}"
        return f"-j {kind}" if kind else ""

    def target_nat(self, hooks: set[str], used: set[str]) -> str:
        if self.dice.random() < 0.12:
            return "-j ACCEPT"
        if hooks <= {"PREROUTING", "OUTPUT"}:
            return self.nat_destination(used)
        return self.nat_source(hooks, used)

    def nat_destination(self, used: set[str]) -> str:
        kind = self.dice.choice(("DNAT", "DNAT", "REDIRECT", "NETMAP"))
        used.add(kind)
        port = self.dice.choice(("", str(self.dice.choice(PORTS)), "8000-8010"))
        if kind == "REDIRECT":
            return f"-j REDIRECT --to-ports {port}" if port else "-j REDIRECT"
        if kind == "NETMAP":
            return f"-j NETMAP --to {self.dice.choice(self.universe.networks)}"
        address = self.dice.choice(self.universe.everyone)
        return f"-j DNAT --to-destination {self.with_port(address, port)}"

    def nat_source(self, hooks: set[str], used: set[str]) -> str:
        kinds = ("SNAT", "SNAT", "NETMAP") if "INPUT" in hooks else ("SNAT", "MASQUERADE", "MASQUERADE", "NETMAP")
        kind = self.dice.choice(kinds)
        used.add(kind)
        port = self.dice.choice(("", "", str(self.dice.choice(PORTS)), "50000-50010"))
        if kind == "MASQUERADE":
            return f"-j MASQUERADE --to-ports {port}" if port else "-j MASQUERADE"
        if kind == "NETMAP":
            return f"-j NETMAP --to {self.dice.choice(self.universe.networks)}"
        address = self.dice.choice((*self.universe.own, *self.universe.hosts[0], *self.universe.elsewhere))
        return f"-j SNAT --to-source {self.with_port(address, port)}"

    def with_port(self, address: str, port: str) -> str:
        if not port:
            return address
        return f"{address}:{port}" if self.family == 4 else f"[{address}]:{port}"


_REJECTS = {
    4: ("icmp-port-unreachable", "icmp-host-unreachable", "icmp-admin-prohibited", "icmp-net-prohibited", "tcp-reset"),
    6: ("icmp6-port-unreachable", "icmp6-no-route", "icmp6-adm-prohibited", "tcp-reset"),
}


def _number(address: str) -> int:
    import ipaddress

    return int(ipaddress.ip_address(address))
