"""Plans, statuses and results as JSON: the values themselves, with the version that made them."""

from typing import Any

import msgspec

from ruleflow import __version__
from ruleflow.analysis.changes import Changes
from ruleflow.kernel.plan import Plan
from ruleflow.kernel.status import Status


class ShownPlan(Plan, frozen=True):
    """A plan with what it opens and closes (null: too many rules to tell, or nothing to do); ``outcome`` after it was carried out."""

    ruleflow: str = __version__
    behaviour: Changes | None = None
    outcome: str = ""


class ShownStatus(Status, frozen=True):
    """A status."""

    ruleflow: str = __version__


class Result(msgspec.Struct, frozen=True):
    """What became of a confirm or rollback."""

    name: str
    outcome: str
    ruleflow: str = __version__
    schema: str = "ruleflow.result/1"


SCHEMAS: dict[str, type[msgspec.Struct]] = {"plan": ShownPlan, "status": ShownStatus, "result": Result}


def plan_value(plan: Plan, behaviour: Changes | None = None, outcome: str = "") -> ShownPlan:
    """A plan to be shown."""
    return ShownPlan(**_fields(plan), behaviour=behaviour, outcome=outcome)


def status_value(status: Status) -> ShownStatus:
    """A status to be shown."""
    return ShownStatus(**_fields(status))


def _fields(value: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def as_json(value: msgspec.Struct) -> str:
    """Indented JSON, its schema and version on top."""
    fields = msgspec.to_builtins(value)
    top = {"schema": fields.pop("schema"), "ruleflow": fields.pop("ruleflow")}
    return msgspec.json.format(msgspec.json.encode({**top, **fields}), indent=2).decode() + "\n"
