"""A packet as bytes and back: IPv4 and IPv6 with what stands on top of them, checksums right.

Only what a lab has to send and to recognise. Layouts: RFC 791, 8200, 9293, 768, 792, 4443, 9260, 4340, 4302, 4303, 2784.
"""

import struct
from collections.abc import Callable

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.netfilter.packet import Packet

ICMP, IGMP, TCP, UDP, DCCP, GRE, ESP, AH, ICMPV6, SCTP, UDPLITE = 1, 2, 6, 17, 33, 47, 50, 51, 58, 132, 136
HOP_BY_HOP, ROUTING, FRAGMENT, NO_NEXT, DESTINATION_OPTIONS, MOBILITY = 0, 43, 44, 59, 60, 135
EXTENSIONS = ((0x80, HOP_BY_HOP), (0x40, DESTINATION_OPTIONS), (0x20, ROUTING), (0x10, FRAGMENT), (0x08, AH))
"""Bits of `Packet.extension_headers` (those of <linux/netfilter_ipv6/ip6t_ipv6header.h>) in the order on the wire."""
SYN, ACK = 0x02, 0x10
SEQUENCE = 1000
ECHO_ID = 0x5246
MAGIC = b"rfLAB"
ICMP_ERRORS = {4: (3, 4, 5, 11, 12), 6: (1, 2, 3, 4)}


class WireError(RuleflowError):
    """A packet that cannot be put into bytes, or not on the wire."""


class Header(msgspec.Struct, frozen=True):
    """What was read of a packet; ports, ICMP and flags are None where the packet has none (or was cut off before).

    ``quoted`` is the packet inside an ICMP error. ``ident`` is the IPv4 identification or the IPv6 flow label.
    """

    family: int
    protocol: int
    source: int
    destination: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_flags: int | None = None
    ttl: int = 0
    tos: int = 0
    length: int = 0
    ident: int = 0
    fragment: int = 0
    more_fragments: bool = False
    ip_options: bytes = b""
    extensions: tuple[int, ...] = ()
    spi: int | None = None
    payload: bytes = b""
    quoted: "Header | None" = None
    echo: int | None = None
    """The identifier of an ICMP request or its answer, which NAT may change."""

    def packet(self, **facts: object) -> Packet:
        """The same as a `Packet`, with what is not in the bytes (interfaces, mark) added."""
        known = {name: getattr(self, name) for name in _PACKET_FACTS}
        known["fragment"] = self.fragment or None
        return Packet(**known | facts)

    @property
    def is_error(self) -> bool:
        """Is it an ICMP error about another packet?"""
        kind = {4: ICMP, 6: ICMPV6}[self.family]
        return self.protocol == kind and self.icmp_type in ICMP_ERRORS[self.family]


_PACKET_FACTS = (
    "family", "protocol", "source", "destination", "source_port", "destination_port", "icmp_type", "icmp_code",
    "tcp_flags", "ttl", "tos", "length", "fragment", "spi",
)  # fmt: skip


class _Extras(msgspec.Struct, frozen=True):
    """What a `Packet` has no word for."""

    ident: int
    more_fragments: bool
    ip_options: bytes
    quoted: bytes
    echo: int


def encode(
    packet: Packet,
    payload: bytes = b"",
    *,
    ident: int = 0,
    more_fragments: bool = False,
    ip_options: bytes = b"",
    quoted: bytes = b"",
    echo: int | None = None,
) -> bytes:
    """The bytes of a packet from its IP header on.

    ``ident`` goes into the IPv4 identification (16 bits) or the IPv6 flow label (20 bits); ``quoted`` is the packet an ICMP
    error is about, ``echo`` the identifier of an ICMP request or answer. A given ``packet.length`` pads the payload with zeros. Not given: TTL 64, a new TCP connection (SYN), an
    echo request, ports 0, the unspecified address. Raises `WireError` where ``length`` is too short for the headers.
    """
    build = _encode4 if packet.family == 4 else _encode6
    extras = _Extras(
        ident,
        more_fragments,
        ip_options + b"\0" * (-len(ip_options) % 4),
        quoted,
        ECHO_ID if echo is None else echo,
    )
    data = build(packet, payload, extras)
    missing = (packet.length or len(data)) - len(data)
    if missing < 0:
        raise WireError(
            f"a packet of {packet.length} bytes is shorter than its headers, {len(data)} bytes",
            help="give a greater length, or none",
        )
    return build(packet, payload + b"\0" * missing, extras) if missing else data


