"""A rule line as a `Rule`: one outline for every sequence of word kinds, values read and remembered.

The lexer and lark see only the *kinds* of a line's words, so their answer (the outline: whose option each
word is) holds for every line of the same kinds. It is made once and kept as a plan. Values repeat too, so
a match once read is shared by all rules that have it. This is what brings 50,000 rules near the time that
iptables-restore takes, while lark stays the definition of the language (figures: benchmarks/).
"""

import functools
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import msgspec

from ruleflow.ruleset import words as quoting
from ruleflow.ruleset.extension import Match, Registry, Target, registry
from ruleflow.ruleset.ir import Counters, Goto, Jump, Opaque, Rule
from ruleflow.ruleset.lexer import COMMANDS, Group, Lexer, Misplaced, Token
from ruleflow.ruleset.protocols import NUMBERS
from ruleflow.ruleset.values import CommaList, Unreadable

_MEMO = 8192
"""How many values are remembered; unbounded memos were slower (trial: see benchmarks/)."""


class Line(msgspec.Struct):
    """What a line of a table says: a command, its chain, and a rule where it has one."""

    command: str
    chain: str = ""
    rule: Rule | None = None
    number: int | None = None
    word: str = ""
    """The policy of POLICY, the new name of RENAME."""


class Plan(msgspec.Struct):
    """How lines of one kind sequence are read: which words belong to which part."""

    command: str
    chain: int | None
    number: int | None
    word: int | None
    counters: int | None
    given: tuple[int, int] | None
    parts: tuple["Part", ...]
    target: "Part | None"
    unknown: tuple[tuple[int, str], ...]
    words: tuple[str, ...] | None
    """The words as respelled, where they are not those of the line."""
    picky: bool = False
    """Whether an extension of it cannot stand in every rule."""


