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
from ruleflow.ruleset.accepted import accepted
from ruleflow.ruleset.addresses import CommaList
from ruleflow.ruleset.advice import template
from ruleflow.ruleset.compiled import Express, Given, Memo, Piece, express
from ruleflow.ruleset.extension import Target
from ruleflow.ruleset.ir import Counters, Goto, Jump, Opaque, Rule
from ruleflow.ruleset.lexer import COMMANDS, Group, Lexer, Misplaced, OtherFamily, Token
from ruleflow.ruleset.matches.header import Header
from ruleflow.ruleset.registry import Registry, registry
from ruleflow.ruleset.values import Unreadable

_WORTH = 32
"""After how many lines a plan is written out as a function: making it costs as much as reading some ten."""


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
    picky: tuple[int, ...]
    """The parts that cannot stand in every rule (-1: the target)."""
    fits: bool
    """Whether one rule that fits shows that all of these kinds do."""
    uses: int = 0
    express: Express | None = None
    following: "Plan | None" = None
    """The plan of the line that came after the last line of this one: a good guess."""


class Part(msgspec.Struct):
    """One match or target of the plan: the words that it owns, and how they are read."""

    kind: str
    cls: Any
    name: str
    options: tuple[Given, ...]
    """Places among the part's own words."""
    owned: tuple[int, ...]
    """Places of its own words on the line."""
    memo: Memo
    """From its own words to its value."""


