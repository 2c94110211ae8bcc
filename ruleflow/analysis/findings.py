"""What lint has to say, as values: codes with their explanations, findings with their places and strength."""

import hashlib
from collections.abc import Iterable

import msgspec

from ruleflow.ruleset.ir import RuleRef

SEVERITIES = ("error", "warning", "info")
"""From the worst; ``info`` alone does not make lint exit with 1."""
EXACT, HINT = "exact", "hint"
"""How sure a finding is: proved for every packet, or by the look of the rules. Between them: ``under assumption …``."""


class Code(msgspec.Struct, frozen=True):
    """A kind of finding: what it is, why it matters, a ``before`` that has it and an ``after`` that has not."""

    code: str
    name: str
    severity: str
    what: str
    why: str
    before: str
    after: str
    security: float = 0.0
    """A score from 0 to 10 where it is about security, as SARIF's ``security-severity`` wants it."""


class Mark(msgspec.Struct, frozen=True):
    """A place in a dump: ``line`` and ``column`` from 1 (0: not in the text), and what is to say there."""

    line: int = 0
    column: int = 1
    width: int = 0
    label: str = ""
    ref: RuleRef | None = None
    source: str = ""
    """Another file, where it is not the one that is linted."""


class Edit(msgspec.Struct, frozen=True):
    """A change of the text proved to change no packet's way: the line ``line`` (from 1) becomes ``new``, or is left out."""

    line: int
    new: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. ``notes`` are said below the excerpt, ``help`` says what to do."""

    code: str
    severity: str
    message: str
    strength: str
    primary: Mark
    others: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    help: str = ""
    text: str = ""
    """The rule as iptables-save prints it, without counters: what a baseline remembers."""
    edit: Edit | None = None

    @property
    def fingerprint(self) -> str:
        """The same for the same finding in a changed file: of the code, the place's name and the rule's text."""
        place = f"{self.primary.ref.table} {self.primary.ref.chain}" if self.primary.ref else ""
        said = "\0".join((self.code, place, self.text or self.message))
        return hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Report(msgspec.Struct, frozen=True):
    """All findings about one ``source``; ``rules`` counts its rules, ``silenced`` what a baseline or an ignore left out."""

    source: str
    findings: tuple[Finding, ...]
    rules: int
    lines: tuple[str, ...] = ()
    silenced: int = 0

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(1 for finding in self.findings if finding.severity == severity)

    def worst(self) -> str:
        """The worst severity, "" where there is nothing."""
        return next((severity for severity in SEVERITIES if self.count(severity)), "")


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By line, then code."""
    return tuple(sorted(findings, key=lambda one: (one.primary.line, one.code, one.message)))
