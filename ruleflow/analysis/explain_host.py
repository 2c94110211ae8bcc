"""A host told in sentences, from the bottom up: interfaces, bridges and who is plugged in, routes, switches, then its rules.

It begins from what ``ping`` needs, so that a reader who knows no iptables sees what the rules stand between.
"""

from collections import defaultdict
from collections.abc import Iterator

import ruleflow
from ruleflow.analysis.explain import SCHEMA, explain
from ruleflow.analysis.explanation import Explanation, HostLine, HostPart
from ruleflow.analysis.spans import Spans
from ruleflow.netfilter.host import Address, Host, Interface, Nexthop, Relay, Route
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.stacked import Stacked
from ruleflow.netfilter.world import World
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.parse import parse

_FILES = {
    (4, "nft"): "iptables.save",
    (6, "nft"): "ip6tables.save",
    (4, "legacy"): "iptables-legacy.save",
    (6, "legacy"): "ip6tables-legacy.save",
}


def explain_host(world: World, source: str, *, family: int | None = None, spans: bool = False) -> Explanation:
    """The machine's own namespace with what is joined to it, and its rule sets of both families.

    ``source`` is the directory's name, for the places of rules; ``family`` 4 or 6 tells the rules of one only. Raises `RuleflowError` for rules that cannot be read.
    """
    documents = [_document(world.main, key, source) for key in _FILES if family in (None, key[0])]
    told = [
        explain(document, spans=spans) for document in documents if document is not None and document.rulesets
    ]
    return Explanation(
        SCHEMA,
        ruleflow.__version__,
        tuple(one for explanation in told for one in explanation.rulesets),
        tuple(warning for explanation in told for warning in explanation.warnings),
        tuple(parts(world)),
    )


def _document(host: Host, key: tuple[int, str], source: str) -> Document | None:
    text = next((dump.text for dump in host.dumps if (dump.family, dump.backend) == key), None)
    return (
        parse(text, source=f"{source.rstrip('/')}/{_FILES[key]}", family=key[0], lenient=True)
        if text is not None
        else None
    )


def sources(world: World, source: str) -> dict[str, Spans]:
    """The lines of the host's dumps, by the names under which they are told."""
    return {
        f"{source.rstrip('/')}/{_FILES[dump.family, dump.backend]}": Spans(dump.text)
        for dump in world.main.dumps
    }


def parts(world: World) -> Iterator[HostPart]:
    """The parts of a host in the order in which one builds it; those that are not known are left out."""
    host = world.main
    yield HostPart(
        "Interfaces",
        "what this host is connected by; the number behind @ is that of the other end",
        tuple(_interfaces(world)),
    )
    others = tuple(line for other in world.hosts[1:] for line in _namespace(world, other))
    if others:
        yield HostPart(
            "Namespaces", "the other ends: each has interfaces, addresses and routes of its own", others
        )
    bridges = [link for link in host.interfaces if link.kind == "bridge"]
    if bridges:
        about = "each passes frames between what is plugged in, by the link-layer addresses it has learned"
        yield HostPart("Bridges", about, tuple(line for bridge in bridges for line in _bridge(world, bridge)))
    if host.routes is not None:
        local = tuple(_local(host))
        yield HostPart(
            "LOCAL table",
            "what counts as this host: packets to these addresses go to INPUT, and rules that ask for an address of this host mean these",
            local,
        )
        about = "where everything else goes, the longest prefix that fits first; directly: to a neighbour on that link, found by ARP (IPv6: neighbour discovery)"
        yield HostPart("MAIN table", about, tuple(_main(host)))
        tables = tuple(_other_tables(host))
        if tables:
            yield HostPart("Other tables", "asked only where a policy rule says so", tables)
    if host.rules:
        odd = tuple(_policy(host))
        if odd:
            yield HostPart("Policy rules", "which table is asked, beside LOCAL first and MAIN after it", odd)
    switches = tuple(_switches(host))
    if switches:
        yield HostPart("Switches", "settings of the kernel that decide whether packets pass at all", switches)
    if host.relays:
        yield HostPart(
            "Relays",
            "programs that take connections and open their own to a container",
            tuple(_relay(one) for one in host.relays),
        )
    unknown = (*world.unknown, *host.unknown, *host.assumed)
    if unknown:
        yield HostPart("Not known", "", tuple(HostLine("", text) for text in unknown))


# -- interfaces -------------------------------------------------------------------------------------------


def _interfaces(world: World) -> Iterator[HostLine]:
    for link in world.main.interfaces:
        yield HostLine(_named(link), ", ".join(_about(world, link)))


def _named(link: Interface) -> str:
    """``14: veth1@if15``, as ip link says it."""
    other = f"@{link.peer}" if link.peer else f"@if{link.peer_index}" if link.peer_index is not None else ""
    return f"{link.index}: {link.name}{other}"


