"""A declaration half read: what was written, with its place, before what is left out is filled in."""

from typing import Any

import msgspec

from ruleflow.bridge.declaration import Address, Apply
from ruleflow.bridge.ports import Wanted
from ruleflow.bridge.read_yaml import Value


class DraftNetwork(msgspec.Struct):
    """A network as written: ``values`` are attributes of `Network`, ``pools`` its ipam configs, each with its place."""

    name: str
    key: Value
    value: Value
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    pools: list[tuple[Value, dict[str, Any]]] = msgspec.field(default_factory=list)
    enable_ipv4: bool = True
    enable_ipv6: bool | None = None


class DraftEndpoint(msgspec.Struct):
    """An endpoint as written."""

    name: str
    key: Value
    value: Value
    network: str | None = None
    netns: str | None = None
    addresses: dict[int, Address | None] = msgspec.field(default_factory=dict)
    ports: tuple[Wanted, ...] = ()


class Draft(msgspec.Struct):
    """A whole declaration as written."""

    networks: list[DraftNetwork]
    endpoints: list[DraftEndpoint]
    layout: str = "native"
    userland_proxy: bool | None = None
    apply: Apply = Apply()
