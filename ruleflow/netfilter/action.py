"""What a target does, as a diagram of outcomes: its changes as functions of the packet, then where it leads."""

from collections.abc import Iterator

from ruleflow.netfilter.alter import Alter, Bits, Grow, Is, Mapped, New, OneOf, Plus, Xor, altered
from ruleflow.netfilter.encode import (
    BITWISE,
    DPORT,
    DST,
    LEVELS,
    SPORT,
    SRC,
    STATE,
    STATE_ORDER,
    TRACKED,
    Free,
)
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.outcome import BACK, NEXT, Outcome, Outcomes
from ruleflow.ruleset.effect import (
    Adjust,
    Back,
    Change,
    Continue,
    Copy,
    CopyBits,
    Effects,
    Fork,
    Log,
    Note,
    Rewrite,
    SetBits,
    SetUnknown,
    Stop,
    Then,
    Untrack,
)
from ruleflow.ruleset.fields import CONNMARK, CT_STATUS, STATES, STATUSES

_BLOCKS = 1 << 16
"""Into how many parts a NETMAP may cut the addresses before its result counts as unknown."""

THIS_INTERFACE = "the address of the incoming interface"
THAT_INTERFACE = "the address of the outgoing interface"
Tags = tuple[tuple[str, str], ...]


class Actions:
    """Makes diagrams of outcomes from the effects of targets. ``side`` is what NETMAP rewrites at this hook."""

    def __init__(self, outcomes: Outcomes, side: str = "destination", *, local: bool = False) -> None:
        self.outcomes = outcomes
        self.diagrams = outcomes.diagrams
        self.side, self.local = side, local

    def diagram(self, effects: Effects, where: int) -> int:
        """What the packets in the set ``where`` get; others get `NOTHING`."""
        parts: list[tuple[int, dict[int, New], Tags]] = [(where, {}, ())]
        for change in effects.changes:
            parts = [after for part in parts for after in self._change(change, *part)]
        found = NOTHING
        for place, changes, tags in parts:
            leaf = self._then(effects.then, altered(changes), tags)
            found = self.diagrams.either(found, self.diagrams.both(place, leaf))
        return found

    def _then(self, then: Then, alter: Alter, tags: Tags) -> int:
        match then:
            case Continue():
                return self.outcomes.leaf(Outcome(NEXT, alter, tags))
            case Back():
                return self.outcomes.leaf(Outcome(BACK, alter, tags))
            case Stop(verdict=verdict, reply=reply):
                return self.outcomes.leaf(
                    Outcome(f"{verdict} with {reply}" if reply else verdict, alter, tags)
                )
            case Fork():
                return self._fork(then, alter, tags)

    def _fork(self, fork: Fork, alter: Alter, tags: Tags) -> int:
        noted = (*tags, ("unknown", fork.why))
        *others, last = fork.ways
        found = self._then(last, alter, noted)
        for number, way in enumerate(others):
            chance = self.outcomes.encoder.variable(Free(f"{fork.why} ({number})"))
            found = self.diagrams.choose(chance, self._then(way, alter, noted), found)
        return found

    def _change(
        self, change: Change, where: int, changes: dict[int, New], tags: Tags
    ) -> Iterator[tuple[int, dict[int, New], Tags]]:
        match change:
            case Rewrite():
                yield from ((place, changes | new, tags) for place, new in self._rewrite(change, where))
            case Log(by=by, prefix=prefix):
                yield where, changes, (*tags, ("log", f'{by} "{prefix}"' if prefix else by))
            case Copy(gateway=gateway):
                yield where, changes, (*tags, ("copy", f"a copy to {gateway}"))
            case Note(text=text):
                yield where, changes, (*tags, ("note", text))
            case SetBits(field=field) | CopyBits(to=field) if field is CONNMARK or isinstance(
                change, CopyBits
            ):
                tracked = self.diagrams.test(STATE, TRACKED)
                yield self.diagrams.both(tracked, where), changes | self._fields(change), tags
                yield self.diagrams.without(where, tracked), changes, tags
            case _:
                yield where, changes | self._fields(change), tags

    def _fields(self, change: Change) -> dict[int, New]:
        encoder = self.outcomes.encoder
        match change:
            case SetBits(field=field, clear=clear, xor=xor) if field.name in BITWISE:
                touched = [n for n in range(field.bits or 0) if (clear | xor) >> n & 1]
                return {
                    encoder.bit(field, n): Xor(
                        () if clear >> n & 1 else (encoder.bit(field, n),), bool(xor >> n & 1)
                    )
                    for n in touched
                }
            case SetBits(field=field, clear=clear, xor=xor):
                return self._small(LEVELS[field.name], clear, xor)
            case CopyBits(to=to, to_mask=to_mask, from_mask=from_mask):
                touched = [n for n in range(to.bits or 0) if (to_mask | from_mask) >> n & 1]
                return {encoder.bit(to, n): self._copied(change, n) for n in touched}
            case Adjust(field=field, by=by):
                return {LEVELS[field.name]: Grow(by)}
            case SetUnknown(field=field) if field.name in BITWISE:
                return {
                    encoder.bit(field, n): Xor((encoder.free_level(Free(f"bit {n} of {change.why}")),))
                    for n in range(field.bits or 0)
                }
            case SetUnknown(field=field, why=why, low=low, high=high):
                level = LEVELS[field.name]
                top = self.diagrams.tops[level]
                return {level: OneOf(why, low or 0, top if high is None else high)}
            case Untrack():
                return {STATE: Is(STATE_ORDER.index(STATES["UNTRACKED"]))}
        raise TypeError(f"{change!r} changes no field")

    def _small(self, level: int, clear: int, xor: int) -> dict[int, New]:
        top = self.diagrams.tops[level]
        if clear & top == top:
            return {level: Is(xor & top)}
        return {
            level: Bits(clear, xor) if top < 1 << 16 else OneOf(f"changed by {clear:#x} {xor:#x}", 0, top)
        }

    def _copied(self, change: CopyBits, number: int) -> Xor:
        encoder = self.outcomes.encoder
        levels = set() if change.to_mask >> number & 1 else {encoder.bit(change.to, number)}
        if change.from_mask >> number & 1:
            levels ^= {encoder.bit(change.from_, number)}
        return Xor(tuple(sorted(levels)))

    # -- rewriting ------------------------------------------------------------------------------------------

    def _rewrite(self, rewrite: Rewrite, where: int) -> Iterator[tuple[int, dict[int, New]]]:
        side = self.side if rewrite.what == "hook" else rewrite.what
        address, port = (DST, DPORT) if side == "destination" else (SRC, SPORT)
        for place, moved in self._addresses(rewrite, side, address, where):
            for part, ported in self._ports(rewrite, side, port, place):
                yield from self._noticed(side, part, moved | ported)

    def _noticed(
        self, side: str, where: int, changes: dict[int, New]
    ) -> Iterator[tuple[int, dict[int, New]]]:
        """What the connection shows of it, where rules ask (`Connection.translated`)."""
        encoder = self.outcomes.encoder
        if not encoder.uses_connections:
            yield where, changes
            return
        same = EVERYTHING
        for level, new in changes.items():
            same = self.diagrams.both(same, self._unmoved(level, new))
        unmoved = self.diagrams.both(same, where)
        if unmoved != NOTHING:
            yield unmoved, {}
        there = "ct_reply_source" if side == "destination" else "ct_reply_destination"
        status = encoder.bit(
            CT_STATUS, STATUSES["DNAT" if side == "destination" else "SNAT"].bit_length() - 1
        )
        shown: dict[int, New] = {status: Xor((), flip=True)}
        for level, new in changes.items():
            shown[LEVELS[f"{there}_port" if level in (DPORT, SPORT) else there]] = _at_last(new)
        yield self.diagrams.without(where, unmoved), changes | shown

    def _unmoved(self, level: int, new: New) -> int:
        if isinstance(new, Is):
            return self.diagrams.test(level, ((new.value, new.value),))
        if isinstance(new, Mapped):
            return self.diagrams.test(level, ((new.base, new.base + new.size - 1),))
        return EVERYTHING if new == Plus(0) else NOTHING

    def _addresses(
        self, rewrite: Rewrite, side: str, level: int, where: int
    ) -> Iterator[tuple[int, dict[int, New]]]:
        top = self.diagrams.tops[level]
        if rewrite.address_of_interface:
            yield where, {level: self._of_interface(side, top)}
        elif rewrite.low is None or rewrite.high is None:
            yield where, {}
        elif rewrite.netmask is not None:
            yield from self._mapped(rewrite.low, rewrite.netmask & top, level, where)
        elif rewrite.low == rewrite.high:
            yield where, {level: Is(rewrite.low)}
        else:
            yield where, {level: OneOf(f"the {side} that NAT chooses", rewrite.low, rewrite.high)}

    def _of_interface(self, side: str, top: int) -> New:
        if side == "source":
            return OneOf(THAT_INTERFACE, 0, top)
        if self.local:
            return Is(0x7F000001 if top == 0xFFFFFFFF else 1)
        return OneOf(THIS_INTERFACE, 0, top)

    def _mapped(
        self, network: int, mask: int, level: int, where: int
    ) -> Iterator[tuple[int, dict[int, New]]]:
        """NETMAP keeps the bits outside ``mask``: within each block of that size, a shift by a constant."""
        size = (self.diagrams.tops[level] ^ mask) + 1
        shadow = self.diagrams.shadow(where, level)
        if not shadow:
            return
        low, high = shadow[0][0], shadow[-1][1]
        if (high - low) // size > _BLOCKS:
            yield where, {level: OneOf("the address that NETMAP makes", network, network + size - 1)}
        elif low // size == high // size:
            yield where, {level: Plus(network - low // size * size)}
        else:
            yield where, {level: Mapped(network, size, low, high)}

    def _ports(
        self, rewrite: Rewrite, side: str, level: int, where: int
    ) -> Iterator[tuple[int, dict[int, New]]]:
        """The port is kept where it may be kept (`translate.rewrite`)."""
        low, high = rewrite.port_low, rewrite.port_high
        if low is None or high is None:
            yield where, {}
            return
        chance = rewrite.random or rewrite.fully_random
        if low == high and rewrite.port_base is None:
            yield where, {level: Is(low)}
            return
        chosen: New = OneOf("the port that NAT chooses", low, high)
        if chance:
            yield where, {level: chosen}
        elif rewrite.port_base is not None:
            yield from self._shifted(rewrite.port_base, low, high, level, where)
        else:
            inside = self.diagrams.both(self.diagrams.test(level, ((low, high),)), where)
            yield inside, {}
            yield self.diagrams.without(where, inside), {level: Is(low) if side == "destination" else chosen}

    def _shifted(
        self, base: int, low: int, high: int, level: int, where: int
    ) -> Iterator[tuple[int, dict[int, New]]]:
        """``low + (old - base) mod size``: each stretch of that size is shifted by a constant."""
        size = high - low + 1
        start = base % size - size
        for first in range(start, 65536, size):
            part = max(first, 0), min(first + size - 1, 65535)
            inside = (
                self.diagrams.both(self.diagrams.test(level, (part,)), where)
                if part[0] <= part[1]
                else NOTHING
            )
            if inside != NOTHING:
                yield inside, {level: Is(low) if size == 1 else Plus(low - first)}


def _at_last(new: New) -> New:
    """The rewritten value seen from another level: only a constant can be."""
    return OneOf("the address that NAT makes", 0, (1 << 16) - 1) if isinstance(new, Plus | Mapped) else new
