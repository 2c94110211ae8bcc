"""Keeps what a walk asked and was answered: the steps, and the class of packets that get the same answers."""

from typing import TYPE_CHECKING

import msgspec

from ruleflow.netfilter.rule_index import FULL, pairs_of
from ruleflow.netfilter.steps import Change, RuleStep, Step
from ruleflow.ruleset.condition import AnyBit, Condition, In, Masked, Names, No, Unknown
from ruleflow.ruleset.effect import Back, Stop, Then

if TYPE_CHECKING:
    from ruleflow.netfilter.ask import Asker
    from ruleflow.netfilter.chains import Entry
    from ruleflow.netfilter.state import State


class Recorder:
    """The steps of one walk in order; ``facts`` are the conditions that were decided, and how."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.facts: list[tuple[Condition, bool]] = []
        self.changed: set[str] = set()

    def add(self, step: Step) -> None:
        """Keep a step."""
        self.steps.append(step)

    def no(self, asker: "Asker", entry: "Entry", decision: No) -> None:
        """A rule that the packet does not meet, and the first condition that fails."""
        condition = decision.condition
        self._decided(condition, holds=False)
        text = condition.text or getattr(condition, "fact", "") or ""
        self.add(RuleStep(
            asker.hook, entry.ref(asker.table), asker.depth, "no", why=text, condition=condition,
            actual=decision.actual,
        ))  # fmt: skip

    def match(self, asker: "Asker", entry: "Entry") -> None:
        """A rule that the packet meets; what it does is filled in by `did`."""
        for condition in entry.conditions:
            self._decided(condition, holds=True)
        self._begin(asker, entry, "match", None, "")

    def unknown(self, asker: "Asker", entry: "Entry", decision: Unknown, taken: bool | None) -> None:
        """A rule of which it is not known whether the packet meets it."""
        self._begin(asker, entry, "unknown", taken, decision.why)

    def _begin(self, asker: "Asker", entry: "Entry", answer: str, taken: bool | None, why: str) -> None:
        then = "next"
        taken_or_idle = taken is not False
        if entry.jump is not None and taken_or_idle:
            then = "goto" if entry.goto else "jump"
        chain = entry.jump if taken_or_idle else None
        self.add(RuleStep(
            asker.hook, entry.ref(asker.table), asker.depth, answer, then=then, chain=chain, why=why, taken=taken,
        ))  # fmt: skip

    def did(self, changes: tuple[Change, ...], notes: tuple[str, ...], then: Then) -> None:
        """What the rule begun last did."""
        step = self.steps[-1]
        assert isinstance(step, RuleStep)
        self.changed.update(change.field for change in changes)
        word = then.verdict if isinstance(then, Stop) else "return" if isinstance(then, Back) else "next"
        self.steps[-1] = msgspec.structs.replace(step, then=word, changes=changes, notes=notes)

    def _decided(self, condition: Condition, *, holds: bool) -> None:
        """Only what was asked of the packet as it came says anything about packets that come."""
        if not isinstance(condition, In) or condition.field.name not in self.changed:
            self.facts.append((condition, holds))

    def same_for(self, state: "State") -> tuple[tuple[str, str], ...]:
        """The packets that get the same answers: a field and its words each, in the order they were asked."""
        fields: dict[str, list[tuple[In, bool]]] = {}
        others: dict[str, None] = {}
        for condition, holds in self.facts:
            if isinstance(condition, In):
                fields.setdefault(condition.field.name, []).append((condition, holds))
            else:
                text = condition.text or getattr(condition, "fact", "")
                others[text if holds else f"not: {text}"] = None
        told = [(name, _words(name, asked, state)) for name, asked in fields.items()]
        return (*((name, words) for name, words in told if words), *(("", text) for text in others if text))


def _words(name: str, asked: list[tuple[In, bool]], state: "State") -> str:
    """All that the answers leave of one field."""
    value = getattr(state.packet, name, None)
    if name in FULL[4]:
        return _range_words(name, asked, state, value)
    if name in ("in_interface", "out_interface"):
        return _name_words(asked)
    if name == "fragment":
        return "" if not state.fragment else "later fragments"
    if name == "state":
        return _STATES.get(state.state or 0, "")
    told = {}
    for condition, holds in asked:
        told[condition.text if holds else f"not: {condition.text}"] = holds
    if any(told.values()):
        return ", ".join(text for text, holds in told.items() if holds)
    return ", ".join(told)


_STATES = {
    1: "that fit no connection", 2: "new connection", 4: "known connection", 8: "related to a connection",
    16: "not tracked",
}  # fmt: skip
"""Connection states in words, by their bits."""


def _range_words(name: str, asked: list[tuple[In, bool]], state: "State", value: int | None) -> str:
    from ruleflow.netfilter.numbers import address_text

    full = FULL[state.family][name]
    if value is None:
        return ""
    low, high = 0, full
    for condition, holds in asked:
        if isinstance(condition.values, Masked) and pairs_of(condition, full) is None:
            return condition.text if holds else f"not: {condition.text}"
        if isinstance(condition.values, AnyBit | Names):
            continue
        inside = _around(pairs_of(condition, full) or [], value, full, inside=holds)
        low, high = max(low, inside[0]), min(high, inside[1])
    if (low, high) == (0, full):
        return ""
    show = str if name.endswith("port") else lambda number: address_text(number, state.family)
    return show(low) if low == high else f"{show(low)} to {show(high)}"


def _around(pairs: list[tuple[int, int]], value: int, full: int, *, inside: bool) -> tuple[int, int]:
    """The interval around ``value`` that the set's bounds leave."""
    if inside:
        return next(((low, high) for low, high in pairs if low <= value <= high), (0, full))
    low = max((high + 1 for _, high in pairs if high < value), default=0)
    high = min((low - 1 for low, _ in pairs if low > value), default=full)
    return low, high


def _name_words(asked: list[tuple[In, bool]]) -> str:
    inside: dict[str, None] = {}
    outside: dict[str, None] = {}
    for condition, holds in asked:
        if not isinstance(condition.values, Names):
            continue
        names = " or ".join(condition.values.patterns)
        (inside if holds != condition.negated else outside)[names] = None
    if inside:
        return " and ".join(inside)
    return f"any but {', '.join(outside)}" if outside else ""
