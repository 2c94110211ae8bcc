"""Packets near the borders that a rule set draws, and a host they come to: everything known that a walk may ask."""

import random
from collections.abc import Iterator

from ruleflow.analysis.reach import Reach
from ruleflow.errors import RuleflowError
from ruleflow.netfilter.encode import DPORT, DST, LEVELS, PROTO, SPORT, SRC, STATE_ORDER
from ruleflow.netfilter.host import Address, Host, Interface, Nexthop, Route, Sysctls
from ruleflow.netfilter.kernel_routes import kernel_routes
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.read_host import default_rules
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.extension import Target
from ruleflow.ruleset.protocols import PORTED

FORWARDS = Sysctls.of({"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"})
LOOPBACK = Interface(
    name="lo", index=1, kind="loopback", flags=("LOOPBACK", "UP", "LOWER_UP"),
    addresses=(
        Address(family=4, address=127 << 24 | 1, length=8, scope="host"),
        Address(family=6, address=1, length=128, scope="host"),
    ),
)  # fmt: skip
HEADER = ("mark", "tos", "length", "mac", "ttl", "uid", "gid", "extension_headers")
"""Fields that are told where rules ask for them; what a rule does not ask for has its usual value."""


def is_ordinary(address: int, family: int) -> bool:
    """Whether hosts on the net have such an address."""
    if family == 4:
        return 0x01000000 <= address <= 0x7EFFFFFF or 0x80000000 <= address <= 0xDFFFFFFF
    return 2 <= address < 0xFE80 << 112 and address >> 32 != 0xFFFF


class Near:
    """Half of the numbers are those that rules name, or stand beside them; others are anything."""

    def __init__(self, reach: Reach, chance: random.Random) -> None:
        self.reach, self.chance, self.family = reach, chance, reach.rules.family
        self.tops, self.used = reach.diagrams.tops, reach.flow.side.space.used
        cuts: dict[int, set[int]] = {}
        for asked in reach.flow.side.space.all_asked():
            for level, intervals in asked.tests:
                for low, high in intervals[:30]:
                    near = (low, high, max(low - 1, 0), min(high + 1, self.tops[level]))
                    cuts.setdefault(level, set()).update(near)
        self.cuts = {level: sorted(found) for level, found in cuts.items()}
        borders = [
            one for one in self.cuts.get(DST, ()) if is_ordinary(one, self.family) and not self.is_target(one)
        ]
        self.local = (*chance.sample(borders, min(15, len(borders))), *(self.somewhere() for _ in range(10)))
        atoms = reach.encoder.atoms
        self.names = [name for n in range(1, len(atoms)) if (name := atoms.name(n)) and name != "lo"] or [
            "eth0"
        ]

    def host(self, out: str) -> Machine:
        """A host with these interfaces and addresses of its own, everything else behind ``out``."""
        width = 32 if self.family == 4 else 128
        own: dict[str, list[Address]] = {name: [] for name in self.names}
        for number, address in enumerate(self.local):
            own[self.names[number % len(self.names)]].append(
                Address(family=self.family, address=address, length=width)
            )
        links = (
            LOOPBACK,
            *(Interface(name=n, index=i, addresses=tuple(own[n])) for i, n in enumerate(self.names, 2)),
        )
        hop = (Nexthop(interface=out),)
        routes = (
            *kernel_routes(links),
            Route(family=self.family, destination=0, length=0, nexthops=hop, scope="link"),
        )
        rules = (*default_rules(4), *default_rules(6))
        host = Host(interfaces=links, routes=routes, rules=rules, sysctls=FORWARDS)
        return Machine(host, (self.reach.rules,), self.family)

    def is_target(self, address: int) -> bool:
        """Whether rules rewrite packets to it: then it is taken to be elsewhere."""
        top = self.tops[DST]
        for _, rule in self.reach.rules.rules():
            if isinstance(rule.target, Target):
                for change in rule.target.effects().changes:
                    if isinstance(change, Rewrite) and change.low is not None:
                        size = top & ~change.netmask if change.netmask is not None else 0
                        if change.low <= address <= max(change.high or 0, change.low + size):
                            return True
        return False

    def somewhere(self) -> int:
        """An address like any other."""
        while True:
            found = self.chance.getrandbits(32 if self.family == 4 else 128)
            if is_ordinary(found, self.family):
                return found

    def number(self, level: int) -> int:
        """A number that rules name, or stands beside one, or anything."""
        if level in self.cuts and self.chance.random() < 0.5:
            return self.chance.choice(self.cuts[level])
        return self.chance.randint(0, self.tops[level])

    def address(self, level: int) -> int:
        """An address that is not this host's."""
        while True:
            found = self.number(level)
            if is_ordinary(found, self.family) and found not in self.local:
                return found

    def packets(self, way: str, out: str, number: int) -> Iterator[Packet]:
        """Packets on a way (in, through, out), to places behind the interface ``out``."""
        for _ in range(number):
            facts: dict[str, object] = {
                "family": self.family,
                "protocol": self.chance.choice((6, 6, 17, self.number(PROTO))),
                "source": self.chance.choice(self.local) if way == "out" else self.address(SRC),
                "destination": self.chance.choice(self.local) if way == "in" else self.address(DST),
                "state": STATE_ORDER[self.chance.choice((1, 1, self.chance.randrange(5)))],
                ("out_interface" if way == "out" else "in_interface"): (
                    out if way == "out" else self.chance.choice(self.names)
                ),
            }
            facts |= self._header(facts, way)
            try:
                yield Packet(**facts)  # type: ignore[arg-type]
            except RuleflowError:  # no such packet travels
                continue

    def _header(self, facts: dict[str, object], way: str) -> dict[str, object]:
        found: dict[str, object] = {
            name: self.number(LEVELS[name])
            for name in HEADER
            if name in self.used and (name not in ("uid", "gid") if way != "out" else name != "mac")
        }
        if "helper" in self.used and facts["state"] in (2, 4, 8):
            found["helper"] = self.chance.choice(("ftp", "sip", "none"))
        if "ttl" in found:
            found["ttl"] = max(2, self.number(LEVELS["ttl"]))
        if facts["protocol"] in PORTED:
            found |= {"source_port": self.number(SPORT), "destination_port": self.number(DPORT)}
        if facts["protocol"] == 6:
            found["tcp_flags"] = self.chance.choice((2, 16, 18, self.number(LEVELS["tcp_flags"])))
        for name, protocols in (("spi", (50, 51)), ("mh_type", (135,)), ("dccp_type", (33,))):
            if facts["protocol"] in protocols:
                found[name] = self.number(LEVELS[name])
        if facts["protocol"] in (1, 58):
            found |= {"icmp_type": self.number(LEVELS["icmp_type"]), "icmp_code": 0}
        return found
