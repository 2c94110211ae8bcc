"""One packet's journey through a world: host after host, over veth pairs and bridges, until it ends."""

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from ruleflow.netfilter.conntrack import Connection, Ends, remembered
from ruleflow.netfilter.discovery import advertisement, is_discovery, is_known, solicitation
from ruleflow.netfilter.frames import Bridged
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.stacked import End
from ruleflow.netfilter.steps import Outcome, Walk
from ruleflow.netfilter.walk import Around, walk
from ruleflow.netfilter.world import World

DEAF = "the two do not hear each other"

ANY_SOURCE = (None, 0, 0)
"""Of a packet that this host sends with an address that is not its own (FLOWI_FLAG_ANYSRC)."""

HOPS = 32
"""A packet that has not arrived after so many hosts goes in circles."""


class Leg(msgspec.Struct, frozen=True):
    """The walk through one host, and the host's name."""

    host: str
    walk: Walk


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """Where a packet got to.

    ``host`` is where it ended: delivered there (``outcome.local``), stopped, or sent where nobody is (``lost``
    says so). ``quoted`` is, for an ICMP error, the packet inside as it stands at the end.
    """

    host: str
    outcome: Outcome
    legs: tuple[Leg, ...]
    lost: str | None = None
    quoted: Packet | None = None
    beyond: bool = False
    """Whether it left for the stranger that the travel is about."""

    @property
    def arrived(self) -> bool:
        """Whether it was delivered to a host, or is on its way to the stranger it is for."""
        return self.lost is None and self.outcome.verdict == "ACCEPT" and (self.outcome.local or self.beyond)

    @property
    def stopped(self) -> bool:
        """Whether it surely ended on the way, at a rule or at the kernel's own checks."""
        return self.legs[-1].walk.verdict in ("DROP", "REJECT")


