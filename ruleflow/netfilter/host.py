"""One network namespace as a value: what the kernel knows that a rule or a routing decision may ask for."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from ruleflow.netfilter.ipset import IpSet
from ruleflow.netfilter.numbers import address_text, within

if TYPE_CHECKING:
    from ruleflow.ruleset.ir import Ruleset


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """An address of an interface.

    ``peer`` is the address whose prefix is on the link (ifa_address): the address itself but on
    point-to-point links. ``scope`` is ``global``, ``site``, ``link`` or ``host``; ``flags`` are iproute2's
    words (``secondary``, ``deprecated``, ``tentative``, ``dadfailed``, ``temporary`` …).
    """

    family: int
    address: int
    length: int
    scope: str = "global"
    peer: int | None = None
    broadcast: int | None = None
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{address_text(self.address, self.family)}/{self.length}"

    def on_link(self, address: int) -> bool:
        """Whether ``address`` is in this address's prefix (inet_ifa_match, include/linux/inetdevice.h)."""
        network = self.address if self.peer is None else self.peer
        return within(address, network, self.length, self.family)


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A link.

    ``peer_index`` is the index of the other end (veth) or the device below (macvlan, vlan), in the namespace
    ``peer_namespace`` knows it by (a number of this namespace, None: the same namespace), ``peer`` its name
    where it is in the same namespace. ``master`` is the bridge (or bond, vrf) it belongs to; ``mode`` is that of
    a macvlan or ipvlan.
    """

    index: int
    name: str
    kind: str = ""
    flags: tuple[str, ...] = ("UP", "LOWER_UP")
    state: str = "UNKNOWN"
    mac: int | None = None
    mtu: int = 1500
    master: str | None = None
    master_kind: str = ""
    group: str = "default"
    peer: str | None = None
    peer_index: int | None = None
    peer_namespace: int | None = None
    mode: str = ""
    addresses: tuple[Address, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether the administrator switched it on (IFF_UP)."""
        return "UP" in self.flags

    @property
    def has_carrier(self) -> bool:
        """Whether the other side is there (IFF_LOWER_UP)."""
        return "LOWER_UP" in self.flags

    @property
    def is_loopback(self) -> bool:
        """Whether it is a loopback device (IFF_LOOPBACK)."""
        return "LOOPBACK" in self.flags or self.name == "lo"


class BridgePort(msgspec.Struct, frozen=True, kw_only=True):
    """How an interface is plugged into its bridge (bridge(8), ``bridge link``)."""

    interface: str
    bridge: str
    hairpin: bool = False
    isolated: bool = False
    state: str = "forwarding"
    learning: bool = True


