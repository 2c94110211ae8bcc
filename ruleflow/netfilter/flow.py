"""The whole path for all packets at once: tables at their hooks in order, conntrack, NAT and routing between.

A path is put together from its end: what comes behind a stage is a diagram, and it is looked at through what
the stage changes. The order of stages is `path.HOOKS`; what each of them does must be what `walker.Walker` does.
"""

from ruleflow.netfilter.alter import UNCHANGED, Alter, Grow, Is, New, Same, Xor, altered
from ruleflow.netfilter.encode import DST, IN, LEVELS, OUT, PROTO, SOCKET, SRC, STATE
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.intervals import joined, outside
from ruleflow.netfilter.known_host import KnownHost
from ruleflow.netfilter.outcome import NEXT, Outcome
from ruleflow.netfilter.path import HOOKS, Stage
from ruleflow.netfilter.side import Side, deep
from ruleflow.ruleset import fields

INVALID, NEW, ESTABLISHED, RELATED, UNTRACKED = range(5)
TTL, FRAGMENT = LEVELS["ttl"], LEVELS["fragment"]
ARRIVING = altered({OUT: Is(0)})
"""What PREROUTING and INPUT see: no outgoing interface."""
SENDING = altered({IN: Is(0)})
"""What a packet of this host shows in OUTPUT and POSTROUTING: no incoming interface."""
ENTRIES = ("arrive", "send")
"""The two ways into a host: from a wire, and from a process of its own.

Where somebody says what routing decides there are two more: ``in`` (for this host) and ``through``.
"""

_TUPLES = {
    "ct_orig_source": "source", "ct_orig_destination": "destination", "ct_orig_source_port": "source_port",
    "ct_orig_destination_port": "destination_port", "ct_reply_source": "destination",
    "ct_reply_destination": "source", "ct_reply_source_port": "destination_port",
    "ct_reply_destination_port": "source_port", "ct_protocol": "protocol",
}  # fmt: skip
"""What a new connection's ends are, as its first packet came."""


