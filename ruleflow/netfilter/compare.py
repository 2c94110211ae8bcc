"""Two rule sets asked about all packets: which packets they treat differently, and how, with the deciding rules.

Diagrams of whole paths find the packets quickly; then both sides' paths are gone step by step with these few
(`trail.Trail`), which is what is answered. So a path that only one side takes (a new DNAT) needs no diagram.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from ruleflow.netfilter.alter import UNCHANGED, Alter, Is, Lens, Mapped, New, OneOf, Same, Xor, altered
from ruleflow.netfilter.edits import Edits
from ruleflow.netfilter.encode import BIT_BASE, FREE_BASE, IN, LEVELS, OUT, bit_of
from ruleflow.netfilter.flow import ARRIVING, SENDING, Flow
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING
from ruleflow.netfilter.intervals import joined
from ruleflow.netfilter.known_host import KnownHost
from ruleflow.netfilter.outcome import Outcome
from ruleflow.netfilter.path import HOOKS
from ruleflow.netfilter.side import Side, deep
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.trail import Trail
from ruleflow.netfilter.traveller import Part
from ruleflow.ruleset.ir import Ruleset

_SHOWN_BY_CONNTRACK = frozenset(level for name, level in LEVELS.items() if name.startswith("ct_"))


class Difference(msgspec.Struct, frozen=True):
    """Packets (``where``, over the packet as it comes to ``entry``) that fare differently before and after."""

    entry: str
    where: int
    before: Part
    after: Part


class _Half(NamedTuple):
    """Some parts, and all packets of theirs; the two halves of it where they are several."""

    where: int
    parts: Sequence[Part]
    halves: "tuple[_Half, ...]" = ()


class Comparison:
    """Both sides of a comparison, in one space. ``before`` and ``after`` are of the same family.

    ``hosts`` are those the rule sets stand on, if they are known: their addresses and routes then decide.
    """

    def __init__(self, before: Ruleset, after: Ruleset, hosts: tuple[Host, Host] | None = None) -> None:
        known = (
            None
            if hosts is None or any(host.routes is None for host in hosts)
            else KnownHost(hosts, before.family)
        )
        self.space = Space([before, after], known.names() if known is not None else ())
        self.diagrams, self.outcomes = self.space.diagrams, self.space.outcomes
        self.flows = tuple(Flow(Side(self.space, ruleset)) for ruleset in (before, after))
        self.lens = Lens(self.space.encoder)
        self.wires = NOTHING
        """The packets that arrive on interfaces there are, where these are known."""
        if known is not None and hosts is not None:
            numbers = joined((self.space.encoder.atoms.of(name),) * 2 for name in (*known.wires(), "lo"))
            self.wires = self.diagrams.test(IN, numbers)
            self.space.encoder.types = known.of_type
            for flow, host in zip(self.flows, hosts, strict=True):
                flow.know(known, host)
        self.sides = self.flows[0].side, self.flows[1].side
        self.edits = Edits(*self.sides)

    def differences(self) -> list[Difference]:
        """All differences: disjoint, and complete."""
        with deep():
            return [one for entry in ("arrive", "send") for one in self._at(entry)]

    def _at(self, entry: str) -> list[Difference]:
        where = self.candidates(entry)
        if entry == "arrive" and self.wires != NOTHING:
            where = self.diagrams.both(self.wires, where)
        if where == NOTHING:
            return []
        before, after = (self._halved(Trail(flow).entry(entry, where), where) for flow in self.flows)
        return [
            difference
            for one, two in self._meeting(before, after)
            if (difference := self._difference(entry, one, two)) is not None
        ]

    def _meeting(self, before: "_Half", after: "_Half") -> Iterator[tuple[Part, Part]]:
        """The pairs of parts that have packets in common; halves of many are looked at first."""
        if not self.diagrams.meets(before.where, after.where):
            return
        if len(before.parts) == len(after.parts) == 1:
            yield before.parts[0], after.parts[0]
        elif len(before.parts) >= len(after.parts):
            for half in before.halves:
                yield from self._meeting(half, after)
        else:
            for half in after.halves:
                yield from self._meeting(before, half)

    def _halved(self, parts: Sequence[Part], whole: int | None = None) -> "_Half":
        """Parts and the packets of all of them (``whole``, where that is known), and so on for each half."""
        if len(parts) < 2:
            return _Half(parts[0].where if parts else NOTHING, parts)
        middle = len(parts) // 2
        halves = self._halved(parts[:middle]), self._halved(parts[middle:])
        where = self.diagrams.either(halves[0].where, halves[1].where) if whole is None else whole
        return _Half(where, parts, halves)

    def candidates(self, entry: str) -> int:
        """Packets that may fare differently; every one that does is among them.

        From the end of the path backwards: those on which a stage differs, and those that the stage hands on
        to where something behind differs.
        """
        if self.flows[0].ways != self.flows[1].ways or self.flows[0].forwards != self.flows[1].forwards:
            return EVERYTHING
        behind = Behind(self)
        found = behind.send() if entry == "send" else behind.arrive()
        return self.diagrams.without(found, self.flows[0].lost("in")) if entry == "arrive" else found

    def unlike(self, a: int, b: int) -> int:
        """The packets whose outcomes differ."""
        level = self.diagrams.level

        def short(a: int, b: int) -> int | None:
            if a == b:
                return NOTHING
            return EVERYTHING if level[a] == level[b] == LEAF_LEVEL else None

        return self.diagrams.combine(a, b, short, self.diagrams.memo("unlike"))

    def _difference(self, entry: str, one: Part, two: Part) -> Difference | None:
        where = self.diagrams.both(one.where, two.where)
        if where == NOTHING:
            return None
        first, second = (_visible(Outcome(part.then, part.alter, part.tags)) for part in (one, two))
        if first == second:
            return None
        if (first.then, first.tags) == (second.then, second.tags):
            where = self.diagrams.without(where, self._alike(first.alter, second.alter))
            if where == NOTHING:
                return None
        return Difference(entry, where, one, two)

    def _alike(self, one: Alter, two: Alter) -> int:
        """The packets on which two changes have the same effect."""
        same = EVERYTHING
        for level in {level for level, _ in (*one.changes, *two.changes)}:
            a, b = one.get(level), two.get(level)
            if a != b:
                same = self.diagrams.both(same, self._level_alike(level, a, b))
        return same

    def _level_alike(self, level: int, a: New | None, b: New | None) -> int:
        if BIT_BASE <= level < FREE_BASE:
            odd = [self.lens.odd(new if isinstance(new, Xor) else Xor((level,))) for new in (a, b)]
            return self.diagrams.choose(odd[0], odd[1], self.diagrams.complement(odd[1]))
        other, constant = (a, b) if not isinstance(a, Is) else (b, a)
        if isinstance(constant, Is):
            there = self.diagrams.test(level, ((constant.value, constant.value),))
            if isinstance(other, OneOf):
                return NOTHING
            return there if other is None else self.lens.through(there, Alter(((level, other),)))
        one, mapped = (a, b) if not isinstance(a, Mapped) else (b, a)
        if isinstance(mapped, Mapped) and one is None:
            return self.diagrams.test(level, ((mapped.base, mapped.base + mapped.size - 1),))
        return NOTHING


class Behind:
    """The packets that differ behind each place, from the end to the beginning; sets over the packet as it is there."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.diagrams = comparison, comparison.diagrams
        self.before, self.after = comparison.flows
        self.lens = comparison.lens
        self.edits = comparison.edits

    def arrive(self) -> int:
        """For packets that come from a wire."""
        home = self._hook("INPUT", NOTHING, ARRIVING)
        away = self._hook("FORWARD", self._hook("POSTROUTING", NOTHING, UNCHANGED), UNCHANGED)
        away = self._into(self.before.hop(), away)
        found = self._hook("PREROUTING", self.diagrams.either(home, away), ARRIVING)
        return self.lens.through(found, self.before.socket(0))

    def send(self) -> int:
        """For packets that this host sends."""
        lo = self.before.encoder.atoms.range("lo")
        again = self._hook("INPUT", NOTHING, ARRIVING, looped=True)
        again = self._hook("PREROUTING", again, ARRIVING, looped=True)
        again = self.lens.through(again, altered({IN: Is(lo[0])}))
        left = self.diagrams.both(self.diagrams.test(OUT, (lo,)), again)
        found = self._hook("OUTPUT", self._hook("POSTROUTING", left, SENDING), SENDING)
        return self.lens.through(found, self.before.socket(1))

    def _hook(self, hook: str, behind: int, seen: Alter, *, looped: bool = False) -> int:
        for stage in reversed(HOOKS[hook]):
            match stage.kind:
                case "table":
                    behind = self._table(stage.name, hook, behind, seen, looped=looped)
                case "nat" if not looped:
                    behind = self._nat(hook, behind, seen)
                case "track" | "defrag" if behind != NOTHING:
                    behind = self.before.stage(stage, hook, behind, seen, looped=looped)
        return behind

    def _table(self, table: str, hook: str, behind: int, seen: Alter, *, looped: bool) -> int:
        within = self.edits.at(table, hook)
        found = self._handed(table, hook, behind, seen, looped=looped)
        if within == NOTHING:
            return found
        one, two = (
            flow.table(table, hook, seen, looped=looped, within=within) for flow in (self.before, self.after)
        )
        return self.diagrams.either(self._differing(one, two, within, seen), found)

    def _nat(self, hook: str, behind: int, seen: Alter) -> int:
        within = self.edits.at("nat", hook)
        found = self._handed("nat", hook, behind, seen, looped=False)
        if within == NOTHING:
            return found
        one, two = (flow.nat(hook, seen, within) for flow in (self.before, self.after))
        return self.diagrams.either(self._differing(one, two, within, seen), found)

    def _differing(self, one: int, two: int, within: int, seen: Alter) -> int:
        return self.diagrams.both(self.comparison.unlike(one, two), self.lens.through(within, seen))

    def _handed(self, table: str, hook: str, behind: int, seen: Alter, *, looped: bool) -> int:
        """The packets that a table hands on, changed or not, into the set ``behind``.

        Where the table changes nothing they are ``behind`` or fewer, and more than needed does no harm.
        """
        if behind == NOTHING or not self.edits.alters(table):
            return behind
        flow = self.before
        return self._into(
            flow.nat(hook, seen) if table == "nat" else flow.table(table, hook, seen, looped=looped), behind
        )

    def _into(self, stage: int, behind: int) -> int:
        """The packets that a stage hands on into the set ``behind``."""
        if NOTHING in (behind, stage):
            return behind
        outcomes = self.comparison.outcomes
        targets: dict[int, int] = {}
        for leaf in sorted(self.diagrams.leaves(stage)):
            outcome = outcomes.value(leaf)
            target = self.lens.through(behind, outcome.alter) if outcome.goes_on else NOTHING
            if target != NOTHING:
                targets[leaf] = target
        return outcomes.chosen(stage, sorted(targets), targets)


def _visible(outcome: Outcome) -> Outcome:
    """What of an outcome anybody can see: a dropped packet's mark is gone with it."""
    tags = tuple(sorted(set(outcome.tags)))
    if outcome.then != "ACCEPT":
        return Outcome(outcome.then, tags=tags)
    kept = tuple(
        (level, new)
        for level, new in outcome.alter.changes
        if level not in _SHOWN_BY_CONNTRACK and not _is_status(level) and not isinstance(new, Same)
    )
    return Outcome("ACCEPT", Alter(kept), tags)


def _is_status(level: int) -> bool:
    return BIT_BASE <= level < FREE_BASE and bit_of(level)[0] == "ct_status"
