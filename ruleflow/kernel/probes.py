"""Real packets after an apply: from a throw-away namespace, from the host, from endpoints, against what the model foretells.

A namespace ``rf-probe`` is plugged into the host by a cable of its own (198.18.77.0/30 and 2001:2:77::/126, the ranges of RFC
2544 and 5180 for tests) and is gone afterwards. In the namespaces of endpoints something listens on each tried port.
"""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import msgspec

from ruleflow.bridge.declaration import Declaration, Endpoint, PortMap
from ruleflow.errors import RuleflowError
from ruleflow.kernel import links
from ruleflow.kernel.journal import Deadline
from ruleflow.kernel.owned import Address, Link, Netns, Route
from ruleflow.kernel.ping import ping, ping_socket
from ruleflow.kernel.plan import Prepared
from ruleflow.kernel.snapshot import live_world
from ruleflow.netfilter.connect import connect

HOST, FAR = {4: "198.18.77.1", 6: "2001:2:77::1"}, {4: "198.18.77.2", 6: "2001:2:77::2"}
LENGTHS = {4: 30, 6: 126}
MOST = 12
PATIENCE = 1.5
UNHURRIED = 20.0
"""Seconds to confirm in, of which probes may take a few."""
FAR_PORT = 80
Place = tuple[str, str, int, str]
"""Where something listens: namespace, address, port, protocol."""


class ProbeFailedError(RuleflowError):
    """Packets went another way than foretold; the message says which."""


class Probe(msgspec.Struct, frozen=True):
    """One question: can ``from_`` (host, outside or an endpoint's namespace) talk to an address and port; a ping has none."""

    from_: str
    to: str
    port: int
    protocol: str

    def __str__(self) -> str:
        if self.protocol == "icmp":
            return f"ping from {self.from_} to {self.to}"
        to = f"[{self.to}]" if ":" in self.to else self.to
        return f"{self.protocol} from {self.from_} to {to}:{self.port}"


class Tried(msgspec.Struct, frozen=True):
    """A probe, what was foretold and what happened; both as ``reached NAME sees PEER``, ``refused``, ``no-answer`` …"""

    probe: Probe
    foretold: str
    happened: str

    @property
    def agrees(self) -> bool:
        """Whether it happened as foretold, or nothing could be foretold."""
        return self.foretold in (self.happened, "unknown")


def why_unasked(prepared: Prepared, declaration: Declaration, deadline: Deadline | None) -> str | None:
    """Why packets are better not sent unless somebody asks for it; None where they are safe to send.

    Somebody may live in a namespace that this plan does not make; what the model does not walk may decide otherwise; and who
    has little time to confirm needs it.
    """
    made = {
        step.thing.name for step in prepared.steps if isinstance(step.thing, Netns) and step.verb == "make"
    }
    others = sorted({one.netns for one in declaration.endpoints if one.netns} - made)
    if others:
        return f"the namespace {others[0]} was there before, and somebody may live in it"
    if any(note.code in ("nft-chain", "other-backend") for note in prepared.plan.notes):
        return "others decide about packets too, in ways that cannot be foretold"
    if deadline is not None and deadline.left < UNHURRIED:
        return "the time to confirm is short"
    return None


def proof(declaration: Declaration) -> Callable[[], None]:
    """What to ask at the end of an apply: raises `ProbeFailedError` where a packet goes another way than foretold."""

    def prove() -> None:
        wrong = [one for one in probe(declaration) if not one.agrees]
        if wrong:
            said = "; ".join(f"{one.probe}: foretold {one.foretold}, but {one.happened}" for one in wrong)
            raise ProbeFailedError(
                f"packets go another way than foretold: {said}", help="ruleflow connect explains the way"
            )

    return prove