class Flow:
    """One rule set's paths as diagrams of outcomes over the packet as it comes."""

    def __init__(self, side: Side) -> None:
        self.side, self.diagrams, self.outcomes = side, side.diagrams, side.outcomes
        self.encoder = side.space.encoder
        self._entries: dict[str, int] = {}
        self.ways: tuple[tuple[int, int], ...] | None = None
        """By which interface (its level's number) packets leave, and which; None where nobody knows."""
        self.forwards = True
        self.disbelieved = self.disbelieved_again = self.never_sent = self.never_leaves = NOTHING
        self.tracks = side.space.tracks

    def know(self, known: KnownHost, host: Host) -> None:
        """Let a host's addresses and routes decide which way packets go."""
        found = known.ways(host)
        if self.side.space.family == 4 and self.encoder.types is not None:
            own = joined((*self.encoder.types(("LOCAL",))[0], (0, 0), (0x7F000000, 0x7FFFFFFF)))
            loopback = self.diagrams.test(SRC, ((0x7F000000, 0x7FFFFFFF),))
            closed = joined((self.encoder.atoms.of(name),) * 2 for name in known.wired_loopback(host))
            self.never_sent = self.diagrams.test(SRC, outside(own, self.diagrams.tops[SRC]))
            self.never_leaves = self.diagrams.both(self.diagrams.test(OUT, closed), loopback)
        self.disbelieved = self._disbelieved(known, host, again=False)
        self.disbelieved_again = self._disbelieved(known, host, again=True)
        self.forwards = known.forwards(host)
        if found is not None:
            test = self.diagrams.test
            self.ways = tuple(
                (self.encoder.atoms.of(name), test(DST, addresses)) for name, addresses in found
            )

    def _disbelieved(self, known: KnownHost, host: Host, *, again: bool) -> int:
        """ip_route_input_slow: packets whose source is not believed, or whose addresses never arrive over a wire."""
        if self.side.space.family == 6:
            return NOTHING
        test, atom = self.diagrams.test, self.encoder.atoms.of
        wire = test(IN, outside((self.encoder.atoms.range("lo"),), self.diagrams.tops[IN]))
        top = self.diagrams.tops[SRC]
        never = test(SRC, ((0xE0000000, 0xEFFFFFFF), (top, top)))
        found = self.diagrams.either(test(SRC, ((0, 0),)), test(DST, ((0, 0),)))
        neither = self.diagrams.either(
            test(DST, ((top, top),)), self.diagrams.cube(((SRC, ((0, 0),)), (DST, ((0, 0),))))
        )
        closed = joined((atom(name),) * 2 for name in known.wired_loopback(host))
        for level in (SRC, DST):
            found = self.diagrams.either(
                found, self.diagrams.cube(((IN, closed), (level, ((0x7F000000, 0x7FFFFFFF),))))
            )
        found = self.diagrams.either(never, self.diagrams.without(found, neither))
        for name, sources in known.disbelieved(host, again=again):
            found = self.diagrams.either(
                found, self.diagrams.cube(((IN, ((atom(name),) * 2,)), (SRC, sources)))
            )
        return self.diagrams.both(wire, found)

    def entry(self, name: str) -> int:
        """What becomes of packets that ``arrive`` from a wire, or that this host ``send``s."""
        found = self._entries.get(name)
        if found is None:
            with deep():
                found = self._entries[name] = self._send() if name == "send" else self._arrive(name)
        return found

    # -- places ---------------------------------------------------------------------------------------------

    def _arrive(self, name: str) -> int:
        behind = self._input() if name == "in" else self._forward() if name == "through" else self.routed()
        came = self.hook("PREROUTING", behind, ARRIVING)
        return self.outcomes.lens.through(came, self.socket(0))

    def before_routing(self) -> int:
        """What PREROUTING makes of packets that arrive; what goes on is `outcome.NEXT` with its changes."""
        found = self._entries.get("before routing")
        if found is None:
            with deep():
                came = self.hook("PREROUTING", NOTHING, ARRIVING)
                found = self._entries["before routing"] = self.outcomes.lens.through(came, self.socket(0))
        return found

    def socket(self, there: int) -> Alter:
        """Whether a local socket sends the packet, where rules ask."""
        return (
            altered({SOCKET: Is(there)})
            if self.side.space.used & {"uid", "gid", "socket_exists"}
            else UNCHANGED
        )

    def lost(self, name: str) -> int:
        """The packets that the kernel drops without asking a rule: not part of any claim about rules."""
        if name == "send":
            return NOTHING
        return (
            self.diagrams.either(self._martians(), self.never_forwarded())
            if name == "through"
            else self._martians()
        )

    def routed(self) -> int:
        """Behind PREROUTING: for this host, or passed on."""
        return self.diagrams.choose(self.encoder.home(), self._input(), self._forward())

    def _input(self) -> int:
        return self.hook("INPUT", self.end(), ARRIVING)

    def _forward(self) -> int:
        behind = self.hook("FORWARD", self.hook("POSTROUTING", self.end(), UNCHANGED), UNCHANGED)
        return self.outcomes.then(self.hop(), behind)

    def end(self) -> int:
        """Where the packet has passed."""
        return self.outcomes.leaf(Outcome("ACCEPT"))

    def hop(self) -> int:
        """ip_forward, where rules ask for the ttl or set it: it is used up, or becomes one less."""
        if "ttl" not in self.side.space.used:
            return NOTHING
        spent = self.outcomes.leaf(Outcome("DROP", tags=(("kernel", "its ttl is used up here"),)))
        return self.diagrams.test(
            TTL, ((0, 1),), spent, self.outcomes.leaf(Outcome(NEXT, altered({TTL: Grow(-1)})))
        )

    def never_forwarded(self) -> int:
        """What ip6_forward drops before any rule sees it: sources that are none, or only this machine's."""
        if self.side.space.family == 4:
            return NOTHING
        return self.diagrams.test(SRC, ((0, 1), (0xFF << 120, (1 << 128) - 1)))

    def _martians(self) -> int:
        """ip6_rcv_core (`routing.arrival_fault`): dropped as they arrive, before any hook."""
        if self.side.space.family == 4:
            return NOTHING
        test = self.diagrams.test
        wire = test(IN, outside((self.encoder.atoms.range("lo"),), self.diagrams.tops[IN]))
        starts = sorted((0xFF00 | flags << 4 | scope) << 112 for flags in range(16) for scope in (0, 1))
        node = joined((start, start + (1 << 112) - 1) for start in starts)
        bad = test(SRC, ((0xFFFF << 32, (0x10000 << 32) - 1), (0xFF << 120, (1 << 128) - 1)))
        for found in (test(SRC, ((1, 1),)), test(DST, ((1, 1),)), test(DST, node)):
            bad = self.diagrams.either(bad, self.diagrams.both(wire, found))
        return bad

    def _send(self) -> int:
        """OUTPUT and POSTROUTING; what goes to lo comes in again."""
        lo = self.encoder.atoms.range("lo")
        again = self.hook(
            "PREROUTING", self.hook("INPUT", self.end(), ARRIVING, looped=True), ARRIVING, looped=True
        )
        again = self.outcomes.lens.through(again, altered({IN: Is(lo[0])}))
        left = self.diagrams.choose(self.diagrams.test(OUT, (lo,)), again, self.end())
        out = self.hook("OUTPUT", self.hook("POSTROUTING", left, SENDING), SENDING)
        return self.outcomes.lens.through(out, self.socket(1))

    # -- stages ---------------------------------------------------------------------------------------------

    def hook(self, hook: str, behind: int, seen: Alter, *, looped: bool = False) -> int:
        """What the stages of a hook and then ``behind`` make of packets; ``seen`` are the interfaces it sees."""
        for stage in reversed(HOOKS[hook]):
            behind = self.stage(stage, hook, behind, seen, looped=looped)
        return behind

    def stage(self, stage: Stage, hook: str, behind: int, seen: Alter, *, looped: bool = False) -> int:
        """One stage of a hook, and then ``behind``."""
        match stage.kind:
            case "table":
                return self.outcomes.then(self.table(stage.name, hook, seen, looped=looped), behind)
            case "nat" if not looped:
                return self.outcomes.then(self.nat(hook, seen), behind)
            case "track" if not looped:
                return self._tracked(behind)
            case "defrag" if self.tracks and not looped and "fragment" in self.side.space.used:
                return self.outcomes.lens.through(behind, altered({FRAGMENT: Is(0)}))
        return behind

    def table(
        self, table: str, hook: str, seen: Alter, *, looped: bool = False, within: int = EVERYTHING
    ) -> int:
        """A table's chain of the hook; what it accepts goes on. Only right ``within`` a set of packets."""
        found = self.side.hook(table, hook, within)
        if table == "raw":
            if looped:  # "Previously seen": xt_ct_target leaves alone what conntrack knows
                found = self.without(found, STATE)
            else:
                seen = altered(dict(seen.changes) | {STATE: Is(INVALID)})
        found = self.outcomes.lens.through(found, seen)
        return self.outcomes.renamed(found, "ACCEPT", NEXT)

    def without(self, a: int, level: int) -> int:
        """The outcomes, without what they change at one level."""

        def change(leaf: int) -> int:
            value = self.outcomes.value(leaf)
            kept = Alter(tuple(pair for pair in value.alter.changes if pair[0] != level))
            return self.outcomes.leaf(Outcome(value.then, kept, value.tags))

        return self.diagrams.map_leaves(a, change, ("unchanged", level))

    def nat(self, hook: str, seen: Alter, within: int = EVERYTHING) -> int:
        """The nat table, which only the first packet of a connection asks."""
        found = self.table("nat", hook, seen, within=within)
        return NOTHING if found == NOTHING else self.diagrams.both(self.first(), found)

    def first(self) -> int:
        """The packets that begin a connection: NEW, or expected ones that are no ICMP errors."""
        expected = self.diagrams.cube(((STATE, ((RELATED, RELATED),)), (PROTO, ((0, 0), (2, 57), (59, 255)))))
        return self.diagrams.either(self.diagrams.test(STATE, ((NEW, NEW),)), expected)

    def _tracked(self, behind: int) -> int:
        """Behind conntrack: a new connection's ends are those of the packet, and nothing is known of it yet."""
        known = self.known_of_new()
        if not known:
            return behind
        fresh = self.outcomes.lens.through(behind, known)
        return self.diagrams.choose(self.diagrams.test(STATE, ((NEW, NEW),)), fresh, behind)

    def known_of_new(self) -> Alter:
        """What conntrack shows of a connection that a packet begins, where rules ask."""
        if not self.side.space.asks_connections:
            return UNCHANGED
        changes: dict[int, New] = {LEVELS[ct]: Same(LEVELS[plain]) for ct, plain in _TUPLES.items()}
        changes[LEVELS["ct_direction"]] = Is(0)
        for bit in range(fields.CT_STATUS.bits or 0):
            changes[self.encoder.bit(fields.CT_STATUS, bit)] = Xor(())
        return altered(changes)
