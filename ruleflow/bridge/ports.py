"""Published ports as compose files write them: short (``"127.0.0.1:8080:80/tcp"``) and long."""

import re
from ipaddress import ip_address

import msgspec

from ruleflow.bridge.declaration import PROTOCOLS, Address, PortMap
from ruleflow.bridge.faults import Faults
from ruleflow.bridge.fields import address, choice, fields, name, text
from ruleflow.bridge.read_yaml import Value
from ruleflow.ruleset.values import Range

_BASE_60 = re.compile(r"[1-9][0-9_]*(:[0-5]?[0-9])+", re.ASCII)
_SHORT = re.compile(
    r"(?:(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):)?(?:(?P<host>[^:\[\]]*):)?(?P<target>[^:\[\]]*)",
    re.ASCII,
)
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)
_EXAMPLE = 'write "8080:80", "127.0.0.1:8080:80/tcp" or "8000-8002:80-82/udp"'


class Wanted(msgspec.Struct, frozen=True):
    """A port map as written: of several host ports for one port of the endpoint, the first free one is meant."""

    port: PortMap
    place: Value
    choices: Range | None = None


def port(value: Value, faults: Faults) -> Wanted | None:
    """One entry of ``ports:``."""
    return _long(value, faults) if value.entries is not None else _short(value, faults)


def _short(value: Value, faults: Faults) -> Wanted | None:
    word = text(value, faults)
    if word is None:
        return None
    if not value.quoted and _BASE_60.fullmatch(word):
        faults.add(
            value, f"without quotation marks, YAML 1.1 takes {word} for the number {_sexagesimal(word)} (base 60)",
            f'write "{word}"',
        )  # fmt: skip
        return None
    mapping, _, protocol = word.partition("/")
    if protocol and protocol not in PROTOCOLS:
        faults.add(value, f"{protocol!r} is none of {', '.join(PROTOCOLS)}", f'write "{mapping}/tcp"')
        return None
    parts = _parts(mapping)
    if parts is None:
        faults.add(value, f"{word!r} is no published port", _EXAMPLE)
        return None
    host, published, target = parts
    if host is not None and _address(host) is None:
        faults.add(value, f"{host!r} is no address of this host", _EXAMPLE)
        return None
    return _wanted(value, faults, _address(host or ""), published, target, protocol or "tcp")


def _parts(mapping: str) -> tuple[str | None, str, str] | None:
    """Host address, host ports and own ports as words; None where it has another form."""
    if mapping.count(":") == 1 and not mapping.startswith("["):
        host, target = mapping.split(":")
        return (None, host, target) if host else None
    found = _SHORT.fullmatch(mapping)
    if found is None:
        return None
    six, four = found["six"], found["four"]
    return (six if six is not None else four), found["host"] or "", found["target"]


def _address(word: str) -> Address | None:
    try:
        return ip_address(word)
    except ValueError:
        return None


def _sexagesimal(word: str) -> int:
    value = 0
    for digits in word.replace("_", "").split(":"):
        value = value * 60 + int(digits)
    return value


def _long(value: Value, faults: Faults) -> Wanted | None:
    before = len(faults)
    found = fields(
        value,
        {
            "name": name, "target": text, "published": text, "host_ip": address(), "protocol": choice(*PROTOCOLS),
            "app_protocol": None, "mode": choice("host", "ingress"),
        },
        "a published port", faults,
    )  # fmt: skip
    if "target" not in found:
        if value.get("target") is None:
            faults.add(value, "this published port lacks its target", 'write target: 80, published: "8080"')
        return None
    if len(faults) > before:
        return None
    return _wanted(
        value, faults, found.get("host_ip"), found.get("published", ""), found["target"], found.get("protocol", "tcp"),
        found.get("name", ""),
    )  # fmt: skip


def _wanted(
    value: Value,
    faults: Faults,
    host: Address | None,
    published: str,
    target: str,
    protocol: str,
    named: str = "",
) -> Wanted | None:
    own = _range(value, faults, target)
    public = _range(value, faults, published) if published else None
    if own is None or (published and public is None):
        return None
    port_map = PortMap(own, public, host, protocol, named)
    if public is None or _length(public) == _length(own):
        return Wanted(port_map, value)
    if own.low != own.high:
        faults.add(
            value, f"{_length(public)} ports of the host cannot stand for {_length(own)} ports of the endpoint",
            f'write "{public.low}-{public.low + _length(own) - 1}:{own.low}-{own.high}/{protocol}"',
        )  # fmt: skip
        return None
    return Wanted(port_map, value, public)


def _range(value: Value, faults: Faults, word: str) -> Range | None:
    found = _PORTS.fullmatch(word)
    if found is None:
        faults.add(value, f"{word!r} is no port", _EXAMPLE)
        return None
    low, high = int(found[1]), int(found[2] or found[1])
    if not 1 <= low <= 65535 or not 1 <= high <= 65535:
        faults.add(value, f"{word} is no port: they go from 1 to 65535", _EXAMPLE)
        return None
    if low > high:
        faults.add(value, f"the ports {word} end before they begin", f"write {high}-{low}")
        return None
    return Range(low, high)


def _length(ports: Range) -> int:
    return ports.high - ports.low + 1