def _encode4(p: Packet, payload: bytes, extras: _Extras) -> bytes:
    source, destination = (p.source or 0).to_bytes(4, "big"), (p.destination or 0).to_bytes(4, "big")
    protocol = _protocol(p)
    body = _body(p, protocol, payload, source + destination + struct.pack(">BB", 0, protocol), extras)
    size = 20 + len(extras.ip_options)
    head = bytearray(struct.pack(
        ">BBHHHBBH4s4s", 0x40 | size // 4, p.tos or 0, size + len(body), extras.ident & 0xFFFF,
        (p.fragment or 0) | (0x2000 if extras.more_fragments else 0), 64 if p.ttl is None else p.ttl, protocol, 0, source, destination,
    ) + extras.ip_options)  # fmt: skip
    head[10:12] = checksum(bytes(head)).to_bytes(2, "big")
    return bytes(head) + body


def _encode6(p: Packet, payload: bytes, extras: _Extras) -> bytes:
    source, destination = (p.source or 0).to_bytes(16, "big"), (p.destination or 0).to_bytes(16, "big")
    protocol = _protocol(p)
    body = _body(p, protocol, payload, source + destination + struct.pack(">HBB", 0, 0, protocol), extras)
    following = protocol
    for number in reversed(_extensions(p, extras.more_fragments)):
        body = _extension(number, following, (p.fragment or 0, extras.more_fragments, extras.ident)) + body
        following = number
    word = 6 << 28 | (p.tos or 0) << 20 | extras.ident & 0xFFFFF
    return (
        struct.pack(
            ">IHBB16s16s", word, len(body), following, 64 if p.ttl is None else p.ttl, source, destination
        )
        + body
    )


def _extensions(p: Packet, more: bool) -> list[int]:
    asked = p.extension_headers or 0
    fragment = bool(p.fragment) or more
    return [number for bit, number in EXTENSIONS if asked & bit or (number == FRAGMENT and fragment)]


def _extension(number: int, following: int, fragment: tuple[int, bool, int]) -> bytes:
    if number == FRAGMENT:
        offset, more, ident = fragment
        return struct.pack(">BBHI", following, 0, offset << 3 | more, ident)
    if number == AH:
        return struct.pack(">BBHII", following, 2, 0, 1, 1) + bytes(
            4
        )  # four bytes of check value keep it on 8 (RFC 4302)
    if number == ROUTING:
        return struct.pack(
            ">BBBBI", following, 0, 253, 0, 0
        )  # type 253 is for experiments; no segments left, so passed on
    return struct.pack(">BBBB4s", following, 0, 1, 4, bytes(4))  # PadN


def _protocol(p: Packet) -> int:
    return UDP if p.protocol is None else p.protocol


def _body(p: Packet, protocol: int, payload: bytes, pseudo: bytes, extras: _Extras) -> bytes:
    if p.fragment:  # a later fragment holds no transport header
        return payload
    build = _BODIES.get(protocol)
    return build(p, payload, pseudo, extras) if build else payload


def _tcp(p: Packet, payload: bytes, pseudo: bytes, _extras: _Extras) -> bytes:
    options = _tcp_options(p)
    flags = SYN if p.tcp_flags is None else p.tcp_flags
    sequence = SEQUENCE if flags & SYN else SEQUENCE + 1
    head = struct.pack(
        ">HHIIBBHHH", p.source_port or 0, p.destination_port or 0, sequence, SEQUENCE + 1 if flags & ACK else 0,
        (20 + len(options)) // 4 << 4, flags, 64240, 0, 0,
    )  # fmt: skip
    return _summed(head + options + payload, 16, pseudo)


def _tcp_options(p: Packet) -> bytes:
    wanted = p.tcp_options or 0
    options = b"" if p.mss is None else struct.pack(">BBH", 2, 4, p.mss)
    for number in range(3, 256):
        if wanted >> number & 1:
            size = {3: 3, 4: 2, 8: 10}.get(number, 2)
            options += bytes([number, size]) + bytes(size - 2)
    if wanted >> 2 & 1 and p.mss is None:
        options = struct.pack(">BBH", 2, 4, 1460) + options
    return options + b"\1" * (-len(options) % 4)


