"""What random runs against the kernel taught the walk (`ruleflow lab`), each case as the kernel did it."""

import pytest

from ruleflow.netfilter.conntrack import ASSURED, Connection, remembered
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import ChainStep, Walk
from ruleflow.netfilter.walk import Around, walk
from ruleflow.ruleset.parse import parse_one

NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
FILTER = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
SECURITY = "*security\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
ASKS = "-A INPUT -m conntrack --ctstate INVALID\nCOMMIT\n"


def inferred(text: str) -> Machine:
    return Machine.inferred_from(parse_one(text), local=("192.0.2.1",), routes=(("0.0.0.0/0", "eth0"),))


def tables(found: Walk) -> list[str]:
    return [
        f"{step.table} {step.chain}" for step in found.steps if isinstance(step, ChainStep) and step.verdict
    ]


def sequence(machine: Machine, *words: str) -> list[Walk]:
    """Walks of packets one after another, each with the connections that those before made."""
    known: tuple[Connection, ...] = ()
    found = []
    for text in words:
        found.append(walk(machine, Packet.parse(text), Around(connections=known)))
        known = remembered(known, found[-1].end.connection)
    return found


def test_a_nat_table_alone_does_not_track() -> None:
    packet = Packet.parse("udp 203.0.113.9:5 192.0.2.1:7 in eth0")
    assert "nat PREROUTING" not in tables(walk(inferred(NAT + "COMMIT\n" + FILTER + "COMMIT\n"), packet))
    assert "nat PREROUTING" in tables(walk(inferred(NAT + "COMMIT\n" + FILTER + ASKS), packet))


@pytest.mark.parametrize(
    ("rule", "tracks"),
    [
        ("-j NOTRACK", False), ("-j CT --notrack", False), ("-j CT --zone 5", True), ("-p tcp -j CT --helper ftp", True),
        ("-m helper --helper ftp", True), ("-m connlimit --connlimit-above 3", True),
        ("-m connbytes --connbytes 5 --connbytes-mode bytes --connbytes-dir both", True), ("-m recent --set", False),
    ],
)  # fmt: skip
def test_what_switches_conntrack_on(rule: str, tracks: bool) -> None:
    """Each put beside an empty nat table, which the trace then passes or not (both backends)."""
    table, chain = ("raw", "PREROUTING") if "CT" in rule or "NOTRACK" in rule else ("filter", "INPUT")
    machine = inferred(
        f"{NAT}COMMIT\n*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} -s 192.0.2.77/32 {rule}\nCOMMIT\n"
    )
    found = walk(machine, Packet.parse("udp 203.0.113.9:5 192.0.2.1:7 in eth0"))
    assert ("nat PREROUTING" in tables(found)) is tracks


def test_security_stands_behind_nat_with_nft_and_before_it_with_legacy() -> None:
    packet = Packet.parse("udp 203.0.113.9:5 192.0.2.1:7 in eth0")
    ruleset = parse_one(NAT + "COMMIT\n" + SECURITY + ASKS)
    host = inferred(str(ruleset)).host
    order = {
        legacy: tables(walk(Machine(host, (ruleset,), 4, legacy=legacy), packet))[-2:]
        for legacy in (False, True)
    }
    assert order == {False: ["nat INPUT", "security INPUT"], True: ["security INPUT", "nat INPUT"]}


def test_an_acknowledged_connection_is_assured() -> None:
    machine = inferred(FILTER + ASKS)
    there, back = "tcp 203.0.113.9:5 192.0.2.1:7 in eth0", "tcp 192.0.2.1:7 203.0.113.9:5"
    *_, first, last = sequence(machine, there, f"{back} flags syn,ack", f"{there} flags ack")
    assert [bool(each.end.connection and each.end.connection.status & ASSURED) for each in (first, last)] == [
        False,
        True,
    ]


def test_an_error_about_a_ping_is_related() -> None:
    machine = inferred(FILTER + "-A INPUT -m conntrack --ctstate RELATED -j DROP\nCOMMIT\n")
    ping = Packet.parse("icmp echo-request 192.0.2.1 203.0.113.9")
    known = remembered((), walk(machine, ping).end.connection)
    error = Packet.parse("icmp host-unreachable 203.0.113.1 192.0.2.1 in eth0")
    assert walk(machine, error, Around(connections=known, quoted=ping)).verdict == "DROP"
