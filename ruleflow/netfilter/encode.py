"""From conditions to diagrams: which level each field has, and which packets a condition holds for.

Most conditions are a union of intervals of one field. Marks and other bit masks are one level for each bit
that is looked at; interface names become numbers of *atoms*: the names that occur, and for each wildcard and
for the whole "any other". What cannot be decided from a packet is a free variable with a level of its own,
behind all fields, named by its text; where it remembers (limit, recent) also by its place.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ruleflow.netfilter.asked import Asked, remembers
from ruleflow.netfilter.atoms import NONE, Atoms
from ruleflow.netfilter.bits import by_bits
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams
from ruleflow.netfilter.intervals import Interval, common, joined, masked_intervals, outside
from ruleflow.ruleset import fields
from ruleflow.ruleset.condition import (
    AllOf,
    AnyBit,
    AnyOf,
    Condition,
    Derived,
    In,
    Intervals,
    Masked,
    Names,
    Never,
    Undecided,
)
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.protocols import PORTED

_FIRST = (
    fields.OUT_INTERFACE, fields.DESTINATION, fields.PROTOCOL, fields.DESTINATION_PORT, fields.STATE,
    fields.TCP_FLAGS, fields.IN_INTERFACE, fields.SOURCE, fields.MAC, fields.SOURCE_PORT, fields.ICMP_TYPE,
    fields.ICMP_CODE,
)  # fmt: skip
"""The order that was measured to be best on real firewalls; free variables come last."""

BITWISE = ("mark", "connmark", "ct_status", "tcp_options")
"""Fields that rules look at by masks: a level for each bit; equal bits of the marks stand together, as rules copy them."""

LEVELS: dict[str, int] = {
    field.name: level
    for level, field in enumerate((*_FIRST, *(f for f in fields.BY_NAME.values() if f not in _FIRST)))
}
BIT_BASE, FREE_BASE = 1 << 10, 1 << 20
STATE_ORDER = tuple(fields.STATES.values())
"""A connection's state is a number from 0 to 4 on its level, in the order of `fields.STATES`."""

OUT, DST, PROTO, DPORT = (LEVELS[f.name] for f in _FIRST[:4])
STATE, IN, SRC, SPORT = (LEVELS[_FIRST[i].name] for i in (4, 6, 7, 9))
SOCKET = LEVELS["socket_exists"]

_HEADER_OF: dict[str, frozenset[int]] = {
    "source_port": PORTED, "destination_port": PORTED, "tcp_flags": frozenset({6}), "tcp_options": frozenset({6}),
    "mss": frozenset({6}), "icmp_type": frozenset({1, 58}), "icmp_code": frozenset({1, 58}),
    "dccp_type": frozenset({33}), "mh_type": frozenset({135}), "spi": frozenset({50, 51}),
}  # fmt: skip
"""The protocols that have a field at all; for others every test of it fails."""

_OF_CONNECTION = frozenset(name for name in LEVELS if name.startswith("ct_")) | {"connmark", "helper"}
TRACKED: tuple[Interval, ...] = ((1, 3),)
"""The states (as numbers of their level) of a packet that has a connection: NEW, ESTABLISHED, RELATED."""


def bit_of(level: int) -> tuple[str, int]:
    """The field and the number of the bit that a level asks."""
    number, at = divmod(level - BIT_BASE, len(BITWISE))
    return BITWISE[at], number


class Free(msgspec.Struct, frozen=True):
    """A free variable: the condition it stands for (not negated), where (if it remembers), after which rewrites.

    ``reads`` are the levels its answer depends on, as far as known.
    """

    text: str
    condition: Condition | None = None
    place: Hashable = None
    after: tuple[tuple[int, object], ...] = ()
    reads: frozenset[int] = frozenset()


