"""A box of packets in words: ``tcp to port 8443, from 10.0.0.0/8``, ``anything but tcp``.

What has few exceptions is said by them ("anywhere but"), what has many parts is cut with a count.
"""

from collections.abc import Iterator, Sequence

from ruleflow.errors import visible
from ruleflow.netfilter.encode import (
    BIT_BASE,
    DPORT,
    DST,
    FREE_BASE,
    IN,
    LEVELS,
    OUT,
    PROTO,
    SPORT,
    SRC,
    STATE,
    Encoder,
    Free,
    bit_of,
)
from ruleflow.netfilter.idd import Box
from ruleflow.netfilter.intervals import Interval, outside
from ruleflow.netfilter.numbers import ICMP_KINDS, ICMPV6_KINDS, mac_text
from ruleflow.ruleset import fields
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ports import service_name
from ruleflow.ruleset.protocols import PORTED, protocol_name

_SHOWN = 3
"""Parts of a list that are shown before ``(+ 4 more)``."""
_STATES = ("invalid", "new", "established", "related", "untracked")
_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32}


def effort(intervals: Sequence[Interval]) -> int:
    """How much a reader has to take in of addresses: a prefix counts once, a range that is none three times."""
    return sum(1 if is_prefix(low, high) else 3 for low, high in intervals)


def is_prefix(low: int, high: int) -> bool:
    """Whether a range of addresses is one prefix."""
    size = high - low + 1
    return size & (size - 1) == 0 and low % size == 0


