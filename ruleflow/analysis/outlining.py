"""A rule set made into an `Outline`: which chains are drawn, which are folded into one box, and how they are joined."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import ruleflow
from ruleflow.analysis import chains as calling
from ruleflow.analysis import idioms
from ruleflow.analysis.alike import alike, stem
from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.lines import Lines, cut, kind, share, summed
from ruleflow.analysis.merged import Entry, Merged, Tables, alone, laid_over
from ruleflow.analysis.outline import STAGES, Box, Call, Ends, Line, Outline, Stage
from ruleflow.analysis.selection import Key, Wanted, select
from ruleflow.analysis.walked import Walked
from ruleflow.ruleset.ir import Goto, Jump, Rule, Ruleset

MOST_BOXES = 400
"""More than this many boxes are no picture (INTERFACE: warn above 400)."""
_EXPLAINED = 20_000
"""With more rules than this, tooltips come without the reasons that idioms give."""


def outline(
    rules: Ruleset,
    wanted: Wanted | None = None,
    *,
    after: Ruleset | None = None,
    walk: Walked | None = None,
    ends: Ends | None = None,
    source: str = "",
) -> Outline:
    """What to draw of ``rules``: with ``after``, both laid over each other; with ``walk``, its way marked.

    Raises `ReadError` where ``wanted`` names a table or chain that is not there.
    """
    return _Drawing(rules, wanted or Wanted(), after, walk, source).outline(ends or Ends())


class _Drawing:
    """The picture while it is put together."""

    def __init__(
        self, rules: Ruleset, wanted: Wanted, after: Ruleset | None, walk: Walked | None, source: str
    ) -> None:
        self.rules, self.wanted, self.walk, self.source = rules, wanted, walk, source
        self.compares = after is not None
        self.newest = after if after is not None else rules
        self.tables: Tables = laid_over(rules, after) if after is not None else alone(rules)
        self.notes: list[str] = []
        self.kept = select(self.tables, wanted)
        self.first = self._fold()
        self.members: dict[Key, list[Key]] = defaultdict(list)
        for key, head in self.first.items():
            self.members[head].append(key)
        self.order = self._limited(list(dict.fromkeys(self._in_order())))
        self.ids = {key: f"n{number}" for number, key in enumerate(self.order, 1)}
        self.most = share(len(self._at(key).entries) for key in self.order)
        if self.wanted.level == "rules" and any(len(self._at(key).entries) > self.most for key in self.order):
            self.notes.append(f"chains show at most {self.most} rules each; draw one with --chain")
        hooks = {table.name: calling.calls(table).hooks for each in (rules, self.newest) for table in each}
        self.lines = Lines(hooks, self._why())

    def outline(self, ends: Ends) -> Outline:
        """The value that views draw."""
        calls = self._calls() if self.wanted.level != "hooks" else ()
        boxes = tuple(self._box(self._at(key)) for key in self.order)
        alone = self.wanted.chain or self.wanted.focus
        stages = () if alone else tuple(self._stages())
        staged = {box for stage in stages for box in stage.boxes} | {call.callee for call in calls}
        loose = tuple(box.id for box in boxes if box.id not in staged)
        if self.walk is not None:
            ends = _walked_ends(ends, self.walk)
        return Outline(
            ruleflow=ruleflow.__version__, source=self.source, family=self.newest.family, level=self.wanted.level,
            title=self._title(), summary=self._summary(boxes), boxes=boxes, calls=calls, stages=stages, loose=loose,
            ends=ends, way=self.walk.way if self.walk else (), verdict=self.walk.verdict if self.walk else "",
            notes=tuple(self.notes),
        )  # fmt: skip

    # -- which boxes ----------------------------------------------------------------------------------------

    def _at(self, key: Key) -> Merged:
        return self.tables[key[0]][key[1]]

    def _fold(self) -> dict[Key, Key]:
        """For each chain kept, the one whose box stands for it."""
        found = self._folded(coarse=False)
        if len(set(found.values())) > MOST_BOXES:
            found = self._folded(coarse=True)
            self.notes.append("chains are folded by their names alone: there are too many shapes to draw")
        return found

    def _folded(self, *, coarse: bool) -> dict[Key, Key]:
        found: dict[Key, Key] = {}
        for table, chains in self.tables.items():
            mine = {
                name: [e.rule for e in chain.entries]
                for name, chain in chains.items()
                if (table, name) in self.kept
            }
            apart = frozenset(name for name in mine if self._stands_alone(chains[name]))
            heads = alike(mine, apart, coarse=coarse) if self.wanted.fold else {name: name for name in mine}
            found |= {(table, name): (table, head) for name, head in heads.items()}
        return found

    def _stands_alone(self, chain: Merged) -> bool:
        key = chain.table, chain.name
        named = chain.name in (self.wanted.chain, self.wanted.focus)
        marked = bool(chain.mark or chain.was or any(entry.mark for entry in chain.entries))
        return (
            chain.policy is not None or named or marked or (self.walk is not None and key in self.walk.chains)
        )

    def _in_order(self) -> Iterator[Key]:
        """The boxes as a packet meets them: hook by hook, called chains behind their callers, the rest last."""
        roots = [(table, hook) for hook, tables in STAGES.items() for table in tables]
        roots += [key for key in self.kept if self._at(key).policy is not None]
        for root in (*roots, *self.kept):
            if root in self.kept:
                yield from self._from(self.first[root], set())

    def _from(self, root: Key, seen: set[Key]) -> Iterator[Key]:
        waiting = [root]
        while waiting:
            key = waiting.pop()
            if key in seen or key in self._done:
                continue
            seen.add(key)
            self._done.add(key)
            yield key
            waiting += reversed(list(self._called(key)))

    @property
    def _done(self) -> set[Key]:
        found: set[Key] = self.__dict__.setdefault("_reached", set())
        return found

    def _called(self, key: Key) -> Iterator[Key]:
        seen: set[Key] = set()
        if self.wanted.level == "hooks":
            return
        for entry, _ in self._entries(key):
            target = entry.rule.target
            if isinstance(target, Jump | Goto) and (key[0], target.chain) in self.kept:
                head = self.first[key[0], target.chain]
                if head not in seen:
                    seen.add(head)
                    yield head

    def _entries(self, key: Key) -> Iterator[tuple[Entry, Merged]]:
        for member in self.members[key]:
            chain = self._at(member)
            for entry in chain.entries:
                yield entry, chain

    def _limited(self, order: list[Key]) -> list[Key]:
        if self.wanted.level == "hooks":
            order = [key for key in order if self._at(key).policy is not None]
        if len(order) <= MOST_BOXES:
            return order
        left = len(order) - MOST_BOXES
        self.notes.append(f"{left:,} more chains are not drawn; draw a part with --chain or --focus")
        return order[:MOST_BOXES]

    # -- what stands in them --------------------------------------------------------------------------------

    def _why(self) -> dict[tuple[str, str, int], Claim]:
        if sum(len(chain.entries) for table in self.tables.values() for chain in table.values()) > _EXPLAINED:
            return {}
        found: dict[tuple[str, str, int], Claim] = {}
        for claim in idioms.recognise(self.newest).claims:
            for ref in claim.about:
                found.setdefault((ref.table, ref.chain, ref.index), claim)
        return found

    def _box(self, chain: Merged) -> Box:
        key = chain.table, chain.name
        members = self.members[key]
        count = sum(len(self._at(member).entries) for member in members)
        title = chain.name if len(members) == 1 else f"{_common(members)}… × {len(members):,}"
        walked = self.walk is not None and key in self.walk.chains
        changed = bool(chain.mark or chain.was or any(entry.mark for entry in chain.entries))
        return Box(
            id=self.ids[key], table=chain.table, chain=chain.name, title=title, note=self._note(chain, len(members), count),
            lines=tuple(self._lines(chain)), policy=chain.policy, members=len(members), rules=count, line=chain.line,
            tooltip=_about(chain, members, count), mark=chain.mark or ("walked" if walked else ""),
            faded=(self.walk is not None and not walked) or (self.compares and not changed),
        )  # fmt: skip

    def _note(self, chain: Merged, members: int, count: int) -> str:
        parts = []
        if chain.policy is not None:
            was = f" (was {chain.was.lower()})" if chain.was else ""
            parts.append(f"policy {chain.policy.lower()}{was}")
        parts.append("no rules" if not count else f"{count:,} rules" if count > 1 else "1 rule")
        return f"{', '.join(parts)}; each like {chain.name}" if members > 1 else ", ".join(parts)

    def _lines(self, chain: Merged) -> Iterator[Line]:
        if self.wanted.level == "hooks":
            return
        entries = chain.entries
        if self.wanted.level == "chains":
            entries = _told(entries, chain.table)
        elif len(entries) > self.most:
            entries = tuple(
                entry
                for index, entry in enumerate(entries)
                if index < self.most or entry.mark or self._walked(entry)
            )
        made = [
            self.lines.line(chain, entry, self._leads_to(chain.table, entry.rule), self._walked(entry))
            for entry in entries
        ]
        left = len(chain.entries) - len(entries)
        if self.wanted.level == "chains":
            made = cut(list(summed(made)), 40)
        elif left:
            made.append(Line(kind="more", word="…", text=f"and {left:,} more rules"))
        yield from made
        if chain.policy is not None and (entries or chain.policy == "DROP"):
            walked = self.walk is not None and (chain.table, chain.name) in self.walk.policies
            yield _policy(chain, walked=walked)

    def _walked(self, entry: Entry) -> str:
        ref = entry.ref
        return (
            "walked" if self.walk is not None and (ref.table, ref.chain, ref.index) in self.walk.rules else ""
        )

    def _leads_to(self, table: str, rule: Rule) -> str | None:
        if isinstance(rule.target, Jump | Goto):
            return self.ids.get(self.first.get((table, rule.target.chain), ("", "")))
        return None

    # -- how they are joined ----------------------------------------------------------------------------------

    def _calls(self) -> tuple[Call, ...]:
        found: dict[tuple[str, str, str], list[tuple[Entry, Merged]]] = defaultdict(list)
        for key in self.order:
            for entry, chain in self._entries(key):
                to = self._leads_to(key[0], entry.rule)
                if to is not None:
                    sort = "goto" if isinstance(entry.rule.target, Goto) else "jump"
                    found[self.ids[key], to, sort].append((entry, chain))
        return tuple(self._call(*ends, entries) for ends, entries in found.items())

    def _call(self, caller: str, callee: str, sort: str, entries: list[tuple[Entry, Merged]]) -> Call:
        shown = [self.lines.line(chain, entry).text for entry, chain in entries[:2]]
        marks = {entry.mark or self._walked(entry) for entry, _ in entries}
        mark = next(
            (
                mark
                for mark in ("walked", "added", "removed")
                if mark in marks and (len(marks) == 1 or mark == "walked")
            ),
            "",
        )
        counts = [entry.rule.counters.packets for entry, _ in entries if entry.rule.counters is not None]
        faded = (self.walk is not None and mark != "walked") or (self.compares and not mark)
        return Call(
            caller=caller, callee=callee, kind=sort, when=tuple(shown), numbers=tuple(entry.ref.index for entry, _ in entries[:2]),
            rules=len(entries), mark=mark,
            packets=sum(counts) if counts else None, faded=faded,
        )  # fmt: skip

    def _stages(self) -> Iterator[Stage]:
        for hook, tables in STAGES.items():
            others = [table for table in self.tables if table not in tables and (table, hook) in self.ids]
            boxes = tuple(
                self.ids[table, hook] for table in (*tables, *others) if self._is_staged(table, hook)
            )
            yield Stage(hook, boxes)

    def _is_staged(self, table: str, hook: str) -> bool:
        return (table, hook) in self.ids and self._at((table, hook)).policy is not None

    # -- in words ---------------------------------------------------------------------------------------------

    def _title(self) -> str:
        what = f"IPv{self.newest.family} rules"
        of = f" of {self.source}" if self.source else ""
        if self.wanted.chain or self.wanted.focus:
            return f"Chain {self.wanted.chain or self.wanted.focus}{of}"
        return f"{what}{of}: what changes" if self.compares else f"{what}{of}"

    def _summary(self, boxes: tuple[Box, ...]) -> str:
        """The text that stands for the picture where it cannot be seen."""
        staged = [
            f"{box.table} {box.title} ({box.note})" for box in boxes if box.policy is not None and box.rules
        ]
        parts = [f"{len(boxes)} boxes of chains along the path of a packet."]
        parts += [f"Asked in order: {'; '.join(staged)}."] if staged else []
        marked = [
            f"{line.mark} {line.word} {line.text}"
            for box in boxes
            for line in box.lines
            if line.mark in ("added", "removed")
        ]
        parts += [f"Changed: {'; '.join(marked[:20])}."] if marked else []
        parts += [f"The packet's way: {', '.join(self.walk.way)}. {self.walk.verdict}"] if self.walk else []
        return " ".join(parts)


def _walked_ends(ends: Ends, walk: Walked) -> Ends:
    """The ends of the way say what comes and goes there."""
    enter = walk.enter if "arrive" in walk.way else ends.enter
    here = (
        (*walk.enter,)
        if "send" in walk.way
        else (ends.here[0], *walk.leave[1:])
        if "deliver" in walk.way
        else ends.here
    )
    return Ends(enter, walk.leave if "leave" in walk.way else ends.leave, here)


def _policy(chain: Merged, *, walked: bool) -> Line:
    """What becomes of packets that no rule decided."""
    sort = "drop" if chain.policy == "DROP" else "accept" if chain.table in ("filter", "security") else "pass"
    return Line(
        kind=sort, word=chain.policy or "", text="what no rule decides (policy)", mark="added" if chain.was else "walked" if walked else "",
        tooltip=f"{chain.table} {chain.name}: the policy is {chain.policy}" + (f", it was {chain.was}." if chain.was else "."),
    )  # fmt: skip


def _common(members: Iterable[Key]) -> str:
    return stem(next(iter(members))[1])


def _about(chain: Merged, members: list[Key], count: int) -> str:
    names = ", ".join(name for _, name in members[:8])
    more = f" and {len(members) - 8:,} more" if len(members) > 8 else ""
    return f"{chain.table} table, {'chains' if more or len(members) > 1 else 'chain'} {names}{more}: {count:,} rules"


def _told(entries: tuple[Entry, ...], table: str) -> tuple[Entry, ...]:
    """Of very many rules those that a box at the level of chains tells of: calls are drawn beside it."""
    if len(entries) <= 1000:
        return entries
    return tuple(entry for entry in entries if entry.mark or kind(entry.rule, table) not in ("jump", "goto"))
