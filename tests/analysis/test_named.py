"""Programs known by the names of their chains or by their comments: named where they show themselves, else not."""

import pytest

from ruleflow.analysis.idioms import recognise
from ruleflow.data import sample
from ruleflow.ruleset.parse import parse

ZONES = """*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:reject - [0:0]
:zone_lan_input - [0:0]
:zone_wan_input - [0:0]
:zone_wan_src_REJECT - [0:0]
-A INPUT -i br-lan -m comment --comment "!fw3" -j zone_lan_input
-A INPUT -i wan -m comment --comment "!fw3" -j zone_wan_input
-A reject -p tcp -m comment --comment "!fw3" -j REJECT --reject-with tcp-reset
-A zone_wan_input -m comment --comment "!fw3" -j zone_wan_src_REJECT
-A zone_wan_src_REJECT -i wan -m comment --comment "!fw3" -j reject
COMMIT
"""
CONTAINERS = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.0.3.0/24 ! -d 10.0.3.0/24 -m comment --comment "generated for LXD network lxdbr0" -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -i lxdbr0 -m comment --comment "generated for LXD network lxdbr0" -j ACCEPT
COMMIT
"""
MESH = """*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:ISTIO_INBOUND - [0:0]
:ISTIO_OUTPUT - [0:0]
:ISTIO_REDIRECT - [0:0]
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
COMMIT
"""


@pytest.mark.parametrize(
    ("text", "program"), [(ZONES, "OpenWrt (firewall3)"), (CONTAINERS, "LXD or Incus"), (MESH, "Istio")]
)
def test_a_program_is_named_with_the_evidence(text: str, program: str) -> None:
    (said,) = recognise(parse(text).rulesets[0]).made
    assert said.startswith(f"{program}: a guess, by the ")


def test_its_chains_are_said_to_be_for_something() -> None:
    owners = recognise(parse(ZONES).rulesets[0]).owners
    assert owners["filter", "zone_wan_input"].endswith("what arrives for this host from the zone wan")
    assert owners["filter", "zone_wan_src_REJECT"].endswith("on what comes from the zone wan: REJECT")
    assert owners["filter", "reject"].endswith("refuses: tcp by a reset, everything else by an error")
    assert ("filter", "INPUT") not in owners


def test_a_name_that_anybody_may_give_shows_nothing() -> None:
    text = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:INVALID - [0:0]
:SYNFLOOD - [0:0]
:reject - [0:0]
:syn_flood - [0:0]
-A INPUT -j INVALID
-A INPUT -j SYNFLOOD
-A INPUT -j syn_flood
-A INPUT -j reject
COMMIT
"""
    found = recognise(parse(text).rulesets[0])
    assert (found.made, found.owners) == ((), {})


def test_what_wg_quick_really_wrote_is_known_by_its_comments() -> None:
    rules = parse(sample("wg-quick").read_text("utf-8")).rulesets[0]
    assert recognise(rules).made == ("wg-quick: a guess, by the comments of its rules (lines 8, 9 and 16).",)
