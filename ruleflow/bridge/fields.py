"""The fields of a declaration: what may stand for a key, read from the tree or reported as a fault."""

import difflib
import re
from collections.abc import Callable, Mapping
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    NetmaskValueError,
    ip_address,
    ip_network,
)
from typing import Any, TypeAlias

from ruleflow.bridge.declaration import Address, Subnet
from ruleflow.bridge.faults import Faults
from ruleflow.bridge.read_yaml import Value

Reader: TypeAlias = Callable[[Value, Faults], Any]
"""Gives what a value means, or None after reporting why it means nothing."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@-]*", re.ASCII)
_DURATION = re.compile(r"(\d{1,6})(s|m|h)?", re.ASCII)
_TRUE, _FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
_OLD_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def fields(value: Value, rows: Mapping[str, Reader | None], what: str, faults: Faults) -> dict[str, Any]:
    """What the keys of a mapping mean; keys that ``rows`` lacks are faults, those with None are passed over."""
    if value.entries is None:
        faults.add(
            value, f"{what} must be a mapping, not {value.kind}", f"write keys below it: {', '.join(rows)}"
        )
        return {}
    found: dict[str, Any] = {}
    for key, (place, inner) in value.entries.items():
        if key not in rows:
            faults.add(place, f"{what} has no key {key!r}", suggestion(key, rows))
            continue
        reader = rows[key]
        if reader is not None and not inner.empty:
            meaning = reader(inner, faults)
            if meaning is not None:
                found[key] = meaning
    return found


def suggestion(word: str, known: Mapping[str, object]) -> str:
    """What may have been meant by ``word``."""
    near = (
        difflib.get_close_matches(word, known, 1, 0.6) or [one for one in known if word and word in one][:1]
    )
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"


def text(value: Value, faults: Faults) -> str | None:
    """Any text without control characters."""
    if value.text is None:
        faults.add(value, f"this must be a word, not {value.kind}")
        return None
    if not value.text.isprintable():
        faults.add(
            value, "there is a control character in this text", "leave it out: this text ends up in a rule"
        )
        return None
    return value.text


def name(value: Value, faults: Faults) -> str | None:
    """A name of a network or an endpoint."""
    found = text(value, faults)
    if found is not None and len(found) > 63:
        faults.add(
            value,
            f"a name of {len(found)} characters is too long: rules carry it in a comment",
            "write at most 63",
        )
        return None
    if found is None or _NAME.fullmatch(found):
        return found
    faults.add(
        value,
        f"{found!r} cannot be a name",
        "use letters, digits, _ . and -, and begin with a letter or digit",
    )
    return None


def interface(value: Value, faults: Faults) -> str | None:
    """An interface's name, as the kernel (dev_valid_name, net/core/dev.c) and a rule can take it."""
    found = text(value, faults)
    if found is None:
        return None
    if len(found.encode()) > 15:
        faults.add(
            value, f"the interface name {found!r} has {len(found.encode())} characters, the kernel allows 15",
            f"write {found[:15].rstrip('-.')}",
        )  # fmt: skip
        return None
    if not _INTERFACE.fullmatch(found) or found in (".", ".."):
        faults.add(
            value, f"{found!r} cannot be the name of an interface", "use letters, digits, _ . @ and -, with no - first",
        )  # fmt: skip
        return None
    return found


def namespace(value: Value, faults: Faults) -> str | None:
    """A network namespace: a name, a path or ``pid:NUMBER``."""
    found = text(value, faults)
    if found is None:
        return None
    if found.startswith(("/", "pid:")):
        if found.startswith("pid:") and not found[4:].isdecimal():
            faults.add(value, f"{found!r} is no process", "write pid: and the number, as in pid:1234")
            return None
        return found
    return name(value, faults)


def boolean(value: Value, faults: Faults) -> bool | None:
    """True or false."""
    if not value.quoted and value.text in (*_TRUE, *_FALSE):
        return value.text in _TRUE
    word = _OLD_BOOLEANS.get((value.text or "").lower(), "true or false")
    if value.quoted and value.text in ("true", "false"):
        word = f"{value.text} without quotation marks"
    faults.add(value, f"this must be true or false, not {value.kind}", f"write {word}")
    return None


