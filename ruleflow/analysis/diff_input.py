"""What `diff` compares: two dumps, two directories of hosts, or what git hands to an external diff program."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.world import read_world
from ruleflow.ruleset.document import Document
from ruleflow.ruleset.ir import Ruleset


class Version(msgspec.Struct, frozen=True):
    """One side: its ``name``, its rule sets, and the host they stand on where its files were given."""

    name: str
    rulesets: tuple[Ruleset, ...]
    host: Host | None = None


def sides(
    before: str, after: str, git: tuple[str, ...], read: Callable[[str], Document],
    directory: Callable[[str], Path | None], family: int | None,
) -> tuple[Version, Version]:  # fmt: skip
    """Both versions. ``git`` are the further words of an external diff: then ``before`` is the path in the repository.

    Raises `RuleflowError` where a dump would be compared with a host, or a version cannot be read.
    """
    if len(git) in (
        5,
        7,
    ):  # path old-file old-hex old-mode new-file new-hex new-mode (git(1), GIT_EXTERNAL_DIFF)
        path, old, new = before, after, git[2]
        return tuple(
            _version(name, file, read, directory, family)
            for name, file in ((f"a/{path}", old), (f"b/{path}", new))
        )  # type: ignore[return-value]
    if git:
        raise RuleflowError(
            f"two versions are compared, not {len(git) + 2}", help="ruleflow diff BEFORE AFTER"
        )
    one, two = (_version(name, name, read, directory, family) for name in (before, after))
    if (one.host is None) != (two.host is None):
        raise RuleflowError(
            "a dump cannot be compared with a host",
            help="give two dumps, or two directories made by snapshot",
        )
    return one, two


def _version(
    name: str,
    file: str,
    read: Callable[[str], Document],
    directory: Callable[[str], Path | None],
    family: int | None,
) -> Version:
    if file == "/dev/null":
        return Version(name, ())
    place = directory(file)
    if place is None:
        document = read(file)
        return Version(name, tuple(one for one in document.rulesets if family in (None, one.family)))
    host = read_world(place).main
    found = tuple(ruleset for each in (4, 6) if family in (None, each) for _, ruleset in host.rulesets(each))
    return Version(name, found, host)
