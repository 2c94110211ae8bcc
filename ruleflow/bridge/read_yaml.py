"""YAML or JSON as a tree that still knows where everything stands.

ruamel.yaml reads the structure (YAML 1.2); what a scalar means is decided by the field it is given for, so that nothing is
guessed: ``no`` for a name is the word no.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ruleflow.errors import ReadError, Where

if TYPE_CHECKING:
    from ruleflow.bridge.faults import Faults


class Value(msgspec.Struct, kw_only=True):
    """A scalar (``text``), a list (``items``) or a mapping (``entries``), and where it stands, counted from 1."""

    line: int = 1
    column: int = 1
    text: str | None = None
    quoted: bool = False
    items: list["Value"] | None = None
    entries: dict[str, tuple["Value", "Value"]] | None = None
    """Key to the key's and the value's place; of a key that is given twice the first."""

    @property
    def empty(self) -> bool:
        """Whether it is null: written as nothing, ``null`` or ``~``."""
        return self.text in ("", "null", "Null", "NULL", "~") and not self.quoted

    @property
    def kind(self) -> str:
        """What it is, for a message."""
        return (
            "a mapping"
            if self.entries is not None
            else "a list"
            if self.items is not None
            else f"{self.text!r}"
        )

    def get(self, key: str) -> "Value | None":
        """The value of a key of a mapping; None where it is not there or null."""
        found = (self.entries or {}).get(key)
        return None if found is None or found[1].empty else found[1]


def read_yaml(text: str, source: str, faults: "Faults") -> Value:
    """The tree of ``text``; keys that are given twice go to ``faults``. Raises `ReadError` where it is no YAML at all."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLStreamError

    if text.lstrip().startswith("{"):
        text = text.replace("\t", " ")  # JSON is YAML but for tabs, which JSON has only between its words
    try:
        return _Tree(YAML(typ="safe", pure=True).parse(text), faults).document()
    except MarkedYAMLError as error:
        raise _unreadable(error, text, source) from None
    except (YAMLError, YAMLStreamError) as error:
        raise ReadError(f"this is no YAML: {error}", where=Where(source)) from None


class _Tree:
    """The tree, made from the parser's events: no tags are guessed from scalars, which would take half as long again."""

    def __init__(self, events: Iterator[Any], faults: "Faults") -> None:
        from ruamel.yaml import events as kinds

        self.events, self.faults = events, faults
        self.alias, self.scalar, self.sequence = kinds.AliasEvent, kinds.ScalarEvent, kinds.SequenceStartEvent
        self.ends = (kinds.SequenceEndEvent, kinds.MappingEndEvent)
        self.start = kinds.DocumentStartEvent
        self.edges = (self.start, kinds.DocumentEndEvent, kinds.StreamStartEvent, kinds.StreamEndEvent)
        self.anchors: dict[str, Value | None] = {}
        """What each anchor names; None until it is whole."""

    def document(self) -> Value:
        """The only document there; null where there is none."""
        found: Value | None = None
        for event in self.events:
            if type(event) is self.start and found is not None:
                raise _error("expected a single document in the stream", "but found another document", event)
            if not isinstance(event, self.edges):
                found = self.value(event)
        return Value(text="") if found is None else found

    def value(self, event: Any) -> Value:
        """The value that begins with an event."""
        if type(event) is self.alias:
            return self.named(event)
        value = Value(line=event.start_mark.line + 1, column=event.start_mark.column + 1)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        tag = "!" if event.ctag is None else str(event.ctag)
        if tag != "!" and not tag.startswith("tag:yaml.org,2002:"):
            self.faults.add(value, f"the tag {tag} means nothing here", "leave it out")
        if type(event) is self.scalar:
            value.text, value.quoted = event.value, event.style is not None
        elif type(event) is self.sequence:
            value.items = [self.value(inner) for inner in self.inside()]
        else:
            value.entries = self.entries()
        if event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def named(self, event: Any) -> Value:
        """What an alias stands for."""
        if event.anchor not in self.anchors:
            raise _error(None, f"found undefined alias {event.anchor!r}", event)
        value = self.anchors[event.anchor]
        if value is None:
            value = Value(line=event.start_mark.line + 1, column=event.start_mark.column + 1, text="")
            self.faults.add(value, "this alias stands inside of what it stands for", "write it out")
        return value

    def inside(self) -> Iterator[Any]:
        """The events that begin what is inside of a list or mapping."""
        for event in self.events:
            if isinstance(event, self.ends):
                return
            yield event

    def entries(self) -> dict[str, tuple[Value, Value]]:
        """The entries of a mapping."""
        entries: dict[str, tuple[Value, Value]] = {}
        for event in self.inside():
            key = self.value(event)
            value = self.value(next(self.events))
            if key.text is None:
                self.faults.add(key, "a key must be a word", "write key: value")
            elif key.text == "<<" and not key.quoted:
                self.faults.add(key, "merge keys (<<) are not read", "write the keys out")
            elif key.text in entries:
                first = entries[key.text][0]
                self.faults.add(
                    key,
                    f"the key {key.text!r} is given twice, first in line {first.line}",
                    "leave one of them out",
                )
            else:
                entries[key.text] = (key, value)
        return entries


def _error(context: str | None, problem: str, event: Any) -> Exception:
    from ruamel.yaml.error import MarkedYAMLError

    error: Exception = MarkedYAMLError(context, None, problem, event.start_mark)
    return error


def _unreadable(error: Any, text: str, source: str) -> ReadError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ReadError(f"this is no YAML: {error.problem}", where=Where(source))
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    message = " ".join(part for part in (error.context, error.problem) if part)
    return ReadError(
        f"this is no YAML: {message}", where=Where(source, mark.line + 1, mark.column + 1, 1, line),
        help="values that hold : or # or begin with [ or * want quotation marks",
    )  # fmt: skip
