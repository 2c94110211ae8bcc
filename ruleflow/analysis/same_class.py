"""The class of a packet: all packets that fare like it, by the same rules, as sets say it and not as one walk guesses it."""

import msgspec

from ruleflow.analysis.cover import wide
from ruleflow.analysis.wording import Wording
from ruleflow.netfilter.encode import DST, FREE_BASE, PROTO, STATE
from ruleflow.netfilter.flow import Flow
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.idd import EVERYTHING, NOTHING
from ruleflow.netfilter.known_host import KnownHost
from ruleflow.netfilter.packet import Packet
from ruleflow.netfilter.point import Point, endings
from ruleflow.netfilter.side import Side
from ruleflow.netfilter.space import Space
from ruleflow.netfilter.trail import Trail
from ruleflow.netfilter.traveller import Part
from ruleflow.ruleset.condition import Derived
from ruleflow.ruleset.ir import RuleRef, Ruleset


class SameClass(msgspec.Struct, frozen=True):
    """The packets that fare like one: ``words`` say them (some more may fare so elsewhere), ``by`` what decides."""

    words: str
    verdict: str
    by: RuleRef | None
    part: Part


def flow_for(ruleset: Ruleset, host: Host | None = None) -> Flow:
    """The paths of one rule set, on its host where that is known."""
    known = None if host is None or host.routes is None else KnownHost((host,), ruleset.family)
    space = Space([ruleset], known.names() if known is not None else ())
    flow = Flow(Side(space, ruleset))
    if known is not None and host is not None:
        space.encoder.types = known.of_type
        flow.know(known, host)
    return flow


def settled(flow: Flow, entry: str, a: int, *, moved: bool = False) -> int:
    """``a`` with what the way itself tells: what comes into this host is for one of its addresses.

    ``moved``: the destination is rewritten on the way, so nothing follows for the packet as it came.
    """
    if moved:
        return a
    for level, free in list(flow.encoder.free.items()):
        condition = free.condition
        if not isinstance(condition, Derived) or condition.fact != "address_type" or free.after:
            continue
        asked = dict(condition.arguments)
        if asked["address"] != "destination" or asked["interface"] or entry not in ("in", "through"):
            continue
        local = "LOCAL" in asked["types"]  # type: ignore[operator]
        if entry == "in" or local:
            a = flow.diagrams.restrict(a, level, int(local and entry == "in"))
    return a


def same_class(ruleset: Ruleset, packet: Packet, host: Host | None = None) -> SameClass | None:
    """The widest box around ``packet`` in which every packet has the same verdict by the same rules.

    Without a ``host`` a packet that names the interface it leaves by passes through, others are for this host.
    None where the packet's fate depends on what nobody can decide.
    """
    flow = flow_for(ruleset, host)
    point = Point(flow.encoder, packet)
    entry = (
        "send"
        if packet.in_interface is None
        else "arrive"
        if flow.ways is not None
        else "through"
        if packet.out_interface
        else "in"
    )
    parts = Trail(flow).entry(entry, EVERYTHING)
    found = [
        (part, where)
        for part in parts
        if _is_in(
            flow, where := settled(flow, entry, part.where, moved=part.alter.get(DST) is not None), point
        )
    ]
    if len(found) != 1:
        return None
    part, where = found[0]
    seed = tuple(
        (level, ((point[level],) * 2,))
        for level in sorted({*flow.diagrams.support(where), PROTO, STATE, DST})
        if level < FREE_BASE
    )
    box = wide(flow.diagrams, flow.diagrams.cube(seed), where, 1).boxes[0]
    return SameClass(Wording(flow.encoder).box(box), part.then, part.by, part)


def _is_in(flow: Flow, where: int, point: Point) -> bool:
    """Whether a packet is in a set whatever its free variables are; one that may be counts as in it."""
    return endings(flow.encoder, where, point) != {NOTHING}
