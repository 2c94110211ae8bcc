"""Rules tried with single packets: most that some packet meets, or that are needed, are found so, without any sets.

A packet is a number for each level. It is made for a rule from what the rule and the calls on the way to it ask; where
another rule takes it, it is changed so that this one does not. What no packet is found for, sets must decide
(`reached`, `needed`): a packet proves, the lack of one proves nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice

import msgspec

from ruleflow.analysis.chains import callee
from ruleflow.analysis.lint.touch import Touch
from ruleflow.netfilter.action import Actions
from ruleflow.netfilter.alter import UNCHANGED, compose
from ruleflow.netfilter.encode import FREE_BASE
from ruleflow.netfilter.idd import EVERYTHING, LEAF_LEVEL, NOTHING
from ruleflow.netfilter.intervals import Interval, common, outside
from ruleflow.netfilter.outcome import Outcome
from ruleflow.netfilter.side import Side
from ruleflow.ruleset.effect import Back, Effects, Fork, Stop
from ruleflow.ruleset.ir import Goto, Jump, Rule, Table

Key = tuple[str, int]
"""A chain's name and the index of a rule in it, from 0."""
Point = dict[int, int]
Box = dict[int, Sequence[Interval]]
Tests = Sequence[tuple[int, Sequence[Interval]]]

_ON, _STOP, _BACK, _JUMP, _GOTO = range(5)
_SEEDS, _REPAIRS, _POOL, _STARTS = 4, 8, 200, 8
"""Ways into a chain that are kept; changes of one packet; packets kept for each hook, and how many are started from."""
_ALIKE = 4
"""Packets kept that get the same verdict in the same chain."""


class Seed(msgspec.Struct, frozen=True):
    """A packet that comes to a chain, and in which bounds it may be changed."""

    point: Point
    box: Box


class Plan(msgspec.Struct, frozen=True):
    """A chain made ready: what each rule leads to, what it does (its effects' leaf), what it asks beside tests."""

    touch: Touch
    kinds: list[int]
    calls: list[str]
    leaves: list[int]
    """The leaf of a rule that only decides, `NOTHING` for one that does nothing, -1 where it must be looked up."""
    others: dict[int, int]
    """Rules that ask more than tests: the diagram of all they ask."""
    words: list[str]
    """The verdicts of rules that decide."""
    unsure: frozenset[int]
    """Rules of which not even the way of one packet is known."""