class Nexthop(msgspec.Struct, frozen=True, kw_only=True):
    """One way a route may take; ``gateway`` is None where the destination is on the link."""

    interface: str | None = None
    gateway: int | None = None
    gateway_family: int = 4
    weight: int = 1
    flags: tuple[str, ...] = ()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """A route of one table. ``kind`` is iproute2's word: unicast, local, broadcast, unreachable, …"""

    family: int
    destination: int
    length: int
    table: str = "main"
    kind: str = "unicast"
    nexthops: tuple[Nexthop, ...] = ()
    scope: str = "global"
    source: int = 0
    source_length: int = 0
    preferred_source: int | None = None
    metric: int = 0
    tos: int = 0
    protocol: str = "boot"
    preference: str = "medium"

    def __str__(self) -> str:
        """The route about as ``ip route`` says it."""
        prefix = f"{address_text(self.destination, self.family)}/{self.length}"
        parts = [] if self.kind == "unicast" else [self.kind]
        parts.append("default" if self.length == 0 else prefix)
        for hop in self.nexthops:
            parts += [] if hop.gateway is None else ["via", address_text(hop.gateway, hop.gateway_family)]
            parts += [] if hop.interface is None else ["dev", hop.interface]
        return " ".join(parts)


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``ip rule``: when it applies, and which table (or verdict) then decides.

    ``action`` is ``lookup``, ``goto``, ``nop``, ``unreachable``, ``prohibit`` or ``blackhole``.
    """

    family: int
    priority: int
    action: str = "lookup"
    table: str = "main"
    goto: int | None = None
    negated: bool = False
    source: int = 0
    source_length: int = 0
    destination: int = 0
    destination_length: int = 0
    iif: str | None = None
    oif: str | None = None
    mark: int = 0
    mask: int = 0
    uids: tuple[int, int] | None = None
    protocol: int | None = None
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    tos: int = 0
    suppress_length: int = -1
    suppress_group: str | None = None

    def __str__(self) -> str:
        what = f"lookup {self.table}" if self.action == "lookup" else self.action
        return f"{self.priority}: {what}"


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the neighbour table: which link-layer address answers for an address."""

    family: int
    address: int
    interface: str
    mac: int | None = None
    state: tuple[str, ...] = ()


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that waits for packets.

    ``family`` is 4, 6, or 0 for a socket that takes both; ``address`` None is every address; ``container`` is whose
    process it is, where that is known: of several that share the host's network only that tells them apart.
    """

    protocol: str
    port: int
    family: int = 0
    address: int | None = None
    interface: str | None = None
    process: str = ""
    container: str = ""


class Relay(msgspec.Struct, frozen=True, kw_only=True):
    """What a userland proxy (docker-proxy) does: takes connections at one place, opens them to another.

    ``answers_as_asked``: its udp answers come from the address that was asked (Docker 28 and later, moby pull request
    48571), not from the one that routing chooses.
    """

    protocol: str
    family: int
    address: int
    port: int
    to_family: int
    to_address: int
    to_port: int
    answers_as_asked: bool = False


class RulesText(msgspec.Struct, frozen=True):
    """A dump of one family and backend (``nft`` or ``legacy``) as its tool wrote it."""

    family: int
    backend: str
    text: str

    @property
    def rulesets(self) -> "tuple[Ruleset, ...]":
        """The rule sets in it, read once.

        :raises RuleflowError: where the dump cannot be read.
        """
        return _rulesets(self.text)


class Sysctls(msgspec.Struct, frozen=True):
    """Kernel settings by name (``net.ipv4.ip_forward``), sorted."""

    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, settings: dict[str, str]) -> "Sysctls":
        """The same settings as a value."""
        return cls(tuple(sorted(settings.items())))

    def get(self, name: str) -> str | None:
        """The setting's text, None where it is not known."""
        at = bisect_left(self.values, (name,))
        if at < len(self.values) and self.values[at][0] == name:
            return self.values[at][1]
        return None

    def number(self, name: str) -> int | None:
        """The setting as a number, None where it is not known."""
        text = self.get(name)
        return int(text) if text is not None and text.lstrip("-").isdecimal() else None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """One network namespace.

    ``unknown`` lists, as sentences, the facts that were not given; ``assumed`` those that were taken from the
    kernel's defaults. A field that is None was not given at all; an empty tuple means "there are none".
    ``namespaces`` are other hosts by the numbers (link-netnsid) under which this one knows them.
    """

    name: str = "host"
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] | None = None
    rules: tuple[PolicyRule, ...] | None = None
    ports: tuple[BridgePort, ...] = ()
    sysctls: Sysctls | None = None
    sets: tuple[IpSet, ...] | None = None
    neighbours: tuple[Neighbour, ...] = ()
    listeners: tuple[Listener, ...] | None = None
    relays: tuple[Relay, ...] = ()
    dumps: tuple[RulesText, ...] = ()
    namespaces: tuple[tuple[int, str], ...] = ()
    unknown: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    def interface(self, name: str | None) -> Interface | None:
        """The interface called ``name``."""
        return next((link for link in self.interfaces if link.name == name), None)

    def addresses(self, family: int) -> Iterator[tuple[Interface, Address]]:
        """Every address of ``family`` with its interface, in the kernel's order."""
        for link in self.interfaces:
            for address in link.addresses:
                if address.family == family:
                    yield link, address

    def owns(self, address: int, family: int) -> bool:
        """Whether an interface has ``address`` (inet_lookup_ifaddr_rcu, ipv6_chk_addr)."""
        return any(own.address == address for _, own in self.addresses(family))

    def port(self, interface: str) -> BridgePort | None:
        """How ``interface`` is plugged into a bridge, None where it is not."""
        return next((port for port in self.ports if port.interface == interface), None)

    def plugged_into(self, bridge: str) -> tuple[BridgePort, ...]:
        """The ports of ``bridge``."""
        return tuple(port for port in self.ports if port.bridge == bridge)

    def set(self, name: str) -> IpSet | None:
        """The ipset called ``name``."""
        return next((one for one in self.sets or () if one.name == name), None)

    def neighbour(self, address: int, family: int, interface: str | None = None) -> Neighbour | None:
        """Who answers for ``address`` (on ``interface``, if given)."""
        for entry in self.neighbours:
            if (entry.address, entry.family) == (address, family) and interface in (None, entry.interface):
                return entry
        return None

    def listener(self, protocol: str, address: int, port: int, family: int) -> Listener | None:
        """The socket that takes a packet to ``address`` and ``port``: the one bound most closely.

        The order is compute_score's (net/ipv4/inet_hashtables.c, udp.c): a bound address counts more than a
        wildcard, a socket of the packet's own family more than one that takes both.
        """
        fits = [
            one
            for one in self.listeners or ()
            if (one.protocol, one.port) == (protocol, port)
            and one.family in (family, 0)
            and one.address in (None, address)
        ]
        return max(fits, key=lambda one: (one.address is not None, one.family == family), default=None)

    def relay(self, protocol: str, address: int, port: int, family: int) -> Relay | None:
        """The proxy that takes a connection to ``address`` and ``port``, and where it relays it."""
        for one in self.relays:
            if (one.protocol, one.port, one.family) == (protocol, port, family) and one.address in (
                0,
                address,
            ):
                return one
        return None

    def rulesets(self, family: int) -> "Iterator[tuple[str, Ruleset]]":
        """The backend's name and the rule set, for each dump of ``family``."""
        for dump in self.dumps:
            if dump.family == family:
                for ruleset in dump.rulesets:
                    yield dump.backend, ruleset

    def forwards(self, family: int, interface: str | None = None) -> bool | None:
        """Whether a packet that arrived on ``interface`` is passed on; None where that is not known.

        IPv4 asks the arriving interface (IN_DEV_FORWARD in ip_route_input_slow, net/ipv4/route.c), IPv6 the
        whole namespace (devconf_all->forwarding in ip6_forward, net/ipv6/ip6_output.c) or, since 6.17, the
        interface's force_forwarding.
        """
        if family == 6:
            forced = self._conf(6, interface, "force_forwarding")
            everywhere = self._conf(6, "all", "forwarding")
            return True if forced else None if everywhere is None else everywhere != 0
        own = self._conf(4, interface, "forwarding") if interface else None
        if own is None:
            own = self._conf(4, "all", "forwarding")
        if own is None and self.sysctls is not None:
            own = self.sysctls.number("net.ipv4.ip_forward")
        return None if own is None else own != 0

    def rp_filter(self, interface: str) -> int | None:
        """0, 1 (strict) or 2 (loose): the greater of ``all`` and the interface (IN_DEV_RPFILTER)."""
        return self._combined("rp_filter", interface)

    def accept_local(self, interface: str) -> bool | None:
        """Whether own addresses may arrive as source: ``all`` or the interface (IN_DEV_ACCEPT_LOCAL)."""
        return _flag(self._combined("accept_local", interface))

    def route_localnet(self, interface: str) -> bool | None:
        """Whether 127/8 is routed there: ``all`` or the interface (IN_DEV_ROUTE_LOCALNET)."""
        return _flag(self._combined("route_localnet", interface))

    def src_valid_mark(self, interface: str) -> bool | None:
        """Whether the reverse path is looked up with the packet's mark (IN_DEV_SRC_VMARK)."""
        return _flag(self._combined("src_valid_mark", interface))

    def send_redirects(self, interface: str) -> bool | None:
        """Whether redirects are sent there: ``all`` or the interface (IN_DEV_TX_REDIRECTS)."""
        return _flag(self._combined("send_redirects", interface))

    def ignores_linkdown(self, family: int, interface: str) -> bool | None:
        """Whether routes without carrier are passed over (ignore_routes_with_linkdown).

        IPv4: ``all`` or the interface (IN_DEV_CONF ORed); IPv6 the same (ip6_ignore_linkdown).
        """
        own = self._conf(family, interface, "ignore_routes_with_linkdown")
        everywhere = self._conf(family, "all", "ignore_routes_with_linkdown")
        return None if own is None and everywhere is None else bool(own or everywhere)

    def bridge_nf(self, family: int, bridge: str | None = None) -> bool | None:
        """Whether bridged frames of ``family`` visit iptables (br_netfilter's bridge-nf-call-*).

        Where settings are known and this one is absent, br_netfilter is not loaded: no. A bridge may switch
        it on for itself (nf_call_iptables, net/bridge/br_netfilter_hooks.c); that is kept as the setting
        ``net.bridge.BRIDGE.nf_call_iptables``.
        """
        if self.sysctls is None:
            return None
        word = "iptables" if family == 4 else "ip6tables"
        own = self.sysctls.number(f"net.bridge.{bridge}.nf_call_{word}") if bridge else None
        return bool(own or self.sysctls.number(f"net.bridge.bridge-nf-call-{word}"))

    def _conf(self, family: int, interface: str | None, setting: str) -> int | None:
        if self.sysctls is None or interface is None:
            return None
        name = interface.replace(".", "/")  # sysctl(8): a dot in an interface's name is written as a slash
        return self.sysctls.number(f"net.ipv{family}.conf.{name}.{setting}")

    def _combined(self, setting: str, interface: str) -> int | None:
        """IN_DEV_ORCONF and IN_DEV_MAXCONF of include/linux/inetdevice.h: the greater of the two."""
        pair = self._conf(4, "all", setting), self._conf(4, interface, setting)
        known = [value for value in pair if value is not None]
        return max(known) if known else None


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


@lru_cache(maxsize=64)
def _rulesets(text: str) -> "tuple[Ruleset, ...]":
    from ruleflow.ruleset.parse import parse

    return parse(text).rulesets
