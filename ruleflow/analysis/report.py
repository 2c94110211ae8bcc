"""A report as a value: all that its page shows."""

from typing import Any

import msgspec

from ruleflow.analysis.explanation import Explained
from ruleflow.analysis.outline import Outline
from ruleflow.analysis.plan import Plan
from ruleflow.netfilter.connect import Connection


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the page is made of. ``source`` is the dump's text; ``classes`` are None where they would be too large.

    ``findings`` are code, severity, words and line.
    """

    name: str
    told: Explained
    outline: Outline
    source: str = ""
    plan: Plan | None = None
    matrix: tuple[Connection, ...] = ()
    findings: tuple[tuple[str, str, str, int | None], ...] = ()
    classes: dict[str, Any] | None = None
