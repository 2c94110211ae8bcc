"""The rules of Docker 28 and 29: one scenario written out, and what each option changes in it (Docker's own scenario documents).

The whole matrix was compared once with the dumps that Docker's sources hold; they are not copied here.
"""

import itertools

import pytest

from ruleflow.bridge.generate import generate
from ruleflow.bridge.read_declaration import read_declaration

SCENARIO = """
networks:
  bridge: {ipam: {config: [{subnet: 172.17.0.0/16}]}}
  bridge1: {bridge: bridge1, OPTIONS ipam: {config: [{subnet: 192.0.2.0/24}, {subnet: "2001:db8::/64"}]}}
endpoints:
  c1: {network: bridge1, ports: [PORT]}
"""


def rules(
    layout: str, options: str = "", port: str = '"8080:80"', *, family: int = 4, proxy: bool = True
) -> list[str]:
    text = SCENARIO.replace("OPTIONS", f"{options}," if options else "").replace("PORT", port)
    declaration = read_declaration(f"{text}\nuserland_proxy: {str(proxy).lower()}\n")
    ruleset = generate(declaration, layout, family)
    return [f"{ref.table} {rule}" for ref, rule in ruleset.rules()]


DOCKER_29 = """\
raw -A PREROUTING -d 192.0.2.2/32 ! -i bridge1 -j DROP
filter -A FORWARD -j DOCKER-USER
filter -A FORWARD -j DOCKER-FORWARD
filter -A DOCKER -d 192.0.2.2/32 ! -i bridge1 -o bridge1 -p tcp -m tcp --dport 80 -j ACCEPT
filter -A DOCKER ! -i docker0 -o docker0 -j DROP
filter -A DOCKER ! -i bridge1 -o bridge1 -j DROP
filter -A DOCKER-BRIDGE -o docker0 -j DOCKER
filter -A DOCKER-BRIDGE -o bridge1 -j DOCKER
filter -A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
filter -A DOCKER-CT -o bridge1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
filter -A DOCKER-FORWARD -j DOCKER-CT
filter -A DOCKER-FORWARD -j DOCKER-INTERNAL
filter -A DOCKER-FORWARD -j DOCKER-BRIDGE
filter -A DOCKER-FORWARD -i docker0 -j ACCEPT
filter -A DOCKER-FORWARD -i bridge1 -j ACCEPT
nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
nat -A POSTROUTING -s 192.0.2.0/24 ! -o bridge1 -j MASQUERADE
nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
nat -A DOCKER ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80
""".splitlines()


def changes(before: list[str], after: list[str]) -> list[str]:
    """The rules that went (-) and came (+), in order."""
    gone = [f"- {rule}" for rule in before if rule not in after]
    return gone + [f"+ {rule}" for rule in after if rule not in before]


def test_docker_29() -> None:
    assert rules("docker-29") == DOCKER_29


MASQUERADE = "nat -A POSTROUTING -s 192.0.2.0/24 ! -o bridge1 -j MASQUERADE"
DNAT = "nat -A DOCKER ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 192.0.2.2:80"
DIRECT = "raw -A PREROUTING -d 192.0.2.2/32 ! -i bridge1 -j DROP"
OPEN = "filter -A DOCKER -d 192.0.2.2/32 ! -i bridge1 -o bridge1 -p tcp -m tcp --dport 80 -j ACCEPT"
REST = "filter -A DOCKER ! -i bridge1 -o bridge1 -j DROP"
OUT = "filter -A DOCKER-FORWARD -i bridge1 -j ACCEPT"
CT = "filter -A DOCKER-CT -o bridge1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
ENTER = "filter -A DOCKER-BRIDGE -o bridge1 -j DOCKER"


