"""Which of its addresses a host puts on a packet: for its own packets, for MASQUERADE, for ICMP errors.

IPv4: inet_select_addr (net/ipv4/devinet.c) and fib_result_prefsrc (net/ipv4/fib_semantics.c). IPv6:
ipv6_dev_get_saddr (net/ipv6/addrconf.c), which is RFC 6724 §5, and ip6_route_get_saddr (include/net/ip6_route.h).
"""

from collections.abc import Iterable

from ruleflow.netfilter.fib import Flow, Found, needs_interface
from ruleflow.netfilter.host import Address, Host, Interface
from ruleflow.netfilter.numbers import within

SCOPES = {"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}
"""Route and address scopes, <linux/rtnetlink.h>; smaller reaches farther."""


def for_route(host: Host, flow: Flow, found: Found) -> int | None:
    """The source of a packet of this host that takes the route ``found``; None where there is no address."""
    if found.route is None:
        return None
    if found.route.preferred_source is not None:
        return found.route.preferred_source
    out = found.hops[0].interface if found.hops else None
    if flow.family == 6:
        return select_six(host, out, flow.destination)
    if found.route.kind == "local":
        return flow.destination
    gateway = found.hops[0].gateway if found.hops and found.hops[0].gateway_family == 4 else None
    return select_four(host, out, gateway or 0, found.route.scope) if out else None


def masquerade(host: Host, out: str, nexthop: int, destination: int, family: int) -> int | None:
    """The address MASQUERADE gives a packet that leaves by ``out``.

    IPv4: nf_nat_masquerade_ipv4 asks inet_select_addr with the next hop; IPv6: nf_nat_masquerade_ipv6 asks
    ipv6_dev_get_saddr with the destination. None: there is no such address, and the packet is dropped.
    """
    return select_four(host, out, nexthop, "global") if family == 4 else select_six(host, out, destination)


def select_four(host: Host, interface: str, nexthop: int, scope: str) -> int | None:
    """inet_select_addr: a primary address of ``interface`` that reaches ``scope``.

    The one on the network of ``nexthop``, else the first; else the first of any other interface.
    """
    link = host.interface(interface)
    limit = SCOPES.get(scope, 0)
    local = SCOPES["link"] if host.route_localnet(interface) else SCOPES["host"]
    fits = [one for one in _primary(link) if min(_scope(one), local) <= limit]
    for one in fits:
        if not nexthop or one.on_link(nexthop):
            return one.address
    return fits[0].address if fits else _any_four(host.interfaces, limit)


def _any_four(links: Iterable[Interface], limit: int) -> int | None:
    """in_dev_select_addr of every device: what is of scope link stays on its link."""
    for link in links:
        for one in _primary(link):
            if one.scope != "link" and _scope(one) <= limit:
                return one.address
    return None


def _primary(link: Interface | None) -> list[Address]:
    return [one for one in link.addresses if one.family == 4 and "secondary" not in one.flags] if link else []


def _scope(address: Address) -> int:
    return SCOPES.get(address.scope, 0)


# --- IPv6 --------------------------------------------------------------------------------------------------

Score = tuple[bool, int, bool, bool, bool, bool, int]


def select_six(host: Host, interface: str | None, destination: int) -> int | None:
    """ipv6_dev_get_saddr: the best of all addresses, or of ``interface``'s where the destination is near."""
    near = needs_interface(destination)
    best: tuple[Score, int] | None = None
    for link in host.interfaces:
        if near and link.name != interface:
            continue
        for one in link.addresses:
            if one.family != 6 or not _may_be_source(one):
                continue
            score = _score(one, link, interface, destination)
            if best is None or score > best[0]:
                best = score, one.address
    return None if best is None else best[1]


def _may_be_source(address: Address) -> bool:
    """Tentative addresses are none yet, unless optimistic (__ipv6_dev_get_saddr)."""
    tentative = "tentative" in address.flags and "optimistic" not in address.flags
    return not tentative and "dadfailed" not in address.flags


def _score(one: Address, link: Interface, interface: str | None, destination: int) -> Score:
    """The rules of RFC 6724 §5 in order; the greater is the better (ipv6_get_saddr_eval)."""
    scope, wanted = _scope_six(one.address), _scope_six(destination)
    return (
        one.address == destination,
        -scope if scope >= wanted else scope - 128,
        "deprecated" not in one.flags and "optimistic" not in one.flags,
        link.name == interface,
        _label(one.address) == _label(destination),
        "temporary" not in one.flags,  # use_tempaddr is 0 but where somebody sets it
        min(_common(one.address, destination), one.length),
    )


def _scope_six(address: int) -> int:
    """__ipv6_addr_src_scope: 2 link (and loopback), 5 site, 14 global; multicast says its own."""
    if address >> 120 == 0xFF:
        return address >> 112 & 0xF
    if address >> 118 == 0x3FA or address == 1:
        return 2
    return 5 if address >> 118 == 0x3FB else 14


_LABELS = (
    (1, 128, 0), (0xFFFF << 32, 96, 4), (0, 96, 3), (0x20010000 << 96, 32, 6), (0x20010010 << 96, 28, 7),
    (0x3FFE << 112, 16, 12), (0x2002 << 112, 16, 2), (0xFEC0 << 112, 10, 11), (0xFC00 << 112, 7, 5), (0, 0, 1),
)  # fmt: skip
"""ip6addrlbl_init_table (net/ipv6/addrlabel.c), longest prefix first: network, length, label."""


def _label(address: int) -> int:
    return next(label for network, length, label in _LABELS if within(address, network, length, 6))


def _common(one: int, other: int) -> int:
    """How many leading bits two addresses share (ipv6_addr_diff)."""
    return 128 - (one ^ other).bit_length()
