"""Which options leave a trace in which layout's rules: tried, one by one, in every surrounding; and said so in docs/diff.md."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_declarations import OPTIONS as CHOSEN
from random_declarations import declarations, fields, with_network

from ruleflow.analysis.declared.stand_ins import OPTIONS
from ruleflow.analysis.declared.written import SHOWN, written
from ruleflow.bridge.declaration import LAYOUTS, Apply, Declaration, Endpoint, Network, PortMap
from ruleflow.bridge.generate import generate
from ruleflow.ruleset.values import Range

PAGE = Path(__file__).parents[3] / "docs" / "diff.md"
NAMES = {"outbound": "outbound_addr"}


def surroundings() -> Iterator[Declaration]:
    """A network with two endpoints, one of which publishes ports, under many choices of options."""
    ports = (
        PortMap(Range(80, 80), Range(8080, 8080)),
        PortMap(Range(81, 81), Range(8081, 8081), ip_address("192.0.2.10")),
    )
    for mode in ("nat", "nat-unprotected", "routed"):
        for internal in (False, True):
            for hairpin in ("conntrack", "docker", "off"):
                for masquerade in (True, False):
                    network = Network(
                        "n",
                        "br-n",
                        subnet4=IPv4Network("172.20.0.0/16"),
                        gateway_mode4=mode,
                        internal=internal,
                        hairpin=hairpin,
                        ip_masq=masquerade,
                    )
                    ends = (
                        Endpoint("a", "n", address4=IPv4Address("172.20.0.2"), ports=ports),
                        Endpoint("b", "n", address4=IPv4Address("172.20.0.3")),
                    )
                    yield Declaration((network,), ends)


VALUES: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("icc", "ip_masq", "internal", "localhost"), (False, True)),
    "hairpin": ("conntrack", "docker", "off"), "gateway_mode": ("nat", "nat-unprotected", "routed"),
    "outbound": (None, 10), "trusted_host_interfaces": ((), ("eth0",)),
}  # fmt: skip


def shows(layout: str, option: str) -> bool:
    """Whether two values of an option ever give other rules."""
    for declaration in surroundings():
        if option == "userland_proxy":
            made = [msgspec.structs.replace(declaration, userland_proxy=value) for value in (True, False)]
        else:
            network = declaration.networks[0]
            made = [
                with_network(declaration, 0, msgspec.structs.replace(network, **fields(option, value)))
                for value in VALUES[option]
            ]
        if len({str(generate(one, layout)) for one in made}) > 1:
            return True
    return False


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_options_that_leave_a_trace(layout: str) -> None:
    found = {NAMES.get(option, option) for option in (*CHOSEN, "userland_proxy") if shows(layout, option)}
    assert found == SHOWN[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=25, deadline=None)
@given(declaration=declarations(), family=st.sampled_from([4, 6]))
def test_what_leaves_none_in_any(layout: str, declaration: Declaration, family: int) -> None:
    """The fields of a declaration that docs/diff.md says nothing can be said about."""
    networks = tuple(
        msgspec.structs.replace(
            each, gateway4=IPv4Address("172.20.0.77"), mtu=1400, icc_enforcement="port_isolation",
            gateway6=None, host_binding4=None,
        )
        for each in declaration.networks
    )  # fmt: skip
    ends = tuple(
        msgspec.structs.replace(
            each, netns="rfx", ports=tuple(msgspec.structs.replace(port, name="http") for port in each.ports)
        )
        for each in declaration.endpoints
    )
    apply = Apply(backend="legacy", confirm=60, sysctls="check")
    other = msgspec.structs.replace(declaration, networks=networks, endpoints=ends, apply=apply)
    assert generate(other, layout, family) == generate(declaration, layout, family)


def test_every_field_of_a_declaration_is_accounted_for() -> None:
    known = {name for option in CHOSEN for name in fields(option, None)}
    told = {"name", "bridge", "subnet4", "subnet6"}  # networks are known by them
    silent = {"gateway4", "gateway6", "mtu", "icc_enforcement"}
    by_ports = {"host_binding4", "host_binding6"}  # the host address of the port maps that have none
    assert known | told | silent | by_ports == set(Network.__struct_fields__)
    page = PAGE.read_text()
    assert all(f"`{name.rstrip('46')}`" in page for name in silent | by_ports)


def test_the_page_says_the_same() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    head = next(line for line in lines if line.startswith("| option |"))
    layouts = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert tuple(layouts) == LAYOUTS
    rows = {
        cells[0].strip("` "): cells[1:]
        for line in lines
        if (cells := line.strip("|").split("|"))[0].strip("` ") in OPTIONS
    }
    assert rows.keys() == OPTIONS.keys()
    for at, layout in enumerate(layouts):
        assert {name for name, cells in rows.items() if cells[at].strip() == "yes"} == SHOWN[layout]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("family", [4, 6])
def test_a_pattern_belongs_to_one_level(layout: str, family: int) -> None:
    """No rule that is written for a port is the same as one that is written for the network."""
    found = written(layout, family)
    for case in found.cases(frozenset()):
        assert not case.network & case.endpoint
        assert all(found.templates[number].level == "port" for ports in case.ports for number in ports)
