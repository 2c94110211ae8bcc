"""Stand-ins: an interface, network, address or port that nothing else has, and a declaration made of them.

A layout that is asked to write this declaration shows where in its rules which of them stands.
"""

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from ruleflow.bridge.declaration import (
    GATEWAY_MODES,
    HAIRPINS,
    Apply,
    Declaration,
    Endpoint,
    Network,
    PortMap,
)
from ruleflow.ruleset.addresses import Prefix, full_mask
from ruleflow.ruleset.values import Range

Value = bool | str | None
Options = tuple[Value, ...]
"""A choice for each of `OPTIONS`. For those with a value of their own (`VALUED`): whether one is given."""

OPTIONS: dict[str, tuple[Value, ...]] = {
    "icc": (True, False), "ip_masq": (True, False), "hairpin": HAIRPINS, "localhost": (True, False),
    "outbound_addr": (False, True), "trusted_host_interfaces": (False, True), "gateway_mode": GATEWAY_MODES,
    "internal": (False, True), "userland_proxy": (True, False),
}  # fmt: skip
"""The options that rules can tell of, by their names in a declaration, the default first; in the order in which they are
named where one or the other explains a difference."""

VALUED = ("outbound_addr", "trusted_host_interfaces")


class PortKind(msgspec.Struct, frozen=True):
    """What about a port map changes which rules it gets: the ``host`` address (``""``, ``one``, ``loopback``) and so on."""

    host: str
    sctp: bool
    published: bool


KINDS = tuple(
    [PortKind(host, sctp, True) for host in ("", "one", "loopback") for sctp in (False, True)]
    + [PortKind("", sctp, False) for sctp in (False, True)]
)

PUBLISHED, TARGET = 61000, 62000
BRIDGE, TRUSTED, NETWORK, ENDPOINT = "rf-bridge", "rf-trusted", "rfnetwork", "rfendpoint"
_SUBNET = {4: "198.18.7.0/24", 6: "3fff:7::/64"}
_ADDRESS = {4: "198.18.7.7", 6: "3fff:7::7"}
_OUTBOUND = {4: "198.19.1.1", 6: "3fff:1::1"}
_HOST = {4: "198.19.2.2", 6: "3fff:2::2"}
_LOOPBACK = {4: "127.9.8.7", 6: "::1"}


_AS_THEY_ARE = ("icc", "ip_masq", "hairpin", "localhost", "internal")
"""The options whose values are those of the fields of a `Network`."""


class StandIns:
    """The stand-ins of a family, made once."""

    def __init__(self, family: int) -> None:
        self.family, self.full = family, full_mask(family)
        self.subnet = ip_network(_SUBNET[family])
        self.address, self.outbound, self.host, self.loopback = (
            ip_address(each[family]) for each in (_ADDRESS, _OUTBOUND, _HOST, _LOOPBACK)
        )
        self.endpoint = self._endpoint()
        self.names = self._names()

    def _endpoint(self) -> Endpoint:
        """One that publishes a port of each kind."""
        hosts = {"": None, "one": self.host, "loopback": self.loopback}
        ports = []
        for number, kind in enumerate(KINDS):
            target = Range(TARGET + number, TARGET + number)
            published = Range(PUBLISHED + number, PUBLISHED + number) if kind.published else None
            ports.append(PortMap(target, published, hosts[kind.host], "sctp" if kind.sctp else "tcp"))
        address: dict[str, Any] = {f"address{self.family}": self.address}
        return Endpoint(ENDPOINT, NETWORK, ports=tuple(ports), **address)

    def _names(self) -> dict[Any, str]:
        """Which value stands for what."""
        hosts = {
            self.address: "address",
            self.outbound: "outbound",
            self.host: "host_ip",
            self.loopback: "host_ip",
        }
        subnet = Prefix(self.family, int(self.subnet.network_address), int(self.subnet.netmask))
        found: dict[Any, str] = {
            BRIDGE: "bridge", TRUSTED: "trusted", subnet: "subnet",
            Range(PUBLISHED, PUBLISHED): "published", Range(TARGET, TARGET): "target",
        }  # fmt: skip
        return found | {Prefix(self.family, int(one), self.full): name for one, name in hosts.items()}

    def declaration(self, options: dict[str, Value], prefix: str) -> Declaration:
        """One network with ``options``, and its endpoint."""
        given: dict[str, Any] = {name: value for name, value in options.items() if name in _AS_THEY_ARE}
        given[f"subnet{self.family}"] = self.subnet
        given[f"gateway_mode{self.family}"] = options.get("gateway_mode", "nat")
        if options.get("outbound_addr"):
            given[f"outbound{self.family}"] = self.outbound
        trusted = (TRUSTED,) if options.get("trusted_host_interfaces") else ()
        network = Network(NETWORK, BRIDGE, trusted_host_interfaces=trusted, **given)
        proxy = bool(options.get("userland_proxy", True))
        return Declaration((network,), (self.endpoint,), userland_proxy=proxy, apply=Apply(prefix=prefix))
