"""What the sender of a packet is told when it goes no further, and when nothing is said.

nf_send_reset, nf_send_unreach (net/ipv4/netfilter/nf_reject_ipv4.c), nf_reject_ipv6.c; icmp_send
(net/ipv4/icmp.c), icmp6_send (net/ipv6/icmp.c); ip_error (net/ipv4/route.c).
"""

from ruleflow.netfilter.conntrack import ERRORS
from ruleflow.netfilter.host import Host
from ruleflow.netfilter.routing import Decision, is_multicast
from ruleflow.netfilter.state import State
from ruleflow.netfilter.steps import Answer

RST, ACK = 4, 16


def refusal(kind: str, state: State, hook: str) -> Answer | None:
    """The answer of ``kind`` to the packet, None where the kernel sends none."""
    if kind == "tcp-reset":
        silent = state.protocol != 6 or bool((state.tcp_flags or 0) & RST) or bool(state.fragment)
    else:
        silent = _no_error_about(state)
    if silent or not _answerable(state, hook) or not _finds_back(state):
        return None
    return Answer(kind, state.destination)


def _finds_back(state: State) -> bool:
    """Whether a route leads back: ip_route_me_harder, icmp_route_lookup, ip6_route_output."""
    source, destination, machine = state.source, state.destination, state.machine
    if source is None and "source" in state.ranges:  # as good as any other of them
        source = state.ranges["source"][0]
    if source is None or destination is None or machine.inferred:
        return True
    own = destination if machine.has_type(destination, ("LOCAL",)) else None
    return machine.route(source, source=own, iif=None, any_source=True).error is None


def _no_error_about(state: State) -> bool:
    """No ICMP error about an ICMP error, nor about a later fragment."""
    return bool(state.fragment) or state.icmp_type in ERRORS.get(state.protocol or 0, ())


def _answerable(state: State, hook: str) -> bool:  # noqa: ARG001
    """No answer to what was sent to many, or has no single sender."""
    source, destination = state.source, state.destination
    if source is None or destination is None:
        return True
    if is_multicast(destination, state.family) or source == 0 or is_multicast(source, state.family):
        return False
    if state.family == 4:
        return destination != 0xFFFFFFFF and state.machine.has_type(destination, ("BROADCAST",)) is not True
    return True


_ROUTING = {
    "EHOSTUNREACH": "icmp-host-unreachable", "ENETUNREACH": "icmp-net-unreachable", "EACCES": "icmp-admin-prohibited",
}  # fmt: skip
_ROUTING_SIX = {
    "EHOSTUNREACH": "icmp6-no-route",
    "ENETUNREACH": "icmp6-no-route",
    "EACCES": "icmp6-adm-prohibited",
}


def unroutable(way: Decision, state: State, host: Host) -> Answer | None:
    """What is told when no route takes the packet; martians and blackholes are silent.

    So is a host that forwards nothing, where it has no way: of IPv4 (ip_error), not of IPv6 (ip6_pkt_drop; tried).
    """
    table = _ROUTING if state.family == 4 else _ROUTING_SIX
    kind = table.get(way.error or "")
    closed = state.family == 4 and host.forwards(4, state.arrived) is False
    if kind is None or way.kind in ("not-forwarding", "blackhole") or closed:
        return None
    return None if way.kind.startswith("martian") else refusal(kind, state, "PREROUTING")
