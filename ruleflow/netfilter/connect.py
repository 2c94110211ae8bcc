"""Whether one place can talk to another: the whole connection through a world, there and back.

What the program at the end gets to know stands in `ruleflow.netfilter.messages`.
"""

from collections.abc import Callable, Iterator

import msgspec

from ruleflow.errors import ReadError
from ruleflow.netfilter import remedy
from ruleflow.netfilter.answers import answers, same_ends, turned
from ruleflow.netfilter.conntrack import RELATED
from ruleflow.netfilter.endpoints import check_family, destination_of, source_of
from ruleflow.netfilter.host import Host, Listener, Relay
from ruleflow.netfilter.journey import Journey, Leg, Travel
from ruleflow.netfilter.messages import RESULTS, icmp_message
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.remedy import Fix
from ruleflow.netfilter.routing import route
from ruleflow.netfilter.world import World

SYN, RST, ACK = 2, 4, 16
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "ping": 1}
FIRST_PORT = 40000


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: ``result`` is reached, refused, closed, no-answer, unreachable or unknown.

    ``by`` is who was reached or who refused, ``sees`` the client's address as the server sees it, ``because``
    a sentence, ``remedy`` what would make it a yes. ``walks`` are the packets' walks in order, by host.
    """

    from_: str = msgspec.field(name="from")
    to: str
    port: int | None
    protocol: str
    result: str
    by: str | None = None
    sees: str | None = None
    because: str = ""
    remedy: str | None = None
    walks: tuple[Leg, ...] = ()
    fix: Fix | None = None
    """The first change that would help, while it is looked for."""

    @property
    def is_reached(self) -> bool:
        """Whether the two can talk."""
        return self.result == "reached"


Attempt = tuple[Connection, tuple[Leg, ...]]
"""The answer, and the walks of all packets."""


def connect(
    world: World,
    from_: str,
    to: str,
    port: int | None = None,
    protocol: str = "tcp",
    *,
    remedies: bool = True,
) -> Connection:
    """Try to connect from a place (a host's name or an address) to an address (or a host's name).

    ``remedies``: where the answer is no, look for what would make it a yes (the connection is tried again for it).

    Raises `ReadError` for a place that is not known, or a protocol other than tcp, udp and icmp.
    """
    if protocol not in PROTOCOLS:
        raise ReadError(f"a connection by {protocol!r} cannot be tried", help="write tcp, udp or icmp")
    if protocol in ("tcp", "udp") and port is None:
        raise ReadError(f"{protocol} needs a port", help="write it like 192.0.2.10:80")
    destination, family = destination_of(world, to)
    check_family(from_, family)

    def attempt(there: World) -> Attempt:
        talk = _Talk(there, protocol, FIRST_PORT)
        host, source = source_of(there, from_)
        return talk.run(host, source, destination, family, port), tuple(talk.legs)

    found, legs = attempt(world)
    asked = None if protocol in ("icmp", "ping") else port
    needed = _needed(world, found, attempt) if remedies and not found.is_reached else None
    return msgspec.structs.replace(found, from_=from_, to=to, port=asked, walks=legs, remedy=needed, fix=None)


def _needed(world: World, found: Connection, attempt: Callable[[World], Attempt]) -> str | None:
    """What would make it a yes: each change is tried, and what then still stands in the way comes next."""
    texts: list[str] = []
    while found.fix is not None and len(texts) < _CHANGES:
        texts.append(found.fix.text)
        changed = remedy.applied(world, found.fix)
        if changed is None:
            break
        world = changed
        found, _ = attempt(world)
        if found.fix is not None and found.fix.text in texts:
            break
    return "; and ".join(texts) or None


_CHANGES = 4
"""So many changes are told at most."""


def connect_all(
    world: World, targets: tuple[tuple[str, int | None, str], ...], from_: str | None = None
) -> Iterator[Connection]:
    """Everybody (or only ``from_``) to each target (address, port, protocol): the matrix, without remedies."""
    for host in world.hosts:
        if from_ not in (None, host.name):
            continue
        for to, port, protocol in targets:
            yield connect(world, host.name, to, port, protocol, remedies=False)


class _Talk:
    """One attempt: packets there and back, the connections they leave behind in ``travel``."""

    def __init__(self, world: World, protocol: str, port: int, travel: Travel | None = None) -> None:
        self.world, self.protocol, self.own_port = world, "icmp" if protocol == "ping" else protocol, port
        self.travel = travel or Travel(world)
        self.legs: list[Leg] = []
        self.entering: str | None = None

    def run(self, host: Host, source: int | None, to: int, family: int, port: int | None) -> Connection:
        """The whole attempt from ``host``."""
        first = self._first(source, to, family, port)
        if source is not None and not host.owns(source, family):
            self._be_stranger(host, source, family)
        if source is None:
            if family == 6 and next(host.addresses(6), None) is None:
                return self._unsent(
                    f"{host.name} has no IPv6 address",
                    "EADDRNOTAVAIL",
                    Fix(f"an IPv6 address at {host.name}"),
                )
            way = route(host, to, family=family, protocol=first.protocol, destination_port=port)
            if way.error:
                return self._unsent(
                    f"{host.name}: {way.sentence}", way.error, remedy.for_route(host, to, family)
                )
            if way.source is not None:
                first = first.with_(source=way.source)
        there = self._send(host.name, first)
        if not there.arrived:
            return self._stopped(host, there)
        relay = self._relay(there)
        if relay is not None:
            return self._relayed(host, first, there, relay)
        return self._answered(host, first, there)

    def _be_stranger(self, host: Host, source: int, family: int) -> None:
        """A stranger is behind the interface by which the host would answer him."""
        way = route(host, source, family=family)
        self.entering = way.interface or "eth0"
        self.travel.stranger = source

    def _unsent(self, because: str, error: str, needed: Fix | None = None) -> Connection:
        """The program's own call fails. A ping that may not be sent for another reason just hears nothing."""
        silent = self.protocol == "icmp" and error not in ("ENETUNREACH", "EHOSTUNREACH")
        return self._told("no-answer" if silent else "unreachable", because, fix=needed)

    def _first(self, source: int | None, to: int, family: int, port: int | None) -> Packet:
        if self.protocol == "icmp":
            kind = 8 if family == 4 else 128
            return Packet(
                family=family, protocol=1 if family == 4 else 58, source=source, destination=to, icmp_type=kind,
                icmp_code=0, ttl=64,
            )  # fmt: skip
        flags = SYN if self.protocol == "tcp" else None
        return Packet(
            family=family, protocol=PROTOCOLS[self.protocol], source=source, destination=to, source_port=self.own_port,
            destination_port=port, tcp_flags=flags, ttl=64,
        )  # fmt: skip

    def _send(self, host: str, packet: Packet, quoted: Packet | None = None) -> Journey:
        stranger = self.entering if packet.source == self.travel.stranger else None
        found = self.travel.send(host, packet, quoted=quoted, entering=stranger)
        self.legs += found.legs
        return found

    # -- the first packet did not arrive ----------------------------------------------------------------------

    def _stopped(self, host: Host, there: Journey) -> Connection:
        outcome = there.outcome
        if there.lost is not None:
            result = "unknown" if there.lost.endswith("is not known") else "no-answer"
            return self._told(result, f"{there.host}: {there.lost}", fix=remedy.for_journey(there))
        if there.legs[-1].walk.verdict == "UNKNOWN":
            forks = "; ".join(choice.text for choice in there.legs[-1].walk.forks)
            return self._told("unknown", f"at {there.host} it depends on: {forks}")
        because = f"at {there.host}: {outcome.sentence}"
        if (
            outcome.error
            and there.host == host.name
            and len(there.legs) == 1
            and outcome.answer is None
            and self.entering is None
        ):
            return self._not_sent(because, outcome.error)
        if outcome.answer is not None:
            return self._refused_on_the_way(there, because)
        return self._told("no-answer", because, fix=remedy.for_journey(there))

    def _not_sent(self, because: str, error: str) -> Connection:
        """After OUTPUT changed it there was no way: tcp's own sending goes wrong silently (tcp_connect), the call of others fails."""
        if self.protocol == "tcp":
            return self._told("no-answer", because)
        return self._unsent(because, error)

    def _refused_on_the_way(self, there: Journey, because: str) -> Connection:
        """A host on the way told the sender; that message must find its way, too."""
        answer = there.outcome.answer
        assert answer is not None
        back = self._complain(there, answer.kind)
        if not back:
            return self._told("no-answer", f"{because}; and the message does not arrive")
        return self._as_told(answer.kind, because, there)

    def _as_told(self, kind: str, because: str, there: Journey) -> Connection:
        """What the client's program makes of a message."""
        result = RESULTS[self.protocol].get(kind, "no-answer")
        return self._told(
            result, because, by=there.host if result == "refused" else None, fix=remedy.for_journey(there)
        )

    def _complain(self, there: Journey, kind: str) -> bool:
        """Send the message back to who the packet seemed to come from; whether it arrives and is understood."""
        seen = there.outcome.packet
        host = there.host
        if kind == "tcp-reset":
            reset = turned(seen, RST | ACK)
            back = self._reset_by_port(there, reset) or self._send_message(host, reset, None, there)
            return back.arrived and answers(there.legs[0].walk.packet, back.outcome.packet)
        message = icmp_message(kind, seen, self.world.host(host))
        back = self._send_message(host, message, seen, there)
        return back.arrived

    def _reset_by_port(self, there: Journey, reset: Packet) -> Journey | None:
        """A reset for a frame that a bridge's port brought to iptables goes back out by that port, past all rules.

        So nobody translates it back: nf_send_reset (net/ipv4/netfilter/nf_reject_ipv4.c), nf_send_reset6; tried.
        """
        came = there.legs[-1].walk.packet
        port = self.world.host(there.host).port(came.physdev_in or "")
        if port is None or not self.world.host(there.host).bridge_nf(reset.family, port.bridge):
            return None
        back = self.travel.return_frame(there.host, port.interface, came.mac, reset)
        self.legs += back.legs if back is not None else ()
        return back

    def _send_message(self, host: str, message: Packet, seen: Packet | None, there: Journey) -> Journey:
        """It belongs to the connection of the packet it is about (nf_ct_attach); a reset's source need not be the host's own."""
        connection = there.outcome.connection
        attached = None
        if connection is not None or seen is None:
            attached = connection, RELATED, 1 - there.outcome.direction
        found = self.travel.send(host, message, quoted=seen, attached=attached)
        self.legs += found.legs
        return found

    # -- it arrived ---------------------------------------------------------------------------------------------

    def _answered(self, host: Host, first: Packet, there: Journey) -> Connection:
        outcome, seen = there.outcome, there.outcome.packet
        who = there.host
        if outcome.refused:
            return self._refusal(host, first, there)
        if outcome.delivered is None:
            return self._told("unknown", f"{who}: what listens there is not known")
        if outcome.delivered == PLACEHOLDER:
            return self._told("no-answer", f"at {who}: {PLACEHOLDER} only holds the port, it never answers")
        why = self._exchange(host, first, there, self._reply(seen))
        if why is not None:
            return self._told("no-answer", why[0], fix=why[1])
        return self._told(
            "reached",
            self._answers(there),
            by=self._server(there),
            sees=address_text(seen.source or 0, seen.family),
        )

    def _listener(self, there: Journey) -> Listener | None:
        seen = there.outcome.packet
        if self.protocol == "icmp" or seen.destination is None or seen.destination_port is None:
            return None
        host = self.world.host(there.host)
        return host.listener(self.protocol, seen.destination, seen.destination_port, seen.family)

    def _server(self, there: Journey) -> str:
        """Who it is that answers: of those who share a network the container whose socket it is."""
        found = self._listener(there)
        return found.container if found is not None and found.container else there.host

    def _answers(self, there: Journey) -> str:
        server, found = self._server(there), self._listener(there)
        sharing = [name for name, of in self.world.aliases if of == there.host]
        if server != there.host:
            return f"{server} answers, which shares the network of {there.host}"
        if found is None or found.container or not sharing or found.process in _DOCKERS:
            return f"{server} answers"
        return f"{server} answers, or {' or '.join(sharing)}, which shares its network: whose socket it is was not recorded"

    def _refusal(self, host: Host, first: Packet, there: Journey) -> Connection:
        """Nobody listens: a reset or a port unreachable, if it comes back."""
        kind = there.outcome.answer.kind if there.outcome.answer else "tcp-reset"
        seen, who = there.outcome.packet, there.host
        because = f"at {who} no socket waits for {self.protocol} port {seen.destination_port}"
        if kind == "tcp-reset":
            back = self._send(who, turned(seen, RST | ACK))
            fits = back.arrived and back.host == host.name and answers(first, back.outcome.packet)
        else:
            message = icmp_message(kind, seen, self.world.host(who))
            back = self._send_message(who, message, seen, there)
            fits = (
                back.arrived
                and back.host == host.name
                and back.quoted is not None
                and same_ends(first, back.quoted)
            )
        if not fits:
            return self._told("no-answer", f"{because}; and the refusal does not come back: {_why(back)}")
        needed = remedy.for_listener(who, self.protocol, seen.destination_port)
        return self._told("refused", because, by=who, fix=needed)

    def _reply(self, seen: Packet) -> Packet:
        if self.protocol == "icmp":
            return turned(seen, None).with_(icmp_type=0 if seen.family == 4 else 129, icmp_code=0)
        return turned(seen, SYN | ACK if self.protocol == "tcp" else None)

    def _exchange(self, host: Host, first: Packet, there: Journey, reply: Packet) -> "Fault | None":
        """The answer, and with tcp the packets after it; None where all goes well."""
        back = self._send(there.host, reply)
        fault = self._fault(host, first, back)
        if fault is not None or self.protocol != "tcp":
            return fault
        seen = there.outcome.packet
        third = self._send(host.name, first.with_(tcp_flags=ACK))
        if not third.arrived or third.host != there.host:
            return f"the handshake's last packet does not arrive: {_why(third)}", remedy.for_journey(third)
        data = self._send(there.host, turned(seen, ACK))
        return self._fault(host, first, data)

    def _fault(self, host: Host, first: Packet, back: Journey) -> "Fault | None":
        if not back.arrived:
            return f"the answer does not come back: {_why(back)}", remedy.for_journey(back)
        got = back.outcome.packet
        if back.host == host.name and (answers(first, got) or self._is_echo(first, got)):
            return None
        elsewhere = remedy.for_answer_from_elsewhere(self.world, got.family)
        if back.host != host.name:
            return f"the answer ends at {back.host}", elsewhere
        from_ = address_text(got.source or 0, got.family)
        why = f"the answer comes from {from_}, not from the address that was asked: {host.name} does not take it for the answer"
        return why, elsewhere

    def _is_echo(self, first: Packet, got: Packet) -> bool:
        """Ping knows its answers by their identifier, from whatever address they come (tried: it says so, and counts them)."""
        return self.protocol == "icmp" and got.destination == first.source

    # -- a proxy takes it ---------------------------------------------------------------------------------------

    def _relay(self, there: Journey) -> Relay | None:
        seen = there.outcome.packet
        host = self.world.host(there.host)
        if there.outcome.refused or seen.destination is None or seen.destination_port is None:
            return None
        return host.relay(self.protocol, seen.destination, seen.destination_port, seen.family)

    def _relayed(self, host: Host, first: Packet, there: Journey, relay: Relay) -> Connection:
        """The proxy's own connection decides; the client's must stand, too."""
        proxy = self.world.host(there.host)
        reply = self._reply(there.outcome.packet)
        if self.protocol == "udp":
            reply = _from_proxy(proxy, reply, relay)
        why = self._exchange(host, first, there, reply)
        inner = _Talk(self.world, self.protocol, self.own_port + 1, self.travel)
        behind = inner.run(proxy, None, relay.to_address, relay.to_family, relay.to_port)
        self.legs += inner.legs
        said = f"at {there.host} a proxy takes it"
        if why is not None:
            return self._told("no-answer", f"{said}; {why[0]}", fix=why[1])
        if behind.result == "reached":
            return self._told(
                "reached", f"{said} and relays it to {behind.by}", by=behind.by, sees=behind.sees
            )
        if self.protocol == "udp" or behind.result in ("no-answer", "unknown"):
            result = "unknown" if behind.result == "unknown" else "no-answer"
            return self._told(result, f"{said}; behind it: {behind.because}", fix=behind.fix)
        return self._told("closed", f"{said} and closes it: {behind.because}", by=there.host, fix=behind.fix)

    def _told(
        self,
        result: str,
        because: str,
        *,
        by: str | None = None,
        sees: str | None = None,
        fix: Fix | None = None,
    ) -> Connection:
        return Connection(
            from_="", to="", port=None, protocol=self.protocol, result=result, because=because, by=by, sees=sees,
            fix=fix,
        )  # fmt: skip


Fault = tuple[str, Fix | None]
"""Why an exchange fails, and what would help."""

_DOCKERS = frozenset({"docker-proxy", "dockerd"})
"""Programs of the engine itself, which are in no container."""

PLACEHOLDER = "dockerd"
"""Without the userland proxy dockerd binds a published port so that nobody else can, and never accepts."""


def _from_proxy(proxy: Host, reply: Packet, relay: Relay) -> Packet:
    """Before Docker 28 a udp proxy bound to every address answers from the one that routing chooses, not the one asked."""
    if relay.address or relay.answers_as_asked:
        return reply
    way = route(proxy, reply.destination or 0, family=reply.family, protocol=17)
    return reply.with_(source=way.source) if way.source is not None else reply


def _why(journey: Journey) -> str:
    if journey.lost is not None:
        return f"{journey.host}: {journey.lost}"
    return f"at {journey.host}: {journey.outcome.sentence}"
