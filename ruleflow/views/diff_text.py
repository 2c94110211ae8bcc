"""The differences of two rule sets as text for people: behaviour first, the edits after it, some ten lines in all."""

from collections.abc import Iterator

from ruleflow.analysis.changes import (
    Changes,
    Declared,
    DeclaredChange,
    Edit,
    FamilyChanges,
    Fate,
    Published,
    Told,
)
from ruleflow.errors import visible
from ruleflow.views.text import Paper

_SIGNS = {
    "opens": ("+", "green"), "closes": ("-", "red"), "rewrites": ("~", "yellow"), "refuses": ("~", "magenta"),
    "queues": ("?", "magenta"), "marks": ("~", "yellow"), "tracks": ("~", "yellow"), "alters": ("~", "yellow"),
    "logs": ("~", "cyan"), "unknown": ("?", "magenta"),
}  # fmt: skip
WORDS = {"refuses": "refuses otherwise", "queues": "asks a program", "marks": "marks otherwise", "tracks": "tracks otherwise",
         "alters": "changes otherwise", "logs": "logs otherwise", "unknown": "perhaps otherwise"}  # fmt: skip
WAYS = {
    "in": "into this host",
    "through": "through this host",
    "out": "out of this host",
    "arriving": "arriving",
}
_HOST_SHOWN = 5
_DECLARED_SHOWN = 6
SHOWN = 3
"""Changes, and edits, that are shown before the rest is counted."""
_PLURAL = {
    "opens": "opened", "closes": "closed", "rewrites": "rewritten otherwise", "refuses": "refused otherwise",
    "queues": "left to a program or no more", "marks": "marked otherwise", "tracks": "tracked otherwise",
    "alters": "changed otherwise", "logs": "logged otherwise", "unknown": "perhaps treated otherwise",
}  # fmt: skip


