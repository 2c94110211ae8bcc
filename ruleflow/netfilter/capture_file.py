"""Packets out of a capture file: classic pcap and pcapng, of Ethernet, raw IP and Linux cooked links.

Formats: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; link types of www.tcpdump.org/linktypes.html.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.numbers import ICMP, ICMPV6, PORT_PROTOCOLS
from ruleflow.netfilter.packet import Packet

NULL, ETHERNET, RAW_BSD, RAW, SLL, SLL2, IPV4, IPV6 = 0, 1, 12, 101, 113, 276, 228, 229
"""Link types: loopback, Ethernet, raw IP (two numbers), Linux cooked (two versions), IPv4 and IPv6 alone."""

Frame = tuple[int, bytes]
"""A link type and the bytes of one frame."""


def read_capture(path: Path, in_interface: str | None = None) -> tuple[Packet, ...]:
    """Each distinct flow of a capture file once, by its first packet, in order.

    A flow is one direction: protocol, addresses, ports (or ICMP kind). Frames that are not IP are passed over.
    ``in_interface`` is where the packets are to have arrived; a capture does not say it.

    :raises ReadError: where the file is no capture or is cut off in the middle.
    """
    found: dict[tuple[object, ...], Packet] = {}
    for link, frame in _frames(path.read_bytes(), str(path)):
        packet = _packet(link, frame, in_interface)
        if packet is not None:
            found.setdefault(_flow(packet), packet)
    return tuple(found.values())


def _flow(packet: Packet) -> tuple[object, ...]:
    return (
        packet.protocol, packet.source, packet.destination, packet.source_port, packet.destination_port,
        packet.icmp_type, packet.icmp_code, packet.family,
    )  # fmt: skip


def _frames(data: bytes, source: str) -> Iterator[Frame]:
    magic = data[:4]
    if magic in _CLASSIC:
        return _classic(data, _CLASSIC[magic], source)
    if magic == b"\x0a\x0d\x0d\x0a":
        return _next_generation(data, source)
    raise ReadError("this is no capture file", where=Where(source), help="write one with: tcpdump -w FILE")


_CLASSIC = {
    b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">",
}  # fmt: skip
"""The magic numbers (microseconds, nanoseconds), and the byte order each tells."""


def _cut(source: str) -> ReadError:
    return ReadError(
        "the capture file is cut off", where=Where(source), help="was tcpdump stopped while writing?"
    )


def _classic(data: bytes, order: str, source: str) -> Iterator[Frame]:
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF if len(data) >= 24 else 0
    at = 24
    while at < len(data):
        if at + 16 > len(data):
            raise _cut(source)
        size = struct.unpack_from(order + "I", data, at + 8)[0]
        if at + 16 + size > len(data):
            raise _cut(source)
        yield link, data[at + 16 : at + 16 + size]
        at += 16 + size


def _next_generation(data: bytes, source: str) -> Iterator[Frame]:
    """Sections hold interfaces (block 1), packets (6, 3 and the old 2); all else is passed over."""
    order, links, at = "<", list[int](), 0
    while at < len(data):
        if at + 12 > len(data):
            raise _cut(source)
        if data[at : at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            links = []
        kind, size = struct.unpack_from(order + "II", data, at)
        if size < 12 or at + size > len(data):
            raise _cut(source)
        body = data[at + 8 : at + size - 4]
        if kind == 1:
            links.append(struct.unpack_from(order + "H", body)[0])
        yield from _block(kind, body, order, links)
        at += size


def _block(kind: int, body: bytes, order: str, links: list[int]) -> Iterator[Frame]:
    if kind == 6:
        which, _, _, size = struct.unpack_from(order + "IIII", body)
        yield links[which], body[20 : 20 + size]
    elif kind == 2:
        which, _, _, _, size = struct.unpack_from(order + "HHIII", body)
        yield links[which], body[20 : 20 + size]
    elif kind == 3 and links:
        yield links[0], body[4 : 4 + struct.unpack_from(order + "I", body)[0]]


def _packet(link: int, frame: bytes, in_interface: str | None) -> Packet | None:
    """The IP packet of a frame, None where there is none (or not enough of it)."""
    data, mac = _payload(link, frame)
    try:
        if data[:1] and data[0] >> 4 == 4 and len(data) >= 20:
            return _four(data, mac, in_interface)
        if data[:1] and data[0] >> 4 == 6 and len(data) >= 40:
            return _six(data, mac, in_interface)
    except ReadError:  # what somebody sent that no host would: a multicast source, ports on nothing
        return None
    return None


def _payload(link: int, frame: bytes) -> tuple[bytes, int | None]:
    """What the link carries, and the sender's link-layer address."""
    if link == ETHERNET:
        return _behind_tags(frame, 12), int.from_bytes(frame[6:12], "big")
    if link == SLL:
        mac = int.from_bytes(frame[6:12], "big") if frame[4:6] == b"\x00\x06" else None
        return _behind_tags(frame, 14), mac
    if link == SLL2:
        return (frame[20:] if frame[:2] in _IP else b""), int.from_bytes(frame[12:18], "big")
    if link == NULL:
        return frame[4:], None
    return (frame if link in (RAW, RAW_BSD, 14, IPV4, IPV6) else b""), None


