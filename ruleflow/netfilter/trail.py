"""Which rules decide for a set of packets: the path gone step by step, the set parted where rules part it.

Slower than the diagrams of `flow` for all packets, quick for few: a rule that meets none of the set costs one
test that stops early. It keeps what diagrams forget: the deciding rule, and the rules that rewrote.
"""

from collections.abc import Generator, Iterator

import msgspec

from ruleflow.netfilter.alter import UNCHANGED, Alter, Grow, Is, altered, compose
from ruleflow.netfilter.encode import DST, IN, OUT, STATE
from ruleflow.netfilter.flow import ARRIVING, FRAGMENT, INVALID, NEW, SENDING, TTL, Flow
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Diagrams
from ruleflow.netfilter.outcome import BACK, NEXT, Tree
from ruleflow.netfilter.path import HOOKS, Stage
from ruleflow.netfilter.side import deep, missing
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.ir import Goto, Jump, RuleRef

_MANY = 100
"""How many rules of a chain are asked one by one; more are asked in groups."""
_BROAD = 500
"""Size of a set's diagram beyond which it is followed by groups of rules, not rule by rule."""

Tags = tuple[tuple[str, str], ...]


class Traveller(msgspec.Struct, frozen=True):
    """What packets of a set have in common on their way.

    ``alter`` is what rules changed, ``context`` what the kernel shows beside that; ``by`` is the rule that let
    them pass in each table, ``rewritten`` the rules that translated them.
    """

    alter: Alter = UNCHANGED
    context: Alter = UNCHANGED
    tags: Tags = ()
    by: tuple[tuple[str, RuleRef], ...] = ()
    rewritten: tuple[RuleRef, ...] = ()


class Part(msgspec.Struct, frozen=True):
    """A set of packets (``where``) with one fate: ``then`` is the verdict, ``by`` the rule or policy that gave it.

    A policy's reference has the index 0; None means that nothing decided against the packet.
    """

    where: int
    then: str
    by: RuleRef | None
    alter: Alter = UNCHANGED
    tags: Tags = ()
    rewritten: tuple[RuleRef, ...] = ()
    place: str = ""
    """The last hook it came to."""


Group = dict[Traveller, int]
"""Sets of packets by what they have in common."""


