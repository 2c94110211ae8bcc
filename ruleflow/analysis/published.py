"""Recognises "the other one, plus a published port": by the structure of the rules that are new, not by their text.

A published port is a DNAT of one port to one address, and rules that are about that address and port alone. What
it opens is taken from the computed classes, not from the rules.
"""

from collections.abc import Iterator, Sequence

import msgspec

from ruleflow.analysis.change_classes import ChangeClasses
from ruleflow.analysis.changes import Class, Edit, Published
from ruleflow.analysis.cover import wide
from ruleflow.analysis.idioms import recognise
from ruleflow.analysis.idioms.shape import Shape, Shapes
from ruleflow.netfilter.encode import DPORT, DST, IN, SRC, STATE
from ruleflow.netfilter.idd import NOTHING
from ruleflow.ruleset.addresses import Prefix, address_text, full_mask
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.ir import RuleRef, Ruleset
from ruleflow.ruleset.protocols import protocol_name
from ruleflow.ruleset.values import Not, Range


class PortMap(msgspec.Struct, frozen=True):
    """``port``/``protocol`` on ``on`` (None: every address of the host) is sent to ``to``:``to_port``.

    A range of ports goes to one port, or to a range of the same length, each to its place in it.
    """

    family: int
    protocol: int
    port: Range
    on: Prefix | None
    to: int
    to_port: Range
    bridge: str | None = None
    """The interface the container is behind, where a rule says so."""

    def __str__(self) -> str:
        where = "every address of this host" if self.on is None else self._on()
        port = (
            str(self.port.low) if self.port.low == self.port.high else f"{self.port.low} to {self.port.high}"
        )
        return f"{port}/{protocol_name(self.protocol)} on {where} to {self.target}"

    @property
    def target(self) -> str:
        """The container's address and port."""
        address, (low, high) = address_text(self.to, self.family), (self.to_port.low, self.to_port.high)
        ports = f"{low}" if low == high else f"{low}-{high}"
        return f"[{address}]:{ports}" if self.family == 6 else f"{address}:{ports}"

    def _on(self) -> str:
        assert self.on is not None
        full = self.on.mask == full_mask(self.family)
        return address_text(self.on.address, self.family) if full else str(self.on)


def published(
    sides: tuple[Ruleset, Ruleset], edits: Sequence[Edit], classes: ChangeClasses, found: tuple[Class, ...]
) -> tuple[Published, ...]:
    """The published ports that make up all edits, one after the other; () where an edit is about something else."""
    kinds = {edit.kind for edit in edits}
    if kinds not in ({"added"}, {"removed"}):
        return ()
    taken_back = kinds == {"removed"}
    rules = sides[0] if taken_back else sides[1]
    shapes = Shapes(rules)
    by_ref = {one.ref: one for chain in shapes.chains.values() for one in chain}
    new = [by_ref[ref] for edit in edits for ref in (*edit.before_refs, *edit.after_refs)]
    maps = {one.ref: found_map for one in new if (found_map := _port_map(one, rules.family)) is not None}
    groups = {
        ref: [one for one in new if one.ref == ref or _belongs(one, each)] for ref, each in maps.items()
    }
    if not maps or {one.ref for group in groups.values() for one in group} != {one.ref for one in new}:
        return ()
    reasons = _reasons(rules)
    reader = _Reader(classes, found)
    said = []
    for ref, group in groups.items():
        port = msgspec.structs.replace(
            maps[ref], bridge=next((out for one in group if isinstance(out := one.get("out"), str)), None)
        )
        rules_said = tuple((one.ref, str(one.rule), reasons.get(one.ref, "")) for one in group)
        opens, closed = tuple(reader.opens(port)), tuple(reader.closed(port))
        said.append(Published(_sentence(port, taken_back=taken_back), rules_said, opens, closed, taken_back))
    return tuple(said)


def _sentence(port: PortMap, *, taken_back: bool) -> str:
    return f"This {'takes back one' if taken_back else 'is one'} published port: {port}."


def _port_map(one: Shape, family: int) -> PortMap | None:
    change, port, protocol = one.rewrites, one.get("dport"), one.get("protocol")
    if one.ref.table != "nat" or one.target != "DNAT" or change is None or not isinstance(port, Range):
        return None
    if change.low is None or change.low != change.high or not isinstance(protocol, int):
        return None
    on = one.get("destination")
    to_port = _target_port(change, port)
    if to_port is None:
        return None
    if isinstance(on, Not) or not set(one.facts) <= {
        "protocol",
        "dport",
        "destination",
        "in",
        "dst_type",
        "source",
        "comment",
    }:
        return None
    return PortMap(family, protocol, port, on if isinstance(on, Prefix) else None, change.low, to_port)


