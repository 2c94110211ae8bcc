"""Expectations in the real kernel: packets, members of spaces, and whole connections, through throw-away namespaces.

What cannot be tried so is said to be left out, with the reason; it is never taken as met.
"""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.expectations import Expectation, Result, Subject, Suite, judged
from ruleflow.analysis.members import Member, members
from ruleflow.kernel.agreement import compare
from ruleflow.kernel.describe import describe
from ruleflow.kernel.lab import Lab
from ruleflow.kernel.observe import Observation
from ruleflow.kernel.pairing import as_sent
from ruleflow.kernel.router import Spec
from ruleflow.kernel.verify import with_interfaces
from ruleflow.kernel.wire import WireError
from ruleflow.netfilter.connect import connect
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.journey import Leg
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.steps import RouteStep, Walk
from ruleflow.netfilter.walk import walk
from ruleflow.netfilter.walk_input import end_of
from ruleflow.ruleset.fields import STATES


class _Tried(msgspec.Struct):
    """What was sent: how many packets, and in words where the kernel or the walk did otherwise than wanted."""

    packets: int = 0
    wrong: str = ""
    witness: str = ""


def tried_live(suite: Suite, subject: Subject) -> Iterator[Result]:
    """Try every expectation in the kernel.

    Raises `LabUnavailableError` where no namespaces can be made, `LoadRefusedError` where the real restore does not take the rules.
    """
    for one in suite.expectations:
        reason = _not_live(one, subject)
        if reason:
            yield Result(expectation=one, ok=True, found="", skipped=f"not run live: {reason}")
        elif one.from_:
            yield _said(one, _connection(one, subject))
        elif one.what.startswith("every "):
            yield _said(one, _space(one, subject))
        else:
            packet = Packet.parse(one.what)
            yield _said(one, _each(one, subject.machine(packet.family), [Member(packet)], subject))


def _not_live(one: Expectation, subject: Subject) -> str:
    if one.from_:
        return "" if any(host.dumps for host in subject.world.hosts) else "no host of the directory has rules"
    if one.what.startswith("every "):
        return "" if one.state in ("new", "any") else f"no connection can be {one.state} in new namespaces"
    state = Packet.parse(one.what).state
    if state not in (None, STATES["NEW"]):
        return "its connection is not known in new namespaces"
    return ""


def _said(one: Expectation, tried: _Tried) -> Result:
    if not tried.packets and not tried.wrong:
        reason = "passes a host that has rules" if one.from_ else "can be sent"
        return Result(expectation=one, ok=True, found="", skipped=f"not run live: no packet of it {reason}")
    count = f"{tried.packets} packet{'' if tried.packets == 1 else 's'} in the kernel"
    return Result(
        expectation=one, ok=not tried.wrong, found=tried.wrong or "the kernel agrees", witness=tried.witness, live=count
    )  # fmt: skip


def _space(one: Expectation, subject: Subject) -> _Tried:
    """The members of a space, those together that one host may have."""
    found: dict[tuple[object, ...], list[Member]] = defaultdict(list)
    for member in members(one, subject):
        found[member.local, member.routes].append(member)
    sum_ = _Tried()
    for some in found.values():
        machine = subject.machine_with(some[0].packet.family, some[0].local, some[0].routes)
        tried = _each(one, machine, some, subject)
        sum_.packets += tried.packets
        if tried.wrong and not sum_.wrong:
            sum_.wrong, sum_.witness = tried.wrong, tried.witness
    return sum_


def _each(one: Expectation, machine: Machine, some: list[Member], subject: Subject) -> _Tried:
    """Packets that begin connections, each in namespaces of its own: a bridge remembers who spoke, so do other things."""
    tried = _Tried()
    for member in some:
        asked = member.packet.with_(state=None)
        try:
            (seen,) = _sent(with_interfaces(describe(machine.host), asked), machine, [asked])
        except WireError:
            continue  # not every packet that can be said can be put on a wire
        found = walk(machine, as_sent(asked, seen), subject.around)
        said = compare(found, seen, path=not machine.legacy)
        if member.leaves is not None and member.leaves not in _leaves_by(found):
            continue  # this host sends it elsewhere: it is not of the space
        met = judged(one, found, said.outcome)
        tried.packets += 1
        if said.differs or not met.ok:
            tried.wrong = _differs(said.differs) if said.differs else met.found
            tried.witness = str(member.packet)
            break
    return tried


def _leaves_by(found: Walk) -> set[str | None]:
    """Where the routes send a packet."""
    return {step.interface for step in found.steps if isinstance(step, RouteStep)}


def _sent(spec: Spec, machine: Machine, packets: list[Packet]) -> list[Observation]:
    """What became of packets that a host got one after another."""
    with Lab(spec, "legacy" if machine.legacy else "nft", trace=not machine.legacy) as lab:
        for rules in machine.rulesets:
            lab.load(rules, machine.family)
        return lab.send(packets)


def _differs(said: tuple[str, ...]) -> str:
    return "the kernel differs: " + "; ".join(said)


def _connection(one: Expectation, subject: Subject) -> _Tried:
    """All packets of a connection, there and back, through the rules of each host that has some."""
    address, port = end_of(one.what)
    found = connect(subject.world, one.from_, address, port, one.proto, remedies=False)
    tried = _Tried()
    for host in subject.world.hosts:
        legs = [leg for leg in found.walks if leg.host == host.name]
        if host.dumps and legs and not tried.wrong:
            _legs(host, legs, tried)
    if not tried.wrong and found.is_reached != (one.verdict == "reaches"):
        tried.wrong = f"{found.result}: {found.because}"
    return tried


def _legs(host: Host, legs: list[Leg], tried: _Tried) -> None:
    """The packets of one connection that pass a host, in their order: it remembers the connection."""
    machine = Machine.of(host, legs[0].walk.packet.family)
    packets = [leg.walk.packet.with_(state=None) for leg in legs]
    for leg, seen in zip(legs, _sent(describe(host), machine, packets), strict=True):
        differs = compare(leg.walk, seen, path=not machine.legacy).differs
        tried.packets += 1
        if differs:
            tried.wrong, tried.witness = _differs(differs), str(leg.walk.packet)
            return