class Trail:
    """Follows sets of packets through one rule set.

    Told to keep packets ``together``, it does not part those that different rules let pass, which is much quicker:
    `deciders` says then which rules these are.
    """

    def __init__(self, flow: Flow, *, together: bool = False) -> None:
        self.flow, self.side = flow, flow.side
        self.diagrams, self.outcomes = flow.diagrams, flow.outcomes
        self.lens = flow.outcomes.lens
        self.done: list[Part] = []
        self._place = ""
        self.together = together
        self.passers: dict[RuleRef, dict[RuleRef, int]] = {}
        """What let packets pass, by the mark that stands for all rules of a hook that did."""
        self.broad = False
        """Whether the packets are so many kinds that rules are asked in groups."""

    def entry(self, name: str, where: int) -> list[Part]:
        """The fates of the packets in ``where``, entering as `Flow.entry` says; disjoint, and together all of them."""
        self.done = []
        self.broad = self.diagrams.is_larger(where, _BROAD)
        if self.flow.ways is not None and name in ("arrive", "send"):
            where = self.diagrams.exists(where, OUT)  # the routes say it
        with deep():
            group = {Traveller(context=self.flow.socket(int(name == "send"))): where}
            if name == "send":
                self._send(group)
            else:
                self._arrive(group, name)
        return self.done

    def _pass(self, group: Group) -> None:
        for traveller, where in group.items():
            self.done.append(self._part(traveller, where, "ACCEPT", _decider(traveller)))

    def _part(self, traveller: Traveller, where: int, then: str, by: RuleRef | None) -> Part:
        return Part(where, then, by, traveller.alter, traveller.tags, traveller.rewritten, self._place)

    # -- places ---------------------------------------------------------------------------------------------

    def _arrive(self, group: Group, name: str) -> None:
        group = self._hook("PREROUTING", group, ARRIVING)
        if name == "in":
            home, away = group, {}
        elif name == "through":
            home, away = {}, group
        else:
            group = self._believed(group, self.flow.disbelieved)
            home, away = self._split(group, self.flow.encoder.home())
            away = self._by_routes(away)
        self._pass(self._hook("INPUT", home, ARRIVING))
        self._forward(away)

    def _believed(
        self, group: Group, martian: int, why: str = "such an address does not arrive there"
    ) -> Group:
        """The packets that are not dropped as they are routed: whose source may arrive there."""
        if martian == NOTHING:
            return group
        lost, believed = self._split(group, martian)
        for traveller, where in lost.items():
            told = _tagged(traveller, (("kernel", why),))
            self.done.append(self._part(told, where, "DROP", None))
        return believed

    def _by_routes(self, group: Group) -> Group:
        """Each packet with the interface its route leaves by; those without a route, or not to be passed on, end."""
        if self.flow.ways is None:
            return group
        routed: Group = {}
        for number, addresses in self.flow.ways if self.flow.forwards else ():
            there, group = self._split(group, addresses)
            if self.flow.disbelieved_again != NOTHING:
                back, on = self._split(there, self.diagrams.test(IN, ((number, number),)))
                there = _merged(self._believed(back, self.flow.disbelieved_again), on, self.diagrams)
            for traveller, where in there.items():
                _add(routed, _shown(traveller, altered({OUT: Is(number)})), where, self.diagrams)
        for traveller, where in group.items():
            lost = _tagged(
                traveller,
                (
                    (
                        "kernel",
                        "no route leads there" if self.flow.forwards else "this host passes nothing on",
                    ),
                ),
            )
            self._place = "FORWARD"
            self.done.append(self._part(lost, where, "DROP", None))
        return routed

    def _forward(self, group: Group) -> None:
        self._place = "FORWARD"
        group = self._hook("FORWARD", self._hop(group), UNCHANGED)
        self._pass(self._hook("POSTROUTING", group, UNCHANGED))

    def _hop(self, group: Group) -> Group:
        group = self._believed(group, self.flow.never_forwarded(), "such a packet is not forwarded")
        if self.flow.hop() == NOTHING:
            return group
        spent, alive = self._split(group, self.diagrams.test(TTL, ((0, 1),)))
        for traveller, where in spent.items():
            self.done.append(
                self._part(_tagged(traveller, (("kernel", "its ttl is used up here"),)), where, "DROP", None)
            )
        return {_changed(traveller, altered({TTL: Grow(-1)})): where for traveller, where in alive.items()}

    def _send(self, group: Group) -> None:
        group = self._believed(group, self.flow.never_sent, "no address of this host")
        group = self._believed(self._sent(group), self.flow.never_leaves, "127/8 does not leave by it")
        group = self._hook("OUTPUT", group, SENDING)
        if (
            self.flow.ways is not None
        ):  # nf_nat_ipv4_local_fn: routed again where the destination was rewritten
            moved = {
                traveller: where for traveller, where in group.items() if traveller.alter.get(DST) is not None
            }
            rest = {traveller: where for traveller, where in group.items() if traveller not in moved}
            group = _merged(rest, self._sent(moved), self.diagrams)
        group = self._hook("POSTROUTING", group, SENDING)
        lo = self.flow.encoder.atoms.range("lo")
        looped, left = self._split(group, self.diagrams.test(OUT, (lo,)))
        self._pass(left)
        seen = altered({OUT: Is(0), IN: Is(lo[0])})
        self._pass(
            self._hook("INPUT", self._hook("PREROUTING", looped, seen, looped=True), seen, looped=True)
        )

    def _sent(self, group: Group) -> Group:
        """Packets of this host are passed on by its routes whether it forwards or not."""
        passes, self.flow.forwards = self.flow.forwards, True
        try:
            return self._by_routes(group)
        finally:
            self.flow.forwards = passes

    # -- stages ---------------------------------------------------------------------------------------------

    def _hook(self, hook: str, group: Group, seen: Alter, *, looped: bool = False) -> Group:
        if group:
            self._place = hook
        for stage in HOOKS[hook]:
            if group:
                group = self._stage(stage, hook, group, seen, looped=looped)
        return group

    def _stage(self, stage: Stage, hook: str, group: Group, seen: Alter, *, looped: bool) -> Group:
        match stage.kind:
            case "table":
                return self._table(stage.name, hook, group, seen, looped=looped)
            case "nat" if not looped:
                if not self._asks("nat", hook):
                    return self._unasked("nat", group)
                first, others = self._split(group, self.flow.first())
                return _merged(self._table("nat", hook, first, seen, looped=False), others, self.diagrams)
            case "track" if not looped:
                return self._tracked(group)
            case "defrag" if self.flow.tracks and not looped and "fragment" in self.side.space.used:
                whole = altered({FRAGMENT: Is(0)})
                return {_shown(traveller, whole): where for traveller, where in group.items()}
        return group

    def _tracked(self, group: Group) -> Group:
        known = self.flow.known_of_new()
        if not known:
            return group
        new, others = self._split(group, self.diagrams.test(STATE, ((NEW, NEW),)))
        return _merged(
            {_shown(traveller, known): where for traveller, where in new.items()}, others, self.diagrams
        )

    def _split(self, group: Group, by: int) -> tuple[Group, Group]:
        """The packets that are in the set ``by`` as they stand now, and the others."""
        inside: Group = {}
        outside: Group = {}
        for traveller, where in group.items():
            test = self.lens.through(by, compose(traveller.context, traveller.alter))
            _add(inside, traveller, self.diagrams.both(test, where), self.diagrams)
            _add(outside, traveller, self.diagrams.without(where, test), self.diagrams)
        return inside, outside

    def _table(self, table: str, hook: str, group: Group, seen: Alter, *, looped: bool) -> Group:
        if not self._asks(table, hook):
            return self._unasked(table, group)
        if table == "raw" and not looped:
            seen = altered(dict(seen.changes) | {STATE: Is(INVALID)})
        passed: Group = {}
        for traveller, where in group.items():
            chain = _Chain(self, table, hook, traveller, where, seen, looped=looped)
            for then, moved, ref, inside in chain.ask(hook, {traveller: where}):
                self._ended(then, moved, ref, inside, table, hook, passed)
        return passed

    def _marked(self, ref: RuleRef, where: int, table: str, hook: str) -> RuleRef:
        mark = RuleRef(table, hook, -1)
        known = self.passers.setdefault(mark, {})
        known[ref] = self.diagrams.either(known.get(ref, NOTHING), where)
        return mark

    def deciders(self, part: Part) -> tuple[RuleRef, ...]:
        """The rules or the policy that decide for packets of a part."""
        if part.by is None or part.by.index >= 0:
            return () if part.by is None else (part.by,)
        passers = self.passers[part.by].items()
        return tuple(ref for ref, where in passers if self.diagrams.meets(where, part.where))

    def _asks(self, table: str, hook: str) -> bool:
        """Whether a table's chain of a hook may do anything but let packets pass."""
        ruleset = self.side.ruleset
        chain = ruleset[table][hook] if table in ruleset and hook in ruleset[table] else None
        return chain is not None and bool(chain.rules or chain.policy not in (None, "ACCEPT"))

    def _unasked(self, table: str, group: Group) -> Group:
        """What passes a table without a rule: none of this table's has let it pass."""
        left: Group = {}
        for traveller, where in group.items():
            by = tuple(pair for pair in traveller.by if pair[0] != table)
            _add(
                left,
                msgspec.structs.replace(traveller, by=by) if by != traveller.by else traveller,
                where,
                self.diagrams,
            )
        return left

    def _ended(
        self,
        then: str,
        traveller: Traveller,
        ref: RuleRef | None,
        where: int,
        table: str,
        hook: str,
        passed: Group,
    ) -> None:
        """A table's answer: with ACCEPT the packet goes on, with another verdict this is its end."""
        if ref is None:
            chain = self.side.ruleset[table][hook]
            then = chain.policy or "ACCEPT"
            if then != "ACCEPT":
                self.done.append(self._part(traveller, where, then, RuleRef(table, hook, 0, chain.line)))
                return
        if then != "ACCEPT":
            self.done.append(self._part(traveller, where, then, ref))
            return
        by = dict(traveller.by)
        if ref is not None:
            by[table] = self._marked(ref, where, table, hook) if self.together else ref
        else:
            by.pop(table, None)
        _add(passed, msgspec.structs.replace(traveller, by=tuple(by.items())), where, self.diagrams)


