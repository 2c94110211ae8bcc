"""The differences of two rule sets as classes of packets: gathered, named by what changes, said in words and boxes."""

from collections.abc import Iterable, Iterator

from ruleflow.analysis.changes import Allowed, BoxOf, Class, Fate, Only, Rewritten, Told
from ruleflow.analysis.cover import Cover, exact, wide
from ruleflow.analysis.witness import Witness
from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.alter import Alter, Is, Mapped, New, OneOf, Plus
from ruleflow.netfilter.atoms import NONE
from ruleflow.netfilter.compare import Comparison, Difference
from ruleflow.netfilter.encode import (
    BIT_BASE,
    DPORT,
    DST,
    FREE_BASE,
    LEVELS,
    PROTO,
    SPORT,
    SRC,
    STATE,
    STATE_ORDER,
    bit_of,
)
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Box
from ruleflow.netfilter.intervals import Interval
from ruleflow.netfilter.numbers import mac_text
from ruleflow.netfilter.traveller import Part
from ruleflow.ruleset import fields
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.condition import Derived
from ruleflow.ruleset.fields import Field

_SAID = 3
"""Boxes that a change is said in."""
_ADDRESSING = (DST, DPORT, SRC, SPORT)
_TELLING = (DST, DPORT, SRC, SPORT, PROTO, LEVELS["icmp_type"], LEVELS["icmp_code"])
_NAMES = {level: name for name, level in LEVELS.items()}
Key = tuple[str, str, str, Fate, Fate]


