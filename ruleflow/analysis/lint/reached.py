"""Which rules some packet reaches and meets: for every chain, from every hook, through jumps, gotos and RETURNs.

What is asked is never too little: where a rule changes a field that later rules read, or a target's doings are not
known, more packets are thought possible than there are. So a rule said never to match never does.
"""

from collections import defaultdict
from collections.abc import Iterator

from ruleflow.analysis.chains import callee
from ruleflow.analysis.lint.entering import entering
from ruleflow.analysis.lint.tree import Tree, support
from ruleflow.analysis.lint.tried import Key, Tried
from ruleflow.netfilter.alter import Is, Xor
from ruleflow.netfilter.encode import BITWISE, LEVELS
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.side import Side, deep
from ruleflow.ruleset.effect import Back, Fork, Rewrite, Stop
from ruleflow.ruleset.ir import Goto, Jump, Rule, Table

Stretch = tuple[str, int, int]
"""A chain's name and a stretch of its rules, from and up to; within it no rule changes what a later one reads."""


class Reached:
    """One table: ``hit`` are the rules that some packet meets, ``entered`` what enters each chain, by hook and chain."""

    def __init__(self, side: Side, table: Table) -> None:
        self.side, self.table, self.diagrams = side, table, side.diagrams
        self.hit: set[Key] = set()
        self.entered: dict[tuple[str, str], int] = {}
        self.tried = Tried(side, table)
        self._starting: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self.starts: dict[Stretch, dict[str, int]] = {}
        """What comes to each stretch of rules that was looked at in one piece, by hook."""
        self._stop, self._back = self.diagrams.leaf("stop"), self.diagrams.leaf("back")
        self.trees: dict[str, Tree] = {}
        self._firsts: dict[tuple[str, int, int], int] = {}
        self._hook = ""
        self.changing_hooks: set[str] = set()
        """Hooks from which some rule changes what a later one reads."""
        self._changing: frozenset[str] = frozenset()
        self._read: frozenset[int] = frozenset()
        self._pending: dict[str, int] = {}
        with deep():
            for chain in table:
                if chain.policy is not None:
                    self._from_hook(chain.name)
        self.diagrams.forget()

    # -- one hook -------------------------------------------------------------------------------------------

    def _from_hook(self, hook: str) -> None:
        order = self.order(hook)
        self._hook = hook
        self._read = frozenset(level for name in order for level in self._levels_read(name))
        self._changing = self._chains_that_change(order)
        if self._changing:
            self.changing_hooks.add(hook)
        self._pending = defaultdict(int)
        start = self._starting[hook] = entering(self.side, self.table.name, hook)
        if hook in self._changing:
            self._left[hook] = self._through(hook, start, hook)
        else:
            self._pending[hook] = start
            self.tried.search(hook, order, start)
            self.hit |= self.tried.met
        for name in order:
            packets = self._pending.pop(name, NOTHING)
            if packets != NOTHING:
                self._enter(hook, name, packets)
                self._meet(name, 0, len(self.tree(name)), packets)

    def asks_policy(self, hook: str) -> bool:
        """Whether the policy of a hook's chain decides any packet."""
        if hook in self.tried.fell:
            return True
        if hook not in self._left:
            with deep():
                self._left[hook] = self.diagrams.without(self._starting[hook], self._decided(hook))
        return self._left[hook] != NOTHING

    def order(self, hook: str) -> list[str]:
        """The chains that a hook's chain leads to, callers before the called."""
        done: dict[str, None] = {}
        entered: set[str] = set()

        def visit(name: str) -> None:
            if name in entered or name not in self.table:
                return
            entered.add(name)
            for rule in self.table[name].rules:
                called = callee(rule)
                if called is not None:
                    visit(called)
            done[name] = None

        visit(hook)
        return list(reversed(done))

    def _enter(self, hook: str, name: str, packets: int) -> None:
        self.entered[hook, name] = self.diagrams.either(self.entered.get((hook, name), NOTHING), packets)

    def _through(self, name: str, packets: int, hook: str) -> int:
        """What comes back from a chain of the packets that enter it; rules that change nothing are put off."""
        if name not in self._changing:
            self._pending[name] = self.diagrams.either(self._pending[name], packets)
            return self.diagrams.without(packets, self._decided(name))
        self._enter(hook, name, packets)
        back, tree, low = NOTHING, self.tree(name), 0
        for index, rule in enumerate(self.table[name].rules):
            if not self._changes(rule):
                continue
            packets, returned = self._run(name, low, index, packets)
            back = self.diagrams.either(back, returned)
            low = index + 1
            met = self.diagrams.both(packets, tree.asks(index))
            if met == NOTHING:
                continue
            self._start((name, index, index + 1), packets)
            self.hit.add((name, index))
            packets = self.diagrams.without(packets, tree.asks(index))
            called = callee(rule)
            after = (
                self._through(called, met, hook)
                if called is not None and called in self.table
                else self._image(met, rule, hook, index)
            )
            if isinstance(rule.target, Goto):
                back = self.diagrams.either(back, after)
            else:
                packets = self.diagrams.either(packets, after)
        packets, returned = self._run(name, low, len(tree), packets)
        return self.diagrams.either(packets, self.diagrams.either(back, returned))

    def _run(self, name: str, low: int, high: int, packets: int) -> tuple[int, int]:
        """A stretch of rules that change nothing: what goes on behind it, and what goes back to the caller."""
        if low >= high or packets == NOTHING:
            return packets, NOTHING
        self._meet(name, low, high, packets)
        done = self.tree(name).done(low, high)
        back = self.diagrams.both(packets, self._where(done, self._back))
        return self.diagrams.without(packets, self._anything(done)), back

    def _meet(self, name: str, low: int, high: int, packets: int) -> None:
        """Which rules of a stretch some of the packets meet; what these send to other chains is put off."""
        rules = self.table[name].rules
        self._start((name, low, high), packets)
        for index in range(low, high):
            called = callee(rules[index])
            if called is not None and called in self.table:
                here = self.diagrams.both(packets, self.first(name, low, index))
                if here != NOTHING:
                    self.hit.add((name, index))
                    self._pending[called] = self.diagrams.either(self._pending[called], here)
            elif (name, index) not in self.hit and self.diagrams.meets(self.first(name, low, index), packets):
                self.hit.add((name, index))

    def _start(self, stretch: Stretch, packets: int) -> None:
        known = self.starts.setdefault(stretch, {})
        known[self._hook] = self.diagrams.either(known.get(self._hook, NOTHING), packets)

    def first(self, name: str, low: int, index: int) -> int:
        """What a rule asks for and no rule of its stretch (from ``low``) takes before it."""
        found = self._firsts.get((name, low, index))
        if found is None:
            tree = self.tree(name)
            touching = tree.touch.box(tree.touch.asked[index].tests)
            found = self._firsts[name, low, index] = tree.rest(tree.asks(index), low, index, touching)
        return found

    # -- what rules do --------------------------------------------------------------------------------------

    def tree(self, name: str) -> Tree:
        """A chain's rules as sets: ``does`` has the leaves "stop" (decided) and "back" (to the caller)."""
        found = self.trees.get(name)
        if found is None:
            rules, where = self.table[name].rules, self.side.where
            found = self.trees[name] = Tree(
                self.diagrams,
                self.tried.plan(name).touch,
                lambda index: where(self.table.name, name, index),
                lambda index: self._does(rules[index], self.asks(name, index)),
                self.diagrams.either,
            )
        return found

    def asks(self, name: str, index: int) -> int:
        """The packets that a rule asks for."""
        return self.tree(name).asks(index)

    def _does(self, rule: Rule, where: int) -> int:
        target = rule.target
        if target is None or where == NOTHING:
            return NOTHING
        if isinstance(target, Jump | Goto):
            body = self._body(target.chain)
            if isinstance(target, Goto):
                return self.diagrams.both(
                    where, self.diagrams.choose(self._where(body, self._stop), self._stop, self._back)
                )
            return self.diagrams.both(where, self.diagrams.map_leaves(body, self._only_stop, "back goes on"))
        then = self.side.space.effects(target).then
        if isinstance(then, Stop) or (
            isinstance(then, Fork) and all(isinstance(way, Stop) for way in then.ways)
        ):
            return self.diagrams.both(where, self._stop)
        return self.diagrams.both(where, self._back) if isinstance(then, Back) else NOTHING

    def _body(self, name: str) -> int:
        return self.tree(name).done(0, len(self.tree(name))) if name in self.table else NOTHING

    def _only_stop(self, leaf: int) -> int:
        return leaf if leaf == self._stop else NOTHING

    def _decided(self, name: str) -> int:
        return self._where(self._body(name), self._stop)

    def _where(self, a: int, leaf: int) -> int:
        """The packets for which ``a`` ends in ``leaf``."""
        return self.diagrams.map_leaves(
            a, lambda one: EVERYTHING if one == leaf else NOTHING, ("where", leaf)
        )

    def _anything(self, a: int) -> int:
        return support(self.diagrams, a)

    # -- rules that change what later rules read -------------------------------------------------------------

    def _levels_read(self, name: str) -> Iterator[int]:
        for rule in self.table[name].rules:
            asked = self.side.space.asked(rule)
            yield from (level for level, _ in asked.tests)
            if asked.others:
                yield from self.diagrams.support(self.side.space.encoder.build(asked, name))

    def _chains_that_change(self, order: list[str]) -> frozenset[str]:
        """The chains in which, or behind which, a rule changes something that is read."""
        found: set[str] = set()
        for name in reversed(order):
            if any(self._changed(rule) or callee(rule) in found for rule in self.table[name].rules):
                found.add(name)
        return frozenset(found)

    def _changes(self, rule: Rule) -> bool:
        called = callee(rule)
        return called in self._changing if called is not None else bool(self._changed(rule))

    def _changed(self, rule: Rule) -> frozenset[int]:
        """The levels that a rule changes before it goes on, of those that are read."""
        target = rule.target
        if target is None or isinstance(target, Jump | Goto):
            return frozenset()
        effects = self.side.space.effects(target)
        if not effects.changes or isinstance(effects.then, Stop):
            return frozenset()
        return frozenset(self._fields(rule)) & self._affected()

    def alters(self, rule: Rule) -> bool:
        """Whether a rule changes any field of a packet before it goes on."""
        target = rule.target
        if target is None or isinstance(target, Jump | Goto):
            return callee(rule) is not None
        return any(True for _ in self._fields(rule))

    def _affected(self) -> frozenset[int]:
        encoder = self.side.space.encoder
        return self._read | frozenset(level for free in encoder.free.values() for level in free.reads)

    def _fields(self, rule: Rule) -> Iterator[int]:
        encoder = self.side.space.encoder
        assert rule.target is not None
        assert not isinstance(rule.target, Jump | Goto)
        for change in self.side.space.effects(rule.target).changes:
            field = getattr(change, "field", getattr(change, "to", None))
            if field is None:
                if type(change).__name__ == "Untrack":
                    yield LEVELS["state"]
                elif isinstance(change, Rewrite):
                    yield from (
                        LEVELS[n] for n in ("source", "destination", "source_port", "destination_port")
                    )
            elif field.name in BITWISE:
                yield from (encoder.bit(field, n) for n in range(field.bits or 0))
            else:
                yield LEVELS[field.name]

    def _image(self, met: int, rule: Rule, hook: str, index: int) -> int:
        """The packets as the rule leaves them: what is not a constant may be anything."""
        done = self.side.rule(self.table.name, rule.chain, index, hook)
        found = NOTHING
        for leaf in self.diagrams.leaves(done):
            if leaf == NOTHING:
                continue
            outcome = self.side.outcomes.value(leaf)
            if outcome.then == "next":
                part = self.diagrams.both(met, self._where(done, leaf))
                found = self.diagrams.either(found, self._after(part, outcome.alter.changes))
        untouched = self.diagrams.without(met, self._anything(done))
        return self.diagrams.either(found, untouched)

    def _after(self, packets: int, changes: tuple[tuple[int, object], ...]) -> int:
        for level, free in self.side.space.encoder.free.items():
            if not free.reads.isdisjoint(at for at, _ in changes):
                packets = self.diagrams.exists(packets, level)
        for level, _ in changes:
            packets = self.diagrams.exists(packets, level)
        for level, new in changes:
            value = (
                new.value
                if isinstance(new, Is)
                else int(new.flip)
                if isinstance(new, Xor) and not new.levels
                else None
            )
            if value is not None:
                packets = self.diagrams.both(packets, self.diagrams.test(level, ((value, value),)))
        return packets
