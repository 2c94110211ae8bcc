"""Findings on their way out: each format read back by its own kind of reader; silencing and fixing."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
from click.testing import CliRunner

from ruleflow.analysis.findings import Report
from ruleflow.analysis.lint import CODES, gather, reported, silence
from ruleflow.analysis.lint.fix import fix
from ruleflow.cli import cli
from ruleflow.ruleset.parse import parse
from ruleflow.views import findings_ci, findings_json, findings_text
from ruleflow.views.sarif import sarif

DUMP = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:OLD - [0:0]
-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -m comment --comment "<a> & \\"b\\" %0A::error" -j DROP
-A INPUT -s 192.0.2.1/32 -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -p udp -m udp --dport 53 -j ACCEPT
COMMIT
"""


def reports(dump: str = DUMP) -> tuple[Report, ...]:
    return reported(gather.of_document(parse(dump, source="my dump.rules")))


def test_the_excerpt_of_one_finding() -> None:
    told = "\n".join(findings_text.full(reports()[0]))
    carets = "^" * len(DUMP.split("\n")[6])
    assert (
        f"""warning[RF201]: this rule can never match
  --> my dump.rules:7:1
  |
6 | -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
  | ------------------------------------------- takes all of these packets first
7 | -A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -m comment --comment "<a> & \\"b\\" %0A::error" -j DROP
  | {carets} would drop, but gets none
   = proof: exact; line 6 alone covers it
   = help: to let it decide, move it above line 6; or take it out
   = more: ruleflow rule RF201"""
        in told
    )
    assert told.endswith("1 warning, 0 errors, 2 remarks in 4 rules. 2 can be fixed with --fix.")


def test_json_has_places_in_characters_and_bytes() -> None:
    value = msgspec.to_builtins(findings_json.value(reports(DUMP.replace("<a>", "ä"))))
    assert value["schema"] == "ruleflow.lint/1"
    first = next(one for one in value["files"][0]["findings"] if one["code"] == "RF201")
    assert (
        first["primary"]["bytes"][1] == first["primary"]["end_column"]
    )  # one character of two bytes, columns from 1
    assert (first["primary"]["chain"], first["primary"]["index"]) == ("INPUT", 2)
    assert [json.loads(line)["code"] for line in findings_json.lines(reports()).splitlines()] == [
        "RF203",
        "RF201",
        "RF202",
    ]


def test_sarif_has_what_code_scanning_needs() -> None:
    run = json.loads(sarif(reports(), CODES))["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "my%20dump.rules"
        assert result["partialFingerprints"]["primaryLocationLineHash"]
    moved = json.loads(sarif(reports("# one more line\n" + DUMP), CODES))["runs"][0]
    marks = [[r["partialFingerprints"] for r in each["results"]] for each in (run, moved)]
    assert marks[0] == marks[1]


def test_junit_is_xml_with_the_text_as_it_was() -> None:
    suite = ET.fromstring(findings_ci.junit(reports())).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert '<a> & \\"b\\" %0A::error' in (failure.text or "")


def test_github_commands_are_one_line_each() -> None:
    lines = list(findings_ci.github(reports()))
    assert [line.split(" ")[0] for line in lines] == ["::notice", "::warning", "::notice"]
    assert lines[1].startswith("::warning file=my dump.rules,line=7,col=1,title=RF201::")
    assert all("\n" not in line for line in lines)


def test_gitlab_has_a_fingerprint_each() -> None:
    found = json.loads(findings_ci.gitlab(reports()))
    assert len({one["fingerprint"] for one in found}) == len(found) == 3


def test_control_characters_are_shown_not_sent() -> None:
    found = reports(DUMP.replace("<a>", "\x1b[31m"))
    for text in (
        "\n".join(findings_text.full(found[0])),
        findings_ci.junit(found),
        "\n".join(findings_ci.github(found)),
    ):
        assert "\x1b" not in text


def test_a_baseline_leaves_out_what_was_there() -> None:
    known = json.loads(silence.baseline(reports()))
    counts = Counter({one["fingerprint"]: one["count"] for one in known["findings"]})
    assert not silence.silenced(reports(), (), counts)[0].findings
    more = reports(
        DUMP.replace("COMMIT", "-A INPUT -s 192.0.2.2/32 -p udp -m udp --dport 53 -j DROP\nCOMMIT")
    )
    assert [one.primary.line for one in silence.silenced(more, (), counts)[0].findings] == [10]


def test_ignores_by_comment_and_by_pattern() -> None:
    marked = reports(DUMP.replace("<a>", "ruleflow:ignore=RF201"))
    assert "RF201" not in {one.code for one in silence.silenced(marked, (), Counter())[0].findings}
    ignore = silence.Ignore("RF201", "INPUT", "198.51.100.0/24")
    assert "RF201" not in {one.code for one in silence.silenced(reports(), (ignore,), Counter())[0].findings}


def test_a_fix_takes_out_what_can_go_together() -> None:
    pair = "-A INPUT -p udp -m udp --dport 53:54 -j ACCEPT\n-A INPUT -p udp -m udp --dport 54:55 -j ACCEPT\n-A INPUT -p udp -m udp --dport 53 -j ACCEPT\n"
    dump = DUMP.replace("COMMIT", pair + "-A INPUT -p udp -m udp --dport 55 -j ACCEPT\nCOMMIT")
    cases = list(gather.of_document(parse(dump)))
    findings = [one for report in reported(cases) for one in report.findings]
    fixed = fix(cases, findings, dump, merging=False)
    again = parse(fixed.text).rulesets[0]
    left = [one.code for report in reported(gather.of_document(parse(fixed.text))) for one in report.findings]
    assert not {"RF201", "RF202"} & set(left)
    assert len(again["filter"]["INPUT"].rules) == 3


def test_the_command_exits_with_1_where_something_is_wrong(tmp_path: Path) -> None:
    dump = tmp_path / "dump.rules"
    dump.write_text(DUMP)
    run = CliRunner().invoke
    assert run(cli, ["lint", str(dump), "--format", "concise"]).exit_code == 1
    assert run(cli, ["lint", str(dump), "--ignore", "RF201"]).exit_code == 0
    assert run(cli, ["lint", str(dump), "--ignore", "RF201", "--fail-on", "info"]).exit_code == 1
    assert run(cli, ["lint", str(dump), "--exit-zero"]).exit_code == 0
    assert "Why" in run(cli, ["rule", "rf201"]).output
