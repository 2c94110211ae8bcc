"""The commands that judge a rule set: lint, rule, test, reach. Added to `ruleflow.cli`."""

import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ruleflow.errors import RuleflowError

if TYPE_CHECKING:
    from ruleflow.analysis.findings import Report
    from ruleflow.analysis.lint.case import Case
    from ruleflow.analysis.matrix import Matrix

FINE, FOUND, UNDECIDED = 0, 1, 3


@click.command()
@click.argument("dump", required=False)
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option("-4", "family", flag_value=4, type=int, help="The IPv4 rules.")
@click.option("--select", multiple=True, metavar="RFnnn", help="Only these codes, or families (RF2).")
@click.option("--ignore", multiple=True, metavar="RFnnn", help="Not these codes, or families.")
@click.option("--conflicts", is_flag=True, help="Also rules that contradict earlier ones (RF206, RF207).")
@click.option("--all", "everything", is_flag=True, help="Every remark, also where there are many of a kind.")
@click.option(
    "--format", "form", type=click.Choice(["full", "concise", "json", "jsonl", "sarif", "github", "gitlab", "junit"]),
    default="full", help="How to print it.",
)  # fmt: skip
@click.option("--json", "form", flag_value="json", hidden=True)
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
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colours.")
def lint(dump: str | None, form: str, **how: Any) -> None:
    """Find rules in DUMP that never match, do nothing, expose more than they seem to, or get in each other's way.

    DUMP may be a directory that `ruleflow snapshot` made. Each finding says how sure it is: exact, under an
    assumption, or a hint. `ruleflow rule CODE` explains a finding.
    """
    from ruleflow import cli
    from ruleflow.analysis.lint import reported, silence

    cases = _cases(dump, how["family"])
    reports = reported(cases, select=how["select"], ignore=how["ignore"], conflicts=how["conflicts"])
    known = silence.read_baseline(Path(how["baseline"])) if how["baseline"] else Counter()
    reports = silence.silenced(reports, silence.read_ignores(_config(dump, how["config"])), known)
    if how["write_baseline"]:
        Path(how["write_baseline"]).write_text(silence.baseline(reports), "utf-8")
        sys.exit(FINE)
    if how["fixing"]:
        _fix(dump, cases, reports, write=how["write"], merging=not how["select"])
        return
    colour = cli.paper_for(how["color"])[1]
    cli.write(_shown(reports, form, colour=colour, **how))
    sys.exit(FINE if how["exit_zero"] or form == "sarif" or not _fails(reports, how["fail_on"]) else FOUND)


def _cases(dump: str | None, family: int | None) -> "list[Case]":
    import gc

    from ruleflow import cli
    from ruleflow.analysis.lint import gather

    directory = cli.directory_of(dump)
    if directory is not None:
        cases = list(gather.of_directory(directory, str(dump), family))
    else:
        cases = list(gather.of_document(cli.read_dump(dump, family=family, lenient=True, quiet=True), family))
    gc.freeze()
    gc.set_threshold(
        20_000, 50, 1_000
    )  # diagrams are numbers in lists, hardly any circles; looking for them takes time
    if not cases:
        raise RuleflowError(
            f"there are no rules in {dump or 'the input'}", help="give a file that iptables-save wrote"
        )
    return cases


def _config(dump: str | None, given: str | None) -> Path:
    if given is not None:
        return Path(given)
    path = Path(dump or ".")
    return (path if path.is_dir() else path.parent) / "ruleflow.yaml"


def _fix(
    dump: str | None, cases: "list[Case]", reports: "tuple[Report, ...]", *, write: bool, merging: bool
) -> None:
    """Show the edits as a diff, and make them where asked for."""
    import difflib

    from ruleflow import cli
    from ruleflow.analysis.lint.fix import fix

    if len({case.source for case in cases}) != 1 or cases[0].document is None:
        raise RuleflowError("--fix works on one file", help="give one of the host's files")
    text = cases[0].document.text
    findings = (one for report in reports for one in report.findings)
    fixed = fix(cases, findings, text, merging=merging)
    name = cases[0].source
    shown = difflib.unified_diff(
        text.splitlines(keepends=True), fixed.text.splitlines(keepends=True), name, name
    )
    cli.write("".join(shown))
    also = f"; {len(fixed.kept)} more are needed once these are gone" if fixed.kept else ""
    old, new = (sum(len(getattr(one, side)) for one in fixed.merged) for side in ("lines", "new"))
    together = f", {old} neighbours can be written as {new}" if old else ""
    click.echo(
        f"{len(fixed.taken)} lines can go{together}: no packet fares differently (proved){also}", err=True
    )
    if write and (fixed.taken or fixed.merged):
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


