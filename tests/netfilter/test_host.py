"""Hosts: settings as the kernel combines them, listeners, sets, and hosts described or inferred."""

from pathlib import Path

import pytest

from ruleflow.errors import ReadError
from ruleflow.netfilter.describe import parse_address, parse_description, parse_route
from ruleflow.netfilter.host import Host, Listener, Relay, Sysctls
from ruleflow.netfilter.infer import infer_host
from ruleflow.netfilter.ipset import read_sets
from ruleflow.netfilter.numbers import address_text, read_address
from ruleflow.netfilter.read_host import read_relays
from ruleflow.netfilter.routing import route
from ruleflow.ruleset.parse import parse

CONF = "net.ipv4.conf."


def number(text: str) -> int:
    return read_address(text)[0]


def with_settings(**settings: int) -> Host:
    """``all_rp_filter=1`` stands for net.ipv4.conf.all.rp_filter."""
    pairs = (name.split("_", 1) for name in settings)
    named = {f"{CONF}{link}.{what}": settings[f"{link}_{what}"] for link, what in pairs}
    return Host(sysctls=Sysctls.of({name: str(value) for name, value in named.items()}))


@pytest.mark.parametrize(
    ("everywhere", "own", "combined"), [(0, 0, 0), (1, 0, 1), (0, 2, 2), (1, 2, 2), (2, 1, 2)]
)
def test_rp_filter_is_the_greater(everywhere: int, own: int, combined: int) -> None:
    assert with_settings(all_rp_filter=everywhere, eth0_rp_filter=own).rp_filter("eth0") == combined


def test_accept_local_and_route_localnet_are_either() -> None:
    assert with_settings(all_accept_local=0, eth0_accept_local=1).accept_local("eth0") is True
    assert with_settings(all_route_localnet=1, eth0_route_localnet=0).route_localnet("eth0") is True
    assert with_settings(all_route_localnet=0, eth0_route_localnet=0).route_localnet("eth0") is False


def test_what_is_not_known_is_not_said() -> None:
    host = Host()
    assert (
        host.rp_filter("eth0")
        is host.accept_local("eth0")
        is host.forwards(4, "eth0")
        is host.forwards(6)
        is None
    )
    assert host.bridge_nf(4) is None
    assert Host(sysctls=Sysctls()).bridge_nf(4) is False
    decision = route(host, number("192.0.2.1"), family=4)
    assert decision.kind == "unknown"
    assert decision.missing == ("the routing tables (ip route show table all)",)


def test_forwarding_is_the_arriving_interfaces_or_the_hosts() -> None:
    host = with_settings(all_forwarding=1, eth0_forwarding=0)
    assert (host.forwards(4, "eth0"), host.forwards(4, "eth1")) == (False, True)
    six = Host(
        sysctls=Sysctls.of({"net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.eth0.force_forwarding": "1"})
    )
    assert (six.forwards(6, "eth0"), six.forwards(6, "eth1")) == (True, False)


def test_a_dot_in_an_interfaces_name() -> None:
    host = Host(sysctls=Sysctls.of({"net.ipv4.conf.eth0/100.rp_filter": "1"}))
    assert host.rp_filter("eth0.100") == 1


def test_the_closest_listener_answers() -> None:
    any_, own, both = (
        Listener(protocol="tcp", port=80, family=4, process="any"),
        Listener(protocol="tcp", port=80, family=4, address=number("192.0.2.1"), process="own"),
        Listener(protocol="tcp", port=80, family=0, process="both"),
    )
    host = Host(listeners=(both, any_, own))
    assert host.listener("tcp", number("192.0.2.1"), 80, 4) == own
    assert host.listener("tcp", number("192.0.2.9"), 80, 4) == any_
    assert host.listener("tcp", number("2001:db8::1"), 80, 6) == both
    assert host.listener("udp", number("192.0.2.1"), 80, 4) is None


def test_what_a_proxy_relays() -> None:
    line = "/usr/sbin/docker-proxy -proto tcp -host-ip :: -host-port 80 -container-ip 172.17.0.4 -container-port 8080\n"
    (relay,) = read_relays(line + "something else\n")
    to = number("172.17.0.4")
    assert relay == Relay(
        protocol="tcp", family=6, address=0, port=80, to_family=4, to_address=to, to_port=8080
    )
    host = Host(relays=(relay,))
    assert host.relay("tcp", number("2001:db8::1"), 80, 6) == relay
    assert host.relay("tcp", number("192.0.2.1"), 80, 4) is None
    assert not relay.answers_as_asked
    (later,) = read_relays(f"{line.strip()} -use-listen-fd\n")  # Docker 28
    assert later.answers_as_asked