def _about(world: World, link: Interface) -> Iterator[str]:
    host = world.main
    if link.is_loopback:
        yield "loopback: programs here talk to each other over it, and nothing leaves"
    elif link.kind == "bridge":
        ports = len(host.plugged_into(link.name))
        yield f"a bridge with {ports} {'port' if ports == 1 else 'ports'}; by this interface the host itself takes part"
    elif link.kind == "veth":
        yield f"one end of a virtual cable; the other is {_other_end(world, link)}"
    elif below := world.below((host.name, link.name)):
        yield stands_on(world, below)
    elif link.kind:
        yield f"a {link.kind} device"
    for one in world.above((host.name, link.name)):
        yield f"{one.above[1]} of {one.above[0]} stands on it"
    if link.master:
        yield f"plugged into {link.master}"
    addresses = [_address(own) for own in link.addresses if own.scope != "link"]
    yield from addresses
    if not addresses and not link.master:
        yield "without an address"
    if not link.is_up:
        yield "switched off"
    elif not link.has_carrier:
        yield "nothing is at the other end"


def stands_on(world: World, one: Stacked) -> str:
    """``a macvlan (bridge) on eth0 of host: …``."""
    host, parent = one.below
    where = f"{parent} of {host}" if one.above[0] != host or host != world.main.name else parent
    mode = f" ({one.mode})" if one.mode else ""
    return f"{an(one.kind)}{mode} on {where}, whose wire it shares; it and {parent} itself do not hear each other"


