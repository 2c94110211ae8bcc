"""Refusals as messages: their types and codes, who they go to, and what a program gets to know of each.

tcp_v4_err (net/ipv4/tcp_ipv4.c), __udp4_lib_err (net/ipv4/udp.c), icmp_err_convert (net/ipv4/icmp.c),
icmpv6_err_convert (net/ipv6/icmp.c).
"""

from ruleflow.netfilter.host import Host
from ruleflow.netfilter.packet import Packet

RESULTS: dict[str, dict[str, str]] = {
    "tcp": {
        "tcp-reset": "refused", "icmp-port-unreachable": "refused", "icmp6-port-unreachable": "refused",
        "icmp-net-unreachable": "unreachable", "icmp-host-unreachable": "unreachable",
        "icmp-proto-unreachable": "unreachable", "icmp-net-prohibited": "unreachable",
        "icmp-host-prohibited": "unreachable", "icmp-admin-prohibited": "unreachable",
        "icmp6-no-route": "unreachable", "icmp6-adm-prohibited": "unreachable",
        "icmp6-addr-unreachable": "unreachable", "icmp6-policy-fail": "unreachable",
        "icmp6-reject-route": "unreachable", "icmp-ttl-exceeded": "unreachable",
        "icmp6-hop-limit-exceeded": "unreachable",
    },
    "udp": {
        "icmp-port-unreachable": "refused", "icmp6-port-unreachable": "refused",
        "icmp-proto-unreachable": "unreachable", "icmp-net-prohibited": "unreachable",
        "icmp-host-prohibited": "unreachable", "icmp-admin-prohibited": "unreachable",
        "icmp6-adm-prohibited": "unreachable", "icmp6-policy-fail": "unreachable",
        "icmp6-reject-route": "unreachable",
    },
    "icmp": {},
}  # fmt: skip
"""What a program gets to know of each message; a udp socket hears only the errors that are fatal.

A ping is sent by a raw socket that is not connected: raw_err and rawv6_err tell it nothing unless it asked (IP_RECVERR).
Busybox's ping waits in vain (tried); that of iputils asks, and prints the message. The echo is missing for both.
"""

ICMP_CODES = {
    "icmp-net-unreachable": (3, 0), "icmp-host-unreachable": (3, 1), "icmp-proto-unreachable": (3, 2),
    "icmp-port-unreachable": (3, 3), "icmp-net-prohibited": (3, 9), "icmp-host-prohibited": (3, 10),
    "icmp-admin-prohibited": (3, 13), "icmp-ttl-exceeded": (11, 0), "icmp6-no-route": (1, 0),
    "icmp6-adm-prohibited": (1, 1), "icmp6-addr-unreachable": (1, 3), "icmp6-port-unreachable": (1, 4),
    "icmp6-policy-fail": (1, 5), "icmp6-reject-route": (1, 6), "icmp6-hop-limit-exceeded": (3, 0),
}  # fmt: skip
"""Type and code of each message."""


def icmp_message(kind: str, about: Packet, host: Host) -> Packet:
    """icmp_send: to the sender, from the address that was asked if it is the host's own."""
    number, code = ICMP_CODES[kind]
    own = (
        about.destination
        if about.destination is not None and host.owns(about.destination, about.family)
        else None
    )
    return Packet(
        family=about.family, protocol=1 if about.family == 4 else 58, source=own, destination=about.source,
        icmp_type=number, icmp_code=code, ttl=64,
    )  # fmt: skip
