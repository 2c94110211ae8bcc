"""A snapshot of namespaces made for the purpose holds what was made, and what ``ip -j`` says of them."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from namespaces import namespaces, record, shell

from ruleflow.errors import RuleflowError
from ruleflow.kernel.namespaces import NAMED, inside
from ruleflow.kernel.redact import redact_text
from ruleflow.kernel.snapshot import live_world, snapshot
from ruleflow.kernel.sockets import listening, processes
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.read_host import read_host
from ruleflow.netfilter.world import read_world

pytestmark = pytest.mark.root

BUILD = """
ip link add rfbr type bridge; ip link set rfbr up; ip addr add 172.30.0.1/24 dev rfbr
ip link add rfv0 type veth peer name eth0 netns {inner}; ip link set rfv0 master rfbr up
bridge link set dev rfv0 hairpin on isolated on
ip link add d0 type veth peer name p0; ip link set d0 up; ip link set p0 up
ip addr add 10.0.0.1/24 dev d0; ip addr add 10.0.0.2/24 dev d0; ip addr add 10.3.0.1 peer 10.3.0.2/32 dev d0
ip -6 addr add fd00::1/64 dev d0 nodad; ip -6 addr add fd00::9/64 dev d0 nodad preferred_lft 0
ip route add default via 10.0.0.9 metric 7; ip route add 10.5.0.0/16 nexthop via 10.0.0.7 dev d0 weight 2 nexthop via 10.0.0.8 dev d0
ip route add 10.6.0.0/16 via inet6 fe80::1 dev d0 table 100; ip route add throw 10.7.0.0/16 table 100
ip route add blackhole 10.8.0.0/16; ip route add 10.9.0.0/16 dev d0 tos 0x10 src 10.0.0.2 scope link
ip -6 route add fd02::/64 nexthop via fd00::2 dev d0 nexthop via fd00::3 dev d0; ip -6 route add unreachable fd03::/64
ip -6 route add fd04::/64 from fd00::/64 via fd00::2 dev d0 pref high
ip rule add from 10.0.0.0/8 to 10.1.2.3 iif d0 uidrange 4-5 ipproto tcp sport 7 dport 5-6 goto 32766 pref 5
ip rule add not fwmark 3/7 lookup 100 suppress_prefixlength 0 pref 8; ip rule add fwmark 9 prohibit pref 9
ip -6 rule add from fd00::/8 oif d0 lookup 100 pref 11
ip neigh add 10.0.0.5 lladdr 02:00:00:00:00:05 dev d0
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.d0.rp_filter=2
"""
INNER = """
ip link set eth0 up; ip addr add 172.30.0.2/24 dev eth0; ip route add default via 172.30.0.1
"""
SERVE = "import socket,sys,time; s=socket.socket(socket.AF_INET6); s.bind(('::',80)); s.listen(); print('up',flush=True); time.sleep(60)"


@pytest.fixture(scope="module")
def made() -> Iterator[tuple[str, str]]:
    with namespaces("outer", "inner") as (outer, inner):
        shell(outer, BUILD.format(inner=inner))
        shell(inner, INNER)
        shell(
            outer,
            "iptables-nft -A INPUT -p tcp --dport 80 -j ACCEPT; ipset create rfset hash:net; ipset add rfset 10.0.0.0/8 nomatch",
        )
        serve = ["ip", "netns", "exec", inner, "python3", "-c", SERVE]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            yield outer, inner
            server.kill()


def shot(made: tuple[str, str], directory: Path, *, redact: bool = False) -> tuple[str, ...]:
    """A snapshot taken inside the outer namespace, which then is the "host"."""
    outer, inner = made
    return inside(Path("/run/netns") / outer, lambda: snapshot(directory, (inner,), redact=redact))


def without_volatile(host: Host) -> Host:
    """What two looks at one namespace must agree on (flags that iproute2 makes up for itself apart)."""
    links = tuple(
        msgspec.structs.replace(link, flags=(link.is_up, link.has_carrier), state="")
        for link in host.interfaces
    )
    known = [name for name, _ in (host.sysctls.values if host.sysctls else ())]
    return msgspec.structs.replace(
        host, interfaces=links, sysctls=None, dumps=(), sets=None, listeners=None, unknown=(), neighbours=(), namespaces=(),
        assumed=tuple(known[:0]),
    )  # fmt: skip


def test_says_what_ip_says(made: tuple[str, str], tmp_path: Path) -> None:
    assert shot(made, tmp_path / "shot") == ()
    ours = read_host(tmp_path / "shot", "host")
    theirs = read_host(record(made[0], tmp_path / "ip"), "host")
    assert without_volatile(ours) == without_volatile(theirs)
    assert {n.address for n in ours.neighbours} == {n.address for n in theirs.neighbours}
    assert ours.sysctls is not None
    assert theirs.sysctls is not None
    both = dict(theirs.sysctls.values)
    assert {name: both[name] for name, _ in ours.sysctls.values if name in both}.items() <= both.items()
    assert all(both.get(name, value) == value for name, value in ours.sysctls.values)


def test_world_is_joined(made: tuple[str, str], tmp_path: Path) -> None:
    shot(made, tmp_path)
    world = read_world(tmp_path)
    outer, inner = world.main, world.host(made[1])
    assert world.across("host", "rfv0") == (inner.name, "eth0")
    assert world.across("host", "d0") == ("host", "p0")
    assert [name for _, name in outer.namespaces] == [inner.name]
    assert [name for _, name in inner.namespaces] == ["host"]
    port = outer.port("rfv0")
    assert port is not None
    assert (port.bridge, port.hairpin, port.isolated) == ("rfbr", True, True)
    assert world.segment(inner.name, "eth0") == (("host", "rfbr"),)
    assert outer.forwards(4, "d0") is True
    assert inner.forwards(4, "eth0") is False
    assert outer.rp_filter("d0") == 2
    server = inner.listener("tcp", read_address("172.30.0.2")[0], 80, 4)
    assert server is not None
    assert (server.family, server.process) == (0, "python3")
    assert "--dport 80 -j ACCEPT" in next(dump.text for dump in outer.dumps if dump.family == 4)
    members = outer.set("rfset")
    assert members is not None
    assert members.members[0].nomatch


def test_a_namespace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuleflowError, match="no namespace 'rf-nowhere'"):
        snapshot(tmp_path, ("rf-nowhere",))


def test_legacy_tables_are_not_opened(made: tuple[str, str], tmp_path: Path) -> None:
    before = shell(made[0], "cat /proc/net/ip_tables_names", check=False)
    shot(made, tmp_path)
    assert shell(made[0], "cat /proc/net/ip_tables_names", check=False) == before
    assert not (tmp_path / "iptables-legacy.save").exists()


def test_legacy_rules_are_read_where_there_are_some(tmp_path: Path) -> None:
    with namespaces("legacy") as (name,):
        shell(name, "iptables-legacy -A INPUT -p udp -j DROP")
        inside(Path("/run/netns") / name, lambda: snapshot(tmp_path, ()))
    host = read_host(tmp_path, "host")
    assert [dump.backend for dump in host.dumps if "-p udp -j DROP" in dump.text] == ["legacy"]


def test_redacted_names_and_addresses(made: tuple[str, str], tmp_path: Path) -> None:
    shell(made[0], "ip route add 8.8.8.0/24 via 10.0.0.9; ip route add 8.8.8.8/32 via 10.0.0.9")
    shot(made, tmp_path, redact=True)
    texts = "".join(path.read_text("utf-8") for path in tmp_path.rglob("*") if path.is_file())
    assert "8.8.8.8" not in texts
    assert made[1] not in texts
    host = read_world(tmp_path).main
    short, long = (
        next(r for r in host.routes or () if r.length == length and r.destination >> 24 == 8)
        for length in (24, 32)
    )
    assert short.destination >> 8 == long.destination >> 8
    assert read_world(tmp_path).hosts[1].name == "place1"


def test_redaction_keeps_structure() -> None:
    text = redact_text("1.2.3.4 1.2.3.0/24 1.2.9.9 192.168.1.1 203.0.113.5 2606:4700::1111 fe80::1", b"key")
    one, net, other, private, documentation, six, link = text.split()
    assert (private, documentation, link) == ("192.168.1.1", "203.0.113.5", "fe80::1")
    assert net == ".".join(one.split(".")[:3]) + ".0/24"
    assert one.split(".")[:2] == other.split(".")[:2]
    assert one != "1.2.3.4"
    assert six != "2606:4700::1111"


def test_the_live_world_is_the_same(made: tuple[str, str], tmp_path: Path) -> None:
    shot(made, tmp_path)
    live = inside(Path("/run/netns") / made[0], lambda: live_world((made[1],)))
    assert live.links == read_world(tmp_path).links
    assert [host.name for host in live.hosts] == ["host", made[1]]


def test_of_a_process_it_is_known_in_which_container_it_is() -> None:
    """A container that shares the host's network has a mount namespace of its own all the same."""
    with namespaces("shared") as (name,):
        serve = ["ip", "netns", "exec", name, "unshare", "-m", "python3", "-c", SERVE]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            server.stdout.readline()
            owners = processes([("box", server.pid)])
            text = inside(Path("/run/netns") / name, lambda: listening(owners))
            server.kill()
    assert text == "tcp LISTEN 0 0 *:80 *:* python3 container=box\n"


@pytest.mark.root
def test_a_namespace_that_is_just_being_made_or_gone_is_passed_over(tmp_path: Path) -> None:
    half = NAMED / f"rf-{os.getpid()}-half"  # what `ip netns add` makes before it is a namespace
    NAMED.mkdir(exist_ok=True)
    half.touch()
    try:
        notes = snapshot(tmp_path / "all")
        assert f"the namespace {half.name} ended before it was read" in notes
        with pytest.raises(RuleflowError, match="cannot be entered"):
            snapshot(tmp_path / "one", (half.name,))
    finally:
        half.unlink()
