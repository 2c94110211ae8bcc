"""One packet as a point of a space: its numbers by level, and back from numbers to a packet that shows them."""

from collections.abc import Iterator, Mapping
from typing import Any

from ruleflow.netfilter import conntrack
from ruleflow.netfilter.alter import Alter, Bits, Grow, Is, Mapped, New, Plus, Same, Xor
from ruleflow.netfilter.encode import (
    BIT_BASE,
    BITWISE,
    FREE_BASE,
    LEVELS,
    SOCKET,
    STATE,
    STATE_ORDER,
    Encoder,
    bit_of,
)
from ruleflow.netfilter.idd import LEAF_LEVEL
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.state import DEFAULTS
from ruleflow.ruleset import fields

_NAMES = frozenset(name for name, field in fields.BY_NAME.items() if field.bits is None)
_BY_LEVEL = {level: name for name, level in LEVELS.items()}


class Point(Mapping[int, int]):
    """A packet's numbers by level, with the walk's defaults for what is not given; free variables it has none."""

    def __init__(self, encoder: Encoder, packet: Packet) -> None:
        self.encoder, self.packet = encoder, packet
        self._seen: dict[int, int] = {}

    def __getitem__(self, level: int) -> int:
        found = self._seen.get(level)
        if found is None:
            found = self._seen[level] = self._number(level)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(LEVELS.values())

    def __len__(self) -> int:
        return len(LEVELS)

    def _number(self, level: int) -> int:
        if level >= FREE_BASE:
            raise KeyError(level)
        if level >= BIT_BASE:
            name, number = bit_of(level)
            return int(self._value(name)) >> number & 1
        name = _BY_LEVEL[level]
        value = self._value(name)
        if name in _NAMES:
            return self.encoder.atoms.of(str(value or ""))
        if level == STATE:
            return STATE_ORDER.index(int(value))
        return min(int(value), self.encoder.diagrams.tops[level])

    def _value(self, name: str) -> Any:
        packet = self.packet
        value = getattr(packet, name, None)
        if value is not None:
            return value
        if name == "socket_exists":
            return int(packet.in_interface is None)
        if name == "state":
            return conntrack.first_state(
                packet.protocol, packet.tcp_flags, packet.icmp_type, packet.dccp_type
            )
        if name == "icmp_type":
            return 8 if packet.protocol == 1 else 128
        if name in _NAMES:
            return ""
        return DEFAULTS.get(name, (0, ""))[0]


def endings(encoder: Encoder, a: int, point: Mapping[int, int]) -> set[int]:
    """All leaves that a packet may end in, whatever its free variables are."""
    diagrams = encoder.diagrams
    found: set[int] = set()
    waiting, seen = [a], {a}
    while waiting:
        node = waiting.pop()
        level = diagrams.level[node]
        if level == LEAF_LEVEL:
            found.add(node)
            continue
        kids = diagrams.kids[node] if level >= FREE_BASE else (diagrams.child(node, point[level]),)
        for kid in kids:
            if kid not in seen:
                seen.add(kid)
                waiting.append(kid)
    return found


def after(alter: Alter, point: Mapping[int, int]) -> dict[int, int | None]:
    """The numbers that changes leave a packet with, by level; None where nobody can tell."""
    return {level: _moved(level, new, point) for level, new in alter.changes}


def _moved(level: int, new: New, point: Mapping[int, int]) -> int | None:
    match new:
        case Is(value=value):
            return value
        case Plus(by=by):
            return point[level] + by
        case Mapped(base=base, size=size):
            return base + point[level] % size
        case Grow(by=by):
            return min(max(point[level] + by, 0), 255)
        case Bits(clear=clear, xor=xor):
            return (point[level] & ~clear) ^ xor
        case Same(level=other):
            return point[other]
        case Xor(levels=levels, flip=flip) if all(one < FREE_BASE for one in levels):
            return (sum(point[one] for one in levels) + flip) & 1
    return None


def fields_after(alter: Alter, point: Point) -> dict[str, int | None]:
    """The fields that differ from the packet as it came, by name: their new values, None where nobody can tell."""
    changed: dict[str, int | None] = {}
    for level, value in after(alter, point).items():
        if BIT_BASE <= level < FREE_BASE:
            name, bit = bit_of(level)
            old = changed.get(name, int(point._value(name)))  # noqa: SLF001
            changed[name] = None if value is None or old is None else old & ~(1 << bit) | value << bit
        elif level < BIT_BASE and level != SOCKET:
            changed[_BY_LEVEL[level]] = value
    return {name: value for name, value in changed.items() if value is None or value != _came(name, point)}


def _came(name: str, point: Point) -> int:
    if name in BITWISE:
        return int(point._value(name))  # noqa: SLF001
    return point[LEVELS[name]]
