"""What is declared: bridges, their endpoints and published ports, as frozen values.

A declaration is read, checked and completed by `read_declaration` (all faults at once); a layout turns it into rules
(`ruleflow.bridge.generate`). The words are those of compose files and of `docker network create`.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, TypeAlias

import msgspec

from ruleflow.ruleset.values import Range

Family: TypeAlias = Literal[4, 6]
Address: TypeAlias = IPv4Address | IPv6Address
Subnet: TypeAlias = IPv4Network | IPv6Network

LAYOUTS = ("native", "docker-classic", "docker-28", "docker-29", "cni-portmap")
GATEWAY_MODES = ("nat", "nat-unprotected", "routed")
HAIRPINS = ("conntrack", "docker", "off")
PROTOCOLS = ("tcp", "udp", "sctp")


class PortMap(msgspec.Struct, frozen=True):
    """Ports of an endpoint that others may reach, and the host's ports they are published on.

    ``published`` is as long as ``target``, or None: reachable by the endpoint's own address only (gateway mode routed).
    ``host_ip`` None means every address of the host.
    """

    target: Range
    published: Range | None = None
    host_ip: Address | None = None
    protocol: str = "tcp"
    name: str = ""

    def __str__(self) -> str:
        host = f"{bracketed(self.host_ip)}:" if self.host_ip is not None else ""
        published = f"{_dashed(self.published)}:" if self.published is not None else ""
        return f"{host}{published}{_dashed(self.target)}/{self.protocol}"

    def singly(self) -> Iterator["PortMap"]:
        """The same, one port at a time."""
        for step in range(self.target.high - self.target.low + 1):
            target = Range(self.target.low + step, self.target.low + step)
            first = None if self.published is None else self.published.low + step
            published = None if first is None else Range(first, first)
            yield msgspec.structs.replace(self, target=target, published=published)

    def serves(self, family: int) -> bool:
        """Whether it publishes on addresses of ``family``."""
        return self.host_ip is None or self.host_ip.version == family


class Endpoint(msgspec.Struct, frozen=True):
    """An address on a network with its published ports; ``netns`` names a namespace to make and plug in, or is None."""

    name: str
    network: str
    netns: str | None = None
    address4: IPv4Address | None = None
    address6: IPv6Address | None = None
    ports: tuple[PortMap, ...] = ()

    def address(self, family: int) -> Address | None:
        """Its address of ``family``, None where it has none."""
        return self.address4 if family == 4 else self.address6


class Network(msgspec.Struct, frozen=True):
    """A bridge, what it is for, and what may pass.

    ``icc``: its endpoints may talk to each other (``icc_enforcement`` says by which means that is forbidden); ``ip_masq``:
    what leaves takes the host's address, or ``outbound4``/``outbound6``; ``hairpin``: how its endpoints reach ports that
    are published for themselves or for each other; ``localhost``: published ports are reachable at 127.0.0.1 too.
    """

    name: str
    bridge: str
    subnet4: IPv4Network | None = None
    subnet6: IPv6Network | None = None
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    internal: bool = False
    icc: bool = True
    icc_enforcement: str = "br_netfilter"
    gateway_mode4: str = "nat"
    gateway_mode6: str = "nat"
    ip_masq: bool = True
    outbound4: IPv4Address | None = None
    outbound6: IPv6Address | None = None
    host_binding4: IPv4Address | None = None
    host_binding6: IPv6Address | None = None
    hairpin: str = "conntrack"
    localhost: bool = True
    trusted_host_interfaces: tuple[str, ...] = ()
    mtu: int | None = None

    def subnet(self, family: int) -> Subnet | None:
        """Its addresses of ``family``, None where it has none."""
        return self.subnet4 if family == 4 else self.subnet6

    def gateway(self, family: int) -> Address | None:
        """The bridge's own address of ``family``."""
        return self.gateway4 if family == 4 else self.gateway6

    def gateway_mode(self, family: int) -> str:
        """``nat``, ``nat-unprotected`` or ``routed``."""
        return self.gateway_mode4 if family == 4 else self.gateway_mode6

    def outbound(self, family: int) -> Address | None:
        """The source address of what leaves, None for that of the interface it leaves by."""
        return self.outbound4 if family == 4 else self.outbound6


class Apply(msgspec.Struct, frozen=True):
    """How it is put on a host: ``confirm`` in seconds (None: at once for good), ``prefix`` of our chains' names."""

    backend: str = "auto"
    confirm: int | None = None
    prefix: str = "RF"
    comment: bool = True
    sysctls: str = "manage"


class Declaration(msgspec.Struct, frozen=True):
    """Everything that is declared, complete: every network has its subnets and gateway, every endpoint its addresses."""

    networks: tuple[Network, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    layout: str = "native"
    userland_proxy: bool = True
    apply: Apply = Apply()

    def network(self, name: str) -> Network:
        """The network called ``name``. Raises KeyError."""
        for network in self.networks:
            if network.name == name:
                return network
        raise KeyError(name)

    def on(self, network: Network) -> Iterator[Endpoint]:
        """The endpoints of ``network``, in order."""
        return (endpoint for endpoint in self.endpoints if endpoint.network == network.name)

    def families(self) -> tuple[int, ...]:
        """The families its networks have addresses of."""
        return tuple(family for family in (4, 6) if any(network.subnet(family) for network in self.networks))

    def with_port(self, endpoint: str, port: PortMap) -> "Declaration":
        """The same with one port map more; nothing is checked. Raises KeyError where there is no such endpoint."""
        if all(one.name != endpoint for one in self.endpoints):
            raise KeyError(endpoint)
        endpoints = tuple(
            msgspec.structs.replace(one, ports=(*one.ports, port)) if one.name == endpoint else one
            for one in self.endpoints
        )
        return msgspec.structs.replace(self, endpoints=endpoints)


def bracketed(address: Address) -> str:
    """An address as it stands before a port.

    >>> bracketed(IPv6Address("::1")), bracketed(IPv4Address("127.0.0.1"))
    ('[::1]', '127.0.0.1')
    """
    return f"[{address}]" if address.version == 6 else str(address)


def _dashed(ports: Range) -> str:
    return str(ports).replace(":", "-")
