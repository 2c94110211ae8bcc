"""A walk on paper: hook by hook, each rule with its answer, what changed, and at the end the verdict and why."""

import re
from collections.abc import Iterator

from ruleflow.analysis.sentences import who
from ruleflow.errors import visible
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.packet_words import words
from ruleflow.netfilter.steps import (
    ChainStep,
    Change,
    NatStep,
    NoteStep,
    Outcome,
    RouteStep,
    RuleStep,
    Step,
    TrackStep,
    Walk,
)
from ruleflow.ruleset.condition import AllOf, AnyOf, Condition, In
from ruleflow.ruleset.fields import STATES
from ruleflow.ruleset.ir import Rule, RuleRef, Ruleset
from ruleflow.views.text import Paper

_LEFT, _ANSWER, _THEN = (52, 84), 9, 28
"""Columns: the rule (at least and at most), the answer, what follows."""
_STYLES = {"ACCEPT": "green", "DROP": "red", "REJECT": "magenta", "QUEUE": "yellow", "UNKNOWN": "yellow"}


def walk_lines(walk: Walk, rules: Ruleset | None, paper: Paper, *, detail: str = "full") -> Iterator[str]:
    """The lines of a walk. ``rules`` are those that were walked (for the rules' words).

    ``detail`` is ``full``, ``matches`` (no rule that was passed over) or ``minimal`` (one line).
    """
    if detail == "minimal":
        yield minimal(walk)
        return
    page = _Page(walk, rules, paper, detail)
    yield from page.lines()
    if walk.reply is not None:
        yield ""
        yield paper.paint("the reply", "bold")
        yield from _Page(walk.reply, rules, paper, detail).lines()


def minimal(walk: Walk) -> str:
    """One line that stays the same from version to version: verdict, destination, interface."""
    end = walk.end
    packet = end.packet
    to = _end_text(packet.destination, packet.destination_port, packet.family)
    place = ("refused" if end.refused else "here") if end.local else end.out_interface or ""
    return " ".join(word for word in (walk.verdict, to, place) if word)


def _end_text(address: int | None, port: int | None, family: int) -> str:
    if address is None:
        return "?" if port is None else f"?:{port}"
    text = address_text(address, family)
    if port is None:
        return text
    return f"[{text}]:{port}" if family == 6 else f"{text}:{port}"


