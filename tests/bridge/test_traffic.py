"""Our own layout keeps its promises for real packets: namespaces, both backends, with and without br_netfilter."""

import pytest
from namespaces import shell
from room import HOST4, HOST6, OUTSIDE4, OUTSIDE6, room

from ruleflow.bridge.read_declaration import read_declaration

pytestmark = pytest.mark.root

TWO = """
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
  other: {ipam: {config: [{subnet: 172.19.0.0/16}, {subnet: "fd00:19::/64"}]}}
endpoints:
  web:
    network: app
    ports: ["8080:80", "8080:80/udp", "127.0.0.1:8081:80", "9000-9003:80-83", "9000-9003:80-83/udp"]
  sib: {network: app}
  far: {network: other}
"""


def both(address: str, port: int) -> tuple[tuple[str, str, int], ...]:
    return ("tcp", address, port), ("udp", address, port)


@pytest.mark.parametrize("bridge_netfilter", [False, True], ids=["routed", "br_netfilter"])
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_who_reaches_whom(backend: str, bridge_netfilter: bool) -> None:
    promises = [
        ("outside", HOST4, 8080, f"web {OUTSIDE4} 80"), ("outside", HOST6, 8080, f"web {OUTSIDE6} 80"),
        ("outside", HOST4, 9002, f"web {OUTSIDE4} 82"), ("outside", HOST6, 9003, f"web {OUTSIDE6} 83"),
        ("outside", "172.18.0.2", 80, "timeout"), ("outside", "fd00:18::2", 80, "timeout"),
        ("outside", "172.18.0.2", 81, "timeout"), ("outside", "172.18.0.3", 80, "timeout"),
        ("outside", HOST4, 8081, "refused"),
        ("host", HOST4, 8080, f"web {HOST4} 80"), ("host", HOST6, 8080, f"web {HOST6} 80"),
        ("host", "127.0.0.1", 8080, "web 172.18.0.1 80"), ("host", "127.0.0.1", 9001, "web 172.18.0.1 81"),
        ("host", "::1", 8080, "refused"), ("host", "172.18.0.2", 82, "web 172.18.0.1 82"),
        ("web", HOST4, 8080, "web 172.18.0.1 80"), ("web", HOST6, 8080, "web fd00:18::1 80"),
        ("web", "172.18.0.3", 80, "sib 172.18.0.2 80"), ("web", OUTSIDE4, 80, f"outside {HOST4} 80"),
        ("web", OUTSIDE6, 80, f"outside {HOST6} 80"),
        ("sib", HOST4, 8080, "web 172.18.0.1 80"), ("sib", HOST6, 9000, "web fd00:18::1 80"),
        ("sib", "172.18.0.2", 80, "web 172.18.0.3 80"), ("sib", "fd00:18::2", 80, "web fd00:18::3 80"),
        ("far", HOST4, 8080, "web 172.18.0.1 80"), ("far", HOST6, 8080, "web fd00:18::1 80"),
        ("far", "172.18.0.2", 80, "timeout"), ("far", "fd00:18::3", 81, "timeout"),
    ]  # fmt: skip
    with room(read_declaration(TWO), backend=backend, bridge_netfilter=bridge_netfilter) as tried:
        for place in ("outside", "host", "web", "sib", "far"):
            mine = [(address, port, answer) for where, address, port, answer in promises if where == place]
            answers = tried.ask(
                place, *(question for address, port, _ in mine for question in both(address, port))
            )
            wanted = [answer for *_, answer in mine for _ in range(2)]
            assert answers == wanted, (place, list(zip(mine, answers[::2], answers[1::2], strict=True)))
        assert tried.ask("host", ("tcp", "127.0.0.1", 8081), ("udp", "127.0.0.1", 8081)) == [
            "web 172.18.0.1 80",
            "refused",
        ]


def route_loopback(name: str) -> None:
    """Make a neighbour send what it has for 127.0.0.1 to the host."""
    shell(name, "sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1")
    shell(
        name,
        "ip route del local 127.0.0.1 table local; ip route del local 127.0.0.0/8 table local",
        check=False,
    )
    shell(name, f"ip route add 127.0.0.1/32 via {HOST4} src {OUTSIDE4}")


