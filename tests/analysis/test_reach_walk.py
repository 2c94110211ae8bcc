"""What reach says of a packet against what becomes of it in a walk, packet by packet: fate, deciding rule, rewriting."""

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruleflow.analysis.reach import Answer, Fate, Question, Reach
from ruleflow.data import samples
from ruleflow.errors import RuleflowError
from ruleflow.netfilter.choices import explore
from ruleflow.netfilter.encode import FREE_BASE
from ruleflow.netfilter.idd import LEAF_LEVEL, NOTHING
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import PROTOCOLS, address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point
from ruleflow.netfilter.steps import Outcome
from ruleflow.netfilter.walker import Walker
from ruleflow.ruleset.condition import Derived
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "netfilter"))
from near_packets import Near
from random_rules import Rules

SHARED = Path(__file__).parents[3] / "shared" / "dumps"
SAMPLES = [name for name, path in samples().items() if path.suffix == ".rules"]
MOVED = re.compile(
    r"(?:to (another address|the same address|\S+?)(?: port (\d+))?)?(?:, )?"
    r"(?:from (another address|the same address|\S+?)(?: port (\d+))?)?$"
)


def holds(reach: Reach, where: int, point: Point, machine: Machine) -> bool | None:
    """Whether a packet is in a set; None where that hangs on what neither packet nor host tell."""
    diagrams, waiting, leaves = reach.diagrams, [where], set()
    while waiting:
        node = waiting.pop()
        level = diagrams.level[node]
        if level == LEAF_LEVEL:
            leaves.add(node)
        elif level < FREE_BASE:
            waiting.append(diagrams.child(node, point[level]))
        else:
            told = known(reach, level, point.packet, machine)
            waiting += diagrams.kids[node] if told is None else (diagrams.child(node, int(told)),)
    return None if len(leaves) > 1 else leaves != {NOTHING}


def known(reach: Reach, level: int, packet: Packet, machine: Machine) -> bool | None:
    """What a host says of a free variable: of which type an address is."""
    free = reach.encoder.free[level]
    if not isinstance(free.condition, Derived) or free.condition.fact != "address_type" or free.after:
        return None
    asked = dict(free.condition.arguments)
    if asked["interface"]:
        return None
    address = packet.source if asked["address"] == "source" else packet.destination
    return machine.has_type(address or 0, asked["types"])  # type: ignore[arg-type]


def fits(fate: Fate, way: str, end: Outcome, packet: Packet) -> bool:
    """Whether a walk ended as a fate says: the verdict, where, by which rule, and with which addresses."""
    if fate.then.split()[0] != end.verdict or (
        end.verdict == "ACCEPT" and way != "out" and (way == "in") != (end.out_interface is None)
    ):
        return False
    if end.by is None and end.verdict != "ACCEPT":
        decided = any(not ref.index for ref in fate.by)
    else:
        decided = end.by is None or end.by in fate.by
    return decided and set(end.rewritten_by) <= set(fate.rewritten_by) and is_moved(fate, end.packet, packet)


def is_moved(fate: Fate, now: Packet, came: Packet) -> bool:
    """Whether the packet's ends are those that the fate tells."""
    told = MOVED.match(fate.rewritten)
    assert told is not None, fate.rewritten
    for at, side in ((1, "destination"), (3, "source")):
        there, port = told[at], told[at + 1]
        address = getattr(now, side)
        if there in (None, "the same address") and address != getattr(came, side):
            return False
        if there not in (None, "the same address", "another address"):
            assert there is not None
            if address_text(address, came.family) != there:
                return False
        if port is not None and getattr(now, f"{side}_port") != int(port):
            return False
    return True


def ends(machine: Machine, packet: Packet) -> tuple[list[Outcome], bool]:
    """Every way a walk may end, none left out because it ends like another; and whether these are all."""
    entry = "local" if packet.in_interface is None else "ip"
    found, complete = explore(lambda chooser: Walker(machine, packet, entry, chooser).run())
    return [outcome for outcome, _ in found], complete


def compare(reach: Reach, near: Near, out: str, answers: dict[str, Answer], packet: Packet) -> bool:
    """One packet, both ways; False where there is nothing to compare: the kernel drops it without asking rules."""
    machine = near.host(out)
    ways = ("out",) if packet.in_interface is None else ("in", "through")
    said: list[tuple[str, Fate, bool | None]] = []
    for way in ways:
        point = Point(reach.encoder, packet.with_(out_interface=out) if way == "through" else packet)
        told = ((fate, holds(reach, fate.where, point, machine)) for fate in answers[way].fates)
        said += [(way, fate, is_in) for fate, is_in in told if is_in is not False]
    found, complete = ends(machine, packet)
    if not complete or {"martian", "routing"} & {end.reason for end in found}:
        return False
    text = f"{packet}\n{reach.rules}"
    for end in found:
        assert any(fits(fate, way, end, packet) for way, fate, _ in said), f"{end.verdict} {end.by}: {text}"
    for way, fate, is_in in said:
        assert not is_in or any(fits(fate, way, end, packet) for end in found), (
            f"{way} {fate.then} {fate.rewritten}: {text}"
        )
    return True


