"""A packet as a value: every fact that a condition can read, None where it is not given."""

import msgspec

from ruleflow.errors import ReadError
from ruleflow.netfilter.numbers import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NAMES, V4_MAPPED
from ruleflow.ruleset.fields import STATES

FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128}
"""Bits of the TCP header's flag byte, RFC 9293 §3.1."""


class Packet(msgspec.Struct, frozen=True, kw_only=True):
    """One packet: addresses and header fields as numbers, interfaces as names, None for "not given".

    ``str()`` says it in the words that ``Packet.parse`` reads (grammar/packet.lark). A packet without
    ``in_interface`` was sent by this host. :data:`WORDS` has each fact's human name and unit.

    >>> Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0").destination_port
    8080
    """

    family: int
    protocol: int | None = None
    source: int | None = None
    destination: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_flags: int | None = None
    tcp_options: int | None = None
    mss: int | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    physdev_in: str | None = None
    physdev_out: str | None = None
    state: int | None = None
    ct_status: int | None = None
    ct_direction: int | None = None
    ct_protocol: int | None = None
    ct_orig_source: int | None = None
    ct_orig_destination: int | None = None
    ct_orig_source_port: int | None = None
    ct_orig_destination_port: int | None = None
    ct_reply_source: int | None = None
    ct_reply_destination: int | None = None
    ct_reply_source_port: int | None = None
    ct_reply_destination_port: int | None = None
    ct_expire: int | None = None
    helper: str | None = None
    mark: int | None = None
    connmark: int | None = None
    uid: int | None = None
    gid: int | None = None
    socket_exists: int | None = None
    cgroup: int | None = None
    ttl: int | None = None
    tos: int | None = None
    length: int | None = None
    mac: int | None = None
    pkttype: int | None = None
    fragment: int | None = None
    extension_headers: int | None = None
    spi: int | None = None
    dccp_type: int | None = None
    sctp_chunks: tuple[int, ...] | None = None
    mh_type: int | None = None
    cpu: int | None = None
    realm: int | None = None
    in_group: int | None = None
    out_group: int | None = None
    priority: int | None = None
    payload: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a packet.

        :raises ReadError: with the reason (ports on icmp, an address wider than the family, …).
        """
        for impossible in (_bad_family, _bad_ports, _bad_icmp, _bad_tcp, _bad_number):
            reason = impossible(self)
            if reason:
                raise ReadError(f"this cannot be a packet: {reason}", help=HELP)

    @classmethod
    def parse(cls, text: str) -> "Packet":
        """The packet that ``text`` says in the words of grammar/packet.lark.

        :raises ReadError: where the words are not understood, or say what cannot be a packet.
        """
        from ruleflow.netfilter.packet_words import parse

        return parse(text)

    def __str__(self) -> str:
        from ruleflow.netfilter.packet_words import words

        return words(self)

    @property
    def is_local(self) -> bool:
        """Whether this host sends it (no arriving interface is given)."""
        return self.in_interface is None

    @property
    def dscp(self) -> int | None:
        """The differentiated services code point: the upper six bits of ``tos`` (RFC 2474)."""
        return None if self.tos is None else self.tos >> 2

    @property
    def ecn(self) -> int | None:
        """The explicit congestion notification bits: the lower two bits of ``tos`` (RFC 3168)."""
        return None if self.tos is None else self.tos & 3

    @property
    def state_name(self) -> str | None:
        """The connection's state as iptables writes it, or None."""
        return next((name for name, bit in STATES.items() if bit == self.state), None)

    def with_(self, **facts: object) -> "Packet":
        """The same packet with other ``facts``."""
        return msgspec.structs.replace(self, **facts)


HELP = "write it like: tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0"

