"""What a host does with a packet that is for itself: a socket takes it, the kernel answers, or nobody is there."""

import msgspec

from ruleflow.netfilter.conntrack import ESTABLISHED, RELATED
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.numbers import PROTOCOL_NAMES
from ruleflow.netfilter.state import State

RST = 4


class Delivery(msgspec.Struct, frozen=True):
    """``by`` is what takes it; ``refused``: nobody, and ``answer`` is what the sender is told."""

    by: str | None
    sentence: str
    refused: bool = False
    answer: str | None = None


def delivery(host: Host, state: State) -> Delivery:
    """Who takes the packet (tcp_v4_rcv, udp_rcv, icmp_rcv; raw sockets are not known)."""
    name = PROTOCOL_NAMES.get(state.protocol or 0, str(state.protocol))
    if state.protocol in (1, 58):
        return _icmp(state)
    if name not in ("tcp", "udp", "sctp", "dccp", "udplite"):
        return Delivery(None, f"what takes protocol {name} here is not known")
    if state.protocol == 6 and (state.tcp_flags or 0) & RST:
        return Delivery("the connection", "the connection it resets takes it")
    if state.state in (ESTABLISHED, RELATED) and state.direction == 1:
        return Delivery("the connection", "the socket that began the connection takes it")
    if host.listeners is None or state.destination is None or state.destination_port is None:
        return Delivery(None, "which sockets listen here is not known")
    found = host.listener(name, state.destination, state.destination_port, state.family)
    if found is not None:
        who = f"the socket of {found.process}" if found.process else "a socket"
        return Delivery(found.process or "a socket", f"{who} takes it: {name} port {state.destination_port}")
    answer = (
        "tcp-reset"
        if name == "tcp"
        else "icmp-port-unreachable"
        if state.family == 4
        else "icmp6-port-unreachable"
    )
    return Delivery(
        None,
        f"no socket waits for {name} port {state.destination_port}: refused",
        refused=True,
        answer=answer,
    )


def _icmp(state: State) -> Delivery:
    if state.icmp_type in (8, 128):
        return Delivery("the kernel", "the kernel answers the ping")
    return Delivery("the kernel", "the kernel takes the icmp message")
