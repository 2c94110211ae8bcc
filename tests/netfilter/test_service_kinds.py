"""Services of every kind: where their packets go, with what chances, masqueraded, refused or dropped.

The expectations are Kubernetes' own rules for services (cluster addresses, node ports, load balancers, traffic
policies, session affinity), the rule sets are in the shape of kube-proxy before and since 1.24; a second test holds
both against the kernel.
"""

import pytest
from kube_rules import NODE, Service, rule_set

from ruleflow.kernel.differential import host_of
from ruleflow.kernel.lab import Lab, Shot
from ruleflow.kernel.pairing import Pairing
from ruleflow.kernel.router import FORWARDING, Interface, Spec
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome
from ruleflow.netfilter.walk import walk
from ruleflow.ruleset.parse import parse_one

SERVICES = (
    Service("plain", "172.30.0.41", ("10.180.0.1:80",), ("10.180.0.1:80",)),
    Service("three", "172.30.0.42", ("10.180.0.1:8080", "10.180.0.2:8080", "10.181.0.3:8080"), ("10.180.0.1:8080", "10.180.0.2:8080"), node_port=3002),
    Service("local", "172.30.0.43", ("10.180.0.5:80", "10.181.0.5:80"), ("10.180.0.5:80",), node_port=3003, external=("192.168.99.33",), balancer=("1.2.3.3",), local_only=True, health=30003),
    Service("away", "172.30.0.44", ("10.181.0.6:80",), (), node_port=3004, external=("192.168.99.44",), balancer=("1.2.3.4",), local_only=True, health=30004),
    Service("guarded", "172.30.0.45", ("10.180.0.7:80", "10.181.0.7:80"), ("10.180.0.7:80",), node_port=3005, balancer=("1.2.3.5",), source_ranges=("203.0.113.0/25",)),
    Service("none", "172.30.0.46", node_port=3006, external=("192.168.99.46",)),
    Service("sticky", "172.30.0.47", ("10.180.0.8:80", "10.181.0.8:80"), ("10.180.0.8:80",), affinity=True),
    Service("dns", "172.30.0.48", ("10.180.0.9:53", "10.181.0.9:53"), ("10.180.0.9:53",), port=53, protocol="udp"),
    Service("within", "172.30.0.49", ("10.180.0.10:80", "10.181.0.10:80"), ("10.180.0.10:80",), internal_local=True),
    Service("open", "172.30.0.50", ("10.180.0.11:80",), ("10.180.0.11:80",), balancer=("1.2.3.6",), external=("192.168.99.50",), node_port=3010),
)  # fmt: skip
SIX = (
    Service("six", "fd00:172:30::41", ("[fd00:10:180::1]:80", "[fd00:10:181::1]:80"), ("[fd00:10:180::1]:80",), node_port=3011, local_only=True),
    Service("sixnone", "fd00:172:30::42"),
    Service("sixsticky", "fd00:172:30::43", ("[fd00:10:180::3]:80",), affinity=True),
)  # fmt: skip
POD, OTHER_POD, CLIENT, OTHER_CLIENT = "10.180.0.99", "10.181.0.99", "203.0.113.2", "203.0.113.200"

# (from, to, port, what becomes of it): destinations with ~ where masqueraded
CASES = (
    (POD, "172.30.0.41", 80, "10.180.0.1:80"),
    (CLIENT, "172.30.0.41", 80, "10.180.0.1:80~"),
    ("10.180.0.1", "172.30.0.41", 80, "10.180.0.1:80~"),  # to itself: hairpin
    (None, "172.30.0.41", 80, "10.180.0.1:80~"),
    (POD, "172.30.0.42", 80, "10.180.0.1:8080 10.180.0.2:8080 10.181.0.3:8080"),
    (CLIENT, NODE[4], 3002, "10.180.0.1:8080~ 10.180.0.2:8080~ 10.181.0.3:8080~"),
    (POD, NODE[4], 3002, "10.180.0.1:8080~ 10.180.0.2:8080~ 10.181.0.3:8080~"),
    ("10.180.0.2", "172.30.0.42", 80, "10.180.0.1:8080 10.180.0.2:8080~ 10.181.0.3:8080"),
    (CLIENT, "192.168.99.33", 80, "10.180.0.5:80"),
    (CLIENT, "1.2.3.3", 80, "10.180.0.5:80"),
    (CLIENT, NODE[4], 3003, "10.180.0.5:80"),
    (POD, "1.2.3.3", 80, "10.180.0.5:80 10.181.0.5:80"),  # pods take the short way
    (POD, NODE[4], 3003, "10.180.0.5:80 10.181.0.5:80"),
    (None, "1.2.3.3", 80, "10.180.0.5:80~ 10.181.0.5:80~"),
    (CLIENT, "1.2.3.4", 80, "DROP"),
    (CLIENT, NODE[4], 3004, "DROP"),
    (POD, "1.2.3.4", 80, "10.181.0.6:80"),
    (CLIENT, "172.30.0.44", 80, "10.181.0.6:80~"),
    (CLIENT, "1.2.3.5", 80, "10.180.0.7:80~ 10.181.0.7:80~"),
    (OTHER_CLIENT, "1.2.3.5", 80, "DROP"),
    (OTHER_CLIENT, NODE[4], 3005, "10.180.0.7:80~ 10.181.0.7:80~"),
    (POD, "172.30.0.46", 80, "REJECT"),
    (CLIENT, NODE[4], 3006, "REJECT"),
    (CLIENT, "192.168.99.46", 80, "REJECT"),
    (POD, "172.30.0.47", 80, "10.180.0.8:80 10.181.0.8:80"),
    (CLIENT, "172.30.0.47", 80, "10.180.0.8:80~ 10.181.0.8:80~"),
    (POD, "172.30.0.48", 53, "10.180.0.9:53 10.181.0.9:53"),
    (POD, "172.30.0.49", 80, "10.180.0.10:80"),
    (CLIENT, "1.2.3.6", 80, "10.180.0.11:80~"),
    (CLIENT, "192.168.99.50", 80, "10.180.0.11:80~"),
    (CLIENT, NODE[4], 30003, f"{NODE[4]}:30003"),  # the health check is this node's own
    (CLIENT, NODE[4], 9999, f"{NODE[4]}:9999"),
)
SIX_CASES = (
    ("fd00:10:180::99", "fd00:172:30::41", 80, "fd00:10:180::1:80 fd00:10:181::1:80"),
    ("2001:db8::9", "fd00:172:30::41", 80, "fd00:10:180::1:80~ fd00:10:181::1:80~"),
    ("2001:db8::9", NODE[6], 3011, "fd00:10:180::1:80"),
    ("fd00:10:180::99", NODE[6], 3011, "fd00:10:180::1:80 fd00:10:181::1:80"),
    ("fd00:10:180::99", "fd00:172:30::42", 80, "REJECT"),
    ("fd00:10:180::99", "fd00:172:30::43", 80, "fd00:10:180::3:80"),
)
BEFORE: dict[tuple[str, str | None], str] = {
    ("1.2.3.4", CLIENT): "1.2.3.4:80",
    ("1.2.3.5", OTHER_CLIENT): "1.2.3.5:80~",
}
"""Before 1.24 the mark to drop was asked for in INPUT and OUTPUT alone: to an address that is not the node's own it did
nothing (a balancer's address goes on by the default route; the second was marked for masquerade before)."""
ROUTES = {
    4: (("10.180.0.0/16", "cni0"), ("192.168.0.0/24", "eth0"), ("0.0.0.0/0", "eth0")),
    6: (("fd00:10:180::/48", "cni0"), ("::/0", "eth0")),
}


