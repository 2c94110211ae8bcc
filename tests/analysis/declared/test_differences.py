"""The round trip: what differs between the rules of two declarations is named exactly as it was declared, in every layout."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_declarations import declarations, fields, pairs, with_an_option_changed, with_network

from ruleflow.analysis.changes import DeclaredChange
from ruleflow.analysis.declared.differences import Choice, declared, fewest
from ruleflow.analysis.declared.read_back import read_back
from ruleflow.analysis.declared.stand_ins import OPTIONS, VALUED
from ruleflow.bridge.declaration import LAYOUTS, Declaration, Endpoint, Network, PortMap
from ruleflow.bridge.generate import generate
from ruleflow.ruleset.ir import Ruleset

ROUTED_UNSEEN = ("native", "docker-classic")
"""The layouts that write nothing for the host's port of a routed network."""

Single = tuple[str, str, int | None, str, int]


def rules(declaration: Declaration, layout: str, family: int) -> frozenset[Any]:
    return frozenset((ref.table, rule) for ref, rule in generate(declaration, layout, family).rules())


def changes(
    one: Declaration, two: Declaration, layout: str, families: tuple[int, ...] = (4, 6)
) -> tuple[DeclaredChange, ...]:
    found = declared([(generate(one, layout, family), generate(two, layout, family)) for family in families])
    assert found is None or not found.unread
    return () if found is None else found.changes


# -- an oracle for ports: what a layout can show of a declaration -------------------------------------------


def singles(declaration: Declaration, layout: str, family: int) -> Iterator[Single]:
    for endpoint in declaration.endpoints:
        network = declaration.network(endpoint.network)
        for port in endpoint.ports:
            for one in port.singly():
                yield from single(network, endpoint, one, layout, family)


def single(network: Network, endpoint: Endpoint, port: PortMap, layout: str, family: int) -> Iterator[Single]:
    address, published = endpoint.address(family), port.published
    assert published is not None
    if address is None or (network.internal and layout != "cni-portmap"):
        return
    routed = network.gateway_mode(family) == "routed"
    if routed and layout in ROUTED_UNSEEN:
        if port.serves(family) or layout == "native":
            yield port.protocol, "", None, str(address), port.target.low
        return
    if not port.serves(family) or (layout == "native" and str(port.host_ip) == "::1"):
        return
    yield (
        port.protocol,
        "" if port.host_ip is None else str(port.host_ip),
        published.low,
        str(address),
        port.target.low,
    )


def unexplained(mine: set[Single], other: set[Single]) -> set[Single]:
    """Those that the other side has not, not even at the container's own address alone."""
    return {
        one for one in mine - other
        if not any((two[0], *two[3:]) == (one[0], *one[3:]) and (one[2] is None or two[2] is None) for two in other)
    }  # fmt: skip


WORDS = re.compile(r"(?:(?:\[(.*)\]|(\d+(?:\.\d+){3})):)?(?:(\d+)(?:-\d+)?:)?(\d+)(?:-(\d+))?/(\w+) at (\S+)")


def said(text: str) -> Iterator[Single]:
    """The ports of a port map as it is said."""
    if text:
        found = WORDS.fullmatch(text)
        assert found is not None, text
        six, four, low, target, last, protocol, address = found.groups()
        for step in range(int(last or target) - int(target) + 1):
            published = None if low is None else int(low) + step
            yield protocol, six or four or "", published, address, int(target) + step


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=40, deadline=None)
@given(pair=pairs())
def test_exactly_the_ports_that_differ_are_named(layout: str, pair: tuple[Declaration, Declaration]) -> None:
    found = [one for one in changes(*pair, layout) if one.kind == "port map"]
    expected: tuple[set[Single], set[Single]] = (set(), set())
    for family in (4, 6):
        before, after = (set(singles(one, layout, family)) for one in pair)
        expected[0].update(unexplained(before, after))
        expected[1].update(unexplained(after, before))
    assert {one for change in found for one in said(change.before)} == expected[0]
    assert {one for change in found for one in said(change.after)} == expected[1]


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=30, deadline=None)
@given(pair=pairs())
def test_something_is_named_if_and_only_if_the_rules_differ(
    layout: str, pair: tuple[Declaration, Declaration]
) -> None:
    same = all(rules(pair[0], layout, family) == rules(pair[1], layout, family) for family in (4, 6))
    assert (changes(*pair, layout) == ()) == same


def value_said(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "none" if value is None else str(value)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), family=st.sampled_from([4, 6]))
def test_one_option_that_is_changed_is_named_alone(layout: str, data: st.DataObject, family: int) -> None:
    one = data.draw(declarations())
    two, option = data.draw(with_an_option_changed(one))
    found = [each for each in changes(one, two, layout, (family,)) if each.kind == "option"]
    if rules(one, layout, family) == rules(two, layout, family):
        assert found == []
        return
    if layout == "cni-portmap" and any(not rules(each, layout, family) for each in (one, two)):
        return  # nothing at all is left of a network without ports that is not masqueraded
    if any(a != b and a.subnet(family) is None for a, b in zip(one.networks, two.networks, strict=True)):
        return  # Docker up to 26 keeps a bridge apart in either family: that it is internal is said of the one it has
    assert len(found) == 1, found
    if found[0].option != {"outbound": "outbound_addr"}.get(option, option):
        there, back = (
            with_it(one, two, found[0].option, found[0].after),
            with_it(two, one, found[0].option, found[0].before),
        )
        same = [rules(a, layout, family) == rules(b, layout, family) for a, b in ((there, two), (back, one))]
        assert any(same)
    elif option not in ("outbound", "userland_proxy", "gateway_mode"):
        (was, now) = next((a, b) for a, b in zip(one.networks, two.networks, strict=True) if a != b)
        for told, network in ((found[0].before, was), (found[0].after, now)):
            assert value_said(getattr(network, option)) in told.split(" or ")


