"""Walks and connections as JSON: addresses as text, reasons as typed codes, a schema's name on top.

The types say what the JSON is: ``ruleflow schema walk`` prints their JSON Schema. Fields are only added within
a major version of a schema.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from ruleflow import __version__
from ruleflow.netfilter.connect import Connection
from ruleflow.netfilter.conntrack import Connection as Tracked
from ruleflow.netfilter.conntrack import Ends
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.packet_words import words
from ruleflow.netfilter.steps import Change, Choice, Outcome, RouteStep, RuleStep, Step, Walk
from ruleflow.ruleset.condition import In
from ruleflow.ruleset.ir import RuleRef
from ruleflow.views.walk_text import show, why_not

PacketFacts = dict[str, str | int | list[int]]
"""A packet's facts by name, addresses as text; ``words`` is the packet as one types it."""
Text = str | None


class RuleAt(msgspec.Struct, frozen=True):
    """Where a rule stands; ``index`` counts from 1 in its chain."""

    table: str
    chain: str
    index: int
    line: int | None


class ChangeSaid(msgspec.Struct, frozen=True):
    """A fact that became another; ``low`` and ``high`` bound it where the kernel chooses."""

    field: str
    before: Text
    after: Text
    low: Text
    high: Text


class ChoiceSaid(msgspec.Struct, frozen=True):
    """A condition that packet and host do not decide, how it was taken, and how likely it holds."""

    text: str
    taken: bool
    probability: float | None
    rule: RuleAt | None


class EndsSaid(msgspec.Struct, frozen=True):
    """One direction of a connection."""

    source: Text
    destination: Text
    source_port: int | None
    destination_port: int | None


class TrackedSaid(msgspec.Struct, frozen=True):
    """The connection that conntrack keeps: ``status`` has the bits of enum ip_conntrack_status."""

    original: EndsSaid
    reply: EndsSaid
    status: int
    mark: int


class OutcomeSaid(msgspec.Struct, frozen=True, kw_only=True):
    """One way a walk may end (`ruleflow.netfilter.steps.Outcome`)."""

    verdict: str
    reason: str
    sentence: str
    hook: Text
    by: RuleAt | None
    rewritten_by: list[RuleAt]
    packet: PacketFacts
    out_interface: Text
    port: Text
    to: Text
    local: bool
    delivered: Text
    refused: bool
    answer: Text
    error: Text
    probability: float | None
    choices: list[ChoiceSaid]
    connection: TrackedSaid | None