class DiffText:
    """Prints changes. ``whole``: nothing is left out; ``text``: the edits are shown."""

    def __init__(self, changes: Changes, paper: Paper, *, whole: bool = False, text: bool = False) -> None:
        self.changes, self.paper, self.whole, self.text = changes, paper, whole, text
        self.many = len(changes.families) > 1

    def lines(self) -> Iterator[str]:
        """All lines."""
        if self.changes.same:
            yield self._no_difference()
        yield from self._declared()
        for family in self.changes.families:
            yield from self._family(family)
        yield from self._host()
        if not self.changes.same:
            yield ""
            yield self._count()

    def _declared(self) -> Iterator[str]:
        """What differs of networks, options and published ports, unless it is nothing but ports that are told in full below."""
        declared = self.changes.declared
        if declared is None or told_in_full(self.changes):
            return
        layouts = _layouts(declared)
        if not declared.changes:
            if (
                declared.before != declared.after
                and declared.before
                and declared.after
                and not declared.unread
            ):
                yield f"The same is declared{layouts}: networks, options and published ports."
            return
        yield f"What is declared differs{layouts}:"
        shown = declared.changes if self.whole else declared.changes[:_DECLARED_SHOWN]
        for change in shown:
            colour = {"+": "green", "-": "red"}.get(change.sign, "yellow")
            yield from self._hung(
                f"  {self.paper.paint(change.sign, colour)} ", declared_words(change, many=self.many)
            )
        if len(declared.changes) > len(shown):
            yield f"  and {len(declared.changes) - len(shown)} more differences (--all shows them)"
        if not self.changes.same:
            yield ""

    def _host(self) -> Iterator[str]:
        """What differs of the hosts; settings and routes of the machine's own making last."""
        told = sorted(
            self.changes.host, key=lambda text: ("setting" in text) + ("fe80" in text or "ff00" in text)
        )
        shown = told if self.whole else told[:_HOST_SHOWN]
        if told:
            yield "The hosts differ:"
        yield from (f"  {visible(text)}" for text in shown)
        if len(told) > len(shown):
            yield f"  and {len(told) - len(shown)} more differences (--all shows them)"

    def _no_difference(self) -> str:
        edits = len(self.changes.edits)
        if not edits:
            return "no packet fares differently" if self.changes.host else "no difference"
        return f"no packet fares differently (all packets were compared, not samples); {_edits(self.changes.edits)}"

    def _family(self, family: FamilyChanges) -> Iterator[str]:
        if family.told:
            yield f"{f'IPv{family.family}: ' if self.many else ''}{_headline(family)}"
        if len(family.published) > 1 and not self.whole:
            back = family.published[0].taken_back
            yield ""
            yield f"{'This takes back' if back else 'These are'} {len(family.published)} published ports (--all says what each of their rules is for):"
            yield from (
                f"  {'-' if back else '+'} {visible(one.sentence.rpartition('port: ')[2])}"
                for one in family.published
            )
        else:
            for one in family.published:
                yield from self._published(one)
        if family.intent is not None:
            yield from self._intent(family)
        told = family.told if self.whole else _first(family)
        shown = 3 if len(told) == 1 or self.whole else 1
        for change in told if not family.published or self.whole else ():
            yield from self._told(change, shown)
        rest = len(family.told) - len(told)
        if rest > 0 and not family.published:
            yield f"  and {rest} more kinds of change (--all shows them)"
        if family.told and family.undecided:
            yield f"  undecided, and so on both sides: {'; '.join(visible(text) for text in self._some(family.undecided))}"
        yield from self._edits(family)

    def _some(self, items: tuple[str, ...]) -> tuple[str, ...]:
        if self.whole or len(items) <= SHOWN:
            return items
        return (*items[:SHOWN], f"+ {len(items) - SHOWN} more")

    def _told(self, change: Told, shown: int) -> Iterator[str]:
        sign, colour = _SIGNS[change.kind]
        head = self.paper.paint(f"{sign} {WORDS.get(change.kind, change.kind)}", colour)
        boxes, more = _boxes(change.words, shown)
        yield from self._hung(
            f"  {head}  ", f"{WAYS[change.way]}: {visible(boxes[0])}{more if len(boxes) == 1 else ''}"
        )
        for place, words in enumerate(boxes[1:], 2):
            yield from self._hung("      ", f"{visible(words)}{more if place == len(boxes) else ''}")
        before, after = (
            self._fate(change.before, self.changes.before),
            self._fate(change.after, self.changes.after),
        )
        yield from self._hung("      ", f"was  {before}      now  {after}")
        if change.walk:
            yield f"      try  {visible(change.walk)}"

    def _hung(self, head: str, text: str) -> Iterator[str]:
        if self.paper.width is None:
            yield head + text
            return
        lines = list(self.paper.wrap(text, 6, 5))
        yield head + lines[0].lstrip()
        yield from lines[1:]

    def _fate(self, fates: tuple[Fate, ...], source: str) -> str:
        first = fates[0]
        others = len(fates) - 1
        more = f" and {others} other way{'s' if others > 1 else ''}" if others else ""
        return f"{fate_words(first)} ({_by(first, source)}{more})"

    def _published(self, one: Published) -> Iterator[str]:
        yield ""
        yield from self.paper.wrap(visible(one.sentence), 0)
        for ref, text, why in one.rules:
            yield f"  {'-' if one.taken_back else '+'} {visible(text)}   [{ref.table}]"
            yield from self.paper.wrap(visible(why), 6)
        for head, items in (("opens", one.opens), ("does not open", one.not_opened)):
            for item in items:
                yield from self._hung(f"  {head}  ", visible(item))

    def _intent(self, family: FamilyChanges) -> Iterator[str]:
        intent = family.intent
        assert intent is not None
        if intent.met:
            yield f"as intended: exactly {visible(intent.text)}"
            return
        yield f"not as intended: {visible(intent.text)}"
        for head, items in (("beyond it", intent.beyond), ("missing", intent.missing)):
            for item in items:
                yield f"  {head}: {visible(item)}"
        if intent.witness:
            yield f"  for instance: {visible(intent.witness)}"

    def _edits(self, family: FamilyChanges) -> Iterator[str]:
        if not self.text:
            return
        for edit in family.edits:
            yield ""
            yield f"{edit.table} {visible(edit.chain)}: {edit.kind}{f' ({visible(edit.why)})' if edit.why else ''}"
            for text in edit.before:
                yield self.paper.paint(f"- {visible(text)}", "red")
            for text in edit.after:
                yield self.paper.paint(f"+ {visible(text)}", "green")

    def _count(self) -> str:
        counted = [
            (kind, sum(1 for family in self.changes.families for one in family.told if one.kind == kind))
            for kind in _PLURAL
        ]
        text = ", ".join(f"{number} {_PLURAL[kind]}" for kind, number in counted if number)
        return f"{text}; {len(self.changes.classes)} class{'es' if len(self.changes.classes) > 1 else ''} of packets; {_edits(self.changes.edits)}"


