"""A rule as a line of a picture: its kind, its word, who it is about and what it does, and a tooltip that explains."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ruleflow.analysis import sentences
from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.merged import Entry, Merged
from ruleflow.analysis.outline import Line
from ruleflow.ruleset.effect import Back, Continue, CopyBits, Effects, Log, Rewrite, SetBits, SetUnknown, Stop
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule

SHOWN = 4
"""Rules that decide are shown one by one up to this many; more are counted by kind."""
MOST = 200
"""Lines shown of one chain, however many rules it has."""
MOST_IN_ALL = 2000
"""Lines shown in one picture: more cannot be read, and 2 MB hold no more."""

Why = Mapping[tuple[str, str, int], Claim]


def kind(rule: Rule, table: str) -> str:
    """What sort of line the rule is (the kinds of `Line`)."""
    target = rule.target
    match target:
        case None:
            return "count"
        case Jump():
            return "jump"
        case Goto():
            return "goto"
        case Opaque():
            return "unknown"
    return _by_effects(target.effects(), table)


_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "QUEUE": "queue"}


def _by_effects(effects: Effects, table: str) -> str:
    if any(isinstance(change, Rewrite) for change in effects.changes):
        return "rewrite"
    match effects.then:
        case Stop(verdict="ACCEPT") if table not in ("filter", "security"):
            return "mark" if effects.changes else "pass"
        case Stop(verdict=verdict):
            return _VERDICTS.get(verdict.partition(" ")[0], "unknown")
        case Back():
            return "return"
        case Continue():
            return _going_on(effects)
    return "unknown"


def _going_on(effects: Effects) -> str:
    if any(isinstance(change, SetBits | CopyBits | SetUnknown) for change in effects.changes):
        return "mark"
    return "log" if any(isinstance(change, Log) for change in effects.changes) else "count"


def word(rule: Rule) -> str:
    """The target's own name, as it is written in the rule."""
    target = rule.target
    if target is None:
        return "count"
    if isinstance(target, Jump | Goto):
        return target.chain
    return target.name or "?"


class Lines:
    """Makes lines: ``hooks`` are those from which chains are reached, ``why`` the claims about rules by place."""

    def __init__(self, hooks: Mapping[str, Mapping[str, frozenset[str]]], why: Why) -> None:
        self.hooks, self.why = hooks, why

    def line(self, chain: Merged, entry: Entry, calls: str | None = None, mark: str = "") -> Line:
        """The line of one rule."""
        rule = entry.rule
        who = sentences.who(rule)[0]
        does = sentences.does(
            rule, chain.table, self.hooks.get(chain.table, {}).get(chain.name, frozenset()), chain.policy
        )[0]
        sort = kind(rule, chain.table)
        plain = sort in ("accept", "drop", "jump", "goto", "return", "count")
        return Line(
            kind=sort, word=word(rule), text=who if plain else f"{who}: {does}", calls=calls,
            tooltip=self._tooltip(rule, entry, who, does), ref=entry.ref, mark=entry.mark or mark,
            packets=rule.counters.packets if rule.counters is not None else None,
        )  # fmt: skip

    def _tooltip(self, rule: Rule, entry: Entry, who: str, does: str) -> str:
        parts = [f"{entry.ref}: {who} — {does}."]
        parts += [f"Comment: {text}" for text in sentences.comments(rule)]
        claim = self.why.get((entry.ref.table, entry.ref.chain, entry.ref.index))
        parts += [f"{claim.purpose}: {claim.reason}" if claim.purpose else claim.reason] if claim else []
        if rule.counters is not None and rule.counters.packets:
            parts.append(f"{rule.counters.packets:,} packets, {rule.counters.bytes:,} bytes.")
        return " ".join(parts)


def summed(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines of a chain whose called chains are drawn beside it: few one by one, many counted by kind.

    Marked lines stay as they are.
    """
    telling = [line for line in lines if line.kind not in ("jump", "goto") or line.mark]
    if len([line for line in telling if not line.mark]) <= SHOWN:
        yield from telling
        return
    counts = Counter((line.kind, line.word) for line in telling if not line.mark)
    done: set[tuple[str, str]] = set()
    for line in telling:
        key = line.kind, line.word
        if line.mark:
            yield line
        elif key not in done:
            done.add(key)
            yield _several(
                line, counts[key], [one for one in telling if not one.mark and (one.kind, one.word) == key]
            )


def _several(line: Line, count: int, group: list[Line]) -> Line:
    if count == 1:
        return line
    seen = [one.packets for one in group if one.packets is not None]
    return msgspec.structs.replace(
        line, text=f"{count:,} rules", ref=None, packets=sum(seen) if seen else None,
        tooltip=f"{count:,} rules, the first: {line.tooltip}",
    )  # fmt: skip


def share(lengths: Iterable[int]) -> int:
    """How many lines each chain may show so that all together show at most `MOST_IN_ALL`.

    >>> share([5000, 3, 10]), share([150] * 100)
    (200, 20)
    """
    sizes = list(lengths)
    most = MOST
    while most > 1 and sum(min(size, most) for size in sizes) > MOST_IN_ALL:
        most -= max(1, most // 10)
    return most


def cut(lines: list[Line], most: int = MOST) -> list[Line]:
    """At most ``most`` lines; marked ones are kept, and the last line says how many are left out."""
    if len(lines) <= most:
        return lines
    kept = [line for index, line in enumerate(lines) if index < most or line.mark]
    left = len(lines) - len(kept)
    return [*kept, Line(kind="more", word="…", text=f"and {left:,} more rules")] if left else kept
