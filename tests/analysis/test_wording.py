"""Boxes in words: an ICMP message is called by its type and code together."""

import pytest

from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.encode import LEVELS
from ruleflow.netfilter.intervals import Interval
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.parse import parse_one

RULES = parse_one("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p icmp -m icmp --icmp-type 3/4 -j DROP\nCOMMIT\n")


@pytest.mark.parametrize(
    ("kinds", "codes", "words"),
    [
        (((3, 3),), ((4, 4),), "fragmentation-needed"),
        (((3, 3),), ((0, 0),), "network-unreachable"),
        (((3, 3),), None, "destination-unreachable"),
        (((3, 3),), ((4, 5),), "destination-unreachable, code 4 or 5"),
        (((11, 11),), None, "ttl-exceeded"),
        (((8, 8),), ((0, 0),), "ping"),
        (((8, 8),), None, "ping"),
        (((0, 0), (8, 8)), ((0, 0),), "pong or ping"),
        (((0, 7), (9, 255)), None, "other than ping"),
    ],
)
def test_icmp(kinds: tuple[Interval, ...], codes: tuple[Interval, ...] | None, words: str) -> None:
    box = {LEVELS["icmp_type"]: kinds} | ({} if codes is None else {LEVELS["icmp_code"]: codes})
    wording = Wording(Space((RULES,)).encoder)
    assert wording.box(tuple(sorted(box.items()))) in (words, f"everything {words}")
