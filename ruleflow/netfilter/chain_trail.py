"""One table asked by a set of packets that have all in common so far: which of its rules decides for which of them."""

from collections.abc import Generator, Iterator

import msgspec

from ruleflow.netfilter.alter import Alter, Is, altered, compose
from ruleflow.netfilter.encode import STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.outcome import BACK, NEXT, Tree
from ruleflow.netfilter.side import calls_itself, missing
from ruleflow.netfilter.traveller import Crowd, Group, Traveller, add, changed, merged, tagged
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.ir import Goto, Jump, RuleRef

_MANY = 100
"""How many rules of a chain are asked one by one; more are asked in groups."""


class ChainTrail:
    """One table asked by one kind of traveller.

    Given ``crowds``, rules that only decide are not told apart: what they decide together bears a mark (a reference
    with an index below 0) under which the rules are entered there.
    """

    def __init__(
        self,
        flow: Flow,
        table: str,
        hook: str,
        traveller: Traveller,
        where: int,
        seen: Alter,
        *,
        looped: bool,
        broad: bool,
        crowds: dict[RuleRef, Crowd] | None = None,
    ) -> None:
        self.side, self.diagrams, self.outcomes = flow.side, flow.diagrams, flow.outcomes
        self.broad, self.crowds = broad, crowds
        self.table, self.hook, self.looped = table, hook, looped
        self.entered: list[str] = []
        self.before = compose(compose(traveller.context, traveller.alter), seen)
        self.came = traveller.alter
        self.region = self.side.region(self._image(where), table)

    def _image(self, where: int) -> int:
        """The packets as they stand here, or more: what was changed may be anything, or the constant it is now."""
        for level, new in self.before.changes:
            where = self.diagrams.exists(where, level)
            if isinstance(new, Is):
                where = self.diagrams.both(self.diagrams.test(level, ((new.value, new.value),)), where)
        return where

    def ask(self, name: str, group: Group) -> Iterator[tuple[str, Traveller, RuleRef | None, int]]:
        """Verdict, traveller, rule and set for each part; the rule is None where the base chain's end decides."""
        for then, traveller, ref, where in self._chain(name, group):
            yield (then, traveller, None if then in (NEXT, BACK) else ref, where)

    def _chain(self, name: str, group: Group) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        """Like `ask`, for a chain; what it does not decide comes last, with `NEXT` or `BACK`."""
        if name in self.entered:
            raise calls_itself(self.table, name)
        self.entered.append(name)
        yield from self._entered(name, group)
        self.entered.pop()

    def _entered(self, name: str, group: Group) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        chain = self.side.ruleset[self.table][name]
        rules = self._met(name)
        if self.broad or len(rules) > _MANY:
            within = self.region.where if self.region.is_product else EVERYTHING
            group = yield from self._by_groups(
                name, self.side.tree(self.table, name, self.hook, within), group
            )
            rules = []
        for index in rules:
            if not group:
                return
            group = yield from self._asked(name, index, group)
        end = RuleRef(self.table, name, 0, chain.line)
        for traveller, where in group.items():
            yield NEXT, traveller, end, where

    def _met(self, name: str) -> list[int]:
        """The rules of a chain that the packets may meet, by what each of these has; a quick look."""
        rules, shadows, asked = (
            self.side.ruleset[self.table][name].rules,
            self.region.shadows,
            self.side.space.asked,
        )
        if not shadows:
            return list(range(len(rules)))
        return [index for index, rule in enumerate(rules) if not asked(rule).misses(shadows)]

    def _ref(self, name: str, index: int) -> RuleRef:
        return RuleRef(self.table, name, index + 1, self.side.ruleset[self.table][name].rules[index].line)

    def _by_groups(
        self, name: str, tree: Tree | None, group: Group, *, sure: bool = False
    ) -> Generator[tuple[str, Traveller, RuleRef, int], None, Group]:
        """Groups of rules asked by all: what meets none of a group's rules passes it as a whole.

        ``sure``: all of the packets meet a rule of the group that decides.
        """
        if tree is None or not group:
            return group
        shut = not self.outcomes.is_open(tree.part)
        if tree.number is not None and not shut:
            return (yield from self._asked(name, tree.number, group))
        inside, following = (group, {}) if sure else self._parted(tree.part, group)
        alone = self._alone(name, tree) if self.crowds is not None and tree.children else None
        if alone is not None:
            yield from self._by_crowd(alone, tree.part, inside)
            return following
        if tree.number is not None:
            inside = yield from self._asked(name, tree.number, inside, sure=True)
        for child in tree.children:
            last = shut and child is tree.children[-1]
            inside = yield from self._by_groups(name, child, inside, sure=last)
        return merged(following, inside, self.diagrams)

    def _by_crowd(
        self, rules: tuple[tuple[RuleRef, int], ...], part: int, group: Group
    ) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        """What rules that only decide do with packets that all meet one of them."""
        assert self.crowds is not None
        for traveller, where in group.items():
            eyes = self._eyes(traveller)
            mark = RuleRef(self.table, self.hook, -2 - len(self.crowds))
            self.crowds[mark] = Crowd(rules, eyes)
            for leaf, at in self._by_outcome(self.outcomes.lens.through(part, eyes), where):
                outcome = self.outcomes.value(leaf)
                yield outcome.then, tagged(traveller, outcome.tags), mark, at

    def _alone(self, name: str, tree: Tree) -> tuple[tuple[RuleRef, int], ...] | None:
        """The rules of a group with what each decides behind those before it; None where some do more than decide."""
        known = self.side.alone
        if id(tree) not in known:
            rules = self.side.ruleset[self.table][name].rules
            plain = all(not self.outcomes.value(leaf).alter for leaf in self.diagrams.leaves(tree.part))
            calls = any(isinstance(rules[index].target, Jump | Goto) for index in tree.numbers())
            shut = not self.outcomes.is_open(tree.part)
            known[id(tree)] = (
                tuple(self._effective(name, tree, NOTHING)) if plain and shut and not calls else None
            )
        return known[id(tree)]

    def _effective(self, name: str, tree: Tree, covered: int) -> Iterator[tuple[RuleRef, int]]:
        own = self._nonzero(tree.part)
        if tree.number is not None:
            left = self.diagrams.without(own, covered)
            if left != NOTHING:
                yield self._ref(name, tree.number), left
            return
        covered = self.diagrams.both(covered, own)
        for child in tree.children:
            yield from self._effective(name, child, covered)
            covered = self.diagrams.either(covered, self._nonzero(child.part))

    def _parted(self, part: int, group: Group) -> tuple[Group, Group]:
        """The packets that meet a rule of a group, and those that meet none."""
        inside: Group = {}
        following: Group = {}
        for traveller, where in group.items():
            seen = self.outcomes.lens.through(part, self._eyes(traveller))
            met = self.diagrams.both(self._nonzero(seen), where)
            add(inside, traveller, met, self.diagrams)
            add(following, traveller, self.diagrams.without(where, met), self.diagrams)
        return inside, following

    def _asked(
        self, name: str, index: int, group: Group, *, sure: bool = False
    ) -> Generator[tuple[str, Traveller, RuleRef, int], None, Group]:
        """One rule asked by all (``sure``: that all meet); what goes on to the next rule is returned."""
        following: Group = {}
        target = self.side.ruleset[self.table][name].rules[index].target
        if isinstance(target, Jump | Goto):
            for traveller, where in group.items():
                yield from self._jump(name, index, target, traveller, where, following)
            return following
        part = self.side.rule(self.table, name, index, self.hook)
        if part == NOTHING:
            return group
        ref = self._ref(name, index)
        for traveller, where in group.items():
            seen = self.outcomes.lens.through(part, self._eyes(traveller))
            if not sure and not self.diagrams.meets(seen, where):
                add(following, traveller, where, self.diagrams)
                continue
            inside = where if sure else self.diagrams.both(self._nonzero(seen), where)
            add(following, traveller, self.diagrams.without(where, inside), self.diagrams)
            yield from self._rule(target, ref, traveller, inside, seen, following)
        return following

    def _eyes(self, traveller: Traveller) -> Alter:
        """All that a condition here sees changed: what came before the table, then what the table did."""
        if traveller.alter is self.came or traveller.alter == self.came:
            return self.before
        came, now = dict(self.came.changes), dict(traveller.alter.changes)
        seen = {level: new for level, new in self.before.changes if level not in came or level in now}
        seen |= {level: new for level, new in now.items() if came.get(level) != new}
        return altered(seen)

    def _rule(
        self, target: object, ref: RuleRef, traveller: Traveller, inside: int, seen: int, following: Group
    ) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        """What becomes of packets ``inside``, which all meet a rule."""
        rewrites = any(isinstance(change, Rewrite) for change in self._changes(target))
        for leaf, at in self._by_outcome(seen, inside):
            outcome = self.outcomes.value(leaf)
            change = outcome.alter
            if self.looped and self.table == "raw":
                change = Alter(tuple(pair for pair in change.changes if pair[0] != STATE))
            moved = tagged(changed(traveller, change), outcome.tags)
            if rewrites and outcome.alter:
                moved = msgspec.structs.replace(moved, rewritten=(*moved.rewritten, ref))
            if outcome.then == NEXT:
                add(following, moved, at, self.diagrams)
            else:
                yield outcome.then, moved, ref, at

    def _by_outcome(self, seen: int, inside: int) -> Iterator[tuple[int, int]]:
        """What a rule does with packets that meet it, each with the packets of that."""
        leaves = self.diagrams.leaves(seen) - {NOTHING}
        if len(leaves) == 1:
            yield next(iter(leaves)), inside
            return
        found = self.diagrams.both(inside, seen)
        for leaf in sorted(self.diagrams.leaves(found) - {NOTHING}):
            yield leaf, self.diagrams.both(inside, self.outcomes.indicator(found, frozenset({leaf})))

    def _changes(self, target: object) -> tuple[object, ...]:
        return () if target is None else self.side.space.effects(target).changes  # type: ignore[arg-type]

    def _nonzero(self, a: int) -> int:
        return self.diagrams.map_leaves(a, lambda leaf: int(leaf != NOTHING), "nonzero")

    def _jump(
        self, name: str, index: int, target: Jump | Goto, traveller: Traveller, where: int, following: Group
    ) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        met = self.outcomes.lens.through(self.side.where(self.table, name, index), self._eyes(traveller))
        inside = self.diagrams.both(met, where)
        add(following, traveller, self.diagrams.without(where, inside), self.diagrams)
        if inside == NOTHING:
            return
        if target.chain not in self.side.ruleset[self.table]:
            add(following, tagged(traveller, (missing(target.chain),)), inside, self.diagrams)
            return
        back: dict[Traveller, list[int]] = {}
        for then, moved, ref, at in self._chain(target.chain, {traveller: inside}):
            if then not in (NEXT, BACK):
                yield then, moved, ref, at
            elif isinstance(target, Goto):
                yield BACK, moved, ref, at
            else:
                back.setdefault(moved, []).append(at)
        for moved, parts in back.items():
            add(following, moved, self.diagrams.union(parts), self.diagrams)
