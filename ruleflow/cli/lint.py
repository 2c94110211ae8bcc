"""The commands that judge a rule set: lint, and rule, which explains a finding."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruleflow.cli.inputs import cases_of, is_declaration
from ruleflow.cli.outputs import FINE, FOUND, coloured, formats, paper_for, put, write, write_lines
from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.findings import Report
    from ruleflow.analysis.lint.case import Case


@click.command()
@click.argument("dump", required=False)
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option("-4", "family", flag_value=4, type=int, help="The IPv4 rules.")
@click.option("--select", multiple=True, metavar="RFnnn", help="Only these codes, or families (RF2).")
@click.option("--ignore", multiple=True, metavar="RFnnn", help="Not these codes, or families.")
@click.option("--conflicts", is_flag=True, help="Also rules that contradict earlier ones (RF206, RF207).")
@click.option("--all", "everything", is_flag=True, help="Every remark, also where there are many of a kind.")
@formats("full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info"]),
    default="warning",
    help="Exit 1 from this severity on.",
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False),
    help="Leave out what this file says was there before.",
)
@click.option("--write-baseline", type=click.Path(dir_okay=False), help="Write what is found as such a file.")
@click.option("--config", type=click.Path(), help="Ignores (default: ruleflow.yaml beside the dump).")
@click.option(
    "--fix",
    "fixing",
    is_flag=True,
    help="Show which lines can go or be put together without changing any packet's way.",
)
@click.option("--write", is_flag=True, help="With --fix: change the file.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@coloured
def lint(dump: str | None, form: str, **how: Any) -> None:
    """Find rules in DUMP that never match, do nothing, expose more than they seem to, or get in each other's way.

    DUMP may be a directory that `ruleflow snapshot` made. Each finding says how sure it is: exact, under an
    assumption, or a hint. `ruleflow rule CODE` explains a finding.
    """
    from ruleflow.analysis.lint import reported, silence

    cases = cases_of(dump, how["family"])
    reports = reported(cases, select=how["select"], ignore=how["ignore"], conflicts=how["conflicts"])
    known = silence.read_baseline(Path(how["baseline"])) if how["baseline"] else Counter()
    reports = silence.silenced(reports, silence.read_ignores(_config(dump, how["config"])), known)
    if how["write_baseline"]:
        put(how["write_baseline"], silence.baseline(reports))
        sys.exit(FINE)
    if how["fixing"]:
        _fix(dump, cases, reports, saving=how["write"], merging=not how["select"])
        return
    colour = paper_for(how["color"])[1]
    write(_shown(reports, form, colour=colour, **how))
    sys.exit(FINE if how["exit_zero"] or form == "sarif" or not _fails(reports, how["fail_on"]) else FOUND)


def _config(dump: str | None, given: str | None) -> Path:
    if given is not None:
        return Path(given)
    path = Path(dump or ".")
    return (path if path.is_dir() else path.parent) / "ruleflow.yaml"


def _fix(
    dump: str | None, cases: "list[Case]", reports: "tuple[Report, ...]", *, saving: bool, merging: bool
) -> None:
    """Show the edits as a diff, and make them where asked for."""
    import difflib

    from ruleflow.analysis.lint.fix import fix

    if len({case.source for case in cases}) != 1 or cases[0].document is None:
        raise RuleflowError("--fix works on one file", help="give one of the host's files")
    if is_declaration(dump):
        raise RuleflowError("--fix edits dumps, not declarations", help="ruleflow generate prints the rules")
    text = cases[0].document.text
    findings = (one for report in reports for one in report.findings)
    fixed = fix(cases, findings, text, merging=merging)
    name = cases[0].source
    shown = difflib.unified_diff(
        text.splitlines(keepends=True), fixed.text.splitlines(keepends=True), name, name
    )
    write("".join(shown))
    also = f"; {len(fixed.kept)} more are needed once these are gone" if fixed.kept else ""
    old, new = (sum(len(getattr(one, side)) for one in fixed.merged) for side in ("lines", "new"))
    together = f", {old} neighbours can be written as {new}" if old else ""
    click.echo(
        f"{len(fixed.taken)} lines can go{together}: no packet fares differently (proved){also}", err=True
    )
    if saving and (fixed.taken or fixed.merged):
        if dump is None or not Path(dump).is_file():
            raise RuleflowError("there is no file to write to", help="give a file, or leave out --write")
        Path(dump).write_bytes(fixed.text.encode("utf-8", "surrogateescape"))


def _fails(reports: "tuple[Report, ...]", least: str) -> bool:
    from ruleflow.analysis.findings import SEVERITIES

    bad = SEVERITIES[: SEVERITIES.index(least) + 1]
    return any(report.count(severity) for report in reports for severity in bad)


def _shown(
    reports: "tuple[Report, ...]",
    form: str,
    *,
    colour: bool,
    everything: bool,
    baseline: str | None,
    **_: Any,
) -> str:
    from ruleflow.analysis.lint import CODES
    from ruleflow.views import findings_ci, findings_json, findings_text
    from ruleflow.views.json_text import json_text
    from ruleflow.views.sarif import sarif

    if form == "json":
        return json_text(findings_json.value(reports))
    if form == "jsonl":
        return findings_json.lines(reports)
    if form == "sarif":
        return sarif(reports, CODES, compared=baseline is not None)
    if form in ("gitlab", "junit"):
        return findings_ci.gitlab(reports) if form == "gitlab" else findings_ci.junit(reports)
    if form == "github":
        return "".join(f"{line}\n" for line in findings_ci.github(reports))
    lines = [
        line
        for report in reports
        for line in (
            findings_text.concise(report)
            if form == "concise"
            else findings_text.full(report, color=colour, everything=everything)
        )
    ]
    return "".join(f"{line}\n" for line in lines)


@click.command()
@click.argument("code", required=False)
def rule(code: str | None) -> None:
    """Explain a finding: what it is, why it matters, an example before and after, how to silence it.

    Without CODE: the list of all.
    """
    from ruleflow.analysis.lint import CODES
    from ruleflow.views.findings_text import code_lines, code_list

    if code is None:
        write_lines(code_list(CODES.values()))
        return
    found = CODES.get(code.upper())
    if found is None:
        raise RuleflowError(f"there is no finding {code!r}", help="`ruleflow rule` lists all of them")
    write_lines(code_lines(found))
