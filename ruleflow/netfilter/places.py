"""What the kernel does between the hooks: routing, the hop's own checks, loopback, delivery.

One function per place of `ruleflow.netfilter.path.PATH`; each gives the word that says where it goes on.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ruleflow.netfilter.deliver import delivery
from ruleflow.netfilter.numbers import address_text
from ruleflow.netfilter.refusal import refusal, unroutable
from ruleflow.netfilter.routing import Decision, arrival_fault, is_multicast
from ruleflow.netfilter.steps import Answer, RouteStep

if TYPE_CHECKING:
    from ruleflow.netfilter.walker import Walker


def send(walker: "Walker") -> str:
    """A packet of this host is routed first; that also gives it a source where it has none."""
    state = walker.state
    if walker.packet.in_interface is None and state.source is None and state.destination is None:
        return walker.stop("DROP", "routing", "it has no destination")
    way = ask(walker, iif=None, source=state.source, any_source=walker.attached)
    walker.way = way
    if way.error:
        return walker.stop("DROP", "routing", f"it is not sent: {way.sentence}", error=way.error)
    if state.source is None and way.source is not None:
        state.source = way.source
    return "routed"


def reroute(walker: "Walker") -> bool:
    """ip_route_me_harder, ip6_route_me_harder; the hook goes on seeing the old interface."""
    state = walker.state
    own = state.family == 6 or not state.source
    own = own or walker.machine.has_type(state.source or 0, ("LOCAL", "UNICAST")) is not False
    way = ask(walker, iif=None, source=state.source if own else None, again=True)
    if way.error:
        walker.stop("DROP", "routing", f"after the change there is no way: {way.sentence}", error=way.error)
        return False
    walker.way = way
    return True


def arrive(walker: "Walker") -> str:
    """ip6_rcv_core's checks before any hook; IPv4 finds its martians when it routes."""
    state = walker.state
    if state.source is None or state.destination is None:
        return "accept"
    fault = arrival_fault(state.destination, state.source, state.family, state.arrived or "")
    return walker.stop("DROP", "martian", f"it is dropped as it arrives: {fault}") if fault else "accept"


def route(walker: "Walker") -> str:
    """ip_rcv_finish: a packet that has a way already (over lo, or DNATed on a bridge) keeps it."""
    if walker.way is None:
        walker.way = ask(walker, iif=walker.state.arrived or "", source=walker.state.source, any_source=True)
    way = walker.way
    if way.error:
        answer = unroutable(way, walker.state, walker.machine.host)
        reason = "martian" if way.kind.startswith("martian") else "routing"
        return walker.stop("DROP", reason, way.sentence, error=way.error, answer=answer)
    return "local" if walker.looped or way.delivers else "forward"


def hop(walker: "Walker") -> str:
    """ip_forward, ip6_forward: what only a packet that passes through meets."""
    state = walker.state
    if walker.packet.pkttype not in (None, 0):
        return walker.stop("DROP", "routing", "only what is addressed to this host's mac is forwarded")
    if (
        state.family == 6
        and state.source is not None
        and (state.source in (0, 1) or state.source >> 120 == 0xFF)
    ):
        return walker.stop("DROP", "martian", "such a source is not forwarded (ip6_forward)")
    if state.ttl is not None and state.ttl <= 1:
        kind = "icmp-ttl-exceeded" if state.family == 4 else "icmp6-hop-limit-exceeded"
        answer = refusal(kind, state, "FORWARD")
        return walker.stop("DROP", "ttl", f"its ttl {state.ttl} is used up here", answer=answer)
    if state.ttl is not None:
        state.change("ttl", state.ttl - 1)
    walker.forwarded = True
    return "accept"


def leave(walker: "Walker") -> str:
    """Out by the interface; what goes out by lo comes in again."""
    way = walker.way
    home = way is not None and (
        way.interface == "lo" or (way.delivers and (way.family == 4 or way.kind != "multicast"))
    )
    if home and not (walker.looped or walker.forwarded):
        walker.looped = True
        walker.state.arrived = "lo"
        walker.state.frame = False
        walker.note("lo", "over lo it comes in again")
        return "loopback"
    nexthop = way.nexthop if way is not None and way.interface is not None else walker.state.destination
    return walker.passed(to=nexthop)