@click.command("test")
@click.argument("file", type=click.Path())
@click.argument("against", required=False)
@click.option(
    "--format", "form", type=click.Choice(["text", "tap", "junit"]), default="text", help="How to print it."
)
@click.option(
    "--record",
    is_flag=True,
    help="Write FILE: what AGAINST does now, a packet for each rule of its filter table.",
)
@click.option("-6", "family", flag_value=6, type=int, default=4, help="With --record: IPv6.")
@click.option("-4", "family", flag_value=4, type=int, hidden=True)
@click.option(
    "--live",
    is_flag=True,
    help="Send packets, members of each space and whole connections through the real kernel, too.",
)
def expectations(file: str, against: str | None, form: str, family: int, *, record: bool, live: bool) -> None:
    """Try the expectations of FILE (YAML), by its `against` or by AGAINST: a dump, a declaration, a host's directory.

    Exit 1: some are not met; 3: all are, but with --live some could not be sent through the kernel.
    """
    from ruleflow import cli
    from ruleflow.analysis import expectations as expecting
    from ruleflow.views import expectations_text as shown

    if record:
        _record(file, against, family)
        return
    suite = expecting.read_suite(_text_of(file), file)
    subject = expecting.Subject(against or _beside(file, suite.against), suite)
    results = list(expecting.run(suite, subject))
    if live:
        from ruleflow.kernel.expected import tried_live

        results += tried_live(suite, subject)
    if form == "junit":
        cli.write(shown.junit(results, file))
    else:
        lines = shown.tap(results, file) if form == "tap" else shown.text(results, file)
        cli.write("".join(f"{line}\n" for line in lines))
    if not all(one.ok for one in results):
        sys.exit(FOUND)
    sys.exit(UNDECIDED if any(one.skipped for one in results) else FINE)


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleflowError(
            f"cannot read {file!r}: {error}",
            help="give a YAML file of expectations, or --record to write one",
        ) from None


def _beside(file: str, against: str) -> str:
    """What the file is about: a path is meant from where the file lies."""
    if not against:
        raise RuleflowError(
            f"{file} does not say what it is about",
            help="write `against: dump.rules` into it, or give it as the second argument",
        )
    return against if against.startswith("sample:") else str(Path(file).parent / against)


def _record(file: str, against: str | None, family: int) -> None:
    from ruleflow.analysis import expectations as expecting
    from ruleflow.views import expectations_text as shown

    if against is None:
        raise RuleflowError(
            "--record needs something to record", help="ruleflow test FILE.yaml DUMP --record"
        )
    suite = expecting.Suite(source=file, expectations=())
    entries = expecting.record(expecting.Subject(against, suite), family)
    name = against if against.startswith("sample:") else os.path.relpath(against, Path(file).parent)
    Path(file).write_text("".join(f"{line}\n" for line in shown.recorded(entries, name)), "utf-8")


@click.command()
@click.argument("dump", required=False)
@click.option("--from", "source", default="", metavar="NET", help="Packets from this address or network.")
@click.option("--to", "destination", default="", metavar="NET", help="To this one.")
@click.option("--port", default="", metavar="PORTS", help="To these ports: 22, 80,443 or 1000:2000.")
@click.option("--sport", "source_port", default="", metavar="PORTS", help="From these ports.")
@click.option("--proto", "protocol", default="", metavar="NAME", help="tcp, udp, icmp or a number.")
@click.option("--in", "in_interface", default="", metavar="NAME", help="Arriving on this interface.")
@click.option("--out", "out_interface", default="", metavar="NAME", help="Leaving by it.")
@click.option("--state", default="new", show_default=True, help="The connection's state, or any.")
@click.option("--chain", "way", type=click.Choice(["INPUT", "FORWARD", "OUTPUT"]), help="Only this way.")
@click.option(
    "--service-matrix",
    "ports",
    metavar="PORT[,PORT]",
    help="Who may talk to whom at these ports (all: at every port).",
)
@click.option(
    "--unknown",
    type=click.Choice(["may", "must"]),
    default="may",
    show_default=True,
    help="With --service-matrix: what is not known may match, or must.",
)
@click.option("--partition", is_flag=True, help="All classes of packets that the rules treat unlike.")
@click.option("--spoofing", is_flag=True, help="Whether foreign sources may come in by an interface.")
@click.option(
    "--net", "nets", multiple=True, metavar="IF=NET", help="With --spoofing: an interface's own network."
)
@click.option("--witness", is_flag=True, help="Walk a packet of each answer.")
@click.option("-6", "family", flag_value=6, type=int, help="The IPv6 rules.")
@click.option("-4", "family", flag_value=4, type=int, help="The IPv4 rules.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print it."
)
@click.option("--json", "form", flag_value="json", hidden=True)
def reach(dump: str | None, form: str, **how: Any) -> None:
    """Say who may reach what in DUMP: without options, new connections into this host, through it and out of it.

    DUMP may be a directory that `ruleflow snapshot` made.
    """
    from ruleflow import cli
    from ruleflow.views import reach_text

    case = _cases(dump, how["family"])[0]
    told = _reached(case, how)
    if form == "json":
        from ruleflow.views.json_text import json_text
        from ruleflow.views.reach_json import reached

        cli.write(json_text(reached(case.source, case.rules.family, **told)))
        return
    lines = [line for one in told.get("answers", ()) for line in (*reach_text.answer_lines(one), "")]
    lines += [line for one in told.get("matrices", ()) for line in (*reach_text.matrix_lines(one), "")]
    lines += reach_text.spoofing_lines(told.get("entries", ()))
    cli.write("".join(f"{line}\n" for line in lines))
    if how["witness"]:
        _walk_witnesses(case, [fate.packet for one in told.get("answers", ()) for fate in one.fates])


