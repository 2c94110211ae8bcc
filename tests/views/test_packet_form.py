"""The report's packet form against `walk`: the same verdict for random packets, wherever the form claims to know."""

import json
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ruleflow.analysis.classes import packet_classes
from ruleflow.analysis.subject import of_directory
from ruleflow.errors import ReadError
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text, read_address
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

ROOT = Path(__file__).parents[2]
WALK = Path(__file__).parent / "tooling" / "walk.cjs"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None, reason="node is not installed: apt-get install nodejs"
)

Asked = dict[str, Any]


def machine_of(name: str) -> Machine:
    path = ROOT / "samples" / name
    if path.is_dir():
        subject = of_directory(path, 4)
        assert subject.world is not None
        return Machine.of(subject.world.main, 4)
    return Machine.inferred_from(parse(path.read_bytes()).rulesets[0])


def random_packets(data: Asked, rules: Ruleset, count: int, seed: int) -> Iterator[Asked]:
    """Packets near what the rules and the host tell apart, and others."""
    chance = random.Random(seed)
    text = str(rules)
    ports = [
        int(word)
        for word in text.replace(":", " ").replace(",", " ").split()
        if word.isdecimal() and 0 < int(word) < 65535
    ]
    addresses = [int(bound) + move for bound in data["bounds"] for move in (0, 1, 9)]
    shape = r"\d+\.\d+\.\d+\.\d+" if data["family"] == 4 else r"[0-9a-f]*:[0-9a-f:]*:[0-9a-f]*"
    addresses += [read_address(word)[0] for word in re.findall(shape, text) if _is_address(word)]
    width = 32 if data["family"] == 4 else 128
    addresses = [one for one in addresses if one < 1 << width] + [
        chance.getrandbits(width) for _ in range(20)
    ]
    icmp = 1 if data["family"] == 4 else 58
    for _ in range(count):
        proto = chance.choice([6, 6, 6, 17, 17, icmp])
        ported = proto != icmp
        asked = {
            "src": address_text(chance.choice(addresses), data["family"]), "dst": address_text(chance.choice(addresses), data["family"]),
            "proto": proto, "sport": chance.choice([40000, *ports]) if ported else None,
            "dport": chance.choice([80, 22, *ports]) + chance.choice([0, 0, 0, 1]) if ported else None,
            "in": chance.choice([*data["interfaces"][:12], *data["interfaces"][:12], ""]), "state": chance.choice([None, None, 2, 0]),
        }  # fmt: skip
        if _is_packet(asked, data["family"]):
            yield asked


def _is_packet(asked: Asked, family: int) -> bool:
    try:
        packet_of(asked, family)
    except ReadError:
        return False
    return True


def _is_address(word: str) -> bool:
    try:
        read_address(word)
    except ReadError:
        return False
    return True


STATES = {0: "invalid", 2: "established"}


def packet_of(asked: Asked, family: int) -> Packet:
    ends = (asked["src"], asked["dst"])
    if asked["sport"] is not None:
        shape = "[{}]:{}" if family == 6 else "{}:{}"
        ends = (shape.format(asked["src"], asked["sport"]), shape.format(asked["dst"], asked["dport"]))
    proto = {6: "tcp", 17: "udp", 1: "icmp echo-request", 58: "icmpv6 echo-request"}[asked["proto"]]
    into = f" in {asked['in']}" if asked["in"] else ""
    state = f" state {STATES[asked['state']]}" if asked["state"] is not None else ""
    return Packet.parse(f"{proto} {ends[0]} {ends[1]}{into}{state}")


def by_form(data: Asked, packets: list[Asked]) -> list[Asked]:
    done = subprocess.run(
        ["node", str(WALK)],
        input=json.dumps({"data": data, "packets": packets}).encode(),
        capture_output=True,
        check=True,
    )
    answers: list[Asked] = json.loads(done.stdout)
    return answers


@pytest.mark.parametrize(
    "name",
    [
        "docker-host",
        "docker-port-80.rules",
        "ufw.rules",
        "firewalld.rules",
        "shorewall.rules",
        "docker-ipv6.rules",
        "cni.rules",
        "wg-quick.rules",
    ],
)
def test_the_form_agrees_with_walk(name: str) -> None:
    machine = machine_of(name)
    data = packet_classes(machine)
    assert data is not None
    packets = list(random_packets(data, machine.rulesets[0], 1100, 7))[:1000]
    kinds: Counter[str] = Counter()
    wrong = []
    for asked, answer in zip(packets, by_form(data, packets), strict=True):
        if answer["doubts"]:
            kinds["doubtful"] += 1
            continue
        found = walk(machine, packet_of(asked, data["family"]))
        kinds[found.verdict] += 1
        if answer["verdict"] != found.verdict:
            wrong.append((asked, answer, found.verdict, found.end.sentence))
        elif (
            found.verdict == "ACCEPT"
            and answer["ways"] == 1
            and answer["dst"] is not None
            and len(found.outcomes) == 1
        ):
            assert answer["dst"] == address_text(found.end.packet.destination or 0, data["family"]), asked
    assert wrong == [], (len(wrong), wrong[:3])
    assert len(packets) == 1000
    assert kinds["doubtful"] < 250
