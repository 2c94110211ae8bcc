"""ICMP messages that must pass, and why each is needed (RFC 792, 4443, 4861, 4890)."""

from ruleflow.analysis.explanation import Claim
from ruleflow.analysis.idioms.shape import Shape, Shapes
from ruleflow.ruleset.values import Range

_PATH = (
    "Senders learn from this error that a packet was too big for a link on the way. Without it, connections hang as soon as "
    "they carry much data."
)
_ECHO = "Who asks whether this host is there gets an answer."
_REPLY = "The answer to a ping that was sent from here."
_NEIGHBOUR = (
    "IPv6 asks for neighbours' link-layer addresses with these messages, as IPv4 does with ARP, which no rule sees. Without "
    "them nothing on the link is reachable."
)
_ROUTER = "IPv6 finds its routers with these messages; without them a host has no way out."
_GROUP = "With these messages machines on a link say which multicast groups they listen to; without them switches may withhold neighbour discovery too."
_ICMP = {
    "3": ("unreachable", "Senders learn from it that a host or port is not there. One kind of it says that a packet was too big for a link on the way; without that, connections hang as soon as they carry much data."),
    "11": ("exceeded", "Senders learn from it that a packet ran in a circle or took too long; traceroute lives on it."),
    "12": ("parameter", "Senders learn from it that a header was wrong."),
    "8": ("echo", _ECHO),
    "0": ("reply", _REPLY),
}  # fmt: skip
_ICMP6 = {
    "1": ("unreachable", "Senders learn from it that a host or port is not there."),
    "2": ("too-big", f"{_PATH} IPv6 routers never split packets, so it must not be dropped."),
    "3": ("exceeded", "Senders learn from it that a packet ran in a circle; traceroute lives on it."),
    "4": ("parameter", "Senders learn from it that a header was wrong."),
    "128": ("echo", _ECHO),
    "129": ("reply", _REPLY),
    "130": ("group", _GROUP), "131": ("group", _GROUP), "132": ("group", _GROUP), "143": ("group", _GROUP),
    "133": ("router", _ROUTER), "134": ("router", _ROUTER),
    "135": ("neighbour", _NEIGHBOUR), "136": ("neighbour", _NEIGHBOUR),
    "141": ("inverse", "The reverse of neighbour discovery: which address belongs to a link-layer address."),
    "142": ("inverse", "The reverse of neighbour discovery: which address belongs to a link-layer address."),
    "148": ("certificate", "Routers prove with it that they may be routers (secure neighbour discovery)."),
    "149": ("certificate", "Routers prove with it that they may be routers (secure neighbour discovery)."),
    "151": ("multicast-router", "Multicast routers find each other with it."),
    "152": ("multicast-router", "Multicast routers find each other with it."),
    "153": ("multicast-router", "Multicast routers find each other with it."),
}  # fmt: skip


def message(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001 - every idiom is asked alike
    """``-p icmp --icmp-type echo-request -j ACCEPT`` and its like, with a rate or a hop limit or without."""
    kind = one.get("icmp")
    extra = {"protocol", "icmp", "in", "out", "state", "ttl", "source", "limit.rate", "limit.burst"}
    if one.verdict != "ACCEPT" or not isinstance(kind, str) or not set(one.facts) <= extra:
        return None
    words = (_ICMP if one.protocol == "icmp" else _ICMP6).get(kind.partition("/")[0])
    if words is None:
        return None
    reason = words[1]
    if one.get("ttl") == 255:
        reason += " A hop limit of 255 shows that no router passed it on, so it comes from the link itself."
    if "limit.rate" in one.facts:
        reason += " The limit keeps a flood of them from keeping this host busy."
    code = (
        f"icmp-{words[0]}"
        + ("-link" if one.get("ttl") == 255 else "")
        + ("-limit" if "limit.rate" in one.facts else "")
    )
    return Claim(code, (one.ref,), reason, "by the shape of this rule")


def routing_header(shapes: Shapes, one: Shape) -> Claim | None:  # noqa: ARG001
    """``-m rt --rt-type 0 -j DROP``."""
    if (
        one.verdict not in ("DROP", "REJECT")
        or not one.asks("rt.type")
        or one.get("rt.type") not in ("0", Range(0, 0))
    ):
        return None
    reason = (
        "This header names machines that the packet must visit on its way. It was used to send packets to and fro until a link was "
        "full, and has been forbidden since (RFC 5095)."
    )
    return Claim("routing-header", (one.ref,), reason, "by the shape of this rule")