def published_on_loopback(host: str) -> int:
    """How many connections the rule for 127.0.0.1:8081 has sent on."""
    saved = shell(host, "iptables-save -c -t nat")
    return int(
        next(line for line in saved.splitlines() if "-A RF-PUBLISH -d 127.0.0.1/32" in line)[1:].split(":")[0]
    )


def test_a_neighbour_does_not_reach_what_is_published_on_loopback() -> None:
    with room(read_declaration(TWO)) as tried:
        host = tried.names["host"]
        route_loopback(tried.names["outside"])
        tried.ask("outside", ("tcp", "127.0.0.1", 8081))
        assert published_on_loopback(host) == 0
        shell(host, "iptables -t raw -F RF-GUARD")
        tried.ask("outside", ("tcp", "127.0.0.1", 8081))
        assert published_on_loopback(host) == 1  # so it is the guard that does it


QUIET = """
networks:
  quiet: {icc: false, icc_enforcement: MEANS, ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
  inner: {internal: true, ipam: {config: [{subnet: 172.19.0.0/16}]}}
  open: {gateway_mode: routed, ipam: {config: [{subnet: 172.20.0.0/16}]}}
endpoints:
  web: {network: quiet, ports: ["8080:80"]}
  sib: {network: quiet}
  in1: {network: inner}
  in2: {network: inner}
  rt: {network: open, ports: ["80"]}
"""


@pytest.mark.parametrize(("means", "bridge_netfilter"), [("br_netfilter", True), ("port_isolation", False)])
def test_quiet_internal_and_routed_networks(means: str, bridge_netfilter: bool) -> None:
    with room(read_declaration(QUIET.replace("MEANS", means)), bridge_netfilter=bridge_netfilter) as tried:
        assert tried.ask("sib", ("tcp", "172.18.0.2", 80), ("tcp", HOST4, 8080), ("tcp", OUTSIDE4, 80)) == [
            "timeout", "web 172.18.0.1 80", f"outside {HOST4} 80",
        ]  # fmt: skip
        assert tried.ask("in1", ("tcp", "172.19.0.3", 80), ("tcp", OUTSIDE4, 80), ("tcp", HOST4, 8080)) == [
            "in2 172.19.0.2 80", "timeout", "timeout",
        ]  # fmt: skip
        assert tried.ask("outside", ("tcp", "172.20.0.2", 80), ("tcp", "172.20.0.2", 81), ("tcp", "172.19.0.2", 80)) == [
            f"rt {OUTSIDE4} 80", "timeout", "timeout",
        ]  # fmt: skip
        assert tried.ask("rt", ("tcp", OUTSIDE4, 80), ("tcp", HOST4, 8080)) == [
            "outside 172.20.0.2 80",
            "web 172.20.0.2 80",
        ]


UNMASKED = """
networks:
  plain: {ip_masq: false, hairpin: off, localhost: false, ipam: {config: [{subnet: 172.18.0.0/16}]}}
endpoints:
  web: {network: plain, ports: ["8080:80"]}
"""


def test_replies_come_back_without_masquerading_and_direct_access_does_not() -> None:
    with room(read_declaration(UNMASKED)) as tried:
        assert tried.ask("web", ("tcp", OUTSIDE4, 80), ("tcp", HOST4, 8080)) == [
            "outside 172.18.0.2 80",
            "refused",
        ]
        assert tried.ask("outside", ("tcp", "172.18.0.2", 80), ("tcp", HOST4, 8080)) == [
            "timeout",
            f"web {OUTSIDE4} 80",
        ]
        assert tried.ask("host", ("tcp", "127.0.0.1", 8080)) == ["refused"]


FOREIGN = """
networks:
  app: {ipam: {config: [{subnet: 172.18.0.0/16}]}}
  other: {ipam: {config: [{subnet: 172.19.0.0/16}]}}
endpoints:
  web: {network: app, ports: ["8080:80", "9000-9001:80-81/udp"]}
  sib: {network: app}
  far: {network: other}
userland_proxy: false
"""


