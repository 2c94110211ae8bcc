"""What a declaration wants on this host: rules as the kernel prints them, links, addresses, routes, namespaces, settings."""

import hashlib
import re
from collections.abc import Iterator

import msgspec

from ruleflow.bridge.declaration import Declaration, Endpoint, Network
from ruleflow.bridge.generate import write
from ruleflow.bridge.layouts.writing import Writing
from ruleflow.bridge.needs import needs
from ruleflow.errors import RuleflowError
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.owned import (
    Address,
    Link,
    Netns,
    Owned,
    OwnedTable,
    Route,
    Setting,
    live_texts,
    owned_rules,
)
from ruleflow.kernel.saved import Saved, SavedChain, SavedTable, restore_text

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
CHAIN_LENGTH = 28  # XT_EXTENSION_MAXNAMELEN, <linux/netfilter/x_tables.h>: 29 with the final zero
TEXT_LENGTH = 1024  # a word of iptables-restore, xshared.h


class UnsafeTextError(RuleflowError):
    """A text that would reach a rule could be read as something else there."""


def wanted(declaration: Declaration, backend: Backend) -> Owned:
    """What ``declaration`` puts on the host whose thread this is; its rules tried by the real restore.

    :raises UnsafeTextError: for text that must not reach a rule.
    :raises RestoreRefusedError: where the kernel refuses a rule.
    """
    written = {family: _written(write(declaration, family=family)) for family in declaration.families()}
    return msgspec.structs.replace(
        wanted_links(declaration),
        tables=wanted_rules(written, backend, kept=frozenset({f"{declaration.apply.prefix}-USER"})),
    )


def _written(writing: Writing) -> Saved:
    """What a layout writes, in the values of a save. Policies of built-in chains are never ours."""
    tables: dict[str, list[SavedChain]] = {}
    for table, chain, policy, rules in writing.chains():
        tables.setdefault(table, []).append(SavedChain(chain, policy and "ACCEPT", rules))
    return {name: SavedTable(name, tuple(chains)) for name, chains in tables.items()}


def wanted_rules(
    written: dict[int, Saved], backend: Backend, *, kept: frozenset[str] = frozenset()
) -> tuple[OwnedTable, ...]:
    """What of the rules (by family) is ours, in the kernel's own words.

    :raises UnsafeTextError: for text that must not reach a rule, or comes back as other rules.
    :raises RestoreRefusedError: where the kernel refuses a rule.
    """
    for tables in written.values():
        check_text(tables)
    back = backend.canonical({family: restore_text(tables) for family, tables in written.items()})
    for family, tables in written.items():
        _same_shape(tables, back[family])
    return owned_rules(back, kept)


def check_text(tables: Saved) -> None:
    """Refuse control characters, line ends and lengths that iptables-restore would read as something else.

    (A line end in a comment becomes a rule of its own when a saved file is restored.) Raises `UnsafeTextError`.
    """
    for table in tables.values():
        for chain in table:
            if len(chain.name) > CHAIN_LENGTH or not chain.name.isascii() or not _plain_name(chain.name):
                raise UnsafeTextError(
                    f"a chain cannot be called {chain.name!r}", help="28 letters, digits, - and _ at most"
                )
            for text in chain.rules:
                _check_rule(table.name, text)


def _check_rule(table: str, text: str) -> None:
    if CONTROLS.search(text):
        raise UnsafeTextError(
            f"{table}: a rule must not hold control characters: {text!r}", help="write plain text"
        )
    if len(text) > TEXT_LENGTH and any(len(word) > TEXT_LENGTH for word in text.split()):
        raise UnsafeTextError(f"{table}: a word is longer than {TEXT_LENGTH} characters: {text[:80]!r}…")


def _plain_name(name: str) -> bool:
    return name.replace("-", "").replace("_", "").isalnum() and not name.startswith("-")


