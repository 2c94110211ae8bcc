"""Neighbours put together by --fix: what is written, what is left alone, and that no packet fares differently."""

import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.analysis.diff import diff
from ruleflow.analysis.lint import gather, reported
from ruleflow.analysis.lint.fix import fix
from ruleflow.cli import cli
from ruleflow.ruleset.parse import parse

sys.path.insert(0, str(Path(__file__).parent))
import small_rules

SPOILT = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:LATER - [0:0]\n"


def dump(*rules: str) -> str:
    return "".join((SPOILT, *(f"{rule}\n" for rule in rules), "COMMIT\n"))


def merged(*rules: str, family: int = 4) -> list[str]:
    """The rules as --fix leaves them, where nothing else is to be fixed."""
    text = dump(*rules)
    cases = list(gather.of_document(parse(text, family=family)))
    return fix(cases, (), text).text.split("\n")[5:-2]


TCP = "-A INPUT -p tcp -m tcp --dport {} -j ACCEPT"
FROM = "-A INPUT -s {} -i eth0 -j DROP"
CASES = {
    "ports": ([TCP.format(22), TCP.format(80), TCP.format("443:445")], ["-A INPUT -p tcp -m multiport --dports 22,80,443:445 -j ACCEPT"]),
    "ports in a row": ([TCP.format(22), TCP.format(23)], ["-A INPUT -p tcp -m tcp --dport 22:23 -j ACCEPT"]),
    "ports that overlap": ([TCP.format("20:30"), TCP.format("25:40")], ["-A INPUT -p tcp -m tcp --dport 20:40 -j ACCEPT"]),
    "source ports": (
        ["-A INPUT -p udp -m udp --sport 53 --dport 53 -j ACCEPT", "-A INPUT -p udp -m udp --sport 55 --dport 53 -j ACCEPT"],
        ["-A INPUT -p udp -m udp --dport 53 -m multiport --sports 53,55 -j ACCEPT"],
    ),
    "more than one multiport takes": (
        [TCP.format(port) for port in range(100, 134, 2)],
        [
            f"-A INPUT -p tcp -m multiport --dports {','.join(map(str, range(100, 130, 2)))} -j ACCEPT",
            "-A INPUT -p tcp -m multiport --dports 130,132 -j ACCEPT",
        ],
    ),
    "networks": ([FROM.format("10.0.0.0/25"), FROM.format("10.0.0.128/25")], [FROM.format("10.0.0.0/24")]),
    "hosts in a row": (
        [FROM.format(f"10.0.0.{n}/32") for n in (1, 2, 3, 4)],
        ["-A INPUT -i eth0 -m iprange --src-range 10.0.0.1-10.0.0.4 -j DROP"],
    ),
    "only those of a list that touch": (
        [FROM.format(f"10.0.0.{n}/32") for n in (77, 8, 20, 9, 21, 22)],
        [FROM.format("10.0.0.77/32"), FROM.format("10.0.0.8/31"), "-A INPUT -i eth0 -m iprange --src-range 10.0.0.20-10.0.0.22 -j DROP"],
    ),
    "destinations": (
        ["-A FORWARD -d 10.0.0.2/31 -j LATER", "-A FORWARD -d 10.0.0.0/31 -g LATER", "-A FORWARD -d 10.0.0.2/31 -g LATER"],
        ["-A FORWARD -d 10.0.0.2/31 -j LATER", "-A FORWARD -d 10.0.0.0/30 -g LATER"],
    ),
    "counters": (
        [f"[1:40] {TCP.format(22)}", f"[2:80] {TCP.format(25)}"],
        ["[3:120] -A INPUT -p tcp -m multiport --dports 22,25 -j ACCEPT"],
    ),
    "a comment that looks like an option": (
        ['-A INPUT -s 10.0.0.0/32 -m comment --comment "-s 10.0.0.1/32" -j DROP', '-A INPUT -s 10.0.0.1/32 -m comment --comment "-s 10.0.0.1/32" -j DROP'],
        ['-A INPUT -s 10.0.0.0/31 -m comment --comment "-s 10.0.0.1/32" -j DROP'],
    ),
}  # fmt: skip
ALONE = {
    "hosts apart": [FROM.format("10.0.0.1/32"), FROM.format("10.0.0.9/32")],
    "another verdict": [TCP.format(22), TCP.format(23).replace("ACCEPT", "DROP")],
    "another interface": [FROM.format("10.0.0.0/25"), FROM.format("10.0.0.128/25").replace("eth0", "eth1")],
    "not": ["-A INPUT ! -s 10.0.0.0/25 -j DROP", "-A INPUT ! -s 10.0.0.128/25 -j DROP"],
    "what goes on": ["-A INPUT -s 10.0.0.0/32 -j LOG", "-A INPUT -s 10.0.0.1/32 -j LOG"],
    "a call": ["-A INPUT -s 10.0.0.0/32 -j LATER", "-A INPUT -s 10.0.0.1/32 -j LATER"],
    "what remembers": [
        "-A INPUT -s 10.0.0.0/32 -m limit --limit 3/min -j ACCEPT",
        "-A INPUT -s 10.0.0.1/32 -m limit --limit 3/min -j ACCEPT",
    ],
    "another comment": [
        f'-A INPUT -s 10.0.0.{n}/32 -m comment --comment "{n}" -j DROP' for n in (0, 1)
    ],
    "no neighbours": [TCP.format(22), "-A INPUT -p tcp -j DROP", TCP.format(23)],
    "counts only": ["-A INPUT -s 10.0.0.0/32", "-A INPUT -s 10.0.0.1/32"],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_neighbours_become_one(name: str) -> None:
    old, new = CASES[name]
    assert merged(*old) == new
    assert diff(parse(dump(*old)).rulesets, parse(dump(*new)).rulesets).same


@pytest.mark.parametrize("name", ALONE)
def test_what_stays(name: str) -> None:
    assert merged(*ALONE[name]) == ALONE[name]


def test_what_docker_wrote_stays() -> None:
    """It takes its rules out by their very text."""
    from ruleflow.data import samples

    text = samples()["docker-second-bridge"].read_text("utf-8")
    assert not fix(list(gather.of_document(parse(text))), (), text).merged


def test_ipv6() -> None:
    assert merged("-A INPUT -s 2001:db8::/64 -j DROP", "-A INPUT -s 2001:db8:0:1::/64 -j DROP", family=6) == [
        "-A INPUT -s 2001:db8::/63 -j DROP"
    ]


@pytest.mark.parametrize("seed", range(60))
def test_no_packet_of_small_rule_sets_fares_differently(seed: int) -> None:
    chance = random.Random(seed)
    more = "".join(
        chance.choice(
            (
                f"-A INPUT -s 10.0.0.{chance.randrange(1, 5)}/32 -j ACCEPT\n",
                f"-A INPUT -p tcp -m tcp --dport {chance.randrange(1, 4)} -j ACCEPT\n",
                f"-A INPUT -p tcp -m tcp --dport {chance.randrange(1, 4)} -j DROP\n",
            )
        )
        for _ in range(8)
    )
    text = small_rules.text(chance).replace("COMMIT", more + "COMMIT")
    document = parse(text)
    cases = list(gather.of_document(document))
    found = [one for report in reported(cases) for one in report.findings]
    for findings in ((), found):
        fixed = fix(cases, findings, text).text
        assert diff(document.rulesets, parse(fixed).rulesets).same, fixed


def test_the_command_shows_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "rules"
    path.write_text(dump(TCP.format(22), TCP.format(80)))
    run = CliRunner().invoke(cli, ["lint", str(path), "--fix", "--write"])
    assert "+-A INPUT -p tcp -m multiport --dports 22,80 -j ACCEPT" in run.stdout
    assert "2 neighbours can be written as 1" in run.stderr
    assert "--dports 22,80" in path.read_text()
    assert not CliRunner().invoke(cli, ["lint", str(path), "--fix"]).stdout
