"""Random conversations through the lab's router: a first packet, those that follow it, answers, and errors about it."""

from random import Random
from typing import Any

from ruleflow.kernel.lab import Shot
from ruleflow.kernel.observe import Observation
from ruleflow.kernel.router import FORWARDING, Interface, Spec
from ruleflow.kernel.wire import ICMP, ICMPV6, SCTP, TCP, UDP, Header
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.packet import FLAGS, Packet

SPEC = Spec(
    interfaces=(
        Interface("lo", kind="loopback"),
        Interface("eth0", ("192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64", "2001:db8::2/64")),
        Interface("eth1", ("198.51.100.1/24", "2001:db8:1::1/64")),
        Interface("eth2", ("10.0.0.1/8", "fd00::1/64")),
    ),
    routes=(
        "default via 192.0.2.254 dev eth0",
        "default via 198.51.100.254 dev eth1 table 77",
        "unreachable 203.0.113.128/25",
        "blackhole 198.18.0.0/16",
        "prohibit 198.19.0.0/16",
        "-6 default via 2001:db8::fe dev eth0",
        "-6 default via 2001:db8:1::fe dev eth1 table 77",
        "-6 unreachable 2001:db8:dead::/48",
        "-6 blackhole 2001:db8:b1ac::/48",
    ),
    rules=("-4 priority 100 fwmark 0x10/0x10 lookup 77", "-6 priority 100 fwmark 0x10/0x10 lookup 77"),
    sysctls=FORWARDING,
)
"""The router that random packets are sent through: two default routes, one by mark, and places nobody can reach."""

HOSTS = {
    4: {
        "eth0": ("192.0.2.9", "192.0.2.10", "203.0.113.9", "203.0.113.77"),
        "eth1": ("198.51.100.7", "198.51.100.8"),
        "eth2": ("10.0.0.5", "10.0.0.6", "10.20.30.40"),
    },
    6: {
        "eth0": ("2001:db8::9", "2001:db8::a", "2001:db8:ff::9"),
        "eth1": ("2001:db8:1::7", "2001:db8:1::8"),
        "eth2": ("fd00::5", "fd00::6"),
    },
}
"""Who is behind each interface (those behind the default gateway of eth0 too)."""
LOCAL = {
    4: ("192.0.2.1", "192.0.2.2", "198.51.100.1", "10.0.0.1"),
    6: ("2001:db8::1", "2001:db8::2", "2001:db8:1::1", "fd00::1"),
}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
BROADCAST = "192.0.2.255"
ODD = {
    4: ("203.0.113.200", "198.18.0.7", "198.19.0.7", BROADCAST),
    6: ("2001:db8:dead::7", "2001:db8:b1ac::7"),
}
"""Places that no route leads to, and a broadcast."""
CLIENT_PORTS = (40000, 40001, 5353, 1000, 500)
SERVER_PORTS = (22, 53, 80, 443, 8000, 8001, 8080, 5000)
TTLS = (64, 64, 64, 64, 63, 128, 255, 2, 1)
TOSES = (0, 0, 0, 0x10, 0xB8, 0x2E, 0x28)
LENGTHS = (None, 100, 100, 300, 1200)
ERRORS = {4: ((3, 3), (3, 1), (11, 0), (3, 13)), 6: ((1, 4), (1, 0), (3, 0), (1, 1))}
ODD_FLAGS = ("syn,fin", "ack", "rst", "syn,ack", "fin,ack", "psh,ack")

LONGEST, LONGEST_UNHEARD = 9, 3
"""How many packets a conversation has at most, and one of which nothing gets through."""
WAYS = ("in", "out", "through")


def number(text: str) -> int:
    """An address as a number."""
    return read_address(text)[0]


def flags_of(words: str) -> int:
    """``syn,ack`` as bits."""
    return sum(FLAGS[word] for word in words.split(","))


def first_packet(random: Random, family: int) -> Packet:
    """A packet that somebody sends first: to the router, by the router, or through it."""
    way = random.choices(WAYS, (3, 3, 5))[0]
    interface, source = _from(random, family)
    local = random.choice(LOCAL[family])
    if way == "in":
        ends, entry = (source, local), interface
    elif way == "through":
        to = _to(random, family, interface)
        ends, entry = (_stranger(random, family) if to in ODD[family] else source, to), interface
    else:
        ends, entry = _sent_here(random, family, local), None
    transport = _transport(random, family)
    # a longer one of TCP has later sequence numbers, for which the kernel may give up a closed connection (nf_seq_has_advanced)
    length = None if transport["protocol"] == TCP else random.choice(LENGTHS)
    return Packet(
        family=family, source=number(ends[0]), destination=number(ends[1]), in_interface=entry,
        ttl=random.choice(TTLS), tos=random.choice(TOSES), length=length,
        uid=random.choice((None, 1234)) if entry is None else None,
        mark=random.choice((None, None, 1, 0x10)) if entry is None else None, **transport,
    )  # fmt: skip


def _from(random: Random, family: int) -> tuple[str, str]:
    interface = random.choice(tuple(HOSTS[family]))
    if (
        random.random() < 0.06
    ):  # somebody new: the kernel counts how often it tells one that there is no way (ip_error)
        return interface, _stranger(random, family)
    if random.random() < 0.02:  # a martian: what comes in must not say it was sent here
        return interface, random.choice((LOOPBACK[family], *LOCAL[family]))
    return interface, random.choice(HOSTS[family][interface])


def _stranger(random: Random, family: int) -> str:
    number_ = random.randrange(1, 65535)
    return f"100.64.{number_ >> 8}.{number_ & 255}" if family == 4 else f"2001:db8:77::{number_:x}"


