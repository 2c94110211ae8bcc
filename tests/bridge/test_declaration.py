"""What a declaration may say: `faults.t` holds declarations and, word for word, all that is wrong with them."""

import json
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.bridge.declaration import Declaration
from ruleflow.bridge.faults import DeclarationError
from ruleflow.bridge.read_declaration import read_declaration
from ruleflow.errors import ReadError
from ruleflow.netfilter.host import Host, Nexthop, Route
from ruleflow.ruleset.values import Range

CASES = dict(
    re.findall(
        r"^=== (.+)\n((?:(?!^=== ).*\n)*)", Path(__file__).with_name("faults.t").read_text(), re.MULTILINE
    )
)


@pytest.mark.parametrize("name", CASES)
def test_faults(name: str) -> None:
    text, wanted = CASES[name].split("---\n")
    with pytest.raises(DeclarationError) as raised:
        read_declaration(text, "net.yaml")
    assert f"{raised.value}\n" == wanted
    assert raised.value.faults == tuple(
        sorted(raised.value.faults, key=lambda one: (one.where.line, one.where.column))
    )


WHOLE = """
version: 1
networks:
  app:
    driver: bridge
    bridge: br-app
    internal: false
    icc: false
    icc_enforcement: port_isolation
    gateway_mode: {ipv4: nat-unprotected, ipv6: routed}
    ip_masq: false
    outbound_addr4: 192.0.2.10
    host_binding: [192.0.2.10, "2001:db8::10"]
    hairpin: docker
    localhost: true
    trusted_host_interfaces: [eth0, wg0]
    mtu: 1400
    ipam: {config: [{subnet: 172.18.0.0/16, gateway: 172.18.0.9, ip_range: 172.18.5.0/24}, {subnet: "fd00:18::/64"}]}
endpoints:
  web:
    network: app
    netns: web
    ports:
      - "8080:80"
      - "127.0.0.1:8081:80/tcp"
      - "[::1]:6001:6001"
      - "8000-8002:80-82/udp"
      - {name: dns, target: 53, published: "53", host_ip: 192.0.2.10, protocol: udp}
  db: {network: app, netns: "pid:1234", ipv4_address: 172.18.0.7}
layout: native
apply: {backend: auto, confirm: 5m, prefix: MY, comment: false, sysctls: check}
"""


def test_everything_that_can_be_said() -> None:
    declared = read_declaration(WHOLE)
    network = declared.network("app")
    assert (network.bridge, network.icc, network.icc_enforcement, network.mtu) == (
        "br-app",
        False,
        "port_isolation",
        1400,
    )
    assert (network.gateway_mode(4), network.gateway_mode(6)) == ("nat-unprotected", "routed")
    assert (network.subnet4, network.gateway4) == (IPv4Network("172.18.0.0/16"), IPv4Address("172.18.0.9"))
    assert (network.subnet6, network.gateway6) == (IPv6Network("fd00:18::/64"), IPv6Address("fd00:18::1"))
    assert (network.host_binding4, network.host_binding6) == (
        IPv4Address("192.0.2.10"),
        IPv6Address("2001:db8::10"),
    )
    assert network.trusted_host_interfaces == ("eth0", "wg0")
    web, db = declared.endpoints
    assert (web.netns, web.address4, web.address6) == (
        "web",
        IPv4Address("172.18.5.0"),
        IPv6Address("fd00:18::2"),
    )
    assert (db.netns, db.address4) == ("pid:1234", IPv4Address("172.18.0.7"))
    assert [str(port) for port in web.ports] == [
        "8080:80/tcp", "127.0.0.1:8081:80/tcp", "[::1]:6001:6001/tcp", "8000-8002:80-82/udp", "192.0.2.10:53:53/udp",
    ]  # fmt: skip
    assert (declared.apply.confirm, declared.apply.prefix, declared.apply.comment) == (300, "MY", False)
    assert declared.userland_proxy is False  # hairpin: docker


def test_json_is_read_by_the_same_rules() -> None:
    text = '{\n\t"networks": {"app": {"icc": false}},\n\t"endpoints": {"web": {"ports": ["8080:80", {"target": 81, "published": 8081}]}}\n}'
    declared = read_declaration(text)
    assert declared.networks[0].icc is False
    assert [str(port) for port in declared.endpoints[0].ports] == ["8080:80/tcp", "8081:81/tcp"]


def test_driver_options_as_compose_has_them() -> None:
    text = """
networks:
  app:
    driver: bridge
    driver_opts:
      com.docker.network.bridge.name: br0
      com.docker.network.bridge.enable_icc: "false"
      com.docker.network.bridge.gateway_mode_ipv6: routed
      com.docker.network.bridge.trusted_host_interfaces: eth0:wg0
      com.docker.network.driver.mtu: "1400"
      com.docker.network.host_ipv4: 192.0.2.10
    enable_ipv6: true
    labels: {a: b}
"""
    network = read_declaration(text).networks[0]
    assert (network.bridge, network.icc, network.mtu, network.outbound4) == (
        "br0",
        False,
        1400,
        IPv4Address("192.0.2.10"),
    )
    assert (network.gateway_mode4, network.gateway_mode6) == ("nat", "routed")
    assert network.trusted_host_interfaces == ("eth0", "wg0")
    assert network.subnet6 is not None
    assert network.subnet6.subnet_of(IPv6Network("fd00::/8"))


