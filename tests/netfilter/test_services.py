"""Where the packets of a Kubernetes service go: endpoints with their chances, masqueraded or not (kube-proxy's shape)."""

import pytest

import ruleflow
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome, Walk
from ruleflow.netfilter.walk import walk

RULES = """*nat
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-EXT-WEB - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
:KUBE-SEP-C - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
-A KUBE-NODEPORTS -p tcp -m comment --comment "default/web" -m tcp --dport 30080 -j KUBE-EXT-WEB
-A KUBE-EXT-WEB -m comment --comment "masquerade traffic for default/web external destinations" -j KUBE-MARK-MASQ
-A KUBE-EXT-WEB -j KUBE-SVC-WEB
-A KUBE-SERVICES -d 10.96.7.7/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-WEB ! -s 10.244.0.0/16 -d 10.96.7.7/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -m comment --comment "default/web -> 10.244.1.2:8080" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-A
-A KUBE-SVC-WEB -m comment --comment "default/web -> 10.244.2.2:8080" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-B
-A KUBE-SVC-WEB -m comment --comment "default/web -> 10.244.3.2:8080" -j KUBE-SEP-C
-A KUBE-SEP-A -s 10.244.1.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.1.2:8080
-A KUBE-SEP-B -s 10.244.2.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.244.2.2:8080
-A KUBE-SEP-C -s 10.244.3.2/32 -j KUBE-MARK-MASQ
-A KUBE-SEP-C -p tcp -m tcp -j DNAT --to-destination 10.244.3.2:8080
COMMIT
"""
MACHINE = Machine.inferred_from(
    ruleflow.parse(RULES),
    local=("192.0.2.10",),
    routes=(("10.244.0.0/16", "cni0"), ("203.0.113.0/24", "eth0")),
)


def through(packet: str) -> Walk:
    return walk(MACHINE, Packet.parse(packet))


def is_masqueraded(end: Outcome) -> bool:
    return any(ref.chain == "KUBE-POSTROUTING" for ref in end.rewritten_by)


def ends(found: Walk) -> dict[str, tuple[float | None, bool]]:
    return {
        f"{end.packet.destination:x}:{end.packet.destination_port}": (end.probability, is_masqueraded(end))
        for end in found.outcomes
    }


def test_a_pod_reaches_each_endpoint_alike_and_keeps_its_address() -> None:
    found = ends(through("tcp 10.244.5.5:40000 10.96.7.7:80 in cni0"))
    assert sorted(found) == ["af40102:8080", "af40202:8080", "af40302:8080"]
    assert [chance for chance, _ in found.values()] == pytest.approx([1 / 3] * 3, abs=1e-6)
    assert not any(masqueraded for _, masqueraded in found.values())


def test_from_outside_the_cluster_it_is_masqueraded() -> None:
    found = ends(through("tcp 203.0.113.9:40000 10.96.7.7:80 in eth0"))
    assert len(found) == 3
    assert all(masqueraded for _, masqueraded in found.values())


def test_a_pod_that_reaches_itself_is_masqueraded_only_then() -> None:
    found = ends(through("tcp 10.244.2.2:40000 10.96.7.7:80 in cni0"))
    assert {end: masqueraded for end, (_, masqueraded) in found.items()} == {
        "af40102:8080": False, "af40202:8080": True, "af40302:8080": False,
    }  # fmt: skip


def test_the_node_port_is_for_everybody_and_always_masqueraded() -> None:
    found = ends(through("tcp 203.0.113.9:40000 192.0.2.10:30080 in eth0"))
    assert len(found) == 3
    assert all(masqueraded for _, masqueraded in found.values())
