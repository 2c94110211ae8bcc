"""Conditions of random rules about a packet at hand: most hold for it, some do not, a quarter is negated."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from ruleflow.kernel.random_packets import CLIENT_PORTS, HOSTS, LOCAL, SERVER_PORTS
from ruleflow.kernel.wire import ICMP, ICMPV6, SCTP, TCP, UDP
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet

NAMES = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "ipv6-icmp", SCTP: "sctp"}
ARRIVING, LEAVING = ("PREROUTING", "INPUT", "FORWARD"), ("FORWARD", "OUTPUT", "POSTROUTING")
LENGTHS = {4: (8, 16, 24, 31, 32), 6: (16, 48, 64, 127, 128)}


class Place(NamedTuple):
    """Where a rule will stand; ``callees`` are the chains it may call."""

    family: int
    table: str
    hook: str
    chain: str
    callees: tuple[str, ...]


class Draft:
    """A rule in the making: a protocol at most once, then matches."""

    def __init__(self, place: Place, packet: Packet, random: Random) -> None:
        self.place, self.packet, self.random = place, packet, random
        self.head: dict[str, str] = {}
        self.protocol: int | None = None
        self.matches: dict[str, str] = {}

    def settle(self, protocol: int | None) -> bool:
        """Make the rule one about ``protocol``; false where it is about another one."""
        if (
            protocol is None
            or self.protocol not in (None, protocol)
            or ("p" in self.head and self.protocol is None)
        ):
            return False
        self.protocol = protocol
        self.head["p"] = f"-p {NAMES[protocol]}"
        return True

    def add(self, match: str, words: str) -> None:
        """Add a match by its name; one that is there already stays."""
        self.matches.setdefault(match, f"-m {match} {words}")

    def is_right(self) -> bool:
        """Whether the next condition is to hold for the packet."""
        return self.random.random() < 0.72

    def no(self) -> str:
        """A negation, at times."""
        return "! " if self.random.random() < 0.25 else ""

    def text(self) -> str:
        """The words of all conditions."""
        return " ".join((*self.head.values(), *self.matches.values()))


def _addresses(draft: Draft) -> tuple[str, ...]:
    family = draft.place.family
    return (*(host for group in HOSTS[family].values() for host in group), *LOCAL[family])


def _address(draft: Draft, side: str) -> str:
    known = getattr(draft.packet, side)
    if draft.is_right() and known is not None:
        return address_text(known, draft.place.family)
    return draft.random.choice(_addresses(draft))


def address(draft: Draft) -> None:
    """``-s`` or ``-d``."""
    side, option = draft.random.choice((("source", "s"), ("destination", "d")))
    length = draft.random.choice(LENGTHS[draft.place.family])
    draft.head.setdefault(option, f"{draft.no()}-{option} {_address(draft, side)}/{length}")


def interface(draft: Draft) -> None:
    """``-i`` or ``-o``, wildcards too."""
    ways = [way for way, hooks in (("i", ARRIVING), ("o", LEAVING)) if draft.place.hook in hooks]
    way = draft.random.choice(ways) if ways else "i"
    if not ways:
        return
    known = draft.packet.in_interface if way == "i" else None
    name = (
        known if known and draft.is_right() else draft.random.choice(("eth0", "eth1", "eth2", "lo", "eth+"))
    )
    draft.head.setdefault(way, f"{draft.no()}-{way} {name}")


def protocol(draft: Draft) -> None:
    """``-p``, negated at times."""
    if "p" in draft.head:
        return
    if draft.random.random() < 0.25:
        draft.head["p"] = f"! -p {draft.random.choice(('tcp', 'udp', 'sctp'))}"
    else:
        draft.settle(draft.packet.protocol if draft.is_right() else draft.random.choice((TCP, UDP)))


def _ported(draft: Draft) -> str | None:
    wanted = (
        draft.packet.protocol
        if draft.packet.protocol in (TCP, UDP, SCTP)
        else draft.random.choice((TCP, UDP))
    )
    return (
        NAMES[draft.protocol or wanted]
        if (draft.protocol in (TCP, UDP, SCTP) or draft.settle(wanted))
        else None
    )


def _port(draft: Draft, side: str) -> int:
    known = draft.packet.source_port if side == "s" else draft.packet.destination_port
    if known is not None and draft.is_right():
        return known
    return draft.random.choice(CLIENT_PORTS if side == "s" else SERVER_PORTS)


def port(draft: Draft) -> None:
    """``--sport`` or ``--dport``, ranges too."""
    name = _ported(draft)
    if name is None:
        return
    side = draft.random.choice("ssddd")
    value = _port(draft, side)
    spread = draft.random.choice(("", "", f":{value + 100}"))
    draft.add(name, f"{draft.no()}--{side}port {value}{spread}")


def multiport(draft: Draft) -> None:
    """Lists of ports of either side or both."""
    if _ported(draft) is None:
        return
    option, side = draft.random.choice(
        (("sports", "s"), ("dports", "d"), ("dports", "d"), ("ports", "d"), ("ports", "s"))
    )
    value = _port(draft, side)
    listed = [f"{value}", "7", "9000:9100"]
    if draft.random.random() < 0.4:
        listed[0] = draft.random.choice(
            (f"{max(value - 10, 0)}:{value}", f"{value}:{value + 5}", f"{value + 1}:{value + 9}")
        )
    draft.random.shuffle(listed)
    draft.add("multiport", f"{draft.no()}--{option} {','.join(listed)}")


def iprange(draft: Draft) -> None:
    """Ranges of addresses, whose bounds are often the packet's own."""
    side, option = draft.random.choice((("source", "src"), ("destination", "dst")))
    known = getattr(draft.packet, side) or 0
    low, high = draft.random.choice(((0, 0), (3, 0), (0, 4), (5, 5), (-1, 3), (4, -1)))
    family = draft.place.family
    top = (1 << (32 if family == 4 else 128)) - 1
    ends = [address_text(min(max(value, 0), top), family) for value in (known - low, known + high)]
    draft.add("iprange", f"{draft.no()}--{option}-range {ends[0]}-{ends[1]}")