def probe(declaration: Declaration) -> tuple[Tried, ...]:
    """Try the published ports of the endpoints that have a named namespace, each at most once a family.

    The calling thread is in the host's namespace. Raises `RuleflowError` where the namespaces cannot be entered.
    """
    ends = {
        one.netns: one
        for one in declaration.endpoints
        if one.netns and "/" not in one.netns and ":" not in one.netns
    }
    if not ends:
        return ()
    questions = tuple(dict.fromkeys(_questions(declaration, tuple(ends.values()))))
    with _outside() as far, _listening((*_places(tuple(ends.values())), *_far_places(far))):
        world = live_world((*ends, far))
        with ThreadPoolExecutor(32) as threads:
            told = [_foretold(world, one, far) for one in questions]
            happened = list(threads.map(_caller(far), questions))
    return tuple(Tried(*row) for row in zip(questions, told, happened, strict=True))


def _questions(declaration: Declaration, ends: tuple[Endpoint, ...]) -> Iterator[Probe]:
    for endpoint in ends[:MOST]:
        for family in (4, 6):
            if endpoint.address(family) is not None:
                yield Probe(endpoint.netns or "", FAR[family], FAR_PORT, "tcp")
                yield Probe(endpoint.netns or "", FAR[family], 0, "icmp")
                yield Probe("outside", str(endpoint.address(family)), 0, "icmp")
                yield from _to_siblings(endpoint, ends, family)
    tried = 0
    for endpoint in ends:
        network = declaration.network(endpoint.network)
        for port in endpoint.ports:
            for family in (4, 6):
                address = endpoint.address(family)
                if address is None or not port.serves(family) or port.protocol == "sctp" or tried >= MOST:
                    continue
                tried += 1
                yield Probe("outside", str(address), port.target.low, port.protocol)  # past the translation
                if port.published is not None and not network.internal:
                    yield from _published(
                        port, family, [endpoint.netns or "", *(one.netns or "" for one in ends)]
                    )


def _to_siblings(endpoint: Endpoint, ends: tuple[Endpoint, ...], family: int) -> Iterator[Probe]:
    """From one endpoint straight to others: on the same bridge, and on another."""
    others = [one for one in ends if one is not endpoint and one.address(family) is not None]
    for other in others[:3]:
        for port in other.ports[:1]:
            if port.protocol in ("tcp", "udp"):
                yield Probe(endpoint.netns or "", str(other.address(family)), port.target.low, port.protocol)


def _published(port: PortMap, family: int, inner: list[str]) -> Iterator[Probe]:
    assert port.published is not None
    given = port.host_ip if port.host_ip is not None and not port.host_ip.is_unspecified else None
    to = str(given) if given is not None else HOST[family]
    for place in ("outside", "host", *inner[:3]):
        if given is None or not given.is_loopback or place == "host" or (place == "outside" and family == 4):
            yield Probe(
                place, to, port.published.low, port.protocol
            )  # 127.0.0.1 as a neighbour may send to it
    if given is None and family == 4:
        yield Probe("host", "127.0.0.1", port.published.low, port.protocol)


def _foretold(world: object, one: Probe, far: str) -> str:
    from ruleflow.netfilter.world import World

    assert isinstance(world, World)
    place = far if one.from_ == "outside" else one.from_
    found = connect(world, place, one.to, one.port or None, one.protocol, remedies=False)
    if one.protocol == "icmp":
        return found.result if found.result in ("reached", "unknown") else "no-answer"
    if found.result != "reached":
        return found.result
    return f"reached {found.by} sees {found.sees}"


@contextlib.contextmanager
def _outside() -> Iterator[str]:
    """A namespace that is nobody's neighbour but the host's."""
    links.remove_leftovers()
    name = f"{links.PROBE}-{os.getpid()}"
    cable = Link(links.PROBE, "veth", netns=name, peer="eth0")
    links.make_netns(Netns(name))
    try:
        links.make_link(cable)
        for family in (4, 6):
            links.make_address(Address(cable.name, f"{HOST[family]}/{LENGTHS[family]}"))
            links.make_address(Address("eth0", f"{FAR[family]}/{LENGTHS[family]}", name))
            links.make_route(Route("default", HOST[family], "eth0", name))
        _take_no_offence(name)
        yield name
    finally:
        links.remove_link(cable)
        links.remove_netns(Netns(name))


