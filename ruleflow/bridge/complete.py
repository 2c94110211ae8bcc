"""What a declaration's parts mean together: what is left out is filled in, what contradicts is reported."""

from collections.abc import Container, Iterator
from ipaddress import IPv6Network
from typing import Any

import msgspec

from ruleflow.bridge.addresses import (
    by_hardware,
    first_host,
    free_address,
    free_subnet,
    interface_name,
    own_subnet6,
    routed_elsewhere,
    usable,
)
from ruleflow.bridge.declaration import Address, Declaration, Endpoint, Network, PortMap, Subnet
from ruleflow.bridge.draft import Draft, DraftEndpoint, DraftNetwork
from ruleflow.bridge.faults import Faults
from ruleflow.bridge.fields import suggestion
from ruleflow.bridge.ports import Wanted
from ruleflow.bridge.read_yaml import Value
from ruleflow.netfilter.host import Host
from ruleflow.ruleset.values import Range

_FAMILIES = (4, 6)


def complete(
    draft: Draft, faults: Faults, *, host: Host | None = None, before: Declaration | None = None
) -> Declaration:
    """The declaration of ``draft``; what is wrong goes to ``faults``, and then the result is not to be used."""
    completion = _Completion(draft, faults, host, before)
    networks = tuple(completion.networks())
    endpoints = tuple(completion.endpoints({network.name: network for network in networks}))
    proxy = draft.userland_proxy
    if proxy is None:
        proxy = all(network.hairpin != "docker" for network in networks)
    return Declaration(networks, endpoints, draft.layout, proxy, draft.apply)