def address_type(draft: Draft) -> None:
    """addrtype, with and without the limit to an interface."""
    random, place = draft.random, draft.place
    types: tuple[str, ...] = ("LOCAL", "LOCAL", "LOCAL", "UNICAST", "UNICAST", "UNREACHABLE", "MULTICAST")
    types += ("BROADCAST", "BLACKHOLE", "PROHIBIT", "LOCAL,BROADCAST") if place.family == 4 else ()
    side, kind = random.choice(("src", "dst", "dst")), random.choice(types)
    limit = ""
    if random.random() < 0.2 and kind in ("LOCAL", "UNICAST"):
        arriving = place.hook in ("PREROUTING", "INPUT") or (
            place.hook == "FORWARD" and random.random() < 0.5
        )
        limit = " --limit-iface-in" if arriving else " --limit-iface-out"
    draft.add("addrtype", f"{draft.no()}--{side}-type {kind}{limit}")


def state(draft: Draft) -> None:
    """The state of the connection."""
    states = draft.random.sample(
        ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "SNAT", "DNAT"),
        draft.random.choice((1, 1, 2)),
    )
    draft.add("conntrack", f"{draft.no()}--ctstate {','.join(states)}")


def original(draft: Draft) -> None:
    """The ends of a connection: as its first packet came, or as answers come."""
    random, packet = draft.random, draft.packet
    kind = random.choice(
        ("ctorigdst", "ctorigdst", "ctorigsrc", "ctorigdstport", "ctorigdstport", "ctreplsrc", "ctrepldst")
    )
    if kind.endswith("port"):
        value = _port(draft, "d")
        draft.add("conntrack", f"{draft.no()}--{kind} {value}" + random.choice(("", f":{value + 9}")))
        return
    side = "destination" if kind in ("ctorigdst", "ctreplsrc") else "source"
    if getattr(packet, side) is not None:
        length = random.choice(LENGTHS[draft.place.family])
        draft.add("conntrack", f"{draft.no()}--{kind} {_address(draft, side)}/{length}")