def _take_no_offence(netns: str) -> None:
    """Let a namespace send to the 127.0.0.1 of its neighbours and take their answers, as who means harm would."""
    links.remove_address(Address("lo", "127.0.0.1/8", netns))
    links.within(netns, lambda: links.write_setting("net.ipv4.conf.all.route_localnet", "1"))


def _places(ends: tuple[Endpoint, ...]) -> Iterator[Place]:
    for endpoint in ends:
        for port in endpoint.ports:
            for family in (4, 6):
                if endpoint.address(family) is not None and port.protocol in ("tcp", "udp"):
                    yield endpoint.netns or "", str(endpoint.address(family)), port.target.low, port.protocol


def _far_places(far: str) -> Iterator[Place]:
    return ((far, address, FAR_PORT, "tcp") for address in FAR.values())


@contextlib.contextmanager
def _listening(places: tuple[Place, ...]) -> Iterator[None]:
    """At each place something answers with the namespace's name and the asker's address.

    A port that somebody's own program holds already is left to it.
    """
    selector = selectors.DefaultSelector()
    for place in places:
        _register(selector, *place)
    stop = threading.Event()
    thread = threading.Thread(target=_serve, args=(selector, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        selector.close()


def _register(selector: selectors.BaseSelector, netns: str, address: str, port: int, protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def listen() -> socket.socket | None:
        made = socket.socket(family, kind)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((address, port))
        except OSError:
            made.close()
            return None
        if kind == socket.SOCK_STREAM:
            made.listen()
        return made

    made = links.within(netns, listen)
    if made is not None:
        selector.register(made, selectors.EVENT_READ, netns)


def _serve(selector: selectors.BaseSelector, stop: threading.Event) -> None:
    while not stop.is_set():
        for key, _ in selector.select(0.05) if selector.get_map() else ():
            assert isinstance(key.fileobj, socket.socket)
            with contextlib.suppress(OSError):
                _answer(key.fileobj, str(key.data))


def _answer(at: socket.socket, name: str) -> None:
    if at.type == socket.SOCK_DGRAM:
        _, peer = at.recvfrom(100)
        at.sendto(f"{name} sees {peer[0]}".encode(), peer)
        return
    talk, peer = at.accept()
    with talk:
        talk.sendall(f"{name} sees {peer[0]}".encode())


def _caller(far: str) -> Callable[[Probe], str]:
    def call(one: Probe) -> str:
        place = {"host": "", "outside": far}.get(one.from_, one.from_)
        version = ip_address(one.to).version
        if one.protocol == "icmp":
            with links.within(place, lambda: ping_socket(version)) as raw:
                return "reached" if ping(raw, version, one.to, PATIENCE) else "no-answer"
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        kind = socket.SOCK_STREAM if one.protocol == "tcp" else socket.SOCK_DGRAM
        with _socket(place, family, kind) as made:
            return _try(made, one)

    return call


def _socket(place: str, family: int, kind: int) -> socket.socket:
    """A socket of a namespace; made in a thread of its own, because a pool's thread is in no particular one."""
    made = links.within(place, lambda: socket.socket(family, kind))
    made.settimeout(PATIENCE)
    return made


def _try(made: socket.socket, one: Probe) -> str:
    try:
        made.connect((one.to, one.port))
        if one.protocol == "udp":
            made.send(b"?")
        said = made.recv(200).decode("utf-8", "replace")
    except TimeoutError:
        return "no-answer"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionError:
        return "closed"
    except OSError as error:
        return "unreachable" if error.errno in (101, 113) else str(error)
    return f"reached {said}" if said else "closed"
