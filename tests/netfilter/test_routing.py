"""Routing decisions against the real kernel: random tables and rules, ``ip route get`` beside ``route()``."""

import os
import random
from pathlib import Path

import msgspec
import pytest
from namespaces import namespaces, record, route_get, shell

from ruleflow.netfilter.describe import parse_description
from ruleflow.netfilter.host import Host, Nexthop, PolicyRule, Route, Sysctls
from ruleflow.netfilter.numbers import address_text, read_address
from ruleflow.netfilter.read_host import default_rules, read_host
from ruleflow.netfilter.routing import Decision, route

ERRORS = {
    "RTNETLINK answers: Network is unreachable": "ENETUNREACH",
    "RTNETLINK answers: No route to host": "EHOSTUNREACH",
    "RTNETLINK answers: Permission denied": "EACCES",
    "RTNETLINK answers: Invalid argument": "EINVAL",
    "RTNETLINK answers: Invalid cross-device link": "EINVAL",
}

SEEDS = int(os.environ.get("RULEFLOW_ROUTING_SEEDS", "6"))
"""How many random hosts of each family; more find more."""

LINKS = """
ip link add d0 type veth peer name p0; ip link add d1 type veth peer name p1; ip link add d2 type veth peer name p2
for i in d0 p0 d1 p1 d2 p2; do ip link set $i up; done
ip link set d1 group 5
ip addr add 10.0.0.1/24 dev d0; ip addr add 10.0.0.2/24 dev d0; ip addr add 10.0.1.1/24 dev d1; ip addr add 10.1.0.1/16 dev d2
ip addr add 10.3.0.1 peer 10.3.0.2/32 dev d1; ip addr add 10.9.0.1/32 dev lo; ip addr add 10.0.2.1/24 scope link dev d2
ip -6 addr add fd00:0:0:a::1/64 dev d0 nodad; ip -6 addr add fd00:0:0:b::1/64 dev d1 nodad
ip -6 addr add fd00:0:1::1/48 dev d2 nodad; ip -6 addr add 2001:db8::5/64 dev d2 nodad
ip -6 addr add fd00:0:0:a::9/64 dev d0 nodad preferred_lft 0
"""

GATEWAYS = {4: {"d0": "10.0.0.9", "d1": "10.0.1.9", "d2": "10.1.0.9"},
            6: {"d0": "fd00:0:0:a::77", "d1": "fd00:0:0:b::77", "d2": "fd00:0:1::77"}}  # fmt: skip
TABLES = ("main", "main", "100", "200", "local")


def random_address(rng: random.Random, family: int) -> str:
    if family == 4:
        pool = [
            "10.0.0.1",
            "10.0.0.2",
            "10.0.0.255",
            "127.0.0.1",
            "127.5.5.5",
            "10.3.0.2",
            "10.9.0.1",
            "8.8.8.8",
            "255.255.255.255",
            "239.1.1.1",
        ]
        made = f"10.{rng.choice((0, 0, 1, 2, 3, 9))}.{rng.choice((0, 0, 1, 2, 3))}.{rng.choice((0, 1, 2, 5, 9, 200, 255))}"
        return made if rng.random() < 0.8 else rng.choice(pool)
    pool = ["fd00:0:0:a::1", "::1", "fd00:0:0:a::", "2001:db8::5", "2001:4860::1", "fd00:0:0:a::9"]
    made = f"fd00:0:{rng.choice('001')}:{rng.choice('abcd0')}::{rng.choice(('1', '5', '77', 'ffff'))}"
    return made if rng.random() < 0.8 else rng.choice(pool)


def random_prefix(rng: random.Random, family: int) -> str:
    number = read_address(random_address(rng, family))[0]
    width = 32 if family == 4 else 128
    length = rng.choice(
        (0, 8, 12, 16, 20, 24, 28, 32) if family == 4 else (0, 16, 32, 40, 48, 56, 62, 64, 112, 128)
    )
    return f"{address_text(number >> (width - length) << (width - length), family)}/{length}"


