"""Network address translation of a connection's first packet: which address and port it gets.

nf_nat_setup_info and get_unique_tuple (net/netfilter/nf_nat_core.c), nf_nat_masquerade.c, nf_nat_redirect.c,
xt_NETMAP.c. What the kernel takes from a hash or by chance is a range here: comparing with it is membership.
"""

import msgspec

from ruleflow.netfilter.conntrack import DNAT, REQUESTS, SNAT, Connection, Ends, find, turned_type
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.source_address import masquerade
from ruleflow.netfilter.state import State
from ruleflow.netfilter.steps import Change
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.protocols import PORTED

SIDE = {"PREROUTING": "destination", "OUTPUT": "destination", "POSTROUTING": "source", "INPUT": "source"}
"""What NAT may change at a hook (HOOK2MANIP, include/net/netfilter/nf_nat.h)."""


ATTEMPTS = 128
"""How many ports are tried at most (NF_NAT_MAX_ATTEMPTS), before it starts again elsewhere."""


class NoAddressError(Exception):
    """The interface has no address to give, so the kernel drops the packet."""


class Span(msgspec.Struct, frozen=True):
    """A value known exactly (``low`` equals ``high``), as one of a range, or not at all (both None)."""

    low: int | None
    high: int | None

    @property
    def exact(self) -> int | None:
        """The value, where only one is possible."""
        return self.low if self.low == self.high else None


def rewrite(
    state: State, hook: str, what: Rewrite, nexthop: int | None, out: str | None
) -> tuple[Change, ...]:
    """Translate the packet and its connection by a rule of the nat table; what changed.

    Raises `NoAddressError` where MASQUERADE or REDIRECT find no address.
    """
    side = SIDE[hook] if what.what == "hook" else what.what
    assert state.connection is not None
    address = _settled(state, side, _address(state, hook, side, what, nexthop, out))
    kept = _kept(state, what, address) if side == "source" else None
    address, port = kept if kept is not None else (address, _port(state, side, what, address))
    before = state.ends()
    changes = (*_put(state, side, address), *_put(state, f"{side}_port", port))
    made = _renumbered(_connected(state.connection, side, before, state.ends()), state, side, what)
    masqueraded = what.address_of_interface and side == "source"
    state.connection = msgspec.structs.replace(made, masqueraded=out) if masqueraded else made
    return changes


def asked_by_answer(
    state: State, hook: str, what: Rewrite, nexthop: int | None, out: str | None
) -> Connection:
    """The connection whose first packet was refused, when the reset about it meets a rule that rewrites its source.

    The packet stays as it is, but the connection counts as translated where its source is none that the rule allows.
    """
    connection = state.connection
    assert connection is not None
    source, port = connection.reply.destination, connection.reply.destination_port
    side = SIDE[hook] if what.what == "hook" else what.what
    try:
        address = _address(state, hook, side, what, nexthop, out)
    except NoAddressError:
        return connection
    stays = (
        source is not None
        and _in_range(source, port, what, address)
        and not (what.random or what.fully_random)
    )
    return connection if stays else msgspec.structs.replace(connection, status=connection.status | SNAT)


def _renumbered(made: Connection, state: State, side: str, what: Rewrite) -> Connection:
    """A ping whose identifier is chosen by chance, or taken by another one, counts as translated."""
    if state.protocol not in REQUESTS:
        return made
    taken = find(
        state.connections,
        state.family,
        state.protocol,
        made.reply,
        turned_type(state.protocol, state.icmp_type),
    )
    if not (what.random or what.fully_random or taken):
        return made
    return msgspec.structs.replace(made, status=made.status | (DNAT if side == "destination" else SNAT))


def _kept(state: State, what: Rewrite, address: Span | None) -> tuple[Span, Span | None] | None:
    """get_unique_tuple's first tries: the source as it is, or as another connection of it was translated."""
    if what.random or what.fully_random or state.source is None or state.protocol not in PORTED:
        return None
    if _in_range(state.source, state.source_port, what, address):
        if not _clashes(state, None, state.source_port):
            return Span(state.source, state.source), None
        return None
    for other in state.connections:
        known = other.original
        if (other.protocol, known.source, known.source_port) != (
            state.protocol,
            state.source,
            state.source_port,
        ):
            continue
        source, port = other.reply.destination, other.reply.destination_port
        if source is not None and _in_range(source, port, what, address):
            span = Span(source, source)
            return (span, Span(port, port)) if not _clashes(state, span, port) else None
    return None


