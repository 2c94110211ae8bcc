"""Questions about who may reach what: answers in words, and every example walked."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ruleflow.analysis.reach import Question, Reach
from ruleflow.cli import cli
from ruleflow.data import samples
from ruleflow.errors import ReadError, RuleflowError
from ruleflow.netfilter.encode import SRC
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.walk import walk
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse

DUMP = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset
-A FORWARD -i eth1 -o eth0 -s 10.0.0.0/8 -j ACCEPT
COMMIT
"""
DUMPS = [
    name
    for name, path in samples().items()
    if path.suffix == ".rules" and not name.startswith(("firehol", "firewalld", "shorewall"))
]


def rules(dump: str, family: int | None = None) -> Ruleset:
    return parse(dump, family=family).rulesets[0]


def test_the_matrix_of_a_small_host() -> None:
    into, through, out = Reach(rules(DUMP)).matrix()
    assert [(fate.then, fate.words) for fate in into.fates] == [
        ("ACCEPT", ("tcp to port 22 (ssh), from 10.0.0.0/8",)),
        ("DROP", into.fates[1].words),
        ("REJECT with tcp-reset", ("tcp to port 25 (smtp)",)),
    ]
    assert through.fates[0].words == ("everything, from 10.0.0.0/8, arriving on eth1, leaving by eth0",)
    assert [(fate.then, fate.words) for fate in out.fates] == [("ACCEPT", ("everything",))]


def test_a_question() -> None:
    (fate,) = (
        Reach(rules(DUMP))
        .ask(Question(source="10.0.0.0/9", port="22", protocol="tcp", in_interface="eth0"))
        .fates
    )
    assert (fate.then, fate.words, str(fate.by[0])) == ("ACCEPT", ("everything",), "filter INPUT 3 (line 7)")
    assert Packet.parse(fate.packet).destination_port == 22


@pytest.mark.parametrize(
    "question",
    [
        Question(source="somewhere"),
        Question(port="many"),
        Question(protocol="tdp"),
        Question(state="old"),
        Question(port="70000"),
    ],
)
def test_words_that_say_nothing(question: Question) -> None:
    with pytest.raises(ReadError):
        Reach(rules(DUMP)).ask(question)


def test_spoofing() -> None:
    asking = Reach(rules(DUMP))
    safe, open_ = asking.spoofing({"eth1": ("10.0.0.0/8",), "lo": ("127.0.0.0/8",)})
    assert safe.is_safe
    assert not open_.is_safe


def test_the_classes_are_disjoint_and_together_everything() -> None:
    asking = Reach(rules(DUMP))
    for way in ("in", "through", "out"):
        left = asking.diagrams.without(
            asking.space(Question(way=way, state="any")), asking.flow.lost({"out": "send"}.get(way, way))
        )
        for fate in asking.partition(way).fates:
            assert asking.diagrams.without(fate.where, left) == NOTHING
            left = asking.diagrams.without(left, fate.where)
        local = asking.encoder.local()
        rest = {
            "in": asking.diagrams.both(left, local),
            "through": asking.diagrams.without(left, local),
            "out": left,
        }[way]
        assert rest == NOTHING


@pytest.mark.parametrize("name", DUMPS)
def test_every_example_fares_as_is_said(name: str) -> None:
    dump = rules(samples()[name].read_text(), 6 if name.endswith("-ipv6") else None)
    for answer in Reach(dump).matrix():
        for fate in answer.fates:
            packet = Packet.parse(fate.packet)
            routes: tuple[tuple[str, str], ...] = ()
            if fate.leaves:
                moved = re.match("to ([0-9a-f.:]+)", fate.rewritten)
                there = moved[1] if moved else address_text(packet.destination or 0, packet.family)
                routes = ((f"{there}/{32 if packet.family == 4 else 128}", fate.leaves),)
            end = {"in": packet.destination, "out": packet.source}.get(answer.question.way)
            local = (address_text(end, packet.family),) if end is not None else ()
            found = walk(Machine.inferred_from(dump, local=local, routes=routes), packet)
            if found.end.reason in ("martian", "routing"):
                continue  # what a host's own addresses forbid is not said by its rules
            assert fate.then.split()[0] in {end.verdict for end in found.outcomes}, (fate.packet, fate.then)


