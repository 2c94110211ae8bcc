"""What a report is made of, gathered: the explanation, the picture, the host, who reaches whom, the classes of packets."""

from typing import Any

from ruleflow.analysis.classes import packet_classes
from ruleflow.analysis.explain import explain_ruleset
from ruleflow.analysis.outlining import outline
from ruleflow.analysis.plan import plan
from ruleflow.analysis.report import Report
from ruleflow.analysis.selection import Wanted
from ruleflow.analysis.subject import Subject
from ruleflow.errors import RuleflowError
from ruleflow.netfilter.connect import Connection, connect_all
from ruleflow.netfilter.endpoints import everybody
from ruleflow.netfilter.idd import TooManyError
from ruleflow.netfilter.world import World

_MOST = 600
"""Connections tried for the matrix; a larger one is left out."""

_MOST_LINTED = 1000


def gathered(subject: Subject, *, fold: bool = True) -> Report:
    """Everything about a rule set that a page can show."""
    told = explain_ruleset(subject.rules, subject.source)
    drawn = outline(subject.rules, Wanted(fold=fold), ends=subject.ends, source=subject.source)
    world, family = subject.world, subject.rules.family
    return Report(
        name=subject.source, told=told, outline=drawn, source=subject.text, classes=_classes(subject),
        findings=_findings(subject),
        plan=plan(world, family, subject.source) if world else None, matrix=_matrix(world, family) if world else (),
    )  # fmt: skip


def _findings(subject: Subject) -> tuple[tuple[str, str, str, int | None], ...]:
    """What `ruleflow lint` finds, the gravest first; of large rule sets that takes too long for a page."""
    if sum(1 for _ in subject.rules.rules()) > _MOST_LINTED:
        return ()
    from ruleflow.analysis.lint import lint
    from ruleflow.analysis.lint.case import Case

    host = subject.world.main if subject.world is not None else None
    case = Case(
        subject.rules, subject.source, tuple(subject.text.split("\n")), host=host, most=_MOST_DIAGRAMS
    )
    try:
        found = lint(case)
    except TooManyError:  # rules that nobody can decide, in too many combinations for a page
        return ()
    graver = sorted(
        found, key=lambda one: _GRAVE.index(one.severity) if one.severity in _GRAVE else len(_GRAVE)
    )
    return tuple((one.code, one.severity, one.message, one.primary.line) for one in graver[:200])


_MOST_DIAGRAMS = 400_000
"""What lint may make of a rule set for a page: some seconds' work."""
_GRAVE = ("error", "warning", "info")


def _classes(subject: Subject) -> dict[str, Any] | None:
    try:
        return packet_classes(subject.machine)
    except (
        RuleflowError
    ):  # too many classes; or chains that call each other in a circle, which no kernel would load
        return None


def _matrix(world: World, family: int) -> tuple[Connection, ...]:
    targets = tuple(target for target in everybody(world) if (":" in target[0]) == (family == 6))
    if not targets or len(targets) * len(world.hosts) > _MOST:
        return ()
    return tuple(connect_all(world, targets))
