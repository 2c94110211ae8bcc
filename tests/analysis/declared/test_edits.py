"""Single edits of a declaration, and the sentence that names each, in all layouts whose rules tell of it."""

import pytest

from ruleflow.analysis.declared.differences import declared
from ruleflow.bridge.declaration import LAYOUTS
from ruleflow.bridge.generate import generate
from ruleflow.bridge.read_declaration import read_declaration

BASE = """
networks:
  app: {OPTIONS ipam: {config: [{subnet: 172.18.0.0/16}]}}
endpoints:
  web: {network: app, ipv4_address: 172.18.0.9, ports: ["8080-8083:80-83", "127.0.0.1:53:53/udp"]}
"""
DOCKER = ("docker-classic", "docker-28", "docker-29")
BRIDGES = ("native", *DOCKER)


def sentences(after: str, layout: str, before: str = BASE) -> list[str]:
    one, two = (read_declaration(text.replace("OPTIONS ", "")) for text in (before, after))
    found = declared([(generate(one, layout), generate(two, layout))])
    assert found is not None
    return [f"{change.sign} {change.sentence.replace('app (br-app)', 'br-app')}" for change in found.changes]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"127.0.0.1:53:53/udp"', "", ["- no longer publishes udp 53 to 172.18.0.9:53 (on 127.0.0.1)"]),
        (":53/udp", ":54/udp", ["~ udp 53 on 127.0.0.1: target was 172.18.0.9:53, now 172.18.0.9:54"]),
        ("127.0.0.1:53", "53", ["~ udp 53 to 172.18.0.9:53: host address was 127.0.0.1, now every address of this host"]),
        (
            ":53/udp", ":53/sctp",
            [
                "- no longer publishes udp 53 to 172.18.0.9:53 (on 127.0.0.1)",
                "+ publishes sctp 53 to 172.18.0.9:53 (on 127.0.0.1)",
            ],
        ),
        ("8083:80-83", "8083:90-93", ["~ tcp 8080-8083: target was 172.18.0.9:80-83, now 172.18.0.9:90-93"]),
        ("8080-8083:80-83", "8080-8084:80-84", ["+ publishes tcp 8084 to 172.18.0.9:84"]),
    ],
)  # fmt: skip
def test_ports(layout: str, old: str, new: str, told: list[str]) -> None:
    assert sentences(BASE.replace(old, new), layout) == told


def test_an_endpoint_that_moves_takes_its_ports_along() -> None:
    for layout in ("native", "docker-classic"):
        assert sentences(BASE.replace("18.0.9", "18.0.7"), layout) == [
            "~ tcp 8080-8083: target was 172.18.0.9:80-83, now 172.18.0.7:80-83",
            "~ udp 53 on 127.0.0.1: target was 172.18.0.9:53, now 172.18.0.7:53",
        ]


@pytest.mark.parametrize(
    ("new", "told", "layouts"),
    [
        ("icc: false,", "icc was on, now off", BRIDGES),
        ("internal: true,", "internal was off, now on", BRIDGES),
        ("ip_masq: false,", "ip_masq was on, now off", BRIDGES),
        ("outbound_addr4: 192.0.2.10,", "outbound_addr was none, now 192.0.2.10", BRIDGES),
        ("gateway_mode: routed,", "gateway_mode was nat, now routed", ("native", "docker-28", "docker-29")),
        (
            "gateway_mode: nat-unprotected,",
            "gateway_mode was nat, now nat-unprotected",
            ("native", "docker-28", "docker-29"),
        ),
        (
            "trusted_host_interfaces: [eth0],",
            "trusted_host_interfaces was none, now eth0",
            ("native", "docker-28", "docker-29"),
        ),
        ("hairpin: off,", "hairpin was conntrack, now off", ("native",)),
    ],
)
def test_options(new: str, told: str, layouts: tuple[str, ...]) -> None:
    for layout in layouts:
        assert f"~ network br-app: {told}" in sentences(BASE.replace("OPTIONS", new), layout)


@pytest.mark.parametrize("layout", DOCKER)
def test_the_userland_proxy_is_that_of_all_networks(layout: str) -> None:
    assert sentences(f"{BASE}userland_proxy: false\n", layout) == ["~ userland_proxy was on, now off"]


@pytest.mark.parametrize("layout", BRIDGES)
def test_networks_come_and_go(layout: str) -> None:
    two = BASE.replace(
        "endpoints:",
        "  lab: {icc: false, internal: true, ipam: {config: [{subnet: 10.9.0.0/24}]}}\nendpoints:",
    )
    name = "lab (br-lab)" if layout == "native" else "br-lab"
    subnet = (
        "" if layout == "native" else "10.9.0.0/24, "
    )  # where all that enters or leaves is dropped, the subnet is not asked for
    assert sentences(two, layout) == [f"+ network {name}: {subnet}icc off, internal on"]
    assert sentences(BASE, layout, two) == [f"- network {name} is gone"]


@pytest.mark.parametrize("layout", ["docker-28", "docker-29", "cni-portmap"])
def test_endpoints_come_and_go_where_they_leave_rules(layout: str) -> None:
    two = f"{BASE}  db: {{network: app, ipv4_address: 172.18.0.5}}\n"
    name = "app" if layout == "cni-portmap" else "br-app"
    assert sentences(two, layout) == [f"+ endpoint 172.18.0.5 on network {name}"]
    assert sentences(BASE, layout, two) == [f"- endpoint 172.18.0.5 on network {name} is gone"]
    assert sentences(two, "docker-classic") == []


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_subnet(layout: str) -> None:
    told = sentences(BASE.replace("172.18.0", "172.19.0"), layout)
    name = "app" if layout == "cni-portmap" else "br-app"
    assert f"~ network {name}: subnet was 172.18.0.0/16, now 172.19.0.0/16" in told


ROUTED = BASE.replace("OPTIONS", "gateway_mode: routed,").replace("8080-8083:80-83", "80-83")


@pytest.mark.parametrize("layout", BRIDGES)
def test_ports_of_a_routed_network(layout: str) -> None:
    """They are open at the container's own address; the host's port leaves rules in Docker from 28 on alone."""
    shown = layout in ("docker-28", "docker-29")
    published = ["+ publishes tcp 8080-8083 to 172.18.0.9:80-83"] if shown else []
    assert sentences(ROUTED.replace("80-83", "8080-8083:80-83"), layout, ROUTED) == published
    assert sentences(ROUTED.replace('"80-83", ', ""), layout, ROUTED) == [
        "- no longer opens tcp 80-83 of 172.18.0.9"
    ]
    assert sentences(ROUTED.replace('"80-83"', '"80-83", "7/sctp"'), layout, ROUTED) == [
        "+ opens sctp 7 of 172.18.0.9"
    ]


@pytest.mark.parametrize("layout", BRIDGES)
def test_a_network_that_is_routed_in_the_other_family_alone(layout: str) -> None:
    mixed = BASE.replace("OPTIONS", "gateway_mode: {ipv4: nat, ipv6: routed}, enable_ipv6: true,")
    told = sentences(mixed.replace('"127', '"443", "127'), layout, mixed)
    assert told == ([] if layout == "native" else ["+ opens tcp 443 of 172.18.0.9"])


@pytest.mark.parametrize("layout", BRIDGES)
def test_the_default_host_address_is_that_of_the_ports(layout: str) -> None:
    assert sentences(BASE.replace("OPTIONS", "host_binding: 192.0.2.10,"), layout) == [
        "~ tcp 8080-8083 to 172.18.0.9:80-83: host address was every address of this host, now 192.0.2.10"
    ]