@pytest.mark.parametrize(
    ("options", "port", "wanted"),
    [
        ("", '"192.0.2.10:8080:80"', [f"- {DNAT}", f"+ {DNAT.replace('! -i', '-d 192.0.2.10/32 ! -i')}"]),
        ("", '"0.0.0.0:8080:80"', []),
        (
            "", '"127.0.0.1:8080:80"',
            [
                f"- {DNAT}", "+ raw -A PREROUTING -d 127.0.0.1/32 ! -i lo -p tcp -m tcp --dport 8080 -j DROP",
                f"+ {DNAT.replace('! -i', '-d 127.0.0.1/32 ! -i')}",
            ],
        ),
        (
            "icc: false", '"8080:80"',
            [
                f"- {OUT}", "+ filter -A DOCKER-FORWARD -i bridge1 -o bridge1 -j DROP",
                "+ filter -A DOCKER-FORWARD -i bridge1 ! -o bridge1 -j ACCEPT",
            ],
        ),
        (
            "internal: true", '"8080:80"',
            [
                *(f"- {rule}" for rule in (DIRECT, OPEN, REST, ENTER, CT, OUT, MASQUERADE, DNAT)),
                "+ filter -A DOCKER-FORWARD -i bridge1 -o bridge1 -j ACCEPT",
                "+ filter -A DOCKER-INTERNAL ! -s 192.0.2.0/24 -o bridge1 -j DROP",
                "+ filter -A DOCKER-INTERNAL ! -d 192.0.2.0/24 -i bridge1 -j DROP",
            ],
        ),
        (
            "gateway_mode: routed", '"80"',
            [f"- {DIRECT}", f"- {MASQUERADE}", f"- {DNAT}", "+ filter -A DOCKER -o bridge1 -p icmp -j ACCEPT"],
        ),
        (
            "gateway_mode: nat-unprotected", '"8080:80"',
            [f"- {DIRECT}", f"- {OPEN}", f"- {REST}", f"+ {REST.replace('DROP', 'ACCEPT')}"],
        ),
        ("ip_masq: false", '"8080:80"', [f"- {MASQUERADE}"]),
        (
            "outbound_addr4: 192.0.2.10", '"8080:80"',
            [f"- {MASQUERADE}", f"+ {MASQUERADE.replace('MASQUERADE', 'SNAT --to-source 192.0.2.10')}"],
        ),
        (
            "trusted_host_interfaces: [eth0]", '"8080:80"',
            ["+ raw -A PREROUTING -d 192.0.2.2/32 -i eth0 -j ACCEPT"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_an_option_changes(options: str, port: str, wanted: list[str]) -> None:
    assert changes(DOCKER_29, rules("docker-29", options, port)) == wanted


def test_without_the_userland_proxy() -> None:
    assert changes(DOCKER_29, rules("docker-29", proxy=False)) == [
        "- nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
        f"- {DNAT}",
        "+ nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER",
        "+ nat -A POSTROUTING -o bridge1 -m addrtype --src-type LOCAL -j MASQUERADE",
        "+ nat -A POSTROUTING -o docker0 -m addrtype --src-type LOCAL -j MASQUERADE",
        "+ nat -A POSTROUTING -s 192.0.2.2/32 -d 192.0.2.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE",
        f"+ {DNAT.replace('! -i bridge1 ', '')}",
    ]


def test_six() -> None:
    found = rules("docker-29", family=6)
    assert (
        "nat -A DOCKER ! -s fe80::/10 ! -i bridge1 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [2001:db8::2]:80"
        in found
    )
    assert "raw -A PREROUTING -d 2001:db8::2/128 ! -i bridge1 -j DROP" in found
    internal = rules("docker-29", "internal: true", family=6)
    assert [rule for rule in internal if "DOCKER-INTERNAL " in rule] == [
        "filter -A DOCKER-INTERNAL ! -s 2001:db8::/64 ! -i bridge1 -o bridge1 -j DROP",
        "filter -A DOCKER-INTERNAL ! -d 2001:db8::/64 -i bridge1 ! -o bridge1 -j DROP",
    ]
    routed = rules("docker-29", "gateway_mode: {ipv6: routed}", family=6)
    assert "filter -A DOCKER -o bridge1 -p ipv6-icmp -j ACCEPT" in routed
    assert MASQUERADE in rules("docker-29", "gateway_mode: {ipv6: routed}")


def test_ports_come_by_container_port_and_stand_upside_down_where_they_are_inserted() -> None:
    found = rules("docker-29", port='"443:443", "8080:80", "53:53/udp", "53:53", "9000-9001:80-81"')
    translated = [rule.split("--dport ")[1] for rule in found if "-j DNAT" in rule]
    assert [(one.split()[0], one.rpartition(":")[2]) for one in translated] == [
        ("53", "53"), ("53", "53"), ("8080", "80"), ("9000", "80"), ("9001", "81"), ("443", "443"),
    ]  # fmt: skip
    opened = [
        rule.split("--dport ")[1].split()[0] for rule in found if rule.startswith("filter -A DOCKER -d")
    ]
    assert opened == ["443", "81", "80", "53", "53"]


def test_docker_28() -> None:
    found = rules("docker-28")
    assert changes([rule for rule in DOCKER_29 if "DOCKER-INTERNAL" not in rule], found) == [
        "+ filter -A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "+ filter -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        "+ filter -A DOCKER-ISOLATION-STAGE-1 -i bridge1 ! -o bridge1 -j DOCKER-ISOLATION-STAGE-2",
        "+ filter -A DOCKER-ISOLATION-STAGE-2 -o bridge1 -j DROP",
        "+ filter -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
        "+ nat -A DOCKER -i bridge1 -j RETURN",
        "+ nat -A DOCKER -i docker0 -j RETURN",
    ]
    routed = rules("docker-28", "gateway_mode: routed", '"80"')
    assert [rule for rule in routed if "ISOLATION-STAGE-1 " in rule] == [
        "filter -A DOCKER-ISOLATION-STAGE-1 -i bridge1 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "filter -A DOCKER-ISOLATION-STAGE-1 -o bridge1 -j RETURN",
        "filter -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
        "filter -A DOCKER-ISOLATION-STAGE-1 -i bridge1 ! -o bridge1 -j DOCKER-ISOLATION-STAGE-2",
    ]


MATRIX = list(
    itertools.product(
        ("true", "false"),
        ("true", "false"),
        ("true", "false"),
        ("nat", "nat-unprotected", "routed"),
        (True, False),
        (4, 6),
    )
)


@pytest.mark.parametrize("layout", ["docker-28", "docker-29"])
def test_each_option_leaves_the_others_rules_alone(layout: str) -> None:
    for icc, masq, internal, mode, proxy, family in MATRIX:
        options = f"icc: {icc}, ip_masq: {masq}, internal: {internal}, gateway_mode: {mode}"
        found = rules(layout, options, family=family, proxy=proxy)
        where = (layout, options, proxy, family)
        masked = any(" ! -o bridge1 -j MASQUERADE" in rule for rule in found)
        assert masked == (masq == "true" and internal == "false" and mode != "routed"), where
        guarded = any(rule.startswith("raw ") for rule in found)
        assert guarded == (internal == "false" and mode == "nat"), where
        assert any(
            "-o bridge1 -j DROP" in rule and "-i bridge1 -o" in rule for rule in found if "! -i" not in rule
        ) == (icc == "false"), where
        self_masqueraded = any(
            "-s 192.0.2.2/32 -d" in rule or "-s 2001:db8::2/128 -d" in rule for rule in found
        )
        assert self_masqueraded == (not proxy and internal == "false"), where
