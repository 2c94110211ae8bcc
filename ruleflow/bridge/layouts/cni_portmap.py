"""The CNI plugins: bridge with ipMasq (pkg/ip/ipmasq_linux.go), then portmap (plugins/meta/portmap), iptables backend.

A container's id is the endpoint's name here, and a network's name its own.
"""

import hashlib
from collections.abc import Iterator

from ruleflow.bridge.declaration import Declaration, Endpoint, Network, PortMap, bracketed
from ruleflow.bridge.layouts.docker_bindings import bound, host_part
from ruleflow.bridge.layouts.writing import Writing
from ruleflow.ruleset.words import quote

_PORTS_OF_A_RULE = 15


def write(declaration: Declaration, family: int) -> Writing:
    """The rules that the plugins make, container by container."""
    writing = Writing(family)
    for endpoint in declaration.endpoints:
        network = declaration.network(endpoint.network)
        if endpoint.address(family) is None:
            continue
        if network.ip_masq and not network.internal:
            masquerade_outgoing(writing, network, endpoint)
        ports = list(_ports(network, endpoint, family))
        if ports:
            forward_ports(writing, network, endpoint, ports)
    return writing


def chain_name(prefix: str, network: Network, endpoint: Endpoint) -> str:
    """The name of a container's chain: ``CNI-``, the prefix and a hash, cut to the kernel's 28 characters."""
    digest = hashlib.sha512(f"{network.name}{endpoint.name}".encode()).hexdigest()
    return f"CNI-{prefix}{digest}"[:28]


def masquerade_outgoing(writing: Writing, network: Network, endpoint: Endpoint) -> None:
    """What the container sends to anybody outside its network, multicast apart, takes the host's address."""
    chain = chain_name("", network, endpoint)
    comment = f"-m comment --comment {_comment('name: ', network, endpoint)}"
    everybody = "224.0.0.0/4" if writing.family == 4 else "ff00::/8"
    writing.chain("nat", chain)
    writing.append("nat", f"-A {chain} -d {network.subnet(writing.family)} {comment} -j ACCEPT")
    writing.append("nat", f"-A {chain} ! -d {everybody} {comment} -j MASQUERADE")
    writing.append("nat", f"-A POSTROUTING -s {endpoint.address(writing.family)} {comment} -j {chain}")


def forward_ports(writing: Writing, network: Network, endpoint: Endpoint, ports: list[PortMap]) -> None:
    """What a container with published ports adds; the first one also brings the chains all share."""
    masquerade_marked(writing)
    look_up_published_ports(writing)
    chain = chain_name("DN-", network, endpoint)
    writing.chain("nat", chain)
    for protocol in sorted({port.protocol for port in ports}):
        numbers = [str(port.published) for port in ports if port.protocol == protocol]
        for start in range(0, len(numbers), _PORTS_OF_A_RULE):
            find_container(writing, network, endpoint, protocol, numbers[start : start + _PORTS_OF_A_RULE])
    for port in ports:
        mark_hairpin(writing, network, chain, port)
        if writing.family == 4:
            mark_localhost(writing, chain, port)
        publish_port(writing, endpoint, chain, port)


def look_up_published_ports(writing: Writing) -> None:
    """Packets to an address of this host are looked up among the published ports, those of this host itself as well."""
    writing.chain("nat", "CNI-HOSTPORT-DNAT")
    for hook in ("PREROUTING", "OUTPUT"):
        writing.append("nat", f"-A {hook} -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT")


def masquerade_marked(writing: Writing) -> None:
    """What was marked on its way in takes the host's address on its way out, before other rules choose a source."""
    comment = '-m comment --comment "CNI portfwd masquerade mark"'
    for chain in ("CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ"):
        writing.chain("nat", chain)
    writing.append("nat", f"-A CNI-HOSTPORT-SETMARK {comment} -j MARK --set-xmark 0x2000/0x2000")
    writing.append("nat", "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE")
    asked = '-m comment --comment "CNI portfwd requiring masquerade"'
    writing.on_top("nat", f"-A POSTROUTING {asked} -j CNI-HOSTPORT-MASQ")


def find_container(
    writing: Writing, network: Network, endpoint: Endpoint, protocol: str, numbers: list[str]
) -> None:
    """The published ports lead to their container's chain, at most 15 by one rule."""
    comment = f"-m comment --comment {_comment('dnat name: ', network, endpoint)}"
    asked = f"-p {protocol} {comment} -m multiport --dports {','.join(numbers)}"
    writing.append("nat", f"-A CNI-HOSTPORT-DNAT {asked} -j {chain_name('DN-', network, endpoint)}")


def mark_hairpin(writing: Writing, network: Network, chain: str, port: PortMap) -> None:
    """What comes from the container's own network must take the host's address, or the answer would not pass the host."""
    asked = f"-s {network.subnet(writing.family)} {host_part(port)}{_asked(port)}"
    writing.append("nat", f"-A {chain} {asked} -j CNI-HOSTPORT-SETMARK")


def mark_localhost(writing: Writing, chain: str, port: PortMap) -> None:
    """What this host sends to 127.0.0.1 must take the host's address: the container could not answer 127.0.0.1."""
    writing.append(
        "nat", f"-A {chain} -s 127.0.0.1/32 {host_part(port)}{_asked(port)} -j CNI-HOSTPORT-SETMARK"
    )


def publish_port(writing: Writing, endpoint: Endpoint, chain: str, port: PortMap) -> None:
    """A connection to the host's port is sent on to the container's port."""
    address = endpoint.address(writing.family)
    assert address is not None
    to = f"{bracketed(address)}:{port.target}"
    writing.append("nat", f"-A {chain} {host_part(port)}{_asked(port)} -j DNAT --to-destination {to}")


def _asked(port: PortMap) -> str:
    return f"-p {port.protocol} -m {port.protocol} --dport {port.published}"


def _comment(text: str, network: Network, endpoint: Endpoint) -> str:
    return quote(f'{text}"{network.name}" id: "{endpoint.name}"')


def _ports(network: Network, endpoint: Endpoint, family: int) -> Iterator[PortMap]:
    for port in endpoint.ports:
        if port.published is not None and port.serves(family):
            yield from bound(port, network, family).singly()