SETS = """create nets hash:net family inet hashsize 1024 maxelem 65536 counters bucketsize 12 initval 0x1
add nets 10.0.0.0/8 packets 1 bytes 2
add nets 10.1.0.0/16 nomatch
add nets 10.1.2.0/24 timeout 30
create ports hash:ip,port family inet6 hashsize 1024 maxelem 65536
add ports 2001:db8::1,tcp:80
add ports 2001:db8::2,udp:1000-2000
create map bitmap:ip,mac range 10.0.0.0/24
add map 10.0.0.5,02:00:00:00:00:05
create links hash:net,iface family inet hashsize 1024 maxelem 65536
add links 10.0.0.0/8,eth0
create marks hash:ip,mark family inet markmask 0xffffffff hashsize 1024 maxelem 65536
add marks 10.0.0.5,0x00000005
create numbers bitmap:port range 0-1024
add numbers 22
"""


@pytest.mark.parametrize(
    ("name", "values", "inside"),
    [
        ("nets", (number("10.9.0.1"),), True),
        ("nets", (number("10.1.9.1"),), False),
        ("nets", (number("10.1.2.3"),), True),
        ("nets", (number("11.0.0.1"),), False),
        ("ports", (number("2001:db8::1"), (6, 80)), True),
        ("ports", (number("2001:db8::1"), (17, 80)), False),
        ("ports", (number("2001:db8::2"), (17, 1500)), True),
        ("map", (number("10.0.0.5"), 0x020000000005), True),
        ("map", (number("10.0.0.5"), 0x020000000006), False),
        ("links", (number("10.0.0.5"), "eth0"), True),
        ("links", (number("10.0.0.5"), "eth1"), False),
        ("marks", (number("10.0.0.5"), 5), True),
        ("numbers", ((6, 22),), True),
        ("numbers", ((6, 23),), False),
    ],
)
def test_sets(name: str, values: tuple[int | str | tuple[int, int], ...], inside: bool) -> None:
    found = {one.name: one for one in read_sets(SETS)}[name]
    assert found.contains(values) is inside


def test_sets_keep_what_they_were_made_with() -> None:
    sets = {one.name: one for one in read_sets(SETS)}
    assert (sets["ports"].family, sets["nets"].family) == (6, 4)
    assert [member.timeout for member in sets["nets"].members] == [None, None, 30]
    assert ("maxelem", "65536") in sets["nets"].options
    with pytest.raises(ReadError, match="no line of ipset save"):
        read_sets("add nowhere 10.0.0.1\n")


DESCRIPTION = """
name: router
interfaces:
  eth0: [192.0.2.10/24, 2001:db8::10/64]
  eth1: {addresses: [198.51.100.1/24], mac: 02:00:00:00:00:01, up: false}
  docker0:
    addresses: [172.17.0.1/16]
    ports:
      veth1: {hairpin: true}
      veth2: {isolated: true}
routes:
  - default via 192.0.2.1 dev eth0
  - 10.0.0.0/8 via 192.0.2.7 dev eth0 metric 5 table 100
  - blackhole 10.9.0.0/16
rules:
  - from 192.0.2.0/24 lookup 100 priority 100
  - not fwmark 0x1/0xff prohibit priority 40000
settings:
  net.ipv4.ip_forward: 1
  net.ipv4.conf.eth0.rp_filter: 2
sets:
  blocked: [203.0.113.0/24, 203.0.113.7 nomatch]
  services: {type: "hash:ip,port", members: ["192.0.2.10,tcp:80"]}
listeners:
  - tcp 0.0.0.0:22 sshd
  - tcp *:80 nginx
neighbours:
  192.0.2.1: {interface: eth0, mac: 02:00:00:00:00:fe}
"""


def test_a_described_host() -> None:
    host = parse_description(DESCRIPTION)
    assert (host.name, [link.name for link in host.interfaces]) == (
        "router",
        ["lo", "eth0", "eth1", "docker0", "veth1", "veth2"],
    )
    port = host.port("veth1")
    assert port is not None
    assert (port.bridge, port.hairpin, port.isolated) == ("docker0", True, False)
    assert (host.rp_filter("eth0"), host.forwards(4, "docker0")) == (2, True)
    blocked, services = host.set("blocked"), host.set("services")
    assert blocked is not None
    assert services is not None
    assert (
        blocked.contains((number("203.0.113.7"),)),
        services.contains((number("192.0.2.10"), (6, 80))),
    ) == (False, True)
    listener = host.listener("tcp", number("192.0.2.10"), 22, 4)
    assert listener is not None
    assert listener.process == "sshd"
    assert host.neighbours[0].mac == 0x0200000000FE