def packet(from_: str | None, to: str, port: int) -> Packet:
    protocol = "udp" if port == 53 else "tcp"
    family = 6 if ":" in to else 4
    bracket = "[{}]" if family == 6 else "{}"
    source = bracket.format(from_ or NODE[family])
    pod = (from_ or "").startswith(("10.180.", "fd00:10:180:"))
    entry = "" if from_ is None else f" in {'cni0' if pod else 'eth0'}"
    return Packet.parse(f"{protocol} {source}:40000 {bracket.format(to)}:{port}{entry}")


def became(outcomes: tuple[Outcome, ...]) -> str:
    """Destinations, with ~ where masqueraded; or the verdict."""
    words = set()
    for end in outcomes:
        to = f"{address_text(end.packet.destination or 0, end.packet.family)}:{end.packet.destination_port}"
        masqueraded = any(ref.chain == "KUBE-POSTROUTING" for ref in end.rewritten_by)
        words.add(to + "~" * masqueraded if end.verdict == "ACCEPT" else end.verdict)
    return " ".join(sorted(words))


def machine(*, old: bool, family: int) -> Machine:
    rules = parse_one(rule_set(SERVICES if family == 4 else SIX, old=old, family=family), family=family)
    return Machine.inferred_from(rules, local=(NODE[family],), routes=ROUTES[family])


@pytest.mark.parametrize("old", [True, False], ids=["before 1.24", "since 1.24"])
def test_where_each_packet_goes(old: bool) -> None:
    wrong = []
    for family, cases in ((4, CASES), (6, SIX_CASES)):
        node = machine(old=old, family=family)
        for from_, to, port, said in cases:
            found = walk(node, packet(from_, to, port))
            expected = BEFORE.get((to, from_), said) if old else said
            if became(found.outcomes) != expected:
                wrong.append(f"{from_} to {to}:{port}: {expected}, but {became(found.outcomes)}")
    assert not wrong, "\n".join(wrong)


def test_the_chances_are_equal() -> None:
    found = walk(machine(old=False, family=4), packet(POD, "172.30.0.42", 80))
    assert [end.probability for end in found.outcomes] == pytest.approx([1 / 3] * 3, abs=1e-6)
    found = walk(machine(old=False, family=4), packet(CLIENT, NODE[4], 3005))
    assert [end.probability for end in found.outcomes] == pytest.approx([1 / 2] * 2, abs=1e-6)


NODE_ROUTER = Spec(
    interfaces=(
        Interface("lo", kind="loopback"),
        Interface("eth0", ("192.168.0.2/24", "fd00:cafe::2/64")),
        Interface("cni0", ("10.180.0.254/16", "fd00:10:180::fe/48")),
    ),
    routes=("default via 192.168.0.254 dev eth0", "-6 default via fd00:cafe::fe dev eth0"), sysctls=FORWARDING,
)  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("old", [True, False], ids=["before 1.24", "since 1.24"])
def test_the_kernel_does_it_so(backend: str, old: bool) -> None:
    wrong = []
    with Lab(NODE_ROUTER, backend) as lab:
        host = host_of(lab)
        for family, services, cases in ((4, SERVICES, CASES), (6, SIX, SIX_CASES)):
            pairing = Pairing(lab, host, family, rule_set(services, old=old, family=family))
            for from_, to, port, _ in cases:
                pairing.begin()
                asked = packet(from_, to, port)
                pair = pairing.one(Shot(asked))
                if pair.differs:
                    wrong.append(f"{asked}: {'; '.join(pair.differs)}")
    assert not wrong, "\n".join(wrong)
