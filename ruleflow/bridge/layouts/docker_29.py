"""Docker 29: the bridge driver's iptabler (daemon/libnetwork/drivers/bridge/internal/iptabler), call by call.

As in 29.0.0 to 29.7.2. A port of a ``routed`` network with a port of the host declared is given to the driver as it is, as
in Docker's own tests of it; its daemon leaves the host's port out there, which is written ``ports: ["80"]``.
"""

from ruleflow.bridge.declaration import Declaration, Endpoint, Network, PortMap, bracketed
from ruleflow.bridge.layouts.docker_bindings import bindings, host_part
from ruleflow.bridge.layouts.docker_classic import (
    ask_the_operator_first,
    masquerade_from_this_host,
    masquerade_outgoing,
)
from ruleflow.bridge.layouts.writing import Writing


def write(declaration: Declaration, family: int) -> Writing:
    """The rules that Docker makes for ``declaration``."""
    writing = Writing(family)
    start_daemon(writing, declaration, "DOCKER-INTERNAL")
    for network in declaration.networks:
        if network.subnet(family) is not None:
            create_network(writing, network, declaration)
    for endpoint in declaration.endpoints:
        start_container(writing, declaration.network(endpoint.network), endpoint, declaration)
    return writing


def start_daemon(writing: Writing, declaration: Declaration, *isolation: str) -> None:
    """The chains and the jumps to them, as they stand before the first network; ``isolation`` are the chains asked second."""
    writing.table("raw")
    writing.chain("nat", "DOCKER")
    for chain in ("DOCKER", "DOCKER-BRIDGE", "DOCKER-CT", "DOCKER-FORWARD", "DOCKER-USER", *isolation):
        writing.chain("filter", chain)
    look_up_published_ports(writing, declaration)
    ask_docker_about_what_passes(writing)
    look_up_bridges(writing)
    keep_apart_first(writing, isolation[0])
    let_replies_in_first(writing)
    ask_the_operator_first(writing)


def create_network(writing: Writing, network: Network, declaration: Declaration) -> None:
    """What `docker network create` adds."""
    if network.internal:
        keep_internal(writing, network, "DOCKER-INTERNAL")
        let_containers_talk(writing, network)
    else:
        connect_network(writing, network, declaration)


def connect_network(writing: Writing, network: Network, declaration: Declaration) -> None:
    """What a network adds that is not internal."""
    mode = network.gateway_mode(writing.family)
    if network.ip_masq and mode != "routed":
        masquerade_outgoing(writing, network)
    if not declaration.userland_proxy:
        masquerade_from_this_host(writing, network)
    if not network.icc:
        forbid_containers_to_talk(writing, network)
    if mode == "routed":
        let_pings_in(writing, network)
    let_out(writing, network)
    decide_about_the_rest(writing, network)
    let_replies_in(writing, network)
    let_published_in(writing, network)


def start_container(writing: Writing, network: Network, endpoint: Endpoint, declaration: Declaration) -> None:
    """What `docker run` adds: the container's address first, then its ports."""
    if network.internal or network.subnet(writing.family) is None or endpoint.address(writing.family) is None:
        return
    if network.gateway_mode(writing.family) == "nat":
        drop_direct_access(writing, network, endpoint)
    for port in bindings(endpoint, network, writing.family):
        publish(writing, network, endpoint, port, declaration)


def publish(
    writing: Writing, network: Network, endpoint: Endpoint, port: PortMap, declaration: Declaration
) -> None:
    """What one published port adds."""
    if port.published is not None:
        if port.host_ip is not None and port.host_ip.is_loopback and writing.family == 4:
            drop_loopback_from_neighbours(writing, port)
        publish_port(writing, network, endpoint, port, declaration)
        if not declaration.userland_proxy:
            masquerade_to_itself(writing, endpoint, port)
    if network.gateway_mode(writing.family) != "nat-unprotected":
        open_port(writing, network, endpoint, port)


# -- before the first network -----------------------------------------------------------------------------


def look_up_published_ports(writing: Writing, declaration: Declaration) -> None:
    """Packets to an address of this host are looked up among the published ports, those of this host itself as well.

    With the userland proxy, 127.0.0.1 is left to the proxy.
    """
    but = (
        ""
        if not declaration.userland_proxy
        else f" ! -d {'127.0.0.0/8' if writing.family == 4 else '::1/128'}"
    )
    writing.append("nat", "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER")
    writing.append("nat", f"-A OUTPUT{but} -m addrtype --dst-type LOCAL -j DOCKER")


def ask_docker_about_what_passes(writing: Writing) -> None:
    """What passes through this host is shown to Docker's own chain."""
    writing.on_top("filter", "-A FORWARD -j DOCKER-FORWARD")


def look_up_bridges(writing: Writing) -> None:
    """What is about to enter one of Docker's bridges is looked up among the published ports."""
    writing.on_top("filter", "-A DOCKER-FORWARD -j DOCKER-BRIDGE")


def keep_apart_first(writing: Writing, chain: str) -> None:
    """Networks that are to be kept apart are kept apart before anything is let in."""
    writing.on_top("filter", f"-A DOCKER-FORWARD -j {chain}")


def let_replies_in_first(writing: Writing) -> None:
    """Replies to what containers asked are let in before all else."""
    writing.on_top("filter", "-A DOCKER-FORWARD -j DOCKER-CT")


# -- a network --------------------------------------------------------------------------------------------


