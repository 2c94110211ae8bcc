"""What `docker network inspect` and `docker container inspect` print: one list, or several after each other in one list."""

from typing import Any

from ruleflow.bridge.importers.draft import (
    Gathered,
    Imported,
    address_of,
    mapping,
    read_json,
    sequence,
    short_port,
    subnet_of,
)
from ruleflow.bridge.read_declaration import DRIVER_OPTIONS

_DEFAULT = "com.docker.network.bridge.default_bridge"
_NAME = "com.docker.network.bridge.name"


def read(text: str, source: str) -> Imported:
    """The declaration of an inspection. Raises `ReadError`."""
    gathered = Gathered(source)
    found = read_json(text, source)
    objects = [mapping(one) for one in (found if isinstance(found, list) else [found])]
    for one in objects:
        if "IPAM" in one:
            _network(one, gathered)
    containers = [one for one in objects if "NetworkSettings" in one]
    for one in containers:
        _container(one, gathered)
    if not containers:
        for one in objects:
            _listed_endpoints(one, gathered)
    return gathered.written("docker inspect")


def _network(network: dict[str, Any], gathered: Gathered) -> None:
    name = str(network.get("Name"))
    if network.get("Driver") != "bridge":
        gathered.note(f"the network {name} has the driver {network.get('Driver')}, and no bridge")
        return
    options = mapping(network.get("Options"))
    for key in options.keys() - DRIVER_OPTIONS - {_DEFAULT}:
        gathered.note(f"the option {key} of the network {name} is left out")
    kept = {key: str(value) for key, value in options.items() if key in DRIVER_OPTIONS - {_NAME}}
    keys = {
        "bridge": options.get(_NAME) or f"br-{str(network.get('Id'))[:12]}", "internal": network.get("Internal") or None,
        "driver_opts": _told(kept), "ipam": {"config": [_pool(one) for one in sequence(mapping(network.get("IPAM")).get("Config"))]},
    }  # fmt: skip
    gathered.network(gathered.name(name), keys)


def _told(options: dict[str, str]) -> dict[str, str]:
    """Options that say more than Docker's defaults."""
    defaults = {
        "com.docker.network.bridge.enable_icc": "true", "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0", "com.docker.network.driver.mtu": "1500",  # noqa: S104 - compared, not bound
    }  # fmt: skip
    return {key: value for key, value in options.items() if defaults.get(key) != value}


def _pool(config: Any) -> dict[str, Any]:
    words = {"Subnet": "subnet", "Gateway": "gateway", "IPRange": "ip_range"}
    found = {ours: mapping(config)[theirs] for theirs, ours in words.items() if mapping(config).get(theirs)}
    if "gateway" in found:
        found["gateway"] = address_of(found["gateway"])
    return found


def _listed_endpoints(network: dict[str, Any], gathered: Gathered) -> None:
    """The containers that a network lists, whose ports are not known."""
    if gathered.name(str(network.get("Name"))) not in gathered.networks:
        return
    for container in map(mapping, mapping(network.get("Containers")).values()):
        name = str(container.get("Name"))
        gathered.note(f"the ports of {name} are not in a network's inspection: inspect the container too")
        keys = {
            "network": gathered.name(str(network["Name"])), "ipv4_address": address_of(container.get("IPv4Address")),
            "ipv6_address": address_of(container.get("IPv6Address")),
        }  # fmt: skip
        gathered.endpoint(gathered.name(name), keys)


def _container(container: dict[str, Any], gathered: Gathered) -> None:
    name = gathered.name(str(container.get("Name", "")).lstrip("/"))
    attached = mapping(mapping(container["NetworkSettings"]).get("Networks"))
    ports = list(_ports(container, name, gathered))
    for place, (network, settings) in enumerate((name, mapping(one)) for name, one in attached.items()):
        known = gathered.name(str(network))
        if not settings.get("IPAddress") and not settings.get("GlobalIPv6Address"):
            gathered.note(
                f"{name} has no address on the network {network}: it does not run, or the network is no bridge"
            )
            continue
        if known not in gathered.networks:
            _network_of(known, settings, gathered)
        routed = "routed" in str(gathered.networks[known].get("driver_opts", ""))
        keys = {
            "network": known, "ipv4_address": settings.get("IPAddress"), "ipv6_address": settings.get("GlobalIPv6Address"),
            "ports": [port.rpartition(":")[2] if routed else port for port in ports] if place == 0 else [],
        }  # fmt: skip
        gathered.endpoint(name, keys)


def _network_of(name: str, settings: dict[str, Any], gathered: Gathered) -> None:
    """A network known only by a container on it."""
    gathered.note(
        f"the network {name} is known by its containers only: inspect it too, for its bridge and its options"
    )
    pools = []
    for address, length, gateway in (
        ("IPAddress", "IPPrefixLen", "Gateway"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway"),
    ):  # fmt: skip
        if settings.get(address) and settings.get(length):
            subnet = subnet_of(f"{settings[address]}/{settings[length]}")
            pools.append(
                {"subnet": subnet, **({"gateway": settings[gateway]} if settings.get(gateway) else {})}
            )
    gathered.network(name, {"ipam": {"config": pools}})


def _ports(container: dict[str, Any], name: str, gathered: Gathered) -> list[str]:
    """The published ports: as asked for, with the host's port that was given where none was asked for."""
    asked = mapping(mapping(container.get("HostConfig")).get("PortBindings"))
    given = mapping(mapping(container["NetworkSettings"]).get("Ports"))
    ports = []
    for target, wanted in asked.items():
        number, _, protocol = target.partition("/")
        for place, binding in enumerate(map(mapping, sequence(wanted))):
            host_port = str(binding.get("HostPort") or "")
            if not host_port.isdigit():
                bound = sequence(given.get(target))
                host_port = (
                    str(mapping(bound[min(place, len(bound) - 1)]).get("HostPort", "")) if bound else ""
                )
                gathered.note(
                    f"{name}: Docker chose port {host_port or '?'} of the host for {target}; it is fixed here"
                )
            ports.append(short_port(str(binding.get("HostIp") or ""), host_port, number, protocol or "tcp"))
    return ports