# -- what is given out ------------------------------------------------------------------------------------

THREE = """
networks: {bridge: {}, one: {}, two: {}}
endpoints:
  a: {network: one}
  b: {network: one, ipv4_address: 172.18.0.2}
  c: {network: one}
  d: {network: bridge}
"""


def given_out(declared: Declaration) -> dict[str, str]:
    return {one.name: str(one.address4) for one in declared.endpoints}


def test_what_is_left_out_is_given_as_docker_does() -> None:
    declared = read_declaration(THREE)
    assert [str(one.subnet4) for one in declared.networks] == [
        "172.17.0.0/16",
        "172.18.0.0/16",
        "172.19.0.0/16",
    ]
    assert [one.bridge for one in declared.networks] == ["docker0", "br-one", "br-two"]
    assert [str(one.gateway4) for one in declared.networks] == ["172.17.0.1", "172.18.0.1", "172.19.0.1"]
    assert given_out(declared) == {"a": "172.18.0.3", "b": "172.18.0.2", "c": "172.18.0.4", "d": "172.17.0.2"}


def test_a_gateway_leaves_an_address_that_an_endpoint_asks_for() -> None:
    text = "networks: {app: {ipam: {config: [{subnet: 172.18.0.0/16}]}}}\nendpoints: {web: {ipv4_address: 172.18.0.1}}"
    assert read_declaration(text).networks[0].gateway4 == IPv4Address("172.18.0.2")


def test_addresses_are_remembered() -> None:
    before = read_declaration(THREE)
    later = read_declaration(THREE.replace("  a: {network: one}\n", ""), before=before)
    assert given_out(later) == {"b": "172.18.0.2", "c": "172.18.0.4", "d": "172.17.0.2"}
    reordered = read_declaration("networks: {two: {}, one: {}}", before=before)
    assert [str(one.subnet4) for one in reordered.networks] == ["172.19.0.0/16", "172.18.0.0/16"]


def test_of_several_host_ports_the_first_free_one() -> None:
    text = 'networks: {app: {}}\nendpoints: {a: {ports: ["8000-8005:80"]}, b: {ports: ["8000-8005:80"]}}'
    assert [one.ports[0].published for one in read_declaration(text).endpoints] == [
        Range(8000, 8000),
        Range(8001, 8001),
    ]


def test_a_subnet_keeps_away_from_what_is_routed_here() -> None:
    hop = (Nexthop(interface="eth1"),)
    route = Route(family=4, destination=int(ip_address("172.18.0.0")), length=15, nexthops=hop)
    host = Host(routes=(route,))
    assert str(read_declaration("networks: {one: {}}", host=host).networks[0].subnet4) == "172.20.0.0/16"
    text = "networks:\n  one: {ipam: {config: [{subnet: 172.19.7.0/24}]}}\n"
    with pytest.raises(DeclarationError) as raised:
        read_declaration(text, "net.yaml", host=host)
    assert str(raised.value) == (
        "error: the subnet 172.19.7.0/24 overlaps a route of this host: 172.18.0.0/15 dev eth1\n"
        "  --> net.yaml:2:34\n"
        "2 |   one: {ipam: {config: [{subnet: 172.19.7.0/24}]}}\n"
        "  |                                  ^^^^^^^^^^^^^\n"
        "   = help: take another one, or leave it out and a free one is given"
    )
    ours = Host(
        routes=(
            Route(
                family=4,
                destination=int(ip_address("172.19.7.0")),
                length=24,
                nexthops=(Nexthop(interface="br-one"),),
            ),
        )
    )
    assert read_declaration(text, host=ours).networks[0].bridge == "br-one"


# -- anything at all --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: [", "this is no YAML: while parsing a flow"),
        ("a: b: c", "this is no YAML: mapping values are not allowed here"),
        ("x: \x01", "this is no YAML: "),
        ("a: 1\n--- \nb: 2", "this is no YAML: expected a single document"),
    ],
)
def test_what_is_no_yaml(text: str, message: str) -> None:
    with pytest.raises(ReadError) as raised:
        read_declaration(text, "net.yaml")
    assert raised.value.message.startswith(message)


WORDS = st.sampled_from(
    [
        "version", "networks", "endpoints", "ports", "app", "bridge", "ipam", "config", "subnet", "172.18.0.0/16", "8080:80",
        "true", "null", "1", "native", "layout", "apply", "driver_opts", "22:22", "::1", "[::1]:1:1", "gateway_mode", "nat",
        "\u2028", "\x1b", "-", "network", "host_binding", "aux_addresses", "target", "published", "0-99999", "internal",
    ]
)  # fmt: skip
TREES = st.recursive(
    WORDS | st.text(max_size=5) | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=20,
)  # fmt: skip


@settings(deadline=None)  # the first one loads the grammar
@given(st.dictionaries(WORDS, TREES, max_size=5))
def test_whatever_is_written_is_read_or_reported(tree: dict[str, object]) -> None:
    try:
        read_declaration(json.dumps(tree))
    except ReadError:
        return
    except DeclarationError as error:
        assert error.faults
        assert str(error).isascii() or all(line.isprintable() for line in str(error).split("\n"))


@settings(deadline=None)  # the first one loads the grammar
@given(st.text(max_size=200))
def test_any_text_is_read_or_reported(text: str) -> None:
    try:
        read_declaration(text)
    except (ReadError, DeclarationError) as error:
        assert str(error)
