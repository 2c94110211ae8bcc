"""A router to try packets in: its interfaces, addresses, routes and sysctls as a value, and the namespaces built from it."""

import contextlib
import json
import os
import re
from collections.abc import Iterable

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.namespaces import LabUnavailableError, Namespace
from ruleflow.kernel.run import run, run_checked

NAME = re.compile(r"[^\s/\"'\\#-][^\s/\"'\\#]{0,14}")
OPTION = re.compile(r"[^\n\"'\\#]+")
BARRIER = ("rfbar0", "rfbar1")

QUIET = (
    ("net.ipv4.icmp_ratelimit", "0"),  # a refusal must not get lost to a limit (icmp(7))
    ("net.ipv4.icmp_ratemask", "0"),
    ("net.ipv6.icmp.ratelimit", "0"),
    ("net.ipv6.icmp.ratemask", "255"),
    ("net.ipv6.conf.all.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_dad", "0"),
    ("net.ipv6.conf.default.accept_ra", "0"),
    ("net.ipv6.conf.default.router_solicitations", "0"),
    ("net.ipv6.conf.default.addr_gen_mode", "1"),  # no address of its own
    ("net.ipv6.conf.default.mc_forwarding", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.ipv4.neigh.default.retrans_time_ms", "50"),  # who is not there must not take seconds to miss
    ("net.ipv6.neigh.default.retrans_time_ms", "50"),
    ("net.netfilter.nf_conntrack_tcp_be_liberal", "1"),  # sequence numbers are no part of the question
)
FORWARDING = (("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1"))


class Interface(msgspec.Struct, frozen=True):
    """One interface of the router: ``kind`` is ``veth`` (a cable to the lab's neighbour), ``bridge`` or ``loopback``.

    ``addresses`` have their prefix length (``192.0.2.1/24``) and perhaps more words of ``ip addr add``; ``master`` names the bridge it is a port of; ``mac`` is its own.
    A bridge without ports must be a ``veth`` here: nobody would see what it sends.
    """

    name: str
    addresses: tuple[str, ...] = ()
    kind: str = "veth"
    master: str | None = None
    mac: str | None = None
    up: bool = True
    hairpin: bool = False
    isolated: bool = False
    mtu: int | None = None


class Neighbour(msgspec.Struct, frozen=True):
    """Somebody behind a bridge: ``port`` is the port the address is plugged in at.

    Everywhere else whoever is written to is there; behind a bridge whoever is not described is plugged in where he is
    first asked for.
    """

    address: str
    mac: str
    interface: str
    port: str | None = None


class Spec(msgspec.Struct, frozen=True):
    """A router as described: everything but its rules.

    ``routes`` and ``rules`` are what stands behind ``ip route add`` and ``ip rule add`` (the family is seen from the
    addresses; begin with ``-6`` where there is none); ``sysctls`` are names and values, set last; ``sets`` is a text for
    ``ipset restore``; ``answering`` lets the router's own sockets answer what is delivered; usually it is taken away
    after INPUT, so that only rules answer.
    """

    interfaces: tuple[Interface, ...]
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = FORWARDING
    sets: str = ""
    neighbours: tuple[Neighbour, ...] = ()
    answering: bool = False


ROUTER = Spec(
    interfaces=(
        Interface("lo", kind="loopback"),
        Interface("eth0", ("192.0.2.1/24", "2001:db8::1/64")),
        Interface("eth1", ("198.51.100.1/24", "2001:db8:1::1/64")),
        Interface("eth2", ("10.0.0.1/8", "fd00::1/64")),
    ),
    routes=("default via 192.0.2.254 dev eth0", "-6 default via 2001:db8::fe dev eth0"),
)
"""A router with three neighbours, for random packets against random rules."""


class RouterRefusedError(RuleflowError):
    """The kernel or a tool refuses a part of the description; the message has its own words."""


def build(spec: Spec, router: Namespace, outside: Namespace) -> dict[str, str]:
    """Make the router and its neighbours in two empty namespaces; the neighbours' interfaces (``p0``, …) by router interface.

    Raises `RouterRefusedError`, or `LabUnavailableError` where a tool or a device is missing.
    """
    _check_names(spec)
    for name, value in QUIET:
        _write(router, name, value, optional=True)
    for name in ("all", "default"):
        _write(outside, f"net.ipv6.conf.{name}.disable_ipv6", "1", optional=True)
    peers = {each.name: f"p{at}" for at, each in enumerate(spec.interfaces) if each.kind == "veth"}
    _ip(router, _links(spec, peers, outside))
    _ip(
        outside,
        [f"link add {BARRIER[0]} type veth peer name {BARRIER[1]}", *_ups((*peers.values(), *BARRIER))],
    )
    _ip(router, _addresses(spec))
    for name, value in spec.sysctls:
        _write(router, name, value)
    _ip(router, _paths(spec), family_seen=True)
    stations = {(each.mac, each.port) for each in spec.neighbours if each.port}
    if stations:
        _run(
            router,
            ("bridge", "-batch", "-"),
            "".join(f"fdb replace {mac} dev {port} master static\n" for mac, port in sorted(stations)),
        )
    if spec.sets:
        _run(router, ("ipset", "-exist", "restore"), spec.sets)
    return peers


def adopt(router: Namespace, neighbour: Neighbour) -> None:
    """Plug somebody in who was not described: packets that wait for him go out at once."""
    if neighbour.port:
        _run(
            router,
            ("bridge", "-batch", "-"),
            f"fdb replace {neighbour.mac} dev {neighbour.port} master static\n",
        )
    _run(router, ("ip", "-batch", "-"), _neighbour(neighbour) + "\n")


def interface_macs(router: Namespace) -> dict[str, int]:
    """The hardware addresses of a router's interfaces, as numbers."""
    with router.inside():
        links = json.loads(run_checked(("ip", "-j", "link")))
    return {link["ifname"]: int(link.get("address", "0").replace(":", "") or "0", 16) for link in links}


def _check_names(spec: Spec) -> None:
    names = [each.name for each in spec.interfaces] + [each.master for each in spec.interfaces if each.master]
    wrong = [name for name in names if not NAME.fullmatch(name)]
    names += [name for each in spec.neighbours for name in (each.interface, each.port) if name]
    words = [*spec.routes, *spec.rules, *(a for i in spec.interfaces for a in i.addresses)]
    words += [word for each in spec.neighbours for word in (each.address, each.mac)]
    wrong += [text for text in words if not OPTION.fullmatch(text)]
    if wrong:
        raise RouterRefusedError(
            f"{wrong[0]!r} cannot stand in a description of a router",
            help="interface names have 1 to 15 characters, no blank or slash",
        )


def _links(spec: Spec, peers: dict[str, str], outside: Namespace) -> list[str]:
    there = f"/proc/{os.getpid()}/fd/{outside.fd}"
    lines = [
        f"link add name {each.name} type bridge mcast_snooping 0"
        for each in spec.interfaces
        if each.kind == "bridge"
    ]
    for each in spec.interfaces:
        if each.kind == "veth":
            lines.append(f"link add name {each.name} type veth peer name {peers[each.name]} netns {there}")
        if each.mac:
            lines.append(f"link set dev {each.name} address {each.mac}")
        if each.mtu:
            lines.append(f"link set dev {each.name} mtu {each.mtu}")
        if each.master:
            switch = {True: "on", False: "off"}
            ports = f"hairpin {switch[each.hairpin]} isolated {switch[each.isolated]}"
            lines += [
                f"link set dev {each.name} master {each.master}",
                f"link set dev {each.name} type bridge_slave {ports}",
            ]
        elif each.kind == "veth":  # whoever is written to is there: no ARP, no neighbour discovery
            lines.append(f"link set dev {each.name} arp off")
    return lines


def _addresses(spec: Spec) -> list[str]:
    lines = _ups(each.name for each in spec.interfaces if each.up)
    for each in spec.interfaces:
        lines += [f"addr add {address} dev {each.name}{_broadcast(address)}" for address in each.addresses]
    return lines


def _broadcast(address: str) -> str:
    if ":" in address:
        return " nodad"
    if " " in address:
        return ""
    length = int(address.rpartition("/")[2]) if "/" in address else 32
    return " brd +" if length < 31 else ""


def _paths(spec: Spec) -> list[str]:
    lines = [f"route replace {route}" for route in spec.routes] + [f"rule add {rule}" for rule in spec.rules]
    lines += [_neighbour(each) for each in spec.neighbours]
    return [re.sub(r"^(\w+ \w+) -([46]) ", r"-\2 \1 ", line) for line in lines]


def _neighbour(each: Neighbour) -> str:
    return f"neigh replace {each.address} lladdr {each.mac} dev {each.interface} nud permanent"


def _ups(names: Iterable[str]) -> list[str]:
    return [f"link set dev {name} up" for name in names]


def _ip(namespace: Namespace, lines: list[str], *, family_seen: bool = False) -> None:
    """One `ip -batch` for each family: the batch mode has one family for all its lines."""
    six = [
        line for line in lines if family_seen and (line.startswith("-6 ") or ":" in line.split(" lladdr ")[0])
    ]
    for family, part in (("", [line for line in lines if line not in six]), ("-6", six)):
        if part:
            text = "".join(re.sub(r"^-[46] ", "", line) + "\n" for line in part)
            _run(namespace, ("ip", *([family] if family else []), "-batch", "-"), text)


def _run(namespace: Namespace, command: tuple[str, ...], text: str) -> None:
    with namespace.inside():
        result = run(command, text=text)
    if not result.ok:
        raise RouterRefusedError(
            f"{command[0]} refuses a part of the described router: {result.errors.strip()}",
            help="correct the description of the host: interfaces, addresses, routes, rules, sets",
        )


def _write(namespace: Namespace, name: str, value: str, *, optional: bool = False) -> None:
    missing = contextlib.suppress(OSError) if optional else contextlib.nullcontext()
    try:
        with missing:
            namespace.write_sysctl(name, value)
    except OSError as error:
        raise LabUnavailableError(
            f"the sysctl {name} cannot be set to {value}: {error.strerror}",
            help="leave it out of the description, or load its module (br_netfilter for net.bridge)",
        ) from error
