"""Findings for programs: JSON ("ruleflow.lint/1"), and JSON a line at a time."""

import json
from typing import Any

from ruleflow import __version__
from ruleflow.analysis.findings import Finding, Mark, Report

SCHEMA = "ruleflow.lint/1"


def value(reports: tuple[Report, ...]) -> dict[str, Any]:
    """All findings as one value; places count from 1, columns in characters."""
    return {
        "schema": SCHEMA,
        "ruleflow": __version__,
        "files": [
            {
                "source": report.source,
                "rules": report.rules,
                "silenced": report.silenced,
                "findings": [finding_value(one, report) for one in report.findings],
            }
            for report in reports
        ],
    }


def lines(reports: tuple[Report, ...]) -> str:
    """One finding a line."""
    found = [
        {"schema": SCHEMA, **finding_value(one, report)} for report in reports for one in report.findings
    ]
    return "".join(json.dumps(one, ensure_ascii=True) + "\n" for one in found)


def finding_value(finding: Finding, report: Report) -> dict[str, Any]:
    """One finding."""
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "strength": finding.strength,
        "source": finding.primary.source or report.source,
        "primary": _place(finding.primary, report),
        "secondary": [_place(mark, report) for mark in finding.others],
        "notes": list(finding.notes),
        "help": finding.help,
        "rule": finding.text,
        "fingerprint": finding.fingerprint,
        "fixable": finding.edit is not None,
    }


def _place(mark: Mark, report: Report) -> dict[str, Any]:
    line = report.lines[mark.line - 1] if 0 < mark.line <= len(report.lines) else ""
    first = len(line[: mark.column - 1].encode("utf-8", "surrogateescape"))
    width = len(line[mark.column - 1 : mark.column - 1 + mark.width].encode("utf-8", "surrogateescape"))
    ref = mark.ref
    return {
        "line": mark.line or None,
        "column": mark.column if mark.line else None,
        "end_column": mark.column + mark.width if mark.line else None,
        "bytes": [first, first + width] if mark.line else None,
        "label": mark.label,
        "table": ref.table if ref else None,
        "chain": ref.chain if ref else None,
        "index": ref.index if ref and ref.index else None,
    }
