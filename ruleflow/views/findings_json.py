"""Findings for programs: JSON ("ruleflow.lint/1"), and JSON a line at a time.

The types say what the JSON is: ``ruleflow schema lint`` prints their JSON Schema. Fields are only added within a major
version of a schema.
"""

from typing import Literal

import msgspec

from ruleflow import __version__
from ruleflow.analysis.findings import Finding, Mark, Report
from ruleflow.views.json_text import json_text

Schema = Literal["ruleflow.lint/1"]
SCHEMA: Schema = "ruleflow.lint/1"


class PlaceSaid(msgspec.Struct, frozen=True):
    """A place in the dump, null where it is in no text: lines and columns from 1, in characters.

    ``end_column`` is behind the last character; ``bytes`` are the same columns in bytes, from 0. ``index`` counts the
    chain's rules from 1, null for the chain itself.
    """

    line: int | None
    column: int | None
    end_column: int | None
    bytes: tuple[int, int] | None
    label: str
    table: str | None
    chain: str | None
    index: int | None


class FindingSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One finding; ``strength`` is exact, hint or an assumption in words; ``rule`` the rule's text."""

    code: str
    severity: Literal["error", "warning", "info"]
    message: str
    strength: str
    source: str
    primary: PlaceSaid
    secondary: list[PlaceSaid]
    notes: tuple[str, ...]
    help: str
    rule: str
    fingerprint: str
    fixable: bool


class LineSaid(FindingSaid, frozen=True, kw_only=True):
    """One finding on a line of its own (``--format jsonl``)."""

    schema: Schema


class FileSaid(msgspec.Struct, frozen=True):
    """All findings about one rule set; ``silenced`` counts what an ignore or a baseline left out."""

    source: str
    rules: int
    silenced: int
    findings: list[FindingSaid]


class Linted(msgspec.Struct, frozen=True):
    """All findings."""

    schema: Schema
    ruleflow: str
    files: list[FileSaid]


def value(reports: tuple[Report, ...]) -> Linted:
    """All findings as one value."""
    files = [
        FileSaid(
            report.source,
            report.rules,
            report.silenced,
            [finding_value(one, report) for one in report.findings],
        )
        for report in reports
    ]
    return Linted(SCHEMA, __version__, files)


def lines(reports: tuple[Report, ...]) -> str:
    """One finding a line."""
    return "".join(
        json_text({"schema": SCHEMA, **msgspec.to_builtins(finding_value(one, report))}, indent=0)
        for report in reports
        for one in report.findings
    )


def finding_value(finding: Finding, report: Report) -> FindingSaid:
    """One finding."""
    return FindingSaid(
        code=finding.code,
        severity=finding.severity,  # type: ignore[arg-type]
        message=finding.message,
        strength=finding.strength,
        source=finding.primary.source or report.source,
        primary=_place(finding.primary, report),
        secondary=[_place(mark, report) for mark in finding.others],
        notes=finding.notes,
        help=finding.help,
        rule=finding.text,
        fingerprint=finding.fingerprint,
        fixable=finding.edit is not None,
    )


def _place(mark: Mark, report: Report) -> PlaceSaid:
    line = report.lines[mark.line - 1] if 0 < mark.line <= len(report.lines) else ""
    first = len(line[: mark.column - 1].encode("utf-8", "surrogateescape"))
    width = len(line[mark.column - 1 : mark.column - 1 + mark.width].encode("utf-8", "surrogateescape"))
    ref = mark.ref
    return PlaceSaid(
        line=mark.line or None,
        column=mark.column if mark.line else None,
        end_column=mark.column + mark.width if mark.line else None,
        bytes=(first, first + width) if mark.line else None,
        label=mark.label,
        table=ref.table if ref else None,
        chain=ref.chain if ref else None,
        index=ref.index if ref and ref.index else None,
    )
