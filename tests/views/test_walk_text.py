"""Walks and connections as people see them: whole pages as goldens, and text from a dump that is not trusted."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

import ruleflow
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Walk
from ruleflow.netfilter.walk import walk, with_reply
from ruleflow.netfilter.world import read_world
from ruleflow.views.connect_text import connection_lines
from ruleflow.views.text import Paper
from ruleflow.views.walk_json import walk_value
from ruleflow.views.walk_text import minimal, walk_lines

SAMPLES = Path(__file__).parent.parent.parent / "samples"
RULES = ruleflow.parse((SAMPLES / "docker-port-80-proxy.rules").read_text())
MACHINE = Machine.inferred_from(RULES, local=("192.0.2.1",))
PUBLISHED = Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:80 in eth0")


def page(found: Walk, **how: str) -> str:
    return "".join(f"{line}\n" for line in walk_lines(found, RULES, Paper(), **how))


@pytest.mark.parametrize("detail", ["full", "matches", "minimal"])
def test_the_walk_to_a_published_port(golden: Callable[[str, str], None], detail: str) -> None:
    golden(f"walk/published-{detail}.txt", page(walk(MACHINE, PUBLISHED), detail=detail))


def test_the_reply_stands_below(golden: Callable[[str, str], None]) -> None:
    golden("walk/published-both.txt", page(with_reply(MACHINE, walk(MACHINE, PUBLISHED)), detail="matches"))


def test_what_is_not_decided(golden: Callable[[str, str], None]) -> None:
    rules = ruleflow.parse((SAMPLES / "ufw.rules").read_text())
    machine = Machine.inferred_from(rules, local=("192.0.2.1",))
    found = walk(machine, Packet.parse("tcp 203.0.113.9:40000 192.0.2.1:22 in eth0"))
    golden(
        "walk/undecided.txt",
        "".join(f"{line}\n" for line in walk_lines(found, rules, Paper(), detail="matches")),
    )


def test_a_connection(golden: Callable[[str, str], None]) -> None:
    world = read_world(SAMPLES / "docker-host")
    text = [*connection_lines(connect(world, "web", "192.0.2.10", 80), Paper()), ""]
    text += connection_lines(connect(world, "outside", "172.17.0.4", 80), Paper())
    golden("walk/connection.txt", "".join(f"{line}\n" for line in text))


def test_minimal_is_one_stable_line() -> None:
    assert minimal(walk(MACHINE, PUBLISHED)) == "ACCEPT 172.17.0.4:80 docker0"


def test_json_has_typed_reasons_and_addresses_as_text() -> None:
    value = msgspec.json.decode(msgspec.json.encode(walk_value(walk(MACHINE, PUBLISHED))))
    assert value["schema"] == "ruleflow.walk/1"
    assert value["verdict"] == "ACCEPT"
    assert value["by"] == {"table": "filter", "chain": "DOCKER", "index": 1, "line": 16}
    assert value["outcomes"][0]["packet"]["destination"] == "172.17.0.4"
    passed_over = [step for step in value["steps"] if step.get("answer") == "no"]
    assert passed_over[0]["reason"] == "in is eth0"
    assert passed_over[0]["field"] == "in_interface"


def test_control_characters_of_a_dump_do_not_reach_the_terminal() -> None:
    rules = ruleflow.parse(
        '*filter\n-A INPUT -m comment --comment "\x1b[31mred" -j LOG --log-prefix "\x1b[0m"\nCOMMIT\n'
    )
    found = walk(rules, PUBLISHED)
    assert "\x1b" not in "".join(walk_lines(found, rules, Paper()))
