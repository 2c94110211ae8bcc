"""JUnit and TAP as their consumers read them: the schema of Jenkins, junitparser; perl's TAP::Parser and prove."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ruleflow.analysis.expectations import Expectation, Result
from ruleflow.analysis.lint import gather, reported
from ruleflow.cli import cli
from ruleflow.data import samples
from ruleflow.errors import visible
from ruleflow.ruleset.parse import parse
from ruleflow.views import expectations_text, findings_ci

XSD = Path(__file__).parent.parent / "schemas" / "junit-10.xsd"
NASTY = (
    "plain",
    "# TODO a title is no directive",
    "#skip",
    "a \\# b \\ c",
    "<b> & \"q\" 'q' ]]>",
    "\x1b[31m",
    "\udcff \x00",
    "1..7",
    "ok 1 - ok",
)
SUITE = """against: rules
local: [192.0.2.1]
tests:
- accept: every tcp to port 22 from 0.0.0.0/0 into
- name: "nobody's <ssh> & # TODO"
  drop: every tcp to port 22 from 0.0.0.0/0 into
- drop: tcp 203.0.113.9:40000 192.0.2.1:23 in eth0
"""
RULES = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"


def results() -> list[Result]:
    """Met and not met in turn, with texts that want to be something else."""
    return [
        Result(
            expectation=Expectation(line=number, verdict="accept", what="tcp", name=text),
            ok=number % 2 == 0,
            found=text,
            why=text,
            witness="tcp 203.0.113.9:40000 192.0.2.1:22 in eth0",
        )
        for number, text in enumerate(NASTY)
    ]


def valid(text: str) -> None:
    xmlschema = pytest.importorskip("xmlschema", reason="pip install xmlschema: JUnit is not validated")
    xmlschema.XMLSchema10(str(XSD)).validate(io.BytesIO(text.encode()))


def suites(text: str) -> list[Any]:
    junitparser = pytest.importorskip(
        "junitparser", reason="pip install junitparser: JUnit is not read by its parser"
    )
    return list(junitparser.JUnitXml.fromstring(text.encode()))


def lint_junit(text: str, source: str) -> str:
    return findings_ci.junit(reported(gather.of_document(parse(text, source=source, lenient=True))))


@pytest.mark.parametrize("name", ["docker-ufw", "fail2ban", "firewalld", "shorewall-ipv6", "cni"])
def test_findings_as_junit(name: str) -> None:
    text = lint_junit(samples()[name].read_text("utf-8"), f"{name}.rules")
    valid(text)
    (suite,) = suites(text)
    assert (suite.tests, suite.failures) == (
        len(list(suite)),
        sum(1 for case in suite for one in case.result if type(one).__name__ == "Failure"),
    )


def test_hostile_rules_as_junit() -> None:
    rules = RULES.replace("-j ACCEPT", '-m comment --comment "\x1b[31m\x01 ]]> <b> \udcff" -j ACCEPT')
    rules = rules.replace("COMMIT", "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP\nCOMMIT")
    text = lint_junit(rules, "a\udcff<b>.rules")
    valid(text)
    assert suites(text)


def test_expectations_as_junit() -> None:
    text = expectations_text.junit(results(), "expect<&>.yaml")
    valid(text)
    (suite,) = suites(text)
    assert (suite.tests, suite.failures) == (len(NASTY), len(NASTY) // 2)
    assert next(iter(suite)).name == "plain"
    assert [case.name for case in suite][4] == NASTY[4]


def tap() -> str:
    return "".join(f"{line}\n" for line in expectations_text.tap(results(), "expect.yaml"))


PERL = r"""
use TAP::Parser; local $/; my $tap = <STDIN>;
my $parser = TAP::Parser->new({tap => $tap});
while (my $one = $parser->next) {
    print join("\t", $one->is_ok ? "ok" : "not ok", $one->number, $one->directive, $one->explanation), "\n"
        if $one->is_test;
}
print "errors: ", join("; ", $parser->parse_errors), "\n";
"""


def test_tap_as_perl_reads_it() -> None:
    if shutil.which("prove") is None:
        pytest.skip("apt-get install perl: TAP is not read by perl's own parser")
    read = subprocess.run(
        ["perl", "-e", PERL], input=tap(), capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert read[-1] == "errors: "
    assert [line.split("\t")[:3] for line in read[:-1]] == [
        ["ok" if n % 2 == 0 else "not ok", str(n + 1), ""] for n in range(len(NASTY))
    ]


def test_the_details_are_yaml() -> None:
    from ruamel.yaml import YAML

    blocks = tap().split("  ---\n")[1:]
    assert len(blocks) == len(NASTY) // 2
    for number, block in enumerate(blocks):
        value = YAML(typ="safe").load(block.split("  ...\n", maxsplit=1)[0])
        assert list(value) == ["expected", "found", "because", "packet"]
        assert value["because"] == visible(NASTY[2 * number + 1])


def test_the_command_under_prove(tmp_path: Path) -> None:
    if shutil.which("prove") is None:
        pytest.skip("apt-get install perl: TAP is not read by prove")
    (tmp_path / "rules").write_text(RULES)
    (tmp_path / "expect.yaml").write_text(SUITE)
    run = CliRunner().invoke(cli, ["test", str(tmp_path / "expect.yaml"), "--format", "tap"])
    (tmp_path / "out.tap").write_text(run.output)
    told = subprocess.run(
        ["prove", "--exec", "cat", "out.tap"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Failed 1/3 subtests" in told.stdout
    assert "Failed test:  2" in told.stdout
    assert told.returncode == 1
    as_xml = CliRunner().invoke(cli, ["test", str(tmp_path / "expect.yaml"), "--format", "junit"]).output
    valid(as_xml)
    (suite,) = suites(as_xml)
    assert (suite.tests, suite.failures) == (3, 1)
