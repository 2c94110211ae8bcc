"""Docker 18.06 to 26: libnetwork's setup_ip_tables.go and iptables.go, call by call, so that the order comes out as Docker's.

The rules of 20.10 were compared with a real daemon's. IPv6 as 20.10 makes it: there is no DOCKER-USER before 23.0
(moby pull request 44706).
"""

from ruleflow.bridge.declaration import Declaration, Endpoint, Network, PortMap, bracketed
from ruleflow.bridge.layouts.docker_bindings import classic_bindings, host_part
from ruleflow.bridge.layouts.writing import Writing


def write(declaration: Declaration, family: int) -> Writing:
    """The rules that Docker makes for ``declaration``; none for IPv6 where no network has an IPv6 subnet."""
    writing = Writing(family)
    if family == 6 and 6 not in declaration.families():
        return writing
    start_daemon(writing)
    for network in declaration.networks:
        create_network(writing, network, declaration)
        if family == 4:
            ask_the_operator_first(writing)
    for endpoint in declaration.endpoints:  # as they are started, whichever network each is on
        network = declaration.network(endpoint.network)
        if network.internal or network.subnet(family) is None:
            continue
        for port in classic_bindings(endpoint, network, family):
            publish(writing, network, endpoint, port, declaration)
    return writing


def start_daemon(writing: Writing) -> None:
    """The chains as they stand before the first network."""
    writing.policy("filter", "FORWARD", "DROP")
    writing.chain("nat", "DOCKER")
    for chain in ("DOCKER", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"):
        writing.chain("filter", chain)
    if writing.family == 4:
        writing.chain("filter", "DOCKER-USER")
        writing.append("filter", "-A DOCKER-USER -j RETURN")
        ask_the_operator_first(writing)
    for chain in ("DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"):
        writing.append("filter", f"-A {chain} -j RETURN")


def create_network(writing: Writing, network: Network, declaration: Declaration) -> None:
    """What `docker network create` adds; the newest network's rules stand on top."""
    subnet = network.subnet(writing.family)
    if subnet is not None and network.internal:
        keep_internal(writing, network)
    elif subnet is not None:
        if network.ip_masq and network.gateway_mode(writing.family) != "routed":
            masquerade_outgoing(writing, network)
            if declaration.userland_proxy:
                skip_translation_from_containers(writing, network)
        if not declaration.userland_proxy:
            masquerade_from_this_host(writing, network)
        let_containers_talk(writing, network)
        let_out(writing, network)
        look_up_published_ports(writing, declaration)
        let_published_in(writing, network)
        let_replies_in(writing, network)
    if subnet is not None:
        writing.on_top("filter", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1")
    if not network.internal:
        isolate_from_other_bridges(writing, network)


def ask_the_operator_first(writing: Writing) -> None:
    """DOCKER-USER is asked before all of Docker's own rules; the rules in it are the operator's."""
    writing.on_top("filter", "-A FORWARD -j DOCKER-USER")


def masquerade_outgoing(writing: Writing, network: Network) -> None:
    """What a container sends out of its bridge takes the host's address, or nobody outside could answer."""
    source = f"-A POSTROUTING -s {network.subnet(writing.family)} ! -o {network.bridge}"
    writing.insert("nat", f"{source} {new_source(network, writing.family)}")


def skip_translation_from_containers(writing: Writing, network: Network) -> None:
    """A container that connects to a published port is left to the userland proxy: its packet is not translated."""
    writing.insert("nat", f"-A DOCKER -i {network.bridge} -j RETURN")


def masquerade_from_this_host(writing: Writing, network: Network) -> None:
    """What this host sends to a container takes the bridge's address: a container could not answer 127.0.0.1."""
    source = f"-A POSTROUTING -o {network.bridge} -m addrtype --src-type LOCAL"
    writing.insert("nat", f"{source} {new_source(network, writing.family)}")


def new_source(network: Network, family: int) -> str:
    """The target that changes the source: to the address given, else to that of the interface it leaves by."""
    outbound = network.outbound(family)
    return "-j MASQUERADE" if outbound is None else f"-j SNAT --to-source {outbound}"


def let_containers_talk(writing: Writing, network: Network) -> None:
    """Containers on one bridge may talk to each other, or, with icc off, may not."""
    inside = f"-A FORWARD -i {network.bridge} -o {network.bridge}"
    if network.icc:
        writing.insert("filter", f"{inside} -j ACCEPT")
    else:
        writing.append("filter", f"{inside} -j DROP")


def let_out(writing: Writing, network: Network) -> None:
    """Containers may talk to anybody that is not on their bridge."""
    writing.insert("filter", f"-A FORWARD -i {network.bridge} ! -o {network.bridge} -j ACCEPT")


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


def let_published_in(writing: Writing, network: Network) -> None:
    """What is about to enter a bridge is looked up among the published ports."""
    writing.insert("filter", f"-A FORWARD -o {network.bridge} -j DOCKER")


def let_replies_in(writing: Writing, network: Network) -> None:
    """Replies to what containers asked come back in."""
    writing.insert(
        "filter", f"-A FORWARD -o {network.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
    )


def isolate_from_other_bridges(writing: Writing, network: Network) -> None:
    """Containers of one bridge do not reach those of another: out of one bridge (stage 1), into another (stage 2)."""
    bridge = network.bridge
    writing.insert(
        "filter", f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2"
    )
    writing.insert("filter", f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP")


def keep_internal(writing: Writing, network: Network) -> None:
    """An internal network neither sends to the outside nor gets anything from it."""
    bridge, subnet = network.bridge, network.subnet(writing.family)
    writing.insert("filter", f"-A DOCKER-ISOLATION-STAGE-1 ! -d {subnet} -i {bridge} -j DROP")
    writing.insert("filter", f"-A DOCKER-ISOLATION-STAGE-1 ! -s {subnet} -o {bridge} -j DROP")
    let_containers_talk(writing, network)


def publish(
    writing: Writing, network: Network, endpoint: Endpoint, port: PortMap, declaration: Declaration
) -> None:
    """What one published port adds."""
    if endpoint.address(writing.family) is None:
        return
    if port.published is not None and network.gateway_mode(writing.family) != "routed":
        publish_port(writing, network, endpoint, port, declaration)
    open_port(writing, network, endpoint, port)
    if port.published is not None and network.gateway_mode(writing.family) != "routed":
        masquerade_to_itself(writing, endpoint, port)
    if port.protocol == "sctp":
        fill_in_checksums(writing, port)


def publish_port(
    writing: Writing, network: Network, endpoint: Endpoint, port: PortMap, declaration: Declaration
) -> None:
    """A connection to the host's port is sent on to the container's port."""
    protocol, address = port.protocol, endpoint.address(writing.family)
    assert address is not None
    assert port.published is not None
    but = f"! -i {network.bridge} " if declaration.userland_proxy else ""
    asked = f"{host_part(port)}{but}-p {protocol} -m {protocol} --dport {port.published}"
    writing.append("nat", f"-A DOCKER {asked} -j DNAT --to-destination {bracketed(address)}:{port.target}")


def open_port(writing: Writing, network: Network, endpoint: Endpoint, port: PortMap) -> None:
    """The container's published port is open to everybody who is not on its bridge."""
    protocol, bridge = port.protocol, network.bridge
    asked = f"-d {endpoint.address(writing.family)} ! -i {bridge} -o {bridge} -p {protocol} -m {protocol}"
    writing.append("filter", f"-A DOCKER {asked} --dport {port.target} -j ACCEPT")


def masquerade_to_itself(writing: Writing, endpoint: Endpoint, port: PortMap) -> None:
    """A container that opens its own published port gets the packet back with the host's address as its source.

    With its own address as source it would drop the packet, and its answer would never pass the host to be translated
    back.
    """
    protocol, address = port.protocol, endpoint.address(writing.family)
    asked = f"-s {address} -d {address} -p {protocol} -m {protocol} --dport {port.target}"
    writing.append("nat", f"-A POSTROUTING {asked} -j MASQUERADE")


def fill_in_checksums(writing: Writing, port: PortMap) -> None:
    """The checksum of an SCTP answer is computed here: network cards leave it out and translation needs it."""
    writing.append(
        "mangle", f"-A POSTROUTING -p sctp -m sctp --sport {port.target} -j CHECKSUM --checksum-fill"
    )
