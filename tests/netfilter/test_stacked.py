"""macvlan and ipvlan: who reaches whom, tried in namespaces where the kernel has the device, else as the drivers say."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from namespaces import namespaces, shell

from ruleflow.kernel.namespaces import inside
from ruleflow.kernel.snapshot import snapshot
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.host import Address, Host, Interface, Listener, Nexthop, Route
from ruleflow.netfilter.numbers import read_address
from ruleflow.netfilter.stacked import Stacked
from ruleflow.netfilter.world import Link, World, read_world

SERVE = "import socket,time; s=socket.socket(socket.AF_INET6); s.bind(('::',80)); s.listen(50); print('up',flush=True); time.sleep(90)"
TRY = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def attempt(to):
    s = socket.socket(socket.AF_INET6 if ':' in to else socket.AF_INET); s.settimeout(1.5)
    try:
        s.connect((to, 80)); return 'reached'
    except OSError as error:
        return 'no-answer' if isinstance(error, TimeoutError) or error.errno == 113 else error
with ThreadPoolExecutor(16) as threads:
    print(*threads.map(attempt, sys.argv[1:]), sep='\\n')
"""
ADDRESSES = {"outside": 1, "host": 2, "a": 11, "b": 12, "c": 13, "d": 14}
MODES = {"a": "bridge", "b": "bridge", "c": "private", "d": "vepa"}


def build(names: dict[str, str], parent: str) -> None:
    """host with p0 to outside's o0, four macvlan children on ``parent`` (p0, or a bridge it is plugged into)."""
    host = names["host"]
    shell(host, f"ip link add p0 type veth peer name o0 netns {names['outside']}; ip link set p0 up")
    if parent != "p0":
        shell(
            host, f"ip link add {parent} type bridge; ip link set {parent} up; ip link set p0 master {parent}"
        )
    for name, number in ADDRESSES.items():
        device = {"outside": "o0", "host": parent}.get(name, "eth0")
        if name in MODES:
            shell(
                host,
                f"ip link add rfm{number} link {parent} type macvlan mode {MODES[name]};"
                f"ip link set rfm{number} netns {names[name]} name eth0",
            )
        shell(
            names[name],
            f"ip link set {device} up; ip addr add 10.9.0.{number}/24 dev {device};"
            f"ip addr add fd09::{number}/64 dev {device} nodad",
        )


@contextmanager
def serving(names: dict[str, str]) -> Iterator[None]:
    """A listener on port 80 in every namespace."""
    running = []
    try:
        for name in names.values():
            command = ["ip", "netns", "exec", name, "python3", "-c", SERVE]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for one in running:
            assert one.stdout is not None
            one.stdout.readline()
        yield
    finally:
        for one in running:
            with one:
                one.kill()


def tried(names: dict[str, str], targets: list[str]) -> dict[str, list[str]]:
    """What became of a connection from each place to each target; all places at once."""
    running = {
        name: subprocess.Popen(
            ["ip", "netns", "exec", place, "python3", "-c", TRY, *targets], stdout=subprocess.PIPE, text=True
        )
        for name, place in names.items()
    }
    return {name: one.communicate()[0].split("\n")[:-1] for name, one in running.items()}


def as_read(names: dict[str, str], directory: Path) -> World:
    """The snapshot taken in the host's namespace, its places called as in ``names``."""
    others = tuple(name for key, name in names.items() if key != "host")
    inside(Path("/run/netns") / names["host"], lambda: snapshot(directory, others))
    return read_world(directory)


@pytest.mark.root
@pytest.mark.parametrize("parent", ["p0", "rfbr"])
def test_macvlan_as_the_kernel_does_it(parent: str, tmp_path: Path) -> None:
    with namespaces(*ADDRESSES) as made:
        names = dict(zip(ADDRESSES, made, strict=True))
        build(names, parent)
        targets = [f"{start}{number}" for number in ADDRESSES.values() for start in ("10.9.0.", "fd09::")]
        with serving(names):
            truth = tried(names, targets)
            world = as_read(names, tmp_path)
        assert world.unknown == ()
        wrong = []
        for name, answers in truth.items():
            for target, answer in zip(targets, answers, strict=True):
                from_ = "host" if name == "host" else names[name]
                found = connect(world, from_, target, 80, remedies=False)
                if found.result != answer:
                    wrong.append(f"{name} to {target}: {answer}, but {found.result} because {found.because}")
        assert not wrong, "\n".join(wrong)
        assert truth["outside"].count("reached") == len(targets)
        assert truth["host"].count("reached") == 4  # itself and outside: not its own children


@pytest.mark.root
def test_a_host_reaches_its_children_by_a_macvlan_of_its_own(tmp_path: Path) -> None:
    """The usual way round: a shim in the host's own namespace, and a route to the children by it."""
    with namespaces("outside", "host", "a") as made:
        names = dict(zip(("outside", "host", "a"), made, strict=True))
        host = names["host"]
        shell(
            host,
            f"ip link add p0 type veth peer name o0 netns {names['outside']}; ip link set p0 up; ip addr add 10.9.0.2/24 dev p0;"
            f"ip link add rfm link p0 type macvlan mode bridge; ip link set rfm netns {names['a']} name eth0;"
            "ip link add shim link p0 type macvlan mode bridge; ip addr add 10.9.0.9/32 dev shim; ip link set shim up;"
            "ip route add 10.9.0.11/32 dev shim",
        )
        shell(names["outside"], "ip link set o0 up; ip addr add 10.9.0.1/24 dev o0")
        shell(names["a"], "ip link set eth0 up; ip addr add 10.9.0.11/24 dev eth0")
        targets = ["10.9.0.11", "10.9.0.9", "10.9.0.2", "10.9.0.1"]
        with serving(names):
            truth = tried(names, targets)
            world = as_read(names, tmp_path)
        for name, answers in truth.items():
            from_ = "host" if name == "host" else names[name]
            told = [connect(world, from_, target, 80, remedies=False) for target in targets]
            assert [one.result for one in told] == answers, (name, [one.because for one in told])
        assert truth["host"][0] == "reached"


