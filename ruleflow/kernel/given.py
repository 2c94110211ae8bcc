"""The subnets and addresses that were given out, as the journal keeps them: the next time they are given again."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import msgspec

from ruleflow.bridge.declaration import Declaration, Endpoint, Network


class GivenNetwork(msgspec.Struct, frozen=True):
    """A network's bridge, subnets and gateways; empty where it has none."""

    name: str
    bridge: str
    subnet4: str = ""
    subnet6: str = ""


class GivenEndpoint(msgspec.Struct, frozen=True):
    """An endpoint's addresses; empty where it has none."""

    name: str
    network: str
    address4: str = ""
    address6: str = ""


class Given(msgspec.Struct, frozen=True):
    """All of them."""

    networks: tuple[GivenNetwork, ...] = ()
    endpoints: tuple[GivenEndpoint, ...] = ()


def given_out(declaration: Declaration) -> Given:
    """What a complete declaration gave out."""
    return Given(
        tuple(
            GivenNetwork(one.name, one.bridge, _text(one.subnet4), _text(one.subnet6))
            for one in declaration.networks
        ),
        tuple(
            GivenEndpoint(one.name, one.network, _text(one.address4), _text(one.address6))
            for one in declaration.endpoints
        ),
    )


def as_declaration(given: Given) -> Declaration:
    """The same as a declaration, for `read_declaration`'s ``before``."""
    networks = (
        Network(
            one.name, one.bridge,
            IPv4Network(one.subnet4) if one.subnet4 else None, IPv6Network(one.subnet6) if one.subnet6 else None,
        )
        for one in given.networks
    )  # fmt: skip
    endpoints = (
        Endpoint(
            one.name, one.network, None,
            IPv4Address(one.address4) if one.address4 else None, IPv6Address(one.address6) if one.address6 else None,
        )
        for one in given.endpoints
    )  # fmt: skip
    return Declaration(tuple(networks), tuple(endpoints))


def _text(value: object) -> str:
    return "" if value is None else str(value)
