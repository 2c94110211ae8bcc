"""Real dumps, each with one random edit: of random packets, half of them near borders, claims and walks agree."""

import random
from pathlib import Path

import pytest
from test_compare import Away, end, is_hidden, rule

import ruleflow
from ruleflow.netfilter.compare import Comparison
from ruleflow.netfilter.encode import DPORT, DST, IN, LEVELS, OUT, PROTO, SPORT, SRC, STATE, STATE_ORDER
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import Box
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point
from ruleflow.netfilter.walk import walk_many
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

PACKETS = 60


def edited(text: str, chance: random.Random) -> str:
    lines = text.split("\n")
    rules = [at for at, line in enumerate(lines) if line.startswith("-A")]
    at = chance.choice(rules)
    if chance.random() < 0.5:
        del lines[at]
    elif "-j ACCEPT" in lines[at]:
        lines[at] = lines[at].replace("-j ACCEPT", "-j DROP")
    else:
        lines[at] = lines[at].replace("-j DROP", "-j ACCEPT")
    return "\n".join(lines)


class Near:
    """Makes packets whose numbers are those that rules or differences name, or stand beside them."""

    def __init__(self, comparison: Comparison, boxes: list[Box], chance: random.Random) -> None:
        self.comparison, self.boxes, self.chance = comparison, boxes, chance
        self.tops = comparison.diagrams.tops
        cuts: dict[int, set[int]] = {}
        for asked in comparison.space.all_asked():
            for level, intervals in asked.tests:
                for low, high in intervals[:4]:
                    cuts.setdefault(level, set()).update(
                        (low, high, max(low - 1, 0), min(high + 1, self.tops[level]))
                    )
        self.cuts = {level: sorted(found) for level, found in cuts.items()}

    def number(self, level: int, box: dict[int, tuple[tuple[int, int], ...]]) -> int:
        if level in box and self.chance.random() < 0.8:
            low, high = self.chance.choice(box[level])
            return self.chance.choice((low, high, self.chance.randint(low, high)))
        if level in self.cuts and self.chance.random() < 0.6:
            return self.chance.choice(self.cuts[level])
        return self.chance.randint(0, self.tops[level])

    def packet(self) -> Packet | None:
        chance, atoms = self.chance, self.comparison.space.encoder.atoms
        box = dict(chance.choice(self.boxes)) if self.boxes and chance.random() < 0.5 else {}
        protocol = self.number(PROTO, box) if chance.random() < 0.5 else chance.choice((6, 17))
        facts: dict[str, object] = {
            "family": self.comparison.space.family, "protocol": protocol, "source": self.number(SRC, box),
            "destination": self.number(DST, box), "state": STATE_ORDER[self.number(STATE, box)],
            "out_interface": atoms.name(self.number(OUT, box) or 1),
        }  # fmt: skip
        if protocol in (6, 17, 132):
            facts |= {"source_port": self.number(SPORT, box), "destination_port": self.number(DPORT, box)}
        if protocol == 6 and chance.random() < 0.5:
            facts["tcp_flags"] = self.number(LEVELS["tcp_flags"], box)
        if protocol in (1, 58):
            facts |= {"icmp_type": self.number(LEVELS["icmp_type"], box), "icmp_code": 0}
        if "mac" in self.comparison.space.used:
            facts["mac"] = self.number(LEVELS["mac"], box)
        if chance.random() < 0.75:
            name = atoms.name(self.number(IN, box) or 1)
            facts["in_interface"] = "eth0" if name == "lo" else name
        try:
            return Packet(**facts)  # type: ignore[arg-type]
        except ruleflow.RuleflowError:
            return None


def pairs(shared: Path) -> list[tuple[str, Ruleset, Ruleset, random.Random]]:
    found = []
    for number, path in enumerate(sorted((shared / "dumps" / "found").iterdir())[::4]):
        chance = random.Random(number)
        try:
            rules = parse(path.read_bytes(), source=path.name).rulesets[0]
            before, after = (parse(text).rulesets[0] for text in (str(rules), edited(str(rules), chance)))
        except (ruleflow.RuleflowError, IndexError):
            continue
        found.append((path.name, before, after, chance))
    return found


@pytest.mark.shared
@pytest.mark.slow
def test_claims_on_real_dumps_are_those_of_the_walks(shared: Path) -> None:
    tried = 0
    for name, before, after, chance in pairs(shared):
        comparison = Comparison(before, after)
        differences = comparison.differences()
        boxes = [
            box
            for each in differences
            for _, box in zip(range(10), comparison.diagrams.boxes(each.where), strict=False)
        ]
        near = Near(comparison, boxes, chance)
        packets = [one for _ in range(PACKETS) if (one := near.packet()) is not None]
        walks = [walk_many(Machine(Host(), (each,), each.family), packets) for each in (before, after)]
        for one, old, new in zip(packets, *walks, strict=True):
            if old.outcomes or new.outcomes:
                continue
            tried += 1
            point = Away(Point(comparison.space.encoder, one))
            entry = "send" if one.in_interface is None else "arrive"
            hits = [
                each
                for each in differences
                if each.entry == entry and comparison.diagrams.at(each.where, point)
            ]
            assert len(hits) <= 1, name
            if end(old) == end(new):
                assert not hits or is_hidden(hits[0]) or hits[0].before.then == hits[0].after.then, (
                    f"{name}: {one}"
                )
            else:
                assert hits, f"{name}: {one} fares differently"
                assert [part.then.split()[0] for part in (hits[0].before, hits[0].after)] == [
                    old.verdict,
                    new.verdict,
                ]
                for part, walked in ((hits[0].before, old), (hits[0].after, new)):
                    if walked.verdict != "ACCEPT":
                        assert rule(part.by) == walked.by, f"{name}: {one}"
    assert tried > 1000
