"""Who may reach what as JSON ("ruleflow.reach/1"): addresses as text, interfaces and states by name.

The types say what the JSON is: ``ruleflow schema reach`` prints their JSON Schema. Fields are only added within a major
version; what is empty is left out of a class of packets.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from ruleflow import __version__
from ruleflow.analysis.matrix import Matrix
from ruleflow.analysis.reach import Answer, Entry, Fate, Question
from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.encode import BIT_BASE, LEVELS, STATE, STATE_ORDER
from ruleflow.netfilter.idd import Box
from ruleflow.netfilter.intervals import Interval
from ruleflow.ruleset import fields
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.ir import RuleRef

Addresses = list[tuple[str, str]]
"""Ranges: the first and the last address of each."""
Numbers = list[tuple[int, int]]
"""Ranges: the first and the last number of each."""
_NAMES = {level: name for name, level in LEVELS.items()}
_STATES = {number: name.lower() for name, number in fields.STATES.items()}


class RuleAt(msgspec.Struct, frozen=True):
    """Where a rule stands; ``index`` counts from 1 in its chain, null for the policy."""

    table: str
    chain: str
    index: int | None
    line: int | None


class PacketClass(msgspec.Struct, frozen=True, omit_defaults=True):
    """A box of packets: each field is one of these values; one that is not named may be anything.

    An interface is a name, "any other" (of those the rules name), "any other eth…" or "no interface". ``fields`` are
    further fields that are numbers, ``names`` those that are names, ``conditions`` what is said in words only: bits of
    marks, and matches that no packet decides.
    """

    source: Addresses = []
    destination: Addresses = []
    protocol: Numbers = []
    source_port: Numbers = []
    destination_port: Numbers = []
    in_interface: list[str] = []
    out_interface: list[str] = []
    state: list[str] = []
    fields: dict[str, Numbers] = {}
    names: dict[str, list[str]] = {}
    conditions: list[str] = []


class FateSaid(msgspec.Struct, frozen=True):
    """Packets with one fate: ``then`` a verdict; ``words`` may overlap, ``classes`` are exact and disjoint.

    ``words_left`` and ``classes_left`` count those beyond a limit; ``by`` are the rules that decide; ``witness`` is one
    of the packets, as ``ruleflow walk`` reads it.
    """

    then: str
    rewritten: str | None
    words: tuple[str, ...]
    words_left: int
    classes: list[PacketClass]
    classes_left: int
    by: list[RuleAt]
    rewritten_by: list[RuleAt]
    witness: str


class AnswerSaid(msgspec.Struct, frozen=True):
    """What becomes of the packets of a question."""

    question: Question
    fates: list[FateSaid]


class MatrixSaid(msgspec.Struct, frozen=True):
    """A service matrix: ``classes`` of addresses, ``relation`` pairs of them by number from 0: who may reach whom."""

    chain: str
    protocol: str
    ports: tuple[int, int]
    classes: list[Addresses]
    relation: list[tuple[int, int]]


class SpoofingSaid(msgspec.Struct, frozen=True):
    """Whether only ``networks`` may come in by an interface; else a packet of another, and what lets it in."""

    interface: str
    networks: tuple[str, ...]
    safe: bool
    packet: str | None
    by: str | None


class Reached(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that was asked of one rule set; what was not asked is left out."""

    schema: Literal["ruleflow.reach/1"]
    ruleflow: str
    source: str
    family: int
    answers: list[AnswerSaid] = []
    matrices: list[MatrixSaid] = []
    spoofing: list[SpoofingSaid] = []


def reached(
    source: str,
    family: int,
    *,
    answers: Sequence[Answer] = (),
    wording: Wording | None = None,
    matrices: Sequence[Matrix] = (),
    entries: Sequence[Entry] = (),
) -> Reached:
    """Everything that was asked as one value. ``wording`` is that of the space the ``answers`` are about."""
    return Reached(
        schema="ruleflow.reach/1",
        ruleflow=__version__,
        source=source,
        family=family,
        answers=[_answer(one, wording, family) for one in answers if wording is not None],
        matrices=[_matrix(one) for one in matrices],
        spoofing=[
            SpoofingSaid(one.interface, tuple(one.nets), one.is_safe, one.packet or None, one.by or None)
            for one in entries
        ],
    )


def _answer(answer: Answer, wording: Wording, family: int) -> AnswerSaid:
    return AnswerSaid(answer.question, [_fate(one, wording, family) for one in answer.fates])


def _fate(fate: Fate, wording: Wording, family: int) -> FateSaid:
    return FateSaid(
        fate.then,
        fate.rewritten or None,
        fate.words,
        fate.left,
        [packet_class(box, wording, family) for box in fate.boxes],
        fate.more,
        [_ref(ref) for ref in fate.by],
        [_ref(ref) for ref in fate.rewritten_by],
        fate.packet,
    )


def packet_class(box: Box, wording: Wording, family: int) -> PacketClass:
    """A box of a space with its fields by name."""
    found: dict[str, object] = {}
    numbers: dict[str, Numbers] = {}
    names: dict[str, list[str]] = {}
    conditions: list[str] = []
    for level, parts in box:
        name = _NAMES.get(level, "")
        if level >= BIT_BASE:
            conditions.append(wording.box(((level, parts),)).removeprefix("everything, "))
        elif name in ("source", "destination"):
            found[name] = [(address_text(low, family), address_text(high, family)) for low, high in parts]
        elif level == STATE:
            found[name] = [_STATES[STATE_ORDER[number]] for number in _each(parts)]
        elif fields.BY_NAME[name].bits is None:
            said = [wording.encoder.atoms.words(number) for number in _each(parts)]
            (found if name in PacketClass.__struct_fields__ else names)[name] = said
        else:
            (found if name in PacketClass.__struct_fields__ else numbers)[name] = list(parts)
    return PacketClass(**found, fields=numbers, names=names, conditions=conditions)  # type: ignore[arg-type]


def _each(parts: Sequence[Interval]) -> list[int]:
    return [number for low, high in parts for number in range(low, high + 1)]


def _ref(ref: RuleRef) -> RuleAt:
    return RuleAt(ref.table, ref.chain, ref.index or None, ref.line)


def _matrix(matrix: Matrix) -> MatrixSaid:
    return MatrixSaid(
        matrix.chain,
        matrix.protocol,
        (matrix.port, max(matrix.port, matrix.last)),
        [
            [(address_text(low, matrix.family), address_text(high, matrix.family)) for low, high in parts]
            for parts in matrix.classes
        ],
        sorted(matrix.edges),
    )
