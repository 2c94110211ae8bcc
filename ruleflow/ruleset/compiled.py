"""Readers and printers made for what repeats: one for each kind of line, one for each extension.

They say nothing new. A line's reader asks the same value types as `Extension.read`, a printer the same rows
as `Extension.show`; only the loops over words and rows are written out once, as Python source made of
attribute names and numbers. An extension that overrides `read`, `check` or `show` keeps its own.
benchmarks/bench_fmt.py shows the gain, tests/ruleset/test_compiled.py that both ways give the same.
"""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ruleflow.ruleset.addresses import Network
from ruleflow.ruleset.extension import UNSET, Extension, Match, Option, Target
from ruleflow.ruleset.values import Interface, Not, Unreadable, ValueType

MEMO = 32768
"""How many values a memo holds; unbounded ones were slower (trial: bench_fmt)."""


class Memo(dict[Any, Any]):
    """What ``make`` gives for a key, remembered; emptied when it is full."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self.make = make

    def __missing__(self, key: Any) -> Any:
        value = self.make(key)
        if len(self) >= MEMO:
            self.clear()
        self[key] = value
        return value


class Other(Unreadable):
    """The line is not what its kind's reader was made for: it must be read word by word."""


Given = tuple[Option, bool, tuple[int, ...]]
"""An option on a line: its row, whether ``!`` stands before it, the places of its words."""


class Piece(NamedTuple):
    """A part of a line as its reader sees it: its class, options and own words, each by its place on the line."""

    kind: str
    cls: Any
    options: tuple[Given, ...]
    owned: tuple[int, ...]
    slow: Callable[[tuple[str, ...]], Any]
    """Reads it from its own words."""


class Express(NamedTuple):
    """The way for lines of one kind: ``match`` takes a whole line, ``build`` its groups and number to a rule."""

    match: Callable[[str], "re.Match[str] | None"]
    build: Callable[[tuple[str, ...], int | None], Any]
    places: tuple[int, ...]
    """Which word each group is."""


class _Source:
    """The source of one line's reader in the making."""

    def __init__(
        self, words: tuple[str, ...], groups: dict[int, int], family: int, *, remembers: bool = True
    ) -> None:
        self.words, self.groups, self.family, self.remembers = words, groups, family, remembers
        self.names: dict[str, Any] = {"Other": Other}

    def name(self, value: Any) -> str:
        name = f"n{len(self.names)}"
        self.names[name] = value
        return name

    def part(self, piece: Piece) -> str:
        """An expression for a part: a constant, a call of its class, or a look into its memo."""
        varying = [self.groups[place] for place in piece.owned if place in self.groups]
        if not varying:
            return self.name(piece.slow(tuple([self.words[place] for place in piece.owned])))
        if piece.cls is None:
            maker = self.name(type(piece.slow(tuple([self.words[place] for place in piece.owned]))))
            return f"{maker}(g[{varying[0]}])"
        if piece.kind == "header" and (direct := self.direct(piece)):
            return direct
        fixed = [None if place in self.groups else self.words[place] for place in piece.owned]
        make = self.maker(piece) or (lambda key: piece.slow(_filled(fixed, key)))
        return f"{self.name(Memo(make))}[{_key(varying)}]"

    def maker(self, piece: Piece) -> Callable[[Any], Any] | None:
        """A function from a part's groups (one as a text, several as a tuple) to its value."""
        varying = [place for place in piece.owned if place in self.groups]
        renamed = {place: number for number, place in enumerate(varying)}
        inner = _Source(
            self.words, renamed, self.family, remembers=False
        )  # the part as a whole is remembered
        direct = inner.direct(piece)
        if direct is None:
            return None
        if len(varying) == 1:
            direct = direct.replace("g[0]", "g")
        return eval(f"lambda g: {direct}", inner.names)  # type: ignore[no-any-return] # noqa: S307 - names and numbers alone

    def direct(self, piece: Piece) -> str | None:
        """A call of the class with each value read by its type, or None where it reads in its own way.

        The outline has been read before, so what depends on it alone (mandatory, exclusive and doubled
        options) is checked.
        """
        cls, blank = piece.cls, _blank(piece.cls)
        by_attr = {row.attr: (row, negated, places) for row, negated, places in piece.options}
        if blank is None or len(by_attr) != len(piece.options) or _own(cls, "read") or _own(cls, "check"):
            return None
        arguments = []
        for attr in cls.__struct_fields__:
            if attr not in by_attr:
                arguments.append("None" if getattr(blank, attr) is None else self.name(getattr(blank, attr)))
                continue
            row, negated, places = by_attr[attr]
            if getattr(blank, attr) is not None or len(places) != row.type.words:
                return None
            arguments.append(self.value(row, negated, places))
        return f"{self.name(cls)}({', '.join(arguments)})"

    def value(self, row: Option, negated: bool, places: tuple[int, ...]) -> str:
        """An expression for an option's value."""
        memo = _value_memo(row, negated, self.family)
        if not any(place in self.groups for place in places):
            words = tuple([self.words[place] for place in places])
            return self.name(memo[words[0] if len(words) == 1 else words])
        keys = [f"g[{self.groups[p]}]" if p in self.groups else repr(self.words[p]) for p in places]
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        if self.remembers or isinstance(row.type, Network):
            return f"{self.name(memo)}[{key}]"
        return f"{self.name(memo.make)}({key})"