@pytest.mark.parametrize("layout", ["docker-classic", "docker-28", "docker-29", "cni-portmap"])
def test_the_foreign_layouts_do_what_their_owners_promise(layout: str) -> None:
    """On a host with br_netfilter, without the userland proxy; what the bridges keep apart differs from version to version."""
    isolated, guarded = layout in ("docker-classic", "docker-28"), layout != "cni-portmap"
    seen_from_host = HOST4 if layout == "cni-portmap" else "172.18.0.1"
    seen_from_sib = "172.18.0.1" if layout == "cni-portmap" else "172.18.0.3"
    with room(read_declaration(FOREIGN, layout=layout), bridge_netfilter=True) as tried:
        assert tried.ask("outside", ("tcp", HOST4, 8080), ("udp", HOST4, 9001), ("tcp", "172.18.0.3", 80)) == [
            f"web {OUTSIDE4} 80", f"web {OUTSIDE4} 81", "timeout" if guarded else f"sib {OUTSIDE4} 80",
        ]  # fmt: skip
        assert tried.ask("host", ("tcp", HOST4, 8080), ("tcp", "127.0.0.1", 8080), ("udp", HOST4, 9000)) == [
            f"web {seen_from_host} 80", "web 172.18.0.1 80", f"web {seen_from_host} 80",
        ]  # fmt: skip
        assert tried.ask("web", ("tcp", HOST4, 8080), ("tcp", OUTSIDE4, 80)) == [
            "web 172.18.0.1 80",
            f"outside {HOST4} 80",
        ]
        assert tried.ask("sib", ("tcp", HOST4, 8080), ("tcp", "172.18.0.2", 80)) == [
            f"web {seen_from_sib} 80", "web 172.18.0.3 80",
        ]  # fmt: skip
        (far,) = tried.ask("far", ("tcp", HOST4, 8080))
        assert far == ("timeout" if isolated else far)
        assert isolated or far.startswith("web ")


HAIRPIN = """
networks:
  app: {hairpin: docker, ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
endpoints:
  web: {ports: ["8080:80"]}
  sib: {}
"""


def test_hairpin_as_docker_does_it_keeps_the_siblings_address() -> None:
    with room(read_declaration(HAIRPIN), bridge_netfilter=True) as tried:
        assert tried.ask("web", ("tcp", HOST4, 8080), ("tcp", HOST6, 8080)) == [
            "web 172.18.0.1 80",
            "web fd00:18::1 80",
        ]
        assert tried.ask("sib", ("tcp", HOST4, 8080), ("tcp", HOST6, 8080)) == [
            "web 172.18.0.3 80",
            "web fd00:18::3 80",
        ]


OPENED = """
networks:
  free: {gateway_mode: nat-unprotected, ipam: {config: [{subnet: 172.18.0.0/16}, {subnet: "fd00:18::/64"}]}}
  trusting: {trusted_host_interfaces: [eth0], ipam: {config: [{subnet: 172.19.0.0/16}]}}
endpoints:
  any: {network: free, ports: ["8080:80"]}
  friend: {network: trusting}
"""


def test_what_is_opened_is_open_and_no_more() -> None:
    with room(read_declaration(OPENED)) as tried:
        asked = (
            ("tcp", HOST4, 8080),
            ("tcp", "172.18.0.2", 81),
            ("udp", "fd00:18::2", 82),
            ("tcp", "172.19.0.2", 80),
        )
        assert tried.ask("outside", *asked) == [
            f"any {OUTSIDE4} 80", f"any {OUTSIDE4} 81", f"any {OUTSIDE6} 82", f"friend {OUTSIDE4} 80",
        ]  # fmt: skip
        assert tried.ask("any", ("tcp", "172.19.0.2", 80)) == ["timeout"]
        assert tried.ask("friend", ("tcp", "172.18.0.2", 81)) == ["any 172.18.0.1 81"]
