"""Our own layout: the fewest rules that keep every promise, on the fewest things asked of the kernel.

All rules stand in chains of our own (``RF-…``), each reached by one marked jump. What is published is one rule in nat, a range
of ports included; filter needs none for it, because a connection whose destination was translated is known as such
(``--ctstate DNAT``). The same state tells hairpin connections, so that neither br_netfilter nor hairpin mode is needed for
siblings. Direct access to a container's address is refused in filter, where replies can be told apart, not in raw as Docker
does: without masquerading, raw would refuse the replies too. Only packets to 127.0.0.0/8 from elsewhere are dropped in raw,
because translation comes before the kernel refuses them.
"""

from collections.abc import Iterator

from ruleflow.bridge.declaration import Declaration, Endpoint, Network, PortMap, bracketed
from ruleflow.bridge.layouts.docker_bindings import bound, host_part
from ruleflow.bridge.layouts.writing import Writing
from ruleflow.ruleset.words import quote

MARKER = "ruleflow"
"""What the comments of our rules begin with."""


def write(declaration: Declaration, family: int) -> Writing:
    """The rules of ``declaration``; none where no network has addresses of ``family``."""
    layout = NativeLayout(declaration, family)
    layout.write()
    return layout.writing


class NativeLayout:
    """The rules while they are written."""

    def __init__(self, declaration: Declaration, family: int) -> None:
        self.declaration, self.family = declaration, family
        self.prefix = declaration.apply.prefix
        self.writing = Writing(family)
        self.networks = [network for network in declaration.networks if network.subnet(family) is not None]

    def write(self) -> None:
        """Everything, table by table."""
        if not self.networks:
            return
        if any(served_at_localhost(network, self.family) for network in self.networks):
            self.drop_loopback_from_elsewhere()
        self.decide_what_passes()
        if any(translated(network, self.family) for network in self.networks):
            self.translate()

    def comment(self, *names: str) -> str:
        """The marker of a rule, as the words that end its conditions."""
        if not self.declaration.apply.comment:
            return ""
        return f"-m comment --comment {quote(':'.join((MARKER, '/'.join(names))) if names else MARKER)} "

    # -- raw --------------------------------------------------------------------------------------------

    def drop_loopback_from_elsewhere(self) -> None:
        """Only this host itself may send to 127.0.0.0/8: what arrives for it from elsewhere is dropped.

        Ports published on 127.0.0.1 would be translated before the kernel refuses such a packet, and where a bridge may
        route 127.0.0.1 (route_localnet) its containers would reach what this host keeps to itself.
        """
        guard = f"{self.prefix}-GUARD"
        self.writing.chain("raw", guard)
        self.writing.append("raw", f"-A PREROUTING {self.comment()}-j {guard}")
        self.writing.append("raw", f"-A {guard} -d 127.0.0.0/8 ! -i lo {self.comment()}-j DROP")

    # -- filter -----------------------------------------------------------------------------------------

    def decide_what_passes(self) -> None:
        """What passes through is decided about here: internal bridges first, then all that enters a bridge, then what leaves one.

        So a way out of one bridge is no way into another.
        """
        for chain in ("FORWARD", "USER"):
            self.writing.chain("filter", f"{self.prefix}-{chain}")
        self.writing.append("filter", f"-A FORWARD {self.comment()}-j {self.prefix}-FORWARD")
        self.ask_the_operator_first()
        for network in self.networks:
            if network.internal:
                self.keep_internal(network)
        for network in self.networks:
            if not network.internal:
                self.let_in(network)
        for network in self.networks:
            self.let_out(network)

    def forward(self, network: Network, text: str) -> None:
        """A rule about what passes."""
        conditions, _, target = text.rpartition("-j ")
        self.writing.append(
            "filter", f"-A {self.prefix}-FORWARD {conditions}{self.comment(network.name)}-j {target}"
        )

    def ask_the_operator_first(self) -> None:
        """The operator's own chain is asked before our rules; nothing of ours is ever in it."""
        self.writing.append("filter", f"-A {self.prefix}-FORWARD {self.comment()}-j {self.prefix}-USER")

    def let_in(self, network: Network) -> None:
        """What may enter a bridge, and an end to the rest."""
        if network.gateway_mode(self.family) == "routed":
            self.let_replies_in(network)
            self.open_routed_ports(network)
        else:
            self.let_replies_and_published_in(network)
        for interface in network.trusted_host_interfaces:
            self.trust_interface(network, interface)
        if network.gateway_mode(self.family) != "nat-unprotected":
            self.drop_direct_access(network)
            return
        if not network.icc:
            self.forward(network, f"-i {network.bridge} -o {network.bridge} -j DROP")
        self.let_everybody_in(network)

    def let_replies_and_published_in(self, network: Network) -> None:
        """Replies come back in, and so does what was sent to a published port: its destination was translated."""
        self.forward(
            network, f"-o {network.bridge} -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"
        )

    def let_replies_in(self, network: Network) -> None:
        """Replies to what containers asked come back in."""
        self.forward(network, f"-o {network.bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")

    def trust_interface(self, network: Network, interface: str) -> None:
        """What arrives on a trusted interface may go to containers directly."""
        self.forward(network, f"-i {interface} -o {network.bridge} -j ACCEPT")

    def open_routed_ports(self, network: Network) -> None:
        """Containers of a routed network are reached at their own addresses: by pings, and at their published ports."""
        protocol = "icmp" if self.family == 4 else "ipv6-icmp"
        self.forward(network, f"-o {network.bridge} -p {protocol} -j ACCEPT")
        for endpoint in self.declaration.on(network):
            address = endpoint.address(self.family)
            for port in endpoint.ports if address is not None else ():
                asked = f"-d {address} -o {network.bridge} -p {port.protocol} -m {port.protocol} --dport {port.target}"
                self.forward(network, f"{asked} -j ACCEPT")

    def drop_direct_access(self, network: Network) -> None:
        """Nothing else enters the bridge: not what is sent to a container's own address, and with icc off no sibling."""
        elsewhere = f"! -i {network.bridge} " if network.icc else ""
        self.forward(network, f"{elsewhere}-o {network.bridge} -j DROP")

    def let_everybody_in(self, network: Network) -> None:
        """Containers of a network that is not protected are open to everybody."""
        self.forward(network, f"-o {network.bridge} -j ACCEPT")

    def keep_internal(self, network: Network) -> None:
        """An internal network neither sends to the outside nor gets anything from it; with icc off nothing passes at all."""
        elsewhere = f"! -i {network.bridge} " if network.icc else ""
        self.forward(network, f"{elsewhere}-o {network.bridge} -j DROP")
        self.forward(network, f"-i {network.bridge} ! -o {network.bridge} -j DROP")

    def let_out(self, network: Network) -> None:
        """What comes from a bridge and was not refused so far may pass: to siblings, and to anybody outside."""
        self.forward(network, f"-i {network.bridge} -j ACCEPT")

    # -- nat --------------------------------------------------------------------------------------------

    def translate(self) -> None:
        """The published ports, and the source addresses."""
        for chain in ("PUBLISH", "SOURCE"):
            self.writing.chain("nat", f"{self.prefix}-{chain}")
        self.look_up_published_ports()
        self.writing.append("nat", f"-A POSTROUTING {self.comment()}-j {self.prefix}-SOURCE")
        for network in self.networks:
            if translated(network, self.family):
                self.choose_source(network)
                for endpoint, port in published(self.declaration, network, self.family):
                    self.publish_port(network, endpoint, port)

    def look_up_published_ports(self) -> None:
        """Packets to an address of this host are looked up among the published ports, those of this host itself as well.

        Not from link-local IPv6 addresses, which say nothing without their interface; and ::1 cannot leave this host at all.
        """
        source, destination = ("", "") if self.family == 4 else ("! -s fe80::/10 ", "! -d ::1/128 ")
        local = f"-m addrtype --dst-type LOCAL {self.comment()}-j {self.prefix}-PUBLISH"
        self.writing.append("nat", f"-A PREROUTING {source}{local}")
        self.writing.append("nat", f"-A OUTPUT {destination}{local}")

    def choose_source(self, network: Network) -> None:
        """Packets of our networks are given another source here, where nobody could answer them otherwise."""
        if network.ip_masq:
            self.masquerade_outgoing(network)
        if network.hairpin == "conntrack":
            self.masquerade_hairpin(network)
        if network.hairpin == "docker":
            for endpoint, port in published(self.declaration, network, self.family):
                self.masquerade_to_itself(network, endpoint, port)
        if served_at_localhost(network, self.family):
            self.masquerade_localhost(network)

    def source(self, network: Network, text: str) -> None:
        """A rule that changes the source."""
        conditions, _, target = text.rpartition("-j ")
        self.writing.append(
            "nat", f"-A {self.prefix}-SOURCE {conditions}{self.comment(network.name)}-j {target}"
        )

    def masquerade_outgoing(self, network: Network) -> None:
        """What a container sends out of its bridge takes the host's address, or nobody outside could answer."""
        outbound = network.outbound(self.family)
        target = "MASQUERADE" if outbound is None else f"SNAT --to-source {outbound}"
        self.source(network, f"-s {network.subnet(self.family)} ! -o {network.bridge} -j {target}")

    def masquerade_hairpin(self, network: Network) -> None:
        """A container that reaches itself or a sibling by a published port comes with the bridge's address.

        Else the answer would go straight back, past this host, with an address the asker never wrote to.
        """
        asked = f"-s {network.subnet(self.family)} -o {network.bridge} -m conntrack --ctstate DNAT"
        self.source(network, f"{asked} -j MASQUERADE")

    def masquerade_to_itself(self, network: Network, endpoint: Endpoint, port: PortMap) -> None:
        """A container that opens its own published port gets the packet back with the bridge's address as its source."""
        address = endpoint.address(self.family)
        asked = f"-s {address} -d {address} -o {network.bridge} -p {port.protocol} -m {port.protocol} --dport {port.target}"
        self.source(network, f"{asked} -j MASQUERADE")

    def masquerade_localhost(self, network: Network) -> None:
        """What this host sends to 127.0.0.1 comes to a container with the bridge's address: it could not answer 127.0.0.1."""
        self.source(network, f"-s 127.0.0.0/8 -o {network.bridge} -j MASQUERADE")

    def publish_port(self, network: Network, endpoint: Endpoint, port: PortMap) -> None:
        """A connection to the host's ports is sent on to the container's ports."""
        but = f"! -i {network.bridge} " if network.hairpin == "off" else ""
        local = "" if host_part(port) or network.localhost or self.family == 6 else "! -d 127.0.0.0/8 "
        asked = f"{host_part(port)}{local}{but}-p {port.protocol} -m {port.protocol} --dport {port.published}"
        to = destination(endpoint, port, self.family)
        comment = self.comment(network.name, endpoint.name)
        self.writing.append("nat", f"-A {self.prefix}-PUBLISH {asked} {comment}-j DNAT --to-destination {to}")


