"""Text on a terminal: columns, wrapping, the sixteen ANSI colours, and the explanation of a rule set.

Text from a dump is somebody else's: every cell goes through `visible`, and no markup language is spoken.
Into a pipe nothing is wrapped, so that ``grep`` finds whole sentences.
"""

import textwrap
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.explanation import (
    ChainSaid,
    Claim,
    Explained,
    Explanation,
    HostPart,
    Phrase,
    Reasons,
    RuleSaid,
)
from ruleflow.analysis.spans import Spans
from ruleflow.errors import visible
from ruleflow.ruleset.ir import RuleRef

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "magenta": "35", "cyan": "36"}
_COLOURS = (
    ("let ", "green"), ("accept", "green"), ("drop", "red"), ("refuse", "magenta"), ("see ", "cyan"),
    ("go to ", "cyan"), ("back to", "cyan"), ("rewrite", "yellow"), ("masquerade", "yellow"), ("mark", "yellow"),
)  # fmt: skip
_STEP = 4
"""How far a called chain stands in from its caller."""
_DEEPEST = 6
"""Calls shown one inside the other; deeper ones stand by themselves below."""


class Paper(msgspec.Struct):
    """What is written on: ``width`` in columns (None: a pipe, nothing is wrapped), and whether in colour."""

    width: int | None = None
    colour: bool = False

    def paint(self, text: str, style: str | None) -> str:
        """``text`` in a style of `_CODES`; the text itself never carries one."""
        if not self.colour or style is None or not text:
            return text
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m"

    def wrap(self, text: str, indent: int, hang: int = 0) -> Iterator[str]:
        """``text`` in lines that begin ``indent`` columns in, later ones ``hang`` further."""
        if self.width is None:
            yield " " * indent + text
            return
        room = max(24, self.width - indent)
        lines = textwrap.wrap(
            text, room, subsequent_indent=" " * hang, break_on_hyphens=False, drop_whitespace=True
        ) or [""]
        yield from (" " * indent + line for line in lines)


def explanation(told: Explanation, paper: Paper, sources: dict[str, Spans] | None = None) -> Iterator[str]:
    """The lines of an explanation. ``sources``: the texts it is about, by name, if their lines are to be shown too."""
    parts = [list(_host_part(part, paper)) for part in told.host]
    parts += [list(_Page(one, paper, (sources or {}).get(one.source)).lines()) for one in told.rulesets]
    for index, lines in enumerate(parts):
        if index:
            yield ""
        yield from lines


def _host_part(part: HostPart, paper: Paper) -> Iterator[str]:
    about = f"   {visible(part.about)}" if part.about else ""
    first, *rest = paper.wrap(visible(part.title) + about, 0, 4)
    yield first.replace(part.title, paper.paint(part.title, "bold"), 1)
    yield from rest
    column = min(26, max((len(visible(line.what)) for line in part.lines), default=0) + 4)
    for line in part.lines:
        head = f"  {visible(line.what)}"
        if len(head) >= column:
            yield head
            head = ""
        first, *rest = paper.wrap(visible(line.says), column, 2)
        yield head.ljust(column) + first[column:]
        yield from rest