class ChangeClasses:
    """The classes of one comparison. ``source`` names the text of the after side in commands to try.

    ``shown``: of each class a packet is shown, not only of those that are told.
    """

    def __init__(self, comparison: Comparison, source: str, *, limit: int, shown: bool = True) -> None:
        self.comparison, self.diagrams = comparison, comparison.diagrams
        self.encoder = comparison.space.encoder
        self.source, self.limit, self.shown = source, limit, shown
        self._entries: list[str] = []
        self.wording = Wording(self.encoder)
        self._first: list[Difference] = []
        self._moved: list[bool] = []
        self.where: list[int] = []
        """The exact set of each class, in the order of `all`."""

    def all(self, differences: Iterable[Difference]) -> tuple[Class, ...]:
        """The classes, what opens first."""
        gathered: dict[Key, tuple[int, Difference]] = {}
        for one in differences:
            key = (
                kind_of(one.before, one.after),
                way_of(one),
                one.entry,
                self.fate(one.before),
                self.fate(one.after),
            )
            if key in gathered:
                where, first = gathered[key]
                gathered[key] = self.diagrams.either(where, one.where), first
            else:
                gathered[key] = one.where, one
        order = sorted(gathered.items(), key=lambda item: (_RANK[item[0][0]], _WAYS.index(item[0][1])))
        self.where = [where for _, (where, _) in order]
        self._first = [first for _, (_, first) in order]
        self._entries = [entry for (_, _, entry, _, _), _ in order]
        self._moved = [
            any(part.alter.get(DST) for part in (first.before, first.after)) for _, (_, first) in order
        ]
        return tuple(self._class(key, number) for number, (key, _) in enumerate(order))

    def told(self, classes: tuple[Class, ...], most: int | None = None) -> tuple[Told, ...]:
        """Classes of `all`, those together that a person would call one change; those beyond ``most`` without words."""
        groups: dict[tuple[object, ...], list[int]] = {}
        for number, one in enumerate(classes):
            key = (
                one.kind,
                one.way,
                one.before.verdict,
                one.after.verdict,
                _aim(one.before),
                _aim(one.after),
            )
            groups.setdefault(key, []).append(number)
        return tuple(
            self._told(classes, numbers, said=most is None or place < most)
            for place, numbers in enumerate(groups.values())
        )

    def _told(self, classes: tuple[Class, ...], numbers: list[int], *, said: bool) -> Told:
        first = classes[numbers[0]]
        words: tuple[str, ...] = ()
        if said:
            where = NOTHING
            for number in numbers:
                where = self.diagrams.either(where, self.where[number])
            words = self.say(where, classes, numbers)
        walk = (
            self._witness(numbers[0]).walk(self.source, first.way) if said and not self.shown else first.walk
        )
        return Told(
            first.kind, first.way, words, tuple(dict.fromkeys(classes[n].before for n in numbers)),
            tuple(dict.fromkeys(classes[n].after for n in numbers)), tuple(numbers), walk,
        )  # fmt: skip

    def _witness(self, number: int) -> Witness:
        return Witness(self.encoder, self.where[number], self._entries[number])

    def say(
        self, where: int, classes: tuple[Class, ...], numbers: list[int], but: int = NOTHING
    ) -> tuple[str, ...]:
        """A set of packets out of some classes in words, as wide as what is said of the classes stays true.

        ``but``: packets that are not to be among them.
        """
        may = self.diagrams.either(
            self.encoder.careless(),
            self._elsewhere(classes[numbers[0]], moved=any(self._moved[n] for n in numbers)),
        )
        way = classes[numbers[0]].way
        may = self.diagrams.either(
            may, self.comparison.flows[1].lost({"through": "through", "out": "send"}.get(way, "in"))
        )
        for one in dict.fromkeys(_told_by(self._first[number]) for number in numbers):
            those = [number for number in numbers if _told_by(self._first[number]) == one]
            whole = NOTHING
            for number in those:
                whole = self.diagrams.either(whole, self.where[number])
            may = self.diagrams.either(may, self._allowed(whole, self._first[those[0]]))
        for rewritten in dict.fromkeys(self._first[number].after.alter for number in numbers):
            may = self.diagrams.either(may, self._as_before(rewritten))
        may = self.diagrams.either(where, self.diagrams.without(may, but))
        for level in sorted(self._passing(where)):
            where, may = self.diagrams.exists(where, level), self.diagrams.exists(may, level)
        return self.words(wide(self.diagrams, where, may, _SAID))

    def _elsewhere(self, one: Class, *, moved: bool) -> int:
        """The packets that go another way and so are not spoken of: where no destination is rewritten."""
        if moved or one.way not in ("in", "through"):
            return NOTHING
        home = self.encoder.home()
        return home if one.way == "through" else self.diagrams.complement(home)

    def _passing(self, where: int) -> set[int]:
        """Undecided conditions on which it depends which packets are meant, but not whether there are any."""
        return {
            level
            for level in self.diagrams.support(where)
            if level >= FREE_BASE
            and not (isinstance(self.encoder.free[level].condition, Derived))
            and all(self.diagrams.restrict(where, level, value) != NOTHING for value in (0, 1))
        }

    def _class(self, key: Key, number: int) -> Class:
        kind, way, _, before, after = key
        boxes = exact(self.diagrams, self.where[number], self.limit)
        if not self.shown:
            made = tuple(self.box(box) for box in boxes.boxes)
            return Class(kind, way, before, after, made, left=boxes.left)
        witness = self._witness(number)
        packet = witness.packet(out=way in ("through", "out"))
        return Class(
            kind, way, before, after, tuple(self.box(box) for box in boxes.boxes), str(packet),
            witness.walk(self.source, way), boxes.left,
        )  # fmt: skip

    def words(self, cover: Cover) -> tuple[str, ...]:
        """Boxes in words, and how many more there are."""
        told = tuple(dict.fromkeys(self.wording.box(box) for box in cover.boxes))
        return (*told, f"+ {cover.left} more") if cover.left else told

    def _allowed(self, where: int, one: Difference) -> int:
        """The packets of which the same may be said as of ``where``: those that the deciding table treats so now.

        Only where no address was rewritten before, so that packets there look as they came.
        """
        by = one.after.by or one.before.by
        hook = {"in": "INPUT", "through": "FORWARD"}.get(way_of(one))
        if (
            by is None
            or by.table != "filter"
            or hook is None
            or _rewrites(one.before)
            or _rewrites(one.after)
        ):
            return where
        region = self.diagrams.cube(
            (level, shadow) for level in _TELLING if (shadow := self.diagrams.shadow(where, level))
        )
        decided = self.comparison.sides[1].hook(by.table, hook, region)
        outcomes, stays = self.comparison.outcomes, one.after.then.split()[0]
        alike = [
            value.then
            for value in map(outcomes.value, self.diagrams.leaves(decided))
            if value.then.split()[0] == stays
        ]
        return self.diagrams.either(where, self.diagrams.both(region, outcomes.where(decided, alike)))

    def _as_before(self, alter: Alter) -> int:
        """The packets that a rewriting leaves as they are: that they are rewritten is no lie."""
        same = EVERYTHING if any(alter.get(level) is not None for level in _ADDRESSING) else NOTHING
        for level in _ADDRESSING:
            new = alter.get(level)
            if isinstance(new, Is):
                same = self.diagrams.both(same, self.diagrams.test(level, ((new.value, new.value),)))
            elif new is not None:
                return NOTHING
        return same

    # -- values ---------------------------------------------------------------------------------------------

    def fate(self, part: Part) -> Fate:
        """A part's end as a value."""
        verdict, _, reply = part.then.partition(" with ")
        passed = verdict == "ACCEPT"
        rewritten = tuple(self._rewritten(part.alter)) if passed else ()
        notes = tuple(words for _, words in part.tags)
        return Fate(
            verdict, part.by, part.place, reply or None, rewritten, part.rewritten if passed else (), notes
        )

    def _rewritten(self, alter: Alter) -> Iterator[Rewritten]:
        bits: dict[str, list[tuple[int, New]]] = {}
        for level, new in alter.changes:
            if BIT_BASE <= level < FREE_BASE:
                name, number = bit_of(level)
                bits.setdefault(name, []).append((number, new))
            elif not _NAMES[level].startswith("ct_"):
                yield Rewritten(_NAMES[level], self._new(level, new))
        for name, told in bits.items():
            if name != "ct_status":
                yield Rewritten(name, _bits(told))

    def _new(self, level: int, new: New) -> str:
        show = self._show(fields.BY_NAME[_NAMES[level]])
        match new:
            case Is(value=value):
                return STATE_WORDS[value] if level == STATE else show(value)
            case OneOf(low=low, high=high, why=why):
                return (
                    f"one of {show(low)} to {show(high)}" if high - low < self.diagrams.tops[level] else why
                )
            case Mapped(base=base, size=size):
                return f"the same place in {show(base)} to {show(base + size - 1)}"
            case Plus(by=by):
                return f"{'+' if by >= 0 else '-'} {abs(by)}"
        return "changed"

    def _show(self, field: Field) -> "Shown":
        return Shown(field, self.encoder.family)

    def box(self, box: Box) -> BoxOf:
        """A box as a value, bits of marks and what is undecided included."""
        told: list[Allowed] = []
        only: list[Only] = []
        for level, intervals in box:
            if level >= FREE_BASE:
                only.append(Only(self.wording.free_words(self.encoder.free[level]), intervals == ((1, 1),)))
            elif level >= BIT_BASE:
                name, number = bit_of(level)
                told.append(Allowed(f"{name}:{1 << number:#x}", (str(intervals[0][0]),), intervals))
            else:
                told.append(self._field(level, intervals))
        return BoxOf(tuple(told), tuple(only))

    def _field(self, level: int, intervals: tuple[Interval, ...]) -> Allowed:
        field = fields.BY_NAME[_NAMES[level]]
        if field.bits is None:
            numbers = [n for low, high in intervals for n in range(low, high + 1)]
            return Allowed(field.name, tuple(_atom(self.encoder.atoms.words(n)) for n in numbers))
        if level == STATE:
            chosen = [n for low, high in intervals for n in range(low, high + 1)]
            return Allowed(
                field.name,
                tuple(STATE_WORDS[n] for n in chosen),
                tuple((STATE_ORDER[n],) * 2 for n in chosen),
            )
        show = self._show(field)
        return Allowed(
            field.name, tuple(show(a) if a == b else f"{show(a)}-{show(b)}" for a, b in intervals), intervals
        )


