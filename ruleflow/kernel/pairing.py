"""The kernel and the walk side by side through one rule set, packet after packet, each with the connections it knows by then."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from ruleflow.kernel.agreement import KINDS, compare, refusal_differs
from ruleflow.kernel.features import RuleFeatures
from ruleflow.kernel.lab import Lab, Shot
from ruleflow.kernel.observe import Observation
from ruleflow.kernel.trace import TraceEvent
from ruleflow.kernel.wire import Header
from ruleflow.netfilter.conntrack import Connection, remembered
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import Outcome, TrackStep, Walk
from ruleflow.netfilter.walk import Around, walk
from ruleflow.ruleset.fields import STATES
from ruleflow.ruleset.parse import parse_one

T = TypeVar("T")
Sent = tuple[tuple[Shot, Observation], ...]


class Pair(msgspec.Struct, frozen=True):
    """One packet: what the kernel did, what the walk says, and in words where they differ."""

    seen: Observation
    walk: Walk
    differs: tuple[str, ...]


class Pairing:
    """One rule set in the lab and as a walk's machine."""

    def __init__(self, lab: Lab, host: Host, family: int, rules: str) -> None:
        """Load the rules; raises `LoadRefusedError` where the real restore refuses them."""
        self.lab, self.host, self.family, self.rules = lab, host, family, rules
        ruleset = parse_one(rules, family=family)
        self.machine, self.features = (
            Machine(host, (ruleset,), family, legacy=lab.backend == "legacy"),
            RuleFeatures(ruleset),
        )
        self.connections: tuple[Connection, ...] = ()
        self.sent: list[tuple[Shot, Observation]] = []
        lab.load(rules, family)

    def begin(self) -> None:
        """Forget all connections on both sides."""
        self.forget()
        self.sent = []

    def forget(self) -> None:
        """Empty both tables of connections."""
        self.lab.forget_connections()
        self.connections = ()

    def one(self, shot: Shot) -> Pair:
        """Send and walk one packet."""
        [seen] = self.lab.send([shot])
        self.sent.append((shot, seen))
        packet = as_sent(shot.packet, seen)
        around = Around(connections=self.connections, quoted=shot.quoted)
        found = walk(self.machine, packet, around)
        if any(outcome.ranges for outcome in found.outcomes):
            found = walk(self.machine, packet, msgspec.structs.replace(around, chosen=chosen(seen)))
        said = compare(found, seen, path=self.lab.trace)
        if said.outcome is None:
            return Pair(seen, found, said.differs)
        self._remember(said.outcome, seen)
        if seen.made:
            made = seen.made[0]
            quoted = made.quoted.packet(length=None) if made.quoted else None
            told = self._refused(
                found, said.outcome, made.packet(mark=0, fragment=0, socket_exists=0), quoted
            )
            self._refused_again(told)
            wrong = () if said.outcome.ranges else refusal_differs(told, seen, path=self.lab.trace)
            if wrong:
                return Pair(seen, told, wrong)
        if said.outcome.ranges and said.outcome.direction == 0 and seen.after is None:
            self.forget()  # the kernel chose from a range, and nobody saw what
        return Pair(seen, found, ())

    def _refused(self, found: Walk, outcome: Outcome, packet: Packet, quoted: Packet | None) -> Walk:
        """Walk the router's own refusal: rules of OUTPUT that it meets may change the mark of the connection."""
        connection = outcome.connection
        untracked = connection is None and not any(isinstance(step, TrackStep) for step in found.steps)
        # icmp_send and nf_send_reset give their packet the connection (nf_ct_attach)
        attached = (connection, STATES["RELATED"], 1 - outcome.direction)
        if connection is None:
            attached = (None, STATES["UNTRACKED" if untracked else "INVALID"], 0)
        around = Around(connections=self.connections, quoted=quoted, attached=attached)
        told = walk(self.machine, packet, around)
        self.connections = remembered(self.connections, told.end.connection)
        return told

    def _refused_again(self, told: Walk) -> None:
        """A reset that is refused itself is told of by an ICMP error, which counts as one of the first direction: it confirms."""
        answer, reset = told.end.answer, told.packet
        if answer is None or answer.kind not in KINDS:
            return
        protocol, kind, code = KINDS[answer.kind]
        packet = Packet(
            family=reset.family, protocol=protocol, icmp_type=kind, icmp_code=code, destination=reset.source, ttl=64,
            length=68 if reset.family == 4 else 108, mark=0, fragment=0, socket_exists=0,
        )  # fmt: skip
        self._refused(told, told.end, packet, reset)

    def _remember(self, outcome: Outcome, seen: Observation) -> None:
        made = outcome.connection
        self.connections = remembered(
            self.connections, None if made is None else as_translated(made, outcome, seen)
        )