def _reached(case: "Case", how: dict[str, Any]) -> dict[str, Any]:
    """The answers, matrices or entries that were asked for."""
    from ruleflow.analysis.reach import WAYS, Question, Reach

    if how["ports"]:
        return {"matrices": _matrices(case, how)}
    asking = Reach(case.rules, case.host)
    if how["spoofing"]:
        return {"entries": asking.spoofing(_networks(case, how["nets"]))}
    ways = [{"INPUT": "in", "FORWARD": "through", "OUTPUT": "out"}[how["way"]]] if how["way"] else list(WAYS)
    if how["partition"]:
        return {"answers": [asking.partition(way) for way in ways], "wording": asking.wording}
    keys = (
        "source",
        "destination",
        "port",
        "source_port",
        "protocol",
        "in_interface",
        "out_interface",
        "state",
    )
    asked = {key: how[key] for key in keys}
    answers = [asking.ask(Question(way=way, **asked)) for way in ways]
    return {"answers": answers, "wording": asking.wording}


def _matrices(case: "Case", how: dict[str, Any]) -> "list[Matrix]":
    from ruleflow.analysis.matrix import Matrices, passing

    protocol = how["protocol"] or "tcp"
    if protocol not in ("tcp", "udp"):
        raise RuleflowError(f"{protocol!r} has no ports", help="write --proto tcp or udp")
    side = passing(case.rules, case.most)
    found = Matrices(side, how["way"] or "FORWARD", unknown=how["unknown"], protocol=protocol)
    if how["ports"] == "all":
        return list(found.all_ports())
    ports = how["ports"].split(",")
    if not all(port.isdecimal() and int(port) < 65536 for port in ports):
        raise RuleflowError(f"{how['ports']!r} are no ports", help="write --service-matrix 22,80 or all")
    return list(found.ports([int(port) for port in ports]))


def _networks(case: "Case", given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The interfaces and their own networks: as said, else by the host's addresses; lo always."""
    nets: dict[str, tuple[str, ...]] = {"lo": ("127.0.0.0/8" if case.rules.family == 4 else "::1/128",)}
    for text in given:
        name, equals, net = text.partition("=")
        if not equals:
            raise RuleflowError(f"{text!r} names no network", help="write --net eth1=10.0.0.0/8")
        nets[name] = (*nets.get(name, ()), net)
    if case.host is not None and not given:
        for link in case.host.interfaces:
            own = tuple(str(address) for address in link.addresses if address.family == case.rules.family)
            if own and link.name != "lo":
                nets[link.name] = own
    return nets


def _walk_witnesses(case: "Case", packets: list[str]) -> None:
    from ruleflow import cli
    from ruleflow.netfilter.packet import Packet
    from ruleflow.netfilter.walk import walk
    from ruleflow.views.text import Paper
    from ruleflow.views.walk_text import walk_lines

    for words in packets:
        found = walk(case.rules if case.host is None else case.host, Packet.parse(words))
        cli.write(
            "\n"
            + "".join(
                f"{line}\n"
                for line in walk_lines(found, case.rules, Paper(*cli.paper_for("auto")), detail="matches")
            )
        )


COMMANDS = (lint, rule, expectations, reach)
