"""In short, computed: what a rule set lets in, through and out, from the sets of packets and not from the rules' order."""

from collections.abc import Iterator

from ruleflow.analysis.cover import wide
from ruleflow.analysis.explanation import Summary
from ruleflow.analysis.same_class import flow_for, settled
from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.alter import Is
from ruleflow.netfilter.encode import DPORT, DST, FREE_BASE, IN, LEVELS, STATE
from ruleflow.netfilter.flow import ESTABLISHED, NEW, Flow
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.outcome import Outcome
from ruleflow.netfilter.side import deep
from ruleflow.ruleset.addresses import address_text
from ruleflow.ruleset.condition import Undecided
from ruleflow.ruleset.ir import Ruleset

_WAYS = (
    ("in", "Into this host", "INPUT"),
    ("through", "Through this host", "FORWARD"),
    ("send", "Out of this host", "OUTPUT"),
)
_SHOWN = 5
_MANY = 1500
"""Size of a set's diagram beyond which nobody would read it in short."""
_DONE = {"DROP": "dropped", "REJECT": "refused", "QUEUE": "left to a program"}


def summary(ruleset: Ruleset, host: Host | None = None) -> tuple[Summary, ...]:
    """A line for each way: what passes, in words, and what becomes of the rest; then what is surprising.

    Raises `RuleflowError` where chains call each other in a circle.
    """
    flow = flow_for(ruleset, host)
    with deep():
        lines = [_Way(flow, entry, where).line() for entry, where, hook in _WAYS if _speaks(ruleset, hook)]
        odd = tuple(surprises(ruleset, flow))
        return (*lines, Summary("Surprise", odd)) if odd else tuple(lines)


def _speaks(ruleset: Ruleset, hook: str) -> bool:
    return any(hook in table for table in ruleset.tables)


class _Way:
    """What passes one way."""

    def __init__(self, flow: Flow, entry: str, where: str) -> None:
        self.flow, self.entry, self.where = flow, entry, where
        self.diagrams, self.outcomes = flow.diagrams, flow.outcomes
        self.wording = Wording(flow.encoder)
        self.all = self.diagrams.restrict(flow.entry(entry), LEVELS["fragment"], 0)
        values = {leaf: self.outcomes.value(leaf) for leaf in self.diagrams.leaves(self.all)}
        passed = {leaf for leaf, value in values.items() if value.then == "ACCEPT"}
        moved = {leaf for leaf in passed if entry == "through" and values[leaf].alter.get(DST) is not None}
        self.moved = self.outcomes.indicator(self.all, frozenset(moved))
        passing = settled(flow, entry, self.outcomes.indicator(self.all, frozenset(passed - moved)))
        self.open = [level for level in sorted(self.diagrams.support(passing)) if level >= FREE_BASE]
        for level in self.open:
            passing = self.diagrams.exists(passing, level)
        self.passing = passing

    def line(self) -> Summary:
        """The line of this way."""
        if self.passing == EVERYTHING:
            return Summary(self.where, ("everything",))
        if self.passing == NOTHING:
            return Summary(self.where, (f"nothing: all is {self._rest()}",))
        return Summary(self.where, (*self._items(), *self._perhaps(), f"all else is {self._rest()}"))

    def _perhaps(self) -> Iterator[str]:
        told = dict.fromkeys(self.wording.free_words(self.flow.encoder.free[level]) for level in self.open)
        if told:
            more = f" (+ {len(told) - 2} more)" if len(told) > 2 else ""
            yield f"perhaps less of it, as {' and '.join(list(told)[:2])}{more} may say"

    def _items(self) -> Iterator[str]:
        rest = self.passing
        lo = self.diagrams.test(IN, (self.flow.encoder.atoms.range("lo"),))
        if self.entry == "in" and self.diagrams.both(lo, rest) == lo:
            yield "loopback"
            rest = self.diagrams.without(rest, lo)
        known = self.diagrams.test(STATE, ((ESTABLISHED, ESTABLISHED),))
        replies = self.diagrams.without(known, lo)
        if self.diagrams.without(replies, self.passing) == NOTHING:
            yield "replies"
        new = self.diagrams.both(self.diagrams.test(STATE, ((NEW, NEW),)), rest)
        for aim, sent in self._sent_on(
            self.diagrams.both(self.diagrams.test(STATE, ((NEW, NEW),)), self.moved)
        ):
            yield f"{self._said(sent)} (sent on to {aim})"
        shut = self.diagrams.without(self.diagrams.test(STATE, ((NEW, NEW),)), self.diagrams.either(new, lo))
        if new != NOTHING:
            yield from self._either_way(new, shut)

    def _either_way(self, new: int, shut: int) -> Iterator[str]:
        """What passes of new connections; or all but what does not, where that is shorter."""
        if self.diagrams.is_larger(new, _MANY):
            yield "what many rules say: too many kinds of packets to list here"
            return
        allowed = self.diagrams.either(self.passing, self.diagrams.test(STATE, ((0, 0), (2, 4))))
        open_ = wide(self.diagrams, new, self.diagrams.either(allowed, new), _SHOWN)
        if len(open_.boxes) > 2:
            closed = wide(self.diagrams, shut, self.diagrams.complement(new), 2)
            if not closed.left:
                yield f"everything but {' and '.join(self.wording.box(box) for box in closed.boxes)}"
                return
        yield from (self.wording.box(box) for box in open_.boxes)
        if open_.left:
            yield f"+ {open_.left} more"

    def _said(self, where: int) -> str:
        cover = wide(self.diagrams, where, self.diagrams.either(where, self.flow.encoder.careless()), 1)
        return " or ".join(self.wording.box(box) for box in cover.boxes)

    def _sent_on(self, new: int) -> Iterator[tuple[str, int]]:
        """New connections that are sent to another address, by where they go."""
        aims: dict[str, int] = {}
        seen = self.all
        for level in sorted(self.diagrams.support(seen)):
            if level >= FREE_BASE and isinstance(self.flow.encoder.free[level].condition, Undecided):
                seen = self.diagrams.restrict(seen, level, 1)
        for leaf in sorted(self.diagrams.leaves(seen)):
            aim = _aim(self.outcomes.value(leaf), self.flow.encoder.family)
            if aim:
                where = self.diagrams.both(self.outcomes.indicator(seen, frozenset({leaf})), new)
                aims[aim] = self.diagrams.either(aims.get(aim, NOTHING), where)
        yield from ((aim, where) for aim, where in list(aims.items())[:_SHOWN] if where != NOTHING)

    def _rest(self) -> str:
        words = {value.then.split()[0] for value in map(self.outcomes.value, self.diagrams.leaves(self.all))}
        return (
            " or ".join(_DONE[word] for word in ("DROP", "REJECT", "QUEUE") if word in words)
            or "left as it is"
        )