class _Chain:
    """One table asked by one kind of traveller."""

    def __init__(
        self,
        trail: Trail,
        table: str,
        hook: str,
        traveller: Traveller,
        where: int,
        seen: Alter,
        *,
        looped: bool,
    ) -> None:
        self.trail, self.side, self.diagrams = trail, trail.side, trail.diagrams
        self.table, self.hook, self.looped = table, hook, looped
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
        chain = self.side.ruleset[self.table][name]
        rules = self._met(name)
        if self.trail.broad or len(rules) > _MANY:
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
        shut = not self.trail.outcomes.is_open(tree.part)
        if tree.number is not None and not shut:
            return (yield from self._asked(name, tree.number, group))
        inside, following = (group, {}) if sure else self._parted(tree.part, group)
        if tree.number is not None:
            inside = yield from self._asked(name, tree.number, inside, sure=True)
        for child in tree.children:
            last = shut and child is tree.children[-1]
            inside = yield from self._by_groups(name, child, inside, sure=last)
        return _merged(following, inside, self.diagrams)

    def _parted(self, part: int, group: Group) -> tuple[Group, Group]:
        """The packets that meet a rule of a group, and those that meet none."""
        inside: Group = {}
        following: Group = {}
        for traveller, where in group.items():
            seen = self.trail.lens.through(part, self._eyes(traveller))
            met = self.diagrams.both(self._nonzero(seen), where)
            _add(inside, traveller, met, self.diagrams)
            _add(following, traveller, self.diagrams.without(where, met), self.diagrams)
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
            seen = self.trail.lens.through(part, self._eyes(traveller))
            if not sure and not self.diagrams.meets(seen, where):
                _add(following, traveller, where, self.diagrams)
                continue
            inside = where if sure else self.diagrams.both(self._nonzero(seen), where)
            _add(following, traveller, self.diagrams.without(where, inside), self.diagrams)
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
            outcome = self.trail.outcomes.value(leaf)
            change = outcome.alter
            if self.looped and self.table == "raw":
                change = Alter(tuple(pair for pair in change.changes if pair[0] != STATE))
            moved = _tagged(_changed(traveller, change), outcome.tags)
            if rewrites and outcome.alter:
                moved = msgspec.structs.replace(moved, rewritten=(*moved.rewritten, ref))
            if outcome.then == NEXT:
                _add(following, moved, at, self.diagrams)
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
            yield leaf, self.diagrams.both(inside, self.trail.outcomes.indicator(found, frozenset({leaf})))

    def _changes(self, target: object) -> tuple[object, ...]:
        return () if target is None else self.side.space.effects(target).changes  # type: ignore[arg-type]

    def _nonzero(self, a: int) -> int:
        return self.diagrams.map_leaves(a, lambda leaf: int(leaf != NOTHING), "nonzero")

    def _jump(
        self, name: str, index: int, target: Jump | Goto, traveller: Traveller, where: int, following: Group
    ) -> Iterator[tuple[str, Traveller, RuleRef, int]]:
        met = self.trail.lens.through(self.side.where(self.table, name, index), self._eyes(traveller))
        inside = self.diagrams.both(met, where)
        _add(following, traveller, self.diagrams.without(where, inside), self.diagrams)
        if inside == NOTHING:
            return
        if target.chain not in self.side.ruleset[self.table]:
            _add(following, _tagged(traveller, (missing(target.chain),)), inside, self.diagrams)
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
            _add(following, moved, self.diagrams.union(parts), self.diagrams)


def _add(group: Group, traveller: Traveller, where: int, diagrams: Diagrams) -> None:
    if where != NOTHING:
        old = group.get(traveller)
        group[traveller] = where if old is None else diagrams.either(old, where)


def _merged(one: Group, two: Group, diagrams: Diagrams) -> Group:
    for traveller, where in two.items():
        _add(one, traveller, where, diagrams)
    return one


def _tagged(traveller: Traveller, tags: Tags) -> Traveller:
    fresh = tuple(tag for tag in tags if tag not in traveller.tags)
    return msgspec.structs.replace(traveller, tags=traveller.tags + fresh) if fresh else traveller


def _changed(traveller: Traveller, alter: Alter) -> Traveller:
    return msgspec.structs.replace(traveller, alter=compose(traveller.alter, alter)) if alter else traveller


def _shown(traveller: Traveller, alter: Alter) -> Traveller:
    return msgspec.structs.replace(traveller, context=compose(traveller.context, alter))


def _decider(traveller: Traveller) -> RuleRef | None:
    """Of packets that passed: the rule of the filter table, or else of whichever table decided last."""
    by = {table: ref for table, ref in traveller.by if table != "nat"}
    return by.get("filter") or (list(by.values())[-1] if by else None)