def _target_port(change: Rewrite, port: Range) -> Range | None:
    """Where the ports of a range go; None where it is one that nobody can foretell."""
    if change.port_low is None or change.port_high is None:
        return port
    to = Range(change.port_low, change.port_high)
    each_to_its_own = change.port_base == port.low and to.high - to.low == port.high - port.low
    return to if to.low == to.high or each_to_its_own else None


def _belongs(one: Shape, port: PortMap) -> bool:
    """Whether a rule is about the container's address and port, or its address alone (raw: no direct access)."""
    ends = [one.get("destination"), one.get("source")]
    mine = Prefix(port.family, port.to, full_mask(port.family))
    if mine not in ends or any(end not in (None, mine) for end in ends):
        return False
    if one.ref.table == "raw":
        return one.verdict == "DROP"
    ports = [value for value in (one.get("dport"), one.get("sport")) if value is not None]
    return one.get("protocol") == port.protocol and ports == [port.to_port]


def _reasons(rules: Ruleset) -> dict[RuleRef, str]:
    reasons: dict[RuleRef, str] = {}
    for claim in recognise(rules).claims:
        for ref in claim.about:
            reasons.setdefault(ref, claim.reason)
    return reasons


class _Reader:
    """Reads from the computed classes what a published port opens."""

    def __init__(self, classes: ChangeClasses, found: tuple[Class, ...]) -> None:
        self.classes, self.found = classes, found
        self.diagrams = classes.diagrams

    def _sent(self, port: PortMap, way: str) -> int:
        """The packets that are sent on to the container now, or were before, going a way."""
        where, address = NOTHING, address_text(port.to, port.family)
        for number, one in enumerate(self.found):
            fate = one.after if one.after.rewritten else one.before
            aimed = any(each.field == "destination" and each.to == address for each in fate.rewritten)
            if aimed and fate.verdict == "ACCEPT" and one.way == way:
                where = self.diagrams.either(where, self.classes.where[number])
        return where

    def opens(self, port: PortMap) -> Iterator[str]:
        """To whom the port is open, in words."""
        address = address_text(port.to, port.family)
        for way, who in (("through", "others"), ("out", "this host itself")):
            where = self._sent(port, way)
            if where != NOTHING:
                yield f"{_port_of(port)} to {who}{self._but(where, way)}: sent on to {port.target}"
        if self._touches(self._behind(port), SRC, port.to):
            yield f"the same to the container itself: {address} reaches its own published port"
        direct = self._direct(port)
        if direct != NOTHING:
            words = self.classes.words(wide(self.diagrams, direct, direct, 1))
            yield f"{address} directly, to whoever has a way there: {words[0]}"

    def closed(self, port: PortMap) -> Iterator[str]:
        """What one might think is open, and is not."""
        address = address_text(port.to, port.family)
        if not self._touches(self._behind(port), SRC, port.to):
            yield f"the published port to the container itself: {address} is not sent back to itself (no hairpin)"
        loopback = 127 << 24 | 1 if port.family == 4 else 1
        if port.on is None and not self._touches(self._sent(port, "out"), DST, loopback):
            yield f"{address_text(loopback, port.family)}:{port.port.low} of this host: such packets are not rewritten; only a proxy could take them"
        if self._direct(port) == NOTHING:
            yield f"{port.target} directly, past the published port"
        yield "other ports and other containers"

    def _behind(self, port: PortMap) -> int:
        """What is sent on of what comes from the container's own bridge."""
        where = self._sent(port, "through")
        if port.bridge is None:
            return where
        return self.diagrams.restrict(where, IN, self.classes.encoder.atoms.of(port.bridge))

    def _direct(self, port: PortMap) -> int:
        """New connections to the container's own address and port that pass now, or passed before."""
        where = NOTHING
        for number, one in enumerate(self.found):
            if one.kind in ("opens", "closes") and one.way == "through":
                where = self.diagrams.either(where, self.classes.where[number])
        tests = (
            (DST, ((port.to, port.to),)),
            (DPORT, ((port.to_port.low, port.to_port.high),)),
            (STATE, ((1, 1),)),
        )
        return self.diagrams.both(self.diagrams.cube(tests), where)

    def _touches(self, where: int, level: int, value: int) -> bool:
        return where != NOTHING and self.diagrams.restrict(where, level, value) != NOTHING

    def _but(self, where: int, way: str) -> str:
        if way != "through":
            return ""
        shadow = self.diagrams.shadow(where, IN)
        words = self.classes.wording.interfaces(shadow, IN)
        return "" if words == "any interface" else f" arriving on {words}"


def _port_of(port: PortMap) -> str:
    return str(port).rpartition(" to ")[0]