def agree(rules: Ruleset, seed: int, number: int) -> int:
    """Packets of all states on all three ways; how many were compared."""
    reach, chance = Reach(rules), random.Random(seed)
    answers = {way: reach.partition(way) for way in ("in", "through", "out")}
    near = Near(reach, chance)
    compared = 0
    for way in answers:
        out = chance.choice(near.names)
        compared += sum(
            compare(reach, near, out, answers, packet) for packet in near.packets(way, out, number)
        )
    return compared


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_random_rule_sets(seed: int) -> None:
    rules = Rules(seed, unknown=seed % 2 == 0, types=seed % 3 == 0)
    assert agree(parse(rules.text()).rulesets[0], seed, 12)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples(name: str) -> None:
    text = samples()[name].read_text()
    assert agree(parse(text, family=6 if name.endswith("-ipv6") else None).rulesets[0], 1, 8)


def dumps() -> Iterator[Path]:
    found = sorted(path for path in SHARED.glob("*/*") if path.stat().st_size < 30_000)
    yield from found[:: max(1, len(found) // 14)]


@pytest.mark.shared
@pytest.mark.parametrize("path", list(dumps()) if SHARED.is_dir() else [], ids=lambda path: path.name[-60:])
def test_real_dumps(path: Path) -> None:
    try:
        found = parse(path.read_bytes(), source=path.name, lenient=True).rulesets
    except RuleflowError:
        pytest.skip("that file is no dump")
    for rules in found:
        assert agree(rules, 2, 30)


# -- questions ----------------------------------------------------------------------------------------------------


def meets(question: Question, packet: Packet, out: str) -> bool:
    """Whether a packet is asked about, by the words of the question."""
    bits = 32 if packet.family == 4 else 128
    for words, address in ((question.source, packet.source), (question.destination, packet.destination)):
        if words:
            network, _, length = words.partition("/")
            shift = bits - int(length or bits)
            if (address or 0) >> shift != (Packet.parse(f"tcp {network}:1 {network}:1").source or 0) >> shift:
                return False
    for words, port in (
        (question.port, packet.destination_port),
        (question.source_port, packet.source_port),
    ):
        parts = [tuple(map(int, part.split(":"))) for part in words.split(",") if words]
        if parts and (packet.protocol not in (6, 17) or not any(p[0] <= (port or 0) <= p[-1] for p in parts)):
            return False
    if question.protocol and packet.protocol != PROTOCOLS[question.protocol]:
        return False
    return question.in_interface in ("", packet.in_interface) and question.out_interface in ("", out)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_a_question_is_about_the_packets_that_meet_it(seed: int) -> None:
    """In the answer to a question a packet has the fate that it has among all, or none where it is not asked about."""
    reach, chance = Reach(parse(Rules(seed).text()).rulesets[0]), random.Random(seed)
    near = Near(reach, chance)
    out = chance.choice(near.names)
    machine = near.host(out)
    for way in ("in", "through", "out"):
        question = Question(
            way=way, state="any", source=chance.choice(("", "10.0.0.0/8", "192.0.2.10")),
            destination=chance.choice(("", "10.1.0.0/16", "172.17.0.2/32")), port=chance.choice(("", "80", "22,1000:2000")),
            source_port=chance.choice(("", "1:40000")), protocol=chance.choice(("", "", "tcp", "udp")),
            in_interface=chance.choice(("", "eth0")) if way != "out" else "",
            out_interface=chance.choice(("", "eth1")) if way != "in" else "",
        )  # fmt: skip
        asked, everything = reach.ask(question), reach.partition(way)
        for packet in near.packets(way, out, 25):
            point = Point(reach.encoder, packet if way == "in" else packet.with_(out_interface=out))
            said = {
                (fate.then, fate.rewritten)
                for fate in asked.fates
                if holds(reach, fate.where, point, machine) is not False
            }
            among_all = {
                (fate.then, fate.rewritten)
                for fate in everything.fates
                if holds(reach, fate.where, point, machine) is not False
            }
            assert said == (among_all if meets(question, packet, out) else set()), f"{question} {packet}"
