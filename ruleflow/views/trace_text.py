"""What the kernel says it does with packets, in the layout of a walk; rules passed over get their reason, too."""

from collections.abc import Iterable, Iterator

from ruleflow.analysis.sentences import who
from ruleflow.errors import visible
from ruleflow.kernel.trace import TraceEvent
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.packet_words import words
from ruleflow.ruleset.condition import Decision, Derived, No, Unknown
from ruleflow.ruleset.fields import Field
from ruleflow.ruleset.ir import Rule, Ruleset
from ruleflow.views.text import Paper
from ruleflow.views.walk_text import why_not

_STYLES = {"ACCEPT": "green", "DROP": "red", "QUEUE": "yellow"}
_LEFT = 52


class OfPacket:
    """The facts that a trace event carries: the packet's own, and nothing of the host or the connection."""

    def __init__(self, packet: Packet) -> None:
        self.packet = packet

    def value(self, field: Field) -> int | str | None:
        """The packet's attribute of the field's name."""
        value = getattr(self.packet, field.name, None)
        return value if isinstance(value, int | str) else None

    def absent(self, field: Field) -> bool:  # noqa: ARG002
        """Nothing is known to be absent."""
        return False

    def derived(self, condition: Derived) -> Decision:
        """Not known: it takes facts of the host."""
        return Unknown((condition,), "the event does not tell")


def trace_lines(events: Iterable[TraceEvent], rules: dict[int, Ruleset], paper: Paper) -> Iterator[str]:
    """The lines of completed events, as they come; ``rules`` are those of each family, for their words."""
    pages: dict[str, _Packet] = {}
    for event in events:
        page = pages.setdefault(event.trace, _Packet(event, rules.get(event.family), paper))
        yield from page.lines(event)


class _Packet:
    """One packet's events so far: where it stands, and which rule of each chain was asked last."""

    def __init__(self, first: TraceEvent, rules: Ruleset | None, paper: Paper) -> None:
        self.rules, self.paper = rules, paper
        self.packet: Packet | None = first.packet
        self.section = ("", "")
        self.calls: list[tuple[str, int]] = []
        self.said = False

    def lines(self, event: TraceEvent) -> Iterator[str]:
        self.packet = event.packet or self.packet
        if not self.said and self.packet is not None:
            self.said = True
            yield ""
            yield f"packet    {visible(words(self.packet))}   trace {event.trace}"
        if event.kind == "packet":
            return
        yield from self._enter(event)
        yield from self._passed_over(event)
        yield self._event(event)
        self._leave(event)

    def _enter(self, event: TraceEvent) -> Iterator[str]:
        here = self.calls[-1] if self.calls and self.section[0] == event.table else ("", 0)
        if here[0] == event.chain and here[1] >= 0:
            return
        if here[1] < 0:  # a jump or a goto led here
            self.calls[-1] = (event.chain, 0)
            yield f"{'    ' * (len(self.calls) - 1)}{event.table} {visible(event.chain)}"
            return
        self.section, self.calls = (event.table, event.chain), [(event.chain, 0)]
        yield self.paper.paint(f"{event.table} {visible(event.chain)}", "bold")

    def _passed_over(self, event: TraceEvent) -> Iterator[str]:
        """The rules between the last one that matched and this event."""
        chain, last = self.calls[-1]
        length = self._length(event.table, chain)
        end = event.number if event.kind == "rule" and event.number is not None else length + 1
        for number in range(last + 1, end):
            rule = self._rule(event.table, chain, number)
            if rule is not None:
                yield self._columns(number, visible(who(rule)[0]), f"no{self._reason(rule)}", rule.line)
        self.calls[-1] = (chain, max(last, end if event.kind == "rule" else length))

    def _reason(self, rule: Rule) -> str:
        if self.packet is None:
            return ""
        answer = rule.decide(OfPacket(self.packet))
        if isinstance(answer, No):
            return f": {visible(why_not(answer.condition, answer.actual, self.packet.family, ''))}"
        return " (the event does not say why)"

    def _event(self, event: TraceEvent) -> str:
        verdict = self.paper.paint(event.verdict, _STYLES.get(event.verdict))
        if event.kind == "policy":
            return self._columns("-", "", f"{verdict.lower()} (policy)", None)
        if event.kind == "end" or event.number is None:
            return self._columns("-", "", "back: the chain's end", None)
        rule = self._rule(event.table, event.chain, event.number)
        said = visible(who(rule)[0]) if rule is not None else "a rule that is not in the listing"
        then = {
            "JUMP": f"see {event.target}",
            "GOTO": f"go to {event.target}",
            "RETURN": "back",
            "CONTINUE": "next rule",
        }
        what = visible(then[event.verdict]) if event.verdict in then else verdict
        return self._columns(event.number, said, f"match    {what}", event.line)

    def _leave(self, event: TraceEvent) -> None:
        if event.verdict in ("JUMP", "GOTO"):
            if event.verdict == "GOTO":
                self.calls.pop()
            self.calls.append((event.target or "", -1))
        elif event.kind == "end" or event.verdict == "RETURN":
            self.calls.pop()

    def _columns(self, number: int | str, said: str, what: str, line: int | None) -> str:
        left = f"{'    ' * (len(self.calls) - 1)}  {number}  {said}"
        where = f"line {line}" if line is not None else ""
        return f"{left:{_LEFT}}  {what:28} {where}".rstrip()

    def _rule(self, table: str, chain: str, number: int) -> Rule | None:
        if self.rules is None or table not in self.rules or chain not in self.rules[table]:
            return None
        rules = self.rules[table][chain].rules
        return rules[number - 1] if 1 <= number <= len(rules) else None

    def _length(self, table: str, chain: str) -> int:
        known = self.rules is not None and table in self.rules and chain in self.rules[table]
        return len(self.rules[table][chain].rules) if known and self.rules is not None else 0
