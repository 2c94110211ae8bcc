"""Edits that are proved to change no packet's way: rules that never match or change nothing, taken out together.

Each is tried on the rule set as the edits before it left it; what is then needed stays. Then neighbours that one rule
can stand for are put together.
"""

from collections.abc import Iterable

import msgspec

from ruleflow.analysis.findings import Finding
from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.merge import Merge, merges
from ruleflow.analysis.lint.tried import Key
from ruleflow.analysis.lint.without import Without


class Fixed(msgspec.Struct, frozen=True):
    """``text`` without the lines ``taken`` (from 1); ``kept`` are lines that are needed once others are gone.

    ``merged`` are neighbours put together.
    """

    text: str
    taken: tuple[int, ...]
    kept: tuple[int, ...] = ()
    merged: tuple[Merge, ...] = ()


def fix(cases: Iterable[Case], findings: Iterable[Finding], text: str, *, merging: bool = True) -> Fixed:
    """Take out the lines of ``findings`` that may go, and put neighbours together. ``cases`` are the rule sets of ``text``."""
    wanted = [one for one in findings if one.edit is not None and one.edit.new is None]
    taken: list[int] = []
    kept: list[int] = []
    merged: list[Merge] = []
    for case in cases:
        for table in case.rules:
            gone = _table(case, table.name, wanted, taken, kept)
            if merging:
                merged.extend(merges(case, table.name, frozenset(gone)))
    return Fixed(_edited(text, taken, merged), tuple(sorted(taken)), tuple(sorted(set(kept))), tuple(merged))


def _edited(text: str, taken: Iterable[int], merged: Iterable[Merge]) -> str:
    gone = {*taken, *(line for merge in merged for line in merge.lines)}
    new = {merge.lines[0]: merge.new for merge in merged}
    found: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        ending = "\r" if line.endswith("\r") else ""
        found.extend(f"{one}{ending}" for one in new.get(number, ()))
        if number not in gone:
            found.append(line)
    return "\n".join(found)


def _table(case: Case, table: str, wanted: list[Finding], taken: list[int], kept: list[int]) -> set[Key]:
    """The rules of a table that go."""
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
    return gone