def translated(network: Network, family: int) -> bool:
    """Whether a network's ports are published on the host's addresses of ``family``."""
    return (
        not network.internal
        and network.subnet(family) is not None
        and network.gateway_mode(family) != "routed"
    )


def served_at_localhost(network: Network, family: int) -> bool:
    """Whether this host reaches a network's published ports at 127.0.0.1 (IPv6 has no route_localnet)."""
    return family == 4 and network.localhost and translated(network, 4)


def published(declaration: Declaration, network: Network, family: int) -> Iterator[tuple[Endpoint, PortMap]]:
    """The port maps of a network that rules can serve, each with its endpoint; those on ::1 are left out."""
    for endpoint in declaration.on(network):
        for port in endpoint.ports if endpoint.address(family) is not None else ():
            if port.published is None or not port.serves(family):
                continue
            served = bound(port, network, family)
            if family == 4 or served.host_ip is None or not served.host_ip.is_loopback:
                yield endpoint, served


def destination(endpoint: Endpoint, port: PortMap, family: int) -> str:
    """Where a port map leads, as DNAT writes it: a range of ports shifted where it must be, left alone where it may.

    A shift (``80-83/9000``) is known to kernels from 4.18 on.
    """
    address = endpoint.address(family)
    assert address is not None
    assert port.published is not None
    if port.target.low == port.target.high:
        return f"{bracketed(address)}:{port.target}"
    if port.target == port.published:
        return str(address)
    return f"{bracketed(address)}:{port.target.low}-{port.target.high}/{port.published.low}"
