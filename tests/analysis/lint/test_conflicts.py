"""Rules that contradict earlier ones, against every packet one by one; asked for only; how many are told."""

import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.analysis.lint import conflicts, gather, reported
from ruleflow.analysis.lint.case import Case
from ruleflow.cli import cli
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parent))
import small_rules

HEAD = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
Found = tuple[str, str, int, int]
"""Code, chain, and the indexes of the later and the earlier rule."""


def told(dump: str) -> set[Found]:
    found: set[Found] = set()
    for one in conflicts.check(Case(small_rules.ruleset(dump))):
        ref = one.primary.ref
        assert ref is not None
        found |= {
            (one.code, ref.chain, ref.index - 1, mark.ref.index - 1)
            for mark in one.others
            if mark.ref is not None
        }
    return found


def by_packets(dump: str) -> set[Found]:
    """Each packet is sent through the rules; where one decides, the later ones of its chain are asked, too."""
    _, chains = small_rules.read(dump)
    packets = list(small_rules.packets(dump))
    met: set[tuple[str, int]] = set()
    shared: set[tuple[str, int, int]] = set()
    spared: set[tuple[str, int]] = set()
    """Rules that some packet comes to the chain of that they do not ask for."""

    def chain(name: str, packet: small_rules.Packet, new: bool) -> str:
        rules = chains[name]
        if new:
            spared.update((name, n) for n, rule in enumerate(rules) if not small_rules.meets(rule[0], packet))
        for index, (match, target) in enumerate(rules):
            if not small_rules.meets(match, packet):
                continue
            met.add((name, index))
            kind, where = target.split()
            if where in ("ACCEPT", "DROP"):
                if new:
                    shared.update(
                        (name, later, index)
                        for later in range(index + 1, len(rules))
                        if rules[later][1] in ({"-j ACCEPT", "-j DROP"} - {target})
                        and small_rules.meets(rules[later][0], packet)
                    )
                return where
            if where == "RETURN":
                return ""
            verdict = chain(where, packet, new)
            if verdict or kind == "-g":
                return verdict
        return ""

    for packet in packets:
        chain("INPUT", packet, packet[4] == "NEW")
    found: set[Found] = set()
    for name, later, earlier in shared:
        if (name, later) in met and (name, later) in spared:
            inside = all(
                small_rules.meets(chains[name][later][0], packet)
                for packet in packets
                if small_rules.meets(chains[name][earlier][0], packet)
            )
            found.add(("RF206" if inside else "RF207", name, later, earlier))
    return found


@pytest.mark.parametrize("seed", range(150))
def test_small_rule_sets(seed: int) -> None:
    dump = small_rules.text(random.Random(seed))
    assert told(dump) == by_packets(dump), dump


@pytest.mark.slow
@pytest.mark.parametrize("start", range(1000, 4000, 500))
def test_thousands_of_small_rule_sets(start: int) -> None:
    for seed in range(start, start + 500):
        dump = small_rules.text(random.Random(seed))
        assert told(dump) == by_packets(dump), dump


def codes(dump: str, *, conflicts: bool = False) -> list[str]:
    cases = gather.of_document(parse(dump))
    return [one.code for report in reported(cases, conflicts=conflicts) for one in report.findings]


PAIR = HEAD + "-A INPUT -s 10.0.0.0/8 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"


def test_only_on_request(tmp_path: Path) -> None:
    assert "RF207" not in codes(PAIR)
    assert "RF207" in codes(PAIR, conflicts=True)
    (tmp_path / "rules").write_text(PAIR)
    run = CliRunner().invoke
    assert "RF207" in run(cli, ["lint", str(tmp_path / "rules"), "--select", "RF207"]).output
    asked = run(cli, ["lint", str(tmp_path / "rules"), "--conflicts"])
    assert "info[RF207]" in asked.output
    assert asked.exit_code == 0


def test_what_they_share_is_said() -> None:
    (one,) = conflicts.check(Case(parse(PAIR).rulesets[0]))
    assert one.notes == (
        "proof: exact; line 5 gets tcp to port 22 (ssh), from 10.0.0.0/8, arriving on any interface but lo",
    )


def test_loopback_known_connections_and_defaults_are_no_conflicts() -> None:
    rules = (
        "-A INPUT -i lo -j ACCEPT",
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 22 -j DROP",
        "-A INPUT -d 192.0.2.0/24 -p udp -j ACCEPT",
        "-A INPUT -j REJECT",
    )
    found = [
        str(one.primary.ref)
        for one in conflicts.check(Case(parse(HEAD + "\n".join(rules) + "\nCOMMIT\n").rulesets[0]))
    ]
    assert found == ["filter INPUT 5 (line 9)"]


def test_many_exceptions_are_counted() -> None:
    rules = "".join(f"-A INPUT -s 10.0.{n}.0/24 -j DROP\n" for n in range(20))
    (one,) = conflicts.check(
        Case(parse(HEAD + rules + "-A INPUT -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n").rulesets[0])
    )
    assert (one.code, len(one.others)) == ("RF206", 8)
    assert one.notes[1] == "note: 12 more earlier rules do otherwise, too"


def test_rewritings_contradict_where_they_differ() -> None:
    nat = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1\n"
        "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination {}\nCOMMIT\n"
    )
    assert "RF206" in codes(nat.format("10.0.0.2"), conflicts=True)
    assert "RF206" not in codes(nat.format("10.0.0.1"), conflicts=True)
