"""YAML or JSON as a tree that still knows where everything stands.

ruamel.yaml reads the structure (YAML 1.2); what a scalar means is decided by the field it is given for, so that nothing is
guessed: ``no`` for a name is the word no.
"""

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
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise _unreadable(error, text, source) from None
    except (YAMLError, YAMLStreamError) as error:
        raise ReadError(f"this is no YAML: {error}", where=Where(source)) from None
    return Value(text="") if node is None else _value(node, faults, ())


def _value(node: Any, faults: "Faults", above: tuple[int, ...]) -> Value:
    value = Value(line=node.start_mark.line + 1, column=node.start_mark.column + 1)
    if not str(node.tag).startswith("tag:yaml.org,2002:"):
        faults.add(value, f"the tag {node.tag} means nothing here", "leave it out")
    if node.id == "scalar":
        value.text, value.quoted = node.value, node.style is not None
    elif id(node) in above:
        faults.add(value, "this alias stands inside of what it stands for", "write it out")
        value.text = ""
    elif node.id == "sequence":
        value.items = [_value(item, faults, (*above, id(node))) for item in node.value]
    else:
        value.entries = _entries(node, faults, (*above, id(node)))
    return value


def _entries(node: Any, faults: "Faults", above: tuple[int, ...]) -> dict[str, tuple[Value, Value]]:
    entries: dict[str, tuple[Value, Value]] = {}
    for key_node, value_node in node.value:
        key = _value(key_node, faults, above)
        value = _value(value_node, faults, above)
        if key.text is None:
            faults.add(key, "a key must be a word", "write key: value")
        elif key.text == "<<" and not key.quoted:
            faults.add(key, "merge keys (<<) are not read", "write the keys out")
        elif key.text in entries:
            first = entries[key.text][0]
            faults.add(
                key,
                f"the key {key.text!r} is given twice, first in line {first.line}",
                "leave one of them out",
            )
        else:
            entries[key.text] = (key, value)
    return entries


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
