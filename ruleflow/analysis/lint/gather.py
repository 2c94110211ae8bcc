"""From a dump or a host's directory to the cases that lint looks at: one for each rule set in it."""

from collections.abc import Iterator
from pathlib import Path

from ruleflow.analysis.lint.case import Case
from ruleflow.analysis.lint.native import native_rules
from ruleflow.netfilter.world import read_world
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse


def of_document(document: Document, family: int | None = None) -> Iterator[Case]:
    """The rule sets of a text, each with its family's others beside it."""
    lines = tuple(line.removesuffix("\r") for line in document.text.split("\n"))
    for number, rules in enumerate(document.rulesets):
        if family in (None, rules.family):
            others = tuple(other for other in document.rulesets if other is not rules)
            yield Case(rules, document.source, lines, document if number == 0 else None, others)


def of_directory(directory: Path, name: str, family: int | None = None) -> Iterator[Case]:
    """The rule sets of the host whose files lie in ``directory``: what nftables and the other backend have, too."""
    host = read_world(directory).main
    documents: list[tuple[str, str, Document]] = [
        (
            text.backend,
            _file(directory, name, text.family, text.backend),
            parse(text.text, family=text.family),
        )
        for text in host.dumps
    ]
    everything: list[tuple[str, Ruleset]] = [
        (backend, rules) for backend, _, document in documents for rules in document.rulesets
    ]
    for backend, source, document in documents:
        lines = tuple(document.text.split("\n"))
        for rules in document.rulesets:
            if family not in (None, rules.family):
                continue
            others = tuple(one for other, one in everything if other == backend and one is not rules)
            beside = tuple(
                one for other, one in everything if other != backend and one.family == rules.family
            )
            yield Case(
                rules,
                source,
                lines,
                document,
                others,
                host,
                _native(directory, backend, rules.family),
                beside,
            )


def _native(directory: Path, backend: str, family: int) -> tuple[tuple[str, str], ...]:
    return native_rules(directory, family) if backend == "nft" else ()


def _file(directory: Path, name: str, family: int, backend: str) -> str:
    """The file that a text of a host is from, as far as its name is the usual one."""
    stem = "iptables" if family == 4 else "ip6tables"
    for ending in (f"{stem}-{backend}.save", f"{stem}.save"):
        if (directory / ending).is_file():
            return f"{name.rstrip('/')}/{ending}"
    return name
