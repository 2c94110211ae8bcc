"""A packet on its way: what conditions read of it at one place, as it stands there after all changes so far."""

import copy
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ruleflow.netfilter.conntrack import (
    ESTABLISHED,
    INVALID,
    NEW,
    RELATED,
    REQUESTS,
    UNTRACKED,
    Connection,
    Ends,
)
from ruleflow.netfilter.facts import answer
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.condition import Decision, Derived
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.protocols import PORTED

DEFAULTS: dict[str, tuple[int, str]] = {
    "mark": (0, "mark 0"),
    "connmark": (0, "connection mark 0"),
    "tos": (0, "tos 0"),
    "ttl": (64, "ttl 64"),
    "fragment": (0, "no fragment"),
    "tcp_flags": (2, "tcp flags SYN: it begins a connection"),
    "extension_headers": (0, "no extension headers"),
    "pkttype": (0, "addressed to this host's mac"),
    "priority": (0, "priority 0"),
    "realm": (0, "routing realm 0"),
    "cpu": (0, "handled by cpu 0"),
    "cgroup": (0, "cgroup 0"),
}
"""What is taken for a fact that nobody gave, and its words; a walk lists those that a condition read."""

_CONNECTION = frozenset(name for name in Packet.__struct_fields__ if name.startswith("ct_")) | {
    "connmark",
    "helper",
}


class State:
    """The facts of a packet (`ruleflow.ruleset.condition.Facts`) while it walks through a machine.

    Fields have the names of `ruleflow.ruleset.fields`; ``looked`` has every field a condition asked for.
    ``version`` counts changes, so that who has looked something up knows when to look again.
    """

    source: int | None = None
    destination: int | None = None
    protocol: int | None = None
    source_port: int | None = None
    destination_port: int | None = None
    in_interface: str | None = ""
    out_interface: str | None = ""
    icmp_type: int | None = None
    icmp_code: int | None = None
    state: int | None = INVALID
    mark: int | None = 0
    connmark: int | None = None
    tos: int | None = 0
    ttl: int | None = 64
    fragment: int | None = 0
    tcp_flags: int | None = None
    extension_headers: int | None = 0
    pkttype: int | None = 0
    priority: int | None = 0
    realm: int | None = 0
    cpu: int | None = 0
    cgroup: int | None = 0
    socket_exists: int | None = None
    connection: Connection | None = None
    physdev_out: str | None
    direction = 0
    untracked = False
    seen_before = False
    chosen: Mapping[str, int] = {}
    tracked = False
    version = 0

    def __init__(
        self, machine: Machine, packet: Packet, connections: tuple[Connection, ...], entry: str
    ) -> None:
        (
            self.source, self.destination, self.protocol, self.source_port, self.destination_port, mark, tos, ttl,
            fragment, *others,
        ) = _CORE(packet)  # fmt: skip
        self.machine, self.packet, self.connections, self.entry = machine, packet, connections, entry
        self.family = packet.family
        if mark is not None:
            self.mark = mark
        if tos is not None:
            self.tos = tos
        if ttl is not None:
            self.ttl = ttl
        if fragment is not None:
            self.fragment = fragment
        if any(value is not None for value in others):
            self.__dict__.update(
                (name, value) for name, value in zip(_RARE, others, strict=True) if value is not None
            )
        self.complete()
        local = entry == "local"
        self.socket_exists = int(local) if packet.socket_exists is None else packet.socket_exists
        self.frame = not local and packet.in_interface != "lo"
        self.arrived: str | None = packet.in_interface
        self.done: set[str] = set()
        self.ranges: dict[str, tuple[int, int]] = {}
        self.looked: dict[str, None] = {}
        self.assumed: dict[str, None] = {}
        self.touched: set[str] = set()

    def complete(self) -> None:
        """A tcp packet of which no flags are told begins a connection, an icmp packet asks for an echo."""
        if self.protocol == 6:
            if self.tcp_flags is None:
                self.tcp_flags = 2
        elif self.protocol in (1, 58):
            if self.icmp_type is None:
                self.icmp_type = 8 if self.protocol == 1 else 128
            if self.icmp_code is None:
                self.icmp_code = 0

    def __getattr__(self, name: str) -> Any:
        """What nothing on the way has set is as the packet brought it."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.packet, name)

    @functools.cached_property
    def given(self) -> dict[str, object]:
        """The facts that somebody told of the packet."""
        told = zip(_NAMES, msgspec.structs.astuple(self.packet), strict=True)
        return {name: value for name, value in told if value is not None}

    # -- Facts ------------------------------------------------------------------------------------------------

    def value(self, field: Field) -> int | str | None:
        """The field's value here, None where it is not known."""
        self.looked[field.name] = None
        value: int | str | None = getattr(self, field.name, None)
        return value

    def absent(self, field: Field) -> bool:
        """Whether the packet has no such field here."""
        asked = _ABSENT.get(field.name)
        return asked is not None and asked(self)

    def derived(self, condition: Derived) -> Decision:
        """The answer to a condition on several facts (see `ruleflow.netfilter.facts`)."""
        return answer(condition, self)

    # -- changes ----------------------------------------------------------------------------------------------

    def change(self, name: str, value: Any) -> None:
        """Give a field another value."""
        setattr(self, name, value)
        self.ranges.pop(name, None)
        self.touched.add(name)
        self.version += 1

    def see(self, incoming: str | None, outgoing: str | None) -> None:
        """Set the interfaces that the next hook sees; "" where it sees none."""
        if (self.in_interface, self.out_interface) != (incoming, outgoing):
            self.in_interface, self.out_interface = incoming, outgoing
            self.version += 1

    def ends(self) -> Ends:
        """Addresses and ports as they stand here."""
        return Ends(self.source, self.destination, self.source_port, self.destination_port)

    def set_connection(self, connection: Connection | None, state: int, direction: int = 0) -> None:
        """Attach a connection: from here on conditions see it."""
        self.connection, self.state, self.direction = connection, state, direction
        self.tracked = True
        self.version += 1
        if connection is None:
            return
        original, reply = self._shown(connection)
        given = self.packet
        values = {
            "ct_status": connection.status, "ct_direction": direction, "ct_protocol": connection.protocol,
            "ct_orig_source": original.source, "ct_orig_destination": original.destination,
            "ct_orig_source_port": original.source_port, "ct_orig_destination_port": original.destination_port,
            "ct_reply_source": reply.source, "ct_reply_destination": reply.destination,
            "ct_reply_source_port": reply.source_port, "ct_reply_destination_port": reply.destination_port,
            "connmark": connection.mark, "ct_expire": given.ct_expire, "helper": given.helper,
        }  # fmt: skip
        self.__dict__.update(values)

    def _shown(self, connection: Connection) -> tuple[Ends, Ends]:
        """The ends as -m conntrack reads them: of ICMP the id is the source port, type and code the other."""
        original, reply = connection.original, connection.reply
        if connection.protocol in PORTED or connection.protocol is None:
            return original, reply
        first, second = None, 0
        if connection.protocol in REQUESTS:
            asked, code = self.icmp_type or 0, self.icmp_code or 0
            answers = REQUESTS[connection.protocol]
            asked = (
                asked if self.direction == 0 else next((a for a, b in answers.items() if b == asked), asked)
            )
            first, second = asked << 8 | code, answers.get(asked, 0) << 8 | code
        identity = None if connection.protocol in (*REQUESTS, 47) else 0
        return (
            msgspec.structs.replace(original, source_port=identity, destination_port=first if first is not None else identity),
            msgspec.structs.replace(reply, source_port=identity, destination_port=second if first is not None else identity),
        )  # fmt: skip

    def is_first(self) -> bool:
        """Whether the packet begins its connection, so that the nat table is asked."""
        return self.state == NEW or (self.state == RELATED and not self.is_error())

    def is_error(self) -> bool:
        """Whether it is an ICMP message of another packet's connection."""
        return self.protocol in (1, 58) and self.state == RELATED

    def end(self) -> Packet:
        """The packet as it stands here; what is as it was taken for granted stays untold."""
        packet = self.packet
        into, out = self.in_interface or None, self.out_interface or None
        same = not self.touched and self.source is packet.source and not self.connmark and not self.bridged
        if same and (into, out) == (packet.in_interface, packet.out_interface):
            return packet
        facts = {name: getattr(self, name) for name in self.touched if name in _CHANGEABLE}
        given = self.given
        for name, value in facts.items():
            if name not in given and name in DEFAULTS and value == DEFAULTS[name][0]:
                facts[name] = None
        facts["in_interface"], facts["out_interface"] = into, out
        if self.source is not None and "source" not in given:
            facts["source"] = self.source
        if self.connection is not None and self.connmark:
            facts["connmark"] = self.connmark
        if self.bridged:
            facts["physdev_out"] = self.physdev_out
        ended = copy.copy(self.packet)
        for name, value in facts.items():
            msgspec.structs.force_setattr(ended, name, value)
        return ended

    @property
    def bridged(self) -> bool:
        """Whether it came in by a bridge's port."""
        return self.entry == "bridge"


