"""A frame on a bridge: which port it leaves by, and whether iptables sees it there.

net/bridge/br_input.c (br_handle_frame_finish), br_forward.c (should_deliver), br_netfilter_hooks.c.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from ruleflow.netfilter.numbers import address_text, mac_text
from ruleflow.netfilter.places import ask

if TYPE_CHECKING:
    from ruleflow.netfilter.walker import Walker


class Bridged(msgspec.Struct, frozen=True):
    """What one must know of a frame beyond its packet.

    ``to`` is the link-layer address it is sent to (None: the bridge's own); ``behind`` tells the port behind
    which a link-layer address or an IP address is (None: not known).
    """

    to: int | None = None
    behind: Callable[[str, int | None, int | None], str | None] | None = None


def frame(walker: "Walker") -> str:
    """A frame has come in by a port: iptables is asked where the bridge's settings say so."""
    state, host = walker.state, walker.machine.host
    state.arrived = _bridge(walker)
    walker.destination_before = state.destination
    asked = host.bridge_nf(state.family, state.arrived)
    if asked is None:
        walker.assumed["bridged frames do not visit iptables (bridge-nf-call-iptables is not known)"] = None
    return "asked" if asked else "silent"


def _bridge(walker: "Walker") -> str:
    state = walker.state
    port = walker.machine.host.port(state.physdev_in or "")
    return port.bridge if port is not None else state.arrived or ""


def bridge(walker: "Walker") -> str:
    """br_handle_frame_finish: up to the bridge itself, or out by the port where the destination is."""
    state, host = walker.state, walker.machine.host
    asked = bool(host.bridge_nf(state.family, state.arrived))
    if asked and walker.destination_before != state.destination:
        return _rewritten(walker)
    mac = walker.bridged.to if walker.bridged else None
    own = host.interface(state.arrived)
    if mac is None or (own is not None and mac == own.mac):
        return "up" if asked else "unseen"
    return _out_by(walker, asked=asked, mac=mac, address=state.destination)


def _rewritten(walker: "Walker") -> str:
    """br_nf_pre_routing_finish: what was DNATed is routed, and bridged only where the route leads back into the bridge.

    IPv4 asks as for any packet that arrives, so that a host that does not forward drops it (tried); IPv6 does not.
    """
    state = walker.state
    way = ask(walker, iif=state.arrived if state.family == 4 else None, source=state.source, again=True)
    if way.error or way.interface != state.arrived:
        walker.way = way if state.family == 4 else None
        return "up"
    walker.way = way
    walker.note("bridge", f"its new destination is behind {state.arrived}, too: it is bridged, not routed")
    return _out_by(walker, asked=True, mac=None, address=way.nexthop)


def _out_by(walker: "Walker", *, asked: bool, mac: int | None, address: int | None) -> str:
    """The port behind which the receiver is; the walk's caller says it, or the bridge's neighbours do."""
    state = walker.state
    behind = (walker.bridged.behind if walker.bridged else None) or walker.machine.behind
    port_name = behind(state.arrived or "", mac, address) if behind else None
    if port_name is None:
        who = (
            mac_text(mac)
            if mac is not None
            else "the next hop"
            if address is None
            else address_text(address, state.family)
        )
        walker.note("bridge", f"by which port {who} is reached is not known")
        state.physdev_out = None
    elif not _may_leave(walker, port_name):
        return "stop"
    else:
        state.physdev_out = port_name
    walker.bridged_out, walker.bridged_to = state.arrived, address
    return "asked" if asked else "silent"


def _may_leave(walker: "Walker", name: str) -> bool:
    """should_deliver: not back by the same port without hairpin, not between isolated ports."""
    host, state = walker.machine.host, walker.state
    into, out = host.port(state.physdev_in or ""), host.port(name)
    if out is None:
        return True
    if name == state.physdev_in and not out.hairpin:
        walker.stop(
            "DROP", "bridge", f"it would leave by {name}, where it came in: hairpin mode is off there"
        )
        return False
    if into is not None and into.isolated and out.isolated:
        walker.stop("DROP", "bridge", f"{state.physdev_in} and {name} are isolated from each other")
        return False
    if out.state not in ("forwarding", ""):
        walker.stop("DROP", "bridge", f"the port {name} is {out.state}")
        return False
    return True


def port(walker: "Walker") -> str:
    """Out by the bridge's port."""
    return walker.passed(
        out_interface=walker.bridged_out, port=walker.state.physdev_out, to=walker.bridged_to
    )


FRAMES: dict[str, Callable[["Walker"], str]] = {"frame": frame, "bridge": bridge, "port": port}