def express(
    line: str, words: tuple[str, ...], known: Callable[[str], str | None], chain: int, pieces: Sequence[Piece],
    target: Piece | None, make: Any, names: frozenset[str], family: int, picky: Sequence[int],
) -> Express | None:  # fmt: skip
    """The reader of all lines that differ from ``line`` in values and names alone, or None where there is none.

    ``known`` tells structural words, ``names`` are those of targets, which a chain after ``-j`` must not have;
    ``picky`` are the pieces (-1: the target) whose `misfit` must be asked each time.
    """
    pattern, places = _pattern(line, words, known)
    if pattern is None:
        return None
    groups = {place: number for number, place in enumerate(places)}
    source = _Source(words, groups, family)
    body = ["def build(g, number):\n"]
    if target is not None and target.cls is None and target.kind == "jump" and target.owned[1] in groups:
        body.append(f"    if g[{groups[target.owned[1]]}] in {source.name(names)}: raise Other('')\n")
    parts = [source.part(piece) for piece in pieces]
    every = "".join(f"{part}, " for part in parts)
    last = source.part(target) if target is not None else "None"
    first = f"g[{groups[chain]}]" if chain in groups else repr(words[chain])
    if picky:
        body.append(f"    m = ({every})\n    t = {last}\n")
        protocol = "m[0].protocol_number" if pieces and pieces[0].kind == "header" else "None"
        for number in picky:
            value = "t" if number < 0 else f"m[{number}]"
            body.append(f"    if {value}.misfit({protocol}, m) is not None: raise Other('')\n")
        every, last = "*m", "t"
        body.append(f"    return {source.name(make)}({first}, m, t, None, number)\n")
    else:
        body.append(f"    return {source.name(make)}({first}, ({every}), {last}, None, number)\n")
    exec("".join(body), source.names)  # noqa: S102 - attribute names, numbers and literals by repr
    return Express(re.compile(pattern).fullmatch, source.names["build"], places)


def _pattern(
    line: str, words: tuple[str, ...], known: Callable[[str], str | None]
) -> tuple[str | None, tuple[int, ...]]:
    """A regular expression for lines of this kind, its groups the words that are no structure.

    A value that begins with a dash or ``!``, or is quoted where this line's is not, is left to the slower way.
    """
    parts: list[str] = []
    places: list[int] = []
    rest = line
    for place, word in enumerate(words):
        quoted = f'"{word}"'
        if known(word) is not None and rest.startswith(word):
            parts.append(re.escape(word))
            taken = word
        elif rest.startswith(quoted) and "\\" not in word and word:
            parts.append(r'"([^"\\]++)"')
            places.append(place)
            taken = quoted
        elif rest.startswith(word):
            parts.append(r'([^ \t"!\[-][^ \t"]*+)')
            places.append(place)
            taken = word
        else:
            return None, ()
        rest = rest[len(taken) :]
        if rest and (rest[0] != " " or rest[1:2] == " "):
            return None, ()
        rest = rest[1:]
    return (" ".join(parts), tuple(places)) if not rest else (None, ())