def with_it(one: Declaration, two: Declaration, option: str, told: str) -> Declaration:
    """``one`` with the option changed that is named instead of the one that was: where both give the same rules."""
    at = next(at for at, (a, b) in enumerate(zip(one.networks, two.networks, strict=True)) if a != b)
    word = told.partition(" or ")[0]
    value = word if option in ("hairpin", "gateway_mode") else word == "on"
    return with_network(one, at, msgspec.structs.replace(one.networks[at], **fields(option, value)))


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=20, deadline=None)
@given(pair=pairs())
def test_no_more_options_are_named_than_differ(layout: str, pair: tuple[Declaration, Declaration]) -> None:
    names = {each.name for each in pair[0].networks} & {each.name for each in pair[1].networks}
    differ = sum(len(differing(*(each.network(name) for each in pair))) for name in names)
    differ += pair[0].userland_proxy != pair[1].userland_proxy
    for family in (4, 6):
        assert len([one for one in changes(*pair, layout, (family,)) if one.kind == "option"]) <= differ


def differing(one: Network, two: Network) -> set[str]:
    names = (name for name in Network.__struct_fields__ if getattr(one, name) != getattr(two, name))
    return {name.rstrip("46") for name in names if not name.startswith("subnet")}


# -- reading back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=30, deadline=None)
@given(data=st.data(), family=st.sampled_from([4, 6]))
def test_what_is_read_back_are_all_options_that_give_these_rules(
    layout: str, data: st.DataObject, family: int
) -> None:
    declaration = data.draw(declarations())
    ruleset = generate(declaration, layout, family)
    reading = read_back(ruleset)
    assert not reading.unread
    for network in reading.networks:
        at = next(
            n
            for n, one in enumerate(declaration.networks)
            if network.bridge in (one.bridge, None) and is_of(one, network)
        )
        own = options_of(declaration.networks[at], declaration, family)
        mine = tuple(own[name] for name in network.shown)
        assert mine in network.choices
        for name in network.shown:
            tried = data.draw(st.sampled_from(OPTIONS[name]))
            if name in VALUED or name == "userland_proxy":
                continue
            other = msgspec.structs.replace(
                declaration.networks[at],
                **({name: tried} if name != "gateway_mode" else {f"gateway_mode{family}": tried}),
            )
            made = (*declaration.networks[:at], other, *declaration.networks[at + 1 :])
            changed = msgspec.structs.replace(declaration, networks=made)
            place = network.shown.index(name)
            same = rules(changed, layout, family) == rules(declaration, layout, family)
            assert ((*mine[:place], tried, *mine[place + 1 :]) in network.choices) == same


def is_of(one: Network, network: Any) -> bool:
    return network.bridge is not None or str(one.subnet(network.family)) == str(network.subnet)


def options_of(network: Network, declaration: Declaration, family: int) -> dict[str, Any]:
    return {
        "icc": network.icc, "ip_masq": network.ip_masq, "hairpin": network.hairpin, "localhost": network.localhost,
        "outbound_addr": network.outbound(family) is not None, "trusted_host_interfaces": bool(network.trusted_host_interfaces),
        "gateway_mode": network.gateway_mode(family), "internal": network.internal, "userland_proxy": declaration.userland_proxy,
    }  # fmt: skip


# -- layouts against each other -----------------------------------------------------------------------------


@pytest.mark.parametrize("one", LAYOUTS)
@pytest.mark.parametrize("two", LAYOUTS)
@settings(max_examples=8, deadline=None)
@given(declaration=declarations())
def test_the_same_declaration_in_two_layouts_is_the_same(
    one: str, two: str, declaration: Declaration
) -> None:
    for family in (4, 6):
        found = declared([(generate(declaration, one, family), generate(declaration, two, family))])
        for change in found.changes if found is not None and found.before and found.after else ():
            assert change.kind == "port map"
            assert any(
                served_otherwise(declaration, each) for each in (*said(change.before), *said(change.after))
            )


def served_otherwise(declaration: Declaration, port: Single) -> bool:
    """Ports that not every layout serves: on ::1, those of an internal network, which CNI has not, and those of a routed one.

    There the host address is not asked for by all.
    """
    networks = (
        declaration.network(each.network)
        for each in declaration.endpoints
        if str(each.address4) == port[3] or str(each.address6) == port[3]
    )
    return port[1] == "::1" or any(
        each.internal or (port[2] is None and each.gateway_mode4 == "routed") for each in networks
    )


def test_the_fewest_options_are_named() -> None:
    one: list[Choice] = [{"icc": True, "ip_masq": True, "internal": False}]
    two: list[Choice] = [
        {"icc": True, "ip_masq": False, "internal": False},
        {"icc": True, "ip_masq": True, "internal": True},
    ]
    assert fewest(one, two) == [("ip_masq", "on", "off")]
    assert fewest(one, [*two, *one]) == []
    assert fewest([], two) == []


def test_nothing_is_said_of_rules_of_no_layout() -> None:
    assert declared([(Ruleset(4), Ruleset(4))]) is None
