"""What every layout must be: rules that the real tools take, that come back as they were, and that stand for what differs."""

import os
import subprocess

import pytest
from declared import declarations
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.bridge.declaration import LAYOUTS, Declaration, PortMap
from ruleflow.bridge.generate import generate
from ruleflow.bridge.needs import needs
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.errors import RuleflowError
from ruleflow.ruleset.parse import parse
from ruleflow.ruleset.values import Range


@settings(deadline=None)  # the first one loads the grammar
@given(declarations(), st.sampled_from([4, 6]))
def test_what_is_generated_is_canonical(declaration: Declaration, family: int) -> None:
    ruleset = generate(declaration, family=family)
    text = str(ruleset)
    document = parse(text, family=family, strict=True)
    assert (document.rulesets[0] if text else ruleset) == ruleset
    assert not document.warnings
    assert str(document) == text
    assert needs(declaration) == needs(declaration)


@settings(deadline=None)  # the first one loads the grammar
@given(declarations(), st.sampled_from([4, 6]))
def test_jumps_lead_to_chains_and_rules_stand_once(declaration: Declaration, family: int) -> None:
    for table in generate(declaration, family=family):
        for chain in table:
            assert len(set(chain.rules)) == len(chain.rules)
            for rule in chain.rules:
                called = getattr(rule.target, "chain", None)
                assert called is None or called in table


@settings(deadline=None)  # the first one loads the grammar
@given(declarations())
def test_nothing_of_ours_is_in_the_operators_chain(declaration: Declaration) -> None:
    ruleset = generate(declaration, "native")
    assert ruleset["filter"]["RF-USER"].rules == ()
    for table in ruleset:
        for chain in table:
            assert (
                chain.policy is None or len(chain.rules) <= 1
            )  # one jump for each hook, and no policy of ours


@settings(deadline=None)  # the first one loads the grammar
@given(declarations())
def test_a_port_map_adds_one_rule(declaration: Declaration) -> None:
    if not declaration.endpoints:
        return
    endpoint = declaration.endpoints[0]
    network = declaration.network(endpoint.network)
    port = PortMap(Range(99, 99), Range(60000, 60000))
    before, after = (
        {rule for _, rule in generate(one, "native").rules()}
        for one in (declaration, declaration.with_port(endpoint.name, port))
    )
    silent = network.internal or endpoint.address4 is None or not port.serves(4)
    own = 1 if network.hairpin == "docker" and network.gateway_mode4 != "routed" else 0
    assert len(after - before) == (0 if silent else 1 + own)
    assert before <= after


# -- the real tools ---------------------------------------------------------------------------------------


def restored(backend: str, family: int, text: str) -> dict[str, list[str]]:
    """The tables that the real save prints after the real restore has read ``text`` into a namespace of its own."""
    tool = f"{'iptables' if family == 4 else 'ip6tables'}-{backend}"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{tool}-restore && {tool}-save"], input=text, capture_output=True, text=True,
        check=False, env={**os.environ, "XTABLES_LOCKFILE": "/proc/self/fd/2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + text
    return tables(done.stdout)


def tables(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            found[line] = []
        elif found and not line.startswith("#"):
            found[list(found)[-1]].append(line)
    return found


@pytest.mark.root
@pytest.mark.parametrize("backend", ["nft", "legacy"])
@settings(max_examples=25, deadline=None)
@given(declaration=declarations(), family=st.sampled_from([4, 6]))
def test_the_real_tools_take_it_and_give_it_back(backend: str, declaration: Declaration, family: int) -> None:
    text = str(generate(declaration, family=family))
    made = {
        name: lines for name, lines in tables(text).items() if any(line.startswith("-A") for line in lines)
    }
    assert made.items() <= restored(backend, family, text).items()


# -- the rest ---------------------------------------------------------------------------------------------


def test_layouts_that_are_not_there() -> None:
    with pytest.raises(RuleflowError, match="there is no layout 'docker29'"):
        generate(Declaration(), "docker29")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_declared_is_no_error(layout: str) -> None:
    assert list(generate(Declaration(), layout, 6)) is not None


def test_needs_of_a_docker_without_its_proxy() -> None:
    text = 'networks: {app: {hairpin: docker}}\nendpoints: {web: {ports: ["8080:80"]}}\nlayout: docker-29'
    found = needs(read_declaration(text))
    assert found.modules == ("br_netfilter",)
    assert [f"{one.name}={one.value}" for one in found.sysctls] == [
        "net.ipv4.ip_forward=1", "net.ipv4.conf.br-app.route_localnet=1", "net.bridge.bridge-nf-call-iptables=1",
    ]  # fmt: skip
    assert [(one.endpoint, one.flag) for one in found.port_flags] == [("web", "hairpin")]
    assert found.proxies == ()


def test_needs_of_a_docker_with_its_proxy() -> None:
    text = 'networks: {app: {}}\nendpoints: {web: {ports: ["127.0.0.1:8080:80", "53:53/udp"]}}\nlayout: docker-28'
    found = needs(read_declaration(text))
    assert [(one.protocol, str(one.host_ip), one.host_port, str(one.address), one.port) for one in found.proxies] == [
        ("udp", "0.0.0.0", 53, "172.18.0.2", 53), ("tcp", "127.0.0.1", 8080, "172.18.0.2", 80),
        ("udp", "::", 53, "172.18.0.2", 53),
    ]  # fmt: skip
    assert found.modules == ()


def test_needs_of_our_own() -> None:
    text = """
networks:
  app: {icc: false, icc_enforcement: port_isolation, enable_ipv6: true}
endpoints:
  web: {ports: ["8080:80", "[::1]:81:81"]}
  db: {}
"""
    found = needs(read_declaration(text))
    assert found.modules == ()
    assert [f"{one.name}={one.value}" for one in found.sysctls] == [
        "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.br-app.route_localnet=1",
    ]  # fmt: skip
    assert [(one.endpoint, one.flag) for one in found.port_flags] == [
        ("web", "hairpin"),
        ("web", "isolated"),
        ("db", "isolated"),
    ]
    assert found.unserved == (
        "web: [::1]:81:81/tcp cannot be served by rules, for IPv6 has no route_localnet; a program that listens on [::1] would have to relay it",
    )
