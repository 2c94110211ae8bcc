"""Findings as build servers read them: GitHub's commands, GitLab's code quality, JUnit."""

import json
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from ruleflow.analysis.findings import Finding, Report
from ruleflow.errors import visible

_GITHUB = {"error": "error", "warning": "warning", "info": "notice"}
_GITLAB = {"error": "critical", "warning": "major", "info": "info"}


def github(reports: tuple[Report, ...]) -> Iterator[str]:
    """Workflow commands; data is escaped as the toolkit does it (actions/toolkit, command.ts)."""
    for report in reports:
        for one in report.findings:
            place = one.primary
            at = f",line={place.line},col={place.column}" if place.line else ""
            file = _property(place.source or report.source)
            text = _data("\n".join([one.message, *one.notes, *([f"help: {one.help}"] if one.help else [])]))
            yield f"::{_GITHUB[one.severity]} file={file}{at},title={one.code}::{text}"


def _data(text: str) -> str:
    return _plain(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _plain(text: str) -> str:
    return "\n".join(visible(line) for line in text.split("\n"))


def gitlab(reports: tuple[Report, ...]) -> str:
    """A code quality report (docs.gitlab.com, "Code Quality report format")."""
    found = [
        {
            "description": one.message,
            "check_name": one.code,
            "fingerprint": one.fingerprint,
            "severity": _GITLAB[one.severity],
            "location": {
                "path": one.primary.source or report.source,
                "lines": {"begin": max(1, one.primary.line)},
            },
        }
        for report in reports
        for one in report.findings
    ]
    return json.dumps(found, indent=2) + "\n"


def junit(reports: tuple[Report, ...]) -> str:
    """A test suite for each file, a failed test for each finding of severity warning or error."""
    suites = "".join(_suite(report) for report in reports)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="ruleflow lint">\n{suites}</testsuites>\n'
    )


def _suite(report: Report) -> str:
    bad = [one for one in report.findings if one.severity != "info"]
    cases = (
        "".join(_case(one, report) for one in report.findings)
        or f'    <testcase name="no findings" classname={_attribute(report.source)}/>\n'
    )
    number = max(1, len(report.findings))
    return f'  <testsuite name={_attribute(report.source)} tests="{number}" failures="{len(bad)}" errors="0" skipped="0">\n{cases}  </testsuite>\n'


def _case(one: Finding, report: Report) -> str:
    name = f"{one.code} line {one.primary.line}" if one.primary.line else one.code
    head = f"    <testcase name={_attribute(name)} classname={_attribute(report.source)}"
    text = "\n".join([one.message, one.text, *one.notes, *([f"help: {one.help}"] if one.help else [])])
    if one.severity == "info":
        return f"{head}><system-out>{escape(_plain(text))}</system-out></testcase>\n"
    return f"{head}><failure type={_attribute(one.severity)} message={_attribute(one.message)}>{escape(_plain(text))}</failure></testcase>\n"


def _attribute(text: str) -> str:
    return quoteattr(_plain(text))
