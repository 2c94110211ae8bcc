"""The quick walk of many packets against the slow one of each: the same verdict, rule, packet and interface, without exception."""

from collections.abc import Iterable, Iterator

import pytest
from random_rules import Rules, packet

from ruleflow.netfilter.host import Address, Host, Interface, Nexthop, PolicyRule, Route, Sysctls
from ruleflow.netfilter.kernel_routes import kernel_routes
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.read_host import default_rules
from ruleflow.netfilter.walk import walk, walk_many
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse_one


def link(number: int, name: str, *addresses: int) -> Interface:
    own = tuple(Address(family=4, address=each, length=24) for each in addresses)
    return Interface(name=name, index=number, addresses=own)


def default(out: str, table: str) -> Route:
    return Route(
        family=4, destination=0, length=0, table=table, nexthops=(Nexthop(interface=out),), scope="link"
    )


LINKS = (
    link(1, "lo", 127 << 24 | 1), link(2, "eth0", 0xC0000201), link(3, "eth1", 0x0A010203), link(4, "docker0", 0xAC110001),
)  # fmt: skip
BY_MARK = Host(
    interfaces=LINKS,
    routes=(*kernel_routes(LINKS), default("eth0", "main"), default("eth1", "77")),
    rules=(
        default_rules(4)[0],
        PolicyRule(family=4, priority=100, table="77", mark=1, mask=1),
        *default_rules(4)[1:],
    ),
    sysctls=Sysctls.of({"net.ipv4.ip_forward": "1"}),
)
"""A host that sends what is marked by another interface: a mark given in OUTPUT makes it look for a way again."""


def machines(rules: Ruleset) -> Iterator[Machine]:
    yield Machine(Host(), (rules,), 4)
    yield Machine.inferred_from(rules)
    for legacy in (False, True):
        yield Machine(BY_MARK, (rules,), 4, legacy=legacy)


def same(machine: Machine, packets: Iterable[Packet]) -> None:
    given = list(packets)
    for one, quick in zip(given, walk_many(machine, given), strict=True):
        slow = walk(machine, one)
        assert (quick.verdict, quick.by, quick.packet, quick.out_interface) == (
            slow.verdict, slow.end.by, slow.end.packet, slow.end.out_interface,
        )  # fmt: skip
        told = [(end.verdict, end.by, end.rewritten_by, end.choices) for end in quick.outcomes]
        if told or len(slow.outcomes) > 1:
            assert told == [(end.verdict, end.by, end.rewritten_by, end.choices) for end in slow.outcomes]


@pytest.mark.parametrize("seed", range(25))
def test_random_rule_sets(seed: int) -> None:
    rules = Rules(seed, unknown=seed % 2 == 0, types=seed % 3 == 0)
    parsed = parse_one(rules.text())
    for machine in machines(parsed):
        same(machine, (packet(rules.random) for _ in range(8)))
        same(machine, (packet(rules.random).with_(state=None, out_interface=None) for _ in range(8)))


def test_a_mark_in_output_and_a_rule_of_another_table_that_accepts() -> None:
    rules = parse_one(
        "*mangle\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -j MARK --set-xmark 0x1/0x1\n-A OUTPUT -j ACCEPT\nCOMMIT\n"
        "*filter\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
    )
    here = Packet.parse("tcp 192.0.2.1:40000 198.51.100.7:80")
    for machine in machines(rules):
        same(machine, [here, here.with_(mark=1)])
    assert walk(Machine(BY_MARK, (rules,), 4), here).end.out_interface == "eth1"
