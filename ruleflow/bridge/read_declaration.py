"""The text of a declaration to its values: which keys there are and what they mean.

What they mean together (addresses, overlaps, ports published twice) is checked in `ruleflow.bridge.complete`.
"""

from collections.abc import Mapping
from typing import Any

from ruleflow.bridge.complete import complete
from ruleflow.bridge.declaration import GATEWAY_MODES, HAIRPINS, LAYOUTS, Apply, Declaration
from ruleflow.bridge.draft import Draft, DraftEndpoint, DraftNetwork
from ruleflow.bridge.faults import Faults
from ruleflow.bridge.fields import (
    FAMILIES,
    Reader,
    address,
    boolean,
    choice,
    duration,
    fields,
    interface,
    listed,
    name,
    namespace,
    number,
    said_boolean,
    subnet,
    text,
)
from ruleflow.bridge.ports import port
from ruleflow.bridge.read_yaml import Value, read_yaml
from ruleflow.netfilter.host import Host


def read_declaration(
    content: str,
    source: str = "<declaration>",
    *,
    layout: str | None = None,
    host: Host | None = None,
    before: Declaration | None = None,
) -> Declaration:
    """The declaration that ``content`` (YAML or JSON) holds, complete.

    ``layout`` overrules the one it names; with ``host`` subnets are kept from what is routed there; addresses that
    ``before`` gave out are given again where they are still free. Raises `ReadError` where it is no YAML, and
    `DeclarationError` with all that is wrong.
    """
    faults = Faults(source, content)
    draft = _draft(read_yaml(content, source, faults), faults)
    if layout is not None:
        draft.layout = layout
    declaration = complete(draft, faults, host=host, before=before)
    faults.stop()
    return declaration


def _draft(tree: Value, faults: Faults) -> Draft:
    found = {} if tree.empty else fields(tree, _TOP, "a declaration", faults)
    draft = Draft(
        networks=list(found.get("networks", ())), endpoints=list(found.get("endpoints", ())),
        layout=found.get("layout", "native"), userland_proxy=found.get("userland_proxy"),
        apply=Apply(**found.get("apply", {})),
    )  # fmt: skip
    if not draft.networks and not faults:
        faults.add(
            tree,
            "nothing is declared",
            'write networks: {app: {}} and endpoints: {web: {ports: ["8080:80"]}}',
        )
    return draft


def _named(reader: Any) -> Reader:
    """A mapping of names to what ``reader`` gives for each."""

    def read(value: Value, faults: Faults) -> list[Any] | None:
        if value.entries is None:
            faults.add(
                value, f"this must be a mapping of names, not {value.kind}", "write NAME: and its keys below"
            )
            return None
        found = []
        for key, inner in value.entries.values():
            word = name(key, faults)
            given = Value(line=key.line, column=key.column, entries={}) if inner.empty else inner
            if word is not None:
                found.append(reader(word, key, given, faults))
        return found

    return read


# -- networks ---------------------------------------------------------------------------------------------


def _network(word: str, key: Value, value: Value, faults: Faults) -> DraftNetwork:
    rows = {**_NETWORK, **dict.fromkeys(("subnet", "gateway"), _below_ipam)}
    found = fields(value, rows, f"the network {word!r}", faults)
    options = found.pop("driver_opts", {})
    draft = DraftNetwork(word, key, value)
    for given in (options, found):
        for attribute, meaning in given.items():
            _take(draft, attribute, meaning)
    return draft


def _take(draft: DraftNetwork, key: str, meaning: Any) -> None:
    if key in ("driver", "subnet", "gateway"):
        return
    if key == "gateway_mode":
        draft.values |= {f"gateway_mode{family}": mode for family, mode in meaning.items()}
    elif key == "host_binding":
        draft.values |= {f"host_binding{FAMILIES[type(one)]}": one for one in meaning}
    elif key == "ipam":
        draft.pools = meaning
    elif key in ("enable_ipv4", "enable_ipv6"):
        setattr(draft, key, meaning)
    else:
        draft.values[key.replace("_addr", "")] = meaning


def _below_ipam(value: Value, faults: Faults) -> None:
    faults.add(
        value,
        "a network's subnet and gateway stand below ipam",
        "write ipam: {config: [{subnet: 172.18.0.0/16}]}",
    )


def _modes(value: Value, faults: Faults) -> dict[int, str] | None:
    """``gateway_mode``: one word for both families, or a mapping."""
    mode = choice(*GATEWAY_MODES)
    if value.entries is None:
        one = mode(value, faults)
        return None if one is None else {4: one, 6: one}
    found = fields(value, {"ipv4": mode, "ipv6": mode}, "gateway_mode", faults)
    return {int(key[-1]): word for key, word in found.items()}


def _mode_of(family: int) -> Reader:
    def read(value: Value, faults: Faults) -> dict[int, str] | None:
        one = choice(*GATEWAY_MODES)(value, faults)
        return None if one is None else {family: one}

    return read


def _bindings(value: Value, faults: Faults) -> tuple[Any, ...] | None:
    """``host_binding``: an address, or a list of one of each family."""
    if value.items is not None:
        found: tuple[Any, ...] | None = listed(address())(value, faults)
        return found
    one = address()(value, faults)
    return None if one is None else (one,)


def _ipam(value: Value, faults: Faults) -> list[Any]:
    found = fields(
        value, {"driver": choice("default"), "config": listed(_pool), "options": None}, "ipam", faults
    )
    return list(found.get("config", ()))


