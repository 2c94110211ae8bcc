"""A packet said in words: read, printed canonically, refused with reasons; log lines, route text, captures."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruleflow.errors import ReadError
from ruleflow.netfilter.capture_file import read_capture
from ruleflow.netfilter.packet import FLAGS, WORDS, Packet
from ruleflow.netfilter.packet_input import is_log_line, read_log_line, read_route_get
from ruleflow.ruleset import fields

CANONICAL = [
    "tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0",
    "udp [2001:db8::1]:53 [2001:db8::2]:53 in eth0",
    "icmp echo-request 172.17.0.2 192.0.2.10 in docker0",
    "icmp fragmentation-needed 192.0.2.1 192.0.2.2",
    "icmp 3/200 192.0.2.1 192.0.2.2",
    "icmp 40 192.0.2.1 192.0.2.2",
    "icmp 192.0.2.1 192.0.2.2",
    "icmpv6 neighbour-solicitation fe80::1 ff02::1 in eth0",
    "tcp any any:22 in in syn state new mark 0x1 connmark 0xff uid 1000 gid 5 ttl 64 tos 0x10 length 60 mac 02:42:ac:11:00:02",
    "tcp 192.0.2.1:1 192.0.2.2:2 in eth0 out eth1 physin v1 physout v2 flags syn,ack options 2,3 mss 1460",
    "tcp 192.0.2.1:1 192.0.2.2:2 flags none",
    (
        "tcp 192.0.2.1:1 192.0.2.2:2 state established status snat,dnat direction reply ctproto tcp expires 30"
        " ctorig 192.0.2.1:1 198.51.100.9:2 ctreply 198.51.100.9:2 any:7"
    ),
    "gre 192.0.2.1 192.0.2.2 fragment 185",
    "esp 192.0.2.1 192.0.2.2 spi 0x100",
    "ip 192.0.2.1 192.0.2.2 pkttype multicast cpu 1 realm 5 in-group 1 out-group 2 priority 1:a",
    "udp ::1 ::2 headers hop,frag",
    "sctp 192.0.2.1:5 192.0.2.2:6 chunks init,heartbeat-ack",
    "dccp any:1 any:2 dccp-type ack",
    "udp 192.0.2.1:5 192.0.2.2:6 helper ftp socket yes cgroup 7 payload 0aff",
    "mh 2001:db8::1 2001:db8::2 mh-type 5",
    "253 192.0.2.1 192.0.2.2",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_prints_as_written(text: str) -> None:
    assert str(Packet.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("tcp 192.0.2.1 192.0.2.2:http syn ack", "tcp 192.0.2.1 192.0.2.2:80 flags syn,ack"),
        ("tcp 192.0.2.1 192.0.2.2:ssh flags 0x12", "tcp 192.0.2.1 192.0.2.2:22 flags syn,ack"),
        ("icmp6 128 fe80::1 [fe80::2]", "icmpv6 128 fe80::1 fe80::2"),
        ("icmp ping 192.0.2.1 192.0.2.2", "icmp echo-request 192.0.2.1 192.0.2.2"),
        ("47 192.0.2.1 192.0.2.2", "gre 192.0.2.1 192.0.2.2"),
        ("ip 192.0.2.1 192.0.2.2 dscp 10 ecn 1", "ip 192.0.2.1 192.0.2.2 tos 0x29"),
        (
            "tcp  192.0.2.1:1   192.0.2.2:2  state ESTABLISHED",
            "tcp 192.0.2.1:1 192.0.2.2:2 state established",
        ),
        ("tcp any [::1]:80 hoplimit 3", "tcp any [::1]:80 ttl 3"),
        ("icmp any any", "icmp any any"),
        ("icmpv6 any any", "icmpv6 any any"),
    ],
)
def test_prints_canonically(text: str, canonical: str) -> None:
    packet = Packet.parse(text)
    assert str(packet) == canonical
    assert Packet.parse(canonical) == packet


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("icmp 192.0.2.1:5 192.0.2.2", "icmp has no ports", 1),
        ("gre 192.0.2.1 192.0.2.2:7", "gre has no ports", 1),
        ("tcp 192.0.2.1 ::1", "IPv4 and IPv6 addresses do not go together", 1),
        ("icmp 2001:db8::1 2001:db8::2", "over IPv6 it is icmpv6", 1),
        ("icmpv6 192.0.2.1 192.0.2.2", "icmpv6 goes over IPv6 only", 1),
        ("udp ::ffff:192.0.2.1 ::2", "an IPv4-mapped source (::ffff:0:0/96) never travels", 1),
        ("udp 192.0.2.1 192.0.2.2 syn", "only tcp has flags", 1),
        ("tcp 192.0.2.1:99999 192.0.2.2", "a port is 0 to 65535, not 99999", 14),
        ("tcp 192.0.2.1:nfs4 192.0.2.2", "I do not know the port 'nfs4'", 14),
        ("tcp 192.0.2.1 192.0.2.2 ttl 300", "ttl is 0 to 255, not 300", 1),
        ("tcp 192.0.2.300:5 192.0.2.2", "'192.0.2.300' is not an address", 5),
        ("tcp 192.0.2.1 192.0.2.2 in a in b", "in interface is said twice", 33),
        ("tcp 192.0.2.1 192.0.2.2 state open", "'open' is none of", 31),
        ("tcp 192.0.2.1 192.0.2.2 via eth0", "I do not understand 'via'", 25),
        ("xyz 192.0.2.1 192.0.2.2", "I do not know the protocol 'xyz'", 1),
        ("icmp frob 192.0.2.1 192.0.2.2", "I do not know the icmp type 'frob'", 6),
        ("tcp 192.0.2.1", "the packet ends too early", 14),
        ("", "the packet ends too early", 1),
        ("tcp 192.0.2.1 192.0.2.2 mac 1:2", "'1:2' is not a mac address", 29),
    ],
)
def test_refused_with_reason(text: str, message: str, column: int) -> None:
    with pytest.raises(ReadError) as caught:
        Packet.parse(text)
    assert message in caught.value.message
    assert caught.value.help
    assert caught.value.where is not None
    assert caught.value.where.column == column


def test_has_every_field_a_condition_reads() -> None:
    assert set(fields.BY_NAME) <= set(Packet.__struct_fields__)
    assert set(WORDS) == set(Packet.__struct_fields__)
    assert {name: field.words for name, field in fields.BY_NAME.items()}.items() <= {
        name: words for name, (words, _) in WORDS.items()
    }.items()


addresses = st.one_of(
    st.tuples(st.just(4), *[st.one_of(st.none(), st.integers(0, 2**32 - 1))] * 2),
    st.tuples(st.just(6), *[st.one_of(st.none(), st.integers(2**64, 2**128 - 1))] * 2),
)
port = st.one_of(st.none(), st.integers(0, 65535))
word = st.one_of(st.none(), st.from_regex(r"\A[a-z][a-z0-9.@-]{0,14}\Z"))
number = st.one_of(st.none(), st.integers(0, 2**32 - 1))


@given(
    addresses,
    st.sampled_from([6, 17, 132]),
    port,
    port,
    word,
    word,
    number,
    st.sampled_from([None, *fields.STATES.values()]),
    st.data(),
)
def test_words_say_everything(
    ends: Any,
    protocol: int,
    sport: Any,
    dport: Any,
    into: Any,
    out: Any,
    mark: Any,
    state: Any,
    data: st.DataObject,
) -> None:
    family, source, destination = ends
    if source is None and destination is None:
        family = 4
    flags = data.draw(st.one_of(st.none(), st.integers(0, 255))) if protocol == 6 else None
    packet = Packet(
        family=family, protocol=protocol, source=source, destination=destination, source_port=sport,
        destination_port=dport, in_interface=into, out_interface=out, mark=mark, state=state, tcp_flags=flags,
        tos=data.draw(st.one_of(st.none(), st.integers(0, 255))), uid=data.draw(number),
    )  # fmt: skip
    assert Packet.parse(str(packet)) == packet


LOG = "[ 1971.1] in: IN=d0 OUT= MAC=7a:c5:6e:73:81:8d:4a:2f:a7:7a:96:30:08:00 SRC=10.0.0.2 DST=10.0.0.1 "


@pytest.mark.parametrize(
    ("line", "packet"),
    [  # lines as Linux 6.18 wrote them
        (
            LOG
            + "LEN=84 TOS=0x00 PREC=0x00 TTL=64 ID=22258 DF PROTO=ICMP TYPE=8 CODE=0 ID=24090 SEQ=0 MARK=0x5 ",
            "icmp echo-request 10.0.0.2 10.0.0.1 in d0 mark 0x5 ttl 64 tos 0x0 length 84 mac 4a:2f:a7:7a:96:30",
        ),
        (
            LOG + "LEN=3028 TOS=0x00 PREC=0x00 TTL=64 ID=26685 PROTO=UDP SPT=60852 DPT=53 LEN=3008 MARK=0x5 ",
            "udp 10.0.0.2:60852 10.0.0.1:53 in d0 mark 0x5 ttl 64 tos 0x0 length 3028 mac 4a:2f:a7:7a:96:30",
        ),
        (
            LOG
            + "LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=51857 DF PROTO=TCP SPT=47414 DPT=80 WINDOW=64240 RES=0x00 SYN URGP=0",
            "tcp 10.0.0.2:47414 10.0.0.1:80 in d0 syn ttl 64 tos 0x0 length 60 mac 4a:2f:a7:7a:96:30",
        ),
        (
            (
                "IN= OUT=d0 SRC=10.0.0.1 DST=10.0.0.2 LEN=576 TOS=0x00 PREC=0xC0 TTL=64 ID=8719 PROTO=ICMP TYPE=3 CODE=3 "
                "[SRC=10.0.0.2 DST=10.0.0.1 LEN=3028 TOS=0x00 PREC=0x00 TTL=64 ID=26685 PROTO=UDP SPT=60852 DPT=53 LEN=3008 ]"
            ),
            "icmp port-unreachable 10.0.0.1 10.0.0.2 out d0 ttl 64 tos 0xc0 length 576",
        ),
        (
            (
                "IN=d0 OUT= MAC=33:33:ff:00:00:01:4a:2f:a7:7a:96:30:86:dd SRC=fd00:0000:0000:0000:0000:0000:0000:0002 "
                "DST=ff02:0000:0000:0000:0000:0001:ff00:0001 LEN=72 TC=0 HOPLIMIT=255 FLOWLBL=0 PROTO=ICMPv6 TYPE=135 CODE=0 "
            ),
            "icmpv6 neighbour-solicitation fd00::2 ff02::1:ff00:1 in d0 ttl 255 tos 0x0 length 72 mac 4a:2f:a7:7a:96:30",
        ),
        (
            (
                "TRACE: filter:INPUT:rule:2 IN=eth0 OUT= SRC=10.0.0.2 DST=10.0.0.1 LEN=40 TOS=0x08 PREC=0x20 TTL=1 ID=0 "
                "FRAG:185 PROTO=TCP UID=7 GID=8"
            ),
            "tcp 10.0.0.2 10.0.0.1 in eth0 uid 7 gid 8 ttl 1 tos 0x28 length 40 fragment 185",
        ),
    ],
)
def test_a_log_line(line: str, packet: str) -> None:
    assert is_log_line(line)
    assert str(read_log_line(line)) == packet


def test_no_log_line() -> None:
    assert not is_log_line("tcp 192.0.2.1 192.0.2.2")
    for line in ("hello", "IN=eth0 OUT= SRC=10.0.0.2"):
        with pytest.raises(ReadError, match="no line of the kernel's log"):
            read_log_line(line)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("10.5.0.1 via 10.0.0.3 dev d0 src 10.0.0.1 uid 0 \n    cache ", "ip 10.0.0.1 10.5.0.1 out d0 uid 0"),
        (
            "local 10.0.0.1 dev lo table local src 10.0.0.1 uid 0 \n    cache <local>",
            "ip 10.0.0.1 10.0.0.1 uid 0",
        ),
        (
            "10.5.0.77 from 10.0.0.9 via 10.0.0.2 dev d0 \n    cache iif d1 mark 0x1",
            "ip 10.0.0.9 10.5.0.77 in d1 out d0 mark 0x1",
        ),
        (
            "fd00::1 from :: dev d0 proto kernel src fe80::9 metric 256 pref medium",
            "ip fe80::9 fd00::1 out d0",
        ),
        (
            "10.5.0.1 via 10.0.0.3 dev d0 src 10.0.0.1 uid 0 ipproto tcp dport 80",
            "tcp 10.0.0.1 10.5.0.1:80 out d0 uid 0",
        ),
    ],
)
def test_route_get_text(text: str, packet: str) -> None:
    assert str(read_route_get(text)) == packet


def test_route_get_text_that_is_none() -> None:
    for text in ("", "RTNETLINK answers: Network is unreachable"):
        with pytest.raises(ReadError):
            read_route_get(text)


IP = bytes.fromhex("45000028000100004006000001020304050607080050005100000000000000005002000000000000")
UDP = bytes.fromhex("4500001c00010000401100000102030405060708003500360008000000")
SIX = bytes.fromhex(
    "6000000000103a40" + "fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01" + "8700000000000000" * 2
)
ETHERNET = bytes.fromhex("020000000001020000000002")


def classic(link: int, *frames: bytes, order: str = "<") -> bytes:
    head = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(order + "IIII", 0, 0, len(f), len(f)) + f for f in frames)


def block(kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def next_generation(link: int, *frames: bytes) -> bytes:
    made = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(
        1, struct.pack("<HHI", link, 0, 0)
    )
    return made + b"".join(block(6, struct.pack("<IIIII", 0, 0, 0, len(f), len(f)) + f) for f in frames)


EXPECTED = [
    "tcp 1.2.3.4:80 5.6.7.8:81 in eth0 syn options none ttl 64 tos 0x0 length 40",
    "udp 1.2.3.4:53 5.6.7.8:54 in eth0 ttl 64 tos 0x0 length 28",
    "icmpv6 neighbour-solicitation fe80::1 ff02::1 in eth0 ttl 64 tos 0x0 length 56",
]


@pytest.mark.parametrize("make", [classic, next_generation, lambda link, *f: classic(link, *f, order=">")])
def test_each_flow_of_a_capture_once(tmp_path: Path, make: Callable[..., bytes]) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(make(101, IP, UDP, IP, SIX, b"\x00", b""))
    told = [str(packet.with_(fragment=None, extension_headers=None)) for packet in read_capture(path, "eth0")]
    assert told == EXPECTED


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        (1, ETHERNET + b"\x08\x00" + IP),
        (1, ETHERNET + b"\x81\x00\x00\x05\x08\x00" + IP),
        (113, b"\0\0\0\1\0\6" + ETHERNET[6:] + b"\0\0" + b"\x08\x00" + IP),
        (276, b"\x08\x00\0\0\0\0\0\2\0\1\0\6" + ETHERNET[6:] + b"\0\0" + IP),
    ],
)
def test_links_of_captures(tmp_path: Path, link: int, frame: bytes) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(classic(link, frame, ETHERNET + b"\x08\x06" + b"\0" * 28))
    (packet,) = read_capture(path)
    assert (packet.source_port, packet.tcp_flags, packet.mac) == (80, FLAGS["syn"], 0x020000000002)


@pytest.mark.parametrize("data", [b"", b"hello world", classic(101, IP)[:-3], next_generation(101, IP)[:-3]])
def test_no_capture(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(data)
    with pytest.raises(ReadError, match=r"no capture file|cut off"):
        read_capture(path)


@pytest.mark.parametrize(
    "text",
    [
        "tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0",
        "udp [2001:db8::1]:53 [2001:db8::2]:53 in eth0",
        "tcp 203.0.113.9:40000 192.0.2.1:8080 in eth0 syn",
        "tcp 203.0.113.9:40000 192.0.2.1:8080",
    ],
)
def test_the_short_way_of_reading_agrees_with_the_grammar(text: str) -> None:
    """The commonest packets are read without lark; a fact more sends them through the grammar."""
    assert Packet.parse(f"{text} ttl 7").with_(ttl=None) == Packet.parse(text)
