"""Who is plugged where, as a value: the host, its bridges and their ports, what is at the other ends, what is published."""

from collections.abc import Iterator

import msgspec

import ruleflow
from ruleflow.analysis import sentences
from ruleflow.analysis.explain_host import stands_on
from ruleflow.netfilter.connect import Connection
from ruleflow.netfilter.host import Host, Interface
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.stacked import End
from ruleflow.netfilter.world import World
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule, Ruleset

SCHEMA = "ruleflow.topology/1"


class Plug(msgspec.Struct, frozen=True):
    """An interface of the host: its addresses, and the other end of its pair (host and interface) where known."""

    name: str
    addresses: tuple[str, ...] = ()
    over: End | None = None
    note: str = ""


class Bridge(msgspec.Struct, frozen=True):
    """A bridge, its own addresses, and what is plugged into it."""

    name: str
    addresses: tuple[str, ...] = ()
    ports: tuple[Plug, ...] = ()


class Place(msgspec.Struct, frozen=True):
    """A namespace: its interfaces with addresses, the way out, and the ports somebody listens on."""

    name: str
    plugs: tuple[Plug, ...] = ()
    routes: tuple[str, ...] = ()
    listens: tuple[str, ...] = ()


class Published(msgspec.Struct, frozen=True):
    """A rule that sends packets to another place: ``who`` in words, ``to`` address and port, ``place`` who has it."""

    who: str
    to: str
    place: str | None
    line: int | None = None
    also: str = ""
    """Said where a proxy serves the port, too."""


class Hop(msgspec.Struct, frozen=True):
    """One host on a connection's way: the packet as it comes in and as it goes on, and what became of it."""

    host: str
    packet: str
    after: str
    enters: str | None
    leaves: str | None
    verdict: str
    changed: bool
    back: bool = False


