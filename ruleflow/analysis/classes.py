"""All packets sorted into classes beforehand, as plain data: what the report's packet form looks its answer up in.

The diagrams of `ruleflow.netfilter.flow` say what the rules do. What the host itself decides (routes, sources it
does not believe, types of addresses) depends on intervals of addresses between whose bounds nothing changes; one
packet of each is asked. What the form cannot know it says: policy routing, a second look for a route in OUTPUT,
conditions computed from facts of the host.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ruleflow.netfilter.alter import Alter, Bits, Grow, Is, Mapped, New, OneOf, Plus, Same, Xor
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
    Free,
    bit_of,
)
from ruleflow.netfilter.fib import uses_default_rules
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.host import Address
from ruleflow.netfilter.idd import LEAF_LEVEL
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.outcome import Outcome
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point
from ruleflow.netfilter.routing import arrival_fault
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.source_address import masquerade
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.state import DEFAULTS
from ruleflow.ruleset import fields
from ruleflow.ruleset.condition import Derived, Undecided

MOST_NODES = 60_000
"""Larger diagrams make the page too large: the form then is left out."""
_MOST_MADE = 400_000
"""How many diagrams may be made on the way: rules that nobody can decide multiply."""
_MOST_ASKED = 60_000
"""How many routing decisions are asked at most."""
Data = dict[str, Any]


def packet_classes(machine: Machine) -> Data | None:
    """The data, as JSON knows it (numbers beyond 2**53 as text); None where they would be too large.

    ``machine`` has one rule set. Raises `RuleflowError` where its chains call each other in a
    circle, and where rules that nobody can decide make too many classes.
    """
    return _Classes(machine).data() if len(machine.rulesets) == 1 else None


class _Classes:
    def __init__(self, machine: Machine) -> None:
        self.machine, self.family = machine, machine.family
        self.rules = machine.rulesets[0]
        self.names = [link.name for link in machine.host.interfaces if link.name != "lo"]
        self.space = Space([self.rules], self.names)
        self.space.diagrams.most = _MOST_MADE
        self.flow = Flow(Side(self.space, self.rules))
        self.encoder, self.diagrams = self.space.encoder, self.space.diagrams
        self.numbers: dict[int, int] = {}
        self.nodes: list[Any] = []

    def data(self) -> Data | None:
        roots = {
            "before": self.flow.before_routing(), "in": self.flow.entry("in"),
            "through": self.flow.entry("through"), "send": self.flow.entry("send"),
        }  # fmt: skip
        starts = {name: self._number(root) for name, root in roots.items()}
        if len(self.nodes) > MOST_NODES:
            return None
        used = {node[0] for node in self.nodes if node[0] >= 0}
        bounds = sorted(set(self._bounds()))
        free = {
            level: self._free(self.encoder.free[level], bounds)
            for level in sorted(used)
            if level >= FREE_BASE
        }
        return {
            "family": self.family, "levels": {"out": OUT, "dst": DST, "proto": PROTO, "dport": DPORT, "in": IN, "src": SRC, "sport": SPORT, "state": STATE, **self._changeable()},
            "large": [level for level in sorted(used | {SRC, DST}) if self.diagrams.tops.get(level, 0) > 2**53],
            "roots": starts, "nodes": self.nodes, "free": free, "names": self._atoms(), "interfaces": self.names,
            "defaults": self._defaults(used), "unknown": self._unknowns(used), "bounds": [str(bound) for bound in bounds],
            "sure": [int(self.machine.is_sure(bound)) for bound in bounds], "routes": self._routes(bounds),
            "addressless": self._addressless(bounds),
            "policy": not uses_default_rules(self.machine.host),
        }  # fmt: skip

    def _unknowns(self, used: Iterable[int]) -> dict[int, str]:
        """The levels that nobody says anything of, and their fields' words."""
        words = {level: _unknown(level) for level in sorted(used) if level < FREE_BASE}
        return {level: said for level, said in words.items() if said}

    def _changeable(self) -> dict[str, int]:
        return {"tos": LEVELS["tos"]}

    # -- diagrams -------------------------------------------------------------------------------------------

    def _number(self, root: int) -> int:
        """The number of a diagram among the nodes written out; children before those that ask them."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.numbers:
                stack.pop()
                continue
            missing = [kid for kid in self.diagrams.kids[node] if kid not in self.numbers]
            if missing:
                stack += missing
                continue
            self.numbers[node] = len(self.nodes)
            self.nodes.append(self._node(node))
            stack.pop()
        return self.numbers[root]

    def _node(self, node: int) -> list[Any]:
        level = self.diagrams.level[node]
        if level == LEAF_LEVEL:
            return [-1, *self._leaf(self.flow.outcomes.value(node))]
        return [
            level,
            [_plain(end) for end in self.diagrams.ends[node]],
            [self.numbers[kid] for kid in self.diagrams.kids[node]],
        ]

    def _leaf(self, outcome: Outcome) -> list[Any]:
        return [outcome.then, _changes(outcome.alter), [list(tag) for tag in outcome.tags]]

    def _atoms(self) -> list[list[Any]]:
        atoms = self.encoder.atoms
        return [[atoms.words(number), name, exact] for number, (name, exact) in enumerate(atoms._order)]  # noqa: SLF001

    # -- free variables -------------------------------------------------------------------------------------

    def _free(self, free: Free, bounds: list[int]) -> Data:
        found: Data = {
            "text": self.encoder.words.get(free.text, free.text),
            "after": _changes(Alter(cast("tuple[tuple[int, New], ...]", free.after))),
        }
        condition = free.condition
        if isinstance(condition, Derived) and condition.fact == "address_type":
            asked: dict[str, Any] = dict(condition.arguments)
            if not asked.get("interface"):
                types = tuple(asked["types"])
                says = (self.machine.has_type(bound, types) for bound in bounds)
                return found | {
                    "side": "src" if asked["address"] == "source" else "dst", "types": list(types),
                    "says": [None if one is None else int(one) for one in says],
                }  # fmt: skip
        if not isinstance(condition, Undecided) and condition is not None:
            found["known"] = True  # a walk may know the answer from facts of the host
        return found

    # -- the host -------------------------------------------------------------------------------------------

    def _bounds(self) -> Iterator[int]:
        """Where the host may begin to treat another address differently."""
        width = 32 if self.family == 4 else 128
        specials = _SPECIAL[self.family]
        networks = [
            (one.destination, one.length)
            for one in self.machine.host.routes or ()
            if one.family == self.family
        ]
        networks += [(one.address, width) for _, one in self.machine.host.addresses(self.family)]
        yield 0
        for address, length in (*networks, *specials):
            size = 1 << (width - length)
            start = address & ~(size - 1)
            yield start
            if start + size < 1 << width:
                yield start + size

    def _routes(self, bounds: list[int]) -> Data:
        """For each interface (none: sent by this host), destination and source the decision, each kind once."""
        kinds: dict[tuple[str, str], int] = {}
        entries = [*self.names, ""]
        every = len(bounds) ** 2 * len(entries) <= _MOST_ASKED
        sources = bounds if every else [bounds[bisect_left(bounds, _ORDINARY[self.family] + 1) - 1]]
        rows: dict[str, list[list[int]]] = {}
        for name in entries:
            rows[name] = [self._row(name, to, sources, kinds) for to in bounds]
        return {"rows": rows, "kinds": [list(kind) for kind in kinds], "every": every}

    def _row(self, name: str, to: int, sources: list[int], kinds: dict[tuple[str, str], int]) -> list[int]:
        found = [kinds.setdefault(self._decision(name, to, source), len(kinds)) for source in sources]
        return found if len(set(found)) > 1 else found[:1]

    def _decision(self, name: str, to: int, source: int) -> tuple[str, str]:
        """``local``, ``out`` with the interface, ``unknown`` with it, or ``stop`` with the reason."""
        iif = name or None
        if iif and arrival_fault(to, source, self.family, iif):
            return "fault", "it is dropped as it arrives"
        way = self.machine.route(
            to, source=source, iif=iif, oif=None, mark=0, uid=None, protocol=6, source_port=40000, destination_port=80,
            tos=0, any_source=bool(iif),
        )  # fmt: skip
        if way.kind == "unknown":
            return "unknown", ""
        if way.error:
            return "stop", way.kind
        if way.delivers:
            return "local", ""
        return "out", way.interface or ""

    def _addressless(self, bounds: list[int]) -> Data:
        """The interfaces that may have no address to give: to what leaves by them, to what arrives by them."""
        host = self.machine.host
        if not any(link.addresses for link in host.interfaces if link.name != "lo"):
            return {"out": [], "in": []}  # then a walk takes it that there is one
        links = host.interfaces
        none = (
            link.name
            for link in links
            if any(masquerade(host, link.name, 0, to, self.family) is None for to in bounds)
        )
        return {
            "out": list(none),
            "in": [
                link.name
                for link in links
                if not any(_can_be_given(one, self.family) for one in link.addresses)
            ],
        }

    def _defaults(self, used: Iterable[int]) -> Data:
        """What a packet has that the form does not ask for, by protocol: arriving, and sent by this host."""
        levels = [level for level in sorted(used) if level < FREE_BASE]
        icmp = 1 if self.family == 4 else 58
        return {
            f"{number}{way}": {level: _plain(self._point(number, way)[level]) for level in levels}
            for number in (6, 17, icmp) for way in ("arrive", "send")
        }  # fmt: skip

    def _point(self, number: int, way: str) -> Point:
        packet = Packet(
            family=self.family,
            protocol=number,
            source=0,
            destination=0,
            in_interface="x" if way == "arrive" else None,
        )
        ported = {"source_port": 40000, "destination_port": 80} if number in (6, 17) else {}
        return Point(self.encoder, packet.with_(**ported))


_SPECIAL = {
    4: ((0, 32), (0x7F000000, 8), (0xE0000000, 4), (0xE0000001, 32), (0xFFFFFFFF, 32), (0, 8)),
    6: ((0, 128), (1, 128), (0xFF << 120, 8), (0xFFFF << 32, 96), (0xFE80 << 112, 10), *((0xFF << 120 | scope << 112, 16) for scope in range(3))),
}  # fmt: skip
"""Networks that the kernel itself treats differently: zero, loopback, multicast, broadcast, mapped, link-local."""
_ORDINARY = {4: 0xCB007109, 6: 0x20010DB8 << 96 | 9}
"""A source like any other (RFC 5737, RFC 3849)."""


_BY_LEVEL = {level: name for name, level in LEVELS.items()}
_GIVEN = frozenset({
    "source", "destination", "protocol", "source_port", "destination_port", "icmp_type", "icmp_code", "state", "in_interface",
    "out_interface", "socket_exists", "physdev_in", "physdev_out", "helper", *DEFAULTS,
})  # fmt: skip
"""What the form is told, and what a walk takes for a fact where nobody says it."""


def _unknown(level: int) -> str:
    """The words of a level's field, where a walk goes both ways because nobody said it; else nothing."""
    name = bit_of(level)[0] if level >= BIT_BASE else _BY_LEVEL[level]
    return "" if name in _GIVEN else fields.BY_NAME[name].words


def _can_be_given(address: Address, family: int) -> bool:
    """Whether REDIRECT may send packets to it (nf_nat_redirect.c), for IPv6 those to global addresses."""
    return (
        address.family == family
        and address.scope == "global"
        and not {"secondary", "tentative"} & set(address.flags)
    )


def _plain(number: int) -> int | str:
    return number if number < 2**53 else str(number)


def _changes(alter: Alter) -> list[list[Any]]:
    return [[level, *_change(new)] for level, new in alter.changes]


def _change(new: New) -> tuple[Any, ...]:
    match new:
        case Is(value=value):
            return "=", _plain(value)
        case Plus(by=by):
            return "+", by
        case Bits(clear=clear, xor=xor):
            return "b", clear, xor
        case Grow(by=by):
            return "g", by
        case Xor(levels=levels, flip=flip):
            return "x", list(levels), int(flip)
        case Same(level=level):
            return "s", level
        case Mapped(base=base, size=size):
            return "m", str(base), str(size)
        case OneOf(why=why):
            return "?", why
