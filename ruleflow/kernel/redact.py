"""A snapshot made fit to show: public addresses and names replaced, each always by the same other.

Addresses keep their structure: two that share a prefix share one of the same length afterwards (the idea of
Crypto-PAn, Xu and others 2002), so routes, subnets and prefixes still fit. Private, local, documentation and
multicast addresses stay. The first octet of an IPv4 address and the first 16 bits of an IPv6 address stay too.
"""

import hashlib
import ipaddress
import re
import secrets
from pathlib import Path

_FOUR = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d{1,2}))?(?![\w.])")
_SIX = re.compile(r"(?<![\w:.])([0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7})(?:/(\d{1,3}))?(?![\w:])")
_KEPT = {4: 8, 6: 16}


def redact_directory(directory: Path, key: bytes | None = None) -> None:
    """Redact every file of a snapshot in place; ``key`` makes the replacement repeatable.

    Names of containers, of their networks and of namespaces become ``place1``, ``network1`` and so on.
    """
    key = secrets.token_bytes(16) if key is None else key
    names = _names(directory)
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            text = path.read_text("utf-8", "surrogateescape")
            path.write_text(_renamed(redact_text(text, key), names), "utf-8", "surrogateescape")
    for path in sorted((directory / "ns").glob("*")):
        if path.name in names:
            path.rename(path.with_name(names[path.name]))


def redact_text(text: str, key: bytes) -> str:
    """``text`` with every public address replaced."""
    text = _FOUR.sub(lambda found: _replaced(found, key), text)
    return _SIX.sub(lambda found: _replaced(found, key), text)


def _replaced(found: re.Match[str], key: bytes) -> str:
    try:
        address = ipaddress.ip_address(found[1])
    except ValueError:
        return found[0]
    if not address.is_global or address.is_multicast:
        return found[0]
    width = address.max_prefixlen
    length = int(found[2]) if found[2] else width
    number = _scrambled(int(address), width, key, _KEPT[address.version])
    if length <= width:
        number = number >> (width - length) << (width - length)
    other = type(address)(number)
    return f"{other}/{found[2]}" if found[2] else str(other)


def _scrambled(number: int, width: int, key: bytes, kept: int) -> int:
    """Each bit after the first ``kept`` is turned or not, by a hash of the bits before it."""
    made = number
    for at in range(kept, width):
        before = (number >> (width - at)).to_bytes(16, "big")
        if hashlib.blake2s(bytes([at]) + before, key=key, digest_size=1).digest()[0] & 1:
            made ^= 1 << (width - at - 1)
    return made


def _names(directory: Path) -> dict[str, str]:
    """The names to replace, longest first."""
    places = [path.name for path in sorted((directory / "ns").glob("*")) if path.name != "outside"]
    networks: list[str] = []
    listed = directory / "containers.txt"
    for line in listed.read_text("utf-8").splitlines() if listed.is_file() else ():
        words = line.split()
        places += words[:1]
        networks += [word for word in words[1::2] if word not in ("bridge", "host", "none", "podman")]
    pairs = [(name, f"place{at}") for at, name in enumerate(dict.fromkeys(places), 1)]
    pairs += [(name, f"network{at}") for at, name in enumerate(dict.fromkeys(networks), 1)]
    return dict(sorted(pairs, key=lambda pair: -len(pair[0])))


def _renamed(text: str, names: dict[str, str]) -> str:
    if not names:
        return text
    pattern = re.compile(r"(?<![\w.-])(" + "|".join(map(re.escape, names)) + r")(?![\w-])")
    return pattern.sub(lambda found: names[found[1]], text)
