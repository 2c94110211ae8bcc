"""What a match or target extension is: one class, whose option rows say how it is read, printed and said.

How to add a match, say ``-m colour --hue N[:N]``: write one class in a module of `ruleflow.ruleset.matches`

    class Colour(Match):
        # and a docstring that says what it asks
        name = "colour"
        hue: Annotated[Maybe[Range], option("--hue", type=NumberRange(0, 359), says="of hue {}")] = None

and its cases in ``tests/cases/colour.t``. The module is found by itself (ruleset/registry.py); nothing else is touched.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeAlias, TypeVar

import msgspec

from ruleflow.ruleset.condition import Condition, Decision, Facts, In, Undecided, decide
from ruleflow.ruleset.effect import CONTINUE, Effects, Fork
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.values import FLAG, AnyType, Not, Unreadable

T = TypeVar("T")
Maybe: TypeAlias = T | Not[T] | None
"""An option's value: absent, given, or given with ``!`` before it."""

UNSET = object()
"""Stands where None is a value."""


_MOST_REMEMBERED = 10_000
"""Values of an option whose conditions are kept: most rules ask what others ask, too."""


class Option:
    """One row: how an option is spelled, what its words mean, and which packet field it tests."""

    __slots__ = (
        "_conditions", "attr", "excludes", "field", "flags", "hidden", "into", "mandatory", "means", "negatable", "never", "says",
        "says_not", "shown", "type", "vacuous",
    )  # fmt: skip

    def __init__(self, flags: tuple[str, ...], type: AnyType, **settings: Any) -> None:  # noqa: A002
        self.flags, self.type = flags, type
        self.attr: str = ""
        self.field: Field | None = settings["field"]
        self.negatable: bool = settings["negatable"]
        self.says: str | None = settings["says"]
        self.says_not: str | None = settings["says_not"]
        self.hidden: object = settings["hidden"]
        self.mandatory: bool = settings["mandatory"]
        self.excludes: tuple[str, ...] = settings["excludes"]
        self.means: object = settings["means"]
        self.into: str | None = settings["into"]
        self.shown: bool = settings["shown"]
        self.vacuous: Callable[[Any], bool] | None = settings["vacuous"]
        self.never: str | None = settings["never"]
        self._conditions: dict[object, Condition] = {}

    @property
    def flag(self) -> str:
        """The spelling that iptables-save prints."""
        return self.flags[0]

    def read(self, words: Sequence[str], family: int, *, negated: bool) -> object:
        """The value that ``words`` give the option, or None where it says nothing. Raises `Unreadable`."""
        value: object = self.type.read(words, family)
        if self.means is not UNSET:
            value = self.means
        if self.vacuous is not None and self.vacuous(value):
            if not negated:
                return None
            if self.never is not None:
                raise Unreadable(self.never)
        return Not(value) if negated else value

    def show(self, value: object) -> str:
        """The option with its value, as iptables-save prints it."""
        negated = isinstance(value, Not)
        text = self.type.show(value.value if negated else value)  # type: ignore[attr-defined]
        bang = "! " if negated else ""
        return f"{bang}{self.flag} {text}" if text else f"{bang}{self.flag}"

    def say(self, value: object) -> str:
        """The option with its value in words, by the row's ``says`` and ``says_not``."""
        negated = isinstance(value, Not)
        words = self.type.say(value.value if negated else value)  # type: ignore[attr-defined]
        if not negated:
            return (self.says or f"{self.flag.lstrip('-').replace('-', ' ')} {{}}").format(words).strip()
        return (self.says_not or f"not {self.says or '{}'}").format(words).strip()

    def condition(self, value: object) -> Condition:
        """What the option asks of a packet; without a field (or a set) it is an `Undecided` condition."""
        found = self._conditions.get(value)
        if found is None:
            if len(self._conditions) > _MOST_REMEMBERED:
                self._conditions.clear()
            found = self._conditions[value] = self._condition(value)
        return found

    def _condition(self, value: object) -> Condition:
        negated = isinstance(value, Not)
        inner = value.value if negated else value  # type: ignore[attr-defined]
        values = self.type.values(inner) if self.field is not None else None
        if self.field is None or values is None:
            return Undecided(self.show(value), negated=negated)
        return In(self.field, values, negated, self.say(value))


