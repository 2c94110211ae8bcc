"""Values as JSON text."""

import json
from typing import Any

import msgspec


def json_text(value: Any, *, indent: int = 2) -> str:
    """A value (structs, mappings, lists) as JSON, on one line with ``indent`` 0; a line's end closes it.

    Bytes of a dump that are no UTF-8 are lone surrogates in our strings; JSON has them only as escapes.
    """
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), indent=indent or None) + "\n"
    return (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode() + "\n"