def _in_range(source: int, port: int | None, what: Rewrite, address: Span | None) -> bool:
    """nf_in_range."""
    if address is not None and not (
        address.low is not None and address.high is not None and address.low <= source <= address.high
    ):
        return False
    if what.port_low is None or what.port_high is None:
        return True
    return port is not None and what.port_low <= port <= what.port_high


def _connected(connection: Connection, side: str, before: Ends, after: Ends) -> Connection:
    """The connection whose answers come from (or go to) the new address."""
    if before == after:
        return connection
    reply = connection.reply
    if side == "destination":
        turned = msgspec.structs.replace(reply, source=after.destination, source_port=after.destination_port)
    else:
        turned = msgspec.structs.replace(reply, destination=after.source, destination_port=after.source_port)
    return connection.translated(turned)


def _put(state: State, name: str, span: Span | None) -> tuple[Change, ...]:
    if span is None:
        return ()
    old = getattr(state, name)
    new = span.exact if span.exact is not None else _chosen(state, name, span)
    if new is not None and new == old:
        return ()
    state.change(name, new)
    if new is None and span.low is not None and span.high is not None:
        state.ranges[name] = (span.low, span.high)
    return (Change(name, old, new, span.low, span.high),)


def _settled(state: State, name: str, span: Span | None) -> Span | None:
    """The address that the kernel was seen to choose from a range: which port is free hangs on it."""
    value = None if span is None or span.exact is not None else _chosen(state, name, span)
    return span if value is None else Span(value, value)


def _chosen(state: State, name: str, span: Span) -> int | None:
    """What the kernel was seen to choose, where it may."""
    value = state.chosen.get(name)
    inside = (
        value is not None
        and (span.low is None or span.low <= value)
        and (span.high is None or value <= span.high)
    )
    return value if inside else None


def _address(
    state: State, hook: str, side: str, what: Rewrite, nexthop: int | None, out: str | None
) -> Span | None:
    if what.address_of_interface:
        return _of_interface(state, hook, side, nexthop, out)
    if what.low is None:
        return None
    if what.netmask is not None:
        old = getattr(state, side)
        if old is None:
            return Span(what.low, what.high)
        new = (what.low & what.netmask) | (
            old & ~what.netmask & ((1 << (32 if state.family == 4 else 128)) - 1)
        )
        return Span(new, new)
    return Span(what.low, what.high if what.high is not None else what.low)


def _of_interface(state: State, hook: str, side: str, nexthop: int | None, out: str | None) -> Span:
    """MASQUERADE: as routing would choose; REDIRECT: the arriving interface's first address, loopback in OUTPUT."""
    host = state.machine.host
    if side == "destination":
        found = _loopback(state.family) if hook == "OUTPUT" else _redirect(state, host)
    else:
        link = host.interface(out)
        if link is None or not any(one.addresses for one in host.interfaces if one.name != "lo"):
            state.assumed[f"the address of {out or 'the interface it leaves by'} is not known"] = None
            return Span(None, None)
        found = masquerade(host, link.name, nexthop or 0, state.destination or 0, state.family)
    if found is None:
        if side == "destination" and not any(one.addresses for one in host.interfaces if one.name != "lo"):
            state.assumed[f"the address of {state.arrived} is not known"] = None
            return Span(None, None)
        raise NoAddressError
    return Span(found, found)


def _loopback(family: int) -> int:
    return 0x7F000001 if family == 4 else 1


def _redirect(state: State, host: Host) -> int | None:
    """nf_nat_redirect_ipv4: the first primary address; _ipv6: the first of the destination's scope."""
    link = host.interface(state.arrived)
    for one in link.addresses if link else ():
        if one.family != state.family or "secondary" in one.flags or "tentative" in one.flags:
            continue
        if one.family == 4 or _scope(one.address) == _scope(state.destination or 0):
            return one.address
    return None


