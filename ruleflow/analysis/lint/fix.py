"""Edits that are proved to change no packet's way: rules that never match or change nothing, taken out together.

Each is tried on the rule set as the edits before it left it; what is then needed stays.
"""

from collections.abc import Iterable

import msgspec

from ruleflow.analysis.findings import Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.tried import Key
from ruleflow.analysis.lint.without import Without


class Fixed(msgspec.Struct, frozen=True):
    """``text`` without the lines ``taken`` (from 1); ``kept`` are lines that are needed once others are gone."""

    text: str
    taken: tuple[int, ...]
    kept: tuple[int, ...] = ()


def fix(cases: Iterable[Case], findings: Iterable[Finding], text: str) -> Fixed:
    """Take out the lines of ``findings`` that may go. ``cases`` are the rule sets of ``text``."""
    wanted = [one for one in findings if one.edit is not None and one.edit.new is None]
    taken: list[int] = []
    kept: list[int] = []
    for case in cases:
        for table in case.rules:
            _table(case, table.name, wanted, taken, kept)
    gone = set(taken)
    lines = text.split("\n")
    left = "\n".join(line for number, line in enumerate(lines, 1) if number not in gone)
    return Fixed(left, tuple(sorted(taken)), tuple(sorted(set(kept))))


def _table(case: Case, table: str, wanted: list[Finding], taken: list[int], kept: list[int]) -> None:
    keys = {
        (ref.chain, ref.index - 1): one.primary.line
        for one in wanted
        if (ref := one.primary.ref) is not None
        and ref.table == table
        and case.rules[table][ref.chain].rules[ref.index - 1].line == one.primary.line
    }
    reached = case.reached(table) if keys else None
    dead = [key for key in keys if reached is not None and key not in reached.hit]
    gone: set[Key] = set(dead)
    if dead and not Without(case.side, case.rules[table]).same(dead):
        gone.clear()
        kept.extend(keys[key] for key in dead)
    taken.extend(keys[key] for key in gone)
    for key in sorted(keys.keys() - set(dead), reverse=True):
        if Without(case.side, case.rules[table], gone).same([key]):
            gone.add(key)
            taken.append(keys[key])
        else:
            kept.append(keys[key])
