"""The short of a rule set: what each hook lets in, through and out, by its rules in order and its policy.

Called chains are taken apart into the rules of the caller (whoever meets both), so what is said is what
the rules say, in their order: nothing is merged and nothing is weighed.
"""

from collections.abc import Iterator

import msgspec

from ruleflow.analysis import chains, sentences
from ruleflow.analysis.explanation import Summary
from ruleflow.analysis.meet import Matches, meet
from ruleflow.ruleset.effect import Back, Continue, Rewrite, Stop
from ruleflow.ruleset.ir import Goto, Jump, Rule, Ruleset, Table

_WHERE = {"INPUT": "Into this host", "FORWARD": "Through this host", "OUTPUT": "Out of this host"}
_LIMIT = 400
"""Rules looked at for one hook: beyond that, nobody reads a summary."""
_SHOWN = 6
"""What is listed of one kind before ``+ 4 more``."""


class Item(msgspec.Struct, frozen=True):
    """Packets (in words, and as matches) with what happens to them; ``but``: those that a RETURN took out before."""

    who: str
    verdict: str
    but: tuple[str, ...] = ()
    rule: Rule | None = None


class _Cut(Exception):  # noqa: N818 - no error: the summary stops here
    """There are more rules than a summary can hold."""


def in_short(rules: Ruleset) -> tuple[Summary, ...]:
    """A line for each hook of filter, for drops that come before it, and for translations."""
    lines = list(_early(rules))
    if "filter" in rules:
        lines += [_hook(rules["filter"], hook) for hook in _WHERE if hook in rules["filter"]]
    return (*lines, *_translations(rules))


