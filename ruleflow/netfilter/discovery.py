"""IPv6 neighbour discovery: the packets by which a host learns which link-layer address has an address.

Unlike ARP they are IPv6 packets, so that ip6tables may drop them, on a bridge as well (tried beside Docker 20.10: in an
internal network its rule ``! -d SUBNET -i BRIDGE -j DROP`` drops the question, which goes to a multicast group).
ndisc_solicit, ndisc_send_ns, ndisc_recv_ns (net/ipv6/ndisc.c); RFC 4861 §4.3, §4.4, §7.2.
"""

from ruleflow.netfilter.host import Host
from ruleflow.netfilter.packet import Packet

SOLICITATION, ADVERTISEMENT = 135, 136
SOLICITED_NODE = 0xFF0200000000000000000001FF000000
"""ff02::1:ff00:0/104: the group of everybody whose address ends in the same 24 bits (RFC 4291 §2.7.1)."""
UNUSABLE = frozenset({"FAILED", "INCOMPLETE", "NONE"})


def is_discovery(packet: Packet) -> bool:
    """Whether it is a question or an answer of neighbour discovery itself."""
    return packet.protocol == 58 and packet.icmp_type in (SOLICITATION, ADVERTISEMENT)


def is_known(host: Host, address: int, interface: str, family: int = 6) -> bool:
    """Whether the host need not ask: an entry that may be old is used while it is confirmed (RFC 4861 §7.3.3)."""
    entry = host.neighbour(address, family, interface)
    return entry is not None and entry.mac is not None and UNUSABLE.isdisjoint(entry.state)


def solicitation(host: Host, interface: str, about: int, sender: int | None) -> Packet | None:
    """The question that ``host`` sends by ``interface``; None where it has no address there to ask with.

    Its source is that of the packet waiting, where it is the interface's own, or else the link-local address. An
    address that is tentative when the host is read has no local route yet and will have one within a second: the
    answer to it cannot be judged.
    """
    link = host.interface(interface)
    usable = (
        [one for one in link.addresses if one.family == 6 and "tentative" not in one.flags] if link else []
    )
    own = {one.address: one.scope for one in usable}
    source = sender if sender in own else next((one for one, scope in own.items() if scope == "link"), None)
    if source is None:
        return None
    group = SOLICITED_NODE | about & 0xFFFFFF
    return Packet(
        family=6, protocol=58, source=source, destination=group, icmp_type=SOLICITATION, icmp_code=0, ttl=255,
        out_interface=interface,
    )  # fmt: skip


def advertisement(question: Packet, about: int, interface: str) -> Packet:
    """The answer to a question: from the address asked about, to who asked."""
    return Packet(
        family=6, protocol=58, source=about, destination=question.source, icmp_type=ADVERTISEMENT, icmp_code=0, ttl=255,
        out_interface=interface,
    )  # fmt: skip
