"""Conntrack's look at a packet (nf_conntrack_in, net/netfilter/nf_conntrack_core.c): which connection, which state."""

from typing import TYPE_CHECKING

import msgspec

from ruleflow.netfilter import conntrack, tcp_states
from ruleflow.netfilter.conntrack import ESTABLISHED, INVALID, NEW, RELATED, UNTRACKED, Connection, Ends, find
from ruleflow.netfilter.state import State

if TYPE_CHECKING:
    from ruleflow.netfilter.packet import Packet
    from ruleflow.netfilter.walker import Walker

BOTH_SIDES = frozenset({"source", "destination"})
"""NAT is done with both sides of a connection that is known."""


def first_state_of(state: State) -> int:
    """The state of a packet of which the host knows no connection."""
    if conntrack.is_error(state.protocol, state.icmp_type):
        return INVALID
    return conntrack.first_state(state.protocol, state.tcp_flags, state.icmp_type, state.packet.dccp_type)


def look_up(walker: "Walker") -> None:
    """Give the packet its connection: what the caller says, a known one, or a new one."""
    state, given = walker.state, walker.packet
    if given.state is not None:
        _as_given(walker, given.state)
    elif conntrack.is_error(state.protocol, state.icmp_type):
        _error(state, walker.quoted)
    elif not _known(state):
        first = conntrack.first_state(state.protocol, state.tcp_flags, state.icmp_type, given.dccp_type)
        state.set_connection(_fresh(state) if first == NEW else None, first)


def _known(state: State) -> bool:
    found = find(state.connections, state.family, state.protocol, state.ends(), state.icmp_type)
    if found is None:
        return False
    connection, direction = found
    seen = connection.status & conntrack.SEEN_REPLY
    word = ESTABLISHED if direction == 1 or seen else NEW
    if connection.protocol == 6:
        flags = _flags(state)
        if connection.tcp.begins_anew(direction, flags):
            state.connections = tuple(one for one in state.connections if one is not found[0])
            return False
        after = connection.tcp.after(direction, flags) if conntrack.well_formed(flags) else None
        if after is None:
            state.set_connection(None, INVALID)
            return True
        ended = bool(flags & tcp_states.RST) and not seen
        assured = conntrack.ASSURED if seen and after.is_assured(connection.tcp) else 0
        connection = msgspec.structs.replace(
            connection, tcp=after, gone=ended, status=connection.status | assured
        )
    if direction == 1:
        connection = msgspec.structs.replace(connection, status=connection.status | conntrack.SEEN_REPLY)
    state.set_connection(connection, word, direction)
    state.done |= BOTH_SIDES
    return True


def _flags(state: State) -> int:
    return tcp_states.SYN if state.tcp_flags is None else state.tcp_flags


def _fresh(state: State) -> Connection:
    ends = state.ends()
    begun = tcp_states.UNBEGUN.after(0, _flags(state)) if state.protocol == 6 else None
    return Connection(
        family=state.family, protocol=state.protocol, original=ends, reply=ends.turned(),
        mark=state.packet.connmark or 0, tcp=begun or tcp_states.UNBEGUN,
        icmp=conntrack.request_of(state.protocol, state.icmp_type),
    )  # fmt: skip


def _as_given(walker: "Walker", told: int) -> None:
    """The state as the caller says it, with the connection's ends as far as they are given."""
    state, given = walker.state, walker.packet
    if told in (INVALID, UNTRACKED):
        state.untracked = told == UNTRACKED
        state.set_connection(None, told)
        return
    direction = given.ct_direction or 0
    connection = _described(state, given, direction)
    status = connection.status if given.ct_status is None else given.ct_status
    if told == ESTABLISHED:
        status |= conntrack.SEEN_REPLY | conntrack.CONFIRMED
        if given.ct_status is None and not connection.is_translated:
            walker.assumed["the connection is not translated (no addresses of it are given)"] = None
    if told == ESTABLISHED or conntrack.is_error(state.protocol, state.icmp_type):
        state.done |= BOTH_SIDES
    state.set_connection(msgspec.structs.replace(connection, status=status), told, direction)


def _described(state: State, given: "Packet", direction: int) -> Connection:
    ends = state.ends() if direction == 0 else state.ends().turned()
    plain = ends.turned()
    original = Ends(
        _or(given.ct_orig_source, ends.source), _or(given.ct_orig_destination, ends.destination),
        _or(given.ct_orig_source_port, ends.source_port), _or(given.ct_orig_destination_port, ends.destination_port),
    )  # fmt: skip
    reply = Ends(
        _or(given.ct_reply_source, plain.source), _or(given.ct_reply_destination, plain.destination),
        _or(given.ct_reply_source_port, plain.source_port),
        _or(given.ct_reply_destination_port, plain.destination_port),
    )  # fmt: skip
    return Connection(
        family=state.family, protocol=given.ct_protocol or state.protocol, original=original, reply=reply,
        mark=given.connmark or 0, tcp=tcp_states.PICKED_UP,
    ).translated(reply)  # fmt: skip


def _error(state: State, quoted: "Packet | None") -> None:
    """nf_conntrack_inet_error: the packet inside, turned round, leads to the connection."""
    found = None
    if quoted is not None:
        inner = Ends(quoted.source, quoted.destination, quoted.source_port, quoted.destination_port)
        kind = conntrack.turned_type(quoted.protocol, quoted.icmp_type)
        found = find(state.connections, state.family, quoted.protocol, inner.turned(), kind)
    if found is None:
        state.set_connection(None, INVALID)
        return
    state.set_connection(found[0], RELATED, found[1])
    state.done |= BOTH_SIDES


def _or(given: int | None, other: int | None) -> int | None:
    return other if given is None else given