class Reader:
    """Reads the rule lines of one family."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.registry: Registry = registry(family)
        self.kinds: dict[str, str] = _kinds(self.registry)
        self.plans: dict[tuple[str | None, ...], Plan] = {}
        self.memos: dict[tuple[Any, ...], Memo] = {}
        self.warnings: list[tuple[int, str]] = []
        """What the last line held that is not known: word index and message."""
        self.last: Plan | None = None

    def run(self, lines: Sequence[str], at: int, chains: dict[str, list[Rule]]) -> int:
        """Read rules from ``lines[at]`` on into ``chains``; gives the index of the first line it leaves to `read`.

        This is where a large dump spends its time. The plan of the line that came after the last line of
        this kind is tried first: one regular expression says whether it holds, and gives the values.
        """
        last = self.last
        plan: Plan | None
        count = len(lines)
        while at < count:
            line = lines[at]
            plan = last.following if last is not None else None
            way = plan.express if plan is not None else None
            found = way.match(line) if way is not None else None
            if found is None and last is not None and last.express is not None and plan is not last:
                plan, way = last, last.express  # one of another kind stood between
                found = way.match(line)
            if found is not None:
                groups = found.groups()
            else:
                plan = self._find(line)
                if plan is None:
                    break
                if last is not None:
                    last.following = plan
                way = plan.express
                if way is None:
                    last = plan
                    break
                words = quoting.split(line)
                groups = tuple([words[i] for i in way.places])
            at += 1
            try:
                rule = way.build(groups, at)  # type: ignore[union-attr]
                chains[rule.chain].append(rule)
            except (Unreadable, CommaList, KeyError):  # `read` says what is wrong, and where
                at -= 1
                break
            last = plan
        self.last = last
        return at

    def _find(self, line: str) -> Plan | None:
        """The plan of a rule line of known kinds."""
        if line[:2] != "-A" and line[:1] != "[":
            return None
        try:
            words = quoting.split(line)
        except quoting.UnclosedQuoteError:
            return None
        return self.plans.get(tuple(map(self.kinds.get, words)))

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
        except OtherFamily:
            raise
        except Misplaced as error:
            place = min(error.index, len(lexer.places) - 1)
            raise Misplaced(
                error.message, lexer.places[place] if lexer.places else 0, error.help, error.unknown
            ) from None
        kinds = " ".join([token.kind for token in tokens])
        if kinds not in accepted():
            from ruleflow.ruleset import grammar

            grammar.check(tokens)
            accepted().add(kinds)
        plan = self._outline(lexer, tokens)
        if lexer.exact:
            self.plans[tuple(map(self.kinds.get, words))] = plan
        else:
            plan.words = tuple(lexer.words)
        return plan

    def _outline(self, lexer: Lexer, tokens: Sequence[Token]) -> Plan:
        by_kind: dict[str, int] = {}
        for token in tokens:
            by_kind.setdefault(token.kind, token.index)
        command = next(token for token in tokens if token.kind in COMMANDS.values())
        names = [
            token.index for token in tokens if token.kind == "NAME" and token.group == 0 and token.row is None
        ]
        given = by_kind.get("SET_COUNTERS")
        parts = [self._part(group, number, lexer) for number, group in enumerate(lexer.groups) if group.words]
        target = next((part for part in parts if _is_target(part, lexer)), None)
        matches = tuple(part for part in parts if part is not target)
        picky = [number for number, part in enumerate(matches) if part.cls is not None and part.cls.picky]
        if target is not None and target.cls is not None and target.cls.picky:
            picky.append(-1)
        return Plan(
            command=command.kind,
            chain=names[0] if names else None,
            number=by_kind.get("NUMBER"),
            word=names[1] if len(names) > 1 else None,
            counters=by_kind.get("COUNTERS") if command.kind != "POLICY" else None,
            given=(given + 1, given + 2) if given is not None else None,
            parts=matches,
            target=target,
            unknown=tuple((lexer.places[index], message) for index, message in lexer.unknown),
            words=None,
            picky=tuple(picky),
            fits=not any(
                part.cls.misfit_by_value for part in parts if part.cls is not None and part.cls.picky
            ),
        )

    def _part(self, group: Group, number: int, lexer: Lexer) -> Part:
        owned = tuple(sorted(group.words))
        kind = _part_kind(group, number, lexer.words[owned[0]])
        place = {index: position for position, index in enumerate(owned)}
        options = tuple(
            (row, negated, tuple([place[i] for i in places])) for row, negated, places, _ in group.options
        )
        known = (kind, group.cls, tuple((id(row), negated, places) for row, negated, places in options))
        memo = self.memos.get(known)
        part = Part(kind, group.cls, group.name, options, owned, memo if memo is not None else Memo(str))
        if memo is None:
            part.memo = self.memos[known] = Memo(lambda words: self._make(part, words))
        return part

    # -- lines ----------------------------------------------------------------------------------------

    def _line(self, plan: Plan, words: tuple[str, ...], line: str, number: int | None) -> Line:
        chain = words[plan.chain] if plan.chain is not None else ""
        position = int(words[plan.number]) if plan.number is not None else None
        if plan.command in ("NEW", "FLUSH", "REMOVE", "ZERO", "POLICY", "RENAME"):
            return Line(
                plan.command, chain, None, position, words[plan.word] if plan.word is not None else ""
            )
        matches = [self._value(part, words, line) for part in plan.parts]
        target = self._value(plan.target, words, line) if plan.target is not None else None
        if matches and matches[0] is _NOTHING:
            del matches[0]
        if plan.picky:
            _check_fit(plan, matches, target)
        counters = _counters(plan, words) if plan.counters is not None or plan.given else None
        plan.uses += 1
        if plan.uses == _WORTH and plan.command == "APPEND":
            self._compile(plan, words, line)
        return Line(plan.command, chain, Rule(chain, tuple(matches), target, counters, number), position)

    def _value(self, part: Part, words: tuple[str, ...], line: str) -> Any:
        if part.kind == "opaque":
            return Opaque(_source(part, words, line), part.name)
        try:
            return part.memo[tuple([words[i] for i in part.owned])]
        except Unreadable as error:
            place = _wrong_word(part, tuple([words[i] for i in part.owned]), self.family)
            help_ = template(words[part.owned[place]]) or error.help
            raise Misplaced(error.message, part.owned[place], help_) from None

    def _make(self, part: Part, words: tuple[str, ...]) -> Any:
        """The value of a part from its own words. Raises `Unreadable`."""
        if part.cls is None and len(words[1].split()) != 1:
            raise Unreadable(f"{words[1]!r} is no name of a chain", "it has no blanks in it")
        if part.kind == "goto":
            return Goto(words[1])
        if part.cls is None:
            return Jump(words[1])
        given = [(row, negated, tuple([words[i] for i in places])) for row, negated, places in part.options]
        value = part.cls.read(given, self.family)
        return _NOTHING if part.kind == "header" and value == _EMPTY else value

    def _compile(self, plan: Plan, words: tuple[str, ...], line: str) -> None:
        """Make the express way of a plan; see `ruleflow.ruleset.compiled`."""
        parts = [*plan.parts, *([plan.target] if plan.target else [])]
        if (
            plan.words
            or plan.chain is None
            or plan.counters is not None
            or plan.given
            or any(p.kind == "opaque" for p in parts)
        ):
            return
        pieces = [
            Piece(part.kind, part.cls, _on_line(part), part.owned, functools.partial(self._make, part))
            for part in parts
        ]
        target = pieces.pop() if plan.target else None
        names = frozenset(self.registry.targets)
        picky = () if plan.fits else plan.picky  # where the kinds alone decide, this line has shown it
        try:
            plan.express = express(
                line, words, self.kinds.get, plan.chain, pieces, target, Rule, names, self.family, picky
            )
        except Unreadable:  # a value that stands in every line of this kind is read in a way of its own
            plan.express = None

    def _several(self, plan: Plan, words: tuple[str, ...], line: str, number: int | None) -> Iterator[Line]:
        """``-s a,b -d c,d`` is four rules, sources outermost (`add_entry`, iptables.c)."""
        header = next(part for part in plan.parts if part.kind == "header")
        owned = header.owned
        given = [(row, negated, owned[places[0]]) for row, negated, places in header.options if places]
        lists = {place: row for row, _, place in given if row.attr in ("source", "destination")}
        for row, negated, place in given:
            if negated and place in lists and "," in words[place]:
                raise Misplaced(
                    f"! {row.flag} cannot stand before several addresses", place, "write one rule for each"
                )
        order = sorted(lists, key=lambda place: lists[place].attr != "source")
        for chosen in product(*[words[place].split(",") for place in order]):
            single = list(words)
            for place, word in zip(order, chosen, strict=True):
                single[place] = word.strip()
            yield self._line(plan, tuple(single), line, number)


_NOTHING = object()
"""Stands for a header that matches everything, and so is no match of the rule."""
_EMPTY = Header()


def _kinds(extensions: Registry) -> dict[str, str]:
    """Every word that can be structure, to itself: what is not here can only be a value or a name."""
    header = extensions.matches[""].options()
    fixed = (
        "! -m --match -j --jump -g --goto -c --set-counters -v -n -x -w --wait --verbose --numeric --exact --line-numbers "
        "-4 --ipv4 -6 --ipv6 -W --wait-interval -M --modprobe"
    )
    every = {
        *COMMANDS, *fixed.split(), *header, *extensions.matches, *extensions.targets, *extensions.flags,
        *extensions.protocol_words,
    }  # fmt: skip
    return {word: word for word in every}


def _check_fit(plan: Plan, matches: Sequence[Any], target: Any) -> None:
    """Refuse an extension beside matches that it cannot stand beside. Raises `Misplaced`."""
    first = matches[0] if matches else None
    protocol = first.protocol_number if type(first) is Header else None
    shift = len(matches) - len(plan.parts)  # a header that matches everything is not among the matches
    for number in plan.picky:
        why = (target if number < 0 else matches[number + shift]).misfit(protocol, matches)
        if why is not None:
            part = plan.target if number < 0 else plan.parts[number]
            assert part is not None
            raise Misplaced(why, part.owned[0])


def _on_line(part: Part) -> tuple[Given, ...]:
    """A part's options with the places of their words on the line."""
    return tuple(
        (row, negated, tuple([part.owned[i] for i in places])) for row, negated, places in part.options
    )