def test_why_the_host_does_not_reach_its_child() -> None:
    world = ipvlan("l2")
    assert "eth0 stands: the two do not hear each other" in connect(world, "a", "192.0.2.2", 80).because
    assert (
        "that stands on p0: the two do not hear each other"
        in connect(world, "host", "192.0.2.11", 80).because
    )


def _interface(index: int, name: str, address: str = "", kind: str = "", mac: int | None = None) -> Interface:
    own: tuple[Address, ...] = ()
    if address:
        number, family = read_address(address)
        own = (Address(family=family, address=number, length=24),)
    return Interface(index=index, name=name, kind=kind, mac=mac, addresses=own)


def _route(
    device: str, to: str = "", via: str | None = None, source: str | None = None, kind: str = "unicast"
) -> Route:
    destination, length = (read_address(to.partition("/")[0])[0], int(to.partition("/")[2])) if to else (0, 0)
    hop = Nexthop(interface=device, gateway=read_address(via)[0] if via else None)
    return Route(
        family=4, destination=destination, length=length, nexthops=(hop,), kind=kind,
        table="local" if kind == "local" else "main", preferred_source=read_address(source)[0] if source else None,
        scope="host" if kind == "local" else "link" if via is None else "global",
    )  # fmt: skip


def ipvlan(mode: str) -> World:
    """host (192.0.2.2 on p0) and outside (192.0.2.1), with a and b on ipvlans of p0; in l3 they are a network apart."""
    far = mode.startswith("l3")
    own = {"a": "10.7.0.11", "b": "10.7.0.12"} if far else {"a": "192.0.2.11", "b": "192.0.2.12"}
    listens = (Listener(protocol="tcp", port=80),)
    hosts = [
        Host(
            name="host", interfaces=(_interface(2, "p0", "192.0.2.2", "veth", 2),), listeners=listens,
            routes=(_route("p0", "192.0.2.2/32", kind="local"), _route("p0", "192.0.2.0/24", source="192.0.2.2")),
        ),
        Host(
            name="outside", interfaces=(_interface(2, "o0", "192.0.2.1", "veth", 1),), listeners=listens,
            routes=(
                _route("o0", "192.0.2.1/32", kind="local"), _route("o0", "192.0.2.0/24", source="192.0.2.1"),
                _route("o0", "10.7.0.0/24", via="192.0.2.2", source="192.0.2.1"),
            ),
        ),
    ]  # fmt: skip
    for name, address in own.items():
        routes = (
            _route("eth0", f"{address}/32", kind="local"),
            _route("eth0", f"{address.rpartition('.')[0]}.0/24", source=address),
            _route("eth0", "0.0.0.0/0", source=address),
        )
        hosts.append(
            Host(
                name=name,
                interfaces=(_interface(3, "eth0", address, "ipvlan", 2),),
                routes=routes,
                listeners=listens,
            )
        )
    stacked = tuple(Stacked((name, "eth0"), ("host", "p0"), "ipvlan", mode) for name in own)
    return World(tuple(hosts), (Link(("host", "p0"), ("outside", "o0")),), stacked=stacked)


def answers(world: World, from_: str, *targets: str) -> list[str]:
    return [connect(world, from_, target, 80, remedies=False).result for target in targets]


def test_ipvlan_l2_is_as_macvlan() -> None:
    """ipvlan_xmit_mode_l2: siblings and the wire, not the parent; private: the wire alone."""
    world = ipvlan("l2")
    assert answers(world, "outside", "192.0.2.11", "192.0.2.12", "192.0.2.2") == ["reached"] * 3
    assert answers(world, "a", "192.0.2.12", "192.0.2.1", "192.0.2.2") == ["reached", "reached", "no-answer"]
    assert answers(world, "host", "192.0.2.11", "192.0.2.1") == ["no-answer", "reached"]
    assert answers(ipvlan("l2 private"), "a", "192.0.2.12", "192.0.2.1") == ["no-answer", "reached"]


def test_ipvlan_l3_is_routed_by_its_parents_host() -> None:
    """ipvlan_xmit_mode_l3: to a sibling at once, else by the parent's host; what comes in goes up by its IP address."""
    world = ipvlan("l3")
    found = connect(world, "a", "192.0.2.1", 80)
    assert (found.result, found.sees) == ("reached", "10.7.0.11")
    assert [leg.host for leg in found.walks][:3] == ["a", "host", "outside"]
    assert answers(world, "outside", "10.7.0.11", "192.0.2.2") == ["reached", "reached"]
    found = connect(world, "a", "10.7.0.12", 80)
    assert found.result == "reached"
    assert {leg.host for leg in found.walks} == {"a", "b"}


def test_an_ipvlan_whose_parent_is_not_given_is_not_guessed_about() -> None:
    world = msgspec.structs.replace(ipvlan("l2"), stacked=())
    assert answers(world, "a", "192.0.2.1") == ["unknown"]
