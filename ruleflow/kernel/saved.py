"""What iptables-save printed, chain by chain, as the lines it printed: canonical already, so comparing needs no reading of rules."""

import functools
import re
from collections.abc import Iterator

import msgspec

from ruleflow.ruleset.ir import BUILTIN_CHAINS, Ruleset

_ESCAPED = re.compile(r"\\.", re.DOTALL)


class SavedChain(msgspec.Struct, frozen=True):
    """A chain: ``policy`` is None for one that no hook calls; ``rules`` as ``-A CHAIN …`` lines."""

    name: str
    policy: str | None = None
    rules: tuple[str, ...] = ()


class SavedTable(msgspec.Struct, frozen=True, dict=True):
    """A table. The chains of hooks are in ``chains`` only where the kernel has them."""

    name: str
    chains: tuple[SavedChain, ...] = ()

    @functools.cached_property
    def by_name(self) -> dict[str, SavedChain]:
        """The chains by name, those of hooks always."""
        builtin = {name: SavedChain(name, "ACCEPT") for name in BUILTIN_CHAINS.get(self.name, ())}
        return builtin | {chain.name: chain for chain in self.chains}

    def __contains__(self, chain: object) -> bool:
        return chain in self.by_name

    def __getitem__(self, chain: str) -> SavedChain:
        return self.by_name[chain]

    def __iter__(self) -> Iterator[SavedChain]:
        return iter(self.by_name.values())

    @property
    def is_used(self) -> bool:
        """Whether it holds a rule, a chain of somebody's or another policy than ACCEPT."""
        return any(chain.rules or chain.policy != "ACCEPT" for chain in self.chains)


Saved = dict[str, SavedTable]
"""The tables of one family by name."""


def saved(text: str) -> Saved:
    """The tables in a save's text."""
    return dict(_tables(_whole(text.split("\n"))))


def _whole(lines: list[str]) -> Iterator[str]:
    """The lines, those of a rule whose quoted text holds line ends as one: what restore would read them as is not asked here."""
    open_ = ""
    for line in lines:
        if open_ or (line.startswith("-A ") and '"' in line):
            open_ = f"{open_}\n{line}" if open_ else line
            if _ESCAPED.sub("", open_).count('"') % 2 == 0:
                yield open_
                open_ = ""
        else:
            yield line


def _tables(lines: Iterator[str]) -> Iterator[tuple[str, SavedTable]]:
    name, policies, rules = "", dict[str, str | None](), dict[str, list[str]]()
    for line in lines:
        if line.startswith("-A "):
            chain = line.split(" ", 2)[1]
            if chain not in rules:  # a name may hold a blank
                chain = next((one for one in rules if line.startswith(f"-A {one} ")), chain)
            rules.setdefault(chain, []).append(line)
        elif line.startswith(":"):
            name_, policy, _ = line[1:].rsplit(" ", 2)
            policies[name_], rules[name_] = None if policy == "-" else policy, []
        elif line.startswith("*"):
            name, policies, rules = line[1:].strip(), {}, {}
        elif line.startswith("COMMIT"):
            yield (
                name,
                SavedTable(
                    name, tuple(SavedChain(one, policies[one], tuple(rules[one])) for one in policies)
                ),
            )


def restore_text(tables: Saved) -> str:
    """The same as a restore file."""
    return "".join("\n".join([*_lines(table), ""]) for table in tables.values())


def _lines(table: SavedTable) -> Iterator[str]:
    yield f"*{table.name}"
    for chain in table:
        yield f":{chain.name} {chain.policy or '-'} [0:0]"
    for chain in table:
        yield from chain.rules
    yield "COMMIT"


def of_ruleset(ruleset: Ruleset) -> Saved:
    """The same of a rule set."""
    return {
        table.name: SavedTable(
            table.name,
            tuple(SavedChain(chain.name, chain.policy, tuple(map(str, chain.rules))) for chain in table),
        )
        for table in ruleset
    }