def _is_target(part: Part, lexer: Lexer) -> bool:
    return part.kind in ("jump", "goto", "target") or (
        part.kind == "opaque" and lexer.words[part.owned[0]] in ("-j", "--jump")
    )


def _part_kind(group: Group, number: int, first: str) -> str:
    if number == 0:
        return "header"
    if group.cls is None:
        if first in ("-g", "--goto"):
            return "goto"
        return "jump" if first in ("-j", "--jump") and len(group.words) == 2 else "opaque"
    return "target" if issubclass(group.cls, Target) else "match"


def _wrong_word(part: Part, words: tuple[str, ...], family: int) -> int:
    """The place among a part's words of the one that cannot be read; the first where it is no single one."""
    for row, negated, places in part.options:
        try:
            row.read([words[i] for i in places], family, negated=negated)
        except (Unreadable, CommaList):
            return places[0] if places else 0
    return 0


def _counters(plan: Plan, words: tuple[str, ...]) -> Counters:
    if plan.given is not None:
        texts = words[plan.given[0]], words[plan.given[1]]
        place = plan.given[0]
    else:
        place = plan.counters or 0
        packets, _, count = words[place].strip("[]").partition(":")
        texts = (
            packets,
            count or "0" if ":" in words[place] else "",
        )  # `[5:]` is read (tokenize_rule_counters)
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
