"""Routing decisions are kept between packets; a packet that is not believed must not decide for the others."""

from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk
from ruleflow.ruleset.parse import parse

RULES = """*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br0 -j MASQUERADE
COMMIT
"""


def test_a_broadcast_as_source_does_not_spoil_the_way() -> None:
    machine = Machine.inferred_from(parse(RULES).rulesets[0])
    martian = walk(machine, Packet.parse("tcp 172.18.255.255:18 172.17.0.5:81 in docker0"))
    assert martian.verdict == "DROP"
    assert walk(machine, Packet.parse("tcp 198.51.100.9:18 172.17.0.5:81 in docker0")).verdict == "ACCEPT"