def _scope(address: int) -> str:
    return (
        "link" if address >> 118 == 0x3FA or address == 1 else "site" if address >> 118 == 0x3FB else "global"
    )


def _port(state: State, side: str, what: Rewrite, address: Span | None) -> Span | None:
    """nf_nat_l4proto_unique_tuple: the port is kept where it may be kept."""
    old: int | None = getattr(state, f"{side}_port")
    if old is None and f"{side}_port" not in state.ranges and what.port_low is None:
        return None
    low, high = what.port_low, what.port_high if what.port_high is not None else what.port_low
    chance = what.random or what.fully_random
    if low is None or high is None:
        if side == "destination":
            return None
        return _group(old) if chance or _clashes(state, address, old) else None
    fits = old is not None and low <= old <= high and not chance and what.port_base is None
    if old is not None and fits and (low == high or not _taken(state, side, address, old)):
        return Span(old, old)
    if what.port_base is not None and old is not None:
        return _first_free(state, side, address, (low, high), (old - what.port_base) % 65536)
    if side == "destination" and not chance:
        return _first_free(state, side, address, (low, high), 0)
    return _any_free(state, side, address, (low, high))


def _first_free(state: State, side: str, address: Span | None, ports: tuple[int, int], start: int) -> Span:
    """The first port from ``start`` on that is free; the last one tried where none is."""
    size = ports[1] - ports[0] + 1
    tried = [ports[0] + (start + at) % size for at in range(min(size, ATTEMPTS))]
    free = next((port for port in tried if not _taken(state, side, address, port)), tried[-1])
    return Span(free, free)


def _any_free(state: State, side: str, address: Span | None, ports: tuple[int, int]) -> Span:
    """One of the free ports by chance; where the range is small, they are looked for."""
    if ports[1] - ports[0] >= ATTEMPTS:
        return Span(*ports)
    free = [port for port in range(ports[0], ports[1] + 1) if not _taken(state, side, address, port)]
    return Span(free[0], free[-1]) if free else Span(ports[1], ports[1])


def _taken(state: State, side: str, address: Span | None, port: int) -> bool:
    """nf_nat_used_tuple: whether another connection has these answers already."""
    if side == "source":
        return _clashes(state, address, port)
    to = state.destination if address is None else address.exact
    answers = Ends(to, state.source, port, state.source_port)
    return find(state.connections, state.family, state.protocol, answers) is not None


def _group(port: int | None) -> Span:
    """Ports below 512 stay there, those below 1024 too."""
    if port is None:
        return Span(None, None)
    return Span(1, 511) if port < 512 else Span(600, 1023) if port < 1024 else Span(1024, 65535)


def _clashes(state: State, address: Span | None, port: int | None) -> bool:
    """nf_nat_used_tuple: whether the answers of a known connection would come the same way."""
    source = state.source if address is None else address.exact
    answers = Ends(state.destination, source, state.destination_port, port)
    return find(state.connections, state.family, state.protocol, answers) is not None


def make_unique(state: State) -> None:
    """nf_nat_alloc_null_binding: no rule rewrote the source, but its port may be taken by another connection."""
    if state.source_port is None or not _clashes(state, None, state.source_port):
        return
    assert state.connection is not None
    before = state.ends()
    _put(state, "source_port", _group(state.source_port))
    state.connection = _connected(state.connection, "source", before, state.ends())


def untranslate(state: State, hook: str) -> tuple[Change, ...]:
    """Change a packet as its connection demands at a hook (nf_nat_packet); what changed.

    In the reply's direction the bits stand for the other side: what DNAT did to the destination, the reply
    undoes to its source.
    """
    connection = state.connection
    if connection is None or not connection.is_translated:
        return ()
    side = SIDE[hook]
    other = connection.reply if state.direction == 0 else connection.original
    target = other.turned()
    address = target.destination if side == "destination" else target.source
    port = target.destination_port if side == "destination" else target.source_port
    changes = []
    for name, value in ((side, address), (f"{side}_port", port)):
        old = getattr(state, name)
        if old != value and value is not None and not (name.endswith("port") and state.is_error()):
            state.change(name, value)
            changes.append(Change(name, old, value))
    return tuple(changes)