class Encoder:
    """The levels and free variables of one or two rule sets of a family, and conditions as sets over them."""

    def __init__(self, diagrams: Diagrams, family: int, names: Iterable[str] = ()) -> None:
        self.diagrams = diagrams
        self.family = family
        self.atoms = Atoms({*names, "lo"})
        self.free: dict[int, Free] = {}
        self.read: frozenset[int] = frozenset()
        """All levels that some free variable depends on."""
        self.words: dict[str, str] = {}
        """How a person says a computed condition, by the name of its free variable."""
        self.elsewhere: Callable[[int, tuple[str, ...]], bool | None] | None = None
        """Says of an address whether it is of one of the types, where something is known of this host."""
        self.types: Callable[[tuple[str, ...]], tuple[tuple[Interval, ...], tuple[Interval, ...]]] | None = (
            None
        )
        """The addresses that are of some types, and those of which it is not known, where a host is known."""
        self.uses_fragments = self.uses_connections = False
        self._levels: dict[Free, int] = {}
        self._plain: dict[int, tuple[tuple[tuple[int, Sequence[Interval]], ...] | None, In]] = {}
        """By the identity of a condition, which is kept with it: rules share most of theirs."""
        for name, level in LEVELS.items():
            diagrams.tops[level] = self._top(fields.BY_NAME[name])

    def _top(self, field: Field) -> int:
        if field.bits is None:
            return max(len(self.atoms) - 1, 0)
        if field is fields.STATE:
            return len(STATE_ORDER) - 1
        return (1 << (32 if field.bits == 128 and self.family == 4 else field.bits)) - 1

    # -- free variables and bits ----------------------------------------------------------------------------

    def free_level(self, free: Free, top: int = 1) -> int:
        """The level of a free variable; new ones come behind all others."""
        level = self._levels.get(free)
        if level is None:
            level = self._levels[free] = FREE_BASE + len(self._levels)
            self.free[level] = free
            self.read |= free.reads
            self.diagrams.tops[level] = top
        return level

    def variable(self, free: Free) -> int:
        """The set of packets for which a free variable is true."""
        return self.diagrams.test(self.free_level(free), ((1, 1),))

    def bit(self, field: Field, number: int) -> int:
        """The level of one bit of a field."""
        level = BIT_BASE + number * len(BITWISE) + BITWISE.index(field.name)
        self.diagrams.tops.setdefault(level, 1)
        return level

    def settled(self, free: Free, after: "Iterable[tuple[int, object]]") -> bool | None:
        """Whether a free variable's answer is known once a field has become a constant; None where it is not."""
        if (
            not isinstance(free.condition, Derived)
            or free.condition.fact != "address_type"
            or self.elsewhere is None
        ):
            return None
        asked = dict(free.condition.arguments)
        if asked["interface"]:
            return None
        for level, new in after:
            value = getattr(new, "value", None)
            if level == (SRC if asked["address"] == "source" else DST) and isinstance(value, int):
                return self.elsewhere(value, asked["types"])  # type: ignore[arg-type]
        return None

    def careless(self) -> int:
        """Packets whose addresses show their type: what `address_type` variables say of them does not matter."""
        if self.family == 6:
            return NOTHING
        found = NOTHING
        for level, free in list(self.free.items()):
            if (
                isinstance(free.condition, Derived)
                and free.condition.fact == "address_type"
                and not free.after
            ):
                side = min(free.reads)
                top = self.diagrams.tops[side]
                special = self.diagrams.test(side, ((0, 0), (0xE0000000, 0xEFFFFFFF), (top, top)))
                found = self.diagrams.either(
                    found, self.diagrams.both(special, self.diagrams.test(level, ((1, 1),)))
                )
        return found

    # -- conditions -----------------------------------------------------------------------------------------

    def asked(self, conditions: Iterable[Condition]) -> Asked:
        """Conditions taken apart: one set of intervals for each level, and what is left to ask."""
        tests: dict[int, Sequence[Interval]] = {}
        others: list[Condition] = []
        for condition in conditions:
            plain = self._tests_of(condition) if type(condition) is In else None
            if plain is None:
                others.append(condition)
                continue
            for level, intervals in plain:
                old = tests.get(level)
                tests[level] = intervals if old is None else common(old, intervals)
        return Asked(tuple(sorted(tests.items(), reverse=True)), tuple(others), any(map(remembers, others)))

    def _tests_of(self, condition: In) -> tuple[tuple[int, Sequence[Interval]], ...] | None:
        """A condition as intervals by level, with what a packet must be to have the field; None where it is no such."""
        known = self._plain.get(id(condition))
        if known is None:
            level = LEVELS[condition.field.name]
            intervals = self._simple(condition, level)
            found = None if intervals is None else ((level, intervals), *self._needs(condition.field.name))
            known = self._plain[id(condition)] = found, condition
        return known[0]

    def build(self, asked: Asked, place: Hashable = None, inside: int = EVERYTHING) -> int:
        """``inside`` for the packets that meet what is asked; ``place`` names the rule to what remembers."""
        test = self.diagrams.test
        for level, intervals in asked.tests:
            inside = test(level, intervals, inside)
        for condition in asked.others:
            inside = self.diagrams.both(self.one(condition, place), inside)
        return inside

    def _require_header(self, field: Field, tests: dict[int, Sequence[Interval]]) -> None:
        """A packet without the field fails every test of it (`Facts.absent`): what it must have to have it."""
        for level, wanted in self._needs(field.name):
            old = tests.get(level)
            tests[level] = wanted if old is None else common(old, wanted)

    def _needs(self, name: str) -> Iterator[tuple[int, tuple[Interval, ...]]]:
        if name in _OF_CONNECTION:
            yield STATE, TRACKED
        elif name in _HEADER_OF:
            yield PROTO, tuple((p, p) for p in sorted(_HEADER_OF[name]))
            if self.uses_fragments and name not in ("spi", "dccp_type", "mh_type"):
                yield LEVELS["fragment"], ((0, 0),)
        elif name == "mac":
            yield IN, outside((self.atoms.range(NONE), self.atoms.range("lo")), self.diagrams.tops[IN])
        elif name in ("uid", "gid"):
            yield SOCKET, ((1, 1),)
        elif name in ("physdev_in", "physdev_out"):
            yield LEVELS[name], ((1, self.diagrams.tops[LEVELS[name]]),)

    def one(self, condition: Condition, place: Hashable = None) -> int:
        """The packets that meet one condition."""
        match condition:
            case In():
                return self._in(condition)
            case Never():
                return NOTHING
            case AllOf() | AnyOf():
                return self._several(condition, place)
            case Derived():
                return self._negate_if(condition.negated, self.derived(condition, place))
            case Undecided():
                return self._undecided(condition, place)

    def _several(self, condition: AllOf | AnyOf, place: Hashable) -> int:
        parts = [self.one(part, (place, n)) for n, part in enumerate(condition.conditions)]
        either = isinstance(condition, AnyOf)
        found = NOTHING if either else EVERYTHING
        for part in parts:
            found = self.diagrams.either(found, part) if either else self.diagrams.both(found, part)
        return self._negate_if(condition.negated, found)

    def _negate_if(self, negated: bool, found: int) -> int:
        return self.diagrams.complement(found) if negated else found

    def _undecided(self, condition: Undecided, place: Hashable) -> int:
        text = condition.text.removeprefix("! ") if condition.negated else condition.text
        bare = Undecided(text, condition.memory, condition.probability)
        free = Free(text, bare, place if condition.memory else None)
        return self._negate_if(condition.negated, self.variable(free))

    def derived(self, condition: Derived, place: Hashable) -> int:  # noqa: ARG002
        """The packets for which a computed condition (not negated) holds."""
        bare = Derived(condition.fact, condition.arguments)
        free = Free(derived_text(condition), bare, None, (), reads_of(condition))
        if condition.text and not condition.negated:
            self.words.setdefault(free.text, condition.text)
        if condition.fact == "address_type":
            asked = dict(condition.arguments)
            if self.types is not None and not asked["interface"]:
                return self._known_type(free, asked)
            return self._address_type(free, asked)
        return self.variable(free)

    def _known_type(self, free: Free, asked: dict[str, Any]) -> int:
        """By the host's tables; where they leave it open (or two hosts differ), a free variable."""
        assert self.types is not None
        level = SRC if asked["address"] == "source" else DST
        yes, unknown = self.types(asked["types"])
        found = self.diagrams.test(level, yes)
        if unknown:
            maybe = self.diagrams.both(self.diagrams.test(level, unknown), self.variable(free))
            found = self.diagrams.either(found, maybe)
        return found

    def _address_type(self, free: Free, asked: dict[str, Any]) -> int:
        """Some addresses show their type, for others it is the host's affair (`address_type.is_of_type`)."""
        level, types = (SRC if asked["address"] == "source" else DST), asked["types"]
        top = self.diagrams.tops[level]
        if self.family == 6:
            return self._address_type_six(free, level, frozenset(types))
        broadcast, multicast = ((0, 0), (top, top)), ((0xE0000000, 0xEFFFFFFF),)
        found = self.diagrams.both(
            self.diagrams.test(level, outside(joined(broadcast + multicast), top)), self.variable(free)
        )
        for kind, addresses in (("BROADCAST", broadcast), ("MULTICAST", multicast)):
            if kind in types:
                found = self.diagrams.either(found, self.diagrams.test(level, addresses))
        return found

    def _address_type_six(self, free: Free, level: int, types: frozenset[str]) -> int:
        """match_type6: each of MULTICAST, UNICAST and UNSPEC that is asked for must hold, then one of the others."""
        top = self.diagrams.tops[level]
        multicast, mapped = (0xFF << 120, top), (0xFFFF << 32, (0x10000 << 32) - 1)
        found = self.variable(free) if types & {"ANYCAST", "LOCAL", "UNREACHABLE"} else EVERYTHING
        for kind, addresses in (
            ("MULTICAST", (multicast,)),
            ("UNICAST", outside(((0, 0), mapped, multicast), top)),
            ("UNSPEC", ((0, 0),)),
        ):
            if kind in types:
                found = self.diagrams.both(self.diagrams.test(level, addresses), found)
        return found

    def local(self) -> int:
        """The packets whose destination is an address of this host, as ``-m addrtype --dst-type LOCAL`` asks it."""
        arguments = (("address", "destination"), ("types", ("LOCAL",)), ("interface", ""))
        return self.derived(Derived("address_type", arguments, text="to an address of this host"), None)

    def home(self) -> int:
        """The packets that routing gives to this host: to its addresses, and what it knows of broadcasts."""
        if self.types is None:
            return self.local()
        yes, unknown = self.types(("LOCAL", "BROADCAST", "ANYCAST"))
        found = self.diagrams.test(DST, yes)
        top = self.diagrams.tops[DST]
        groups = (0xE0000000, 0xEFFFFFFF) if self.family == 4 else (0xFF << 120, top)
        for text, addresses in (
            ("to an address of this host", unknown),
            ("this host has joined the multicast group", (groups,)),
        ):
            if addresses:
                maybe = self.diagrams.both(
                    self.diagrams.test(DST, addresses), self.variable(Free(text, reads=frozenset({DST})))
                )
                found = self.diagrams.either(found, maybe)
        return found

    def _in(self, condition: In) -> int:
        level = LEVELS[condition.field.name]
        intervals = self._simple(condition, level)
        if intervals is not None:
            tests: dict[int, Sequence[Interval]] = {level: intervals}
            self._require_header(condition.field, tests)
            return self.diagrams.cube(tests.items())
        if condition.field.name in BITWISE:
            found = by_bits(
                self.diagrams,
                [self.bit(condition.field, n) for n in range(condition.field.bits or 0)],
                condition.values,
            )
            found = self._negate_if(condition.negated, found)
            return self.diagrams.both(self._has_header(condition.field), found)
        bare = In(condition.field, condition.values)
        free = Free(f"{condition.field.words} in {condition.values}", bare, None, (), frozenset({level}))
        if condition.text and not condition.negated:
            self.words.setdefault(free.text, condition.text)
        return self._negate_if(condition.negated, self.variable(free))

    def _has_header(self, field: Field) -> int:
        tests: dict[int, Sequence[Interval]] = {}
        self._require_header(field, tests)
        return self.diagrams.cube(tests.items())

    def _simple(self, condition: In, level: int) -> tuple[Interval, ...] | None:
        """The condition as intervals of its level; None where it is looked at bit by bit or has too many."""
        field = condition.field
        if field.name in BITWISE:
            return None
        found = self.intervals(field, condition.values)
        if found is None or not condition.negated:
            return found
        return outside(found, self.diagrams.tops[level])

    def intervals(self, field: Field, values: object) -> tuple[Interval, ...] | None:
        """A set of values as disjoint rising intervals on the field's level; None where there are too many."""
        match values:
            case Names(patterns=patterns):
                return joined(self.atoms.range(pattern) for pattern in patterns)
            case Intervals(pairs=pairs):
                if field is fields.STATE:
                    return _states(sum(bit for bit in STATE_ORDER if bit in values))
                return joined(pair for pair in pairs if pair[0] <= pair[1])
            case AnyBit(mask=mask) | Masked(mask=mask) if field is fields.STATE:
                return _states(sum(bit for bit in STATE_ORDER if bit in values))
            case Masked(value=value, mask=mask):
                return masked_intervals(value, mask, self.diagrams.tops[LEVELS[field.name]])
            case AnyBit(mask=mask):
                top = self.diagrams.tops[LEVELS[field.name]]
                none = masked_intervals(0, mask, top)
                return None if none is None else outside(none, top)
        raise TypeError(f"{values!r} is no set of values")


def _states(mask: int) -> tuple[Interval, ...]:
    return joined((n, n) for n, bit in enumerate(STATE_ORDER) if bit & mask)


def derived_text(condition: Derived) -> str:
    """A name for a computed condition, the same whether it is negated or not."""
    return f"{condition.fact} {' '.join(f'{name}={value}' for name, value in condition.arguments)}".strip()


_ALL_HEADER = frozenset({SRC, DST, SPORT, DPORT, PROTO})


def reads_of(condition: Derived) -> frozenset[int]:
    """The levels that a computed condition may depend on and that rewriting may change."""
    if condition.fact == "address_type":
        return frozenset({SRC if dict(condition.arguments)["address"] == "source" else DST})
    if condition.fact in ("physdev", "sctp_chunks", "policy"):
        return frozenset()
    return _ALL_HEADER