def _same_shape(sent: Saved, came: Saved) -> None:
    """As many rules in each chain as were sent: text that became another rule would show here."""
    for table in sent.values():
        back = came.get(table.name, SavedTable(table.name))
        for chain in table:
            rules = live_texts(back, chain.name)
            if len(rules) != len(chain.rules):
                raise UnsafeTextError(
                    f"{table.name} {chain.name}: {len(chain.rules)} rules were written, {len(rules)} came back"
                )


def wanted_links(declaration: Declaration) -> Owned:
    """The links, addresses, routes, namespaces and settings of a declaration."""
    plugged = [one for one in declaration.endpoints if one.netns]
    needed = needs(declaration)
    flags = {
        one.name: frozenset(flag.flag for flag in needed.port_flags if flag.endpoint == one.name)
        for one in plugged
    }
    return Owned(
        netns=tuple(dict.fromkeys(Netns(one.netns or "") for one in plugged if _is_name(one.netns or ""))),
        links=(
            *(Link(one.bridge, mtu=one.mtu) for one in declaration.networks),
            *(_cable(declaration, one, flags[one.name]) for one in plugged),
        ),
        addresses=(
            *(one for network in declaration.networks for one in _gateways(network)),
            *(one for endpoint in plugged for one in _addresses(declaration, endpoint)),
        ),
        routes=tuple(one for endpoint in plugged for one in _routes(declaration, endpoint)),
        settings=tuple(Setting(one.name, one.value) for one in needed.sysctls)
        if declaration.apply.sysctls == "manage"
        else (),
    )


def _is_name(netns: str) -> bool:
    return "/" not in netns and not netns.startswith("pid:")


def cable_name(network: Network, endpoint: Endpoint) -> str:
    """The name of an endpoint's cable on this host: short enough for the kernel, the same at each call.

    It follows from the bridge, whose name is used once on a host, not from the network's, which other declarations may use.
    """
    digest = hashlib.sha256(f"{network.bridge}/{endpoint.name}".encode()).hexdigest()
    return f"rf-{digest[:10]}"


def inner_name(declaration: Declaration, endpoint: Endpoint) -> str:
    """The name of the cable's other end: eth0 in its namespace, eth1 for the second endpoint there."""
    same = [one for one in declaration.endpoints if one.netns == endpoint.netns]
    return f"eth{same.index(endpoint)}"


def _cable(declaration: Declaration, endpoint: Endpoint, flags: frozenset[str]) -> Link:
    network = declaration.network(endpoint.network)
    return Link(
        cable_name(network, endpoint), "veth", network.mtu, network.bridge, hairpin="hairpin" in flags,
        isolated="isolated" in flags, netns=endpoint.netns or "",
        peer=inner_name(declaration, endpoint),
    )  # fmt: skip


def _gateways(network: Network) -> Iterator[Address]:
    for family in (4, 6):
        gateway, subnet = network.gateway(family), network.subnet(family)
        if gateway is not None and subnet is not None:
            yield Address(network.bridge, f"{gateway}/{subnet.prefixlen}")


def _addresses(declaration: Declaration, endpoint: Endpoint) -> Iterator[Address]:
    network = declaration.network(endpoint.network)
    for family in (4, 6):
        address, subnet = endpoint.address(family), network.subnet(family)
        if address is not None and subnet is not None:
            link = inner_name(declaration, endpoint)
            yield Address(link, f"{address}/{subnet.prefixlen}", endpoint.netns or "")


def _routes(declaration: Declaration, endpoint: Endpoint) -> Iterator[Route]:
    """The way out by the gateway, for the first endpoint of a namespace; an internal network has none."""
    network = declaration.network(endpoint.network)
    link = inner_name(declaration, endpoint)
    for family in (4, 6):
        gateway = network.gateway(family)
        if (
            gateway is not None
            and endpoint.address(family) is not None
            and not network.internal
            and link == "eth0"
        ):
            yield Route("default", str(gateway), link, endpoint.netns or "")