def _udp(p: Packet, payload: bytes, pseudo: bytes, _extras: _Extras) -> bytes:
    head = struct.pack(">HHHH", p.source_port or 0, p.destination_port or 0, 8 + len(payload), 0)
    return _summed(head + payload, 6, pseudo)


def _icmp(p: Packet, payload: bytes, pseudo: bytes, extras: _Extras) -> bytes:
    echo = 8 if p.family == 4 else 128
    kind = echo if p.icmp_type is None else p.icmp_type
    word = 0 if kind in ICMP_ERRORS[p.family] else extras.echo << 16 | 1
    data = struct.pack(">BBHI", kind, p.icmp_code or 0, 0, word) + (extras.quoted or payload)
    return _summed(data, 2, pseudo if p.family == 6 else b"", whole=p.family == 6)


def _sctp(p: Packet, payload: bytes, _pseudo: bytes, _extras: _Extras) -> bytes:
    kinds = (1,) if p.sctp_chunks is None else p.sctp_chunks
    tag = 0 if kinds[:1] == (1,) else 1  # INIT carries no verification tag (RFC 9260 §8.5.1)
    chunks = [_chunk(kind, payload if at == 1 else b"") for at, kind in enumerate(kinds, 1)]
    data = struct.pack(">HHII", p.source_port or 0, p.destination_port or 0, tag, 0) + b"".join(chunks)
    return data[:8] + crc32c(data).to_bytes(4, "little") + data[12:]


def _chunk(kind: int, payload: bytes) -> bytes:
    """A chunk with the payload in it: INIT must stand alone in its packet (RFC 9260 §6.10), so it has it as a parameter."""
    if kind in (1, 2):
        body = struct.pack(">IIHHI", 1, 65535, 1, 1, 1)
        body += (
            struct.pack(">HH", 0x8FFF, 4 + len(payload)) + payload if payload else b""
        )  # 10…: unknown, to be skipped
    else:
        body = struct.pack(">IIII", 1, 0, 0, 0) + payload
    head = struct.pack(">BBH", kind, 3 if kind == 0 else 0, 4 + len(body))
    return head + body + bytes(-len(body) % 4)


