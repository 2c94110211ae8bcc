"""Worlds: the directories of real Docker read and joined; joins that need every clue; clear errors."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ruleflow.errors import ReadError
from ruleflow.netfilter.host import Address, Host, Interface, Neighbour, Route
from ruleflow.netfilter.kernel_routes import kernel_routes
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.routing import route
from ruleflow.netfilter.source_address import masquerade
from ruleflow.netfilter.world import join, read_world


def stages(shared: Path) -> list[Path]:
    found = sorted((shared / "truth").glob("*/*/addr.json"))
    assert len(found) >= 13
    return [path.parent for path in found]


@pytest.mark.shared
def test_every_container_is_joined_to_its_bridge(shared: Path) -> None:
    for stage in stages(shared):
        world = read_world(stage)
        assert world.unknown == ()
        assert world.across("host", "eth0") == ("outside", "o0")
        assert {host.name for host in world.hosts} == {
            "host",
            "outside",
            *(one.name for one in world.containers),
        }
        for container in world.containers:
            far = world.across(container.name, "eth0")
            assert far is not None
            port = world.main.port(far[1])
            assert port is not None
            assert ("host", port.bridge) in world.segment(container.name, "eth0")
            (network, address) = container.networks[0]
            assert (network == "bridge") == (port.bridge == "docker0")
            assert [host.name for host, _ in world.owners(read_address(address)[0], 4)] == [container.name]


@pytest.mark.shared
def test_every_file_is_read(shared: Path) -> None:
    for stage in stages(shared):
        world = read_world(stage)
        for host in world.hosts:
            assert host.unknown == ()
            assert host.routes
            assert host.sysctls is not None
            assert host.listeners is not None
        assert [(dump.family, dump.backend) for dump in world.main.dumps] == [(4, "nft"), (6, "nft")]
        assert [(backend, rules.family) for backend, rules in world.main.rulesets(4)] == [("nft", 4)]
        lines = (stage / "listen.txt").read_text("utf-8").splitlines()
        assert len(world.main.listeners or ()) == len(lines)
        assert len(world.main.relays) == len((stage / "docker-proxy.txt").read_text("utf-8").splitlines())
        rows = (
            json.loads((stage / "route.json").read_text("utf-8"))
            if (stage / "route.json").stat().st_size
            else []
        )
        assert len(world.main.routes or ()) == len([row for row in rows if row])


def essence(routes: tuple[Route, ...], family: int) -> set[tuple[Any, ...]]:
    return {
        (one.table, one.kind, one.destination, one.length, one.metric, one.scope, one.preferred_source, one.nexthops[0].interface)
        for one in routes
        if one.family == family and one.protocol == "kernel"
    }  # fmt: skip


@pytest.mark.shared
def test_the_kernels_own_routes_are_those_we_make(shared: Path) -> None:
    """For IPv4 alike; for IPv6 what addresses make (a /128 of lo and late multicast routes apart)."""
    for stage in stages(shared):
        for host in read_world(stage).hosts:
            made = kernel_routes(host.interfaces, forwards_six=bool(host.forwards(6)))
            assert essence(made, 4) == essence(host.routes or (), 4)
            lost = {row for row in essence(host.routes or (), 6) - essence(made, 6) if row[-1] != "lo"}
            assert lost == set()


@pytest.mark.shared
def test_a_container_finds_its_way(shared: Path) -> None:
    world = read_world(shared / "truth" / "docker-20.10-userland-proxy-false" / "3-container-port-80")
    web, host = world.host("web"), world.main
    outside = read_address("198.51.100.7")[0]
    first = route(web, outside, family=4)
    assert (first.kind, first.interface, first.source) == ("unicast", "eth0", read_address("172.17.0.4")[0])
    assert first.gateway == read_address("172.17.0.1")[0]
    second = route(host, outside, family=4, source=first.source, iif="docker0")
    assert (second.kind, second.interface, second.gateway) == (
        "unicast",
        "eth0",
        read_address("192.0.2.1")[0],
    )
    assert masquerade(host, "eth0", second.nexthop, outside, 4) == read_address("192.0.2.10")[0]
    own = route(
        web, read_address("172.17.0.4")[0], family=4, source=read_address("172.17.0.4")[0], iif="eth0"
    )
    assert (own.kind, own.error) == ("martian-source", "EINVAL")
    assert "accept_local is off" in own.sentence


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is not a directory"):
        read_world(tmp_path / "nowhere")
    with pytest.raises(ReadError, match=r"is not the snapshot of a host: addr.json is missing") as caught:
        read_world(tmp_path)
    assert caught.value.help == "make one with: ruleflow snapshot DIR"
    (tmp_path / "addr.json").write_text("{")
    with pytest.raises(ReadError, match="this is not what ip -j prints"):
        read_world(tmp_path)


def test_missing_files_are_unknown_facts(tmp_path: Path) -> None:
    (tmp_path / "addr.json").write_text("[]")
    host = read_world(tmp_path).main
    assert host.unknown == (
        "routes: route.json is missing",
        "routing policy (ip rule): rule.json is missing",
        "kernel settings (sysctl): sysctl.txt is missing",
        "neighbours: neigh.json is missing",
        "listening sockets: listen.txt is missing",
    )
    assert (host.routes, host.rules, host.sysctls, host.listeners) == (None, None, None, None)
    with pytest.raises(ReadError, match="there is no place called 'web'") as caught:
        read_world(tmp_path).host("web")
    assert caught.value.help == "the places are host"


def end(
    index: int,
    name: str,
    peer: int,
    number: int = 0,
    mac: int = 0,
    *addresses: str,
    master: str | None = None,
) -> Interface:
    own = tuple(Address(family=4, address=read_address(one)[0], length=24) for one in addresses)
    return Interface(
        index=index,
        name=name,
        kind="veth",
        peer_index=peer,
        peer_namespace=number,
        mac=mac,
        addresses=own,
        master=master,
    )


def pairs(*hosts: Host) -> tuple[set[tuple[str, str]], int]:
    links, lost = join(hosts)
    return {(":".join(link.a), ":".join(link.b)) for link in links}, len(lost)


def test_ends_that_name_each_other() -> None:
    a = Host(name="a", interfaces=(end(14, "veth1", 15), end(9, "veth2", 15, 1)))
    b = Host(name="b", interfaces=(end(15, "eth0", 14),))
    c = Host(name="c", interfaces=(end(15, "eth0", 9),))
    assert pairs(a, b, c) == ({("a:veth1", "b:eth0"), ("a:veth2", "c:eth0")}, 0)


def test_a_namespace_number_decides() -> None:
    """a's veth0 (number 0) is surely b's; so a's veth1, of number 0 too, is b's and not c's."""
    a = Host(name="a", interfaces=(end(2, "veth0", 7, 0), end(3, "veth1", 8, 0)))
    b = Host(name="b", interfaces=(end(7, "eth0", 2), end(8, "eth1", 3)))
    c = Host(name="c", interfaces=(end(8, "eth1", 3),))
    made, lost = pairs(a, b, c)
    assert made == {("a:veth0", "b:eth0"), ("a:veth1", "b:eth1")}
    assert lost == 1


