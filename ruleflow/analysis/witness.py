"""One packet out of a set, as ordinary as the set allows, and the command that walks it."""

from collections.abc import Iterator

from ruleflow.netfilter.encode import (
    BIT_BASE,
    BITWISE,
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
    STATE_ORDER,
    Encoder,
    bit_of,
)
from ruleflow.netfilter.idd import LEAF_LEVEL, NOTHING
from ruleflow.netfilter.intervals import Interval
from ruleflow.netfilter.packet import Packet
from ruleflow.ruleset.addresses import address_number, address_text
from ruleflow.ruleset.protocols import PORTED

_LIKED = {
    PROTO: (6, 17, 1, 58), SPORT: (40000,), DPORT: (80, 443, 22, 53), STATE: (1, 2, 3, 4, 0),
    LEVELS["tcp_flags"]: (2, 16, 18), LEVELS["icmp_type"]: (8, 128), LEVELS["icmp_code"]: (0,),
    LEVELS["ttl"]: (64,), LEVELS["length"]: (60,), LEVELS["mac"]: (0x020000000001,),
}  # fmt: skip
"""Values that an ordinary packet has, tried in order."""
_ADDRESSES: dict[int, dict[int, tuple[str, ...]]] = {
    4: {SRC: ("203.0.113.9", "10.0.0.9"), DST: ("192.0.2.1", "198.51.100.1")},
    6: {SRC: ("2001:db8:1::9",), DST: ("2001:db8::1",)},
}
_ORDER = (PROTO, STATE, IN, OUT, DST, DPORT, SRC, SPORT)
_TRIED = 16
"""Of how many things that only a host knows each is tried alone."""
_UNSAID = frozenset({"socket_exists", "ct_direction", "ct_protocol", "priority"})


class Witness:
    """A packet of a set (which must not be empty), its free variables as taken.

    ``entry`` says whether it arrives or is sent; ``out`` whether its outgoing interface is to be said.
    """

    def __init__(self, encoder: Encoder, where: int, entry: str) -> None:
        self.encoder, self.diagrams = encoder, encoder.diagrams
        self.entry = entry
        self.numbers: dict[int, int] = {}
        self.taken: dict[int, bool] = {}
        self._choose(where)

    def _choose(self, where: int) -> None:
        strange = (
            58 if self.encoder.family == 4 else 1
        )  # `Packet` takes no such thing; other packets are preferred
        usual = self.diagrams.without(where, self.diagrams.test(PROTO, ((strange, strange),)))
        where = self._ordinary(where if usual == NOTHING else usual)
        self.support = self.diagrams.support(where)
        for level in [*_ORDER, *sorted(self.support - set(_ORDER))]:
            value = self._value(where, level)
            self.numbers[level] = value
            where = self.diagrams.restrict(where, level, value)

    def _ordinary(self, where: int) -> int:
        """Without what only a host knows, or with one such thing: two of them may exclude each other, a packet does not show it."""
        free = sorted(level for level in self.diagrams.support(where) if level >= FREE_BASE)
        for held in (-1, *free[:_TRIED]):
            bare = self._settled(where, held)
            if bare != NOTHING:
                self.numbers |= {level: int(level == held) for level in free}
                return bare
        return where

    def _settled(self, where: int, held: int) -> int:
        """The packets of the set of which no free variable holds but that one."""
        diagrams, memo = self.diagrams, self.diagrams.memo(("settled", held))

        def walk(a: int) -> int:
            while FREE_BASE <= diagrams.level[a] < LEAF_LEVEL:
                a = diagrams.child(a, int(diagrams.level[a] == held))
            if diagrams.level[a] == LEAF_LEVEL:
                return a
            found = memo.get(a)
            if found is None:
                kids = [walk(kid) for kid in diagrams.kids[a]]
                found = memo[a] = diagrams.rejoin(diagrams.level[a], diagrams.ends[a], kids)
            return found

        return walk(where)

    def _value(self, where: int, level: int) -> int:
        for value in self._liked(level):
            if self.diagrams.restrict(where, level, value) != NOTHING:
                return value
        return _inner(self.diagrams.shadow(where, level))

    def _liked(self, level: int) -> Iterator[int]:
        atoms = self.encoder.atoms
        if level == IN:
            yield from [0] if self.entry == "send" else [atoms.of("eth0"), *range(2, len(atoms)), 1]
        elif level == OUT:
            yield from (atoms.of("eth1"), *(n for n in range(2, len(atoms)) if n != atoms.of("lo")), 1)
        elif level in (SRC, DST):
            for text in _ADDRESSES[self.encoder.family][level]:
                yield address_number(text, self.encoder.family)
        elif level >= BIT_BASE:
            yield 0
        else:
            yield from _LIKED.get(level, (0,) if level > SPORT else ())

    def packet(self, *, out: bool) -> Packet:
        """The packet; ``out``: with the interface it leaves by."""
        facts: dict[str, object] = {"family": self.encoder.family}
        names = {level: name for name, level in LEVELS.items()}
        bits: dict[str, int] = {}
        protocol = self.numbers[PROTO]
        for level, value in self.numbers.items():
            if level >= FREE_BASE:
                self.taken[level] = bool(value)
            elif level >= BIT_BASE:
                name, number = bit_of(level)
                bits[name] = bits.get(name, 0) | value << number
            else:
                facts[names[level]] = self._fact(names[level], value)
        facts |= {name: value for name, value in bits.items() if value and name in BITWISE}
        if self.entry == "send":
            facts.pop("in_interface", None)
        if not out:
            facts.pop("out_interface", None)
        if STATE not in self.support:
            facts.pop("state")
        return Packet(**{name: value for name, value in facts.items() if _has(name, protocol)})  # type: ignore[arg-type]

    def _fact(self, name: str, value: int) -> object:
        if name == "state":
            return STATE_ORDER[value]
        if name in ("in_interface", "out_interface", "physdev_in", "physdev_out", "helper"):
            return self.encoder.atoms.name(value) or None
        return value

    def walk(self, source: str, way: str) -> str:
        """The command that shows it. ``way`` as in `changes.Class`."""
        packet = self.packet(out=way in ("through", "out"))
        words = f"ruleflow walk {source} {packet}"
        if way == "in" and packet.destination is not None:
            words += f" --local {address_text(packet.destination, packet.family)}"
        return words


def _has(name: str, protocol: int) -> bool:
    """Whether a packet of that protocol has the field, and it is one to be said."""
    if name in _UNSAID:
        return False
    if name in ("source_port", "destination_port"):
        return protocol in PORTED
    if name in ("tcp_flags", "tcp_options", "mss"):
        return protocol == 6
    if name in ("icmp_type", "icmp_code"):
        return protocol in (1, 58)
    return True


def _inner(intervals: tuple[Interval, ...]) -> int:
    """A number of the first wide interval, not its first where it looks like a network's own address, or a gateway's."""
    low, high = max(intervals[:8], key=lambda pair: pair[1] - pair[0])
    return low + 9 if high - low > _NETWORK else low + 1 if high > low else low


_NETWORK = 14
"""A network of fewer hosts than that is a cable between two routers, or so."""