def random_route(rng: random.Random, family: int) -> str:
    table, metric = rng.choice(TABLES), rng.choice(("", "metric 5", "metric 50"))
    prefix = random_prefix(rng, family)
    kind = rng.choices(("dev", "via", "multi", "blackhole", "unreachable", "prohibit", "throw", "local"),
                       (5, 5, 2, 1, 1, 1, 2, 0.4))[0]  # fmt: skip
    dev = rng.choice(("d0", "d1", "d2"))
    if kind == "local":
        return f"local {prefix} dev lo table {table} {metric}"
    if kind not in ("dev", "via", "multi"):
        return f"{kind} {prefix} table {table} {metric}"
    if kind == "multi":
        hops = " ".join(
            f"nexthop via {GATEWAYS[family][d]} dev {d} weight {rng.randint(1, 3)}" for d in ("d0", "d2")
        )
        return f"{prefix} table {table} {metric} {hops}"
    via = f"via {GATEWAYS[family][dev]} " if kind == "via" else ""
    extra = ""
    if family == 4 and rng.random() < 0.2:
        extra = rng.choice(("src 10.0.0.2", "src 10.9.0.1", "tos 0x10"))
    if family == 6 and rng.random() < 0.2:
        extra = rng.choice(("src fd00:0:0:a::1", "pref high", "pref low"))
    source = f"from {random_prefix(rng, 6)} " if family == 6 and rng.random() < 0.15 else ""
    return f"{source}{prefix} {via}dev {dev} table {table} {metric} {extra}"


def random_rule(rng: random.Random, family: int) -> str:
    parts = [f"pref {rng.randint(1, 40000)}"]
    for chance, made in (
        (0.3, f"from {random_prefix(rng, family)}"), (0.3, f"to {random_prefix(rng, family)}"),
        (0.3, rng.choice(("fwmark 1", "fwmark 2/0xff"))), (0.15, f"iif {rng.choice(('lo', 'd0', 'd1'))}"),
        (0.1, f"oif {rng.choice(('d0', 'd1'))}"), (0.1, f"uidrange {rng.choice((0, 5))}-10{'' if family == 4 else ' iif lo'}"), (0.1, "ipproto tcp"),
        (0.1, "dport 80-90"), (0.1, "tos 0x10"),
    ):  # fmt: skip
        if rng.random() < chance:
            parts.append(made)
    if rng.random() < 0.15:
        parts.insert(0, "not")
    action = rng.choice(("100", "100", "200", "200", "main", "verdict"))
    if action == "verdict":
        return " ".join([*parts, rng.choice(("prohibit", "blackhole", "unreachable"))])
    parts.append(f"lookup {action}")
    if rng.random() < 0.25:
        parts.append(
            rng.choice(("suppress_prefixlength 0", "suppress_prefixlength 16", "suppress_ifgroup 5"))
        )
    return " ".join(parts)


def random_question(rng: random.Random, family: int) -> tuple[str, dict[str, object]]:
    """A question to ``ip route get``, and the same to ``route()``."""
    to = random_address(rng, family)
    arriving = rng.random() < 0.35 and to != "239.1.1.1"  # who has joined it is not known
    while arriving and to == "::1":  # ip6_rcv refuses it before it is routed; route get does not
        to = random_address(rng, family)
    text = [to]
    asked: dict[str, object] = {"destination": read_address(to)[0], "family": family}
    if arriving or rng.random() < 0.4:
        own = (
            ("10.0.0.1", "10.0.0.2", "10.1.0.1", "10.9.0.1")
            if family == 4
            else ("fd00:0:0:a::1", "2001:db8::5")
        )
        source = random_address(rng, family) if arriving else rng.choice(own)
        source = own[0] if source == "::1" else source
        text.append(f"from {source}")
        asked["source"] = read_address(source)[0]
    if arriving:
        asked["iif"] = rng.choice(("d0", "d1", "d2"))
        text.append(f"iif {asked['iif']}")
    elif rng.random() < 0.2:
        asked["oif"] = rng.choice(("d0", "d1", "d2"))
        text.append(f"oif {asked['oif']}")
    for name, chance, value, word in (("mark", 0.4, rng.choice((1, 2, 3)), "mark"), ("tos", 0.15, 16, "tos 0x"),
                                      ("uid", 0.2, rng.choice((0, 7, 99)), "uid")):  # fmt: skip
        if rng.random() < chance and not (name == "uid" and arriving):
            asked[name] = value
            text.append("tos 0x10" if name == "tos" else f"{word} {value}")
    if rng.random() < 0.3:
        asked |= {"protocol": 6, "source_port": 5, "destination_port": rng.choice((80, 99))}
        text.append(f"ipproto tcp sport 5 dport {asked['destination_port']}")
    return " ".join(text), asked


def expected(row: dict[str, object]) -> tuple[object, ...]:
    """What the kernel said: error, or kind, interface, gateway and source."""
    if "error" in row:
        return (ERRORS.get(str(row["error"]), row["error"]),)
    via = row.get("via")
    gateway = row.get("gateway", via["host"] if isinstance(via, dict) else None)
    kind = row.get("type", "unicast")
    out = "lo" if kind in ("local", "anycast") else row.get("dev")
    return kind, out, gateway, row.get("prefsrc")


