"""Readers and printers made for what repeats: one for each outline of a part, one for each extension.

They say nothing new. A reader asks the same value types in the same order as `Extension.read`, a printer
the same rows as `Extension.show`; only the loop over the rows is written out once, as Python source. An
extension that overrides `read`, `check` or `show` keeps its own. benchmarks/bench_fmt.py shows the gain,
tests/ruleset/test_compiled.py that both ways give the same.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ruleflow.ruleset.extension import UNSET, Extension, Match, Option, Target
from ruleflow.ruleset.values import Not

MEMO = 8192
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


Given = tuple[Option, bool, tuple[int, ...]]
"""An option on a line: its row, whether ``!`` stands before it, the places of its words."""


def maker(cls: type[Extension], options: Sequence[Given], family: int) -> Callable[[tuple[str, ...]], Any] | None:
    """A function from a part's words to its value, or None where the extension reads in its own way.

    ``options`` give places within those words. It is made from an outline that `Extension.read` has taken
    before, so what depends on the outline alone (mandatory, exclusive and doubled options) is checked.
    """
    if _own(cls, "read") or _own(cls, "check"):
        return None
    by_attr = {row.attr: (row, negated, places) for row, negated, places in options}
    blank = _blank(cls)
    if len(by_attr) != len(options) or blank is None:
        return None
    names: dict[str, Any] = {"cls": cls}
    arguments = []
    for attr in cls.__struct_fields__:
        if attr not in by_attr:
            names[f"blank_{attr}"] = getattr(blank, attr)
            arguments.append(f"blank_{attr}")
            continue
        row, negated, places = by_attr[attr]
        if getattr(blank, attr) is not None or len(places) != row.type.words:
            return None
        names[f"read_{attr}"] = _value_memo(row, negated, family)
        key = "()" if not places else f"w[{places[0]}]" if len(places) == 1 else f"w[{places[0]}:{places[-1] + 1}]"
        arguments.append(f"read_{attr}[{key}]")
    code = f"lambda w: cls({', '.join(arguments)})"
    return eval(code, names)  # type: ignore[no-any-return] # noqa: S307 - the source is attribute names and numbers alone


def _own(cls: type[Extension], method: str) -> bool:
    """Whether a class has its own form of a class method."""
    return getattr(cls, method).__func__ is not getattr(Extension, method).__func__


@functools.cache
def _blank(cls: type[Extension]) -> Extension | None:
    try:
        return cls()
    except TypeError:  # an attribute without a default: the options' values alone make it
        return None


class Slot(NamedTuple):
    """A part of a line: its memo, and the words that it owns, a slice where they stand together."""

    memo: Memo
    start: int
    stop: int
    owned: tuple[int, ...]

    def key(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The part's own words."""
        return words[self.start : self.stop] if self.start >= 0 else tuple([words[i] for i in self.owned])

    def source(self) -> str:
        """`key` as Python source."""
        if self.start >= 0:
            return f"w[{self.start}:{self.stop}]"
        return f"({''.join(f'w[{i}],' for i in self.owned)})"


def builder(
    make: Any, chain: int, slots: Sequence[Slot], target: Slot | None, nothing: object
) -> Callable[[tuple[str, ...], int | None], Any]:
    """A function from a line's words and number to its rule, made by ``make``.

    ``nothing`` is what the memo of the first part gives where that part matches everything.
    """
    names: dict[str, Any] = {"make": make, "nothing": nothing}
    lines = ["def build(w, number):\n"]
    for number, slot in enumerate(slots):
        names[f"m{number}"] = slot.memo
        lines.append(f"    p{number} = m{number}[{slot.source()}]\n")
    lines.append(f"    t = mt[{target.source()}]\n" if target else "    t = None\n")
    names["mt"] = target.memo if target else None
    parts = [f"p{number}," for number in range(len(slots))]
    if slots:
        lines.append(f"    if p0 is nothing: return make(w[{chain}], ({''.join(parts[1:])}), t, None, number)\n")
    lines.append(f"    return make(w[{chain}], ({''.join(parts)}), t, None, number)\n")
    exec("".join(lines), names)  # noqa: S102 - the source is made of numbers alone
    return names["build"]  # type: ignore[no-any-return]


@functools.cache
def _value_memo(row: Option, negated: bool, family: int) -> Memo:  # noqa: FBT001
    """A row's words (one as a text, several as a tuple) to its value; what is not printed becomes None."""
    hidden, single = row.hidden, row.type.words == 1

    def make(key: Any) -> Any:
        value = row.read((key,) if single else key, family, negated=negated)
        return None if hidden is not UNSET and value == hidden else value

    return Memo(make)


@functools.cache
def printer(cls: type[Any]) -> Callable[[Any], str]:
    """A function that prints a match or target of this class as ``str`` does."""
    if not issubclass(cls, Extension) or cls.show is not Extension.show or cls.__str__ not in (Match.__str__, Target.__str__):
        return str
    head = f"{'-m' if issubclass(cls, Match) else '-j'} {cls.name}" if cls.name else ""
    lines = [f"def show(x):\n    t = {head!r}\n"]
    names: dict[str, Any] = {}
    for row in cls.rows():
        if row.shown:
            names[f"show_{row.attr}"] = _text_memo(row)
            lines.append(f"    v = x.{row.attr}\n    if v is not None: t += show_{row.attr}[v]\n")
    lines.append("    return t\n" if cls.name else "    return t[1:]\n")
    exec("".join(lines), names)  # noqa: S102 - the source is made of attribute names and one literal
    return names["show"]  # type: ignore[no-any-return]


@functools.cache
def _text_memo(row: Option) -> Memo:
    show, hidden = row.show, row.hidden
    return Memo(lambda value: "" if hidden is not UNSET and value == hidden else f" {show(value)}")
