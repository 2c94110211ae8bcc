"""From what stands in one table to what shall stand there: one `--noflush` restore that touches nothing foreign.

Own chains that change are replaced as a whole (``:NAME - [0:0]`` empties just that chain), new ones are made by ``-N``, which
fails where the chain is there already; rules of ours in foreign chains that stay are asked for by ``-C``, which fails where they
are gone: so the kernel refuses the whole table when the world is not the planned one (both backends, iptables 1.8.9).
"""

from collections.abc import Iterator
from difflib import SequenceMatcher

import msgspec

from ruleflow.kernel.owned import OwnedTable, Placed, live_texts, standing
from ruleflow.kernel.saved import SavedTable


class Change(msgspec.Struct, frozen=True):
    """One thing a plan does: ``verb`` add, remove, change or move; ``kind`` rule, chain, link, address, route, namespace,
    setting; ``where`` the chain (``filter FORWARD``) or the thing's name; ``text`` what it will be, ``before`` what it was.
    """

    verb: str
    kind: str
    where: str
    text: str = ""
    before: str = ""
    family: int = 0


class TableEdit(msgspec.Struct, frozen=True):
    """The restore text for one table (empty where nothing is to be done) and what it changes."""

    family: int
    table: str
    text: str = ""
    changes: tuple[Change, ...] = ()


def table_edit(live: SavedTable, ours: OwnedTable, target: OwnedTable, *, exact: bool = False) -> TableEdit:
    """The edit that leads from ``live``, in which ``ours`` may stand, to ``target``.

    Our rules keep their places where their order is right, foreign rules may stand between them; new ones go behind
    their predecessor, or on top. With ``exact`` each goes below as many foreign rules as its ``above`` says: going back.
    """
    there = standing(live, ours)
    work = _Edit(live, there, target, exact=exact)
    work.chains()
    for chain in dict.fromkeys(one.chain for one in (*there.placed, *target.placed)):
        work.shared(chain)
    return TableEdit(target.family, target.table, work.text(), tuple(work.changes))


class _Edit:
    def __init__(self, live: SavedTable, there: OwnedTable, target: OwnedTable, *, exact: bool) -> None:
        self.live, self.there, self.target, self.exact = live, there, target, exact
        self.replaced: list[str] = []
        self.created: list[str] = []
        self.asked: list[str] = []
        self.deleted: list[str] = []
        self.added: list[str] = []
        self.inserted: list[str] = []
        self.gone: list[str] = []
        self.changes: list[Change] = []

    def text(self) -> str:
        if not self.changes:
            return ""
        parts = (self.replaced, self.created, self.asked, self.deleted, self.added, self.inserted, self.gone)
        return "\n".join([f"*{self.target.table}", *(line for part in parts for line in part), "COMMIT", ""])

    def note(self, verb: str, kind: str, chain: str, text: str = "", before: str = "") -> None:
        where = f"{self.target.table} {chain}"
        self.changes.append(Change(verb, kind, where, text, before, self.target.family))

    def chains(self) -> None:
        """Make, refill and take away chains of our own."""
        now = {chain.name: chain for chain in self.there.chains}
        then = {chain.name: chain for chain in self.target.chains}
        for name, chain in then.items():
            if name not in now:
                self.created.append(f"-N {name}")
                self.note("add", "chain", name)
                self._fill(name, (), chain.rules)
            elif not chain.kept and now[name].rules != chain.rules:
                self.replaced.append(f":{name} - [0:0]")
                self._fill(name, now[name].rules, chain.rules)
        for name, chain in now.items():
            if name not in then and not (chain.kept and chain.rules):
                self.replaced.append(f":{name} - [0:0]")
                self.gone.append(f"-X {name}")
                self.note("remove", "chain", name)
                for text in chain.rules:
                    self.note("remove", "rule", name, before=text)

    def _fill(self, name: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        self.added += after
        if len(before) != len(after) or sorted(before) != sorted(after):
            self._differences(name, before, after)
        elif before != after:
            self.note("move", "rule", name, text=f"{len(after)} rules in another order")

    def _differences(self, name: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        old, new = set(before), set(after)
        for text in before:
            if text not in new:
                self.note("remove", "rule", name, before=text)
        for text in after:
            if text not in old:
                self.note("add", "rule", name, text=text)
        if old == new:
            self.note("change", "rule", name, text="a rule stands there more or less often")

    def shared(self, chain: str) -> None:
        """Put our rules into a chain that is not ours."""
        now = [one for one in self.there.placed if one.chain == chain]
        wanted = [one for one in self.target.placed if one.chain == chain]
        if self._in_place(now, wanted):
            return
        stay, new = _kept_and_new(now, wanted, exact=self.exact)
        self.asked += [_verb("-C", chain, one.text) for one in stay]
        left = [one.text for one in new]
        for one in now:
            if all(one is not kept for kept in stay):
                self.deleted.append(_verb("-D", chain, one.text))
                moved = one.text in left
                if moved:
                    left.remove(one.text)
                self.note("move" if moved else "remove", "rule", chain, one.text if moved else "", one.text)
        for text in left:
            self.note("add", "rule", chain, text=text)
        self.inserted += self._insertions(chain, now, wanted, stay)

    def _in_place(self, now: list[Placed], wanted: list[Placed]) -> bool:
        if [one.text for one in now] != [one.text for one in wanted]:
            return False
        foreign = len(live_texts(self.live, now[0].chain)) - len(now) if now else 0
        return not self.exact or [one.above for one in now] == [min(one.above, foreign) for one in wanted]

    def _insertions(
        self, chain: str, now: list[Placed], wanted: list[Placed], stay: list[Placed]
    ) -> Iterator[str]:
        """``-I`` lines by number: those that stay and the foreign ones are counted as they then stand."""
        foreign = len(live_texts(self.live, chain)) - len(now)
        kept = [one.text for one in stay]
        depth = _depth_before(stay, wanted, exact=self.exact)
        for done, one in enumerate(wanted):
            if not self.exact and kept and one.text == kept[0]:
                depth = stay[len(stay) - len(kept)].above
                kept.pop(0)
            else:
                above = min(one.above, foreign) if self.exact else depth
                yield _verb(f"-I {chain} {above + done + 1}", "", one.text, chain)


def _kept_and_new(
    now: list[Placed], wanted: list[Placed], *, exact: bool
) -> tuple[list[Placed], list[Placed]]:
    """Our rules that stay where they are (the longest common order), and those to put in."""
    if exact:
        return [], wanted
    same = SequenceMatcher(None, [one.text for one in now], [one.text for one in wanted], autojunk=False)
    stay: list[Placed] = []
    fresh = list(wanted)
    for first, second, size in reversed(same.get_matching_blocks()):
        stay[:0] = now[first : first + size]
        del fresh[second : second + size]
    return stay, fresh


def _depth_before(stay: list[Placed], wanted: list[Placed], *, exact: bool) -> int:
    """How many foreign rules stand above a new rule that has no predecessor: as many as above the first that stays."""
    return stay[0].above if stay and not exact and wanted else 0


def _verb(verb: str, chain: str, text: str, named: str = "") -> str:
    """A rule's text as another command: ``-A FORWARD -j X`` becomes ``-C FORWARD -j X``."""
    rest = text.removeprefix(f"-A {named or chain}")
    return f"{verb} {chain}{rest}" if chain else f"{verb}{rest}"
