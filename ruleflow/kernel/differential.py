"""Random rule sets and packets, asked of the model and of the real kernel: where do they disagree?"""

import random
from collections import Counter
from collections.abc import Iterator

import msgspec

from ruleflow.kernel.lab import Lab
from ruleflow.kernel.observe import Observation
from ruleflow.kernel.random_packets import make_packet
from ruleflow.kernel.random_rules import FEATURES, Made, make_rules
from ruleflow.kernel.router import ROUTER
from ruleflow.kernel.wire import Header
from ruleflow.netfilter.connect import ICMP_CODES
from ruleflow.netfilter.conntrack import CONFIRMED, Connection
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.packet_words import words
from ruleflow.netfilter.steps import Outcome, RuleStep, Walk
from ruleflow.netfilter.walk import Around, walk
from ruleflow.ruleset.parse import parse_one

PACKETS = 40
"""Packets for each rule set: loading costs as much as about ten of them."""


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says, what the kernel did, and all that is needed to see it again."""

    backend: str
    family: int
    what: str
    rules: str
    packets: tuple[str, ...]
    expected: str
    seen: str

    def __str__(self) -> str:
        """The reproducer: rules, packets in order (the last one is judged), both answers."""
        lines = [f"# {self.backend}, IPv{self.family}: {self.what}", f"# model:  {self.expected}", f"# kernel: {self.seen}"]
        lines += [f"# packet {at}: {packet}" for at, packet in enumerate(self.packets, 1)]
        return "\n".join(lines) + "\n" + self.rules


class Report(msgspec.Struct):
    """Counts of a run; ``decided`` has how many pairs each feature decided."""

    pairs: int = 0
    decided: Counter[str] = msgspec.field(default_factory=Counter)
    disagreements: list[Disagreement] = msgspec.field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report for people; the last line is ``pairs=N disagreements=K``."""
        for feature in FEATURES:
            count = self.decided[feature]
            share = count / self.pairs if self.pairs else 0
            yield f"{feature:12} decided {count:6} pairs, {share:6.1%}"
        yield f"pairs={self.pairs} disagreements={len(self.disagreements)}"


