"""IP sets as ``ipset save`` prints them, and whether a packet's values are in one."""

import shlex

import msgspec

from ruleflow.errors import ReadError, Where
from ruleflow.netfilter.numbers import PROTOCOLS, mac_text, read_address, read_mac, within


class SetMember(msgspec.Struct, frozen=True):
    """One member: its parts (``10.0.0.0/8``, ``tcp:80``, ``eth0``), word for word, and its options."""

    parts: tuple[str, ...]
    nomatch: bool = False
    timeout: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ",".join(self.parts)


class IpSet(msgspec.Struct, frozen=True):
    """A set: ``kind`` is ipset's type (``hash:net,port``), ``options`` what ``create`` was given."""

    name: str
    kind: str
    options: tuple[tuple[str, str], ...] = ()
    members: tuple[SetMember, ...] = ()

    @property
    def family(self) -> int:
        """4 or 6 (bitmap sets are IPv4)."""
        return 6 if ("family", "inet6") in self.options else 4

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What each part of a member is: ``ip``, ``net``, ``port``, ``iface``, ``mac``, ``mark`` or ``set``."""
        return tuple(self.kind.partition(":")[2].split(","))

    def contains(self, values: tuple["int | str | tuple[int, int]", ...]) -> bool:
        """Whether ``values``, one for each dimension, are in the set.

        Addresses, marks and macs are numbers, ports a pair (protocol number, port), interfaces names. Of all
        members that fit, the one with the longest prefixes decides; ``nomatch`` members say no
        (ipset(8), "nomatch").
        """
        fits = [member for member in self.members if self._fits(member, values)]
        best = max(fits, key=lambda member: [_length(part) for part in member.parts], default=None)
        return best is not None and not best.nomatch

    def _fits(self, member: SetMember, values: tuple["int | str | tuple[int, int]", ...]) -> bool:
        known = zip(self.dimensions, member.parts, values, strict=False)
        return len(values) >= len(member.parts) and all(
            _part_fits(dimension, part, value, self.family) for dimension, part, value in known
        )


def read_sets(text: str, source: str = "ipset.save") -> tuple[IpSet, ...]:
    """The sets in the text of ``ipset save``.

    :raises ReadError: for a line that is neither ``create`` nor ``add``, or a member of no set.
    """
    made: dict[str, IpSet] = {}
    members: dict[str, list[SetMember]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = shlex.split(line, comments=True)
        if not words:
            continue
        if words[0] == "create" and len(words) >= 3:
            made[words[1]] = IpSet(words[1], words[2], _options(words[3:]))
            members[words[1]] = []
        elif words[0] == "add" and len(words) >= 3 and words[1] in made:
            members[words[1]].append(_member(words[2], words[3:]))
        else:
            where = Where(source, number, 1, len(line), line)
            raise ReadError("this is no line of ipset save", where=where, help="write it with: ipset save")
    return tuple(msgspec.structs.replace(one, members=tuple(members[name])) for name, one in made.items())


def _member(entry: str, words: list[str]) -> SetMember:
    nomatch = "nomatch" in words
    options = _options([word for word in words if word != "nomatch"])
    timeout = next((int(value) for name, value in options if name == "timeout"), None)
    return SetMember(tuple(entry.split(",")), nomatch, timeout, options)


_ALONE = frozenset({"counters", "comment", "skbinfo", "forceadd", "markmask"})


def _options(words: list[str]) -> tuple[tuple[str, str], ...]:
    """Options as pairs; a word that takes no value gets an empty one (``create … counters``)."""
    pairs, at = [], 0
    while at < len(words):
        alone = words[at] in _ALONE and (
            at + 1 == len(words) or words[at] in ("counters", "skbinfo", "forceadd")
        )
        pairs.append((words[at], "" if alone or at + 1 == len(words) else words[at + 1]))
        at += 1 if alone else 2
    return tuple(pairs)


def _part_fits(dimension: str, part: str, value: "int | str | tuple[int, int]", family: int) -> bool:
    if dimension in ("ip", "net"):
        return isinstance(value, int) and _address_fits(part, value, family)
    if dimension == "port":
        return isinstance(value, tuple) and _port_fits(part, value)
    if dimension == "mac":
        return isinstance(value, int) and mac_text(value) == mac_text(read_mac(part))
    if dimension == "mark":
        return isinstance(value, int) and int(part, 0) == value
    return part == value


def _address_fits(part: str, value: int, family: int) -> bool:
    low, dash, high = part.partition("-")
    if dash:
        return read_address(low)[0] <= value <= read_address(high)[0]
    address, slash, length = part.partition("/")
    number, of = read_address(address)
    return of == family and within(value, number, int(length) if slash else (32 if of == 4 else 128), of)


def _port_fits(part: str, value: tuple[int, int]) -> bool:
    protocol, colon, ports = part.rpartition(":")
    if colon and PROTOCOLS.get(protocol, protocol) not in (value[0], str(value[0])):
        return False
    low, _, high = ports.partition("-")
    return low.isdecimal() and int(low) <= value[1] <= int(high or low)


def _length(part: str) -> int:
    length = part.partition("/")[2]
    return int(length) if length.isdecimal() else 128
