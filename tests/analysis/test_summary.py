"""What passes, in short, and a packet's true class: computed from sets, checked against walks."""

import random
from pathlib import Path

import pytest

import ruleflow
from ruleflow.analysis.same_class import same_class
from ruleflow.analysis.summary import summary
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk_many
from ruleflow.ruleset.parse import parse_one

BASE = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 8080 -j DROP
COMMIT
"""


def lines(text: str) -> dict[str, tuple[str, ...]]:
    return {part.where: part.lines for part in summary(ruleflow.parse(text))}


def test_in_short_says_what_passes_each_way() -> None:
    told = lines(BASE)
    assert told["Into this host"] == ("loopback", "replies", "tcp to port 22 (ssh)", "all else is dropped")
    assert told["Through this host"] == ("nothing: all is dropped",)
    assert told["Out of this host"] == ("everything",)


def test_what_is_open_but_for_a_little_is_said_by_that() -> None:
    told = lines("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT\n")
    assert told["Into this host"][0] == "replies" or "any port but 23" in " ".join(told["Into this host"])


def test_a_published_port_and_its_surprise_are_said() -> None:
    nat = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80\nCOMMIT\n"
    text = nat + BASE.replace(
        "COMMIT", "-A FORWARD -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j ACCEPT\nCOMMIT"
    )
    told = lines(text)
    assert any("sent on to 172.17.0.2 port 80" in line for line in told["Through this host"])
    assert any("rule 4 of INPUT" in line for line in told["Surprise"])


def test_a_policy_that_nothing_reaches_is_said() -> None:
    told = lines("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j ACCEPT\n-A INPUT -j DROP\nCOMMIT\n")
    assert told["Surprise"] == (
        "the policy ACCEPT of INPUT is never reached: the rules decide for every packet.",
    )


@pytest.mark.parametrize("name", ["docker-port-80.rules", "fail2ban.rules", "firewalld.rules"])
def test_samples_have_a_summary(samples: Path, name: str) -> None:
    assert summary(parse_one((samples / name).read_text()))


def test_the_class_of_a_packet_is_true() -> None:
    """Every packet of the class fares like the one it was asked for."""
    rules = ruleflow.parse(BASE)
    found = same_class(rules, Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:22 in eth0 state new"))
    assert found is not None
    assert (found.words, found.verdict) == (
        "tcp to port 22 (ssh), arriving on any interface but lo, not established or related",
        "ACCEPT",
    )
    chance = random.Random(1)
    packets = [
        Packet.parse(
            f"tcp 10.0.0.{chance.randrange(256)}:{chance.randrange(1, 65536)} 192.0.2.1:22 in eth{chance.randrange(3)} state new"
        )
        for _ in range(50)
    ]
    for verdict in walk_many(Machine.inferred_from(rules, local=("192.0.2.1",)), packets):
        assert (verdict.verdict, verdict.by) == (found.verdict, found.by)