def _to(random: Random, family: int, interface: str) -> str:
    if random.random() < 0.06:
        return random.choice(ODD[family])
    others = [name for name in HOSTS[family] if name != interface]
    chosen = interface if interface in HOSTS[family] and random.random() < 0.1 else random.choice(others)
    return random.choice(HOSTS[family][chosen])


def _sent_here(random: Random, family: int, local: str) -> tuple[str, str]:
    kind = random.random()
    if kind < 0.1:
        return LOOPBACK[family], LOOPBACK[family]
    if kind < 0.2:
        return local, random.choice(LOCAL[family])
    to = _to(random, family, "lo")
    return local, to if to != BROADCAST else random.choice(
        ODD[family][:-1]
    )  # a copy of it would come back to us, too


def _transport(random: Random, family: int) -> dict[str, Any]:
    protocol = random.choices((TCP, UDP, ICMP if family == 4 else ICMPV6, SCTP), (9, 8, 3, 1))[0]
    if protocol in (ICMP, ICMPV6):
        echo = 8 if family == 4 else 128
        kind = random.choices((echo, echo + 1 if family == 6 else 0, 13 if family == 4 else echo), (8, 1, 1))[
            0
        ]
        return {"protocol": protocol, "icmp_type": kind, "icmp_code": 0}
    facts: dict[str, Any] = {
        "protocol": protocol, "source_port": random.choice(CLIENT_PORTS), "destination_port": random.choice(SERVER_PORTS),
    }  # fmt: skip
    if protocol == TCP:
        odd = random.random() < 0.12
        facts["tcp_flags"] = flags_of(random.choice(ODD_FLAGS) if odd else "syn")
    return facts


class Conversation:
    """Packets that belong together: each is made when it is seen what became of those before."""

    def __init__(self, first: Packet) -> None:
        self.first = first
        self._after: Header | None = None
        self._there: str | None = None
        self._answered = self.is_over = False
        self._tries = 0

    def next(self, random: Random) -> tuple[str, Shot]:
        """The next packet and what it is: ``first``, ``again``, ``reply`` or ``error``."""
        self._tries += 1
        self.is_over |= self._tries >= (LONGEST if self._after else LONGEST_UNHEARD)
        if self._after is None:
            return "first", Shot(self.first)
        if self.first.destination == number(BROADCAST) and self.first.family == 4:  # nobody answers as all
            return "again", Shot(self._again())
        kind = random.choices(("again", "reply", "error"), (4, 7, 2 if self._is_quotable() else 0))[0]
        if kind == "again":
            return "again", Shot(self._again())
        return (
            (kind, Shot(self._reply(), echo=self._after.echo))
            if kind == "reply"
            else (kind, self._error(random))
        )

    def saw(self, kind: str, seen: Observation) -> None:
        """What became of the packet that `next` gave."""
        if kind in ("first", "again") and seen.after is not None:
            self._after, self._there = seen.after, seen.interface
        elif kind == "reply":
            self._answered = True

    def is_mistakable_for(self, other: "Conversation") -> bool:
        """Whether only the identifiers of two pings, which a walk does not know, tell their answers apart."""
        mine, its = self._after, other._after  # noqa: SLF001
        if mine is None or its is None or mine.protocol not in (ICMP, ICMPV6):
            return False
        return (mine.protocol, mine.source, mine.destination) == (its.protocol, its.source, its.destination)

    def _is_quotable(self) -> bool:
        return self._after is not None and not self._after.is_error

    def _again(self) -> Packet:
        if self.first.protocol != TCP or not self._answered:
            return self.first
        return self.first.with_(tcp_flags=flags_of("ack"))

    def _back(self, family: int) -> dict[str, Any]:
        assert self._after is not None
        return {
            "family": family, "source": self._after.destination, "destination": self._after.source, "in_interface": self._there,
        }  # fmt: skip

    def _reply(self) -> Packet:
        after = self._after
        assert after is not None
        facts: dict[str, Any] = {
            "protocol": after.protocol,
            "source_port": after.destination_port,
            "destination_port": after.source_port,
        }
        if after.protocol == TCP:
            facts["tcp_flags"] = flags_of("ack" if self._answered else "syn,ack")
        if after.protocol in (ICMP, ICMPV6):
            kind = after.icmp_type or 0
            facts |= {"icmp_type": {8: 0, 128: 129, 13: 14}.get(kind, kind), "icmp_code": 0}
        return Packet(**self._back(after.family), **facts, ttl=64)

    def _error(self, random: Random) -> Shot:
        after = self._after
        assert after is not None
        kind, code = random.choice(ERRORS[after.family])
        protocol = ICMP if after.family == 4 else ICMPV6
        packet = Packet(**self._back(after.family), protocol=protocol, icmp_type=kind, icmp_code=code, ttl=64)
        return Shot(packet, quoted=after.packet(length=None), echo=after.echo)


def conversations(random: Random, family: int, number_of: int) -> list[Conversation]:
    """Conversations of a rule set, no two with the same first packet."""
    found: list[Conversation] = []
    while len(found) < number_of:
        found.append(another(random, family, found))
    return found


def another(random: Random, family: int, others: list[Conversation]) -> Conversation:
    """A conversation that has other ends than all ``others``."""
    taken = {_ends(other.first) for other in others}
    while True:
        packet = first_packet(random, family)
        if _ends(packet) not in taken:
            return Conversation(packet)


def _ends(packet: Packet) -> frozenset[object]:
    return frozenset({
        packet.protocol, ("end", packet.source, packet.source_port), ("end", packet.destination, packet.destination_port),
    })  # fmt: skip
