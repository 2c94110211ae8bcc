"""The shape of a rule: what it asks, by name, and what it does, so that an idiom can say exactly which rules it means.

An idiom holds by structure: it names all that a rule asks (`Shape.asks`), so a rule that asks more or less is
another rule and gets no claim.
"""

import functools
from collections import defaultdict
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.chains import callee
from ruleflow.analysis.sentences import comments
from ruleflow.ruleset.addresses import Prefix, address_text, full_mask
from ruleflow.ruleset.effect import Rewrite
from ruleflow.ruleset.extension import Option
from ruleflow.ruleset.fields import DESTINATION_PORT, STATES
from ruleflow.ruleset.ir import Goto, Jump, Opaque, Rule, RuleRef, Ruleset
from ruleflow.ruleset.ports import service_name
from ruleflow.ruleset.protocols import protocol_name
from ruleflow.ruleset.values import MaskedValue, Not, Range

_SHORT = {
    "in_interface": "in", "out_interface": "out", "destination_port": "dport", "source_port": "sport",
    "addrtype.destination_type": "dst_type", "addrtype.source_type": "src_type", "conntrack.state": "state",
    "icmp.kind": "icmp", "icmp6.kind": "icmp", "tcp_flags": "flags",
}  # fmt: skip


class Shape(msgspec.Struct, frozen=True, dict=True):
    """A rule at its place, its questions by short names (`facts`) and its target."""

    ref: RuleRef
    rule: Rule
    facts: dict[str, object]

    def asks(self, *names: str) -> bool:
        """Whether the rule asks exactly these things."""
        return self.facts.keys() == set(names)

    def get(self, name: str) -> object:
        """The value asked for, None where it does not ask (a negated value is `Not`)."""
        return self.facts.get(name)

    @property
    def target(self) -> str:
        """The target's name (``ACCEPT``), ``jump``, ``goto``, ``?`` for an unknown one, or ``""``."""
        target = self.rule.target
        match target:
            case None:
                return ""
            case Jump():
                return "jump"
            case Goto():
                return "goto"
            case Opaque():
                return "?"
        return target.name

    @property
    def calls(self) -> str | None:
        """The chain it jumps or goes to."""
        return callee(self.rule)

    @functools.cached_property
    def comment(self) -> str:
        """Its comments, which are somebody's words and never structure."""
        return " ".join(comments(self.rule))

    @functools.cached_property
    def rewrites(self) -> Rewrite | None:
        """The translation it asks for."""
        target = self.rule.target
        if target is None or isinstance(target, Jump | Goto | Opaque):
            return None
        return next((change for change in target.effects().changes if isinstance(change, Rewrite)), None)

    @property
    def verdict(self) -> str:
        """The bare verdict it gives: ``ACCEPT``, ``DROP``, ``REJECT``, ``RETURN``, or ``""`` where it does more or less."""
        return self.target if self.target in ("ACCEPT", "DROP", "REJECT", "RETURN") else ""

    # -- values that idioms read ------------------------------------------------------------------------

    @property
    def source(self) -> Prefix | None:
        """The source network, if it asks for one (not for all but one)."""
        value = self.get("source")
        return value if isinstance(value, Prefix) else None

    @property
    def destination(self) -> Prefix | None:
        """The destination network, if it asks for one."""
        value = self.get("destination")
        return value if isinstance(value, Prefix) else None

    def negated(self, name: str) -> object:
        """The value behind ``!``, or None."""
        value = self.get(name)
        return value.value if isinstance(value, Not) else None

    @property
    def states(self) -> frozenset[str]:
        """The connection states asked for, () where it asks for none or for all but some."""
        value = self.get("state")
        if isinstance(value, str):
            return frozenset(value.split(","))
        if isinstance(value, int):
            return frozenset(name for name, bit in STATES.items() if value & bit)
        return frozenset()

    @property
    def port(self) -> int | None:
        """The one destination port it asks for."""
        value = self.get("dport")
        return value.low if isinstance(value, Range) and value.low == value.high else None

    @property
    def protocol(self) -> str:
        """The protocol's name, ``""`` where it asks for none."""
        value = self.get("protocol")
        return protocol_name(value) if isinstance(value, int) else ""

    @property
    def mark(self) -> MaskedValue | None:
        """The mark it asks for."""
        value = self.get("mark")
        return value if isinstance(value, MaskedValue) else None


def shape(ref: RuleRef, rule: Rule) -> Shape:
    """The shape of a rule."""
    facts: dict[str, object] = {}
    for match in rule.matches:
        for name, value in _facts(match):
            # the same question twice: the second has a name of its own, so no idiom fits
            facts[name if name not in facts else f"{name} {len(facts)}"] = value
    return Shape(ref, rule, facts)


