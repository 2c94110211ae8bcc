"""A `Host` (read from files or a live machine) as a router the lab can build."""

from collections.abc import Iterable, Mapping

from ruleflow.kernel.router import FORWARDING, Interface, Neighbour, Spec
from ruleflow.netfilter.host import Address, Host, Nexthop, PolicyRule, Route
from ruleflow.netfilter.host import Interface as Link
from ruleflow.netfilter.ipset import IpSet
from ruleflow.netfilter.numbers import address_text, mac_text

SETTINGS = frozenset({
    "ip_forward", "forwarding", "force_forwarding", "rp_filter", "accept_local", "route_localnet", "src_valid_mark",
    "ignore_routes_with_linkdown", "bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables",
})  # fmt: skip
"""The last words of the sysctls that decide a packet's way; others stay the lab's."""
BUILT_IN_RULES = {(0, "local"), (32766, "main"), (32767, "default")}


def describe(host: Host, plugged: Mapping[str, str] | None = None) -> Spec:
    """The router that is like ``host``, without its rules.

    ``plugged`` says at which bridge port an address is plugged in (address as text: port); who is not in it is taken to be at
    the first port. Interfaces of any other kind become cables, and so does a bridge nothing is plugged into.
    """
    bridges = {link.master for link in host.interfaces if link.master and link.master_kind in ("", "bridge")}
    bridges |= {port.bridge for port in host.ports}
    return Spec(
        interfaces=tuple(_interface(host, link, bridges) for link in host.interfaces),
        routes=tuple(text for route in host.routes or () for text in _route(route)),
        rules=tuple(_rule(rule) for rule in host.rules or () if not _is_built_in(rule)),
        sysctls=_sysctls(host),
        sets="".join(_set(one) for one in host.sets or ()),
        neighbours=tuple(_neighbours(host, bridges, plugged or {})),
    )


def _interface(host: Host, link: Link, bridges: set[str]) -> Interface:
    port = host.port(link.name)
    kind = "loopback" if link.is_loopback else "bridge" if link.name in bridges else "veth"
    return Interface(
        link.name,
        tuple(_address(address) for address in link.addresses if not _is_given(link, address)),
        kind,
        master=link.master if link.master in bridges else None,
        mac=None if link.is_loopback or not link.mac else mac_text(link.mac),
        up=link.is_up,
        hairpin=bool(port and port.hairpin),
        isolated=bool(port and port.isolated),
    )


def _is_given(link: Link, address: Address) -> bool:
    """Loopback has its first addresses by being up."""
    return link.is_loopback and str(address) in ("127.0.0.1/8", "::1/128")


def _address(address: Address) -> str:
    words = [str(address)]
    if address.peer is not None and address.peer != address.address:
        mine = address_text(address.address, address.family)
        words = [f"{mine} peer {address_text(address.peer, address.family)}/{address.length}"]
    if address.broadcast is not None:
        words.append(f"brd {address_text(address.broadcast, 4)}")
    if address.family == 4 and address.scope != "global":
        words.append(f"scope {address.scope}")
    return " ".join(words)


def _route(route: Route) -> Iterable[str]:
    if route.protocol == "kernel" or (
        route.table == "local" and route.kind in ("broadcast", "anycast", "multicast")
    ):
        return  # these come with the addresses
    prefix = f"{address_text(route.destination, route.family)}/{route.length}"
    words = [
        f"-{route.family}",
        "" if route.kind == "unicast" else route.kind,
        prefix,
        f"table {route.table}",
    ]
    words += [f"metric {route.metric}"] if route.metric else []
    words += [f"tos {route.tos}"] if route.tos else []
    if route.preferred_source is not None:
        words.append(f"src {address_text(route.preferred_source, route.family)}")
    one = len(route.nexthops) == 1
    words += [_nexthop(hop, alone=one) for hop in route.nexthops]
    yield " ".join(word for word in words if word)


def _nexthop(hop: Nexthop, *, alone: bool) -> str:
    words = [] if alone else ["nexthop"]
    if hop.gateway is not None:
        words += [
            "via",
            *(["inet6"] if hop.gateway_family == 6 else []),
            address_text(hop.gateway, hop.gateway_family),
        ]
    words += [] if hop.interface is None else ["dev", hop.interface]
    words += [] if alone else ["weight", str(hop.weight)]
    words += ["onlink"] if "onlink" in hop.flags else []
    return " ".join(words)


def _is_built_in(rule: PolicyRule) -> bool:
    return (
        (rule.priority, rule.table) in BUILT_IN_RULES and rule.action == "lookup" and not rule.source_length
    )


def _rule(rule: PolicyRule) -> str:
    words = [f"-{rule.family}", "not" if rule.negated else "", f"priority {rule.priority}"]
    if rule.source_length:
        words.append(f"from {address_text(rule.source, rule.family)}/{rule.source_length}")
    if rule.destination_length:
        words.append(f"to {address_text(rule.destination, rule.family)}/{rule.destination_length}")
    words += [f"iif {rule.iif}"] if rule.iif else []
    words += [f"oif {rule.oif}"] if rule.oif else []
    words += [f"fwmark {rule.mark:#x}/{rule.mask:#x}"] if rule.mask else []
    words += [f"tos {rule.tos}"] if rule.tos else []
    words += [f"uidrange {rule.uids[0]}-{rule.uids[1]}"] if rule.uids else []
    words += [f"ipproto {rule.protocol}"] if rule.protocol is not None else []
    words += [f"sport {rule.source_ports[0]}-{rule.source_ports[1]}"] if rule.source_ports else []
    words += (
        [f"dport {rule.destination_ports[0]}-{rule.destination_ports[1]}"] if rule.destination_ports else []
    )
    if rule.action == "lookup":
        words.append(f"lookup {rule.table}")
        words += [f"suppress_prefixlength {rule.suppress_length}"] if rule.suppress_length >= 0 else []
    else:
        words.append(f"goto {rule.goto}" if rule.action == "goto" else rule.action)
    return " ".join(word for word in words if word)


def _sysctls(host: Host) -> tuple[tuple[str, str], ...]:
    """The sysctls that decide, general ones first: ip_forward and ``all`` overwrite those of interfaces."""
    if host.sysctls is None:
        return FORWARDING
    names = {link.name.replace(".", "/") for link in host.interfaces} | {"all", "default"}
    chosen = [
        (name, value)
        for name, value in host.sysctls.values
        if name.rpartition(".")[2] in SETTINGS and (".conf." not in name or _of_interface(name) in names)
    ]
    order = {"all": 1, "default": 2}
    return tuple(
        sorted(
            chosen,
            key=lambda pair: (order.get(_of_interface(pair[0]), 3) if ".conf." in pair[0] else 0, pair[0]),
        )
    )


def _of_interface(name: str) -> str:
    return name.partition(".conf.")[2].rpartition(".")[0]


def _set(one: IpSet) -> str:
    head = f"create {one.name} {one.kind} {_options(one.options)}"
    members = [
        f"add {one.name} {member}{' nomatch' if member.nomatch else ''} {_options(member.options)}"
        for member in one.members
    ]
    return "".join(f"{line.rstrip()}\n" for line in (head, *members))


def _options(options: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name} {value}".rstrip() for name, value in options)


def _neighbours(host: Host, bridges: set[str], plugged: Mapping[str, str]) -> Iterable[Neighbour]:
    for each in host.neighbours:
        if each.interface in bridges and each.mac:
            address = address_text(each.address, each.family)
            ports = host.plugged_into(each.interface)
            port = plugged.get(address, ports[0].interface if ports else None)
            yield Neighbour(address, mac_text(each.mac), each.interface, port)
