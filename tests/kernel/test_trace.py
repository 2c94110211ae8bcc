"""What the tellers of traces print, as they printed it on Linux 6.18 with iptables 1.8.9 and nftables 1.0.6."""

from ruleflow.kernel.trace import Listing, TraceEvent, completed, parse_trace
from ruleflow.netfilter.packet import Packet

RULES = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:U - [0:0]
:V - [0:0]
:W - [0:0]
-A FORWARD -j U
-A FORWARD -p tcp -g W
-A FORWARD -p udp -m mark --mark 0x1 -j MARK --set-xmark 0x3/0xffffffff
-A FORWARD -p udp -m udp --dport 10 -j REJECT --reject-with icmp-port-unreachable
-A U -p tcp -j RETURN
-A U -j V
-A V -p udp -j MARK --set-xmark 0x1/0xffffffff
-A V -p udp -m udp --dport 12 -j ACCEPT
-A W -p udp -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080
COMMIT
"""
CHAINS = {"FORWARD": (7, 8, 9, 10), "U": (11, 12), "V": (13, 14), "W": (15,)}
HANDLES = [("filter", chain, handle) for chain, handles in CHAINS.items() for handle in handles]
HANDLES.append(("nat", "PREROUTING", 3))
LISTING = Listing.of_text(RULES, HANDLES)

UDP_WAY = """\
filter FORWARD rule 1 JUMP U line 8
filter U rule 2 JUMP V line 13
filter V rule 1 CONTINUE line 14
filter V end RETURN
filter U end RETURN
filter FORWARD rule 3 CONTINUE line 10
filter FORWARD rule 4 DROP line 11
"""
TCP_WAY = """\
nat PREROUTING rule 1 ACCEPT line 20
filter FORWARD rule 1 JUMP U line 8
filter U rule 1 RETURN line 12
filter FORWARD rule 2 GOTO W line 9
filter W end RETURN
filter FORWARD policy DROP
"""

MONITOR = """\
PACKET: 2 abf80841 IN=eth0 OUT=eth2 MACSRC=2:0:0:0:0:1 MACDST=ae:97:6e:2c:d3:9e MACPROTO=0800 SRC=192.0.2.9 DST=10.0.0.7 LEN=35 TOS=0x0 TTL=63 ID=1 SPORT=5 DPORT=10 
 TRACE: 2 abf80841 filter:FORWARD:rule:0x7:JUMP:U  -4 -t filter -A FORWARD -j U
 TRACE: 2 abf80841 filter:U:rule:0xc:JUMP:V  -4 -t filter -A U -j V
 TRACE: 2 abf80841 filter:V:rule:0xd:CONTINUE  -4 -t filter -A V -p udp -j MARK --set-xmark 0x1/0xffffffff
 TRACE: 2 abf80841 filter:FORWARD:rule:0x9:CONTINUE  -4 -t filter -A FORWARD -p udp -m mark --mark 0x1 -j MARK --set-xmark 0x3/0xffffffff
 TRACE: 2 abf80841 filter:FORWARD:rule:0xa:DROP  -4 -t filter -A FORWARD -p udp -m udp --dport 10 -j REJECT --reject-with icmp-port-unreachable
"""  # noqa: W291 - as printed
MONITOR_TCP = """\
PACKET: 2 09f4c7f7 IN=eth0 MACSRC=2:0:0:0:0:1 MACDST=ae:97:6e:2c:d3:9e MACPROTO=0800 SRC=192.0.2.9 DST=192.0.2.1 LEN=47 TOS=0x0 TTL=64 ID=2 SPORT=5 DPORT=80 SYN 
 TRACE: 2 09f4c7f7 nat:PREROUTING:rule:0x3:ACCEPT  -4 -t nat -A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080
 TRACE: 2 09f4c7f7 filter:FORWARD:rule:0x7:JUMP:U  -4 -t filter -A FORWARD -j U
 TRACE: 2 09f4c7f7 filter:U:rule:0xb:0xfffffffb  -4 -t filter -A U -p tcp -j RETURN
 TRACE: 2 09f4c7f7 filter:FORWARD:rule:0x8:GOTO:W  -4 -t filter -A FORWARD -p tcp -g W
 TRACE: 2 09f4c7f7 filter:FORWARD:policy:DROP 