_NAMES = Packet.__struct_fields__
_RARE = (
    "tcp_flags", "icmp_type", "icmp_code", "extension_headers", "pkttype", "priority", "realm", "cpu", "cgroup",
)  # fmt: skip
_CORE = operator.attrgetter(
    "source",
    "destination",
    "protocol",
    "source_port",
    "destination_port",
    "mark",
    "tos",
    "ttl",
    "fragment",
    *_RARE,
)
"""What most packets have, and what is otherwise taken from DEFAULTS; all else is read where it is asked for."""
_CHANGEABLE = frozenset({
    "source", "destination", "source_port", "destination_port", "mark", "tos", "ttl", "mss", "tcp_options", "connmark",
    "priority",
})  # fmt: skip


def _no_ports(state: State) -> bool:
    return (state.protocol is not None and state.protocol not in PORTED) or bool(state.fragment)


def _no_icmp(state: State) -> bool:
    return (state.protocol is not None and state.protocol not in (1, 58)) or bool(state.fragment)


def _no_tcp(state: State) -> bool:
    return (state.protocol is not None and state.protocol != 6) or bool(state.fragment)


def _no_connection(state: State) -> bool:
    return state.connection is None


def _no_socket(state: State) -> bool:
    return not state.socket_exists


_ABSENT: dict[str, Callable[[State], bool]] = {
    "source_port": _no_ports,
    "destination_port": _no_ports,
    "icmp_type": _no_icmp,
    "icmp_code": _no_icmp,
    "tcp_flags": _no_tcp,
    "tcp_options": _no_tcp,
    "mss": _no_tcp,
    "mac": lambda state: not state.frame,
    "uid": _no_socket,
    "gid": _no_socket,
    "cgroup": lambda _: False,
    "spi": lambda state: state.protocol not in (None, 50, 51),
    "dccp_type": lambda state: state.protocol not in (None, 33),
    "mh_type": lambda state: state.protocol not in (None, 135),
    "physdev_in": lambda state: state.physdev_in is None,
    "physdev_out": lambda state: state.physdev_out is None,
} | dict.fromkeys(_CONNECTION, _no_connection)

STATE_WORDS = {
    INVALID: "INVALID", NEW: "NEW", ESTABLISHED: "ESTABLISHED", RELATED: "RELATED", UNTRACKED: "UNTRACKED",
}  # fmt: skip