def test_a_neighbour_decides() -> None:
    neighbour = Neighbour(family=4, address=1, interface="br0", mac=0xC)
    a = Host(name="a", interfaces=(end(2, "veth0", 2, 0, master="br0"),), neighbours=(neighbour,))
    b, c = (
        Host(name=name, interfaces=(end(2, "eth0", 2, 0, mac),)) for name, mac in (("b", 0xB), ("c", 0xC))
    )
    assert pairs(a, b, c) == ({("a:veth0", "c:eth0")}, 1)


def test_a_network_decides() -> None:
    a = Host(name="a", interfaces=(end(2, "veth0", 2, 0, 1, "10.0.0.1"),))
    b = Host(name="b", interfaces=(end(2, "eth0", 2, 0, 2, "10.0.1.2"),))
    c = Host(name="c", interfaces=(end(2, "eth0", 2, 0, 3, "10.0.0.2"),))
    assert pairs(a, b, c) == ({("a:veth0", "c:eth0")}, 1)


def test_what_nothing_decides_is_said() -> None:
    twins = [Host(name=name, interfaces=(end(2, "eth0", 2),)) for name in ("b", "c")]
    links, lost = join((Host(name="a", interfaces=(end(2, "veth0", 2),)), *twins))
    assert links == ()
    assert lost[0] == "the other end of veth0 in a (index 2) is in no namespace given"


def test_a_pair_in_one_namespace() -> None:
    both = [
        Interface(index=at, name=name, kind="veth", peer=peer)
        for at, name, peer in ((3, "d0", "d1"), (4, "d1", "d0"))
    ]
    assert pairs(Host(name="a", interfaces=tuple(both))) == ({("a:d0", "a:d1")}, 0)


def test_hosts_are_values() -> None:
    one = Host(name="a", interfaces=(end(2, "veth0", 2),))
    assert one == msgspec.structs.replace(one)
    assert hash(one) == hash(msgspec.structs.replace(one))


def test_a_container_in_the_network_of_another_is_another_name(samples: Path, tmp_path: Path) -> None:
    """`docker run --network host` and `--network container:web`: one namespace with two names."""
    shutil.copytree(samples / "docker-host", tmp_path / "host")
    shutil.copytree(
        samples / "docker-host", tmp_path / "host" / "ns" / "hosted", ignore=shutil.ignore_patterns("ns")
    )
    shutil.copytree(samples / "docker-host" / "ns" / "web", tmp_path / "host" / "ns" / "friend")
    with (tmp_path / "host" / "containers.txt").open("a") as file:
        file.write("hosted host \nfriend \n")
    world = read_world(tmp_path / "host")
    alone = read_world(samples / "docker-host")
    assert world.links == alone.links
    assert [host.name for host in world.hosts] == [host.name for host in alone.hosts]
    assert (world.host("hosted").name, world.host("friend").name) == ("host", "web")
