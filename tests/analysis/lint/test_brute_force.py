"""What sets say of rules, against every packet one by one: nothing missed, nothing wrong."""

import random
import sys
from pathlib import Path

import pytest

from ruleflow.analysis.lint import redundant
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.needed import Needed
from ruleflow.analysis.lint.reached import Reached
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space

sys.path.insert(0, str(Path(__file__).parent))
import small_rules

NONE: frozenset[tuple[str, int]] = frozenset()


def agree(dump: str) -> None:
    """Compare one rule set, both ways."""
    policy, chains = small_rules.read(dump)
    packets = tuple(small_rules.packets(dump))
    met: set[tuple[str, int]] = set()
    for packet in packets:
        small_rules.run(chains, policy, packet, NONE, met)
    rules = small_rules.ruleset(dump)
    reached = Reached(Side(Space([rules]), rules), rules["filter"])
    assert reached.hit == met, dump
    dead = frozenset((name, n) for name, found in chains.items() for n in range(len(found))) - met
    verdicts = [small_rules.run(chains, policy, packet, dead, set()) for packet in packets]
    useless = {
        key
        for key in met
        if all(
            small_rules.run(chains, policy, packet, dead | {key}, set()) == verdict
            for packet, verdict in zip(packets, verdicts, strict=True)
        )
    }
    assert set(Needed(reached).useless) == useless, dump
    plain = [small_rules.run(chains, policy, packet, NONE, set()) for packet in packets]
    for one in redundant.check(Case(rules)):
        assert one.primary.ref is not None
        key = one.primary.ref.chain, one.primary.ref.index - 1
        alone = all(
            small_rules.run(chains, policy, packet, frozenset({key}), set()) == verdict
            for packet, verdict in zip(packets, plain, strict=True)
        )
        assert ("never match" not in one.help) == alone, f"{key}\n{dump}"


@pytest.mark.parametrize("seed", range(60))
def test_small_rule_sets(seed: int) -> None:
    agree(small_rules.text(random.Random(seed)))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 11000, 500))
def test_thousands_of_small_rule_sets(start: int) -> None:
    for seed in range(start, start + 500):
        agree(small_rules.text(random.Random(seed)))