def decided(decision: Decision, row: dict[str, object]) -> tuple[object, ...]:
    """The same of a decision; of several next hops, the one that the kernel chose, if it is among them."""
    if decision.error:  # since 6.13 the kernel says EINVAL where it said EXDEV (fib_validate_source_reason)
        return (decision.error.replace("EXDEV", "EINVAL"),)
    source = address_text(decision.source, decision.family) if decision.source is not None else None
    hops = {(hop.interface, hop.gateway) for hop in decision.alternatives}
    gateway = read_address(str(row["gateway"]))[0] if "gateway" in row else None
    if (row.get("dev"), gateway) in hops:
        return decision.kind, row.get("dev"), row.get("gateway"), row.get("prefsrc")
    shown = address_text(decision.gateway, decision.gateway_family) if decision.gateway is not None else None
    return decision.kind, decision.interface, shown, source


def compare(host: Host, name: str, rng: random.Random, family: int, count: int) -> list[str]:
    """The questions on which kernel and model differ, both answers said."""
    questions = [random_question(rng, family) for _ in range(count)]
    wrong = []
    for (text, asked), row in zip(questions, route_get(name, [text for text, _ in questions]), strict=True):
        decision = route(host, **asked)  # type: ignore[arg-type]
        kernel, model = expected(row), decided(decision, row)
        if "iif" in asked:  # the kernel shows no source it would choose for a packet that has one
            kernel, model = kernel[:3], model[:3]
        elif "source" in asked:
            model = (*model[:3], kernel[3]) if len(model) > 3 and len(kernel) > 3 else model
        if kernel != model:
            wrong.append(f"{text}\n   kernel {kernel}\n   model  {model}  {decision.sentence}")
    return wrong


@pytest.mark.root
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_as_the_kernel_routes(tmp_path: Path, family: int, seed: int) -> None:
    rng = random.Random(seed * 10 + family)
    with namespaces("route") as (name,):
        shell(name, LINKS)
        shell(
            name, "sysctl -qw net.ipv6.conf.all.forwarding=1"
        )  # route get does not ask it, ip6_forward does
        if rng.random() < 0.7:
            shell(name, "sysctl -qw net.ipv4.ip_forward=1")
        for setting in ("rp_filter=1", "rp_filter=2", "accept_local=1", "route_localnet=1"):
            if rng.random() < 0.3:
                shell(name, f"sysctl -qw net.ipv4.conf.{rng.choice(('all', 'd0', 'd1'))}.{setting}")
        flag = "" if family == 4 else "-6"
        rows = [random_route(rng, family) for _ in range(25)]
        rules = [random_rule(rng, family) for _ in range(rng.choice((0, 4, 8)))]
        script = [f"ip {flag} route add {row} 2>/dev/null" for row in rows]
        script += [f"ip {flag} rule add {rule} 2>/dev/null" for rule in rules]
        shell(name, "\n".join(script), check=False)
        host = read_host(record(name, tmp_path), "host")
        wrong = compare(host, name, rng, family, 60)
    assert not wrong, "\n".join(wrong)


ROUTER = parse_description(
    """
interfaces:
  eth0: [192.0.2.10/24, 2001:db8::10/64, fe80::1/64]
  eth1: [10.0.0.1/24, 2001:db8:1::1/64]
routes: [default via 192.0.2.1 dev eth0, "default via 2001:db8::1 dev eth0"]
settings: {net.ipv4.ip_forward: 1, net.ipv6.conf.all.forwarding: 1, net.ipv4.conf.eth0.rp_filter: 1}
"""
)


