"""Who may talk to whom at a port: the smallest partition of all addresses that a chain cannot tell apart, and the relation.

As fffuu prints it (Diekmann et al., "Verified iptables Firewall Analysis"): what is not known of a packet, its
interfaces, MAC address or an undecided match, may be as is best (``may``) or as is worst (``must``) for it.
"""

import sys
from collections.abc import Iterable, Sequence

import msgspec

from ruleflow.analysis.lint.entering import entering
from ruleflow.netfilter.encode import DPORT, DST, IN, LEVELS, PROTO, SPORT, SRC, STATE
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams
from ruleflow.netfilter.intervals import Interval, joined
from ruleflow.netfilter.outcome import Verdicts
from ruleflow.netfilter.side import Side, deep
from ruleflow.netfilter.space import Space
from ruleflow.ruleset.ir import Ruleset

_SYN = 2
_SOURCE_PORT = 10000
_LOOPBACK = {4: ((0x7F000000, 0x7FFFFFFF),), 6: ((1, 1),)}


class Matrix(msgspec.Struct, frozen=True):
    """``classes`` are disjoint and together all addresses; ``edges`` are pairs of their numbers: from, to."""

    family: int
    chain: str
    protocol: str
    port: int
    classes: tuple[tuple[Interval, ...], ...]
    edges: frozenset[tuple[int, int]]
    last: int = -1
    """The last port for which the matrix is the same (with all ports asked for)."""

    def of(self, address: int) -> int:
        """The number of an address's class."""
        return next(
            n for n, parts in enumerate(self.classes) if any(low <= address <= high for low, high in parts)
        )

    def allows(self, source: int, destination: int) -> bool:
        """Whether a packet may go."""
        return (self.of(source), self.of(destination)) in self.edges


def passing(rules: Ruleset, most: int = sys.maxsize) -> Side:
    """A rule set's diagrams as far as `Matrices` need them, which is faster; at most ``most`` are made (`TooManyError`)."""
    space = Space([rules], outcomes=Verdicts)
    space.diagrams.most = most
    return Side(space, rules)


