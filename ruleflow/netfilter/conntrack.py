"""Connections as the kernel tracks them: who belongs together, in which state a packet is, what NAT changed.

States follow net/netfilter/nf_conntrack_proto_{tcp,udp,icmp,icmpv6,dccp,sctp}.c with the settings of a fresh
kernel (tcp_loose 1, tcp_be_liberal 0); sequence numbers and checksums are not part of a packet here.
"""

import functools
from collections.abc import Mapping

import msgspec

from ruleflow.netfilter import tcp_states
from ruleflow.ruleset.fields import STATES, STATUSES

INVALID, NEW, ESTABLISHED = STATES["INVALID"], STATES["NEW"], STATES["ESTABLISHED"]
RELATED, UNTRACKED = STATES["RELATED"], STATES["UNTRACKED"]
SEEN_REPLY, CONFIRMED = STATUSES["SEEN_REPLY"], STATUSES["CONFIRMED"]
ASSURED, SNAT, DNAT = STATUSES["ASSURED"], STATUSES["SNAT"], STATUSES["DNAT"]

ERRORS = {1: frozenset({3, 4, 5, 11, 12}), 58: frozenset({1, 2, 3, 4, 137})}
"""ICMP types that are about another packet (icmp_is_err; ICMPv6 errors and, since 5.19, redirects)."""
REQUESTS = {1: {8: 0, 13: 14, 15: 16, 17: 18}, 58: {128: 129, 139: 140}}
"""ICMP types that begin a connection, each with the type that answers (valid_new, invmap)."""
_ANSWERS = {protocol: frozenset(pairs.values()) for protocol, pairs in REQUESTS.items()}
NEIGHBOUR_TYPES = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
"""ICMPv6 types that conntrack passes over (noct_valid_new: neighbour discovery, multicast listeners)."""

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
_GOOD_FLAGS = frozenset(
    {SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG}
)
"""tcp_valid_flags, with PSH, ECE and CWR left out of account."""


