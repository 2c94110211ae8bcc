"""Which chains of a rule set somebody wants to see: a table, a chain with what it calls, what is around a chain."""

from collections import defaultdict

import msgspec

from ruleflow.analysis.merged import Tables
from ruleflow.errors import ReadError, visible
from ruleflow.ruleset.ir import Goto, Jump

Key = tuple[str, str]
"""A table's name and a chain's."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """``level`` is hooks, chains or rules; ``chain`` with what it calls, ``depth`` calls deep; ``focus`` with
    ``up`` callers and ``down`` calls around it; ``hide_empty`` leaves out chains without rules; ``fold`` lets
    one box stand for chains that look alike.
    """

    level: str = "chains"
    table: str | None = None
    chain: str | None = None
    depth: int | None = None
    focus: str | None = None
    up: int = 1
    down: int = 2
    hide_empty: bool = False
    fold: bool = True


def select(tables: Tables, wanted: Wanted) -> dict[Key, None]:
    """The chains to draw, in the order of the dump. Raises `ReadError` for a name that is not there."""
    if wanted.table is not None and wanted.table not in tables:
        raise ReadError(
            f"there is no table {visible(wanted.table)!r}", help=f"there are: {', '.join(tables)}"
        )
    keys = [(t, c) for t, chains in tables.items() for c in chains if wanted.table in (None, t)]
    for name, up, down in ((wanted.chain, 0, wanted.depth), (wanted.focus, wanted.up, wanted.down)):
        if name is not None:
            near = _near(tables, keys, name, up, down)
            keys = [key for key in keys if key in near]
    if wanted.hide_empty:
        keys = [key for key in keys if not _silent(tables, key)]
    return dict.fromkeys(keys)


def _silent(tables: Tables, key: Key) -> bool:
    """Whether it has no rules and lets everything pass."""
    chain = tables[key[0]][key[1]]
    return not chain.entries and chain.policy != "DROP" and not chain.mark and not chain.was


def _near(tables: Tables, keys: list[Key], name: str, up: int, down: int | None) -> set[Key]:
    roots = {key for key in keys if key[1] == name}
    if not roots:
        places = ", ".join(sorted({visible(chain) for _, chain in keys})[:12])
        raise ReadError(f"there is no chain {visible(name)!r}", help=f"there are: {places}")
    calls: dict[Key, set[Key]] = defaultdict(set)
    callers: dict[Key, set[Key]] = defaultdict(set)
    for table, chain in keys:
        for entry in tables[table][chain].entries:
            if isinstance(entry.rule.target, Jump | Goto):
                calls[table, chain].add((table, entry.rule.target.chain))
                callers[table, entry.rule.target.chain].add((table, chain))
    return _reached(roots, calls, down) | _reached(roots, callers, up)


def _reached(roots: set[Key], steps: dict[Key, set[Key]], most: int | None) -> set[Key]:
    found, edge, level = set(roots), set(roots), 0
    while edge and (most is None or level < most):
        edge = {to for key in edge for to in steps[key]} - found
        found |= edge
        level += 1
    return found