class _Completion:
    def __init__(self, draft: Draft, faults: Faults, host: Host | None, before: Declaration | None) -> None:
        self.draft, self.faults, self.host = draft, faults, host
        self.before = before or Declaration()
        self.subnets: list[tuple[Subnet, str]] = [
            (pool["subnet"], network.name)
            for network in draft.networks
            for _, pool in network.pools
            if "subnet" in pool
        ]
        self.taken: dict[str, dict[Address, str]] = {network.name: {} for network in draft.networks}
        """Who has which address, by network."""
        self.given: dict[tuple[str, int], Address] = {}
        """The last address that was given out, by network and family: all before it are taken."""
        self.published: dict[tuple[str, int], list[tuple[PortMap, str]]] = {}
        """Who publishes what, by protocol and port."""

    # -- networks ---------------------------------------------------------------------------------------

    def networks(self) -> Iterator[Network]:
        """Every network, complete."""
        bridges: dict[str, str] = {}
        for draft in self.draft.networks:
            bridge = draft.values.get("bridge") or interface_name(draft.name)
            if bridge in bridges:
                place = _place(draft.value, draft.key, "bridge")
                self.faults.add(
                    place, f"the networks {bridges[bridge]!r} and {draft.name!r} want the same bridge {bridge}",
                    "give each network a bridge of its own",
                )  # fmt: skip
            bridges.setdefault(bridge, draft.name)
            values = {**draft.values, "bridge": bridge}
            self._pools(draft, values)
            self._given_subnets(draft, values)
            yield self._checked(Network(draft.name, **values), draft)

    def _pools(self, draft: DraftNetwork, values: dict[str, Any]) -> None:
        """The subnets and gateways that are written."""
        for place, pool in draft.pools:
            subnet = pool.get("subnet")
            if subnet is None:
                continue
            family = subnet.version
            where = place.get("subnet") or place
            if f"subnet{family}" in values:
                self.faults.add(
                    where, f"the network {draft.name!r} has two IPv{family} subnets", "leave one of them out"
                )
                continue
            values[f"subnet{family}"] = subnet
            values[f"gateway{family}"] = pool.get("gateway") or self._free_gateway(draft.name, subnet)
            self._keep_apart(subnet, draft, where)
            self._gateway(place, values[f"gateway{family}"], subnet)
            self._range(place, pool, subnet)
            for other in pool.get("aux_addresses", ()):
                self.taken[draft.name][other] = "an auxiliary address"

    def _gateway(self, place: Value, gateway: Address, subnet: Subnet) -> None:
        if not usable(gateway, subnet) if gateway.version == subnet.version else True:
            self.faults.add(
                place.get("gateway") or place,
                f"the gateway {gateway} is no address of {subnet}",
                f"write {first_host(subnet)}",
            )

    def _free_gateway(self, network: str, subnet: Subnet) -> Address:
        """The first address that no endpoint asks for."""
        return free_address(subnet, self._asked(network)) or first_host(subnet)

    def _asked(self, network: str) -> set[Address]:
        """The addresses that endpoints of a network ask for."""
        return {
            address for endpoint in self.draft.endpoints if endpoint.network in (network, None)
            for address in endpoint.addresses.values() if address is not None
        }  # fmt: skip

    def _range(self, place: Value, pool: dict[str, Any], subnet: Subnet) -> None:
        part = pool.get("ip_range")
        if part is not None and (part.version != subnet.version or not part.subnet_of(subnet)):
            self.faults.add(place.get("ip_range") or place, f"the range {part} is no part of {subnet}")

    def _keep_apart(self, subnet: Subnet, draft: DraftNetwork, place: Value) -> None:
        for other, name in self.subnets:
            if name == draft.name:
                break  # a pair is reported once, at the later one
            if other.version == subnet.version and other.overlaps(subnet):
                self.faults.add(
                    place, f"the subnet {subnet} overlaps {other} of the network {name!r}", "take another one"
                )
        bridge = draft.values.get("bridge") or interface_name(draft.name)
        for other, route in routed_elsewhere(self.host, bridge) if self.host is not None else ():
            if other.version == subnet.version and other.overlaps(subnet):
                self.faults.add(
                    place, f"the subnet {subnet} overlaps a route of this host: {route}",
                    "take another one, or leave it out and a free one is given",
                )  # fmt: skip
                break

    def _given_subnets(self, draft: DraftNetwork, values: dict[str, Any]) -> None:
        """The subnets that are not written: IPv4 always wants one, IPv6 where it is asked for."""
        if draft.enable_ipv6 and "subnet6" not in values:
            values["subnet6"] = self._earlier(draft, 6) or own_subnet6(draft.name)
            values["gateway6"] = first_host(values["subnet6"])
        if not draft.enable_ipv4:
            if "subnet6" not in values:
                self.faults.add(
                    draft.key,
                    f"the network {draft.name!r} has neither IPv4 nor IPv6",
                    "write enable_ipv6: true",
                )
            return
        if "subnet4" in values:
            return
        taken = [subnet for subnet, _ in self.subnets]
        if self.host is not None:
            taken += [subnet for subnet, _ in routed_elsewhere(self.host, values["bridge"])]
        subnet = self._earlier(draft, 4) or free_subnet(values["bridge"], taken)
        if subnet is None:
            self.faults.add(
                draft.key, f"there is no subnet left for the network {draft.name!r}", "write one below ipam"
            )
            return
        self.subnets.append((subnet, draft.name))
        values["subnet4"], values["gateway4"] = subnet, first_host(subnet)

    def _earlier(self, draft: DraftNetwork, family: int) -> Any:
        for network in self.before.networks:
            subnet = network.subnet(family) if network.name == draft.name else None
            if subnet is not None and not any(
                one.version == family and one.overlaps(subnet) for one, _ in self.subnets
            ):
                return subnet
        return None

    def _checked(self, network: Network, draft: DraftNetwork) -> Network:
        for family in _FAMILIES:
            gateway = network.gateway(family)
            if gateway is not None:
                self.taken[network.name][gateway] = "the gateway"
            if network.outbound(family) is not None and network.subnet(family) is None:
                place = _place(draft.value, draft.key, f"outbound_addr{family}")
                self.faults.add(
                    place, f"the network {network.name!r} has no IPv{family} subnet", "leave the address out"
                )
        if network.mtu is not None and network.mtu < 1280 and network.subnet6 is not None:
            place = _place(draft.value, draft.key, "mtu")
            self.faults.add(place, f"IPv6 needs an mtu of 1280, not {network.mtu}", "write 1280 or more")
        return network

    # -- endpoints --------------------------------------------------------------------------------------

    def endpoints(self, networks: dict[str, Network]) -> Iterator[Endpoint]:
        """Every endpoint, complete: the addresses that are written are taken, then those of before, then free ones are given."""
        placed = [(draft, self._network_of(draft, networks)) for draft in self.draft.endpoints]
        for draft, network in placed:
            for family in _FAMILIES if network is not None else ():
                self._take(draft, network, family)
        for draft, network in placed:
            for family in _FAMILIES:
                self._keep(draft, network, family)
        for draft, network in placed:
            if network is None:
                continue
            four, six = (self._address(draft, network, family) for family in _FAMILIES)
            ports = tuple(
                port for wanted in draft.ports if (port := self._port(wanted, draft, network)) is not None
            )
            yield Endpoint(draft.name, network.name, draft.netns, four, six, ports)

    def _network_of(self, draft: DraftEndpoint, networks: dict[str, Network]) -> Network | None:
        if draft.network is None:
            if len(networks) == 1:
                return next(iter(networks.values()))
            self.faults.add(
                draft.key,
                f"the endpoint {draft.name!r} lacks its network",
                f"write network: {', '.join(networks)}",
            )
            return None
        if draft.network not in networks:
            place = _place(draft.value, draft.key, "network")
            self.faults.add(
                place, f"there is no network {draft.network!r}", suggestion(draft.network, networks)
            )
            return None
        return networks[draft.network]

    def _take(self, draft: DraftEndpoint, network: Network | None, family: int) -> None:
        address = draft.addresses.get(family)
        if address is None or network is None:
            return
        place = _place(draft.value, draft.key, f"ipv{family}_address")
        subnet = network.subnet(family)
        if subnet is None:
            self.faults.add(
                place, f"the network {network.name!r} has no IPv{family} subnet", "leave the address out"
            )
            return
        owner = self.taken[network.name].get(address)
        if not usable(address, subnet):
            free = free_address(subnet, {*self.taken[network.name], *self._asked(network.name)})
            self.faults.add(
                place, f"{address} is no address of {subnet}, the subnet of {network.name!r}", f"write {free}"
            )
        elif owner is not None:
            free = free_address(subnet, {*self.taken[network.name], *self._asked(network.name)})
            self.faults.add(
                place,
                f"{address} is taken by {owner}",
                f"write {free}, or leave it out and a free one is given",
            )
        self.taken[network.name].setdefault(address, f"the endpoint {draft.name!r}")

    def _keep(self, draft: DraftEndpoint, network: Network | None, family: int) -> None:
        """Gives an endpoint the address that it had before, so that no newcomer gets it."""
        subnet = None if network is None else network.subnet(family)
        if network is None or subnet is None or draft.addresses.get(family) is not None:
            return
        occupied = self.taken[network.name]
        address = self._remembered(draft, subnet, occupied, family)
        if address is not None:
            draft.addresses[family] = address
            occupied[address] = f"the endpoint {draft.name!r}"

    def _address(self, draft: DraftEndpoint, network: Network, family: int) -> Any:
        subnet = network.subnet(family)
        if subnet is None or draft.addresses.get(family) is not None:
            return draft.addresses.get(family)
        occupied = self.taken[network.name]
        address = self._hardware(draft, network, subnet)
        if address is None or address in occupied:
            address = self._next_free(network, subnet)
        if address is None:
            self.faults.add(
                draft.key, f"no address of {subnet} is left for {draft.name!r}", "take a larger subnet"
            )
            return None
        draft.addresses[family] = address
        occupied[address] = f"the endpoint {draft.name!r}"
        return address

    def _next_free(self, network: Network, subnet: Subnet) -> Address | None:
        part = self._part(network, subnet.version)
        pool = subnet if part is None else part
        last = self.given.get((network.name, subnet.version))
        start = 0 if last is None else int(last) - int(pool.network_address)
        found = free_address(subnet, self.taken[network.name], part, start=start)
        if found is not None:
            self.given[network.name, subnet.version] = found
        return found

    def _remembered(
        self, draft: DraftEndpoint, subnet: Subnet, occupied: Container[Address], family: int
    ) -> Address | None:
        for endpoint in self.before.endpoints:
            address = endpoint.address(family) if endpoint.name == draft.name else None
            if address is not None and usable(address, subnet) and address not in occupied:
                return address
        return None

    def _hardware(self, draft: DraftEndpoint, network: Network, subnet: Subnet) -> Address | None:
        four = draft.addresses.get(4)
        if not isinstance(subnet, IPv6Network) or self.draft.layout != "docker-classic" or four is None:
            return None
        return by_hardware(subnet, four) if network.bridge == "docker0" and subnet.prefixlen <= 80 else None

    def _part(self, network: Network, family: int) -> Subnet | None:
        pools = next(one.pools for one in self.draft.networks if one.name == network.name)
        parts = [pool["ip_range"] for _, pool in pools if "ip_range" in pool]
        return next((part for part in parts if part.version == family), None)

    # -- ports ------------------------------------------------------------------------------------------

    def _port(self, wanted: Wanted, draft: DraftEndpoint, network: Network) -> PortMap | None:
        port = wanted.port if wanted.choices is None else self._first_free(wanted, network)
        families = [family for family in _FAMILIES if network.subnet(family) is not None]
        if port.published is None and all(network.gateway_mode(family) != "routed" for family in families):
            own = str(port.target).replace(":", "-")
            self.faults.add(
                wanted.place, f"port {own} of {draft.name!r} is published on no port of the host",
                f'write "{own}:{own}/{port.protocol}", or gateway_mode: routed for the network',
            )  # fmt: skip
            return None
        loopback = port.host_ip is not None and port.host_ip.version == 4 and port.host_ip.is_loopback
        if loopback and not network.localhost and self.draft.layout == "native":
            self.faults.add(
                wanted.place, f"{port.host_ip} is published only where the network {network.name!r} allows it",
                "write localhost: true for the network",
            )  # fmt: skip
        bound = _bound(port, network)
        owner = self._publisher(bound)
        if owner is not None:
            owners = repr(owner) if owner == draft.name else f"{owner!r} and by {draft.name!r}"
            self.faults.add(
                wanted.place, f"{_said(bound)} is published twice, by {owners}",
                "take another port of the host, or give each of them a host address of its own",
            )  # fmt: skip
        for number in _numbers(bound):
            self.published.setdefault((bound.protocol, number), []).append((bound, draft.name))
        return port

    def _publisher(self, port: PortMap) -> str | None:
        """Who publishes one of the same ports on an overlapping host address."""
        for number in _numbers(port):
            for other, owner in self.published.get((port.protocol, number), ()):
                if _overlap(port, other):
                    return owner
        return None

    def _first_free(self, wanted: Wanted, network: Network) -> PortMap:
        choices = wanted.choices
        assert choices is not None
        for first in range(choices.low, choices.high + 1):
            port = msgspec.structs.replace(wanted.port, published=Range(first, first))
            if self._publisher(_bound(port, network)) is None:
                return port
        return msgspec.structs.replace(wanted.port, published=Range(choices.low, choices.low))


def _place(value: Value, key: Value, field: str) -> Value:
    return value.get(field) or key


def _bound(port: PortMap, network: Network) -> PortMap:
    """With the network's default host address, where only one family has one."""
    default = network.host_binding4 or network.host_binding6
    if port.host_ip is not None or default is None or (network.host_binding4 and network.host_binding6):
        return port
    return (
        msgspec.structs.replace(port, host_ip=default)
        if network.subnet(10 - default.version) is None
        else port
    )


def _numbers(port: PortMap) -> range:
    return range(0) if port.published is None else range(port.published.low, port.published.high + 1)


def _overlap(one: PortMap, other: PortMap) -> bool:
    """Whether their host addresses overlap."""
    if one.host_ip is None or other.host_ip is None:
        return True
    if one.host_ip.version != other.host_ip.version:
        return False
    return one.host_ip == other.host_ip or one.host_ip.is_unspecified or other.host_ip.is_unspecified


def _said(port: PortMap) -> str:
    where = "" if port.host_ip is None else f" of {port.host_ip}"
    return f"{port.protocol} port {str(port.published).replace(':', '-')}{where}"