@pytest.mark.parametrize(
    ("to", "source", "told"),
    [
        ("8.8.8.8", None, ("unicast", "eth0", "192.0.2.1", "192.0.2.10")),
        ("192.0.2.10", None, ("local", "lo", None, "192.0.2.10")),
        ("192.0.2.255", None, ("broadcast", "eth0", None, "192.0.2.10")),
        ("172.17.0.9", None, ("unicast", "docker0", None, "172.17.0.1")),
        ("10.9.0.1", None, ("blackhole", None, None, None)),
        ("10.9.0.1", "192.0.2.10", ("unicast", "eth0", "192.0.2.7", "192.0.2.10")),
        ("198.51.100.1", None, ("unicast", "eth0", "192.0.2.1", "192.0.2.10")),
        ("2001:db8::99", None, ("unicast", "eth0", None, "2001:db8::10")),
        ("2001:db9::99", None, ("no-route", None, None, None)),
    ],
)
def test_routes_of_a_described_host(to: str, source: str | None, told: tuple[str | None, ...]) -> None:
    host = parse_description(DESCRIPTION)
    family = read_address(to)[1]
    decision = route(host, number(to), family=family, source=number(source) if source else None)
    shown = [
        None if one is None else address_text(one, family) for one in (decision.gateway, decision.source)
    ]
    assert (decision.kind, decision.interface, *shown) == told
    assert decision.sentence


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "this describes no host"),
        ("{", "this is not YAML"),
        ("name: x", "the interfaces are missing"),
        ("interfaces: {eth0: []}\nroute: []", "I do not know the key 'route'"),
        ("interfaces: {eth0: [192.0.2.300/24]}", "is not an address"),
        ("interfaces: {eth0: [192.0.2.1/33]}", "is not an address with a prefix length"),
        ("interfaces: {eth0: []}\nroutes: [default]", "I do not understand the route"),
        ("interfaces: {eth0: []}\nroutes: [10.0.0.0/8 through eth0]", "I do not understand the route"),
        ("interfaces: {eth0: []}\nrules: [from nowhere fast]", "I do not understand the rule"),
        ("interfaces: {eth0: []}\nlisteners: [tcp 22]", "I do not understand the listener"),
    ],
)
def test_descriptions_refused(text: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        parse_description(text)


def test_the_documented_description_is_read(samples: Path) -> None:
    page = (samples.parent / "docs" / "host-description.md").read_text("utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    assert parse_description(example).name == "router"


def test_pieces_of_a_description() -> None:
    assert str(parse_address("fe80::1/64")) == "fe80::1/64"
    assert parse_address("127.0.0.1/8").scope == "host"
    assert str(parse_route("10.0.0.0/8 via 192.0.2.7 dev eth0")) == "10.0.0.0/8 via 192.0.2.7 dev eth0"


DOCKER = """*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i wan0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 10.7.0.9/32 -o rfx -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER -d 192.0.2.10/32 ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
"""


def test_a_host_inferred_from_its_rules() -> None:
    host, assumed = infer_host(
        parse(DOCKER).rulesets[0], local=("198.51.100.5",), routes=(("10.8.0.0/16", "vpn0"),)
    )
    told = {to: route(host, number(to), family=4, any_source=True) for to in
            ("172.17.0.2", "192.0.2.10", "198.51.100.5", "10.7.0.9", "10.8.1.1", "8.8.8.8")}  # fmt: skip
    assert {to: (one.kind, one.interface) for to, one in told.items()} == {
        "172.17.0.2": ("unicast", "docker0"),
        "192.0.2.10": ("local", "lo"),
        "198.51.100.5": ("local", "lo"),
        "10.7.0.9": ("unicast", "rfx"),
        "10.8.1.1": ("unicast", "vpn0"),
        "8.8.8.8": ("unicast", "wan0"),
    }
    assert host.forwards(4, "wan0") is True
    assert assumed == (
        "docker0 has the network 172.17.0.0/16: what leaves it for elsewhere is masqueraded",
        "192.0.2.10 is an address of this host: packets to it are rewritten (DNAT)",
        "wan0 is the way to the outside: the rules name it, and no network behind it",
        "docker0 has the address 172.17.0.1, the first of its network",
        "this host forwards packets: the rules look so",
        "10.7.0.9 is behind rfx: a rule says so",
        "all else is reached by wan0",
    )
    assert host.assumed == assumed


def test_a_host_inferred_from_nothing() -> None:
    host, assumed = infer_host(parse("*filter\n:INPUT DROP [0:0]\nCOMMIT\n").rulesets[0])
    assert [link.name for link in host.interfaces] == ["lo", "eth0"]
    assert assumed[0] == "the way to the outside is called eth0: the rules name none"