def option(
    *flags: str,
    type: AnyType = FLAG,  # noqa: A002 - the column's natural name
    field: Field | None = None,
    negatable: bool = True,
    says: str | None = None,
    says_not: str | None = None,
    hidden: object = UNSET,
    mandatory: bool = False,
    excludes: tuple[str, ...] = (),
    means: object = UNSET,
    into: str | None = None,
    shown: bool = True,
    vacuous: Callable[[Any], bool] | None = None,
    never: str | None = None,
) -> Option:
    """A row of an extension's option table.

    ``flags`` are its spellings, the printed one first; ``type`` reads and prints its words; ``field`` is the
    packet field that its value is a set over; ``negatable``: ``!`` may stand before it; ``says`` and
    ``says_not`` are sentences with ``{}`` for the value; ``hidden`` is the value that is not printed;
    ``mandatory``: the extension cannot be without it; ``excludes``: attributes it cannot stand beside.
    A spelling that only sets another attribute gives its name as ``into`` and the value as ``means``
    (``--syn``). ``shown=False``: iptables-save never prints it. ``vacuous`` tells values that match
    everything, which the real tools do not even keep (``-s 0/0``, ``-i +``); ``never`` says why one of them
    cannot be negated.
    """
    return Option(
        flags, type, field=field, negatable=negatable, says=says, says_not=says_not, hidden=hidden,
        mandatory=mandatory, excludes=excludes, means=means, into=into, shown=shown, vacuous=vacuous,
        never=never,
    )  # fmt: skip