def direction(draft: Draft) -> None:
    """Which way of the connection."""
    draft.add("conntrack", f"--ctdir {draft.random.choice(('ORIGINAL', 'REPLY'))}")


def status(draft: Draft) -> None:
    """What the kernel has noted of the connection."""
    words = draft.random.choice(
        ("SEEN_REPLY", "CONFIRMED", "NONE", "EXPECTED", "SEEN_REPLY,CONFIRMED", "ASSURED")
    )
    if words == "ASSURED" and not draft.settle(
        TCP
    ):  # of udp it hangs on the clock: two seconds (nf_conntrack_udp_packet)
        words = "CONFIRMED"
    draft.add("conntrack", f"{draft.no()}--ctstatus {words}")


def mark(draft: Draft) -> None:
    """Mark or connmark."""
    name = draft.random.choice(("mark", "connmark"))
    value = draft.random.choice((0, 0, 1, 2, 0x10, 0x11))
    mask = draft.random.choice(("", f"/{value | 1:#x}", f"/{value | 0x10:#x}"))
    draft.add(name, f"{draft.no()}--mark {value:#x}{mask}")


def ttl(draft: Draft) -> None:
    """Ttl or hl."""
    name = "ttl" if draft.place.family == 4 else "hl"
    known = draft.packet.ttl if draft.is_right() and draft.packet.ttl else 64
    how = draft.random.choice(("eq", "eq", "lt", "gt"))
    value = known + {"eq": 0, "lt": 1, "gt": -1}[how] if known < 255 else known
    no = draft.no() if how == "eq" else ""
    draft.add(name, f"{no}--{name}-{how} {value}")


def dscp(draft: Draft) -> None:
    """Dscp or tos."""
    value = (draft.packet.tos or 0) if draft.is_right() else 0xB8
    if draft.random.random() < 0.5:
        draft.add("dscp", f"{draft.no()}--dscp {value >> 2:#04x}")
    else:
        mask = draft.random.choice((0xFF, 0x3F, 0xFC))
        draft.add("tos", f"{draft.no()}--tos {value & mask:#04x}/{mask:#04x}")


def length(draft: Draft) -> None:
    """Lengths, as the packets have them."""
    low, high = draft.random.choice(((0, 99), (100, 100), (100, 400), (0, 1200), (1200, 65535)))
    draft.add("length", f"{draft.no()}--length {low}:{high}")


def flags(draft: Draft) -> None:
    """The flags of TCP."""
    if not draft.settle(TCP):
        return
    words = draft.random.choice((
        "--tcp-flags FIN,SYN,RST,ACK SYN", "--tcp-flags SYN,ACK SYN,ACK", "--tcp-flags ACK ACK", "--tcp-flags ALL NONE",
        "--tcp-flags FIN,SYN FIN,SYN", "--tcp-flags RST NONE",
    ))  # fmt: skip
    draft.add("tcp", draft.no() + words)


def icmp(draft: Draft) -> None:
    """The kind of an ICMP message."""
    four = draft.place.family == 4
    if not draft.settle(ICMP if four else ICMPV6):
        return
    kinds = ("8", "8/0", "0", "3", "3/3", "11/0", "13", "any") if four else ("128", "129", "1", "1/4", "3/0")
    words = f"--{'icmp' if four else 'icmpv6'}-type {draft.random.choice(kinds)}"
    draft.add("icmp" if four else "icmp6", ("" if words.endswith("any") else draft.no()) + words)


def owner(draft: Draft) -> None:
    """Who sends it, where that can be asked."""
    if draft.place.hook in ("OUTPUT", "POSTROUTING"):
        draft.add("owner", f"{draft.no()}--uid-owner {draft.random.choice((0, 1234))}")


CONDITIONS: tuple[Callable[[Draft], None], ...] = (
    address, address, interface, protocol, port, port, multiport, multiport, iprange, iprange, address_type, address_type, state, state,
    original, original, direction, status, mark, mark, ttl, ttl, dscp, dscp, length, flags, icmp, icmp, icmp, owner,
)  # fmt: skip
"""All kinds of conditions, the more often listed the more often asked."""
