"""What `diff` compares: dumps, declarations, directories of hosts, or what git hands to an external diff program."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.world import read_world
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Ruleset

if TYPE_CHECKING:
    from ruleflow.bridge.declaration import Declaration

DECLARATIONS = frozenset({".yaml", ".yml", ".json"})
"""How the names of declarations end; what ends otherwise is a dump."""


class Version(msgspec.Struct, frozen=True):
    """One side: its ``name``, its rule sets, the host they stand on, or the declaration they were made of, where given."""

    name: str
    rulesets: tuple[Ruleset, ...]
    host: Host | None = None
    declaration: "Declaration | None" = None


class Readers(msgspec.Struct, frozen=True):
    """How the files are read: dumps, directories of hosts (None where a name is none), declarations.

    A declaration is read with the one before it, whose addresses are given again where none are written.
    """

    dump: Callable[[str], Document]
    path: Callable[[str], Path]
    directory: Callable[[str], Path | None]
    declaration: "Callable[[str, Declaration | None], Declaration]"


def sides(
    before: str, after: str, git: tuple[str, ...], readers: Readers, family: int | None
) -> tuple[Version, Version]:
    """Both versions. ``git`` are the further words of an external diff: then ``before`` is the path in the repository.

    Raises `RuleflowError` where a dump would be compared with a host, or a version cannot be read.
    """
    reading = _Reading(readers, family)
    if len(git) in (
        5,
        7,
    ):  # path old-file old-hex old-mode new-file new-hex new-mode (git(1), GIT_EXTERNAL_DIFF)
        return reading.version(f"a/{before}", after), reading.version(f"b/{before}", git[2])
    if git:
        raise RuleflowError(
            f"two versions are compared, not {len(git) + 2}", help="ruleflow diff BEFORE AFTER"
        )
    one, two = reading.version(before, before), reading.version(after, after)
    if (one.host is None) != (two.host is None):
        raise RuleflowError(
            "a dump cannot be compared with a host",
            help="give two dumps, or two directories made by snapshot",
        )
    return one, two


class _Reading:
    """One version after the other is read."""

    def __init__(self, readers: Readers, family: int | None) -> None:
        self.readers, self.family = readers, family
        self.declared: Declaration | None = None

    def version(self, name: str, file: str) -> Version:
        """What a file holds, called ``name``; its ending says whether it is a declaration."""
        if file == "/dev/null":
            return Version(name, ())
        if DECLARATIONS & {Path(name).suffix, self.readers.path(file).suffix}:
            return self._declaration(name, file)
        place = self.readers.directory(file)
        if place is None:
            document = self.readers.dump(file)
            return Version(name, tuple(one for one in document.rulesets if self.family in (None, one.family)))
        host = read_world(place).main
        families = [each for each in (4, 6) if self.family in (None, each)]
        found = tuple(ruleset for each in families for _, ruleset in host.rulesets(each))
        return Version(name, found, host)

    def _declaration(self, name: str, file: str) -> Version:
        from ruleflow.bridge.generate import generate

        self.declared = declared = self.readers.declaration(file, self.declared)
        families = [each for each in declared.families() if self.family in (None, each)]
        found = tuple(generate(declared, family=each) for each in families)
        return Version(name, found, declaration=declared)
