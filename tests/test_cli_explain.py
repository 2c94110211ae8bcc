"""`ruleflow explain` as it is typed: a sample, a rule, standard input, a host, and each form of output."""

import json

import pytest
from click.testing import CliRunner

from ruleflow.cli import cli
from ruleflow.data import sample


def run(*arguments: str, given: str | None = None) -> str:
    result = CliRunner().invoke(cli, ["explain", *arguments], input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_sample() -> None:
    page = run("sample:docker-port-80")
    assert page.startswith("sample:docker-port-80: 2 tables, 12 chains, 18 rules (IPv4)\n\nIn short\n")
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "rule",
    [
        "iptables -t nat -A POSTROUTING -s 172.17.0.2 -d 172.17.0.2 -p tcp --dport 80 -j MASQUERADE",
        "sudo iptables --table nat --append POSTROUTING --source 172.17.0.2 --destination 172.17.0.2 --protocol tcp --dport http -j MASQUERADE",
    ],
)
def test_a_single_rule(rule: str) -> None:
    page = run(rule)
    assert "1  tcp from 172.17.0.2 to itself, port 80 (http)  masquerade as the outgoing interface" in page
    assert "opens it itself" in page
    assert "In short" not in page


def test_standard_input_and_the_source_below() -> None:
    page = run(
        "-",
        "--spans",
        given="*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n",
    )
    assert "3 | -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT" in page
    assert "^^^^^^^^^^ to port 22 (ssh)" in page


def test_json_has_text_and_span_of_each_phrase() -> None:
    data = json.loads(run("sample:docker-port-80", "--format", "json"))
    assert (data["schema"], data["rulesets"][0]["family"]) == ("ruleflow.explain/1", 4)
    source = sample("docker-port-80").read_text().splitlines()
    rules = [rule for chain in data["rulesets"][0]["chains"] for rule in chain["rules"]]
    phrases = [phrase for rule in rules for phrase in (*rule["who_phrases"], *rule["does_phrases"])]
    assert len(phrases) >= 40
    assert all(phrase["span"] for phrase in phrases)
    for phrase in phrases:
        line, first, end = phrase["span"]
        assert source[line - 1][first - 1 : end - 1].strip() == source[line - 1][first - 1 : end - 1]


def test_one_chain_of_one_table() -> None:
    page = run("sample:docker-port-80", "--table", "filter", "--chain", "FORWARD", "--depth", "0")
    assert "filter FORWARD" in page
    assert "filter DOCKER" not in page.replace("filter DOCKER-", "")
    assert "nat" not in page.split("\n", 1)[1].split("why")[0]


def test_a_host() -> None:
    page = run("sample:docker-host")
    assert page.startswith("Interfaces ")
    assert page.index("LOCAL table") < page.index("MAIN table") < page.index("nat PREROUTING")
    assert json.loads(run("sample:docker-host", "--json"))["host"][0]["title"] == "Interfaces"


def test_markdown() -> None:
    assert run("sample:docker-port-80", "--format", "md").startswith("# sample")


def test_colour_is_asked_for() -> None:
    assert "\x1b[36mwhy\x1b[0m" in run("sample:docker-port-80", "--color", "always")


def test_the_same_input_gives_the_same_bytes() -> None:
    assert run("sample:firewalld") == run("sample:firewalld")
