"""What ``-m addrtype`` answers, from the tables, as the kernel's module does it (net/netfilter/xt_addrtype.c).

IPv4 asks inet_dev_addr_type (net/ipv4/fib_frontend.c), which looks into the LOCAL table alone; IPv6 looks at the
address itself and then asks for a route (match_type6, match_lookup_rt6).
"""

from ruleflow.netfilter.fib import Flow, local_lookup, lookup
from ruleflow.netfilter.host import Host

TYPES = (
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT",
    "THROW", "NAT", "XRESOLVE",
)  # fmt: skip
"""All types, in the order of their bits (<linux/netfilter/xt_addrtype.h>)."""


def address_type(host: Host, address: int, family: int, interface: str | None = None) -> str | None:
    """The one type of an address: None where the tables are not known.

    ``interface`` limits the question to addresses of that interface (--limit-iface-in, --limit-iface-out).
    For IPv6 the first type of LOCAL, ANYCAST, UNREACHABLE, MULTICAST, UNSPEC, UNICAST that the kernel grants.
    """
    if family == 4:
        return _four(host, address, interface)
    for kind in ("LOCAL", "ANYCAST", "UNREACHABLE", "MULTICAST", "UNSPEC", "UNICAST"):
        answer = is_of_type(host, address, 6, (kind,), interface)
        if answer is None:
            return None
        if answer:
            return kind
    return "UNSPEC"


def is_of_type(
    host: Host, address: int, family: int, types: tuple[str, ...], interface: str | None = None
) -> bool | None:
    """Whether ``-m addrtype --dst-type TYPES`` (or --src-type) matches; None where the tables are not known."""
    if family == 4:
        kind = _four(host, address, interface)
        return None if kind is None else kind in types
    return _six(host, address, frozenset(types), interface)


def _four(host: Host, address: int, interface: str | None) -> str | None:
    """inet_dev_addr_type: 0.0.0.0 and 255.255.255.255 are BROADCAST; a route that refuses counts as none."""
    if address in (0, 0xFFFFFFFF):
        return "BROADCAST"
    if address >> 28 == 14:
        return "MULTICAST"
    if host.routes is None:
        return None
    found = local_lookup(host, Flow(family=4, destination=address))
    if found is None or found.error or found.route is None:
        return "UNICAST"
    out = found.route.nexthops[0].interface if found.route.nexthops else None
    if interface is not None and out != interface:
        return "UNICAST"
    return found.route.kind.upper()


_ROUTED = frozenset({"ANYCAST", "LOCAL", "UNREACHABLE"})


def _six(host: Host, address: int, types: frozenset[str], interface: str | None) -> bool | None:
    """match_type6: each of MULTICAST, UNICAST and UNSPEC that is asked for must hold, then one of the others."""
    if "MULTICAST" in types and address >> 120 != 0xFF:
        return False
    if "UNICAST" in types and not _is_unicast(address):
        return False
    if "UNSPEC" in types and address != 0:
        return False
    if not types & _ROUTED:
        return True
    if host.routes is None:
        return None
    return bool(_routed(host, address, types, interface) & types)


def _is_unicast(address: int) -> bool:
    """__ipv6_addr_type's IPV6_ADDR_UNICAST: all but multicast, ``::`` and IPv4-mapped addresses."""
    return address >> 120 != 0xFF and address != 0 and address >> 32 != 0xFFFF


def _routed(host: Host, address: int, types: frozenset[str], interface: str | None) -> frozenset[str]:
    """match_lookup_rt6: what the route to the address says."""
    owned = (
        frozenset({"LOCAL"})
        if interface and "LOCAL" in types and _on(host, address, interface)
        else frozenset()
    )
    found = lookup(host, Flow(family=6, destination=address, oif=interface))
    if found.error or found.route is None:
        return frozenset({"UNREACHABLE"})
    kinds = set(owned)
    if interface is None and found.route.kind == "local":
        kinds.add("LOCAL")
    if _is_anycast(found.route.kind, found.route.length, address == found.route.destination):
        kinds.add("ANYCAST")
    return frozenset(kinds)


def _on(host: Host, address: int, interface: str) -> bool:
    """ipv6_chk_addr: the address is one of the interface's, and not tentative."""
    link = host.interface(interface)
    return link is not None and any(
        one.family == 6 and one.address == address and "tentative" not in one.flags for one in link.addresses
    )


def _is_anycast(kind: str, length: int, first: bool) -> bool:
    """ipv6_anycast_destination: an anycast route, or the first address of a connected network up to /126."""
    return kind == "anycast" or (kind == "unicast" and length < 127 and first)