def _key(varying: Sequence[int]) -> str:
    if len(varying) == 1:
        return f"g[{varying[0]}]"
    if list(varying) == list(range(varying[0], varying[-1] + 1)):
        return f"g[{varying[0]}:{varying[-1] + 1}]"
    return f"({''.join(f'g[{number}],' for number in varying)})"


def _filled(fixed: Sequence[str | None], key: Any) -> tuple[str, ...]:
    """A part's words, with the groups of ``key`` where ``fixed`` has none."""
    given = iter((key,) if isinstance(key, str) else key)
    return tuple([next(given) if word is None else word for word in fixed])


def _own(cls: type[Extension], method: str) -> bool:
    """Whether a class has its own form of a class method."""
    return getattr(cls, method).__func__ is not getattr(Extension, method).__func__


@functools.cache
def _blank(cls: type[Extension]) -> Extension | None:
    try:
        return cls()
    except TypeError:  # an attribute without a default: the options' values alone make it
        return None


@functools.cache
def _value_memo(row: Option, negated: bool, family: int) -> Memo:
    """A row's words (one as a text, several as a tuple) to its value; what is not printed becomes None."""
    single = row.type.words == 1
    if single and not negated and row.means is UNSET and row.hidden is UNSET:
        return _word_memo(row.type, row.vacuous, family)

    def make(key: Any) -> Any:
        value = row.read((key,) if single else key, family, negated=negated)
        if value is None:
            raise Other("")
        return None if row.hidden is not UNSET and value == row.hidden else value

    return Memo(make)


@functools.cache
def _word_memo(type_: ValueType[Any], vacuous: Callable[[Any], bool] | None, family: int) -> Memo:
    """A word to its value: the plain case, one memo for all options of a type."""
    read = type_.read_word if type(type_).read is ValueType.read else lambda word, of: type_.read((word,), of)

    def make(word: str) -> Any:
        value = read(word, family)
        if vacuous is not None and vacuous(value):
            raise Other("")
        return value

    return Memo(make)


@functools.cache
def printer(cls: type[Any]) -> Callable[[Any], str]:
    """A function that prints a match or target of this class as ``str`` does."""
    if (
        not issubclass(cls, Extension)
        or cls.show is not Extension.show
        or cls.__str__ not in (Match.__str__, Target.__str__)
    ):
        return str
    head = f"{'-m' if issubclass(cls, Match) else '-j'} {cls.name}" if cls.name else ""
    lines = [f"def show(x):\n    t = {head!r}\n"]
    names: dict[str, Any] = {"Not": Not}
    lines.extend(_printed(row, names) for row in cls.rows() if row.shown)
    lines.append("    return t\n" if cls.name else "    return t[1:]\n")
    exec("".join(lines), names)  # noqa: S102 - the source is attribute names and one literal
    return names["show"]  # type: ignore[no-any-return]


def _printed(row: Option, names: dict[str, Any]) -> str:
    """The lines of a printer for one row."""
    names[f"hidden_{row.attr}"] = row.hidden
    names[f"show_{row.attr}"] = _text_memo(row.type) if isinstance(row.type, Network) else row.type.show
    unless = "" if row.hidden is UNSET else f" and v != hidden_{row.attr}"
    plain, negated = (
        (f" {row.flag} ", f" ! {row.flag} ") if row.type.words else (f" {row.flag}", f" ! {row.flag}")
    )
    call = (
        "[{}]" if isinstance(row.type, Network) else "({})"
    )  # to print an address costs more than to find it
    value, inner = (f" + show_{row.attr}{call.format(v)}" if row.type.words else "" for v in ("v", "v.value"))
    if isinstance(row.type, Interface):  # a name is its own text
        value, inner = " + v", " + v.value"
    return (
        f"    v = x.{row.attr}\n"
        f"    if v is not None{unless}:\n"
        f"        t += {negated!r}{inner} if type(v) is Not else {plain!r}{value}\n"
    )


@functools.cache
def _text_memo(type_: ValueType[Any]) -> Memo:
    """A value to its text, one memo for all options of a type."""
    return Memo(type_.show)
