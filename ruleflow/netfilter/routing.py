"""The routing decision as the kernel makes it, for packets that arrive and for packets this host sends.

IPv4: ip_route_output_key_hash_rcu, ip_route_input_slow (net/ipv4/route.c). IPv6: ip6_route_output_flags,
ip6_route_input (net/ipv6/route.c), ip6_rcv_core (net/ipv6/ip6_input.c), ip6_forward (net/ipv6/ip6_output.c).
"""

from typing import Any

import msgspec

from ruleflow.netfilter.fib import Flow, Found, lookup
from ruleflow.netfilter.host import Host, Nexthop, PolicyRule, Route
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.reverse_path import Arrival, validate_source
from ruleflow.netfilter.source_address import for_route, select_four


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Where a packet goes.

    ``kind``: ``local`` (for this host), ``unicast`` (out by ``interface``, to ``gateway`` if there is one),
    ``broadcast``, ``multicast``, ``anycast``; or, with ``error`` (errno's name): ``unreachable``, ``prohibit``,
    ``blackhole``, ``no-route``, ``not-forwarding``, ``martian-source``, ``martian-destination``, ``invalid``;
    or ``unknown``, with what is ``missing``. ``source`` is the address a packet of this host would be given.
    ``alternatives`` are all next hops of a multipath route. ``sentence`` says it to a person.
    """

    kind: str
    family: int
    destination: int
    interface: str | None = None
    gateway: int | None = None
    gateway_family: int = 4
    source: int | None = None
    route: Route | None = None
    rule: PolicyRule | None = None
    alternatives: tuple[Nexthop, ...] = ()
    error: str | None = None
    sentence: str = ""
    missing: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def delivers(self) -> bool:
        """Whether the packet goes to this host's own sockets."""
        return self.kind in ("local", "broadcast", "multicast", "anycast")

    @property
    def nexthop(self) -> int:
        """Whom the frame is sent to: the gateway, or else the destination itself (rt_nexthop)."""
        return self.destination if self.gateway is None else self.gateway


def route(
    host: Host,
    destination: int,
    *,
    family: int,
    source: int | None = None,
    iif: str | None = None,
    oif: str | None = None,
    mark: int = 0,
    uid: int | None = None,
    protocol: int | None = None,
    source_port: int | None = None,
    destination_port: int | None = None,
    tos: int = 0,
    any_source: bool = False,
) -> Decision:
    """The decision for a packet to ``destination``: arrived on ``iif``, or sent by this host where it is None.

    ``any_source`` leaves the source of a sent packet unchecked (FLOWI_FLAG_ANYSRC: rerouting after NAT); IPv6 checks what arrives
    before any hook, so that NAT may make addresses that may not arrive.
    Nothing is raised: what is not known gives the kind ``unknown``.
    """
    flow = Flow(
        family=family, destination=destination, source=source, iif=iif, oif=oif, mark=mark, uid=uid,
        protocol=protocol, source_port=source_port, destination_port=destination_port, tos=tos,
    )  # fmt: skip
    if host.routes is None:
        what = f"the routing tables of {host.name} are not known"
        return _told(flow, "unknown", what, missing=("the routing tables (ip route show table all)",))
    decide = (
        (_out_four if family == 4 else _out_six) if iif is None else (_in_four if family == 4 else _in_six)
    )
    decision = decide(host, flow, any_source)
    if host.rules is None:
        note = "the routing policy (ip rule) is not known: taken as the kernel's default"
        decision = msgspec.structs.replace(decision, assumed=(*decision.assumed, note))
    return decision


LIMITED_BROADCAST = 0xFFFFFFFF


def is_multicast(address: int, family: int) -> bool:
    """224.0.0.0/4 and ff00::/8."""
    return address >> 28 == 14 if family == 4 else address >> 120 == 0xFF


def is_loopback(address: int, family: int) -> bool:
    """127.0.0.0/8 and ::1."""
    return address >> 24 == 127 if family == 4 else address == 1


def arrival_fault(destination: int, source: int, family: int, interface: str) -> str | None:
    """Why a packet is dropped as it arrives, before any hook sees it; None: it is not.

    IPv6 only (ip6_rcv_core): IPv4's martians are found later, when the packet is routed.
    """
    if family == 4:
        return None
    if interface != "lo" and 1 in (source, destination):
        return "::1 never arrives over a wire (RFC 4291 §2.5.3)"
    if is_multicast(source, 6):
        return "a multicast address is no source (RFC 4291 §2.7)"
    if is_multicast(destination, 6) and destination >> 112 & 0xF in (0, 1) and interface != "lo":
        return "multicast of node scope never arrives over a wire (RFC 4291 §2.7)"
    return "an IPv4-mapped source never travels" if source >> 32 == 0xFFFF else None


# --- packets this host sends -------------------------------------------------------------------------------


def _out_four(host: Host, flow: Flow, any_source: bool) -> Decision:
    refused = _source_refused(host, flow, any_source)
    if refused:
        return _told(flow, "invalid", refused, error="EINVAL")
    whose = None
    if flow.oif is None and flow.source and _is_for_many(flow.destination):
        # "Special hack: user can direct multicasts and limited broadcast via necessary interface": the source's
        whose = next((link.name for link, own in host.addresses(4) if own.address == flow.source), None)
        flow = msgspec.structs.replace(flow, oif=whose)
    out = host.interface(flow.oif)
    if flow.oif is not None and (out is None or not out.is_up):
        return _told(flow, "no-route", f"{flow.oif} is not there or not up", error="ENETUNREACH")
    if flow.oif is not None and _is_for_many(flow.destination):
        if whose is not None or _stays_on_link(flow):
            chosen = flow.source or select_four(host, flow.oif, 0, "link")
            told = f"{_to(flow)} leaves by {flow.oif}"
            return _told(flow, _kind_for_many(flow), told, interface=flow.oif, source=chosen)
        chosen = flow.source or select_four(host, flow.oif, 0, "global")
        flow = msgspec.structs.replace(flow, source=chosen)
    found = lookup(host, flow)
    if found.error and flow.oif is not None:
        # "Apparently, routing tables are wrong. Assume, that the destination is on link."
        chosen = flow.source or select_four(host, flow.oif, 0, "link")
        what = f"no route to {_to(flow)}; taken as directly connected to {flow.oif}"
        there = _told(flow, "unicast", what, interface=flow.oif, source=chosen, assumed=found.assumed)
        return _for_many(flow, there)
    return _checked_loopback(host, flow, _for_many(flow, _from_found(host, flow, found)))


def _is_for_many(destination: int) -> bool:
    return is_multicast(destination, 4) or destination == LIMITED_BROADCAST


def _kind_for_many(flow: Flow) -> str:
    return "multicast" if is_multicast(flow.destination, 4) else "broadcast"


def _stays_on_link(flow: Flow) -> bool:
    """224.0.0.0/24, the limited broadcast and IGMP leave by the interface that is asked for, whatever the tables say."""
    return flow.destination >> 8 == 0xE00000 or flow.destination == LIMITED_BROADCAST or flow.protocol == 2


def _for_many(flow: Flow, decision: Decision) -> Decision:
    """__mkoutput: what is for many has no gateway where it is broadcast, or goes by the default route."""
    if decision.error or not _is_for_many(flow.destination) or decision.interface == "lo":
        return decision
    kind, length = _kind_for_many(flow), decision.route.length if decision.route is not None else 0
    if kind == "multicast" and length >= 4:
        return msgspec.structs.replace(decision, kind=kind)
    hops = tuple(msgspec.structs.replace(hop, gateway=None) for hop in decision.alternatives)
    told = f"{_to(flow)} leaves by {decision.interface}"
    return msgspec.structs.replace(decision, kind=kind, gateway=None, alternatives=hops, sentence=told)


def _source_refused(host: Host, flow: Flow, any_source: bool) -> str | None:
    """The first checks of ip_route_output_key_hash_rcu."""
    source = flow.source
    if not source:
        return None
    if is_multicast(source, 4) or source == LIMITED_BROADCAST:
        return f"{address_text(source, 4)} is no source address"
    if not any_source and not _is_own(host, source):
        return f"{address_text(source, 4)} is no address of {host.name}"
    return None


def _is_own(host: Host, address: int) -> bool:
    """__ip_dev_find: an interface has it, or else the LOCAL table says local (127.0.0.2)."""
    if host.owns(address, 4):
        return True
    return any(
        one.kind == "local" and one.family == 4 and one.table == "local"
        and address >> (32 - one.length) == one.destination >> (32 - one.length)
        for one in host.routes or ()
    )  # fmt: skip


def _checked_loopback(host: Host, flow: Flow, decision: Decision) -> Decision:
    """__mkoutput: a packet from 127/8 leaves by an interface with route_localnet only."""
    out = decision.interface
    if decision.error or out is None or decision.source is None or out == "lo":
        return decision
    if flow.destination == 0:
        return _told(flow, "invalid", "0.0.0.0 is no destination", error="EINVAL")
    if is_loopback(decision.source, 4) and not host.route_localnet(out):
        what = f"a packet from 127/8 does not leave by {out}: route_localnet is off there"
        assumed = (*decision.assumed, *_localnet_assumed(host, out))
        return _told(
            flow, "invalid", what, error="EINVAL", route=decision.route, rule=decision.rule, assumed=assumed
        )
    return decision


def _localnet_assumed(host: Host, interface: str) -> tuple[str, ...]:
    known = host.route_localnet(interface) is not None
    return () if known else (f"route_localnet of {interface} is not known: taken as 0",)


def _out_six(host: Host, flow: Flow, _: bool) -> Decision:
    return _from_found(host, flow, lookup(host, flow))


# --- packets that arrive -----------------------------------------------------------------------------------


def _in_four(host: Host, flow: Flow, _: bool) -> Decision:
    source, destination, iif = flow.source or 0, flow.destination, flow.iif or ""
    martian = _martian(host, source, destination, iif)
    if martian:
        loopback = is_loopback(source, 4) or is_loopback(destination, 4)
        assumed = _localnet_assumed(host, iif) if loopback else ()
        return _told(flow, martian[0], martian[1], error="EINVAL", assumed=assumed)
    if destination == LIMITED_BROADCAST or (source == 0 and destination == 0):
        return _broadcast(host, flow, None)
    if is_multicast(destination, 4):
        return _multicast(flow)
    found = lookup(host, msgspec.structs.replace(flow, oif=None, uid=0))
    forwards = host.forwards(4, iif)
    if found.error:
        return _refusal(flow, found) if forwards else _not_forwarding(host, flow, found)
    if found.route is not None and found.route.kind == "broadcast":
        return _broadcast(host, flow, found)
    return _validated(host, flow, found, forwards)


def _martian(host: Host, source: int, destination: int, iif: str) -> tuple[str, str] | None:
    """The checks of ip_route_input_slow that need no table."""
    if is_multicast(source, 4) or source == LIMITED_BROADCAST:
        return "martian-source", f"{address_text(source, 4)} is no source address"
    if destination == LIMITED_BROADCAST or (source == 0 and destination == 0):
        return None
    if source == 0 or destination == 0:
        return f"martian-{'source' if source == 0 else 'destination'}", "0.0.0.0 does not travel"
    for kind, address in (("destination", destination), ("source", source)):
        if is_loopback(address, 4) and iif != "lo":
            if host.route_localnet(iif):
                return None
            what = f"{address_text(address, 4)} does not arrive on {iif}: route_localnet is off there"
            return f"martian-{kind}", what
    return None


def _validated(host: Host, flow: Flow, found: Found, forwards: bool | None) -> Decision:
    """Local delivery or forwarding, if the source is believed (fib_validate_source)."""
    assert found.route is not None
    local = found.route.kind == "local"
    if not local and forwards is False:
        return _not_forwarding(host, flow, found)
    if not local and found.route.kind != "unicast":
        return _told(flow, "martian-destination", f"{_to(flow)} is not to be forwarded", error="EINVAL")
    decision = _from_found(host, flow, found)
    out = None if local else decision.interface
    check = validate_source(host, _arrival(flow, flow.destination, out))
    assumed = (*decision.assumed, *check.assumed, *(() if local or forwards else _FORWARDING_ASSUMED))
    if check.fault:
        return _told(flow, "martian-source", check.fault, error=check.error, assumed=assumed)
    return msgspec.structs.replace(decision, assumed=assumed)


def _arrival(flow: Flow, destination: int, out: str | None) -> Arrival:
    return Arrival(
        source=flow.source or 0,
        destination=destination,
        iif=flow.iif or "",
        out=out,
        mark=flow.mark,
        tos=flow.tos,
    )


_FORWARDING_ASSUMED = ("whether packets are forwarded (ip_forward) is not known: taken as on",)


def _not_forwarding(host: Host, flow: Flow, found: Found) -> Decision:
    what = f"{_to(flow)} is not for {host.name}, which does not forward what arrives on {flow.iif}"
    return _told(flow, "not-forwarding", what, error="EHOSTUNREACH", route=found.route, rule=found.rule)


def _broadcast(host: Host, flow: Flow, found: Found | None) -> Decision:
    """brd_input: for this host, if the source is believed."""
    if flow.source:
        check = validate_source(host, _arrival(flow, 0, None))
        if check.fault:
            return _told(flow, "martian-source", check.fault, error=check.error, assumed=check.assumed)
    route_, rule = (found.route, found.rule) if found else (None, None)
    what = f"{_to(flow)} is a broadcast, for this host too"
    return _told(flow, "broadcast", what, interface="lo", route=route_, rule=rule)


def _multicast(flow: Flow) -> Decision:
    """ip_check_mc_rcu: who joined which group is not in a snapshot; 224.0.0.1 is joined by all."""
    if flow.destination == 0xE0000001:
        return _told(flow, "multicast", "224.0.0.1 is every host, this one too")
    what = f"whether a process here has joined {_to(flow)} is not known"
    return _told(flow, "unknown", what, missing=("the multicast groups joined (ip maddr)",))


def _in_six(host: Host, flow: Flow, any_source: bool) -> Decision:
    fault = arrival_fault(flow.destination, flow.source or 0, 6, flow.iif or "")
    if fault and not any_source:
        return _told(flow, "martian-source", fault, error="EINVAL")
    found = lookup(host, msgspec.structs.replace(flow, oif=None, uid=0))
    decision = _from_found(host, flow, found)
    if decision.kind != "unicast":
        return decision
    forwards = host.forwards(6, flow.iif)
    if forwards is False:
        return _not_forwarding(host, flow, found)
    link_local = (flow.source or 0) >> 118 == 0x3FA
    if link_local and decision.interface != flow.iif:
        what = "a link-local source is not forwarded (ip6_forward)"
        return _told(flow, "unreachable", what, error="ENOTUNIQ", route=found.route, rule=found.rule)
    assumed = decision.assumed if forwards else (*decision.assumed, *_FORWARDING_ASSUMED)
    return msgspec.structs.replace(decision, assumed=assumed)


# --- what a lookup means -----------------------------------------------------------------------------------


def _from_found(host: Host, flow: Flow, found: Found) -> Decision:
    if found.error or found.route is None:
        return _refusal(flow, found)
    hop = found.hops[0] if found.hops else Nexthop()
    kind = found.route.kind
    home = kind == "local" or (kind == "anycast" and flow.family == 6)
    source = flow.source or for_route(host, flow, found)
    out = "lo" if home else hop.interface
    return _told(
        flow, kind, _sentence(flow, found, hop), interface=out, gateway=hop.gateway,
        gateway_family=hop.gateway_family, source=source, route=found.route, rule=found.rule,
        alternatives=found.hops if len(found.hops) > 1 else (), assumed=found.assumed,
    )  # fmt: skip


def _refusal(flow: Flow, found: Found) -> Decision:
    if found.route is not None:
        kind, why = found.route.kind, f"the route {found.route} of table {found.route.table}"
    elif found.rule is not None:
        kind, why = found.rule.action, f"ip rule {found.rule}"
    else:
        kind, why = "no-route", "no route matches"
    what = f"{_to(flow)} is not reached: {why}"
    return _told(
        flow, kind, what, error=found.error or "ENETUNREACH", route=found.route, rule=found.rule,
        assumed=found.assumed,
    )  # fmt: skip


def _sentence(flow: Flow, found: Found, hop: Nexthop) -> str:
    assert found.route is not None
    by = f"the route {found.route} of table {found.route.table}"
    if found.route.kind != "unicast":
        return f"{_to(flow)} is {_KINDS.get(found.route.kind, found.route.kind)}, by {by}"
    via = f" to {address_text(hop.gateway, hop.gateway_family)}" if hop.gateway is not None else ""
    return f"{_to(flow)} goes out by {hop.interface}{via}, by {by}"


_KINDS = {
    "local": "this host",
    "broadcast": "a broadcast",
    "multicast": "multicast",
    "anycast": "this host (anycast)",
}


def _to(flow: Flow) -> str:
    return address_text(flow.destination, flow.family)


def _told(flow: Flow, kind: str, sentence: str, **facts: Any) -> Decision:
    return Decision(kind=kind, family=flow.family, destination=flow.destination, sentence=sentence, **facts)