_IP = (b"\x08\x00", b"\x86\xdd")
_TAGS = (b"\x81\x00", b"\x88\xa8")
"""802.1Q and 802.1ad."""


def _behind_tags(frame: bytes, at: int) -> bytes:
    while frame[at : at + 2] in _TAGS:
        at += 4
    return frame[at + 2 :] if frame[at : at + 2] in _IP else b""


def _four(data: bytes, mac: int | None, in_interface: str | None) -> Packet:
    header = (data[0] & 15) * 4
    fragment = int.from_bytes(data[6:8], "big") & 0x1FFF
    facts = {} if fragment else _transport(data[9], data[header:])
    return Packet(
        family=4, protocol=data[9], source=int.from_bytes(data[12:16], "big"),
        destination=int.from_bytes(data[16:20], "big"), ttl=data[8], tos=data[1],
        length=int.from_bytes(data[2:4], "big"), mac=mac, in_interface=in_interface, fragment=fragment, **facts,
    )  # fmt: skip


def _six(data: bytes, mac: int | None, in_interface: str | None) -> Packet:
    protocol, rest, headers, fragment = _behind_headers(data[6], data[40:])
    tos = int.from_bytes(data[:2], "big") >> 4 & 0xFF
    return Packet(
        family=6, protocol=protocol, source=int.from_bytes(data[8:24], "big"),
        destination=int.from_bytes(data[24:40], "big"), ttl=data[7], tos=tos,
        length=int.from_bytes(data[4:6], "big") + 40, mac=mac, in_interface=in_interface, fragment=fragment,
        extension_headers=headers, **({} if fragment else _transport(protocol, rest)),
    )  # fmt: skip


_HEADERS = {0: 128, 60: 64, 43: 32, 44: 16, 51: 8}
"""Extension headers by next-header number, and their bits of <linux/netfilter_ipv6/ip6t_ipv6header.h>."""


def _behind_headers(protocol: int, data: bytes) -> tuple[int, bytes, int, int]:
    """The transport protocol, its bytes, the headers passed (bits) and the fragment offset (RFC 8200 §4)."""
    headers, fragment = 0, 0
    while protocol in _HEADERS and len(data) >= 8:
        headers |= _HEADERS[protocol]
        if protocol == 44:
            fragment = int.from_bytes(data[2:4], "big") >> 3
        size = 8 if protocol == 44 else (data[1] + 2) * 4 if protocol == 51 else (data[1] + 1) * 8
        protocol, data = data[0], data[size:]
    return protocol, data, headers, fragment


def _transport(protocol: int, data: bytes) -> dict[str, Any]:
    if protocol in (ICMP, ICMPV6) and len(data) >= 2:
        return {"icmp_type": data[0], "icmp_code": data[1]}
    if protocol in (50, 51) and len(data) >= 12:
        at = 0 if protocol == 50 else 4
        return {"spi": int.from_bytes(data[at : at + 4], "big")}
    if protocol not in PORT_PROTOCOLS or len(data) < 4:
        return {}
    facts: dict[str, Any] = dict(
        zip(("source_port", "destination_port"), struct.unpack(">HH", data[:4]), strict=True)
    )
    if protocol == 6 and len(data) >= 20:
        options = data[20 : (data[12] >> 4) * 4]
        facts |= {"tcp_flags": data[13], **_tcp_options(options)}
    if protocol == 33 and len(data) >= 9:
        facts["dccp_type"] = data[8] >> 1 & 15
    return facts


def _tcp_options(data: bytes) -> dict[str, int | None]:
    """Which options are there (a bit each), and the segment size (RFC 9293 §3.2)."""
    present, size, at = 0, None, 0
    while at < len(data) and data[at] != 0:
        kind = data[at]
        length = 1 if kind == 1 else data[at + 1] if at + 1 < len(data) else 0
        present |= 1 << kind
        if kind == 2 and length == 4:
            size = int.from_bytes(data[at + 2 : at + 4], "big")
        if length == 0:
            break
        at += length
    return {"tcp_options": present, "mss": size}
