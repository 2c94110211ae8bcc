"""The routes the kernel makes by itself for every address: table LOCAL, and the connected networks in MAIN."""

from collections.abc import Iterable, Iterator

from ruleflow.netfilter.host import Address, Interface, Nexthop, Route
from ruleflow.netfilter.numbers import prefix_mask


def kernel_routes(interfaces: Iterable[Interface], *, forwards_six: bool = False) -> tuple[Route, ...]:
    """What fib_add_ifaddr (net/ipv4/fib_frontend.c) and inet6_addr_add (net/ipv6/addrconf.c) add.

    ``forwards_six`` adds the subnet-router anycast addresses a forwarding IPv6 host has (addrconf_join_anycast).
    Interfaces that are down have none. Secondary addresses share their primary's network.
    """
    return tuple(route for link in interfaces if link.is_up for route in _of_link(link, forwards_six))


def _of_link(link: Interface, forwards_six: bool) -> Iterator[Route]:
    for own in link.addresses:
        yield from _four(link, own) if own.family == 4 else _six(link, own, forwards_six)
    if any(own.family == 6 for own in link.addresses) and not link.is_loopback:
        yield _route(link, 6, 0xFF << 120, 8, table="local", kind="multicast", metric=256)


def _four(link: Interface, own: Address) -> Iterator[Route]:
    at = own.address
    yield _route(link, 4, at, 32, table="local", kind="local", scope="host", preferred=at)
    network = (own.peer if own.peer is not None else at) & prefix_mask(own.length, 4)
    if "secondary" in own.flags or (network == 0 and own.length == 0):
        return
    if link.is_loopback:
        if own.length < 32:
            yield _route(
                link, 4, network, own.length, table="local", kind="local", scope="host", preferred=at
            )
            yield _broadcast(link, own, network)
        return
    if own.length < 32 or own.peer is not None:
        yield _route(link, 4, network, own.length, scope="link", preferred=at)
    if own.length < 31:
        yield _broadcast(link, own, network)


def _broadcast(link: Interface, own: Address, network: int) -> Route:
    last = network | ((1 << (32 - own.length)) - 1)
    return _route(link, 4, last, 32, table="local", kind="broadcast", scope="link", preferred=own.address)


def _six(link: Interface, own: Address, forwards: bool) -> Iterator[Route]:
    yield _route(link, 6, own.address, 128, table="local", kind="local")
    if link.is_loopback:
        return
    network = own.address & prefix_mask(own.length, 6)
    if own.length < 128:
        yield _route(link, 6, network, own.length, metric=256)
    if forwards and own.length < 127:
        yield _route(link, 6, network, 128, table="local", kind="anycast")


def _route(
    link: Interface,
    family: int,
    destination: int,
    length: int,
    *,
    table: str = "main",
    kind: str = "unicast",
    scope: str = "global",
    metric: int = 0,
    preferred: int | None = None,
) -> Route:
    return Route(
        family=family, destination=destination, length=length, table=table, kind=kind, scope=scope, metric=metric,
        preferred_source=preferred, protocol="kernel", nexthops=(Nexthop(interface=link.name),),
    )  # fmt: skip
