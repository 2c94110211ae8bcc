"""What is wrong, useless or dangerous in a rule set: one module for each family of findings."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from ruleflow.analysis.findings import Code, Finding, Report, in_order
from ruleflow.analysis.lint import (
    conflicts,
    correctness,
    exposure,
    hygiene,
    interplay,
    performance,
    reading,
    redundant,
    unreachable,
)
from ruleflow.analysis.lint.case import Case

_Check = Callable[[Case], Iterator[Finding]]
FAMILIES: tuple[tuple[tuple[Code, ...], _Check], ...] = (
    (reading.CODES, reading.check),
    (correctness.CODES, correctness.check),
    (unreachable.CODES, unreachable.check),
    (redundant.CODES, redundant.check),
    (exposure.CODES, exposure.check),
    (interplay.CODES, interplay.check),
    (performance.CODES, performance.check),
    (hygiene.CODES, hygiene.check),
)
ON_REQUEST: tuple[tuple[tuple[Code, ...], _Check], ...] = ((conflicts.CODES, conflicts.check),)
"""Remarks about what is mostly meant so: they would drown the others."""
CODES: dict[str, Code] = {code.code: code for codes, _ in (*FAMILIES, *ON_REQUEST) for code in codes}


def lint(case: Case, *, conflicts: bool = False) -> tuple[Finding, ...]:
    """All findings about one rule set, by line; with ``conflicts`` those on request, too.

    Where chains run in a circle, only that and what the reader noticed.
    """
    circles = tuple(correctness.check_loops(case))
    if circles:
        return in_order((*reading.check(case), *circles))
    families = (*FAMILIES, *ON_REQUEST) if conflicts else FAMILIES
    return in_order(finding for _, check in families for finding in check(case))


def reported(
    cases: Iterable[Case],
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    conflicts: bool = False,
) -> tuple[Report, ...]:
    """A report for each case, with the codes (or families: RF2) ``select`` only, without those of ``ignore``.

    ``conflicts``, or a code of them in ``select``, asks for those on request.
    """
    asked = conflicts or any(code.code in select for codes, _ in ON_REQUEST for code in codes)
    return tuple(
        Report(
            case.source,
            tuple(one for one in lint(case, conflicts=asked) if _wanted(one.code, select, ignore)),
            sum(len(chain.rules) for table in case.rules for chain in table),
            case.lines,
        )
        for case in cases
    )


def _wanted(code: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    return (not select or code.startswith(tuple(select))) and not (ignore and code.startswith(tuple(ignore)))