class Travel:
    """Carries packets through a world and remembers the connections each host has seen."""

    def __init__(self, world: World, stranger: int | None = None) -> None:
        """``stranger`` is an address somewhere beyond the machine's own host, of which no more is known."""
        self.world, self.stranger = world, stranger
        self.connections: dict[str, tuple[Connection, ...]] = {}
        self.asked: dict[tuple[End, int], str | None] = {}

    @functools.cached_property
    def _machines(self) -> dict[tuple[str, int], Machine]:
        return {}

    def port_behind(self, host: str, family: int) -> Callable[[str, int | None, int | None], str | None]:
        """What tells the port of a bridge of ``host`` behind which somebody is, by his mac or by his address."""
        here = self.world.host(host)
        return lambda bridge, mac, address: self._find_port(here, bridge, mac, address, family)

    def machine(self, host: str, family: int) -> Machine:
        """A host made ready for walking, once."""
        key = host, family
        if key not in self._machines:
            self._machines[key] = Machine.of(self.world.host(host), family)
        return self._machines[key]

    def send(
        self, host: str, packet: Packet, *, quoted: Packet | None = None,
        attached: tuple[Connection | None, int, int] | None = None, end: End | None = None, entering: str | None = None,
    ) -> Journey:  # fmt: skip
        """Follow a packet that ``host`` sends; ``quoted`` is what it is about, if it is an ICMP error.

        ``end`` is whom a packet to many is followed to, where its destination does not say it. ``entering``: the
        packet is a stranger's, and comes in at ``host`` by this interface.
        """
        packet = packet.with_(in_interface=entering) if entering is not None else packet
        return self._follow(host, packet, None, end, quoted, attached)

    def return_frame(self, host: str, port: str, mac: int | None, packet: Packet) -> Journey | None:
        """Follow a packet that ``host`` puts on the wire of ``port`` by itself, for whom the link-layer address is.

        None where nobody is known to have it.
        """
        for end in self.world.segment(host, port):
            link = self.world.host(end[0]).interface(end[1])
            over = self._frame((host, port), end, packet)
            if link is not None and mac is not None and link.mac == mac and over is not None:
                arrived, bridged = self._arriving(*over, packet, mac, None)
                return self._follow(over[0], arrived, bridged, None, None, None, target=end)
        return None

    def _follow(
        self, host: str, packet: Packet, bridged: Bridged | None, end: End | None, quoted: Packet | None,
        attached: tuple[Connection | None, int, int] | None, target: End | None = None,
    ) -> Journey:  # fmt: skip
        """``target`` is whom the frame is for that comes in at ``host``, where it is one."""
        legs: list[Leg] = []
        at, target = host, target or end
        for _ in range(HOPS):
            around = Around(
                connections=self.connections.get(at, ()), quoted=quoted, bridged=bridged, attached=attached
            )
            found = walk(self.machine(at, packet.family), packet, around)
            attached = None
            legs.append(Leg(at, found))
            outcome = found.end
            self._remember(at, outcome)
            quoted = _inside(quoted, outcome)
            if found.verdict != "ACCEPT" or outcome.local:
                return Journey(host=at, outcome=outcome, legs=tuple(legs), quoted=quoted)
            if (
                self.stranger is not None
                and at == self.world.main.name
                and outcome.packet.destination == self.stranger
            ):
                return Journey(host=at, outcome=outcome, legs=tuple(legs), quoted=quoted, beyond=True)
            below = self._routed_below(at, outcome)
            if below is not None:
                (at, packet), bridged, target, attached = below, None, None, ANY_SOURCE
                continue
            sent = not _passed_on(packet, outcome)
            to = self._target(at, outcome, end) if sent or target is None else target
            onward = to if isinstance(to, str) else self._onward(at, outcome, to, sent=sent)
            if isinstance(to, str) or isinstance(onward, str):
                return Journey(host=at, outcome=outcome, legs=tuple(legs), lost=str(onward), quoted=quoted)
            target = to
            (at, interface), to_mac, from_mac = onward
            packet, bridged = self._arriving(
                at, interface, outcome.packet, to_mac, from_mac if sent else packet.mac
            )
        return Journey(host=at, outcome=outcome, legs=tuple(legs), lost="it goes in circles", quoted=quoted)

    def _remember(self, host: str, outcome: Outcome) -> None:
        self.connections[host] = remembered(self.connections.get(host, ()), outcome.connection)

    # -- from host to host --------------------------------------------------------------------------------

    def _target(self, host: str, outcome: Outcome, end: End | None) -> End | str:
        """Whom the frame is sent to; or why it gets nowhere."""
        leaves_by = outcome.out_interface or outcome.port
        if leaves_by is None:
            return "by which interface it leaves is not known"
        if outcome.to is None:
            return "whom it is sent to is not known"
        family = outcome.packet.family
        found = end or self._owner(host, leaves_by, outcome.to, family)
        who = address_text(outcome.to, family)
        if found is not None:
            wall = self._wall((host, leaves_by), found) if family == 4 else None
            if wall is None or is_known(self.world.host(host), outcome.to, leaves_by, 4):
                return found
            return f"nobody answers for {who} on {leaves_by}: {wall}"
        own = self.world.below((host, leaves_by))
        if own is not None and self.world.host(own.below[0]).owns(outcome.to, family):
            return f"{who} is {own.below[0]}'s, on whose {own.below[1]} {leaves_by} stands: {DEAF}"
        if self._stands_on((host, leaves_by), outcome.to, family):
            return f"{who} is on a {self._stands_on((host, leaves_by), outcome.to, family)} that stands on {leaves_by}: {DEAF}"
        if self._is_end_of_world(host, leaves_by):
            return f"it leaves by {leaves_by} for {who}, and what is there is not known"
        return f"nobody answers for {who} on {leaves_by}"

    def _wall(self, out: End, target: End) -> str | None:
        """What keeps ARP's question from the target: both are behind isolated ports of one bridge. IPv6 asks by packets."""
        over = self.world.across(*out)
        plug = self.world.host(over[0]).port(over[1]) if over is not None else None
        if over is None or plug is None or not plug.isolated:
            return None
        other = self.world.host(over[0]).port(self._port(over[0], plug.bridge, target))
        if other is None or not other.isolated:
            return None
        return f"the ports {plug.interface} and {other.interface} of {plug.bridge} at {over[0]} are isolated from each other"

    def _onward(
        self, host: str, outcome: Outcome, target: End, *, sent: bool
    ) -> tuple[End, int | None, int | None] | str:
        """Where the frame comes in next, whom it is for and from; or why it gets nowhere."""
        out = outcome.out_interface or outcome.port or ""
        unanswered = (
            self._discover((host, out), outcome, target) if sent and outcome.packet.family == 6 else None
        )
        if unanswered is not None:
            return unanswered
        start = outcome.port or self._port(host, out, target)
        over = self._frame((host, start), target, outcome.packet)
        if over is None:
            return f"what is at the other end of {start} is not known"
        link = self.world.host(target[0]).interface(target[1])
        own = self.world.host(host).interface(outcome.out_interface)
        return over, link.mac if link else None, own.mac if own else None

    def _discover(self, at: End, outcome: Outcome, target: End) -> str | None:
        """Ask who has the next hop, as IPv6 does by packets that rules see, too; why that fails, None where it does not."""
        host, to = self.world.host(at[0]), outcome.to or 0
        if is_discovery(outcome.packet) or is_known(host, to, at[1]):
            return None
        if (at, to) not in self.asked:
            self.asked[at, to] = None
            question = solicitation(host, at[1], to, outcome.packet.source)
            if question is not None:
                self.asked[at, to] = self._ask(at, question, to, target)
        return self.asked[at, to]

    def _ask(self, at: End, question: Packet, to: int, target: End) -> str | None:
        """Who is asked learns from the question where the asker is."""
        there = self.send(at[0], question, end=target)
        if there.stopped:
            return f"it does not learn who has {address_text(to, 6)}: its neighbour solicitation ends at {there.host}: {there.outcome.sentence}"
        self.asked[target, question.source or 0] = None
        back = self.send(target[0], advertisement(question, to, target[1]))
        if back.stopped:
            return f"it does not learn who has {address_text(to, 6)}: the neighbour advertisement ends at {back.host}: {back.outcome.sentence}"
        return None

    def _owner(self, host: str, out: str, address: int, family: int) -> End | None:
        """Who answers first for an address on the segment: of IPv4 any host that has it (arp_ignore 0), by whatever interface."""
        ends = self.world.heard(host, out)
        for end in ends:
            if self._has(end, address, family) or (family == 4 and self.world.host(end[0]).owns(address, 4)):
                return end
        return self._remembered(host, out, address, family, ends)

    def _remembered(
        self, host: str, out: str, address: int, family: int, ends: tuple[End, ...]
    ) -> End | None:
        """Who had an address that nobody has any more: an entry of the neighbour table is used all the same."""
        at = self.world.host(host)
        if not is_known(at, address, out, family):
            return None
        entry = at.neighbour(address, family, out)
        links = ((end, self.world.host(end[0]).interface(end[1])) for end in ends)
        return next((end for end, link in links if entry and link and link.mac == entry.mac), None)

    def _port(self, host: str, out: str, target: End) -> str:
        """The interface itself, or where it is a bridge, the port behind which the target is."""
        ports = self.world.host(host).plugged_into(out)
        for port in ports:
            if target in self._behind(host, port.interface):
                return port.interface
        return out

    def _behind(self, host: str, port: str) -> tuple[End, ...]:
        """What is reached by a port: its other end, or where that is a bridge's port, all behind that bridge."""
        return self.world.segment(host, port)

    # -- interfaces that stand on others ------------------------------------------------------------------

    def _is_end_of_world(self, host: str, out: str) -> bool:
        """Whether nothing is known of where the interface leads."""
        own = self.world.below((host, out))
        if own is not None:
            return not self.world.segment(host, out) and self._is_end_of_world(*own.below)
        return not self.world.host(host).plugged_into(out) and self.world.across(host, out) is None

    def _stands_on(self, end: End, address: int, family: int) -> str | None:
        """What kind of interface with the address stands on ``end``."""
        for one in self.world.above(end):
            if self.world.host(one.above[0]).owns(address, family):
                return f"{one.kind} of {one.above[0]}"
        return None

    def _frame(self, out: End, target: End, packet: Packet) -> End | None:
        """Where a frame for ``target`` comes in that leaves by ``out``; what stands on the way has no say in it."""
        own = self.world.below(out)
        goal = self.world.below(target)
        if own is not None and goal is not None and goal.hears(own):
            return target
        if own is not None:
            port = self._port(*own.below, target)
            return self._frame((own.below[0], port), target, packet)
        over = self.world.across(*out)
        return None if over is None else self._handed_up(over, target, packet)

    def _handed_up(self, over: End, target: End, packet: Packet) -> End:
        """From the wire's end to what stands there: by link-layer address (the target's), or by IP address (ipvlan)."""
        port = self.world.host(over[0]).port(over[1])
        foot = over if port is None else (over[0], port.bridge)
        for one in self.world.above(foot):
            by_address = one.kind.startswith("ipv") and self._has(
                one.above, packet.destination, packet.family
            )
            if by_address or one.above == target or one.takes_all:
                return one.above
        return over

    def _has(self, end: End, address: int | None, family: int) -> bool:
        link = self.world.host(end[0]).interface(end[1])
        return link is not None and any(
            own.address == address and own.family == family for own in link.addresses
        )

    def _routed_below(self, host: str, outcome: Outcome) -> tuple[str, Packet] | None:
        """An ipvlan of mode l3 gives its packets to a sibling that has the address, or to the parent's host to be sent.

        That host routes them out by the parent, as if they were its own (ipvlan_process_outbound).
        """
        own = self.world.below((host, outcome.out_interface or ""))
        if own is None or not own.is_routed:
            return None
        for one in self.world.above(own.below):
            if one.hears(own) and self._has(one.above, outcome.packet.destination, outcome.packet.family):
                return one.above[0], self._arriving(*one.above, outcome.packet, None, None)[0]
        return own.below[0], _carried(outcome.packet, out_interface=own.below[1])

    def _arriving(
        self, host: str, interface: str, packet: Packet, to_mac: int | None, from_mac: int | None
    ) -> tuple[Packet, Bridged | None]:
        """The packet as it comes in at an interface: what belonged to the host before is left behind."""
        here = self.world.host(host)
        port = here.port(interface)
        clean = _carried(
            packet, in_interface=port.bridge if port else interface, physdev_in=interface if port else None,
            mac=from_mac,
        )  # fmt: skip
        if port is None:
            return clean, None
        return clean, Bridged(to_mac, self.port_behind(host, packet.family))

    def _find_port(
        self, host: Host, bridge: str, mac: int | None, address: int | None, family: int
    ) -> str | None:
        for port in host.plugged_into(bridge):
            for name, interface in self._behind(host.name, port.interface):
                link = self.world.host(name).interface(interface)
                if link is None:
                    continue
                own = any(one.address == address and one.family == family for one in link.addresses)
                if (mac is not None and link.mac == mac) or (mac is None and own):
                    return port.interface
        return None