class _Page:
    def __init__(self, walk: Walk, rules: Ruleset | None, paper: Paper, detail: str) -> None:
        self.walk, self.rules, self.paper, self.detail = walk, rules, paper, detail
        self.section = ("", "")
        shown = [
            step
            for step in walk.steps
            if isinstance(step, RuleStep) and (detail == "full" or step.answer != "no")
        ]
        self.left = min(max([_LEFT[0], *(len(self._said(step)) + 2 for step in shown)]), _LEFT[1])

    def lines(self) -> Iterator[str]:
        yield f"packet    {visible(words(self.walk.packet))}"
        for at, sentence in enumerate(self.walk.assumptions):
            yield f"{'assumed' if not at else '':10}{visible(sentence)}"
        yield ""
        for step in self.walk.steps:
            yield from self._step(step)
        yield ""
        yield from self._verdict()

    # -- steps ----------------------------------------------------------------------------------------------

    def _step(self, step: Step) -> Iterator[str]:
        match step:
            case RuleStep():
                yield from self._heading(step.hook, step.ref.table)
                yield from self._rule(step)
            case ChainStep():
                yield from self._chain(step)
            case RouteStep():
                yield f"{'routing':12}{visible(step.sentence)}"
            case NatStep():
                yield f"{step.hook:12}{visible(step.sentence)}"
            case NoteStep():
                yield f"{step.place:12}{visible(step.sentence)}"
            case TrackStep() if step.state != "NEW":
                yield f"{'conntrack':12}{step.sentence}"

    def _heading(self, hook: str, table: str) -> Iterator[str]:
        if self.section != (hook, table):
            self.section = hook, table
            yield self.paper.paint(f"{table} {hook}", "bold")

    def _chain(self, step: ChainStep) -> Iterator[str]:
        title = f"{step.table} {step.chain}"
        if step.event == "missing":
            if step.chain != step.hook:
                yield f"{'  ' * step.depth}  {visible(step.chain)} is not in the dump"
            return
        if step.event == "empty" and step.depth == 0:
            verdict = (step.verdict or "").lower()
            yield f"{title:{self.left}}{'no rules':{_ANSWER}} {verdict} (policy)"
        elif step.event == "policy":
            yield from self._heading(step.hook, step.table)
            verdict = self.paper.paint((step.verdict or "").lower(), _STYLES.get(step.verdict or ""))
            yield f"  {'-':{self.left + _ANSWER - 2}}{verdict} (policy)"

    def _rule(self, step: RuleStep) -> Iterator[str]:
        if step.answer == "no" and self.detail != "full":
            return
        indent = "  " + "    " * step.depth
        left = self._said(step)
        line = f"line {step.ref.line}" if step.ref.line is not None else ""
        if step.answer == "no":
            yield self._columns(left, "no: " + self._why_not(step), line, _ANSWER + _THEN)
            return
        answer = "match" if step.answer == "match" else "unknown"
        then = self._then(step)
        yield self._columns(
            left, f"{answer:{_ANSWER}}{then}", line, _ANSWER + _THEN + len(then) - len(_plain(then))
        )
        if step.answer == "unknown":
            taken = "taken as a match" if step.taken else "taken as no match"
            taken = "either way the next rule is asked" if step.taken is None else taken
            yield f"{indent}     {visible(step.why)}: {taken}"
        for change in step.changes:
            yield f"{indent}     {_change(change, self.walk.packet.family)}"
        for note in step.notes:
            yield f"{indent}     {visible(note)}"
        if step.chain is not None and step.then in ("jump", "goto"):
            yield f"{indent}  {step.ref.table} {visible(step.chain)}"

    def _said(self, step: RuleStep) -> str:
        """The rule in words, where it stands in its chain."""
        rule = self._find(step.ref)
        said = visible(who(rule)[0]) if rule is not None else str(step.ref)
        return f"  {'    ' * step.depth}{step.ref.index}  {said}"

    def _then(self, step: RuleStep) -> str:
        if step.then in ("jump", "goto"):
            verb = "see" if step.then == "jump" else "go to"
            return self.paper.paint(f"{verb} {visible(step.chain or '')}", "cyan")
        if step.then == "return":
            return "back"
        if any(change.field.startswith(("source", "destination")) for change in step.changes):
            return self.paper.paint("rewrite", "yellow")
        if step.then == "next":
            return "next rule"
        return self.paper.paint(step.then, _STYLES.get(step.then))

    def _find(self, ref: RuleRef) -> Rule | None:
        if self.rules is None or ref.table not in self.rules or ref.chain not in self.rules[ref.table]:
            return None
        return self.rules.rule(ref)

    def _why_not(self, step: RuleStep) -> str:
        return visible(why_not(step.condition, step.actual, self.walk.packet.family, step.why))

    def _columns(self, left: str, middle: str, line: str, width: int) -> str:
        """Three columns; what is too long for its own pushes the next one on."""
        left = f"{left:{self.left}}" if len(left) < self.left else f"{left}  "
        return f"{left}{middle:{width}} {line}".rstrip()

    # -- the end --------------------------------------------------------------------------------------------

    def _verdict(self) -> Iterator[str]:
        walk, end = self.walk, self.walk.end
        word = self.paper.paint(walk.verdict, _STYLES.get(walk.verdict))
        if walk.verdict == "UNKNOWN":
            yield f"{word}  it depends on what packet and host do not tell"
            yield from self._ways()
        else:
            yield f"{word}   {visible(ending(end))}"
            yield f"because  {visible(because(end))}"
            if walk.forks:
                yield from self._ways()
        for sentence in walk.beware:
            yield from self.paper.wrap(f"beware   {visible(sentence)}", 0, 9)
        if walk.same_for:
            yield from self.paper.wrap(f"same for {visible(_same(walk))}", 0, 9)

    def _ways(self) -> Iterator[str]:
        for outcome in self.walk.outcomes:
            likely = (
                f" ({outcome.probability:.1%})" if outcome.probability is not None and outcome.choices else ""
            )
            conditions = (
                "; ".join(f"{'' if one.taken else 'not: '}{one.text}" for one in outcome.choices)
                or "otherwise"
            )
            yield f"  {outcome.verdict:8}{visible(ending(outcome))}{likely}"
            yield f"          if {visible(conditions)}"
        if not self.walk.complete:
            yield "  and more ways than were followed"


