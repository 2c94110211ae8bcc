"""What carries our mark on a host whose journal is lost: chains of marked rules, and marked jumps into them."""

from ruleflow.bridge.layouts.native import MARKER
from ruleflow.kernel.backend import Backend
from ruleflow.kernel.owned import Owned, OwnedChain, OwnedTable, Placed
from ruleflow.ruleset.ir import BUILTIN_CHAINS, Jump, Rule, Table
from ruleflow.ruleset.matches.comment import Comment


def marked(backend: Backend) -> Owned:
    """Everything that our comments mark, in all tables of both families. Links and settings bear no mark."""
    found = [_in_table(family, table) for family in (4, 6) for table in backend.ruleset(family)]
    return Owned(tuple(one for one in found if one.chains or one.placed))


def _in_table(family: int, table: Table) -> OwnedTable:
    foreign = [chain for chain in table if chain.name in BUILTIN_CHAINS[table.name]]
    placed = tuple(
        Placed(chain.name, str(rule)) for chain in foreign for rule in chain.rules if _is_marked(rule)
    )
    jumps = {
        rule.target.chain
        for chain in table
        for rule in chain.rules
        if _is_marked(rule) and isinstance(rule.target, Jump)
    }
    own = tuple(
        OwnedChain(chain.name, tuple(map(str, chain.rules)), kept=not any(map(_is_marked, chain.rules)) and bool(chain.rules))
        for chain in table if chain not in foreign and (chain.name in jumps or any(map(_is_marked, chain.rules)))
    )  # fmt: skip
    return OwnedTable(family, table.name, own, placed)


def _is_marked(rule: Rule) -> bool:
    words = (match.comment for match in rule.matches if isinstance(match, Comment))
    return any(word is not None and (word == MARKER or word.startswith(f"{MARKER}:")) for word in words)
