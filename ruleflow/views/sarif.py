"""Findings as SARIF 2.1.0, as code scanning reads it (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

import json
from typing import Any

from ruleflow import __version__
from ruleflow.analysis.findings import Code, Edit, Finding, Mark, Report

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(reports: tuple[Report, ...], codes: dict[str, Code], *, compared: bool = False) -> str:
    """One run with all reports. ``codes`` explain the rules that are used.

    ``compared`` says that a baseline was taken off: what is left is new since then.
    """
    used = sorted({one.code for report in reports for one in report.findings})
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "ruleflow", "version": __version__, "semanticVersion": __version__,
                "rules": [_rule(codes[code]) for code in used],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(one, report, used) for report in reports for one in report.findings],
    }  # fmt: skip
    if compared:
        for result in run["results"]:
            result["baselineState"] = "new"
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: Code) -> dict[str, Any]:
    example = f"Before:\n\n```\n{code.before}\n```\n" + (
        f"\nAfter:\n\n```\n{code.after}\n```\n" if code.after else ""
    )
    properties: dict[str, Any] = {"tags": ["security"] if code.security else ["maintainability"]}
    if code.security:
        properties["security-severity"] = f"{code.security:.1f}"
    return {
        "id": code.code,
        "name": "".join(word.capitalize() for word in code.name.replace("-", " ").replace(",", "").split()),
        "shortDescription": {"text": code.name},
        "fullDescription": {"text": code.what},
        "help": {"text": f"{code.what}\n{code.why}", "markdown": f"{code.what}\n\n{code.why}\n\n{example}"},
        "defaultConfiguration": {"level": _LEVELS[code.severity]},
        "properties": properties,
    }


def _result(finding: Finding, report: Report, used: list[str]) -> dict[str, Any]:
    told = [
        finding.message,
        *finding.notes,
        *([f"strength: {finding.strength}"]),
        *([finding.help] if finding.help else []),
    ]
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": used.index(finding.code),
        "level": _LEVELS[finding.severity],
        "message": {"text": "\n".join(told)},
        "locations": [_location(finding.primary, report)],
        "partialFingerprints": {"primaryLocationLineHash": f"{finding.fingerprint}:1"},
    }
    others = [{"id": number, **_location(mark, report)} for number, mark in enumerate(finding.others, 1)]
    if others:
        result["relatedLocations"] = others
    if finding.edit is not None:
        result["fixes"] = [_fix(finding.edit, finding, report)]
    return result


def _fix(edit: Edit, finding: Finding, report: Report) -> dict[str, Any]:
    """The edit of one finding, which holds by itself; `--fix` proves which hold together."""
    region = {"startLine": edit.line, "startColumn": 1, "endLine": edit.line + 1, "endColumn": 1}
    replacement: dict[str, Any] = {"deletedRegion": region}
    if edit.new is not None:
        replacement["insertedContent"] = {"text": f"{edit.new}\n"}
    where = {"uri": _uri(finding.primary.source or report.source)}
    return {
        "description": {"text": "No packet fares differently without the line (proved)."},
        "artifactChanges": [{"artifactLocation": where, "replacements": [replacement]}],
    }


def _location(mark: Mark, report: Report) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(mark.source or report.source)}}
    if mark.line:
        physical["region"] = {
            "startLine": mark.line, "startColumn": mark.column, "endColumn": mark.column + max(1, mark.width),
        }  # fmt: skip
    location: dict[str, Any] = {"physicalLocation": physical}
    if mark.label:
        location["message"] = {"text": mark.label}
    return location


def _uri(name: str) -> str:
    from urllib.parse import quote

    return quote(name.removeprefix("./"), safe="/", errors="surrogateescape")