def let_containers_talk(writing: Writing, network: Network) -> None:
    """Containers on an internal bridge may talk to each other, or, with icc off, may not."""
    verdict = "ACCEPT" if network.icc else "DROP"
    writing.append("filter", f"-A DOCKER-FORWARD -i {network.bridge} -o {network.bridge} -j {verdict}")


def forbid_containers_to_talk(writing: Writing, network: Network) -> None:
    """Containers on this bridge may not talk to each other."""
    writing.append("filter", f"-A DOCKER-FORWARD -i {network.bridge} -o {network.bridge} -j DROP")


def let_pings_in(writing: Writing, network: Network) -> None:
    """Containers of a routed network are reachable by their own addresses, and so are pings to them."""
    protocol = "icmp" if writing.family == 4 else "ipv6-icmp"
    writing.append("filter", f"-A DOCKER -o {network.bridge} -p {protocol} -j ACCEPT")


def let_out(writing: Writing, network: Network) -> None:
    """Containers may talk to anybody, to those on their own bridge too unless icc is off."""
    but = "" if network.icc else f" ! -o {network.bridge}"
    writing.append("filter", f"-A DOCKER-FORWARD -i {network.bridge}{but} -j ACCEPT")


def decide_about_the_rest(writing: Writing, network: Network) -> None:
    """What comes to a container and is to no published port is dropped (let in, with nat-unprotected)."""
    verdict = "ACCEPT" if network.gateway_mode(writing.family) == "nat-unprotected" else "DROP"
    writing.append("filter", f"-A DOCKER ! -i {network.bridge} -o {network.bridge} -j {verdict}")


def let_replies_in(writing: Writing, network: Network) -> None:
    """Replies to what containers asked come back in."""
    writing.append(
        "filter", f"-A DOCKER-CT -o {network.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )


def let_published_in(writing: Writing, network: Network) -> None:
    """What is about to enter the bridge is looked up among the published ports."""
    writing.append("filter", f"-A DOCKER-BRIDGE -o {network.bridge} -j DOCKER")


def keep_internal(writing: Writing, network: Network, chain: str) -> None:
    """An internal network neither sends to the outside nor gets anything from it.

    In IPv6, packets that stay on the bridge may have any address: neighbours are found by link-local and multicast ones.
    """
    bridge, subnet = network.bridge, network.subnet(writing.family)
    into, out = ("", "") if writing.family == 4 else (f" ! -i {bridge}", f" ! -o {bridge}")
    writing.insert("filter", f"-A {chain} ! -d {subnet} -i {bridge}{out} -j DROP")
    writing.insert("filter", f"-A {chain} ! -s {subnet}{into} -o {bridge} -j DROP")


# -- a container ------------------------------------------------------------------------------------------


def drop_direct_access(writing: Writing, network: Network, endpoint: Endpoint) -> None:
    """Nobody but this host and the bridge (and interfaces that are trusted) sends to a container's own address.

    Asked in raw, before a published port is translated: what was sent to the host's address is not meant.
    """
    address = endpoint.address(writing.family)
    for trusted in network.trusted_host_interfaces:
        writing.append("raw", f"-A PREROUTING -d {address} -i {trusted} -j ACCEPT")
    writing.append("raw", f"-A PREROUTING -d {address} ! -i {network.bridge} -j DROP")


def drop_loopback_from_neighbours(writing: Writing, port: PortMap) -> None:
    """A port published on 127.0.0.1 is for this host alone: a neighbour that routes 127.0.0.1 here is not let in.

    It would be translated before the kernel sees that such an address cannot come from outside.
    """
    asked = f"{host_part(port)}! -i lo -p {port.protocol} -m {port.protocol} --dport {port.published}"
    writing.append("raw", f"-A PREROUTING {asked} -j DROP")


def publish_port(
    writing: Writing, network: Network, endpoint: Endpoint, port: PortMap, declaration: Declaration
) -> None:
    """A connection to the host's port is sent on to the container's port.

    Not from link-local IPv6 addresses, which cannot be translated: the userland proxy serves them.
    """
    address, protocol = endpoint.address(writing.family), port.protocol
    assert address is not None
    source = "! -s fe80::/10 " if writing.family == 6 else ""
    but = f"! -i {network.bridge} " if declaration.userland_proxy else ""
    asked = f"{source}{host_part(port)}{but}-p {protocol} -m {protocol} --dport {port.published}"
    writing.append("nat", f"-A DOCKER {asked} -j DNAT --to-destination {bracketed(address)}:{port.target}")


def masquerade_to_itself(writing: Writing, endpoint: Endpoint, port: PortMap) -> None:
    """A container that opens its own published port gets the packet back with the host's address as its source.

    With its own address as source it would drop the packet, and its answer would never pass the host to be translated
    back.
    """
    protocol, address = port.protocol, endpoint.address(writing.family)
    asked = f"-s {address} -d {address} -p {protocol} -m {protocol} --dport {port.target}"
    writing.append("nat", f"-A POSTROUTING {asked} -j MASQUERADE")


def open_port(writing: Writing, network: Network, endpoint: Endpoint, port: PortMap) -> None:
    """The container's published port is open to everybody who is not on its bridge.

    On top of the chain: the rule that drops the rest was there before, and all networks share the chain.
    """
    protocol, bridge = port.protocol, network.bridge
    asked = f"-d {endpoint.address(writing.family)} ! -i {bridge} -o {bridge} -p {protocol} -m {protocol}"
    writing.insert("filter", f"-A DOCKER {asked} --dport {port.target} -j ACCEPT")