def _facts(match: object) -> Iterator[tuple[str, object]]:
    if isinstance(match, Opaque):
        yield "?", match.text
        return
    if match.name == "comment":  # type: ignore[attr-defined]
        return
    for row, value in match.given():  # type: ignore[attr-defined]
        if value == row.hidden:
            continue
        if row.field is not None:
            yield _SHORT.get(row.field.name, row.field.name), value
        else:
            yield _SHORT.get(name := f"{match.name}.{row.attr}", name), _text(row, value)  # type: ignore[attr-defined]


def _text(row: Option, value: object) -> object:
    """A value without a field of its own, as its words in a dump."""
    if isinstance(value, Not):
        return Not(str(row.type.show(value.value)))
    return str(row.type.show(value))


class Shapes:
    """All rules of a rule set by table and chain, who calls whom, and what translates to where."""

    def __init__(self, rules: Ruleset) -> None:
        self.rules = rules
        self.chains: dict[tuple[str, str], list[Shape]] = {}
        self.callers: dict[tuple[str, str], list[Shape]] = defaultdict(list)
        for table in rules:
            for chain in table:
                mine = [
                    shape(RuleRef(table.name, chain.name, index, rule.line), rule)
                    for index, rule in enumerate(chain.rules, 1)
                ]
                self.chains[table.name, chain.name] = mine
                for one in mine:
                    if one.calls is not None:
                        self.callers[table.name, one.calls].append(one)

    def chain(self, table: str, name: str) -> list[Shape]:
        """The rules of a chain; none where there is no such chain."""
        return self.chains.get((table, name), [])

    def called(self, table: str, name: str) -> list[Shape]:
        """The rules that jump or go to a chain."""
        return self.callers.get((table, name), [])

    def all(self, table: str) -> Iterator[Shape]:
        """All rules of a table."""
        for (of, _), mine in self.chains.items():
            if of == table:
                yield from mine

    @functools.cached_property
    def dnats(self) -> dict[tuple[int, int | None], list[Shape]]:
        """The rules that send to one address, by address and port (None: the port stays)."""
        found: dict[tuple[int, int | None], list[Shape]] = defaultdict(list)
        for one in self.all("nat"):
            change = one.rewrites
            if change is not None and change.what == "destination" and change.low is not None:
                found[change.low, change.port_low].append(one)
        return found

    def dnats_to(self, address: int, port: int | None) -> list[Shape]:
        """The rules that translate to ``address`` and ``port``, a kept or shifted port among them."""
        exact = self.dnats.get((address, port), []) if port is not None else []
        if exact:
            return exact
        kept = [
            one for one in self.dnats.get((address, None), []) if port is None or one.port in (None, port)
        ]
        return kept or [one for one in self._dnats_by_address.get(address, []) if _covers(one, port)]

    @functools.cached_property
    def _dnats_by_address(self) -> dict[int, list[Shape]]:
        found: dict[int, list[Shape]] = defaultdict(list)
        for (address, _), mine in self.dnats.items():
            found[address] += mine
        return found


def _covers(one: Shape, port: int | None) -> bool:
    change = one.rewrites
    if change is None or change.port_low is None or change.port_high is None or port is None:
        return port is None
    return change.port_low <= port <= change.port_high


# -- words ------------------------------------------------------------------------------------------------


def is_host(value: object) -> bool:
    """Whether it is one address."""
    return isinstance(value, Prefix) and value.mask == full_mask(value.family)


def network(value: Prefix | None) -> str:
    """A network or an address in words."""
    if value is None:
        return "any address"
    return address_text(value.address, value.family) if is_host(value) else str(value)


def place(one: Shape) -> str:
    """Where a rule stands, for the middle of a sentence."""
    return f"line {one.ref.line}" if one.ref.line is not None else f"rule {one.ref.index} of {one.ref.chain}"


def places(shapes: list[Shape]) -> str:
    """Where rules stand: ``lines 3 and 8``."""
    if len(shapes) == 1:
        return place(shapes[0])
    if any(one.ref.line is None for one in shapes):
        return " and ".join(place(one) for one in shapes[:3])
    shown = [str(one.ref.line) for one in shapes[:3]]
    more = len(shapes) - len(shown)
    return (
        f"lines {', '.join(shown)} and {more} more"
        if more
        else f"lines {', '.join(shown[:-1])} and {shown[-1]}"
    )


def port_words(one: Shape) -> str:
    """The ports a rule asks for: ``port 80``, ``ports 80 to 90``, ``ports 80 or 443``."""
    value = one.get("dport")
    if isinstance(value, Range):
        return f"port {value.low}" if value.low == value.high else f"ports {value.low} to {value.high}"
    for match in one.rule.matches:
        for row, said in () if isinstance(match, Opaque) else match.given():
            if row.field is DESTINATION_PORT and not isinstance(said, Not):
                return str(row.type.say(said))
    return "its port"


def service(port: int) -> str:
    """``80 (http)``."""
    name = service_name(port)
    return f"{port} ({name})" if name else str(port)