class Extension(msgspec.Struct, frozen=True, gc=False):
    """A match or target with its options. A subclass is found through its module's package."""

    name: ClassVar[str] = "\0"
    """What stands behind ``-m`` or ``-j``; a class without a name is no extension."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names under which it is loaded and printed canonically as ``name``."""
    families: ClassVar[tuple[int, ...]] = (4, 6)
    tables: ClassVar[tuple[str, ...]] = ()
    """The tables it may stand in; () means every one."""
    hooks: ClassVar[tuple[str, ...]] = ()
    """The built-in chains it may be reached from; () means every one of its tables."""
    picky: ClassVar[bool] = False
    """Whether it cannot stand in every rule: then `misfit` is asked."""
    misfit_by_value: ClassVar[bool] = True
    """Whether `misfit` looks at its own values or those of other matches, not at ``-p`` and what is there alone."""
    spellings: ClassVar[tuple[Option, ...]] = ()
    """Rows that are only spellings of other rows (``--syn``) and have no attribute."""

    @classmethod
    @functools.cache
    def rows(cls) -> tuple[Option, ...]:
        """The option rows in the order of printing, each knowing its attribute."""
        rows: list[Option] = []
        for base in reversed(cls.__mro__):
            for attr, annotation in inspect.get_annotations(base).items():
                for row in getattr(annotation, "__metadata__", ()):
                    if isinstance(row, Option):
                        row.attr = attr
                        rows.append(row)
        for row in cls.spellings:
            row.attr = row.into or ""
        return tuple(rows)

    @classmethod
    @functools.cache
    def options(cls) -> dict[str, Option]:
        """Every spelling of every option, to its row."""
        return {flag: row for row in (*cls.rows(), *cls.spellings) for flag in row.flags}

    @classmethod
    def read(cls, given: Sequence[tuple[Option, bool, tuple[str, ...]]], family: int) -> "Extension":
        """An instance from its options as written: row, negated, words. Raises `Unreadable`."""
        values: dict[str, object] = {}
        for row, negated, words in given:
            value = row.read(words, family, negated=negated)
            if value is None:
                continue
            values[row.attr] = cls.merge(row, values[row.attr], value) if row.attr in values else value
        cls.check(values, family)
        for row in cls.rows():  # what is not printed is not kept: rules that print the same are equal
            if row.hidden is not UNSET and values.get(row.attr, UNSET) == row.hidden:
                del values[row.attr]
        return cls(**values)

    @classmethod
    def merge(cls, row: Option, old: object, new: object) -> object:  # noqa: ARG003
        """What an option given twice means; by default it is refused. Raises `Unreadable`."""
        raise Unreadable(f"{row.flag} is given twice")

    @classmethod
    def check(cls, values: dict[str, object], family: int) -> None:  # noqa: ARG003
        """Refuse what the options cannot be together, or complete ``values``. Raises `Unreadable`."""
        for row in cls.rows():
            if row.mandatory and row.attr not in values:
                raise Unreadable(f"{cls.name} needs {row.flag}")
            if row.attr in values and row.excludes:
                clash = [other for other in row.excludes if other in values]
                if clash:
                    raise Unreadable(f"{row.flag} cannot stand beside {cls.row(clash[0]).flag}")

    def misfit(self, protocol: "Maybe[int]", matches: Sequence["Match"]) -> str | None:  # noqa: ARG002
        """Why the real tools refuse it beside ``-p protocol`` and the other ``matches``; None where they do not."""
        return None

    @classmethod
    def row(cls, attr: str) -> Option:
        """The row of an attribute."""
        return next(row for row in cls.rows() if row.attr == attr)

    def given(self) -> Iterator[tuple[Option, object]]:
        """The rows that have a value, with it, in the order of printing."""
        for row in self.rows():
            value = getattr(self, row.attr)
            if value is not None:
                yield row, value

    def show(self) -> str:
        """The options as iptables-save prints them, without the ``-m name``."""
        return " ".join([show(self) for show in _printers(type(self)) if show(self)])

    def phrases(self) -> tuple[tuple[Option | None, str], ...]:
        """What it asks or does, in words, an option a phrase, each with its row (for spans)."""
        return tuple((row, row.say(value)) for row, value in self.given() if value != row.hidden)


@functools.cache
def _printers(cls: type[Extension]) -> tuple[Callable[[Extension], str], ...]:
    return tuple(_printer(row) for row in cls.rows() if row.shown)


def _printer(row: Option) -> Callable[[Extension], str]:
    attr, hidden, show = row.attr, row.hidden, row.show

    def printed(extension: Extension) -> str:
        value = getattr(extension, attr)
        return "" if value is None or value == hidden else show(value)

    return printed


class Match(Extension, frozen=True, gc=False):
    """A condition of a rule (``-m name``, or with the empty name the options every rule may have)."""

    protocol: ClassVar[tuple[str, ...]] = ()
    """Protocols whose ``-p`` loads this match by itself when one of its options is used."""

    def __str__(self) -> str:
        options = self.show()
        if not self.name:
            return options
        return f"-m {self.name} {options}" if options else f"-m {self.name}"

    def conditions(self) -> tuple[Condition, ...]:
        """What it asks of a packet; all of these must hold."""
        return tuple(row.condition(value) for row, value in self.given())

    def decide(self, facts: Facts) -> Decision:
        """Whether a packet meets it, with the reason."""
        return decide(self.conditions(), facts)


class Target(Extension, frozen=True, gc=False):
    """What a rule does (``-j NAME``)."""

    def __str__(self) -> str:
        options = self.show()
        return f"-j {self.name} {options}" if options else f"-j {self.name}"

    def effects(self) -> Effects:
        """What it does to a packet; a target that says nothing of itself may do anything."""
        return Effects((), Fork(f"what -j {self.name} does is not known", (CONTINUE,)))
