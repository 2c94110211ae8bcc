"""What is read, and what is not: only rules that a layout writes, whole; the rest is left to those who compare rules."""

from pathlib import Path

import pytest

import ruleflow
from ruleflow.analysis.declared.read_back import layouts, read_back
from ruleflow.analysis.declared.reading import Reading
from ruleflow.analysis.declared.words import network_name, port_map_words
from ruleflow.analysis.diff import diff
from ruleflow.bridge.declaration import LAYOUTS
from ruleflow.bridge.generate import generate
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.ruleset.ir import Chain, Ruleset, Table
from ruleflow.ruleset.parse import parse

DECLARED = """
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/16}]}}
  quiet: {icc: false, outbound_addr4: 192.0.2.10, trusted_host_interfaces: [eth0, wg0]}
endpoints:
  web: {network: app, ports: ["8080-8083:80-83", "127.0.0.1:53:53/udp"]}
  db: {network: quiet, ports: ["3868:3868/sctp"]}
"""


def rules(layout: str) -> str:
    return str(generate(read_declaration(DECLARED), layout))


def reading(text: str) -> Reading:
    return read_back(ruleflow.parse(text))


def ports(found: Reading) -> set[str]:
    return {port_map_words(run) for run in found.ports}


PORTS = {
    "8080-8083:80-83/tcp at 172.18.0.2",
    "127.0.0.1:53:53/udp at 172.18.0.2",
    "3868:3868/sctp at 172.19.0.2",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_declaration_is_read_back(layout: str) -> None:
    found = reading(rules(layout))
    assert found.layouts == (layout,)
    assert found.unread == frozenset()
    assert ports(found) == PORTS
    assert {str(one.subnet) for one in found.networks} == {"172.18.0.0/16", "172.19.0.0/16"}


@pytest.mark.parametrize("layout", ["native", "docker-classic", "docker-28", "docker-29"])
def test_values_of_options(layout: str) -> None:
    (quiet,) = (one for one in reading(rules(layout)).networks if one.bridge == "br-quiet")
    assert quiet.outbound == 0xC000020A
    assert quiet.trusted == (() if layout == "docker-classic" else ("eth0", "wg0"))


@pytest.mark.parametrize(
    ("layout", "name"), [("native", "app (br-app)"), ("cni-portmap", "app"), ("docker-29", "br-app")]
)
def test_names_are_told_by_comments(layout: str, name: str) -> None:
    assert name in {network_name(one) for one in reading(rules(layout)).networks}


def test_our_chains_may_have_another_prefix() -> None:
    found = reading(rules("native").replace("RF-", "MY-"))
    assert (found.layouts, ports(found)) == (("native",), PORTS)


def test_comments_and_foreign_rules_do_not_matter() -> None:
    text = rules("docker-29").replace("-A FORWARD", "-A FORWARD -s 10.0.0.0/8 -j ACCEPT\n-A FORWARD", 1)
    text = text.replace("-A DOCKER ", '-A DOCKER -m comment --comment "mine" ')
    assert ports(reading(text)) == PORTS


def test_a_network_without_one_of_its_rules_is_not_read_but_its_ports_are() -> None:
    text = rules("docker-classic").replace("-A FORWARD -i br-app ! -o br-app -j ACCEPT\n", "")
    found = reading(text)
    assert found.unread == {"br-app"}
    assert [one.bridge for one in found.networks] == ["br-quiet"]
    assert ports(found) == PORTS


@pytest.mark.parametrize("layout", ["docker-classic", "docker-28", "docker-29"])
def test_a_port_without_one_of_its_rules_is_not_read(layout: str) -> None:
    rule = next(line for line in rules(layout).splitlines() if "--dport 82 -j ACCEPT" in line)
    assert ports(reading(rules(layout).replace(f"{rule}\n", ""))) == (
        PORTS - {"8080-8083:80-83/tcp at 172.18.0.2"}
    ) | {
        "8080-8081:80-81/tcp at 172.18.0.2",
        "8083:83/tcp at 172.18.0.2",
    }


@pytest.mark.parametrize(
    "rule",
    [
        "-A DOCKER ! -i br-app -p tcp -m tcp --dport 99 -j DNAT --to-destination 172.18.0.2",
        "-A DOCKER ! -i br-app -p tcp -m tcp --dport 99 -j DNAT --to-destination 172.18.0.2-172.18.0.9:99",
        "-A DOCKER ! -i br-app -p tcp -m tcp --dport 90:99 -j DNAT --to-destination 172.18.0.2:90-99/90",
        "-A DOCKER ! -i br-app -p tcp -m multiport --dports 98,99 -j DNAT --to-destination 172.18.0.2:99",
        "-A DOCKER ! -i br-app -s 10.0.0.0/8 -p tcp -m tcp --dport 99 -j DNAT --to-destination 172.18.0.2:99",
        "-A DOCKER ! -i br-app -p tcp -m tcp --dport 99 -j DNAT --to-destination 172.18.0.2:99 --random",
        "-A PREROUTING -p tcp -m tcp --dport 99 -j DNAT --to-destination 172.18.0.2:99",
    ],
)
def test_what_no_layout_writes_is_not_read(rule: str) -> None:
    text = rules("docker-29")
    nat = text.index("*nat")
    at = text.index("-A ", nat)
    assert ports(reading(f"{text[:at]}{rule}\n{text[at:]}")) == PORTS


def test_docker_and_our_own_rules_on_one_host() -> None:
    ours = read_declaration(
        'networks: {mine: {ipam: {config: [{subnet: 10.9.0.0/24}]}}}\nendpoints: {a: {ports: ["1:1"]}}'
    )
    text = str(generate(ours, "native"))
    both = ruleflow.parse(rules("docker-29"))
    merged = {table.name: table for table in both}
    for table in ruleflow.parse(text):
        old = merged.get(table.name)
        merged[table.name] = table if old is None else type(table)(
            table.name, (*(chain for chain in old.chains if chain.name not in table), *joined(old, table))
        )  # fmt: skip
    found = read_back(Ruleset(4, tuple(merged.values())))
    assert found.layouts == ("native", "docker-29")
    assert ports(found) == PORTS | {"1:1/tcp at 10.9.0.2"}
    assert found.unread == frozenset()


def joined(old: Table, new: Table) -> list[Chain]:
    return [
        chain
        if chain.name not in old
        else type(chain)(chain.name, chain.policy, (*chain.rules, *old[chain.name].rules))
        for chain in new
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_told_apart(layout: str) -> None:
    assert [name for name, _ in layouts(ruleflow.parse(rules(layout)))] == [layout]


def test_a_change_that_is_not_read_is_still_compared() -> None:
    one = ruleflow.parse(rules("docker-classic"))
    two = ruleflow.parse(rules("docker-classic").replace("-A FORWARD -i br-app ! -o br-app -j ACCEPT\n", ""))
    found = diff(one, two)
    assert not found.same
    assert found.declared is not None
    assert found.declared.changes == ()
    assert found.declared.unread == ("br-app",)


@pytest.mark.shared
def test_every_network_of_real_docker_is_read(shared: Path) -> None:
    saves = sorted((shared / "truth").glob("*/*/ip*tables.save"))
    assert saves
    for path in saves:
        for ruleset in parse(path.read_bytes()).rulesets:
            found = read_back(ruleset)
            assert found.unread == frozenset()
            assert {one.bridge for one in found.networks} <= {"docker0"} | bridges(path.read_text())


def bridges(text: str) -> set[str]:
    return {word for word in text.split() if word.startswith("br-")}


@pytest.mark.shared
@pytest.mark.parametrize("stages", [("2", "3"), ("3", "4"), ("1", "4")])
def test_the_ports_of_real_docker(shared: Path, stages: tuple[str, str]) -> None:
    for mode in sorted((shared / "truth").iterdir()):
        one, two = (
            parse(next(mode.glob(f"{stage}-*")).joinpath("iptables.save").read_bytes()).rulesets
            for stage in stages
        )
        found = diff(one, two).declared
        assert found is not None
        assert {change.sign for change in found.changes} == {"+"}
        assert {change.kind for change in found.changes} == {"port map"}