STATE_WORDS = tuple(fields.STATES)


class Shown:
    """Prints the numbers of a field."""

    def __init__(self, field: Field, family: int) -> None:
        self.field, self.family = field, family

    def __call__(self, number: int) -> str:
        """The number as one reads it."""
        if self.field.bits == 128:
            return address_text(number, self.family)
        return mac_text(number) if self.field is fields.MAC else str(number)


def _bits(told: list[tuple[int, New]]) -> str:
    """Bits of a mark: those that are set and cleared, as value and mask."""
    if any(getattr(new, "levels", ()) for _, new in told):
        return "bits of another mark"
    on = sum(1 << number for number, new in told if getattr(new, "flip", False))
    return f"{on:#x}/{sum(1 << number for number, _ in told):#x}"


def _atom(words: str) -> str:
    if words == "no interface":
        return NONE
    if words.startswith("any other"):
        return words.removeprefix("any other").strip().removesuffix("…") + "*"
    return words


def _aim(fate: Fate) -> tuple[Rewritten, ...]:
    """Where packets are sent instead."""
    return tuple(one for one in fate.rewritten if one.field.startswith("destination"))


_RANK = {
    "opens": 0, "closes": 1, "rewrites": 2, "queues": 3, "refuses": 4, "tracks": 5, "marks": 6, "alters": 7,
    "logs": 8, "unknown": 9,
}  # fmt: skip
_WAYS = ("in", "through", "out", "arriving")


