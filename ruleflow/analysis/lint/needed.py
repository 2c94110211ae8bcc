"""Which rules are needed: those that are not could be taken out and no packet would fare differently.

What a rule does is compared with what the rules behind it would do instead, for the packets that it really gets.
Where these fall out of the chain it depends on who called it: then every call is looked at. Rules that never match
count as taken out already, so of two equal rules only one is said to be useless.
"""

from collections import defaultdict

import msgspec

from ruleflow.analysis.chains import callee
from ruleflow.analysis.lint.reached import Reached, Stretch
from ruleflow.analysis.lint.tree import Tree
from ruleflow.analysis.lint.tried import Key
from ruleflow.analysis.lint.unlike import unlike
from ruleflow.analysis.lint.without import Without
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.outcome import BACK, NEXT, Outcome
from ruleflow.netfilter.side import deep
from ruleflow.ruleset.effect import Copy, Fork, Log, Note
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule

_CALLS = 256
"""Calls of one chain that are looked at; beyond, its rules count as needed."""


_TRIALS = 500
"""Rules of chains with several ways to them that are tried one by one; beyond, they count as needed."""


class _Open(msgspec.Struct, frozen=True):
    """A rule that is useless if the callers do the same: where they must do what."""

    verdicts: tuple[tuple[int, int], ...]
    """Leaves of verdicts, each with the packets that must get it from whoever called the chain."""


