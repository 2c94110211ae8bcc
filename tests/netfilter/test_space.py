"""Sets of packets against the plain walk: what a diagram says of a packet is what the walk says, without exception."""

import random

import pytest
from random_rules import Rules, packet

import ruleflow
from ruleflow.netfilter import chain_trail
from ruleflow.netfilter.atoms import Atoms
from ruleflow.netfilter.encode import DPORT, PROTO, SRC, STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams
from ruleflow.netfilter.intervals import masked_intervals
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point, endings, fields_after
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.trail import Trail
from ruleflow.netfilter.traveller import Part
from ruleflow.netfilter.walk import Verdict, walk_many
from ruleflow.ruleset.ir import RuleRef

SHOWN = ("destination", "destination_port", "source", "source_port", "mark")


def flow_of(text: str) -> Flow:
    rules = ruleflow.parse(text)
    return Flow(Side(Space([rules]), rules))


def entry_of(one: Packet) -> str:
    return "send" if one.in_interface is None else "through"


def said(flow: Flow, one: Packet) -> set[tuple[object, ...]]:
    """What the diagrams say: every verdict the packet may get, with what it looks like then."""
    point = Point(flow.encoder, one)
    found: set[tuple[object, ...]] = set()
    for leaf in endings(flow.encoder, flow.entry(entry_of(one)), point):
        outcome = flow.outcomes.value(leaf)
        changed = {k: v for k, v in fields_after(outcome.alter, point).items() if k in SHOWN}
        found.add(
            (outcome.then.split()[0], tuple(sorted(changed.items())) if outcome.then == "ACCEPT" else ())
        )
    return found


def walked(verdict: Verdict, one: Packet) -> set[tuple[object, ...]]:
    found: set[tuple[object, ...]] = set()
    for end in verdict.outcomes or (verdict,):
        changed = {
            k: getattr(end.packet, k)
            for k in SHOWN
            if (getattr(one, k) or 0) != (getattr(end.packet, k) or 0)
        }
        found.add((end.verdict, tuple(sorted(changed.items())) if end.verdict == "ACCEPT" else ()))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_diagrams_say_what_the_walk_says(seed: int) -> None:
    rules = Rules(seed, unknown=seed % 2 == 0, types=seed % 3 == 0)
    text = rules.text()
    flow, ruleset = flow_of(text), ruleflow.parse(text)
    packets = [packet(rules.random) for _ in range(40)]
    for one, verdict in zip(packets, walk_many(Machine(Host(), (ruleset,), 4), packets), strict=True):
        assert said(flow, one) == walked(verdict, one), f"{one}\n{text}"


@pytest.mark.parametrize("seed", range(20))
def test_a_trail_parts_everything_and_agrees_with_the_diagrams(seed: int) -> None:
    rules = Rules(seed)
    flow = flow_of(rules.text())
    for entry in ("in", "through", "send"):
        parts = Trail(flow).entry(entry, EVERYTHING)
        union = NOTHING
        for part in parts:
            assert flow.diagrams.both(union, part.where) == NOTHING, "two parts share a packet"
            union = flow.diagrams.either(union, part.where)
            _same_fate(flow, entry, part)
        assert union == EVERYTHING, "a packet has no part"


