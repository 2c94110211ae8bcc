"""Some packets of a space, to be tried where not all can be: one for each rule that decides, and those at the borders."""

import itertools
from collections.abc import Iterator

import msgspec

from ruleflow.analysis.expectations import Expectation, Subject, space_of
from ruleflow.analysis.witness import Witness
from ruleflow.netfilter.encode import DPORT, DST, SPORT, SRC, STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.idd import NOTHING
from ruleflow.netfilter.machine import Machine
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.trail import Trail
from ruleflow.ruleset.addresses import address_text

_PARTS, _MOST = 8, 24
_UNICAST = {
    4: ((1 << 24, (127 << 24) - 1), (128 << 24, (224 << 24) - 1)),
    6: ((1 << 125, (1 << 126) - 1),),
}
"""Addresses that hosts have; what is sent from or to others the kernel mostly drops before it asks a rule."""


class Member(msgspec.Struct, frozen=True):
    """A packet, and what must be so of the host that it may be on its way: own addresses, and routes by interface."""

    packet: Packet
    leaves: str | None = None
    """The interface that it leaves by: on a host that sends it elsewhere it is not of the space."""
    local: tuple[str, ...] = ()
    routes: tuple[tuple[str, str], ...] = ()


def members(one: Expectation, subject: Subject) -> tuple[Member, ...]:
    """Packets of the space of an expectation (``every …``): at most 24, of the first 8 parts that different rules decide.

    All begin connections, also where the expectation is about any state.
    Of each part: an ordinary packet, and those with the least and the greatest address and port that it has.
    """
    flow, where, entry = space_of(one, subject)
    machine = subject.machine(flow.side.ruleset.family)
    where = flow.diagrams.both(where, flow.diagrams.test(STATE, ((1, 1),)))
    where = _at_home(flow, where, entry, machine, known=subject.knows_addresses)
    found: dict[str, Member] = {}
    for part in itertools.islice((p for p in Trail(flow).entry(entry, where) if p.where != NOTHING), _PARTS):
        for packet in _of_part(flow, part.where, entry):
            member = _placed(packet, entry, subject)
            found.setdefault(str(member), member)
    return tuple(found.values())[:_MOST]


def _at_home(flow: Flow, where: int, entry: str, machine: Machine, *, known: bool) -> int:
    """The packets whose own end is one of the host's addresses, where these are known; else of one address."""
    diagrams, level = flow.diagrams, {"in": DST, "send": SRC}.get(entry)
    if where == NOTHING:
        return where
    own = {
        a.address for link in machine.host.interfaces for a in link.addresses if a.family == machine.family
    }
    if not known and level is not None:
        packet = Witness(flow.encoder, where, "send" if entry == "send" else "arrive").packet(out=False)
        end = packet.destination if entry == "in" else packet.source
        own = {end} if end is not None else set()
    ours = tuple((each, each) for each in sorted(own))
    if level is not None:
        where = diagrams.both(where, diagrams.test(level, ours))
    return where if entry == "in" else diagrams.without(where, diagrams.test(DST, ours))


def _of_part(flow: Flow, where: int, entry: str) -> Iterator[Packet]:
    diagrams = flow.diagrams
    usual = where
    for level in (SRC, DST):
        some = diagrams.both(usual, diagrams.test(level, _UNICAST[flow.side.ruleset.family]))
        usual = usual if some == NOTHING else some
    spaces = [usual]
    for level in (DPORT, SRC, DST, SPORT):
        shadow = diagrams.shadow(usual, level)
        ends = dict.fromkeys((shadow[0][0], shadow[-1][1]))
        spaces.extend(diagrams.both(usual, diagrams.test(level, ((value, value),))) for value in ends)
    for space in spaces:
        if space != NOTHING:
            witness = Witness(flow.encoder, space, "send" if entry == "send" else "arrive")
            yield witness.packet(out=entry != "in")


def _placed(packet: Packet, entry: str, subject: Subject) -> Member:
    """The packet as it begins its way, on a host where it can be."""
    leaves, family = packet.out_interface, packet.family
    packet = packet.with_(out_interface=None, state=None)
    if subject.is_directory:
        return Member(packet, leaves)
    end = {"in": packet.destination, "send": packet.source}.get(entry)
    local = () if end is None or subject.knows_addresses else (address_text(end, family),)
    target = f"{address_text(packet.destination or 0, family)}/{32 if family == 4 else 128}"
    return Member(packet, leaves, local, ((target, leaves),) if leaves else ())
