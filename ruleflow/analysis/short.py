"""The short of a rule set: what each hook lets in, through and out, by its rules in order and its policy.

Called chains are taken apart into the rules of the caller (whoever meets both), so what is said is what
the rules say, in their order: nothing is merged and nothing is weighed.
"""

from collections.abc import Iterator

import msgspec

from ruleflow.analysis import chains, sentences
from ruleflow.analysis.explanation import Summary
from ruleflow.analysis.idioms.shape import Shapes, is_host, network, place, port_words, shape
from ruleflow.analysis.meet import Matches, meet
from ruleflow.ruleset.effect import Back, Continue, Rewrite, Stop
from ruleflow.ruleset.ir import Goto, Jump, Rule, RuleRef, Ruleset, Table

_WHERE = {"INPUT": "Into this host", "FORWARD": "Through this host", "OUTPUT": "Out of this host"}
_LIMIT = 400
"""Rules looked at for one hook: beyond that, nobody reads a summary."""
_SHOWN = 6
"""What is listed of one kind before ``+ 4 more``."""


_LINES = 24
"""What a hook may take up in all."""


class Group(msgspec.Struct, frozen=True):
    """Packets: in words, and as matches."""

    who: str
    met: Matches


class Item(msgspec.Struct, frozen=True):
    """Packets with what happens to them; ``but``: those among them that left before, undecided."""

    who: str
    verdict: str
    but: tuple[str, ...] = ()
    rule: Rule | None = None
    met: Matches = ()


class _Cut(Exception):  # noqa: N818 - no error: the summary stops here
    """There are more rules than a summary can hold."""


def in_short(rules: Ruleset) -> tuple[Summary, ...]:
    """A line for each hook of filter, for drops that come before it, and for translations."""
    lines = list(_early(rules))
    if "filter" in rules:
        lines += [_hook(rules, hook) for hook in _WHERE if hook in rules["filter"]]
    odd = surprises(rules)
    return (*lines, *_translations(rules), *((Summary("Surprise", odd),) if odd else ()))


def _hook(rules: Ruleset, hook: str) -> Summary:
    table = rules["filter"]
    items, cut = _items(table, hook)
    whole = next(
        (
            n
            for n, item in enumerate(items, 1)
            if item.who == "everything" and not item.but and item.verdict != "?"
        ),
        None,
    )
    items = items[:whole]
    policy = table[hook].policy
    if not items and not cut:
        return Summary(_WHERE[hook], ("everything" if policy != "DROP" else "nothing: all is dropped",))
    shapes = Shapes(rules)
    lines = [line for verdict, group in _groups(items) for line in _segment(verdict, group, hook, shapes)]
    if len(lines) > _LINES:
        lines, cut = lines[:_LINES], True
        if lines[-1].endswith(":"):
            lines.pop()
    if cut:
        lines.append("and more: see the chains below")
    if whole is None and not chains.always_decides(table, hook):
        rest = "what no rule decides" if cut else "all else"
        lines.append(f"{rest} is {'dropped' if policy == 'DROP' else _LET.get(hook, 'let pass')}")
    return Summary(_WHERE[hook], tuple(lines))


_LET = {"INPUT": "let in", "FORWARD": "let through", "OUTPUT": "let out"}


def _groups(items: list[Item]) -> Iterator[tuple[str, list[Item]]]:
    """Neighbours with the same verdict together, in order."""
    group: list[Item] = []
    for item in items:
        if group and group[0].verdict != item.verdict:
            yield group[0].verdict, group
            group = []
        group.append(item)
    if group:
        yield group[0].verdict, group


def _segment(verdict: str, group: list[Item], hook: str, shapes: Shapes | None = None) -> Iterator[str]:
    said = list(dict.fromkeys(_say(item) + _published(item, shapes) for item in group))
    yield f"{_verb(verdict, hook)}:"
    yield from (f"  {one}" for one in said[:_SHOWN])
    if len(said) > _SHOWN:
        yield f"  + {len(said) - _SHOWN} more"


