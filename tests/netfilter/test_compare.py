"""Comparing two rule sets against walking both: changed or not, how, and by which rules, without exception."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from random_rules import Rules, packet

import ruleflow
from ruleflow.netfilter import trail
from ruleflow.netfilter.compare import Comparison, Difference
from ruleflow.netfilter.encode import FREE_BASE, STATE
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point
from ruleflow.netfilter.walk import Verdict, walk_many
from ruleflow.netfilter.world import read_world
from ruleflow.ruleset.ir import RuleRef

SHOWN = ("destination", "destination_port", "source", "source_port", "mark")


class Away(Mapping[int, int]):
    """A packet whose destinations are no addresses of this host (it goes out by the interface it names)."""

    def __init__(self, point: Point) -> None:
        self.point = point

    def __getitem__(self, level: int) -> int:
        return 0 if level >= FREE_BASE else self.point[level]

    def __iter__(self) -> Iterator[int]:
        return iter(self.point)

    def __len__(self) -> int:
        return len(self.point)


def end(verdict: Verdict) -> tuple[object, ...]:
    if verdict.verdict != "ACCEPT":
        return (verdict.verdict,)
    return (verdict.verdict, *(getattr(verdict.packet, name) or 0 for name in SHOWN))


def is_hidden(difference: Difference) -> bool:
    """A difference that a walk's end does not show: logs, tracking, marks of the connection."""
    if difference.before.tags != difference.after.tags:
        return True
    levels = {level for level, _ in (*difference.before.alter.changes, *difference.after.alter.changes)}
    return STATE in levels or any(1024 <= level < FREE_BASE and (level - 1024) % 4 == 1 for level in levels)


def rule(ref: RuleRef | None) -> RuleRef | None:
    return ref if ref is not None and ref.index else None


@pytest.mark.parametrize("broad", [0, 60], ids=["by groups of rules", "rule by rule"])
@pytest.mark.parametrize("seed", range(40))
def test_the_claims_are_those_of_the_walks(seed: int, broad: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "_BROAD", broad)
    rules = Rules(seed)
    text = rules.text()
    before, after = ruleflow.parse(text), ruleflow.parse(rules.edited(text))
    comparison = Comparison(before, after)
    differences = comparison.differences()
    _disjoint(comparison, differences)
    packets = [packet(rules.random) for _ in range(60)]
    walks = [walk_many(Machine(Host(), (each,), 4), packets) for each in (before, after)]
    for one, old, new in zip(packets, *walks, strict=True):
        _agree(comparison, differences, one, old, new)


def _disjoint(comparison: Comparison, differences: list[Difference]) -> None:
    for entry in ("arrive", "send"):
        union = NOTHING
        for each in differences:
            if each.entry == entry:
                assert each.where != NOTHING
                assert comparison.diagrams.both(union, each.where) == NOTHING, "two classes share a packet"
                union = comparison.diagrams.either(union, each.where)


def _agree(
    comparison: Comparison, differences: list[Difference], one: Packet, old: Verdict, new: Verdict
) -> None:
    point = Away(Point(comparison.space.encoder, one))
    entry = "send" if one.in_interface is None else "arrive"
    hits = [each for each in differences if each.entry == entry and comparison.diagrams.at(each.where, point)]
    assert len(hits) <= 1
    if end(old) == end(new):
        assert not hits or is_hidden(hits[0]), f"{one} fares alike: {hits}"
        return
    assert hits, f"{one} fares differently: {end(old)} and then {end(new)}"
    for part, verdict in ((hits[0].before, old), (hits[0].after, new)):
        assert part.then.split()[0] == verdict.verdict
        if verdict.verdict != "ACCEPT" or (verdict.by is not None and verdict.by.table == "filter"):
            assert rule(part.by) == verdict.by, one


def test_equal_rule_sets_have_no_differences() -> None:
    for seed in range(20):
        text = Rules(seed, unknown=True, types=True).text()
        assert Comparison(ruleflow.parse(text), ruleflow.parse(text)).differences() == []


def test_what_only_looks_different_has_no_differences() -> None:
    """Rules that can never match, a split range, a chain in between: other texts, the same behaviour."""
    before = ruleflow.parse(
        "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 80:83 -j ACCEPT\nCOMMIT\n"
    )
    after = ruleflow.parse(
        "*filter\n:INPUT DROP [0:0]\n:web - [0:0]\n-A INPUT -p tcp -g web\n-A web -p tcp -m tcp --dport 82:83 -j ACCEPT\n"
        "-A web -p tcp -m tcp --dport 80:81 -j ACCEPT\n-A web -p tcp -m tcp --dport 81 -j DROP\nCOMMIT\n"
    )
    assert Comparison(before, after).differences() == []


def test_a_new_dnat_moves_packets_from_input_to_forward() -> None:
    text = "*nat\n:PREROUTING ACCEPT [0:0]\n{}COMMIT\n*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n"
    rule = "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80\n"
    found = Comparison(ruleflow.parse(text.format("")), ruleflow.parse(text.format(rule))).differences()
    assert ("INPUT", "POSTROUTING") in {(one.before.place, one.after.place) for one in found}


@pytest.mark.shared
@pytest.mark.parametrize("stage", ["3-container-port-80", "4-host-ip-and-range"])
def test_a_known_host_decides_as_the_walk_does(shared: Path, stage: str) -> None:
    """Addresses, routes and believed sources of a real host: each packet's verdict, whatever the neighbours answer."""
    host = read_world(shared / "truth" / "docker-20.10-userland-proxy-true" / stage).main
    (rules,) = (ruleset for _, ruleset in host.rulesets(4))
    comparison = Comparison(rules, rules, (host, host))
    parts = {entry: trail.Trail(comparison.flows[0]).entry(entry, EVERYTHING) for entry in ("arrive", "send")}
    chance = random.Random(7)
    packets = [_near(host, chance) for _ in range(400)]
    for one, walked in zip(packets, walk_many(Machine.of(host, 4), packets), strict=True):
        point = Away(Point(comparison.space.encoder, one))
        entry = "send" if one.in_interface is None else "arrive"
        (hit,) = (part for part in parts[entry] if comparison.diagrams.at(part.where, point))
        if not walked.outcomes and not (walked.verdict == "DROP" and hit.place == "POSTROUTING"):
            assert hit.then.split()[0] == walked.verdict, one


def _near(host: Host, chance: random.Random) -> Packet:
    known = [own.address for _, own in host.addresses(4)] + [
        route.destination for route in host.routes or () if route.family == 4
    ]
    ends = [
        address_text(min(chance.choice(known) + chance.choice((0, 1, 2, 4)), (1 << 32) - 1), 4)
        for _ in range(2)
    ]
    names = [link.name for link in host.interfaces if link.name != "lo" and link.master is None]
    where = f" in {chance.choice(names)}" if chance.random() < 0.8 else ""
    return Packet.parse(
        f"tcp {ends[0]}:40000 {ends[1]}:{chance.choice((80, 22))}{where} state {chance.choice(('new', 'established'))}"
    )