def _pool(value: Value, faults: Faults) -> tuple[Value, dict[str, Any]]:
    rows: Mapping[str, Reader | None] = {
        "subnet": subnet, "gateway": address(), "ip_range": subnet, "aux_addresses": _auxiliary,
    }  # fmt: skip
    found = fields(value, rows, "an ipam config", faults)
    if value.entries is not None and value.get("subnet") is None:
        faults.add(value, "this ipam config lacks its subnet", "write {subnet: 172.18.0.0/16}")
    return value, found


def _auxiliary(value: Value, faults: Faults) -> tuple[Any, ...]:
    read = address()
    return tuple(read(inner, faults) for _, inner in (value.entries or {}).values())


def _driver_opts(value: Value, faults: Faults) -> dict[str, Any]:
    found = fields(value, _DRIVER_OPTS, "driver_opts", faults)
    merged: dict[str, Any] = {}
    for key, meaning in found.items():
        attribute = _MEANINGS[key]
        if isinstance(meaning, dict):
            merged.setdefault(attribute, {}).update(meaning)
        else:
            merged[attribute] = meaning
    return merged


def _interfaces(value: Value, faults: Faults) -> tuple[str, ...]:
    """``trusted_host_interfaces`` as Docker writes them: ``eth0:eth1``."""
    words = [Value(line=value.line, column=value.column, text=word) for word in (value.text or "").split(":")]
    found = [interface(word, faults) for word in words]
    return tuple(one for one in found if one is not None)


_PREFIX = "com.docker.network."
_MEANINGS = {
    f"{_PREFIX}bridge.name": "bridge", f"{_PREFIX}bridge.enable_icc": "icc",
    f"{_PREFIX}bridge.enable_ip_masquerade": "ip_masq", f"{_PREFIX}bridge.gateway_mode_ipv4": "gateway_mode",
    f"{_PREFIX}bridge.gateway_mode_ipv6": "gateway_mode", f"{_PREFIX}bridge.host_binding_ipv4": "host_binding",
    f"{_PREFIX}bridge.trusted_host_interfaces": "trusted_host_interfaces", f"{_PREFIX}driver.mtu": "mtu",
    f"{_PREFIX}host_ipv4": "outbound_addr4", f"{_PREFIX}host_ipv6": "outbound_addr6",
}  # fmt: skip
_DRIVER_OPTS: Mapping[str, Reader | None] = {
    f"{_PREFIX}bridge.name": interface, f"{_PREFIX}bridge.enable_icc": said_boolean,
    f"{_PREFIX}bridge.enable_ip_masquerade": said_boolean, f"{_PREFIX}bridge.gateway_mode_ipv4": _mode_of(4),
    f"{_PREFIX}bridge.gateway_mode_ipv6": _mode_of(6), f"{_PREFIX}bridge.host_binding_ipv4": _bindings,
    f"{_PREFIX}bridge.trusted_host_interfaces": _interfaces, f"{_PREFIX}driver.mtu": number(68, 65535),
    f"{_PREFIX}host_ipv4": address(4), f"{_PREFIX}host_ipv6": address(6),
}  # fmt: skip
DRIVER_OPTIONS = frozenset(_DRIVER_OPTS)
"""The options of Docker's bridge driver that a declaration takes."""
_NETWORK: Mapping[str, Reader | None] = {
    "driver": choice("bridge"), "driver_opts": _driver_opts, "bridge": interface, "internal": boolean, "icc": boolean,
    "icc_enforcement": choice("br_netfilter", "port_isolation"), "gateway_mode": _modes, "ip_masq": boolean,
    "outbound_addr4": address(4), "outbound_addr6": address(6), "host_binding": _bindings, "hairpin": choice(*HAIRPINS),
    "localhost": boolean, "trusted_host_interfaces": listed(interface), "mtu": number(68, 65535), "ipam": _ipam,
    "enable_ipv4": boolean, "enable_ipv6": boolean, "labels": None, "attachable": None,
}  # fmt: skip


# -- endpoints and the rest -------------------------------------------------------------------------------


def _endpoint(word: str, key: Value, value: Value, faults: Faults) -> DraftEndpoint:
    found = fields(value, _ENDPOINT, f"the endpoint {word!r}", faults)
    return DraftEndpoint(
        word, key, value, network=found.get("network"), netns=found.get("netns"),
        addresses={4: found.get("ipv4_address"), 6: found.get("ipv6_address")}, ports=found.get("ports", ()),
    )  # fmt: skip


_ENDPOINT: Mapping[str, Reader | None] = {
    "network": name, "netns": namespace, "ipv4_address": address(4), "ipv6_address": address(6), "ports": listed(port),
}  # fmt: skip


def _prefix(value: Value, faults: Faults) -> str | None:
    """The beginning of our chains' names, of which ``-PUBLISH`` leaves it 12 of the kernel's 28 characters and more."""
    word = text(value, faults)
    if word is None:
        return None
    if not word.isascii() or not word.isalnum() or len(word) > 12:
        faults.add(
            value,
            f"{word!r} cannot begin the names of chains",
            "write at most 12 letters and digits, such as RF",
        )
        return None
    return word


def _apply(value: Value, faults: Faults) -> dict[str, Any]:
    rows: Mapping[str, Reader | None] = {
        "backend": choice("auto", "nft", "legacy"), "confirm": duration, "prefix": _prefix, "comment": boolean,
        "sysctls": choice("manage", "check", "ignore"),
    }  # fmt: skip
    return fields(value, rows, "apply", faults)


_TOP: Mapping[str, Reader | None] = {
    "version": choice("1"), "networks": _named(_network), "endpoints": _named(_endpoint), "layout": choice(*LAYOUTS),
    "userland_proxy": boolean, "apply": _apply, "name": None,
}  # fmt: skip
