"""tests/walks/*.walk: a sample, what is known of its host, packets, and where each must end."""

from pathlib import Path

import msgspec
import pytest

from ruleflow.netfilter.host import Host
from ruleflow.netfilter.ipset import read_sets
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk, walk_many
from ruleflow.netfilter.world import read_world
from ruleflow.ruleset.parse import parse_one
from ruleflow.views.walk_text import minimal

WALKS = Path(__file__).parent.parent / "walks"
SAMPLES = WALKS.parent.parent / "samples"


def read(path: Path) -> tuple[Machine, list[tuple[str, str]]]:
    head: dict[str, list[str]] = {}
    cases = []
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        packet, arrow, ending = line.partition("=>")
        if arrow:
            cases.append((packet.strip(), ending.strip()))
        else:
            word, _, rest = line.partition(" ")
            head.setdefault(word, []).append(rest.strip())
    return machine(head), cases


def machine(head: dict[str, list[str]]) -> Machine:
    source = SAMPLES / head["dump"][0]
    if source.is_dir():
        return Machine.of(read_world(source).main, 4)
    routes = tuple(tuple(text.split("=")) for text in head.get("route", []))
    rules = parse_one(source.read_text())
    made = Machine.inferred_from(rules, local=tuple(head.get("local", [])), routes=routes)  # type: ignore[arg-type]
    sets = tuple(one for name in head.get("sets", []) for one in read_sets((SAMPLES / name).read_text()))
    host: Host = msgspec.structs.replace(made.host, sets=sets) if sets else made.host
    return Machine(host, (rules,), rules.family, made.assumed)


CASES = [
    pytest.param(path, packet, ending, id=f"{path.stem}: {packet}")
    for path in sorted(WALKS.glob("*.walk"))
    for packet, ending in read(path)[1]
]


@pytest.mark.parametrize(("path", "packet", "ending"), CASES)
def test_where_it_ends(path: Path, packet: str, ending: str) -> None:
    at, _ = read(path)
    assert minimal(walk(at, Packet.parse(packet))) == ending


@pytest.mark.parametrize(("path", "packet", "ending"), CASES)
def test_the_quick_walk_agrees(path: Path, packet: str, ending: str) -> None:
    at, _ = read(path)
    slow = walk(at, Packet.parse(packet))
    (quick,) = walk_many(at, [Packet.parse(packet)])
    assert (quick.verdict, quick.by, quick.packet) == (slow.verdict, slow.by, slow.end.packet)
