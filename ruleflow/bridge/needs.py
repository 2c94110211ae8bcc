"""What a layout needs beside its rules: switches of the kernel, flags of bridge ports, programs that relay."""

from collections.abc import Iterator

import msgspec

from ruleflow.bridge.declaration import Address, Declaration, Network, PortMap, bracketed
from ruleflow.bridge.layouts.docker_bindings import bindings, bound
from ruleflow.bridge.layouts.native import served_at_localhost, translated


class Sysctl(msgspec.Struct, frozen=True):
    """A switch of the kernel, the value it must have, and why."""

    name: str
    value: str
    why: str


class PortFlag(msgspec.Struct, frozen=True):
    """A flag (``hairpin`` or ``isolated``) that the bridge port of an endpoint must have, and why."""

    endpoint: str
    flag: str
    why: str


class Proxy(msgspec.Struct, frozen=True):
    """A program that listens on the host and relays to an endpoint (docker-proxy)."""

    endpoint: str
    protocol: str
    host_ip: str
    host_port: int
    address: str
    port: int


class Needs(msgspec.Struct, frozen=True):
    """All that a layout needs; ``modules`` are the kernel's, ``unserved`` says what its rules cannot do."""

    sysctls: tuple[Sysctl, ...] = ()
    port_flags: tuple[PortFlag, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    modules: tuple[str, ...] = ()
    unserved: tuple[str, ...] = ()


def needs(declaration: Declaration, layout: str | None = None) -> Needs:
    """What ``declaration`` needs beside the rules of ``layout`` (by default its own)."""
    name = layout or declaration.layout
    docker = name.startswith("docker-")
    proxies = tuple(_proxies(declaration)) if docker and declaration.userland_proxy else ()
    bridged = _wants_bridge_netfilter(declaration, docker=docker)
    return Needs(
        (*_forwarding(declaration), *_localhost(declaration, name), *(_bridge_netfilter(declaration) if bridged else ())),
        tuple(_port_flags(declaration, name)), proxies, ("br_netfilter",) if bridged else (),
        tuple(_unserved(declaration)) if name == "native" else (),
    )  # fmt: skip


def _outward(declaration: Declaration, family: int) -> list[Network]:
    return [
        network
        for network in declaration.networks
        if not network.internal and network.subnet(family) is not None
    ]


def _forwarding(declaration: Declaration) -> Iterator[Sysctl]:
    why = "or this host passes nothing on between a bridge and the outside"
    if _outward(declaration, 4):
        yield Sysctl("net.ipv4.ip_forward", "1", why)
    if _outward(declaration, 6):
        yield Sysctl("net.ipv6.conf.all.forwarding", "1", why)


def _localhost(declaration: Declaration, layout: str) -> Iterator[Sysctl]:
    why = "so that a connection to 127.0.0.1 may be sent on to the bridge"
    for network in _outward(declaration, 4):
        ours = layout == "native" and served_at_localhost(network, 4)
        proxyless = layout.startswith("docker-") and not declaration.userland_proxy
        published = any(endpoint.ports for endpoint in declaration.on(network))
        if ours or proxyless or (layout == "cni-portmap" and published):
            yield Sysctl(f"net.ipv4.conf.{network.bridge.replace('.', '/')}.route_localnet", "1", why)


def _wants_bridge_netfilter(declaration: Declaration, *, docker: bool) -> bool:
    silent = any(
        not network.icc and (docker or network.icc_enforcement == "br_netfilter")
        for network in declaration.networks
    )
    return silent or (docker and not declaration.userland_proxy)


def _bridge_netfilter(declaration: Declaration) -> Iterator[Sysctl]:
    why = "or frames between two ports of a bridge do not meet the rules"
    for family, name in ((4, "iptables"), (6, "ip6tables")):
        if family in declaration.families():
            yield Sysctl(f"net.bridge.bridge-nf-call-{name}", "1", why)


def _port_flags(declaration: Declaration, layout: str) -> Iterator[PortFlag]:
    for network in declaration.networks:
        for endpoint in declaration.on(network):
            if _sends_back(declaration, network, layout) and (endpoint.ports or layout.startswith("docker-")):
                why = "or, with bridge-nf-call-iptables, what it sends to its own published port cannot leave the way it came"
                yield PortFlag(endpoint.name, "hairpin", why)
            if not network.icc and network.icc_enforcement == "port_isolation" and layout == "native":
                yield PortFlag(
                    endpoint.name, "isolated", "so that it cannot reach its siblings past the rules"
                )


def _sends_back(declaration: Declaration, network: Network, layout: str) -> bool:
    if layout.startswith("docker-"):
        return not declaration.userland_proxy
    return (
        not network.internal
        and network.hairpin != "off"
        and any(translated(network, family) for family in (4, 6))
    )


def _proxies(declaration: Declaration) -> Iterator[Proxy]:
    for endpoint in declaration.endpoints:
        network = declaration.network(endpoint.network)
        for family in (4, 6) if not network.internal else ():
            for port in bindings(endpoint, network, family):
                address = endpoint.address(family) or endpoint.address4
                routed = network.gateway_mode(family) == "routed"
                if port.published is not None and address is not None and not routed:
                    yield _proxy(endpoint.name, port, address, family)


def _proxy(endpoint: str, port: PortMap, address: Address, family: int) -> Proxy:
    assert port.published is not None
    everybody = "0.0.0.0" if family == 4 else "::"  # noqa: S104 - what Docker binds
    host = everybody if port.host_ip is None else str(port.host_ip)
    return Proxy(endpoint, port.protocol, host, port.published.low, str(address), port.target.low)


def _unserved(declaration: Declaration) -> Iterator[str]:
    for endpoint in declaration.endpoints:
        network = declaration.network(endpoint.network)
        if network.internal and endpoint.ports:
            yield f"{endpoint.name}: the network {network.name} is internal, and its ports are not published"
            continue
        for port in endpoint.ports:
            host = bound(port, network, 6).host_ip if port.serves(6) else None
            if host is not None and host.is_loopback and host.version == 6:
                yield (
                    f"{endpoint.name}: {port} cannot be served by rules, for IPv6 has no route_localnet; a program that "
                    f"listens on {bracketed(host)} would have to relay it"
                )
            if port.host_ip is not None and endpoint.address(port.host_ip.version) is None:
                yield f"{endpoint.name}: {port} cannot be served by rules, for it has no IPv{port.host_ip.version} address"