class Ends(msgspec.Struct, frozen=True):
    """One direction of a connection; ports are None where the protocol has none."""

    source: int | None
    destination: int | None
    source_port: int | None = None
    destination_port: int | None = None

    def turned(self) -> "Ends":
        """The same the other way round."""
        return Ends(self.destination, self.source, self.destination_port, self.source_port)


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the connection table: ``original`` as its first packet came, ``reply`` as the answers come.

    ``status`` has the bits of STATUSES; ``by`` names what begun it where it is an expected one.
    """

    family: int
    protocol: int | None
    original: Ends
    reply: Ends
    status: int = 0
    mark: int = 0
    tcp: tcp_states.Tcp = tcp_states.UNBEGUN
    """How far a tcp connection is."""
    icmp: int | None = None
    """The type of the ICMP request that began it: part of what tells connections apart."""
    gone: bool = False
    """The table forgets it: a reset ended it before any answer came, or what it was masqueraded for is no longer its way."""
    masqueraded: str | None = None
    """The interface it was masqueraded for; by another one its packets do not leave (nf_nat_oif_changed)."""

    @property
    def is_translated(self) -> bool:
        """Whether NAT changed an address or a port."""
        return bool(self.status & (SNAT | DNAT))

    def translated(self, reply: Ends) -> "Connection":
        """The same connection whose answers come as ``reply``; the status says what that changes."""
        plain = self.original.turned()
        status = (
            self.status if self.protocol in REQUESTS else self.status & ~(SNAT | DNAT)
        )  # or else its identifier was
        if (reply.source, reply.source_port) != (plain.source, plain.source_port):
            status |= DNAT
        if (reply.destination, reply.destination_port) != (plain.destination, plain.destination_port):
            status |= SNAT
        return msgspec.structs.replace(self, reply=reply, status=status)


def find(
    connections: tuple[Connection, ...],
    family: int,
    protocol: int | None,
    ends: Ends,
    icmp_type: int | None = None,
) -> tuple[Connection, int] | None:
    """The connection that a packet with these ends belongs to, and its direction (0 original, 1 reply).

    An ICMP question and its answer have no ports; their types tell the directions apart.
    """
    answers = icmp_type in _ANSWERS.get(protocol or 0, ())
    asked = request_of(protocol, icmp_type)
    if protocol in REQUESTS:  # of two alike the later one was given another id by NAT
        connections = connections[::-1]
    for connection in connections:
        if (
            connection.family == family
            and connection.protocol == protocol
            and connection.icmp in (None, asked)
        ):
            if connection.original == ends and not answers:
                return connection, 0
            if connection.reply == ends and (icmp_type is None or answers):
                return connection, 1
    return None


def request_of(protocol: int | None, icmp_type: int | None) -> int | None:
    """The ICMP request that a request or an answer belongs to; None for all else."""
    pairs = REQUESTS.get(protocol or 0, {})
    return (
        icmp_type
        if icmp_type in pairs
        else next((ask for ask, told in pairs.items() if told == icmp_type), None)
    )


def turned_type(protocol: int | None, icmp_type: int | None) -> int | None:
    """The type of the ICMP answer to a request, or of the request an answer belongs to (icmp_invert_tuple)."""
    pairs = REQUESTS.get(protocol or 0, {})
    return pairs.get(icmp_type or 0, request_of(protocol, icmp_type))


def remembered(known: tuple[Connection, ...], made: Connection | None) -> tuple[Connection, ...]:
    """The table after a packet of ``made``: the newest first, and only what was confirmed."""
    if made is None or not made.status & CONFIRMED:
        return known
    if made.gone:
        return tuple(one for one in known if not is_same(one, made))
    if any(is_same(one, made) for one in known):
        return tuple(made if is_same(one, made) else one for one in known)
    return (made, *known)


def is_same(one: Connection, other: Connection) -> bool:
    """Whether two values are the same entry of the table at different times."""
    return (one.original, one.protocol, one.family, one.icmp) == (
        other.original, other.protocol, other.family, other.icmp,
    )  # fmt: skip


def clashing(
    connections: tuple[Connection, ...], made: Connection, ranges: Mapping[str, tuple[int, int]]
) -> bool | None:
    """Whether another connection already expects what would be the answers of ``made``.

    None: it depends on what the kernel chooses from the ``ranges`` that the packet's fields have.
    """
    if made.protocol in REQUESTS:
        return False
    found: bool | None = False
    for other in connections:
        if (other.family, other.protocol) == (made.family, made.protocol) and other.original != made.original:
            for ends in (other.original, other.reply):
                if made.reply == ends:
                    return True
                if found is False and _may_be(made.reply, ends, ranges):
                    found = None
    return found


_TURNED = {
    "source": "destination", "destination": "source", "source_port": "destination_port",
    "destination_port": "source_port",
}  # fmt: skip


def _may_be(ends: Ends, other: Ends, ranges: Mapping[str, tuple[int, int]]) -> bool:
    """Whether answers of which a part is only known as a range may be those of ``other``."""
    for name, turned in _TURNED.items():
        mine, its = getattr(ends, name), getattr(other, name)
        if mine is None and turned in ranges and its is not None:
            low, high = ranges[turned]
            if not low <= its <= high:
                return False
        elif mine != its:
            return False
    return True


@functools.lru_cache(maxsize=4096)
def first_state(
    protocol: int | None, tcp_flags: int | None, icmp_type: int | None, dccp_type: int | None = None
) -> int:
    """The state of a packet that belongs to no known connection: NEW, INVALID or (ICMPv6) UNTRACKED."""
    if protocol == 6:
        return _first_tcp(SYN if tcp_flags is None else tcp_flags)
    if protocol == 1:
        return NEW if icmp_type is None or icmp_type in REQUESTS[1] else INVALID
    if protocol == 58:
        if icmp_type in NEIGHBOUR_TYPES:
            return UNTRACKED
        return NEW if icmp_type is None or icmp_type in REQUESTS[58] else INVALID
    if protocol == 33:
        return NEW if dccp_type in (None, 0) else INVALID
    return NEW


def _first_tcp(flags: int) -> int:
    """tcp_new: a SYN begins a connection; a lone ACK picks one up (nf_conntrack_tcp_loose)."""
    begins = well_formed(flags) and tcp_states.UNBEGUN.after(0, flags) is not None
    return NEW if begins else INVALID


def well_formed(flags: int) -> bool:
    """tcp_error: whether a combination of flags may occur at all."""
    return flags & 0x3F & ~PSH in _GOOD_FLAGS


def is_error(protocol: int | None, icmp_type: int | None) -> bool:
    """Whether it is an ICMP message about another packet."""
    return protocol in ERRORS and icmp_type in ERRORS[protocol]