def _aim(outcome: Outcome, family: int) -> str:
    address, port = outcome.alter.get(DST), outcome.alter.get(DPORT)
    if outcome.then != "ACCEPT" or not isinstance(address, Is):
        return ""
    told = address_text(address.value, family)
    return f"{told} port {port.value}" if isinstance(port, Is) else told


def surprises(ruleset: Ruleset, flow: Flow) -> Iterator[str]:
    """Drops in INPUT that do not stop what is sent on before, and policies that nothing reaches."""
    side, diagrams, outcomes = flow.side, flow.diagrams, flow.outcomes
    if "filter" not in ruleset:
        return
    came = flow.before_routing()
    moved = outcomes.indicator(
        came,
        frozenset(leaf for leaf in diagrams.leaves(came) if outcomes.value(leaf).alter.get(DST) is not None),
    )
    passing = (
        diagrams.both(moved, outcomes.where(flow.entry("through"), ("ACCEPT",)))
        if moved != NOTHING
        else NOTHING
    )
    for hook in ("INPUT", "FORWARD", "OUTPUT"):
        if hook not in ruleset["filter"]:
            continue
        chain = ruleset["filter"][hook]
        for index, rule in enumerate(chain.rules):
            if (
                hook == "INPUT"
                and passing != NOTHING
                and getattr(rule.target, "name", "") in ("DROP", "REJECT")
            ):
                where = side.where("filter", hook, index)
                if where != EVERYTHING and diagrams.meets(where, passing):
                    yield f"rule {index + 1} of INPUT ({_line(rule.line)}) does not stop what nat sends on before it: that passes FORWARD instead."
        leaves = {outcomes.value(leaf).then for leaf in diagrams.leaves(side.chain("filter", hook, hook))}
        if chain.rules and not leaves & {"next", "back"}:
            yield f"the policy {chain.policy} of {hook} is never reached: the rules decide for every packet."


def _line(line: int | None) -> str:
    return f"line {line}" if line is not None else "no line"