class StepSaid(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step; ``step`` is rule, chain, route, track, translate or note, and says which other fields there are."""

    step: str
    hook: Text = None
    rule: RuleAt | None = None
    depth: int | None = None
    answer: Text = None
    reason: Text = None
    field: Text = None
    then: Text = None
    taken: bool | None = None
    changes: list[ChangeSaid] = []
    notes: list[str] = []
    table: Text = None
    chain: Text = None
    event: Text = None
    verdict: Text = None
    kind: Text = None
    interface: Text = None
    gateway: Text = None
    again: bool = False
    state: Text = None
    place: Text = None
    sentence: Text = None


class SameFor(msgspec.Struct, frozen=True):
    """What packets that go the same way have in one field (empty: in several)."""

    field: str
    words: str


class WalkSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A walk (``ruleflow.walk/1``); ``reply`` has no schema and version of its own."""

    schema: str | msgspec.UnsetType = msgspec.UNSET
    ruleflow: str | msgspec.UnsetType = msgspec.UNSET
    host: str | msgspec.UnsetType = msgspec.UNSET
    verdict: str
    packet: PacketFacts
    by: RuleAt | None
    assumptions: list[str]
    forks: list[ChoiceSaid]
    beware: list[str]
    complete: bool
    same_for: list[SameFor]
    outcomes: list[OutcomeSaid]
    steps: list[StepSaid]
    reply: "WalkSaid | None"


class ConnectionSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A connection (``ruleflow.connect/1``): ``result`` is reached, refused, closed, no-answer, unreachable or unknown."""

    schema: str | msgspec.UnsetType = msgspec.UNSET
    ruleflow: str | msgspec.UnsetType = msgspec.UNSET
    from_: str = msgspec.field(name="from")
    to: str
    port: int | None
    proto: str
    result: str
    by: Text
    sees: Text
    because: str
    remedy: Text
    walks: list[WalkSaid] | msgspec.UnsetType = msgspec.UNSET


class MatrixSaid(msgspec.Struct, frozen=True):
    """Many connections (``ruleflow.connect/1``), without their walks."""

    schema: str
    ruleflow: str
    connections: list[ConnectionSaid]


def walk_value(walk: Walk) -> WalkSaid:
    """A walk under ``ruleflow.walk/1``."""
    return msgspec.structs.replace(_walk(walk), schema="ruleflow.walk/1", ruleflow=__version__)


def connection_value(found: Connection) -> ConnectionSaid:
    """A connection under ``ruleflow.connect/1``."""
    walks = [msgspec.structs.replace(_walk(leg.walk), host=leg.host) for leg in found.walks]
    return msgspec.structs.replace(
        _row(found), schema="ruleflow.connect/1", ruleflow=__version__, walks=walks
    )


def matrix_value(found: Iterable[Connection]) -> MatrixSaid:
    """Many connections under ``ruleflow.connect/1``."""
    return MatrixSaid("ruleflow.connect/1", __version__, [_row(one) for one in found])


def _row(found: Connection) -> ConnectionSaid:
    return ConnectionSaid(
        from_=found.from_, to=found.to, port=found.port, proto=found.protocol, result=found.result, by=found.by,
        sees=found.sees, because=found.because, remedy=found.remedy,
    )  # fmt: skip


def _walk(walk: Walk) -> WalkSaid:
    family = walk.packet.family
    return WalkSaid(
        verdict=walk.verdict, packet=packet_value(walk.packet), by=_ref(walk.by), assumptions=list(walk.assumptions),
        forks=[_choice(one) for one in walk.forks], beware=list(walk.beware), complete=walk.complete,
        same_for=[SameFor(name, text) for name, text in walk.same_for],
        outcomes=[_outcome(one) for one in walk.outcomes], steps=[_step(step, family) for step in walk.steps],
        reply=_walk(walk.reply) if walk.reply is not None else None,
    )  # fmt: skip


def packet_value(packet: Packet) -> PacketFacts:
    """The facts that a packet has, and the packet in words."""
    facts = {name: getattr(packet, name) for name in packet.__struct_fields__}
    told = {name: _value(name, value, packet.family) for name, value in facts.items() if value is not None}
    return {"words": words(packet), **told}


def _value(name: str, value: Any, family: int) -> Any:
    if name.endswith(("source", "destination")) and isinstance(value, int):
        return address_text(value, family)
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value


def _ref(ref: RuleRef | None) -> RuleAt | None:
    return None if ref is None else RuleAt(ref.table, ref.chain, ref.index, ref.line)


def _choice(choice: Choice) -> ChoiceSaid:
    return ChoiceSaid(choice.text, choice.taken, choice.probability, _ref(choice.ref))


def _outcome(end: Outcome) -> OutcomeSaid:
    family = end.packet.family
    return OutcomeSaid(
        verdict=end.verdict, reason=end.reason, sentence=end.sentence, hook=end.hook, by=_ref(end.by),
        rewritten_by=[RuleAt(ref.table, ref.chain, ref.index, ref.line) for ref in end.rewritten_by],
        packet=packet_value(end.packet), out_interface=end.out_interface, port=end.port,
        to=None if end.to is None else address_text(end.to, family), local=end.local, delivered=end.delivered,
        refused=end.refused, answer=None if end.answer is None else end.answer.kind, error=end.error,
        probability=end.probability, choices=[_choice(one) for one in end.choices],
        connection=None if end.connection is None else _tracked(end.connection, family),
    )  # fmt: skip


def _tracked(connection: Tracked, family: int) -> TrackedSaid:
    return TrackedSaid(
        _ends(connection.original, family),
        _ends(connection.reply, family),
        connection.status,
        connection.mark,
    )


def _ends(ends: Ends, family: int) -> EndsSaid:
    return EndsSaid(
        _value("source", ends.source, family), _value("destination", ends.destination, family), ends.source_port,
        ends.destination_port,
    )  # fmt: skip


def _step(step: Step, family: int) -> StepSaid:
    told: dict[str, Any] = {"step": step.__struct_config__.tag}
    for name in step.__struct_fields__:
        if name in StepSaid.__struct_fields__ and name not in ("changes", "notes", "gateway"):
            told[name] = getattr(step, name)
    if isinstance(step, RuleStep):
        told |= {
            "rule": _ref(step.ref),
            "notes": list(step.notes),
            "then": step.then or None,
            "reason": step.why or None,
        }
        if step.answer == "no":
            told["reason"] = why_not(step.condition, step.actual, family, step.why)
            told["field"] = step.condition.field.name if isinstance(step.condition, In) else None
    if isinstance(step, RouteStep) and step.gateway is not None:
        told["gateway"] = address_text(step.gateway, family)
    told["changes"] = [_change(change, family) for change in getattr(step, "changes", ())]
    return StepSaid(**told)


def _change(change: Change, family: int) -> ChangeSaid:
    values = (change.before, change.after, change.low, change.high)
    before, after, low, high = (
        None if value is None else show(change.field, value, family) for value in values
    )
    return ChangeSaid(change.field, before, after, low, high)


SCHEMAS: dict[str, type] = {"walk": WalkSaid, "connect": ConnectionSaid}
"""What `ruleflow schema` can print of walks."""
