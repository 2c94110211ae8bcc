"""Edits that are proved to change no packet's way: rules that never match or change nothing, taken out together.

Each is tried on the rule set as the edits before it left it; what is then needed stays. Then neighbours that one rule
can stand for are put together.
"""

from collections.abc import Iterable, Iterator, Sequence

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
    if not keys:
        return set()
    hit = case.reached(table).hit
    gone: set[Key] = set()
    trial = Without(case.side, case.rules[table])
    for some in ([key for key in keys if key not in hit], sorted(keys.keys() & hit, reverse=True)):
        kept.extend(keys[key] for key in _take(trial, gone, some))
    taken.extend(keys[key] for key in gone)
    return gone


def _take(trial: Without, gone: set[Key], some: Sequence[Key]) -> Iterator[Key]:
    """Put into ``gone`` those that can go beside it: all at once, else each half for itself; the rest is given back."""
    if not some:
        return
    if trial.same(gone.union(some)):
        gone.update(some)
    elif len(some) == 1:
        yield some[0]
    else:
        middle = len(some) // 2
        yield from _take(trial, gone, some[:middle])
        yield from _take(trial, gone, some[middle:])
