"""Which rules decide for a set of packets: the path gone step by step, the set parted where rules part it.

Slower than the diagrams of `flow` for all packets, quick for few: a rule that meets none of the set costs one
test that stops early. It keeps what diagrams forget: the deciding rule, and the rules that rewrote.
"""

from collections.abc import Iterator

import msgspec

from ruleflow.netfilter.alter import UNCHANGED, Alter, Grow, Is, altered, compose
from ruleflow.netfilter.chain_trail import ChainTrail
from ruleflow.netfilter.encode import DST, IN, OUT, STATE
from ruleflow.netfilter.flow import ARRIVING, FRAGMENT, INVALID, NEW, SENDING, TTL, Flow
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.path import HOOKS, Stage
from ruleflow.netfilter.side import deep
from ruleflow.netfilter.traveller import (
    Crowd,
    Group,
    Part,
    Traveller,
    add,
    changed,
    decider,
    merged,
    shown,
    tagged,
)
from ruleflow.ruleset.ir import RuleRef

_BROAD = 500
"""Size of a set's diagram beyond which it is followed by groups of rules, not rule by rule."""


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
        self.crowds: dict[RuleRef, Crowd] = {}
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
            self.done.append(self._part(traveller, where, "ACCEPT", decider(traveller)))

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
            told = tagged(traveller, (("kernel", why),))
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
                there = merged(self._believed(back, self.flow.disbelieved_again), on, self.diagrams)
            for traveller, where in there.items():
                add(routed, shown(traveller, altered({OUT: Is(number)})), where, self.diagrams)
        for traveller, where in group.items():
            lost = tagged(
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
                self._part(tagged(traveller, (("kernel", "its ttl is used up here"),)), where, "DROP", None)
            )
        return {changed(traveller, altered({TTL: Grow(-1)})): where for traveller, where in alive.items()}

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
            group = merged(rest, self._sent(moved), self.diagrams)
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
                return merged(self._table("nat", hook, first, seen, looped=False), others, self.diagrams)
            case "track" if not looped:
                return self._tracked(group)
            case "defrag" if self.flow.tracks and not looped and "fragment" in self.side.space.used:
                whole = altered({FRAGMENT: Is(0)})
                return {shown(traveller, whole): where for traveller, where in group.items()}
        return group

    def _tracked(self, group: Group) -> Group:
        known = self.flow.known_of_new()
        if not known:
            return group
        new, others = self._split(group, self.diagrams.test(STATE, ((NEW, NEW),)))
        return merged(
            {shown(traveller, known): where for traveller, where in new.items()}, others, self.diagrams
        )

    def _split(self, group: Group, by: int) -> tuple[Group, Group]:
        """The packets that are in the set ``by`` as they stand now, and the others."""
        inside: Group = {}
        outside: Group = {}
        for traveller, where in group.items():
            test = self.lens.through(by, compose(traveller.context, traveller.alter))
            add(inside, traveller, self.diagrams.both(test, where), self.diagrams)
            add(outside, traveller, self.diagrams.without(where, test), self.diagrams)
        return inside, outside

    def _table(self, table: str, hook: str, group: Group, seen: Alter, *, looped: bool) -> Group:
        if not self._asks(table, hook):
            return self._unasked(table, group)
        if table == "raw" and not looped:
            seen = altered(dict(seen.changes) | {STATE: Is(INVALID)})
        passed: Group = {}
        for traveller, where in group.items():
            chain = ChainTrail(
                self.flow,
                table,
                hook,
                traveller,
                where,
                seen,
                looped=looped,
                broad=self.broad,
                crowds=self.crowds if self.together else None,
            )
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
        return () if part.by is None else tuple(dict.fromkeys(self._named(part.by, part.where)))

    def _named(self, ref: RuleRef, where: int) -> Iterator[RuleRef]:
        """The rules that a reference or mark stands for, as far as they decide for packets ``where``."""
        crowd = self.crowds.get(ref)
        if crowd is not None:
            for one, decides in crowd.rules:
                if self.diagrams.meets(self.lens.through(decides, crowd.eyes), where):
                    yield one
        elif ref.index < 0:
            for one, let_pass in self.passers[ref].items():
                if self.diagrams.meets(let_pass, where):
                    yield from self._named(one, self.diagrams.both(let_pass, where))
        else:
            yield ref

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
            add(
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
        add(passed, msgspec.structs.replace(traveller, by=tuple(by.items())), where, self.diagrams)
