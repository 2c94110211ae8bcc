"""The published schema has the keys that are read."""

from typing import Any

from ruleflow.bridge import read_declaration as read
from ruleflow.bridge.schema import declaration_schema


def keys(*path: str) -> set[str]:
    schema: dict[str, Any] = declaration_schema()
    for step in path:
        schema = schema["properties"][step]
        schema = schema["additionalProperties"]["anyOf"][0] if step in ("networks", "endpoints") else schema
    return set(schema["properties"])


def test_it_has_the_keys_that_are_read() -> None:
    assert keys() == set(read._TOP)
    assert keys("networks") == set(read._NETWORK)
    assert keys("endpoints") == set(read._ENDPOINT)
