"""Podman: `podman network inspect`, a network's own file, and the options that netavark is given for a container."""

from typing import Any

from ruleflow.bridge.importers.draft import (
    Gathered,
    Imported,
    address_of,
    mapping,
    number_of,
    read_json,
    sequence,
    short_port,
)


def read(text: str, source: str) -> Imported:
    """The declaration of a file. Raises `ReadError`."""
    gathered = Gathered(source)
    found = read_json(text, source)
    for one in found if isinstance(found, list) else [found]:
        given = mapping(one)
        networks = mapping(given.get("network_info")).values() if "network_info" in given else [given]
        for network in networks:
            _network(mapping(network), gathered)
        if "network_info" in given:
            _container(given, gathered)
    return gathered.written("a Podman network")


def _network(network: dict[str, Any], gathered: Gathered) -> None:
    if not network.get("name") and not network.get("subnets"):
        return  # no network at all
    name = str(network.get("name") or "podman")
    if network.get("driver", "bridge") != "bridge":
        gathered.note(f"the network {name} has the driver {network['driver']}, and no bridge")
        return
    options = {str(key): str(value) for key, value in mapping(network.get("options")).items()}
    for key in options.keys() - {"mtu", "outbound_addr4", "outbound_addr6"}:
        gathered.note(f"the option {key} of the network {name} is left out")
    subnets = [mapping(one) for one in sequence(network.get("subnets"))]
    keys = {
        "bridge": network.get("network_interface"), "internal": network.get("internal") or None,
        "mtu": int(options["mtu"]) if options.get("mtu", "").isdigit() else None,
        "outbound_addr4": options.get("outbound_addr4"), "outbound_addr6": options.get("outbound_addr6"),
        "ipam": {"config": [{key: one[key] for key in ("subnet", "gateway") if one.get(key)} for one in subnets]},
    }  # fmt: skip
    gathered.network(gathered.name(name), keys)
    for container in mapping(network.get("containers")).values():
        _listed(gathered.name(name), mapping(container), gathered)


def _listed(network: str, container: dict[str, Any], gathered: Gathered) -> None:
    """A container that a network lists, whose ports are not known."""
    addresses = [
        address_of(mapping(subnet).get("ipnet")) or ""
        for interface in mapping(container.get("interfaces")).values()
        for subnet in sequence(mapping(interface).get("subnets"))
    ]
    keys = {"network": network, **_by_family(addresses)}
    gathered.endpoint(gathered.name(str(container.get("name"))), keys)


def _container(given: dict[str, Any], gathered: Gathered) -> None:
    name = gathered.name(str(given.get("container_name") or given.get("container_id") or "container"))
    ports = [port for one in sequence(given.get("port_mappings")) for port in _ports(mapping(one))]
    for place, (network, options) in enumerate(mapping(given.get("networks")).items()):
        addresses = [str(one) for one in sequence(mapping(options).get("static_ips"))]
        known = gathered.name(str(network))
        if known in gathered.networks:
            gathered.endpoint(
                name, {"network": known, **_by_family(addresses), "ports": ports if place == 0 else []}
            )


def _by_family(addresses: list[str]) -> dict[str, str | None]:
    return {
        "ipv4_address": next((one for one in addresses if "." in one), None),
        "ipv6_address": next((one for one in addresses if ":" in one), None),
    }


def _ports(port: dict[str, Any]) -> list[str]:
    """A port mapping, whose protocol may be several and whose range counts the ports."""
    count, host, target = (number_of(port.get(key)) for key in ("range", "host_port", "container_port"))
    published = f"{host}-{host + count - 1}" if count > 1 and host else host
    own = f"{target}-{target + count - 1}" if count > 1 else target
    protocols = str(port.get("protocol") or "tcp").split(",")
    return [short_port(str(port.get("host_ip") or ""), published, own, protocol) for protocol in protocols]