WORDS: dict[str, tuple[str, str]] = {
    "family": ("family", "4 or 6"),
    "protocol": ("protocol", "IANA number"),
    "source": ("from", "address"),
    "destination": ("to", "address"),
    "source_port": ("source port", "0 to 65535"),
    "destination_port": ("port", "0 to 65535"),
    "icmp_type": ("icmp type", "0 to 255"),
    "icmp_code": ("icmp code", "0 to 255"),
    "tcp_flags": ("tcp flags", "bits, see FLAGS"),
    "tcp_options": ("tcp options", "bit n: option n is present"),
    "mss": ("maximum segment size", "bytes"),
    "in_interface": ("in", "interface name; none: sent by this host"),
    "out_interface": ("out", "interface name"),
    "physdev_in": ("bridge port in", "interface name"),
    "physdev_out": ("bridge port out", "interface name"),
    "state": ("connection", "one bit, see ruleset.fields.STATES"),
    "ct_status": ("connection status", "bits, see ruleset.fields.STATUSES"),
    "ct_direction": ("direction of the connection", "0 original, 1 reply"),
    "ct_protocol": ("protocol of the connection", "IANA number"),
    "ct_orig_source": ("original source", "address"),
    "ct_orig_destination": ("original destination", "address"),
    "ct_orig_source_port": ("original source port", "0 to 65535"),
    "ct_orig_destination_port": ("original port", "0 to 65535"),
    "ct_reply_source": ("reply source", "address"),
    "ct_reply_destination": ("reply destination", "address"),
    "ct_reply_source_port": ("reply source port", "0 to 65535"),
    "ct_reply_destination_port": ("reply port", "0 to 65535"),
    "ct_expire": ("seconds until the connection expires", "seconds"),
    "helper": ("conntrack helper", "name"),
    "mark": ("mark", "32 bits"),
    "connmark": ("connection mark", "32 bits"),
    "uid": ("user", "number of the sending process's user"),
    "gid": ("group", "number of the sending process's group"),
    "socket_exists": ("has a local socket", "0 or 1"),
    "cgroup": ("cgroup", "net_cls class id"),
    "ttl": ("ttl", "hops (IPv6: hop limit)"),
    "tos": ("tos", "8 bits: dscp and ecn (IPv6: traffic class)"),
    "length": ("length", "bytes of the IP packet"),
    "mac": ("mac", "48 bits, the sender's"),
    "pkttype": ("link-layer packet type", "0 host, 1 broadcast, 2 multicast"),
    "fragment": ("fragment offset", "units of 8 bytes"),
    "extension_headers": ("extension headers", "bits of ip6t_ipv6header.h"),
    "spi": ("spi", "32 bits (ah, esp)"),
    "dccp_type": ("dccp type", "0 to 15"),
    "sctp_chunks": ("sctp chunks", "types in order"),
    "mh_type": ("mobility header type", "0 to 255"),
    "cpu": ("cpu", "number"),
    "realm": ("routing realm", "32 bits"),
    "in_group": ("group of the incoming interface", "number"),
    "out_group": ("group of the outgoing interface", "number"),
    "priority": ("priority", "32 bits, major:minor"),
    "payload": ("payload", "bytes after the transport header"),
}
"""Each fact's human name, as sentences use it, and its unit."""

_LIMITS = {
    "protocol": 255, "source_port": 65535, "destination_port": 65535, "icmp_type": 255, "icmp_code": 255,
    "tcp_flags": 255, "mss": 65535, "ct_direction": 1, "mark": 2**32 - 1, "connmark": 2**32 - 1,
    "uid": 2**32 - 1, "gid": 2**32 - 1, "socket_exists": 1, "ttl": 255, "tos": 255, "length": 2**32 - 1,
    "mac": 2**48 - 1, "fragment": 8191, "extension_headers": 255, "spi": 2**32 - 1, "dccp_type": 15,
    "mh_type": 255, "ct_orig_source_port": 65535, "ct_orig_destination_port": 65535,
    "ct_reply_source_port": 65535, "ct_reply_destination_port": 65535,
}  # fmt: skip


def _bad_family(packet: Packet) -> str | None:
    if packet.family not in (4, 6):
        return f"the family is 4 or 6, not {packet.family}"
    limit = 2**32 if packet.family == 4 else 2**128
    for address in (packet.source, packet.destination):
        if address is not None and not 0 <= address < limit:
            return f"an address is outside IPv{packet.family}"
    if packet.protocol == ICMPV6 and packet.family == 4:
        return "icmpv6 goes over IPv6 only"
    if packet.protocol == ICMP and packet.family == 6:
        return "icmp goes over IPv4 only; over IPv6 it is icmpv6"
    if packet.family == 6 and packet.source is not None and packet.source >> 32 == V4_MAPPED:
        return "an IPv4-mapped source (::ffff:0:0/96) never travels (RFC 4291 §2.5.5.2, ip6_rcv)"
    return None


def _bad_ports(packet: Packet) -> str | None:
    ports = packet.source_port, packet.destination_port
    if ports == (None, None) or packet.protocol is None or packet.protocol in PORT_PROTOCOLS:
        return None
    name = PROTOCOL_NAMES.get(packet.protocol, f"protocol {packet.protocol}")
    return f"{name} has no ports"


def _bad_icmp(packet: Packet) -> str | None:
    if packet.icmp_type is None and packet.icmp_code is None:
        return None
    if packet.protocol not in (None, ICMP, ICMPV6):
        return "only icmp has a type and a code"
    return None


def _bad_tcp(packet: Packet) -> str | None:
    if packet.protocol in (None, 6):
        return None
    if packet.tcp_flags is not None or packet.tcp_options is not None or packet.mss is not None:
        return "only tcp has flags, options and a segment size"
    return None


def _bad_number(packet: Packet) -> str | None:
    for name, limit in _LIMITS.items():
        value = getattr(packet, name)
        if value is not None and not 0 <= value <= limit:
            return f"{WORDS[name][0]} is 0 to {limit}, not {value}"
    if packet.state is not None and packet.state not in STATES.values():
        return "a packet is in exactly one connection state"
    return None