class Needed:
    """One table: ``useless`` are rules that some packet meets and that change nothing."""

    def __init__(self, reached: Reached) -> None:
        self.reached, self.side, self.table = reached, reached.side, reached.table
        self.diagrams, self.outcomes = reached.diagrams, reached.side.outcomes
        self._trees: dict[tuple[str, str], Tree] = {}
        self._plain: dict[str, bool] = {}
        self._moving: dict[int, bool] = {}
        self._open: dict[Key, dict[Stretch, _Open]] = defaultdict(dict)
        self._needed: set[Key] = set()
        self._visits: dict[str, int] = defaultdict(int)
        self._seen: set[tuple[str, str, int, int]] = set()
        self._count: dict[str, int] | None = None
        self._tried = 0
        dead = (
            (c.name, n) for c in self.table for n in range(len(c.rules)) if (c.name, n) not in reached.hit
        )
        self._without = Without(self.side, self.table, dead)
        self._harmless: dict[Key, bool] = {}
        with deep():
            self._try()
            for stretch, starts in reached.starts.items():
                self._look(stretch, starts)
            self.diagrams.forget()
            self._ask_callers()
        self.useless = [key for key in sorted(self._open) if key not in self._needed and self._confirmed(key)]

    def _confirmed(self, key: Key) -> bool:
        """A chain that a packet may enter twice: what comes behind may be the rule itself, so it is really taken out."""
        if not any(each.verdicts for each in self._open[key].values()) or self._ways(key[0]) < 2:
            return True
        self._tried += 1
        return self._tried <= _TRIALS and self._without.same([key])

    def _ways(self, name: str) -> int:
        """How many ways lead to a chain from the hook that has most."""
        if self._count is None:
            self._count = {}
            for hook in (chain.name for chain in self.table if chain.policy is not None):
                ways = defaultdict(int, {hook: 1})
                for each in self.reached.order(hook):
                    for index, rule in enumerate(self.table[each].rules):
                        called = callee(rule)
                        if called is not None and (each, index) in self.reached.hit:
                            ways[called] += ways[each]
                for chain, number in ways.items():
                    self._count[chain] = max(self._count.get(chain, 0), number)
        return self._count.get(name, 0)

    # -- inside of one chain --------------------------------------------------------------------------------

    def _look(self, stretch: Stretch, starts: dict[str, int]) -> None:
        name, low, high = stretch
        for hook in starts if self.table.name == "nat" else [next(iter(starts))]:
            came = starts[hook] if self.table.name == "nat" else self._all(starts)
            for index in range(low, high):
                if self._wanted((name, index)):
                    self._judge(stretch, hook, index, came)

    def _all(self, starts: dict[str, int]) -> int:
        found = NOTHING
        for packets in starts.values():
            found = self.diagrams.either(found, packets)
        return found

    def _try(self) -> None:
        """Find out of most rules with single packets that they are needed."""
        tried = self.reached.tried
        tried.only(self.reached.hit)
        for hook, name in list(tried.seeds):
            for index in range(len(self.table[name].rules)):
                if self._wanted((name, index)) and tried.needs(hook, (name, index)):
                    self._needed.add((name, index))

    def _behind(self, hook: str, stretch: Stretch, index: int) -> int:
        """What the rules behind one do with packets that it is asked about; of others nothing is said."""
        name, low, high = stretch
        rule = self.table[name].rules[index]
        tree = self._tree(name, hook)
        if high - low == 1 and self.reached.alters(rule):
            return self._from(tree, index + 1)
        here = self.reached.first(name, low, index)
        touching = tree.touch.box(tree.touch.asked[index].tests)
        parts: list[int] = []
        for first, last in tree.stretches(index + 1, len(tree), touching):
            part = tree.done(first, last)
            parts.append(self.diagrams.both(here, part))
            if self.reached.changing_hooks and self._moves(part):
                parts.append(self._from(tree, last))
                break
        return self._joined(parts)

    def _from(self, tree: Tree, low: int) -> int:
        """What the rules from ``low`` on do with any packet."""
        return self._joined([tree.done(*each) for each in tree.stretches(low, len(tree), tree.touch.all)])

    def _joined(self, parts: list[int]) -> int:
        """All parts one behind the other."""
        while len(parts) > 1:
            parts = [
                self.outcomes.then(*parts[n : n + 2]) if n + 1 < len(parts) else parts[n]
                for n in range(0, len(parts), 2)
            ]
        return parts[0] if parts else NOTHING

    def _moves(self, a: int) -> bool:
        """Whether a packet may go on from here with a field changed."""
        found = self._moving.get(a)
        if found is None:
            values = (self.outcomes.value(leaf) for leaf in self.diagrams.leaves(a))
            found = self._moving[a] = any(one.goes_on and one.alter for one in values)
        return found

    def _wanted(self, key: Key) -> bool:
        """Whether it may be useless, as far as is known."""
        return key in self.reached.hit and key not in self._needed and self._may_go(key)

    def _judge(self, stretch: Stretch, hook: str, index: int, came: int) -> None:
        name, low, high = stretch
        here = self.reached.first(name, low, index)
        rule = self.table[name].rules[index]
        key = name, index
        does = self.diagrams.both(here, self._tree(name, hook).does(index))
        behind = self._behind(hook, stretch, index)
        if unlike(self.diagrams, does, behind, came, self._surely):
            self._needed.add(key)
            return
        if not (high - low == 1 and self.reached.alters(rule)):
            behind = self.diagrams.both(here, behind)
        one = self.diagrams.both(here, self.outcomes.then(does, behind))
        other = self.diagrams.both(here, behind)
        if one == other:
            self._open[key].setdefault(stretch, _Open(()))
            return
        self._compare(key, stretch, one, other, came)

    def _compare(self, key: Key, stretch: Stretch, one: int, other: int, came: int) -> None:
        differs = self.diagrams.combine(one, other, self._difference, self.diagrams.memo("difference"))
        leaves = self.diagrams.leaves(differs) - {NOTHING}
        if EVERYTHING in leaves and self.diagrams.meets(self._where(differs, EVERYTHING), came):
            self._needed.add(key)
            return
        asked = [(leaf, self._where(differs, leaf)) for leaf in sorted(leaves - {EVERYTHING})]
        left = tuple((leaf, where) for leaf, where in asked if self.diagrams.meets(where, came))
        known = self._open[key].get(stretch, _Open(()))
        self._open[key][stretch] = _Open(known.verdicts + left)

    def _surely(self, one: int, other: int) -> bool:
        """Whether two verdicts, both of this chain, are not the same."""
        a, b = self.outcomes.value(one), self.outcomes.value(other)
        return a.then not in (NEXT, BACK) and b.then not in (NEXT, BACK) and a != b

    def _difference(self, one: int, other: int) -> int | None:
        """`NOTHING`: the same; `EVERYTHING`: not; a verdict's leaf: the same if the caller gives this verdict."""
        if one == other:
            return NOTHING
        level = self.diagrams.level
        if level[one] != level[other] or (one in self.diagrams.values and other not in self.diagrams.values):
            return None
        if one not in self.diagrams.values:
            return None
        a, b = self.outcomes.value(one), self.outcomes.value(other)
        falls = [_falls(a), _falls(b)]
        if all(falls):
            return NOTHING
        if not any(falls):
            return EVERYTHING
        verdict, outcome = (other, b) if falls[0] else (one, a)
        return verdict if outcome.then not in (NEXT, BACK) else EVERYTHING

    def _where(self, a: int, leaf: int) -> int:
        return self.diagrams.map_leaves(
            a, lambda one: EVERYTHING if one == leaf else NOTHING, ("where", leaf)
        )

    # -- what rules do --------------------------------------------------------------------------------------

    def _tree(self, name: str, hook: str) -> Tree:
        key = name, hook if self.table.name == "nat" else ""
        found = self._trees.get(key)
        if found is None:
            rules, reached = self.table[name].rules, self.reached

            def does(index: int) -> int:
                if (name, index) not in reached.hit:
                    return NOTHING
                return self._does(rules[index], index, hook)

            plain = reached.tree(name)
            found = self._trees[key] = Tree(self.diagrams, plain.touch, plain.asks, does, self.outcomes.then)
        return found

    def _does(self, rule: Rule, index: int, hook: str) -> int:
        target = rule.target
        if isinstance(target, Jump | Goto):
            if target.chain not in self.table:
                return NOTHING
            tree = self._tree(target.chain, hook)
            body = tree.done(0, len(tree))
            turned = (NEXT, BACK) if isinstance(target, Goto) else (BACK, NEXT)
            where = self.reached.asks(rule.chain, index)
            return self.diagrams.both(where, self.outcomes.renamed(body, *turned))
        return self.side.rule(self.table.name, rule.chain, index, hook)

    def _may_go(self, key: Key) -> bool:
        found = self._harmless.get(key)
        if found is None:
            found = self._harmless[key] = self._could(self.table[key[0]].rules[key[1]])
        return found

    def _could(self, rule: Rule) -> bool:
        """Whether taking it out can do no harm that verdicts do not show: no memory, no log, no count."""
        target = rule.target
        if target is None or isinstance(target, Opaque) or self.side.space.asked(rule).remembers:
            return False
        if isinstance(target, Jump | Goto):
            return target.chain in self.table and self._is_plain(target.chain)
        effects = self.side.space.effects(target)
        return not isinstance(effects.then, Fork) and not any(
            isinstance(c, Log | Copy | Note) for c in effects.changes
        )

    def _is_plain(self, name: str) -> bool:
        found = self._plain.get(name)
        if found is None:
            self._plain[name] = True
            found = self._plain[name] = all(self._could(rule) for rule in self.table[name].rules)
        return found

    # -- who calls ------------------------------------------------------------------------------------------

    def _ask_callers(self) -> None:
        """Settle what depends on the callers: from every hook down, as long as something is open."""
        for chain in self.table:
            if chain.policy is not None and self._is_open(chain.name, set()):
                policy = self.outcomes.leaf(Outcome(chain.policy))
                self._visit(
                    chain.name,
                    chain.name,
                    self.reached.entered.get((chain.name, chain.name), NOTHING),
                    policy,
                )

    def _is_open(self, name: str, seen: set[str]) -> bool:
        """Whether a rule of the chain, or of one that it calls, waits for an answer."""
        if name in seen or name not in self.table:
            return False
        seen.add(name)
        rules = self.table[name].rules
        return any(self._waits((name, n)) for n in range(len(rules))) or any(
            self._is_open(called, seen) for rule in rules if (called := callee(rule)) is not None
        )

    def _waits(self, key: Key) -> bool:
        return key not in self._needed and any(each.verdicts for each in self._open.get(key, {}).values())

    def _visit(self, hook: str, name: str, packets: int, after: int) -> None:
        """A call of a chain with ``packets``; ``after`` is what they get where the chain does not decide."""
        if packets == NOTHING or (hook, name, packets, after) in self._seen:
            return
        self._seen.add((hook, name, packets, after))
        self._visits[name] += 1
        if self._visits[name] > _CALLS:
            self._give_up(name, set())
            return
        for (chain, low, high), starts in self.reached.starts.items():
            if chain == name and hook in starts:
                whole = (low, high) == (0, len(self.table[name].rules))
                self._settle((chain, low, high), packets if whole else starts[hook], after)
                self._call_on(hook, (chain, low, high), packets if whole else starts[hook], after)

    def _settle(self, stretch: Stretch, packets: int, after: int) -> None:
        name, low, high = stretch
        other: dict[int, int] = {}
        for index in range(low, high):
            waits = self._open.get((name, index), {}).get(stretch)
            if waits is None or (name, index) in self._needed:
                continue
            for verdict, where in waits.verdicts:
                if verdict not in other:
                    other[verdict] = self.diagrams.both(packets, self._unlike(after, verdict))
                if self.diagrams.meets(where, other[verdict]):
                    self._needed.add((name, index))
                    break

    def _unlike(self, after: int, verdict: int) -> int:
        """The packets that ``after`` gives something else than a verdict."""

        def change(leaf: int) -> int:
            return EVERYTHING if leaf not in (verdict, NOTHING) else NOTHING

        return self.diagrams.map_leaves(after, change, ("unlike", verdict))

    def _call_on(self, hook: str, stretch: Stretch, packets: int, after: int) -> None:
        name, low, high = stretch
        for index in range(low, high):
            rule = self.table[name].rules[index]
            called = callee(rule)
            if called is None or (name, index) not in self.reached.hit or not self._is_open(called, set()):
                continue
            met = self.diagrams.both(packets, self.reached.first(name, low, index))
            if met == NOTHING:
                continue
            then = after
            if isinstance(rule.target, Jump):
                behind = self._behind(hook, stretch, index)
                rest = self.outcomes.renamed(self.diagrams.both(met, behind), BACK, NEXT)
                then = self.outcomes.then(rest, after)
            self._visit(hook, called, met, self.diagrams.both(met, then))

    def _give_up(self, name: str, seen: set[str]) -> None:
        if name in seen or name not in self.table:
            return
        seen.add(name)
        for index, rule in enumerate(self.table[name].rules):
            self._needed.add((name, index))
            called = callee(rule)
            if called is not None:
                self._give_up(called, seen)


def _falls(outcome: Outcome) -> bool:
    """Whether a packet leaves the chain undecided, and as it came."""
    return outcome.then in (NEXT, BACK) and not outcome.alter and not outcome.tags
