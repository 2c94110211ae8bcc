"""The commands that judge a rule set: lint, rule. Added to `ruleflow.cli`."""

import sys
from typing import TYPE_CHECKING, Any

import click

from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.findings import Report

FINE, FOUND = 0, 1


@click.command()
@click.argument("dump", required=False)
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option("-4", "family", flag_value=4, type=int, help="The IPv4 rules.")
@click.option("--select", multiple=True, metavar="RFnnn", help="Only these codes, or families (RF2).")
@click.option("--ignore", multiple=True, metavar="RFnnn", help="Not these codes, or families.")
@click.option("--all", "everything", is_flag=True, help="Every remark, also where there are many of a kind.")
@click.option(
    "--format", "form", type=click.Choice(["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit"]),
    default="full", help="How to print it.",
)  # fmt: skip
@click.option("--json", "form", flag_value="json", hidden=True)
@click.option("--fail-on", type=click.Choice(["error", "warning", "info"]), default="warning", help="Exit 1 from this severity on.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
def lint(dump: str | None, form: str, **how: Any) -> None:
    """Find rules in DUMP that never match, do nothing, expose more than they seem to, or get in each other's way.

    DUMP may be a directory that `ruleflow snapshot` made. Each finding says how sure it is: exact, under an
    assumption, or a hint. `ruleflow rule CODE` explains a finding.
    """
    from ruleflow import cli

    reports = _linted(dump, how)
    colour = cli.paper_for(how["color"])[1]
    cli.write(_shown(reports, form, everything=how["everything"], colour=colour))
    sys.exit(FINE if how["exit_zero"] or form == "sarif" or not _fails(reports, how["fail_on"]) else FOUND)


def _linted(dump: str | None, how: dict[str, Any]) -> "tuple[Report, ...]":
    from ruleflow import cli
    from ruleflow.analysis.lint import gather, reported

    directory = cli.directory_of(dump)
    if directory is not None:
        cases = list(gather.of_directory(directory, str(dump), how["family"]))
    else:
        cases = list(gather.of_document(cli.read_dump(dump, family=how["family"], lenient=True, quiet=True), how["family"]))
    if not cases:
        raise RuleflowError(f"there are no rules in {dump or 'the input'}", help="give a file that iptables-save wrote")
    return reported(cases, select=how["select"], ignore=how["ignore"])


def _fails(reports: "tuple[Report, ...]", least: str) -> bool:
    from ruleflow.analysis.findings import SEVERITIES

    bad = SEVERITIES[: SEVERITIES.index(least) + 1]
    return any(report.count(severity) for report in reports for severity in bad)


def _shown(reports: "tuple[Report, ...]", form: str, *, everything: bool, colour: bool) -> str:
    import json

    from ruleflow.views import findings_json, findings_text

    if form == "json":
        return json.dumps(findings_json.value(reports), indent=2) + "\n"
    if form == "jsonl":
        return findings_json.lines(reports)
    lines = [
        line
        for report in reports
        for line in (
            findings_text.concise(report) if form == "concise" else findings_text.full(report, color=colour, everything=everything)
        )
    ]
    return "".join(f"{line}\n" for line in lines)


@click.command()
@click.argument("code", required=False)
def rule(code: str | None) -> None:
    """Explain a finding: what it is, why it matters, an example before and after, how to silence it.

    Without CODE: the list of all.
    """
    from ruleflow import cli
    from ruleflow.analysis.lint import CODES
    from ruleflow.views.findings_text import code_lines, code_list

    if code is None:
        cli.write("".join(f"{line}\n" for line in code_list(CODES.values())))
        return
    found = CODES.get(code.upper())
    if found is None:
        raise RuleflowError(f"there is no finding {code!r}", help="`ruleflow rule` lists all of them")
    cli.write("".join(f"{line}\n" for line in code_lines(found)))


COMMANDS = (lint, rule)