def told_in_full(changes: Changes) -> bool:
    """Whether all that is declared otherwise are published ports that each family's part explains."""
    changed = [family for family in changes.families if family.edits]
    return bool(changed) and all(family.published for family in changed)


def _layouts(declared: Declared) -> str:
    if declared.before == declared.after:
        return f" ({', '.join(declared.after)})"
    before, after = (
        ", ".join(names) or "no layout that is known" for names in (declared.before, declared.after)
    )
    return f" ({before} before, {after} now)"


def declared_words(change: DeclaredChange, *, many: bool) -> str:
    """The sentence, and the family where there are ``many`` and it does not show."""
    alone = many and len(change.families) == 1 and change.kind in ("option", "network")
    return visible(f"{change.sentence}{f' (IPv{change.families[0]})' if alone else ''}")


def _boxes(words: tuple[str, ...], shown: int) -> tuple[tuple[str, ...], str]:
    """The boxes to show, and how many more there are."""
    left = int(words[-1].split()[1]) if words[-1].startswith("+ ") else 0
    boxes = words[:-1] if left else words
    left += max(0, len(boxes) - shown)
    return boxes[:shown], f"; and {left} more such" if left else ""


def _edits(edits: tuple[Edit, ...]) -> str:
    if not edits:
        return "the rules are the same"
    kinds: dict[str, int] = {}
    for edit in edits:
        kinds[edit.kind] = kinds.get(edit.kind, 0) + 1
    told = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    return f"{len(edits)} edit{'s' if len(edits) > 1 else ''} of the rules ({told}): --text shows them"


def _first(family: FamilyChanges) -> tuple[Told, ...]:
    return family.told[:SHOWN]


def _headline(family: FamilyChanges) -> str:
    changed = [
        way for way in ("arriving", "in", "through", "out") if any(one.way == way for one in family.told)
    ]
    same = [way for way in ("in", "through", "out") if way not in changed and "arriving" not in changed]
    head = f"Packets {_and([WAYS[way] for way in changed])} fare differently."
    return f"{head} {_and([WAYS[way] for way in same]).capitalize()} all is as before." if same else head


def _and(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def fate_words(fate: Fate) -> str:
    """What happens, in words."""
    verdict = fate.verdict.lower()
    if fate.reply:
        verdict += f" with {fate.reply}"
    address = {one.field: one.to for one in fate.rewritten}
    parts = []
    for side, word in (("destination", "to"), ("source", "from")):
        where, port = address.get(side), address.get(f"{side}_port")
        if port and port[0] in "+-":  # a range that is shifted: the port keeps its place in it
            port = f"{port[2:]} {'higher' if port[0] == '+' else 'lower'}"
            parts.append(f"{word} {f'{where}, ' if where else ''}a port {port}")
        elif where or port:
            parts.append(
                f"{word} {where or ''}{f':{port}' if where and port else f'port {port}' if port else ''}"
            )
    if parts:
        verdict += f", rewritten {' and '.join(parts)}"
    others = [
        f"{one.field} {one.to}"
        for one in fate.rewritten
        if not one.field.startswith(("destination", "source"))
    ]
    if others:
        verdict += f", {', '.join(others)}"
    return visible(f"{verdict}, {', '.join(fate.notes)}" if fate.notes else verdict)


def _by(fate: Fate, source: str) -> str:
    ref = fate.by
    if ref is None:
        return "no rule stops it" if fate.verdict == "ACCEPT" else "the kernel"
    place = f"{ref.table} {visible(ref.chain)}"
    line = f", {visible(source)}:{ref.line}" if ref.line is not None else ""
    return f"policy of {place}{line}" if ref.index == 0 else f"{place} {ref.index}{line}"