def _plain(text: str) -> str:
    """A painted text without its colour."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def ending(end: Outcome) -> str:
    """The packet as it ends, and where."""
    packet = end.packet
    text = f"{_protocol(packet)} {_end_text(packet.source, packet.source_port, packet.family)} > "
    text += _end_text(packet.destination, packet.destination_port, packet.family)
    if end.local:
        taken = (
            "refused: nobody listens there"
            if end.refused
            else f"taken by {end.delivered}"
            if end.delivered
            else "for this host"
        )
        return f"{text}, {taken}"
    if end.verdict == "ACCEPT":
        return f"{text}, out {end.out_interface or 'by an interface that is not known'}"
    answer = f"; the sender gets {end.answer.kind}" if end.answer else ""
    return f"{text}{answer}"


def _protocol(packet: Packet) -> str:
    return words(packet).split()[0]


def because(end: Outcome) -> str:
    """What decided, and the rules that rewrote."""
    text = str(end.by) if end.by is not None and end.reason == "rule" else end.sentence
    rewritten = ", ".join(str(ref) for ref in end.rewritten_by)
    return f"{text}; rewritten by {rewritten}" if rewritten else text


def _same(walk: Walk) -> str:
    """The class of packets in words: field and what is left of it."""
    names = {
        "protocol": "", "source": "from", "destination": "to", "source_port": "from port",
        "destination_port": "to port", "in_interface": "in", "out_interface": "out",
    }  # fmt: skip
    order = [*names, "state"]
    told = sorted(walk.same_for, key=lambda one: order.index(one[0]) if one[0] in order else len(order))
    return ", ".join(f"{names.get(name, '')} {text}".strip() for name, text in told)


def why_not(condition: Condition | None, actual: object, family: int, text: str) -> str:
    """Why a rule was passed over: the field that failed and what the packet has there."""
    if isinstance(condition, In):
        name = condition.field.name
        if actual is None:
            return f"it has no {condition.field.words}"
        return f"{condition.field.words} is {show(name, actual, family)}"
    if isinstance(condition, AnyOf | AllOf) and not text:
        return "; ".join(part.text for part in condition.conditions if part.text)
    if actual is not None and condition is not None:
        return f"{actual} is not {text}" if not getattr(condition, "negated", False) else f"{actual} is"
    return f"not {text}"


def show(name: str, value: object, family: int) -> str:
    """A field's value as a person writes it."""
    if not isinstance(value, int):
        return str(value) or "none"
    if name in ("source", "destination") or name.endswith(("_source", "_destination")):
        return address_text(value, family)
    if name == "state":
        return next((word.lower() for word, bit in STATES.items() if bit == value), str(value))
    if name in ("mark", "connmark"):
        return f"0x{value:x}"
    if name in ("protocol", "ct_protocol"):
        from ruleflow.ruleset.protocols import protocol_name

        return protocol_name(value)
    return str(value)


def _change(change: Change, family: int) -> str:
    from ruleflow.ruleset.fields import BY_NAME

    field = BY_NAME.get(change.field)
    name = field.words if field else change.field
    before = "unknown" if change.before is None else show(change.field, change.before, family)
    if change.after is not None:
        after = show(change.field, change.after, family)
    elif change.low is not None and change.high is not None:
        after = (
            f"one of {show(change.field, change.low, family)} to {show(change.field, change.high, family)}"
        )
    else:
        after = "what is not known"
    return f"{name}  {before}  becomes  {after}"
