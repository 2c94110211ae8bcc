"""Random declarations, each of which is in order: what `read_declaration` made of a random mapping."""

import json
from typing import Any

from hypothesis import strategies as st

from ruleflow.bridge.declaration import GATEWAY_MODES, HAIRPINS, LAYOUTS, PROTOCOLS, Declaration
from ruleflow.bridge.read_declaration import read_declaration


def _network(number: int) -> st.SearchStrategy[dict[str, Any]]:
    four, six = {"subnet": f"172.{20 + number}.0.0/16"}, {"subnet": f"fd00:{number}::/64"}
    return st.fixed_dictionaries(
        {"ipam": st.sampled_from([{"config": [four]}, {"config": [four, six]}])},
        optional={
            "internal": st.booleans(), "icc": st.booleans(), "ip_masq": st.booleans(), "localhost": st.just(True),
            "gateway_mode": st.sampled_from(GATEWAY_MODES), "hairpin": st.sampled_from(HAIRPINS),
            "outbound_addr4": st.just("192.0.2.10"), "host_binding": st.sampled_from(["192.0.2.10", "2001:db8::10"]),
            "trusted_host_interfaces": st.lists(st.sampled_from(["eth0", "wg0"]), unique=True),
            "icc_enforcement": st.sampled_from(["br_netfilter", "port_isolation"]),
        },
    )  # fmt: skip


@st.composite
def _ports(draw: st.DrawFn, first: int) -> list[str]:
    """Port maps from host port ``first`` on, so that none is published twice."""
    found = []
    for _ in range(draw(st.integers(0, 3))):
        count = draw(st.integers(1, 4))
        target = draw(st.sampled_from([80, 443, first]))
        host = draw(
            st.sampled_from(["", "192.0.2.10:", "127.0.0.1:", "[2001:db8::10]:", "[::1]:", "0.0.0.0:"])
        )
        protocol = draw(st.sampled_from(PROTOCOLS))
        last = (first + count - 1, target + count - 1)
        found.append(
            f"{host}{first}-{last[0]}:{target}-{last[1]}/{protocol}"
            if count > 1
            else f"{host}{first}:{target}/{protocol}"
        )
        first += count
    return found


@st.composite
def declarations(draw: st.DrawFn) -> Declaration:
    """One to three networks with up to four endpoints."""
    networks = {f"n{number}": draw(_network(number)) for number in range(draw(st.integers(1, 3)))}
    endpoints = {
        f"e{number}": {
            "network": draw(st.sampled_from(sorted(networks))),
            "ports": draw(_ports(8000 + 100 * number)),
        }
        for number in range(draw(st.integers(0, 4)))
    }
    tree = {
        "networks": networks, "endpoints": endpoints, "layout": draw(st.sampled_from(LAYOUTS)),
        "userland_proxy": draw(st.booleans()), "apply": {"comment": draw(st.booleans())},
    }  # fmt: skip
    return read_declaration(json.dumps(tree))
