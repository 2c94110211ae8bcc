"""Walks and connections as plain values for JSON: addresses as text, reasons as typed codes, a schema's name on top."""

from collections.abc import Iterable
from typing import Any

from ruleflow import __version__
from ruleflow.netfilter.connect import Connection
from ruleflow.netfilter.conntrack import Ends
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.packet_words import words
from ruleflow.netfilter.steps import Change, Choice, Outcome, RouteStep, RuleStep, Step, Walk
from ruleflow.ruleset.condition import In
from ruleflow.ruleset.ir import RuleRef
from ruleflow.views.walk_text import show, why_not


def walk_value(walk: Walk) -> dict[str, Any]:
    """A walk under ``ruleflow.walk/1``."""
    return {"schema": "ruleflow.walk/1", "ruleflow": __version__, **_walk(walk)}


def connection_value(found: Connection) -> dict[str, Any]:
    """A connection under ``ruleflow.connect/1``."""
    return {"schema": "ruleflow.connect/1", "ruleflow": __version__, **connection_row(found), "walks": [
        {"host": leg.host, **_walk(leg.walk)} for leg in found.walks
    ]}  # fmt: skip


def connection_row(found: Connection) -> dict[str, Any]:
    """A connection without its walks, for the matrix."""
    return {
        "from": found.from_, "to": found.to, "port": found.port, "proto": found.protocol, "result": found.result,
        "by": found.by, "sees": found.sees, "because": found.because, "remedy": found.remedy,
    }  # fmt: skip


def matrix_value(found: Iterable[Connection]) -> dict[str, Any]:
    """Many connections under ``ruleflow.connect/1``, without their walks."""
    rows = [connection_row(one) for one in found]
    return {"schema": "ruleflow.connect/1", "ruleflow": __version__, "connections": rows}


def _walk(walk: Walk) -> dict[str, Any]:
    family = walk.packet.family
    return {
        "verdict": walk.verdict, "packet": packet_value(walk.packet), "by": _ref(walk.by),
        "assumptions": list(walk.assumptions), "forks": [_choice(one) for one in walk.forks],
        "beware": list(walk.beware), "complete": walk.complete, "same_for": [{"field": name, "words": text} for name, text in walk.same_for],
        "outcomes": [_outcome(one) for one in walk.outcomes], "steps": [_step(step, family) for step in walk.steps],
        "reply": _walk(walk.reply) if walk.reply is not None else None,
    }  # fmt: skip


def packet_value(packet: Packet) -> dict[str, Any]:
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


def _ref(ref: RuleRef | None) -> dict[str, Any] | None:
    return None if ref is None else {"table": ref.table, "chain": ref.chain, "index": ref.index, "line": ref.line}


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "text": choice.text, "taken": choice.taken, "probability": choice.probability, "rule": _ref(choice.ref),
    }  # fmt: skip


def _outcome(end: Outcome) -> dict[str, Any]:
    family = end.packet.family
    connection = end.connection
    return {
        "verdict": end.verdict, "reason": end.reason, "sentence": end.sentence, "hook": end.hook, "by": _ref(end.by),
        "rewritten_by": [_ref(ref) for ref in end.rewritten_by], "packet": packet_value(end.packet),
        "out_interface": end.out_interface, "port": end.port, "to": None if end.to is None else address_text(end.to, family),
        "local": end.local, "delivered": end.delivered, "refused": end.refused,
        "answer": None if end.answer is None else end.answer.kind, "error": end.error, "probability": end.probability,
        "choices": [_choice(one) for one in end.choices],
        "connection": None if connection is None else {
            "original": _ends(connection.original, family), "reply": _ends(connection.reply, family),
            "status": connection.status, "mark": connection.mark,
        },
    }  # fmt: skip


def _ends(ends: Ends, family: int) -> dict[str, Any]:
    return {name: _value(name, getattr(ends, name), family) for name in ends.__struct_fields__}


def _step(step: Step, family: int) -> dict[str, Any]:
    told: dict[str, Any] = {"step": step.__struct_config__.tag}
    for name in step.__struct_fields__:
        value = getattr(step, name)
        if name == "ref":
            told["rule"] = _ref(value)
        elif name == "changes":
            told["changes"] = [_change(change, family) for change in value]
        elif name not in ("condition", "actual", "gateway"):
            told[name] = list(value) if isinstance(value, tuple) else value
    if isinstance(step, RuleStep) and step.answer == "no":
        told["reason"] = why_not(step.condition, step.actual, family, step.why)
        told["field"] = step.condition.field.name if isinstance(step.condition, In) else None
    if isinstance(step, RouteStep) and step.gateway is not None:
        told["gateway"] = address_text(step.gateway, family)
    return told


def _change(change: Change, family: int) -> dict[str, Any]:
    values = {"before": change.before, "after": change.after, "low": change.low, "high": change.high}
    return {"field": change.field} | {
        key: None if value is None else show(change.field, value, family) for key, value in values.items()
    }
