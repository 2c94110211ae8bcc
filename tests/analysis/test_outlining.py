"""What is drawn: which chains are folded, which are chosen, which lines a box shows."""

import sys
from pathlib import Path

import pytest

from ruleflow.analysis.alike import alike
from ruleflow.analysis.outline import Outline
from ruleflow.analysis.outlining import MOST_BOXES, outline
from ruleflow.analysis.selection import Wanted
from ruleflow.errors import ReadError
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))


def rules(name: str) -> Ruleset:
    path = ROOT / "samples" / name
    return parse(path.read_bytes(), source=name).rulesets[0]


def titles(outlined: Outline) -> list[str]:
    return [box.title for box in outlined.boxes]


def kubernetes(count: int) -> Ruleset:
    import made

    return parse("\n".join((*made.kubernetes(count), ""))).rulesets[0]


def test_a_thousand_services_are_two_boxes() -> None:
    outlined = outline(kubernetes(11_000))
    assert [title for title in titles(outlined) if "×" in title] == [
        "KUBE-SVC-… × 1,000",
        "KUBE-SEP-… × 3,000",
    ]
    assert len(outlined.boxes) == 8


def test_folded_chains_count_all_their_rules() -> None:
    found = kubernetes(1_100)
    outlined = outline(found)
    assert sum(box.rules for box in outlined.boxes) == sum(
        len(chain.rules) for table in found for chain in table
    )


def test_without_folding_there_is_a_limit_and_a_note() -> None:
    outlined = outline(kubernetes(2_200), Wanted(fold=False))
    assert len(outlined.boxes) == MOST_BOXES
    assert any("not drawn" in note for note in outlined.notes)


def test_few_look_alikes_stand_alone() -> None:
    assert "DOCKER-ISOLATION-STAGE-1" in titles(outline(rules("docker-second-bridge.rules")))


def test_chains_apart_are_never_folded() -> None:
    chains: dict[str, tuple[()]] = {f"zone-{number}": () for number in range(6)}
    assert len(set(alike(chains).values())) == 1
    assert alike(chains, frozenset({"zone-3"}))["zone-3"] == "zone-3"


def test_a_chain_with_what_it_calls() -> None:
    outlined = outline(rules("docker-port-80.rules"), Wanted(level="rules", chain="FORWARD", depth=1))
    assert sorted(titles(outlined)) == ["DOCKER", "DOCKER-ISOLATION-STAGE-1", "DOCKER-USER", "FORWARD"]


def test_the_focus_has_callers_and_calls() -> None:
    outlined = outline(rules("docker-port-80.rules"), Wanted(focus="DOCKER-ISOLATION-STAGE-1", up=1, down=1))
    assert titles(outlined) == ["FORWARD", "DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION-STAGE-2"]


def test_one_table_and_no_empty_chains() -> None:
    outlined = outline(rules("docker-port-80.rules"), Wanted(table="nat", hide_empty=True))
    assert titles(outlined) == ["PREROUTING", "DOCKER", "OUTPUT", "POSTROUTING"]


@pytest.mark.parametrize("wanted", [Wanted(table="nope"), Wanted(chain="nope"), Wanted(focus="nope")])
def test_what_is_not_there_is_an_error(wanted: Wanted) -> None:
    with pytest.raises(ReadError, match="nope"):
        outline(rules("docker-port-80.rules"), wanted)


def test_a_changed_policy_is_marked() -> None:
    before, after = (
        parse(f"*filter\n:INPUT {policy} [0:0]\nCOMMIT\n").rulesets[0] for policy in ("ACCEPT", "DROP")
    )
    box = outline(before, after=after).boxes[0]
    assert box.note == "policy drop (was accept), no rules"
    assert [(line.word, line.mark) for line in box.lines] == [("DROP", "added")]


def test_counters_are_summed_on_calls() -> None:
    text = "*filter\n:INPUT ACCEPT [0:0]\n:x - [0:0]\n[5:1] -A INPUT -p tcp -j x\n[7:1] -A INPUT -p udp -j x\nCOMMIT\n"
    (call,) = outline(parse(text).rulesets[0]).calls
    assert (call.packets, call.rules, call.numbers) == (12, 2, (1, 2))


def test_a_removed_rule_stays_where_it_was() -> None:
    first, second = (
        parse(f"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j DROP\n{more}COMMIT\n").rulesets[0]
        for more in ("-A INPUT -p udp -j DROP\n", "")
    )
    box = outline(first, after=second).boxes[0]
    assert [(line.word, line.mark) for line in box.lines] == [
        ("DROP", ""),
        ("DROP", "removed"),
        ("ACCEPT", ""),
    ]