class Tried:
    """The packets tried with one table."""

    def __init__(self, side: Side, table: Table) -> None:
        self.side, self.table, self.diagrams, self.space = side, table, side.diagrams, side.space
        self.met: set[Key] = set()
        self.fell: set[str] = set()
        """Hooks whose policy decides some packet."""
        self.seeds: dict[tuple[str, str], list[Seed]] = defaultdict(list)
        self._plans: dict[str, Plan] = {}
        self._pool: dict[str, list[Point]] = defaultdict(list)
        self._pooled: dict[tuple[str, str, str], set[Key | None]] = defaultdict(set)
        self._favourite: dict[tuple[str, str, int], Point] = {}
        self._chance = 1
        self._hook = ""
        self._point: Point = {}
        self._asked: dict[str, Sequence[int]] = {}
        self._trace: list[Key] = []
        self._decider: Key | None = None
        self._skip: Key | None = None
        self._done: list[Key] = []
        self._lost = False
        self._actions: dict[tuple[str, int, str], int] = {}
        self._alive: AbstractSet[Key] = frozenset()

    # -- chains made ready ----------------------------------------------------------------------------------

    def plan(self, name: str) -> Plan:
        """A chain of the table, made ready."""
        found = self._plans.get(name)
        if found is None:
            rules = self.table[name].rules
            asked = [self.space.asked(rule) for rule in rules]
            others = {
                n: self.side.where(self.table.name, name, n) for n, one in enumerate(asked) if one.others
            }
            kinds = [self._kind(rule) for rule in rules]
            unsure = frozenset(n for n, rule in enumerate(rules) if self._is_unsure(rule))
            touch = Touch(asked)
            if touch.rough:
                others = {n: self.side.where(self.table.name, name, n) for n in range(len(rules))}
            found = Plan(
                touch, kinds, [callee(rule) or "" for rule in rules], [self._leaf(rule) for rule in rules], others,
                [self._word(rule) for rule in rules], unsure,
            )  # fmt: skip
            self._plans[name] = found
        return found

    def _kind(self, rule: Rule) -> int:
        """As `reached` takes it: a target that may go on does."""
        target = rule.target
        if target is None:
            return _ON
        if isinstance(target, Jump | Goto):
            if target.chain not in self.table:
                return _ON
            return _JUMP if isinstance(target, Jump) else _GOTO
        then = self.space.effects(target).then
        if isinstance(then, Fork):
            return _STOP if all(isinstance(way, Stop) for way in then.ways) else _ON
        return _STOP if isinstance(then, Stop) else _BACK if isinstance(then, Back) else _ON

    def _is_unsure(self, rule: Rule) -> bool:
        effects = self._effects(rule)
        return effects is not None and isinstance(effects.then, Fork)

    def _leaf(self, rule: Rule) -> int:
        effects = self._effects(rule)
        if effects is None:
            return NOTHING
        return -1 if effects.changes else Actions(self.side.outcomes).diagram(effects, EVERYTHING)

    def _word(self, rule: Rule) -> str:
        effects = self._effects(rule)
        if effects is None or not isinstance(effects.then, Stop):
            return ""
        leaf = Actions(self.side.outcomes).diagram(Effects((), effects.then), EVERYTHING)
        return self.side.outcomes.value(leaf).then

    def _effects(self, rule: Rule) -> Effects | None:
        target = rule.target
        return None if target is None or isinstance(target, Jump | Goto) else self.space.effects(target)

    # -- one packet -----------------------------------------------------------------------------------------

    def run(self, hook: str, point: Point, skip: Key | None = None) -> None:
        """Send a packet through a hook's chain, without the rule ``skip``."""
        if point is not self._point or hook != self._hook:
            self._asked = {}
        self._hook, self._point, self._skip = hook, point, skip
        self._trace, self._decider, self._done, self._lost = [], None, [], False
        self._through(hook)

    def _through(self, name: str) -> bool:
        """Whether the packet was decided in a chain."""
        plan = self._plans.get(name) or self.plan(name)
        found = self._asked.get(name)
        if found is None:
            found = plan.touch.at(self._point)
            if plan.others:
                found = [n for n in found if n not in plan.others or self.at(plan.others[n])]
            self._asked[name] = found
        for index in found:
            if self._skip is not None and (self._skip == (name, index) or (name, index) not in self._alive):
                continue
            self._trace.append((name, index))
            kind = plan.kinds[index]
            if kind == _BACK:
                return False
            if kind in (_JUMP, _GOTO):
                decided = self._through(plan.calls[index])
                if decided or kind == _GOTO:
                    return decided
                continue
            self._lost = self._lost or index in plan.unsure
            if plan.leaves[index] != NOTHING:
                self._done.append((name, index))
            if kind == _STOP:
                self._decider = name, index
                return True
        return False

    def word(self) -> str:
        """The verdict for the packet; "" where it is not known."""
        if self._lost:
            return ""
        if self._decider is None:
            return self.table[self._hook].policy or "ACCEPT"
        name, index = self._decider
        return self.plan(name).words[index]

    def _outcome(self, name: str, index: int) -> int:
        """The leaf of what a rule does with the packet."""
        leaf = self.plan(name).leaves[index]
        if leaf >= 0:
            return leaf
        key = name, index, self._hook
        action = self._actions.get(key)
        if action is None:
            action = self._actions[key] = self.side.rule(self.table.name, name, index, self._hook)
        return self.at(action)

    def at(self, a: int) -> int:
        """The leaf of a diagram for the packet."""
        level, ends, kids, point = self.diagrams.level, self.diagrams.ends, self.diagrams.kids, self._point
        while level[a] != LEAF_LEVEL:
            value = point.get(level[a], 0)
            for end, kid in zip(ends[a], kids[a]):  # noqa: B905 - hot, and the same length by construction
                if value <= end:
                    a = kid
                    break
        return a

    # -- which rules are met --------------------------------------------------------------------------------

    def search(self, hook: str, order: Sequence[str], entering: int) -> None:
        """Try all rules that ``hook`` leads to; ``order`` are its chains, callers before the called."""
        for box in islice(self.diagrams.boxes(entering), _SEEDS):
            bounds: Box = dict(box)
            self.seeds[hook, hook].append(Seed({level: part[0][0] for level, part in box}, bounds))
        self._fall(hook)
        for name in order:
            for index, rule in enumerate(self.table[name].rules):
                called = callee(rule)
                wants_seed = (
                    called is not None and called in self.table and len(self.seeds[hook, called]) < _SEEDS
                )
                if wants_seed or (name, index) not in self.met:
                    self._try(hook, name, index, called if wants_seed else None)

    def _try(self, hook: str, name: str, index: int, called: str | None) -> None:
        for seed in self.seeds[hook, name]:
            for asked in self._boxes(name, index):
                box = _narrowed(seed.box, asked)
                if box is None:
                    continue
                found = self._meet(hook, (name, index), self._moved(seed.point, box), box)
                if found is not None:
                    if called is not None:
                        self.seeds[hook, called].append(Seed(found, box))
                    return

    def _fall(self, hook: str) -> None:
        for seed in self.seeds[hook, hook]:
            self._meet(hook, (hook, len(self.table[hook].rules)), seed.point, dict(seed.box))

    def _boxes(self, name: str, index: int) -> Iterator[Tests]:
        """What a rule asks, as one box or a few."""
        where = self.plan(name).others.get(index)
        if where is None:
            yield self.plan(name).touch.asked[index].tests
        else:
            yield from islice(self.diagrams.boxes(where), 2)

    def _meet(self, hook: str, key: Key, point: Point, box: Box) -> Point | None:
        """A packet within ``box`` that meets a rule, found from ``point``; ``box`` becomes narrower with it."""
        for _ in range(_REPAIRS):
            self.run(hook, point)
            self.met.update(self._trace)
            if key in self._trace:
                self._keep(hook, point)
                return point
            if self._decider is None and not self._lost:
                self.fell.add(hook)
            taker = self._taker(key)
            changed = None if taker is None else self._evaded(point, box, taker)
            if changed is None:
                return None
            point = changed
        return None

    def _keep(self, hook: str, point: Point) -> None:
        """Keep packets of different ends, to start from again."""
        deciders = self._pooled[hook, self.word(), self._decider[0] if self._decider else ""]
        if len(deciders) < _ALIKE and self._decider not in deciders and len(self._pool[hook]) < _POOL:
            deciders.add(self._decider)
            self._pool[hook].append(point)

    def _taker(self, key: Key) -> Key | None:
        """The rule that took the packet on its way to another: sent it back, or decided it."""
        for name, index in self._trace:
            if name == key[0] and self.plan(name).kinds[index] in (_BACK, _GOTO):
                return name, index
        return self._decider

    def _evaded(self, point: Point, box: Box, taker: Key) -> Point | None:
        """The packet changed within ``box`` so that a rule does not ask for it; None where it asks for all of ``box``."""
        name, index = taker
        options: list[tuple[int, Sequence[Interval]]] = []
        for level, intervals in self.plan(name).touch.asked[index].tests:
            top = self.diagrams.tops[level]
            left = common(box.get(level, ((0, top),)), outside(intervals, top))
            if left:
                options.append((level, left))
        where = self.plan(name).others.get(index)
        if where is not None:
            free = (level for level in self.diagrams.support(where) if level >= FREE_BASE)
            options += [
                (level, ((turned, turned),)) for level in sorted(free) if (turned := 1 - point.get(level, 0)) in (0, 1)
                and _has(box.get(level, ((0, 1),)), turned)
            ]  # fmt: skip
        if not options:
            return None
        level, parts = options[self._random(len(options))]
        box[level] = parts
        low, high = parts[self._random(len(parts))]
        return {**point, level: low + self._random(high - low + 1)}

    def _moved(self, point: Point, box: Box, other: Point | None = None) -> Point:
        """The packet with each number that is out of bounds brought into them, as in ``other`` where that fits."""
        moved = dict(point)
        for level, intervals in box.items():
            if not _has(intervals, moved.get(level, 0)):
                value = (other or {}).get(level, 0)
                moved[level] = value if _has(intervals, value) else intervals[0][0]
        return moved

    def _random(self, below: int) -> int:
        """A number below a bound, the same ones each time."""
        self._chance = (self._chance * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        return (self._chance >> 16) % below if below < 1 << 40 else (self._chance * self._chance) % below

    # -- which rules are needed -----------------------------------------------------------------------------

    def only(self, alive: AbstractSet[Key]) -> None:
        """From now on, rules that no packet meets count as taken out where another one is."""
        self._alive = alive

    def needs(self, hook: str, key: Key) -> bool:
        """Whether a packet was found that fares differently without a rule."""
        name, index = key
        plan, pool = self.plan(name), self._pool[hook]
        kind = name, hook, plan.kinds[index] << 32 | plan.leaves[index]
        known = self._favourite.get(kind)
        for start in (known, None, *self._starts(pool)) if known is not None else (None, *self._starts(pool)):
            for seed in self.seeds[hook, name][: 2 if start is None else 1]:
                for asked in self._ways(name, index):
                    box = _narrowed(seed.box, asked)
                    if box is not None and self._differs(
                        hook, key, self._moved(start or seed.point, box, seed.point), box
                    ):
                        self._favourite[kind] = self._point
                        if start in pool[1:]:
                            pool.remove(start)
                            pool.insert(0, start)
                        return True
        return False

    def _starts(self, pool: list[Point]) -> Iterator[Point]:
        """Packets that proved something lately, and some others."""
        yield from pool[:_STARTS].copy()
        for _ in range(_STARTS if len(pool) > _STARTS else 0):
            yield pool[_STARTS + self._random(len(pool) - _STARTS)]

    def _ways(self, name: str, index: int) -> Iterator[Tests]:
        """What a rule asks; and of one that calls, what it and a rule that decides there ask."""
        asked = next(self._boxes(name, index), ())
        yield asked
        called = self.plan(name).calls[index]
        if called in self.table:
            deciding = [n for n, kind in enumerate(self.plan(called).kinds) if kind == _STOP]
            for number in deciding[:2]:
                both = _narrowed(dict(asked), self.plan(called).touch.asked[number].tests)
                if both is not None:
                    yield tuple(both.items())

    def _differs(self, hook: str, key: Key, point: Point, box: Box) -> bool:
        for _ in range(3):
            self.run(hook, point)
            if key not in self._trace:
                taker = self._taker(key)
            else:
                word, done, lost = self.word(), self._done, self._lost
                self.run(hook, point, key)
                if not lost and not self._lost and self._unlike(word, done):
                    return True
                taker = self._decider
            changed = None if taker is None or taker == key else self._evaded(point, box, taker)
            if changed is None:
                return False
            point = changed
        return False

    def _unlike(self, word: str, done: list[Key]) -> bool:
        """Whether a verdict, and what rules did before, come to something else than those of the packet now."""
        if word != self.word():
            return True
        return done != self._done and self._whole(done) != self._whole(self._done)

    def _whole(self, done: list[Key]) -> Outcome:
        """What rules do together, one after the other; the verdict is not looked at."""
        alter = UNCHANGED
        tags: tuple[tuple[str, str], ...] = ()
        for key in done:
            one = self.side.outcomes.value(self._outcome(*key))
            alter, tags = compose(alter, one.alter), tags + tuple(tag for tag in one.tags if tag not in tags)
        return Outcome("", alter, tags)

    def verdicts(self, hook: str, where: int) -> Iterator[str]:
        """What becomes of some packets of a set."""
        for box in islice(self.diagrams.boxes(where), 3):
            self.run(hook, {level: part[0][0] for level, part in box})
            if word := self.word():
                yield word


def _narrowed(box: Box, asked: Tests) -> Box | None:
    """The box of packets in ``box`` that meet tests; None where there are none."""
    narrowed = dict(box)
    for level, intervals in asked:
        old = narrowed.get(level)
        found: Sequence[Interval] = intervals if old is None else common(old, intervals)
        if not found:
            return None
        narrowed[level] = found
    return narrowed


def _has(intervals: Sequence[Interval], value: int) -> bool:
    return any(low <= value <= high for low, high in intervals)
