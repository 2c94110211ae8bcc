"""The hosts (network namespaces) of one machine, and how their interfaces are joined."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.host import Host, Interface
from ruleflow.netfilter.read_host import read_host
from ruleflow.netfilter.stacked import End, Stacked, stack


class Link(msgspec.Struct, frozen=True):
    """A veth pair (or a wire one knows of): what goes in at one end comes out at the other."""

    a: End
    b: End


class Container(msgspec.Struct, frozen=True):
    """What the container's engine says of it: the networks it is in, each with its address."""

    name: str
    networks: tuple[tuple[str, str], ...] = ()
    published: str = ""


class World(msgspec.Struct, frozen=True):
    """The hosts of one machine; the first is the machine's own namespace, called ``host``.

    ``aliases`` are other names of hosts: of containers that share the network of the host or of each other.
    """

    hosts: tuple[Host, ...]
    links: tuple[Link, ...] = ()
    containers: tuple[Container, ...] = ()
    unknown: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    stacked: tuple[Stacked, ...] = ()

    @property
    def main(self) -> Host:
        """The machine's own namespace."""
        return self.hosts[0]

    def host(self, name: str) -> Host:
        """The host called ``name``, or of which that is an alias.

        :raises ReadError: where there is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        if name in dict(self.aliases):
            return self.host(dict(self.aliases)[name])
        names = ", ".join(host.name for host in self.hosts)
        raise ReadError(f"there is no place called {name!r}", help=f"the places are {names}")

    def across(self, host: str, interface: str) -> End | None:
        """The host and interface at the other end of the link, None where it is not known."""
        for link in self.links:
            if link.a == (host, interface):
                return link.b
            if link.b == (host, interface):
                return link.a
        return None

    def below(self, end: End) -> Stacked | None:
        """What ``end`` stands on, where it is a macvlan or ipvlan."""
        return next((one for one in self.stacked if one.above == end), None)

    def above(self, end: End) -> tuple[Stacked, ...]:
        """What stands on ``end``."""
        return tuple(one for one in self.stacked if one.below == end)

    def segment(self, host: str, interface: str) -> tuple[End, ...]:
        """Every interface with addresses that hears a frame sent to all out of ``interface``, itself left out.

        It follows veth pairs, bridges (a bridge's own interface, and what is plugged into its ports), and what
        stands on another interface.
        """
        return tuple(sorted(self.heard(host, interface)))

    def heard(self, host: str, interface: str) -> tuple[End, ...]:
        """The same, in the order in which they hear it: a bridge takes a frame up before what is behind its ports."""
        seen: dict[tuple[End, bool], None] = {}
        waiting = [((host, interface), True)]
        while waiting:
            at = waiting.pop(0)
            if at not in seen:
                seen[at] = None
                waiting += self._sent(at[0]) if at[1] else self._arrived(at[0])
        ends = dict.fromkeys(end for end, sent in seen if not sent and self._is_end(*end))
        return tuple(end for end in ends if end != (host, interface))

    def owners(self, address: int, family: int) -> tuple[tuple[Host, Interface], ...]:
        """Every host and interface that has ``address``."""
        return tuple(
            (host, link)
            for host in self.hosts
            for link, own in host.addresses(family)
            if own.address == address
        )

    def _sent(self, end: End) -> Iterator[tuple[End, bool]]:
        """Where a frame goes that leaves by ``end``: out by a bridge's ports, to siblings and the parent's wire, over."""
        host, interface = end
        yield from (((host, port.interface), True) for port in self.host(host).plugged_into(interface))
        own = self.below(end)
        if own is not None and not own.is_routed:
            yield from ((one.above, False) for one in self.above(own.below) if one.hears(own))
            yield own.below, True
        over = self.across(host, interface)
        if over is not None:
            yield over, False

    def _arrived(self, end: End) -> Iterator[tuple[End, bool]]:
        """Where a frame goes on that has come in by ``end``: a bridge's port floods it, and what stands there hears it."""
        host, interface = end
        yield from ((one.above, False) for one in self.above(end) if not one.is_routed)
        at = self.host(host)
        port = at.port(interface)
        if port is not None:
            yield (host, port.bridge), False
            others = (other.interface for other in at.plugged_into(port.bridge))
            yield from (((host, other), True) for other in others if other != interface)

    def _is_end(self, host: str, interface: str) -> bool:
        """Whether IP is spoken there: a bridge's port has no say of its own, nor has what another takes all of."""
        link = self.host(host).interface(interface)
        taken = any(one.takes_all for one in self.above((host, interface)))
        return link is not None and not taken and self.host(host).port(interface) is None


def read_world(directory: Path) -> World:
    """The world whose files are in ``directory`` (``ruleflow snapshot`` writes them), joined.

    :raises ReadError: where it is no such directory or a file in it cannot be read.
    """
    if not directory.is_dir():
        raise ReadError(
            f"{directory} is not a directory",
            where=Where(str(directory)),
            help="make one with: ruleflow snapshot DIR",
        )
    spaces = sorted(path for path in (directory / "ns").glob("*") if path.is_dir())
    containers = _containers(directory)
    guests = {one.name for one in containers if not any(address for _, address in one.networks)}
    read = (read_host(directory, "host"), *(read_host(path, path.name) for path in spaces))
    aliases = _aliases(sorted(read, key=lambda host: host.name in guests))
    hosts = tuple(host for host in read if host.name not in dict(aliases))
    links, unknown = join(hosts)
    stacked, unsure = stack(hosts, _numbers(hosts, links))
    return World(hosts, links, containers, (*unknown, *unsure), aliases, stacked)


def _numbers(hosts: tuple[Host, ...], links: tuple[Link, ...]) -> "Known":
    """Which namespace a number of a namespace stands for: as recorded, or else as the veth pairs say."""
    known: Known = {}
    ends = {(host.name, link.name): link for host in hosts for link in host.interfaces}
    for pair in links:
        for here, there in ((pair.a, pair.b), (pair.b, pair.a)):
            number = ends[here].peer_namespace
            if number is not None:
                known[here[0], number] = there[0]
    return known | _recorded(hosts)


def _recorded(hosts: tuple[Host, ...]) -> "Known":
    names = {host.name for host in hosts}
    return {(host.name, number): name for host in hosts for number, name in host.namespaces if name in names}


def _aliases(hosts: list[Host]) -> tuple[tuple[str, str], ...]:
    """Names of one namespace after its first, which the others then mean (``docker run --network host``, ``container:web``).

    Two are one where their interfaces have the same numbers, names and link-layer addresses.
    """
    first: dict[object, Host] = {}
    found = []
    for host in hosts:
        wires = tuple((link.index, link.name, link.mac) for link in host.interfaces if link.mac)
        same = first.setdefault(wires or host.name, host)
        if same is not host:
            found.append((host.name, same.name))
    return tuple(found)


def _containers(directory: Path) -> tuple[Container, ...]:
    published = {words[0]: words[2].strip() for words in _parts(directory / "ps.txt")}
    return tuple(
        _container(name, rest.split(), published) for name, _, rest in _parts(directory / "containers.txt")
    )


def _parts(path: Path) -> list[tuple[str, str, str]]:
    """Each line as its first word, a blank, and the rest."""
    if not path.is_file():
        return []
    return [line.partition(" ") for line in path.read_text("utf-8").splitlines() if line.strip()]


def _container(name: str, words: list[str], published: dict[str, str]) -> Container:
    networks = tuple(zip(words[::2], words[1::2], strict=False))
    return Container(name, networks, published.get(name, ""))


def join(hosts: tuple[Host, ...]) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """The veth pairs of ``hosts``, and a sentence for each end whose other end is not known.

    ``14: veth1@if15`` is joined to the interface with index 15 of another namespace that names 14 as its
    other end. Where several fit, a namespace that one number (link-netnsid) already stands for, and the
    neighbours' link-layer addresses decide.
    """
    ends = [(host, link) for host in hosts for link in host.interfaces if _is_pair_end(link)]
    made: dict[End, End] = dict(_same_namespace(hosts))
    known = _recorded(hosts)
    for clue in (_only_one, _by_namespace_number, _by_neighbour, _by_subnet):
        _join_by(clue, ends, made, known)
    links = tuple(Link(a, b) for a, b in sorted(made.items()) if a < b)
    lost = tuple(
        f"the other end of {link.name} in {host.name} (index {link.peer_index}) is in no namespace given"
        for host, link in ends
        if (host.name, link.name) not in made
    )
    return links, lost


def _is_pair_end(link: Interface) -> bool:
    return link.peer_index is not None and link.peer_namespace is not None and link.kind in ("veth", "")


def _same_namespace(hosts: tuple[Host, ...]) -> Iterator[tuple[End, End]]:
    """Pairs with both ends in one namespace: iproute2 names the peer (``d0@d1``)."""
    for host in hosts:
        for link in host.interfaces:
            other = host.interface(link.peer)
            if other is not None and link.kind == other.kind == "veth" and other.peer == link.name:
                yield (host.name, link.name), (host.name, other.name)


HostEnd = tuple[Host, Interface]
Known = dict[tuple[str, int], str]
"""Which namespace a number of a namespace stands for."""
Clue = Callable[[Host, Interface, list[HostEnd]], HostEnd | None]
"""What decides between several interfaces that may be the other end."""


def _join_by(clue: Clue, ends: list[HostEnd], made: dict[End, End], known: Known) -> None:
    """Join what ``clue`` decides, again and again while it decides something."""
    changed = True
    while changed:
        changed = False
        for host, link in ends:
            if (host.name, link.name) in made:
                continue
            fits = [end for end in ends if _fits(host, link, *end) and (end[0].name, end[1].name) not in made]
            chosen = clue(host, link, _consistent(host, link, fits, known))
            if chosen is not None:
                _make((host, link), chosen, made, known)
                changed = True


def _make(one: HostEnd, two: HostEnd, made: dict[End, End], known: Known) -> None:
    (host, link), (other, end) = one, two
    made[host.name, link.name] = (other.name, end.name)
    made[other.name, end.name] = (host.name, link.name)
    known[host.name, link.peer_namespace or 0] = other.name
    known[other.name, end.peer_namespace or 0] = host.name


def _fits(host: Host, link: Interface, other: Host, end: Interface) -> bool:
    """Whether each names the other's index."""
    return host is not other and link.peer_index == end.index and end.peer_index == link.index


def _consistent(host: Host, link: Interface, fits: list[HostEnd], known: Known) -> list[HostEnd]:
    """Those of ``fits`` that do not gainsay what a namespace's numbers already stand for, either way."""
    ours = known.get((host.name, link.peer_namespace or 0))
    taken = {
        name for (at, number), name in known.items() if at == host.name and number != link.peer_namespace
    }
    return [
        (other, end)
        for other, end in fits
        if (ours in (None, other.name))
        and other.name not in taken
        and known.get((other.name, end.peer_namespace or 0)) in (None, host.name)
    ]


def _only_one(_host: Host, _link: Interface, fits: list[HostEnd]) -> HostEnd | None:
    return fits[0] if len(fits) == 1 else None


_by_namespace_number = _only_one
"""Once more after the sure pairs are made: their numbers have ruled others out."""


def _by_neighbour(host: Host, link: Interface, fits: list[HostEnd]) -> HostEnd | None:
    """The one whose link-layer address a neighbour entry of this interface (or of its bridge) names."""
    macs = {entry.mac for entry in host.neighbours if entry.interface in (link.name, link.master)}
    named = [end for end in fits if end[1].mac in macs]
    return named[0] if len(named) == 1 else None


def _by_subnet(host: Host, link: Interface, fits: list[HostEnd]) -> HostEnd | None:
    """The one with an address on the network of this interface (or of its bridge)."""
    named = [end for end in fits if _share_network(host, link, end[1])]
    return named[0] if len(named) == 1 else None


def _share_network(host: Host, link: Interface, end: Interface) -> bool:
    here = [*link.addresses]
    bridge = host.interface(link.master)
    here += bridge.addresses if bridge else ()
    return any(
        a.family == b.family and a.scope == "global" and a.on_link(b.address)
        for a in here
        for b in end.addresses
    )