class Wording:
    """Says boxes of one space."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.tops = encoder, encoder.diagrams.tops

    def box(self, box: Box) -> str:
        """The box in a line."""
        tests = dict(box)
        head = " ".join(self._head(tests))
        tail = [*self._places(tests), *self._rest(tests)]
        return ", ".join([head or "everything", *tail])

    def _head(self, tests: dict[int, tuple[Interval, ...]]) -> Iterator[str]:
        protocol = tests.get(PROTO)
        ports = DPORT in tests or SPORT in tests
        if protocol is not None and not (ports and _numbers(protocol) == PORTED):
            yield self._protocols(protocol)
        elif tests.keys() & {DST, SRC, DPORT, SPORT}:
            yield "everything" if not ports else "anything with ports,"
        kinds = tests.get(LEVELS["icmp_type"])
        if kinds is not None:
            yield self._icmp(kinds, tests.get(LEVELS["icmp_code"]))
        if DST in tests:
            yield f"to {self._addresses(tests[DST])}{',' if DPORT in tests else ''}"
        if DPORT in tests:
            words = self._ports(tests[DPORT])
            yield words if DST in tests else f"to {words}"

    def _places(self, tests: dict[int, tuple[Interval, ...]]) -> Iterator[str]:
        if SRC in tests:
            yield f"from {self._addresses(tests[SRC])}"
        if SPORT in tests:
            yield f"from {self._ports(tests[SPORT])}"
        if IN in tests:
            yield f"arriving on {self.interfaces(tests[IN], IN)}"
        if OUT in tests:
            yield f"leaving by {self.interfaces(tests[OUT], OUT)}"
        if STATE in tests:
            yield self._states(tests[STATE])

    def _rest(self, tests: dict[int, tuple[Interval, ...]]) -> Iterator[str]:
        said = {DST, DPORT, SRC, SPORT, IN, OUT, STATE, PROTO, LEVELS["icmp_type"], LEVELS["icmp_code"]}
        bits: dict[str, list[tuple[int, int]]] = {}
        for level, intervals in tests.items():
            if level >= FREE_BASE:
                yield self._free(self.encoder.free[level], intervals)
            elif level >= BIT_BASE:
                name, number = bit_of(level)
                bits.setdefault(name, []).append((number, intervals[0][0]))
            elif level not in said and not (level == LEVELS["fragment"] and intervals == ((0, 0),)):
                yield self._field(level, intervals)
        for name, told in bits.items():
            mask = sum(1 << number for number, _ in told)
            value = sum(set_ << number for number, set_ in told)
            yield f"{fields.BY_NAME[name].words} {value:#x}/{mask:#x}"

    # -- fields ---------------------------------------------------------------------------------------------

    def _protocols(self, intervals: tuple[Interval, ...]) -> str:
        if _count(intervals) > 128:
            return f"anything but {_listed(map(protocol_name, _all(outside(intervals, 255))), 'or')}"
        return _listed(map(protocol_name, _all(intervals)), "or")

    def _icmp(self, kinds: tuple[Interval, ...], codes: tuple[Interval, ...] | None) -> str:
        named = (ICMP_KINDS if self.encoder.family == 4 else ICMPV6_KINDS).items()
        pairs = {pair: name for name, pair in named}
        pair = kinds[0][0], codes[0][0] if codes else None
        if pair in pairs and _count(kinds) == 1 and (codes is None or _count(codes) == 1):
            return pairs[pair]
        names = {of: name for name, (of, code) in named if code == 0} | {
            of: name for name, (of, code) in named if code is None
        }
        few = _count(kinds) <= 128
        words = _listed(
            (names.get(n, f"type {n}") for n in _all(kinds if few else outside(kinds, 255))), "or"
        )
        told = words if few else f"other than {words}"
        plain = codes is None or (codes == ((0, 0),) and not any((n, None) in pairs for n in _all(kinds)))
        return told if plain or codes is None else f"{told}, code {_listed(map(str, _all(codes)), 'or')}"

    def _addresses(self, intervals: tuple[Interval, ...]) -> str:
        family, top = self.encoder.family, self.tops[DST]
        others = outside(intervals, top)
        inside_effort, outside_effort = effort(intervals), effort(others)
        if outside_effort < inside_effort or (
            outside_effort == inside_effort and _count(intervals) > top // 2
        ):
            return f"anywhere but {_listed(_prefixes(others, family), 'and')}"
        return _listed(_prefixes(intervals, family), "or")

    def _ports(self, intervals: tuple[Interval, ...]) -> str:
        others = outside(intervals, 65535)
        if len(others) < len(intervals) or (_count(intervals) > 40000 and len(others) == len(intervals)):
            return f"any port but {_listed(map(_ports, others), 'and')}"
        single = len(intervals) == 1 and intervals[0][0] == intervals[0][1]
        name = service_name(intervals[0][0]) if single else None
        if single:
            return f"port {intervals[0][0]}{f' ({name})' if name else ''}"
        return f"ports {_listed(map(_ports, intervals), 'or')}"

    def interfaces(self, intervals: tuple[Interval, ...], level: int) -> str:
        """Interfaces in words."""
        atoms, inside = self.encoder.atoms, _all(intervals)
        others = [n for n in _all(outside(intervals, self.tops[level])) if n != 0]
        if 1 in inside:
            return (
                f"any interface but {_listed((visible(atoms.words(n)) for n in others), 'and')}"
                if others
                else "any interface"
            )
        return _listed((visible(atoms.words(n)) for n in inside), "or")

    def _states(self, intervals: tuple[Interval, ...]) -> str:
        inside = [_STATES[n] for n in _all(intervals)]
        if len(inside) > 2:
            return f"not {_listed((word for word in _STATES if word not in inside), 'or')}"
        return (
            f"{_listed(inside, 'or')} connections"
            if inside == ["new"] or "new" in inside
            else _listed(inside, "or")
        )

    def _field(self, level: int, intervals: tuple[Interval, ...]) -> str:
        field = next(field for field in fields.BY_NAME.values() if LEVELS[field.name] == level)
        if field is fields.TCP_FLAGS:
            return _flags(intervals)
        if field.bits is None:
            return f"{field.words} {self.interfaces(intervals, level)}"
        others = outside(intervals, self.tops[level])
        few, lead = (intervals, "") if len(intervals) <= len(others) else (others, "not ")
        show = (
            mac_text
            if field is fields.MAC
            else _address_show(self.encoder.family)
            if field.bits == 128
            else str
        )
        return f"{field.words} {lead}{_listed((_range(pair, show) for pair in few), 'or')}"

    def _free(self, free: Free, intervals: tuple[Interval, ...]) -> str:
        holds = intervals == ((1, 1),)
        words = self.free_words(free)
        return f"only where {words}" if holds else f"only where not: {words}"

    def free_words(self, free: Free) -> str:
        """What a free variable asks, in words."""
        words = visible(self.encoder.words.get(free.text, free.text))
        for level, new in free.after:
            value = getattr(new, "value", None)
            if level == DST and value is not None:
                words = words.replace(
                    "to a local address",
                    f"{address_text(value, self.encoder.family)} is an address of this host",
                )
                words = words.replace(
                    "to an address of this host",
                    f"{address_text(value, self.encoder.family)} is an address of this host",
                )
        return words


def _address_show(family: int) -> object:
    return lambda number: address_text(number, family)


def _numbers(intervals: Sequence[Interval]) -> frozenset[int]:
    return frozenset(_all(intervals))


def _all(intervals: Sequence[Interval]) -> list[int]:
    return [n for low, high in intervals for n in range(low, high + 1)]


def _count(intervals: Sequence[Interval]) -> int:
    return sum(high - low + 1 for low, high in intervals)


def _ports(pair: Interval) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"


def _range(pair: Interval, show: object) -> str:
    assert callable(show)
    return str(show(pair[0])) if pair[0] == pair[1] else f"{show(pair[0])} to {show(pair[1])}"


def _listed(words: "Iterator[str] | Sequence[str] | map[str]", last: str) -> str:
    parts = list(words)
    if len(parts) > _SHOWN + 1:
        return f"{', '.join(parts[:_SHOWN])} (+ {len(parts) - _SHOWN} more)"
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}" if len(parts) > 1 else parts[0] if parts else "none"


def _prefixes(intervals: Sequence[Interval], family: int) -> list[str]:
    """Intervals of addresses in words: as a prefix where one is enough, else by their ends."""
    full = 32 if family == 4 else 128
    told = []
    for low, high in intervals:
        size = high - low + 1
        if low == high:
            told.append(address_text(low, family))
        elif is_prefix(low, high):
            told.append(f"{address_text(low, family)}/{full - size.bit_length() + 1}")
        else:
            told.append(f"{address_text(low, family)} to {address_text(high, family)}")
    return told


def _flags(intervals: Sequence[Interval]) -> str:
    """Flags as a mask where they are one: ``syn without ack`` …; else that there are some."""
    inside = _numbers(intervals)
    asked = [
        name for name, bit in _FLAGS.items() if any((n ^ bit in inside) != (n in inside) for n in range(256))
    ]
    mask = sum(_FLAGS[name] for name in asked)
    values = {n & mask for n in inside}
    if len(values) == 1:
        value = values.pop()
        on = [name for name in asked if _FLAGS[name] & value]
        off = [name for name in asked if not _FLAGS[name] & value]
        return " ".join(
            [*(["with", " and ".join(on)] if on else []), *(["without", " and ".join(off)] if off else [])]
        )
    return f"with some of the tcp flags {', '.join(asked)}"