def as_sent(packet: Packet, seen: Observation) -> Packet:
    """The packet with what the bytes on the wire say of it."""
    header = seen.sent
    return packet.with_(
        length=header.length, ttl=header.ttl, tos=header.tos, tcp_flags=header.tcp_flags,
        uid=0 if packet.uid is None and packet.is_local else packet.uid, mark=packet.mark or 0, fragment=0,
    )  # fmt: skip


def chosen(seen: Observation) -> tuple[tuple[str, int], ...]:
    """The addresses and ports that the packet had at last, as far as it was seen."""
    if seen.after is not None:
        return _facts(seen.after, ("source", "destination", "source_port", "destination_port"))
    for step in reversed(seen.steps):
        if step.packet is not None and step.packet.in_interface == "lo":
            return _facts(step.packet, ("source", "destination", "source_port", "destination_port"))
        if step.packet is not None and _has_destination(step):
            return _facts(step.packet, ("destination", "destination_port"))
    return ()


def _facts(of: Header | Packet, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    return tuple((name, value) for name in names if (value := getattr(of, name)) is not None)


def _has_destination(step: TraceEvent) -> bool:
    """Whether nat has been asked for the destination by then."""
    return step.chain in ("INPUT", "FORWARD", "POSTROUTING") or (
        step.chain == "OUTPUT" and step.table in ("filter", "security")
    )


def as_translated(connection: Connection, outcome: Outcome, seen: Observation) -> Connection:
    """The connection with what the kernel chose where the walk knows only a range."""
    after = seen.after
    if after is None or outcome.direction or not outcome.ranges:
        return connection
    reply = msgspec.structs.replace(
        connection.reply, source=after.destination, destination=after.source, source_port=after.destination_port,
        destination_port=after.source_port,
    )  # fmt: skip
    return connection.translated(reply)


# making a disagreement small


def smaller(pairing: Pairing, pair: Pair) -> tuple[str, Sent, Pair]:
    """Fewer rules and packets that still disagree about the last packet: rules, what was sent, and that pair."""
    best: tuple[str, Sent, Pair] = pairing.rules, tuple(pairing.sent), pair
    lab, host, family = pairing.lab, pairing.host, pairing.family

    def still(lines: list[str], shots: list[Shot]) -> bool:
        nonlocal best
        again = Pairing(lab, host, family, "\n".join(lines) + "\n")
        differs = [again.one(shot) for shot in shots]
        found = _kind(differs[-1]) == _kind(pair) and not any(one.differs for one in differs[:-1])
        if found:
            best = again.rules, tuple(again.sent), differs[-1]
        return found

    lines, shots = pairing.rules.rstrip("\n").split("\n"), [shot for shot, _ in pairing.sent]
    last = shots[-1]
    shots = _fewer(shots[:-1], lambda some: still(lines, [*some, last])) + shots[-1:]
    rules = [line for line in lines if line.startswith("-A")]
    kept = _fewer(rules, lambda some: still(_with(lines, some), shots))
    kept_shots = _fewer(shots[:-1], lambda some: still(_with(lines, kept), [*some, shots[-1]]))
    still(_tidy(_with(lines, kept)), [*kept_shots, shots[-1]])
    lab.load(pairing.rules, family)
    return best


def _kind(pair: Pair) -> tuple[str, ...]:
    """What differs, so that one disagreement does not become another while it is made small."""
    return tuple(words.split(":")[0].split(" at ")[0] for words in pair.differs[:1])


def _with(lines: list[str], kept: Sequence[str]) -> list[str]:
    wanted = set(kept)
    return [line for line in lines if not line.startswith("-A") or line in wanted]


def _tidy(lines: list[str]) -> list[str]:
    """Without the chains that no rule names."""
    text = " ".join(line for line in lines if line.startswith("-A")) + " "
    return [
        line
        for line in lines
        if not (line.startswith(":") and " - " in line and f" {line[1:].split()[0]} " not in text)
    ]


def _fewer(items: list[T], holds: Callable[[list[T]], bool]) -> list[T]:
    """A part of ``items`` for which it still holds: chunks are left out, halves first (delta debugging)."""
    size = max(len(items) // 2, 1)
    while items:
        at = 0
        while at < len(items):
            fewer = items[:at] + items[at + size :]
            if holds(fewer):
                items = fewer
            else:
                at += size
        if size == 1:
            break
        size = max(size // 2, 1)
    return items
