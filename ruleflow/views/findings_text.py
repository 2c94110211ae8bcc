"""Findings for people: with the lines they are about, marked, as a compiler shows them; or one line each."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from ruleflow.analysis.findings import Code, Finding, Mark, Report
from ruleflow.errors import visible

_WIDTH = 160
_REMARKS = 3
"""Remarks of one kind that are shown before they are only counted."""
_STYLES = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}


def full(report: Report, *, color: bool = False, everything: bool = True) -> Iterator[str]:
    """Each finding with its lines, proof and advice; then the sum. Without ``everything`` few remarks of a kind."""
    left: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for finding in report.findings:
        shown[finding.code] += 1
        if not everything and finding.severity == "info" and shown[finding.code] > _REMARKS:
            left[finding.code] += 1
            continue
        yield from _one(finding, report, color)
        yield ""
    for code, number in left.items():
        yield f"+ {_counted(number, 'more remark')} of the kind {code}   --all shows them"
        yield ""
    yield summary(report)


def concise(report: Report) -> Iterator[str]:
    """``file:line:column: CODE text``, as editors read it."""
    for one in report.findings:
        place = one.primary
        at = f"{place.line}:{place.column}" if place.line else "0:0"
        yield visible(f"{place.source or report.source}:{at}: {one.code} {one.message}")


def summary(report: Report) -> str:
    """How many of each severity, in how many rules, and how many can be fixed."""
    warnings, errors, infos = (report.count(severity) for severity in ("warning", "error", "info"))
    fixable = sum(one.edit is not None for one in report.findings)
    told = f"{_counted(warnings, 'warning')}, {_counted(errors, 'error')}"
    more = f", {_counted(infos, 'remark')}" if infos else ""
    silent = f" {report.silenced} silenced." if report.silenced else ""
    return f"{told}{more} in {_counted(report.rules, 'rule')}. {fixable} can be fixed with --fix.{silent}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _one(finding: Finding, report: Report, color: bool) -> Iterator[str]:
    head = f"{finding.severity}[{finding.code}]"
    yield f"{_painted(head, _STYLES[finding.severity], color)}: {visible(finding.message)}"
    place = finding.primary
    where = f":{place.line}:{place.column}" if place.line else ""
    yield f"  --> {visible(place.source or report.source)}{where}"
    marks = sorted(
        [*(m for m in finding.others if m.line), *([place] if place.line else [])], key=lambda mark: mark.line
    )
    yield from _excerpt(marks, finding, report)
    for mark in (m for m in finding.others if not m.line):
        yield f"   = note: {visible(f'{mark.ref}: {mark.label}' if mark.ref else mark.label)}"
    for note in finding.notes:
        yield f"   = {visible(note)}"
    if not any(note.startswith("proof") for note in finding.notes):
        yield f"   = strength: {visible(finding.strength)}"
    if finding.help:
        yield f"   = help: {visible(finding.help)}"
    yield f"   = more: ruleflow rule {finding.code}"


def _excerpt(marks: list[Mark], finding: Finding, report: Report) -> Iterator[str]:
    shown = [mark for mark in marks if not mark.source and 0 < mark.line <= len(report.lines)]
    if not shown:
        return
    margin = len(str(shown[-1].line))
    yield f"{' ' * margin} |"
    last = None
    for mark in shown:
        if last is not None and mark.line > last + 1:
            yield f"{' ' * margin} :"
        last = mark.line
        line = report.lines[mark.line - 1]
        yield f"{mark.line:>{margin}} | {visible(line[:_WIDTH])}{'...' if len(line) > _WIDTH else ''}"
        before = len(visible(line[: mark.column - 1]))
        width = max(
            1, min(len(visible(line[mark.column - 1 : mark.column - 1 + mark.width])), _WIDTH - before)
        )
        sign = "^" if mark is finding.primary else "-"
        yield f"{' ' * margin} | {' ' * before}{sign * width} {visible(mark.label)}".rstrip()


def _painted(text: str, style: str, color: bool) -> str:
    codes = {"bold red": "1;31", "bold yellow": "1;33", "bold cyan": "1;36"}
    return f"\x1b[{codes[style]}m{text}\x1b[0m" if color else text


def code_list(codes: Iterable[Code]) -> Iterator[str]:
    """All codes, one a line."""
    for code in sorted(codes, key=lambda one: one.code):
        yield f"{code.code}  {code.severity:<8} {code.name}"


def code_lines(code: Code) -> Iterator[str]:
    """One code explained."""
    yield f"{code.code}: {code.name} ({code.severity})"
    for head, text in (("What", code.what), ("Why", code.why)):
        yield ""
        yield head
        yield from textwrap.wrap(text, 100, initial_indent="  ", subsequent_indent="  ")
    for head, text in (("Before", code.before), ("After", code.after)):
        if text:
            yield ""
            yield head
            yield from (f"  {line}" for line in text.split("\n"))
    yield ""
    yield "How to silence it"
    yield f'  one rule      -m comment --comment "ruleflow:ignore={code.code}"'
    yield f"  by pattern    in ruleflow.yaml beside the dump:  ignore: [{{code: {code.code}, chain: INPUT, rule: 'text in the rule'}}]"
    yield "  what is old   ruleflow lint DUMP --write-baseline FILE, then --baseline FILE"
    yield f"  everywhere    --ignore {code.code}"
