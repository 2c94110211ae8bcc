"""Subnets, gateways and addresses that a declaration leaves out, given out as Docker does: the first that is free."""

import hashlib
from collections.abc import Container, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from itertools import chain
from typing import Any

from ruleflow.bridge.declaration import Address, Subnet
from ruleflow.netfilter.host import Host

DOCKER0 = IPv4Network("172.17.0.0/16")
"""The subnet of docker0 (libnetwork's first local pool): others are not given it, for the day Docker is installed."""

_POOLS = tuple(chain(
    (IPv4Network(f"172.{second}.0.0/16") for second in range(18, 32)),
    IPv4Network("192.168.0.0/16").subnets(new_prefix=20),
))  # fmt: skip
"""Docker's default address pools (daemon/libnetwork/ipamutils/utils.go)."""


def free_subnet(bridge: str, taken: Iterable[Subnet]) -> IPv4Network | None:
    """The first IPv4 subnet of Docker's pools that overlaps none of ``taken``; None where there is none left."""
    others = [one for one in taken if isinstance(one, IPv4Network)]
    pools = (DOCKER0,) if bridge == "docker0" else _POOLS
    return next((pool for pool in pools if not any(pool.overlaps(one) for one in others)), None)


def own_subnet6(name: str) -> IPv6Network:
    """An IPv6 subnet made from the network's name: a unique local one (RFC 4193), the same on every run."""
    digest = hashlib.sha256(name.encode()).digest()
    return IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))


def first_host(subnet: Subnet) -> Address:
    """The gateway that Docker gives a subnet: its first address but one."""
    return subnet.network_address + 1


def free_address(
    subnet: Subnet, taken: Container[Address], within: Subnet | None = None, *, start: int = 0
) -> Address | None:
    """The first address of ``subnet`` (of its part ``within``) that an endpoint can have; None where all are taken.

    The first ``start`` addresses are known to be taken.
    """
    pool = subnet if within is None else within
    for step in range(start, pool.num_addresses):
        found: Address = pool.network_address + step
        if found not in taken and usable(found, subnet):
            return found
    return None


def usable(address: Address, subnet: Subnet) -> bool:
    """Whether an endpoint of ``subnet`` can have ``address``: not the subnet's own, nor its broadcast address."""
    if address not in subnet or address == subnet.network_address:
        return False
    return address.version == 6 or address != subnet.broadcast_address


def by_hardware(subnet: IPv6Network, address4: Address) -> IPv6Address:
    """The IPv6 address that Docker up to 27 gives on docker0: the subnet and the interface's hardware address.

    The hardware address is 02:42 and the IPv4 address (libnetwork/drivers/bridge: ``fixed-cidr-v6`` of at most 80 bits).

    >>> from ipaddress import IPv4Address
    >>> by_hardware(IPv6Network("2001:db8:17::/64"), IPv4Address("172.17.0.4"))
    IPv6Address('2001:db8:17::242:ac11:4')
    """
    return subnet.network_address + (0x0242 << 32 | int(address4))


def interface_name(network: str) -> str:
    """The name of a bridge that was given none: ``br-`` and the network's name, or where that is too long its hash.

    >>> interface_name("bridge"), interface_name("app"), interface_name("a-network-with-a-long-name")
    ('docker0', 'br-app', 'br-4b1a8c3ecec1')
    """
    if network == "bridge":
        return "docker0"
    if len(network) <= 12:
        return f"br-{network}"
    return f"br-{hashlib.sha256(network.encode()).hexdigest()[:12]}"


def routed_elsewhere(host: Host, bridge: str) -> Iterator[tuple[Subnet, Any]]:
    """The subnets that ``host`` has a route for, other than by ``bridge``, each with its route."""
    for route in host.routes or ():
        if route.length == 0 or route.kind not in ("unicast", "unreachable", "blackhole", "prohibit"):
            continue
        if any(hop.interface == bridge for hop in route.nexthops) or _link_local(
            route.destination, route.family
        ):
            continue
        width = 4 if route.family == 4 else 16
        yield ip_network((route.destination.to_bytes(width, "big"), route.length), strict=False), route


def _link_local(destination: int, family: int) -> bool:
    return family == 6 and destination >> 118 == 0xFE80 >> 6