"""  # noqa: W291
NFT = """\
trace id c0f7802d ip filter FORWARD packet: iif "eth0" oif "eth2" ether saddr 02:00:00:00:00:01 ether daddr 8a:e4:4b:2c:a2:30 ip saddr 192.0.2.9 ip daddr 10.0.0.7 ip dscp cs0 ip ecn not-ect ip ttl 63 ip id 1 ip length 35 udp sport 5 udp dport 10 udp length 15 @th,64,56 0x72664c41420001 
trace id c0f7802d ip filter FORWARD rule counter packets 0 bytes 0 jump U (verdict jump U)
trace id c0f7802d ip filter U rule counter packets 0 bytes 0 jump V (verdict jump V)
trace id c0f7802d ip filter V rule meta l4proto udp counter packets 0 bytes 0 meta mark set 0x1 (verdict continue)
trace id c0f7802d ip filter FORWARD rule meta l4proto udp meta mark 0x00000001 counter packets 0 bytes 0 meta mark set 0x3 (verdict continue)
trace id c0f7802d ip filter FORWARD rule udp dport 10 counter packets 0 bytes 0 reject (verdict drop)
"""  # noqa: W291
NFT_TCP = """\
trace id 5e9ae405 ip nat PREROUTING packet: iif "eth0" ether saddr 02:00:00:00:00:01 ether daddr 8a:e4:4b:2c:a2:30 ip saddr 192.0.2.9 ip daddr 192.0.2.1 ip dscp cs0 ip ecn not-ect ip ttl 64 ip id 2 ip length 47 tcp sport 5 tcp dport 80 tcp flags == syn tcp window 64240 
trace id 5e9ae405 ip nat PREROUTING rule tcp dport 80 counter packets 0 bytes 0 dnat to 10.0.0.5:8080 (verdict accept)
trace id 5e9ae405 ip filter FORWARD rule counter packets 0 bytes 0 jump U (verdict jump U)
trace id 5e9ae405 ip filter U rule meta l4proto tcp counter packets 0 bytes 0 return (verdict return)
trace id 5e9ae405 ip filter FORWARD rule meta l4proto tcp counter packets 0 bytes 0 goto W (verdict goto W)
trace id 5e9ae405 ip filter FORWARD policy drop 
"""  # noqa: W291
LOG_HEAD = "kernel: [  12.5] TRACE: {} IN=eth0 OUT=eth2 MAC=8a:e4:4b:2c:a2:30:02:00:00:00:00:01:08:00 SRC=192.0.2.9 DST=10.0.0.7 LEN=35 TOS=0x00 PREC=0x00 TTL=63 ID=1 PROTO={}"
LOG = [
    LOG_HEAD.format(place, "UDP SPT=5 DPT=10 LEN=15")
    for place in ("filter:FORWARD:rule:1", "filter:U:rule:2", "filter:V:rule:1", "filter:V:return:3",
                  "filter:U:return:3", "filter:FORWARD:rule:3", "filter:FORWARD:rule:4")
]  # fmt: skip
LOG_TCP = [
    LOG_HEAD.format(place, "TCP SPT=5 DPT=8080 WINDOW=64240 RES=0x00 SYN URGP=0")
    for place in ("nat:PREROUTING:rule:1", "filter:FORWARD:rule:1", "filter:U:rule:1", "filter:FORWARD:rule:2",
                  "filter:W:return:2", "filter:FORWARD:policy:5")
]  # fmt: skip


def way(events: "list[TraceEvent]") -> str:
    return "".join(f"{_said(event)}\n" for event in events if event.kind != "packet")


def _said(event: TraceEvent) -> str:
    number = f" {event.number}" if event.number else ""
    target = f" {event.target}" if event.target else ""
    line = f" line {event.line}" if event.line else ""
    return f"{event.table} {event.chain} {event.kind}{number} {event.verdict}{target}{line}"


def test_every_teller_tells_the_same_way() -> None:
    assert way(list(completed(parse_trace(MONITOR), LISTING))) == UDP_WAY
    assert way(list(completed(parse_trace(NFT), Listing()))) == UDP_WAY_WITHOUT_LISTING
    assert way(list(completed(parse_trace(LOG), LISTING))) == UDP_WAY


UDP_WAY_WITHOUT_LISTING = """\
filter FORWARD rule JUMP U
filter U rule JUMP V
filter V rule CONTINUE
filter V end RETURN
filter U end RETURN
filter FORWARD rule CONTINUE
filter FORWARD rule DROP
"""


def test_return_goto_and_policy() -> None:
    assert way(list(completed(parse_trace(MONITOR_TCP), LISTING))) == TCP_WAY
    assert way(list(completed(parse_trace(LOG_TCP), LISTING))) == TCP_WAY
    words = [line.split(" line ")[0] for line in TCP_WAY.splitlines()]
    told = way(list(completed(parse_trace(NFT_TCP), LISTING))).splitlines()
    assert [w.split() for w in told] == [[x for x in w.split() if not x.isdecimal()] for w in words]


def test_mixed_packets_keep_their_ways() -> None:
    lines = [
        line for pair in zip(MONITOR.splitlines(), MONITOR_TCP.splitlines(), strict=True) for line in pair
    ]
    events = list(completed(parse_trace(lines), LISTING))
    assert way([e for e in events if e.trace == "abf80841"]) == UDP_WAY
    assert way([e for e in events if e.trace == "09f4c7f7"]) == TCP_WAY


def test_the_packet_is_read_from_each() -> None:
    udp = Packet.parse("udp 192.0.2.9:5 10.0.0.7:10 in eth0 out eth2 ttl 63 length 35")
    from_nft = next(parse_trace(NFT)).packet
    from_log = next(parse_trace(LOG)).packet
    assert from_nft == udp
    assert from_log == udp.with_(tos=0)
    tcp = next(parse_trace(LOG_TCP)).packet
    assert tcp is not None
    assert (tcp.protocol, tcp.tcp_flags) == (6, 2)
    monitored = next(parse_trace(MONITOR_TCP)).packet
    assert monitored is not None
    assert (monitored.protocol, monitored.destination_port, monitored.tcp_flags) == (6, 80, 2)


def test_other_lines_are_passed_over() -> None:
    assert list(parse_trace("add rule ip filter FORWARD\n\nfoo TRACE: \n")) == []


def test_an_unconditional_last_rule_is_a_rule() -> None:
    text = (
        "*filter\n:INPUT DROP [0:0]\n:U - [0:0]\n-A INPUT -j U\n-A INPUT -j ACCEPT\n-A U -j RETURN\nCOMMIT\n"
    )
    log = [
        LOG_HEAD.format(p, "UDP SPT=5 DPT=10 LEN=15")
        for p in ("filter:INPUT:rule:1", "filter:U:return:1", "filter:INPUT:policy:2")
    ]
    assert way(list(completed(parse_trace(log), Listing.of_text(text)))) == (
        "filter INPUT rule 1 JUMP U line 4\nfilter U rule 1 RETURN line 6\nfilter INPUT rule 2 ACCEPT line 5\n"
    )
