"""Numbers with names: protocols, ICMP types, ports, and addresses as text and back.

Sources: IANA's registries "protocol-numbers", "icmp-parameters", "icmpv6-parameters" and
"service-names-port-numbers"; the ICMP names are those that ``iptables -p icmp -h`` and ``ip6tables`` know.
"""

import socket

from ruleflow.errors import ReadError

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
V4_MAPPED = 0xFFFF
"""The upper 96 bits of an IPv4-mapped IPv6 address."""

PROTOCOLS = {
    "icmp": 1, "igmp": 2, "ipip": 4, "ipencap": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33, "ipv6": 41,
    "ipv6-route": 43, "ipv6-frag": 44, "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "icmp6": 58,
    "ipv6-icmp": 58, "ipv6-nonxt": 59, "eigrp": 88, "ospf": 89, "pim": 103, "ipcomp": 108, "vrrp": 112,
    "l2tp": 115, "sctp": 132, "mh": 135, "udplite": 136,
}  # fmt: skip
PROTOCOL_NAMES = {number: name for name, number in reversed(PROTOCOLS.items())}
PORT_PROTOCOLS = frozenset({6, 17, 33, 132, 136})
"""tcp, udp, dccp, sctp, udplite: the protocols whose header begins with two ports."""

ICMP_KINDS = {
    "echo-reply": (0, 0), "pong": (0, 0), "destination-unreachable": (3, None),
    "network-unreachable": (3, 0), "host-unreachable": (3, 1), "protocol-unreachable": (3, 2),
    "port-unreachable": (3, 3), "fragmentation-needed": (3, 4), "source-route-failed": (3, 5),
    "network-unknown": (3, 6), "host-unknown": (3, 7), "network-prohibited": (3, 9),
    "host-prohibited": (3, 10), "communication-prohibited": (3, 13), "source-quench": (4, 0),
    "redirect": (5, None), "network-redirect": (5, 0), "host-redirect": (5, 1), "echo-request": (8, 0),
    "ping": (8, 0), "router-advertisement": (9, 0), "router-solicitation": (10, 0),
    "time-exceeded": (11, None), "ttl-exceeded": (11, None), "ttl-zero-during-transit": (11, 0),
    "ttl-zero-during-reassembly": (11, 1), "parameter-problem": (12, None), "ip-header-bad": (12, 0),
    "required-option-missing": (12, 1), "timestamp-request": (13, 0), "timestamp-reply": (14, 0),
    "address-mask-request": (17, 0), "address-mask-reply": (18, 0),
}  # fmt: skip
ICMPV6_KINDS = {
    "destination-unreachable": (1, None), "no-route": (1, 0), "communication-prohibited": (1, 1),
    "beyond-scope": (1, 2), "address-unreachable": (1, 3), "port-unreachable": (1, 4),
    "failed-policy": (1, 5), "reject-route": (1, 6), "packet-too-big": (2, 0), "time-exceeded": (3, None),
    "ttl-exceeded": (3, None), "ttl-zero-during-transit": (3, 0), "ttl-zero-during-reassembly": (3, 1),
    "parameter-problem": (4, None), "bad-header": (4, 0), "unknown-header-type": (4, 1),
    "unknown-option": (4, 2), "echo-request": (128, 0), "ping": (128, 0), "echo-reply": (129, 0),
    "pong": (129, 0), "router-solicitation": (133, 0), "router-advertisement": (134, 0),
    "neighbour-solicitation": (135, 0), "neighbor-solicitation": (135, 0),
    "neighbour-advertisement": (136, 0), "neighbor-advertisement": (136, 0), "redirect": (137, 0),
}  # fmt: skip

PORTS = {
    "ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "dns": 53, "bootps": 67,
    "bootpc": 68, "tftp": 69, "http": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123,
    "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139, "imap2": 143, "imap": 143, "snmp": 161,
    "bgp": 179, "ldap": 389, "https": 443, "microsoft-ds": 445, "isakmp": 500, "syslog": 514,
    "submission": 587, "ldaps": 636, "imaps": 993, "pop3s": 995, "openvpn": 1194, "ms-sql-s": 1433,
    "nfs": 2049, "mysql": 3306, "diameter": 3868, "sip": 5060, "mdns": 5353, "postgresql": 5432,
    "http-alt": 8080,
}  # fmt: skip


def address_text(address: int, family: int) -> str:
    """``address`` as inet_ntop(3) writes it."""
    if family == 4:
        return socket.inet_ntop(socket.AF_INET, address.to_bytes(4, "big"))
    return socket.inet_ntop(socket.AF_INET6, address.to_bytes(16, "big"))


def read_address(text: str) -> tuple[int, int]:
    """The number and the family (4 or 6) of an address.

    :raises ReadError: where ``text`` is none.
    """
    kind = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return int.from_bytes(socket.inet_pton(kind, text), "big"), 6 if ":" in text else 4
    except (OSError, ValueError):
        raise ReadError(
            f"{text!r} is not an address", help="write it like 192.0.2.1 or 2001:db8::1"
        ) from None


def mac_text(mac: int) -> str:
    """A link-layer address as ``02:42:ac:11:00:02``."""
    return mac.to_bytes(6, "big").hex(":")


def read_mac(text: str) -> int:
    """The number of ``02:42:ac:11:00:02``.

    :raises ReadError: where ``text`` is no such address.
    """
    pairs = text.replace("-", ":").split(":")
    try:
        octets = [int(pair, 16) for pair in pairs]
    except ValueError:
        octets = []
    if len(octets) != 6 or not all(0 <= octet < 256 for octet in octets):
        raise ReadError(f"{text!r} is not a mac address", help="write it like 02:42:ac:11:00:02")
    return int.from_bytes(bytes(octets), "big")


def prefix_mask(length: int, family: int) -> int:
    """The network mask of a prefix ``length`` bits long, as a number."""
    width = 32 if family == 4 else 128
    return ((1 << length) - 1) << (width - length)


def within(address: int, network: int, length: int, family: int) -> bool:
    """Whether ``address`` is inside ``network``/``length``."""
    shift = (32 if family == 4 else 128) - length
    return address >> shift == network >> shift
