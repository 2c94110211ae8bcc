"""Packets as bytes and back."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruleflow.kernel.wire import (
    AH,
    DCCP,
    ESP,
    FRAGMENT,
    GRE,
    ICMP,
    ICMPV6,
    SCTP,
    TCP,
    UDP,
    UDPLITE,
    WireError,
    checksum,
    crc32c,
    decode,
    encode,
)
from ruleflow.netfilter.packet import Packet

PORTED = (TCP, UDP, UDPLITE, SCTP, DCCP)
PORTS = st.integers(0, 65535)


@st.composite
def packets(draw: st.DrawFn) -> Packet:
    family = draw(st.sampled_from((4, 6)))
    protocol = draw(st.sampled_from((*PORTED, ICMP if family == 4 else ICMPV6, ESP, AH, GRE, 253)))
    address = st.integers(0, 2**32 - 1) if family == 4 else st.integers(2**120, 2**128 - 1)
    facts: dict[str, object] = {"tos": draw(st.integers(0, 255)), "ttl": draw(st.integers(0, 255))}
    if protocol in PORTED:
        facts |= {"source_port": draw(PORTS), "destination_port": draw(PORTS)}
    if protocol == TCP:
        facts["tcp_flags"] = draw(st.integers(0, 255))
        facts["mss"] = draw(st.none() | st.integers(0, 65535))
    if protocol in (ICMP, ICMPV6):
        facts |= {
            "icmp_type": draw(st.sampled_from((0, 8, 13, 128, 129))),
            "icmp_code": draw(st.integers(0, 255)),
        }
    if protocol in (ESP, AH):
        facts["spi"] = draw(st.integers(0, 2**32 - 1))
    return Packet(family=family, protocol=protocol, source=draw(address), destination=draw(address), **facts)  # type: ignore[arg-type]


@given(packets(), st.binary(max_size=40), st.integers(0, 0xFFFF))
def test_what_is_written_is_read(packet: Packet, payload: bytes, ident: int) -> None:
    data = encode(packet, payload, ident=ident)
    header = decode(data)
    assert header is not None
    assert header.ident == ident
    assert header.length == len(data)
    assert payload in data
    names = ("family", "protocol", "source", "destination", "source_port", "destination_port", "icmp_type",
             "icmp_code", "tcp_flags", "ttl", "tos", "spi")  # fmt: skip
    read = header.packet()
    assert {name: getattr(read, name) for name in names} == {name: getattr(packet, name) for name in names}


@given(packets(), st.binary(max_size=40))
def test_checksums_are_right(packet: Packet, payload: bytes) -> None:
    data = encode(packet, payload)
    body = data[20:] if packet.family == 4 else data[40:]
    addresses = data[12:20] if packet.family == 4 else data[8:40]
    if packet.family == 4:
        assert checksum(data[:20]) == 0
    if packet.protocol in (TCP, UDP, ICMPV6):
        assert checksum(addresses + struct.pack(">HH", packet.protocol, len(body)) + body) == 0
    if packet.protocol == ICMP:
        assert checksum(body) == 0
    if packet.protocol == SCTP:
        assert crc32c(body[:8] + bytes(4) + body[12:]).to_bytes(4, "little") == body[8:12]


@given(st.binary(max_size=90))
def test_any_bytes_can_be_read(data: bytes) -> None:
    for first in (b"", b"\x45", b"\x60"):
        decode(first + data)


def test_known_checksums() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C in RFC 3720, B.4
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D  # the example of RFC 1071 §3


def test_length_pads() -> None:
    packet = Packet.parse("udp 192.0.2.1:1 192.0.2.2:2 length 100")
    assert len(encode(packet, b"abc")) == 100
    with pytest.raises(WireError, match="shorter than its headers"):
        encode(packet.with_(length=20))


def test_a_quoted_packet_is_read() -> None:
    inner = encode(Packet.parse("udp 192.0.2.1:1 192.0.2.2:2"), ident=77)
    error = Packet.parse("icmp port-unreachable 192.0.2.2 192.0.2.1")
    header = decode(encode(error, quoted=inner))
    assert header is not None
    assert header.is_error
    assert header.quoted is not None
    assert (header.quoted.ident, header.quoted.destination_port) == (77, 2)


def test_extension_headers_and_fragments() -> None:
    packet = Packet.parse("udp [2001:db8::1]:1 [2001:db8::2]:2").with_(extension_headers=0x80 | 0x40 | 0x20)
    header = decode(encode(packet, b"x", more_fragments=True))
    assert header is not None
    assert header.extensions == (0, 60, 43, FRAGMENT)
    assert (header.protocol, header.destination_port, header.more_fragments) == (UDP, 2, True)


def test_a_later_fragment_has_no_ports() -> None:
    for words in ("udp 192.0.2.1:1 192.0.2.2:2", "udp [2001:db8::1]:1 [2001:db8::2]:2"):
        header = decode(encode(Packet.parse(words).with_(fragment=3), b"abcd"))
        assert header is not None
        assert (header.fragment, header.source_port, header.payload) == (3, None, b"abcd")


def test_ipv4_options() -> None:
    header = decode(encode(Packet.parse("udp 192.0.2.1:1 192.0.2.2:2"), ip_options=b"\x94\x04\0\0"))
    assert header is not None
    assert (header.ip_options, header.destination_port) == (b"\x94\x04\0\0", 2)
