"""A table asked about a packet: rule after rule, into chains and back, until something decides."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ruleflow.netfilter.chains import ChainProgram, Entry, Program
from ruleflow.netfilter.choices import Chooser
from ruleflow.netfilter.rule_index import holds
from ruleflow.netfilter.state import State
from ruleflow.netfilter.steps import ChainStep, Change
from ruleflow.ruleset.condition import (
    AllOf,
    AnyBit,
    AnyOf,
    Condition,
    Derived,
    In,
    Intervals,
    Masked,
    No,
    Undecided,
    Unknown,
    Yes,
    decide,
    decide_one,
)
from ruleflow.ruleset.effect import Back, Fork, Stop, Then
from ruleflow.ruleset.effect import Change as Effect
from ruleflow.ruleset.ir import RuleRef

if TYPE_CHECKING:
    from ruleflow.netfilter.recorder import Recorder

Apply = Callable[[Effect, State, RuleRef], tuple[tuple[Change, ...], str | None, Stop | None]]
"""Does one effect: the changes it made, a note, and a verdict where it fails."""


class Asker:
    """Asks one table for one packet. ``recorder`` None: only the verdict is wanted, and the index is used."""

    __slots__ = ("apply", "bits", "by", "chooser", "depth", "hook", "program", "recorder", "state", "table")

    def __init__(
        self,
        program: Program,
        hook: str,
        state: State,
        chooser: Chooser,
        apply: Apply,
        recorder: "Recorder | None",
    ) -> None:
        self.program, self.table, self.hook = program, program.table, hook
        self.state, self.chooser, self.apply, self.recorder = state, chooser, apply, recorder
        self.bits: dict[str, tuple[int, int, bool]] = {}
        self.by: RuleRef | None = None
        self.depth = 0

    def run(self) -> Stop:
        """The verdict of the table; ``by`` is the rule that gave it, None where the policy did."""
        base = self.program.chains.get(self.hook)
        if base is None or not base.chain.rules:
            return self._end_of_base(base, "empty" if base is not None else "missing")
        stack: list[tuple[ChainProgram, int]] = []
        chain, at = base, 0
        while True:
            found = self._next(chain, at)
            if found is None:
                if not stack:
                    return self._end_of_base(base, "policy")
                self._record_end(chain)
                chain, at = stack.pop()
                self.depth = len(stack)
                continue
            entry, conditions = found
            at = entry.index
            if not self._meets(entry, conditions):
                continue
            if entry.jump is not None:
                called = self.program.chains.get(entry.jump)
                if called is None:
                    self._missing(entry)
                    continue
                if not entry.goto:
                    stack.append((chain, at))
                chain, at, self.depth = called, 0, len(stack)
                continue
            then = self._do(entry)
            if isinstance(then, Stop):
                self.by = entry.ref(self.table)
                return then
            if isinstance(then, Back):
                if not stack:
                    return self._end_of_base(base, "policy")
                chain, at = stack.pop()
                self.depth = len(stack)

    # -- which rule is next -------------------------------------------------------------------------------

    def _next(self, chain: ChainProgram, at: int) -> "tuple[Entry, tuple[Condition, ...]] | None":
        entries = chain.entries
        if self.recorder is not None or len(entries) < _SMALL:
            return (entries[at], entries[at].conditions) if at < len(entries) else None
        kept = self.bits.get(chain.name)
        if kept is None or kept[0] != self.state.version:
            kept = self.bits[chain.name] = self.state.version, *chain.index.candidates(self.state)
        left = kept[1] >> at
        if not left:
            return None
        rule = at + (left & -left).bit_length() - 1
        return entries[rule], chain.index.left_to_ask(rule, blind=kept[2])

    # -- whether it matches -------------------------------------------------------------------------------

    def _meets(self, entry: Entry, conditions: tuple[Condition, ...]) -> bool:
        if self.recorder is None:
            quick = holds(conditions, self.state)
            return quick if isinstance(quick, bool) else not entry.is_idle and self._choose(entry, quick)
        decision = decide(conditions, self.state)
        if isinstance(decision, Unknown):
            taken = None if entry.is_idle else self._choose(entry, decision)
            self.recorder.unknown(self, entry, decision, taken)
            return bool(taken)
        if isinstance(decision, No):
            self.recorder.no(self, entry, decision)
            return False
        self.recorder.match(self, entry)
        return True

    def _choose(self, entry: Entry, decision: Unknown) -> bool:
        """Whether the rule is met, each part of its conditions that is not decided taken one way."""
        ref = entry.ref(self.table)
        return all(self._settle_condition(condition, decision.why, ref) for condition in entry.conditions)

    def _settle_condition(self, condition: Condition, why: str, ref: RuleRef) -> bool:
        decision = decide_one(condition, self.state)
        if not isinstance(decision, Unknown):
            return isinstance(decision, Yes)
        if isinstance(condition, AnyOf | AllOf):
            parts = (self._settle_condition(part, why, ref) for part in condition.conditions)
            return (any(parts) if isinstance(condition, AnyOf) else all(parts)) != condition.negated
        return self._choose_one(condition, why, ref)

    def _choose_one(self, condition: Condition, why: str, ref: RuleRef) -> bool:
        state = self.state
        if isinstance(condition, In) and condition.field.name in state.ranges:
            known = _range_in(condition, state.ranges[condition.field.name])
            if known is not None:
                return known != condition.negated
        text = condition_text(condition) or why
        if isinstance(condition, Undecided):
            asked = None if condition.memory else (text, state.ends())
            return self.chooser.ask(text, key=asked, ref=ref, probability=condition.probability)
        key = (_asked(condition), *self._about(condition))
        negated = getattr(condition, "negated", False)
        default = self._is_for_here(condition) and not negated
        taken = self.chooser.ask(text, key=key, negated=negated, ref=ref, default=default)
        if isinstance(condition, In) and taken != negated:
            self._take_value(condition)
        return taken

    def _take_value(self, condition: In) -> None:
        """A field that is taken to be in a set of one value has that value from here on."""
        values, only = condition.values, None
        if (
            isinstance(values, Intervals)
            and len(values.pairs) == 1
            and values.pairs[0][0] == values.pairs[0][1]
        ):
            only = values.pairs[0][0]
        elif isinstance(values, Masked) and values.mask == (1 << (condition.field.bits or 0)) - 1:
            only = values.value
        if only is not None and getattr(self.state, condition.field.name, None) is None:
            setattr(self.state, condition.field.name, only)
            self.state.version += 1
            self.state.complete()

    def _is_for_here(self, condition: Condition) -> bool:
        """A packet that somebody says arrives is looked at first as one for this host."""
        asked = dict(condition.arguments) if isinstance(condition, Derived) else {}
        arriving = self.state.entry != "local"
        return arriving and (asked.get("address"), asked.get("types")) == ("destination", ("LOCAL",))

    def _about(self, condition: Condition) -> tuple[object, ...]:
        """What of the packet a condition's answer hangs on: the same again gives the same answer."""
        state = self.state
        if (
            isinstance(condition, Derived)
            and condition.fact == "address_type"
            and not dict(condition.arguments)["interface"]
        ):
            return (getattr(state, str(dict(condition.arguments)["address"])),)
        if isinstance(condition, In):
            return (getattr(state, condition.field.name, None), tuple(state.ranges.items()))
        return state.ends(), state.in_interface, state.out_interface

    # -- what it does -------------------------------------------------------------------------------------

    def _do(self, entry: Entry) -> Then:
        effects = entry.effects
        changes: list[Change] = []
        notes: list[str] = []
        then: Then = effects.then
        for effect in effects.changes:
            made, note, verdict = self.apply(effect, self.state, entry.ref(self.table))
            changes += made
            if note:
                notes.append(note)
            if verdict is not None:
                then = verdict
        then = self._settle(then, entry)
        if self.recorder is not None:
            self.recorder.did(tuple(changes), tuple(notes), then)
        return then

    def _settle(self, then: Then, entry: Entry) -> Then:
        """A fork is taken one way: its first way unless the walk's script says otherwise."""
        while isinstance(then, Fork):
            ways = then.ways if len(then.ways) > 1 else (*then.ways, _ACCEPTED, Stop("DROP"))
            then = self._one_way(then.why, ways, entry.ref(self.table))
        return then

    def _one_way(self, why: str, ways: tuple[Then, ...], ref: RuleRef) -> Then:
        """Of two ways the question itself is asked, of more each way by itself."""
        for way in ways[:-1]:
            text = why if len(ways) == 2 else f"{why}; if {_way_text(way)}"
            if self.chooser.ask(text, ref=ref, default=True):
                return way
        return ways[-1]

    def _missing(self, entry: Entry) -> None:
        """A jump to a chain that the dump does not have: nothing is known of it, so the next rule is asked."""
        self.chooser.missing.append(f"the chain {entry.jump} is not in the dump; taken as empty")
        if self.recorder is not None:
            self.recorder.add(ChainStep(self.hook, self.table, entry.jump or "", self.depth + 1, "missing"))

    def _record_end(self, chain: ChainProgram) -> None:
        if self.recorder is not None:
            event = "end" if chain.chain.rules else "empty"
            self.recorder.add(ChainStep(self.hook, self.table, chain.name, self.depth, event))

    def _end_of_base(self, base: ChainProgram | None, event: str) -> Stop:
        policy = (base.policy if base is not None else None) or "ACCEPT"
        if self.recorder is not None:
            self.recorder.add(ChainStep(self.hook, self.table, self.hook, 0, event, policy))
        return _ACCEPTED if policy == "ACCEPT" else Stop("DROP")