def kind_of(before: Part, after: Part) -> str:
    """What kind of difference two ends are (`changes.KINDS`)."""
    first, second = (part.then.split()[0] for part in (before, after))
    if "QUEUE" in (first, second) and first != second:
        return "queues"
    if (first == "ACCEPT") != (second == "ACCEPT"):
        return "opens" if second == "ACCEPT" else "closes"
    if first != "ACCEPT" and before.then != after.then:
        return "refuses"
    return (_kind_of_changes(before, after) if first == "ACCEPT" else "") or _kind_of_tags(before, after)


def _kind_of_changes(before: Part, after: Part) -> str:
    levels = {level for level, _ in set(before.alter.changes) ^ set(after.alter.changes)}
    if levels & set(_ADDRESSING):
        return "rewrites"
    if STATE in levels:
        return "tracks"
    if any(BIT_BASE <= level < FREE_BASE and bit_of(level)[0] != "ct_status" for level in levels):
        return "marks"
    return (
        "alters" if any(level < BIT_BASE and not _NAMES[level].startswith("ct_") for level in levels) else ""
    )


def _kind_of_tags(before: Part, after: Part) -> str:
    kinds = {kind for kind, _ in set(before.tags) ^ set(after.tags)}
    return "unknown" if "unknown" in kinds else "logs" if "log" in kinds else "alters"


def way_of(one: Difference) -> str:
    """Where the packets go, or would go, as `changes.Class` says it."""
    if one.entry == "send":
        return "out"
    places = (one.after.place, one.before.place)
    for place, way in (("POSTROUTING", "through"), ("FORWARD", "through"), ("INPUT", "in")):
        if place in places:
            return way
    return "arriving"


def _told_by(one: Difference) -> tuple[str, str, bool]:
    """What a class is widened by: the verdict of the table that decides."""
    by = one.after.by or one.before.by
    return (
        by.table if by is not None else "",
        one.after.then.split()[0],
        _rewrites(one.before) or _rewrites(one.after),
    )


def _rewrites(part: Part) -> bool:
    return any(part.alter.get(level) is not None for level in _ADDRESSING)
