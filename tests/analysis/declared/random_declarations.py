"""Random declarations, as values, and random edits of them: networks 1 to 3, ports 0 to 5 each, all options, both families."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import msgspec
from hypothesis import strategies as st

from ruleflow.bridge.declaration import GATEWAY_MODES, HAIRPINS, Declaration, Endpoint, Network, PortMap
from ruleflow.ruleset.values import Range

OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "icc": st.booleans(), "ip_masq": st.booleans(), "internal": st.booleans(), "localhost": st.booleans(),
    "hairpin": st.sampled_from(HAIRPINS), "gateway_mode": st.sampled_from(GATEWAY_MODES),
    "outbound": st.sampled_from([None, 10, 11]), "trusted_host_interfaces": st.sampled_from([(), ("eth0",), ("eth0", "wg0")]),
}  # fmt: skip
"""Options of a network by name; ``gateway_mode`` and ``outbound`` are for both families."""

HOSTS = (None, "192.0.2.10", "127.0.0.1", "2001:db8::10", "::1")


def fields(option: str, value: Any) -> dict[str, Any]:
    """An option as the fields of a `Network`."""
    if option == "gateway_mode":
        return {"gateway_mode4": value, "gateway_mode6": value}
    if option == "outbound":
        return {
            "outbound4": None if value is None else ip_address(f"192.0.2.{value}"),
            "outbound6": None if value is None else ip_address(f"2001:db8::{value}"),
        }
    return {option: value}


@st.composite
def networks(draw: st.DrawFn, number: int, *, plain: bool = False) -> Network:
    """A network of its own number, which says its name, bridge and subnets; ``plain``: without options."""
    six: dict[str, Any] = {"subnet6": IPv6Network(f"fd00:{number}::/64")} if draw(st.booleans()) else {}
    chosen = {} if plain else draw(st.fixed_dictionaries({}, optional=OPTIONS))
    given = {name: value for option, each in chosen.items() for name, value in fields(option, each).items()}
    return Network(
        f"n{number}", f"br-n{number}", subnet4=IPv4Network(f"172.{20 + number}.0.0/16"), **six, **given
    )


@st.composite
def port_maps(draw: st.DrawFn, first: int) -> PortMap:
    """A port map whose host ports begin at ``first``; up to four ports."""
    count = draw(st.sampled_from([1, 1, 1, 2, 4]))
    target = draw(st.sampled_from([80, 443, first]))
    host = draw(st.sampled_from(HOSTS))
    return PortMap(
        Range(target, target + count - 1), Range(first, first + count - 1), None if host is None else ip_address(host),
        draw(st.sampled_from(["tcp", "udp", "sctp"])),
    )  # fmt: skip


@st.composite
def endpoints(draw: st.DrawFn, number: int, network: Network) -> Endpoint:
    """An endpoint of its own number, which says its addresses and host ports."""
    place = int(network.name[1:])
    ports: list[PortMap] = [
        draw(port_maps(8000 + 100 * number + 10 * each)) for each in range(draw(st.integers(0, 5)))
    ]
    six = None if network.subnet6 is None else IPv6Address(f"fd00:{place}::{10 + number}")
    return Endpoint(
        f"e{number}",
        network.name,
        address4=IPv4Address(f"172.{20 + place}.0.{10 + number}"),
        address6=six,
        ports=tuple(ports),
    )


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """One to three networks with up to four endpoints."""
    made = [draw(networks(number)) for number in range(draw(st.integers(1, 3)))]
    ends = [draw(endpoints(number, draw(st.sampled_from(made)))) for number in range(draw(st.integers(0, 4)))]
    return Declaration(tuple(made), tuple(ends), userland_proxy=draw(st.booleans()))


@st.composite
def with_an_option_changed(draw: st.DrawFn, declaration: Declaration) -> tuple[Declaration, str]:
    """The same with one option of one network, or the userland proxy, perhaps another; and the option."""
    option = draw(st.sampled_from([*OPTIONS, "userland_proxy"]))
    if option == "userland_proxy":
        return msgspec.structs.replace(declaration, userland_proxy=draw(st.booleans())), option
    at = draw(st.integers(0, len(declaration.networks) - 1))
    changed = msgspec.structs.replace(declaration.networks[at], **fields(option, draw(OPTIONS[option])))
    return with_network(declaration, at, changed), option


def with_network(declaration: Declaration, at: int, network: Network) -> Declaration:
    """The same with the network at a place another."""
    made = (*declaration.networks[:at], network, *declaration.networks[at + 1 :])
    return msgspec.structs.replace(declaration, networks=made)


@st.composite
def with_ports_changed(draw: st.DrawFn, declaration: Declaration) -> Declaration:
    """The same, but each endpoint has perhaps a port map less, another one, or one more."""
    changed: list[Endpoint] = []
    for number, endpoint in enumerate(declaration.endpoints):
        ports = list(endpoint.ports)
        if len(ports) > 0 and draw(st.booleans()):
            ports.pop(draw(st.integers(0, len(ports) - 1)))
        if len(ports) > 0 and draw(st.booleans()):
            at = draw(st.integers(0, len(ports) - 1))
            published = ports[at].published
            assert published is not None
            ports[at] = draw(port_maps(published.low))
        if draw(st.booleans()):
            ports.append(draw(port_maps(8000 + 100 * number + 60)))
        changed.append(msgspec.structs.replace(endpoint, ports=tuple(ports)))
    return msgspec.structs.replace(declaration, endpoints=tuple(changed))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Declaration, Declaration]:
    """A declaration and what became of it by edits, or another one."""
    one = draw(declarations())
    if draw(st.integers(0, 3)) == 0:
        return one, draw(declarations())
    two = draw(with_ports_changed(one)) if draw(st.booleans()) else one
    for _ in range(draw(st.integers(0, 3))):
        two = draw(with_an_option_changed(two))[0]
    return one, two