class Matrices:
    """The matrices of one chain of the filter table."""

    def __init__(
        self, side: Side, chain: str = "FORWARD", *, unknown: str = "may", protocol: str = "tcp"
    ) -> None:
        self.side, self.diagrams, self.chain = side, side.diagrams, chain
        self.unknown, self.protocol = unknown, protocol
        self._known: dict[int, tuple[tuple[tuple[Interval, ...], ...], frozenset[tuple[int, int]]]] = {}

    def port(self, port: int) -> Matrix:
        """The matrix of one port."""
        return self.ports([port])[0]

    def ports(self, ports: Sequence[int]) -> tuple[Matrix, ...]:
        """The matrices of some ports, in their order."""
        with deep():
            found = self._accepted(joined((port, port) for port in ports))
        relations = (self.diagrams.restrict(found, DPORT, port) for port in ports)
        return tuple(
            self._matrix(port, port, relation) for port, relation in zip(ports, relations, strict=True)
        )

    def all_ports(self) -> tuple[Matrix, ...]:
        """One matrix for each range of ports that fare alike."""
        with deep():
            found = self._by_port(self._accepted(((0, 65535),)))
        return tuple(self._matrix(low, high, relation) for low, high, relation in found)

    # -- what is accepted -----------------------------------------------------------------------------------

    def _accepted(self, ports: Sequence[Interval]) -> int:
        """The new connections' packets to the ports that the chain accepts."""
        side, diagrams = self.side, self.diagrams
        number = {"tcp": 6, "udp": 17}[self.protocol]
        tests: dict[int, Sequence[Interval]] = {
            STATE: ((1, 1),), PROTO: ((number, number),), SPORT: ((_SOURCE_PORT, _SOURCE_PORT),), LEVELS["fragment"]: ((0, 0),),
        }  # fmt: skip
        if number == 6:
            tests[LEVELS["tcp_flags"]] = ((_SYN, _SYN),)
        if tuple(ports) != ((0, 65535),):
            tests[DPORT] = ports
        where = diagrams.both(diagrams.cube(tests.items()), entering(side, "filter", self.chain))
        found = side.hook("filter", self.chain, where)
        accepted = diagrams.map_leaves(found, self._is_accepted, "accepted")
        where = self._from_lo(self._asked_about(where, accepted))
        if self.unknown == "must":
            refused = self._project(diagrams.without(where, accepted))
            return diagrams.without(self._project(where), refused)
        return self._project(diagrams.both(where, accepted))

    def _asked_about(self, where: int, accepted: int) -> int:
        """The packets of a product of sets, as far as somebody asks about it: the rest is settled."""
        settled = self.diagrams.support(where) - self.diagrams.support(accepted) - {DPORT}
        for level in settled:
            where = self.diagrams.exists(where, level)
        return where

    def _is_accepted(self, leaf: int) -> int:
        return EVERYTHING if leaf != NOTHING and self.side.outcomes.value(leaf).then == "ACCEPT" else NOTHING

    def _from_lo(self, where: int) -> int:
        """What comes by lo comes from this host's loopback addresses."""
        diagrams, lo = self.diagrams, self.side.space.encoder.atoms.range("lo")
        home = diagrams.test(SRC, _LOOPBACK[self.side.space.family])
        return diagrams.both(where, diagrams.either(home, diagrams.complement(diagrams.test(IN, (lo,)))))

    def _project(self, where: int) -> int:
        """Addresses and ports alone: the rest is as some packet has it."""
        for level in sorted(self.diagrams.support(where) - {SRC, DST, DPORT}, reverse=True):
            where = self.diagrams.exists(where, level)
        return where

    def _by_port(self, accepted: int) -> list[tuple[int, int, int]]:
        """Ranges of ports, each with its relation of addresses."""
        cuts = sorted({0, *(cut for cut in _cuts(self.diagrams, accepted, DPORT))})
        out: list[tuple[int, int, int]] = []
        for low, following in zip(cuts, [*cuts[1:], 65536], strict=True):
            relation = self.diagrams.restrict(accepted, DPORT, low)
            if out and out[-1][2] == relation:
                out[-1] = out[-1][0], following - 1, relation
            else:
                out.append((low, following - 1, relation))
        return out

    # -- classes --------------------------------------------------------------------------------------------

    def _matrix(self, low: int, high: int, relation: int) -> Matrix:
        known = self._known.get(relation)
        if known is None:
            known = self._known[relation] = self._classes(relation)
        return Matrix(self.side.space.family, self.chain, self.protocol, low, *known, high)

    def _classes(
        self, relation: int
    ) -> "tuple[tuple[tuple[Interval, ...], ...], frozenset[tuple[int, int]]]":
        """Classes of addresses that are the same as receivers and as senders; who may talk to whom."""
        diagrams, top = self.diagrams, self.diagrams.tops[DST]
        columns = {part[0]: kid for part, kid in _parts(diagrams, relation, DST, top)}
        kinds = {kid: n for n, kid in enumerate(dict.fromkeys(columns.values()))}
        turns: dict[int, int] = {}
        """Where senders begin or cease to reach a kind of receivers, as the kinds' bits."""
        for kid, n in kinds.items():
            for low, high in _where(diagrams, kid, top):
                for cut in (low, high + 1):
                    turns[cut] = turns.get(cut, 0) ^ 1 << n
        turns.pop(top + 1, None)
        cuts = sorted(columns.keys() | turns.keys())
        by_kind: dict[tuple[int, int], list[Interval]] = {}
        kid, row = NOTHING, 0
        for start, following in zip(cuts, [*cuts[1:], top + 1], strict=True):
            kid, row = columns.get(start, kid), row ^ turns.get(start, 0)
            by_kind.setdefault((kid, row), []).append((start, following - 1))
        edges = frozenset(
            (n, m)
            for n, (_, row) in enumerate(by_kind)
            for m, (kid, _) in enumerate(by_kind)
            if row >> kinds[kid] & 1
        )
        return tuple(joined(parts) for parts in by_kind.values()), edges


def _parts(diagrams: Diagrams, a: int, level: int, top: int) -> list[tuple[Interval, int]]:
    return list(diagrams.parts(a)) if diagrams.level[a] == level else [((0, top), a)]


def _where(diagrams: Diagrams, a: int, top: int) -> tuple[Interval, ...]:
    """The intervals of a set over the source alone."""
    return joined(part for part, kid in _parts(diagrams, a, SRC, top) if kid != NOTHING)


def _cuts(diagrams: Diagrams, a: int, level: int) -> Iterable[int]:
    """Where anything changes at a level."""
    seen, stack = {a}, [a]
    while stack:
        node = stack.pop()
        if diagrams.level[node] == level:
            yield from (end + 1 for end in diagrams.ends[node][:-1])
        for kid in diagrams.kids[node]:
            if kid not in seen:
                seen.add(kid)
                stack.append(kid)