_SMALL = 6
"""Chains with fewer rules are asked rule by rule: that is as fast as the index."""
_ACCEPTED = Stop("ACCEPT")


def _way_text(way: Then) -> str:
    if isinstance(way, Stop):
        return f"it says {way.verdict}"
    return "it goes back" if isinstance(way, Back) else "the next rule is asked"


def condition_text(condition: Condition) -> str:
    """A condition in words: its own, or else words made from its parts."""
    if condition.text:
        return condition.text
    match condition:
        case In():
            return f"{condition.field.words} is {'not ' if condition.negated else ''}{values_text(condition)}"
        case AnyOf() | AllOf():
            word = " or " if isinstance(condition, AnyOf) else " and "
            inner = word.join(condition_text(part) for part in condition.conditions)
            return f"not ({inner})" if condition.negated else inner
        case _:
            return getattr(condition, "fact", "")


def _asked(condition: Condition) -> object:
    """What a condition asks, the same for its negation."""
    match condition:
        case In():
            return condition.field.name, condition.values
        case Derived():
            return condition.fact, condition.arguments
        case _:
            return condition


def values_text(condition: In) -> str:
    """The values of a condition, shortly."""
    values = condition.values
    if isinstance(values, Intervals):
        return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in values.pairs)
    if isinstance(values, Masked):
        return f"0x{values.value:x}/0x{values.mask:x}"
    if isinstance(values, AnyBit):
        return f"in 0x{values.mask:x}"
    return " or ".join(values.patterns)


def _range_in(condition: In, span: tuple[int, int]) -> bool | None:
    """Whether a value known only as one of ``span`` meets the condition's values (before negation)."""
    values = condition.values
    if isinstance(values, Intervals):
        if any(low <= span[0] and span[1] <= high for low, high in values.pairs):
            return True
        return None if any(low <= span[1] and span[0] <= high for low, high in values.pairs) else False
    if isinstance(values, Masked) and span[1] - span[0] <= 4096:
        found = {number & values.mask == values.value for number in range(span[0], span[1] + 1)}
        return found.pop() if len(found) == 1 else None
    return None