class Part(msgspec.Struct):
    """One match or target of the plan: the words it owns, in a slice where they stand together."""

    kind: str
    cls: Any
    name: str
    owned: tuple[int, ...]
    options: tuple[tuple[Any, bool, tuple[int, ...]], ...]
    start: int = -1
    stop: int = -1

    def key(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """What the part is remembered by: its own words, and its name where no ``-m name`` is among them."""
        return (f"\0{self.name}", *[words[i] for i in self.owned])


class Reader:
    """Reads the rule lines of one family."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.registry: Registry = registry(family)
        self.kinds: dict[str, str] = _kinds(self.registry)
        self.plans: dict[tuple[str | None, ...], Plan] = {}
        self.memo: dict[tuple[str, ...], Any] = {}
        self.warnings: list[tuple[int, str]] = []
        """What the last line held that is not known: word index and message."""

    def read(self, line: str, number: int | None = None) -> tuple[Line, ...]:
        """What a line says; several where its addresses are a list. Raises `Misplaced` and `UnclosedQuoteError`."""
        words = quoting.split(line)
        plan = self.plans.get(tuple(map(self.kinds.get, words))) or self._plan(words)
        self.warnings = list(plan.unknown)
        try:
            return (self._line(plan, plan.words or words, line, number),)
        except CommaList:
            return tuple(self._several(plan, plan.words or words, line, number))

    # -- plans ----------------------------------------------------------------------------------------

    def _plan(self, words: tuple[str, ...]) -> Plan:
        lexer = Lexer(words, self.registry, self.registry.matches[""])
        try:
            tokens = lexer.run()
        except Misplaced as error:
            place = min(error.index, len(lexer.places) - 1)
            raise Misplaced(
                error.message, lexer.places[place] if lexer.places else 0, error.help, error.unknown
            ) from None
        from ruleflow.ruleset import grammar

        grammar.check(tokens)
        plan = _outline(lexer, tokens)
        if lexer.exact:
            self.plans[tuple(map(self.kinds.get, words))] = plan
        else:
            plan.words = tuple(lexer.words)
        return plan

    # -- lines ----------------------------------------------------------------------------------------

    def _line(self, plan: Plan, words: tuple[str, ...], line: str, number: int | None) -> Line:
        chain = words[plan.chain] if plan.chain is not None else ""
        position = int(words[plan.number]) if plan.number is not None else None
        if plan.command in ("NEW", "FLUSH", "REMOVE", "ZERO", "POLICY", "RENAME"):
            return Line(plan.command, chain, None, position, words[plan.word] if plan.word is not None else "")
        memo = self.memo
        matches = []
        for part in plan.parts:
            key = words[part.start : part.stop] if part.start >= 0 else part.key(words)
            match = memo.get(key)
            if match is None:
                match = self._remember(key, part, words, line)
            if match is not _NOTHING:
                matches.append(match)
        target: Any = None
        if plan.target is not None:
            part = plan.target
            key = words[part.start : part.stop] if part.start >= 0 else part.key(words)
            target = memo.get(key)
            if target is None:
                target = self._remember(key, part, words, line)
        if plan.picky:
            _check_fit(plan, matches, target)
        counters = _counters(plan, words) if plan.counters is not None or plan.given else None
        return Line(plan.command, chain, Rule(chain, tuple(matches), target, counters, number), position)

    def _remember(self, key: tuple[str, ...], part: Part, words: tuple[str, ...], line: str) -> Any:
        value = self._make(part, words, line)
        if part.kind != "opaque":
            if len(self.memo) >= _MEMO:
                self.memo.clear()
            self.memo[key] = value
        return value

    def _make(self, part: Part, words: tuple[str, ...], line: str) -> Any:
        if part.kind == "opaque":
            return Opaque(_source(part, words, line), part.name)
        if part.kind == "goto":
            return Goto(part.name or words[part.owned[1]])
        if part.cls is None:
            return Jump(words[part.owned[1]])
        given = [(row, negated, tuple([words[i] for i in places])) for row, negated, places in part.options]
        value = _read(part, given, self.family)
        if part.kind == "header" and not any(True for _ in value.given()):
            return _NOTHING
        return value

    def _several(
        self, plan: Plan, words: tuple[str, ...], line: str, number: int | None
    ) -> Iterator[Line]:
        """``-s a,b -d c,d`` is four rules, sources outermost (`add_entry`, iptables.c)."""
        header = next(part for part in plan.parts if part.kind == "header")
        lists = {places[0]: row for row, _, places in header.options if row.attr in ("source", "destination")}
        for place, row in lists.items():
            negated = any(n for r, n, p in header.options if p and p[0] == place and r is row)
            if negated and "," in words[place]:
                raise Misplaced(f"! {row.flag} cannot stand before several addresses", place, "write one rule for each")
        order = sorted(lists, key=lambda place: lists[place].attr != "source")
        for chosen in product(*[words[place].split(",") for place in order]):
            single = list(words)
            for place, word in zip(order, chosen, strict=True):
                single[place] = word.strip()
            yield self._line(plan, tuple(single), line, number)


_NOTHING = object()


def _kinds(extensions: Registry) -> dict[str, str]:
    """Every word that can be structure, to itself: what is not here can only be a value or a name."""
    header = extensions.matches[""].options()
    fixed = "! -m --match -j --jump -g --goto -c --set-counters -v -n -x -w --wait --verbose --numeric --exact --line-numbers"
    every = {
        *COMMANDS, *fixed.split(), *header, *extensions.matches, *extensions.targets, *extensions.flags, *NUMBERS,
        *map(str, NUMBERS.values()),
    }  # fmt: skip
    return {word: word for word in every}


def _outline(lexer: Lexer, tokens: Sequence[Token]) -> Plan:
    by_kind: dict[str, int] = {}
    for token in tokens:
        by_kind.setdefault(token.kind, token.index)
    command = next(token for token in tokens if token.kind in COMMANDS.values())
    names = [token.index for token in tokens if token.kind == "NAME" and token.group == 0 and token.row is None]
    given = by_kind.get("SET_COUNTERS")
    parts = [part for number, group in enumerate(lexer.groups) if (part := _part(group, number, lexer))]
    targets = [part for part in parts if part.kind in ("jump", "goto", "target")]
    return Plan(
        command=command.kind,
        chain=names[0] if names else None,
        number=by_kind.get("NUMBER"),
        word=names[1] if len(names) > 1 else None,
        counters=by_kind.get("COUNTERS") if command.kind != "POLICY" else None,
        given=(given + 1, given + 2) if given is not None else None,
        parts=tuple(part for part in parts if part not in targets and not _is_target(part, lexer)),
        target=next((part for part in parts if part in targets or _is_target(part, lexer)), None),
        unknown=tuple((lexer.places[index], message) for index, message in lexer.unknown),
        words=None,
        picky=any(part.cls is not None and part.cls.picky for part in parts),
    )


def _check_fit(plan: Plan, matches: Sequence[Any], target: Any) -> None:
    """Refuse an extension beside matches that it cannot stand beside. Raises `Misplaced`."""
    protocol = next((match.protocol_number for match in matches if getattr(match, "name", None) == ""), None)
    for value in (*matches, target):
        why = value.misfit(protocol, matches) if getattr(value, "picky", False) else None
        if why is not None:
            part = next(part for part in (*plan.parts, plan.target) if part and part.cls is type(value))
            raise Misplaced(why, part.owned[0])


def _is_target(part: Part, lexer: Lexer) -> bool:
    return part.kind == "opaque" and lexer.words[part.owned[0]] in ("-j", "--jump")


def _part(group: Group, number: int, lexer: Lexer) -> Part | None:
    if not group.words:
        return None
    owned = tuple(sorted(group.words))
    kind = _part_kind(group, number, lexer.words[owned[0]])
    part = Part(kind, group.cls, group.name, owned, tuple([option[:3] for option in group.options]))
    if owned == tuple(range(owned[0], owned[-1] + 1)) and (number == 0 or kind in ("jump", "goto", "target") or lexer.words[owned[0]] in ("-m", "--match")):
        part.start, part.stop = owned[0], owned[-1] + 1
    if kind == "goto":
        part.name = ""
    return part


def _part_kind(group: Group, number: int, first: str) -> str:
    if number == 0:
        return "header"
    if group.cls is None:
        if first in ("-g", "--goto"):
            return "goto"
        return "jump" if first in ("-j", "--jump") and len(group.words) == 2 else "opaque"
    return "target" if issubclass(group.cls, Target) else "match"


def _read(part: Part, given: Sequence[Any], family: int) -> Any:
    """The match or target of a part. Raises `Misplaced` at the word that is wrong."""
    cls: type[Match] = part.cls
    try:
        return cls.read(given, family)
    except CommaList:
        raise
    except Unreadable as error:
        raise Misplaced(_named(part, error.message), _wrong_word(part, given, family), error.help) from None


def _named(part: Part, message: str) -> str:
    return message


def _wrong_word(part: Part, given: Sequence[Any], family: int) -> int:
    for (row, _, words), (_, _, places) in zip(given, part.options, strict=True):
        try:
            row.type.read(words, family)
        except (Unreadable, CommaList):
            return places[0] if places else part.owned[0]
    return part.owned[0]


def _counters(plan: Plan, words: tuple[str, ...]) -> Counters:
    if plan.given is not None:
        texts = words[plan.given[0]], words[plan.given[1]]
        place = plan.given[0]
    else:
        place = plan.counters or 0
        packets, _, count = words[place].strip("[]").partition(":")
        texts = packets, count
    try:
        return Counters(int(texts[0]), int(texts[1]))
    except ValueError:
        raise Misplaced(f"{words[place]!r} are no counters", place, "write them as [packets:bytes]") from None


def _source(part: Part, words: tuple[str, ...], line: str) -> str:
    """The words of an opaque part as they stood on the line, quotes included."""
    if quoting.plain(line):
        return " ".join([words[i] for i in part.owned])
    located = quoting.locate(line)
    if len(located) != len(words):
        return " ".join([quoting.quote(words[i]) if " " in words[i] else words[i] for i in part.owned])
    return line[located[part.owned[0]].column - 1 : located[part.owned[-1]].end - 1]


@functools.cache
def reader(family: int) -> Reader:
    """The reader of a family's rule lines, with what it has learned so far."""
    return Reader(family)


