"""SARIF against the schema that OASIS publishes, for every sample, the dumps of others, and rules made to be difficult."""

import json
from pathlib import Path
from typing import Any

import pytest

from ruleflow.analysis.findings import Report
from ruleflow.analysis.lint import CODES, gather, reported
from ruleflow.data import samples
from ruleflow.ruleset.parse import parse
from ruleflow.views.sarif import sarif

SCHEMA = Path(__file__).parent.parent / "schemas" / "sarif-schema-2.1.0.json"
HOSTILE = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:OLD\u00e4<&> - [0:0]
-A INPUT -s 10.0.0.0/9 -j ACCEPT
-A INPUT -s 10.128.0.0/9 -m comment --comment "\x1b[31m \udcff { {0} } %0A <b>" -j DROP
-A INPUT -s 10.1.0.0/8 -p tcp -m comment --comment "\x1b[31m \udcff { {0} } %0A <b>" -j DROP
-A INPUT -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -p udp -m udp --dprot 53 -j ACCEPT
-A INPUT -p tcp -m tcp --dport -j ACCEPT
-A INPUT -p udp -j ACCEPT
COMMIT
"""


def check(text: str) -> dict[str, Any]:
    """Validate; the first run."""
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema: SARIF is not validated")
    schema = json.loads(SCHEMA.read_text("utf-8"))
    value = json.loads(text)
    jsonschema.Draft4Validator(schema).validate(value)
    run: dict[str, Any] = value["runs"][0]
    return run


def reports(text: str, source: str) -> tuple[Report, ...]:
    return reported(gather.of_document(parse(text, source=source, lenient=True)))


def test_the_validator_refuses_what_is_no_sarif() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="pip install jsonschema: SARIF is not validated")
    spoilt = sarif(reports(HOSTILE, "x.rules"), CODES).replace('"ruleIndex"', '"ruleNumber"')
    with pytest.raises(jsonschema.ValidationError):
        check(spoilt)


@pytest.mark.parametrize("name", sorted(name for name, path in samples().items() if path.suffix == ".rules"))
def test_a_sample(name: str) -> None:
    text = samples()[name].read_text("utf-8")
    check(sarif(reports(text, f"{name}.rules"), CODES))


def test_a_directory() -> None:
    cases = gather.of_directory(samples()["docker-host"], "hosts/docker host")
    run = check(sarif(reported(cases), CODES))
    uris = {one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in run["results"]}
    assert all(uri.startswith("hosts/docker%20host/") for uri in uris)


def test_what_is_said_in_the_rules_breaks_nothing() -> None:
    text = sarif(reports(HOSTILE, "a\udcff b:c.rules"), CODES)
    assert "\\u001b" not in text
    assert "\\udcff" not in text
    run = check(text)
    results = {one["ruleId"]: one for one in run["results"]}
    assert {"RF002", "RF003", "RF201", "RF203"} <= set(results)
    assert (
        results["RF201"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        == "a%FF%20b%3Ac.rules"
    )
    related = [
        mark["physicalLocation"]["region"]["startLine"] for mark in results["RF201"]["relatedLocations"]
    ]
    assert related == [6, 7]


def test_a_fix_is_the_line_taken_out() -> None:
    run = check(sarif(reports(HOSTILE, "x.rules"), CODES))
    (fix,) = next(one for one in run["results"] if one["ruleId"] == "RF201")["fixes"]
    region = fix["artifactChanges"][0]["replacements"][0]["deletedRegion"]
    lines = HOSTILE.split("\n")
    assert lines[region["startLine"] - 1].startswith("-A INPUT -s 10.1.0.0/8")
    assert (region["startColumn"], region["endLine"], region["endColumn"]) == (1, region["startLine"] + 1, 1)


def test_what_a_baseline_leaves_is_new() -> None:
    run = check(sarif(reports(HOSTILE, "x.rules"), CODES, compared=True))
    assert {one["baselineState"] for one in run["results"]} == {"new"}


@pytest.mark.shared
@pytest.mark.slow
def test_the_dumps_of_others(shared: Path) -> None:
    for path in sorted((shared / "dumps" / "found").iterdir()):
        if path.stat().st_size < 40_000:
            text = path.read_text("utf-8", "surrogateescape")
            check(sarif(reports(text, path.name), CODES))