def compare(pairs: int, seed: int, *, backends: tuple[str, ...] = ("nft", "legacy"), families: tuple[int, ...] = (4, 6)) -> Report:
    """Try ``pairs`` packets, spread over backends and families; everything is drawn from ``seed``.

    Raises `LabUnavailableError` where the kernel cannot be asked.
    """
    report = Report()
    share = -(-pairs // (len(backends) * len(families)))
    for backend in backends:
        with Lab(ROUTER, backend, trace=backend == "nft") as lab:
            host = read_live(lab)
            for family in families:
                left = min(share, pairs - report.pairs)
                dice = random.Random(f"{seed} {backend} {family}")  # noqa: S311 - to be repeated, not to be secret
                _run(lab, host, family, left, dice, report)
    return report


def _run(lab: Lab, host: Host, family: int, pairs: int, dice: random.Random, report: Report) -> None:
    done = 0
    while done < pairs:
        count = min(PACKETS, pairs - done)
        _one_ruleset(lab, host, make_rules(dice, family), count, dice, report)
        done += count


def read_live(lab: Lab) -> Host:
    """The host that the lab's router is, read as `ruleflow snapshot` reads any host."""
    import tempfile
    from pathlib import Path

    from ruleflow.kernel.snapshot import snapshot
    from ruleflow.netfilter.world import read_world

    with tempfile.TemporaryDirectory() as folder, lab.inside():
        snapshot(Path(folder), ())
        return msgspec.structs.replace(read_world(Path(folder)).main, dumps=())


def _one_ruleset(lab: Lab, host: Host, made: Made, count: int, dice: random.Random, report: Report) -> None:
    ruleset = parse_one(made.text, family=made.family)
    lab.load(made.text, made.family)
    machine = Machine(host, (ruleset,), made.family)
    known: tuple[Connection, ...] = ()
    before: list[tuple[Packet, Outcome]] = []
    sent: list[str] = []
    for _ in range(count):
        packet = make_packet(dice, made.family, before)
        found = walk(machine, packet, Around(connections=known))
        (seen,) = lab.send([packet])
        sent.append(words(packet))
        report.pairs += 1
        report.decided.update(_features(found, made))
        end = _agreeing(found, seen)
        what = "the verdict, the interface or the packet" if end is None else _path_differs(end, found, seen, lab.trace)
        if end is None or what is not None:
            report.disagreements.append(Disagreement(
                backend=lab.backend, family=made.family, what=what or "", rules=made.text, packets=tuple(sent),
                expected=_model_words(found, what), seen=_kernel_words(seen),
            ))  # fmt: skip
            return
        before.append((packet, end))
        known = _remembered(known, end, seen)


def _features(found: Walk, made: Made) -> set[str]:
    used: set[str] = set()
    for step in found.steps:
        if isinstance(step, RuleStep) and step.answer == "match":
            used |= made.features.get((step.ref.table, step.ref.chain, step.ref.index), frozenset())
    return used


# -- comparing ------------------------------------------------------------------------------------------------


def _agreeing(found: Walk, seen: Observation) -> Outcome | None:
    """The outcome that the kernel's doing fits; None where none does."""
    return next((end for end in found.outcomes if _fits(end, seen)), None)


def expected_verdict(end: Outcome) -> str:
    """An outcome in the words of `Observation.verdict`."""
    if end.verdict == "ACCEPT":
        return "delivered" if end.local else "forwarded"
    if end.answer is not None:
        return "rejected"
    return "unroutable" if end.error is not None and end.packet.in_interface is None else "dropped"


def _fits(end: Outcome, seen: Observation) -> bool:
    if expected_verdict(end) != seen.verdict:
        return False
    if end.verdict == "ACCEPT":
        return (end.local or end.out_interface == seen.interface) and _same_header(end, seen)
    if end.answer is not None and seen.made:
        return _same_answer(end.answer.kind, seen.made[0])
    return True


_COMPARED = ("source", "destination", "source_port", "destination_port", "ttl", "tos")


def _same_header(end: Outcome, seen: Observation) -> bool:
    after = seen.after
    assert after is not None
    bounds = {name: (low, high) for name, low, high in end.ranges}
    for name in _COMPARED:
        value, real = getattr(end.packet, name), getattr(after, name)
        if value is None and name in bounds:
            if not bounds[name][0] <= (real or 0) <= bounds[name][1]:
                return False
        elif value is not None and value != real:
            return False
    mark = seen.left[0].mark if seen.left else seen.delivered.mark if seen.delivered else None
    return mark is None or (end.packet.mark or 0) == mark


def _same_answer(kind: str, made: Header) -> bool:
    if kind == "tcp-reset":
        return made.protocol == 6
    return ICMP_CODES[kind] == (made.icmp_type, made.icmp_code)


def _path_differs(end: Outcome, found: Walk, seen: Observation, traced: bool) -> str | None:
    """Whether the rules that matched are others than the kernel's trace has."""
    if not traced or end is not found.outcomes[0]:
        return None
    mine = [
        (step.ref.table, step.ref.chain, step.ref.index)
        for step in found.steps
        if isinstance(step, RuleStep) and step.answer == "match"
    ]
    real = [(step.table, step.chain, step.number) for step in seen.steps if step.kind == "rule"]
    return None if mine == real else f"the rule path: model {mine}, kernel {real}"


def _remembered(known: tuple[Connection, ...], end: Outcome, seen: Observation) -> tuple[Connection, ...]:
    """The connections the router knows after a packet: not those of packets that were dropped."""
    made = end.connection
    if made is None or not made.status & CONFIRMED:
        return known
    made = _completed(made, end, seen)
    if any(_is_same(one, made) for one in known):
        return tuple(made if _is_same(one, made) else one for one in known)
    return (made, *known)


def _is_same(one: Connection, other: Connection) -> bool:
    return (one.original, one.protocol, one.family) == (other.original, other.protocol, other.family)


def _completed(made: Connection, end: Outcome, seen: Observation) -> Connection:
    """What the kernel chose from a range is known now."""
    after = seen.after
    if after is None or not end.ranges or end.direction:
        return made
    reply = msgspec.structs.replace(
        made.reply, source=after.destination, destination=after.source, source_port=after.destination_port,
        destination_port=after.source_port,
    )  # fmt: skip
    return made.translated(reply)


# -- words ----------------------------------------------------------------------------------------------------


def _model_words(found: Walk, what: str | None) -> str:
    told = [f"{expected_verdict(end)} {end.sentence} out={end.out_interface} {words(end.packet)} {end.ranges or ''}" for end in found.outcomes[:3]]
    path = [str(step.ref) for step in found.steps if isinstance(step, RuleStep) and step.answer == "match"]
    return " | ".join(told) + f" ; path {path}" + (f" ; {what}" if what else "")


def _kernel_words(seen: Observation) -> str:
    after = seen.after
    text = f"{seen.verdict} out={seen.interface} error={seen.error}"
    if after is not None:
        text += f" {_end(after.source, after.source_port, after.family)} > {_end(after.destination, after.destination_port, after.family)} ttl {after.ttl} tos {after.tos}"
    marks = [one.mark for one in (*seen.left, *((seen.delivered,) if seen.delivered else ()))]
    text += f" mark {marks} made {[(one.protocol, one.icmp_type, one.icmp_code) for one in seen.made]}"
    return text + f" ; path {[(s.table, s.chain, s.number) for s in seen.steps if s.kind == 'rule']}"


def _end(address: int, port: int | None, family: int) -> str:
    return f"{address_text(address, family)}:{port}"
