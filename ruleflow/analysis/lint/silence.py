"""What is not to be told: by a comment in the rule, by patterns in ruleflow.yaml, by a baseline of old findings."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ruleflow.analysis.findings import Finding, Report
from ruleflow.errors import ReadError, Where

_IN_COMMENT = re.compile(r"ruleflow:ignore=([A-Z0-9,]+)")
SCHEMA = "ruleflow.baseline/1"


class Known(msgspec.Struct, frozen=True):
    """An old finding: ``count`` of the same ``fingerprint``; ``code`` and ``rule`` are for who reads the file."""

    fingerprint: str
    code: str = ""
    rule: str = ""
    count: int = 1


class Baseline(msgspec.Struct, frozen=True):
    """A file of old findings."""

    schema: str
    findings: list[Known]


class Ignore(msgspec.Struct, frozen=True):
    """One entry of ``ignore`` in ruleflow.yaml: what is given must all fit; ``rule`` is a part of the rule's text."""

    code: str = ""
    chain: str = ""
    rule: str = ""

    def fits(self, finding: Finding) -> bool:
        """Whether it is about a finding."""
        chain = finding.primary.ref.chain if finding.primary.ref else ""
        return finding.code.startswith(self.code) and self.chain in ("", chain) and self.rule in finding.text


def read_ignores(path: Path) -> tuple[Ignore, ...]:
    """The ``ignore`` entries of a ruleflow.yaml; none where there is no such file.

    :raises ReadError: where it is no YAML, or an entry is no mapping of code, chain and rule.
    """
    if not path.is_file():
        return ()
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value: Any = YAML(typ="safe").load(path)
    except YAMLError as error:
        raise ReadError(
            f"this is no YAML: {error}",
            where=Where(str(path)),
            help="see docs/lint.md for the form of `ignore`",
        ) from None
    entries = value.get("ignore", []) if isinstance(value, dict) else []
    try:
        return tuple(msgspec.convert(entries, list[Ignore]))
    except msgspec.ValidationError as error:
        raise ReadError(
            f"`ignore` is not as it should be: {error}",
            where=Where(str(path)),
            help="write a list of {code: RF201, chain: INPUT, rule: text}",
        ) from None


def read_baseline(path: Path) -> Counter[str]:
    """How often each fingerprint may occur.

    :raises ReadError: where the file cannot be read or is no baseline.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
        return Counter({str(entry["fingerprint"]): int(entry.get("count", 1)) for entry in value["findings"]})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReadError(
            f"this is no baseline: {error}",
            where=Where(str(path)),
            help="write one with --write-baseline FILE",
        ) from None


def baseline(reports: Iterable[Report]) -> str:
    """The findings as a baseline file."""
    found = [one for report in reports for one in report.findings]
    counts = Counter(one.fingerprint for one in found)
    first = {one.fingerprint: one for one in reversed(found)}
    entries = [
        {"fingerprint": mark, "code": first[mark].code, "rule": first[mark].text, "count": number}
        for mark, number in sorted(
            counts.items(), key=lambda pair: (first[pair[0]].code, first[pair[0]].text, pair[0])
        )
    ]
    return json.dumps({"schema": SCHEMA, "findings": entries}, indent=1) + "\n"


def silenced(reports: Iterable[Report], ignores: Sequence[Ignore], known: Counter[str]) -> tuple[Report, ...]:
    """The reports without what is to be ignored or known already; what is left out is counted."""
    left = Counter(known)
    return tuple(_silenced(report, ignores, left) for report in reports)


def _silenced(report: Report, ignores: Sequence[Ignore], left: Counter[str]) -> Report:
    kept = tuple(_kept(report.findings, ignores, left))
    return msgspec.structs.replace(report, findings=kept, silenced=len(report.findings) - len(kept))


def _kept(findings: Iterable[Finding], ignores: Sequence[Ignore], left: Counter[str]) -> Iterator[Finding]:
    for one in findings:
        comment = _IN_COMMENT.search(one.text)
        if comment is not None and one.code in comment[1].split(","):
            continue
        if any(ignore.fits(one) for ignore in ignores):
            continue
        if left[one.fingerprint] > 0:
            left[one.fingerprint] -= 1
            continue
        yield one