class Way(msgspec.Struct, frozen=True):
    """A connection's way there and back."""

    title: str
    hops: tuple[Hop, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole picture; ``uplinks`` are the host's interfaces that are no bridge."""

    schema: str = SCHEMA
    ruleflow: str = ""
    source: str = ""
    family: int = 4
    host: str = "host"
    uplinks: tuple[Plug, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    routes: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    way: Way | None = None

    def place(self, name: str) -> Place | None:
        """The place called ``name``."""
        return next((place for place in self.places if place.name == name), None)


def plan(world: World, family: int = 4, source: str = "", connection: Connection | None = None) -> Plan:
    """Who is plugged where in ``world``, with the addresses and routes of ``family``."""
    main = world.main
    bridges = tuple(_bridges(world, family))
    return Plan(
        ruleflow=ruleflow.__version__, source=source, family=family, host=main.name, uplinks=tuple(_uplinks(world, family)),
        bridges=bridges, routes=_routes(main, family), places=tuple(_place(host, family) for host in world.hosts[1:]),
        published=tuple(_published(world, family)), notes=(*world.unknown, *_stacked(world)), way=None if connection is None else _way(connection),
    )  # fmt: skip


def _stacked(world: World) -> Iterator[str]:
    """What stands on another interface is no cable of the picture: it is said below it."""
    for one in world.stacked:
        yield f"{one.above[1]} of {one.above[0]} is {stands_on(world, one)}"


def _bridges(world: World, family: int) -> Iterator[Bridge]:
    main = world.main
    for link in main.interfaces:
        ports = main.plugged_into(link.name)
        if link.kind == "bridge" or ports:
            yield Bridge(
                link.name, _addresses(link, family), tuple(_port(world, port.interface) for port in ports)
            )


def _port(world: World, name: str) -> Plug:
    port = world.main.port(name)
    says = (
        ()
        if port is None
        else (
            ("hairpin", port.hairpin),
            ("isolated", port.isolated),
            (port.state, port.state != "forwarding"),
        )
    )
    return Plug(
        name, (), world.across(world.main.name, name), ", ".join(word for word, holds in says if holds)
    )


def _uplinks(world: World, family: int) -> Iterator[Plug]:
    main = world.main
    for link in main.interfaces:
        if link.is_loopback or link.kind == "bridge" or main.port(link.name) or main.plugged_into(link.name):
            continue
        over = world.across(main.name, link.name)
        if over is not None or link.addresses:
            yield Plug(link.name, _addresses(link, family), over, "" if link.is_up else "down")


def _addresses(link: Interface, family: int) -> tuple[str, ...]:
    return tuple(str(one) for one in link.addresses if one.family == family and one.scope != "link")


def _routes(host: Host, family: int) -> tuple[str, ...]:
    shown = (route for route in host.routes or () if route.family == family and route.table == "main")
    return tuple(dict.fromkeys(str(route) for route in shown if not _is_noise(str(route))))


def _is_noise(route: str) -> bool:
    """Link-local and multicast routes that every IPv6 interface has."""
    return route.startswith(("fe80::/", "ff00::/", "multicast "))


def _place(host: Host, family: int) -> Place:
    plugs = tuple(
        Plug(link.name, _addresses(link, family)) for link in host.interfaces if not link.is_loopback
    )
    listens = {
        f"{one.protocol} {one.port}" for one in host.listeners or ()
        if one.family in (0, family) and (one.address is None or one.address >> (24 if family == 4 else 0) != (127 if family == 4 else 1))
    }  # fmt: skip
    ways = tuple(route for route in _routes(host, family) if " via " in route or "default" in route)
    return Place(host.name, plugs, ways, tuple(sorted(listens, key=_by_port)))


def _by_port(words: str) -> tuple[int, str]:
    name, _, port = words.partition(" ")
    return int(port), name


def _published(world: World, family: int) -> Iterator[Published]:
    for _, rules in world.main.rulesets(family):
        for rule, to, port in _translations(rules):
            place = next((host.name for host, _ in world.owners(to, family) if host is not world.main), None)
            text = address_text(to, family)
            shown = text if port is None else f"[{text}]:{port}" if family == 6 else f"{text}:{port}"
            relays = [
                relay
                for relay in world.main.relays
                if (relay.to_address, relay.to_port, relay.family) == (to, port, family)
            ]
            yield Published(
                sentences.who(rule)[0], shown, place, rule.line, "also by docker-proxy" if relays else ""
            )


def _translations(rules: Ruleset) -> Iterator[tuple[Rule, int, int | None]]:
    """The rules of nat that give a packet one other destination."""
    if "nat" not in rules:
        return
    for chain in rules["nat"]:
        for rule in chain.rules:
            if rule.target is None or isinstance(rule.target, Jump | Goto | Opaque):
                continue
            for change in rule.target.effects().changes:
                if isinstance(change, Rewrite) and change.what == "destination" and change.low is not None:
                    yield rule, change.low, change.port_low


def _way(connection: Connection) -> Way:
    port = "" if connection.port is None else f":{connection.port}"
    title = f"{connection.from_} to {connection.to}{port} by {connection.protocol}: {connection.result}"
    hops: dict[tuple[str, str, str | None], Hop] = {}  # later packets of the connection go the same way
    sent: set[tuple[str, Ends]] = set()
    back = False
    for leg in connection.walks:
        packet, end = leg.walk.packet, leg.walk.end
        if packet.in_interface is None and packet.physdev_in is None:
            back = (leg.host, _turned(packet)) in sent
        sent |= {(leg.host, _ends(packet)), (leg.host, _ends(end.packet))}
        before, after = _words(packet), _words(end.packet)
        enters, leaves = packet.physdev_in or packet.in_interface, end.port or end.out_interface
        hops.setdefault(
            (leg.host, before, enters),
            Hop(leg.host, before, after, enters, leaves, leg.walk.verdict, before != after, back),
        )
    reason = f" ({connection.because})" if connection.because else ""
    return Way(f"{title}{reason}", tuple(hops.values()))


Ends = tuple[object, ...]


def _ends(packet: Packet) -> Ends:
    return packet.source, packet.source_port, packet.destination, packet.destination_port


def _turned(packet: Packet) -> Ends:
    """The ends of the packet that this one answers."""
    return packet.destination, packet.destination_port, packet.source, packet.source_port


def _words(packet: Packet) -> str:
    kept = ("protocol", "source", "destination", "source_port", "destination_port", "icmp_type")
    *what, source, destination = str(
        Packet(family=packet.family).with_(**{name: getattr(packet, name) for name in kept})
    ).split(" ")
    return " ".join((*what, source, "→", destination))