def test_json_has_classes_relation_and_examples() -> None:
    told = json.loads(
        CliRunner().invoke(cli, ["reach", "sample:docker-port-80", "--json", "--chain", "INPUT"]).output
    )
    assert told["schema"] == "ruleflow.reach/1"
    assert told["answers"][0]["fates"][0]["witness"]
    told = json.loads(
        CliRunner().invoke(cli, ["reach", "sample:docker-port-80", "--json", "--service-matrix", "80"]).output
    )
    assert set(told["matrices"][0]) == {"chain", "protocol", "ports", "classes", "relation"}


REDIRECTS = """*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128
-A PREROUTING -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A PREROUTING -p tcp -m tcp --dport 8081 -j DNAT --to-destination 172.17.0.2-172.17.0.4
COMMIT
"""


def test_what_is_redirected_is_for_this_host_and_what_is_rewritten_to_a_place_is_not() -> None:
    into, through, _ = Reach(rules(REDIRECTS)).matrix()
    assert {fate.rewritten for fate in into.fates} == {"", "to another address port 3128"}
    assert {fate.rewritten for fate in through.fates} == {
        "",
        "to another address",
        "to 172.17.0.2 port 80",
    }


@pytest.mark.parametrize(
    "rules_of_it",
    ["-A INPUT -j A\n-A A -j A\n", "-A INPUT -j A\n-A A -p tcp -j B\n-A B -j A\n", "-A INPUT -j INPUT\n"],
)
@pytest.mark.parametrize(
    "options", [[], ["--partition"], ["--service-matrix", "22", "--chain", "INPUT"], ["--spoofing"]]
)
def test_a_circle_of_chains_is_named(tmp_path: Path, rules_of_it: str, options: list[str]) -> None:
    dump = tmp_path / "dump"
    dump.write_text(f"*filter\n:INPUT DROP [0:0]\n:A - [0:0]\n:B - [0:0]\n{rules_of_it}COMMIT\n")
    found = CliRunner().invoke(cli, ["reach", str(dump), *options])
    assert isinstance(found.exception, RuleflowError)
    assert "calls itself" in str(found.exception)


@pytest.mark.parametrize(
    "options",
    [
        ["--service-matrix", "22", "--partition"],
        ["--service-matrix", "22", "--from", "10.0.0.0/8"],
        ["--partition", "--from", "10.0.0.1"],
        ["--partition", "--spoofing"],
        ["--spoofing", "--chain", "INPUT"],
        ["--net", "eth0=10.0.0.0/8"],
        ["--unknown", "must"],
        ["--chain", "INPUT", "--out", "eth0"],
        ["--chain", "OUTPUT", "--in", "eth0"],
        ["--in", "eth+"],
        ["--from", "10.0.0.1/85.85.85.85"],
    ],
)
def test_options_that_would_not_be_looked_at_are_refused(options: list[str]) -> None:
    found = CliRunner().invoke(cli, ["reach", "sample:docker-port-80", *options])
    assert isinstance(found.exception, RuleflowError), found.output


def test_an_interface_leaves_the_ways_that_have_it() -> None:
    told = json.loads(
        CliRunner().invoke(cli, ["reach", "sample:docker-port-80", "--json", "--out", "docker0"]).output
    )
    assert [one["question"]["way"] for one in told["answers"]] == ["through", "out"]


def test_a_mask_with_gaps_is_that_many_networks() -> None:
    (fate, *_) = (
        Reach(rules(DUMP)).ask(Question(source="10.0.0.1/255.0.255.255", port="22", protocol="tcp")).fates
    )
    assert (fate.then, sum(high - low + 1 for low, high in dict(fate.boxes[0])[SRC])) == ("ACCEPT", 256)