@pytest.mark.parametrize(
    ("source", "to", "iif", "kind", "sentence"),
    [
        ("10.0.0.5", "198.51.100.7", "eth1", "unicast", "198.51.100.7 goes out by eth0 to 192.0.2.1"),
        ("10.0.0.5", "192.0.2.10", "eth1", "local", "192.0.2.10 is this host"),
        ("10.0.0.5", "198.51.100.7", "eth0", "martian-source", "the way back to 10.0.0.5 is eth1, not eth0"),
        ("192.0.2.10", "10.0.0.5", "eth1", "martian-source", "192.0.2.10 is an address of this host"),
        ("10.0.0.5", "127.0.0.1", "eth1", "martian-destination", "route_localnet is off there"),
        ("127.0.0.1", "10.0.0.1", "eth1", "martian-source", "route_localnet is off there"),
        ("224.0.0.1", "10.0.0.1", "eth1", "martian-source", "224.0.0.1 is no source address"),
        ("0.0.0.0", "255.255.255.255", "eth1", "broadcast", "is a broadcast, for this host too"),
        ("10.0.0.5", "10.0.0.255", "eth1", "broadcast", "is a broadcast, for this host too"),
        ("10.0.0.5", "224.0.0.1", "eth1", "multicast", "every host"),
        ("10.0.0.5", "239.1.1.1", "eth1", "unknown", "is not known"),
        (
            "2001:db8:1::5",
            "2001:db8:9::1",
            "eth1",
            "unicast",
            "2001:db8:9::1 goes out by eth0 to 2001:db8::1",
        ),
        ("2001:db8:1::5", "2001:db8::", "eth1", "anycast", "this host (anycast)"),
        ("::1", "2001:db8::10", "eth1", "martian-source", "::1 never arrives over a wire"),
        ("ff02::1", "2001:db8::10", "eth1", "martian-source", "a multicast address is no source"),
        ("fe80::5", "2001:db8:9::1", "eth1", "unreachable", "a link-local source is not forwarded"),
    ],
)
def test_packets_that_arrive(source: str, to: str, iif: str, kind: str, sentence: str) -> None:
    (start, family), (end, _) = read_address(source), read_address(to)
    decision = route(ROUTER, end, family=family, source=start, iif=iif)
    assert decision.kind == kind
    assert sentence in decision.sentence


@pytest.mark.parametrize(("to", "family"), [("198.51.100.7", 4), ("2001:db8:9::1", 6)])
def test_a_host_that_does_not_forward(to: str, family: int) -> None:
    closed = msgspec.structs.replace(
        ROUTER, sysctls=Sysctls.of({"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"})
    )
    source = read_address("10.0.0.5" if family == 4 else "2001:db8:1::5")[0]
    decision = route(closed, read_address(to)[0], family=family, source=source, iif="eth1")
    assert (decision.kind, decision.error) == ("not-forwarding", "EHOSTUNREACH")


def test_what_is_not_known_is_assumed_aloud() -> None:
    rules = (PolicyRule(family=4, priority=5, table="9", uids=(1000, 1000)), *default_rules(4))
    asked = msgspec.structs.replace(ROUTER, rules=rules, sysctls=None)
    to, source = read_address("198.51.100.7")[0], read_address("10.0.0.5")[0]
    assert route(asked, to, family=4).assumed == (
        "ip rule 5 asks for the user, who is not given: taken as root",
    )
    assert route(asked, to, family=4, source=source, iif="eth1").assumed == (
        "rp_filter of eth1 is not known: taken as 0",
        "accept_local of eth1 is not known: taken as 0",
        "whether packets are forwarded (ip_forward) is not known: taken as on",
    )
    unruled = msgspec.structs.replace(ROUTER, rules=None)
    assert "the routing policy (ip rule) is not known" in route(unruled, to, family=4).assumed[0]


def test_several_next_hops_are_all_named() -> None:
    hops = tuple(Nexthop(interface="eth1", gateway=read_address(f"10.0.0.{at}")[0]) for at in (8, 9))
    several = Route(family=4, destination=0xC6336400, length=24, nexthops=hops)
    host = msgspec.structs.replace(ROUTER, routes=(*(ROUTER.routes or ()), several))
    decision = route(host, 0xC6336407, family=4)
    assert decision.alternatives == hops
    assert (decision.kind, decision.gateway) == ("unicast", hops[0].gateway)


@pytest.mark.parametrize("to", ["255.255.255.255", "239.1.1.1"])
def test_what_is_sent_to_many_leaves_by_the_interface_of_its_source(to: str) -> None:
    decision = route(ROUTER, read_address(to)[0], family=4, source=read_address("10.0.0.1")[0])
    assert (decision.interface, decision.error) == ("eth1", None)


@pytest.mark.parametrize(
    ("source", "oif", "kind"),
    [
        ("192.0.2.99", None, "invalid"),
        ("224.0.0.1", None, "invalid"),
        ("127.0.0.1", None, "invalid"),
        (None, "eth9", "no-route"),
    ],
)
def test_packets_that_cannot_be_sent(source: str | None, oif: str | None, kind: str) -> None:
    start = read_address(source)[0] if source else None
    decision = route(ROUTER, read_address("198.51.100.7")[0], family=4, source=start, oif=oif)
    assert decision.kind == kind
    assert decision.error in ("EINVAL", "ENETUNREACH")
