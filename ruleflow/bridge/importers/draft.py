"""A declaration while it is gathered from another tool's file, and how it is written as YAML."""

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ruleflow.errors import ReadError, Where

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


class Imported(msgspec.Struct, frozen=True):
    """A declaration as YAML ``text``, and ``notes``: what was left out or changed, a sentence each."""

    text: str
    notes: tuple[str, ...] = ()


class Gathered:
    """Networks, endpoints and notes, in the words of a declaration."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.networks: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Something a reader should know."""
        if text not in self.notes:
            self.notes.append(text)

    def name(self, word: str) -> str:
        """``word`` as a name that a declaration takes."""
        fit = _UNFIT.sub("-", word).strip("-_.")[:63] or "unnamed"
        if fit != word:
            self.note(f"{word!r} is called {fit} here: a name has letters, digits, _ . and -")
        return fit

    def network(self, name: str, keys: Mapping[str, Any]) -> None:
        """A network, without the keys that say nothing."""
        self.networks[name] = {key: value for key, value in keys.items() if value not in (None, {}, [])}

    def endpoint(self, name: str, keys: Mapping[str, Any]) -> None:
        """An endpoint; a name that is taken gets its network's behind it."""
        if name in self.endpoints:
            name = self.name(f"{name}-{keys['network']}")
        self.endpoints[name] = {key: value for key, value in keys.items() if value not in (None, [], "")}

    def written(self, what: str) -> Imported:
        """The YAML text, the notes as comments on top. Raises `ReadError` where there is nothing to write."""
        if not self.networks:
            raise ReadError(
                f"there is no bridge network in this {what}",
                where=Where(self.source),
                help="give another file",
            )
        declaration: dict[str, Any] = {"version": 1, "networks": self.networks}
        if self.endpoints:
            declaration["endpoints"] = self.endpoints
        head = [f"# Made by ruleflow import from {what}.", *(f"# Note: {note}" for note in self.notes)]
        return Imported(
            "".join(f"{_one_line(line)}\n" for line in head) + _yaml(declaration), tuple(self.notes)
        )


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _yaml(declaration: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(_quoted(declaration), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """Texts that hold a colon in quotation marks, so that no reader of YAML takes them for anything else."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, dict):
        return {key: _quoted(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(inner) for inner in value]
    return (
        DoubleQuotedScalarString(value)
        if isinstance(value, str) and (":" in value or value.isdigit())
        else value
    )


def read_json(text: str, source: str) -> Any:
    """The value of a JSON text. Raises `ReadError`."""
    try:
        return json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        where = Where(
            source,
            line,
            getattr(error, "colno", None),
            1,
            text.splitlines()[line - 1] if line and text else None,
        )
        raise ReadError(f"this is no JSON: {getattr(error, 'msg', error)}", where=where) from None
    except RecursionError:
        raise ReadError("this JSON is nested too deeply", where=Where(source)) from None


def mapping(value: Any) -> dict[str, Any]:
    """``value`` where it is a mapping, else an empty one: what another tool leaves out or nulls."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """``value`` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def address_of(text: Any) -> str | None:
    """An address without its length, None where there is none."""
    return str(text).partition("/")[0] or None if text else None


def subnet_of(text: Any) -> str | None:
    """The subnet of an address with its length, None where it is none."""
    from ipaddress import ip_interface

    try:
        return str(ip_interface(str(text)).network)
    except ValueError:
        return None


def number_of(value: Any) -> int:
    """A whole number, 0 where there is none."""
    return int(value) if str(value).isdecimal() else 0


def short_port(host_ip: str, published: object, target: object, protocol: str) -> str:
    """A port map in short syntax; ``host_ip`` of all addresses is left out where it is empty."""
    host = f"[{host_ip}]:" if ":" in host_ip else f"{host_ip}:" if host_ip else ""
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    return f"{host}{published}:{target}{suffix}" if published not in ("", None, 0) else f"{target}{suffix}"
