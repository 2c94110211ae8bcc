"""Rules that nft itself wrote into the tables of iptables, found in nft's own listing (``nft -j list ruleset``).

iptables-save prints what it can make of them: `tcp dport {80, 443} accept` as `-p tcp -j ACCEPT` (iptables 1.8.9).
What iptables-nft writes is matches of the base header with one value, and expressions called ``xt``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruleflow.ruleset.ir import BUILTIN_CHAINS

_FAMILIES = {"ip": 4, "ip6": 6}
_PLAIN = frozenset({"accept", "drop", "return", "jump", "goto", "counter", "xt"})
_META = frozenset({"iifname", "oifname", "l4proto", "iif", "oif", "mark"})


def native_rules(directory: Path, family: int) -> tuple[tuple[str, str], ...]:
    """The suspects of a family in the directory's nft.json, as table and chain, and nft's expressions; () without the file."""
    path = directory / "nft.json"
    if not path.is_file():
        return ()
    try:
        listing = json.loads(path.read_text("utf-8"))
    except ValueError:  # an empty file: nft is not installed there
        return ()
    return tuple(_suspects(listing.get("nftables", []), family))


def _suspects(entries: list[dict[str, Any]], family: int) -> Iterator[tuple[str, str]]:
    for entry in entries:
        rule = entry.get("rule")
        if (
            rule is None
            or _FAMILIES.get(rule.get("family", "")) != family
            or rule.get("table") not in BUILTIN_CHAINS
        ):
            continue
        if not all(map(_plain, rule.get("expr", []))):
            yield f"{rule['table']} {rule['chain']}", json.dumps(rule["expr"])[:300]


def _plain(expression: dict[str, Any]) -> bool:
    name = next(iter(expression))
    if name != "match":
        return name in _PLAIN
    left, right = expression["match"]["left"], expression["match"]["right"]
    if isinstance(left, dict) and "&" in left:
        left = left["&"][0]
    known = isinstance(left, dict) and ("payload" in left or left.get("meta", {}).get("key") in _META)
    return known and not (isinstance(right, dict) and "set" in right) and not str(right).startswith("@")