def an(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def _address(own: Address) -> str:
    return (
        str(own) if own.length < (32 if own.family == 4 else 128) else address_text(own.address, own.family)
    )


def _other_end(world: World, link: Interface) -> str:
    """``eth0 in web (172.17.0.4)``."""
    over = world.across(world.main.name, link.name)
    if over is None:
        return (
            f"number {link.peer_index} of a namespace that was not recorded"
            if link.peer_index is not None
            else "not known"
        )
    name, end = over
    there = world.host(name).interface(end)
    addresses = (
        [address_text(own.address, own.family) for own in there.addresses if own.scope != "link"]
        if there
        else []
    )
    where = f"{end} in the namespace {name}" if name != world.main.name else f"{end} on this host"
    return f"{where} ({', '.join(addresses)})" if addresses else where


def _namespace(world: World, host: Host) -> Iterator[HostLine]:
    """Another namespace in one line an interface, and its way out."""
    links = [link for link in host.interfaces if not link.is_loopback]
    for link in links:
        addresses = (
            ", ".join(_address(own) for own in link.addresses if own.scope != "link") or "without an address"
        )
        below = world.below((host.name, link.name))
        said = f"{addresses}, {stands_on(world, below)}" if below is not None else addresses
        yield HostLine(f"{host.name}  {_named(link)}", said)
    for route in host.routes or ():
        if route.table == "main" and route.length == 0 and route.kind == "unicast":
            yield HostLine("", f"{_where_to(route)} {_way(route)}")
    if not links:
        yield HostLine(host.name, "has no interface but loopback")


# -- bridges ----------------------------------------------------------------------------------------------


def _bridge(world: World, bridge: Interface) -> Iterator[HostLine]:
    host = world.main
    own = ", ".join(_address(one) for one in bridge.addresses if one.scope != "link")
    gateway = (
        f"the host itself is {own} here, the gateway of those plugged in"
        if own
        else "the host itself has no address here"
    )
    yield HostLine(bridge.name, gateway)
    ports = host.plugged_into(bridge.name)
    if not ports:
        yield HostLine("", "nobody is plugged in")
    for port in ports:
        link = host.interface(port.interface)
        words = [
            _other_end(world, link)
            if link is not None and link.kind == "veth"
            else "an interface of this host"
        ]
        if port.hairpin:
            words.append("hairpin: a frame may leave by the port it came in on")
        if port.isolated:
            words.append("isolated: no talk to other isolated ports")
        if port.state != "forwarding":
            words.append(f"state {port.state}")
        yield HostLine(f"  {port.interface}", ", ".join(words))
    for family, word in ((4, "iptables"), (6, "ip6tables")):
        visits = host.bridge_nf(family, bridge.name)
        if visits is not None and ports:
            yield HostLine(
                "", f"frames between its ports {'visit' if visits else 'do not visit'} {word} on the way"
            )


# -- routes -----------------------------------------------------------------------------------------------


def _local(host: Host) -> Iterator[HostLine]:
    """Local and broadcast addresses by interface, the addresses of IPv6 links and multicast left out."""
    found: dict[str, list[Route]] = defaultdict(list)
    for route in host.routes or ():
        if route.table == "local" and route.kind in ("local", "broadcast", "anycast"):
            found[_by(route)].append(route)
    for interface, routes in found.items():
        local = [
            _prefix(route) for route in routes if route.kind != "broadcast" and not _is_link_local(route)
        ]
        broadcast = [_prefix(route) for route in routes if route.kind == "broadcast"]
        covered = ["127.0.0.1"] if "127.0.0.0/8" in local else []
        local = [text for text in local if text not in covered]
        words = ", ".join(local)
        if broadcast:
            words += f"; broadcast {', '.join(broadcast)}"
        if words:
            yield HostLine(interface, words)


def _by(route: Route) -> str:
    return ", ".join(hop.interface for hop in route.nexthops if hop.interface) or "-"


def _is_link_local(route: Route) -> bool:
    return route.family == 6 and route.destination >> 118 == 0x3FA


def _prefix(route: Route) -> str:
    text = address_text(route.destination, route.family)
    return text if route.length == (32 if route.family == 4 else 128) else f"{text}/{route.length}"


def _main(host: Host) -> Iterator[HostLine]:
    for route in _in_order(host, "main"):
        yield HostLine(_where_to(route), _way(route))


def _in_order(host: Host, table: str) -> list[Route]:
    """The routes of a table, the longest prefix first as they are looked up; IPv6's own link networks left out."""
    routes = [
        route for route in host.routes or ()
        if route.table == table and not _is_link_local(route) and route.kind != "multicast"
    ]  # fmt: skip
    return sorted(routes, key=lambda route: (route.family, -route.length, route.metric))


def _where_to(route: Route) -> str:
    if route.length == 0:
        return "everything else" if route.family == 4 else "everything else (IPv6)"
    return _prefix(route)


_KINDS = {
    "unreachable": "refused: host unreachable", "prohibit": "refused: administratively prohibited", "blackhole": "dropped in silence",
    "throw": "as if this table had no route", "local": "this host", "broadcast": "everybody on the link",
}  # fmt: skip


def _way(route: Route) -> str:
    """How a route is taken, in words."""
    if route.kind in _KINDS:
        return _KINDS[route.kind]
    ways = " or ".join(_hop(hop) for hop in route.nexthops) or "nowhere"
    source = route.preferred_source
    mine = f"; from here with the address {address_text(source, route.family)}" if source is not None else ""
    return f"{ways}{mine}"


def _hop(hop: Nexthop) -> str:
    down = " (down)" if {"dead", "linkdown"} & set(hop.flags) else ""
    if hop.gateway is not None:
        return f"by the gateway {address_text(hop.gateway, hop.gateway_family)} on {hop.interface}{down}"
    return f"directly on {hop.interface}{down}"


def _other_tables(host: Host) -> Iterator[HostLine]:
    names = dict.fromkeys(route.table for route in host.routes or () if route.table not in ("main", "local"))
    for name in names:
        for route in _in_order(host, name):
            yield HostLine(f"{name}: {_where_to(route)}", _way(route))


def _policy(host: Host) -> Iterator[HostLine]:
    usual = {(0, "local"), (32766, "main"), (32767, "default")}
    for rule in host.rules or ():
        if (rule.priority, rule.table) in usual and rule.action == "lookup" and not rule.mark:
            continue
        asks = []
        if rule.source_length:
            asks.append(f"from {address_text(rule.source, rule.family)}/{rule.source_length}")
        if rule.destination_length:
            asks.append(f"to {address_text(rule.destination, rule.family)}/{rule.destination_length}")
        asks += [f"arriving on {rule.iif}"] if rule.iif else []
        asks += [f"bound to {rule.oif}"] if rule.oif else []
        asks += [f"with mark 0x{rule.mark:x}/0x{rule.mask:x}"] if rule.mask else []
        who = ("all but what is " if rule.negated else "") + (", ".join(asks) or "everything")
        yield HostLine(
            str(rule.priority),
            f"{who}: {f'look in {rule.table}' if rule.action == 'lookup' else rule.action}",
        )


# -- switches ---------------------------------------------------------------------------------------------


def _switches(host: Host) -> Iterator[HostLine]:
    if host.sysctls is None:
        return
    forward = host.sysctls.number("net.ipv4.ip_forward")
    if forward is not None:
        yield HostLine(
            f"ip_forward={forward}",
            "packets for others are passed on (FORWARD)"
            if forward
            else "packets for others are dropped: FORWARD is never asked",
        )
    six = host.sysctls.number("net.ipv6.conf.all.forwarding")
    if six is not None:
        yield HostLine(
            f"IPv6 forwarding={six}",
            "packets for others are passed on" if six else "packets for others are dropped",
        )
    for link in host.interfaces:
        yield from _switches_of(host, link)


def _switches_of(host: Host, link: Interface) -> Iterator[HostLine]:
    if link.is_loopback:
        return
    if host.route_localnet(link.name):
        yield HostLine(
            f"{link.name}: route_localnet",
            "127.0.0.0/8 may be routed here, so a port published on 127.0.0.1 can be sent on to a container",
        )
    reverse = host.rp_filter(link.name)
    if reverse:
        how = "by this interface" if reverse == 1 else "by some interface"
        yield HostLine(
            f"{link.name}: rp_filter={reverse}",
            f"a packet is dropped unless an answer to its source would leave {how}",
        )
    if host.accept_local(link.name):
        yield HostLine(
            f"{link.name}: accept_local",
            "packets that carry an address of this host as source are not dropped",
        )


def _relay(one: Relay) -> HostLine:
    at = "any address" if one.address == 0 else address_text(one.address, one.family)
    return HostLine(
        f"{one.protocol} {at} port {one.port}",
        f"relayed to {address_text(one.to_address, one.to_family)} port {one.to_port}: the container sees this host as client",
    )
