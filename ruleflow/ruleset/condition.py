"""What a match asks of a packet, as values: mostly *field in set*; and the answer, always with its reason.

Deciding is three-valued (Kleene): ``Yes``, ``No`` with the first failing condition, ``Unknown`` with why.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from ruleflow.ruleset.fields import Field


class Intervals(msgspec.Struct, frozen=True):
    """A set of whole numbers as disjoint closed intervals in rising order."""

    pairs: tuple[tuple[int, int], ...]

    def __contains__(self, value: int) -> bool:
        return any(low <= value <= high for low, high in self.pairs)


class Masked(msgspec.Struct, frozen=True):
    """All numbers whose bits under ``mask`` are those of ``value`` (a prefix, a mark, flags)."""

    value: int
    mask: int

    def __contains__(self, value: int) -> bool:
        return value & self.mask == self.value


class AnyBit(msgspec.Struct, frozen=True):
    """All numbers that share a bit with ``mask`` (a connection state out of a list, a status)."""

    mask: int

    def __contains__(self, value: int) -> bool:
        return value & self.mask != 0


class Names(msgspec.Struct, frozen=True):
    """The names given; one that ends in ``+`` stands for all that begin so (iptables(8), ``-i``)."""

    patterns: tuple[str, ...]

    def __contains__(self, name: str) -> bool:
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern
            for pattern in self.patterns
        )


Values = Intervals | Masked | AnyBit | Names


class In(msgspec.Struct, frozen=True):
    """The packet's ``field`` is in ``values`` (or, ``negated``, is not). ``text`` says it in words."""

    field: Field
    values: Values
    negated: bool = False
    text: str = ""


class AnyOf(msgspec.Struct, frozen=True):
    """At least one of several conditions holds (multiport ``--ports``); ``negated``: none does."""

    conditions: tuple["Condition", ...]
    negated: bool = False
    text: str = ""


class AllOf(msgspec.Struct, frozen=True):
    """All of several conditions hold; ``negated``: not all of them do."""

    conditions: tuple["Condition", ...]
    negated: bool = False
    text: str = ""


class Derived(msgspec.Struct, frozen=True):
    """A condition on several facts, or on facts of the host, computed where they are known.

    ``fact`` names the computation (``address_type``, ``reverse_path``, ``set``, ``physdev``, ``socket``);
    ``arguments`` are its settings as name and value.
    """

    fact: str
    arguments: tuple[tuple[str, object], ...] = ()
    negated: bool = False
    text: str = ""


class Undecided(msgspec.Struct, frozen=True):
    """A condition that the packet and the host do not decide.

    ``memory`` is true where the answer depends on earlier packets or on chance (limit, recent, statistic),
    so that two rules with the same text may answer differently. ``probability`` that it holds, if known.
    """

    text: str
    memory: bool = False
    probability: float | None = None
    negated: bool = False


class Never(msgspec.Struct, frozen=True):
    """A condition that no packet meets (``--dport 60000:29`` is legal and empty)."""

    text: str = ""


Condition = In | AnyOf | AllOf | Derived | Undecided | Never


class Yes(msgspec.Struct, frozen=True):
    """The condition holds."""


class No(msgspec.Struct, frozen=True):
    """It does not, because of this condition; ``actual`` is what the packet has instead."""

    condition: Condition
    actual: object = None


class Unknown(msgspec.Struct, frozen=True):
    """It cannot be said: the conditions that decide, and what fact is missing (``why``)."""

    conditions: tuple[Condition, ...]
    why: str


Decision = Yes | No | Unknown
YES = Yes()


class Facts(Protocol):
    """What is known of a packet at one place of its path (see `netfilter.walk`)."""

    def value(self, field: Field) -> int | str | None:
        """The field's value, or None where it is not known."""

    def absent(self, field: Field) -> bool:
        """Whether the packet is known to have no such field (a port on ICMP): every test of it fails."""

    def derived(self, condition: Derived) -> Decision:
        """The answer to a condition on several facts."""


def decide(conditions: Iterable[Condition], facts: Facts) -> Decision:
    """Whether all ``conditions`` hold: a No wins, then Unknown, then Yes."""
    unknown: list[Unknown] = []
    for condition in conditions:
        answer = decide_one(condition, facts)
        if isinstance(answer, No):
            return answer
        if isinstance(answer, Unknown):
            unknown.append(answer)
    if not unknown:
        return YES
    return Unknown(tuple(c for u in unknown for c in u.conditions), "; ".join(u.why for u in unknown))


def decide_one(condition: Condition, facts: Facts) -> Decision:
    """Whether one condition holds for the packet that ``facts`` describe."""
    match condition:
        case In():
            return _decide_in(condition, facts)
        case Derived():
            return facts.derived(condition)
        case Undecided():
            return Unknown((condition,), condition.text)
        case Never():
            return No(condition)
        case AllOf():
            return _negate_if(condition, decide(condition.conditions, facts))
        case AnyOf():
            return _negate_if(condition, _decide_any(condition, facts))


def _decide_in(condition: In, facts: Facts) -> Decision:
    if facts.absent(condition.field):
        return No(condition, None)
    value = facts.value(condition.field)
    if value is None:
        return Unknown((condition,), f"{condition.field.words} is not known")
    holds = value in condition.values  # type: ignore[operator]
    return YES if holds != condition.negated else No(condition, value)


def _decide_any(condition: AnyOf, facts: Facts) -> Decision:
    answers = [decide_one(part, facts) for part in condition.conditions]
    if any(isinstance(answer, Yes) for answer in answers):
        return YES
    unknown = [answer for answer in answers if isinstance(answer, Unknown)]
    if unknown:
        return Unknown(tuple(c for u in unknown for c in u.conditions), "; ".join(u.why for u in unknown))
    return No(condition, getattr(answers[0], "actual", None) if answers else None)


def _negate_if(condition: AnyOf | AllOf, answer: Decision) -> Decision:
    if not condition.negated or isinstance(answer, Unknown):
        return No(condition, answer.actual) if isinstance(answer, No) else answer
    return YES if isinstance(answer, No) else No(condition)
