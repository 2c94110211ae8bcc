"""In which order Docker publishes the ports of a container: its rules stand in that order, so it is part of a layout."""

from collections.abc import Iterator

import msgspec

from ruleflow.bridge.declaration import Endpoint, Network, PortMap

_NUMBERS = {"tcp": 6, "udp": 17, "sctp": 132}


def classic_bindings(endpoint: Endpoint, network: Network, family: int) -> Iterator[PortMap]:
    """Port maps one port at a time, as Docker up to 26 takes them.

    They are sorted by insertion with a comparison that is no order: a higher host port *or* a higher container port comes
    first (nat.SortPortMap of go-connections). Where the two contradict, a real daemon's order depends on where Go begins to
    walk its map, and differs from run to run; here they always come in the order of the API's JSON, as text.
    """
    sorted_ = _by_text(endpoint)
    for index in range(1, len(sorted_)):
        place = index
        while place and _comes_first(sorted_[place], sorted_[place - 1]):
            sorted_[place - 1], sorted_[place] = sorted_[place], sorted_[place - 1]
            place -= 1
    grouped = dict.fromkeys((one.target.low, one.protocol) for one in sorted_)
    for key in grouped:
        yield from (
            bound(one, network, family) for one in sorted_
            if (one.target.low, one.protocol) == key and one.serves(family)
        )  # fmt: skip


def bindings(endpoint: Endpoint, network: Network, family: int) -> Iterator[PortMap]:
    """Port maps one port at a time, as Docker from 27 on takes them: by container port, protocol, host port, host address."""
    singles = [one for port in endpoint.ports for one in port.singly() if one.serves(family)]
    yield from sorted((bound(one, network, family) for one in singles), key=_rank)


def bound(port: PortMap, network: Network, family: int) -> PortMap:
    """The same with the network's default host address where none is given."""
    default = network.host_binding4 if family == 4 else network.host_binding6
    if port.host_ip is None and default is not None:
        return msgspec.structs.replace(port, host_ip=default)
    return port


def host_part(port: PortMap) -> str:
    """``-d ADDRESS `` where the port is published on one address of the host only."""
    if port.host_ip is None or port.host_ip.is_unspecified:
        return ""
    return f"-d {port.host_ip} "


def _by_text(endpoint: Endpoint) -> list[PortMap]:
    singles = [one for port in endpoint.ports for one in port.singly()]
    return sorted(singles, key=lambda one: f"{one.target.low}/{one.protocol}")


def _comes_first(one: PortMap, other: PortMap) -> bool:
    if _host_port(one) > _host_port(other) or one.target.low > other.target.low:
        return True
    return one.target.low == other.target.low and one.protocol == "tcp"


def _host_port(port: PortMap) -> int:
    return 0 if port.published is None else port.published.low


def _rank(port: PortMap) -> tuple[int, int, int, bytes]:
    address = b"" if port.host_ip is None else port.host_ip.packed
    return port.target.low, _NUMBERS[port.protocol], _host_port(port), address
