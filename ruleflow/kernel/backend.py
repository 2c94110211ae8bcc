"""Which iptables this host uses, and the only writer of its rules: the restore of that backend.

Never python-iptables: it speaks to the legacy tables alone, whatever the host uses, takes no xtables lock and commits rule by
rule (ldx/python-iptables issues 298, 306, 342), so on a host whose `iptables` is nf_tables it would fill a second rule set
that filters beside the first. With the extra ``[legacy]`` it reads, on a legacy host, what the tables hold (`legacy_chains`).
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ruleflow.errors import RuleflowError
from ruleflow.kernel.namespaces import Namespace
from ruleflow.kernel.run import Result, at_once, installed, run, run_checked
from ruleflow.kernel.saved import Saved, SavedTable, saved
from ruleflow.ruleset.ir import Ruleset

if TYPE_CHECKING:
    from collections.abc import Mapping

XTABLES_LOCK = Path("/run/xtables.lock")
PROGRAMS = {4: "iptables", 6: "ip6tables"}
NFT_FAMILIES = {4: "ip", 6: "ip6"}


class BackendError(RuleflowError):
    """It cannot be said which iptables this host uses, or what it says cannot be trusted."""


class RestoreRefusedError(RuleflowError):
    """The kernel did not take rules; the message has its words and the line they are about."""


class Backend(msgspec.Struct, frozen=True):
    """One of the two implementations of iptables, in the network namespace of the calling thread: ``nft`` or ``legacy``."""

    kind: str

    def save(self, family: int, table: str | None = None) -> str:
        """What iptables-save prints; on legacy only tables that are there already are opened, because opening makes them.

        :raises ProcessError: where the program is missing or fails.
        """
        if family == 6 and not Path("/proc/thread-self/net/if_inet6").exists():
            return ""  # this kernel speaks no IPv6
        command = f"{PROGRAMS[family]}-{self.kind}-save"
        if self.kind == "nft":
            return run_checked((command, *(("-t", table) if table else ())))
        there = legacy_tables(family)
        if not there if table is None else table not in there:
            return ""
        return run_checked((command, *(("-t", table) if table else ())))

    def ruleset(self, family: int, table: str | None = None) -> Ruleset:
        """The rules of one family as they stand now."""
        return read(self.save(family, table), family)

    def tables(self, family: int) -> Saved:
        """All tables of one family as they stand now, those that the save tool cannot read left out."""
        return saved(self.save(family))

    def table(self, family: int, name: str) -> SavedTable:
        """One table as it stands now; an empty one where there is none.

        :raises BackendError: where it holds rules of nft that the save tool cannot read.
        """
        text = self.save(family, name)
        if name in unreadable(text):
            raise unreadable_table(family, name)
        return saved(text).get(name, SavedTable(name))

    def restore(self, family: int, text: str) -> None:
        """Apply one restore file to what stands there: atomic for each table of it.

        :raises RestoreRefusedError: where the kernel refuses; nothing of the refused table is applied then.
        """
        result = self._restore(family, text)
        if not result.ok:
            raise RestoreRefusedError(_refusal(result, text), help="nothing of this table was applied")

    def _restore(self, family: int, text: str, environment: "Mapping[str, str] | None" = None) -> Result:
        command = f"{PROGRAMS[family]}-{self.kind}-restore"
        if self.kind == "legacy":  # we hold the real lock (`locked`), so the program gets one of its own
            environment = {"XTABLES_LOCKFILE": os.devnull}
        return run((command, "--noflush", "-w", "5"), text=text, environment=environment)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block no other iptables writes: on legacy only. On nft there is no such lock, a window remains.

        :raises BackendError: where another program holds the lock for more than a minute.
        """
        if self.kind == "nft":
            yield
            return
        handle = os.open(XTABLES_LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _take(handle)
            yield
        finally:
            os.close(handle)

    def canonical(self, texts: dict[int, str]) -> dict[int, Saved]:
        """Restore files (by family) as the kernel would give them back: restored in namespaces of their own and saved again.

        One for each family: two transactions of nft in one namespace, at the same time, make each other begin anew.
        :raises RestoreRefusedError: where the kernel refuses a rule.
        """

        def tried(family: int) -> Saved:
            scratch = Namespace()
            try:
                with scratch.inside():
                    self.restore(family, texts[family])
                    return self.tables(family)
            finally:
                scratch.close()

        return dict(zip(texts, at_once(tried, texts), strict=True))


def unreadable(text: str) -> tuple[str, ...]:
    """The tables that a save leaves out, because nft put rules there that it cannot read; it says so in a comment only."""
    return tuple(_INCOMPATIBLE.findall(text))


def unreadable_table(family: int, name: str) -> BackendError:
    """The error for such a table: iptables would write into it all the same."""
    place = f"{NFT_FAMILIES[family]} {name}"
    return BackendError(
        f"the table {place} holds rules of nft that iptables-save cannot read",
        help=f"see them: nft list table {place}; move them to a table of their own",
    )


_INCOMPATIBLE = re.compile(r"^# Table `(\w+)' is incompatible", re.MULTILINE)


def read(text: str, family: int) -> Ruleset:
    """The rule set of a save's text; empty where the text holds none."""
    from ruleflow.ruleset.parse import (
        parse,
    )  # most of what asks the backend compares lines, and never reads rules

    if not any(line.startswith("*") for line in text.splitlines()):
        return Ruleset(family)
    found = [
        one for one in parse(text, source="iptables-save", family=family).rulesets if one.family == family
    ]
    return found[0] if found else Ruleset(family)


def legacy_tables(family: int) -> tuple[str, ...]:
    """The legacy tables that are there, from /proc: looking at them this way does not make them."""
    name = "ip_tables_names" if family == 4 else "ip6_tables_names"
    try:
        return tuple(Path("/proc/thread-self/net", name).read_text("utf-8").split())
    except OSError:
        return ()


def find_backend(wanted: str = "auto", known: str | None = None) -> Backend:
    """The backend to use: ``wanted`` (nft, legacy), the one in ``known`` (our journal's), or the one that holds rules.

    Where neither holds any, what `iptables` itself is. Raises `BackendError` where both do.
    """
    if wanted != "auto":
        return _available(wanted)
    if known:
        return _available(known)
    asked = tuple((kind, family) for kind in ("nft", "legacy") for family in (4, 6))
    found = zip(asked, at_once(_holds_rules, asked), strict=True)
    holding = tuple(dict.fromkeys(kind for (kind, _), holds in found if holds))
    if len(holding) == 2:
        raise BackendError(
            "both iptables backends hold rules, and both filter every packet",
            help="compare iptables-nft-save with iptables-legacy-save, empty the one that nobody uses, or say which: --backend nft|legacy",
        )
    return _available(holding[0] if holding else _default())


def _available(kind: str) -> Backend:
    for program in (f"iptables-{kind}-save", f"iptables-{kind}-restore"):
        if not installed(program):
            raise BackendError(f"{program} is not installed", help="on Debian: apt-get install iptables")
    return Backend(kind)


def _default() -> str:
    """What `iptables --version` says of itself."""
    if not installed("iptables"):
        return "nft"
    return "legacy" if "legacy" in run(("iptables", "--version")).output else "nft"


def _holds_rules(asked: tuple[str, int]) -> bool:
    kind, family = asked
    if not installed(f"iptables-{kind}-save"):
        return False
    return any(table.is_used for table in Backend(kind).tables(family).values())


def other_than(backend: Backend) -> Backend | None:
    """The other of the two, where it is installed."""
    other = Backend("legacy" if backend.kind == "nft" else "nft")
    return other if installed(f"iptables-{other.kind}-save") else None


def legacy_chains(table: str, family: int) -> dict[str, tuple[str, ...]]:
    """The chains of a legacy table, each with the targets of its rules, by python-iptables (extra ``[legacy]``).

    Only of a table that is there already: opening another would make it. The rules are gone through as entries of
    libiptc: python-iptables' own ``rules`` looks for an extension of each, and fails on an IPv6 DNAT, which iptables 1.8
    keeps in a library of another name. A rule without a target has "" (libiptc.c, iptcc_standard_map).

    :raises BackendError: where python-iptables is not installed.
    """
    if table not in legacy_tables(family):
        return {}
    try:
        import iptc
    except ImportError:
        raise BackendError(
            "python-iptables is not installed", help="pip install 'ruleflow[legacy]'"
        ) from None
    read_table = iptc.Table(table) if family == 4 else iptc.Table6(table)
    read_table.refresh()
    return {chain.name: tuple(_targets(read_table, chain.name)) for chain in read_table.chains}


def _targets(table: Any, chain: str) -> Iterator[str]:
    entry = table.first_rule(chain)
    while entry:
        yield (table.get_target(entry) or b"").decode()
        entry = table.next_rule(entry)


def _take(handle: int) -> None:
    import time

    for _ in range(600):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
        else:
            return
    raise BackendError(f"another program holds {XTABLES_LOCK}", help="see which: fuser /run/xtables.lock")


def _refusal(result: Result, text: str) -> str:
    """The program's words, and the line of ours that it names."""
    said = " ".join((result.errors or result.output).split()) or f"exit code {result.code}"
    found = re.search(r"line:? (\d+)", said)
    lines = text.splitlines()
    if found and 0 < int(found[1]) <= len(lines):
        return f"{result.command[0]}: {said}: {lines[int(found[1]) - 1]}"
    return f"{result.command[0]}: {said}"