def number(low: int, high: int) -> Reader:
    """A whole number from ``low`` to ``high``."""

    def read(value: Value, faults: Faults) -> int | None:
        if (
            value.text is None
            or not re.fullmatch(r"\d{1,10}", value.text, re.ASCII)
            or not low <= int(value.text) <= high
        ):
            faults.add(value, f"this must be a whole number from {low} to {high}, not {value.kind}")
            return None
        return int(value.text)

    return read


def choice(*words: str) -> Reader:
    """One of a few words."""

    def read(value: Value, faults: Faults) -> str | None:
        if value.text in words:
            return value.text
        if len(words) == 1:
            faults.add(value, f"this must be {words[0]}, not {value.kind}", f"write {words[0]}")
        else:
            help_ = suggestion(value.text or "", dict.fromkeys(words))
            faults.add(value, f"{value.kind} is none of {', '.join(words)}", help_)
        return None

    return read


def duration(value: Value, faults: Faults) -> int | None:
    """A time as seconds: ``60s``, ``5m``, ``1h`` or a number of seconds."""
    found = _DURATION.fullmatch(value.text or "")
    if found is None or int(found[1]) == 0:
        faults.add(value, f"{value.kind} is no time", "write 60s or 5m")
        return None
    return int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def address(version: int | None = None) -> Reader:
    """An IP address (of family ``version``, if given)."""

    def read(value: Value, faults: Faults) -> Address | None:
        try:
            found = ip_address(value.text or "")
        except (AddressValueError, ValueError):
            faults.add(
                value, f"{value.kind} is no IP address", "write one such as 192.0.2.10 or 2001:db8::10"
            )
            return None
        if version is not None and found.version != version:
            faults.add(
                value, f"{found} is an IPv{found.version} address, and this must be an IPv{version} address"
            )
            return None
        if found.version == 6 and (found.scope_id is not None or found.ipv4_mapped is not None):
            faults.add(
                value, f"{found} cannot stand in a rule", "write the address without zone, IPv4 as IPv4"
            )
            return None
        return found

    return read


def subnet(value: Value, faults: Faults) -> Subnet | None:
    """A network with its length, no bits behind it."""
    word = value.text or ""
    try:
        found = ip_network(word, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        faults.add(value, f"{value.kind} is no subnet", "write one such as 172.18.0.0/16 or fd00:18::/64")
        return None
    if "/" not in word:
        faults.add(
            value, f"the subnet {word} lacks its length", f"write {word}/{24 if found.version == 4 else 64}"
        )
        return None
    if ip_address(word.partition("/")[0]) != found.network_address:
        faults.add(value, f"the subnet {word} has bits behind its length", f"write {found}")
        return None
    if found.num_addresses < 4:
        faults.add(
            value, f"the subnet {found} has no room for a gateway and an endpoint", "take a shorter length"
        )
        return None
    return found


def listed(reader: Reader) -> Reader:
    """A list, each of its values read by ``reader``; those that mean nothing are left out."""

    def read(value: Value, faults: Faults) -> tuple[Any, ...] | None:
        if value.items is None:
            faults.add(value, f"this must be a list, not {value.kind}", "write - before each of its values")
            return None
        found = [reader(item, faults) for item in value.items]
        return tuple(one for one in found if one is not None)

    return read


def said_boolean(value: Value, faults: Faults) -> bool | None:
    """True or false, also in quotation marks, as the values of ``driver_opts`` are."""
    if value.text in ("true", "false", "True", "False", "1", "0"):
        return value.text in ("true", "True", "1")
    faults.add(value, f'this must be "true" or "false", not {value.kind}')
    return None


FAMILIES: dict[type, int] = {IPv4Address: 4, IPv6Address: 6, IPv4Network: 4, IPv6Network: 6}