def _dccp(p: Packet, payload: bytes, pseudo: bytes, _extras: _Extras) -> bytes:
    kind = p.dccp_type or 0
    more = (
        4 if kind == 0 else 8 if kind in (1, 7) else 0 if kind == 2 else 4
    )  # service code, acknowledgement (RFC 4340 §5)
    ports = struct.pack(">HH", p.source_port or 0, p.destination_port or 0)
    head = (
        ports + struct.pack(">BBHBBHI", (16 + more) // 4, 0, 0, kind << 1 | 1, 0, 0, SEQUENCE) + bytes(more)
    )
    return _summed(head + payload, 6, pseudo)


def _gre(_p: Packet, payload: bytes, _pseudo: bytes, _extras: _Extras) -> bytes:
    return struct.pack(">HH", 0, 0x88B5) + payload


def _esp(p: Packet, payload: bytes, _pseudo: bytes, _extras: _Extras) -> bytes:
    return struct.pack(">II", p.spi or 0, 1) + payload


def _ah(p: Packet, payload: bytes, _pseudo: bytes, _extras: _Extras) -> bytes:
    return struct.pack(">BBHII", NO_NEXT, 2, 0, p.spi or 0, 1) + bytes(4) + payload


_BODIES: dict[int, Callable[[Packet, bytes, bytes, _Extras], bytes]] = {
    TCP: _tcp, UDP: _udp, UDPLITE: _udp, ICMP: _icmp, ICMPV6: _icmp, SCTP: _sctp, DCCP: _dccp, GRE: _gre, ESP: _esp, AH: _ah,
}  # fmt: skip


def _summed(data: bytes, at: int, pseudo: bytes, *, whole: bool = True) -> bytes:
    """``data`` with the Internet checksum at ``at``; the pseudo header counts the length where there is one."""
    front = pseudo[:-4] + struct.pack(">I", len(data)) + pseudo[-4:] if len(pseudo) == 36 else pseudo
    if len(pseudo) == 10:
        front = pseudo + struct.pack(">H", len(data))
    total = checksum((front if whole else b"") + data)
    return data[:at] + (total or 0xFFFF).to_bytes(2, "big") + data[at + 2 :]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    number = int.from_bytes(data + b"\0" * (len(data) % 2), "big") % 0xFFFF  # 2**16 is 1 in this arithmetic
    return 0xFFFF - number if number or not any(data) else 0


def crc32c(data: bytes) -> int:
    """The checksum of SCTP (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def decode(data: bytes) -> Header | None:
    """Read a packet from its IP header on; one that is cut off gives what is there, what is no IP packet gives None."""
    if not data:
        return None
    version = data[0] >> 4
    if version == 4 and len(data) >= 20:
        return _decode4(data)
    return _decode6(data) if version == 6 and len(data) >= 40 else None


def _decode4(data: bytes) -> Header:
    first, tos, length, ident, fragment, ttl, protocol, _, source, destination = struct.unpack_from(
        ">BBHHHBBHII", data
    )
    size = (first & 15) * 4
    head = Header(
        4, protocol, source, destination, ttl=ttl, tos=tos, length=length, ident=ident, fragment=fragment & 0x1FFF,
        more_fragments=bool(fragment & 0x2000), ip_options=data[20:size],
    )  # fmt: skip
    return _with_transport(head, data[size:length])


def _decode6(data: bytes) -> Header:
    word, length, following, ttl = struct.unpack_from(">IHBB", data)
    at, fragment, seen = 40, 0, []
    while following in (HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS, MOBILITY) and at + 8 <= len(data):
        seen.append(following)
        if following == FRAGMENT:
            fragment = int.from_bytes(data[at + 2 : at + 4], "big")
        size = 8 if following == FRAGMENT else 8 + data[at + 1] * 8
        if following == MOBILITY:
            break
        following, at = data[at], at + size
        if fragment >> 3:
            break
    head = Header(
        6, following, int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big"), ttl=ttl, tos=word >> 20 & 255,
        length=40 + length, ident=word & 0xFFFFF, fragment=fragment >> 3, more_fragments=bool(fragment & 1), extensions=tuple(seen),
    )  # fmt: skip
    return _with_transport(head, data[at : 40 + length])


def _with_transport(head: Header, data: bytes) -> Header:
    if head.fragment:
        return msgspec.structs.replace(head, payload=data)
    read = _READERS.get(head.protocol, _read_plain)
    return msgspec.structs.replace(head, **read(head, data))


def _read_plain(_head: Header, data: bytes) -> dict[str, object]:
    return {"payload": data}


def _read_ports(head: Header, data: bytes) -> dict[str, object]:
    if len(data) < 4:
        return {"payload": b""}
    source, destination = struct.unpack_from(">HH", data)
    facts: dict[str, object] = {"source_port": source, "destination_port": destination, "payload": data[8:]}
    if head.protocol == TCP and len(data) >= 14:
        facts |= {"tcp_flags": data[13], "payload": data[(data[12] >> 4) * 4 :]}
    return facts


def _read_icmp(head: Header, data: bytes) -> dict[str, object]:
    if len(data) < 2:
        return {}
    inner = decode(data[8:]) if data[0] in ICMP_ERRORS[head.family] else None
    facts: dict[str, object] = {
        "icmp_type": data[0],
        "icmp_code": data[1],
        "payload": data[8:],
        "quoted": inner,
    }
    if data[0] not in ICMP_ERRORS[head.family] and len(data) >= 6:
        facts["echo"] = int.from_bytes(data[4:6], "big")
    return facts


def _read_esp(_head: Header, data: bytes) -> dict[str, object]:
    return {"spi": int.from_bytes(data[:4], "big"), "payload": data[8:]}


def _read_ah(_head: Header, data: bytes) -> dict[str, object]:
    return {"spi": int.from_bytes(data[4:8], "big"), "payload": data[12:]}


_READERS: dict[int, Callable[[Header, bytes], dict[str, object]]] = {
    TCP: _read_ports, UDP: _read_ports, UDPLITE: _read_ports, SCTP: _read_ports, DCCP: _read_ports,
    ICMP: _read_icmp, ICMPV6: _read_icmp, ESP: _read_esp, AH: _read_ah,
}  # fmt: skip