class _Page:
    """One rule set on paper."""

    def __init__(self, told: Explained, paper: Paper, spans: Spans | None) -> None:
        self.told, self.paper, self.spans = told, paper, spans
        self.chains = {(chain.table, chain.name): chain for chain in told.chains}
        self.shown: set[tuple[str, str]] = set()
        self.reasons = Reasons()

    def lines(self) -> Iterator[str]:
        told = self.told
        yield self.paper.paint(visible(f"{told.source}: {told.counts} (IPv{told.family})"), "bold")
        if told.short:
            yield ""
            yield self.paper.paint("In short", "bold")
            for part in told.short:
                yield from self._beside(visible(part.where), part.lines, 23)
        for key, chain in self.chains.items():
            if key not in self.shown and chain.policy is not None:
                yield ""
                yield from self._chain(chain, 0, None)
        for key, chain in self.chains.items():
            if key not in self.shown and chain.rules:
                yield ""
                yield from self._chain(chain, 0, None)
        if told.notes:
            yield ""
            yield self.paper.paint("Also", "bold")
            for note in told.notes:
                yield from self.paper.wrap(visible(note), 2, 2)

    def _beside(self, head: str, lines: tuple[str, ...], column: int) -> Iterator[str]:
        """A head, and lines that hang at ``column``."""
        lead = f"  {head}".ljust(column - 1) + " "
        for line in lines:
            first, *rest = self.paper.wrap(visible(line), column, 2 + len(line) - len(line.lstrip()))
            yield lead + first[column:]
            yield from rest
            lead = " " * column

    # -- chains -----------------------------------------------------------------------------------------

    def _chain(self, chain: ChainSaid, indent: int, caller: RuleSaid | None) -> Iterator[str]:
        self.shown.add((chain.table, chain.name))
        yield from self._heading(chain, indent, caller)
        rows = [self._row(chain, rule) for rule in chain.rules]
        rest = _rest(chain)
        columns = _columns([*rows, *rest], self.paper.width, indent)
        for rule, row in zip(chain.rules, rows, strict=True):
            yield from self._set(row, columns, indent)
            yield from self._below(rule, indent)
        for row in rest:
            yield from self._set(row, columns, indent)
            if chain.rest_why is not None:
                yield from self._why(chain.rest_why, chain.rest_why.about[0], indent + 5)

    def _heading(self, chain: ChainSaid, indent: int, caller: RuleSaid | None) -> Iterator[str]:
        name = visible(f"{chain.table} {chain.name}")
        parts = [] if caller is not None and len(chain.callers) == 1 else [chain.about]
        if caller is not None and len(chain.callers) == 1 and "; " in chain.about:
            parts = [chain.about.partition("; ")[2]]
        parts += [chain.owner] if chain.owner else []
        about = "; ".join(visible(part) for part in parts if part)
        text = f"{name}   {about}" if about else name
        first, *rest = self.paper.wrap(text, indent, 4)
        yield first.replace(name, self.paper.paint(name, "bold"), 1)
        yield from rest

    def _row(self, chain: ChainSaid, rule: RuleSaid) -> "_Row":
        place = f"line {rule.ref.line}" if rule.ref.line is not None else ""
        count = ""
        if rule.counters is not None:
            count = f"{rule.counters.packets:,} packet{'' if rule.counters.packets == 1 else 's'}"
        does = rule.does
        called = self.chains.get((chain.table, rule.calls)) if rule.calls is not None else None
        if called is not None and not called.rules:
            does += " (empty)"
        elif called is not None and (called.table, called.name) in self.shown:
            does += " (see above)"
        return _Row(str(rule.ref.index), visible(rule.who), visible(does), place, count)

    def _set(self, row: "_Row", columns: tuple[int, int, int], indent: int) -> Iterator[str]:
        number, who, does = columns
        whos = self._cell(row.who, who)
        doing = self._cell(row.does, does)
        for index in range(max(len(whos), len(doing))):
            left = whos[index] if index < len(whos) else ""
            middle = doing[index] if index < len(doing) else ""
            head = (row.number if index == 0 else "").rjust(number)
            tail = f"  {row.place}" + (f"  {row.count}" if row.count else "") if index == 0 else ""
            space = " " * max(0, does - len(middle)) if tail.strip() else ""
            line = f"{' ' * indent}{head}  {left.ljust(who)}  {self.paper.paint(middle, _colour(row.does))}{space}"
            yield (line + self.paper.paint(tail, "dim")).rstrip()

    def _cell(self, text: str, width: int) -> list[str]:
        if self.paper.width is None:
            return [text]
        return textwrap.wrap(text, width, break_on_hyphens=False) or [""]

    # -- below a rule -----------------------------------------------------------------------------------

    def _below(self, rule: RuleSaid, indent: int) -> Iterator[str]:
        inner = indent + 5
        for comment in rule.comments:
            yield from self.paper.wrap(f'"{visible(comment)}"', inner, 1)
        if rule.note:
            yield from self.paper.wrap(visible(rule.note), inner, 2)
        if self.spans is not None:
            yield from self._source(rule, inner)
        if rule.why is not None:
            yield from self._why(rule.why, rule.ref, inner)
        called = self.chains.get((rule.ref.table, rule.calls)) if rule.calls is not None else None
        if called is None or not called.rules:
            return
        if (called.table, called.name) not in self.shown and indent < _STEP * _DEEPEST:
            yield from self._chain(called, indent + _STEP, rule)

    def _why(self, claim: Claim, ref: RuleRef, indent: int) -> Iterator[str]:
        first, *rest = self.paper.wrap(visible(self.reasons.say(claim, ref)), indent + 5)
        yield (
            " " * indent
            + self.paper.paint("why", "cyan")
            + "  "
            + self.paper.paint(first[indent + 5 :], "dim")
        )
        yield from (self.paper.paint(line, "dim") for line in rest)

    def _source(self, rule: RuleSaid, indent: int) -> Iterator[str]:
        """The rule's line, and below it each phrase under the words that say it."""
        assert self.spans is not None
        if rule.ref.line is None:
            return
        margin = len(str(rule.ref.line))
        text = self.spans.line(rule.ref.line)
        yield f"{' ' * indent}{rule.ref.line} | {visible(text)}"
        for phrase in (*rule.who_phrases, *rule.does_phrases):
            carets = _carets(phrase, text)
            if carets:
                yield f"{' ' * indent}{' ' * margin} | {self.paper.paint(carets, 'yellow')} {visible(phrase.text)}"


class _Row(msgspec.Struct):
    """The cells of one line."""

    number: str
    who: str
    does: str
    place: str
    count: str = ""


def _rest(chain: ChainSaid) -> list[_Row]:
    """The line for what no rule decides, where there is such."""
    if not chain.rest:
        return []
    place = f"policy, line {chain.line}" if chain.line else "policy"
    return [_Row("-", "everything else" if chain.rules else "everything", chain.rest, place)]


def _columns(rows: list[_Row], width: int | None, indent: int) -> tuple[int, int, int]:
    """Widths of number, who and what: as wide as needed, but what is too long for the paper wraps."""
    number = max([3, *(len(row.number) + 1 for row in rows)])
    who = max((len(row.who) for row in rows), default=20)
    does = max((len(row.does) for row in rows), default=10)
    if width is None:
        return number, min(who, 56), min(does, 32)
    place = max((len(row.place) + len(row.count) + 4 for row in rows), default=10)
    room = max(30, width - indent - number - place - 3)
    longest = max((len(word) for row in rows for word in row.does.split()), default=10)
    does = min(does, max(14, room * 2 // 5, min(longest, room // 2)))
    return number, min(who, room - does), does


def _colour(does: str) -> str | None:
    return next((colour for start, colour in _COLOURS if does.startswith(start)), None)


def _carets(phrase: Phrase, text: str) -> str:
    if phrase.span is None:
        return ""
    _, first, end = phrase.span
    before, under = visible(text[: first - 1]), visible(text[first - 1 : end - 1])
    return " " * len(before) + "^" * max(1, len(under))