def _verb(verdict: str, hook: str) -> str:
    return {
        "ACCEPT": _LET.get(hook, "let pass"),
        "DROP": "drop",
        "REJECT": "refuse",
        "QUEUE": "ask a program about",
    }.get(verdict, "approximately, for ruleflow does not know what decides about")


def _published(item: Item, shapes: Shapes | None) -> str:
    """Which published port leads to the packets that a rule lets through."""
    if shapes is None or item.rule is None or item.verdict != "ACCEPT":
        return ""
    one = shape(RuleRef("filter", item.rule.chain, 0), item.rule)
    if one.destination is None or not is_host(one.destination) or one.port is None:
        return ""
    dnats = [
        dnat
        for dnat in shapes.dnats_to(one.destination.address, one.port)
        if dnat.get("protocol") in (None, one.get("protocol"))
    ]
    ports = dict.fromkeys(
        port_words(dnat) + (f" of {network(dnat.destination)}" if dnat.destination else "")
        for dnat in dnats[:3]
    )
    return f" (published as {' and '.join(ports)})" if ports else ""


def _say(item: Item) -> str:
    return item.who + _but(item.but)


def _but(who: tuple[str, ...]) -> str:
    """Who is excepted, in brackets."""
    if not who:
        return ""
    if len(who) > 3:
        return f" (with {len(who)} exceptions)"
    return (
        f" (except {', '.join(one.removeprefix('everything, ').removeprefix('everything ') for one in who)})"
    )


def _items(table: Table, hook: str) -> tuple[list[Item], bool]:
    items: list[Item] = []
    try:
        _Flat(table, table[hook].policy or "ACCEPT", items).chain(hook, (), (), 0)
    except _Cut:
        return items, True
    return items, False


def _among(met: Matches, groups: tuple[Group, ...]) -> tuple[str, ...]:
    """Those groups that share packets with ``met``, as far as is known."""
    return tuple(group.who for group in groups if meet(met, group.met) is not None)


class _Flat:
    """Takes called chains apart."""

    def __init__(self, table: Table, policy: str, items: list[Item]) -> None:
        self.table, self.policy, self.items = table, policy, items
        self.seen = 0

    def chain(self, name: str, met: Matches, but: tuple[Group, ...], depth: int) -> None:
        """Adds the items of a chain for packets that ``met``, without those that ``but`` took out before."""
        if name not in self.table or depth > 32:
            self._add(Group(sentences.who(Rule(name, met))[0], met), "?", but)
            return
        for rule in self.table[name].rules:
            self.seen += 1
            if self.seen > _LIMIT:
                raise _Cut
            both = meet(met, rule.matches)
            if both is None:
                continue
            group = Group(sentences.who(Rule(name, both))[0], both)
            if self._target(rule, group, but, depth):
                but = (*but, group)
            if chains.unconditional(rule) and chains.decides(rule):
                break

    def _add(self, group: Group, verdict: str, but: tuple[Group, ...], rule: Rule | None = None) -> None:
        self.items.append(Item(group.who, verdict, _among(group.met, but), rule, group.met))

    def _target(self, rule: Rule, group: Group, but: tuple[Group, ...], depth: int) -> bool:
        """Adds what the rule decides; says whether it takes packets out of the chain without deciding."""
        if isinstance(rule.target, Jump | Goto):
            self.chain(rule.target.chain, group.met, but, depth + 1)
            left = isinstance(rule.target, Goto) and not chains.always_decides(self.table, rule.target.chain)
            return left and self._left(group, but, depth)
        if rule.target is None:
            return False
        then = rule.target.effects().then
        if isinstance(then, Back):
            return self._left(group, but, depth)
        if isinstance(then, Stop):
            self._add(group, then.verdict, but, rule)
        elif not isinstance(then, Continue):
            self._add(group, "?", but, rule)
        return False

    def _left(self, group: Group, but: tuple[Group, ...], depth: int) -> bool:
        """Packets that leave the chain undecided: out of a hook's own chain, its policy decides at once."""
        if depth == 0:
            self._add(group, self.policy, but)
        return depth > 0


# -- what happens elsewhere -------------------------------------------------------------------------------


