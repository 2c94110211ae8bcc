"""Compose files: ``services:`` with their ``ports:`` become endpoints, ``networks:`` stay what they are.

Sources: docs.docker.com/reference/compose-file (networks, services, interpolation).
"""

import os
import re
from typing import Any

from ruleflow.bridge.importers.draft import Gathered, Imported, address_of, mapping, sequence, short_port
from ruleflow.bridge.read_declaration import DRIVER_OPTIONS
from ruleflow.errors import ReadError, Where

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})", re.ASCII)
_KEPT = ("driver_opts", "internal", "enable_ipv6", "enable_ipv4")


def read(text: str, source: str) -> Imported:
    """The declaration of a compose file. Raises `ReadError`."""
    gathered = Gathered(source)
    compose = _interpolated(_load(text, source), gathered)
    services = mapping(mapping(compose).get("services"))
    if not services:
        raise ReadError("there are no services in this file", where=Where(source), help="give a compose file")
    networks = mapping(compose.get("networks"))
    for name, service in services.items():
        _service(str(name), mapping(service), networks, gathered)
    return gathered.written("a compose file")


def _load(text: str, source: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = None if mark is None else mark.line + 1
        raise ReadError(
            f"this is no YAML: {getattr(error, 'problem', error)}", where=Where(source, line)
        ) from None
    except RecursionError:
        raise ReadError("this YAML is nested too deeply", where=Where(source)) from None


def _interpolated(value: Any, gathered: Gathered) -> Any:
    """Variables replaced as compose does: by the environment, else by their default."""
    if isinstance(value, dict):
        return {key: _interpolated(inner, gathered) for key, inner in value.items()}
    if isinstance(value, list):
        return [_interpolated(inner, gathered) for inner in value]
    return _VARIABLE.sub(lambda found: _variable(found, gathered), value) if isinstance(value, str) else value


def _variable(found: re.Match[str], gathered: Gathered) -> str:
    if found[1]:
        return "$"
    name = found[2] or found[3]
    value = os.environ.get(name)
    sign, other = found[4] or "", found[5] or ""
    if "+" in sign:
        return other if value else ""
    if value is not None and (value or not sign.startswith(":")):
        return value
    if "-" not in sign:
        gathered.note(f"the variable {name} is not set and is taken as empty")
    return other if "-" in sign else ""


def _service(name: str, service: dict[str, Any], networks: dict[str, Any], gathered: Gathered) -> None:
    if service.get("network_mode"):
        gathered.note(f"the service {name} has network_mode {service['network_mode']}, and no bridge")
        return
    ports = [_port(port) for port in sequence(service.get("ports"))]
    for place, (network, options) in enumerate(_attached(service)):
        if not _network(network, mapping(networks.get(network)), gathered):
            continue
        routed = "routed" in str(gathered.networks[gathered.name(network)].get("driver_opts", ""))
        keys = {
            "network": gathered.name(network), "ipv4_address": address_of(options.get("ipv4_address")),
            "ipv6_address": address_of(options.get("ipv6_address")),
            "ports": [_unpublished(port) if routed else port for port in ports] if place == 0 else [],
        }  # fmt: skip
        gathered.endpoint(gathered.name(name), keys)
    if ports and len(list(_attached(service))) > 1:
        gathered.note(f"the service {name} is on several networks; its ports are published on the first")


def _attached(service: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    networks = service.get("networks")
    if isinstance(networks, dict):
        return [(str(name), mapping(options)) for name, options in networks.items()]
    return [(str(name), {}) for name in sequence(networks) or ["default"]]


def _network(name: str, network: dict[str, Any], gathered: Gathered) -> bool:
    if network.get("driver", "bridge") != "bridge":
        gathered.note(f"the network {name} has the driver {network['driver']}, and no bridge")
        return False
    if network.get("external"):
        gathered.note(
            f"the network {name} is external: write its bridge and subnet as `docker network inspect` has them"
        )
    keys = {key: network[key] for key in _KEPT if key in network}
    if "driver_opts" in keys:
        keys["driver_opts"] = _options(name, mapping(keys["driver_opts"]), gathered)
    configs = [
        {key: config[key] for key in ("subnet", "gateway", "ip_range", "aux_addresses") if key in config}
        for config in map(mapping, sequence(mapping(network.get("ipam")).get("config")))
    ]
    if configs:
        keys["ipam"] = {"config": configs}
    gathered.network(gathered.name(name), keys)
    return True


def _options(network: str, options: dict[str, Any], gathered: Gathered) -> dict[str, Any]:
    for key in options.keys() - DRIVER_OPTIONS:
        gathered.note(f"the option {key} of the network {network} is left out")
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in options.items()
        if key in DRIVER_OPTIONS
    }


def _port(port: Any) -> str | dict[str, Any]:
    if not isinstance(port, dict):
        return str(port)
    return short_port(
        str(port.get("host_ip") or ""),
        port.get("published"),
        port.get("target"),
        str(port.get("protocol") or "tcp"),
    )


def _unpublished(port: Any) -> str:
    """The container's side alone: on a routed network Docker leaves the host's port out."""
    text = str(port)
    return text.rpartition(":")[2] if ":" in text else text
