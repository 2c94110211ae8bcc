"""What a plan opens and closes, and for whom: the rules as they stand against the rules as they would be, all packets compared."""

import msgspec

from ruleflow.analysis.changes import Changes, FamilyChanges
from ruleflow.kernel.plan import Prepared
from ruleflow.kernel.saved import Saved, SavedTable
from ruleflow.kernel.transition import edit_of
from ruleflow.ruleset.ir import Ruleset
from ruleflow.ruleset.parse import parse_one

MOST = 1500
"""Rules up to which it is told with a plan (about a second)."""


def behaviour(prepared: Prepared) -> Changes | None:
    """The difference of behaviour between now and then; None where there are too many rules to tell in a second."""
    rules = prepared.sight.rules
    edits = {
        one.key: edit_of(
            prepared.sight.table(*one.key), prepared.present, one, back=prepared.plan.action == "destroy"
        ).text
        for key in dict.fromkeys((*prepared.present.places(), *prepared.target.places()))
        if (one := prepared.target.table(*key)) is not None
    }
    size = sum(len(chain.rules) for tables in rules.values() for table in tables.values() for chain in table)
    if size + sum(text.count("\n-A ") for text in edits.values()) > MOST:
        return None
    from ruleflow.analysis.diff import diff  # a tenth of a second that many rules need not pay
    from ruleflow.analysis.diff_input import Version

    families = sorted({family for family, _ in edits})
    before = [_ruleset(family, rules.get(family, {}), {}) for family in families]
    after = [
        _ruleset(
            family, rules.get(family, {}), {key[1]: text for key, text in edits.items() if key[0] == family}
        )
        for family in families
    ]
    found = diff(Version("now", tuple(before)), Version("then", tuple(after)), read_back=False)
    return msgspec.structs.replace(found, families=tuple(map(_without_commands, found.families)))


def _without_commands(family: FamilyChanges) -> FamilyChanges:
    """The same without the `walk` commands that would show it: the rules of then are in no file yet."""
    told = tuple(msgspec.structs.replace(one, walk=None) for one in family.told)
    classes = tuple(msgspec.structs.replace(one, walk=None) for one in family.classes)
    return msgspec.structs.replace(family, told=told, classes=classes)


def _ruleset(family: int, tables: Saved, edits: dict[str, str]) -> Ruleset:
    """The tables of one family with edits carried out, by the reader that follows iptables-restore."""
    names = dict.fromkeys((*tables, *(name for name, text in edits.items() if text)))
    text = "".join(_edited(tables.get(name, SavedTable(name)), edits.get(name, "")) for name in names)
    return parse_one(text, family=family) if text else Ruleset(family)


def _edited(table: SavedTable, edit: str) -> str:
    heads = [f":{chain.name} {chain.policy or '-'} [0:0]" for chain in table]
    rules = [
        rule.replace("\n", " ") for chain in table for rule in chain.rules
    ]  # a line end stands only in a comment
    steps = [line for line in edit.splitlines()[1:-1] if not line.startswith("-C ")]
    return "\n".join([f"*{table.name}", *heads, *rules, *steps, "COMMIT", ""])
