"""Who may reach what: packets of a space parted by their fate, each part with the rule that decides and a packet.

The default question is what begins a connection: into this host, through it, and out of it.
"""

from collections.abc import Iterable

import msgspec

from ruleflow.analysis.cover import exact, wide
from ruleflow.analysis.witness import Witness
from ruleflow.analysis.wording import Wording
from ruleflow.errors import ReadError
from ruleflow.netfilter.action import THIS_INTERFACE
from ruleflow.netfilter.alter import Alter, Is, OneOf
from ruleflow.netfilter.encode import DPORT, DST, FREE_BASE, IN, LEVELS, OUT, PROTO, SPORT, SRC, STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING, Box
from ruleflow.netfilter.intervals import Interval, common, joined, masked_intervals, outside
from ruleflow.netfilter.numbers import PORTS, PROTOCOLS
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.trail import Trail
from ruleflow.netfilter.traveller import Part
from ruleflow.ruleset.addresses import Network, address_text
from ruleflow.ruleset.condition import Derived
from ruleflow.ruleset.ir import RuleRef, Ruleset
from ruleflow.ruleset.values import Unreadable

WAYS = {"in": "in", "through": "through", "out": "send"}
_SAID = {"in": "into this host", "through": "through this host", "out": "that this host sends"}
STATES = ("invalid", "new", "established", "related", "untracked")
_NETWORK = Network()
_BOXES, _EXACT = 12, 200
"""Boxes that are said, and given exactly, of one fate; the rest are counted."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A space of packets: addresses, ports and names in words, "" where anything will do. ``way`` in, through or out."""

    way: str = "in"
    source: str = ""
    destination: str = ""
    port: str = ""
    source_port: str = ""
    protocol: str = ""
    in_interface: str = ""
    out_interface: str = ""
    state: str = "new"


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """Packets of a question with one fate: ``then`` a verdict, ``rewritten`` the new destination or source.

    ``words`` say them in wide boxes that may overlap, ``left`` counts those that are not said; ``boxes`` are exact and
    disjoint, ``more`` counts those beyond a limit; ``by`` decides (index 0: the policy), ``packet`` is one of them.
    """

    then: str
    words: tuple[str, ...]
    boxes: tuple[Box, ...]
    left: int
    more: int = 0
    by: tuple[RuleRef, ...]
    rewritten: str = ""
    rewritten_by: tuple[RuleRef, ...] = ()
    packet: str = ""
    leaves: str = ""
    """The interface that the example leaves by, "" where that is not asked."""
    where: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All packets of a question by their fate, what passes first."""

    question: Question
    fates: tuple[Fate, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a foreign source may come in by an interface; ``nets`` are its own networks, ``packet`` one that may."""

    interface: str
    nets: tuple[str, ...]
    packet: str = ""
    by: str = ""

    @property
    def is_safe(self) -> bool:
        """Whether none may."""
        return not self.packet


