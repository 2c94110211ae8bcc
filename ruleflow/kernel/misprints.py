"""Rules that nft itself wrote into the tables of iptables, and that iptables-save prints as something else.

`tcp dport {80, 443} accept` is printed as `-p tcp -j ACCEPT`, without a word (iptables 1.8.9). Reading such a table is
reading something else, so a plan for it is refused. Suspects are found in nft's own listing; each table that holds one is
restored from its save in a scratch namespace, and only where nft then lists the same is the save believed.
"""

from collections.abc import Iterator
from typing import Any

from ruleflow.errors import RuleflowError
from ruleflow.kernel.backend import NFT_FAMILIES, Backend, BackendError, unreadable, unreadable_table
from ruleflow.kernel.heard import Heard
from ruleflow.kernel.namespaces import Namespace
from ruleflow.kernel.owned import Owned
from ruleflow.kernel.run import run

PLAIN = frozenset({"accept", "drop", "return", "jump", "goto", "counter", "xt"})
MADE_BY_IPTABLES = frozenset({"iifname", "oifname", "l4proto", "iif", "oif", "mark"})


def refuse_misprints(backend: Backend, want: Owned, heard: Heard) -> None:
    """Refuse where a table we must touch holds rules that the save tools misprint.

    :raises BackendError: with the rule as nft lists it.
    """
    if backend.kind != "nft":
        return
    families = {name: number for number, name in NFT_FAMILIES.items()}
    touched = {(one.family, one.table) for one in want.tables}
    for family in {family for family, _ in touched}:
        for name in unreadable(heard.saves[family]):
            if (family, name) in touched:
                raise unreadable_table(family, name)
    for rule in suspects(heard):
        key = families.get(rule["family"], 0), rule["table"]
        if key in touched and not _comes_back(backend, *key):
            place = f"{rule['family']} {rule['table']} {rule['chain']}"
            raise BackendError(
                f"{place} holds a rule of nft (handle {rule['handle']}) that iptables-save prints as something else",
                help=f"see it: nft -a list chain {place}; move it to a table of its own (nft add table {rule['family']} NAME)",
            )


def suspects(heard: Heard) -> Iterator[dict[str, Any]]:
    """The rules in tables of iptables that iptables cannot have written itself."""
    for entry in heard.native:
        rule = entry.get("rule")
        if rule and rule["family"] in NFT_FAMILIES.values() and not all(map(_plain, rule.get("expr", ()))):
            yield rule


def _plain(expression: dict[str, Any]) -> bool:
    name = next(iter(expression))
    if name != "match":
        return name in PLAIN
    left, right = expression["match"]["left"], expression["match"]["right"]
    if isinstance(left, dict) and "&" in left:
        left = left["&"][0]
    known = isinstance(left, dict) and (
        "payload" in left or left.get("meta", {}).get("key") in MADE_BY_IPTABLES
    )
    return known and not (isinstance(right, dict) and "set" in right) and not str(right).startswith("@")


def _comes_back(backend: Backend, family: int, table: str) -> bool:
    """Whether a table restored from its own save is, for nft, the same table."""
    here = _listed(family, table)
    saved = backend.save(family, table)
    scratch = Namespace()
    try:
        with scratch.inside():
            backend.restore(family, saved)
            return here == _listed(family, table)
    except RuleflowError:  # it cannot be tried: not to be believed
        return False
    finally:
        scratch.close()


def _listed(family: int, table: str) -> str:
    return run(("nft", "-s", "list", "table", NFT_FAMILIES[family], table)).output