def _passed_on(packet: Packet, outcome: Outcome) -> bool:
    """Whether it is a frame that the host's bridge only passes on to whom it is sent already.

    It is not where it got another destination on the way: then the host itself sends it on, asking who that is
    (br_nf_pre_routing_finish_bridge: neigh->output).
    """
    return outcome.port is not None and outcome.packet.destination == packet.destination


_CARRIED = (
    "family", "protocol", "source", "destination", "source_port", "destination_port", "icmp_type", "icmp_code",
    "tcp_flags", "tcp_options", "mss", "ttl", "tos", "length", "fragment", "extension_headers", "spi", "dccp_type",
    "sctp_chunks", "mh_type", "payload",
)  # fmt: skip
"""The facts of a packet that travel over a wire."""


def _carried(packet: Packet, **facts: Any) -> Packet:
    """The packet as another host gets it, with what is said of it there."""
    return Packet(**{name: getattr(packet, name) for name in _CARRIED}, **facts)


def _inside(quoted: Packet | None, outcome: Outcome) -> Packet | None:
    """The packet inside an ICMP error is translated like the error (nf_nat_icmp_reply_translation)."""
    if quoted is None or outcome.connection is None:
        return quoted
    ends: Ends = outcome.connection.original if outcome.direction == 1 else outcome.connection.reply
    return quoted.with_(
        source=ends.source, destination=ends.destination, source_port=ends.source_port,
        destination_port=ends.destination_port,
    )  # fmt: skip