def _hook(table: Table, hook: str) -> Summary:
    items, cut = _items(table, hook)
    text = ". ".join(_capital(_segment(verdict, group, hook)) for verdict, group in _groups(items))
    policy = table[hook].policy
    everything = chains.always_decides(table, hook)
    if cut:
        text += ". And more: see the chains below"
    if not items and not cut:
        return Summary(_WHERE[hook], "everything." if policy != "DROP" else "nothing: all is dropped.")
    if everything:
        return Summary(_WHERE[hook], f"{_capital(text)}.")
    rest = "All else is dropped." if policy == "DROP" else f"All else is {_passive('ACCEPT', hook)}."
    if cut:
        rest = rest.replace("All else is", "What no rule decides is")
    return Summary(_WHERE[hook], f"{_capital(text)}. {rest}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_DONE = {"ACCEPT": "let pass", "DROP": "dropped", "REJECT": "refused", "QUEUE": "left to a program", "?": "perhaps decided"}
_LET = {"INPUT": "let in", "FORWARD": "let through", "OUTPUT": "let out"}


def _passive(verdict: str, hook: str) -> str:
    return _LET.get(hook, "let pass") if verdict == "ACCEPT" else _DONE.get(verdict, verdict.lower())


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


def _segment(verdict: str, group: list[Item], hook: str = "") -> str:
    said = list(dict.fromkeys(_say(item) for item in group))
    shown = "; ".join(said[:_SHOWN])
    more = f"; + {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return f"{_verb(verdict, hook)}: {shown}{more}"


def _verb(verdict: str, hook: str) -> str:
    return {"ACCEPT": _LET.get(hook, "let pass"), "DROP": "drop", "REJECT": "refuse", "QUEUE": "ask a program about"}.get(
        verdict, "approximately, for what ruleflow does not know may decide"
    )


def _say(item: Item) -> str:
    if not item.but:
        return item.who
    if len(item.but) > 2:
        return f"{item.who} (with {len(item.but)} exceptions)"
    return f"{item.who} (except {' and '.join(item.but)})"


def _items(table: Table, hook: str) -> tuple[list[Item], bool]:
    items: list[Item] = []
    try:
        _Flat(table, table[hook].policy or "ACCEPT", items).chain(hook, (), (), 0)
    except _Cut:
        return items, True
    return items, False


class _Flat:
    """Takes called chains apart."""

    def __init__(self, table: Table, policy: str, items: list[Item]) -> None:
        self.table, self.policy, self.items = table, policy, items
        self.seen = 0

    def chain(self, name: str, met: Matches, but: tuple[str, ...], depth: int) -> None:
        """Adds the items of a chain for packets that ``met``, without those that ``but`` took out before."""
        if name not in self.table or depth > 32:
            self.items.append(Item(sentences.who(Rule(name, met))[0], "?", but))
            return
        for rule in self.table[name].rules:
            self.seen += 1
            if self.seen > _LIMIT:
                raise _Cut
            both = meet(met, rule.matches)
            if both is None:
                continue
            who = sentences.who(Rule(name, both))[0]
            if self._target(rule, who, both, but, depth):
                but = (*but, who)
            if chains.unconditional(rule) and chains.decides(rule):
                break

    def _target(self, rule: Rule, who: str, both: Matches, but: tuple[str, ...], depth: int) -> bool:
        """Adds what the rule decides; says whether it takes packets out of the chain without deciding."""
        if isinstance(rule.target, Jump | Goto):
            self.chain(rule.target.chain, both, but, depth + 1)
            return isinstance(rule.target, Goto) and self._left(who, but, depth)
        if rule.target is None:
            return False
        then = rule.target.effects().then
        if isinstance(then, Back):
            return self._left(who, but, depth)
        if isinstance(then, Stop):
            self.items.append(Item(who, then.verdict, but, rule))
        elif not isinstance(then, Continue):
            self.items.append(Item(who, "?", but, rule))
        return False

    def _left(self, who: str, but: tuple[str, ...], depth: int) -> bool:
        """Packets that leave the chain undecided: out of a hook's own chain, its policy decides at once."""
        if depth == 0:
            self.items.append(Item(who, self.policy, but))
        return depth > 0


# -- what happens elsewhere -------------------------------------------------------------------------------


def _early(rules: Ruleset) -> Iterator[Summary]:
    """What the other tables drop before filter is asked."""
    for name, hook in chains.PATH:
        if name == "filter" or name not in rules or hook not in rules[name]:
            continue
        items, cut = _items(rules[name], hook)
        drops = [item for item in items if item.verdict in ("DROP", "REJECT")]
        policy = rules[name][hook].policy == "DROP"
        if drops or policy:
            text = _segment("DROP", drops) if drops else "drop: what no rule lets pass"
            more = "; and more below" if cut else ""
            also = "; and all that no rule lets pass" if policy and drops else ""
            yield Summary(f"In {name} {hook}", f"{_capital(text)}{more}{also}.")


def _translations(rules: Ruleset) -> Iterator[Summary]:
    if "nat" not in rules:
        return
    for what, where in (("destination", "Sent elsewhere"), ("source", "With another source")):
        said: dict[str, None] = {}
        for hook in ("PREROUTING", "OUTPUT", "INPUT", "POSTROUTING"):
            if hook in rules["nat"]:
                said |= dict.fromkeys(_rewrites(rules["nat"], hook, what))
        if said:
            shown = "; ".join(list(said)[:_SHOWN])
            more = f"; + {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
            yield Summary(where, f"{_capital(shown)}{more}.")


def _rewrites(table: Table, hook: str, what: str) -> Iterator[str]:
    for who, rule in _Rewrites(table).chain(hook, (), 0):
        target = rule.target
        if target is None or isinstance(target, Jump | Goto):
            continue
        if any(isinstance(change, Rewrite) and change.what == what for change in target.effects().changes):
            yield f"{who}: {sentences.does(rule, table.name, frozenset({hook}))[0]}"


class _Rewrites:
    """Finds the rules that translate, with all that their callers ask."""

    def __init__(self, table: Table) -> None:
        self.table, self.seen = table, 0

    def chain(self, name: str, met: Matches, depth: int) -> Iterator[tuple[str, Rule]]:
        """Who is translated and by which rule."""
        if name not in self.table or depth > 32:
            return
        for rule in self.table[name].rules:
            self.seen += 1
            both = meet(met, rule.matches)
            if both is None or self.seen > _LIMIT:
                continue
            if isinstance(rule.target, Jump | Goto):
                yield from self.chain(rule.target.chain, both, depth + 1)
            else:
                yield sentences.who(Rule(name, both))[0], rule