def deliver(walker: "Walker") -> str:
    """To a socket that waits for it, to the kernel itself, or to nobody."""
    taken = delivery(walker.machine.host, walker.state)
    walker.note("deliver", taken.sentence)
    answer = Answer(taken.answer, walker.state.destination) if taken.answer else None
    return walker.passed(local=True, delivered=taken.by, refused=taken.refused, answer=answer)


def ask(
    walker: "Walker", *, iif: str | None, source: int | None, again: bool = False, any_source: bool = False
) -> Decision:
    """The routing decision for the packet as it stands, kept as a step; its assumptions are the walk's."""
    state = walker.state
    destination = state.destination
    if destination is None and "destination" in state.ranges:
        destination = state.ranges["destination"][0]
        walker.assumed["every address of the range is reached the same way"] = None
    unsure = iif is not None and source is None
    if unsure:
        walker.assumed["the source is one that may arrive there"] = None
    way = walker.machine.route(
        destination or 0, source=source, iif=None if unsure else iif,
        oif=walker.packet.out_interface if iif is None else None, mark=state.mark or 0, uid=state.uid,
        protocol=state.protocol, source_port=state.source_port, destination_port=state.destination_port,
        tos=(state.tos or 0) & ~3, any_source=again or any_source,
    )  # fmt: skip
    walker.assumed.update(dict.fromkeys(way.assumed))
    if way.kind == "unknown" or destination is None or not walker.machine.is_sure(destination):
        way = _unknown_way(walker, way, iif)
    way = _as_said(walker, way, iif)
    if walker.recorder is not None:
        walker.recorder.add(RouteStep(way.kind, way.sentence, way.interface, way.gateway, again))
    return way


def _as_said(walker: "Walker", way: Decision, iif: str | None) -> Decision:
    """What the caller says of the interface counts more than an inferred route, and less than a known one."""
    out = walker.packet.out_interface
    if iif is None or out is None or way.kind != "unicast" or way.interface in (None, out):
        return way
    if walker.machine.inferred:
        return msgspec.structs.replace(
            way, interface=out, gateway=None, sentence=f"it is said to leave by {out}"
        )
    walker.assumed[
        f"it is said to leave by {out}, but by the routes it leaves by {way.interface}: the routes count"
    ] = None
    return way


def _unknown_way(walker: "Walker", way: Decision, iif: str | None) -> Decision:
    """Nobody said where the destination is: the walk goes both ways."""
    state = walker.state
    to = state.destination
    where = "the destination" if to is None else address_text(to, state.family)
    out = walker.packet.out_interface
    if out is None and way.kind == "unicast":
        out = way.interface
    if walker.packet.out_interface is None and _is_home(walker, where, default=iif is not None):
        what = f"{where} is taken for an address of this host"
        return msgspec.structs.replace(way, kind="local", interface="lo", error=None, sentence=what)
    by = f", by {out}" if out else "; by which interface is not known"
    where = f"{where} is taken to be elsewhere{by}"
    return msgspec.structs.replace(way, kind="unicast", interface=out, error=None, sentence=where)


def _is_home(walker: "Walker", where: str, *, default: bool) -> bool:
    """Asked as ``-m addrtype --dst-type LOCAL`` asks it, so that both get the same answer."""
    asked = ("address_type", (("address", "destination"), ("types", ("LOCAL",)), ("interface", "")))
    key = (asked, walker.state.destination)
    to = walker.state.destination
    text = f"{where} is an address of this host"
    if to is not None and is_multicast(to, walker.state.family):
        text = f"a process of this host has joined {where}"
    return walker.chooser.ask(text, key=key, default=default)


PLACES: dict[str, Callable[["Walker"], str]] = {
    "send": send, "arrive": arrive, "arrived": arrive, "route": route, "hop": hop, "leave": leave, "deliver": deliver,
}  # fmt: skip
