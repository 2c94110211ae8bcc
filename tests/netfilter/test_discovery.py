"""IPv6 neighbours find each other by packets that ip6tables may drop: two containers on a bridge, their host, described."""

import msgspec
import pytest

from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.describe import parse_description
from ruleflow.netfilter.host import Host, RulesText
from ruleflow.netfilter.world import Link, World

CONTAINER = """
name: {name}
interfaces: {{eth0: {{addresses: ["fd00::{number}/64", "fe80::{number}/64"], mac: "02:00:00:00:00:0{number}"}}}}
listeners: ["tcp [::]:80 web", "udp [::]:80 web"]
"""
HOST = """
name: host
interfaces: {br-1: {addresses: ["fd00::1/64", "fe80::1/64"], mac: "02:00:00:00:00:01", ports: [veth2, veth3]}}
settings: {net.bridge.bridge-nf-call-ip6tables: NF, net.ipv6.conf.all.forwarding: 1, net.ipv6.conf.br-1.forwarding: 1}
listeners: []
"""
INTERNAL = """
-A FORWARD ! -s fd00::/64 -o br-1 -j DROP
-A FORWARD ! -d fd00::/64 -i br-1 -j DROP
-A FORWARD -i br-1 -o br-1 -j ACCEPT
"""
CAREFUL = "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -j DROP\n"
SOLICIT = "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m hl --hl-eq 255 -j ACCEPT\n"
ADVERTISE = "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -m hl --hl-eq 255 -j ACCEPT\n"


def container(number: int) -> Host:
    return parse_description(CONTAINER.format(name=f"c{number}", number=number))


def world(rules: str, *, bridge_nf: int = 1) -> World:
    text = f"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules.strip()}\nCOMMIT\n"
    host = parse_description(HOST.replace("NF", str(bridge_nf)))
    host = msgspec.structs.replace(host, dumps=(RulesText(6, "nf_tables", text),))
    links = tuple(Link(("host", f"veth{n}"), (f"c{n}", "eth0")) for n in (2, 3))
    return World((host, container(2), container(3)), links)


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_an_internal_network_that_also_drops_the_question(protocol: str) -> None:
    """The subnet rule is meant for the outside; the question goes to a multicast group, which is not in the subnet."""
    found = connect(world(INTERNAL), "c2", "fd00::3", 80, protocol)
    assert found.result == "no-answer"
    assert "neighbour solicitation ends at host: filter FORWARD 2" in found.because


def test_without_br_netfilter_the_question_is_not_seen() -> None:
    assert connect(world(INTERNAL, bridge_nf=0), "c2", "fd00::3", 80).result == "reached"


def test_an_entry_that_is_there_need_not_be_asked_for() -> None:
    known = {
        2: 'neighbours: {"fd00::3": {interface: eth0, mac: "02:00:00:00:00:03"}}',
        3: 'neighbours: {"fd00::2": {interface: eth0, mac: "02:00:00:00:00:02"}}',
    }
    hosts = [parse_description(CONTAINER.format(name=f"c{n}", number=n) + known[n]) for n in (2, 3)]
    at = msgspec.structs.replace(world(INTERNAL), hosts=(world(INTERNAL).main, *hosts))
    assert connect(at, "c2", "fd00::3", 80).result == "reached"


def test_a_host_that_drops_the_question_is_not_found() -> None:
    found = connect(world(CAREFUL), "c2", "fd00::1", 22)
    assert found.result == "no-answer"
    assert "neighbour solicitation ends at host: filter INPUT 3" in found.because
    assert connect(world(SOLICIT + CAREFUL), "c2", "fd00::1", 22).result == "refused"


def test_a_host_that_drops_the_answer_finds_nobody() -> None:
    found = connect(world(SOLICIT + CAREFUL), "host", "fd00::2", 80)
    assert found.result == "no-answer"
    assert "neighbour advertisement ends at host" in found.because
    assert connect(world(ADVERTISE + CAREFUL), "host", "fd00::2", 80).result == "reached"


TRANSLATE = "COMMIT\n*nat\n-A PREROUTING -d fd00::1/128 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00::3]:80\n"


def test_the_host_itself_asks_for_whom_a_bridged_packet_is_sent_on_to() -> None:
    """br_nf_pre_routing_finish_bridge looks the neighbour up: what its INPUT drops is the answer to the host."""
    questions = "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT\n-A INPUT -p tcp -j DROP\n"
    open_ = world(questions + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT\n" + TRANSLATE)
    assert connect(open_, "c2", "fd00::1", 8080).result == "reached"
    found = connect(world(questions + "-A INPUT -p ipv6-icmp -j DROP\n" + TRANSLATE), "c2", "fd00::1", 8080)
    assert found.result == "no-answer"
    assert "neighbour advertisement ends at host: filter INPUT 3" in found.because


def test_who_had_an_address_is_remembered() -> None:
    """An entry of the neighbour table is used also where the address has gone (seen after `ip addr del`)."""
    asker = parse_description(
        CONTAINER.format(name="c2", number=2)
        + 'neighbours: {"fd00::77": {interface: eth0, mac: "02:00:00:00:00:03"}}'
    )
    at = msgspec.structs.replace(world(""), hosts=(world("").main, asker, container(3)))
    assert connect(at, "c2", "fd00::77", 80).walks[-1].host == "c3"
    assert connect(world(""), "c2", "fd00::77", 80).walks[-1].host == "c2"
