"""The JSON Schemas of everything that is printed as JSON, by the name that ``ruleflow schema`` takes."""

from typing import Any

import msgspec

from ruleflow.analysis.changes import Changes
from ruleflow.analysis.explanation import Explanation
from ruleflow.analysis.lint.silence import Baseline
from ruleflow.analysis.outline import Outline
from ruleflow.analysis.plan import Plan
from ruleflow.bridge.schema import declaration_schema
from ruleflow.views import findings_json, plan_json, reach_json, walk_json
from ruleflow.views.generated import Generated

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: dict[str, Any] = {
    **walk_json.SCHEMAS,
    **plan_json.SCHEMAS,
    "baseline": Baseline,
    "diff": Changes,
    "explain": Explanation,
    "generate": Generated,
    "graph": Outline,
    "lint": findings_json.Linted,
    "lint-line": findings_json.LineSaid,
    "reach": reach_json.Reached,
    "topology": Plan,
}
_OR: dict[str, tuple[Any, ...]] = {"connect": (walk_json.MatrixSaid,)}
"""Other values of the same name: what connect prints with --all."""


def schema_of(name: str) -> dict[str, Any]:
    """One schema. Raises KeyError for a name that is none of `cli.shipped.SCHEMAS`."""
    if name == "declaration":
        return declaration_schema()
    kinds = [_TYPES[name], *_OR.get(name, ())]
    found, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    top: dict[str, Any] = dict(found[0]) if len(found) == 1 else {"anyOf": list(found)}
    return {"$schema": DRAFT, "$id": f"ruleflow.{name}/1", **top, "$defs": parts}
