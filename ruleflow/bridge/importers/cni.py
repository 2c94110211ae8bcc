"""CNI network configurations (.conf and .conflist): the bridge plugin's network, and the ports that portmap was given."""

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
from ruleflow.errors import ReadError, Where

_LEFT_OUT = ("vlan", "vlanTrunk", "macspoofchk", "promiscMode")


def read(text: str, source: str) -> Imported:
    """The declaration of a configuration. Raises `ReadError`."""
    gathered = Gathered(source)
    config = mapping(read_json(text, source))
    plugins = [mapping(one) for one in sequence(config.get("plugins")) or [config]]
    bridge = next((one for one in plugins if one.get("type") == "bridge"), None)
    if bridge is None:
        raise ReadError("there is no plugin of type bridge in this configuration", where=Where(source))
    name = gathered.name(str(config.get("name") or "cni"))
    _network(name, bridge, gathered)
    for plugin in plugins:
        if plugin.get("type") not in ("bridge", "portmap"):
            gathered.note(f"the plugin {plugin.get('type')} is left out")
    _endpoint(name, config, plugins, gathered)
    return gathered.written("a CNI configuration")


def _network(name: str, bridge: dict[str, Any], gathered: Gathered) -> None:
    for key in _LEFT_OUT:
        if bridge.get(key):
            gathered.note(f"{key} of the bridge plugin is left out")
    isolated = bool(bridge.get("portIsolation"))
    keys = {
        "bridge": bridge.get("bridge") or "cni0", "ip_masq": bool(bridge.get("ipMasq", False)), "mtu": bridge.get("mtu") or None,
        "icc": False if isolated else None, "icc_enforcement": "port_isolation" if isolated else None,
        "ipam": {"config": _pools(mapping(bridge.get("ipam")), gathered)},
    }  # fmt: skip
    gathered.network(name, keys)


def _pools(ipam: dict[str, Any], gathered: Gathered) -> list[dict[str, Any]]:
    if ipam.get("type") not in ("host-local", None):
        gathered.note(
            f"addresses come from the ipam plugin {ipam['type']}, which is not asked: they are given out here"
        )
    ranges = [mapping(one) for each in sequence(ipam.get("ranges")) for one in sequence(each)]
    if ipam.get("subnet"):
        ranges.insert(0, ipam)
    pools, families = [], set()
    for one in ranges:
        subnet = subnet_of(one.get("subnet"))
        if subnet is None:
            continue
        family = 6 if ":" in subnet else 4
        if family in families:
            gathered.note(f"the second IPv{family} range {subnet} is left out")
            continue
        families.add(family)
        pools.append({"subnet": subnet, **({"gateway": one["gateway"]} if one.get("gateway") else {})})
    return pools


def _endpoint(name: str, config: dict[str, Any], plugins: list[dict[str, Any]], gathered: Gathered) -> None:
    """The container whose ports and addresses a run of the plugins left in the configuration."""
    mappings = [
        mapping(one) for part in (config, *plugins)
        for one in sequence(mapping(part.get("runtimeConfig")).get("portMappings"))
    ]  # fmt: skip
    results = [mapping(part.get("prevResult")) for part in (config, *plugins)]
    addresses = [
        str(mapping(one).get("address", "")) for result in results for one in sequence(result.get("ips"))
    ]
    if not mappings and not addresses:
        return
    by_family = {6 if ":" in one else 4: address_of(one) for one in addresses if one}
    ports = [
        short_port(str(one.get("hostIP") or ""), one.get("hostPort"), one.get("containerPort"), str(one.get("protocol") or "tcp").lower())
        for one in mappings if one.get("hostPort")
    ]  # fmt: skip
    keys = {
        "network": name,
        "ipv4_address": by_family.get(4),
        "ipv6_address": by_family.get(6),
        "ports": list(dict.fromkeys(ports)),
    }
    gathered.endpoint("container", keys)
