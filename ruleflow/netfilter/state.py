"""A packet on its way: what conditions read of it at one place, as it stands there after all changes so far."""

from collections.abc import Callable
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

_FIELDS = tuple(name for name in Packet.__struct_fields__ if name not in ("family", "sctp_chunks", "payload"))
_CONNECTION = frozenset(name for name in _FIELDS if name.startswith("ct_")) | {"connmark", "helper"}


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
    physdev_in: str | None = None
    physdev_out: str | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    tcp_options: int | None = None
    state: int | None = INVALID
    mark: int | None = 0
    connmark: int | None = None
    tos: int | None = 0
    ttl: int | None = 64
    fragment: int | None = 0
    tcp_flags: int | None = None
    socket_exists: int | None = None
    mac: int | None = None
    uid: int | None = None
    gid: int | None = None

    def __init__(self, machine: Machine, packet: Packet, connections: tuple[Connection, ...], entry: str) -> None:
        self.machine, self.packet, self.connections, self.entry = machine, packet, connections, entry
        self.family = packet.family
        self.given: set[str] = set()
        for name in _FIELDS:
            value = getattr(packet, name)
            if value is not None:
                self.given.add(name)
                if name not in _CONNECTION and name != "state":
                    setattr(self, name, value)
        for name, (value, _) in DEFAULTS.items():
            if name not in self.given and name != "connmark":
                setattr(self, name, value)
        self.in_interface = self.out_interface = ""
        if self.protocol in (1, 58) and packet.icmp_type is None:
            self.icmp_type, self.icmp_code = (8 if self.protocol == 1 else 128), 0
        elif self.protocol in (1, 58) and packet.icmp_code is None:
            self.icmp_code = 0
        if self.protocol != 6:
            self.tcp_flags = None
        local = entry == "local"
        self.socket_exists = 1 if local else 0
        self.frame = not local and packet.in_interface != "lo"
        self.arrived: str | None = packet.in_interface
        self.bridged = entry == "bridge"
        self.connection: Connection | None = None
        self.direction = 0
        self.untracked = False
        self.tracked = False
        self.done: set[str] = set()
        self.ranges: dict[str, tuple[int, int]] = {}
        self.looked: dict[str, None] = {}
        self.assumed: dict[str, None] = {}
        self.version = 0

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
            asked = asked if self.direction == 0 else next((a for a, b in answers.items() if b == asked), asked)
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
        """The packet as it stands here."""
        facts = {name: getattr(self, name, None) for name in _CHANGEABLE}
        facts["in_interface"] = self.in_interface or None
        facts["out_interface"] = self.out_interface or None
        facts["connmark"] = getattr(self, "connmark", None)
        if self.connection is None and "connmark" not in self.given:
            facts["connmark"] = None
        for name in ("mark", "tos", "ttl", "connmark"):
            if name not in self.given and facts[name] == DEFAULTS[name][0]:
                facts[name] = None
        return self.packet.with_(**facts)


_CHANGEABLE = (
    "source", "destination", "source_port", "destination_port", "mark", "tos", "ttl", "physdev_in", "physdev_out",
    "mss", "tcp_options",
)  # fmt: skip


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
    "cgroup": lambda state: False,
    "spi": lambda state: state.protocol not in (None, 50, 51),
    "dccp_type": lambda state: state.protocol not in (None, 33),
    "mh_type": lambda state: state.protocol not in (None, 135),
    "physdev_in": lambda state: state.physdev_in is None,
    "physdev_out": lambda state: state.physdev_out is None,
} | {name: _no_connection for name in _CONNECTION}

STATE_WORDS = {
    INVALID: "INVALID", NEW: "NEW", ESTABLISHED: "ESTABLISHED", RELATED: "RELATED", UNTRACKED: "UNTRACKED",
}  # fmt: skip