@pytest.mark.parametrize("many", [1, 100])
@pytest.mark.parametrize("seed", range(20))
def test_packets_kept_together_have_the_same_fates_and_deciders(
    seed: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rules it takes to ask them in groups."""
    monkeypatch.setattr(chain_trail, "_MANY", many)
    flow = flow_of(Rules(seed).text())
    for entry in ("in", "through", "send"):
        found: list[dict[tuple[object, ...], tuple[int, set[RuleRef]]]] = []
        for trail in (Trail(flow), Trail(flow, together=True)):
            fates: dict[tuple[object, ...], tuple[int, set[RuleRef]]] = {}
            for part in trail.entry(entry, EVERYTHING):
                key = (part.then, part.alter, part.tags, part.rewritten, part.by is None)
                where, by = fates.get(key, (NOTHING, set()))
                fates[key] = flow.diagrams.either(where, part.where), by | set(trail.deciders(part))
            found.append(fates)
        assert found[0] == found[1]


@pytest.mark.parametrize("seed", range(30))
def test_chains_read_for_some_packets_are_right_for_these(seed: int) -> None:
    """Read for a product of sets, which leaves tests out, and for a set that is none."""
    rules = Rules(seed, unknown=seed % 2 == 0)
    flow = flow_of(rules.text())
    side, diagrams = flow.side, flow.diagrams
    new_tcp = diagrams.cube({PROTO: ((6, 6),), STATE: ((1, 1),), DPORT: ((22, 22), (80, 443))}.items())
    from_some = diagrams.either(
        diagrams.test(SRC, ((0x0A000000, 0x0AFFFFFF),)), diagrams.test(DPORT, ((80, 80),))
    )
    for within in (new_tcp, from_some, diagrams.both(new_tcp, from_some)):
        for table in side.ruleset:
            for hook in ("INPUT", "FORWARD", "OUTPUT"):
                whole, some = side.hook(table.name, hook), side.hook(table.name, hook, within)
                assert diagrams.both(within, whole) == diagrams.both(within, some), rules.text()


def _same_fate(flow: Flow, entry: str, part: Part) -> None:
    for leaf in flow.diagrams.leaves(flow.diagrams.both(part.where, flow.entry(entry))) - {NOTHING}:
        outcome = flow.outcomes.value(leaf)
        assert (outcome.then, outcome.alter, set(outcome.tags)) == (part.then, part.alter, set(part.tags))


def test_a_rule_that_remembers_is_its_own_question_each_time() -> None:
    """Two limits with the same text may answer differently, so the second rule is not dead."""
    flow = flow_of(
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m limit --limit 1/sec -j RETURN\n"
        "-A INPUT -m limit --limit 1/sec -j DROP\nCOMMIT\n"
    )
    leaves = {flow.outcomes.value(leaf).then for leaf in flow.diagrams.leaves(flow.entry("in"))}
    assert leaves == {"ACCEPT", "DROP"}


def test_the_same_unknown_text_is_the_same_question() -> None:
    flow = flow_of(
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m string --string x --algo bm -j RETURN\n"
        "-A INPUT -m string --string x --algo bm -j DROP\nCOMMIT\n"
    )
    leaves = {flow.outcomes.value(leaf).then for leaf in flow.diagrams.leaves(flow.entry("in"))}
    assert leaves == {"ACCEPT"}


def test_a_loop_of_chains_is_refused_with_its_name() -> None:
    flow = flow_of("*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n-A INPUT -j A\n-A A -j A\nCOMMIT\n")
    with pytest.raises(ruleflow.RuleflowError, match="A of the table filter calls itself"):
        flow.entry("in")


@pytest.mark.parametrize("mask", [0xFFFFFF00, 0xFF00FF00, 0, 0xFF, 0xFFFFFFFF, 0x0FF00000])
def test_masks_with_gaps_are_exact(mask: int) -> None:
    chance = random.Random(mask)
    value = chance.getrandbits(32) & mask
    found = masked_intervals(value, mask, 0xFFFFFFFF)
    if found is None:
        return
    for _ in range(300):
        number = (
            chance.getrandbits(32)
            if chance.random() < 0.5
            else (value | chance.getrandbits(32) & ~mask) & 0xFFFFFFFF
        )
        assert any(low <= number <= high for low, high in found) == (number & mask == value)


def test_atoms_cover_every_name_once() -> None:
    atoms = Atoms(["eth0", "eth+", "ethernet+", "lo", "e"])
    for name in ("eth0", "eth1", "ethernet7", "eth", "lo", "lo1", "e", "wlan0", ""):
        number = atoms.of(name)
        for pattern in ("eth0", "eth+", "ethernet+", "lo", "e"):
            matches = name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern
            low, high = atoms.range(pattern)
            assert (low <= number <= high) == matches, (name, pattern)


def test_made_up_names_are_of_their_class() -> None:
    atoms = Atoms(["eth0", "eth+", "ethx+", "lo"])
    for number in range(1, len(atoms)):
        assert atoms.of(atoms.name(number)) == number


@pytest.mark.parametrize("seed", range(30))
def test_diagrams_are_sets(seed: int) -> None:
    """Union, intersection and complement against plain sets of points, and boxes that are disjoint and complete."""
    chance = random.Random(seed)
    diagrams = Diagrams()
    diagrams.tops.update({0: 5, 1: 5, 2: 3})
    points = [(a, b, c) for a in range(6) for b in range(6) for c in range(4)]

    def made() -> tuple[int, set[tuple[int, int, int]]]:
        tests = {level: sorted(chance.sample(range(diagrams.tops[level] + 1), 2)) for level in range(3)}
        inside = {p for p in points if all(low <= p[level] <= high for level, (low, high) in tests.items())}
        return diagrams.cube((level, ((low, high),)) for level, (low, high) in tests.items()), inside

    found, expected = made()
    for _ in range(6):
        other, more = made()
        found, expected = (
            (diagrams.either(found, other), expected | more)
            if chance.random() < 0.6
            else (diagrams.without(found, other), expected - more)
        )
    assert {p for p in points if diagrams.at(found, dict(enumerate(p)))} == expected
    assert diagrams.complement(diagrams.complement(found)) == found
    boxes = [dict(box) for box in diagrams.boxes(found)]
    for point in points:
        hits = sum(
            all(any(a <= point[level] <= b for a, b in parts) for level, parts in box.items())
            for box in boxes
        )
        assert hits == (point in expected)
