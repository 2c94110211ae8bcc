"""What is read from route netlink is what `ip` made."""

import pytest
from namespaces import namespaces, shell

from ruleflow.kernel.links import within
from ruleflow.kernel.owned import Address, Link, Route
from ruleflow.kernel.seen import see_here

pytestmark = pytest.mark.root

MADE = """
ip link add br0 type bridge; ip link set br0 up mtu 1400
ip link add v0 type veth peer name v1; ip link set v0 master br0 up; ip link set v1 up
bridge link set dev v0 hairpin on isolated on
ip addr add 10.1.0.1/16 dev br0; ip addr add fd00:1::1/64 dev br0 nodad
ip addr add 192.0.2.2 peer 192.0.2.1/32 dev v1; ip addr add 10.9.9.9/24 dev v1
ip route add default via 10.9.9.1
ip route add 203.0.113.0/24 nexthop via 10.9.9.1 dev v1 nexthop via 10.1.0.7 dev br0
ip route add blackhole 198.51.100.0/24
ip route add 198.18.0.0/15 via 10.9.9.1 table 77
ip -6 route add default via fd00:1::7
"""


def test_links_addresses_and_routes() -> None:
    with namespaces("seen") as (name,):
        shell(name, MADE)
        seen = within(name, lambda: see_here("inner"))
        assert seen.link("br0") == Link("br0", "bridge", 1400)
        assert seen.link("v0") == Link("v0", "veth", 1500, "br0", hairpin=True, isolated=True)
        assert seen.link("nobody") is None
        assert "lo" in seen.other
        assert {
            Address("br0", "10.1.0.1/16", "inner"),
            Address("br0", "fd00:1::1/64", "inner"),
            Address("v1", "192.0.2.2/32", "inner"),
            Address("v1", "10.9.9.9/24", "inner"),
        } <= set(seen.addresses)
        assert {
            Route("default", "10.9.9.1", "v1", "inner"),
            Route("default", "fd00:1::7", "br0", "inner"),
            Route("10.1.0.0/16", "", "br0", "inner"),
            Route("203.0.113.0/24", "", "", "inner"),
            Route("198.51.100.0/24", "", "", "inner"),
        } <= set(seen.routes)
        assert not any(route.destination == "198.18.0.0/15" for route in seen.routes)


def test_many() -> None:
    with namespaces("seen") as (name,):
        shell(
            name,
            "ip link add v0 type veth peer name v1; ip link set v0 up\n"
            "for n in $(seq 2000); do echo addr add 10.$((n/250)).$((n%250)).1/24 dev v0; done | ip -batch -",
        )
        seen = within(name, see_here)
        assert len({one.address for one in seen.addresses if one.link == "v0"}) == 2000