class Reach:
    """Answers questions about one rule set; ``host``'s interfaces are told apart, too."""

    def __init__(self, rules: Ruleset, host: Host | None = None) -> None:
        names = [link.name for link in host.interfaces] if host is not None else []
        self.rules, self.host = rules, host
        self.flow = Flow(Side(Space([rules], names), rules))
        self.diagrams, self.encoder = self.flow.diagrams, self.flow.encoder
        self.wording = Wording(self.encoder)

    def ask(self, question: Question) -> Answer:
        """All packets of the question, by fate. Raises `ReadError` for words that say no packets."""
        space = self.diagrams.without(self.space(question), self.flow.lost(WAYS[question.way]))
        trail = Trail(self.flow, together=True)
        parts = trail.entry(WAYS[question.way], space) if space != NOTHING else []
        grouped: dict[tuple[str, str], list[Part]] = {}
        for part in parts:
            if self.diagrams.meets(self._way(part.alter, question.way), part.where):
                grouped.setdefault((part.then, self._rewriting(part.alter)), []).append(part)
        tests = self._tests(question)
        fates = [
            self._fate(then, moved, group, question.way, tests, trail)
            for (then, moved), group in grouped.items()
        ]
        return Answer(
            question=question,
            fates=tuple(sorted(fates, key=lambda one: (one.then != "ACCEPT", one.then, one.rewritten))),
        )

    def _way(self, alter: Alter, way: str) -> int:
        """The packets that are routed on a way: for this host, or not, after their rewriting."""
        if way == "out":
            return EVERYTHING
        mine = self._mine(alter)
        return mine if way == "in" else self.diagrams.complement(mine)

    def _mine(self, alter: Alter) -> int:
        """The packets for this host as rewritten; a place named by a rule is elsewhere, unless the host is known to be there."""
        there = alter.get(DST)
        if there is None:
            return self.encoder.local()
        if isinstance(there, OneOf) and there.why == THIS_INTERFACE:  # REDIRECT
            return EVERYTHING
        own = self.host.addresses(self.rules.family) if self.host is not None else ()
        at = joined((address.address, address.address) for _, address in own)
        return self.flow.outcomes.lens.through(self.diagrams.test(DST, at), alter)

    def matrix(self) -> tuple[Answer, ...]:
        """What begins a connection: into this host, through it, out of it."""
        return tuple(self.ask(Question(way=way)) for way in WAYS)

    def partition(self, way: str) -> Answer:
        """All classes of packets, of every state, that the rules treat unlike on one way."""
        return self.ask(Question(way=way, state="any"))

    # -- spaces ---------------------------------------------------------------------------------------------

    def space(self, question: Question) -> int:
        """The packets of a question."""
        where = self.diagrams.cube(self._tests(question).items())
        if question.way == "out":
            return where
        if question.in_interface == "lo":
            return where
        own = Derived(
            "address_type",
            (("address", "source"), ("types", ("LOCAL",)), ("interface", "")),
            text="from an address of this host",
        )
        return self.diagrams.without(where, self.encoder.derived(own, None))

    def _tests(self, question: Question) -> dict[int, tuple[Interval, ...]]:
        """What a question says of each field; of what it does not say, what ordinary packets have."""
        tests: dict[int, tuple[Interval, ...]] = {}
        for level, words in ((SRC, question.source), (DST, question.destination)):
            if words:
                tests[level] = self._network(words)
        for level, words in ((DPORT, question.port), (SPORT, question.source_port)):
            if words:
                tests[level] = _ports(words)
        if question.protocol:
            number = _protocol(question.protocol)
            tests[PROTO] = ((number, number),)
        elif DPORT in tests or SPORT in tests:
            tests[PROTO] = ((6, 6), (17, 17))
        if question.state != "any":
            if question.state not in STATES:
                raise ReadError(
                    f"{question.state!r} is no state of a connection",
                    help=f"write one of {', '.join(STATES)}, any",
                )
            tests[STATE] = ((STATES.index(question.state),) * 2,)
        return self._ordinary() | self._interfaces(question) | tests

    def _interfaces(self, question: Question) -> dict[int, tuple[Interval, ...]]:
        """What packets of a way show of interfaces, and which are asked for."""
        found: dict[int, tuple[Interval, ...]] = {}
        for level, words, shows in (
            (IN, question.in_interface, question.way != "out"),
            (OUT, question.out_interface, question.way != "in"),
        ):
            if words and not shows:
                raise ReadError(
                    f"packets {_SAID[question.way]} have no {'incoming' if level == IN else 'outgoing'} interface",
                    help=f"leave out {words}, or ask for another way",
                )
            if words.endswith("+"):
                raise ReadError(f"{words!r} is no interface's name", help="name one interface, like eth0")
            number = self.encoder.atoms.of(words) if words else None
            found[level] = (
                ((number, number),)
                if number is not None
                else ((1, self.diagrams.tops[level]),)
                if shows
                else ((0, 0),)
            )
        lo = self.encoder.atoms.range("lo")
        for level, words in ((IN, question.in_interface), (OUT, question.out_interface)):
            if not words and found[level] != (
                (0, 0),
            ):  # what the host sends to itself is asked about by name only
                found[level] = common(found[level], outside((lo,), self.diagrams.tops[level]))
        return found

    def _ordinary(self) -> dict[int, tuple[Interval, ...]]:
        """What is not asked about unless somebody says so: no fragments, no spent ttl, addresses of hosts."""
        four = ((0x01000000, 0x7EFFFFFF), (0x80000000, 0xDFFFFFFF), (0xF0000000, 0xFFFFFFFE))
        six = ((2, (0xFF << 120) - 1),)
        addresses = four if self.rules.family == 4 else six
        return {
            LEVELS["fragment"]: ((0, 0),), LEVELS["ttl"]: ((2, 255),), LEVELS["pkttype"]: ((0, 0),), SRC: addresses, DST: addresses,
        }  # fmt: skip

    def _network(self, words: str) -> tuple[Interval, ...]:
        try:
            prefix = _NETWORK.read_word(words, self.rules.family)
        except Unreadable as error:
            raise ReadError(
                f"{words!r} is no IPv{self.rules.family} address or network",
                help=str(error.help or "write it like 10.0.0.0/8"),
            ) from None
        found = masked_intervals(prefix.address, prefix.mask, self.diagrams.tops[SRC])
        if found is None:
            raise ReadError(f"the mask of {words!r} has too many gaps", help="write it like 10.0.0.0/8")
        return found

    # -- fates ----------------------------------------------------------------------------------------------

    def _fate(
        self,
        then: str,
        moved: str,
        parts: list[Part],
        way: str,
        tests: dict[int, tuple[Interval, ...]],
        trail: Trail,
    ) -> Fate:
        where = NOTHING
        for alter in dict.fromkeys(part.alter for part in parts):
            all_alike = self.diagrams.union([part.where for part in parts if part.alter == alter])
            where = self.diagrams.either(where, self.diagrams.both(self._way(alter, way), all_alike))
        cover = wide(self.diagrams, where, where, _BOXES)
        known = self._known(way, moved)
        boxes = exact(self.diagrams, where, _EXACT)
        by = self._in_order(ref for part in parts for ref in trail.deciders(part))
        rewritten_by = self._in_order(ref for part in parts for ref in part.rewritten)
        witness = Witness(self.encoder, where, "send" if way == "out" else "arrive")
        leaves = self.encoder.atoms.name(witness.numbers[OUT]) if way != "in" else ""
        return Fate(
            leaves=leaves or "", then=then, words=tuple(dict.fromkeys(self._say(box, tests, known) for box in cover.boxes)), boxes=boxes.boxes, left=cover.left, more=boxes.left, by=by, rewritten=moved,
            rewritten_by=rewritten_by, packet=str(_plain(witness.packet(out=way != "in"), way)), where=where,
        )  # fmt: skip

    def _in_order(self, refs: Iterable[RuleRef]) -> tuple[RuleRef, ...]:
        """Rules as the rule set has them, each once, then policies."""
        chains = {
            (table.name, chain.name): n
            for n, (table, chain) in enumerate((table, chain) for table in self.rules for chain in table)
        }
        return tuple(
            sorted(set(refs), key=lambda ref: (not ref.index, chains[ref.table, ref.chain], ref.index))
        )

    def _known(self, way: str, moved: str) -> frozenset[int]:
        """Free variables that the way settles: for whom the packet is, and that its source is another's."""
        own = Derived("address_type", (("address", "source"), ("types", ("LOCAL",)), ("interface", "")))
        asked = self.encoder.derived(own, None) if way != "out" else NOTHING
        local = self.encoder.local() if way == "in" or not moved.startswith("to ") else NOTHING
        return frozenset(
            level for each in (asked, local) for level in self.diagrams.support(each) if level >= FREE_BASE
        )

    def _say(self, box: Box, tests: dict[int, tuple[Interval, ...]], known: frozenset[int]) -> str:
        """A box without what the question says already."""
        shown: list[tuple[int, tuple[Interval, ...]]] = []
        for level, parts in box:
            asked = tests.get(level)
            left = parts if asked is None else common(parts, asked)
            if level in known or left == asked:
                continue
            if level in (SRC, DST) and asked is not None:
                top = self.diagrams.tops[level]
                beside = common(outside(left, top), asked)
                left = outside(beside, top) if len(beside) < len(left) else left
            shown.append((level, left))
        if (
            PROTO in tests
            and {DPORT, SPORT} & {level for level, _ in shown}
            and all(level != PROTO for level, _ in shown)
        ):
            shown.append((PROTO, tests[PROTO]))  # "to port 22" is no sentence without it
        return self.wording.box(tuple(sorted(shown))) if shown else "everything"

    def _rewriting(self, alter: Alter) -> str:
        said = []
        for address, port, words in ((DST, DPORT, "to"), (SRC, SPORT, "from")):
            there, at = alter.get(address), alter.get(port)
            if there is None and at is None:
                continue
            place = (
                address_text(there.value, self.rules.family)
                if isinstance(there, Is)
                else "another address"
                if there is not None
                else "the same address"
            )
            said.append(f"{words} {place}" + (f" port {at.value}" if isinstance(at, Is) else ""))
        return ", ".join(said)

    # -- spoofing -------------------------------------------------------------------------------------------

    def spoofing(self, nets: dict[str, tuple[str, ...]]) -> tuple[Entry, ...]:
        """For each interface with its ``nets``: whether a new packet from elsewhere gets in or through by it."""
        return tuple(self._entry(name, own) for name, own in nets.items())

    def _entry(self, name: str, own: tuple[str, ...]) -> Entry:
        foreign = self.diagrams.complement(NOTHING)
        for words in own:
            foreign = self.diagrams.without(foreign, self.diagrams.test(SRC, self._network(words)))
        for way in ("in", "through"):
            where = self.diagrams.both(self.space(Question(way=way, in_interface=name)), foreign)
            for part in Trail(self.flow).entry(way, self.diagrams.without(where, self.flow.lost(way))):
                if part.then == "ACCEPT" and part.where != NOTHING:
                    packet = Witness(self.encoder, part.where, "arrive").packet(out=way == "through")
                    by = str(part.by) if part.by is not None and part.by.index else "the policy"
                    return Entry(interface=name, nets=own, packet=str(_plain(packet, way)), by=by)
        return Entry(interface=name, nets=own)


def _plain(packet: Packet, way: str) -> Packet:
    """Without what every ordinary packet has; where it goes out is for the routes to say."""
    left = packet.with_(ttl=None, pkttype=None, fragment=None)
    return left.with_(out_interface=None) if way == "through" else left


def _protocol(word: str) -> int:
    if word in PROTOCOLS:
        return PROTOCOLS[word]
    if word.isdecimal() and int(word) < 256:
        return int(word)
    raise ReadError(f"{word!r} is no protocol", help="write tcp, udp, icmp or a number")


def _ports(words: str) -> tuple[Interval, ...]:
    found = []
    for part in words.split(","):
        low, _, high = part.replace("-", ":").partition(":")
        try:
            first = PORTS[low] if low in PORTS else int(low)
            last = int(high) if high else first
        except ValueError:
            raise ReadError(f"{part!r} is no port", help="write 22, 80,443 or 1000:2000") from None
        if not 0 <= first <= last < 65536:
            raise ReadError(f"{part!r} is no range of ports", help="write 22, 80,443 or 1000:2000")
        found.append((first, last))
    return tuple(sorted(found))