def _early(rules: Ruleset) -> Iterator[Summary]:
    """What the other tables drop before filter is asked."""
    for name, hook in chains.PATH:
        if name == "filter" or name not in rules or hook not in rules[name]:
            continue
        items, cut = _items(rules[name], hook)
        drops = [item for item in items if item.verdict in ("DROP", "REJECT")]
        lines = list(_segment("DROP", drops, hook)) if drops else []
        if rules[name][hook].policy == "DROP":
            lines.append("all that no rule lets pass is dropped")
        if cut and lines:
            lines.append("and more: see the chain below")
        if lines:
            yield Summary(f"In {name} {hook}", tuple(lines))


def _translations(rules: Ruleset) -> Iterator[Summary]:
    if "nat" not in rules:
        return
    for what, where in (("destination", "Sent elsewhere"), ("source", "With another source")):
        said: dict[str, None] = {}
        cut = False
        for hook in ("PREROUTING", "OUTPUT", "INPUT", "POSTROUTING"):
            if hook in rules["nat"]:
                items, more = _items(rules["nat"], hook)
                said |= dict.fromkeys(_rewrites(items, hook, what))
                cut = cut or more
        if said:
            lines = list(said)[:_SHOWN]
            if len(said) > _SHOWN:
                lines.append(f"+ {len(said) - _SHOWN} more")
            elif cut:
                lines.append("and more: see the chains below")
            yield Summary(where, tuple(lines))


def _rewrites(items: list[Item], hook: str, what: str) -> Iterator[str]:
    """Who is translated; those that an earlier rule took out of nat are excepted."""
    taken: list[Group] = []
    for item in items:
        target = item.rule.target if item.rule is not None else None
        change = _change(item.rule)
        if change is None:
            taken.append(Group(item.who, item.met))
        elif change.what == what and item.rule is not None and target is not None:
            by = " (sent by this host)" if hook == "OUTPUT" else ""
            but = _but((*item.but, *_among(item.met, tuple(taken))))
            yield f"{item.who}{but}{by}: {sentences.does(item.rule, 'nat', frozenset({hook}))[0]}"


def _change(rule: Rule | None) -> Rewrite | None:
    if rule is None or rule.target is None or isinstance(rule.target, Jump | Goto):
        return None
    return next((change for change in rule.target.effects().changes if isinstance(change, Rewrite)), None)


def surprises(rules: Ruleset) -> tuple[str, ...]:
    """Published ports that INPUT seems to guard: their packets pass FORWARD, where it is not asked."""
    if not {"filter", "nat"} <= {table.name for table in rules} or "INPUT" not in rules["filter"]:
        return ()
    shapes = Shapes(rules)
    items, _ = _items(rules["filter"], "INPUT")
    refused = [
        shape(RuleRef("filter", item.rule.chain, 0, item.rule.line), item.rule)
        for item in items
        if item.rule is not None and item.verdict in ("DROP", "REJECT")
    ]
    published = [
        one
        for mine in shapes.dnats.values()
        for one in mine
        if one.port is not None and one.ref.chain != "OUTPUT"
    ]
    found = [
        f"the {'drop' if one.verdict == 'DROP' else 'refusal'} of {one.protocol} port {one.port} in INPUT ({place(one)}) does not close "
        f"the published port {dnat.port} ({place(dnat)}): such packets are sent on and pass FORWARD, where INPUT is not asked"
        for one in refused for dnat in published
        if one.port is not None and one.port == dnat.port and one.get("protocol") == dnat.get("protocol")
    ]  # fmt: skip
    published = [
        one
        for one in published
        if any(call.get("dst_type") == "LOCAL" for call in shapes.called("nat", one.ref.chain))
    ]
    if not found and published and rules["filter"]["INPUT"].policy == "DROP":
        ports = ", ".join(dict.fromkeys(str(one.port) for one in published[:_SHOWN]))
        more = ", …" if len(published) > _SHOWN else ""
        found = [
            f"INPUT drops by default, but is not asked about the published {'port' if len(published) == 1 else 'ports'} {ports}{more}: such packets are sent on and pass FORWARD"
        ]
    return tuple(found[:3])
