"""What the programs of this host say of its rules, asked side by side: most of a plan's time they would be waited for in turn."""

import importlib.util
from typing import Any

import msgspec

from ruleflow.kernel.backend import Backend, legacy_chains, legacy_tables, other_than
from ruleflow.kernel.run import at_once, installed, run
from ruleflow.kernel.saved import Saved, saved


class Heard(msgspec.Struct, frozen=True):
    """The saves of both families in text, all that nft lists (nothing where it is not installed), the other backend's tables."""

    saves: dict[int, str]
    native: tuple[dict[str, Any], ...] = ()
    other: dict[int, Saved] = {}
    second: dict[tuple[int, str], dict[str, tuple[str, ...]]] = {}
    """What python-iptables reads in legacy tables, by family and table: chains, each with the targets of its rules."""

    @property
    def rules(self) -> dict[int, Saved]:
        """The tables by family."""
        return {family: saved(text) for family, text in self.saves.items()}

    @property
    def other_rules(self) -> int:
        """How many rules the other backend holds."""
        tables = (table for found in self.other.values() for table in found.values())
        return sum(len(chain.rules) for table in tables for chain in table)


def hear(backend: Backend) -> Heard:
    """Ask them all. Nothing is changed.

    :raises ProcessError: where a save fails.
    """
    from concurrent.futures import ThreadPoolExecutor

    other = other_than(backend)
    with ThreadPoolExecutor(4) as threads:
        native = threads.submit(listing)
        second = threads.submit(_second_reading, backend)
        others = threads.submit(at_once, other.tables, (4, 6)) if other else None
        saves = at_once(backend.save, (4, 6))
    return Heard(
        dict(zip((4, 6), saves, strict=True)), tuple(native.result()),
        dict(zip((4, 6), others.result(), strict=True)) if others else {}, second.result(),
    )  # fmt: skip


def _second_reading(backend: Backend) -> dict[tuple[int, str], dict[str, tuple[str, ...]]]:
    """On a legacy host with the extra ``[legacy]``: the same tables by another reader."""
    if backend.kind != "legacy" or importlib.util.find_spec("iptc") is None:
        return {}
    tables = ((family, table) for family in (4, 6) for table in legacy_tables(family))
    return {(family, table): legacy_chains(table, family) for family, table in tables}


def listing() -> list[dict[str, Any]]:
    """What `nft -j list ruleset` tells; nothing where nft is not installed or refuses."""
    if not installed("nft"):
        return []
    result = run(("nft", "-j", "list", "ruleset"))
    if not result.ok or not result.output.strip():
        return []
    found: list[dict[str, Any]] = msgspec.json.decode(result.output)["nftables"]
    return found
